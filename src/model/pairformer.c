// Algorithm 17, one block, and the part of it that MSA module, template embedder and confidence head share.
#include "model/network.h"

static void triangle_multiply(nf_context *context, const triangle_multiply_weights *w, nf_tensor pair, nf_tensor mask,
                              bool outgoing) {
  OP(context, triangle_multiply, .x = pair, .mask = mask, .norm = w->norm, .norm_center = w->center, .w_gate = w->gate,
     .w_projection = w->projection, .w_gating = w->gating, .w_out = w->out, .outgoing = outgoing);
}

static void triangle_attention(nf_context *context, const triangle_attention_weights *w, nf_tensor pair, nf_tensor mask,
                               bool ending) {
  OP(context, triangle_attention, .x = pair, .mask = mask, .norm = w->norm, .w_bias = w->bias, .wq = w->q, .wk = w->k,
     .wv = w->v, .wg = w->g, .wo = w->o, .ending = ending);
}

void pair_block(nf_context *context, const pair_block_weights *w, nf_tensor pair, nf_tensor mask) {
  triangle_multiply(context, &w->outgoing, pair, mask, true);
  triangle_multiply(context, &w->incoming, pair, mask, false);
  triangle_attention(context, &w->starting, pair, mask, false);
  triangle_attention(context, &w->ending, pair, mask, true);
  OP(context, transition, .x = pair, .norm = w->transition.norm, .w1 = w->transition.w1, .w2 = w->transition.w2);
}

void pairformer_block(nf_context *context, const pairformer_weights *w, nf_tensor pair, nf_tensor single,
                      nf_tensor mask) {
  pair_block(context, &w->pair, pair, mask);
  int64_t n = pair.shape[0], c_z = pair.shape[2], heads = tensor_last(w->logits);
  size_t mark = context_here(context);
  nf_tensor logits = CONTEXT_3(context, heads, n, n);
  OP(context, pair_logits, .x = tensor_shaped(pair, 4, 1, n, n, c_z), .norm = w->logits_norm, .w = w->logits,
     .out = tensor_4(logits.data, 1, heads, n, n));
  OP(context, attention, .x = tensor_3(single.data, 1, n, single.shape[1]), .norm = w->norm, .wq = w->q, .bq = w->bq,
     .wk = w->k, .wv = w->v, .wg = w->g, .wo = w->o, .logits = logits, .mask = mask);
  OP(context, transition, .x = single, .norm = w->transition.norm, .w1 = w->transition.w1, .w2 = w->transition.w2);
  context_reset(context, mark);
}
