#include "search/search.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/log.h"
#include "base/map.h"
#include "formats/sha256.h"
#include "input/utf8.h"
#include "search/alignment.h"
#include "search/cache.h"
#include "search/database.h"
#include "search/hmmer.h"
#include "search/merge.h"
#include "search/mmcif_store.h"
#include "search/process.h"
#include "search/templates.h"

// ---- databases ----

typedef struct {
  const char *name, *flag, *z_flag, *path;
  nf_chain_kind kind;
  double e_value;
  int max_rows;  // the depth limit
} database_facts;

// The reference's E-values and depth limits.
static const database_facts facts[SEARCH_N_DATABASES] = {
    [SEARCH_UNIREF90] = {"uniref90", "uniref90_database_path", "uniref90_z_value", "${DB_DIR}/uniref90_2022_05.fa",
                         NF_PROTEIN, 1e-4, 10000},
    [SEARCH_SMALL_BFD] = {"small_bfd", "small_bfd_database_path", "small_bfd_z_value",
                          "${DB_DIR}/bfd-first_non_consensus_sequences.fasta", NF_PROTEIN, 1e-4, 5000},
    [SEARCH_MGNIFY] = {"mgnify", "mgnify_database_path", "mgnify_z_value", "${DB_DIR}/mgy_clusters_2022_05.fa",
                       NF_PROTEIN, 1e-4, 5000},
    [SEARCH_UNIPROT] = {"uniprot", "uniprot_cluster_annot_database_path", "uniprot_cluster_annot_z_value",
                        "${DB_DIR}/uniprot_all_2021_04.fa", NF_PROTEIN, 1e-4, 50000},
    [SEARCH_NTRNA] = {"nt_rna", "ntrna_database_path", "ntrna_z_value",
                      "${DB_DIR}/nt_rna_2023_02_23_clust_seq_id_90_cov_80_rep_seq.fasta", NF_RNA, 1e-3, 10000},
    [SEARCH_RFAM] = {"rfam", "rfam_database_path", "rfam_z_value",
                     "${DB_DIR}/rfam_14_9_clust_seq_id_90_cov_80_rep_seq.fasta", NF_RNA, 1e-3, 10000},
    [SEARCH_RNACENTRAL] = {"rna_central", "rna_central_database_path", "rna_central_z_value",
                           "${DB_DIR}/rnacentral_active_seq_id_90_cov_80_linclust.fasta", NF_RNA, 1e-3, 10000},
    [SEARCH_SEQRES] = {"pdb_seqres", "seqres_database_path", NULL, "${DB_DIR}/pdb_seqres_2022_09_28.fasta", NF_LIGAND, 100,
                       0},
    [SEARCH_PDB] = {"pdb", "pdb_database_path", NULL, "${DB_DIR}/mmcif_files", NF_LIGAND, 0, 0},
};

// The order in which what the databases gave is merged into an unpaired MSA.
static const search_database protein_order[] = {SEARCH_UNIREF90, SEARCH_SMALL_BFD, SEARCH_MGNIFY};
static const search_database rna_order[] = {SEARCH_RFAM, SEARCH_RNACENTRAL, SEARCH_NTRNA};
enum { N_UNPAIRED = 3, N_MSA_DATABASES = SEARCH_SEQRES };

const char *search_database_name(search_database d) { return facts[d].name; }
const char *search_database_flag(search_database d) { return facts[d].flag; }
const char *search_z_flag(search_database d) { return facts[d].z_flag; }
bool search_counts_residues(search_database d) { return facts[d].kind == NF_RNA; }

void search_default_options(search_options *o) {
  *o = (search_options){.jackhmmer_dom_e = NAN, .max_template_date = 20210930, .prefilter = true};
  for (int d = 0; d < SEARCH_N_DATABASES; d++) o->databases[d] = (search_database_option){facts[d].path, NAN};
}

// ---- the handle ----

// A result of this run, for later jobs with the same chain.
typedef struct {
  const char *unpaired, *paired;
  int n_templates;
  const job_template *templates;
} memory;

struct nf_search {
  search_options options;
  nf_arena *arena;
  int n_processors;
  bool has_program[HMMER_N_PROGRAMS], has_database[SEARCH_N_DATABASES];
  hmmer_program programs[HMMER_N_PROGRAMS];
  nf_database databases[SEARCH_N_DATABASES];
  const char *z[SEARCH_N_DATABASES];     // as given to HMMER; NULL: as large as the file
  const char *pdb_path;
  nf_mmcif_store *store;
  nf_map *remembered;  // key -> index
  nf_arena *memory_arena;
  int n_memories, memory_capacity;
  memory *memories;
  size_t memory_bytes;
};

enum { MAX_PROCESSES = 256, MAX_AUTO_CPU = 8 };
static const size_t MAX_MEMORY = (size_t)64 << 20;

nf_status search_open(const search_options *options, nf_search **ret) {
  nf_search *s = nf_calloc(1, sizeof *s);
  s->options = *options;
  s->arena = nf_arena_create();
  s->memory_arena = nf_arena_create();
  s->remembered = nf_map_create();
  s->n_processors = process_processors();
  *ret = s;
  return NF_OK;
}

void search_close(nf_search *s) {
  if (!s) return;
  mmcif_store_close(s->store);
  nf_map_free(s->remembered);
  free(s->memories);
  nf_arena_free(s->memory_arena);
  nf_arena_free(s->arena);
  free(s);
}

