// Algorithms 18 to 22: the conditioning, one denoising call, and the sampler, for all samples at once.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/fourier.h"
#include "model/network.h"

static const float sigma_data = 16.0f;  // angstrom: the spread of atom positions in training
static const double pi = 3.14159265358979323846;

// Without a plan, pair logits of the transformer's blocks are made anew in every step instead of kept above this size.
static const size_t logits_kept_at_most = (size_t)6 << 30;

// What depends neither on noise level nor on positions: once a job.
typedef struct {
  nf_tensor token_mask, atom_mask;  // (N), (N A)
  nf_tensor single_cond;            // (N, c): before the noise embedding
  nf_tensor logits;                 // (n_super, blocks of one * H, N N or as the device keeps them), or none: made in each step
  int logits_at_once;               // blocks whose logits are then made together
  nf_tensor pair_rows;              // (N, N, any): what logits are made of, in the device's form or else pair_cond; needed then
  nf_tensor pair_cond;              // (N, N, c); none unless it is pair_rows, or traced
  atom_features atoms;
  nf_tensor encoder_logits, decoder_logits;
  block_conditions encoder[ATOM_BLOCKS_MAX], decoder[ATOM_BLOCKS_MAX];
  const int32_t *atom_token;
  const uint8_t *atom_mask_bytes;
} diffusion_constants;

// Floats that a head's logits take in the device's own form, or 0: it has none.
static int64_t kept_logits(const nf_context *context, const diffusion_weights *w, int64_t n) {
  return context->ops->kept_logits(n, w->blocks[0].q.shape[0], w->blocks[0].q.shape[2]);
}
// Floats that a row of the pair conditioning takes in the device's own form for logits, or 0: it has none.
static int64_t kept_rows(const nf_context *context, const diffusion_weights *w) {
  return context->ops->kept_rows(w->logits.shape[1]);
}

bool diffusion_borrows(const nf_model *model, const memory_plan *plan) {
  return trunk_lends(model, plan) && plan->logits_remade &&
         model->ops->kept_rows(model->c_cond_pair) * (int64_t)sizeof(float) == trunk_pair_bytes(model, 1);
}
// Before the stage reads the pair.
static void take_pair(const nf_model *model, const trunk_output *trunk) {
  if (diffusion_borrows(model, trunk->plan)) trunk_lend_pair(trunk);
  else trunk_return_pair(trunk);
}

// Of n blocks of a super-block from `first` on: out (n * H, N N or as the device keeps them).
static void block_logits(nf_context *context, const diffusion_weights *w, const diffusion_constants *k, int per_super,
                         int first, int n, nf_tensor out) {
  int64_t n_token = k->pair_rows.shape[0], heads = n * w->blocks[0].q.shape[1];
  nf_tensor rows = k->pair_rows;
  bool own = kept_logits(context, w, n_token) > 0;
  OP(context, pair_logits, .x = tensor_shaped(rows, 4, 1, n_token, n_token, tensor_last(rows)),
     .kept_rows = kept_rows(context, w) > 0, .norm.scale = w->logits_norm, .w = tensor_slice(w->logits, first / per_super),
     .first_head = first % per_super * (int)w->blocks[0].q.shape[1], .n_head = (int)heads,
     .mask = own ? k->token_mask : (nf_tensor){0}, .out = own ? out : tensor_4(out.data, 1, heads, n_token, n_token));
}

