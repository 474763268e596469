// Where records go: a record file (.bin), the same compressed (.bin.zst), or a mappable file (.nfw).
#ifndef NF_WEIGHTS_SINK_H
#define NF_WEIGHTS_SINK_H

#include "weights/mapped.h"

typedef struct weights_sink weights_sink;

// The form follows the suffix; the file appears whole or not at all. parts: what an .nfw says it was made from.
NF_CHECKED nf_status sink_open(const char *path, const mapped_part *parts, int n_parts, weights_sink **ret_sink);
// A mappable file in `file`, which stays the caller's (a memory file, where nothing can be kept on disk).
weights_sink *sink_open_mapped(const char *label, FILE *file, const mapped_part *parts, int n_parts);

NF_CHECKED nf_status sink_begin(weights_sink *sink, const record_head *head);
// The values of the record begun, in as many calls as it takes: float32, to be rounded to the record's dtype (bytes if
// it is uint8).
NF_CHECKED nf_status sink_floats(weights_sink *sink, const float *values, int64_t n);
NF_CHECKED nf_status sink_bytes(weights_sink *sink, const uint8_t *bytes, int64_t n);

NF_CHECKED nf_status sink_commit(weights_sink *sink);  // frees the sink, whether it worked or not
void sink_abandon(weights_sink *sink);                 // NULL is fine

#endif
