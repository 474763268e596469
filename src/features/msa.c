// The alignment that the network reads: paired rows (one species across all chains) above unpaired ones (each chain's
// own), and the profile of each chain's whole unpaired alignment.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "chem/residues.h"
#include "features/numpy_sort.h"
#include "features/stages.h"
#include "formats/a3m.h"

enum {
  MAX_HITS_PER_SPECIES = 600,
  SHORTEST_SEARCHED = 5,  // shorter chains get no MSA
  SPECIES_CHARS = 5,
};

// One alignment. Two chains with the same text share it.
typedef struct {
  int n_rows, n_cols;
  int8_t *classes;        // (n_rows, n_cols)
  int8_t *deletions;      // (n_rows, n_cols) clipped to 127; letters left out to the left of each column
  double *deletion_mean;  // (n_cols) of the counts before they are clipped
  uint64_t *species;      // (n_rows) up to five characters, first character highest; 0: none
} alignment;

// The rows of an alignment by species, in ascending order of the species.
typedef struct {
  int n_species;
  uint64_t *species;  // (n_species)
  int32_t *first;     // (n_species + 1) into rows
  int32_t *rows;      // rows of one species stand together, in the order numpy's unstable sort leaves them
} species_index;

// What a chain contributes: rows of its two alignments; -1 stands for a row of gaps.
typedef struct {
  const alignment *unpaired, *paired;
  const species_index *index;  // of paired; NULL if the chain takes no part in pairing
  int32_t *unpaired_rows, *paired_rows;
  int n_unpaired, n_paired;
  int first_col;  // of its columns in the merged alignment
} chain_rows;

// ---- Reading one alignment