// The shortest decimal that is the same number.
static const char *exact_number(double value, nf_arena *arena) {
  for (int digits = 6; digits < 17; digits++) {
    const char *text = nf_arena_printf(arena, "%.*g", digits, value);
    if (strtod(text, NULL) == value) return text;
  }
  return nf_arena_printf(arena, "%.17g", value);
}

static nf_status need_program(nf_search *s, int program) {
  if (s->has_program[program]) return NF_OK;
  const char *const paths[HMMER_N_PROGRAMS] = {s->options.jackhmmer, s->options.nhmmer, s->options.hmmalign,
                                               s->options.hmmsearch, s->options.hmmbuild};
  NF_TRY(hmmer_open(program, paths[program], s->arena, &s->programs[program]));
  s->has_program[program] = true;
  return NF_OK;
}

static nf_status need_database(nf_search *s, search_database d) {
  if (s->has_database[d]) return NF_OK;
  const search_options *o = &s->options;
  const search_database_option *option = &o->databases[d];
  const char *flag = facts[d].flag;
  if (d == SEARCH_PDB) {
    NF_TRY(database_find_path(flag, option->path, o->n_db_dirs, o->db_dirs, s->arena, &s->pdb_path));
    NF_TRY(mmcif_store_open(s->pdb_path, &s->store));
    s->has_database[d] = true;
    return NF_OK;
  }
  nf_database *database = &s->databases[d];
  NF_TRY(database_find(flag, option->path, o->n_db_dirs, o->db_dirs, s->arena, database));
  if (d == SEARCH_SEQRES && database->is_sharded) {
    return nf_fail(NF_INPUT, "--%s: %s: must be one file, not shards", flag, database->spec);
  }
  double z = option->z;
  if (isnan(z) && database->is_sharded) {
    if (!database->has_record) {
      return nf_fail(NF_INPUT, "--%s: %s: is sharded, and its size is not known; give --%s, or make the shards with nativefold db shard",
                     flag, database->spec, facts[d].z_flag);
    }
    z = search_counts_residues(d) ? (double)database->n_residues / 1e6 : (double)database->n_sequences;
  }
  if (!isnan(z)) s->z[d] = exact_number(z, s->arena);
  s->has_database[d] = true;
  return NF_OK;
}

static bool needs_msas(const job_chain *c) {
  if (c->kind == NF_RNA) return !c->unpaired_msa;
  return c->kind == NF_PROTEIN && !c->unpaired_msa && !c->paired_msa;
}

static bool needs_templates(const job_chain *c) { return c->kind == NF_PROTEIN && c->n_templates < 0; }

bool search_is_needed(const nf_job *job) {
  for (int i = 0; i < job->n_chains; i++) {
    if (needs_msas(&job->chains[i]) || needs_templates(&job->chains[i])) return true;
  }
  return false;
}

nf_status search_check(nf_search *s, const nf_job *job) {
  NF_TRY(job_check_filled(job, true));
  for (int i = 0; i < job->n_chains; i++) {
    const job_chain *c = &job->chains[i];
    if (needs_msas(c)) {
      for (int d = 0; d < N_MSA_DATABASES; d++) {
        if (facts[d].kind == c->kind) NF_TRY(need_database(s, d));
      }
      if (c->kind == NF_PROTEIN) NF_TRY(need_program(s, HMMER_JACKHMMER));
      if (c->kind == NF_RNA) {
        NF_TRY(need_program(s, HMMER_NHMMER));
        NF_TRY(need_program(s, HMMER_HMMALIGN));
        NF_TRY(need_program(s, HMMER_HMMBUILD));
      }
    }
    if (needs_templates(c)) {
      NF_TRY(need_database(s, SEARCH_SEQRES));
      NF_TRY(need_database(s, SEARCH_PDB));
      NF_TRY(need_program(s, HMMER_HMMBUILD));
      NF_TRY(need_program(s, HMMER_HMMSEARCH));
    }
  }
  return NF_OK;
}

// ---- what is to be done ----

typedef struct target target;

// One file to search for one target.
typedef struct {
  target *target;
  search_database database;
  int shard;
  int64_t bytes;
  enum { WAITING, RUNNING, ENDED } state;
  _Atomic(int) pid;
  _Atomic(long long) position;  // in the file, where the prefilter reads it
  _Atomic(int) n_hits;          // so far
} task;

// A chain to search for; equal chains are one.
struct target {
  nf_chain_kind kind;
  const char *sequence, *chain_id;
  bool wants_msas, wants_templates;
  const char *given_msa;  // unpaired, where it is there already
  nf_prefilter *prefilter;
  hmmer_hits *hits[N_MSA_DATABASES];  // by shard
  int files_left[N_MSA_DATABASES], unpaired_left;
  double seconds[N_MSA_DATABASES];  // of programs, summed over shards
  nf_alignment found[N_MSA_DATABASES];
  nf_alignment unpaired;
  int n_templates;
  job_template *templates;
  nf_arena *arena;     // of the templates
  nf_status status;    // of the first failure
  char *message;
  const char *key;     // under which the result is remembered
  int remembered;      // index of a memory; -1
};

typedef struct {
  nf_search *search;
  const char *job_name;
  int n_targets;
  target *targets;
  int n_tasks, task_capacity;
  task **tasks;  // in the order they are to be started
  int n_waiting, n_running;
  _Atomic(int) share;  // of the processors, for a search that runs; grows where fewer are left
  _Atomic(int) cancel;
  pthread_mutex_t lock;
  pthread_cond_t changed;
} queue;

