// One pass to count, one to copy.
#include "formats/a3m.h"

#include <limits.h>
#include <stdbool.h>
#include <string.h>

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// The next line without blanks at both ends; false at the end of the text.
static bool next_line(const char **p, const char *end, const char **ret_start, const char **ret_end) {
  if (*p == end) return false;
  const char *a = *p, *b = memchr(a, '\n', (size_t)(end - a));
  *p = b ? b + 1 : end;
  if (!b) b = end;
  while (a < b && is_space(*a)) a++;
  while (b > a && is_space(b[-1])) b--;
  *ret_start = a;
  *ret_end = b;
  return true;
}

nf_status a3m_parse(const char *label, const char *text, size_t length, nf_arena *arena, nf_a3m *ret_a3m) {
  *ret_a3m = (nf_a3m){0};
  const char *p = text, *end = text + length, *a, *b;
  if (length && memchr(text, '\0', length)) return nf_fail(NF_INPUT, "%s: a NUL byte; this is not a text file", label);
  size_t n = 0;
  while (next_line(&p, end, &a, &b)) n += a < b && *a == '>';
  if (n > INT_MAX) return nf_fail(NF_INPUT, "%s: too many sequences", label);
  const char **descriptions = nf_arena_alloc(arena, n * sizeof *descriptions);
  const char **sequences = nf_arena_alloc(arena, n * sizeof *sequences);
  // Every record's text, and a NUL behind description and sequence, is at most the text and two bytes a record.
  char *out = nf_arena_alloc(arena, length + 2 * n + 1);
  size_t i = 0;
  p = text;
  while (next_line(&p, end, &a, &b)) {
    if (a < b && *a == '>') {
      if (i) *out++ = '\0';
      for (a++; a < b && is_space(*a); a++) {
      }
      descriptions[i] = out;
      memcpy(out, a, (size_t)(b - a));
      out += b - a;
      *out++ = '\0';
      sequences[i++] = out;
    } else if (i) {
      memcpy(out, a, (size_t)(b - a));
      out += b - a;
    }
  }
  if (i) *out = '\0';
  *ret_a3m = (nf_a3m){(int)n, descriptions, sequences};
  return NF_OK;
}
