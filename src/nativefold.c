// The program on one page: job -> search -> features -> trunk -> samples -> confidence -> scores -> files.
// Sees every room; no room sees it. Each loop has one home: seeds and samples here, recycles in trunk.c, noise steps
// in diffusion.c.
#include "nativefold.h"

#include <limits.h>
#include <math.h>
#include <omp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"
#include "base/file.h"
#include "base/log.h"
#include "base/machine.h"
#include "base/str.h"
#include "beside.h"
#include "chem/ccd.h"
#include "features/features.h"
#include "input/job.h"
#include "model/model.h"
#include "model/plan.h"
#include "output/output.h"
#include "report.h"
#include "resume.h"
#include "score/score.h"
#include "search/search.h"
#include "tensor/device.h"
#include "weights/weights.h"

struct nativefold_chemistry {
  nf_ccd *ccd;
};

struct nativefold_model {
  nf_weights *weights;
  nf_model *network;
  output_origin origin;
  _Atomic uint64_t *weights_sum;  // made when a fold first asks for it
};

// What the jobs of one file share.
typedef struct {
  nf_arena *arena;
  int n_users;
} job_file;

struct nativefold_job {
  nf_arena *arena;
  job_file *file;  // NULL if it was not read from a file of jobs
  nf_job job;
  const char *features_path;  // a feature file in place of a job
  struct features_ahead *ahead;  // features of the first seed that a thread makes; NULL: none
};

// One folded sample. What the files and the table need lives in the arena of the result.
typedef struct {
  nativefold_sample view;
  nf_scores scores;
} folded;

struct nativefold_result {
  nf_arena *arena;
  nf_layout layout;  // the chains alone
  folded *samples;
  output_rank *ranks;
  int n_samples;
};

const char *nativefold_message(void) { return nf_message(); }

// ---- Opening and reading

int nativefold_open_chemistry(const char *ccd_file, nativefold_chemistry **ret_chemistry) {
  *ret_chemistry = NULL;
  nf_ccd *ccd;
  NF_TRY(ccd_open(ccd_file, &ccd));
  *ret_chemistry = nf_calloc(1, sizeof **ret_chemistry);
  (*ret_chemistry)->ccd = ccd;
  return NF_OK;
}

void nativefold_free_chemistry(nativefold_chemistry *chemistry) {
  if (!chemistry) return;
  ccd_close(chemistry->ccd);
  free(chemistry);
}

// What a set of weights can and cannot do, as far as its name tells.
static const char *notice_for(const nf_weights *weights) {
  if (weights_is_alphafold3(weights)) {
    return "AlphaFold 3 parameters: their use and output are subject to AlphaFold 3's terms of use.";
  }
  const char *name = weights_model_name(weights);
  if (strcmp(name, "demo") == 0) {
    return "Demonstration weights: they know one helix (PDB 5I55) and predict nothing else.";
  }
  if (strncmp(name, "random", 6) == 0 || strncmp(name, "seeded", 6) == 0) {
    return "Seeded random weights: they know nothing, the coordinates are meaningless.";
  }
  return "";
}

void nativefold_choose_gpu(int gpu_device, double memory_gib) {
  device_choose_gpu(gpu_device, memory_gib > 0 ? (int64_t)(memory_gib * (1 << 30)) : 0);
}

int nativefold_assume_gpu(const char *name) {
  if (device_assume_gpu(name)) return NF_OK;
  return nf_fail(NF_INPUT, "\"%s\" is no card that this program can plan for: it knows h100, h200, a100-40 and a100-80 where it was built with cuda=1",
                 name);
}

int nativefold_open_model(const char *model_dir, const char *device, nativefold_model **ret_model) {
  *ret_model = NULL;
  nativefold_model *m = nf_calloc(1, sizeof *m);
  nf_status status;
  NF_TRY_GOTO(fail, weights_open(model_dir, &m->weights));
  NF_TRY_GOTO(fail, model_create(m->weights, device, &m->network));
  if (strcmp(device, "auto") == 0 && !model_on_gpu(m->network)) nf_note("no GPU: %s; folding on the CPU", device_problem());
  m->origin.version = NATIVEFOLD_VERSION;
  m->origin.model_name = weights_model_name(m->weights);
  m->origin.is_alphafold3 = weights_is_alphafold3(m->weights);
  m->origin.model_notice = notice_for(m->weights);
  m->origin.has_model_id = weights_identifier(m->weights, m->origin.model_id);
  m->weights_sum = nf_calloc(1, sizeof *m->weights_sum);
  *ret_model = m;
  return NF_OK;
fail:
  nativefold_free_model(m);
  return status;
}

void nativefold_free_model(nativefold_model *model) {
  if (!model) return;
  model_free(model->network);
  weights_close(model->weights);
  free(model->weights_sum);
  free(model);
}

const char *nativefold_model_name(const nativefold_model *model) { return model->origin.model_name; }
const char *nativefold_model_notice(const nativefold_model *model) { return model->origin.model_notice; }
const char *nativefold_model_device(const nativefold_model *model) { return model_device(model->network); }

int nativefold_read_jobs(const char *path, int *ret_n, nativefold_job ***ret_jobs) {
  *ret_n = 0;
  *ret_jobs = NULL;
  job_file *file = nf_calloc(1, sizeof *file);
  file->arena = nf_arena_create();
  int n;
  nf_job *jobs;
  nf_status status = jobs_read(path, file->arena, &n, &jobs);
  if (status != NF_OK) {
    nf_arena_free(file->arena);
    free(file);
    return status;
  }
  file->n_users = n;
  *ret_jobs = nf_calloc((size_t)n, sizeof **ret_jobs);
  for (int i = 0; i < n; i++) {
    nativefold_job *j = nf_calloc(1, sizeof *j);
    *j = (nativefold_job){.arena = nf_arena_create(), .file = file, .job = jobs[i]};
    (*ret_jobs)[i] = j;
  }
  *ret_n = n;
  return NF_OK;
}

