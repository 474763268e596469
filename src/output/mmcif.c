// The predicted structure as mmCIF text. Categories follow each other in order of the alphabet, but for _entry, which
// is first, and _atom_site, which is last; so do the items of a category, but for those of _atom_site.
//
//   1. Words and tables of strings
//   2. Where the model comes from: authors, citation, terms, software
//   3. Chemistry and sequences: components, entities, chains, schemes
//   4. Confidence: the _ma_ categories of ModelCIF
//   5. Bonds
//   6. Atoms
#include "output/mmcif.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/map.h"
#include "formats/cif.h"
#include "output/number.h"

// ---- 1. Words and tables of strings

enum { WIDEST = 48 };  // the largest float with three decimals has 43 characters and a sign

typedef struct {
  nf_str *out;
  nf_arena *arena;
  const nf_job *job;
  const nf_layout *layout;
  const nf_scores *scores;
  const output_origin *origin;
  const output_options *options;
  const char *name;     // of the entry
  const char *program;  // "Nativefold 0.1.0"
  const char **entity;  // (n_chains) each chain is an entity of its own
  const char **number;  // (n_residues) residue number within the chain
  const char **plddt;   // (n_atoms) with two decimals
} writer;

// A category whose rows are added value by value.
typedef struct {
  const char *category;
  int n_columns;
  const char *const *names;
  int64_t n_values, capacity;
  const char **values;
} table;

#define TABLE(w, category, n_rows, ...) table_start(w, category, (const char *const[]){__VA_ARGS__, NULL}, n_rows)

static table table_start(const writer *w, const char *category, const char *const *names, int64_t n_rows) {
  table t = {.category = category};
  while (names[t.n_columns]) t.n_columns++;
  const char **copy = NF_NEW(w->arena, const char *, t.n_columns);
  memcpy(copy, names, (size_t)t.n_columns * sizeof *copy);
  t.names = copy;
  t.capacity = n_rows * t.n_columns;
  t.values = NF_NEW(w->arena, const char *, t.capacity);
  return t;
}

static inline void add(table *t, const char *value) {
  NF_ASSERT(t->n_values < t->capacity);
  t->values[t->n_values++] = value;
}

// Writes the rows; nothing if there are none.
static void table_end(const writer *w, const table *t) {
  NF_ASSERT(t->n_values % t->n_columns == 0);
  if (!t->n_values) return;
  cif_append_category(w->out, t->category, t->n_columns, t->names, (int)(t->n_values / t->n_columns), t->values);
}

#define ROW(w, category, names, ...) \
  row(w, category, (const char *const[]){names, NULL}, (const char *const[]){__VA_ARGS__, NULL})
#define ITEMS(...) __VA_ARGS__

// A category of one row.
static void row(const writer *w, const char *category, const char *const *names, const char *const *values) {
  table t = table_start(w, category, names, 1);
  for (int i = 0; i < t.n_columns; i++) add(&t, values[i]);
  table_end(w, &t);
}

static const char *integer(const writer *w, int64_t value) {
  return nf_arena_printf(w->arena, "%lld", (long long)value);
}

// CIF is ASCII: other bytes become '?', control characters blanks; the ends of lines stay if `lines`.
static const char *ascii(const writer *w, const char *text, bool lines) {
  char *copy = nf_arena_strdup(w->arena, text);
  for (char *p = copy; *p; p++) {
    unsigned char c = (unsigned char)*p;
    *p = c > 126 ? '?' : c < 32 && !(lines && c == '\n') ? ' ' : *p;
  }
  return copy;
}

static const char *plain(const writer *w, const char *text) { return ascii(w, text, false); }

// A text of the dictionary; some synonyms go over several lines.
static const char *or_unknown(const writer *w, const char *text) { return text && *text ? ascii(w, text, true) : "?"; }

static bool is_polymer(nf_chain_kind kind) { return kind == NF_PROTEIN || kind == NF_RNA || kind == NF_DNA; }

// _entity_poly.type of a polymer, _entity.type of anything else.
static const char *chain_type(const layout_chain *chain) {
  switch (chain->kind) {
    case NF_PROTEIN:
      return "polypeptide(L)";
    case NF_RNA:
      return "polyribonucleotide";
    case NF_DNA:
      return "polydeoxyribonucleotide";
    case NF_WATER:
      return "water";
    case NF_LIGAND:
      break;
  }
  return chain->n_residues > 1 ? "branched" : "non-polymer";
}

