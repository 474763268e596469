// Streaming compression around libzstd.
#include "formats/zstd_writer.h"

#include <stdlib.h>
#include <zstd.h>

#include "base/memory.h"

struct nf_zstd_writer {
  FILE *out;
  ZSTD_CStream *stream;
  char *buffer;
  size_t size;
};

nf_zstd_writer *nf_zstd_writer_create(FILE *out, int level) {
  nf_zstd_writer *writer = nf_calloc(1, sizeof *writer);
  writer->out = out;
  writer->stream = ZSTD_createCStream();
  NF_ASSERT(writer->stream);
  NF_ASSERT(!ZSTD_isError(ZSTD_CCtx_setParameter(writer->stream, ZSTD_c_compressionLevel, level)));
  NF_ASSERT(!ZSTD_isError(ZSTD_CCtx_setParameter(writer->stream, ZSTD_c_checksumFlag, 1)));
  writer->size = ZSTD_CStreamOutSize();
  writer->buffer = nf_alloc(writer->size);
  return writer;
}

static nf_status compress(nf_zstd_writer *writer, const void *data, size_t size, ZSTD_EndDirective mode) {
  ZSTD_inBuffer in = {data, size, 0};
  size_t left;
  do {
    ZSTD_outBuffer out = {writer->buffer, writer->size, 0};
    left = ZSTD_compressStream2(writer->stream, &out, &in, mode);
    if (ZSTD_isError(left)) return nf_fail(NF_FAILED, "zstd cannot compress: %s", ZSTD_getErrorName(left));
    if (out.pos) (void)!fwrite(writer->buffer, 1, out.pos, writer->out);  // a short write leaves ferror set
  } while (mode == ZSTD_e_end ? left > 0 : in.pos < in.size);
  return NF_OK;
}

nf_status nf_zstd_writer_write(nf_zstd_writer *writer, const void *data, size_t size) {
  return compress(writer, data, size, ZSTD_e_continue);
}

nf_status nf_zstd_writer_end(nf_zstd_writer *writer) { return compress(writer, NULL, 0, ZSTD_e_end); }

void nf_zstd_writer_free(nf_zstd_writer *writer) {
  if (!writer) return;
  ZSTD_freeCStream(writer->stream);
  free(writer->buffer);
  free(writer);
}
