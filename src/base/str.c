// A growing string.
#include "base/str.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/status.h"

static void reserve(nf_str *s, size_t more) {
  size_t need = s->length + more + 1;
  if (need <= s->capacity) return;
  size_t capacity = s->capacity ? s->capacity : 64;
  while (capacity < need) capacity *= 2;
  s->data = nf_realloc(s->data, capacity, 1);
  s->capacity = capacity;
}

void nf_str_append(nf_str *s, const char *bytes, size_t length) {
  reserve(s, length);
  if (length) memcpy(s->data + s->length, bytes, length);
  s->length += length;
  s->data[s->length] = '\0';
}

void nf_str_puts(nf_str *s, const char *text) { nf_str_append(s, text, strlen(text)); }
void nf_str_putc(nf_str *s, char c) { nf_str_append(s, &c, 1); }

void nf_str_printf(nf_str *s, const char *format, ...) {
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  int n = vsnprintf(NULL, 0, format, args);
  va_end(args);
  NF_ASSERT(n >= 0);
  reserve(s, (size_t)n);
  vsnprintf(s->data + s->length, (size_t)n + 1, format, again);
  va_end(again);
  s->length += (size_t)n;
}

void nf_str_free(nf_str *s) {
  free(s->data);
  *s = (nf_str){0};
}

bool nf_parse_int(const char *text, long long *ret_value) {
  char *end;
  errno = 0;
  long long value = strtoll(text, &end, 10);
  if (end == text || *end || errno || isspace((unsigned char)*text)) return false;
  *ret_value = value;
  return true;
}

bool nf_parse_double(const char *text, double *ret_value) {
  char *end;
  errno = 0;
  double value = strtod(text, &end);
  if (end == text || *end || isspace((unsigned char)*text)) return false;
  *ret_value = value;
  return true;
}

bool nf_ends_with(const char *text, const char *suffix) {
  size_t n = strlen(text), m = strlen(suffix);
  return n >= m && strcmp(text + n - m, suffix) == 0;
}
