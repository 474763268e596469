// The distogram: how far apart pseudo-betas are, and which pairs are in contact.
#include "model/network.h"

typedef struct {
  const nf_model *model;
  const memory_plan *plan;
  const trunk_output *trunk;  // NULL in a dry run
  int64_t n_token;
  const float *is_contact;  // (bins)
  distogram_output *output;
} distogram_arguments;

static void distogram_body(nf_context *context, void *arguments) {
  distogram_arguments *a = arguments;
  int64_t n = a->n_token, c_z = a->model->dims.c_z, bins = tensor_last(a->model->distogram);
  nf_tensor pair = tensor_as_2(trunk_as_tensors(a->model, a->plan, a->trunk, n).pair, n * n, c_z);
  distogram_output none = {0}, *out = a->output ? a->output : &none;
  nf_tensor logits = pair.away ? context_with(context, pair, n, n, bins) : context_result(context, out->logits, tensor_3(NULL, n, n, bins)),
            contacts = context_result(context, out->contact_probs, tensor_2(NULL, n, n));
  OP(context, linear, .x = pair, .w = a->model->distogram, .y = tensor_as_2(logits, n * n, bins));
  OP(context, expectation, .logits = logits, .symmetric = true, .n_outputs = 1,
     .values = {context_upload(context, a->is_contact, (size_t)bins * 4)}, .out = {contacts});
  if (out->logits) context_return(context, out->logits, logits);
  context_return(context, out->contact_probs, contacts);
}

model_cost distogram_count(const nf_model *model, const memory_plan *plan, int64_t n_token) {
  distogram_arguments a = {.model = model, .plan = plan, .n_token = n_token};
  nf_context context = model_dry_context(model, plan);
  distogram_body(&context, &a);
  return (model_cost){(int64_t)context.peak, 0, context.flops, (int64_t)context.host_peak};
}

nf_status distogram_run(const nf_model *model, const nf_batch *batch, const trunk_output *trunk, bool logits_wanted,
                        nf_arena *arena, distogram_output *ret_distogram) {
  const float first = 2.3125f, last = 21.6875f, contact = 8.0f + 1e-3f;  // angstrom
  int64_t n = batch->n_token, bins = tensor_last(model->distogram);
  if (bins < 3)
    return nf_fail(NF_INPUT, "%s: the distogram has %lld bins", weights_path(model->weights), (long long)bins);
  distogram_output out = {.n_bins = (int)bins,
                          .bin_edges = NF_NEW(arena, float, bins - 1),
                          .contact_probs = NF_NEW(arena, float, n *n)};
  // Where host and device memory are one, the stage works in them.
  if (logits_wanted || model->ops->host_memory) out.logits = nf_arena_alloc(arena, (size_t)(n * n * bins) * sizeof(float));
  for (int64_t i = 0; i < bins - 1; i++) out.bin_edges[i] = first + (last - first) * (float)i / (float)(bins - 2);
  nf_arena_mark mark = nf_arena_here(arena);
  float *is_contact = NF_NEW(arena, float, bins);
  for (int64_t i = 0; i < bins; i++) {
    float top =
        i < bins - 1 ? out.bin_edges[i] : out.bin_edges[bins - 2] + (out.bin_edges[bins - 2] - out.bin_edges[bins - 3]);
    is_contact[i] = top <= contact;
  }
  distogram_arguments a = {model, trunk->plan, trunk, n, is_contact, &out};
  trunk_return_pair(trunk);
  nf_status status = model_run_body(model, trunk->plan, distogram_body, &a);
  nf_arena_reset(arena, mark);
  for (int64_t i = 0; i < n && status == NF_OK; i++)
    for (int64_t j = 0; j < n; j++)
      if (!(batch->seq_mask[i] && batch->seq_mask[j])) out.contact_probs[i * n + j] = 0;
  *ret_distogram = out;
  return status;
}
