// Files: read whole, map, or write so that they appear whole or not at all.
#ifndef NF_BASE_FILE_H
#define NF_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/status.h"

// Reads a whole file; *ret_data is NUL-terminated beyond its size and freed by the caller with free().
NF_CHECKED nf_status nf_file_read(const char *path, char **ret_data, size_t *ret_size);

// Maps a file read-only; unmap with nf_file_unmap. An empty file gives NULL and size 0.
NF_CHECKED nf_status nf_file_map(const char *path, const void **ret_data, size_t *ret_size);
void nf_file_unmap(const void *data, size_t size);

bool nf_file_exists(const char *path);
bool nf_dir_exists(const char *path);
bool nf_dir_is_empty(const char *path);  // true also if it does not exist
NF_CHECKED nf_status nf_dir_create(const char *path);  // with parents; fine if it exists

// A file being written: bytes go to "path.tmp.PID" in the same directory; commit flushes, fsyncs and renames.
// A file that is not committed leaves nothing behind. Devices and pipes (/dev/stdout) are written where they are.
typedef struct nf_writer nf_writer;
NF_CHECKED nf_status nf_writer_open(const char *path, nf_writer **ret_writer);
FILE *nf_writer_stream(nf_writer *writer);
NF_CHECKED nf_status nf_writer_commit(nf_writer *writer);  // frees the writer, whether it worked or not
void nf_writer_abandon(nf_writer *writer);                 // NULL is fine

// The whole of a file in one call.
NF_CHECKED nf_status nf_file_write(const char *path, const void *data, size_t size);

#endif
