// The mmCIF file: read back by our own reader and by gemmi, with the values that went in.
#include <unistd.h>

#include "../test.h"
#include "base/file.h"
#include "base/str.h"
#include "fixture.h"
#include "formats/cif.h"
#include "output/mmcif.h"

// The file as text and parsed. The text is freed with the fixture's arena.
static const char *write_and_parse(fixture *f, cif_file *file) {
  nf_str text = {0};
  CHECK_OK(mmcif_append(&text, &f->job, &f->layout, &f->scores, &f->origin, &f->options, f->arena));
  CHECK_OK(cif_parse("made.cif", text.data, text.length, f->arena, file));
  const char *copy = nf_arena_strndup(f->arena, text.data, text.length);
  nf_str_free(&text);
  return copy;
}

static const char *value(const cif_file *file, const char *name, int row) {
  return cif_value(&file->blocks[0], name, row);
}
static int n_rows(const cif_file *file, const char *name) {
  const cif_column *column = cif_find(&file->blocks[0], name);
  return column ? column->n_rows : 0;
}

TEST(atoms_survive) {
  fixture f;
  cif_file file;
  fixture_make(&f);
  write_and_parse(&f, &file);
  CHECK_STR(file.blocks[0].name, "made_job");
  CHECK_STR(value(&file, "_entry.id", 0), "made_job");
  CHECK_INT(n_rows(&file, "_atom_site.id"), f.layout.n_atoms);
  for (int i = 0; i < f.layout.n_atoms; i++) {
    const layout_atom *atom = &f.layout.atoms[i];
    const layout_residue *r = &f.layout.residues[atom->residue];
    const layout_chain *chain = &f.layout.chains[r->chain];
    CHECK_STR(value(&file, "_atom_site.label_atom_id", i), atom->name);
    CHECK_STR(value(&file, "_atom_site.type_symbol", i), atom->element);
    CHECK_STR(value(&file, "_atom_site.label_comp_id", i), r->name);
    CHECK_STR(value(&file, "_atom_site.label_asym_id", i), chain->id);
    CHECK_STR(value(&file, "_atom_site.auth_asym_id", i), chain->id);
    CHECK_INT(atoi(value(&file, "_atom_site.auth_seq_id", i)), r->id);
    CHECK_INT(atoi(value(&file, "_atom_site.label_entity_id", i)), r->chain + 1);
    CHECK_INT(atoi(value(&file, "_atom_site.id", i)), i + 1);
    const char *number = value(&file, "_atom_site.label_seq_id", i);
    if (chain->kind == NF_LIGAND) {
      CHECK(cif_is_null(number));
    } else {
      CHECK_INT(atoi(number), r->id);
    }
    CHECK_NEAR(atof(value(&file, "_atom_site.Cartn_x", i)), f.scores.positions[i * 3], 0.0005);
    CHECK_NEAR(atof(value(&file, "_atom_site.Cartn_z", i)), f.scores.positions[i * 3 + 2], 0.0005);
    CHECK_NEAR(atof(value(&file, "_atom_site.B_iso_or_equiv", i)), f.scores.plddt[i], 0.005);
    CHECK_STR(value(&file, "_atom_site.occupancy", i), "1.00");
    CHECK_STR(value(&file, "_atom_site.pdbx_PDB_model_num", i), "1");
    bool standard = strcmp(r->name, "ALA") == 0 || strcmp(r->name, "G") == 0;
    CHECK_STR(value(&file, "_atom_site.group_PDB", i), standard ? "ATOM" : "HETATM");
  }
  fixture_free(&f);
}

// Alignment, quoting and decimals; a quoted name widens its column.
TEST(atom_lines_look_like_the_references) {
  fixture f;
  cif_file file;
  fixture_make(&f);
  const char *text = write_and_parse(&f, &file);
  CHECK(strstr(text, "\nATOM   1  N  N     . ALA A    1 1 ? -0.000 3.250 6.500 1.00 90.00 1 A    1 \n"));
  CHECK(strstr(text, "\nATOM   24 O  \"O5'\" . "));
  CHECK(strstr(text, "\nHETATM 45 ZN ZN    . ZN  Z    4 . ? 66.000 3.250 6.500 1.00 73.72 1 Z    1 \n"));
  fixture_free(&f);
}

