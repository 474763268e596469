// Feature files: written, read back, refused.
#include <limits.h>

#include "fixture.h"

static const char *path_in(const char *name) {
  static char path[256];
  snprintf(path, sizeof path, "%s/%s", test_dir(), name);
  return path;
}

TEST(batch_round_trip) {
  fixture f;
  REQUIRE_OK(fixture_open(&f, PROTEIN("\"A\"", "ACDEF", "") "," LIGAND("\"B\"", "\"SO4\""), 0));
  REQUIRE_OK(fixture_fill(&f));
  f.batch.deletion_mean[1] = 1.0 / 3;
  f.batch.ref_pos[5] = -0.25f;
  const char *path = path_in("a.npz");
  REQUIRE_OK(batch_write(&f.batch, path));
  nf_batch back;
  REQUIRE_OK(batch_read(path, f.arena, &back));
  nf_array a[NF_BATCH_COUNT], b[NF_BATCH_COUNT];
  CHECK_INT(batch_arrays(&f.batch, a), NF_BATCH_COUNT);
  CHECK_INT(batch_arrays(&back, b), NF_BATCH_COUNT);
  for (int i = 0; i < NF_BATCH_COUNT; i++) {
    CHECK_STR(b[i].name, a[i].name);
    CHECK_INT(nf_array_count(&b[i]), nf_array_count(&a[i]));
    CHECK(memcmp(a[i].data, b[i].data, (size_t)nf_array_count(&a[i]) * nf_dtype_size(a[i].dtype)) == 0);
  }
  CHECK_INT(back.n_token, 10);
  CHECK_INT(back.n_row, 16384);
  // In the file, gather indices are int64 as numpy's are.
  nf_array *arrays;
  int n;
  REQUIRE_OK(nf_npz_read(path, f.arena, &arrays, &n));
  CHECK_INT(n, NF_BATCH_COUNT);
  CHECK_INT(nf_array_find(arrays, n, "tokens_to_keys:gather_idxs")->dtype, NF_I64);
  CHECK_INT(nf_array_find(arrays, n, "tokens_to_keys:input_shape")->dtype, NF_I64);
  CHECK_INT(nf_array_find(arrays, n, "deletion_mean")->dtype, NF_F64);
  CHECK_INT(nf_array_find(arrays, n, "aatype")->dtype, NF_I32);
  CHECK_INT(nf_array_find(arrays, n, "seq_length")->n_dims, 0);
  fixture_close(&f);
}

// The features the golden network values were made from: int32 throughout, float32 deletion means.
TEST(batch_reads_the_golden_inputs) {
  REFERENCE_OR_SKIP(path, "network/golden_small_inputs.npz");
  nf_arena *arena = nf_arena_create();
  nf_batch b;
  REQUIRE_OK(batch_read(path, arena, &b));
  CHECK_INT(b.n_token, 41);
  CHECK_INT(b.n_subset, 31);
  CHECK_INT(b.n_row, 20);
  CHECK_INT(b.n_template, 4);
  CHECK_INT(b.n_ligand_ligand, 410);
  nf_arena_free(arena);
}

// A file in which one array differs from the good one.
typedef struct {
  const char *key;
  enum { LEAVE_OUT, SET_TYPE, SET_VALUE, ADD_AXIS, SHRINK } how;
  nf_dtype dtype;
  double value;
  const char *message;
} damage;

static nf_status read_damaged(const fixture *f, const damage *d, const char *path) {
  nf_array arrays[NF_BATCH_COUNT];
  int n = batch_arrays(&f->batch, arrays), n_kept = 0;
  for (int i = 0; i < n; i++) {
    nf_array a = arrays[i];
    if (strcmp(a.name, d->key) == 0) {
      if (d->how == LEAVE_OUT) continue;
      int64_t count = nf_array_count(&a);
      if (d->how == SET_TYPE) a.data = nf_arena_calloc(f->arena, (size_t)count, nf_dtype_size(a.dtype = d->dtype));
      if (d->how == ADD_AXIS) a.shape[a.n_dims++] = 1;
      if (d->how == SHRINK) a.shape[0]--;
      if (d->how == SET_VALUE) {
        size_t size = nf_dtype_size(a.dtype);
        char *copy = nf_arena_alloc(f->arena, (size_t)count * size);
        memcpy(copy, a.data, (size_t)count * size);
        int32_t i32 = (int32_t)d->value;
        int8_t i8 = (int8_t)d->value;
        float f32 = (float)d->value;
        memcpy(copy + (size_t)(count - 1) * size,
               a.dtype == NF_I32   ? (void *)&i32
               : a.dtype == NF_I8  ? (void *)&i8
               : a.dtype == NF_F32 ? (void *)&f32
                                   : (void *)&d->value,
               size);
        a.data = copy;
      }
    }
    arrays[n_kept++] = a;
  }
  NF_TRY(nf_npz_write(path, arrays, n_kept, 0));
  nf_batch b;
  return batch_read(path, f->arena, &b);
}

