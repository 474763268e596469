// A layout from a feature file alone, for folding on a machine that has neither job nor dictionary: chains by
// asym_id, residues by residue_index, atom names and elements from the reference structure.
#include <string.h>

#include "chem/elements.h"
#include "features/batch.h"

static nf_chain_kind kind_of(const nf_batch *b, int token) {
  if (b->is_protein[token]) return NF_PROTEIN;
  if (b->is_rna[token]) return NF_RNA;
  if (b->is_dna[token]) return NF_DNA;
  return b->is_water[token] ? NF_WATER : NF_LIGAND;
}

// A, B, ... Z, AA, BA, ...: the way mmCIF files number their chains.
static const char *chain_name(int n, nf_arena *arena) {
  char name[12];
  int length = 0;
  for (n++; n > 0; n = (n - 1) / 26) name[length++] = (char)('A' + (n - 1) % 26);
  return nf_arena_strndup(arena, name, (size_t)length);
}

nf_status batch_layout(const nf_batch *b, nf_arena *arena, nf_layout *ret_layout) {
  int n = 0;
  while (n < b->n_token && b->seq_mask[n]) n++;
  nf_layout l = {.n_tokens = n};
  int64_t slots = (int64_t)n * b->n_slot;
  l.tokens = NF_NEW(arena, layout_token, n);
  l.chains = NF_NEW(arena, layout_chain, n);
  l.residues = NF_NEW(arena, layout_residue, n);
  l.atoms = NF_NEW(arena, layout_atom, slots);
  for (int t = 0; t < n; t++) {
    bool new_chain = t == 0 || b->asym_id[t] != b->asym_id[t - 1];
    bool new_residue = new_chain || b->residue_index[t] != b->residue_index[t - 1];
    if (new_chain) {
      l.chains[l.n_chains] = (layout_chain){.id = chain_name(l.n_chains, arena),
                                            .kind = kind_of(b, t),
                                            .job_chain = -1,
                                            .entity_id = b->entity_id[t],
                                            .sym_id = b->sym_id[t],
                                            .first_residue = l.n_residues,
                                            .first_token = t,
                                            .first_atom = l.n_atoms};
      l.n_chains++;
    }
    layout_chain *chain = &l.chains[l.n_chains - 1];
    if (new_residue) {
      int k = 0;
      while (t + k < n && b->asym_id[t + k] == b->asym_id[t] && b->residue_index[t + k] == b->residue_index[t]) k++;
      bool polymer = chain->kind == NF_PROTEIN || chain->kind == NF_RNA || chain->kind == NF_DNA;
      const char *code = polymer && k == 1 ? residue_class_code(b->aatype[t]) : NULL;
      l.residues[l.n_residues] = (layout_residue){.chain = l.n_chains - 1,
                                                  .id = b->residue_index[t],
                                                  .name = code                        ? code
                                                          : chain->kind == NF_PROTEIN ? "UNK"
                                                          : polymer                   ? "N"
                                                                                      : "UNL",
                                                  .standard = code != NULL,
                                                  .first_token = t,
                                                  .n_tokens = k,
                                                  .first_atom = l.n_atoms};
      l.n_residues++;
      chain->n_residues++;
    }
    layout_residue *residue = &l.residues[l.n_residues - 1];
    layout_token *token = &l.tokens[t];
    *token = (layout_token){.chain = l.n_chains - 1,
                            .residue = l.n_residues - 1,
                            .center = b->residue_center_index[t],
                            .first_atom = l.n_atoms};
    chain->n_tokens++;
    for (int s = 0; s < b->n_slot; s++) {
      int64_t at = (int64_t)t * b->n_slot + s;
      if (!b->pred_dense_atom_mask[at]) continue;
      layout_atom *atom = &l.atoms[l.n_atoms++];
      *atom = (layout_atom){.token = t, .slot = s, .residue = l.n_residues - 1};
      for (int c = 0; c < 4; c++) {
        int32_t code = b->ref_atom_name_chars[at * 4 + c];
        atom->name[c] = code > 0 && code < 95 ? (char)(code + 32) : '\0';
      }
      if (!atom->name[0]) strcpy(atom->name, "X");
      const char *symbol = element_symbol(b->ref_element[at]);
      strcpy(atom->element, symbol ? symbol : "X");
      token->n_atoms++;
      residue->n_atoms++;
      chain->n_atoms++;
    }
  }
  // One letter per residue of the polymers.
  for (int c = 0; c < l.n_chains; c++) {
    layout_chain *chain = &l.chains[c];
    if (chain->kind == NF_LIGAND || chain->kind == NF_WATER) continue;
    char *letters = nf_arena_calloc(arena, (size_t)chain->n_residues + 1, 1);
    for (int r = 0; r < chain->n_residues; r++) {
      letters[r] = residue_letter(chain->kind, l.residues[chain->first_residue + r].name);
    }
    chain->sequence = letters;
  }
  if (l.n_tokens == 0) return nf_fail(NF_INPUT, "the features hold no tokens: seq_mask begins with false");
  *ret_layout = l;
  return NF_OK;
}
