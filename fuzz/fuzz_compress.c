// libFuzzer: any bytes as gzip, xz or zstd, whole and in pieces, into at most 1 MiB.
#include <lzma.h>
#include <zlib.h>

#include "formats/compress.h"
#include "fuzz/seeds.h"

enum { LIMIT = 1 << 20 };

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  static const char text[] = "the same words, the same words, the same words again and again and again";
  unsigned char out[1000];
  void *zstd;
  size_t n = 0;
  if (nf_zstd_compress(text, sizeof text, 3, &zstd, &n) != NF_OK) abort();
  seeds_add(zstd, n);
  free(zstd);
  n = 0;
  lzma_easy_buffer_encode(1, LZMA_CHECK_CRC32, NULL, (const uint8_t *)text, sizeof text, out, &n, sizeof out);
  seeds_add(out, n);
  z_stream z = {
      .next_in = (unsigned char *)(size_t)text, .avail_in = sizeof text, .next_out = out, .avail_out = sizeof out};
  deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  deflate(&z, Z_FINISH);
  seeds_add(out, z.total_out);
  deflateEnd(&z);
  seeds_use(argc, argv);
  return 0;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size) {
  char *out;
  size_t n;
  nf_status status = nf_decompress("fuzz", data, size, LIMIT, &out, &n);
  if (status == NF_OK && (n > LIMIT || out[n] != '\0')) abort();
  // As zstd in pieces of 7 bytes in and 100 out: where both succeed, both give the same.
  nf_zstd_reader *reader = nf_zstd_reader_create();
  char piece[100];
  size_t got = 0;
  nf_status piecewise = NF_OK;
  for (size_t at = 0; at < size && piecewise == NF_OK && got <= LIMIT;) {
    const void *in = data + at;
    size_t left = size - at < 7 ? size - at : 7, produced;
    at += left;
    do {
      piecewise = nf_zstd_reader_feed(reader, "fuzz", &in, &left, piece, sizeof piece, &produced);
      bool is_zstd = size >= 4 && memcmp(data, "\x28\xb5\x2f\xfd", 4) == 0;
      if (piecewise == NF_OK && status == NF_OK && is_zstd) {
        if (got + produced > n || memcmp(piece, out + got, produced) != 0) abort();
      }
      got += produced;
    } while (piecewise == NF_OK && got <= LIMIT && (left || produced == sizeof piece));
  }
  nf_zstd_reader_free(reader);
  free(out);
  return 0;
}
