// .npy headers, and .npz as what it is: a zip file whose members are .npy files. The zip part is our own, so that
// the program needs no library that has no static archive.
#include "formats/array.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/file.h"
#include "base/map.h"
#include "base/str.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "arrays are read and written as they lie in memory, which has to be little-endian"
#endif

static const struct {
  const char *name, *descr;
  size_t size;
} dtypes[] = {
    [NF_BOOL] = {"bool", "|b1", 1},   [NF_I8] = {"int8", "|i1", 1},     [NF_U8] = {"uint8", "|u1", 1},
    [NF_I16] = {"int16", "<i2", 2},   [NF_I32] = {"int32", "<i4", 4},   [NF_U32] = {"uint32", "<u4", 4},
    [NF_I64] = {"int64", "<i8", 8},   [NF_F16] = {"float16", "<f2", 2}, [NF_F32] = {"float32", "<f4", 4},
    [NF_F64] = {"float64", "<f8", 8},
};
enum { N_DTYPES = sizeof dtypes / sizeof *dtypes };

size_t nf_dtype_size(nf_dtype dtype) { return dtypes[dtype].size; }
const char *nf_dtype_name(nf_dtype dtype) { return dtypes[dtype].name; }

int64_t nf_array_count(const nf_array *array) {
  int64_t n = 1;
  for (int i = 0; i < array->n_dims; i++) n *= array->shape[i];
  return n;
}

const nf_array *nf_array_find(const nf_array *arrays, int n, const char *name) {
  for (int i = 0; i < n; i++) {
    if (strcmp(arrays[i].name, name) == 0) return &arrays[i];
  }
  return NULL;
}

uint16_t nf_f16_from_f32(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return (uint16_t)(sign | 0x7e00 | (magnitude >> 13 & 0x3ff));
  if (magnitude >= 0x477ff000) return (uint16_t)(sign | 0x7c00);  // 65520 and more round to infinity
  if (magnitude < 0x38800000) {                                   // below 2^-14: subnormal
    if (magnitude < 0x33000000) return (uint16_t)sign;            // below 2^-25
    uint32_t shift = 126 - (magnitude >> 23), mantissa = (magnitude & 0x7fffff) | 0x800000;
    uint32_t half = mantissa >> shift, rest = mantissa & ((1u << shift) - 1), middle = 1u << (shift - 1);
    return (uint16_t)(sign | (half + (rest > middle || (rest == middle && (half & 1)))));
  }
  uint32_t rounded = magnitude - 0x38000000;  // the exponent's bias: 127 to 15
  rounded += 0xfff + (rounded >> 13 & 1);
  return (uint16_t)(sign | rounded >> 13);
}

float nf_f16_to_f32(uint16_t bits) {
  uint32_t sign = (uint32_t)(bits & 0x8000) << 16, exponent = bits >> 10 & 0x1f, mantissa = bits & 0x3ff, out;
  if (exponent == 0) {
    float magnitude = (float)mantissa * 0x1p-24f;
    return sign ? -magnitude : magnitude;
  }
  out = exponent == 31 ? sign | 0x7f800000 | mantissa << 13 : sign | (exponent + 112) << 23 | mantissa << 13;
  float value;
  memcpy(&value, &out, sizeof value);
  return value;
}

// ---- the .npy header ----

typedef enum { KNOWN, NOT_NUMERIC } header_result;

typedef struct {
  nf_dtype dtype;
  bool fortran_order;
  int n_dims;
  int64_t shape[NF_MAX_DIMS];
  size_t bytes;  // of the data
} npy_header;

// A cursor over the header's text, a Python dict literal.
typedef struct {
  const char *p, *end;
} cursor;

static void skip_space(cursor *c) {
  while (c->p < c->end && (*c->p == ' ' || *c->p == '\t' || *c->p == '\n' || *c->p == '\r')) c->p++;
}

static bool take(cursor *c, char wanted) {
  skip_space(c);
  if (c->p == c->end || *c->p != wanted) return false;
  c->p++;
  return true;
}

static bool take_word(cursor *c, const char *word) {
  skip_space(c);
  size_t n = strlen(word);
  if ((size_t)(c->end - c->p) < n || memcmp(c->p, word, n) != 0) return false;
  c->p += n;
  return true;
}

