// Triangle multiplication, in place on the pair tensor. In bf16 for the sizes of the network, else by general products.
//
// In bf16 what is summed lies in planes, a channel each. In pieces, b is made for the whole pair tensor, then for some rows at
// a time (columns, if incoming) a, the sums and the result: those of a later piece read only what is not yet changed. Where not
// even b fits, some channels of it are made and summed up at a time; sums wait on the host until all channels' are there.
#include "tensor/cuda/blas.cuh"
#include "tensor/cuda/gemm.cuh"
#include "tensor/cuda/hopper.cuh"
#include "tensor/cuda/panel.cuh"
#include "tensor/cuda/staging.cuh"

// ---- general ----

// Gated a and b of pair (i, k), channel by channel: columns 2 c give a, 2 c + 1 b.
struct put_left_right {
  float *left, *right;
  const float *mask;
  int64_t n;
  __device__ void operator()(int64_t, int64_t ij, int j, float gate, float value) const {
    int64_t i = (uint32_t)ij / (uint32_t)n, k = (uint32_t)ij % (uint32_t)n;
    (j % 2 ? right : left)[j / 2 * n * n + ij] = sigmoid(gate) * value * mask[i] * mask[k];
  }
};
// y (m, c) = norm of x (c, m)
struct normalise_column {
  const float *x;
  int64_t m, c;
  const float *scale, *offset;
  float *y;
  __device__ void operator()(int64_t r, int lane) const {
    float sum = 0, square = 0;
    for (int64_t l = lane; l < c; l += 32) sum += x[l * m + r];
    float mean = warp_sum(sum) / (float)c;
    for (int64_t l = lane; l < c; l += 32) square += (x[l * m + r] - mean) * (x[l * m + r] - mean);
    float inverse = rsqrtf(warp_sum(square) / (float)c + 1e-5f);
    for (int64_t l = lane; l < c; l += 32)
      y[r * c + l] = (x[l * m + r] - mean) * inverse * (scale ? scale[l] : 1.0f) + (offset ? offset[l] : 0.0f);
  }
};
struct put_sigmoid {
  float *y;
  int64_t stride;
  __device__ void operator()(int64_t, int64_t i, int j, float v) const { y[i * stride + j] = sigmoid(v); }
};
struct add_times {
  float *x;
  const float *gate;
  int64_t stride;
  __device__ void operator()(int64_t, int64_t i, int j, float v) const {
    x[i * stride + j] += gate[i * stride + j] * v;
  }
};
// Columns 0 .. c - 1 of gate and value weights next to one another, as a dual product wants them.
struct join_columns {
  const float *gate, *value;
  int64_t n;
  float *w;
  __device__ void operator()(int64_t i) const {
    int64_t l = i / (2 * n), j = i % (2 * n);
    w[i] = j < n ? gate[l * n + j] : value[l * n + j - n];
  }
};

static void general_multiply(nf_context *context, const op_triangle_multiply *asked) {
  op_triangle_multiply wide = *asked, *a = &wide;
  int64_t n = a->x.shape[0], c = a->x.shape[2], m = n * n;
  a->x = widened(context, a->x);
  float2 *stats = scratch<float2>(context, m);
  float *left = scratch<float>(context, m * c), *right = scratch<float>(context, m * c),
        *sum = scratch<float>(context, m * c), *gate = scratch<float>(context, m * c),
        *w = scratch<float>(context, 4 * c * c);
  if (context->dry) return;
  make_stats(a->x.data, m, c, stats);
  gemm_left h = left_norm(a->x.data, c, stats, &a->norm, NULL);
  launch_each(4 * c * c, join_columns{a->w_gate.data, a->w_projection.data, 2 * c, w});
  gemm_right both = right_rows(w, 4 * c);
  both.second = 2 * c;
  gemm_dual(m, 2 * c, c, h, both, put_left_right{left, right, a->mask.data, n});
  gemm(m, c, c, 1, h, right_rows(a->w_gating.data, c), put_sigmoid{gate, c});
  // Outgoing: sum over columns of both; incoming: over rows, with b's column for i and a's for j.
  gemm_left x = left_rows(a->outgoing ? left : right, n);
  gemm_right y = right_rows(a->outgoing ? right : left, n);
  x.batch_stride = y.batch_stride = m;
  if (a->outgoing) y.k_stride = 1, y.n_stride = n;
  else x.m_stride = 1, x.k_stride = n;
  gemm(n, n, n, c, x, y, put{sum, n, m});
  launch_warps(m, normalise_column{sum, m, c, a->norm_center.scale.data, a->norm_center.offset.data, left});
  gemm(m, c, c, 1, left_rows(left, c), right_rows(a->w_out.data, c), add_times{a->x.data, gate, c});
  if (asked->x.narrow) launch_narrow(a->x.data, asked->x, 0, m * c);
}

// ---- in bf16 ----

enum { PANEL = 128, STAGING = PANEL + 8 };