int nativefold_read_job(const char *path, nativefold_job **ret_job) {
  *ret_job = NULL;
  int n;
  nativefold_job **jobs;
  NF_TRY(nativefold_read_jobs(path, &n, &jobs));
  nf_status status = n == 1 ? NF_OK : nf_fail(NF_INPUT, "%s: holds %d jobs, one is needed here", path, n);
  if (status == NF_OK) *ret_job = jobs[0];
  for (int i = 0; i < n && status != NF_OK; i++) nativefold_free_job(jobs[i]);
  free(jobs);
  return status;
}

int nativefold_read_features(const char *path, uint32_t seed, nativefold_job **ret_job) {
  *ret_job = NULL;
  if (!nf_file_exists(path)) return nf_fail(NF_INPUT, "%s: no such feature file", path);
  nativefold_job *j = nf_calloc(1, sizeof *j);
  j->arena = nf_arena_create();
  j->features_path = nf_arena_strdup(j->arena, path);
  const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
  size_t length = strlen(base) - (nf_ends_with(base, ".npz") ? 4 : 0);
  uint32_t *seeds = NF_NEW(j->arena, uint32_t, 1);
  seeds[0] = seed;
  j->job = (nf_job){.name = nf_arena_strndup(j->arena, base, length),
                    .path = j->features_path,
                    .n_seeds = 1,
                    .seeds = seeds,
                    .version = 1};
  *ret_job = j;
  return NF_OK;
}

static void free_ahead(struct features_ahead *ahead);

void nativefold_free_job(nativefold_job *job) {
  if (!job) return;
  free_ahead(job->ahead);
  if (job->file && --job->file->n_users == 0) {
    nf_arena_free(job->file->arena);
    free(job->file);
  }
  nf_arena_free(job->arena);
  free(job);
}

const char *nativefold_job_name(const nativefold_job *job) { return job_sanitised_name(&job->job, job->arena); }

uint32_t nativefold_first_seed(const nativefold_job *job) { return job->job.seeds[0]; }

int nativefold_n_residues(const nativefold_job *job) {
  int n = 0;
  for (int i = 0; i < job->job.n_chains; i++) n += job_chain_length(&job->job.chains[i]);
  return n;
}

int nativefold_widen_seeds(nativefold_job *job, int num_seeds) {
  nf_job *j = &job->job;
  if (num_seeds <= 0) return NF_OK;
  if (j->n_seeds != 1) {
    return nf_fail(NF_INPUT, "%s: modelSeeds: --num_seeds needs a job with one seed, this one has %d", j->path, j->n_seeds);
  }
  if ((uint64_t)j->seeds[0] + (uint64_t)num_seeds - 1 > UINT32_MAX) {
    return nf_fail(NF_INPUT, "%s: modelSeeds: --num_seeds=%d goes beyond the largest seed, 4294967295", j->path, num_seeds);
  }
  uint32_t *seeds = NF_NEW(job->arena, uint32_t, num_seeds);
  for (int i = 0; i < num_seeds; i++) seeds[i] = j->seeds[0] + (uint32_t)i;
  j->seeds = seeds;
  j->n_seeds = num_seeds;
  return NF_OK;
}

int nativefold_check_filled(const nativefold_job *job, bool will_search) { return job_check_filled(&job->job, will_search); }

int nativefold_search(nativefold_job *job, struct nf_search *search) {
  nf_job filled;
  NF_TRY(search_job(search, &job->job, job->arena, &filled));
  job->job = filled;
  return NF_OK;
}

int nativefold_resume_search(nativefold_job *job, struct nf_search *search, const char *dir, const char *key, bool start_again) {
  const char *name = nativefold_job_name(job), *data;
  NF_TRY(resume_find_search(&job->job, dir, name, key, start_again, job->arena, &data));
  if (data) {
    nf_note("%s: MSAs and templates are there already", data);
    return job_read(data, job->arena, &job->job);
  }
  uint64_t before;
  NF_TRY(resume_job_sum(&job->job, dir, &before));
  NF_TRY(nativefold_search(job, search));
  NF_TRY(nativefold_write_job(job, dir));
  return resume_keep_search(before, dir, name, key);
}

int nativefold_check_search(const nativefold_job *job, struct nf_search *search) { return search_check(search, &job->job); }

int nativefold_write_job(const nativefold_job *job, const char *dir) {
  nf_str path = {0};
  nf_str_printf(&path, "%s/%s_data.json", dir, nativefold_job_name(job));
  nf_status status = job_write(&job->job, path.data);
  nf_str_free(&path);
  return status;
}

void nativefold_default_options(nativefold_options *options) {
  static const int buckets[] = {128, 256, 384, 512, 768, 1024, 1280, 1536, 2048, 2560, 3072, 3584, 4096, 4608, 5120};
  *options = (nativefold_options){.num_recycles = 10,
                                  .num_diffusion_samples = 5,
                                  .diffusion_steps = 200,
                                  .num_msa = 1024,
                                  .n_buckets = sizeof buckets / sizeof *buckets,
                                  .buckets = buckets,
                                  .resolve_msa_overlaps = true,
                                  .max_template_date = 20210930,
                                  .save_terms_of_use = true};
}

// ---- Features

static features_options features_from(const nativefold_options *options) {
  features_options o;
  features_default_options(&o);
  o.conformer_max_iterations = options->conformer_max_iterations;
  o.fix_standalone_glycans = options->fix_standalone_glycans;
  o.resolve_msa_overlaps = options->resolve_msa_overlaps;
  o.ref_max_modified_date = options->max_template_date;
  return o;
}

int nativefold_check_features(const nativefold_job *job, const nativefold_chemistry *chemistry,
                              const nativefold_options *options) {
  features_options o = features_from(options);
  return features_check(&job->job, chemistry->ccd, &o);
}

static nf_status make_features(const nativefold_job *job, const nativefold_chemistry *chemistry, uint32_t seed,
                               const nativefold_options *options, bool pad, nf_arena *arena, nf_layout *layout,
                               nf_batch *batch) {
  if (job->features_path) {
    NF_TRY(batch_read(job->features_path, arena, batch));
    return batch_layout(batch, arena, layout);
  }
  features_options o = features_from(options);
  if (pad) {
    o.n_buckets = options->n_buckets;
    o.buckets = options->buckets;
  }
  return features_create(&job->job, chemistry->ccd, seed, &o, arena, layout, batch);
}

