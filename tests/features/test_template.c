// Template features: the reference's hashes on a real job, and what is odd about them on made ones.
#include <jansson.h>

#include "../test.h"
#include "base/str.h"
#include "features/template.h"
#include "formats/sha256.h"

// A layout by hand: chains of residues, each with a number of tokens.
typedef struct {
  nf_arena *arena;
  nf_layout layout;
  nf_job job;
  job_chain job_chains[8];
  nf_batch batch;
} made;

static void made_start(made *m) {
  *m = (made){.arena = nf_arena_create()};
  m->layout.chains = NF_NEW(m->arena, layout_chain, 8);
  m->layout.residues = NF_NEW(m->arena, layout_residue, 400);
  m->layout.tokens = NF_NEW(m->arena, layout_token, 400);
  m->job = (nf_job){.name = "made", .path = "made.json", .chains = m->job_chains};
}

// codes: residue names between blanks; one in brackets is modified: it gets three tokens. Ligands: one a token.
static void add_chain(made *m, nf_chain_kind kind, const char *codes, int n_templates, const job_template *templates) {
  nf_layout *l = &m->layout;
  layout_chain *c = &l->chains[l->n_chains];
  *c = (layout_chain){
      .id = "A", .kind = kind, .job_chain = l->n_chains, .first_residue = l->n_residues, .first_token = l->n_tokens};
  m->job_chains[l->n_chains] = (job_chain){.kind = kind, .id = "A", .n_templates = n_templates, .templates = templates};
  char *text = nf_arena_strdup(m->arena, codes), *save = NULL;
  for (char *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
    int tokens = *word == '(' ? 3 : 1;
    if (*word == '(') {
      word++;
      word[strlen(word) - 1] = '\0';
    }
    layout_residue *r = &l->residues[l->n_residues];
    *r = (layout_residue){.chain = l->n_chains, .id = ++c->n_residues, .name = word, .first_token = l->n_tokens};
    for (int i = 0; i < tokens; i++) {
      l->tokens[l->n_tokens++] = (layout_token){.chain = l->n_chains, .residue = l->n_residues};
    }
    l->n_residues++;
  }
  c->n_tokens = l->n_tokens - c->first_token;
  l->n_chains++;
  m->job.n_chains = l->n_chains;
}

static nf_status make(made *m, int n_token) {
  m->batch = (nf_batch){.n_token = n_token, .n_slot = NF_DENSE_ATOMS, .n_template = 4};
  batch_allocate(&m->batch, m->arena);
  return template_features(&m->job, &m->layout, m->arena, &m->batch);
}

static int aatype(const made *m, int t, int token) { return m->batch.template_aatype[t * m->batch.n_token + token]; }
static int mask(const made *m, int t, int token, int slot) {
  return m->batch.template_atom_mask[(t * m->batch.n_token + token) * NF_DENSE_ATOMS + slot];
}
static const float *position(const made *m, int t, int token, int slot) {
  return m->batch.template_atom_positions + ((t * m->batch.n_token + token) * NF_DENSE_ATOMS + slot) * 3;
}

