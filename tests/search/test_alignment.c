// Alignments: read from Stockholm piece by piece, merged, written for hmmbuild.
#include "search/alignment.h"
#include "search/merge.h"
#include "tests/test.h"

static const char stockholm[] =
    "# STOCKHOLM 1.0\n"
    "#=GF AU someone\n"
    "\n"
    "#=GS one/1-5  DE [subseq from]  A  name \n"
    "#=GS two/2-4  AC X1\n"
    "#=GS three/1-9 DE third\n"
    "\n"
    "query         MK.-TAy-W\n"
    "#=GR query PP 99.99999*\n"
    "one/1-5       -KlRTAyGW\n"
    "two/2-4       --..TA.--\n"
    "three/1-9     MKvATA.GW\n"
    "#=GC PP_cons  999999999\n"
    "//\n";

static nf_status read_all(const char *text, stockholm_mode mode, int max_rows, size_t chunk, nf_alignment *a) {
  stockholm_reader reader;
  nf_status status = NF_OK;
  stockholm_start(&reader, "test", mode, max_rows, a);
  for (size_t n = strlen(text), i = 0; i < n && status == NF_OK; i += chunk) {
    status = stockholm_sink(&reader, text + i, n - i < chunk ? n - i : chunk);
  }
  if (status == NF_OK) status = stockholm_sink(&reader, NULL, 0);
  stockholm_free(&reader);
  return status;
}

TEST(stockholm_becomes_a3m_whatever_the_pieces) {
  for (size_t chunk = 1; chunk < 400; chunk += 13) {
    nf_alignment a = {0};
    REQUIRE_OK(read_all(stockholm, STOCKHOLM_TO_QUERY, 0, chunk, &a));
    CHECK_INT(a.n_rows, 4);
    CHECK_STR(a.text.data,
              ">query\nMKTAyW\n>one/1-5 [subseq from]  A  name\n-KlrTAygW\n>two/2-4\n--TA-\n>three/1-9 third\nMKvaTAgW\n");
    alignment_free(&a);
  }
}

TEST(stockholm_rows_stop_at_the_limit) {
  nf_alignment a = {0};
  REQUIRE_OK(read_all(stockholm, STOCKHOLM_TO_QUERY, 2, 7, &a));
  CHECK_STR(a.text.data, ">query\nMKTAyW\n>one/1-5 [subseq from]  A  name\n-KlrTAygW\n");
  alignment_free(&a);
}

TEST(stockholm_other_modes) {
  nf_alignment a = {0}, b = {0};
  REQUIRE_OK(read_all(stockholm, STOCKHOLM_AS_ALIGNED, 0, 64, &a));
  CHECK(strstr(a.text.data, "\n-KlRTAyGW\n") != NULL);
  CHECK(strstr(a.text.data, "\n--TA--\n") != NULL);
  REQUIRE_OK(read_all(stockholm, STOCKHOLM_RESIDUES, 0, 64, &b));
  CHECK(strstr(b.text.data, "\nKlRTAyGW\n") != NULL);
  CHECK(strstr(b.text.data, "\nTA\n") != NULL);
  alignment_free(&a);
  alignment_free(&b);
}

TEST(stockholm_refuses_broken_rows) {
  nf_alignment a = {0}, b = {0};
  CHECK_INT(read_all("# STOCKHOLM 1.0\n\na MK\nb MK\n\na TT\nb TT\n//\n", STOCKHOLM_TO_QUERY, 0, 9, &a), NF_FAILED);
  CHECK(strstr(nf_message(), "broken") != NULL);
  CHECK_INT(read_all("# STOCKHOLM 1.0\n\na MK\nb MKT\n//\n", STOCKHOLM_TO_QUERY, 0, 9, &b), NF_FAILED);
  CHECK(strstr(nf_message(), "columns") != NULL);
  alignment_free(&a);
  alignment_free(&b);
}

TEST(a3m_text_is_parsed) {
  nf_alignment a = {0};
  static const char text[] = "lost\n> a b \r\nMK\n TA \n>c\n\n>d\nGG";
  alignment_parse(text, strlen(text), &a);
  CHECK_INT(a.n_rows, 3);
  CHECK_STR(a.text.data, "> a b\nMKTA\n>c\n\n>d\nGG\n");
  CHECK_INT(a.rows[1].n_sequence, 0);
  alignment_free(&a);
}

TEST(equal_rows_are_merged_without_their_insertions) {
  nf_alignment a = {0}, b = {0}, merged = {0}, all = {0};
  static const char first[] = ">q\nMKT\n>a\nMgKT\n>b\nM-T\n", second[] = ">q\nMKT\n>c\nM-Tww\n>d\nMRT\n";
  alignment_parse(first, strlen(first), &a);
  alignment_parse(second, strlen(second), &b);
  alignment_merge((nf_alignment *[]){&a, &b}, 2, true, &merged);
  CHECK_STR(merged.text.data, ">q\nMKT\n>b\nM-T\n>d\nMRT\n");
  alignment_merge((nf_alignment *[]){&a, &b}, 2, false, &all);
  CHECK_INT(all.n_rows, 6);
  alignment_free(&a);
  alignment_free(&b);
  alignment_free(&merged);
  alignment_free(&all);
}

