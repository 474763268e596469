// Reference structures and frames. What needs RDKit is skipped where it is not installed.
#include "fixture.h"

static double distance(const float *a, const float *b) {
  double d = 0;
  for (int k = 0; k < 3; k++) d += ((double)a[k] - b[k]) * ((double)a[k] - b[k]);
  return sqrt(d);
}

TEST(reference_names_elements_and_spaces) {
  fixture f;
  REQUIRE_OK(fixture_open(&f, PROTEIN("\"A\"", "CM", "") "," LIGAND("\"B\"", "\"ATP\""), 0));
  REQUIRE_OK(reference_features(&f.job, &f.layout, &f.batch));
  const nf_batch *b = &f.batch;
  // Cysteine's SG: slot 5 of N CA C O CB SG.
  CHECK_INT(b->ref_element[5], 16);
  CHECK_INT(b->ref_atom_name_chars[5 * 4], 'S' - 32);
  CHECK_INT(b->ref_atom_name_chars[5 * 4 + 1], 'G' - 32);
  CHECK_INT(b->ref_atom_name_chars[5 * 4 + 2], 0);
  CHECK_INT(b->ref_mask[5], 1);
  CHECK_INT(b->ref_mask[6], 0);
  // One space a residue, ATP's 31 atoms in one, empty slots included.
  CHECK_INT(b->ref_space_uid[0], 0);
  CHECK_INT(b->ref_space_uid[23], 0);
  CHECK_INT(b->ref_space_uid[24], 1);
  for (int t = 2; t < b->n_token; t++) CHECK_INT(b->ref_space_uid[t * 24], 2);
  CHECK_INT(b->n_token, 33);
  fixture_close(&f);
}

TEST(reference_draws_are_the_residues_own) {
  fixture f;
  REQUIRE_OK(fixture_open(&f, PROTEIN("\"A\"", "AAW", "") "," LIGAND("\"B\"", "\"ATP\""), 0));
  if (!fixture_has_rdkit(&f)) {
    fixture_close(&f);
    return;
  }
  features_options options;
  features_default_options(&options);
  reference_structure a, b, c, ligands;
  REQUIRE_OK(reference_create(&f.job, &f.layout, 7, &options, false, f.arena, &a));
  REQUIRE_OK(reference_create(&f.job, &f.layout, 7, &options, false, f.arena, &b));
  REQUIRE_OK(reference_create(&f.job, &f.layout, 8, &options, false, f.arena, &c));
  REQUIRE_OK(reference_create(&f.job, &f.layout, 7, &options, true, f.arena, &ligands));
  size_t size = 3 * (size_t)f.layout.n_atoms * sizeof(float);
  CHECK(memcmp(a.positions, b.positions, size) == 0);
  CHECK(memcmp(a.positions, c.positions, size) != 0);
  // Two alanines: each turned and shifted by itself, their bonds the same within what conformers differ.
  CHECK(distance(a.positions, a.positions + 15) > 0.01);
  for (int residue = 0; residue < 2; residue++) {
    const float *p = a.positions + 15 * residue;
    CHECK_NEAR(distance(p, p + 3), 1.46, 0.1);      // N CA
    CHECK_NEAR(distance(p + 3, p + 6), 1.52, 0.1);  // CA C
    CHECK_NEAR(distance(p + 6, p + 9), 1.22, 0.1);  // C O
  }
  // With ligands alone, polymers take their draws all the same: the ligand comes out alike.
  int first = f.layout.chains[1].first_atom;
  CHECK(memcmp(a.positions + 3 * first, ligands.positions + 3 * first, size - 3 * (size_t)first * sizeof(float)) == 0);
  CHECK_NEAR(ligands.positions[0], 0, 0);
  fixture_close(&f);
}

TEST(frames_of_ligands_need_three_atoms_off_a_line) {
  fixture f;
  REQUIRE_OK(fixture_open(
      &f,
      PROTEIN("\"A\"", "AC", ", \"modifications\": [{\"ptmType\": \"SEP\", \"ptmPosition\": 1}]") "," LIGAND(
          "\"B\"", "\"MG\"") "," LIGAND("\"C\"", "\"SCN\"") "," LIGAND("\"D\"", "\"SO4\""),
      0));
  if (!fixture_has_rdkit(&f)) {
    fixture_close(&f);
    return;
  }
  features_options options;
  features_default_options(&options);
  REQUIRE_OK(frame_features(&f.job, &f.layout, &options, f.arena, &f.batch));
  for (int t = 0; t < f.batch.n_token; t++) {
    // Every token of a polymer, modified or not; no single ion; thiocyanate is straight; sulfate is not.
    int chain = f.layout.tokens[t].chain;
    CHECK_INT(f.batch.frames_mask[t], chain == 0 || chain == 3);
  }
  fixture_close(&f);
}

TEST(features_refuse_a_job_without_alignments) {
  fixture f;
  REQUIRE_OK(fixture_open(&f, "{\"protein\": {\"id\": \"A\", \"sequence\": \"ACDEF\"}}", 0));
  features_options options;
  features_default_options(&options);
  CHECK_INT(features_create(&f.job, f.ccd, 1, &options, f.arena, &f.layout, &f.batch), NF_INPUT);
  CHECK(strstr(nf_message(), "t.json: protein A: unpairedMsa is not set") == nf_message());
  fixture_close(&f);
  REQUIRE_OK(fixture_open(&f, "{\"rna\": {\"id\": \"A\", \"sequence\": \"ACGU\"}}", 0));
  CHECK_INT(features_create(&f.job, f.ccd, 1, &options, f.arena, &f.layout, &f.batch), NF_INPUT);
  CHECK(strstr(nf_message(), "t.json: rna A: unpairedMsa is not set") == nf_message());
  fixture_close(&f);
}
