// Layer norm, linear layers and transitions. The plain loops come first.
#include <omp.h>

#include "tensor/cpu/cpu.h"
#include "tensor/cpu/plain.h"

PLAIN_OP(layer_norm) {
  if (context->dry) return;
  int64_t c = tensor_last(a->x);
  for (int64_t r = 0; r < tensor_rows(a->x); r++) plain_norm_row(&a->norm, c, a->x.data + r * c, a->y.data + r * c);
}

PLAIN_OP(linear) {
  context->flops += flops_linear(a);
  int64_t in = tensor_last(a->x), out = tensor_count(a->w) / in;
  size_t mark = context_here(context);
  float *h = plain_alloc(context, in);
  if (!context->dry)
    for (int64_t r = 0; r < tensor_rows(a->x); r++) {
      const float *x = a->x.data + r * in;
      float *y = a->y.data + r * out;
      if (a->normalise)
        plain_norm_row(&a->norm, in, x, h);
      else
        for (int64_t l = 0; l < in; l++) h[l] = x[l];
      if (a->relu_input)
        for (int64_t l = 0; l < in; l++) h[l] = h[l] > 0 ? h[l] : 0;
      for (int64_t o = 0; o < out; o++) {
        float v = (float)plain_dot(in, h, a->w.data + o, out) + (tensor_given(a->bias) ? a->bias.data[o] : 0);
        if (a->sigmoid_output) v = plain_sigmoid(v);
        y[o] = a->add ? y[o] + v : v;
      }
    }
  context_reset(context, mark);
}

PLAIN_OP(transition) {
  context->flops += flops_transition(a);
  int64_t c = tensor_last(a->x), n = tensor_count(a->w2) / c;
  size_t mark = context_here(context);
  float *h = plain_alloc(context, c), *hidden = plain_alloc(context, n);
  if (!context->dry)
    for (int64_t r = 0; r < tensor_rows(a->x); r++) {
      plain_condition_row(&a->norm, &a->condition, c, r, a->x.data, h);
      for (int64_t o = 0; o < n; o++) {
        float gate = (float)plain_dot(c, h, a->w1.data + o, 2 * n);
        hidden[o] = gate * plain_sigmoid(gate) * (float)plain_dot(c, h, a->w1.data + n + o, 2 * n);
      }
      for (int64_t l = 0; l < c; l++)
        a->x.data[r * c + l] += plain_gate(&a->condition, c, r, l) * (float)plain_dot(n, hidden, a->w2.data + l, c);
    }
  context_reset(context, mark);
}

CPU_OP(layer_norm) {
  if (context->dry) return;
  int64_t c = tensor_last(a->x), m = tensor_rows(a->x);
  cpu_panels panels = cpu_cut(context, m, 64, 1);
#pragma omp parallel for schedule(static) num_threads(context->n_threads)
  for (int64_t p = 0; p < panels.n; p++) {
    int64_t first = p * panels.rows, n = cpu_min(panels.rows, m - first);
    cpu_norm_rows(&a->norm, NULL, a->x.data, c, first, n, a->y.data + first * c);
  }
}

// Rows of x as the product reads them: normalised, or at least 0, or both.
static void prepare_rows(const op_linear *a, int64_t in, int64_t first, int64_t n, float *h) {
  const float *x = a->x.data + first * in;
  if (a->normalise) cpu_norm_rows(&a->norm, NULL, a->x.data, in, first, n, h);
  if (a->relu_input)
    for (int64_t l = 0; l < n * in; l++) {
      float v = a->normalise ? h[l] : x[l];
      h[l] = v > 0 ? v : 0;
    }
}

