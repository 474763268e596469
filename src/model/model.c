// Binding of published records to the modules' weights. A record that is missing or has another shape is refused by name.
#include "model/model.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/fourier.h"
#include "model/network.h"

typedef struct {
  nf_model *model;
  nf_status status;  // of the first failure; binding goes on as a no-op after it
  size_t copied;     // bytes of the device's copies so far
  float **copies;    // by record: its copy, or NULL; some records are bound more than once
} binder;

enum { ANY = -1 };  // an axis whose size the record gives

// A record's place among the device's copies.
static size_t copy_bytes(const weights_record *record) {
  return record->values ? ((size_t)record->count * sizeof(float) + 255) / 256 * 256 : 0;
}

static void print_shape(char *text, size_t size, int n, const int64_t *shape) {
  size_t used = (size_t)snprintf(text, size, "(");
  for (int i = 0; i < n && used < size; i++) {
    if (shape[i] == ANY) used += (size_t)snprintf(text + used, size - used, "%sany", i ? ", " : "");
    else used += (size_t)snprintf(text + used, size - used, "%s%lld", i ? ", " : "", (long long)shape[i]);
  }
  if (used < size) snprintf(text + used, size - used, ")");
}

// Binds "scope/name" as a tensor. The record's axes: n_stack ones whose product is `stack` (ANY: whatever it is), then
// `shape`. The result has the stack folded into one first axis, which is left out if n_stack is 0.
static nf_tensor bind(binder *b, const char *scope, const char *name, int n_stack, int64_t stack, int n,
                      const int64_t *shape) {
  // What callers read of a tensor that could not be bound: axes of one.
  const nf_tensor failed = {NULL, (n_stack ? 1 : 0) + n, false, false, {1, 1, 1, 1}};
  if (b->status != NF_OK) return failed;
  char full[512];
  int length = snprintf(full, sizeof full, "%s%s", scope, name);
  NF_ASSERT(length < (int)sizeof full);
  const char *path = weights_path(b->model->weights);
  const weights_record *record = weights_find(b->model->weights, full);
  if (!record) {
    b->status = nf_fail(NF_INPUT, "%s: record %s is missing: these are not the weights of this network", path, full);
    return failed;
  }
  bool fits = record->n_dims == n_stack + n && record->values;
  int64_t folded = 1;
  for (int i = 0; fits && i < n_stack; i++) folded *= record->shape[i];
  if (fits && n_stack && stack != ANY) fits = folded == stack;
  for (int i = 0; fits && i < n; i++) fits = shape[i] == ANY || record->shape[n_stack + i] == shape[i];
  for (int i = 0; fits && i < n_stack + n; i++) fits = record->shape[i] > 0 && record->shape[i] < 1 << 24;
  if (!fits) {
    char has[128], wants[128];
    int64_t wanted[WEIGHTS_MAX_DIMS];
    int k = 0;
    if (n_stack == 1) wanted[k++] = stack;
    else
      for (int i = 0; i < n_stack; i++) wanted[k++] = ANY;
    for (int i = 0; i < n; i++) wanted[k++] = shape[i];
    print_shape(has, sizeof has, record->n_dims, record->shape);
    print_shape(wants, sizeof wants, k, wanted);
    if (n_stack > 1 && stack != ANY)
      b->status = nf_fail(NF_INPUT, "%s: record %s has shape %s, but %s with %lld blocks is needed", path, full, has, wants,
                          (long long)stack);
    else
      b->status = nf_fail(NF_INPUT, "%s: record %s has shape %s, but %s is needed", path, full, has, wants);
    return failed;
  }
  nf_tensor t = {(float *)record->values, (n_stack ? 1 : 0) + n, false, false, {1, 1, 1, 1}};
  int axis = 0;
  if (n_stack) t.shape[axis++] = folded;
  for (int i = 0; i < n; i++) t.shape[axis++] = record->shape[n_stack + i];
  if (b->model->copies) {
    float **copy = &b->copies[record - weights_at(b->model->weights, 0)];
    if (!*copy) {
      *copy = (float *)(b->model->copies + b->copied);
      b->model->ops->upload(*copy, record->values, (size_t)record->count * sizeof(float));
      b->copied += copy_bytes(record);
    }
    t.data = *copy;
  }
  return t;
}
#define BIND(scope, name, n_stack, stack, ...)                               \
  bind(b, scope, name, n_stack, stack, (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), \
       (const int64_t[]){__VA_ARGS__})