// Algorithm 21, lines 1 to 5, some rows i at a time, each with all that later steps want of it: what the transformer's
// logits are made of (rows, of k), the atoms' pair features (pair).
static void pair_conditioning(nf_context *context, const nf_model *model, const model_inputs *inputs, nf_tensor trunk_pair,
                              const diffusion_constants *k, op_atom_pair pair) {
  enum { PAIRS_AT_ONCE = 1 << 16 };
  const diffusion_weights *w = &model->diffusion;
  int64_t n = inputs->n_token, c = model->c_cond_pair, c_atom_pair = tensor_last(w->encoder.pair),
          wide = model->dims.c_z + RELATIVE_CLASSES, rows = n < PAIRS_AT_ONCE / n ? n : PAIRS_AT_ONCE / n;
  if (rows < 1) rows = 1;
  bool given = tensor_given(k->pair_cond), whole = given && !k->pair_cond.away;
  const op_relative relative = inputs_relative(context, inputs);
  nf_tensor concat = CONTEXT_3(context, rows, n, wide), atom_pair = CONTEXT_3(context, rows, n, c_atom_pair),
            piece = whole ? k->pair_cond : CONTEXT_3(context, rows, n, c);
  for (int64_t first = 0; first < n; first += rows) {
    int64_t count = n - first < rows ? n - first : rows;
    nf_tensor part = tensor_some_rows(piece, whole ? first * n : 0, count * n);
    OP(context, relative_concat, .relative = relative, .pair = trunk_pair, .first = first, .n = count, .out = concat);
    OP(context, linear, .x = tensor_2(concat.data, count * n, wide), .normalise = true, .norm.scale = w->pair_norm,
       .w = w->pair, .exact = true, .y = part);
    for (int i = 0; i < 2; i++)
      OP(context, transition, .x = part, .norm = w->pair_transition[i].norm, .w1 = w->pair_transition[i].w1,
         .w2 = w->pair_transition[i].w2);
    if (given && !whole) OP(context, scale, .x = part, .factor = 1, .y = tensor_some_rows(k->pair_cond, first * n, count * n));
    if (kept_rows(context, w) > 0)
      OP(context, keep_rows, .x = part, .out = tensor_some_rows(k->pair_rows, first * n, count * n));
    OP(context, linear, .x = part, .normalise = true, .norm.scale = w->encoder.pair_norm, .w = w->encoder.pair, .exact = true,
       .y = tensor_2(atom_pair.data, count * n, c_atom_pair));
    pair.token_pair = tensor_3(atom_pair.data, count, n, c_atom_pair);
    pair.first_token = first;
    context->ops->atom_pair(context, &pair);
  }
}

// Floats (N, N, c) for what logits are made of.
static nf_tensor rows_place(nf_context *context, const nf_model *model, const memory_plan *plan, int64_t n, int64_t c) {
  return trunk_streams(model, plan) && plan->rows_away ? context_away(context, false, 3, n, n, c, 1) : CONTEXT_3(context, n, n, c);
}

// traced: a trace asks for tensors that the computation itself does not keep.
static void make_constants(nf_context *context, const nf_model *model, const memory_plan *plan,
                           const model_inputs *inputs, trunk_tensors from, bool traced, diffusion_constants *k) {
  const diffusion_weights *w = &model->diffusion;
  const nf_batch *batch = inputs->batch;
  int64_t n = inputs->n_token, c_s = model->dims.c_s, c_target = model->dims.c_target, c_pair = model->c_cond_pair,
          c = model->c_cond;
  k->token_mask = tensor_1(context_upload(context, inputs->token_mask, (size_t)n * 4), n);
  k->atom_mask =
      tensor_1(context_upload(context, inputs->atom_mask, (size_t)(n * inputs->n_slot) * 4), n * inputs->n_slot);
  k->atom_mask_bytes =
      context_upload(context, batch ? batch->pred_dense_atom_mask : NULL, (size_t)(n * inputs->n_slot));
  k->atom_token = context_upload(context, inputs->atom_token, (size_t)(inputs->n_subset * inputs->n_query) * 4);
  k->single_cond = CONTEXT_2(context, n, c);
  int per_super = model->dims.n_diffusion_blocks / w->n_super;
  int64_t heads = per_super * w->blocks[0].q.shape[1], own = kept_logits(context, w, n), own_rows = kept_rows(context, w);
  bool kept = plan ? !plan->logits_remade
                   : (size_t)w->n_super * (size_t)(heads * n * n) * sizeof(float) <= logits_kept_at_most;
  k->logits = kept ? CONTEXT_3(context, w->n_super, heads, own > 0 ? own : n * n) : (nf_tensor){0};
  k->logits_at_once = plan && plan->logits_by_block ? 1 : per_super;
  k->pair_rows = own_rows == 0 || kept ? (nf_tensor){0}
                 : diffusion_borrows(model, plan) ? tensor_3(from.pair.data, n, n, own_rows)
                                        : rows_place(context, model, plan, n, own_rows);
  k->pair_cond = traced || (own_rows == 0 && !kept) ? rows_place(context, model, plan, n, c_pair) : (nf_tensor){0};

  size_t mark = context_here(context);
  nf_tensor both = CONTEXT_2(context, n, c_s + c_target);
  OP(context, copy_columns, .x = from.single, .column = 0, .y = both);
  OP(context, copy_columns, .x = from.target, .column = c_s, .y = both);
  OP(context, linear, .x = both, .normalise = true, .norm.scale = w->single_norm, .w = w->single,
     .exact = true, .y = k->single_cond);
  context_reset(context, mark);

  k->atoms = atom_encoder_single(context, &w->encoder, inputs, from.single);
  diffusion_conditions(context, w->encoder.transformer.blocks, w->encoder.transformer.n_blocks, k->atoms.cond, k->encoder);
  diffusion_conditions(context, w->decoder.blocks, w->decoder.n_blocks, k->atoms.cond, k->decoder);
  k->encoder_logits = atom_logits_place(context, &w->encoder.transformer, inputs);
  k->decoder_logits = atom_logits_place(context, &w->decoder, inputs);

  // What is wanted only until logits are made, unless traced, lies behind what stays.
  const int64_t shape[4] = {inputs->n_subset, inputs->n_query, inputs->n_key, tensor_last(w->encoder.row)};
  if (traced) k->atoms.pair = CONTEXT_4(context, shape[0], shape[1], shape[2], shape[3]);
  mark = context_here(context);
  size_t mark_away = context_away_here(context);
  if (!traced) k->atoms.pair = CONTEXT_4(context, shape[0], shape[1], shape[2], shape[3]);
  if (own_rows > 0 && kept) k->pair_rows = rows_place(context, model, plan, n, own_rows);
  if (own_rows == 0 && !tensor_given(k->pair_cond)) k->pair_cond = rows_place(context, model, plan, n, c_pair);
  if (own_rows == 0) k->pair_rows = k->pair_cond;
  size_t inner = context_here(context);
  op_atom_pair pair = atom_encoder_pair(context, &w->encoder, inputs, &k->atoms);
  pair_conditioning(context, model, inputs, from.pair, k, pair);
  context_reset(context, inner);
  for (int i = 0; i < w->n_super && kept; i++)
    block_logits(context, w, k, per_super, i * per_super, per_super, tensor_slice(k->logits, i));
  atom_logits(context, &w->encoder.transformer, &k->atoms, k->encoder_logits);
  atom_logits(context, &w->decoder, &k->atoms, k->decoder_logits);
  context_reset(context, mark);
  context_away_reset(context, mark_away);
}

