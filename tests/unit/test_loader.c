/* The loader on real HDF5 files of every layout: every batch is checked against the formula that
 * made the files, so that all layouts, worker counts and modes give the same bytes. */
#include <fcntl.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "data/loader.h"
#include "format/hdf5.h"
#include "support/event_log.h"
#include "support/loader_fixture.h"

static const unsigned worker_counts[] = {0, 1, 4};

START_TEST(every_layout_mode_and_worker_count_gives_the_same_bytes)
{
    for (support_layout l = 0; l < LAYOUTS; l++) {
        support_set x = support_set_open(150, l, &support_no_flaw);
        for (size_t w = 0; w < 3; w++)
            for (int mode = 0; mode < 3; mode++) {
                tdm_loader_spec spec = support_loader_spec(&x, worker_counts[w]);
                spec.in_memory = mode == 1;
                spec.continuous = mode == 2;
                spec.slots = mode == 2 ? 1 : 4;
                tdm_loader *loader = support_loader(&spec);
                for (uint64_t epoch = 0; epoch < 3; epoch++)
                    support_check_epoch(&spec, loader, epoch, 0);
                tdm_loader_destroy(&loader);
            }
        support_set_close(&x);
    }
}
END_TEST

/* Samples of 64 KiB and more, so that a batch is divided among the workers. */
START_TEST(a_batch_divided_among_workers_is_the_same)
{
    enum { N = 24, SIDE = 256 };
    char *folder = support_temp_create(), *path = support_path(folder, "big.h5");
    uint8_t *pixels = malloc((size_t)N * SIDE * SIDE);
    tdm__h5_writer *w = NULL;
    size_t set;
    tdm__h5_spec image = {.name = "images",
                          .elem = tdm__elem_host(TDM__ELEM_UINT, 1),
                          .rank = 2,
                          .dims = {SIDE, SIDE},
                          .deflate = 1};
    for (size_t i = 0; i < (size_t)N * SIDE * SIDE; i++)
        pixels[i] = (uint8_t)(i / SIDE + i / (SIDE * SIDE) * 31 + (i & 3));
    support_ok(tdm__h5_writer_create(path, &w));
    support_ok(tdm__h5_writer_add(w, &image, &set));
    support_ok(tdm__h5_writer_append(w, set, pixels, N));
    support_ok(tdm__h5_writer_commit(w));
    tdm__h5_writer_destroy(&w);
    tdm_split *split = NULL;
    support_ok(tdm_split_open(&(tdm_split_spec){.path = path}, "train", &split));
    for (unsigned workers = 0; workers < 6; workers++) {
        tdm_loader_spec spec = {
            .split = split, .batch_size = 10, .shuffle = true, .workers = workers};
        tdm_loader *loader = support_loader(&spec);
        const tdm_batch *b = NULL;
        uint64_t seen = 0;
        while (tdm_loader_next(loader, &b) == TDM_OK && b)
            for (uint64_t i = 0; i < b->count; i++, seen++)
                ck_assert_mem_eq((const uint8_t *)b->arrays[0].data + i * SIDE * SIDE,
                                 pixels + b->rows[i] * SIDE * SIDE, SIDE * SIDE);
        ck_assert_uint_eq(seen, N);
        tdm_loader_destroy(&loader);
    }
    tdm_split_destroy(&split);
    free(pixels);
    free(path);
    support_temp_remove(folder);
}
END_TEST

