// Weights: records in every form, the mappable copy, what is refused.
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "formats/array.h"
#include "formats/compress.h"
#include "tests/test.h"
#include "weights/weights.h"

static char path_buffers[8][512];
static const char *join(const char *directory, const char *name) {
  static int next;
  char *path = path_buffers[next++ % 8];
  snprintf(path, sizeof path_buffers[0], "%s/%s", directory, name);
  return path;
}

static void put_i32(nf_str *s, int32_t value) { nf_str_append(s, (const char *)&value, 4); }

// Appends a record; `bytes` NULL: that many zeros.
static void put_record(nf_str *s, const char *scope, const char *name, const char *dtype, int n_dims,
                       const int32_t *dims, const void *bytes, int32_t n_bytes) {
  put_i32(s, (int32_t)strlen(scope));
  put_i32(s, (int32_t)strlen(name));
  put_i32(s, (int32_t)strlen(dtype));
  put_i32(s, n_dims);
  put_i32(s, n_bytes);
  nf_str_puts(s, scope);
  nf_str_puts(s, name);
  nf_str_puts(s, dtype);
  nf_str_append(s, (const char *)dims, 4 * (size_t)n_dims);
  for (int i = 0; i < n_bytes; i++) nf_str_putc(s, bytes ? ((const char *)bytes)[i] : 0);
}

static const float floats[6] = {1.5f, -2, 0, 3.25f, 1e-30f, 7};
static const uint16_t bfloats[4] = {0x3f80, 0xc000, 0x0001, 0x7f7f};                 // 1, -2, smallest, largest
static const uint16_t halves[6] = {0x3c00, 0xc000, 0x0001, 0x83ff, 0x7bff, 0x0400};  // 1, -2, 2^-24, .., 65504, 2^-14
static const int32_t dims_2_3[] = {2, 3}, dims_4[] = {4}, dims_6[] = {6}, dims_64[] = {64};

// Three records of three dtypes and an identifier.
static void put_model(nf_str *s, const char *identifier) {
  if (identifier) put_record(s, "__meta__", "__identifier__", "uint8", 1, dims_64, identifier, 64);
  put_record(s, "a/b", "weights", "float32", 2, dims_2_3, floats, 24);
  put_record(s, "a/b", "scale", "bfloat16", 1, dims_4, bfloats, 8);
  put_record(s, "c", "bias", "float16", 1, dims_6, halves, 12);
  put_record(s, "c", "alone", "float32", 0, NULL, floats + 3, 4);
}

static const char hex_identifier[65] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

static void write_bytes(const char *path, const nf_str *s) { CHECK_OK(nf_file_write(path, s->data, s->length)); }

static void write_zstd(const char *path, const nf_str *s) {
  void *data;
  size_t size;
  REQUIRE_OK(nf_zstd_compress(s->data, s->length, 3, &data, &size));
  CHECK_OK(nf_file_write(path, data, size));
  free(data);
}

static void check_model(const nf_weights *w) {
  CHECK_INT(weights_count(w), 5);
  const weights_record *r = weights_find(w, "a/b/weights");
  if (!r) {
    CHECK(!"a/b/weights is there");
    return;
  }
  CHECK_STR(r->dtype, "float32");
  CHECK_INT(r->n_dims, 2);
  CHECK_INT(r->shape[0], 2);
  CHECK_INT(r->shape[1], 3);
  CHECK_INT(r->count, 6);
  CHECK(memcmp(r->values, floats, sizeof floats) == 0);
  CHECK_INT((uintptr_t)r->values % 64, 0);
  r = weights_find(w, "a/b/scale");
  CHECK(r && r->values[0] == 1 && r->values[1] == -2 && r->values[2] == 0x1p-133f && r->values[3] == 0x1.fep127f);
  CHECK(r && (uintptr_t)r->values % 64 == 0 && strcmp(r->dtype, "bfloat16") == 0);
  r = weights_find(w, "c/bias");
  CHECK(r && r->values[0] == 1 && r->values[1] == -2 && r->values[2] == 0x1p-24f && r->values[3] == -1023 * 0x1p-24f &&
        r->values[4] == 65504 && r->values[5] == 0x1p-14f);
  r = weights_find(w, "c/alone");
  CHECK(r && r->n_dims == 0 && r->count == 1 && r->values[0] == 3.25f);
  CHECK(!weights_find(w, "a/b"));
}

static void check_opens(const char *path) {
  nf_weights *w;
  REQUIRE_OK(weights_open(path, &w));
  check_model(w);
  weights_close(w);
}

