// The compact dictionary file, byte by byte. Little-endian; every offset counts from the file's start, so the file can
// lie anywhere in memory.
//
//   header   ccd_header, 64 bytes
//   records  one per component, in the order they were read
//   index    n_components ccd_entry, 32 bytes each, sorted by code; at a multiple of 8, up to the file's end
//
// A record is a row of bytes, read front to back. varint: 7 bits per byte, low first, the top bit says "more";
// signed numbers are zigzagged first (0 -1 1 -2 ...).
//
//   varint n_atoms, varint n_bonds, varint initial_date, varint modified_date (yyyymmdd),
//   float32 formula_weight, char one_letter, uint8 coordinates (0: thousandths of an angstrom, 1: float32)
//   name, type, formula, parent, synonyms, smiles: each its bytes and a NUL
//   per atom:  name and a NUL, uint8 element (atomic number; 119 is deuterium), int8 charge, uint8 flags (CCD_ATOM_*),
//              then, where known, 3 ideal and 3 model coordinates: signed varint differences from the last known ones
//              of the same kind in this record (from 0 at first), or float32
//   per bond:  varint atom1, varint atom2, uint8 flags (order in the low 4 bits, CCD_BOND_*)
#ifndef NF_CHEM_CCD_FORMAT_H
#define NF_CHEM_CCD_FORMAT_H

#include <stdint.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the dictionary file is read in place and is little-endian"
#endif

// The line ends and the control character show a file that was copied as text.
#define CCD_MAGIC "NFCCD\r\n\x1a"
enum { CCD_VERSION = 1, CCD_DEUTERIUM = 119, CCD_MAX_BONDS = 1 << 20 };

typedef struct {
  char magic[8];
  uint32_t version;
  uint32_t n_components;
  uint64_t file_size;
  uint64_t index_offset;
  uint8_t reserved[24];  // zeros
  uint64_t checksum;     // FNV-1a of the header's first 56 bytes, then the index
} ccd_header;

typedef struct {
  char code[12];      // padded with NULs, the last always one
  uint32_t size;      // of the record, bytes
  uint64_t offset;    // of the record
  uint64_t checksum;  // FNV-1a of the record
} ccd_entry;

_Static_assert(sizeof(ccd_header) == 64 && sizeof(ccd_entry) == 32, "the file's layout");

enum { CCD_ATOM_HAS_CHARGE = 1, CCD_ATOM_LEAVING = 2, CCD_ATOM_HAS_IDEAL = 4, CCD_ATOM_HAS_MODEL = 8 };
enum { CCD_ATOM_STEREO_SHIFT = 4 };  // two bits, an index into CCD_ATOM_STEREO
#define CCD_ATOM_STEREO "NRS"
enum { CCD_BOND_ORDER = 15, CCD_BOND_HAS_AROMATIC = 16, CCD_BOND_AROMATIC = 32, CCD_BOND_STEREO_SHIFT = 6 };
#define CCD_BOND_STEREO "NEZ"

// The header's checksum: of its first 56 bytes and the index.
uint64_t ccd_checksum(const ccd_header *header, const ccd_entry *index);

#endif
