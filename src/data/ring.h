/* data/ring.h: slots that are filled ahead of a consumer, by threads, and handed out in order.
 *
 * A ring delivers the items first, first + 1, ... up to an end, item q in slot q mod slots. Each
 * slot goes through
 *
 *     EMPTY -> LOADING -> READY [-> UPLOADING -> RESIDENT] -> IN_USE -> EMPTY
 *
 * LOADING: `plan` has divided the item into tasks, which any thread of their lane may run, several
 * at a time. READY: all tasks have ended. UPLOADING: `upload` has been started; slots are uploaded
 * one at a time, in order. RESIDENT: the upload is known to have ended. The consumer gets a slot
 * from READY (without upload) or from UPLOADING on; it holds one slot at a time.
 * The contents depend only on what plan and run do for (slot, item, task), never on which thread
 * runs what when. An item whose plan, tasks or upload fail is handed out in its turn with the error
 * of its lowest failing task, whatever the order in which they failed.
 *
 * Nothing is loaded before the first tdm__ring_seek. Create, next, release, seek, destroy belong to
 * the consumer's thread.
 */
#ifndef DATA_RING_H
#define DATA_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* IO: one thread, for what must not run in parallel; DECODE: all the workers. */
typedef enum tdm__ring_lane { TDM__RING_IO, TDM__RING_DECODE, TDM__RING_LANES } tdm__ring_lane;

typedef enum tdm__ring_event {
    TDM__RING_LOAD,     /* an item is about to be planned */
    TDM__RING_READY,    /* all of its tasks have ended */
    TDM__RING_UPLOAD,   /* its upload is about to be started */
    TDM__RING_RESIDENT, /* its upload was found ended */
    TDM__RING_TAKE,     /* the consumer has it */
    TDM__RING_RELEASE   /* and has given it back */
} tdm__ring_event;

/* A task of an item. `thread` is 0..threads-1 (0 alone when there are none), for per-thread state.
 * Tasks are numbered through both lanes in the order in which their errors count. */
typedef struct tdm__ring_task {
    size_t slot;
    uint64_t item;
    tdm__ring_lane lane;
    size_t index; /* in its lane */
    unsigned thread;
} tdm__ring_task;

typedef struct tdm__ring_ops {
    /* Prepares a slot for an item; tasks[lane] is the number of tasks, 0 on entry. Called in order
     * of the items, one at a time, for a slot that nobody else touches. */
    tdm_status (*plan)(void *user, size_t slot, uint64_t item, size_t tasks[TDM__RING_LANES]);
    tdm_status (*run)(void *user, const tdm__ring_task *task);
    /* Where among the item's tasks the error of this one counts; NULL: by lane, then index. */
    uint64_t (*order)(void *user, const tdm__ring_task *task);
    /* Starts an upload, without waiting for its end; NULL: none. Never called for a failed item. */
    tdm_status (*upload)(void *user, size_t slot, uint64_t item);
    bool (*resident)(void *user, size_t slot);
    /* For tests; called outside the ring's lock, on the thread that does it. NULL: none. */
    void (*event)(void *user, tdm__ring_event event, uint64_t item);
} tdm__ring_ops;

typedef struct tdm__ring_spec {
    tdm__ring_ops ops;
    void *user;
    size_t slots;     /* at least 1 */
    unsigned workers; /* DECODE threads */
    bool io;          /* an IO thread; with neither, tdm__ring_next does all the work itself */
} tdm__ring_spec;

typedef struct tdm__ring tdm__ring;

tdm_status tdm__ring_create(const tdm__ring_spec *spec, tdm__ring **out);
/* Waits for running calls of ops, starts no others. */
void tdm__ring_destroy(tdm__ring **ring);
/* Threads that may call run: numbers of tdm__ring_task.thread; at least 1. */
unsigned tdm__ring_threads(const tdm__ring *ring);
/* Delivers first, ..., end - 1 from now on. What is loaded already is kept when `first` is the item
 * that would come next, else dropped. Releases the slot in use. */
void tdm__ring_seek(tdm__ring *ring, uint64_t first, uint64_t end);
/* Waits for the next item, which must be below the end, and hands out its slot; releases the one in
 * use. With an error the item counts as delivered, and no slot is in use. */
tdm_status tdm__ring_next(tdm__ring *ring, size_t *slot);
void tdm__ring_release(tdm__ring *ring);
/* True once destroy or a dropping seek wants running tasks to end early; any thread. */
bool tdm__ring_cancelled(const tdm__ring *ring);
/* Seconds spent inside plan, run and upload, summed over threads. */
double tdm__ring_busy(tdm__ring *ring);

#endif
