#include "search/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/str.h"

enum { LAST_WORDS = 600, HIGH_FD = 16, TICK_MS = 200, N_ENDS = PROCESS_MAX_OUTPUTS + PROCESS_MAX_FILES + 2 };

// An end of a pipe (or a memory file) that the child gets at a number of its own.
typedef struct {
  int ours, theirs, number;
} child_end;

typedef struct {
  const process_spec *spec;
  int n_ends;
  child_end ends[N_ENDS];  // outputs first, in the order of the spec
  int input, errors, exec_error;  // our ends; -1 once closed
  char words[2 * LAST_WORDS];
  size_t n_words;
} run;

static void shut(int *fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

// Descriptors are moved out of the way of the numbers the child gets.
static int move_up(int fd) {
  if (fd < 0) return -1;
  int high = fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FD);
  int error = errno;
  close(fd);
  errno = error;
  return high;
}

static bool make_pipe(int *ret_read, int *ret_write) {
  int fds[2];
  *ret_read = *ret_write = -1;
  if (pipe2(fds, O_CLOEXEC) != 0) return false;
  *ret_read = move_up(fds[0]);
  *ret_write = move_up(fds[1]);
  return *ret_read >= 0 && *ret_write >= 0;
}

int process_memory_file(void) { return move_up(memfd_create("nativefold", MFD_CLOEXEC)); }

static bool make_file(const process_file *file, int *ret_fd) {
  *ret_fd = file->source ? fcntl(file->source, F_DUPFD_CLOEXEC, HIGH_FD) : process_memory_file();
  if (*ret_fd < 0) return false;
  for (size_t done = 0; done < file->size;) {
    ssize_t n = write(*ret_fd, file->data + done, file->size - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    done += (size_t)n;
  }
  return lseek(*ret_fd, 0, SEEK_SET) == 0;
}

static bool open_ends(run *r) {
  const process_spec *s = r->spec;
  bool good = true;
  for (int i = 0; i < s->n_outputs; i++) {
    child_end *e = &r->ends[r->n_ends++];
    e->number = s->outputs[i].fd;
    good = make_pipe(&e->ours, &e->theirs) && good;
  }
  for (int i = 0; i < s->n_files; i++) {
    child_end *e = &r->ends[r->n_ends++];
    e->number = s->files[i].fd;
    e->ours = -1;
    good = make_file(&s->files[i], &e->theirs) && good;
  }
  child_end *errors = &r->ends[r->n_ends++];
  errors->number = STDERR_FILENO;
  errors->ours = -1;
  good = make_pipe(&r->errors, &errors->theirs) && good;
  if (s->feed) {
    child_end *input = &r->ends[r->n_ends++];
    input->number = STDIN_FILENO;
    input->ours = -1;
    good = make_pipe(&input->theirs, &r->input) && good;
    if (good) fcntl(r->input, F_SETFL, O_NONBLOCK);
  }
  return good;
}

// In the child, which shares our memory until it is another program: it writes to its own variables alone.
__attribute__((noinline)) static _Noreturn void become(const run *r, pid_t parent, int null, int exec_error) {
  int error = 0;
  sigset_t none;
  sigemptyset(&none);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);  // it died before we asked to be told
  signal(SIGPIPE, SIG_DFL);
  sigprocmask(SIG_SETMASK, &none, NULL);
  if (dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0) error = errno;
  for (int i = 0; !error && i < r->n_ends; i++) {
    if (dup2(r->ends[i].theirs, r->ends[i].number) < 0) error = errno;
  }
  if (!error) {
    execvp(r->spec->argv[0], (char *const *)r->spec->argv);
    error = errno;
  }
  ssize_t written = write(exec_error, &error, sizeof error);
  (void)written;
  _exit(127);
}

// Not by fork: a job may fold meanwhile, in tens of gigabytes whose pages would all be marked as shared, and of which
// some belong to a GPU's driver. -1: errno says why.
__attribute__((noinline)) static pid_t start(const run *r, pid_t parent, int null, int exec_error) {
  pid_t pid = vfork();
  if (pid == 0) become(r, parent, null, exec_error);
  return pid;
}

// Keeps the end of what the child says on standard error.
static void listen(run *r, const char *bytes, size_t n) {
  if (n >= LAST_WORDS) {
    bytes += n - LAST_WORDS;
    n = LAST_WORDS;
    r->n_words = 0;
  }
  if (r->n_words + n > sizeof r->words) {
    memmove(r->words, r->words + r->n_words - LAST_WORDS, LAST_WORDS);
    r->n_words = LAST_WORDS;
  }
  memcpy(r->words + r->n_words, bytes, n);
  r->n_words += n;
}

