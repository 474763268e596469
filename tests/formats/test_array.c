// .npy and .npz: what is written is read back, by numpy's rules; what is broken is refused by name.
#include <zlib.h>

#include "../test.h"
#include "base/file.h"
#include "base/str.h"
#include "formats/array.h"

// A path in one directory for the whole file.
static const char *in_dir(nf_arena *arena, const char *name) {
  static const char *dir;
  if (!dir) dir = strdup(test_dir());
  return nf_arena_printf(arena, "%s/%s", dir, name);
}

TEST(dtypes) {
  static const struct {
    nf_dtype dtype;
    const char *name;
    size_t size;
  } expected[] = {{NF_BOOL, "bool", 1},   {NF_I8, "int8", 1},    {NF_U8, "uint8", 1},  {NF_I16, "int16", 2},
                  {NF_I32, "int32", 4},   {NF_U32, "uint32", 4}, {NF_I64, "int64", 8}, {NF_F16, "float16", 2},
                  {NF_F32, "float32", 4}, {NF_F64, "float64", 8}};
  for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
    CHECK_STR(nf_dtype_name(expected[i].dtype), expected[i].name);
    CHECK_INT(nf_dtype_size(expected[i].dtype), expected[i].size);
  }
  nf_array a = {.n_dims = 0};
  CHECK_INT(nf_array_count(&a), 1);
  a = (nf_array){.n_dims = 3, .shape = {2, 0, 5}};
  CHECK_INT(nf_array_count(&a), 0);
}

TEST(half_precision) {
  static const struct {
    float value;
    uint16_t bits;
  } cases[] = {{0, 0},
               {-0.0f, 0x8000},
               {1, 0x3c00},
               {-2, 0xc000},
               {65504, 0x7bff},
               {65519.996f, 0x7bff},
               {65520, 0x7c00},
               {1e30f, 0x7c00},
               {-INFINITY, 0xfc00},
               {0x1p-14f, 0x0400},
               {0x1p-24f, 1},
               {0x1p-25f, 0},
               {0x1.000002p-25f, 1},
               {0x1.8p-24f, 2},
               {0x1.ff8p-15f, 0x03ff},
               {0x1.ffcp-15f, 0x0400},
               {1.0f + 0x1p-11f, 0x3c00},
               {1.0f + 0x3p-11f, 0x3c02},
               {1.0f + 0x1.001p-11f, 0x3c01},
               {0.1f, 0x2e66},
               {3.14159265f, 0x4248}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) CHECK_INT(nf_f16_from_f32(cases[i].value), cases[i].bits);
  CHECK_INT(nf_f16_from_f32(NAN) & 0x7c00, 0x7c00);
  CHECK(nf_f16_from_f32(NAN) & 0x3ff);
  CHECK(isnan(nf_f16_to_f32(0x7e00)));
  // Every half survives the way there and back.
  for (uint32_t bits = 0; bits < 0x10000; bits++) {
    float v = nf_f16_to_f32((uint16_t)bits);
    if (!isnan(v) && nf_f16_from_f32(v) != bits)
      test_fail(__FILE__, __LINE__, "half %04x came back as %04x", bits, nf_f16_from_f32(v));
  }
  // Halfway between two neighbours the even one is taken, a little more or less the nearer.
  for (uint32_t bits = 0; bits < 0x7bff; bits++) {
    float low = nf_f16_to_f32((uint16_t)bits), high = nf_f16_to_f32((uint16_t)(bits + 1)), middle = (low + high) / 2;
    uint32_t even = bits + (bits & 1);
    if (nf_f16_from_f32(middle) != even || nf_f16_from_f32(nextafterf(middle, 0)) != bits ||
        nf_f16_from_f32(nextafterf(middle, INFINITY)) != bits + 1) {
      test_fail(__FILE__, __LINE__, "rounding between %04x and its next", bits);
    }
  }
}

