// Numbers as Python and numpy print and round them.
#include <stdint.h>

#include "../test.h"
#include "output/number.h"

static const char *repr(double value) {
  static char text[4][NUMBER_REPR_SIZE];
  static int next;
  char *t = text[next++ % 4];
  number_repr(value, t);
  return t;
}

TEST(repr_is_pythons) {
  CHECK_STR(repr(0.7190632275583329), "0.7190632275583329");
  CHECK_STR(repr(0.0), "0.0");
  CHECK_STR(repr(-0.0), "-0.0");
  CHECK_STR(repr(1.0), "1.0");
  CHECK_STR(repr(-99.3), "-99.3");
  CHECK_STR(repr(0.1 + 0.2), "0.30000000000000004");
  CHECK_STR(repr(100.0), "100.0");
  CHECK_STR(repr(123456789012345680.0), "1.2345678901234568e+17");
  CHECK_STR(repr(1234567890123456.0), "1234567890123456.0");
  CHECK_STR(repr(1e16), "1e+16");
  CHECK_STR(repr(0.0001), "0.0001");
  CHECK_STR(repr(0.00012345), "0.00012345");
  CHECK_STR(repr(0.00001), "1e-05");
  CHECK_STR(repr(5e-324), "5e-324");
  CHECK_STR(repr(-1.7976931348623157e308), "-1.7976931348623157e+308");
  CHECK_STR(repr(NAN), "nan");
  CHECK_STR(repr(INFINITY), "inf");
  CHECK_STR(repr(-INFINITY), "-inf");
}

TEST(repr_reads_back) {
  uint64_t bits = 88172645463325252u;
  for (int i = 0; i < 20000; i++) {
    bits ^= bits << 13, bits ^= bits >> 7, bits ^= bits << 17;
    double value;
    memcpy(&value, &bits, sizeof value);
    if (!isfinite(value)) continue;
    if (strtod(repr(value), NULL) != value) {
      CHECK(!"a number changed on its way through text");
      break;
    }
  }
}

TEST(json_has_no_nan) {
  char text[NUMBER_REPR_SIZE];
  number_json(NAN, text);
  CHECK_STR(text, "null");
  number_json(INFINITY, text);
  CHECK_STR(text, "null");
  number_json(0.5, text);
  CHECK_STR(text, "0.5");
}

TEST(rounding_is_numpys) {
  CHECK_STR(repr(number_round2(0.705825683153766)), "0.71");
  CHECK_STR(repr(number_round2(0.125)), "0.12");  // ties to even
  CHECK_STR(repr(number_round2(0.375)), "0.38");
  CHECK_STR(repr(number_round2(1.005)), "1.0");
  CHECK_STR(repr(number_round2(-0.001)), "-0.0");
  CHECK_STR(repr(number_round2(29.996)), "30.0");
  CHECK(isnan(number_round2(NAN)));
}

// The order of additions shows in the last bit: numpy's mean of these numbers, and what adding in a row would give.
TEST(mean_adds_in_numpys_order) {
  double values[1000], in_a_row = 0;
  for (int i = 0; i < 1000; i++) in_a_row += values[i] = (i * i * 7 % 9973) / 100.0;
  CHECK_STR(repr(number_mean(values, 1)), "0.0");
  CHECK_STR(repr(number_mean(values, 5)), "0.42000000000000004");
  CHECK_STR(repr(number_mean(values, 20)), "8.645000000000001");
  CHECK_STR(repr(number_mean(values, 137)), "44.43138686131387");
  CHECK_STR(repr(number_mean(values, 1000)), "49.88578");
  CHECK(in_a_row / 1000 != number_mean(values, 1000));
}