static op_norm bind_norm(binder *b, const char *scope, const char *name, int n_stack, int64_t stack, int64_t c) {
  char full[128];
  op_norm norm;
  snprintf(full, sizeof full, "%s/scale", name);
  norm.scale = BIND(scope, full, n_stack, stack, c);
  snprintf(full, sizeof full, "%s/offset", name);
  norm.offset = BIND(scope, full, n_stack, stack, c);
  return norm;
}

// Structs of stacked weights hold tensors alone, so they slice as arrays of tensors.
static void slice_all(const void *stacked, size_t size, int64_t i, void *ret_slices) {
  const nf_tensor *from = stacked;
  nf_tensor *to = ret_slices;
  for (size_t k = 0; k < size / sizeof(nf_tensor); k++) to[k] = tensor_slice(from[k], i);
}
#define SLICE_ALL(stacked, i, to) slice_all(&(stacked), sizeof(stacked), i, to)

static transition_weights bind_transition(binder *b, const char *scope, const char *norm, const char *dense, int n_stack,
                                          int64_t stack, int64_t c) {
  transition_weights w;
  char name[128];
  w.norm = bind_norm(b, scope, norm, n_stack, stack, c);
  snprintf(name, sizeof name, "%stransition1/weights", dense);
  w.w1 = BIND(scope, name, n_stack, stack, c, ANY);
  snprintf(name, sizeof name, "%stransition2/weights", dense);
  w.w2 = BIND(scope, name, n_stack, stack, tensor_last(w.w1) / 2, c);
  return w;
}

static triangle_multiply_weights bind_triangle_multiply(binder *b, const char *scope, const char *name, int64_t stack,
                                                        int64_t c) {
  char full[512];
  snprintf(full, sizeof full, "%s/%s/", scope, name);
  return (triangle_multiply_weights){
      .norm = bind_norm(b, full, "left_norm_input", 1, stack, c),
      .center = bind_norm(b, full, "center_norm", 1, stack, c),
      .gate = BIND(full, "gate/weights", 1, stack, c, 2 * c),
      .projection = BIND(full, "projection/weights", 1, stack, c, 2 * c),
      .gating = BIND(full, "gating_linear/weights", 1, stack, c, c),
      .out = BIND(full, "output_projection/weights", 1, stack, c, c),
  };
}

static triangle_attention_weights bind_triangle_attention(binder *b, const char *scope, const char *name, int64_t stack,
                                                          int64_t c) {
  char full[512];
  snprintf(full, sizeof full, "%s/%s/", scope, name);
  triangle_attention_weights w = {.norm = bind_norm(b, full, "act_norm", 1, stack, c)};
  w.q = BIND(full, "q_projection/weights", 1, stack, ANY, ANY, c);
  int64_t h = w.q.shape[1], d = w.q.shape[2];
  w.k = BIND(full, "k_projection/weights", 1, stack, h, d, c);
  w.v = BIND(full, "v_projection/weights", 1, stack, c, h, d);
  w.bias = BIND(full, "pair_bias_projection/weights", 1, stack, c, h);
  w.g = BIND(full, "gating_query/weights", 1, stack, h * d, c);
  w.o = BIND(full, "output_projection/weights", 1, stack, h * d, c);
  return w;
}

static pair_block_weights bind_pair_block(binder *b, const char *scope, int64_t stack, int64_t c) {
  char full[512];
  pair_block_weights w;
  w.outgoing = bind_triangle_multiply(b, scope, "triangle_multiplication_outgoing", stack, c);
  w.incoming = bind_triangle_multiply(b, scope, "triangle_multiplication_incoming", stack, c);
  w.starting = bind_triangle_attention(b, scope, "pair_attention1", stack, c);
  w.ending = bind_triangle_attention(b, scope, "pair_attention2", stack, c);
  snprintf(full, sizeof full, "%s/pair_transition/", scope);
  w.transition = bind_transition(b, full, "input_layer_norm", "", 1, stack, c);
  return w;
}

