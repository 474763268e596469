// Triangle multiplication and triangle attention, in place on the pair tensor. The plain loops come first.
#include <omp.h>
#include <string.h>

#include "tensor/cpu/cpu.h"
#include "tensor/cpu/plain.h"

PLAIN_OP(triangle_multiply) {
  context->flops += flops_triangle_multiply(a);
  int64_t n = a->x.shape[0], c = a->x.shape[2];
  size_t mark = context_here(context);
  float *h = plain_alloc(context, n * n * c), *left = plain_alloc(context, n * n * c),
        *right = plain_alloc(context, n * n * c), *sum = plain_alloc(context, c), *center = plain_alloc(context, c);
  if (!context->dry) {
    const float *mask = a->mask.data;
    for (int64_t ij = 0; ij < n * n; ij++) {
      plain_norm_row(&a->norm, c, a->x.data + ij * c, h + ij * c);
      for (int64_t l = 0; l < 2 * c; l++) {
        float gate = (float)plain_dot(c, h + ij * c, a->w_gate.data + l, 2 * c);
        float v = plain_sigmoid(gate) * (float)plain_dot(c, h + ij * c, a->w_projection.data + l, 2 * c);
        (l % 2 ? right : left)[ij * c + l / 2] = v * mask[ij / n] * mask[ij % n];
      }
    }
    for (int64_t i = 0; i < n; i++)
      for (int64_t j = 0; j < n; j++) {
        for (int64_t l = 0; l < c; l++) {
          double s = 0;
          for (int64_t k = 0; k < n; k++)
            s += a->outgoing ? (double)left[(i * n + k) * c + l] * right[(j * n + k) * c + l]
                             : (double)left[(k * n + j) * c + l] * right[(k * n + i) * c + l];
          sum[l] = (float)s;
        }
        plain_norm_row(&a->norm_center, c, sum, center);
        for (int64_t l = 0; l < c; l++) {
          float gate = (float)plain_dot(c, h + (i * n + j) * c, a->w_gating.data + l, c);
          a->x.data[(i * n + j) * c + l] += plain_sigmoid(gate) * (float)plain_dot(c, center, a->w_out.data + l, c);
        }
      }
  }
  context_reset(context, mark);
}

PLAIN_OP(triangle_attention) {
  context->flops += flops_triangle_attention(a);
  int64_t n = a->x.shape[0], c = a->x.shape[2], n_head = tensor_last(a->w_bias), hd = tensor_count(a->wq) / c,
          d = hd / n_head;
  size_t mark = context_here(context);
  float *h = plain_alloc(context, n * n * c), *q = plain_alloc(context, n * hd), *k = plain_alloc(context, n * hd),
        *v = plain_alloc(context, n * hd), *o = plain_alloc(context, hd), *s = plain_alloc(context, n);
  if (!context->dry) {
    const float *mask = a->mask.data;
    for (int64_t ij = 0; ij < n * n; ij++) plain_norm_row(&a->norm, c, a->x.data + ij * c, h + ij * c);
    for (int64_t i = 0; i < n; i++) {
      // Element j of row i, or of column i for the ending node.
#define AT(j) ((a->ending ? (j)*n + i : i * n + (j)) * c)
      for (int64_t j = 0; j < n; j++)
        for (int64_t l = 0; l < hd; l++) {
          q[j * hd + l] = (float)plain_dot(c, h + AT(j), a->wq.data + l * c, 1);
          k[j * hd + l] = (float)plain_dot(c, h + AT(j), a->wk.data + l * c, 1);
          v[j * hd + l] = (float)plain_dot(c, h + AT(j), a->wv.data + l, hd);
        }
      for (int64_t j = 0; j < n; j++) {
        for (int64_t head = 0; head < n_head; head++) {
          float most = -INFINITY;
          for (int64_t l = 0; l < n; l++) {
            s[l] = (float)(plain_dot(d, q + j * hd + head * d, k + l * hd + head * d, 1) / sqrt((double)d) +
                           plain_dot(c, h + (j * n + l) * c, a->w_bias.data + head, n_head));
            if (mask[i] * mask[l] == 0) s[l] = -1e30f;
            most = s[l] > most ? s[l] : most;
          }
          double total = 0;
          for (int64_t l = 0; l < n; l++) total += s[l] = expf(s[l] - most);
          for (int64_t e = 0; e < d; e++) {
            double value = 0;
            for (int64_t l = 0; l < n; l++) value += (double)s[l] * v[l * hd + head * d + e];
            o[head * d + e] = (float)(value / total);
          }
        }
        for (int64_t l = 0; l < hd; l++) o[l] *= plain_sigmoid((float)plain_dot(c, h + AT(j), a->wg.data + l * c, 1));
        for (int64_t l = 0; l < c; l++) a->x.data[AT(j) + l] += (float)plain_dot(hd, o, a->wo.data + l, c);
      }
#undef AT
    }
  }
  context_reset(context, mark);
}

