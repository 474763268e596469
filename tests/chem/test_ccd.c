// The component dictionary: building, opening, finding; what is refused; damaged files.
#include <unistd.h>
#include <zlib.h>

#include "../test.h"
#include "base/file.h"
#include "base/log.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/str.h"
#include "chem/ccd.h"
#include "chem/ccd_format.h"
#include "chem/residues.h"
#include "formats/compress.h"

static const char *in_dir(const char *name) {
  static char paths[4][512];
  static int next;
  char *path = paths[next++ % 4];
  snprintf(path, sizeof paths[0], "%s/%s", test_dir(), name);
  return path;
}

// Without nf_file_write's wait for the disk: the tests below write thousands of files.
static void write_plain(const char *path, const void *data, size_t size) {
  FILE *f = fopen(path, "wb");
  if (!f || fwrite(data, 1, size, f) != size || fclose(f) != 0) abort();
}

TEST(small_dictionary) {
  const char *path = in_dir("small.bin");
  int n = 0;
  REQUIRE_OK(ccd_build(test_source("tests/chem/small.cif"), path, NULL, &n));
  CHECK_INT(n, 4);
  nf_ccd *ccd;
  REQUIRE_OK(ccd_open(path, &ccd));
  static const char *const sorted[] = {"LNK", "MEO", "OTHER", "UNX"};
  for (int i = 0; i < 4; i++) CHECK_STR(ccd_at(ccd, i)->id, sorted[i]);

  const ccd_component *c = ccd_find(ccd, "MEO");
  CHECK_STR(c->name, "methanol, made up");
  CHECK_STR(c->type, "NON-POLYMER");
  CHECK_STR(c->formula, "C H4 O");
  CHECK_STR(c->synonyms, "carbinol; \"wood\" alcohol\nsecond line");
  CHECK_STR(c->parent, "");
  CHECK_STR(c->smiles, "C[O]");
  CHECK_STR(ccd_nonstandard_flag(c), ".");
  CHECK_NEAR(c->formula_weight, 32.042, 1e-5);
  CHECK_INT(c->one_letter, '?');
  CHECK_INT(c->initial_date, 19990708);
  CHECK_INT(c->modified_date, 20110604);
  CHECK_INT(c->n_atoms, 5);
  CHECK_INT(c->n_bonds, 4);
  const ccd_atom *a = c->atoms;
  CHECK_STR(a[1].name, "O1'");
  CHECK_STR(a[1].element, "O");
  CHECK_STR(a[3].element, "D");
  CHECK(a[0].has_charge && a[1].has_charge && !a[4].has_charge);
  CHECK_INT(a[1].charge, -1);
  CHECK_INT(a[3].charge, 1);
  CHECK(!a[0].leaving && a[2].leaving);
  CHECK_INT(a[1].stereo, 'S');
  CHECK_INT(a[2].stereo, 'R');
  CHECK_INT(a[4].stereo, 'N');
  CHECK(a[0].has_model && !a[2].has_model && a[3].has_model && a[2].has_ideal && !a[4].has_ideal);
  CHECK(a[0].model[0] == 133.25f && a[0].model[1] == -40.001f && a[3].model[2] == 11.502f);
  CHECK(a[0].ideal[0] == -0.372f && a[3].ideal[2] == 0.88f && a[4].ideal[1] == 0);
  CHECK_INT(ccd_atom_index(c, "H13"), 4);
  CHECK_INT(ccd_atom_index(c, "H14"), -1);
  const ccd_bond *b = c->bonds;
  CHECK(b[0].atom1 == 0 && b[0].atom2 == 1 && b[3].atom1 == 4 && b[3].atom2 == 0);
  for (int i = 0; i < 4; i++) CHECK_INT(b[i].order, i == 3 ? 5 : i + 1);
  CHECK(!b[0].aromatic && b[0].has_aromatic && b[1].aromatic && !b[2].has_aromatic);
  CHECK(b[0].stereo == 'N' && b[1].stereo == 'E' && b[2].stereo == 'Z');

  c = ccd_find(ccd, "LNK");
  CHECK_INT(c->n_atoms, 1);
  CHECK_INT(c->n_bonds, 0);
  CHECK_STR(c->name, "");
  CHECK_STR(c->parent, "GLC");
  CHECK_STR(ccd_nonstandard_flag(c), "n");
  CHECK_INT(c->one_letter, 'N');
  CHECK_INT(c->modified_date, 0);
  CHECK(c->atoms[0].model[0] == 0.12345f && c->atoms[0].model[2] == -100.f && !c->atoms[0].has_ideal);
  CHECK(ccd_is_glycan_linking(c) && !ccd_is_glycan_other(c));
  c = ccd_find(ccd, "OTHER");
  CHECK_INT(c->n_atoms, 0);
  CHECK_STR(c->smiles, "N#N");
  CHECK_STR(ccd_nonstandard_flag(c), "y");
  CHECK(!ccd_is_glycan_linking(c) && ccd_is_glycan_other(c));
  c = ccd_find(ccd, "UNX");
  CHECK(!ccd_is_glycan_linking(c) && !ccd_is_glycan_other(c));
  CHECK(!ccd_find(ccd, "meo") && !ccd_find(ccd, "") && !ccd_find(ccd, "A-CODE-LONGER-THAN-ANY"));
  CHECK(ccd_find(ccd, "ALA") != NULL);  // the embedded part stays behind the file
  ccd_close(ccd);
}

