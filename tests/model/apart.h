// A device for tests: the CPU's ops behind memory of their own, with pair, template and MSA representations in bf16 and
// rows kept for logits in two bytes, as a GPU has them. What passes tensors about is tried with it, where no GPU is.
#ifndef TESTS_MODEL_APART_H
#define TESTS_MODEL_APART_H

#include "base/memory.h"
#include "tensor/cpu/cpu.h"
#include "tests/test.h"

static int apart_lent;  // how often something was brought back from the host's memory
static int64_t apart_host_bytes, apart_host_peak;  // of the host's memory that is out, and was at once
static int64_t apart_host_most = INT64_MAX;        // of it that may be
enum { APART_PIECES = 8 };
static struct {
  char *start;
  size_t bytes;
} apart_host[APART_PIECES];

static void *apart_allocate(size_t bytes) {  // what nobody has written is no number
  void *memory = aligned_alloc(256, (bytes + 255) / 256 * 256);
  return memory ? memset(memory, 0xff, bytes) : NULL;
}
static void *apart_host_allocate(size_t bytes) {
  int i = 0;
  while (i < APART_PIECES && apart_host[i].start) i++;
  if (i == APART_PIECES || (int64_t)bytes > apart_host_most - apart_host_bytes) return NULL;
  apart_host[i].start = apart_allocate(bytes), apart_host[i].bytes = bytes;
  apart_host_bytes += (int64_t)bytes;
  if (apart_host_bytes > apart_host_peak) apart_host_peak = apart_host_bytes;
  return apart_host[i].start;
}
static void apart_host_release(void *memory) {
  for (int i = 0; i < APART_PIECES && memory; i++)
    if (apart_host[i].start == memory) apart_host_bytes -= (int64_t)apart_host[i].bytes, apart_host[i].start = NULL;
  free(memory);
}
// A tensor is where it says: a device would read the wrong memory.
static void apart_check(nf_tensor t) {
  bool is_away = false;
  for (int i = 0; i < APART_PIECES; i++)
    is_away = is_away || (apart_host[i].start && (char *)t.data >= apart_host[i].start && (char *)t.data < apart_host[i].start + apart_host[i].bytes);
  if (t.data) NF_ASSERT(t.away == is_away);
}

static nf_tensor apart_widen(nf_tensor t) {
  apart_check(t);
  if (!t.narrow || !t.data) return t.narrow ? tensor_of(NULL, t.n_dims, t.shape[0], t.shape[1], t.shape[2], t.shape[3]) : t;
  nf_context context = context_create(&cpu_ops, NULL, 0);
  nf_tensor wide = t;
  wide.narrow = false;
  wide.data = nf_alloc((size_t)tensor_count(t) * sizeof(float));
  context_download(&context, wide.data, t);
  return wide;
}
static void apart_narrow(nf_tensor t, nf_tensor wide, bool is_result) {
  if (!t.narrow || !t.data) return;
  nf_context context = context_create(&cpu_ops, NULL, 0);
  if (is_result) context_upload_to(&context, t, wide.data);
  free(wide.data);
}
#define APART(op, field, is_result, other, other_is_result)                \
  static void apart_##op(nf_context *context, const op_##op *a) {          \
    op_##op wide = *a;                                                     \
    wide.field = apart_widen(a->field), wide.other = apart_widen(a->other); \
    cpu_ops.op(context, &wide);                                            \
    apart_narrow(a->field, wide.field, is_result);                         \
    apart_narrow(a->other, wide.other, other_is_result);                   \
  }
