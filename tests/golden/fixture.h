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
  bool seen[512];
} golden_trace;

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
    if (getenv("GOLDEN_VERBOSE")) printf("  %-55s %.2e\n", name, error);
    if (!(error <= g->worst)) {
      g->worst = error;
      snprintf(g->worst_name, sizeof g->worst_name, "%s", name);
    }
    if (!(error <= g->limit)) test_fail(__FILE__, __LINE__, "%s: relative error %.3g", name, error);
    return;
  }
}

static inline void golden_report(const golden_trace *g, const char *what) {
  printf("  %s: %d seams, worst %.2e (%s)\n", what, g->compared, g->worst, g->worst_name);
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

#endif
