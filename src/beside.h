// A thread that does what it is handed, one thing after another, beside whoever hands it over.
#ifndef NF_BESIDE_H
#define NF_BESIDE_H

typedef struct beside beside;

// The thread's lines belong to the caller's turn of the log. NULL if the system gives no thread.
beside *beside_create(void);
// Does the task after those handed over before; at once where b is NULL.
void beside_do(beside *b, void (*task)(void *context), void *context);
// Until no more than `most` tasks wait or are under way; NULL is fine.
void beside_wait(beside *b, int most);
void beside_free(beside *b);  // once all is done; NULL is fine

#endif
