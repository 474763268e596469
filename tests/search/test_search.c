// The whole search, with HMMER's programs, in tiny databases made here; and in the reference's miniature ones.
#include "search/search.h"

#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "formats/cif.h"
#include "search/database.h"
#include "tests/test.h"

#define NEEDS_HMMER \
  if (system("jackhmmer -h > /dev/null 2>&1 && nhmmer -h > /dev/null 2>&1") != 0) SKIP("HMMER is not installed")

static char dir[256];

static char *path_of(const char *name) {
  static char paths[16][512];
  static int next;
  char *path = paths[next++ % 16];
  snprintf(path, sizeof paths[0], "%s/%s", dir, name);
  return path;
}

static void write_file(const char *name, const char *text) {
  if (nf_file_write(path_of(name), text, strlen(text)) != NF_OK) test_fail(__FILE__, __LINE__, "%s", nf_message());
}

static const char protein[] = "MKVLADERTWQSNPGHIYFCKELLDAVRQMTSPAEWVKNGHDILYRSFQCTEAMKLPVDNRGWSHIQEYT";
static const char rna[] = "GGCUAGCAUCGAUUACGGCAUCUAGGCUUACGAUCGGAUUCAGCUAGCUAAGCCGAUCGUAGCUAGCAUGCUAGCUCC";

static unsigned int random_state;
static unsigned int draw(unsigned int n) {
  random_state = random_state * 1664525u + 1013904223u;
  return (random_state >> 8) % n;
}

// Relatives of `parent`, each with every `rate`-th letter or so replaced and some with a piece inserted, among strangers.
static void write_database(const char *name, const char *prefix, const char *parent, const char *letters, int n_relatives) {
  nf_str s = {0};
  unsigned int n_letters = (unsigned int)strlen(letters);
  random_state = (unsigned int)strlen(name) * 7 + (unsigned char)name[0];
  for (int i = 0; i < 300; i++) {
    bool relative = i % (300 / n_relatives) == 0 && i / (300 / n_relatives) < n_relatives;
    nf_str_printf(&s, ">%s%d%s number %d\n", prefix, i, relative ? "_kin" : "", i);
    for (const char *p = parent; *p; p++) {
      nf_str_putc(&s, relative && draw(6) ? *p : letters[draw(n_letters)]);
      if (relative && i % 4 == 0 && p == parent + 30) nf_str_puts(&s, "GAGA");
    }
    nf_str_putc(&s, '\n');
  }
  write_file(name, s.data);
  nf_str_free(&s);
}

// A program that counts its calls and then does what the real one does.
static void write_wrapper(const char *program, const char *before) {
  nf_str s = {0};
  char name[64];
  nf_str_printf(&s, "#!/bin/sh\ncase \"$*\" in *-h*) ;; *) echo x >> '%s' ;; esac\n%s\nexec %s \"$@\"\n",
                path_of("calls"), before, program);
  snprintf(name, sizeof name, "%s.sh", program);
  write_file(name, s.data);
  if (chmod(path_of(name), 0755) != 0) test_fail(__FILE__, __LINE__, "chmod");
  nf_str_free(&s);
}

static int calls(void) {
  char *text;
  size_t size;
  if (!nf_file_exists(path_of("calls")) || nf_file_read(path_of("calls"), &text, &size) != NF_OK) return 0;
  free(text);
  return (int)size / 2;
}

