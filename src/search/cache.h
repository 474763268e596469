// A directory of search results that later runs find again.
//
// Each result is a file named by the SHA-256 of its key, the text that says what was searched for, where and how. The
// file holds the key and a checksum, and appears whole or not at all: runs may share a directory, and may be killed.
#ifndef NF_SEARCH_CACHE_H
#define NF_SEARCH_CACHE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "base/str.h"

// dir NULL: nothing is ever found, nothing kept. *ret_text is freed by the caller with nf_str_free.
bool cache_read(const char *dir, const char *key, nf_str *ret_text);
// A result that cannot be written is a warning: it is still there for this run.
void cache_write(const char *dir, const char *key, const char *text, size_t length);

#endif
