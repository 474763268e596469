// The predicted structure in the PDB's old format.
#include "output/pdb.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "output/mmcif.h"

static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
static const char chain_letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

enum {
  N_LETTERS = sizeof chain_letters - 1,
  NAME_COLUMNS = 3,   // of a residue's name
  MAX_LONG_NAMES = 36 * 36 / 2,  // as ~00 to ~ZZ might be components of the job itself
  REMARK_WIDTH = 69,  // what a REMARK or a TITLE leaves for text
  HETNAM_WIDTH = 55,
  LONG_NAME_WIDTH = 8,  // columns 72 to 79 of HETNAM: the name before it was made shorter
};

typedef struct {
  nf_str *out;
  nf_arena *arena;
  const nf_layout *layout;
  const nf_scores *scores;
  char *chain;           // (n_chains) letters
  const char **name;     // (n_residues) of at most three letters
  int64_t *serial;       // (n_atoms)
} writer;

static bool is_polymer(const nf_layout *l, const layout_residue *r) {
  nf_chain_kind kind = l->chains[r->chain].kind;
  return kind == NF_PROTEIN || kind == NF_RNA || kind == NF_DNA;
}

static bool is_hetero(const nf_layout *l, const layout_residue *r) {
  return !is_polymer(l, r) || !residue_is_standard_polymer(r->name);
}

const char *pdb_obstacle(const nf_layout *layout, const nf_scores *scores, nf_arena *arena) {
  if (layout->n_chains > N_LETTERS) {
    return nf_arena_printf(arena, "its %d chains are more than the %d that the format has letters for", layout->n_chains,
                           N_LETTERS);
  }
  nf_map *long_names = nf_map_create();
  for (int r = 0; r < layout->n_residues; r++) {
    const char *name = layout->residues[r].name;
    if (strlen(name) > NAME_COLUMNS || *name == '~') (void)nf_map_add(long_names, name, 0);
  }
  size_t n_long = nf_map_size(long_names);
  nf_map_free(long_names);
  if (n_long > MAX_LONG_NAMES) {
    return nf_arena_printf(arena, "its %zu components of more than %d letters are more than the format has names for", n_long,
                           NAME_COLUMNS);
  }
  for (int64_t i = 0; i < (int64_t)layout->n_atoms * 3; i++) {
    if (!(scores->positions[i] > -999.9995f && scores->positions[i] < 9999.9995f)) {
      return nf_arena_printf(arena, "a coordinate of %.3f angstrom is wider than the format's columns",
                             (double)scores->positions[i]);
    }
  }
  return NULL;
}

void pdb_number(int64_t value, int width, char text[PDB_NUMBER_SIZE]) {
  int64_t decimal = 1, letters = 26, base = 10;  // how many numbers begin with a digit, and with a letter of one case
  for (int i = 0; i < width; i++) decimal *= 10;
  for (int i = 1; i < width; i++) letters *= 36, base *= 36;
  if (value < decimal) {
    snprintf(text, PDB_NUMBER_SIZE, "%*lld", width, (long long)value);
    return;
  }
  value -= decimal;
  bool lower = value >= letters;
  NF_ASSERT(value < 2 * letters && width < PDB_NUMBER_SIZE);
  value = base + value % letters;
  for (int i = width - 1; i >= 0; i--, value /= 36) {
    char c = digits[value % 36];
    text[i] = lower ? (char)tolower((unsigned char)c) : c;
  }
  text[width] = '\0';
}

// ---- Names

static void choose_chains(writer *w) {
  const nf_layout *l = w->layout;
  bool taken[256] = {false};
  w->chain = NF_NEW(w->arena, char, l->n_chains);
  for (int c = 0; c < l->n_chains; c++) {
    const char *id = l->chains[c].id;
    if (strlen(id) == 1 && !taken[(unsigned char)*id]) taken[(unsigned char)(w->chain[c] = *id)] = true;
  }
  const char *next = chain_letters;
  for (int c = 0; c < l->n_chains; c++) {
    if (w->chain[c]) continue;
    while (taken[(unsigned char)*next]) next++;
    w->chain[c] = *next++;
  }
}

// Long names keep their first two letters before a "~"; a ligand of a SMILES is LIG. What is taken counts ~00, ~01, ...
static void choose_names(writer *w) {
  const nf_layout *l = w->layout;
  nf_map *taken = nf_map_create(), *chosen = nf_map_create();
  w->name = NF_NEW(w->arena, const char *, l->n_residues);
  for (int r = 0; r < l->n_residues; r++) {
    w->name[r] = l->residues[r].name;
    nf_map_add(taken, w->name[r], 0);
  }
  int count = 0;
  for (int r = 0; r < l->n_residues; r++) {
    const layout_residue *residue = &l->residues[r];
    int64_t before;
    if (strlen(residue->name) <= NAME_COLUMNS) continue;
    if (nf_map_get(chosen, residue->name, &before)) {
      w->name[r] = w->name[before];
      continue;
    }
    bool from_smiles = residue->component && residue->component->from_smiles;
    const char *name = from_smiles ? "LIG" : nf_arena_printf(w->arena, "%.2s~", residue->name);
    while (!nf_map_add(taken, name, 0)) {
      name = nf_arena_printf(w->arena, "~%c%c", digits[count / 36], digits[count % 36]);
      count++;
    }
    nf_map_set(chosen, residue->name, r);
    w->name[r] = name;
  }
  nf_map_free(taken);
  nf_map_free(chosen);
}

