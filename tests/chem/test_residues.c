// The residue and element tables: counts, spot values, and the reference's oddities.
#include "../test.h"
#include "base/map.h"
#include "chem/elements.h"
#include "chem/residues.h"

static const nf_chain_kind polymers[] = {NF_PROTEIN, NF_RNA, NF_DNA};

TEST(letters_and_codes) {
  CHECK_STR(residue_code(NF_PROTEIN, 'A'), "ALA");
  CHECK_STR(residue_code(NF_PROTEIN, 'V'), "VAL");
  CHECK_STR(residue_code(NF_PROTEIN, 'X'), "UNK");
  CHECK_STR(residue_code(NF_PROTEIN, 'B'), "UNK");
  CHECK_STR(residue_code(NF_PROTEIN, 'a'), "UNK");
  CHECK_STR(residue_code(NF_RNA, 'U'), "U");
  CHECK_STR(residue_code(NF_RNA, 'T'), "N");
  CHECK_STR(residue_code(NF_DNA, 'T'), "DT");
  CHECK_STR(residue_code(NF_DNA, 'U'), "DN");
  CHECK(!residue_code(NF_PROTEIN, '-'));
  CHECK(!residue_code(NF_PROTEIN, '\0'));
  CHECK(!residue_code(NF_RNA, '1'));
  CHECK(!residue_code(NF_LIGAND, 'A'));

  CHECK_INT(residue_letter(NF_PROTEIN, "MSE"), 'M');
  CHECK_INT(residue_letter(NF_PROTEIN, "SEP"), 'S');
  CHECK_INT(residue_letter(NF_PROTEIN, "00C"), 'C');  // first and last of the table
  CHECK_INT(residue_letter(NF_PROTEIN, "ZZJ"), 'A');
  CHECK_INT(residue_letter(NF_DNA, "DA"), 'A');
  CHECK_INT(residue_letter(NF_RNA, "5MC"), 'C');
  CHECK_INT(residue_letter(NF_PROTEIN, "ASX"), 'B');
  CHECK_INT(residue_letter(NF_PROTEIN, "HEM"), 'X');
  CHECK_INT(residue_letter(NF_RNA, "HEM"), 'N');
  CHECK_INT(residue_letter(NF_PROTEIN, ""), 'X');
  CHECK_INT(residue_letter(NF_PROTEIN, "LONGER"), 'X');
  // Every letter of an alphabet goes to its code and back.
  for (int k = 0; k < 3; k++) {
    for (const char *p = k == 0 ? "ARNDCQEGHILKMFPSTWYVX" : k == 1 ? "AGCUN" : "AGCTN"; *p; p++) {
      CHECK_INT(residue_letter(polymers[k], residue_code(polymers[k], *p)), *p);
    }
  }
}

TEST(the_whole_letter_table_is_reached) {
  // Counts the codes of up to three characters that have an entry, and hashes code and letter in order.
  static const char alphabet[] =
      "\0"
      "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  const int n = (int)sizeof alphabet - 1;
  int count = 0;
  uint64_t sum = 0;
  for (int a = 1; a < n; a++) {
    for (int b = 0; b < n; b++) {
      for (int c = 0; c < (b ? n : 1); c++) {
        char code[5] = {alphabet[a], alphabet[b], alphabet[c], 0};
        // X is a letter of the table too: a code is absent if the kinds disagree on it.
        char letter = residue_letter(NF_PROTEIN, code);
        if (letter != residue_letter(NF_RNA, code)) continue;
        count++;
        code[strlen(code)] = letter;
        sum += nf_fnv1a(code, strlen(code));
      }
    }
  }
  CHECK_INT(count, 1248);
  CHECK(sum == 0x511606b302cc35bbull);
}

