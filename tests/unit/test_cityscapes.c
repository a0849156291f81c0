/* Tests of importing Cityscapes, on made-up files of its layout (the real ones may not be passed
 * on). */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <tandem/dataset.h>

#include "base/file.h"
#include "data/cityscapes.h"
#include "data/dataset.h"
#include "format/png.h"
#include "support/import_fixture.h"

/* Made-up files: WIDTH x HEIGHT, imported at half of it ------------------------------------------
 */

enum { WIDTH = 64, HEIGHT = 32, SIZE = 16, W = 32, H = 16 };

typedef unsigned value_fn(unsigned sample, unsigned x, unsigned y);

static unsigned colour(unsigned sample, unsigned x, unsigned y)
{
    return 20 * sample + 2 * x + y;
}

/* Road (7), a car (26) at x 8..23, y 8..15, another at x 40..47, y 4..27, licence plate, rail. */
static bool first_car(unsigned x, unsigned y)
{
    return x >= 8 && x < 24 && y >= 8 && y < 16;
}
static bool second_car(unsigned x, unsigned y)
{
    return x >= 40 && x < 48 && y >= 4 && y < 28;
}

static unsigned label_id(unsigned sample, unsigned x, unsigned y)
{
    if (first_car(x, y) || second_car(x, y)) return 26;
    if (x >= 60) return y < 16 ? 255 : 10; /* neither is trained */
    return y < 4 ? 23 : sample == 1 ? 8 : 7;
}

static unsigned instance_id(unsigned sample, unsigned x, unsigned y)
{
    if (first_car(x, y)) return 26000;
    if (second_car(x, y)) return 26001;
    return label_id(sample, x, y) == 255 ? 0 : label_id(sample, x, y);
}

static unsigned disparity(unsigned sample, unsigned x, unsigned y)
{
    return (x + y) % 5 == 0 ? (x + y) % 2 : 1 + 256 * (1 + sample) + x * y;
}

static void put_png(const char *name, unsigned sample, unsigned width, unsigned bits,
                    unsigned channels, value_fn *value)
{
    tdm__image image = {width, HEIGHT, channels, bits,
                        malloc((size_t)width * HEIGHT * channels * bits / 8)};
    char *path = support_path(source, name), *where = NULL;
    size_t i = 0;
    for (unsigned y = 0; y < HEIGHT; y++)
        for (unsigned x = 0; x < width; x++)
            for (unsigned c = 0; c < channels; c++, i++) {
                if (bits == 8) ((uint8_t *)image.pixels)[i] = (uint8_t)value(sample, x, y);
                if (bits == 16) ((uint16_t *)image.pixels)[i] = (uint16_t)value(sample, x, y);
            }
    support_ok(tdm__path_dir(path, &where));
    support_ok(tdm__make_folders(where));
    support_ok(tdm__png_write(path, &image));
    free(where);
    free(path);
    tdm__image_free(&image);
}

static void name_of(char out_name[128], const char *kind, const char *split, const char *city,
                    unsigned sample, const char *ending)
{
    snprintf(out_name, 128, "%s/%s/%s/%s_%06u_000019_%s.png", kind, split, city, city, sample,
             ending);
}

static void put_sample(const char *split, const char *city, unsigned sample)
{
    char name[128];
    name_of(name, "leftImg8bit", split, city, sample, "leftImg8bit");
    put_png(name, sample, WIDTH, 8, 3, colour);
    name_of(name, "gtFine", split, city, sample, "gtFine_labelIds");
    put_png(name, sample, WIDTH, 8, 1, label_id);
    name_of(name, "gtFine", split, city, sample, "gtFine_instanceIds");
    put_png(name, sample, WIDTH, 16, 1, instance_id);
    name_of(name, "disparity", split, city, sample, "disparity");
    put_png(name, sample, WIDTH, 16, 1, disparity);
}

static void make_source(void)
{
    put_sample("train", "aachen", 0);
    put_sample("train", "aachen", 1);
    put_sample("train", "zurich", 2);
    put_sample("val", "bonn", 3);
}

static tdm_status import(void)
{
    return tdm_data_import("cityscapes", source, out, &(tdm_import_options){.size = SIZE}, NULL);
}

static void read_row(const tdm_dataset *ds, const char *array, uint64_t row, float *to)
{
    size_t index = 0;
    support_ok(tdm_dataset_find(ds, array, &index));
    support_ok(tdm_dataset_read(ds, index, &row, 1, to));
}

