// The full-size network with seeded weights on the golden case `small`, seam by seam.
#include "fixture.h"

#include "model/network.h"

static nf_arena *arena;
static const nf_weights *weights;
static nf_model *model;
static nf_batch batch;
static trunk_output trunk;

// Weights, model and features, once; false where the reference is absent.
static bool ready(void) {
  if (model) return true;
  const char *inputs = test_reference("network/golden_small_inputs.npz");
  weights = golden_weights();
  if (!weights || !inputs) return false;
  arena = nf_arena_create();
  if (model_create(weights, "auto", &model) != NF_OK || batch_read(inputs, arena, &batch) != NF_OK) {
    test_fail(__FILE__, __LINE__, "%s", nf_message());
    return false;
  }
  return true;
}

static bool load(const char *path, golden_trace *g) {
  memset(g, 0, sizeof *g);
  g->limit = 1e-4;
  g->reduced = !model->ops->host_memory && !getenv("NATIVEFOLD_CUDA_FP32");
  if (nf_npz_read(path, arena, &g->arrays, &g->n) == NF_OK) return true;
  test_fail(__FILE__, __LINE__, "%s", nf_message());
  return false;
}

// The distogram's seams are handed over by the caller.
static void hand_distogram(const nf_trace *trace, const char *prefix, const distogram_output *d) {
  char name[64];
  int64_t edges[1] = {d->n_bins - 1}, square[3] = {batch.n_token, batch.n_token, d->n_bins};
  snprintf(name, sizeof name, "%sdistogram_bin_edges", prefix);
  trace->seam(trace->context, name, NF_F32, 1, edges, d->bin_edges);
  snprintf(name, sizeof name, "%sdistogram_contact_probs", prefix);
  trace->seam(trace->context, name, NF_F32, 2, square, d->contact_probs);
  snprintf(name, sizeof name, "%sdistogram_distogram", prefix);
  trace->seam(trace->context, name, NF_F32, 3, square, d->logits);
}

TEST(dimensions) {
  if (!ready()) SKIP("reference data absent: network/");
  const model_dims *d = model_dimensions(model);
  CHECK_INT(d->c_s, 384);
  CHECK_INT(d->c_z, 128);
  CHECK_INT(d->c_target, 447);
  CHECK_INT(d->n_pairformer_blocks, 48);
  CHECK_INT(d->n_diffusion_blocks, 24);
  CHECK_INT(d->n_pair_heads, 4);
  CHECK_INT(d->n_values, 368384538);
}

TEST(trunk) {
  if (!ready()) SKIP("reference data absent: network/");
  REFERENCE_OR_SKIP(path, "network/golden_small_trunk.npz");
  golden_trace g;
  if (!load(path, &g)) return;
  nf_trace trace = {&g, golden_seam};
  trunk_options options = {.num_recycles = 1, .num_msa = 16, .key = golden_key(golden_find(g.arrays, g.n, "trunk_key")),
                           .trace = &trace};
  REQUIRE_OK(trunk_run(model, &batch, &options, arena, &trunk));
  distogram_output distogram;
  REQUIRE_OK(distogram_run(model, &batch, &trunk, true, arena, &distogram));
  hand_distogram(&trace, "", &distogram);
  golden_report(&g, "trunk");
  golden_check_all_seen(&g, "rng_key trunk_key");
}

TEST(denoise) {
  if (!ready() || !trunk.pair) SKIP("reference data absent: network/");
  REFERENCE_OR_SKIP(path, "network/golden_small_denoise.npz");
  golden_trace g;
  if (!load(path, &g)) return;
  golden_denoise(&g, "denoise_hi", model, &batch, &trunk, arena);
  golden_denoise(&g, "denoise_lo", model, &batch, &trunk, arena);
  golden_report(&g, "denoise");
  golden_check_all_seen(&g, "denoise_hi_in denoise_hi_noise_level denoise_lo_in denoise_lo_noise_level");
}