// A part of the pair tensor, and how its planes lie: those of channels `plane` values from one another, rows `ld`.
typedef struct {
  bf16 *x;        // its first pair
  int64_t apart;  // pairs from a row to the next
  int first_row, rows, first_column, columns;
  int64_t ld, plane;
} part;
// Rows (of the first axis) or columns of the tile, whose planes are the part's alone.
static part piece(const pair_tile &t, bool of_rows, int64_t n) {
  if (of_rows) return part{t.data, t.apart, t.first, t.count, 0, (int)n, round_up(n, 16), t.count * round_up(n, 16)};
  return part{t.data, t.apart, 0, (int)n, t.first, t.count, round_up(t.count, 16), n * round_up(t.count, 16)};
}
// Pair (i, k) of the part, counted from its first.
static __device__ __forceinline__ int64_t pair_at(const part &p, int i, int k) { return i * p.apart + k; }

// Columns k0 .. k0 + 127 of row i of a part: gated and masked a and b into planes, those of `chunks` chunks from w on. w:
// chunks of 64 outputs (a's channels, then b's), (C, 128) each: for every 32 outputs their gate columns, then their values.
template <int C>
__global__ void __launch_bounds__(256, 2) multiply_in_kernel(part p, const float *mask, const float *scale,
                                                             const float *offset, const bf16 *w, int chunks, bf16 *planes) {
  extern __shared__ __align__(128) bf16 panel_memory[];
  bf16 *h = panel_memory, *ws = h + PANEL * (C + 8), *staging = ws + C * 136;
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4, wm = warp / 2 * 32, wn = warp % 2;
  int i = blockIdx.x, k0 = blockIdx.y * PANEL;
  panel_weights(w, C, 128, ws, 136);
  copy_commit();
  panel_norm<C>(p.x + pair_at(p, i, k0) * C, p.columns - k0, scale, offset, h, warp * 16, 16);
  float factor[2][2];
#pragma unroll
  for (int r = 0; r < 2; r++)
#pragma unroll
    for (int s = 0; s < 2; s++) {
      int k = k0 + wm + 16 * r + g + 8 * s;
      factor[r][s] = k < p.columns ? mask[p.first_row + i] * mask[p.first_column + k] : 0.0f;
    }
  for (int chunk = 0; chunk < chunks; chunk++) {
    copy_wait<0>();
    __syncthreads();
    float acc[2][8][4] = {};
    panel_product<C, 8>(h + wm * (C + 8), ws + wn * 64, 136, acc);
    __syncthreads();
    if (chunk + 1 < chunks) panel_weights(w + (int64_t)(chunk + 1) * C * 128, C, 128, ws, 136);
    copy_commit();
#pragma unroll
    for (int r = 0; r < 2; r++)
#pragma unroll
      for (int j = 0; j < 4; j++)
#pragma unroll
        for (int s = 0; s < 4; s++) {
          float v = __fdividef(acc[r][j + 4][s], 1.0f + __expf(-acc[r][j][s])) * factor[r][s / 2];
          staging[(wn * 32 + 8 * j + 2 * t + s % 2) * STAGING + wm + 16 * r + g + s / 2 * 8] = __float2bfloat16(v);
        }
    __syncthreads();
    for (int u = threadIdx.x; u < 64 * PANEL / 8; u += 256) {
      int out = u / (PANEL / 8), k = u % (PANEL / 8) * 8;
      if (k0 + k < p.ld)
        *(uint4 *)(planes + (chunk * 64 + out) * p.plane + i * p.ld + k0 + k) =
            *(const uint4 *)(staging + out * STAGING + k);
    }
  }
}

