// Kernels for wide, shallow products in bf16: a panel of rows is normalised into shared memory once, and weights pass
// by. Rows of 64 or 128 channels, narrow.
#ifndef NF_TENSOR_CUDA_PANEL_CUH
#define NF_TENSOR_CUDA_PANEL_CUH

#include "tensor/cuda/narrow.cuh"
#include "tensor/cuda/pack.cuh"

bool panel_transition_fits(int64_t c, int64_t n);  // for a narrow x
void panel_transition(nf_context *context, const op_transition *a);
// For the same sizes, where hopper() says yes: the weights (kept, or in scratch; NULL when dry), and m rows of x.
const bf16 *hopper_transition_packed(nf_context *context, const op_transition *a);
void hopper_transition(const op_transition *a, bf16 *x, int64_t m, const bf16 *w);

// One warp: rows first .. first + n (a multiple of 8) of a panel, of which `valid` exist and lie `apart`, normalised into h, whose rows
// are C + 8 apart.
template <int C>
static __device__ __forceinline__ void panel_norm(const bf16 *x, int64_t valid, const float *scale, const float *offset,
                                                  bf16 *h, int first, int n, int64_t apart = C) {
  enum { V = C / 32, AT_ONCE = 8 };  // so many rows are under way together
  int lane = threadIdx.x % 32;
  float s[V], o[V];
#pragma unroll
  for (int v = 0; v < V; v++) {
    s[v] = scale ? scale[lane * V + v] : 1.0f;
    o[v] = offset ? offset[lane * V + v] : 0.0f;
  }
  for (int r = first; r < first + n; r += AT_ONCE) {
    float value[AT_ONCE][V];
#pragma unroll
    for (int i = 0; i < AT_ONCE; i++) {
      const bf16 *row = x + (r + i) * apart + lane * V;
      uint32_t word[2] = {0, 0};
      if (r + i < valid) {
        if (V == 4) {
          uint2 both = *(const uint2 *)row;
          word[0] = both.x, word[1] = both.y;
        } else {
          word[0] = *(const uint32_t *)row;
        }
      }
#pragma unroll
      for (int v = 0; v < V; v += 2) value[i][v] = bf16_low(word[v / 2]), value[i][v + 1] = bf16_high(word[v / 2]);
    }
#pragma unroll
    for (int i = 0; i < AT_ONCE; i++) {
      float sum = 0, square = 0;
#pragma unroll
      for (int v = 0; v < V; v++) sum += value[i][v];
      float mean = warp_sum(sum) / C;
#pragma unroll
      for (int v = 0; v < V; v++) square += (value[i][v] - mean) * (value[i][v] - mean);
      float inverse = rsqrtf(warp_sum(square) / C + 1e-5f);
      uint32_t *to = (uint32_t *)(h + (r + i) * (C + 8) + lane * V);
#pragma unroll
      for (int v = 0; v < V; v += 2)
        to[v / 2] = pack_bf16((value[i][v] - mean) * inverse * s[v] + o[v],
                              (value[i][v + 1] - mean) * inverse * s[v + 1] + o[v + 1]);
    }
  }
}

// One warp: acc (32 rows x NT * 8 columns) += h (rows of C + 8) w (C rows of `stride`).
template <int C, int NT>
static __device__ __forceinline__ void panel_product(const bf16 *h, const bf16 *w, int stride, float acc[2][NT][4]) {
  int lane = threadIdx.x % 32, q = lane / 8, r8 = lane % 8;
#pragma unroll
  for (int l = 0; l < C; l += 16) {
    uint32_t fa[2][4];
#pragma unroll
    for (int i = 0; i < 2; i++) load_matrix(fa[i], h + (16 * i + q % 2 * 8 + r8) * (C + 8) + l + q / 2 * 8);
#pragma unroll
    for (int j = 0; j < NT; j += 2) {
      uint32_t fb[4];
      load_matrix_transposed(fb, w + (l + q % 2 * 8 + r8) * stride + 8 * j + q / 2 * 8);
#pragma unroll
      for (int i = 0; i < 2; i++) {
        mma_bf16(acc[i][j], fa[i], fb[0], fb[1]);
        mma_bf16(acc[i][j + 1], fa[i], fb[2], fb[3]);
      }
    }
  }
}

#define PANEL_EIGHT(acc, r, group, s)                                                                             \
  {                                                                                                               \
    acc[r][4 * (group)][2 * (s)], acc[r][4 * (group)][2 * (s) + 1], acc[r][4 * (group) + 1][2 * (s)],               \
        acc[r][4 * (group) + 1][2 * (s) + 1], acc[r][4 * (group) + 2][2 * (s)], acc[r][4 * (group) + 2][2 * (s) + 1], \
        acc[r][4 * (group) + 3][2 * (s)], acc[r][4 * (group) + 3][2 * (s) + 1]                                       \
  }

