/* The loader on real HDF5 files of every layout: every batch is checked against the formula that
 * made the files, so that all layouts, worker counts and modes give the same bytes. */
#include <fcntl.h>
#include <hdf5.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/thread.h"
#include "data/loader.h"
#include "data/sampler.h"
#include "format/hdf5.h"
#include "support/support.h"

enum { H = 6, W = 5, C = 3, PIXELS = H * W, CLASSES = 10 };

/* ---- files ----------------------------------------------------------------------------------- */

typedef enum layout { STORED, DEFLATED, CONTIGUOUS, SERIAL, LAYOUTS } layout;

/* splitmix64 of the three (Steele, Lea, Flood, 2014) */
static uint32_t mix(uint64_t row, uint64_t i, uint64_t what)
{
    uint64_t z = (row << 32 | i << 8 | what) * 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (uint32_t)(z >> 32);
}

static uint8_t pixel_at(uint64_t row, uint64_t i)
{
    return (uint8_t)mix(row, i, 1);
}
static int32_t label_at(uint64_t row)
{
    return (int32_t)(mix(row, 0, 2) % CLASSES);
}
static float depth_at(uint64_t row, uint64_t i)
{
    return (float)(mix(row, i, 3) % 1000) / 8;
}

/* What is wrong with a file, if anything. */
typedef struct flaw {
    uint64_t bad_label_row, nan_row; /* UINT64_MAX: none */
    double bad_label;
} flaw;
static const flaw no_flaw = {UINT64_MAX, UINT64_MAX, 0};

static void fill_rows(uint64_t n, const flaw *f, uint8_t *pixels, int64_t *labels, float *depths)
{
    for (uint64_t row = 0; row < n; row++) {
        for (uint64_t i = 0; i < PIXELS * C; i++) pixels[row * PIXELS * C + i] = pixel_at(row, i);
        for (uint64_t i = 0; i < PIXELS; i++) depths[row * PIXELS + i] = depth_at(row, i);
        labels[row] = row == f->bad_label_row ? (int64_t)f->bad_label : label_at(row);
        if (row == f->nan_row) depths[row * PIXELS + 7] = NAN;
    }
}

static void write_with_writer(const char *path, uint64_t n, int deflate, const uint8_t *pixels,
                              const int64_t *labels, const float *depths)
{
    tdm__h5_writer *w = NULL;
    size_t set;
    tdm__h5_spec image = {.name = "images",
                          .elem = tdm__elem_host(TDM__ELEM_UINT, 1),
                          .rank = 3,
                          .dims = {H, W, C},
                          .deflate = deflate};
    tdm__h5_spec label = {
        .name = "labels", .elem = tdm__elem_host(TDM__ELEM_INT, 8), .deflate = deflate};
    tdm__h5_spec depth = {.name = "depth",
                          .elem = tdm__elem_host(TDM__ELEM_FLOAT, 4),
                          .rank = 3,
                          .dims = {H, W, 1},
                          .deflate = deflate};
    support_ok(tdm__h5_writer_create(path, &w));
    support_ok(tdm__h5_writer_add(w, &image, &set));
    support_ok(tdm__h5_writer_append(w, set, pixels, n));
    support_ok(tdm__h5_writer_add(w, &label, &set));
    support_ok(tdm__h5_writer_append(w, set, labels, n));
    support_ok(tdm__h5_writer_number(w, set, "classes", CLASSES));
    support_ok(tdm__h5_writer_add(w, &depth, &set));
    support_ok(tdm__h5_writer_append(w, set, depths, n));
    support_ok(tdm__h5_writer_commit(w));
    tdm__h5_writer_destroy(&w);
}