int nativefold_featurise(const nativefold_chemistry *chemistry, const nativefold_job *job, uint32_t seed,
                         const nativefold_options *options, const char *npz_path) {
  nf_arena *arena = nf_arena_create();
  nf_layout layout;
  nf_batch batch;
  nf_status status;
  NF_TRY_GOTO(done, make_features(job, chemistry, seed, options, options->n_buckets > 0, arena, &layout, &batch));
  NF_TRY_GOTO(done, batch_write(&batch, npz_path));
done:
  nf_arena_free(arena);
  return status;
}

// Features that a thread makes before they are asked for.
typedef struct features_ahead {
  const nativefold_job *job;
  const nativefold_chemistry *chemistry;
  const nativefold_options *options;
  uint32_t seed;
  nf_str said;
  pthread_t thread;
  nf_arena *arena;  // NULL once they are taken
  nf_layout layout;
  nf_batch batch;
  nf_status status;
  char *message;
} features_ahead;

static void *make_ahead(void *context) {
  features_ahead *a = context;
  nf_log_keep(&a->said);
  // Cores are left for what feeds the device and for what writes files. Not by priority: the network may come to wait for
  // this thread, on a machine that others use too.
  if (omp_get_num_procs() > 2) omp_set_num_threads(omp_get_num_procs() - 2);
  a->status = make_features(a->job, a->chemistry, a->seed, a->options, false, a->arena, &a->layout, &a->batch);
  if (a->status != NF_OK) a->message = nf_strdup(nf_message());
  return NULL;
}

// NULL if the system gives no thread.
static features_ahead *start_ahead(const nativefold_job *job, const nativefold_chemistry *chemistry, uint32_t seed,
                                   const nativefold_options *options) {
  features_ahead *a = nf_calloc(1, sizeof *a);
  *a = (features_ahead){.job = job, .chemistry = chemistry, .options = options, .seed = seed};
  a->arena = nf_arena_create();
  if (pthread_create(&a->thread, NULL, make_ahead, a) == 0) return a;
  nf_arena_free(a->arena);
  free(a);
  return NULL;
}

// Waits for them, and says what was to be said of them. The arena, which holds them, is the caller's.
static nf_status take_ahead(features_ahead *a, nf_arena **ret_arena, nf_layout *ret_layout, nf_batch *ret_batch) {
  pthread_join(a->thread, NULL);
  nf_log_say(&a->said);
  *ret_arena = a->arena;
  *ret_layout = a->layout;
  *ret_batch = a->batch;
  a->arena = NULL;
  return a->status == NF_OK ? NF_OK : nf_fail(a->status, "%s", a->message);
}

static void free_ahead(features_ahead *a) {
  if (!a) return;
  if (a->arena) pthread_join(a->thread, NULL);
  nf_arena_free(a->arena);
  nf_str_free(&a->said);
  free(a->message);
  free(a);
}

void nativefold_start_features(nativefold_job *job, const nativefold_chemistry *chemistry, const nativefold_options *options) {
  if (!job->features_path && !job->ahead) job->ahead = start_ahead(job, chemistry, job->job.seeds[0], options);
}

// ---- Forecast

// The process's memory without the weights, which are mapped, or held in memory of its own.
static int64_t host_used(const nativefold_model *model) {
  nf_memory_use use = nf_memory_used();
  int64_t weights = model_dimensions(model->network)->n_values * (int64_t)sizeof(float), rest = use.resident - weights;
  return rest > use.anonymous ? rest : use.anonymous < weights ? use.anonymous : rest > 0 ? rest : 0;
}

static memory_ceiling ceiling_of(const nativefold_model *model, const nativefold_options *options) {
  memory_ceiling ceiling = {0};
  if (options->host_memory_gib > 0) {
    ceiling.host = (int64_t)(options->host_memory_gib * (1 << 30));
    ceiling.host_limit = "--host_memory_gib";
  } else {
    nf_memory_room room = nf_memory_available("");
    // What the process has already counts as well; its mapped files are among what is available.
    if (room.bytes < INT64_MAX) ceiling.host = room.bytes + nf_memory_used().anonymous;
    ceiling.host_limit = room.source;
  }
  ceiling.device = model_device_room(model->network);
  ceiling.offload = (offload_choice)options->offload;
  if (options->offload != OFFLOAD_AUTO && !model_on_gpu(model->network))
    nf_warn("--offload has no effect: the network runs on the CPU, whose memory is the host's");
  ceiling.device_limit = options->gpu_memory_gib > 0 ? "--gpu_memory_gib" : "the GPU";
  return ceiling;
}

static nativefold_stage stage(memory_need need, double seconds) {
  return (nativefold_stage){(double)need.host, (double)need.device, seconds};
}