// What one call of the denoiser works on: everything lies at the same place in every step.
typedef struct {
  const nf_model *model;
  const model_inputs *inputs;
  const diffusion_constants *constants;
  nf_tensor noise;      // (1, FOURIER_SIZE): the noise level's embedding
  nf_tensor positions;  // (B, N A, 3): in, the scaled noisy ones; out, the network's update
  const nf_trace *trace;
  const char *prefix;
} denoiser;

// Algorithm 21, lines 6 to 10. Returns (N, c).
static nf_tensor single_conditioning(nf_context *context, const diffusion_weights *w, const diffusion_constants *k,
                                     nf_tensor noise) {
  int64_t n = k->single_cond.shape[0], c = k->single_cond.shape[1];
  nf_tensor cond = CONTEXT_2(context, n, c);
  size_t mark = context_here(context);
  nf_tensor added = CONTEXT_2(context, 1, c);
  OP(context, linear, .x = noise, .normalise = true, .norm.scale = w->noise_norm, .w = w->noise, .exact = true,
     .y = added);
  OP(context, scale, .x = k->single_cond, .factor = 1, .y = cond);
  OP(context, scale, .x = added, .factor = 1, .add = true, .y = cond);
  for (int i = 0; i < 2; i++)
    OP(context, transition, .x = cond, .norm = w->single_transition[i].norm, .w1 = w->single_transition[i].w1,
       .w2 = w->single_transition[i].w2);
  context_reset(context, mark);
  return cond;
}

