// Layouts: order of chains, which atoms are kept, tokens and slots, entities.
#include "fixture.h"

// Name of the atom in a slot of a token, "" if the slot is empty.
static const char *name_at(const nf_layout *l, int token, int slot) {
  const layout_token *t = &l->tokens[token];
  for (int i = 0; i < t->n_atoms; i++) {
    if (l->atoms[t->first_atom + i].slot == slot) return l->atoms[t->first_atom + i].name;
  }
  return "";
}

static bool has_atom(const nf_layout *l, int residue, const char *name) {
  const layout_residue *r = &l->residues[residue];
  for (int i = 0; i < r->n_atoms; i++) {
    if (strcmp(l->atoms[r->first_atom + i].name, name) == 0) return true;
  }
  return false;
}

TEST(layout_orders_chains_as_mmcif_does) {
  fixture f;
  REQUIRE_OK(fixture_open(&f, LIGAND("[\"AB\", \"BA\", \"Z\", \"AA\", \"B\"]", "\"MG\""), 0));
  const char *expected[] = {"B", "Z", "AA", "BA", "AB"};
  CHECK_INT(f.layout.n_chains, 5);
  for (int i = 0; i < 5; i++) {
    CHECK_STR(f.layout.chains[i].id, expected[i]);
    CHECK_INT(f.layout.chains[i].entity_id, 1);
    CHECK_INT(f.layout.chains[i].sym_id, i + 1);
  }
  fixture_close(&f);
}

TEST(layout_numbers_entities_by_their_residues) {
  fixture f;
  // B and D are copies though they come from two entries; E differs by one residue.
  REQUIRE_OK(fixture_open(&f,
                          PROTEIN("\"B\"", "ACDEF", "") "," LIGAND("\"C\"", "\"MG\"") "," PROTEIN(
                              "\"D\"", "ACDEF", "") "," PROTEIN("\"E\"", "ACDEG", ""),
                          0));
  int entities[] = {1, 2, 1, 3}, symmetries[] = {1, 1, 2, 1};
  for (int i = 0; i < 4; i++) {
    CHECK_INT(f.layout.chains[i].entity_id, entities[i]);
    CHECK_INT(f.layout.chains[i].sym_id, symmetries[i]);
  }
  CHECK_STR(f.layout.chains[2].sequence, "ACDEF");
  CHECK(f.layout.chains[1].sequence == NULL);
  fixture_close(&f);
}

TEST(layout_keeps_slots_of_lost_atoms) {
  fixture f;
  REQUIRE_OK(fixture_open(&f, PROTEIN("\"A\"", "AG", "") "," RNA("\"B\"", "GU", ""), 0));
  const nf_layout *l = &f.layout;
  CHECK_INT(l->n_tokens, 4);
  // Alanine within a chain: N CA C O CB, no OXT. The last residue has it, in its slot behind the others.
  CHECK_INT(l->residues[0].n_atoms, 5);
  CHECK_INT(l->residues[1].n_atoms, 5);
  CHECK_STR(name_at(l, 1, 4), "OXT");
  CHECK_INT(l->tokens[0].center, 1);
  // The first nucleotide has OP3 in slot 0; the next keeps the slot empty.
  CHECK_STR(name_at(l, 2, 0), "OP3");
  CHECK_STR(name_at(l, 3, 0), "");
  CHECK_STR(name_at(l, 3, 1), "P");
  CHECK_INT(l->residues[2].n_atoms, 24);
  CHECK_STR(name_at(l, 3, l->tokens[3].center), "C1'");
  fixture_close(&f);
}

