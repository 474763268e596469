// The features of job 5TGY against the reference's, by the SHA-256 of every array's bytes.
#include <jansson.h>

#include "base/file.h"
#include "fixture.h"
#include "formats/sha256.h"
#include "search/search.h"

// Makes the features of f->job and checks every array of the reference's example.
static void check_hashes(fixture *f, const char *hash_path) {
  setenv("XDG_DATA_HOME", "/nonexistent", 1);
  unsetenv("NATIVEFOLD_CCD");
  REQUIRE_OK(ccd_open(NULL, &f->ccd));
  REQUIRE_OK(layout_create(&f->job, f->ccd, false, f->arena, &f->layout));
  CHECK_INT(f->layout.n_tokens, 150);
  CHECK_INT(f->layout.n_atoms, 954);
  features_size_batch(&f->layout, f->layout.n_tokens, f->arena, &f->batch);
  REQUIRE_OK(fixture_fill(f));  // conformers are not hashed: they depend on the version of RDKit

  // Through the file: its types are numpy's.
  char path[256];
  snprintf(path, sizeof path, "%s/5tgy.npz", test_dir());
  REQUIRE_OK(batch_write(&f->batch, path));
  nf_array *arrays;
  int n_arrays, n_hashes = 0, n_equal = 0;
  REQUIRE_OK(nf_npz_read(path, f->arena, &arrays, &n_arrays));
  json_t *examples = json_load_file(hash_path, 0, NULL);
  CHECK(json_is_array(examples) && json_array_size(examples) == 1);
  const char *key;
  json_t *value;
  json_object_foreach(json_array_get(examples, 0), key, value) {
    const char *expected = json_string_value(value);
    if (strncmp(expected, "<<", 2) == 0) continue;  // not an array
    n_hashes++;
    const nf_array *a = nf_array_find(arrays, n_arrays, key);
    if (!a) {
      test_fail(__FILE__, __LINE__, "%s is missing", key);
      continue;
    }
    char hash[65];
    sha256_hex(a->data, (size_t)nf_array_count(a) * nf_dtype_size(a->dtype), hash);
    if (strcmp(hash, expected) == 0) {
      n_equal++;
    } else {
      test_fail(__FILE__, __LINE__, "%s differs from the reference's", key);
    }
  }
  printf("  5TGY: %d of %d arrays hash as the reference's\n", n_equal, n_hashes);
  CHECK_INT(n_hashes, 56);
  json_decref(examples);
}

TEST(features_of_5tgy_hash_as_the_reference) {
  REFERENCE_OR_SKIP(job_path, "af3_5tgy/data_seed1234.json");
  REFERENCE_OR_SKIP(hash_path, "af3_test_data/featurised_example.json");
  fixture f = {.arena = nf_arena_create()};
  REQUIRE_OK(job_read(job_path, f.arena, &f.job));
  check_hashes(&f, hash_path);
  fixture_close(&f);
}

// From nothing but the sequence: searched for in the reference's miniature databases.
TEST(features_of_5tgy_from_its_bare_sequence) {
  if (system("jackhmmer -h > /dev/null 2>&1 && hmmsearch -h > /dev/null 2>&1") != 0) SKIP("HMMER is not installed");
  REFERENCE_OR_SKIP(job_path, "af3_5tgy/data_seed1234.json");
  REFERENCE_OR_SKIP(hash_path, "af3_test_data/featurised_example.json");
  REFERENCE_OR_SKIP(databases, "af3_test_data/miniature_databases");
  fixture f = {.arena = nf_arena_create()};
  nf_job filled;
  REQUIRE_OK(job_read(job_path, f.arena, &filled));
  char *text = nf_arena_printf(f.arena, "{\"name\": \"5tgy\", \"modelSeeds\": [1234], \"dialect\": \"alphafold3\", "
                                        "\"version\": 1, \"sequences\": [{\"protein\": {\"id\": \"P\", \"sequence\": \"%s\"}}, "
                                        "{\"ligand\": {\"id\": \"LL\", \"ccdCodes\": [\"7BU\"]}}]}",
                               filled.chains[0].sequence);
  nf_job bare;
  REQUIRE_OK(job_parse("5tgy.json", text, strlen(text), f.arena, &bare));
  search_options options;
  search_default_options(&options);
  options.quiet = true;
  options.n_db_dirs = 1;
  options.db_dirs = &databases;
  options.databases[SEARCH_UNIREF90].path = "${DB_DIR}/uniref90__subsampled_1000.fasta";
  options.databases[SEARCH_SMALL_BFD].path = "${DB_DIR}/bfd-first_non_consensus_sequences__subsampled_1000.fasta";
  options.databases[SEARCH_MGNIFY].path = "${DB_DIR}/mgy_clusters__subsampled_1000.fa";
  options.databases[SEARCH_UNIPROT].path = "${DB_DIR}/uniprot_all__subsampled_1000.fasta";
  options.databases[SEARCH_SEQRES].path = "${DB_DIR}/pdb_seqres_2022_09_28__subsampled_1000.fasta";
  options.databases[SEARCH_PDB].path = "${DB_DIR}/pdb_mmcif";
  nf_search *search;
  REQUIRE_OK(search_open(&options, &search));
  CHECK_OK(search_job(search, &bare, f.arena, &f.job));
  search_close(search);
  CHECK_INT(f.job.chains[0].n_templates, 4);
  check_hashes(&f, hash_path);
  fixture_close(&f);
}

// The whole stage, with conformers, twice.
TEST(features_of_5tgy_as_a_whole) {
  REFERENCE_OR_SKIP(job_path, "af3_5tgy/data_seed1234.json");
  fixture f = {.arena = nf_arena_create()};
  REQUIRE_OK(ccd_open(NULL, &f.ccd));
  if (!fixture_has_rdkit(&f)) {
    fixture_close(&f);
    return;
  }
  REQUIRE_OK(job_read(job_path, f.arena, &f.job));
  features_options options;
  features_default_options(&options);
  nf_batch again;
  REQUIRE_OK(features_create(&f.job, f.ccd, 1234, &options, f.arena, &f.layout, &f.batch));
  REQUIRE_OK(features_create(&f.job, f.ccd, 1234, &options, f.arena, &f.layout, &again));
  nf_array a[NF_BATCH_COUNT], b[NF_BATCH_COUNT];
  batch_arrays(&f.batch, a);
  batch_arrays(&again, b);
  for (int i = 0; i < NF_BATCH_COUNT; i++) {
    CHECK(memcmp(a[i].data, b[i].data, (size_t)nf_array_count(&a[i]) * nf_dtype_size(a[i].dtype)) == 0);
  }
  // RDKit does not accept the ligand 7BU, whose positions are then the dictionary's, turned and shifted: these are
  // the reference's to the bit. First and last atom.
  const float *first = &f.batch.ref_pos[109 * 24 * 3], *last = &f.batch.ref_pos[149 * 24 * 3];
  float expected_first[3] = {2.57296968f, -1.14139915f, 0.921176255f},
        expected_last[3] = {1.13870406f, 0.34219259f, 0.810827255f};
  for (int k = 0; k < 3; k++) {
    CHECK(first[k] == expected_first[k]);
    CHECK(last[k] == expected_last[k]);
  }
  int n_frames = 0;
  for (int t = 0; t < 150; t++) n_frames += f.batch.frames_mask[t];
  CHECK_INT(n_frames, 150);
  fixture_close(&f);
}