// Algorithm 20 between the scalings: only what the noise embedding and the positions say differs from step to step.
static void denoise_scaled(nf_context *context, void *arguments) {
  const denoiser *d = arguments;
  const nf_model *model = d->model;
  const model_inputs *inputs = d->inputs;
  const diffusion_constants *k = d->constants;
  const diffusion_weights *w = &model->diffusion;
  const nf_trace *trace = d->trace;
  const char *prefix = d->prefix;
  int64_t n_b = d->positions.shape[0], n = inputs->n_token, n_slot = inputs->n_slot,
          m = inputs->n_subset * inputs->n_query, c_token = model->dims.c_token, c_atom = model->dims.c_atom;
  size_t mark = context_here(context);
  nf_tensor cond = single_conditioning(context, w, k, d->noise);
  trace_tensor(context, trace, prefix, "_diff_single_cond", cond);
  if (trace) trace_tensor(context, trace, prefix, "_diff_pair_cond", k->pair_cond);

  // Atoms: positions into windows, the encoder, the mean over each token.
  nf_tensor x = CONTEXT_3(context, n_b, m, c_atom), act = CONTEXT_3(context, n_b, n, c_token);
  nf_tensor x_flat = tensor_2(x.data, n_b * m, c_atom);
  size_t inner = context_here(context);
  nf_tensor windows = CONTEXT_3(context, n_b, m, 3);
  OP(context, gather, .x = d->positions, .index = k->atoms.atom_index, .y = windows);
  OP(context, linear, .x = tensor_2(windows.data, n_b * m, 3), .w = w->encoder.positions, .y = x_flat);
  context_reset(context, inner);
  OP(context, scale, .x = k->atoms.cond, .factor = 1, .add = true, .y = x_flat);
  atom_transformer(context, &w->encoder.transformer, &k->atoms, k->encoder_logits, k->encoder, x);
  OP(context, scale, .x = x_flat, .factor = 1, .row_factor = k->atoms.query_mask, .y = x_flat);
  nf_tensor wide = CONTEXT_3(context, 1, m, c_token);
  for (int64_t b = 0; b < n_b; b++) {
    nf_tensor tokens = tensor_slice(act, b);
    OP(context, linear, .x = tensor_slice(x, b), .w = w->encoder.aggregate, .y = tensor_2(wide.data, m, c_token));
    OP(context, atoms_to_tokens, .x = wide, .index = k->atoms.token_atom, .mask = k->atom_mask_bytes, .n_slot = n_slot,
       .y = tensor_3(tokens.data, 1, n, c_token));
  }
  int64_t n_s = inputs->n_subset, n_q = inputs->n_query, all = inputs->n_subset_full;
  if (trace) trace_subsets(context, trace, prefix, "_enc_diffusion_pair_cond", k->atoms.pair, all);
  trace_subsets(context, trace, prefix, "_enc_diffusion_queries_single_cond",
                tensor_3(k->atoms.cond.data, n_s, n_q, c_atom), all);
  trace_subsets(context, trace, prefix, "_enc_diffusion_skip_connection", tensor_3(x.data, n_s, n_q, c_atom), all);
  trace_tensor(context, trace, prefix, "_enc_diffusion_token_act", tensor_2(act.data, n, c_token));
  context_reset(context, inner);

  // Tokens: the transformer. Conditions serve all samples.
  nf_tensor act_flat = tensor_2(act.data, n_b * n, c_token), added = CONTEXT_2(context, n, c_token);
  OP(context, linear, .x = cond, .normalise = true, .norm.scale = w->cond_norm, .w = w->cond, .exact = true,
     .y = added);
  OP(context, scale, .x = added, .factor = 1, .add = true, .y = act_flat);
  int per_super = model->dims.n_diffusion_blocks / w->n_super;
  int64_t heads = w->blocks[0].q.shape[1], own = kept_logits(context, w, n), of_head = own > 0 ? own : n * n;
  bool kept = tensor_given(k->logits);
  int at_once = k->logits_at_once;
  nf_tensor fresh = kept ? (nf_tensor){0} : CONTEXT_2(context, at_once * heads, of_head);
  int n_blocks = model->dims.n_diffusion_blocks, ahead = diffusion_conditions_at_once(context, w->blocks, n_blocks, n);
  block_conditions conditions[CONDITIONS_MOST];
  size_t block = context_here(context);
  for (int i = 0; i < n_blocks; i++) {
    if (i % ahead == 0) {
      context_reset(context, block);
      diffusion_conditions(context, &w->blocks[i], n_blocks - i < ahead ? n_blocks - i : ahead, cond, conditions);
    }
    if (!kept && i % at_once == 0) block_logits(context, w, k, per_super, i, at_once, fresh);
    nf_tensor logits = kept ? tensor_slice(k->logits, i / per_super) : fresh;
    const float *first = tensor_at(logits, i % (kept ? per_super : at_once) * heads * of_head);
    nf_tensor mine = own > 0 ? tensor_2(first, heads, own) : tensor_3(first, heads, n, n);
    diffusion_block_attention(context, &w->blocks[i], &conditions[i % ahead], act, mine, k->token_mask);
    diffusion_block_transition(context, &w->blocks[i], &conditions[i % ahead], act);
  }
  context_reset(context, inner);
  if (trace) {
    nf_tensor normalised = CONTEXT_2(context, n_b * n, c_token);
    OP(context, layer_norm, .x = act_flat, .norm.scale = w->out_norm, .y = normalised);
    trace_tensor(context, trace, prefix, "_diff_token_act_after_transformer_norm", tensor_2(normalised.data, n, c_token));
    context_reset(context, inner);
  }

  // Atoms again: the decoder.
  nf_tensor narrow = CONTEXT_3(context, n_b, n, c_atom), moves = CONTEXT_3(context, n_b, m, 3);
  // As the conditions' layers: on a GPU, an op whose result for a sample does not depend on how many pass together.
  const linear_layer broadcast = {.scale = w->out_norm, .w = w->broadcast};
  OP(context, linears, .x = act_flat, .n_blocks = 1, .n = 1, .layers = &broadcast, .y = tensor_3(narrow.data, 1, n_b * n, c_atom));
  // Masked atoms have been zeros since the encoder: nothing is added to them here, and nothing read of them below.
  OP(context, gather, .x = narrow, .index = k->atom_token, .add = true, .y = x);
  atom_transformer(context, &w->decoder, &k->atoms, k->decoder_logits, k->decoder, x);
  OP(context, linear, .x = x_flat, .normalise = true, .norm.scale = w->atom_norm, .w = w->update,
     .y = tensor_2(moves.data, n_b * m, 3));
  OP(context, gather, .x = moves, .index = k->atoms.token_atom, .y = d->positions);
  trace_tensor(context, trace, prefix, "_diff_position_update", tensor_3(d->positions.data, n, n_slot, 3));
  context_reset(context, mark);
}

