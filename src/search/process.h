// Running another program: the one door to HMMER.
//
// The child reads files that exist in memory alone and writes into pipes, so that nothing is left on disk. It dies with
// us, whatever kills us.
#ifndef NF_SEARCH_PROCESS_H
#define NF_SEARCH_PROCESS_H

#include <stdatomic.h>
#include <stddef.h>

#include "base/status.h"

// Takes the next bytes of a pipe; n is 0 once, at the end. A failure ends the child.
typedef nf_status (*process_sink)(void *context, const char *bytes, size_t n);
// Gives the next bytes for the child's standard input, valid until the next call; *ret_n 0 at the end.
typedef nf_status (*process_feed)(void *context, const char **ret_bytes, size_t *ret_n);

typedef struct {
  int fd;  // as the child sees it: 1, or 3 to 9 for "/dev/fd/3" among its arguments
  process_sink sink;
  void *context;
} process_output;

typedef struct {
  int fd;  // 3 to 9
  const char *data;
  size_t size;
  int source;  // not 0: a descriptor of ours to be read from its start, in place of data
} process_file;

enum { PROCESS_MAX_OUTPUTS = 2, PROCESS_MAX_FILES = 2 };

typedef struct {
  const char *label;              // for messages: "jackhmmer on uniref90.fa"
  const char *const *argv;        // NULL-ended; argv[0] is the path, without a slash it is looked for in $PATH
  const char *install_hint;       // what to do if it is missing
  process_feed feed;              // NULL: nothing on standard input
  void *feed_context;
  int n_outputs;                  // standard output is thrown away unless it is among them
  process_output outputs[PROCESS_MAX_OUTPUTS];
  int n_files;
  process_file files[PROCESS_MAX_FILES];
  _Atomic(int) *opt_pid;          // the child's id while it runs, else 0
  const _Atomic(int) *opt_cancel; // not 0: end the child and fail
} process_spec;

typedef struct {
  long peak_kib;  // the child's resident memory at its highest
  double seconds;
} process_usage;

// Runs the program to its end. Where it is missing, fails, or is killed, the message has its label and its last words.
NF_CHECKED nf_status process_run(const process_spec *spec, process_usage *opt_usage);

// An empty file that exists in memory alone; -1 if there can be none (errno says why).
int process_memory_file(void);

// How many processors this process may use: affinity and cgroup quota, at least 1.
int process_processors(void);

// Where in the file at `path` the process stands that has it open, in bytes; -1 if it cannot be told.
long long process_file_position(int pid, const char *path);

#endif
