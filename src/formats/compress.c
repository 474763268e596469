// One decompression loop for three formats; each is a small step function over its library's stream.
#include "formats/compress.h"

#include <limits.h>
#include <lzma.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "base/file.h"
#include "base/memory.h"

typedef enum { PLAIN, GZIP, XZ, ZSTD } kind;

static kind kind_of(const unsigned char *p, size_t n) {
  if (n >= 2 && p[0] == 0x1f && p[1] == 0x8b) return GZIP;
  if (n >= 6 && memcmp(p, "\xfd\x37zXZ\0", 6) == 0) return XZ;
  // A zstd frame, or a skippable one in front of it (pzstd writes such).
  if (n >= 4 && p[1] == 0xb5 && p[2] == 0x2f && p[3] == 0xfd && p[0] == 0x28) return ZSTD;
  if (n >= 4 && (p[0] & 0xf0) == 0x50 && p[1] == 0x2a && p[2] == 0x4d && p[3] == 0x18) return ZSTD;
  return PLAIN;
}

// Output that grows up to a limit.
typedef struct {
  const char *label;
  char *data;
  size_t size, capacity, max_size;  // max_size 0: no limit
} sink;

// Makes room for more output.
static nf_status sink_grow(sink *s) {
  if (s->size < s->capacity) return NF_OK;
  if (s->max_size && s->capacity > s->max_size) {
    return nf_fail(NF_INPUT, "%s: is larger than %zu bytes when decompressed, more than is allowed here", s->label,
                   s->max_size);
  }
  size_t capacity = s->capacity < SIZE_MAX / 4 ? 2 * s->capacity : SIZE_MAX / 2;
  // One byte beyond the limit tells a file that is just as large from one that is larger.
  if (s->max_size && capacity > s->max_size) capacity = s->max_size + 1;
  s->data = nf_realloc(s->data, capacity + 1, 1);
  s->capacity = capacity;
  return NF_OK;
}

static nf_status damaged(const char *label, const char *format, const char *why) {
  return nf_fail(NF_INPUT, "%s: is damaged: %s (%s)", label, format, why);
}

static nf_status cut_short(const char *label, const char *format) {
  return nf_fail(NF_INPUT, "%s: is cut short: its %s data ends early", label, format);
}

static nf_status gunzip(const char *label, const unsigned char *in, size_t size, sink *out) {
  nf_status status = NF_OK;
  z_stream z = {0};
  if (inflateInit2(&z, 15 + 16) != Z_OK) return nf_fail(NF_MEMORY, "%s: not enough memory to decompress", label);
  size_t at = 0;
  int code = Z_OK;
  do {
    size_t chunk = size - at < UINT_MAX ? size - at : UINT_MAX;
    NF_TRY_GOTO(done, sink_grow(out));
    size_t room = out->capacity - out->size < UINT_MAX ? out->capacity - out->size : UINT_MAX;
    z.next_in = (unsigned char *)(uintptr_t)(in + at);
    z.avail_in = (uInt)chunk;
    z.next_out = (unsigned char *)out->data + out->size;
    z.avail_out = (uInt)room;
    code = inflate(&z, Z_NO_FLUSH);
    at += chunk - z.avail_in;
    out->size += room - z.avail_out;
    if (code == Z_STREAM_END) {
      // Another member may follow (bgzip, cat of .gz files), or zeros that pad to a block.
      while (at < size && !in[at]) at++;
      if (at == size) break;
      code = inflateReset(&z);
    }
  } while (code == Z_OK);
  // There was room for output, so a lack of progress means a lack of input.
  if (code == Z_BUF_ERROR) {
    status = cut_short(label, "gzip");
  } else if (code != Z_STREAM_END) {
    status = damaged(label, "gzip", z.msg ? z.msg : "bad data");
  }
done:
  inflateEnd(&z);
  return status;
}

static nf_status unxz(const char *label, const unsigned char *in, size_t size, sink *out) {
  nf_status status = NF_OK;
  lzma_stream x = LZMA_STREAM_INIT;
  // xz -9 needs 65 MiB; a header that asks for more than 2 GiB is not an honest one.
  lzma_ret code = lzma_stream_decoder(&x, UINT64_C(2) << 30, LZMA_CONCATENATED);
  if (code != LZMA_OK) return nf_fail(NF_MEMORY, "%s: not enough memory to decompress", label);
  x.next_in = in;
  x.avail_in = size;
  do {
    NF_TRY_GOTO(done, sink_grow(out));
    size_t room = out->capacity - out->size;
    x.next_out = (unsigned char *)out->data + out->size;
    x.avail_out = room;
    code = lzma_code(&x, LZMA_FINISH);
    out->size += room - x.avail_out;
  } while (code == LZMA_OK);
  if (code == LZMA_BUF_ERROR) {
    status = cut_short(label, "xz");
  } else if (code == LZMA_MEMLIMIT_ERROR || code == LZMA_MEM_ERROR) {
    status = damaged(label, "xz", "it asks for more than 2 GiB of memory");
  } else if (code != LZMA_STREAM_END) {
    status = damaged(label, "xz", code == LZMA_OPTIONS_ERROR ? "unknown options" : "bad data");
  }
done:
  lzma_end(&x);
  return status;
}

