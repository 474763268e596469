// Alignments as A3M text: rows are kept as they will be written, so that each letter is in memory once.
#ifndef NF_SEARCH_ALIGNMENT_H
#define NF_SEARCH_ALIGNMENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/map.h"
#include "base/memory.h"
#include "base/status.h"
#include "base/str.h"
#include "chem/residues.h"

typedef struct {
  size_t description, sequence;  // offsets into the text
  size_t n_description, n_sequence;
} alignment_row;

// Zero-initialise; free with alignment_free.
typedef struct {
  nf_str text;  // ">description\nsequence\n" for each row
  int n_rows, capacity;
  alignment_row *rows;
} nf_alignment;

void alignment_add(nf_alignment *a, const char *description, size_t n_description, const char *sequence,
                   size_t n_sequence);
void alignment_free(nf_alignment *a);
const char *alignment_description(const nf_alignment *a, int row);  // not NUL-terminated
const char *alignment_sequence(const nf_alignment *a, int row);     // not NUL-terminated

// Parses A3M or FASTA text: a record's lines are joined, blanks at line ends are nothing.
void alignment_parse(const char *text, size_t length, nf_alignment *a);

// The same rows without those that were there before, small letters (insertions) not counting.
void alignment_merge(nf_alignment *const *parts, int n_parts, bool deduplicate, nf_alignment *ret);

// Refuses an alignment whose first row is another sequence to the network than the query.
NF_CHECKED nf_status alignment_check_query(const nf_alignment *a, const char *label, nf_chain_kind kind,
                                           const char *query);

// ---- Stockholm, one line a sequence (Pfam style), read from a pipe line by line ----

typedef enum {
  STOCKHOLM_TO_QUERY,     // columns where the first row has a gap become insertions
  STOCKHOLM_AS_ALIGNED,   // columns stay, insertions of the profile too
  STOCKHOLM_RESIDUES,     // gaps are taken out
} stockholm_mode;

// Memory stays within the rows kept and one line.
typedef struct {
  const char *label;
  stockholm_mode mode;
  int max_rows;  // 0: all
  nf_alignment *out;
  nf_str line, first, row, descriptions;
  nf_map *description_of;  // name -> offset into descriptions
  nf_map *seen;            // names of the rows kept
  bool has_first, block_ended;
  _Atomic(int) *opt_hits;  // if set: told how many rows there are so far, without the query's
} stockholm_reader;

void stockholm_start(stockholm_reader *reader, const char *label, stockholm_mode mode, int max_rows, nf_alignment *out);
nf_status stockholm_sink(void *reader, const char *bytes, size_t n);  // a process_sink
void stockholm_free(stockholm_reader *reader);

// Writes the alignment as Stockholm, for hmmbuild, piece by piece: columns of the first row without a gap are marked
// as those of the model. The rows must agree in length.
typedef struct {
  const nf_alignment *a;
  const char *label;
  int step, width, n_columns;
  int *insertions;  // (n_columns + 1) widest insertion before each column, and behind the last
  nf_str piece;
} stockholm_writer;

NF_CHECKED nf_status stockholm_writer_start(stockholm_writer *writer, const char *label, const nf_alignment *a);
nf_status stockholm_feed(void *writer, const char **ret_bytes, size_t *ret_n);  // a process_feed
void stockholm_writer_free(stockholm_writer *writer);

#endif
