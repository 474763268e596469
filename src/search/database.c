#include "search/database.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "base/threefry.h"

enum { MAX_SHARDS = 99999 };

typedef struct {
  const char *prefix, *suffix;
  int n;  // -1: "*"
} shard_spec;

// prefix@N or prefix@*, then perhaps a suffix that begins with . or _ and holds no slash.
static bool parse_shards(const char *path, nf_arena *arena, shard_spec *ret) {
  const char *at = strrchr(path, '@');
  if (!at || at == path || strpbrk(path, "?],")) return false;
  const char *p = at + 1;
  long n = -1;
  if (*p == '*') {
    p++;
  } else {
    int digits = 0;
    for (n = 0; *p >= '0' && *p <= '9' && digits < 6; p++, digits++) n = 10 * n + (*p - '0');
    if (digits < 1 || digits > 5) return false;
  }
  if (*p && ((*p != '.' && *p != '_') || strpbrk(p, "*/"))) return false;
  *ret = (shard_spec){nf_arena_strndup(arena, path, (size_t)(at - path)), nf_arena_strdup(arena, p), (int)n};
  return strchr(ret->prefix, '*') == NULL;
}

static const char *shard_path(const shard_spec *s, int i, nf_arena *arena) {
  return nf_arena_printf(arena, "%s-%05d-of-%05d%s", s->prefix, i, s->n, s->suffix);
}

// For "@*": the largest number of shards that a first shard speaks of; 0 if there is none.
static int count_shards(const shard_spec *s, nf_arena *arena) {
  glob_t found;
  int n = 0;
  size_t prefix = strlen(s->prefix), suffix = strlen(s->suffix);
  if (glob(nf_arena_printf(arena, "%s-00000-of-?????%s", s->prefix, s->suffix), 0, NULL, &found) != 0) return 0;
  for (size_t i = 0; i < found.gl_pathc; i++) {
    long long value;
    const char *path = found.gl_pathv[i];
    if (strlen(path) != prefix + suffix + 15) continue;
    const char *number = nf_arena_strndup(arena, path + prefix + 10, 5);
    if (nf_parse_int(number, &value) && value > n) n = (int)value;
  }
  globfree(&found);
  return n;
}

static int64_t file_size(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 && !S_ISDIR(st.st_mode) ? (int64_t)st.st_size : -1;
}

// Fills a database from a path without placeholders; false, with the first path that is missing, if it is not there.
static bool look(const char *path, nf_arena *arena, nf_database *d, const char **ret_missing) {
  shard_spec s = {0};
  *d = (nf_database){.spec = path, .n_files = 1};
  *ret_missing = path;
  if (parse_shards(path, arena, &s)) {
    if (s.n < 0) s.n = count_shards(&s, arena);
    if (s.n == 0) return false;
    d->is_sharded = true;
    d->spec = nf_arena_printf(arena, "%s@%d%s", s.prefix, s.n, s.suffix);
    d->n_files = s.n;
  }
  const char **files = NF_NEW(arena, const char *, d->n_files);
  for (int i = 0; i < d->n_files; i++) {
    files[i] = d->is_sharded ? shard_path(&s, i, arena) : path;
    int64_t size = file_size(files[i]);
    if (size < 0) {
      *ret_missing = files[i];
      return false;
    }
    d->bytes += size;
  }
  d->files = files;
  return true;
}

// `path` with ${DB_DIR} (or $DB_DIR) replaced; NULL if there is none in it.
static const char *in_dir(const char *path, const char *dir, nf_arena *arena) {
  static const char *const names[] = {"${DB_DIR}", "$DB_DIR"};
  for (int i = 0; i < 2; i++) {
    const char *at = strstr(path, names[i]);
    if (at) return nf_arena_printf(arena, "%.*s%s%s", (int)(at - path), path, dir, at + strlen(names[i]));
  }
  return NULL;
}

static const char *list_dirs(int n, const char *const *dirs, nf_arena *arena) {
  const char *text = "";
  for (int i = 0; i < n; i++) text = nf_arena_printf(arena, "%s%s%s", text, i ? ", " : "", dirs[i]);
  return text;
}

