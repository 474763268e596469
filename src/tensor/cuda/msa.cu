// Outer product mean and pair-weighted averaging of the MSA.
#include "tensor/cuda/blas.cuh"
#include "tensor/cuda/gemm.cuh"
#include "tensor/cuda/hopper.cuh"
#include "tensor/cuda/panel.cuh"

template <class T>
static __device__ __forceinline__ T rounded(float v);
template <>
__device__ __forceinline__ float rounded<float>(float v) { return v; }
template <>
__device__ __forceinline__ bf16 rounded<bf16>(float v) { return __float2bfloat16(v); }

// y = value * mask of the row
template <class T>
struct put_masked {
  T *y;
  int64_t stride;
  const float *mask;
  __device__ void operator()(int64_t, int64_t i, int j, float v) const { y[i * stride + j] = rounded<T>(v * mask[i]); }
};
// Element (e of token i, f of token j) to row (i, j), column (e, f).
template <class T>
struct put_outer {
  T *y;
  uint32_t n, e;
  __device__ T *at(int64_t row, int64_t column) const {
    uint32_t i = (uint32_t)row / e, k = (uint32_t)row % e, j = (uint32_t)column / e, l = (uint32_t)column % e;
    return y + (((int64_t)i * n + j) * e + k) * e + l;
  }
  __device__ void operator()(int64_t, int64_t i, int j, float v) const { *at(i, j) = rounded<T>(v); }
  __device__ void operator()(int64_t, int64_t i, int64_t j, float v0, float v1) const {  // e is even
    *(uint32_t *)at(i, j) = pack_bf16(v0, v1);
  }
};
struct put_rows {
  bf16 *y;
  int64_t ld;
  __device__ void operator()(int64_t, int64_t i, int64_t j, float v0, float v1) const {
    *(uint32_t *)(y + i * ld + j) = pack_bf16(v0, v1);
  }
};
struct add_mean {
  cells pair;
  int64_t c;
  const float *b, *norm;
  __device__ void operator()(int64_t, int64_t i, int j, float v) const {
    pair.put(i * c + j, pair.get(i * c + j) + (v + b[j]) / (1e-3f + norm[i]));
  }
  __device__ void operator()(int64_t, int64_t i, int64_t j, float v0, float v1) const {  // c is even
    (*this)(0, i, (int)j, v0);
    (*this)(0, i, (int)j + 1, v1);
  }
};

// Of the outer products (i, e) x (j, f): row (i, j), columns (e, f).
struct outer_rows {
  const bf16 *x;
  uint32_t n, e;
  int64_t ld;
  __device__ const bf16 *at(int64_t, int64_t row, int64_t column) const {
    uint32_t i = (uint32_t)row / n, j = (uint32_t)row % n, k = (uint32_t)column / e, l = (uint32_t)column % e;
    return x + (int64_t)(i * e + k) * ld + j * e + l;
  }
};
// Columns of left and right side by side, masked.
struct put_sides {
  bf16 *left, *right;
  int e;
  const float *mask;
  __device__ void operator()(int64_t i, int j, const float v[8]) const {
    float factor = mask[i];
    uint4 words = {pack_bf16(v[0] * factor, v[1] * factor), pack_bf16(v[2] * factor, v[3] * factor),
                   pack_bf16(v[4] * factor, v[5] * factor), pack_bf16(v[6] * factor, v[7] * factor)};
    *(uint4 *)((j < e ? left : right) + i * e + j % e) = words;
  }
};
struct pack_sides {  // (C, 64): left's 32 columns, right's 32, permuted
  const float *left, *right;
  bf16 *to;
  __device__ void operator()(int64_t i) const {
    int64_t l = i / 64;
    int j = panel_column((int)(i % 64));
    to[i] = __float2bfloat16(j < 32 ? left[l * 32 + j] : right[l * 32 + j - 32]);
  }
};

