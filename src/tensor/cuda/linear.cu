// Layer norm, linear layers and transitions.
#include "tensor/cuda/gemm.cuh"
#include "tensor/cuda/panel.cuh"

struct normalise_row {
  const float *x;
  int64_t c;
  const float *scale, *offset;
  float *y;
  __device__ void operator()(int64_t r, int lane) const {
    const float *row = x + r * c;
    float sum = 0, square = 0;
    for (int64_t l = lane; l < c; l += 32) sum += row[l];
    float mean = warp_sum(sum) / (float)c;
    for (int64_t l = lane; l < c; l += 32) square += (row[l] - mean) * (row[l] - mean);
    float inverse = rsqrtf(warp_sum(square) / (float)c + 1e-5f);
    for (int64_t l = lane; l < c; l += 32)
      y[r * c + l] = (row[l] - mean) * inverse * (scale ? scale[l] : 1.0f) + (offset ? offset[l] : 0.0f);
  }
};
static void normalise_rows(const float *x, int64_t m, int64_t c, const op_norm *norm, float *y) {
  launch_warps(m, normalise_row{x, c, norm->scale.data, norm->offset.data, y});
}

CUDA_OP(layer_norm) {
  if (context->dry) return;
  normalise_rows(a->x.data, tensor_rows(a->x), tensor_last(a->x), &a->norm, a->y.data);
}

struct put_linear {
  float *y;
  int64_t out;
  const float *bias;
  bool sigmoid_output, add;
  __device__ void operator()(int64_t, int64_t i, int j, float v) const {
    if (bias) v += bias[j];
    if (sigmoid_output) v = sigmoid(v);
    float *to = y + i * out + j;
    *to = add ? *to + v : v;
  }
};

CUDA_OP(linear) {
  context->flops += flops_linear(a);
  int64_t in = tensor_last(a->x), out = tensor_count(a->w) / in, m = tensor_rows(a->x);
  size_t mark = context_here(context);
  // In place, the tile of another column must not read what this one has written.
  bool copies = a->normalise && in == out && out > GEMM_N;
  float2 *stats = a->normalise && !copies ? scratch<float2>(context, m) : NULL;
  float *copy = copies ? scratch<float>(context, m * in) : NULL;
  if (!context->dry) {
    gemm_left left = left_rows(a->x.data, in);
    if (copies) {
      normalise_rows(a->x.data, m, in, &a->norm, copy);
      left = left_rows(copy, in);
    } else if (a->normalise) {
      make_stats(a->x.data, m, in, stats);
      left = left_norm(a->x.data, in, stats, &a->norm, NULL);
    }
    left.relu = a->relu_input;
    gemm(m, out, in, 1, left, right_rows(a->w.data, out),
         put_linear{a->y.data, out, tensor_given(a->bias) ? a->bias.data : NULL, a->sigmoid_output, a->add});
  }
  context_reset(context, mark);
}

struct put_swish {
  float *y;
  int64_t n;
  __device__ void operator()(int64_t, int64_t i, int j, float gate, float value) const {
    y[i * n + j] = gate * sigmoid(gate) * value;
  }
};

CUDA_OP(transition) {
  context->flops += flops_transition(a);
  int64_t c = tensor_last(a->x), n = tensor_count(a->w2) / c, m = tensor_rows(a->x);
  size_t mark = context_here(context);
  if (cuda_bf16(context) && !tensor_given(a->condition.scale) && panel_transition_fits(c, n)) {
    panel_transition(context, a);
    context_reset(context, mark);
    return;
  }
  // Some rows at a time, so that the hidden layer stays small.
  int64_t rows = m < 1 << 15 ? m : 1 << 15;
  float2 *stats = scratch<float2>(context, m);
  float *hidden = scratch<float>(context, rows * n);
  if (!context->dry) {
    make_stats(a->x.data, m, c, stats);
    for (int64_t first = 0; first < m; first += rows) {
      int64_t count = m - first < rows ? m - first : rows;
      float *x = a->x.data + first * c;
      gemm_left left = left_norm(x, c, stats + first, &a->norm, &a->condition);
      gemm_right w1 = right_rows(a->w1.data, 2 * n);
      w1.second = n;
      add_gated back = add_to(x, c, &a->condition);
      left.first_row = back.first_row = first;
      gemm_dual(count, n, c, left, w1, put_swish{hidden, n});
      gemm(count, c, n, 1, left_rows(hidden, n), right_rows(a->w2.data, c), back);
    }
  }
  context_reset(context, mark);
}
