// libFuzzer: any bytes as .npz and as .npy; every byte of what is read is touched.
#include "formats/array.h"
#include "fuzz/seeds.h"

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  static const float numbers[] = {1, 2, 3, 4, 5, 6};
  static const unsigned char flags[] = {0, 1};
  const nf_array arrays[] = {{"numbers", NF_F32, 2, {2, 3}, numbers}, {"flags", NF_BOOL, 1, {2}, flags}};
  for (int compressed = 0; compressed < 2; compressed++) {
    if (nf_npz_write(seeds_next(), arrays, 2, compressed) != NF_OK) abort();
  }
  if (nf_npy_write(seeds_next(), &arrays[0]) != NF_OK) abort();
  static const char fortran[] =
      "\x93NUMPY\1\0\x3b\0{'descr': '<i2', 'fortran_order': True, 'shape': (2, 2), }\n12345678";
  seeds_add(fortran, sizeof fortran - 1);
  seeds_use(argc, argv);
  return 0;
}

static volatile unsigned sum;

static void touch(const nf_array *array) {
  const unsigned char *p = array->data;
  size_t n = (size_t)nf_array_count(array) * nf_dtype_size(array->dtype);
  for (size_t i = 0; i < n; i++) sum += p[i];
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size) {
  nf_arena *arena = nf_arena_create();
  nf_array *arrays, one;
  int n;
  if (nf_npz_parse("fuzz", data, size, arena, &arrays, &n) == NF_OK) {
    for (int i = 0; i < n; i++) {
      touch(&arrays[i]);
      if (nf_array_find(arrays, n, arrays[i].name) != &arrays[i]) abort();
    }
  }
  if (nf_npy_parse("fuzz", data, size, arena, &one) == NF_OK) touch(&one);
  nf_arena_free(arena);
  return 0;
}