// Its last words as one line.
static const char *last_words(run *r, char out[LAST_WORDS + 4]) {
  size_t from = r->n_words > LAST_WORDS ? r->n_words - LAST_WORDS : 0, n = 0;
  for (size_t i = from; i < r->n_words; i++) {
    unsigned char c = (unsigned char)r->words[i];
    if (c <= ' ') {
      if (n && out[n - 1] != ' ') out[n++] = ' ';
    } else if (c != 0x7f) {
      out[n++] = (char)c;
    }
  }
  while (n && (out[n - 1] == ' ' || out[n - 1] == '.')) n--;
  out[n] = '\0';
  return out;
}

// Moves bytes until every pipe has ended.
static nf_status attend(run *r) {
  const process_spec *s = r->spec;
  enum { CHUNK = 1 << 16 };
  char *buffer = nf_alloc(CHUNK);
  const char *pending = NULL;
  size_t n_pending = 0;
  nf_status status = NF_OK;
  for (;;) {
    struct pollfd polls[N_ENDS];
    int n = 0, open_outputs = 0;
    for (int i = 0; i < s->n_outputs; i++) {
      open_outputs += r->ends[i].ours >= 0;
      polls[n++] = (struct pollfd){r->ends[i].ours, POLLIN, 0};  // poll passes over negative descriptors
    }
    polls[n++] = (struct pollfd){r->errors, POLLIN, 0};
    polls[n++] = (struct pollfd){r->input, POLLOUT, 0};
    if (!open_outputs && r->errors < 0) break;
    if (s->opt_cancel && atomic_load(s->opt_cancel)) {
      status = nf_fail(NF_FAILED, "%s: was stopped", s->label);
      break;
    }
    if (poll(polls, (nfds_t)n, TICK_MS) < 0 && errno != EINTR) {
      status = nf_fail(NF_FAILED, "%s: its output cannot be read: %s", s->label, strerror(errno));
      break;
    }
    for (int i = 0; i <= s->n_outputs; i++) {  // the last one is standard error
      if (!(polls[i].revents & (POLLIN | POLLHUP | POLLERR))) continue;
      int *fd = i < s->n_outputs ? &r->ends[i].ours : &r->errors;
      ssize_t got = read(*fd, buffer, CHUNK);
      if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
      if (got <= 0) shut(fd);
      size_t size = got > 0 ? (size_t)got : 0;
      if (i == s->n_outputs) {
        listen(r, buffer, size);
      } else {
        NF_TRY_GOTO(done, s->outputs[i].sink(s->outputs[i].context, buffer, size));
      }
    }
    if (polls[n - 1].revents & (POLLOUT | POLLERR | POLLHUP)) {
      if (!n_pending) NF_TRY_GOTO(done, s->feed(s->feed_context, &pending, &n_pending));
      ssize_t wrote = n_pending ? write(r->input, pending, n_pending) : 0;
      if (wrote > 0) {
        pending += wrote;
        n_pending -= (size_t)wrote;
      } else if (!n_pending || (errno != EINTR && errno != EAGAIN)) {
        shut(&r->input);  // the end; or the child reads no more and will say why
      }
    }
  }
done:
  free(buffer);
  return status;
}

static nf_status judge(run *r, int wait_status) {
  const char *label = r->spec->label;
  char words[LAST_WORDS + 4];
  last_words(r, words);
  const char *colon = *words ? ": " : "";
  if (WIFSIGNALED(wait_status)) {
    int signal_number = WTERMSIG(wait_status);
    const char *hint = signal_number == SIGKILL ? ", perhaps for want of memory" : "";
    return nf_fail(NF_FAILED, "%s: was killed by signal %d (%s)%s%s%s", label, signal_number, strsignal(signal_number),
                   hint, colon, words);
  }
  if (WEXITSTATUS(wait_status) != 0) {
    return nf_fail(NF_FAILED, "%s: failed with exit status %d%s%s", label, WEXITSTATUS(wait_status), colon, words);
  }
  return NF_OK;
}

