// Outer product mean and pair-weighted averaging of the MSA. The plain loops come first.
#include <omp.h>
#include <string.h>

#include "tensor/cpu/cpu.h"
#include "tensor/cpu/plain.h"

PLAIN_OP(outer_product_mean) {
  context->flops += flops_outer_product_mean(a);
  int64_t n_row = a->msa.shape[0], n = a->msa.shape[1], c_m = a->msa.shape[2], e = tensor_last(a->w_left),
          c = a->pair.shape[2];
  size_t mark = context_here(context);
  float *h = plain_alloc(context, c_m), *left = plain_alloc(context, n_row * n * e),
        *right = plain_alloc(context, n_row * n * e), *outer = plain_alloc(context, e * e);
  if (!context->dry) {
    const float *mask = a->mask.data;
    for (int64_t r = 0; r < n_row * n; r++) {
      plain_norm_row(&a->norm, c_m, a->msa.data + r * c_m, h);
      for (int64_t l = 0; l < e; l++) {
        left[r * e + l] = mask[r] * (float)plain_dot(c_m, h, a->w_left.data + l, e);
        right[r * e + l] = mask[r] * (float)plain_dot(c_m, h, a->w_right.data + l, e);
      }
    }
    for (int64_t i = 0; i < n; i++)
      for (int64_t j = 0; j < n; j++) {
        float norm = 0;
        for (int64_t r = 0; r < n_row; r++) norm += mask[r * n + i] * mask[r * n + j];
        for (int64_t l = 0; l < e * e; l++) {
          double s = 0;
          for (int64_t r = 0; r < n_row; r++)
            s += (double)left[(r * n + i) * e + l / e] * right[(r * n + j) * e + l % e];
          outer[l] = (float)s;
        }
        for (int64_t l = 0; l < c; l++)
          a->pair.data[(i * n + j) * c + l] +=
              ((float)plain_dot(e * e, outer, a->w.data + l, c) + a->b.data[l]) / (1e-3f + norm);
      }
  }
  context_reset(context, mark);
}

PLAIN_OP(pair_average) {
  context->flops += flops_pair_average(a);
  int64_t n_row = a->msa.shape[0], n = a->msa.shape[1], c_m = a->msa.shape[2], c = a->pair.shape[2],
          n_head = tensor_last(a->w_logits), hd = tensor_count(a->wv) / c_m, d = hd / n_head;
  size_t mark = context_here(context);
  float *h = plain_alloc(context, n_row * n * c_m), *v = plain_alloc(context, n_row * n * hd),
        *weights = plain_alloc(context, n_head * n * n), *p = plain_alloc(context, c), *o = plain_alloc(context, hd);
  if (!context->dry) {
    for (int64_t i = 0; i < n; i++)
      for (int64_t k = 0; k < n; k++) {
        plain_norm_row(&a->norm_pair, c, a->pair.data + (i * n + k) * c, p);
        for (int64_t head = 0; head < n_head; head++)
          weights[(head * n + i) * n + k] =
              (float)plain_dot(c, p, a->w_logits.data + head, n_head) + 1e9f * (a->column_mask.data[k] - 1.0f);
      }
    for (int64_t i = 0; i < n_head * n; i++) {
      float most = -INFINITY;
      double total = 0;
      for (int64_t k = 0; k < n; k++) most = weights[i * n + k] > most ? weights[i * n + k] : most;
      for (int64_t k = 0; k < n; k++) total += weights[i * n + k] = expf(weights[i * n + k] - most);
      for (int64_t k = 0; k < n; k++) weights[i * n + k] = (float)(weights[i * n + k] / total);
    }
    for (int64_t r = 0; r < n_row * n; r++) {
      plain_norm_row(&a->norm, c_m, a->msa.data + r * c_m, h + r * c_m);
      for (int64_t l = 0; l < hd; l++) v[r * hd + l] = (float)plain_dot(c_m, h + r * c_m, a->wv.data + l, hd);
    }
    for (int64_t r = 0; r < n_row * n; r++) {
      for (int64_t l = 0; l < hd; l++) {
        double s = 0;
        for (int64_t k = 0; k < n; k++) s += (double)weights[(l / d * n + r % n) * n + k] * v[(r / n * n + k) * hd + l];
        o[l] = (float)s * plain_sigmoid((float)plain_dot(c_m, h + r * c_m, a->wg.data + l, hd));
      }
      for (int64_t l = 0; l < c_m; l++) a->msa.data[r * c_m + l] += (float)plain_dot(hd, o, a->wo.data + l, c_m);
    }
  }
  context_reset(context, mark);
}

