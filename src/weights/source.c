// Parts one after another, as one stream.
#include "weights/source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/memory.h"
#include "base/str.h"
#include "formats/compress.h"

enum { BUFFER_SIZE = 1 << 20 };

struct weights_source {
  char **paths;
  int n_paths, part;  // part: the one open now
  FILE *file;
  nf_zstd_reader *zstd;  // NULL for a plain stream
  char *buffer;          // bytes read and not yet consumed: next, left
  const char *next;
  size_t left;
  bool ended;  // no more bytes in any part
};

static nf_status open_part(weights_source *source) {
  const char *path = source->paths[source->part];
  source->file = fopen(path, "rbe");
  if (!source->file) return nf_fail(NF_INPUT, "%s: cannot be read: %s", path, strerror(errno));
  struct stat st;
  if (fstat(fileno(source->file), &st) != 0 || !S_ISREG(st.st_mode)) {
    return nf_fail(NF_INPUT, "%s: is not a regular file", path);
  }
  return NF_OK;
}

// Fills the empty buffer from this part, or the next that has bytes.
static nf_status refill(weights_source *source) {
  while (!source->ended) {
    size_t n = fread(source->buffer, 1, BUFFER_SIZE, source->file);
    if (ferror(source->file)) {
      return nf_fail(NF_INPUT, "%s: cannot be read: %s", source_label(source), strerror(errno));
    }
    source->next = source->buffer;
    source->left = n;
    if (n) return NF_OK;
    if (source->part + 1 == source->n_paths) {
      source->ended = true;
    } else {
      fclose(source->file);
      source->file = NULL;
      source->part++;
      NF_TRY(open_part(source));
    }
  }
  return NF_OK;
}

nf_status source_open(const char *const *paths, int n_paths, weights_source **ret_source) {
  NF_ASSERT(n_paths > 0);
  *ret_source = NULL;
  weights_source *source = nf_calloc(1, sizeof *source);
  source->paths = nf_calloc((size_t)n_paths, sizeof *source->paths);
  source->n_paths = n_paths;
  for (int i = 0; i < n_paths; i++) source->paths[i] = nf_strdup(paths[i]);
  source->buffer = nf_alloc(BUFFER_SIZE);
  nf_status status;
  NF_TRY_GOTO(fail, open_part(source));
  NF_TRY_GOTO(fail, refill(source));
  // A record begins with the length of its scope, never as large as the magic of a zstd frame (or of a skippable one):
  // the two cannot be confused.
  const unsigned char *first = (const unsigned char *)source->next;
  if (source->left >= 4 && (memcmp(first, "\x28\xb5\x2f\xfd", 4) == 0 ||
                            ((first[0] & 0xf0) == 0x50 && memcmp(first + 1, "\x2a\x4d\x18", 3) == 0))) {
    source->zstd = nf_zstd_reader_create();
  } else if (source->left && strstr(paths[0], ".zst")) {
    status = nf_fail(NF_INPUT, "%s: is not zstd-compressed although its name says so: fetch the file again",
                     source_label(source));
    goto fail;
  }
  *ret_source = source;
  return NF_OK;
fail:
  source_close(source);
  return status;
}

nf_status source_read(weights_source *source, void *out, size_t size, size_t *ret_size) {
  size_t got = 0;
  *ret_size = 0;
  while (got < size) {
    if (!source->left) NF_TRY(refill(source));
    if (!source->zstd) {
      if (!source->left) break;
      size_t n = source->left < size - got ? source->left : size - got;
      memcpy((char *)out + got, source->next, n);
      source->next += n;
      source->left -= n;
      got += n;
      continue;
    }
    const void *in = source->next;
    size_t before = source->left, n = 0;
    NF_TRY(
        nf_zstd_reader_feed(source->zstd, source_label(source), &in, &source->left, (char *)out + got, size - got, &n));
    source->next = in;
    got += n;
    if (n || source->left < before) continue;
    if (source->left)
      return nf_fail(NF_INPUT, "%s: its zstd stream is damaged: fetch the file again", source_label(source));
    if (source->ended) {
      if (!nf_zstd_reader_at_frame_end(source->zstd)) {
        return nf_fail(NF_INPUT, "%s: is cut short in the middle of its zstd stream: fetch the file again",
                       source_label(source));
      }
      break;
    }
  }
  *ret_size = got;
  return NF_OK;
}

const char *source_label(const weights_source *source) { return source->paths[source->part]; }

void source_close(weights_source *source) {
  if (!source) return;
  if (source->file) fclose(source->file);
  nf_zstd_reader_free(source->zstd);
  for (int i = 0; i < source->n_paths; i++) free(source->paths[i]);
  free(source->paths);
  free(source->buffer);
  free(source);
}