/* Sample `sample` as row `row` of the imported split. */
static void check_sample(const tdm_dataset *ds, uint64_t row, unsigned sample)
{
    static float images[W * H * 3], semantic[W * H], category[W * H], vector[W * H * 2],
        depth[W * H];
    read_row(ds, "images", row, images);
    read_row(ds, "semantic", row, semantic);
    read_row(ds, "category", row, category);
    read_row(ds, "instance", row, vector);
    read_row(ds, "disparity", row, depth);
    for (unsigned y = 0, i = 0; y < H; y++)
        for (unsigned x = 0; x < W; x++, i++) {
            const unsigned fx = 2 * x + 1, fy = 2 * y + 1; /* the nearest original pixel */
            const unsigned id = label_id(sample, fx, fy), p = disparity(sample, fx, fy);
            const float want = id == 26 ? 13 : id == 7 ? 0 : id == 8 ? 1 : id == 23 ? 10 : 255;
            ck_assert(semantic[i] == want);
            ck_assert(category[i] == (want == 13 ? 6 : want == 10 ? 4 : want <= 1 ? 0 : 255));
            if (x && x < W - 1 && y && y < H - 1) /* a linear ramp keeps its values */
                ck_assert(fabsf(images[3 * i] - ((float)colour(sample, 2 * x, 2 * y) + 1.5f)) <= 1);
            if (p > 1)
                ck_assert(depth[i] == (float)(p - 1) / 256);
            else
                ck_assert(isnan(depth[i]));
            /* The cars are x 4..11, y 4..7 and x 20..23, y 2..13 here. */
            if (first_car(fx, fy))
                ck_assert(vector[2 * i] == 7.5f - (float)x && vector[2 * i + 1] == 5.5f - (float)y);
            else if (second_car(fx, fy))
                ck_assert(vector[2 * i] == 21.5f - (float)x &&
                          vector[2 * i + 1] == 7.5f - (float)y);
            else
                ck_assert(isnan(vector[2 * i]) && isnan(vector[2 * i + 1]));
        }
}

START_TEST(made_up)
{
    static const struct {
        const char *name;
        tdm_array_kind kind;
        uint64_t channels, classes;
    } want[] = {{"category", TDM_ARRAY_MASK, 1, 7},
                {"disparity", TDM_ARRAY_DEPTH, 1, 0},
                {"images", TDM_ARRAY_IMAGE, 3, 0},
                {"instance", TDM_ARRAY_VALUES, 2, 0},
                {"semantic", TDM_ARRAY_MASK, 1, 19}};
    tdm_dataset *ds = NULL;
    make_source();
    support_ok(import());
    ck_assert_str_eq(log_text, "");
    support_ok(tdm_dataset_open(out, "train", &ds));
    ck_assert_uint_eq(tdm_dataset_length(ds), 3);
    ck_assert_uint_eq(tdm_dataset_arrays(ds), 5);
    for (size_t i = 0; i < 5; i++) {
        const tdm_array_info *a = tdm_dataset_array(ds, i);
        ck_assert_str_eq(a->name, want[i].name);
        ck_assert_int_eq(a->kind, want[i].kind);
        ck_assert_uint_eq(a->classes, want[i].classes);
        ck_assert(a->dims[0] == H && a->dims[1] == W && a->dims[2] == want[i].channels);
    }
    ck_assert_str_eq(tdm_dataset_array(ds, 4)->class_names[18], "bicycle");
    for (unsigned i = 0; i < 3; i++) check_sample(ds, i, i);
    tdm_dataset_destroy(&ds);
    support_ok(tdm_dataset_open(out, "val", &ds));
    ck_assert_uint_eq(tdm_dataset_length(ds), 1);
    check_sample(ds, 0, 3);
    tdm_dataset_destroy(&ds);
}
END_TEST

/* What a sample lacks is not known; what a whole release lacks is no array. */
START_TEST(partial)
{
    char name[128];
    float semantic[W * H], vector[W * H * 2], depth[W * H];
    tdm_dataset *ds = NULL;
    make_source();
    static const char *const endings[] = {"gtFine_labelIds", "gtFine_instanceIds"};
    for (int k = 0; k < 2; k++) {
        name_of(name, "gtFine", "train", "aachen", 1, endings[k]);
        char *path = support_path(source, name);
        ck_assert_int_eq(remove(path), 0);
        free(path);
    }
    name_of(name, "disparity", "train", "zurich", 2, "disparity");
    char *path = support_path(source, name);
    ck_assert_int_eq(remove(path), 0);
    free(path);
    support_ok(import());
    ck_assert_ptr_nonnull(
        strstr(log_text, "train: of 3 pictures 1 have no labels and 1 no disparity"));
    support_ok(tdm_dataset_open(out, "train", &ds));
    read_row(ds, "semantic", 1, semantic);
    read_row(ds, "instance", 1, vector);
    read_row(ds, "disparity", 2, depth);
    for (int i = 0; i < W * H; i++)
        ck_assert(semantic[i] == 255 && isnan(vector[2 * i + 1]) && isnan(depth[i]));
    check_sample(ds, 0, 0);
    tdm_dataset_destroy(&ds);
    support_ok(tdm__remove_tree(out));
    char *all = support_path(source, "disparity");
    support_ok(tdm__remove_tree(all));
    free(all);
    support_ok(import());
    ck_assert_ptr_nonnull(strstr(log_text, "disparity: is not there: no disparity is imported"));
    support_ok(tdm_dataset_open(out, "val", &ds));
    ck_assert_uint_eq(tdm_dataset_arrays(ds), 4);
    tdm_dataset_destroy(&ds);
}
END_TEST