// x[i, j] += sigmoid(norm(x) w_gating) * (norm_center(planes) w_out) in a part
template <int C>
__global__ void __launch_bounds__(256, 2)
    multiply_out_kernel(part p, const bf16 *planes, op_norm norm, op_norm center, const bf16 *w_gating, const bf16 *w_out) {
  extern __shared__ __align__(128) bf16 panel_memory[];
  enum { NT = C / 16 };
  bf16 *h = panel_memory, *sums = h + PANEL * (C + 8), *ws = sums + PANEL * (C + 8);
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4, wm = warp / 2 * 32, wn = warp % 2;
  int i = blockIdx.x, j0 = blockIdx.y * PANEL;
  panel_weights(w_gating, C, C, ws, C + 8);
  copy_commit();
  bf16 *x = p.x + pair_at(p, i, j0) * C;
  // Two lanes read 32 bytes of a channel, so that sixteen channels' values land in different banks.
  enum { PARTS = C * PANEL / 8 / 256 };
  uint4 values[PARTS];
#pragma unroll
  for (int u = 0; u < PARTS; u++) {
    int at = threadIdx.x + 256 * u, c = at / 2 % C, j = (at % 2 + at / (2 * C) * 2) * 8;
    values[u] = uint4{0, 0, 0, 0};
    if (j0 + j < p.ld) values[u] = *(const uint4 *)(planes + c * p.plane + i * p.ld + j0 + j);
  }
  panel_norm<C>(x, p.columns - j0, norm.scale.data, norm.offset.data, h, warp * 16, 16);
#pragma unroll
  for (int u = 0; u < PARTS; u++) {
    int at = threadIdx.x + 256 * u, c = at / 2 % C, j = (at % 2 + at / (2 * C) * 2) * 8;
    const uint32_t words[4] = {values[u].x, values[u].y, values[u].z, values[u].w};
#pragma unroll
    for (int e = 0; e < 8; e++)
      sums[(j + e) * (C + 8) + c] = __ushort_as_bfloat16((unsigned short)(e % 2 ? words[e / 2] >> 16 : words[e / 2]));
  }
  __syncthreads();
  {
    enum { V = C / 32 };
    float s[V], o[V];
#pragma unroll
    for (int v = 0; v < V; v++) s[v] = center.scale.data[lane * V + v], o[v] = center.offset.data[lane * V + v];
    for (int r = warp * 16; r < warp * 16 + 16; r++) {
      uint32_t *row = (uint32_t *)(sums + r * (C + 8) + lane * V);
      float value[V], sum = 0, square = 0;
#pragma unroll
      for (int v = 0; v < V; v += 2) value[v] = bf16_low(row[v / 2]), value[v + 1] = bf16_high(row[v / 2]);
#pragma unroll
      for (int v = 0; v < V; v++) sum += value[v];
      float mean = warp_sum(sum) / C;
#pragma unroll
      for (int v = 0; v < V; v++) square += (value[v] - mean) * (value[v] - mean);
      float inverse = rsqrtf(warp_sum(square) / C + 1e-5f);
#pragma unroll
      for (int v = 0; v < V; v += 2)
        row[v / 2] =
            pack_bf16((value[v] - mean) * inverse * s[v] + o[v], (value[v + 1] - mean) * inverse * s[v + 1] + o[v + 1]);
    }
  }
  copy_wait<0>();
  __syncthreads();
  uint32_t gate[2][NT][2];
  float acc[2][NT][4] = {};
  panel_product<C, NT>(h + wm * (C + 8), ws + wn * (C / 2), C + 8, acc);
#pragma unroll
  for (int r = 0; r < 2; r++)
#pragma unroll
    for (int j = 0; j < NT; j++)
#pragma unroll
      for (int s = 0; s < 2; s++) {
        gate[r][j][s] = pack_bf16(sigmoid(acc[r][j][2 * s]), sigmoid(acc[r][j][2 * s + 1]));
        acc[r][j][2 * s] = acc[r][j][2 * s + 1] = 0;
      }
  __syncthreads();
  panel_weights(w_out, C, C, ws, C + 8);
  copy_commit();
  copy_wait<0>();
  __syncthreads();
  panel_product<C, NT>(sums + wm * (C + 8), ws + wn * (C / 2), C + 8, acc);
#pragma unroll
  for (int r = 0; r < 2; r++)
#pragma unroll
    for (int s = 0; s < 2; s++) {
      int row = wm + 16 * r + g + 8 * s;
      if (j0 + row >= p.columns) continue;
#pragma unroll
      for (int group = 0; group < NT / 4; group++) {
        float v[8];
#pragma unroll
        for (int e = 0; e < 8; e++) {
          uint32_t both = gate[r][4 * group + e / 2][s];
          v[e] = (e % 2 ? bf16_high(both) : bf16_low(both)) * acc[r][4 * group + e / 2][2 * s + e % 2];
        }
        add_eight(x + (int64_t)row * C + wn * (C / 2) + group * 32 + t * 8, v);
      }
    }
}

// Where the columns of multiply_in_kernel's chunks come from: w_gate or w_projection, channel c of a at column 2 c, of
// b at 2 c + 1. Outputs: a's channels, then b's.
struct gated_columns {
  int64_t c;
  bool value;  // else gates
  __device__ int64_t operator()(int64_t i) const {
    int64_t chunk = i / (c * 128), l = i / 128 % c, j = i % 128, out = chunk * 64 + j / 64 * 32 + j % 32;
    if ((j % 64 >= 32) != value) return -1;
    return l * 2 * c + (out < c ? 2 * out : 2 * (out - c) + 1);
  }
};
struct pack_gated {
  gated_columns gate, value;
  const float *w_gate, *w_value;
  bf16 *to;
  __device__ void operator()(int64_t i) const {
    int64_t g = gate(i), v = value(i);
    to[i] = __float2bfloat16(g >= 0 ? w_gate[g] : w_value[v]);
  }
};

struct put_plane {
  bf16 *y;
  int64_t plane, ld;
  __device__ void operator()(int64_t batch, int64_t i, int64_t j, float v0, float v1) const {
    *(uint32_t *)(y + batch * plane + i * ld + j) = pack_bf16(v0, v1);
  }
};

// ---- in bf16 on Hopper ----

