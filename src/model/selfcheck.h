// Whether a device computes what it should: for `nativefold selfcheck`.
#ifndef NF_MODEL_SELFCHECK_H
#define NF_MODEL_SELFCHECK_H

#include "model/model.h"

typedef struct {
  const char *what, *how;  // the op or the seam; in which precision, or "network"
  double error, limit;     // relative, of the root mean square
  bool passed;
} selfcheck_row;

typedef struct {
  void *context;
  void (*row)(void *context, const selfcheck_row *row);
} selfcheck_sink;

// Ops against the plain loops, then the network of these (small, seeded) weights against the CPU, or on the CPU against
// the plain loops. Under a minute.
NF_CHECKED nf_status selfcheck_run(const nf_weights *weights, const char *device, const selfcheck_sink *sink, bool *ret_passed);

#endif