// ---- 2. Where the model comes from

#define TERMS_URL "https://github.com/google-deepmind/alphafold3/blob/main/OUTPUT_TERMS_OF_USE.md"
#define WEIGHTS_TERMS_URL "https://github.com/google-deepmind/alphafold3/blob/main/WEIGHTS_TERMS_OF_USE.md"

// The wording is that of alphafold3's model/mmcif_metadata.py (legal texts, word for word).
static const char alphafold3_comment[] =
    "# By using this file you agree to the legally binding terms of use found at\n"
    "# " TERMS_URL
    ".\n"
    "# To request access to the AlphaFold 3 model parameters, follow the process set\n"
    "# out at https://github.com/google-deepmind/alphafold3. You may only use these if\n"
    "# received directly from Google. Use is subject to terms of use available at\n"
    "# " WEIGHTS_TERMS_URL ".\n";
const char output_alphafold3_license[] =
    "Non-commercial use only, by using this file you agree to the terms of use found\n"
    "at " TERMS_URL
    ".\n"
    "To request access to the AlphaFold 3 model parameters, follow the process set\n"
    "out at https://github.com/google-deepmind/alphafold3. You may only use these if\n"
    "received directly from Google. Use is subject to terms of use available at\n" WEIGHTS_TERMS_URL ".";
const char output_alphafold3_disclaimer[] =
    "AlphaFold 3 and its output are not intended for, have not been validated for,\n"
    "and are not approved for clinical use. They are provided \"as-is\" without any\n"
    "warranty of any kind, whether expressed or implied. No warranty is given that\n"
    "use shall not infringe the rights of any third party.";

const char output_own_disclaimer[] =
    "A computed model, not an experiment. It comes as it is, without warranty of any\n"
    "kind, and is not meant for clinical use.";

static void append_opening(const writer *w) {
  const output_origin *o = w->origin;
  if (o->is_alphafold3) {
    if (w->options->save_terms_of_use) nf_str_puts(w->out, alphafold3_comment);
  } else {
    nf_str_printf(w->out, "# Predicted by %s with the weights: %s.\n", w->program, plain(w, o->model_name));
    if (*o->model_notice) nf_str_printf(w->out, "# %s\n", plain(w, o->model_notice));
  }
  nf_str_printf(w->out, "data_%s\n#\n", w->name);
  ROW(w, "_entry", "id", w->name);
}

static void append_authors(const writer *w) {
  table t = TABLE(w, "_audit_author", 2, "name", "pdbx_ordinal");
  if (w->origin->is_alphafold3) {
    add(&t, "Google DeepMind"), add(&t, "1");
    add(&t, "Isomorphic Labs"), add(&t, "2");
  } else {
    add(&t, "Nativefold"), add(&t, "1");
  }
  table_end(w, &t);
}

static void append_conform(const writer *w) {
  ROW(w, "_audit_conform", ITEMS("dict_location", "dict_name", "dict_version"),
      "https://raw.githubusercontent.com/ihmwg/ModelCIF/master/dist/mmcif_ma.dic", "mmcif_ma.dic", "1.4.5");
}

static void append_citation(const writer *w) {
  if (!w->origin->is_alphafold3) return;
  ROW(w, "_citation",
      ITEMS("book_publisher", "country", "id", "journal_full", "journal_id_ASTM", "journal_id_CSD", "journal_id_ISSN",
            "journal_volume", "page_first", "page_last", "pdbx_database_id_DOI", "pdbx_database_id_PubMed", "title",
            "year"),
      "?", "UK", "primary", "Nature", "NATUAS", "0006", "0028-0836", "630", "493", "500", "10.1038/s41586-024-07487-w",
      "38718835", "Accurate structure prediction of biomolecular interactions with AlphaFold 3", "2024");
  table t = TABLE(w, "_citation_author", 2, "citation_id", "name", "ordinal");
  add(&t, "primary"), add(&t, "Google DeepMind"), add(&t, "1");
  add(&t, "primary"), add(&t, "Isomorphic Labs"), add(&t, "2");
  table_end(w, &t);
}

