// JAX's threefry and numpy's RandomState, against values drawn with them.
#include "../test.h"

#include "base/mt19937.h"
#include "base/threefry.h"

static float from_bits(uint32_t u) {
  float f;
  memcpy(&f, &u, sizeof f);
  return f;
}

// Vectors of the reference's prng.json (JAX 0.11.2, PRNGKey(1234), partitionable threefry).
TEST(threefry_equals_jax) {
  nf_key key = nf_key_from_seed(1234), out[3];
  nf_key_split(key, 3, out);
  static const uint32_t split[3][2] = {{1264997412u, 2518116175u}, {2877103387u, 1697627890u}, {2113592192u, 603280156u}};
  for (int i = 0; i < 3; i++) {
    CHECK_INT(out[i].v[0], split[i][0]);
    CHECK_INT(out[i].v[1], split[i][1]);
  }
  nf_key folded = nf_key_fold_in(key, 9);
  CHECK_INT(folded.v[0], 3108535905u);
  CHECK_INT(folded.v[1], 30682961u);
  static const uint32_t bits[5] = {3715183467u, 3461522409u, 1578076316u, 3641478021u, 607760917u};
  for (uint64_t i = 0; i < 5; i++) CHECK_INT(nf_random_bits(key, i), bits[i]);
  static const uint32_t uniform[7] = {1063088434u, 1062097570u, 1052516112u, 1062800522u, 1041295048u, 1059129928u, 1061592386u};
  for (uint64_t i = 0; i < 7; i++) CHECK(nf_random_uniform(key, i) == from_bits(uniform[i]));
  static const float normal[15] = {1.1031016f, 0.86306226f,  -0.33868238f, 1.0272458f,  -1.0735804f,
                                   0.32937315f, 0.75820905f, -0.30057552f, -0.37079313f, 0.5862171f,
                                   0.88390893f, -1.2834665f, 0.27099979f,  1.7730063f,  -1.2351210f};
  for (uint64_t i = 0; i < 15; i++) CHECK_NEAR(nf_random_normal(key, i), normal[i], 5e-6);
  static const float gumbel[4] = {1.9309114f, 1.5337017f, -0.00123662746f, 1.8014802f};
  for (uint64_t i = 0; i < 4; i++) CHECK_NEAR(nf_random_gumbel(key, i), gumbel[i], 5e-6);
}

// np.random.RandomState(1234), numpy 2.5.
TEST(random_state_equals_numpy) {
  nf_random_state rs;
  nf_random_state_seed(&rs, 1234);
  CHECK_INT(nf_random_state_randint(&rs, 1, 1LL << 31), 822569776);
  CHECK_NEAR(nf_random_state_normal(&rs), 1.3461254003509908, 1e-15);
  CHECK_NEAR(nf_random_state_normal(&rs), -0.00989495762000988, 1e-15);
  CHECK_NEAR(nf_random_state_normal(&rs), 1.3486939032393708, 1e-15);
  CHECK_NEAR(nf_random_state_double(&rs), 0.8606697713776872, 0);
  CHECK_INT(nf_random_state_randint(&rs, 1, 1LL << 31), 646980842);
  CHECK_NEAR(nf_random_state_normal(&rs), 0.557210620734749, 1e-15);
  CHECK_NEAR(nf_random_state_normal(&rs), 0.8595884137174165, 1e-15);
  CHECK_NEAR(nf_random_state_normal(&rs), -0.6365235044173491, 1e-15);
  CHECK_NEAR(nf_random_state_double(&rs), 0.9581393536837052, 0);
  CHECK_INT(nf_random_state_randint(&rs, 1, 1LL << 31), 1614618395);
  CHECK_NEAR(nf_random_state_normal(&rs), -2.073882109705406, 1e-15);
  CHECK_NEAR(nf_random_state_normal(&rs), -0.1615880429781848, 1e-15);
  CHECK_NEAR(nf_random_state_normal(&rs), -0.08514653591477607, 1e-15);
  CHECK_NEAR(nf_random_state_double(&rs), 0.022143913603027254, 0);
  CHECK_INT(nf_random_state_randint(&rs, -5, 7), 1);
  CHECK_INT(nf_random_state_randint(&rs, 0, 1LL << 40), 1074800080067);
}