// Algorithm 20: noisy positions (B, N A, 3) to denoised ones. trace: of one sample's call, or NULL. steps: where calls
// with the same tensors are repeated, else NULL.
static void denoise(nf_context *context, const nf_model *model, const model_inputs *inputs,
                    const diffusion_constants *k, nf_tensor noisy, float noise_level, const nf_trace *trace,
                    const char *prefix, nf_repetition *steps, nf_tensor denoised) {
  const diffusion_weights *w = &model->diffusion;
  int64_t n_b = noisy.shape[0], atoms = noisy.shape[1];
  float size = sqrtf(noise_level * noise_level + sigma_data * sigma_data);
  size_t mark = context_here(context);
  denoiser d = {model, inputs, k, CONTEXT_2(context, 1, FOURIER_SIZE), CONTEXT_3(context, n_b, atoms, 3), trace, prefix};
  float embedding[FOURIER_SIZE], level = 0.25f * logf(noise_level / sigma_data);
  for (int i = 0; i < FOURIER_SIZE; i++) {
    float phase = level * w->fourier_weight[i] + w->fourier_bias[i];
    embedding[i] = (float)cos(2 * pi * (double)phase);
  }
  if (!context->dry) context->ops->upload(d.noise.data, embedding, sizeof embedding);
  OP(context, scale, .x = noisy, .factor = 1.0f / size, .row_factor = k->atom_mask, .y = d.positions);
  if (steps) context_repeat(context, steps, denoise_scaled, &d);
  else denoise_scaled(context, &d);
  OP(context, scale, .x = noisy, .factor = sigma_data * sigma_data / (size * size), .row_factor = k->atom_mask,
     .y = denoised);
  OP(context, scale, .x = d.positions, .factor = noise_level * sigma_data / size, .row_factor = k->atom_mask, .add = true,
     .y = denoised);
  trace_tensor(context, trace, prefix, "_out", tensor_3(denoised.data, inputs->n_token, inputs->n_slot, 3));
  context_reset(context, mark);
}

typedef struct {
  const nf_model *model;
  const model_inputs *inputs;
  const trunk_output *trunk;  // NULL in a dry run
  const diffusion_options *options;
  const memory_plan *plan;
  int64_t first_sample, n_group;  // samples that pass together
  bool stopped;                   // by the keeper
  float *positions;  // out, on the host: (samples of the group, N, A, 3)
  // For one denoising call instead of the sampler:
  const float *noisy;
  float noise_level;
  const char *prefix;
  int64_t flops_before;  // FLOPs before the first step
  // Traced sampler: (steps, ...) arrays on the host, or all NULL.
  float *rotations, *translations, *augmented, *normals, *noisy_steps, *denoised_steps, *out_steps, *t_hats, *scales;
} diffusion_arguments;