static void add_task(queue *q, target *t, search_database d, int shard, const char *file) {
  struct stat st;
  if (q->n_tasks == q->task_capacity) {
    q->task_capacity = q->task_capacity ? 2 * q->task_capacity : 64;
    q->tasks = nf_realloc(q->tasks, (size_t)q->task_capacity, sizeof *q->tasks);
  }
  task *k = nf_calloc(1, sizeof *k);
  k->target = t;
  k->database = d;
  k->shard = shard;
  k->bytes = stat(file, &st) == 0 ? (int64_t)st.st_size : 0;
  q->tasks[q->n_tasks++] = k;
  q->n_waiting++;
}

static void fail_target(target *t, const char *message) {
  if (t->status != NF_OK) return;
  t->status = NF_FAILED;
  t->message = nf_strdup(message);
}

// ---- one search, and the cache ----

static const char *file_identity(const char *path, nf_arena *arena) {
  struct stat st;
  char *real = realpath(path, NULL);
  if (stat(path, &st) != 0) memset(&st, 0, sizeof st);
  const char *text = nf_arena_printf(arena, "%s %lld %lld.%09ld", real ? real : path, (long long)st.st_size,
                                     (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
  free(real);
  return text;
}

// Kept results begin with a line that says how many scores follow it; then come the scores and the rows.
static void keep_hits(const char *dir, const char *key, const hmmer_hits *hits) {
  nf_str s = {0};
  if (!dir) return;
  nf_str_printf(&s, "%d\n", hits->n_scores);
  for (int i = 0; i < hits->n_scores; i++) {
    const hmmer_score *score = &hits->scores[i];
    nf_str_printf(&s, "%016" PRIx64 " %a %a\n", score->hash, score->e_value, score->score);
  }
  nf_str_append(&s, hits->alignment.text.data ? hits->alignment.text.data : "", hits->alignment.text.length);
  cache_write(dir, key, s.data, s.length);
  nf_str_free(&s);
}

static bool find_hits(const char *dir, const char *key, hmmer_hits *hits) {
  nf_str s = {0};
  if (!cache_read(dir, key, &s)) return false;
  char *p = s.data ? s.data : "";
  hits->n_scores = (int)strtol(p, &p, 10);
  hits->scores = nf_calloc((size_t)hits->n_scores, sizeof *hits->scores);
  for (int i = 0; i < hits->n_scores; i++) {
    hits->scores[i].hash = strtoull(p, &p, 16);
    hits->scores[i].e_value = strtod(p, &p);
    hits->scores[i].score = strtod(p, &p);
  }
  if (*p == '\n') p++;
  alignment_parse(p, s.length - (size_t)(p - s.data), &hits->alignment);
  nf_str_free(&s);
  return true;
}

static int explicit_cpu(const search_options *o, search_database d) {
  if (d == SEARCH_SEQRES) return o->hmmsearch_n_cpu;
  return facts[d].kind == NF_RNA ? o->nhmmer_n_cpu : o->jackhmmer_n_cpu;
}

// What the prefilter may let through of a file, in bytes. It is one part in a thousand of strangers, or three, and then
// the query's relatives. Whose relatives are more is left to jackhmmer alone: it needs far more memory for them.
static size_t max_let_through(const nf_search *s, int64_t file_bytes) {
  const int64_t all = (int64_t)64 << 20, most = (int64_t)512 << 20;
  int64_t n = file_bytes / 256 + all / s->n_processors;
  return (size_t)(n < most ? n : most);
}

// Searches one file, or finds that it was searched before.
static nf_status search_file(nf_search *s, task *k, int n_cpu, const _Atomic(int) *n_filter_cpu,
                             const _Atomic(int) *cancel, nf_arena *arena, hmmer_hits *ret) {
  const target *t = k->target;
  search_database d = k->database;
  const nf_database *database = &s->databases[d];
  bool is_rna = facts[d].kind == NF_RNA;
  int program = is_rna ? HMMER_NHMMER : HMMER_JACKHMMER;
  const char *file = database->files[k->shard];
  hmmer_search search = {.label = nf_arena_printf(arena, "%s on %s", hmmer_names[program], file),
                         .file = file,
                         .query = t->sequence,
                         .n_cpu = n_cpu,
                         .n_filter_cpu = n_filter_cpu,
                         .e_value = facts[d].e_value,
                         .z = s->z[d],
                         .dom_e = is_rna ? NAN : s->options.jackhmmer_dom_e,
                         .max_rows = facts[d].max_rows,
                         .wants_scores = database->is_sharded,
                         .opt_prefilter = t->prefilter,
                         .max_let_through = max_let_through(s, k->bytes),
                         .opt_position = &k->position,
                         .opt_hits = &k->n_hits,
                         .opt_pid = &k->pid,
                         .opt_cancel = cancel};
  if (k->bytes == 0) {  // HMMER takes an empty file for a damaged one
    alignment_add(&ret->alignment, "query", 5, t->sequence, strlen(t->sequence));
    return NF_OK;
  }
  const char *key = nf_arena_printf(arena, "%s\n%s seq_limit %d\n%s%s%s\n%s", hmmer_settings(program, &search, arena),
                                    s->programs[program].version, s->programs[program].has_seq_limit,
                                    is_rna ? s->programs[HMMER_HMMALIGN].version : "", is_rna ? "\n" : "",
                                    file_identity(file, arena), t->sequence);
  if (find_hits(s->options.cache_dir, key, ret)) return NF_OK;
  if (is_rna) {
    NF_TRY(hmmer_nhmmer(&s->programs[HMMER_NHMMER], &s->programs[HMMER_HMMALIGN], &s->programs[HMMER_HMMBUILD], &search,
                        ret));
  } else {
    NF_TRY(hmmer_jackhmmer(&s->programs[HMMER_JACKHMMER], &search, ret));
  }
  keep_hits(s->options.cache_dir, key, ret);
  return NF_OK;
}

static void keep_templates(const char *dir, const char *key, const target *t) {
  if (!dir) return;
  json_t *root = json_array();
  for (int i = 0; i < t->n_templates; i++) {
    const job_template *in = &t->templates[i];
    json_t *item = json_object(), *query = json_array(), *index = json_array();
    for (int j = 0; j < in->n_indices; j++) {
      json_array_append_new(query, json_integer(in->query_indices[j]));
      json_array_append_new(index, json_integer(in->template_indices[j]));
    }
    json_object_set_new(item, "label", json_string(in->label));
    json_object_set_new(item, "query", query);
    json_object_set_new(item, "template", index);
    json_object_set_new(item, "mmcif", json_string(in->mmcif));
    json_array_append_new(root, item);
  }
  char *text = json_dumps(root, JSON_COMPACT);
  if (text) cache_write(dir, key, text, strlen(text));
  free(text);
  json_decref(root);
}

static bool find_templates(const char *dir, const char *key, target *t) {
  nf_str s = {0};
  if (!cache_read(dir, key, &s)) return false;
  json_t *root = json_loadb(s.data ? s.data : "", s.length, 0, NULL);
  nf_str_free(&s);
  bool good = json_is_array(root);
  size_t n = json_array_size(root);
  t->templates = NF_NEW(t->arena, job_template, n);
  for (size_t i = 0; good && i < n; i++) {
    json_t *item = json_array_get(root, i), *query = json_object_get(item, "query");
    json_t *index = json_object_get(item, "template");
    const char *label = json_string_value(json_object_get(item, "label"));
    const char *mmcif = json_string_value(json_object_get(item, "mmcif"));
    size_t n_indices = json_array_size(query);
    good = label && mmcif && json_array_size(index) == n_indices && n_indices < INT_MAX;
    if (!good) break;
    int *q = NF_NEW(t->arena, int, n_indices), *x = NF_NEW(t->arena, int, n_indices);
    for (size_t j = 0; j < n_indices; j++) {
      q[j] = (int)json_integer_value(json_array_get(query, j));
      x[j] = (int)json_integer_value(json_array_get(index, j));
    }
    t->templates[i] = (job_template){.mmcif = nf_arena_strdup(t->arena, mmcif),
                                     .label = nf_arena_strdup(t->arena, label),
                                     .n_indices = (int)n_indices,
                                     .query_indices = q,
                                     .template_indices = x};
  }
  json_decref(root);
  t->n_templates = good ? (int)n : 0;
  return good;
}

// Text as it may stand in a job file: a byte that is no UTF-8 (old descriptions are Latin-1 at times) becomes a "?".
static char *clean_text(nf_arena *arena, const char *text, size_t n) {
  char *copy = nf_arena_strndup(arena, text, n);
  for (size_t i = 0; i < n;) {
    uint32_t character;
    int length = (unsigned char)copy[i] < 0x80 ? copy[i] != '\0' : utf8_decode(copy + i, n - i, &character);
    if (length <= 0) {
      copy[i] = '?';
      length = 1;
    }
    i += (size_t)length;
  }
  return copy;
}

static nf_status search_templates(nf_search *s, task *k, int n_cpu, const _Atomic(int) *cancel, nf_arena *arena) {
  target *t = k->target;
  const char *file = s->databases[SEARCH_SEQRES].files[0];
  hmmer_search search = {.label = nf_arena_printf(arena, "hmmsearch on %s", file),
                         .file = file,
                         .query = t->sequence,
                         .n_cpu = n_cpu,
                         .dom_e = NAN,
                         .opt_pid = &k->pid,
                         .opt_cancel = cancel};
  char hex[65];
  sha256_hex(t->unpaired.text.data, t->unpaired.text.length, hex);
  const char *key = nf_arena_printf(arena, "templates 1 %s\n%s\n%s\n%s\n%s\n%d\n%s\n%s",
                                    hmmer_settings(HMMER_HMMSEARCH, &search, arena),
                                    s->programs[HMMER_HMMBUILD].version, s->programs[HMMER_HMMSEARCH].version,
                                    file_identity(file, arena), file_identity(s->pdb_path, arena),
                                    s->options.max_template_date, t->sequence, hex);
  if (find_templates(s->options.cache_dir, key, t)) return NF_OK;
  hmmer_hits hits;
  nf_status status = hmmer_templates(&s->programs[HMMER_HMMBUILD], &s->programs[HMMER_HMMSEARCH], &t->unpaired, &search,
                                     &hits);
  if (status == NF_OK) {
    status = templates_select(t->sequence, &hits.alignment, s->store, s->options.max_template_date, t->arena,
                              &t->n_templates, &t->templates);
  }
  for (int i = 0; i < t->n_templates; i++) {
    t->templates[i].mmcif = clean_text(t->arena, t->templates[i].mmcif, strlen(t->templates[i].mmcif));
  }
  if (status == NF_OK) keep_templates(s->options.cache_dir, key, t);
  hmmer_hits_free(&hits);
  return status;
}

// ---- from hits to MSAs ----

// All files of a database are searched: its MSA.
static nf_status finish_database(nf_search *s, target *t, search_database d) {
  const nf_database *database = &s->databases[d];
  hmmer_hits *hits = t->hits[d];
  if (database->is_sharded) {
    hmmer_hits **all = nf_alloc((size_t)database->n_files * sizeof *all);
    for (int i = 0; i < database->n_files; i++) all[i] = &hits[i];
    merge_shards(t->sequence, all, database->n_files, facts[d].kind == NF_RNA, facts[d].max_rows, &t->found[d]);
    free(all);
  } else {
    t->found[d] = hits[0].alignment;
    hits[0].alignment = (nf_alignment){0};
  }
  for (int i = 0; i < database->n_files; i++) hmmer_hits_free(&hits[i]);
  if (!t->found[d].n_rows) alignment_add(&t->found[d], "Original query", 14, t->sequence, strlen(t->sequence));
  return alignment_check_query(&t->found[d], facts[d].name, t->kind, t->sequence);
}

static void finish_unpaired(target *t) {
  const search_database *order = t->kind == NF_RNA ? rna_order : protein_order;
  nf_alignment *parts[N_UNPAIRED];
  for (int i = 0; i < N_UNPAIRED; i++) parts[i] = &t->found[order[i]];
  alignment_merge(parts, N_UNPAIRED, true, &t->unpaired);
  for (int i = 0; i < N_UNPAIRED; i++) alignment_free(parts[i]);
}

// Under the lock: counts a searched file, and starts what waited for it.
static void finish_file(queue *q, task *k, double seconds) {
  target *t = k->target;
  search_database d = k->database;
  t->seconds[d] += seconds;
  if (--t->files_left[d] > 0 || t->status != NF_OK) return;
  if (finish_database(q->search, t, d) != NF_OK) {
    fail_target(t, nf_message());
    return;
  }
  if (!q->search->options.quiet) {
    nf_note("%s: %s, chain %s: %d rows, %.1f s", q->job_name, facts[d].name, t->chain_id, t->found[d].n_rows,
            t->seconds[d]);
  }
  if (d == SEARCH_UNIPROT || --t->unpaired_left > 0) return;
  finish_unpaired(t);
  if (t->wants_templates) add_task(q, t, SEARCH_SEQRES, 0, q->search->databases[SEARCH_SEQRES].files[0]);
}

// ---- the queue ----

// The next task that may start: template searches first, for they come last in their chain; then in order. NULL: none.
static task *next_task(queue *q) {
  const search_options *o = &q->search->options;
  task *found = NULL;
  for (int i = 0; i < q->n_tasks; i++) {
    task *k = q->tasks[i];
    if (k->state != WAITING) continue;
    int limit = facts[k->database].kind == NF_RNA ? o->nhmmer_max_parallel_shards : o->jackhmmer_max_parallel_shards;
    if (k->database == SEARCH_SEQRES) return k;
    if (found) continue;
    int running = 0;
    for (int j = 0; limit && j < q->n_tasks; j++) {
      running += q->tasks[j]->state == RUNNING && q->tasks[j]->database == k->database;
    }
    if (!limit || running < limit) found = k;
  }
  return found;
}

// Under the lock, where a search starts or ends: a fair share of the processors for each that is left.
static void share_out(queue *q) {
  int n = q->search->n_processors, left = q->n_waiting + q->n_running;
  atomic_store(&q->share, left > 1 ? (n + left - 1) / left : n);
}

// Threads for a program that starts now. It keeps them to its end, so that it gets twice its share, for when others end
// before it.
static int threads_now(const queue *q) {
  int n = q->search->n_processors, left = q->n_waiting + q->n_running, most = n < MAX_AUTO_CPU ? n : MAX_AUTO_CPU;
  int twice = (2 * n + left - 1) / left;
  return twice < most ? twice : most;
}

static void *work(void *context) {
  queue *q = context;
  nf_arena *arena = nf_arena_create();
  nf_arena_mark mark = nf_arena_here(arena);
  pthread_mutex_lock(&q->lock);
  for (;;) {
    task *k = next_task(q);
    if (!k) {
      if (!q->n_waiting && !q->n_running) break;
      pthread_cond_wait(&q->changed, &q->lock);
      continue;
    }
    share_out(q);
    _Atomic(int) given = explicit_cpu(&q->search->options, k->database);
    int n_cpu = given > 0 ? given : threads_now(q);
    k->state = RUNNING;
    q->n_waiting--;
    q->n_running++;
    // Without a cache what other searches of a failed chain find would be thrown away.
    bool dropped = k->target->status != NF_OK && !q->search->options.cache_dir;
    pthread_mutex_unlock(&q->lock);

    double start = nf_seconds();
    nf_status status = NF_OK;
    if (!dropped && k->database == SEARCH_SEQRES) {
      status = search_templates(q->search, k, n_cpu, &q->cancel, arena);
    } else if (!dropped) {
      status = search_file(q->search, k, n_cpu, given > 0 ? &given : &q->share, &q->cancel, arena,
                           &k->target->hits[k->database][k->shard]);
    }
    nf_arena_reset(arena, mark);

    pthread_mutex_lock(&q->lock);
    k->state = ENDED;
    q->n_running--;
    share_out(q);
    if (status != NF_OK) {
      fail_target(k->target, nf_message());
    } else if (!dropped && k->database == SEARCH_SEQRES) {
      if (!q->search->options.quiet) {
        nf_note("%s: templates, chain %s: %d, %.1f s", q->job_name, k->target->chain_id, k->target->n_templates,
                nf_seconds() - start);
      }
    } else if (!dropped) {
      finish_file(q, k, nf_seconds() - start);
    }
    pthread_cond_broadcast(&q->changed);
  }
  pthread_mutex_unlock(&q->lock);
  nf_arena_free(arena);
  return NULL;
}

static int largest_first(const void *a, const void *b) {
  const task *x = *(task *const *)a, *y = *(task *const *)b;
  if (x->bytes != y->bytes) return x->bytes > y->bytes ? -1 : 1;
  // Searches of one file stand together, so that it is read from disk once.
  if (x->database != y->database) return x->database < y->database ? -1 : 1;
  if (x->shard != y->shard) return x->shard < y->shard ? -1 : 1;
  return x->target < y->target ? -1 : x->target > y->target;
}

// How far a task has come in its file, in bytes.
static int64_t position_of(const queue *q, task *k) {
  if (k->state != RUNNING) return k->state == ENDED ? k->bytes : 0;
  int64_t at = atomic_load(&k->position);
  if (!k->target->prefilter || k->database == SEARCH_SEQRES) {
    at = process_file_position(atomic_load(&k->pid), q->search->databases[k->database].files[k->shard]);
  }
  return at < 0 ? 0 : at > k->bytes ? k->bytes : at;
}

// Under the lock: of every database that is not done the share read and the hits so far.
static void describe(const queue *q, char *text, size_t size, int64_t *ret_done, int64_t *ret_total) {
  text[0] = '\0';
  int64_t total[SEARCH_N_DATABASES] = {0}, done[SEARCH_N_DATABASES] = {0};
  long long hits[SEARCH_N_DATABASES] = {0};
  bool is_open[SEARCH_N_DATABASES] = {false};
  for (int i = 0; i < q->n_tasks; i++) {
    task *k = q->tasks[i];
    total[k->database] += k->bytes;
    done[k->database] += position_of(q, k);
    hits[k->database] += atomic_load(&k->n_hits);
    is_open[k->database] |= k->state != ENDED;
  }
  size_t n = 0;
  *ret_done = *ret_total = 0;
  for (int d = 0; d < SEARCH_N_DATABASES; d++) {
    *ret_total += total[d];
    *ret_done += done[d];
    if (!is_open[d] || n >= size) continue;
    int percent = total[d] ? (int)(100 * (double)done[d] / (double)total[d]) : 100;
    n += (size_t)snprintf(text + n, size - n, "%s%s %d%%", n ? ", " : "", facts[d].name, percent);
    if (d != SEARCH_SEQRES && n < size) n += (size_t)snprintf(text + n, size - n, " %lld hits", hits[d]);
  }
}

// Shows how the search stands, until all is done.
static void watch(queue *q) {
  nf_progress progress;
  char name[200], detail[256];
  bool shows = !q->search->options.quiet;
  snprintf(name, sizeof name, "%s: search", q->job_name);
  if (shows) nf_progress_start(&progress, name, 1);
  pthread_mutex_lock(&q->lock);
  while (q->n_waiting || q->n_running) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 500000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&q->changed, &q->lock, &until);
    if (!shows) continue;
    int64_t done, total;
    describe(q, detail, sizeof detail, &done, &total);
    progress.detail = *detail ? detail : NULL;
    progress.total = total >> 20;  // MiB
    nf_progress_step(&progress, (done >> 20) - progress.done);
  }
  pthread_mutex_unlock(&q->lock);
  if (shows) nf_progress_end(&progress);
}