static const char *const atom_site_order[] = {"group_PDB",      "id",
                                              "type_symbol",    "label_atom_id",
                                              "label_alt_id",   "label_comp_id",
                                              "label_asym_id",  "label_entity_id",
                                              "label_seq_id",   "pdbx_PDB_ins_code",
                                              "Cartn_x",        "Cartn_y",
                                              "Cartn_z",        "occupancy",
                                              "B_iso_or_equiv", "auth_seq_id",
                                              "auth_asym_id",   "pdbx_PDB_model_num"};

// _entry first, _atom_site last, everything between in order of the alphabet, as are the items of a category.
TEST(categories_and_items_are_in_order) {
  fixture f;
  cif_file file;
  fixture_make(&f);
  job_bond bonds[] = {{"A", "OG", "C", "C1", 2, 1}};
  f.job.bonds = bonds;
  f.job.n_bonds = 1;
  f.origin.is_alphafold3 = true;
  write_and_parse(&f, &file);
  const cif_block *b = &file.blocks[0];
  CHECK_STR(b->columns[0].name, "_entry.id");
  for (int i = 2; i < b->n_columns - 18; i++) {
    const char *one = b->columns[i - 1].name, *two = b->columns[i].name;
    char first[64], second[64];
    snprintf(first, sizeof first, "%.*s", (int)strcspn(one, "."), one);
    snprintf(second, sizeof second, "%.*s", (int)strcspn(two, "."), two);
    int order = strcmp(first, second);
    if (order > 0 || (order == 0 && strcmp(one, two) >= 0)) test_fail(__FILE__, __LINE__, "%s before %s", one, two);
  }
  for (int i = 0; i < 18; i++) {
    char name[64];
    snprintf(name, sizeof name, "_atom_site.%s", atom_site_order[i]);
    CHECK_STR(b->columns[b->n_columns - 18 + i].name, name);
  }
  fixture_free(&f);
}

TEST(entities_and_schemes) {
  fixture f;
  cif_file file;
  fixture_make(&f);
  f.layout.residues[2].n_atoms = 0;  // a residue of which no atom is predicted
  write_and_parse(&f, &file);
  static const char *const types[] = {"polymer", "polymer", "branched", "non-polymer", "polymer"};
  CHECK_INT(n_rows(&file, "_entity.id"), 5);
  for (int c = 0; c < 5; c++) CHECK_STR(value(&file, "_entity.type", c), types[c]);
  CHECK_INT(n_rows(&file, "_entity_poly.type"), 3);
  CHECK_STR(value(&file, "_entity_poly.type", 0), "polypeptide(L)");
  CHECK_STR(value(&file, "_entity_poly.type", 1), "polyribonucleotide");
  CHECK_STR(value(&file, "_entity_poly.entity_id", 2), "5");
  CHECK_STR(value(&file, "_entity_poly.pdbx_strand_id", 2), "BAAA");
  CHECK_INT(n_rows(&file, "_entity_poly_seq.num"), 8);
  CHECK_STR(value(&file, "_entity_poly_seq.mon_id", 1), "SEP");
  CHECK_INT(n_rows(&file, "_pdbx_poly_seq_scheme.seq_id"), 8);
  CHECK_STR(value(&file, "_pdbx_poly_seq_scheme.auth_seq_num", 1), "2");
  CHECK(cif_is_null(value(&file, "_pdbx_poly_seq_scheme.auth_seq_num", 2)));
  CHECK_STR(value(&file, "_pdbx_poly_seq_scheme.pdb_seq_num", 2), "3");
  CHECK_INT(n_rows(&file, "_pdbx_branch_scheme.num"), 2);
  CHECK_STR(value(&file, "_pdbx_branch_scheme.pdb_asym_id", 1), "C");
  CHECK_INT(n_rows(&file, "_pdbx_nonpoly_scheme.mon_id"), 1);
  CHECK_STR(value(&file, "_pdbx_nonpoly_scheme.mon_id", 0), "ZN");
  CHECK_INT(n_rows(&file, "_struct_asym.id"), 5);
  CHECK_STR(value(&file, "_struct_asym.id", 4), "BAAA");
  CHECK_INT(n_rows(&file, "_ma_target_entity_instance.asym_id"), 5);
  fixture_free(&f);
}

