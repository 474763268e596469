// components.cif to the compact file.
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/str.h"
#include "chem/ccd.h"
#include "chem/ccd_format.h"
#include "chem/elements.h"
#include "formats/cif.h"
#include "formats/compress.h"

// Room for what the dictionary may become: 0.4 GB today.
static const size_t max_dictionary_bytes = (size_t)8 << 30;

typedef struct {
  const char *path;
  nf_map *wanted;  // codes to keep; NULL for all
  nf_map *seen;    // codes written
  nf_str file;     // header (still zeros) and records
  ccd_entry *index;
  size_t n, capacity;
} builder;

// What is read of one component before it is written.
typedef struct {
  const builder *b;
  const cif_block *block;
  ccd_component component;
  ccd_atom *atoms;
  ccd_bond *bonds;
  double (*ideal)[3], (*model)[3];
  nf_map *atom_index;
} reading;

// ---- writing bytes ----

static void put_byte(nf_str *out, int value) { nf_str_putc(out, (char)value); }

static void put_varint(nf_str *out, uint64_t value) {
  for (; value >= 128; value >>= 7) put_byte(out, (int)(value & 127) | 128);
  put_byte(out, (int)value);
}

static void put_signed(nf_str *out, int64_t value) {
  put_varint(out, ((uint64_t)value << 1) ^ (uint64_t)(value < 0 ? -1 : 0));
}

static void put_float(nf_str *out, float value) { nf_str_append(out, (const char *)&value, sizeof value); }

static void put_text(nf_str *out, const char *text) { nf_str_append(out, text, strlen(text) + 1); }

static bool is_thousandths(double x) { return (double)llround(x * 1000) / 1000 == x; }

static void put_coordinates(nf_str *out, const double x[3], bool exact, int64_t last[3]) {
  for (int k = 0; k < 3; k++) {
    if (exact) {
      put_float(out, (float)x[k]);
    } else {
      int64_t value = llround(x[k] * 1000);
      put_signed(out, value - last[k]);
      last[k] = value;
    }
  }
}

static void put_record(nf_str *out, const reading *r) {
  const ccd_component *c = &r->component;
  bool exact = false;
  for (int i = 0; i < c->n_atoms; i++) {
    for (int k = 0; k < 3; k++) exact |= !is_thousandths(r->ideal[i][k]) || !is_thousandths(r->model[i][k]);
  }
  put_varint(out, (uint64_t)c->n_atoms);
  put_varint(out, (uint64_t)c->n_bonds);
  put_varint(out, (uint64_t)c->initial_date);
  put_varint(out, (uint64_t)c->modified_date);
  put_float(out, c->formula_weight);
  put_byte(out, c->one_letter);
  put_byte(out, exact);
  const char *const texts[] = {c->name, c->type, c->formula, c->parent, c->synonyms, c->smiles};
  for (int i = 0; i < 6; i++) put_text(out, texts[i]);
  int64_t last_ideal[3] = {0}, last_model[3] = {0};
  for (int i = 0; i < c->n_atoms; i++) {
    const ccd_atom *a = &r->atoms[i];
    put_text(out, a->name);
    put_byte(out, strcmp(a->element, "D") == 0 ? CCD_DEUTERIUM : element_number(a->element));
    put_byte(out, a->charge);
    put_byte(out, (a->has_charge ? CCD_ATOM_HAS_CHARGE : 0) | (a->leaving ? CCD_ATOM_LEAVING : 0) |
                      (a->has_ideal ? CCD_ATOM_HAS_IDEAL : 0) | (a->has_model ? CCD_ATOM_HAS_MODEL : 0) |
                      (int)(strchr(CCD_ATOM_STEREO, a->stereo) - CCD_ATOM_STEREO) << CCD_ATOM_STEREO_SHIFT);
    if (a->has_ideal) put_coordinates(out, r->ideal[i], exact, last_ideal);
    if (a->has_model) put_coordinates(out, r->model[i], exact, last_model);
  }
  for (int i = 0; i < c->n_bonds; i++) {
    const ccd_bond *b = &r->bonds[i];
    put_varint(out, (uint64_t)b->atom1);
    put_varint(out, (uint64_t)b->atom2);
    put_byte(out, b->order | (b->has_aromatic ? CCD_BOND_HAS_AROMATIC : 0) | (b->aromatic ? CCD_BOND_AROMATIC : 0) |
                      (int)(strchr(CCD_BOND_STEREO, b->stereo) - CCD_BOND_STEREO) << CCD_BOND_STEREO_SHIFT);
  }
}