TEST(compressed_and_chosen) {
  char *text;
  size_t size;
  REQUIRE_OK(nf_file_read(test_source("tests/chem/small.cif"), &text, &size));
  const char *plain = in_dir("plain.bin");
  REQUIRE_OK(ccd_build(test_source("tests/chem/small.cif"), plain, NULL, NULL));
  char *want, *got;
  size_t want_size, got_size;
  REQUIRE_OK(nf_file_read(plain, &want, &want_size));

  const char *gz = in_dir("small.cif.gz");
  gzFile f = gzopen(gz, "wb");
  CHECK_INT(gzwrite(f, text, (unsigned)size), (int)size);
  gzclose(f);
  const char *zst = in_dir("small.cif.zst");
  void *packed;
  size_t packed_size;
  REQUIRE_OK(nf_zstd_compress(text, size, 3, &packed, &packed_size));
  write_plain(zst, packed, packed_size);
  for (int k = 0; k < 2; k++) {
    const char *out = in_dir("out.bin");
    REQUIRE_OK(ccd_build(k ? zst : gz, out, NULL, NULL));
    REQUIRE_OK(nf_file_read(out, &got, &got_size));
    CHECK(got_size == want_size && memcmp(got, want, want_size) == 0);
    free(got);
  }
  write_plain(zst, packed, packed_size / 2);
  CHECK_INT(ccd_build(zst, in_dir("out.bin"), NULL, NULL), NF_INPUT);
  free(packed);
  free(want);
  free(text);

  const char *some = in_dir("some.bin");
  int n;
  REQUIRE_OK(ccd_build(test_source("tests/chem/small.cif"), some, (const char *const[]){"OTHER", "MEO", NULL}, &n));
  CHECK_INT(n, 2);
  CHECK_INT(ccd_build(test_source("tests/chem/small.cif"), some, (const char *const[]){"OTHER", "NOPE", NULL}, &n),
            NF_INPUT);
  CHECK(strstr(nf_message(), "has no component NOPE") != NULL);
}

#define COMP(id) "data_" id "\n_chem_comp.id " id "\n_chem_comp.type other\n"
#define ATOMS "loop_\n_chem_comp_atom.atom_id\n_chem_comp_atom.type_symbol\n"
#define CHARGED "loop_\n_chem_comp_atom.atom_id\n_chem_comp_atom.type_symbol\n_chem_comp_atom.charge\n"
#define XYZ                                                                                      \
  "loop_\n_chem_comp_atom.atom_id\n_chem_comp_atom.type_symbol\n_chem_comp_atom.model_Cartn_x\n" \
  "_chem_comp_atom.model_Cartn_y\n_chem_comp_atom.model_Cartn_z\n"
#define BONDS "loop_\n_chem_comp_bond.atom_id_1\n_chem_comp_bond.atom_id_2\n_chem_comp_bond.value_order\n"

