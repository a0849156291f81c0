/* Tests of importing Oxford-IIIT Pet: made-up files of its layout with its quirks, the real ones,
 * and the four-file layout that others have made of them. */
#include <libdeflate.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <tandem/dataset.h>

#include "base/file.h"
#include "data/dataset.h"
#include "format/png.h"
#include "../ref/pets_golden.h"
#include "support/import_fixture.h"
#include "support/jpeg_fixture.h"

/* Made-up files ----------------------------------------------------------------------------------
 */

enum { WIDTH = 32, HEIGHT = 16 };

static void put_text(const char *name, const char *text)
{
    char *path = support_path(source, name);
    support_write_text(path, text);
    free(path);
}

typedef uint8_t value_fn(unsigned x, unsigned y);

/* Writes a PNG; those of the same make are encoded (and synced to the disk) once. */
static void put_png(const char *name, unsigned width, unsigned height, unsigned channels,
                    value_fn *value)
{
    static struct {
        unsigned width, height, channels;
        value_fn *value;
        char bytes[4096];
        size_t size;
    } last;
    char *path = support_path(source, name);
    if (last.width != width || last.height != height || last.channels != channels ||
        last.value != value) {
        tdm__image image = {width, height, channels, 8, malloc((size_t)width * height * channels)};
        uint8_t *p = image.pixels;
        for (unsigned y = 0; y < height; y++)
            for (unsigned x = 0; x < width; x++)
                for (unsigned c = 0; c < channels; c++) *p++ = value(x, y);
        support_ok(tdm__png_write(path, &image));
        char *bytes = support_read(path, &last.size);
        ck_assert_uint_le(last.size, sizeof last.bytes);
        memcpy(last.bytes, bytes, last.size);
        free(bytes);
        last.width = width, last.height = height, last.channels = channels, last.value = value;
        tdm__image_free(&image);
    }
    support_write(path, last.bytes, last.size);
    free(path);
}

/* Animal in x 8..15, y 4..11, a border of four pixels to its right. */
static uint8_t ring(unsigned x, unsigned y)
{
    if (y < 4 || y >= 12 || x < 8 || x >= 20) return 2;
    return x < 16 ? 1 : 3;
}

static uint8_t nothing(unsigned x, unsigned y)
{
    return (void)x, (void)y, 2;
}

static uint8_t wrong(unsigned x, unsigned y)
{
    return x == 3 && y == 3 ? 0 : 2;
}

static void put_pet(const char *name)
{
    char file[128];
    snprintf(file, sizeof file, "images/%s.jpg", name);
    support_jpeg_write(source, file, &(support_jpeg){WIDTH, HEIGHT, JCS_RGB, 0});
    snprintf(file, sizeof file, "annotations/trimaps/%s.png", name);
    put_png(file, WIDTH, HEIGHT, 1, ring);
}

static void put_head(const char *name, int xmax)
{
    char file[128], text[512];
    snprintf(file, sizeof file, "annotations/xmls/%s.xml", name);
    snprintf(text, sizeof text,
             "<annotation><size><width>32</width><height>16</height></size><object><bndbox>"
             "<xmin>9</xmin><ymin>5</ymin><xmax>%d</xmax><ymax>8</ymax></bndbox></object>"
             "</annotation>",
             xmax);
    put_text(file, text);
}

/* 20 Abyssinians (cats, breed 1), 10 beagles (dogs, breed 5). */
static void make_source(void)
{
    static const char *const folders[] = {"images", "annotations/trimaps", "annotations/xmls"};
    char list[4096] = "#Image CLASS-ID SPECIES BREED ID\r\n", name[32];
    for (int i = 0; i < 3; i++) {
        char *path = support_path(source, folders[i]);
        support_ok(tdm__make_folders(path));
        free(path);
    }
    for (int i = 0; i < 30; i++) {
        snprintf(name, sizeof name, i < 20 ? "Abyssinian_%d" : "small_beagle_%d", i);
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s %d %d 1\r\n", name,
                 i < 20 ? 1 : 5, i < 20 ? 1 : 2);
        put_pet(name);
        if (i % 2) put_head(name, 16);
    }
    put_text("annotations/list.txt", list);
}

static tdm_status import(int size)
{
    return tdm_data_import("oxford-pets", source, out, &(tdm_import_options){.size = size}, NULL);
}

static tdm_dataset *open_split(const char *split)
{
    tdm_dataset *ds = NULL;
    support_ok(tdm_dataset_open(out, split, &ds));
    return ds;
}

