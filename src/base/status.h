// How a function says that something went wrong.
//
// A user's mistake (a bad file, a job too large) is returned as a status, with one sentence kept for the
// thread that failed: it names file and field and says what to do. A mistake of ours aborts with file and line.
// Only cli/ prints and exits.
#ifndef NF_BASE_STATUS_H
#define NF_BASE_STATUS_H

#include <stdbool.h>
#include <stddef.h>

// The values are the program's exit codes.
typedef enum {
  NF_OK = 0,      // done
  NF_FAILED = 1,  // the job failed: the message says why
  NF_INPUT = 2,   // wrong use or bad input
  NF_MEMORY = 3,  // not enough memory: the message says how much, and which flag helps
} nf_status;

#define NF_CHECKED __attribute__((warn_unused_result))
#define NF_PRINTF(f, a) __attribute__((format(printf, f, a)))

// Sets this thread's message (control characters become '?') and returns `status`. Use: return nf_fail(NF_INPUT, "%s: ...", path);
nf_status nf_fail(nf_status status, const char *format, ...) NF_PRINTF(2, 3);

// Puts "context: " before the message of the failure being passed on, and returns `status`.
nf_status nf_fail_in(nf_status status, const char *format, ...) NF_PRINTF(2, 3);

// The message of this thread's last failure; "" if there was none. Valid until the next failure.
const char *nf_message(void);

// Returns from the calling function if `call` failed.
#define NF_TRY(call)                            \
  do {                                          \
    nf_status nf_try_status = (call);           \
    if (nf_try_status != NF_OK) return nf_try_status; \
  } while (0)

// The same for functions with one clean-up label; `status` is a local nf_status.
#define NF_TRY_GOTO(label, call)      \
  do {                                \
    status = (call);                  \
    if (status != NF_OK) goto label;  \
  } while (0)

// Our own mistakes: prints file, line and condition and aborts. Stays in release builds.
#define NF_ASSERT(condition) \
  ((condition) ? (void)0 : nf_assert_failed(__FILE__, __LINE__, #condition))
_Noreturn void nf_assert_failed(const char *file, int line, const char *condition);

#endif
