// One data block of a component dictionary, read and checked: what ccd_build writes and what an overlay keeps.
#ifndef NF_CHEM_CCD_READ_H
#define NF_CHEM_CCD_READ_H

#include "chem/ccd.h"
#include "formats/cif.h"

// Texts of the component belong to the block; the arrays are freed by ccd_reading_free.
typedef struct {
  ccd_component component;  // id is the block's name; atoms and bonds as below
  ccd_atom *atoms;
  ccd_bond *bonds;
  double (*ideal)[3], (*model)[3];  // (n_atoms) coordinates before they are rounded to float32
} ccd_reading;

// label begins the messages. user: the block is a user's own, so that its name need not be its _chem_comp.id, items the
// network has no use for may hold anything, and the items that the reference asks for must be there.
NF_CHECKED nf_status ccd_read(const char *label, const cif_block *block, bool user, ccd_reading *ret_reading);
void ccd_reading_free(ccd_reading *reading);

#endif
