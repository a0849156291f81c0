/* Transforms by the loader's threads: the same bytes for any number of workers, mode and layout,
 * the same as the transforms of one sample applied by hand. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "data/transform.h"
#include "format/hdf5.h"
#include "support/loader_fixture.h"

static const unsigned worker_counts[] = {0, 1, 4};

static void add(tdm_loader_spec *spec, const char *text)
{
    support_ok(tdm_transform_parse(text, &spec->transforms.list[spec->transforms.n++]));
}

static tdm_loader_spec augmented(const support_set *x, unsigned workers)
{
    tdm_loader_spec spec = support_loader_spec(x, workers);
    static const char *const texts[] = {"flip",          "vflip",     "rotate90",
                                        "scale 0.8 1.4", "crop 5 p1", "jitter 0.3 0.3 0.3 0.1",
                                        "resize 4x7"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) add(&spec, texts[i]);
    spec.augment = true;
    return spec;
}

/* Every byte of some epochs, one batch after another; free() it. */
static unsigned char *all_bytes(const tdm_loader_spec *spec, uint64_t epochs, size_t *n)
{
    tdm_loader *loader = support_loader(spec);
    const tdm_batch *b = NULL;
    unsigned char *bytes = NULL;
    size_t capacity = 0;
    *n = 0;
    for (uint64_t epoch = 0; epoch < epochs;) {
        support_ok(tdm_loader_next(loader, &b));
        if (!b) epoch++;
        for (size_t i = 0; b && i < b->n_arrays; i++) {
            const size_t size = b->count * b->arrays[i].sample_bytes;
            support_ok(tdm__grow(&bytes, &capacity, *n + size, 1));
            memcpy(bytes + *n, b->arrays[i].data, size);
            *n += size;
        }
    }
    tdm_loader_destroy(&loader);
    return bytes;
}

START_TEST(workers_modes_and_layouts_give_the_same_bytes)
{
    unsigned char *first = NULL;
    size_t n_first = 0;
    for (support_layout l = 0; l < LAYOUTS; l++) {
        support_set x = support_set_open(70, l, &support_no_flaw);
        for (size_t w = 0; w < 3; w++)
            for (int memory = 0; memory < 2; memory++) {
                tdm_loader_spec spec = augmented(&x, worker_counts[w]);
                size_t n = 0;
                spec.in_memory = memory;
                unsigned char *bytes = all_bytes(&spec, 2, &n);
                ck_assert_uint_eq(n, 2 * 70 * (4 * 7 * 3 + 4 + 4 * 7 * 4));
                if (!first) first = bytes, n_first = n;
                ck_assert_uint_eq(n, n_first);
                ck_assert_mem_eq(bytes, first, n);
                if (bytes != first) free(bytes);
            }
        support_set_close(&x);
    }
    free(first);
}
END_TEST

/* Large samples, so that a batch's images are divided among the workers. */
START_TEST(parts_of_a_batch_are_drawn_alike)
{
    enum { N = 12, SIDE = 200 };
    char *folder = support_temp_create(), *path = support_path(folder, "big.h5");
    uint8_t *pixels = malloc((size_t)N * SIDE * SIDE);
    tdm__h5_writer *w = NULL;
    tdm_split *split = NULL;
    unsigned char *first = NULL;
    size_t set;
    for (size_t i = 0; i < (size_t)N * SIDE * SIDE; i++) pixels[i] = (uint8_t)support_mix(i, 0, 5);
    support_ok(tdm__h5_writer_create(path, &w));
    support_ok(tdm__h5_writer_add(w,
                                  &(tdm__h5_spec){.name = "images",
                                                  .elem = tdm__elem_host(TDM__ELEM_UINT, 1),
                                                  .rank = 2,
                                                  .dims = {SIDE, SIDE},
                                                  .deflate = 1},
                                  &set));
    support_ok(tdm__h5_writer_append(w, set, pixels, N));
    support_ok(tdm__h5_writer_commit(w));
    tdm__h5_writer_destroy(&w);
    support_ok(tdm_split_open(&(tdm_split_spec){.path = path}, "train", &split));
    for (unsigned workers = 0; workers < 5; workers++) {
        tdm_loader_spec spec = {.split = split, .batch_size = 5, .workers = workers};
        size_t n = 0;
        spec.shuffle = spec.augment = true;
        add(&spec, "scale 1 1.7");
        add(&spec, "rotate90");
        unsigned char *bytes = all_bytes(&spec, 1, &n);
        if (!first) first = bytes;
        ck_assert_mem_eq(bytes, first, n);
        if (bytes != first) free(bytes);
    }
    free(first);
    free(pixels);
    tdm_split_destroy(&split);
    free(path);
    support_temp_remove(folder);
}
END_TEST