// Columns of a pair row that pass together: all of them, or near-equal parts of at most 192.
static int64_t cut_columns(const cpu_kernels *kernels, int64_t n) {
  int64_t parts = (n + 191) / 192;
  return parts == 1 ? n : cpu_round_up((n + parts - 1) / parts, kernels->nr);
}

// What the parts of a triangle multiplication share.
typedef struct {
  const op_triangle_multiply *a;
  int64_t n, c, width;  // width: columns of a pair row that pass together
  const float *w;       // gate and projection of a, then of b: each (c, c), adjacent in the output channel
  const float *w_out, *w_gating;
  int64_t row_floats, packed_floats;  // of a thread's scratch
} triangle;

// a or b (side 0, 1) of columns first .. first + m of row k, into `to`: channels `plane` apart.
static void triangle_project(const triangle *t, int side, int64_t k, int64_t first, int64_t m, const float *packed,
                             float *gate, float *to, int64_t plane) {
  const cpu_kernels *kernels = cpu_best();
  int64_t c = t->c;
  float *value = gate + t->row_floats;
  kernels->gemm(c, m, c, t->w + 2 * side * c * c, 1, c, packed, gate, m, false);
  kernels->gemm(c, m, c, t->w + (2 * side + 1) * c * c, 1, c, packed, value, m, false);
  for (int64_t l = 0; l < c; l++)
    kernels->gate_masked(m, gate + l * m, value + l * m, t->a->mask.data + first, t->a->mask.data[k], to + l * plane);
}

// The normalised pairs (k, first ...) of the triangle's other edge, packed; x is read along the axis that `outgoing` asks.
static void triangle_read(const triangle *t, int64_t k, int64_t first, int64_t m, float *h, float *packed) {
  const cpu_kernels *kernels = cpu_best();
  int64_t n = t->n, c = t->c;
  for (int64_t i = 0; i < m; i++)
    kernels->layer_norm(1, c, t->a->x.data + (t->a->outgoing ? (first + i) * n + k : k * n + first + i) * c, c,
                        t->a->norm.scale.data, t->a->norm.offset.data, h + i * c, c);
  kernels->pack(c, m, h, 1, c, packed, 0, (m + kernels->nr - 1) / kernels->nr);
}

// x[i, first ...] += what the products give; `product` is that of channel 0 at (i, first), channels `plane` apart.
static void triangle_finish(const triangle *t, int64_t i, int64_t first, int64_t m, const float *product, int64_t plane,
                            float *h) {
  const cpu_kernels *kernels = cpu_best();
  int64_t c = t->c;
  const op_triangle_multiply *a = t->a;
  float *gate = h + t->row_floats, *value = gate + t->row_floats, *row = a->x.data + (i * t->n + first) * c;
  kernels->layer_norm_columns(m, c, product, plane, a->norm_center.scale.data, a->norm_center.offset.data, h, m);
  kernels->gemm(m, c, c, h, 1, m, t->w_out, value, c, false);
  kernels->layer_norm(m, c, row, c, a->norm.scale.data, a->norm.offset.data, h, c);
  kernels->gemm(m, c, c, h, c, 1, t->w_gating, gate, c, false);
  kernels->sigmoid_multiply(m * c, gate, value);
  for (int64_t l = 0; l < m * c; l++) row[l] += value[l];
}

// All of a and b at once, [c][k][i]: the product takes b's place (a's, if incoming), which is packed by then.
static void triangle_resident(nf_context *context, const triangle *t, float *scratch, int64_t stride, float *ab[2],
                              int64_t ld) {
  const cpu_kernels *kernels = cpu_best();
  int64_t n = t->n, c = t->c, plane = n * ld, parts = (n + t->width - 1) / t->width;
#pragma omp parallel num_threads(context->n_threads)
  {
    float *mine = scratch + omp_get_thread_num() * stride;
#pragma omp for schedule(dynamic) collapse(2)
    for (int64_t k = 0; k < n; k++)
      for (int64_t part = 0; part < parts; part++) {
        int64_t first = part * t->width, m = cpu_min(t->width, n - first);
        float *packed = mine + t->row_floats;
        triangle_read(t, k, first, m, mine, packed);
        for (int s = 0; s < 2; s++)
          triangle_project(t, s, k, first, m, packed, packed + t->packed_floats, ab[s] + k * ld + first, plane);
      }
    // out[c][i][j] = sum_k left[c][k][i] right[c][k][j]
    float *left = t->a->outgoing ? ab[0] : ab[1], *right = t->a->outgoing ? ab[1] : ab[0];
#pragma omp for schedule(dynamic)
    for (int64_t l = 0; l < c; l++) {
      kernels->pack(n, n, right + l * plane, ld, 1, mine, 0, (n + kernels->nr - 1) / kernels->nr);
      kernels->gemm(n, n, n, left + l * plane, 1, ld, mine, right + l * plane, ld, false);
    }
#pragma omp for schedule(dynamic) collapse(2)
    for (int64_t i = 0; i < n; i++)
      for (int64_t part = 0; part < parts; part++) {
        int64_t first = part * t->width, m = cpu_min(t->width, n - first);
        triangle_finish(t, i, first, m, right + i * ld + first, plane, mine);
      }
  }
}

