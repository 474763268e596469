// Features of jobs of our own against the hashes of the arrays that AlphaFold 3 makes of them (jobs/README.md).
#include <jansson.h>

#include "base/file.h"
#include "chem/conformer.h"
#include "features/features.h"
#include "fixture.h"
#include "formats/sha256.h"

// Returns how many arrays differ.
static int compare(const char *name, const json_t *hashes, const nf_ccd *ccd) {
  nf_arena *arena = nf_arena_create();
  features_options options;
  features_default_options(&options);
  options.fix_standalone_glycans = nf_ends_with(name, "_fix");
  nf_job job;
  nf_layout layout;
  nf_batch batch;
  nf_array *arrays;
  int n_arrays = 0, n_bad = 0;
  const char *source = nf_arena_strdup(arena, test_source(nf_arena_printf(arena, "tests/features/jobs/%s.json", name)));
  const char *path = nf_arena_printf(arena, "%s/%s.npz", test_dir(), name);
  // Through the file: its types are numpy's.
  if (job_read(source, arena, &job) != NF_OK || features_check(&job, ccd, &options) != NF_OK ||
      features_create(&job, ccd, job.seeds[0], &options, arena, &layout, &batch) != NF_OK ||
      batch_write(&batch, path) != NF_OK || nf_npz_read(path, arena, &arrays, &n_arrays) != NF_OK) {
    test_fail(__FILE__, __LINE__, "%s: %s", name, nf_message());
    nf_arena_free(arena);
    return 1;
  }
  const char *key;
  json_t *value;
  json_object_foreach((json_t *)hashes, key, value) {
    // Which conformers are found, and so which frames there are, may change with the version of RDKit.
    if (strcmp(key, "frames_mask") == 0 && strcmp(conformer_rdkit_version(), "2022.09.3") != 0) continue;
    const nf_array *a = nf_array_find(arrays, n_arrays, key);
    char hash[65] = "";
    if (a) sha256_hex(a->data, (size_t)nf_array_count(a) * nf_dtype_size(a->dtype), hash);
    if (strcmp(hash, json_string_value(value)) == 0) continue;
    test_fail(__FILE__, __LINE__, "%s: %s differs from the reference's", name, key);
    n_bad++;
  }
  nf_arena_free(arena);
  return n_bad;
}

TEST(features_hash_as_the_reference) {
  fixture f = {.arena = nf_arena_create()};
  setenv("XDG_DATA_HOME", "/nonexistent", 1);
  unsetenv("NATIVEFOLD_CCD");
  REQUIRE_OK(ccd_open(NULL, &f.ccd));
  if (!fixture_has_rdkit(&f)) {
    fixture_close(&f);
    return;
  }
  json_t *all = json_load_file(test_source("tests/features/jobs/hashes.json"), 0, NULL);
  CHECK(json_object_size(all) == 31);
  const char *name;
  json_t *hashes;
  int n = 0;
  json_object_foreach(all, name, hashes) {
    CHECK(json_object_size(hashes) == 58);
    n += compare(name, hashes, f.ccd) == 0;
  }
  printf("  %d of %zu jobs have all 58 arrays as the reference\n", n, json_object_size(all));
  json_decref(all);
  fixture_close(&f);
}