START_TEST(seeking_resumes_exactly)
{
    support_set x = support_set_open(100, STORED, &support_no_flaw);
    for (size_t w = 0; w < 3; w++)
        for (int continuous = 0; continuous < 2; continuous++) {
            tdm_loader_spec spec = support_loader_spec(&x, worker_counts[w]);
            const tdm_batch *b = NULL;
            spec.continuous = continuous;
            tdm_loader *loader = support_loader(&spec);
            support_ok(tdm_loader_seek(loader, 4, 3));
            support_check_epoch(&spec, loader, 4, 3);
            support_check_epoch(&spec, loader, 5, 0);
            support_ok(tdm_loader_next(loader, &b)); /* leaves epoch 6 in its middle */
            support_check_batch(&spec, b, 6, 0);
            support_ok(tdm_loader_epoch(loader, 2));
            support_check_epoch(&spec, loader, 2, 0);
            support_ok(tdm_loader_epoch(loader, 2)); /* again */
            support_check_epoch(&spec, loader, 2, 0);
            support_ok(tdm_loader_seek(loader, 1, tdm_loader_steps(loader)));
            support_check_epoch(&spec, loader, 1, tdm_loader_steps(loader));
            support_check_epoch(&spec, loader, 2, 0);
            support_fails(tdm_loader_seek(loader, 0, tdm_loader_steps(loader) + 1), TDM_ERR_USAGE,
                          "steps");
            support_fails(tdm_loader_seek(loader, UINT64_MAX / 4, 0), TDM_ERR_USAGE, "too large");
            tdm_loader_destroy(&loader);
        }
    support_set_close(&x);
}
END_TEST

START_TEST(a_short_last_batch_is_padded_with_zeros_or_dropped)
{
    support_set x = support_set_open(37, STORED, &support_no_flaw);
    for (size_t w = 0; w < 3; w++) {
        tdm_loader_spec spec = support_loader_spec(&x, worker_counts[w]);
        const tdm_batch *b = NULL;
        spec.slots = 1; /* the slot has held a full batch before */
        tdm_loader *loader = support_loader(&spec);
        ck_assert_uint_eq(tdm_loader_steps(loader), 3);
        ck_assert_uint_eq(tdm_loader_samples(loader), 37);
        for (int i = 0; i < 3; i++) support_ok(tdm_loader_next(loader, &b));
        support_check_batch(&spec, b, 0, 2);
        ck_assert_uint_eq(b->count, 5);
        for (size_t a = 0; a < 3; a++)
            for (size_t i = 5 * b->arrays[a].sample_bytes; i < 16 * b->arrays[a].sample_bytes; i++)
                ck_assert_uint_eq(((const uint8_t *)b->arrays[a].data)[i], 0);
        tdm_loader_destroy(&loader);
        spec.drop_last = true;
        loader = support_loader(&spec);
        ck_assert_uint_eq(tdm_loader_samples(loader), 32);
        support_check_epoch(&spec, loader, 0, 0);
        tdm_loader_destroy(&loader);
        spec.batch_size = 38;
        support_fails(tdm_loader_create(&spec, &loader), TDM_ERR_DATA, "no batch of 38");
        spec.batch_size = 0;
        support_fails(tdm_loader_create(&spec, &loader), TDM_ERR_USAGE, "batch_size");
    }
    support_set_close(&x);
}
END_TEST

START_TEST(arrays_are_described)
{
    support_set x = support_set_open(20, STORED, &support_no_flaw);
    tdm_loader_spec spec = {.split = x.split, .batch_size = 8};
    tdm_loader *loader = support_loader(&spec);
    size_t n = 0;
    const tdm_batch_array *a = tdm_loader_arrays(loader, &n);
    ck_assert_uint_eq(n, 3); /* every array, in the order of the names */
    ck_assert_str_eq(a[0].name, "depth");
    ck_assert_str_eq(a[1].name, "images");
    ck_assert_str_eq(a[2].name, "labels");
    ck_assert(a[0].dtype == TDM_F32 && a[1].dtype == TDM_U8 && a[2].dtype == TDM_I32);
    ck_assert(a[0].kind == TDM_ARRAY_DEPTH && a[1].kind == TDM_ARRAY_IMAGE &&
              a[2].kind == TDM_ARRAY_CLASS);
    ck_assert_int_eq(a[1].rank, 4);
    ck_assert(a[1].dims[0] == 8 && a[1].dims[1] == H && a[1].dims[2] == W && a[1].dims[3] == C);
    ck_assert_int_eq(a[2].rank, 1);
    ck_assert_uint_eq(a[0].sample_bytes, PIXELS * 4);
    tdm_loader_destroy(&loader);
    spec.arrays = &(tdm_loader_array){.name = "imagse"};
    spec.n_arrays = 1;
    support_fails(tdm_loader_create(&spec, &loader), TDM_ERR_DATA, "images");
    support_set_close(&x);
}
END_TEST

