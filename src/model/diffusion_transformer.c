// Algorithms 23 to 26: one block, and the conditions that its norms and gates take from the single conditioning.
#include "model/network.h"

static nf_tensor add_layer(nf_context *context, op_linears *all, nf_tensor norm, nf_tensor w, nf_tensor bias, bool sigmoid_output) {
  nf_tensor y = CONTEXT_2(context, tensor_rows(all->x), tensor_last(w));
  all->layers[all->n++] = (linear_layer){norm, w, bias, sigmoid_output, y};
  return y;
}

static op_condition adaptive(nf_context *context, op_linears *all, const adaptive_weights *w) {
  op_condition c = {.scale = add_layer(context, all, w->norm, w->scale, w->scale_b, true)};
  c.shift = add_layer(context, all, w->norm, w->shift, (nf_tensor){0}, false);
  return c;
}

block_conditions diffusion_conditions(nf_context *context, const diffusion_block_weights *w, nf_tensor cond) {
  const nf_tensor none = {0};
  op_linears all = {.x = cond};
  block_conditions c = {.query = adaptive(context, &all, &w->query)};
  if (tensor_given(w->key.scale)) c.key = adaptive(context, &all, &w->key);
  c.ffw = adaptive(context, &all, &w->ffw);
  // The gates see the conditioning as it is, without a norm.
  c.query.gate = add_layer(context, &all, none, w->zero, w->zero_b, true);
  c.ffw.gate = add_layer(context, &all, none, w->ffw_zero, w->ffw_zero_b, true);
  context->ops->linears(context, &all);
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
