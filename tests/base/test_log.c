// What a terminal shows of notes and progress of several threads; and what a pipe gets.
#include "base/log.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/test.h"

static pthread_barrier_t barrier;

static void *other_stage(void *context) {
  nf_progress p;
  nf_progress_start(&p, "search", 100);
  p.drawn = 0;
  nf_progress_step(&p, 25);
  pthread_barrier_wait(&barrier);
  pthread_barrier_wait(&barrier);
  nf_progress_end(&p);
  return NULL;
}

static void two_stages(void) {
  nf_progress p;
  pthread_t thread;
  pthread_barrier_init(&barrier, NULL, 2);
  nf_progress_start(&p, "trunk", 8);
  p.drawn = 0;
  nf_progress_step(&p, 2);
  pthread_create(&thread, NULL, other_stage, NULL);
  pthread_barrier_wait(&barrier);
  nf_warn("a stage failed");
  nf_warn("a stage failed");
  pthread_barrier_wait(&barrier);
  pthread_join(thread, NULL);
  nf_error("the end");
}

// Runs two_stages in a child whose standard error is `fd`, and collects what the other end gets.
static void collect(int fd, int other, char *out, size_t size) {
  pid_t pid = fork();
  if (pid == 0) {
    dup2(fd, STDERR_FILENO);
    two_stages();
    _exit(0);
  }
  close(fd);
  size_t n = 0;
  for (ssize_t got; n + 1 < size && (got = read(other, out + n, size - 1 - n)) > 0;) n += (size_t)got;
  out[n] = '\0';
  waitpid(pid, NULL, 0);
  close(other);
}

TEST(two_threads_share_the_last_line_of_a_terminal) {
  int master = posix_openpt(O_RDWR | O_NOCTTY);
  if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0) SKIP("there is no pseudo-terminal");
  int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
  struct winsize window = {.ws_col = 61, .ws_row = 20};
  CHECK_INT(ioctl(slave, TIOCSWINSZ, &window), 0);
  char out[8192];
  collect(slave, master, out, sizeof out);
  CHECK(strstr(out, "\r\033[Ktrunk  2/8  0 s, about 0 s left") != NULL);
  // Both, cut to 60 columns.
  CHECK(strstr(out, "\r\033[Ktrunk  2/8  0 s, about 0 s left | search  25/100  0 s, about\r") != NULL);
  // A warning comes on a line of its own, once; the stage of its thread is over, the other stays.
  CHECK(strstr(out, "\r\033[Kwarning: a stage failed\r\n\r\033[Ksearch  25/100  0 s, about 0 s left\r\033[K") != NULL);
  CHECK(strstr(strstr(out, "a stage failed") + 1, "a stage failed") == NULL);
  const char *end = "\r\033[Ksearch: 0.0 s\r\n\r\033[Knativefold: the end\r\n";
  CHECK(strlen(out) > strlen(end));
  CHECK_STR(out + strlen(out) - strlen(end), end);
}

TEST(a_pipe_gets_no_progress) {
  int fds[2];
  CHECK_INT(pipe(fds), 0);
  char out[8192];
  collect(fds[1], fds[0], out, sizeof out);
  CHECK_STR(out, "warning: a stage failed\nsearch: 0.0 s\nnativefold: the end\n");
}

// ---- Turns

static void *second_job(void *context) {
  nf_log_enter_turn(*(int *)context);
  nf_note("second: begun");
  nf_warn("both say this");
  return NULL;
}

static void *features(void *context) {
  nf_log_keep(context);
  nf_note("features: made ahead");
  return NULL;
}

static void two_jobs(void) {
  pthread_t thread;
  nf_str said = {0};
  int first = nf_log_open_turn(), second = nf_log_open_turn();
  pthread_create(&thread, NULL, features, &said);
  pthread_join(thread, NULL);
  pthread_create(&thread, NULL, second_job, &second);
  pthread_join(thread, NULL);
  nf_note("of no turn");
  nf_log_enter_turn(first);
  nf_log_await_turn(first);
  nf_note("first: done");
  nf_lines("a table\nof two lines\n");
  nf_warn("both say this");
  nf_log_enter_turn(second);
  nf_note("second: goes on");
  nf_log_say(&said);
  nf_log_close_turn(first);
  nf_log_await_turn(second);
  nf_note("second: done");
  nf_log_close_turn(second);
  nf_log_close_turn(second);
  nf_note("the end");
}

TEST(lines_come_in_the_order_of_turns) {
  int fds[2];
  CHECK_INT(pipe(fds), 0);
  pid_t pid = fork();
  if (pid == 0) {
    dup2(fds[1], STDERR_FILENO);
    two_jobs();
    _exit(0);
  }
  close(fds[1]);
  char out[4096];
  size_t n = 0;
  for (ssize_t got; n + 1 < sizeof out && (got = read(fds[0], out + n, sizeof out - 1 - n)) > 0;) n += (size_t)got;
  out[n] = '\0';
  waitpid(pid, NULL, 0);
  close(fds[0]);
  CHECK_STR(out,
            "of no turn\nfirst: done\na table\nof two lines\nwarning: both say this\nsecond: begun\nsecond: goes on\n"
            "features: made ahead\nsecond: done\nthe end\n");
}
