// The fixed tables of standard residues: letters, codes, the network's residue classes, dense atom names.
#ifndef NF_CHEM_RESIDUES_H
#define NF_CHEM_RESIDUES_H

#include <stdbool.h>

typedef enum { NF_PROTEIN, NF_RNA, NF_DNA, NF_LIGAND, NF_WATER } nf_chain_kind;

// The network's classes: 0-19 amino acids (A R N D C Q E G H I L K M F P S T W Y V), 20 unknown protein, 21 gap,
// 22-25 RNA A G C U, 26-29 DNA A G C T, 30 unknown nucleic.
enum { NF_CLASS_UNK = 20, NF_CLASS_GAP = 21, NF_CLASS_UNKNOWN_NUCLEIC = 30, NF_N_CLASSES = 31 };

// CCD code of a one-letter code in a chain of this kind ('A' in protein: "ALA"; in RNA "A"; in DNA "DA"); NULL if
// the letter is not allowed there.
const char *residue_code(nf_chain_kind kind, char letter);
// One letter of a CCD code in a chain of this kind, as the reference maps it (MSE gives M, SEP gives S, unknown X/N).
char residue_letter(nf_chain_kind kind, const char *code);
// Whether the code is one of the 20 amino acids or UNK / 4 ribonucleotides or N / 4 deoxy or DN: one token each.
bool residue_is_standard(nf_chain_kind kind, const char *code);
// The network's class of a standard code; -1 if it is none.
int residue_class(const char *code);
// The class of the one-letter MSA symbol in a chain of this kind (gap '-' 21).
int msa_class(nf_chain_kind kind, char symbol);

#endif
