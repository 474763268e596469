// trace: runs the network on a feature file and keeps every seam: the proof tool.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "cli/cli.h"
#include "cli/flags.h"
#include "features/batch.h"
#include "formats/array.h"
#include "model/model.h"
#include "score/score.h"
#include "weights/weights.h"

typedef struct {
  const char *features, *model_dir, *output, *denoise, *trunk_key, *sample_key;
  int64_t num_msa, num_recycles, diffusion_steps, num_diffusion_samples, seed, noise_tokens;
  int device;
} trace_options;

static const char *const device_names[] = {"auto", "cuda", "cpu", NULL};

static const flag_spec specs[] = {
    FLAG(FLAG_STRING, trace_options, features, NULL, "Feature file (.npz) as `nativefold featurise` writes it."),
    FLAG(FLAG_STRING, trace_options, model_dir, NULL, "Directory or file of weights."),
    FLAG(FLAG_STRING, trace_options, output, NULL, "Directory for the seams, NAME.npy each."),
    FLAG(FLAG_INT, trace_options, num_msa, "1024", "MSA rows read in each pass.", .min = 1, .max = 16384),
    FLAG(FLAG_INT, trace_options, num_recycles, "10", "Additional trunk passes.", .max = 1000),
    FLAG(FLAG_INT, trace_options, diffusion_steps, "200", "Steps of the sampler.", .min = 1, .max = 100000),
    FLAG(FLAG_INT, trace_options, num_diffusion_samples, "1", "Samples; with more than one the sampler's inner seams are left out.", .min = 1, .max = 1000),
    FLAG(FLAG_INT, trace_options, seed, "0", "Seed of the keys.", .max = 4294967295.0),
    FLAG(FLAG_STRING, trace_options, trunk_key, NULL, "The trunk's key as two numbers \"a,b\", in place of the seed's."),
    FLAG(FLAG_STRING, trace_options, sample_key, NULL, "The sampler's key as two numbers \"c,d\", in place of the seed's."),
    FLAG(FLAG_INT, trace_options, noise_tokens, NULL, "Tokens of the bucket by which noise is indexed; default: the features' own.", .max = 1000000),
    FLAG(FLAG_STRING, trace_options, denoise, NULL, "File with X_in and X_noise_level arrays: single denoising calls to trace beside the run."),
    FLAG(FLAG_ENUM, trace_options, device, "auto", "Where to compute.", .choices = device_names),
};
enum { N_SPECS = sizeof specs / sizeof *specs };

// The directory that seams go to, and the first failure of a write.
typedef struct {
  const char *dir;
  nf_arena *arena;
  nf_status status;
} sink;

static void write_seam(void *context, const char *name, nf_dtype dtype, int n_dims, const int64_t *shape,
                       const void *data) {
  sink *s = context;
  if (s->status != NF_OK) return;
  nf_array array = {.name = name, .dtype = dtype, .n_dims = n_dims, .data = data};
  for (int i = 0; i < n_dims; i++) array.shape[i] = shape[i];
  s->status = nf_npy_write(nf_arena_printf(s->arena, "%s/%s.npy", s->dir, name), &array);
}

#define SEAM(sink_, name, dtype, data, ...)                                                                  \
  write_seam(sink_, name, dtype, (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]){__VA_ARGS__}, data)

static nf_status parse_key(const char *flag, const char *text, nf_key *ret_key) {
  unsigned long long a, b;
  char rest;
  if (sscanf(text, "%llu,%llu%c", &a, &b, &rest) != 2 || a > UINT32_MAX || b > UINT32_MAX || strchr(text, '-')) {
    return nf_fail(NF_INPUT, "trace: --%s=%s: two numbers from 0 to 4294967295 are needed, as in 0,42", flag, text);
  }
  *ret_key = (nf_key){{(uint32_t)a, (uint32_t)b}};
  return NF_OK;
}

// Every PREFIX_in / PREFIX_noise_level pair of the file, denoised once.
static nf_status trace_denoise(const char *path, const nf_model *model, const nf_batch *batch, const trunk_output *trunk,
                               const nf_trace *trace, nf_arena *arena) {
  nf_array *arrays;
  int n, found = 0;
  NF_TRY(nf_npz_read(path, arena, &arrays, &n));
  int64_t slots = (int64_t)batch->n_token * batch->n_slot;
  for (int i = 0; i < n; i++) {
    const nf_array *in = &arrays[i];
    size_t length = strlen(in->name);
    if (length < 4 || strcmp(in->name + length - 3, "_in") != 0) continue;
    const char *prefix = nf_arena_strndup(arena, in->name, length - 3);
    const nf_array *level = nf_array_find(arrays, n, nf_arena_printf(arena, "%s_noise_level", prefix));
    if (in->dtype != NF_F32 || nf_array_count(in) != slots * 3) {
      return nf_fail(NF_INPUT, "%s: %s: float32 of shape (%d, %d, 3) is needed", path, in->name, batch->n_token, batch->n_slot);
    }
    if (!level || level->dtype != NF_F32 || nf_array_count(level) != 1) {
      return nf_fail(NF_INPUT, "%s: %s_noise_level: one float32 is needed beside %s", path, prefix, in->name);
    }
    float *out = NF_NEW(arena, float, slots * 3);
    NF_TRY(diffusion_denoise(model, batch, trunk, in->data, *(const float *)level->data, prefix, trace, arena, out));
    int64_t shape[] = {batch->n_token, batch->n_slot, 3};
    trace->seam(trace->context, nf_arena_printf(arena, "%s_out", prefix), NF_F32, 3, shape, out);
    found++;
  }
  if (!found) return nf_fail(NF_INPUT, "%s: holds no pair of arrays NAME_in and NAME_noise_level", path);
  return NF_OK;
}

