// Alignments: what is read, counted, paired, left out, refused.
#include "fixture.h"

#define CHAIN(id, sequence, unpaired, paired)                                                   \
  "{\"protein\": {\"id\": " id ", \"sequence\": \"" sequence "\", \"unpairedMsa\": \"" unpaired \
  "\", \"pairedMsa\": \"" paired "\", \"templates\": []}}"

static nf_status fill(fixture *f, const char *sequences, bool resolve) {
  NF_TRY(fixture_open(f, sequences, 0));
  return msa_features(&f->job, &f->layout, resolve, &f->batch);
}

// One row of the alignment as letters.
static const char *row(const fixture *f, int r) {
  static char text[4][128];
  static int next;
  char *out = text[next++ % 4];
  for (int t = 0; t < f->batch.n_token; t++) {
    out[t] = "ARNDCQEGHILKMFPSTWYVX-AGCUAGCTN"[f->batch.msa[(int64_t)r * f->batch.n_token + t]];
  }
  out[f->batch.n_token] = '\0';
  return out;
}

TEST(msa_of_one_chain) {
  fixture f;
  // Row 3 leaves out two letters before its second column and 200 before its third.
  nf_str text = {0};
  nf_str_puts(&text,
              "{\"protein\": {\"id\": \"A\", \"sequence\": \"ACDEF\", \"pairedMsa\": \"\", \"templates\": [], "
              "\"unpairedMsa\": \">q\\nACDEF\\n>two\\nAC-BZ\\n>three\\nAxyC");
  for (int i = 0; i < 200; i++) nf_str_putc(&text, 'k');
  nf_str_puts(&text, "UOXtail\\n\"}}");
  REQUIRE_OK(fill(&f, text.data, true));
  nf_str_free(&text);
  const nf_batch *b = &f.batch;
  CHECK_INT(b->num_alignments[0], 4);  // the query stands above the unpaired rows as the paired part
  CHECK_STR(row(&f, 0), "ACDEF");
  CHECK_STR(row(&f, 1), "ACDEF");
  CHECK_STR(row(&f, 2), "AC-DE");
  CHECK_STR(row(&f, 3), "ACCXX");
  CHECK_STR(row(&f, 4), "AAAAA");  // zeros
  CHECK_INT(b->msa_mask[3 * 5], 1);
  CHECK_INT(b->msa_mask[4 * 5], 0);
  CHECK_INT(b->deletion_matrix[3 * 5 + 1], 2);
  CHECK_INT(b->deletion_matrix[3 * 5 + 2], 127);  // of 200, all that int8 holds
  CHECK_INT(b->deletion_matrix[3 * 5 + 4], 0);    // what is left out behind the last column is not counted
  CHECK_NEAR(b->deletion_mean[1], 2.0 / 3, 1e-15);
  CHECK_NEAR(b->deletion_mean[2], 200.0 / 3, 1e-13);
  CHECK_NEAR(b->profile[0 * 31 + 0], 1, 1e-6);
  CHECK_NEAR(b->profile[2 * 31 + 3], 1.0 / 3, 1e-7);   // D
  CHECK_NEAR(b->profile[2 * 31 + 21], 1.0 / 3, 1e-7);  // gap
  CHECK_NEAR(b->profile[3 * 31 + 3], 1.0 / 3, 1e-7);   // B counts as D
  fixture_close(&f);
}

TEST(msa_of_short_chains_and_ligands) {
  fixture f;
  REQUIRE_OK(fill(&f, CHAIN("\"A\"", "ACDE", ">q\\nACDE\\n>x\\nCCCC\\n", "") "," LIGAND("\"B\"", "\"SO4\""), true));
  CHECK_INT(f.batch.num_alignments[0], 2);  // four residues: no alignment is read
  CHECK_STR(row(&f, 0), "ACDE-----");
  CHECK_STR(row(&f, 1), "ACDE-----");
  CHECK_NEAR(f.batch.profile[4 * 31 + 21], 1, 0);
  fixture_close(&f);
  // A ligand alone has nothing but gaps; the paired part, all gaps, is left out.
  REQUIRE_OK(fill(&f, LIGAND("\"B\"", "\"SO4\""), true));
  CHECK_INT(f.batch.num_alignments[0], 1);
  CHECK_STR(row(&f, 0), "-----");
  fixture_close(&f);
}

