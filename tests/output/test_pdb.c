// The PDB file: its columns, its bonds, and its ways out where the format is too narrow.
#include "../test.h"
#include "base/file.h"
#include "fixture.h"
#include "output/pdb.h"

static const char *written(fixture *f) {
  nf_str text = {0};
  CHECK(pdb_obstacle(&f->layout, &f->scores, f->arena) == NULL);
  pdb_append(&text, &f->job, &f->layout, &f->scores, &f->origin, &f->options, f->arena);
  const char *copy = nf_arena_strndup(f->arena, text.data, text.length);
  nf_str_free(&text);
  return copy;
}

// The n-th line, from 0, that begins with these words; "" if there is none.
static const char *line(const fixture *f, const char *text, const char *start, int n) {
  for (; *text; text = strchr(text, '\n') + 1) {
    if (strncmp(text, start, strlen(start)) == 0 && n-- == 0) {
      return nf_arena_strndup(f->arena, text, strcspn(text, "\n"));
    }
  }
  return "";
}

static int count(const char *text, const char *start) {
  int n = 0;
  for (; *text; text = strchr(text, '\n') + 1) n += strncmp(text, start, strlen(start)) == 0;
  return n;
}

TEST(columns) {
  fixture f;
  fixture_make(&f);
  const char *text = written(&f);
  CHECK_STR(line(&f, text, "TITLE", 0), "TITLE     made_job");
  CHECK_STR(line(&f, text, "EXPDTA", 0), "EXPDTA    THEORETICAL MODEL");
  CHECK_STR(line(&f, text, "REMARK", 0), "REMARK   1 Predicted by Nativefold 0.1 with the weights: toy.");
  CHECK_STR(line(&f, text, "REMARK", 1), "REMARK   1 Toy weights: they know nothing.");
  CHECK_STR(line(&f, text, "ATOM", 0),
            "ATOM      1  N   ALA A   1      -0.000   3.250   6.500  1.00 90.00           N  ");
  CHECK_STR(line(&f, text, "HETATM", 0),
            "HETATM    6  N   SEP A   2       7.500   3.250   6.500  1.00 88.15           N  ");
  CHECK_STR(line(&f, text, "TER", 0), "TER      21      ALA A   3");
  // A two-letter element begins one column earlier, and nucleotides end in the name's last column.
  CHECK(strstr(text, "  P     G B   1    "));
  CHECK(strstr(text, " C5'   G B   1    "));
  CHECK(strstr(text, "ZN    ZN Z   1    "));
  CHECK(strstr(text, "          ZN  \n"));
  // The chain of four letters is given the first free one; its ions and sugars end without TER.
  CHECK(strstr(text, "REMARK   1 Chain D is chain BAAA of the job.\n"));
  CHECK(strstr(text, " N   ALA D   1    "));
  CHECK_INT(count(text, "TER"), 3);
  CHECK_INT(count(text, "ATOM") + count(text, "HETATM"), f.layout.n_atoms);
  CHECK_STR(line(&f, text, "HETNAM", 0), "HETNAM     SEP PHOSPHOSERINE");
  CHECK_STR(line(&f, text, "HETNAM", 1), "HETNAM     NAG 2-acetamido-2-deoxy-beta-D-glucopyranose");
  CHECK(nf_ends_with(text, "\nEND\n"));
  for (const char *p = text; *p; p = strchr(p, '\n') + 1) CHECK(strcspn(p, "\n") <= 80);
  // Links between residues of which one is not standard, both ways: C of ALA 1 to N of SEP 2.
  CHECK_STR(line(&f, text, "CONECT", 0), "CONECT    3    6");
  CHECK_STR(line(&f, text, "CONECT", 1), "CONECT    6    3");
  CHECK_INT(count(text, "CONECT"), 8);
  fixture_free(&f);
}