static nf_status run_queue(queue *q) {
  nf_search *s = q->search;
  int n_workers = s->n_processors < MAX_PROCESSES ? s->n_processors : MAX_PROCESSES, given = 0;
  for (int i = 0; i < q->n_tasks; i++) {
    int n = explicit_cpu(&s->options, q->tasks[i]->database);
    if (n > given) given = n;
  }
  // Programs with several threads each: fewer of them at once.
  if (given > 1) n_workers = n_workers / given > 1 ? n_workers / given : 1;
  qsort(q->tasks, (size_t)q->n_tasks, sizeof *q->tasks, largest_first);
  pthread_t *threads = nf_alloc((size_t)n_workers * sizeof *threads);
  int started = 0;
  while (started < n_workers && pthread_create(&threads[started], NULL, work, q) == 0) started++;
  if (started) watch(q);
  for (int i = 0; i < started; i++) pthread_join(threads[i], NULL);
  free(threads);
  return started ? NF_OK : nf_fail(NF_FAILED, "search: no thread can be started: %s", strerror(errno));
}

// ---- jobs ----

static const char *target_key(const job_chain *c, nf_arena *arena) {
  char hex[65] = "";
  if (!needs_msas(c)) sha256_hex(c->unpaired_msa, strlen(c->unpaired_msa), hex);
  return nf_arena_printf(arena, "%d %d %d %s %s", c->kind, needs_msas(c), needs_templates(c), hex, c->sequence);
}

