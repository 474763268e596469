// SHA-256 (FIPS 180-4).
#ifndef NF_FORMATS_SHA256_H
#define NF_FORMATS_SHA256_H

#include <stddef.h>
#include <stdint.h>

void sha256(const void *bytes, size_t length, uint8_t ret_digest[32]);
// The same as 64 lower-case hexadecimal digits and a NUL.
void sha256_hex(const void *bytes, size_t length, char ret_hex[65]);

#endif
