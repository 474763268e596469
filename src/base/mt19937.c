// Matsumoto and Nishimura's MT19937, and numpy's legacy draws from it.
#include "base/mt19937.h"

#include <math.h>

#include "base/status.h"

enum { N = 624, M = 397 };

void nf_random_state_seed(nf_random_state *rs, uint32_t seed) {
  for (int i = 0; i < N; i++) {
    rs->state[i] = seed;
    seed = 1812433253u * (seed ^ (seed >> 30)) + (uint32_t)i + 1;
  }
  rs->position = N;
  rs->has_gauss = false;
  rs->gauss = 0;
}

static void refill(uint32_t *s) {
  for (int i = 0; i < N; i++) {
    uint32_t y = (s[i] & 0x80000000u) | (s[(i + 1) % N] & 0x7FFFFFFFu);
    s[i] = s[(i + M) % N] ^ (y >> 1) ^ ((y & 1) ? 0x9908B0DFu : 0);
  }
}

uint32_t nf_random_state_u32(nf_random_state *rs) {
  if (rs->position == N) {
    refill(rs->state);
    rs->position = 0;
  }
  uint32_t y = rs->state[rs->position++];
  y ^= y >> 11;
  y ^= (y << 7) & 0x9D2C5680u;
  y ^= (y << 15) & 0xEFC60000u;
  return y ^ (y >> 18);
}

double nf_random_state_double(nf_random_state *rs) {
  uint32_t a = nf_random_state_u32(rs) >> 5, b = nf_random_state_u32(rs) >> 6;
  return (a * 67108864.0 + b) / 9007199254740992.0;
}

double nf_random_state_normal(nf_random_state *rs) {
  if (rs->has_gauss) {
    rs->has_gauss = false;
    double kept = rs->gauss;
    rs->gauss = 0;
    return kept;
  }
  double x, y, r2;
  do {
    x = 2.0 * nf_random_state_double(rs) - 1.0;
    y = 2.0 * nf_random_state_double(rs) - 1.0;
    r2 = x * x + y * y;
  } while (r2 >= 1.0 || r2 == 0.0);
  double f = sqrt(-2.0 * log(r2) / r2);
  rs->gauss = f * x;
  rs->has_gauss = true;
  return f * y;
}

int64_t nf_random_state_randint(nf_random_state *rs, int64_t low, int64_t high) {
  NF_ASSERT(low < high);
  uint64_t range = (uint64_t)high - (uint64_t)low - 1;  // inclusive
  if (range == 0) return low;
  uint64_t mask = range;
  for (int shift = 1; shift < 64; shift *= 2) mask |= mask >> shift;
  uint64_t value;
  do {
    if (range <= UINT32_MAX) {
      value = nf_random_state_u32(rs) & mask;
    } else {
      uint64_t upper = nf_random_state_u32(rs);
      value = ((upper << 32) | nf_random_state_u32(rs)) & mask;
    }
  } while (value > range);
  return (int64_t)((uint64_t)low + value);
}