// A quoted string without escapes, at most 63 bytes; longer ones are cut, which no caller can mistake for a dtype.
static bool take_string(cursor *c, char out[64]) {
  skip_space(c);
  if (c->p == c->end || (*c->p != '\'' && *c->p != '"')) return false;
  char quote = *c->p++;
  size_t n = 0;
  for (; c->p < c->end && *c->p != quote; c->p++) {
    if (n < 63) out[n++] = *c->p;
  }
  out[n] = '\0';
  return take(c, quote);
}

// Steps over a bracketed value: the fields of a structured dtype.
static bool skip_list(cursor *c) {
  int depth = 0;
  char text[64];
  while (c->p < c->end) {
    skip_space(c);
    if (c->p == c->end) return false;
    if (*c->p == '\'' || *c->p == '"') {
      if (!take_string(c, text)) return false;
      continue;
    }
    char b = *c->p++;
    if (b == '[' || b == '(') depth++;
    if (b == ']' || b == ')') depth--;
    if (depth == 0) return true;
  }
  return false;
}

// (), (3,), (3, 4): false if it is no tuple of sizes; *ret_n_dims counts also what is beyond NF_MAX_DIMS.
static bool take_shape(cursor *c, int64_t shape[NF_MAX_DIMS], int *ret_n_dims) {
  int n = 0;
  if (!take(c, '(')) return false;
  while (!take(c, ')')) {
    skip_space(c);
    int64_t value = 0;
    const char *start = c->p;
    for (; c->p < c->end && *c->p >= '0' && *c->p <= '9'; c->p++) {
      if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, *c->p - '0', &value)) return false;
    }
    if (c->p == start) return false;
    if (c->p < c->end && *c->p == 'L') c->p++;  // Python 2 wrote long integers so
    if (n < NF_MAX_DIMS) shape[n] = value;
    n++;
    if (!take(c, ',')) {
      if (!take(c, ')')) return false;
      break;
    }
  }
  *ret_n_dims = n;
  return true;
}

static nf_status find_dtype(const char *label, const char *descr, nf_dtype *ret_dtype, header_result *ret_result) {
  const char *type = descr;
  char order = '|';
  if (*type && strchr("<>=|", *type)) order = *type++;
  *ret_result = KNOWN;
  for (int i = 0; i < N_DTYPES; i++) {
    if (strcmp(dtypes[i].descr + 1, type) != 0) continue;
    if (order == '>' && dtypes[i].size > 1) {
      return nf_fail(NF_INPUT, "%s: is big-endian (%s); save it as %s", label, descr, dtypes[i].descr);
    }
    *ret_dtype = (nf_dtype)i;
    return NF_OK;
  }
  if (*type && strchr("USOVMma", *type)) {
    *ret_result = NOT_NUMERIC;
    return NF_OK;
  }
  return nf_fail(NF_INPUT, "%s: its type '%.16s' is not one that is read here", label, descr);
}

static nf_status parse_header(const char *label, const char *text, size_t length, npy_header *h,
                              header_result *ret_result) {
  cursor c = {text, text + length};
  bool has_descr = false, has_order = false, has_shape = false;
  char key[64], descr[64] = "";
  *h = (npy_header){0};
  *ret_result = KNOWN;
  if (!take(&c, '{')) goto broken;
  while (!take(&c, '}')) {
    if (!take_string(&c, key) || !take(&c, ':')) goto broken;
    if (strcmp(key, "descr") == 0 && !has_descr) {
      has_descr = true;
      skip_space(&c);
      if (c.p < c.end && (*c.p == '[' || *c.p == '(')) {
        if (!skip_list(&c)) goto broken;
        strcpy(descr, "V");
      } else if (!take_string(&c, descr)) {
        goto broken;
      }
    } else if (strcmp(key, "fortran_order") == 0 && !has_order) {
      has_order = true;
      h->fortran_order = take_word(&c, "True");
      if (!h->fortran_order && !take_word(&c, "False")) goto broken;
    } else if (strcmp(key, "shape") == 0 && !has_shape) {
      has_shape = true;
      if (!take_shape(&c, h->shape, &h->n_dims)) goto broken;
    } else {
      goto broken;
    }
    if (!take(&c, ',')) {
      if (!take(&c, '}')) goto broken;
      break;
    }
  }
  skip_space(&c);
  if (c.p != c.end || !has_descr || !has_order || !has_shape) goto broken;
  NF_TRY(find_dtype(label, descr, &h->dtype, ret_result));
  if (*ret_result == NOT_NUMERIC) return NF_OK;
  if (h->n_dims > NF_MAX_DIMS) {
    return nf_fail(NF_INPUT, "%s: has %d dimensions, more than %d", label, h->n_dims, NF_MAX_DIMS);
  }
  // A zero among the sizes must not hide the overflow of the others: strides are made of them.
  int64_t all = (int64_t)dtypes[h->dtype].size;
  h->bytes = dtypes[h->dtype].size;
  for (int i = 0; i < h->n_dims; i++) {
    h->bytes *= (size_t)h->shape[i];
    if (h->shape[i] && __builtin_mul_overflow(all, h->shape[i], &all)) {
      return nf_fail(NF_INPUT, "%s: its shape is too large", label);
    }
  }
  return NF_OK;
broken:
  return nf_fail(NF_INPUT, "%s: its numpy header is broken", label);
}

