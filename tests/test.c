// The test frame's main: runs every registered case, or those whose names hold argv[1].
#include "test.h"

#include <stdarg.h>
#include <unistd.h>

test_case test_cases[512];
int test_count, test_failures_here, test_skipped_here;

static char dir[64];

void test_fail(const char *file, int line, const char *format, ...) {
  va_list args;
  va_start(args, format);
  printf("  %s:%d: ", file, line);
  vprintf(format, args);
  printf("\n");
  va_end(args);
  test_failures_here++;
}

static const char *join(const char *root, const char *relative) {
  static char paths[4][4096];
  static int next;
  char *path = paths[next++ % 4];
  snprintf(path, sizeof paths[0], "%s/%s", root, relative);
  return path;
}

const char *test_reference(const char *relative_path) {
  const char *root = getenv("NATIVEFOLD_REFERENCE");
  const char *path = join(root && *root ? root : "../shared/reference", relative_path);
  return access(path, R_OK) == 0 ? path : NULL;
}

const char *test_source(const char *relative_path) {
  const char *root = getenv("NATIVEFOLD_SOURCE");
  return join(root && *root ? root : ".", relative_path);
}

static void remove_dir(void) {
  if (!*dir) return;
  char command[128];
  snprintf(command, sizeof command, "rm -rf '%s'", dir);
  if (system(command) != 0) printf("  could not remove %s\n", dir);
}

const char *test_dir(void) {
  static const char *owner;
  static int n;
  if (!*dir) {
    strcpy(dir, "/tmp/nativefold_test_XXXXXX");
    if (!mkdtemp(dir)) abort();
    atexit(remove_dir);
  }
  (void)owner;
  static char sub[128];
  snprintf(sub, sizeof sub, "%s/%d", dir, n++);
  char command[160];
  snprintf(command, sizeof command, "mkdir -p '%s'", sub);
  if (system(command) != 0) abort();
  return sub;
}

double test_relative_l2(const float *a, const float *b, long long n) {
  double d = 0, s = 0;
  for (long long i = 0; i < n; i++) {
    d += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    s += (double)b[i] * b[i];
  }
  return s > 0 ? sqrt(d / s) : (d == 0 ? 0 : NAN);
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  int passed = 0, failed = 0, skipped = 0;
  for (int i = 0; i < test_count; i++) {
    if (argc > 1 && !strstr(test_cases[i].name, argv[1])) continue;
    test_failures_here = test_skipped_here = 0;
    test_cases[i].function();
    if (test_failures_here) {
      failed++;
      printf("  FAIL %s\n", test_cases[i].name);
    } else if (test_skipped_here) {
      skipped++;
    } else {
      passed++;
    }
  }
  printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
  return failed ? 1 : 0;
}
