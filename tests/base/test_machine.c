// Memory limits of control groups, on made-up trees of /proc and /sys.
#include <stdint.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/machine.h"
#include "tests/test.h"

// Writes ROOT/path; the directory is made.
static void put(const char *root, const char *path, const char *text) {
  char full[1024];
  snprintf(full, sizeof full, "%s%s", root, path);
  char *slash = strrchr(full, '/');
  *slash = '\0';
  CHECK_OK(nf_dir_create(full));
  *slash = '/';
  CHECK_OK(nf_file_write(full, text, strlen(text)));
}

static const char *root_of(const char *name) {
  static char root[600];
  snprintf(root, sizeof root, "%s/%s", test_dir(), name);
  put(root, "/proc/meminfo", "MemTotal:  8000 kB\nMemFree: 10 kB\nMemAvailable:    4000 kB\n");
  return root;
}

TEST(no_groups) {
  nf_memory_room room = nf_memory_available(root_of("none"));
  CHECK_INT(room.bytes, 4000 * 1024);
  CHECK_STR(room.source, "the machine");
  room = nf_memory_available("/nonexistent");
  CHECK(room.bytes == INT64_MAX);
}

TEST(version_2) {
  const char *root = root_of("v2");
  put(root, "/proc/self/cgroup", "0::/a/b\n");
  put(root, "/sys/fs/cgroup/a/b/memory.max", "max\n");
  put(root, "/sys/fs/cgroup/a/b/memory.current", "5000\n");
  nf_memory_room room = nf_memory_available(root);
  CHECK_INT(room.bytes, 4000 * 1024);
  // The group above has a limit: less what it uses, but for files that can be dropped.
  put(root, "/sys/fs/cgroup/a/memory.max", "1000000\n");
  put(root, "/sys/fs/cgroup/a/memory.current", "400000\n");
  put(root, "/sys/fs/cgroup/a/memory.stat", "anon 100000\nfile 300000\nkernel 0\n");
  room = nf_memory_available(root);
  CHECK_INT(room.bytes, 1000000 - 100000);
  CHECK_STR(room.source, "the control group");
  // As a container sees its own: the root of its hierarchy.
  put(root, "/proc/self/cgroup", "0::/\n");
  put(root, "/sys/fs/cgroup/memory.max", "500000\n");
  put(root, "/sys/fs/cgroup/memory.current", "600000\n");
  room = nf_memory_available(root);
  CHECK_INT(room.bytes, 0);
}

TEST(version_1) {
  const char *root = root_of("v1");
  put(root, "/proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/job/1\n0::/\n");
  put(root, "/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  put(root, "/sys/fs/cgroup/memory/job/memory.limit_in_bytes", "3000000\n");
  put(root, "/sys/fs/cgroup/memory/job/memory.usage_in_bytes", "1000000\n");
  put(root, "/sys/fs/cgroup/memory/job/memory.stat", "cache 5\ntotal_cache 250000\n");
  put(root, "/sys/fs/cgroup/memory/job/1/memory.limit_in_bytes", "garbage\n");
  nf_memory_room room = nf_memory_available(root);
  CHECK_INT(room.bytes, 3000000 - 750000);
  CHECK_STR(room.source, "the control group");
}

TEST(this_process) {
  nf_memory_use use = nf_memory_used();
  CHECK(use.resident > 0 && use.anonymous > 0 && use.peak >= use.resident / 2);
}