// The number of blocks of a stack, from one of its records.
static int64_t count_blocks(binder *b, const char *scope, const char *name, int n_stack) {
  nf_tensor t = BIND(scope, name, n_stack, ANY, ANY);
  return b->status == NF_OK ? t.shape[0] : 0;
}

static pairformer_weights *bind_pairformer(binder *b, const char *scope, int64_t c_z, int64_t c_s, int *ret_n,
                                           int *opt_heads) {
  int64_t n = count_blocks(b, scope, "/pair_attention1/act_norm/scale", 1);
  char full[512];
  pairformer_weights w = {.pair = bind_pair_block(b, scope, n, c_z)};
  snprintf(full, sizeof full, "%s/", scope);
  w.logits_norm = bind_norm(b, full, "single_pair_logits_norm", 1, n, c_z);
  w.norm = bind_norm(b, full, "single_attention_layer_norm", 1, n, c_s);
  w.q = BIND(full, "single_attention_q_projection/weights", 1, n, c_s, ANY, ANY);
  int64_t h = w.q.shape[2], d = w.q.shape[3];
  w.bq = BIND(full, "single_attention_q_projection/bias", 1, n, h, d);
  w.k = BIND(full, "single_attention_k_projection/weights", 1, n, c_s, h, d);
  w.v = BIND(full, "single_attention_v_projection/weights", 1, n, c_s, h, d);
  w.logits = BIND(full, "single_pair_logits_projection/weights", 1, n, c_z, h);
  w.g = BIND(full, "single_attention_gating_query/weights", 1, n, c_s, h * d);
  w.o = BIND(full, "single_attention_transition2/weights", 1, n, h * d, c_s);
  snprintf(full, sizeof full, "%s/single_transition/", scope);
  w.transition = bind_transition(b, full, "input_layer_norm", "", 1, n, c_s);
  pairformer_weights *blocks = NF_NEW(b->model->arena, pairformer_weights, n);
  if (b->status == NF_OK)
    for (int64_t i = 0; i < n; i++) SLICE_ALL(w, i, &blocks[i]);
  *ret_n = (int)n;
  if (opt_heads) *opt_heads = (int)h;
  return blocks;
}

static msa_block_weights *bind_msa_blocks(binder *b, const char *scope, int64_t c_z, int64_t c_m, int *ret_n) {
  int64_t n = count_blocks(b, scope, "/pair_attention1/act_norm/scale", 1);
  char full[512];
  msa_block_weights w = {.pair = bind_pair_block(b, scope, n, c_z)};
  snprintf(full, sizeof full, "%s/outer_product_mean/", scope);
  w.outer_norm = bind_norm(b, full, "layer_norm_input", 1, n, c_m);
  w.outer_left = BIND(full, "left_projection/weights", 1, n, c_m, ANY);
  int64_t e = tensor_last(w.outer_left);
  w.outer_right = BIND(full, "right_projection/weights", 1, n, c_m, e);
  w.outer_w = BIND(full, "output_w", 1, n, e, e, c_z);
  w.outer_b = BIND(full, "output_b", 1, n, c_z);
  snprintf(full, sizeof full, "%s/msa_attention1/", scope);
  w.norm = bind_norm(b, full, "act_norm", 1, n, c_m);
  w.norm_pair = bind_norm(b, full, "pair_norm", 1, n, c_z);
  w.v = BIND(full, "v_projection/weights", 1, n, c_m, ANY, ANY);
  int64_t h = w.v.shape[2], d = w.v.shape[3];
  w.logits = BIND(full, "pair_logits/weights", 1, n, c_z, h);
  w.g = BIND(full, "gating_query/weights", 1, n, c_m, h * d);
  w.o = BIND(full, "output_projection/weights", 1, n, h * d, c_m);
  snprintf(full, sizeof full, "%s/msa_transition/", scope);
  w.transition = bind_transition(b, full, "input_layer_norm", "", 1, n, c_m);
  msa_block_weights *blocks = NF_NEW(b->model->arena, msa_block_weights, n);
  if (b->status == NF_OK)
    for (int64_t i = 0; i < n; i++) SLICE_ALL(w, i, &blocks[i]);
  *ret_n = (int)n;
  return blocks;
}

