// Random numbers as JAX draws them: threefry2x32 with partitionable counters (jax_threefry_partitionable=true).
// The value at flat index i of a draw depends on the key and i alone, never on the draw's shape.
#ifndef NF_BASE_THREEFRY_H
#define NF_BASE_THREEFRY_H

#include <stdint.h>

typedef struct {
  uint32_t v[2];
} nf_key;

nf_key nf_key_from_seed(uint64_t seed);              // jax.random.PRNGKey for seeds below 2^32
void nf_key_split(nf_key key, int n, nf_key *out);   // jax.random.split(key, n)
nf_key nf_key_fold_in(nf_key key, uint32_t data);    // jax.random.fold_in

// Element `index` of jax.random.bits / uniform [0, 1) / normal / gumbel of `key`, in float32.
// Bits and uniforms equal JAX's bit for bit; normals within 5e-6.
uint32_t nf_random_bits(nf_key key, uint64_t index);
float nf_random_uniform(nf_key key, uint64_t index);
float nf_random_normal(nf_key key, uint64_t index);
float nf_random_gumbel(nf_key key, uint64_t index);

// out[i] = element start + i of jax.random.normal(key, ...).
void nf_random_normals(nf_key key, uint64_t start, int64_t n, float *out);

#endif
