// The compact dictionary: opening, finding, decoding and printing components. The file is described in ccd_format.h.
#include "chem/ccd.h"

#include <ctype.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/str.h"
#include "chem/ccd_format.h"
#include "chem/ccd_read.h"
#include "chem/elements.h"

extern const unsigned char ccd_embedded_start[], ccd_embedded_end[];

typedef _Atomic(ccd_component *) component_slot;

typedef struct {
  char *label;  // the path, or "the embedded dictionary"
  const unsigned char *data;
  size_t size;
  bool mapped;
  int n;
  const ccd_entry *index;  // (n) in data
  component_slot *slots;   // (n) NULL until decoded
} ccd_part;

struct nf_ccd {
  int n_parts;
  ccd_part parts[2];  // a file, if one was opened, before the embedded subset; an overlay has none
  // Of an overlay.
  bool is_overlay;
  const nf_ccd *base;  // may be NULL
  nf_arena *arena;     // not its own
  nf_map *codes;       // to indices of `own`
  const ccd_component **own;
  int n_own;
};

uint64_t ccd_checksum(const ccd_header *header, const ccd_entry *index) {
  // Two sums joined, as the header and the index do not lie side by side.
  uint64_t both[2] = {nf_fnv1a(header, offsetof(ccd_header, checksum)),
                      nf_fnv1a(index, header->n_components * sizeof *index)};
  return nf_fnv1a(both, sizeof both);
}

// ---- opening ----

static nf_status refuse_file(const ccd_part *part, const char *why) {
  return nf_fail(NF_INPUT, "%s: %s; make it again with: nativefold ccd build components.cif.gz --output %s",
                 part->label, why, part->label);
}

// Checks header and index, so that every record's bounds can be trusted. The records themselves have checksums of
// their own, which are looked at when a component is asked for.
static nf_status part_check(ccd_part *part) {
  ccd_header header;
  if (part->size < sizeof header) return refuse_file(part, "is too short for a component dictionary");
  memcpy(&header, part->data, sizeof header);
  if (memcmp(header.magic, CCD_MAGIC, sizeof header.magic) != 0) {
    return refuse_file(part, "is not a component dictionary made by nativefold ccd build");
  }
  if (header.version != CCD_VERSION) return refuse_file(part, "has the format of another version of the program");
  if (header.file_size != part->size) return refuse_file(part, "is damaged: its size is not what its header says");
  if (header.index_offset < sizeof header || header.index_offset > part->size || header.index_offset % 8 != 0 ||
      (part->size - header.index_offset) / sizeof(ccd_entry) != header.n_components ||
      (part->size - header.index_offset) % sizeof(ccd_entry) != 0 || header.n_components > INT32_MAX / 2) {
    return refuse_file(part, "is damaged: its index does not fit the file");
  }
  const ccd_entry *index = (const ccd_entry *)(const void *)(part->data + header.index_offset);
  if (ccd_checksum(&header, index) != header.checksum) return refuse_file(part, "is damaged: its index has changed");
  for (uint32_t i = 0; i < header.n_components; i++) {
    const ccd_entry *e = &index[i];
    if (e->code[sizeof e->code - 1] != '\0' || e->code[0] == '\0' || (i && strcmp(e[-1].code, e->code) >= 0) ||
        e->offset < sizeof header || e->offset > header.index_offset || e->size > header.index_offset - e->offset) {
      return refuse_file(part, "is damaged: its index is out of order");
    }
  }
  part->n = (int)header.n_components;
  part->index = index;
  part->slots = nf_calloc((size_t)part->n, sizeof *part->slots);
  return NF_OK;
}

char *ccd_default_path(void) {
  const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
  nf_str path = {0};
  if (data && *data) {
    nf_str_printf(&path, "%s/nativefold/ccd.bin", data);
  } else if (home && *home) {
    nf_str_printf(&path, "%s/.local/share/nativefold/ccd.bin", home);
  }
  return path.data;
}

nf_status ccd_open(const char *path, nf_ccd **ret_ccd) {
  nf_ccd *ccd = nf_calloc(1, sizeof *ccd);
  nf_status status;
  char *default_path = NULL;
  ccd_part *part;
  *ret_ccd = NULL;
  if (!path) {
    path = getenv("NATIVEFOLD_CCD");
    if (path && !*path) path = NULL;
  }
  if (!path) {
    default_path = ccd_default_path();
    if (default_path && nf_file_exists(default_path)) path = default_path;
  }
  if (path) {
    part = &ccd->parts[ccd->n_parts++];
    part->label = nf_strdup(path);
    const void *data;
    NF_TRY_GOTO(fail, nf_file_map(path, &data, &part->size));
    part->data = data;
    part->mapped = true;
    NF_TRY_GOTO(fail, part_check(part));
  }
  part = &ccd->parts[ccd->n_parts++];
  part->label = nf_strdup("the embedded dictionary");
  part->data = ccd_embedded_start;
  part->size = (size_t)(ccd_embedded_end - ccd_embedded_start);
  NF_TRY_GOTO(fail, part_check(part));
  free(default_path);
  *ret_ccd = ccd;
  return NF_OK;
fail:
  free(default_path);
  ccd_close(ccd);
  return status;
}