APART(layer_norm, x, false, y, true)
APART(linear, x, false, y, true)
APART(scale, x, false, y, true)
APART(transition, x, true, w1, false)
APART(triangle_multiply, x, true, mask, false)
APART(triangle_attention, x, true, mask, false)
APART(outer_sum, pair, true, left, false)
APART(relative_embed, pair, true, w, false)
APART(relative_concat, pair, false, out, false)
APART(outer_product_mean, msa, false, pair, true)
APART(pair_average, msa, true, pair, false)
APART(add_rows, x, true, w, false)
APART(msa_embed, msa, true, w, false)
APART(distance_embed, y, true, w, false)
APART(template_embed, y, true, frame, false)
APART(expectation, logits, true, out[0], true)
APART(attention, logits, false, x, true)

static bool apart_is_narrow(void) { return true; }
static void apart_put_away(void *host, const void *device, size_t bytes) { memcpy(host, device, bytes); }
static void apart_bring_back(void *device, const void *host, size_t bytes) {
  memcpy(device, host, bytes);
  apart_lent++;
}
static int64_t apart_room(void) { return (int64_t)1 << 40; }

// Rows in bf16, padded to 64 bytes: as long as the small network's pair, so that they fit where it lies.
static int64_t apart_kept_rows(int64_t c) { return (c + 31) / 32 * 16; }
static void apart_keep_rows(nf_context *context, const op_keep_rows *a) {
  apart_check(a->x), apart_check(a->out);
  if (context->dry) return;
  int64_t m = tensor_rows(a->x), c = tensor_last(a->x), stride = apart_kept_rows(c);
  op_layer_norm norm = {.x = a->x, .y = a->x};
  norm.y.data = nf_alloc((size_t)(m * c) * sizeof(float));
  cpu_ops.layer_norm(context, &norm);
  nf_context plain = context_create(&cpu_ops, NULL, 0);
  for (int64_t r = 0; r < m; r++) {
    nf_tensor row = tensor_1(a->out.data + r * stride, c);
    row.narrow = true;
    context_upload_to(&plain, row, norm.y.data + r * c);
  }
  free(norm.y.data);
}
static void apart_pair_logits(nf_context *context, const op_pair_logits *a) {
  apart_check(a->x), apart_check(a->out);
  op_pair_logits wide = *a;
  wide.kept_rows = false;
  if (!a->kept_rows) {
    wide.x = apart_widen(a->x);
    cpu_ops.pair_logits(context, &wide);
    apart_narrow(a->x, wide.x, false);
    return;
  }
  int64_t m = tensor_rows(a->x), c = a->w.shape[0], stride = tensor_last(a->x);
  wide.x = tensor_4(NULL, 1, a->x.shape[1], a->x.shape[2], c);
  if (!context->dry) {
    wide.x.data = nf_alloc((size_t)(m * c) * sizeof(float));
    nf_context plain = context_create(&cpu_ops, NULL, 0);
    for (int64_t r = 0; r < m; r++) {
      nf_tensor row = tensor_1(a->x.data + r * stride, c);
      row.narrow = true;
      context_download(&plain, wide.x.data + r * c, row);
    }
  }
  cpu_ops.pair_logits(context, &wide);
  free(wide.x.data);
}

static const nf_ops *apart_ops(void) {
  static nf_ops ops;
  ops = cpu_ops;
  ops.name = "apart";
  ops.host_memory = false;
  ops.narrow = apart_is_narrow;
  ops.allocate = apart_allocate;
  ops.host_allocate = apart_host_allocate, ops.host_release = apart_host_release;
  ops.put_away = apart_put_away, ops.bring_back = apart_bring_back;
  ops.memory_room = apart_room;
#define FILL(op) ops.op = apart_##op
  FILL(layer_norm), FILL(linear), FILL(scale), FILL(transition), FILL(triangle_multiply), FILL(triangle_attention), FILL(outer_sum);
  FILL(relative_embed), FILL(relative_concat), FILL(outer_product_mean), FILL(pair_average), FILL(add_rows), FILL(msa_embed);
  FILL(distance_embed), FILL(template_embed), FILL(kept_rows), FILL(keep_rows), FILL(pair_logits);
  FILL(expectation), FILL(attention);
#undef FILL
  return &ops;
}

#endif
