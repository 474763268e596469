// Writing and reading of mappable files.
#include "weights/mapped.h"

#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"

enum { HEADER = 64, ALIGN = 64, BLOCK = 4 << 20, VERSION = 1, ORDER_MARK = 0x01020304 };
static const char magic[8] = {'n', 'f', 'w', 'e', 'i', 'g', 'h', 't'};

// 1. Writing

struct mapped_writer {
  FILE *out;
  nf_str index, sums;  // sums: u64 checksum of each full block so far
  char *block;
  size_t used;     // bytes in block
  uint64_t place;  // of the next byte in the file
  uint64_t n_records, n_blocks;
};

static void put_u32(nf_str *s, uint32_t value) { nf_str_append(s, (const char *)&value, sizeof value); }
static void put_u64(nf_str *s, uint64_t value) { nf_str_append(s, (const char *)&value, sizeof value); }
static void put_text(nf_str *s, const char *text) {
  put_u32(s, (uint32_t)strlen(text));
  nf_str_puts(s, text);
}

static void flush_block(mapped_writer *writer) {
  if (!writer->used) return;
  put_u64(&writer->sums, nf_checksum(writer->block, writer->used));
  writer->n_blocks++;
  (void)!fwrite(writer->block, 1, writer->used, writer->out);  // a short write leaves ferror set
  writer->used = 0;
}

static void put_bytes(mapped_writer *writer, const void *bytes, size_t size) {
  const char *p = bytes;
  writer->place += size;
  while (size) {
    size_t n = BLOCK - writer->used < size ? BLOCK - writer->used : size;
    memcpy(writer->block + writer->used, p, n);
    writer->used += n;
    p += n;
    size -= n;
    if (writer->used == BLOCK) flush_block(writer);
  }
}

static void pad(mapped_writer *writer) {
  static const char zeros[ALIGN];
  size_t over = writer->place % ALIGN;
  if (over) put_bytes(writer, zeros, ALIGN - over);
}

mapped_writer *mapped_writer_create(FILE *out, const mapped_part *parts, int n_parts) {
  mapped_writer *writer = nf_calloc(1, sizeof *writer);
  writer->out = out;
  writer->block = nf_alloc(BLOCK);
  writer->place = HEADER;
  put_u32(&writer->index, (uint32_t)n_parts);
  for (int i = 0; i < n_parts; i++) {
    put_text(&writer->index, parts[i].name);
    put_u64(&writer->index, (uint64_t)parts[i].size);
    put_u64(&writer->index, (uint64_t)parts[i].seconds);
    put_u64(&writer->index, (uint64_t)parts[i].nanoseconds);
  }
  // The real header comes last: a file without it is not taken for whole.
  static const char nothing[HEADER];
  (void)!fwrite(nothing, 1, HEADER, out);
  return writer;
}

void mapped_writer_begin(mapped_writer *writer, const record_head *head) {
  pad(writer);
  put_text(&writer->index, head->name);
  put_u32(&writer->index, head->dtype);
  put_u32(&writer->index, (uint32_t)head->n_dims);
  for (int i = 0; i < head->n_dims; i++) put_u64(&writer->index, (uint64_t)head->shape[i]);
  put_u64(&writer->index, writer->place);
  writer->n_records++;
}

void mapped_writer_values(mapped_writer *writer, const void *bytes, size_t size) { put_bytes(writer, bytes, size); }

void mapped_writer_end(mapped_writer *writer) {
  pad(writer);
  flush_block(writer);
  put_u64(&writer->index, writer->n_blocks);
  nf_str_append(&writer->index, writer->sums.data ? writer->sums.data : "", writer->sums.length);
  (void)!fwrite(writer->index.data, 1, writer->index.length, writer->out);
  nf_str header = {0};
  nf_str_append(&header, magic, sizeof magic);
  put_u32(&header, VERSION);
  put_u32(&header, ORDER_MARK);
  put_u64(&header, writer->place + writer->index.length);
  put_u64(&header, writer->place);
  put_u64(&header, writer->index.length);
  put_u64(&header, nf_checksum(writer->index.data, writer->index.length));
  put_u64(&header, writer->n_records);
  put_u64(&header, nf_checksum(header.data, header.length));
  NF_ASSERT(header.length == HEADER);
  if (fseek(writer->out, 0, SEEK_SET) == 0) (void)!fwrite(header.data, 1, HEADER, writer->out);
  nf_str_free(&header);
}

void mapped_writer_free(mapped_writer *writer) {
  if (!writer) return;
  nf_str_free(&writer->index);
  nf_str_free(&writer->sums);
  free(writer->block);
  free(writer);
}

// 2. Reading

// Walks the index; `bad` once anything did not fit.
typedef struct {
  const char *next, *end;
  bool bad;
} cursor;

static uint64_t take(cursor *c, size_t size) {
  uint64_t value = 0;
  if ((size_t)(c->end - c->next) < size) {
    c->bad = true;
    c->next = c->end;
    return 0;
  }
  memcpy(&value, c->next, size);
  c->next += size;
  return value;
}

