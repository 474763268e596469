// The two JSON files of a sample. The big one holds two numbers per pair of tokens, 50 million at 5,000 tokens: every
// number it can hold is looked up, ready with its comma, in a small table.
#include "output/confidences.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "output/number.h"

// A value's text and a comma.
typedef struct {
  char text[7];
  unsigned char length;
} entry;

typedef struct {
  float scale, largest;  // the index of v is round(min(max(v, 0), largest) * scale)
  int n_entries;
  entry *entries;
} number_table;

static void fill(entry *e, const char *format, double value, int decimals) {
  char text[16];
  int n = snprintf(text, sizeof text, format, value);
  if (decimals == 2 && text[n - 1] == '0') n--;  // 0.5, not 0.50; but 1.0
  memcpy(e->text, text, (size_t)n);
  e->text[n] = ',';
  e->length = (unsigned char)(n + 1);
}

static number_table make_table(nf_arena *arena, int decimals, float largest) {
  number_table t = {.scale = decimals == 1 ? 10.0f : 100.0f, .largest = largest};
  t.n_entries = (int)lroundf(largest * t.scale) + 1;
  t.entries = NF_NEW(arena, entry, t.n_entries);
  for (int i = 0; i < t.n_entries; i++)
    fill(&t.entries[i], decimals == 1 ? "%.1f" : "%.2f", i / (double)t.scale, decimals);
  return t;
}

// Ties go away from zero, in float32, as the reference rounds.
static inline const entry *find(const number_table *t, float value) {
  static const entry null = {"null,", 5};
  if (value != value) return &null;
  float x = (value < 0 ? 0 : value > t->largest ? t->largest : value) * t->scale;
  int i = (int)x;
  return &t->entries[i + (x - (float)i >= 0.5f)];
}

// "v,v,...,v" of n values.
static void write_numbers(outfile *s, const number_table *t, const float *values, int64_t n) {
  enum { PIECE = OUTFILE_MAX_RESERVE / 8 };
  for (int64_t i = 0; i < n;) {
    int64_t end = n - i < PIECE ? n : i + PIECE;
    char *start = outfile_reserve(s, OUTFILE_MAX_RESERVE), *p = start;
    for (; i < end; i++) {
      const entry *e = find(t, values[i]);
      memcpy(p, e->text, sizeof e->text);
      p += e->length;
    }
    if (i == n) p--;
    outfile_advance(s, (size_t)(p - start));
  }
}

static void write_matrix(outfile *s, const number_table *t, const float *values, int n) {
  for (int i = 0; i < n; i++) {
    outfile_puts(s, i ? ",[" : "[");
    write_numbers(s, t, values + (int64_t)i * n, n);
    outfile_puts(s, "]");
  }
}

// A JSON string, with its quotes.
static void write_string(outfile *s, const char *text) {
  outfile_puts(s, "\"");
  for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
    char escape[8];
    if (*p == '"' || *p == '\\') {
      outfile_write(s, (const char[]){'\\', (char)*p}, 2);
    } else if (*p < 0x20) {
      outfile_write(s, escape, (size_t)snprintf(escape, sizeof escape, "\\u%04x", *p));
    } else {
      outfile_write(s, (const char *)p, 1);
    }
  }
  outfile_puts(s, "\"");
}

void confidences_write_full(outfile *s, const nf_layout *layout, const nf_batch *batch, const nf_scores *scores,
                            bool with_pde) {
  nf_arena *arena = nf_arena_create();
  number_table plddt = make_table(arena, 2, 99.99f), fraction = make_table(arena, 2, 1.0f);
  number_table error = make_table(arena, 1, 99.9f);

  outfile_puts(s, "{\n  \"atom_chain_ids\": [");
  for (int i = 0; i < layout->n_atoms; i++) {
    if (i) outfile_puts(s, ",");
    write_string(s, layout->chains[layout->residues[layout->atoms[i].residue].chain].id);
  }
  outfile_puts(s, "],\n  \"atom_plddts\": [");
  write_numbers(s, &plddt, scores->plddt, layout->n_atoms);
  outfile_puts(s, "],\n  \"contact_probs\": [");
  write_matrix(s, &fraction, scores->contact_probs, layout->n_tokens);
  outfile_puts(s, "],\n  \"pae\": [");
  write_matrix(s, &error, scores->full_pae, layout->n_tokens);
  if (with_pde) {
    outfile_puts(s, "],\n  \"pde\": [");
    write_matrix(s, &error, scores->full_pde, layout->n_tokens);
  }
  outfile_puts(s, "],\n  \"token_chain_ids\": [");
  for (int i = 0; i < layout->n_tokens; i++) {
    if (i) outfile_puts(s, ",");
    write_string(s, layout->chains[layout->tokens[i].chain].id);
  }
  outfile_puts(s, "],\n  \"token_res_ids\": [");
  for (int i = 0; i < layout->n_tokens; i++) {
    char text[16];
    outfile_write(s, text, (size_t)snprintf(text, sizeof text, i ? ",%d" : "%d", (int)batch->residue_index[i]));
  }
  outfile_puts(s, "]\n}");
  nf_arena_free(arena);
}