static void prepare_target(queue *q, target *t) {
  nf_search *s = q->search;
  if (!t->wants_msas) {
    if (*t->given_msa) alignment_parse(t->given_msa, strlen(t->given_msa), &t->unpaired);
    if (!t->unpaired.n_rows) alignment_add(&t->unpaired, "Original query", 14, t->sequence, strlen(t->sequence));
    add_task(q, t, SEARCH_SEQRES, 0, s->databases[SEARCH_SEQRES].files[0]);
    return;
  }
  t->unpaired_left = N_UNPAIRED;
  // The prefilter needs hmmbuild; without it jackhmmer does all by itself.
  if (t->kind == NF_PROTEIN && s->options.prefilter && need_program(s, HMMER_HMMBUILD) == NF_OK) {
    t->prefilter = hmmer_prefilter(&s->programs[HMMER_HMMBUILD], t->sequence);
  }
  for (int d = 0; d < N_MSA_DATABASES; d++) {
    if (facts[d].kind != t->kind) continue;
    int n = t->files_left[d] = s->databases[d].n_files;
    t->hits[d] = nf_calloc((size_t)n, sizeof *t->hits[d]);
    for (int i = 0; i < n; i++) add_task(q, t, d, i, s->databases[d].files[i]);
  }
}

static void free_target(nf_search *s, target *t) {
  for (int d = 0; d < N_MSA_DATABASES; d++) {
    for (int i = 0; t->hits[d] && i < s->databases[d].n_files; i++) hmmer_hits_free(&t->hits[d][i]);
    free(t->hits[d]);
    alignment_free(&t->found[d]);
  }
  alignment_free(&t->unpaired);
  prefilter_free(t->prefilter);
  nf_arena_free(t->arena);
  free(t->message);
}