TEST(broken_dictionaries_are_refused) {
  static const struct {
    const char *text, *message;
  } cases[] = {
      {"", "is empty"},
      {"\x01\x02\x03 rubbish \xff\xfe", "line 1"},
      {"{\"json\": true}", "line 1"},
      {"data_AAA\n_chem_comp.name x\n", "_chem_comp.id: is missing"},
      {"data_AAA\n_chem_comp.id BBB\n", "is not the name of its data block"},
      {"data_\n_chem_comp.id A\n", "data_ without the name"},
      {"data_ABCDEFGHIJKL\n_chem_comp.id ABCDEFGHIJKL\n", "1 to 11 characters"},
      {COMP("AAA") COMP("BBB") COMP("AAA"), "component AAA: _chem_comp.id: the component comes twice"},
      {COMP("AAA") "_chem_comp.formula_weight heavy\n", "_chem_comp.formula_weight, row 1: \"heavy\" is not a weight"},
      {COMP("AAA") "_chem_comp.formula_weight -3\n", "is not a weight"},
      {COMP("AAA") "_chem_comp.pdbx_modified_date 2024-13-01\n", "is not a date"},
      {COMP("AAA") "_chem_comp.pdbx_initial_date yesterday\n", "_chem_comp.pdbx_initial_date, row 1: \"yesterday\""},
      {COMP("AAA") "loop_\n_chem_comp_atom.atom_id\nC1\n", "_chem_comp_atom.type_symbol: is missing"},
      {COMP("AAA") "loop_\n_chem_comp_atom.type_symbol\nC\n", "_chem_comp_atom.atom_id: is missing"},
      {COMP("AAA") ATOMS "C1 C\nC1 C\n", "row 2: \"C1\" is not unique"},
      {COMP("AAA") ATOMS "C1 C\n? C\n", "row 2: \"?\" is not an atom name"},
      {COMP("AAA") ATOMS "C1234567 C\n", "is not an atom name of 1 to 7 characters"},
      {COMP("AAA") ATOMS "C1 C\nQ1 Qq\n",
       "component AAA: _chem_comp_atom.type_symbol, row 2: \"Qq\" is not an element"},
      {COMP("AAA") ATOMS "C1 ?\n", "is not an element"},
      {COMP("AAA") CHARGED "C1 C 0.5\n", "_chem_comp_atom.charge, row 1: \"0.5\" is not a whole number"},
      {COMP("AAA") CHARGED "C1 C 999999999999999999999\n", "is not a whole number"},
      {COMP("AAA") CHARGED "C1 C 300\n", "is not a whole number"},
      {COMP("AAA") XYZ "C1 C 0 0 x\n", "_chem_comp_atom.model_Cartn_z, row 1: \"x\" is not a coordinate"},
      {COMP("AAA") XYZ "C1 C nan 0 0\n", "is not a coordinate"},
      {COMP("AAA") XYZ "C1 C 0 1e99 0\n", "is not a coordinate within 100000 angstrom"},
      {COMP("AAA") ATOMS "C1 C\nC2 C\n" BONDS "C1 C3 SING\n",
       "_chem_comp_bond.atom_id_2, row 1: \"C3\" is not an atom of this component"},
      {COMP("AAA") ATOMS "C1 C\nC2 C\n" BONDS "C1 C1 SING\n", "is not another atom"},
      {COMP("AAA") ATOMS "C1 C\nC2 C\n" BONDS "C1 C2 STRONG\n", "\"STRONG\" is not a bond order"},
      {COMP("AAA") ATOMS "C1 C\nC2 C\n"
                         "loop_\n_chem_comp_bond.atom_id_1\n_chem_comp_bond.atom_id_2\nC1 C2\n",
       "_chem_comp_bond.value_order: is missing"},
      {COMP("AAA") ATOMS "C1 C\nC2 C\n"
                         "loop_\n_chem_comp_bond.atom_id_1\nC1\n",
       "_chem_comp_bond.atom_id_2: is missing"},
      {COMP("AAA") BONDS "C1 C2 SING\n", "is not an atom of this component"},
      {COMP("AAA") ATOMS "C1 C\nC2\n", "broken.cif"},  // a row cut short
      {COMP("AAA") ATOMS "C1 C\n;text without end\n", "broken.cif"},
      {COMP("AAA") ATOMS "C1 C\nC2 C\n_chem_comp_atom.charge 0\n",
       "_chem_comp_atom.charge: has another number of rows"},
  };
  const char *path = in_dir("broken.cif"), *out = in_dir("broken.bin");
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    write_plain(path, cases[i].text, strlen(cases[i].text));
    CHECK_INT(ccd_build(path, out, NULL, NULL), NF_INPUT);
    if (!strstr(nf_message(), cases[i].message) || !strstr(nf_message(), "broken.cif")) {
      test_fail(__FILE__, __LINE__, "case %zu: message \"%s\", expected \"%s\"", i, nf_message(), cases[i].message);
    }
    CHECK(!strchr(nf_message(), '\n'));
    CHECK(!nf_file_exists(out));
  }
  printf("  %zu broken dictionaries refused\n", sizeof cases / sizeof *cases);
  CHECK_INT(ccd_build("/nonexistent/components.cif", out, NULL, NULL), NF_INPUT);
  CHECK_INT(ccd_build("/tmp", out, NULL, NULL), NF_INPUT);
  CHECK_INT(ccd_build(test_source("tests/chem/small.cif"), "/nonexistent/ccd.bin", NULL, NULL), NF_FAILED);
}

