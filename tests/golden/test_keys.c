// The order of keys against the reference's own, and refusals of weights that do not fit.
#include <jansson.h>

#include "base/str.h"
#include "fixture.h"
#include "model/network.h"

static nf_model *tiny(void) {
  static nf_weights *weights;
  static nf_model *model;
  const char *path = test_reference("network_tiny/demo_undertrained.bin.zst");
  if (model || !path) return model;
  if (weights_open(path, &weights) != NF_OK || model_create(weights, "cpu", &model) != NF_OK)
    test_fail(__FILE__, __LINE__, "%s", nf_message());
  return model;
}

static nf_key key_of(const json_t *entry, const char *name) {
  const json_t *pair = json_object_get(entry, name);
  return (nf_key){
      {(uint32_t)json_integer_value(json_array_get(pair, 0)), (uint32_t)json_integer_value(json_array_get(pair, 1))}};
}

TEST(keys_equal_the_reference) {
  REFERENCE_OR_SKIP(path, "network/prng.json");
  const nf_model *model = tiny();
  if (!model) SKIP("reference data absent: network_tiny/");
  json_t *root = json_load_file(path, 0, NULL);
  const json_t *keys = json_object_get(root, "keys");
  CHECK(json_array_size(keys) >= 18);
  for (size_t i = 0; i < json_array_size(keys); i++) {
    const json_t *entry = json_array_get(keys, i);
    nf_key trunk, sample, wanted_trunk = key_of(entry, "trunk_key"), wanted = key_of(entry, "sample_key"), again;
    int recycles = (int)json_integer_value(json_object_get(entry, "num_recycles"));
    model_keys(model, (uint32_t)json_integer_value(json_object_get(entry, "seed")), recycles, &trunk, &sample);
    CHECK(memcmp(&trunk, &wanted_trunk, sizeof trunk) == 0);
    CHECK(memcmp(&sample, &wanted, sizeof sample) == 0);
    model_sample_key(model, key_of(entry, "rng_key"), true, recycles, &again);
    CHECK(memcmp(&again, &wanted, sizeof again) == 0);
  }
  json_decref(root);
}

TEST(sample_key_of_the_golden_case) {
  REFERENCE_OR_SKIP(trunk, "network/golden_small_trunk.npz");
  REFERENCE_OR_SKIP(sampling, "network/golden_small_sampling_confidence.npz");
  const nf_model *model = tiny();
  if (!model) SKIP("reference data absent: network_tiny/");
  nf_arena *arena = nf_arena_create();
  nf_array *a, *b;
  int n_a, n_b;
  REQUIRE_OK(nf_npz_read(trunk, arena, &a, &n_a));
  REQUIRE_OK(nf_npz_read(sampling, arena, &b, &n_b));
  // There the trunk's key was given, so that the sequence handed out one key less.
  nf_key key, wanted = golden_key(golden_find(b, n_b, "sample_key"));
  model_sample_key(model, golden_key(golden_find(a, n_a, "rng_key")), false, 1, &key);
  CHECK(memcmp(&key, &wanted, sizeof key) == 0);
  nf_arena_free(arena);
}

// What the plan says is what a run takes: of its arena, and of working memory at the same time.
static nf_arena *counted_arena;
static size_t counted_peak;
static void *counting_allocate(size_t bytes) {
  size_t now = nf_arena_used(counted_arena) + bytes;
  if (now > counted_peak) counted_peak = now;
  return device_ops("cpu")->allocate(bytes);
}

