// The batch as arrays with names: allocated, read from a feature file, written to one.
#include "features/batch.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "chem/residues.h"

// The axes of a shape string, in the order of `axes` below; digits stand for themselves.
static const char AXES[] = "NASQKRCTPL";
enum { N_AXES = sizeof AXES - 1, N_ELEMENTS_ENCODED = 128, N_CHARS_ENCODED = 64 };

static void get_axes(const nf_batch *b, int64_t axes[N_AXES]) {
  const int values[N_AXES] = {b->n_token, b->n_slot,  b->n_subset,   b->n_query,          b->n_key,
                              b->n_row,   b->n_class, b->n_template, b->n_polymer_ligand, b->n_ligand_ligand};
  for (int i = 0; i < N_AXES; i++) axes[i] = values[i];
}

static void set_axes(nf_batch *b, const int64_t axes[N_AXES]) {
  b->n_token = (int)axes[0];
  b->n_slot = (int)axes[1];
  b->n_subset = (int)axes[2];
  b->n_query = (int)axes[3];
  b->n_key = (int)axes[4];
  b->n_row = (int)axes[5];
  b->n_class = (int)axes[6];
  b->n_template = (int)axes[7];
  b->n_polymer_ligand = (int)axes[8];
  b->n_ligand_ligand = (int)axes[9];
}

static int64_t axis_size(const int64_t axes[N_AXES], char letter) {
  if (letter >= '0' && letter <= '9') return letter - '0';
  const char *at = strchr(AXES, letter);
  NF_ASSERT(at);
  return axes[at - AXES];
}

// One array of a batch, as the table in batch.h gives it.
typedef struct {
  const char *key;
  nf_dtype dtype;
  const char *shape;
  size_t field;  // offset of its pointer in nf_batch
} entry;

static const entry ENTRIES[NF_BATCH_COUNT] = {
#define LIST(field, key, ctype, dtype, shape) {key, dtype, shape, offsetof(nf_batch, field)},
    NF_BATCH_ARRAYS(LIST)
#undef LIST
};

static void *get_data(const nf_batch *b, const entry *e) {
  void *data;
  memcpy(&data, (const char *)b + e->field, sizeof data);
  return data;
}

static nf_array describe(const nf_batch *b, const entry *e, const int64_t axes[N_AXES]) {
  nf_array a = {.name = e->key, .dtype = e->dtype, .n_dims = (int)strlen(e->shape), .data = get_data(b, e)};
  for (int d = 0; d < a.n_dims; d++) a.shape[d] = axis_size(axes, e->shape[d]);
  return a;
}

void batch_allocate(nf_batch *batch, nf_arena *arena) {
  int64_t axes[N_AXES];
  get_axes(batch, axes);
  for (int i = 0; i < NF_BATCH_COUNT; i++) {
    nf_array a = describe(batch, &ENTRIES[i], axes);
    void *data = nf_arena_calloc(arena, (size_t)nf_array_count(&a), nf_dtype_size(a.dtype));
    memcpy((char *)batch + ENTRIES[i].field, &data, sizeof data);
  }
}

int batch_arrays(const nf_batch *batch, nf_array *out) {
  int64_t axes[N_AXES];
  get_axes(batch, axes);
  for (int i = 0; i < NF_BATCH_COUNT; i++) out[i] = describe(batch, &ENTRIES[i], axes);
  return NF_BATCH_COUNT;
}

nf_status batch_write(const nf_batch *batch, const char *path) {
  nf_array arrays[NF_BATCH_COUNT];
  int n = batch_arrays(batch, arrays);
  nf_arena *arena = nf_arena_create();
  for (int i = 0; i < n; i++) {
    if (arrays[i].dtype != NF_I32 || !strchr(arrays[i].name, ':')) continue;
    int64_t count = nf_array_count(&arrays[i]), *wide = NF_NEW(arena, int64_t, count);
    for (int64_t k = 0; k < count; k++) wide[k] = ((const int32_t *)arrays[i].data)[k];
    arrays[i].data = wide;
    arrays[i].dtype = NF_I64;
  }
  nf_status status = nf_npz_write(path, arrays, n, 1);
  nf_arena_free(arena);
  return status;
}

// ---- Reading

static bool is_integer(nf_dtype dtype) {
  return dtype == NF_I8 || dtype == NF_U8 || dtype == NF_I16 || dtype == NF_I32 || dtype == NF_U32 || dtype == NF_I64;
}

static bool is_float(nf_dtype dtype) { return dtype == NF_F16 || dtype == NF_F32 || dtype == NF_F64; }

static int64_t integer_at(const nf_array *a, int64_t i) {
  switch (a->dtype) {
    case NF_I8:
      return ((const int8_t *)a->data)[i];
    case NF_U8:
      return ((const uint8_t *)a->data)[i];
    case NF_I16:
      return ((const int16_t *)a->data)[i];
    case NF_I32:
      return ((const int32_t *)a->data)[i];
    case NF_U32:
      return ((const uint32_t *)a->data)[i];
    default:
      return ((const int64_t *)a->data)[i];
  }
}