TEST(too_many_atoms_are_refused) {
  nf_str text = {0};
  nf_str_puts(&text, COMP("BIG") ATOMS);
  for (int i = 0; i < 32768; i++) nf_str_printf(&text, "A%d C\n", i);
  const char *path = in_dir("big.cif"), *out = in_dir("big.bin");
  write_plain(path, text.data, text.length);
  CHECK_INT(ccd_build(path, out, NULL, NULL), NF_INPUT);
  CHECK(strstr(nf_message(), "component BIG: _chem_comp_atom: has more than 32767 atoms") != NULL);
  // One less is fine, and so are bonds to the last atom.
  text.length = strlen(COMP("BIG") ATOMS);
  for (int i = 0; i < 32767; i++) nf_str_printf(&text, "A%d C\n", i);
  nf_str_puts(&text, BONDS "A32766 A0 SING\n");
  write_plain(path, text.data, text.length);
  nf_str_free(&text);
  REQUIRE_OK(ccd_build(path, out, NULL, NULL));
  nf_ccd *ccd;
  REQUIRE_OK(ccd_open(out, &ccd));
  const ccd_component *c = ccd_find(ccd, "BIG");
  CHECK(c && c->n_atoms == 32767 && c->bonds[0].atom1 == 32766);
  ccd_close(ccd);
}

// Looks at everything of every component, so that a sanitizer sees a bad pointer or value.
static long look_at_all(const nf_ccd *ccd, int n) {
  long sum = 0;
  for (int i = 0; i < n; i++) {
    const ccd_component *c = ccd_at(ccd, i);
    if (!c) continue;
    sum += (long)(strlen(c->id) + strlen(c->name) + strlen(c->type) + strlen(c->formula) + strlen(c->parent) +
                  strlen(c->synonyms) + strlen(c->smiles));
    for (int k = 0; k < c->n_atoms; k++) {
      sum += (long)strlen(c->atoms[k].name) + (long)strlen(c->atoms[k].element) + c->atoms[k].leaving;
      for (int d = 0; d < 3; d++) CHECK(isfinite(c->atoms[k].ideal[d]) && isfinite(c->atoms[k].model[d]));
    }
    for (int k = 0; k < c->n_bonds; k++) {
      CHECK(c->bonds[k].atom1 >= 0 && c->bonds[k].atom1 < c->n_atoms);
      CHECK(c->bonds[k].atom2 >= 0 && c->bonds[k].atom2 < c->n_atoms);
      sum += c->atoms[c->bonds[k].atom1].charge;
    }
  }
  return sum;
}

// Makes the checksums right again, as somebody would who meant harm.
static void mend(unsigned char *data, size_t size) {
  ccd_header *header = (ccd_header *)(void *)data;
  if (header->index_offset % 8 || header->index_offset > size ||
      header->n_components > (size - header->index_offset) / sizeof(ccd_entry)) {
    return;
  }
  ccd_entry *index = (ccd_entry *)(void *)(data + header->index_offset);
  for (uint32_t i = 0; i < header->n_components; i++) {
    ccd_entry *e = &index[i];
    if (e->offset <= size && e->size <= size - e->offset) e->checksum = nf_fnv1a(data + e->offset, e->size);
  }
  header->checksum = ccd_checksum(header, index);
}

TEST(damaged_files_never_crash) {
  const char *good = in_dir("good.bin"), *path = in_dir("bad.bin");
  REQUIRE_OK(ccd_build(test_source("tests/chem/small.cif"), good, NULL, NULL));
  char *text;
  size_t size;
  REQUIRE_OK(nf_file_read(good, &text, &size));
  unsigned char *data = nf_alloc(size);
  nf_ccd *ccd;
  for (size_t length = 0; length < size; length++) {
    write_plain(path, text, length);
    CHECK_INT(ccd_open(path, &ccd), NF_INPUT);
    CHECK(strstr(nf_message(), "bad.bin") && strstr(nf_message(), "nativefold ccd build"));
  }
  int opened = 0, refused = 0, records = 0;
  for (int mended = 0; mended < 2; mended++) {
    for (size_t i = 0; i < size; i++) {
      for (int k = 0; k < 5; k++) {
        memcpy(data, text, size);
        data[i] = k == 0 ? 0 : k == 1 ? 0xff : data[i] ^ (unsigned char)(1 << (k * 2 - 3));
        if (data[i] == (unsigned char)text[i]) continue;
        if (mended) mend(data, size);
        write_plain(path, data, size);
        if (ccd_open(path, &ccd) != NF_OK) {
          refused++;
          continue;
        }
        opened++;
        const ccd_component *c;
        for (int j = 0; j < 4; j++) {
          if (!ccd_at(ccd, j)) records++;
        }
        look_at_all(ccd, 4);
        if (!mended && !ccd_at(ccd, 1)) {
          CHECK_INT(ccd_require(ccd, "job.json", "MEO", &c), NF_INPUT);
          CHECK(strstr(nf_message(), "damaged") != NULL);
        }
        ccd_close(ccd);
      }
    }
  }
  // Without mending, only the padding before the index can change unnoticed.
  printf("  %d damaged files: %d refused at opening, %d records refused later\n", opened + refused, refused, records);
  CHECK(refused > 1000 && records > 1000);
  free(data);
  free(text);
}

