// RDKit behind a C door: the one C++ file. It follows the reference's data/tools/rdkit_utils.py, so that the same
// RDKit gives the same conformers.
#include "chem/rdkit.h"

#include <GraphMol/Conformer.h>
#include <GraphMol/DistGeomHelpers/Embedder.h>
#include <GraphMol/MolOps.h>
#include <GraphMol/RWMol.h>
#include <GraphMol/SmilesParse/SmilesParse.h>
#include <RDGeneral/versions.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
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

// Embeds into mol; throws on RDKit's own failures.
bool embed(RDKit::ROMol *mol, int seed, int max_iterations, int *ret_id) {
  RDKit::DGeomHelpers::EmbedParameters parameters = RDKit::DGeomHelpers::ETKDGv3;
  if (max_iterations > 0) parameters.maxIterations = static_cast<unsigned>(max_iterations);
  const std::vector<StereoBond> bonds = stereo_bonds(*mol);
  for (int i = 0; i < kStereoTries; i++) {
    // In range also after the largest seed: 2^31 - 1 is followed by 0.
    parameters.randomSeed = static_cast<int>((static_cast<unsigned>(seed) + static_cast<unsigned>(i)) & 0x7fffffffu);
    *ret_id = RDKit::DGeomHelpers::EmbedMolecule(*mol, parameters);
    if (*ret_id < 0) return false;
    if (keeps_stereo(mol->getConformer(*ret_id), bonds)) return true;
  }
  return false;
}

// order: the input's atom for each of the molecule's; NULL: they are the same.
void copy_positions(const RDKit::Conformer &conformer, const int *order, float *positions) {
  for (unsigned i = 0; i < conformer.getNumAtoms(); i++) {
    const RDGeom::Point3D &p = conformer.getAtomPos(i);
    float *x = positions + 3 * (order ? static_cast<size_t>(order[i]) : i);
    x[0] = static_cast<float>(p.x);
    x[1] = static_cast<float>(p.y);
    x[2] = static_cast<float>(p.z);
  }
}

// Throws where RDKit does not read the SMILES.
std::unique_ptr<RDKit::ROMol> read_smiles(const char *smiles) {
  std::unique_ptr<RDKit::ROMol> mol(RDKit::SmilesToMol(smiles));
  if (!mol) throw std::runtime_error("it is no SMILES");
  return std::unique_ptr<RDKit::ROMol>(RDKit::MolOps::addHs(*mol));
}

int bond_order(const RDKit::Bond *bond) {
  switch (bond->getBondType()) {
    case RDKit::Bond::SINGLE:
    case RDKit::Bond::DATIVE:  // older versions of RDKit, and so the network's training, knew no other
      return 1;
    case RDKit::Bond::DOUBLE:
      return 2;
    case RDKit::Bond::TRIPLE:
      return 3;
    default:
      return 0;
  }
}

char bond_stereo(const RDKit::Bond *bond) {
  switch (bond->getStereo()) {
    case RDKit::Bond::STEREOE:
    case RDKit::Bond::STEREOTRANS:
      return 'E';
    case RDKit::Bond::STEREOZ:
    case RDKit::Bond::STEREOCIS:
      return 'Z';
    default:
      return 'N';
  }
}

// Of a molecule whose stereo is assigned and cleaned, so that only true centres carry a tag.
char atom_stereo(const RDKit::Atom *atom) {
  if (atom->getChiralTag() != RDKit::Atom::CHI_TETRAHEDRAL_CW && atom->getChiralTag() != RDKit::Atom::CHI_TETRAHEDRAL_CCW) {
    return 'N';
  }
  std::string code;
  atom->getPropIfPresent(RDKit::common_properties::_CIPCode, code);
  return code == "R" ? 'R' : code == "S" ? 'S' : '?';
}

template <typename T>
T *new_array(int n) {
  void *p = std::calloc(static_cast<size_t>(n) + 1, sizeof(T));
  if (!p) throw std::bad_alloc();
  return static_cast<T *>(p);
}