// From the reference's own trunk output: on a GPU, whose trunk is in bf16, this tells the diffusion's own error beside that
// of the reference, which multiplies in TF32 here and in fp32 there.
TEST(denoise_from_golden_trunk) {
  if (!ready() || !trunk.pair) SKIP("reference data absent: network/");
  REFERENCE_OR_SKIP(trunk_path, "network/golden_small_trunk.npz");
  REFERENCE_OR_SKIP(path, "network/golden_small_denoise.npz");
  REFERENCE_OR_SKIP(reduced_path, "network/golden_small_bf16.npz");
  golden_trace from, g, reduced;
  if (!load(trunk_path, &from) || !load(path, &g) || !load(reduced_path, &reduced)) return;
  const nf_array *arrays[] = {golden_find(from.arrays, from.n, "target_feat"), golden_find(from.arrays, from.n, "recycle1_single"),
                              golden_find(from.arrays, from.n, "recycle1_pair")};
  const trunk_tensors t = trunk_as_tensors(model, NULL, &trunk, batch.n_token);
  const nf_tensor to[] = {t.target, t.single, t.pair};
  const nf_context context = context_dry(model->ops);
  for (int i = 0; i < 3; i++) {
    if (!arrays[i]) return;
    CHECK_INT(nf_array_count(arrays[i]), tensor_count(to[i]));
    context_upload_to(&context, to[i], arrays[i]->data);
  }
  // Where the trunk's pair is bf16, it is read here as floats, for its rounding is no error of the diffusion.
  const trunk_output rounded = trunk;
  if (rounded.narrow) {
    trunk.narrow = false;
    trunk.pair = model->ops->allocate((size_t)nf_array_count(arrays[2]) * sizeof(float));
    context_upload_to(&context, trunk_as_tensors(model, NULL, &trunk, batch.n_token).pair, arrays[2]->data);
  }
  bool exact = model->ops->host_memory || getenv("NATIVEFOLD_CUDA_FP32");
  if (!exact) g.limit = 2e-3;
  static const char *const levels[] = {"hi", "lo"};
  for (int i = 0; i < 2; i++) {
    char prefix[32], name[64];
    snprintf(prefix, sizeof prefix, "denoise_%s", levels[i]);
    const float *out = golden_denoise(&g, prefix, model, &batch, &trunk, arena);
    snprintf(name, sizeof name, "bf16_denoise_%s_fp32emb", levels[i]);
    const nf_array *theirs = golden_find(reduced.arrays, reduced.n, name);
    snprintf(name, sizeof name, "%s_out", prefix);
    const nf_array *truth = golden_find(g.arrays, g.n, name);
    if (!out || !theirs || !truth) continue;
    double error = test_relative_l2(out, truth->data, nf_array_count(truth)),
           reference = test_relative_l2(theirs->data, truth->data, nf_array_count(truth));
    if (getenv("GOLDEN_VERBOSE")) printf("  %s: error %.2e, the reference's %.2e\n", name, error, reference);
    if (!(error <= 2 * reference)) test_fail(__FILE__, __LINE__, "%s: error %.3g, the reference's is %.3g", name, error, reference);
  }
  if (rounded.narrow) model->ops->release(trunk.pair);
  trunk = rounded;
  golden_report(&g, "denoise from the golden trunk");
}

TEST(sampling_and_confidence) {
  if (!ready() || !trunk.pair) SKIP("reference data absent: network/");
  REFERENCE_OR_SKIP(path, "network/golden_small_sampling_confidence.npz");
  golden_trace g;
  if (!load(path, &g)) return;
  nf_trace trace = {&g, golden_seam};
  diffusion_options options = {.steps = 8, .n_samples = 1, .key = golden_key(golden_find(g.arrays, g.n, "sample_key")),
                               .trace = &trace};
  float *positions;
  REQUIRE_OK(diffusion_run(model, &batch, &trunk, &options, arena, &positions));
  confidence_output confidence;
  REQUIRE_OK(confidence_run(model, &batch, &trunk, positions, &trace, arena, &confidence));
  distogram_output distogram;
  REQUIRE_OK(distogram_run(model, &batch, &trunk, true, arena, &distogram));
  hand_distogram(&trace, "full_", &distogram);
  int64_t n = batch.n_token, square[3] = {n, n, model_dimensions(model)->c_z}, rows[2] = {n, model_dimensions(model)->c_s};
  trunk_arrays arrays = trunk_on_host(&trunk, arena);
  trace.seam(&g, "full_pair_embeddings", NF_F32, 3, square, arrays.pair);
  trace.seam(&g, "full_single_embeddings", NF_F32, 2, rows, arrays.single);
  int64_t pair_shape[3] = {1, n, n}, atom_shape[3] = {1, n, batch.n_slot}, one[1] = {1};
  trace.seam(&g, "full_average_pde", NF_F32, 1, one, &confidence.average_pde);
  trace.seam(&g, "full_full_pae", NF_F32, 3, pair_shape, confidence.full_pae);
  trace.seam(&g, "full_full_pde", NF_F32, 3, pair_shape, confidence.full_pde);
  trace.seam(&g, "full_predicted_experimentally_resolved", NF_F32, 3, atom_shape, confidence.predicted_experimentally_resolved);
  trace.seam(&g, "full_predicted_lddt", NF_F32, 3, atom_shape, confidence.predicted_lddt);
  trace.seam(&g, "full_tmscore_adjusted_pae_global", NF_F32, 3, pair_shape, confidence.tmscore_adjusted_pae_global);
  trace.seam(&g, "full_tmscore_adjusted_pae_interface", NF_F32, 3, pair_shape, confidence.tmscore_adjusted_pae_interface);
  golden_report(&g, "sampling and confidence");
  golden_check_all_seen(&g, "ptm iptm chain_pair_iptm sample_key");
}