// Everybody: `rows` rows of `columns` values (a multiple of 8) into shared memory, in the background.
static __device__ __forceinline__ void panel_weights(const bf16 *from, int rows, int columns, bf16 *to, int stride) {
  int chunks = columns / 8;
  for (int i = threadIdx.x; i < rows * chunks; i += blockDim.x)
    copy_async(to + i / chunks * stride + i % chunks * 8, from + (int64_t)i * 8, true);
}

// As `packed` for what is made of several weights of an op, `first` among them: f(i) fills f.to, `items` of them n values. Made
// once and kept where the weight is the model's, else in scratch.
template <class F>
static const bf16 *packed_by(nf_context *context, int64_t n, int64_t items, const float *first, F f) {
  static const char order = 0;
  bool kept = pack_kept(first), fresh = true;
  bf16 *to = kept ? NULL : scratch<bf16>(context, n);
  if (context->dry) return NULL;
  if (kept) {
    pack_key key;
    memset(&key, 0, sizeof key);
    key.weight = first, key.order = &order, key.n = n, key.factor = 1;
    to = pack_find(&key, &fresh);
  }
  f.to = to;
  if (fresh) launch_each(items, f);
  return to;
}
// (k, n) with columns for 8 consecutive ones a thread; w element (l, j) at l * k_stride + j * n_stride.
struct permuted_columns {
  int64_t n, k_stride, n_stride;
  __device__ int64_t operator()(int64_t i) const { return i / n * k_stride + panel_column((int)(i % n)) * n_stride; }
};

// norm(x) w for panels of 128 rows, (C, OUT) weights with permuted columns: e(row, column, eight values).
template <int C, int OUT, class E>
__global__ void __launch_bounds__(256, 2) panel_linear_kernel(const bf16 *x, int64_t m, const float *scale, const float *offset,
                                                              const bf16 *w, E e) {
  extern __shared__ __align__(128) bf16 panel_memory[];
  enum { NT = OUT / 16 };
  bf16 *h = panel_memory, *ws = h + 128 * (C + 8);
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4, wm = warp / 2 * 32, wn = warp % 2;
  int64_t m0 = (int64_t)blockIdx.x * 128;
  panel_weights(w, C, OUT, ws, OUT + 8);
  copy_commit();
  panel_norm<C>(x + m0 * C, m - m0, scale, offset, h, warp * 16, 16);
  copy_wait<0>();
  __syncthreads();
  float acc[2][NT][4] = {};
  panel_product<C, NT>(h + wm * (C + 8), ws + wn * (OUT / 2), OUT + 8, acc);
#pragma unroll
  for (int r = 0; r < 2; r++)
#pragma unroll
    for (int s = 0; s < 2; s++) {
      int64_t row = m0 + wm + 16 * r + g + 8 * s;
      if (row >= m) continue;
#pragma unroll
      for (int group = 0; group < NT / 4; group++) {
        const float v[8] = PANEL_EIGHT(acc, r, group, s);
        e(row, wn * (OUT / 2) + group * 32 + t * 8, v);
      }
    }
}
// w (C, OUT) packed with permuted_columns.
template <int C, int OUT, class E>
static void launch_panel_linear(const bf16 *x, int64_t m, const op_norm *norm, const bf16 *w, const E &e) {
  size_t shared = (128 * (C + 8) + C * (OUT + 8)) * sizeof(bf16);
  auto kernel = panel_linear_kernel<C, OUT, E>;
  static bool allowed;
  if (!allowed) allow_shared(kernel, shared), allowed = true;
  kernel<<<(unsigned)ceil_div(m, 128), 256, shared, cuda_stream>>>(x, m, norm->scale.data, norm->offset.data, w, e);
  CUDA_CHECK(cudaGetLastError());
}

// Heads' logits of norm(x), for at most 16 heads. A line is n rows of x, `apart` from one another; row r of line l and
// batch b is at b * x_batch + l * x_line + r * apart, and goes to out[b * out_batch + head * plane + l * out_line + r].
typedef struct {
  int64_t n, lines, apart, x_line, x_batch;
  int64_t out_line, plane, out_batch;
} logits_layout;
void panel_logits(const bf16 *x, int64_t c, const op_norm *norm, const bf16 *w, int n_head, int64_t batches,
                  const logits_layout *layout, float *out);
struct head_columns {  // (C, 16): the heads' columns, then zeros
  int64_t n_head;
  __device__ int64_t operator()(int64_t i) const { return i % 16 < n_head ? i / 16 * n_head + i % 16 : -1; }
};

// x += (sigmoid(norm(x) wg) * o) wo in `lines` lines of n rows each: those of x begin `apart` rows from one another, those of
// o follow one another. wg, wo: (C, C) with permuted columns.
void panel_gated_out(bf16 *x, int64_t c, int64_t lines, int64_t n, int64_t apart, const op_norm *norm, const bf16 *o,
                     const bf16 *wg, const bf16 *wo);
void hopper_gated_out(bf16 *x, int64_t c, int64_t lines, int64_t n, int64_t apart, const op_norm *norm, const bf16 *o,
                      const bf16 *wg, const bf16 *wo);

#endif
