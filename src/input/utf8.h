// UTF-8, one character at a time.
#ifndef NF_INPUT_UTF8_H
#define NF_INPUT_UTF8_H

#include <stddef.h>
#include <stdint.h>

// Decodes the character at `text`, of which `left` bytes remain; returns its bytes, 0 if they are no valid UTF-8
// (overlong forms, surrogates and anything above U+10FFFF are not).
int utf8_decode(const char *text, size_t left, uint32_t *ret_character);

#endif