static void denoise_body(nf_context *context, void *arguments) {
  diffusion_arguments *a = arguments;
  int64_t n = a->inputs->n_token, atoms = n * a->inputs->n_slot;
  const trunk_tensors from = trunk_as_tensors(a->model, a->plan, a->trunk, n);
  nf_tensor noisy = CONTEXT_3(context, 1, atoms, 3), denoised = CONTEXT_3(context, 1, atoms, 3);
  diffusion_constants constants;
  make_constants(context, a->model, a->plan, a->inputs, from, a->options->trace != NULL, &constants);
  if (!context->dry) context->ops->upload(noisy.data, a->noisy, (size_t)(atoms * 3) * sizeof(float));
  denoise(context, a->model, a->inputs, &constants, noisy, a->noise_level, a->options->trace, a->prefix, NULL, denoised);
  if (!context->dry) context->ops->download(a->positions, denoised.data, (size_t)(atoms * 3) * sizeof(float));
}

nf_status diffusion_denoise(const nf_model *model, const nf_batch *batch, const trunk_output *trunk,
                            const float *positions_noisy, float noise_level, const char *prefix, const nf_trace *trace,
                            nf_arena *arena, float *positions_out) {
  if (!(noise_level > 0)) return nf_fail(NF_INPUT, "noise level %g is not above 0", (double)noise_level);
  nf_arena_mark mark = nf_arena_here(arena);
  model_inputs inputs;
  NF_TRY(inputs_create(model, batch, arena, &inputs));
  diffusion_options options = {.n_samples = 1, .trace = trace};
  diffusion_arguments a = {.model = model,
                           .inputs = &inputs,
                           .trunk = trunk,
                           .options = &options,
                           .plan = trunk->plan,
                           .positions = positions_out,
                           .noisy = positions_noisy,
                           .noise_level = noise_level,
                           .prefix = prefix};
  take_pair(model, trunk);
  nf_status status = model_run_body(model, trunk->plan, denoise_body, &a);
  nf_arena_reset(arena, mark);
  return status;
}

static float schedule(int step, int steps) {
  const double s_max = 160, s_min = 0.0004, p = 7;
  double t = (double)step / steps;
  return (float)((double)sigma_data * pow(pow(s_max, 1 / p) + t * (pow(s_min, 1 / p) - pow(s_max, 1 / p)), p));
}

// Two normal vectors made orthonormal, and their cross product, as rows.
static void random_rotation(nf_key key, float r[9]) {
  float *e0 = r, *e1 = r + 3, *e2 = r + 6;
  nf_random_normals(key, 0, 6, r);
  float norm = sqrtf(e0[0] * e0[0] + e0[1] * e0[1] + e0[2] * e0[2]);
  for (int i = 0; i < 3; i++) e0[i] /= fmaxf(norm, 1e-10f);
  float along = e1[0] * e0[0] + e1[1] * e0[1] + e1[2] * e0[2];
  for (int i = 0; i < 3; i++) e1[i] -= along * e0[i];
  norm = sqrtf(e1[0] * e1[0] + e1[1] * e1[1] + e1[2] * e1[2]);
  for (int i = 0; i < 3; i++) e1[i] /= fmaxf(norm, 1e-10f);
  for (int i = 0; i < 3; i++) e2[i] = e0[(i + 1) % 3] * e1[(i + 2) % 3] - e0[(i + 2) % 3] * e1[(i + 1) % 3];
}

static void keep(const nf_context *context, float *steps, int step, nf_tensor t) {
  if (context->dry || !steps) return;
  int64_t count = tensor_count(t);
  context->ops->download(steps + step * count, t.data, (size_t)count * sizeof(float));
}