// ---- members: a stream of bytes out of a stored or deflated stretch of the file ----

typedef struct {
  const char *label;
  const unsigned char *in;
  size_t in_left;
  uint64_t out_left;  // bytes still to be had
  bool deflated, z_open;
  z_stream z;
  uint32_t crc;
} member;

static nf_status member_open(member *m, const char *label, const unsigned char *in, size_t in_size, uint64_t out_size,
                             bool deflated) {
  *m = (member){.label = label, .in = in, .in_left = in_size, .out_left = out_size, .deflated = deflated};
  if (!deflated) return NF_OK;
  if (inflateInit2(&m->z, -15) != Z_OK) return nf_fail(NF_MEMORY, "%s: not enough memory to decompress", label);
  m->z_open = true;
  return NF_OK;
}

static void member_close(member *m) {
  if (m->z_open) inflateEnd(&m->z);
  m->z_open = false;
}

static uint32_t crc_of(uint32_t crc, const void *data, size_t size) {
  const unsigned char *p = data;
  while (size) {
    uInt n = size < (1u << 30) ? (uInt)size : 1u << 30;
    crc = (uint32_t)crc32(crc, p, n);
    p += n;
    size -= n;
  }
  return crc;
}

static nf_status member_read(member *m, void *out, size_t size) {
  if (size > m->out_left)
    return nf_fail(NF_INPUT, "%s: is cut short: %zu bytes are missing", m->label, size - (size_t)m->out_left);
  m->out_left -= size;
  if (!m->deflated) {
    if (size > m->in_left) return nf_fail(NF_INPUT, "%s: is cut short", m->label);
    if (size) memcpy(out, m->in, size);
    m->in += size;
    m->in_left -= size;
  } else {
    unsigned char *p = out;
    for (size_t left = size; left;) {
      uInt in_chunk = m->in_left < UINT_MAX ? (uInt)m->in_left : UINT_MAX;
      uInt out_chunk = left < UINT_MAX ? (uInt)left : UINT_MAX;
      m->z.next_in = (unsigned char *)(uintptr_t)m->in;
      m->z.avail_in = in_chunk;
      m->z.next_out = p;
      m->z.avail_out = out_chunk;
      int code = inflate(&m->z, Z_NO_FLUSH);
      size_t got = out_chunk - m->z.avail_out;
      m->in += in_chunk - m->z.avail_in;
      m->in_left -= in_chunk - m->z.avail_in;
      p += got;
      left -= got;
      if ((code != Z_OK && code != Z_STREAM_END) || (code == Z_STREAM_END && left)) {
        return nf_fail(NF_INPUT, "%s: is damaged: its compressed data %s", m->label,
                       code == Z_STREAM_END || code == Z_BUF_ERROR ? "ends early" : "cannot be read");
      }
    }
  }
  m->crc = crc_of(m->crc, out, size);
  return NF_OK;
}

