// numpy's legacy RandomState, whose stream is frozen: MT19937 seeded by an integer, randint and normal.
#ifndef NF_BASE_MT19937_H
#define NF_BASE_MT19937_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
  uint32_t state[624];
  int position;
  bool has_gauss;
  double gauss;
} nf_random_state;

void nf_random_state_seed(nf_random_state *rs, uint32_t seed);  // np.random.RandomState(seed)
uint32_t nf_random_state_u32(nf_random_state *rs);
double nf_random_state_double(nf_random_state *rs);   // random_sample(): [0, 1), 53 bits
double nf_random_state_normal(nf_random_state *rs);   // normal(): the legacy polar method, second value kept
// randint(low, high) of numpy's default int64 dtype: masked rejection on 32 bits when the range fits.
int64_t nf_random_state_randint(nf_random_state *rs, int64_t low, int64_t high);

#endif
