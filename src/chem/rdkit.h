// The C door of libnativefold_rdkit.so (rdkit.cc). Only conformer.c calls it, through dlsym.
#ifndef NF_CHEM_RDKIT_H
#define NF_CHEM_RDKIT_H

#ifdef __cplusplus
extern "C" {
#endif

enum { RDKIT_ABI = 3 };  // what rdkit_abi() must return

// A molecule with explicit hydrogens.
typedef struct {
  int n_atoms, n_bonds;
  const int *numbers;        // (n_atoms) atomic numbers; 0 is RDKit's dummy atom
  const int *charges;        // (n_atoms) formal
  const float *positions;    // (n_atoms, 3), from which chirality is read
  const int *order;          // (n_atoms) order[i]: the atom that comes i-th in the molecule RDKit embeds
  const int *bonds;          // (n_bonds, 2) atoms
  const int *bond_orders;    // (n_bonds) 1, 2 or 3
  const int *bond_aromatic;  // (n_bonds) 0 or 1
} rdkit_molecule;

// What a SMILES says, hydrogens added. The arrays are freed by rdkit_smiles_free.
typedef struct {
  int n_atoms, n_bonds;
  int *numbers;        // (n_atoms) atomic numbers; 0 is RDKit's dummy atom
  int *charges;        // (n_atoms) formal
  char *atom_stereo;   // (n_atoms) 'R', 'S'; '?' a stereo centre without such a letter; 'N' none, or left open
  int *bonds;          // (n_bonds, 2) atoms
  int *bond_orders;    // (n_bonds) 1, 2 or 3, of the Kekule form; 0: none of these
  int *bond_aromatic;  // (n_bonds) 0 or 1
  char *bond_stereo;   // (n_bonds) 'N', 'E' or 'Z'
} rdkit_smiles;

typedef enum { RDKIT_FOUND, RDKIT_NONE_FOUND, RDKIT_NOT_ACCEPTED } rdkit_result;

// Never throws. Each of these may run in several threads at once.
int rdkit_abi(void);
const char *rdkit_version(void);
// Makes the molecule and sanitises it; with `positions` not NULL also embeds one conformer into it: (n_atoms, 3) in the
// order of the input's atoms. Without, RDKIT_FOUND says that the molecule was accepted.
rdkit_result rdkit_embed(const rdkit_molecule *molecule, int seed, int max_iterations, float *positions);
// Stereo centres as the positions have them, for each of the input's atoms, letters as in rdkit_smiles.
rdkit_result rdkit_stereo(const rdkit_molecule *molecule, char *stereo);

// Reads a SMILES; RDKIT_NOT_ACCEPTED if RDKit does not, with its reason in `why` (size bytes).
rdkit_result rdkit_smiles_read(const char *smiles, rdkit_smiles *ret, char *why, int size);
void rdkit_smiles_free(rdkit_smiles *smiles);
// Embeds one conformer of a SMILES: positions (n_atoms, 3) in the order of rdkit_smiles_read.
rdkit_result rdkit_smiles_embed(const char *smiles, int seed, int max_iterations, float *positions);

#ifdef __cplusplus
}
#endif

#endif
