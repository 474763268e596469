// Structures out of mmCIF: one made file with one oddity at a time.
#include "../test.h"
#include "base/file.h"
#include "base/str.h"
#include "structure/structure.h"

static nf_arena *arena;

static nf_status read_text(const char *text, nf_structure *s) {
  size_t n = strlen(text);
  char *copy = malloc(n ? n : 1);  // exact, so that a sanitizer sees a byte too far
  memcpy(copy, text, n);
  nf_arena_free(arena);
  arena = nf_arena_create();
  nf_status status = mmcif_read_structure("t.cif", copy, n, arena, s);
  free(copy);
  return status;
}

// The tables that most tests share: a protein chain A, a ligand L, water W.
#define HEAD                                                             \
  "data_made\n_entry.id MADE\n"                                          \
  "loop_\n_struct_asym.id\n_struct_asym.entity_id\nA 1\nL 2\nW 3\n"      \
  "loop_\n_entity.id\n_entity.type\n1 polymer\n2 non-polymer\n3 water\n" \
  "_entity_poly.entity_id 1\n_entity_poly.type 'polypeptide(L)'\n"
#define SCHEME                                                                                         \
  "loop_\n_pdbx_poly_seq_scheme.asym_id\n_pdbx_poly_seq_scheme.seq_id\n_pdbx_poly_seq_scheme.mon_id\n" \
  "_pdbx_poly_seq_scheme.pdb_seq_num\n_pdbx_poly_seq_scheme.pdb_ins_code\n_pdbx_poly_seq_scheme.pdb_strand_id\n"
#define LIGANDS                                                                                          \
  "loop_\n_pdbx_nonpoly_scheme.asym_id\n_pdbx_nonpoly_scheme.mon_id\n_pdbx_nonpoly_scheme.pdb_seq_num\n" \
  "_pdbx_nonpoly_scheme.pdb_ins_code\nL HEM 201 .\nW HOH 301 .\nW HOH 302 .\n"
// group id element atom alt comp chain entity seq ins x y z occupancy b author_seq author_chain model
#define ATOMS                                                                                                 \
  "loop_\n_atom_site.group_PDB\n_atom_site.id\n_atom_site.type_symbol\n_atom_site.label_atom_id\n"            \
  "_atom_site.label_alt_id\n_atom_site.label_comp_id\n_atom_site.label_asym_id\n_atom_site.label_entity_id\n" \
  "_atom_site.label_seq_id\n_atom_site.pdbx_PDB_ins_code\n_atom_site.Cartn_x\n_atom_site.Cartn_y\n"           \
  "_atom_site.Cartn_z\n_atom_site.occupancy\n_atom_site.B_iso_or_equiv\n_atom_site.auth_seq_id\n"             \
  "_atom_site.auth_asym_id\n_atom_site.pdbx_PDB_model_num\n"
#define TAIL                                                                                           \
  "HETATM 90 C CHA . HEM L 2 . ? 1 2 3 1 10 201 X 1\nHETATM 91 O O . HOH W 3 . ? 1 2 3 1 10 301 X 1\n" \
  "HETATM 92 O O . HOH W 3 . ? 1 2 3 1 10 302 X 1\n"

// Names of the atoms of a residue with their x, in one line.
static const char *atoms_of(const nf_structure *s, int residue) {
  static char out[400];
  out[0] = '\0';
  for (int i = 0; i < s->residues[residue].n_atoms; i++) {
    const structure_atom *a = &s->atoms[s->residues[residue].first_atom + i];
    size_t n = strlen(out);
    snprintf(out + n, sizeof out - n, "%s%s %g", n ? ", " : "", a->name, a->x);
  }
  return out;
}

