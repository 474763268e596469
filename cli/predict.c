// predict, search, fold: job files to directories of results.
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/predict_flags.h"
#include "nativefold.h"
#include "output/output.h"
#include "resume.h"
#include "search/search.h"

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

// The .json files of a directory, sorted.
static nf_status list_jobs(const char *dir, nf_arena *arena, int *ret_n, const char ***ret_paths) {
  DIR *d = opendir(dir);
  if (!d) return nf_fail(NF_INPUT, "--input_dir=%s: is not a directory that can be read", dir);
  int n = 0, capacity = 0;
  const char **paths = NULL;
  for (struct dirent *e; (e = readdir(d));) {
    if (!nf_ends_with(e->d_name, ".json") || e->d_name[0] == '.') continue;
    if (n == capacity) paths = nf_realloc(paths, (size_t)(capacity = capacity ? 2 * capacity : 16), sizeof *paths);
    paths[n++] = nf_arena_printf(arena, "%s/%s", dir, e->d_name);
  }
  closedir(d);
  if (n == 0) return nf_fail(NF_INPUT, "--input_dir=%s: holds no .json files", dir);
  qsort(paths, (size_t)n, sizeof *paths, by_name);
  *ret_paths = memcpy(nf_arena_alloc(arena, (size_t)n * sizeof *paths), paths, (size_t)n * sizeof *paths);
  free(paths);
  *ret_n = n;
  return NF_OK;
}

typedef struct {
  const char *path;
  nativefold_job *job;
  int status;
  const char *message;
} entry;

// With --resume, a signal that ends programs ends a fold once its state is kept; a second one ends it at once. Searches
// have nothing to keep.
static volatile int stop_asked, is_folding;

static void ask_to_stop(int signal_number) {
  if (is_folding) stop_asked = 1;
  else raise(signal_number);  // by default again, and delivered as this function returns
}

static void catch_signals(void) {
  struct sigaction action = {.sa_handler = ask_to_stop, .sa_flags = (int)SA_RESETHAND | SA_RESTART};
  sigemptyset(&action.sa_mask);
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
}

static void fold_options(const predict_options *o, nf_arena *arena, nativefold_options *options) {
  nativefold_default_options(options);
  options->num_recycles = (int)o->num_recycles;
  options->num_diffusion_samples = (int)o->num_diffusion_samples;
  options->diffusion_steps = (int)o->diffusion_steps;
  options->conformer_max_iterations = o->conformer_max_iterations == FLAG_NO_INT ? 0 : (int)o->conformer_max_iterations;
  options->fix_standalone_glycans = o->fix_standalone_glycans;
  options->resolve_msa_overlaps = o->resolve_msa_overlaps;
  options->max_template_date = o->max_template_day;
  options->save_embeddings = o->save_embeddings;
  options->save_distogram = o->save_distogram;
  options->save_terms_of_use = o->save_terms_of_use;
  options->compress_large_output_files = o->compress_large_output_files;
  options->write_pdb = o->write_pdb;
  options->save_pde = o->save_pde;
  options->rank_chirality = o->rank_chirality;
  options->n_buckets = o->buckets.n;
  int *buckets = NF_NEW(arena, int, o->buckets.n);
  for (int i = 0; i < o->buckets.n; i++) buckets[i] = (int)o->buckets.values[i];
  options->buckets = buckets;
  options->gpu_memory_gib = o->gpu_memory_gib > 0 ? o->gpu_memory_gib : 0;
  options->offload = o->offload;
  options->host_memory_gib = o->host_memory_gib > 0 ? o->host_memory_gib : 0;  // NaN: not given
  options->resume = o->resume;
  options->start_again = o->force_output_dir;
  options->stop = &stop_asked;
  options->report_path = o->report;
  options->overlap = o->overlap;
}

// What jobs are checked against. chemistry is NULL where nothing is folded from jobs.
typedef struct {
  const predict_options *o;
  const nativefold_options *options;
  const nativefold_chemistry *chemistry;
  nf_search *search;
} checks;