static template_weights bind_templates(binder *b, const char *scope, int64_t c_z, int *ret_n, int *ret_c) {
  char full[512], name[64];
  snprintf(full, sizeof full, "%s/single_template_embedding/", scope);
  template_weights w = {.query_norm = bind_norm(b, full, "query_embedding_norm", 0, 0, c_z)};
  w.query = BIND(full, "template_pair_embedding_8/weights", 0, 0, c_z, ANY);
  int64_t c = tensor_last(w.query);
  w.distance = BIND(full, "template_pair_embedding_0/weights", 0, 0, 39, c);
  w.class_j = BIND(full, "template_pair_embedding_2/weights", 0, 0, 31, c);
  w.class_i = BIND(full, "template_pair_embedding_3/weights", 0, 0, 31, c);
  w.beta_mask = BIND(full, "template_pair_embedding_1/weights", 0, 0, c);
  for (int i = 0; i < 3; i++) {
    snprintf(name, sizeof name, "template_pair_embedding_%d/weights", 4 + i);
    w.direction[i] = BIND(full, name, 0, 0, c);
  }
  w.frame_mask = BIND(full, "template_pair_embedding_7/weights", 0, 0, c);
  w.out_norm = bind_norm(b, full, "output_layer_norm", 0, 0, c);
  snprintf(name, sizeof name, "/output_linear/weights");
  w.out = BIND(scope, name, 0, 0, c, c_z);
  snprintf(full, sizeof full, "%s/single_template_embedding/__layer_stack_no_per_layer/template_embedding_iteration", scope);
  int64_t n = count_blocks(b, full, "/pair_attention1/act_norm/scale", 1);
  pair_block_weights stacked = bind_pair_block(b, full, n, c);
  w.blocks = NF_NEW(b->model->arena, pair_block_weights, n);
  if (b->status == NF_OK)
    for (int64_t i = 0; i < n; i++) SLICE_ALL(stacked, i, &w.blocks[i]);
  *ret_n = (int)n;
  *ret_c = (int)c;
  return w;
}

// prefix: scope, stack scopes and the name that starts every parameter's.
static adaptive_weights bind_adaptive(binder *b, const char *prefix, const char *which, int n_stack, int64_t stack,
                                      int64_t c_cond, int64_t c) {
  char name[128];
  adaptive_weights w;
  snprintf(name, sizeof name, "%ssingle_cond_layer_norm/scale", which);
  w.norm = BIND(prefix, name, n_stack, stack, c_cond);
  snprintf(name, sizeof name, "%ssingle_cond_scale/weights", which);
  w.scale = BIND(prefix, name, n_stack, stack, c_cond, c);
  snprintf(name, sizeof name, "%ssingle_cond_scale/bias", which);
  w.scale_b = BIND(prefix, name, n_stack, stack, c);
  snprintf(name, sizeof name, "%ssingle_cond_bias/weights", which);
  w.shift = BIND(prefix, name, n_stack, stack, c_cond, c);
  return w;
}

static diffusion_block_weights *bind_diffusion_blocks(binder *b, const char *prefix, bool cross, int n_stack,
                                                      int64_t c_cond, int64_t c, int *ret_n, int64_t *ret_heads) {
  int64_t n = count_blocks(b, prefix, "adaptive_zero_cond/bias", n_stack);
  diffusion_block_weights w = {.query = bind_adaptive(b, prefix, cross ? "q" : "", n_stack, n, c_cond, c)};
  if (cross) w.key = bind_adaptive(b, prefix, "k", n_stack, n, c_cond, c);
  w.q = BIND(prefix, "q_projection/weights", n_stack, n, c, ANY, ANY);
  int64_t h = w.q.shape[2], d = w.q.shape[3];
  w.bq = BIND(prefix, "q_projection/bias", n_stack, n, h, d);
  w.k = BIND(prefix, "k_projection/weights", n_stack, n, c, h, d);
  w.v = BIND(prefix, "v_projection/weights", n_stack, n, c, h, d);
  w.g = BIND(prefix, "gating_query/weights", n_stack, n, c, h * d);
  w.o = BIND(prefix, "transition2/weights", n_stack, n, h * d, c);
  w.zero = BIND(prefix, "adaptive_zero_cond/weights", n_stack, n, c_cond, c);
  w.zero_b = BIND(prefix, "adaptive_zero_cond/bias", n_stack, n, c);
  w.ffw = bind_adaptive(b, prefix, "ffw_", n_stack, n, c_cond, c);
  w.w1 = BIND(prefix, "ffw_transition1/weights", n_stack, n, c, ANY);
  w.w2 = BIND(prefix, "ffw_transition2/weights", n_stack, n, tensor_last(w.w1) / 2, c);
  w.ffw_zero = BIND(prefix, "ffw_adaptive_zero_cond/weights", n_stack, n, c_cond, c);
  w.ffw_zero_b = BIND(prefix, "ffw_adaptive_zero_cond/bias", n_stack, n, c);
  diffusion_block_weights *blocks = NF_NEW(b->model->arena, diffusion_block_weights, n);
  if (b->status == NF_OK)
    for (int64_t i = 0; i < n; i++) SLICE_ALL(w, i, &blocks[i]);
  *ret_n = (int)n;
  *ret_heads = h;
  return blocks;
}