CPU_OP(outer_product_mean) {
  context->flops += flops_outer_product_mean(a);
  const cpu_kernels *kernels = cpu_best();
  int64_t n_row = a->msa.shape[0], n = a->msa.shape[1], c_m = a->msa.shape[2], e = tensor_last(a->w_left),
          c = a->pair.shape[2], m = n_row * n;
  size_t mark = context_here(context);
  const float *w_left = cpu_pack_weight(context, a->w_left, c_m), *w_right = cpu_pack_weight(context, a->w_right, c_m);
  const float *w = cpu_pack_weight(context, a->w, e * e);
  float *left = context_alloc(context, (size_t)(m * e) * sizeof(float));
  float *right = context_alloc(context, (size_t)(m * e) * sizeof(float));
  float *packed = context_alloc(context, (size_t)cpu_packed_size(kernels, n_row, n * e) * sizeof(float));
  float *mask_packed = context_alloc(context, (size_t)cpu_packed_size(kernels, n_row, n) * sizeof(float));
  cpu_panels panels = cpu_cut(context, m, 112, kernels->mr);
  // Columns j that pass together; their outer products are whole panels of the packed right side.
  int64_t width = cpu_round_up(cpu_min(n, 48), kernels->nr);
  int64_t floats = n + width * (2 * e * e + c), stride;
  if (floats < panels.rows * c_m) floats = panels.rows * c_m;
  float *scratch = cpu_thread_scratch(context, floats, &stride);
  if (!context->dry) {
    const float *mask = a->mask.data;
#pragma omp parallel num_threads(context->n_threads)
    {
      float *mine = scratch + omp_get_thread_num() * stride;
#pragma omp for schedule(dynamic)
      for (int64_t p = 0; p < panels.n; p++) {
        int64_t first = p * panels.rows, rows = cpu_min(panels.rows, m - first);
        cpu_norm_rows(&a->norm, NULL, a->msa.data, c_m, first, rows, mine);
        kernels->gemm(rows, e, c_m, mine, c_m, 1, w_left, left + first * e, e, false);
        kernels->gemm(rows, e, c_m, mine, c_m, 1, w_right, right + first * e, e, false);
        for (int64_t r = first; r < first + rows; r++)
          for (int64_t l = 0; l < e; l++) {
            left[r * e + l] *= mask[r];
            right[r * e + l] *= mask[r];
          }
      }
#pragma omp for schedule(static)
      for (int64_t p = 0; p < (n * e + kernels->nr - 1) / kernels->nr; p++)
        kernels->pack(n_row, n * e, right, n * e, 1, packed, p, p + 1);
#pragma omp for schedule(static)
      for (int64_t p = 0; p < (n + kernels->nr - 1) / kernels->nr; p++)
        kernels->pack(n_row, n, mask, n, 1, mask_packed, p, p + 1);
#pragma omp for schedule(dynamic)
      for (int64_t i = 0; i < n; i++) {
        float *norm = mine, *product = norm + n, *outer = product + width * e * e, *out = outer + width * e * e;
        kernels->gemm(1, n, n_row, mask + i, 1, n, mask_packed, norm, n, false);
        for (int64_t first = 0; first < n; first += width) {
          int64_t columns = cpu_min(width, n - first);
          kernels->gemm(e, columns * e, n_row, left + i * e, 1, n * e, packed + first * e * n_row, product, columns * e,
                        false);
          for (int64_t j = 0; j < columns; j++)
            for (int64_t l = 0; l < e; l++)
              memcpy(outer + (j * e + l) * e, product + (l * columns + j) * e, (size_t)e * sizeof(float));
          kernels->gemm(columns, c, e * e, outer, e * e, 1, w, out, c, false);
          for (int64_t j = 0; j < columns; j++) {
            float inverse = 1.0f / (1e-3f + norm[first + j]), *to = a->pair.data + (i * n + first + j) * c;
            for (int64_t l = 0; l < c; l++) to[l] += (out[j * c + l] + a->b.data[l]) * inverse;
          }
        }
      }
    }
  }
  context_reset(context, mark);
}