/* One sample's image, by hand: numbers from (seed, stream, epoch, row) alone. */
static void check_image(const tdm_loader_spec *spec, const uint8_t *stored, const tdm_batch *b,
                        uint64_t k)
{
    tdm_array_info info = {.name = "images", .kind = TDM_ARRAY_IMAGE, .rank = 3, .dims = {H, W, C}};
    const tdm_array_info frame = info;
    tdm__mapped mapped;
    tdm__draw d;
    void *work = NULL;
    size_t room;
    uint8_t want[4 * 7 * C];
    tdm__rng rng = tdm__rng_make(
        spec->seed, tdm__rng_stream("data.transform", tdm__rng_stream("", 0, 0), b->epoch));
    rng.index = b->rows[k] * 256;
    tdm__transform_draw(&spec->transforms, (uint32_t[]){H, W}, true, &rng, &d);
    support_ok(tdm__transform_map(&spec->transforms, &frame, NULL, TDM_U8, &info, &mapped));
    support_ok(tdm__transform_room(&spec->transforms, &mapped, &room));
    support_ok(tdm__aligned_try(1, room, &work));
    tdm__transform_move(&mapped, &d.geometry, stored + b->rows[k] * PIXELS * C, want, work);
    tdm__transform_colours(d.colours, d.n_colours, TDM_U8, C, sizeof want / C, want, work);
    ck_assert_mem_eq((const uint8_t *)b->arrays[0].data + k * sizeof want, want, sizeof want);
    free(work);
}

START_TEST(a_sample_depends_on_seed_stream_epoch_and_row_alone)
{
    enum { N = 40 };
    support_set x = support_set_open(N, STORED, &support_no_flaw);
    uint8_t *stored = malloc(N * PIXELS * C);
    tdm_loader_spec plain = support_loader_spec(&x, 0), spec = augmented(&x, 2);
    const tdm_batch *b = NULL;
    plain.shuffle = false;
    plain.batch_size = N;
    tdm_loader *loader = support_loader(&plain);
    support_ok(tdm_loader_next(loader, &b));
    memcpy(stored, b->arrays[0].data, N * PIXELS * C);
    tdm_loader_destroy(&loader);
    loader = support_loader(&spec);
    support_ok(tdm_loader_seek(loader, 3, 1));
    for (int batch = 0; batch < 4; batch++) {
        support_ok(tdm_loader_next(loader, &b));
        for (uint64_t k = 0; b && k < b->count; k++) check_image(&spec, stored, b, k);
    }
    tdm_loader_destroy(&loader);
    free(stored);
    support_set_close(&x);
}
END_TEST

/* Arrays are announced as they will be delivered; without training only sizes act. */
START_TEST(shapes_are_known_before_reading)
{
    support_set x = support_set_open(20, STORED, &support_no_flaw);
    tdm_loader_spec spec = augmented(&x, 0);
    size_t n = 0;
    tdm_loader *loader = support_loader(&spec);
    const tdm_batch_array *a = tdm_loader_arrays(loader, &n);
    ck_assert(a[0].rank == 4 && a[0].dims[1] == 4 && a[0].dims[2] == 7 && a[0].dims[3] == C);
    ck_assert(a[0].sample_bytes == 4 * 7 * C && a[2].sample_bytes == 4 * 7 * 4);
    ck_assert(a[1].sample_bytes == 4); /* labels */
    tdm_loader_destroy(&loader);
    spec.augment = false;
    spec.transforms.n = 4; /* flip, vflip, rotate90, scale */
    spec.shuffle = false;
    loader = support_loader(&spec);
    support_check_epoch(&spec, loader, 0, 0);
    tdm_loader_destroy(&loader);
    spec.transforms.n = 0;
    add(&spec, "crop 12");
    support_fails(tdm_loader_create(&spec, &loader), TDM_ERR_CONFIG, "crop 12x12 of 'images'");
    support_set_close(&x);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("loader_transform");
    TCase *tc = tcase_create("loader_transform");
    tcase_add_test(tc, workers_modes_and_layouts_give_the_same_bytes);
    tcase_add_test(tc, parts_of_a_batch_are_drawn_alike);
    tcase_add_test(tc, a_sample_depends_on_seed_stream_epoch_and_row_alone);
    tcase_add_test(tc, shapes_are_known_before_reading);
    suite_add_tcase(suite, tc);
    return support_run(suite);
}