TEST(batch_refusals) {
  fixture f;
  REQUIRE_OK(fixture_open(&f, PROTEIN("\"A\"", "ACDEF", ""), 0));
  REQUIRE_OK(fixture_fill(&f));
  const damage cases[] = {
      {"msa", LEAVE_OUT, 0, 0, "msa: the array is missing"},
      {"queries_to_keys:gather_mask", LEAVE_OUT, 0, 0, "queries_to_keys:gather_mask: the array is missing"},
      {"ref_pos", SET_TYPE, NF_I32, 0, "ref_pos: its type is int32"},
      {"aatype", SET_TYPE, NF_F32, 0, "aatype: its type is float32"},
      {"seq_mask", SET_TYPE, NF_F64, 0, "seq_mask: its type is float64"},
      {"asym_id", ADD_AXIS, 0, 0, "asym_id: its shape is (5, 1), 1 axes are expected"},
      {"asym_id", SHRINK, 0, 0, "asym_id: its shape is (4), the other arrays ask for (5)"},
      {"msa_mask", SHRINK, 0, 0, "msa_mask: its shape is (16383, 5)"},
      {"aatype", SET_VALUE, 0, 31, "aatype: element 4 is 31, outside 0 to 30"},
      {"aatype", SET_VALUE, 0, -1, "aatype: element 4 is -1"},
      {"msa", SET_VALUE, 0, 31, "msa: element 81919 is 31"},
      {"msa", SET_VALUE, 0, -7, "msa: element 81919 is -7"},
      {"template_aatype", SET_VALUE, 0, 44, "template_aatype: element 19 is 44"},
      {"residue_center_index", SET_VALUE, 0, 24, "residue_center_index: element 4 is 24"},
      {"ref_element", SET_VALUE, 0, 128, "ref_element: element 119 is 128"},
      {"ref_atom_name_chars", SET_VALUE, 0, 64, "ref_atom_name_chars: element 479 is 64"},
      {"token_atoms_to_queries:gather_idxs", SET_VALUE, 0, 120,
       "token_atoms_to_queries:gather_idxs: element 127 is 120"},
      {"tokens_to_queries:gather_idxs", SET_VALUE, 0, 5, "tokens_to_queries:gather_idxs: element 127 is 5"},
      {"tokens_to_keys:gather_idxs", SET_VALUE, 0, -1, "tokens_to_keys:gather_idxs: element 511 is -1"},
      {"queries_to_keys:gather_idxs", SET_VALUE, 0, 128, "queries_to_keys:gather_idxs: element 511 is 128"},
      {"queries_to_token_atoms:gather_idxs", SET_VALUE, 0, INT_MAX, "queries_to_token_atoms:gather_idxs: element 119"},
      {"token_atoms_to_pseudo_beta:gather_idxs", SET_VALUE, 0, 120,
       "token_atoms_to_pseudo_beta:gather_idxs: element 4"},
      {"tokens_to_ligand_ligand_bonds:gather_idxs", SET_VALUE, 0, 5,
       "tokens_to_ligand_ligand_bonds:gather_idxs: element 99"},
      {"tokens_to_polymer_ligand_bonds:gather_idxs", SET_VALUE, 0, 6,
       "tokens_to_polymer_ligand_bonds:gather_idxs: element 9"},
      {"queries_to_keys:input_shape", SET_VALUE, 0, 31, "queries_to_keys:input_shape: it is not the shape"},
      {"tokens_to_keys:input_shape", SET_VALUE, 0, 6, "tokens_to_keys:input_shape: it is not the shape"},
      {"seq_length", SET_VALUE, 0, 6, "seq_length: element 0 is 6"},
      {"num_alignments", SET_VALUE, 0, 16385, "num_alignments: element 0 is 16385"},
      {"ref_pos", SET_VALUE, 0, NAN, "ref_pos: element 359 is not a finite number"},
      {"ref_charge", SET_VALUE, 0, INFINITY, "ref_charge: element 119 is not a finite number"},
      {"profile", SET_VALUE, 0, -INFINITY, "profile: element 154 is not a finite number"},
      {"deletion_mean", SET_VALUE, 0, NAN, "deletion_mean: element 4 is not a finite number"},
      {"template_atom_positions", SET_VALUE, 0, NAN, "template_atom_positions: element 1439 is not a finite number"},
  };
  const char *path = path_in("damaged.npz");
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    CHECK_INT(read_damaged(&f, &cases[i], path), NF_INPUT);
    if (strncmp(nf_message(), path, strlen(path)) != 0 || !strstr(nf_message(), cases[i].message)) {
      test_fail(__FILE__, __LINE__, "case %zu: \"%s\" should say \"%s\"", i, nf_message(), cases[i].message);
    }
  }
  const damage wider = {"aatype", SET_TYPE, NF_I64, 0, NULL};  // another width of the same kind is fine
  CHECK_OK(read_damaged(&f, &wider, path));
  nf_batch b;
  CHECK_INT(batch_read("/nonexistent/f.npz", f.arena, &b), NF_INPUT);
  fixture_close(&f);
}