static double float_at(const nf_array *a, int64_t i) {
  switch (a->dtype) {
    case NF_F16:
      return (double)nf_f16_to_f32(((const uint16_t *)a->data)[i]);
    case NF_F32:
      return (double)((const float *)a->data)[i];
    default:
      return ((const double *)a->data)[i];
  }
}

// The range of an integer array's values, ends included; those of the type where nothing narrower is meant.
typedef struct {
  int64_t low, high;
} range;

static range range_of(const entry *e, const int64_t axes[N_AXES]) {
#define IS(name) (e->field == offsetof(nf_batch, name))
  int64_t slots = axes[0] * axes[1], queries = axes[2] * axes[3];
  if (IS(pseudo_beta_idxs) || IS(token_atoms_to_queries_idxs) || IS(polymer_ligand_atom_idxs)) {
    return (range){0, slots - 1};
  }
  if (IS(tokens_to_queries_idxs) || IS(tokens_to_keys_idxs) || IS(polymer_ligand_idxs) || IS(ligand_ligand_idxs)) {
    return (range){0, axes[0] - 1};
  }
  if (IS(queries_to_keys_idxs) || IS(queries_to_token_atoms_idxs)) {
    return (range){0, queries - 1};
  }
  if (IS(aatype) || IS(msa) || IS(template_aatype)) {
    return (range){0, axis_size(axes, 'C') - 1};
  }
  if (IS(residue_center_index)) return (range){0, axes[1] - 1};
  if (IS(ref_element)) return (range){0, N_ELEMENTS_ENCODED - 1};
  if (IS(ref_atom_name_chars)) return (range){0, N_CHARS_ENCODED - 1};
  if (IS(seq_length)) return (range){0, axes[0]};
  if (IS(num_alignments)) return (range){0, axis_size(axes, 'R')};
  if (e->dtype == NF_I8) return (range){INT8_MIN, INT8_MAX};
  if (e->dtype == NF_BOOL) return (range){0, 1};
  bool is_number_from_zero =
      IS(token_index) || IS(asym_id) || IS(entity_id) || IS(sym_id) || IS(ref_space_uid) || strchr(e->key, ':');
  return (range){is_number_from_zero ? 0 : INT32_MIN, INT32_MAX};
#undef IS
}

static void print_shape(const int64_t *shape, int n_dims, char *out, size_t size) {
  size_t used = (size_t)snprintf(out, size, "(");
  for (int d = 0; d < n_dims && used < size; d++) {
    used += (size_t)snprintf(out + used, size - used, "%s%lld", d ? ", " : "", (long long)shape[d]);
  }
  if (used < size) snprintf(out + used, size - used, ")");
}

// Takes the size of each axis from the first array that has it, and holds the others to it.
static nf_status fit_shape(const char *path, const entry *e, const nf_array *a, int64_t axes[N_AXES]) {
  int n_dims = (int)strlen(e->shape);
  int64_t expected[NF_MAX_DIMS];
  bool fits = a->n_dims == n_dims;
  for (int d = 0; d < n_dims; d++) {
    expected[d] = axis_size(axes, e->shape[d]);
    if (!fits) continue;
    if (expected[d] < 0) {
      // Templates and bonds there may be none; the rest of the network needs at least one of everything.
      int64_t least = strchr("TPL", e->shape[d]) ? 0 : 1;
      if (a->shape[d] < least || a->shape[d] > INT32_MAX) {
        return nf_fail(NF_INPUT, "%s: %s: axis %d has size %lld, which is out of range", path, e->key, d,
                       (long long)a->shape[d]);
      }
      axes[strchr(AXES, e->shape[d]) - AXES] = expected[d] = a->shape[d];
    }
    fits = a->shape[d] == expected[d];
  }
  if (fits) return NF_OK;
  char is[256], wanted[256];
  print_shape(a->shape, a->n_dims, is, sizeof is);
  if (a->n_dims != n_dims) {
    return nf_fail(NF_INPUT, "%s: %s: its shape is %s, %d axes are expected", path, e->key, is, n_dims);
  }
  print_shape(expected, n_dims, wanted, sizeof wanted);
  return nf_fail(NF_INPUT, "%s: %s: its shape is %s, the other arrays ask for %s", path, e->key, is, wanted);
}

