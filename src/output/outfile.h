// One output file being written, plain or as a single zstd frame, in large pieces. Appears whole or not at all.
#ifndef NF_OUTPUT_OUTFILE_H
#define NF_OUTPUT_OUTFILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

typedef struct outfile outfile;

// compress: ".zst" is added to the path.
NF_CHECKED nf_status outfile_open(const char *path, bool compress, outfile **ret_sink);
// At least `size` free bytes to write into; then outfile_advance by what was used. A failure is kept for the commit.
enum { OUTFILE_MAX_RESERVE = 1 << 16 };
char *outfile_reserve(outfile *s, size_t size);
void outfile_advance(outfile *s, size_t size);
void outfile_write(outfile *s, const char *bytes, size_t size);
void outfile_puts(outfile *s, const char *text);
// Hands the last bytes to the file, which is then complete but not yet in place: what fails, fails here.
NF_CHECKED nf_status outfile_finish(outfile *s);
NF_CHECKED nf_status outfile_commit(outfile *s);  // after outfile_finish; frees the sink, whether it worked or not
void outfile_abandon(outfile *s);                 // NULL is fine

#endif
