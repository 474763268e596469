#include "search/prefilter.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/str.h"

// ---- the query ----

enum { N_AMINO = 20, N_THRESHOLDS = 4096, MAX_POSITIONS = 100000 };
static const char amino[N_AMINO + 1] = "ACDEFGHIKLMNPQRSTVWY";  // the order of HMMER's files

// Scores are whole thirds of a bit, as HMMER's filters have them.
static const double SCALE = 3.0 / 0.69314718055994529;

// The profile is read with five decimals: a score near a half may be rounded the other way. A diagonal would have to
// meet this many such places to be missed.
enum { MARGIN = 3 };

// For sequences of one length.
typedef struct {
  int first;   // least score of a single hit that needs a closer look
  int second;  // least score, of several hits, that HMMER lets through
  int cost;    // of a further hit
} limits;

struct nf_prefilter {
  ssv_kernel kernel;
  ssv_profile profile;
  int entry_cost, end_cost;  // to any position of the profile, and out of it
  double least_bits;         // the score at which P is F1
  limits table[N_THRESHOLDS];
};

static int cost(double nats) { return (int)-roundf((float)(SCALE * nats)); }

static limits limits_of(const nf_prefilter *f, size_t length) {
  double l = (double)length;
  int turn = cost(log(3.0 / (l + 3)));  // between two hits, or from an end of the sequence to a hit
  int further = turn + f->entry_cost + f->end_cost;
  double null = l * log(l / (l + 1)) - log(l + 1);
  int needed = (int)floor(SCALE * (f->least_bits * 0.69314718055994529 + null + 3.0)) + turn + further - MARGIN;
  if (needed > SSV_MAX - 5) needed = SSV_MAX - 5;
  // With a single hit that pays less than a further one costs, several are no better than one.
  int first = further + 1 - MARGIN;
  return (limits){needed < first ? needed : first, needed, further > MARGIN ? further - MARGIN : 0};
}

size_t prefilter_row_bytes(const nf_prefilter *f) {
  return ((size_t)f->profile.n_stripes * (size_t)f->profile.width + 63) / 64 * 64;
}

bool prefilter_passes(const nf_prefilter *f, const char *letters, size_t n, int8_t *row) {
  limits l = n < N_THRESHOLDS ? f->table[n] : limits_of(f, n);
  if (n == 0 || l.first <= 0) return true;
  int score = ssv_score(f->kernel, &f->profile, letters, n, row);
  if (score < l.first) return false;
  return score >= l.second || ssv_score_several(f->kernel, &f->profile, letters, n, l.cost, row) >= l.second;
}

// Reads n numbers (negative logarithms; "*" is infinite) after `skip` words of a line.
static bool read_numbers(const char *line, int skip, int n, double *out) {
  for (int i = 0; i < skip + n; i++) {
    while (*line == ' ' || *line == '\t') line++;
    size_t length = strcspn(line, " \t\r\n");
    if (!length) return false;
    if (i >= skip) {
      char *end;
      out[i - skip] = line[0] == '*' ? INFINITY : strtod(line, &end);
    }
    line += length;
  }
  return true;
}

static const char *next_line(const char *p) {
  p = strchr(p, '\n');
  return p && p[1] ? p + 1 : NULL;
}

// Scores of one position: residues, and the averages of ambiguous letters.
static void score_position(const double *match, const double *background, int n, int k, int8_t *scores) {
  static const struct {
    char letter;
    const char *of;
  } ambiguous[] = {{'B', "ND"}, {'J', "IL"}, {'Z', "QE"}, {'U', "C"}, {'O', "K"}, {'X', amino}};
  double nats[N_AMINO];
  for (int x = 0; x < N_AMINO; x++) {
    nats[x] = background[x] - match[x];
    double s = -cost(nats[x]);
    scores[(amino[x] & 31) * n + k] = (int8_t)(s < -128 ? -128 : s > 127 ? 127 : s);
  }
  for (size_t a = 0; a < sizeof ambiguous / sizeof *ambiguous; a++) {
    double sum = 0, weight = 0;
    for (const char *p = ambiguous[a].of; *p; p++) {
      int x = (int)(strchr(amino, *p) - amino);
      double frequency = exp(-background[x]);
      sum += frequency * nats[x];
      weight += frequency;
    }
    double s = -cost(sum / weight);
    scores[(ambiguous[a].letter & 31) * n + k] = (int8_t)(s < -128 ? -128 : s > 127 ? 127 : s);
  }
}

