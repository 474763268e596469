// One output file being written, plain or as a single zstd frame, in large pieces. Appears whole or not at all.
#ifndef NF_OUTPUT_SINK_H
#define NF_OUTPUT_SINK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

typedef struct sink sink;

// compress: ".zst" is added to the path.
NF_CHECKED nf_status sink_open(const char *path, bool compress, sink **ret_sink);
// At least `size` free bytes to write into; then sink_advance by what was used. A failure is kept for the commit.
enum { SINK_MAX_RESERVE = 1 << 16 };
char *sink_reserve(sink *s, size_t size);
void sink_advance(sink *s, size_t size);
void sink_write(sink *s, const char *bytes, size_t size);
void sink_puts(sink *s, const char *text);
// Hands the last bytes to the file, which is then complete but not yet in place: what fails, fails here.
NF_CHECKED nf_status sink_finish(sink *s);
NF_CHECKED nf_status sink_commit(sink *s);  // after sink_finish; frees the sink, whether it worked or not
void sink_abandon(sink *s);                 // NULL is fine

#endif