// The second product on Hopper, for 32 x 32 outer products and 128 channels: 256 tokens j of one i a block, two
// warpgroups of 128, and four warps that fetch two e at a time: rows j of 32 f, and w's rows (e, channel, 32 f) as
// operands.
enum { MEAN_ROWS = 256, MEAN_STAGES = 4, MEAN_STAGE = 2 * 32 * (MEAN_ROWS + 128) };
static const size_t mean_shared = 1024 + MEAN_STAGES * MEAN_STAGE * sizeof(bf16) + 2 * MEAN_STAGES * sizeof(uint64_t) +
                                  128 * sizeof(float);

__global__ void __launch_bounds__(384, 1) mean_hopper_kernel(const bf16 *outer, int n, const bf16 *w, const float *b,
                                                             const float *norm, bf16 *pair) {
#ifdef HOPPER_CODE
  extern __shared__ char hopper_memory[];
  bf16 *stages = (bf16 *)(hopper_memory + (-shared_address(hopper_memory) & 1023));
  uint64_t *full = (uint64_t *)(stages + MEAN_STAGES * MEAN_STAGE), *empty = full + MEAN_STAGES;
  float *start = (float *)(empty + MEAN_STAGES);
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32, j0 = blockIdx.x * MEAN_ROWS;
  int64_t i = blockIdx.y;
  if (threadIdx.x < 128) start[threadIdx.x] = b[threadIdx.x];
  if (threadIdx.x == 0) {
    for (int s = 0; s < MEAN_STAGES; s++) barrier_init(full + s, 129), barrier_init(empty + s, 2);
    barrier_publish();
  }
  __syncthreads();
  if (warp >= 8) {
    int thread = threadIdx.x - 256;
    outer += i * 32 * n * 32 + (int64_t)j0 * 32;
    for (int step = 0; step < 16 + 2; step++) {
      if (step < 16) {
        int stage = step % MEAN_STAGES;
        bf16 *to = stages + stage * MEAN_STAGE;
        barrier_wait(empty + stage, step / MEAN_STAGES % 2 ^ 1);
        if (thread == 0) {
          barrier_expect(full + stage, 2 * 128 * 32 * sizeof(bf16));
          copy_bulk(to + 2 * 32 * MEAN_ROWS, w + step * 2 * 128 * 32, 2 * 128 * 32 * sizeof(bf16), full + stage);
        }
#pragma unroll
        for (int u = 0; u < 2 * MEAN_ROWS * 4 / 128; u++) {
          int at = thread + 128 * u, c = at % 4, row = at / 4 % MEAN_ROWS, e = at / 4 / MEAN_ROWS;
          bool valid = j0 + row < n;
          copy_async(to + e * 32 * MEAN_ROWS + row * 32 + ((c ^ (row / 2 & 3)) * 8),
                     valid ? outer + (int64_t)(2 * step + e) * n * 32 + row * 32 + c * 8 : w, valid);
        }
      }
      copy_commit();
      // The copies before the last two are there: word of it, for the matrix units too.
      if (step >= 2) {
        copy_wait<2>();
        publish_shared();
        barrier_arrive(full + (step - 2) % MEAN_STAGES);
      }
    }
  } else {
    int group = warp / 4, g = lane / 4, t = lane % 4;
    float sum[2][16][4] = {};
    for (int step = 0; step < 16; step++) {
      int stage = step % MEAN_STAGES;
      const bf16 *from = stages + stage * MEAN_STAGE;
      barrier_wait(full + stage, step / MEAN_STAGES % 2);
      products_begin();
#pragma unroll
      for (int e = 0; e < 2; e++)
#pragma unroll
        for (int l = 0; l < 2; l++)
#pragma unroll
          for (int r = 0; r < 2; r++)
            product<false>(sum[r], operand_64(from + e * 32 * MEAN_ROWS + (group * 128 + r * 64) * 32) + 2 * l,
                           operand_64(from + 2 * 32 * MEAN_ROWS + e * 128 * 32) + 2 * l, true);
      products_commit();
      products_wait<0>();
      products_settle(sum[0]);
      products_settle(sum[1]);
      if (threadIdx.x % 128 == 0) barrier_arrive(empty + stage);
    }
#pragma unroll
    for (int r = 0; r < 2; r++)
#pragma unroll
      for (int s = 0; s < 2; s++) {
        int64_t j = j0 + group * 128 + r * 64 + warp % 4 * 16 + g + 8 * s;
        if (j >= n) continue;
        float inverse = 1.0f / (1e-3f + norm[i * n + j]);
        uint4 *to = (uint4 *)(pair + (i * n + j) * 128 + 8 * t), old[4];  // all under way before the first is written
#pragma unroll
        for (int q = 0; q < 4; q++) old[q] = to[4 * q];
#pragma unroll
        for (int q = 0; q < 4; q++) {
          float v[8];
          unpack_eight(old[q], v);
#pragma unroll
          for (int e = 0; e < 8; e++) v[e] += (sum[r][4 * q + e / 2][2 * s + e % 2] + start[32 * q + 8 * t + e]) * inverse;
          to[4 * q] = pack_eight(v);
        }
      }
  }
#endif
}
struct pack_mean_hopper {  // to (e, channel, f)
  const float *w;
  bf16 *to;
  __device__ void operator()(int64_t i) const {
    int at = (int)(i % 4096), row = at / 32, f = ((at % 32 / 8) ^ (row / 2 & 3)) * 8 + at % 8;
    to[i] = __float2bfloat16(w[(i / 4096 * 32 + f) * 128 + panel_column(row)]);
  }
};
static void launch_mean_hopper(const bf16 *outer, int count, int n, const bf16 *w, const float *b, const float *norm,
                               bf16 *pair) {
  static bool allowed;
  if (!allowed) allow_shared(mean_hopper_kernel, mean_shared), allowed = true;
  mean_hopper_kernel<<<dim3((unsigned)ceil_div(n, MEAN_ROWS), (unsigned)count), 384, mean_shared, cuda_stream>>>(
      outer, n, w, b, norm, pair);
  CUDA_CHECK(cudaGetLastError());
}

