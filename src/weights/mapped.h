// The mappable file (*.nfw): float32 values, 64-byte aligned, with an index and checksums. Layout, little-endian:
//
//   0         header, 64 bytes: magic "nfweight", u32 version, u32 0x01020304, u64 size of the file, u64 place of the
//             index, u64 size of the index, u64 checksum of the index, u64 number of records, u64 checksum of the
//             first 56 bytes
//   64        values of each record, each padded to a multiple of 64 bytes
//   index     u32 number of source parts; for each: text (u32 length, bytes) name, i64 bytes, i64 seconds, i64
//             nanoseconds of modification; for each record: text name, u32 dtype as published (0 float32, 1 bfloat16,
//             2 float16, 3 uint8), u32 number of dimensions, i64 each dimension, u64 place of its values;
//             u64 number of blocks, u64 checksum of each 4 MiB block of [64, index)
//
// Values of uint8 records (the identifier) are bytes; all others float32.
#ifndef NF_WEIGHTS_MAPPED_H
#define NF_WEIGHTS_MAPPED_H

#include <stdint.h>
#include <stdio.h>

#include "base/memory.h"
#include "base/str.h"
#include "weights/record.h"

// One file that a mappable file was made from.
typedef struct {
  const char *name;  // without directory
  int64_t size, seconds, nanoseconds;
} mapped_part;

// A mappable file being written to a stream that can seek. The stream stays the caller's.
typedef struct mapped_writer mapped_writer;
mapped_writer *mapped_writer_create(FILE *out, const mapped_part *parts, int n_parts);
void mapped_writer_begin(mapped_writer *writer, const record_head *head);
void mapped_writer_values(mapped_writer *writer, const void *bytes, size_t size);  // float32 (uint8 for the identifier)
void mapped_writer_end(mapped_writer *writer);   // index and header; write errors stay visible in ferror(out)
void mapped_writer_free(mapped_writer *writer);  // NULL is fine

typedef struct {
  const char *name;  // in the arena
  record_dtype dtype;
  int n_dims;
  int64_t shape[WEIGHTS_MAX_DIMS], count;
  const void *values;  // in the mapped bytes
} mapped_record;

// Reads the index of a mapped file, checking every number and checksum: a damaged file is refused.
NF_CHECKED nf_status mapped_read(const char *label, const void *data, size_t size, nf_arena *arena,
                                 mapped_record **ret_records, int *ret_n, mapped_part **ret_parts, int *ret_n_parts);

#endif