static size_t array_of(const tdm_dataset *ds, const char *name)
{
    size_t index = 0;
    support_ok(tdm_dataset_find(ds, name, &index));
    return index;
}

static void read_row(const tdm_dataset *ds, const char *array, uint64_t row, float *to)
{
    support_ok(tdm_dataset_read(ds, array_of(ds, array), &row, 1, to));
}

static void check_nothing_there(void)
{
    char **names = NULL;
    size_t n = 0;
    support_ok(tdm__list_folder(out, &names, &n));
    ck_assert_uint_eq(n, 0);
    tdm__names_free(names, n);
}

START_TEST(made_up)
{
    static const struct {
        const char *split;
        uint64_t n, dogs;
    } want[] = {{"train", 24, 8}, {"val", 3, 1}, {"test", 3, 1}}; /* a third are dogs in each */
    size_t heads = 0;
    make_source();
    support_ok(import(16));
    ck_assert_str_eq(log_text, "");
    for (int k = 0; k < 3; k++) {
        tdm_dataset *ds = open_split(want[k].split);
        uint64_t dogs = 0;
        ck_assert_uint_eq(tdm_dataset_length(ds), want[k].n);
        ck_assert_uint_eq(tdm_dataset_arrays(ds), 7);
        for (uint64_t row = 0; row < want[k].n; row++) {
            float image[16 * 16 * 3], mask[256], trimap[256], box[4], head[4], dog, breed;
            read_row(ds, "images", row, image);
            read_row(ds, "masks", row, mask);
            read_row(ds, "trimaps", row, trimap);
            read_row(ds, "bboxes", row, box);
            read_row(ds, "head", row, head);
            read_row(ds, "binary", row, &dog);
            read_row(ds, "breed", row, &breed);
            ck_assert(dog == breed && (dog == 0 || dog == 1));
            dogs += dog == 1;
            for (unsigned y = 0, i = 0; y < 16; y++)
                for (unsigned x = 0; x < 16; x++, i++) {
                    const uint8_t from = ring(2 * x + 1, y); /* squashed to half the width */
                    ck_assert(trimap[i] == (float)(from - 1));
                    ck_assert(mask[i] == (float)(from != 2));
                    if (!x || x == 15) continue;
                    for (unsigned c = 0; c < 3; c++) {
                        const float v = (float)(support_jpeg_value(2 * x, y, c) + 1);
                        ck_assert(fabsf(image[3 * i + c] - v) <= 3);
                    }
                }
            ck_assert(box[0] == 4 && box[1] == 4 && box[2] == 10 && box[3] == 12);
            if (isnan(head[0])) continue;
            heads++;
            ck_assert(head[0] == 4 && head[1] == 4 && head[2] == 8 && head[3] == 8);
        }
        ck_assert_uint_eq(dogs, want[k].dogs);
        const tdm_array_info *breed = tdm_dataset_array(ds, array_of(ds, "breed"));
        ck_assert_uint_eq(breed->classes, 2);
        ck_assert_str_eq(breed->class_names[0], "Abyssinian");
        ck_assert_str_eq(breed->class_names[1], "small_beagle");
        ck_assert_str_eq(breed->group, "binary");
        ck_assert(breed->group_of[0] == 0 && breed->group_of[1] == 1);
        tdm_dataset_destroy(&ds);
    }
    ck_assert_uint_eq(heads, 15);
    tdm_import_result result;
    support_ok(
        tdm_data_import("oxford-pets", source, out, &(tdm_import_options){.size = 16}, &result));
    ck_assert(result.existed);
    support_fails(import(0), TDM_ERR_DATA, "holds images of size 16, not 256");
}
END_TEST