static void append_data_usage(const writer *w) {
  table t = TABLE(w, "_pdbx_data_usage", 2, "details", "id", "type", "url");
  if (w->origin->is_alphafold3) {
    bool license = w->options->save_terms_of_use;
    if (license) add(&t, output_alphafold3_license), add(&t, "1"), add(&t, "license"), add(&t, TERMS_URL);
    add(&t, output_alphafold3_disclaimer), add(&t, license ? "2" : "1"), add(&t, "disclaimer"), add(&t, "?");
  } else {
    const char *notice = w->origin->model_notice;
    add(&t, *notice ? nf_arena_printf(w->arena, "%s\n%s", plain(w, notice), output_own_disclaimer) : output_own_disclaimer);
    add(&t, "1"), add(&t, "disclaimer"), add(&t, "?");
  }
  table_end(w, &t);
}

// The identifier that weights carry, as far as it is text; "" if they carry none.
static const char *model_id(const writer *w) {
  if (!w->origin->has_model_id) return "";
  char text[sizeof w->origin->model_id + 1] = {0};
  memcpy(text, w->origin->model_id, sizeof w->origin->model_id);
  return plain(w, text);
}

static void append_software(const writer *w) {
  const output_origin *o = w->origin;
  const char *id = model_id(w), *name = "AlphaFold", *version, *description = "Structure prediction";
  if (o->is_alphafold3) {
    version = nf_arena_printf(w->arena, "AlphaFold-beta-20231127 (%s)", id);
  } else {
    name = "Nativefold";
    version = nf_arena_printf(w->arena, "%s (%s%s%s)", o->version ? o->version : "?", plain(w, o->model_name),
                              *id ? ", " : "", id);
    if (*o->model_notice) description = nf_arena_printf(w->arena, "%s. %s", description, plain(w, o->model_notice));
  }
  ROW(w, "_software", ITEMS("classification", "date", "description", "name", "pdbx_ordinal", "type", "version"),
      "other", "?", description, name, "1", "package", version);
}

static void append_model_list(const writer *w) {
  time_t now = time(NULL);
  struct tm local;
  char stamp[32] = "?";
  if (localtime_r(&now, &local)) strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M:%S", &local);
  const char *model = w->origin->is_alphafold3 ? "AlphaFold-beta-20231127" : plain(w, w->origin->model_name);
  ROW(w, "_ma_model_list",
      ITEMS("data_id", "model_group_id", "model_group_name", "model_id", "model_name", "model_type", "ordinal_id"), "1",
      "1", nf_arena_printf(w->arena, "%s (%s @ %s)", model, w->program, stamp), "1", "Top ranked model",
      "Ab initio model", "1");
}

// ---- 3. Chemistry and sequences

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

static void append_atom_types(const writer *w) {
  const nf_layout *l = w->layout;
  nf_map *seen = nf_map_create();
  const char **symbols = NF_NEW(w->arena, const char *, l->n_atoms);
  int n = 0;
  for (int i = 0; i < l->n_atoms; i++) {
    if (nf_map_add(seen, l->atoms[i].element, 0)) symbols[n++] = l->atoms[i].element;
  }
  nf_map_free(seen);
  qsort(symbols, (size_t)n, sizeof *symbols, by_text);
  table t = TABLE(w, "_atom_type", n, "symbol");
  for (int i = 0; i < n; i++) add(&t, symbols[i]);
  table_end(w, &t);
}

static int by_name(const void *a, const void *b) {
  return strcmp((*(const layout_residue *const *)a)->name, (*(const layout_residue *const *)b)->name);
}

static const char *type_without_component(nf_chain_kind kind) {
  return kind == NF_PROTEIN ? "L-PEPTIDE LINKING"
         : kind == NF_RNA   ? "RNA LINKING"
         : kind == NF_DNA   ? "DNA LINKING"
                            : "non-polymer";
}

// The SMILES that the job gives for the residue's chain, else the dictionary's; NULL if there is none.
static const char *smiles_of(const writer *w, const layout_residue *residue) {
  int chain = w->layout->chains[residue->chain].job_chain;
  if (chain >= 0 && chain < w->job->n_chains && w->job->chains[chain].smiles) return w->job->chains[chain].smiles;
  const ccd_component *c = residue->component;
  return c && c->smiles && *c->smiles ? c->smiles : NULL;
}