static nf_status read_values(const char *path, const nf_batch *b, const entry *e, const nf_array *a,
                             const int64_t axes[N_AXES]) {
  int64_t count = nf_array_count(a);
  void *out = get_data(b, e);
  if (is_float(e->dtype)) {
    if (!is_float(a->dtype)) {
      return nf_fail(NF_INPUT, "%s: %s: its type is %s, a floating-point type is expected", path, e->key,
                     nf_dtype_name(a->dtype));
    }
    for (int64_t i = 0; i < count; i++) {
      double value = float_at(a, i);
      if (!isfinite(value) || (e->dtype == NF_F32 && !isfinite((float)value))) {
        return nf_fail(NF_INPUT, "%s: %s: element %lld is not a finite number", path, e->key, (long long)i);
      }
      if (e->dtype == NF_F32) {
        ((float *)out)[i] = (float)value;
      } else {
        ((double *)out)[i] = value;
      }
    }
    return NF_OK;
  }
  if (e->dtype == NF_BOOL && a->dtype == NF_BOOL) {
    for (int64_t i = 0; i < count; i++) ((uint8_t *)out)[i] = ((const uint8_t *)a->data)[i] != 0;
    return NF_OK;
  }
  if (!is_integer(a->dtype)) {
    return nf_fail(NF_INPUT, "%s: %s: its type is %s, %s is expected", path, e->key, nf_dtype_name(a->dtype),
                   nf_dtype_name(e->dtype));
  }
  range allowed = range_of(e, axes);
  for (int64_t i = 0; i < count; i++) {
    int64_t value = integer_at(a, i);
    if (value < allowed.low || value > allowed.high) {
      return nf_fail(NF_INPUT, "%s: %s: element %lld is %lld, outside %lld to %lld", path, e->key, (long long)i,
                     (long long)value, (long long)allowed.low, (long long)allowed.high);
    }
    if (e->dtype == NF_I32) {
      ((int32_t *)out)[i] = (int32_t)value;
    } else {  // NF_I8 and NF_BOOL
      ((int8_t *)out)[i] = (int8_t)value;
    }
  }
  return NF_OK;
}

// The shapes that gather indices count in, which must be those of their sources (of the unpadded tokens in places).
static nf_status check_sources(const char *path, const nf_batch *b) {
  const struct {
    const char *key;
    const int32_t *shape;
    int n_dims, rows, columns;
  } sources[] = {
      {"token_atoms_to_pseudo_beta", b->pseudo_beta_shape, 2, b->n_token, b->n_slot},
      {"token_atoms_to_queries", b->token_atoms_to_queries_shape, 2, b->n_token, b->n_slot},
      {"tokens_to_queries", b->tokens_to_queries_shape, 1, b->n_token, 0},
      {"tokens_to_keys", b->tokens_to_keys_shape, 1, b->n_token, 0},
      {"queries_to_keys", b->queries_to_keys_shape, 2, b->n_subset, b->n_query},
      {"queries_to_token_atoms", b->queries_to_token_atoms_shape, 2, b->n_subset, b->n_query},
      {"tokens_to_polymer_ligand_bonds", b->polymer_ligand_shape, 1, b->n_token, 0},
      {"token_atoms_to_polymer_ligand_bonds", b->polymer_ligand_atom_shape, 2, b->n_token, b->n_slot},
      {"tokens_to_ligand_ligand_bonds", b->ligand_ligand_shape, 1, b->n_token, 0},
  };
  for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
    const int32_t *s = sources[i].shape;
    if (s[0] < 1 || s[0] > sources[i].rows || (sources[i].n_dims == 2 && s[1] != sources[i].columns)) {
      return nf_fail(NF_INPUT, "%s: %s:input_shape: it is not the shape of the array that is gathered from", path,
                     sources[i].key);
    }
  }
  return NF_OK;
}

nf_status batch_read(const char *path, nf_arena *arena, nf_batch *ret_batch) {
  nf_batch b = {0};
  int64_t axes[N_AXES];
  nf_array *arrays;
  int n_arrays;
  const nf_array *found[NF_BATCH_COUNT];
  nf_arena *scratch = nf_arena_create();
  nf_status status;
  for (int i = 0; i < N_AXES; i++) axes[i] = -1;
  NF_TRY_GOTO(done, nf_npz_read(path, scratch, &arrays, &n_arrays));
  for (int i = 0; i < NF_BATCH_COUNT; i++) {
    found[i] = nf_array_find(arrays, n_arrays, ENTRIES[i].key);
    if (!found[i]) {
      status = nf_fail(NF_INPUT, "%s: %s: the array is missing", path, ENTRIES[i].key);
      goto done;
    }
    NF_TRY_GOTO(done, fit_shape(path, &ENTRIES[i], found[i], axes));
  }
  // Places are counted in 32 bits everywhere.
  if (axes[0] * axes[1] > INT32_MAX || axes[2] * axes[3] > INT32_MAX) {
    status = nf_fail(NF_INPUT, "%s: pred_dense_atom_mask: more atom slots than can be numbered", path);
    goto done;
  }
  if (axis_size(axes, 'C') > NF_N_CLASSES) {
    status = nf_fail(NF_INPUT, "%s: profile: %lld residue classes, at most %d are known", path,
                     (long long)axis_size(axes, 'C'), NF_N_CLASSES);
    goto done;
  }
  set_axes(&b, axes);
  batch_allocate(&b, arena);
  for (int i = 0; i < NF_BATCH_COUNT; i++) {
    NF_TRY_GOTO(done, read_values(path, &b, &ENTRIES[i], found[i], axes));
  }
  NF_TRY_GOTO(done, check_sources(path, &b));
  *ret_batch = b;
done:
  nf_arena_free(scratch);
  return status;
}
