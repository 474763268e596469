// See the header.
#include "base/checksum.h"

#include <string.h>

uint64_t nf_checksum(const void *data, size_t size) {
  const unsigned char *p = data;
  uint64_t lanes[8] = {1, 2, 3, 4, 5, 6, 7, 8}, hash = size;
  while (size) {
    uint64_t words[8] = {0};
    size_t n = size < sizeof words ? size : sizeof words;
    memcpy(words, p, n);
    p += n;
    size -= n;
    for (int i = 0; i < 8; i++) {
      uint64_t x = (lanes[i] ^ words[i]) * 0x9e3779b97f4a7c15u;
      lanes[i] = x << 31 | x >> 33;
    }
  }
  for (int i = 0; i < 8; i++) {
    hash = (hash ^ lanes[i]) * 0xff51afd7ed558ccdu;
    hash ^= hash >> 32;
  }
  return hash;
}
