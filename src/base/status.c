// The thread's failure message.
#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local char message[2048];

nf_status nf_fail(nf_status status, const char *format, ...) {
  // Formatted aside first: an argument may be the present message itself.
  char text[sizeof message];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  // One line, whatever the names of files and the words of users in it.
  for (char *c = text; *c; c++) {
    if ((unsigned char)*c < ' ' || *c == 0x7f) *c = '?';
  }
  memcpy(message, text, sizeof text);
  return status;
}

nf_status nf_fail_in(nf_status status, const char *format, ...) {
  char context[512];
  va_list args;
  va_start(args, format);
  vsnprintf(context, sizeof context, format, args);
  va_end(args);
  return nf_fail(status, "%s: %s", context, message);
}

const char *nf_message(void) { return message; }

_Noreturn void nf_assert_failed(const char *file, int line, const char *condition) {
  fprintf(stderr, "nativefold: internal error at %s:%d: %s\n", file, line, condition);
  abort();
}