nf_status process_run(const process_spec *s, process_usage *opt_usage) {
  run r = {.spec = s, .input = -1, .errors = -1, .exec_error = -1};
  for (int i = 0; i < N_ENDS; i++) r.ends[i].ours = r.ends[i].theirs = -1;
  int theirs = -1, null = -1, error = 0, wait_status = 0;
  pid_t pid = -1, parent = getpid();
  double started = nf_seconds();
  nf_status status = NF_OK;
  // A child that ends before it has read all must not end us. Blocked for this thread alone, which takes the signal off
  // again if it came.
  sigset_t pipe_signal, before;
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);

  null = move_up(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (null < 0 || !open_ends(&r) || !make_pipe(&r.exec_error, &theirs) || (pid = start(&r, parent, null, theirs)) < 0) {
    status = nf_fail(NF_FAILED, "%s: cannot be started: %s", s->label, strerror(errno));
    goto done;
  }
  if (s->opt_pid) atomic_store(s->opt_pid, (int)pid);
  shut(&theirs);
  for (int i = 0; i < r.n_ends; i++) shut(&r.ends[i].theirs);
  ssize_t got;
  do {
    got = read(r.exec_error, &error, sizeof error);
  } while (got < 0 && errno == EINTR);
  if (got == (ssize_t)sizeof error) {
    status = nf_fail(NF_FAILED, "%s: %s cannot be run: %s%s%s", s->label, s->argv[0], strerror(error),
                     s->install_hint ? "; " : "", s->install_hint ? s->install_hint : "");
  } else {
    status = attend(&r);
  }
  if (status != NF_OK) kill(pid, SIGKILL);
  struct rusage usage;
  memset(&usage, 0, sizeof usage);
  while (wait4(pid, &wait_status, 0, &usage) < 0 && errno == EINTR) {
  }
  if (s->opt_pid) atomic_store(s->opt_pid, 0);
  if (status == NF_OK) status = judge(&r, wait_status);
  if (opt_usage) *opt_usage = (process_usage){usage.ru_maxrss, nf_seconds() - started};
done:
  shut(&null);
  shut(&theirs);
  shut(&r.exec_error);
  shut(&r.errors);
  shut(&r.input);
  for (int i = 0; i < r.n_ends; i++) {
    shut(&r.ends[i].ours);
    shut(&r.ends[i].theirs);
  }
  struct timespec now = {0, 0};
  while (sigtimedwait(&pipe_signal, NULL, &now) < 0 && errno == EINTR) {
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return status;
}

// ---- processors and progress ----

static bool read_small(const char *path, char *out, size_t size) {
  FILE *f = fopen(path, "re");
  if (!f) return false;
  size_t n = fread(out, 1, size - 1, f);
  out[n] = '\0';
  fclose(f);
  return n > 0;
}

// The share of time a cgroup grants, in processors; 0: no limit known.
static double quota_of(const char *dir) {
  char path[4096], text[128];
  double quota, period;
  snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", dir);
  if (read_small(path, text, sizeof text)) return sscanf(text, "%lf %lf", &quota, &period) == 2 ? quota / period : 0;
  snprintf(path, sizeof path, "/sys/fs/cgroup/cpu%s/cpu.cfs_quota_us", dir);
  if (!read_small(path, text, sizeof text) || sscanf(text, "%lf", &quota) != 1 || quota <= 0) return 0;
  snprintf(path, sizeof path, "/sys/fs/cgroup/cpu%s/cpu.cfs_period_us", dir);
  if (!read_small(path, text, sizeof text) || sscanf(text, "%lf", &period) != 1 || period <= 0) return 0;
  return quota / period;
}

int process_processors(void) {
  cpu_set_t set;
  int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : (int)sysconf(_SC_NPROCESSORS_ONLN);
  // Every cgroup from ours up to the root may set a limit. Lines of /proc/self/cgroup: "0::/a/b", "4:cpu,cpuacct:/a".
  char text[4096], *rest = NULL;
  if (!read_small("/proc/self/cgroup", text, sizeof text)) text[0] = '\0';
  for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
    char *names = strchr(line, ':'), *dir = names ? strchr(names + 1, ':') : NULL;
    if (!dir) continue;
    *dir++ = '\0';
    if (names[1] && !strstr(names + 1, "cpu")) continue;
    for (;;) {
      double quota = quota_of(strcmp(dir, "/") == 0 ? "" : dir);
      if (quota > 0 && quota < n) n = quota < 1 ? 1 : (int)(quota + 0.5);
      char *slash = strrchr(dir, '/');
      if (!slash || !*dir) break;
      *slash = '\0';
    }
  }
  return n < 1 ? 1 : n;
}

long long process_file_position(int pid, const char *path) {
  char dir_path[64], entry_path[320], info[256];
  struct stat wanted, st;
  long long position = -1;
  if (pid <= 0 || stat(path, &wanted) != 0) return -1;
  snprintf(dir_path, sizeof dir_path, "/proc/%d/fd", pid);
  DIR *d = opendir(dir_path);
  if (!d) return -1;
  for (struct dirent *e; position < 0 && (e = readdir(d));) {
    snprintf(entry_path, sizeof entry_path, "%s/%s", dir_path, e->d_name);
    if (e->d_name[0] == '.' || stat(entry_path, &st) != 0) continue;
    if (st.st_dev != wanted.st_dev || st.st_ino != wanted.st_ino) continue;
    snprintf(entry_path, sizeof entry_path, "/proc/%d/fdinfo/%s", pid, e->d_name);
    if (read_small(entry_path, info, sizeof info) && sscanf(info, "pos: %lld", &position) != 1) position = -1;
  }
  closedir(d);
  return position;
}
