// Clashes and disorder on made structures. Expected values: AlphaFold 3's own code on the same coordinates.
#include "score/score.h"
#include "tests/test.h"

// A layout under construction; residues and atoms are appended.
typedef struct {
  nf_layout layout;
  layout_chain chains[4];
  layout_residue residues[600];
  layout_atom atoms[4000];
  float positions[3 * 4000];
} made_structure;

static made_structure made;

static void start(void) {
  memset(&made, 0, sizeof made);
  made.layout = (nf_layout){.chains = made.chains, .residues = made.residues, .atoms = made.atoms};
}

static void add_chain(const char *id, nf_chain_kind kind, const char *sequence) {
  made.chains[made.layout.n_chains++] = (layout_chain){.id = id,
                                                       .kind = kind,
                                                       .sequence = sequence,
                                                       .first_residue = made.layout.n_residues,
                                                       .first_atom = made.layout.n_atoms};
}

static void add_residue(const char *name) {
  layout_chain *chain = &made.chains[made.layout.n_chains - 1];
  made.residues[made.layout.n_residues++] = (layout_residue){
      .chain = made.layout.n_chains - 1, .id = ++chain->n_residues, .name = name, .first_atom = made.layout.n_atoms};
}

static void add_atom(const char *name, const char *element, double x, double y, double z) {
  layout_atom *atom = &made.atoms[made.layout.n_atoms];
  float *at = made.positions + 3 * made.layout.n_atoms++;
  *atom = (layout_atom){.residue = made.layout.n_residues - 1};
  snprintf(atom->name, sizeof atom->name, "%s", name);
  snprintf(atom->element, sizeof atom->element, "%s", element);
  at[0] = (float)x;
  at[1] = (float)y;
  at[2] = (float)z;
  made.residues[atom->residue].n_atoms++;
  made.chains[made.layout.n_chains - 1].n_atoms++;
}

// A chain of n residues of one atom each, far from everything, except that the first n_near lie `distance` from those
// of chain 0.
static void add_beads(const char *id, nf_chain_kind kind, int n, int n_near, double distance) {
  int chain = made.layout.n_chains;
  add_chain(id, kind, "X");
  for (int i = 0; i < n; i++) {
    add_residue("GLY");
    if (i < n_near) {
      add_atom("CA", "C", 10.0 * i + distance, 0, 0);
    } else {
      add_atom("CA", "C", 10.0 * i, 1000.0 * chain, 0);
    }
  }
}

static bool clash_of(nf_chain_kind kind0, int n0, nf_chain_kind kind1, int n1, int n_near, double distance) {
  start();
  add_beads("A", kind0, n0, 0, 0);
  add_beads("B", kind1, n1, n_near, distance);
  return score_has_clash(&made.layout, made.positions);
}

// 1. Clash

TEST(clash_at_a_hundred_atoms) {
  // Of 300 atoms each: one third clash.
  CHECK(!clash_of(NF_PROTEIN, 300, NF_PROTEIN, 300, 100, 0.5));
  CHECK(clash_of(NF_PROTEIN, 300, NF_PROTEIN, 300, 101, 0.5));
  CHECK(!clash_of(NF_PROTEIN, 300, NF_PROTEIN, 300, 0, 0.5));
}

TEST(clash_at_half_a_chain) {
  CHECK(!clash_of(NF_PROTEIN, 200, NF_PROTEIN, 20, 10, 0.5));
  CHECK(clash_of(NF_PROTEIN, 200, NF_PROTEIN, 20, 11, 0.5));
  CHECK(!clash_of(NF_PROTEIN, 200, NF_PROTEIN, 21, 10, 0.5));
  CHECK(clash_of(NF_PROTEIN, 200, NF_PROTEIN, 21, 11, 0.5));
  CHECK(clash_of(NF_PROTEIN, 200, NF_PROTEIN, 1, 1, 0.5));
}

