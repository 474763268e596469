// The transition and the gated output layer on Hopper: panels of rows come in the background while others are at work.
#include <stdlib.h>
#include <string.h>

#include "tensor/cuda/hopper.cuh"
#include "tensor/cuda/panel.cuh"

// Three warpgroups of 64 rows each, and one that fetches: the weights in chunks of 32 of the hidden layer for all
// three, rows for each. A chunk: gates' and values' columns (64, C), then rows of w2 (C, 32), as operands.
template <int C>
struct transition_sizes {
  enum { CHUNK = C * 96, STAGES = 4, ROWS = 192 };
  static const size_t shared =
      (STAGES * CHUNK + 3 * row_panel<C>::VALUES) * sizeof(bf16) + 2 * C * sizeof(float) + 256 + 1024;
};

template <int C>
__global__ void __launch_bounds__(512, 1)
    transition_hopper_kernel(bf16 *x, int m, const float *scale, const float *offset, const bf16 *w, int chunks) {
#ifdef HOPPER_CODE
  typedef transition_sizes<C> sizes;
  enum { CHUNK = sizes::CHUNK, STAGES = sizes::STAGES, ROWS = sizes::ROWS, NT = C / 8 };
  extern __shared__ char hopper_memory[];
  bf16 *stages = (bf16 *)(hopper_memory + (-shared_address(hopper_memory) & 1023)), *panels = stages + STAGES * CHUNK;
  float *norm_scale = (float *)(panels + 3 * row_panel<C>::VALUES), *norm_offset = norm_scale + C;
  uint64_t *full = (uint64_t *)(norm_offset + C), *empty = full + STAGES, *rows_full = empty + STAGES,
           *rows_empty = rows_full + 3;
  int group = threadIdx.x / 128, lane = threadIdx.x % 32, tiles = (m + ROWS - 1) / ROWS;
  keep_norm<C>(scale, offset, norm_scale, norm_offset);
  if (threadIdx.x == 0) {
    for (int s = 0; s < STAGES; s++) barrier_init(full + s, 1), barrier_init(empty + s, 3);
    for (int s = 0; s < 3; s++) barrier_init(rows_full + s, 1), barrier_init(rows_empty + s, 4);
    barrier_publish();
  }
  __syncthreads();
  if (group == 3) {
    registers_fewer<32>();
    if (threadIdx.x == 384) {
      int step = 0;
      for (int tile = blockIdx.x; tile < tiles; tile += gridDim.x)
        for (int chunk = 0; chunk < chunks; chunk++, step++) {
          int stage = step % STAGES;
          barrier_wait(empty + stage, step / STAGES % 2 ^ 1);
          barrier_expect(full + stage, CHUNK * sizeof(bf16));
          copy_bulk(stages + stage * CHUNK, w + chunk * CHUNK, CHUNK * sizeof(bf16), full + stage);
        }
    } else if (threadIdx.x / 32 == 13) {
      int turn = 0;
      for (int tile = blockIdx.x; tile < tiles; tile += gridDim.x, turn++)
        for (int s = 0; s < 3; s++) {
          int first = tile * ROWS + s * 64;
          int rows = first >= m ? 0 : m - first < 64 ? m - first : 64;
          barrier_wait(rows_empty + s, turn % 2 ^ 1);
          copy_rows(panels + s * row_panel<C>::VALUES, row_panel<C>::ROW, x + (int64_t)first * C, C, rows, rows_full + s);
        }
    }
  } else {
    registers_more<160>();
    int g = lane / 4, t = lane % 4, step = 0, turn = 0;
    for (int tile = blockIdx.x; tile < tiles; tile += gridDim.x, turn++) {
      uint32_t rows[C / 16][4];
      barrier_wait(rows_full + group, turn % 2);
      norm_operand<C>(panels + group * row_panel<C>::VALUES, norm_scale, norm_offset, rows);
      __syncwarp();  // a warp reads its own rows alone
      if (lane == 0) barrier_arrive(rows_empty + group);
      float out[NT][4] = {};
      uint32_t left[2][4];
      for (int chunk = 0; chunk < chunks; chunk++, step++) {
        int stage = step % STAGES;
        barrier_wait(full + stage, step / STAGES % 2);
        uint64_t first = operand_128(stages + stage * CHUNK), second = operand_64(stages + stage * CHUNK + C * 64);
        float hidden[8][4] = {};
        products_begin();
#pragma unroll
        for (int l = 0; l < C / 16; l++) product(hidden, rows[l], first + l / 4 * (64 * 128 / 16) + l % 4 * 2, true);
        products_commit();
        products_wait<0>();
        products_settle(hidden);
#pragma unroll
        for (int j = 0; j < 4; j++)
#pragma unroll
          for (int s = 0; s < 2; s++) {
            // gate sigmoid(gate) value, of half the gate: 2 h v (1 + tanh h) / 2
            float h0 = hidden[j][2 * s], h1 = hidden[j][2 * s + 1], p0 = h0 * hidden[j + 4][2 * s],
                  p1 = h1 * hidden[j + 4][2 * s + 1];
            left[j / 2][j % 2 * 2 + s] = pack_bf16(fmaf(p0, tanh_fast(h0), p0), fmaf(p1, tanh_fast(h1), p1));
          }
        products_settle(left);
        products_begin();
#pragma unroll
        for (int l = 0; l < 2; l++) product(out, left[l], second + l * 2, true);
        products_commit();
        products_wait<0>();
        products_settle(out);
        if (threadIdx.x % 128 == 0) barrier_arrive(empty + stage);
      }
      int row = tile * ROWS + group * 64 + threadIdx.x / 32 % 4 * 16 + g;
#pragma unroll
      for (int s = 0; s < 2; s++) {
        if (row + 8 * s >= m) continue;
        uint4 *to = (uint4 *)(x + (int64_t)(row + 8 * s) * C + 8 * t), old[C / 32];
#pragma unroll
        for (int q = 0; q < C / 32; q++) old[q] = to[4 * q];
#pragma unroll
        for (int q = 0; q < C / 32; q++) {
          float v[8];
          unpack_eight(old[q], v);
#pragma unroll
          for (int e = 0; e < 8; e++) v[e] += out[4 * q + e / 2][2 * s + e % 2];
          to[4 * q] = pack_eight(v);
        }
      }
    }
  }
#endif
}