// A profile of n positions: for each a line of match scores, one of insertions, one of transitions.
static int8_t *read_scores(const char *text, int n) {
  double background[N_AMINO], match[N_AMINO];
  const char *p = strstr(text, "\nHMM ");
  if (!p || !(p = next_line(p + 1)) || !(p = next_line(p))) return NULL;  // the header's two lines
  while (*p == ' ') p++;
  if (strncmp(p, "COMPO", 5) == 0 && !(p = next_line(p))) return NULL;
  if (!read_numbers(p, 0, N_AMINO, background) || !(p = next_line(p))) return NULL;  // insertions are background
  int8_t *scores = nf_alloc(32 * (size_t)n);
  memset(scores, -128, 32 * (size_t)n);
  for (int k = 0; k < n; k++) {
    if (!(p = next_line(p)) || !read_numbers(p, 1, N_AMINO, match) || !(p = next_line(p)) || !(p = next_line(p))) {
      free(scores);
      return NULL;
    }
    score_position(match, background, n, k, scores);
  }
  return scores;
}

nf_prefilter *prefilter_create(const char *text, double f1) {
  ssv_kernel kernel = ssv_best_kernel();
  const char *length = strstr(text, "\nLENG "), *stats = strstr(text, "\nSTATS LOCAL MSV ");
  double mu_lambda[2];
  if (kernel == SSV_PLAIN || !length || !stats || !strstr(text, "\nALPH  amino")) return NULL;
  long n = strtol(length + 6, NULL, 10);
  if (n < 1 || n > MAX_POSITIONS || !read_numbers(stats + 1, 3, 2, mu_lambda) || !(mu_lambda[1] > 0)) return NULL;
  int8_t *scores = read_scores(text, (int)n);
  if (!scores) return NULL;
  nf_prefilter *f = nf_calloc(1, sizeof *f);
  f->kernel = kernel;
  ssv_create(kernel, (int)n, scores, &f->profile);
  free(scores);
  f->entry_cost = cost(log(2.0 / ((double)n * (double)(n + 1))));
  f->end_cost = cost(log(0.5));
  f->least_bits = mu_lambda[0] - log(-log1p(-f1)) / mu_lambda[1];
  for (size_t i = 1; i < N_THRESHOLDS; i++) f->table[i] = limits_of(f, i);
  return f;
}

void prefilter_free(nf_prefilter *f) {
  if (!f) return;
  ssv_free(&f->profile);
  free(f);
}

// ---- a pass over a file ----

enum { CHUNK = 1 << 20, MORE = 1 << 18, MAX_THREADS = 64, MAX_AHEAD = 2 * MAX_THREADS + 2 };

// What a chunk gave: the records that begin in it.
typedef struct {
  bool done;
  nf_str text;
} chunk_result;

typedef struct {
  const nf_prefilter *filter;
  const char *file;
  int fd, out;
  int64_t n_chunks;
  int64_t taken, released;  // chunks begun; chunks whose records are written, in order
  int64_t n_records;        // in released chunks
  chunk_result results[MAX_AHEAD];  // by chunk number
  const _Atomic(int) *n_threads;    // as many may work
  int n_helpers;                    // threads that joined the first one
  pthread_t helpers[MAX_THREADS];
  size_t written, max_bytes;
  bool fits;
  int error;                // errno of what failed; -1: no FASTA
  bool is_output;           // whether it was writing
  pthread_mutex_t lock;
  pthread_cond_t changed;
  const _Atomic(int) *opt_cancel;
  _Atomic(long long) *opt_position;
} scan_state;

// The bytes at hand of one thread.
typedef struct {
  scan_state *scan;
  char *bytes;
  size_t n, capacity;
  int64_t offset;  // of bytes[0] in the file
  char *letters;   // of one sequence, joined
  size_t letters_capacity;
  int8_t *row;
  int error;
} reader;

// Reads up to n further bytes; false at the end of the file, or if that fails.
static bool read_more(reader *r, size_t n) {
  if (r->capacity < r->n + n) {
    r->capacity = r->n + n + r->n / 2;
    r->bytes = nf_realloc(r->bytes, r->capacity, 1);
  }
  size_t before = r->n;
  while (n) {
    ssize_t got = pread(r->scan->fd, r->bytes + r->n, n, (off_t)(r->offset + (int64_t)r->n));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) r->error = errno;
    if (got <= 0) break;
    r->n += (size_t)got;
    n -= (size_t)got;
  }
  return r->n > before;
}