/* The quirks of the release, and files that are damaged in other ways. */
START_TEST(quirks)
{
    char *path = NULL;
    make_source();
    put_text("images/Abyssinian_34.jpg", "GIF89a"); /* not listed */
    put_png("annotations/trimaps/Abyssinian_34.png", 4, 4, 1, nothing);
    put_pet("Abyssinian_82");                                   /* not listed */
    put_png("images/Abyssinian_5.jpg", WIDTH, HEIGHT, 4, ring); /* RGBA named .jpg: fine */
    put_png("annotations/trimaps/Abyssinian_7.png", WIDTH, HEIGHT, 1, nothing); /* fine, no box */
    put_head("Abyssinian_9", 33);                  /* outside of the picture */
    put_text("images/Abyssinian_0.jpg", "GIF89a"); /* listed */
    put_png("annotations/trimaps/Abyssinian_2.png", 31, HEIGHT, 1, ring);
    put_png("annotations/trimaps/Abyssinian_4.png", WIDTH, HEIGHT, 1, wrong);
    put_png("annotations/trimaps/Abyssinian_6.png", WIDTH, HEIGHT, 3, ring);
    path = support_path(source, "images/small_beagle_20.jpg");
    size_t size = 0;
    char *bytes = support_read(path, &size);
    support_write(path, bytes, size * 9 / 10); /* cut: a warning */
    free(bytes);
    free(path);
    path = support_path(source, "annotations/trimaps/small_beagle_22.png");
    ck_assert_int_eq(remove(path), 0);
    free(path);
    support_ok(import(16));
    static const char *const told[] = {
        "2 left out, not in list.txt: Abyssinian_34, Abyssinian_82\n",
        "Abyssinian_0.jpg: is a GIF: must be a JPEG or PNG: is left out",
        "Abyssinian_2.png: the picture has 32 x 16 pixels, its trimap 31 x 16: is left out",
        "Abyssinian_4.png: the trimap holds the value 0: must be 1, 2 or 3: is left out",
        "Abyssinian_6.png: the trimap must be grey, of 8 bits: is left out",
        "Abyssinian_9.xml: the box 8..33, 4..8 is empty or not in the picture: the head is left",
        "small_beagle_20.jpg: Premature end of JPEG file\n",
        "small_beagle_22.png: ",
        "pictures were left out\n"};
    for (size_t i = 0; i < sizeof told / sizeof *told; i++)
        ck_assert_msg(strstr(log_text, told[i]) != NULL, "no '%s' in:\n%s", told[i], log_text);
    static const char *const splits[] = {"train", "val", "test"};
    uint64_t n = 0, boxless = 0, heads = 0;
    for (int k = 0; k < 3; k++) {
        tdm_dataset *ds = open_split(splits[k]);
        for (uint64_t row = 0; row < tdm_dataset_length(ds); row++, n++) {
            float box[4], head[4];
            read_row(ds, "bboxes", row, box);
            read_row(ds, "head", row, head);
            boxless += isnan(box[0]) && isnan(box[3]);
            heads += !isnan(head[0]);
        }
        tdm_dataset_destroy(&ds);
    }
    ck_assert_uint_eq(n, 25);
    ck_assert_uint_eq(boxless, 1);
    ck_assert_uint_eq(heads, 14);
}
END_TEST

/* The release's own lists decide; a tenth of trainval becomes val. */
START_TEST(lists)
{
    char trainval[2048] = "", test[2048] = "";
    make_source();
    for (int i = 0; i < 30; i++) {
        char *list = i % 3 ? trainval : test;
        if (i == 29) continue; /* in neither */
        snprintf(list + strlen(list), 2048 - strlen(list),
                 i < 20 ? "Abyssinian_%d 1 1 1\n" : "small_beagle_%d 5 2 1\n", i);
    }
    put_text("annotations/trainval.txt", trainval);
    support_ok(import(8)); /* one list alone decides nothing */
    tdm_dataset *ds = open_split("test");
    ck_assert_uint_eq(tdm_dataset_length(ds), 3);
    tdm_dataset_destroy(&ds);
    support_ok(tdm__remove_tree(out));
    put_text("annotations/test.txt", test);
    support_ok(import(8));
    ck_assert_ptr_nonnull(
        strstr(log_text, "1 left out, neither in trainval.txt nor in test.txt: small_beagle_29"));
    ds = open_split("test");
    ck_assert_uint_eq(tdm_dataset_length(ds), 10);
    tdm_dataset_destroy(&ds);
    ds = open_split("val");
    ck_assert_uint_eq(tdm_dataset_length(ds), 2);
    tdm_dataset_destroy(&ds);
    ds = open_split("train");
    ck_assert_uint_eq(tdm_dataset_length(ds), 17);
    tdm_dataset_destroy(&ds);
    support_ok(tdm__remove_tree(out));
    put_text("annotations/test.txt", "Abyssinian_1 1 1 1\n");
    support_fails(import(8), TDM_ERR_DATA, "test.txt:1: Abyssinian_1 is listed twice");
    put_text("annotations/test.txt", "Abyssinian_99 1 1 1\n");
    support_fails(import(8), TDM_ERR_DATA, "test.txt:1: Abyssinian_99 is not in list.txt");
}
END_TEST

