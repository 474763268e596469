#include "search/mmcif_store.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/str.h"
#include "formats/compress.h"

typedef struct {
  int64_t offset, size;
} member;

struct nf_mmcif_store {
  char *path;
  int fd;           // of the archive; -1: a directory
  nf_map *members;  // id -> index into list
  int n, capacity;
  member *list;
};

enum { TAR_BLOCK = 512, MAX_NAME = 4096 };
static const size_t MAX_MMCIF = (size_t)4 << 30;  // once decompressed

static bool read_at(int fd, int64_t offset, void *out, size_t n) {
  for (size_t done = 0; done < n;) {
    ssize_t got = pread(fd, (char *)out + done, n - done, (off_t)(offset + (int64_t)done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    done += (size_t)got;
  }
  return true;
}

// A number of a tar header: octal digits, or base 256 where the first bit is set. -1 if it is none.
static int64_t tar_number(const unsigned char *field, int width) {
  int64_t value = 0;
  if (field[0] & 0x80) {
    for (int i = 1; i < width; i++) {
      if (value > INT64_MAX >> 9) return -1;
      value = value << 8 | field[i];
    }
    return value;
  }
  for (int i = 0; i < width && field[i] && field[i] != ' '; i++) {
    if (field[i] < '0' || field[i] > '7') return -1;
    value = value << 3 | (field[i] - '0');
  }
  return value;
}

// The id that a member's path stands for, lower case; false if it is no mmCIF file.
static bool id_of(const char *path, char id[MAX_NAME]) {
  const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
  size_t n = strlen(base);
  for (size_t i = 0; i <= n; i++) id[i] = (char)tolower((unsigned char)base[i]);
  if (nf_ends_with(id, ".gz")) id[n -= 3] = '\0';
  if (!nf_ends_with(id, ".cif")) return false;
  id[n - 4] = '\0';
  return n > 4;
}

// "17 path=some/name\n" among the records of a pax header.
static void pax_path(const char *text, size_t size, char name[MAX_NAME]) {
  for (size_t at = 0; at < size;) {
    char *rest;
    unsigned long length = strtoul(text + at, &rest, 10);
    if (!length || length > size - at || rest >= text + at + length) return;
    size_t skip = (size_t)(rest - (text + at)) + 1;
    if (length > skip + 6 && memcmp(text + at + skip, "path=", 5) == 0) {
      snprintf(name, MAX_NAME, "%.*s", (int)(length - skip - 6), text + at + skip + 5);
    }
    at += length;
  }
}

static nf_status index_archive(nf_mmcif_store *s) {
  unsigned char header[TAR_BLOCK];
  char name[MAX_NAME] = "", id[MAX_NAME];
  bool has_name = false;
  struct stat st;
  if (fstat(s->fd, &st) != 0) return nf_fail(NF_INPUT, "%s: cannot be read: %s", s->path, strerror(errno));
  for (int64_t at = 0; at + TAR_BLOCK <= st.st_size;) {
    if (!read_at(s->fd, at, header, sizeof header)) return nf_fail(NF_INPUT, "%s: cannot be read", s->path);
    if (!header[0]) break;
    int64_t size = tar_number(header + 124, 12);
    if (memcmp(header + 257, "ustar", 5) != 0 || size < 0 || size > st.st_size - at - TAR_BLOCK) {
      return nf_fail(NF_INPUT, "%s: is damaged or no uncompressed tar archive, at byte %lld", s->path, (long long)at);
    }
    int64_t data = at + TAR_BLOCK;
    at = data + (size + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
    char type = (char)header[156];
    if (type == 'L' || type == 'x') {
      char *text = nf_calloc((size_t)(size < 65536 ? size : 65536) + 1, 1);
      size_t n = (size_t)(size < 65536 ? size : 65536);
      bool good = read_at(s->fd, data, text, n);
      if (good && type == 'L') snprintf(name, sizeof name, "%s", text);
      if (good && type == 'x') pax_path(text, n, name);
      has_name = name[0] != '\0';
      free(text);
      continue;
    }
    if (!has_name) {
      char last[101], prefix[156];
      snprintf(last, sizeof last, "%.100s", (const char *)header);
      snprintf(prefix, sizeof prefix, "%.155s", (const char *)header + 345);
      bool posix = header[262] == '\0';  // GNU's own headers use the prefix for other things
      snprintf(name, sizeof name, "%s%s%s", posix ? prefix : "", posix && prefix[0] ? "/" : "", last);
    }
    if ((type == '0' || type == '\0' || type == '7') && id_of(name, id)) {
      if (s->n == s->capacity) {
        s->capacity = s->capacity ? 2 * s->capacity : 1024;
        s->list = nf_realloc(s->list, (size_t)s->capacity, sizeof *s->list);
      }
      s->list[s->n] = (member){data, size};
      nf_map_set(s->members, id, s->n++);  // the last of a name counts
    }
    has_name = false;
    name[0] = '\0';
  }
  return NF_OK;
}

nf_status mmcif_store_open(const char *path, nf_mmcif_store **ret_store) {
  *ret_store = NULL;
  nf_mmcif_store *s = nf_calloc(1, sizeof *s);
  nf_status status = NF_OK;
  s->path = nf_strdup(path);
  s->fd = -1;
  if (nf_ends_with(path, ".tar")) {
    s->members = nf_map_create();
    s->fd = open(path, O_RDONLY | O_CLOEXEC);
    status = s->fd < 0 ? nf_fail(NF_INPUT, "%s: cannot be read: %s", path, strerror(errno)) : index_archive(s);
  } else if (!nf_dir_exists(path)) {
    status = nf_fail(NF_INPUT, "%s: is neither a directory of mmCIF files nor an uncompressed .tar of them", path);
  }
  if (status == NF_OK) {
    *ret_store = s;
  } else {
    mmcif_store_close(s);
  }
  return status;
}

void mmcif_store_close(nf_mmcif_store *s) {
  if (!s) return;
  if (s->fd >= 0) close(s->fd);
  nf_map_free(s->members);
  free(s->list);
  free(s->path);
  free(s);
}

static nf_status read_member(const nf_mmcif_store *s, const char *id, char **ret_text, size_t *ret_size) {
  int64_t index;
  if (!nf_map_get(s->members, id, &index)) return NF_OK;
  const member *m = &s->list[index];
  char label[MAX_NAME];
  snprintf(label, sizeof label, "%s: %s", s->path, id);
  char *bytes = nf_alloc((size_t)m->size + 1);
  nf_status status = NF_OK;
  if (read_at(s->fd, m->offset, bytes, (size_t)m->size)) {
    status = nf_decompress(label, bytes, (size_t)m->size, MAX_MMCIF, ret_text, ret_size);
  } else {
    status = nf_fail(NF_INPUT, "%s: cannot be read", label);
  }
  free(bytes);
  return status;
}

nf_status mmcif_store_read(const nf_mmcif_store *s, const char *id, char **ret_text, size_t *ret_size) {
  *ret_text = NULL;
  *ret_size = 0;
  if (s->fd >= 0) return read_member(s, id, ret_text, ret_size);
  static const char *const endings[] = {".cif", ".cif.gz"};
  char path[MAX_NAME];
  size_t n = strlen(id);
  for (int i = 0; i < 4; i++) {
    int length;
    if (i < 2) {
      length = snprintf(path, sizeof path, "%s/%s%s", s->path, id, endings[i]);
    } else {
      if (n < 4) break;
      length = snprintf(path, sizeof path, "%s/%.2s/%s%s", s->path, id + n - 3, id, endings[i - 2]);
    }
    if (length < 0 || (size_t)length >= sizeof path || !nf_file_exists(path)) continue;
    return nf_read_maybe_compressed(path, MAX_MMCIF, ret_text, ret_size);
  }
  return NF_OK;
}