// A template of one chain: residue i (1-based) has N, CA, C, O and CB at x = 100 i + 1 .. 5, y = 0.5, z = -1; codes in
// brackets have no atoms. date NULL: none.
static const char *template_text(nf_arena *arena, const char *codes, const char *type, const char *date) {
  static const char *const names[] = {"N", "CA", "C", "O", "CB"};
  nf_str s = {0};
  nf_str_puts(&s,
              "data_made\n_entry.id MADE\n_struct_asym.id Q\n_struct_asym.entity_id 1\n_entity.id 1\n"
              "_entity.type polymer\n_entity_poly.entity_id 1\n");
  nf_str_printf(&s, "_entity_poly.type '%s'\n", type);
  if (date) nf_str_printf(&s, "_pdbx_audit_revision_history.revision_date %s\n", date);
  nf_str scheme = {0}, atoms = {0};
  char *text = nf_strdup(codes), *save = NULL;
  int i = 0, n = 0;
  for (char *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
    bool missing = *word == '(';
    if (missing) {
      word++;
      word[strlen(word) - 1] = '\0';
    }
    i++;
    nf_str_printf(&scheme, "Q %d %s %d . X\n", i, word, i + 10);
    for (int k = 0; k < 5 && !missing; k++) {
      bool selenium = strcmp(word, "MSE") == 0 && k == 4;
      nf_str_printf(&atoms, "ATOM %d %s %s . %s Q %d ? %d.000 0.500 -1.000 1.00 20.0 %d X 1\n", ++n,
                    selenium ? "SE" : names[k], selenium ? "SE" : names[k], word, i, 100 * i + k + 1, i + 10);
    }
  }
  nf_str_printf(&s,
                "loop_\n_pdbx_poly_seq_scheme.asym_id\n_pdbx_poly_seq_scheme.seq_id\n_pdbx_poly_seq_scheme.mon_id\n"
                "_pdbx_poly_seq_scheme.pdb_seq_num\n_pdbx_poly_seq_scheme.pdb_ins_code\n"
                "_pdbx_poly_seq_scheme.pdb_strand_id\n%s"
                "loop_\n_atom_site.group_PDB\n_atom_site.id\n_atom_site.type_symbol\n_atom_site.label_atom_id\n"
                "_atom_site.label_alt_id\n_atom_site.label_comp_id\n_atom_site.label_asym_id\n_atom_site.label_seq_id\n"
                "_atom_site.pdbx_PDB_ins_code\n_atom_site.Cartn_x\n_atom_site.Cartn_y\n_atom_site.Cartn_z\n"
                "_atom_site.occupancy\n_atom_site.B_iso_or_equiv\n_atom_site.auth_seq_id\n_atom_site.auth_asym_id\n"
                "_atom_site.pdbx_PDB_model_num\n%s",
                scheme.data, atoms.data);
  const char *result = nf_arena_strdup(arena, s.data);
  nf_str_free(&s);
  nf_str_free(&scheme);
  nf_str_free(&atoms);
  free(text);
  return result;
}

static const char PROTEIN[] = "polypeptide(L)", DATE[] = "2001-02-03";

static void check_hash(const json_t *hashes, const char *key, const void *data, size_t size) {
  char hex[65];
  sha256_hex(data, size, hex);
  CHECK_STR(hex, json_string_value(json_object_get(json_array_get(hashes, 0), key)));
}

TEST(hashes_of_5tgy) {
  REFERENCE_OR_SKIP(path, "af3_5tgy/data_seed1234.json");
  REFERENCE_OR_SKIP(hash_path, "af3_test_data/featurised_example.json");
  json_t *hashes = json_load_file(hash_path, 0, NULL);
  CHECK(json_is_array(hashes));
  made m;
  made_start(&m);
  nf_job job;
  REQUIRE_OK(job_read(path, m.arena, &job));
  nf_str codes = {0};
  for (const char *p = job.chains[0].sequence; *p; p++) nf_str_printf(&codes, "%s ", residue_code(NF_PROTEIN, *p));
  add_chain(&m, NF_PROTEIN, codes.data, job.chains[0].n_templates, job.chains[0].templates);
  codes.length = 0;
  for (int i = 0; i < 41; i++) nf_str_puts(&codes, "7BU ");
  add_chain(&m, NF_LIGAND, codes.data, 0, NULL);
  nf_str_free(&codes);
  CHECK_INT(m.layout.n_tokens, 150);
  REQUIRE_OK(make(&m, 150));
  size_t n = 4 * 150;
  check_hash(hashes, "template_aatype", m.batch.template_aatype, n * 4);
  check_hash(hashes, "template_atom_positions", m.batch.template_atom_positions, n * 24 * 3 * 4);
  check_hash(hashes, "template_atom_mask", m.batch.template_atom_mask, n * 24);
  json_decref(hashes);
  nf_arena_free(m.arena);
}

