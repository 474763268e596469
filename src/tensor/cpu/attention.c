// Pair logits, self-attention of tokens and cross attention of atoms. The plain loops come first.
#include <omp.h>
#include <string.h>

#include "tensor/cpu/cpu.h"
#include "tensor/cpu/plain.h"

PLAIN_OP(pair_logits) {
  context->flops += flops_pair_logits(a);
  NF_ASSERT(!a->kept_rows && !tensor_given(a->mask));
  int64_t n_b = a->x.shape[0], n_q = a->x.shape[1], n_k = a->x.shape[2], c = a->x.shape[3], all = tensor_count(a->w) / c,
          n_head = pair_logits_heads(a);
  size_t mark = context_here(context);
  float *h = plain_alloc(context, c);
  if (!context->dry)
    for (int64_t b = 0; b < n_b; b++)
      for (int64_t q = 0; q < n_q; q++)
        for (int64_t k = 0; k < n_k; k++) {
          plain_norm_row(&a->norm, c, a->x.data + ((b * n_q + q) * n_k + k) * c, h);
          for (int64_t head = 0; head < n_head; head++)
            a->out.data[((b * n_head + head) * n_k + k) * n_q + q] =
                (float)plain_dot(c, h, a->w.data + a->first_head + head, all);
        }
  context_reset(context, mark);
}

PLAIN_OP(attention) {
  context->flops += flops_attention(a);
  int64_t n = a->mask.shape[0], c = tensor_last(a->x), m = tensor_rows(a->x), hd = tensor_count(a->wq) / c,
          n_head = a->wq.shape[1], d = hd / n_head;
  size_t mark = context_here(context);
  float *h = plain_alloc(context, m * c), *q = plain_alloc(context, m * hd), *k = plain_alloc(context, m * hd),
        *v = plain_alloc(context, m * hd), *o = plain_alloc(context, hd), *s = plain_alloc(context, n);
  if (!context->dry) {
    for (int64_t r = 0; r < m; r++) {
      plain_condition_row(&a->norm, &a->condition, c, r, a->x.data, h + r * c);
      for (int64_t l = 0; l < hd; l++) {
        q[r * hd + l] =
            (float)plain_dot(c, h + r * c, a->wq.data + l, hd) + (tensor_given(a->bq) ? a->bq.data[l] : 0.0f);
        k[r * hd + l] = (float)plain_dot(c, h + r * c, a->wk.data + l, hd);
        v[r * hd + l] = (float)plain_dot(c, h + r * c, a->wv.data + l, hd);
      }
    }
    for (int64_t r = 0; r < m; r++) {
      int64_t first = r / n * n, query = r % n;
      for (int64_t head = 0; head < n_head; head++) {
        float most = -INFINITY;
        for (int64_t l = 0; l < n; l++) {
          s[l] = (float)(plain_dot(d, q + r * hd + head * d, k + (first + l) * hd + head * d, 1) / sqrt((double)d)) +
                 1e9f * (a->mask.data[l] - 1.0f) + a->logits.data[(head * n + l) * n + query];
          most = s[l] > most ? s[l] : most;
        }
        double total = 0;
        for (int64_t l = 0; l < n; l++) total += s[l] = expf(s[l] - most);
        for (int64_t e = 0; e < d; e++) {
          double value = 0;
          for (int64_t l = 0; l < n; l++) value += (double)s[l] * v[(first + l) * hd + head * d + e];
          o[head * d + e] = (float)(value / total);
        }
      }
      for (int64_t l = 0; l < hd; l++) o[l] *= plain_sigmoid((float)plain_dot(c, h + r * c, a->wg.data + l, hd));
      for (int64_t l = 0; l < c; l++)
        a->x.data[r * c + l] += plain_gate(&a->condition, c, r, l) * (float)plain_dot(hd, o, a->wo.data + l, c);
    }
  }
  context_reset(context, mark);
}