static void make_databases(void) {
  static const char amino[] = "ACDEFGHIKLMNPQRSTVWY";
  snprintf(dir, sizeof dir, "%s", test_dir());
  write_database("uniref90_2022_05.fa", "UniRef90_", protein, amino, 20);
  write_database("bfd-first_non_consensus_sequences.fasta", "bfd", protein, amino, 10);
  write_database("mgy_clusters_2022_05.fa", "MGYP", protein, amino, 5);
  write_database("uniprot_all_2021_04.fa", "tr|Q1|", protein, amino, 15);
  write_database("nt_rna_2023_02_23_clust_seq_id_90_cov_80_rep_seq.fasta", "NT", rna, "ACGU", 6);
  write_database("rfam_14_9_clust_seq_id_90_cov_80_rep_seq.fasta", "RF", rna, "ACGU", 5);
  write_database("rnacentral_active_seq_id_90_cov_80_linclust.fasta", "URS", rna, "ACGU", 4);
  write_file("pdb_seqres_2022_09_28.fasta", ">1abc_A mol:protein length:70  Made up\n"
             "MKVLADERTWASNPGHIYFCKELLDAVRQMTSPAEWVKNGHDALYRSFQCTEAMKLPVDNRGWSHIQEYT\n"
             ">2abc_A mol:protein length:30  Stranger\nGGGGSGGGGSGGGGSGGGGSGGGGSGGGGS\n");
  CHECK_OK(nf_dir_create(path_of("mmcif_files")));
  // The structure: C alpha atoms of 1abc.
  static const char *const names[26] = {"ALA", 0, "CYS", "ASP", "GLU", "PHE", "GLY", "HIS", "ILE", 0, "LYS", "LEU", "MET",
                                        "ASN", 0, "PRO", "GLN", "ARG", "SER", "THR", 0, "VAL", "TRP", 0, "TYR", 0};
  nf_str s = {0};
  nf_str_puts(&s, "data_1ABC\n_entry.id 1ABC\n_pdbx_audit_revision_history.revision_date 2001-02-03\n_entity.id 1\n"
                  "_entity.type polymer\n_entity_poly.entity_id 1\n_entity_poly.type polypeptide(L)\n_struct_asym.id A\n"
                  "_struct_asym.entity_id 1\nloop_\n_atom_site.group_PDB\n_atom_site.type_symbol\n"
                  "_atom_site.label_atom_id\n_atom_site.label_comp_id\n_atom_site.label_asym_id\n"
                  "_atom_site.label_entity_id\n_atom_site.label_seq_id\n_atom_site.Cartn_x\n_atom_site.Cartn_y\n"
                  "_atom_site.Cartn_z\n_atom_site.auth_seq_id\n_atom_site.auth_asym_id\n");
  static const char sequence[] = "MKVLADERTWASNPGHIYFCKELLDAVRQMTSPAEWVKNGHDALYRSFQCTEAMKLPVDNRGWSHIQEYT";
  for (int i = 0; sequence[i]; i++) {
    nf_str_printf(&s, "ATOM C CA %s A 1 %d %d.5 0.0 1.25 %d A\n", names[sequence[i] - 'A'], i + 1, i, i + 1);
  }
  write_file("mmcif_files/1abc.cif", s.data);
  nf_str_free(&s);
}

static void set_options(search_options *o) {
  static const char *db_dir;
  db_dir = dir;
  search_default_options(o);
  o->n_db_dirs = 1;
  o->db_dirs = &db_dir;
  o->quiet = true;
}

static nf_status search_text(const search_options *o, const char *text, nf_arena *arena, nf_job *ret) {
  nf_job job;
  nf_search *s = NULL;
  nf_status status = job_parse("job.json", text, strlen(text), arena, &job);
  if (status == NF_OK) status = search_open(o, &s);
  if (status == NF_OK) status = search_job(s, &job, arena, ret);
  search_close(s);
  return status;
}

static const char *job_text(const char *sequences, nf_arena *arena) {
  return nf_arena_printf(arena, "{\"name\": \"t\", \"modelSeeds\": [1], \"dialect\": \"alphafold3\", \"version\": 1, "
                                "\"sequences\": [%s]}", sequences);
}

static int count(const char *text, const char *what) {
  int n = 0;
  for (; text && (text = strstr(text, what)); text++) n++;
  return n;
}