TEST(residues_are_laid_by_index) {
  made m;
  made_start(&m);
  const int query[] = {0, 1, 3, 4}, hit[] = {4, 2, 1, 0};
  job_template t = {template_text(m.arena, "ALA (TRP) GLY MSE LEU", PROTEIN, DATE), "t", 4, query, hit};
  add_chain(&m, NF_PROTEIN, "ALA ALA ALA ALA ALA", 1, &t);
  REQUIRE_OK(make(&m, 7));
  const int expected[] = {10, 7, NF_CLASS_GAP, 17, 0, 0, 0};
  for (int i = 0; i < 7; i++) CHECK_INT(aatype(&m, 0, i), expected[i]);
  // Leucine, template residue 5: N CA C O CB, then CG CD1 CD2 which the file lacks, then N again.
  for (int k = 0; k < 5; k++) {
    CHECK_INT(mask(&m, 0, 0, k), 1);
    CHECK_NEAR(position(&m, 0, 0, k)[0], 501 + k, 0);
    CHECK_NEAR(position(&m, 0, 0, k)[1], 0.5, 0);
    CHECK_NEAR(position(&m, 0, 0, k)[2], -1, 0);
  }
  for (int k = 5; k < 8; k++) CHECK_INT(mask(&m, 0, 0, k), 0);
  for (int k = 8; k < 24; k++) {
    CHECK_INT(mask(&m, 0, 0, k), 1);
    CHECK_NEAR(position(&m, 0, 0, k)[0], 501, 0);
  }
  // Glycine has no place for CB; what no template residue covers, and a missing one, has no atoms.
  CHECK_NEAR(position(&m, 0, 1, 3)[0], 304, 0);
  CHECK_NEAR(position(&m, 0, 1, 4)[0], 301, 0);
  for (int k = 0; k < 24; k++) {
    CHECK_INT(mask(&m, 0, 2, k), 0);
    CHECK_INT(mask(&m, 0, 3, k), 0);
    CHECK_INT(mask(&m, 0, 5, k), 0);
    CHECK_INT(mask(&m, 1, 0, k), 0);
    CHECK_NEAR(position(&m, 0, 3, k)[0], 0, 0);
  }
  for (int i = 0; i < 7; i++) CHECK_INT(aatype(&m, 1, i), 0);
  nf_arena_free(m.arena);
}

TEST(selenomethionine_is_methionine) {
  made m;
  made_start(&m);
  const int query[] = {0}, hit[] = {0};
  job_template t = {template_text(m.arena, "MSE ALA", PROTEIN, DATE), "t", 1, query, hit};
  add_chain(&m, NF_PROTEIN, "ALA ALA ALA ALA ALA", 1, &t);
  REQUIRE_OK(make(&m, 5));
  CHECK_INT(aatype(&m, 0, 0), 12);
  CHECK_INT(mask(&m, 0, 0, 4), 0);  // CB
  CHECK_INT(mask(&m, 0, 0, 6), 1);  // N CA C O CB CG SD CE
  CHECK_NEAR(position(&m, 0, 0, 6)[0], 105, 0);
  nf_arena_free(m.arena);
}

TEST(the_last_of_repeated_query_indices_counts) {
  made m;
  made_start(&m);
  const int query[] = {2, 2}, hit[] = {0, 1};
  job_template t = {template_text(m.arena, "LEU GLY", PROTEIN, DATE), "t", 2, query, hit};
  add_chain(&m, NF_PROTEIN, "ALA ALA ALA ALA ALA", 1, &t);
  REQUIRE_OK(make(&m, 5));
  CHECK_INT(aatype(&m, 0, 2), 7);
  CHECK_NEAR(position(&m, 0, 2, 1)[0], 202, 0);
  CHECK_INT(mask(&m, 0, 2, 6), 1);
  nf_arena_free(m.arena);
}

TEST(unknown_residues_repeat_the_first_atom) {
  made m;
  made_start(&m);
  const int query[] = {0}, hit[] = {0};
  job_template t = {template_text(m.arena, "XYZ", PROTEIN, DATE), "t", 1, query, hit};
  add_chain(&m, NF_PROTEIN, "ALA ALA ALA ALA ALA", 1, &t);
  REQUIRE_OK(make(&m, 5));
  CHECK_INT(aatype(&m, 0, 0), NF_CLASS_UNK);
  for (int k = 0; k < 24; k++) CHECK_NEAR(position(&m, 0, 0, k)[0], 101, 0);
  nf_arena_free(m.arena);
}