static nf_status run(const trace_options *o, nf_arena *arena) {
  if (!o->features) return nf_fail(NF_INPUT, "trace: --features is not given: name a feature file");
  if (!o->model_dir) return nf_fail(NF_INPUT, "trace: --model_dir is not given: name the weights");
  if (!o->output) return nf_fail(NF_INPUT, "trace: --output is not given: name a directory");
  nf_weights *weights = NULL;
  nf_model *model = NULL;
  nf_status status;
  nf_batch batch;
  trunk_output trunk = {0};
  NF_TRY(batch_read(o->features, arena, &batch));
  NF_TRY_GOTO(done, weights_open(o->model_dir, &weights));
  NF_TRY_GOTO(done, model_create(weights, device_names[o->device], &model));
  NF_TRY_GOTO(done, nf_dir_create(o->output));
  const model_dims *dims = model_dimensions(model);
  sink s = {o->output, arena, NF_OK};
  nf_trace trace = {&s, write_seam};
  int64_t n = batch.n_token, a = batch.n_slot, k_all = o->num_diffusion_samples;
  int recycles = (int)o->num_recycles;

  nf_key trunk_key, sample_key;
  model_keys(model, (uint32_t)o->seed, recycles, &trunk_key, &sample_key);
  if (o->trunk_key) {
    // As the goldens were made: the trunk is handed its key, so that haiku's sequence begins with the layer stacks.
    NF_TRY_GOTO(done, parse_key("trunk_key", o->trunk_key, &trunk_key));
    model_sample_key(model, nf_key_from_seed((uint64_t)o->seed), false, recycles, &sample_key);
  }
  if (o->sample_key) NF_TRY_GOTO(done, parse_key("sample_key", o->sample_key, &sample_key));
  SEAM(&s, "trunk_key", NF_U32, trunk_key.v, 2);
  SEAM(&s, "sample_key", NF_U32, sample_key.v, 2);

  double start = nf_seconds();
  NF_TRY_GOTO(done, trunk_run(model, &batch,
                              &(trunk_options){.num_recycles = recycles, .num_msa = (int)o->num_msa, .key = trunk_key, .trace = &trace},
                              arena, &trunk));
  nf_note("trunk: %.2f s", nf_seconds() - start);
  distogram_output distogram;
  NF_TRY_GOTO(done, distogram_run(model, &batch, &trunk, true, arena, &distogram));
  static const char *const distogram_names[][3] = {
      {"distogram_bin_edges", "distogram_contact_probs", "distogram_distogram"},
      {"full_distogram_bin_edges", "full_distogram_contact_probs", "full_distogram_distogram"}};
  for (int i = 0; i < 2; i++) {
    SEAM(&s, distogram_names[i][0], NF_F32, distogram.bin_edges, distogram.n_bins - 1);
    SEAM(&s, distogram_names[i][1], NF_F32, distogram.contact_probs, n, n);
    SEAM(&s, distogram_names[i][2], NF_F32, distogram.logits, n, n, distogram.n_bins);
  }
  trunk_arrays embeddings = trunk_on_host(&trunk, arena);
  SEAM(&s, "full_single_embeddings", NF_F32, embeddings.single, n, dims->c_s);
  SEAM(&s, "full_pair_embeddings", NF_F32, embeddings.pair, n, n, dims->c_z);
  if (o->denoise) NF_TRY_GOTO(done, trace_denoise(o->denoise, model, &batch, &trunk, &trace, arena));

  start = nf_seconds();
  float *positions;
  NF_TRY_GOTO(done, diffusion_run(model, &batch, &trunk,
                                  &(diffusion_options){.steps = (int)o->diffusion_steps,
                                                       .n_samples = (int)k_all,
                                                       .key = sample_key,
                                                       .noise_tokens = o->noise_tokens == FLAG_NO_INT ? 0 : (int)o->noise_tokens,
                                                       .trace = k_all == 1 ? &trace : NULL},
                                  arena, &positions));
  nf_note("diffusion: %.2f s", nf_seconds() - start);
  SEAM(&s, "full_sample_atom_positions", NF_F32, positions, k_all, n, a, 3);
  uint8_t *mask = NF_NEW(arena, uint8_t, k_all * n * a);
  for (int64_t k = 0; k < k_all; k++) memcpy(mask + k * n * a, batch.pred_dense_atom_mask, (size_t)(n * a));
  SEAM(&s, "full_sample_mask", NF_BOOL, mask, k_all, n, a);

  start = nf_seconds();
  nf_layout layout;
  NF_TRY_GOTO(done, batch_layout(&batch, arena, &layout));
  int64_t c = layout.n_chains;
  float *plddt = NF_NEW(arena, float, k_all * n * a), *resolved = NF_NEW(arena, float, k_all * n * a);
  float *pae = NF_NEW(arena, float, k_all * n * n), *pde = NF_NEW(arena, float, k_all * n * n);
  float *tm_global = NF_NEW(arena, float, k_all * n * n), *tm_interface = NF_NEW(arena, float, k_all * n * n);
  float *average_pde = NF_NEW(arena, float, k_all), *ptm = NF_NEW(arena, float, k_all), *iptm = NF_NEW(arena, float, k_all);
  float *chain_pair_iptm = NF_NEW(arena, float, k_all * c * c);
  for (int64_t k = 0; k < k_all; k++) {
    nf_arena_mark here = nf_arena_here(arena);
    confidence_output r;
    nf_scores scores;
    const float *x = positions + k * n * a * 3;
    NF_TRY_GOTO(done, confidence_run(model, &batch, &trunk, x, k_all == 1 ? &trace : NULL, arena, &r));
    NF_TRY_GOTO(done, score_sample(&layout, &batch, x, &r, distogram.contact_probs, arena, &scores));
    memcpy(plddt + k * n * a, r.predicted_lddt, (size_t)(n * a) * sizeof(float));
    memcpy(resolved + k * n * a, r.predicted_experimentally_resolved, (size_t)(n * a) * sizeof(float));
    memcpy(pae + k * n * n, r.full_pae, (size_t)(n * n) * sizeof(float));
    memcpy(pde + k * n * n, r.full_pde, (size_t)(n * n) * sizeof(float));
    memcpy(tm_global + k * n * n, r.tmscore_adjusted_pae_global, (size_t)(n * n) * sizeof(float));
    memcpy(tm_interface + k * n * n, r.tmscore_adjusted_pae_interface, (size_t)(n * n) * sizeof(float));
    average_pde[k] = r.average_pde;
    ptm[k] = (float)scores.ptm;
    iptm[k] = (float)scores.iptm;
    for (int64_t i = 0; i < c * c; i++) chain_pair_iptm[k * c * c + i] = (float)scores.chain_pair_iptm[i];
    nf_arena_reset(arena, here);
  }
  SEAM(&s, "full_predicted_lddt", NF_F32, plddt, k_all, n, a);
  SEAM(&s, "full_predicted_experimentally_resolved", NF_F32, resolved, k_all, n, a);
  SEAM(&s, "full_full_pae", NF_F32, pae, k_all, n, n);
  SEAM(&s, "full_full_pde", NF_F32, pde, k_all, n, n);
  SEAM(&s, "full_tmscore_adjusted_pae_global", NF_F32, tm_global, k_all, n, n);
  SEAM(&s, "full_tmscore_adjusted_pae_interface", NF_F32, tm_interface, k_all, n, n);
  SEAM(&s, "full_average_pde", NF_F32, average_pde, k_all);
  SEAM(&s, "ptm", NF_F32, ptm, k_all);
  SEAM(&s, "iptm", NF_F32, iptm, k_all);
  SEAM(&s, "chain_pair_iptm", NF_F32, chain_pair_iptm, k_all, c, c);
  nf_note("confidence: %.2f s", nf_seconds() - start);
  status = s.status;
done:
  trunk_free(&trunk);
  model_free(model);
  weights_close(weights);
  return status;
}

int cli_trace(int argc, char **argv) {
  nf_arena *arena = nf_arena_create();
  trace_options o;
  flag_result given;
  nf_status status = flags_parse("nativefold trace", specs, N_SPECS, argc - 1, argv + 1, arena, &o, &given);
  if (status == NF_OK && given.help) {
    flags_help(stdout, "nativefold trace --features=F.npz --model_dir=DIR --output=DIR",
               "Runs the network on a feature file and writes each seam under the name of the golden case.", specs, N_SPECS);
  } else if (status == NF_OK) {
    status = given.n_arguments ? nf_fail(NF_INPUT, "trace: \"%s\" is not a flag", given.arguments[0]) : run(&o, arena);
  }
  if (status != NF_OK) cli_fail(status);
  nf_arena_free(arena);
  return status;
}
