// Chirality: what is counted as a stereo centre, and that an inverted one is told.
#include "chem/conformer.h"
#include "features/features.h"
#include "features/stages.h"
#include "input/job.h"
#include "score/score.h"
#include "tests/test.h"

typedef struct {
  nf_arena *arena;
  nf_ccd *ccd;
  nf_job job;
  nf_layout layout;
  nf_batch batch;
  float *positions;  // (n_atoms, 3) at first as the reference conformers
} made;

// Featurises a job of these sequences and further top-level fields; false, with the reason printed, without RDKit.
static bool make(made *m, const char *sequences, const char *more) {
  *m = (made){.arena = nf_arena_create()};
  setenv("XDG_DATA_HOME", "/nonexistent", 1);
  unsetenv("NATIVEFOLD_CCD");
  CHECK_OK(ccd_open(NULL, &m->ccd));
  bool accepts;
  if (conformer_accepts(ccd_find(m->ccd, "ALA"), &accepts) != NF_OK) {
    printf("  SKIP: %s\n", nf_message());
    test_skipped_here = 1;
    return false;
  }
  char *text = nf_arena_printf(m->arena,
                               "{\"name\": \"t\", \"modelSeeds\": [1], \"dialect\": \"alphafold3\", \"version\": 4, "
                               "\"sequences\": [%s]%s}",
                               sequences, more);
  features_options options;
  features_default_options(&options);
  CHECK_OK(job_parse("t.json", text, strlen(text), m->arena, &m->job));
  nf_status status = features_create(&m->job, m->ccd, 1, &options, m->arena, &m->layout, &m->batch);
  CHECK_OK(status);
  if (status != NF_OK) return false;
  m->positions = NF_NEW(m->arena, float, 3 * m->layout.n_atoms);
  for (int i = 0; i < m->layout.n_atoms; i++) {
    const layout_atom *atom = &m->layout.atoms[i];
    memcpy(&m->positions[3 * i], &m->batch.ref_pos[3 * (atom->token * m->batch.n_slot + atom->slot)], 3 * sizeof(float));
  }
  return true;
}

static void end(made *m) {
  ccd_close(m->ccd);
  nf_arena_free(m->arena);
}

static nf_chirality check(const made *m) {
  nf_chirality c;
  score_chirality(&m->layout, &m->batch, m->positions, m->arena, &c);
  return c;
}

static void mirror(made *m) {
  for (int i = 0; i < m->layout.n_atoms; i++) m->positions[3 * i] *= -1;
}

// Position of the atom of that name in a residue, counted from 0.
static float *at(made *m, int residue, const char *name) {
  const layout_residue *r = &m->layout.residues[residue];
  for (int a = r->first_atom; a < r->first_atom + r->n_atoms; a++) {
    if (strcmp(m->layout.atoms[a].name, name) == 0) return &m->positions[3 * a];
  }
  test_fail(__FILE__, __LINE__, "no atom %s", name);
  return m->positions;
}

static void swap(float *a, float *b) {
  for (int k = 0; k < 3; k++) {
    float x = a[k];
    a[k] = b[k];
    b[k] = x;
  }
}

static bool is_wrong(const made *m, const nf_chirality *c, int residue, const char *name) {
  for (int i = 0; i < c->n_ligand_errors; i++) {
    const layout_atom *atom = &m->layout.atoms[c->ligand_errors[i]];
    if (atom->residue == residue && strcmp(atom->name, name) == 0) return true;
  }
  return false;
}

#define LIGAND(id, codes) "{\"ligand\": {\"id\": \"" id "\", \"ccdCodes\": [" codes "]}}"
#define SMILES(id, smiles) "{\"ligand\": {\"id\": \"" id "\", \"smiles\": \"" smiles "\"}}"
#define PROTEIN(sequence) \
  "{\"protein\": {\"id\": \"A\", \"sequence\": \"" sequence "\", \"unpairedMsa\": \"\", \"pairedMsa\": \"\", \"templates\": []}}"

