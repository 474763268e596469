// A3M and FASTA syntax: descriptions and sequences as text. What the letters mean is known elsewhere.
#ifndef NF_FORMATS_A3M_H
#define NF_FORMATS_A3M_H

#include <stddef.h>

#include "base/memory.h"
#include "base/status.h"

typedef struct {
  int n_rows;
  const char **descriptions;  // (n_rows) behind the ">", without blanks at both ends
  const char **sequences;     // (n_rows) a record's lines joined; "" where a record has none
} nf_a3m;

// Parses `text` into the arena, which owns copies of everything. Blanks at line ends mean nothing; lines before the
// first ">" are read over, as the reference does; an empty text gives no rows. Refused: NUL bytes.
NF_CHECKED nf_status a3m_parse(const char *label, const char *text, size_t length, nf_arena *arena, nf_a3m *ret_a3m);

#endif
