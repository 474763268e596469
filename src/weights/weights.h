// Weights: published record files -> named tensors, float32, in one mappable file.
#ifndef NF_WEIGHTS_WEIGHTS_H
#define NF_WEIGHTS_WEIGHTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

enum { WEIGHTS_MAX_DIMS = 8 };

typedef struct {
  const char *name;   // scope + "/" + parameter name, as published
  const char *dtype;  // as published: "float32", "bfloat16", "uint8"
  int n_dims;
  int64_t shape[WEIGHTS_MAX_DIMS];
  int64_t count;        // number of values
  const float *values;  // converted to float32, 64-byte aligned; NULL for the identifier record
} weights_record;

typedef struct nf_weights nf_weights;

// Opens a model directory (or one file): *.bin, *.bin.zst, split files (af3.0.bin.zst, af3.bin.zst.0, ...) or an own
// mappable *.nfw file; which one of a directory is said in docs/weights.md. Whatever needs decompressing or converting
// is converted once into a mappable copy beside it (FILE.nfw; if the directory is not for writing, in the user's cache
// directory; failing both, in memory), and later opened by mmap alone, its checksums checked; a copy that is damaged
// or of another source is made anew. Truncated files, unknown dtypes, duplicate names, sizes that do not fit the shape
// and non-finite values are refused by record name.
NF_CHECKED nf_status weights_open(const char *path, nf_weights **ret_weights);
void weights_close(nf_weights *weights);  // NULL is fine

int weights_count(const nf_weights *weights);
const weights_record *weights_at(const nf_weights *weights, int i);
const weights_record *weights_find(const nf_weights *weights, const char *name);  // NULL if absent
const char *weights_path(const nf_weights *weights);

// The bytes of the identifier record; false if the file has none.
bool weights_identifier(const nf_weights *weights, uint8_t ret_bytes[64]);
// Whether the identifier says that these are AlphaFold 3's own parameters: 64 hexadecimal digits, and no noise
// constants of its own.
bool weights_is_alphafold3(const nf_weights *weights);
// A display name: "AlphaFold 3" for its own weights; else the file's stem.
const char *weights_model_name(const nf_weights *weights);

// Noise-embedding constants from a *_fourier.npz beside the file (keys weight, bias; n values each); false if none.
bool weights_fourier(const nf_weights *weights, const float **ret_weight, const float **ret_bias, int *ret_n);

// `nativefold weights random`: seeded weights by a manifest (docs/weights.md), as .bin, .bin.zst or .nfw by the
// output's suffix. ":full" and ":tiny" are the embedded ones. Where the manifest has sums, values that do not add up to them are refused.
NF_CHECKED nf_status weights_write_random(const char *manifest_path, const char *output_path);
// `nativefold weights convert`: any readable form -> .bin, .bin.zst or .nfw by the output's suffix.
NF_CHECKED nf_status weights_convert(const nf_weights *weights, const char *output_path);

#endif
