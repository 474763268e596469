// Jobs as they are read and written.
#include "base/file.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/str.h"
#include "input/job.h"
#include "tests/test.h"

static const char everything[] =
    "{\"version\": 2, \"dialect\": \"alphafold3\", \"modelSeeds\": [10, \"42\", 4294967295],\n"
    " \"name\": \"A \\\"job\\\" \\\\ \\/ \\u00e9\xc3\xa9 \xf0\x9f\x8e\x88\\u007f\\t.-_x\",\n"
    " \"sequences\": [\n"
    "  {\"protein\": {\"templates\": [{\"templateIndices\": [1, 2, 3, 9], \"queryIndices\": [0, 3, 2, 0], \"mmcif\": "
    "\"data_x\\n\"}, {\"queryIndices\": [], \"templateIndices\": null, \"mmcif\": \"data_y\"}],\n"
    "    \"modifications\": [{\"ptmPosition\": 1, \"ptmType\": \"HY3\"}, {\"ptmPosition\": 3, \"ptmType\": \"SEP\"}],\n"
    "    \"pairedMsa\": \"\", \"unpairedMsa\": \">q\\nPRSACH\\n\", \"sequence\": \"PREACH\", \"id\": \"A\",\n"
    "    \"description\": \"one\"}},\n"
    "  {\"rna\": {\"id\": [\"B\", \"CC\"], \"sequence\": \"GUACN\", \"unpairedMsa\": \"\"}},\n"
    "  {\"dna\": {\"id\": \"D\", \"sequence\": \"GATC\", \"modifications\": [{\"modificationType\": \"6OG\", "
    "\"basePosition\": 1}]}},\n"
    "  {\"ligand\": {\"id\": \"L\", \"ccdCodes\": [\"NAG\", \"FUC\"]}},\n"
    "  {\"rna\": {\"id\": \"E\", \"sequence\": \"GUACN\", \"unpairedMsa\": \"\"}},\n"
    "  {\"protein\": {\"id\": [\"M\"], \"sequence\": \"W\", \"templates\": []}}]}";

// The same as the reference writes it (checked against AlphaFold 3.0.4's Input.to_json).
static const char written[] =
    "{\n"
    "  \"dialect\": \"alphafold3\",\n"
    "  \"version\": 4,\n"
    "  \"name\": \"A \\\"job\\\" \\\\ / \\u00e9\\u00e9 \\ud83c\\udf88\\u007f\\t.-_x\",\n"
    "  \"sequences\": [\n"
    "    {\n"
    "      \"protein\": {\n"
    "        \"id\": \"A\",\n"
    "        \"sequence\": \"PREACH\",\n"
    "        \"modifications\": [\n"
    "          {\n"
    "            \"ptmType\": \"HY3\",\n"
    "            \"ptmPosition\": 1\n"
    "          },\n"
    "          {\n"
    "            \"ptmType\": \"SEP\",\n"
    "            \"ptmPosition\": 3\n"
    "          }\n"
    "        ],\n"
    "        \"unpairedMsa\": \">q\\nPRSACH\\n\",\n"
    "        \"pairedMsa\": \"\",\n"
    "        \"templates\": [\n"
    "          {\n"
    "            \"mmcif\": \"data_x\\n\",\n"
    "            \"queryIndices\": [0, 3, 2],\n"
    "            \"templateIndices\": [9, 2, 3]\n"
    "          },\n"
    "          {\n"
    "            \"mmcif\": \"data_y\",\n"
    "            \"queryIndices\": [],\n"
    "            \"templateIndices\": []\n"
    "          }\n"
    "        ],\n"
    "        \"description\": \"one\"\n"
    "      }\n"
    "    },\n"
    "    {\n"
    "      \"rna\": {\n"
    "        \"id\": [\n"
    "          \"B\",\n"
    "          \"CC\",\n"
    "          \"E\"\n"
    "        ],\n"
    "        \"sequence\": \"GUACN\",\n"
    "        \"modifications\": [],\n"
    "        \"unpairedMsa\": \"\"\n"
    "      }\n"
    "    },\n"
    "    {\n"
    "      \"dna\": {\n"
    "        \"id\": \"D\",\n"
    "        \"sequence\": \"GATC\",\n"
    "        \"modifications\": [\n"
    "          {\n"
    "            \"modificationType\": \"6OG\",\n"
    "            \"basePosition\": 1\n"
    "          }\n"
    "        ]\n"
    "      }\n"
    "    },\n"
    "    {\n"
    "      \"ligand\": {\n"
    "        \"id\": \"L\",\n"
    "        \"ccdCodes\": [\n"
    "          \"NAG\",\n"
    "          \"FUC\"\n"
    "        ]\n"
    "      }\n"
    "    },\n"
    "    {\n"
    "      \"protein\": {\n"
    "        \"id\": \"M\",\n"
    "        \"sequence\": \"W\",\n"
    "        \"modifications\": [],\n"
    "        \"unpairedMsa\": null,\n"
    "        \"pairedMsa\": null,\n"
    "        \"templates\": []\n"
    "      }\n"
    "    }\n"
    "  ],\n"
    "  \"modelSeeds\": [\n"
    "    10,\n"
    "    42,\n"
    "    4294967295\n"
    "  ],\n"
    "  \"bondedAtomPairs\": null,\n"
    "  \"userCCD\": null\n"
    "}";

