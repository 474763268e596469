// Open addressing, linear probing, at most half full.
#include "base/map.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

typedef struct {
  char *key;  // NULL: free
  int64_t value;
} slot;

struct nf_map {
  slot *slots;
  size_t capacity, size;
};

uint64_t nf_fnv1a(const void *bytes, size_t length) {
  const unsigned char *p = bytes;
  uint64_t h = 14695981039346656037u;
  for (size_t i = 0; i < length; i++) h = (h ^ p[i]) * 1099511628211u;
  return h;
}

nf_map *nf_map_create(void) {
  nf_map *map = nf_calloc(1, sizeof *map);
  map->capacity = 16;
  map->slots = nf_calloc(map->capacity, sizeof(slot));
  return map;
}

static slot *find(const nf_map *map, const char *key) {
  size_t i = nf_fnv1a(key, strlen(key)) & (map->capacity - 1);
  while (map->slots[i].key && strcmp(map->slots[i].key, key) != 0) i = (i + 1) & (map->capacity - 1);
  return &map->slots[i];
}

static void grow(nf_map *map) {
  slot *old = map->slots;
  size_t n = map->capacity;
  map->capacity *= 2;
  map->slots = nf_calloc(map->capacity, sizeof(slot));
  for (size_t i = 0; i < n; i++) {
    if (old[i].key) *find(map, old[i].key) = old[i];
  }
  free(old);
}

bool nf_map_add(nf_map *map, const char *key, int64_t value) {
  slot *s = find(map, key);
  if (s->key) return false;
  s->key = nf_strdup(key);
  s->value = value;
  if (2 * ++map->size > map->capacity) grow(map);
  return true;
}

void nf_map_set(nf_map *map, const char *key, int64_t value) {
  slot *s = find(map, key);
  if (s->key) {
    s->value = value;
  } else {
    nf_map_add(map, key, value);
  }
}

bool nf_map_get(const nf_map *map, const char *key, int64_t *ret_value) {
  const slot *s = find(map, key);
  if (!s->key) return false;
  *ret_value = s->value;
  return true;
}

size_t nf_map_size(const nf_map *map) { return map->size; }

void nf_map_free(nf_map *map) {
  if (!map) return;
  for (size_t i = 0; i < map->capacity; i++) free(map->slots[i].key);
  free(map->slots);
  free(map);
}
