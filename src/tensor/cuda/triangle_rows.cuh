// Triangle attention's inner part: what its kernels agree on.
#ifndef NF_TENSOR_CUDA_TRIANGLE_ROWS_CUH
#define NF_TENSOR_CUDA_TRIANGLE_ROWS_CUH

#include "tensor/cuda/staging.cuh"

// The bias of 16 queries and 32 keys lies as the matrix units hold a sum: 8 values a lane for each 16 keys,
// (H, query_tiles, key_tiles, 2, 32, 8), in units of log2. A masked key has -10^4, far below any score yet near enough for
// fp32 to hold both; what lies beyond the last key the least finite value: the units multiply it by 0, too.
typedef struct {
  bf16 *data;
  int query_tiles, key_tiles;
} bias_tiles;
static __host__ __device__ __forceinline__ int64_t bias_at(const bias_tiles &b, int head, int q, int k) {
  int lane = q % 8 * 4 + k % 8 / 2, at = (k % 16 / 8 * 2 + q % 16 / 8) * 2 + k % 2;
  return (((((int64_t)head * b.query_tiles + q / 16) * b.key_tiles + k / 32) * 2 + k % 32 / 16) * 32 + lane) * 8 + at;
}
enum { TRIANGLE_QUERIES = 256, TRIANGLE_KEYS = 64 };  // sizes to which queries and keys of the bias are padded

// q, k and v: (rows, H, tokens, D), tokens N rounded up to TRIANGLE_KEYS. A token's chunks of 8 channels lie where shared memory wants
// them (the swizzle of 64 or 32 bytes of the matrix units), so that a tile is one run of bytes.
template <int D>
static __host__ __device__ __forceinline__ int swizzled(int token, int chunk) {
  return D == 32 ? token * 32 + ((chunk ^ (token >> 1 & 3)) * 8) : token * 16 + ((chunk ^ (token >> 2 & 1)) * 8);
}

// Which of the pair tensor's rows (or columns, if ending) are attended in now, and where their tokens lie. The results of
// these alone lie in o: (rows, N, C), or (N, rows, C) if ending.
typedef struct {
  int first, rows, n, tokens;  // tokens: N rounded up to TRIANGLE_KEYS
  bool ending;
} row_range;

// On Hopper (hopper.cuh): the weights of q, k, v and the bias as triangle_in_hopper wants them (kept, or in scratch; NULL when
// dry), for 64 channels in heads of 16 or 128 in heads of 32.
const bf16 *triangle_in_packed(nf_context *context, const op_triangle_attention *a);
// From the narrow x, a tile of the range: q, k, v (in units of log2) of the range's rows, one after the other, unless qkv is NULL; the bias of
// pairs (i, j) whose i (j, if ending) is in the range, unless bias is NULL. Tokens from N on get zeros, and no bias.
void triangle_in_hopper(const op_triangle_attention *a, const pair_tile *x, row_range range, const bf16 *w, bf16 *qkv,
                        const bias_tiles *bias);

// On Hopper (hopper.cuh): attention in `rows` rows (or columns, if ending) of the pair tensor, whose q, k and v are given;
// o: (rows, N, H D), or (N, rows, H D) if ending. d: 16 or 32.
void triangle_rows_hopper(int n, int rows, int n_head, int d, const bf16 *q, const bf16 *k, const bf16 *v,
                          bias_tiles bias, bool ending, bf16 *o);

#endif
