// What the user sees while the program works: notes, warnings and progress, all on stderr, from any thread.
#ifndef NF_BASE_LOG_H
#define NF_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

// quiet: neither notes nor progress, warnings still. Default: notes; progress only if stderr is a terminal.
void nf_log_quiet(bool quiet);
void nf_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
// A warning that was given before is not repeated: many are met once a seed.
void nf_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

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