static void read_record(nf_database *d, nf_arena *arena) {
  if (!d->is_sharded) return;
  json_t *root = json_load_file(nf_arena_printf(arena, "%s.json", d->spec), 0, NULL);
  json_t *sequences = json_object_get(root, "sequences"), *residues = json_object_get(root, "residues");
  if (json_is_integer(sequences) && json_is_integer(residues)) {
    d->n_sequences = json_integer_value(sequences);
    d->n_residues = json_integer_value(residues);
    d->has_record = d->n_sequences > 0 && d->n_residues >= 0;
  }
  json_decref(root);
}

nf_status database_find(const char *flag, const char *path, int n_db_dirs, const char *const *db_dirs, nf_arena *arena,
                        nf_database *ret) {
  const char *missing = path;
  if (!in_dir(path, "", arena)) {
    if (!look(path, arena, ret, &missing)) return nf_fail(NF_INPUT, "--%s: %s does not exist", flag, missing);
    read_record(ret, arena);
    return NF_OK;
  }
  for (int i = 0; i < n_db_dirs; i++) {
    if (look(in_dir(path, db_dirs[i], arena), arena, ret, &missing)) {
      read_record(ret, arena);
      return NF_OK;
    }
  }
  return nf_fail(NF_INPUT, "--%s: %s is in none of the directories of --db_dir: %s", flag, path,
                 list_dirs(n_db_dirs, db_dirs, arena));
}

nf_status database_find_path(const char *flag, const char *path, int n_db_dirs, const char *const *db_dirs,
                             nf_arena *arena, const char **ret_path) {
  struct stat st;
  if (!in_dir(path, "", arena)) {
    *ret_path = path;
    return stat(path, &st) == 0 ? NF_OK : nf_fail(NF_INPUT, "--%s: %s does not exist", flag, path);
  }
  for (int i = 0; i < n_db_dirs; i++) {
    *ret_path = in_dir(path, db_dirs[i], arena);
    if (stat(*ret_path, &st) == 0) return NF_OK;
  }
  return nf_fail(NF_INPUT, "--%s: %s is in none of the directories of --db_dir: %s", flag, path,
                 list_dirs(n_db_dirs, db_dirs, arena));
}

// ---- counting and splitting ----

// Tells records of a FASTA stream apart and counts letters. Calls `record` with each piece of text; `starts` where a new
// record begins.
typedef struct {
  bool in_header, at_line_start, has_record;
  int64_t n_sequences, n_residues;
} fasta_counter;

// Goes over bytes up to the start of the next record (or all); returns how many. *ret_starts: a record starts there.
static size_t next_record(fasta_counter *c, const char *bytes, size_t n, bool *ret_starts) {
  *ret_starts = false;
  for (size_t i = 0; i < n; i++) {
    char b = bytes[i];
    if (c->at_line_start && b == '>') {
      *ret_starts = true;
      c->at_line_start = false;
      c->in_header = true;
      c->n_sequences++;
      return i;
    }
    c->at_line_start = b == '\n';
    if (b == '\n') {
      c->in_header = false;
    } else if (!c->in_header && b != ' ' && b != '\t' && b != '\r') {
      c->n_residues++;
    }
  }
  return n;
}

enum { READ_CHUNK = 1 << 20 };

static nf_status open_fasta(const char *path, int *ret_fd) {
  struct stat st;
  *ret_fd = open(path, O_RDONLY | O_CLOEXEC);
  if (*ret_fd < 0) return nf_fail(NF_INPUT, "%s: cannot be read: %s", path, strerror(errno));
  if (fstat(*ret_fd, &st) == 0 && S_ISDIR(st.st_mode)) {
    close(*ret_fd);
    return nf_fail(NF_INPUT, "%s: is a directory, a FASTA file was expected", path);
  }
  posix_fadvise(*ret_fd, 0, 0, POSIX_FADV_SEQUENTIAL);
  return NF_OK;
}

static ssize_t read_some(int fd, char *buffer) {
  ssize_t n;
  do {
    n = read(fd, buffer, READ_CHUNK);
  } while (n < 0 && errno == EINTR);
  return n;
}