static void append_components(const writer *w) {
  const nf_layout *l = w->layout;
  nf_map *seen = nf_map_create();
  const layout_residue **first = NF_NEW(w->arena, const layout_residue *, l->n_residues);
  int n = 0;
  bool any_smiles = false;
  for (int i = 0; i < l->n_residues; i++) {
    if (!nf_map_add(seen, l->residues[i].name, 0)) continue;
    first[n++] = &l->residues[i];
    any_smiles |= smiles_of(w, &l->residues[i]) != NULL;
  }
  nf_map_free(seen);
  qsort(first, (size_t)n, sizeof *first, by_name);
  static const char *const without[] = {"formula", "formula_weight", "id",   "mon_nstd_flag",
                                        "name",    "pdbx_synonyms",  "type", NULL};
  static const char *const with[] = {"formula",       "formula_weight", "id", "mon_nstd_flag", "name", "pdbx_smiles",
                                     "pdbx_synonyms", "type",           NULL};
  table t = table_start(w, "_chem_comp", any_smiles ? with : without, n);
  for (int i = 0; i < n; i++) {
    const ccd_component *c = first[i]->component;
    bool has_type = c && c->type && *c->type;
    const char *type = has_type ? plain(w, c->type) : type_without_component(l->chains[first[i]->chain].kind);
    bool has_weight = c && isfinite(c->formula_weight) && c->formula_weight > 0;
    bool has_parent = c && c->parent && *c->parent && strcmp(c->parent, "?") != 0;
    add(&t, c ? or_unknown(w, c->formula) : "?");
    add(&t, has_weight ? nf_arena_printf(w->arena, "%.3f", (double)c->formula_weight) : "?");
    add(&t, first[i]->name);
    add(&t, !has_type ? "?" : strcasecmp(type, "non-polymer") == 0 ? "." : has_parent ? "n" : "y");
    add(&t, c ? or_unknown(w, c->name) : "?");
    if (any_smiles) add(&t, or_unknown(w, smiles_of(w, first[i])));
    add(&t, c ? or_unknown(w, c->synonyms) : "?");
    add(&t, type);
  }
  table_end(w, &t);
}

// The bonds inside ligands with their orders, of the atoms that are there. AlphaFold 3 writes none; without them a
// reader must guess double bonds and rings from distances.
static void append_component_bonds(const writer *w) {
  static const char *const orders[] = {"?", "sing", "doub", "trip", "quad", "arom", "delo", "poly", "pi"};
  const nf_layout *l = w->layout;
  nf_map *seen = nf_map_create(), *atoms = nf_map_create();
  const layout_residue **first = NF_NEW(w->arena, const layout_residue *, l->n_residues);
  int n = 0;
  int64_t n_bonds = 0;
  for (int i = 0; i < l->n_residues; i++) {
    const layout_residue *r = &l->residues[i];
    if (l->chains[r->chain].kind != NF_LIGAND || !r->component) continue;
    for (int a = r->first_atom; a < r->first_atom + r->n_atoms; a++) {
      nf_map_set(atoms, nf_arena_printf(w->arena, "%s %s", r->name, l->atoms[a].name), a);
    }
    if (!nf_map_add(seen, r->name, 0)) continue;
    first[n++] = r;
    n_bonds += r->component->n_bonds;
  }
  qsort(first, (size_t)n, sizeof *first, by_name);
  table t = TABLE(w, "_chem_comp_bond", n_bonds, "atom_id_1", "atom_id_2", "comp_id", "pdbx_aromatic_flag",
                  "pdbx_ordinal", "pdbx_stereo_config", "value_order");
  int ordinal = 0;
  for (int i = 0; i < n; i++) {
    const ccd_component *c = first[i]->component;
    for (int k = 0; k < c->n_bonds; k++) {
      const ccd_bond *b = &c->bonds[k];
      const char *name1 = c->atoms[b->atom1].name, *name2 = c->atoms[b->atom2].name;
      int64_t a;
      if (!nf_map_get(atoms, nf_arena_printf(w->arena, "%s %s", first[i]->name, name1), &a)) continue;
      if (!nf_map_get(atoms, nf_arena_printf(w->arena, "%s %s", first[i]->name, name2), &a)) continue;
      add(&t, name1), add(&t, name2), add(&t, first[i]->name);
      add(&t, !b->has_aromatic ? "?" : b->aromatic ? "Y" : "N"), add(&t, integer(w, ++ordinal));
      add(&t, b->stereo == 'E' ? "E" : b->stereo == 'Z' ? "Z" : "N"), add(&t, orders[b->order]);
    }
  }
  table_end(w, &t);
  nf_map_free(seen);
  nf_map_free(atoms);
}