static void put_array(hid_t file, const char *name, int rank, const hsize_t *dims, hid_t type,
                      hid_t memory, const void *values)
{
    hid_t space = H5Screate_simple(rank, dims, NULL);
    hid_t set = H5Dcreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    ck_assert(set >= 0 && H5Dwrite(set, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    H5Dclose(set);
    H5Sclose(space);
}

/* Contiguous arrays; `serial` gives labels and depth a type that only the library understands. */
static void write_with_library(const char *path, uint64_t n, bool serial, const uint8_t *pixels,
                               const int64_t *labels, const float *depths)
{
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    hid_t odd_int = H5Tcopy(H5T_STD_I32LE), odd_float = H5Tcopy(H5T_IEEE_F64LE);
    ck_assert(file >= 0 && H5Tset_precision(odd_int, 20) >= 0);
    ck_assert(H5Tset_ebias(odd_float, 1000) >= 0);
    put_array(file, "images", 4, (hsize_t[]){n, H, W, C}, H5T_STD_U8LE, H5T_NATIVE_UINT8, pixels);
    put_array(file, "labels", 1, (hsize_t[]){n}, serial ? odd_int : H5T_STD_I64LE, H5T_NATIVE_INT64,
              labels);
    put_array(file, "depth", 4, (hsize_t[]){n, H, W, 1}, serial ? odd_float : H5T_IEEE_F32LE,
              H5T_NATIVE_FLOAT, depths);
    H5Tclose(odd_int);
    H5Tclose(odd_float);
    H5Fclose(file);
}

static char *make_file(const char *folder, const char *name, uint64_t n, layout l, const flaw *f)
{
    char *path = support_path(folder, name);
    uint8_t *pixels = malloc(n * PIXELS * C);
    int64_t *labels = malloc(n * sizeof *labels);
    float *depths = malloc(n * PIXELS * sizeof *depths);
    fill_rows(n, f, pixels, labels, depths);
    if (l == STORED || l == DEFLATED)
        write_with_writer(path, n, l == DEFLATED ? 4 : 0, pixels, labels, depths);
    else
        write_with_library(path, n, l == SERIAL, pixels, labels, depths);
    free(pixels);
    free(labels);
    free(depths);
    return path;
}

/* A data set of one train.h5, open. */
typedef struct fixture {
    char *folder, *path;
    tdm_split *split;
} fixture;

static fixture open_fixture(uint64_t n, layout l, const flaw *f)
{
    fixture x = {.folder = support_temp_create()};
    x.path = make_file(x.folder, "train.h5", n, l, f);
    support_ok(tdm_split_open(&(tdm_split_spec){.path = x.folder}, "train", &x.split));
    return x;
}

static void close_fixture(fixture *x)
{
    tdm_split_destroy(&x->split);
    free(x->path);
    support_temp_remove(x->folder);
}

static const tdm_loader_array three[] = {
    {.name = "images", .dtype = TDM_U8}, {.name = "labels"}, {.name = "depth", .dtype = TDM_F32}};

static tdm_loader_spec spec_of(const fixture *x, unsigned workers)
{
    return (tdm_loader_spec){.split = x->split,
                             .arrays = three,
                             .n_arrays = 3,
                             .batch_size = 16,
                             .seed = 9,
                             .shuffle = true,
                             .workers = workers};
}

static tdm_loader *loader_of(const tdm_loader_spec *spec)
{
    tdm_loader *loader = NULL;
    support_ok(tdm_loader_create(spec, &loader));
    return loader;
}

/* ---- checking -------------------------------------------------------------------------------- */

static void check_values(const tdm_batch *b)
{
    const uint8_t *pixels = b->arrays[0].data;
    const int32_t *labels = b->arrays[1].data;
    const float *depths = b->arrays[2].data;
    for (uint64_t k = 0; k < b->count; k++) {
        bool same = labels[k] == label_at(b->rows[k]);
        for (uint64_t i = 0; i < PIXELS * C; i++)
            same &= pixels[k * PIXELS * C + i] == pixel_at(b->rows[k], i);
        for (uint64_t i = 0; i < PIXELS; i++)
            same &= depths[k * PIXELS + i] == depth_at(b->rows[k], i);
        ck_assert_msg(same, "epoch %d step %d sample %d", (int)b->epoch, (int)b->step, (int)k);
    }
}

static void check_batch(const tdm_loader_spec *spec, const tdm_batch *b, uint64_t epoch,
                        uint64_t step)
{
    uint64_t n = tdm_split_length(spec->split), *want = calloc(spec->batch_size, sizeof *want);
    tdm__sampler s;
    ck_assert_ptr_nonnull(b);
    ck_assert_uint_eq(b->epoch, epoch);
    ck_assert_uint_eq(b->step, step);
    support_ok(
        tdm__sampler_init(&s, n, spec->batch_size, spec->seed, "", spec->shuffle, spec->drop_last));
    ck_assert_uint_eq(b->count, tdm__sampler_batch(&s, epoch, step, want));
    for (uint64_t i = 0; i < b->count; i++)
        ck_assert_uint_eq(b->rows[i], tdm_split_row(spec->split, want[i]));
    ck_assert_uint_eq(b->n_arrays, 3);
    for (size_t i = 0; i < 3; i++) ck_assert_uint_eq(b->arrays[i].dims[0], b->count);
    check_values(b);
    tdm__sampler_free(&s);
    free(want);
}

static void check_epoch(const tdm_loader_spec *spec, tdm_loader *loader, uint64_t epoch,
                        uint64_t from)
{
    const tdm_batch *b = NULL;
    for (uint64_t step = from; step < tdm_loader_steps(loader); step++) {
        support_ok(tdm_loader_next(loader, &b));
        check_batch(spec, b, epoch, step);
    }
    support_ok(tdm_loader_next(loader, &b));
    ck_assert_ptr_null(b);
}

static const unsigned worker_counts[] = {0, 1, 4};

/* ---- tests ----------------------------------------------------------------------------------- */

START_TEST(every_layout_mode_and_worker_count_gives_the_same_bytes)
{
    for (layout l = 0; l < LAYOUTS; l++) {
        fixture x = open_fixture(150, l, &no_flaw);
        for (size_t w = 0; w < 3; w++)
            for (int mode = 0; mode < 3; mode++) {
                tdm_loader_spec spec = spec_of(&x, worker_counts[w]);
                spec.in_memory = mode == 1;
                spec.continuous = mode == 2;
                spec.slots = mode == 2 ? 1 : 4;
                tdm_loader *loader = loader_of(&spec);
                for (uint64_t epoch = 0; epoch < 3; epoch++) check_epoch(&spec, loader, epoch, 0);
                tdm_loader_destroy(&loader);
            }
        close_fixture(&x);
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
        tdm_loader *loader = loader_of(&spec);
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
    fixture x = open_fixture(100, STORED, &no_flaw);
    for (size_t w = 0; w < 3; w++)
        for (int continuous = 0; continuous < 2; continuous++) {
            tdm_loader_spec spec = spec_of(&x, worker_counts[w]);
            const tdm_batch *b = NULL;
            spec.continuous = continuous;
            tdm_loader *loader = loader_of(&spec);
            support_ok(tdm_loader_seek(loader, 4, 3));
            check_epoch(&spec, loader, 4, 3);
            check_epoch(&spec, loader, 5, 0);
            support_ok(tdm_loader_next(loader, &b)); /* leaves epoch 6 in its middle */
            check_batch(&spec, b, 6, 0);
            support_ok(tdm_loader_epoch(loader, 2));
            check_epoch(&spec, loader, 2, 0);
            support_ok(tdm_loader_epoch(loader, 2)); /* again */
            check_epoch(&spec, loader, 2, 0);
            support_ok(tdm_loader_seek(loader, 1, tdm_loader_steps(loader)));
            check_epoch(&spec, loader, 1, tdm_loader_steps(loader));
            check_epoch(&spec, loader, 2, 0);
            support_fails(tdm_loader_seek(loader, 0, tdm_loader_steps(loader) + 1), TDM_ERR_USAGE,
                          "steps");
            support_fails(tdm_loader_seek(loader, UINT64_MAX / 4, 0), TDM_ERR_USAGE, "too large");
            tdm_loader_destroy(&loader);
        }
    close_fixture(&x);
}
END_TEST

START_TEST(a_short_last_batch_is_padded_with_zeros_or_dropped)
{
    fixture x = open_fixture(37, STORED, &no_flaw);
    for (size_t w = 0; w < 3; w++) {
        tdm_loader_spec spec = spec_of(&x, worker_counts[w]);
        const tdm_batch *b = NULL;
        spec.slots = 1; /* the slot has held a full batch before */
        tdm_loader *loader = loader_of(&spec);
        ck_assert_uint_eq(tdm_loader_steps(loader), 3);
        ck_assert_uint_eq(tdm_loader_samples(loader), 37);
        for (int i = 0; i < 3; i++) support_ok(tdm_loader_next(loader, &b));
        check_batch(&spec, b, 0, 2);
        ck_assert_uint_eq(b->count, 5);
        for (size_t a = 0; a < 3; a++)
            for (size_t i = 5 * b->arrays[a].sample_bytes; i < 16 * b->arrays[a].sample_bytes; i++)
                ck_assert_uint_eq(((const uint8_t *)b->arrays[a].data)[i], 0);
        tdm_loader_destroy(&loader);
        spec.drop_last = true;
        loader = loader_of(&spec);
        ck_assert_uint_eq(tdm_loader_samples(loader), 32);
        check_epoch(&spec, loader, 0, 0);
        tdm_loader_destroy(&loader);
        spec.batch_size = 38;
        support_fails(tdm_loader_create(&spec, &loader), TDM_ERR_DATA, "no batch of 38");
        spec.batch_size = 0;
        support_fails(tdm_loader_create(&spec, &loader), TDM_ERR_USAGE, "batch_size");
    }
    close_fixture(&x);
}
END_TEST

START_TEST(arrays_are_described)
{
    fixture x = open_fixture(20, STORED, &no_flaw);
    tdm_loader_spec spec = {.split = x.split, .batch_size = 8};
    tdm_loader *loader = loader_of(&spec);
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
    close_fixture(&x);
}
END_TEST

/* A bad sample fails its own batch, in order, with file, array, sample and value. */
START_TEST(a_bad_sample_fails_its_batch_alone)
{
    static const flaw flaws[] = {{70, UINT64_MAX, 10}, {70, UINT64_MAX, -1}, {70, 71, 10}};
    static const char *const says[] = {"value 10", "value -1", "value 10"};
    for (layout l = 0; l < LAYOUTS; l++)
        for (size_t f = 0; f < 3; f++) {
            fixture x = open_fixture(150, l, &flaws[f]);
            tdm_loader_array arrays[3];
            memcpy(arrays, three, sizeof arrays);
            arrays[1].check = true;
            arrays[1].max = CLASSES - 1;
            arrays[2].check = true;
            arrays[2].max = 1000;
            for (size_t w = 0; w < 3; w++) {
                tdm_loader_spec spec = spec_of(&x, worker_counts[w]);
                const tdm_batch *b = NULL;
                spec.arrays = arrays;
                spec.shuffle = false;
                tdm_loader *loader = loader_of(&spec);
                for (uint64_t step = 0; step < tdm_loader_steps(loader); step++) {
                    if (step == 70 / 16) {
                        support_fails(tdm_loader_next(loader, &b), TDM_ERR_DATA, says[f]);
                        support_message_has("train");
                        support_message_has("labels");
                        support_message_has("row 70");
                        ck_assert_ptr_null(b);
                    } else {
                        support_ok(tdm_loader_next(loader, &b));
                        check_batch(&spec, b, 0, step);
                    }
                }
                support_ok(tdm_loader_next(loader, &b));
                ck_assert_ptr_null(b);
                tdm_loader_destroy(&loader);
                spec.in_memory = true;
                support_fails(tdm_loader_create(&spec, &loader), TDM_ERR_DATA, "row 70");
            }
            close_fixture(&x);
        }
}
END_TEST

START_TEST(a_range_may_name_a_value_to_ignore_and_refuses_nan)
{
    flaw f = {3, UINT64_MAX, 9};
    fixture x = open_fixture(16, STORED, &f);
    tdm_loader_spec spec = spec_of(&x, 0);
    tdm_loader_array labels = {.name = "labels", .check = true, .min = 0, .max = 8.5};
    const tdm_batch *b = NULL;
    spec.arrays = &labels;
    spec.n_arrays = 1;
    tdm_loader *loader = loader_of(&spec);
    support_fails(tdm_loader_next(loader, &b), TDM_ERR_DATA, "must be in [0, 8.5]");
    tdm_loader_destroy(&loader);
    labels.has_ignore = true;
    labels.ignore = 9;
    loader = loader_of(&spec);
    support_ok(tdm_loader_next(loader, &b));
    tdm_loader_destroy(&loader);
    close_fixture(&x);

    f = (flaw){UINT64_MAX, 5, 0};
    x = open_fixture(16, STORED, &f);
    tdm_loader_array depth = {.name = "depth", .check = true, .min = -1e30, .max = 1e30};
    spec = spec_of(&x, 0);
    spec.arrays = &depth;
    spec.n_arrays = 1;
    loader = loader_of(&spec);
    support_fails(tdm_loader_next(loader, &b), TDM_ERR_DATA, "nan");
    support_message_has("row 5");
    tdm_loader_destroy(&loader);
    close_fixture(&x);
}
END_TEST

/* Bytes of the one chunk of `images` are overwritten after the file was opened. */
START_TEST(a_damaged_chunk_is_an_error_and_no_crash)
{
    fixture x = open_fixture(100, DEFLATED, &no_flaw);
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
        tdm_loader_spec spec = spec_of(&x, worker_counts[w]);
        const tdm_batch *b = NULL;
        tdm_loader *loader = loader_of(&spec);
        support_fails(tdm_loader_next(loader, &b), TDM_ERR_DATA, "images");
        support_message_has("train.h5");
        tdm_loader_destroy(&loader);
    }
    /* and the file cut short in the middle of it */
    ck_assert_int_eq(truncate(x.path, (off_t)(address + size / 2)), 0);
    tdm_loader_spec spec = spec_of(&x, 2);
    const tdm_batch *b = NULL;
    tdm_loader *loader = loader_of(&spec);
    support_fails(tdm_loader_next(loader, &b), TDM_ERR_DATA, "train.h5");
    tdm_loader_destroy(&loader);
    close_fixture(&x);
}
END_TEST

START_TEST(arrays_of_different_lengths_are_refused)
{
    char *folder = support_temp_create(), *path = support_path(folder, "train.h5");
    tdm_split *split = NULL;
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    uint8_t bytes[40] = {0};
    put_array(file, "images", 3, (hsize_t[]){10, 2, 2}, H5T_STD_U8LE, H5T_NATIVE_UINT8, bytes);
    put_array(file, "labels", 1, (hsize_t[]){9}, H5T_STD_U8LE, H5T_NATIVE_UINT8, bytes);
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
    flaw f = {90, UINT64_MAX, 77};
    for (layout l = 0; l < LAYOUTS; l++) {
        fixture x = open_fixture(150, l, &f);
        for (unsigned trial = 0; trial < 12; trial++) {
            uint32_t r = mix(trial, l, 5);
            tdm_loader_spec spec = spec_of(&x, r % 4);
            const tdm_batch *b = NULL;
            spec.continuous = r >> 4 & 1;
            tdm_loader *loader = loader_of(&spec);
            for (unsigned i = 0; i < (r >> 8) % 12; i++) (void)tdm_loader_next(loader, &b);
            if (r >> 5 & 1) support_ok(tdm_loader_seek(loader, r >> 16 & 3, r >> 20 & 3));
            if (r >> 6 & 1) tdm_loader_release(loader);
            if (r >> 7 & 1) tdm__sleep(1e-5 * (r >> 24 & 31));
            tdm_loader_destroy(&loader);
            ck_assert_ptr_null(loader);
        }
        close_fixture(&x);
    }
}
END_TEST

/* ---- overlap --------------------------------------------------------------------------------- */

typedef struct recorder {
    tdm__mutex lock;
    struct {
        int what;
        uint64_t item;
    } log[1024];
    size_t n;
    double delay; /* of every load */
} recorder;

enum { COMPUTE_END = 100 };

static void record(recorder *r, int what, uint64_t item)
{
    tdm__mutex_lock(&r->lock);
    if (r->n < 1024) {
        r->log[r->n].what = what;
        r->log[r->n].item = item;
        r->n++;
    }
    tdm__mutex_unlock(&r->lock);
}

static void on_event(void *user, tdm__ring_event what, uint64_t item)
{
    recorder *r = user;
    record(r, (int)what, item);
    if (what == TDM__RING_LOAD) tdm__sleep(r->delay);
}

static size_t find(const recorder *r, int what, uint64_t item)
{
    for (size_t i = 0; i < r->n; i++)
        if (r->log[i].what == what && r->log[i].item == item) return i;
    return SIZE_MAX;
}

/* Computing with a batch: it lasts until the load of the next one has begun. A loader that only
 * loads when asked would never begin. */
static bool compute(recorder *r, uint64_t item)
{
    bool begun = false;
    for (double end = tdm__now() + 20; !begun && tdm__now() < end; tdm__sleep(1e-3)) {
        tdm__mutex_lock(&r->lock);
        begun = find(r, TDM__RING_LOAD, item + 1) != SIZE_MAX;
        tdm__mutex_unlock(&r->lock);
    }
    record(r, COMPUTE_END, item);
    return begun;
}

START_TEST(a_slow_reader_loads_while_the_consumer_computes)
{
    fixture x = open_fixture(320, SERIAL, &no_flaw);
    recorder r = {.delay = 2e-3};
    tdm_loader_spec spec = spec_of(&x, 1);
    tdm__loader_hooks hooks = {.user = &r, .event = on_event};
    tdm_loader *loader = NULL;
    const tdm_batch *b = NULL;
    support_ok(tdm__mutex_init(&r.lock));
    support_ok(tdm__loader_create(&spec, &hooks, &loader));
    uint64_t steps = tdm_loader_steps(loader);
    ck_assert_uint_eq(steps, 20);
    for (uint64_t step = 0; step < steps; step++) {
        support_ok(tdm_loader_next(loader, &b));
        if (step + 1 < steps) ck_assert(compute(&r, step));
    }
    tdm_loader_destroy(&loader);
    for (uint64_t step = 0; step + 1 < steps; step++) {
        ck_assert(find(&r, TDM__RING_LOAD, step + 1) < find(&r, COMPUTE_END, step));
        ck_assert(find(&r, COMPUTE_END, step) < find(&r, TDM__RING_RELEASE, step));
    }
    tdm__mutex_destroy(&r.lock);
    close_fixture(&x);
}
END_TEST

/* ---- the slots' memory elsewhere, uploads ------------------------------------------------------
 */

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
    fixture x = open_fixture(100, STORED, &no_flaw);
    for (size_t w = 0; w < 3; w++) {
        device_sim d = {.bytes = {16 * PIXELS * C, 16 * 4, 16 * PIXELS * 4}};
        for (int s = 0; s < 3; s++)
            for (int i = 0; i < 3; i++) {
                d.host[s][i] = malloc(d.bytes[i]);
                d.device[s][i] = malloc(d.bytes[i]);
            }
        tdm_loader_spec spec = spec_of(&x, worker_counts[w]);
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
            check_batch(&spec, &copy, 0, step);
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
    close_fixture(&x);
}
END_TEST

START_TEST(statistics_count_what_was_delivered)
{
    fixture x = open_fixture(50, STORED, &no_flaw);
    for (size_t w = 0; w < 3; w++) {
        tdm_loader_spec spec = spec_of(&x, worker_counts[w]);
        tdm_loader *loader = loader_of(&spec);
        tdm_loader_stats stats;
        tdm_loader_stats_get(loader, &stats);
        ck_assert_uint_eq(stats.batches, 0);
        check_epoch(&spec, loader, 0, 0);
        tdm_loader_stats_get(loader, &stats);
        ck_assert_uint_eq(stats.batches, 4);
        ck_assert_uint_eq(stats.samples, 50);
        ck_assert_uint_eq(stats.bytes, 50 * (PIXELS * C + 4 + PIXELS * 4));
        ck_assert(stats.wait_seconds > 0 && stats.load_seconds > 0);
        tdm_loader_destroy(&loader);
    }
    close_fixture(&x);
}
END_TEST

/* ---- splits ---------------------------------------------------------------------------------- */

static void mark_rows(const tdm_split *split, unsigned char *seen, unsigned char mark)
{
    for (uint64_t i = 0; i < tdm_split_length(split); i++) {
        uint64_t row = tdm_split_row(split, i);
        ck_assert_uint_lt(row, 100);
        if (i) ck_assert_uint_lt(tdm_split_row(split, i - 1), row);
        ck_assert_uint_eq(seen[row], 0);
        seen[row] = mark;
    }
}

START_TEST(drawn_splits_are_exact_disjoint_and_repeatable)
{
    char *folder = support_temp_create();
    free(make_file(folder, "train.h5", 100, STORED, &no_flaw));
    tdm_split_spec spec = {.path = folder, .val_fraction = 0.125, .test_count = 20, .seed = 4};
    unsigned char seen[100] = {0}, again[100] = {0}, other[100] = {0};
    static const char *const names[] = {"train", "val", "test"};
    static const uint64_t sizes[] = {67, 13, 20};
    for (unsigned char i = 0; i < 3; i++) {
        tdm_split *split = NULL;
        ck_assert(tdm_split_exists(&spec, names[i]));
        support_ok(tdm_split_open(&spec, names[i], &split));
        ck_assert_uint_eq(tdm_split_length(split), sizes[i]);
        mark_rows(split, seen, (unsigned char)(i + 1));
        tdm_split_destroy(&split);
        support_ok(tdm_split_open(&spec, names[i], &split));
        mark_rows(split, again, (unsigned char)(i + 1));
        tdm_split_destroy(&split);
        spec.seed = 5;
        support_ok(tdm_split_open(&spec, names[i], &split));
        mark_rows(split, other, (unsigned char)(i + 1));
        tdm_split_destroy(&split);
        spec.seed = 4;
    }
    for (int i = 0; i < 100; i++) ck_assert(seen[i] && other[i]);
    ck_assert_mem_eq(seen, again, 100);
    ck_assert_mem_ne(seen, other, 100);
    support_temp_remove(folder);
}
END_TEST

START_TEST(a_number_of_samples_is_drawn_without_replacement_and_sorted)
{
    char *folder = support_temp_create();
    free(make_file(folder, "train.h5", 100, STORED, &no_flaw));
    tdm_split_spec spec = {.path = folder, .val_count = 10, .num_samples = 32, .seed = 1};
    tdm_split *split = NULL, *val = NULL;
    unsigned char seen[100] = {0};
    support_ok(tdm_split_open(&spec, "val", &val));
    ck_assert_uint_eq(tdm_split_length(val), 10); /* num_samples is of train alone */
    mark_rows(val, seen, 1);
    support_ok(tdm_split_open(&spec, "train", &split));
    ck_assert_uint_eq(tdm_split_length(split), 32);
    mark_rows(split, seen, 2); /* disjoint from val, ascending, no row twice */
    uint64_t last = tdm_split_row(split, 31);
    ck_assert_uint_gt(last, 31); /* drawn from all of the file, not its head */

    tdm_loader_spec loader_spec = {.split = split,
                                   .arrays = three,
                                   .n_arrays = 3,
                                   .batch_size = 5,
                                   .shuffle = true,
                                   .workers = 1};
    tdm_loader *loader = loader_of(&loader_spec);
    check_epoch(&loader_spec, loader, 0, 0); /* all arrays give the same rows */
    tdm_loader_destroy(&loader);
    loader_spec.in_memory = true;
    loader = loader_of(&loader_spec);
    check_epoch(&loader_spec, loader, 0, 0);
    tdm_loader_destroy(&loader);
    tdm_split_destroy(&split);
    tdm_split_destroy(&val);
    spec.num_samples = 91;
    support_fails(tdm_split_open(&spec, "train", &split), TDM_ERR_CONFIG, "90 samples");
    spec.num_samples = 90;
    support_ok(tdm_split_open(&spec, "train", &split));
    ck_assert_uint_eq(tdm_split_length(split), 90);
    tdm_split_destroy(&split);
    support_temp_remove(folder);
}
END_TEST

START_TEST(the_data_sets_own_splits_come_first)
{
    char *folder = support_temp_create();
    char *train = make_file(folder, "train.h5", 20, STORED, &no_flaw);
    free(make_file(folder, "val.h5", 10, CONTIGUOUS, &no_flaw));
    tdm_split_spec spec = {.path = folder};
    tdm_split *split = NULL;
    ck_assert(tdm_split_exists(&spec, "val") && !tdm_split_exists(&spec, "test"));
    support_ok(tdm_split_open(&spec, "val", &split));
    ck_assert_uint_eq(tdm_split_length(split), 10);
    tdm_split_destroy(&split);
    support_ok(tdm_split_open(&spec, "train", &split));
    ck_assert_uint_eq(tdm_split_length(split), 20);
    tdm_split_destroy(&split);
    support_fails(tdm_split_open(&spec, "test", &split), TDM_ERR_DATA, "test_fraction");
    support_fails(tdm_split_open(&spec, "tran", &split), TDM_ERR_DATA, "tran");
    spec.val_count = 3;
    support_fails(tdm_split_open(&spec, "train", &split), TDM_ERR_CONFIG, "its own val");
    support_fails(tdm_split_open(&spec, "val", &split), TDM_ERR_CONFIG, "its own val");
    spec = (tdm_split_spec){.path = folder, .test_count = 20};
    support_fails(tdm_split_open(&spec, "train", &split), TDM_ERR_CONFIG, "none for train");
    spec = (tdm_split_spec){.path = folder, .test_fraction = 0.01};
    support_fails(tdm_split_open(&spec, "test", &split), TDM_ERR_CONFIG, "none");
    spec = (tdm_split_spec){.path = folder, .test_fraction = 1};
    support_fails(tdm_split_open(&spec, "test", &split), TDM_ERR_CONFIG, "[0, 1)");
    spec = (tdm_split_spec){.path = folder, .test_fraction = 0.5, .test_count = 2};
    support_fails(tdm_split_open(&spec, "test", &split), TDM_ERR_CONFIG, "only one");
    spec = (tdm_split_spec){.path = train, .val_count = 5}; /* one file */
    ck_assert(tdm_split_exists(&spec, "train") && tdm_split_exists(&spec, "val"));
    support_ok(tdm_split_open(&spec, "train", &split));
    ck_assert_uint_eq(tdm_split_length(split), 15);
    tdm_split_destroy(&split);
    spec = (tdm_split_spec){.path = "/nonexistent/set"};
    support_fails(tdm_split_open(&spec, "train", &split), TDM_ERR_DATA, "/nonexistent/set");
    support_fails(tdm_split_open(&spec, "val", &split), TDM_ERR_DATA, "/nonexistent/set");
    free(train);
    support_temp_remove(folder);
}
END_TEST

/* ---- repacking ---------------------------------------------------------------------------------
 */

enum { WIDE = 96, WIDE_ROWS = 60 };

/* As h5py chunks (60, 96, 96): cut across samples and pixels, deflated. */
static void write_cut_chunks(const char *path, const uint8_t *pixels, const int32_t *labels)
{
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    hid_t space = H5Screate_simple(3, (hsize_t[]){WIDE_ROWS, WIDE, WIDE}, NULL);
    hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
    ck_assert(H5Pset_chunk(plist, 3, (hsize_t[]){25, 40, 40}) >= 0 &&
              H5Pset_deflate(plist, 4) >= 0);
    hid_t set = H5Dcreate2(file, "images", H5T_STD_U8LE, space, H5P_DEFAULT, plist, H5P_DEFAULT);
    ck_assert(H5Dwrite(set, H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, pixels) >= 0);
    put_array(file, "labels", 1, (hsize_t[]){WIDE_ROWS}, H5T_STD_I32BE, H5T_NATIVE_INT32, labels);
    H5Dclose(set);
    H5Pclose(plist);
    H5Sclose(space);
    H5Fclose(file);
}

static void check_wide(const tdm_split *split, const uint8_t *pixels, const int32_t *labels)
{
    tdm_loader_spec spec = {.split = split, .batch_size = 16, .shuffle = true, .workers = 2};
    tdm_loader *loader = loader_of(&spec);
    const tdm_batch *b = NULL;
    uint64_t seen = 0;
    while (tdm_loader_next(loader, &b) == TDM_OK && b)
        for (uint64_t i = 0; i < b->count; i++, seen++) {
            ck_assert_mem_eq((const uint8_t *)b->arrays[0].data + i * WIDE * WIDE,
                             pixels + b->rows[i] * WIDE * WIDE, WIDE * WIDE);
            ck_assert_int_eq(((const int32_t *)b->arrays[1].data)[i], labels[b->rows[i]]);
        }
    ck_assert_uint_eq(seen, WIDE_ROWS);
    tdm_loader_destroy(&loader);
}

START_TEST(cut_chunks_are_repacked_once)
{
    char *folder = support_temp_create(), *path = support_path(folder, "train.h5");
    char *cache = support_path(folder, "cache"), *kept = getenv("TANDEM_CACHE_DIR");
    char *copies = support_path(cache, "data"), **names = NULL;
    uint8_t *pixels = malloc(WIDE_ROWS * WIDE * WIDE);
    int32_t labels[WIDE_ROWS];
    size_t n = 0;
    tdm_split_spec spec = {.path = folder};
    tdm_split *split = NULL;
    if (kept) kept = strdup(kept);
    for (uint64_t i = 0; i < WIDE_ROWS * WIDE * WIDE; i++) pixels[i] = (uint8_t)mix(i, 0, 6);
    for (int i = 0; i < WIDE_ROWS; i++) labels[i] = i * 5;
    write_cut_chunks(path, pixels, labels);
    setenv("TANDEM_CACHE_DIR", cache, 1);

    support_ok(tdm_split_open(&spec, "train", &split)); /* not asked for */
    ck_assert(tdm_dataset_array(tdm_split_dataset(split), 0)->amplification > 4);
    check_wide(split, pixels, labels);
    tdm_split_destroy(&split);
    ck_assert(!tdm__path_exists(cache));

    spec.cache = true;
    for (int times = 0; times < 2; times++) {
        support_ok(tdm_split_open(&spec, "train", &split));
        const tdm_array_info *info = tdm_dataset_array(tdm_split_dataset(split), 0);
        ck_assert(info->amplification == 1 && info->kind == TDM_ARRAY_IMAGE);
        ck_assert_str_eq(info->name, "images");
        check_wide(split, pixels, labels);
        tdm_split_destroy(&split);
        support_ok(tdm__list_folder(copies, &names, &n));
        ck_assert_uint_eq(n, 1);
        if (!times) { /* a damaged copy is replaced */
            char *copy = support_path(copies, names[0]);
            ck_assert_int_eq(truncate(copy, 100), 0);
            free(copy);
        }
        tdm__names_free(names, n);
    }

    setenv("TANDEM_CACHE_DIR", path, 1); /* a file: no copy can be made, the data set is read */
    support_ok(tdm_split_open(&spec, "train", &split));
    check_wide(split, pixels, labels);
    tdm_split_destroy(&split);

    if (kept)
        setenv("TANDEM_CACHE_DIR", kept, 1);
    else
        unsetenv("TANDEM_CACHE_DIR");
    free(kept);
    free(pixels);
    free(copies);
    free(cache);
    free(path);
    support_temp_remove(folder);
}
END_TEST

/* ---- real files -------------------------------------------------------------------------------
 */

/* The pets' four files: deflated by sample, contiguous, float boxes. What the loader delivers is
 * what reading row by row gives, for every worker count; num_samples takes the same rows of each.
 */
START_TEST(the_pets_files_load_aligned)
{
    const char *root = support_data_dir("the_pets_files_load_aligned");
    if (!root) return;
    char *path = support_path(root, "oxpet-h5");
    tdm_split_spec spec = {.path = path, .num_samples = 24, .seed = 2};
    tdm_split *split = NULL;
    support_ok(tdm_split_open(&spec, "train", &split));
    const tdm_dataset *ds = tdm_split_dataset(split);
    ck_assert_uint_eq(tdm_dataset_arrays(ds), 4);
    for (unsigned workers = 0; workers < 3; workers++) {
        tdm_loader_array all[4];
        for (size_t i = 0; i < 4; i++)
            all[i] = (tdm_loader_array){.name = tdm_dataset_array(ds, i)->name, .dtype = TDM_F32};
        tdm_loader_spec loader_spec = {.split = split,
                                       .arrays = all,
                                       .n_arrays = 4,
                                       .batch_size = 7,
                                       .shuffle = true,
                                       .workers = workers};
        tdm_loader *loader = loader_of(&loader_spec);
        const tdm_batch *b = NULL;
        uint64_t seen = 0;
        while (tdm_loader_next(loader, &b) == TDM_OK && b) {
            seen += b->count;
            for (size_t i = 0; i < 4; i++) {
                size_t bytes = b->arrays[i].sample_bytes * (size_t)b->count;
                float *want = malloc(bytes);
                support_ok(tdm_dataset_read(ds, i, b->rows, (size_t)b->count, want));
                ck_assert_mem_eq(b->arrays[i].data, want, bytes);
                free(want);
            }
        }
        ck_assert_uint_eq(seen, 24);
        tdm_loader_destroy(&loader);
    }
    tdm_split_destroy(&split);
    free(path);
}
END_TEST

/* ---- options, memory ---------------------------------------------------------------------------
 */

static tdm_config *config_of(const char *const *assignments)
{
    static const tdm_opt_table *const tables[] = {&tdm_data_options};
    tdm_config *config = NULL;
    support_ok(tdm_config_create(tables, 1, &config));
    for (; *assignments; assignments++)
        support_ok(tdm_config_assign(config, *assignments, "--set"));
    support_ok(tdm_config_resolve(config));
    return config;
}

START_TEST(options_fill_the_specs)
{
    tdm_config *config = config_of((const char *const[]){NULL});
    tdm_split_spec split;
    tdm_loader_spec loader = {.batch_size = 5};
    support_fails(tdm_split_spec_read(config, &split), TDM_ERR_CONFIG, "data.path");
    support_ok(tdm_loader_spec_read(config, &loader));
    ck_assert(loader.shuffle && !loader.drop_last && !loader.in_memory);
    ck_assert(loader.workers == 1 && loader.slots == 3 && loader.batch_size == 5);
    tdm_config_destroy(&config);

    config = config_of((const char *const[]){
        "data.path=a/b", "data.val_fraction=0.25", "data.test_count=7", "data.num_samples=256",
        "data.split_seed=3", "data.shuffle=false", "data.drop_last=true", "data.in_memory=true",
        "data.workers=0", "data.slots=2", NULL});
    support_ok(tdm_split_spec_read(config, &split));
    ck_assert_str_eq(split.path, "a/b");
    ck_assert(split.val_fraction == 0.25 && split.val_count == 0 && split.test_fraction == 0);
    ck_assert(split.test_count == 7 && split.num_samples == 256 && split.seed == 3);
    support_ok(tdm_loader_spec_read(config, &loader));
    ck_assert(!loader.shuffle && loader.drop_last && loader.in_memory);
    ck_assert(loader.workers == 0 && loader.slots == 2 && split.cache);
    tdm_config_destroy(&config);
}
END_TEST

/* Every allocation fails once: an error each time, nothing lost, nothing stuck. */
START_TEST(running_out_of_memory_is_an_error)
{
    fixture x = open_fixture(40, DEFLATED, &no_flaw);
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
    close_fixture(&x);
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
    tcase_add_test(tc, drawn_splits_are_exact_disjoint_and_repeatable);
    tcase_add_test(tc, a_number_of_samples_is_drawn_without_replacement_and_sorted);
    tcase_add_test(tc, the_data_sets_own_splits_come_first);
    tcase_add_test(tc, cut_chunks_are_repacked_once);
    tcase_add_test(tc, the_pets_files_load_aligned);
    tcase_add_test(tc, options_fill_the_specs);
    tcase_add_test(tc, running_out_of_memory_is_an_error);
    suite_add_tcase(suite, tc);
    return support_run(suite);
}
