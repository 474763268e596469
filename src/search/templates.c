#include "search/templates.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/map.h"
#include "formats/cif.h"
#include "structure/structure.h"

// The reference's limits.
static const double MAX_SUBSEQUENCE_RATIO = 0.95, MIN_ALIGN_RATIO = 0.1;
enum { MIN_HIT_LENGTH = 10 };

// ---- hits ----

// "4pqx_A/2-217 [subseq from] mol:protein length:217  Free text"
typedef struct {
  char id[32], chain[32];
  int start, end;   // residues of the PDB's sequence, from 0, end exclusive
  int full_length;  // of that sequence
} hit_name;

static bool is_word(char c) { return isalnum((unsigned char)c) || c == '_'; }

static bool read_int(const char **p, int *ret) {
  int64_t value = 0;
  const char *from = *p;
  for (; isdigit((unsigned char)**p); (*p)++) {
    value = 10 * value + (**p - '0');
    if (value > INT32_MAX) return false;
  }
  *ret = (int)value;
  return *p > from;
}

static bool parse_name(const char *text, hit_name *h) {
  size_t n = 0;
  const char *p = text;
  while (islower((unsigned char)p[n]) || isdigit((unsigned char)p[n])) n++;
  if (n < 4 || n >= sizeof h->id || p[n] != '_') return false;
  snprintf(h->id, sizeof h->id, "%.*s", (int)n, p);
  p += n + 1;
  for (n = 0; is_word(p[n]);) n++;
  if (n < 1 || n >= sizeof h->chain || p[n] != '/') return false;
  snprintf(h->chain, sizeof h->chain, "%.*s", (int)n, p);
  p += n + 1;
  if (!read_int(&p, &h->start) || *p++ != '-' || !read_int(&p, &h->end) || *p++ != ' ') return false;
  h->start--;
  // The last length counts, should free text speak of one too.
  bool found = false;
  for (const char *at = p; (at = strstr(at, " length:")); at++) {
    const char *number = at + strlen(" length:");
    int length;
    if (read_int(&number, &length) && !is_word(*number)) {
      h->full_length = length;
      found = true;
    }
  }
  return found && 0 <= h->start && h->start <= h->end;
}

// ---- realignment ----

// Walks along both sequences; where they differ, up to max_gaps residues of the hit in all may be missing from the
// structure. place[i]: index of hit residue i in `structure`, or -1. Returns how many residues agree.
static int walk(const char *hit, int n_hit, const char *structure, int n_structure, int max_gaps, int *place) {
  int i = 0, score = 0;
  for (int k = 0; k < n_hit; k++) place[k] = -1;
  for (int j = 0; i < n_hit && j < n_structure; i++, j++) {
    if (hit[i] != structure[j]) {
      for (int shift = 0; shift <= max_gaps && i + shift < n_hit; shift++) {
        if (hit[i + shift] != structure[j]) continue;
        i += shift;
        max_gaps -= shift;
        break;
      }
    }
    place[i] = j;
    score += hit[i] == structure[j];
  }
  return score;
}

bool templates_realign(const char *hit, int start, int end, int full_length, const char *structure, int n, int *query,
                       int *index, int *ret_n) {
  int length = (int)strlen(structure), n_hit = end - start, max_gaps = full_length - length;
  *ret_n = 0;
  if (max_gaps < 0) return false;
  int *place = nf_alloc((size_t)n_hit * sizeof *place), *best = nf_calloc((size_t)n_hit, sizeof *best);
  int best_score = -1, best_start = 0;
  // Missing residues may lie before the hit, too; of equal scores the one with more of them counts.
  for (int before = 0; before <= (start < max_gaps ? start : max_gaps); before++) {
    int from = start - before, to = end - before;
    if (from > length) from = length;
    if (to > length) to = length;
    int score = walk(hit, n_hit, structure + from, to - from, max_gaps - before, place);
    if (score < best_score) continue;
    best_score = score;
    best_start = start - before;
    memcpy(best, place, (size_t)n_hit * sizeof *best);
  }
  for (int i = 0; i < n; i++) {
    if (best[index[i]] < 0) continue;
    query[*ret_n] = query[i];
    index[(*ret_n)++] = best[index[i]] + best_start;
  }
  free(place);
  free(best);
  return true;
}

// ---- structures ----

// The structure that hits are being laid over; neighbouring hits are often chains of one entry.
typedef struct {
  char id[32];
  nf_arena *arena;
  bool usable;
  nf_structure structure;
} open_structure;

typedef struct {
  const char *query;
  const nf_mmcif_store *store;
  int max_date;
  nf_arena *arena;
  nf_arena_mark mark;  // of open.arena when empty
  open_structure open;
  int n_absent, n_unusable;
  char first_absent[32], first_unusable[512];
} selection;

