// A hash map from strings to integers.
#ifndef NF_BASE_MAP_H
#define NF_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct nf_map nf_map;
nf_map *nf_map_create(void);
// Sets key (copied) to value; returns false, leaving the old value, if the key is there already.
bool nf_map_add(nf_map *map, const char *key, int64_t value);
// Sets or replaces.
void nf_map_set(nf_map *map, const char *key, int64_t value);
// Finds the key; false if absent.
bool nf_map_get(const nf_map *map, const char *key, int64_t *ret_value);
size_t nf_map_size(const nf_map *map);
void nf_map_free(nf_map *map);  // NULL is fine

// FNV-1a, 64 bits.
uint64_t nf_fnv1a(const void *bytes, size_t length);

#endif