// ---- reading a block ----

static nf_status refuse(const reading *r, const char *item, const char *what) {
  return nf_fail(NF_INPUT, "%s: component %.40s: %s: %s", r->b->path, r->block->name, item, what);
}

static nf_status refuse_value(const reading *r, const char *item, int row, const char *value, const char *wanted) {
  return nf_fail(NF_INPUT, "%s: component %.40s: %s, row %d: \"%.40s\" is not %s", r->b->path, r->block->name, item,
                 row + 1, value, wanted);
}

// The first value of an item; "" where it is unknown or absent.
static const char *text_of(const cif_block *block, const char *item) {
  const char *value = cif_value(block, item, 0);
  return cif_is_null(value) ? "" : value;
}

static nf_status read_date(const reading *r, const char *item, int *ret_date) {
  *ret_date = 0;
  const char *value = text_of(r->block, item);
  if (!*value) return NF_OK;
  int date = 0;
  bool good = strlen(value) == 10;
  for (int i = 0; good && i < 10; i++) {
    bool dash = i == 4 || i == 7;
    good = dash ? value[i] == '-' : value[i] >= '0' && value[i] <= '9';
    if (!dash) date = date * 10 + (value[i] - '0');
  }
  if (!good || date % 100 < 1 || date % 100 > 31 || date / 100 % 100 < 1 || date / 100 % 100 > 12) {
    return refuse_value(r, item, 0, value, "a date like 2024-05-08");
  }
  *ret_date = date;
  return NF_OK;
}

static nf_status read_header(reading *r) {
  ccd_component *c = &r->component;
  const cif_block *block = r->block;
  c->name = text_of(block, "_chem_comp.name");
  c->type = text_of(block, "_chem_comp.type");
  c->formula = text_of(block, "_chem_comp.formula");
  c->parent = text_of(block, "_chem_comp.mon_nstd_parent_comp_id");
  c->synonyms = text_of(block, "_chem_comp.pdbx_synonyms");
  const char *letter = text_of(block, "_chem_comp.one_letter_code");
  c->one_letter = letter[0] > ' ' && letter[0] <= '~' && !letter[1] ? letter[0] : '?';
  const char *weight = text_of(block, "_chem_comp.formula_weight");
  double value = 0;
  if (*weight && (!nf_parse_double(weight, &value) || !(value >= 0 && value < 1e9))) {
    return refuse_value(r, "_chem_comp.formula_weight", 0, weight, "a weight");
  }
  c->formula_weight = (float)value;
  NF_TRY(read_date(r, "_chem_comp.pdbx_initial_date", &c->initial_date));
  NF_TRY(read_date(r, "_chem_comp.pdbx_modified_date", &c->modified_date));

  // The last canonical SMILES of OpenEye, else the first canonical one, else the first of any kind.
  c->smiles = "";
  const char *plain = "";
  const cif_column *types = cif_find(block, "_pdbx_chem_comp_descriptor.type");
  for (int i = 0; types && i < types->n_rows; i++) {
    const char *smiles = cif_value(block, "_pdbx_chem_comp_descriptor.descriptor", i);
    const char *program = cif_value(block, "_pdbx_chem_comp_descriptor.program", i);
    if (cif_is_null(smiles)) continue;
    if (strcmp(types->values[i], "SMILES_CANONICAL") == 0) {
      if (!*c->smiles || (program && strcmp(program, "OpenEye OEToolkits") == 0)) c->smiles = smiles;
    } else if (strcmp(types->values[i], "SMILES") == 0 && !*plain) {
      plain = smiles;
    }
  }
  if (!*c->smiles) c->smiles = plain;
  return NF_OK;
}

// A column of the atom or bond loop; it must have as many rows as the loop's first column.
static nf_status find_column(const reading *r, const char *item, int n_rows, bool required, const cif_column **ret) {
  *ret = cif_find(r->block, item);
  if (!*ret && required) return refuse(r, item, "is missing");
  if (*ret && (*ret)->n_rows != n_rows) return refuse(r, item, "has another number of rows than its category");
  return NF_OK;
}