static void write_rounded(outfile *s, double value) {
  char text[NUMBER_REPR_SIZE];
  number_json(number_round2(value), text);
  outfile_puts(s, text);
}

static void write_key(outfile *s, const char *key) {
  outfile_puts(s, " \"");
  outfile_puts(s, key);
  outfile_puts(s, "\": ");
}

// A list with one value a line, `indent` being the blanks before its brackets.
static void write_list(outfile *s, const double *values, int n, const char *indent) {
  outfile_puts(s, "[\n");
  for (int i = 0; i < n; i++) {
    outfile_puts(s, indent);
    outfile_puts(s, " ");
    write_rounded(s, values[i]);
    outfile_puts(s, i + 1 < n ? ",\n" : "\n");
  }
  outfile_puts(s, indent);
  outfile_puts(s, "]");
}

static void write_per_chain(outfile *s, const char *key, const double *values, int n) {
  write_key(s, key);
  write_list(s, values, n, " ");
  outfile_puts(s, ",\n");
}

static void write_per_pair(outfile *s, const char *key, const double *values, int n) {
  write_key(s, key);
  outfile_puts(s, "[\n");
  for (int i = 0; i < n; i++) {
    outfile_puts(s, "  ");
    write_list(s, values + (int64_t)i * n, n, "  ");
    outfile_puts(s, i + 1 < n ? ",\n" : "\n");
  }
  outfile_puts(s, " ],\n");
}

static void write_counts(outfile *s, const char *key, const int *values, int n) {
  write_key(s, key);
  outfile_puts(s, "[\n");
  for (int i = 0; i < n; i++) {
    char text[32];
    outfile_write(s, text, (size_t)snprintf(text, sizeof text, i + 1 < n ? "  %d,\n" : "  %d\n", values[i]));
  }
  outfile_puts(s, " ],\n");
}

// Chain, residue number and name of each atom, a line each.
static void write_atoms(outfile *s, const char *key, const nf_layout *layout, const int *atoms, int n) {
  write_key(s, key);
  outfile_puts(s, n ? "[\n" : "[");
  for (int i = 0; i < n; i++) {
    const layout_atom *atom = &layout->atoms[atoms[i]];
    const layout_residue *residue = &layout->residues[atom->residue];
    char number[32];
    outfile_puts(s, "  [");
    write_string(s, layout->chains[residue->chain].id);
    outfile_write(s, number, (size_t)snprintf(number, sizeof number, ", %d, ", residue->id));
    write_string(s, atom->name);
    outfile_puts(s, i + 1 < n ? "],\n" : "]\n");
  }
  outfile_puts(s, n ? " ]" : "]");
}

static void write_scalar(outfile *s, const char *key, double value, const char *end) {
  write_key(s, key);
  write_rounded(s, value);
  outfile_puts(s, end);
}

void confidences_write_summary(outfile *s, const nf_layout *layout, const nf_scores *scores) {
  int n = scores->n_chains;
  outfile_puts(s, "{\n");
  // One id per chain, as AlphaFold 3 documents it; its writer (3.0.4) repeats the id for every token.
  write_key(s, "chain_ids");
  outfile_puts(s, "[\n");
  for (int i = 0; i < n; i++) {
    outfile_puts(s, "  ");
    write_string(s, layout->chains[i].id);
    outfile_puts(s, i + 1 < n ? ",\n" : "\n");
  }
  outfile_puts(s, " ],\n");
  write_per_chain(s, "chain_iptm", scores->iptm_xchain, n);
  write_per_pair(s, "chain_pair_iptm", scores->chain_pair_iptm, n);
  write_per_pair(s, "chain_pair_pae_min", scores->chain_pair_pae_min, n);
  write_per_chain(s, "chain_ptm", scores->iptm_ichain, n);
  write_scalar(s, "fraction_disordered", scores->fraction_disordered, ",\n");
  write_scalar(s, "has_clash", scores->has_clash, ",\n");
  write_scalar(s, "iptm", scores->iptm, ",\n");
  write_scalar(s, "ptm", scores->ptm, ",\n");
  write_scalar(s, "ranking_score", scores->ranking_score, ",\n");
  const nf_chirality *chirality = &scores->chirality;
  write_counts(s, "chain_chirality_checked", chirality->chain_checked, n);
  write_counts(s, "chain_chirality_errors", chirality->chain_errors, n);
  write_atoms(s, "ligand_chirality_errors", layout, chirality->ligand_errors, chirality->n_ligand_errors);
  outfile_puts(s, "\n}");
}
