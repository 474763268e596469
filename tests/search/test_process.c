// Running programs: bytes both ways, and what is said when one fails.
#include "search/process.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/str.h"
#include "tests/test.h"

static nf_status keep(void *context, const char *bytes, size_t n) {
  nf_str_append(context, bytes, n);
  return NF_OK;
}

static process_spec shell(const char *script, const char **argv) {
  argv[0] = "/bin/sh";
  argv[1] = "-c";
  argv[2] = script;
  argv[3] = NULL;
  return (process_spec){.label = "shell", .argv = argv, .install_hint = "install it"};
}

typedef struct {
  int left;
  char block[1000];
} blocks;

static nf_status feed_blocks(void *context, const char **ret_bytes, size_t *ret_n) {
  blocks *b = context;
  *ret_bytes = b->block;
  *ret_n = b->left-- > 0 ? sizeof b->block : 0;
  return NF_OK;
}

TEST(bytes_go_in_and_out) {
  const char *argv[4];
  nf_str out = {0}, second = {0};
  process_spec spec = shell("cat /dev/fd/5; wc -c; echo side > /dev/fd/4", argv);
  blocks input = {.left = 3000};
  memset(input.block, 'x', sizeof input.block);
  spec.n_outputs = 2;
  spec.outputs[0] = (process_output){1, keep, &out};
  spec.outputs[1] = (process_output){4, keep, &second};
  spec.n_files = 1;
  spec.files[0] = (process_file){5, "a file\n", 7, 0};
  spec.feed = feed_blocks;
  spec.feed_context = &input;
  process_usage usage;
  REQUIRE_OK(process_run(&spec, &usage));
  CHECK_STR(out.data, "a file\n3000000\n");
  CHECK_STR(second.data, "side\n");
  CHECK(usage.peak_kib > 0);
  nf_str_free(&out);
  nf_str_free(&second);
}

TEST(a_program_may_leave_its_input_unread) {
  const char *argv[4];
  process_spec spec = shell("exit 0", argv);
  blocks input = {.left = 3000};
  spec.feed = feed_blocks;
  spec.feed_context = &input;
  CHECK_OK(process_run(&spec, NULL));
}

TEST(failures_are_told_in_the_programs_words) {
  const char *argv[4];
  process_spec spec = shell("echo noise >&2; echo 'Error: no space\n  left on device.' >&2; exit 3", argv);
  CHECK_INT(process_run(&spec, NULL), NF_FAILED);
  CHECK_STR(nf_message(), "shell: failed with exit status 3: noise Error: no space left on device");
  spec = shell("kill -9 $$", argv);
  CHECK_INT(process_run(&spec, NULL), NF_FAILED);
  CHECK_STR(nf_message(), "shell: was killed by signal 9 (Killed), perhaps for want of memory");
  spec = shell("", argv);
  argv[0] = "/nowhere/jackhmmer";
  CHECK_INT(process_run(&spec, NULL), NF_FAILED);
  CHECK_STR(nf_message(), "shell: /nowhere/jackhmmer cannot be run: No such file or directory; install it");
}

TEST(long_last_words_are_cut_at_the_front) {
  const char *argv[4];
  process_spec spec = shell("i=0; while [ $i -lt 5000 ]; do echo word$i >&2; i=$((i+1)); done; exit 1", argv);
  CHECK_INT(process_run(&spec, NULL), NF_FAILED);
  CHECK(strstr(nf_message(), "word4999") != NULL);
  CHECK(strstr(nf_message(), "word1 ") == NULL);
  CHECK(strlen(nf_message()) < 800);
}

static nf_status refuse(void *context, const char *bytes, size_t n) { return nf_fail(NF_FAILED, "that is enough"); }

TEST(a_sink_that_refuses_ends_the_program) {
  const char *argv[4];
  process_spec spec = shell("while :; do echo more; done", argv);
  spec.n_outputs = 1;
  spec.outputs[0] = (process_output){1, refuse, NULL};
  CHECK_INT(process_run(&spec, NULL), NF_FAILED);
  CHECK_STR(nf_message(), "that is enough");
}

TEST(cancelling_ends_the_program) {
  const char *argv[4];
  process_spec spec = shell("sleep 1000", argv);
  _Atomic(int) cancel = 1;
  spec.opt_cancel = &cancel;
  CHECK_INT(process_run(&spec, NULL), NF_FAILED);
  CHECK_STR(nf_message(), "shell: was stopped");
}

TEST(a_child_does_not_outlive_us) {
  int fds[2];
  CHECK(pipe(fds) == 0);
  pid_t pid = fork();
  if (pid == 0) {
    // In between: runs a child that tells its id, and is then killed.
    const char *argv[4];
    char script[64];
    snprintf(script, sizeof script, "echo $$ >&9; exec sleep 1000");
    process_spec spec = shell(script, argv);
    dup2(fds[1], 9);
    if (process_run(&spec, NULL) != NF_OK) _exit(1);
    _exit(0);
  }
  close(fds[1]);
  char text[32] = "";
  ssize_t n = read(fds[0], text, sizeof text - 1);
  CHECK(n > 0);
  int child = atoi(text), wait_status;
  CHECK(child > 0);
  kill(pid, SIGKILL);
  waitpid(pid, &wait_status, 0);
  // The pipe ends when the last of them is gone.
  CHECK_INT(read(fds[0], text, sizeof text), 0);
  close(fds[0]);
}

TEST(processors_are_counted) {
  int n = process_processors();
  CHECK(n >= 1 && n <= sysconf(_SC_NPROCESSORS_ONLN));
}