void ccd_close(nf_ccd *ccd) {
  if (!ccd) return;
  for (int p = 0; p < ccd->n_parts; p++) {
    ccd_part *part = &ccd->parts[p];
    for (int i = 0; i < part->n; i++) free(atomic_load_explicit(&part->slots[i], memory_order_relaxed));
    free(part->slots);
    if (part->mapped) nf_file_unmap(part->data, part->size);
    free(part->label);
  }
  nf_map_free(ccd->codes);
  free(ccd->own);
  free(ccd);
}

// ---- decoding ----

// Reads a record front to back. Once `bad` is set, every read gives 0 or "".
typedef struct {
  const unsigned char *p, *end;
  bool bad;
} cursor;

static unsigned get_byte(cursor *c) {
  if (c->p == c->end) c->bad = true;
  return c->bad ? 0 : *c->p++;
}

static uint64_t get_varint(cursor *c) {
  uint64_t value = 0;
  for (int shift = 0; shift < 63; shift += 7) {
    unsigned byte = get_byte(c);
    value |= (uint64_t)(byte & 127) << shift;
    if (byte < 128) return c->bad ? 0 : value;
  }
  c->bad = true;
  return 0;
}

// A varint that must be at most `most`.
static int get_count(cursor *c, int most) {
  uint64_t value = get_varint(c);
  if (value > (uint64_t)most) c->bad = true;
  return c->bad ? 0 : (int)value;
}

static float get_float(cursor *c) {
  float value = 0;
  if ((size_t)(c->end - c->p) < sizeof value) c->bad = true;
  if (c->bad) return 0;
  memcpy(&value, c->p, sizeof value);
  c->p += sizeof value;
  if (!isfinite(value)) c->bad = true;
  return value;
}

static const char *get_text(cursor *c, size_t most) {
  const unsigned char *end = c->bad ? NULL : memchr(c->p, '\0', (size_t)(c->end - c->p));
  if (!end || (size_t)(end - c->p) > most) {
    c->bad = true;
    return "";
  }
  const char *text = (const char *)c->p;
  c->p = end + 1;
  return text;
}