TEST(not_a_dictionary) {
  nf_ccd *ccd;
  const char *path = in_dir("ccd.bin");
  static const char text[] =
      "data_ALA\n_chem_comp.id ALA\n# a text file, long enough to hold a header of sixty-four bytes\n";
  write_plain(path, text, strlen(text));
  CHECK_INT(ccd_open(path, &ccd), NF_INPUT);
  CHECK(strstr(nf_message(), "is not a component dictionary made by nativefold ccd build") != NULL);
  CHECK(ccd == NULL);
  CHECK_INT(ccd_open("/nonexistent/ccd.bin", &ccd), NF_INPUT);
  CHECK_INT(ccd_open("/tmp", &ccd), NF_INPUT);
  ccd_close(NULL);
}

TEST(where_the_dictionary_is_found) {
  const char *dir = test_dir();
  char path[512], *old = getenv("XDG_DATA_HOME") ? strdup(getenv("XDG_DATA_HOME")) : NULL;
  unsetenv("NATIVEFOLD_CCD");
  setenv("XDG_DATA_HOME", dir, 1);
  nf_ccd *ccd;
  const ccd_component *c;
  REQUIRE_OK(ccd_open(NULL, &ccd));
  int embedded = ccd_count(ccd);
  CHECK_INT(ccd_require(ccd, "job.json: ligand L", "MEO", &c), NF_INPUT);
  CHECK(strncmp(nf_message(), "job.json: ligand L: component MEO ", 34) == 0);
  CHECK(strstr(nf_message(), "nativefold ccd build components.cif.gz") != NULL);
  ccd_close(ccd);

  snprintf(path, sizeof path, "%s/nativefold", dir);
  REQUIRE_OK(nf_dir_create(path));
  char *found = ccd_default_path();
  REQUIRE_OK(ccd_build(test_source("tests/chem/small.cif"), found, NULL, NULL));
  REQUIRE_OK(ccd_open(NULL, &ccd));
  CHECK_INT(ccd_count(ccd), embedded + 4);
  REQUIRE_OK(ccd_require(ccd, "job.json", "MEO", &c));
  CHECK_INT(ccd_require(ccd, "job.json: ligand L", "NOPE", &c), NF_INPUT);
  CHECK(strstr(nf_message(), found) && strstr(nf_message(), "nativefold ccd build"));
  ccd_close(ccd);
  CHECK_INT(remove(found), 0);

  snprintf(path, sizeof path, "%s/named.bin", dir);
  REQUIRE_OK(ccd_build(test_source("tests/chem/small.cif"), path, NULL, NULL));
  setenv("NATIVEFOLD_CCD", path, 1);
  REQUIRE_OK(ccd_open(NULL, &ccd));
  CHECK_INT(ccd_count(ccd), embedded + 4);
  ccd_close(ccd);
  unsetenv("NATIVEFOLD_CCD");
  if (old) {
    setenv("XDG_DATA_HOME", old, 1);
  } else {
    unsetenv("XDG_DATA_HOME");
  }
  free(old);
  free(found);
}

// Opens the embedded subset alone.
static nf_ccd *open_embedded(void) {
  nf_ccd *ccd = NULL;
  setenv("XDG_DATA_HOME", "/nonexistent", 1);
  unsetenv("NATIVEFOLD_CCD");
  CHECK_OK(ccd_open(NULL, &ccd));
  return ccd;
}

TEST(the_embedded_subset_has_every_listed_code) {
  nf_ccd *ccd = open_embedded();
  char *text;
  size_t size;
  REQUIRE_OK(nf_file_read(test_source("data/ccd_codes.txt"), &text, &size));
  int n = 0;
  char *lines = NULL;
  for (char *line = strtok_r(text, "\n", &lines); line; line = strtok_r(NULL, "\n", &lines)) {
    char *words = NULL;
    if (*line == '#') continue;
    for (char *word = strtok_r(line, " ", &words); word; word = strtok_r(NULL, " ", &words), n++) {
      const ccd_component *c = ccd_find(ccd, word);
      if (!c) test_fail(__FILE__, __LINE__, "%s is not embedded", word);
      if (c && c->n_atoms == 0) CHECK_STR(c->id, "UNL");
    }
  }
  CHECK_INT(n, ccd_count(ccd));
  CHECK(n >= 900);
  CHECK(look_at_all(ccd, n) > 0);
  free(text);
  ccd_close(ccd);
}