static const job_template *copy_templates(nf_arena *arena, int n, const job_template *templates) {
  job_template *copy = NF_NEW(arena, job_template, n);
  for (int i = 0; i < n; i++) {
    const job_template *in = &templates[i];
    size_t bytes = (size_t)in->n_indices * sizeof(int);
    copy[i] = (job_template){.mmcif = nf_arena_strdup(arena, in->mmcif),
                             .label = nf_arena_strdup(arena, in->label),
                             .n_indices = in->n_indices,
                             .query_indices = memcpy(nf_arena_alloc(arena, bytes), in->query_indices, bytes),
                             .template_indices = memcpy(nf_arena_alloc(arena, bytes), in->template_indices, bytes)};
  }
  return copy;
}

static size_t memory_size(const memory *m) {
  size_t n = (m->unpaired ? strlen(m->unpaired) : 0) + (m->paired ? strlen(m->paired) : 0);
  for (int i = 0; i < m->n_templates; i++) n += strlen(m->templates[i].mmcif);
  return n;
}

static memory copy_memory(const memory *m, nf_arena *arena) {
  return (memory){m->unpaired ? nf_arena_strdup(arena, m->unpaired) : NULL,
                  m->paired ? nf_arena_strdup(arena, m->paired) : NULL, m->n_templates,
                  copy_templates(arena, m->n_templates, m->templates)};
}

