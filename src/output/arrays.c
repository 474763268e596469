// Embeddings and distogram: what the network holds in float32 at the padded size, as float16 at the job's own.
#include <stdlib.h>

#include "base/str.h"
#include "formats/array.h"
#include "output/output.h"

// (rows of row_stride values) -> (n_rows, n_values) halves; the caller frees them.
static uint16_t *to_half(const float *values, int64_t n_rows, int64_t row_stride, int64_t n_values) {
  NF_ASSERT(n_rows >= 0 && n_values >= 0 && row_stride >= n_values);
  uint16_t *half = nf_calloc((size_t)n_rows, (size_t)n_values * sizeof *half);
#pragma omp parallel for
  for (int64_t i = 0; i < n_rows; i++) {
    for (int64_t k = 0; k < n_values; k++) half[i * n_values + k] = nf_f16_from_f32(values[i * row_stride + k]);
  }
  return half;
}

nf_status output_write_embeddings(const char *dir, const char *prefix, int n_tokens, int n_padded, int c_s, int c_z,
                                  const float *single, const float *pair) {
  int64_t n = n_tokens;
  uint16_t *single_half = to_half(single, n, c_s, c_s);
  uint16_t *pair_half = to_half(pair, n, (int64_t)n_padded * c_z, n * c_z);
  nf_array arrays[] = {
      {.name = "single_embeddings", .dtype = NF_F16, .n_dims = 2, .shape = {n, c_s}, .data = single_half},
      {.name = "pair_embeddings", .dtype = NF_F16, .n_dims = 3, .shape = {n, n, c_z}, .data = pair_half},
  };
  nf_str path = {0};
  nf_str_printf(&path, "%s/%s_embeddings.npz", dir, prefix);
  nf_status status = nf_npz_write(path.data, arrays, 2, 1);
  nf_str_free(&path);
  free(single_half);
  free(pair_half);
  return status;
}

nf_status output_write_distogram(const char *dir, const char *prefix, int n_tokens, int n_padded, int n_bins,
                                 const float *logits) {
  int64_t n = n_tokens;
  uint16_t *half = to_half(logits, n, (int64_t)n_padded * n_bins, n * n_bins);
  nf_array array = {.name = "distogram", .dtype = NF_F16, .n_dims = 3, .shape = {n, n, n_bins}, .data = half};
  nf_str path = {0};
  nf_str_printf(&path, "%s/%s_distogram.npz", dir, prefix);
  nf_status status = nf_npz_write(path.data, &array, 1, 1);
  nf_str_free(&path);
  free(half);
  return status;
}