// Brings an array that lies in Fortran order into C order.
static void transpose(const npy_header *h, const char *in, char *out) {
  size_t size = dtypes[h->dtype].size, stride[NF_MAX_DIMS] = {0};
  int64_t at[NF_MAX_DIMS] = {0};
  size_t step = size;
  for (int i = 0; i < h->n_dims; i++) {
    stride[i] = step;
    step *= (size_t)h->shape[i];
  }
  for (size_t done = 0; done < h->bytes; done += size) {
    size_t from = 0;
    for (int i = 0; i < h->n_dims; i++) from += (size_t)at[i] * stride[i];
    memcpy(out + done, in + from, size);
    for (int i = h->n_dims - 1; i >= 0 && ++at[i] == h->shape[i]; i--) at[i] = 0;
  }
}

// Reads a whole .npy out of the stream. *ret_result tells a member that is not numeric, of which nothing more is read.
static nf_status read_npy(member *m, nf_arena *arena, nf_array *array, header_result *ret_result) {
  unsigned char start[12];
  NF_TRY(member_read(m, start, 8));
  if (memcmp(start, "\x93NUMPY", 6) != 0 || start[6] < 1 || start[6] > 3 || start[7] != 0) {
    return nf_fail(NF_INPUT, "%s: is not a numpy array of version 1 to 3", m->label);
  }
  size_t length_bytes = start[6] == 1 ? 2 : 4;
  NF_TRY(member_read(m, start + 8, length_bytes));
  size_t length = (size_t)start[8] | (size_t)start[9] << 8;
  if (length_bytes == 4) length |= (size_t)start[10] << 16 | (size_t)start[11] << 24;
  if (length > (1u << 20)) return nf_fail(NF_INPUT, "%s: its numpy header of %zu bytes is too long", m->label, length);
  char *text = nf_alloc(length);
  npy_header h;
  nf_status status = member_read(m, text, length);
  if (status == NF_OK) status = parse_header(m->label, text, length, &h, ret_result);
  free(text);
  if (status != NF_OK || *ret_result == NOT_NUMERIC) return status;
  if (h.bytes != m->out_left) {
    return nf_fail(NF_INPUT, "%s: holds %llu bytes of data, its shape needs %zu", m->label,
                   (unsigned long long)m->out_left, h.bytes);
  }
  // Deflate cannot shrink by more than about 1 to 1032; a size beyond that is a lie that would cost memory.
  if (m->deflated && h.bytes / 1040 > m->in_left) {
    return nf_fail(NF_INPUT, "%s: is damaged: its compressed data ends early", m->label);
  }
  char *data = nf_arena_alloc(arena, h.bytes);
  NF_TRY(member_read(m, data, h.bytes));
  if (h.dtype == NF_BOOL) {
    for (size_t i = 0; i < h.bytes; i++) {
      if ((unsigned char)data[i] > 1) {
        return nf_fail(NF_INPUT, "%s: a bool at index %zu has the value %d", m->label, i, (unsigned char)data[i]);
      }
    }
  }
  if (h.fortran_order && h.n_dims > 1 && h.bytes) {
    char *ordered = nf_arena_alloc(arena, h.bytes);
    transpose(&h, data, ordered);
    data = ordered;
  }
  array->dtype = h.dtype;
  array->n_dims = h.n_dims;
  memcpy(array->shape, h.shape, sizeof h.shape);
  array->data = data;
  return NF_OK;
}

nf_status nf_npy_parse(const char *label, const void *bytes, size_t size, nf_arena *arena, nf_array *ret_array) {
  member m;
  header_result result;
  *ret_array = (nf_array){.name = ""};
  NF_TRY(member_open(&m, label, bytes, size, size, false));
  NF_TRY(read_npy(&m, arena, ret_array, &result));
  if (result == NOT_NUMERIC) return nf_fail(NF_INPUT, "%s: does not hold numbers", label);
  return NF_OK;
}

nf_status nf_npy_read(const char *path, nf_arena *arena, nf_array *ret_array) {
  const void *bytes;
  size_t size;
  NF_TRY(nf_file_map(path, &bytes, &size));
  nf_status status = nf_npy_parse(path, bytes, size, arena, ret_array);
  nf_file_unmap(bytes, size);
  return status;
}

// ---- the zip file ----