TEST(every_part_of_a_job) {
  nf_arena *arena = nf_arena_create();
  nf_job job;
  REQUIRE_OK(job_parse("dir/j.json", everything, sizeof everything - 1, arena, &job));
  CHECK_STR(job.name, "A \"job\" \\ / \xc3\xa9\xc3\xa9 \xf0\x9f\x8e\x88\x7f\t.-_x");
  CHECK_STR(job_sanitised_name(&job, arena), "A_job____.-_x");
  CHECK_STR(job.path, "dir/j.json");
  CHECK_INT(job.version, 2);
  CHECK_INT(job.n_seeds, 3);
  CHECK_INT(job.seeds[0], 10);
  CHECK_INT(job.seeds[1], 42);
  CHECK_INT(job.seeds[2], 4294967295);
  CHECK_INT(job.n_bonds, 0);
  CHECK(!job.user_ccd);
  CHECK_INT(job.n_chains, 7);

  const job_chain *a = &job.chains[0];
  CHECK_INT(a->kind, NF_PROTEIN);
  CHECK_STR(a->id, "A");
  CHECK_INT(a->entity, 0);
  CHECK_STR(a->description, "one");
  CHECK_STR(a->sequence, "PREACH");
  CHECK_INT(a->n_modifications, 2);
  CHECK_STR(a->modifications[1].code, "SEP");
  CHECK_INT(a->modifications[1].position, 3);
  CHECK_STR(a->unpaired_msa, ">q\nPRSACH\n");
  CHECK_STR(a->paired_msa, "");
  CHECK_INT(a->n_templates, 2);
  CHECK_STR(a->templates[0].mmcif, "data_x\n");
  CHECK_STR(a->templates[1].label, "dir/j.json: protein A, template 2");
  CHECK_INT(a->templates[0].n_indices, 3);
  CHECK_INT(a->templates[0].query_indices[1], 3);
  CHECK_INT(a->templates[0].template_indices[0], 9);
  CHECK_INT(a->templates[1].n_indices, 0);

  CHECK_STR(job.chains[1].id, "B");
  CHECK_STR(job.chains[2].id, "CC");
  CHECK_INT(job.chains[1].kind, NF_RNA);
  CHECK_INT(job.chains[2].entity, 1);
  CHECK_INT(job.chains[3].entity, 2);
  CHECK(job.chains[1].sequence == job.chains[2].sequence);
  CHECK_STR(job.chains[1].unpaired_msa, "");
  CHECK(!job.chains[1].paired_msa);
  CHECK_INT(job.chains[1].n_templates, -1);
  CHECK_INT(job.chains[4].kind, NF_LIGAND);
  CHECK(!job.chains[4].sequence);
  CHECK_INT(job.chains[4].n_codes, 2);
  CHECK_STR(job.chains[4].codes[1], "FUC");
  CHECK(!job.chains[6].unpaired_msa && !job.chains[6].paired_msa);
  CHECK_INT(job.chains[6].n_templates, 0);

  int n;
  const char **codes = job_chain_residues(a, arena, &n);
  CHECK_INT(n, 6);
  CHECK_STR(codes[0], "HY3");
  CHECK_STR(codes[1], "ARG");
  CHECK_STR(codes[2], "SEP");
  CHECK_STR(codes[5], "HIS");
  codes = job_chain_residues(&job.chains[3], arena, &n);
  CHECK_INT(n, 4);
  CHECK_STR(codes[0], "6OG");
  CHECK_STR(codes[1], "DA");
  codes = job_chain_residues(&job.chains[1], arena, &n);
  CHECK_STR(codes[4], "N");
  codes = job_chain_residues(&job.chains[4], arena, &n);
  CHECK_INT(n, 2);
  CHECK_STR(codes[0], "NAG");
  nf_arena_free(arena);
}

