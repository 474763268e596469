// A growing string, and small text helpers.
#ifndef NF_BASE_STR_H
#define NF_BASE_STR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

// Zero-initialise; `data` is NUL-terminated once anything was appended. Free with nf_str_free.
typedef struct {
  char *data;
  size_t length, capacity;
} nf_str;

void nf_str_append(nf_str *s, const char *bytes, size_t length);
void nf_str_puts(nf_str *s, const char *text);
void nf_str_putc(nf_str *s, char c);
void nf_str_printf(nf_str *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
void nf_str_free(nf_str *s);

// Parses all of `text` as a number; false if it is not one, or out of range.
bool nf_parse_int(const char *text, long long *ret_value);
bool nf_parse_double(const char *text, double *ret_value);
bool nf_ends_with(const char *text, const char *suffix);

#endif
