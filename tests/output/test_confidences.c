// The JSON files of a sample: keys, layout, rounding; read back with jansson.
#include <jansson.h>

#include "../test.h"
#include "base/file.h"
#include "fixture.h"
#include "output/confidences.h"

// Writes one of the two and returns its text, which the caller frees.
static char *written(const fixture *f, bool full) {
  static char path[300];
  snprintf(path, sizeof path, "%s/c.json", test_dir());
  outfile *s;
  char *text = NULL;
  size_t size;
  CHECK_OK(outfile_open(path, false, &s));
  if (full) {
    confidences_write_full(s, &f->layout, &f->batch, &f->scores, f->options.save_pde);
  } else {
    confidences_write_summary(s, &f->layout, &f->scores);
  }
  CHECK_OK(outfile_finish(s));
  CHECK_OK(outfile_commit(s));
  CHECK_OK(nf_file_read(path, &text, &size));
  return text;
}

static json_t *parsed(const char *text) {
  json_error_t error;
  json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, &error);
  if (!json) test_fail(__FILE__, __LINE__, "%s", error.text);
  return json;
}

static void check_keys(const json_t *json, const char *const *keys, size_t n) {
  CHECK_INT(json_object_size(json), n);
  for (size_t i = 0; i < n; i++) CHECK(json_object_get(json, keys[i]) != NULL);
}

static fixture two_atoms(void) {
  fixture f = {.job = {.name = "two"}, .origin = {.model_name = "toy", .model_notice = ""}};
  fixture_allocate(&f, 2, 2, 2);
  fixture_add_chain(&f, "A", NF_LIGAND);
  fixture_add_residue(&f, "ZN");
  fixture_add_chain(&f, "BB", NF_LIGAND);
  fixture_add_residue(&f, "ZN");
  fixture_fill_scores(&f);
  return f;
}

// Byte for byte what AlphaFold 3's writer makes of these numbers: contact probabilities and pLDDT with up to two
// decimals, PAE with one, ties away from zero, values outside the range clamped.
TEST(full_layout_and_rounding) {
  fixture f = two_atoms();
  float plddt[] = {100.0f, 7.125f}, contact[] = {1.5f, 0.005f, NAN, 0.104f}, pae[] = {0.25f, 31.75f, -3.0f, 250.0f};
  f.scores.plddt = plddt;
  f.scores.contact_probs = contact;
  f.scores.full_pae = pae;
  char *text = written(&f, true);
  CHECK_STR(text,
            "{\n"
            "  \"atom_chain_ids\": [\"A\",\"BB\"],\n"
            "  \"atom_plddts\": [99.99,7.13],\n"
            "  \"contact_probs\": [[1.0,0.01],[null,0.1]],\n"
            "  \"pae\": [[0.3,31.8],[0.0,99.9]],\n"
            "  \"token_chain_ids\": [\"A\",\"BB\"],\n"
            "  \"token_res_ids\": [1,1]\n"
            "}");
  free(text);
  fixture_free(&f);
}

TEST(pde_on_request) {
  fixture f = two_atoms();
  float pde[] = {0.25f, 31.75f, -3.0f, 250.0f};
  f.scores.full_pde = pde;
  char *text = written(&f, true);
  CHECK(!strstr(text, "pde"));
  free(text);
  f.options.save_pde = true;
  text = written(&f, true);
  CHECK(strstr(text, "]],\n  \"pde\": [[0.3,31.8],[0.0,99.9]],\n  \"token_chain_ids\": ["));
  json_decref(parsed(text));
  free(text);
  fixture_free(&f);
}

// Every hundredth, and the float32 numbers beside each tie.
TEST(full_numbers_against_plain_rounding) {
  enum { N = 100 };
  fixture f = {.job = {.name = "n"}};
  fixture_allocate(&f, 1, N, N);
  fixture_add_chain(&f, "A", NF_LIGAND);
  for (int i = 0; i < N; i++) fixture_add_residue(&f, "ZN");
  fixture_fill_scores(&f);
  float *contact = (float *)f.scores.contact_probs, *pae = (float *)f.scores.full_pae;
  for (int i = 0; i < N * N; i++) {
    float tie = (float)(i % 200) * 0.005f;
    contact[i] = i % 3 == 0 ? tie : nextafterf(tie, i % 3 == 1 ? 0.0f : 2.0f);
    float tenth = (float)(i % 2000) * 0.05f;
    pae[i] = i % 3 == 0 ? tenth : nextafterf(tenth, i % 3 == 1 ? 0.0f : 200.0f);
  }
  char *text = written(&f, true);
  json_t *json = parsed(text);
  int bad = 0;
  for (int i = 0; i < N * N; i++) {
    double c = json_number_value(
        json_array_get(json_array_get(json_object_get(json, "contact_probs"), (size_t)i / N), (size_t)i % N));
    double p =
        json_number_value(json_array_get(json_array_get(json_object_get(json, "pae"), (size_t)i / N), (size_t)i % N));
    bad += fabs(c - roundf(contact[i] * 100.0f) / 100.0) > 1e-9 ||
           fabs(p - roundf(fminf(pae[i], 99.9f) * 10.0f) / 10.0) > 1e-9;
  }
  CHECK_INT(bad, 0);
  json_decref(json);
  free(text);
  fixture_free(&f);
}

