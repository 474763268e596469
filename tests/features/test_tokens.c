// Per-token features, windows of the atom transformer, bonds, and padding.
#include "fixture.h"

TEST(tokens_of_every_kind) {
  fixture f;
  REQUIRE_OK(fixture_open(
      &f,
      PROTEIN("\"A\"", "WG", "") "," RNA("\"B\"", "AU", "") "," DNA("\"C\"", "GN", "") "," LIGAND("\"D\"", "\"MG\""),
      0));
  REQUIRE_OK(fixture_fill(&f));
  const nf_batch *b = &f.batch;
  CHECK_INT(b->n_token, 7);
  int classes[] = {17, 7, 22, 25, 27, 30, 20}, residues[] = {1, 2, 1, 2, 1, 2, 1}, chains[] = {1, 1, 2, 2, 3, 3, 4};
  for (int t = 0; t < 7; t++) {
    CHECK_INT(b->aatype[t], classes[t]);
    CHECK_INT(b->residue_index[t], residues[t]);
    CHECK_INT(b->token_index[t], t + 1);
    CHECK_INT(b->asym_id[t], chains[t]);
    CHECK_INT(b->is_protein[t], t < 2);
    CHECK_INT(b->is_rna[t], t == 2 || t == 3);
    CHECK_INT(b->is_dna[t], t == 4 || t == 5);
    CHECK_INT(b->is_ligand[t], t == 6);
    CHECK_INT(b->seq_mask[t], 1);
    CHECK_INT(b->ref_space_uid[t * 24], t);
  }
  CHECK_INT(b->seq_length[0], 7);
  CHECK_INT(b->n_subset, 6);  // 7 * 24 places, cut into 32
  // Pseudo-beta: CB of tryptophan, CA of glycine, C4 of purines, C2 of pyrimidines.
  const char *names[] = {"CB", "CA", "C4", "C2", "C4"};
  for (int t = 0; t < 5; t++) {
    int at = b->pseudo_beta_idxs[t];
    CHECK_INT(at / 24, t);
    char name[5] = "";
    for (int c = 0; c < 4; c++) {
      int code = b->ref_atom_name_chars[at * 4 + c];
      name[c] = (char)(code ? code + 32 : 0);
    }
    CHECK_STR(name, names[t]);
  }
  CHECK_INT(b->ref_element[6 * 24], 12);
  fixture_close(&f);
}

// Every atom is one query; every key window lies among the atoms; indices lead back and forth.
static void check_windows(const fixture *f) {
  const nf_batch *b = &f->batch;
  const nf_layout *l = &f->layout;
  int n_queries = b->n_subset * b->n_query, found = 0;
  for (int q = 0; q < n_queries; q++) {
    if (!b->tokens_to_queries_mask[q]) continue;
    int at = b->token_atoms_to_queries_idxs[q];
    CHECK_INT(b->pred_dense_atom_mask[at], 1);
    CHECK_INT(b->tokens_to_queries_idxs[q], at / b->n_slot);
    CHECK_INT(b->queries_to_token_atoms_idxs[at], q);
    found++;
  }
  CHECK_INT(found, l->n_atoms);
  for (int s = 0; s < b->n_subset; s++) {
    if (s * b->n_query >= l->n_atoms) break;
    int first = -1, n = 0;
    for (int k = 0; k < b->n_key; k++) {
      int at = s * b->n_key + k;
      if (!b->tokens_to_keys_mask[at]) continue;
      if (first < 0) first = b->queries_to_keys_idxs[at];
      CHECK_INT(b->queries_to_keys_idxs[at], first + n);
      CHECK_INT(b->tokens_to_keys_idxs[at], b->tokens_to_queries_idxs[b->queries_to_keys_idxs[at]]);
      n++;
    }
    CHECK_INT(n, l->n_atoms < b->n_key ? l->n_atoms : b->n_key);
    CHECK(first <= s * b->n_query);  // the queries are among their keys
  }
}

