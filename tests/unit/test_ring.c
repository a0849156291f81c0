/* The ring alone, with made-up work: order, errors, uploads, seeks, cancelling, overlap. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/rng.h"
#include "base/thread.h"
#include "data/ring.h"
#include "support/event_log.h"
#include "support/support.h"

enum { SLOTS_MAX = 5, TASKS = 3 };

/* What the made-up work does: task t of lane l of item q writes value(q, l, t) into the slot. */
typedef struct bench {
    tdm__ring *ring;
    size_t slots;
    uint64_t cells[SLOTS_MAX][TDM__RING_LANES][TASKS];
    uint64_t uploaded[SLOTS_MAX]; /* item */
    atomic_uint uploads_now, plans_now, io_now;
    uint64_t next_plan, next_upload;
    uint64_t bad_task, bad_plan, bad_upload; /* item; UINT64_MAX: none */
    double delay;                            /* seconds a task takes */
    bool random_delay;
    atomic_uint calls;
    atomic_int broken; /* line of an expectation that failed on another thread */
    event_log log;
} bench;

/* Check's assertions jump: they are for the main thread. bench_destroy looks at the result. */
#define EXPECT(b, condition)                                                                       \
    do {                                                                                           \
        if (!(condition)) atomic_store(&(b)->broken, __LINE__);                                    \
    } while (0)

static uint64_t value(uint64_t item, int lane, uint64_t task)
{
    return item * 1000 + (uint64_t)lane * 100 + task + 1;
}

static void on_event(void *user, tdm__ring_event what, uint64_t item)
{
    bench *b = user;
    event_log_add(&b->log, (int)what, item);
}

static tdm_status on_plan(void *user, size_t slot, uint64_t item, size_t tasks[TDM__RING_LANES])
{
    bench *b = user;
    EXPECT(b, atomic_fetch_add(&b->plans_now, 1) == 0);
    EXPECT(b, slot == item % b->slots);
    EXPECT(b, item == b->next_plan);
    b->next_plan++;
    memset(b->cells[slot], 0, sizeof b->cells[slot]);
    tasks[TDM__RING_IO] = item % 2;
    tasks[TDM__RING_DECODE] = item % 4 == 2 ? 0 : TASKS;
    atomic_fetch_sub(&b->plans_now, 1);
    if (item == b->bad_plan) return tdm__fail(TDM_ERR_DATA, "plan of %d", (int)item);
    return TDM_OK;
}

static tdm_status on_run(void *user, const tdm__ring_task *task)
{
    bench *b = user;
    unsigned call = atomic_fetch_add(&b->calls, 1);
    if (task->lane == TDM__RING_IO) EXPECT(b, atomic_fetch_add(&b->io_now, 1) == 0);
    EXPECT(b, task->thread < tdm__ring_threads(b->ring));
    if (b->delay > 0) {
        uint32_t r[4];
        tdm__philox(1, 2, call, r);
        tdm__sleep(b->random_delay ? b->delay * (r[0] % 100) / 100 : b->delay);
    }
    b->cells[task->slot][task->lane][task->index] = value(task->item, task->lane, task->index);
    if (task->lane == TDM__RING_IO) atomic_fetch_sub(&b->io_now, 1);
    if (task->item == b->bad_task && task->lane == TDM__RING_DECODE && task->index > 0)
        return tdm__fail(TDM_ERR_DATA, "task %d of %d", (int)task->index, (int)task->item);
    return TDM_OK;
}

static tdm_status on_upload(void *user, size_t slot, uint64_t item)
{
    bench *b = user;
    EXPECT(b, atomic_fetch_add(&b->uploads_now, 1) == 0);
    EXPECT(b, item >= b->next_upload);
    b->next_upload = item + 1;
    b->uploaded[slot] = item;
    atomic_fetch_sub(&b->uploads_now, 1);
    if (item == b->bad_upload) return tdm__fail(TDM_ERR_DEVICE, "upload of %d", (int)item);
    return TDM_OK;
}

static bool on_resident(void *user, size_t slot)
{
    bench *b = user;
    return b->uploaded[slot] % 2 == 0;
}

