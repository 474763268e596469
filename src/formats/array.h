// A named array as numpy stores it: the unit of .npy and .npz files.
#ifndef NF_FORMATS_ARRAY_H
#define NF_FORMATS_ARRAY_H

#include <stddef.h>
#include <stdint.h>

#include "base/memory.h"
#include "base/status.h"

typedef enum { NF_BOOL, NF_I8, NF_U8, NF_I16, NF_I32, NF_U32, NF_I64, NF_F16, NF_F32, NF_F64 } nf_dtype;
enum { NF_MAX_DIMS = 8 };

typedef struct {
  const char *name;  // key in the npz, without ".npy"
  nf_dtype dtype;
  int n_dims;
  int64_t shape[NF_MAX_DIMS];
  const void *data;  // C order, little-endian
} nf_array;

size_t nf_dtype_size(nf_dtype dtype);
const char *nf_dtype_name(nf_dtype dtype);      // "int32"
int64_t nf_array_count(const nf_array *array);  // number of elements

// Reads .npz (stored or deflated members) or .npy (version 1 to 3, C order, little-endian) into the arena.
// Non-numeric members (strings, objects) are skipped in an npz.
NF_CHECKED nf_status nf_npz_read(const char *path, nf_arena *arena, nf_array **ret_arrays, int *ret_n);
NF_CHECKED nf_status nf_npy_read(const char *path, nf_arena *arena, nf_array *ret_array);
// Both refuse, by name, big-endian data, numeric types that are not in nf_dtype, and bool bytes other than 0 and 1;
// fortran_order arrays are transposed into C order.

// NULL if there is none of that name.
const nf_array *nf_array_find(const nf_array *arrays, int n, const char *name);

// The same from bytes in memory; `label` names them in messages.
NF_CHECKED nf_status nf_npz_parse(const char *label, const void *bytes, size_t size, nf_arena *arena,
                                  nf_array **ret_arrays, int *ret_n);
NF_CHECKED nf_status nf_npy_parse(const char *label, const void *bytes, size_t size, nf_arena *arena,
                                  nf_array *ret_array);

// Writes whole or not at all. compressed: deflate (numpy.savez_compressed), else stored.
NF_CHECKED nf_status nf_npz_write(const char *path, const nf_array *arrays, int n, int compressed);
NF_CHECKED nf_status nf_npy_write(const char *path, const nf_array *array);

// IEEE half precision: rounding to nearest, ties to even; overflow becomes infinity, NaN stays NaN.
uint16_t nf_f16_from_f32(float value);
float nf_f16_to_f32(uint16_t bits);

#endif
