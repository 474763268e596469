// Pair logits, self-attention of tokens and cross attention of atoms.
#include "tensor/cuda/blas.cuh"
#include "tensor/cuda/flash.cuh"
#include "tensor/cuda/gemm.cuh"
#include "tensor/cuda/narrow.cuh"
#include "tensor/cuda/panel.cuh"
#include "tensor/cuda/rows.cuh"
#include "tensor/cuda/token.cuh"

// A row (b, q, k) gives out[b, h, k, q].
struct put_logits {
  float *out;
  int64_t n_q, n_k, n_head;
  __device__ void operator()(int64_t, int64_t i, int h, float v) const {
    uint32_t row = (uint32_t)i, k = row % (uint32_t)n_k, bq = row / (uint32_t)n_k, q = bq % (uint32_t)n_q,
             b = bq / (uint32_t)n_q;
    out[((b * n_head + h) * n_k + k) * n_q + q] = v;
  }
};

CUDA_OP(pair_logits) {
  if (half_pair_logits(context, a)) return;
  int64_t n_q = a->x.shape[1], n_k = a->x.shape[2], c = a->x.shape[3], all = tensor_count(a->w) / c,
          n_head = pair_logits_heads(a), m = tensor_rows(a->x);
  size_t mark = context_here(context);
  NF_ASSERT(!a->kept_rows && !a->out.narrow);
  if (tensor_given(a->mask)) {  // plain, then into the other form
    op_pair_logits plain = *a;
    plain.mask = nf_tensor{};
    plain.out = CONTEXT_4(context, 1, n_head, n_k, n_q);
    cuda_pair_logits(context, &plain);
    op_keep_logits keep = {};
    keep.logits = tensor_3(plain.out.data, n_head, n_k, n_q), keep.mask = a->mask, keep.out = a->out;
    cuda_keep_logits(context, &keep);
    context_reset(context, mark);
    return;
  }
  context->flops += flops_pair_logits(a);
  if (a->x.narrow && n_head == all && cuda_bf16(context) && (c == 64 || c == 128) && n_head <= 16) {
    const bf16 *w = packed(context, c * 16, head_columns{n_head}, a->w.data);
    if (!context->dry) {
      logits_layout layout = {n_q, n_k, n_k, 1, n_q * n_k, n_q, n_k * n_q, n_head * n_k * n_q};
      panel_logits(narrow_data(a->x), c, &a->norm, w, (int)n_head, a->x.shape[0], &layout, a->out.data);
    }
    context_reset(context, mark);
    return;
  }
  const float *x = widened(context, a->x).data;
  float2 *stats = scratch<float2>(context, m);
  if (!context->dry) {
    make_stats(x, m, c, stats);
    gemm(m, n_head, c, 1, left_norm(x, c, stats, &a->norm, NULL), right_rows(a->w.data + a->first_head, all),
         put_logits{a->out.data, n_q, n_k, n_head});
  }
  context_reset(context, mark);
}

struct token_attention {
  const float *logits, *mask;  // (H, N, N): keys before queries; (N)
  int64_t n;
  __device__ int64_t query_row(int64_t batch, int i) const { return batch * n + i; }
  __device__ int64_t key_row(int64_t batch, int i) const { return batch * n + i; }
  __device__ const float *bias(int64_t, int head, int i, int key) const { return logits + (head * n + key) * n + i; }
  __device__ float add(int64_t, int, int key) const { return 1e9f * (mask[key] - 1.0f); }
};

CUDA_OP(attention) {
  NF_ASSERT(!a->x.narrow && !a->logits.narrow);
  context->flops += flops_attention(a);
  if (half_attention(context, a)) return;
  int64_t n = a->mask.shape[0], c = tensor_last(a->x), m = tensor_rows(a->x), hd = tensor_count(a->wq) / c,
          n_head = a->wq.shape[1], d = hd / n_head;
  size_t mark = context_here(context);
  float *h = scratch<float>(context, m * c), *qkvg = scratch<float>(context, 4 * m * hd), *o = scratch<float>(context, m * hd);
  if (!context->dry) {
    const float *w[4] = {a->wq.data, a->wk.data, a->wv.data, a->wg.data};
    norm_rows(a->x.data, m, c, &a->norm, &a->condition, h);
    for (int s = 0; s < 4; s++) rows_product(m, hd, c, h, w[s], qkvg + s * m * hd);
    flash_operands operands = {qkvg, qkvg + m * hd, qkvg + 2 * m * hd, qkvg + 3 * m * hd, a->bq.data, o, hd, hd, hd, (int)n,
                               (int)n, (int)d, 1.0f / sqrtf((float)d)};
    flash(operands, m / n, n_head, token_attention{a->logits.data, a->mask.data, n});
    rows_product(m, c, hd, o, a->wo.data, h);
    add_rows_gated(a->x.data, m, c, &a->condition, h);
  }
  context_reset(context, mark);
}

struct window_attention {
  const float *logits, *query_mask, *key_mask;
  const int32_t *index;
  int64_t n_s, n_q, n_k, heads, first_head;
  __device__ int64_t query_row(int64_t batch, int i) const { return batch * n_q + i; }
  __device__ int64_t key_row(int64_t batch, int i) const {
    int32_t row = index[batch % n_s * n_k + i];
    return row < 0 ? -1 : batch / n_s * n_s * n_q + row;
  }
  __device__ const float *bias(int64_t batch, int head, int i, int key) const {
    return logits + ((batch % n_s * heads + first_head + head) * n_k + key) * n_q + i;
  }
  __device__ float add(int64_t batch, int i, int key) const {
    return 1e9f * (query_mask[batch % n_s * n_q + i] - 1.0f) * (key_mask[batch % n_s * n_k + key] - 1.0f);
  }
};

CUDA_OP(atom_attention) {
  NF_ASSERT(!a->x.narrow && !a->logits.narrow);
  context->flops += flops_atom_attention(a);
  if (half_atom_attention(context, a)) return;
  int64_t n_s = a->logits.shape[0], heads = a->logits.shape[1], n_k = a->logits.shape[2], n_q = a->logits.shape[3],
          c = tensor_last(a->x), m = tensor_rows(a->x), hd = tensor_count(a->wq) / c, n_head = a->wq.shape[1],
          d = hd / n_head;
  size_t mark = context_here(context);
  float *h = scratch<float>(context, m * c), *qkvg = scratch<float>(context, 4 * m * hd), *o = scratch<float>(context, m * hd);
  if (!context->dry) {
    const op_norm none = {};
    norm_rows(a->x.data, m, c, &none, &a->query, h);
    rows_product(m, hd, c, h, a->wq.data, qkvg);
    rows_product(m, hd, c, h, a->wg.data, qkvg + 3 * m * hd);
    norm_rows(a->x.data, m, c, &none, &a->key, h);
    rows_product(m, hd, c, h, a->wk.data, qkvg + m * hd);
    rows_product(m, hd, c, h, a->wv.data, qkvg + 2 * m * hd);
    flash_operands operands = {qkvg, qkvg + m * hd, qkvg + 2 * m * hd, qkvg + 3 * m * hd, a->bq.data, o, hd, hd, hd, (int)n_q,
                               (int)n_k, (int)d, 1.0f / sqrtf((float)d)};
    flash(operands, m / n_q, n_head,
          window_attention{a->logits.data, a->query_mask.data, a->key_mask.data, a->key_index, n_s, n_q, n_k, heads,
                           a->first_head});
    rows_product(m, c, hd, o, a->wo.data, h);
    add_rows_gated(a->x.data, m, c, &a->query, h);
  }
  context_reset(context, mark);
}
