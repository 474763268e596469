// Ops that build features, move rows about and read heads out: little arithmetic, so one plain loop each, over threads.
#include <math.h>
#include <omp.h>
#include <string.h>

#include "tensor/cpu/cpu.h"

#define PARALLEL _Pragma("omp parallel for schedule(static) num_threads(context->n_threads)")

CPU_OP(gather) {
  if (context->dry) return;
  int64_t n_b = a->y.shape[0], m = a->y.shape[1], n = a->x.shape[1], c = tensor_last(a->y);
  PARALLEL
  for (int64_t r = 0; r < n_b * m; r++) {
    int32_t from = a->index[r % m];
    const float *x = a->x.data + (r / m * n + from) * c;
    float *y = a->y.data + r * c;
    if (from < 0) {
      if (!a->add) memset(y, 0, (size_t)c * sizeof(float));
    } else if (a->add) {
      for (int64_t l = 0; l < c; l++) y[l] += x[l];
    } else {
      memcpy(y, x, (size_t)c * sizeof(float));
    }
  }
}

CPU_OP(copy_columns) {
  if (context->dry) return;
  int64_t m = tensor_rows(a->y), c = tensor_last(a->x), wide = tensor_last(a->y);
  PARALLEL
  for (int64_t r = 0; r < m; r++)
    memcpy(a->y.data + r * wide + a->column, a->x.data + r * c, (size_t)c * sizeof(float));
}

CPU_OP(scale) {
  if (context->dry) return;
  int64_t m = tensor_rows(a->y), c = tensor_last(a->y), m_x = tensor_rows(a->x);
  int64_t p = tensor_given(a->row_factor) ? tensor_count(a->row_factor) : 0;
  PARALLEL
  for (int64_t r = 0; r < m; r++) {
    const float *x = a->x.data + r % m_x * c;
    float *y = a->y.data + r * c, factor = a->factor * (p ? a->row_factor.data[r % p] : 1.0f);
    if (a->add)
      for (int64_t l = 0; l < c; l++) y[l] += factor * x[l];
    else if (a->factor == 0)
      memset(y, 0, (size_t)c * sizeof(float));
    else
      for (int64_t l = 0; l < c; l++) y[l] = factor * x[l];
  }
}

CPU_OP(outer_sum) {
  if (context->dry) return;
  int64_t n = a->pair.shape[0], c = a->pair.shape[2];
  PARALLEL
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < n; j++) {
      const float *left = a->left.data + i * c, *right = a->right.data + j * c;
      float *to = a->pair.data + (i * n + j) * c;
      for (int64_t l = 0; l < c; l++) to[l] = left[l] + right[l] + (a->add ? to[l] : 0.0f);
    }
}

static int clip(int64_t x, int most) { return x < 0 ? 0 : x > most ? most : (int)x; }

// The pair's classes: two of one-hot offsets, the flag, the chain offset; index into RELATIVE_CLASSES rows.
static void relative_classes(const op_relative *r, int64_t i, int64_t j, int classes[4]) {
  enum { OFFSETS = 2 * RELATIVE_MAX_INDEX + 2 };
  bool same_chain = r->asym_id[i] == r->asym_id[j],
       same_residue = same_chain && r->residue_index[i] == r->residue_index[j],
       same_entity = r->entity_id[i] == r->entity_id[j];
  classes[0] =
      same_chain ? clip((int64_t)r->residue_index[i] - r->residue_index[j] + RELATIVE_MAX_INDEX, 2 * RELATIVE_MAX_INDEX)
                 : OFFSETS - 1;
  classes[1] = OFFSETS + (same_residue ? clip((int64_t)r->token_index[i] - r->token_index[j] + RELATIVE_MAX_INDEX,
                                              2 * RELATIVE_MAX_INDEX)
                                       : OFFSETS - 1);
  classes[2] = same_entity ? 2 * OFFSETS : -1;
  classes[3] = 2 * OFFSETS + 1 +
               (same_entity ? clip((int64_t)r->sym_id[i] - r->sym_id[j] + RELATIVE_MAX_CHAIN, 2 * RELATIVE_MAX_CHAIN)
                            : 2 * RELATIVE_MAX_CHAIN + 1);
}

CPU_OP(relative_embed) {
  if (context->dry) return;
  int64_t n = a->pair.shape[0], c = a->pair.shape[2];
  PARALLEL
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < n; j++) {
      int classes[4];
      relative_classes(&a->relative, i, j, classes);
      float *to = a->pair.data + (i * n + j) * c;
      for (int s = 0; s < 4; s++) {
        if (classes[s] < 0) continue;
        const float *w = a->w.data + classes[s] * c;
        for (int64_t l = 0; l < c; l++) to[l] += w[l];
      }
    }
}

