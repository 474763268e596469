// Where template structures come from: a directory of mmCIF files (1abc.cif, 1abc.cif.gz, or those in ab/), or one
// uncompressed .tar of them, whose headers are read once.
#ifndef NF_SEARCH_MMCIF_STORE_H
#define NF_SEARCH_MMCIF_STORE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

typedef struct nf_mmcif_store nf_mmcif_store;

// A path that ends in .tar is an archive. Usable from several threads once open.
NF_CHECKED nf_status mmcif_store_open(const char *path, nf_mmcif_store **ret_store);
void mmcif_store_close(nf_mmcif_store *store);  // NULL is fine
// Reads the file of an entry ("1abc", lower case); *ret_text is freed by the caller with free(), NULL if there is none.
NF_CHECKED nf_status mmcif_store_read(const nf_mmcif_store *store, const char *id, char **ret_text, size_t *ret_size);

#endif