static const char *take_text(cursor *c, nf_arena *arena) {
  uint64_t length = take(c, 4);
  if ((uint64_t)(c->end - c->next) < length || length > RECORD_MAX_NAME || memchr(c->next, 0, length)) {
    c->bad = true;
    return "";
  }
  const char *text = nf_arena_strndup(arena, c->next, length);
  c->next += length;
  return text;
}

static nf_status refuse(const char *label, const char *why) {
  return nf_fail(NF_INPUT,
                 "%s: %s: not a mappable weights file, or damaged: make it anew with `nativefold weights convert`",
                 label, why);
}

nf_status mapped_read(const char *label, const void *data, size_t size, nf_arena *arena, mapped_record **ret_records,
                      int *ret_n, mapped_part **ret_parts, int *ret_n_parts) {
  if (size < HEADER || memcmp(data, magic, sizeof magic) != 0) return refuse(label, "no \"nfweight\" at its start");
  const char *bytes = data;
  cursor header = {bytes + sizeof magic, bytes + HEADER, false};
  uint64_t version = take(&header, 4), order = take(&header, 4), file_size = take(&header, 8);
  uint64_t index_place = take(&header, 8), index_size = take(&header, 8), index_sum = take(&header, 8);
  uint64_t n_records = take(&header, 8), header_sum = take(&header, 8);
  if (header_sum != nf_checksum(bytes, HEADER - 8)) return refuse(label, "its header is damaged");
  if (version != VERSION || order != ORDER_MARK) return refuse(label, "it is of another version");
  if (file_size != size) return refuse(label, "its size is wrong");
  if (index_place < HEADER || index_place > size || index_size != size - index_place) {
    return refuse(label, "its index is misplaced");
  }
  const char *index = bytes + index_place;
  if (nf_checksum(index, index_size) != index_sum) return refuse(label, "its index is damaged");
  // A record takes at least 20 bytes of index, a part 28: no count larger than that is honest.
  cursor c = {index, index + index_size, false};
  uint64_t n_parts = take(&c, 4);
  if (n_records > index_size / 20 || n_parts > index_size / 28) return refuse(label, "its index is damaged");
  mapped_part *parts = NF_NEW(arena, mapped_part, n_parts);
  for (uint64_t i = 0; i < n_parts && !c.bad; i++) {
    parts[i].name = take_text(&c, arena);
    parts[i].size = (int64_t)take(&c, 8);
    parts[i].seconds = (int64_t)take(&c, 8);
    parts[i].nanoseconds = (int64_t)take(&c, 8);
  }
  mapped_record *records = NF_NEW(arena, mapped_record, n_records);
  for (uint64_t i = 0; i < n_records && !c.bad; i++) {
    mapped_record *record = &records[i];
    record_head head = {.n_dims = 0};
    record->name = take_text(&c, arena);
    uint64_t dtype = take(&c, 4), n_dims = take(&c, 4);
    if (dtype > RECORD_U8 || n_dims > WEIGHTS_MAX_DIMS) {
      c.bad = true;
      break;
    }
    head.dtype = record->dtype = (record_dtype)dtype;
    head.n_dims = record->n_dims = (int)n_dims;
    for (uint64_t d = 0; d < n_dims; d++) head.shape[d] = record->shape[d] = (int64_t)take(&c, 8);
    uint64_t place = take(&c, 8);
    if (c.bad || !record_count(&head)) {
      c.bad = true;
      break;
    }
    record->count = head.count;
    uint64_t length = (uint64_t)head.count * (head.dtype == RECORD_U8 ? 1 : sizeof(float));
    if (place % ALIGN || place < HEADER || place > index_place || length > index_place - place ||
        (head.dtype == RECORD_U8 && head.count != RECORD_IDENTIFIER_SIZE)) {
      c.bad = true;
      break;
    }
    record->values = bytes + place;
  }
  uint64_t n_blocks = take(&c, 8);
  if (c.bad || n_blocks != (index_place - HEADER + BLOCK - 1) / BLOCK || (uint64_t)(c.end - c.next) != 8 * n_blocks) {
    return refuse(label, "its index is damaged");
  }
  bool same = true;
#pragma omp parallel for schedule(dynamic, 1) reduction(&& : same)
  for (uint64_t i = 0; i < n_blocks; i++) {
    uint64_t place = HEADER + i * BLOCK, sum;
    uint64_t length = index_place - place < BLOCK ? index_place - place : BLOCK;
    memcpy(&sum, c.next + 8 * i, sizeof sum);
    same = same && nf_checksum(bytes + place, length) == sum;
  }
  if (!same) return refuse(label, "its values do not fit their checksums");
  *ret_records = records;
  *ret_n = (int)n_records;
  *ret_parts = parts;
  *ret_n_parts = (int)n_parts;
  return NF_OK;
}
