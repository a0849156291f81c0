/* Batches on a real device, both ways of getting there. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "data/upload.h"
#include "format/hdf5.h"
#include "support/cl_fixture.h"

enum { N = 200, SIDE = 32, SAMPLE = SIDE * SIDE, BATCH = 16, EPOCHS = 3 };

static support_cl cl;
static char *folder;
static tdm_split *split;
static uint8_t pixels[N * SAMPLE];
static int64_t labels[N];

static void make_data(void)
{
    tdm__h5_writer *w = NULL;
    size_t set;
    char *path = support_path(folder, "train.h5");
    tdm__h5_spec image = {.name = "images",
                          .elem = tdm__elem_host(TDM__ELEM_UINT, 1),
                          .rank = 2,
                          .dims = {SIDE, SIDE}};
    tdm__h5_spec label = {.name = "labels", .elem = tdm__elem_host(TDM__ELEM_INT, 8)};
    for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)(i * 7 + i / SAMPLE * 13);
    for (int i = 0; i < N; i++) labels[i] = i * 3;
    support_ok(tdm__h5_writer_create(path, &w));
    support_ok(tdm__h5_writer_add(w, &image, &set));
    support_ok(tdm__h5_writer_append(w, set, pixels, N));
    support_ok(tdm__h5_writer_add(w, &label, &set));
    support_ok(tdm__h5_writer_append(w, set, labels, N));
    support_ok(tdm__h5_writer_commit(w));
    tdm__h5_writer_destroy(&w);
    free(path);
}

static void setup(void)
{
    folder = support_temp_create();
    make_data();
    support_ok(tdm_split_open(&(tdm_split_spec){.path = folder}, "train", &split));
    support_cl_open(&cl, NULL);
}

static void teardown(void)
{
    support_cl_close(&cl);
    tdm_split_destroy(&split);
    support_temp_remove(folder);
}

static tdm_loader_spec spec_of(unsigned workers)
{
    return (tdm_loader_spec){
        .split = split, .batch_size = BATCH, .seed = 3, .shuffle = true, .workers = workers};
}

/* A kernel that keeps the device busy for a while, so that the host runs ahead of it. */
#define BUSY_TEXT                                                                                  \
    "kernel void busy(ARG(float, x), const int rounds) {\n"                                        \
    "    VIEW(x);\n"                                                                               \
    "    float v = x[0];\n"                                                                        \
    "    for (int i = 0; i < rounds; i++) v = v * 0.999f + 1.0f;\n"                                \
    "    x[0] = v;\n"                                                                              \
    "}\n"

static void busy_create(tdm__launch *launch, tdm__buffer *cell)
{
    support_cl_file(&cl, "busy.cl", BUSY_TEXT);
    support_ok(tdm__buffer_create(cl.device, 4, true, "test", cell));
    support_ok(tdm__launch_init(cl.device, "busy.cl", "", "busy", launch));
    support_ok(tdm__launch_view(launch, (tdm__view){cell, 0}, 4));
    support_ok(tdm__launch_i32(launch, 1000000));
    support_ok(tdm__launch_range(launch, 1, (size_t[]){1}, (size_t[]){1}));
}

/* What the device received, step after step. */
typedef struct received {
    uint8_t *pixels; /* [steps][BATCH][SAMPLE] */
    int32_t *labels; /* [steps][BATCH] */
} received;

static void check_step(const received *r, size_t step, const uint64_t *rows, uint64_t count)
{
    for (uint64_t k = 0; k < BATCH; k++) {
        const uint8_t *p = r->pixels + (step * BATCH + k) * SAMPLE;
        int32_t label = r->labels[step * BATCH + k];
        if (k < count) {
            ck_assert_mem_eq(p, pixels + rows[k] * SAMPLE, SAMPLE);
            ck_assert_int_eq(label, (int)labels[rows[k]]);
        } else {
            for (int i = 0; i < SAMPLE; i++) ck_assert_uint_eq(p[i], 0);
            ck_assert_int_eq(label, 0);
        }
    }
}

/* The consumer never waits for the device: only the feed's events keep a slot from being filled
 * while a step that is still queued reads it. */