template <class T>
static void outer_product_mean(nf_context *context, const op_outer_product_mean *asked) {
  op_outer_product_mean wide = *asked, *a = &wide;
  int64_t r = a->msa.shape[0], n = a->msa.shape[1], c_m = a->msa.shape[2], e = tensor_last(a->w_left),
          c = a->pair.shape[2];
  // Tokens i that pass together: their outer products take 64 MiB.
  int64_t most = ((int64_t)64 << 20) / (n * e * e * (int64_t)sizeof(T)), rows = most < 1 ? 1 : most > n ? n : most;
  float2 *stats = scratch<float2>(context, r * n);
  T *left = scratch<T>(context, r * n * e), *right = scratch<T>(context, r * n * e),
    *outer = scratch<T>(context, rows * n * e * e);
  float *norm = scratch<float>(context, n * n);
  bool panels = sizeof(T) == 2 && a->msa.narrow && c_m == 64 && e == 32,
       fused = sizeof(T) == 2 && a->pair.narrow && hopper() && e == 32 && c == 128;
  if (!panels) a->msa = widened(context, a->msa);
  const bf16 *w_sides = NULL, *w = NULL;
  if (panels)
    w_sides = packed_by(context, 4096, 4096, a->w_left.data, pack_sides{a->w_left.data, a->w_right.data, NULL});
  if (fused) w = packed_by(context, e * e * c, e * e * c, a->w.data, pack_mean_hopper{a->w.data, NULL});
  else if (sizeof(T) == 2) w = packed(context, e * e * c, pack_as_is{0}, a->w.data);
  if (context->dry) return;
  if constexpr (sizeof(T) == 2) {
    if (panels) {
      launch_panel_linear<64, 64>(narrow_data(a->msa), r * n, &a->norm, w_sides, put_sides{left, right, 32, a->mask.data});
    }
  }
  if (!panels) {
    make_stats(a->msa.data, r * n, c_m, stats);
    gemm_left h = left_norm(a->msa.data, c_m, stats, &a->norm, NULL);
    gemm(r * n, e, c_m, 1, h, right_rows(a->w_left.data, e), put_masked<T>{left, e, a->mask.data});
    gemm(r * n, e, c_m, 1, h, right_rows(a->w_right.data, e), put_masked<T>{right, e, a->mask.data});
  }
  // Zeros and ones: exact in TF32.
  blas_product counts = {n, n, r, 1, a->mask.data, a->mask.data, norm, n, n, n, 0, 0, 0, true, false, false, false};
  if (cuda_fp32 || !blas(&counts)) {
    gemm_left columns = left_rows(a->mask.data, n);
    columns.m_stride = 1, columns.k_stride = n;
    gemm(n, n, r, 1, columns, right_rows(a->mask.data, n), put{norm, n, 0});
  }
  for (int64_t i = 0; i < n; i += rows) {
    int64_t count = n - i < rows ? n - i : rows;
    put_outer<T> to = {outer, (uint32_t)n, (uint32_t)e};
    add_mean mean = {cells{tensor_at(a->pair, i * n * c), a->pair.narrow}, c, a->b.data, norm + i * n};
    if constexpr (sizeof(T) == 2) {
      blas_product p = {count * e, n * e, r, 1, left + i * e, right, outer, n * e, n * e,
                        n * e,     0,     0, 0, true,         false, true,  false};
      bool done = blas(&p);
      if (fused) {
        if (!done)
          gemm_bf16<false, false>(count * e, n * e, r, 1, bf16_rows{left + i * e, n * e, 0}, bf16_rows{right, n * e, 0},
                                  put_rows{outer, n * e});
        launch_mean_hopper(outer, (int)count, (int)n, w, a->b.data, mean.norm, (bf16 *)mean.pair.data);
      } else if (done) {
        gemm_bf16<true, false>(count * n, c, e * e, 1, outer_rows{outer, (uint32_t)n, (uint32_t)e, n * e},
                               bf16_rows{w, c, 0}, mean);
      } else {
        gemm_bf16<false, false>(count * e, n * e, r, 1, bf16_rows{left + i * e, n * e, 0}, bf16_rows{right, n * e, 0},
                                to);
        gemm_bf16<true, false>(count * n, c, e * e, 1, bf16_rows{outer, e * e, 0}, bf16_rows{w, c, 0}, mean);
      }
    } else {
      gemm_left tokens = left_rows((const float *)left + i * e, r);
      tokens.m_stride = 1, tokens.k_stride = n * e;
      gemm(count * e, n * e, r, 1, tokens, right_rows((const float *)right, n * e), to);
      gemm(count * n, c, e * e, 1, left_rows((const float *)outer, e * e), right_rows(a->w.data, c), mean);
    }
  }
}