TEST(polymers) {
  made m;
  if (!make(&m,
            PROTEIN("ACDEFGHIKLMNPQRSTVWY")
            ", {\"rna\": {\"id\": \"R\", \"sequence\": \"ACGU\", \"unpairedMsa\": \"\"}}, "
            "{\"dna\": {\"id\": \"D\", \"sequence\": \"ACGT\"}}",
            "")) {
    return;
  }
  // CA of all but glycine, CB of isoleucine and threonine; C1' C2' C3' C4' of the sugar (DNA has no C2'), but not P.
  static const int expected[] = {21, 12, 16};  // chains A, D, R
  nf_chirality c = check(&m);
  for (int i = 0; i < 3; i++) {
    CHECK_INT(c.chain_checked[i], expected[i]);
    CHECK_INT(c.chain_errors[i], 0);
  }
  CHECK_INT(c.n_ligand_checked, 0);
  CHECK_NEAR(score_chirality_penalty(&c), 0, 0);
  mirror(&m);
  c = check(&m);
  for (int i = 0; i < 3; i++) CHECK_INT(c.chain_errors[i], expected[i]);
  CHECK_INT(c.n_ligand_errors, 0);
  mirror(&m);
  swap(at(&m, 0, "N"), at(&m, 0, "CB"));  // D-alanine
  c = check(&m);
  CHECK_INT(c.chain_errors[0], 1);
  end(&m);
}

TEST(ligands_by_code) {
  made m;
  if (!make(&m, LIGAND("G", "\"NAG\"") ", " LIGAND("L", "\"ATP\"") ", " LIGAND("M", "\"MG\""), "")) return;
  nf_chirality c = check(&m);
  CHECK_INT(c.chain_checked[0], 4);  // C2 to C5: C1 has lost its O1, so that two neighbours are left
  CHECK_INT(c.chain_checked[1], 4);  // C1' to C4': the phosphorus atoms have oxygens that change places
  CHECK_INT(c.chain_checked[2], 0);
  CHECK_INT(c.n_ligand_checked, 8);
  CHECK_INT(c.n_ligand_errors, 0);
  // Galactose in place of glucose: O4 on the other side of C4.
  float *c4 = at(&m, 0, "C4"), *o4 = at(&m, 0, "O4"), *c3 = at(&m, 0, "C3"), *c5 = at(&m, 0, "C5");
  for (int k = 0; k < 3; k++) o4[k] = 2 * (c4[k] + c3[k] + c5[k]) / 3 - o4[k];
  c = check(&m);
  CHECK_INT(c.chain_errors[0], 1);
  CHECK_INT(c.chain_errors[1], 0);
  CHECK_INT(c.n_ligand_errors, 1);
  CHECK_STR(m.layout.atoms[c.ligand_errors[0]].name, "C4");
  CHECK_NEAR(score_chirality_penalty(&c), 12.5, 1e-12);
  end(&m);
}

TEST(a_bond_takes_the_place_of_what_left) {
  made m;
  if (!make(&m, PROTEIN("ANA") ", " LIGAND("G", "\"NAG\", \"NAG\""),
            ", \"bondedAtomPairs\": [[[\"A\", 2, \"ND2\"], [\"G\", 1, \"C1\"]], [[\"G\", 1, \"O4\"], [\"G\", 2, \"C1\"]]]")) {
    return;
  }
  // Every residue as the dictionary has it, and the protein's atom where the first sugar's O1 would be.
  for (int i = 0; i < m.layout.n_atoms; i++) {
    const ccd_component *c = m.layout.residues[m.layout.atoms[i].residue].component;
    memcpy(&m.positions[3 * i], c->atoms[ccd_atom_index(c, m.layout.atoms[i].name)].ideal, 3 * sizeof(float));
  }
  const ccd_component *nag = m.layout.residues[3].component;
  float *nd2 = at(&m, 1, "ND2");
  memcpy(nd2, nag->atoms[ccd_atom_index(nag, "O1")].ideal, 3 * sizeof(float));
  nf_chirality c = check(&m);
  CHECK_INT(c.chain_checked[1], 10);  // with both anomeric centres
  CHECK_INT(c.chain_errors[0], 0);
  CHECK(!is_wrong(&m, &c, 3, "C1"));
  // An alpha bond: on the other side of C1.
  const float *c1 = at(&m, 3, "C1"), *c2 = at(&m, 3, "C2"), *o5 = at(&m, 3, "O5");
  for (int k = 0; k < 3; k++) nd2[k] = 2 * (c1[k] + c2[k] + o5[k]) / 3 - nd2[k];
  c = check(&m);
  CHECK(is_wrong(&m, &c, 3, "C1"));
  CHECK(!is_wrong(&m, &c, 3, "C4"));
  CHECK_INT(c.chain_errors[0], 0);
  end(&m);
}

