// The network on a small configuration with trained weights: no dimension is wired into the code.
#include "fixture.h"
#include "model/network.h"

static nf_arena *arena;
static nf_weights *weights;
static nf_model *model;
static nf_batch batch;
static trunk_output trunk;
static golden_trace golden;

static bool ready(void) {
  if (model) return true;
  const char *path = test_reference("network_tiny/demo_undertrained.bin.zst"),
             *inputs = test_reference("network_tiny/golden_demo_inputs.npz"),
             *goldens = test_reference("network_tiny/golden_demo.npz");
  if (!path || !inputs || !goldens) return false;
  // A copy of the name: opening writes its mappable form beside the file, or into the user's cache.
  arena = nf_arena_create();
  if (weights_open(path, &weights) != NF_OK || model_create(weights, "cpu", &model) != NF_OK ||
      batch_read(inputs, arena, &batch) != NF_OK || nf_npz_read(goldens, arena, &golden.arrays, &golden.n) != NF_OK) {
    test_fail(__FILE__, __LINE__, "%s", nf_message());
    return false;
  }
  golden.limit = 1e-4;
  return true;
}

TEST(dimensions) {
  if (!ready()) SKIP("reference data absent: network_tiny/");
  const model_dims *d = model_dimensions(model);
  CHECK_INT(d->c_s, 96);
  CHECK_INT(d->c_z, 64);
  CHECK_INT(d->c_m, 32);
  CHECK_INT(d->c_target, 159);
  CHECK_INT(d->n_pairformer_blocks, 4);
  CHECK_INT(d->n_single_heads, 6);
  CHECK_INT(d->n_diffusion_blocks, 8);
  CHECK_INT(d->n_diffusion_heads, 8);
  CHECK_INT(d->n_template_blocks, 1);
}

TEST(trunk) {
  if (!ready()) SKIP("reference data absent: network_tiny/");
  nf_trace trace = {&golden, golden_seam};
  trunk_options options = {.num_recycles = 1,
                           .num_msa = 1024,
                           .trace = &trace,
                           .key = golden_key(golden_find(golden.arrays, golden.n, "trunk_key"))};
  REQUIRE_OK(trunk_run(model, &batch, &options, arena, &trunk));
  distogram_output d;
  REQUIRE_OK(distogram_run(model, &batch, &trunk, true, arena, &d));
  int64_t square[3] = {batch.n_token, batch.n_token, d.n_bins};
  golden_seam(&golden, "contact_probs", NF_F32, 2, square, d.contact_probs);
  golden_seam(&golden, "distogram_logits", NF_F32, 3, square, d.logits);
}

TEST(denoise) {
  if (!ready() || !trunk.pair) SKIP("reference data absent: network_tiny/");
  static const char *const prefixes[] = {"denoise_hi", "denoise_mid", "denoise_lo"};
  for (int i = 0; i < 3; i++) golden_denoise(&golden, prefixes[i], model, &batch, &trunk, arena);
}

TEST(sampling_and_confidence) {
  if (!ready() || !trunk.pair) SKIP("reference data absent: network_tiny/");
  nf_trace trace = {&golden, golden_seam};
  diffusion_options options = {.steps = 20,
                               .n_samples = 1,
                               .trace = &trace,
                               .key = golden_key(golden_find(golden.arrays, golden.n, "sample_key"))};
  float *positions;
  REQUIRE_OK(diffusion_run(model, &batch, &trunk, &options, arena, &positions));
  int64_t shape[3] = {batch.n_token, batch.n_slot, 3};
  golden_seam(&golden, "final_positions", NF_F32, 3, shape, positions);
  confidence_output confidence;
  REQUIRE_OK(confidence_run(model, &batch, &trunk, positions, &trace, arena, &confidence));
  golden_report(&golden, "small configuration");
  golden_check_all_seen(&golden, "sample_key rng_key trunk_key denoise_hi_in denoise_hi_noise_level denoise_mid_in "
                                 "denoise_mid_noise_level denoise_lo_in denoise_lo_noise_level");
}

// The plain ops give the same network.
TEST(plain_device) {
  if (!ready() || !trunk.pair) SKIP("reference data absent: network_tiny/");
  nf_model *plain;
  REQUIRE_OK(model_create(weights, "plain", &plain));
  confidence_output a, b;
  float *positions = NF_NEW(arena, float, batch.n_token *batch.n_slot * 3);
  for (int64_t i = 0; i < batch.n_token * batch.n_slot * 3; i++)
    positions[i] = batch.ref_pos[i] + (float)(i / 72) * 3.8f;
  REQUIRE_OK(confidence_run(model, &batch, &trunk, positions, NULL, arena, &a));
  REQUIRE_OK(confidence_run(plain, &batch, &trunk, positions, NULL, arena, &b));
  int64_t n = batch.n_token;
  CHECK(test_relative_l2(a.full_pae, b.full_pae, n * n) < 1e-5);
  CHECK(test_relative_l2(a.predicted_lddt, b.predicted_lddt, n * batch.n_slot) < 1e-5);
  model_free(plain);
}

// Samples in one batch are what they are alone: the first of three equals the only one.
TEST(samples) {
  if (!ready() || !trunk.pair) SKIP("reference data absent: network_tiny/");
  int64_t atoms = batch.n_token * batch.n_slot * 3;
  nf_key keys[2], of_samples[3];
  nf_key_split((nf_key){{3, 4}}, 2, keys);
  nf_key_split(keys[0], 3, of_samples);
  diffusion_options options = {.steps = 2, .n_samples = 3, .key = {{3, 4}}, .noise_tokens = 256};
  float *three, *one;
  REQUIRE_OK(diffusion_run(model, &batch, &trunk, &options, arena, &three));
  options.n_samples = 1;
  REQUIRE_OK(diffusion_run(model, &batch, &trunk, &options, arena, &one));
  CHECK(test_relative_l2(three, one, atoms) < 1e-5);
  CHECK(test_relative_l2(three + atoms, one, atoms) > 1e-2);
  // The bucket changes samples after the first alone.
  options.n_samples = 2;
  options.noise_tokens = 0;
  float *unpadded;
  REQUIRE_OK(diffusion_run(model, &batch, &trunk, &options, arena, &unpadded));
  CHECK(test_relative_l2(unpadded, one, atoms) < 1e-5);
  CHECK(test_relative_l2(unpadded + atoms, three + atoms, atoms) > 1e-2);
}