// Plans a seed; see nativefold_plan. ret_plan: what the stages follow.
static nf_status forecast(const nativefold_model *model, const char *name, const nf_layout *layout, const nf_batch *batch,
                          const nativefold_options *options, job_plan *ret_plan, nativefold_forecast *ret_forecast) {
  int rows = options->num_msa < batch->num_alignments[0] ? options->num_msa : batch->num_alignments[0];
  job_size size = {.n_token = batch->n_token,
                   .saves_trunk = options->save_embeddings || options->resume,
                   .n_subset = (layout->n_atoms + batch->n_query - 1) / batch->n_query,
                   .n_row = rows > 0 ? rows : 1,
                   .n_samples = options->num_diffusion_samples, .saves_distogram = options->save_distogram,
                   .n_template = plan_distinct_templates(batch),
                   .host_used = host_used(model)};
  memory_ceiling ceiling = ceiling_of(model, options);
  job_plan *p = ret_plan;
  nf_status status = model_plan(model->network, &size, &ceiling, name, p);
  stage_seconds seconds =
      model_expected_seconds(model->network, p, &size, options->num_recycles + 1, options->diffusion_steps);
  nativefold_forecast f = {
      .n_tokens = layout->n_tokens,
      .n_atoms = layout->n_atoms,
      .n_msa_rows = batch->num_alignments[0],
      .weight_bytes = (double)model_dimensions(model->network)->n_values * sizeof(float),
      .features = stage(p->features, 0),
      .trunk = stage(p->trunk, seconds.trunk),
      .diffusion = stage(p->diffusion, seconds.diffusion),
      .confidence = stage(p->confidence, seconds.confidence),
      .host_bytes = (double)p->peak.host,
      .device_bytes = (double)p->peak.device,
      .host_ceiling = (double)ceiling.host,
      .device_ceiling = (double)ceiling.device,
      .host_limit = ceiling.host_limit,
      .device_limit = ceiling.device_limit,
      .mode = p->mode,
      .chunk_rows = (long)p->memory.chunk_rows,
      .logits_remade = p->memory.logits_remade,
      .parts_on_host = p->memory.pair_lent || p->memory.sum_away || p->memory.streamed,
      .pairs_on_host = p->memory.streamed,
      .samples_at_once = p->memory.samples_at_once ? p->memory.samples_at_once : options->num_diffusion_samples};
  bool by_device = p->peak.device > 0;
  double most = by_device ? f.device_bytes : f.host_bytes;
  const struct {
    const char *name;
    const nativefold_stage *stage;
  } stages[] = {{"trunk", &f.trunk}, {"diffusion", &f.diffusion}, {"confidence", &f.confidence}, {"features", &f.features}};
  for (size_t i = 0; i < sizeof stages / sizeof *stages && !f.binds; i++) {
    if ((by_device ? stages[i].stage->device_bytes : stages[i].stage->host_bytes) >= most) f.binds = stages[i].name;
  }
  *ret_forecast = f;
  return status;
}

// The plan of a job whose features are not made yet, with so many MSA rows and templates. Its chemistry tells the rest.
static nf_status plan_ahead(const nativefold_model *model, const nativefold_chemistry *chemistry, const nativefold_job *job,
                            const nativefold_options *options, int n_row, int n_template, const memory_ceiling *ceiling,
                            job_size *ret_size, job_plan *ret_plan) {
  nf_arena *arena = nf_arena_create();
  nf_layout layout;
  nf_ccd *dictionary = NULL;
  nf_status status;
  NF_TRY_GOTO(done, job_dictionary(&job->job, chemistry->ccd, arena, &dictionary));
  NF_TRY_GOTO(done, layout_create(&job->job, dictionary, options->fix_standalone_glycans, arena, &layout));
  *ret_size = (job_size){.n_token = layout.n_tokens, .n_subset = (layout.n_atoms + 31) / 32, .n_row = n_row,
                         .n_samples = options->num_diffusion_samples, .saves_distogram = options->save_distogram,
                         .saves_trunk = options->save_embeddings || options->resume, .n_template = n_template,
                         .host_used = host_used(model)};
  NF_TRY_GOTO(done, model_plan(model->network, ret_size, ceiling, nativefold_job_name(job), ret_plan));
done:
  ccd_close(dictionary);
  nf_arena_free(arena);
  return status;
}

int nativefold_check_memory(const nativefold_model *model, const nativefold_chemistry *chemistry, const nativefold_job *job,
                            const nativefold_options *options) {
  if (job->features_path) return NF_OK;  // read in a moment
  memory_ceiling ceiling = ceiling_of(model, options);
  job_size size;
  job_plan plan;
  return plan_ahead(model, chemistry, job, options, 1, 1, &ceiling, &size, &plan);
}

// What a job holds beside the plan of another while both are at work: its features, and samples on their way to files.
static int64_t beside_bytes(const job_size *size) {
  int64_t n = size->n_token, slots = n * NF_DENSE_ATOMS;
  int64_t held = 3 * (9 * n * n + 2 * slots);  // samples: what the network says of them, and what scores make of it
  return features_bytes(size->n_token) + (size->n_samples * (3 * slots + n * n) + n * n + held) * (int64_t)sizeof(float);
}

// The job's peak whatever its MSA and templates are, and what it holds beside another.
static nf_status count_most(const nativefold_model *model, const nativefold_chemistry *chemistry, const nativefold_job *job,
                            const nativefold_options *options, const memory_ceiling *ceiling, int64_t *ret_peak,
                            int64_t *ret_beside) {
  job_size size;
  job_plan plan;
  NF_TRY(plan_ahead(model, chemistry, job, options, options->num_msa, INT_MAX, ceiling, &size, &plan));
  *ret_peak = plan.peak.host + features_bytes(size.n_token);  // the job's own are not there yet
  *ret_beside = beside_bytes(&size);
  return NF_OK;
}

bool nativefold_overlaps(const nativefold_model *model, const nativefold_chemistry *chemistry, const nativefold_job *job,
                         const nativefold_job *next, const nativefold_options *options) {
  if (options->overlap == NATIVEFOLD_OVERLAP_NEVER || job->features_path || next->features_path) return false;
  // On a CPU the network has all cores already.
  if (options->overlap == NATIVEFOLD_OVERLAP_AUTO && !model_on_gpu(model->network)) return false;
  memory_ceiling ceiling = ceiling_of(model, options);
  int64_t peak, beside, next_peak, next_beside;
  if (count_most(model, chemistry, job, options, &ceiling, &peak, &beside) != NF_OK) return false;
  if (count_most(model, chemistry, next, options, &ceiling, &next_peak, &next_beside) != NF_OK) return false;
  return !ceiling.host || (peak > next_peak ? peak : next_peak) + beside + next_beside <= ceiling.host;
}

int nativefold_plan(const nativefold_model *model, const nativefold_chemistry *chemistry, const nativefold_job *job,
                    const nativefold_options *options, nativefold_forecast *ret_forecast) {
  nf_arena *arena = nf_arena_create();
  nf_layout layout;
  nf_batch batch;
  nf_status status;
  job_plan plan;
  NF_TRY_GOTO(done, make_features(job, chemistry, job->job.seeds[0], options, false, arena, &layout, &batch));
  NF_TRY_GOTO(done, forecast(model, nativefold_job_name(job), &layout, &batch, options, &plan, ret_forecast));
done:
  nf_arena_free(arena);
  return status;
}