// One of a and b at once, of the other `tile` indices at a time, whose part of x is updated before the next. Outgoing,
// out[i, :] reads of a only x[i, :]: rows are taken in turn and all of b is kept, packed. Incoming, out[:, j] reads of a
// only x[:, j]: columns are taken in turn and all of b is kept.
static void triangle_tiled(nf_context *context, const triangle *t, float *scratch, int64_t stride, float *whole, int64_t ld,
                           float *part_of, int64_t tile) {
  const cpu_kernels *kernels = cpu_best();
  int64_t n = t->n, c = t->c, plane = n * ld, parts = (n + t->width - 1) / t->width;
  bool outgoing = t->a->outgoing;
#pragma omp parallel num_threads(context->n_threads)
  {
    float *mine = scratch + omp_get_thread_num() * stride, *packed = mine + t->row_floats;
#pragma omp for schedule(dynamic) collapse(2)
    for (int64_t k = 0; k < n; k++)
      for (int64_t part = 0; part < parts; part++) {
        int64_t first = part * t->width, m = cpu_min(t->width, n - first);
        triangle_read(t, k, first, m, mine, packed);
        triangle_project(t, 1, k, first, m, packed, packed + t->packed_floats, whole + k * ld + first, plane);
      }
    if (outgoing) {
#pragma omp for schedule(dynamic)
      for (int64_t l = 0; l < c; l++) {
        kernels->pack(n, n, whole + l * plane, ld, 1, mine, 0, (n + kernels->nr - 1) / kernels->nr);
        memcpy(whole + l * plane, mine, (size_t)cpu_packed_size(kernels, n, n) * sizeof(float));
      }
    }
    for (int64_t start = 0; start < n; start += tile) {
      int64_t size = cpu_min(tile, n - start), ld_part = cpu_round_up(size, 16), part_plane = n * ld_part;
      int64_t n_cuts = (size + t->width - 1) / t->width;
#pragma omp for schedule(dynamic) collapse(2)
      for (int64_t k = 0; k < n; k++)
        for (int64_t cut = 0; cut < n_cuts; cut++) {
          int64_t first = cut * t->width, m = cpu_min(t->width, size - first);
          triangle_read(t, k, start + first, m, mine, packed);
          triangle_project(t, 0, k, start + first, m, packed, packed + t->packed_floats,
                           part_of + k * ld_part + first, part_plane);
        }
      // The product in the tile's place: (size, n) if outgoing, else (n, size).
#pragma omp for schedule(dynamic)
      for (int64_t l = 0; l < c; l++) {
        float *to = part_of + l * part_plane;
        if (outgoing) {
          kernels->gemm(size, n, n, to, 1, ld_part, whole + l * plane, mine, n, false);
          memcpy(to, mine, (size_t)(size * n) * sizeof(float));
        } else {
          kernels->pack(n, size, to, ld_part, 1, mine, 0, (size + kernels->nr - 1) / kernels->nr);
          kernels->gemm(n, size, n, whole + l * plane, 1, ld, mine, to, ld_part, false);
        }
      }
      int64_t n_row = outgoing ? size : n, columns = outgoing ? n : size, ld_out = outgoing ? n : ld_part;
      int64_t n_column_cuts = (columns + t->width - 1) / t->width;
#pragma omp for schedule(dynamic) collapse(2)
      for (int64_t i = 0; i < n_row; i++)
        for (int64_t cut = 0; cut < n_column_cuts; cut++) {
          int64_t first = cut * t->width, m = cpu_min(t->width, columns - first);
          triangle_finish(t, outgoing ? start + i : i, outgoing ? first : start + first, m, part_of + i * ld_out + first,
                          part_plane, mine);
        }
    }
  }
}