/* A bad sample fails its own batch, in order, with file, array, sample and value. */
START_TEST(a_bad_sample_fails_its_batch_alone)
{
    static const support_flaw flaws[] = {{70, UINT64_MAX, 10}, {70, UINT64_MAX, -1}, {70, 71, 10}};
    static const char *const says[] = {"value 10", "value -1", "value 10"};
    for (support_layout l = 0; l < LAYOUTS; l++)
        for (size_t f = 0; f < 3; f++) {
            support_set x = support_set_open(150, l, &flaws[f]);
            tdm_loader_array arrays[3];
            memcpy(arrays, support_three, sizeof arrays);
            arrays[1].check = true;
            arrays[1].max = CLASSES - 1;
            arrays[2].check = true;
            arrays[2].max = 1000;
            for (size_t w = 0; w < 3; w++) {
                tdm_loader_spec spec = support_loader_spec(&x, worker_counts[w]);
                const tdm_batch *b = NULL;
                spec.arrays = arrays;
                spec.shuffle = false;
                tdm_loader *loader = support_loader(&spec);
                for (uint64_t step = 0; step < tdm_loader_steps(loader); step++) {
                    if (step == 70 / 16) {
                        support_fails(tdm_loader_next(loader, &b), TDM_ERR_DATA, says[f]);
                        support_message_has("train");
                        support_message_has("labels");
                        support_message_has("row 70");
                        ck_assert_ptr_null(b);
                    } else {
                        support_ok(tdm_loader_next(loader, &b));
                        support_check_batch(&spec, b, 0, step);
                    }
                }
                support_ok(tdm_loader_next(loader, &b));
                ck_assert_ptr_null(b);
                tdm_loader_destroy(&loader);
                spec.in_memory = true;
                support_fails(tdm_loader_create(&spec, &loader), TDM_ERR_DATA, "row 70");
            }
            support_set_close(&x);
        }
}
END_TEST

START_TEST(a_range_may_name_a_value_to_ignore_and_refuses_nan)
{
    support_flaw f = {3, UINT64_MAX, 9};
    support_set x = support_set_open(16, STORED, &f);
    tdm_loader_spec spec = support_loader_spec(&x, 0);
    tdm_loader_array labels = {.name = "labels", .check = true, .min = 0, .max = 8.5};
    const tdm_batch *b = NULL;
    spec.arrays = &labels;
    spec.n_arrays = 1;
    tdm_loader *loader = support_loader(&spec);
    support_fails(tdm_loader_next(loader, &b), TDM_ERR_DATA, "must be in [0, 8.5]");
    tdm_loader_destroy(&loader);
    labels.has_ignore = true;
    labels.ignore = 9;
    loader = support_loader(&spec);
    support_ok(tdm_loader_next(loader, &b));
    tdm_loader_destroy(&loader);
    support_set_close(&x);

    f = (support_flaw){UINT64_MAX, 5, 0};
    x = support_set_open(16, STORED, &f);
    tdm_loader_array depth = {.name = "depth", .check = true, .min = -1e30, .max = 1e30};
    spec = support_loader_spec(&x, 0);
    spec.arrays = &depth;
    spec.n_arrays = 1;
    loader = support_loader(&spec);
    support_fails(tdm_loader_next(loader, &b), TDM_ERR_DATA, "nan");
    support_message_has("row 5");
    tdm_loader_destroy(&loader);
    support_set_close(&x);
}
END_TEST