static void few_rows_linear(nf_context *context, const op_linear *a, int64_t in, int64_t out, int64_t m) {
  const cpu_kernels *kernels = cpu_best();
  bool copies = a->normalise || a->relu_input;
  float *h = copies ? context_alloc(context, (size_t)(m * in) * sizeof(float)) : NULL;
  int64_t stride;
  float *scratch = cpu_thread_scratch(context, cpu_column_scratch(kernels, m, in), &stride);
  if (context->dry) return;
#pragma omp parallel num_threads(context->n_threads)
  {
    float *mine = scratch + omp_get_thread_num() * stride;
    if (copies) {
#pragma omp for schedule(static)
      for (int64_t r = 0; r < m; r++) prepare_rows(a, in, r, 1, h + r * in);
    }
#pragma omp for schedule(dynamic)
    for (int64_t p = 0; p < cpu_columns(kernels, out); p++) {
      int64_t first, width;
      float *y =
          cpu_column(kernels, m, out, in, copies ? h : a->x.data, a->w.data, out, p, NULL, 0, mine, &first, &width);
      if (tensor_given(a->bias))
        for (int64_t r = 0; r < m; r++)
          for (int64_t l = 0; l < width; l++) y[r * width + l] += a->bias.data[first + l];
      if (a->sigmoid_output) kernels->sigmoid(m * width, y);
      for (int64_t r = 0; r < m; r++) {
        float *to = a->y.data + r * out + first;
        for (int64_t l = 0; l < width; l++) to[l] = y[r * width + l] + (a->add ? to[l] : 0.0f);
      }
    }
  }
}

CPU_OP(linear) {
  context->flops += flops_linear(a);
  const cpu_kernels *kernels = cpu_best();
  int64_t in = tensor_last(a->x), out = tensor_count(a->w) / in, m = tensor_rows(a->x);
  size_t mark = context_here(context);
  if (m <= CPU_FEW_ROWS) {
    few_rows_linear(context, a, in, out, m);
    context_reset(context, mark);
    return;
  }
  const float *w = cpu_pack_weight(context, a->w, in);
  cpu_panels panels = cpu_cut(context, m, (1 << 16) / in, kernels->mr);
  bool copies = a->normalise || a->relu_input, apart = a->add && a->sigmoid_output;
  int64_t stride;
  float *scratch = cpu_thread_scratch(context, panels.rows * (in + (apart ? out : 0)), &stride);
  if (!context->dry) {
#pragma omp parallel for schedule(dynamic) num_threads(context->n_threads)
    for (int64_t p = 0; p < panels.n; p++) {
      int64_t first = p * panels.rows, n = cpu_min(panels.rows, m - first);
      float *h = scratch + omp_get_thread_num() * stride, *y = a->y.data + first * out;
      const float *x = a->x.data + first * in;
      prepare_rows(a, in, first, n, h);
      float *to = apart ? h + panels.rows * in : y;
      kernels->gemm(n, out, in, copies ? h : x, in, 1, w, to, out, a->add && !apart);
      if (tensor_given(a->bias))
        for (int64_t r = 0; r < n; r++)
          for (int64_t o = 0; o < out; o++) to[r * out + o] += a->bias.data[o];
      if (a->sigmoid_output) kernels->sigmoid(n * out, to);
      if (apart)
        for (int64_t l = 0; l < n * out; l++) y[l] += to[l];
    }
  }
  context_reset(context, mark);
}

static void few_rows_transition(nf_context *context, const op_transition *a, int64_t c, int64_t hidden, int64_t m) {
  const cpu_kernels *kernels = cpu_best();
  float *h = context_alloc(context, (size_t)(m * c) * sizeof(float));
  float *inner = context_alloc(context, (size_t)(m * hidden) * sizeof(float));
  int64_t up = cpu_column_scratch(kernels, m, c), down = cpu_column_scratch(kernels, m, hidden), stride;
  float *scratch = cpu_thread_scratch(context, 2 * up > down ? 2 * up : down, &stride);
  if (context->dry) return;
#pragma omp parallel num_threads(context->n_threads)
  {
    float *mine = scratch + omp_get_thread_num() * stride;
    int64_t first, width;
#pragma omp for schedule(static)
    for (int64_t r = 0; r < m; r++) cpu_norm_rows(&a->norm, &a->condition, a->x.data, c, r, 1, h + r * c);
#pragma omp for schedule(dynamic)
    for (int64_t p = 0; p < cpu_columns(kernels, hidden); p++) {
      float *gate = cpu_column(kernels, m, hidden, c, h, a->w1.data, 2 * hidden, p, NULL, 0, mine, &first, &width);
      float *value =
          cpu_column(kernels, m, hidden, c, h, a->w1.data + hidden, 2 * hidden, p, NULL, 0, mine + up, &first, &width);
      for (int64_t r = 0; r < m; r++)
        kernels->swish_multiply(width, gate + r * width, value + r * width, inner + r * hidden + first);
    }
#pragma omp for schedule(dynamic)
    for (int64_t p = 0; p < cpu_columns(kernels, c); p++) {
      float *y = cpu_column(kernels, m, c, hidden, inner, a->w2.data, c, p, NULL, 0, mine, &first, &width);
      cpu_add_columns_gated(&a->condition, c, 0, m, first, width, y, a->x.data);
    }
  }
}