TEST(the_first_row_must_be_the_query) {
  nf_alignment a = {0};
  alignment_parse(">q\nMKxCT\n", 9, &a);
  CHECK_OK(alignment_check_query(&a, "test", NF_PROTEIN, "MKUT"));  // U is C to the network
  CHECK_INT(alignment_check_query(&a, "test", NF_PROTEIN, "MKCTT"), NF_FAILED);
  CHECK_INT(alignment_check_query(&a, "test", NF_PROTEIN, "MKCA"), NF_FAILED);
  CHECK_INT(alignment_check_query(&a, "test", NF_PROTEIN, "MKC"), NF_FAILED);
  alignment_free(&a);
}

static char *write_all(const nf_alignment *a) {
  stockholm_writer writer;
  nf_str out = {0};
  if (stockholm_writer_start(&writer, "test", a) == NF_OK) {
    for (;;) {
      const char *bytes;
      size_t n;
      if (stockholm_feed(&writer, &bytes, &n) != NF_OK || !n) break;
      nf_str_append(&out, bytes, n);
    }
  }
  stockholm_writer_free(&writer);
  return out.data;
}

TEST(insertions_become_columns_for_hmmbuild) {
  nf_alignment a = {0};
  static const char text[] = ">q\nAB-D\n>x\tone  two\naAb-Cd\n>\n-BgC-\n";
  // Insertions are as wide as the longest, letters first.
  static const char wide[] = ">q\nABD\n>x\tone  two\nabABD\n>\n-gBDzz\n";
  alignment_parse(wide, strlen(wide), &a);
  char *out = write_all(&a);
  CHECK_STR(out,
            "# STOCKHOLM 1.0\n\n#=GS q_0 DE <EMPTY>\n#=GS x_1 DE one  two\n#=GS _2 DE <EMPTY>\n\n"
            "q_0 --A-BD--\nx_1 ABA-BD--\n_2  ---GBDZZ\n#=GC RF ..x.xx..\n//\n");
  free(out);
  alignment_free(&a);
  alignment_parse(text, strlen(text), &a);
  stockholm_writer writer;
  CHECK_INT(stockholm_writer_start(&writer, "job.json: chain A", &a), NF_INPUT);
  CHECK_STR(nf_message(), "job.json: chain A: row 2 of the alignment has 3 columns, the first has 4");
  stockholm_writer_free(&writer);
  alignment_free(&a);
}

static hmmer_score score(const char *name, double e_value, double bits) {
  return (hmmer_score){nf_fnv1a(name, strlen(name)), e_value, bits};
}

static int by_hash(const void *a, const void *b) {
  const hmmer_score *x = a, *y = b;
  return x->hash < y->hash ? -1 : x->hash > y->hash;
}

TEST(shards_are_merged_by_e_value_bits_and_name) {
  static const char first[] = ">query\nMKT\n>b/1-3 d\nMAT\n>b/5-7 d\nMAA\n>none/1-3\nMMM\n>z/1-3\nMZT\n";
  static const char second[] = ">query\nMKT\n>a/1-3\nMCT\n>c/1-3\nMDT\n>zz/1-3\nMET\n";
  hmmer_score scores1[] = {score("b", 1e-20, 60), score("z", 1e-9, 30)};
  hmmer_score scores2[] = {score("a", 1e-20, 60), score("c", 1e-20, 59), score("zz", 1e-9, 30)};
  hmmer_hits hits[2] = {{.scores = scores1, .n_scores = 2}, {.scores = scores2, .n_scores = 3}};
  alignment_parse(first, strlen(first), &hits[0].alignment);
  alignment_parse(second, strlen(second), &hits[1].alignment);
  qsort(scores1, 2, sizeof *scores1, by_hash);
  qsort(scores2, 3, sizeof *scores2, by_hash);
  nf_alignment merged = {0}, few = {0};
  merge_shards("MKU", (hmmer_hits *[]){&hits[0], &hits[1]}, 2, false, 100, &merged);
  CHECK_STR(merged.text.data, ">query\nMKU\n>a/1-3\nMCT\n>b/1-3 d\nMAT\n>b/5-7 d\nMAA\n>c/1-3\nMDT\n>z/1-3\nMZT\n"
                              ">zz/1-3\nMET\n");
  merge_shards("MKU", (hmmer_hits *[]){&hits[0], &hits[1]}, 2, false, 3, &few);
  CHECK_STR(few.text.data, ">query\nMKU\n>a/1-3\nMCT\n>b/1-3 d\nMAT\n");
  alignment_free(&hits[0].alignment);
  alignment_free(&hits[1].alignment);
  alignment_free(&merged);
  alignment_free(&few);
}