TEST(a_bare_job_is_filled) {
  NEEDS_HMMER;
  make_databases();
  nf_arena *arena = nf_arena_create();
  search_options o;
  nf_job job;
  set_options(&o);
  write_wrapper("jackhmmer", "");
  o.jackhmmer = path_of("jackhmmer.sh");
  const char *text = job_text(nf_arena_printf(arena, "{\"protein\": {\"id\": [\"A\", \"B\"], \"sequence\": \"%s\"}}, "
                                              "{\"protein\": {\"id\": \"C\", \"sequence\": \"%s\", \"templates\": []}}, "
                                              "{\"rna\": {\"id\": \"R\", \"sequence\": \"%s\"}}, "
                                              "{\"protein\": {\"id\": \"D\", \"sequence\": \"MKV\", \"unpairedMsa\": \"\", "
                                              "\"pairedMsa\": \"\", \"templates\": []}}",
                                              protein, protein, rna), arena);
  REQUIRE_OK(search_text(&o, text, arena, &job));
  const job_chain *a = &job.chains[0], *b = &job.chains[1], *c = &job.chains[2], *r = &job.chains[3];
  CHECK_INT(calls(), 8);  // A and B are one; C differs in what is asked for
  CHECK(a->unpaired_msa == b->unpaired_msa);
  CHECK(strncmp(a->unpaired_msa, ">query\nMKVLADERTWQSNPGHIYF", 26) == 0);
  CHECK_INT(count(a->unpaired_msa, "_kin"), 35);
  CHECK_INT(count(a->unpaired_msa, ">"), 36);
  CHECK_INT(count(a->paired_msa, "_kin"), 15);
  // Merged in the order UniRef90, small BFD, MGnify.
  CHECK(strstr(a->unpaired_msa, ">UniRef90_") < strstr(a->unpaired_msa, ">bfd"));
  CHECK(strstr(a->unpaired_msa, ">bfd") < strstr(a->unpaired_msa, ">MGYP"));
  CHECK_INT(count(r->unpaired_msa, "_kin"), 15);
  CHECK(strncmp(r->unpaired_msa, ">query\nGGCUAG", 13) == 0);
  CHECK(strstr(r->unpaired_msa, ">RF") < strstr(r->unpaired_msa, ">URS"));
  CHECK(strstr(r->unpaired_msa, ">URS") < strstr(r->unpaired_msa, ">NT"));
  CHECK_INT(a->n_templates, 1);
  CHECK_INT(a->templates[0].n_indices, 70);
  CHECK_INT(a->templates[0].template_indices[69], 69);
  CHECK_INT(c->n_templates, 0);
  CHECK_STR(c->unpaired_msa, a->unpaired_msa);
  CHECK_STR(job.chains[4].unpaired_msa, ">Original query\nMKV\n");
  CHECK_STR(job.chains[4].paired_msa, ">Original query\nMKV\n");
  nf_arena_free(arena);
}

static const char *bare_protein(nf_arena *arena) {
  return job_text(nf_arena_printf(arena, "{\"protein\": {\"id\": \"A\", \"sequence\": \"%s\"}}", protein), arena);
}

TEST(the_prefilter_changes_nothing) {
  NEEDS_HMMER;
  make_databases();
  nf_arena *arena = nf_arena_create();
  search_options o;
  nf_job with, without;
  set_options(&o);
  REQUIRE_OK(search_text(&o, bare_protein(arena), arena, &with));
  o.prefilter = false;
  REQUIRE_OK(search_text(&o, bare_protein(arena), arena, &without));
  CHECK_STR(with.chains[0].unpaired_msa, without.chains[0].unpaired_msa);
  CHECK_STR(with.chains[0].paired_msa, without.chains[0].paired_msa);
  nf_arena_free(arena);
}

