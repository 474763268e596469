// bench: what the network's parts take on this machine, and their share of its matrix-product peak.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/machine.h"
#include "base/memory.h"
#include "cli/cli.h"
#include "cli/flags.h"
#include "model/plan.h"
#include "tensor/device.h"
#include "weights/weights.h"

typedef struct {
  const char *model_dir;
  flag_ints tokens;
  int64_t repeats, num_msa, msa_rows, num_templates, diffusion_steps, steps_timed, num_diffusion_samples, num_recycles, gpu_device;
  int device, offload;
  double gpu_memory_gib;
  bool json, whole;
} bench_options;

static const char *const device_names[] = {"auto", "cuda", "cpu", NULL}, *const offloads[] = {"auto", "off", "host", NULL};

static const flag_spec specs[] = {
    FLAG(FLAG_STRING, bench_options, model_dir, NULL, "Weights; default: seeded full-size ones, made once in the temporary directory (1.4 GB)."),
    FLAG(FLAG_INT_LIST, bench_options, tokens, "150,384", "Sizes to time.", .min = 2, .max = 20000),
    FLAG(FLAG_INT, bench_options, repeats, "3", "Runs of each part; the median is reported.", .min = 1, .max = 100),
    FLAG(FLAG_INT, bench_options, num_msa, "1024", "MSA rows of the trunk pass.", .min = 1, .max = 16384),
    FLAG(FLAG_INT, bench_options, msa_rows, "16384", "MSA rows that these are chosen from.", .min = 1, .max = 16384),
    FLAG(FLAG_INT, bench_options, num_templates, "4", "Templates of the trunk pass, all different.", .min = 0, .max = 4),
    FLAG(FLAG_INT, bench_options, steps_timed, "20", "Diffusion steps that are timed.", .min = 4, .max = 100),
    FLAG(FLAG_BOOL, bench_options, whole, "false", "Run the whole job too, not only compute its time from that of its parts."),
    FLAG(FLAG_INT, bench_options, diffusion_steps, "200", "Steps of the whole job that times are scaled to.", .min = 1, .max = 100000),
    FLAG(FLAG_INT, bench_options, num_diffusion_samples, "5", "Samples of the whole job.", .min = 1, .max = 1000),
    FLAG(FLAG_INT, bench_options, num_recycles, "10", "Recycles of the whole job.", .max = 1000),
    FLAG(FLAG_ENUM, bench_options, device, "auto", "Where to compute.", .choices = device_names),
    FLAG(FLAG_INT, bench_options, gpu_device, "0", "Which of the visible GPUs to use, from 0.", .max = 1023),
    FLAG(FLAG_FLOAT, bench_options, gpu_memory_gib, NULL, "The most GPU memory to use, in GiB. Default: what is free."),
    FLAG(FLAG_ENUM, bench_options, offload, "auto", "Whether what the GPU has no room for may wait in host memory.", .choices = offloads),
    FLAG(FLAG_BOOL, bench_options, json, "false", "Print one JSON object a line instead of the table."),
};
enum { N_SPECS = sizeof specs / sizeof *specs };

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *values, int64_t n) {
  qsort(values, (size_t)n, sizeof *values, by_value);
  return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static void report(const bench_options *o, const char *part, int tokens, double seconds, double flops, double peak) {
  double per_second = seconds > 1e-4 ? flops / seconds : 0;
  if (o->json) {
    printf("{\"part\": \"%s\", \"tokens\": %d, \"seconds\": %.6g, \"gflops_per_second\": %.6g, \"share_of_peak\": %.4f}\n", part,
           tokens, seconds, per_second / 1e9, per_second / peak);
  } else {
    printf("%-42s %6d %11.3f %11.1f %9.1f %%\n", part, tokens, seconds, per_second / 1e9, 100 * per_second / peak);
  }
  fflush(stdout);
}

// Times of a stage's steps, taken by its ticker: the device is waited for where `every` steps have passed.
typedef struct {
  const nf_model *model;
  int every, done, n;
  double at[64];  // when step 0 began, then after each `every` of them
} lap_clock;

static void lap(void *context, int steps) {
  lap_clock *c = context;
  c->done += steps;
  if (c->done % c->every) return;
  model_wait(c->model);
  if (c->n < (int)(sizeof c->at / sizeof *c->at)) c->at[c->n++] = nf_seconds();
}

// A stage's time: what is done once a job, and what each pass, step or sample takes once everything is warm.
typedef struct {
  double once, each;
} stage_time;

typedef struct {
  const bench_options *o;
  const nf_model *model;
  nf_batch batch;
  trunk_output trunk;
  float *positions;
  confidence_output confidence;
  job_size size;
  job_plan plan;  // on a GPU: as predict would make it
  nf_arena *arena;
} bench_job;

static nf_status plan_job(bench_job *j) {
  if (!model_on_gpu(j->model)) return NF_OK;
  j->size = (job_size){.n_token = j->batch.n_token, .n_subset = j->batch.n_token * 8 / 32 + 1, .n_row = (int)j->o->num_msa,
                         .n_samples = (int)j->o->num_diffusion_samples, .n_template = plan_distinct_templates(&j->batch)};
  const nf_memory_room room = nf_memory_available("");
  const memory_ceiling ceiling = {.device = model_device_room(j->model),
                                  .host = room.bytes < INT64_MAX ? room.bytes : 0,
                                  .host_limit = room.source,
                                  .device_limit = j->o->gpu_memory_gib > 0 ? "--gpu_memory_gib" : "the GPU",
                                  .offload = (offload_choice)j->o->offload};
  return model_plan(j->model, &j->size, &ceiling, "bench", &j->plan);
}

static nf_status run_trunk(bench_job *j, int recycles, const nf_ticker *ticker) {
  trunk_free(&j->trunk);
  trunk_options options = {.num_recycles = recycles, .num_msa = (int)j->o->num_msa, .key = nf_key_from_seed(1), .ticker = ticker,
                           .plan = model_on_gpu(j->model) ? &j->plan.memory : NULL};
  NF_TRY(trunk_run(j->model, &j->batch, &options, j->arena, &j->trunk));
  model_wait(j->model);
  return NF_OK;
}

static nf_status run_diffusion(bench_job *j, int steps, const nf_ticker *ticker) {
  diffusion_options options = {.steps = steps, .n_samples = (int)j->o->num_diffusion_samples, .key = nf_key_from_seed(2), .ticker = ticker};
  return diffusion_run(j->model, &j->batch, &j->trunk, &options, j->arena, &j->positions);
}

static nf_status run_confidence(bench_job *j, int sample) {
  const float *x = j->positions + (int64_t)sample * j->batch.n_token * j->batch.n_slot * 3;
  return confidence_run(j->model, &j->batch, &j->trunk, x, NULL, j->arena, &j->confidence);
}

// Two passes, of which the second is warm; then what is left of the first beyond such a pass. Of the largest jobs one pass,
// which takes long enough for what is done once to be lost in it.
enum { LARGE = 4096 };
static nf_status time_trunk(bench_job *j, stage_time *t) {
  lap_clock c = {.model = j->model, .every = model_dimensions(j->model)->n_pairformer_blocks + 1};
  bool large = j->batch.n_token > LARGE;
  double start = nf_seconds();
  NF_TRY(run_trunk(j, large ? 0 : 1, &(nf_ticker){&c, lap}));
  t->each = c.at[c.n - 1] - (large ? start : c.at[0]);
  t->once = fmax(nf_seconds() - start - (large ? 1 : 2) * t->each, 0);
  return NF_OK;
}

static nf_status time_diffusion(bench_job *j, stage_time *t) {
  enum { WARM = 2 };
  int steps = j->o->steps_timed;
  lap_clock c = {.model = j->model, .every = WARM};
  double start = nf_seconds();
  NF_TRY(run_diffusion(j, steps, &(nf_ticker){&c, lap}));
  // The laps after the first warm ones: recorded or packed is what they need by then.
  int first = c.n > 4 ? 2 : 0;
  t->each = (c.at[c.n - 1] - c.at[first]) / (WARM * (c.n - 1 - first));
  t->once = fmax(nf_seconds() - start - steps * t->each, 0);
  return NF_OK;
}

static nf_status time_confidence(bench_job *j, stage_time *t) {
  nf_arena_mark mark = nf_arena_here(j->arena);
  for (int run = 0; run < (j->batch.n_token > LARGE ? 1 : 2); run++) {
    double start = nf_seconds();
    NF_TRY(run_confidence(j, 0));
    t->each = nf_seconds() - start;
    nf_arena_reset(j->arena, mark);
  }
  return NF_OK;
}

// The whole job as predict runs its network: passes, distogram, steps of all samples, confidence of each.
static nf_status run_whole(bench_job *j, double *ret_seconds) {
  nf_arena_mark mark = nf_arena_here(j->arena);
  double start = nf_seconds();
  distogram_output distogram;
  NF_TRY(run_trunk(j, (int)j->o->num_recycles, NULL));
  NF_TRY(distogram_run(j->model, &j->batch, &j->trunk, false, j->arena, &distogram));
  NF_TRY(run_diffusion(j, (int)j->o->diffusion_steps, NULL));
  for (int k = 0; k < j->o->num_diffusion_samples; k++) NF_TRY(run_confidence(j, k));
  *ret_seconds = nf_seconds() - start;
  nf_arena_reset(j->arena, mark);
  return NF_OK;
}

static void report_job(const bench_job *j, const char *part, double seconds, const char *how) {
  int n = j->batch.n_token;
  double there = (double)model_device_peak(j->model, false) / (1 << 30),
         counted = (double)model_peak_bytes(j->model, n, j->batch.n_subset, (int)j->o->num_msa, (int)j->o->num_diffusion_samples) / (1 << 30);
  if (j->o->json) {
    printf("{\"part\": \"%s\", \"tokens\": %d, \"seconds\": %.6g, \"how\": \"%s\", \"device_gib\": %.3f, \"counted_gib\": %.3f}\n",
           part, n, seconds, how, there, counted);
  } else if (there > 0) {
    stage_seconds expected = model_expected_seconds(j->model, &j->plan, &j->size, (int)j->o->num_recycles + 1, (int)j->o->diffusion_steps);
    printf("%-42s %6d %11.2f   %s; %.2f GiB of the GPU; by plan (%s) %.2f GiB, %.2f s\n", part, n, seconds, how, there, j->plan.mode,
           (double)j->plan.peak.device / (1 << 30), expected.trunk + expected.diffusion + expected.confidence);
  } else {
    printf("%-42s %6d %11.1f   %s; %.2f GiB beside the weights\n", part, n, seconds, how, counted);
  }
  fflush(stdout);
}

// The first n templates get atoms: helices of different widths, with all residues there.
static void make_templates(nf_batch *b, int n) {
  enum { ATOMS = 8 };
  for (int k = 0; k < n; k++)
    for (int i = 0; i < b->n_token; i++) {
      int row = k * b->n_token + i;
      b->template_aatype[row] = b->aatype[i];
      for (int a = 0; a < ATOMS; a++) {
        double angle = 1.745 * i + 0.6 * a, radius = 2.3 + 0.5 * k + 0.3 * a;
        float *at = b->template_atom_positions + ((size_t)row * (size_t)b->n_slot + (size_t)a) * 3;
        at[0] = (float)(radius * cos(angle));
        at[1] = (float)(radius * sin(angle));
        at[2] = 1.5f * (float)i + 0.4f * (float)a;
        b->template_atom_mask[(size_t)row * (size_t)b->n_slot + (size_t)a] = 1;
      }
    }
}

// One size: the two transformer stacks alone, then the stages on a made-up batch, then the whole job, computed or run.
static nf_status bench_size(const bench_options *o, const nf_model *model, int n, bool parts, double peak) {
  nf_arena *arena = nf_arena_create();
  nf_arena_mark start = nf_arena_here(arena);
  double *times = nf_calloc((size_t)o->repeats, sizeof(double));
  nf_status status = NF_OK;
  bench_job j = {.o = o, .model = model, .arena = arena};
  model_timing t = {0};
  for (int64_t r = 0; r < o->repeats && parts; r++) {
    NF_TRY_GOTO(done, model_time_pairformer(model, n, 4, arena, &t));
    times[r] = t.seconds;
    nf_arena_reset(arena, start);
  }
  if (parts) report(o, "pairformer, 4 blocks", n, median(times, o->repeats), (double)t.flops, peak);
  for (int64_t r = 0; r < o->repeats && parts; r++) {
    NF_TRY_GOTO(done, model_time_diffusion_transformer(model, n, (int)o->num_diffusion_samples, 0, arena, &t));
    times[r] = t.seconds;
    nf_arena_reset(arena, start);
  }
  if (parts) report(o, "diffusion transformer, all samples", n, median(times, o->repeats), (double)t.flops, peak);

  model_made_up_batch(n, (int)o->msa_rows, arena, &j.batch);
  make_templates(&j.batch, (int)o->num_templates);
  NF_TRY_GOTO(done, plan_job(&j));
  model_device_peak(model, true);
  model_costs costs;
  model_count(model, n, j.batch.n_subset, (int)o->num_msa, (int)o->num_diffusion_samples, &costs);
  stage_time trunk = {0}, diffusion = {0}, confidence = {0};
  NF_TRY_GOTO(done, time_trunk(&j, &trunk));
  report(o, "one trunk pass", n, trunk.each, (double)costs.trunk.flops_each, peak);
  report(o, "  once a job", n, trunk.once, (double)costs.trunk.flops_once, peak);
  NF_TRY_GOTO(done, time_diffusion(&j, &diffusion));
  report(o, "one diffusion step, all samples", n, diffusion.each, (double)costs.diffusion.flops_each, peak);
  report(o, "  once a job", n, diffusion.once, (double)costs.diffusion.flops_once, peak);
  NF_TRY_GOTO(done, time_confidence(&j, &confidence));
  report(o, "one confidence pass", n, confidence.each, (double)costs.confidence.flops_each, peak);
  double job = trunk.once + trunk.each * (double)(o->num_recycles + 1) + diffusion.once +
               diffusion.each * (double)o->diffusion_steps + confidence.each * (double)o->num_diffusion_samples;
  report_job(&j, "whole job", job, "computed from the above");
  if (o->whole) {
    for (int64_t r = 0; r < o->repeats; r++) NF_TRY_GOTO(done, run_whole(&j, &times[r]));
    char how[64];
    snprintf(how, sizeof how, "run, median of %lld", (long long)o->repeats);
    report_job(&j, "whole job", median(times, o->repeats), how);
  }
done:
  trunk_free(&j.trunk);
  free(times);
  nf_arena_free(arena);
  return status;
}

// parts: the two transformer stacks alone as well.
static nf_status run(const bench_options *o, bool parts, nf_arena *arena) {
  const char *path = o->model_dir;
  if (!path) {
    const char *tmp = getenv("TMPDIR");
    path = nf_arena_printf(arena, "%s/nativefold_random_full.nfw", tmp && *tmp ? tmp : "/tmp");
    if (access(path, R_OK) != 0) {
      nf_note("making seeded full-size weights in %s", path);
      NF_TRY(weights_write_random(":full", path));
    }
  }
  nf_weights *weights = NULL;
  nf_model *model = NULL;
  nf_status status;
  device_choose_gpu((int)o->gpu_device, o->gpu_memory_gib > 0 ? (int64_t)(o->gpu_memory_gib * (1 << 30)) : 0);
  NF_TRY_GOTO(done, weights_open(path, &weights));
  NF_TRY_GOTO(done, model_create(weights, device_names[o->device], &model));
  double peak = model_measured_peak(model);
  if (o->json) {
    printf("{\"device\": \"%s\", \"peak_gflops_per_second\": %.6g}\n", model_device(model), peak / 1e9);
  } else {
    printf("%s; matrix-product peak, fp32, measured: %.1f GFLOP/s; weights %s\n\n", model_device(model), peak / 1e9,
           weights_model_name(weights));
    printf("%-42s %6s %11s %11s %11s\n", "part", "tokens", "seconds", "GFLOP/s", "of peak");
  }
  for (int i = 0; i < o->tokens.n; i++) NF_TRY_GOTO(done, bench_size(o, model, (int)o->tokens.values[i], parts, peak));
done:
  model_free(model);
  weights_close(weights);
  return status;
}

int cli_bench(int argc, char **argv) {
  nf_arena *arena = nf_arena_create();
  bench_options o;
  flag_result given;
  nf_status status = flags_parse("nativefold bench", specs, N_SPECS, argc - 1, argv + 1, arena, &o, &given);
  if (status == NF_OK && given.help) {
    flags_help(stdout, "nativefold bench [model] [--tokens=150,384] [--whole]", "Times the network's parts on this machine.", specs, N_SPECS);
  } else if (status == NF_OK) {
    bool model_word = given.n_arguments == 1 && strcmp(given.arguments[0], "model") == 0;
    status = given.n_arguments && !model_word ? nf_fail(NF_INPUT, "bench: \"%s\" is not a flag", given.arguments[0]) : run(&o, !model_word, arena);
  }
  if (status != NF_OK) cli_fail(status);
  nf_arena_free(arena);
  return status;
}
