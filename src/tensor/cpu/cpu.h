// What the files of this folder share.
#ifndef NF_TENSOR_CPU_CPU_H
#define NF_TENSOR_CPU_CPU_H

#include "tensor/cpu/kernels.h"
#include "tensor/ops.h"

extern const nf_ops cpu_ops;    // fast
extern const nf_ops plain_ops;  // the truth: one loop an index, in the order of the formula

// One function an op; where a file holds two of a name, plain_ is the truth.
#define CPU_OP(op) void cpu_##op(nf_context *context, const op_##op *a)
#define PLAIN_OP(op) void plain_##op(nf_context *context, const op_##op *a)
CPU_OP(layer_norm);
CPU_OP(linear);
CPU_OP(linears);  // layer by layer, by the device's own linear
CPU_OP(transition);
CPU_OP(triangle_multiply);
CPU_OP(triangle_attention);
CPU_OP(pair_logits);
CPU_OP(attention);
CPU_OP(keep_logits);  // never called: there is no form of its own
int64_t cpu_kept_logits(int64_t n, int64_t c, int64_t d);
CPU_OP(keep_rows);  // likewise
int64_t cpu_kept_rows(int64_t c);
CPU_OP(atom_attention);
CPU_OP(outer_product_mean);
CPU_OP(pair_average);
PLAIN_OP(layer_norm);
PLAIN_OP(linear);
PLAIN_OP(transition);
PLAIN_OP(triangle_multiply);
PLAIN_OP(triangle_attention);
PLAIN_OP(pair_logits);
PLAIN_OP(attention);
PLAIN_OP(atom_attention);
PLAIN_OP(outer_product_mean);
PLAIN_OP(pair_average);
// Cheap enough that the plain loop, spread over threads, serves both.
CPU_OP(gather);
CPU_OP(copy_columns);
CPU_OP(scale);
CPU_OP(outer_sum);
CPU_OP(relative_embed);
CPU_OP(relative_concat);
CPU_OP(add_rows);
CPU_OP(msa_embed);
CPU_OP(distance_embed);
CPU_OP(template_embed);
CPU_OP(atom_embed);
CPU_OP(atom_pair);
CPU_OP(atoms_to_tokens);
CPU_OP(expectation);
CPU_OP(augment);
CPU_OP(add_normals);

// The kernels in use.
const cpu_kernels *cpu_best(void);

// A weight packed for gemm, by all threads at once, in the context's memory. Element (i, j) is w[i * w_k + j * w_n].
float *cpu_pack(nf_context *context, int64_t k, int64_t n, const float *w, int64_t w_k, int64_t w_n);
static inline float *cpu_pack_weight(nf_context *context, nf_tensor w, int64_t k) {
  int64_t n = tensor_count(w) / k;
  return cpu_pack(context, k, n, w.data, n, 1);
}

// Few rows against many weights: threads share the columns. Each packs a panel of weights for itself, just before all
// rows are multiplied by it, so that it comes from memory once and is still in the cache.
enum { CPU_FEW_ROWS = 2048 };
// Scratch of cpu_column for a thread: floats.
static inline int64_t cpu_column_scratch(const cpu_kernels *kernels, int64_t m, int64_t k) {
  return cpu_packed_size(kernels, k, kernels->nr) + m * kernels->nr;
}
// Columns of panel p of A (m, k) W (k, n) into y (m, ldy); ldy 0: into scratch, with rows as far apart as the panel is
// wide. Returns y's place; *ret_width: the panel's columns, *ret_first its first.
float *cpu_column(const cpu_kernels *kernels, int64_t m, int64_t n, int64_t k, const float *a, const float *w,
                  int64_t w_k, int64_t p, float *y, int64_t ldy, float *scratch, int64_t *ret_first,
                  int64_t *ret_width);
static inline int64_t cpu_columns(const cpu_kernels *kernels, int64_t n) { return (n + kernels->nr - 1) / kernels->nr; }

// How M rows are cut into panels that all threads share: each a multiple of `unit` rows but the last.
typedef struct {
  int64_t rows;  // of a panel
  int64_t n;     // panels
} cpu_panels;
cpu_panels cpu_cut(const nf_context *context, int64_t m, int64_t most, int64_t unit);

// `bytes` for every thread; thread t's part begins at t * *ret_stride floats.
float *cpu_thread_scratch(nf_context *context, int64_t floats, int64_t *ret_stride);

// Rows first .. first + n of x normalised into y (n, C): layer norm, adaptive if the condition has a scale.
void cpu_norm_rows(const op_norm *norm, const op_condition *condition, const float *x, int64_t c, int64_t first,
                   int64_t n, float *y);
// x rows += gate * y rows, the gate by row % P if there is one.
void cpu_add_rows_gated(const op_condition *condition, int64_t c, int64_t first, int64_t n, const float *y, float *x);

// The same for columns first .. first + width of rows start .. start + m; y (m, width).
void cpu_add_columns_gated(const op_condition *condition, int64_t c, int64_t start, int64_t m, int64_t first,
                           int64_t width, const float *y, float *x);

static inline int64_t cpu_min(int64_t a, int64_t b) { return a < b ? a : b; }

#endif
