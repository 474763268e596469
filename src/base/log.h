// What the user sees while the program works: notes, warnings and progress, all on stderr, from any thread.
#ifndef NF_BASE_LOG_H
#define NF_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

// quiet: neither notes nor progress, warnings still. Default: notes; progress only if stderr is a terminal.
void nf_log_quiet(bool quiet);
void nf_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
// A warning that was given before is not repeated: many are met once a seed.
void nf_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

// Whole lines as they are, also where notes are off: a table.
void nf_lines(const char *lines);

// Work that is done ahead of its turn, or ends beside what comes after it, says what it has to say in its turn, so that
// the log is that of one job after another. Lines of a thread that has entered a turn come at once if no turn opened
// before is open, else when those are closed. Threads start outside of all turns (0), where lines come at once.
int nf_log_open_turn(void);  // behind all others
void nf_log_enter_turn(int turn);
int nf_log_turn(void);  // this thread's
void nf_log_await_turn(int turn);  // until all turns before it are closed
void nf_log_close_turn(int turn);  // 0 or a closed one: nothing

// This thread's lines go to the end of *kept, until it is told NULL; and then to the log, as if they came now from this
// thread. What is kept is freed.
void nf_log_keep(nf_str *kept);
void nf_log_say(nf_str *kept);

// What ended the program, as the last line.
void nf_error(const char *sentence);

// A stage with a known number of steps. On a terminal one line is redrawn with the share done and the time
// left; elsewhere one line at the end says how long it took. Stages of several threads share the line; a stage stays
// with its thread.
typedef struct {
  const char *name;
  const char *detail;  // NULL, or what else to show of the state; may be changed before a step
  int64_t total, done;
  double started, drawn;
} nf_progress;
void nf_progress_start(nf_progress *progress, const char *name, int64_t total);
void nf_progress_step(nf_progress *progress, int64_t steps);
void nf_progress_end(nf_progress *progress);

double nf_seconds(void);  // monotonic clock

#endif
