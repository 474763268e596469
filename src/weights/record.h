// One record: its head (scope, name, dtype, shape) and its values, as published and as float32.
//
// A record is five little-endian int32 (bytes of scope, of name, of dtype, number of dimensions, bytes of values),
// the three strings, the dimensions as int32, and the values, row-major, little-endian.
#ifndef NF_WEIGHTS_RECORD_H
#define NF_WEIGHTS_RECORD_H

#include <stdint.h>

#include "base/str.h"
#include "weights/source.h"
#include "weights/weights.h"

// The values are stored in mappable files.
typedef enum { RECORD_F32, RECORD_BF16, RECORD_F16, RECORD_U8 } record_dtype;

enum { RECORD_MAX_NAME = 2048 };

#define RECORD_IDENTIFIER "__meta__/__identifier__"
enum { RECORD_IDENTIFIER_SIZE = 64 };

typedef struct {
  char name[RECORD_MAX_NAME + 1];  // scope/name
  record_dtype dtype;
  int n_dims;
  int64_t shape[WEIGHTS_MAX_DIMS];
  int64_t count;  // values
} record_head;

int record_dtype_size(record_dtype dtype);
const char *record_dtype_name(record_dtype dtype);
// false if no record may have this dtype.
bool record_dtype_parse(const char *name, record_dtype *ret_dtype);

// Sets count from the shape. False if a dimension is below 1 or the values would exceed the format's 2 GiB.
bool record_count(record_head *head);
// "48,128,128", in `out`.
const char *record_shape_text(int n_dims, const int64_t *shape, char out[static 160]);

// Reads the next head; *ret_end is true at the end of the stream. `number` is the record's place, for messages.
NF_CHECKED nf_status record_read_head(weights_source *source, int number, record_head *ret_head, bool *ret_end);
// Appends the encoded head to `out`.
void record_encode_head(const record_head *head, nf_str *out);

// n values of `dtype` at `bytes` to float32 and back (rounded to nearest even).
void record_to_float(record_dtype dtype, const void *bytes, int64_t n, float *out);
void record_from_float(record_dtype dtype, const float *values, int64_t n, void *ret_bytes);

#endif
