// Algorithms 23 to 26: one block, and the conditions that its norms and gates take from the single conditioning.
#include "model/network.h"

static op_condition adaptive(nf_context *context, const adaptive_weights *w, nf_tensor cond) {
  int64_t p = tensor_rows(cond), c = tensor_last(w->scale);
  op_condition condition = {.scale = CONTEXT_2(context, p, c), .shift = CONTEXT_2(context, p, c)};
  OP(context, linear, .x = cond, .normalise = true, .norm.scale = w->norm, .w = w->scale, .bias = w->scale_b,
     .sigmoid_output = true, .y = condition.scale);
  OP(context, linear, .x = cond, .normalise = true, .norm.scale = w->norm, .w = w->shift, .y = condition.shift);
  return condition;
}

// The gate sees the conditioning as it is, without a norm.
static nf_tensor zero_gate(nf_context *context, nf_tensor w, nf_tensor b, nf_tensor cond) {
  nf_tensor gate = CONTEXT_2(context, tensor_rows(cond), tensor_last(w));
  OP(context, linear, .x = cond, .w = w, .bias = b, .sigmoid_output = true, .y = gate);
  return gate;
}

block_conditions diffusion_conditions(nf_context *context, const diffusion_block_weights *w, nf_tensor cond) {
  block_conditions c = {.query = adaptive(context, &w->query, cond)};
  if (tensor_given(w->key.scale)) c.key = adaptive(context, &w->key, cond);
  c.query.gate = zero_gate(context, w->zero, w->zero_b, cond);
  c.ffw = adaptive(context, &w->ffw, cond);
  c.ffw.gate = zero_gate(context, w->ffw_zero, w->ffw_zero_b, cond);
  return c;
}

void diffusion_block_attention(nf_context *context, const diffusion_block_weights *w,
                               const block_conditions *conditions, nf_tensor act, nf_tensor logits, nf_tensor mask) {
  OP(context, attention, .x = act, .condition = conditions->query, .wq = w->q, .bq = w->bq, .wk = w->k, .wv = w->v,
     .wg = w->g, .wo = w->o, .logits = logits, .mask = mask);
}

void diffusion_block_transition(nf_context *context, const diffusion_block_weights *w,
                                const block_conditions *conditions, nf_tensor act) {
  OP(context, transition, .x = act, .condition = conditions->ffw, .w1 = w->w1, .w2 = w->w2);
}