enum {
  LOCAL_SIGNATURE = 0x04034b50,
  CENTRAL_SIGNATURE = 0x02014b50,
  END_SIGNATURE = 0x06054b50,
  END64_SIGNATURE = 0x06064b50,
  LOCATOR_SIGNATURE = 0x07064b50,
  LOCAL_SIZE = 30,
  CENTRAL_SIZE = 46,
  END_SIZE = 22,
  END64_SIZE = 56,
  LOCATOR_SIZE = 20,
  ZIP64_EXTRA = 1,  // tag of the extra field with 64-bit sizes
  STORED = 0,
  DEFLATED = 8,
};
static const uint32_t FULL32 = 0xffffffffu;  // "see the 64-bit field"

static uint32_t get16(const unsigned char *p) { return (uint32_t)p[0] | (uint32_t)p[1] << 8; }
static uint32_t get32(const unsigned char *p) { return get16(p) | get16(p + 2) << 16; }
static uint64_t get64(const unsigned char *p) { return get32(p) | (uint64_t)get32(p + 4) << 32; }

typedef struct {
  uint64_t n_entries, size, offset;
} directory;

static nf_status find_directory(const char *label, const unsigned char *file, size_t size, directory *d) {
  if (size < 4 || (get32(file) != LOCAL_SIGNATURE && get32(file) != END_SIGNATURE)) {
    return nf_fail(NF_INPUT, "%s: is not an npz (zip) file", label);
  }
  if (size < END_SIZE) return nf_fail(NF_INPUT, "%s: is cut short: the zip directory at its end is missing", label);
  // The end record is the last thing in the file but for a comment of at most 65535 bytes.
  size_t lowest = size > END_SIZE + 65535 ? size - END_SIZE - 65535 : 0, at = size - END_SIZE;
  while (get32(file + at) != END_SIGNATURE || at + END_SIZE + get16(file + at + 20) != size) {
    if (at == lowest) return nf_fail(NF_INPUT, "%s: is cut short: the zip directory at its end is missing", label);
    at--;
  }
  const unsigned char *end = file + at;
  if (get16(end + 4) != 0 || get16(end + 6) != 0)
    return nf_fail(NF_INPUT, "%s: is one part of a split zip file", label);
  *d = (directory){get16(end + 10), get32(end + 12), get32(end + 16)};
  if (at >= LOCATOR_SIZE && get32(end - LOCATOR_SIZE) == LOCATOR_SIGNATURE) {
    uint64_t at64 = get64(end - LOCATOR_SIZE + 8);
    if (at64 > at - LOCATOR_SIZE || at - LOCATOR_SIZE - at64 < END64_SIZE || get32(file + at64) != END64_SIGNATURE) {
      return nf_fail(NF_INPUT, "%s: is damaged: its 64-bit zip directory cannot be found", label);
    }
    *d = (directory){get64(file + at64 + 32), get64(file + at64 + 40), get64(file + at64 + 48)};
  }
  if (d->offset > at || d->size > at - d->offset || d->n_entries > d->size / CENTRAL_SIZE) {
    return nf_fail(NF_INPUT, "%s: is damaged: its zip directory does not fit into the file", label);
  }
  return NF_OK;
}