static bench *bench_create(size_t slots, unsigned workers, bool io, bool upload, double delay)
{
    bench *b = calloc(1, sizeof *b);
    b->slots = slots;
    b->bad_task = b->bad_plan = b->bad_upload = UINT64_MAX;
    b->delay = delay;
    event_log_open(&b->log);
    tdm__ring_spec spec = {.ops = {.plan = on_plan, .run = on_run, .event = on_event},
                           .user = b,
                           .slots = slots,
                           .workers = workers,
                           .io = io};
    if (upload) {
        spec.ops.upload = on_upload;
        spec.ops.resident = on_resident;
    }
    support_ok(tdm__ring_create(&spec, &b->ring));
    return b;
}

static void bench_destroy(bench *b)
{
    tdm__ring_destroy(&b->ring);
    ck_assert_msg(!b->broken, "line %d", b->broken);
    event_log_close(&b->log);
    free(b);
}

static void check_slot(const bench *b, size_t slot, uint64_t item)
{
    ck_assert_uint_eq(slot, item % b->slots);
    for (uint64_t t = 0; t < TASKS; t++) {
        ck_assert_uint_eq(b->cells[slot][TDM__RING_IO][t],
                          t < item % 2 ? value(item, TDM__RING_IO, t) : 0);
        ck_assert_uint_eq(b->cells[slot][TDM__RING_DECODE][t],
                          item % 4 == 2 ? 0 : value(item, TDM__RING_DECODE, t));
    }
}

static const unsigned worker_counts[] = {0, 1, 2, 4};

START_TEST(items_come_in_order_and_whole)
{
    for (size_t slots = 1; slots <= SLOTS_MAX; slots++)
        for (size_t w = 0; w < 4; w++)
            for (int upload = 0; upload < 2; upload++) {
                unsigned workers = worker_counts[w];
                bench *b = bench_create(slots, workers, workers > 0, upload, 2e-5);
                b->random_delay = true;
                tdm__ring_seek(b->ring, 0, 40);
                for (uint64_t item = 0; item < 40; item++) {
                    size_t slot = 99;
                    support_ok(tdm__ring_next(b->ring, &slot));
                    check_slot(b, slot, item);
                    if (upload) ck_assert_uint_eq(b->uploaded[slot], item);
                    if (item % 3 == 0) tdm__ring_release(b->ring);
                }
                size_t slot;
                support_fails(tdm__ring_next(b->ring, &slot), TDM_ERR_STATE, "40");
                bench_destroy(b);
            }
}
END_TEST

START_TEST(an_error_comes_in_its_turn_and_the_rest_goes_on)
{
    for (size_t w = 0; w < 4; w++)
        for (int upload = 0; upload < 2; upload++) {
            unsigned workers = worker_counts[w];
            bench *b = bench_create(3, workers, workers > 0, upload, 1e-5);
            b->bad_task = 5;
            b->bad_plan = 8;
            b->bad_upload = 11;
            tdm__ring_seek(b->ring, 0, 20);
            for (uint64_t item = 0; item < 20; item++) {
                size_t slot = 99;
                if (item == 5) {
                    /* of the tasks that fail, the lowest */
                    support_fails(tdm__ring_next(b->ring, &slot), TDM_ERR_DATA, "task 1 of 5");
                } else if (item == 8) {
                    support_fails(tdm__ring_next(b->ring, &slot), TDM_ERR_DATA, "plan of 8");
                } else if (item == 11 && upload) {
                    support_fails(tdm__ring_next(b->ring, &slot), TDM_ERR_DEVICE, "upload of 11");
                } else {
                    support_ok(tdm__ring_next(b->ring, &slot));
                    check_slot(b, slot, item);
                }
            }
            bench_destroy(b);
        }
}
END_TEST

START_TEST(a_seek_drops_what_was_loaded_or_keeps_it)
{
    for (size_t w = 0; w < 4; w++) {
        unsigned workers = worker_counts[w];
        bench *b = bench_create(3, workers, workers > 0, true, 1e-5);
        size_t slot;
        tdm__ring_seek(b->ring, 0, 10);
        support_ok(tdm__ring_next(b->ring, &slot));
        check_slot(b, slot, 0);
        tdm__ring_seek(b->ring, 1, 30); /* the next one: nothing is planned again */
        support_ok(tdm__ring_next(b->ring, &slot));
        check_slot(b, slot, 1);
        /* The planner's own check is of order: from here on it starts at 20. Nothing runs between
         * the two calls of seek that could plan item 20 early: an empty range stops all first. */
        tdm__ring_seek(b->ring, 20, 20);
        b->next_plan = 20;
        b->next_upload = 20;
        tdm__ring_seek(b->ring, 20, 30);
        for (uint64_t item = 20; item < 30; item++) {
            support_ok(tdm__ring_next(b->ring, &slot));
            check_slot(b, slot, item);
        }
        bench_destroy(b);
    }
}
END_TEST

