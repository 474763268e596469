// See the header.
#include "beside.h"

#include <omp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"

typedef struct item {
  void (*task)(void *context);
  void *context;
  struct item *next;
} item;

struct beside {
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  item *first, **end;  // what waits, and the one under way, which is the first
  int n_items, turn;
  bool is_ending;
};

static void *work(void *context) {
  beside *b = context;
  nf_log_enter_turn(b->turn);
  // Most cores are for what this thread works beside.
  omp_set_num_threads(omp_get_num_procs() > 8 ? omp_get_num_procs() / 4 : 1);
  pthread_mutex_lock(&b->lock);
  for (;;) {
    while (!b->first && !b->is_ending) pthread_cond_wait(&b->changed, &b->lock);
    item *i = b->first;
    if (!i) break;
    pthread_mutex_unlock(&b->lock);
    i->task(i->context);
    pthread_mutex_lock(&b->lock);
    b->first = i->next;
    if (!b->first) b->end = &b->first;
    b->n_items--;
    free(i);
    pthread_cond_broadcast(&b->changed);
  }
  pthread_mutex_unlock(&b->lock);
  return NULL;
}

beside *beside_create(void) {
  beside *b = nf_calloc(1, sizeof *b);
  b->turn = nf_log_turn();
  b->end = &b->first;
  pthread_mutex_init(&b->lock, NULL);
  pthread_cond_init(&b->changed, NULL);
  if (pthread_create(&b->thread, NULL, work, b) == 0) return b;
  pthread_cond_destroy(&b->changed);
  pthread_mutex_destroy(&b->lock);
  free(b);
  return NULL;
}

void beside_do(beside *b, void (*task)(void *context), void *context) {
  if (!b) {
    task(context);
    return;
  }
  item *i = nf_calloc(1, sizeof *i);
  *i = (item){task, context, NULL};
  pthread_mutex_lock(&b->lock);
  *b->end = i;
  b->end = &i->next;
  b->n_items++;
  pthread_cond_broadcast(&b->changed);
  pthread_mutex_unlock(&b->lock);
}

void beside_wait(beside *b, int most) {
  if (!b) return;
  pthread_mutex_lock(&b->lock);
  while (b->n_items > most) pthread_cond_wait(&b->changed, &b->lock);
  pthread_mutex_unlock(&b->lock);
}

void beside_free(beside *b) {
  if (!b) return;
  pthread_mutex_lock(&b->lock);
  b->is_ending = true;
  pthread_cond_broadcast(&b->changed);
  pthread_mutex_unlock(&b->lock);
  pthread_join(b->thread, NULL);
  pthread_cond_destroy(&b->changed);
  pthread_mutex_destroy(&b->lock);
  free(b);
}