TEST(bonds) {
  static const ccd_atom atoms[] = {{.name = "C1"}, {.name = "C2"}, {.name = "O3"}, {.name = "O4"}, {.name = "H"}};
  static const ccd_bond pairs[] = {{0, 1, .order = 1}, {1, 2, .order = 2}, {0, 3, .order = 1}, {0, 4, .order = 1}};
  fixture f;
  fixture_make(&f);
  ccd_component sugar = {.id = "NAG", .name = "", .n_atoms = 5, .n_bonds = 4, .atoms = atoms, .bonds = pairs};
  f.layout.residues[5].component = f.layout.residues[6].component = &sugar;
  CHECK_STR(f.layout.residues[5].name, "NAG");
  int first = f.layout.residues[5].first_atom, second = f.layout.residues[6].first_atom;
  layout_bond bond = {.atom1 = first + 3, .atom2 = second};
  f.layout.n_bonds = 1;
  f.layout.bonds = &bond;
  const char *text = written(&f);
  // Serial numbers are two ahead, as two chains have ended before; the hydrogen is not there.
  const char *expected[] = {"CONECT   39   40   42", "CONECT   40   39   41", "CONECT   41   40", "CONECT   42   39   43",
                            "CONECT   43   42   44   46"};
  CHECK_INT(first, 36);
  for (int i = 0; i < 5; i++) CHECK_STR(line(&f, text, "CONECT", 4 + i), expected[i]);
  fixture_free(&f);
}

TEST(names_of_more_than_three_letters) {
  fixture f;
  fixture_make(&f);
  ccd_component smiles = {.id = "LIG_C", .name = "", .from_smiles = true};
  f.layout.residues[5].name = "A1LU6";
  f.layout.residues[6].name = "A1B2C";
  f.layout.residues[7].name = "LIG_Z";
  f.layout.residues[7].component = &smiles;
  const char *text = written(&f);
  CHECK(strstr(text, "REMARK   1 Component A1~ is A1LU6 in full.\n"));
  CHECK(strstr(text, "REMARK   1 Component ~00 is A1B2C in full.\n"));
  CHECK(strstr(text, " C1  A1~ C   1 ") && strstr(text, " C1  ~00 C   2 "));
  CHECK(strstr(text, "ZN   LIG Z   1 "));
  CHECK_STR(line(&f, text, "HETNAM", 1),
            "HETNAM     A1~ 2-acetamido-2-deoxy-beta-D-glucopyranose                A1LU6");
  CHECK_STR(line(&f, text, "HETNAM", 3), "HETNAM     LIG LIG_Z                                                   LIG_Z");
  fixture_free(&f);
}