// Reads the member of one directory entry; *ret_result NOT_NUMERIC for what is to be skipped.
static nf_status read_member(const char *label, const unsigned char *file, size_t size, const unsigned char *entry,
                             nf_arena *arena, nf_array *array, header_result *ret_result) {
  uint32_t flags = get16(entry + 8), method = get16(entry + 10), crc = get32(entry + 16);
  uint64_t in_size = get32(entry + 20), out_size = get32(entry + 24), offset = get32(entry + 42);
  size_t name_length = get16(entry + 28), extra_length = get16(entry + 30);
  const unsigned char *name = entry + CENTRAL_SIZE, *extra = name + name_length, *extra_end = extra + extra_length;
  *ret_result = NOT_NUMERIC;
  if (name_length < 4 || memcmp(name + name_length - 4, ".npy", 4) != 0) return NF_OK;
  if (memchr(name, '\0', name_length)) return nf_fail(NF_INPUT, "%s: is damaged: a member's name holds a NUL", label);
  array->name = nf_arena_strndup(arena, (const char *)name, name_length - 4);
  const char *where = nf_arena_printf(arena, "%s: %s", label, array->name);
  while (extra_end - extra >= 4) {
    size_t tag = get16(extra), length = get16(extra + 2);
    extra += 4;
    if (length > (size_t)(extra_end - extra)) break;
    const unsigned char *p = extra, *p_end = extra + length;
    extra = p_end;
    if (tag != ZIP64_EXTRA) continue;
    uint64_t *wide[] = {&out_size, &in_size, &offset};
    for (int i = 0; i < 3; i++) {
      if (*wide[i] != FULL32) continue;
      if (p_end - p < 8) return nf_fail(NF_INPUT, "%s: is damaged: its 64-bit size is missing", where);
      *wide[i] = get64(p);
      p += 8;
    }
  }
  if (flags & 1) return nf_fail(NF_INPUT, "%s: is encrypted", where);
  if (method != STORED && method != DEFLATED) {
    return nf_fail(NF_INPUT, "%s: its zip method %u is not read here; save with numpy.savez or savez_compressed", where,
                   method);
  }
  if (offset > size || size - offset < LOCAL_SIZE || get32(file + offset) != LOCAL_SIGNATURE) {
    return nf_fail(NF_INPUT, "%s: is damaged: its zip header is not where it should be", where);
  }
  uint64_t data = offset + LOCAL_SIZE + get16(file + offset + 26) + get16(file + offset + 28);
  if (data > size || in_size > size - data || (method == STORED && in_size != out_size)) {
    return nf_fail(NF_INPUT, "%s: is damaged: its data does not fit into the file", where);
  }
  member m;
  NF_TRY(member_open(&m, where, file + data, (size_t)in_size, out_size, method == DEFLATED));
  nf_status status = read_npy(&m, arena, array, ret_result);
  if (status == NF_OK && *ret_result == KNOWN && m.crc != crc) {
    status = nf_fail(NF_INPUT, "%s: is damaged: its checksum is wrong", where);
  }
  member_close(&m);
  return status;
}

nf_status nf_npz_parse(const char *label, const void *bytes, size_t size, nf_arena *arena, nf_array **ret_arrays,
                       int *ret_n) {
  *ret_arrays = NULL;
  *ret_n = 0;
  const unsigned char *file = bytes;
  directory d = {0};
  nf_status status = NF_OK;
  NF_TRY(find_directory(label, file, size, &d));
  if (d.n_entries > INT_MAX / 2) return nf_fail(NF_INPUT, "%s: holds too many members", label);
  nf_array *arrays = nf_arena_calloc(arena, (size_t)d.n_entries, sizeof *arrays);
  nf_map *names = nf_map_create();
  const unsigned char *p = file + d.offset, *end = p + d.size;
  int n = 0;
  for (uint64_t i = 0; i < d.n_entries; i++) {
    if (end - p < CENTRAL_SIZE || get32(p) != CENTRAL_SIGNATURE) goto broken;
    size_t length = (size_t)CENTRAL_SIZE + get16(p + 28) + get16(p + 30) + get16(p + 32);
    if ((size_t)(end - p) < length) goto broken;
    header_result result;
    NF_TRY_GOTO(done, read_member(label, file, size, p, arena, &arrays[n], &result));
    p += length;
    if (result == NOT_NUMERIC) continue;
    if (!nf_map_add(names, arrays[n].name, n)) {
      status = nf_fail(NF_INPUT, "%s: %s: is there twice", label, arrays[n].name);
      goto done;
    }
    n++;
  }
  *ret_arrays = arrays;
  *ret_n = n;
done:
  nf_map_free(names);
  return status;
broken:
  status = nf_fail(NF_INPUT, "%s: is damaged: its zip directory is broken", label);
  goto done;
}

nf_status nf_npz_read(const char *path, nf_arena *arena, nf_array **ret_arrays, int *ret_n) {
  const void *bytes;
  size_t size;
  *ret_arrays = NULL;
  *ret_n = 0;
  NF_TRY(nf_file_map(path, &bytes, &size));
  nf_status status = nf_npz_parse(path, bytes, size, arena, ret_arrays, ret_n);
  nf_file_unmap(bytes, size);
  return status;
}

// ---- writing ----

