/* Tests of importing CIFAR-10 and CIFAR-100: made-up records, and the real ones where they are. */
#include <stdlib.h>
#include <string.h>
#include <tandem/dataset.h>
#include <unistd.h>

#include "base/file.h"
#include "data/dataset.h"
#include "format/cifar.h"
#include "support/import_check.h"
#include "support/import_fixture.h"

/* Byte k of the image planes of record r: channel, row and column all matter. */
static uint8_t plane_byte(uint64_t r, size_t k)
{
    return (uint8_t)((r * 13 + k * 7 + k / 1024 * 31 + k / 32) % 251);
}

/* n records with 1 or 2 labels a record; `seed` tells files apart. Fine label f belongs to the
 * coarse label f / 5. */
static void write_records(const char *where, const char *name, unsigned labels, uint64_t n,
                          uint64_t seed)
{
    size_t size = labels + TDM__CIFAR_IMAGE;
    uint8_t *bytes = malloc(n * size + 1);
    for (uint64_t r = 0; r < n; r++) {
        uint8_t *record = bytes + r * size, fine = (uint8_t)((r * 3 + seed) % 100);
        record[0] = labels == 1 ? (uint8_t)((r + seed) % 10) : fine / 5;
        if (labels == 2) record[1] = fine;
        for (size_t k = 0; k < TDM__CIFAR_IMAGE; k++) record[labels + k] = plane_byte(r + seed, k);
    }
    char *path = support_path(where, name);
    support_write(path, bytes, n * size);
    free(path);
    free(bytes);
}

static void write_names(const char *where, const char *name, int n, const char *end)
{
    char text[4096];
    size_t at = 0;
    for (int i = 0; i < n; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "class %d%s", i, end);
    char *path = support_path(where, name);
    support_write_text(path, text);
    free(path);
}

static void set_byte(const char *name, size_t at, uint8_t value)
{
    size_t n;
    char *path = support_path(source, name), *bytes = support_read(path, &n);
    ck_assert_uint_lt(at, n);
    bytes[at] = (char)value;
    support_write(path, bytes, n);
    free(bytes);
    free(path);
}

static void make_cifar100(void)
{
    write_records(source, "train.bin", 2, 700, 0);
    write_records(source, "test.bin", 2, 40, 1);
    write_names(source, "fine_label_names.txt", 100, "\r\n");
    write_names(source, "coarse_label_names.txt", 20, "\n");
}

/* Image `row` of the split is record `record`, with the planes interleaved. */
static void check_image(const tdm_dataset *ds, uint64_t row, uint64_t record)
{
    size_t array;
    uint8_t image[TDM__CIFAR_IMAGE];
    support_ok(tdm_dataset_find(ds, "images", &array));
    support_ok(tdm__dataset_read_rows(ds, array, &row, 1, TDM__TO_U8, image));
    for (size_t i = 0; i < TDM__CIFAR_PIXELS; i++)
        for (size_t c = 0; c < 3; c++)
            ck_assert_uint_eq(image[3 * i + c], plane_byte(record, c * 1024 + i));
}

static float label_at(const tdm_dataset *ds, const char *name, uint64_t row)
{
    size_t array;
    float value;
    support_ok(tdm_dataset_find(ds, name, &array));
    support_ok(tdm_dataset_read(ds, array, &row, 1, &value));
    return value;
}