// ---- Folding

// The size the reference would pad to, by which it draws noise; beyond its largest bucket the job's own.
static int noise_tokens(const nativefold_options *options, int n_token) {
  for (int i = 0; i < options->n_buckets; i++) {
    if (options->buckets[i] >= n_token) return options->buckets[i];
  }
  return n_token;
}

static void tick(void *context, int steps) { nf_progress_step(context, steps); }

// Copies what outlives the seed's own memory.
static void *keep(nf_arena *arena, const void *data, size_t bytes) {
  return data ? memcpy(nf_arena_alloc(arena, bytes), data, bytes) : NULL;
}

static void keep_sample(nativefold_result *result, uint32_t seed, int sample, const nf_scores *s) {
  folded *f = &result->samples[result->n_samples];
  size_t n = (size_t)s->n_tokens;
  f->scores = *s;
  nf_scores *k = &f->scores;
  nf_arena *a = result->arena;
  size_t c = (size_t)s->n_chains;
  k->positions = keep(a, s->positions, (size_t)s->n_atoms * 3 * sizeof(float));
  k->plddt = keep(a, s->plddt, (size_t)s->n_atoms * sizeof(float));
  k->full_pae = keep(a, s->full_pae, n * n * sizeof(float));
  k->full_pde = k->contact_probs = NULL;  // in the files; not part of the result
  k->chain_pair_iptm = keep(a, s->chain_pair_iptm, c * c * sizeof(double));
  k->chain_plddt = keep(a, s->chain_plddt, c * sizeof(double));
  k->chain_pair_pae_min = k->chain_pair_pde_mean = k->chain_pair_pde_min = NULL;
  k->iptm_ichain = k->iptm_xchain = k->pae_ichain = k->pae_xchain = NULL;
  k->intra_chain_single_pde = k->cross_chain_single_pde = NULL;
  k->chirality.chain_checked = k->chirality.chain_errors = NULL;
  k->chirality.ligand_errors = NULL;
  f->view = (nativefold_sample){.seed = seed,
                                .sample = sample,
                                .ranking_score = s->ranking_score,
                                .ptm = s->ptm,
                                .iptm = s->iptm,
                                .fraction_disordered = s->fraction_disordered,
                                .has_clash = s->has_clash,
                                .ligand_chirality_errors = s->chirality.n_ligand_errors,
                                .n_atoms = s->n_atoms,
                                .positions = k->positions,
                                .plddt = k->plddt,
                                .n_tokens = s->n_tokens,
                                .pae = k->full_pae};
  result->ranks[result->n_samples] = (output_rank){seed, sample, s->ranking_score};
  result->n_samples++;
}

// The chains, for the table at the end; names and order are the same for every seed.
static void keep_chains(nativefold_result *result, const nf_layout *layout) {
  if (result->layout.n_chains) return;
  result->layout.n_chains = layout->n_chains;
  result->layout.chains = keep(result->arena, layout->chains, (size_t)layout->n_chains * sizeof(layout_chain));
  for (int c = 0; c < layout->n_chains; c++) {
    result->layout.chains[c].id = nf_arena_strdup(result->arena, layout->chains[c].id);
    result->layout.chains[c].sequence = NULL;
  }
}

// Where one job's files go, and under which name.
typedef struct {
  const char *dir;  // NULL: nothing is written
  const char *name;
  output_options options;
} destination;

static nf_status write_sample(const nativefold_model *model, const nativefold_job *job, const nf_layout *layout,
                              const nf_batch *batch, const nf_scores *scores, const destination *to, uint32_t seed,
                              int sample, bool is_best, nf_arena *arena) {
  const char *dir = nf_arena_printf(arena, "%s/seed-%u_sample-%d", to->dir, (unsigned)seed, sample);
  const char *prefix = nf_arena_printf(arena, "%s_seed-%u_sample-%d", to->name, (unsigned)seed, sample);
  NF_TRY(nf_dir_create(dir));
  NF_TRY(output_write_sample(dir, prefix, &job->job, layout, batch, scores, &model->origin, &to->options));
  if (!is_best) return NF_OK;
  return output_write_sample(to->dir, to->name, &job->job, layout, batch, scores, &model->origin, &to->options);
}

static nf_status write_seed_arrays(const nativefold_model *model, const nf_layout *layout, const nf_batch *batch,
                                   const trunk_output *trunk, const distogram_output *distogram,
                                   const nativefold_options *options, const destination *to, uint32_t seed,
                                   nf_arena *arena) {
  const model_dims *dims = model_dimensions(model->network);
  const char *prefix = nf_arena_printf(arena, "%s_seed-%u", to->name, (unsigned)seed);
  if (options->save_embeddings) {
    const char *dir = nf_arena_printf(arena, "%s/seed-%u_embeddings", to->dir, (unsigned)seed);
    trunk_arrays arrays = trunk_on_host(trunk, arena);
    NF_TRY(nf_dir_create(dir));
    NF_TRY(output_write_embeddings(dir, prefix, layout->n_tokens, batch->n_token, dims->c_s, dims->c_z, arrays.single,
                                   arrays.pair));
  }
  if (options->save_distogram) {
    const char *dir = nf_arena_printf(arena, "%s/seed-%u_distogram", to->dir, (unsigned)seed);
    NF_TRY(nf_dir_create(dir));
    NF_TRY(output_write_distogram(dir, prefix, layout->n_tokens, batch->n_token, distogram->n_bins, distogram->logits));
  }
  return NF_OK;
}