struct pack_transition {
  int c, n;
  const float *w1, *w2;
  bf16 *to;
  __device__ void operator()(int64_t i) const {
    int chunk = (int)(i / (c * 96)), at = (int)(i % (c * 96)), row, k;
    if (at < c * 64) {
      operand_element(at, 64, &row, &k);
      float v = w1[(int64_t)panel_column(k) * 2 * n + (row < 32 ? 0 : n) + chunk * 32 + row % 32];
      to[i] = __float2bfloat16(row < 32 ? 0.5f * v : v);
    } else {
      at -= c * 64, row = at / 32, k = ((at % 32 / 8) ^ (row / 2 & 3)) * 8 + at % 8;
      to[i] = __float2bfloat16(w2[(int64_t)(chunk * 32 + k) * c + panel_column(row)]);
    }
  }
};

template <int C>
static void launch_transition(const op_transition *a, bf16 *x, int64_t m, int chunks, const bf16 *w) {
  static bool allowed;
  if (!allowed) allow_shared(transition_hopper_kernel<C>, transition_sizes<C>::shared), allowed = true;
  int64_t tiles = ceil_div(m, (int64_t)transition_sizes<C>::ROWS);
  int blocks = hopper_blocks() < tiles ? hopper_blocks() : (int)tiles;
  transition_hopper_kernel<C><<<blocks, 512, transition_sizes<C>::shared, cuda_stream>>>(
      x, (int)m, a->norm.scale.data, a->norm.offset.data, w, chunks);
  CUDA_CHECK(cudaGetLastError());
}

const bf16 *hopper_transition_packed(nf_context *context, const op_transition *a) {
  int64_t c = tensor_last(a->x), n = tensor_count(a->w2) / c;
  return packed_by(context, 3 * c * n, 3 * c * n, a->w1.data, pack_transition{(int)c, (int)n, a->w1.data, a->w2.data, NULL});
}
void hopper_transition(const op_transition *a, bf16 *x, int64_t m, const bf16 *w) {
  int64_t c = tensor_last(a->x), n = tensor_count(a->w2) / c;
  if (c == 64) launch_transition<64>(a, x, m, (int)(n / 32), w);
  else launch_transition<128>(a, x, m, (int)(n / 32), w);
}

// Everybody: weights (C, C) as permuted_columns leaves them, times a power of 2, as an operand.
template <int C>
static __device__ __forceinline__ void keep_operand(const bf16 *w, float factor, bf16 *to) {
  for (int i = threadIdx.x; i < C * C / 8; i += blockDim.x) {
    uint4 eight = ((const uint4 *)w)[i];
    const uint32_t words[4] = {eight.x, eight.y, eight.z, eight.w};
    int k = panel_place(i * 8 / C);
#pragma unroll
    for (int e = 0; e < 8; e++) {
      float v = e % 2 ? bf16_high(words[e / 2]) : bf16_low(words[e / 2]);
      to[operand_place(panel_place(panel_column(i * 8 % C + e)), k, C)] = __float2bfloat16(v * factor);
    }
  }
}