TEST(templates_for_a_given_msa) {
  NEEDS_HMMER;
  make_databases();
  nf_arena *arena = nf_arena_create();
  search_options o;
  nf_job job;
  set_options(&o);
  o.jackhmmer = "/nowhere";  // is not needed
  o.databases[SEARCH_UNIREF90].path = "/nowhere";
  const char *text = job_text(nf_arena_printf(arena, "{\"protein\": {\"id\": \"A\", \"sequence\": \"%s\", "
                                              "\"unpairedMsa\": \"\", \"pairedMsa\": \"\"}}", protein), arena);
  REQUIRE_OK(search_text(&o, text, arena, &job));
  CHECK_INT(job.chains[0].n_templates, 1);
  o.max_template_date = 20010202;
  REQUIRE_OK(search_text(&o, text, arena, &job));
  CHECK_INT(job.chains[0].n_templates, 0);
  nf_arena_free(arena);
}

TEST(the_cache_makes_the_second_search_free) {
  NEEDS_HMMER;
  make_databases();
  nf_arena *arena = nf_arena_create();
  search_options o;
  nf_job first, second, third;
  set_options(&o);
  write_wrapper("jackhmmer", "");
  write_wrapper("hmmsearch", "");
  o.jackhmmer = path_of("jackhmmer.sh");
  o.hmmsearch = path_of("hmmsearch.sh");
  o.cache_dir = path_of("cache");
  REQUIRE_OK(search_text(&o, bare_protein(arena), arena, &first));
  CHECK_INT(calls(), 5);
  REQUIRE_OK(search_text(&o, bare_protein(arena), arena, &second));
  CHECK_INT(calls(), 5);
  CHECK_STR(second.chains[0].unpaired_msa, first.chains[0].unpaired_msa);
  CHECK_STR(second.chains[0].paired_msa, first.chains[0].paired_msa);
  CHECK_INT(second.chains[0].n_templates, 1);
  CHECK_STR(second.chains[0].templates[0].mmcif, first.chains[0].templates[0].mmcif);
  CHECK_INT(second.chains[0].templates[0].template_indices[69], 69);
  // Another date asks for templates alone; another database for itself, here with the same hits.
  o.max_template_date = 20220101;
  REQUIRE_OK(search_text(&o, bare_protein(arena), arena, &third));
  CHECK_INT(calls(), 6);
  o.jackhmmer_dom_e = 1000;
  REQUIRE_OK(search_text(&o, bare_protein(arena), arena, &third));
  CHECK_INT(calls(), 10);
  nf_arena_free(arena);
}

// What the key of a kept result tells apart: each change has the chain searched for again, in one database or in four.
TEST(the_cache_knows_what_changed) {
  NEEDS_HMMER;
  make_databases();
  nf_arena *arena = nf_arena_create();
  search_options o;
  nf_job job;
  set_options(&o);
  write_wrapper("jackhmmer", "");
  o.jackhmmer = nf_arena_strdup(arena, path_of("jackhmmer.sh"));
  o.cache_dir = nf_arena_strdup(arena, path_of("cache_of_changes"));
  unlink(path_of("calls"));
  const char *format = "{\"protein\": {\"id\": \"A\", \"sequence\": \"%s\", \"templates\": []}}";
  const char *text = job_text(nf_arena_printf(arena, format, protein), arena);
  REQUIRE_OK(search_text(&o, text, arena, &job));
  CHECK_INT(calls(), 4);
  // Z.
  o.databases[SEARCH_UNIREF90].z = 12345;
  REQUIRE_OK(search_text(&o, text, arena, &job));
  CHECK_INT(calls(), 5);
  // The path, of a file with the same content and time.
  char command[2048];
  snprintf(command, sizeof command, "cp -p '%s' '%s'", path_of("mgy_clusters_2022_05.fa"), path_of("other.fa"));
  CHECK(system(command) == 0);
  o.databases[SEARCH_MGNIFY].path = nf_arena_strdup(arena, path_of("other.fa"));
  REQUIRE_OK(search_text(&o, text, arena, &job));
  CHECK_INT(calls(), 6);
  // The time, then the size at the same time.
  snprintf(command, sizeof command, "touch -d 2001-02-03 '%s'", path_of("other.fa"));
  CHECK(system(command) == 0);
  REQUIRE_OK(search_text(&o, text, arena, &job));
  CHECK_INT(calls(), 7);
  snprintf(command, sizeof command, "echo >> '%s'; touch -d 2001-02-03 '%s'", path_of("other.fa"), path_of("other.fa"));
  CHECK(system(command) == 0);
  REQUIRE_OK(search_text(&o, text, arena, &job));
  CHECK_INT(calls(), 8);
  // The sequence.
  text = job_text(nf_arena_printf(arena, format, protein + 1), arena);
  REQUIRE_OK(search_text(&o, text, arena, &job));
  CHECK_INT(calls(), 12);
  // HMMER's version.
  nf_str s = {0};
  nf_str_printf(&s, "#!/bin/sh\ncase \"$*\" in *-h*) echo '# HMMER 9.9 (Nov 2099)'; exit ;; esac\necho x >> '%s'\n"
                "exec jackhmmer \"$@\"\n", path_of("calls"));
  write_file("jackhmmer.sh", s.data);
  nf_str_free(&s);
  if (chmod(o.jackhmmer, 0755) != 0) test_fail(__FILE__, __LINE__, "chmod");
  REQUIRE_OK(search_text(&o, text, arena, &job));
  CHECK_INT(calls(), 16);
  REQUIRE_OK(search_text(&o, text, arena, &job));
  CHECK_INT(calls(), 16);
  nf_arena_free(arena);
}