// Everything that can be said of a job without running it.
static nf_status check_job(const checks *c, nativefold_job *job) {
  const predict_options *o = c->o;
  NF_TRY(nativefold_widen_seeds(job, o->num_seeds == FLAG_NO_INT ? 0 : (int)o->num_seeds));
  NF_TRY(nativefold_check_filled(job, o->run_data_pipeline));
  if (c->chemistry) NF_TRY(nativefold_check_features(job, c->chemistry, c->options));
  return o->run_data_pipeline ? nativefold_check_search(job, c->search) : NF_OK;
}

// Reads the jobs of a file onto the end of *entries. A file that cannot be read becomes one failed entry.
static void read_entries(const checks *c, const char *path, nf_arena *arena, int *n, entry **entries) {
  const predict_options *o = c->o;
  int n_jobs = 1;
  nativefold_job **jobs = NULL, *one = NULL;
  nf_status status = o->features ? nativefold_read_features(o->features, 1, &one) : nativefold_read_jobs(path, &n_jobs, &jobs);
  if (status != NF_OK) n_jobs = 1;
  *entries = nf_realloc(*entries, (size_t)(*n + n_jobs), sizeof **entries);
  for (int i = 0; i < n_jobs; i++) {
    entry *e = &(*entries)[(*n)++];
    *e = (entry){.path = o->features ? o->features : path, .job = jobs ? jobs[i] : one, .status = status};
    if (status == NF_OK && !o->features) e->status = check_job(c, e->job);
    if (e->status != NF_OK) e->message = nf_arena_strdup(arena, nf_message());
  }
  free(jobs);
}

// A job on its way. Before its fold come its directory, its search and NAME_data.json, while the job before it folds:
// on a thread of its own, where there is a search or the host's work goes on beside the network's.
typedef struct {
  const predict_options *o;
  const nativefold_options *options;
  const nativefold_chemistry *chemistry;
  nf_search *search;
  entry *entry;
  nf_arena *arena;  // made by the preparation, freed after the fold
  const char *dir;
  int turn;         // of the log
  bool starts_features, is_ahead;  // the thread runs, or ran
  atomic_bool is_ready;
  pthread_t thread;
  nativefold_folding *folding;
} course;

static nf_status prepare_job(course *c) {
  const predict_options *o = c->o;
  nativefold_job *job = c->entry->job;
  NF_TRY(output_job_dir(o->output_dir, nativefold_job_name(job), o->force_output_dir || o->resume, c->arena, &c->dir));
  nf_note("%s: output goes to %s", nativefold_job_name(job), c->dir);
  if (o->run_data_pipeline && o->resume) {
    return nativefold_resume_search(job, c->search, c->dir, predict_search_key(o, c->arena), o->force_output_dir);
  }
  if (o->run_data_pipeline) NF_TRY(nativefold_search(job, c->search));
  return o->features ? NF_OK : nativefold_write_job(job, c->dir);
}

static void prepare(course *c) {
  c->arena = nf_arena_create();
  c->entry->status = prepare_job(c);
  if (c->entry->status != NF_OK) {
    c->entry->message = nf_arena_strdup(c->arena, nf_message());
  } else if (c->starts_features && !(c->o->resume && resume_says_complete(c->dir))) {
    nativefold_start_features(c->entry->job, c->chemistry, c->options);
  }
  atomic_store(&c->is_ready, true);
}

static void *prepare_ahead(void *context) {
  course *c = context;
  // A search tells how it goes while it goes on; all else waits for its turn.
  if (c->o->run_data_pipeline) (void)!nice(10);  // and the programs it starts: the fold under way comes first
  else nf_log_enter_turn(c->turn);
  prepare(c);
  return NULL;
}

// The first job from i on that has not failed; n if there is none.
static int next_job(const entry *entries, int n, int i) {
  while (i < n && entries[i].status != NF_OK) i++;
  return i;
}

// Waits for the files of a fold, if there is one, and says what became of the job.
static void end_course(course *c, bool is_only, nf_arena *arena) {
  entry *e = c->entry;
  if (c->folding) {
    e->status = nativefold_end_fold(c->folding, NULL);
    if (e->status != NF_OK) e->message = nf_message();
  }
  if (e->status != NF_OK) e->message = nf_arena_strdup(arena, e->message);
  nf_log_enter_turn(c->turn);
  if (e->status != NF_OK && !is_only) nf_warn("%s", e->message);
  nf_log_close_turn(c->turn);
  nf_log_enter_turn(0);
  nf_arena_free(c->arena);
  nativefold_free_job(e->job);  // with the MSAs that were found
  e->job = NULL;
}

