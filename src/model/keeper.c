// States of a stage, between the device and who keeps them: floats always. What is narrow on the device comes back as it was.
#include <stdlib.h>

#include "base/memory.h"
#include "model/network.h"

// Arrays of the state: the tensors themselves where host and device memory are one, else fresh ones, freed by `let_go`.
static void host_arrays(const nf_context *context, const nf_tensor *tensors, stage_state *state) {
  for (int i = 0; i < state->n_arrays; i++) {
    state->counts[i] = tensor_count(tensors[i]);
    state->arrays[i] =
        context->ops->host_memory ? tensors[i].data : nf_alloc((size_t)state->counts[i] * sizeof(float));
  }
}

static void let_go(const nf_context *context, stage_state *state) {
  for (int i = 0; i < state->n_arrays; i++) {
    if (!context->ops->host_memory) free(state->arrays[i]);
    state->arrays[i] = NULL;
  }
}

bool keeper_restore(nf_context *context, const nf_keeper *keeper, const nf_tensor *tensors, stage_state *state) {
  if (context->dry || !keeper) return false;
  host_arrays(context, tensors, state);
  bool is_there = keeper->restore(keeper->context, state);
  for (int i = 0; i < state->n_arrays && is_there && !context->ops->host_memory; i++)
    context_upload_to(context, tensors[i], state->arrays[i]);
  let_go(context, state);
  return is_there;
}

bool keeper_keep(nf_context *context, const nf_keeper *keeper, bool is_last, const nf_tensor *tensors,
                 stage_state *state) {
  if (context->dry || !keeper || !(keeper->wanted(keeper->context) || is_last)) return true;
  host_arrays(context, tensors, state);
  for (int i = 0; i < state->n_arrays && !context->ops->host_memory; i++)
    context_download(context, state->arrays[i], tensors[i]);
  bool goes_on = keeper->keep(keeper->context, state);
  let_go(context, state);
  return goes_on;
}