// Searches with a jackhmmer whose help has one line more, and gives the arguments of its calls.
static const char *arguments_of_jackhmmer(const char *help, double dom_e, nf_arena *arena) {
  nf_str s = {0};
  search_options o;
  nf_job job;
  char *text = NULL;
  size_t size;
  nf_str_printf(&s, "#!/bin/sh\ncase \"$*\" in *-h*) jackhmmer -h; echo '%s'; exit ;; esac\necho \"$*\" >> '%s'\n"
                "args=$(echo \"$*\" | sed 's/--seq_limit [0-9]*//')\nexec jackhmmer $args\n", help, path_of("arguments"));
  write_file("limited.sh", s.data);
  nf_str_free(&s);
  unlink(path_of("arguments"));
  if (chmod(path_of("limited.sh"), 0755) != 0) test_fail(__FILE__, __LINE__, "chmod");
  set_options(&o);
  o.jackhmmer = path_of("limited.sh");
  o.jackhmmer_dom_e = dom_e;
  CHECK_OK(search_text(&o, job_text(nf_arena_printf(arena, "{\"protein\": {\"id\": \"A\", \"sequence\": \"%s\", "
                                                    "\"templates\": []}}", protein), arena), arena, &job));
  CHECK_INT(count(job.chains[0].unpaired_msa, "_kin"), 35);
  CHECK_OK(nf_file_read(path_of("arguments"), &text, &size));
  const char *copy = text ? nf_arena_strdup(arena, text) : "";
  free(text);
  return copy;
}

TEST(seq_limit_is_given_to_a_jackhmmer_that_knows_it) {
  NEEDS_HMMER;
  make_databases();
  nf_arena *arena = nf_arena_create();
  const char *text = arguments_of_jackhmmer("  --seq_limit <n> : if set, truncate all hits", NAN, arena);
  CHECK_INT(count(text, "--seq_limit "), 4);
  CHECK_INT(count(text, "--seq_limit 10000 "), 1);
  CHECK_INT(count(text, "--seq_limit 5000 "), 2);
  CHECK_INT(count(text, "--seq_limit 50000 "), 1);
  // And not to one that does not; a patched jackhmmer in $PATH knows it.
  if (system("jackhmmer -h | grep -q seq_limit") != 0) CHECK_INT(count(arguments_of_jackhmmer("", NAN, arena), "seq_limit"), 0);
  nf_arena_free(arena);
}

TEST(a_wider_domain_threshold_is_given_to_jackhmmer) {
  NEEDS_HMMER;
  make_databases();
  nf_arena *arena = nf_arena_create();
  CHECK_INT(count(arguments_of_jackhmmer("", 1000, arena), "--domE 1000 "), 4);
  CHECK_INT(count(arguments_of_jackhmmer("", NAN, arena), "--domE"), 0);
  nf_arena_free(arena);
}

