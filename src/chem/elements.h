// The periodic table: symbols and atomic numbers.
#ifndef NF_CHEM_ELEMENTS_H
#define NF_CHEM_ELEMENTS_H

#include <stdbool.h>

enum { NF_N_ELEMENTS = 119 };  // with 0, the unknown X

// Atomic number of a symbol in any case ("FE", "Fe"); "D" is 1. 0 for "X" and for anything unknown.
int element_number(const char *symbol);
// "Fe" of 26; "X" of 0. number in [0, NF_N_ELEMENTS).
const char *element_symbol(int number);
bool element_is_hydrogen(const char *symbol);  // H or D, as the component dictionary writes them

#endif