static void run_ahead(unsigned workers, bool shared)
{
    enum { STEPS = EPOCHS * ((N + BATCH - 1) / BATCH) };
    tdm_loader_spec spec = spec_of(workers);
    tdm__feed *feed = NULL;
    tdm__launch busy;
    tdm__buffer cell, images, classes;
    uint64_t(*rows)[BATCH] = calloc(STEPS, sizeof *rows), counts[STEPS];
    received r = {.pixels = malloc((size_t)STEPS * BATCH * SAMPLE),
                  .labels = malloc((size_t)STEPS * BATCH * 4)};
    uint64_t image_bytes = (uint64_t)STEPS * BATCH * SAMPLE, class_bytes = STEPS * BATCH * 4;
    busy_create(&busy, &cell);
    support_ok(tdm__buffer_create(cl.device, image_bytes, true, "test", &images));
    support_ok(tdm__buffer_create(cl.device, class_bytes, true, "test", &classes));
    support_ok(tdm__feed_create_as(cl.device, &spec, shared, &feed));
    size_t step = 0;
    for (uint64_t epoch = 0; epoch < EPOCHS; epoch++) {
        const tdm_batch *b = NULL;
        const tdm__view *views = NULL;
        support_ok(tdm__feed_seek(feed, epoch, 0));
        for (;;) {
            support_ok(tdm__feed_next(feed, &b, &views));
            if (!b) break;
            ck_assert_ptr_null(b->arrays[0].data);
            ck_assert_uint_eq(b->epoch, epoch);
            counts[step] = b->count;
            memcpy(rows[step], b->rows, b->count * sizeof **rows);
            support_ok(tdm__launch_enqueue(cl.device, &busy));
            support_ok(tdm__view_copy(cl.device, views[0],
                                      (tdm__view){&images, step * BATCH * SAMPLE}, BATCH * SAMPLE));
            support_ok(tdm__view_copy(cl.device, views[1], (tdm__view){&classes, step * BATCH * 4},
                                      BATCH * 4));
            if (step % 2) support_ok(tdm__feed_release(feed));
            step++;
        }
        ck_assert_ptr_null(views);
    }
    ck_assert_uint_eq(step, STEPS);
    support_ok(tdm__view_read(cl.device, (tdm__view){&images, 0}, r.pixels, image_bytes));
    support_ok(tdm__view_read(cl.device, (tdm__view){&classes, 0}, r.labels, class_bytes));
    for (size_t i = 0; i < STEPS; i++) check_step(&r, i, rows[i], counts[i]);
    tdm__feed_destroy(&feed);
    tdm__launch_destroy(&busy);
    tdm__buffer_destroy(cl.device, &cell);
    tdm__buffer_destroy(cl.device, &images);
    tdm__buffer_destroy(cl.device, &classes);
    ck_assert_uint_eq(tdm__device_bytes(cl.device), 0);
    free(r.pixels);
    free(r.labels);
    free(rows);
}

START_TEST(a_host_that_runs_ahead_disturbs_nothing)
{
    for (unsigned workers = 0; workers < 3; workers++) {
        run_ahead(workers, true);
        run_ahead(workers, false);
    }
}
END_TEST

/* Batches of two parts, with the images of one and the labels of the other. */
static void run_parts(unsigned workers, bool shared)
{
    static const bool only_images[] = {true, false}, only_labels[] = {false, true};
    const tdm_loader_part parts[] = {{.n = N, .share = 1, .arrays = only_images},
                                     {.n = N, .share = 1, .arrays = only_labels}};
    tdm_loader_spec spec = spec_of(workers);
    tdm__feed *feed = NULL;
    const tdm_batch *b = NULL;
    const tdm__view *views = NULL;
    uint64_t seen[2] = {0};
    static uint8_t got_pixels[BATCH * SAMPLE];
    int32_t got_labels[BATCH];
    spec.parts = parts;
    spec.n_parts = 2;
    spec.draw_parts = true;
    support_ok(tdm__feed_create_as(cl.device, &spec, shared, &feed));
    for (;;) {
        support_ok(tdm__feed_next(feed, &b, &views));
        if (!b) break;
        if (b->part == 0)
            support_ok(tdm__view_read(cl.device, views[0], got_pixels, sizeof got_pixels));
        else
            support_ok(tdm__view_read(cl.device, views[1], got_labels, sizeof got_labels));
        for (uint64_t k = 0; k < b->count; k++)
            if (b->part == 0)
                ck_assert_mem_eq(got_pixels + k * SAMPLE, pixels + b->rows[k] * SAMPLE, SAMPLE);
            else
                ck_assert_int_eq(got_labels[k], (int)labels[b->rows[k]]);
        seen[b->part]++;
    }
    ck_assert(seen[0] > 1 && seen[1] > 1);
    tdm__feed_destroy(&feed);
    ck_assert_uint_eq(tdm__device_bytes(cl.device), 0);
}