static void check_refused(const char *path, const char *piece) {
  nf_weights *w = NULL;
  nf_status status = weights_open(path, &w);
  if (status != NF_INPUT) test_fail(__FILE__, __LINE__, "%s: status %d, 2 expected", path, status);
  if (!strstr(nf_message(), piece)) {
    test_fail(__FILE__, __LINE__, "the message \"%s\" does not say \"%s\"", nf_message(), piece);
  }
  if (!strstr(nf_message(), path))
    test_fail(__FILE__, __LINE__, "the message \"%s\" does not name %s", nf_message(), path);
  CHECK(!w);
  weights_close(w);
}

// 1. Forms

TEST(demo_weights) {
  nf_weights *w;
  REQUIRE_OK(weights_open(test_source("data/demo"), &w));
  CHECK_INT(weights_count(w), 405);
  CHECK_STR(weights_model_name(w), "demo");
  CHECK(!weights_is_alphafold3(w));
  uint8_t identifier[64];
  CHECK(weights_identifier(w, identifier) && memcmp(identifier, "demo 91eac9fc", 13) == 0);
  int64_t n = 0;
  for (int i = 0; i < weights_count(w); i++) n += weights_at(w, i)->count;
  CHECK_INT(n, 4488538 + 64);
  const weights_record *r = weights_find(w, "diffuser/evoformer/left_single/weights");
  CHECK(r && r->shape[0] == 159 && r->shape[1] == 64 && strcmp(r->dtype, "bfloat16") == 0);
  double sum = 0;
  for (int64_t i = 0; r && i < r->count; i++) sum += r->values[i];
  CHECK_NEAR(sum, -1.7147600799798965, 1e-9);
  CHECK(!weights_fourier(w, &(const float *){0}, &(const float *){0}, &(int){0}));
  weights_close(w);
}

TEST(plain_and_compressed) {
  const char *dir = test_dir();
  nf_str s = {0};
  put_model(&s, hex_identifier);
  write_bytes(join(dir, "plain.bin"), &s);
  write_zstd(join(dir, "packed.bin.zst"), &s);
  check_opens(join(dir, "plain.bin"));
  check_opens(join(dir, "packed.bin.zst"));
  // One that is compressed though its name does not say so is read all the same.
  write_zstd(join(dir, "hidden.bin"), &s);
  check_opens(join(dir, "hidden.bin"));
  nf_str_free(&s);
}

TEST(identifiers) {
  const char *dir = test_dir();
  static const char zeros[64];
  const char *identifiers[] = {hex_identifier, zeros,
                               "a model of somebody else's, sixty-four letters long, no more....."};
  const char *names[] = {"AlphaFold 3", "m1", "m2"};
  uint8_t bytes[64];
  nf_weights *w;
  for (int i = 0; i < 3; i++) {
    nf_str s = {0};
    put_model(&s, identifiers[i]);
    char name[32];
    snprintf(name, sizeof name, "m%d.bin", i);
    write_bytes(join(dir, name), &s);
    REQUIRE_OK(weights_open(join(dir, name), &w));
    CHECK_STR(weights_model_name(w), names[i]);
    CHECK(weights_is_alphafold3(w) == (i == 0));
    CHECK(weights_identifier(w, bytes) && memcmp(bytes, identifiers[i], 64) == 0);
    weights_close(w);
    nf_str_free(&s);
  }
  nf_str s = {0};
  put_record(&s, "a", "w", "float32", 1, dims_6, floats, 24);
  write_bytes(join(dir, "none.bin"), &s);
  nf_str_free(&s);
  REQUIRE_OK(weights_open(join(dir, "none.bin"), &w));
  CHECK(!weights_identifier(w, bytes));
  CHECK(!weights_is_alphafold3(w));
  weights_close(w);
}

static void write_parts(const char *dir, const char *format, const nf_str *s, int n) {
  for (int i = 0; i < n; i++) {
    size_t from = s->length * (size_t)i / (size_t)n, to = s->length * (size_t)(i + 1) / (size_t)n;
    char name[64];
    snprintf(name, sizeof name, format, i);
    CHECK_OK(nf_file_write(join(dir, name), s->data + from, to - from));
  }
}

TEST(split_files) {
  nf_str plain = {0}, packed = {0};
  put_model(&plain, hex_identifier);
  void *data;
  size_t size;
  REQUIRE_OK(nf_zstd_compress(plain.data, plain.length, 3, &data, &size));
  nf_str_append(&packed, data, size);
  free(data);
  const char *formats[] = {"af3.%d.bin.zst", "af3.bin.zst.%d", "af3.%d.bin", "af3.bin.%d", "af3.%02d.bin.zst"};
  for (int f = 0; f < 5; f++) {
    const char *dir = test_dir();
    char kept[256], name[64];
    snprintf(kept, sizeof kept, "%s", dir);
    // Twelve parts: by letters, part 10 would come before part 2.
    write_parts(kept, formats[f], f == 2 || f == 3 ? &plain : &packed, 12);
    nf_weights *w;
    REQUIRE_OK(weights_open(kept, &w));
    check_model(w);
    CHECK(strstr(weights_path(w), "af3."));
    weights_close(w);
    snprintf(name, sizeof name, formats[f], 5);
    check_opens(join(kept, name));
    CHECK_INT(unlink(join(kept, name)), 0);
    check_refused(kept, "part 5 of the split model af3 is missing");
  }
  nf_str_free(&plain);
  nf_str_free(&packed);
}