// See panel_gated_out. Two warpgroups, each with panels of its own and a warp that fetches them, the next ones while the
// present ones are at work; the weights stay as operands: half of wg (see tanh), then wo.
template <int C>
struct gated_out_sizes {
  enum { BLOCKS = C == 64 ? 2 : 1, STAGES = C == 64 ? 1 : 2 };
  static const size_t shared =
      1024 + (2 * C * C + 4 * STAGES * row_panel<C>::VALUES) * sizeof(bf16) + 2 * C * sizeof(float) + 64;
};

template <int C>
__global__ void __launch_bounds__(320, gated_out_sizes<C>::BLOCKS)
    gated_out_hopper_kernel(bf16 *x, int64_t lines, int64_t n, int64_t apart, const float *scale, const float *offset,
                            const bf16 *o, const bf16 *wg, const bf16 *wo) {
#ifdef HOPPER_CODE
  enum { ROW = row_panel<C>::ROW, STAGES = gated_out_sizes<C>::STAGES };
  extern __shared__ char hopper_memory[];
  bf16 *weights = (bf16 *)(hopper_memory + (-shared_address(hopper_memory) & 1023)), *panels = weights + 2 * C * C,
       *values = panels + 2 * STAGES * row_panel<C>::VALUES;
  float *norm_scale = (float *)(values + 2 * STAGES * row_panel<C>::VALUES), *norm_offset = norm_scale + C;
  uint64_t *full = (uint64_t *)(norm_offset + C), *empty = full + 2 * STAGES;
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32, group = warp < 8 ? warp / 4 : warp - 8;
  int64_t across = (n + 63) / 64, tiles = lines * across;
  keep_norm<C>(scale, offset, norm_scale, norm_offset);
  if (threadIdx.x == 0) {
    for (int s = 0; s < 2 * STAGES; s++) barrier_init(full + s, 2), barrier_init(empty + s, 4);
    barrier_publish();
  }
  keep_operand<C>(wg, 0.5f, weights);
  keep_operand<C>(wo, 1.0f, weights + C * C);
  publish_shared();
  __syncthreads();
  // A group's panels and barriers of a turn.
  auto at = [&](int turn) { return group * STAGES + turn % STAGES; };
  // Where a tile's rows begin in x and in o, and how many there are.
  auto place = [&](int64_t tile, int64_t *of_x, int64_t *of_o) {
    int64_t line = tile / across, first = tile % across * 64;
    *of_x = (line * apart + first) * C, *of_o = (line * n + first) * C;
    return n - first < 64 ? (int)(n - first) : 64;
  };
  int turn = 0;
  int64_t of_x, of_o;
  if (warp >= 8) {
    for (int64_t tile = blockIdx.x * 2 + group; tile < tiles; tile += 2 * gridDim.x, turn++) {
      int rows = place(tile, &of_x, &of_o);
      barrier_wait(empty + at(turn), turn / STAGES % 2 ^ 1);
      copy_rows(panels + at(turn) * row_panel<C>::VALUES, ROW, x + of_x, C, rows, full + at(turn));
      copy_rows(values + at(turn) * row_panel<C>::VALUES, ROW, o + of_o, C, rows, full + at(turn));
      int64_t next = tile + 2 * gridDim.x;
      if (next < tiles && lane == 0) {
        rows = place(next, &of_x, &of_o);
        prefetch_bulk(x + of_x, rows * C * 2);
        prefetch_bulk(o + of_o, rows * C * 2);
      }
    }
  } else {
    int g = lane / 4, t = lane % 4, row = warp % 4 * 16 + g;
    for (int64_t tile = blockIdx.x * 2 + group; tile < tiles; tile += 2 * gridDim.x, turn++) {
      uint32_t left[C / 16][4];
      const bf16 *panel = panels + at(turn) * row_panel<C>::VALUES, *value = values + at(turn) * row_panel<C>::VALUES;
      barrier_wait(full + at(turn), turn / STAGES % 2);
      norm_operand<C>(panel, norm_scale, norm_offset, left);
      float sum[C / 8][4] = {};
      products_settle(left);
      products_begin();
#pragma unroll
      for (int l = 0; l < C / 16; l++) product(sum, left[l], operand_128(weights) + l / 4 * (C * 8) + l % 4 * 2, true);
      products_commit();
      products_wait<0>();
      products_settle(sum);
      products_settle(left);
#pragma unroll
      for (int q = 0; q < C / 32; q++)
#pragma unroll
        for (int s = 0; s < 2; s++) {
          float v[8];
          unpack_eight(*(const uint4 *)(value + (row + 8 * s) * ROW + 32 * q + 8 * t), v);
#pragma unroll
          for (int e = 0; e < 8; e++) v[e] *= fmaf(0.5f, tanh_fast(sum[4 * q + e / 2][2 * s + e % 2]), 0.5f);
#pragma unroll
          for (int j = 0; j < 4; j++) left[2 * q + j / 2][s + j % 2 * 2] = pack_bf16(v[2 * j], v[2 * j + 1]);
        }
#pragma unroll
      for (int j = 0; j < C / 8; j++)
#pragma unroll
        for (int s = 0; s < 4; s++) sum[j][s] = 0;
      products_settle(left);
      products_begin();
#pragma unroll
      for (int l = 0; l < C / 16; l++)
        product(sum, left[l], operand_128(weights + C * C) + l / 4 * (C * 8) + l % 4 * 2, true);
      products_commit();
      products_wait<0>();
      products_settle(sum);
      int rows = place(tile, &of_x, &of_o);
#pragma unroll
      for (int s = 0; s < 2; s++) {
        if (row + 8 * s >= rows) continue;
        bf16 *to = x + of_x + (row + 8 * s) * C + 8 * t;
#pragma unroll
        for (int q = 0; q < C / 32; q++) {
          float v[8];
          unpack_eight(*(const uint4 *)(panel + (row + 8 * s) * ROW + 32 * q + 8 * t), v);
#pragma unroll
          for (int e = 0; e < 8; e++) v[e] += sum[4 * q + e / 2][2 * s + e % 2];
          *(uint4 *)(to + 32 * q) = pack_eight(v);
        }
      }
      __syncwarp();
      if (lane == 0) barrier_arrive(empty + at(turn));
    }
  }
#endif
}