// Where the line that holds position `at` ends (its newline, or the end of the file), reading on if need be.
static size_t line_end(reader *r, size_t at) {
  for (size_t from = at;;) {
    const char *stop = from < r->n ? memchr(r->bytes + from, '\n', r->n - from) : NULL;
    if (stop) return (size_t)(stop - r->bytes);
    from = r->n;
    if (!read_more(r, MORE)) return r->n;
  }
}

static bool at_end(reader *r, size_t at) { return at >= r->n && !read_more(r, MORE); }

static bool all_letters(const char *p, size_t n) {
  unsigned char bad = 0;
  for (size_t i = 0; i < n; i++) bad |= (unsigned char)((p[i] | 0x20) - 'a') > 25;
  return !bad;
}

// Appends a line's letters; a "*" becomes a break. False if there is anything HMMER would complain of.
static bool join_line(reader *r, size_t *n, const char *line, size_t length) {
  if (r->letters_capacity < *n + length) {
    r->letters_capacity = 2 * (*n + length) + 1024;
    r->letters = nf_realloc(r->letters, r->letters_capacity, 1);
  }
  if (all_letters(line, length)) {
    memcpy(r->letters + *n, line, length);
    *n += length;
    return true;
  }
  for (size_t i = 0; i < length; i++) {
    char c = line[i];
    if (c == '*') {
      c = 'Z' + 1;
    } else if (c == ' ' || c == '\t' || c == '\r') {
      continue;
    } else if (!isalpha((unsigned char)c)) {
      return false;
    }
    r->letters[(*n)++] = c;
  }
  return true;
}

// Goes over the record that begins at `at`; returns where the next one begins. Lets it through into `out` if need be.
static size_t filter_record(reader *r, size_t at, bool always, nf_str *out) {
  const nf_prefilter *f = r->scan->filter;
  size_t line = line_end(r, at) + 1, first = line, end, n = 0;
  bool clean = true;
  end = line_end(r, line);
  // A sequence on one line is looked at where it is.
  bool single = (at_end(r, end + 1) || r->bytes[end + 1] == '>') && end > first &&
                all_letters(r->bytes + first, end - first);
  size_t next = end + 1;
  if (!single) {
    for (next = first; !at_end(r, next) && r->bytes[next] != '>'; next = end + 1) {
      end = line_end(r, next);
      clean = join_line(r, &n, r->bytes + next, end - next) && clean;
    }
  }
  const char *letters = single ? r->bytes + first : r->letters;
  if (single) n = end - first;
  if (next > r->n) next = r->n;
  if (always || !clean || prefilter_passes(f, letters, n, r->row)) {
    nf_str_append(out, r->bytes + at, next - at);
    if (out->data[out->length - 1] != '\n') nf_str_putc(out, '\n');
  }
  return next;
}

// Where the first record at or behind the start of a chunk begins; SIZE_MAX if there is none.
static size_t first_record(reader *r, size_t at, bool is_line_start, size_t end) {
  while (at < end) {
    if (is_line_start && r->bytes[at] == '>') return at;
    at = line_end(r, at) + 1;
    is_line_start = true;
    if (at_end(r, at)) break;
  }
  return SIZE_MAX;
}

// Reads a chunk with the byte before it. Returns where its own bytes begin, and through ret_end where they end.
static size_t read_chunk(reader *r, int64_t chunk, size_t *ret_end) {
  int64_t from = chunk * CHUNK;
  size_t before = from > 0;
  r->offset = from - (int64_t)before;
  r->n = 0;
  read_more(r, CHUNK + before);
  *ret_end = r->n;
  return before;
}

static int64_t filter_chunk(reader *r, int64_t chunk, nf_str *out) {
  size_t end, from = read_chunk(r, chunk, &end);
  int64_t n = 0;
  bool is_line_start = from == 0 || r->bytes[0] == '\n';
  size_t at = first_record(r, from, is_line_start, end);
  // Anything before the first record of the file is for HMMER to complain of.
  if (chunk == 0) {
    for (size_t i = 0; i < (at < end ? at : end); i++) {
      if (!isspace((unsigned char)r->bytes[i])) r->error = -1;
    }
  }
  while (at < end && !r->error) {
    at = filter_record(r, at, chunk == 0 && n == 0, out);
    n++;
  }
  return n;
}