CPU_OP(relative_concat) {
  if (context->dry) return;
  int64_t n = a->pair.shape[0], c = a->pair.shape[2], wide = c + RELATIVE_CLASSES;
  PARALLEL
  for (int64_t i = 0; i < a->n; i++)
    for (int64_t j = 0; j < n; j++) {
      int classes[4];
      relative_classes(&a->relative, a->first + i, j, classes);
      float *to = a->out.data + (i * n + j) * wide;
      memcpy(to, a->pair.data + ((a->first + i) * n + j) * c, (size_t)c * sizeof(float));
      memset(to + c, 0, RELATIVE_CLASSES * sizeof(float));
      for (int s = 0; s < 4; s++)
        if (classes[s] >= 0) to[c + classes[s]] = 1.0f;
    }
}

CPU_OP(add_rows) {
  if (context->dry) return;
  int64_t c = tensor_last(a->x);
  for (int64_t i = 0; i < a->n; i++)
    for (int64_t l = 0; l < c; l++) a->x.data[a->index[i] * c + l] += a->w.data[l];
}

CPU_OP(msa_embed) {
  if (context->dry) return;
  int64_t n_row = a->msa.shape[0], n = a->msa.shape[1], c = a->msa.shape[2], n_class = a->w.shape[0] - 2;
  PARALLEL
  for (int64_t r = 0; r < n_row * n; r++) {
    int class = a->rows[r];
    float deletions = a->deletions[r], *y = a->msa.data + r * c;
    float has = deletions < 0 ? 0 : deletions > 1 ? 1 : deletions;
    float value = atanf(deletions / 3.0f) * 0.636619772f;  // 2 / pi
    const float *target = a->target.data + r % n * c, *w = a->w.data;
    for (int64_t l = 0; l < c; l++) y[l] = target[l] + has * w[n_class * c + l] + value * w[(n_class + 1) * c + l];
    if (class >= 0 && class < n_class)
      for (int64_t l = 0; l < c; l++) y[l] += w[class * c + l];
  }
}

CPU_OP(distance_embed) {
  if (context->dry) return;
  int64_t n = a->y.shape[0], c = a->y.shape[2], n_bins = a->w.shape[0];
  const float first = 3.25f, last = 50.75f;
  PARALLEL
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < n; j++) {
      float factor = a->mask.data[i] * a->mask.data[j];
      if (factor == 0 || (a->group && a->group[i] != a->group[j])) continue;
      const float *x = a->positions.data + i * 3, *y = a->positions.data + j * 3;
      float d2 = (x[0] - y[0]) * (x[0] - y[0]) + (x[1] - y[1]) * (x[1] - y[1]) + (x[2] - y[2]) * (x[2] - y[2]);
      // Both edges of a bin are open, as in the reference.
      for (int64_t bin = 0; bin < n_bins; bin++) {
        float low = first + (last - first) * (float)bin / (float)(n_bins - 1);
        float high = first + (last - first) * (float)(bin + 1) / (float)(n_bins - 1);
        float high2 = bin + 1 < n_bins ? high * high : 1e8f;
        if (!(d2 > low * low && d2 < high2)) continue;
        float *to = a->y.data + (i * n + j) * c;
        for (int64_t l = 0; l < c; l++) to[l] += factor * a->w.data[bin * c + l];
        break;
      }
    }
}

static float dot3(const float *x, const float *y) { return x[0] * y[0] + x[1] * y[1] + x[2] * y[2]; }

CPU_OP(template_embed) {
  if (context->dry) return;
  int64_t n = a->y.shape[0], c = a->y.shape[2];
  PARALLEL
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < n; j++) {
      float *to = a->y.data + (i * n + j) * c;
      bool same_chain = a->asym_id[i] == a->asym_id[j];
      int class_i = a->residue_class[i], class_j = a->residue_class[j];
      if (class_j >= 0 && class_j < a->w_class_j.shape[0])
        for (int64_t l = 0; l < c; l++) to[l] += a->w_class_j.data[class_j * c + l];
      if (class_i >= 0 && class_i < a->w_class_i.shape[0])
        for (int64_t l = 0; l < c; l++) to[l] += a->w_class_i.data[class_i * c + l];
      if (!same_chain) continue;
      float beta = a->beta_mask.data[i] * a->beta_mask.data[j], mask = a->frame_mask.data[i] * a->frame_mask.data[j];
      if (beta != 0)
        for (int64_t l = 0; l < c; l++) to[l] += beta * a->w_beta_mask.data[l];
      if (mask == 0) continue;
      const float *frame = a->frame.data + i * 12, *point = a->frame.data + j * 12 + 9;
      float local[3];
      // The rotation is applied to point and origin apart, as in the reference: their difference then vanishes
      // exactly for j = i.
      for (int s = 0; s < 3; s++) local[s] = dot3(frame + 3 * s, point) - dot3(frame + 3 * s, frame + 9);
      float square = dot3(local, local), norm = sqrtf(square > 1e-12f ? square : 1e-12f);
      for (int64_t l = 0; l < c; l++) {
        float v = a->w_frame_mask.data[l];
        for (int s = 0; s < 3; s++) v += local[s] / norm * a->w_direction[s].data[l];
        to[l] += mask * v;
      }
    }
}

