/* Tests of importing Omniglot: made-up pictures in folders and archives, and the real ones. */
#include <stdlib.h>
#include <string.h>
#include <tandem/dataset.h>

#include "base/file.h"
#include "base/str.h"
#include "data/dataset.h"
#include "format/png.h"
#include "support/import_check.h"
#include "support/make_zip.h"
#include "support/import_fixture.h"

enum { SIDE = 105 };

static uint8_t pixel_of(int character, int drawer, size_t i)
{
    return (uint8_t)((i * 7 + i / SIDE + (size_t)character * 50 + (size_t)drawer * 3) % 251);
}

/* The file's bytes of a made-up picture. */
static char *picture(int character, int drawer, uint32_t width, uint32_t height, size_t *n)
{
    tdm__image image;
    char *path = support_path(folder, "picture.png");
    support_ok(tdm__image_create(width, height, 1, 8, "test", &image));
    for (size_t i = 0; i < (size_t)width * height; i++)
        ((uint8_t *)image.pixels)[i] = pixel_of(character, drawer, i);
    support_ok(tdm__png_write(path, &image));
    char *bytes = support_read(path, n);
    tdm__image_free(&image);
    free(path);
    return bytes;
}

static void put_file(const char *name, const void *bytes, size_t n)
{
    char *path = support_path(source, name), *where = NULL;
    support_ok(tdm__path_dir(path, &where));
    support_ok(tdm__make_folders(where));
    support_write(path, bytes, n);
    free(where);
    free(path);
}

/* `n` drawings of a character, into a folder or (zip set) an archive. */
static void put_character(make_zip *zip, const char *part, const char *name, int character, int n)
{
    for (int d = 1; d <= n; d++) {
        char path[256];
        size_t size;
        char *bytes = picture(character, d - 1, SIDE, SIDE, &size);
        snprintf(path, sizeof path, "%s/%s/%04d_%02d.png", part, name, character, d);
        if (zip)
            make_zip_add(zip, path, bytes, size);
        else
            put_file(path, bytes, size);
        free(bytes);
    }
}

/* Characters 0..3 in the order of the classes; a space and a full stop sort before the slash that
 * ends "Beta". */
static void make_background(make_zip *zip)
{
    static const char part[] = "images_background";
    put_character(zip, part, "Beta/character10", 2, 6);
    put_character(zip, part, "Beta/character02", 1, 20);
    put_character(zip, part, "Beta (old)/character01", 3, 5);
    put_character(zip, part, "Alpha_x/character01", 0, 2);
}

static make_zip *begin_zip(const char *name)
{
    char *path = support_path(source, name);
    make_zip *zip = make_zip_begin(path);
    free(path);
    return zip;
}

static void make_evaluation_zip(void)
{
    make_zip *zip = begin_zip("images_evaluation.zip");
    make_zip_add(zip, "__MACOSX/images_evaluation/._x", "x", 1);
    make_zip_add(zip, "images_evaluation/README.txt", "x", 1);
    put_character(zip, "images_evaluation", "Aleph/character01", 4, 3);
    make_zip_end(zip);
}

static float value_at(const tdm_dataset *ds, const char *name, uint64_t row)
{
    size_t array;
    float value;
    support_ok(tdm_dataset_find(ds, name, &array));
    support_ok(tdm_dataset_read(ds, array, &row, 1, &value));
    return value;
}

/* Row: class, alphabet, made-up character, drawer; and the picture. */
static void check_row(const tdm_dataset *ds, uint64_t row, int class, int alphabet, int character,
                      int drawer)
{
    size_t array;
    uint8_t image[SIDE * SIDE];
    ck_assert(value_at(ds, "character", row) == (float)class);
    ck_assert(value_at(ds, "alphabet", row) == (float)alphabet);
    ck_assert(value_at(ds, "drawer", row) == (float)drawer);
    support_ok(tdm_dataset_find(ds, "images", &array));
    support_ok(tdm__dataset_read_rows(ds, array, &row, 1, TDM__TO_U8, image));
    for (size_t i = 0; i < sizeof image; i++)
        ck_assert_uint_eq(image[i], pixel_of(character, drawer, i));
}