TEST(peak_is_counted) {
  const nf_model *whole = tiny();
  if (!whole) SKIP("reference data absent: network_tiny/");
  nf_ops counting = *device_ops("cpu");
  counting.allocate = counting_allocate;
  struct nf_model copy = *whole;
  copy.ops = &counting;
  const nf_model *model = &copy;
  static const int sizes[][3] = {{5, 3, 1}, {40, 20, 2}, {97, 7, 3}};
  for (size_t s = 0; s < 3; s++) {
    nf_arena *made = nf_arena_create(), *arena = nf_arena_create();
    counted_arena = arena;
    counted_peak = 0;
    nf_batch batch;
    model_made_up_batch(sizes[s][0], sizes[s][1], made, &batch);
    trunk_output trunk;
    trunk_options options = {.num_recycles = 1, .num_msa = sizes[s][1], .key = {{0, 1}}};
    REQUIRE_OK(trunk_run(model, &batch, &options, arena, &trunk));
    diffusion_options sampling = {.steps = 2, .n_samples = sizes[s][2], .key = {{0, 2}}};
    float *positions;
    REQUIRE_OK(diffusion_run(model, &batch, &trunk, &sampling, arena, &positions));
    for (int k = 0; k < sizes[s][2]; k++) {
      confidence_output confidence;
      nf_arena_mark mark = nf_arena_here(arena);
      REQUIRE_OK(confidence_run(model, &batch, &trunk, positions + k * sizes[s][0] * 72, NULL, arena, &confidence));
      CHECK(isfinite(confidence.average_pde));
      nf_arena_reset(arena, mark);
    }
    distogram_output distogram;
    REQUIRE_OK(distogram_run(model, &batch, &trunk, true, arena, &distogram));
    int n_subset = (sizes[s][0] * 8 + 31) / 32;
    double counted = (double)model_peak_bytes(model, sizes[s][0], n_subset, sizes[s][1], sizes[s][2]);
    double taken = (double)(counted_peak > nf_arena_peak(arena) ? counted_peak : nf_arena_peak(arena));
    if (!(taken <= counted * 1.02 && taken >= counted * 0.9))
      test_fail(__FILE__, __LINE__, "%d tokens: counted %.0f bytes, taken %.0f", sizes[s][0], counted, taken);
    nf_arena_free(arena);
    nf_arena_free(made);
  }
}

// Writes seeded weights of a changed manifest of the tiny configuration; returns the message of the refusal.
static const char *refusal(const char *manifest_text, nf_weights **weights) {
  static char dir[256];
  char manifest[512], path[512];
  snprintf(dir, sizeof dir, "%s", test_dir());
  snprintf(manifest, sizeof manifest, "%s/m.tsv", dir);
  snprintf(path, sizeof path, "%s/w.nfw", dir);
  *weights = NULL;
  if (nf_file_write(manifest, manifest_text, strlen(manifest_text)) != NF_OK ||
      weights_write_random(manifest, path) != NF_OK || weights_open(path, weights) != NF_OK)
    return "";
  nf_model *model;
  nf_status status = model_create(*weights, "cpu", &model);
  if (status == NF_OK) {
    model_free(model);
    return "";
  }
  CHECK_INT(status, NF_INPUT);
  return nf_message();
}