// As multiply_in_kernel, in panels of 64 rows for two warpgroups, each with a warp that fetches its rows. The weights
// stay: for every 64 outputs an operand of half their gates' columns and half their values', see tanh.
template <int C>
struct multiply_in_sizes {
  enum { WEIGHTS = 4 * C * C, STAGING = 64 * 64 };
  static const size_t shared =
      1024 + (WEIGHTS + 2 * STAGING + 2 * row_panel<C>::VALUES) * sizeof(bf16) + 2 * C * sizeof(float) + 64;
};
template <int C>
__global__ void __launch_bounds__(320, 1)
    multiply_in_hopper_kernel(part p, const float *mask, const float *scale, const float *offset, const bf16 *w, int chunks,
                              bf16 *planes) {
#ifdef HOPPER_CODE
  typedef multiply_in_sizes<C> sizes;
  extern __shared__ char hopper_memory[];
  bf16 *weights = (bf16 *)(hopper_memory + (-shared_address(hopper_memory) & 1023)),
       *stagings = weights + sizes::WEIGHTS, *panels = stagings + 2 * sizes::STAGING;
  float *norm_scale = (float *)(panels + 2 * row_panel<C>::VALUES), *norm_offset = norm_scale + C;
  uint64_t *full = (uint64_t *)(norm_offset + C), *empty = full + 2, *ready = empty + 2;
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32, group = warp < 8 ? warp / 4 : warp - 8;
  int across = (p.columns + 63) / 64, tiles = p.rows * across;
  keep_norm<C>(scale, offset, norm_scale, norm_offset);
  if (threadIdx.x == 0) {
    for (int s = 0; s < 2; s++) barrier_init(full + s, 1), barrier_init(empty + s, 1);
    barrier_init(ready, 1);
    barrier_publish();
    barrier_expect(ready, chunks * C * 128 * sizeof(bf16));
    copy_bulk(weights, w, chunks * C * 128 * sizeof(bf16), ready);
  }
  __syncthreads();
  bf16 *panel = panels + group * row_panel<C>::VALUES;
  char *staging = (char *)(stagings + group * sizes::STAGING);
  int turn = 0;
  if (warp >= 8) {
    for (int tile = blockIdx.x * 2 + group; tile < tiles; tile += 2 * gridDim.x, turn++) {
      int i = tile / across, k0 = tile % across * 64;
      barrier_wait(empty + group, turn % 2 ^ 1);
      copy_rows(panel, row_panel<C>::ROW, p.x + pair_at(p, i, k0) * C, C, p.columns - k0 < 64 ? p.columns - k0 : 64,
                full + group);
    }
  } else {
    int g = lane / 4, row = warp % 4 * 16 + g;
    barrier_wait(ready, 0);
    for (int tile = blockIdx.x * 2 + group; tile < tiles; tile += 2 * gridDim.x, turn++) {
      int i = tile / across, k0 = tile % across * 64;
      float factor[2];
#pragma unroll
      for (int s = 0; s < 2; s++) {
        int k = k0 + row + 8 * s;
        factor[s] = k < p.columns ? mask[p.first_row + i] * mask[p.first_column + k] : 0.0f;
      }
      uint32_t left[C / 16][4];
      barrier_wait(full + group, turn % 2);
      norm_operand<C>(panel, norm_scale, norm_offset, left);
      group_sync(1 + group, 128);
      if (threadIdx.x % 128 == 0) barrier_arrive(empty + group);
#pragma unroll 1
      for (int chunk = 0; chunk < chunks; chunk++) {
        float sum[16][4] = {};
        uint64_t right = operand_128(weights + chunk * C * 128);
        products_settle(left);
        products_begin();
#pragma unroll
        for (int l = 0; l < C / 16; l++) product(sum, left[l], right + l / 4 * (128 * 128 / 16) + l % 4 * 2, true);
        products_commit();
        products_wait<0>();
        products_settle(sum);
        if (chunk > 0) group_sync(1 + group, 128);  // all have read what was staged before
#pragma unroll
        for (int j = 0; j < 8; j += 2) {
          uint32_t words[2][2];
#pragma unroll
          for (int b = 0; b < 2; b++)
#pragma unroll
            for (int s = 0; s < 2; s++) {
              float v[2];
#pragma unroll
              for (int e = 0; e < 2; e++) {
                float value = sum[j + b + 8][2 * s + e];
                // A row past the last one may hold anything.
                v[e] = factor[s] != 0 ? fmaf(value, tanh_fast(sum[j + b][2 * s + e]), value) * factor[s] : 0.0f;
              }
              words[b][s] = pack_bf16(v[0], v[1]);
            }
          int out = 8 * (j + lane / 16) + lane % 8, at = warp % 4 * 2 + lane / 8 % 2;
          store_matrix_transposed(staging + out * 128 + ((at ^ (out & 7)) * 16), words[0][0], words[0][1], words[1][0],
                                  words[1][1]);
        }
        group_sync(1 + group, 128);
#pragma unroll
        for (int u = 0; u < 4; u++) {
          int at = threadIdx.x % 128 + 128 * u, out = at / 8, k = at % 8;
          if (k0 + k * 8 < p.ld)
            *(uint4 *)(planes + (chunk * 64 + out) * p.plane + i * p.ld + k0 + k * 8) =
                *(const uint4 *)(staging + out * 128 + ((k ^ (out & 7)) * 16));
        }
      }
      group_sync(1 + group, 128);
    }
  }
#endif
}
struct pack_in_hopper {
  int c;
  const float *w_gate, *w_value;
  bf16 *to;
  __device__ void operator()(int64_t i) const {
    int row, k, chunk = (int)(i / (c * 128));
    operand_element(i % (c * 128), 128, &row, &k);
    int out = chunk * 64 + row % 64, column = out < c ? 2 * out : 2 * (out - c) + 1;
    to[i] = __float2bfloat16(0.5f * (row < 64 ? w_gate : w_value)[(int64_t)panel_column(k) * 2 * c + column]);
  }
};

