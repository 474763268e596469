// Algorithm 31: how sure the model is of one sample.
#include <math.h>
#include <string.h>

#include "model/network.h"

typedef struct {
  const nf_model *model;
  const model_inputs *inputs;
  const memory_plan *plan;
  const trunk_output *trunk;      // NULL in a dry run
  bool borrows;                   // works where the trunk's pair lies
  const float *beta;              // (N, 3): pseudo-beta positions of the sample
  const float *pae_values;        // (bins): centres
  const float *global_values;     // (bins): TM term of each bin at the whole's size
  const float *interface_values;  // (sizes, bins): at each size
  const int32_t *interface_row;   // (N N): a pair's size
  int64_t n_sizes;
  const float *pde_values, *plddt_values, *resolved_values;
  const nf_trace *trace;
  confidence_output *output;
} confidence_arguments;

static void expect(nf_context *context, nf_tensor logits, const float *values, int64_t bins, nf_tensor out) {
  OP(context, expectation, .logits = logits, .n_outputs = 1, .values = {context_upload(context, values, (size_t)bins * 4)},
     .out = {out});
}

static void confidence_body(nf_context *context, void *arguments) {
  confidence_arguments *a = arguments;
  const nf_model *model = a->model;
  const confidence_weights *w = &model->confidence;
  int64_t n = a->inputs->n_token, c_z = model->dims.c_z, c_s = model->dims.c_s, n_slot = w->plddt.shape[1], pde_bins = tensor_last(w->pde), pae_bins = tensor_last(w->pae),
          plddt_bins = tensor_last(w->plddt);
  const trunk_tensors from = trunk_as_tensors(model, a->plan, a->trunk, n);
  nf_tensor mask = tensor_1(context_upload(context, a->inputs->token_mask, (size_t)n * 4), n);
  nf_tensor pair = a->borrows ? from.pair : from.pair.away ? context_away(context, true, 3, n, n, c_z, 1) : CONTEXT_NARROW_3(context, n, n, c_z),
            single = CONTEXT_2(context, n, c_s);
  if (!a->borrows) OP(context, scale, .x = from.pair, .factor = 1, .y = pair);
  OP(context, scale, .x = from.single, .factor = 1, .y = single);
  context->reduced = true;
  size_t mark = context_here(context);
  // The left projection goes along j here and the right one along i, unlike in the trunk.
  nf_tensor left = CONTEXT_2(context, n, c_z), right = CONTEXT_2(context, n, c_z);
  OP(context, linear, .x = from.target, .w = w->left, .y = left);
  OP(context, linear, .x = from.target, .w = w->right, .y = right);
  OP(context, outer_sum, .left = right, .right = left, .add = true, .pair = pair);
  context_reset(context, mark);
  OP(context, distance_embed, .positions = tensor_2(context_upload(context, a->beta, (size_t)n * 12), n, 3), .mask = mask,
     .w = w->distance, .y = pair);
  context_reset(context, mark);
  for (int i = 0; i < model->dims.n_confidence_blocks; i++)
    pairformer_block(context, &w->blocks[i], pair, single, mask);

  nf_tensor flat = tensor_as_2(pair, n * n, c_z), out = CONTEXT_2(context, n, n);
  size_t inner = context_here(context), inner_away = context_away_here(context);
  nf_tensor logits = context_with(context, pair, n, n, pde_bins);
  OP(context, linear, .x = flat, .normalise = true, .norm = w->pde_norm, .w = w->pde,
     .y = tensor_as_2(logits, n * n, pde_bins));
  OP(context, expectation, .logits = logits, .symmetric = true, .n_outputs = 1,
     .values = {context_upload(context, a->pde_values, (size_t)pde_bins * 4)}, .out = {out});
  trace_tensor(context, a->trace, "confidence_", "pde_logits_sym", logits);
  if (!context->dry) context->ops->download(a->output->full_pde, out.data, (size_t)(n * n) * sizeof(float));
  context_reset(context, inner);
  context_away_reset(context, inner_away);

  nf_tensor global = CONTEXT_2(context, n, n), interface = CONTEXT_2(context, n, n);
  logits = context_with(context, pair, n, n, pae_bins);
  OP(context, linear, .x = flat, .normalise = true, .norm = w->pae_norm, .w = w->pae,
     .y = tensor_as_2(logits, n * n, pae_bins));
  trace_tensor(context, a->trace, "confidence_", "pae_logits", logits);
  OP(context, expectation, .logits = logits, .n_outputs = 3,
     .values = {context_upload(context, a->pae_values, (size_t)pae_bins * 4),
                context_upload(context, a->global_values, (size_t)pae_bins * 4),
                context_upload(context, a->interface_values, (size_t)(a->n_sizes * pae_bins) * 4)},
     .row_table = {NULL, NULL, context_upload(context, a->interface_row, (size_t)(n * n) * 4)},
     .out = {out, global, interface});
  if (!context->dry) {
    context->ops->download(a->output->full_pae, out.data, (size_t)(n * n) * sizeof(float));
    context->ops->download(a->output->tmscore_adjusted_pae_global, global.data, (size_t)(n * n) * sizeof(float));
    context->ops->download(a->output->tmscore_adjusted_pae_interface, interface.data, (size_t)(n * n) * sizeof(float));
  }
  context_reset(context, inner);

  nf_tensor atoms = CONTEXT_2(context, n, n_slot);
  logits = CONTEXT_3(context, n, n_slot, plddt_bins);
  OP(context, linear, .x = single, .normalise = true, .norm = w->plddt_norm, .w = w->plddt,
     .y = tensor_2(logits.data, n, n_slot * plddt_bins));
  trace_tensor(context, a->trace, "confidence_", "plddt_logits", logits);
  expect(context, tensor_2(logits.data, n * n_slot, plddt_bins), a->plddt_values, plddt_bins, atoms);
  if (!context->dry) context->ops->download(a->output->predicted_lddt, atoms.data, (size_t)(n * n_slot) * sizeof(float));
  context_reset(context, inner);
  atoms = CONTEXT_2(context, n, n_slot);
  logits = CONTEXT_3(context, n, n_slot, 2);
  OP(context, linear, .x = single, .normalise = true, .norm = w->resolved_norm, .w = w->resolved,
     .y = tensor_2(logits.data, n, n_slot * 2));
  trace_tensor(context, a->trace, "confidence_", "resolved_logits", logits);
  expect(context, tensor_2(logits.data, n * n_slot, 2), a->resolved_values, 2, atoms);
  if (!context->dry)
    context->ops->download(a->output->predicted_experimentally_resolved, atoms.data, (size_t)(n * n_slot) * sizeof(float));
}