TEST(full_keys_and_shapes) {
  static const char *const keys[] = {"atom_chain_ids",  "atom_plddts",  "contact_probs", "pae",
                                     "token_chain_ids", "token_res_ids"};
  fixture f;
  fixture_make(&f);
  char *text = written(&f, true);
  json_t *json = parsed(text);
  check_keys(json, keys, 6);
  size_t n = (size_t)f.layout.n_tokens;
  CHECK_INT(json_array_size(json_object_get(json, "atom_plddts")), f.layout.n_atoms);
  CHECK_INT(json_array_size(json_object_get(json, "pae")), n);
  CHECK_INT(json_array_size(json_array_get(json_object_get(json, "contact_probs"), n - 1)), n);
  CHECK_STR(json_string_value(json_array_get(json_object_get(json, "token_chain_ids"), n - 1)), "BAAA");
  CHECK_INT(json_integer_value(json_array_get(json_object_get(json, "token_res_ids"), n - 1)), 3);
  json_decref(json);
  free(text);
  fixture_free(&f);
}

TEST(summary_layout) {
  fixture f = two_atoms();
  f.scores.iptm = NAN;
  f.scores.has_clash = true;
  f.scores.ranking_score = -99.304;
  f.scores.iptm_xchain[1] = NAN;
  f.scores.chain_pair_pae_min[1] = 1.005;
  int atoms[] = {0, 1};
  f.scores.chirality.chain_checked[0] = 4;
  f.scores.chirality.chain_errors[0] = 2;
  f.scores.chirality.n_ligand_errors = 2;
  f.scores.chirality.ligand_errors = atoms;
  char *text = written(&f, false);
  CHECK_STR(text,
            "{\n"
            " \"chain_ids\": [\n  \"A\",\n  \"BB\"\n ],\n"
            " \"chain_iptm\": [\n  0.25,\n  null\n ],\n"
            " \"chain_pair_iptm\": [\n  [\n   0.0,\n   0.02\n  ],\n  [\n   0.1,\n   0.12\n  ]\n ],\n"
            " \"chain_pair_pae_min\": [\n  [\n   0.76,\n   1.0\n  ],\n  [\n   1.76,\n   1.86\n  ]\n ],\n"
            " \"chain_ptm\": [\n  0.5,\n  0.51\n ],\n"
            " \"fraction_disordered\": 0.12,\n"
            " \"has_clash\": 1.0,\n"
            " \"iptm\": null,\n"
            " \"ptm\": 0.81,\n"
            " \"ranking_score\": -99.3,\n"
            " \"chain_chirality_checked\": [\n  4,\n  0\n ],\n"
            " \"chain_chirality_errors\": [\n  2,\n  0\n ],\n"
            " \"ligand_chirality_errors\": [\n  [\"A\", 1, \"ZN\"],\n  [\"BB\", 1, \"ZN\"]\n ]\n"
            "}");
  free(text);
  f.scores.chirality.n_ligand_errors = 0;
  text = written(&f, false);
  CHECK(strstr(text, "\n \"ligand_chirality_errors\": []\n}"));
  free(text);
  fixture_free(&f);
}

TEST(summary_keys) {
  static const char *const keys[] = {"chain_ids", "chain_iptm",          "chain_pair_iptm", "chain_pair_pae_min",
                                     "chain_ptm", "fraction_disordered", "has_clash",       "iptm",
                                     "ptm",       "ranking_score", "chain_chirality_checked", "chain_chirality_errors",
                                     "ligand_chirality_errors"};
  fixture f;
  fixture_make(&f);
  char *text = written(&f, false);
  json_t *json = parsed(text);
  check_keys(json, keys, 13);
  CHECK_INT(json_array_size(json_object_get(json, "chain_ids")), 5);
  CHECK_NEAR(json_number_value(json_object_get(json, "ranking_score")), 0.71, 1e-12);
  json_decref(json);
  free(text);
  fixture_free(&f);
}

// Chain ids come from a checked job, but nothing may break the file.
TEST(strings_are_escaped) {
  fixture f = two_atoms();
  f.layout.chains[0].id = "a\"\\\n";
  char *text = written(&f, true);
  json_t *json = parsed(text);
  CHECK_STR(json_string_value(json_array_get(json_object_get(json, "atom_chain_ids"), 0)), "a\"\\\n");
  json_decref(json);
  free(text);
  fixture_free(&f);
}

// Rows longer than one piece of the buffer.
TEST(wide_rows) {
  enum { N = 9000 };
  fixture f = {.job = {.name = "wide"}};
  fixture_allocate(&f, 1, N, N);
  fixture_add_chain(&f, "A", NF_LIGAND);
  for (int i = 0; i < N; i++) fixture_add_residue(&f, "ZN");
  outfile *s;
  static char path[300];
  snprintf(path, sizeof path, "%s/wide.json", test_dir());
  // One row of N values: the matrix code is the same for one chain's atoms.
  float *plddt = NF_NEW(f.arena, float, N);
  for (int i = 0; i < N; i++) plddt[i] = (float)(i % 10000) * 0.01f;
  f.layout.n_tokens = 0;
  f.scores = (nf_scores){.n_atoms = N, .n_chains = 1, .plddt = plddt};
  REQUIRE_OK(outfile_open(path, false, &s));
  confidences_write_full(s, &f.layout, &f.batch, &f.scores, false);
  REQUIRE_OK(outfile_finish(s));
  REQUIRE_OK(outfile_commit(s));
  char *text;
  size_t size;
  REQUIRE_OK(nf_file_read(path, &text, &size));
  json_t *json = parsed(text);
  json_t *list = json_object_get(json, "atom_plddts");
  CHECK_INT(json_array_size(list), N);
  int bad = 0;
  for (int i = 0; i < N; i++)
    bad += fabs(json_number_value(json_array_get(list, (size_t)i)) - i % 10000 / 100.0) > 1e-9;
  CHECK_INT(bad, 0);
  json_decref(json);
  free(text);
  fixture_free(&f);
}