/* Bytes of the one chunk of `images` are overwritten after the file was opened. */
START_TEST(a_damaged_chunk_is_an_error_and_no_crash)
{
    support_set x = support_set_open(100, DEFLATED, &support_no_flaw);
    tdm_split_destroy(&x.split);
    hid_t file = H5Fopen(x.path, H5F_ACC_RDONLY, H5P_DEFAULT);
    hid_t set = H5Dopen2(file, "images", H5P_DEFAULT);
    haddr_t address = HADDR_UNDEF;
    hsize_t size = 0;
    ck_assert(H5Dget_chunk_info_by_coord(set, (hsize_t[]){0, 0, 0, 0}, NULL, &address, &size) >= 0);
    H5Dclose(set);
    H5Fclose(file);
    support_ok(tdm_split_open(&(tdm_split_spec){.path = x.path}, "train", &x.split));
    int fd = open(x.path, O_WRONLY);
    for (hsize_t at = 0; at < size; at += 64)
        ck_assert_int_eq(pwrite(fd, "\xff\xff\xff\xff\xff\xff\xff\xff", 8, (off_t)(address + at)),
                         8);
    close(fd);
    for (size_t w = 0; w < 3; w++) {
        tdm_loader_spec spec = support_loader_spec(&x, worker_counts[w]);
        const tdm_batch *b = NULL;
        tdm_loader *loader = support_loader(&spec);
        support_fails(tdm_loader_next(loader, &b), TDM_ERR_DATA, "images");
        support_message_has("train.h5");
        tdm_loader_destroy(&loader);
    }
    /* and the file cut short in the middle of it */
    ck_assert_int_eq(truncate(x.path, (off_t)(address + size / 2)), 0);
    tdm_loader_spec spec = support_loader_spec(&x, 2);
    const tdm_batch *b = NULL;
    tdm_loader *loader = support_loader(&spec);
    support_fails(tdm_loader_next(loader, &b), TDM_ERR_DATA, "train.h5");
    tdm_loader_destroy(&loader);
    support_set_close(&x);
}
END_TEST

START_TEST(arrays_of_different_lengths_are_refused)
{
    char *folder = support_temp_create(), *path = support_path(folder, "train.h5");
    tdm_split *split = NULL;
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    uint8_t bytes[40] = {0};
    support_put_array(file, "images", 3, (hsize_t[]){10, 2, 2}, H5T_STD_U8LE, H5T_NATIVE_UINT8,
                      bytes);
    support_put_array(file, "labels", 1, (hsize_t[]){9}, H5T_STD_U8LE, H5T_NATIVE_UINT8, bytes);
    H5Fclose(file);
    support_fails(tdm_split_open(&(tdm_split_spec){.path = folder}, "train", &split), TDM_ERR_DATA,
                  "labels");
    ck_assert_ptr_null(split);
    free(path);
    support_temp_remove(folder);
}
END_TEST

START_TEST(destroying_at_any_moment_neither_hangs_nor_leaks)
{
    support_flaw f = {90, UINT64_MAX, 77};
    for (support_layout l = 0; l < LAYOUTS; l++) {
        support_set x = support_set_open(150, l, &f);
        for (unsigned trial = 0; trial < 12; trial++) {
            uint32_t r = support_mix(trial, l, 5);
            tdm_loader_spec spec = support_loader_spec(&x, r % 4);
            const tdm_batch *b = NULL;
            spec.continuous = r >> 4 & 1;
            tdm_loader *loader = support_loader(&spec);
            for (unsigned i = 0; i < (r >> 8) % 12; i++) (void)tdm_loader_next(loader, &b);
            if (r >> 5 & 1) support_ok(tdm_loader_seek(loader, r >> 16 & 3, r >> 20 & 3));
            if (r >> 6 & 1) tdm_loader_release(loader);
            if (r >> 7 & 1) tdm__sleep(1e-5 * (r >> 24 & 31));
            tdm_loader_destroy(&loader);
            ck_assert_ptr_null(loader);
        }
        support_set_close(&x);
    }
}
END_TEST

/* ---- overlap --------------------------------------------------------------------------------- */

typedef struct recorder {
    event_log log;
    double delay; /* of every load */
} recorder;

static void on_event(void *user, tdm__ring_event what, uint64_t item)
{
    recorder *r = user;
    event_log_add(&r->log, (int)what, item);
    if (what == TDM__RING_LOAD) tdm__sleep(r->delay);
}