TEST(chains_residues_and_gaps) {
  nf_structure s;
  REQUIRE_OK(read_text(HEAD "loop_\n_pdbx_audit_revision_history.revision_date\n2003-04-05\n2001-02-03\n" SCHEME
                            "A 1 MET 10 . X\nA 2 GLY 11 . X\nA 3 ALA 11 A X\nA 4 SER ? . X\n" LIGANDS ATOMS
                            "ATOM 1 N N . GLY A 1 2 ? 1.5 -2.25 3 0.50 40.5 11 X 1\n"
                            "ATOM 2 C CA . GLY A 1 2 ? 2 0 0 1 10 11 X 1\n"
                            "ATOM 3 N N . ALA A 1 3 A 3 0 0 1 10 11 X 1\n" TAIL,
                       &s));
  CHECK_STR(s.name, "MADE");
  CHECK_INT(s.release_date, 20010203);
  CHECK_INT(s.n_chains, 2);
  CHECK_INT(s.n_residues, 5);
  CHECK_INT(s.n_atoms, 4);
  CHECK_STR(s.chains[0].id, "A");
  CHECK_STR(s.chains[0].author_id, "X");
  CHECK_STR(s.chains[0].entity_id, "1");
  CHECK_STR(s.chains[0].type, "polypeptide(L)");
  CHECK_INT(s.chains[0].kind, NF_PROTEIN);
  CHECK_INT(s.chains[0].n_residues, 4);
  CHECK_STR(s.chains[1].id, "L");
  CHECK_STR(s.chains[1].author_id, "X");
  CHECK_STR(s.chains[1].type, "non-polymer");
  CHECK_INT(s.chains[1].kind, NF_LIGAND);
  CHECK_INT(s.chains[1].first_residue, 4);
  CHECK_STR(s.residues[0].name, "MET");
  CHECK_INT(s.residues[0].n_atoms, 0);
  CHECK_INT(s.residues[1].id, 2);
  CHECK_STR(s.residues[1].author_id, "11");
  CHECK_STR(s.residues[1].insertion, "?");
  CHECK_STR(s.residues[2].insertion, "A");
  CHECK_INT(s.residues[3].n_atoms, 0);
  CHECK_INT(s.residues[4].id, 1);
  CHECK_STR(s.residues[4].name, "HEM");
  CHECK_INT(s.residues[4].chain, 1);
  CHECK_STR(atoms_of(&s, 1), "N 1.5, CA 2");
  CHECK_STR(atoms_of(&s, 2), "N 3");
  const structure_atom *a = &s.atoms[0];
  CHECK_NEAR(a->y, -2.25, 0);
  CHECK_NEAR(a->occupancy, 0.5, 0);
  CHECK_NEAR(a->b_factor, 40.5, 0);
  CHECK_STR(a->element, "N");
  CHECK(a->present);
  CHECK_INT(a->residue, 1);
  CHECK_INT(s.atoms[2].residue, 2);
}

TEST(only_the_first_model) {
  nf_structure s;
  REQUIRE_OK(read_text(HEAD SCHEME
                       "A 1 GLY 1 . X\n" LIGANDS ATOMS
                       "ATOM 1 N N . GLY A 1 1 ? 1 0 0 1 10 1 X 7\nATOM 2 C CA . GLY A 1 1 ? 2 0 0 1 10 1 X 7\n"
                       "ATOM 3 N N . GLY A 1 1 ? 5 0 0 1 10 1 X 2\nATOM 4 C CA . GLY A 1 1 ? 6 0 0 1 10 1 X 2\n",
                       &s));
  CHECK_INT(s.n_atoms, 2);
  CHECK_STR(atoms_of(&s, 0), "N 1, CA 2");
}

TEST(alternatives_within_a_residue) {
  nf_structure s;
  REQUIRE_OK(read_text(HEAD SCHEME
                       "A 1 SER 1 . X\n" LIGANDS ATOMS "ATOM 1 N N . SER A 1 1 ? 1 0 0 1 10 1 X 1\n"
                       "ATOM 2 C CA A SER A 1 1 ? 2 0 0 0.4 10 1 X 1\nATOM 3 C CA B SER A 1 1 ? 3 0 0 0.6 10 1 X 1\n"
                       "ATOM 4 C C B SER A 1 1 ? 4 0 0 0.5 10 1 X 1\nATOM 5 C C A SER A 1 1 ? 5 0 0 0.5 10 1 X 1\n"
                       "ATOM 6 O O A SER A 1 1 ? 6 0 0 0.3 10 1 X 1\n"
                       "ATOM 7 H H A SER A 1 1 ? 7 0 0 0.3 10 1 X 1\nATOM 8 D D B SER A 1 1 ? 8 0 0 0.7 10 1 X 1\n",
                       &s));
  CHECK_STR(atoms_of(&s, 0), "N 1, CA 3, C 5, O 6, D 8");
}

