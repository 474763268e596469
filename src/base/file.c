// Reading, mapping and whole-or-not-at-all writing.
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/str.h"

static nf_status open_regular(const char *path, int *ret_fd, size_t *ret_size) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return nf_fail(NF_INPUT, "%s: cannot be read: %s", path, strerror(errno));
  struct stat st;
  if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
    close(fd);
    return nf_fail(NF_INPUT, "%s: is not a regular file", path);
  }
  *ret_fd = fd;
  *ret_size = (size_t)st.st_size;
  return NF_OK;
}

nf_status nf_file_read(const char *path, char **ret_data, size_t *ret_size) {
  // Read, not stat: a pipe or /dev/stdin has no size.
  *ret_data = NULL;
  *ret_size = 0;
  FILE *f = fopen(path, "rbe");
  if (!f) return nf_fail(NF_INPUT, "%s: cannot be read: %s", path, strerror(errno));
  nf_str s = {0};
  struct stat st;
  if (fstat(fileno(f), &st) == 0 && S_ISDIR(st.st_mode)) {
    fclose(f);
    return nf_fail(NF_INPUT, "%s: is a directory, a file was expected", path);
  }
  char buffer[1 << 16];
  size_t n;
  while ((n = fread(buffer, 1, sizeof buffer, f)) > 0) nf_str_append(&s, buffer, n);
  bool bad = ferror(f) != 0;
  int error = errno;
  fclose(f);
  if (bad) {
    nf_str_free(&s);
    return nf_fail(NF_INPUT, "%s: cannot be read: %s", path, strerror(error));
  }
  if (!s.data) nf_str_append(&s, "", 0);
  *ret_data = s.data;
  *ret_size = s.length;
  return NF_OK;
}

nf_status nf_file_map(const char *path, const void **ret_data, size_t *ret_size) {
  int fd = -1;
  *ret_data = NULL;
  NF_TRY(open_regular(path, &fd, ret_size));
  if (*ret_size) {
    void *p = mmap(NULL, *ret_size, PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) {
      int error = errno;
      close(fd);
      return nf_fail(NF_INPUT, "%s: cannot be mapped: %s", path, strerror(error));
    }
    *ret_data = p;
  }
  close(fd);
  return NF_OK;
}

void nf_file_unmap(const void *data, size_t size) {
  if (data) munmap((void *)(size_t)data, size);
}

bool nf_file_exists(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 && !S_ISDIR(st.st_mode);
}

bool nf_dir_exists(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool nf_dir_is_empty(const char *path) {
  DIR *d = opendir(path);
  if (!d) return true;
  bool empty = true;
  for (struct dirent *e; empty && (e = readdir(d));) {
    empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
  }
  closedir(d);
  return empty;
}

nf_status nf_dir_create(const char *path) {
  if (!*path) return NF_OK;
  char *copy = nf_strdup(path);
  nf_status status = NF_OK;
  for (char *p = copy + 1; status == NF_OK; p++) {
    if (*p != '/' && *p) continue;
    char c = *p;
    *p = '\0';
    if (mkdir(copy, 0777) != 0 && (errno != EEXIST || !nf_dir_exists(copy))) {
      status = nf_fail(NF_FAILED, "%s: the directory cannot be made: %s", copy, strerror(errno == EEXIST ? ENOTDIR : errno));
    }
    *p = c;
    if (!c) break;
  }
  free(copy);
  return status;
}

struct nf_writer {
  FILE *stream;
  char *path, *temporary;  // temporary NULL: the path is a device or a pipe, written where it is
};

nf_status nf_writer_open(const char *path, nf_writer **ret_writer) {
  *ret_writer = NULL;
  nf_str name = {0};
  struct stat st;
  // A rename would put a plain file in a device's place (/dev/stdout, /dev/full).
  bool in_place = stat(path, &st) == 0 && !S_ISREG(st.st_mode);
  if (!in_place) nf_str_printf(&name, "%s.tmp.%ld", path, (long)getpid());
  FILE *stream = fopen(in_place ? path : name.data, "wbe");
  if (!stream) {
    nf_status status = nf_fail(NF_FAILED, "%s: cannot be written: %s", path, strerror(errno));
    nf_str_free(&name);
    return status;
  }
  nf_writer *w = nf_calloc(1, sizeof *w);
  w->stream = stream;
  w->path = nf_strdup(path);
  w->temporary = name.data;
  *ret_writer = w;
  return NF_OK;
}

FILE *nf_writer_stream(nf_writer *writer) { return writer->stream; }

static void writer_free(nf_writer *w) {
  free(w->path);
  free(w->temporary);
  free(w);
}

nf_status nf_writer_commit(nf_writer *w) {
  nf_status status = NF_OK;
  bool bad = ferror(w->stream) != 0 || fflush(w->stream) != 0;
  // Some places (pipes, /dev/full's kin) refuse fsync with EINVAL: nothing to wait for there.
  if (!bad && fsync(fileno(w->stream)) != 0 && errno != EINVAL && errno != EROFS) bad = true;
  int error = errno;
  if (fclose(w->stream) != 0 && !bad) {
    bad = true;
    error = errno;
  }
  if (!bad && w->temporary && rename(w->temporary, w->path) != 0) {
    bad = true;
    error = errno;
  }
  if (bad) {
    if (w->temporary) unlink(w->temporary);
    status = nf_fail(NF_FAILED, "%s: cannot be written: %s", w->path, strerror(error ? error : EIO));
  }
  writer_free(w);
  return status;
}

void nf_writer_abandon(nf_writer *w) {
  if (!w) return;
  fclose(w->stream);
  if (w->temporary) unlink(w->temporary);
  writer_free(w);
}

nf_status nf_file_write(const char *path, const void *data, size_t size) {
  nf_writer *w;
  NF_TRY(nf_writer_open(path, &w));
  if (size) (void)!fwrite(data, 1, size, nf_writer_stream(w));  // a short write leaves ferror set for commit
  return nf_writer_commit(w);
}
