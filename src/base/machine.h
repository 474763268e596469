// What memory this process may use: the machine's, within the limits of its control groups (containers, batch systems).
#ifndef NF_BASE_MACHINE_H
#define NF_BASE_MACHINE_H

#include <stdint.h>

typedef struct {
  int64_t resident;   // bytes of this process in memory
  int64_t anonymous;  // of these, not backed by files
  int64_t peak;       // the most that were resident
} nf_memory_use;
nf_memory_use nf_memory_used(void);

typedef struct {
  int64_t bytes;       // that this process could take in addition; INT64_MAX: not known
  const char *source;  // "the machine", or "the control group"
} nf_memory_room;
// root: "" but in tests, put before /proc and /sys.
nf_memory_room nf_memory_available(const char *root);

#endif