// What the seeds of a job share. The network is the caller's; samples are scored and written, and the job is ended, on
// a thread beside it, or at once where there is none. What the thread touches, the caller touches only before the first
// task or after beside_wait.
typedef struct nativefold_folding {
  const nativefold_model *model;
  const nativefold_chemistry *chemistry;
  const nativefold_job *job;
  const nativefold_options *options;
  destination to;
  resume *resume;  // NULL: no states are kept
  report report;
  nativefold_result *result;   // the thread's
  beside *beside;              // NULL: everything is done at once
  features_ahead *next_seed;   // NULL: none are made ahead
  bool is_complete;            // by a run before this one
  nf_status status;            // of the network
  char *message;
  atomic_bool has_failed;      // scores or files, in a way told by what follows
  nf_status files_status;
  char *files_message;
  int turn;                    // of the log
} fold_run;

static bool is_stopped(const fold_run *r) { return r->options->stop && *r->options->stop; }

// The samples of a seed that a run before this one has left, from the first one on. Returns how many.
static int find_samples(fold_run *r, uint32_t seed) {
  int k = 0;
  nf_layout chains;
  nf_scores scores;
  if (!r->resume || !resume_has_samples(r->resume, seed)) return 0;
  beside_wait(r->beside, 0);  // samples are in the result in their order
  while (k < r->options->num_diffusion_samples &&
         resume_find_sample(r->resume, seed, k, r->result->arena, &scores, &chains)) {
    keep_chains(r->result, &chains);
    keep_sample(r->result, seed, k++, &scores);
  }
  return k;
}

// The distogram's logits are for the file alone: they are gone before the diffusion begins.
static nf_status run_distogram(fold_run *r, const nf_layout *layout, const nf_batch *batch, const trunk_output *trunk,
                               uint32_t seed, nf_arena *arena, float **ret_contact_probs) {
  nf_arena *own = nf_arena_create();
  distogram_output distogram;
  nf_status status;
  NF_TRY_GOTO(done, distogram_run(r->model->network, batch, trunk, r->options->save_distogram, own, &distogram));
  size_t n = (size_t)batch->n_token;
  *ret_contact_probs = keep(arena, distogram.contact_probs, n * n * sizeof(float));
  if (r->to.dir) NF_TRY_GOTO(done, write_seed_arrays(r->model, layout, batch, trunk, &distogram, r->options, &r->to, seed, own));
done:
  nf_arena_free(own);
  return status;
}

// A seed, from its features until its last sample is written.
typedef struct {
  fold_run *run;
  uint32_t seed;
  nf_arena *arena;
  nf_layout layout;
  nf_batch batch;
  float *positions, *contact_probs;
  bool is_done;
} seed_work;

// One sample that the network is done with.
typedef struct {
  seed_work *of;
  int sample;
  const float *positions;
  confidence_output confidence;
  nf_arena *arena;  // the sample's own, and this
} sample_work;

static void fail_files(fold_run *r, nf_status status) {
  r->files_status = status;
  r->files_message = nf_strdup(nf_message());
  atomic_store(&r->has_failed, true);
}

static nf_status score_and_write(sample_work *w) {
  seed_work *s = w->of;
  fold_run *r = s->run;
  nf_scores scores;
  NF_TRY(score_sample(&s->layout, &s->batch, w->positions, &w->confidence, s->contact_probs, w->arena, &scores));
  if (r->options->rank_chirality) scores.ranking_score -= score_chirality_penalty(&scores.chirality);
  keep_sample(r->result, s->seed, w->sample, &scores);
  bool is_best = output_best(r->result->ranks, r->result->n_samples) == r->result->n_samples - 1;
  if (r->to.dir) {
    NF_TRY(write_sample(r->model, r->job, &s->layout, &s->batch, &scores, &r->to, s->seed, w->sample, is_best, w->arena));
  }
  if (r->resume) resume_keep_sample(r->resume, s->seed, w->sample, &scores, &s->layout);
  return NF_OK;
}

static void finish_sample(void *context) {
  sample_work *w = context;
  fold_run *r = w->of->run;
  nf_status status = atomic_load(&r->has_failed) ? NF_OK : score_and_write(w);
  if (status != NF_OK) fail_files(r, status);
  nf_arena_free(w->arena);
}

static void finish_seed(void *context) {
  seed_work *s = context;
  fold_run *r = s->run;
  if (s->is_done && !atomic_load(&r->has_failed)) {
    if (r->resume) resume_end_seed(r->resume, s->seed);
    // After every seed, so that what is done stays usable if a later one fails.
    nf_status status = r->to.dir ? output_write_ranking(r->to.dir, r->to.name, r->result->ranks, r->result->n_samples) : NF_OK;
    if (status != NF_OK) fail_files(r, status);
  }
  nf_arena_free(s->arena);
  free(s);
}

// The features of a seed, if a thread makes them ahead or has made them; else they are made now.
static nf_status get_features(fold_run *r, seed_work *s) {
  features_ahead *ahead = r->next_seed, *of_job = r->job->ahead;
  nf_status status;
  if (ahead && ahead->seed == s->seed) {
    status = take_ahead(ahead, &s->arena, &s->layout, &s->batch);
  } else if (of_job && of_job->arena && of_job->seed == s->seed) {
    status = take_ahead(of_job, &s->arena, &s->layout, &s->batch);
  } else {
    s->arena = nf_arena_create();
    status = make_features(r->job, r->chemistry, s->seed, r->options, false, s->arena, &s->layout, &s->batch);
  }
  free_ahead(ahead);
  r->next_seed = NULL;
  return status;
}

static void print_forecast(const nativefold_forecast *forecast, const char *device) {
  char *text = NULL;
  size_t size;
  FILE *out = open_memstream(&text, &size);
  NF_ASSERT(out);
  report_print_forecast(out, forecast, device);
  fclose(out);
  nf_lines(text);
  free(text);
}