TEST(components) {
  fixture f;
  cif_file file;
  fixture_make(&f);
  write_and_parse(&f, &file);
  static const char *const ids[] = {"ALA", "G", "NAG", "SEP", "ZN"};
  static const char flags[] = {'y', 'y', 'y', 'n', '.'};
  CHECK_INT(n_rows(&file, "_chem_comp.id"), 5);
  for (int i = 0; i < 5; i++) {
    CHECK_STR(value(&file, "_chem_comp.id", i), ids[i]);
    CHECK_INT(value(&file, "_chem_comp.mon_nstd_flag", i)[0], flags[i]);
  }
  CHECK_STR(value(&file, "_chem_comp.name", 1), "GUANOSINE-5'-MONOPHOSPHATE");
  CHECK_STR(value(&file, "_chem_comp.formula", 0), "C3 H7 N O2");
  CHECK_STR(value(&file, "_chem_comp.formula_weight", 0), "89.093");
  CHECK_STR(value(&file, "_chem_comp.pdbx_synonyms", 3), "PHOSPHONOSERINE");
  CHECK(cif_is_null(value(&file, "_chem_comp.pdbx_synonyms", 0)));
  CHECK_INT(n_rows(&file, "_chem_comp.pdbx_smiles"), 0);
  static const char *const elements[] = {"C", "N", "O", "P", "ZN"};
  for (int i = 0; i < 5; i++) CHECK_STR(value(&file, "_atom_type.symbol", i), elements[i]);

  // SMILES come from the dictionary where it has them; a component may be unknown.
  ccd_component sugar = *f.layout.residues[5].component;
  sugar.smiles = "CC(=O)N[C@H]1O";
  sugar.synonyms = "one;\ntwo";
  f.layout.residues[5].component = &sugar;
  f.layout.residues[7].component = NULL;
  write_and_parse(&f, &file);
  CHECK_INT(n_rows(&file, "_chem_comp.pdbx_smiles"), 5);
  CHECK_STR(value(&file, "_chem_comp.pdbx_smiles", 2), "CC(=O)N[C@H]1O");
  CHECK(cif_is_null(value(&file, "_chem_comp.pdbx_smiles", 0)));
  CHECK_STR(value(&file, "_chem_comp.pdbx_synonyms", 2), "one;\ntwo");
  CHECK_STR(value(&file, "_chem_comp.type", 4), "non-polymer");
  CHECK(cif_is_null(value(&file, "_chem_comp.name", 4)));
  fixture_free(&f);
}

// Mean pLDDT of each residue; the two sugars of a chain, which have no residue number, share a row.
TEST(local_confidence) {
  fixture f;
  cif_file file;
  fixture_make(&f);
  write_and_parse(&f, &file);
  CHECK_INT(n_rows(&file, "_ma_qa_metric_local.metric_value"), 10);
  CHECK_STR(value(&file, "_ma_qa_metric_local.metric_value", 0), "89.26");  // 90.00 89.63 89.26 88.89 88.52
  CHECK_STR(value(&file, "_ma_qa_metric_local.label_comp_id", 5), "NAG");
  CHECK(cif_is_null(value(&file, "_ma_qa_metric_local.label_seq_id", 5)));
  double sum = 0;
  for (int i = f.layout.chains[2].first_atom; i < f.layout.chains[3].first_atom; i++) sum += f.scores.plddt[i];
  CHECK_NEAR(atof(value(&file, "_ma_qa_metric_local.metric_value", 5)), sum / 8, 0.0051);
  CHECK_STR(value(&file, "_ma_qa_metric_local.label_asym_id", 6), "Z");
  CHECK_STR(value(&file, "_ma_qa_metric_local.ordinal_id", 9), "10");
  sum = 0;
  for (int i = 0; i < f.layout.n_atoms; i++) sum += f.scores.plddt[i];
  CHECK_NEAR(atof(value(&file, "_ma_qa_metric_global.metric_value", 0)), sum / f.layout.n_atoms, 0.0051);
  fixture_free(&f);
}

