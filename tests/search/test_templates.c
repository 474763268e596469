// Templates: which hits are kept, and where their residues lie in the structure.
#include "search/templates.h"

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "structure/structure.h"
#include "tests/test.h"

// Expects that hit residue i lands on index expected[i] of the structure, -1 for none.
static void check_realigned(const char *hit, int start, int full_length, const char *structure, const int *expected) {
  int n = (int)strlen(hit), query[64], index[64], n_left;
  for (int i = 0; i < n; i++) query[i] = i + 3, index[i] = i;
  CHECK(templates_realign(hit, start, start + n, full_length, structure, n, query, index, &n_left));
  int k = 0;
  for (int i = 0; i < n; i++) {
    if (expected[i] < 0) continue;
    CHECK(k < n_left);
    CHECK_INT(query[k], i + 3);
    CHECK_INT(index[k], expected[i]);
    k++;
  }
  CHECK_INT(n_left, k);
}

TEST(hits_are_laid_over_shorter_structures) {
  // The PDB's sequence is XDEFGHIJKL; the structure lacks IJ.
  check_realigned("DEFGHIJK", 1, 10, "XDEFGHKL", (const int[]){1, 2, 3, 4, 5, -1, -1, 6});
  // Residues missing before the hit.
  check_realigned("DEFGH", 4, 9, "DEFGH", (const int[]){0, 1, 2, 3, 4});
  // Nothing missing within, all behind.
  check_realigned("ABCDE", 0, 9, "ABCDEF", (const int[]){0, 1, 2, 3, 4});
  // Another letter in place of one.
  check_realigned("ABCDE", 0, 6, "AXCDE", (const int[]){0, 1, 2, 3, 4});
  int query[1] = {0}, index[1] = {0}, n;
  CHECK(!templates_realign("A", 0, 1, 3, "AAAA", 1, query, index, &n));
}

static const char *const codes[26] = {['A' - 'A'] = "ALA", ['C' - 'A'] = "CYS", ['D' - 'A'] = "ASP", ['E' - 'A'] = "GLU",
                                      ['F' - 'A'] = "PHE", ['G' - 'A'] = "GLY", ['H' - 'A'] = "HIS", ['I' - 'A'] = "ILE",
                                      ['K' - 'A'] = "LYS", ['L' - 'A'] = "LEU", ['M' - 'A'] = "MET", ['N' - 'A'] = "ASN"};

// A structure of two chains, "A" (sequence) and "B" (the same), of which residues `absent` of chain A have no atoms.
static void write_structure(const char *dir, const char *id, const char *date, const char *sequence, const char *absent) {
  nf_str s = {0};
  nf_str_printf(&s, "data_%s\n_entry.id %s\n_pdbx_audit_revision_history.revision_date %s\n", id, id, date);
  nf_str_puts(&s, "_entity.id 1\n_entity.type polymer\n_entity_poly.entity_id 1\n_entity_poly.type polypeptide(L)\n");
  nf_str_puts(&s, "loop_\n_struct_asym.id\n_struct_asym.entity_id\nX 1\nY 1\n");
  nf_str_puts(&s, "loop_\n_pdbx_poly_seq_scheme.asym_id\n_pdbx_poly_seq_scheme.pdb_seq_num\n"
                  "_pdbx_poly_seq_scheme.pdb_ins_code\n_pdbx_poly_seq_scheme.seq_id\n_pdbx_poly_seq_scheme.mon_id\n"
                  "_pdbx_poly_seq_scheme.pdb_strand_id\n");
  for (int c = 0; c < 2; c++) {
    for (int i = 0; sequence[i]; i++) {
      nf_str_printf(&s, "%c %d . %d %s %c\n", 'X' + c, i + 11, i + 1, codes[sequence[i] - 'A'], 'A' + c);
    }
  }
  nf_str_puts(&s, "loop_\n_atom_site.group_PDB\n_atom_site.type_symbol\n_atom_site.label_atom_id\n"
                  "_atom_site.label_comp_id\n_atom_site.label_asym_id\n_atom_site.label_entity_id\n"
                  "_atom_site.label_seq_id\n_atom_site.Cartn_x\n_atom_site.Cartn_y\n_atom_site.Cartn_z\n"
                  "_atom_site.occupancy\n_atom_site.B_iso_or_equiv\n_atom_site.auth_seq_id\n_atom_site.auth_asym_id\n");
  for (int c = 0; c < 2; c++) {
    for (int i = 0; sequence[i]; i++) {
      if (c == 0 && absent[i] == '-') continue;
      nf_str_printf(&s, "ATOM C CA %s %c 1 %d %d.125 %d.250 -1.500 1.00 20.00 %d %c\n", codes[sequence[i] - 'A'], 'X' + c,
                    i + 1, i, 100 * c, i + 11, 'A' + c);
    }
  }
  char path[512];
  snprintf(path, sizeof path, "%s/%s.cif", dir, id);
  if (nf_file_write(path, s.data, s.length) != NF_OK) test_fail(__FILE__, __LINE__, "%s", nf_message());
  nf_str_free(&s);
}

