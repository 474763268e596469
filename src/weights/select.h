// Which files of a directory are the model.
#ifndef NF_WEIGHTS_SELECT_H
#define NF_WEIGHTS_SELECT_H

#include "base/memory.h"
#include "base/status.h"

typedef struct {
  const char *directory;  // "." if the path named none
  const char *stem;       // "af3" of af3.bin.zst and of af3.0.bin.zst
  int n_paths;
  const char **paths;   // parts in order
  const char *fourier;  // a *_fourier.npz that belongs to it; NULL if none
} weights_selection;

// path: a directory, or one file (any part of a split model). Strings live in the arena.
//
// In a directory the forms are looked for in this order, and the first that is there is taken: STEM.N.bin.zst,
// STEM.bin.zst.N, STEM.N.bin, STEM.bin.N, STEM.bin.zst, STEM.bin (the order AlphaFold 3 documents by its code), then
// STEM.nfw. Two models of the same form are refused by name; so are parts that are missing.
NF_CHECKED nf_status weights_select(const char *path, nf_arena *arena, weights_selection *ret_selection);

#endif