TEST(which_model_of_a_directory) {
  char dir[256];
  snprintf(dir, sizeof dir, "%s", test_dir());
  check_refused(dir, "holds no weights file");
  check_refused(join(dir, "absent"), "no such model directory");
  nf_str s = {0};
  put_model(&s, NULL);
  put_record(&s, "d", "w", "float32", 1, dims_4, floats, 16);
  write_bytes(join(dir, "one.bin"), &s);
  write_bytes(join(dir, "notes.txt"), &s);
  check_opens(dir);
  check_refused(join(dir, "notes.txt"), "not named like a weights file");
  write_bytes(join(dir, "two.bin"), &s);
  check_refused(dir, "holds several models (one.bin, two.bin)");
  check_opens(join(dir, "two.bin"));
  // A form that comes first is taken, as AlphaFold 3 takes it.
  write_zstd(join(dir, "three.bin.zst"), &s);
  nf_weights *w;
  REQUIRE_OK(weights_open(dir, &w));
  CHECK_STR(weights_model_name(w), "three");
  weights_close(w);
  nf_str_free(&s);
}

// 2. Refusals

TEST(broken_files_are_refused) {
  char dir[256];
  snprintf(dir, sizeof dir, "%s", test_dir());
  nf_str good = {0};
  put_model(&good, hex_identifier);
  const char *path = join(dir, "broken.bin");
  char own[512];
  snprintf(own, sizeof own, "%s", path);

  CHECK_OK(nf_file_write(own, "", 0));
  check_refused(own, "is empty");
  // Cut at every byte: refused everywhere but between records.
  size_t ends[6] = {0}, n_ends = 1;
  for (int k = 0; k < 5; k++) {
    int32_t sizes[5];
    memcpy(sizes, good.data + ends[n_ends - 1], 20);
    ends[n_ends] = ends[n_ends - 1] + 20 + (size_t)(sizes[0] + sizes[1] + sizes[2] + 4 * sizes[3] + sizes[4]);
    n_ends++;
  }
  CHECK_INT(ends[5], good.length);
  for (size_t cut = 1; cut < good.length; cut += 7) {
    bool at_end = false;
    for (size_t k = 0; k < n_ends; k++) at_end |= ends[k] == cut;
    if (at_end) continue;
    CHECK_OK(nf_file_write(own, good.data, cut));
    check_refused(own, "is cut short");
  }
  const float bad[3][6] = {{1, 2, NAN, 4, 5, 6}, {1, 2, 3, 4, 5, -INFINITY}, {INFINITY, 0, 0, 0, 0, 0}};
  const char *bad_says[3] = {"record x/w: value 2 is not a number", "record x/w: value 5 is infinite",
                             "record x/w: value 0 is infinite"};
  for (int i = 0; i < 3; i++) {
    nf_str s = {0};
    put_record(&s, "a", "w", "float32", 1, dims_6, floats, 24);
    put_record(&s, "x", "w", "float32", 1, dims_6, bad[i], 24);
    write_bytes(own, &s);
    check_refused(own, bad_says[i]);
    nf_str_free(&s);
  }
  const uint16_t bad_bf16[4] = {0x3f80, 0x7fc0, 0, 0}, bad_f16[4] = {0x3c00, 0, 0, 0xfc00};
  const struct {
    const char *scope, *name, *dtype;
    int n_dims;
    int32_t dims[9];
    const void *bytes;
    int32_t n_bytes;
    const char *says;
  } cases[] = {
      {"x", "w", "bfloat16", 1, {4}, bad_bf16, 8, "record x/w: value 1 is not a number"},
      {"x", "w", "float16", 1, {4}, bad_f16, 8, "record x/w: value 3 is infinite"},
      {"x", "w", "float64", 1, {1}, NULL, 8, "record x/w: dtype \"float64\" is unknown"},
      {"x", "w", "complex64", 1, {1}, NULL, 8, "dtype \"complex64\" is unknown"},
      {"x", "w", "uint8", 1, {4}, NULL, 4, "only __meta__/__identifier__ may be"},
      {"__meta__", "__identifier__", "uint8", 1, {32}, NULL, 32, "uint8 of shape 64"},
      {"__meta__", "__identifier__", "float32", 1, {64}, NULL, 256, "must be"},
      {"x", "w", "float32", 1, {-4}, NULL, 16, "shape -4 is impossible"},
      {"x", "w", "float32", 2, {0, 4}, NULL, 4, "shape 0,4 is impossible"},
      {"x", "w", "float32", 2, {65536, 65536}, NULL, 4, "is impossible"},
      {"x",
       "w",
       "float32",
       8,
       {2147483647, 2147483647, 2147483647, 2147483647, 2147483647, 2147483647, 4, 4},
       NULL,
       4,
       "is impossible"},
      {"x", "w", "float32", 1, {2147483647}, NULL, 4, "is impossible"},
      {"x", "w", "float32", 2, {2, 3}, floats, 20, "holds 20 bytes where float32 of shape 2,3 needs 24"},
      {"x", "w", "bfloat16", 2, {2, 3}, floats, 24, "needs 12"},
      {"x", "w", "float32", 9, {1, 1, 1, 1, 1, 1, 1, 1, 1}, NULL, 4, "the length of its shape is 9"},
      {"x", "", "float32", 1, {1}, NULL, 4, "the length of its name is 0"},
      {"x", "a/w", "float32", 1, {1}, NULL, 4, "not plain text"},
      {"x\n", "w", "float32", 1, {1}, NULL, 4, "not plain text"},
      {"x", "w", "", 1, {1}, NULL, 4, "the length of its dtype is 0"},
      {"x", "w", "float32", 1, {1}, NULL, 0, "the length of its values is 0"},
      {"a", "w", "float32", 2, {2, 3}, floats, 24, "record a/w: is there twice"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    nf_str s = {0};
    put_record(&s, "a", "w", "float32", 1, dims_6, floats, 24);
    put_record(&s, cases[i].scope, cases[i].name, cases[i].dtype, cases[i].n_dims, cases[i].dims, cases[i].bytes,
               cases[i].n_bytes);
    write_bytes(own, &s);
    check_refused(own, cases[i].says);
    nf_str_free(&s);
  }
  // Each of the five lengths negative, and huge.
  for (int field = 0; field < 5; field++) {
    for (int huge = 0; huge < 2; huge++) {
      nf_str s = {0};
      put_record(&s, "a", "w", "float32", 1, dims_6, floats, 24);
      int32_t value = huge ? 2147483647 : -1;
      memcpy(s.data + 4 * field, &value, 4);
      write_bytes(own, &s);
      check_refused(own, field == 4 && huge ? "holds 2147483647 bytes" : "the length of its");
      nf_str_free(&s);
    }
  }
  // Rubbish.
  CHECK_OK(nf_file_write(own,
                         "\x7f"
                         "ELF and so on, no weights at all",
                         30));
  check_refused(own, "not a weights file");
  unlink(own);
  CHECK_INT(mkdir(own, 0777), 0);
  check_refused(own, "holds no weights file");
  // Nothing was left behind by any of them.
  CHECK(!nf_file_exists(join(dir, "broken.bin.nfw")));
  CHECK_INT(rmdir(own), 0);
  CHECK(nf_dir_is_empty(dir));
  nf_str_free(&good);
}

TEST(broken_zstd_is_refused) {
  char dir[256], own[512];
  snprintf(dir, sizeof dir, "%s", test_dir());
  snprintf(own, sizeof own, "%s/broken.bin.zst", dir);
  nf_str good = {0};
  put_model(&good, hex_identifier);
  void *data;
  size_t size;
  REQUIRE_OK(nf_zstd_compress(good.data, good.length, 3, &data, &size));
  for (size_t cut = 4; cut < size; cut += 5) {
    CHECK_OK(nf_file_write(own, data, cut));
    check_refused(own, "cut short");
  }
  write_bytes(own, &good);
  check_refused(own, "is not zstd-compressed although its name says so");
  ((char *)data)[size / 2] ^= 0x55;
  ((char *)data)[size / 2 + 1] ^= 0x55;
  CHECK_OK(nf_file_write(own, data, size));
  nf_weights *w = NULL;
  CHECK_INT(weights_open(own, &w), NF_INPUT);
  weights_close(w);
  free(data);
  nf_str_free(&good);
}

// 3. The mappable copy

static int64_t inode(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 ? (int64_t)st.st_ino : -1;
}

TEST(copy_is_made_once_and_remade_when_needed) {
  char dir[256], own[512], copy[600];
  snprintf(dir, sizeof dir, "%s", test_dir());
  snprintf(own, sizeof own, "%s/m.bin.zst", dir);
  snprintf(copy, sizeof copy, "%s.nfw", own);
  nf_str s = {0};
  put_model(&s, hex_identifier);
  write_zstd(own, &s);
  check_opens(dir);
  int64_t first = inode(copy);
  CHECK(first > 0);
  check_opens(dir);
  CHECK_INT(inode(copy), first);
  // Every single byte of it matters: changed, the copy is made anew.
  char *data;
  size_t size;
  REQUIRE_OK(nf_file_read(copy, &data, &size));
  for (size_t at = 0; at < size; at += size / 61) {
    data[at] ^= 0x10;
    CHECK_OK(nf_file_write(copy, data, size));
    data[at] ^= 0x10;
    check_opens(dir);
    char *again;
    size_t again_size;
    REQUIRE_OK(nf_file_read(copy, &again, &again_size));
    CHECK(again_size == size && memcmp(again, data, size) == 0);
    free(again);
  }
  // Cut short, empty, rubbish.
  const size_t sizes[] = {size - 1, size / 2, 64, 63, 1, 0};
  for (int i = 0; i < 6; i++) {
    CHECK_OK(nf_file_write(copy, data, sizes[i]));
    check_opens(dir);
    CHECK(inode(copy) > 0);
  }
  // The same size and another time: another source.
  first = inode(copy);
  const struct timespec times[2] = {{1000000000, 0}, {1000000000, 5}};
  CHECK_INT(utimensat(AT_FDCWD, own, times, 0), 0);
  check_opens(dir);
  CHECK(inode(copy) != first);
  // A damaged copy that was asked for by its own name is refused, not remade.
  data[size / 2] ^= 1;
  CHECK_OK(nf_file_write(join(dir, "alone.nfw"), data, size));
  data[size / 2] ^= 1;
  check_refused(join(dir, "alone.nfw"), "checksums");
  CHECK_OK(nf_file_write(join(dir, "alone.nfw"), data, size));
  check_opens(join(dir, "alone.nfw"));
  free(data);
  nf_str_free(&s);
}

TEST(copy_goes_elsewhere_when_the_directory_is_read_only) {
  char dir[256], cache[256];
  snprintf(dir, sizeof dir, "%s", test_dir());
  snprintf(cache, sizeof cache, "%s", test_dir());
  nf_str s = {0};
  put_model(&s, hex_identifier);
  write_bytes(join(dir, "m.bin"), &s);
  nf_str_free(&s);
  CHECK_INT(chmod(dir, 0555), 0);
  setenv("XDG_CACHE_HOME", cache, 1);
  check_opens(dir);
  CHECK(!nf_file_exists(join(dir, "m.bin.nfw")));
  CHECK(!nf_dir_is_empty(join(cache, "nativefold")));
  check_opens(dir);
  // Nowhere to write: in memory.
  setenv("XDG_CACHE_HOME", "/proc/no-such-place", 1);
  nf_log_quiet(true);
  check_opens(dir);
  unsetenv("XDG_CACHE_HOME");
  nf_log_quiet(false);
  CHECK_INT(chmod(dir, 0755), 0);
}

TEST(several_processes_convert_at_once) {
  const char *shared = getenv("WEIGHTS_TEST_DIR");
  if (shared) {  // one of the processes
    for (int k = 0; k < 20; k++) {
      unlink(join(shared, "m.bin.nfw"));
      check_opens(shared);
    }
    return;
  }
  char dir[256], command[4096];
  snprintf(dir, sizeof dir, "%s", test_dir());
  nf_str s = {0};
  put_model(&s, hex_identifier);
  write_bytes(join(dir, "m.bin"), &s);
  nf_str_free(&s);
  // This very test, four times at once.
  char self[512] = "";
  CHECK(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
  snprintf(command, sizeof command,
           "export WEIGHTS_TEST_DIR='%s'; for i in 1 2 3 4; do '%s' several_processes >'%s/log' & p=\"$p $!\"; done; "
           "for i in $p; do wait $i || exit 1; done; rm '%s/log'",
           dir, self, dir, dir);
  CHECK_INT(system(command), 0);
  CHECK_INT(unlink(join(dir, "m.bin")), 0);
  unlink(join(dir, "m.bin.nfw"));
  CHECK(nf_dir_is_empty(dir));
}

// 4. Conversion

static bool same_file(const char *a, const char *b) {
  char *x = NULL, *y = NULL;
  size_t n = 0, m = 0;
  bool same = nf_file_read(a, &x, &n) == NF_OK && nf_file_read(b, &y, &m) == NF_OK && n == m && memcmp(x, y, n) == 0;
  free(x);
  free(y);
  return same;
}

TEST(conversion_there_and_back) {
  char dir[256];
  snprintf(dir, sizeof dir, "%s", test_dir());
  nf_str s = {0};
  put_model(&s, hex_identifier);
  write_bytes(join(dir, "1.bin"), &s);
  nf_str_free(&s);
  const char *steps[] = {"1.bin", "2.nfw", "3.bin.zst", "4.nfw", "5.bin"};
  for (int i = 0; i < 4; i++) {
    nf_weights *w;
    REQUIRE_OK(weights_open(join(dir, steps[i]), &w));
    CHECK_OK(weights_convert(w, join(dir, steps[i + 1])));
    weights_close(w);
    check_opens(join(dir, steps[i + 1]));
  }
  CHECK(same_file(join(dir, "1.bin"), join(dir, "5.bin")));
  CHECK(same_file(join(dir, "2.nfw"), join(dir, "4.nfw")));
  nf_weights *w;
  REQUIRE_OK(weights_open(join(dir, "1.bin"), &w));
  CHECK_INT(weights_convert(w, join(dir, "6.npz")), NF_INPUT);
  CHECK(strstr(nf_message(), ".bin, .bin.zst or .nfw"));
  CHECK_INT(weights_convert(w, join(dir, "absent/6.bin")), NF_FAILED);
  weights_close(w);
}

TEST(full_disk_leaves_nothing) {
  char dir[256], out[512];
  snprintf(dir, sizeof dir, "%s", test_dir());
  snprintf(out, sizeof out, "%s/t.nfw", dir);
  struct rlimit old, small;
  getrlimit(RLIMIT_FSIZE, &old);
  small = old;
  small.rlim_cur = 1 << 16;
  signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &small);
  nf_status status = weights_write_random(test_source("data/manifest_tiny.tsv"), out);
  setrlimit(RLIMIT_FSIZE, &old);
  CHECK_INT(status, NF_FAILED);
  CHECK(strstr(nf_message(), "t.nfw: cannot be written"));
  CHECK(nf_dir_is_empty(dir));
}

// 5. Noise constants

static void write_fourier(const char *path, int n_weight, int n_bias, bool bad) {
  float weight[8] = {1, 2, 3, 4, 5, 6, 7, 8}, bias[8] = {-1, -2, -3, -4, -5, -6, -7, bad ? NAN : -8};
  nf_array arrays[2] = {{"weight", NF_F32, 1, {n_weight}, weight}, {"bias", NF_F32, 1, {n_bias}, bias}};
  CHECK_OK(nf_npz_write(path, arrays, n_bias ? 2 : 1, 0));
}

TEST(noise_constants) {
  char dir[256];
  snprintf(dir, sizeof dir, "%s", test_dir());
  nf_str s = {0};
  put_model(&s, hex_identifier);
  write_bytes(join(dir, "m_v2.bin"), &s);
  write_fourier(join(dir, "m_v2_fourier.npz"), 8, 8, false);
  nf_weights *w;
  REQUIRE_OK(weights_open(dir, &w));
  const float *weight, *bias;
  int n = 0;
  CHECK(weights_fourier(w, &weight, &bias, &n));
  CHECK_INT(n, 8);
  CHECK(n == 8 && weight[7] == 8 && bias[0] == -1 && bias[7] == -8);
  CHECK(!weights_is_alphafold3(w));
  CHECK_STR(weights_model_name(w), "m_v2");
  weights_close(w);
  // Another model of the directory has none of it.
  write_bytes(join(dir, "other.bin"), &s);
  REQUIRE_OK(weights_open(join(dir, "other.bin"), &w));
  CHECK(!weights_fourier(w, &weight, &bias, &n));
  weights_close(w);
  unlink(join(dir, "other.bin"));
  // One under any name counts while it is the only one.
  CHECK_INT(rename(join(dir, "m_v2_fourier.npz"), join(dir, "x_fourier.npz")), 0);
  REQUIRE_OK(weights_open(dir, &w));
  CHECK(weights_fourier(w, &weight, &bias, &n));
  weights_close(w);
  write_fourier(join(dir, "y_fourier.npz"), 8, 8, false);
  check_refused(dir, "both x_fourier.npz and y_fourier.npz");
  unlink(join(dir, "y_fourier.npz"));
  char npz[512];
  snprintf(npz, sizeof npz, "%s/x_fourier.npz", dir);
  const struct {
    int n_weight, n_bias;
    bool bad;
    const char *says;
  } cases[] = {{8, 7, false, "weight has 8 values, bias 7"},
               {8, 0, false, "bias: is missing"},
               {8, 8, true, "bias: value 7 is not finite"}};
  for (int i = 0; i < 3; i++) {
    write_fourier(npz, cases[i].n_weight, cases[i].n_bias, cases[i].bad);
    CHECK_INT(weights_open(dir, &w), NF_INPUT);
    CHECK(strstr(nf_message(), cases[i].says));
  }
  CHECK_OK(nf_file_write(npz, "PK rubbish", 10));
  CHECK_INT(weights_open(dir, &w), NF_INPUT);
  nf_str_free(&s);
}

// 6. Seeded weights

TEST(seeded_weights_follow_their_formula) {
  char dir[256], manifest[512], nfw[512], bin[512];
  snprintf(dir, sizeof dir, "%s", test_dir());
  snprintf(manifest, sizeof manifest, "%s/m.tsv", dir);
  snprintf(nfw, sizeof nfw, "%s/m.nfw", dir);
  snprintf(bin, sizeof bin, "%s/m.bin.zst", dir);
  const char text[] =
      "name\tdtype\tshape\tscale_s\toffset\n"
      "__meta__/__identifier__\tuint8\t64\t0\t0\n"
      "a/w\tfloat32\t3,4\t0.5\t0.0\na/scale\tbfloat16\t7\t0.1\t1.0\n";
  CHECK_OK(nf_file_write(manifest, text, strlen(text)));
  REQUIRE_OK(weights_write_random(manifest, nfw));
  REQUIRE_OK(weights_write_random(manifest, bin));
  nf_weights *a, *b;
  REQUIRE_OK(weights_open(nfw, &a));
  REQUIRE_OK(weights_open(bin, &b));
  const weights_record *w = weights_find(a, "a/w"), *s = weights_find(a, "a/scale");
  CHECK(w && s && w->count == 12 && s->count == 7);
  for (uint64_t i = 0; w && s && i < 12; i++) {
    uint64_t z = 14695981039346656037u;
    for (const char *p = "a/w"; *p; p++) z = (z ^ (unsigned char)*p) * 1099511628211u;
    z += (i + 1) * 0x9E3779B97F4A7C15u;
    z ^= z >> 30;
    z *= 0xBF58476D1CE4E5B9u;
    z ^= z >> 27;
    z *= 0x94D049BB133111EBu;
    z ^= z >> 31;
    CHECK(w->values[i] == (float)(2 * (float)(z >> 40) / 16777216.0f - 1) * 0.5f);
  }
  for (int i = 0; s && i < 7; i++) {
    uint32_t bits;
    memcpy(&bits, &s->values[i], 4);
    CHECK_INT(bits & 0xffff, 0);
    CHECK_NEAR(s->values[i], 1, 0.101);
  }
  for (int i = 0; i < 3; i++) {
    const weights_record *x = weights_at(a, i), *y = weights_at(b, i);
    CHECK_STR(x->name, y->name);
    if (x->values) CHECK(memcmp(x->values, y->values, (size_t)x->count * 4) == 0);
  }
  CHECK(!weights_is_alphafold3(a));
  uint8_t identifier[64];
  CHECK(weights_identifier(b, identifier) && strcmp((char *)identifier, "seeded, untrained: m.tsv") == 0);
  weights_close(a);
  weights_close(b);
}

TEST(seeded_weights_add_up_to_the_reference_sums) {
  REFERENCE_OR_SKIP(path, "network/params_manifest.tsv");
  // The rows of up to 200,000 values keep the test quick.
  char *text;
  size_t size;
  REQUIRE_OK(nf_file_read(path, &text, &size));
  nf_str few = {0};
  int n = 0, all = 0;
  for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
    long long count = 1;
    char *shape = strchr(strchr(line, '\t') + 1, '\t') + 1;
    for (char *p = shape; *p != '\t'; p = strcspn(p, ",\t") + p + (p[strcspn(p, ",\t")] == ',')) count *= atoll(p);
    all++;
    if (n && count > 200000) continue;
    n++;
    nf_str_puts(&few, line);
    nf_str_putc(&few, '\n');
  }
  free(text);
  CHECK_INT(all, 405);
  CHECK(n > 250);
  char manifest[512], out[600];
  snprintf(manifest, sizeof manifest, "%s/few.tsv", test_dir());
  snprintf(out, sizeof out, "%s.nfw", manifest);
  CHECK_OK(nf_file_write(manifest, few.data, few.length));
  CHECK_OK(weights_write_random(manifest, out));
  // A sum that is off by a millionth is noticed.
  char *sum = strstr(few.data, "0.01235584194682815");
  CHECK(sum);
  if (sum) sum[7] = '7';
  CHECK_OK(nf_file_write(manifest, few.data, few.length));
  CHECK_INT(weights_write_random(manifest, out), NF_INPUT);
  CHECK(strstr(nf_message(), "act_norm/offset: the values made add up to 0.0123558"));
  nf_str_free(&few);
}