TEST(msa_of_rna_and_dna) {
  fixture f;
  REQUIRE_OK(fill(&f,
                  "{\"rna\": {\"id\": \"A\", \"sequence\": \"ACGUN\", \"unpairedMsa\": "
                  "\">q\\nACGUN\\n>x\\nA-TRu\\u0061C\\n\"}}," DNA("\"B\"", "ACGTN", ""),
                  true));
  CHECK_INT(f.batch.num_alignments[0], 3);
  CHECK_STR(row(&f, 0), "ACGUNACGTN");
  CHECK_STR(row(&f, 2), "A-NNC-----");  // T and R mean nothing in RNA; the DNA has no second row
  CHECK_INT(f.batch.deletion_matrix[2 * 10 + 4], 2);
  fixture_close(&f);
}

TEST(msa_repeats_columns_of_modified_residues) {
  fixture f;
  REQUIRE_OK(fill(&f,
                  "{\"protein\": {\"id\": \"A\", \"sequence\": \"ASCDE\", \"pairedMsa\": \"\", \"templates\": [], "
                  "\"unpairedMsa\": \">q\\nASCDE\\n>x\\nWYW-W\\n\", "
                  "\"modifications\": [{\"ptmType\": \"SEP\", \"ptmPosition\": 2}]}}",
                  true));
  CHECK_INT(f.batch.n_token, 14);
  CHECK_STR(row(&f, 0), "ASSSSSSSSSSCDE");
  CHECK_STR(row(&f, 2), "WYYYYYYYYYYW-W");
  fixture_close(&f);
}

#define UNIPROT(species) ">tr|A0A0A0|A0A0A0_" species "/1-5\\n"

TEST(msa_pairs_by_species) {
  fixture f;
  // HUMAN is in both chains, twice in A and once in B; MOUSE in B alone; ECOLI in both. Products of the rows' places:
  // HUMAN 1 * 3, ECOLI 2 * 2. Row 5 of A has no species, row 4 of A is HUMAN's second.
  REQUIRE_OK(fill(
      &f,
      CHAIN("\"A\"", "AAAAA", ">q\\nAAAAA\\n>u\\nCCCCC\\n>v\\nVVVVV\\n",
            ">q\\nAAAAA\\n" UNIPROT("HUMAN") "CCCCC\\n" UNIPROT("ECOLI") "DDDDD\\n" UNIPROT("YEAST") "EEEEE\\n" UNIPROT(
                "HUMAN") "FFFFF\\n>none\\nGGGGG\\n") "," CHAIN("\"B\"", "RRRRR", ">q\\nRRRRR\\n>w\\nWWWWW\\n",
                                                               ">q\\nRRRRR\\n" UNIPROT(
                                                                   "MOUSE") "HHHHH\\n>sp|P0C2L1_2|A3X1_ECOLI "
                                                                            "text\\nIIIII\\n" UNIPROT("HUMAN") "KKKKK\\"
                                                                                                               "n") "," LIGAND("\"C\"",
                                                                                                                               "\"MG\""),
      true));
  const char *expected[] = {"AAAAARRRRR-", "CCCCCKKKKK-", "DDDDDIIIII-",  // paired
                            "VVVVVWWWWW-"};                               // A, C and R stand there already
  CHECK_INT(f.batch.num_alignments[0], 4);
  for (int i = 0; i < 4; i++) CHECK_STR(row(&f, i), expected[i]);
  CHECK_INT(f.batch.deletion_matrix[0], 0);
  fixture_close(&f);
}

TEST(msa_keeps_overlaps_if_asked) {
  fixture f;
  REQUIRE_OK(
      fill(&f,
           CHAIN("\"A\"", "AAAAA", ">q\\nAAAAA\\n>u\\nCCCCC\\n", ">q\\nAAAAA\\n" UNIPROT("HUMAN") "CCCCC\\n") "," CHAIN(
               "\"B\"", "RRRRR", "", ">q\\nRRRRR\\n" UNIPROT("HUMAN") "KKKKK\\n"),
           false));
  const char *expected[] = {"AAAAARRRRR", "CCCCCKKKKK", "AAAAARRRRR", "CCCCC-----"};
  CHECK_INT(f.batch.num_alignments[0], 4);
  for (int i = 0; i < 4; i++) CHECK_STR(row(&f, i), expected[i]);
  fixture_close(&f);
}

// Copies of one protein are not paired: their paired alignments are not even looked at.
TEST(msa_does_not_pair_copies) {
  fixture f;
  REQUIRE_OK(fill(&f, CHAIN("[\"A\", \"B\"]", "AAAAA", ">q\\nAAAAA\\n>u\\nCCCCC\\n", ">q\\nAAAAA\\n>x\\nAA\\n"), true));
  CHECK_INT(f.batch.num_alignments[0], 3);
  CHECK_STR(row(&f, 2), "CCCCCCCCCC");
  fixture_close(&f);
}