TEST(embedded_components) {
  nf_ccd *ccd = open_embedded();
  const ccd_component *c = ccd_find(ccd, "ALA");
  CHECK_STR(c->name, "ALANINE");
  CHECK_STR(c->type, "L-PEPTIDE LINKING");
  CHECK_INT(c->one_letter, 'A');
  CHECK_INT(c->n_atoms, 13);
  CHECK_INT(c->n_bonds, 12);
  CHECK_STR(c->atoms[1].name, "CA");
  CHECK_INT(c->atoms[1].stereo, 'S');
  CHECK(c->atoms[ccd_atom_index(c, "OXT")].leaving && !c->atoms[0].leaving);
  CHECK_NEAR(c->formula_weight, 89.093, 1e-4);
  CHECK_STR(ccd_nonstandard_flag(c), "y");
  CHECK_STR(ccd_find(ccd, "MSE")->parent, "MET");
  CHECK_STR(ccd_nonstandard_flag(ccd_find(ccd, "MSE")), "n");
  CHECK_INT(ccd_find(ccd, "HEM")->n_atoms, 75);
  CHECK_STR(ccd_find(ccd, "HEM")->atoms[ccd_atom_index(ccd_find(ccd, "HEM"), "FE")].element, "FE");
  CHECK_STR(ccd_find(ccd, "DOD")->atoms[1].element, "D");
  CHECK(ccd_is_glycan_linking(ccd_find(ccd, "NAG")) && !ccd_is_glycan_other(ccd_find(ccd, "NAG")));
  CHECK(!ccd_is_glycan_linking(ccd_find(ccd, "ATP")) && !ccd_is_glycan_other(ccd_find(ccd, "ATP")));
  int linking = 0, other = 0;
  for (int i = 0; i < ccd_count(ccd); i++) {
    linking += ccd_is_glycan_linking(ccd_at(ccd, i));
    other += ccd_is_glycan_other(ccd_at(ccd, i));
  }
  CHECK(linking > 30 && other > 10);

  // The dense layout is the dictionary's own order, hydrogens and the protein's OXT left out.
  for (int k = 0; k < NF_N_CLASSES; k++) {
    const char *const *names;
    int n = residue_dense_atoms(residue_class_code(k), &names), at = 0;
    if (n == 0) continue;
    c = ccd_find(ccd, residue_class_code(k));
    for (int i = 0; i < c->n_atoms; i++) {
      if (strcmp(c->atoms[i].element, "H") == 0 || strcmp(c->atoms[i].name, "OXT") == 0) continue;
      CHECK(at < n);
      if (at < n) CHECK_STR(c->atoms[i].name, names[at++]);
    }
    CHECK_INT(at, n);
  }
  ccd_close(ccd);
}

TEST(components_are_decoded_once_whatever_the_thread) {
  nf_ccd *ccd = open_embedded();
  int n = ccd_count(ccd), differ = 0;
#pragma omp parallel for schedule(dynamic) reduction(+ : differ)
  for (int i = 0; i < 8 * n; i++) {
    const ccd_component *c = ccd_at(ccd, i % n);
    differ += !c || ccd_find(ccd, c->id) != c;
  }
  CHECK_INT(differ, 0);
  ccd_close(ccd);
}

TEST(printing) {
  nf_ccd *ccd = open_embedded();
  char *text = NULL;
  size_t size = 0;
  FILE *f = open_memstream(&text, &size);
  ccd_print(f, ccd_find(ccd, "HOH"));
  ccd_print(f, ccd_find(ccd, "UNL"));
  fclose(f);
  CHECK(strstr(text, "code       HOH\n") && strstr(text, "formula    H2 O\n") && strstr(text, "3 atoms"));
  CHECK(strstr(text, "  O       H1      single      N N\n") && strstr(text, "0 atoms"));
  free(text);
  ccd_close(ccd);
}

TEST(opening_a_dictionary_of_full_size) {
  // As many components as the wwPDB has, small ones.
  nf_str text = {0};
  const int n = 50000;
  for (int i = 0; i < n; i++)
    nf_str_printf(&text, "data_X%d\n_chem_comp.id X%d\n_chem_comp.type other\n" ATOMS "C1 C\n", i, i);
  const char *cif = in_dir("full.cif"), *path = in_dir("full.bin");
  write_plain(cif, text.data, text.length);
  nf_str_free(&text);
  REQUIRE_OK(ccd_build(cif, path, NULL, NULL));
  nf_ccd *ccd;
  double best = 1e9;
  for (int i = 0; i < 5; i++) {
    double start = nf_seconds();
    REQUIRE_OK(ccd_open(path, &ccd));
    double took = nf_seconds() - start;
    best = took < best ? took : best;
    CHECK(ccd_find(ccd, "X49999") && ccd_find(ccd, "X0") && !ccd_find(ccd, "X50000"));
    ccd_close(ccd);
  }
  printf("  opening %d components takes %.2f ms\n", n, best * 1e3);
}

// ---- overlays