static atom_transformer_weights bind_atom_transformer(binder *b, const char *scope, const char *name, int64_t c_atom,
                                                      int64_t c_pair) {
  char full[512];
  atom_transformer_weights w;
  int64_t heads;
  snprintf(full, sizeof full, "%s%s/__layer_stack_with_per_layer/%s", scope, name, name);
  w.blocks = bind_diffusion_blocks(b, full, true, 1, c_atom, c_atom, &w.n_blocks, &heads);
  if (b->status == NF_OK && w.n_blocks > ATOM_BLOCKS_MAX)
    b->status = nf_fail(NF_INPUT, "%s: %s has %d blocks, but at most %d can be run", weights_path(b->model->weights), name,
                        w.n_blocks, ATOM_BLOCKS_MAX);
  snprintf(full, sizeof full, "%s%s/", scope, name);
  w.logits_norm = BIND(full, "pair_input_layer_norm/scale", 0, 0, c_pair);
  w.logits = BIND(full, "pair_logits_projection/weights", 0, 0, c_pair, w.n_blocks, heads);
  return w;
}

// scope: where the parameters live; name: what starts theirs. c: channels that the tokens get.
static atom_encoder_weights bind_atom_encoder(binder *b, const char *scope, const char *name, bool diffusion, int64_t c,
                                              int64_t c_trunk_single, int64_t c_trunk_pair) {
  char full[512];
  snprintf(full, sizeof full, "%s%s_", scope, name);
  atom_encoder_weights w = {.ref_pos = BIND(full, "embed_ref_pos/weights", 0, 0, 3, ANY)};
  int64_t c_atom = tensor_last(w.ref_pos);
  w.ref_mask = BIND(full, "embed_ref_mask/weights", 0, 0, 1, c_atom);
  w.ref_element = BIND(full, "embed_ref_element/weights", 0, 0, 128, c_atom);
  w.ref_charge = BIND(full, "embed_ref_charge/weights", 0, 0, 1, c_atom);
  w.ref_name = BIND(full, "embed_ref_atom_name/weights", 0, 0, 256, c_atom);
  // The reference makes each of these layers twice and throws the first one's work away.
  w.row = BIND(full, "single_to_pair_cond_row_1/weights", 0, 0, c_atom, ANY);
  int64_t c_pair = tensor_last(w.row);
  w.col = BIND(full, "single_to_pair_cond_col_1/weights", 0, 0, c_atom, c_pair);
  w.offsets = BIND(full, "embed_pair_offsets_1/weights", 0, 0, 3, c_pair);
  w.distances = BIND(full, "embed_pair_distances_1/weights", 0, 0, 1, c_pair);
  w.valid = BIND(full, "embed_pair_offsets_valid/weights", 0, 0, 1, c_pair);
  w.mlp[0] = BIND(full, "pair_mlp_1/weights", 0, 0, c_pair, c_pair);
  w.mlp[1] = BIND(full, "pair_mlp_2/weights", 0, 0, c_pair, c_pair);
  w.mlp[2] = BIND(full, "pair_mlp_3/weights", 0, 0, c_pair, c_pair);
  w.aggregate = BIND(full, "project_atom_features_for_aggr/weights", 0, 0, c_atom, c);
  if (diffusion) {
    w.single_norm = BIND(full, "lnorm_trunk_single_cond/scale", 0, 0, c_trunk_single);
    w.single = BIND(full, "embed_trunk_single_cond/weights", 0, 0, c_trunk_single, c_atom);
    w.pair_norm = BIND(full, "lnorm_trunk_pair_cond/scale", 0, 0, c_trunk_pair);
    w.pair = BIND(full, "embed_trunk_pair_cond/weights", 0, 0, c_trunk_pair, c_pair);
    w.positions = BIND(full, "atom_positions_to_features/weights", 0, 0, 3, c_atom);
  }
  char transformer[128];
  snprintf(transformer, sizeof transformer, "%s_atom_transformer_encoder", name);
  w.transformer = bind_atom_transformer(b, scope, transformer, c_atom, c_pair);
  return w;
}