TEST(a_job_is_written_as_the_reference_writes_it) {
  nf_arena *arena = nf_arena_create();
  nf_job job, again;
  char path[512], *text;
  size_t size;
  snprintf(path, sizeof path, "%s/out.json", test_dir());
  REQUIRE_OK(job_parse("j.json", everything, sizeof everything - 1, arena, &job));
  REQUIRE_OK(job_write(&job, path));
  REQUIRE_OK(nf_file_read(path, &text, &size));
  CHECK_STR(text, written);
  free(text);
  // What was written reads as the same job.
  REQUIRE_OK(job_read(path, arena, &again));
  CHECK_STR(again.name, job.name);
  CHECK_INT(again.version, 4);
  CHECK_INT(again.n_chains, job.n_chains);
  CHECK_STR(again.chains[3].id, "E");
  REQUIRE_OK(job_write(&again, path));
  REQUIRE_OK(nf_file_read(path, &text, &size));
  CHECK_STR(text, written);
  free(text);
  nf_arena_free(arena);
}

TEST(a_job_that_cannot_be_written) {
  nf_arena *arena = nf_arena_create();
  nf_job job;
  REQUIRE_OK(job_parse("j.json", everything, sizeof everything - 1, arena, &job));
  CHECK_INT(job_write(&job, "/nonexistent/out.json"), NF_FAILED);
  CHECK(strstr(nf_message(), "/nonexistent/out.json: cannot be written"));
  nf_arena_free(arena);
}

static nf_status parse_protein(const char *fields, nf_arena *arena, nf_job *ret_job) {
  char text[1024];
  int n = snprintf(text, sizeof text,
                   "{\"name\":\"j\",\"dialect\":\"alphafold3\",\"version\":4,\"modelSeeds\":[1],\"sequences\":"
                   "[{\"protein\":{\"id\":\"A\",\"sequence\":\"PREACH\"%s}}]}",
                   fields);
  return job_parse("j.json", text, (size_t)n, arena, ret_job);
}

TEST(what_a_search_may_fill) {
#define T "\"templates\":[{\"mmcif\":\"data_x\",\"queryIndices\":[],\"templateIndices\":[]}]"
  static const struct {
    const char *fields;
    const char *missing;  // without a search; NULL: nothing
    bool searchable;
  } rows[] = {
      {"", "unpairedMsa", true},
      {",\"templates\":[]", "unpairedMsa", true},
      {"," T, "unpairedMsa", false},
      {",\"unpairedMsa\":\"\"", "pairedMsa", false},
      {",\"pairedMsa\":\"\"", "unpairedMsa", false},
      {",\"unpairedMsa\":\"\",\"templates\":[]", "pairedMsa", false},
      {",\"unpairedMsa\":\"\",\"pairedMsa\":\"\"", "templates", true},
      {",\"unpairedMsa\":\"\",\"pairedMsa\":\"\",\"templates\":[]", NULL, true},
      {",\"unpairedMsa\":\"\",\"pairedMsa\":\"\"," T, NULL, true},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    nf_arena *arena = nf_arena_create();
    nf_job job;
    char expected[64];
    REQUIRE_OK(parse_protein(rows[i].fields, arena, &job));
    snprintf(expected, sizeof expected, "j.json: protein A: %s: ", rows[i].missing ? rows[i].missing : "");
    CHECK_INT(job_check_filled(&job, false), rows[i].missing ? NF_INPUT : NF_OK);
    if (rows[i].missing) CHECK(strstr(nf_message(), expected) == nf_message());
    CHECK_INT(job_check_filled(&job, true), rows[i].searchable ? NF_OK : NF_INPUT);
    if (!rows[i].searchable) CHECK(strstr(nf_message(), expected) == nf_message());
    nf_arena_free(arena);
  }
}