/* Some of the five files, in the folder that the archive unpacks to; more records than a block. */
START_TEST(cifar10)
{
    char *inner = support_path(source, "cifar-10-batches-bin");
    support_ok(tdm__make_folders(inner));
    write_records(inner, "data_batch_1.bin", 1, 520, 0);
    write_records(inner, "data_batch_3.bin", 1, 30, 1000);
    write_records(inner, "test_batch.bin", 1, 12, 7);
    write_names(inner, "batches.meta.txt", 10, "\n");
    support_ok(tdm_data_import("cifar10", source, out, NULL, NULL));
    tdm_dataset *ds = NULL;
    size_t array;
    support_ok(tdm_dataset_open(out, "train", &ds));
    ck_assert_uint_eq(tdm_dataset_length(ds), 550);
    ck_assert_uint_eq(tdm_dataset_arrays(ds), 2);
    check_image(ds, 0, 0);
    check_image(ds, 519, 519);
    check_image(ds, 520, 1000);
    check_image(ds, 549, 1029);
    for (uint64_t i = 0; i < 550; i++)
        ck_assert(label_at(ds, "labels", i) == (float)((i < 520 ? i : i + 480) % 10));
    support_ok(tdm_dataset_find(ds, "labels", &array));
    ck_assert_uint_eq(tdm_dataset_array(ds, array)->classes, 10);
    ck_assert_str_eq(tdm_dataset_array(ds, array)->class_names[9], "class 9");
    support_ok(tdm_dataset_find(ds, "images", &array));
    ck_assert_double_eq(tdm_dataset_array(ds, array)->amplification, 1);
    tdm_dataset_destroy(&ds);
    support_ok(tdm_dataset_open(out, "test", &ds));
    ck_assert_uint_eq(tdm_dataset_length(ds), 12);
    check_image(ds, 11, 18);
    tdm_dataset_destroy(&ds);
    free(inner);
}
END_TEST

START_TEST(cifar100)
{
    make_cifar100();
    support_ok(tdm_data_import("cifar100", source, out, NULL, NULL));
    tdm_dataset *ds = NULL;
    support_ok(tdm_dataset_open(out, "train", &ds));
    ck_assert_uint_eq(tdm_dataset_length(ds), 700);
    check_image(ds, 699, 699);
    for (uint64_t i = 0; i < 700; i++) {
        ck_assert(label_at(ds, "fine", i) == (float)(i * 3 % 100));
        ck_assert(label_at(ds, "coarse", i) == (float)(i * 3 % 100 / 5));
    }
    size_t coarse, fine;
    support_ok(tdm_dataset_find(ds, "coarse", &coarse));
    support_ok(tdm_dataset_find(ds, "fine", &fine));
    ck_assert_uint_eq(tdm_dataset_array(ds, coarse)->classes, 20);
    ck_assert_uint_eq(tdm_dataset_array(ds, fine)->classes, 100);
    ck_assert_str_eq(tdm_dataset_array(ds, fine)->class_names[99], "class 99");
    ck_assert_str_eq(tdm_dataset_array(ds, fine)->group, "coarse");
    for (int i = 0; i < 100; i++) ck_assert_int_eq(tdm_dataset_array(ds, fine)->group_of[i], i / 5);
    ck_assert_ptr_null(tdm_dataset_array(ds, coarse)->group);
    ck_assert_ptr_null(tdm_dataset_array(ds, coarse)->group_of);
    tdm_dataset_destroy(&ds);
}
END_TEST