PLAIN_OP(atom_attention) {
  context->flops += flops_atom_attention(a);
  int64_t n_s = a->logits.shape[0], heads = a->logits.shape[1], n_k = a->logits.shape[2], n_q = a->logits.shape[3],
          c = tensor_last(a->x), m = tensor_rows(a->x), hd = tensor_count(a->wq) / c, n_head = a->wq.shape[1],
          d = hd / n_head;
  op_norm none = {0};
  size_t mark = context_here(context);
  float *h = plain_alloc(context, c), *k = plain_alloc(context, m * hd), *v = plain_alloc(context, m * hd),
        *q = plain_alloc(context, hd), *o = plain_alloc(context, hd), *s = plain_alloc(context, n_k);
  if (!context->dry) {
    for (int64_t r = 0; r < m; r++) {
      plain_condition_row(&none, &a->key, c, r, a->x.data, h);
      for (int64_t l = 0; l < hd; l++) {
        k[r * hd + l] = (float)plain_dot(c, h, a->wk.data + l, hd);
        v[r * hd + l] = (float)plain_dot(c, h, a->wv.data + l, hd);
      }
    }
    for (int64_t r = 0; r < m; r++) {
      int64_t batch = r / (n_s * n_q), subset = r / n_q % n_s, query = r % n_q;
      const int32_t *keys = a->key_index + subset * n_k;
      plain_condition_row(&none, &a->query, c, r, a->x.data, h);
      for (int64_t l = 0; l < hd; l++)
        q[l] = (float)plain_dot(c, h, a->wq.data + l, hd) + (tensor_given(a->bq) ? a->bq.data[l] : 0.0f);
      for (int64_t head = 0; head < n_head; head++) {
        float most = -INFINITY;
        for (int64_t l = 0; l < n_k; l++) {
          const float *key = k + (batch * n_s * n_q + keys[l]) * hd + head * d;
          s[l] = keys[l] < 0 ? 0.0f : (float)(plain_dot(d, q + head * d, key, 1) / sqrt((double)d));
          s[l] +=
              1e9f * (a->query_mask.data[subset * n_q + query] - 1.0f) * (a->key_mask.data[subset * n_k + l] - 1.0f) +
              a->logits.data[((subset * heads + a->first_head + head) * n_k + l) * n_q + query];
          most = s[l] > most ? s[l] : most;
        }
        double total = 0;
        for (int64_t l = 0; l < n_k; l++) total += s[l] = expf(s[l] - most);
        for (int64_t e = 0; e < d; e++) {
          double value = 0;
          for (int64_t l = 0; l < n_k; l++)
            if (keys[l] >= 0) value += (double)s[l] * v[(batch * n_s * n_q + keys[l]) * hd + head * d + e];
          o[head * d + e] = (float)(value / total);
        }
      }
      for (int64_t l = 0; l < hd; l++) o[l] *= plain_sigmoid((float)plain_dot(c, h, a->wg.data + l, hd));
      for (int64_t l = 0; l < c; l++)
        a->x.data[r * c + l] += plain_gate(&a->query, c, r, l) * (float)plain_dot(hd, o, a->wo.data + l, c);
    }
  }
  context_reset(context, mark);
}

CPU_OP(pair_logits) {
  context->flops += flops_pair_logits(a);
  NF_ASSERT(!a->kept_rows && !tensor_given(a->mask));
  const cpu_kernels *kernels = cpu_best();
  int64_t n_b = a->x.shape[0], n_q = a->x.shape[1], n_k = a->x.shape[2], c = a->x.shape[3], all = tensor_count(a->w) / c,
          n_head = pair_logits_heads(a);
  int64_t width = cpu_min(n_q, 192), parts = (n_q + width - 1) / width, stride;
  size_t mark = context_here(context);
  float *scratch = cpu_thread_scratch(context, width * (c + n_head) + cpu_packed_size(kernels, c, width), &stride);
  if (!context->dry) {
#pragma omp parallel for schedule(static) collapse(3) num_threads(context->n_threads)
    for (int64_t b = 0; b < n_b; b++)
      for (int64_t k = 0; k < n_k; k++)
        for (int64_t part = 0; part < parts; part++) {
          int64_t first = part * width, m = cpu_min(width, n_q - first);
          float *h = scratch + omp_get_thread_num() * stride, *out = h + width * c, *packed = out + width * n_head;
          kernels->layer_norm(m, c, a->x.data + ((b * n_q + first) * n_k + k) * c, n_k * c, a->norm.scale.data,
                              a->norm.offset.data, h, c);
          kernels->pack(c, m, h, 1, c, packed, 0, (m + kernels->nr - 1) / kernels->nr);
          kernels->gemm(n_head, m, c, a->w.data + a->first_head, 1, all, packed, out, m, false);
          for (int64_t head = 0; head < n_head; head++)
            memcpy(a->out.data + ((b * n_head + head) * n_k + k) * n_q + first, out + head * m,
                   (size_t)m * sizeof(float));
        }
  }
  context_reset(context, mark);
}

static void add_bias(int64_t m, int64_t n, const nf_tensor *bias, float *y, int64_t ldy) {
  if (!tensor_given(*bias)) return;
  for (int64_t r = 0; r < m; r++)
    for (int64_t l = 0; l < n; l++) y[r * ldy + l] += bias->data[l];
}