// Block 0 alone. Sub-module outputs are without the residual: what a sub-module adds is compared.
static void check_added(const nf_array *arrays, int n, const char *name, const float *before, const float *after,
                        int64_t count) {
  const nf_array *golden = golden_find(arrays, n, name);
  if (!golden) return;
  CHECK_INT(nf_array_count(golden), count);
  float *added = NF_NEW(arena, float, count);
  for (int64_t i = 0; i < count; i++) added[i] = after[i] - before[i];
  double error = test_relative_l2(added, golden->data, count);
  if (getenv("GOLDEN_VERBOSE")) printf("  %-55s %.2e\n", name, error);
  if (!(error <= 1e-4)) test_fail(__FILE__, __LINE__, "%s: relative error %.3g", name, error);
}

static nf_tensor take(const nf_array *arrays, int n, const char *name) {
  const nf_array *a = golden_find(arrays, n, name);
  nf_tensor t = {0};
  if (!a) return t;
  t.n_dims = a->n_dims;
  for (int i = 0; i < TENSOR_MAX_DIMS; i++) t.shape[i] = i < a->n_dims ? a->shape[i] : 1;
  t.data = nf_arena_alloc(arena, (size_t)nf_array_count(a) * sizeof(float));
  memcpy(t.data, a->data, (size_t)nf_array_count(a) * sizeof(float));
  return t;
}

// Calls `statement` on a context large enough for it.
#define RUN(statement)                                                                         \
  do {                                                                                         \
    nf_context dry = context_dry(model->ops), *context = &dry;                                 \
    statement;                                                                                 \
    nf_context real = context_create(model->ops, nf_arena_alloc(arena, dry.peak), dry.peak);   \
    context = &real;                                                                           \
    statement;                                                                                 \
  } while (0)

static void check_pair_block(const nf_array *arrays, int n, const char *prefix, const pair_block_weights *w, nf_tensor pair,
                             nf_tensor mask) {
  int64_t count = tensor_count(pair);
  float *before = NF_NEW(arena, float, count);
  static const char *const names[] = {"triangle_multiplication_outgoing", "triangle_multiplication_incoming",
                                      "pair_attention1", "pair_attention2", "pair_transition"};
  for (int step = 0; step < 5; step++) {
    memcpy(before, pair.data, (size_t)count * sizeof(float));
    const triangle_multiply_weights *m = step ? &w->incoming : &w->outgoing;
    const triangle_attention_weights *a = step == 2 ? &w->starting : &w->ending;
    if (step < 2)
      RUN(OP(context, triangle_multiply, .x = pair, .mask = mask, .norm = m->norm, .norm_center = m->center,
             .w_gate = m->gate, .w_projection = m->projection, .w_gating = m->gating, .w_out = m->out,
             .outgoing = step == 0));
    else if (step < 4)
      RUN(OP(context, triangle_attention, .x = pair, .mask = mask, .norm = a->norm, .w_bias = a->bias, .wq = a->q,
             .wk = a->k, .wv = a->v, .wg = a->g, .wo = a->o, .ending = step == 3));
    else
      RUN(OP(context, transition, .x = pair, .norm = w->transition.norm, .w1 = w->transition.w1, .w2 = w->transition.w2));
    char name[128];
    snprintf(name, sizeof name, "%s_sub_%s", prefix, names[step]);
    check_added(arrays, n, name, before, pair.data, count);
  }
}