CUDA_OP(outer_product_mean) {
  context->flops += flops_outer_product_mean(a);
  size_t mark = context_here(context);
  bool fits = tensor_last(a->w_left) % 8 == 0 && a->pair.shape[2] % 8 == 0;
  if (cuda_bf16(context) && fits) outer_product_mean<bf16>(context, a);
  else outer_product_mean<float>(context, a);
  context_reset(context, mark);
}

// logits[h, i, k] of row (i, k)
struct put_head_plane {
  float *y;
  int64_t plane;
  __device__ void operator()(int64_t, int64_t i, int h, float v) const { y[h * plane + i] = v; }
};
// Weights of a row of logits: y (., ld), zeros from n on.
template <class T>
struct softmax_row {
  const float *x, *mask;
  int64_t n, ld;
  T *y;
  __device__ void operator()(int64_t r, int lane) const {
    const float *row = x + r * n;
    float most = -INFINITY, total = 0;
    for (int64_t k = lane; k < n; k += 32) most = fmaxf(most, row[k] + 1e9f * (mask[k] - 1.0f));
    most = warp_max(most);
    for (int64_t k = lane; k < n; k += 32) total += __expf(row[k] + 1e9f * (mask[k] - 1.0f) - most);
    float inverse = 1.0f / warp_sum(total);
    for (int64_t k = lane; k < ld; k += 32)
      y[r * ld + k] = rounded<T>(k < n ? __expf(row[k] + 1e9f * (mask[k] - 1.0f) - most) * inverse : 0.0f);
  }
};
// v of row (r, k), column (h, d) to y[h, k, (r, d)], rows of ld
template <class T>
struct put_values {
  T *y;
  uint32_t n, d;
  int64_t ld;
  __device__ void operator()(int64_t, int64_t i, int j, float v) const {
    uint32_t r = (uint32_t)i / n, k = (uint32_t)i % n, h = (uint32_t)j / d, l = (uint32_t)j % d;
    y[((int64_t)h * n + k) * ld + r * d + l] = rounded<T>(v);
  }
};
// Of head `batch`, row i, column (r, d) to o[r, i, (h, d)]
struct put_averages {
  float *o;
  uint32_t n, d, columns;
  int64_t hd;
  __device__ void operator()(int64_t batch, int64_t i, int64_t j, float v) const {
    uint32_t r = (uint32_t)j / d, l = (uint32_t)j % d;
    o[((int64_t)r * n + i) * hd + batch * d + l] = v;
  }
  __device__ void operator()(int64_t batch, int64_t i, int64_t j, float v0, float v1) const {
    (*this)(batch, i, j, v0);
    if (j + 1 < columns) (*this)(batch, i, j + 1, v1);
  }
};
struct put_sigmoid_times {
  float *o;
  int64_t stride;
  __device__ void operator()(int64_t, int64_t i, int j, float gate) const { o[i * stride + j] *= sigmoid(gate); }
};

