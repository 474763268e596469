// Accessible surface: spheres whose area is known, and DSSP itself where it is installed.
#include <jansson.h>

#include "../test.h"
#include "base/file.h"
#include "base/str.h"
#include "formats/array.h"
#include "formats/cif.h"
#include "structure/structure.h"

// A structure of one chain, made atom by atom.
typedef struct {
  nf_structure s;
  structure_chain chain;
  structure_residue residues[2000];
  structure_atom atoms[20000];
} made;

static made *make_chain(nf_chain_kind kind) {
  made *m = calloc(1, sizeof *m);
  m->chain = (structure_chain){.id = "A", .author_id = "A", .entity_id = "1", .kind = kind, .type = "polypeptide(L)"};
  m->s = (nf_structure){.name = "made", .n_chains = 1, .chains = &m->chain, .residues = m->residues, .atoms = m->atoms};
  return m;
}

static void add_residue(made *m, const char *name) {
  structure_residue *r = &m->residues[m->s.n_residues++];
  *r = (structure_residue){.id = m->s.n_residues, .insertion = "?", .first_atom = m->s.n_atoms};
  strcpy(r->name, name);
  snprintf(r->author_id, sizeof r->author_id, "%d", r->id);
  m->chain.n_residues++;
}

static void add_atom(made *m, const char *name, double x, double y, double z) {
  structure_atom *a = &m->atoms[m->s.n_atoms++];
  *a = (structure_atom){.x = (float)x, .y = (float)y, .z = (float)z, .present = true, .residue = m->s.n_residues - 1};
  strcpy(a->name, name);
  a->element[0] = name[0];
  m->residues[m->s.n_residues - 1].n_atoms++;
}

// N, CA, C, O in a row, so far apart that they do not touch.
static void add_wide_backbone(made *m, double y) {
  static const char *const names[] = {"N", "CA", "C", "O"};
  for (int i = 0; i < 4; i++) add_atom(m, names[i], 20 * i, y, 0);
}

static double sphere(double radius) { return 4 * acos(-1) * (radius + 1.4) * (radius + 1.4); }

TEST(free_atoms) {
  made *m = make_chain(NF_PROTEIN);
  double area[4];
  double backbone = sphere(1.65) + sphere(1.87) + sphere(1.76) + sphere(1.4);
  add_residue(m, "GLY");
  add_wide_backbone(m, 0);
  add_residue(m, "ALA");
  add_wide_backbone(m, 20);
  add_atom(m, "CB", 0, 40, 0);
  add_residue(m, "ALA");
  add_wide_backbone(m, -20);
  add_atom(m, "OXT", 0, 60, 0);
  add_atom(m, "HA", 0, -20, 1);  // hydrogens neither count nor cover
  add_residue(m, "ALA");         // incomplete
  add_atom(m, "N", 0, 1, 1);
  add_atom(m, "CA", 0, 1, 1);
  add_atom(m, "C", 0, 1, 1);
  dssp_accessibility(&m->s, area);
  CHECK_NEAR(area[0], backbone, 0.01);
  CHECK_NEAR(area[1], backbone + sphere(1.8), 0.01);
  CHECK_NEAR(area[2], backbone + sphere(1.8), 0.01);
  CHECK(isnan(area[3]));
  free(m);
}

TEST(caps_are_covered) {
  made *m = make_chain(NF_PROTEIN);
  double area[1];
  add_residue(m, "ALA");
  add_wide_backbone(m, 0);
  add_atom(m, "CB", 0, 40, 0);
  add_atom(m, "CG", 1.5, 40, 0);  // equal spheres 1.5 apart: each keeps 2 pi R (R + 0.75)
  add_atom(m, "CD", 0, 60, 0);
  add_atom(m, "CE", 0, 60, 0);  // on the same spot: neither covers the other
  dssp_accessibility(&m->s, area);
  double r = 3.2, pi = acos(-1), backbone = sphere(1.65) + sphere(1.87) + sphere(1.76) + sphere(1.4);
  CHECK_NEAR(area[0], backbone + 4 * pi * r * (r + 0.75) + 2 * sphere(1.8), 1);
  free(m);
}

