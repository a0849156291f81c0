/* Which rows make up a split; repacked data sets; the data.* options. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "support/loader_fixture.h"

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
    free(support_set_write(folder, "train.h5", 100, STORED, &support_no_flaw));
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
    free(support_set_write(folder, "train.h5", 100, STORED, &support_no_flaw));
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
                                   .arrays = support_three,
                                   .n_arrays = 3,
                                   .batch_size = 5,
                                   .shuffle = true,
                                   .workers = 1};
    tdm_loader *loader = support_loader(&loader_spec);
    support_check_epoch(&loader_spec, loader, 0, 0); /* all arrays give the same rows */
    tdm_loader_destroy(&loader);
    loader_spec.in_memory = true;
    loader = support_loader(&loader_spec);
    support_check_epoch(&loader_spec, loader, 0, 0);
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

/* Samples of each class among the chosen; in_split marks them. */
static uint64_t draw_fraction(const tdm_split_spec *spec, const float *labels, bool *in_split,
                              uint64_t counts[CLASSES])
{
    tdm_split *split = NULL;
    support_ok(tdm_split_open(spec, "train", &split));
    const uint64_t n = tdm_split_length(split);
    memset(counts, 0, CLASSES * sizeof *counts);
    for (uint64_t i = 0; i < n; i++) {
        const uint64_t row = tdm_split_row(split, i);
        if (i) ck_assert_uint_lt(tdm_split_row(split, i - 1), row);
        in_split[row] = true;
        counts[(int)labels[row]]++;
    }
    tdm_split_destroy(&split);
    return n;
}

START_TEST(fractions_are_nested_and_stratified)
{
    enum { ROWS = 500 };
    static const double fractions[] = {0.02, 0.1, 0.25, 0.5, 0.9, 1};
    char *folder = support_temp_create();
    free(support_set_write(folder, "train.h5", ROWS, STORED, &support_no_flaw));
    tdm_split_spec spec = {.path = folder, .seed = 3};
    float labels[ROWS];
    bool before[ROWS] = {false}, again[ROWS] = {false}, other[ROWS] = {false};
    uint64_t rows[ROWS], all[CLASSES], counts[CLASSES];
    tdm_dataset *data = NULL;
    size_t array;
    support_ok(tdm_dataset_open(folder, "train", &data));
    support_ok(tdm_dataset_find(data, "labels", &array));
    for (uint64_t i = 0; i < ROWS; i++) rows[i] = i;
    support_ok(tdm_dataset_read(data, array, rows, ROWS, labels));
    tdm_dataset_destroy(&data);
    draw_fraction(&spec, labels, again, all);
    for (size_t f = 0; f < sizeof fractions / sizeof *fractions; f++) {
        bool chosen[ROWS] = {false};
        spec.fraction = fractions[f];
        const uint64_t n = draw_fraction(&spec, labels, chosen, counts);
        ck_assert_uint_eq(n, (uint64_t)(fractions[f] * ROWS + 0.5));
        for (int i = 0; i < ROWS; i++) ck_assert(chosen[i] || !before[i]);
        memcpy(before, chosen, sizeof before);
        for (int c = 0; c < CLASSES; c++) {
            const double share = fractions[f] * (double)all[c];
            ck_assert_msg(fabs((double)counts[c] - share) <= 1.5, "%g: class %d: %d of %d",
                          fractions[f], c, (int)counts[c], (int)all[c]);
        }
    }
    /* the same again; other rows by another seed; without classes, in no such proportion */
    double worst = 0;
    bool plain[ROWS] = {false}, half[ROWS] = {false};
    spec.fraction = 0.5;
    memset(again, 0, sizeof again);
    draw_fraction(&spec, labels, half, counts);
    draw_fraction(&spec, labels, again, counts);
    ck_assert_mem_eq(half, again, sizeof half);
    spec.seed = 4;
    draw_fraction(&spec, labels, other, counts);
    ck_assert_mem_ne(half, other, sizeof half);
    spec.stratify = "none";
    draw_fraction(&spec, labels, plain, counts);
    for (int c = 0; c < CLASSES; c++)
        worst = fmax(worst, fabs((double)counts[c] - 0.5 * (double)all[c]));
    ck_assert_double_gt(worst, 1.5);
    support_temp_remove(folder);
}
END_TEST

