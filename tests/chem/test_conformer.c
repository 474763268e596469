// Conformers through RDKit: what is accepted, chirality, bond lengths, repeatability.
#include "../test.h"
#include "base/log.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/mt19937.h"
#include "base/str.h"
#include "chem/ccd.h"
#include "chem/conformer.h"

static nf_ccd *ccd;
static nf_arena *arena;  // of the overlays

// Opens the embedded subset; false, with the reason printed, where RDKit is not installed.
static bool ready(void) {
  if (!ccd) {
    setenv("XDG_DATA_HOME", "/nonexistent", 1);
    unsetenv("NATIVEFOLD_CCD");
    CHECK_OK(ccd_open(NULL, &ccd));
    arena = nf_arena_create();
  }
  bool accepts;
  if (conformer_accepts(ccd_find(ccd, "ALA"), &accepts) == NF_OK) return true;
  printf("  SKIP: %s\n", nf_message());
  test_skipped_here = 1;
  return false;
}

// Embeds a component of that code, freed by the caller; NULL, with a failed check, if none is found.
static float (*embed(const char *code, int seed, const ccd_component **ret_component))[3] {
  const ccd_component *c = ccd_find(ccd, code);
  float(*x)[3] = nf_calloc((size_t)c->n_atoms, sizeof *x);
  bool found = false;
  CHECK_OK(conformer_embed(c, seed, 0, x[0], &found));
  if (!found) test_fail(__FILE__, __LINE__, "no conformer of %s", code);
  *ret_component = c;
  return x;
}

static double distance(const float a[3], const float b[3]) {
  double d = 0;
  for (int k = 0; k < 3; k++) d += ((double)a[k] - b[k]) * ((double)a[k] - b[k]);
  return sqrt(d);
}

// Six times the signed volume of the tetrahedron a, b, c, d.
static double volume(const float a[3], const float b[3], const float c[3], const float d[3]) {
  double u[3], v[3], w[3];
  for (int k = 0; k < 3; k++) {
    u[k] = (double)b[k] - a[k];
    v[k] = (double)c[k] - a[k];
    w[k] = (double)d[k] - a[k];
  }
  return u[0] * (v[1] * w[2] - v[2] * w[1]) - u[1] * (v[0] * w[2] - v[2] * w[0]) + u[2] * (v[0] * w[1] - v[1] * w[0]);
}

// The first `most` neighbours of an atom in the order of the bonds; returns how many there are.
static int neighbours(const ccd_component *c, int atom, int most, int *out) {
  int n = 0;
  for (int i = 0; i < c->n_bonds; i++) {
    const ccd_bond *b = &c->bonds[i];
    if (b->atom1 != atom && b->atom2 != atom) continue;
    if (n < most) out[n] = b->atom1 == atom ? b->atom2 : b->atom1;
    n++;
  }
  return n;
}

TEST(the_amino_acids_are_l) {
  if (!ready()) return;
  static const char *const codes[] = {"ALA", "ARG", "ASN", "ASP", "CYS", "GLN", "GLU", "HIS", "ILE", "LEU",
                                      "LYS", "MET", "PHE", "PRO", "SER", "THR", "TRP", "TYR", "VAL"};
  for (int i = 0; i < 19; i++) {
    for (int seed = 1; seed <= 3; seed++) {
      const ccd_component *c;
      float(*x)[3] = embed(codes[i], seed, &c);
      double v = volume(x[ccd_atom_index(c, "CA")], x[ccd_atom_index(c, "N")], x[ccd_atom_index(c, "C")],
                        x[ccd_atom_index(c, "CB")]);
      if (!(v > 1.5)) test_fail(__FILE__, __LINE__, "%s, seed %d: signed volume at CA is %g", codes[i], seed, v);
      free(x);
    }
  }
  const ccd_component *c;
  float(*x)[3] = embed("DAL", 1, &c);
  CHECK(volume(x[ccd_atom_index(c, "CA")], x[ccd_atom_index(c, "N")], x[ccd_atom_index(c, "C")],
               x[ccd_atom_index(c, "CB")]) < -1.5);
  free(x);
}