TEST(no_more_than_four_templates) {
  made m;
  made_start(&m);
  const int query[] = {0}, hit[] = {0};
  job_template t[6];
  static const char *const codes[] = {"ALA", "CYS", "ASP", "GLU", "PHE", "GLY"};
  for (int i = 0; i < 6; i++) {
    t[i] = (job_template){template_text(m.arena, codes[i], PROTEIN, DATE), "t", 1, query, hit};
  }
  add_chain(&m, NF_PROTEIN, "ALA ALA ALA ALA ALA", 6, t);
  REQUIRE_OK(make(&m, 5));
  const int expected[] = {0, 4, 3, 6};
  for (int i = 0; i < 4; i++) CHECK_INT(aatype(&m, i, 0), expected[i]);
  t[5].mmcif = "nonsense";
  t[5].label = "the sixth";
  CHECK_INT(make(&m, 5), NF_INPUT);
  CHECK(strstr(nf_message(), "the sixth: line 1"));
  nf_arena_free(m.arena);
}

TEST(chains_that_get_none) {
  made m;
  made_start(&m);
  const int query[] = {0}, hit[] = {0};
  job_template t = {template_text(m.arena, "TRP", PROTEIN, DATE), "t", 1, query, hit};
  add_chain(&m, NF_PROTEIN, "ALA ALA ALA ALA", 1, &t);  // too short
  add_chain(&m, NF_PROTEIN, "GLY GLY GLY GLY GLY", 0, NULL);
  add_chain(&m, NF_PROTEIN, "SER SER SER SER SER", -1, NULL);
  add_chain(&m, NF_LIGAND, "HEM HEM HEM HEM HEM", 0, NULL);
  REQUIRE_OK(make(&m, 20));
  for (int t0 = 0; t0 < 4; t0++) {
    for (int i = 0; i < 20; i++) {
      CHECK_INT(aatype(&m, t0, i), 0);
      CHECK_INT(mask(&m, t0, i, 0), 0);
    }
  }
  nf_arena_free(m.arena);
}

TEST(equal_chains_share_the_first_ones_templates) {
  made m;
  made_start(&m);
  const int query[] = {0}, hit[] = {0};
  job_template a = {template_text(m.arena, "TRP", PROTEIN, DATE), "a", 1, query, hit};
  job_template b = {template_text(m.arena, "TYR", PROTEIN, DATE), "b", 1, query, hit};
  add_chain(&m, NF_PROTEIN, "ALA ALA ALA ALA ALA", 1, &a);
  add_chain(&m, NF_PROTEIN, "ALA ALA ALA ALA GLY", 1, &b);
  add_chain(&m, NF_PROTEIN, "ALA ALA ALA ALA ALA", 1, &b);
  REQUIRE_OK(make(&m, 15));
  CHECK_INT(aatype(&m, 0, 0), 17);
  CHECK_INT(aatype(&m, 0, 5), 18);
  CHECK_INT(aatype(&m, 0, 10), 17);
  nf_arena_free(m.arena);
}

TEST(atoms_of_modified_residues_share_a_place) {
  made m;
  made_start(&m);
  const int query[] = {1, 2}, hit[] = {0, 1};
  job_template t = {template_text(m.arena, "TRP TYR", PROTEIN, DATE), "t", 2, query, hit};
  add_chain(&m, NF_PROTEIN, "ALA (SEP) ALA ALA ALA", 1, &t);
  REQUIRE_OK(make(&m, 7));
  const int expected[] = {21, 17, 17, 17, 18, 21, 21};
  for (int i = 0; i < 7; i++) CHECK_INT(aatype(&m, 0, i), expected[i]);
  nf_arena_free(m.arena);
}