static void leave_out(selection *s, const char *id, const char *why) {
  if (!s->n_unusable++) snprintf(s->first_unusable, sizeof s->first_unusable, "%s: %s", id, why);
}

// Reads the entry of a hit, unless it is the one at hand.
static void open_entry(selection *s, const char *id) {
  if (strcmp(s->open.id, id) == 0) return;
  char *text = NULL;
  size_t size;
  nf_arena_reset(s->open.arena, s->mark);
  snprintf(s->open.id, sizeof s->open.id, "%s", id);
  s->open.usable = false;
  nf_status status = mmcif_store_read(s->store, id, &text, &size);
  if (status == NF_OK && !text) {
    if (!s->n_absent++) snprintf(s->first_absent, sizeof s->first_absent, "%s", id);
    return;
  }
  if (status == NF_OK) status = mmcif_read_structure(id, text, size, s->open.arena, &s->open.structure);
  free(text);
  if (status != NF_OK) {
    leave_out(s, id, nf_message());
  } else if (!s->open.structure.release_date) {
    leave_out(s, id, "it has no release date");
  } else {
    s->open.usable = true;
  }
}

static bool is_polymer(const structure_chain *chain) {
  return (chain->kind != NF_LIGAND && chain->kind != NF_WATER) || strcmp(chain->type, "other") == 0;
}

// The polymer of that author id; NULL if there is none, or more than one.
static const structure_chain *find_chain(const nf_structure *structure, const char *author_id) {
  const structure_chain *found = NULL;
  for (int c = 0; c < structure->n_chains; c++) {
    const structure_chain *chain = &structure->chains[c];
    if (!is_polymer(chain) || strcmp(chain->author_id, author_id) != 0) continue;
    if (found) return NULL;
    found = chain;
  }
  return found;
}

static char *chain_letters(const nf_structure *structure, const structure_chain *chain, nf_arena *arena) {
  char *letters = nf_arena_alloc(arena, (size_t)chain->n_residues + 1);
  for (int i = 0; i < chain->n_residues; i++) {
    letters[i] = residue_letter(chain->kind, structure->residues[chain->first_residue + i].name);
  }
  letters[chain->n_residues] = '\0';
  return letters;
}

// Whether any of the residues at these indices has coordinates. The reference looks for them by number among all
// residues of that author's chain, its ligands included, and so do we.
static bool is_seen(const nf_structure *structure, const char *author_id, int n, const int *index) {
  for (int i = 0; i < n; i++) {
    bool missing = false;
    for (int c = 0; c < structure->n_chains && !missing; c++) {
      const structure_chain *chain = &structure->chains[c];
      if (strcmp(chain->author_id, author_id) != 0) continue;
      const structure_residue *r = &structure->residues[chain->first_residue];
      bool resolved = false;
      for (int k = 0; k < chain->n_residues && !resolved; k++) resolved = r[k].n_atoms > 0;
      if (!resolved) continue;
      // Numbers of a polymer mostly count up from 1.
      int guess = index[i];
      if (guess < chain->n_residues && r[guess].id - 1 == index[i] && is_polymer(chain)) {
        missing = r[guess].n_atoms == 0;
        continue;
      }
      for (int k = 0; k < chain->n_residues && !missing; k++) missing = r[k].id - 1 == index[i] && r[k].n_atoms == 0;
    }
    if (!missing) return true;
  }
  return false;
}

// ---- the template's file ----

static void append_items(nf_str *out, const char *category, int n, const char *const *names,
                         const char *const *values) {
  cif_append_category(out, category, n, names, 1, values);
}