// The products run channel by channel on a and b stored as [c][k][i]: a broadcasts down a column, b is a row of
// vectors, and the incoming product is the outgoing one with a and b exchanged and x read along the other axis.
CPU_OP(triangle_multiply) {
  context->flops += flops_triangle_multiply(a);
  const cpu_kernels *kernels = cpu_best();
  int64_t n = a->x.shape[0], c = a->x.shape[2], ld = cpu_round_up(n, 16), plane = n * ld;
  size_t mark = context_here(context);
  float *w = context_alloc(context, (size_t)(4 * c * c) * sizeof(float));
  // A tile of whole register tiles.
  int64_t tile = context->chunk_rows > 0 ? cpu_round_up(context->chunk_rows, 64) : n;
  bool tiled = tile < n;
  float *ab[2];
  ab[1] = context_alloc(context, (size_t)(c * plane) * sizeof(float));
  ab[0] = context_alloc(context, (size_t)(c * (tiled ? n * tile : plane)) * sizeof(float));
  int64_t width = cut_columns(kernels, n);
  triangle t = {.a = a,
                .n = n,
                .c = c,
                .width = width,
                .w = w,
                .w_out = cpu_pack_weight(context, a->w_out, c),
                .w_gating = cpu_pack_weight(context, a->w_gating, c),
                .row_floats = width * c,
                .packed_floats = cpu_packed_size(kernels, c, width)};
  int64_t product_floats = cpu_packed_size(kernels, n, n), need = t.row_floats * 3 + t.packed_floats, stride;
  float *scratch = cpu_thread_scratch(context, need > product_floats ? need : product_floats, &stride);
  if (!context->dry) {
    for (int64_t i = 0; i < c; i++)
      for (int64_t l = 0; l < c; l++)
        for (int s = 0; s < 2; s++) {
          w[(2 * s + 0) * c * c + i * c + l] = a->w_gate.data[i * 2 * c + 2 * l + s];
          w[(2 * s + 1) * c * c + i * c + l] = a->w_projection.data[i * 2 * c + 2 * l + s];
        }
    if (tiled)
      triangle_tiled(context, &t, scratch, stride, ab[1], ld, ab[0], tile);
    else
      triangle_resident(context, &t, scratch, stride, ab, ld);
  }
  context_reset(context, mark);
}

CPU_OP(triangle_attention) {
  context->flops += flops_triangle_attention(a);
  const cpu_kernels *kernels = cpu_best();
  int64_t n = a->x.shape[0], c = a->x.shape[2], n_head = tensor_last(a->w_bias), hd = tensor_count(a->wq) / c,
          d = hd / n_head;
  size_t mark = context_here(context);
  nf_tensor bias = CONTEXT_4(context, 1, n_head, n, n);  // keys before queries
  // Its FLOPs are counted in this op's already.
  int64_t flops = context->flops;
  cpu_pair_logits(
      context, &(op_pair_logits){.x = tensor_4(a->x.data, 1, n, n, c), .norm = a->norm, .w = a->w_bias, .out = bias});
  context->flops = flops;
  const float *w[4] = {cpu_pack(context, c, hd, a->wq.data, 1, c), cpu_pack(context, c, hd, a->wk.data, 1, c),
                       cpu_pack(context, c, hd, a->wv.data, hd, 1), cpu_pack(context, c, hd, a->wg.data, 1, c)};
  const float *w_out = cpu_pack_weight(context, a->wo, hd);
  int64_t stride;
  float *scratch = cpu_thread_scratch(context, n * (c + 5 * hd + 1) + cpu_attention_scratch(n, d), &stride);
  if (!context->dry) {
    const float *mask = a->mask.data, scale = 1.0f / sqrtf((float)d);
#pragma omp parallel for schedule(dynamic) num_threads(context->n_threads)
    for (int64_t i = 0; i < n; i++) {
      float *h = scratch + omp_get_thread_num() * stride, *qkvg[4];
      for (int s = 0; s < 4; s++) qkvg[s] = h + n * c + s * n * hd;
      float *o = qkvg[3] + n * hd, *key_add = o + n * hd, *mine = key_add + n;
      int64_t step = a->ending ? n * c : c;
      float *x = a->x.data + i * (a->ending ? c : n * c);
      kernels->layer_norm(n, c, x, step, a->norm.scale.data, a->norm.offset.data, h, c);
      for (int s = 0; s < 4; s++) kernels->gemm(n, hd, c, h, c, 1, w[s], qkvg[s], hd, false);
      bool all = true;
      for (int64_t k = 0; k < n; k++) {
        bool masked = mask[i] * mask[k] == 0;
        key_add[k] = masked ? -1e30f : 0.0f;  // so large that it swallows the score
        all = all && !masked;
      }
      for (int64_t head = 0; head < n_head; head++)
        kernels->attention(n, n, d, scale, qkvg[0] + head * d, hd, qkvg[1] + head * d, hd, qkvg[2] + head * d, hd,
                           bias.data + head * n * n, n, all ? NULL : key_add, o + head * d, hd, mine);
      kernels->sigmoid_multiply(n * hd, qkvg[3], o);
      kernels->gemm(n, c, hd, o, hd, 1, w_out, h, c, false);
      for (int64_t j = 0; j < n; j++)
        for (int64_t l = 0; l < c; l++) x[j * step + l] += h[j * c + l];
    }
  }
  context_reset(context, mark);
}
