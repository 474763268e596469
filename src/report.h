// What a job was expected to take, how it was run, and what it took.
#ifndef NF_REPORT_H
#define NF_REPORT_H

#include <stdio.h>

#include "base/status.h"
#include "nativefold.h"

enum { REPORT_FEATURES, REPORT_TRUNK, REPORT_DIFFUSION, REPORT_CONFIDENCE, REPORT_N_STAGES };
typedef struct {
  double seconds[REPORT_N_STAGES], started;          // summed over seeds
  double cpu_seconds[REPORT_N_STAGES], cpu_started;  // of all threads: tells of a machine that others use too
  double network_seconds, idle_seconds;  // in the network's calls; between them, from the thread's call before on
  double begun;                          // the job
  int stage;
  bool has_forecast;
  nativefold_forecast forecast;  // of the first seed that was run
} report;

void report_begin(report *r, int stage);
void report_end(report *r);  // of the stage begun last
// Around every call of the network. Between two of them the device has nothing to do.
void report_begin_network(report *r);
void report_end_network(report *r);
static inline bool report_has_forecast(const report *r) { return r->has_forecast; }
void report_forecast(report *r, const nativefold_forecast *forecast);

// A few lines for people: tokens, peaks by stage, time, and which limit binds.
void report_print_forecast(FILE *out, const nativefold_forecast *forecast, const char *device);
// Appends one line, a JSON object. dir may be NULL.
NF_CHECKED nf_status report_write(const report *r, const char *path, const char *name, const char *dir, const char *device,
                                  int n_samples);

#endif
