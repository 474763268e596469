// Threefry-2x32, 20 rounds (Salmon et al. 2011), and JAX's transforms of its bits.
#include "base/threefry.h"

#include <math.h>
#include <string.h>

static uint32_t rotate_left(uint32_t x, int by) { return (x << by) | (x >> (32 - by)); }

static nf_key threefry(nf_key key, uint32_t x0, uint32_t x1) {
  static const int rotations[2][4] = {{13, 15, 26, 6}, {17, 29, 16, 24}};
  const uint32_t ks[3] = {key.v[0], key.v[1], key.v[0] ^ key.v[1] ^ 0x1BD11BDAu};
  x0 += ks[0];
  x1 += ks[1];
  for (uint32_t group = 0; group < 5; group++) {
    for (int r = 0; r < 4; r++) {
      x0 += x1;
      x1 = rotate_left(x1, rotations[group % 2][r]) ^ x0;
    }
    x0 += ks[(group + 1) % 3];
    x1 += ks[(group + 2) % 3] + group + 1;
  }
  return (nf_key){{x0, x1}};
}

nf_key nf_key_from_seed(uint64_t seed) { return (nf_key){{(uint32_t)(seed >> 32), (uint32_t)seed}}; }

void nf_key_split(nf_key key, int n, nf_key *out) {
  for (int i = 0; i < n; i++) out[i] = threefry(key, 0, (uint32_t)i);
}

nf_key nf_key_fold_in(nf_key key, uint32_t data) { return threefry(key, 0, data); }

uint32_t nf_random_bits(nf_key key, uint64_t index) {
  nf_key y = threefry(key, (uint32_t)(index >> 32), (uint32_t)index);
  return y.v[0] ^ y.v[1];
}

static float unit_float(uint32_t bits) {
  uint32_t u = (bits >> 9) | 0x3F800000u;  // [1, 2)
  float f;
  memcpy(&f, &u, sizeof f);
  return f - 1.0f;
}

float nf_random_uniform(nf_key key, uint64_t index) { return unit_float(nf_random_bits(key, index)); }

// Giles's single-precision inverse error function, the polynomial that XLA uses.
static float erf_inverse(float x) {
  static const float central[9] = {2.81022636e-08f, 3.43273939e-07f,  -3.5233877e-06f, -4.39150654e-06f, 0.00021858087f,
                                   -0.00125372503f, -0.00417768164f, 0.246640727f,    1.50140941f};
  static const float tail[9] = {-0.000200214257f, 0.000100950558f, 0.00134934322f, -0.00367342844f, 0.00573950773f,
                                -0.0076224613f,   0.00943887047f,  1.00167406f,    2.83297682f};
  float w = -log1pf(-x * x);
  const float *c = w < 5.0f ? central : tail;
  w = w < 5.0f ? w - 2.5f : sqrtf(w) - 3.0f;
  float p = c[0];
  for (int i = 1; i < 9; i++) p = c[i] + p * w;
  return fabsf(x) == 1.0f ? x * INFINITY : p * x;
}

float nf_random_normal(nf_key key, uint64_t index) {
  const float low = nextafterf(-1.0f, 0.0f);
  float u = nf_random_uniform(key, index) * (1.0f - low) + low;
  if (u < low) u = low;
  return 1.41421356f * erf_inverse(u);
}

float nf_random_gumbel(nf_key key, uint64_t index) {
  // jax.random.gumbel, mode "low": -log(-log(uniform(tiny, 1))).
  const float tiny = 1.17549435e-38f;
  float u = nf_random_uniform(key, index) * (1.0f - tiny) + tiny;
  if (u < tiny) u = tiny;
  return -logf(-logf(u));
}

void nf_random_normals(nf_key key, uint64_t start, int64_t n, float *out) {
  for (int64_t i = 0; i < n; i++) out[i] = nf_random_normal(key, start + (uint64_t)i);
}