// Centres of `bins` bins of equal width from 0; the last one is open and starts at `most`.
static float *bin_centres(nf_arena *arena, int64_t bins, float most) {
  float *centres = NF_NEW(arena, float, bins), step = bins > 2 ? most / (float)(bins - 2) : most;
  for (int64_t i = 0; i < bins; i++) centres[i] = step * ((float)i + 0.5f);
  return centres;
}

// 1 / (1 + (d / d0)^2) for every bin, with d0 of the TM-score (Zhang and Skolnick 2004, equation 5) for `size` residues.
static void tm_terms(int64_t size, int64_t bins, const float *centres, float *terms) {
  double d0 = 1.24 * cbrt((double)(size > 19 ? size : 19) - 15) - 1.8;
  for (int64_t i = 0; i < bins; i++) terms[i] = (float)(1 / (1 + (double)centres[i] * centres[i] / (d0 * d0)));
}

// A pair's size: the tokens of both its chains, or of the one, that count; 0 if it does not count itself. Rows of `values` for
// sizes that no pair has are left zeros.
static void make_sizes(const nf_batch *batch, nf_arena *arena, confidence_arguments *a, int64_t *ret_n_real) {
  int64_t n = batch->n_token, bins = tensor_last(a->model->confidence.pae), n_chain = 0, n_real = 0;
  int64_t *chain = NF_NEW(arena, int64_t, n), *first = NF_NEW(arena, int64_t, n), *size = NF_NEW(arena, int64_t, n);
  for (int64_t i = 0; i < n; i++) {  // chains are runs of tokens, as a rule: the last one is asked first
    int64_t c = n_chain - 1;
    while (c >= 0 && batch->asym_id[first[c]] != batch->asym_id[i]) c--;
    if (c < 0) c = n_chain, first[n_chain++] = i;
    chain[i] = c;
    size[c] += batch->seq_mask[i];
    n_real += batch->seq_mask[i];
  }
  int32_t *rows = nf_arena_alloc(arena, (size_t)(n * n) * sizeof *rows);
  int64_t *row_of = NF_NEW(arena, int64_t, n_chain);  // one more than the chain's token whose row has been made
  for (int64_t i = 0; i < n; i++) {
    int32_t *row = rows + i * n;
    int64_t c = chain[i];
    if (!batch->seq_mask[i]) {
      memset(row, 0, (size_t)n * sizeof *row);
    } else if (row_of[c]) {
      memcpy(row, rows + (row_of[c] - 1) * n, (size_t)n * sizeof *row);
    } else {
      for (int64_t j = 0; j < n; j++) row[j] = batch->seq_mask[j] ? (int32_t)(size[c] + (chain[j] == c ? 0 : size[chain[j]])) : 0;
      row_of[c] = i + 1;
    }
  }
  a->n_sizes = 2 * n + 1;
  float *values = NF_NEW(arena, float, a->n_sizes * bins);
  bool *made = NF_NEW(arena, bool, a->n_sizes);
  tm_terms(0, bins, a->pae_values, values);
  for (int64_t c = 0; c < n_chain; c++)
    for (int64_t j = 0; j < n && row_of[c]; j++) {
      int32_t of = rows[(row_of[c] - 1) * n + j];
      if (of && !made[of]) tm_terms(of, bins, a->pae_values, values + of * bins), made[of] = true;
    }
  a->interface_row = rows;
  a->interface_values = values;
  *ret_n_real = n_real;
}