CPU_OP(pair_average) {
  context->flops += flops_pair_average(a);
  const cpu_kernels *kernels = cpu_best();
  int64_t n_row = a->msa.shape[0], n = a->msa.shape[1], c_m = a->msa.shape[2], c = a->pair.shape[2],
          n_head = tensor_last(a->w_logits), hd = tensor_count(a->wv) / c_m, d = hd / n_head;
  size_t mark = context_here(context);
  nf_tensor weights = CONTEXT_4(context, 1, n_head, n, n);  // keys before queries
  int64_t flops = context->flops;
  cpu_pair_logits(context,
                  &(op_pair_logits){
                      .x = tensor_4(a->pair.data, 1, n, n, c), .norm = a->norm_pair, .w = a->w_logits, .out = weights});
  context->flops = flops;
  const float *wv = cpu_pack_weight(context, a->wv, c_m), *wg = cpu_pack_weight(context, a->wg, c_m),
              *wo = cpu_pack_weight(context, a->wo, hd);
  // Rows of the MSA that pass together: so many that their values of a head fill a panel.
  int64_t rows = d < kernels->nr ? kernels->nr / d : 1, n_parts = (n_row + rows - 1) / rows;
  int64_t packed_floats = cpu_packed_size(kernels, n, rows * d), stride;
  float *scratch = cpu_thread_scratch(context, rows * n * (c_m + 3 * hd) + 2 * n * rows * d + packed_floats, &stride);
  if (!context->dry) {
#pragma omp parallel num_threads(context->n_threads)
    {
      float *h = scratch + omp_get_thread_num() * stride, *v = h + rows * n * c_m, *g = v + rows * n * hd,
            *o = g + rows * n * hd, *from = o + rows * n * hd, *to = from + n * rows * d, *packed = to + n * rows * d;
#pragma omp for schedule(dynamic)
      for (int64_t head = 0; head < n_head; head++) {
        float *w = weights.data + head * n * n;
        for (int64_t k = 0; k < n; k++)
          for (int64_t i = 0; i < n; i++) w[k * n + i] += 1e9f * (a->column_mask.data[k] - 1.0f);
        kernels->softmax_columns(n, n, w, n);
      }
#pragma omp for schedule(dynamic)
      for (int64_t part = 0; part < n_parts; part++) {
        int64_t first = part * rows, r = cpu_min(rows, n_row - first), rd = r * d;
        float *msa = a->msa.data + first * n * c_m;
        cpu_norm_rows(&a->norm, NULL, msa, c_m, 0, r * n, h);
        kernels->gemm(r * n, hd, c_m, h, c_m, 1, wv, v, hd, false);
        kernels->gemm(r * n, hd, c_m, h, c_m, 1, wg, g, hd, false);
        for (int64_t head = 0; head < n_head; head++) {
          for (int64_t k = 0; k < n; k++)
            for (int64_t i = 0; i < r; i++)
              memcpy(from + k * rd + i * d, v + (i * n + k) * hd + head * d, (size_t)d * sizeof(float));
          kernels->pack(n, rd, from, rd, 1, packed, 0, (rd + kernels->nr - 1) / kernels->nr);
          kernels->gemm(n, rd, n, weights.data + head * n * n, 1, n, packed, to, rd, false);
          for (int64_t k = 0; k < n; k++)
            for (int64_t i = 0; i < r; i++)
              memcpy(o + (i * n + k) * hd + head * d, to + k * rd + i * d, (size_t)d * sizeof(float));
        }
        kernels->sigmoid_multiply(r * n * hd, g, o);
        kernels->gemm(r * n, c_m, hd, o, hd, 1, wo, msa, c_m, true);
      }
    }
  }
  context_reset(context, mark);
}