static void bind_diffusion(binder *b) {
  nf_model *model = b->model;
  diffusion_weights *w = &model->diffusion;
  int64_t c_z = model->dims.c_z, c_s = model->dims.c_s, c_target = model->dims.c_target;
  const char *scope = "diffuser/~/diffusion_head/";
  w->pair_norm = BIND(scope, "pair_cond_initial_norm/scale", 0, 0, c_z + RELATIVE_CLASSES);
  w->pair = BIND(scope, "pair_cond_initial_projection/weights", 0, 0, c_z + RELATIVE_CLASSES, ANY);
  w->single_norm = BIND(scope, "single_cond_initial_norm/scale", 0, 0, c_s + c_target);
  w->single = BIND(scope, "single_cond_initial_projection/weights", 0, 0, c_s + c_target, ANY);
  int64_t c_pair = tensor_last(w->pair), c = tensor_last(w->single);
  w->noise_norm = BIND(scope, "noise_embedding_initial_norm/scale", 0, 0, FOURIER_SIZE);
  w->noise = BIND(scope, "noise_embedding_initial_projection/weights", 0, 0, FOURIER_SIZE, c);
  for (int i = 0; i < 2; i++) {
    char norm[64], dense[64];
    snprintf(norm, sizeof norm, "pair_transition_%dffw_layer_norm", i);
    snprintf(dense, sizeof dense, "pair_transition_%dffw_", i);
    w->pair_transition[i] = bind_transition(b, scope, norm, dense, 0, 0, c_pair);
    snprintf(norm, sizeof norm, "single_transition_%dffw_layer_norm", i);
    snprintf(dense, sizeof dense, "single_transition_%dffw_", i);
    w->single_transition[i] = bind_transition(b, scope, norm, dense, 0, 0, c);
  }
  w->cond_norm = BIND(scope, "single_cond_embedding_norm/scale", 0, 0, c);
  w->cond = BIND(scope, "single_cond_embedding_projection/weights", 0, 0, c, ANY);
  int64_t c_token = tensor_last(w->cond), heads;
  w->encoder = bind_atom_encoder(b, scope, "diffusion", true, c_token, c_s, c_pair);
  int64_t c_atom = tensor_last(w->encoder.ref_pos), c_atompair = tensor_last(w->encoder.row);
  w->blocks = bind_diffusion_blocks(
      b, "diffuser/~/diffusion_head/transformer/__layer_stack_with_per_layer/__layer_stack_with_per_layer/transformer", false,
      2, c, c_token, &model->dims.n_diffusion_blocks, &heads);
  w->logits_norm = BIND(scope, "transformer/pair_input_layer_norm/scale", 0, 0, c_pair);
  w->logits = BIND(scope, "transformer/__layer_stack_with_per_layer/pair_logits_projection/weights", 1, ANY, c_pair, ANY,
                   heads);
  if (b->status == NF_OK && w->logits.shape[0] * w->logits.shape[2] != model->dims.n_diffusion_blocks)
    b->status = nf_fail(NF_INPUT, "%s: the diffusion transformer has %d blocks, but pair logits for %lld",
                        weights_path(model->weights), model->dims.n_diffusion_blocks,
                        (long long)(w->logits.shape[0] * w->logits.shape[2]));
  w->n_super = (int)w->logits.shape[0];
  w->out_norm = BIND(scope, "output_norm/scale", 0, 0, c_token);
  w->broadcast = BIND(scope, "diffusion_project_token_features_for_broadcast/weights", 0, 0, c_token, c_atom);
  w->decoder = bind_atom_transformer(b, scope, "diffusion_atom_transformer_decoder", c_atom, c_atompair);
  w->atom_norm = BIND(scope, "diffusion_atom_features_layer_norm/scale", 0, 0, c_atom);
  w->update = BIND(scope, "diffusion_atom_features_to_position_update/weights", 0, 0, c_atom, 3);
  model->c_cond_pair = (int)c_pair;
  model->c_cond = (int)c;
  model->dims.c_token = (int)c_token;
  model->dims.c_atom = (int)c_atom;
  model->dims.c_atompair = (int)c_atompair;
  model->dims.n_diffusion_heads = (int)heads;
  if (b->status != NF_OK) return;

  int n_fourier = 0;
  if (weights_fourier(model->weights, &w->fourier_weight, &w->fourier_bias, &n_fourier)) {
    if (n_fourier != FOURIER_SIZE)
      b->status = nf_fail(NF_INPUT, "%s: the Fourier constants beside it have %d values, but %d are needed",
                          weights_path(model->weights), n_fourier, FOURIER_SIZE);
  } else if (c_z > 128) {
    // Such models are trained with constants of their own; AlphaFold 3's would give exploded structures.
    b->status = nf_fail(NF_INPUT,
                        "%s: a model with %lld pair channels needs its own noise-embedding constants: put its "
                        "*_fourier.npz beside it",
                        weights_path(model->weights), (long long)c_z);
  } else {
    w->fourier_weight = fourier_weight;
    w->fourier_bias = fourier_bias;
  }
}