// Under the lock: writes what is next in order.
static void release(scan_state *s) {
  for (chunk_result *c; s->released < s->taken && (c = &s->results[s->released % MAX_AHEAD])->done; s->released++) {
    if (s->written + c->text.length > s->max_bytes) s->fits = false;
    for (size_t done = 0; s->fits && !s->error && done < c->text.length;) {
      ssize_t n = write(s->out, c->text.data + done, c->text.length - done);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) {
        s->error = n < 0 ? errno : EIO;
        s->is_output = true;
      } else {
        done += (size_t)n;
      }
    }
    s->written += c->text.length;
    nf_str_free(&c->text);
    *c = (chunk_result){0};
  }
  if (s->opt_position) atomic_store(s->opt_position, (long long)s->released * CHUNK);
}

static void *work(void *context);

// Under the lock: another thread joins in if there is one to be had.
static void grow(scan_state *s) {
  if (s->n_helpers + 1 >= MAX_THREADS || s->n_helpers + 1 >= atomic_load(s->n_threads)) return;
  if (s->n_chunks - s->taken < 2) return;  // nothing is left to share
  if (pthread_create(&s->helpers[s->n_helpers], NULL, work, s) == 0) s->n_helpers++;
}

static void *work(void *context) {
  scan_state *s = context;
  reader r = {.scan = s, .row = aligned_alloc(64, prefilter_row_bytes(s->filter))};
  NF_ASSERT(r.row != NULL);
  pthread_mutex_lock(&s->lock);
  while (s->fits && !s->error && s->taken < s->n_chunks && !(s->opt_cancel && atomic_load(s->opt_cancel))) {
    if (s->taken - s->released >= 2 * s->n_helpers + 4) {
      pthread_cond_wait(&s->changed, &s->lock);
      continue;
    }
    int64_t chunk = s->taken++;
    grow(s);
    pthread_mutex_unlock(&s->lock);
    nf_str out = {0};
    int64_t n = filter_chunk(&r, chunk, &out);
    pthread_mutex_lock(&s->lock);
    if (r.error && !s->error) s->error = r.error;
    s->results[chunk % MAX_AHEAD] = (chunk_result){true, out};
    s->n_records += n;
    release(s);
    pthread_cond_broadcast(&s->changed);
  }
  pthread_mutex_unlock(&s->lock);
  free(r.bytes);
  free(r.letters);
  free(r.row);
  return NULL;
}

nf_status prefilter_scan(const nf_prefilter *filter, const char *file, const _Atomic(int) *n_threads, size_t max_bytes,
                         int out, const _Atomic(int) *opt_cancel, _Atomic(long long) *opt_position, bool *ret_fits,
                         int64_t *ret_n) {
  scan_state s = {.filter = filter,
                  .file = file,
                  .fd = open(file, O_RDONLY | O_CLOEXEC),
                  .out = out,
                  .max_bytes = max_bytes,
                  .fits = true,
                  .n_threads = n_threads,
                  .lock = PTHREAD_MUTEX_INITIALIZER,
                  .changed = PTHREAD_COND_INITIALIZER,
                  .opt_cancel = opt_cancel,
                  .opt_position = opt_position};
  struct stat st;
  nf_status status = NF_OK;
  if (s.fd < 0 || fstat(s.fd, &st) != 0) {
    status = nf_fail(NF_INPUT, "%s: cannot be read: %s", file, strerror(errno));
    if (s.fd >= 0) close(s.fd);
    return status;
  }
  posix_fadvise(s.fd, 0, 0, POSIX_FADV_SEQUENTIAL);
  s.n_chunks = ((int64_t)st.st_size + CHUNK - 1) / CHUNK;
  work(&s);
  // A helper may start another one while it works, so that all are known once the last is joined.
  for (int i = 0;; i++) {
    pthread_mutex_lock(&s.lock);
    bool is_last = i == s.n_helpers;
    pthread_mutex_unlock(&s.lock);
    if (is_last) break;
    pthread_join(s.helpers[i], NULL);
  }
  if (s.error < 0) {
    status = nf_fail(NF_INPUT, "%s: is no FASTA file, it begins without a >", file);
  } else if (s.error) {
    status = nf_fail(NF_FAILED, "%s: cannot be %s: %s", file, s.is_output ? "kept in memory" : "read", strerror(s.error));
  } else if (s.fits && s.released < s.n_chunks) {
    status = nf_fail(NF_FAILED, "%s: reading was stopped", file);
  }
  for (int i = 0; i < MAX_AHEAD; i++) nf_str_free(&s.results[i].text);
  close(s.fd);
  *ret_fits = s.fits;
  *ret_n = s.n_records;
  return status;
}