nf_status database_count(const nf_database *d, int64_t *ret_sequences, int64_t *ret_residues) {
  char *buffer = nf_alloc(READ_CHUNK);
  nf_status status = NF_OK;
  *ret_sequences = *ret_residues = 0;
  for (int i = 0; i < d->n_files && status == NF_OK; i++) {
    int fd;
    fasta_counter c = {.at_line_start = true};
    NF_TRY_GOTO(done, open_fasta(d->files[i], &fd));
    ssize_t n;
    while ((n = read_some(fd, buffer)) > 0) {
      bool starts;
      for (size_t done = 0; done < (size_t)n;) {
        done += next_record(&c, buffer + done, (size_t)n - done, &starts);
        if (starts) done++;
      }
    }
    if (n < 0) status = nf_fail(NF_INPUT, "%s: cannot be read: %s", d->files[i], strerror(errno));
    close(fd);
    *ret_sequences += c.n_sequences;
    *ret_residues += c.n_residues;
  }
done:
  free(buffer);
  return status;
}

// Shards are appended to through buffers, so that any number of them needs no more than a few open files.
typedef struct {
  const char *path, *temporary;
  bool made;
  char *buffer;
  size_t n;
} shard;

// nhmmer takes a file's alphabet from the first 4000 letters of its first sequence, and refuses the file if they are few,
// lack one of the four bases, or are of other letters. Whether it would take this record, which ends before `end`.
static bool shows_bases(const char *record, const char *end) {
  enum { GUESSED = 4000, FEW = 10 };
  const char *p = memchr(record, '\n', (size_t)(end - record));
  int n = 0;
  bool a = false, c = false, g = false, t = false;
  for (; p && p < end && n < GUESSED; p++) {
    if (strchr(" \t\r\n", *p)) continue;
    char letter = (char)(*p & ~0x20);
    if (!letter || !strchr("ACGTU", letter)) return false;
    a = a || letter == 'A';
    c = c || letter == 'C';
    g = g || letter == 'G';
    t = t || letter == 'T' || letter == 'U';
    n++;
  }
  return n > FEW && a && c && g && t;
}

// The record's end: the next one's start, or `end`.
static char *record_end(char *record, char *end) {
  for (char *p = record; (p = memchr(p, '\n', (size_t)(end - p))) && ++p < end;) {
    if (*p == '>') return p;
  }
  return end;
}

// Puts a record first by which nhmmer knows the alphabet, if there is one among those of the buffer and the first is none.
static void lead_with_bases(shard *s) {
  char *end = s->buffer + s->n;
  for (char *record = s->buffer, *next; record < end; record = next) {
    next = record_end(record, end);
    if (!shows_bases(record, next)) continue;
    // The last one may go on beyond the buffer, or lack its newline.
    if (record == s->buffer || next == end) return;
    size_t before = (size_t)(record - s->buffer), length = (size_t)(next - record);
    char *copy = nf_alloc(length);
    memcpy(copy, record, length);
    memmove(s->buffer + length, s->buffer, before);
    memcpy(s->buffer, copy, length);
    free(copy);
    return;
  }
}

static nf_status flush_shard(shard *s) {
  if (!s->made) lead_with_bases(s);
  int fd = open(s->temporary, O_WRONLY | O_CREAT | O_CLOEXEC | (s->made ? O_APPEND : O_TRUNC), 0666);
  s->made = s->made || fd >= 0;
  bool bad = fd < 0;
  for (size_t done = 0; !bad && done < s->n;) {
    ssize_t n = write(fd, s->buffer + done, s->n - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) bad = true;
    if (n > 0) done += (size_t)n;
  }
  int error = errno;
  if (fd >= 0 && close(fd) != 0 && !bad) {
    bad = true;
    error = errno;
  }
  s->n = 0;
  return bad ? nf_fail(NF_FAILED, "%s: cannot be written: %s", s->path, strerror(error)) : NF_OK;
}

static nf_status add_to_shard(shard *s, size_t capacity, const char *bytes, size_t n) {
  while (n) {
    size_t part = capacity - s->n < n ? capacity - s->n : n;
    memcpy(s->buffer + s->n, bytes, part);
    s->n += part;
    bytes += part;
    n -= part;
    if (s->n == capacity) NF_TRY(flush_shard(s));
  }
  return NF_OK;
}