static void bind_confidence(binder *b) {
  nf_model *model = b->model;
  confidence_weights *w = &model->confidence;
  int64_t c_z = model->dims.c_z, c_s = model->dims.c_s, c_target = model->dims.c_target;
  const char *scope = "diffuser/confidence_head/";
  w->left = BIND(scope, "~_embed_features/left_target_feat_project/weights", 0, 0, c_target, c_z);
  w->right = BIND(scope, "~_embed_features/right_target_feat_project/weights", 0, 0, c_target, c_z);
  w->distance = BIND(scope, "~_embed_features/distogram_feat_project/weights", 0, 0, 39, c_z);
  w->blocks = bind_pairformer(b, "diffuser/confidence_head/__layer_stack_no_per_layer/confidence_pairformer", c_z, c_s,
                              &model->dims.n_confidence_blocks, NULL);
  w->pde_norm = bind_norm(b, scope, "logits_ln", 0, 0, c_z);
  w->pae_norm = bind_norm(b, scope, "pae_logits_ln", 0, 0, c_z);
  w->plddt_norm = bind_norm(b, scope, "plddt_logits_ln", 0, 0, c_s);
  w->resolved_norm = bind_norm(b, scope, "experimentally_resolved_ln", 0, 0, c_s);
  w->pde = BIND(scope, "left_half_distance_logits/weights", 0, 0, c_z, ANY);
  w->pae = BIND(scope, "pae_logits/weights", 0, 0, c_z, ANY);
  w->plddt = BIND(scope, "plddt_logits/weights", 0, 0, c_s, ANY, ANY);
  w->resolved = BIND(scope, "experimentally_resolved_logits/weights", 0, 0, c_s, w->plddt.shape[1], 2);
}