// Zeros where a pair does not count, and the sum of all PDE.
static double mask_errors(const nf_batch *batch, bool all_count, confidence_output *out) {
  int64_t n = batch->n_token;
  double sum = 0;
  for (int64_t i = 0; i < n; i++) {
    float *pae = out->full_pae + i * n, *pde = out->full_pde + i * n;
    for (int64_t j = 0; j < n && !all_count; j++)
      if (!(batch->seq_mask[i] && batch->seq_mask[j])) pae[j] = pde[j] = 0;
    double part[4] = {0};  // four sums: one alone would wait for itself
    int64_t j = 0;
    for (; j + 4 <= n; j += 4)
      for (int k = 0; k < 4; k++) part[k] += pde[j + k];
    for (; j < n; j++) part[0] += pde[j];
    sum += (part[0] + part[1]) + (part[2] + part[3]);
  }
  return sum;
}

static void emit(const nf_trace *trace, const char *name, const float *data, int n_dims, int64_t a, int64_t b) {
  int64_t shape[2] = {a, b};
  if (trace) trace->seam(trace->context, name, NF_F32, n_dims, shape, data);
}

nf_status confidence_run(const nf_model *model, const nf_batch *batch, const trunk_output *trunk, const float *positions,
                         const nf_trace *trace, nf_arena *arena, confidence_output *ret_confidence) {
  const float max_error = 31.0f;  // angstrom: where the last bin of PAE and PDE begins
  int64_t n = batch->n_token, n_slot = batch->n_slot, pae_bins = tensor_last(model->confidence.pae),
          plddt_bins = tensor_last(model->confidence.plddt);
  const size_t pairs = (size_t)(n * n) * sizeof(float);
  confidence_output out = {.predicted_lddt = NF_NEW(arena, float, n * n_slot),
                           .predicted_experimentally_resolved = NF_NEW(arena, float, n * n_slot),
                           .full_pae = nf_arena_alloc(arena, pairs),
                           .full_pde = nf_arena_alloc(arena, pairs),
                           .tmscore_adjusted_pae_global = nf_arena_alloc(arena, pairs),
                           .tmscore_adjusted_pae_interface = nf_arena_alloc(arena, pairs)};
  nf_arena_mark mark = nf_arena_here(arena);
  // The device waits meanwhile: of the inputs, which the trunk has checked, only what the head reads is made.
  model_inputs inputs = {.batch = batch, .n_token = n, .n_slot = n_slot, .token_mask = NF_NEW(arena, float, n)};
  for (int64_t i = 0; i < n; i++) inputs.token_mask[i] = batch->seq_mask[i];
  confidence_arguments a = {.model = model, .inputs = &inputs, .plan = trunk->plan, .trunk = trunk, .trace = trace, .output = &out,
                            .borrows = trunk_lends(model, trunk->plan)};
  float *beta = NF_NEW(arena, float, n * 3);
  for (int64_t i = 0; i < n; i++)
    for (int s = 0; s < 3; s++)
      beta[i * 3 + s] = batch->pseudo_beta_mask[i] ? positions[(int64_t)batch->pseudo_beta_idxs[i] * 3 + s] : 0;
  a.beta = beta;
  a.pde_values = bin_centres(arena, tensor_last(model->confidence.pde), max_error);
  a.pae_values = bin_centres(arena, pae_bins, max_error);
  float *plddt = NF_NEW(arena, float, plddt_bins), *resolved = NF_NEW(arena, float, 2), *global = NF_NEW(arena, float, pae_bins);
  int64_t n_real;
  for (int64_t i = 0; i < plddt_bins; i++) plddt[i] = 100.0f * ((float)i + 0.5f) / (float)plddt_bins;
  resolved[1] = 1;
  a.plddt_values = plddt;
  a.resolved_values = resolved;
  make_sizes(batch, arena, &a, &n_real);
  tm_terms(n_real, pae_bins, a.pae_values, global);
  a.global_values = global;
  if (a.borrows) trunk_lend_pair(trunk);
  else trunk_return_pair(trunk);
  nf_status status = model_run_body(model, trunk->plan, confidence_body, &a);
  if (status == NF_OK) {
    out.average_pde = (float)(mask_errors(batch, n_real == n, &out) / (double)(n_real * n_real));
    emit(trace, "confidence_average_pde", &out.average_pde, 0, 1, 1);
    emit(trace, "confidence_full_pae", out.full_pae, 2, n, n);
    emit(trace, "confidence_full_pde", out.full_pde, 2, n, n);
    emit(trace, "confidence_predicted_experimentally_resolved", out.predicted_experimentally_resolved, 2, n, n_slot);
    emit(trace, "confidence_predicted_lddt", out.predicted_lddt, 2, n, n_slot);
    emit(trace, "confidence_tmscore_adjusted_pae_global", out.tmscore_adjusted_pae_global, 2, n, n);
    emit(trace, "confidence_tmscore_adjusted_pae_interface", out.tmscore_adjusted_pae_interface, 2, n, n);
  }
  nf_arena_reset(arena, mark);
  *ret_confidence = out;
  return status;
}

model_cost confidence_count(const nf_model *model, const memory_plan *plan, const model_inputs *inputs) {
  confidence_arguments a = {.model = model, .inputs = inputs, .plan = plan, .n_sizes = 2 * inputs->n_token + 1,
                            .borrows = trunk_lends(model, plan)};
  nf_context context = model_dry_context(model, plan);
  confidence_body(&context, &a);
  return (model_cost){(int64_t)context.peak, 0, context.flops, (int64_t)context.host_peak};
}