// One seed: features to samples to scores to files.
static nf_status fold_seed(fold_run *r, int which) {
  const uint32_t seed = r->job->job.seeds[which];
  const nativefold_options *options = r->options;
  const nf_model *network = r->model->network;
  seed_work *s = nf_calloc(1, sizeof *s);
  *s = (seed_work){.run = r, .seed = seed};
  job_plan plan;
  nativefold_forecast expected;
  trunk_output trunk = {0};
  nf_progress progress;
  nf_ticker ticker = {&progress, tick};
  nf_status status = NF_OK;
  const model_dims *dims = model_dimensions(network);

  int n_found = find_samples(r, seed);
  if (n_found) nf_note("%d of %d samples are there already", n_found, options->num_diffusion_samples);
  if (n_found == options->num_diffusion_samples) goto done;

  report_begin(&r->report, REPORT_FEATURES);
  NF_TRY_GOTO(done, get_features(r, s));
  report_end(&r->report);
  nf_arena *arena = s->arena;
  const nf_batch *batch = &s->batch;
  keep_chains(r->result, &s->layout);
  NF_TRY_GOTO(done, forecast(r->model, r->to.name, &s->layout, batch, options, &plan, &expected));
  if (!report_has_forecast(&r->report)) {
    report_forecast(&r->report, &expected);
    if (!options->quiet) print_forecast(&expected, model_device(network));
  }
  if (r->beside && which + 1 < r->job->job.n_seeds &&
      !(r->resume && resume_has_samples(r->resume, r->job->job.seeds[which + 1]))) {
    r->next_seed = start_ahead(r->job, r->chemistry, r->job->job.seeds[which + 1], options);
  }
  const nf_keeper *keeper = r->resume ? resume_seed(r->resume, seed, resume_features_sum(batch)) : NULL;
  nf_key trunk_key, sample_key;
  model_keys(network, seed, options->num_recycles, &trunk_key, &sample_key);

  report_begin(&r->report, REPORT_TRUNK);
  nf_progress_start(&progress, "trunk", (int64_t)(options->num_recycles + 1) * (dims->n_pairformer_blocks + 1));
  report_begin_network(&r->report);
  NF_TRY_GOTO(done, trunk_run(network, batch,
                              &(trunk_options){.num_recycles = options->num_recycles,
                                               .num_msa = options->num_msa,
                                               .key = trunk_key,
                                               .ticker = &ticker,
                                               .keeper = keeper,
                                               .plan = &plan.memory},
                              arena, &trunk));
  NF_TRY_GOTO(done, run_distogram(r, &s->layout, batch, &trunk, seed, arena, &s->contact_probs));
  report_end_network(&r->report);
  nf_progress_end(&progress);
  report_end(&r->report);

  report_begin(&r->report, REPORT_DIFFUSION);
  int n_groups = (options->num_diffusion_samples + expected.samples_at_once - 1) / expected.samples_at_once;
  nf_progress_start(&progress, "diffusion", (int64_t)n_groups * options->diffusion_steps);
  report_begin_network(&r->report);
  NF_TRY_GOTO(done, diffusion_run(network, batch, &trunk,
                                  &(diffusion_options){.steps = options->diffusion_steps,
                                                       .n_samples = options->num_diffusion_samples,
                                                       .key = sample_key,
                                                       .noise_tokens = noise_tokens(options, batch->n_token),
                                                       .ticker = &ticker,
                                                       .keeper = keeper},
                                  arena, &s->positions));
  report_end_network(&r->report);
  nf_progress_end(&progress);
  report_end(&r->report);

  report_begin(&r->report, REPORT_CONFIDENCE);
  nf_progress_start(&progress, "confidence, scores and files", options->num_diffusion_samples);
  nf_progress_step(&progress, n_found);
  int64_t stride = (int64_t)batch->n_token * batch->n_slot * 3;
  for (int k = n_found; k < options->num_diffusion_samples; k++) {
    beside_wait(r->beside, 2);  // no more of them in memory than the plan allows for
    if (is_stopped(r)) NF_TRY_GOTO(done, nf_fail(NF_FAILED, "stopped on request"));
    if (atomic_load(&r->has_failed)) NF_TRY_GOTO(done, nf_fail(NF_FAILED, "a sample has failed"));
    nf_arena *own = nf_arena_create();
    sample_work *w = NF_NEW(own, sample_work, 1);
    *w = (sample_work){.of = s, .sample = k, .positions = s->positions + k * stride, .arena = own};
    report_begin_network(&r->report);
    status = confidence_run(network, batch, &trunk, w->positions, NULL, own, &w->confidence);
    report_end_network(&r->report);
    if (status != NF_OK) {
      nf_arena_free(own);
      goto done;
    }
    beside_do(r->beside, finish_sample, w);
    nf_progress_step(&progress, 1);
  }
  nf_progress_end(&progress);
  report_end(&r->report);
done:
  trunk_free(&trunk);
  s->is_done = status == NF_OK;
  beside_do(r->beside, finish_seed, s);
  return status;
}

// Everything that decides what a run's files hold, beside job, weights and program.
static uint64_t options_sum(const nativefold_options *o) {
  nf_str text = {0};
  nf_str_printf(&text, "%d %d %d %d %d %d %d %d %d %d %d %d %d %d %d ", o->num_recycles, o->num_diffusion_samples,
                o->diffusion_steps, o->num_msa, o->conformer_max_iterations, o->fix_standalone_glycans,
                o->resolve_msa_overlaps, o->max_template_date, o->save_embeddings, o->save_distogram, o->save_terms_of_use,
                o->compress_large_output_files, o->write_pdb, o->save_pde, o->rank_chirality);
  for (int i = 0; i < o->n_buckets; i++) nf_str_printf(&text, "%d ", o->buckets[i]);
  uint64_t sum = nf_checksum(text.data, text.length);
  nf_str_free(&text);
  return sum;
}

// What the device is, whatever its number of threads: results do not depend on it.
static const char *device_kind(const nf_model *network, nf_arena *arena) {
  char *text = nf_arena_strdup(arena, model_device(network)), *threads = strstr(text, " threads"), *comma = threads;
  while (comma && comma > text && *comma != ',') comma--;
  if (threads && *comma == ',') memmove(comma, threads + strlen(" threads"), strlen(threads + strlen(" threads")) + 1);
  return text;
}

