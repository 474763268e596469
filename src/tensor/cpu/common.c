// The tables of the CPU's ops, and what the op files share.
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"  // nf_seconds
#include "base/memory.h"
#include "tensor/cpu/cpu.h"

const cpu_kernels *cpu_best(void) {
  static const cpu_kernels *best;
  if (!best) best = cpu_kernels_choose();
  return best;
}

float *cpu_pack(nf_context *context, int64_t k, int64_t n, const float *w, int64_t w_k, int64_t w_n) {
  const cpu_kernels *kernels = cpu_best();
  float *packed = context_alloc(context, (size_t)cpu_packed_size(kernels, k, n) * sizeof(float));
  if (context->dry) return NULL;
  int64_t n_panels = (n + kernels->nr - 1) / kernels->nr;
#pragma omp parallel for schedule(static) num_threads(context->n_threads) if (k * n > 1 << 14)
  for (int64_t p = 0; p < n_panels; p++) kernels->pack(k, n, w, w_k, w_n, packed, p, p + 1);
  return packed;
}

float *cpu_column(const cpu_kernels *kernels, int64_t m, int64_t n, int64_t k, const float *a, const float *w,
                  int64_t w_k, int64_t p, float *y, int64_t ldy, float *scratch, int64_t *ret_first,
                  int64_t *ret_width) {
  int64_t first = p * kernels->nr, width = cpu_min(kernels->nr, n - first);
  float *packed = scratch, *out = scratch + cpu_packed_size(kernels, k, kernels->nr);
  kernels->pack(k, width, w + first, w_k, 1, packed, 0, 1);
  if (ldy) out = y + first;
  kernels->gemm(m, width, k, a, k, 1, packed, out, ldy ? ldy : width, false);
  *ret_first = first;
  *ret_width = width;
  return out;
}

cpu_panels cpu_cut(const nf_context *context, int64_t m, int64_t most, int64_t unit) {
  if (most < unit) most = unit;
  int64_t n = (m + most - 1) / most;
  // A few panels: as many for every thread, so that none waits for another.
  if (n < 4 * context->n_threads) n = cpu_round_up(n, context->n_threads);
  int64_t rows = (m + n - 1) / n;
  if (rows >= unit) rows = cpu_round_up(rows, unit);
  return (cpu_panels){rows, (m + rows - 1) / rows};
}

float *cpu_thread_scratch(nf_context *context, int64_t floats, int64_t *ret_stride) {
  *ret_stride = cpu_round_up(floats, 64);
  return context_alloc(context, (size_t)(*ret_stride * context->n_threads) * sizeof(float));
}

void cpu_norm_rows(const op_norm *norm, const op_condition *condition, const float *x, int64_t c, int64_t first,
                   int64_t n, float *y) {
  const cpu_kernels *kernels = cpu_best();
  if (!condition || !tensor_given(condition->scale)) {
    kernels->layer_norm(n, c, x + first * c, c, norm->scale.data, norm->offset.data, y, c);
    return;
  }
  int64_t p = tensor_rows(condition->scale);
  for (int64_t i = 0; i < n; i++) {
    int64_t row = (first + i) % p * c;
    kernels->layer_norm(1, c, x + (first + i) * c, c, condition->scale.data + row, condition->shift.data + row,
                        y + i * c, c);
  }
}

void cpu_add_rows_gated(const op_condition *condition, int64_t c, int64_t first, int64_t n, const float *y, float *x) {
  x += first * c;
  if (!condition || !tensor_given(condition->gate)) {
    for (int64_t i = 0; i < n * c; i++) x[i] += y[i];
    return;
  }
  int64_t p = tensor_rows(condition->gate);
  for (int64_t i = 0; i < n; i++) {
    const float *gate = condition->gate.data + (first + i) % p * c;
    for (int64_t l = 0; l < c; l++) x[i * c + l] += gate[l] * y[i * c + l];
  }
}

void cpu_add_columns_gated(const op_condition *condition, int64_t c, int64_t start, int64_t m, int64_t first,
                           int64_t width, const float *y, float *x) {
  bool gated = condition && tensor_given(condition->gate);
  int64_t p = gated ? tensor_rows(condition->gate) : 1;
  for (int64_t r = 0; r < m; r++) {
    const float *gate = gated ? condition->gate.data + (start + r) % p * c + first : NULL;
    float *to = x + (start + r) * c + first;
    for (int64_t l = 0; l < width; l++) to[l] += gated ? gate[l] * y[r * width + l] : y[r * width + l];
  }
}