TEST(closest_standard_residues) {
  CHECK_STR(residue_closest_standard(NF_PROTEIN, "MSE"), "MET");
  CHECK_STR(residue_closest_standard(NF_PROTEIN, "SEP"), "SER");
  CHECK_STR(residue_closest_standard(NF_PROTEIN, "ASX"), "UNK");
  CHECK_STR(residue_closest_standard(NF_PROTEIN, "HEM"), "UNK");
  CHECK_STR(residue_closest_standard(NF_RNA, "PSU"), "U");
  CHECK_STR(residue_closest_standard(NF_RNA, "DT"), "N");
  CHECK_STR(residue_closest_standard(NF_RNA, "DA"), "A");
  CHECK_STR(residue_closest_standard(NF_DNA, "5CM"), "DC");
  CHECK_STR(residue_closest_standard(NF_DNA, "U"), "N");
  CHECK_STR(residue_closest_standard(NF_LIGAND, "ALA"), "UNK");
  CHECK_INT(residue_chain_class(NF_PROTEIN, "TPO"), 16);
  CHECK_INT(residue_chain_class(NF_DNA, "DN"), 30);
  CHECK_INT(residue_chain_class(NF_LIGAND, "ATP"), 20);
}

TEST(standard_residues) {
  CHECK(residue_is_standard(NF_PROTEIN, "ALA") && residue_is_standard(NF_PROTEIN, "UNK"));
  CHECK(!residue_is_standard(NF_PROTEIN, "MSE") && residue_is_one_token(NF_PROTEIN, "MSE"));
  CHECK(!residue_is_one_token(NF_PROTEIN, "SEP") && !residue_is_standard(NF_PROTEIN, "A"));
  CHECK(!residue_is_standard(NF_PROTEIN, "-"));
  CHECK(residue_is_standard(NF_RNA, "A") && residue_is_standard(NF_RNA, "DA") && residue_is_standard(NF_RNA, "N"));
  CHECK(residue_is_standard(NF_DNA, "DN") && !residue_is_standard(NF_DNA, "ALA"));
  CHECK(!residue_is_standard(NF_LIGAND, "ALA") && residue_is_standard_anywhere("ALA"));
  CHECK(!residue_is_standard_anywhere("HEM") && residue_is_standard_anywhere("DN"));
  CHECK(residue_is_standard_polymer("DT") && !residue_is_standard_polymer("N") && !residue_is_standard_polymer("UNK"));
  CHECK(residue_is_unknown("UNL") && residue_is_unknown("UNK") && residue_is_unknown("DN") && !residue_is_unknown("G"));
  CHECK(residue_is_water("HOH") && residue_is_water("DOD") && !residue_is_water("OH"));
}

TEST(classes) {
  for (int i = 0; i < NF_N_CLASSES; i++) CHECK_INT(residue_class(residue_class_code(i)), i == NF_CLASS_GAP ? -1 : i);
  CHECK_INT(residue_class("VAL"), 19);
  CHECK_INT(residue_class("U"), 25);
  CHECK_INT(residue_class("DT"), 29);
  CHECK_INT(residue_class("DN"), 30);
  CHECK_INT(residue_class("MSE"), -1);
}

TEST(msa_symbols) {
  // By symbol A..Z, from data/msa_features.py.
  static const int protein[26] = {0, 3,  4,  3, 6, 13, 7,  8, 9,  20, 11, 10, 12,
                                  2, 20, 14, 5, 1, 15, 16, 4, 19, 17, 20, 18, 6};
  for (int i = 0; i < 26; i++) {
    char c = (char)('A' + i);
    CHECK_INT(msa_class(NF_PROTEIN, c), protein[i]);
    CHECK_INT(msa_class(NF_RNA, c), c == 'A' ? 22 : c == 'G' ? 23 : c == 'C' ? 24 : c == 'U' ? 25 : 30);
    CHECK_INT(msa_class(NF_DNA, c), c == 'A' ? 26 : c == 'G' ? 27 : c == 'C' ? 28 : c == 'T' ? 29 : 30);
    CHECK_INT(msa_class(NF_PROTEIN, (char)('a' + i)), -1);
  }
  for (int k = 0; k < 3; k++) {
    CHECK_INT(msa_class(polymers[k], '-'), 21);
    CHECK_INT(msa_class(polymers[k], '.'), -1);
    CHECK_INT(msa_class(polymers[k], '\0'), -1);
  }
}