void fill(const RDKit::ROMol &mol, rdkit_smiles *out) {
  out->n_atoms = static_cast<int>(mol.getNumAtoms());
  out->n_bonds = static_cast<int>(mol.getNumBonds());
  out->numbers = new_array<int>(out->n_atoms);
  out->charges = new_array<int>(out->n_atoms);
  out->atom_stereo = new_array<char>(out->n_atoms);
  out->bonds = new_array<int>(2 * out->n_bonds);
  out->bond_orders = new_array<int>(out->n_bonds);
  out->bond_aromatic = new_array<int>(out->n_bonds);
  out->bond_stereo = new_array<char>(out->n_bonds);
  for (const RDKit::Atom *atom : mol.atoms()) {
    out->numbers[atom->getIdx()] = atom->getAtomicNum();
    out->charges[atom->getIdx()] = atom->getFormalCharge();
    out->atom_stereo[atom->getIdx()] = atom_stereo(atom);
  }
  for (const RDKit::Bond *bond : mol.bonds()) {
    unsigned i = bond->getIdx();
    out->bonds[2 * i] = static_cast<int>(bond->getBeginAtomIdx());
    out->bonds[2 * i + 1] = static_cast<int>(bond->getEndAtomIdx());
    out->bond_orders[i] = bond_order(bond);
    out->bond_aromatic[i] = bond->getIsAromatic();
    out->bond_stereo[i] = bond_stereo(bond);
  }
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
    int id;
    if (!embed(mol.get(), seed, max_iterations, &id)) return RDKIT_NONE_FOUND;
    copy_positions(mol->getConformer(id), molecule->order, positions);
    return RDKIT_FOUND;
  } catch (...) {
    return RDKIT_NONE_FOUND;
  }
}

rdkit_result rdkit_stereo(const rdkit_molecule *molecule, char *stereo) {
  try {
    std::unique_ptr<RDKit::ROMol> mol = make_molecule(*molecule);
    RDKit::MolOps::assignStereochemistry(*mol, true, true);
    for (const RDKit::Atom *atom : mol->atoms()) stereo[molecule->order[atom->getIdx()]] = atom_stereo(atom);
    return RDKIT_FOUND;
  } catch (...) {
    return RDKIT_NOT_ACCEPTED;
  }
}

rdkit_result rdkit_smiles_read(const char *smiles, rdkit_smiles *ret, char *why, int size) {
  *ret = rdkit_smiles{};
  std::snprintf(why, static_cast<size_t>(size), "it is no SMILES");
  try {
    std::unique_ptr<RDKit::ROMol> mol = read_smiles(smiles);
    RDKit::RWMol kekule(*mol);
    RDKit::MolOps::Kekulize(kekule, false);  // aromatic flags stay
    fill(kekule, ret);
    return RDKIT_FOUND;
  } catch (const std::exception &e) {
    std::snprintf(why, static_cast<size_t>(size), "%s", e.what());
  } catch (...) {
  }
  rdkit_smiles_free(ret);
  return RDKIT_NOT_ACCEPTED;
}

void rdkit_smiles_free(rdkit_smiles *smiles) {
  std::free(smiles->numbers);
  std::free(smiles->charges);
  std::free(smiles->atom_stereo);
  std::free(smiles->bonds);
  std::free(smiles->bond_orders);
  std::free(smiles->bond_aromatic);
  std::free(smiles->bond_stereo);
  *smiles = rdkit_smiles{};
}

rdkit_result rdkit_smiles_embed(const char *smiles, int seed, int max_iterations, float *positions) {
  try {
    std::unique_ptr<RDKit::ROMol> mol = read_smiles(smiles);
    int id;
    if (!embed(mol.get(), seed, max_iterations, &id)) return RDKIT_NONE_FOUND;
    copy_positions(mol->getConformer(id), nullptr, positions);
    return RDKIT_FOUND;
  } catch (...) {
    return RDKIT_NONE_FOUND;
  }
}