TEST(alternatives_of_a_whole_residue) {
  nf_structure s;
  // Serine has more atoms, threonine the higher mean occupancy; of its two places B is the fuller.
  REQUIRE_OK(read_text(HEAD SCHEME
                       "A 1 SER 1 . X\nA 1 THR 1 . X\nA 2 GLY 2 . X\n" LIGANDS ATOMS
                       "ATOM 1 N N A SER A 1 1 ? 1 0 0 0.3 10 1 X 1\nATOM 2 C CA A SER A 1 1 ? 2 0 0 0.3 10 1 X 1\n"
                       "ATOM 3 N N B THR A 1 1 ? 3 0 0 0.4 10 1 X 1\nATOM 4 N N C THR A 1 1 ? 4 0 0 0.3 10 1 X 1\n"
                       "ATOM 5 C CA C THR A 1 1 ? 5 0 0 0.3 10 1 X 1\nATOM 6 C CA B THR A 1 1 ? 6 0 0 0.4 10 1 X 1\n"
                       "ATOM 7 C CB C THR A 1 1 ? 7 0 0 0.3 10 1 X 1\n"
                       "ATOM 8 N N . GLY A 1 2 ? 8 0 0 1 10 2 X 1\n",
                       &s));
  CHECK_INT(s.chains[0].n_residues, 2);
  CHECK_STR(s.residues[0].name, "THR");
  CHECK_STR(atoms_of(&s, 0), "N 3, CA 6, CB 7");
  CHECK_STR(atoms_of(&s, 1), "N 8");
}

TEST(equal_alternatives_go_by_letter) {
  nf_structure s;
  REQUIRE_OK(read_text(HEAD SCHEME
                       "A 1 SER 1 . X\nA 1 ALA 1 . X\n" LIGANDS ATOMS
                       "ATOM 1 N N B SER A 1 1 ? 1 0 0 0.5 10 1 X 1\nATOM 2 N N A ALA A 1 1 ? 2 0 0 0.5 10 1 X 1\n",
                       &s));
  CHECK_STR(s.residues[0].name, "ALA");
  CHECK_STR(atoms_of(&s, 0), "N 2");
}

TEST(unresolved_alternatives_of_the_sequence_stay) {
  nf_structure s;
  REQUIRE_OK(read_text(HEAD SCHEME "A 1 SER 1 . X\nA 1 ALA 1 . X\nA 2 GLY 2 . X\n" LIGANDS ATOMS
                                   "ATOM 8 N N . GLY A 1 2 ? 8 0 0 1 10 2 X 1\n",
                       &s));
  CHECK_INT(s.chains[0].n_residues, 3);
}

TEST(selenomethionine) {
  nf_structure s;
  REQUIRE_OK(read_text(HEAD SCHEME
                       "A 1 MSE 1 . X\n" LIGANDS ATOMS
                       "HETATM 1 SE SE . MSE A 1 1 ? 1 0 0 1 10 1 X 1\nHETATM 2 C CE . MSE A 1 1 ? 2 0 0 1 10 1 X 1\n",
                       &s));
  CHECK_STR(s.residues[0].name, "MET");
  CHECK_STR(atoms_of(&s, 0), "SD 1, CE 2");
  CHECK_STR(s.atoms[0].element, "S");
}

TEST(arginine) {
  nf_structure s;
  REQUIRE_OK(read_text(HEAD SCHEME
                       "A 1 ARG 1 . X\nA 2 ARG 2 . X\nA 3 ARG 3 . X\n" LIGANDS ATOMS
                       "ATOM 1 C CD . ARG A 1 1 ? 0 0 0 1 10 1 X 1\nATOM 2 N NH1 . ARG A 1 1 ? 3 0 0 1 10 1 X 1\n"
                       "ATOM 3 N NH2 . ARG A 1 1 ? 2 0 0 1 10 1 X 1\nATOM 4 H HH11 . ARG A 1 1 ? 4 0 0 1 10 1 X 1\n"
                       "ATOM 5 H HH21 . ARG A 1 1 ? 5 0 0 1 10 1 X 1\nATOM 6 H HH22 . ARG A 1 1 ? 6 0 0 1 10 1 X 1\n"
                       "ATOM 7 C CD . ARG A 1 2 ? 0 0 0 1 10 2 X 1\nATOM 8 N NH1 . ARG A 1 2 ? 2 0 0 1 10 2 X 1\n"
                       "ATOM 9 N NH2 . ARG A 1 2 ? 0 2 0 1 10 2 X 1\n"
                       "ATOM 10 N NH1 . ARG A 1 3 ? 9 0 0 1 10 3 X 1\nATOM 11 N NH2 . ARG A 1 3 ? 1 0 0 1 10 3 X 1\n",
                       &s));
  CHECK_STR(atoms_of(&s, 0), "CD 0, NH2 3, NH1 2, HH21 4, HH11 5, HH12 6");
  CHECK_STR(atoms_of(&s, 1), "CD 0, NH1 2, NH2 0");  // equal distances stay
  CHECK_STR(atoms_of(&s, 2), "NH1 9, NH2 1");        // without CD nobody knows
}

