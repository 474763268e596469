// The atom transformer's windows: the atoms, numbered through in token order, cut into subsets of 32 queries; each
// subset looks at the 128 atoms around it as keys.
#include "features/stages.h"

// What the reference's lookup by (chain, residue, atom name) finds for an empty place: the last empty place of the
// source where it has one (then marked as found), else place 0 (marked as not found).
typedef struct {
  int32_t index;
  uint8_t mask;
} place;

void window_features(const nf_layout *l, nf_batch *b) {
  int32_t n_padded = (int32_t)((int64_t)b->n_subset * b->n_query);  // places of the flat list
  int32_t n_slots = b->n_token * b->n_slot;
  place empty_slot = {0, 0}, empty_query = {0, 0};
  // Slots left empty in a real token are filed under that token's residue; only those of padding tokens are found.
  if (b->n_token > l->n_tokens) empty_slot = (place){n_slots - 1, 1};
  if (n_padded > l->n_atoms) empty_query = (place){n_padded - 1, 1};

  for (int32_t q = 0; q < n_padded; q++) {
    bool is_atom = q < l->n_atoms;
    place from = empty_slot;
    if (is_atom) from = (place){l->atoms[q].token * b->n_slot + l->atoms[q].slot, 1};
    b->token_atoms_to_queries_idxs[q] = from.index;
    b->token_atoms_to_queries_mask[q] = from.mask;
    b->tokens_to_queries_idxs[q] = from.index / b->n_slot;
    b->tokens_to_queries_mask[q] = is_atom;
  }

  for (int s = 0; s < b->n_subset; s++) {
    // Centred on the subset's queries, then shifted to lie among the real atoms. A list shorter than one window
    // starts before its beginning, and the reference takes those places from the list's end, where it is empty.
    int64_t start = (int64_t)s * b->n_query + b->n_query / 2 - b->n_key / 2;
    if (start < 0) {
      start = 0;
    } else if (start + b->n_key > l->n_atoms) {
      start = l->n_atoms - b->n_key;
    }
    for (int k = 0; k < b->n_key; k++) {
      int64_t q = start + k, at = (int64_t)s * b->n_key + k;
      bool is_atom = q >= 0 && q < l->n_atoms;
      place slot = empty_slot, query = empty_query;
      if (is_atom) {
        slot = (place){l->atoms[q].token * b->n_slot + l->atoms[q].slot, 1};
        query = (place){(int32_t)q, 1};
      }
      b->tokens_to_keys_idxs[at] = slot.index / b->n_slot;
      b->tokens_to_keys_mask[at] = is_atom;
      b->queries_to_keys_idxs[at] = query.index;
      b->queries_to_keys_mask[at] = query.mask;
    }
  }

  for (int64_t i = (int64_t)l->n_tokens * b->n_slot; i < n_slots; i++) {
    b->queries_to_token_atoms_idxs[i] = empty_query.index;
    b->queries_to_token_atoms_mask[i] = empty_query.mask;
  }
  for (int32_t q = 0; q < l->n_atoms; q++) {
    int64_t at = (int64_t)l->atoms[q].token * b->n_slot + l->atoms[q].slot;
    b->queries_to_token_atoms_idxs[at] = q;
    b->queries_to_token_atoms_mask[at] = 1;
  }

  b->token_atoms_to_queries_shape[0] = b->n_token;
  b->token_atoms_to_queries_shape[1] = b->n_slot;
  b->tokens_to_queries_shape[0] = b->n_token;
  b->tokens_to_keys_shape[0] = b->n_token;
  b->queries_to_keys_shape[0] = b->queries_to_token_atoms_shape[0] = b->n_subset;
  b->queries_to_keys_shape[1] = b->queries_to_token_atoms_shape[1] = b->n_query;
}