TEST(dense_atoms) {
  static const int counts[NF_N_CLASSES] = {5, 11, 8,  8, 6, 9, 9,  4,  10, 8,  8,  9,  8,  11, 7, 6,
                                           7, 14, 12, 7, 0, 0, 23, 24, 21, 21, 22, 23, 20, 21, 0};
  const char *const *names;
  for (int i = 0; i < NF_N_CLASSES; i++) {
    int n = residue_dense_atoms(residue_class_code(i), &names);
    CHECK_INT(n, counts[i]);
    for (int k = 0; k < n; k++) CHECK_INT(residue_dense_slot(residue_class_code(i), names[k]), k);
  }
  CHECK_INT(residue_dense_atoms("HEM", &names), 0);
  CHECK(names && !names[0]);
  CHECK_INT(residue_dense_slot("TRP", "CH2"), 13);
  CHECK_INT(residue_dense_slot("G", "C4"), 23);
  CHECK_INT(residue_dense_slot("DT", "C7"), 19);
  CHECK_INT(residue_dense_slot("ALA", "OXT"), -1);
  CHECK_STR(residue_terminal_oxygen(NF_PROTEIN), "OXT");
  CHECK_STR(residue_terminal_oxygen(NF_DNA), "OP3");
  CHECK(!residue_terminal_oxygen(NF_LIGAND));
  CHECK_STR(residue_center_atom(NF_PROTEIN), "CA");
  CHECK_STR(residue_center_atom(NF_RNA), "C1'");
  CHECK(!residue_center_atom(NF_LIGAND));
}

TEST(pseudo_beta_and_frames) {
  CHECK_STR(residue_pseudo_beta_atom("GLY"), "CA");
  CHECK_STR(residue_pseudo_beta_atom("TRP"), "CB");
  CHECK_STR(residue_pseudo_beta_atom("DG"), "C4");
  CHECK_STR(residue_pseudo_beta_atom("U"), "C2");
  CHECK(!residue_pseudo_beta_atom("UNK") && !residue_pseudo_beta_atom("HEM") && !residue_pseudo_beta_atom("DN"));
  static const int beta[NF_N_CLASSES] = {4, 4, 4, 4, 4, 4, 4,  1,  4,  4,  4,  4,  4,  4,  4, 4,
                                         4, 4, 4, 4, 0, 0, 22, 23, 14, 14, 21, 22, 13, 13, 0};
  for (int i = 0; i < NF_N_CLASSES; i++) {
    CHECK_INT(residue_pseudo_beta_slot(i), beta[i]);
    int slots[3];
    residue_frame_slots(i, slots);
    bool none = i == 20 || i == 21 || i == 30;
    CHECK_INT(slots[0], none ? 0 : i < 20 ? 2 : 12);
    CHECK_INT(slots[1], none ? 0 : i < 20 ? 1 : 8);
    CHECK_INT(slots[2], none ? 0 : i < 20 ? 0 : 6);
  }
}

TEST(atom37) {
  CHECK_INT(residue_atom37("N"), 0);
  CHECK_INT(residue_atom37("O"), 4);
  CHECK_INT(residue_atom37("OXT"), 36);
  CHECK_INT(residue_atom37("P"), -1);
  CHECK_INT(residue_dense_to_atom37(0, 3), 4);
  CHECK_INT(residue_dense_to_atom37(0, 4), 3);
  CHECK_INT(residue_dense_to_atom37(0, 5), 0);
  CHECK_INT(residue_dense_to_atom37(17, 13), residue_atom37("CH2"));
  CHECK_INT(residue_dense_to_atom37(22, 1), 0);
}

TEST(elements) {
  CHECK_INT(element_number("C"), 6);
  CHECK_INT(element_number("FE"), 26);
  CHECK_INT(element_number("Cl"), 17);
  CHECK_INT(element_number("D"), 1);
  CHECK_INT(element_number("X"), 0);
  CHECK_INT(element_number(""), 0);
  CHECK_INT(element_number("OG"), 118);
  CHECK_STR(element_symbol(0), "X");
  CHECK_STR(element_symbol(34), "Se");
  for (int i = 0; i < NF_N_ELEMENTS; i++) CHECK_INT(element_number(element_symbol(i)), i);
  CHECK(element_is_hydrogen("D") && element_is_hydrogen("H") && !element_is_hydrogen("HE"));
}