TEST(chains_stand_in_the_order_of_their_atoms) {
  nf_structure s;
  REQUIRE_OK(read_text(
      "data_made\nloop_\n_struct_asym.id\n_struct_asym.entity_id\nA 1\nB 1\nC 1\nD 1\n"
      "_entity.id 1\n_entity.type polymer\n_entity_poly.entity_id 1\n"
      "_entity_poly.type 'polypeptide(L)'\n" SCHEME "A 1 GLY 1 . X\nB 1 GLY 1 . Y\nC 1 GLY 1 . Z\nD 1 GLY 1 . V\n" ATOMS
      "ATOM 1 N N . GLY D 1 1 ? 4 0 0 1 10 1 V 1\nATOM 2 N N . GLY C 1 1 ? 3 0 0 1 10 1 Z 1\n"
      "ATOM 3 N N . GLY A 1 1 ? 1 0 0 1 10 1 X 1\n",
      &s));
  static const char *const order[] = {"D", "B", "C", "A"}, *const authors[] = {"V", "Y", "Z", "X"};
  CHECK_STR(s.name, "made");
  CHECK_INT(s.release_date, 0);
  for (int i = 0; i < 4; i++) {
    CHECK_STR(s.chains[i].id, order[i]);
    CHECK_STR(s.chains[i].author_id, authors[i]);
  }
  CHECK_STR(atoms_of(&s, 0), "N 4");
  CHECK_INT(s.residues[1].n_atoms, 0);
}

TEST(kinds_of_chains) {
  static const struct {
    const char *type;
    nf_chain_kind kind;
  } cases[] = {{"polypeptide(L)", NF_PROTEIN},
               {"polypeptide(D)", NF_PROTEIN},
               {"cyclic-pseudo-peptide", NF_PROTEIN},
               {"polyribonucleotide", NF_RNA},
               {"polydeoxyribonucleotide", NF_DNA},
               {"polydeoxyribonucleotide/polyribonucleotide hybrid", NF_DNA},
               {"other", NF_LIGAND}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    nf_str text = {0};
    nf_str_printf(&text,
                  "data_x\n_struct_asym.id A\n_struct_asym.entity_id 1\n_entity.id 1\n_entity.type polymer\n"
                  "_entity_poly.entity_id 1\n_entity_poly.type '%s'\n" SCHEME "A 1 GLY 1 . X\n" ATOMS
                  "ATOM 1 N N . GLY A 1 1 ? 4 0 0 1 10 1 V 1\n",
                  cases[i].type);
    nf_structure s;
    REQUIRE_OK(read_text(text.data, &s));
    CHECK_INT(s.chains[0].kind, cases[i].kind);
    CHECK_STR(s.chains[0].type, cases[i].type);
    nf_str_free(&text);
  }
}