START_TEST(parts_send_what_they_carry)
{
    for (unsigned workers = 0; workers < 3; workers++) {
        run_parts(workers, true);
        run_parts(workers, false);
    }
}
END_TEST

START_TEST(a_feed_can_be_dropped_with_work_under_way)
{
    tdm__launch busy;
    tdm__buffer cell, copy;
    busy_create(&busy, &cell);
    support_ok(tdm__buffer_create(cl.device, BATCH * SAMPLE, true, "test", &copy));
    for (int trial = 0; trial < 12; trial++) {
        tdm_loader_spec spec = spec_of((unsigned)trial % 3);
        tdm__feed *feed = NULL;
        const tdm_batch *b = NULL;
        const tdm__view *views = NULL;
        support_ok(tdm__feed_create_as(cl.device, &spec, trial % 2, &feed));
        for (int i = 0; i < trial; i++) {
            support_ok(tdm__feed_next(feed, &b, &views));
            support_ok(tdm__launch_enqueue(cl.device, &busy));
            support_ok(tdm__view_copy(cl.device, views[0], (tdm__view){&copy, 0}, BATCH * SAMPLE));
            if (i == 5) support_ok(tdm__feed_seek(feed, 7, 1));
        }
        tdm__feed_destroy(&feed);
        ck_assert_ptr_null(feed);
    }
    tdm__launch_destroy(&busy);
    tdm__buffer_destroy(cl.device, &cell);
    tdm__buffer_destroy(cl.device, &copy);
    ck_assert_uint_eq(tdm__device_bytes(cl.device), 0);
}
END_TEST

/* Waiting for a busy device is not waiting for data; a device that has run dry is. */
START_TEST(only_a_dry_device_counts_as_waiting)
{
    tdm_loader_spec spec = spec_of(1);
    tdm__feed *feed = NULL;
    tdm__launch busy;
    tdm__buffer cell;
    const tdm_batch *b = NULL;
    const tdm__view *views = NULL;
    tdm_loader_stats first, last;
    spec.continuous = true;
    busy_create(&busy, &cell);
    support_ok(tdm__feed_create(cl.device, &spec, &feed));
    support_ok(tdm__feed_next(feed, &b, &views));
    tdm__feed_stats_get(feed, &first);
    ck_assert(first.wait_seconds > 0); /* nothing was loaded, nothing to do */
    double begin = tdm__now();
    for (int i = 0; i < 30; i++) {
        if (!b) support_ok(tdm__feed_next(feed, &b, &views));
        for (int k = 0; k < 3; k++) support_ok(tdm__launch_enqueue(cl.device, &busy));
        support_ok(tdm__feed_next(feed, &b, &views));
    }
    double seconds = tdm__now() - begin;
    tdm__feed_stats_get(feed, &last);
    ck_assert_msg(last.wait_seconds - first.wait_seconds < 0.5 * seconds, "%g of %g s",
                  last.wait_seconds - first.wait_seconds, seconds);
    ck_assert_uint_ge(last.batches, 30);
    tdm__feed_destroy(&feed);
    tdm__launch_destroy(&busy);
    tdm__buffer_destroy(cl.device, &cell);
}
END_TEST

START_TEST(a_batch_beyond_the_device_is_out_of_memory)
{
    tdm_loader_spec spec = spec_of(1);
    tdm__feed *feed = NULL;
    spec.batch_size = tdm__device_traits(cl.device)->max_allocation / SAMPLE + 1;
    spec.slots = 1;
    spec.arrays = &(tdm_loader_array){.name = "images"};
    spec.n_arrays = 1;
    support_fails(tdm__feed_create(cl.device, &spec, &feed), TDM_ERR_NOMEM, "batch");
    ck_assert_ptr_null(feed);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("upload");
    TCase *tc = tcase_create("upload");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_host_that_runs_ahead_disturbs_nothing);
    tcase_add_test(tc, parts_send_what_they_carry);
    tcase_add_test(tc, a_feed_can_be_dropped_with_work_under_way);
    tcase_add_test(tc, only_a_dry_device_counts_as_waiting);
    tcase_add_test(tc, a_batch_beyond_the_device_is_out_of_memory);
    suite_add_tcase(suite, tc);
    return support_run(suite);
}