CPU_OP(attention) {
  context->flops += flops_attention(a);
  const cpu_kernels *kernels = cpu_best();
  int64_t n = a->mask.shape[0], c = tensor_last(a->x), m = tensor_rows(a->x), hd = tensor_count(a->wq) / c,
          n_head = a->wq.shape[1], d = hd / n_head, n_batch = m / n;
  size_t mark = context_here(context);
  float *h = context_alloc(context, (size_t)(m * c) * sizeof(float));
  float *qkvg = context_alloc(context, (size_t)(4 * m * hd) * sizeof(float));  // (m, 4 hd)
  float *o = context_alloc(context, (size_t)(m * hd) * sizeof(float));
  float *key_add = context_alloc(context, (size_t)n * sizeof(float));
  // Many rows pass in parts, each of which stays in the last-level cache.
  int64_t part_rows = cpu_min(m, CPU_FEW_ROWS), n_parts = (m + part_rows - 1) / part_rows;
  int64_t floats = cpu_column_scratch(kernels, part_rows, hd > c ? hd : c), stride;
  if (floats < cpu_attention_scratch(n, d)) floats = cpu_attention_scratch(n, d);
  float *scratch = cpu_thread_scratch(context, floats, &stride);
  if (!context->dry) {
    const float scale = 1.0f / sqrtf((float)d);
    const nf_tensor weights[4] = {a->wq, a->wk, a->wv, a->wg};
    for (int64_t l = 0; l < n; l++) key_add[l] = 1e9f * (a->mask.data[l] - 1.0f);
    int64_t columns = cpu_columns(kernels, hd);
    // Several tasks a head and sample if these are few.
    int64_t query_parts = n_batch * n_head >= 4 * context->n_threads ? 1 : (n + kernels->nr - 1) / kernels->nr;
    int64_t query_rows = query_parts == 1 ? n : kernels->nr;
#pragma omp parallel num_threads(context->n_threads)
    {
      float *mine = scratch + omp_get_thread_num() * stride;
      int64_t first, width;
#pragma omp for schedule(static)
      for (int64_t r = 0; r < m; r++) cpu_norm_rows(&a->norm, &a->condition, a->x.data, c, r, 1, h + r * c);
#pragma omp for schedule(dynamic) collapse(2)
      for (int64_t part = 0; part < n_parts; part++)
        for (int64_t p = 0; p < 4 * columns; p++) {
          int64_t s = p / columns, start = part * part_rows, rows = cpu_min(part_rows, m - start);
          float *y = cpu_column(kernels, rows, hd, c, h + start * c, weights[s].data, hd, p % columns,
                                qkvg + start * 4 * hd + s * hd, 4 * hd, mine, &first, &width);
          if (s == 0 && tensor_given(a->bq))
            for (int64_t r = 0; r < rows; r++)
              for (int64_t l = 0; l < width; l++) y[r * 4 * hd + l] += a->bq.data[first + l];
        }
#pragma omp for schedule(dynamic) collapse(3)
      for (int64_t head = 0; head < n_head; head++)
        for (int64_t b = 0; b < n_batch; b++)
          for (int64_t part = 0; part < query_parts; part++) {
            int64_t from = part * query_rows, rows = cpu_min(query_rows, n - from);
            const float *q = qkvg + b * n * 4 * hd + head * d;
            float *to = o + (b * n + from) * hd + head * d;
            kernels->attention(rows, n, d, scale, q + from * 4 * hd, 4 * hd, q + hd, 4 * hd, q + 2 * hd, 4 * hd,
                               a->logits.data + head * n * n + from, n, key_add, to, hd, mine);
            for (int64_t r = 0; r < rows; r++)
              kernels->sigmoid_multiply(d, q + (from + r) * 4 * hd + 3 * hd, to + r * hd);
          }
#pragma omp for schedule(dynamic) collapse(2)
      for (int64_t part = 0; part < n_parts; part++)
        for (int64_t p = 0; p < cpu_columns(kernels, c); p++) {
          int64_t start = part * part_rows, rows = cpu_min(part_rows, m - start);
          float *y = cpu_column(kernels, rows, c, hd, o + start * hd, a->wo.data, c, p, NULL, 0, mine, &first, &width);
          cpu_add_columns_gated(&a->condition, c, start, rows, first, width, y, a->x.data);
        }
    }
  }
  context_reset(context, mark);
}

