// A zstd stream written piece by piece, as one frame: some readers stop at the end of the first.
#ifndef NF_FORMATS_ZSTD_WRITER_H
#define NF_FORMATS_ZSTD_WRITER_H

#include <stddef.h>
#include <stdio.h>

#include "base/status.h"

typedef struct nf_zstd_writer nf_zstd_writer;
// Compressed bytes go to `out`, which the caller keeps; a failed write stays visible in ferror(out).
nf_zstd_writer *nf_zstd_writer_create(FILE *out, int level);
NF_CHECKED nf_status nf_zstd_writer_write(nf_zstd_writer *writer, const void *data, size_t size);
NF_CHECKED nf_status nf_zstd_writer_end(nf_zstd_writer *writer);  // closes the frame
void nf_zstd_writer_free(nf_zstd_writer *writer);                 // NULL is fine

#endif
