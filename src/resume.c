// The directory's own records, and the states kept in it.
#include "resume.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/checksum.h"
#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "model/checkpoint.h"

#define FOLDER ".nativefold"
// States within a stage: this far apart, and so far that writing takes no more than a twentieth of the time.
static const double seconds_between = 300, share_between = 20;

// ---- Sums

uint64_t resume_weights_sum(const nf_weights *weights) {
  uint64_t sum = 0;
  for (int i = 0; i < weights_count(weights); i++) {
    const weights_record *r = weights_at(weights, i);
    sum = nf_checksum_join(sum, nf_checksum(r->name, strlen(r->name)));
    sum = nf_checksum_join(sum, nf_checksum(r->shape, (size_t)r->n_dims * sizeof *r->shape));
    if (r->values) sum = nf_checksum_join(sum, nf_checksum(r->values, (size_t)r->count * sizeof(float)));
  }
  const float *weight, *bias;
  int n;
  if (weights_fourier(weights, &weight, &bias, &n)) {
    sum = nf_checksum_join(sum, nf_checksum(weight, (size_t)n * sizeof(float)));
    sum = nf_checksum_join(sum, nf_checksum(bias, (size_t)n * sizeof(float)));
  }
  return sum;
}

uint64_t resume_features_sum(const nf_batch *batch) {
  nf_array arrays[NF_BATCH_COUNT];
  int n = batch_arrays(batch, arrays);
  uint64_t sum = 0;
  for (int i = 0; i < n; i++) {
    sum = nf_checksum_join(sum, nf_checksum(arrays[i].data, (size_t)nf_array_count(&arrays[i]) * nf_dtype_size(arrays[i].dtype)));
  }
  return sum ? sum : 1;  // 0 means not known
}

nf_status resume_file_sum(const char *path, uint64_t *ret_sum) {
  const void *data;
  size_t size;
  NF_TRY(nf_file_map(path, &data, &size));
  *ret_sum = nf_checksum(data, size);
  nf_file_unmap(data, size);
  return NF_OK;
}

nf_status resume_job_sum(const nf_job *job, const char *dir, uint64_t *ret_sum) {
  nf_str path = {0};
  nf_str_printf(&path, "%s/.nativefold_job.tmp.%ld", dir, (long)getpid());
  nf_status status = job_write(job, path.data);
  if (status == NF_OK) status = resume_file_sum(path.data, ret_sum);
  unlink(path.data);
  nf_str_free(&path);
  return status;
}

// ---- The records: lines of a word and a value

enum { VALUE_SIZE = 128 };
typedef struct {
  char version[VALUE_SIZE], device[VALUE_SIZE], weights[VALUE_SIZE], job[VALUE_SIZE], options[VALUE_SIZE],
      complete[VALUE_SIZE], search[VALUE_SIZE], data[VALUE_SIZE];
} record;

