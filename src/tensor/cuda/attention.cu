// Pair logits, self-attention of tokens and cross attention of atoms.
#include "tensor/cuda/flash.cuh"
#include "tensor/cuda/gemm.cuh"

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
  context->flops += flops_pair_logits(a);
  int64_t n_q = a->x.shape[1], n_k = a->x.shape[2], c = a->x.shape[3], n_head = tensor_count(a->w) / c,
          m = tensor_rows(a->x);
  size_t mark = context_here(context);
  float2 *stats = scratch<float2>(context, m);
  if (!context->dry) {
    make_stats(a->x.data, m, c, stats);
    gemm(m, n_head, c, 1, left_norm(a->x.data, c, stats, &a->norm, NULL), right_rows(a->w.data, n_head),
         put_logits{a->out.data, n_q, n_k, n_head});
  }
  context_reset(context, mark);
}

struct put_bias {
  float *y;
  int64_t stride;
  const float *bias;
  __device__ void operator()(int64_t, int64_t i, int j, float v) const { y[i * stride + j] = bias ? v + bias[j] : v; }
};
// o *= sigmoid(gate)
struct put_sigmoid_times {
  float *o;
  int64_t stride;
  __device__ void operator()(int64_t, int64_t i, int j, float gate) const { o[i * stride + j] *= sigmoid(gate); }
};

struct token_attention {
  const float *logits, *mask;  // (H, N, N): keys before queries; (N)
  int64_t n;
  __device__ int64_t query_row(int64_t batch, int i) const { return batch * n + i; }
  __device__ int64_t key_row(int64_t batch, int i) const { return batch * n + i; }
  __device__ const float *bias(int64_t, int head, int i, int key) const { return logits + (head * n + key) * n + i; }
  __device__ float add(int64_t, int, int key) const { return 1e9f * (mask[key] - 1.0f); }
};

CUDA_OP(attention) {
  context->flops += flops_attention(a);
  int64_t n = a->mask.shape[0], c = tensor_last(a->x), m = tensor_rows(a->x), hd = tensor_count(a->wq) / c,
          n_head = a->wq.shape[1], d = hd / n_head;
  size_t mark = context_here(context);
  float2 *stats = scratch<float2>(context, m);
  float *qkv = scratch<float>(context, 3 * m * hd), *o = scratch<float>(context, m * hd);
  if (!context->dry) {
    make_stats(a->x.data, m, c, stats);
    gemm_left left = left_norm(a->x.data, c, stats, &a->norm, &a->condition);
    const float *w[3] = {a->wq.data, a->wk.data, a->wv.data};
    for (int s = 0; s < 3; s++)
      gemm(m, hd, c, 1, left, right_rows(w[s], hd),
           put_bias{qkv + s * m * hd, hd, s == 0 && tensor_given(a->bq) ? a->bq.data : NULL});
    flash_operands operands = {qkv, qkv + m * hd, qkv + 2 * m * hd, o, hd, hd, hd, (int)n, (int)n, (int)d,
                               1.0f / sqrtf((float)d)};
    flash(operands, m / n, n_head, token_attention{a->logits.data, a->mask.data, n});
    gemm(m, hd, c, 1, left, right_rows(a->wg.data, hd), put_sigmoid_times{o, hd});
    gemm(m, c, hd, 1, left_rows(o, hd), right_rows(a->wo.data, c), add_to(a->x.data, c, &a->condition));
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
  context->flops += flops_atom_attention(a);
  int64_t n_s = a->logits.shape[0], heads = a->logits.shape[1], n_k = a->logits.shape[2], n_q = a->logits.shape[3],
          c = tensor_last(a->x), m = tensor_rows(a->x), hd = tensor_count(a->wq) / c, n_head = a->wq.shape[1],
          d = hd / n_head;
  size_t mark = context_here(context);
  float2 *stats = scratch<float2>(context, m);
  float *qkv = scratch<float>(context, 3 * m * hd), *o = scratch<float>(context, m * hd);
  if (!context->dry) {
    const op_norm none = {};
    make_stats(a->x.data, m, c, stats);
    gemm_left query = left_norm(a->x.data, c, stats, &none, &a->query), key = left_norm(a->x.data, c, stats, &none, &a->key);
    gemm(m, hd, c, 1, query, right_rows(a->wq.data, hd), put_bias{qkv, hd, tensor_given(a->bq) ? a->bq.data : NULL});
    gemm(m, hd, c, 1, key, right_rows(a->wk.data, hd), put_bias{qkv + m * hd, hd, NULL});
    gemm(m, hd, c, 1, key, right_rows(a->wv.data, hd), put_bias{qkv + 2 * m * hd, hd, NULL});
    flash_operands operands = {qkv, qkv + m * hd, qkv + 2 * m * hd, o, hd, hd, hd, (int)n_q, (int)n_k, (int)d,
                               1.0f / sqrtf((float)d)};
    flash(operands, m / n_q, n_head,
          window_attention{a->logits.data, a->query_mask.data, a->key_mask.data, a->key_index, n_s, n_q, n_k, heads,
                           a->first_head});
    gemm(m, hd, c, 1, query, right_rows(a->wg.data, hd), put_sigmoid_times{o, hd});
    gemm(m, c, hd, 1, left_rows(o, hd), right_rows(a->wo.data, c), add_to(a->x.data, c, &a->query));
  }
  context_reset(context, mark);
}