static const char *chain_mmcif(const nf_structure *s, const structure_chain *chain, nf_arena *result_arena) {
  nf_arena *arena = nf_arena_create();
  nf_str out = {0};
  const structure_residue *residues = &s->residues[chain->first_residue];
  int n = chain->n_residues, n_atoms = 0;
  const char *date = nf_arena_printf(arena, "%04d-%02d-%02d", s->release_date / 10000, s->release_date / 100 % 100,
                                     s->release_date % 100);
  nf_str_puts(&out, "data_");
  for (const char *p = s->name; *p; p++) nf_str_putc(&out, *p == ' ' ? '-' : *p);
  nf_str_puts(&out, "\n#\n");
  append_items(&out, "_entry", 1, (const char *[]){"id"}, (const char *[]){s->name});
  append_items(&out, "_entity", 2, (const char *[]){"id", "type"}, (const char *[]){chain->entity_id, "polymer"});
  append_items(&out, "_entity_poly", 3, (const char *[]){"entity_id", "pdbx_strand_id", "type"},
               (const char *[]){chain->entity_id, chain->author_id, chain->type});

  const char **values = NF_NEW(arena, const char *, (size_t)n * 9);
  for (int i = 0; i < n; i++) {
    const char **v = values + (size_t)i * 4;
    v[0] = chain->entity_id, v[1] = "n", v[2] = residues[i].name, v[3] = nf_arena_printf(arena, "%d", residues[i].id);
    n_atoms += residues[i].n_atoms;
  }
  cif_append_category(&out, "_entity_poly_seq", 4, (const char *[]){"entity_id", "hetero", "mon_id", "num"}, n, values);
  append_items(&out, "_pdbx_audit_revision_history", 1, (const char *[]){"revision_date"}, (const char *[]){date});
  for (int i = 0; i < n; i++) {
    const char **v = values + (size_t)i * 9;
    const structure_residue *r = &residues[i];
    v[0] = chain->id, v[1] = r->n_atoms ? r->author_id : "?", v[2] = chain->entity_id, v[3] = "n", v[4] = r->name;
    v[5] = strcmp(r->insertion, "?") == 0 ? "." : r->insertion, v[6] = r->author_id, v[7] = chain->author_id;
    v[8] = nf_arena_printf(arena, "%d", r->id);
  }
  cif_append_category(&out, "_pdbx_poly_seq_scheme", 9,
                      (const char *[]){"asym_id", "auth_seq_num", "entity_id", "hetero", "mon_id", "pdb_ins_code",
                                       "pdb_seq_num", "pdb_strand_id", "seq_id"},
                      n, values);
  append_items(&out, "_struct_asym", 2, (const char *[]){"entity_id", "id"},
               (const char *[]){chain->entity_id, chain->id});

  enum { COLUMNS = 18, WIDTH = 32 };
  const char **cells = NF_NEW(arena, const char *, (size_t)n_atoms * COLUMNS);
  char(*texts)[6][WIDTH] = nf_arena_alloc(arena, (size_t)n_atoms * sizeof *texts);
  for (int i = 0, k = 0; i < n; i++) {
    const structure_residue *r = &residues[i];
    const char *number = nf_arena_printf(arena, "%d", r->id);
    for (int j = 0; j < r->n_atoms; j++, k++) {
      const structure_atom *a = &s->atoms[r->first_atom + j];
      const char **v = cells + (size_t)k * COLUMNS;
      const float f[] = {a->x, a->y, a->z, a->occupancy, a->b_factor};
      snprintf(texts[k][0], WIDTH, "%d", k + 1);
      for (int x = 0; x < 5; x++) snprintf(texts[k][x + 1], WIDTH, x < 3 ? "%.3f" : "%.2f", (double)f[x]);
      v[0] = residue_is_standard_polymer(r->name) ? "ATOM" : "HETATM";
      v[1] = texts[k][0], v[2] = a->element, v[3] = a->name, v[4] = ".", v[5] = r->name, v[6] = chain->id;
      v[7] = chain->entity_id, v[8] = number, v[9] = r->insertion;
      for (int x = 0; x < 5; x++) v[10 + x] = texts[k][x + 1];
      v[15] = r->author_id, v[16] = chain->author_id, v[17] = "1";
    }
  }
  cif_append_category(&out, "_atom_site", COLUMNS,
                      (const char *[]){"group_PDB", "id", "type_symbol", "label_atom_id", "label_alt_id",
                                       "label_comp_id", "label_asym_id", "label_entity_id", "label_seq_id",
                                       "pdbx_PDB_ins_code", "Cartn_x", "Cartn_y", "Cartn_z", "occupancy",
                                       "B_iso_or_equiv", "auth_seq_id", "auth_asym_id", "pdbx_PDB_model_num"},
                      n_atoms, cells);
  const char *text = nf_arena_strndup(result_arena, out.data, out.length);
  nf_str_free(&out);
  nf_arena_free(arena);
  return text;
}

// ---- selection ----

