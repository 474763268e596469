// Heads of records, and conversion of their values.
#include "weights/record.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

static const struct {
  const char *name;
  int size;
} dtypes[] = {[RECORD_F32] = {"float32", 4},
              [RECORD_BF16] = {"bfloat16", 2},
              [RECORD_F16] = {"float16", 2},
              [RECORD_U8] = {"uint8", 1}};

int record_dtype_size(record_dtype dtype) { return dtypes[dtype].size; }
const char *record_dtype_name(record_dtype dtype) { return dtypes[dtype].name; }

bool record_dtype_parse(const char *name, record_dtype *ret_dtype) {
  for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
    if (strcmp(name, dtypes[i].name) == 0) {
      *ret_dtype = (record_dtype)i;
      return true;
    }
  }
  return false;
}

bool record_count(record_head *head) {
  int64_t count = 1;
  for (int i = 0; i < head->n_dims; i++) {
    if (head->shape[i] < 1 || head->shape[i] > INT_MAX || count > INT_MAX / head->shape[i]) return false;
    count *= head->shape[i];
  }
  head->count = count;
  return count <= INT_MAX / record_dtype_size(head->dtype);
}

const char *record_shape_text(int n_dims, const int64_t *shape, char out[static 160]) {
  size_t used = 0;
  out[0] = '\0';
  for (int i = 0; i < n_dims; i++) {
    used += (size_t)snprintf(out + used, 160 - used, "%s%lld", i ? "," : "", (long long)shape[i]);
  }
  if (!n_dims) strcpy(out, "scalar");
  return out;
}