TEST(one_program_that_fails_leaves_what_the_others_find) {
  NEEDS_HMMER;
  make_databases();
  nf_arena *arena = nf_arena_create();
  search_options o;
  nf_job job;
  set_options(&o);
  o.prefilter = false;  // so that the database is among jackhmmer's arguments
  write_wrapper("jackhmmer", "case \"$*\" in *mgy_clusters*) echo 'Error: disk is full' >&2; exit 7 ;; esac");
  o.jackhmmer = path_of("jackhmmer.sh");
  o.cache_dir = path_of("cache");
  CHECK_INT(search_text(&o, bare_protein(arena), arena, &job), NF_FAILED);
  CHECK(strstr(nf_message(), "job.json: chain A: jackhmmer on ") != NULL);
  CHECK(strstr(nf_message(), "mgy_clusters_2022_05.fa: failed with exit status 7: Error: disk is full") != NULL);
  CHECK_INT(calls(), 4);
  write_wrapper("jackhmmer", "");
  REQUIRE_OK(search_text(&o, bare_protein(arena), arena, &job));
  CHECK_INT(calls(), 5);
  CHECK_INT(count(job.chains[0].unpaired_msa, "_kin"), 35);
  nf_arena_free(arena);
}

TEST(what_is_missing_is_refused_before_the_search) {
  NEEDS_HMMER;
  make_databases();
  nf_arena *arena = nf_arena_create();
  search_options o;
  nf_job job;
  set_options(&o);
  o.nhmmer = "/nowhere/nhmmer";
  REQUIRE_OK(search_text(&o, bare_protein(arena), arena, &job));  // needs no nhmmer
  const char *text = job_text(nf_arena_printf(arena, "{\"rna\": {\"id\": \"A\", \"sequence\": \"%s\"}}", rna), arena);
  CHECK_INT(search_text(&o, text, arena, &job), NF_FAILED);
  CHECK(strstr(nf_message(), "nhmmer: /nowhere/nhmmer cannot be run: No such file or directory; install HMMER") != NULL);
  set_options(&o);
  o.databases[SEARCH_RFAM].path = "${DB_DIR}/absent.fa";
  CHECK_INT(search_text(&o, text, arena, &job), NF_INPUT);
  CHECK(strstr(nf_message(), "--rfam_database_path: ${DB_DIR}/absent.fa is in none of") != NULL);
  text = job_text("{\"protein\": {\"id\": \"A\", \"sequence\": \"MKV\", \"unpairedMsa\": \"\"}}", arena);
  CHECK_INT(search_text(&o, text, arena, &job), NF_INPUT);
  nf_arena_free(arena);
}

// Names of the hits of a text, sorted.
static int compare_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }
static const char *hit_names(const char *text, nf_arena *arena) {
  const char *names[400];
  int n = 0;
  for (const char *p = text; n < 400 && (p = strchr(p, '>')); p++) {
    names[n++] = nf_arena_strndup(arena, p, strcspn(p, "/ \n"));
  }
  qsort(names, (size_t)n, sizeof *names, compare_text);
  nf_str s = {0};
  for (int i = 0; i < n; i++) nf_str_puts(&s, names[i]);
  const char *joined = nf_arena_strdup(arena, s.data);
  nf_str_free(&s);
  return joined;
}