TEST(large_numbers) {
  const struct {
    int64_t value;
    int width;
    const char *text;
  } cases[] = {{1, 4, "   1"},          {9999, 4, "9999"},        {10000, 4, "A000"},   {10035, 4, "A00Z"},
               {10036, 4, "A010"},      {1223055, 4, "ZZZZ"},     {1223056, 4, "a000"}, {2436111, 4, "zzzz"},
               {99999, 5, "99999"},     {100000, 5, "A0000"},     {100001, 5, "A0001"}, {43770015, 5, "ZZZZZ"},
               {43770016, 5, "a0000"},  {87440031, 5, "zzzzz"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char text[PDB_NUMBER_SIZE];
    pdb_number(cases[i].value, cases[i].width, text);
    CHECK_STR(text, cases[i].text);
  }
  // 120,000 atoms in 12,000 residues.
  enum { N = 12000 };
  fixture f = {.job = {.name = "large"}, .origin = {.model_name = "toy", .model_notice = ""}};
  fixture_allocate(&f, 1, N, 10 * N);
  fixture_add_chain(&f, "A", NF_PROTEIN);
  for (int i = 0; i < N; i++) fixture_add_residue(&f, "SEP");
  f.layout.n_tokens = 1;  // the text needs no pairs
  float *positions = NF_NEW(f.arena, float, 3 * f.layout.n_atoms), *plddt = NF_NEW(f.arena, float, f.layout.n_atoms);
  f.scores = (nf_scores){.n_atoms = f.layout.n_atoms, .positions = positions, .plddt = plddt};
  const char *text = written(&f);
  CHECK_INT(f.layout.n_atoms, 120000);
  CHECK_STR(line(&f, text, "HETATM", 99999),
            "HETATMA0000  O3P SEP AA000       0.000   0.000   0.000  1.00  0.00           O  ");
  CHECK_STR(line(&f, text, "CONECT", 2 * 10000), "CONECTA0005A000B");
  fixture_free(&f);
}

TEST(what_does_not_fit_is_left_out) {
  fixture f;
  fixture_make(&f);
  f.options.pdb = true;
  char dir[280], path[300], cif[300];
  snprintf(dir, sizeof dir, "%s", test_dir());
  snprintf(path, sizeof path, "%s/p_model.pdb", dir);
  snprintf(cif, sizeof cif, "%s/p_model.cif", dir);
  REQUIRE_OK(output_write_sample(dir, "p", &f.job, &f.layout, &f.batch, &f.scores, &f.origin, &f.options));
  CHECK(nf_file_exists(path));
  remove(path);
  remove(cif);
  ((float *)f.scores.positions)[0] = 10000.0f;
  REQUIRE_OK(output_write_sample(dir, "p", &f.job, &f.layout, &f.batch, &f.scores, &f.origin, &f.options));
  CHECK(!nf_file_exists(path));
  CHECK(nf_file_exists(cif));
  CHECK_STR(pdb_obstacle(&f.layout, &f.scores, f.arena),
            "a coordinate of 10000.000 angstrom is wider than the format's columns");
  ((float *)f.scores.positions)[0] = -1000.0f;
  CHECK(pdb_obstacle(&f.layout, &f.scores, f.arena) != NULL);
  ((float *)f.scores.positions)[0] = -999.999f;
  CHECK(pdb_obstacle(&f.layout, &f.scores, f.arena) == NULL);
  f.layout.n_chains = 63;
  CHECK_STR(pdb_obstacle(&f.layout, &f.scores, f.arena),
            "its 63 chains are more than the 62 that the format has letters for");
  f.layout.n_chains = 5;
  fixture_free(&f);
}

// 62 chains: every letter is used once.
TEST(chains_of_many_letters) {
  enum { N = 62 };
  fixture f = {.job = {.name = "chains"}, .origin = {.model_name = "toy", .model_notice = ""}};
  fixture_allocate(&f, N, N, N);
  char ids[N][4];
  for (int i = 0; i < N; i++) {
    snprintf(ids[i], sizeof ids[i], i < 26 ? "%c" : "%cA", 'A' + i % 26);
    if (i >= 52) snprintf(ids[i], sizeof ids[i], "%cB", 'A' + i % 26);
    fixture_add_chain(&f, ids[i], NF_LIGAND);
    fixture_add_residue(&f, "ZN");
  }
  fixture_fill_scores(&f);
  const char *text = written(&f);
  CHECK_INT(count(text, "REMARK   1 Chain"), 36);
  CHECK(strstr(text, "Chain a is chain AA of the job."));
  CHECK(strstr(text, "Chain 9 is chain JB of the job."));
  CHECK_INT(count(text, "HETATM"), N);
  fixture_free(&f);
}

TEST(terms_of_alphafold3) {
  fixture f;
  fixture_make(&f);
  f.origin.is_alphafold3 = true;
  f.origin.model_name = "AlphaFold 3";
  CHECK(strstr(written(&f), "REMARK   1 Non-commercial use only"));
  f.options.save_terms_of_use = false;
  CHECK(!strstr(written(&f), "Non-commercial"));
  CHECK(strstr(written(&f), "not intended for"));
  fixture_free(&f);
}
