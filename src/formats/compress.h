// Compressed files, told apart by their magic bytes: gzip, xz, zstd; anything else is taken as it is.
#ifndef NF_FORMATS_COMPRESS_H
#define NF_FORMATS_COMPRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

// Reads a file and decompresses it. *ret_data is NUL-terminated beyond its size; the caller frees it with free().
// Refused (NF_INPUT) if damaged, cut short, or larger than max_size bytes once decompressed (0: no limit).
NF_CHECKED nf_status nf_read_maybe_compressed(const char *path, size_t max_size, char **ret_data, size_t *ret_size);

// Decompresses bytes in memory in the same way; `label` names them in messages.
NF_CHECKED nf_status nf_decompress(const char *label, const void *data, size_t size, size_t max_size, char **ret_data,
                                   size_t *ret_size);

// zstd-compresses; *ret_data freed by the caller.
NF_CHECKED nf_status nf_zstd_compress(const void *data, size_t size, int level, void **ret_data, size_t *ret_size);

// A zstd stream read or written piece by piece (weights are larger than memory should hold twice).
typedef struct nf_zstd_reader nf_zstd_reader;
nf_zstd_reader *nf_zstd_reader_create(void);
// Decompresses from *in (advancing it and shrinking *in_size) into out; returns bytes produced through ret_n.
NF_CHECKED nf_status nf_zstd_reader_feed(nf_zstd_reader *reader, const char *label, const void **in, size_t *in_size,
                                         void *out, size_t out_size, size_t *ret_n);
bool nf_zstd_reader_at_frame_end(const nf_zstd_reader *reader);
void nf_zstd_reader_free(nf_zstd_reader *reader);

#endif
