// Running a module in memory that a dry pass has counted, and handing seams to a trace.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/network.h"

nf_context model_dry_context(const nf_model *model, const memory_plan *plan) {
  nf_context dry = context_dry(model->ops);
  dry.chunk_rows = plan ? plan->chunk_rows : 0;
  dry.offload = plan && plan->sum_away;
  return dry;
}

static void *grow(const nf_ops *ops, stage_memory *memory, size_t bytes) {
  if (memory->size >= bytes && memory->start) return memory->start;
  ops->release(memory->start);
  memory->start = ops->allocate(bytes);
  memory->size = memory->start ? bytes : 0;
  return memory->start;
}

nf_status model_run_body(const nf_model *model, const memory_plan *plan, model_body body, void *arguments) {
  nf_context dry = model_dry_context(model, plan);
  body(&dry, arguments);
  // On the host not from an arena: what a stage worked in goes back to the system before the next one begins.
  void *memory = model->memory ? grow(model->ops, model->memory, dry.peak) : model->ops->allocate(dry.peak);
  if (!memory)
    return model->ops->host_memory
               ? nf_fail(NF_MEMORY, "the system refused the %.1f GiB that this stage works in: see nativefold plan",
                         (double)dry.peak / (1 << 30))
               : nf_fail(NF_MEMORY,
                         "the GPU has not the %.1f GiB that this stage works in beside what is in use: fold fewer tokens, "
                         "raise --gpu_memory_gib if it is set, or use --device=cpu",
                         (double)dry.peak / (1 << 30));
  nf_context context = context_create(model->ops, memory, dry.peak);
  context.chunk_rows = dry.chunk_rows;
  context.offload = dry.offload;
  body(&context, arguments);
  if (!model->memory) model->ops->release(memory);
  return NF_OK;
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
