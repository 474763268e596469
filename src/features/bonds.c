// Bonds the network is told of: those inside ligands and inside residues that are not standard, as the dictionary
// lists them. The tables have room for one polymer-ligand bond and ten ligand bonds a token; empty rows are masked.
#include <string.h>

#include "chem/residues.h"
#include "features/stages.h"

// Token of a component's atom in a residue of one token per atom; -1 if the atom is not laid out.
static int token_of(const nf_layout *l, const layout_residue *residue, const char *name) {
  for (int i = 0; i < residue->n_atoms; i++) {
    const layout_atom *atom = &l->atoms[residue->first_atom + i];
    if (strcmp(atom->name, name) == 0) return atom->token;
  }
  return -1;
}

nf_status bond_features(const nf_job *job, const nf_layout *l, nf_batch *b) {
  b->polymer_ligand_shape[0] = l->n_tokens;
  b->polymer_ligand_atom_shape[0] = b->n_token;
  b->polymer_ligand_atom_shape[1] = b->n_slot;
  b->ligand_ligand_shape[0] = l->n_tokens;
  int64_t n = 0;
  for (int r = 0; r < l->n_residues; r++) {
    const layout_residue *residue = &l->residues[r];
    // A residue of one token shows only its centre, to which no second atom could be bonded.
    if (residue->standard || residue_is_standard_anywhere(residue->name)) continue;
    const ccd_component *component = residue->component;
    for (int i = 0; i < component->n_bonds; i++) {
      const char *name1 = component->atoms[component->bonds[i].atom1].name;
      const char *name2 = component->atoms[component->bonds[i].atom2].name;
      // The reference knows hydrogens by the first letter of their name; mercury (HG) goes with them.
      if (name1[0] == 'H' || name2[0] == 'H') continue;
      int token1 = token_of(l, residue, name1), token2 = token_of(l, residue, name2);
      if (token1 < 0 || token2 < 0) continue;
      if (n >= b->n_ligand_ligand) {
        return nf_fail(NF_INPUT,
                       "%s: sequences: more than %d bonds in ligands and modified residues, the most that the "
                       "features of %d tokens have room for",
                       job->path, b->n_ligand_ligand, b->n_token);
      }
      b->ligand_ligand_idxs[2 * n] = token1;
      b->ligand_ligand_idxs[2 * n + 1] = token2;
      b->ligand_ligand_mask[2 * n] = b->ligand_ligand_mask[2 * n + 1] = 1;
      n++;
    }
  }
  return NF_OK;
}