// Every R and S centre of four neighbours, every E and Z bond, and every bond length, against the ideal coordinates.
static int compare_with_ideal(const char *code, int seed) {
  const ccd_component *c;
  float(*x)[3] = embed(code, seed, &c);
  int centres = 0;
  for (int i = 0; i < c->n_atoms; i++) {
    int n[4];
    if (c->atoms[i].stereo == 'N' || neighbours(c, i, 4, n) != 4) continue;
    const ccd_atom *a = c->atoms;
    double got = volume(x[n[0]], x[n[1]], x[n[2]], x[n[3]]);
    double ideal = volume(a[n[0]].ideal, a[n[1]].ideal, a[n[2]].ideal, a[n[3]].ideal);
    if (got * ideal <= 0) test_fail(__FILE__, __LINE__, "%s: %s is turned around", code, a[i].name);
    centres++;
  }
  for (int i = 0; i < c->n_bonds; i++) {
    const ccd_bond *b = &c->bonds[i];
    double got = distance(x[b->atom1], x[b->atom2]);
    double ideal = distance(c->atoms[b->atom1].ideal, c->atoms[b->atom2].ideal);
    // ETKDG's own spread.
    if (fabs(got - ideal) > 0.3) {
      test_fail(__FILE__, __LINE__, "%s: %s-%s is %.2f angstrom long, ideally %.2f", code, c->atoms[b->atom1].name,
                c->atoms[b->atom2].name, got, ideal);
    }
  }
  free(x);
  return centres;
}

TEST(sugars_nucleotides_and_ligands_keep_their_centres) {
  if (!ready()) return;
  static const char *const codes[] = {"NAG", "NDG", "BMA", "MAN", "FUC", "GAL", "GLC", "BGC", "SIA",
                                      "XYP", "A",   "G",   "C",   "U",   "DA",  "DG",  "DC",  "DT",
                                      "PSU", "5MC", "5CM", "SEP", "TPO", "PTR", "ATP", "GTP", "FAD",
                                      "NAD", "SAM", "COA", "CLR", "MOV", "BTN", "PLP", "STI"};
  int centres = 0;
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) centres += compare_with_ideal(codes[i], (int)i + 11);
  printf("  %d chiral centres in %zu components\n", centres, sizeof codes / sizeof *codes);
  CHECK(centres > 120);
}

TEST(double_bonds_keep_their_sides) {
  if (!ready()) return;
  // Retinal's polyene is all E, oleic acid's bond Z, and rapamycin's are ones that RDKit alone turns around at times.
  static const char *const codes[] = {"RET", "OLA", "LNL", "FK5", "RAP", "FUM", "LYR"};
  for (int i = 0; i < 7; i++) {
    for (int seed = 1; seed <= 4; seed++) {
      const ccd_component *c;
      float(*x)[3] = embed(codes[i], seed, &c);
      for (int k = 0; k < c->n_bonds; k++) {
        const ccd_bond *b = &c->bonds[k];
        int before[3], after[3], p = -1, q = -1;
        if (b->stereo == 'N' || b->order != 2) continue;
        int n_before = neighbours(c, b->atom1, 3, before), n_after = neighbours(c, b->atom2, 3, after);
        for (int m = 0; m < n_before; m++) {
          if (before[m] != b->atom2) p = before[m];
        }
        for (int m = 0; m < n_after; m++) {
          if (after[m] != b->atom1) q = after[m];
        }
        double dots[2];
        for (int ideal = 0; ideal < 2; ideal++) {
          const float *v[4];
          const int atoms[4] = {p, b->atom1, b->atom2, q};
          for (int m = 0; m < 4; m++) v[m] = ideal ? c->atoms[atoms[m]].ideal : x[atoms[m]];
          double u[3], s[3], t[3], us = 0, ut = 0, uu = 0, st = 0;
          for (int d = 0; d < 3; d++) {
            u[d] = (double)v[2][d] - v[1][d];
            s[d] = (double)v[0][d] - v[1][d];
            t[d] = (double)v[3][d] - v[2][d];
            us += u[d] * s[d];
            ut += u[d] * t[d];
            uu += u[d] * u[d];
            st += s[d] * t[d];
          }
          dots[ideal] = st - us * ut / uu;  // of the parts across the bond: positive is cis
        }
        if (dots[0] * dots[1] <= 0) {
          test_fail(__FILE__, __LINE__, "%s, seed %d: %s=%s is turned around", codes[i], seed, c->atoms[b->atom1].name,
                    c->atoms[b->atom2].name);
        }
      }
      free(x);
    }
  }
}

