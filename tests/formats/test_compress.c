// Compressed files: every format whole, in pieces, cut and damaged.
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include "../test.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "formats/compress.h"

enum { GZIP, XZ, ZSTD, N_KINDS };
static const char *const kind_names[] = {"gzip", "xz", "zstd"};

static nf_str pack(int kind, const void *data, size_t size) {
  nf_str s = {0};
  size_t bound = size + size / 2 + 1024, n = 0;
  char *out = malloc(bound);
  if (kind == GZIP) {
    z_stream z = {0};
    deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
    z.next_in = (unsigned char *)(size_t)data;
    z.avail_in = (uInt)size;
    z.next_out = (unsigned char *)out;
    z.avail_out = (uInt)bound;
    CHECK_INT(deflate(&z, Z_FINISH), Z_STREAM_END);
    n = z.total_out;
    deflateEnd(&z);
  } else if (kind == XZ) {
    CHECK_INT(lzma_easy_buffer_encode(1, LZMA_CHECK_CRC64, NULL, data, size, (uint8_t *)out, &n, bound), LZMA_OK);
  } else {
    // Streamed with a checksum, as the zstd tool does it: the size is not in the header.
    ZSTD_CCtx *c = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1);
    ZSTD_inBuffer in = {data, size, 0};
    ZSTD_outBuffer o = {out, bound, 0};
    while (in.pos < in.size) ZSTD_compressStream2(c, &o, &in, ZSTD_e_continue);
    while (ZSTD_compressStream2(c, &o, &in, ZSTD_e_end)) {
    }
    n = o.pos;
    ZSTD_freeCCtx(c);
  }
  nf_str_append(&s, out, n);
  free(out);
  return s;
}

static char *make_text(size_t n) {
  char *text = malloc(n + 1);
  for (size_t i = 0; i < n; i++) text[i] = (char)(32 + (i * i / 7 + i / 50) % 90);
  text[n] = '\0';
  return text;
}

static nf_status unpack(const char *data, size_t size, size_t max, nf_str *ret) {
  char *out, *copy = malloc(size ? size : 1);
  size_t n;
  if (size) memcpy(copy, data, size);
  nf_status status = nf_decompress("x.gz", copy, size, max, &out, &n);
  free(copy);
  *ret = (nf_str){0};
  if (status == NF_OK) {
    CHECK_INT(out[n], 0);
    nf_str_append(ret, out, n);
  } else {
    CHECK(out == NULL && n == 0);
  }
  free(out);
  return status;
}

TEST(every_format_of_every_size) {
  static const size_t sizes[] = {0, 1, 100, 65535, 65536, 65537, 1000000};
  for (int kind = 0; kind < N_KINDS; kind++) {
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
      char *text = make_text(sizes[i]);
      nf_str packed = pack(kind, text, sizes[i]), out;
      CHECK_OK(unpack(packed.data, packed.length, 0, &out));
      CHECK_INT(out.length, sizes[i]);
      CHECK(memcmp(out.data, text, sizes[i]) == 0);
      nf_str_free(&out);
      nf_str_free(&packed);
      free(text);
    }
  }
}

TEST(one_after_the_other) {
  for (int kind = 0; kind < N_KINDS; kind++) {
    nf_str a = pack(kind, "first ", 6), b = pack(kind, "second", 6), out;
    nf_str_append(&a, b.data, b.length);
    CHECK_OK(unpack(a.data, a.length, 0, &out));
    CHECK_STR(out.data, "first second");
    nf_str_free(&out);
    // What follows and is no further member is refused; gzip files may be padded with zeros.
    nf_str_append(&a, "\0\0\0\0", 4);
    CHECK_INT(unpack(a.data, a.length, 0, &out), kind == ZSTD ? NF_INPUT : NF_OK);
    nf_str_free(&out);
    nf_str_append(&a, "junk", 4);
    CHECK_INT(unpack(a.data, a.length, 0, &out), NF_INPUT);
    nf_str_free(&a);
    nf_str_free(&b);
  }
}

TEST(a_skippable_zstd_frame_in_front) {
  nf_str s = {0}, packed = pack(ZSTD, "text", 4), out;
  nf_str_append(&s, "\x5f\x2a\x4d\x18\x03\0\0\0xyz", 11);
  nf_str_append(&s, packed.data, packed.length);
  CHECK_OK(unpack(s.data, s.length, 0, &out));
  CHECK_STR(out.data, "text");
  nf_str_free(&out);
  nf_str_free(&s);
  nf_str_free(&packed);
}

TEST(plain_data_is_taken_as_it_is) {
  nf_str out;
  CHECK_OK(unpack("data_x\n", 7, 0, &out));
  CHECK_STR(out.data, "data_x\n");
  nf_str_free(&out);
  CHECK_OK(unpack("", 0, 0, &out));
  CHECK_INT(out.length, 0);
  nf_str_free(&out);
  CHECK_OK(unpack("\x1f", 1, 0, &out));
  CHECK_INT(out.length, 1);
  nf_str_free(&out);
}

