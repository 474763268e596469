// RDKit behind a C door: the one C++ file. It follows the reference's data/tools/rdkit_utils.py, so that the same
// RDKit gives the same conformers.
#include "chem/rdkit.h"

#include <GraphMol/Conformer.h>
#include <GraphMol/DistGeomHelpers/Embedder.h>
#include <GraphMol/MolOps.h>
#include <GraphMol/RWMol.h>
#include <RDGeneral/versions.h>

#include <memory>
#include <vector>

namespace {

// Throws where RDKit does not accept the molecule.
std::unique_ptr<RDKit::ROMol> make_molecule(const rdkit_molecule &in) {
  RDKit::RWMol mol;
  for (int i = 0; i < in.n_atoms; i++) {
    auto atom = std::make_unique<RDKit::Atom>(static_cast<unsigned>(in.numbers[i]));
    atom->setNoImplicit(true);  // every hydrogen is listed
    atom->setFormalCharge(in.charges[i]);
    mol.addAtom(atom.release(), false, true);
  }
  for (int i = 0; i < in.n_bonds; i++) {
    static const RDKit::Bond::BondType types[] = {RDKit::Bond::SINGLE, RDKit::Bond::DOUBLE, RDKit::Bond::TRIPLE};
    unsigned begin = static_cast<unsigned>(in.bonds[2 * i]), end = static_cast<unsigned>(in.bonds[2 * i + 1]);
    unsigned n = mol.addBond(begin, end, types[in.bond_orders[i] - 1]);
    mol.getBondWithIdx(n - 1)->setIsAromatic(in.bond_aromatic[i] != 0);
  }
  auto conformer = std::make_unique<RDKit::Conformer>(static_cast<unsigned>(in.n_atoms));
  for (int i = 0; i < in.n_atoms; i++) {
    const float *x = in.positions + 3 * i;
    conformer->setAtomPos(static_cast<unsigned>(i), RDGeom::Point3D(x[0], x[1], x[2]));
  }
  mol.updatePropertyCache(false);
  mol.addConformer(conformer.release(), false);
  // Chirality comes before sanitisation, and both before the atoms are put in their final order: as in the reference.
  RDKit::MolOps::assignStereochemistryFrom3D(mol);
  RDKit::MolOps::sanitizeMol(mol);
  std::vector<unsigned> order(in.order, in.order + in.n_atoms);
  return std::unique_ptr<RDKit::ROMol>(RDKit::MolOps::renumberAtoms(mol, order));
}

}  // namespace

int rdkit_abi(void) { return RDKIT_ABI; }

const char *rdkit_version(void) { return RDKit::rdkitVersion; }

rdkit_result rdkit_embed(const rdkit_molecule *molecule, int seed, int max_iterations, float *positions) {
  std::unique_ptr<RDKit::ROMol> mol;
  try {
    mol = make_molecule(*molecule);
  } catch (...) {
    return RDKIT_NOT_ACCEPTED;
  }
  if (!positions) return RDKIT_FOUND;
  try {
    RDKit::DGeomHelpers::EmbedParameters parameters = RDKit::DGeomHelpers::ETKDGv3;
    parameters.randomSeed = seed;
    if (max_iterations > 0) parameters.maxIterations = static_cast<unsigned>(max_iterations);
    int id = RDKit::DGeomHelpers::EmbedMolecule(*mol, parameters);
    if (id < 0) return RDKIT_NONE_FOUND;
    const RDKit::Conformer &conformer = mol->getConformer(id);
    for (int i = 0; i < molecule->n_atoms; i++) {
      const RDGeom::Point3D &p = conformer.getAtomPos(static_cast<unsigned>(i));
      float *x = positions + 3 * molecule->order[i];
      x[0] = static_cast<float>(p.x);
      x[1] = static_cast<float>(p.y);
      x[2] = static_cast<float>(p.z);
    }
    return RDKIT_FOUND;
  } catch (...) {
    return RDKIT_NONE_FOUND;
  }
}