START_TEST(a_slow_reader_loads_while_the_consumer_computes)
{
    support_set x = support_set_open(320, SERIAL, &support_no_flaw);
    recorder r = {.delay = 2e-3};
    tdm_loader_spec spec = support_loader_spec(&x, 1);
    tdm__loader_hooks hooks = {.user = &r, .event = on_event};
    tdm_loader *loader = NULL;
    const tdm_batch *b = NULL;
    event_log_open(&r.log);
    support_ok(tdm__loader_create(&spec, &hooks, &loader));
    uint64_t steps = tdm_loader_steps(loader);
    ck_assert_uint_eq(steps, 20);
    for (uint64_t step = 0; step < steps; step++) {
        support_ok(tdm_loader_next(loader, &b));
        if (step + 1 < steps) ck_assert(event_log_compute(&r.log, step));
    }
    tdm_loader_destroy(&loader);
    for (uint64_t step = 0; step + 1 < steps; step++) {
        ck_assert(event_log_find(&r.log, TDM__RING_LOAD, step + 1) <
                  event_log_find(&r.log, EVENT_COMPUTED, step));
        ck_assert(event_log_find(&r.log, EVENT_COMPUTED, step) <
                  event_log_find(&r.log, TDM__RING_RELEASE, step));
    }
    event_log_close(&r.log);
    support_set_close(&x);
}
END_TEST

/* ---- the slots' memory elsewhere, uploads ---------------------------------------------------- */

typedef struct device_sim {
    unsigned char *host[3][3], *device[3][3];
    size_t bytes[3];
    atomic_uint uploads, spans;
} device_sim;

static tdm_status sim_reclaim(void *user, size_t slot, void **data)
{
    device_sim *d = user;
    for (size_t i = 0; i < 3; i++) data[i] = d->host[slot][i];
    return TDM_OK;
}

static tdm_status sim_upload(void *user, size_t slot)
{
    device_sim *d = user;
    for (size_t i = 0; i < 3; i++) memcpy(d->device[slot][i], d->host[slot][i], d->bytes[i]);
    atomic_fetch_add(&d->uploads, 1);
    return TDM_OK;
}

static bool sim_resident(void *user, size_t slot)
{
    (void)user;
    return slot != 1;
}

static void sim_span(void *user, bool io, const char *name, double begin, double end)
{
    device_sim *d = user;
    if (!io && name[0] && begin <= end) atomic_fetch_add(&d->spans, 1);
}

START_TEST(slots_may_live_elsewhere_and_be_uploaded)
{
    support_set x = support_set_open(100, STORED, &support_no_flaw);
    for (size_t w = 0; w < 3; w++) {
        device_sim d = {.bytes = {16 * PIXELS * C, 16 * 4, 16 * PIXELS * 4}};
        for (int s = 0; s < 3; s++)
            for (int i = 0; i < 3; i++) {
                d.host[s][i] = malloc(d.bytes[i]);
                d.device[s][i] = malloc(d.bytes[i]);
            }
        tdm_loader_spec spec = support_loader_spec(&x, worker_counts[w]);
        tdm__loader_hooks hooks = {.user = &d,
                                   .reclaim = sim_reclaim,
                                   .upload = sim_upload,
                                   .resident = sim_resident,
                                   .span = sim_span};
        tdm_loader *loader = NULL;
        const tdm_batch *b = NULL;
        support_ok(tdm__loader_create(&spec, &hooks, &loader));
        ck_assert_uint_eq(tdm__loader_slots(loader), 3);
        for (uint64_t step = 0; step < 7; step++) {
            support_ok(tdm_loader_next(loader, &b));
            tdm_batch_array arrays[3];
            tdm_batch copy = *b;
            memcpy(arrays, b->arrays, sizeof arrays);
            for (size_t i = 0; i < 3; i++) {
                ck_assert_ptr_eq(arrays[i].data, d.host[tdm__loader_slot(loader)][i]);
                arrays[i].data = d.device[tdm__loader_slot(loader)][i];
            }
            copy.arrays = arrays;
            support_check_batch(&spec, &copy, 0, step);
        }
        ck_assert_uint_eq(d.uploads, 7);
        ck_assert_uint_ge(d.spans, 21);
        tdm_loader_destroy(&loader);
        for (int s = 0; s < 3; s++)
            for (int i = 0; i < 3; i++) {
                free(d.host[s][i]);
                free(d.device[s][i]);
            }
    }
    support_set_close(&x);
}
END_TEST