static void sample_body(nf_context *context, void *arguments) {
  enum { MAX_SAMPLES = 1024 };
  const float gamma_0 = 0.8f, gamma_min = 1.0f, noise_scale = 1.003f, step_scale = 1.5f;
  diffusion_arguments *a = arguments;
  const diffusion_options *options = a->options;
  const nf_trace *trace = options->trace;
  int64_t n = a->inputs->n_token, n_slot = a->inputs->n_slot, atoms = n * n_slot, n_b = a->n_group;
  NF_ASSERT(options->n_samples <= MAX_SAMPLES);
  const trunk_tensors from = trunk_as_tensors(a->model, a->plan, a->trunk, n);
  nf_tensor x = context_result(context, a->positions, tensor_3(NULL, n_b, atoms, 3)),
            denoised = CONTEXT_3(context, n_b, atoms, 3);
  stage_state state = {.part = (int32_t)a->first_sample, .n_arrays = 1};
  bool restored = keeper_restore(context, options->keeper, &x, &state) && state.done >= 0 && state.done <= options->steps;
  if (restored && state.done == options->steps) {
    if (options->ticker) options->ticker->step(options->ticker->context, options->steps);
    context_return(context, a->positions, x);
    return;
  }
  diffusion_constants constants;
  make_constants(context, a->model, a->plan, a->inputs, from, false, &constants);

  // The first draw is indexed as if tokens were padded to the bucket; a step's draw has a key of its own per sample.
  int64_t padded = options->noise_tokens > n ? options->noise_tokens : n;
  nf_key all_keys[MAX_SAMPLES], *keys = all_keys + a->first_sample, noise_keys[MAX_SAMPLES], pair_of_keys[2];
  int64_t first[MAX_SAMPLES];
  float rotations[MAX_SAMPLES * 9], translations[MAX_SAMPLES * 3];
  nf_key_split(options->key, 2, pair_of_keys);
  nf_key_split(pair_of_keys[0], options->n_samples, all_keys);
  for (int64_t b = 0; b < n_b; b++) {
    noise_keys[b] = pair_of_keys[1];
    first[b] = (a->first_sample + b) * padded * n_slot * 3;
  }
  float level = schedule(0, options->steps);
  if (!restored) {
    OP(context, scale, .x = x, .factor = 0, .y = x);
    OP(context, add_normals, .x = x, .keys = noise_keys, .first = first, .factor = 1);
    if (n_b == 1) trace_tensor(context, trace, "", "sampling_init_normal", tensor_3(x.data, n, n_slot, 3));
    OP(context, scale, .x = x, .factor = level, .y = x);
  }

  a->flops_before = context->flops;
  nf_repetition repetition = {0};
  int steps = context->dry ? 1 : options->steps;
  for (int step = 0; step < steps; step++) {
    float previous = schedule(step, options->steps);
    level = schedule(step + 1, options->steps);
    for (int64_t b = 0; b < n_b; b++) {
      nf_key three[3], two[2];
      nf_key_split(keys[b], 3, three);
      keys[b] = three[0];
      noise_keys[b] = three[1];
      nf_key_split(three[2], 2, two);
      random_rotation(two[0], rotations + b * 9);
      nf_random_normals(two[1], 0, 3, translations + b * 3);
    }
    if (restored && step < state.done) {
      if (options->ticker) options->ticker->step(options->ticker->context, 1);
      continue;
    }
    float t_hat = previous * (1 + (level > gamma_min ? gamma_0 : 0));
    float extra = noise_scale * sqrtf(fmaxf(t_hat * t_hat - previous * previous, 0.0f));
    OP(context, augment, .x = x, .mask = constants.atom_mask, .rotation = rotations, .translation = translations);
    keep(context, a->augmented, step, x);
    OP(context, add_normals, .x = x, .keys = noise_keys, .factor = extra);
    keep(context, a->noisy_steps, step, x);
    denoise(context, a->model, a->inputs, &constants, x, t_hat, NULL, "", &repetition, denoised);
    keep(context, a->denoised_steps, step, denoised);
    // x + step_scale (level - t_hat) (x - denoised) / t_hat
    float along = step_scale * (level - t_hat) / t_hat;
    OP(context, scale, .x = x, .factor = 1 + along, .y = x);
    OP(context, scale, .x = denoised, .factor = -along, .add = true, .y = x);
    keep(context, a->out_steps, step, x);
    if (context->dry) continue;
    if (a->rotations) {
      memcpy(a->rotations + step * 9, rotations, 9 * sizeof(float));
      memcpy(a->translations + step * 3, translations, 3 * sizeof(float));
      nf_random_normals(noise_keys[0], 0, atoms * 3, a->normals + step * atoms * 3);
      a->t_hats[step] = t_hat;
      a->scales[step] = extra;
    }
    if (options->ticker) options->ticker->step(options->ticker->context, 1);
    stage_state now = {.part = (int32_t)a->first_sample, .done = step + 1, .n_arrays = 1};
    a->stopped = !keeper_keep(context, options->keeper, step + 1 == steps, &x, &now);
    if (a->stopped) break;
  }
  context_end_repeat(context, &repetition);
  context_return(context, a->positions, x);
}

static void emit(const nf_trace *trace, const char *name, const float *data, int n_dims, int64_t a, int64_t b,
                 int64_t c, int64_t d) {
  int64_t shape[4] = {a, b, c, d};
  trace->seam(trace->context, name, NF_F32, n_dims, shape, data);
}

