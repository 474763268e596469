// Contexts, and the devices of this build.
#include "tensor/device.h"

#include <omp.h>
#include <string.h>

#include "tensor/cpu/cpu.h"
#ifdef NF_CUDA
#include "tensor/cuda/cuda.h"
#endif
#include "tensor/ops.h"

const nf_ops *device_ops(const char *name) {
#ifdef NF_CUDA
  if (strcmp(name, "cuda") == 0) return cuda_ops();
  if (strcmp(name, "auto") == 0) return cuda_ops() ? cuda_ops() : &cpu_ops;
#endif
  if (strcmp(name, "cpu") == 0 || strcmp(name, "auto") == 0) return &cpu_ops;
  if (strcmp(name, "plain") == 0) return &plain_ops;
  return NULL;
}

void device_choose_gpu(int index, int64_t most_bytes) {
#ifdef NF_CUDA
  cuda_choose(index, most_bytes);
#endif
}

bool device_assume_gpu(const char *name) {
#ifdef NF_CUDA
  return cuda_assume(name);
#else
  (void)name;
  return false;
#endif
}

const char *device_problem(void) {
#ifdef NF_CUDA
  return cuda_problem();
#else
  return "this program was built without CUDA";
#endif
}

nf_context context_dry(const nf_ops *ops) {
  return (nf_context){.ops = ops, .dry = true, .n_threads = omp_get_max_threads()};
}

nf_context context_create(const nf_ops *ops, void *memory, size_t size) {
  return (nf_context){.ops = ops, .n_threads = omp_get_max_threads(), .memory = memory, .size = size};
}

void *context_alloc(nf_context *c, size_t bytes) {
  size_t start = c->used;
  c->used += (bytes + 63) / 64 * 64;
  if (c->used > c->peak) c->peak = c->used;
  if (c->dry) return NULL;
  NF_ASSERT(c->used <= c->size);
  return c->memory + start;
}

nf_tensor context_tensor(nf_context *context, int n_dims, int64_t a, int64_t b, int64_t c, int64_t d) {
  return tensor_of(context_alloc(context, (size_t)(a * b * c * d) * sizeof(float)), n_dims, a, b, c, d);
}

nf_tensor context_narrow(nf_context *context, int n_dims, int64_t a, int64_t b, int64_t c, int64_t d) {
  nf_tensor t = tensor_of(NULL, n_dims, a, b, c, d);
  t.narrow = context->ops->narrow && context->ops->narrow();
  t.data = context_alloc(context, (size_t)tensor_bytes(t));
  return t;
}

nf_tensor context_away(nf_context *context, bool narrow, int n_dims, int64_t a, int64_t b, int64_t c, int64_t d) {
  NF_ASSERT(!context->ops->host_memory);
  nf_tensor t = tensor_of(NULL, n_dims, a, b, c, d);
  t.away = true;
  t.narrow = narrow && context->ops->narrow && context->ops->narrow();
  size_t start = context->host_used;
  context->host_used += ((size_t)tensor_bytes(t) + 255) / 256 * 256;
  if (context->host_used > context->host_peak) context->host_peak = context->host_used;
  if (context->dry) return t;
  NF_ASSERT(context->host_used <= context->host_size);
  t.data = (float *)(context->host + start);
  return t;
}

void context_download(const nf_context *context, float *host, nf_tensor t) {
  int64_t n = tensor_count(t);
  if (!t.narrow) {
    context->ops->download(host, t.data, (size_t)n * sizeof(float));
    return;
  }
  // Into the upper half of what becomes the floats, then apart from the front: no value is overwritten before it is read.
  uint16_t *narrow = (uint16_t *)host + n;
  context->ops->download(narrow, t.data, (size_t)n * sizeof *narrow);
  for (int64_t i = 0; i < n; i++) {
    uint16_t value;
    memcpy(&value, narrow + i, sizeof value);
    uint32_t bits = (uint32_t)value << 16;
    memcpy((char *)host + i * (int64_t)sizeof bits, &bits, sizeof bits);
  }
}

// Nearest, ties to even; what is no number stays none.
static uint16_t narrowed(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(bits >> 16 | 0x40u);
  return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

void context_upload_to(const nf_context *context, nf_tensor t, const float *host) {
  int64_t n = tensor_count(t);
  if (!t.narrow) {
    context->ops->upload(t.data, host, (size_t)n * sizeof(float));
    return;
  }
  enum { AT_ONCE = 1 << 14 };
  uint16_t piece[AT_ONCE];
  for (int64_t first = 0; first < n; first += AT_ONCE) {
    int64_t count = n - first < AT_ONCE ? n - first : AT_ONCE;
    for (int64_t i = 0; i < count; i++) piece[i] = narrowed(host[first + i]);
    context->ops->upload(tensor_at(t, first), piece, (size_t)count * sizeof *piece);
  }
}

const void *context_upload(nf_context *context, const void *host, size_t bytes) {
  if (context->ops->host_memory) return context->dry ? NULL : host;
  void *copy = context_alloc(context, bytes);
  if (!context->dry) context->ops->upload(copy, host, bytes);
  return copy;
}

void context_repeat(nf_context *context, nf_repetition *r, void (*body)(nf_context *context, void *arguments),
                    void *arguments) {
  if (context->dry) {
    body(context, arguments);
    return;
  }
  const nf_ops *ops = context->ops;
  int64_t before = context->flops;
  if (r->recording) {
    ops->replay(r->recording);
    context->flops += r->flops;
    return;
  }
  bool recording = r->runs++ > 0 && ops->record();
  body(context, arguments);
  r->flops = context->flops - before;
  if (!recording) return;
  r->recording = ops->recorded();
  ops->replay(r->recording);
}

void context_end_repeat(nf_context *context, nf_repetition *r) {
  if (r->recording) context->ops->forget(r->recording);
  *r = (nf_repetition){0};
}

double device_measure_peak(const nf_ops *ops) { return ops->measure_peak(); }
const char *device_description(const nf_ops *ops) { return ops->description(); }