// As multiply_out_kernel, panels of 64 columns j. Planes come with j contiguous, and the matrix units take them so; the
// norm over channels follows the product: with weights w = scale w_out it is (sum - mean * column sums of w) /
// deviation + offset w_out. weights: operands of half of w_gating (see tanh) and of w; sums: the column sums, then
// offset w_out.
template <int C>
struct multiply_out_sizes {
  enum { PLANES = C * 64, STAGES = 2 };  // what comes next is fetched while the present is at work
  static const size_t shared = 1024 + (2 * C * C + 2 * STAGES * (PLANES + row_panel<C>::VALUES)) * sizeof(bf16) +
                               2 * 4 * 64 * sizeof(float2) + 4 * C * sizeof(float) + 128;
};
template <int C>
__global__ void __launch_bounds__(384, 1)
    multiply_out_hopper_kernel(part p, const bf16 *planes, const float *scale, const float *offset, const bf16 *w,
                               const float *sums) {
#ifdef HOPPER_CODE
  typedef multiply_out_sizes<C> sizes;
  enum { PANEL = row_panel<C>::ROW, STAGES = sizes::STAGES };
  extern __shared__ char hopper_memory[];
  bf16 *weights = (bf16 *)(hopper_memory + (-shared_address(hopper_memory) & 1023)), *channels = weights + 2 * C * C,
       *panels = channels + 2 * STAGES * sizes::PLANES;
  float2 *parts = (float2 *)(panels + 2 * STAGES * row_panel<C>::VALUES);
  float *norm_scale = (float *)(parts + 2 * 4 * 64), *norm_offset = norm_scale + C, *column_sum = norm_offset + C,
        *column_start = column_sum + C;
  uint64_t *full = (uint64_t *)(column_start + C), *empty = full + 2 * STAGES, *ready = empty + 2 * STAGES;
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32, group = warp < 8 ? warp / 4 : warp - 8;
  int across = (p.columns + 63) / 64, tiles = p.rows * across;
  keep_norm<C>(scale, offset, norm_scale, norm_offset);
  keep_norm<C>(sums, sums + C, column_sum, column_start);
  if (threadIdx.x == 0) {
    for (int s = 0; s < 2 * STAGES; s++) barrier_init(full + s, 33), barrier_init(empty + s, 1);
    barrier_init(ready, 1);
    barrier_publish();
    barrier_expect(ready, 2 * C * C * sizeof(bf16));
    copy_bulk(weights, w, 2 * C * C * sizeof(bf16), ready);
  }
  __syncthreads();
  // A group's panels and barriers of a turn.
  auto at = [&](int turn) { return group * STAGES + turn % STAGES; };
  int turn = 0;
  if (threadIdx.x / 128 == 2) {  // two warps that fetch; their warpgroup lends the others its registers
    registers_fewer<56>();
    for (int tile = blockIdx.x * 2 + group; warp < 10 && tile < tiles; tile += 2 * gridDim.x, turn++) {
      int i = tile / across, j0 = tile % across * 64;
      char *channel = (char *)(channels + at(turn) * sizes::PLANES);
      barrier_wait(empty + at(turn), turn / STAGES % 2 ^ 1);
      copy_rows(panels + at(turn) * row_panel<C>::VALUES, PANEL, p.x + pair_at(p, i, j0) * C, C,
                p.columns - j0 < 64 ? p.columns - j0 : 64, full + at(turn));
      const bf16 *from = planes + (int64_t)i * p.ld + j0 + lane % 8 * 8;
      bool valid = j0 + lane % 8 * 8 < p.ld;
#pragma unroll 8
      for (int c = lane / 8; c < C; c += 4)
        copy_async(channel + c * 128 + ((lane % 8 ^ (c & 7)) * 16), valid ? from + c * p.plane : planes, valid);
      copy_commit();
      copy_wait<0>();
      publish_shared();
      barrier_arrive(full + at(turn));
    }
  } else {
    registers_more<224>();
    int g = lane / 4, t = lane % 4, row = warp % 4 * 16 + g, thread = threadIdx.x % 128;
    float2 *part = parts + group * 4 * 64;
    barrier_wait(ready, 0);
    for (int tile = blockIdx.x * 2 + group; tile < tiles; tile += 2 * gridDim.x, turn++) {
      int i = tile / across, j0 = tile % across * 64;
      uint32_t left[C / 16][4];
      const bf16 *panel = panels + at(turn) * row_panel<C>::VALUES;
      const char *channel = (const char *)(channels + at(turn) * sizes::PLANES);
      barrier_wait(full + at(turn), turn / STAGES % 2);
      norm_operand<C>(panel, norm_scale, norm_offset, left);
      float gate[C / 8][4] = {};
      products_settle(left);
      products_begin();
#pragma unroll
      for (int l = 0; l < C / 16; l++) product(gate, left[l], operand_128(weights) + l / 4 * (C * 8) + l % 4 * 2, true);
      products_commit();
      // Meanwhile: sums over channels of each column and of its squares, less the first channel's value. A thread has
      // eight columns and every sixteenth channel.
      {
        float first[8], total[8] = {}, square[8] = {};
#pragma unroll
        for (int s = -1; s < C / 16; s++) {
          int c = s < 0 ? 0 : thread / 8 + 16 * s;
          uint4 v = *(const uint4 *)(channel + c * 128 + ((thread % 8 ^ (c & 7)) * 16));
          const uint32_t words[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
          for (int e = 0; e < 8; e++) {
            float value = e % 2 ? bf16_high(words[e / 2]) : bf16_low(words[e / 2]);
            if (s < 0) {
              first[e] = value;
            } else {
              value -= first[e];
              total[e] += value, square[e] += value * value;
            }
          }
        }
#pragma unroll
        for (int e = 0; e < 8; e++) {
          total[e] += __shfl_xor_sync(0xffffffffu, total[e], 8),
              square[e] += __shfl_xor_sync(0xffffffffu, square[e], 8);
          total[e] += __shfl_xor_sync(0xffffffffu, total[e], 16),
              square[e] += __shfl_xor_sync(0xffffffffu, square[e], 16);
          if (lane < 8) part[warp % 4 * 64 + lane * 8 + e] = float2{total[e], square[e]};
        }
      }
      group_sync(1 + group, 128);
      float mean[2], inverse[2];
#pragma unroll
      for (int s = 0; s < 2; s++) {
        float total = 0, square = 0;
#pragma unroll
        for (int q = 0; q < 4; q++) {
          float2 p = part[q * 64 + row + 8 * s];
          total += p.x, square += p.y;
        }
        total /= C;
        mean[s] = total + __bfloat162float(((const bf16 *)channel)[row + 8 * s]);
        inverse[s] = rsqrtf(fmaxf(square / C - total * total, 0.0f) + 1e-5f);
      }
      products_wait<0>();
      products_settle(gate);
      float sum[C / 8][4] = {};
      products_begin();
#pragma unroll
      for (int l = 0; l < C / 16; l++)
        product<true>(sum, operand_128(channel) + l * 128, operand_128(weights + C * C) + l / 4 * (C * 8) + l % 4 * 2,
                      true);
      products_commit();
#pragma unroll
      for (int j = 0; j < C / 8; j++)
#pragma unroll
        for (int e = 0; e < 4; e++) gate[j][e] = fmaf(0.5f, tanh_fast(gate[j][e]), 0.5f);
      products_wait<0>();
      products_settle(sum);
#pragma unroll
      for (int s = 0; s < 2; s++) {
        if (j0 + row + 8 * s >= p.columns) continue;
        bf16 *to = p.x + pair_at(p, i, j0 + row + 8 * s) * C + 8 * t;
#pragma unroll
        for (int q = 0; q < C / 32; q++) {
          float v[8], u[8], o[8];
          unpack_eight(*(const uint4 *)(panel + (row + 8 * s) * PANEL + 32 * q + 8 * t), v);
#pragma unroll
          for (int e = 0; e < 8; e += 4) {
            *(float4 *)(u + e) = *(const float4 *)(column_sum + 32 * q + 8 * t + e);
            *(float4 *)(o + e) = *(const float4 *)(column_start + 32 * q + 8 * t + e);
          }
#pragma unroll
          for (int e = 0; e < 8; e++) {
            int j = 4 * q + e / 2, at = 2 * s + e % 2;
            v[e] += gate[j][at] * ((sum[j][at] - mean[s] * u[e]) * inverse[s] + o[e]);
          }
          *(uint4 *)(to + 32 * q) = pack_eight(v);
        }
      }
      group_sync(1 + group, 128);
      if (threadIdx.x % 128 == 0) barrier_arrive(empty + at(turn));
    }
  }
#endif
}
struct pack_out_hopper {
  int c;
  const float *w_gating, *w_out, *scale, *offset;
  bf16 *to;
  __device__ void operator()(int64_t i) const {
    int row, k;
    if (i >= 2 * c * c) {  // sums of a column
      int j = (int)(i - 2 * c * c);
      float sum = 0, start = 0;
#pragma unroll 16
      for (int l = 0; l < c; l++) {
        float v = w_out[(int64_t)l * c + j];
        sum += __bfloat162float(__float2bfloat16(v * (scale ? scale[l] : 1.0f)));
        start += offset ? v * offset[l] : 0.0f;
      }
      float *sums = (float *)(to + 2 * c * c);
      sums[j] = sum, sums[c + j] = start;
      return;
    }
    bool out = i >= c * c;
    operand_element(i % (c * c), c, &row, &k);
    int channel = panel_column(row);
    to[i] = __float2bfloat16(out ? w_out[(int64_t)k * c + channel] * (scale ? scale[k] : 1.0f)
                                 : 0.5f * w_gating[(int64_t)panel_column(k) * c + channel]);
  }
};

// ---- the op ----

// What the kernels of this device want of the weights.
typedef struct {
  const bf16 *in, *gating, *out;  // on Hopper gating and out are one
  const float *sums;
} packed_weights;
static packed_weights pack_multiply(nf_context *context, const op_triangle_multiply *a) {
  int64_t c = a->x.shape[2];
  packed_weights w = {};
  if (hopper()) {
    w.in = packed_by(context, 4 * c * c, 4 * c * c, a->w_gate.data,
                     pack_in_hopper{(int)c, a->w_gate.data, a->w_projection.data, NULL});
    w.out = packed_by(context, 2 * c * c + 4 * c, 2 * c * c + c, a->w_out.data,
                      pack_out_hopper{(int)c, a->w_gating.data, a->w_out.data, a->norm_center.scale.data,
                                      a->norm_center.offset.data, NULL});
    w.sums = (const float *)(w.out + 2 * c * c);
  } else {
    w.in = packed_by(context, 4 * c * c, 4 * c * c, a->w_gate.data,
                     pack_gated{gated_columns{c, false}, gated_columns{c, true}, a->w_gate.data, a->w_projection.data, NULL});
    w.gating = packed(context, c * c, permuted_columns{c, c, 1}, a->w_gating.data);
    w.out = packed(context, c * c, permuted_columns{c, c, 1}, a->w_out.data);
  }
  return w;
}

// Planes of a part, for `channels` (a multiple of 64) of a's and then b's from `channel` on.
template <int C>
static void launch_in(const op_triangle_multiply *a, const packed_weights *w, const part &p, int channel, int channels, bf16 *planes) {
  const bf16 *from = w->in + channel * 2 * C;
  int chunks = channels / 64;
  static bool allowed;
  const size_t shared = (PANEL * (C + 8) + C * 136 + 64 * STAGING) * sizeof(bf16);
  if (!allowed) {
    allow_shared(multiply_in_hopper_kernel<C>, multiply_in_sizes<C>::shared);
    allow_shared(multiply_in_kernel<C>, shared);
    allowed = true;
  }
  if (hopper()) {
    int64_t pairs = ceil_div(p.rows * ceil_div(p.columns, 64), 2), most = hopper_blocks();
    multiply_in_hopper_kernel<C>
        <<<(unsigned)(pairs < most ? pairs : most), 320, multiply_in_sizes<C>::shared, cuda_stream>>>(
            p, a->mask.data, a->norm.scale.data, a->norm.offset.data, from, chunks, planes);
  } else {
    dim3 grid((unsigned)p.rows, (unsigned)ceil_div(p.columns, PANEL));
    multiply_in_kernel<C><<<grid, 256, shared, cuda_stream>>>(p, a->mask.data, a->norm.scale.data, a->norm.offset.data, from,
                                                              chunks, planes);
  }
  CUDA_CHECK(cudaGetLastError());
}

template <int C>
static void launch_out(const op_triangle_multiply *a, const packed_weights *w, const part &p, const bf16 *sums) {
  const size_t shared = (2 * PANEL * (C + 8) + C * (C + 8)) * sizeof(bf16);
  static bool allowed;
  if (!allowed) {
    allow_shared(multiply_out_hopper_kernel<C>, multiply_out_sizes<C>::shared);
    allow_shared(multiply_out_kernel<C>, shared);
    allowed = true;
  }
  if (hopper()) {
    int64_t pairs = ceil_div(p.rows * ceil_div(p.columns, 64), 2), most = hopper_blocks();
    multiply_out_hopper_kernel<C>
        <<<(unsigned)(pairs < most ? pairs : most), 384, multiply_out_sizes<C>::shared, cuda_stream>>>(
            p, sums, a->norm.scale.data, a->norm.offset.data, w->out, w->sums);
  } else {
    dim3 grid((unsigned)p.rows, (unsigned)ceil_div(p.columns, PANEL));
    multiply_out_kernel<C><<<grid, 256, shared, cuda_stream>>>(p, sums, a->norm, a->norm_center, w->gating, w->out);
  }
  CUDA_CHECK(cudaGetLastError());
}

// The sums of products of a and b in a part of the result, for some of its channels. Planes of a: those of the
// part's rows (outgoing) or columns (incoming); of b: all.
static void multiply_planes(const op_triangle_multiply *op, int channels, const part &p, const bf16 *a, const bf16 *b, bf16 *sums) {
  int64_t n = op->x.shape[0], c = op->x.shape[2], ld = round_up(n, 16), plane = n * ld;
  if (op->outgoing) {  // sums[i, j] = a[i, k] b[j, k]
    blas_product product = {p.rows, n,       n,     channels, a,     b,    sums, ld,    ld,
                            ld,     p.plane, plane, p.plane,  false, true, true, false, n, n, c};
    if (!blas(&product))
      gemm_bf16<true, true>(p.rows, n, ld, channels, bf16_rows{a, ld, p.plane}, bf16_rows{b, ld, plane},
                            put_plane{sums, p.plane, ld});
  } else {  // sums[i, j] = b[k, i] a[k, j]
    blas_product product = {n,    p.columns, n,       channels, b,    a,     sums, ld,    p.ld,
                            p.ld, plane,     p.plane, p.plane,  true, false, true, false, n, n, c};
    if (!blas(&product))
      gemm_bf16<false, false>(n, p.columns, n, channels, bf16_rows{b, ld, plane}, bf16_rows{a, p.ld, p.plane},
                              put_plane{sums, p.plane, p.ld});
  }
}

// b's planes of some channels, for the whole pair tensor.
template <int C>
static void make_right(const op_triangle_multiply *a, const packed_weights *w, pair_passes *x, int64_t count, int channel, int channels,
                       bf16 *right) {
  int64_t n = a->x.shape[0];
  pair_tile tile;
  for (passes_begin(x, false, a->x.away ? count : n); passes_next(x, &tile);) {
    part p = piece(tile, true, n);
    p.plane = n * p.ld;
    launch_in<C>(a, w, p, C + channel, channels, right + tile.first * p.ld);
    passes_release(x);
  }
}

// `group` channels at a time: their sums go to the host, piece by piece, (pieces, C, plane), and come back together.
template <int C>
static void multiply_in_groups(nf_context *context, const op_triangle_multiply *a, const packed_weights *w, pair_passes *x,
                               int64_t count, int group, int64_t plane, bf16 *left, bf16 *right) {
  int64_t n = a->x.shape[0];
  size_t mark = context_away_here(context);
  nf_tensor all = context_away(context, true, 3, ceil_div(n, count), C, plane, 1);
  turns sums = turns_of(context, SUM_TILES, 2, (size_t)(C * plane) * sizeof(bf16));
  // Where the sums of a piece wait, those of some channels.
  auto waiting = [&](const part &p, int turn, int channel, int channels) {
    size_t bytes = (size_t)(channels * p.plane) * sizeof(bf16);
    return away_part{(char *)tensor_at(all, turn * C * plane + channel * p.plane), bytes, 1, bytes};
  };
  pair_tile tile;
  if (!context->dry) {
    passes_open(x);
    for (int channel = 0; channel < C; channel += group) {
      make_right<C>(a, w, x, count, channel, group, right);
      int turn = 0;
      for (passes_begin(x, !a->outgoing, count); passes_next(x, &tile); turn++) {
        part p = piece(tile, a->outgoing, n);
        launch_in<C>(a, w, p, channel, group, left);
        passes_release(x);
        turns_take(&sums, turn % 2);
        multiply_planes(a, group, p, left, right, (bf16 *)sums.memory[turn % 2]);
        turns_leave(&sums, turn % 2, waiting(p, turn, channel, group));
      }
    }
    turns_settle();
    int turn = 0;
    for (passes_begin(x, !a->outgoing, count); passes_next(x, &tile); turn++) {
      part p = piece(tile, a->outgoing, n);
      turns_bring(&sums, turn % 2, waiting(p, turn, 0, C));
      turns_await(&sums, turn % 2);
      launch_out<C>(a, w, p, (const bf16 *)sums.memory[turn % 2]);
      turns_release(&sums, turn % 2);
      passes_put_back(x);
    }
    passes_close(x);
  }
  context_away_reset(context, mark);
}

template <int C>
static void multiply(nf_context *context, const op_triangle_multiply *a) {
  int64_t n = a->x.shape[0], ld = round_up(n, 16), count = rows_at_once(context, a->x);
  int group = a->x.away && context->plane_channels > 0 && context->plane_channels < C ? context->plane_channels : C;
  packed_weights w = pack_multiply(context, a);
  pair_passes x = passes_of(context, a->x, count);
  // A piece's planes: of rows (count, ld), of columns (n, count rounded up). b's lie behind a's.
  int64_t plane = a->outgoing ? count * ld : n * round_up(count, 16);
  bf16 *left = scratch<bf16>(context, group * (plane + n * ld)), *right = left + group * plane;
  if (group < C) {
    multiply_in_groups<C>(context, a, &w, &x, count, group, plane, left, right);
    return;
  }
  bf16 *sums = scratch<bf16>(context, C * plane);
  if (context->dry) return;
  passes_open(&x);
  if (count < n) make_right<C>(a, &w, &x, count, 0, C, right);
  pair_tile tile;
  for (passes_begin(&x, !a->outgoing, count); passes_next(&x, &tile);) {
    part p = piece(tile, a->outgoing, n);
    launch_in<C>(a, &w, p, 0, count < n ? C : 2 * C, left);
    multiply_planes(a, C, p, left, right, sums);
    launch_out<C>(a, &w, p, sums);
    passes_put_back(&x);
  }
  passes_close(&x);
}

CUDA_OP(triangle_multiply) {
  context->flops += flops_triangle_multiply(a);
  int64_t c = a->x.shape[2];
  size_t mark = context_here(context);
  if (!cuda_bf16(context) || !a->x.narrow || (c != 64 && c != 128)) general_multiply(context, a);
  else if (c == 64) multiply<64>(context, a);
  else multiply<128>(context, a);
  context_reset(context, mark);
}
