// Three forms behind one set of calls.
#include "weights/sink.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "formats/zstd_writer.h"

enum { CHUNK = 1 << 18, LEVEL = 3 };

struct weights_sink {
  char *label;
  nf_writer *writer;  // NULL when the stream is the caller's
  FILE *stream;
  mapped_writer *mapped;  // for .nfw
  nf_zstd_writer *zstd;   // for .zst
  record_head head;
  char *chunk;
};

static void sink_free(weights_sink *sink) {
  mapped_writer_free(sink->mapped);
  nf_zstd_writer_free(sink->zstd);
  free(sink->chunk);
  free(sink->label);
  free(sink);
}

static weights_sink *create(const char *label, FILE *stream) {
  weights_sink *sink = nf_calloc(1, sizeof *sink);
  sink->label = nf_strdup(label);
  sink->stream = stream;
  sink->chunk = nf_alloc(CHUNK * sizeof(float));
  return sink;
}

nf_status sink_open(const char *path, const mapped_part *parts, int n_parts, weights_sink **ret_sink) {
  *ret_sink = NULL;
  bool is_mapped = nf_ends_with(path, ".nfw"), is_zstd = nf_ends_with(path, ".bin.zst");
  if (!is_mapped && !is_zstd && !nf_ends_with(path, ".bin")) {
    return nf_fail(NF_INPUT, "%s: weights are written as .bin, .bin.zst or .nfw: give the file one of these endings",
                   path);
  }
  nf_writer *writer;
  NF_TRY(nf_writer_open(path, &writer));
  weights_sink *sink = create(path, nf_writer_stream(writer));
  sink->writer = writer;
  if (is_mapped) sink->mapped = mapped_writer_create(sink->stream, parts, n_parts);
  if (is_zstd) sink->zstd = nf_zstd_writer_create(sink->stream, LEVEL);
  *ret_sink = sink;
  return NF_OK;
}

weights_sink *sink_open_mapped(const char *label, FILE *file, const mapped_part *parts, int n_parts) {
  weights_sink *sink = create(label, file);
  sink->mapped = mapped_writer_create(file, parts, n_parts);
  return sink;
}

// Bytes of a record file.
static nf_status put(weights_sink *sink, const void *bytes, size_t size) {
  if (sink->zstd) return nf_zstd_writer_write(sink->zstd, bytes, size);
  (void)!fwrite(bytes, 1, size, sink->stream);
  return NF_OK;
}

// A full disk is noticed early, not after everything was computed.
static nf_status check(weights_sink *sink) {
  if (!ferror(sink->stream)) return NF_OK;
  return nf_fail(NF_FAILED, "%s: cannot be written: %s", sink->label, strerror(errno ? errno : EIO));
}

nf_status sink_begin(weights_sink *sink, const record_head *head) {
  sink->head = *head;
  if (sink->mapped) {
    mapped_writer_begin(sink->mapped, head);
    return check(sink);
  }
  nf_str bytes = {0};
  record_encode_head(head, &bytes);
  nf_status status = put(sink, bytes.data, bytes.length);
  nf_str_free(&bytes);
  return status == NF_OK ? check(sink) : status;
}

nf_status sink_floats(weights_sink *sink, const float *values, int64_t n) {
  NF_ASSERT(sink->head.dtype != RECORD_U8);
  int size = record_dtype_size(sink->head.dtype);
  for (int64_t done = 0; done < n; done += CHUNK) {
    int64_t m = n - done < CHUNK ? n - done : CHUNK;
    if (sink->mapped) {
      // What a record file of this dtype would hold, so that both forms give the same numbers.
      record_from_float(sink->head.dtype, values + done, m, sink->chunk);
      float *rounded = (float *)sink->chunk;
      if (sink->head.dtype != RECORD_F32) {
        uint16_t *halves = (uint16_t *)sink->chunk + CHUNK;
        memmove(halves, sink->chunk, (size_t)m * sizeof *halves);
        record_to_float(sink->head.dtype, halves, m, rounded);
      }
      mapped_writer_values(sink->mapped, rounded, (size_t)m * sizeof(float));
    } else {
      record_from_float(sink->head.dtype, values + done, m, sink->chunk);
      NF_TRY(put(sink, sink->chunk, (size_t)(m * size)));
    }
    NF_TRY(check(sink));
  }
  return NF_OK;
}

nf_status sink_bytes(weights_sink *sink, const uint8_t *bytes, int64_t n) {
  NF_ASSERT(sink->head.dtype == RECORD_U8);
  if (sink->mapped) {
    mapped_writer_values(sink->mapped, bytes, (size_t)n);
  } else {
    NF_TRY(put(sink, bytes, (size_t)n));
  }
  return check(sink);
}

nf_status sink_commit(weights_sink *sink) {
  nf_status status = NF_OK;
  if (sink->mapped) mapped_writer_end(sink->mapped);
  if (sink->zstd) NF_TRY_GOTO(done, nf_zstd_writer_end(sink->zstd));
  if (sink->writer) {
    status = nf_writer_commit(sink->writer);
    sink->writer = NULL;
  } else if (fflush(sink->stream) != 0 || ferror(sink->stream)) {
    status = nf_fail(NF_FAILED, "%s: cannot be written: %s", sink->label, strerror(errno ? errno : EIO));
  }
done:
  nf_writer_abandon(sink->writer);
  sink_free(sink);
  return status;
}

void sink_abandon(weights_sink *sink) {
  if (!sink) return;
  nf_writer_abandon(sink->writer);
  sink_free(sink);
}