TEST(ligands_by_smiles) {
  made m;
  if (!make(&m,
            SMILES("A", "C[C@H](F)Cl") ", " SMILES("B", "CC(F)Cl") ", " SMILES("C", "C[C@H]1CC[C@@H](O)CC1") ", " SMILES(
                "D", "C[S@](=O)c1ccccc1") ", " SMILES("E", "C[C@H](F)OP(=O)(O)OC") ", " SMILES("F", "F[C@](Cl)(Br)C#N"),
            "")) {
    return;
  }
  // Left open; on a ring, without letters; sulphur; not the phosphorus; four neighbours.
  static const int expected[] = {1, 0, 2, 1, 1, 1};
  nf_chirality c = check(&m);
  for (int i = 0; i < 6; i++) CHECK_INT(c.chain_checked[i], expected[i]);
  CHECK_INT(c.n_ligand_errors, 0);
  swap(at(&m, 0, "F1"), at(&m, 0, "CL1"));
  swap(at(&m, 5, "F1"), at(&m, 5, "CL1"));
  c = check(&m);
  CHECK_INT(c.n_ligand_errors, 2);
  CHECK_INT(c.ligand_errors[0], 1);  // C2 of chain A
  CHECK_INT(c.chain_errors[5], 1);
  mirror(&m);
  c = check(&m);
  CHECK_INT(c.n_ligand_errors, 4);
  CHECK_INT(c.chain_errors[0], 0);
  CHECK_INT(c.chain_errors[2], 2);
  end(&m);
}

TEST(a_component_without_letters) {
  made m;
  if (!make(&m, LIGAND("L", "\"MINE\""),
            ", \"userCCD\": \"data_MINE\\n"
            "_chem_comp.id MINE\\n_chem_comp.name mine\\n_chem_comp.type non-polymer\\n_chem_comp.formula ?\\n"
            "_chem_comp.mon_nstd_parent_comp_id ?\\n_chem_comp.pdbx_synonyms ?\\n_chem_comp.formula_weight 1\\n"
            "loop_\\n_chem_comp_atom.comp_id\\n_chem_comp_atom.atom_id\\n_chem_comp_atom.type_symbol\\n"
            "_chem_comp_atom.charge\\n_chem_comp_atom.pdbx_model_Cartn_x_ideal\\n"
            "_chem_comp_atom.pdbx_model_Cartn_y_ideal\\n_chem_comp_atom.pdbx_model_Cartn_z_ideal\\n"
            "MINE C1 C 0 0 0 0\\nMINE F1 F 0 0.8 0.8 0.8\\nMINE CL1 CL 0 -1 -1 1\\nMINE BR1 BR 0 -1.1 1.1 -1.1\\n"
            "MINE H1 H 0 0.6 -0.6 -0.6\\n"
            "loop_\\n_chem_comp_bond.atom_id_1\\n_chem_comp_bond.atom_id_2\\n_chem_comp_bond.value_order\\n"
            "_chem_comp_bond.pdbx_aromatic_flag\\nC1 F1 SING N\\nC1 CL1 SING N\\nC1 BR1 SING N\\nC1 H1 SING N\\n\"")) {
    return;
  }
  nf_chirality c = check(&m);
  CHECK_INT(c.chain_checked[0], 1);
  CHECK_INT(c.chain_errors[0], 0);
  mirror(&m);
  c = check(&m);
  CHECK_INT(c.chain_errors[0], 1);
  CHECK_NEAR(score_chirality_penalty(&c), 100, 0);
  end(&m);
}

TEST(what_cannot_be_told_is_not_counted) {
  made m;
  if (!make(&m, SMILES("A", "C[C@H](F)Cl") ", " LIGAND("B", "\"ATP\""), "")) return;
  // No conformer was found: all of the reference is in one point.
  for (int64_t i = 0; i < (int64_t)m.batch.n_token * m.batch.n_slot * 3; i++) m.batch.ref_pos[i] = 0;
  nf_chirality c = check(&m);
  CHECK_INT(c.chain_checked[0], 0);
  CHECK_INT(c.chain_checked[1], 4);  // the dictionary's coordinates are there
  // All of the sample is in one point: no centre is right.
  for (int i = 0; i < m.layout.n_atoms * 3; i++) m.positions[i] = 0;
  c = check(&m);
  CHECK_INT(c.chain_errors[1], 4);
  // A fold from features alone.
  for (int r = 0; r < m.layout.n_residues; r++) m.layout.residues[r].component = NULL;
  c = check(&m);
  CHECK_INT(c.n_ligand_checked, 0);
  CHECK_NEAR(score_chirality_penalty(&c), 0, 0);
  end(&m);
}
