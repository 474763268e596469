// Rows and weights brought to fp16.
#include "tensor/cuda/half.cuh"
#include "tensor/cuda/pack.cuh"
#include "tensor/cuda/panel.cuh"

bool half_norm_fits(int64_t c) { return c % 128 == 0 && c <= 1024; }

// A warp takes some of the rows that read the same row of scale and shift, of several samples: these are read once, and a
// row is on its way while the one before is worked on.
template <int V, int FORMS>
struct half_norm_rows {
  const float *x, *scale[FORMS], *shift[FORMS];
  half *y[FORMS];
  half *as_it_is;  // x alone, or NULL
};
typedef struct {
  uint32_t m, p;  // rows r and r + p have the same scale and shift
  uint32_t turns;  // rows of a warp
  bool of_each;    // a scale and shift for each of p rows; else one
} half_norm_order;
template <int V>
static __device__ __forceinline__ void load_row(const float *x, int lane, float4 (&v)[V]) {
#pragma unroll
  for (int i = 0; i < V; i++) v[i] = ((const float4 *)x)[lane + 32 * i];
}
template <int V, int FORMS>
__global__ void __launch_bounds__(128) half_norm_kernel(half_norm_rows<V, FORMS> f, half_norm_order order) {
  enum { C = 128 * V };
  uint32_t warp = blockIdx.x * 4 + threadIdx.x / 32, base = warp % order.p;
  uint64_t r = base + (uint64_t)(warp / order.p) * order.turns * order.p;
  int lane = threadIdx.x % 32;
  if (r >= order.m) return;
  float4 v[V], next[V], scale[FORMS][V], shift[FORMS][V];
  load_row(f.x + r * C, lane, next);
#pragma unroll
  for (int form = 0; form < FORMS; form++) {
    uint64_t at = order.of_each ? (uint64_t)base * C : 0;
#pragma unroll
    for (int i = 0; i < V; i++) scale[form][i] = float4{1, 1, 1, 1}, shift[form][i] = float4{0, 0, 0, 0};
    if (f.scale[form]) load_row(f.scale[form] + at, lane, scale[form]);
    if (f.shift[form]) load_row(f.shift[form] + at, lane, shift[form]);
  }
  for (uint32_t turn = 0; turn < order.turns && r < order.m; turn++, r += order.p) {
    float sum = 0, square = 0;
#pragma unroll
    for (int i = 0; i < V; i++) {
      v[i] = next[i];
      sum += (v[i].x + v[i].y) + (v[i].z + v[i].w);
    }
    if (turn + 1 < order.turns && r + order.p < order.m) load_row(f.x + (r + order.p) * C, lane, next);
    float mean = warp_sum(sum) / C;
#pragma unroll
    for (int i = 0; i < V; i++) {
      float a = v[i].x - mean, b = v[i].y - mean, c = v[i].z - mean, d = v[i].w - mean;
      square += (a * a + b * b) + (c * c + d * d);
    }
    float inverse = rsqrtf(warp_sum(square) / C + 1e-5f);
#pragma unroll
    for (int form = 0; form < FORMS; form++) {
      uint2 *to = (uint2 *)(f.y[form] + r * C) + lane;
#pragma unroll
      for (int i = 0; i < V; i++) {
        float4 a = scale[form][i], b = shift[form][i];
        to[32 * i] = uint2{pack_half((v[i].x - mean) * inverse * a.x + b.x, (v[i].y - mean) * inverse * a.y + b.y),
                           pack_half((v[i].z - mean) * inverse * a.z + b.z, (v[i].w - mean) * inverse * a.w + b.w)};
      }
    }
    if (f.as_it_is) {
      uint2 *to = (uint2 *)(f.as_it_is + r * C) + lane;
#pragma unroll
      for (int i = 0; i < V; i++) to[32 * i] = uint2{pack_half(v[i].x, v[i].y), pack_half(v[i].z, v[i].w)};
    }
  }
}
template <int V, int FORMS>
static void launch_half_norm(const half_norm_rows<V, FORMS> &rows, int64_t m, const op_condition *condition) {
  const int64_t warps = 1024;  // enough for a card, if they read ahead
  int64_t p = condition ? tensor_rows(condition->scale) : m, samples = ceil_div(m, p), turns = m / warps;
  turns = turns < 1 ? 1 : turns < samples ? turns : samples;
  half_norm_order order = {(uint32_t)m, (uint32_t)p, (uint32_t)turns, condition != NULL};
  half_norm_kernel<V, FORMS><<<(unsigned)ceil_div(p * ceil_div(samples, turns), 4), 128, 0, cuda_stream>>>(rows, order);
  CUDA_CHECK(cudaGetLastError());
}
void half_norm_two(const float *x, int64_t m, const op_condition *first, const op_condition *second, half *y) {
  half_norm_rows<1, 2> f = {x, {first->scale.data, second->scale.data}, {first->shift.data, second->shift.data}, {y, y + m * 128}, NULL};
  launch_half_norm(f, m, first);
}
template <int V>
static void half_norm_of(int64_t m, int64_t c, const op_condition *condition, const half_norm_rows<1, 1> &f) {
  if (c != 128 * V) {
    if constexpr (V < 8) half_norm_of<V + 1>(m, c, condition, f);
    return;
  }
  launch_half_norm(half_norm_rows<V, 1>{f.x, {f.scale[0]}, {f.shift[0]}, {f.y[0]}, f.as_it_is}, m, condition);
}
void half_norm(const float *x, int64_t m, int64_t c, const op_norm *norm, const op_condition *condition, half *y, half *as_it_is) {
  if (condition && !tensor_given(condition->scale)) condition = NULL;
  const float *scale = condition ? condition->scale.data : norm ? norm->scale.data : NULL,
              *shift = condition ? condition->shift.data : norm ? norm->offset.data : NULL;
  half_norm_of<1>(m, c, condition, half_norm_rows<1, 1>{x, {scale}, {shift}, {y}, as_it_is});
}