// A quirk of the reference: a chain without templates takes a place a token, but its tokens are counted by residue.
TEST(behind_a_modified_nucleic_acid_places_are_shifted) {
  made m;
  made_start(&m);
  const int query[] = {0}, hit[] = {0};
  job_template t = {template_text(m.arena, "TRP", PROTEIN, DATE), "t", 1, query, hit};
  add_chain(&m, NF_RNA, "A (5MC) G", 0, NULL);  // five tokens, three residues
  add_chain(&m, NF_PROTEIN, "ALA ALA ALA ALA ALA", 1, &t);
  REQUIRE_OK(make(&m, 10));
  const int expected[] = {0, 0, 0, 0, 0, 0, 0, 17, 21, 21};
  for (int i = 0; i < 10; i++) CHECK_INT(aatype(&m, 0, i), expected[i]);
  nf_arena_free(m.arena);
}

TEST(nucleic_templates_are_read_letter_by_letter) {
  made m;
  made_start(&m);
  const int query[] = {0, 1}, hit[] = {0, 1};
  job_template t = {template_text(m.arena, "U G", "polyribonucleotide", DATE), "t", 2, query, hit};
  add_chain(&m, NF_PROTEIN, "ALA ALA ALA ALA ALA", 1, &t);
  REQUIRE_OK(make(&m, 5));
  CHECK_INT(aatype(&m, 0, 0), 4);  // U: as selenocysteine, so cysteine
  CHECK_INT(aatype(&m, 0, 1), 7);
  nf_arena_free(m.arena);
}

static void check_refused(const char *mmcif, int query, int hit, const char *message) {
  made m;
  made_start(&m);
  job_template t = {mmcif ? mmcif : template_text(m.arena, "ALA GLY", PROTEIN, DATE), "job.json: protein A, template 1",
                    1, &query, &hit};
  add_chain(&m, NF_PROTEIN, "ALA ALA ALA ALA ALA", 1, &t);
  CHECK_INT(make(&m, 5), NF_INPUT);
  if (!strstr(nf_message(), message)) test_fail(__FILE__, __LINE__, "\"%s\" lacks \"%s\"", nf_message(), message);
  CHECK(strncmp(nf_message(), "job.json: protein A, template 1: ", 33) == 0);
  nf_arena_free(m.arena);
}

TEST(refusals) {
  nf_arena *arena = nf_arena_create();
  check_refused(NULL, 5, 0, "queryIndices: 5 is not a residue of the chain, which has 5");
  check_refused(NULL, -1, 0, "queryIndices: -1");
  check_refused(NULL, 0, 2, "templateIndices: 2 is not a residue of the template, which has 2");
  check_refused(NULL, 0, -1, "templateIndices: -1");
  check_refused(template_text(arena, "ALA", PROTEIN, NULL), 0, 0, "no release date");
  check_refused(template_text(arena, "ALA", PROTEIN, "?"), 0, 0, "no release date");
  check_refused(template_text(arena, "ALA", PROTEIN, "2001-2-3"), 0, 0, "is no date (YYYY-MM-DD): '2001-2-3'");
  check_refused(template_text(arena, "ALA", PROTEIN, "20010203"), 0, 0, "is no date");
  check_refused(template_text(arena, "ALA", PROTEIN, "2001-13-03"), 0, 0, "is no date");
  check_refused("", 0, 0, "empty");
  check_refused("data_x\n_entry.id X\n", 0, 0, "lacks the item '_atom_site.label_asym_id'");
  nf_arena_free(arena);
}

TEST(two_polymers_are_refused) {
  nf_arena *arena = nf_arena_create();
  nf_str s = {0};
  nf_str_puts(&s,
              "data_two\n_pdbx_audit_revision_history.revision_date 2001-02-03\n"
              "loop_\n_atom_site.group_PDB\n_atom_site.id\n_atom_site.type_symbol\n_atom_site.label_atom_id\n"
              "_atom_site.label_comp_id\n_atom_site.label_asym_id\n_atom_site.label_entity_id\n"
              "_atom_site.label_seq_id\n_atom_site.Cartn_x\n_atom_site.Cartn_y\n_atom_site.Cartn_z\n");
  for (int i = 0; i < 4; i++) {
    nf_str_printf(&s, "ATOM %d C CA ALA %c %d %d %d 0 0\n", i, 'A' + i / 2, i / 2 + 1, i % 2 + 1, i);
  }
  check_refused(s.data, 0, 0, "must hold one polymer chain, this one holds 2");
  nf_str_free(&s);
  nf_arena_free(arena);
}
