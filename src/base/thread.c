/* base/thread.c */
#include "base/thread.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

static tdm_status fail_pthread(int error, const char *what)
{
    errno = error;
    tdm_status status = error == ENOMEM || error == EAGAIN ? TDM_ERR_NOMEM : TDM_ERR_RUNTIME;
    return tdm__fail_errno(status, "cannot create a %s", what);
}

tdm_status tdm__mutex_init(tdm__mutex *m)
{
    int error = pthread_mutex_init(&m->m, NULL);
    m->live = !error;
    return error ? fail_pthread(error, "mutex") : TDM_OK;
}

void tdm__mutex_lock(tdm__mutex *m)
{
    pthread_mutex_lock(&m->m);
}
void tdm__mutex_unlock(tdm__mutex *m)
{
    pthread_mutex_unlock(&m->m);
}

void tdm__mutex_destroy(tdm__mutex *m)
{
    if (m->live) pthread_mutex_destroy(&m->m);
    m->live = false;
}

tdm_status tdm__cond_init(tdm__cond *c)
{
    pthread_condattr_t attr;
    int error = pthread_condattr_init(&attr);
    if (!error) {
        error = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        if (!error) error = pthread_cond_init(&c->c, &attr);
        pthread_condattr_destroy(&attr);
    }
    c->live = !error;
    return error ? fail_pthread(error, "condition variable") : TDM_OK;
}

void tdm__cond_wait(tdm__cond *c, tdm__mutex *m)
{
    pthread_cond_wait(&c->c, &m->m);
}

bool tdm__cond_wait_for(tdm__cond *c, tdm__mutex *m, double seconds)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    if (!(seconds > 0)) seconds = 0;
    until.tv_sec += (time_t)seconds;
    until.tv_nsec += (long)((seconds - (double)(time_t)seconds) * 1e9);
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    return pthread_cond_timedwait(&c->c, &m->m, &until) != ETIMEDOUT;
}

void tdm__cond_signal(tdm__cond *c)
{
    pthread_cond_signal(&c->c);
}
void tdm__cond_broadcast(tdm__cond *c)
{
    pthread_cond_broadcast(&c->c);
}

void tdm__cond_destroy(tdm__cond *c)
{
    if (c->live) pthread_cond_destroy(&c->c);
    c->live = false;
}

tdm_status tdm__thread_start(tdm__thread *t, void *(*run)(void *), void *arg, const char *name)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* the new thread inherits the mask */
    int error = pthread_create(&t->t, NULL, run, arg);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    t->live = !error;
    if (error) return fail_pthread(error, "thread");
    char shown[16]; /* the kernel's limit */
    size_t n = strnlen(name, sizeof shown - 1);
    memcpy(shown, name, n);
    shown[n] = 0;
    pthread_setname_np(t->t, shown);
    return TDM_OK;
}

void tdm__thread_join(tdm__thread *t)
{
    if (t->live) pthread_join(t->t, NULL);
    t->live = false;
}
