// Symbols in the order of their atomic numbers.
#include "chem/elements.h"

#include <string.h>
#include <strings.h>

#include "base/status.h"

static const char *const symbols[NF_N_ELEMENTS] = {
    "X",  "H",  "He", "Li", "Be", "B",  "C",  "N",  "O",  "F",  "Ne", "Na", "Mg", "Al", "Si", "P",  "S",
    "Cl", "Ar", "K",  "Ca", "Sc", "Ti", "V",  "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Ga", "Ge", "As",
    "Se", "Br", "Kr", "Rb", "Sr", "Y",  "Zr", "Nb", "Mo", "Tc", "Ru", "Rh", "Pd", "Ag", "Cd", "In", "Sn",
    "Sb", "Te", "I",  "Xe", "Cs", "Ba", "La", "Ce", "Pr", "Nd", "Pm", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho",
    "Er", "Tm", "Yb", "Lu", "Hf", "Ta", "W",  "Re", "Os", "Ir", "Pt", "Au", "Hg", "Tl", "Pb", "Bi", "Po",
    "At", "Rn", "Fr", "Ra", "Ac", "Th", "Pa", "U",  "Np", "Pu", "Am", "Cm", "Bk", "Cf", "Es", "Fm", "Md",
    "No", "Lr", "Rf", "Db", "Sg", "Bh", "Hs", "Mt", "Ds", "Rg", "Cn", "Nh", "Fl", "Mc", "Lv", "Ts", "Og"};

int element_number(const char *symbol) {
  if (strcasecmp(symbol, "D") == 0) return 1;
  for (int i = 1; i < NF_N_ELEMENTS; i++) {
    if (strcasecmp(symbol, symbols[i]) == 0) return i;
  }
  return 0;
}

const char *element_symbol(int number) {
  NF_ASSERT(number >= 0 && number < NF_N_ELEMENTS);
  return symbols[number];
}

bool element_is_hydrogen(const char *symbol) { return strcmp(symbol, "H") == 0 || strcmp(symbol, "D") == 0; }
