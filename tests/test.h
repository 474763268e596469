// A small test frame: TEST(name) { ... CHECK(...); } in a file, TEST_MAIN at its end.
// Each file becomes one program; it prints a line per failed check and ends with "P passed, F failed, S skipped".
#ifndef NF_TESTS_TEST_H
#define NF_TESTS_TEST_H

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"

typedef void (*test_function)(void);
typedef struct {
  const char *name;
  test_function function;
} test_case;

extern test_case test_cases[512];
extern int test_count, test_failures_here, test_skipped_here;

#define TEST(id)                                                        \
  static void test_##id(void);                                          \
  __attribute__((constructor)) static void test_register_##id(void) {   \
    test_cases[test_count++] = (test_case){#id, test_##id};             \
  }                                                                     \
  static void test_##id(void)

#define CHECK(condition)                                                     \
  do {                                                                       \
    if (!(condition)) test_fail(__FILE__, __LINE__, "%s", #condition);       \
  } while (0)
#define CHECK_OK(call)                                                                         \
  do {                                                                                         \
    if ((call) != NF_OK) test_fail(__FILE__, __LINE__, "%s failed: %s", #call, nf_message());  \
  } while (0)
// The test cannot go on without this.
#define REQUIRE_OK(call)                                                                       \
  do {                                                                                         \
    if ((call) != NF_OK) {                                                                     \
      test_fail(__FILE__, __LINE__, "%s failed: %s", #call, nf_message());                     \
      return;                                                                                  \
    }                                                                                          \
  } while (0)
#define CHECK_INT(a, b)                                                                                       \
  do {                                                                                                        \
    long long test_a = (long long)(a), test_b = (long long)(b);                                               \
    if (test_a != test_b) test_fail(__FILE__, __LINE__, "%s is %lld, %s is %lld", #a, test_a, #b, test_b);    \
  } while (0)
#define CHECK_NEAR(a, b, tolerance)                                                                          \
  do {                                                                                                       \
    double test_a = (double)(a), test_b = (double)(b);                                                       \
    if (!(fabs(test_a - test_b) <= (tolerance)))                                                             \
      test_fail(__FILE__, __LINE__, "%s is %.9g, %s is %.9g", #a, test_a, #b, test_b);                       \
  } while (0)
#define CHECK_STR(a, b)                                                                                      \
  do {                                                                                                       \
    const char *test_a = (a), *test_b = (b);                                                                 \
    if (!test_a || !test_b || strcmp(test_a, test_b) != 0)                                                   \
      test_fail(__FILE__, __LINE__, "%s is \"%s\", expected \"%s\"", #a, test_a ? test_a : "(null)",         \
                test_b ? test_b : "(null)");                                                                 \
  } while (0)
#define SKIP(reason)                                \
  do {                                              \
    printf("  SKIP: %s\n", reason);                 \
    test_skipped_here = 1;                          \
    return;                                         \
  } while (0)

void test_fail(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));

// Path of a file of the reference data (directory NATIVEFOLD_REFERENCE, default ../shared/reference); NULL if absent.
// The string is valid until the fourth next call.
const char *test_reference(const char *relative_path);
#define REFERENCE_OR_SKIP(variable, relative_path)          \
  const char *variable = test_reference(relative_path);     \
  if (!variable) SKIP("reference data absent: " relative_path)
// A path of a file under tests/ or data/ of the source tree.
const char *test_source(const char *relative_path);
// A fresh directory for the running test, removed at exit.
const char *test_dir(void);
// ||a - b|| / ||b||; NaN if any is not finite.
double test_relative_l2(const float *a, const float *b, long long n);

#endif