TEST(bonds) {
  fixture f;
  cif_file file;
  fixture_make(&f);
  job_bond bonds[] = {
      {"C", "O4", "C", "C1", 1, 2},                                   // ligand to ligand: after those of polymers
      {"A", "CA", "BAAA", "CA", 1, 1},                                // polymer to polymer: not used, not written
      {"C", "O3", "C", "C1", 1, 1},                                   // within a residue: not written
      {"A", "OG", "C", "C1", 2, 1},    {"A", "XX", "C", "C1", 2, 1},  // an atom that was left out
  };
  f.job.bonds = bonds;
  f.job.n_bonds = 5;
  write_and_parse(&f, &file);
  CHECK_INT(n_rows(&file, "_struct_conn.id"), 2);
  CHECK_STR(value(&file, "_struct_conn.id", 0), "covale1");
  CHECK_STR(value(&file, "_struct_conn.id", 1), "covale2");
  CHECK_STR(value(&file, "_struct_conn.ptnr1_label_atom_id", 0), "OG");
  CHECK_STR(value(&file, "_struct_conn.ptnr1_label_comp_id", 0), "SEP");
  CHECK_STR(value(&file, "_struct_conn.ptnr1_label_seq_id", 0), "2");
  CHECK_STR(value(&file, "_struct_conn.ptnr2_auth_seq_id", 0), "1");
  CHECK(cif_is_null(value(&file, "_struct_conn.ptnr2_label_seq_id", 0)));
  CHECK_STR(value(&file, "_struct_conn.ptnr1_label_atom_id", 1), "O4");
  CHECK_STR(value(&file, "_struct_conn.ptnr2_auth_seq_id", 1), "2");
  CHECK_STR(value(&file, "_struct_conn.ptnr2_symmetry", 1), "1_555");
  CHECK_STR(value(&file, "_struct_conn_type.id", 0), "covale");
  f.job.n_bonds = 0;
  write_and_parse(&f, &file);
  CHECK_INT(n_rows(&file, "_struct_conn.id"), 0);
  CHECK_INT(n_rows(&file, "_struct_conn_type.id"), 0);
  fixture_free(&f);
}

// Only AlphaFold 3's own weights may carry its name, authors, citation and terms.
TEST(origin_is_told_plainly) {
  fixture f;
  cif_file file;
  fixture_make(&f);
  const char *text = write_and_parse(&f, &file);
  CHECK(!strstr(text, "AlphaFold") && !strstr(text, "DeepMind") && !strstr(text, "Google"));
  CHECK(strncmp(text, "# Predicted by Nativefold 0.1 with the weights: toy.\n", 51) == 0);
  CHECK(strstr(text, "\n# Toy weights: they know nothing.\ndata_made_job\n"));
  CHECK_STR(value(&file, "_software.name", 0), "Nativefold");
  CHECK_STR(value(&file, "_software.version", 0), "0.1 (toy, toy-0123)");
  CHECK_STR(value(&file, "_software.description", 0), "Structure prediction. Toy weights: they know nothing.");
  CHECK(strncmp(value(&file, "_ma_model_list.model_group_name", 0), "toy (Nativefold 0.1 @ ", 22) == 0);
  CHECK(strncmp(value(&file, "_pdbx_data_usage.details", 0), "Toy weights: they know nothing.\n", 32) == 0);
  CHECK_STR(value(&file, "_audit_author.name", 0), "Nativefold");
  CHECK_INT(n_rows(&file, "_citation.id"), 0);

  f.origin.is_alphafold3 = true;
  text = write_and_parse(&f, &file);
  CHECK(strncmp(text, "# By using this file you agree to the legally binding terms of use", 66) == 0);
  CHECK_STR(value(&file, "_software.name", 0), "AlphaFold");
  CHECK_STR(value(&file, "_software.version", 0), "AlphaFold-beta-20231127 (toy-0123)");
  CHECK_STR(value(&file, "_citation.pdbx_database_id_DOI", 0), "10.1038/s41586-024-07487-w");
  CHECK_STR(value(&file, "_citation_author.name", 1), "Isomorphic Labs");
  CHECK_STR(value(&file, "_audit_author.name", 0), "Google DeepMind");
  CHECK_INT(n_rows(&file, "_pdbx_data_usage.id"), 2);
  CHECK_STR(value(&file, "_pdbx_data_usage.type", 0), "license");

  f.options.save_terms_of_use = false;
  text = write_and_parse(&f, &file);
  CHECK(strncmp(text, "data_made_job\n", 14) == 0);
  CHECK_INT(n_rows(&file, "_pdbx_data_usage.id"), 1);
  CHECK_STR(value(&file, "_pdbx_data_usage.type", 0), "disclaimer");
  fixture_free(&f);
}