// One array of each type, with odd shapes.
static int make_arrays(nf_array *out) {
  static const double f64[] = {1e300, -0.0, 3};
  static const float f32[24] = {1.5f, -2, INFINITY};
  static const int32_t i32[] = {INT32_MIN, -1, 7};
  static const int64_t i64[] = {INT64_MAX};
  static const uint8_t bools[] = {0, 1, 1, 0};
  static const int8_t i8[] = {-128, 127};
  static const uint16_t f16[] = {0x3c00, 0xc000};
  static const uint32_t u32[] = {UINT32_MAX};
  static const int16_t i16[] = {-300, 300};
  const nf_array all[] = {{"f64", NF_F64, 1, {3}, f64},
                          {"f32", NF_F32, 4, {2, 3, 1, 4}, f32},
                          {"i32", NF_I32, 2, {3, 1}, i32},
                          {"a:scalar", NF_I64, 0, {0}, i64},
                          {"dir/bools", NF_BOOL, 2, {2, 2}, bools},
                          {"i8", NF_I8, 1, {2}, i8},
                          {"f16", NF_F16, 2, {1, 2}, f16},
                          {"u32", NF_U32, 1, {1}, u32},
                          {"i16", NF_I16, 1, {2}, i16},
                          {"empty", NF_F32, 3, {4, 0, 2}, NULL},
                          {"u8", NF_U8, 1, {4}, bools}};
  memcpy(out, all, sizeof all);
  return sizeof all / sizeof *all;
}

static void check_same(const nf_array *a, const nf_array *b) {
  if (!a || !b) {
    test_fail(__FILE__, __LINE__, "an array is missing");
    return;
  }
  CHECK_STR(a->name, b->name);
  CHECK_INT(a->dtype, b->dtype);
  CHECK_INT(a->n_dims, b->n_dims);
  for (int i = 0; i < b->n_dims; i++) CHECK_INT(a->shape[i], b->shape[i]);
  size_t n = (size_t)nf_array_count(b) * nf_dtype_size(b->dtype);
  CHECK(n == 0 || memcmp(a->data, b->data, n) == 0);
}

TEST(npz_round_trip) {
  nf_arena *arena = nf_arena_create();
  nf_array arrays[16], *read;
  int n = make_arrays(arrays), n_read;
  for (int compressed = 0; compressed < 2; compressed++) {
    const char *path = in_dir(arena, compressed ? "c.npz" : "s.npz");
    REQUIRE_OK(nf_npz_write(path, arrays, n, compressed));
    REQUIRE_OK(nf_npz_read(path, arena, &read, &n_read));
    CHECK_INT(n_read, n);
    for (int i = 0; i < n; i++) check_same(nf_array_find(read, n_read, arrays[i].name), &arrays[i]);
    CHECK(!nf_array_find(read, n_read, "f6"));
  }
  REQUIRE_OK(nf_npz_write(in_dir(arena, "none.npz"), NULL, 0, 0));
  REQUIRE_OK(nf_npz_read(in_dir(arena, "none.npz"), arena, &read, &n_read));
  CHECK_INT(n_read, 0);
  nf_arena_free(arena);
}

TEST(the_same_arrays_give_the_same_bytes) {
  nf_arena *arena = nf_arena_create();
  nf_array arrays[16];
  int n = make_arrays(arrays);
  char *a, *b;
  size_t a_size, b_size;
  REQUIRE_OK(nf_npz_write(in_dir(arena, "1.npz"), arrays, n, 1));
  REQUIRE_OK(nf_npz_write(in_dir(arena, "2.npz"), arrays, n, 1));
  REQUIRE_OK(nf_file_read(in_dir(arena, "1.npz"), &a, &a_size));
  REQUIRE_OK(nf_file_read(in_dir(arena, "2.npz"), &b, &b_size));
  CHECK_INT(a_size, b_size);
  CHECK(memcmp(a, b, a_size) == 0);
  free(a);
  free(b);
  nf_arena_free(arena);
}

TEST(large_members_are_compressed_and_read) {
  nf_arena *arena = nf_arena_create();
  enum { N = 3000000 };
  int32_t *values = malloc(N * sizeof *values);
  for (int i = 0; i < N; i++) values[i] = i / 100;
  nf_array array = {"large", NF_I32, 2, {N / 100, 100}, values}, *read;
  int n;
  const char *path = in_dir(arena, "large.npz");
  REQUIRE_OK(nf_npz_write(path, &array, 1, 1));
  char *bytes;
  size_t size;
  REQUIRE_OK(nf_file_read(path, &bytes, &size));
  CHECK(size < N);
  free(bytes);
  REQUIRE_OK(nf_npz_read(path, arena, &read, &n));
  check_same(&read[0], &array);
  free(values);
  nf_arena_free(arena);
}