TEST(clash_at_1_1_angstrom) {
  CHECK(clash_of(NF_PROTEIN, 200, NF_PROTEIN, 4, 4, 1.0999));
  CHECK(!clash_of(NF_PROTEIN, 200, NF_PROTEIN, 4, 4, 1.101));
  CHECK(clash_of(NF_PROTEIN, 200, NF_PROTEIN, 4, 4, 0));
}

TEST(clash_of_polymers_only) {
  CHECK(clash_of(NF_RNA, 200, NF_DNA, 10, 10, 0.5));
  CHECK(!clash_of(NF_PROTEIN, 200, NF_LIGAND, 200, 200, 0.5));
  CHECK(!clash_of(NF_LIGAND, 200, NF_PROTEIN, 10, 10, 0.5));
  CHECK(!clash_of(NF_LIGAND, 200, NF_LIGAND, 200, 200, 0.5));
  CHECK(!clash_of(NF_WATER, 200, NF_PROTEIN, 200, 200, 0.5));
  start();
  CHECK(!score_has_clash(&made.layout, made.positions));
}

// A chain of n residues on one spot in groups of `group` consecutive ones, groups far apart.
static bool clash_within(int n, int group) {
  start();
  add_chain("A", NF_PROTEIN, "X");
  for (int i = 0; i < n; i++) {
    add_residue("GLY");
    add_atom("CA", "C", 10.0 * (i / group), 0, 0);
  }
  return score_has_clash(&made.layout, made.positions);
}

TEST(clash_within_a_chain) {
  CHECK(!clash_within(30, 1));
  CHECK(!clash_within(30, 2));  // neighbouring residues
  CHECK(clash_within(30, 3));   // residues i and i + 2, two thirds of the chain
  // One residue of many atoms on one spot.
  start();
  add_chain("A", NF_PROTEIN, "X");
  add_residue("TRP");
  for (int i = 0; i < 14; i++) add_atom("C", "C", 0, 0, 0);
  CHECK(!score_has_clash(&made.layout, made.positions));
}

TEST(clash_of_two_chains_is_found_in_either) {
  // The large chain has few clashes, the small one many, whichever comes first.
  CHECK(clash_of(NF_PROTEIN, 200, NF_PROTEIN, 10, 6, 0.5));
  start();
  add_beads("A", NF_PROTEIN, 10, 0, 0);
  add_beads("B", NF_PROTEIN, 200, 6, 0.5);
  CHECK(score_has_clash(&made.layout, made.positions));
  // Far away, on both sides of zero, and at absurd places nothing goes wrong.
  start();
  add_beads("A", NF_PROTEIN, 4, 0, 0);
  add_beads("B", NF_PROTEIN, 4, 4, 0.5);
  for (int i = 0; i < 24; i += 3) made.positions[i] -= 1e5f;
  CHECK(score_has_clash(&made.layout, made.positions));
  for (int i = 0; i < 24; i += 3) made.positions[i] = (i % 2 ? -1 : 1) * 1e30f * (float)(i + 1);
  CHECK(!score_has_clash(&made.layout, made.positions));
}

// 2. Disorder

static const char *const amino_acids[20] = {"ALA", "ARG", "ASN", "ASP", "CYS", "GLN", "GLU", "GLY", "HIS", "ILE",
                                            "LEU", "LYS", "MET", "PHE", "PRO", "SER", "THR", "TRP", "TYR", "VAL"};

typedef enum { ALL_TWENTY, GLYCINES, MODIFIED } residues_of;

