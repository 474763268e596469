// Data blocks of components.cif, and of users' own components, to components.
#include "chem/ccd_read.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/map.h"
#include "base/memory.h"
#include "base/str.h"
#include "chem/ccd_format.h"
#include "chem/elements.h"

typedef struct {
  const char *label;
  const cif_block *block;
  bool user;
  ccd_reading *out;
  nf_map *atom_index;
} reading;

static nf_status refuse(const reading *r, const char *item, const char *what) {
  return nf_fail(NF_INPUT, "%s: component %.40s: %s: %s", r->label, r->block->name, item, what);
}

static nf_status refuse_value(const reading *r, const char *item, int row, const char *value, const char *wanted) {
  return nf_fail(NF_INPUT, "%s: component %.40s: %s, row %d: \"%.40s\" is not %s", r->label, r->block->name, item,
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
    if (r->user) return NF_OK;
    return refuse_value(r, item, 0, value, "a date like 2024-05-08");
  }
  *ret_date = date;
  return NF_OK;
}

static nf_status read_header(reading *r) {
  ccd_component *c = &r->out->component;
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
    if (!r->user) return refuse_value(r, "_chem_comp.formula_weight", 0, weight, "a weight");
    value = 0;
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

// Reads coordinates of one kind; unknown ones are 0.
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
    // The reference keeps a user's coordinates that are known beside ones that are not.
    if (!known && !r->user) memset(xyz[i], 0, sizeof xyz[i]);
    for (int k = 0; k < 3; k++) (ideal ? r->out->atoms[i].ideal : r->out->atoms[i].model)[k] = (float)xyz[i][k];
    *(ideal ? &r->out->atoms[i].has_ideal : &r->out->atoms[i].has_model) = known;
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
  r->out->component.n_atoms = n;
  r->out->atoms = nf_calloc((size_t)n, sizeof *r->out->atoms);
  r->out->ideal = nf_calloc((size_t)n, sizeof *r->out->ideal);
  r->out->model = nf_calloc((size_t)n, sizeof *r->out->model);
  for (int i = 0; i < n; i++) {
    ccd_atom *a = &r->out->atoms[i];
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
  NF_TRY(read_coordinates(r, ideal, n, r->out->ideal, true));
  return read_coordinates(r, model, n, r->out->model, false);
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
  r->out->bonds = nf_calloc((size_t)n, sizeof *r->out->bonds);
  for (int i = 0; i < n; i++) {
    // A component of one atom has no bonds, but must have their items: a row of question marks serves.
    if (r->user && cif_is_null(ends[0]->values[i]) && cif_is_null(ends[1]->values[i])) continue;
    ccd_bond *b = &r->out->bonds[r->out->component.n_bonds++];
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
    // Orders that RDKit is not told of cost a user's component its conformer, no more.
    if (!b->order && !cif_is_null(order->values[i]) && !r->user) {
      return refuse_value(r, "_chem_comp_bond.value_order", i, order->values[i], "a bond order like SING or DOUB");
    }
    const char *flag = aromatic ? aromatic->values[i] : NULL;
    b->has_aromatic = !cif_is_null(flag) && (strcmp(flag, "Y") == 0 || strcmp(flag, "N") == 0);
    b->aromatic = b->has_aromatic && flag[0] == 'Y';
    b->stereo = letter_of(stereo, i, CCD_BOND_STEREO);
  }
  return NF_OK;
}

// What the reference asks of every component that comes with a job.
static nf_status require_items(const reading *r) {
  static const char *const items[] = {"_chem_comp.id",
                                      "_chem_comp.name",
                                      "_chem_comp.type",
                                      "_chem_comp.formula",
                                      "_chem_comp.mon_nstd_parent_comp_id",
                                      "_chem_comp.pdbx_synonyms",
                                      "_chem_comp.formula_weight",
                                      "_chem_comp_atom.comp_id",
                                      "_chem_comp_atom.atom_id",
                                      "_chem_comp_atom.type_symbol",
                                      "_chem_comp_atom.charge",
                                      "_chem_comp_atom.pdbx_model_Cartn_x_ideal",
                                      "_chem_comp_atom.pdbx_model_Cartn_y_ideal",
                                      "_chem_comp_atom.pdbx_model_Cartn_z_ideal",
                                      "_chem_comp_bond.atom_id_1",
                                      "_chem_comp_bond.atom_id_2",
                                      "_chem_comp_bond.value_order",
                                      "_chem_comp_bond.pdbx_aromatic_flag"};
  nf_str missing = {0};
  for (size_t i = 0; i < sizeof items / sizeof *items; i++) {
    if (!cif_find(r->block, items[i])) nf_str_printf(&missing, "%s%s", missing.length ? ", " : "", items[i]);
  }
  nf_status status = NF_OK;
  if (missing.length) {
    status = nf_fail(NF_INPUT, "%s: component %.40s: lacks %s", r->label, r->block->name, missing.data);
  }
  nf_str_free(&missing);
  return status;
}

nf_status ccd_read(const char *label, const cif_block *block, bool user, ccd_reading *ret_reading) {
  reading r = {.label = label, .block = block, .user = user, .out = ret_reading};
  *ret_reading = (ccd_reading){.component = {.id = block->name}};
  if (user) NF_TRY(require_items(&r));
  const char *id = text_of(block, "_chem_comp.id");
  if (!user && !*id) return refuse(&r, "_chem_comp.id", "is missing");
  if (!user && strcmp(id, block->name) != 0) {
    return refuse_value(&r, "_chem_comp.id", 0, id, "the name of its data block");
  }
  r.atom_index = nf_map_create();
  nf_status status;
  NF_TRY_GOTO(done, read_header(&r));
  NF_TRY_GOTO(done, read_atoms(&r));
  NF_TRY_GOTO(done, read_bonds(&r));
  ret_reading->component.atoms = ret_reading->atoms;
  ret_reading->component.bonds = ret_reading->bonds;
done:
  nf_map_free(r.atom_index);
  return status;
}

void ccd_reading_free(ccd_reading *reading) {
  free(reading->atoms);
  free(reading->bonds);
  free(reading->ideal);
  free(reading->model);
  *reading = (ccd_reading){0};
}
