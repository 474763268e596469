// Weights: the demo file, conversion, cache.
#include "tests/test.h"
#include "weights/weights.h"

TEST(demo_file_opens) {
  nf_weights *w;
  REQUIRE_OK(weights_open(test_source("data/demo"), &w));
  CHECK_INT(weights_count(w), 405);
  CHECK_STR(weights_model_name(w), "demo");
  weights_close(w);
}

TEST(random_full) {
  REFERENCE_OR_SKIP(path, "network/params_manifest.tsv");
  char out[256];
  snprintf(out, sizeof out, "%s/full.nfw", test_dir());
  REQUIRE_OK(weights_write_random(path, out));
  nf_weights *w;
  REQUIRE_OK(weights_open(out, &w));
  CHECK_INT(weights_count(w), 404);
  weights_close(w);
}