TEST(shards_give_the_hits_of_the_whole) {
  NEEDS_HMMER;
  make_databases();
  nf_arena *arena = nf_arena_create();
  search_options o;
  nf_job whole, parts;
  set_options(&o);
  const char *text = job_text(nf_arena_printf(arena, "{\"protein\": {\"id\": \"A\", \"sequence\": \"%s\"}}, "
                                              "{\"rna\": {\"id\": \"R\", \"sequence\": \"%s\"}}", protein, rna), arena);
  REQUIRE_OK(search_text(&o, text, arena, &whole));
  static const search_database sharded[] = {SEARCH_UNIREF90, SEARCH_UNIPROT, SEARCH_NTRNA};
  static const char *const files[] = {"uniref90_2022_05.fa", "uniprot_all_2021_04.fa",
                                      "nt_rna_2023_02_23_clust_seq_id_90_cov_80_rep_seq.fasta"};
  for (int i = 0; i < 3; i++) {
    int64_t sequences, residues;
    REQUIRE_OK(database_shard(path_of(files[i]), path_of(files[i]), 3, 1, arena, &o.databases[sharded[i]].path, &sequences,
                              &residues));
  }
  REQUIRE_OK(search_text(&o, text, arena, &parts));
  CHECK_STR(hit_names(parts.chains[0].unpaired_msa, arena), hit_names(whole.chains[0].unpaired_msa, arena));
  CHECK_STR(hit_names(parts.chains[0].paired_msa, arena), hit_names(whole.chains[0].paired_msa, arena));
  CHECK_STR(hit_names(parts.chains[1].unpaired_msa, arena), hit_names(whole.chains[1].unpaired_msa, arena));
  // Without a record of its size a sharded database needs one by flag.
  unlink(path_of("uniref90_2022_05.fa@3.json"));
  CHECK_INT(search_text(&o, text, arena, &parts), NF_INPUT);
  CHECK(strstr(nf_message(), "give --uniref90_z_value") != NULL);
  o.databases[SEARCH_UNIREF90].z = 300;
  o.jackhmmer_max_parallel_shards = 1;
  REQUIRE_OK(search_text(&o, text, arena, &parts));
  CHECK_STR(hit_names(parts.chains[0].unpaired_msa, arena), hit_names(whole.chains[0].unpaired_msa, arena));
  nf_arena_free(arena);
}

TEST(a_search_that_is_killed_goes_on_where_it_was) {
  NEEDS_HMMER;
  make_databases();
  nf_arena *arena = nf_arena_create();
  search_options o;
  nf_job job;
  set_options(&o);
  o.prefilter = false;  // so that the database is among jackhmmer's arguments
  int fds[2];
  CHECK(pipe(fds) == 0);
  // The search of MGnify tells that it has begun and then hangs.
  write_wrapper("jackhmmer", "case \"$*\" in *mgy_clusters*) echo $$ >&9; exec sleep 1000 ;; esac");
  o.jackhmmer = path_of("jackhmmer.sh");
  o.cache_dir = path_of("cache");
  pid_t pid = fork();
  if (pid == 0) {
    dup2(fds[1], 9);
    _exit(search_text(&o, bare_protein(arena), arena, &job));
  }
  close(fds[1]);
  char text[64];
  CHECK(read(fds[0], text, sizeof text) > 0);
  kill(pid, SIGTERM);
  waitpid(pid, NULL, 0);
  CHECK_INT(read(fds[0], text, sizeof text), 0);  // nobody is left
  close(fds[0]);
  write_wrapper("jackhmmer", "");
  REQUIRE_OK(search_text(&o, bare_protein(arena), arena, &job));
  CHECK_INT(count(job.chains[0].unpaired_msa, "_kin"), 35);
  CHECK_INT(count(job.chains[0].paired_msa, "_kin"), 15);
  nf_arena_free(arena);
}

// ---- against the reference ----

static int column_of(const cif_block *block, const char *name, int row, char *out, size_t size) {
  const char *value = cif_value(block, name, row);
  return snprintf(out, size, "%s", value ? value : "?");
}