TEST(a_seed_gives_the_same_conformer_in_any_thread) {
  if (!ready()) return;
  static const char *const codes[] = {"TRP", "NAG", "G", "ATP"};
  const ccd_component *c;
  for (int i = 0; i < 4; i++) {
    float(*first)[3] = embed(codes[i], 2147483647, &c);
    float(*other)[3] = embed(codes[i], 2147483646, &c);
    CHECK(memcmp(first, other, (size_t)c->n_atoms * sizeof *first) != 0);
    int differ = 0;
#pragma omp parallel for reduction(+ : differ)
    for (int k = 0; k < 8; k++) {
      bool found = false;
      float(*again)[3] = nf_calloc((size_t)c->n_atoms, sizeof *again);
      nf_status status = conformer_embed(c, 2147483647, 0, again[0], &found);
      differ += status != NF_OK || !found || memcmp(first, again, (size_t)c->n_atoms * sizeof *first) != 0;
      free(again);
    }
    CHECK_INT(differ, 0);
    free(first);
    free(other);
  }
  CHECK(conformer_rdkit_version()[0] == '2');
  printf("  RDKit %s\n", conformer_rdkit_version());
}

TEST(what_is_not_accepted) {
  if (!ready()) return;
  // As the reference's RDKit has it: heme's iron has too many bonds, deuterium is no element there, retinal is fine.
  static const struct {
    const char *code;
    bool accepts;
  } cases[] = {{"ALA", true}, {"HEM", false}, {"DOD", false}, {"UNL", false}, {"UNX", false}, {"SF4", false},
               {"ZN", true},  {"CL", true},   {"RET", true},  {"7BU", false}, {"CLA", false}, {"SO4", true},
               {"HOH", true}, {"TAC", false}, {"NAG", true},  {"B12", false}, {"BEF", false}, {"NH2", true}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const ccd_component *c = ccd_find(ccd, cases[i].code);
    bool accepts, found = true;
    CHECK_OK(conformer_accepts(c, &accepts));
    if (accepts != cases[i].accepts) test_fail(__FILE__, __LINE__, "%s: accepted is %d", cases[i].code, accepts);
    if (accepts) continue;
    float(*x)[3] = nf_calloc((size_t)c->n_atoms + 1, sizeof *x);
    CHECK_OK(conformer_embed(c, 5, 0, x[0], &found));
    CHECK(!found);
    free(x);
  }
  // What the dictionary leaves open is refused before RDKit sees it.
  const ccd_component *alanine = ccd_find(ccd, "ALA");
  ccd_atom atoms[16];
  ccd_bond bonds[16];
  for (int k = 0; k < 8; k++) {
    ccd_component c = *alanine;
    memcpy(atoms, c.atoms, (size_t)c.n_atoms * sizeof *atoms);
    memcpy(bonds, c.bonds, (size_t)c.n_bonds * sizeof *bonds);
    c.atoms = atoms;
    c.bonds = bonds;
    if (k == 1) atoms[3].has_charge = false;
    if (k == 2) atoms[0].has_ideal = false;
    if (k == 3) strcpy(atoms[5].name, "LONGER");
    if (k == 4) bonds[2].has_aromatic = false;
    if (k == 5) bonds[2].order = 5;
    if (k == 6) bonds[1] = bonds[0];  // the same bond twice
    if (k == 7) bonds[11].order = 2;  // a hydrogen of two bonds
    bool accepts;
    CHECK_OK(conformer_accepts(&c, &accepts));
    if (accepts != (k == 0)) test_fail(__FILE__, __LINE__, "change %d: accepted is %d", k, accepts);
  }
}

TEST(iterations_are_limited) {
  if (!ready()) return;
  // With a single try a lipid of 120 atoms has no conformer for any of these seeds; that is no failure.
  const ccd_component *c = ccd_find(ccd, "PEE");
  float(*x)[3] = nf_calloc((size_t)c->n_atoms, sizeof *x);
  bool found = true;
  CHECK_OK(conformer_embed(c, 3, 1, x[0], &found));
  printf("  PEE with one iteration: %s\n", found ? "found" : "none found");
  free(x);
}

// ---- SMILES

// The component of a SMILES in an overlay of its own, which *ret_overlay is; NULL, with a failed check, if refused.
static const ccd_component *of_smiles(const char *smiles, nf_ccd **ret_overlay) {
  *ret_overlay = ccd_overlay(ccd, arena);
  nf_status status = conformer_add_smiles(*ret_overlay, "job.json: ligand L: smiles", "LIG_L", smiles);
  if (status != NF_OK) test_fail(__FILE__, __LINE__, "%s: %s", smiles, nf_message());
  return ccd_find(*ret_overlay, "LIG_L");
}

