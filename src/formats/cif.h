// CIF/mmCIF syntax: data blocks, items and loops as text. What the words mean is known elsewhere.
#ifndef NF_FORMATS_CIF_H
#define NF_FORMATS_CIF_H

#include <stdbool.h>
#include <stddef.h>

#include "base/memory.h"
#include "base/status.h"
#include "base/str.h"

// A column of a loop, or a single item (n_rows 1). Values are unquoted text; an unquoted "." or "?" stays as it is
// and is told from a quoted one by cif_is_null.
typedef struct {
  const char *name;  // "_atom_site.Cartn_x"; matched without regard to case
  int n_rows;
  const char *const *values;  // (n_rows)
} cif_column;

typedef struct {
  const char *name;  // after "data_"
  int n_columns;
  cif_column *columns;
  void *index;
} cif_block;

typedef struct {
  int n_blocks;
  cif_block *blocks;
} cif_file;

// Parses `text` (length bytes) into the arena; `label` names the file in messages ("label: line 12: ...").
// The values may point into copies owned by the arena; `text` may be freed afterwards.
NF_CHECKED nf_status cif_parse(const char *label, const char *text, size_t length, nf_arena *arena, cif_file *ret_file);

// Calls `visit` for each data block in turn, giving its memory back afterwards: for components.cif (400 MB).
typedef nf_status (*cif_visitor)(void *context, const cif_block *block);
NF_CHECKED nf_status cif_visit_blocks(const char *label, const char *text, size_t length, cif_visitor visit,
                                      void *context);

const cif_column *cif_find(const cif_block *block, const char *name);      // NULL if absent
const char *cif_value(const cif_block *block, const char *name, int row);  // NULL if absent
bool cif_is_null(const char *value);                                       // NULL, or an unquoted "." or "?"

// Writing: quotes a value as CIF needs it (bare, '..', "..", or ;text field;) and appends it.
void cif_append_value(nf_str *out, const char *value);
// Appends a category, laid out as AlphaFold 3 does: one row as "key value" pairs, several (and _atom_site always) as
// a loop_ with aligned columns; then "#\n". category: "_atom_site"; names: item names without it; values: row-major
// (n_rows * n_columns).
void cif_append_category(nf_str *out, const char *category, int n_columns, const char *const *names, int n_rows,
                         const char *const *values);

#endif