TEST(windows_of_many_and_of_few_atoms) {
  fixture f;
  REQUIRE_OK(
      fixture_open(&f, PROTEIN("[\"A\", \"B\"]", "MKTAYIAKQRQISFVKSHFSRQ", "") "," LIGAND("\"C\"", "\"ATP\""), 0));
  REQUIRE_OK(fixture_fill(&f));
  CHECK(f.layout.n_atoms > 256);
  check_windows(&f);
  // Unfilled places are masked and point nowhere in particular: to the first slot.
  int last = f.batch.n_subset * 32 - 1;
  CHECK_INT(f.batch.token_atoms_to_queries_mask[last], 0);
  CHECK_INT(f.batch.token_atoms_to_queries_idxs[last], 0);
  fixture_close(&f);

  REQUIRE_OK(fixture_open(&f, LIGAND("[\"A\", \"B\", \"C\", \"D\", \"E\"]", "\"MG\""), 0));
  REQUIRE_OK(fixture_fill(&f));
  CHECK_INT(f.batch.n_subset, 4);
  check_windows(&f);
  fixture_close(&f);
  REQUIRE_OK(fixture_open(&f, LIGAND("\"A\"", "\"MG\""), 0));
  REQUIRE_OK(fixture_fill(&f));
  CHECK_INT(f.batch.n_subset, 1);
  check_windows(&f);
  fixture_close(&f);
}

TEST(padding_to_a_bucket) {
  int buckets[] = {4, 16, 64};
  features_options options;
  features_default_options(&options);
  CHECK_INT(features_padded_tokens(9, &options), 9);
  options.buckets = buckets;
  options.n_buckets = 3;
  CHECK_INT(features_padded_tokens(4, &options), 4);
  CHECK_INT(features_padded_tokens(9, &options), 16);
  CHECK_INT(features_padded_tokens(65, &options), 65);  // with a warning

  fixture f;
  REQUIRE_OK(fixture_open(&f, PROTEIN("\"A\"", "ACDEFGHIK", ""), 16));
  REQUIRE_OK(fixture_fill(&f));
  const nf_batch *b = &f.batch;
  check_windows(&f);
  CHECK_INT(b->n_subset, 12);
  CHECK_INT(b->seq_length[0], 9);
  CHECK_INT(b->seq_mask[8], 1);
  CHECK_INT(b->seq_mask[9], 0);
  CHECK_INT(b->msa_mask[8], 1);
  CHECK_INT(b->msa_mask[9], 0);
  CHECK_INT(b->pseudo_beta_shape[0], 9);
  CHECK_INT(b->token_atoms_to_queries_shape[0], 16);
  // Where padding tokens exist, the reference's lookup of an empty place finds the last of them.
  int last = b->n_subset * 32 - 1;
  CHECK_INT(b->token_atoms_to_queries_idxs[last], 16 * 24 - 1);
  CHECK_INT(b->token_atoms_to_queries_mask[last], 1);
  CHECK_INT(b->tokens_to_queries_mask[last], 0);
  CHECK_INT(b->tokens_to_queries_idxs[last], 15);
  CHECK_INT(b->queries_to_token_atoms_idxs[16 * 24 - 1], last);
  CHECK_INT(b->queries_to_token_atoms_mask[16 * 24 - 1], 1);
  fixture_close(&f);
}

TEST(bonds_inside_ligands_and_modified_residues) {
  fixture f;
  REQUIRE_OK(fixture_open(
      &f,
      PROTEIN("\"A\"", "AS", ", \"modifications\": [{\"ptmType\": \"SEP\", \"ptmPosition\": 1}]") "," LIGAND(
          "\"B\"", "\"SO4\"") "," LIGAND("\"C\"", "\"ALA\"") "," LIGAND("\"D\"", "\"MG\""),
      0));
  REQUIRE_OK(fixture_fill(&f));
  const nf_batch *b = &f.batch;
  int n = 0;
  for (int i = 0; i < b->n_ligand_ligand; i++) {
    CHECK_INT(b->ligand_ligand_mask[2 * i], b->ligand_ligand_mask[2 * i + 1]);
    if (!b->ligand_ligand_mask[2 * i]) continue;
    CHECK_INT(i, n);  // filled rows come first
    int t1 = b->ligand_ligand_idxs[2 * i], t2 = b->ligand_ligand_idxs[2 * i + 1];
    CHECK_INT(f.layout.tokens[t1].residue, f.layout.tokens[t2].residue);
    n++;
  }
  // Phosphoserine within the chain, without OXT: 9 bonds between 10 atoms. Sulfate: 4. Alanine is standard, even as a
  // ligand, and magnesium has none.
  CHECK_INT(n, 13);
  CHECK_INT(b->n_polymer_ligand, b->n_token);
  CHECK_INT(b->n_ligand_ligand, 10 * b->n_token);
  CHECK_INT(b->ligand_ligand_shape[0], b->n_token);
  fixture_close(&f);
}
