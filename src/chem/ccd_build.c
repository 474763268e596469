// components.cif to the compact file.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/str.h"
#include "chem/ccd.h"
#include "chem/ccd_format.h"
#include "chem/ccd_read.h"
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

static void put_record(nf_str *out, const ccd_reading *r) {
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

// ---- a component ----

static nf_status add_component(void *context, const cif_block *block) {
  builder *b = context;
  ccd_reading reading;
  if (b->wanted && !nf_map_get(b->wanted, block->name, &(int64_t){0})) return NF_OK;
  size_t length = strlen(block->name);
  if (length == 0 || length > CCD_MAX_CODE) {
    return nf_fail(NF_INPUT, "%s: data block \"%.40s\": a component's code has 1 to 11 characters", b->path,
                   block->name);
  }
  size_t start = b->file.length;
  nf_status status;
  NF_TRY_GOTO(done, ccd_read(b->path, block, false, &reading));
  if (!nf_map_add(b->seen, block->name, 0)) {
    status = nf_fail(NF_INPUT, "%s: component %.40s: _chem_comp.id: the component comes twice", b->path, block->name);
    goto done;
  }
  put_record(&b->file, &reading);
  if (b->n == b->capacity) {
    b->capacity = b->capacity ? b->capacity * 2 : 1024;
    b->index = nf_realloc(b->index, b->capacity, sizeof *b->index);
  }
  size_t size = b->file.length - start;
  if (size > UINT32_MAX) {
    status = nf_fail(NF_INPUT, "%s: component %.40s: is larger than 4 GiB", b->path, block->name);
    goto done;
  }
  ccd_entry *entry = &b->index[b->n++];
  *entry = (ccd_entry){.size = (uint32_t)size, .offset = start, .checksum = nf_fnv1a(b->file.data + start, size)};
  memcpy(entry->code, block->name, length);
done:
  ccd_reading_free(&reading);
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