TEST(many_members) {
  nf_arena *arena = nf_arena_create();
  enum { N = 70000 };  // more than a zip directory of the old kind can count
  nf_array *arrays = NF_NEW(arena, nf_array, N), *read;
  static const int8_t value = 5;
  for (int i = 0; i < N; i++) arrays[i] = (nf_array){nf_arena_printf(arena, "a%d", i), NF_I8, 0, {0}, &value};
  int n;
  const char *path = in_dir(arena, "many.npz");
  REQUIRE_OK(nf_npz_write(path, arrays, N, 0));
  REQUIRE_OK(nf_npz_read(path, arena, &read, &n));
  CHECK_INT(n, N);
  check_same(&read[N - 1], &arrays[N - 1]);
  nf_arena_free(arena);
}

TEST(npy_round_trip) {
  nf_arena *arena = nf_arena_create();
  nf_array arrays[16], read;
  int n = make_arrays(arrays);
  for (int i = 0; i < n; i++) {
    const char *path = in_dir(arena, "one.npy");
    REQUIRE_OK(nf_npy_write(path, &arrays[i]));
    REQUIRE_OK(nf_npy_read(path, arena, &read));
    arrays[i].name = "";
    check_same(&read, &arrays[i]);
    char *bytes;
    size_t size;
    REQUIRE_OK(nf_file_read(path, &bytes, &size));
    CHECK_INT((size - (size_t)nf_array_count(&read) * nf_dtype_size(read.dtype)) % 64, 0);
    free(bytes);
  }
  nf_arena_free(arena);
}

// ---- headers by hand ----

// A .npy of the given version, header text and data.
static nf_str npy(int version, const char *header, const void *data, size_t size) {
  nf_str s = {0};
  size_t n = strlen(header);
  nf_str_append(&s, "\x93NUMPY", 6);
  nf_str_putc(&s, (char)version);
  nf_str_putc(&s, 0);
  for (int i = 0; i < (version == 1 ? 2 : 4); i++) nf_str_putc(&s, (char)(n >> (8 * i)));
  nf_str_append(&s, header, n);
  nf_str_append(&s, data, size);
  return s;
}

static nf_status parse(nf_str s, nf_arena *arena, nf_array *ret) {
  char *copy = malloc(s.length ? s.length : 1);  // exact, so that a sanitizer sees a byte too far
  memcpy(copy, s.data, s.length);
  nf_status status = nf_npy_parse("x.npy", copy, s.length, arena, ret);
  free(copy);
  nf_str_free(&s);
  return status;
}

TEST(headers_as_numpy_may_write_them) {
  nf_arena *arena = nf_arena_create();
  nf_array a;
  const int32_t data[] = {1, 2, 3, 4, 5, 6};
  for (int version = 1; version <= 3; version++) {
    REQUIRE_OK(
        parse(npy(version, "{'descr': '<i4', 'fortran_order': False, 'shape': (2, 3), }   \n", data, 24), arena, &a));
    CHECK_INT(a.n_dims, 2);
    CHECK_INT(a.shape[1], 3);
    CHECK_INT(((const int32_t *)a.data)[5], 6);
  }
  REQUIRE_OK(parse(npy(1, "{\"shape\":(6,),\"fortran_order\":False,\"descr\":\"=i4\"}", data, 24), arena, &a));
  CHECK_INT(a.shape[0], 6);
  REQUIRE_OK(parse(npy(1, "{'descr': '<i4', 'fortran_order': False, 'shape': (6L,)}", data, 24), arena, &a));
  REQUIRE_OK(parse(npy(1, "{'descr': '|u1', 'fortran_order': False, 'shape': ()}", data, 1), arena, &a));
  CHECK_INT(a.n_dims, 0);
  REQUIRE_OK(parse(npy(1, "{'descr': '>i1', 'fortran_order': False, 'shape': (1,)}", data, 1), arena, &a));
  REQUIRE_OK(parse(npy(1, "{'descr': '<f4', 'fortran_order': True, 'shape': (0, 3)}", NULL, 0), arena, &a));
  nf_arena_free(arena);
}