TEST(texts_come_from_files_beside_the_job) {
  // gzip of ">q\nPREACH\n".
  static const unsigned char gz[] = {0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03,
                                     0xb3, 0x2b, 0xe4, 0x0a, 0x08, 0x72, 0x75, 0x74, 0xf6, 0xe0,
                                     0x02, 0x00, 0x03, 0xa6, 0x29, 0x98, 0x0a, 0x00, 0x00, 0x00};
  nf_arena *arena = nf_arena_create();
  nf_job job;
  const char *dir = test_dir();
  nf_str path = {0}, plain = {0}, json = {0};
  nf_str_printf(&path, "%s/sub", dir);
  REQUIRE_OK(nf_dir_create(path.data));
  nf_str_puts(&path, "/m.a3m");
  REQUIRE_OK(nf_file_write(path.data, gz, sizeof gz));
  nf_str_printf(&plain, "%s/plain.a3m", dir);
  REQUIRE_OK(nf_file_write(plain.data, ">q\nPREACH\n", 10));
  nf_str_printf(
      &json,
      "{\"name\":\"j\",\"dialect\":\"alphafold3\",\"version\":2,\"modelSeeds\":[1],\"sequences\":[{\"protein\":"
      "{\"id\":[\"A\",\"B\"],\"sequence\":\"PREACH\",\"unpairedMsaPath\":\"sub/m.a3m\",\"pairedMsaPath\":"
      "\"%s\"}}]}",
      plain.data);
  nf_str_free(&path);
  nf_str_printf(&path, "%s/j.json", dir);
  REQUIRE_OK(nf_file_write(path.data, json.data, json.length));
  REQUIRE_OK(job_read(path.data, arena, &job));
  nf_str_free(&path);
  nf_str_free(&plain);
  nf_str_free(&json);
  CHECK_STR(job.chains[0].unpaired_msa, ">q\nPREACH\n");
  CHECK_STR(job.chains[1].paired_msa, ">q\nPREACH\n");
  nf_arena_free(arena);
}

static void check_name(const char *name, const char *expected) {
  nf_arena *arena = nf_arena_create();
  nf_job job = {.name = name};
  CHECK_STR(job_sanitised_name(&job, arena), expected);
  nf_arena_free(arena);
}

TEST(names_of_files) {
  check_name("Hello fold", "Hello_fold");
  check_name("  a\tb  ", "__ab__");
  check_name("5I55/x:y*z", "5I55xyz");
  check_name("Az09_-.", "Az09_-.");
  check_name("\xc3\xa9\xe2\x80\x8b", "");
}

// The data file of a whole job, with four templates, against the length and hash of what the reference writes for it.
TEST(a_data_file_is_the_one_the_reference_writes) {
  REFERENCE_OR_SKIP(reference, "af3_5tgy/data.json");
  char path[512], *text;
  size_t size;
  nf_job job;
  snprintf(path, sizeof path, "%s/data.json", test_dir());
  nf_arena *arena = nf_arena_create();
  REQUIRE_OK(job_read(reference, arena, &job));
  CHECK_INT(job.chains[0].n_templates, 4);
  REQUIRE_OK(job_write(&job, path));
  REQUIRE_OK(nf_file_read(path, &text, &size));
  CHECK_INT(size, 647182);
  CHECK(nf_fnv1a(text, size) == 0x370d258c22183890u);
  free(text);
  nf_arena_free(arena);
}

// The project's own examples are whole: nothing is left to search.
TEST(the_examples) {
  static const struct {
    const char *file;
    int n_chains;
  } rows[] = {{"examples/trp_cage.json", 1},
              {"examples/zinc_finger_dna.json", 4},
              {"examples/modified_rna.json", 3},
              {"examples/dimer/dimer.json", 3},
              {"examples/5tgy/5tgy.json", 2}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    nf_arena *arena = nf_arena_create();
    nf_job job;
    REQUIRE_OK(job_read(test_source(rows[i].file), arena, &job));
    CHECK_INT(job.n_chains, rows[i].n_chains);
    CHECK_OK(job_check_filled(&job, false));
    nf_arena_free(arena);
  }
}