// Whatever the search of the next job does.
static _Noreturn void stop(course *c) {
  nf_status status = nativefold_end_fold(c->folding, NULL);
  if (status == NF_OK) status = nf_fail(NF_FAILED, "stopped on request; the same command goes on from where it was");
  _exit(cli_fail(status));
}

static void run_jobs(const predict_options *o, const nativefold_options *options, const nativefold_model *model,
                     const nativefold_chemistry *chemistry, nf_search *search, entry *entries, int n, nf_arena *arena) {
  course *courses = NF_NEW(arena, course, n), *before = NULL;  // before: its last files are being written
  for (int i = next_job(entries, n, 0), j; i < n; i = j) {
    entry *e = &entries[i];
    course *present = &courses[i];
    if (present->is_ahead) {
      // A signal must not wait for a search.
      if (before && !atomic_load(&present->is_ready)) {
        end_course(before, n == 1, arena);
        before = NULL;
        is_folding = 0;
      }
      pthread_join(present->thread, NULL);
      nf_log_enter_turn(present->turn);
    } else {
      *present = (course){.o = o, .options = options, .chemistry = chemistry, .search = search, .entry = e,
                          .turn = nf_log_open_turn()};
      nf_log_enter_turn(present->turn);
      prepare(present);
    }
    j = next_job(entries, n, i + 1);
    bool overlaps = e->status == NF_OK && o->run_inference && j < n &&
                    nativefold_overlaps(model, chemistry, e->job, entries[j].job, options);
    if (o->run_inference && j < n && (o->run_data_pipeline || overlaps)) {
      course *next = &courses[j];
      *next = (course){.o = o, .options = options, .chemistry = chemistry, .search = search, .entry = &entries[j],
                       .turn = nf_log_open_turn(), .starts_features = overlaps};
      next->is_ahead = pthread_create(&next->thread, NULL, prepare_ahead, next) == 0;
      if (!next->is_ahead) nf_log_close_turn(next->turn);
    }
    if (e->status == NF_OK && o->run_inference) {
      is_folding = 1;
      present->folding = nativefold_begin_fold(model, chemistry, e->job, options, present->dir);
    }
    if (before) end_course(before, n == 1, arena);
    before = NULL;
    if (present->folding && stop_asked) stop(present);
    if (present->folding && overlaps) {
      before = present;
    } else {
      end_course(present, n == 1, arena);
      is_folding = 0;
    }
  }
  if (before) end_course(before, n == 1, arena);
  is_folding = 0;
  nf_log_enter_turn(0);
}

// A small job's features take about as long as the weights to open, and need not wait for them; a large one's would be
// made for nothing where it is refused for its memory.
static void start_first(const predict_options *o, const nativefold_options *options, const nativefold_chemistry *chemistry,
                        entry *entries, int n) {
  enum { MOST_RESIDUES = 600 };
  int first = next_job(entries, n, 0);
  bool may = o->run_inference && !o->run_data_pipeline && !o->features && !o->resume && o->device != DEVICE_CPU &&
             o->overlap != NATIVEFOLD_OVERLAP_NEVER && !(o->host_memory_gib > 0);
  if (!may || first == n || nativefold_n_residues(entries[first].job) > MOST_RESIDUES) return;
  nativefold_start_features(entries[first].job, chemistry, options);
}