CPU_OP(atom_attention) {
  context->flops += flops_atom_attention(a);
  const cpu_kernels *kernels = cpu_best();
  int64_t n_s = a->logits.shape[0], heads = a->logits.shape[1], n_k = a->logits.shape[2], n_q = a->logits.shape[3],
          c = tensor_last(a->x), m = tensor_rows(a->x), hd = tensor_count(a->wq) / c, n_head = a->wq.shape[1],
          d = hd / n_head, n_batch = m / (n_s * n_q);
  size_t mark = context_here(context);
  const float *wq = cpu_pack_weight(context, a->wq, c), *wk = cpu_pack_weight(context, a->wk, c),
              *wv = cpu_pack_weight(context, a->wv, c), *wg = cpu_pack_weight(context, a->wg, c),
              *wo = cpu_pack_weight(context, a->wo, hd);
  // A key's projections depend on its atom alone: once an atom, then gathered by every window that looks at it.
  float *kv = context_alloc(context, (size_t)(2 * m * hd) * sizeof(float));  // (m, 2 hd)
  cpu_panels panels = cpu_cut(context, m, 96, kernels->mr);
  int64_t floats = n_q * (2 * c + 3 * hd) + n_k * 2 * hd + n_k * n_q + cpu_attention_scratch(n_k, d), stride;
  if (floats < panels.rows * c) floats = panels.rows * c;
  float *scratch = cpu_thread_scratch(context, floats, &stride);
  if (!context->dry) {
    const float scale = 1.0f / sqrtf((float)d);
    const op_norm none = {0};
#pragma omp parallel num_threads(context->n_threads)
    {
      float *mine = scratch + omp_get_thread_num() * stride;
#pragma omp for schedule(dynamic)
      for (int64_t p = 0; p < panels.n; p++) {
        int64_t first = p * panels.rows, rows = cpu_min(panels.rows, m - first);
        cpu_norm_rows(&none, &a->key, a->x.data, c, first, rows, mine);
        kernels->gemm(rows, hd, c, mine, c, 1, wk, kv + first * 2 * hd, 2 * hd, false);
        kernels->gemm(rows, hd, c, mine, c, 1, wv, kv + first * 2 * hd + hd, 2 * hd, false);
      }
#pragma omp for schedule(dynamic) collapse(2)
      for (int64_t b = 0; b < n_batch; b++)
        for (int64_t s = 0; s < n_s; s++) {
          int64_t first = (b * n_s + s) * n_q;
          float *h = mine, *y = h + n_q * c, *q = y + n_q * c, *g = q + n_q * hd, *o = g + n_q * hd,
                *keys = o + n_q * hd, *bias = keys + n_k * 2 * hd, *rest = bias + n_k * n_q;
          cpu_norm_rows(&none, &a->query, a->x.data, c, first, n_q, h);
          kernels->gemm(n_q, hd, c, h, c, 1, wq, q, hd, false);
          add_bias(n_q, hd, &a->bq, q, hd);
          kernels->gemm(n_q, hd, c, h, c, 1, wg, g, hd, false);
          const float *key_mask = a->key_mask.data + s * n_k, *query_mask = a->query_mask.data + s * n_q;
          bool key_masked = false, query_masked = false;
          for (int64_t l = 0; l < n_k; l++) {
            int32_t from = a->key_index[s * n_k + l];
            if (from < 0)
              memset(keys + l * 2 * hd, 0, (size_t)(2 * hd) * sizeof(float));
            else
              memcpy(keys + l * 2 * hd, kv + (b * n_s * n_q + from) * 2 * hd, (size_t)(2 * hd) * sizeof(float));
            key_masked |= key_mask[l] == 0;
          }
          for (int64_t l = 0; l < n_q; l++) query_masked |= query_mask[l] == 0;
          for (int64_t head = 0; head < n_head; head++) {
            const float *logits = a->logits.data + (s * heads + a->first_head + head) * n_k * n_q;
            if (key_masked && query_masked) {
              for (int64_t l = 0; l < n_k; l++)
                for (int64_t j = 0; j < n_q; j++)
                  bias[l * n_q + j] = logits[l * n_q + j] + 1e9f * (query_mask[j] - 1.0f) * (key_mask[l] - 1.0f);
              logits = bias;
            }
            kernels->attention(n_q, n_k, d, scale, q + head * d, hd, keys + head * d, 2 * hd, keys + hd + head * d,
                               2 * hd, logits, n_q, NULL, o + head * d, hd, rest);
          }
          kernels->sigmoid_multiply(n_q * hd, g, o);
          kernels->gemm(n_q, c, hd, o, hd, 1, wo, y, c, false);
          cpu_add_rows_gated(&a->query, c, first, n_q, y, a->x.data);
        }
    }
  }
  context_reset(context, mark);
}

int64_t cpu_kept_logits(int64_t n, int64_t c, int64_t d) { return 0; }
CPU_OP(keep_logits) { NF_ASSERT(false); }
int64_t cpu_kept_rows(int64_t c) { return 0; }
CPU_OP(keep_rows) { NF_ASSERT(false); }