static void check_smiles(const char *smiles, const char *atoms, const char *bonds) {
  static const char *const orders[] = {"?", "-", "=", "#"};
  nf_ccd *overlay;
  const ccd_component *c = of_smiles(smiles, &overlay);
  nf_str s = {0};
  for (int i = 0; c && i < c->n_atoms; i++) {
    if (strcmp(c->atoms[i].element, "H") == 0) continue;
    nf_str_printf(&s, "%s%s", s.length ? " " : "", c->atoms[i].name);
    if (c->atoms[i].charge) nf_str_printf(&s, "%+d", c->atoms[i].charge);
  }
  CHECK_STR(s.data, atoms);
  nf_str_free(&s);
  for (int i = 0; c && i < c->n_bonds; i++) {
    const ccd_bond *b = &c->bonds[i];
    if (c->atoms[b->atom1].name[0] == 'H' || c->atoms[b->atom2].name[0] == 'H') continue;
    nf_str_printf(&s, "%s%s%s%s%s", s.length ? " " : "", c->atoms[b->atom1].name, orders[b->order],
                  c->atoms[b->atom2].name, b->aromatic ? "*" : "");
    if (b->stereo != 'N') nf_str_putc(&s, b->stereo);
  }
  CHECK_STR(s.data ? s.data : "", bonds);
  nf_str_free(&s);
  ccd_close(overlay);
}

TEST(smiles_become_components) {
  if (!ready()) return;
  check_smiles("CCO", "C1 C2 O1", "C1-C2 C2-O1");
  // Capital letters in names, Kekule bonds that remember the ring, the double bond's side, charges.
  check_smiles("C/C=C/[C@@H](Cl)c1ccccc1[N+](=O)[O-]", "C1 C2 C3 C4 CL1 C5 C6 C7 C8 C9 C10 N1+1 O1 O2-1",
               "C1-C2 C2=C3E C3-C4 C4-CL1 C4-C5 C5=C6* C6-C7* C7=C8* C8-C9* C9=C10* C10-N1 N1=O1 N1-O2 C10-C5*");
  check_smiles("F/C=C\\F", "F1 C1 C2 F2", "F1-C1 C1=C2Z C2-F2");
  check_smiles("[Na+].[Cl-]", "NA1+1 CL1-1", "");
  check_smiles("[Fe+2]", "FE1+2", "");
  check_smiles("[2H]C#N", "C1 N1", "C1#N1");
  check_smiles("[Cu-]<-n1ccccc1", "CU1-1 N1 C1 C2 C3 C4 C5", "N1-CU1 N1=C1* C1-C2* C2=C3* C3-C4* C4=C5* C5-N1*");
  check_smiles("*CC", "*1 C1 C2", "*1-C1 C1-C2");
}