TEST(manifests_are_what_the_tool_makes) {
  const char *source = test_source(".");
  const char *sizes[] = {"full", "tiny", "wide"};
  char dir[256], command[8192];
  snprintf(dir, sizeof dir, "%s", test_dir());
  snprintf(command, sizeof command,
           "cd '%s' && mkdir -p '%s/tools' '%s/data' && cp tools/*.awk tools/*.tsv tools/manifests.sh '%s/tools' && "
           "'%s/tools/manifests.sh'",
           source, dir, dir, dir, dir);
  CHECK_INT(system(command), 0);
  const int64_t values[] = {368384602, 551662, 73094298};
  for (int i = 0; i < 3; i++) {
    char name[64];
    snprintf(name, sizeof name, "data/manifest_%s.tsv", sizes[i]);
    CHECK(same_file(join(dir, name), test_source(name)));
    char *text;
    size_t size;
    REQUIRE_OK(nf_file_read(test_source(name), &text, &size));
    int64_t total = 0;
    for (char *line = strchr(text, '\n') + 1; *line; line = strchr(line, '\n') + 1) {
      int64_t count = 1;
      char *p = strchr(strchr(line, '\t') + 1, '\t') + 1;
      for (;;) {
        count *= strtoll(p, &p, 10);
        if (*p++ != ',') break;
      }
      total += count;
    }
    free(text);
    CHECK_INT(total, values[i]);
  }
}

