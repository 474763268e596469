// Notes, warnings, progress.
#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/map.h"

enum { MAX_REMEMBERED = 10000 };  // warnings

static bool is_quiet;

void nf_log_quiet(bool quiet) { is_quiet = quiet; }

static void say(const char *prefix, const char *format, va_list args) {
  char text[4096];
  vsnprintf(text, sizeof text, format, args);
  fprintf(stderr, "%s%s%s\n", isatty(STDERR_FILENO) ? "\r\033[K" : "", prefix, text);
}

void nf_note(const char *format, ...) {
  if (is_quiet) return;
  va_list args;
  va_start(args, format);
  say("", format, args);
  va_end(args);
}

void nf_warn(const char *format, ...) {
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  static nf_map *given;  // lives as long as the process
  char text[1024];
  va_list args;
  va_start(args, format);
  int length = vsnprintf(text, sizeof text, format, args);
  va_end(args);
  pthread_mutex_lock(&lock);
  if (!given) given = nf_map_create();
  bool is_kept = length < (int)sizeof text && nf_map_size(given) < MAX_REMEMBERED;
  bool is_new = !is_kept || nf_map_add(given, text, 0);
  pthread_mutex_unlock(&lock);
  if (!is_new) return;
  va_start(args, format);
  say("warning: ", format, args);
  va_end(args);
}

double nf_seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool draws(void) { return !is_quiet && isatty(STDERR_FILENO); }

static void draw(nf_progress *p) {
  double now = nf_seconds(), spent = now - p->started;
  p->drawn = now;
  double left = p->done ? spent / (double)p->done * (double)(p->total - p->done) : 0;
  fprintf(stderr, "\r\033[K%s  %lld/%lld  %.0f s", p->name, (long long)p->done, (long long)p->total, spent);
  if (p->done && p->done < p->total) fprintf(stderr, ", about %.0f s left", left);
}

void nf_progress_start(nf_progress *p, const char *name, int64_t total) {
  *p = (nf_progress){.name = name, .total = total, .started = nf_seconds()};
  if (draws()) draw(p);
}

void nf_progress_step(nf_progress *p, int64_t steps) {
  p->done += steps;
  if (draws() && nf_seconds() - p->drawn > 0.1) draw(p);
}

void nf_progress_end(nf_progress *p) {
  if (draws()) fprintf(stderr, "\r\033[K");
  if (!is_quiet) fprintf(stderr, "%s: %.1f s\n", p->name, nf_seconds() - p->started);
}