TEST(who_counts) {
  static const nf_chain_kind kinds[] = {NF_PROTEIN, NF_RNA, NF_DNA, NF_LIGAND, NF_WATER};
  for (int i = 0; i < 5; i++) {
    made *m = make_chain(kinds[i]);
    double area[1] = {-1};
    add_residue(m, "XYZ");
    add_wide_backbone(m, 0);
    dssp_accessibility(&m->s, area);
    CHECK_INT(isnan(area[0]) != 0, kinds[i] == NF_LIGAND || kinds[i] == NF_WATER);
    m->atoms[2].present = false;
    dssp_accessibility(&m->s, area);
    CHECK(isnan(area[0]));
    m->atoms[2].present = true;
    m->atoms[2].y = NAN;
    dssp_accessibility(&m->s, area);
    CHECK(isnan(area[0]));
    free(m);
  }
}

TEST(nothing_at_all) {
  nf_structure s = {0};
  double area = 7;
  dssp_accessibility(&s, &area);
  CHECK_NEAR(area, 7, 0);
}

TEST(far_and_crowded_atoms) {
  made *m = make_chain(NF_PROTEIN);
  double area[300];
  for (int i = 0; i < 300; i++) {
    add_residue(m, "GLY");
    const char *names[] = {"N", "CA", "C", "O"};
    // Most on one spot, some at the edge of what a float can hold.
    for (int k = 0; k < 4; k++)
      add_atom(m, names[k], i < 290 ? 0 : (i % 2 ? 3e38 : -3e38), i < 290 ? 0.05 * k : 1e30, 0);
  }
  dssp_accessibility(&m->s, area);
  for (int i = 0; i < 300; i++) CHECK(area[i] >= 0);
  free(m);
}

// ---- DSSP's own numbers ----

static void append_number(nf_arena *arena, const char ***at, double v) { *(*at)++ = nf_arena_printf(arena, "%.3f", v); }
static void append_int(nf_arena *arena, const char ***at, int v) { *(*at)++ = nf_arena_printf(arena, "%d", v); }