CPU_OP(transition) {
  context->flops += flops_transition(a);
  const cpu_kernels *kernels = cpu_best();
  int64_t c = tensor_last(a->x), hidden = tensor_count(a->w2) / c, m = tensor_rows(a->x);
  // The hidden layer passes in chunks, so that a panel and its part of the weights stay in the second-level cache.
  int64_t chunk = cpu_min(hidden, 256), n_chunks = (hidden + chunk - 1) / chunk;
  size_t mark = context_here(context);
  if (m <= CPU_FEW_ROWS) {
    few_rows_transition(context, a, c, hidden, m);
    context_reset(context, mark);
    return;
  }
  const float *gate = cpu_pack(context, c, hidden, a->w1.data, 2 * hidden, 1);
  const float *value = cpu_pack(context, c, hidden, context->dry ? NULL : a->w1.data + hidden, 2 * hidden, 1);
  // The second product runs over chunks of its inner axis: each is packed for itself.
  int64_t chunk_size = cpu_packed_size(kernels, chunk, c);
  float *back = context_alloc(context, (size_t)(n_chunks * chunk_size) * sizeof(float));
  cpu_panels panels = cpu_cut(context, m, cpu_min(112, (1 << 16) / c), kernels->mr);
  int64_t stride;
  float *scratch = cpu_thread_scratch(context, panels.rows * (2 * c + 2 * chunk), &stride);
  if (!context->dry) {
    int64_t n_out_panels = (c + kernels->nr - 1) / kernels->nr;
#pragma omp parallel for schedule(static) collapse(2) num_threads(context->n_threads)
    for (int64_t k = 0; k < n_chunks; k++)
      for (int64_t j = 0; j < n_out_panels; j++)
        kernels->pack(cpu_min(chunk, hidden - k * chunk), c, a->w2.data + k * chunk * c, c, 1, back + k * chunk_size, j,
                      j + 1);
#pragma omp parallel for schedule(dynamic) num_threads(context->n_threads)
    for (int64_t p = 0; p < panels.n; p++) {
      int64_t first = p * panels.rows, n = cpu_min(panels.rows, m - first);
      float *h = scratch + omp_get_thread_num() * stride, *y = h + panels.rows * c, *g = y + panels.rows * c,
            *v = g + panels.rows * chunk;
      cpu_norm_rows(&a->norm, &a->condition, a->x.data, c, first, n, h);
      for (int64_t k = 0; k < n_chunks; k++) {
        int64_t width = cpu_min(chunk, hidden - k * chunk);
        kernels->gemm(n, width, c, h, c, 1, gate + k * chunk * c, g, width, false);
        kernels->gemm(n, width, c, h, c, 1, value + k * chunk * c, v, width, false);
        kernels->swish_multiply(n * width, g, v, v);
        kernels->gemm(n, c, width, v, width, 1, back + k * chunk_size, y, c, k > 0);
      }
      cpu_add_rows_gated(&a->condition, c, first, n, y, a->x.data);
    }
  }
  context_reset(context, mark);
}

CPU_OP(linears) {
  for (int i = 0; i < a->n_blocks * a->n; i++) {
    const linear_layer *l = &a->layers[i];
    OP(context, linear, .x = a->x, .normalise = tensor_given(l->scale), .norm.scale = l->scale, .w = l->w, .bias = l->bias,
       .sigmoid_output = l->sigmoid_output, .y = tensor_slice(a->y, i));
  }
}