START_TEST(fractions_that_cannot_be)
{
    char *folder = support_temp_create();
    free(support_set_write(folder, "train.h5", 40, STORED, &support_no_flaw));
    free(support_set_write(folder, "val.h5", 20, STORED, &support_no_flaw));
    tdm_split *split = NULL;
    tdm_split_spec spec = {.path = folder, .fraction = 0.01};
    support_fails(tdm_split_open(&spec, "train", &split), TDM_ERR_CONFIG, "of 40 samples is none");
    spec.fraction = 1.5;
    support_fails(tdm_split_open(&spec, "train", &split), TDM_ERR_CONFIG, "must be in (0, 1]");
    spec.fraction = 0.5;
    spec.num_samples = 3;
    support_fails(tdm_split_open(&spec, "train", &split), TDM_ERR_CONFIG, "only one of the two");
    spec.num_samples = 0;
    spec.stratify = "depth";
    support_fails(tdm_split_open(&spec, "train", &split), TDM_ERR_CONFIG, "must be of classes");
    spec.stratify = "label";
    support_fails(tdm_split_open(&spec, "train", &split), TDM_ERR_CONFIG, "labels");
    /* val is what it was */
    spec.stratify = "labels";
    support_ok(tdm_split_open(&spec, "val", &split));
    ck_assert_uint_eq(tdm_split_length(split), 20);
    tdm_split_destroy(&split);
    support_temp_remove(folder);
}
END_TEST

START_TEST(the_data_sets_own_splits_come_first)
{
    char *folder = support_temp_create();
    char *train = support_set_write(folder, "train.h5", 20, STORED, &support_no_flaw);
    free(support_set_write(folder, "val.h5", 10, CONTIGUOUS, &support_no_flaw));
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

/* ---- repacking ------------------------------------------------------------------------------- */

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
    support_put_array(file, "labels", 1, (hsize_t[]){WIDE_ROWS}, H5T_STD_I32BE, H5T_NATIVE_INT32,
                      labels);
    H5Dclose(set);
    H5Pclose(plist);
    H5Sclose(space);
    H5Fclose(file);
}

static void check_wide(const tdm_split *split, const uint8_t *pixels, const int32_t *labels)
{
    tdm_loader_spec spec = {.split = split, .batch_size = 16, .shuffle = true, .workers = 2};
    tdm_loader *loader = support_loader(&spec);
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
    for (uint64_t i = 0; i < WIDE_ROWS * WIDE * WIDE; i++)
        pixels[i] = (uint8_t)support_mix(i, 0, 6);
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

/* ---- real files ------------------------------------------------------------------------------ */

/* The pets' four files: deflated by sample, contiguous, float boxes. What the loader delivers is
 * what reading row by row gives, for every worker count; num_samples takes the same rows of
 * each. */
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
        tdm_loader *loader = support_loader(&loader_spec);
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

/* ---- options --------------------------------------------------------------------------------- */

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

int main(void)
{
    Suite *suite = suite_create("split");
    TCase *tc = tcase_create("split");
    tcase_add_test(tc, drawn_splits_are_exact_disjoint_and_repeatable);
    tcase_add_test(tc, a_number_of_samples_is_drawn_without_replacement_and_sorted);
    tcase_add_test(tc, fractions_are_nested_and_stratified);
    tcase_add_test(tc, fractions_that_cannot_be);
    tcase_add_test(tc, the_data_sets_own_splits_come_first);
    tcase_add_test(tc, cut_chunks_are_repacked_once);
    tcase_add_test(tc, the_pets_files_load_aligned);
    tcase_add_test(tc, options_fill_the_specs);
    suite_add_tcase(suite, tc);
    return support_run(suite);
}