TEST(fortran_order_is_transposed) {
  nf_arena *arena = nf_arena_create();
  nf_array a;
  const int16_t data[] = {0, 100, 10, 110, 20, 120, 1, 101, 11, 111, 21, 121};  // [i][j][k] = 100 i + 10 j + k
  REQUIRE_OK(parse(npy(1, "{'descr': '<i2', 'fortran_order': True, 'shape': (2, 3, 2)}", data, 24), arena, &a));
  const int16_t *v = a.data;
  for (int i = 0; i < 2; i++) {
    for (int j = 0; j < 3; j++) {
      for (int k = 0; k < 2; k++) CHECK_INT(v[(i * 3 + j) * 2 + k], 100 * i + 10 * j + k);
    }
  }
  nf_arena_free(arena);
}

static void check_header_refused(const char *header, size_t size, const char *message) {
  static const char data[64];
  nf_arena *arena = nf_arena_create();
  nf_array a;
  CHECK_INT(parse(npy(1, header, data, size), arena, &a), NF_INPUT);
  CHECK_STR(nf_message(), message);
  nf_arena_free(arena);
}

TEST(headers_refused) {
  const char *broken = "x.npy: its numpy header is broken";
  check_header_refused("", 0, broken);
  check_header_refused("{", 0, broken);
  check_header_refused("{}", 0, broken);
  check_header_refused("[]", 0, broken);
  check_header_refused("{'descr': '<i4', 'shape': (1,)}", 4, broken);
  check_header_refused("{'descr': '<i4', 'fortran_order': 0, 'shape': (1,)}", 4, broken);
  check_header_refused("{'descr': '<i4', 'fortran_order': False, 'shape': (-1,)}", 4, broken);
  check_header_refused("{'descr': '<i4', 'fortran_order': False, 'shape': (1 2)}", 4, broken);
  check_header_refused("{'descr': '<i4', 'fortran_order': False, 'shape': 1}", 4, broken);
  check_header_refused("{'descr': '<i4', 'fortran_order': False, 'shape': (1,)", 4, broken);
  check_header_refused("{'descr': '<i4', 'fortran_order': False, 'shape': (1,)} x", 4, broken);
  check_header_refused("{'descr': '<i4', 'descr': '<i4', 'fortran_order': False, 'shape': (1,)}", 4, broken);
  check_header_refused("{'descr': '<i4', 'fortran_order': False, 'shape': (1,), 'x': 1}", 4, broken);
  check_header_refused("{'descr': '<i4, 'fortran_order': False, 'shape': (1,)}", 4, broken);
  check_header_refused("{'descr': [('a', '<i4'), 'fortran_order': False, 'shape': (1,)}", 4, broken);
  check_header_refused("{'descr': '<i4', 'fortran_order': False, 'shape': (99999999999999999999,)}", 4, broken);
  check_header_refused("{'descr': '<i4', 'fortran_order': False, 'shape': (4611686018427387904, 2)}", 4,
                       "x.npy: its shape is too large");
  check_header_refused("{'descr': '<i4', 'fortran_order': False, 'shape': (0, 4611686018427387904, 2)}", 0,
                       "x.npy: its shape is too large");
  check_header_refused("{'descr': '<i4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1)}", 4,
                       "x.npy: has 9 dimensions, more than 8");
  check_header_refused("{'descr': '>f4', 'fortran_order': False, 'shape': (1,)}", 4,
                       "x.npy: is big-endian (>f4); save it as <f4");
  check_header_refused("{'descr': '<c8', 'fortran_order': False, 'shape': (1,)}", 8,
                       "x.npy: its type '<c8' is not one that is read here");
  check_header_refused("{'descr': '<u2', 'fortran_order': False, 'shape': (1,)}", 2,
                       "x.npy: its type '<u2' is not one that is read here");
  check_header_refused("{'descr': '', 'fortran_order': False, 'shape': (1,)}", 2,
                       "x.npy: its type '' is not one that is read here");
  check_header_refused("{'descr': '<U3', 'fortran_order': False, 'shape': (1,)}", 12, "x.npy: does not hold numbers");
  check_header_refused("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", 12, "x.npy: does not hold numbers");
  check_header_refused("{'descr': [('a', '<i4'), ('b', '<f4', (2,))], 'fortran_order': False, 'shape': (1,)}", 12,
                       "x.npy: does not hold numbers");
  check_header_refused("{'descr': '<i4', 'fortran_order': False, 'shape': (3,)}", 8,
                       "x.npy: holds 8 bytes of data, its shape needs 12");
  check_header_refused("{'descr': '<i4', 'fortran_order': False, 'shape': (3,)}", 13,
                       "x.npy: holds 13 bytes of data, its shape needs 12");
}