template <int C>
static void launch_gated_out(bf16 *x, int64_t lines, int64_t n, int64_t apart, const op_norm *norm, const bf16 *o,
                             const bf16 *wg, const bf16 *wo) {
  static bool allowed;
  if (!allowed) allow_shared(gated_out_hopper_kernel<C>, gated_out_sizes<C>::shared), allowed = true;
  if (apart == n) n *= lines, lines = 1, apart = n;  // one long line
  int64_t pairs = ceil_div(lines * ceil_div(n, 64), 2), most = (int64_t)hopper_blocks() * gated_out_sizes<C>::BLOCKS;
  gated_out_hopper_kernel<C><<<(unsigned)(pairs < most ? pairs : most), 320, gated_out_sizes<C>::shared, cuda_stream>>>(
      x, lines, n, apart, norm->scale.data, norm->offset.data, o, wg, wo);
  CUDA_CHECK(cudaGetLastError());
}
void hopper_gated_out(bf16 *x, int64_t c, int64_t lines, int64_t n, int64_t apart, const op_norm *norm, const bf16 *o,
                      const bf16 *wg, const bf16 *wo) {
  if (c == 64) launch_gated_out<64>(x, lines, n, apart, norm, o, wg, wo);
  else launch_gated_out<128>(x, lines, n, apart, norm, o, wg, wo);
}

bool hopper(void) {
  static bool asked, found;
  if (cuda_assumed_major()) return cuda_assumed_major() == 9;
  if (asked) return found;
  asked = true;
  const char *wish = getenv("NATIVEFOLD_CUDA_HOPPER");
  if (wish && strcmp(wish, "0") == 0) return false;
  int device = 0, major = 0;
  // A program built for older devices alone runs here by translation, with these kernels empty.
  cudaFuncAttributes attributes;
  found = cudaGetDevice(&device) == cudaSuccess &&
          cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) == cudaSuccess && major == 9 &&
          cudaFuncGetAttributes(&attributes, transition_hopper_kernel<128>) == cudaSuccess &&
          attributes.ptxVersion == 90;
  cudaGetLastError();  // an answer, not a failure
  return found;
}

int hopper_blocks(void) {
  static int count;
  int device = 0;
  if (count) return count;
  CUDA_CHECK(cudaGetDevice(&device));
  CUDA_CHECK(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device));
  return count;
}