START_TEST(refuses)
{
    static const struct {
        const char *list, *part;
    } cases[] = {
        {"", "list.txt lists nothing"},
        {"# nothing\n\n", "list.txt lists nothing"},
        {"Abyssinian_1 1 1 1\nAbyssinian_1 1 1 1\n", "Abyssinian_1 is listed twice"},
        {"\nAbyssinian_1 1 1\n", "list.txt:2: 'Abyssinian_1 1 1' is no entry"},
        {"Abyssinian_1 1 1 1 x\n", "is no entry"},
        {"Abyssinian_1 1 3 1\n", "is no entry"},
        {"Abyssinian_1 0 1 1\n", "is no entry"},
        {"Abyssinian_1 1001 1 1\n", "is no entry"},
        {"../secret_1 1 1 1\n", "is no entry"},
        {"Abyssinian_1 1 1 1\nAbyssinian_2 1 2 1\n", "breed 1 is a cat's for one of"},
        {"Abyssinian_1 1 1 1\nAbyssinian_2 1 1 1\n", "2 pictures are too few: none is left for"},
    };
    make_source();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_text("annotations/list.txt", cases[i].list);
        support_fails(import(16), TDM_ERR_DATA, cases[i].part);
    }
    support_fails(import(7), TDM_ERR_USAGE, "size 7: must be in 8..4096");
    support_fails(import(5000), TDM_ERR_USAGE, "size 5000");
    make_source();
    for (int i = 0; i < 20; i++) {
        char name[64];
        snprintf(name, sizeof name, "images/Abyssinian_%d.jpg", i);
        put_text(name, "no picture");
    }
    support_fails(import(16), TDM_ERR_DATA, "pictures of train cannot be used");
    check_nothing_there();
    char *images = support_path(source, "images");
    support_ok(tdm__remove_tree(images));
    free(images);
    support_fails(import(16), TDM_ERR_DATA, "source/images");
}
END_TEST

static int stop_in_val(void *user, const char *what, uint64_t done, uint64_t total)
{
    (void)user, (void)total;
    return !strcmp(what, "val") && done == 1;
}

START_TEST(interrupted)
{
    char **names = NULL;
    size_t n = 0;
    make_source();
    support_fails(tdm_data_import("oxford-pets", source, out,
                                  &(tdm_import_options){.size = 16, .progress = stop_in_val}, NULL),
                  TDM_ERR_INTERRUPTED, "stopped at val 1 of 3");
    support_ok(tdm__list_folder(out, &names, &n));
    ck_assert_uint_eq(n, 1); /* whole files only */
    ck_assert_str_eq(names[0], "train.h5");
    tdm__names_free(names, n);
    tdm_import_result result;
    support_ok(
        tdm_data_import("oxford-pets", source, out, &(tdm_import_options){.size = 16}, &result));
    ck_assert(!result.existed);
    ck_assert_uint_eq(result.kept, 1);
}
END_TEST

/* The real files -------------------------------------------------------------------------------
 */

typedef struct totals {
    uint64_t n, dogs, heads;
    uint32_t images, masks, trimaps, boxes; /* sums of the samples' CRC-32 */
    double head_sum;
} totals;

static void add_split(const char *split, totals *t)
{
    enum { AREA = 256 * 256 };
    tdm_dataset *ds = open_split(split);
    uint8_t *bytes = malloc((size_t)AREA * 3);
    for (uint64_t row = 0; row < tdm_dataset_length(ds); row++) {
        static const char *const arrays[] = {"images", "masks", "trimaps"};
        uint32_t *sums[] = {&t->images, &t->masks, &t->trimaps};
        float box[4], head[4], dog;
        for (int k = 0; k < 3; k++) {
            support_ok(
                tdm__dataset_read_rows(ds, array_of(ds, arrays[k]), &row, 1, TDM__TO_U8, bytes));
            *sums[k] += libdeflate_crc32(0, bytes, k ? AREA : 3 * AREA);
        }
        read_row(ds, "bboxes", row, box);
        read_row(ds, "head", row, head);
        read_row(ds, "binary", row, &dog);
        t->boxes += libdeflate_crc32(0, box, sizeof box);
        t->dogs += dog == 1;
        t->n++;
        if (isnan(head[0])) continue;
        t->heads++;
        for (int k = 0; k < 4; k++) t->head_sum += (double)head[k];
    }
    free(bytes);
    tdm_dataset_destroy(&ds);
}

enum { PIXELS = 256 * 256 };

static void read_bytes(const tdm_dataset *ds, const char *array, uint64_t row, uint8_t *to)
{
    support_ok(tdm__dataset_read_rows(ds, array_of(ds, array), &row, 1, TDM__TO_U8, to));
}

/* Our splits, with the CRC-32 of every mask. */
typedef struct imported {
    tdm_dataset *splits[3];
    uint32_t crc[3][512];
} imported;

