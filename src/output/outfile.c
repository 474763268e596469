// One output file being written, plain or as a single zstd frame, in large pieces.
#include "output/outfile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "formats/zstd_writer.h"

enum {
  BUFFER = 1 << 20,
  ZSTD_LEVEL = 3,  // zstandard's default, which the reference uses
};

struct outfile {
  nf_writer *writer;
  nf_zstd_writer *zstd;  // NULL: plain
  char *path;
  size_t used;
  int error;         // errno of the first write that failed
  nf_status status;  // of the first compression that failed
  char buffer[BUFFER];
};

nf_status outfile_open(const char *path, bool compress, outfile **ret_sink) {
  *ret_sink = NULL;
  nf_str full = {0};
  nf_str_printf(&full, "%s%s", path, compress ? ".zst" : "");
  nf_writer *writer;
  nf_status status;
  // Found now rather than when everything is written: a rename cannot replace a directory.
  if (nf_dir_exists(full.data)) {
    status = nf_fail(NF_FAILED, "%s: cannot be written: %s", full.data, strerror(EISDIR));
  } else {
    status = nf_writer_open(full.data, &writer);
  }
  if (status != NF_OK) {
    nf_str_free(&full);
    return status;
  }
  outfile *s = nf_alloc(sizeof *s);
  *s = (struct outfile){.writer = writer, .path = full.data, .status = NF_OK};
  if (compress) s->zstd = nf_zstd_writer_create(nf_writer_stream(writer), ZSTD_LEVEL);
  *ret_sink = s;
  return NF_OK;
}

static bool failed(const outfile *s) { return s->error || s->status != NF_OK; }

static void hand_on(outfile *s) {
  size_t size = s->used;
  s->used = 0;
  if (failed(s) || !size) return;
  FILE *stream = nf_writer_stream(s->writer);
  errno = 0;
  if (s->zstd) {
    s->status = nf_zstd_writer_write(s->zstd, s->buffer, size);
  } else {
    (void)!fwrite(s->buffer, 1, size, stream);
  }
  if (ferror(stream)) s->error = errno ? errno : EIO;
}

char *outfile_reserve(outfile *s, size_t size) {
  NF_ASSERT(size <= OUTFILE_MAX_RESERVE);
  if (s->used + size > BUFFER) hand_on(s);
  return s->buffer + s->used;
}

void outfile_advance(outfile *s, size_t size) {
  NF_ASSERT(s->used + size <= BUFFER);
  s->used += size;
}

void outfile_write(outfile *s, const char *bytes, size_t size) {
  while (size > 0) {
    size_t piece = size < OUTFILE_MAX_RESERVE ? size : OUTFILE_MAX_RESERVE;
    memcpy(outfile_reserve(s, piece), bytes, piece);
    outfile_advance(s, piece);
    bytes += piece;
    size -= piece;
  }
}

void outfile_puts(outfile *s, const char *text) { outfile_write(s, text, strlen(text)); }

nf_status outfile_finish(outfile *s) {
  hand_on(s);
  FILE *stream = nf_writer_stream(s->writer);
  errno = 0;
  if (s->zstd && !failed(s)) s->status = nf_zstd_writer_end(s->zstd);
  if (!failed(s) && (ferror(stream) || fflush(stream) != 0)) s->error = errno ? errno : EIO;
  if (s->error) return nf_fail(NF_FAILED, "%s: cannot be written: %s", s->path, strerror(s->error));
  return s->status;
}

static void release(outfile *s) {
  nf_zstd_writer_free(s->zstd);
  free(s->path);
  free(s);
}

nf_status outfile_commit(outfile *s) {
  nf_status status = nf_writer_commit(s->writer);
  release(s);
  return status;
}

void outfile_abandon(outfile *s) {
  if (!s) return;
  nf_writer_abandon(s->writer);
  release(s);
}