// Reads coordinates of one kind. An atom with one unknown coordinate has none of that kind.
static nf_status read_coordinates(const reading *r, const char *const items[3], int n, double (*xyz)[3], bool ideal) {
  const cif_column *columns[3];
  for (int k = 0; k < 3; k++) NF_TRY(find_column(r, items[k], n, false, &columns[k]));
  for (int i = 0; i < n; i++) {
    bool known = true;
    for (int k = 0; k < 3; k++) {
      const char *value = columns[k] ? columns[k]->values[i] : NULL;
      if (cif_is_null(value)) {
        known = false;
      } else if (!nf_parse_double(value, &xyz[i][k]) || !(fabs(xyz[i][k]) <= 1e5)) {
        return refuse_value(r, items[k], i, value, "a coordinate within 100000 angstrom");
      }
    }
    if (!known) memset(xyz[i], 0, sizeof xyz[i]);
    *(ideal ? &r->atoms[i].has_ideal : &r->atoms[i].has_model) = known;
  }
  return NF_OK;
}

static char letter_of(const cif_column *column, int row, const char *letters) {
  const char *value = column ? column->values[row] : NULL;
  return !cif_is_null(value) && value[0] && !value[1] && strchr(letters, value[0]) ? value[0] : letters[0];
}

static nf_status read_atoms(reading *r) {
  static const char *const ideal[3] = {"_chem_comp_atom.pdbx_model_Cartn_x_ideal",
                                       "_chem_comp_atom.pdbx_model_Cartn_y_ideal",
                                       "_chem_comp_atom.pdbx_model_Cartn_z_ideal"};
  static const char *const model[3] = {"_chem_comp_atom.model_Cartn_x", "_chem_comp_atom.model_Cartn_y",
                                       "_chem_comp_atom.model_Cartn_z"};
  const cif_column *names = cif_find(r->block, "_chem_comp_atom.atom_id"), *elements, *charges, *leaving, *stereo;
  if (!names) {
    // A component may have no atoms (UNL), but not half a table of them.
    if (cif_find(r->block, "_chem_comp_atom.type_symbol")) return refuse(r, "_chem_comp_atom.atom_id", "is missing");
    return NF_OK;
  }
  int n = names->n_rows;
  if (n > CCD_MAX_ATOMS) return refuse(r, "_chem_comp_atom", "has more than 32767 atoms");
  NF_TRY(find_column(r, "_chem_comp_atom.type_symbol", n, true, &elements));
  NF_TRY(find_column(r, "_chem_comp_atom.charge", n, false, &charges));
  NF_TRY(find_column(r, "_chem_comp_atom.pdbx_leaving_atom_flag", n, false, &leaving));
  NF_TRY(find_column(r, "_chem_comp_atom.pdbx_stereo_config", n, false, &stereo));
  r->component.n_atoms = n;
  r->atoms = nf_calloc((size_t)n, sizeof *r->atoms);
  r->ideal = nf_calloc((size_t)n, sizeof *r->ideal);
  r->model = nf_calloc((size_t)n, sizeof *r->model);
  for (int i = 0; i < n; i++) {
    ccd_atom *a = &r->atoms[i];
    const char *name = names->values[i], *element = elements->values[i];
    if (cif_is_null(name) || !*name || strlen(name) >= sizeof a->name) {
      return refuse_value(r, "_chem_comp_atom.atom_id", i, name, "an atom name of 1 to 7 characters");
    }
    strcpy(a->name, name);
    if (!nf_map_add(r->atom_index, name, i)) {
      return refuse_value(r, "_chem_comp_atom.atom_id", i, name, "unique: it names an earlier atom too");
    }
    if (strlen(element) >= sizeof a->element || (element_number(element) == 0 && strcasecmp(element, "X") != 0)) {
      return refuse_value(r, "_chem_comp_atom.type_symbol", i, element, "an element");
    }
    strcpy(a->element, element);
    if (charges && !cif_is_null(charges->values[i])) {
      long long charge;
      if (!nf_parse_int(charges->values[i], &charge) || charge < -100 || charge > 100) {
        return refuse_value(r, "_chem_comp_atom.charge", i, charges->values[i], "a whole number from -100 to 100");
      }
      a->has_charge = true;
      a->charge = (int8_t)charge;
    }
    a->leaving = letter_of(leaving, i, "NY") == 'Y';
    a->stereo = letter_of(stereo, i, CCD_ATOM_STEREO);
  }
  NF_TRY(read_coordinates(r, ideal, n, r->ideal, true));
  return read_coordinates(r, model, n, r->model, false);
}