TEST(npy_refused) {
  nf_arena *arena = nf_arena_create();
  nf_array a;
  CHECK_INT(nf_npy_parse("x.npy", "", 0, arena, &a), NF_INPUT);
  CHECK_STR(nf_message(), "x.npy: is cut short: 8 bytes are missing");
  CHECK_INT(nf_npy_parse("x.npy", "not an array at all", 19, arena, &a), NF_INPUT);
  CHECK_STR(nf_message(), "x.npy: is not a numpy array of version 1 to 3");
  CHECK_INT(parse(npy(4, "{}", NULL, 0), arena, &a), NF_INPUT);
  CHECK_STR(nf_message(), "x.npy: is not a numpy array of version 1 to 3");
  CHECK_INT(parse(npy(1, "{'descr': '|b1', 'fortran_order': False, 'shape': (2,)}", "\1\2", 2), arena, &a), NF_INPUT);
  CHECK_STR(nf_message(), "x.npy: a bool at index 1 has the value 2");
  nf_str s = npy(2, "{'descr': '|b1', 'fortran_order': False, 'shape': (2,)}", "\1\1", 2);
  s.data[11] = 1;  // header length beyond 16 MiB
  CHECK_INT(parse(s, arena, &a), NF_INPUT);
  CHECK(strstr(nf_message(), "is too long"));
  CHECK_INT(nf_npy_read("/nonexistent.npy", arena, &a), NF_INPUT);
  CHECK_INT(nf_npy_read(test_dir(), arena, &a), NF_INPUT);
  s = npy(1, "{'descr': '<i2', 'fortran_order': False, 'shape': (2,)}\n", "1234", 4);
  for (size_t n = 0; n < s.length; n++) {
    char *copy = malloc(n ? n : 1);
    memcpy(copy, s.data, n);
    CHECK_INT(nf_npy_parse("x.npy", copy, n, arena, &a), NF_INPUT);
    free(copy);
  }
  nf_str_free(&s);
  nf_arena_free(arena);
}

// ---- zip files by hand ----