/* A folder and an archive: classes in the order of alphabet, then character, over both. */
START_TEST(folder_and_archive)
{
    static const char *const characters[] = {"Aleph/character01", "Alpha_x/character01",
                                             "Beta/character02", "Beta/character10",
                                             "Beta (old)/character01"};
    static const int made[] = {4, 0, 1, 2, 3}, drawn[] = {3, 2, 20, 6, 5},
                     train[] = {2, 1, 16, 4, 4};
    static const int alphabet[] = {0, 1, 2, 2, 3};
    tdm_dataset *splits[2] = {NULL};
    uint64_t row[2] = {0};
    make_background(NULL);
    put_file("images_background/Beta/notes.txt", "x", 1);
    put_file("images_background/.DS_Store", "x", 1);
    make_evaluation_zip();
    support_ok(tdm_data_import("omniglot", source, out, NULL, NULL));
    support_ok(tdm_dataset_open(out, "train", &splits[0]));
    support_ok(tdm_dataset_open(out, "test", &splits[1]));
    for (int c = 0; c < 5; c++)
        for (int d = 0; d < drawn[c]; d++) {
            int split = d >= train[c];
            check_row(splits[split], row[split]++, c, alphabet[c], made[c], d);
        }
    for (int i = 0; i < 2; i++) {
        size_t array;
        ck_assert_uint_eq(tdm_dataset_length(splits[i]), row[i]);
        support_ok(tdm_dataset_find(splits[i], "character", &array));
        const tdm_array_info *info = tdm_dataset_array(splits[i], array);
        ck_assert_uint_eq(info->classes, 5);
        for (int c = 0; c < 5; c++) ck_assert_str_eq(info->class_names[c], characters[c]);
        ck_assert_str_eq(info->group, "alphabet");
        ck_assert_mem_eq(info->group_of, alphabet, sizeof alphabet);
        support_ok(tdm_dataset_find(splits[i], "alphabet", &array));
        ck_assert_uint_eq(tdm_dataset_array(splits[i], array)->classes, 4);
        ck_assert_str_eq(tdm_dataset_array(splits[i], array)->class_names[3], "Beta (old)");
        tdm_dataset_destroy(&splits[i]);
    }
}
END_TEST

static void same_files(const char *a, const char *b)
{
    size_t n, m;
    char *x = support_path(out, a), *y = support_path(out, b);
    char *p = support_read(x, &n), *q = support_read(y, &m);
    ck_assert_uint_eq(n, m);
    ck_assert_mem_eq(p, q, n);
    free(p);
    free(q);
    free(x);
    free(y);
}

/* Folder, archive, and the archive itself as the source: the same files, byte for byte. */
START_TEST(forms_agree)
{
    char *a = support_path(out, "a"), *b = support_path(out, "b"), *c = support_path(out, "c");
    make_background(NULL);
    support_ok(tdm_data_import("omniglot", source, a, NULL, NULL));
    support_ok(tdm__remove_tree(source));
    support_ok(tdm__make_folders(source));
    make_zip *zip = begin_zip("images_background.zip");
    make_background(zip);
    make_zip_end(zip);
    support_ok(tdm_data_import("omniglot", source, b, NULL, NULL));
    char *archive = support_path(source, "images_background.zip");
    support_ok(tdm_data_import("omniglot", archive, c, NULL, NULL));
    same_files("a/train.h5", "b/train.h5");
    same_files("a/test.h5", "b/test.h5");
    same_files("a/train.h5", "c/train.h5");
    free(archive);
    free(a);
    free(b);
    free(c);
}
END_TEST

