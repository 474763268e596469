// From the tables of an mmCIF to chains, residues and atoms, as AlphaFold 3 reads its templates.
//
// Two kinds of tables tell of residues: _atom_site has those that were seen, the scheme tables
// (_pdbx_poly_seq_scheme, _pdbx_branch_scheme, _pdbx_nonpoly_scheme) all that were there. The residues of the result
// are those of the scheme tables, so that the gaps of a chain keep their places; the atoms are hung on them afterwards.
// Files of modelling programs often lack some of these tables; they are then made up from _atom_site.
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/str.h"
#include "formats/cif.h"
#include "structure/structure.h"

typedef struct {
  const cif_column *model, *chain, *author_chain, *entity, *comp, *atom, *alt, *seq, *author_seq, *insertion, *group,
      *symbol, *x, *y, *z, *b_factor, *occupancy;
  int n;  // rows
} atom_site;

// A residue as a scheme table has it.
typedef struct {
  const char *chain, *author_chain, *seq, *author_seq, *comp, *insertion;
  bool polymer;
  int chain_key;  // place of its chain
  int id;
  int index;  // in the result
} scheme_residue;

// A residue as _atom_site has it: rows kept[first .. first + n).
typedef struct {
  int row;  // of its first kept atom
  int first, n;
} site_residue;

typedef struct {
  const char *label;
  const cif_block *block;
  nf_arena *scratch;
  nf_map *chain_row;     // chain id -> row of chains
  nf_map *entity_type;   // entity id -> index into entity_types; _entity.type
  nf_map *polymer_type;  // entity id -> index into polymer_types; _entity_poly.type
  const char *const *entity_types, *const *polymer_types;
  nf_map *author_of;  // chain id -> first row of _atom_site
  int n_chains;
  const char **chains, **chain_entities;  // _struct_asym
  int *chain_order;                       // key of each row of chains
  int n_kept, *kept;                      // rows of _atom_site that remain
  int n_sites;
  site_residue *sites;
  int n_residues, residues_capacity;
  scheme_residue *residues;  // heap
  nf_str key;                // for looking things up by several words
} reading;

static const char *value_at(const cif_column *column, int row) { return column ? column->values[row] : "?"; }
static bool is(const char *a, const char *b) { return strcmp(a, b) == 0; }
static bool is_unset(const char *s) { return is(s, ".") || is(s, "?"); }
static bool is_water(const char *comp) { return is(comp, "HOH") || is(comp, "DOD"); }

static const char WATER_ELSEWHERE[] = "has water (HOH) in a chain that is not of water: chain";

static nf_status refuse(const reading *r, const char *what, const char *word) {
  return word ? nf_fail(NF_INPUT, "%s: %s '%.32s'", r->label, what, word) : nf_fail(NF_INPUT, "%s: %s", r->label, what);
}

// One key out of up to four words.
static const char *key_of(reading *r, const char *a, const char *b, const char *c, const char *d) {
  const char *words[] = {a, b, c, d};
  r->key.length = 0;
  for (int i = 0; i < 4 && words[i]; i++) {
    nf_str_puts(&r->key, words[i]);
    nf_str_putc(&r->key, '\x1f');
  }
  return r->key.data;
}

// ---- tables ----

// Columns of one category, all of the same length; those marked '!' are needed.
static nf_status find_columns(const reading *r, const char *category, int n, const char *const *names,
                              const cif_column **ret_columns, int *ret_rows) {
  const cif_column *first = NULL;
  *ret_rows = 0;
  for (int i = 0; i < n; i++) {
    bool needed = names[i][0] == '!';
    char name[96];
    snprintf(name, sizeof name, "%s.%s", category, names[i] + needed);
    ret_columns[i] = cif_find(r->block, name);
    if (!ret_columns[i]) {
      if (needed) return refuse(r, "lacks the item", name);
      continue;
    }
    if (first && first->n_rows != ret_columns[i]->n_rows) {
      return nf_fail(NF_INPUT, "%s: %s has %d values, %s has %d", r->label, first->name, first->n_rows, name,
                     ret_columns[i]->n_rows);
    }
    first = ret_columns[i];
  }
  *ret_rows = first ? first->n_rows : 0;
  return NF_OK;
}

static nf_status find_atom_site(const reading *r, atom_site *a) {
  static const char *const names[] = {
      "pdbx_PDB_model_num", "!label_asym_id", "auth_asym_id", "label_entity_id",   "!label_comp_id", "!label_atom_id",
      "label_alt_id",       "!label_seq_id",  "auth_seq_id",  "pdbx_PDB_ins_code", "group_PDB",      "type_symbol",
      "!Cartn_x",           "!Cartn_y",       "!Cartn_z",     "B_iso_or_equiv",    "occupancy"};
  enum { N = sizeof names / sizeof *names };
  const cif_column *c[N];
  NF_TRY(find_columns(r, "_atom_site", N, names, c, &a->n));
  *a = (atom_site){c[0], c[1],  c[2],  c[3],  c[4],  c[5],  c[6],  c[7],  c[8],
                   c[9], c[10], c[11], c[12], c[13], c[14], c[15], c[16], a->n};
  if (!a->author_chain) a->author_chain = a->chain;
  if (!a->author_seq) a->author_seq = a->seq;
  return a->n ? NF_OK : refuse(r, "has no atoms", NULL);
}