// AlphaFold 3's own examples.
TEST(the_reference_examples) {
  static const struct {
    const char *file;
    int n_chains, n_bonds;
  } rows[] = {
      {"af3_examples/barnase_barstar.json", 2, 0},     {"af3_examples/calmodulin_4calcium.json", 5, 0},
      {"af3_examples/erk2_phosphorylated.json", 1, 0}, {"af3_examples/kras_g12c_sotorasib.json", 2, 1},
      {"af3_examples/methylated_dna.json", 2, 0},      {"af3_examples/modified_rna.json", 1, 0},
      {"af3_examples/rnaseb_glycosylated.json", 2, 5}, {"af3_examples/streptavidin_biotin_smiles.json", 2, 0},
      {"af3_examples/tetr_dimer_dna.json", 4, 0},      {"af3_examples/tetr_dimer_tetracycline.json", 4, 0},
      {"af3_examples/tetr_homodimer.json", 2, 0},      {"af3_examples/u1a_rna_hairpin.json", 2, 0},
      {"af3_examples/ubiquitin_monomer.json", 1, 0},   {"af3_test_data/alphafold_input.json", 15, 3},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const char *path = test_reference(rows[i].file);
    if (!path) SKIP("reference data absent: af3_examples");
    nf_arena *arena = nf_arena_create();
    nf_job job;
    if (job_read(path, arena, &job) != NF_OK) {
      test_fail(__FILE__, __LINE__, "%s", nf_message());
    } else if (job.n_chains != rows[i].n_chains || job.n_bonds != rows[i].n_bonds) {
      test_fail(__FILE__, __LINE__, "%s: %d chains, %d bonds", path, job.n_chains, job.n_bonds);
    }
    nf_arena_free(arena);
  }
}

// Numbers, names given twice and comments count as Python reads them.
TEST(values_that_are_read_as_the_reference_reads_them) {
  static const char text[] =
      "{\"name\":\"i\",\"name\":\"j\",\"dialect\":\"alphafold3\",\"version\":3.0,"
      "\"modelSeeds\":[1.5,-0.5,true,\" 5\\n\",7.0],\"sequences\":["
      "{\"protein\":{\"id\":\"A\",\"sequence\":\"PREAcHER\",\"description\":[1, {\"a\": null}],\"unpairedMsa\":"
      "\">q\\nPREAXHER\"}},{\"rna\":{\"id\":\"B\",\"sequence\":\"GuAC\",\"description\":7}}]}";
  static const uint32_t seeds[] = {1, 0, 1, 5, 7};
  nf_arena *arena = nf_arena_create();
  nf_job job;
  REQUIRE_OK(job_parse("j.json", text, sizeof text - 1, arena, &job));
  CHECK_STR(job.name, "j");
  CHECK_INT(job.version, 3);
  CHECK_INT(job.n_seeds, 5);
  for (int i = 0; i < 5; i++) CHECK_INT(job.seeds[i], seeds[i]);
  CHECK_STR(job.chains[0].sequence, "PREAcHER");
  CHECK_STR(job_chain_letters(&job.chains[0], arena), "PREAXHER");
  CHECK_STR(job_chain_letters(&job.chains[1], arena), "GNAC");
  // Their alignments must be given.
  CHECK_INT(job_check_filled(&job, true), NF_INPUT);
  CHECK(strstr(nf_message(), "j.json: protein A: sequence: 'c' at 5 is no residue that can be searched for"));
  CHECK_STR(job.chains[0].description, "[1,{\"a\":null}]");
  CHECK_STR(job.chains[1].description, "7");
  nf_arena_free(arena);
}

static const char server[] =
    "[{\"name\": \"first\", \"sequences\": ["
    "{\"proteinChain\": {\"sequence\": \"PREACHER\", \"count\": 2, \"useStructureTemplate\": false, \"modifications\":"
    " [{\"ptmType\": \"CCD_HY3\", \"ptmPosition\": 1}]}},"
    "{\"rnaSequence\": {\"sequence\": \"GUAC\"}}, {\"dnaSequence\": {\"sequence\": \"GATC\", \"count\": 25}},"
    "{\"ligand\": {\"ligand\": \"CCD_ATP\"}}, {\"ion\": {\"ion\": \"MG\", \"count\": 2}}]},"
    "{\"name\": \"second\", \"dialect\": \"alphafoldserver\", \"version\": 1, \"modelSeeds\": [\"7\", 8],"
    " \"sequences\": [{\"proteinChain\": {\"sequence\": \"W\"}}]}]";