TEST(layout_gives_modified_residues_a_token_an_atom) {
  fixture f;
  REQUIRE_OK(fixture_open(&f,
                          PROTEIN("\"A\"", "ASMA",
                                  ", \"modifications\": [{\"ptmType\": \"SEP\", \"ptmPosition\": 2},"
                                  " {\"ptmType\": \"MSE\", \"ptmPosition\": 3}]"),
                          0));
  const nf_layout *l = &f.layout;
  CHECK_INT(l->residues[1].n_tokens, 10);  // N CA CB OG C O P O1P O2P O3P
  CHECK(!l->residues[1].standard);
  CHECK(l->residues[2].standard);  // selenomethionine is one token
  CHECK_INT(l->residues[2].n_atoms, 8);
  CHECK_INT(l->n_tokens, 13);
  CHECK_STR(l->chains[0].sequence, "ASMA");
  CHECK(!has_atom(l, 1, "OXT"));
  fixture_close(&f);
}

TEST(layout_takes_o1_from_unlinked_sugars) {
  fixture f;
  REQUIRE_OK(fixture_open(&f, LIGAND("\"A\"", "\"NAG\", \"MAN\"") "," LIGAND("\"B\"", "\"SO4\""), 0));
  CHECK(!has_atom(&f.layout, 0, "O1"));
  CHECK(!has_atom(&f.layout, 1, "O1"));
  CHECK(has_atom(&f.layout, 2, "O1"));  // sulfate is no sugar
  CHECK_INT(f.layout.residues[1].id, 2);
  nf_layout kept;
  REQUIRE_OK(layout_create(&f.job, f.ccd, true, f.arena, &kept));
  CHECK(has_atom(&kept, 0, "O1"));
  CHECK_INT(kept.n_atoms, f.layout.n_atoms + 2);
  fixture_close(&f);
}

TEST(layout_reads_unknown_residues_as_glycine) {
  fixture f;
  REQUIRE_OK(fixture_open(&f, PROTEIN("\"A\"", "AXA", ""), 0));
  CHECK_STR(f.layout.residues[1].name, "UNK");
  CHECK_INT(f.layout.residues[1].n_atoms, 4);
  CHECK_STR(f.layout.residues[1].component->id, "UNK");
  CHECK_STR(f.layout.chains[0].sequence, "AXA");
  fixture_close(&f);
}

TEST(layout_leaves_out_chains_of_unknown_residues) {
  fixture f;
  REQUIRE_OK(
      fixture_open(&f, PROTEIN("\"A\"", "XXX", "") "," PROTEIN("\"B\"", "AC", "") "," RNA("\"C\"", "NN", ""), 0));
  CHECK_INT(f.layout.n_chains, 1);
  CHECK_STR(f.layout.chains[0].id, "B");
  CHECK_INT(f.layout.chains[0].job_chain, 1);
  fixture_close(&f);
  CHECK_INT(fixture_open(&f, PROTEIN("\"A\"", "XXX", ""), 0), NF_INPUT);
  CHECK_STR(nf_message(), "t.json: sequences: no chain holds a residue that can be predicted");
  fixture_close(&f);
}

TEST(layout_refuses_a_component_it_does_not_know) {
  fixture f;
  CHECK_INT(fixture_open(&f, PROTEIN("\"A\"", "AC", "") "," LIGAND("\"B\"", "\"MG\", \"QQQQQ\""), 0), NF_INPUT);
  CHECK(strstr(nf_message(), "t.json: ligand B, residue 2") == nf_message());
  CHECK(strstr(nf_message(), "QQQQQ") != NULL);
  fixture_close(&f);
}

// ---- bonds of the job

// Lays out `sequences` with a job's bonds (the JSON list) into f.
static nf_status layout_with(fixture *f, const char *sequences, const char *bonds) {
  *f = (fixture){.arena = nf_arena_create()};
  setenv("XDG_DATA_HOME", "/nonexistent", 1);
  unsetenv("NATIVEFOLD_CCD");
  NF_TRY(ccd_open(NULL, &f->ccd));
  char *text = nf_arena_printf(f->arena,
                               "{\"name\": \"t\", \"modelSeeds\": [1], \"dialect\": \"alphafold3\", \"version\": 2, "
                               "\"sequences\": [%s], \"bondedAtomPairs\": %s}",
                               sequences, bonds);
  NF_TRY(job_parse("t.json", text, strlen(text), f->arena, &f->job));
  return layout_create(&f->job, f->ccd, false, f->arena, &f->layout);
}