// Whether the hit is kept; then *ret is filled but for its text, *ret_chain is its chain, and `laid` holds the template's letters over the query.
static bool consider(selection *s, const nf_alignment *hits, int row, nf_arena *scratch, char *laid,
                     const structure_chain **ret_chain, job_template *ret) {
  const alignment_row *r = &hits->rows[row];
  char *description = nf_arena_strndup(scratch, alignment_description(hits, row), r->n_description);
  const char *aligned = alignment_sequence(hits, row);
  hit_name name;
  if (!parse_name(description, &name)) {
    leave_out(s, description, "it is not named as the PDB's sequences are");
    return false;
  }
  // Capitals are laid over the query, small letters lie between its residues, a dash leaves one out.
  int n_query = (int)strlen(s->query), n = 0, n_hit = 0, query_index = 0;
  char *letters = nf_arena_alloc(scratch, r->n_sequence + 1);
  int *query = NF_NEW(scratch, int, r->n_sequence), *index = NF_NEW(scratch, int, r->n_sequence);
  for (size_t i = 0; i < r->n_sequence; i++) {
    char c = aligned[i];
    if (isupper((unsigned char)c)) {
      query[n] = query_index++;
      index[n++] = n_hit;
    } else if (c == '-') {
      query_index++;
    }
    if (c != '-') letters[n_hit++] = (char)toupper((unsigned char)c);
  }
  letters[n_hit] = '\0';
  if (n_hit != name.end - name.start || query_index > n_query) {
    leave_out(s, description, "its residues are not as many as its name tells");
    return false;
  }

  // What needs no structure comes first: reading one is what takes time.
  if ((double)n_hit / n_query > MAX_SUBSEQUENCE_RATIO && strstr(s->query, letters)) return false;
  if (n_hit < MIN_HIT_LENGTH) return false;
  open_entry(s, name.id);
  if (!s->open.usable) return false;
  const nf_structure *structure = &s->open.structure;
  if (structure->release_date > s->max_date) return false;
  const structure_chain *chain = find_chain(structure, name.chain);
  if (!chain) {
    leave_out(s, description, "its structure has not one polymer chain of that name");
    return false;
  }

  const char *sequence = chain_letters(structure, chain, scratch);
  int length = chain->n_residues;
  bool agrees = name.end <= length && memcmp(letters, sequence + name.start, (size_t)n_hit) == 0;
  if (!agrees && name.full_length != length) {
    if (!templates_realign(letters, name.start, name.end, name.full_length, sequence, n, query, index, &n)) {
      leave_out(s, description, "its structure has more residues than the PDB's sequence");
      return false;
    }
  } else {
    for (int i = 0; i < n; i++) index[i] += name.start;
  }
  for (int i = 0; i < n; i++) {
    if (index[i] < length) continue;
    leave_out(s, description, "its structure has fewer residues than the hit");
    return false;
  }
  if (!is_seen(structure, name.chain, n, index)) return false;
  if ((double)n / n_query <= MIN_ALIGN_RATIO) return false;

  memset(laid, '-', (size_t)n_query);
  laid[n_query] = '\0';
  for (int i = 0; i < n; i++) laid[query[i]] = sequence[index[i]];
  int *kept_query = NF_NEW(s->arena, int, n), *kept_index = NF_NEW(s->arena, int, n);
  if (n) memcpy(kept_query, query, (size_t)n * sizeof *query);
  if (n) memcpy(kept_index, index, (size_t)n * sizeof *index);
  *ret = (job_template){.label = nf_arena_printf(s->arena, "template %s, chain %s", name.id, name.chain),
                        .n_indices = n,
                        .query_indices = kept_query,
                        .template_indices = kept_index};
  *ret_chain = chain;
  return true;
}

nf_status templates_select(const char *query, const nf_alignment *hits, const nf_mmcif_store *store, int max_date,
                           nf_arena *arena, int *ret_n, job_template **ret_templates) {
  selection s = {.query = query, .store = store, .max_date = max_date, .arena = arena};
  nf_arena *scratch = nf_arena_create();
  nf_map *seen = nf_map_create();
  char *laid = nf_alloc(strlen(query) + 1);
  s.open.arena = nf_arena_create();
  s.mark = nf_arena_here(s.open.arena);
  job_template *kept = NF_NEW(arena, job_template, TEMPLATES_MAX);
  int n = 0;
  nf_arena_mark mark = nf_arena_here(scratch);
  for (int i = 0; i < hits->n_rows && n < TEMPLATES_MAX; i++) {
    const structure_chain *chain;
    if (consider(&s, hits, i, scratch, laid, &chain, &kept[n]) && nf_map_add(seen, laid, 1)) {
      kept[n++].mmcif = chain_mmcif(&s.open.structure, chain, arena);
    }
    nf_arena_reset(scratch, mark);
  }
  if (s.n_absent) {
    nf_warn("templates: %d structures are not in --pdb_database_path, first %s; they are left out", s.n_absent,
            s.first_absent);
  }
  if (s.n_unusable) {
    nf_warn("templates: %d hits cannot be used and are left out, first %s", s.n_unusable, s.first_unusable);
  }
  nf_map_free(seen);
  free(laid);
  nf_arena_free(s.open.arena);
  nf_arena_free(scratch);
  *ret_n = n;
  *ret_templates = kept;
  return NF_OK;
}
