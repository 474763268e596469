#include "search/merge.h"

#include <stdlib.h>
#include <string.h>

// Where a shard's rows have been taken up to. `score` is that of its next row.
typedef struct {
  const hmmer_hits *hits;
  int row;  // n_rows: none left
  const hmmer_score *score;
  const char *name;
  size_t n_name;
} head;

typedef struct {
  hmmer_score score;
  int order;
} ordered;

static int by_hash(const void *a, const void *b) {
  const ordered *x = a, *y = b;
  if (x->score.hash != y->score.hash) return x->score.hash < y->score.hash ? -1 : 1;
  return x->order - y->order;
}

// One table of all shards; where they share a name the last shard counts.
static hmmer_hits join_scores(hmmer_hits *const *shards, int n_shards) {
  size_t n = 0;
  for (int i = 0; i < n_shards; i++) n += (size_t)shards[i]->n_scores;
  ordered *all = nf_alloc(n * sizeof *all);
  hmmer_hits joined = {.scores = nf_alloc(n * sizeof(hmmer_score))};
  n = 0;
  for (int i = 0; i < n_shards; i++) {
    for (int k = 0; k < shards[i]->n_scores; k++) all[n++] = (ordered){shards[i]->scores[k], i};
  }
  if (n) qsort(all, n, sizeof *all, by_hash);
  for (size_t i = 0; i < n; i++) {
    int last = joined.n_scores - 1;
    if (last >= 0 && joined.scores[last].hash == all[i].score.hash) joined.n_scores--;
    joined.scores[joined.n_scores++] = all[i].score;
  }
  free(all);
  return joined;
}

// Moves on to the next row that has a score, from `row` on.
static void advance(head *h, int row, const hmmer_hits *scores, bool with_place) {
  const nf_alignment *a = &h->hits->alignment;
  for (h->row = row; h->row < a->n_rows; h->row++) {
    size_t n = a->rows[h->row].n_description;
    h->name = alignment_description(a, h->row);
    const char *end = memchr(h->name, ' ', n);
    if (end) n = (size_t)(end - h->name);
    end = with_place ? NULL : memchr(h->name, '/', n);
    h->n_name = end ? (size_t)(end - h->name) : n;
    h->score = hmmer_find_score(scores, h->name, h->n_name);
    if (h->score) return;
  }
}

static bool comes_before(const head *a, const head *b) {
  if (a->score->e_value != b->score->e_value) return a->score->e_value < b->score->e_value;
  if (a->score->score != b->score->score) return a->score->score > b->score->score;
  size_t n = a->n_name < b->n_name ? a->n_name : b->n_name;
  int order = memcmp(a->name, b->name, n);
  return order ? order < 0 : a->n_name < b->n_name;
}

void merge_shards(const char *query, hmmer_hits *const *shards, int n_shards, bool with_place, int max_rows,
                  nf_alignment *ret) {
  hmmer_hits scores = join_scores(shards, n_shards);
  head *heads = nf_calloc((size_t)n_shards, sizeof *heads);
  for (int i = 0; i < n_shards; i++) {
    heads[i].hits = shards[i];
    advance(&heads[i], 1, &scores, with_place);  // row 0 is the query
  }
  alignment_add(ret, "query", 5, query, strlen(query));
  while (ret->n_rows < max_rows) {
    head *best = NULL;
    for (int i = 0; i < n_shards; i++) {
      if (heads[i].row >= heads[i].hits->alignment.n_rows) continue;
      if (!best || comes_before(&heads[i], best)) best = &heads[i];
    }
    if (!best) break;
    const nf_alignment *a = &best->hits->alignment;
    const alignment_row *row = &a->rows[best->row];
    alignment_add(ret, alignment_description(a, best->row), row->n_description, alignment_sequence(a, best->row),
                  row->n_sequence);
    advance(best, best->row + 1, &scores, with_place);
  }
  free(heads);
  hmmer_hits_free(&scores);
}