// Words that could break the syntax, or the file's character set.
TEST(odd_words) {
  fixture f;
  cif_file file;
  fixture_make(&f);
  f.origin.model_name = "a \"b\" 'c'\nloop_ \xc3\xa9";
  f.origin.model_notice = "line one\n;line two\ndata_x";
  for (int i = 0; i < 64; i++) f.origin.model_id[i] = (uint8_t)(200 + i);
  f.job.name = "\xe2\x98\x83";
  const char *text = write_and_parse(&f, &file);
  CHECK_INT(file.n_blocks, 1);
  CHECK_STR(file.blocks[0].name, "unnamed");
  for (const char *p = text; *p; p++) {
    if ((unsigned char)*p > 126) {
      CHECK(!"a byte beyond ASCII");
      break;
    }
  }
  CHECK(strstr(value(&file, "_software.version", 0), "a \"b\" 'c' loop_ ??"));
  CHECK_STR(value(&file, "_software.description", 0), "Structure prediction. line one ;line two data_x");
  fixture_free(&f);
}

TEST(one_atom_is_a_loop) {
  fixture f = {.job = {.name = "ion"}, .origin = {.model_name = "toy", .model_notice = ""}};
  cif_file file;
  fixture_allocate(&f, 1, 1, 1);
  fixture_add_chain(&f, "I", NF_LIGAND);
  fixture_add_residue(&f, "ZN");
  fixture_fill_scores(&f);
  const char *text = write_and_parse(&f, &file);
  CHECK(strstr(text, "loop_\n_atom_site.group_PDB\n"));
  CHECK(strstr(text, "_chem_comp.mon_nstd_flag  .\n"));
  CHECK_INT(n_rows(&file, "_atom_site.id"), 1);
  fixture_free(&f);
}

TEST(what_is_not_finite_is_refused) {
  fixture f;
  fixture_make(&f);
  float *positions = (float *)f.scores.positions, *plddt = (float *)f.scores.plddt;
  nf_str text = {0};
  positions[7 * 3 + 1] = NAN;
  CHECK_INT(mmcif_append(&text, &f.job, &f.layout, &f.scores, &f.origin, &f.options, f.arena), NF_FAILED);
  CHECK_STR(nf_message(),
            "made job: the model gave a coordinate that is not finite, first for atom CB of SEP 2 in chain A");
  positions[7 * 3 + 1] = 3e38f;  // finite, if useless: 43 digits must fit
  CHECK_OK(mmcif_append(&text, &f.job, &f.layout, &f.scores, &f.origin, &f.options, f.arena));
  plddt[0] = INFINITY;
  CHECK_INT(mmcif_append(&text, &f.job, &f.layout, &f.scores, &f.origin, &f.options, f.arena), NF_FAILED);
  CHECK_STR(nf_message(),
            "made job: the model gave a confidence that is not finite, first for atom N of ALA 1 in chain A");
  nf_str_free(&text);
  fixture_free(&f);
}

// gemmi (Debian package) must have nothing to say.
TEST(gemmi_reads_it) {
  if (system("command -v gemmi >/dev/null 2>&1") != 0) SKIP("gemmi is not installed");
  fixture f;
  fixture_make(&f);
  job_bond bonds[] = {{"A", "OG", "C", "C1", 2, 1}};
  f.job.bonds = bonds;
  f.job.n_bonds = 1;
  const char *dir = test_dir();
  for (int alphafold3 = 0; alphafold3 < 2; alphafold3++) {
    f.origin.is_alphafold3 = alphafold3;
    REQUIRE_OK(output_write_sample(dir, "made", &f.job, &f.layout, &f.batch, &f.scores, &f.origin, &f.options));
    char command[512];
    snprintf(command, sizeof command, "gemmi validate '%s/made_model.cif' >'%s/said' 2>&1", dir, dir);
    CHECK_INT(system(command), 0);
    snprintf(command, sizeof command, "gemmi convert '%s/made_model.cif' '%s/again.cif' >>'%s/said' 2>&1", dir, dir,
             dir);
    CHECK_INT(system(command), 0);
    snprintf(command, sizeof command, "gemmi contents '%s/made_model.cif' >'%s/contents' 2>/dev/null", dir, dir);
    CHECK_INT(system(command), 0);
  }
  char path[300], *said, *contents, *again;
  size_t size;
  snprintf(path, sizeof path, "%s/said", dir);
  REQUIRE_OK(nf_file_read(path, &said, &size));
  snprintf(path, sizeof path, "%s/contents", dir);
  REQUIRE_OK(nf_file_read(path, &contents, &size));
  snprintf(path, sizeof path, "%s/again.cif", dir);
  REQUIRE_OK(nf_file_read(path, &again, &size));
  CHECK(!strstr(contents, "rror"));
  CHECK_STR(said, "");
  cif_file file;
  REQUIRE_OK(cif_parse(path, again, size, f.arena, &file));
  CHECK_INT(n_rows(&file, "_atom_site.id"), f.layout.n_atoms);
  CHECK_INT(n_rows(&file, "_entity.id"), 5);
  CHECK_INT(n_rows(&file, "_struct_conn.id"), 1);
  free(said);
  free(contents);
  free(again);
  fixture_free(&f);
}