static void append_entities(const writer *w) {
  const nf_layout *l = w->layout;
  table entity = TABLE(w, "_entity", l->n_chains, "id", "pdbx_description", "type");
  table poly = TABLE(w, "_entity_poly", l->n_chains, "entity_id", "pdbx_strand_id", "type");
  table seq = TABLE(w, "_entity_poly_seq", l->n_residues, "entity_id", "hetero", "mon_id", "num");
  for (int c = 0; c < l->n_chains; c++) {
    const layout_chain *chain = &l->chains[c];
    bool polymer = is_polymer(chain->kind);
    add(&entity, w->entity[c]), add(&entity, "."), add(&entity, polymer ? "polymer" : chain_type(chain));
    if (!polymer) continue;
    add(&poly, w->entity[c]), add(&poly, chain->id), add(&poly, chain_type(chain));
    for (int r = chain->first_residue; r < chain->first_residue + chain->n_residues; r++) {
      add(&seq, w->entity[c]), add(&seq, "n"), add(&seq, l->residues[r].name), add(&seq, w->number[r]);
    }
  }
  table_end(w, &entity);
  table_end(w, &poly);
  table_end(w, &seq);
}

static void append_branch_scheme(const writer *w) {
  const nf_layout *l = w->layout;
  table t = TABLE(w, "_pdbx_branch_scheme", l->n_residues, "asym_id", "auth_asym_id", "auth_seq_num", "entity_id",
                  "hetero", "mon_id", "num", "pdb_asym_id", "pdb_ins_code", "pdb_seq_num");
  for (int i = 0; i < l->n_residues; i++) {
    const layout_residue *r = &l->residues[i];
    const layout_chain *chain = &l->chains[r->chain];
    if (chain->kind != NF_LIGAND || chain->n_residues < 2) continue;
    add(&t, chain->id), add(&t, chain->id), add(&t, r->n_atoms ? w->number[i] : "?"), add(&t, w->entity[r->chain]);
    add(&t, "n"), add(&t, r->name), add(&t, w->number[i]), add(&t, chain->id), add(&t, "."), add(&t, w->number[i]);
  }
  table_end(w, &t);
}

static void append_nonpoly_scheme(const writer *w) {
  const nf_layout *l = w->layout;
  table t = TABLE(w, "_pdbx_nonpoly_scheme", l->n_residues, "asym_id", "auth_seq_num", "entity_id", "mon_id",
                  "pdb_ins_code", "pdb_seq_num", "pdb_strand_id");
  for (int i = 0; i < l->n_residues; i++) {
    const layout_residue *r = &l->residues[i];
    const layout_chain *chain = &l->chains[r->chain];
    if (is_polymer(chain->kind) || (chain->kind == NF_LIGAND && chain->n_residues > 1)) continue;
    add(&t, chain->id), add(&t, r->n_atoms ? w->number[i] : "?"), add(&t, w->entity[r->chain]), add(&t, r->name);
    add(&t, "."), add(&t, w->number[i]), add(&t, chain->id);
  }
  table_end(w, &t);
}

static void append_poly_scheme(const writer *w) {
  const nf_layout *l = w->layout;
  table t = TABLE(w, "_pdbx_poly_seq_scheme", l->n_residues, "asym_id", "auth_seq_num", "entity_id", "hetero", "mon_id",
                  "pdb_ins_code", "pdb_seq_num", "pdb_strand_id", "seq_id");
  for (int i = 0; i < l->n_residues; i++) {
    const layout_residue *r = &l->residues[i];
    const layout_chain *chain = &l->chains[r->chain];
    if (!is_polymer(chain->kind)) continue;
    add(&t, chain->id), add(&t, r->n_atoms ? w->number[i] : "?"), add(&t, w->entity[r->chain]), add(&t, "n");
    add(&t, r->name), add(&t, "."), add(&t, w->number[i]), add(&t, chain->id), add(&t, w->number[i]);
  }
  table_end(w, &t);
}

