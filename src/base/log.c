// Notes, warnings, progress.
#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/map.h"
#include "base/memory.h"

enum { MAX_REMEMBERED = 10000, MAX_DRAWN = 8 };  // warnings; threads with a stage under way

static bool is_quiet;

// Guards what follows, and whole lines on stderr.
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

// What the threads have on the terminal's last line, in the order they came. A thread has one piece at most.
static struct {
  pthread_t thread;
  char text[400];
} drawn[MAX_DRAWN];
static int n_drawn;
static nf_map *given;  // warnings; lives as long as the process

void nf_log_quiet(bool quiet) { is_quiet = quiet; }

// Under the lock.
static int my_piece(void) {
  int i = 0;
  while (i < n_drawn && !pthread_equal(drawn[i].thread, pthread_self())) i++;
  return i;
}

static void remove_my_piece(void) {
  int i = my_piece();
  if (i == n_drawn) return;
  memmove(&drawn[i], &drawn[i + 1], (size_t)(n_drawn - i - 1) * sizeof *drawn);
  n_drawn--;
}

// Draws the last line anew, cut to the terminal's width, for a line that is wrapped could not be drawn over.
static void redraw(void) {
  char line[MAX_DRAWN * (sizeof drawn[0].text + 3)];
  struct winsize size = {0};
  size_t n = 0, width = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1u : 79;
  for (int i = 0; i < n_drawn && n < sizeof line; i++) {
    n += (size_t)snprintf(line + n, sizeof line - n, "%s%s", i ? " | " : "", drawn[i].text);
  }
  if (n >= sizeof line) n = sizeof line - 1;
  fprintf(stderr, "\r\033[K%.*s", (int)(n < width ? n : width), n ? line : "");
}

// Turns that are open, or closed before their time, in their order. The first one's lines come at once.
typedef struct turn {
  int number;
  bool is_closed;
  nf_str lines;
  struct turn *next;
} turn;
static turn *turns;
static int last_turn;
static _Thread_local int my_turn;
static pthread_cond_t turned = PTHREAD_COND_INITIALIZER;

// Lines that wait: of each its kind, its text and a zero.
typedef enum { NOTE = 'n', WARNING = 'w', ERROR = 'e', LINES = 'l' } kind;
static _Thread_local nf_str *my_kept;

static void put_by(nf_str *lines, kind kind, const char *text) {
  nf_str_putc(lines, (char)kind);
  nf_str_append(lines, text, strlen(text) + 1);
}

static void each_line(nf_str *lines, void (*tell)(kind kind, const char *text)) {
  for (const char *line = lines->data, *end = line + lines->length; line < end; line += strlen(line) + 1) {
    tell((kind)*line, line + 1);
  }
  nf_str_free(lines);
}

// Under the lock.
static void print(kind kind, const char *text) {
  bool on_terminal = isatty(STDERR_FILENO);
  if (kind == WARNING) {
    if (!given) given = nf_map_create();
    if (nf_map_size(given) < MAX_REMEMBERED && !nf_map_add(given, text, 0)) return;
  }
  fprintf(stderr, "%s%s%s%s", on_terminal ? "\r\033[K" : "",
          kind == WARNING ? "warning: " : kind == ERROR ? "nativefold: " : "", text, kind == LINES ? "" : "\n");
  if (on_terminal && n_drawn) redraw();
}

// What this thread had on the last line is over: it says more now, or has failed.
static void say(kind kind, const char *text) {
  pthread_mutex_lock(&lock);
  remove_my_piece();
  turn *mine = turns ? turns->next : NULL;  // that must wait
  while (mine && mine->number != my_turn) mine = mine->next;
  if (kind == ERROR || !(my_kept || mine)) print(kind, text);
  else put_by(my_kept ? my_kept : &mine->lines, kind, text);
  pthread_mutex_unlock(&lock);
}

void nf_log_keep(nf_str *kept) { my_kept = kept; }
void nf_log_say(nf_str *kept) { each_line(kept, say); }

int nf_log_open_turn(void) {
  turn *fresh = nf_calloc(1, sizeof *fresh);
  pthread_mutex_lock(&lock);
  fresh->number = ++last_turn;
  turn **end = &turns;
  while (*end) end = &(*end)->next;
  *end = fresh;
  pthread_mutex_unlock(&lock);
  return fresh->number;
}

void nf_log_enter_turn(int turn) { my_turn = turn; }
int nf_log_turn(void) { return my_turn; }

// Under the lock.
static bool must_wait(int number) {
  for (turn *t = turns ? turns->next : NULL; t; t = t->next)
    if (t->number == number) return true;
  return false;
}

void nf_log_await_turn(int turn) {
  pthread_mutex_lock(&lock);
  while (must_wait(turn)) pthread_cond_wait(&turned, &lock);
  pthread_mutex_unlock(&lock);
}

void nf_log_close_turn(int number) {
  pthread_mutex_lock(&lock);
  for (turn *t = turns; t; t = t->next) t->is_closed = t->is_closed || t->number == number;
  while (turns && turns->is_closed) {
    turn *next = turns->next;
    free(turns);
    turns = next;
    if (!next) break;
    each_line(&next->lines, print);
  }
  pthread_cond_broadcast(&turned);
  pthread_mutex_unlock(&lock);
}

void nf_note(const char *format, ...) {
  if (is_quiet) return;
  char text[4096];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  say(NOTE, text);
}

void nf_warn(const char *format, ...) {
  char text[4096];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  say(WARNING, text);
}

void nf_lines(const char *lines) { say(LINES, lines); }
void nf_error(const char *sentence) { say(ERROR, sentence); }

double nf_seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool draws(void) { return !is_quiet && isatty(STDERR_FILENO); }

static void draw(nf_progress *p) {
  double now = nf_seconds(), spent = now - p->started;
  p->drawn = now;
  char left[48] = "";
  if (p->done && p->done < p->total) {
    snprintf(left, sizeof left, ", about %.0f s left", spent / (double)p->done * (double)(p->total - p->done));
  }
  pthread_mutex_lock(&lock);
  int i = my_piece();
  if (i < MAX_DRAWN) {
    drawn[i].thread = pthread_self();
    snprintf(drawn[i].text, sizeof drawn[i].text, "%s  %lld/%lld  %.0f s%s%s%s", p->name, (long long)p->done,
             (long long)p->total, spent, left, p->detail ? ": " : "", p->detail ? p->detail : "");
    if (i == n_drawn) n_drawn++;
    redraw();
  }
  pthread_mutex_unlock(&lock);
}

void nf_progress_start(nf_progress *p, const char *name, int64_t total) {
  *p = (nf_progress){.name = name, .total = total, .started = nf_seconds()};
  if (draws()) draw(p);
}

void nf_progress_step(nf_progress *p, int64_t steps) {
  p->done += steps;
  if (draws() && nf_seconds() - p->drawn > 0.1) draw(p);
}

void nf_progress_end(nf_progress *p) { nf_note("%s: %.1f s", p->name, nf_seconds() - p->started); }