// The structure as an mmCIF that DSSP reads.
static void write_mmcif(const nf_structure *s, nf_str *out) {
  static const char *const entity[] = {"id", "type"}, *const entity_row[] = {"1", "polymer"};
  static const char *const poly[] = {"entity_id", "type"}, *const poly_row[] = {"1", "polypeptide(L)"};
  static const char *const asym[] = {"id", "entity_id"}, *const asym_row[] = {"A", "1"};
  static const char *const entry[] = {"id"}, *const entry_row[] = {"MADE"};
  static const char *const sequence[] = {"entity_id", "num", "mon_id", "hetero"};
  static const char *const scheme[] = {"asym_id",       "entity_id",    "seq_id",     "mon_id",
                                       "pdb_seq_num",   "auth_seq_num", "pdb_mon_id", "auth_mon_id",
                                       "pdb_strand_id", "pdb_ins_code", "hetero",     "ndb_seq_num"};
  static const char *const atoms[] = {"group_PDB",      "id",
                                      "type_symbol",    "label_atom_id",
                                      "label_alt_id",   "label_comp_id",
                                      "label_asym_id",  "label_entity_id",
                                      "label_seq_id",   "pdbx_PDB_ins_code",
                                      "Cartn_x",        "Cartn_y",
                                      "Cartn_z",        "occupancy",
                                      "B_iso_or_equiv", "auth_seq_id",
                                      "auth_comp_id",   "auth_asym_id",
                                      "auth_atom_id",   "pdbx_PDB_model_num"};
  nf_arena *arena = nf_arena_create();
  nf_str_puts(out, "data_MADE\n#\n");
  cif_append_category(out, "_entry", 1, entry, 1, entry_row);
  cif_append_category(out, "_entity", 2, entity, 1, entity_row);
  cif_append_category(out, "_entity_poly", 2, poly, 1, poly_row);
  cif_append_category(out, "_struct_asym", 2, asym, 1, asym_row);
  const char **rows = NF_NEW(arena, const char *, 20 * (s->n_atoms + s->n_residues)), **at = rows;
  for (int i = 0; i < s->n_residues; i++) {
    *at++ = "1";
    append_int(arena, &at, i + 1);
    *at++ = s->residues[i].name;
    *at++ = "n";
  }
  cif_append_category(out, "_entity_poly_seq", 4, sequence, s->n_residues, rows);
  at = rows;
  for (int i = 0; i < s->n_residues; i++) {
    const char *number = nf_arena_printf(arena, "%d", i + 1);
    const char *row[] = {
        "A", "1", number, s->residues[i].name, number, number, s->residues[i].name, s->residues[i].name, "A",
        ".", "n", number};
    memcpy(at, row, sizeof row);
    at += 12;
  }
  cif_append_category(out, "_pdbx_poly_seq_scheme", 12, scheme, s->n_residues, rows);
  at = rows;
  for (int i = 0; i < s->n_atoms; i++) {
    const structure_atom *a = &s->atoms[i];
    const char *name = s->residues[a->residue].name, *number = nf_arena_printf(arena, "%d", a->residue + 1);
    *at++ = "ATOM";
    append_int(arena, &at, i + 1);
    *at++ = a->element;
    *at++ = a->name;
    *at++ = ".";
    *at++ = name;
    *at++ = "A";
    *at++ = "1";
    *at++ = number;
    *at++ = "?";
    append_number(arena, &at, a->x);
    append_number(arena, &at, a->y);
    append_number(arena, &at, a->z);
    *at++ = "1.00";
    *at++ = "50.00";
    *at++ = number;
    *at++ = name;
    *at++ = "A";
    *at++ = a->name;
    *at++ = "1";
  }
  cif_append_category(out, "_atom_site", 20, atoms, s->n_atoms, rows);
  nf_arena_free(arena);
}

// Areas that mkdssp prints, in its order; -1 if it is not installed or fails.
static int run_mkdssp(const char *mmcif_path, double *out, int max) {
  char command[1200], line[400];
  snprintf(command, sizeof command, "mkdssp --output-format dssp '%s' 2>/dev/null", mmcif_path);
  FILE *p = popen(command, "r");
  if (!p) return -1;
  int n = 0;
  bool in_rows = false;
  while (fgets(line, sizeof line, p)) {
    if (in_rows && strlen(line) > 38 && line[13] != '!' && n < max) {
      char number[5] = {0};
      memcpy(number, line + 34, 4);
      out[n++] = atof(number);
    }
    in_rows |= strncmp(line, "  #  RESIDUE", 12) == 0;
  }
  return pclose(p) == 0 && in_rows ? n : -1;
}

// Compares; false if there is no mkdssp to compare with.
static bool check_against_mkdssp(const nf_structure *s, const char *path, const char *what) {
  double *theirs = malloc(5000 * sizeof *theirs), *ours = malloc((size_t)s->n_residues * sizeof *ours);
  int n = run_mkdssp(path, theirs, 5000), k = 0, exact = 0;
  if (n >= 0) {
    dssp_accessibility(s, ours);
    for (int i = 0; i < s->n_residues; i++) {
      if (isnan(ours[i])) continue;
      if (k < n && fabs(floor(ours[i] + 0.5) - theirs[k]) > 1) {
        test_fail(__FILE__, __LINE__, "%s: residue %d: %.2f, mkdssp has %.0f", what, i + 1, ours[i], theirs[k]);
      }
      if (k < n) exact += floor(ours[i] + 0.5) == theirs[k];
      k++;
    }
    CHECK_INT(k, n);
    CHECK(exact >= n - n / 50 - 1);
  }
  free(theirs);
  free(ours);
  return n >= 0;
}

static bool check_made(const nf_structure *s, const char *what) {
  char path[400];
  nf_str text = {0};
  write_mmcif(s, &text);
  snprintf(path, sizeof path, "%s/made.cif", test_dir());
  CHECK_OK(nf_file_write(path, text.data, text.length));
  nf_str_free(&text);
  return check_against_mkdssp(s, path, what);
}

