/* base/thread.h: pthread wrappers whose failures are statuses. */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>

#include "base/error.h"

typedef struct tdm__mutex { pthread_mutex_t m; bool live; } tdm__mutex;
typedef struct tdm__cond { pthread_cond_t c; bool live; } tdm__cond;
typedef struct tdm__thread { pthread_t t; bool live; } tdm__thread;

tdm_status tdm__mutex_init(tdm__mutex *m);
void tdm__mutex_lock(tdm__mutex *m);
void tdm__mutex_unlock(tdm__mutex *m);
void tdm__mutex_destroy(tdm__mutex *m); /* safe on a zeroed struct */
tdm_status tdm__cond_init(tdm__cond *c); /* monotonic clock */
void tdm__cond_wait(tdm__cond *c, tdm__mutex *m);
/* false on time-out */
bool tdm__cond_wait_for(tdm__cond *c, tdm__mutex *m, double seconds);
void tdm__cond_signal(tdm__cond *c);
void tdm__cond_broadcast(tdm__cond *c);
void tdm__cond_destroy(tdm__cond *c);
/* All signals are blocked in the new thread: signal handlers run on the main thread. */
tdm_status tdm__thread_start(tdm__thread *t, void *(*run)(void *), void *arg, const char *name);
void tdm__thread_join(tdm__thread *t); /* safe on a zeroed struct */

#endif
