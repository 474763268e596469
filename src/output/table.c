// The table at the end of a run.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "output/output.h"

enum {
  MAX_LINES = 25,  // more samples than that are in the ranking file
  MAX_CHAINS = 6,  // more chains than that share a column with their lowest
  WORD = 32,
};

typedef struct {
  const output_rank *rank;
  int index;
} line;

// Highest first, NaN last, equals in the order given.
static int by_rank(const void *a, const void *b) {
  const line *x = a, *y = b;
  double p = x->rank->ranking_score, q = y->rank->ranking_score;
  if (isnan(p) != isnan(q)) return isnan(p) ? 1 : -1;
  if (p != q && !isnan(p)) return p > q ? -1 : 1;
  return x->index - y->index;
}

static void print_number(FILE *stream, int width, int decimals, double value) {
  if (isfinite(value)) {
    fprintf(stream, "  %*.*f", width, decimals, value);
  } else {
    fprintf(stream, "  %*s", width, "-");
  }
}

// The column of chain `c`; the last one stands for all that have none of their own.
static double column_plddt(const nf_layout *layout, const double *chain_plddt, int c, int n_columns) {
  if (!chain_plddt) return NAN;
  int last = c == n_columns - 1 ? layout->n_chains - 1 : c;
  double lowest = NAN;
  for (int i = c; i <= last; i++) lowest = fmin(lowest, chain_plddt[i]);
  return lowest;
}

static void column_title(const nf_layout *layout, int c, int n_columns, char title[WORD]) {
  if (c == n_columns - 1 && layout->n_chains > n_columns) {
    snprintf(title, WORD, "lowest of %d more", layout->n_chains - c);
  } else {
    snprintf(title, WORD, "pLDDT %.20s", layout->chains[c].id);
  }
}

void output_print_table(FILE *stream, const nf_layout *layout, const nf_scores *const *scores, const output_rank *ranks,
                        int n) {
  line *lines = nf_calloc((size_t)n + 1, sizeof *lines);
  for (int i = 0; i < n; i++) lines[i] = (line){&ranks[i], i};
  qsort(lines, (size_t)n, sizeof *lines, by_rank);
  int n_columns = layout->n_chains < MAX_CHAINS ? layout->n_chains : MAX_CHAINS;
  int n_lines = n < MAX_LINES ? n : MAX_LINES, name_width = 6;
  char name[WORD], title[WORD];
  for (int i = 0; i < n_lines; i++) {
    int width = snprintf(name, WORD, "seed-%u_sample-%d", (unsigned)lines[i].rank->seed, lines[i].rank->sample);
    if (width > name_width) name_width = width;
  }
  fprintf(stream, "rank  %-*s  ranking score   pTM  ipTM", name_width, "sample");
  for (int c = 0; c < n_columns; c++) {
    column_title(layout, c, n_columns, title);
    fprintf(stream, "  %s", title);
  }
  fprintf(stream, "  clashes\n");
  for (int i = 0; i < n_lines; i++) {
    const nf_scores *s = scores[lines[i].index];
    snprintf(name, WORD, "seed-%u_sample-%d", (unsigned)lines[i].rank->seed, lines[i].rank->sample);
    fprintf(stream, "%4d  %-*s", i + 1, name_width, name);
    print_number(stream, 13, 4, lines[i].rank->ranking_score);
    print_number(stream, 4, 2, s->ptm);
    print_number(stream, 4, 2, s->iptm);
    for (int c = 0; c < n_columns; c++) {
      column_title(layout, c, n_columns, title);
      print_number(stream, (int)strlen(title), 1, column_plddt(layout, s->chain_plddt, c, n_columns));
    }
    fprintf(stream, "  %7s\n", s->has_clash ? "yes" : "no");
  }
  if (n > n_lines) fprintf(stream, "      and %d more: see the file of ranking scores\n", n - n_lines);
  free(lines);
}
