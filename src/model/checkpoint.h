// Checkpoint files: some arrays, and what they belong to. Written whole or not at all; read only if every byte and every
// circumstance is as it was: a damaged file, and one of another job, weights, version or device, is refused with a
// sentence. Layout, in the machine's byte order (the magic tells them apart): head, then each array from a multiple
// of 64 bytes on.
#ifndef NF_MODEL_CHECKPOINT_H
#define NF_MODEL_CHECKPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

// What a checkpoint belongs to. Texts are padded with zeros, so that structs can be compared.
typedef struct {
  char kind[16];      // "trunk", "diffusion", "sample"
  char version[32];   // of the program
  char device[96];    // and precision
  uint64_t weights;   // checksum of names, shapes and values
  uint64_t job;       // of the job's content
  uint64_t options;   // of what changes results or files
  uint64_t features;  // of the batch; 0: not known, as for samples that are found before features are made
  uint32_t seed;
  int32_t part;       // of the kind: a group's first sample, a sample
} checkpoint_identity;

enum { CHECKPOINT_MAX_ARRAYS = 8, CHECKPOINT_NUMBERS = 4 };
typedef struct {
  int32_t numbers[CHECKPOINT_NUMBERS];  // the caller's
  int n_arrays;
  const void *arrays[CHECKPOINT_MAX_ARRAYS];
  uint64_t bytes[CHECKPOINT_MAX_ARRAYS];
} checkpoint_content;

NF_CHECKED nf_status checkpoint_write(const char *path, const checkpoint_identity *identity,
                                      const checkpoint_content *content);

// A checkpoint whose head has been verified.
typedef struct checkpoint checkpoint;
// NF_INPUT: it is not there, damaged (*ret_is_foreign false), or of something else (true); the message says which.
NF_CHECKED nf_status checkpoint_open(const char *path, const checkpoint_identity *identity, bool *ret_is_foreign,
                                     checkpoint **ret_checkpoint);
const int32_t *checkpoint_numbers(const checkpoint *c);
int checkpoint_n_arrays(const checkpoint *c);
uint64_t checkpoint_bytes(const checkpoint *c, int array);  // no more than the file holds
// Reads an array into memory of that many bytes, verifying it: NF_INPUT if it is damaged, what was read notwithstanding.
NF_CHECKED nf_status checkpoint_read(checkpoint *c, int array, void *to);
void checkpoint_close(checkpoint *c);  // NULL is fine

#endif