// 32 rows of the packed weights by 32 values of k a block.
__global__ void __launch_bounds__(256) half_pack_kernel(half_weights a, int n, half *to) {
  __shared__ float tile[32][33];
  int p0 = blockIdx.y * 32, k0 = blockIdx.x * 32, x = threadIdx.x % 32;
  int column = a.pairs ? (p0 / 32 % 2 ? n / 2 : 0) + p0 / 64 * 32 + panel_column(x) : p0 + panel_column(x);
  int layer = column / (int)a.columns;
  for (int y = threadIdx.x / 32; y < 32; y += 8) {
    int k = k0 + y;
    float v = 0;
    if (column < n && k < a.k) {  // places beyond n may hold a column, too: those of 32 lie across one another
      v = a.w[layer][(int64_t)k * a.columns + column % (int)a.columns] * a.factor[layer];
      if (a.row_scale[layer]) v *= a.row_scale[layer][k];
    }
    tile[y][x] = v;
  }
  __syncthreads();
  for (int y = threadIdx.x / 32; y < 32; y += 8)
    if (k0 + x < a.k) to[(int64_t)(p0 + y) * a.k + k0 + x] = __float2half(tile[x][y]);
}
const half *half_pack(nf_context *context, const half_weights *weights) {
  static const char order = 0;
  int64_t n = weights->n_layers * weights->columns, count = round_up(n, 128) * weights->k;
  bool kept = true, fresh = true;
  for (int i = 0; i < weights->n_layers; i++)
    kept = kept && pack_kept(weights->w[i]) && (!weights->row_scale[i] || pack_kept(weights->row_scale[i]));
  half *to = kept ? NULL : scratch<half>(context, count);
  if (context->dry) return NULL;
  if (kept) {
    // The first weight tells the others: they are of one block of the network.
    pack_key key;
    memset(&key, 0, sizeof key);
    key.weight = weights->w[0], key.order = &order, key.n = count, key.factor = weights->factor[0];
    key.values[0] = weights->pairs, key.values[1] = (unsigned char)weights->n_layers;
    to = (half *)pack_find(&key, &fresh);
  }
  if (fresh) {
    dim3 grid((unsigned)ceil_div(weights->k, 32), (unsigned)(round_up(n, 128) / 32));
    half_pack_kernel<<<grid, 256, 0, cuda_stream>>>(*weights, (int)n, to);
    CUDA_CHECK(cudaGetLastError());
  }
  return to;
}