// ---- Records

// Text over as many lines as it takes, each behind `start`, its own line ends being blanks like others; a word longer
// than the width stays whole.
static void append_wrapped(writer *w, const char *start, const char *text) {
  while (*text) {
    size_t end = strlen(text);
    if (end > REMARK_WIDTH) {
      end = REMARK_WIDTH;
      while (end > 0 && !isspace((unsigned char)text[end])) end--;
      if (end == 0) end = strcspn(text, " \n");
    }
    nf_str_puts(w->out, start);
    for (size_t i = 0; i < end; i++) {
      unsigned char c = (unsigned char)text[i];
      nf_str_putc(w->out, c < 32 ? ' ' : c > 126 ? '?' : (char)c);
    }
    nf_str_putc(w->out, '\n');
    text += end;
    if (*text) text++;
  }
}

static void append_opening(writer *w, const nf_job *job, const output_origin *origin, const output_options *options) {
  const nf_layout *l = w->layout;
  static const char remark[] = "REMARK   1 ";
  const char *name = job_sanitised_name(job, w->arena);
  for (int line = 1; *name; line++) {
    char number[8] = "  ";
    if (line > 1) snprintf(number, sizeof number, "%2d", line % 100);
    int n = (int)strnlen(name, REMARK_WIDTH);
    nf_str_printf(w->out, "TITLE   %s%s%.*s\n", number, line > 1 ? " " : "", n, name);
    name += n;
  }
  nf_str_puts(w->out, "EXPDTA    THEORETICAL MODEL\n");
  append_wrapped(w, remark,
                 nf_arena_printf(w->arena, "Predicted by Nativefold%s%s with the weights: %s.", origin->version ? " " : "",
                                 origin->version ? origin->version : "", origin->model_name));
  if (origin->is_alphafold3) {
    if (options->save_terms_of_use) append_wrapped(w, remark, output_alphafold3_license);
    append_wrapped(w, remark, output_alphafold3_disclaimer);
  } else {
    append_wrapped(w, remark, origin->model_notice);
    append_wrapped(w, remark, output_own_disclaimer);
  }
  append_wrapped(w, remark, "The temperature factor is the pLDDT, from 0 to 100.");
  for (int c = 0; c < l->n_chains; c++) {
    if (strlen(l->chains[c].id) == 1 && l->chains[c].id[0] == w->chain[c]) continue;
    append_wrapped(w, remark, nf_arena_printf(w->arena, "Chain %c is chain %s of the job.", w->chain[c], l->chains[c].id));
  }
  nf_map *told = nf_map_create();
  for (int r = 0; r < l->n_residues; r++) {
    if (w->name[r] == l->residues[r].name || !nf_map_add(told, l->residues[r].name, 0)) continue;
    append_wrapped(w, remark,
                   nf_arena_printf(w->arena, "Component %s is %s in full.", w->name[r], l->residues[r].name));
  }
  nf_map_free(told);
}

// What the components are called, over several lines if need be.
static void append_component_names(writer *w) {
  const nf_layout *l = w->layout;
  nf_map *told = nf_map_create();
  for (int r = 0; r < l->n_residues; r++) {
    const layout_residue *residue = &l->residues[r];
    if (!is_hetero(l, residue) || !nf_map_add(told, residue->name, 0)) continue;
    const ccd_component *c = residue->component;
    const char *text = c && *c->name ? c->name : residue->name;
    bool is_short = strlen(residue->name) <= LONG_NAME_WIDTH;
    const char *full = w->name[r] != residue->name && is_short ? residue->name : "";
    for (int line = 1; *text && line < 100; line++) {
      char number[8] = "  ", piece[HETNAM_WIDTH + 1] = "";
      if (line > 1) snprintf(number, sizeof number, "%2d", line % 100);
      int n = (int)strnlen(text, HETNAM_WIDTH);
      for (int i = 0; i < n; i++) piece[i] = text[i] < 32 || text[i] > 126 ? ' ' : text[i];
      if (*full) {
        nf_str_printf(w->out, "HETNAM  %s %3s %-55s %s\n", number, w->name[r], piece, full);
      } else {
        nf_str_printf(w->out, "HETNAM  %s %3s %s\n", number, w->name[r], piece);
      }
      text += n;
    }
  }
  nf_map_free(told);
}