// Some programs (OpenMM) leave the entity open: then each chain is one, numbered by its letters: A 1, Z 26, AA 27,
// BA 28.
static const char *entity_of_open_chain(const reading *r, const char *chain) {
  int64_t number = 0, power = 1;
  size_t n = strlen(chain);
  if (!n || n > 8 || strspn(chain, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != n) return chain;
  for (size_t i = 0; i < n; i++, power *= 26) number += (chain[i] - 'A' + 1) * power;
  return nf_arena_printf(r->scratch, "%lld", (long long)number);
}

// Chains and their entities: _struct_asym, or else what the atoms say.
static nf_status read_chains(reading *r, const atom_site *a) {
  static const char *const names[] = {"!id", "!entity_id"};
  const cif_column *c[2];
  r->chain_row = nf_map_create();
  if (cif_find(r->block, "_struct_asym.id")) {
    int n;
    NF_TRY(find_columns(r, "_struct_asym", 2, names, c, &n));
    r->chains = nf_arena_alloc(r->scratch, (size_t)n * sizeof *r->chains);
    r->chain_entities = nf_arena_alloc(r->scratch, (size_t)n * sizeof *r->chain_entities);
    for (int i = 0; i < n; i++) {
      if (!nf_map_add(r->chain_row, c[0]->values[i], i)) {
        return refuse(r, "_struct_asym has twice the chain", c[0]->values[i]);
      }
      r->chains[i] = c[0]->values[i];
      r->chain_entities[i] = c[1]->values[i];
    }
    r->n_chains = n;
  } else {
    r->chains = nf_arena_alloc(r->scratch, (size_t)a->n * sizeof *r->chains);
    r->chain_entities = nf_arena_alloc(r->scratch, (size_t)a->n * sizeof *r->chain_entities);
    for (int i = 0; i < a->n; i++) {
      const char *chain = a->chain->values[i], *entity = value_at(a->entity, i);
      if (i && chain == a->chain->values[i - 1]) continue;
      if (!nf_map_add(r->chain_row, chain, r->n_chains)) continue;
      r->chains[r->n_chains] = chain;
      r->chain_entities[r->n_chains++] = is_unset(entity) ? entity_of_open_chain(r, chain) : entity;
    }
  }
  r->author_of = nf_map_create();
  for (int i = 0; i < a->n; i++) {
    if (!i || a->chain->values[i] != a->chain->values[i - 1]) nf_map_add(r->author_of, a->chain->values[i], i);
  }
  return NF_OK;
}

static const char *author_chain(const reading *r, const atom_site *a, const char *chain) {
  int64_t row;
  return nf_map_get(r->author_of, chain, &row) ? value_at(a->author_chain, (int)row) : chain;
}

// The entity of a chain; NULL if the chain is unknown.
static const char *entity_of(const reading *r, const char *chain) {
  int64_t row;
  return nf_map_get(r->chain_row, chain, &row) ? r->chain_entities[row] : NULL;
}

static bool is_in(const char *word, const char *const *words, int n) {
  for (int i = 0; i < n; i++) {
    if (is(word, words[i])) return true;
  }
  return false;
}

static const char PROTEIN_TYPE[] = "polypeptide(L)";

// Kind of a chain by its type: that of its polymer, or of its entity.
static nf_chain_kind kind_of_type(const char *type) {
  static const char *const peptides[] = {PROTEIN_TYPE, "polypeptide(D)", "cyclic-pseudo-peptide",
                                         "peptide nucleic acid"};
  if (is_in(type, peptides, 4)) return NF_PROTEIN;
  if (is(type, "polyribonucleotide")) return NF_RNA;
  if (is(type, "polydeoxyribonucleotide") || is(type, "polydeoxyribonucleotide/polyribonucleotide hybrid")) {
    return NF_DNA;
  }
  return is(type, "water") ? NF_WATER : NF_LIGAND;
}

// The type of a polymer whose file does not tell: protein if it has one amino acid, else what most residues are.
static const char *guess_polymer_type(const atom_site *a, int first, int end) {
  static const char *const rna[] = {"A", "G", "C", "U"}, *const dna[] = {"DA", "DG", "DC", "DT"};
  int n_rna = 0, n_dna = 0, n_other = 0;
  for (int i = first; i < end; i++) {
    const char *comp = a->comp->values[i];
    if (is(comp, "MSE") || residue_is_standard(NF_PROTEIN, comp)) return PROTEIN_TYPE;
    if (is_in(comp, rna, 4)) {
      n_rna++;
    } else if (is_in(comp, dna, 4)) {
      n_dna++;
    } else {
      n_other++;
    }
  }
  if (n_rna >= n_dna && n_rna >= n_other) return "polyribonucleotide";
  return n_dna >= n_other ? "polydeoxyribonucleotide" : "other";
}

// Types of entities and polymers: _entity and _entity_poly, or else guesses from the atoms.
static nf_status read_entities(reading *r, const atom_site *a) {
  static const char *const entity_names[] = {"!id", "!type"}, *const poly_names[] = {"!entity_id", "!type"};
  const cif_column *c[2];
  int n;
  r->entity_type = nf_map_create();
  r->polymer_type = nf_map_create();
  bool has_entity = cif_find(r->block, "_entity.id") != NULL;
  bool has_poly = cif_find(r->block, "_entity_poly.entity_id") != NULL;
  if (has_poly) {
    NF_TRY(find_columns(r, "_entity_poly", 2, poly_names, c, &n));
    r->polymer_types = c[1]->values;
    for (int i = 0; i < n; i++) nf_map_set(r->polymer_type, c[0]->values[i], i);
  }
  if (has_entity) {
    NF_TRY(find_columns(r, "_entity", 2, entity_names, c, &n));
    r->entity_types = c[1]->values;
    for (int i = 0; i < n; i++) nf_map_set(r->entity_type, c[0]->values[i], i);
    return NF_OK;
  }
  const char **entity_types = nf_arena_alloc(r->scratch, (size_t)a->n * sizeof *entity_types);
  const char **polymer_types = nf_arena_alloc(r->scratch, (size_t)a->n * sizeof *polymer_types);
  r->entity_types = entity_types;
  if (!has_poly) r->polymer_types = polymer_types;
  int groups = 0;
  for (int i = 0, end; i < a->n; i = end) {
    const char *entity = entity_of(r, a->chain->values[i]);
    if (!entity) return refuse(r, "_struct_asym lacks the chain", a->chain->values[i]);
    bool all_hetero = true, all_water = true;
    for (end = i; end < a->n; end++) {
      if (end > i && a->chain->values[end] != a->chain->values[end - 1]) {
        const char *next = entity_of(r, a->chain->values[end]);
        if (!next || !is(next, entity)) break;
      }
      all_hetero = all_hetero && is(value_at(a->group, end), "HETATM");
      all_water = all_water && is_water(a->comp->values[end]);
    }
    entity_types[groups] = !all_hetero ? "polymer" : all_water ? "water" : "non-polymer";
    nf_map_set(r->entity_type, entity, groups);
    if (!has_poly && !all_hetero) {
      polymer_types[groups] = guess_polymer_type(a, i, end);
      nf_map_set(r->polymer_type, entity, groups);
    }
    groups++;
  }
  return NF_OK;
}

// _entity.type of a chain's entity.
static nf_status entity_type_of(const reading *r, const char *chain, const char **ret_type) {
  const char *entity = entity_of(r, chain);
  int64_t i;
  if (!entity) return refuse(r, "_struct_asym lacks the chain", chain);
  if (!nf_map_get(r->entity_type, entity, &i)) return refuse(r, "_entity lacks the entity", entity);
  *ret_type = r->entity_types[i];
  return NF_OK;
}

// ---- atoms: first model, wanted chains, one of several alternative places ----

static bool starts_chain(const atom_site *a, int row) {
  return a->chain->values[row] != a->chain->values[row - 1] && !is(a->chain->values[row], a->chain->values[row - 1]);
}

// Author numbers tell apart the residues of ligands, whose label numbers are all ".".
static bool starts_residue(const atom_site *a, int row) {
  return starts_chain(a, row) || !is(a->author_seq->values[row], a->author_seq->values[row - 1]) ||
         (a->insertion && !is(a->insertion->values[row], a->insertion->values[row - 1]));
}

static float occupancy_at(const atom_site *a, int row) {
  double v;
  return a->occupancy && nf_parse_double(a->occupancy->values[row], &v) ? (float)v : 0;
}

// Hydrogen and deuterium in the same place are one atom.
static bool same_atom(const char *a, const char *b) {
  if (is(a, b)) return true;
  return ((a[0] == 'H' && b[0] == 'D') || (a[0] == 'D' && b[0] == 'H')) && is(a + 1, b + 1);
}

static char alt_at(const atom_site *a, int row) { return a->alt ? a->alt->values[row][0] : '.'; }

// Rows first .. end are a whole residue with alternatives everywhere: the component with the highest occupancy is
// taken, of it the alternative with the highest mean occupancy, and of each atom that alternative, or else the first.
static void keep_whole(reading *r, const atom_site *a, int first, int end) {
  int best_first = first, best_end = end;
  char best_alt = alt_at(a, first);
  float best_occupancy = -INFINITY;
  for (int i = first, group_end; i < end; i = group_end) {
    for (group_end = i + 1; group_end < end && is(a->comp->values[group_end], a->comp->values[i]); group_end++) {
    }
    char alts[256] = {0};
    struct {
      int n;
      float sum;
    } stats[256];
    int n_alts = 0;
    for (int k = i; k < group_end; k++) {
      int j = 0;
      while (j < n_alts && alts[j] != alt_at(a, k)) j++;
      if (j == n_alts) {
        alts[n_alts] = alt_at(a, k);
        stats[n_alts].n = 0;
        stats[n_alts++].sum = 0;
      }
      stats[j].n++;
      stats[j].sum += occupancy_at(a, k);
    }
    float total = 0;
    char lowest = alts[0];
    int best = 0;
    for (int j = 0; j < n_alts; j++) {
      float mean = stats[j].sum / (float)stats[j].n, best_mean = stats[best].sum / (float)stats[best].n;
      total += mean;
      if (alts[j] < lowest) lowest = alts[j];
      if (mean > best_mean || (mean == best_mean && alts[j] < alts[best])) best = j;
    }
    if (total > best_occupancy || (total == best_occupancy && lowest < best_alt)) {
      best_occupancy = total;
      best_alt = alts[best];
      best_first = i;
      best_end = group_end;
    }
  }
  for (int i = best_first, group_end; i < best_end; i = group_end) {
    int chosen = i;
    for (group_end = i + 1; group_end < best_end && same_atom(a->atom->values[group_end], a->atom->values[i]);
         group_end++) {
      if (chosen == i && alt_at(a, group_end) == best_alt) chosen = group_end;
    }
    r->kept[r->n_kept++] = chosen;
  }
}

// Rows first .. end are the alternatives within a residue: of each atom the one with the highest occupancy is kept.
static void keep_partial(reading *r, const atom_site *a, int first, int end) {
  for (int i = first, group_end; i < end; i = group_end) {
    int best = i;
    for (group_end = i + 1; group_end < end && same_atom(a->atom->values[group_end], a->atom->values[i]); group_end++) {
      float o = occupancy_at(a, group_end), best_o = occupancy_at(a, best);
      if (o > best_o || (o == best_o && alt_at(a, group_end) < alt_at(a, best))) best = group_end;
    }
    r->kept[r->n_kept++] = best;
  }
}

static void keep_residue(reading *r, const atom_site *a, int first, int end) {
  int alternatives = first;  // first row of the run of alternatives that ends here
  for (int i = first; i < end; i++) {
    if (alt_at(a, i) != '.' && alt_at(a, i) != '?') continue;
    keep_partial(r, a, alternatives, i);
    r->kept[r->n_kept++] = i;
    alternatives = i + 1;
  }
  if (alternatives == first) {
    keep_whole(r, a, first, end);
  } else {
    keep_partial(r, a, alternatives, end);
  }
}

// Whether the chain's atoms are read: every polymer whose type is known, every ligand, no water.
static nf_status is_wanted(const reading *r, const char *chain, bool *ret_wanted) {
  const char *type;
  int64_t i;
  NF_TRY(entity_type_of(r, chain, &type));
  *ret_wanted = is(type, "polymer") ? nf_map_get(r->polymer_type, entity_of(r, chain), &i) : !is(type, "water");
  return NF_OK;
}

static nf_status select_atoms(reading *r, const atom_site *a) {
  int end = 1;
  while (end < a->n && is(value_at(a->model, end), value_at(a->model, 0))) end++;
  r->kept = nf_arena_alloc(r->scratch, (size_t)end * sizeof *r->kept);
  r->sites = nf_arena_alloc(r->scratch, (size_t)end * sizeof *r->sites);
  bool wanted = false;
  for (int i = 0, residue_end; i < end; i = residue_end) {
    if (i == 0 || starts_chain(a, i)) NF_TRY(is_wanted(r, a->chain->values[i], &wanted));
    residue_end = i + 1;
    while (residue_end < end && !starts_residue(a, residue_end)) residue_end++;
    if (!wanted) continue;
    int before = r->n_kept;
    keep_residue(r, a, i, residue_end);
    if (is(a->comp->values[r->kept[before]], "HOH")) {
      return refuse(r, WATER_ELSEWHERE, a->chain->values[i]);
    }
    r->sites[r->n_sites++] = (site_residue){r->kept[before], before, r->n_kept - before};
  }
  return NF_OK;
}

// Places of the chains: the order of _struct_asym, but chains that have atoms stand in the order of their atoms.
static nf_status order_chains(reading *r, const atom_site *a) {
  r->chain_order = nf_arena_alloc(r->scratch, (size_t)r->n_chains * sizeof(int));
  bool *resolved = nf_arena_calloc(r->scratch, (size_t)r->n_chains, sizeof *resolved);
  int *in_atom_order = nf_arena_alloc(r->scratch, (size_t)r->n_chains * sizeof(int)), n = 0;
  for (int i = 0; i < r->n_sites; i++) {
    const char *chain = a->chain->values[r->sites[i].row];
    if (i && is(chain, a->chain->values[r->sites[i - 1].row])) continue;
    int64_t row;
    if (!nf_map_get(r->chain_row, chain, &row)) return refuse(r, "_struct_asym lacks the chain", chain);
    if (resolved[row]) return refuse(r, "the atoms are not together of the chain", chain);
    resolved[row] = true;
    in_atom_order[n++] = (int)row;
  }
  for (int i = 0, k = 0; i < r->n_chains; i++) r->chain_order[resolved[i] ? in_atom_order[k++] : i] = i;
  return NF_OK;
}

// ---- residues ----

static nf_status add_residue(reading *r, scheme_residue residue) {
  int64_t row;
  if (!nf_map_get(r->chain_row, residue.chain, &row)) return refuse(r, "_struct_asym lacks the chain", residue.chain);
  if (is(residue.comp, "HOH")) return refuse(r, WATER_ELSEWHERE, residue.chain);
  residue.chain_key = r->chain_order[row];
  if (is(residue.insertion, ".")) residue.insertion = "?";
  if (r->n_residues == r->residues_capacity) {
    r->residues_capacity = r->residues_capacity ? 2 * r->residues_capacity : 256;
    r->residues = nf_realloc(r->residues, (size_t)r->residues_capacity, sizeof *r->residues);
  }
  r->residues[r->n_residues++] = residue;
  return NF_OK;
}

// Where a place in the sequence has several components (_pdbx_poly_seq_scheme.hetero), the one whose atoms were kept
// counts; where it has no atoms, all of them do.
static bool is_other_component(reading *r, const nf_map *seen, const char *chain, const char *seq,
                               const char *insertion, const char *comp) {
  int64_t site;
  if (insertion && is(insertion, "?")) insertion = ".";
  if (!nf_map_get(seen, key_of(r, chain, seq, insertion, NULL), &site)) return false;
  const cif_column *comps = cif_find(r->block, "_atom_site.label_comp_id");
  return !is(comps->values[r->sites[site].row], comp);
}

static nf_status add_polymer_residue(reading *r, const nf_map *seen, const char *chain, const char *strand,
                                     const char *seq, const char *author_seq, const char *comp, const char *insertion) {
  long long id;
  if (is_other_component(r, seen, chain, seq, NULL, comp)) return NF_OK;
  if (!nf_parse_int(seq, &id) || id < INT32_MIN || id > INT32_MAX) {
    return refuse(r, "_pdbx_poly_seq_scheme.seq_id is no number:", seq);
  }
  return add_residue(r, (scheme_residue){.chain = chain,
                                         .author_chain = strand,
                                         .seq = seq,
                                         .author_seq = author_seq,
                                         .comp = comp,
                                         .insertion = insertion,
                                         .polymer = true,
                                         .id = (int)id});
}

// Without scheme table: the sequence of _entity_poly_seq for each chain of the entity, numbered as the atoms are.
static nf_status add_from_sequence(reading *r, const atom_site *a, const nf_map *seen, const cif_column *entity,
                                   const cif_column *number, const cif_column *comp) {
  nf_status status = NF_OK;
  nf_map *by_entity = nf_map_create(), *by_number = nf_map_create();
  for (int i = 0; i < r->n_sites; i++) {
    int row = r->sites[i].row;
    const char *type, *chain = a->chain->values[row];
    NF_TRY_GOTO(done, entity_type_of(r, chain, &type));
    if (!is(type, "polymer")) continue;
    nf_map_set(by_entity, key_of(r, entity_of(r, chain), a->seq->values[row], NULL, NULL), row);
    nf_map_set(by_number, a->seq->values[row], row);
  }
  for (int c = 0; c < r->n_chains; c++) {
    const char *strand = author_chain(r, a, r->chains[c]);
    for (int i = 0; i < entity->n_rows; i++) {
      if (!is(entity->values[i], r->chain_entities[c])) continue;
      int64_t row;
      const char *author_seq = ".", *insertion = ".";
      if (nf_map_get(by_entity, key_of(r, entity->values[i], number->values[i], NULL, NULL), &row)) {
        author_seq = a->author_seq->values[row];
      }
      if (nf_map_get(by_number, number->values[i], &row)) insertion = value_at(a->insertion, (int)row);
      NF_TRY_GOTO(done, add_polymer_residue(r, seen, r->chains[c], strand, number->values[i], author_seq,
                                            comp->values[i], insertion));
    }
  }
done:
  nf_map_free(by_entity);
  nf_map_free(by_number);
  return status;
}

static nf_status add_polymers(reading *r, const atom_site *a) {
  static const char *const scheme_names[] = {"asym_id", "pdb_seq_num", "pdb_ins_code",
                                             "seq_id",  "mon_id",      "pdb_strand_id"};
  static const char *const sequence_names[] = {"entity_id", "num", "mon_id"};
  nf_status status = NF_OK;
  const cif_column *c[6];
  int n;
  nf_map *seen = nf_map_create();
  for (int i = 0; i < r->n_sites; i++) {
    int row = r->sites[i].row;
    if (is(a->seq->values[row], ".")) continue;
    nf_map_set(seen, key_of(r, a->chain->values[row], a->seq->values[row], NULL, NULL), i);
  }
  NF_TRY_GOTO(done, find_columns(r, "_pdbx_poly_seq_scheme", 6, scheme_names, c, &n));
  if (c[0] && c[1] && c[2] && c[3] && c[4] && c[5]) {
    for (int i = 0; i < n; i++) {
      NF_TRY_GOTO(done, add_polymer_residue(r, seen, c[0]->values[i], c[5]->values[i], c[3]->values[i], c[1]->values[i],
                                            c[4]->values[i], c[2]->values[i]));
    }
    goto done;
  }
  NF_TRY_GOTO(done, find_columns(r, "_entity_poly_seq", 3, sequence_names, c, &n));
  if (c[0] && c[1] && c[2]) {
    status = add_from_sequence(r, a, seen, c[0], c[1], c[2]);
    goto done;
  }
  for (int i = 0; i < r->n_sites; i++) {
    int row = r->sites[i].row;
    const char *type, *chain = a->chain->values[row];
    NF_TRY_GOTO(done, entity_type_of(r, chain, &type));
    if (!is(type, "polymer")) continue;
    NF_TRY_GOTO(done,
                add_polymer_residue(r, seen, chain, author_chain(r, a, chain), a->seq->values[row],
                                    a->author_seq->values[row], a->comp->values[row], value_at(a->insertion, row)));
  }
done:
  nf_map_free(seen);
  return status;
}

// The residues of ligands are numbered from 1 in each run of a chain.
static nf_status add_ligand_residue(reading *r, int first, const char *strand, scheme_residue residue) {
  bool same_run = r->n_residues > first && is(r->residues[r->n_residues - 1].chain, residue.chain);
  residue.id = same_run ? r->residues[r->n_residues - 1].id + 1 : 1;
  residue.author_chain = strand;
  return add_residue(r, residue);
}

static nf_status add_ligands(reading *r, const atom_site *a) {
  static const char *const names[] = {"mon_id", "asym_id", "pdb_seq_num", "pdb_ins_code"};
  static const char *const categories[] = {"_pdbx_branch_scheme", "_pdbx_nonpoly_scheme"};
  nf_status status = NF_OK;
  bool any = false;
  nf_map *seen = nf_map_create();
  for (int i = 0; i < r->n_sites; i++) {
    int row = r->sites[i].row;
    if (!is(a->seq->values[row], ".")) continue;
    const char *insertion = value_at(a->insertion, row);
    nf_map_set(seen,
               key_of(r, a->chain->values[row], a->author_seq->values[row], is(insertion, "?") ? "." : insertion, NULL),
               i);
  }
  for (int t = 0; t < 2; t++) {
    const cif_column *c[4];
    int n, first = r->n_residues;
    NF_TRY_GOTO(done, find_columns(r, categories[t], 4, names, c, &n));
    // Branched ligands need no insertion codes.
    if (!c[0] || !c[1] || !c[2] || (t == 1 && !c[3])) continue;
    any = true;
    for (int i = 0; i < n; i++) {
      const char *comp = c[0]->values[i], *chain = c[1]->values[i], *author_seq = c[2]->values[i];
      const char *insertion = c[3] ? c[3]->values[i] : ".";
      if (is_water(comp) || is_other_component(r, seen, chain, author_seq, insertion, comp)) continue;
      NF_TRY_GOTO(done,
                  add_ligand_residue(
                      r, first, author_chain(r, a, chain),
                      (scheme_residue){
                          .chain = chain, .seq = ".", .author_seq = author_seq, .comp = comp, .insertion = insertion}));
    }
  }
  int first = r->n_residues;
  for (int i = 0; !any && i < r->n_sites; i++) {
    int row = r->sites[i].row;
    const char *type, *chain = a->chain->values[row];
    NF_TRY_GOTO(done, entity_type_of(r, chain, &type));
    if (is(type, "polymer") || is_water(a->comp->values[row])) continue;
    NF_TRY_GOTO(done, add_ligand_residue(r, first, author_chain(r, a, chain),
                                         (scheme_residue){.chain = chain,
                                                          .seq = ".",
                                                          .author_seq = a->author_seq->values[row],
                                                          .comp = a->comp->values[row],
                                                          .insertion = value_at(a->insertion, row)}));
  }
done:
  nf_map_free(seen);
  return status;
}

// ---- the result ----

static nf_status copy_word(const reading *r, char *out, size_t size, const char *what, const char *word) {
  size_t n = strlen(word);
  if (n >= size)
    return nf_fail(NF_INPUT, "%s: %s '%.32s' is longer than %zu characters", r->label, what, word, size - 1);
  memcpy(out, word, n + 1);
  return NF_OK;
}

static int by_chain(const void *a, const void *b) {
  const scheme_residue *x = a, *y = b;
  return x->chain_key != y->chain_key ? (x->chain_key < y->chain_key ? -1 : 1) : x->index - y->index;
}

// Chains and residues without atoms, in the order of the chains.
static nf_status lay_out(reading *r, nf_arena *arena, nf_structure *s) {
  for (int i = 0; i < r->n_residues; i++) r->residues[i].index = i;  // keeps the order within a chain
  if (r->n_residues) qsort(r->residues, (size_t)r->n_residues, sizeof *r->residues, by_chain);
  s->residues = NF_NEW(arena, structure_residue, r->n_residues);
  s->chains = NF_NEW(arena, structure_chain, r->n_chains);
  for (int i = 0; i < r->n_residues; i++) {
    scheme_residue *in = &r->residues[i];
    if (i == 0 || in->chain_key != in[-1].chain_key) {
      structure_chain *chain = &s->chains[s->n_chains++];
      const char *entity = entity_of(r, in->chain), *type;
      int64_t t;
      NF_TRY(entity_type_of(r, in->chain, &type));
      if (nf_map_get(r->polymer_type, entity, &t)) type = r->polymer_types[t];
      NF_TRY(copy_word(r, chain->id, sizeof chain->id, "the chain id", in->chain));
      NF_TRY(copy_word(r, chain->author_id, sizeof chain->author_id, "the chain id", in->author_chain));
      NF_TRY(copy_word(r, chain->entity_id, sizeof chain->entity_id, "the entity id", entity));
      chain->kind = kind_of_type(type);
      chain->type = nf_arena_strdup(arena, type);
      chain->first_residue = i;
    }
    s->chains[s->n_chains - 1].n_residues++;
    in->index = i;
    structure_residue *out = &s->residues[i];
    NF_TRY(copy_word(r, out->name, sizeof out->name, "the component", is(in->comp, "MSE") ? "MET" : in->comp));
    NF_TRY(copy_word(r, out->author_id, sizeof out->author_id, "the residue number", in->author_seq));
    NF_TRY(copy_word(r, out->insertion, sizeof out->insertion, "the insertion code", in->insertion));
    out->id = in->id;
    out->chain = s->n_chains - 1;
  }
  s->n_residues = r->n_residues;
  return NF_OK;
}

static nf_status read_coordinate(const reading *r, const cif_column *column, int row, float *ret_value) {
  char *end;
  const char *text = column->values[row];
  *ret_value = strtof(text, &end);
  if (end == text || *end || isspace((unsigned char)*text) || !isfinite(*ret_value)) {
    return nf_fail(NF_INPUT, "%s: atom %d: %s is no coordinate: '%.32s'", r->label, row + 1, column->name, text);
  }
  return NF_OK;
}

// NH1 is the one nearer to CD. Files that have it the other way round get the names swapped, with their hydrogens'.
static void mend_arginine(structure_atom *atoms, int n) {
  static const char *const names[] = {"CD", "NH1", "NH2", "HH11", "HH21", "HH12", "HH22"};
  structure_atom *found[7] = {0};
  for (int i = 0; i < n; i++) {
    for (int k = 0; k < 7; k++) {
      if (!found[k] && is(atoms[i].name, names[k])) {
        found[k] = &atoms[i];
        break;
      }
    }
  }
  if (!found[0] || !found[1] || !found[2]) return;
  float d[2];
  for (int k = 0; k < 2; k++) {
    float dx = found[k + 1]->x - found[0]->x, dy = found[k + 1]->y - found[0]->y, dz = found[k + 1]->z - found[0]->z;
    d[k] = dx * dx + dy * dy + dz * dz;
  }
  if (d[0] <= d[1]) return;
  for (int k = 1; k < 7; k += 2) {
    if (found[k]) strcpy(found[k]->name, names[k + 1]);
    if (found[k + 1]) strcpy(found[k + 1]->name, names[k]);
  }
}

static nf_status read_atom(const reading *r, const atom_site *a, int row, structure_atom *atom) {
  double v;
  NF_TRY(copy_word(r, atom->name, sizeof atom->name, "the atom name", a->atom->values[row]));
  // Without an element the first letter of the name stands in: right for the elements of amino acids.
  char letter[2] = {a->atom->values[row][0], '\0'};
  const char *symbol = a->symbol ? a->symbol->values[row] : letter;
  NF_TRY(copy_word(r, atom->element, sizeof atom->element, "the element", symbol));
  NF_TRY(read_coordinate(r, a->x, row, &atom->x));
  NF_TRY(read_coordinate(r, a->y, row, &atom->y));
  NF_TRY(read_coordinate(r, a->z, row, &atom->z));
  atom->b_factor = a->b_factor && nf_parse_double(a->b_factor->values[row], &v) ? (float)v : 0;
  atom->occupancy = a->occupancy ? occupancy_at(a, row) : 1;
  atom->present = true;
  return NF_OK;
}

// Hangs the atoms on the residues.
static nf_status place_atoms(reading *r, const atom_site *a, nf_arena *arena, nf_structure *s) {
  nf_status status = NF_OK;
  nf_map *residue_of = nf_map_create();
  for (int i = 0; i < r->n_residues; i++) {
    const scheme_residue *in = &r->residues[i];
    nf_map_set(residue_of, key_of(r, in->chain, in->author_seq, in->comp, in->insertion), i);
  }
  s->atoms = NF_NEW(arena, structure_atom, r->n_kept);
  int64_t last = -1;
  for (int i = 0; i < r->n_sites; i++) {
    const site_residue *site = &r->sites[i];
    const char *chain = a->chain->values[site->row], *seq = a->author_seq->values[site->row];
    const char *comp = a->comp->values[site->row], *insertion = value_at(a->insertion, site->row);
    int64_t index;
    if (!nf_map_get(residue_of, key_of(r, chain, seq, comp, is(insertion, ".") ? "?" : insertion), &index)) {
      status = nf_fail(NF_INPUT, "%s: residue %.16s %.16s of chain %.16s has atoms but is not in the scheme tables",
                       r->label, comp, seq, chain);
      goto done;
    }
    if (index <= last) {
      status = nf_fail(NF_INPUT, "%s: residue %.16s %.16s of chain %.16s is out of order in _atom_site", r->label, comp,
                       seq, chain);
      goto done;
    }
    last = index;
    structure_residue *residue = &s->residues[index];
    residue->first_atom = s->n_atoms;
    residue->n_atoms = site->n;
    for (int k = site->first; k < site->first + site->n; k++) {
      structure_atom *atom = &s->atoms[s->n_atoms++];
      NF_TRY_GOTO(done, read_atom(r, a, r->kept[k], atom));
      atom->residue = (int)index;
    }
    structure_atom *atoms = &s->atoms[residue->first_atom];
    if (is(comp, "ARG")) mend_arginine(atoms, site->n);
    for (int k = 0; k < site->n && is(residue->name, "MET"); k++) {
      if (is(atoms[k].name, "SE")) {
        strcpy(atoms[k].name, "SD");
        strcpy(atoms[k].element, "S");
      }
    }
  }
  int at = 0;  // residues without atoms stand between those of their neighbours
  for (int i = 0; i < s->n_residues; i++) {
    if (!s->residues[i].n_atoms) s->residues[i].first_atom = at;
    at = s->residues[i].first_atom + s->residues[i].n_atoms;
  }
done:
  nf_map_free(residue_of);
  return status;
}

// The oldest revision's date.
static nf_status read_release_date(const reading *r, int *ret_date) {
  const cif_column *dates = cif_find(r->block, "_pdbx_audit_revision_history.revision_date");
  const char *oldest = NULL;
  *ret_date = 0;
  for (int i = 0; dates && i < dates->n_rows; i++) {
    if (!is_unset(dates->values[i]) && (!oldest || strcmp(dates->values[i], oldest) < 0)) oldest = dates->values[i];
  }
  if (!oldest) return NF_OK;
  bool good = strlen(oldest) == 10;
  for (int i = 0; i < 10 && good; i++) {
    good = i == 4 || i == 7 ? oldest[i] == '-' : isdigit((unsigned char)oldest[i]) != 0;
  }
  int year = atoi(oldest), month = good ? atoi(oldest + 5) : 0, day = good ? atoi(oldest + 8) : 0;
  if (year < 1 || month < 1 || month > 12 || day < 1 || day > 31) {
    return refuse(r, "_pdbx_audit_revision_history.revision_date is no date (YYYY-MM-DD):", oldest);
  }
  *ret_date = year * 10000 + month * 100 + day;
  return NF_OK;
}

nf_status mmcif_read_structure(const char *label, const char *text, size_t length, nf_arena *arena,
                               nf_structure *ret_structure) {
  nf_status status;
  nf_arena *scratch = nf_arena_create();
  reading r = {.label = label, .scratch = scratch};
  atom_site a;
  cif_file file;
  nf_structure s = {0};
  *ret_structure = s;
  NF_TRY_GOTO(done, cif_parse(label, text, length, scratch, &file));
  r.block = &file.blocks[0];
  const char *name = cif_value(r.block, "_entry.id", 0);
  s.name = nf_arena_strdup(arena, name ? name : r.block->name);
  NF_TRY_GOTO(done, read_release_date(&r, &s.release_date));
  NF_TRY_GOTO(done, find_atom_site(&r, &a));
  NF_TRY_GOTO(done, read_chains(&r, &a));
  NF_TRY_GOTO(done, read_entities(&r, &a));
  NF_TRY_GOTO(done, select_atoms(&r, &a));
  NF_TRY_GOTO(done, order_chains(&r, &a));
  NF_TRY_GOTO(done, add_polymers(&r, &a));
  NF_TRY_GOTO(done, add_ligands(&r, &a));
  NF_TRY_GOTO(done, lay_out(&r, arena, &s));
  NF_TRY_GOTO(done, place_atoms(&r, &a, arena, &s));
  *ret_structure = s;
done:
  nf_map_free(r.chain_row);
  nf_map_free(r.entity_type);
  nf_map_free(r.polymer_type);
  nf_map_free(r.author_of);
  free(r.residues);
  nf_str_free(&r.key);
  nf_arena_free(scratch);
  return status;
}
