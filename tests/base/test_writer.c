// Files that cannot be written to their end leave nothing behind; devices stay devices.
#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/test.h"

static bool is_device(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 && S_ISCHR(st.st_mode);
}

TEST(a_full_device) {
  if (!is_device("/dev/full")) SKIP("there is no /dev/full");
  static char data[100000];
  CHECK_INT(nf_file_write("/dev/full", data, sizeof data), NF_FAILED);
  CHECK_STR(nf_message(), "/dev/full: cannot be written: No space left on device");
  CHECK(is_device("/dev/full"));
  REQUIRE_OK(nf_file_write("/dev/null", data, sizeof data));
  CHECK(is_device("/dev/null"));
}

TEST(a_directory_is_no_file) {
  CHECK_INT(nf_file_write(test_dir(), "x", 1), NF_FAILED);
  CHECK(strstr(nf_message(), "cannot be written: Is a directory"));
}

// In a process of its own, as the limit cannot be raised again.
TEST(a_full_disk_leaves_nothing) {
  char path[512];
  const char *dir = test_dir();
  snprintf(path, sizeof path, "%s/out", dir);
  REQUIRE_OK(nf_file_write(path, "old", 3));
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    static char data[100000];
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){4096, 4096});
    _exit(nf_file_write(path, data, sizeof data));
  }
  int result = 0;
  CHECK(waitpid(child, &result, 0) == child && WIFEXITED(result));
  CHECK_INT(WEXITSTATUS(result), NF_FAILED);
  int n = 0;
  DIR *d = opendir(dir);
  for (struct dirent *e; (e = readdir(d));) n += e->d_name[0] != '.';
  closedir(d);
  CHECK_INT(n, 1);
  char *data;
  size_t size;
  REQUIRE_OK(nf_file_read(path, &data, &size));
  CHECK_STR(data, "old");
  free(data);
}