static nf_status read_bonds(reading *r) {
  static const char *const orders[] = {"SING", "DOUB", "TRIP", "QUAD", "AROM", "DELO", "POLY", "PI"};
  static const char *const ends_items[2] = {"_chem_comp_bond.atom_id_1", "_chem_comp_bond.atom_id_2"};
  const cif_column *ends[2] = {cif_find(r->block, ends_items[0])}, *order, *aromatic, *stereo;
  if (!ends[0]) return NF_OK;
  int n = ends[0]->n_rows;
  if (n > CCD_MAX_BONDS) return refuse(r, "_chem_comp_bond", "has more than 1048576 bonds");
  NF_TRY(find_column(r, ends_items[1], n, true, &ends[1]));
  NF_TRY(find_column(r, "_chem_comp_bond.value_order", n, true, &order));
  NF_TRY(find_column(r, "_chem_comp_bond.pdbx_aromatic_flag", n, false, &aromatic));
  NF_TRY(find_column(r, "_chem_comp_bond.pdbx_stereo_config", n, false, &stereo));
  r->component.n_bonds = n;
  r->bonds = nf_calloc((size_t)n, sizeof *r->bonds);
  for (int i = 0; i < n; i++) {
    ccd_bond *b = &r->bonds[i];
    for (int k = 0; k < 2; k++) {
      int64_t index;
      if (!nf_map_get(r->atom_index, ends[k]->values[i], &index)) {
        return refuse_value(r, ends_items[k], i, ends[k]->values[i], "an atom of this component");
      }
      *(k ? &b->atom2 : &b->atom1) = (int16_t)index;
    }
    if (b->atom1 == b->atom2) {
      return refuse_value(r, ends_items[1], i, ends[1]->values[i], "another atom than the bond's first");
    }
    for (int k = 0; k < 8; k++) {
      if (strcmp(order->values[i], orders[k]) == 0) b->order = (uint8_t)(k + 1);
    }
    if (!b->order && !cif_is_null(order->values[i])) {
      return refuse_value(r, "_chem_comp_bond.value_order", i, order->values[i], "a bond order like SING or DOUB");
    }
    const char *flag = aromatic ? aromatic->values[i] : NULL;
    b->has_aromatic = !cif_is_null(flag) && (strcmp(flag, "Y") == 0 || strcmp(flag, "N") == 0);
    b->aromatic = b->has_aromatic && flag[0] == 'Y';
    b->stereo = letter_of(stereo, i, CCD_BOND_STEREO);
  }
  return NF_OK;
}

static nf_status add_component(void *context, const cif_block *block) {
  builder *b = context;
  reading r = {.b = b, .block = block};
  if (b->wanted && !nf_map_get(b->wanted, block->name, &(int64_t){0})) return NF_OK;
  size_t length = strlen(block->name);
  if (length == 0 || length > CCD_MAX_CODE) {
    return nf_fail(NF_INPUT, "%s: data block \"%.40s\": a component's code has 1 to 11 characters", b->path,
                   block->name);
  }
  const char *id = text_of(block, "_chem_comp.id");
  if (!*id) return refuse(&r, "_chem_comp.id", "is missing");
  if (strcmp(id, block->name) != 0) return refuse_value(&r, "_chem_comp.id", 0, id, "the name of its data block");
  if (!nf_map_add(b->seen, block->name, 0)) return refuse(&r, "_chem_comp.id", "the component comes twice");

  r.atom_index = nf_map_create();
  size_t start = b->file.length;
  nf_status status;
  NF_TRY_GOTO(done, read_header(&r));
  NF_TRY_GOTO(done, read_atoms(&r));
  NF_TRY_GOTO(done, read_bonds(&r));
  put_record(&b->file, &r);
  if (b->n == b->capacity) {
    b->capacity = b->capacity ? b->capacity * 2 : 1024;
    b->index = nf_realloc(b->index, b->capacity, sizeof *b->index);
  }
  size_t size = b->file.length - start;
  if (size > UINT32_MAX) {
    status = refuse(&r, "_chem_comp", "is larger than 4 GiB");
    goto done;
  }
  ccd_entry *entry = &b->index[b->n++];
  *entry = (ccd_entry){.size = (uint32_t)size, .offset = start, .checksum = nf_fnv1a(b->file.data + start, size)};
  memcpy(entry->code, block->name, length);
done:
  nf_map_free(r.atom_index);
  free(r.atoms);
  free(r.bonds);
  free(r.ideal);
  free(r.model);
  return status;
}