TEST(bonds_are_placed) {
  fixture f;
  // The second sugar is written before the protein it hangs from by way of the first.
  REQUIRE_OK(layout_with(&f, PROTEIN("\"B\"", "GNG", "") "," LIGAND("\"A\"", "\"NAG\",\"NAG\""),
                         "[[[\"A\",1,\"O4\"],[\"A\",2,\"C1\"]],[[\"B\",2,\"ND2\"],[\"A\",1,\"C1\"]]]"));
  const nf_layout *l = &f.layout;
  CHECK_INT(l->n_bonds, 2);
  CHECK(!l->bonds[0].to_polymer && l->bonds[1].to_polymer);
  CHECK_STR(l->atoms[l->bonds[0].atom1].name, "O4");
  CHECK_INT(l->atoms[l->bonds[0].atom2].residue, 1);
  CHECK_STR(l->atoms[l->bonds[1].atom1].name, "ND2");
  CHECK_STR(l->residues[l->atoms[l->bonds[1].atom1].residue].name, "ASN");
  CHECK(!has_atom(l, 0, "O1") && !has_atom(l, 1, "O1"));
  fixture_close(&f);
}

TEST(bonds_keep_what_they_hold) {
  fixture f;
  // A sugar's O1, and OXT of the last residue; a bond to OXT within the chain keeps it there too, as in the reference.
  REQUIRE_OK(layout_with(&f, PROTEIN("\"A\"", "GSG", "") "," LIGAND("\"B\"", "\"NAG\",\"NAG\""),
                         "[[[\"A\",1,\"OXT\"],[\"B\",1,\"C6\"]],[[\"A\",2,\"OG\"],[\"B\",2,\"O1\"]]]"));
  const nf_layout *l = &f.layout;
  CHECK_INT(l->n_bonds, 2);
  CHECK(has_atom(l, 0, "OXT") && !has_atom(l, 1, "OXT") && has_atom(l, 2, "OXT"));
  CHECK(!has_atom(l, 3, "O1") && has_atom(l, 4, "O1"));
  fixture_close(&f);
}

TEST(bonds_that_the_network_is_not_told_of) {
  static const char *const bonds[] = {
      "[[[\"A\",1,\"SG\"],[\"A\",3,\"SG\"]]]",   // within a polymer
      "[[[\"A\",1,\"SG\"],[\"B\",1,\"SG\"]]]",   // between polymers
      "[[[\"C\",1,\"C1\"],[\"C\",1,\"C3\"]]]",   // within a component
      "[[[\"A\",2,\"HA2\"],[\"C\",1,\"C3\"]]]",  // of a hydrogen
      "[]",
  };
  for (int i = 0; i < 5; i++) {
    fixture f;
    REQUIRE_OK(layout_with(&f, PROTEIN("[\"A\",\"B\"]", "CGC", "") "," LIGAND("\"C\"", "\"GOL\""), bonds[i]));
    CHECK_INT(f.layout.n_bonds, 0);
    CHECK_INT(f.layout.n_tokens, 12);
    fixture_close(&f);
  }
}

TEST(bonds_of_atoms_that_are_not_there) {
  fixture f;
  CHECK_INT(layout_with(&f, PROTEIN("\"A\"", "CGC", "") "," LIGAND("\"C\"", "\"GOL\""),
                        "[[[\"A\",1,\"SG\"],[\"C\",1,\"C1\"]],[[\"A\",3,\"SX\"],[\"C\",1,\"C1\"]]]"),
            NF_INPUT);
  CHECK_STR(nf_message(),
            "t.json: bondedAtomPairs[1]: residue 3 of chain A, CYS, has no atom \"SX\", but N CA C O CB SG OXT");
  fixture_close(&f);
}