nf_status diffusion_run(const nf_model *model, const nf_batch *batch, const trunk_output *trunk,
                        const diffusion_options *options, nf_arena *arena, float **ret_positions) {
  if (options->steps < 1) return nf_fail(NF_INPUT, "diffusion_steps is %d, but at least one is needed", options->steps);
  if (options->n_samples < 1 || options->n_samples > 1024)
    return nf_fail(NF_INPUT, "num_diffusion_samples is %d, but it must be between 1 and 1024", options->n_samples);
  int64_t n = batch->n_token, n_slot = batch->n_slot, atoms = n * n_slot, n_b = options->n_samples,
          steps = options->steps;
  float *positions = nf_arena_alloc(arena, (size_t)(n_b * atoms * 3) * sizeof(float));
  nf_arena_mark mark = nf_arena_here(arena);
  model_inputs inputs;
  NF_TRY(inputs_create(model, batch, arena, &inputs));
  diffusion_arguments a = {
      .model = model, .inputs = &inputs, .trunk = trunk, .options = options, .plan = trunk->plan};
  const nf_trace *trace = options->trace;
  bool traced = trace && n_b == 1;
  if (traced) {
    a.rotations = NF_NEW(arena, float, steps * 9);
    a.translations = NF_NEW(arena, float, steps * 3);
    a.t_hats = NF_NEW(arena, float, steps);
    a.scales = NF_NEW(arena, float, steps);
    float **arrays[] = {&a.augmented, &a.normals, &a.noisy_steps, &a.denoised_steps, &a.out_steps};
    for (int i = 0; i < 5; i++) *arrays[i] = NF_NEW(arena, float, steps *atoms * 3);
  }
  int64_t group = trunk->plan && trunk->plan->samples_at_once > 0 ? trunk->plan->samples_at_once : n_b;
  nf_status status = NF_OK;
  for (int64_t sample = 0; sample < n_b && status == NF_OK; sample += group) {
    take_pair(model, trunk);
    a.first_sample = sample;
    a.n_group = n_b - sample < group ? n_b - sample : group;
    a.positions = positions + sample * atoms * 3;
    status = model_run_body(model, trunk->plan, sample_body, &a);
    if (status == NF_OK && a.stopped) status = nf_fail(NF_FAILED, "the diffusion was stopped on request");
  }
  if (status == NF_OK && trace) {
    float *levels = NF_NEW(arena, float, steps + 1);
    for (int i = 0; i <= steps; i++) levels[i] = schedule(i, (int)steps);
    emit(trace, "noise_levels", levels, 1, steps + 1, 1, 1, 1);
    emit(trace, "full_sample_atom_positions", positions, 4, n_b, n, n_slot, 3);
    uint8_t *mask = NF_NEW(arena, uint8_t, n_b * atoms);
    for (int64_t i = 0; i < n_b * atoms; i++) mask[i] = batch->pred_dense_atom_mask[i % atoms];
    int64_t shape[3] = {n_b, n, n_slot};
    trace->seam(trace->context, "full_sample_mask", NF_BOOL, 3, shape, mask);
  }
  if (status == NF_OK && traced) {
    emit(trace, "sampling_rot", a.rotations, 3, steps, 3, 3, 1);
    emit(trace, "sampling_trans", a.translations, 2, steps, 3, 1, 1);
    emit(trace, "sampling_aug_out", a.augmented, 4, steps, n, n_slot, 3);
    emit(trace, "sampling_noise_normal", a.normals, 4, steps, n, n_slot, 3);
    emit(trace, "sampling_t_hat", a.t_hats, 1, steps, 1, 1, 1);
    emit(trace, "sampling_noise_scale", a.scales, 1, steps, 1, 1, 1);
    emit(trace, "sampling_pos_noisy", a.noisy_steps, 4, steps, n, n_slot, 3);
    emit(trace, "sampling_pos_denoised", a.denoised_steps, 4, steps, n, n_slot, 3);
    emit(trace, "sampling_pos_out", a.out_steps, 4, steps, n, n_slot, 3);
  }
  nf_arena_reset(arena, mark);
  *ret_positions = positions;
  return status;
}

model_cost diffusion_count(const nf_model *model, const memory_plan *plan, const model_inputs *inputs, int n_samples) {
  int group = plan && plan->samples_at_once > 0 && plan->samples_at_once < n_samples ? plan->samples_at_once : n_samples;
  diffusion_options options = {.steps = 1, .n_samples = n_samples};
  diffusion_arguments a = {.model = model, .inputs = inputs, .options = &options, .plan = plan, .n_group = group};
  nf_context context = model_dry_context(model, plan);
  sample_body(&context, &a);
  int64_t groups = (n_samples + group - 1) / group;  // each does what comes before the first step for itself
  return (model_cost){(int64_t)context.peak, groups * a.flops_before, groups * (context.flops - a.flops_before),
                      (int64_t)context.host_peak};
}