// The .npy header of version 1 as numpy writes it: padded so that the data begins at a multiple of 64 bytes.
static void append_npy_header(nf_str *out, const nf_array *array) {
  nf_str text = {0};
  nf_str_printf(&text, "{'descr': '%s', 'fortran_order': False, 'shape': (", dtypes[array->dtype].descr);
  for (int i = 0; i < array->n_dims; i++) {
    nf_str_printf(&text, i ? ", %lld" : "%lld", (long long)array->shape[i]);
  }
  nf_str_puts(&text, array->n_dims == 1 ? ",), }" : "), }");
  while ((10 + text.length + 1) % 64) nf_str_putc(&text, ' ');
  nf_str_putc(&text, '\n');
  nf_str_append(out, "\x93NUMPY\x01\x00", 8);
  nf_str_putc(out, (char)(text.length & 0xff));
  nf_str_putc(out, (char)(text.length >> 8));
  nf_str_append(out, text.data, text.length);
  nf_str_free(&text);
}

static size_t array_bytes(const nf_array *array) { return (size_t)nf_array_count(array) * dtypes[array->dtype].size; }

nf_status nf_npy_write(const char *path, const nf_array *array) {
  nf_writer *w;
  nf_str header = {0};
  NF_TRY(nf_writer_open(path, &w));
  append_npy_header(&header, array);
  // A short write leaves the stream's error set, which commit reports.
  (void)!fwrite(header.data, 1, header.length, nf_writer_stream(w));
  if (array_bytes(array)) (void)!fwrite(array->data, 1, array_bytes(array), nf_writer_stream(w));
  nf_str_free(&header);
  return nf_writer_commit(w);
}

static void put16(nf_str *s, uint32_t v) {
  nf_str_putc(s, (char)(v & 0xff));
  nf_str_putc(s, (char)(v >> 8 & 0xff));
}
static void put32(nf_str *s, uint32_t v) {
  put16(s, v & 0xffff);
  put16(s, v >> 16);
}
static void put64(nf_str *s, uint64_t v) {
  put32(s, (uint32_t)v);
  put32(s, (uint32_t)(v >> 32));
}
static uint32_t narrow(uint64_t v) { return v < FULL32 ? (uint32_t)v : FULL32; }

typedef struct {
  uint64_t offset, in_size, out_size;
  uint32_t crc;
  bool wide;  // 64-bit sizes in the local header
} zip_entry;

// The fields that local header and directory entry share: version needed to method, time, crc, sizes, name length.
static void put_common(nf_str *s, const zip_entry *e, bool compressed, bool wide, size_t name_length) {
  put16(s, wide ? 45 : 20);
  put16(s, 0x800);  // the name is UTF-8
  put16(s, compressed ? DEFLATED : STORED);
  put16(s, 0);
  put16(s, 0x21);  // 1980-01-01: the same arrays give the same bytes
  put32(s, e->crc);
  put32(s, wide ? FULL32 : (uint32_t)e->in_size);
  put32(s, wide ? FULL32 : (uint32_t)e->out_size);
  put16(s, (uint32_t)name_length);
}

static void put_local_header(nf_str *s, const zip_entry *e, bool compressed, const char *name) {
  put32(s, LOCAL_SIGNATURE);
  put_common(s, e, compressed, e->wide, strlen(name) + 4);
  put16(s, e->wide ? 20 : 0);
  nf_str_printf(s, "%s.npy", name);
  if (!e->wide) return;
  put16(s, ZIP64_EXTRA);
  put16(s, 16);
  put64(s, e->out_size);
  put64(s, e->in_size);
}

static void put_central_header(nf_str *s, const zip_entry *e, bool compressed, const char *name) {
  bool wide = e->wide || e->offset >= FULL32;
  put32(s, CENTRAL_SIGNATURE);
  put16(s, 3 << 8 | 45);  // made on Unix
  put_common(s, e, compressed, wide, strlen(name) + 4);
  put16(s, wide ? 28 : 0);
  put16(s, 0);  // comment
  put16(s, 0);  // disk
  put16(s, 0);
  put32(s, 0600u << 16);  // rw-------
  put32(s, wide ? FULL32 : (uint32_t)e->offset);
  nf_str_printf(s, "%s.npy", name);
  if (!wide) return;
  put16(s, ZIP64_EXTRA);
  put16(s, 24);
  put64(s, e->out_size);
  put64(s, e->in_size);
  put64(s, e->offset);
}

