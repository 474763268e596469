// The table at the end of a run.
#include "../test.h"
#include "fixture.h"

// The table as text, valid until the next call.
static const char *printed(const nf_layout *layout, const nf_scores *const *scores, const output_rank *ranks, int n) {
  static char text[8192];
  FILE *stream = fmemopen(text, sizeof text, "w");
  output_print_table(stream, layout, scores, ranks, n);
  fclose(stream);
  return text;
}

TEST(best_first) {
  fixture f;
  fixture_make(&f);
  f.layout.n_chains = 2;
  f.layout.chains[1].id = "LONGID";
  nf_scores a = f.scores, b = f.scores, c = f.scores;
  double plddt[] = {7.04, NAN};
  a.iptm = NAN;
  b.has_clash = true;
  b.chain_plddt = plddt;
  const nf_scores *scores[] = {&a, &b, &c};
  output_rank ranks[] = {{1, 0, NAN}, {1, 1, -99.2}, {12, 0, 0.70582}};
  const char *text = printed(&f.layout, scores, ranks, 3);
  CHECK_STR(text,
            "rank  sample            ranking score   pTM  ipTM  pLDDT A  pLDDT LONGID  clashes\n"
            "   1  seed-12_sample-0         0.7058  0.81  0.68     88.9          87.9       no\n"
            "   2  seed-1_sample-1        -99.2000  0.81  0.68      7.0             -      yes\n"
            "   3  seed-1_sample-0               -  0.81     -     88.9          87.9       no\n");
  fixture_free(&f);
}

TEST(many_chains_and_samples) {
  enum { CHAINS = 9, SAMPLES = 40 };
  fixture f = {0};
  fixture_allocate(&f, CHAINS, CHAINS, CHAINS);
  static const char *const ids[] = {"A", "B", "C", "D", "E", "F", "G", "H", "I"};
  for (int c = 0; c < CHAINS; c++) {
    fixture_add_chain(&f, ids[c], NF_LIGAND);
    fixture_add_residue(&f, "ZN");
  }
  fixture_fill_scores(&f);
  f.scores.chain_plddt[7] = 12.3;
  const nf_scores *scores[SAMPLES];
  output_rank ranks[SAMPLES];
  for (int i = 0; i < SAMPLES; i++) {
    scores[i] = &f.scores;
    ranks[i] = (output_rank){3, i, 0.5};
  }
  const char *text = printed(&f.layout, scores, ranks, SAMPLES);
  CHECK(strstr(text, "  pLDDT E  lowest of 4 more  clashes\n"));
  CHECK(strstr(text,
               "   1  seed-3_sample-0          0.5000  0.81  0.68     88.9     87.9     86.9     85.9     84.9"
               "              12.3       no\n"));
  CHECK(strstr(text, "  25  seed-3_sample-24 "));
  CHECK(!strstr(text, "seed-3_sample-25"));
  CHECK(strstr(text, "and 15 more"));
  text = printed(&f.layout, scores, ranks, 0);
  CHECK(strchr(text, '\n') && !strchr(text, '\n')[1]);
  fixture_free(&f);
}