static bool is_upper_or_digit(char c) { return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

static int span(const char *text, int most) {
  int n = 0;
  while (n < most && is_upper_or_digit(text[n])) n++;
  return n;
}

// The species of a UniProt identifier: "tr|A0A146SKV9|A0A146SKV9_FUNHE/1-20" gives FUNHE; 0 for anything else.
static uint64_t species_of(const char *description) {
  const char *p = description + strspn(description, " \t\r\n\v\f\x1c\x1d\x1e\x1f");
  if (strncmp(p, "tr|", 3) != 0 && strncmp(p, "sp|", 3) != 0) return 0;
  p += 3;
  int n = span(p, 10);
  if (n < 6) return 0;
  p += n;
  if (*p == '_' && p[1] >= '0' && p[1] <= '9') {  // an isoform
    p++;
    while (*p >= '0' && *p <= '9') p++;
  }
  if (*p++ != '|') return 0;
  n = span(p, 10);
  if (n < 1 || p[n] != '_') return 0;
  p += n + 1;
  n = span(p, SPECIES_CHARS);
  uint64_t species = 0;
  for (int i = 0; i < SPECIES_CHARS; i++) species = species << 8 | (i < n ? (unsigned char)p[i] : 0);
  return species;
}

// Converts one row; refuses letters that mean nothing and rows that do not fit the query's columns.
// class_of: msa_class of every character.
static nf_status read_row(const char *label, const int8_t class_of[256], const char *sequence, int row, alignment *a,
                          int64_t *deletion_sums) {
  int8_t *classes = a->classes + (int64_t)row * a->n_cols, *deletions = a->deletions + (int64_t)row * a->n_cols;
  int64_t n_deleted = 0, col = 0;
  for (const char *c = sequence; *c; c++) {
    int8_t class = class_of[(unsigned char)*c];
    if (class < 0) {
      if (*c < 'a' || *c > 'z') {
        return nf_fail(NF_INPUT, "%s: row %d: character %d, '%c', is neither a residue, a gap nor an insertion", label,
                       row + 1, (int)(c - sequence) + 1, *c >= ' ' && *c < 127 ? *c : '?');
      }
      n_deleted++;
      continue;
    }
    if (col < a->n_cols) {
      classes[col] = class;
      deletions[col] = (int8_t)(n_deleted < INT8_MAX ? n_deleted : INT8_MAX);
      deletion_sums[col] += n_deleted;
    }
    n_deleted = 0;
    col++;
  }
  if (col != a->n_cols) {
    return nf_fail(NF_INPUT, "%s: row %d: it has %lld columns, the query has %d", label, row + 1, (long long)col,
                   a->n_cols);
  }
  return NF_OK;
}

// text: a3m, or "" for the query alone. The first row must be the query.
static nf_status read_alignment(const char *label, nf_chain_kind kind, const char *query, const char *text,
                                nf_arena *arena, alignment *ret) {
  nf_a3m a3m;
  NF_TRY(a3m_parse(label, text, strlen(text), arena, &a3m));
  if (a3m.n_rows == 0) {
    static const char *const no_description = "";
    a3m.n_rows = 1;
    a3m.descriptions = (const char **)&no_description;
    a3m.sequences = &query;
  }
  alignment a = {.n_rows = a3m.n_rows, .n_cols = (int)strlen(query)};
  int64_t n = (int64_t)a.n_rows * a.n_cols;
  a.classes = nf_arena_alloc(arena, (size_t)n);
  a.deletions = nf_arena_alloc(arena, (size_t)n);
  a.deletion_mean = NF_NEW(arena, double, a.n_cols);
  a.species = NF_NEW(arena, uint64_t, a.n_rows);
  int64_t *sums = NF_NEW(arena, int64_t, a.n_cols);
  int8_t class_of[256];
  for (int c = 0; c < 256; c++) class_of[c] = (int8_t)msa_class(kind, (char)c);
  for (int r = 0; r < a.n_rows; r++) {
    NF_TRY(read_row(label, class_of, a3m.sequences[r], r, &a, sums));
    a.species[r] = species_of(a3m.descriptions[r]);
  }
  for (int c = 0; c < a.n_cols; c++) {
    a.deletion_mean[c] = (double)sums[c] / a.n_rows;
    if (a.classes[c] != msa_class(kind, query[c])) {
      return nf_fail(NF_INPUT, "%s: row 1: it must be the chain's own sequence, but residue %d differs", label, c + 1);
    }
  }
  *ret = a;
  return NF_OK;
}

// A ligand's: one row of gaps.
static alignment *gap_alignment(int n_cols, nf_arena *arena) {
  alignment *a = NF_NEW(arena, alignment, 1);
  *a = (alignment){.n_rows = 1,
                   .n_cols = n_cols,
                   .classes = nf_arena_alloc(arena, (size_t)n_cols),
                   .deletions = nf_arena_calloc(arena, (size_t)n_cols, 1),
                   .deletion_mean = NF_NEW(arena, double, n_cols),
                   .species = NF_NEW(arena, uint64_t, 1)};
  memset(a->classes, NF_CLASS_GAP, (size_t)n_cols);
  return a;
}

static species_index *index_species(const alignment *a, nf_arena *arena) {
  species_index *s = NF_NEW(arena, species_index, 1);
  double *keys = nf_arena_alloc(arena, (size_t)a->n_rows * sizeof(double));
  s->rows = NF_NEW(arena, int32_t, a->n_rows);
  s->species = NF_NEW(arena, uint64_t, a->n_rows);
  s->first = NF_NEW(arena, int32_t, a->n_rows + 1);
  for (int r = 0; r < a->n_rows; r++) keys[r] = (double)a->species[r];  // exact: 40 bits
  numpy_argsort(keys, a->n_rows, s->rows);
  for (int i = 0; i < a->n_rows; i++) {
    uint64_t species = a->species[s->rows[i]];
    if (s->n_species > 0 && s->species[s->n_species - 1] == species) continue;
    s->species[s->n_species] = species;
    s->first[s->n_species++] = i;
  }
  s->first[s->n_species] = a->n_rows;
  return s;
}

// ---- Pairing

// A species as seen across the chains.
typedef struct {
  uint64_t species;
  int n_chains;
  int n_rows;  // the fewest that a chain with this species has
} shared_species;

static const char *species_key(uint64_t species, char key[24]) {
  snprintf(key, 24, "%llx", (unsigned long long)species);
  return key;
}

// Where a chain's index has the species; -1 if it has not.
static int find_species(const species_index *index, uint64_t species) {
  int low = 0, high = index->n_species;
  while (low < high) {
    int middle = (low + high) / 2;
    if (index->species[middle] < species) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low < index->n_species && index->species[low] == species ? low : -1;
}

// Species of two chains or more, in the order the chains bring them up.
static shared_species *list_shared_species(const chain_rows *chains, int n_chains, nf_arena *arena, int *ret_n) {
  int64_t capacity = 0, n = 0;
  for (int c = 0; c < n_chains; c++) capacity += chains[c].index ? chains[c].index->n_species : 0;
  shared_species *list = NF_NEW(arena, shared_species, capacity);
  nf_map *places = nf_map_create();
  for (int c = 0; c < n_chains; c++) {
    const species_index *index = chains[c].index;
    for (int s = 0; index && s < index->n_species; s++) {
      if (!index->species[s]) continue;
      char key[24];
      int64_t at = n;
      if (nf_map_add(places, species_key(index->species[s], key), n)) {
        list[n++] = (shared_species){.species = index->species[s], .n_rows = MAX_HITS_PER_SPECIES};
      } else {
        nf_map_get(places, key, &at);
      }
      int n_rows = index->first[s + 1] - index->first[s];
      list[at].n_chains++;
      if (n_rows < list[at].n_rows) list[at].n_rows = n_rows;
    }
  }
  nf_map_free(places);
  int n_kept = 0;
  for (int64_t i = 0; i < n; i++) {
    if (list[i].n_chains > 1) list[n_kept++] = list[i];
  }
  *ret_n = n_kept;
  return list;
}

// Chains that share an alignment pair alike, so rows are listed once an alignment; `unique` maps chain to alignment.
typedef struct {
  int n_unique;
  const species_index **indices;  // (n_unique)
  int *unique;                    // (n_chains)
} unique_indices;

static unique_indices find_unique_indices(const chain_rows *chains, int n_chains, nf_arena *arena) {
  unique_indices u = {.indices = NF_NEW(arena, const species_index *, n_chains),
                      .unique = NF_NEW(arena, int, n_chains)};
  for (int c = 0; c < n_chains; c++) {
    int i = 0;
    while (i < u.n_unique && u.indices[i] != chains[c].index) i++;
    if (i == u.n_unique) u.indices[u.n_unique++] = chains[c].index;
    u.unique[c] = i;
  }
  return u;
}

// Fills paired_rows of every chain: the queries first, then species of many chains before those of few, and among
// these by the product of the rows' places in their alignments.
static void pair_rows(chain_rows *chains, int n_chains, int max_paired, nf_arena *arena) {
  int n_species;
  shared_species *species = list_shared_species(chains, n_chains, arena, &n_species);
  unique_indices u = find_unique_indices(chains, n_chains, arena);
  for (int c = 0; c < n_chains; c++) {
    chains[c].paired_rows = NF_NEW(arena, int32_t, max_paired);
    chains[c].n_paired = 1;  // the query's row 0
  }
  int64_t n_seen = 0;
  for (int shared = n_chains; shared > 1 && n_seen < max_paired; shared--) {
    int64_t n = 0;
    for (int s = 0; s < n_species; s++) n += species[s].n_chains == shared ? species[s].n_rows : 0;
    if (n == 0) continue;
    nf_arena_mark mark = nf_arena_here(arena);
    int32_t *rows = nf_arena_alloc(arena, (size_t)n * (size_t)u.n_unique * sizeof *rows);  // (n, n_unique)
    double *rank = nf_arena_alloc(arena, (size_t)n * sizeof *rank);
    int32_t *order = nf_arena_alloc(arena, (size_t)n * sizeof *order);
    int64_t at = 0;
    for (int s = 0; s < n_species; s++) {
      if (species[s].n_chains != shared) continue;
      for (int i = 0; i < u.n_unique; i++) {
        int found = u.indices[i] ? find_species(u.indices[i], species[s].species) : -1;
        for (int k = 0; k < species[s].n_rows; k++) {
          rows[(at + k) * u.n_unique + i] = found < 0 ? -1 : u.indices[i]->rows[u.indices[i]->first[found] + k];
        }
      }
      at += species[s].n_rows;
    }
    for (int64_t r = 0; r < n; r++) {
      float product = 1;
      for (int c = 0; c < n_chains; c++) product *= (float)rows[r * u.n_unique + u.unique[c]];
      rank[r] = fabsf(product);
    }
    numpy_argsort(rank, (int32_t)n, order);
    for (int c = 0; c < n_chains; c++) {
      chain_rows *chain = &chains[c];
      for (int64_t r = 0; r < n && chain->n_paired < max_paired; r++) {
        chain->paired_rows[chain->n_paired++] = rows[(int64_t)order[r] * u.n_unique + u.unique[c]];
      }
    }
    n_seen += n;
    nf_arena_reset(arena, mark);
  }
}

static const int8_t *row_of(const alignment *a, int32_t row) { return a->classes + (int64_t)row * a->n_cols; }

static bool is_all_gaps(const int8_t *row, int n_cols) {
  for (int c = 0; c < n_cols; c++) {
    if (row[c] != NF_CLASS_GAP) return false;
  }
  return true;
}

// Leaves out unpaired rows that stand among the chain's paired ones already.
static void drop_overlaps(chain_rows *chain, nf_arena *arena) {
  nf_arena_mark mark = nf_arena_here(arena);
  int n_cols = chain->unpaired->n_cols;
  int64_t size = 64;
  while (size < 4 * (int64_t)chain->n_paired) size *= 2;
  const int8_t **table = NF_NEW(arena, const int8_t *, size);
  bool has_gap_row = false;
  for (int i = 0; i < chain->n_paired; i++) {
    if (chain->paired_rows[i] < 0) {
      has_gap_row = true;
      continue;
    }
    const int8_t *row = row_of(chain->paired, chain->paired_rows[i]);
    uint64_t at = nf_fnv1a(row, (size_t)n_cols) & (uint64_t)(size - 1);
    while (table[at] && memcmp(table[at], row, (size_t)n_cols) != 0) at = (at + 1) & (uint64_t)(size - 1);
    table[at] = row;
  }
  int n_kept = 0;
  for (int i = 0; i < chain->n_unpaired; i++) {
    const int8_t *row = row_of(chain->unpaired, chain->unpaired_rows[i]);
    uint64_t at = nf_fnv1a(row, (size_t)n_cols) & (uint64_t)(size - 1);
    while (table[at] && memcmp(table[at], row, (size_t)n_cols) != 0) at = (at + 1) & (uint64_t)(size - 1);
    if (table[at] || (has_gap_row && is_all_gaps(row, n_cols))) continue;
    chain->unpaired_rows[n_kept++] = chain->unpaired_rows[i];
  }
  chain->n_unpaired = n_kept;
  nf_arena_reset(arena, mark);
}

// Leaves out paired rows in which no chain has a residue.
static void drop_gap_rows(chain_rows *chains, int n_chains) {
  int n_kept = 0, n_paired = chains[0].n_paired;
  for (int r = 0; r < n_paired; r++) {
    bool is_empty = true;
    for (int c = 0; c < n_chains && is_empty; c++) {
      int32_t row = chains[c].paired_rows[r];
      is_empty = row < 0 || is_all_gaps(row_of(chains[c].paired, row), chains[c].paired->n_cols);
    }
    if (is_empty) continue;
    for (int c = 0; c < n_chains; c++) chains[c].paired_rows[n_kept] = chains[c].paired_rows[r];
    n_kept++;
  }
  for (int c = 0; c < n_chains; c++) chains[c].n_paired = n_kept;
}

// ---- Writing

// Share of each class in each column, as the reference adds it up: one n-th for each row, in float64.
static void write_profile(const alignment *a, int n_class, const int32_t *cols, int first_token, int n_tokens,
                          nf_arena *arena, nf_batch *b) {
  nf_arena_mark mark = nf_arena_here(arena);
  int32_t *counts = NF_NEW(arena, int32_t, (int64_t)a->n_cols * n_class);
  double *shares = nf_arena_alloc(arena, ((size_t)a->n_rows + 1) * sizeof *shares);
  shares[0] = 0;
  for (int i = 0; i < a->n_rows; i++) shares[i + 1] = shares[i] + 1.0 / a->n_rows;
  for (int r = 0; r < a->n_rows; r++) {
    const int8_t *row = row_of(a, r);
    for (int c = 0; c < a->n_cols; c++) counts[(int64_t)c * n_class + row[c]]++;
  }
  for (int t = first_token; t < first_token + n_tokens; t++) {
    for (int k = 0; k < n_class; k++) {
      b->profile[(int64_t)t * n_class + k] = (float)shares[counts[(int64_t)cols[t] * n_class + k]];
    }
    b->deletion_mean[t] = a->deletion_mean[cols[t]];
  }
  nf_arena_reset(arena, mark);
}

// Writes one chain's part of one row of the alignment; row -1 are gaps.
static void write_row(const alignment *a, int32_t row, const int32_t *cols, int first_token, int n_tokens, int64_t to,
                      nf_batch *b) {
  int8_t *msa = b->msa + to * b->n_token, *deletions = b->deletion_matrix + to * b->n_token;
  if (row < 0) {
    memset(msa + first_token, NF_CLASS_GAP, (size_t)n_tokens);
    return;
  }
  const int8_t *classes = row_of(a, row), *counts = a->deletions + (int64_t)row * a->n_cols;
  for (int t = first_token; t < first_token + n_tokens; t++) {
    msa[t] = classes[cols[t]];
    deletions[t] = counts[cols[t]];
  }
}

// ---- The stage

// The column of each token within its chain's alignment: a polymer's residues, a ligand's atoms.
static int32_t *token_columns(const nf_layout *l, nf_arena *arena) {
  int32_t *cols = NF_NEW(arena, int32_t, l->n_tokens);
  for (int c = 0; c < l->n_chains; c++) {
    const layout_chain *chain = &l->chains[c];
    int32_t col = -1;
    for (int t = chain->first_token; t < chain->first_token + chain->n_tokens; t++) {
      if (!chain->sequence || t == chain->first_token || l->tokens[t].residue != l->tokens[t - 1].residue) col++;
      cols[t] = col;
    }
  }
  return cols;
}

// The letters of the residues that have tokens.
static const char *query_of(const nf_layout *l, const layout_chain *chain, nf_arena *arena) {
  char *query = nf_arena_calloc(arena, (size_t)chain->n_residues + 1, 1);
  int n = 0;
  for (int r = 0; r < chain->n_residues; r++) {
    if (l->residues[chain->first_residue + r].n_tokens > 0) query[n++] = chain->sequence[r];
  }
  return query;
}

static bool has_distinct_proteins(const nf_layout *l, const char *const *queries) {
  const char *first = NULL;
  for (int c = 0; c < l->n_chains; c++) {
    if (l->chains[c].kind != NF_PROTEIN) continue;
    if (!first) first = queries[c];
    if (strcmp(first, queries[c]) != 0) return true;
  }
  return false;
}

static nf_status read_chain(const nf_job *job, const layout_chain *chain, const char *query, bool is_pairing,
                            nf_arena *arena, chain_rows *ret) {
  const job_chain *source = &job->chains[chain->job_chain];
  bool is_searched = strlen(query) >= SHORTEST_SEARCHED;
  const char *unpaired = "", *paired = "";
  if (is_searched && chain->kind != NF_DNA && source->unpaired_msa) unpaired = source->unpaired_msa;
  if (is_searched && is_pairing && chain->kind == NF_PROTEIN && source->paired_msa) paired = source->paired_msa;
  alignment *both = NF_NEW(arena, alignment, 2);
  const char *name = chain->kind == NF_PROTEIN ? "protein" : chain->kind == NF_RNA ? "rna" : "dna";
  const char *label = nf_arena_printf(arena, "%s: %s %s: unpairedMsa", job->path, name, chain->id);
  NF_TRY(read_alignment(label, chain->kind, query, unpaired, arena, &both[0]));
  label = nf_arena_printf(arena, "%s: %s %s: pairedMsa", job->path, name, chain->id);
  NF_TRY(read_alignment(label, chain->kind, query, paired, arena, &both[1]));
  ret->unpaired = &both[0];
  ret->paired = &both[1];
  // A query alone, without a species, has nothing to pair.
  if (both[1].n_rows > 1 || both[1].species[0]) ret->index = index_species(&both[1], arena);
  return NF_OK;
}

// An earlier chain with the same query and the very same texts (copies share them); -1 if there is none.
static int find_copy(const nf_job *job, const nf_layout *l, const char *const *queries, int c) {
  const job_chain *source = &job->chains[l->chains[c].job_chain];
  for (int e = 0; e < c; e++) {
    const job_chain *other = &job->chains[l->chains[e].job_chain];
    if (l->chains[e].kind == l->chains[c].kind && other->unpaired_msa == source->unpaired_msa &&
        other->paired_msa == source->paired_msa && strcmp(queries[e], queries[c]) == 0) {
      return e;
    }
  }
  return -1;
}

nf_status msa_features(const nf_job *job, const nf_layout *l, bool resolve_overlaps, nf_batch *b) {
  nf_arena *arena = nf_arena_create();
  nf_status status = NF_OK;
  int max_paired = b->n_row / 2;
  const int32_t *cols = token_columns(l, arena);
  chain_rows *chains = NF_NEW(arena, chain_rows, l->n_chains);
  const char **queries = NF_NEW(arena, const char *, l->n_chains);
  for (int c = 0; c < l->n_chains; c++) {
    if (l->chains[c].sequence) queries[c] = query_of(l, &l->chains[c], arena);
  }
  bool is_pairing = has_distinct_proteins(l, queries);

  for (int c = 0; c < l->n_chains; c++) {
    const layout_chain *chain = &l->chains[c];
    int copy;
    if (!chain->sequence) {
      chains[c].unpaired = chains[c].paired = gap_alignment(chain->n_tokens, arena);
    } else if ((copy = find_copy(job, l, queries, c)) >= 0) {
      chains[c] = chains[copy];
    } else {
      NF_TRY_GOTO(done, read_chain(job, chain, queries[c], is_pairing, arena, &chains[c]));
    }
  }
  for (int c = 0; c < l->n_chains; c++) {
    chain_rows *chain = &chains[c];
    write_profile(chain->unpaired, b->n_class, cols, l->chains[c].first_token, l->chains[c].n_tokens, arena, b);
    chain->n_unpaired = chain->unpaired->n_rows;
    chain->unpaired_rows = NF_NEW(arena, int32_t, chain->n_unpaired);
    for (int r = 0; r < chain->n_unpaired; r++) chain->unpaired_rows[r] = r;
    chain->n_paired = 1;
    chain->paired_rows = NF_NEW(arena, int32_t, 1);
  }
  if (is_pairing) {
    pair_rows(chains, l->n_chains, max_paired, arena);
    for (int c = 0; c < l->n_chains && resolve_overlaps; c++) drop_overlaps(&chains[c], arena);
  }
  drop_gap_rows(chains, l->n_chains);

  int n_paired = chains[0].n_paired, n_unpaired = 0;
  for (int c = 0; c < l->n_chains; c++) {
    if (chains[c].n_unpaired > b->n_row - n_paired) chains[c].n_unpaired = b->n_row - n_paired;
    if (chains[c].n_unpaired > n_unpaired) n_unpaired = chains[c].n_unpaired;
  }
  *b->num_alignments = n_paired + n_unpaired;
#pragma omp parallel for
  for (int r = 0; r < n_paired + n_unpaired; r++) {
    memset(b->msa_mask + (int64_t)r * b->n_token, 1, (size_t)l->n_tokens);
    for (int c = 0; c < l->n_chains; c++) {
      const chain_rows *chain = &chains[c];
      bool is_paired = r < n_paired;
      int u = r - n_paired;
      int32_t row = is_paired ? chain->paired_rows[r] : u < chain->n_unpaired ? chain->unpaired_rows[u] : -1;
      write_row(is_paired ? chain->paired : chain->unpaired, row, cols, l->chains[c].first_token, l->chains[c].n_tokens,
                r, b);
    }
  }
done:
  nf_arena_free(arena);
  return status;
}