TEST(refusals) {
  const nf_model *model = tiny();
  if (!model) SKIP("reference data absent: network_tiny/");
  // A manifest from the tiny weights themselves, then with one line left out or changed.
  nf_str all = {0};
  nf_str_puts(&all, "name\tdtype\tshape\tscale\toffset\n");
  for (int i = 0; i < weights_count(model->weights); i++) {
    const weights_record *r = weights_at(model->weights, i);
    if (!r->values) continue;
    nf_str_printf(&all, "%s\tfloat32\t", r->name);
    for (int k = 0; k < r->n_dims; k++) nf_str_printf(&all, "%s%lld", k ? "," : "", (long long)r->shape[k]);
    nf_str_puts(&all, "\t0.1\t0\n");
  }
  nf_weights *weights;
  const char *message = refusal(all.data, &weights);
  CHECK_STR(message, "");
  weights_close(weights);

  static const char *const names[] = {
      "diffuser/evoformer/left_single/weights", "diffuser/distogram_head/half_logits/weights",
      "diffuser/~/diffusion_head/output_norm/scale", "diffuser/confidence_head/plddt_logits/weights"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    char *line = strstr(all.data, names[i]), *end = line ? strchr(line, '\n') : NULL;
    CHECK(line && end);
    if (!line || !end) continue;
    nf_str without = {0};
    nf_str_append(&without, all.data, (size_t)(line - all.data));
    nf_str_puts(&without, end + 1);
    message = refusal(without.data, &weights);
    if (!strstr(message, names[i]) || !strstr(message, "missing"))
      test_fail(__FILE__, __LINE__, "without %s: \"%s\"", names[i], message);
    weights_close(weights);
    nf_str_free(&without);
  }

  // Another shape: both shapes are told.
  const char *name = "diffuser/~/diffusion_head/output_norm/scale\tfloat32\t128";
  char *line = strstr(all.data, name);
  CHECK(line != NULL);
  if (line) {
    memcpy(strstr(line, "\t128"), "\t127", 4);
    message = refusal(all.data, &weights);
    CHECK(strstr(message, "output_norm/scale") && strstr(message, "(127)") && strstr(message, "(128)"));
    weights_close(weights);
  }
  nf_str_free(&all);
  nf_model *none;
  CHECK_INT(model_create(model->weights, "abacus", &none), NF_INPUT);
}

// A network as wide as IntelliFold-v2 with few blocks: refused without noise constants of its own, runs with them.
TEST(wide) {
  const char *dir = test_dir();
  char path[512], fourier[512];
  snprintf(path, sizeof path, "%s/wide.nfw", dir);
  REQUIRE_OK(weights_write_random(test_source("data/manifest_wide.tsv"), path));
  nf_weights *weights;
  nf_model *model;
  REQUIRE_OK(weights_open(path, &weights));
  CHECK_INT(model_create(weights, "cpu", &model), NF_INPUT);
  CHECK(strstr(nf_message(), "512") && strstr(nf_message(), "_fourier.npz"));
  weights_close(weights);

  float constants[2][256];
  for (int i = 0; i < 256; i++) constants[0][i] = 0.01f * (float)i, constants[1][i] = 0.5f;
  const nf_array arrays[2] = {{.name = "weight", .dtype = NF_F32, .n_dims = 1, .shape = {256}, .data = constants[0]},
                              {.name = "bias", .dtype = NF_F32, .n_dims = 1, .shape = {256}, .data = constants[1]}};
  snprintf(fourier, sizeof fourier, "%s/wide_fourier.npz", dir);
  REQUIRE_OK(nf_npz_write(fourier, arrays, 2, 0));
  REQUIRE_OK(weights_open(path, &weights));
  REQUIRE_OK(model_create(weights, "cpu", &model));
  const model_dims *dims = model_dimensions(model);
  CHECK_INT(dims->c_z, 512);
  CHECK_INT(dims->c_m, 256);
  CHECK_INT(dims->n_pair_heads, 8);
  nf_arena *arena = nf_arena_create();
  nf_batch batch;
  model_made_up_batch(13, 3, arena, &batch);
  trunk_output trunk;
  trunk_options options = {.num_recycles = 0, .num_msa = 3, .key = {{0, 1}}};
  CHECK_OK(trunk_run(model, &batch, &options, arena, &trunk));
  diffusion_options sampling = {.steps = 2, .n_samples = 2, .key = {{0, 2}}};
  float *positions;
  CHECK_OK(diffusion_run(model, &batch, &trunk, &sampling, arena, &positions));
  confidence_output confidence;
  CHECK_OK(confidence_run(model, &batch, &trunk, positions, NULL, arena, &confidence));
  CHECK(isfinite(confidence.average_pde) && confidence.average_pde > 0);
  for (int64_t i = 0; i < 2 * 13 * 72; i++)
    if (!isfinite(positions[i])) {
      test_fail(__FILE__, __LINE__, "position %lld is not finite", (long long)i);
      break;
    }
  nf_arena_free(arena);
  model_free(model);
  weights_close(weights);
}
