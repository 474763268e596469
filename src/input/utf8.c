// UTF-8.
#include "input/utf8.h"

int utf8_decode(const char *text, size_t left, uint32_t *ret_character) {
  static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  const unsigned char *p = (const unsigned char *)text;
  if (!left) return 0;
  *ret_character = p[0];
  if (p[0] < 0x80) return 1;
  int n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc0 ? 2 : 0;
  if (!n || p[0] > 0xf4 || (size_t)n > left) return 0;
  uint32_t c = p[0] & (0xffu >> (n + 1));
  for (int i = 1; i < n; i++) {
    if ((p[i] & 0xc0) != 0x80) return 0;
    c = c << 6 | (p[i] & 0x3f);
  }
  if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) return 0;
  *ret_character = c;
  return n;
}