// What modelling programs leave out is made up from the atoms.
TEST(atoms_alone) {
  nf_structure s;
  REQUIRE_OK(
      read_text("data_model\nloop_\n_atom_site.group_PDB\n_atom_site.label_atom_id\n_atom_site.label_comp_id\n"
                "_atom_site.label_asym_id\n_atom_site.label_entity_id\n_atom_site.label_seq_id\n_atom_site.Cartn_x\n"
                "_atom_site.Cartn_y\n_atom_site.Cartn_z\n"
                "ATOM N GLY A ? 1 1 0 0\nATOM CA GLY A ? 1 2 0 0\nATOM N ALA A ? 3 3 0 0\n"
                "ATOM P DA B ? 1 4 0 0\nATOM P A B ? 2 5 0 0\nATOM P DC B ? 3 6 0 0\nATOM P U C ? 1 7 0 0\n"
                "HETATM C1 HEM D ? . 8 0 0\nHETATM O HOH E ? . 9 0 0\n",
                &s));
  static const struct {
    const char *id, *entity, *type;
    int n;
  } expected[] = {{"A", "1", "polypeptide(L)", 2},
                  {"B", "2", "polydeoxyribonucleotide", 3},
                  {"C", "3", "polyribonucleotide", 1},
                  {"D", "4", "non-polymer", 1}};
  CHECK_INT(s.n_chains, 4);
  for (int i = 0; i < 4 && i < s.n_chains; i++) {
    CHECK_STR(s.chains[i].id, expected[i].id);
    CHECK_STR(s.chains[i].author_id, expected[i].id);
    CHECK_STR(s.chains[i].entity_id, expected[i].entity);
    CHECK_STR(s.chains[i].type, expected[i].type);
    CHECK_INT(s.chains[i].n_residues, expected[i].n);
  }
  CHECK_STR(atoms_of(&s, 0), "N 1, CA 2");
  CHECK_INT(s.residues[1].id, 3);
  CHECK_STR(s.residues[1].author_id, "3");
  CHECK_STR(s.atoms[1].element, "C");
  CHECK_NEAR(s.atoms[1].occupancy, 1, 0);
  CHECK_NEAR(s.atoms[1].b_factor, 0, 0);
}

TEST(sequence_table_instead_of_scheme) {
  nf_structure s;
  REQUIRE_OK(read_text(HEAD "loop_\n_entity_poly_seq.entity_id\n_entity_poly_seq.num\n_entity_poly_seq.mon_id\n"
                            "1 1 MET\n1 2 GLY\n1 3 ALA\n" ATOMS "ATOM 1 N N . GLY A 1 2 ? 1 0 0 1 10 52 X 1\n" TAIL,
                       &s));
  CHECK_INT(s.chains[0].n_residues, 3);
  CHECK_STR(s.residues[1].author_id, "52");
  CHECK_STR(s.residues[0].author_id, ".");
  CHECK_STR(s.chains[0].author_id, "X");
  CHECK_STR(atoms_of(&s, 1), "N 1");
  CHECK_STR(s.residues[3].name, "HEM");
  CHECK_INT(s.n_residues, 4);
}

TEST(sugars_of_a_branched_ligand) {
  nf_structure s;
  REQUIRE_OK(
      read_text("data_x\nloop_\n_struct_asym.id\n_struct_asym.entity_id\nA 1\nB 2\n"
                "loop_\n_entity.id\n_entity.type\n1 polymer\n2 branched\n_entity_poly.entity_id 1\n"
                "_entity_poly.type 'polypeptide(L)'\n" SCHEME "A 1 ASN 1 . X\n"
                "loop_\n_pdbx_branch_scheme.asym_id\n_pdbx_branch_scheme.mon_id\n_pdbx_branch_scheme.pdb_seq_num\n"
                "B NAG 1\nB NAG 2\nB BMA 3\n" ATOMS "ATOM 1 N N . ASN A 1 1 ? 1 0 0 1 10 1 X 1\n"
                "HETATM 2 C C1 . NAG B 2 . ? 2 0 0 1 10 1 Y 1\nHETATM 3 C C1 . NAG B 2 . ? 3 0 0 1 10 2 Y 1\n"
                "HETATM 4 C C1 . BMA B 2 . ? 4 0 0 1 10 3 Y 1\n",
                &s));
  CHECK_INT(s.chains[1].n_residues, 3);
  CHECK_STR(s.chains[1].type, "branched");
  CHECK_STR(s.chains[1].author_id, "Y");
  for (int i = 0; i < 3; i++) CHECK_INT(s.residues[1 + i].id, i + 1);
  CHECK_STR(atoms_of(&s, 3), "C1 4");
}

static void check_refused(const char *text, const char *message) {
  nf_structure s;
  CHECK_INT(read_text(text, &s), NF_INPUT);
  CHECK_STR(nf_message(), message);
  CHECK_INT(s.n_atoms, 0);
}