// No more than half of the rows are paired, no more than 600 of a species, and all rows together fit.
TEST(msa_crops) {
  nf_str text = {0};
  nf_str_puts(
      &text,
      "{\"protein\": {\"id\": \"A\", \"sequence\": \"AAAAA\", \"templates\": [], \"unpairedMsa\": \">q\\nAAAAA\\n");
  for (int i = 0; i < 17000; i++) {
    nf_str_printf(&text, ">u\\nV%c%c%c%c\\n", "ACDEFGHIKLMNPQRSTWYV"[i % 20], "ACDEFGHIKLMNPQRSTWYV"[i / 20 % 20],
                  "ACDEFGHIKLMNPQRSTWYV"[i / 400 % 20], "ACDEFGHIKLMNPQRSTWYV"[i / 8000 % 20]);
  }
  nf_str_puts(&text, "\", \"pairedMsa\": \">q\\nAAAAA\\n");
  for (int i = 0; i < 700; i++) nf_str_puts(&text, UNIPROT("HUMAN") "CCCCC\\n");
  nf_str_puts(&text, "\"}},");
  size_t one = text.length;
  fixture f;
  nf_str_puts(&text, CHAIN("\"B\"", "RRRRR", "", ">q\\nRRRRR\\n" UNIPROT("MOUSE") "KKKKK\\n"));
  REQUIRE_OK(fill(&f, text.data, true));
  CHECK_INT(f.batch.num_alignments[0], 16384);             // nothing paired but the query: 1 and 16,383
  CHECK_NEAR(f.batch.profile[19], 17000.0 / 17001, 1e-6);  // of all rows, cropped or not
  fixture_close(&f);
  text.length = one;
  nf_str_puts(&text,
              "{\"protein\": {\"id\": \"B\", \"sequence\": \"RRRRR\", \"templates\": [], \"unpairedMsa\": \"\", "
              "\"pairedMsa\": \">q\\nRRRRR\\n");
  for (int i = 0; i < 800; i++) nf_str_puts(&text, UNIPROT("HUMAN") "KKKKK\\n");
  nf_str_puts(&text, "\"}}");
  REQUIRE_OK(fill(&f, text.data, true));
  CHECK_STR(row(&f, 600), "CCCCCKKKKK");
  CHECK(strcmp(row(&f, 601), "CCCCCKKKKK") != 0);
  CHECK_INT(f.batch.num_alignments[0], 16384);
  fixture_close(&f);
  nf_str_free(&text);
}

TEST(msa_refusals) {
  const struct {
    const char *sequences, *message;
  } cases[] = {
      {CHAIN("\"A\"", "AAAAA", ">q\\nAAAAA\\n>x\\nAA*AA\\n", ""), "unpairedMsa: row 2"},
      {CHAIN("\"A\"", "AAAAA", ">q\\nAAAAA\\n>x\\nAAAA\\n", ""), "unpairedMsa: row 2"},
      {CHAIN("\"A\"", "AAAAA", ">q\\nAAAAA\\n>x\\nAAAAAA\\n", ""), "unpairedMsa: row 2"},
      {CHAIN("\"A\"", "AAAAA", ">q\\nAAAAA\\n>x\\n>y\\nAAAAA\\n", ""), "unpairedMsa: row 2"},
      {CHAIN("\"A\"", "AAAAA", "", ">q\\nAAAAC\\n") "," CHAIN("\"B\"", "CCCCC", "", ""), "pairedMsa"},
      {CHAIN("\"A\"", "AAAAA", "", ">q\\nAAAAA\\n>x\\nAA AA\\n") "," CHAIN("\"B\"", "CCCCC", "", ""),
       "pairedMsa: row 2"},
      {CHAIN("\"A\"", "ASAAA", ">q\\nASAAA\\n", "") "," LIGAND("\"B\"", "\"MG\""), NULL},
      {"{\"protein\": {\"id\": \"A\", \"sequence\": \"AAAAA\", \"unpairedMsa\": \">q\\nAAAAA\\n\", \"pairedMsa\": "
       "\"\", "
       "\"templates\": [], \"modifications\": [{\"ptmType\": \"SEP\", \"ptmPosition\": 2}]}}",
       "unpairedMsa"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    fixture f;
    nf_status status = fill(&f, cases[i].sequences, true);
    CHECK_INT(status, cases[i].message ? NF_INPUT : NF_OK);
    if (cases[i].message && !strstr(nf_message(), cases[i].message)) {
      test_fail(__FILE__, __LINE__, "case %zu: \"%s\" does not name %s", i, nf_message(), cases[i].message);
    }
    CHECK(!cases[i].message || strstr(nf_message(), "t.json: protein A"));
    fixture_close(&f);
  }
}