static void append_atoms(writer *w) {
  const nf_layout *l = w->layout;
  int64_t serial = 0;
  w->serial = NF_NEW(w->arena, int64_t, l->n_atoms);
  for (int r = 0; r < l->n_residues; r++) {
    const layout_residue *residue = &l->residues[r];
    const layout_chain *chain = &l->chains[residue->chain];
    char number[PDB_NUMBER_SIZE], text[PDB_NUMBER_SIZE];
    pdb_number(residue->id, 4, number);
    for (int i = residue->first_atom; i < residue->first_atom + residue->n_atoms; i++) {
      const layout_atom *atom = &l->atoms[i];
      const float *x = &w->scores->positions[3 * (size_t)i];
      // A symbol of one letter stands in the second of the name's columns.
      bool indented = strlen(atom->element) == 1 && strlen(atom->name) < 4;
      pdb_number(w->serial[i] = ++serial, 5, text);
      nf_str_printf(w->out, "%s%5s %s%-*.4s %3s %c%4s    %8.3f%8.3f%8.3f%6.2f%6.2f          %2.2s  \n",
                    is_hetero(l, residue) ? "HETATM" : "ATOM  ", text, indented ? " " : "", indented ? 3 : 4, atom->name,
                    w->name[r], w->chain[residue->chain], number, (double)x[0], (double)x[1], (double)x[2], 1.0,
                    (double)w->scores->plddt[i], atom->element);
    }
    bool is_last = r + 1 == chain->first_residue + chain->n_residues;
    if (!is_last || !is_polymer(l, residue) || chain->n_atoms == 0) continue;
    pdb_number(++serial, 5, text);
    nf_str_printf(w->out, "TER   %5s      %3s %c%4s\n", text, w->name[r], w->chain[residue->chain], number);
  }
}

// ---- Bonds

typedef struct {
  int from, to;  // output atoms
} link;

typedef struct {
  int64_t n, capacity;
  link *links;
} link_list;

static void add_link(link_list *list, int one, int two) {
  if (list->n + 2 > list->capacity) {
    list->capacity = list->capacity ? 2 * list->capacity : 1024;
    list->links = nf_realloc(list->links, (size_t)list->capacity, sizeof *list->links);
  }
  list->links[list->n++] = (link){one, two};
  list->links[list->n++] = (link){two, one};
}

static int find_atom(const nf_layout *l, const layout_residue *r, const char *name) {
  for (int a = r->first_atom; a < r->first_atom + r->n_atoms; a++) {
    if (strcmp(l->atoms[a].name, name) == 0) return a;
  }
  return -1;
}

static void add_if_there(link_list *list, int one, int two) {
  if (one >= 0 && two >= 0) add_link(list, one, two);
}

static int by_atoms(const void *a, const void *b) {
  const link *x = a, *y = b;
  return x->from != y->from ? (x->from > y->from) - (x->from < y->from) : (x->to > y->to) - (x->to < y->to);
}

// Readers know the bonds of standard residues; all others are listed, from both of their atoms.
static void append_bonds(writer *w) {
  const nf_layout *l = w->layout;
  link_list list = {0};
  for (int r = 0; r < l->n_residues; r++) {
    const layout_residue *residue = &l->residues[r];
    bool hetero = is_hetero(l, residue);
    const ccd_component *c = hetero ? residue->component : NULL;
    for (int i = 0; c && i < c->n_bonds; i++) {
      add_if_there(&list, find_atom(l, residue, c->atoms[c->bonds[i].atom1].name),
                   find_atom(l, residue, c->atoms[c->bonds[i].atom2].name));
    }
    const layout_chain *chain = &l->chains[residue->chain];
    if (!is_polymer(l, residue) || r == chain->first_residue) continue;
    const layout_residue *before = residue - 1;
    if (!hetero && !is_hetero(l, before)) continue;
    bool protein = chain->kind == NF_PROTEIN;
    add_if_there(&list, find_atom(l, before, protein ? "C" : "O3'"), find_atom(l, residue, protein ? "N" : "P"));
  }
  for (int i = 0; i < l->n_bonds; i++) add_link(&list, l->bonds[i].atom1, l->bonds[i].atom2);
  if (list.n) qsort(list.links, (size_t)list.n, sizeof *list.links, by_atoms);
  int on_line = 0;
  for (int64_t i = 0; i < list.n; i++) {
    char text[PDB_NUMBER_SIZE];
    const link *here = &list.links[i];
    bool is_new = i == 0 || list.links[i - 1].from != here->from;
    if (!is_new && list.links[i - 1].to == here->to) continue;
    if (is_new || on_line == 4) {
      pdb_number(w->serial[here->from], 5, text);
      nf_str_printf(w->out, "%sCONECT%s", i ? "\n" : "", text);
      on_line = 0;
    }
    pdb_number(w->serial[here->to], 5, text);
    nf_str_puts(w->out, text);
    on_line++;
  }
  if (list.n) nf_str_putc(w->out, '\n');
  free(list.links);
}

void pdb_append(nf_str *out, const nf_job *job, const nf_layout *layout, const nf_scores *scores,
                const output_origin *origin, const output_options *options, nf_arena *arena) {
  writer writer = {.out = out, .arena = arena, .layout = layout, .scores = scores};
  choose_chains(&writer);
  choose_names(&writer);
  append_opening(&writer, job, origin, options);
  append_component_names(&writer);
  append_atoms(&writer);
  append_bonds(&writer);
  nf_str_puts(out, "END\n");
}