TEST(smiles_that_are_refused) {
  if (!ready()) return;
  static char five_thousand[10100];
  for (int i = 0; i < 10010; i++) five_thousand[i] = i % 2 ? '.' : 'O';
  const struct {
    const char *smiles, *message;
  } cases[] = {
      {"", "job.json: ligand L: smiles: is empty"},
      {"C(C", "RDKit cannot make a molecule of \"C(C\": "},
      {"not a smiles", "RDKit cannot make a molecule of "},
      {"C(C)(C)(C)(C)C", "RDKit cannot make a molecule of \"C(C)(C)(C)(C)C\": Explicit valence for atom # 0 C"},
      {"c1cccc1", "Can't kekulize"},
      {"[Xx]", "RDKit cannot make a molecule of "},
      {"C[", "RDKit cannot make a molecule of "},
      {"[H][H]", "holds no atom but hydrogens"},
      {"C$C", "the bond of C1 and C2 is neither single, double nor triple"},
      {five_thousand, "has more than 5000 atoms"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    nf_ccd *overlay = ccd_overlay(ccd, arena);
    nf_status status = conformer_add_smiles(overlay, "job.json: ligand L: smiles", "LIG_L", cases[i].smiles);
    CHECK_INT(status, NF_INPUT);
    if (strncmp(nf_message(), "job.json: ligand L: smiles: ", 28) != 0 || !strstr(nf_message(), cases[i].message)) {
      test_fail(__FILE__, __LINE__, "\"%.40s\": %s", cases[i].smiles, nf_message());
    }
    CHECK(!ccd_find(overlay, "LIG_L"));
    ccd_close(overlay);
  }
}

TEST(large_smiles_have_names_of_four_characters) {
  if (!ready()) return;
  // 3000 waters' oxygens, 1200 chlorides and as many calciums, whose names meet those of carbons: all in one ligand.
  nf_str smiles = {0};
  for (int i = 0; i < 1100; i++) nf_str_printf(&smiles, "%sO.C.[Cl-].[Ca+2]", i ? "." : "");
  nf_ccd *overlay = ccd_overlay(ccd, arena);
  CHECK_INT(conformer_add_smiles(overlay, "x", "LIG_L", smiles.data), NF_INPUT);
  CHECK(strstr(nf_message(), "more atoms of Cl than") || strstr(nf_message(), "more atoms of Ca than"));
  ccd_close(overlay);
  nf_str_free(&smiles);
  for (int i = 0; i < 1700; i++) nf_str_printf(&smiles, "%sC%s", i ? "." : "", i < 120 ? ".[Ca+2]" : "");
  const ccd_component *c = of_smiles(smiles.data, &overlay);
  nf_map *names = nf_map_create();
  for (int i = 0; c && i < c->n_atoms; i++) {
    CHECK(nf_map_add(names, c->atoms[i].name, i));
    if (strcmp(c->atoms[i].element, "H") != 0) CHECK(strlen(c->atoms[i].name) <= 4);
  }
  int64_t index;
  CHECK(nf_map_get(names, "C999", &index) && nf_map_get(names, "CA00", &index) && nf_map_get(names, "CA01", &index));
  CHECK(nf_map_get(names, "CA10", &index));
  CHECK_STR(c->atoms[index].element, "Ca");
  // Too large to embed: there is no conformer, and no wait for one.
  float *x = nf_calloc((size_t)c->n_atoms * 3, sizeof *x);
  bool accepts, found = true;
  CHECK_OK(conformer_accepts(c, &accepts));
  CHECK(accepts);
  CHECK_OK(conformer_embed(c, 1, 0, x, &found));
  CHECK(!found);
  free(x);
  nf_map_free(names);
  nf_str_free(&smiles);
  ccd_close(overlay);
}

TEST(conformers_of_smiles_keep_stereo) {
  if (!ready()) return;
  for (int mirrored = 0; mirrored < 2; mirrored++) {
    for (int seed = 1; seed <= 5; seed++) {
      nf_ccd *overlay;
      const ccd_component *c = of_smiles(mirrored ? "N[C@H](C)C(=O)O" : "N[C@@H](C)C(=O)O", &overlay);
      float(*x)[3] = nf_calloc((size_t)c->n_atoms, sizeof *x);
      bool found;
      CHECK_OK(conformer_embed(c, seed, 0, x[0], &found));
      CHECK(found);
      // N1 C1 C2 C3: as N CA CB C of an amino acid; L is @@.
      double v = volume(x[1], x[0], x[3], x[2]);
      CHECK(mirrored ? v < -1.5 : v > 1.5);
      CHECK_NEAR(distance(x[0], x[1]), 1.46, 0.1);
      free(x);
      ccd_close(overlay);
    }
  }
  for (int z = 0; z < 2; z++) {
    nf_ccd *overlay;
    const ccd_component *c = of_smiles(z ? "CC/C=C\\CC" : "CC/C=C/CC", &overlay);
    float(*x)[3] = nf_calloc((size_t)c->n_atoms, sizeof *x);
    bool found;
    CHECK_OK(conformer_embed(c, 7, 0, x[0], &found));
    CHECK(found);
    double d = distance(x[1], x[4]);
    CHECK(z ? d < 3.4 : d > 3.6);
    free(x);
    ccd_close(overlay);
  }
}

TEST(time_per_residue) {
  if (!ready()) return;
  static const char *const codes[] = {"ALA", "LEU", "LYS", "PHE", "TRP", "A", "DT"};
  for (int i = 0; i < 7; i++) {
    const ccd_component *c;
    double start = nf_seconds();
    for (int k = 1; k <= 5; k++) free(embed(codes[i], k, &c));
    printf("  %s: %.1f ms\n", codes[i], (nf_seconds() - start) * 200);
  }
}