START_TEST(sizes)
{
    tdm_import_options small = {.size = 28}, large = {.size = 32768 + 1};
    tdm_import_result result;
    tdm_dataset *ds = NULL;
    size_t array;
    make_background(NULL);
    support_fails(tdm_data_import("omniglot", source, out, &large, NULL), TDM_ERR_DATA,
                  "32769 x 32769 pixels: must be");
    support_ok(tdm_data_import("omniglot", source, out, &small, NULL));
    support_ok(tdm_dataset_open(out, "test", &ds));
    support_ok(tdm_dataset_find(ds, "images", &array));
    ck_assert_uint_eq(tdm_dataset_array(ds, array)->dims[0], 28);
    ck_assert_uint_eq(tdm_dataset_array(ds, array)->dims[1], 28);
    uint64_t last = tdm_dataset_length(ds) - 1; /* the last drawing of character 3 */
    uint8_t got[28 * 28];
    tdm__image made, want;
    support_ok(tdm__image_create(SIDE, SIDE, 1, 8, "test", &made));
    for (size_t i = 0; i < SIDE * SIDE; i++) ((uint8_t *)made.pixels)[i] = pixel_of(3, 4, i);
    support_ok(tdm__image_resize(&made, 28, 28, TDM__IMAGE_BILINEAR, &want));
    support_ok(tdm__dataset_read_rows(ds, array, &last, 1, TDM__TO_U8, got));
    ck_assert_mem_eq(got, want.pixels, sizeof got);
    tdm__image_free(&made);
    tdm__image_free(&want);
    tdm_dataset_destroy(&ds);
    support_ok(tdm_data_import("omniglot", source, out, &small, &result));
    ck_assert(result.existed);
    support_fails(tdm_data_import("omniglot", source, out, NULL, NULL), TDM_ERR_DATA,
                  "train holds images of size 28, not 105: nothing was changed");
}
END_TEST

static void import_fails(const char *part)
{
    support_fails(tdm_data_import("omniglot", source, out, NULL, NULL), TDM_ERR_DATA, part);
    ck_assert(!tdm_dataset_has_split(out, "test"));
}

/* One bad entry beside good ones, in a folder. Removes it again. */
static void bad_file(const char *name, const void *bytes, size_t n, const char *part)
{
    char *path = support_path(source, name);
    put_file(name, bytes, n);
    import_fails(part);
    remove(path);
    free(path);
}

START_TEST(refuses_pictures)
{
    size_t n, narrow_n;
    char *good = picture(1, 1, SIDE, SIDE, &n), *narrow = picture(1, 1, SIDE - 1, SIDE, &narrow_n);
    import_fails("holds neither images_background nor images_evaluation, .zip or folder");
    put_file("images_background/README", "x", 1);
    import_fails("holds no <Alphabet>/characterNN/NNNN_DD.png");
    make_background(NULL);
    bad_file("images_background/Beta/character02/0001_20.png", narrow, narrow_n,
             "0001_20.png: has 104 x 105 pixels: must have 105 x 105");
    bad_file("images_background/Beta/character02/0001_20.png", good, n / 2,
             "Beta/character02/0001_20.png: ");
    bad_file("images_background/Beta/character02/0001_20.png", "GIF89a", 6,
             "Beta/character02/0001_20.png: not a PNG");
    bad_file("images_background/Beta/character02/0001_20.png", "", 0, "not a PNG");
    bad_file("images_background/Beta/character02/0001_21.png", good, n,
             "Beta/character02/0001_21.png: the file must be named NNNN_DD.png, DD in 01..20");
    bad_file("images_background/Beta/character02/0001_00.png", good, n, "must be named");
    bad_file("images_background/Beta/character02/first.png", good, n, "must be named");
    bad_file("images_background/Beta/character77/0077_01.png", good, n,
             "character Beta/character77 has one picture: must have at least 2");
    free(good);
    free(narrow);
}
END_TEST