static unsigned bad_label(unsigned sample, unsigned x, unsigned y)
{
    return sample + x + y == 0 ? 34 : 7;
}

START_TEST(refuses)
{
    char name[128], **names = NULL;
    size_t n = 0;
    make_source();
    name_of(name, "disparity", "train", "aachen", 0, "disparity");
    put_png(name, 0, WIDTH, 8, 1, colour);
    support_fails(import(), TDM_ERR_DATA, "has 1 channels of 8 bits: must be grey, of 16 bits");
    put_png(name, 0, WIDTH / 2, 16, 1, disparity);
    support_fails(import(), TDM_ERR_DATA, "has 32 x 32 pixels, the first picture 64 x 32");
    put_png(name, 0, WIDTH, 16, 1, disparity);
    name_of(name, "gtFine", "train", "aachen", 0, "gtFine_labelIds");
    put_png(name, 0, WIDTH, 8, 3, label_id);
    support_fails(import(), TDM_ERR_DATA, "labelIds.png: has 3 channels of 8 bits");
    put_png(name, 0, W, 8, 1, bad_label);
    support_fails(import(), TDM_ERR_DATA, "labelIds.png: has 32 x 32 pixels");
    put_png(name, 0, WIDTH, 8, 1, label_id);
    name_of(name, "gtFine", "train", "aachen", 0, "gtFine_instanceIds");
    put_png(name, 0, WIDTH, 8, 1, label_id);
    support_fails(import(), TDM_ERR_DATA, "instanceIds.png: has 1 channels of 8 bits");
    char *path = support_path(source, name);
    support_write_text(path, "no picture");
    support_fails(import(), TDM_ERR_DATA, "instanceIds.png: not a PNG");
    free(path);
    support_ok(tdm__list_folder(out, &names, &n));
    ck_assert_uint_eq(n, 0); /* no half files */
    tdm__names_free(names, n);
    path = support_path(source, "gtFine");
    support_ok(tdm__remove_tree(path));
    support_fails(import(), TDM_ERR_DATA, "no labels for any of 3 pictures");
    free(path);
    path = support_path(source, "leftImg8bit/train/aachen");
    support_ok(tdm__remove_tree(path));
    free(path);
    path = support_path(source, "leftImg8bit/train/zurich");
    support_ok(tdm__remove_tree(path));
    free(path);
    support_fails(import(), TDM_ERR_DATA, "leftImg8bit/train: holds no CITY/*_leftImg8bit.png");
    support_fails(
        tdm_data_import("cityscapes", source, out, &(tdm_import_options){.size = 4}, NULL),
        TDM_ERR_USAGE, "size 4: must be in 8..2048");
}
END_TEST

START_TEST(label_ids)
{
    uint8_t ids[2] = {33, 34}, classes[2], categories[2];
    const tdm__image image = {2, 1, 1, 8, ids};
    support_fails(tdm__city_classes(&image, "x.png", classes, categories), TDM_ERR_DATA,
                  "x.png: holds the label id 34");
    /* The 19 classes, and the category that the data set's scripts give each of them. */
    static const uint8_t want[][3] = {
        {7, 0, 0},   {8, 1, 0},   {11, 2, 1},  {12, 3, 1},  {13, 4, 1},  {17, 5, 2},  {19, 6, 2},
        {20, 7, 2},  {21, 8, 3},  {22, 9, 3},  {23, 10, 4}, {24, 11, 5}, {25, 12, 5}, {26, 13, 6},
        {27, 14, 6}, {28, 15, 6}, {31, 16, 6}, {32, 17, 6}, {33, 18, 6}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        ids[0] = ids[1] = want[i][0];
        support_ok(tdm__city_classes(&image, "x.png", classes, categories));
        ck_assert(classes[0] == want[i][1] && categories[0] == want[i][2]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cityscapes");
    TCase *tc = tcase_create("cityscapes");
    tcase_add_checked_fixture(tc, import_setup, import_teardown);
    tcase_add_test(tc, made_up);
    tcase_add_test(tc, partial);
    tcase_add_test(tc, refuses);
    tcase_add_test(tc, label_ids);
    suite_add_tcase(suite, tc);
    return support_run(suite);
}
