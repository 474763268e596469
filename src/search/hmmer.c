#include "search/hmmer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"

const char *const hmmer_names[HMMER_N_PROGRAMS] = {"jackhmmer", "nhmmer", "hmmalign", "hmmsearch", "hmmbuild"};

// nhmmer's queries shorter than this pass a wider filter, as RNAcentral advises.
enum { SHORT_RNA = 50 };

// The share of random sequences that pass jackhmmer's first filter.
static const double JACKHMMER_F1 = 5e-4;

enum { MAX_ARGUMENTS = 48 };

typedef struct {
  int n;
  const char *argv[MAX_ARGUMENTS + 1];
} arguments;

static void add(arguments *a, const char *word) {
  NF_ASSERT(a->n < MAX_ARGUMENTS);
  a->argv[a->n++] = word;
  a->argv[a->n] = NULL;
}

static void add_two(arguments *a, const char *flag, const char *value) {
  add(a, flag);
  add(a, value);
}

static const char *number(nf_arena *arena, double value) { return nf_arena_printf(arena, "%.10g", value); }

static nf_status keep(void *context, const char *bytes, size_t n) {
  nf_str_append(context, bytes, n);
  return NF_OK;
}

static const char *install_hint(const char *flag, nf_arena *arena) {
  return nf_arena_printf(arena, "install HMMER (Debian's package hmmer), or say where it is with --%s_binary_path", flag);
}

// ---- versions ----

nf_status hmmer_open(int program, const char *path, nf_arena *arena, hmmer_program *ret) {
  const char *name = hmmer_names[program];
  nf_str banner = {0};
  arguments a = {0};
  *ret = (hmmer_program){.path = path ? path : name};
  add_two(&a, ret->path, "-h");
  process_spec spec = {.label = name,
                       .argv = a.argv,
                       .install_hint = install_hint(name, arena),
                       .n_outputs = 1,
                       .outputs = {{1, keep, &banner}}};
  nf_status status = process_run(&spec, NULL);
  if (status == NF_OK) {
    const char *at = banner.data ? strstr(banner.data, "# HMMER ") : NULL;
    if (at) ret->version = nf_arena_strndup(arena, at + 2, strcspn(at + 2, "\r\n"));
    if (!at) status = nf_fail(NF_FAILED, "%s: %s is not HMMER's", name, ret->path);
    ret->has_seq_limit = program == HMMER_JACKHMMER && at && strstr(at, "--seq_limit ");
  }
  nf_str_free(&banner);
  return status;
}

// ---- tables of hits ----

typedef struct {
  bool with_place;  // nhmmer's
  nf_str line;
  int n, capacity;
  hmmer_score *scores;
} table_reader;

static nf_status read_table_line(table_reader *t) {
  enum { N_WORDS = 13 };
  char *words[N_WORDS], *rest = NULL;
  int n = 0, needed = t->with_place ? 13 : 6;
  if (!t->line.length || t->line.data[0] == '#') return NF_OK;
  for (char *w = strtok_r(t->line.data, " \t\r", &rest); w && n < N_WORDS; w = strtok_r(NULL, " \t\r", &rest)) words[n++] = w;
  if (n < needed) return NF_OK;
  hmmer_score score;
  if (t->with_place) {
    char name[1024];
    int length = snprintf(name, sizeof name, "%s/%s-%s", words[0], words[6], words[7]);
    if (length < 0 || (size_t)length >= sizeof name) return NF_OK;
    score = (hmmer_score){nf_fnv1a(name, (size_t)length), strtod(words[12], NULL), 0};
  } else {
    score = (hmmer_score){nf_fnv1a(words[0], strlen(words[0])), strtod(words[4], NULL), strtod(words[5], NULL)};
  }
  if (t->n == t->capacity) {
    t->capacity = t->capacity ? 2 * t->capacity : 256;
    t->scores = nf_realloc(t->scores, (size_t)t->capacity, sizeof *t->scores);
  }
  t->scores[t->n++] = score;
  return NF_OK;
}

static nf_status table_sink(void *context, const char *bytes, size_t n) {
  table_reader *t = context;
  while (n) {
    const char *stop = memchr(bytes, '\n', n);
    size_t length = stop ? (size_t)(stop - bytes) : n;
    nf_str_append(&t->line, bytes, length);
    if (!stop) break;
    NF_TRY(read_table_line(t));
    t->line.length = 0;
    bytes = stop + 1;
    n -= length + 1;
  }
  return NF_OK;
}

