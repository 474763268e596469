// Running a module in memory that a dry pass has counted, and handing seams to a trace.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/network.h"

nf_context model_dry_context(const nf_model *model, const memory_plan *plan) {
  nf_context dry = context_dry(model->ops);
  dry.chunk_rows = plan ? plan->chunk_rows : 0;
  dry.plane_channels = plan ? plan->plane_channels : 0;
  dry.offload = plan && plan->sum_away;
  return dry;
}

static void *grow(stage_memory *memory, size_t bytes, void *(*allocate)(size_t bytes), void (*release)(void *memory)) {
  if (memory->size >= bytes && memory->start) return memory->start;
  release(memory->start);
  memory->start = allocate(bytes);
  memory->size = memory->start ? bytes : 0;
  return memory->start;
}

void model_release_away(const nf_model *model) {
  if (!model->away) return;
  model->ops->host_release(model->away->start);
  *model->away = (stage_memory){0};
}

nf_status model_run_body(const nf_model *model, const memory_plan *plan, model_body body, void *arguments) {
  nf_context dry = model_dry_context(model, plan);
  body(&dry, arguments);
  // On the host not from an arena: what a stage worked in goes back to the system before the next one begins.
  const nf_ops *ops = model->ops;
  void *memory = model->memory ? grow(model->memory, dry.peak, ops->allocate, ops->release) : ops->allocate(dry.peak);
  if (!memory)
    return ops->host_memory
               ? nf_fail(NF_MEMORY, "the system refused the %.1f GiB that this stage works in: see nativefold plan",
                         (double)dry.peak / (1 << 30))
               : nf_fail(NF_MEMORY,
                         "the GPU has not the %.1f GiB that this stage works in beside what is in use: fold fewer tokens, "
                         "raise --gpu_memory_gib if it is set, or use --device=cpu",
                         (double)dry.peak / (1 << 30));
  nf_context context = context_create(ops, memory, dry.peak);
  context.chunk_rows = dry.chunk_rows;
  context.plane_channels = dry.plane_channels;
  context.offload = dry.offload;
  if (dry.host_peak) {  // kept between the stages: locking pages takes as long as reading them many times
    context.host = grow(model->away, dry.host_peak, ops->host_allocate, ops->host_release);
    context.host_size = dry.host_peak;
    if (!context.host)
      return nf_fail(NF_MEMORY, "the system refused %.1f GiB of page-locked memory for pair tensors: see nativefold plan",
                     (double)dry.host_peak / (1 << 30));
  }
  body(&context, arguments);
  if (!model->memory) ops->release(memory);
  return NF_OK;
}

nf_tensor context_with(nf_context *context, nf_tensor pair, int64_t a, int64_t b, int64_t c) {
  return pair.away ? context_away(context, false, 3, a, b, c, 1) : CONTEXT_3(context, a, b, c);
}

nf_tensor context_result(nf_context *context, float *host, nf_tensor shape) {
  if (!context->ops->host_memory)
    return context_tensor(context, shape.n_dims, shape.shape[0], shape.shape[1], shape.shape[2], shape.shape[3]);
  shape.data = host;
  return shape;
}

void context_return(nf_context *context, float *host, nf_tensor result) {
  if (context->dry || result.data == host) return;
  context_download(context, host, result);
}

static void hand_over(const nf_context *context, const nf_trace *trace, const char *prefix, const char *name,
                      nf_tensor t, int64_t first_axis) {
  if (context->dry || !trace) return;
  char full[128];
  snprintf(full, sizeof full, "%s%s", prefix, name);
  int64_t shape[TENSOR_MAX_DIMS], count = tensor_count(t);
  memcpy(shape, t.shape, sizeof shape);
  shape[0] = first_axis;
  const float *data = t.data;
  float *copy = NULL;
  if (!context->ops->host_memory || first_axis > t.shape[0]) {
    copy = nf_calloc((size_t)(count / t.shape[0] * first_axis), sizeof(float));
    context_download(context, copy, t);
    data = copy;
  }
  trace->seam(trace->context, full, NF_F32, t.n_dims, shape, data);
  free(copy);
}

void trace_tensor(const nf_context *context, const nf_trace *trace, const char *prefix, const char *name, nf_tensor t) {
  hand_over(context, trace, prefix, name, t, t.shape[0]);
}

void trace_subsets(const nf_context *context, const nf_trace *trace, const char *prefix, const char *name, nf_tensor t,
                   int64_t n_subset_full) {
  hand_over(context, trace, prefix, name, t, n_subset_full);
}
