/* data/ring.c: the state machine of ring.h.
 *
 * One mutex guards everything below but `cancelled`. Items in the ring are [take, load): `load` is
 * planned next, `take` handed out next; the slot in use holds item take - 1. A thread claims a job
 * (a task, an upload, a plan) under the lock, does it outside, and reports it under the lock.
 * Oldest first: a task of the oldest item, else an upload, else a plan.
 */
#include "data/ring.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"

typedef enum slot_state {
    SLOT_EMPTY,
    SLOT_LOADING,
    SLOT_READY,
    SLOT_UPLOADING,
    SLOT_IN_USE
} slot_state;

typedef struct slot {
    slot_state state;
    bool planned;
    size_t next[TDM__RING_LANES], total[TDM__RING_LANES]; /* tasks claimed, tasks */
    size_t left;                                          /* tasks not yet ended */
    tdm__error error;
    uint64_t error_order; /* of the task that failed */
} slot;

typedef enum job_kind { JOB_NONE, JOB_TASK, JOB_UPLOAD, JOB_PLAN } job_kind;

typedef struct job {
    job_kind kind;
    tdm__ring_task task; /* slot, item and thread for every kind */
} job;

typedef struct worker {
    tdm__ring *ring;
    unsigned index;
    unsigned lanes; /* bit set */
    tdm__thread thread;
} worker;

struct tdm__ring {
    tdm__ring_spec spec;
    tdm__mutex lock;
    tdm__cond work;  /* jobs may have appeared, or stop */
    tdm__cond ready; /* a slot may have become ready, or a job ended */
    slot *slots;
    uint64_t take, load, upload, end;
    bool in_use, planning, uploading, hold, stop;
    unsigned running; /* jobs being done */
    atomic_bool cancelled;
    double busy;
    worker *workers;
    unsigned n_workers;
};

static slot *slot_of(tdm__ring *ring, uint64_t item)
{
    return &ring->slots[item % ring->spec.slots];
}

static void event(tdm__ring *ring, tdm__ring_event what, uint64_t item)
{
    if (ring->spec.ops.event) ring->spec.ops.event(ring->spec.user, what, item);
}

/* ---- jobs ------------------------------------------------------------------------------------ */

static bool claim_task(tdm__ring *ring, unsigned lanes, job *out)
{
    for (uint64_t item = ring->take; item < ring->load; item++) {
        slot *s = slot_of(ring, item);
        if (s->state != SLOT_LOADING || !s->planned) continue;
        for (int lane = 0; lane < TDM__RING_LANES; lane++) {
            if (!(lanes & 1u << lane) || s->next[lane] == s->total[lane]) continue;
            out->kind = JOB_TASK;
            out->task.item = item;
            out->task.lane = (tdm__ring_lane)lane;
            out->task.index = s->next[lane]++;
            return true;
        }
    }
    return false;
}

/* Under the lock. What this thread should do now, already marked as being done. */
static bool claim(tdm__ring *ring, unsigned lanes, job *out)
{
    if (ring->hold || ring->stop) return false;
    if (claim_task(ring, lanes, out)) goto claimed;
    if (ring->spec.ops.upload && !ring->uploading && ring->upload < ring->load &&
        slot_of(ring, ring->upload)->state == SLOT_READY) {
        out->kind = JOB_UPLOAD;
        out->task.item = ring->upload;
        ring->uploading = true;
        goto claimed;
    }
    if (!ring->planning && ring->load < ring->end &&
        slot_of(ring, ring->load)->state == SLOT_EMPTY) {
        out->kind = JOB_PLAN;
        out->task.item = ring->load++;
        ring->planning = true;
        slot_of(ring, out->task.item)->state = SLOT_LOADING;
        goto claimed;
    }
    return false;
claimed:
    out->task.slot = (size_t)(out->task.item % ring->spec.slots);
    ring->running++;
    return true;
}

static tdm_status do_job(tdm__ring *ring, const job *j, size_t tasks[TDM__RING_LANES])
{
    const tdm__ring_ops *ops = &ring->spec.ops;
    switch (j->kind) {
    case JOB_TASK:
        return ops->run(ring->spec.user, &j->task);
    case JOB_UPLOAD:
        event(ring, TDM__RING_UPLOAD, j->task.item);
        return ops->upload(ring->spec.user, j->task.slot, j->task.item);
    case JOB_PLAN:
        event(ring, TDM__RING_LOAD, j->task.item);
        return ops->plan(ring->spec.user, j->task.slot, j->task.item, tasks);
    case JOB_NONE:
        break;
    }
    return TDM_OK;
}

/* Under the lock. The error that counts is the one of lowest order: plan, then tasks, then upload.
 */