static const char query[] = "ACDEFGHIKLMNACDEFGHIKLMN";

TEST(hits_are_chosen) {
  char dir[256];
  snprintf(dir, sizeof dir, "%s", test_dir());
  const char *all = "++++++++++++++++++++++++";
  write_structure(dir, "1aaa", "2020-01-01", "ACDEFGHIKLMNACDEFGHI", all);       // the structure lacks KLMN
  write_structure(dir, "1bbb", "2021-10-01", "ACDEFGHIKLMNACDEFGHIKLMN", all);   // too young
  write_structure(dir, "1ccc", "2019-05-06", "AAAAAAACDEFGHIKLMNACDEFG", "++++++------------++++++");
  write_structure(dir, "1ddd", "2019-05-06", "CDEFGHIKLMNACC", all);
  write_structure(dir, "1eee", "2019-05-06", "ACDEFGHIKLMNACDEFGHIKLMN", all);
  write_structure(dir, "1fff", "2019-05-06", "GGCDEFGHIKLMNACC", all);
  write_structure(dir, "1ggg", "2019-05-06", "ACDEFGHIKLHHHHHH", all);
  write_structure(dir, "1hhh", "2019-05-06", "ACDEFGHIKLHHHHHA", all);
  static const char hits_text[] =
      ">1bbb_A/1-22 [subseq from] mol:protein length:24  young\nACDEFGHIKLMNACDEFGHIKL--\n"
      ">1eee_A/1-24 [subseq from] mol:protein length:24  a copy of the query\nACDEFGHIKLMNACDEFGHIKLMN\n"
      ">9zzz_A/1-12 [subseq from] mol:protein length:24  absent\nACDEFGHIKLMN------------\n"
      ">1eee_C/1-12 [subseq from] mol:protein length:24  no such chain\nACDEFGHIKLMN------------\n"
      ">odd name\nACDEFGHIKLMN------------\n"
      ">1ccc_A/7-18 [subseq from] mol:protein length:24  unseen\nACDEFGHIKLMN------------\n"
      ">1ccc_B/7-18 [subseq from] mol:protein length:24  seen in the other chain\nACDEFGHIKLMN------------\n"
      ">1ddd_A/1-9 [subseq from] mol:protein length:14  too short\n-CDEFGHIKL--------------\n"
      ">1ddd_A/1-14 [subseq from] mol:protein length:14  length:1x an insertion\n-CDEFGHIKLMNACc---------\n"
      ">1fff_A/3-14 [subseq from] mol:protein length:16  the same letters again\n-CDEFGHIKLMNA-----------\n"
      ">1fff_B/3-15 [subseq from] mol:protein length:16  the same letters as the insertion's\n-CDEFGHIKLMNAC----------\n"
      ">1aaa_A/5-24 [subseq from] mol:protein length:24  realigned\n----FGHIKLMNACDEFGHIKLMN\n"
      ">1ggg_A/1-11 [subseq from] mol:protein length:16  fourth\nACDEFGHIKLH-------------\n"
      ">1hhh_A/1-11 [subseq from] mol:protein length:16  fifth\nACDEFGHIKL-H------------\n";
  nf_alignment hits = {0};
  nf_mmcif_store *store;
  nf_arena *arena = nf_arena_create();
  job_template *templates;
  int n;
  alignment_parse(hits_text, strlen(hits_text), &hits);
  REQUIRE_OK(mmcif_store_open(dir, &store));
  REQUIRE_OK(templates_select(query, &hits, store, 20210930, arena, &n, &templates));
  CHECK_INT(n, 4);
  CHECK(strncmp(templates[0].mmcif, "data_1ccc\n", 10) == 0);
  CHECK_INT(templates[0].n_indices, 12);
  CHECK_INT(templates[0].query_indices[0], 0);
  CHECK_INT(templates[0].template_indices[0], 6);
  CHECK(strncmp(templates[1].mmcif, "data_1ddd\n", 10) == 0);
  CHECK_INT(templates[1].n_indices, 13);
  CHECK_INT(templates[1].query_indices[12], 13);
  CHECK_INT(templates[1].template_indices[12], 12);
  CHECK(strncmp(templates[2].mmcif, "data_1fff\n", 10) == 0);
  CHECK_INT(templates[2].n_indices, 12);
  CHECK(strncmp(templates[3].mmcif, "data_1aaa\n", 10) == 0);

  // The text holds the chain alone, with its author's numbers and its gaps.
  nf_structure structure;
  REQUIRE_OK(mmcif_read_structure("template", templates[0].mmcif, strlen(templates[0].mmcif), arena, &structure));
  CHECK_INT(structure.n_chains, 1);
  CHECK_STR(structure.chains[0].id, "Y");
  CHECK_STR(structure.chains[0].author_id, "B");
  CHECK_INT(structure.n_residues, 24);
  CHECK_INT(structure.release_date, 20190506);
  CHECK_STR(structure.residues[6].name, "ALA");
  CHECK_STR(structure.residues[6].author_id, "17");
  CHECK_NEAR(structure.atoms[6].x, 6.125, 0);
  CHECK_NEAR(structure.atoms[6].y, 100.25, 0);
  CHECK_NEAR(structure.atoms[6].z, -1.5, 0);
  mmcif_store_close(store);
  alignment_free(&hits);
  nf_arena_free(arena);
}

