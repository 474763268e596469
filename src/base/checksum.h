// A checksum against damage, not against an adversary: eight lanes of multiply and rotate, as fast as memory is read.
#ifndef NF_BASE_CHECKSUM_H
#define NF_BASE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

uint64_t nf_checksum(const void *data, size_t size);
// Joins a checksum and a further one, in their order.
static inline uint64_t nf_checksum_join(uint64_t a, uint64_t b) { return (a ^ (b >> 29 | b << 35)) * 0x9e3779b97f4a7c15u + b; }

#endif