static void note_error(tdm__ring *ring, slot *s, const job *j, tdm_status status)
{
    uint64_t order = j->kind == JOB_PLAN ? 0 : UINT64_MAX;
    if (j->kind == JOB_TASK)
        order = ring->spec.ops.order ? ring->spec.ops.order(ring->spec.user, &j->task)
                                     : ((uint64_t)j->task.lane << 32) + j->task.index;
    if (s->error.status != TDM_OK && s->error_order <= order) return;
    tdm__error_take(&s->error, status);
    s->error_order = order;
}

/* Under the lock. */
static void report(tdm__ring *ring, const job *j, tdm_status status,
                   const size_t tasks[TDM__RING_LANES])
{
    slot *s = &ring->slots[j->task.slot];
    if (status != TDM_OK) note_error(ring, s, j, status);
    switch (j->kind) {
    case JOB_TASK:
        s->left--;
        break;
    case JOB_UPLOAD:
        ring->uploading = false;
        ring->upload++;
        s->state = SLOT_UPLOADING;
        return;
    case JOB_PLAN:
        ring->planning = false;
        s->planned = true;
        s->left = 0;
        for (int lane = 0; lane < TDM__RING_LANES && status == TDM_OK; lane++) {
            s->next[lane] = 0;
            s->total[lane] = tasks[lane];
            s->left += tasks[lane];
        }
        break;
    case JOB_NONE:
        return;
    }
    if (s->left) return;
    event(ring, TDM__RING_READY, j->task.item);
    s->state = SLOT_READY;
}

static bool handable(const tdm__ring *ring, const slot *s)
{
    return s->state == SLOT_UPLOADING || (s->state == SLOT_READY && !ring->spec.ops.upload);
}

/* Under the lock, which it gives up meanwhile. A failed item needs no upload: it passes through. */
static void perform(tdm__ring *ring, job *j)
{
    size_t tasks[TDM__RING_LANES] = {0};
    bool skip = j->kind == JOB_UPLOAD && ring->slots[j->task.slot].error.status != TDM_OK;
    tdm__mutex_unlock(&ring->lock);
    double begin = tdm__now();
    tdm_status status = skip ? TDM_OK : do_job(ring, j, tasks);
    double seconds = tdm__now() - begin;
    tdm__mutex_lock(&ring->lock);
    ring->busy += seconds;
    report(ring, j, status, tasks);
    ring->running--;
    tdm__cond_broadcast(&ring->work);
    /* the consumer waits for its next slot, a seek for all jobs to end */
    if (ring->hold || handable(ring, slot_of(ring, ring->take))) tdm__cond_signal(&ring->ready);
}

static void *work(void *arg)
{
    worker *w = arg;
    tdm__ring *ring = w->ring;
    job j = {.task.thread = w->index};
    tdm__mutex_lock(&ring->lock);
    while (!ring->stop) {
        if (claim(ring, w->lanes, &j))
            perform(ring, &j);
        else
            tdm__cond_wait(&ring->work, &ring->lock);
    }
    tdm__mutex_unlock(&ring->lock);
    return NULL;
}

/* ---- the consumer's side --------------------------------------------------------------------- */

/* Under the lock. */
static void empty_slot(slot *s)
{
    tdm__error_clear(&s->error);
    s->state = SLOT_EMPTY;
    s->planned = false;
    s->left = 0;
    for (int lane = 0; lane < TDM__RING_LANES; lane++) s->next[lane] = s->total[lane] = 0;
}

/* Under the lock. */
static void release(tdm__ring *ring)
{
    if (!ring->in_use) return;
    event(ring, TDM__RING_RELEASE, ring->take - 1);
    ring->in_use = false;
    empty_slot(slot_of(ring, ring->take - 1));
    tdm__cond_broadcast(&ring->work);
}

void tdm__ring_release(tdm__ring *ring)
{
    tdm__mutex_lock(&ring->lock);
    release(ring);
    tdm__mutex_unlock(&ring->lock);
}

/* Under the lock, with the slot of item `take` ready to be handed out. */
static tdm_status hand_out(tdm__ring *ring, size_t *out)
{
    slot *s = slot_of(ring, ring->take);
    uint64_t item = ring->take++;
    if (s->error.status != TDM_OK) {
        tdm_status status = tdm__error_give(&s->error);
        empty_slot(s);
        tdm__cond_broadcast(&ring->work);
        return status;
    }
    *out = (size_t)(item % ring->spec.slots);
    if (s->state == SLOT_UPLOADING && ring->spec.ops.resident &&
        ring->spec.ops.resident(ring->spec.user, *out))
        event(ring, TDM__RING_RESIDENT, item);
    event(ring, TDM__RING_TAKE, item);
    s->state = SLOT_IN_USE;
    ring->in_use = true;
    return TDM_OK;
}