static int32_t little_i32(const unsigned char *p) {
  return (int32_t)(p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
}

// Reads `size` bytes or refuses the file as cut short.
static nf_status read_all(weights_source *source, const char *what, int number, void *out, size_t size) {
  size_t got;
  NF_TRY(source_read(source, out, size, &got));
  if (got < size) {
    return nf_fail(NF_INPUT, "%s: is cut short in the %s of record %d: fetch the file again", source_label(source),
                   what, number);
  }
  return NF_OK;
}

static bool is_text(const char *text, size_t length) {
  for (size_t i = 0; i < length; i++) {
    if (text[i] < 32 || text[i] > 126) return false;
  }
  return true;
}

nf_status record_read_head(weights_source *source, int number, record_head *head, bool *ret_end) {
  unsigned char header[20];
  size_t got;
  *ret_end = false;
  NF_TRY(source_read(source, header, sizeof header, &got));
  if (got == 0) {
    *ret_end = true;
    return NF_OK;
  }
  const char *label = source_label(source);
  if (got < sizeof header) {
    return nf_fail(NF_INPUT, "%s: is cut short in the header of record %d: fetch the file again", label, number);
  }
  int32_t sizes[5];
  for (int i = 0; i < 5; i++) sizes[i] = little_i32(header + 4 * i);
  static const char *const parts[5] = {"scope", "name", "dtype", "shape", "values"};
  static const int32_t least[5] = {0, 1, 1, 0, 1};
  static const int32_t most[5] = {RECORD_MAX_NAME / 2, RECORD_MAX_NAME / 2 - 1, 16, WEIGHTS_MAX_DIMS, INT_MAX};
  for (int i = 0; i < 5; i++) {
    if (sizes[i] < least[i] || sizes[i] > most[i]) {
      return nf_fail(NF_INPUT,
                     "%s: record %d: the length of its %s is %d (%d to %d expected): not a weights file, or damaged",
                     label, number, parts[i], sizes[i], least[i], most[i]);
    }
  }
  // scope + "/" + name; a scope of no letters gives the bare name.
  char *name = head->name, dtype[17] = "";
  NF_TRY(read_all(source, "scope", number, name, (size_t)sizes[0]));
  if (sizes[0]) name[sizes[0]] = '/';
  char *tail = name + sizes[0] + (sizes[0] ? 1 : 0);
  NF_TRY(read_all(source, "name", number, tail, (size_t)sizes[1]));
  tail[sizes[1]] = '\0';
  NF_TRY(read_all(source, "dtype", number, dtype, (size_t)sizes[2]));
  size_t length = (size_t)(tail - name) + (size_t)sizes[1];
  if (!is_text(name, length) || memchr(tail, '/', (size_t)sizes[1]) || !is_text(dtype, (size_t)sizes[2])) {
    return nf_fail(NF_INPUT, "%s: record %d: its name is not plain text: not a weights file, or damaged", label,
                   number);
  }
  if (!record_dtype_parse(dtype, &head->dtype)) {
    return nf_fail(NF_INPUT, "%s: record %s: dtype \"%s\" is unknown (float32, bfloat16, float16 expected)", label,
                   name, dtype);
  }
  unsigned char dims[4 * WEIGHTS_MAX_DIMS];
  head->n_dims = sizes[3];
  NF_TRY(read_all(source, "shape", number, dims, 4 * (size_t)sizes[3]));
  for (int i = 0; i < head->n_dims; i++) head->shape[i] = little_i32(dims + 4 * i);
  char shape[160];
  record_shape_text(head->n_dims, head->shape, shape);
  if (!record_count(head)) {
    return nf_fail(NF_INPUT, "%s: record %s: its shape %s is impossible: the file is damaged", label, name, shape);
  }
  int64_t bytes = head->count * record_dtype_size(head->dtype);
  if (bytes != sizes[4]) {
    return nf_fail(NF_INPUT, "%s: record %s: holds %d bytes where %s of shape %s needs %lld: the file is damaged",
                   label, name, sizes[4], dtype, shape, (long long)bytes);
  }
  bool is_identifier = strcmp(name, RECORD_IDENTIFIER) == 0;
  if (is_identifier != (head->dtype == RECORD_U8) || (is_identifier && head->count != RECORD_IDENTIFIER_SIZE)) {
    return nf_fail(NF_INPUT, "%s: record %s: %s of shape %s: only %s may be (and must be) uint8 of shape %d", label,
                   name, dtype, shape, RECORD_IDENTIFIER, RECORD_IDENTIFIER_SIZE);
  }
  return NF_OK;
}

void record_encode_head(const record_head *head, nf_str *out) {
  const char *slash = strrchr(head->name, '/');
  size_t scope = slash ? (size_t)(slash - head->name) : 0;
  const char *name = slash ? slash + 1 : head->name;
  const char *dtype = record_dtype_name(head->dtype);
  int64_t words[5 + WEIGHTS_MAX_DIMS] = {(int64_t)scope, (int64_t)strlen(name), (int64_t)strlen(dtype), head->n_dims,
                                         head->count * record_dtype_size(head->dtype)};
  unsigned char bytes[4 * (5 + WEIGHTS_MAX_DIMS)];
  for (int i = 0; i < head->n_dims; i++) words[5 + i] = head->shape[i];
  for (int i = 0; i < 5 + head->n_dims; i++) {
    for (int k = 0; k < 4; k++) bytes[4 * i + k] = (unsigned char)((uint32_t)words[i] >> (8 * k));
  }
  nf_str_append(out, (char *)bytes, 20);
  nf_str_append(out, head->name, scope);
  nf_str_puts(out, name);
  nf_str_puts(out, dtype);
  nf_str_append(out, (char *)bytes + 20, 4 * (size_t)head->n_dims);
}

static inline float float_of(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}
static inline uint32_t bits_of(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

static float half_to_float(uint16_t half) {
  uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31, mantissa = half & 1023;
  if (exponent == 31) return float_of(sign | 0x7f800000 | mantissa << 13);
  if (exponent) return float_of(sign | (exponent + 112) << 23 | mantissa << 13);
  float value = (float)mantissa * 0x1p-24f;  // subnormal or zero, exact
  return sign ? -value : value;
}

static uint16_t float_to_half(float value) {
  uint32_t bits = bits_of(value), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return (uint16_t)(sign | 0x7e00);
  if (magnitude >= 0x477ff000) return (uint16_t)(sign | 0x7c00);  // rounds beyond 65504
  if (magnitude < 0x38800000) {  // subnormal half: adding 0.5 leaves its 24-bit multiple of 2^-24 in the low bits
    return (uint16_t)(sign | (bits_of(float_of(magnitude) + 0.5f) - 0x3f000000));
  }
  magnitude += 0xc8000fff + (magnitude >> 13 & 1);  // rebias the exponent by -112, round half to even
  return (uint16_t)(sign | magnitude >> 13);
}

void record_to_float(record_dtype dtype, const void *bytes, int64_t n, float *out) {
  const uint16_t *halves = bytes;
  const uint8_t *octets = bytes;
  switch (dtype) {
    case RECORD_F32:
      memcpy(out, bytes, (size_t)n * sizeof(float));
      break;
    case RECORD_BF16:
      for (int64_t i = 0; i < n; i++) out[i] = float_of((uint32_t)halves[i] << 16);
      break;
    case RECORD_F16:
      for (int64_t i = 0; i < n; i++) out[i] = half_to_float(halves[i]);
      break;
    case RECORD_U8:
      for (int64_t i = 0; i < n; i++) out[i] = octets[i];
      break;
  }
}

void record_from_float(record_dtype dtype, const float *values, int64_t n, void *ret_bytes) {
  uint16_t *halves = ret_bytes;
  uint8_t *octets = ret_bytes;
  switch (dtype) {
    case RECORD_F32:
      memcpy(ret_bytes, values, (size_t)n * sizeof(float));
      break;
    case RECORD_BF16:
      for (int64_t i = 0; i < n; i++) {
        uint32_t bits = bits_of(values[i]);
        halves[i] = (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
      }
      break;
    case RECORD_F16:
      for (int64_t i = 0; i < n; i++) halves[i] = float_to_half(values[i]);
      break;
    case RECORD_U8:
      for (int64_t i = 0; i < n; i++) octets[i] = (uint8_t)values[i];
      break;
  }
}
