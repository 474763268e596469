// Bonds the network is told of: the job's own, from polymers to ligands and between ligands, and those inside ligands
// and inside residues that are not standard, as the dictionary lists them. The tables have room for one polymer-ligand
// bond and ten ligand bonds a token; empty rows are masked.
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

// Token of an output atom, as the table of polymer-ligand bonds has it: on the polymer's side the residue's CA or C1'
// stands for it, whatever the bond holds; -1 if no token is centred there.
static int polymer_ligand_token(const nf_layout *l, const layout_atom *atom) {
  const layout_residue *residue = &l->residues[atom->residue];
  const char *center = residue_center_atom(l->chains[residue->chain].kind);
  if (!center) return atom->token;
  for (int t = residue->first_token; t < residue->first_token + residue->n_tokens; t++) {
    const layout_token *token = &l->tokens[t];
    for (int i = token->first_atom; i < token->first_atom + token->n_atoms; i++) {
      if (l->atoms[i].slot == token->center && strcmp(l->atoms[i].name, center) == 0) return t;
    }
  }
  return -1;
}

static void add_pair(int32_t *idxs, uint8_t *mask, int64_t row, int first, int second) {
  idxs[2 * row] = first;
  idxs[2 * row + 1] = second;
  mask[2 * row] = mask[2 * row + 1] = 1;
}

static nf_status add_polymer_ligand_bonds(const nf_job *job, const nf_layout *l, nf_batch *b) {
  int64_t n = 0, n_shown = 0;
  for (int i = 0; i < l->n_bonds; i++) {
    const layout_bond *bond = &l->bonds[i];
    if (!bond->to_polymer) continue;
    if (n >= b->n_polymer_ligand) {
      return nf_fail(
          NF_INPUT,
          "%s: bondedAtomPairs: more than %d bonds of polymers and ligands, the most that the features of %d "
          "tokens have room for",
          job->path, b->n_polymer_ligand, b->n_token);
    }
    const layout_atom *atoms[2] = {&l->atoms[bond->atom1], &l->atoms[bond->atom2]};
    add_pair(b->polymer_ligand_atom_idxs, b->polymer_ligand_atom_mask, n++,
             atoms[0]->token * b->n_slot + atoms[0]->slot, atoms[1]->token * b->n_slot + atoms[1]->slot);
    int tokens[2] = {polymer_ligand_token(l, atoms[0]), polymer_ligand_token(l, atoms[1])};
    if (tokens[0] < 0 || tokens[1] < 0) continue;
    add_pair(b->polymer_ligand_idxs, b->polymer_ligand_mask, n_shown++, tokens[0], tokens[1]);
  }
  // With bonds the reference counts the tokens before padding here, without any those after it.
  if (n > 0) b->polymer_ligand_atom_shape[0] = l->n_tokens;
  return NF_OK;
}

static nf_status add_ligand_bond(const nf_job *job, nf_batch *b, int64_t *n, int first, int second) {
  if (*n >= b->n_ligand_ligand) {
    return nf_fail(NF_INPUT,
                   "%s: sequences: more than %d bonds in ligands and modified residues, the most that the features of "
                   "%d tokens have room for",
                   job->path, b->n_ligand_ligand, b->n_token);
  }
  add_pair(b->ligand_ligand_idxs, b->ligand_ligand_mask, (*n)++, first, second);
  return NF_OK;
}

// The reference knows hydrogens by the first letter of their name; mercury (HG) goes with them.
static bool looks_like_hydrogen(const char *name) { return name[0] == 'H'; }

nf_status bond_features(const nf_job *job, const nf_layout *l, nf_batch *b) {
  b->polymer_ligand_shape[0] = l->n_tokens;
  b->polymer_ligand_atom_shape[0] = b->n_token;
  b->polymer_ligand_atom_shape[1] = b->n_slot;
  b->ligand_ligand_shape[0] = l->n_tokens;
  NF_TRY(add_polymer_ligand_bonds(job, l, b));
  int64_t n = 0;
  for (int i = 0; i < l->n_bonds; i++) {
    const layout_atom *atom1 = &l->atoms[l->bonds[i].atom1], *atom2 = &l->atoms[l->bonds[i].atom2];
    if (l->bonds[i].to_polymer || looks_like_hydrogen(atom1->name) || looks_like_hydrogen(atom2->name)) continue;
    NF_TRY(add_ligand_bond(job, b, &n, atom1->token, atom2->token));
  }
  for (int r = 0; r < l->n_residues; r++) {
    const layout_residue *residue = &l->residues[r];
    // A residue of one token shows only its centre, to which no second atom could be bonded.
    if (residue->standard || residue_is_standard_anywhere(residue->name)) continue;
    const ccd_component *component = residue->component;
    for (int i = 0; i < component->n_bonds; i++) {
      const char *name1 = component->atoms[component->bonds[i].atom1].name;
      const char *name2 = component->atoms[component->bonds[i].atom2].name;
      if (looks_like_hydrogen(name1) || looks_like_hydrogen(name2)) continue;
      int token1 = token_of(l, residue, name1), token2 = token_of(l, residue, name2);
      if (token1 >= 0 && token2 >= 0) NF_TRY(add_ligand_bond(job, b, &n, token1, token2));
    }
  }
  return NF_OK;
}