// A protein chain of n residues: the first `extended` lie on a line, the others fill a cubic grid, row by row there and
// back. y: shift of the whole.
static void add_protein(const char *id, const char *sequence, int n, int extended, residues_of residues, double y) {
  static const struct {
    const char *name, *element;
    double x, y, z;
  } parts[6] = {{"N", "N", -1.25, 0.375, 0},      {"CA", "C", 0, 0, 0},
                {"C", "C", 1.25, 0.5, 0.125},     {"O", "O", 1.375, 1.625, 0.25},
                {"CB", "C", -0.25, -0.875, 1.25}, {"CG", "C", 0.5, -1.75, 2}};
  add_chain(id, NF_PROTEIN, sequence);
  for (int i = 0; i < n; i++) {
    const char *code = residues == GLYCINES ? "GLY" : residues == MODIFIED && i % 7 == 0 ? "SEP" : amino_acids[i % 20];
    double at[3] = {-3.75 * (extended - i), 0, 0};
    if (i >= extended) {
      int k = i - extended, gz = k / 16, gy = k % 16 / 4, gx = k % 4;
      if (gz % 2) gy = 3 - gy;
      if (gy % 2) gx = 3 - gx;
      at[0] = 4.5 * gx;
      at[1] = 4.5 * gy;
      at[2] = 4.5 * gz;
    }
    add_residue(code);
    int n_parts = strcmp(code, "GLY") == 0 ? 4 : strcmp(code, "ALA") == 0 ? 5 : 6;
    for (int p = 0; p < n_parts; p++) {
      // In the modified chain some residues lack their O: DSSP does not list them.
      if (residues == MODIFIED && i % 11 == 3 && p == 3) continue;
      add_atom(parts[p].name, parts[p].element, at[0] + parts[p].x, at[1] + parts[p].y + y, at[2] + parts[p].z);
    }
  }
}

static double disorder(void) { return score_fraction_disordered(&made.layout, made.positions); }

TEST(disorder_of_one_chain) {
  const struct {
    int n, extended;
    residues_of residues;
    double expected;
  } cases[] = {{104, 40, ALL_TWENTY, 33.0 / 104},   {84, 20, ALL_TWENTY, 13.0 / 84}, {154, 90, ALL_TWENTY, 82.0 / 154},
               {464, 400, ALL_TWENTY, 393.0 / 464}, {64, 0, ALL_TWENTY, 0},          {30, 30, GLYCINES, 1},
               {104, 40, MODIFIED, 33.0 / 94}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    start();
    add_protein("A", "X", cases[i].n, cases[i].extended, cases[i].residues, 0);
    CHECK_NEAR(disorder(), cases[i].expected, 1e-12);
  }
}

TEST(disorder_of_short_chains) {
  // Shorter than the window: reflected back and forth.
  start();
  add_protein("A", "X", 5, 40, ALL_TWENTY, 0);
  CHECK_NEAR(disorder(), 1, 0);
  start();
  add_protein("A", "X", 1, 40, ALL_TWENTY, 0);
  CHECK_NEAR(disorder(), 1, 0);
  start();
  CHECK_NEAR(disorder(), 0, 0);
  // No residue with a backbone: nothing to measure.
  add_beads("A", NF_PROTEIN, 3, 0, 0);
  CHECK_NEAR(disorder(), 0, 0);
}

TEST(disorder_of_several_chains) {
  // Chains of one sequence count as the first of them.
  start();
  add_protein("A", "SAME", 104, 40, ALL_TWENTY, 0);
  add_protein("B", "SAME", 104, 104, ALL_TWENTY, 100);
  CHECK_NEAR(disorder(), 33.0 / 104, 1e-12);
  start();
  add_protein("A", "SAME", 104, 104, ALL_TWENTY, 0);
  add_protein("B", "SAME", 104, 40, ALL_TWENTY, 100);
  CHECK_NEAR(disorder(), 1, 1e-12);
  start();
  add_protein("A", "ONE", 104, 40, ALL_TWENTY, 0);
  add_protein("B", "OTHER", 60, 60, ALL_TWENTY, 100);
  CHECK_NEAR(disorder(), 93.0 / 164, 1e-12);
  // Each chain is measured alone: others do not cover it, and only proteins count.
  start();
  add_protein("A", "ONE", 104, 40, ALL_TWENTY, 0);
  add_protein("B", "RNA", 40, 40, ALL_TWENTY, 3);
  made.chains[1].kind = NF_RNA;
  CHECK_NEAR(disorder(), 33.0 / 104, 1e-12);
}