// A file made by the writer, to be damaged.
static char *make_npz(nf_arena *arena, int compressed, size_t *ret_size) {
  static const int32_t values[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  const nf_array arrays[] = {{"first", NF_I32, 1, {10}, values}, {"second", NF_I32, 2, {2, 5}, values}};
  char *bytes = NULL;
  const char *path = in_dir(arena, "damaged.npz");
  CHECK_OK(nf_npz_write(path, arrays, 2, compressed));
  CHECK_OK(nf_file_read(path, &bytes, ret_size));
  return bytes;
}

// Parses an exact copy; on success the arrays must be sane.
static nf_status parse_npz(const char *bytes, size_t size) {
  nf_arena *arena = nf_arena_create();
  char *copy = malloc(size ? size : 1);
  memcpy(copy, bytes, size);
  nf_array *arrays;
  int n;
  nf_status status = nf_npz_parse("x.npz", copy, size, arena, &arrays, &n);
  long long sum = 0;
  for (int i = 0; i < n; i++) {
    const unsigned char *p = arrays[i].data;
    size_t m = (size_t)nf_array_count(&arrays[i]) * nf_dtype_size(arrays[i].dtype);
    for (size_t k = 0; k < m; k++) sum += p[k];
  }
  CHECK(status == NF_OK || (n == 0 && arrays == NULL));
  CHECK(status == NF_OK || status == NF_INPUT);
  free(copy);
  nf_arena_free(arena);
  return sum < 0 ? NF_FAILED : status;
}

TEST(npz_cut_anywhere_is_refused) {
  nf_arena *arena = nf_arena_create();
  for (int compressed = 0; compressed < 2; compressed++) {
    size_t size;
    char *bytes = make_npz(arena, compressed, &size);
    for (size_t n = 0; n < size; n++) CHECK_INT(parse_npz(bytes, n), NF_INPUT);
    CHECK_OK(parse_npz(bytes, size));
    free(bytes);
  }
  nf_arena_free(arena);
}

TEST(npz_with_any_byte_changed_is_refused_or_harmless) {
  nf_arena *arena = nf_arena_create();
  for (int compressed = 0; compressed < 2; compressed++) {
    size_t size;
    char *bytes = make_npz(arena, compressed, &size);
    int refused = 0;
    for (size_t i = 0; i < size; i++) {
      for (int change = 0; change < 4; change++) {
        char old = bytes[i];
        bytes[i] = (char)(change == 0 ? old ^ 1 : change == 1 ? old ^ 0x80 : change == 2 ? 0 : 0xff);
        refused += parse_npz(bytes, size) == NF_INPUT;
        bytes[i] = old;
      }
    }
    CHECK(refused > 600);
    free(bytes);
  }
  nf_arena_free(arena);
}

static void check_npz_refused(const char *bytes, size_t size, const char *message) {
  CHECK_INT(parse_npz(bytes, size), NF_INPUT);
  CHECK_STR(nf_message(), message);
}

// Offset of the n-th occurrence of a four-byte signature.
static size_t find_signature(const char *bytes, size_t size, const char *signature, int n) {
  for (size_t i = 0; i + 4 <= size; i++) {
    if (memcmp(bytes + i, signature, 4) == 0 && n-- == 0) return i;
  }
  test_fail(__FILE__, __LINE__, "no such signature");
  return 0;
}

TEST(npz_refusals) {
  nf_arena *arena = nf_arena_create();
  nf_array *arrays;
  int n;
  size_t size;
  check_npz_refused("", 0, "x.npz: is not an npz (zip) file");
  check_npz_refused("PK\5\6", 4, "x.npz: is cut short: the zip directory at its end is missing");
  check_npz_refused("{\"json\": 1}", 11, "x.npz: is not an npz (zip) file");
  CHECK_INT(nf_npz_read("/nonexistent.npz", arena, &arrays, &n), NF_INPUT);
  CHECK_STR(nf_message(), "/nonexistent.npz: cannot be read: No such file or directory");

  char *bytes = make_npz(arena, 0, &size);
  size_t central = find_signature(bytes, size, "PK\1\2", 0), second = find_signature(bytes, size, "PK\1\2", 1);
  bytes[central + 8] |= 1;
  check_npz_refused(bytes, size, "x.npz: first: is encrypted");
  bytes[central + 8] &= ~1;
  bytes[central + 10] = 14;
  check_npz_refused(bytes, size,
                    "x.npz: first: its zip method 14 is not read here; save with numpy.savez or savez_compressed");
  bytes[central + 10] = 0;
  bytes[central + 16] ^= 1;
  check_npz_refused(bytes, size, "x.npz: first: is damaged: its checksum is wrong");
  bytes[central + 16] ^= 1;
  bytes[second + 42] += 1;
  check_npz_refused(bytes, size, "x.npz: second: is damaged: its zip header is not where it should be");
  bytes[second + 42] -= 1;
  bytes[second + 22] = 1;  // sizes beyond the file
  bytes[second + 26] = 1;
  check_npz_refused(bytes, size, "x.npz: second: is damaged: its data does not fit into the file");
  bytes[second + 22] = bytes[second + 26] = 0;
  bytes[second + 24] += 1;  // stored, but the sizes differ
  check_npz_refused(bytes, size, "x.npz: second: is damaged: its data does not fit into the file");
  bytes[second + 24] -= 1;
  CHECK_OK(parse_npz(bytes, size));
  memset(bytes + second + 24, 0xff, 4);  // a 64-bit size that is not there: then just a size too large
  check_npz_refused(bytes, size, "x.npz: second: is damaged: its data does not fit into the file");
  free(bytes);

  static const int8_t value;
  const nf_array twice[] = {{"a", NF_I8, 0, {0}, &value}, {"a", NF_I8, 0, {0}, &value}};
  REQUIRE_OK(nf_npz_write(in_dir(arena, "twice.npz"), twice, 2, 0));
  CHECK_INT(nf_npz_read(in_dir(arena, "twice.npz"), arena, &arrays, &n), NF_INPUT);
  CHECK(nf_ends_with(nf_message(), "twice.npz: a: is there twice"));
  CHECK_INT(nf_npz_write("/nonexistent/x.npz", twice, 1, 0), NF_FAILED);
  CHECK_INT(nf_npy_write("/nonexistent/x.npy", twice), NF_FAILED);
  nf_arena_free(arena);
}

// A zip of one stored member with its sizes in a 64-bit extra field, behind a member that is no array.
TEST(foreign_zip_files) {
  nf_str array = npy(1, "{'descr': '<i2', 'fortran_order': False, 'shape': (2,)}", "\1\0\2\0", 4);
  nf_str s = {0};
  const char *const names[] = {"notes.txt", "x.npy"};
  uint32_t offsets[2];
  for (int i = 0; i < 2; i++) {
    offsets[i] = (uint32_t)s.length;
    const char *data = i ? array.data : "hello";
    uint32_t n = i ? (uint32_t)array.length : 5, zero = 0;
    uint16_t header[] = {20, 0, 0, 0, 0};
    uint32_t crc = (uint32_t)crc32(0, (const unsigned char *)data, n), sizes[] = {crc, n, n};
    uint16_t lengths[] = {(uint16_t)strlen(names[i]), 3};
    nf_str_append(&s, "PK\3\4", 4);
    nf_str_append(&s, (char *)header, 10);
    nf_str_append(&s, (char *)sizes, 12);
    nf_str_append(&s, (char *)lengths, 4);
    nf_str_puts(&s, names[i]);
    nf_str_append(&s, (char *)&zero, 3);  // an extra field in the local header that the directory does not have
    nf_str_append(&s, data, n);
  }
  uint32_t start = (uint32_t)s.length;
  for (int i = 0; i < 2; i++) {
    const char *data = i ? array.data : "hello";
    uint64_t n = i ? array.length : 5, wide[] = {n, n, offsets[i]};
    uint32_t sizes[] = {(uint32_t)crc32(0, (const unsigned char *)data, (uInt)n), UINT32_MAX, UINT32_MAX};
    uint16_t header[] = {45, 45, 0, 0, 0, 0}, lengths[] = {(uint16_t)strlen(names[i]), 28 + 6, 4, 0, 0, 0, 0};
    uint32_t at = UINT32_MAX;
    nf_str_append(&s, "PK\1\2", 4);
    nf_str_append(&s, (char *)header, 12);
    nf_str_append(&s, (char *)sizes, 12);
    nf_str_append(&s, (char *)lengths, 14);
    nf_str_append(&s, (char *)&at, 4);
    nf_str_puts(&s, names[i]);
    nf_str_append(&s, "\x75\x70\2\0uu", 6);  // another extra field first
    nf_str_append(&s, "\1\0\30\0", 4);
    nf_str_append(&s, (char *)wide, 24);
    nf_str_puts(&s, "note");
  }
  uint32_t directory[] = {(uint32_t)s.length - start, start};
  nf_str_append(&s, "PK\5\6\0\0\0\0\2\0\2\0", 12);
  nf_str_append(&s, (char *)directory, 8);
  nf_str_append(&s, "\7\0comment", 9);
  nf_arena *arena = nf_arena_create();
  nf_array *arrays;
  int n;
  REQUIRE_OK(nf_npz_parse("x.npz", s.data, s.length, arena, &arrays, &n));
  CHECK_INT(n, 1);
  CHECK_STR(arrays[0].name, "x");
  CHECK_INT(((const int16_t *)arrays[0].data)[1], 2);
  nf_arena_free(arena);
  nf_str_free(&s);
  nf_str_free(&array);
}

TEST(files_of_numpy) {
  REFERENCE_OR_SKIP(path, "network/golden_small_inputs.npz");
  REFERENCE_OR_SKIP(strings, "af3_5tgy/sample-0.npz");
  nf_arena *arena = nf_arena_create();
  nf_array *arrays, *again;
  int n, m;
  REQUIRE_OK(nf_npz_read(path, arena, &arrays, &n));
  CHECK(n > 30);
  REQUIRE_OK(nf_npz_write(in_dir(arena, "again.npz"), arrays, n, 1));
  REQUIRE_OK(nf_npz_read(in_dir(arena, "again.npz"), arena, &again, &m));
  CHECK_INT(m, n);
  for (int i = 0; i < n; i++) check_same(&again[i], &arrays[i]);
  REQUIRE_OK(nf_npz_read(strings, arena, &arrays, &n));
  CHECK(nf_array_find(arrays, n, "coords"));
  CHECK(!nf_array_find(arrays, n, "atom_name"));  // an array of strings is passed over
  nf_arena_free(arena);
}