typedef struct {
  hmmer_score score;
  int order;
} ordered_score;

static int by_hash(const void *a, const void *b) {
  const ordered_score *x = a, *y = b;
  if (x->score.hash != y->score.hash) return x->score.hash < y->score.hash ? -1 : 1;
  return x->order - y->order;
}

// Sorts by hash; of one name the last line counts.
static void finish_table(table_reader *t, hmmer_hits *hits) {
  ordered_score *sorted = nf_alloc((size_t)t->n * sizeof *sorted);
  for (int i = 0; i < t->n; i++) sorted[i] = (ordered_score){t->scores[i], i};
  if (t->n) qsort(sorted, (size_t)t->n, sizeof *sorted, by_hash);
  int n = 0;
  for (int i = 0; i < t->n; i++) {
    if (n && t->scores[n - 1].hash == sorted[i].score.hash) n--;
    t->scores[n++] = sorted[i].score;
  }
  free(sorted);
  hits->n_scores = n;
  hits->scores = t->scores;
  nf_str_free(&t->line);
}

const hmmer_score *hmmer_find_score(const hmmer_hits *hits, const char *name, size_t n) {
  uint64_t hash = nf_fnv1a(name, n);
  int low = 0, high = hits->n_scores;
  while (low < high) {
    int middle = low + (high - low) / 2;
    if (hits->scores[middle].hash < hash) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low < hits->n_scores && hits->scores[low].hash == hash ? &hits->scores[low] : NULL;
}

void hmmer_hits_free(hmmer_hits *hits) {
  alignment_free(&hits->alignment);
  free(hits->scores);
  *hits = (hmmer_hits){0};
}

// ---- the searches ----

// ">query" and the sequence in lines of 80.
static nf_str query_fasta(const char *query) {
  nf_str s = {0};
  nf_str_puts(&s, ">query\n");
  for (size_t n = strlen(query), i = 0; i < n; i += 80) {
    nf_str_append(&s, query + i, n - i < 80 ? n - i : 80);
    nf_str_putc(&s, '\n');
  }
  return s;
}

static void add_jackhmmer_settings(arguments *a, const hmmer_search *s, nf_arena *arena) {
  add_two(a, "--F1", number(arena, JACKHMMER_F1));
  add_two(a, "--F2", "5e-05");
  add_two(a, "--F3", "5e-07");
  add_two(a, "-N", "1");
  add_two(a, "-E", number(arena, s->e_value));
  add_two(a, "--incE", number(arena, s->e_value));
  if (s->z) {
    add_two(a, "-Z", s->z);
    add_two(a, "--domZ", s->z);
  }
  if (!isnan(s->dom_e)) add_two(a, "--domE", number(arena, s->dom_e));
}

static void add_nhmmer_settings(arguments *a, const hmmer_search *s, nf_arena *arena) {
  add_two(a, "-E", number(arena, s->e_value));
  if (s->z) add_two(a, "-Z", s->z);
  add(a, "--rna");
  add_two(a, "--F3", strlen(s->query) < SHORT_RNA ? "0.02" : "1e-05");
}

static void add_hmmsearch_settings(arguments *a) {
  static const char *const flags[] = {"--F1", "0.1",    "--F2", "0.1",    "--F3", "0.1",       "-E",
                                      "100",  "--incE", "100",  "--domE", "100",  "--incdomE", "100"};
  for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) add(a, flags[i]);
}

const char *hmmer_settings(int program, const hmmer_search *s, nf_arena *arena) {
  arguments a = {0};
  if (program == HMMER_JACKHMMER) add_jackhmmer_settings(&a, s, arena);
  if (program == HMMER_NHMMER) add_nhmmer_settings(&a, s, arena);
  if (program == HMMER_HMMSEARCH) add_hmmsearch_settings(&a);
  const char *text = hmmer_names[program];
  for (int i = 0; i < a.n; i++) text = nf_arena_printf(arena, "%s %s", text, a.argv[i]);
  return nf_arena_printf(arena, "%s rows %d scores %d", text, s->max_rows, s->wants_scores);
}

// What all three searches have in common: the program, nothing on standard output, the alignment on descriptor 3 with a
// line for each row, and perhaps the table of hits on 4.
static void start_arguments(arguments *a, const hmmer_program *program, const hmmer_search *s, nf_arena *arena) {
  add(a, program->path);
  add_two(a, "-o", "/dev/null");
  add_two(a, "-A", "/dev/fd/3");
  add(a, "--noali");
  add(a, "--notextw");
  add_two(a, "--cpu", nf_arena_printf(arena, "%d", s->n_cpu));
  if (s->wants_scores) add_two(a, "--tblout", "/dev/fd/4");
}