static void check_same_atoms(const char *ours, const char *theirs, nf_arena *arena) {
  static const char *const names[] = {"_atom_site.label_atom_id", "_atom_site.label_comp_id", "_atom_site.label_seq_id",
                                      "_atom_site.Cartn_x",       "_atom_site.Cartn_y",       "_atom_site.Cartn_z",
                                      "_atom_site.auth_seq_id",   "_atom_site.auth_asym_id",  "_atom_site.occupancy"};
  cif_file a, b;
  CHECK_OK(cif_parse("ours", ours, strlen(ours), arena, &a));
  CHECK_OK(cif_parse("theirs", theirs, strlen(theirs), arena, &b));
  const cif_column *x = cif_find(&a.blocks[0], "_atom_site.id"), *y = cif_find(&b.blocks[0], "_atom_site.id");
  CHECK(x && y && x->n_rows == y->n_rows && x->n_rows > 100);
  int differing = 0;
  for (int i = 0; x && y && i < x->n_rows && i < y->n_rows; i++) {
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
      char p[64], q[64];
      column_of(&a.blocks[0], names[k], i, p, sizeof p);
      column_of(&b.blocks[0], names[k], i, q, sizeof q);
      differing += strcmp(p, q) != 0;
    }
  }
  CHECK_INT(differing, 0);
}

TEST(the_job_5tgy_gets_what_the_reference_gives_it) {
  NEEDS_HMMER;
  REFERENCE_OR_SKIP(data, "af3_5tgy/data.json");
  REFERENCE_OR_SKIP(databases, "af3_test_data/miniature_databases");
  nf_arena *arena = nf_arena_create();
  nf_job theirs, bare, ours;
  REQUIRE_OK(job_read(data, arena, &theirs));
  bare = theirs;
  job_chain *chains = nf_arena_alloc(arena, (size_t)bare.n_chains * sizeof *chains);
  memcpy(chains, bare.chains, (size_t)bare.n_chains * sizeof *chains);
  chains[0].unpaired_msa = chains[0].paired_msa = NULL;
  chains[0].n_templates = -1;
  bare.chains = chains;
  search_options o;
  search_default_options(&o);
  o.quiet = true;
  o.n_db_dirs = 1;
  o.db_dirs = &databases;
  static const char *const files[SEARCH_N_DATABASES] = {
      [SEARCH_UNIREF90] = "${DB_DIR}/uniref90__subsampled_1000.fasta",
      [SEARCH_SMALL_BFD] = "${DB_DIR}/bfd-first_non_consensus_sequences__subsampled_1000.fasta",
      [SEARCH_MGNIFY] = "${DB_DIR}/mgy_clusters__subsampled_1000.fa",
      [SEARCH_UNIPROT] = "${DB_DIR}/uniprot_all__subsampled_1000.fasta",
      [SEARCH_SEQRES] = "${DB_DIR}/pdb_seqres_2022_09_28__subsampled_1000.fasta",
      [SEARCH_PDB] = "${DB_DIR}/pdb_mmcif"};
  for (int d = 0; d < SEARCH_N_DATABASES; d++) {
    if (files[d]) o.databases[d].path = files[d];
  }
  nf_search *s;
  REQUIRE_OK(search_open(&o, &s));
  CHECK(search_is_needed(&bare) && !search_is_needed(&theirs));
  REQUIRE_OK(search_job(s, &bare, arena, &ours));
  search_close(s);
  const job_chain *p = &ours.chains[0], *q = &theirs.chains[0];
  CHECK_STR(p->unpaired_msa, q->unpaired_msa);
  CHECK_STR(p->paired_msa, q->paired_msa);
  CHECK_INT(p->n_templates, 4);
  CHECK_INT(q->n_templates, 4);
  for (int i = 0; i < 4 && i < p->n_templates; i++) {
    const job_template *t = &p->templates[i], *u = &q->templates[i];
    CHECK_INT(t->n_indices, u->n_indices);
    CHECK(memcmp(t->query_indices, u->query_indices, (size_t)u->n_indices * sizeof(int)) == 0);
    CHECK(memcmp(t->template_indices, u->template_indices, (size_t)u->n_indices * sizeof(int)) == 0);
    check_same_atoms(t->mmcif, u->mmcif, arena);
  }
  nf_arena_free(arena);
}