// v of row (r, k), eight columns (h, d) from j on, d = 8: to y[h, k, (r, d)], rows of ld
struct put_eight_values {
  bf16 *y;
  uint32_t n;
  int64_t ld;
  __device__ void operator()(int64_t i, int j, const float v[8]) const {
    uint32_t r = (uint32_t)i / n, k = (uint32_t)i % n;
    uint4 words = {pack_bf16(v[0], v[1]), pack_bf16(v[2], v[3]), pack_bf16(v[4], v[5]), pack_bf16(v[6], v[7])};
    *(uint4 *)(y + ((int64_t)(j / 8) * n + k) * ld + r * 8) = words;
  }
};
// Of head `batch`, row i, column (r, d): to o[r, i, (h, d)] in bf16, d = 8
struct put_averages_bf16 {
  bf16 *o;
  uint32_t n;
  int64_t hd;
  __device__ void operator()(int64_t batch, int64_t i, int64_t j, float v0, float v1) const {
    *(uint32_t *)(o + ((j / 8) * n + i) * hd + batch * 8 + j % 8) = pack_bf16(v0, v1);
  }
};

// The network's sizes in bf16: c_m = 64 = 8 heads of 8.
static void pair_average_panels(nf_context *context, const op_pair_average *a) {
  int64_t r = a->msa.shape[0], n = a->msa.shape[1], c = a->pair.shape[2], n_head = 8, hd = 64, ld = round_up(n, 8),
          ld_v = r * 8;
  float *logits = scratch<float>(context, n_head * n * n);
  bf16 *weights = scratch<bf16>(context, n_head * n * ld), *v = scratch<bf16>(context, n_head * n * ld_v),
       *o = scratch<bf16>(context, r * n * hd);
  permuted_columns columns = {hd, hd, 1};
  const bf16 *wv = packed(context, hd * hd, columns, a->wv.data), *wg = packed(context, hd * hd, columns, a->wg.data),
             *wo = packed(context, hd * hd, columns, a->wo.data),
             *w_logits = packed(context, c * 16, head_columns{n_head}, a->w_logits.data);
  if (context->dry) return;
  logits_layout layout = {n, n, 1, n, 0, n, n * n, 0};
  panel_logits(narrow_data(a->pair), c, &a->norm_pair, w_logits, (int)n_head, 1, &layout, logits);
  launch_warps(n_head * n, softmax_row<bf16>{logits, a->column_mask.data, n, ld, weights});
  launch_panel_linear<64, 64>(narrow_data(a->msa), r * n, &a->norm, wv, put_eight_values{v, (uint32_t)n, ld_v});
  gemm_bf16<true, false>(n, r * 8, n, n_head, bf16_rows{weights, ld, n * ld}, bf16_rows{v, ld_v, n * ld_v},
                         put_averages_bf16{o, (uint32_t)n, hd});
  panel_gated_out(narrow_data(a->msa), hd, r, n, n, &a->norm, o, wg, wo);
}