START_TEST(statistics_count_what_was_delivered)
{
    support_set x = support_set_open(50, STORED, &support_no_flaw);
    for (size_t w = 0; w < 3; w++) {
        tdm_loader_spec spec = support_loader_spec(&x, worker_counts[w]);
        tdm_loader *loader = support_loader(&spec);
        tdm_loader_stats stats;
        tdm_loader_stats_get(loader, &stats);
        ck_assert_uint_eq(stats.batches, 0);
        support_check_epoch(&spec, loader, 0, 0);
        tdm_loader_stats_get(loader, &stats);
        ck_assert_uint_eq(stats.batches, 4);
        ck_assert_uint_eq(stats.samples, 50);
        ck_assert_uint_eq(stats.bytes, 50 * (PIXELS * C + 4 + PIXELS * 4));
        ck_assert(stats.wait_seconds > 0 && stats.load_seconds > 0);
        tdm_loader_destroy(&loader);
    }
    support_set_close(&x);
}
END_TEST

/* ---- memory ---------------------------------------------------------------------------------- */

/* Every allocation fails once: an error each time, nothing lost, nothing stuck. */
START_TEST(running_out_of_memory_is_an_error)
{
    support_set x = support_set_open(40, DEFLATED, &support_no_flaw);
    tdm_split_destroy(&x.split);
    for (unsigned workers = 0; workers < 2; workers++) {
        int failures = 0;
        for (uint64_t k = 1;; k++) {
            tdm_split *split = NULL;
            tdm_loader *loader = NULL;
            const tdm_batch *b = NULL;
            tdm_split_spec split_spec = {.path = x.path, .val_count = 4, .num_samples = 20};
            tdm__mem_fail_after(k);
            tdm_status status = tdm_split_open(&split_spec, "train", &split);
            tdm_loader_spec spec = {
                .split = split, .batch_size = 8, .shuffle = true, .workers = workers};
            if (!status) status = tdm_loader_create(&spec, &loader);
            if (!status) status = tdm_loader_next(loader, &b);
            tdm_loader_destroy(&loader);
            tdm_split_destroy(&split);
            tdm__mem_fail_after(0);
            if (!status) break;
            ck_assert_msg(status == TDM_ERR_NOMEM, "%d: %s", (int)k, tdm_last_error());
            failures++;
        }
        ck_assert_int_gt(failures, 20);
    }
    support_set_close(&x);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("loader");
    TCase *tc = tcase_create("loader");
    tcase_add_test(tc, every_layout_mode_and_worker_count_gives_the_same_bytes);
    tcase_add_test(tc, a_batch_divided_among_workers_is_the_same);
    tcase_add_test(tc, seeking_resumes_exactly);
    tcase_add_test(tc, a_short_last_batch_is_padded_with_zeros_or_dropped);
    tcase_add_test(tc, arrays_are_described);
    tcase_add_test(tc, a_bad_sample_fails_its_batch_alone);
    tcase_add_test(tc, a_range_may_name_a_value_to_ignore_and_refuses_nan);
    tcase_add_test(tc, a_damaged_chunk_is_an_error_and_no_crash);
    tcase_add_test(tc, arrays_of_different_lengths_are_refused);
    tcase_add_test(tc, destroying_at_any_moment_neither_hangs_nor_leaks);
    tcase_add_test(tc, a_slow_reader_loads_while_the_consumer_computes);
    tcase_add_test(tc, slots_may_live_elsewhere_and_be_uploaded);
    tcase_add_test(tc, statistics_count_what_was_delivered);
    tcase_add_test(tc, running_out_of_memory_is_an_error);
    suite_add_tcase(suite, tc);
    return support_run(suite);
}