static char *field(record *r, const char *word) {
  static const char *const words[] = {"version", "device", "weights", "job", "options", "complete", "search", "data"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (strcmp(word, words[i]) == 0) return (char *)r + i * VALUE_SIZE;
  return NULL;
}

// False if there is none, or it is not one.
static bool read_record(const char *path, record *ret_record) {
  memset(ret_record, 0, sizeof *ret_record);
  char *text;
  size_t size;
  if (!nf_file_exists(path) || nf_file_read(path, &text, &size) != NF_OK) return false;
  char *rest = text, *line = strsep(&rest, "\n");
  bool is_good = strcmp(line, "nativefold 1") == 0;
  while (is_good && (line = strsep(&rest, "\n"))) {
    char *value = strchr(line, ' ');
    if (!value) continue;
    *value++ = '\0';
    char *to = field(ret_record, line);
    if (to) snprintf(to, VALUE_SIZE, "%s", value);
  }
  free(text);
  return is_good;
}

static nf_status write_run(const char *path, const resume_run *run, bool is_complete) {
  nf_str text = {0};
  nf_str_printf(&text, "nativefold 1\nversion %s\ndevice %s\nweights %016llx\njob %016llx\noptions %016llx\ncomplete %s\n",
                run->version, run->device, (unsigned long long)run->weights, (unsigned long long)run->job,
                (unsigned long long)run->options, is_complete ? "yes" : "no");
  nf_status status = nf_file_write(path, text.data, text.length);
  nf_str_free(&text);
  return status;
}

// What of a recorded run is not as in this one; NULL: nothing.
static const char *difference(const record *has, const resume_run *run) {
  char weights[VALUE_SIZE], job[VALUE_SIZE], options[VALUE_SIZE];
  snprintf(weights, sizeof weights, "%016llx", (unsigned long long)run->weights);
  snprintf(job, sizeof job, "%016llx", (unsigned long long)run->job);
  snprintf(options, sizeof options, "%016llx", (unsigned long long)run->options);
  if (strcmp(has->weights, weights) != 0) return "other weights";
  if (strcmp(has->job, job) != 0) return "another job";
  if (strcmp(has->options, options) != 0) return "other options";
  if (strcmp(has->complete, "yes") == 0) return NULL;  // whoever made it
  if (strcmp(has->version, run->version) != 0) return "another version of the program";
  if (strcmp(has->device, run->device) != 0) return "another device";
  return NULL;
}

// ---- The directory

// Whether DIR holds what a fold writes.
static bool holds_results(const char *dir) {
  DIR *d = opendir(dir);
  bool found = false;
  for (struct dirent *e; d && !found && (e = readdir(d));) {
    found = strncmp(e->d_name, "seed-", 5) == 0 || nf_ends_with(e->d_name, "_ranking_scores.csv") ||
            nf_ends_with(e->d_name, "_model.cif") || nf_ends_with(e->d_name, "_model.cif.zst");
  }
  if (d) closedir(d);
  return found;
}

// "x.tmp.123": what a killed process left of a file that it wrote.
static bool is_left_over(const char *name) {
  const char *tail = NULL;
  for (const char *t = name; (t = strstr(t, ".tmp.")); t++) tail = t;
  if (!tail || !tail[5]) return false;
  for (tail += 5; *tail; tail++)
    if (!isdigit((unsigned char)*tail)) return false;
  return true;
}

// Removes what was left half-written in DIR, and in its folders of samples and of records.
static void sweep(const char *dir, int depth) {
  DIR *d = opendir(dir);
  nf_str path = {0};
  for (struct dirent *e; d && (e = readdir(d));) {
    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
    path.length = 0;
    nf_str_printf(&path, "%s/%s", dir, e->d_name);
    if (is_left_over(e->d_name)) unlink(path.data);
    else if (depth && (strncmp(e->d_name, "seed-", 5) == 0 || strcmp(e->d_name, FOLDER) == 0)) sweep(path.data, 0);
  }
  if (d) closedir(d);
  nf_str_free(&path);
}

struct resume {
  char *dir, *name, *folder, *run_path;
  int lock;  // file descriptor
  resume_run run;
  char version[32], device[96];
  const volatile int *stop;
  uint32_t seed;
  uint64_t features;
  double written, took;  // when the last state was written, and how long that took
  nf_keeper keeper;
};

// Removes the checkpoints: of all, or of one kind.
static void remove_checkpoints(const resume *r, const char *prefix) {
  DIR *d = opendir(r->folder);
  nf_str path = {0};
  for (struct dirent *e; d && (e = readdir(d));) {
    if (strncmp(e->d_name, prefix, strlen(prefix)) != 0) continue;
    path.length = 0;
    nf_str_printf(&path, "%s/%s", r->folder, e->d_name);
    unlink(path.data);
  }
  if (d) closedir(d);
  nf_str_free(&path);
}

static nf_status refuse(const char *dir, const char *what, bool start_again) {
  if (start_again) {
    nf_warn("%s: --resume: the directory is of %s, so everything is made anew", dir, what);
    return NF_OK;
  }
  return nf_fail(NF_INPUT, "%s: --resume: the directory is of %s: choose another --output_dir, or add --force_output_dir to start again",
                 dir, what);
}

nf_status resume_open(const char *dir, const char *name, const resume_run *run, bool start_again,
                      const volatile int *stop, bool *ret_is_complete, resume **ret_resume) {
  *ret_is_complete = false;
  *ret_resume = NULL;
  resume *r = nf_calloc(1, sizeof *r);
  nf_str folder = {0}, path = {0}, lock = {0}, ranking = {0};
  nf_status status;
  nf_str_printf(&folder, "%s/" FOLDER, dir);
  nf_str_printf(&path, "%s/run", folder.data);
  nf_str_printf(&lock, "%s/lock", folder.data);
  nf_str_printf(&ranking, "%s/%s_ranking_scores.csv", dir, name);
  r->lock = -1;
  r->dir = nf_strdup(dir);
  r->name = nf_strdup(name);
  r->folder = nf_strdup(folder.data);
  r->run_path = nf_strdup(path.data);
  snprintf(r->version, sizeof r->version, "%s", run->version);
  snprintf(r->device, sizeof r->device, "%s", run->device);
  r->run = *run;
  r->run.version = r->version;
  r->run.device = r->device;
  r->stop = stop;
  record has;
  bool known = read_record(path.data, &has), forget = !known;
  if (!known && nf_file_exists(path.data)) nf_warn("%s: is damaged, so everything is made anew", path.data);
  else if (!known && holds_results(dir)) NF_TRY_GOTO(fail, refuse(dir, "a run without --resume", start_again));
  const char *other = known ? difference(&has, &r->run) : NULL;
  if (other) {
    NF_TRY_GOTO(fail, refuse(dir, other, start_again));
    forget = true;
  }
  NF_TRY_GOTO(fail, nf_dir_create(folder.data));
  r->lock = open(lock.data, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  // Where the file system knows no locks, none is held.
  if (r->lock >= 0 && flock(r->lock, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    status = nf_fail(NF_INPUT, "%s: --resume: another run is at work in this directory: wait for its end", dir);
    goto fail;
  }
  *ret_is_complete = !forget && strcmp(has.complete, "yes") == 0 && nf_file_exists(ranking.data);
  sweep(dir, 1);  // of a complete job, too: a run that finds it complete writes NAME_data.json, and may be killed at that
  if (!*ret_is_complete) {
    if (forget || strcmp(has.complete, "yes") == 0) {
      remove_checkpoints(r, "seed-");
      NF_TRY_GOTO(fail, write_run(path.data, &r->run, false));
    }
  } else {
    remove_checkpoints(r, "seed-");
  }
  *ret_resume = r;
  r = NULL;
  status = NF_OK;
fail:
  nf_str_free(&folder);
  nf_str_free(&path);
  nf_str_free(&lock);
  nf_str_free(&ranking);
  resume_close(r);
  return status;
}

void resume_close(resume *r) {
  if (!r) return;
  if (r->lock >= 0) close(r->lock);
  free(r->dir);
  free(r->name);
  free(r->folder);
  free(r->run_path);
  free(r);
}

bool resume_says_complete(const char *dir) {
  nf_str path = {0};
  record has;
  nf_str_printf(&path, "%s/" FOLDER "/run", dir);
  bool known = read_record(path.data, &has);
  nf_str_free(&path);
  return known && strcmp(has.complete, "yes") == 0;
}

void resume_complete(resume *r) {
  if (write_run(r->run_path, &r->run, true) != NF_OK) nf_warn("%s", nf_message());
  remove_checkpoints(r, "seed-");
}

// ---- Stages

static checkpoint_identity identity_of(const resume *r, const char *kind, uint32_t seed, int part, uint64_t features) {
  checkpoint_identity id = {.weights = r->run.weights, .job = r->run.job, .options = r->run.options, .features = features,
                            .seed = seed, .part = part};
  snprintf(id.kind, sizeof id.kind, "%s", kind);
  snprintf(id.version, sizeof id.version, "%s", r->version);
  snprintf(id.device, sizeof id.device, "%s", r->device);
  return id;
}

static char *path_of(const resume *r, const char *kind, uint32_t seed, int part) {
  nf_str path = {0};
  nf_str_printf(&path, "%s/seed-%u_%s-%d", r->folder, (unsigned)seed, kind, part);
  return path.data;
}

static const char *stage_of(const stage_state *state) { return state->n_arrays == 3 ? "trunk" : "diffusion"; }

static bool restore(void *context, stage_state *state) {
  resume *r = context;
  const char *kind = stage_of(state);
  char *path = path_of(r, kind, r->seed, state->part);
  checkpoint_identity id = identity_of(r, kind, r->seed, state->part, r->features);
  checkpoint *c = NULL;
  bool is_foreign, is_there = nf_file_exists(path);
  nf_status status = is_there ? checkpoint_open(path, &id, &is_foreign, &c) : NF_INPUT;
  if (status == NF_OK) {
    bool fits = checkpoint_n_arrays(c) == state->n_arrays && checkpoint_numbers(c)[0] >= 0 && checkpoint_numbers(c)[1] >= 0;
    for (int i = 0; fits && i < state->n_arrays; i++) fits = checkpoint_bytes(c, i) == (uint64_t)state->counts[i] * sizeof(float);
    if (!fits) status = nf_fail(NF_INPUT, "%s: the checkpoint is damaged (its arrays are not those of the stage)", path);
    for (int i = 0; status == NF_OK && i < state->n_arrays; i++) status = checkpoint_read(c, i, state->arrays[i]);
  }
  if (status == NF_OK) {
    state->done = checkpoint_numbers(c)[0];
    state->within = checkpoint_numbers(c)[1];
    nf_note("%s: goes on from %s", kind, path);
  } else if (is_there) {
    nf_warn("%s; the %s is made anew", nf_message(), kind);
  }
  checkpoint_close(c);
  free(path);
  return status == NF_OK;
}

static bool wanted(void *context) {
  const resume *r = context;
  return (r->stop && *r->stop) || nf_seconds() - r->written > fmax(seconds_between, share_between * r->took);
}

static bool keep(void *context, const stage_state *state) {
  resume *r = context;
  const char *kind = stage_of(state);
  char *path = path_of(r, kind, r->seed, state->part);
  checkpoint_identity id = identity_of(r, kind, r->seed, state->part, r->features);
  checkpoint_content content = {.numbers = {state->done, state->within}, .n_arrays = state->n_arrays};
  for (int i = 0; i < state->n_arrays; i++) {
    content.arrays[i] = state->arrays[i];
    content.bytes[i] = (uint64_t)state->counts[i] * sizeof(float);
  }
  double start = nf_seconds();
  if (checkpoint_write(path, &id, &content) != NF_OK) nf_warn("%s; the run goes on without this checkpoint", nf_message());
  free(path);
  r->written = nf_seconds();
  r->took = r->written - start;
  return !(r->stop && *r->stop);
}

const nf_keeper *resume_seed(resume *r, uint32_t seed, uint64_t features) {
  r->seed = seed;
  r->features = features;
  r->written = nf_seconds();
  r->keeper = (nf_keeper){r, restore, wanted, keep};
  return &r->keeper;
}

void resume_end_seed(const resume *r, uint32_t seed) {
  static const char *const kinds[] = {"trunk", "diffusion"};
  nf_str prefix = {0};
  for (int i = 0; i < 2; i++) {
    prefix.length = 0;
    nf_str_printf(&prefix, "seed-%u_%s-", (unsigned)seed, kinds[i]);
    remove_checkpoints(r, prefix.data);
  }
  nf_str_free(&prefix);
}

// ---- Samples

enum { SCALARS, POSITIONS, PLDDT, PAE, CHAIN_PAIRS, CHAIN_PLDDT, CHAINS, IDS, N_ARRAYS };
typedef struct {
  int64_t n_tokens, n_chains, n_atoms, has_clash, n_ligand_errors;
  double ptm, iptm, ptm_iptm_average, ranking_score, ranking_confidence, ranking_confidence_pae, fraction_disordered,
      predicted_distance_error;
} scalars;

bool resume_has_samples(const resume *r, uint32_t seed) {
  char *path = path_of(r, "sample", seed, 0);
  bool has = nf_file_exists(path);
  free(path);
  return has;
}

void resume_keep_sample(const resume *r, uint32_t seed, int sample, const nf_scores *s, const nf_layout *layout) {
  scalars k = {.n_tokens = s->n_tokens, .n_chains = s->n_chains, .n_atoms = s->n_atoms, .has_clash = s->has_clash,
               .n_ligand_errors = s->chirality.n_ligand_errors, .ptm = s->ptm, .iptm = s->iptm,
               .ptm_iptm_average = s->ptm_iptm_average, .ranking_score = s->ranking_score,
               .ranking_confidence = s->ranking_confidence, .ranking_confidence_pae = s->ranking_confidence_pae,
               .fraction_disordered = s->fraction_disordered, .predicted_distance_error = s->predicted_distance_error};
  uint64_t n = (uint64_t)s->n_tokens, c = (uint64_t)s->n_chains, atoms = (uint64_t)s->n_atoms;
  layout_chain *chains = nf_calloc(c, sizeof *chains);
  nf_str ids = {0};
  for (uint64_t i = 0; i < c; i++) {
    chains[i] = layout->chains[i];
    chains[i].id = chains[i].sequence = NULL;
    nf_str_append(&ids, layout->chains[i].id, strlen(layout->chains[i].id) + 1);
  }
  checkpoint_content content = {
      .n_arrays = N_ARRAYS,
      .arrays = {&k, s->positions, s->plddt, s->full_pae, s->chain_pair_iptm, s->chain_plddt, chains, ids.data},
      .bytes = {sizeof k, atoms * 12, atoms * 4, n * n * 4, c * c * 8, c * 8, c * sizeof *chains, ids.length}};
  char *path = path_of(r, "sample", seed, sample);
  checkpoint_identity id = identity_of(r, "sample", seed, sample, 0);
  if (checkpoint_write(path, &id, &content) != NF_OK) nf_warn("%s; the run goes on without this checkpoint", nf_message());
  free(path);
  free(chains);
  nf_str_free(&ids);
}

// Whether the sample's own files are there, plain or compressed.
static bool has_files(const resume *r, uint32_t seed, int sample) {
  static const char *const endings[] = {"model.cif", "confidences.json", "summary_confidences.json"};
  bool all = true;
  nf_str path = {0};
  for (int i = 0; all && i < 3; i++) {
    path.length = 0;
    nf_str_printf(&path, "%s/seed-%u_sample-%d/%s_seed-%u_sample-%d_%s", r->dir, (unsigned)seed, sample, r->name,
                  (unsigned)seed, sample, endings[i]);
    all = nf_file_exists(path.data);
    nf_str_puts(&path, ".zst");
    all = all || nf_file_exists(path.data);
  }
  nf_str_free(&path);
  return all;
}

bool resume_find_sample(resume *r, uint32_t seed, int sample, nf_arena *arena, nf_scores *ret_scores, nf_layout *ret_chains) {
  char *path = path_of(r, "sample", seed, sample);
  checkpoint_identity id = identity_of(r, "sample", seed, sample, 0);
  checkpoint *c = NULL;
  bool is_foreign, is_there = nf_file_exists(path) && has_files(r, seed, sample);
  nf_status status = is_there ? checkpoint_open(path, &id, &is_foreign, &c) : NF_INPUT;
  void *arrays[N_ARRAYS];
  uint64_t bytes[N_ARRAYS];
  if (status == NF_OK && checkpoint_n_arrays(c) != N_ARRAYS) status = nf_fail(NF_INPUT, "%s: the checkpoint is damaged", path);
  for (int i = 0; status == NF_OK && i < N_ARRAYS; i++) {
    bytes[i] = checkpoint_bytes(c, i);
    arrays[i] = nf_arena_alloc(arena, bytes[i]);
    status = checkpoint_read(c, i, arrays[i]);
  }
  checkpoint_close(c);
  if (status == NF_OK) {
    const scalars *k = arrays[SCALARS];
    bool fits = bytes[SCALARS] == sizeof *k && k->n_tokens >= 0 && k->n_tokens < 1 << 24 && k->n_atoms >= 0 &&
                k->n_chains > 0 && k->n_chains < 1 << 24 && bytes[POSITIONS] == (uint64_t)k->n_atoms * 12 &&
                bytes[PLDDT] == (uint64_t)k->n_atoms * 4 && bytes[PAE] == (uint64_t)(k->n_tokens * k->n_tokens) * 4 &&
                bytes[CHAIN_PAIRS] == (uint64_t)(k->n_chains * k->n_chains) * 8 &&
                bytes[CHAIN_PLDDT] == (uint64_t)k->n_chains * 8 &&
                bytes[CHAINS] == (uint64_t)k->n_chains * sizeof(layout_chain);
    const char *text = arrays[IDS], *end = text + bytes[IDS];
    layout_chain *chains = arrays[CHAINS];
    for (int64_t i = 0; fits && i < k->n_chains; i++) {
      const char *stop = memchr(text, '\0', (size_t)(end - text));
      fits = stop != NULL;
      chains[i].id = text;
      chains[i].sequence = NULL;
      if (fits) text = stop + 1;
    }
    if (!fits) {
      status = nf_fail(NF_INPUT, "%s: the checkpoint is damaged (its arrays are not those of a sample)", path);
    } else {
      *ret_scores = (nf_scores){.n_tokens = (int)k->n_tokens, .n_chains = (int)k->n_chains, .n_atoms = (int)k->n_atoms,
                                .positions = arrays[POSITIONS], .plddt = arrays[PLDDT], .full_pae = arrays[PAE],
                                .ptm = k->ptm, .iptm = k->iptm, .ptm_iptm_average = k->ptm_iptm_average,
                                .ranking_score = k->ranking_score, .ranking_confidence = k->ranking_confidence,
                                .ranking_confidence_pae = k->ranking_confidence_pae,
                                .fraction_disordered = k->fraction_disordered, .has_clash = k->has_clash != 0,
                                .predicted_distance_error = k->predicted_distance_error,
                                .chain_pair_iptm = arrays[CHAIN_PAIRS], .chain_plddt = arrays[CHAIN_PLDDT]};
      ret_scores->chirality.n_ligand_errors = (int)k->n_ligand_errors;
      *ret_chains = (nf_layout){.n_chains = (int)k->n_chains, .chains = chains};
    }
  }
  if (status != NF_OK && is_there) nf_warn("%s; the sample is made anew", nf_message());
  free(path);
  return status == NF_OK;
}

// ---- The search

static uint64_t search_sum(uint64_t job, const char *key) { return nf_checksum_join(job, nf_checksum(key, strlen(key))); }

nf_status resume_find_search(const nf_job *job, const char *dir, const char *name, const char *key, bool start_again,
                             nf_arena *arena, const char **ret_data) {
  *ret_data = NULL;
  const char *run_path = nf_arena_printf(arena, "%s/" FOLDER "/run", dir),
             *path = nf_arena_printf(arena, "%s/" FOLDER "/search", dir),
             *data = nf_arena_printf(arena, "%s/%s_data.json", dir, name);
  record has;
  if (!nf_file_exists(run_path) && holds_results(dir)) NF_TRY(refuse(dir, "a run without --resume", start_again));
  if (!read_record(path, &has)) return NF_OK;
  uint64_t sum, data_sum;
  NF_TRY(resume_job_sum(job, dir, &sum));
  char wanted_search[VALUE_SIZE], wanted_data[VALUE_SIZE];
  snprintf(wanted_search, sizeof wanted_search, "%016llx", (unsigned long long)search_sum(sum, key));
  if (strcmp(has.search, wanted_search) != 0) return refuse(dir, "another job, or another search", start_again);
  if (!nf_file_exists(data) || resume_file_sum(data, &data_sum) != NF_OK) return NF_OK;
  snprintf(wanted_data, sizeof wanted_data, "%016llx", (unsigned long long)data_sum);
  if (strcmp(has.data, wanted_data) == 0) *ret_data = data;
  else nf_warn("%s: is not as the search left it, so the search is made anew", data);
  return NF_OK;
}

nf_status resume_keep_search(uint64_t job_before, const char *dir, const char *name, const char *key) {
  nf_str text = {0}, path = {0};
  nf_status status;
  uint64_t data_sum;
  nf_str_printf(&path, "%s/%s_data.json", dir, name);
  NF_TRY_GOTO(done, resume_file_sum(path.data, &data_sum));
  path.length = 0;
  nf_str_printf(&path, "%s/" FOLDER, dir);
  NF_TRY_GOTO(done, nf_dir_create(path.data));
  nf_str_puts(&path, "/search");
  nf_str_printf(&text, "nativefold 1\nsearch %016llx\ndata %016llx\n", (unsigned long long)search_sum(job_before, key),
                (unsigned long long)data_sum);
  NF_TRY_GOTO(done, nf_file_write(path.data, text.data, text.length));
done:
  nf_str_free(&text);
  nf_str_free(&path);
  return status;
}