static nf_status run(const predict_options *o, nf_arena *arena) {
  static const char *const device_names[] = {"auto", "cuda", "cpu"};
  int n_paths = 1, n = 0;
  const char **paths = NF_NEW(arena, const char *, 1);
  paths[0] = o->json_path;
  if (o->input_dir) NF_TRY(list_jobs(o->input_dir, arena, &n_paths, &paths));
  entry *entries = NULL;
  nf_status status = NF_OK;
  nativefold_model *model = NULL;
  nativefold_chemistry *chemistry = NULL;
  nf_search *search = NULL;
  search_options searching;
  predict_search_options(o, &searching);
  if (o->resume && !searching.cache_dir) {
    searching.cache_dir = nf_arena_printf(arena, "%s/.msa_cache", *o->output_dir ? o->output_dir : ".");
  }
  nativefold_options options;
  fold_options(o, arena, &options);
  if (o->run_data_pipeline) NF_TRY(search_open(&searching, &search));
  // All jobs are checked before the first one runs; the run goes on past those that fail.
  if (o->run_inference && !o->features) NF_TRY_GOTO(done, nativefold_open_chemistry(NULL, &chemistry));
  const checks checks = {.o = o, .options = &options, .chemistry = chemistry, .search = search};
  for (int i = 0; i < n_paths; i++) read_entries(&checks, paths[i], arena, &n, &entries);
  for (int i = 0; i < n; i++) {
    if (entries[i].status == NF_OK) continue;
    if (n == 1) {
      status = nf_fail(entries[i].status, "%s", entries[i].message);
      goto done;
    }
    nf_warn("%s", entries[i].message);
  }
  NF_TRY_GOTO(done, nf_dir_create(o->output_dir));
  start_first(o, &options, chemistry, entries, n);
  if (o->run_inference) {
    double start = nf_seconds();
    nativefold_choose_gpu((int)o->gpu_device, o->gpu_memory_gib);
    NF_TRY_GOTO(done, nativefold_open_model(o->model_dir, device_names[o->device], &model));
    nf_note("model %s, opened in %.2f s", nativefold_model_name(model), nf_seconds() - start);
    if (*nativefold_model_notice(model)) nf_note("%s", nativefold_model_notice(model));
  }
  // What cannot fit is refused before it is searched for.
  for (int i = 0; i < n && model; i++) {
    if (entries[i].status != NF_OK) continue;
    entries[i].status = nativefold_check_memory(model, chemistry, entries[i].job, &options);
    if (entries[i].status == NF_OK) continue;
    entries[i].message = nf_arena_strdup(arena, nf_message());
    if (n > 1) nf_warn("%s", entries[i].message);
  }
  if (o->report) NF_TRY_GOTO(done, nf_file_write(o->report, "", 0));
  if (o->resume && o->run_inference) catch_signals();
  run_jobs(o, &options, model, chemistry, search, entries, n, arena);
  if (n == 1) {
    status = entries[0].status == NF_OK ? NF_OK : nf_fail(entries[0].status, "%s", entries[0].message);
    goto done;
  }
  int failed = 0;
  for (int i = 0; i < n; i++) {
    nf_note("%-6s %s%s%s", entries[i].status == NF_OK ? "done" : "FAILED", entries[i].path,
            entries[i].status == NF_OK ? "" : ": ", entries[i].status == NF_OK ? "" : entries[i].message);
    failed += entries[i].status != NF_OK;
  }
  if (failed) {
    status = nf_fail(NF_FAILED, "%s: %d of %d jobs failed", o->input_dir ? o->input_dir : o->json_path, failed, n);
  }
done:
  for (int i = 0; i < n; i++) nativefold_free_job(entries[i].job);
  free(entries);
  search_close(search);
  nativefold_free_model(model);
  nativefold_free_chemistry(chemistry);
  return status;
}

int cli_predict(int argc, char **argv) {
  nf_arena *arena = nf_arena_create();
  predict_options o;
  flag_result given;
  const char *command = nf_arena_printf(arena, "nativefold %s", argv[0]);
  nf_status status = flags_parse(command, predict_flags, n_predict_flags, argc - 1, argv + 1, arena, &o, &given);
  if (status == NF_OK && given.help) {
    flags_help(stdout, nf_arena_printf(arena, "%s --json_path=JOB.json --output_dir=DIR --model_dir=DIR", command),
               "Folds a job, or every job of a directory.", predict_flags, n_predict_flags);
  } else if (status == NF_OK) {
    if (strcmp(argv[0], "search") == 0) o.run_inference = false;
    if (strcmp(argv[0], "fold") == 0 || o.features) o.run_data_pipeline = false;
    status = predict_flags_check(&o, &given);
    if (status == NF_OK) status = run(&o, arena);
  }
  if (status != NF_OK) cli_fail(status);
  nf_arena_free(arena);
  return status;
}