CPU_OP(atom_embed) {
  if (context->dry) return;
  int64_t m = a->y.shape[0], c = a->y.shape[1], n_elements = a->w_element.shape[0], n_chars = a->w_name.shape[0] / 4;
  PARALLEL
  for (int64_t r = 0; r < m; r++) {
    float *y = a->y.data + r * c;
    memset(y, 0, (size_t)c * sizeof(float));
    int32_t atom = a->index[r];
    if (atom < 0 || !a->mask[atom]) continue;
    const float *position = a->positions + atom * 3;
    float charge = asinhf(a->charge[atom]);
    for (int64_t l = 0; l < c; l++)
      y[l] = position[0] * a->w_positions.data[l] + position[1] * a->w_positions.data[c + l] +
             position[2] * a->w_positions.data[2 * c + l] + a->w_mask.data[l] + charge * a->w_charge.data[l];
    int32_t element = a->element[atom];
    if (element >= 0 && element < n_elements)
      for (int64_t l = 0; l < c; l++) y[l] += a->w_element.data[element * c + l];
    for (int s = 0; s < 4; s++) {
      int32_t name = a->name[atom * 4 + s];
      if (name >= 0 && name < n_chars)
        for (int64_t l = 0; l < c; l++) y[l] += a->w_name.data[(s * n_chars + name) * c + l];
    }
  }
}

// y = max(x, 0) w for one row
static void relu_row(int64_t c, const float *x, const float *w, float *y) {
  for (int64_t l = 0; l < c; l++) y[l] = 0;
  for (int64_t i = 0; i < c; i++) {
    float v = x[i] > 0 ? x[i] : 0;
    for (int64_t l = 0; l < c; l++) y[l] += v * w[i * c + l];
  }
}

CPU_OP(atom_pair) {
  int64_t n_s = a->y.shape[0], n_q = a->y.shape[1], n_k = a->y.shape[2], c = a->y.shape[3];
  size_t mark = context_here(context);
  int64_t stride;
  float *scratch = cpu_thread_scratch(context, 2 * c, &stride);
  if (!context->dry) {
    int64_t n_row = tensor_given(a->token_pair) ? a->token_pair.shape[0] : 0, n_token = n_row ? a->token_pair.shape[1] : 0;
    // The queries of some tokens lie together: threads take a few in turn.
#pragma omp parallel for schedule(dynamic, 4) num_threads(context->n_threads)
    for (int64_t query = 0; query < n_s * n_q; query++) {
      int64_t token = (a->query_token[query] > 0 ? a->query_token[query] : 0) - a->first_token;
      if (n_row && (token < 0 || token >= n_row)) continue;
      float *first = scratch + omp_get_thread_num() * stride, *second = first + c;
      const float zero[3] = {0};
      for (int64_t l = 0; l < n_k; l++) {
        int64_t key = query / n_q * n_k + l;
        int32_t from = a->key_index[key];
        float *y = a->y.data + (query * n_k + l) * c;
        const float *row = a->row.data + query * c, *col = from < 0 ? a->col_none.data : a->col.data + from * c;
        for (int64_t e = 0; e < c; e++) y[e] = row[e] + col[e];
        if (n_row && a->query_token[query] >= 0 && a->key_token[key] >= 0) {
          const float *pair = a->token_pair.data + (token * n_token + a->key_token[key]) * c;
          for (int64_t e = 0; e < c; e++) y[e] += pair[e];
        }
        if (a->query_space[query] == a->key_space[key]) {
          const float *p = a->positions.data + query * 3, *k = from < 0 ? zero : a->positions.data + from * 3;
          float d[3] = {p[0] - k[0], p[1] - k[1], p[2] - k[2]}, inverse = 1.0f / (1.0f + dot3(d, d));
          for (int64_t e = 0; e < c; e++)
            y[e] += d[0] * a->w_offsets.data[e] + d[1] * a->w_offsets.data[c + e] +
                    d[2] * a->w_offsets.data[2 * c + e] + inverse * a->w_distances.data[e] + a->w_valid.data[e];
        }
        relu_row(c, y, a->w_mlp[0].data, first);
        relu_row(c, first, a->w_mlp[1].data, second);
        relu_row(c, second, a->w_mlp[2].data, first);
        for (int64_t e = 0; e < c; e++) y[e] += first[e];
      }
    }
  }
  context_reset(context, mark);
}

