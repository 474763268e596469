// What golden tests share: the seeded full-size weights, and a trace that compares each seam with the golden of its
// name.
#ifndef NF_TESTS_GOLDEN_FIXTURE_H
#define NF_TESTS_GOLDEN_FIXTURE_H

#include "base/file.h"
#include "features/batch.h"
#include "formats/array.h"
#include "model/model.h"
#include "tests/test.h"

typedef struct {
  nf_array *arrays;
  int n;
  const char *prefix;  // put before a seam's name to find its golden
  int compared;
  double worst;
  char worst_name[128];
  double limit;
  bool reduced;        // the trunk ran in bf16: each seam has a limit of its own
  double nearest;      // the largest share of its limit that a seam's error took
  bool seen[512];
} golden_trace;

// Where trunk and confidence head run in bf16 (on a GPU, unless NATIVEFOLD_CUDA_FP32 is set): twice the error that the
// reference's own bf16 run has against fp32 (network/golden_small_bf16.npz), for seams it lacks that of the one they come
// from. What no trunk enters keeps the limit of fp32. The first prefix that fits counts.
static inline double golden_limit(const golden_trace *g, const char *name) {
  static const struct {
    const char *prefix;
    double limit;
  } limits[] = {{"sampling_pos_", 2 * 0.0167},
                {"sampling_aug_out", 2 * 0.0167},
                {"full_sample_atom_positions", 2 * 0.0167},
                {"target_feat", 2 * 0.00166},
                {"enc_", 2 * 0.00166},
                {"recycle0_single", 2 * 0.0165},
                {"recycle0_", 2 * 0.0456},
                {"recycle1_single", 2 * 0.0214},
                {"recycle1_", 2 * 0.141},
                {"distogram_bin_edges", 1e-4},
                {"full_distogram_bin_edges", 1e-4},
                {"distogram_", 2 * 0.141},
                {"full_distogram_", 2 * 0.141},
                {"full_pair_embeddings", 2 * 0.141},
                {"full_single_embeddings", 2 * 0.0214},
                {"denoise_hi_out", 2 * 0.0167},
                {"denoise_lo_out", 2 * 0.000416},
                {"denoise_", 2 * 0.141},
                {"full_predicted_", 2 * 0.000967},
                {"confidence_predicted_", 2 * 0.000967},
                {"full_full_pae", 2 * 0.0038},
                {"confidence_full_pae", 2 * 0.0038},
                {"full_full_pde", 2 * 0.00977},
                {"confidence_full_pde", 2 * 0.00977},
                {"full_average_pde", 2 * 0.00977},
                {"confidence_average_pde", 2 * 0.00977},
                {"full_tmscore", 2 * 0.043},
                {"confidence_tmscore", 2 * 0.043},
                {"confidence_", 2 * 0.141}};
  if (!g->reduced) return g->limit;
  for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
    if (strncmp(name, limits[i].prefix, strlen(limits[i].prefix)) == 0) return limits[i].limit;
  return g->limit;
}

static inline bool golden_wants_subsets(const char *name) { return strstr(name, "enc_") && !strstr(name, "token_act"); }