tdm_status tdm__ring_next(tdm__ring *ring, size_t *out)
{
    tdm_status status = TDM_OK;
    job j = {.task.thread = 0};
    tdm__mutex_lock(&ring->lock);
    release(ring);
    while (ring->take < ring->end && !handable(ring, slot_of(ring, ring->take))) {
        if (ring->n_workers)
            tdm__cond_wait(&ring->ready, &ring->lock);
        else if (claim(ring, ~0u, &j))
            perform(ring, &j);
    }
    if (ring->take < ring->end)
        status = hand_out(ring, out);
    else
        status = tdm__fail(TDM_ERR_STATE, "the ring has no item beyond %llu",
                           (unsigned long long)ring->end);
    tdm__mutex_unlock(&ring->lock);
    return status;
}

void tdm__ring_seek(tdm__ring *ring, uint64_t first, uint64_t end)
{
    tdm__mutex_lock(&ring->lock);
    release(ring);
    if (first != ring->take || end < ring->load) {
        ring->hold = true;
        atomic_store(&ring->cancelled, true);
        while (ring->running) tdm__cond_wait(&ring->ready, &ring->lock);
        for (size_t i = 0; i < ring->spec.slots; i++) empty_slot(&ring->slots[i]);
        ring->take = ring->load = ring->upload = first;
        atomic_store(&ring->cancelled, false);
        ring->hold = false;
    }
    ring->end = end;
    tdm__cond_broadcast(&ring->work);
    tdm__mutex_unlock(&ring->lock);
}

bool tdm__ring_cancelled(const tdm__ring *ring)
{
    return atomic_load(&ring->cancelled);
}

double tdm__ring_busy(tdm__ring *ring)
{
    tdm__mutex_lock(&ring->lock);
    double busy = ring->busy;
    tdm__mutex_unlock(&ring->lock);
    return busy;
}

unsigned tdm__ring_threads(const tdm__ring *ring)
{
    return ring->n_workers ? ring->n_workers : 1;
}

/* ---- life ------------------------------------------------------------------------------------ */

tdm_status tdm__ring_create(const tdm__ring_spec *spec, tdm__ring **out)
{
    tdm_status status = TDM_OK;
    tdm__ring *ring = NULL;
    *out = NULL;
    TDM_TRY(tdm__calloc_try(1, sizeof *ring, &ring));
    ring->spec = *spec;
    atomic_init(&ring->cancelled, false);
    TDM_TRY(tdm__mutex_init(&ring->lock));
    TDM_TRY(tdm__cond_init(&ring->work));
    TDM_TRY(tdm__cond_init(&ring->ready));
    TDM_TRY(tdm__calloc_try(spec->slots, sizeof *ring->slots, &ring->slots));
    unsigned threads = spec->workers + (spec->io ? 1 : 0);
    TDM_TRY(tdm__calloc_try(threads, sizeof *ring->workers, &ring->workers));
    /* counted before the first starts: threads read it */
    ring->n_workers = threads;
    for (unsigned i = 0; i < threads; i++) {
        bool io = i == spec->workers;
        ring->workers[i] = (worker){.ring = ring, .index = i};
        ring->workers[i].lanes = io ? 1u << TDM__RING_IO : 1u << TDM__RING_DECODE;
        TDM_TRY(tdm__thread_start(&ring->workers[i].thread, work, &ring->workers[i],
                                  io ? "tandem-io" : "tandem-decode"));
    }
    *out = ring;
    ring = NULL;
done:
    tdm__ring_destroy(&ring);
    return status;
}

void tdm__ring_destroy(tdm__ring **handle)
{
    tdm__ring *ring = *handle;
    if (!ring) return;
    atomic_store(&ring->cancelled, true);
    if (ring->ready.live) {
        tdm__mutex_lock(&ring->lock);
        ring->stop = true;
        tdm__cond_broadcast(&ring->work);
        tdm__mutex_unlock(&ring->lock);
    }
    for (unsigned i = 0; ring->workers && i < ring->n_workers; i++)
        tdm__thread_join(&ring->workers[i].thread);
    for (size_t i = 0; ring->slots && i < ring->spec.slots; i++)
        tdm__error_clear(&ring->slots[i].error);
    free(ring->workers);
    free(ring->slots);
    tdm__cond_destroy(&ring->ready);
    tdm__cond_destroy(&ring->work);
    tdm__mutex_destroy(&ring->lock);
    free(ring);
    *handle = NULL; /* last: until they are joined, threads may reach the ring through it */
}
