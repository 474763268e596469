// bench: what the network's parts take on this machine, and their share of its matrix-product peak.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "cli/cli.h"
#include "cli/flags.h"
#include "model/model.h"
#include "weights/weights.h"

typedef struct {
  const char *model_dir;
  flag_ints tokens;
  int64_t repeats, num_msa, diffusion_steps, num_diffusion_samples, num_recycles;
  int device;
  bool json;
} bench_options;

static const char *const device_names[] = {"auto", "cuda", "cpu", NULL};

static const flag_spec specs[] = {
    FLAG(FLAG_STRING, bench_options, model_dir, NULL, "Weights; default: seeded full-size ones, made once in the temporary directory (1.4 GB)."),
    FLAG(FLAG_INT_LIST, bench_options, tokens, "150,384", "Sizes to time.", .min = 2, .max = 20000),
    FLAG(FLAG_INT, bench_options, repeats, "3", "Runs of each part; the median is reported.", .min = 1, .max = 100),
    FLAG(FLAG_INT, bench_options, num_msa, "1024", "MSA rows of the trunk pass.", .min = 1, .max = 16384),
    FLAG(FLAG_INT, bench_options, diffusion_steps, "200", "Steps of the whole job that times are scaled to.", .min = 1, .max = 100000),
    FLAG(FLAG_INT, bench_options, num_diffusion_samples, "5", "Samples of the whole job.", .min = 1, .max = 1000),
    FLAG(FLAG_INT, bench_options, num_recycles, "10", "Recycles of the whole job.", .max = 1000),
    FLAG(FLAG_ENUM, bench_options, device, "auto", "Where to compute.", .choices = device_names),
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
  if (o->json) {
    printf("{\"part\": \"%s\", \"tokens\": %d, \"seconds\": %.6g, \"gflops_per_second\": %.6g, \"share_of_peak\": %.4f}\n", part,
           tokens, seconds, flops / seconds / 1e9, flops / seconds / peak);
  } else {
    printf("%-42s %6d %11.3f %11.1f %9.1f %%\n", part, tokens, seconds, flops / seconds / 1e9, 100 * flops / seconds / peak);
  }
}

// One size: the two transformer stacks alone, then whole stages on a made-up batch, then the whole job by scaling.
static nf_status bench_size(const bench_options *o, const nf_model *model, int n, double peak) {
  nf_arena *arena = nf_arena_create();
  nf_arena_mark start = nf_arena_here(arena);
  double *times = nf_calloc((size_t)o->repeats, sizeof(double));
  nf_status status = NF_OK;
  model_timing t = {0};
  for (int64_t r = 0; r < o->repeats; r++) {
    NF_TRY_GOTO(done, model_time_pairformer(model, n, 4, arena, &t));
    times[r] = t.seconds;
    nf_arena_reset(arena, start);
  }
  report(o, "pairformer, 4 blocks", n, median(times, o->repeats), (double)t.flops, peak);
  for (int64_t r = 0; r < o->repeats; r++) {
    NF_TRY_GOTO(done, model_time_diffusion_transformer(model, n, (int)o->num_diffusion_samples, 0, arena, &t));
    times[r] = t.seconds;
    nf_arena_reset(arena, start);
  }
  report(o, "diffusion transformer, all samples", n, median(times, o->repeats), (double)t.flops, peak);

  nf_batch batch;
  model_made_up_batch(n, 16384, arena, &batch);
  model_costs one, all;
  model_count(model, n, batch.n_subset, (int)o->num_msa, 1, &one);
  model_count(model, n, batch.n_subset, (int)o->num_msa, (int)o->num_diffusion_samples, &all);
  trunk_output trunk;
  float *positions;
  confidence_output confidence;
  double begin = nf_seconds();
  NF_TRY_GOTO(done, trunk_run(model, &batch, &(trunk_options){.num_msa = (int)o->num_msa, .key = nf_key_from_seed(1)}, arena, &trunk));
  double trunk_s = nf_seconds() - begin;
  report(o, "one trunk pass", n, trunk_s, (double)(one.trunk.flops_once + one.trunk.flops_each), peak);
  enum { STEPS = 10 };
  begin = nf_seconds();
  NF_TRY_GOTO(done, diffusion_run(model, &batch, &trunk, &(diffusion_options){.steps = STEPS, .n_samples = 1, .key = nf_key_from_seed(2)}, arena, &positions));
  double steps_s = nf_seconds() - begin;
  report(o, "ten diffusion steps, one sample", n, steps_s, (double)(one.diffusion.flops_once + STEPS * one.diffusion.flops_each), peak);
  begin = nf_seconds();
  NF_TRY_GOTO(done, diffusion_run(model, &batch, &trunk, &(diffusion_options){.steps = STEPS, .n_samples = (int)o->num_diffusion_samples, .key = nf_key_from_seed(2)}, arena, &positions));
  double batch_s = nf_seconds() - begin;
  report(o, "ten diffusion steps, all samples", n, batch_s, (double)(all.diffusion.flops_once + STEPS * all.diffusion.flops_each), peak);
  begin = nf_seconds();
  NF_TRY_GOTO(done, confidence_run(model, &batch, &trunk, positions, NULL, arena, &confidence));
  double confidence_s = nf_seconds() - begin;
  report(o, "one confidence pass", n, confidence_s, (double)(one.confidence.flops_once + one.confidence.flops_each), peak);
  double job = trunk_s * (double)(o->num_recycles + 1) + batch_s / STEPS * (double)o->diffusion_steps +
               confidence_s * (double)o->num_diffusion_samples;
  if (o->json) {
    printf("{\"part\": \"whole job, scaled\", \"tokens\": %d, \"seconds\": %.6g, \"peak_bytes\": %lld}\n", n, job,
           (long long)model_peak_bytes(model, n, batch.n_subset, (int)o->num_msa, (int)o->num_diffusion_samples));
  } else {
    printf("%-42s %6d %11.0f   scaled from the above; %.2f GiB beside the weights\n", "whole job", n, job,
           (double)model_peak_bytes(model, n, batch.n_subset, (int)o->num_msa, (int)o->num_diffusion_samples) / (1 << 30));
  }
done:
  free(times);
  nf_arena_free(arena);
  return status;
}

static nf_status run(const bench_options *o, nf_arena *arena) {
  const char *path = o->model_dir;
  if (!path) {
    const char *tmp = getenv("TMPDIR");
    path = nf_arena_printf(arena, "%s/nativefold_random_full.nfw", tmp && *tmp ? tmp : "/tmp");
    if (access(path, R_OK) != 0) {
      nf_note("making seeded full-size weights in %s", path);
      NF_TRY(weights_write_random("data/manifest_full.tsv", path));
    }
  }
  nf_weights *weights = NULL;
  nf_model *model = NULL;
  nf_status status;
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
  for (int i = 0; i < o->tokens.n; i++) NF_TRY_GOTO(done, bench_size(o, model, (int)o->tokens.values[i], peak));
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
    flags_help(stdout, "nativefold bench [--tokens=150,384]", "Times the network's parts on this machine.", specs, N_SPECS);
  } else if (status == NF_OK) {
    bool model_word = given.n_arguments == 1 && strcmp(given.arguments[0], "model") == 0;
    status = given.n_arguments && !model_word ? nf_fail(NF_INPUT, "bench: \"%s\" is not a flag", given.arguments[0]) : run(&o, arena);
  }
  if (status != NF_OK) cli_fail(status);
  nf_arena_free(arena);
  return status;
}