TEST(deposited_structures_as_dssp) {
  static const char *const names[] = {"5y2e", "6s61", "6ydw", "7rye"};
  REFERENCE_OR_SKIP(directory, "af3_test_data/miniature_databases/pdb_mmcif");
  for (int i = 0; i < 4; i++) {
    char path[600];
    snprintf(path, sizeof path, "%s/%s.cif", directory, names[i]);
    char *text;
    size_t size;
    nf_arena *arena = nf_arena_create();
    nf_structure s;
    REQUIRE_OK(nf_file_read(path, &text, &size));
    REQUIRE_OK(mmcif_read_structure(path, text, size, arena, &s));
    bool compared = check_against_mkdssp(&s, path, names[i]);
    free(text);
    nf_arena_free(arena);
    if (!compared) SKIP("mkdssp is not installed (package dssp)");
  }
}

TEST(predictions_as_dssp) {
  REFERENCE_OR_SKIP(job, "af3_5tgy/data.json");
  json_t *root = json_load_file(job, 0, NULL);
  const char *sequence = json_string_value(
      json_object_get(json_object_get(json_array_get(json_object_get(root, "sequences"), 0), "protein"), "sequence"));
  bool compared = true;
  for (int sample = 0; sample < 5 && compared; sample++) {
    char name[60];
    snprintf(name, sizeof name, "af3_5tgy/sample-%d.npz", sample);
    const char *path = test_reference(name);
    nf_arena *arena = nf_arena_create();
    nf_array *arrays;
    int n;
    REQUIRE_OK(nf_npz_read(path, arena, &arrays, &n));
    const float *coords = nf_array_find(arrays, n, "coords")->data;
    made *m = make_chain(NF_PROTEIN);
    int at = 0;
    for (const char *p = sequence; *p; p++) {
      const char *const *atoms;
      add_residue(m, residue_code(NF_PROTEIN, *p));
      int n_atoms = residue_dense_atoms(residue_code(NF_PROTEIN, *p), &atoms);
      for (int i = 0; i < n_atoms; i++, at++)
        add_atom(m, atoms[i], coords[3 * at], coords[3 * at + 1], coords[3 * at + 2]);
    }
    add_atom(m, "OXT", coords[3 * at], coords[3 * at + 1], coords[3 * at + 2]);
    compared = check_made(&m->s, name);
    free(m);
    nf_arena_free(arena);
  }
  json_decref(root);
  if (!compared) SKIP("mkdssp is not installed (package dssp)");
}

static double noise(uint32_t *seed) {
  *seed = *seed * 1664525u + 1013904223u;
  return *seed / 4294967296.0 - 0.5;
}

// Chains of glycine and leucine along random walks, from stretched to balled up.
TEST(random_chains_as_dssp) {
  static const double steps[] = {3.8, 3.0, 2.0, 1.2};
  for (int k = 0; k < 4; k++) {
    made *m = make_chain(NF_PROTEIN);
    uint32_t seed = 17 + (uint32_t)k;
    double x[3] = {0};
    for (int i = 0; i < 150; i++) {
      static const char *const names[] = {"N", "CA", "C", "O", "CB", "CG", "CD1", "CD2"};
      bool leucine = i % 3 == 0;
      add_residue(m, leucine ? "LEU" : "GLY");
      for (int d = 0; d < 3; d++) x[d] += steps[k] * (d == 0 && k == 0 ? 1 : 2 * noise(&seed));
      for (int a = 0; a < (leucine ? 8 : 4); a++) {
        double off[3];
        for (int d = 0; d < 3; d++) off[d] = 3 * noise(&seed);
        add_atom(m, names[a], x[0] + off[0], x[1] + off[1], x[2] + off[2]);
      }
    }
    bool compared = check_made(&m->s, "random chain");
    free(m);
    if (!compared) SKIP("mkdssp is not installed (package dssp)");
  }
}
