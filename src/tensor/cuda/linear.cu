// Layer norm, linear layers and transitions.
#include "tensor/cuda/gemm.cuh"
#include "tensor/cuda/narrow.cuh"
#include "tensor/cuda/panel.cuh"
#include "tensor/cuda/rows.cuh"
#include "tensor/cuda/token.cuh"

CUDA_OP(layer_norm) {
  if (context->dry) return;
  int64_t m = tensor_rows(a->x), c = tensor_last(a->x);
  if (a->x.narrow && a->y.narrow) norm_rows(narrow_data(a->x), m, c, &a->norm, NULL, narrow_data(a->y));
  else if (a->x.narrow) norm_rows(narrow_data(a->x), m, c, &a->norm, NULL, a->y.data);
  else if (a->y.narrow) norm_rows(a->x.data, m, c, &a->norm, NULL, narrow_data(a->y));
  else norm_rows(a->x.data, m, c, &a->norm, NULL, a->y.data);
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

// The panel's forms of the same, eight columns at a time.
struct put_panel {
  float *y;
  int64_t out;
  bool add;
  __device__ void operator()(int64_t i, int j, const float v[8]) const {
    float4 *to = (float4 *)(y + i * out + j), low = {v[0], v[1], v[2], v[3]}, high = {v[4], v[5], v[6], v[7]};
    if (add) {
      float4 a = to[0], b = to[1];
      low.x += a.x, low.y += a.y, low.z += a.z, low.w += a.w;
      high.x += b.x, high.y += b.y, high.z += b.z, high.w += b.w;
    }
    to[0] = low, to[1] = high;
  }
};
struct put_panel_narrow {
  bf16 *y;
  int64_t out;
  bool add;
  __device__ void operator()(int64_t i, int j, const float v[8]) const {
    bf16 *to = y + i * out + j;
    if (add) add_eight(to, v);
    else *(uint4 *)to = pack_eight(v);
  }
};
template <class E>
static void panel_linear(const op_linear *a, int64_t in, int64_t out, const bf16 *w, const E &e) {
  const bf16 *x = narrow_data(a->x);
  int64_t m = tensor_rows(a->x);
  if (in == 64 && out == 64) launch_panel_linear<64, 64>(x, m, &a->norm, w, e);
  else if (in == 64) launch_panel_linear<64, 128>(x, m, &a->norm, w, e);
  else if (out == 64) launch_panel_linear<128, 64>(x, m, &a->norm, w, e);
  else launch_panel_linear<128, 128>(x, m, &a->norm, w, e);
}
struct finish_value {
  put_linear to;
  const float *value;
  __device__ void operator()(int64_t i) const { to(0, i / to.out, (int)(i % to.out), value[i]); }
};

// Few inputs: a thread a value, in fp32. N: of an index.
template <class N>
struct from_few {
  const float *x, *w;
  int64_t in;
  put_linear to;
  __device__ void operator()(int64_t i) const {
    N r = (N)i / (N)to.out, j = (N)i % (N)to.out;
    float sum = 0;
    for (int64_t l = 0; l < in; l++) sum += x[r * in + l] * w[l * to.out + j];
    to(0, r, (int)j, sum);
  }
};
// Few rows: a warp four columns of one, in fp32.
struct of_few {
  const float *x, *w;
  int64_t in;
  put_linear to;
  __device__ void operator()(int64_t at, int lane) const {
    int64_t r = at / (to.out / 4), j = at % (to.out / 4) * 4;
    float sum[4] = {0, 0, 0, 0};
    for (int64_t l = lane; l < in; l += 32) {
      float v = x[r * in + l];
      float4 four = *(const float4 *)(w + l * to.out + j);
      sum[0] += v * four.x, sum[1] += v * four.y, sum[2] += v * four.z, sum[3] += v * four.w;
    }
#pragma unroll
    for (int i = 0; i < 4; i++) {
      float all = warp_sum(sum[i]);
      if (lane == i) to(0, r, (int)j + i, all);
    }
  }
};
// Few outputs: a warp a row, in fp32.
enum { FEW = 8, FEW_ROWS = 4 };
struct to_few {
  const float *x, *w;
  int64_t in;
  bool normalise;
  const float *scale, *offset;
  put_linear to;
  __device__ void operator()(int64_t r, int lane) const {
    const float *row = x + r * in;
    float mean = 0, inverse = 1, sum[FEW] = {};
    if (normalise) {
      float square = 0;
      for (int64_t l = lane; l < in; l += 32) mean += row[l];
      mean = warp_sum(mean) / (float)in;
      for (int64_t l = lane; l < in; l += 32) square += (row[l] - mean) * (row[l] - mean);
      inverse = rsqrtf(warp_sum(square) / (float)in + 1e-5f);
    }
    for (int64_t l = lane; l < in; l += 32) {
      float v = (row[l] - mean) * inverse;
      if (scale) v *= scale[l];
      if (offset) v += offset[l];
#pragma unroll
      for (int j = 0; j < FEW; j++)
        if (j < to.out) sum[j] += v * w[l * to.out + j];
    }
#pragma unroll
    for (int j = 0; j < FEW; j++) {
      float all = warp_sum(sum[j]);
      if (lane == 0 && j < to.out) to(0, r, j, all);
    }
  }
};

// All of it in float.
static void linear_wide(nf_context *context, const op_linear *a) {
  int64_t in = tensor_last(a->x), out = tensor_count(a->w) / in, m = tensor_rows(a->x);
  size_t mark = context_here(context);
  put_linear to = {a->y.data, out, tensor_given(a->bias) ? a->bias.data : NULL, a->sigmoid_output, a->add};
  if (!a->relu_input && (out <= FEW || (in <= FEW && !a->normalise))) {
    if (context->dry) return;
    if (out <= FEW)
      launch_warps(m, to_few{a->x.data, a->w.data, in, a->normalise, a->normalise ? a->norm.scale.data : NULL,
                             a->normalise ? a->norm.offset.data : NULL, to});
    else if (m * out < UINT32_MAX) launch_each(m * out, from_few<uint32_t>{a->x.data, a->w.data, in, to});
    else launch_each(m * out, from_few<int64_t>{a->x.data, a->w.data, in, to});
    return;
  }
  // Rows few enough that copies of them stay in the second-level cache: norm, product and the rest apart.
  bool apart = m <= 1 << 16 && in >= 64 && out >= 64 && in % 4 == 0 && out % 4 == 0;
  if (apart) {
    float *h = a->normalise ? scratch<float>(context, m * in) : NULL, *product = scratch<float>(context, m * out);
    if (!context->dry) {
      if (a->normalise) norm_rows(a->x.data, m, in, &a->norm, NULL, h, a->relu_input);
      const float *x = a->normalise ? h : a->x.data;
      bool plain = !to.bias && !to.sigmoid_output && !a->add && !a->y.away;
      gemm_left left = left_rows(x, in);
      left.relu = a->relu_input;
      bool ready = a->normalise || !a->relu_input;  // nothing is left to do before the product
      float *result = plain ? a->y.data : product;
      if (ready && m <= FEW_ROWS) {
        launch_warps(m * out / 4, of_few{x, a->w.data, in, to});
      } else if (ready && (blas_rows(m, out, in, x, a->w.data, result, false) ||
                           (a->exact && blas_exact_rows(m, out, in, x, a->w.data, result)))) {
        if (!plain) launch_each(m * out, finish_value{to, product});
      } else {
        gemm(m, out, in, 1, left, right_rows(a->w.data, out), to);
      }
    }
    context_reset(context, mark);
    return;
  }
  // In place, the tile of another column must not read what this one has written.
  bool copies = a->normalise && in == out && out > GEMM_N;
  float2 *stats = a->normalise && !copies ? scratch<float2>(context, m) : NULL;
  float *copy = copies ? scratch<float>(context, m * in) : NULL;
  if (!context->dry) {
    gemm_left left = left_rows(a->x.data, in);
    if (copies) {
      norm_rows(a->x.data, m, in, &a->norm, NULL, copy);
      left = left_rows(copy, in);
    } else if (a->normalise) {
      make_stats(a->x.data, m, in, stats);
      left = left_norm(a->x.data, in, stats, &a->norm, NULL);
    }
    left.relu = a->relu_input;
    gemm(m, out, in, 1, left, right_rows(a->w.data, out), to);
  }
  context_reset(context, mark);
}

// Some rows at a time become floats, and floats the result: what the panels do not take. Rows do not read each other, so
// that y may be x here too.
static void linear_widened(nf_context *context, const op_linear *a) {
  int64_t in = tensor_last(a->x), out = tensor_count(a->w) / in, m = tensor_rows(a->x), rows = m < 1 << 16 ? m : 1 << 16;
  size_t mark = context_here(context);
  float *wide_x = a->x.narrow ? scratch<float>(context, rows * in) : NULL,
        *wide_y = a->y.narrow ? scratch<float>(context, rows * out) : NULL;
  const nf_tensor all_y = tensor_as_2(a->y, m, out);
  for (int64_t first = 0; first < m; first += rows) {
    int64_t count = m - first < rows ? m - first : rows;
    op_linear part = *a;
    part.x = a->x.narrow ? tensor_2(wide_x, count, in) : tensor_some_rows(a->x, first, count);
    part.y = a->y.narrow ? tensor_2(wide_y, count, out) : tensor_some_rows(all_y, first, count);
    if (!context->dry && a->x.narrow) launch_widen(a->x, first * in, count * in, wide_x);
    if (!context->dry && a->y.narrow && a->add) launch_widen(a->y, first * out, count * out, wide_y);
    linear_wide(context, &part);
    if (!context->dry && a->y.narrow) launch_narrow(wide_y, a->y, first * out, count * out);
  }
  context_reset(context, mark);
}

static void linear(nf_context *context, const op_linear *a) {
  int64_t in = tensor_last(a->x), out = tensor_count(a->w) / in;
  bool panel = a->x.narrow && cuda_bf16(context) && a->normalise && !a->relu_input && !tensor_given(a->bias) &&
               !a->sigmoid_output && tensor_rows(a->x) >= 1024 && (in == 64 || in == 128) && (out == 64 || out == 128);
  if (panel) {
    size_t mark = context_here(context);
    const bf16 *w = packed(context, in * out, permuted_columns{out, out, 1}, a->w.data);
    if (!context->dry && a->y.narrow) panel_linear(a, in, out, w, put_panel_narrow{narrow_data(a->y), out, a->add});
    else if (!context->dry) panel_linear(a, in, out, w, put_panel{a->y.data, out, a->add});
    context_reset(context, mark);
  } else if (a->x.narrow || a->y.narrow) {
    linear_widened(context, a);
  } else {
    linear_wide(context, a);
  }
}

CUDA_OP(linear) {
  context->flops += flops_linear(a);
  bool before = cuda_fp32;
  cuda_fp32 = before || a->exact;
  linear(context, a);
  cuda_fp32 = before;
}

CUDA_OP(linears) {
  NF_ASSERT(!a->x.narrow && !a->y.narrow && a->n <= LINEARS_MOST);
  if (half_linears(context, a)) return;
  for (int i = 0; i < a->n_blocks * a->n; i++) {
    const linear_layer *l = &a->layers[i];
    op_linear one = {};
    one.x = a->x, one.normalise = tensor_given(l->scale), one.norm.scale = l->scale, one.w = l->w, one.bias = l->bias;
    one.sigmoid_output = l->sigmoid_output, one.y = tensor_slice(a->y, i);
    cuda_linear(context, &one);
  }
}

struct put_swish {
  float *y;
  int64_t n;
  __device__ void operator()(int64_t, int64_t i, int j, float gate, float value) const {
    y[i * n + j] = gate * sigmoid(gate) * value;
  }
};

struct swish_value {
  const float *both;
  int64_t n;
  float *y;
  __device__ void operator()(int64_t i) const {
    int64_t r = i / n, l = i % n;
    float gate = both[r * 2 * n + l];
    y[i] = gate * sigmoid(gate) * both[r * 2 * n + n + l];
  }
};

CUDA_OP(transition) {
  context->flops += flops_transition(a);
  if (!a->x.narrow && half_transition(context, a)) return;
  int64_t c = tensor_last(a->x), n = tensor_count(a->w2) / c, m = tensor_rows(a->x);
  size_t mark = context_here(context);
  if (a->x.narrow && cuda_bf16(context) && !tensor_given(a->condition.scale) && !tensor_given(a->condition.gate) &&
      panel_transition_fits(c, n)) {
    panel_transition(context, a);
    context_reset(context, mark);
    return;
  }
  // Some rows at a time, so that the hidden layer stays small.
  int64_t rows = m < 1 << 15 ? m : 1 << 15;
  float *part = scratch<float>(context, rows * c), *hidden = scratch<float>(context, rows * n), *both = scratch<float>(context, rows * 2 * n);
  float *wide = a->x.narrow ? scratch<float>(context, rows * c) : NULL;
  if (!context->dry) {
    for (int64_t first = 0; first < m; first += rows) {
      int64_t count = m - first < rows ? m - first : rows;
      float *x = wide ? wide : a->x.data + first * c;
      if (wide) launch_widen(a->x, first * c, count * c, wide);
      norm_rows(x, count, c, &a->norm, &a->condition, part, false, first);
      gemm_right w1 = right_rows(a->w1.data, 2 * n);
      w1.second = n;
      if (blas_rows(count, 2 * n, c, part, a->w1.data, both, false)) launch_each(count * n, swish_value{both, n, hidden});
      else gemm_dual(count, n, c, left_rows(part, c), w1, put_swish{hidden, n});
      rows_product(count, c, n, hidden, a->w2.data, part);
      add_rows_gated(x, count, c, &a->condition, part, first);
      if (wide) launch_narrow(wide, a->x, first * c, count * c);
    }
  }
  context_reset(context, mark);
}