START_TEST(nothing_is_loaded_before_the_first_seek)
{
    bench *b = bench_create(3, 2, true, false, 0);
    tdm__sleep(0.02);
    ck_assert_uint_eq(b->log.n, 0);
    bench_destroy(b);
}
END_TEST

START_TEST(destroying_at_any_moment_neither_hangs_nor_leaks)
{
    for (unsigned trial = 0; trial < 60; trial++) {
        uint32_t r[4];
        tdm__philox(3, 4, trial, r);
        bench *b = bench_create(1 + r[0] % SLOTS_MAX, r[1] % 4, r[1] % 4 > 0, r[2] % 2, 1e-4);
        b->random_delay = true;
        b->bad_task = 3;
        tdm__ring_seek(b->ring, 0, 100);
        for (uint64_t item = 0; item < r[3] % 8; item++) {
            size_t slot;
            (void)tdm__ring_next(b->ring, &slot);
        }
        if (r[2] & 2) tdm__sleep(1e-4 * (r[2] >> 8 & 15));
        bench_destroy(b);
    }
}
END_TEST

START_TEST(destroying_stops_planning)
{
    bench *b = bench_create(3, 2, true, false, 0.01);
    tdm__ring_seek(b->ring, 0, 1000);
    double begin = tdm__now();
    bench_destroy(b);
    ck_assert(tdm__now() - begin < 2);
}
END_TEST

/* By the order of events alone: loading item n + 1 begins before computing item n ends, for every
 * n, and every item goes through its states in order. */
START_TEST(loading_overlaps_with_computing)
{
    enum { ITEMS = 20 };
    for (unsigned workers = 1; workers <= 2; workers++) {
        bench *b = bench_create(3, workers, true, true, 1e-3);
        tdm__ring_seek(b->ring, 0, ITEMS + 1);
        for (uint64_t item = 0; item < ITEMS; item++) {
            size_t slot;
            support_ok(tdm__ring_next(b->ring, &slot));
            ck_assert(event_log_compute(&b->log, item));
            tdm__ring_release(b->ring);
        }
        tdm__mutex_lock(&b->log.lock);
        for (uint64_t item = 0; item < ITEMS; item++) {
            size_t load = event_log_find(&b->log, TDM__RING_LOAD, item),
                   ready = event_log_find(&b->log, TDM__RING_READY, item);
            size_t upload = event_log_find(&b->log, TDM__RING_UPLOAD, item),
                   take = event_log_find(&b->log, TDM__RING_TAKE, item);
            size_t computed = event_log_find(&b->log, EVENT_COMPUTED, item);
            size_t release = event_log_find(&b->log, TDM__RING_RELEASE, item);
            ck_assert_uint_ne(release, SIZE_MAX);
            ck_assert(load < ready && ready < upload && upload < take && take < computed &&
                      computed < release);
            if (item % 2 == 0) ck_assert(event_log_find(&b->log, TDM__RING_RESIDENT, item) < take);
            ck_assert(event_log_find(&b->log, TDM__RING_LOAD, item + 1) < computed);
        }
        tdm__mutex_unlock(&b->log.lock);
        bench_destroy(b);
    }
}
END_TEST

START_TEST(without_threads_only_what_is_needed_is_loaded)
{
    bench *b = bench_create(3, 0, false, false, 0);
    size_t slot;
    tdm__ring_seek(b->ring, 0, 10);
    support_ok(tdm__ring_next(b->ring, &slot));
    ck_assert_uint_eq(b->next_plan, 1);
    bench_destroy(b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ring");
    TCase *tc = tcase_create("ring");
    tcase_add_test(tc, items_come_in_order_and_whole);
    tcase_add_test(tc, an_error_comes_in_its_turn_and_the_rest_goes_on);
    tcase_add_test(tc, a_seek_drops_what_was_loaded_or_keeps_it);
    tcase_add_test(tc, nothing_is_loaded_before_the_first_seek);
    tcase_add_test(tc, destroying_at_any_moment_neither_hangs_nor_leaks);
    tcase_add_test(tc, destroying_stops_planning);
    tcase_add_test(tc, loading_overlaps_with_computing);
    tcase_add_test(tc, without_threads_only_what_is_needed_is_loaded);
    suite_add_tcase(suite, tc);
    return support_run(suite);
}