TEST(limits) {
  char *text = make_text(100000);
  for (int kind = -1; kind < N_KINDS; kind++) {
    nf_str packed = {0}, out;
    if (kind < 0) {
      nf_str_append(&packed, text, 100000);
    } else {
      packed = pack(kind, text, 100000);
    }
    CHECK_OK(unpack(packed.data, packed.length, 100000, &out));
    CHECK_INT(out.length, 100000);
    nf_str_free(&out);
    CHECK_INT(unpack(packed.data, packed.length, 99999, &out), NF_INPUT);
    CHECK(strstr(nf_message(), "x.gz: is larger than 99999 bytes"));
    CHECK_INT(unpack(packed.data, packed.length, 1, &out), NF_INPUT);
    nf_str_free(&packed);
  }
  free(text);
}

TEST(cut_anywhere_is_refused) {
  char *text = make_text(300);
  for (int kind = 0; kind < N_KINDS; kind++) {
    nf_str packed = pack(kind, text, 300), out;
    for (size_t n = 6; n < packed.length; n++) {
      CHECK_INT(unpack(packed.data, n, 0, &out), NF_INPUT);
      nf_str_free(&out);
    }
    CHECK_INT(unpack(packed.data, packed.length - 1, 0, &out), NF_INPUT);
    char expected[100];
    snprintf(expected, sizeof expected, "x.gz: is cut short: its %s data ends early", kind_names[kind]);
    CHECK_STR(nf_message(), expected);
    nf_str_free(&packed);
  }
  free(text);
}

TEST(damage_is_refused) {
  char *text = make_text(300);
  for (int kind = 0; kind < N_KINDS; kind++) {
    nf_str packed = pack(kind, text, 300);
    int refused = 0, tried = 0;
    // Headers of gzip hold a time and a flag that mean nothing; from byte 10 on everything is checked.
    for (size_t i = 10; i < packed.length; i++) {
      nf_str out;
      packed.data[i] ^= 0x10;
      tried++;
      if (unpack(packed.data, packed.length, 0, &out) != NF_OK) {
        refused++;
      } else {  // a bit that means nothing
        CHECK_STR(out.data, text);
      }
      nf_str_free(&out);
      packed.data[i] ^= 0x10;
    }
    CHECK(refused >= tried - 2);
    nf_str_free(&packed);
  }
  free(text);
}

TEST(files) {
  char *data, path[300];
  size_t size;
  snprintf(path, sizeof path, "%s/x.cif.gz", test_dir());
  nf_str packed = pack(GZIP, "data_x", 6);
  REQUIRE_OK(nf_file_write(path, packed.data, packed.length));
  REQUIRE_OK(nf_read_maybe_compressed(path, 0, &data, &size));
  CHECK_STR(data, "data_x");
  free(data);
  REQUIRE_OK(nf_file_write(path, packed.data, packed.length - 3));
  CHECK_INT(nf_read_maybe_compressed(path, 0, &data, &size), NF_INPUT);
  CHECK(strncmp(nf_message(), path, strlen(path)) == 0);
  REQUIRE_OK(nf_file_write(path, "plain", 5));
  REQUIRE_OK(nf_read_maybe_compressed(path, 5, &data, &size));
  CHECK_STR(data, "plain");
  free(data);
  CHECK_INT(nf_read_maybe_compressed(path, 4, &data, &size), NF_INPUT);
  CHECK_INT(nf_read_maybe_compressed("/nonexistent", 0, &data, &size), NF_INPUT);
  nf_str_free(&packed);
}

TEST(zstd_compress_and_read_in_pieces) {
  enum { N = 500000 };
  char *text = make_text(N), *out = malloc(N + 10);
  void *packed;
  size_t size;
  REQUIRE_OK(nf_zstd_compress(text, N, 3, &packed, &size));
  CHECK(size < N);
  nf_zstd_reader *reader = nf_zstd_reader_create();
  CHECK(nf_zstd_reader_at_frame_end(reader));
  size_t got = 0;
  for (size_t at = 0; at < size;) {  // 1000 bytes in, 777 bytes out at a time
    const void *in = (char *)packed + at;
    size_t left = size - at < 1000 ? size - at : 1000, n;
    at += left;
    do {
      REQUIRE_OK(nf_zstd_reader_feed(reader, "w.zst", &in, &left, out + got, got + 777 < N ? 777 : N - got, &n));
      got += n;
    } while (left || n == 777);
    CHECK_INT(nf_zstd_reader_at_frame_end(reader), at == size);
  }
  CHECK_INT(got, N);
  CHECK(memcmp(out, text, N) == 0);
  const void *junk = "not zstd";
  size_t left = 8, n;
  CHECK_INT(nf_zstd_reader_feed(reader, "w.zst", &junk, &left, out, 10, &n), NF_INPUT);
  CHECK(strstr(nf_message(), "w.zst: is damaged: zstd"));
  nf_zstd_reader_free(reader);
  nf_zstd_reader_free(NULL);
  free(packed);
  REQUIRE_OK(nf_zstd_compress(NULL, 0, 3, &packed, &size));
  nf_str empty;
  CHECK_OK(unpack(packed, size, 0, &empty));
  CHECK_INT(empty.length, 0);
  nf_str_free(&empty);
  free(packed);
  free(text);
  free(out);
}