// The result of a target: in the arena.
static memory collect(nf_search *s, target *t, nf_arena *arena) {
  if (t->remembered >= 0) return copy_memory(&s->memories[t->remembered], arena);
  memory m = {.n_templates = t->n_templates, .templates = copy_templates(arena, t->n_templates, t->templates)};
  if (t->wants_msas) {
    m.unpaired = clean_text(arena, t->unpaired.text.data, t->unpaired.text.length);
    alignment_free(&t->unpaired);
    if (t->kind == NF_PROTEIN) {
      nf_alignment *paired = &t->found[SEARCH_UNIPROT];
      m.paired = clean_text(arena, paired->text.data, paired->text.length);
      alignment_free(paired);
    }
  }
  size_t size = memory_size(&m);
  if (s->memory_bytes + size <= MAX_MEMORY) {
    if (s->n_memories == s->memory_capacity) {
      s->memory_capacity = s->memory_capacity ? 2 * s->memory_capacity : 16;
      s->memories = nf_realloc(s->memories, (size_t)s->memory_capacity, sizeof *s->memories);
    }
    s->memory_bytes += size;
    s->memories[s->n_memories] = copy_memory(&m, s->memory_arena);
    nf_map_set(s->remembered, t->key, s->n_memories++);
  }
  return m;
}

static const char *query_alone(const job_chain *c, nf_arena *arena) {
  return nf_arena_printf(arena, ">Original query\n%s\n", job_chain_letters(c, arena));
}

// A search is made with the sequence as it is given. Where features have other letters (of unknown and modified residues),
// they want these in the first row, and would refuse the alignment.
static const char *with_letters(const char *a3m, const job_chain *c, nf_arena *arena) {
  const char *letters = job_chain_letters(c, arena), *row = strchr(a3m, '\n');
  size_t length = strlen(letters);
  if (!row || strcmp(letters, c->sequence) == 0 || strncmp(row + 1, c->sequence, length) != 0) return a3m;
  return nf_arena_printf(arena, "%.*s\n%s%s", (int)(row - a3m), a3m, letters, row + 1 + length);
}

static void fill_chain(job_chain *c, const memory *m, nf_arena *arena) {
  if (c->kind != NF_PROTEIN && c->kind != NF_RNA) return;
  if (m) {
    bool templates = needs_templates(c);
    if (m->unpaired) c->unpaired_msa = with_letters(m->unpaired, c, arena);
    if (m->paired) c->paired_msa = with_letters(m->paired, c, arena);
    if (templates) {
      c->n_templates = m->n_templates;
      c->templates = m->templates;
    }
  }
  if (!*c->unpaired_msa) c->unpaired_msa = query_alone(c, arena);
  if (c->kind == NF_PROTEIN && !*c->paired_msa) c->paired_msa = query_alone(c, arena);
}