TEST(tiny_model_is_complete) {
  char out[512];
  snprintf(out, sizeof out, "%s/tiny.nfw", test_dir());
  REQUIRE_OK(weights_write_random(test_source("data/manifest_tiny.tsv"), out));
  nf_weights *tiny, *demo;
  REQUIRE_OK(weights_open(out, &tiny));
  REQUIRE_OK(weights_open(test_source("data/demo"), &demo));
  CHECK_INT(weights_count(tiny), 405);
  // The same names and numbers of dimensions as in trained weights.
  for (int i = 0; i < weights_count(demo); i++) {
    const weights_record *d = weights_at(demo, i), *t = weights_find(tiny, d->name);
    CHECK(t && t->n_dims == d->n_dims);
  }
  weights_close(tiny);
  weights_close(demo);
}

TEST(broken_manifests_are_refused) {
  const struct {
    const char *text, *says;
  } cases[] = {
      {"", "holds no records"},
      {"name\tdtype\tshape\tscale\toffset\n", "holds no records"},
      {"name\tdtype\tshape\toffset\nx/w\tfloat32\t2\t0\n", "column scale is missing"},
      {"name\tdtype\tshape\tscale\toffset\nx/w\tfloat32\t2\t0\n", "line 2: has 4 columns"},
      {"name\tdtype\tshape\tscale\toffset\nx/w\tint4\t2\t1\t0\n", "\"int4\" is unknown"},
      {"name\tdtype\tshape\tscale\toffset\nx/w\tfloat32\t2,-3\t1\t0\n", "line 2: shape"},
      {"name\tdtype\tshape\tscale\toffset\nx/w\tfloat32\t2,x\t1\t0\n", "line 2: shape"},
      {"name\tdtype\tshape\tscale\toffset\nx/w\tfloat32\t99999,99999\t1\t0\n", "line 2: shape"},
      {"name\tdtype\tshape\tscale\toffset\nx/w\tfloat32\t1,1,1,1,1,1,1,1,1\t1\t0\n", "line 2: shape"},
      {"name\tdtype\tshape\tscale\toffset\nx/w\tfloat32\t2\tnan\t0\n", "scale or offset"},
      {"name\tdtype\tshape\tscale\toffset\nx/w\tfloat32\t2\t1e30\t0\n", "scale or offset"},
      {"name\tdtype\tshape\tscale\toffset\nx/\tfloat32\t2\t1\t0\n", "line 2: name"},
      {"name\tdtype\tshape\tscale\toffset\n\tfloat32\t2\t1\t0\n", "line 2: name"},
      {"name\tdtype\tshape\tscale\toffset\nx/w\tuint8\t64\t1\t0\n", "may be (and must be) uint8"},
      {"name\tdtype\tshape\tscale\toffset\nx/w\tfloat32\t2\t1\t0\nx/w\tfloat32\t2\t1\t0\n",
       "line 3: x/w is there twice"},
      {"name\tdtype\tshape\tscale\toffset\tsum_f64\tsumsq_f64\nx/w\tfloat32\t2\t1\t0\t5\tx\n", "must be a number"},
  };
  char dir[256], manifest[512], out[512];
  snprintf(dir, sizeof dir, "%s", test_dir());
  snprintf(manifest, sizeof manifest, "%s/m.tsv", dir);
  snprintf(out, sizeof out, "%s/m.bin", dir);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    CHECK_OK(nf_file_write(manifest, cases[i].text, strlen(cases[i].text)));
    CHECK_INT(weights_write_random(manifest, out), NF_INPUT);
    if (!strstr(nf_message(), cases[i].says))
      test_fail(__FILE__, __LINE__, "%s: not \"%s\"", nf_message(), cases[i].says);
    CHECK(!nf_file_exists(out));
  }
  CHECK_INT(weights_write_random(join(dir, "absent.tsv"), out), NF_INPUT);
  CHECK_OK(nf_file_write(manifest, "name\0x", 6));
  CHECK_INT(weights_write_random(manifest, out), NF_INPUT);
}