// A hundred thousand atoms: all there, and readable.
TEST(large) {
  enum { RESIDUES = 20000 };
  fixture f = {.job = {.name = "large"}, .origin = {.model_name = "toy", .model_notice = ""}};
  cif_file file;
  fixture_allocate(&f, 1, RESIDUES, RESIDUES * 5);
  fixture_add_chain(&f, "A", NF_PROTEIN);
  for (int i = 0; i < RESIDUES; i++) fixture_add_residue(&f, "ALA");
  float *positions = NF_NEW(f.arena, float, f.layout.n_atoms * 3), *plddt = NF_NEW(f.arena, float, f.layout.n_atoms);
  for (int i = 0; i < f.layout.n_atoms * 3; i++) positions[i] = (float)i * 0.01f;
  f.scores = (nf_scores){.n_chains = 1, .n_atoms = f.layout.n_atoms, .positions = positions, .plddt = plddt};
  write_and_parse(&f, &file);
  CHECK_INT(n_rows(&file, "_atom_site.id"), 100000);
  CHECK_STR(value(&file, "_atom_site.id", 99999), "100000");
  CHECK_STR(value(&file, "_atom_site.label_seq_id", 99999), "20000");
  CHECK_NEAR(atof(value(&file, "_atom_site.Cartn_z", 99999)), positions[299999], 0.0005);
  fixture_free(&f);
}

TEST(bonds_inside_ligands) {
  fixture f;
  cif_file file;
  fixture_make(&f);
  write_and_parse(&f, &file);
  CHECK_INT(n_rows(&file, "_chem_comp_bond.comp_id"), 0);
  // Of the sugar's bonds those of atoms that are there, whatever the dictionary has beside them.
  ccd_component sugar = *f.layout.residues[5].component;
  CHECK_STR(sugar.id, "NAG");
  static const ccd_atom atoms[] = {{.name = "C1"}, {.name = "O5"}, {.name = "HO1"}, {.name = "C2"}};
  static const ccd_bond bonds[] = {{0, 3, 1, true, false, 'N'},
                                   {1, 0, 2, true, true, 'E'},
                                   {0, 2, 1, true, false, 'N'},
                                   {3, 1, 3, false, false, 'N'}};
  sugar.n_atoms = 4;
  sugar.n_bonds = 4;
  sugar.atoms = atoms;
  sugar.bonds = bonds;
  f.layout.residues[5].component = f.layout.residues[6].component = &sugar;
  for (int r = 5; r < 7; r++) {
    layout_residue *residue = &f.layout.residues[r];
    for (int k = 0; k < 3; k++) strcpy(f.layout.atoms[residue->first_atom + k].name, k == 2 ? "C2" : atoms[k].name);
  }
  write_and_parse(&f, &file);
  CHECK_INT(n_rows(&file, "_chem_comp_bond.comp_id"), 3);
  CHECK_STR(value(&file, "_chem_comp_bond.atom_id_1", 1), "O5");
  CHECK_STR(value(&file, "_chem_comp_bond.atom_id_2", 1), "C1");
  CHECK_STR(value(&file, "_chem_comp_bond.value_order", 0), "sing");
  CHECK_STR(value(&file, "_chem_comp_bond.value_order", 1), "doub");
  CHECK_STR(value(&file, "_chem_comp_bond.value_order", 2), "trip");
  CHECK_STR(value(&file, "_chem_comp_bond.pdbx_aromatic_flag", 1), "Y");
  CHECK(cif_is_null(value(&file, "_chem_comp_bond.pdbx_aromatic_flag", 2)));
  CHECK_STR(value(&file, "_chem_comp_bond.pdbx_stereo_config", 1), "E");
  CHECK_STR(value(&file, "_chem_comp_bond.comp_id", 2), "NAG");
  CHECK_STR(value(&file, "_chem_comp_bond.pdbx_ordinal", 2), "3");
  fixture_free(&f);
}