static void bind_trunk(binder *b) {
  nf_model *model = b->model;
  model_dims *dims = &model->dims;
  const char *scope = "diffuser/evoformer/";
  model->left_single = BIND(scope, "left_single/weights", 0, 0, ANY, ANY);
  int64_t c_target = model->left_single.shape[0], c_z = model->left_single.shape[1];
  model->right_single = BIND(scope, "right_single/weights", 0, 0, c_target, c_z);
  model->single = BIND(scope, "single_activations/weights", 0, 0, c_target, ANY);
  model->msa_target = BIND(scope, "extra_msa_target_feat/weights", 0, 0, c_target, ANY);
  int64_t c_s = tensor_last(model->single), c_m = tensor_last(model->msa_target);
  model->msa = BIND(scope, "msa_activations/weights", 0, 0, 34, c_m);
  model->prev_norm = bind_norm(b, scope, "prev_embedding_layer_norm", 0, 0, c_z);
  model->prev = BIND(scope, "prev_embedding/weights", 0, 0, c_z, c_z);
  model->prev_single_norm = bind_norm(b, scope, "prev_single_embedding_layer_norm", 0, 0, c_s);
  model->prev_single = BIND(scope, "prev_single_embedding/weights", 0, 0, c_s, c_s);
  model->bonds = BIND(scope, "bond_embedding/weights", 0, 0, 1, c_z);
  model->relative = BIND(scope, "~_relative_encoding/position_activations/weights", 0, 0, RELATIVE_CLASSES, c_z);
  dims->c_target = (int)c_target;
  dims->c_z = (int)c_z;
  dims->c_s = (int)c_s;
  dims->c_m = (int)c_m;
  model->templates = bind_templates(b, "diffuser/evoformer/template_embedding", c_z, &dims->n_template_blocks,
                                    &model->c_template);
  model->msa_blocks = bind_msa_blocks(b, "diffuser/evoformer/__layer_stack_no_per_layer/msa_stack", c_z, c_m,
                                      &dims->n_msa_blocks);
  model->pairformer = bind_pairformer(b, "diffuser/evoformer/__layer_stack_no_per_layer_1/trunk_pairformer", c_z, c_s,
                                      &dims->n_pairformer_blocks, &dims->n_single_heads);
  if (b->status == NF_OK) dims->n_pair_heads = (int)model->pairformer[0].pair.starting.q.shape[0];
  // Target features are 31 residue classes, the profile over them, the deletion mean, and what the atoms give.
  model->encoder = bind_atom_encoder(b, "diffuser/", "evoformer_conditioning", false, c_target - 63, 0, 0);
  model->distogram = BIND("diffuser/distogram_head/", "half_logits/weights", 0, 0, c_z, ANY);
}

nf_status model_create(const nf_weights *weights, const char *device, nf_model **ret_model) {
  const nf_ops *ops = device_ops(device);
  if (!ops) return nf_fail(NF_INPUT, "--device=%s: %s: use --device=cpu", device, device_problem());
  return model_create_on(weights, ops, ret_model);
}

nf_status model_create_on(const nf_weights *weights, const nf_ops *ops, nf_model **ret_model) {
  nf_model *model = nf_calloc(1, sizeof *model);
  model->weights = weights;
  model->ops = ops;
  model->arena = nf_arena_create();
  if (!ops->host_memory && !ops->dry_only) {
    size_t bytes = 0;
    model->memory = NF_NEW(model->arena, stage_memory, 1);
    model->away = NF_NEW(model->arena, stage_memory, 1);
    for (int i = 0; i < weights_count(weights); i++) bytes += copy_bytes(weights_at(weights, i));
    model->copies = ops->allocate(bytes);
    if (!model->copies) {
      model_free(model);
      return nf_fail(NF_MEMORY, "%s: the weights take %.2f GiB, and the GPU has not that much left", weights_path(weights),
                     (double)bytes / (1 << 30));
    }
    ops->keep(model->copies, bytes);
  }
  binder b = {.model = model, .copies = NF_NEW(model->arena, float *, weights_count(weights))};
  bind_trunk(&b);
  bind_diffusion(&b);
  bind_confidence(&b);
  for (int i = 0; i < weights_count(weights); i++) {
    const weights_record *record = weights_at(weights, i);
    if (record->values) model->dims.n_values += record->count;
  }
  if (b.status != NF_OK) {
    model_free(model);
    return b.status;
  }
  *ret_model = model;
  return NF_OK;
}

void model_free(nf_model *model) {
  if (!model) return;
  if (model->copies) model->ops->release(model->copies);
  if (model->memory) model->ops->release(model->memory->start);
  model_release_away(model);
  nf_arena_free(model->arena);
  free(model);
}

const model_dims *model_dimensions(const nf_model *model) { return &model->dims; }