template <class T>
static void pair_average(nf_context *context, const op_pair_average *asked) {
  op_pair_average wide = *asked, *a = &wide;
  a->pair = widened(context, a->pair), a->msa = widened(context, a->msa);
  int64_t r = a->msa.shape[0], n = a->msa.shape[1], c_m = a->msa.shape[2], c = a->pair.shape[2],
          n_head = tensor_last(a->w_logits), hd = tensor_count(a->wv) / c_m, d = hd / n_head;
  int64_t ld = round_up(n, 8), ld_v = round_up(r * d, 8), most = r > n ? r * n : n * n;
  float2 *stats = scratch<float2>(context, most);
  float *logits = scratch<float>(context, n_head * n * n), *o = scratch<float>(context, r * n * hd);
  T *weights = scratch<T>(context, n_head * n * ld), *v = scratch<T>(context, n_head * n * ld_v);
  if (context->dry) return;
  make_stats(a->pair.data, n * n, c, stats);
  gemm(n * n, n_head, c, 1, left_norm(a->pair.data, c, stats, &a->norm_pair, NULL),
       right_rows(a->w_logits.data, n_head), put_head_plane{logits, n * n});
  launch_warps(n_head * n, softmax_row<T>{logits, a->column_mask.data, n, ld, weights});
  make_stats(a->msa.data, r * n, c_m, stats);
  gemm_left h = left_norm(a->msa.data, c_m, stats, &a->norm, NULL);
  gemm(r * n, hd, c_m, 1, h, right_rows(a->wv.data, hd), put_values<T>{v, (uint32_t)n, (uint32_t)d, ld_v});
  put_averages to = {o, (uint32_t)n, (uint32_t)d, (uint32_t)(r * d), hd};
  if constexpr (sizeof(T) == 2) {
    gemm_bf16<true, false>(n, r * d, n, n_head, bf16_rows{weights, ld, n * ld}, bf16_rows{v, ld_v, n * ld_v}, to);
  } else {
    gemm_left w = left_rows((const float *)weights, ld);
    gemm_right values = right_rows((const float *)v, ld_v);
    w.batch_stride = n * ld;
    values.batch_stride = n * ld_v;
    gemm(n, r * d, n, n_head, w, values, to);
  }
  gemm(r * n, hd, c_m, 1, h, right_rows(a->wg.data, hd), put_sigmoid_times{o, hd});
  gemm(r * n, c_m, hd, 1, left_rows(o, hd), right_rows(a->wo.data, c_m), add_to(a->msa.data, c_m, NULL));
  if (asked->msa.narrow) launch_narrow(a->msa.data, asked->msa, 0, r * n * c_m);
}

CUDA_OP(pair_average) {
  context->flops += flops_pair_average(a);
  size_t mark = context_here(context);
  int64_t c_m = a->msa.shape[2], c = a->pair.shape[2];
  bool fits = a->pair.narrow && a->msa.narrow && c_m == 64 && (c == 64 || c == 128) && tensor_count(a->wv) == 64 * 64 && tensor_last(a->w_logits) == 8;
  if (cuda_bf16(context) && fits) pair_average_panels(context, a);
  else if (cuda_bf16(context)) pair_average<bf16>(context, a);
  else pair_average<float>(context, a);
  context_reset(context, mark);
}