// Runs a search whose query (or profile) is on descriptor 5, of s->file, or of the records in a file of ours.
static nf_status run_search(arguments *a, const char *program_name, const hmmer_search *s, const nf_str *query,
                            stockholm_mode mode, int max_rows, int opt_records, nf_arena *arena,
                            hmmer_hits *hits) {
  stockholm_reader reader;
  table_reader table = {.with_place = mode == STOCKHOLM_RESIDUES};
  stockholm_start(&reader, s->label, mode, max_rows, &hits->alignment);
  reader.opt_hits = s->opt_hits;
  add_two(a, "/dev/fd/5", opt_records ? "/dev/fd/6" : s->file);
  process_spec spec = {.label = s->label,
                       .argv = a->argv,
                       .install_hint = install_hint(program_name, arena),
                       .n_outputs = s->wants_scores ? 2 : 1,
                       .outputs = {{3, stockholm_sink, &reader}, {4, table_sink, &table}},
                       .n_files = opt_records ? 2 : 1,
                       .files = {{5, query->data, query->length, 0}, {6, NULL, 0, opt_records}},
                       .opt_pid = s->opt_pid,
                       .opt_cancel = s->opt_cancel};
  nf_status status = process_run(&spec, &hits->usage);
  finish_table(&table, hits);
  stockholm_free(&reader);
  return status;
}

nf_status hmmer_jackhmmer(const hmmer_program *program, const hmmer_search *s, hmmer_hits *ret) {
  *ret = (hmmer_hits){0};
  nf_arena *arena = nf_arena_create();
  arguments a = {0};
  nf_str query = query_fasta(s->query);
  int records = 0;
  nf_status status;
  start_arguments(&a, program, s, arena);
  add_jackhmmer_settings(&a, s, arena);
  if (program->has_seq_limit) add_two(&a, "--seq_limit", nf_arena_printf(arena, "%d", s->max_rows));
  if (s->opt_prefilter && (records = process_memory_file()) > 0) {
    bool fits;
    int64_t n;
    NF_TRY_GOTO(done, prefilter_scan(s->opt_prefilter, s->file, s->n_filter_cpu, s->max_let_through, records, s->opt_cancel,
                                     s->opt_position, &fits, &n));
    if (fits) {
      add_two(&a, "--tformat", "fasta");
      if (!s->z) add_two(&a, "-Z", nf_arena_printf(arena, "%lld", (long long)n));
    } else {
      close(records);
      records = 0;
    }
  }
  status = run_search(&a, "jackhmmer", s, &query, STOCKHOLM_TO_QUERY, s->max_rows, records > 0 ? records : 0, arena, ret);
done:
  if (records > 0) close(records);
  nf_str_free(&query);
  nf_arena_free(arena);
  return status;
}

// Runs hmmbuild on an alignment given through `feed` or as a file; the profile is appended to `ret_profile`.
static nf_status build_profile(const hmmer_program *hmmbuild, const char *label, const char *const *flags,
                               process_feed feed, void *context, const _Atomic(int) *opt_cancel, nf_str *ret_profile) {
  nf_arena *arena = nf_arena_create();
  arguments a = {0};
  add(&a, hmmbuild->path);
  for (int i = 0; flags[i]; i++) add(&a, flags[i]);
  add_two(&a, "-n", "query");  // an alignment from a pipe has no name
  add_two(&a, "/dev/fd/3", "-");
  process_spec spec = {.label = label,
                       .argv = a.argv,
                       .install_hint = install_hint("hmmbuild", arena),
                       .feed = feed,
                       .feed_context = context,
                       .n_outputs = 1,
                       .outputs = {{3, keep, ret_profile}},
                       .opt_cancel = opt_cancel};
  nf_status status = process_run(&spec, NULL);
  nf_arena_free(arena);
  return status;
}

static nf_status feed_once(void *context, const char **ret_bytes, size_t *ret_n) {
  nf_str **text = context;
  *ret_n = *text ? (*text)->length : 0;
  *ret_bytes = *text ? (*text)->data : NULL;
  *text = NULL;
  return NF_OK;
}