/* A hundred classes are summed up in text, and written out in JSON. */
START_TEST(info)
{
    char *text = NULL;
    make_cifar100();
    support_ok(tdm_data_import("cifar100", source, out, NULL, NULL));
    support_ok(tdm_data_info(out, false, &text));
    const char *const parts[] = {
        "train: 700 samples, from cifar100", "classes: 20\n", "counts: 0 (class 0) 35, 1 (class 1)",
        "classes: 100, from class 0 to class 99; each belongs to a class of coarse\n",
        "counts: 100 of 100 classes occur, each 7 times\n",
        /* test: records 0..39 have the fine labels 1, 4, ..., 97, 0, 3, ..., 18 */
        "counts: 40 of 100 classes occur, each 1 times\n"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        ck_assert_msg(strstr(text, parts[i]) != NULL, "lacks %s: %s", parts[i], text);
    free(text);
    support_ok(tdm_data_info(out, true, &text));
    ck_assert_ptr_nonnull(strstr(text, "\"group\": \"coarse\""));
    ck_assert_ptr_nonnull(strstr(text, "\"99\": 7"));
    free(text);
    write_records(source, "data_batch_1.bin", 1, 30, 0);
    write_records(source, "test_batch.bin", 1, 3, 0);
    set_byte("data_batch_1.bin", 0, 9);
    char *other = support_path(folder, "other");
    support_ok(tdm_data_import("cifar10", source, other, NULL, NULL));
    support_ok(tdm_data_info(other, false, &text));
    ck_assert_ptr_nonnull(
        strstr(text, "counts: 0 2, 1 3, 2 3, 3 3, 4 3, 5 3, 6 3, 7 3, 8 3, 9 4\n"));
    free(text);
    free(other);
}
END_TEST

/* What a killed import left is removed, what a living one writes is not. */
START_TEST(sweeps)
{
    char mine[64], *dead = support_path(out, "train.h5.tmp-999999999-0"), *living;
    snprintf(mine, sizeof mine, "test.h5.tmp-%ld-9", (long)getpid());
    living = support_path(out, mine);
    char *unlike = support_path(out, "val.h5.tmp-999999999-0");
    support_ok(tdm__make_folders(out));
    support_write_text(dead, "half");
    support_write_text(living, "half");
    support_write_text(unlike, "half");
    make_cifar100();
    support_ok(tdm_data_import("cifar100", source, out, NULL, NULL));
    ck_assert(!tdm__path_exists(dead) && tdm__path_exists(living) && tdm__path_exists(unlike));
    free(dead);
    free(living);
    free(unlike);
}
END_TEST

START_TEST(refuses_files)
{
    support_fails(tdm_data_import("cifar10", source, out, NULL, NULL), TDM_ERR_DATA,
                  "data_batch_1.bin is not there (hint: the binary version");
    write_records(source, "data_batch_2.bin", 1, 20, 0);
    support_fails(tdm_data_import("cifar10", source, out, NULL, NULL), TDM_ERR_DATA,
                  "test_batch.bin is not there");
    write_records(source, "test_batch.bin", 1, 0, 0);
    support_fails(tdm_data_import("cifar10", source, out, NULL, NULL), TDM_ERR_DATA,
                  "test_batch.bin: has 0 bytes: must be a whole number of records of 3073 bytes");
    write_records(source, "test_batch.bin", 2, 2, 0); /* CIFAR-100's */
    support_fails(tdm_data_import("cifar10", source, out, NULL, NULL), TDM_ERR_DATA,
                  "has 6148 bytes: must be a whole number of records of 3073 bytes (2 and 2 bytes");
    write_records(source, "test_batch.bin", 1, 3, 0);
    set_byte("test_batch.bin", 2 * 3073, 10);
    support_fails(tdm_data_import("cifar10", source, out, NULL, NULL), TDM_ERR_DATA,
                  "test_batch.bin: record 2: label 10: must be in 0..9");
    ck_assert(!tdm_dataset_has_split(out, "train")); /* found before anything was written */
    set_byte("test_batch.bin", 2 * 3073, 9);
    write_names(source, "batches.meta.txt", 9, "\n");
    support_fails(tdm_data_import("cifar10", source, out, NULL, NULL), TDM_ERR_DATA,
                  "batches.meta.txt: has 9 names: must be 10");
    tdm_import_options options = {.size = 64};
    support_fails(tdm_data_import("cifar10", source, out, &options, NULL), TDM_ERR_USAGE,
                  "size 64: the images of cifar10 are 32 x 32");
    char *folder_instead = support_path(source, "data_batch_1.bin");
    support_ok(tdm__make_folders(folder_instead));
    support_fails(tdm_data_import("cifar10", source, out, NULL, NULL), TDM_ERR_DATA,
                  "data_batch_1.bin: must be a file");
    free(folder_instead);
}
END_TEST

START_TEST(refuses_labels)
{
    make_cifar100();
    set_byte("train.bin", 600 * 3074 + 1, 100);
    support_fails(tdm_data_import("cifar100", source, out, NULL, NULL), TDM_ERR_DATA,
                  "train.bin: record 600: fine label 100: must be in 0..99");
    set_byte("train.bin", 600 * 3074, 20);
    support_fails(tdm_data_import("cifar100", source, out, NULL, NULL), TDM_ERR_DATA,
                  "record 600: coarse label 20: must be in 0..19");
    /* Record 600 has fine label 0, as record 0 has: it cannot be of another coarse class. */
    set_byte("train.bin", 600 * 3074, 3);
    set_byte("train.bin", 600 * 3074 + 1, 0);
    support_fails(tdm_data_import("cifar100", source, out, NULL, NULL), TDM_ERR_DATA,
                  "train.bin: record 600: fine label 0 has the coarse label 3, but 0 in record 0");
    set_byte("train.bin", 600 * 3074, 0);
    set_byte("test.bin", 3074, 19); /* the same across files: fine label 4 */
    support_fails(tdm_data_import("cifar100", source, out, NULL, NULL), TDM_ERR_DATA,
                  "test.bin: record 1: fine label 4 has the coarse label 19, but 0 in record");
    set_byte("test.bin", 3074, 0);
    support_ok(tdm_data_import("cifar100", source, out, NULL, NULL));
}
END_TEST

static int stop_in_test(void *user, const char *what, uint64_t done, uint64_t total)
{
    (void)done, (void)total;
    ++*(int *)user;
    return !strcmp(what, "test");
}

/* A run that is stopped keeps the splits it finished; the next one writes only the others. */
START_TEST(resumes)
{
    int calls = 0;
    size_t n;
    tdm_import_options options = {.progress = stop_in_test, .user = &calls};
    tdm_import_result result;
    char **names = NULL, *train = support_path(out, "train.h5"), *before, *after;
    make_cifar100();
    support_fails(tdm_data_import("cifar100", source, out, &options, NULL), TDM_ERR_INTERRUPTED,
                  "stopped at test 0 of 40");
    support_ok(tdm__list_folder(out, &names, &n));
    ck_assert_uint_eq(n, 1);
    ck_assert_str_eq(names[0], "train.h5");
    tdm__names_free(names, n);
    set_byte("train.bin", 2, 77); /* would show if train were written again */
    before = support_read(train, &n);
    support_ok(tdm_data_import("cifar100", source, out, NULL, &result));
    after = support_read(train, NULL);
    ck_assert_mem_eq(before, after, n);
    ck_assert(!result.existed);
    ck_assert_uint_eq(result.kept, 1);
    support_ok(tdm_data_import("cifar100", source, out, NULL, &result));
    ck_assert(result.existed);
    ck_assert_uint_eq(result.kept, 2);
    /* A damaged file is written again. */
    support_write(train, before, 1000);
    support_ok(tdm_data_import("cifar100", source, out, NULL, &result));
    ck_assert_uint_eq(result.kept, 1);
    write_records(source, "data_batch_1.bin", 1, 20, 0);
    write_records(source, "test_batch.bin", 1, 20, 0);
    support_fails(tdm_data_import("cifar10", source, out, NULL, NULL), TDM_ERR_DATA,
                  "train holds another data set (cifar100)");
    free(before);
    free(after);
    free(train);
}
END_TEST

START_TEST(real)
{
    const char *data = support_data_dir("real cifar");
    if (!data) return;
    char *c10 = support_path(data, "cifar-10"), *c100 = support_path(data, "cifar-100");
    char *out10 = support_path(out, "10"), *out100 = support_path(out, "100");
    support_ok(tdm_data_import("cifar10", c10, out10, NULL, NULL));
    support_ok(tdm_data_import("cifar100", c100, out100, NULL, NULL));
    for (int i = 0; i < 2; i++) {
        import_check_split(out10, &golden_cifar10[i], (const char *const[3]){"labels"});
        import_check_split(out100, &golden_cifar100[i], (const char *const[3]){"coarse", "fine"});
    }
    free(c10);
    free(c100);
    free(out10);
    free(out100);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("import_cifar");
    TCase *tc = tcase_create("import_cifar");
    tcase_add_checked_fixture(tc, import_setup_source, import_teardown);
    tcase_add_test(tc, cifar10);
    tcase_add_test(tc, cifar100);
    tcase_add_test(tc, info);
    tcase_add_test(tc, sweeps);
    tcase_add_test(tc, refuses_files);
    tcase_add_test(tc, refuses_labels);
    tcase_add_test(tc, resumes);
    tcase_add_test(tc, real);
    suite_add_tcase(suite, tc);
    return support_run(suite);
}