TEST(refusals) {
  static const char ok[] = "ATOM 1 N N . GLY A 1 1 ? 1 0 0 1 10 1 X 1\n";
  nf_structure s;
  nf_str text = {0};
  nf_str_printf(&text, "%s%s", HEAD SCHEME "A 1 GLY 1 . X\n" LIGANDS ATOMS, ok);
  CHECK_OK(read_text(text.data, &s));
  check_refused("", "t.cif: holds no CIF data block (it is empty)");
  check_refused("data_x\n_entry.id 1\n", "t.cif: lacks the item '_atom_site.label_asym_id'");
  check_refused(HEAD SCHEME "A 1 GLY 1 . X\n" ATOMS, "t.cif: has no atoms");
  check_refused(HEAD SCHEME "A 1 GLY 1 . X\n" ATOMS "ATOM 1 N N . GLY A 1 1 ? one 0 0 1 10 1 X 1\n",
                "t.cif: atom 1: _atom_site.Cartn_x is no coordinate: 'one'");
  check_refused(HEAD SCHEME "A 1 GLY 1 . X\n" ATOMS "ATOM 1 N N . GLY A 1 1 ? 0 1e99 0 1 10 1 X 1\n",
                "t.cif: atom 1: _atom_site.Cartn_y is no coordinate: '1e99'");
  check_refused(HEAD SCHEME "A 1 GLY 1 . X\n" ATOMS "ATOM 1 N N . GLY A 1 1 ? 0 0 nan 1 10 1 X 1\n",
                "t.cif: atom 1: _atom_site.Cartn_z is no coordinate: 'nan'");
  check_refused(HEAD SCHEME "A 1 GLY 1 . X\n" ATOMS "ATOM 1 N N . GLY A 1 1 ? 0 0 ? 1 10 1 X 1\n",
                "t.cif: atom 1: _atom_site.Cartn_z is no coordinate: '?'");
  check_refused(HEAD SCHEME "A 1 GLY 1 . X\n" ATOMS "ATOM 1 N N . GLY Q 1 1 ? 0 0 0 1 10 1 X 1\n",
                "t.cif: _struct_asym lacks the chain 'Q'");
  check_refused(HEAD SCHEME "Q 1 GLY 1 . X\n" ATOMS "ATOM 1 N N . GLY A 1 1 ? 0 0 0 1 10 1 X 1\n",
                "t.cif: _struct_asym lacks the chain 'Q'");
  check_refused(HEAD SCHEME "A one GLY 1 . X\n" ATOMS "ATOM 1 N N . GLY A 1 1 ? 0 0 0 1 10 1 X 1\n",
                "t.cif: _pdbx_poly_seq_scheme.seq_id is no number: 'one'");
  check_refused(HEAD SCHEME "A 1 GLY 1 . X\n" ATOMS "ATOM 1 N N . ALA A 1 2 ? 0 0 0 1 10 2 X 1\n",
                "t.cif: residue ALA 2 of chain A has atoms but is not in the scheme tables");
  check_refused(HEAD SCHEME "A 1 GLY 1 . X\nA 2 ALA 2 . X\n" ATOMS
                            "ATOM 1 N N . ALA A 1 2 ? 0 0 0 1 10 2 X 1\n"
                            "ATOM 2 N N . GLY A 1 1 ? 0 0 0 1 10 1 X 1\n",
                "t.cif: residue GLY 1 of chain A is out of order in _atom_site");
  check_refused(HEAD SCHEME "A 1 GLY 1 . X\nA 2 ALA 2 . X\n" LIGANDS ATOMS
                            "ATOM 1 N N . GLY A 1 1 ? 0 0 0 1 10 1 X 1\n" TAIL
                            "ATOM 2 N N . ALA A 1 2 ? 0 0 0 1 10 2 X 1\n",
                "t.cif: the atoms are not together of the chain 'A'");
  check_refused(HEAD SCHEME "A 1 GLY 1 . X\nA 2 HOH 2 . X\n" ATOMS "ATOM 1 N N . GLY A 1 1 ? 0 0 0 1 10 1 X 1\n",
                "t.cif: has water (HOH) in a chain that is not of water: chain 'A'");
  check_refused(HEAD SCHEME "A 1 GLY 1 . X\n" ATOMS "ATOM 1 O O . HOH A 1 1 ? 0 0 0 1 10 1 X 1\n",
                "t.cif: has water (HOH) in a chain that is not of water: chain 'A'");
  check_refused(HEAD SCHEME "A 1 GLY 1 . X\n" ATOMS "ATOM 1 N TOOLONGNAME . GLY A 1 1 ? 0 0 0 1 10 1 X 1\n",
                "t.cif: the atom name 'TOOLONGNAME' is longer than 7 characters");
  check_refused("data_x\n_struct_asym.id A\n_struct_asym.entity_id 9\n_entity.id 1\n_entity.type polymer\n" SCHEME
                "A 1 GLY 1 . X\n" ATOMS "ATOM 1 N N . GLY A 1 1 ? 0 0 0 1 10 1 X 1\n",
                "t.cif: _entity lacks the entity '9'");
  check_refused("data_x\nloop_\n_struct_asym.id\n_struct_asym.entity_id\nA 1\nA 1\n" ATOMS
                "ATOM 1 N N . GLY A 1 1 ? 0 0 0 1 10 1 X 1\n",
                "t.cif: _struct_asym has twice the chain 'A'");
  check_refused("data_x\n_struct_asym.id A\n" ATOMS "ATOM 1 N N . GLY A 1 1 ? 0 0 0 1 10 1 X 1\n",
                "t.cif: lacks the item '_struct_asym.entity_id'");
  check_refused(
      "data_x\n_atom_site.label_asym_id A\nloop_\n_atom_site.label_comp_id\n_atom_site.label_atom_id\n"
      "_atom_site.label_seq_id\n_atom_site.Cartn_x\n_atom_site.Cartn_y\n_atom_site.Cartn_z\n"
      "GLY N 1 0 0 0\nGLY CA 1 0 0 0\n",
      "t.cif: _atom_site.label_asym_id has 1 values, _atom_site.label_comp_id has 2");
  nf_str_free(&text);
}