static void append_chains(const writer *w) {
  const nf_layout *l = w->layout;
  table t = TABLE(w, "_struct_asym", l->n_chains, "entity_id", "id");
  for (int c = 0; c < l->n_chains; c++) add(&t, w->entity[c]), add(&t, l->chains[c].id);
  table_end(w, &t);
}

// ---- 4. Confidence

static const char *mean_plddt(const writer *w, const double *values, int n) {
  return nf_arena_printf(w->arena, "%.2f", number_mean(values, n));
}

// Mean confidence of the whole and of each residue, from the values as printed. Residues of a ligand have no number
// (label_seq_id is "."), so those of one component in one chain share a row.
static void append_plddt(const writer *w) {
  const nf_layout *l = w->layout;
  double *values = NF_NEW(w->arena, double, l->n_atoms);
  for (int i = 0; i < l->n_atoms; i++) values[i] = strtod(w->plddt[i], NULL);
  ROW(w, "_ma_qa_metric_global", ITEMS("metric_id", "metric_value", "model_id", "ordinal_id"), "1",
      l->n_atoms ? mean_plddt(w, values, l->n_atoms) : "?", "1", "1");

  table t = TABLE(w, "_ma_qa_metric_local", l->n_residues, "label_asym_id", "label_comp_id", "label_seq_id",
                  "metric_id", "metric_value", "model_id", "ordinal_id");
  double *group = NF_NEW(w->arena, double, l->n_atoms);
  nf_map *done = nf_map_create();
  for (int i = 0, n_rows = 0; i < l->n_residues; i++) {
    const layout_residue *r = &l->residues[i];
    const layout_chain *chain = &l->chains[r->chain];
    bool polymer = is_polymer(chain->kind);
    int last = i;
    if (!polymer) {
      if (!nf_map_add(done, nf_arena_printf(w->arena, "%s %s", chain->id, r->name), 0)) continue;
      last = chain->first_residue + chain->n_residues - 1;
    }
    int n = 0;
    for (int k = i; k <= last; k++) {
      const layout_residue *q = &l->residues[k];
      if (strcmp(q->name, r->name) != 0) continue;
      for (int a = q->first_atom; a < q->first_atom + q->n_atoms; a++) group[n++] = values[a];
    }
    if (!n) continue;
    add(&t, chain->id), add(&t, r->name), add(&t, polymer ? w->number[i] : "."), add(&t, "2");
    add(&t, mean_plddt(w, group, n)), add(&t, "1"), add(&t, integer(w, ++n_rows));
  }
  nf_map_free(done);
  table_end(w, &t);
}

static void append_model_archive(const writer *w) {
  const nf_layout *l = w->layout;
  ROW(w, "_ma_data", ITEMS("content_type", "id", "name"), "model coordinates", "1", "Model");
  append_model_list(w);
  table step = TABLE(w, "_ma_protocol_step", 3, "method_type", "ordinal_id", "protocol_id", "step_id");
  add(&step, "coevolution MSA"), add(&step, "1"), add(&step, "1"), add(&step, "1");
  add(&step, "template search"), add(&step, "2"), add(&step, "1"), add(&step, "2");
  add(&step, "modeling"), add(&step, "3"), add(&step, "1"), add(&step, "3");
  table_end(w, &step);
  table metric = TABLE(w, "_ma_qa_metric", 2, "id", "mode", "name", "software_group_id", "type");
  add(&metric, "1"), add(&metric, "global"), add(&metric, "pLDDT"), add(&metric, "1"), add(&metric, "pLDDT");
  add(&metric, "2"), add(&metric, "local"), add(&metric, "pLDDT"), add(&metric, "1"), add(&metric, "pLDDT");
  table_end(w, &metric);
  append_plddt(w);
  ROW(w, "_ma_software_group", ITEMS("group_id", "ordinal_id", "software_id"), "1", "1", "1");
  table target = TABLE(w, "_ma_target_entity", l->n_chains, "data_id", "entity_id", "origin");
  table instance = TABLE(w, "_ma_target_entity_instance", l->n_chains, "asym_id", "details", "entity_id");
  for (int c = 0; c < l->n_chains; c++) {
    add(&target, "1"), add(&target, w->entity[c]), add(&target, ".");
    add(&instance, l->chains[c].id), add(&instance, "."), add(&instance, w->entity[c]);
  }
  table_end(w, &target);
  table_end(w, &instance);
}

