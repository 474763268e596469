// Numbers as text: the forms that Python and numpy give them in AlphaFold 3's files.
#include "output/number.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"

void number_repr(double value, char text[NUMBER_REPR_SIZE]) {
  if (!isfinite(value)) {
    strcpy(text, isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
    return;
  }
  char scientific[NUMBER_REPR_SIZE];  // [-]d.ddde[+-]xx
  for (int digits = 0; digits <= 16; digits++) {
    snprintf(scientific, sizeof scientific, "%.*e", digits, value);
    if (strtod(scientific, NULL) == value) break;
  }
  char digits[NUMBER_REPR_SIZE];
  int n = 0, exponent = atoi(strchr(scientific, 'e') + 1);
  for (const char *p = scientific; *p != 'e'; p++) {
    if (*p >= '0' && *p <= '9') digits[n++] = *p;
  }
  NF_ASSERT(n >= 1 && n <= 17);
  char *out = text;
  if (scientific[0] == '-') *out++ = '-';
  if (exponent < -4 || exponent >= 16) {
    *out++ = digits[0];
    if (n > 1) {
      *out++ = '.';
      memcpy(out, digits + 1, (size_t)(n - 1));
      out += n - 1;
    }
    sprintf(out, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
    return;
  }
  if (exponent < 0) {
    *out++ = '0';
    *out++ = '.';
    for (int i = -1; i > exponent; i--) *out++ = '0';
    memcpy(out, digits, (size_t)n);
    out[n] = '\0';
    return;
  }
  for (int i = 0; i <= exponent; i++) *out++ = i < n ? digits[i] : '0';
  *out++ = '.';
  if (n <= exponent + 1) *out++ = '0';
  for (int i = exponent + 1; i < n; i++) *out++ = digits[i];
  *out = '\0';
}

void number_json(double value, char text[NUMBER_REPR_SIZE]) {
  if (isfinite(value)) {
    number_repr(value, text);
  } else {
    strcpy(text, "null");
  }
}

double number_round2(double value) { return rint(value * 100.0) / 100.0; }

static double pairwise_sum(const double *values, long n) {
  if (n < 8) {
    double sum = 0;
    for (long i = 0; i < n; i++) sum += values[i];
    return sum;
  }
  if (n <= 128) {
    double r[8];
    long i = 8;
    for (int k = 0; k < 8; k++) r[k] = values[k];
    for (; i + 8 <= n; i += 8) {
      for (int k = 0; k < 8; k++) r[k] += values[i + k];
    }
    double sum = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
    for (; i < n; i++) sum += values[i];
    return sum;
  }
  long half = n / 2 - n / 2 % 8;
  return pairwise_sum(values, half) + pairwise_sum(values + half, n - half);
}

double number_mean(const double *values, long n) { return pairwise_sum(values, n) / (double)n; }