TEST(the_servers_dialect) {
  nf_arena *arena = nf_arena_create();
  int n;
  nf_job *jobs;
  REQUIRE_OK(jobs_parse("s.json", server, strlen(server), arena, &n, &jobs));
  CHECK_INT(n, 2);
  CHECK_STR(jobs[0].name, "first");
  CHECK_STR(jobs[1].path, "s.json: job 2");
  CHECK_INT(jobs[0].n_seeds, 1);
  CHECK_INT(jobs[0].n_chains, 31);
  const job_chain *c = jobs[0].chains;
  CHECK_STR(c[1].id, "B");
  CHECK(c[1].kind == NF_PROTEIN && c[1].n_templates == 0 && !c[1].unpaired_msa && c[1].entity == 0);
  CHECK(c[1].n_modifications == 1 && strcmp(c[1].modifications[0].code, "HY3") == 0);
  CHECK(c[2].kind == NF_RNA && c[3].kind == NF_DNA);
  // After Z come AA and BA.
  CHECK_STR(c[25].id, "Z");
  CHECK_STR(c[26].id, "AA");
  CHECK_STR(c[27].id, "BA");
  CHECK_STR(c[28].codes[0], "ATP");
  CHECK_STR(c[30].codes[0], "MG");
  CHECK(jobs[1].n_seeds == 2 && jobs[1].seeds[0] == 7);
  CHECK_INT(jobs[1].chains[0].n_templates, -1);
  // Seeds that are drawn differ.
  nf_job *again;
  REQUIRE_OK(jobs_parse("s.json", server, strlen(server), arena, &n, &again));
  nf_job *third;
  REQUIRE_OK(jobs_parse("s.json", server, strlen(server), arena, &n, &third));
  CHECK(jobs[0].seeds[0] != again[0].seeds[0] || jobs[0].seeds[0] != third[0].seeds[0]);
  nf_arena_free(arena);
}

static const char bonded[] =
    "{\"name\": \"b\", \"dialect\": \"alphafold3\", \"version\": 4, \"modelSeeds\": [1], \"sequences\": ["
    "{\"protein\": {\"id\": \"A\", \"sequence\": \"PREACHER\"}},"
    "{\"ligand\": {\"id\": \"L\", \"ccdCodes\": [\"NAG\", \"NAG\"]}},"
    "{\"ligand\": {\"id\": [\"S\", \"T\"], \"smiles\": \"C/C=C\\\\O\"}}],"
    "\"bondedAtomPairs\": [[[\"A\", 5, \"SG\"], [\"L\", 1, \"C1\"]], [[\"L\", 1, \"O4\"], [\"L\", 2, \"C1\"]]]}";

// As AlphaFold 3.0.4's Input.to_json has it.
static const char bonded_end[] =
    "    {\n      \"ligand\": {\n        \"id\": [\n          \"S\",\n          \"T\"\n        ],\n"
    "        \"smiles\": \"C/C=C\\\\O\"\n      }\n    }\n  ],\n"
    "  \"modelSeeds\": [\n    1\n  ],\n"
    "  \"bondedAtomPairs\": [\n    [\n      [\n        \"A\",\n        5,\n        \"SG\"\n      ],\n"
    "      [\n        \"L\",\n        1,\n        \"C1\"\n      ]\n    ],\n"
    "    [\n      [\n        \"L\",\n        1,\n        \"O4\"\n      ],\n"
    "      [\n        \"L\",\n        2,\n        \"C1\"\n      ]\n    ]\n  ],\n"
    "  \"userCCD\": null\n}";

TEST(bonds_and_smiles_come_back_as_they_were) {
  nf_arena *arena = nf_arena_create();
  nf_job job;
  REQUIRE_OK(job_parse("b.json", bonded, strlen(bonded), arena, &job));
  CHECK_INT(job.n_bonds, 2);
  CHECK_STR(job.bonds[1].chain2, "L");
  CHECK_INT(job.bonds[1].residue2, 2);
  CHECK_STR(job.bonds[0].atom1, "SG");
  CHECK_INT(job_chain_length(&job.chains[2]), 1);
  int n;
  CHECK_STR(job_chain_residues(&job.chains[3], arena, &n)[0], "LIG_T");
  CHECK_INT(n, 1);
  const char *path = nf_arena_printf(arena, "%s/b_data.json", test_dir());
  REQUIRE_OK(job_write(&job, path));
  char *text;
  size_t length;
  REQUIRE_OK(nf_file_read(path, &text, &length));
  size_t end = strlen(bonded_end);
  CHECK(length > end && memcmp(text + length - end, bonded_end, end) == 0);
  nf_job again;
  CHECK_OK(job_parse("b_data.json", text, length, arena, &again));
  CHECK(again.n_bonds == 2 && again.n_chains == 4);
  CHECK_STR(again.chains[3].smiles, "C/C=C\\O");
  free(text);
  nf_arena_free(arena);
}
