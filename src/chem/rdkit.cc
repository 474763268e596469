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

// A double bond whose sides matter, as the molecule has it: substituents first and last.
struct StereoBond {
  unsigned atoms[4];
  bool trans;
};

std::vector<StereoBond> stereo_bonds(const RDKit::ROMol &mol) {
  std::vector<StereoBond> result;
  for (const RDKit::Bond *bond : mol.bonds()) {
    const RDKit::INT_VECT &ends = bond->getStereoAtoms();
    if (bond->getStereo() <= RDKit::Bond::STEREOANY || ends.size() != 2) continue;
    bool trans = bond->getStereo() == RDKit::Bond::STEREOE || bond->getStereo() == RDKit::Bond::STEREOTRANS;
    result.push_back({{static_cast<unsigned>(ends[0]), bond->getBeginAtomIdx(), bond->getEndAtomIdx(),
                       static_cast<unsigned>(ends[1])},
                      trans});
  }
  return result;
}

bool keeps_stereo(const RDKit::Conformer &conformer, const std::vector<StereoBond> &bonds) {
  for (const StereoBond &bond : bonds) {
    RDGeom::Point3D p[4];
    for (int i = 0; i < 4; i++) p[i] = conformer.getAtomPos(bond.atoms[i]);
    RDGeom::Point3D axis = p[2] - p[1], before = p[0] - p[1], after = p[3] - p[2];
    RDGeom::Point3D normal1 = axis.crossProduct(before), normal2 = axis.crossProduct(after);
    double sine = 1e-2 * axis.length();  // substituents in line with the bond have no side
    if (normal1.length() < sine * before.length() || normal2.length() < sine * after.length()) return false;
    if ((normal1.dotProduct(normal2) < 0) != bond.trans) return false;
  }
  return true;
}

// Later versions of RDKit, the reference's among them, check double bonds while they embed; Debian 12's 2022.09 does
// not, and turns about one molecule in 150 around. Those are embedded again, with the seeds that follow.
const int kStereoTries = 20;

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
    if (max_iterations > 0) parameters.maxIterations = static_cast<unsigned>(max_iterations);
    const std::vector<StereoBond> bonds = stereo_bonds(*mol);
    int id = -1;
    for (int i = 0; i < kStereoTries; i++) {
      // In range also after the largest seed: 2^31 - 1 is followed by 0.
      parameters.randomSeed = static_cast<int>((static_cast<unsigned>(seed) + static_cast<unsigned>(i)) & 0x7fffffffu);
      id = RDKit::DGeomHelpers::EmbedMolecule(*mol, parameters);
      if (id < 0) return RDKIT_NONE_FOUND;
      if (keeps_stereo(mol->getConformer(id), bonds)) break;
      id = -1;
    }
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