TEST(a_chain_without_some_atoms_keeps_their_places) {
  char dir[256];
  snprintf(dir, sizeof dir, "%s", test_dir());
  write_structure(dir, "1ccc", "2019-05-06", "AAAAAAACDEFGHIKLMNACDEFG", "++++++-----+++++++++++++");
  static const char text[] = ">1ccc_A/7-18 [subseq from] mol:protein length:24  x\nACDEFGHIKLMN------------\n";
  nf_alignment hits = {0};
  nf_mmcif_store *store;
  nf_arena *arena = nf_arena_create();
  job_template *templates;
  nf_structure structure;
  int n;
  alignment_parse(text, strlen(text), &hits);
  REQUIRE_OK(mmcif_store_open(dir, &store));
  REQUIRE_OK(templates_select(query, &hits, store, 20210930, arena, &n, &templates));
  CHECK_INT(n, 1);
  REQUIRE_OK(mmcif_read_structure("template", templates[0].mmcif, strlen(templates[0].mmcif), arena, &structure));
  CHECK_INT(structure.n_residues, 24);
  CHECK_INT(structure.n_atoms, 19);
  CHECK_INT(structure.residues[7].n_atoms, 0);
  CHECK_INT(structure.residues[11].n_atoms, 1);
  mmcif_store_close(store);
  alignment_free(&hits);
  nf_arena_free(arena);
}
