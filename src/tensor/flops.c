// How many FLOPs each op's matrix products take, whatever computes them.
#include "tensor/ops.h"

int64_t flops_linear(const op_linear *a) { return 2 * tensor_rows(a->x) * tensor_count(a->w); }

int64_t flops_linears(const op_linears *a) {
  int64_t sum = 0;
  for (int i = 0; i < a->n_blocks * a->n; i++) sum += 2 * tensor_rows(a->x) * tensor_count(a->layers[i].w);
  return sum;
}

int64_t flops_transition(const op_transition *a) {
  return 2 * tensor_rows(a->x) * (tensor_count(a->w1) + tensor_count(a->w2));
}

int64_t flops_triangle_multiply(const op_triangle_multiply *a) {
  int64_t n = a->x.shape[0], c = a->x.shape[2];
  return 2 * n * n * c * (6 * c + n);
}

int64_t flops_triangle_attention(const op_triangle_attention *a) {
  int64_t n = a->x.shape[0], c = a->x.shape[2], hd = tensor_count(a->wq) / c;
  return 2 * n * n * (tensor_count(a->w_bias) + 5 * c * hd + 2 * n * hd);
}

int64_t flops_pair_logits(const op_pair_logits *a) { return 2 * tensor_rows(a->x) * a->w.shape[0] * pair_logits_heads(a); }

int64_t flops_attention(const op_attention *a) {
  int64_t m = tensor_rows(a->x), c = tensor_last(a->x), hd = tensor_count(a->wq) / c;
  return 2 * m * (5 * c * hd + 2 * a->mask.shape[0] * hd);
}

int64_t flops_atom_attention(const op_atom_attention *a) {
  int64_t m = tensor_rows(a->x), c = tensor_last(a->x), hd = tensor_count(a->wq) / c;
  return 2 * m * (5 * c * hd + 2 * a->logits.shape[2] * hd);
}

int64_t flops_outer_product_mean(const op_outer_product_mean *a) {
  int64_t r = a->msa.shape[0], n = a->msa.shape[1], c_m = a->msa.shape[2], e = tensor_last(a->w_left);
  return 2 * (2 * r * n * c_m * e + n * n * (e * e * r + e * e * a->pair.shape[2] + r));
}

int64_t flops_pair_average(const op_pair_average *a) {
  int64_t r = a->msa.shape[0], n = a->msa.shape[1], c_m = a->msa.shape[2], hd = tensor_count(a->wv) / c_m;
  return 2 * (n * n * tensor_count(a->w_logits) + r * n * (3 * c_m * hd + n * hd));
}
