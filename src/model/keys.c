// The order in which the reference draws its keys.
#include "model/network.h"

// haiku's next_rng_key: the sequence's key is split in two, the second half is handed out.
static nf_key next_key(nf_key *sequence) {
  nf_key halves[2];
  nf_key_split(*sequence, 2, halves);
  *sequence = halves[0];
  return halves[1];
}

void model_sample_key(const nf_model *model, nf_key rng_key, bool trunk_key_drawn, int num_recycles,
                      nf_key *ret_sample_key) {
  // Each call of a layer stack takes two keys. The atom encoder's comes first; a pass of the trunk has the template
  // stack, called for each of four templates, the MSA stack and the pairformer.
  enum { PER_STACK = 2, TEMPLATES = 4 };
  int per_pass = PER_STACK * (TEMPLATES * (model->dims.n_template_blocks > 0) + 2);
  int drawn = (trunk_key_drawn ? 1 : 0) + PER_STACK + per_pass * (num_recycles + 1);
  for (int i = 0; i < drawn; i++) next_key(&rng_key);
  *ret_sample_key = next_key(&rng_key);
}

void model_keys(const nf_model *model, uint32_t seed, int num_recycles, nf_key *ret_trunk_key, nf_key *ret_sample_key) {
  nf_key sequence = nf_key_from_seed(seed);
  model_sample_key(model, sequence, true, num_recycles, ret_sample_key);
  *ret_trunk_key = next_key(&sequence);
}