// ---- 5. Bonds

static const layout_atom *find_atom(const nf_layout *l, const char *chain_id, int number, const char *name) {
  for (int c = 0; c < l->n_chains; c++) {
    const layout_chain *chain = &l->chains[c];
    if (strcmp(chain->id, chain_id) != 0) continue;
    for (int r = chain->first_residue; r < chain->first_residue + chain->n_residues; r++) {
      const layout_residue *residue = &l->residues[r];
      for (int a = residue->first_atom; residue->id == number && a < residue->first_atom + residue->n_atoms; a++) {
        if (strcmp(l->atoms[a].name, name) == 0) return &l->atoms[a];
      }
    }
  }
  return NULL;
}

// The atom's part of a row of _struct_conn: author's chain and number, then label chain, atom, component, number.
static void add_partner(const writer *w, table *t, const layout_atom *atom) {
  const layout_residue *r = &w->layout->residues[atom->residue];
  const layout_chain *chain = &w->layout->chains[r->chain];
  const char *number = w->number[atom->residue];
  add(t, chain->id), add(t, number), add(t, chain->id), add(t, atom->name), add(t, r->name);
  add(t, is_polymer(chain->kind) ? number : "."), add(t, "1_555");
}

// The job's bonds that the network is told of: between residues, with at least one ligand; polymer to ligand first.
static void append_bonds(const writer *w) {
  const nf_layout *l = w->layout;
  table t = TABLE(w, "_struct_conn", w->job->n_bonds, "conn_type_id", "id", "pdbx_ptnr1_PDB_ins_code",
                  "pdbx_ptnr1_label_alt_id", "pdbx_ptnr2_PDB_ins_code", "pdbx_ptnr2_label_alt_id", "pdbx_role",
                  "pdbx_value_order", "ptnr1_auth_asym_id", "ptnr1_auth_seq_id", "ptnr1_label_asym_id",
                  "ptnr1_label_atom_id", "ptnr1_label_comp_id", "ptnr1_label_seq_id", "ptnr1_symmetry",
                  "ptnr2_auth_asym_id", "ptnr2_auth_seq_id", "ptnr2_label_asym_id", "ptnr2_label_atom_id",
                  "ptnr2_label_comp_id", "ptnr2_label_seq_id", "ptnr2_symmetry");
  int n = 0;
  for (int only_ligands = 0; only_ligands < 2; only_ligands++) {
    for (int i = 0; i < w->job->n_bonds; i++) {
      const job_bond *b = &w->job->bonds[i];
      const layout_atom *one = find_atom(l, b->chain1, b->residue1, b->atom1);
      const layout_atom *two = find_atom(l, b->chain2, b->residue2, b->atom2);
      if (!one || !two || one->residue == two->residue) continue;
      int n_polymers = is_polymer(l->chains[l->residues[one->residue].chain].kind) +
                       is_polymer(l->chains[l->residues[two->residue].chain].kind);
      if (n_polymers != (only_ligands ? 0 : 1)) continue;
      add(&t, "covale"), add(&t, nf_arena_printf(w->arena, "covale%d", ++n));
      for (int k = 0; k < 6; k++) add(&t, "?");
      add_partner(w, &t, one);
      add_partner(w, &t, two);
    }
  }
  table_end(w, &t);
  if (n) ROW(w, "_struct_conn_type", ITEMS("criteria", "id", "reference"), "?", "covale", "?");
}

// ---- 6. Atoms