static nf_status open_resume(fold_run *r, bool *ret_is_complete) {
  if (*r->model->weights_sum == 0) *r->model->weights_sum = resume_weights_sum(r->model->weights);
  resume_run run = {.version = NATIVEFOLD_VERSION,
                    .device = device_kind(r->model->network, r->result->arena),
                    .weights = *r->model->weights_sum,
                    .options = options_sum(r->options)};
  if (r->job->features_path) NF_TRY(resume_file_sum(r->job->features_path, &run.job));
  else NF_TRY(resume_job_sum(&r->job->job, r->to.dir, &run.job));
  return resume_open(r->to.dir, r->to.name, &run, r->options->start_again, r->options->stop, ret_is_complete, &r->resume);
}

static nf_status fold_seeds(fold_run *r) {
  const nativefold_job *job = r->job;
  const nativefold_options *options = r->options;
  if (!job->features_path) NF_TRY(job_check_filled(&job->job, false));
  NF_TRY(nativefold_check_memory(r->model, r->chemistry, job, options));
  if (r->to.dir) {
    NF_TRY(nf_dir_create(r->to.dir));
    if (options->resume) NF_TRY(open_resume(r, &r->is_complete));
    if (r->is_complete) {
      nf_note("%s: is complete already", r->to.dir);
      return NF_OK;
    }
    NF_TRY(output_write_terms(r->to.dir, &r->model->origin, &r->to.options));
  }
  if (nativefold_overlaps(r->model, r->chemistry, job, job, options)) r->beside = beside_create();
  for (int i = 0; i < job->job.n_seeds; i++) {
    if (job->job.n_seeds > 1) nf_note("seed %u (%d of %d)", (unsigned)job->job.seeds[i], i + 1, job->job.n_seeds);
    NF_TRY(fold_seed(r, i));
    if (atomic_load(&r->has_failed)) return NF_FAILED;  // what follows says how
  }
  return NF_OK;
}

static void print_table(const nativefold_result *result) {
  char *text = NULL;
  size_t size;
  const nf_scores **scores = NF_NEW(result->arena, const nf_scores *, result->n_samples);
  for (int i = 0; i < result->n_samples; i++) scores[i] = &result->samples[i].scores;
  FILE *out = open_memstream(&text, &size);
  NF_ASSERT(out);
  output_print_table(out, &result->layout, scores, result->ranks, result->n_samples);
  fclose(out);
  nf_lines(text);
  free(text);
}

// The end of a job, once all that it computed is written: what counts from then on, and what is said of it.
static void finish_job(void *context) {
  fold_run *r = context;
  const nativefold_options *options = r->options;
  nf_log_await_turn(r->turn);
  nf_status status = r->status;
  if (atomic_load(&r->has_failed)) {  // it came before what stopped the network
    status = nf_fail(r->files_status, "%s", r->files_message);
  } else if (status != NF_OK) {
    nf_fail(status, "%s", r->message);
  } else if (!r->is_complete) {
    if (r->resume) resume_complete(r->resume);
    if (!options->quiet) print_table(r->result);
    if (options->report_path) {
      status = report_write(&r->report, options->report_path, r->to.name, r->to.dir, model_device(r->model->network),
                            r->result->n_samples);
    }
  }
  if (status != NF_OK && is_stopped(r)) {
    status = r->resume ? nf_fail(NF_FAILED, "%s: stopped on request; the same command goes on from where it was", r->to.dir)
                       : nf_fail(NF_FAILED, "%s: stopped on request", r->to.name);
  }
  resume_close(r->resume);
  free(r->message);
  r->message = status == NF_OK ? NULL : nf_strdup(nf_message());
  r->status = status;
  if (status == NF_OK) nf_log_close_turn(r->turn);
}

nativefold_folding *nativefold_begin_fold(const nativefold_model *model, const nativefold_chemistry *chemistry,
                                          const nativefold_job *job, const nativefold_options *options,
                                          const char *output_dir) {
  fold_run *r = nf_calloc(1, sizeof *r);
  nativefold_result *result = nf_calloc(1, sizeof *result);
  result->arena = nf_arena_create();
  int n = job->job.n_seeds * options->num_diffusion_samples;
  result->samples = NF_NEW(result->arena, folded, n);
  result->ranks = NF_NEW(result->arena, output_rank, n);
  r->model = model;
  r->chemistry = chemistry;
  r->job = job;
  r->options = options;
  r->to = (destination){.dir = nf_arena_strdup(result->arena, output_dir),
                        .name = nativefold_job_name(job),
                        .options = {.compress = options->compress_large_output_files,
                                    .save_terms_of_use = options->save_terms_of_use,
                                    .pdb = options->write_pdb,
                                    .save_pde = options->save_pde}};
  r->result = result;
  r->turn = nf_log_turn();
  r->report.begun = nf_seconds();
  r->status = fold_seeds(r);
  if (r->status != NF_OK) r->message = nf_strdup(nf_message());
  free_ahead(r->next_seed);
  beside_do(r->beside, finish_job, r);
  return r;
}

int nativefold_end_fold(nativefold_folding *r, nativefold_result **ret_result) {
  beside_wait(r->beside, 0);
  beside_free(r->beside);
  nf_status status = r->status == NF_OK ? NF_OK : nf_fail(r->status, "%s", r->message);
  if (status == NF_OK && ret_result) *ret_result = r->result;
  else nativefold_free_result(r->result);
  free(r->message);
  free(r->files_message);
  free(r);
  return status;
}

int nativefold_fold(const nativefold_model *model, const nativefold_chemistry *chemistry, const nativefold_job *job,
                    const nativefold_options *options, const char *output_dir, nativefold_result **ret_result) {
  if (ret_result) *ret_result = NULL;
  return nativefold_end_fold(nativefold_begin_fold(model, chemistry, job, options, output_dir), ret_result);
}

void nativefold_free_result(nativefold_result *result) {
  if (!result) return;
  nf_arena_free(result->arena);
  free(result);
}

int nativefold_n_samples(const nativefold_result *result) { return result->n_samples; }
const nativefold_sample *nativefold_get_sample(const nativefold_result *result, int i) { return &result->samples[i].view; }
int nativefold_best_sample(const nativefold_result *result) { return output_best(result->ranks, result->n_samples); }
