// Embeddings and distogram: shapes, padding cut off, values as float16.
#include "../test.h"
#include "fixture.h"
#include "formats/array.h"

TEST(embeddings) {
  enum { N = 3, PADDED = 5, C_S = 4, C_Z = 2 };
  float single[PADDED * C_S], pair[PADDED * PADDED * C_Z];
  for (int i = 0; i < PADDED * C_S; i++) single[i] = (float)i * 0.1f;
  for (int i = 0; i < PADDED * PADDED * C_Z; i++) pair[i] = (float)i - 7.0f;
  single[0] = 65519.0f;  // the largest that still rounds to a finite half
  single[1] = 65520.0f;  // half way to the next: infinity
  single[2] = -1e30f;
  single[3] = NAN;
  single[4] = 2049.0f;  // a tie: to even, 2048
  single[5] = 6e-8f;    // subnormal
  const char *dir = test_dir();
  REQUIRE_OK(output_write_embeddings(dir, "job_seed-1", N, PADDED, C_S, C_Z, single, pair));
  char path[300];
  snprintf(path, sizeof path, "%s/job_seed-1_embeddings.npz", dir);
  nf_arena *arena = nf_arena_create();
  nf_array *arrays;
  int n;
  REQUIRE_OK(nf_npz_read(path, arena, &arrays, &n));
  CHECK_INT(n, 2);
  const nf_array *s = nf_array_find(arrays, n, "single_embeddings"), *p = nf_array_find(arrays, n, "pair_embeddings");
  CHECK(s && p);
  CHECK(s->dtype == NF_F16 && p->dtype == NF_F16);
  CHECK(s->n_dims == 2 && s->shape[0] == N && s->shape[1] == C_S);
  CHECK(p->n_dims == 3 && p->shape[0] == N && p->shape[1] == N && p->shape[2] == C_Z);
  const uint16_t *half = s->data, *pairs = p->data;
  CHECK_INT(half[0], 0x7bff);
  CHECK_INT(half[1], 0x7c00);
  CHECK_INT(half[2], 0xfc00);
  CHECK((half[3] & 0x7c00) == 0x7c00 && (half[3] & 0x3ff) != 0);
  CHECK_NEAR(nf_f16_to_f32(half[4]), 2048, 0);
  CHECK_INT(half[5], 1);
  for (int i = 6; i < N * C_S; i++) CHECK_NEAR(nf_f16_to_f32(half[i]), single[i], fabs((double)single[i]) / 2048);
  for (int i = 0; i < N; i++) {
    for (int k = 0; k < N * C_Z; k++) CHECK_NEAR(nf_f16_to_f32(pairs[i * N * C_Z + k]), pair[i * PADDED * C_Z + k], 0);
  }
  nf_arena_free(arena);
}

TEST(distogram) {
  enum { N = 4, PADDED = 6, BINS = 64 };
  static float logits[PADDED * PADDED * BINS];
  for (int i = 0; i < PADDED * PADDED * BINS; i++) logits[i] = (float)(i % 2047) * (i % 2 ? 1.0f : -1.0f);
  const char *dir = test_dir();
  REQUIRE_OK(output_write_distogram(dir, "job_seed-1", N, PADDED, BINS, logits));
  char path[300];
  snprintf(path, sizeof path, "%s/job_seed-1_distogram.npz", dir);
  nf_arena *arena = nf_arena_create();
  nf_array *arrays;
  int n, bad = 0;
  REQUIRE_OK(nf_npz_read(path, arena, &arrays, &n));
  CHECK_INT(n, 1);
  CHECK_STR(arrays[0].name, "distogram");
  CHECK(arrays[0].dtype == NF_F16 && arrays[0].shape[0] == N && arrays[0].shape[1] == N && arrays[0].shape[2] == BINS);
  const uint16_t *half = arrays[0].data;
  for (int i = 0; i < N; i++) {
    for (int k = 0; k < N * BINS; k++) bad += nf_f16_to_f32(half[i * N * BINS + k]) != logits[i * PADDED * BINS + k];
  }
  CHECK_INT(bad, 0);
  nf_arena_free(arena);
}

TEST(nowhere_to_write) {
  float one = 1;
  CHECK_INT(output_write_distogram("/nonexistent", "x", 1, 1, 1, &one), NF_FAILED);
  CHECK(strncmp(nf_message(), "/nonexistent/x_distogram.npz: ", 30) == 0);
  CHECK_INT(output_write_embeddings("/dev/null", "x", 1, 1, 1, 1, &one, &one), NF_FAILED);
}
