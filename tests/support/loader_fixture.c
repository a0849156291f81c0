/* support/loader_fixture.c */
#include "support/loader_fixture.h"

#include <math.h>
#include <stdlib.h>

#include "data/sampler.h"
#include "format/hdf5.h"

/* splitmix64 (Steele, Lea, Flood, 2014) */
uint32_t support_mix(uint64_t row, uint64_t i, uint64_t what)
{
    uint64_t z = (row << 32 | i << 8 | what) * 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (uint32_t)(z >> 32);
}

static uint8_t pixel_at(uint64_t row, uint64_t i)
{
    return (uint8_t)support_mix(row, i, 1);
}
static int32_t label_at(uint64_t row)
{
    return (int32_t)(support_mix(row, 0, 2) % CLASSES);
}
static float depth_at(uint64_t row, uint64_t i)
{
    return (float)(support_mix(row, i, 3) % 1000) / 8;
}

const support_flaw support_no_flaw = {UINT64_MAX, UINT64_MAX, 0};

static void fill_rows(uint64_t n, const support_flaw *f, uint8_t *pixels, int64_t *labels,
                      float *depths)
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

void support_put_array(hid_t file, const char *name, int rank, const hsize_t *dims, hid_t type,
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
    support_put_array(file, "images", 4, (hsize_t[]){n, H, W, C}, H5T_STD_U8LE, H5T_NATIVE_UINT8,
                      pixels);
    support_put_array(file, "labels", 1, (hsize_t[]){n}, serial ? odd_int : H5T_STD_I64LE,
                      H5T_NATIVE_INT64, labels);
    support_put_array(file, "depth", 4, (hsize_t[]){n, H, W, 1},
                      serial ? odd_float : H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, depths);
    H5Tclose(odd_int);
    H5Tclose(odd_float);
    H5Fclose(file);
}

char *support_set_write(const char *folder, const char *name, uint64_t n, support_layout l,
                        const support_flaw *f)
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

support_set support_set_open(uint64_t n, support_layout l, const support_flaw *f)
{
    support_set x = {.folder = support_temp_create()};
    x.path = support_set_write(x.folder, "train.h5", n, l, f);
    support_ok(tdm_split_open(&(tdm_split_spec){.path = x.folder}, "train", &x.split));
    return x;
}

void support_set_close(support_set *x)
{
    tdm_split_destroy(&x->split);
    free(x->path);
    support_temp_remove(x->folder);
}

const tdm_loader_array support_three[] = {
    {.name = "images", .dtype = TDM_U8}, {.name = "labels"}, {.name = "depth", .dtype = TDM_F32}};

tdm_loader_spec support_loader_spec(const support_set *x, unsigned workers)
{
    return (tdm_loader_spec){.split = x->split,
                             .arrays = support_three,
                             .n_arrays = 3,
                             .batch_size = 16,
                             .seed = 9,
                             .shuffle = true,
                             .workers = workers};
}

tdm_loader *support_loader(const tdm_loader_spec *spec)
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

void support_check_batch(const tdm_loader_spec *spec, const tdm_batch *b, uint64_t epoch,
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

void support_check_epoch(const tdm_loader_spec *spec, tdm_loader *loader, uint64_t epoch,
                         uint64_t from)
{
    const tdm_batch *b = NULL;
    for (uint64_t step = from; step < tdm_loader_steps(loader); step++) {
        support_ok(tdm_loader_next(loader, &b));
        support_check_batch(spec, b, epoch, step);
    }
    support_ok(tdm_loader_next(loader, &b));
    ck_assert_ptr_null(b);
}