CPU_OP(atoms_to_tokens) {
  if (context->dry) return;
  int64_t n_b = a->y.shape[0], n = a->y.shape[1], c = a->y.shape[2], m = a->x.shape[1];
  PARALLEL
  for (int64_t r = 0; r < n_b * n; r++) {
    float *y = a->y.data + r * c, count = 0;
    memset(y, 0, (size_t)c * sizeof(float));
    for (int64_t s = 0; s < a->n_slot; s++) {
      int64_t slot = r % n * a->n_slot + s;
      if (!a->mask[slot]) continue;
      count += 1;
      if (a->index[slot] < 0) continue;
      const float *x = a->x.data + (r / n * m + a->index[slot]) * c;
      for (int64_t l = 0; l < c; l++) y[l] += x[l] > 0 ? x[l] : 0;
    }
    for (int64_t l = 0; l < c; l++) y[l] /= count > 1e-10f ? count : 1e-10f;
  }
}

CPU_OP(expectation) {
  if (context->dry) return;
  int64_t bins = tensor_last(a->logits), m = tensor_rows(a->logits), n = a->logits.shape[0];
  if (a->symmetric) {
    PARALLEL
    for (int64_t i = 0; i < n; i++)
      for (int64_t j = 0; j <= i; j++) {
        float *x = a->logits.data + (i * n + j) * bins, *y = a->logits.data + (j * n + i) * bins;
        for (int64_t l = 0; l < bins; l++) x[l] = y[l] = x[l] + y[l];
      }
  }
  PARALLEL
  for (int64_t r = 0; r < m; r++) {
    const float *x = a->logits.data + r * bins;
    float most = -INFINITY, total = 0, sum[3] = {0};
    const float *values[3] = {0};
    for (int o = 0; o < a->n_outputs; o++) values[o] = a->values[o] + (a->row_table[o] ? a->row_table[o][r] * bins : 0);
    for (int64_t l = 0; l < bins; l++) most = x[l] > most ? x[l] : most;
    for (int64_t l = 0; l < bins; l++) {
      float p = expf(x[l] - most);
      total += p;
      for (int o = 0; o < a->n_outputs; o++) sum[o] += p * values[o][l];
    }
    for (int o = 0; o < a->n_outputs; o++) a->out[o].data[r] = sum[o] / total;
  }
}

CPU_OP(augment) {
  if (context->dry) return;
  int64_t n_b = a->x.shape[0], m = a->x.shape[1];
  PARALLEL
  for (int64_t b = 0; b < n_b; b++) {
    float *x = a->x.data + b * m * 3;
    const float *rotation = a->rotation + b * 9, *translation = a->translation + b * 3;
    double center[3] = {0}, count = 0;
    for (int64_t i = 0; i < m; i++) {
      count += a->mask.data[i];
      for (int s = 0; s < 3; s++) center[s] += (double)a->mask.data[i] * x[i * 3 + s];
    }
    for (int s = 0; s < 3; s++) center[s] /= count > 1e-6 ? count : 1e-6;
    for (int64_t i = 0; i < m; i++) {
      float d[3];
      for (int s = 0; s < 3; s++) d[s] = x[i * 3 + s] - (float)center[s];
      for (int s = 0; s < 3; s++)
        x[i * 3 + s] =
            (d[0] * rotation[s] + d[1] * rotation[3 + s] + d[2] * rotation[6 + s] + translation[s]) * a->mask.data[i];
    }
  }
}

CPU_OP(add_normals) {
  if (context->dry) return;
  int64_t n_b = a->x.shape[0], n = a->x.shape[1] * 3;
  PARALLEL
  for (int64_t i = 0; i < n_b * n; i++) {
    int64_t b = i / n;
    a->x.data[i] += a->factor * nf_random_normal(a->keys[b], (uint64_t)((a->first ? a->first[b] : 0) + i % n));
  }
}