START_TEST(refuses_archives)
{
    size_t n, size;
    char *good = picture(1, 1, SIDE, SIDE, &n);
    char *path = support_path(source, "images_evaluation.zip");
    make_background(NULL);
    make_evaluation_zip();
    char *archive = support_read(path, &size);
    support_write(path, archive, size / 2);
    import_fails("images_evaluation.zip: cannot be read as a zip archive");
    char *directory = memmem(archive, size, "PK\1\2", 4);
    ck_assert_ptr_nonnull(directory);
    directory[-20] ^= 1; /* in the last picture */
    support_write(path, archive, size);
    import_fails("images_evaluation.zip: images_evaluation/Aleph/character01/0004_");
    make_zip *zip = begin_zip("images_evaluation.zip");
    make_zip_add(zip, "images_evaluation/../../x/0001_01.png", good, n);
    make_zip_end(zip);
    import_fails("must be relative, without '..'");
    zip = begin_zip("images_evaluation.zip");
    put_character(zip, "images_evaluation", "Beta/character02", 1, 1);
    make_zip_end(zip);
    import_fails("Beta/character02/0001_01.png is in ");
    free(archive);
    free(path);
    free(good);
}
END_TEST

static int stop_in_test(void *user, const char *what, uint64_t done, uint64_t total)
{
    (void)total;
    return !strcmp(what, user) && done > 0;
}

START_TEST(interrupted)
{
    char train[] = "train", test[] = "test";
    tdm_import_options options = {.progress = stop_in_test, .user = train};
    tdm_import_result result;
    make_background(NULL);
    support_fails(tdm_data_import("omniglot", source, out, &options, NULL), TDM_ERR_INTERRUPTED,
                  "importing omniglot: stopped at train");
    ck_assert(!tdm_dataset_has_split(out, "train"));
    options.user = test;
    support_fails(tdm_data_import("omniglot", source, out, &options, NULL), TDM_ERR_INTERRUPTED,
                  "stopped at test");
    char **names = NULL;
    size_t n;
    support_ok(tdm__list_folder(out, &names, &n));
    ck_assert_uint_eq(n, 1);
    ck_assert_str_eq(names[0], "train.h5");
    tdm__names_free(names, n);
    support_ok(tdm_data_import("omniglot", source, out, NULL, &result));
    ck_assert(!result.existed && result.kept == 1);
}
END_TEST

START_TEST(real)
{
    static const char *const labels[3] = {"character", "alphabet", "drawer"};
    const char *data = support_data_dir("real omniglot");
    if (!data) return;
    char *from = support_path(data, "omniglot");
    support_ok(tdm_data_import("omniglot", from, out, NULL, NULL));
    for (int i = 0; i < 2; i++) import_check_split(out, &golden_omniglot[i], labels);
    tdm_dataset *ds = NULL;
    size_t array;
    support_ok(tdm_dataset_open(out, "train", &ds));
    support_ok(tdm_dataset_find(ds, "character", &array));
    ck_assert_uint_eq(tdm_dataset_array(ds, array)->classes, 1623);
    ck_assert_str_eq(tdm_dataset_array(ds, array)->class_names[1622], "ULOG/character26");
    ck_assert_int_eq(tdm_dataset_array(ds, array)->group_of[1622], 49);
    tdm_dataset_destroy(&ds);
    free(from);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("import_omniglot");
    TCase *tc = tcase_create("import_omniglot");
    tcase_add_checked_fixture(tc, import_setup_source, import_teardown);
    tcase_add_test(tc, folder_and_archive);
    tcase_add_test(tc, forms_agree);
    tcase_add_test(tc, sizes);
    tcase_add_test(tc, refuses_pictures);
    tcase_add_test(tc, refuses_archives);
    tcase_add_test(tc, interrupted);
    tcase_add_test(tc, real);
    suite_add_tcase(suite, tc);
    return support_run(suite);
}