static void put_end(nf_str *s, uint64_t n, uint64_t offset) {
  uint64_t size = s->length;
  if (n >= 0xffff || offset >= FULL32 || size >= FULL32) {
    put32(s, END64_SIGNATURE);
    put64(s, END64_SIZE - 12);
    put16(s, 45);
    put16(s, 45);
    put32(s, 0);
    put32(s, 0);
    put64(s, n);
    put64(s, n);
    put64(s, size);
    put64(s, offset);
    put32(s, LOCATOR_SIGNATURE);
    put32(s, 0);
    put64(s, offset + size);
    put32(s, 1);
  }
  put32(s, END_SIGNATURE);
  put16(s, 0);
  put16(s, 0);
  put16(s, n < 0xffff ? (uint32_t)n : 0xffff);
  put16(s, n < 0xffff ? (uint32_t)n : 0xffff);
  put32(s, narrow(size));
  put32(s, narrow(offset));
  put16(s, 0);
}

// Deflates header and data into the stream; *ret_size gets the compressed size.
static void deflate_to(FILE *out, const nf_str *header, const void *data, size_t size, uint64_t *ret_size) {
  enum { CHUNK = 1 << 16 };
  unsigned char buffer[CHUNK];
  z_stream z = {0};
  int code = deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY);
  NF_ASSERT(code == Z_OK);
  const struct {
    const void *p;
    size_t n;
  } parts[] = {{header->data, header->length}, {data, size}};
  *ret_size = 0;
  for (int i = 0; i < 2; i++) {
    const unsigned char *p = parts[i].p;
    size_t left = parts[i].n;
    do {
      z.next_in = (unsigned char *)(uintptr_t)p;
      z.avail_in = left < (1u << 30) ? (uInt)left : 1u << 30;
      p += z.avail_in;
      left -= z.avail_in;
      int flush = i == 1 && !left ? Z_FINISH : Z_NO_FLUSH;
      do {
        z.next_out = buffer;
        z.avail_out = CHUNK;
        code = deflate(&z, flush);
        NF_ASSERT(code != Z_STREAM_ERROR);
        size_t n = CHUNK - z.avail_out;
        (void)!fwrite(buffer, 1, n, out);
        *ret_size += n;
      } while (!z.avail_out);
    } while (left);
  }
  deflateEnd(&z);
}

nf_status nf_npz_write(const char *path, const nf_array *arrays, int n, int compressed) {
  nf_writer *w;
  NF_TRY(nf_writer_open(path, &w));
  FILE *out = nf_writer_stream(w);
  nf_str header = {0}, local = {0}, central = {0};
  nf_status status = NF_OK;
  uint64_t at = 0;
  for (int i = 0; i < n; i++) {
    const nf_array *a = &arrays[i];
    size_t size = array_bytes(a);
    NF_ASSERT(strlen(a->name) + 4 <= 0xffff);
    header.length = local.length = 0;
    append_npy_header(&header, a);
    zip_entry e = {.offset = at, .out_size = (uint64_t)header.length + size};
    e.in_size = e.out_size;
    // Deflate may lengthen what it cannot shrink, by less than a thousandth.
    e.wide = e.out_size + e.out_size / 1000 + 1024 >= FULL32;
    e.crc = crc_of(crc_of(0, header.data, header.length), a->data, size);
    put_local_header(&local, &e, compressed, a->name);
    (void)!fwrite(local.data, 1, local.length, out);
    if (compressed) {
      deflate_to(out, &header, a->data, size, &e.in_size);
      // Now that the compressed size is known, the header is written once more.
      local.length = 0;
      put_local_header(&local, &e, compressed, a->name);
      if (fseeko(out, (off_t)at, SEEK_SET) != 0 || fwrite(local.data, 1, local.length, out) != local.length ||
          fseeko(out, 0, SEEK_END) != 0) {
        status = nf_fail(NF_FAILED, "%s: cannot be written", path);
        goto done;
      }
    } else {
      (void)!fwrite(header.data, 1, header.length, out);
      if (size) (void)!fwrite(a->data, 1, size, out);
    }
    at += local.length + e.in_size;
    put_central_header(&central, &e, compressed, a->name);
  }
  put_end(&central, (uint64_t)n, at);
  (void)!fwrite(central.data, 1, central.length, out);
  status = nf_writer_commit(w);
  w = NULL;
done:
  nf_writer_abandon(w);
  nf_str_free(&header);
  nf_str_free(&local);
  nf_str_free(&central);
  return status;
}
