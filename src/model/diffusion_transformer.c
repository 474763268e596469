// Algorithms 23 to 26: one block, and the conditions that its norms and gates take from the single conditioning.
#include "model/network.h"

// The layers of a block in the order in which their results lie: those that read the conditioning's norm, then the gates, which
// see it as it is.
static int adaptive_layers(const adaptive_weights *w, linear_layer *layers) {
  layers[0] = (linear_layer){.scale = w->norm, .w = w->scale, .bias = w->scale_b, .sigmoid_output = true};
  layers[1] = (linear_layer){.scale = w->norm, .w = w->shift};
  return 2;
}
static int block_layers(const diffusion_block_weights *w, linear_layer *layers) {
  int n = adaptive_layers(&w->query, layers);
  if (tensor_given(w->key.scale)) n += adaptive_layers(&w->key, layers + n);
  n += adaptive_layers(&w->ffw, layers + n);
  layers[n++] = (linear_layer){.w = w->zero, .bias = w->zero_b, .sigmoid_output = true};
  layers[n++] = (linear_layer){.w = w->ffw_zero, .bias = w->ffw_zero_b, .sigmoid_output = true};
  return n;
}

static op_condition adaptive(nf_tensor results, int *at) {
  op_condition c = {.scale = tensor_slice(results, *at), .shift = tensor_slice(results, *at + 1)};
  *at += 2;
  return c;
}

static void some_conditions(nf_context *context, const diffusion_block_weights *w, int n_blocks, nf_tensor cond,
                            block_conditions *conditions) {
  linear_layer layers[CONDITIONS_MOST * LINEARS_MOST];
  int n = 0;
  for (int i = 0; i < n_blocks; i++) n = block_layers(&w[i], layers + i * n);
  nf_tensor y = CONTEXT_3(context, n_blocks * n, tensor_rows(cond), tensor_last(w->ffw.shift));
  OP(context, linears, .x = cond, .n_blocks = n_blocks, .n = n, .layers = layers, .y = y);
  for (int i = 0, at = 0; i < n_blocks; i++) {
    block_conditions *c = &conditions[i];
    *c = (block_conditions){.query = adaptive(y, &at)};
    if (tensor_given(w->key.scale)) c->key = adaptive(y, &at);
    c->ffw = adaptive(y, &at);
    c->query.gate = tensor_slice(y, at++);
    c->ffw.gate = tensor_slice(y, at++);
  }
}

void diffusion_conditions(nf_context *context, const diffusion_block_weights *w, int n_blocks, nf_tensor cond,
                          block_conditions *ret_conditions) {
  for (int i = 0; i < n_blocks; i += CONDITIONS_MOST)
    some_conditions(context, w + i, n_blocks - i < CONDITIONS_MOST ? n_blocks - i : CONDITIONS_MOST, cond, ret_conditions + i);
}

int diffusion_conditions_at_once(const nf_context *context, const diffusion_block_weights *w, int n_blocks, int64_t n_token) {
  if (context->ops->host_memory) return 1;  // a CPU is filled by one, whose results its caches may still hold
  const int64_t most_bytes = (int64_t)128 << 20;
  linear_layer layers[LINEARS_MOST];
  int64_t bytes = block_layers(w, layers) * n_token * tensor_last(w->ffw.shift) * (int64_t)sizeof(float), most = most_bytes / bytes;
  if (most > CONDITIONS_MOST) most = CONDITIONS_MOST;
  if (most > n_blocks) most = n_blocks;
  if (most < 1) most = 1;
  int64_t groups = (n_blocks + most - 1) / most;
  return (int)((n_blocks + groups - 1) / groups);
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
