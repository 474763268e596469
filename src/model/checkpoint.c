// Writing and reading of checkpoint files.
#include "model/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checksum.h"
#include "base/file.h"
#include "base/memory.h"

enum { ALIGN = 64, FORMAT = 1, ORDER_MARK = 0x01020304 };
static const char magic[8] = {'n', 'f', 'c', 'h', 'e', 'c', 'k', '\n'};

typedef struct {
  char magic[8];
  uint32_t order_mark, format;
  uint64_t file_size;
  checkpoint_identity identity;
  int32_t numbers[CHECKPOINT_NUMBERS];
  uint64_t n_arrays;
  uint64_t bytes[CHECKPOINT_MAX_ARRAYS], sums[CHECKPOINT_MAX_ARRAYS];
  uint64_t sum;  // of all before it
} head;

static uint64_t padded(uint64_t bytes) { return (bytes + ALIGN - 1) / ALIGN * ALIGN; }
static uint64_t head_sum(const head *h) { return nf_checksum(h, offsetof(head, sum)); }

static void write_padded(FILE *out, const void *bytes, uint64_t size) {
  static const char zeros[ALIGN];
  if (size) (void)!fwrite(bytes, 1, size, out);  // a short write leaves ferror set for commit
  (void)!fwrite(zeros, 1, padded(size) - size, out);
}

nf_status checkpoint_write(const char *path, const checkpoint_identity *identity, const checkpoint_content *content) {
  NF_ASSERT(content->n_arrays <= CHECKPOINT_MAX_ARRAYS);
  head h;
  memset(&h, 0, sizeof h);  // padding too: it is summed
  memcpy(h.magic, magic, sizeof magic);
  h.order_mark = ORDER_MARK;
  h.format = FORMAT;
  h.identity = *identity;
  memcpy(h.numbers, content->numbers, sizeof h.numbers);
  h.n_arrays = (uint64_t)content->n_arrays;
  h.file_size = padded(sizeof h);
  for (int i = 0; i < content->n_arrays; i++) {
    h.bytes[i] = content->bytes[i];
    h.sums[i] = nf_checksum(content->arrays[i], content->bytes[i]);
    h.file_size += padded(content->bytes[i]);
  }
  h.sum = head_sum(&h);
  nf_writer *writer;
  NF_TRY(nf_writer_open(path, &writer));
  FILE *out = nf_writer_stream(writer);
  write_padded(out, &h, sizeof h);
  for (int i = 0; i < content->n_arrays; i++) write_padded(out, content->arrays[i], content->bytes[i]);
  return nf_writer_commit(writer);
}

struct checkpoint {
  int file;
  char *path;
  head head;
};

static bool read_at(int file, void *to, uint64_t size, uint64_t place) {
  for (char *p = to; size;) {
    ssize_t n = pread(file, p, size < (1u << 30) ? size : 1u << 30, (off_t)place);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    p += n;
    place += (uint64_t)n;
    size -= (uint64_t)n;
  }
  return true;
}

static nf_status damaged(const char *path, const char *what) {
  return nf_fail(NF_INPUT, "%s: the checkpoint is damaged (%s)", path, what);
}

static bool same_text(const char *a, const char *b, size_t size) { return strncmp(a, b, size) == 0; }

// What the file belongs to, as far as it is something else than asked for; NULL: the same.
static const char *difference(const checkpoint_identity *has, const checkpoint_identity *wants) {
  if (!same_text(has->kind, wants->kind, sizeof has->kind) || has->seed != wants->seed || has->part != wants->part)
    return "another part of the run";
  if (!same_text(has->version, wants->version, sizeof has->version)) return "another version of the program";
  if (has->weights != wants->weights) return "other weights";
  if (has->job != wants->job) return "another job";
  if (has->options != wants->options) return "other options";
  if (!same_text(has->device, wants->device, sizeof has->device)) return "another device";
  if (has->features && wants->features && has->features != wants->features) return "other features";
  return NULL;
}

nf_status checkpoint_open(const char *path, const checkpoint_identity *identity, bool *ret_is_foreign,
                          checkpoint **ret_checkpoint) {
  *ret_is_foreign = false;
  *ret_checkpoint = NULL;
  checkpoint *c = nf_calloc(1, sizeof *c);
  const head *h = &c->head;
  struct stat st;
  nf_status status = NF_OK;
  c->path = nf_strdup(path);
  c->file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a pipe is not waited for
  if (c->file < 0) {
    status = nf_fail(NF_INPUT, "%s: cannot be read: %s", path, strerror(errno));
    goto fail;
  }
  if (fstat(c->file, &st) != 0 || !S_ISREG(st.st_mode)) {
    status = nf_fail(NF_INPUT, "%s: is not a regular file", path);
    goto fail;
  }
  if ((uint64_t)st.st_size < sizeof *h || !read_at(c->file, &c->head, sizeof *h, 0)) {
    status = damaged(path, "it is too short");
    goto fail;
  }
  if (memcmp(h->magic, magic, sizeof magic) != 0 || h->order_mark != ORDER_MARK || h->sum != head_sum(h)) {
    status = damaged(path, "its head is not as it was written");
    goto fail;
  }
  if (h->format != FORMAT) {
    *ret_is_foreign = true;
    status = nf_fail(NF_INPUT, "%s: the checkpoint is of another version of the program", path);
    goto fail;
  }
  uint64_t size = padded(sizeof *h);
  bool fits = h->n_arrays <= CHECKPOINT_MAX_ARRAYS && h->file_size == (uint64_t)st.st_size;
  for (uint64_t i = 0; fits && i < h->n_arrays; i++) {
    fits = h->bytes[i] <= h->file_size;
    if (fits) size += padded(h->bytes[i]);
  }
  if (!fits || size != h->file_size) {
    status = damaged(path, "its size is not as it was written");
    goto fail;
  }
  const char *other = difference(&h->identity, identity);
  if (other) {
    *ret_is_foreign = true;
    status = nf_fail(NF_INPUT, "%s: the checkpoint is of %s", path, other);
    goto fail;
  }
  *ret_checkpoint = c;
  return NF_OK;
fail:
  checkpoint_close(c);
  return status;
}

const int32_t *checkpoint_numbers(const checkpoint *c) { return c->head.numbers; }
int checkpoint_n_arrays(const checkpoint *c) { return (int)c->head.n_arrays; }
uint64_t checkpoint_bytes(const checkpoint *c, int array) { return c->head.bytes[array]; }

nf_status checkpoint_read(checkpoint *c, int array, void *to) {
  NF_ASSERT(array >= 0 && array < checkpoint_n_arrays(c));
  uint64_t place = padded(sizeof c->head);
  for (int i = 0; i < array; i++) place += padded(c->head.bytes[i]);
  if (!read_at(c->file, to, c->head.bytes[array], place)) return damaged(c->path, "it cannot be read to its end");
  if (nf_checksum(to, c->head.bytes[array]) != c->head.sums[array]) return damaged(c->path, "its values are not as they were written");
  return NF_OK;
}

void checkpoint_close(checkpoint *c) {
  if (!c) return;
  if (c->file >= 0) close(c->file);
  free(c->path);
  free(c);
}