static nf_status split(const char *fasta, int fd, shard *shards, int n_shards, size_t capacity, nf_key key,
                       fasta_counter *c) {
  char *buffer = nf_alloc(READ_CHUNK);
  nf_status status = NF_OK;
  shard *to = NULL;
  char last = '\n';
  ssize_t n;
  while ((n = read_some(fd, buffer)) > 0) {
    for (size_t done = 0; done < (size_t)n;) {
      bool starts;
      size_t piece = next_record(c, buffer + done, (size_t)n - done, &starts);
      if (!to && piece) {
        for (size_t i = 0; i < piece; i++) {
          if (!strchr(" \t\r\n", buffer[done + i])) {
            status = nf_fail(NF_INPUT, "%s: is no FASTA file, it begins without a >", fasta);
            goto done;
          }
        }
      } else if (piece) {
        NF_TRY_GOTO(done, add_to_shard(to, capacity, buffer + done, piece));
        last = buffer[done + piece - 1];
      }
      done += piece;
      if (!starts) continue;
      if (to && last != '\n') NF_TRY_GOTO(done, add_to_shard(to, capacity, "\n", 1));
      uint64_t draw = nf_random_bits(key, (uint64_t)c->n_sequences);
      to = &shards[(draw * (uint64_t)n_shards) >> 32];
      NF_TRY_GOTO(done, add_to_shard(to, capacity, ">", 1));
      last = '>';
      done++;
    }
  }
  if (n < 0) status = nf_fail(NF_INPUT, "%s: cannot be read: %s", fasta, strerror(errno));
  if (status == NF_OK && to && last != '\n') status = add_to_shard(to, capacity, "\n", 1);
  if (status == NF_OK && !to) status = nf_fail(NF_INPUT, "%s: holds no sequences", fasta);
done:
  free(buffer);
  return status;
}

nf_status database_shard(const char *fasta, const char *prefix, int n_shards, uint64_t seed, nf_arena *arena,
                         const char **ret_spec, int64_t *ret_sequences, int64_t *ret_residues) {
  if (n_shards < 1 || n_shards > MAX_SHARDS) {
    return nf_fail(NF_INPUT, "--shards: %d is not within 1 to %d", n_shards, MAX_SHARDS);
  }
  int fd;
  NF_TRY(open_fasta(fasta, &fd));
  shard_spec spec = {prefix, "", n_shards};
  shard *shards = NF_NEW(arena, shard, n_shards);
  size_t capacity = ((size_t)64 << 20) / (size_t)n_shards;
  if (capacity < 4096) capacity = 4096;
  fasta_counter c = {.at_line_start = true};
  nf_status status = NF_OK;
  for (int i = 0; i < n_shards; i++) {
    shards[i].path = shard_path(&spec, i, arena);
    shards[i].temporary = nf_arena_printf(arena, "%s.tmp.%ld", shards[i].path, (long)getpid());
    shards[i].buffer = nf_alloc(capacity);
  }
  NF_TRY_GOTO(done, split(fasta, fd, shards, n_shards, capacity, nf_key_from_seed(seed), &c));
  for (int i = 0; i < n_shards; i++) NF_TRY_GOTO(done, flush_shard(&shards[i]));  // an empty shard is a file too
  for (int i = 0; i < n_shards; i++) {
    if (rename(shards[i].temporary, shards[i].path) != 0) {
      status = nf_fail(NF_FAILED, "%s: cannot be written: %s", shards[i].path, strerror(errno));
      goto done;
    }
    shards[i].made = false;
  }
  *ret_spec = nf_arena_printf(arena, "%s@%d", prefix, n_shards);
  *ret_sequences = c.n_sequences;
  *ret_residues = c.n_residues;
  const char *record = nf_arena_printf(arena, "{\"sequences\": %" PRId64 ", \"residues\": %" PRId64 "}\n", c.n_sequences,
                                       c.n_residues);
  status = nf_file_write(nf_arena_printf(arena, "%s.json", *ret_spec), record, strlen(record));
done:
  close(fd);
  for (int i = 0; i < n_shards; i++) {
    if (shards[i].made) unlink(shards[i].temporary);
    free(shards[i].buffer);
  }
  return status;
}