// A component as the reference demands it; %s is its code.
#define USER_COMPONENT                                                                                              \
  "data_%s\n#\n_chem_comp.id %s\n_chem_comp.name 'a ligand'\n_chem_comp.type non-polymer\n_chem_comp.formula '?'\n" \
  "_chem_comp.mon_nstd_parent_comp_id ?\n_chem_comp.pdbx_synonyms ?\n_chem_comp.formula_weight %s\n#\n"             \
  "loop_\n_chem_comp_atom.comp_id\n_chem_comp_atom.atom_id\n_chem_comp_atom.type_symbol\n_chem_comp_atom.charge\n"  \
  "_chem_comp_atom.pdbx_leaving_atom_flag\n_chem_comp_atom.pdbx_model_Cartn_x_ideal\n"                              \
  "_chem_comp_atom.pdbx_model_Cartn_y_ideal\n_chem_comp_atom.pdbx_model_Cartn_z_ideal\n"                            \
  "X C1 C 0 N 0.0 0.1 0.2\nX O1 O -1 Y 1.4 0.1234 ?\n#\n"                                                           \
  "loop_\n_chem_comp_bond.atom_id_1\n_chem_comp_bond.atom_id_2\n_chem_comp_bond.value_order\n"                      \
  "_chem_comp_bond.pdbx_aromatic_flag\nC1 O1 %s N\n#\n"

static nf_ccd *subset(void) {
  setenv("XDG_DATA_HOME", "/nonexistent", 1);
  unsetenv("NATIVEFOLD_CCD");
  nf_ccd *ccd = NULL;
  CHECK_OK(ccd_open(NULL, &ccd));
  return ccd;
}

TEST(overlay_of_a_users_components) {
  nf_arena *arena = nf_arena_create();
  nf_ccd *base = subset(), *overlay = ccd_overlay(base, arena);
  char text[8192];
  int n = snprintf(text, sizeof text, USER_COMPONENT, "MY-LIGAND-0123", "other", "48.0", "SING");
  n += snprintf(text + n, sizeof text - (size_t)n, USER_COMPONENT, "NAG", "NAG", "unknown", "sing");
  CHECK_OK(ccd_overlay_read(overlay, "job.json: userCCD", text, (size_t)n));
  const ccd_component *c = ccd_find(overlay, "MY-LIGAND-0123");
  CHECK(c && c->from_user && !c->from_smiles && !c->replaces);
  CHECK_STR(c->id, "MY-LIGAND-0123");
  CHECK_STR(c->name, "a ligand");
  CHECK_STR(c->formula, "?");
  CHECK_STR(c->parent, "");
  CHECK_NEAR(c->formula_weight, 48, 0);
  CHECK_INT(c->n_atoms, 2);
  CHECK(c->atoms[0].has_ideal && c->atoms[0].ideal[2] == 0.2f && !c->atoms[1].has_ideal && c->atoms[1].leaving);
  CHECK_INT(c->atoms[1].charge, -1);
  CHECK(c->n_bonds == 1 && c->bonds[0].order == 1 && c->bonds[0].has_aromatic && !c->bonds[0].aromatic);
  // One that stands for the dictionary's: it stays a sugar, as the reference's sets are of codes.
  c = ccd_find(overlay, "NAG");
  CHECK(c && c->from_user && c->replaces == ccd_find(base, "NAG") && c->n_atoms == 2);
  CHECK_INT(c->bonds[0].order, 0);
  CHECK(c->formula_weight == 0);
  CHECK(ccd_is_glycan_linking(c) && !ccd_is_glycan_other(c));
  CHECK(ccd_find(base, "NAG")->n_atoms > 2);
  CHECK(ccd_find(overlay, "ALA") == ccd_find(base, "ALA"));
  CHECK_INT(ccd_count(overlay), ccd_count(base) + 2);
  CHECK_STR(ccd_at(overlay, 0)->id, "MY-LIGAND-0123");
  CHECK(ccd_at(overlay, 2) == ccd_at(base, 0));
  const ccd_component *found;
  CHECK_OK(ccd_require(overlay, "x", "NAG", &found));
  CHECK(found == c);
  CHECK_INT(ccd_require(overlay, "job.json: ligand L", "NOWHERE", &found), NF_INPUT);
  CHECK(strstr(nf_message(), "job.json: ligand L: component NOWHERE is not among"));
  ccd_close(overlay);
  CHECK_STR(c->id, "NAG");  // components stay
  ccd_close(base);
  nf_arena_free(arena);
}

