// The fixed tables of standard residues: letters, codes, the network's residue classes, dense atom names.
#ifndef NF_CHEM_RESIDUES_H
#define NF_CHEM_RESIDUES_H

#include <stdbool.h>

typedef enum { NF_PROTEIN, NF_RNA, NF_DNA, NF_LIGAND, NF_WATER } nf_chain_kind;

// The network's classes: 0-19 amino acids (A R N D C Q E G H I L K M F P S T W Y V), 20 unknown protein, 21 gap,
// 22-25 RNA A G C U, 26-29 DNA A G C T, 30 unknown nucleic.
enum { NF_CLASS_UNK = 20, NF_CLASS_GAP = 21, NF_CLASS_UNKNOWN_NUCLEIC = 30, NF_N_CLASSES = 31 };
enum { NF_MAX_DENSE_ATOMS = 24, NF_N_ATOM37 = 37 };

// Letters and codes. Letters and codes are matched as they are, upper case.

// CCD code of a one-letter code in a chain of this kind ('A' in protein: "ALA"; in RNA "A"; in DNA "DA"). Any other
// letter of the alphabet gives the unknown residue ("UNK", "N", "DN"), as the reference does; anything that is no
// letter, and any chain that is no polymer, gives NULL.
const char *residue_code(nf_chain_kind kind, char letter);
// One letter of a CCD code as the reference's fixed table of 1,248 codes has it (MSE gives M, SEP gives S, DA gives A),
// whatever the kind; a code that is not in the table gives X, in RNA and DNA N.
char residue_letter(nf_chain_kind kind, const char *code);
// The closest standard residue of a code in a chain of this kind: MSE gives MET, 5MC in RNA gives C; where there is
// none, or the chain is no polymer, "UNK" in protein and ligand, "N" in RNA and DNA.
const char *residue_closest_standard(nf_chain_kind kind, const char *code);

// Whether the code is one of the 20 amino acids or UNK (protein), or one of the 4 ribonucleotides, the 4
// deoxyribonucleotides, N or DN (RNA and DNA alike: DA in an RNA chain is standard). False in ligands.
bool residue_is_standard(nf_chain_kind kind, const char *code);
// Whether the residue is one token rather than one per atom: the standard ones, and MSE in protein.
bool residue_is_one_token(nf_chain_kind kind, const char *code);
// Whether the code is standard in any kind of chain. The reference lists the bonds inside a residue only where it is
// not, and asks so for ligands too: free alanine given as a ligand has no listed bonds.
bool residue_is_standard_anywhere(const char *code);
// Whether atoms of residues of this code are ATOM (else HETATM): the 20 amino acids and 8 nucleotides, no unknowns.
bool residue_is_standard_polymer(const char *code);
// Residues without atoms in the layout: UNK, N, DN, UNL.
bool residue_is_unknown(const char *code);
bool residue_is_water(const char *code);  // HOH, DOD

// The network's classes.

// The class of a standard code: 0-19, 20 for UNK, 22-29, 30 for N and DN; -1 if it is none.
int residue_class(const char *code);
// The class of any code in a chain of this kind: that of its closest standard residue; ligands and water 20.
int residue_chain_class(nf_chain_kind kind, const char *code);
// The CCD code of a class: "ALA", "UNK", "-" for the gap, "DA", "N". class_index in [0, NF_N_CLASSES).
const char *residue_class_code(int class_index);
// The class of the one-letter MSA symbol in a chain of this kind: gap '-' 21; in protein B as D, Z as E, U as C, J O X
// 20; in RNA and DNA other capitals 30. -1 for anything else: small letters are insertions, the rest is refused.
int msa_class(nf_chain_kind kind, char symbol);

// Atoms.

// Names of the atoms of a standard residue in the order of the dense layout, hydrogens and the protein's terminal OXT
// left out, OP3 of nucleotides in (the order is that of the component dictionary; where OXT is kept, at a chain's end,
// it comes last). Returns how many; 0 for UNK, N, DN and for other codes (*ret_names is then empty, not NULL).
int residue_dense_atoms(const char *code, const char *const **ret_names);
// Slot of an atom in that list; -1 if it is not there.
int residue_dense_slot(const char *code, const char *atom);
// The atom a residue loses to the next residue of its chain: "OXT" in protein, "OP3" in RNA and DNA (to the previous
// one); NULL elsewhere.
const char *residue_terminal_oxygen(nf_chain_kind kind);
// The atom that stands for the residue: "CA", "C1'"; NULL for ligands.
const char *residue_center_atom(nf_chain_kind kind);
// The atom distograms are measured from: CB, in GLY CA; C4 in purines (A G DA DG), C2 in the other nucleotides.
// code: a standard code. NULL for UNK, N, DN and other codes.
const char *residue_pseudo_beta_atom(const char *code);
// By class, for templates: the dense slot of that atom; 0 for classes 20, 21 and 30.
int residue_pseudo_beta_slot(int class_index);
// By class, for template frames: dense slots of C, CA, N; in nucleotides those of C1', C3', C4' counted in A's list
// (for deoxyribonucleotides, which lack O2', the first then is a base atom: as in the reference); 0 0 0 for 20, 21, 30.
void residue_frame_slots(int class_index, int ret_slots[3]);

// The 37 heavy-atom names of amino acids, in the order of AlphaFold's atom37. -1 if the name is none of them.
int residue_atom37(const char *atom);
// By class and dense slot: the atom37 index the reference takes template coordinates from. Empty slots, and classes
// 20 and up, give 0, which is N: a template's padding slots repeat N's position and mask.
int residue_dense_to_atom37(int class_index, int slot);

#endif