static void *allocate(size_t bytes) { return aligned_alloc(64, (bytes + 63) / 64 * 64); }
static void copy(void *to, const void *from, size_t bytes) { memcpy(to, from, bytes); }

static void keep(const void *memory, size_t bytes) { (void)memory, (void)bytes; }
static bool record(void) { return false; }
static void *recorded(void) { return NULL; }
static void replay(void *recording) { (void)recording; }
static int64_t memory_peak(bool reset) { return (void)reset, 0; }
static int64_t memory_room(void) { return 0; }

// Each thread's best short burst, all at work at the same time: what the machine does when no one else wants it.
static double measure_peak(void) {
  enum { TRIALS = 40, REPEATS = 4 };
  const cpu_kernels *kernels = cpu_best();
  int threads = omp_get_max_threads();
  int64_t n = 256, packed_size = cpu_packed_size(kernels, n, n), stride = 2 * n * n + packed_size;
  float *memory = nf_alloc((size_t)(stride * threads) * sizeof(float));
  double rate = 0;
#pragma omp parallel num_threads(threads) reduction(+ : rate)
  {
    float *a = memory + omp_get_thread_num() * stride, *c = a + n * n, *b = c + n * n;
    for (int64_t i = 0; i < n * n; i++) a[i] = (float)(i % 7) * 0.1f;
    kernels->pack(n, n, a, n, 1, b, 0, n / kernels->nr);
    for (int trial = 0; trial < TRIALS; trial++) {
      double start = nf_seconds();
      for (int r = 0; r < REPEATS; r++) kernels->gemm(n, n, n, a, n, 1, b, c, n, false);
      double mine = 2.0 * (double)(n * n * n) * REPEATS / (nf_seconds() - start);
      if (mine > rate) rate = mine;
    }
  }
  free(memory);
  return rate;
}

static const char *description(void) {
  static char text[64];
  snprintf(text, sizeof text, "CPU, %d threads, %s", omp_get_max_threads(), cpu_best()->name);
  return text;
}

#define SHARED                                                                                                        \
  .allocate = allocate, .release = free, .upload = copy, .download = copy, .host_memory = true, .keep = keep,          \
  .record = record, .recorded = recorded, .replay = replay, .forget = replay, .memory_peak = memory_peak,              \
  .memory_room = memory_room, .gather = cpu_gather,                                                                    \
  .copy_columns = cpu_copy_columns, .scale = cpu_scale, .outer_sum = cpu_outer_sum,                                   \
  .relative_embed = cpu_relative_embed, .relative_concat = cpu_relative_concat, .add_rows = cpu_add_rows,             \
  .msa_embed = cpu_msa_embed, .distance_embed = cpu_distance_embed, .template_embed = cpu_template_embed,             \
  .atom_embed = cpu_atom_embed, .atom_pair = cpu_atom_pair, .atoms_to_tokens = cpu_atoms_to_tokens,                   \
  .expectation = cpu_expectation, .augment = cpu_augment, .add_normals = cpu_add_normals,                             \
  .measure_peak = measure_peak, .description = description

const nf_ops cpu_ops = {.name = "cpu",
                        SHARED,
                        .layer_norm = cpu_layer_norm,
                        .linear = cpu_linear,
                        .linears = cpu_linears,
                        .transition = cpu_transition,
                        .triangle_multiply = cpu_triangle_multiply,
                        .triangle_attention = cpu_triangle_attention,
                        .pair_logits = cpu_pair_logits,
                        .attention = cpu_attention,
                        .kept_logits = cpu_kept_logits,
                        .keep_logits = cpu_keep_logits,
                        .kept_rows = cpu_kept_rows,
                        .keep_rows = cpu_keep_rows,
                        .atom_attention = cpu_atom_attention,
                        .outer_product_mean = cpu_outer_product_mean,
                        .pair_average = cpu_pair_average};

const nf_ops plain_ops = {.name = "plain",
                          SHARED,
                          .layer_norm = plain_layer_norm,
                          .linear = plain_linear,
                          .linears = cpu_linears,
                          .transition = plain_transition,
                          .triangle_multiply = plain_triangle_multiply,
                          .triangle_attention = plain_triangle_attention,
                          .pair_logits = plain_pair_logits,
                          .attention = plain_attention,
                          .kept_logits = cpu_kept_logits,
                          .keep_logits = cpu_keep_logits,
                          .kept_rows = cpu_kept_rows,
                          .keep_rows = cpu_keep_rows,
                          .atom_attention = plain_atom_attention,
                          .outer_product_mean = plain_outer_product_mean,
                          .pair_average = plain_pair_average};