TEST(overlay_refusals) {
  nf_arena *arena = nf_arena_create();
  nf_ccd *base = subset();
  char good[2048], text[4096];
  snprintf(good, sizeof good, USER_COMPONENT, "LIG", "LIG", "1.0", "SING");
  const struct {
    const char *from, *to, *message;
  } cases[] = {
      {good, "", "userCCD: holds no CIF data block"},
      {"data_LIG", "data_", "without the name"},
      {"_chem_comp.name 'a ligand'\n", "", "component LIG: lacks _chem_comp.name"},
      {"_chem_comp.id LIG\n_chem_comp.name 'a ligand'\n", "", "lacks _chem_comp.id, _chem_comp.name"},
      {"_chem_comp.mon_nstd_parent_comp_id ?\n", "", "lacks _chem_comp.mon_nstd_parent_comp_id"},
      {"_chem_comp.formula_weight 1.0\n", "", "lacks _chem_comp.formula_weight"},
      {"_chem_comp.pdbx_synonyms ?\n", "", "lacks _chem_comp.pdbx_synonyms"},
      {"_chem_comp.type non-polymer\n", "", "lacks _chem_comp.type"},
      {"_chem_comp_atom.comp_id", "_chem_comp_atom.other", "lacks _chem_comp_atom.comp_id"},
      {"_chem_comp_atom.charge", "_chem_comp_atom.other", "lacks _chem_comp_atom.charge"},
      {"_chem_comp_atom.pdbx_model_Cartn_y_ideal", "_chem_comp_atom.other", "lacks _chem_comp_atom.pdbx_model_Cartn_y"},
      {"_chem_comp.id LIG\n", "", "lacks _chem_comp.id"},
      {"_chem_comp.formula '?'\n", "", "lacks _chem_comp.formula"},
      {"_chem_comp_atom.atom_id", "_chem_comp_atom.other", "lacks _chem_comp_atom.atom_id"},
      {"_chem_comp_atom.type_symbol", "_chem_comp_atom.other", "lacks _chem_comp_atom.type_symbol"},
      {"_chem_comp_atom.pdbx_model_Cartn_x_ideal", "_chem_comp_atom.other", "lacks _chem_comp_atom.pdbx_model_Cartn_x"},
      {"_chem_comp_atom.pdbx_model_Cartn_z_ideal", "_chem_comp_atom.other", "lacks _chem_comp_atom.pdbx_model_Cartn_z"},
      {"_chem_comp_bond.atom_id_1", "_chem_comp_bond.other", "lacks _chem_comp_bond.atom_id_1"},
      {"_chem_comp_bond.atom_id_2", "_chem_comp_bond.other", "lacks _chem_comp_bond.atom_id_2"},
      {"_chem_comp_bond.value_order", "_chem_comp_bond.other", "lacks _chem_comp_bond.value_order"},
      {"_chem_comp_bond.pdbx_aromatic_flag", "_chem_comp_bond.other", "lacks _chem_comp_bond.pdbx_aromatic_flag"},
      {"X O1 O", "X C1 O", "unique"},
      {"X O1 O", "X OXYGENATOM O", "1 to 7 characters"},
      {"X O1 O -1", "X O1 O much", "whole number from -100 to 100"},
      {"X O1 O", "X O1 QQ", "not an element"},
      {"C1 O1 SING", "C1 O2 SING", "not an atom of this component"},
      {"C1 O1 SING", "C1 C1 SING", "another atom"},
      {"1.4 0.1234", "1.4 far", "a coordinate within"},
      {"loop_\n_chem_comp_atom.comp_id", "loop_\n", "line"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const char *at = strstr(good, cases[i].from);
    if (!at) abort();
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - good), good, cases[i].to, at + strlen(cases[i].from));
    nf_ccd *overlay = ccd_overlay(base, arena);
    nf_status status = ccd_overlay_read(overlay, "job.json: userCCD", text, strlen(text));
    if (status != NF_INPUT || strncmp(nf_message(), "job.json: userCCD", 17) != 0 ||
        !strstr(nf_message(), cases[i].message)) {
      test_fail(__FILE__, __LINE__, "case %zu: %s", i, status == NF_OK ? "accepted" : nf_message());
    }
    ccd_close(overlay);
  }
  snprintf(text, sizeof text, "%s%s", good, good);
  nf_ccd *overlay = ccd_overlay(base, arena);
  CHECK_INT(ccd_overlay_read(overlay, "job.json: userCCD", text, strlen(text)), NF_INPUT);
  CHECK(strstr(nf_message(), "component LIG: comes twice"));
  ccd_close(overlay);
  // An atom alone: a row of question marks, or of no bonds at all.
  overlay = ccd_overlay(base, arena);
  const char *at = strstr(good, "C1 O1 SING N");
  snprintf(text, sizeof text, "%.*s? ? ? ?\n", (int)(at - good), good);
  CHECK_OK(ccd_overlay_read(overlay, "job.json: userCCD", text, strlen(text)));
  CHECK_INT(ccd_find(overlay, "LIG")->n_bonds, 0);
  ccd_close(overlay);
  ccd_close(base);
  nf_arena_free(arena);
}