TEST(every_cut_and_many_changes_of_a_file) {
  static const char whole[] =
      HEAD SCHEME "A 1 SER 1 . X\nA 1 THR 1 . X\nA 2 ARG 2 . X\n" LIGANDS ATOMS
                  "ATOM 1 N N A SER A 1 1 ? 1 0 0 0.3 10 1 X 1\nATOM 2 N N B THR A 1 1 ? 2 0 0 0.3 10 1 X 1\n"
                  "ATOM 3 C CD . ARG A 1 2 ? 0 0 0 1 10 2 X 1\nATOM 4 N NH1 A ARG A 1 2 ? 3 0 0 1 10 2 X 1\n"
                  "ATOM 5 N NH2 B ARG A 1 2 ? 2 0 0 1 10 2 X 1\n" TAIL;
  char *text = strdup(whole);
  size_t n = strlen(text);
  nf_structure s;
  int good = 0;
  for (size_t i = 0; i < n; i++) {
    static const char changes[] = {'\0', '\n', 'B', '9', '?', '\''};
    for (size_t k = 0; k < sizeof changes; k++) {
      text[i] = changes[k];
      nf_status status = read_text(text, &s);
      CHECK(status == NF_OK || status == NF_INPUT);
      good += status == NF_OK;
    }
    text[i] = whole[i];
  }
  CHECK(good > 500);
  free(text);
}

TEST(deposited_structures) {
  static const struct {
    const char *file;
    int date, chains, atoms;
  } cases[] = {
      {"5y2e", 20180314, 1, 353}, {"7rye", 20211110, 1, 612}, {"6ydw", 20200715, 1, 1775}, {"6s61", 20190710, 2, 2760}};
  for (int i = 0; i < 4; i++) {
    char name[100];
    snprintf(name, sizeof name, "af3_test_data/miniature_databases/pdb_mmcif/%s.cif", cases[i].file);
    const char *path = test_reference(name);
    if (!path) SKIP("reference data absent: af3_test_data");
    char *text;
    size_t size;
    nf_structure s;
    nf_arena *a = nf_arena_create();
    REQUIRE_OK(nf_file_read(path, &text, &size));
    REQUIRE_OK(mmcif_read_structure(path, text, size, a, &s));
    CHECK_INT(s.release_date, cases[i].date);
    CHECK_INT(s.n_chains, cases[i].chains);
    CHECK_INT(s.n_atoms, cases[i].atoms);
    int n = 0;
    for (int k = 0; k < s.n_residues; k++) {
      CHECK_INT(s.residues[k].first_atom, n);
      n += s.residues[k].n_atoms;
    }
    CHECK_INT(n, s.n_atoms);
    free(text);
    nf_arena_free(a);
  }
  nf_arena_free(arena);
  arena = NULL;
}