static nf_status unzstd(const char *label, const unsigned char *in, size_t size, sink *out) {
  nf_status status = NF_OK;
  nf_zstd_reader *reader = nf_zstd_reader_create();
  const void *p = in;
  size_t n;
  do {
    NF_TRY_GOTO(done, sink_grow(out));
    NF_TRY_GOTO(done,
                nf_zstd_reader_feed(reader, label, &p, &size, out->data + out->size, out->capacity - out->size, &n));
    out->size += n;
  } while (size || out->size == out->capacity);
  if (!nf_zstd_reader_at_frame_end(reader)) status = cut_short(label, "zstd");
done:
  nf_zstd_reader_free(reader);
  return status;
}

// Decompresses bytes of a known, compressed kind.
static nf_status decompress(kind k, const char *label, const void *data, size_t size, size_t max_size, char **ret_data,
                            size_t *ret_size) {
  sink out = {.label = label, .max_size = max_size};
  out.capacity = size < (1u << 16) ? 1 << 16 : size;
  if (max_size && out.capacity > max_size) out.capacity = max_size + 1;
  out.data = nf_alloc(out.capacity + 1);
  nf_status status = k == GZIP ? gunzip(label, data, size, &out)
                     : k == XZ ? unxz(label, data, size, &out)
                               : unzstd(label, data, size, &out);
  if (status == NF_OK && max_size && out.size > max_size) {
    status =
        nf_fail(NF_INPUT, "%s: is larger than %zu bytes when decompressed, more than is allowed here", label, max_size);
  }
  if (status != NF_OK) {
    free(out.data);
    return status;
  }
  out.data = nf_realloc(out.data, out.size + 1, 1);
  out.data[out.size] = '\0';
  *ret_data = out.data;
  *ret_size = out.size;
  return NF_OK;
}

static nf_status check_plain_size(const char *label, size_t size, size_t max_size) {
  if (!max_size || size <= max_size) return NF_OK;
  return nf_fail(NF_INPUT, "%s: is larger than %zu bytes, more than is allowed here", label, max_size);
}

nf_status nf_decompress(const char *label, const void *data, size_t size, size_t max_size, char **ret_data,
                        size_t *ret_size) {
  *ret_data = NULL;
  *ret_size = 0;
  kind k = kind_of(data, size);
  if (k != PLAIN) return decompress(k, label, data, size, max_size, ret_data, ret_size);
  NF_TRY(check_plain_size(label, size, max_size));
  *ret_data = nf_strndup(size ? data : "", size);
  *ret_size = size;
  return NF_OK;
}

nf_status nf_read_maybe_compressed(const char *path, size_t max_size, char **ret_data, size_t *ret_size) {
  char *data;
  size_t size;
  *ret_data = NULL;
  *ret_size = 0;
  NF_TRY(nf_file_read(path, &data, &size));
  kind k = kind_of((const unsigned char *)data, size);
  nf_status status;
  if (k != PLAIN) {
    status = decompress(k, path, data, size, max_size, ret_data, ret_size);
  } else {
    status = check_plain_size(path, size, max_size);
    if (status == NF_OK) {
      *ret_data = data;
      *ret_size = size;
      return NF_OK;
    }
  }
  free(data);
  return status;
}

nf_status nf_zstd_compress(const void *data, size_t size, int level, void **ret_data, size_t *ret_size) {
  size_t bound = ZSTD_compressBound(size);
  void *out = nf_alloc(bound);
  size_t n = ZSTD_compress(out, bound, data, size, level);
  if (ZSTD_isError(n)) {
    free(out);
    *ret_data = NULL;
    return nf_fail(NF_FAILED, "zstd cannot compress %zu bytes: %s", size, ZSTD_getErrorName(n));
  }
  *ret_data = nf_realloc(out, n, 1);
  *ret_size = n;
  return NF_OK;
}

struct nf_zstd_reader {
  ZSTD_DStream *stream;
  bool at_frame_end;
};

nf_zstd_reader *nf_zstd_reader_create(void) {
  nf_zstd_reader *reader = nf_calloc(1, sizeof *reader);
  reader->stream = ZSTD_createDStream();
  NF_ASSERT(reader->stream);
  // Files made with zstd --long=31 are as welcome as others.
  int widest = ZSTD_dParam_getBounds(ZSTD_d_windowLogMax).upperBound;
  size_t code = ZSTD_DCtx_setParameter(reader->stream, ZSTD_d_windowLogMax, widest);
  NF_ASSERT(!ZSTD_isError(code));
  reader->at_frame_end = true;
  return reader;
}

nf_status nf_zstd_reader_feed(nf_zstd_reader *reader, const char *label, const void **in, size_t *in_size, void *out,
                              size_t out_size, size_t *ret_n) {
  ZSTD_inBuffer input = {*in, *in_size, 0};
  ZSTD_outBuffer output = {out, out_size, 0};
  nf_status status = NF_OK;
  while (output.pos < output.size) {
    size_t before_in = input.pos, before_out = output.pos;
    // Between frames without input there is nothing to ask: the library would begin a new frame.
    if (reader->at_frame_end && input.pos == input.size) break;
    size_t code = ZSTD_decompressStream(reader->stream, &output, &input);
    if (ZSTD_isError(code)) {
      status = damaged(label, "zstd", ZSTD_getErrorName(code));
      break;
    }
    reader->at_frame_end = code == 0;
    if (input.pos == before_in && output.pos == before_out) break;
  }
  *in = (const char *)*in + input.pos;
  *in_size -= input.pos;
  *ret_n = output.pos;
  return status;
}

bool nf_zstd_reader_at_frame_end(const nf_zstd_reader *reader) { return reader->at_frame_end; }

void nf_zstd_reader_free(nf_zstd_reader *reader) {
  if (!reader) return;
  ZSTD_freeDStream(reader->stream);
  free(reader);
}