nf_prefilter *hmmer_prefilter(const hmmer_program *hmmbuild, const char *query) {
  // jackhmmer's profile of a single sequence is made in the same way.
  static const char *const flags[] = {"--informat", "afa", "--singlemx", "--amino", NULL};
  nf_str text = {0}, *rest = &text, profile = {0};
  nf_prefilter *filter = NULL;
  nf_str_printf(&text, ">query\n%s\n", query);
  if (build_profile(hmmbuild, "hmmbuild on the query", flags, feed_once, &rest, NULL, &profile) == NF_OK &&
      profile.data) {
    filter = prefilter_create(profile.data, JACKHMMER_F1);
  }
  nf_str_free(&text);
  nf_str_free(&profile);
  return filter;
}

// Aligns what nhmmer found to the profile of the query.
static nf_status align_to_query(const hmmer_program *hmmalign, const hmmer_program *hmmbuild, const hmmer_search *s,
                                const nf_alignment *found, nf_str *ret_text, nf_arena *arena) {
  static const char *const flags[] = {"--informat", "afa", "--rna", NULL};
  nf_str query = {0}, *rest = &query, profile = {0};
  nf_str_printf(&query, ">query\n%s\n", s->query);
  arguments a = {0};
  add(&a, hmmalign->path);
  add_two(&a, "--outformat", "A2M");
  add_two(&a, "/dev/fd/5", "/dev/fd/6");
  nf_status status = build_profile(hmmbuild, "hmmbuild on the query", flags, feed_once, &rest, s->opt_cancel, &profile);
  if (status == NF_OK) {
    process_spec spec = {.label = "hmmalign",
                         .argv = a.argv,
                         .install_hint = install_hint("hmmalign", arena),
                         .n_outputs = 1,
                         .outputs = {{1, keep, ret_text}},
                         .n_files = 2,
                         .files = {{5, profile.data, profile.length, 0}, {6, found->text.data, found->text.length, 0}},
                         .opt_cancel = s->opt_cancel};
    status = process_run(&spec, NULL);
  }
  nf_str_free(&query);
  nf_str_free(&profile);
  return status;
}

nf_status hmmer_nhmmer(const hmmer_program *nhmmer, const hmmer_program *hmmalign, const hmmer_program *hmmbuild,
                       const hmmer_search *s, hmmer_hits *ret) {
  *ret = (hmmer_hits){0};
  nf_arena *arena = nf_arena_create();
  arguments a = {0};
  nf_str query = query_fasta(s->query), text = {0};
  start_arguments(&a, nhmmer, s, arena);
  add_nhmmer_settings(&a, s, arena);
  nf_status status = run_search(&a, "nhmmer", s, &query, STOCKHOLM_RESIDUES, s->max_rows - 1, 0, arena, ret);
  if (status == NF_OK && ret->alignment.n_rows) {
    status = align_to_query(hmmalign, hmmbuild, s, &ret->alignment, &text, arena);
  }
  if (status == NF_OK) {
    alignment_free(&ret->alignment);
    alignment_add(&ret->alignment, "query", 5, s->query, strlen(s->query));
    if (text.length) alignment_parse(text.data, text.length, &ret->alignment);
  }
  nf_str_free(&query);
  nf_str_free(&text);
  nf_arena_free(arena);
  return status;
}

nf_status hmmer_templates(const hmmer_program *hmmbuild, const hmmer_program *hmmsearch, const nf_alignment *alignment,
                          const hmmer_search *s, hmmer_hits *ret) {
  static const char *const flags[] = {"--informat", "stockholm", "--hand", "--amino", NULL};
  *ret = (hmmer_hits){0};
  nf_arena *arena = nf_arena_create();
  arguments a = {0};
  stockholm_writer writer = {0};
  nf_str profile = {0};
  nf_status status;
  NF_TRY_GOTO(done, stockholm_writer_start(&writer, s->label, alignment));
  NF_TRY_GOTO(done, build_profile(hmmbuild, "hmmbuild on the unpaired MSA", flags, stockholm_feed, &writer, s->opt_cancel,
                                  &profile));
  start_arguments(&a, hmmsearch, s, arena);
  add_hmmsearch_settings(&a);
  status = run_search(&a, "hmmsearch", s, &profile, STOCKHOLM_AS_ALIGNED, 0, 0, arena, ret);
done:
  stockholm_writer_free(&writer);
  nf_str_free(&profile);
  nf_arena_free(arena);
  return status;
}
