// The inner loops of the CPU ops, compiled once per instruction set and chosen at run time.
#ifndef NF_TENSOR_CPU_KERNELS_H
#define NF_TENSOR_CPU_KERNELS_H

#include <stdbool.h>
#include <stdint.h>

// All strides count floats. None of these functions starts threads or allocates.
typedef struct {
  const char *name;  // "avx512", "avx2", "generic"
  int vl;            // floats of a vector
  int mr, nr;        // rows and columns of the register tile; nr = 2 vl

  // A packed matrix holds B (k, n) in panels of nr columns, each k rows of nr floats; the last panel is vl wide if
  // that suffices, and padded with zeros. Size: cpu_packed_size floats.
  // Packs panels [first, last); element (i, j) is b[i * b_k + j * b_n].
  void (*pack)(int64_t k, int64_t n, const float *b, int64_t b_k, int64_t b_n, float *packed, int64_t first,
               int64_t last);
  // C (m, n) = A B, or += if add. Element (i, l) of A is a[i * a_m + l * a_k]; one of a_m and a_k is 1.
  void (*gemm)(int64_t m, int64_t n, int64_t k, const float *a, int64_t a_m, int64_t a_k, const float *packed, float *c,
               int64_t ldc, bool add);

  // Rows (m, c): y = (x - mean) / sqrt(variance + 1e-5) * scale + offset; scale and offset may be NULL.
  void (*layer_norm)(int64_t m, int64_t c, const float *x, int64_t ldx, const float *scale, const float *offset,
                     float *y, int64_t ldy);
  // The same for columns: x (c, m) with stride ldx between channels, y likewise.
  void (*layer_norm_columns)(int64_t m, int64_t c, const float *x, int64_t ldx, const float *scale, const float *offset,
                             float *y, int64_t ldy);
  // y (n, m) = x (m, n) transposed.
  void (*transpose)(int64_t m, int64_t n, const float *x, int64_t ldx, float *y, int64_t ldy);
  // Elementwise over n floats.
  void (*sigmoid)(int64_t n, float *x);                              // x = 1 / (1 + exp(-x))
  void (*sigmoid_multiply)(int64_t n, const float *gate, float *x);  // x *= sigmoid(gate)
  // y = sigmoid(gate) x mask factor
  void (*gate_masked)(int64_t n, const float *gate, const float *x, const float *mask, float factor, float *y);
  void (*swish_multiply)(int64_t n, const float *gate, const float *x, float *y);  // y = gate sigmoid(gate) x
  // Softmax of columns: s (n_key, n_query) with stride ld; every column sums to 1 afterwards.
  void (*softmax_columns)(int64_t n_key, int64_t n_query, float *s, int64_t ld);

  // One head of attention for one block of queries. Keys come first in every score array, so that a vector holds
  // queries.
  //   q (n_query, d), k, v (n_key, d) with strides ldq, ldk, ldv; q is scaled by `scale` first
  //   bias[key * ldbias + query] is added, key_add[key] too; either may be NULL
  //   o (n_query, d), stride ldo
  //   scratch: cpu_attention_scratch(n_key, d) floats
  void (*attention)(int64_t n_query, int64_t n_key, int64_t d, float scale, const float *q, int64_t ldq, const float *k,
                    int64_t ldk, const float *v, int64_t ldv, const float *bias, int64_t ldbias, const float *key_add,
                    float *o, int64_t ldo, float *scratch);
  // Fused multiply-adds on registers alone, `rounds` times mr * 2 of them; returns a value that depends on all.
  float (*peak)(int64_t rounds);
} cpu_kernels;

extern const cpu_kernels cpu_kernels_generic, cpu_kernels_avx2, cpu_kernels_avx512;
// The best set that this processor runs; NATIVEFOLD_CPU=avx2 (or generic) asks for a lesser one.
const cpu_kernels *cpu_kernels_choose(void);

static inline int64_t cpu_round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }
static inline int64_t cpu_packed_size(const cpu_kernels *kernels, int64_t k, int64_t n) {
  return cpu_round_up(k * cpu_round_up(n, kernels->vl), 16);
}
static inline int64_t cpu_attention_scratch(int64_t n_key, int64_t d) { return (n_key + 2 * d + 32) * 32; }

#endif
