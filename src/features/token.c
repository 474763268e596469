// What each token is: its number, chain, class and kind, the atom slots it fills, its centre and its pseudo-beta atom.
#include <string.h>

#include "chem/residues.h"
#include "features/stages.h"

// The atom that distances between tokens are measured from: CB (else CA) in protein; in nucleotides C4 of a purine,
// C2 of anything else, judged by the parent of a modified one; else the first atom.
static int pseudo_beta_slot(const nf_layout *l, const nf_ccd *ccd, const layout_token *token) {
  const layout_residue *residue = &l->residues[token->residue];
  const char *names[2] = {NULL, NULL};
  switch (l->chains[token->chain].kind) {
    case NF_PROTEIN:
      names[0] = "CB";
      names[1] = "CA";
      break;
    case NF_RNA:
    case NF_DNA: {
      const ccd_component *component = ccd_find(ccd, residue->name);
      const char *code = component && component->parent[0] ? component->parent : residue->name;
      bool purine =
          strcmp(code, "A") == 0 || strcmp(code, "G") == 0 || strcmp(code, "DA") == 0 || strcmp(code, "DG") == 0;
      names[0] = purine ? "C4" : "C2";
      break;
    }
    default:
      break;
  }
  const layout_atom *atoms = &l->atoms[token->first_atom];
  for (int n = 0; n < 2 && names[n]; n++) {
    for (int i = 0; i < token->n_atoms; i++) {
      if (strcmp(atoms[i].name, names[n]) == 0) return atoms[i].slot;
    }
  }
  return atoms[0].slot;
}

void token_features(const nf_layout *l, const nf_ccd *ccd, nf_batch *b) {
  *b->seq_length = l->n_tokens;
  b->pseudo_beta_shape[0] = l->n_tokens;  // of the tokens before padding, as the reference has it
  b->pseudo_beta_shape[1] = b->n_slot;
  for (int t = 0; t < l->n_tokens; t++) {
    const layout_token *token = &l->tokens[t];
    const layout_chain *chain = &l->chains[token->chain];
    const layout_residue *residue = &l->residues[token->residue];
    b->residue_index[t] = residue->id;
    b->token_index[t] = t + 1;
    b->aatype[t] = residue_chain_class(chain->kind, residue->name);
    b->seq_mask[t] = 1;
    b->asym_id[t] = token->chain + 1;
    b->entity_id[t] = chain->entity_id;
    b->sym_id[t] = chain->sym_id;
    b->is_protein[t] = chain->kind == NF_PROTEIN;
    b->is_rna[t] = chain->kind == NF_RNA;
    b->is_dna[t] = chain->kind == NF_DNA;
    b->is_ligand[t] = chain->kind == NF_LIGAND;
    b->is_water[t] = chain->kind == NF_WATER;
    b->residue_center_index[t] = token->center;
    for (int i = 0; i < token->n_atoms; i++) {
      b->pred_dense_atom_mask[(int64_t)t * b->n_slot + l->atoms[token->first_atom + i].slot] = 1;
    }
    b->pseudo_beta_idxs[t] = t * b->n_slot + pseudo_beta_slot(l, ccd, token);
    b->pseudo_beta_mask[t] = 1;
  }
}