static void get_coordinates(cursor *c, bool exact, int64_t last[3], float xyz[3]) {
  for (int k = 0; k < 3; k++) {
    if (exact) {
      xyz[k] = get_float(c);
      continue;
    }
    uint64_t value = get_varint(c);
    last[k] += (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
    if (llabs(last[k]) > (int64_t)100000 * 1000) {
      c->bad = true;
      last[k] = 0;
    }
    xyz[k] = (float)((double)last[k] / 1000);
  }
}

static void get_atom(cursor *c, bool exact, int64_t last_ideal[3], int64_t last_model[3], ccd_atom *atom) {
  strcpy(atom->name, get_text(c, sizeof atom->name - 1));
  unsigned element = get_byte(c);
  if (element > CCD_DEUTERIUM || !atom->name[0]) c->bad = true;
  if (c->bad) return;
  const char *symbol = element == CCD_DEUTERIUM ? "D" : element_symbol((int)element);
  for (int i = 0; symbol[i]; i++) atom->element[i] = (char)toupper((unsigned char)symbol[i]);
  atom->charge = (int8_t)get_byte(c);
  unsigned flags = get_byte(c), stereo = flags >> CCD_ATOM_STEREO_SHIFT;
  atom->has_charge = (flags & CCD_ATOM_HAS_CHARGE) != 0;
  atom->leaving = (flags & CCD_ATOM_LEAVING) != 0;
  atom->has_ideal = (flags & CCD_ATOM_HAS_IDEAL) != 0;
  atom->has_model = (flags & CCD_ATOM_HAS_MODEL) != 0;
  if (stereo >= strlen(CCD_ATOM_STEREO)) c->bad = true;
  atom->stereo = c->bad ? 'N' : CCD_ATOM_STEREO[stereo];
  if (atom->has_ideal) get_coordinates(c, exact, last_ideal, atom->ideal);
  if (atom->has_model) get_coordinates(c, exact, last_model, atom->model);
}

static void get_bond(cursor *c, int n_atoms, ccd_bond *bond) {
  bond->atom1 = (int16_t)get_count(c, n_atoms - 1);
  bond->atom2 = (int16_t)get_count(c, n_atoms - 1);
  unsigned flags = get_byte(c), stereo = flags >> CCD_BOND_STEREO_SHIFT;
  bond->order = flags & CCD_BOND_ORDER;
  bond->has_aromatic = (flags & CCD_BOND_HAS_AROMATIC) != 0;
  bond->aromatic = (flags & CCD_BOND_AROMATIC) != 0;
  if (stereo >= strlen(CCD_BOND_STEREO) || bond->order > 8 || bond->atom1 == bond->atom2) c->bad = true;
  bond->stereo = c->bad ? 'N' : CCD_BOND_STEREO[stereo];
}

// Decodes entry i; the result, with its atoms and bonds, is one piece of memory. NULL if the record is damaged.
static ccd_component *decode(const ccd_part *part, int i) {
  const ccd_entry *e = &part->index[i];
  const unsigned char *record = part->data + e->offset;
  if (nf_fnv1a(record, e->size) != e->checksum) return NULL;
  cursor c = {.p = record, .end = record + e->size};
  int n_atoms = get_count(&c, CCD_MAX_ATOMS), n_bonds = get_count(&c, CCD_MAX_BONDS);
  // An atom takes at least five bytes, a bond three: the counts cannot ask for more memory than the record warrants.
  if (c.bad || (uint64_t)n_atoms * 5 + (uint64_t)n_bonds * 3 > e->size || (n_bonds && !n_atoms)) return NULL;
  size_t bytes = sizeof(ccd_component) + (size_t)n_atoms * sizeof(ccd_atom) + (size_t)n_bonds * sizeof(ccd_bond);
  ccd_component *component = nf_calloc(1, bytes);
  ccd_atom *atoms = (ccd_atom *)(component + 1);
  ccd_bond *bonds = (ccd_bond *)(atoms + n_atoms);
  component->id = e->code;
  component->n_atoms = n_atoms;
  component->n_bonds = n_bonds;
  component->atoms = atoms;
  component->bonds = bonds;
  component->initial_date = get_count(&c, 99991231);
  component->modified_date = get_count(&c, 99991231);
  component->formula_weight = get_float(&c);
  component->one_letter = (char)get_byte(&c);
  unsigned exact = get_byte(&c);
  if (component->one_letter <= ' ' || component->one_letter > '~' || exact > 1) c.bad = true;
  const char **texts[] = {&component->name,   &component->type,     &component->formula,
                          &component->parent, &component->synonyms, &component->smiles};
  for (int k = 0; k < 6; k++) *texts[k] = get_text(&c, e->size);
  int64_t last_ideal[3] = {0}, last_model[3] = {0};
  for (int k = 0; k < n_atoms && !c.bad; k++) get_atom(&c, exact, last_ideal, last_model, &atoms[k]);
  for (int k = 0; k < n_bonds && !c.bad; k++) get_bond(&c, n_atoms, &bonds[k]);
  if (c.bad || c.p != c.end) {
    free(component);
    return NULL;
  }
  return component;
}

static const ccd_component *part_at(const ccd_part *part, int i) {
  ccd_component *component = atomic_load_explicit(&part->slots[i], memory_order_acquire);
  if (component) return component;
  component = decode(part, i);
  ccd_component *other = NULL;
  // Another thread may have decoded it meanwhile: its copy stays.
  if (component && !atomic_compare_exchange_strong(&part->slots[i], &other, component)) {
    free(component);
    component = other;
  }
  return component;
}

// ---- finding ----

// Index of the code in the part; -1 if it is not there.
static int part_find(const ccd_part *part, const char *code) {
  int low = 0, high = part->n;
  while (low < high) {
    int middle = low + (high - low) / 2;
    int order = strcmp(code, part->index[middle].code);
    if (order == 0) return middle;
    if (order < 0) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return -1;
}

const ccd_component *ccd_find(const nf_ccd *ccd, const char *code) {
  int64_t own;
  if (!ccd) return NULL;
  if (ccd->is_overlay) return nf_map_get(ccd->codes, code, &own) ? ccd->own[own] : ccd_find(ccd->base, code);
  for (int p = 0; p < ccd->n_parts; p++) {
    int i = part_find(&ccd->parts[p], code);
    if (i >= 0) return part_at(&ccd->parts[p], i);
  }
  return NULL;
}

nf_status ccd_require(const nf_ccd *ccd, const char *where, const char *code, const ccd_component **ret_component) {
  *ret_component = ccd_find(ccd, code);
  if (*ret_component) return NF_OK;
  if (ccd->is_overlay && ccd->base) return ccd_require(ccd->base, where, code, ret_component);
  for (int p = 0; p < ccd->n_parts; p++) {
    const ccd_part *part = &ccd->parts[p];
    if (part_find(part, code) >= 0) {
      return nf_fail(NF_INPUT,
                     "%s: component %.40s: its record in %s is damaged; make the file again with: nativefold ccd build "
                     "components.cif.gz --output %s",
                     where, code, part->label, part->label);
    }
  }
  if (ccd->n_parts > 1) {
    return nf_fail(NF_INPUT,
                   "%s: component %.40s is not in %s; if it is newer, make that file from today's components.cif.gz of "
                   "the wwPDB with: nativefold ccd build components.cif.gz --output %s",
                   where, code, ccd->parts[0].label, ccd->parts[0].label);
  }
  return nf_fail(
      NF_INPUT,
      "%s: component %.40s is not among the %d embedded ones; add the whole dictionary (components.cif.gz of "
      "the wwPDB) with: nativefold ccd build components.cif.gz",
      where, code, ccd->parts[0].n);
}

int ccd_count(const nf_ccd *ccd) {
  if (ccd->is_overlay) return ccd->n_own + (ccd->base ? ccd_count(ccd->base) : 0);
  int n = 0;
  for (int p = 0; p < ccd->n_parts; p++) n += ccd->parts[p].n;
  return n;
}

const ccd_component *ccd_at(const nf_ccd *ccd, int n) {
  if (ccd->is_overlay) return n < ccd->n_own ? ccd->own[n] : ccd_at(ccd->base, n - ccd->n_own);
  int p = 0;
  for (; p < ccd->n_parts - 1 && n >= ccd->parts[p].n; p++) n -= ccd->parts[p].n;
  NF_ASSERT(n >= 0 && n < ccd->parts[p].n);
  return part_at(&ccd->parts[p], n);
}

// ---- overlays ----

nf_ccd *ccd_overlay(const nf_ccd *base, nf_arena *arena) {
  nf_ccd *ccd = nf_calloc(1, sizeof *ccd);
  ccd->is_overlay = true;
  ccd->base = base;
  ccd->arena = arena;
  ccd->codes = nf_map_create();
  return ccd;
}

void ccd_overlay_add(nf_ccd *overlay, const ccd_component *component) {
  nf_arena *arena = overlay->arena;
  ccd_component *copy = NF_NEW(arena, ccd_component, 1);
  ccd_atom *atoms = NF_NEW(arena, ccd_atom, component->n_atoms + 1);
  ccd_bond *bonds = NF_NEW(arena, ccd_bond, component->n_bonds + 1);
  *copy = *component;
  const char **texts[] = {&copy->id,     &copy->name,     &copy->type,  &copy->formula,
                          &copy->parent, &copy->synonyms, &copy->smiles};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) *texts[i] = nf_arena_strdup(arena, *texts[i]);
  if (copy->n_atoms) memcpy(atoms, component->atoms, (size_t)copy->n_atoms * sizeof *atoms);
  if (copy->n_bonds) memcpy(bonds, component->bonds, (size_t)copy->n_bonds * sizeof *bonds);
  copy->atoms = atoms;
  copy->bonds = bonds;
  bool is_new = nf_map_add(overlay->codes, copy->id, overlay->n_own);
  NF_ASSERT(overlay->is_overlay && is_new);
  overlay->own = nf_realloc(overlay->own, (size_t)overlay->n_own + 1, sizeof *overlay->own);
  overlay->own[overlay->n_own++] = copy;
}

nf_status ccd_overlay_read(nf_ccd *overlay, const char *label, const char *text, size_t length) {
  nf_arena *arena = nf_arena_create();
  ccd_reading reading = {0};
  cif_file file;
  nf_status status;
  NF_TRY_GOTO(done, cif_parse(label, text, length, arena, &file));
  for (int i = 0; i < file.n_blocks; i++) {
    const cif_block *block = &file.blocks[i];
    NF_TRY_GOTO(done, ccd_read(label, block, true, &reading));
    if (nf_map_get(overlay->codes, block->name, &(int64_t){0})) {
      status = nf_fail(NF_INPUT, "%s: component %.40s: comes twice", label, block->name);
      goto done;
    }
    reading.component.from_user = true;
    reading.component.replaces = ccd_find(overlay->base, block->name);
    ccd_overlay_add(overlay, &reading.component);
    ccd_reading_free(&reading);
  }
done:
  ccd_reading_free(&reading);
  nf_arena_free(arena);
  return status;
}

// ---- what a component is ----

int ccd_atom_index(const ccd_component *component, const char *name) {
  for (int i = 0; i < component->n_atoms; i++) {
    if (strcmp(component->atoms[i].name, name) == 0) return i;
  }
  return -1;
}

static bool is_word_character(char c) { return isalnum((unsigned char)c) || c == '_'; }

// Whether `text` has `word` (lower case) in any case; whole: with no letter or digit beside it.
static bool has_word(const char *text, const char *word, bool whole) {
  size_t length = strlen(word);
  for (const char *p = text; *p; p++) {
    size_t k = 0;
    while (k < length && tolower((unsigned char)p[k]) == word[k]) k++;
    if (k == length && (!whole || ((p == text || !is_word_character(p[-1])) && !is_word_character(p[length])))) {
      return true;
    }
  }
  return false;
}

static bool is_saccharide(const ccd_component *component, bool linking) {
  if (component->from_user) component = component->replaces;
  // UNX, the unknown atom, is left out of both sets by name.
  return component && strcmp(component->id, "UNX") != 0 && has_word(component->type, "saccharide", true) &&
         has_word(component->type, "linking", false) == linking;
}

bool ccd_is_glycan_linking(const ccd_component *component) { return is_saccharide(component, true); }

bool ccd_is_glycan_other(const ccd_component *component) { return is_saccharide(component, false); }

const char *ccd_nonstandard_flag(const ccd_component *component) {
  if (strlen(component->type) == strlen("non-polymer") && has_word(component->type, "non-polymer", false)) return ".";
  return *component->parent ? "n" : "y";
}

// ---- printing ----

static void print_date(FILE *out, const char *label, int date) {
  if (date) fprintf(out, "%-10s %04d-%02d-%02d\n", label, date / 10000, date / 100 % 100, date % 100);
}

static void print_text(FILE *out, const char *label, const char *text) {
  if (*text) fprintf(out, "%-10s %s\n", label, text);
}

static void print_xyz(FILE *out, bool known, const float xyz[3]) {
  if (known) {
    fprintf(out, " %8.3f %8.3f %8.3f", xyz[0], xyz[1], xyz[2]);
  } else {
    fprintf(out, " %8s %8s %8s", "?", "?", "?");
  }
}

void ccd_print(FILE *out, const ccd_component *component) {
  static const char *const orders[] = {"unknown",  "single",      "double",    "triple", "quadruple",
                                       "aromatic", "delocalised", "polymeric", "pi"};
  print_text(out, "code", component->id);
  print_text(out, "name", component->name);
  print_text(out, "type", component->type);
  print_text(out, "formula", component->formula);
  if (component->formula_weight > 0) fprintf(out, "%-10s %.3f\n", "weight", component->formula_weight);
  if (component->one_letter != '?') fprintf(out, "%-10s %c\n", "letter", component->one_letter);
  print_text(out, "parent", component->parent);
  print_text(out, "synonyms", component->synonyms);
  print_text(out, "SMILES", component->smiles);
  print_date(out, "made", component->initial_date);
  print_date(out, "modified", component->modified_date);
  fprintf(out, "\n%d atoms: name, element, charge, stereo, leaving, ideal and model coordinates (angstrom)\n",
          component->n_atoms);
  for (int i = 0; i < component->n_atoms; i++) {
    const ccd_atom *a = &component->atoms[i];
    fprintf(out, "  %-7s %-2s ", a->name, a->element);
    if (a->has_charge) {
      fprintf(out, "%3d", a->charge);
    } else {
      fputs("  ?", out);
    }
    fprintf(out, " %c %c", a->stereo, a->leaving ? 'Y' : 'N');
    print_xyz(out, a->has_ideal, a->ideal);
    print_xyz(out, a->has_model, a->model);
    fputc('\n', out);
  }
  fprintf(out, "\n%d bonds: atoms, order, aromatic, stereo\n", component->n_bonds);
  for (int i = 0; i < component->n_bonds; i++) {
    const ccd_bond *b = &component->bonds[i];
    fprintf(out, "  %-7s %-7s %-11s %c %c\n", component->atoms[b->atom1].name, component->atoms[b->atom2].name,
            orders[b->order],
            !b->has_aromatic ? '?'
            : b->aromatic    ? 'Y'
                             : 'N',
            b->stereo);
  }
}