static void open_imported(imported *ours)
{
    static const char *const splits[] = {"train", "val", "test"};
    static uint8_t mask[PIXELS];
    for (int k = 0; k < 3; k++) {
        ours->splits[k] = open_split(splits[k]);
        for (uint64_t row = 0; row < tdm_dataset_length(ours->splits[k]); row++) {
            read_bytes(ours->splits[k], "masks", row, mask);
            ours->crc[k][row] = libdeflate_crc32(0, mask, PIXELS);
        }
    }
}

/* The sample of this mask, in any of our splits. */
static bool find_mask(const imported *ours, const uint8_t *mask, int *split, uint64_t *at)
{
    const uint32_t crc = libdeflate_crc32(0, mask, PIXELS);
    for (*split = 0; *split < 3; ++*split)
        for (*at = 0; *at < tdm_dataset_length(ours->splits[*split]); ++*at)
            if (ours->crc[*split][*at] == crc) return true;
    return false;
}

/* Row `row` of the four files, made with Pillow and h5py, is one of ours. Pillow may resize along
 * the columns first, which makes a difference of 1 in the pixels. */
static void check_against(const tdm_dataset *theirs, uint64_t row, const imported *ours)
{
    static uint8_t mask[PIXELS], a[PIXELS * 3], b[PIXELS * 3];
    int split = 0;
    uint64_t at = 0;
    float x[4], y[4];
    read_bytes(theirs, "masks", row, mask);
    ck_assert_msg(find_mask(ours, mask, &split, &at), "%s %d is not among the imported",
                  tdm_dataset_name(theirs), (int)row);
    read_bytes(theirs, "images", row, a);
    read_bytes(ours->splits[split], "images", at, b);
    int far = 0; /* an assertion a pixel would take minutes */
    for (int i = 0; i < PIXELS * 3; i++) far += abs(a[i] - b[i]) > 1;
    ck_assert_int_eq(far, 0);
    read_row(theirs, "bboxes", row, x);
    read_row(ours->splits[split], "bboxes", at, y);
    ck_assert_mem_eq(x, y, sizeof x);
    read_row(theirs, "binary", row, x);
    read_row(ours->splits[split], "binary", at, y);
    ck_assert(x[0] == y[0]);
}

static void check_four_files(const char *data)
{
    static const char *const splits[] = {"train", "val", "test"};
    static imported ours;
    char *four = support_path(data, "oxpet-h5");
    open_imported(&ours);
    for (int k = 0; k < 3; k++) {
        tdm_dataset *theirs = NULL;
        support_ok(tdm_dataset_open(four, splits[k], &theirs));
        for (uint64_t row = 0; row < tdm_dataset_length(theirs); row++)
            check_against(theirs, row, &ours);
        tdm_dataset_destroy(&theirs);
    }
    for (int k = 0; k < 3; k++) tdm_dataset_destroy(&ours.splits[k]);
    free(four);
}

START_TEST(real_files)
{
    const char *data = support_data_dir("real_files");
    if (!data) return;
    totals t = {0};
    free(source);
    source = support_path(data, "oxford-iiit-pet");
    support_ok(import(256));
    ck_assert_ptr_nonnull(
        strstr(log_text, "2 left out, not in list.txt: Abyssinian_34, Abyssinian_82\n"));
    add_split("train", &t);
    add_split("val", &t);
    add_split("test", &t);
    ck_assert_uint_eq(t.n, PETS_SAMPLES);
    ck_assert_uint_eq(t.dogs, PETS_DOGS);
    ck_assert_uint_eq(t.heads, PETS_HEADS);
    ck_assert_uint_eq(t.images, PETS_IMAGES);
    ck_assert_uint_eq(t.masks, PETS_MASKS);
    ck_assert_uint_eq(t.trimaps, PETS_TRIMAPS);
    ck_assert_uint_eq(t.boxes, PETS_BOXES);
    ck_assert_msg(fabs(t.head_sum - PETS_HEAD_SUM) < 0.01, "%.6f", t.head_sum);
    check_four_files(data);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pets");
    TCase *tc = tcase_create("pets");
    tcase_add_checked_fixture(tc, import_setup, import_teardown);
    tcase_add_test(tc, made_up);
    tcase_add_test(tc, quirks);
    tcase_add_test(tc, lists);
    tcase_add_test(tc, refuses);
    tcase_add_test(tc, interrupted);
    tcase_add_test(tc, real_files);
    suite_add_tcase(suite, tc);
    return support_run(suite);
}