nf_status search_job(nf_search *s, const nf_job *job, nf_arena *arena, nf_job *ret_job) {
  NF_TRY(search_check(s, job));
  nf_status status = NF_OK;
  nf_arena *scratch = nf_arena_create();
  nf_map *by_key = nf_map_create();
  int *target_of = NF_NEW(scratch, int, job->n_chains);
  queue q = {.search = s,
             .job_name = job->name,
             .targets = NF_NEW(scratch, target, job->n_chains),
             .lock = PTHREAD_MUTEX_INITIALIZER,
             .changed = PTHREAD_COND_INITIALIZER};
  for (int i = 0; i < job->n_chains; i++) {
    const job_chain *c = &job->chains[i];
    target_of[i] = -1;
    if (!needs_msas(c) && !needs_templates(c)) continue;
    const char *key = target_key(c, scratch);
    int64_t found;
    if (nf_map_get(by_key, key, &found)) {
      target_of[i] = (int)found;
      continue;
    }
    nf_map_set(by_key, key, q.n_targets);
    target_of[i] = q.n_targets;
    target *t = &q.targets[q.n_targets++];
    *t = (target){.kind = c->kind,
                  .sequence = c->sequence,
                  .chain_id = c->id,
                  .wants_msas = needs_msas(c),
                  .wants_templates = needs_templates(c),
                  .given_msa = c->unpaired_msa,
                  .arena = nf_arena_create(),
                  .key = key,
                  .remembered = nf_map_get(s->remembered, key, &found) ? (int)found : -1};
    if (t->remembered < 0) prepare_target(&q, t);
  }
  if (q.n_tasks) NF_TRY_GOTO(done, run_queue(&q));
  for (int i = 0; i < q.n_targets; i++) {
    if (q.targets[i].status == NF_OK) continue;
    status = nf_fail(q.targets[i].status, "%s: chain %s: %s", job->path, q.targets[i].chain_id, q.targets[i].message);
    goto done;
  }
  memory *memories = NF_NEW(scratch, memory, q.n_targets);
  for (int i = 0; i < q.n_targets; i++) memories[i] = collect(s, &q.targets[i], arena);
  job_chain *chains = nf_arena_alloc(arena, (size_t)job->n_chains * sizeof *chains);
  memcpy(chains, job->chains, (size_t)job->n_chains * sizeof *chains);
  for (int i = 0; i < job->n_chains; i++) fill_chain(&chains[i], target_of[i] < 0 ? NULL : &memories[target_of[i]], arena);
  *ret_job = *job;
  ret_job->chains = chains;
done:
  for (int i = 0; i < q.n_targets; i++) free_target(s, &q.targets[i]);
  for (int i = 0; i < q.n_tasks; i++) free(q.tasks[i]);
  free(q.tasks);
  nf_map_free(by_key);
  nf_arena_free(scratch);
  return status;
}

// ---- nativefold db check ----

static nf_status print_database(search_database d, const search_options *o, bool count, nf_arena *arena, bool *ret_found) {
  const search_database_option *option = &o->databases[d];
  nf_database database;
  *ret_found = database_find(facts[d].flag, option->path, o->n_db_dirs, o->db_dirs, arena, &database) == NF_OK;
  if (!*ret_found) {
    printf("%-12s absent: %s\n", facts[d].name, nf_message());
    return NF_OK;
  }
  printf("%-12s %10.2f MiB  %s", facts[d].name, (double)database.bytes / (1 << 20), database.spec);
  if (facts[d].z_flag) {
    const char *unit = search_counts_residues(d) ? "megabases" : "sequences", *source = NULL;
    double z = option->z;
    int64_t sequences = database.n_sequences, residues = database.n_residues;
    if (!isnan(z)) {
      source = "given";
    } else if (database.has_record) {
      source = "recorded";
    } else if (count) {
      NF_TRY(database_count(&database, &sequences, &residues));
      source = "counted";
    }
    if (isnan(z) && source) z = search_counts_residues(d) ? (double)residues / 1e6 : (double)sequences;
    if (source) {
      printf("  Z %s %s (%s)", exact_number(z, arena), unit, source);
    } else if (database.is_sharded) {
      printf("  Z unknown: give --%s", facts[d].z_flag);
      *ret_found = false;
    } else {
      printf("  Z as HMMER counts");
    }
  }
  printf("\n");
  return NF_OK;
}

nf_status search_print_databases(const search_options *o, bool count) {
  nf_arena *arena = nf_arena_create();
  nf_status status = NF_OK;
  int n_unusable = 0;
  for (int d = 0; d < SEARCH_PDB; d++) {
    bool found;
    NF_TRY_GOTO(done, print_database(d, o, count, arena, &found));
    n_unusable += !found;
    fflush(stdout);
  }
  const char *path;
  if (database_find_path(facts[SEARCH_PDB].flag, o->databases[SEARCH_PDB].path, o->n_db_dirs, o->db_dirs, arena, &path) ==
      NF_OK) {
    printf("%-12s %s\n", facts[SEARCH_PDB].name, path);
  } else {
    printf("%-12s absent: %s\n", facts[SEARCH_PDB].name, nf_message());
    n_unusable++;
  }
  if (n_unusable) status = nf_fail(NF_INPUT, "db check: %d of %d databases cannot be used", n_unusable, SEARCH_N_DATABASES);
done:
  nf_arena_free(arena);
  return status;
}