// ---- the file ----

static int compare_entries(const void *a, const void *b) {
  return strcmp(((const ccd_entry *)a)->code, ((const ccd_entry *)b)->code);
}

static nf_status write_file(builder *b, const char *output_path) {
  qsort(b->index, b->n, sizeof *b->index, compare_entries);
  while (b->file.length % 8) put_byte(&b->file, 0);
  ccd_header header = {.magic = CCD_MAGIC, .version = CCD_VERSION, .n_components = (uint32_t)b->n};
  header.index_offset = b->file.length;
  header.file_size = b->file.length + b->n * sizeof *b->index;
  header.checksum = ccd_checksum(&header, b->index);
  memcpy(b->file.data, &header, sizeof header);
  nf_str_append(&b->file, (const char *)b->index, b->n * sizeof *b->index);
  return nf_file_write(output_path, b->file.data, b->file.length);
}

// Gives the file's text: mapped if it is plain, else decompressed into memory.
static nf_status open_text(const char *path, const char **ret_text, size_t *ret_size, bool *ret_mapped) {
  const void *data;
  NF_TRY(nf_file_map(path, &data, ret_size));
  *ret_text = data;
  *ret_mapped = true;
  static const char *const magics[] = {"\x1f\x8b",
                                       "\xfd"
                                       "7zXZ",
                                       "\x28\xb5\x2f\xfd"};
  for (int i = 0; i < 3; i++) {
    size_t length = strlen(magics[i]);
    if (*ret_size < length || memcmp(data, magics[i], length) != 0) continue;
    char *text;
    size_t size = *ret_size;
    nf_status status = nf_decompress(path, data, size, max_dictionary_bytes, &text, ret_size);
    nf_file_unmap(data, size);
    *ret_text = status == NF_OK ? text : NULL;
    *ret_mapped = false;
    return status;
  }
  return NF_OK;
}

nf_status ccd_build(const char *components_path, const char *output_path, const char *const *codes, int *ret_n) {
  builder b = {.path = components_path, .seen = nf_map_create()};
  const char *text = NULL;
  size_t size = 0;
  bool mapped = false;
  nf_status status;
  static const char zeros[sizeof(ccd_header)];
  if (codes) {
    b.wanted = nf_map_create();
    for (int i = 0; codes[i]; i++) nf_map_set(b.wanted, codes[i], 0);
  }
  NF_TRY_GOTO(done, open_text(components_path, &text, &size, &mapped));
  if (size == 0) {
    status = nf_fail(NF_INPUT, "%s: is empty; the dictionary is components.cif of the wwPDB", components_path);
    goto done;
  }
  nf_str_append(&b.file, zeros, sizeof zeros);
  NF_TRY_GOTO(done, cif_visit_blocks(components_path, text, size, add_component, &b));
  for (int i = 0; codes && codes[i]; i++) {
    if (!nf_map_get(b.seen, codes[i], &(int64_t){0})) {
      status =
          nf_fail(NF_INPUT, "%s: has no component %.40s, which is in the list of codes", components_path, codes[i]);
      goto done;
    }
  }
  NF_TRY_GOTO(done, write_file(&b, output_path));
  if (ret_n) *ret_n = (int)b.n;
done:
  if (mapped) {
    nf_file_unmap(text, size);
  } else {
    free((void *)(size_t)text);
  }
  nf_map_free(b.wanted);
  nf_map_free(b.seen);
  nf_str_free(&b.file);
  free(b.index);
  return status;
}