TEST(blocks) {
  if (!ready()) SKIP("reference data absent: network/");
  if (!model->ops->host_memory) SKIP("the blocks alone are run on the CPU");
  REFERENCE_OR_SKIP(path, "network/golden_small_blocks.npz");
  nf_array *arrays;
  int n;
  REQUIRE_OK(nf_npz_read(path, arena, &arrays, &n));
  const pairformer_weights *pf = &model->pairformer[0];
  nf_tensor pair = take(arrays, n, "pf0_in_pair"), single = take(arrays, n, "pf0_in_single"),
            mask = take(arrays, n, "pf0_seq_mask");
  check_pair_block(arrays, n, "pf0", &pf->pair, pair, mask);
  pair = take(arrays, n, "pf0_in_pair");
  RUN(pairformer_block(context, pf, context->dry ? (nf_tensor){NULL, 3, false, false, {41, 41, 128, 1}} : pair,
                       context->dry ? (nf_tensor){NULL, 2, false, false, {41, 384, 1, 1}} : single, mask));
  nf_tensor zero = {.data = NF_NEW(arena, float, tensor_count(pair))};
  check_added(arrays, n, "pf0_out_pair", zero.data, pair.data, tensor_count(pair));
  check_added(arrays, n, "pf0_out_single", zero.data, single.data, tensor_count(single));

  const msa_block_weights *m = &model->msa_blocks[0];
  nf_tensor msa = take(arrays, n, "msa0_in_msa"), msa_mask = take(arrays, n, "msa0_msa_mask");
  pair = take(arrays, n, "msa0_in_pair");
  nf_tensor token_mask = tensor_1(NF_NEW(arena, float, 41), 41), column_mask = tensor_1(NF_NEW(arena, float, 41), 41);
  const nf_array *pair_mask = golden_find(arrays, n, "msa0_pair_mask");
  for (int i = 0; i < 41 && pair_mask; i++) {
    token_mask.data[i] = ((const float *)pair_mask->data)[i * 42];
    for (int r = 0; r < msa.shape[0]; r++) column_mask.data[i] = fmaxf(column_mask.data[i], msa_mask.data[r * 41 + i]);
  }
  float *before = take(arrays, n, "msa0_in_pair").data, *msa_before = take(arrays, n, "msa0_in_msa").data;
  RUN(OP(context, outer_product_mean, .msa = msa, .mask = msa_mask, .norm = m->outer_norm, .w_left = m->outer_left,
         .w_right = m->outer_right, .w = m->outer_w, .b = m->outer_b, .pair = pair));
  check_added(arrays, n, "msa0_sub_outer_product_mean", before, pair.data, tensor_count(pair));
  RUN(OP(context, pair_average, .msa = msa, .column_mask = column_mask, .pair = pair, .norm = m->norm,
         .norm_pair = m->norm_pair, .w_logits = m->logits, .wv = m->v, .wg = m->g, .wo = m->o));
  check_added(arrays, n, "msa0_sub_msa_attention1", msa_before, msa.data, tensor_count(msa));
  memcpy(msa_before, msa.data, (size_t)tensor_count(msa) * sizeof(float));
  RUN(OP(context, transition, .x = msa, .norm = m->transition.norm, .w1 = m->transition.w1, .w2 = m->transition.w2));
  check_added(arrays, n, "msa0_sub_msa_transition", msa_before, msa.data, tensor_count(msa));
  check_pair_block(arrays, n, "msa0", &m->pair, pair, token_mask);
  check_added(arrays, n, "msa0_out_pair", zero.data, pair.data, tensor_count(pair));
  check_added(arrays, n, "msa0_out_msa", zero.data, msa.data, tensor_count(msa));

  const diffusion_block_weights *d = &model->diffusion.blocks[0];
  nf_tensor act = take(arrays, n, "dt0_in_act"), cond = take(arrays, n, "dt0_in_single_cond"),
            logits = take(arrays, n, "dt0_in_pair_logits"), seq_mask = take(arrays, n, "dt0_seq_mask");
  // The op reads logits with keys before queries.
  nf_tensor turned = take(arrays, n, "dt0_in_pair_logits");
  for (int64_t h = 0; h < logits.shape[0]; h++)
    for (int64_t q = 0; q < 41; q++)
      for (int64_t k = 0; k < 41; k++) turned.data[(h * 41 + k) * 41 + q] = logits.data[(h * 41 + q) * 41 + k];
  float *act_before = take(arrays, n, "dt0_in_act").data;
  nf_tensor x = tensor_3(act.data, 1, 41, act.shape[1]);
  RUN({
    block_conditions conditions;
    diffusion_conditions(context, d, 1, cond, &conditions);
    diffusion_block_attention(context, d, &conditions, x, turned, seq_mask);
  });
  check_added(arrays, n, "dt0_attn_out", act_before, act.data, tensor_count(act));
  memcpy(act_before, act.data, (size_t)tensor_count(act) * sizeof(float));
  RUN({
    block_conditions conditions;
    diffusion_conditions(context, d, 1, cond, &conditions);
    diffusion_block_transition(context, d, &conditions, x);
  });
  check_added(arrays, n, "dt0_transition_out", act_before, act.data, tensor_count(act));
  check_added(arrays, n, "dt0_out", zero.data, act.data, tensor_count(act));
}
