// What a job costs, before it runs.
#include "model/network.h"

static model_inputs made_inputs(const nf_model *model, int n_token, int n_subset) {
  // The reference's layout: windows of 32 queries and 128 keys, four templates.
  return inputs_dry(n_token, model->confidence.plddt.shape[1], n_subset, 32, 128, 4);
}

void model_count(const nf_model *model, int n_token, int n_subset, int n_row, int n_samples, model_costs *ret_costs) {
  model_inputs inputs = made_inputs(model, n_token, n_subset);
  ret_costs->trunk = trunk_count(model, &inputs, n_row);
  ret_costs->diffusion = diffusion_count(model, &inputs, n_samples);
  ret_costs->confidence = confidence_count(model, &inputs);
}

static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

int64_t model_peak_bytes(const nf_model *model, int n_token, int n_subset, int n_row, int n_samples) {
  model_costs costs;
  model_count(model, n_token, n_subset, n_row, n_samples, &costs);
  model_inputs inputs = made_inputs(model, n_token, n_subset);
  int64_t n = n_token, f = sizeof(float), slots = n * inputs.n_slot, bins = tensor_last(model->distogram),
          sizes = (2 * n + 1) * tensor_last(model->confidence.pae);
  int64_t trunk = (n * (model->dims.c_target + model->dims.c_s) + n * n * model->dims.c_z) * f;
  int64_t positions = n_samples * slots * 3 * f, confidences = n_samples * (4 * n * n + 2 * slots) * f,
          distogram = n * n * (bins + 1) * f;
  int64_t msa = (int64_t)n_row * n * (2 + f) + n * f;
  int64_t in_trunk = costs.trunk.bytes + msa, in_diffusion = positions + costs.diffusion.bytes,
          in_confidence = positions + confidences + costs.confidence.bytes + (sizes + n * n) * f,
          in_distogram = positions + confidences + 2 * distogram;
  return trunk + inputs_bytes(&inputs) + most(most(in_trunk, in_diffusion), most(in_confidence, in_distogram));
}