static inline void golden_seam(void *context, const char *name, nf_dtype dtype, int n_dims, const int64_t *shape,
                               const void *data) {
  golden_trace *g = context;
  for (int i = 0; i < g->n; i++) {
    const nf_array *a = &g->arrays[i];
    if (strcmp(a->name, name) != 0) continue;
    g->seen[i] = true;
    g->compared++;
    int64_t count = nf_array_count(a), given = 1;
    for (int k = 0; k < n_dims; k++) given *= shape[k];
    if (dtype == NF_I32 && a->dtype == NF_I32) {
      if (given != count || memcmp(a->data, data, (size_t)count * 4) != 0)
        test_fail(__FILE__, __LINE__, "%s differs", name);
      return;
    }
    if (dtype == NF_BOOL && a->dtype == NF_BOOL) {
      if (given != count || memcmp(a->data, data, (size_t)count) != 0)
        test_fail(__FILE__, __LINE__, "%s differs", name);
      return;
    }
    if (given != count || dtype != NF_F32 || a->dtype != NF_F32) {
      test_fail(__FILE__, __LINE__, "%s has %lld values, golden %lld", name, (long long)given, (long long)count);
      return;
    }
    // Subsets without atoms are left as zeros: they are not compared.
    const float *values = data;
    if (golden_wants_subsets(name)) {
      int64_t row = count / shape[0], first = 0;
      for (int64_t s = 0; s < shape[0]; s++)
        for (int64_t l = 0; l < row; l++)
          if (values[s * row + l] != 0) first = s + 1;
      CHECK(first >= 2);
      count = first * row;
    }
    double error = test_relative_l2(values, a->data, count);
    double limit = golden_limit(g, name);
    if (getenv("GOLDEN_VERBOSE")) printf("  %-55s %.2e of %.2e\n", name, error, limit);
    if (!(error / limit <= g->nearest)) g->nearest = error / limit;
    if (!(error <= g->worst)) {
      g->worst = error;
      snprintf(g->worst_name, sizeof g->worst_name, "%s", name);
    }
    if (!(error <= limit)) test_fail(__FILE__, __LINE__, "%s: relative error %.3g, at most %.3g is right", name, error, limit);
    return;
  }
}

static inline void golden_report(const golden_trace *g, const char *what) {
  printf("  %s: %d seams, worst %.2e (%s); nearest to its limit %.0f %%\n", what, g->compared, g->worst, g->worst_name,
         100 * g->nearest);
}

// The full-size network's seeded weights, written once a program. NULL (after a SKIP line) without the manifest.
// NATIVEFOLD_SEEDED_WEIGHTS names a file to keep them in.
static inline const nf_weights *golden_weights(void) {
  static nf_weights *weights;
  if (weights) return weights;
  const char *manifest = test_reference("network/params_manifest.tsv"), *kept = getenv("NATIVEFOLD_SEEDED_WEIGHTS");
  if (!manifest) return NULL;
  char path[4096];
  if (kept)
    snprintf(path, sizeof path, "%s", kept);
  else
    snprintf(path, sizeof path, "%s/seeded.nfw", test_dir());
  if (!nf_file_exists(path) && weights_write_random(manifest, path) != NF_OK) {
    test_fail(__FILE__, __LINE__, "weights: %s", nf_message());
    return NULL;
  }
  if (weights_open(path, &weights) != NF_OK) test_fail(__FILE__, __LINE__, "weights: %s", nf_message());
  return weights;
}

// All goldens but those named in `but` have been compared.
static inline void golden_check_all_seen(const golden_trace *g, const char *but) {
  for (int i = 0; i < g->n; i++)
    if (!g->seen[i] && !strstr(but, g->arrays[i].name)) test_fail(__FILE__, __LINE__, "%s was not traced", g->arrays[i].name);
}

static inline const nf_array *golden_find(const nf_array *arrays, int n, const char *name) {
  const nf_array *a = nf_array_find(arrays, n, name);
  if (!a) test_fail(__FILE__, __LINE__, "golden %s is missing", name);
  return a;
}
static inline nf_key golden_key(const nf_array *a) {
  nf_key key = {{0}};
  if (a) memcpy(&key, a->data, sizeof key);
  return key;
}

// One call of the denoiser on the golden of that prefix: the denoised positions, or NULL.
static inline const float *golden_denoise(golden_trace *g, const char *prefix, const nf_model *model, const nf_batch *batch,
                                          const trunk_output *trunk, nf_arena *arena) {
  char name[64];
  nf_trace trace = {g, golden_seam};
  snprintf(name, sizeof name, "%s_in", prefix);
  const nf_array *in = golden_find(g->arrays, g->n, name);
  snprintf(name, sizeof name, "%s_noise_level", prefix);
  const nf_array *level = golden_find(g->arrays, g->n, name);
  if (!in || !level) return NULL;
  float *out = NF_NEW(arena, float, batch->n_token * batch->n_slot * 3);
  CHECK_OK(diffusion_denoise(model, batch, trunk, in->data, *(const float *)level->data, prefix, &trace, arena, out));
  return out;
}

#endif
