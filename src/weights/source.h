// The bytes of a published weights file: split parts in order, decompressed, read piece by piece.
#ifndef NF_WEIGHTS_SOURCE_H
#define NF_WEIGHTS_SOURCE_H

#include <stddef.h>

#include "base/status.h"

typedef struct weights_source weights_source;

// paths: the parts in order (at least one); copied. The first bytes tell whether the stream is zstd-compressed, and a
// name that says otherwise is refused.
NF_CHECKED nf_status source_open(const char *const *paths, int n_paths, weights_source **ret_source);

// Reads exactly `size` bytes, fewer only at the end of the stream.
NF_CHECKED nf_status source_read(weights_source *source, void *out, size_t size, size_t *ret_size);

const char *source_label(const weights_source *source);  // the part being read, for messages
void source_close(weights_source *source);               // NULL is fine

#endif
