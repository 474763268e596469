// Reads /proc and the control groups, of both versions.
#include "base/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH = 4096 };

// The number after `key` at the beginning of a line; -1: there is none.
static int64_t number_after(const char *path, const char *key) {
  FILE *f = fopen(path, "re");
  if (!f) return -1;
  char line[512];
  int64_t value = -1;
  size_t length = strlen(key);
  while (value < 0 && fgets(line, sizeof line, f)) {
    char *end;
    if (strncmp(line, key, length) != 0) continue;
    long long number = strtoll(line + length, &end, 10);
    if (end != line + length && number >= 0) value = number;
  }
  fclose(f);
  return value;
}

nf_memory_use nf_memory_used(void) {
  static const char status[] = "/proc/self/status";
  enum { KIB = 1024 };
  int64_t resident = number_after(status, "VmRSS:"), anonymous = number_after(status, "RssAnon:"),
          peak = number_after(status, "VmHWM:");
  return (nf_memory_use){resident < 0 ? 0 : resident * KIB, anonymous < 0 ? 0 : anonymous * KIB, peak < 0 ? 0 : peak * KIB};
}

// What one group has left: its limit, less what it uses beyond files that can be dropped. INT64_MAX: it sets no limit.
static int64_t group_room(const char *dir, const char *limit_file, const char *used_file, const char *file_key) {
  char path[PATH + 64];
  snprintf(path, sizeof path, "%s/%s", dir, limit_file);
  int64_t limit = number_after(path, "");  // "max" is no number
  if (limit < 0 || limit > (int64_t)1 << 60) return INT64_MAX;
  snprintf(path, sizeof path, "%s/%s", dir, used_file);
  int64_t used = number_after(path, "");
  snprintf(path, sizeof path, "%s/memory.stat", dir);
  int64_t files = number_after(path, file_key);
  if (used < 0) used = 0;
  if (files > 0) used = used > files ? used - files : 0;
  return limit > used ? limit - used : 0;
}

// The least of the group at base/path and those above it.
static int64_t least_room(const char *base, const char *path, const char *limit, const char *used, const char *file_key) {
  char dir[PATH];
  int64_t least = INT64_MAX;
  if ((size_t)snprintf(dir, sizeof dir, "%s%s", base, path) >= sizeof dir) return least;
  for (size_t floor = strlen(base); strlen(dir) >= floor;) {
    int64_t room = group_room(dir, limit, used, file_key);
    if (room < least) least = room;
    char *slash = strrchr(dir, '/');
    if (!slash || strlen(dir) == floor) break;
    *slash = '\0';
  }
  return least;
}

nf_memory_room nf_memory_available(const char *root) {
  char path[PATH], base[PATH], line[PATH];
  snprintf(path, sizeof path, "%s/proc/meminfo", root);
  int64_t machine = number_after(path, "MemAvailable:"), groups = INT64_MAX;
  nf_memory_room room = {machine < 0 ? INT64_MAX : machine * 1024, "the machine"};
  snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
  FILE *f = fopen(path, "re");
  while (f && fgets(line, sizeof line, f)) {
    line[strcspn(line, "\n")] = '\0';
    char *kinds = strchr(line, ':'), *group = kinds ? strchr(kinds + 1, ':') : NULL;
    if (!group) continue;
    *kinds++ = '\0';
    *group++ = '\0';
    if (strcmp(group, "/") == 0) group[0] = '\0';
    int64_t here = INT64_MAX;
    if (strcmp(line, "0") == 0 && !*kinds) {
      snprintf(base, sizeof base, "%s/sys/fs/cgroup", root);
      here = least_room(base, group, "memory.max", "memory.current", "file ");
    } else if (strcmp(kinds, "memory") == 0) {
      snprintf(base, sizeof base, "%s/sys/fs/cgroup/memory", root);
      here = least_room(base, group, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_cache ");
    }
    if (here < groups) groups = here;
  }
  if (f) fclose(f);
  if (groups < room.bytes) room = (nf_memory_room){groups, "the control group"};
  return room;
}