static void append_atoms(const writer *w) {
  const nf_layout *l = w->layout;
  table t =
      TABLE(w, "_atom_site", l->n_atoms, "group_PDB", "id", "type_symbol", "label_atom_id", "label_alt_id",
            "label_comp_id", "label_asym_id", "label_entity_id", "label_seq_id", "pdbx_PDB_ins_code", "Cartn_x",
            "Cartn_y", "Cartn_z", "occupancy", "B_iso_or_equiv", "auth_seq_id", "auth_asym_id", "pdbx_PDB_model_num");
  char(*text)[WIDEST] = nf_arena_calloc(w->arena, (size_t)l->n_atoms * 4 + 1, WIDEST);
  const char *previous = NULL, *group = NULL;
  for (int i = 0; i < l->n_atoms; i++) {
    const layout_atom *atom = &l->atoms[i];
    const layout_residue *r = &l->residues[atom->residue];
    const layout_chain *chain = &l->chains[r->chain];
    bool polymer = is_polymer(chain->kind);
    if (r->name != previous) group = polymer && residue_is_standard_polymer(r->name) ? "ATOM" : "HETATM";
    previous = r->name;
    char(*own)[WIDEST] = text + (size_t)i * 4;
    snprintf(own[0], WIDEST, "%d", i + 1);
    for (int k = 0; k < 3; k++) snprintf(own[k + 1], WIDEST, "%.3f", (double)w->scores->positions[(size_t)i * 3 + k]);
    add(&t, group), add(&t, own[0]), add(&t, atom->element), add(&t, atom->name), add(&t, "."), add(&t, r->name);
    add(&t, chain->id), add(&t, w->entity[r->chain]), add(&t, polymer ? w->number[atom->residue] : "."), add(&t, "?");
    add(&t, own[1]), add(&t, own[2]), add(&t, own[3]), add(&t, "1.00"), add(&t, w->plddt[i]);
    add(&t, w->number[atom->residue]), add(&t, chain->id), add(&t, "1");
  }
  table_end(w, &t);
}

// ----

static nf_status check_finite(const nf_job *job, const nf_layout *l, const nf_scores *scores) {
  for (int i = 0; i < l->n_atoms; i++) {
    const float *p = scores->positions + (size_t)i * 3;
    const char *what = isfinite(p[0]) && isfinite(p[1]) && isfinite(p[2]) ? NULL : "coordinate";
    if (!isfinite(scores->plddt[i])) what = "confidence";
    if (!what) continue;
    const layout_residue *r = &l->residues[l->atoms[i].residue];
    return nf_fail(NF_FAILED, "%s: the model gave a %s that is not finite, first for atom %s of %s %d in chain %s",
                   job->name, what, l->atoms[i].name, r->name, r->id, l->chains[r->chain].id);
  }
  return NF_OK;
}

nf_status mmcif_append(nf_str *out, const nf_job *job, const nf_layout *layout, const nf_scores *scores,
                       const output_origin *origin, const output_options *options, nf_arena *arena) {
  NF_TRY(check_finite(job, layout, scores));
  writer writer = {.out = out,
                   .arena = arena,
                   .job = job,
                   .layout = layout,
                   .scores = scores,
                   .origin = origin,
                   .options = options,
                   .name = job_sanitised_name(job, arena),
                   .entity = NF_NEW(arena, const char *, layout->n_chains),
                   .number = NF_NEW(arena, const char *, layout->n_residues),
                   .plddt = NF_NEW(arena, const char *, layout->n_atoms)};
  writer.program = origin->version ? nf_arena_printf(arena, "Nativefold %s", origin->version) : "Nativefold";
  if (!*writer.name) writer.name = "unnamed";  // a data block must have a name
  for (int c = 0; c < layout->n_chains; c++) writer.entity[c] = nf_arena_printf(arena, "%d", c + 1);
  for (int r = 0; r < layout->n_residues; r++) writer.number[r] = nf_arena_printf(arena, "%d", layout->residues[r].id);
  char(*text)[WIDEST] = nf_arena_calloc(arena, (size_t)layout->n_atoms + 1, WIDEST);
  for (int i = 0; i < layout->n_atoms; i++) {
    snprintf(text[i], WIDEST, "%.2f", (double)scores->plddt[i]);
    writer.plddt[i] = text[i];
  }
  append_opening(&writer);
  append_atom_types(&writer);
  append_authors(&writer);
  append_conform(&writer);
  append_components(&writer);
  append_component_bonds(&writer);
  append_citation(&writer);
  append_entities(&writer);
  append_model_archive(&writer);
  append_branch_scheme(&writer);
  append_data_usage(&writer);
  append_nonpoly_scheme(&writer);
  append_poly_scheme(&writer);
  append_software(&writer);
  append_chains(&writer);
  append_bonds(&writer);
  append_atoms(&writer);
  return NF_OK;
}
