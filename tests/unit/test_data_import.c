/* Tests of importing, opening and describing data sets. */
#include <jansson.h>
#include <libdeflate.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <tandem/dataset.h>

#include "base/file.h"
#include "base/mem.h"
#include "data/dataset.h"
#include "format/hdf5.h"
#include "format/json.h"
#include "support/support.h"

static char *folder;

static void setup(void)
{
    folder = support_temp_create();
}

static void teardown(void)
{
    support_temp_remove(folder);
}

/* Made-up originals ------------------------------------------------------------------------------
 */

static void put_size(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> (24 - 8 * i));
}

/* n images of side x side; pixel k of image i is (i * 7 + k) % 251. */
static void write_images(const char *where, const char *name, uint32_t n, uint32_t side, bool gz)
{
    size_t size = 16 + (size_t)n * side * side;
    uint8_t *b = calloc(size, 1);
    b[2] = 8, b[3] = 3;
    put_size(b + 4, n), put_size(b + 8, side), put_size(b + 12, side);
    for (size_t i = 0; i < size - 16; i++)
        b[16 + i] = (uint8_t)((i / (side * side) * 7 + i % (side * side)) % 251);
    char *path = support_path(where, name);
    if (gz) {
        struct libdeflate_compressor *c = libdeflate_alloc_compressor(1);
        size_t room = libdeflate_gzip_compress_bound(c, size);
        uint8_t *packed = calloc(room, 1);
        size_t got = libdeflate_gzip_compress(c, b, size, packed, room);
        support_write(path, packed, got);
        libdeflate_free_compressor(c);
        free(packed);
    } else {
        support_write(path, b, size);
    }
    free(path);
    free(b);
}

/* Label i is (i * 3) % 10, but `odd` at sample 5. */
static void write_labels(const char *where, const char *name, uint32_t n, uint8_t odd)
{
    uint8_t *b = calloc(8 + n, 1);
    b[2] = 8, b[3] = 1;
    put_size(b + 4, n);
    for (uint32_t i = 0; i < n; i++) b[8 + i] = (uint8_t)(i == 5 ? odd : i * 3 % 10);
    char *path = support_path(where, name);
    support_write(path, b, 8 + n);
    free(path);
    free(b);
}

static char *make_source(void)
{
    char *source = support_path(folder, "source");
    support_ok(tdm__make_folders(source));
    write_images(source, "train-images-idx3-ubyte.gz", 250, 28, true);
    write_labels(source, "train-labels-idx1-ubyte", 250, 5);
    write_images(source, "t10k-images-idx3-ubyte", 30, 28, false);
    write_labels(source, "t10k-labels-idx1-ubyte", 30, 5);
    return source;
}

/* Importing --------------------------------------------------------------------------------------
 */

typedef struct seen {
    int calls, stop_at;
    uint64_t last, total;
} seen;

static int on_progress(void *user, const char *what, uint64_t done, uint64_t total)
{
    seen *s = user;
    ck_assert(!strcmp(what, "train") || !strcmp(what, "test"));
    s->calls++;
    s->last = done;
    s->total = total;
    return s->calls == s->stop_at;
}

START_TEST(import_made_up)
{
    char *source = make_source(), *out = support_path(folder, "out/deep");
    seen s = {0};
    tdm_import_options options = {.progress = on_progress, .user = &s};
    tdm_import_result result = {true};
    support_ok(tdm_data_import("fashion-mnist", source, out, &options, &result));
    ck_assert(!result.existed);
    ck_assert_uint_eq(s.last, 30);
    ck_assert_uint_eq(s.total, 30);
    tdm_dataset *ds = NULL;
    support_ok(tdm_dataset_open(out, "train", &ds));
    ck_assert_uint_eq(tdm_dataset_length(ds), 250);
    ck_assert_uint_eq(tdm_dataset_arrays(ds), 2);
    const tdm_array_info *images = tdm_dataset_array(ds, 0), *labels = tdm_dataset_array(ds, 1);
    ck_assert_str_eq(images->name, "images");
    ck_assert_int_eq(images->kind, TDM_ARRAY_IMAGE);
    ck_assert_int_eq(images->rank, 3);
    ck_assert(images->dims[0] == 28 && images->dims[1] == 28 && images->dims[2] == 1);
    ck_assert_str_eq(images->dtype, "u8");
    ck_assert_double_eq(images->amplification, 1);
    ck_assert_int_eq(labels->kind, TDM_ARRAY_CLASS);
    ck_assert_int_eq(labels->rank, 0);
    ck_assert_uint_eq(labels->classes, 10);
    ck_assert_str_eq(labels->class_names[9], "Ankle boot");
    ck_assert_int_eq(tdm__dataset_natural(ds, 0), TDM__TO_U8);
    ck_assert_int_eq(tdm__dataset_natural(ds, 1), TDM__TO_I32);
    ck_assert(tdm__dataset_is_raw(ds, 0) && tdm__dataset_is_raw(ds, 1));
    tdm__cursor *cursor = NULL;
    support_ok(tdm__cursor_create(ds, 0, &cursor));
    for (uint64_t r = 0; r < 250; r++) {
        uint8_t a[784], b[784];
        support_ok(tdm__cursor_read(cursor, r, TDM__TO_U8, a));
        support_ok(tdm__dataset_read_rows(ds, 0, &r, 1, TDM__TO_U8, b));
        ck_assert_mem_eq(a, b, 784);
        for (int k = 0; k < 784; k++) ck_assert_uint_eq(a[k], (r * 7 + (uint64_t)k) % 251);
        float label;
        support_ok(tdm_dataset_read(ds, 1, &r, 1, &label));
        ck_assert(label == (float)(r * 3 % 10));
    }
    tdm__cursor_destroy(&cursor);
    tdm_dataset_destroy(&ds);
    /* Again: nothing is done, not even with the originals gone. */
    support_ok(tdm__remove_tree(source));
    support_ok(tdm_data_import("fashion-mnist", source, out, NULL, &result));
    ck_assert(result.existed);
    free(source);
    free(out);
}
END_TEST

START_TEST(import_refuses)
{
    char *source = make_source(), *out = support_path(folder, "out");
    support_fails(tdm_data_import("fashion-mist", source, out, NULL, NULL), TDM_ERR_USAGE,
                  "did you mean 'fashion-mnist'");
    tdm_import_options options = {.size = 32};
    support_fails(tdm_data_import("fashion-mnist", source, out, &options, NULL), TDM_ERR_USAGE,
                  "size 32");
    char *absent = support_path(folder, "absent");
    support_fails(tdm_data_import("fashion-mnist", absent, out, NULL, NULL), TDM_ERR_DATA,
                  "absent: must be the folder");
    free(absent);
    write_labels(source, "train-labels-idx1-ubyte", 250, 10);
    support_fails(tdm_data_import("fashion-mnist", source, out, NULL, NULL), TDM_ERR_DATA,
                  "label 10 of sample 5: must be in 0..9");
    write_labels(source, "train-labels-idx1-ubyte", 249, 5);
    support_fails(tdm_data_import("fashion-mnist", source, out, NULL, NULL), TDM_ERR_DATA,
                  "249 labels: must be equal");
    write_labels(source, "train-labels-idx1-ubyte", 250, 5);
    write_images(source, "train-images-idx3-ubyte.gz", 250, 27, true);
    support_fails(tdm_data_import("fashion-mnist", source, out, NULL, NULL), TDM_ERR_DATA,
                  "must hold u8 images of 28 x 28");
    write_labels(source, "train-images-idx3-ubyte.gz", 250, 5);
    support_fails(tdm_data_import("fashion-mnist", source, out, NULL, NULL), TDM_ERR_DATA,
                  "must hold u8 images");
    write_images(source, "train-images-idx3-ubyte.gz", 0, 28, true);
    write_labels(source, "train-labels-idx1-ubyte", 0, 5);
    support_fails(tdm_data_import("fashion-mnist", source, out, NULL, NULL), TDM_ERR_DATA,
                  "holds no images");
    char *path = support_path(source, "train-images-idx3-ubyte.gz");
    support_write_text(path, "garbage");
    support_fails(tdm_data_import("fashion-mnist", source, out, NULL, NULL), TDM_ERR_DATA,
                  "not an IDX file");
    remove(path);
    support_fails(tdm_data_import("fashion-mnist", source, out, NULL, NULL), TDM_ERR_DATA,
                  "neither train-images-idx3-ubyte nor train-images-idx3-ubyte.gz is there");
    ck_assert(!tdm_dataset_has_split(out, "train"));
    ck_assert_ptr_nonnull(tdm_data_import_kind(0, NULL));
    ck_assert_ptr_null(tdm_data_import_kind(1000, NULL));
    free(path);
    free(source);
    free(out);
}
END_TEST

/* Stopped or failing at any point, then run again: whole files only, and no left-overs. */
START_TEST(import_interrupted)
{
    char *source = make_source(), *out = support_path(folder, "out");
    char **names = NULL;
    size_t n;
    for (int stop = 1; stop <= 3; stop++) {
        seen s = {.stop_at = stop};
        tdm_import_options options = {.progress = on_progress, .user = &s};
        support_ok(tdm__remove_tree(out)); /* what is finished would be kept */
        support_fails(tdm_data_import("fashion-mnist", source, out, &options, NULL),
                      TDM_ERR_INTERRUPTED, "importing fashion-mnist: stopped at");
        support_ok(tdm__list_folder(out, &names, &n));
        for (size_t i = 0; i < n; i++) ck_assert_str_eq(names[i], "train.h5");
        tdm__names_free(names, n);
    }
    support_ok(tdm__remove_tree(out));
    for (uint64_t bytes = 1; bytes < 200000; bytes = bytes * 3 + 100) {
        tdm__file_fail_after(bytes);
        support_fails(tdm_data_import("fashion-mnist", source, out, NULL, NULL), TDM_ERR_IO,
                      "No space left");
        tdm__file_fail_after(0);
        support_ok(tdm__list_folder(out, &names, &n));
        ck_assert_uint_eq(n, 0);
        tdm__names_free(names, n);
    }
    tdm_import_result result;
    support_ok(tdm_data_import("fashion-mnist", source, out, NULL, &result));
    ck_assert(!result.existed);
    free(source);
    free(out);
}
END_TEST

START_TEST(import_spares_other_data)
{
    char *source = make_source(), *out = support_path(folder, "out");
    const tdm__h5_spec spec = {"images", tdm__elem_host(TDM__ELEM_UINT, 1), 2, {2, 2}, 0};
    const uint8_t row[4] = {0};
    size_t set;
    support_ok(tdm__make_folders(out));
    char *path = support_path(out, "train.h5");
    tdm__h5_writer *w = NULL;
    support_ok(tdm__h5_writer_create(path, &w));
    support_ok(tdm__h5_writer_add(w, &spec, &set));
    support_ok(tdm__h5_writer_append(w, set, row, 1));
    support_ok(tdm__h5_writer_commit(w));
    tdm__h5_writer_destroy(&w);
    support_fails(tdm_data_import("fashion-mnist", source, out, NULL, NULL), TDM_ERR_DATA,
                  "train holds another data set");
    free(path);
    free(source);
    free(out);
}
END_TEST

/* The real files, where Debian's dataset-fashion-mnist is installed. The checksums are zlib's of
 * the originals' content. */
START_TEST(import_real)
{
    static const char source[] = "/usr/share/datasets/fashion-mnist";
    static const struct {
        const char *split;
        uint64_t n;
        uint32_t images, labels;
    } want[] = {{"train", 60000, 0xae65dccd, 0x2ed6e46a}, {"test", 10000, 0x12728439, 0x242bc73f}};
    if (!tdm__is_folder(source)) {
        printf("SKIPPED: import_real (no %s)\n", source);
        return;
    }
    char *out = support_path(folder, "out");
    support_ok(tdm_data_import("fashion-mnist", source, out, NULL, NULL));
    for (int k = 0; k < 2; k++) {
        tdm_dataset *ds = NULL;
        tdm__cursor *cursor = NULL;
        support_ok(tdm_dataset_open(out, want[k].split, &ds));
        ck_assert_uint_eq(tdm_dataset_length(ds), want[k].n);
        uint64_t counts[10] = {0};
        for (size_t a = 0; a < 2; a++) {
            uint8_t row[784];
            uint32_t crc = 0;
            support_ok(tdm__cursor_create(ds, a, &cursor));
            for (uint64_t i = 0; i < want[k].n; i++) {
                support_ok(tdm__cursor_read(cursor, i, TDM__TO_U8, row));
                crc = libdeflate_crc32(crc, row, a ? 1 : 784);
                if (a) counts[row[0]]++;
            }
            ck_assert_uint_eq(crc, a ? want[k].labels : want[k].images);
            tdm__cursor_destroy(&cursor);
        }
        for (int c = 0; c < 10; c++) ck_assert_uint_eq(counts[c], want[k].n / 10);
        tdm_dataset_destroy(&ds);
    }
    free(out);
}
END_TEST

/* Opening ----------------------------------------------------------------------------------------
 */

/* folder/sub/file.h5 with one array of n samples, all zero but for one value. */
static void make_array(const char *file, const char *name, tdm__elem elem, int rank,
                       const uint64_t *dims, uint64_t n, const char *kind, double odd)
{
    char *path = support_path(folder, file), *where = NULL;
    support_ok(tdm__path_dir(path, &where));
    support_ok(tdm__make_folders(where));
    tdm__h5_spec spec = {.name = name, .elem = elem, .rank = rank, .deflate = 1};
    size_t count = n, set;
    for (int i = 0; i < rank; i++) count *= spec.dims[i] = dims[i];
    uint8_t *rows = calloc(count, elem.size);
    if (elem.kind == TDM__ELEM_FLOAT)
        ((float *)(void *)rows)[count - 1] = (float)odd;
    else
        rows[(count - 1) * elem.size] = (uint8_t)odd;
    tdm__h5_writer *w = NULL;
    support_ok(tdm__h5_writer_create(path, &w));
    support_ok(tdm__h5_writer_add(w, &spec, &set));
    if (kind) support_ok(tdm__h5_writer_text(w, set, "kind", kind));
    if (kind) support_ok(tdm__h5_writer_number(w, set, "classes", 3));
    support_ok(tdm__h5_writer_append(w, set, rows, n));
    support_ok(tdm__h5_writer_commit(w));
    tdm__h5_writer_destroy(&w);
    free(rows);
    free(where);
    free(path);
}

static const uint64_t hwc[] = {4, 6, 3}, hw1[] = {4, 6, 1}, four[] = {4}, one[] = {1},
                      one_four[] = {1, 4};

static void make_pets(void)
{
    tdm__elem u8 = tdm__elem_host(TDM__ELEM_UINT, 1), f32 = tdm__elem_host(TDM__ELEM_FLOAT, 4);
    make_array("train/images.h5", "first key", u8, 3, hwc, 5, NULL, 255);
    make_array("train/masks.h5", "m", f32, 3, hw1, 5, NULL, 1);
    make_array("train/bboxes.h5", "b", f32, 1, four, 5, NULL, 7.5);
    make_array("train/binary.h5", "y", f32, 1, one, 5, NULL, 1);
}

/* One array a file: names from the files, first key, kinds from the names, whole floats as classes.
 */
START_TEST(open_folder_of_files)
{
    static const struct {
        const char *name;
        tdm_array_kind kind;
        tdm__to natural;
    } want[] = {{"bboxes", TDM_ARRAY_BOX, TDM__TO_F32},
                {"binary", TDM_ARRAY_CLASS, TDM__TO_I32},
                {"images", TDM_ARRAY_IMAGE, TDM__TO_U8},
                {"masks", TDM_ARRAY_MASK, TDM__TO_I32}};
    make_pets();
    char *readme = support_path(folder, "train/README.txt");
    support_write_text(readme, "not data");
    tdm_dataset *ds = NULL;
    support_ok(tdm_dataset_open(folder, "train", &ds));
    ck_assert_uint_eq(tdm_dataset_length(ds), 5);
    ck_assert_uint_eq(tdm_dataset_arrays(ds), 4);
    for (size_t i = 0; i < 4; i++) {
        ck_assert_str_eq(tdm_dataset_array(ds, i)->name, want[i].name);
        ck_assert_int_eq(tdm_dataset_array(ds, i)->kind, want[i].kind);
        ck_assert_int_eq(tdm__dataset_natural(ds, i), want[i].natural);
    }
    uint64_t last = 4;
    int32_t label;
    float box[4];
    support_ok(tdm__dataset_read_rows(ds, 1, &last, 1, TDM__TO_I32, &label));
    ck_assert_int_eq(label, 1);
    support_ok(tdm_dataset_read(ds, 0, &last, 1, box));
    ck_assert(box[3] == 7.5f);
    size_t index;
    support_ok(tdm_dataset_find(ds, "masks", &index));
    ck_assert_uint_eq(index, 3);
    support_fails(tdm_dataset_find(ds, "mask", &index), TDM_ERR_DATA, "did you mean 'masks'");
    ck_assert_ptr_null(tdm_dataset_array(ds, 4));
    tdm_dataset_destroy(&ds);
    /* The folder itself, without a split. */
    char *train = support_path(folder, "train");
    support_ok(tdm_dataset_open(train, NULL, &ds));
    ck_assert_uint_eq(tdm_dataset_arrays(ds), 4);
    tdm_dataset_destroy(&ds);
    support_fails(tdm_dataset_open(folder, "val", &ds), TDM_ERR_DATA, "no split 'val'");
    support_message_has("it holds train");
    support_fails(tdm_dataset_open(readme, NULL, &ds), TDM_ERR_DATA, "not a readable HDF5 file");
    support_fails(tdm_dataset_open(readme, "train", &ds), TDM_ERR_DATA, "must be a folder");
    ck_assert_ptr_null(ds);
    ck_assert(tdm_dataset_has_split(folder, "train") && !tdm_dataset_has_split(folder, "val"));
    free(train);
    free(readme);
}
END_TEST

enum { MANY = 2000 };

/* folder/train.h5: "coarse" of 2 classes and "fine" of MANY, with names longer than an attribute of
 * the old format may be, and what the groups are said to be. */
static void make_groups(const char *group, const int32_t *group_of, size_t n)
{
    const tdm__elem u8 = tdm__elem_host(TDM__ELEM_UINT, 1), u16 = tdm__elem_host(TDM__ELEM_UINT, 2);
    const tdm__h5_spec coarse = {.name = "coarse", .elem = u8},
                       fine = {.name = "fine", .elem = u16};
    static char texts[MANY][64];
    const char *names[MANY];
    const uint16_t row = 1999;
    const uint8_t zero = 0;
    size_t c, f;
    tdm__h5_writer *w = NULL;
    char *path = support_path(folder, "train.h5");
    for (int i = 0; i < MANY; i++) {
        snprintf(texts[i], sizeof texts[i], "a name of some length, as alphabets have: %06d", i);
        names[i] = texts[i];
    }
    support_ok(tdm__h5_writer_create(path, &w));
    support_ok(tdm__h5_writer_add(w, &coarse, &c));
    support_ok(tdm__h5_writer_text(w, c, "kind", "class"));
    support_ok(tdm__h5_writer_number(w, c, "classes", 2));
    support_ok(tdm__h5_writer_append(w, c, &zero, 1));
    support_ok(tdm__h5_writer_add(w, &fine, &f));
    support_ok(tdm__h5_writer_text(w, f, "kind", "class"));
    support_ok(tdm__h5_writer_texts(w, f, "class_names", names, MANY));
    support_ok(tdm__h5_writer_text(w, f, "group", group));
    support_ok(tdm__h5_writer_i32s(w, f, "group_of", group_of, n));
    support_ok(tdm__h5_writer_append(w, f, &row, 1));
    support_ok(tdm__h5_writer_commit(w));
    tdm__h5_writer_destroy(&w);
    free(path);
}

START_TEST(grouped_classes)
{
    static int32_t of[MANY];
    tdm_dataset *ds = NULL;
    for (int i = 0; i < MANY; i++) of[i] = i % 3 - 1;
    make_groups("coarse", of, MANY);
    support_ok(tdm_dataset_open(folder, "train", &ds));
    const tdm_array_info *fine = tdm_dataset_array(ds, 1);
    ck_assert_uint_eq(fine->classes, MANY);
    ck_assert_str_eq(fine->class_names[1999], "a name of some length, as alphabets have: 001999");
    ck_assert_str_eq(fine->group, "coarse");
    ck_assert_mem_eq(fine->group_of, of, sizeof of);
    tdm_dataset_destroy(&ds);
    make_groups("course", of, MANY);
    support_fails(tdm_dataset_open(folder, "train", &ds), TDM_ERR_DATA,
                  "fine: group = course: must be another array of classes");
    make_groups("coarse", of, MANY - 1);
    support_fails(tdm_dataset_open(folder, "train", &ds), TDM_ERR_DATA,
                  "group = coarse: group_of must have a number a class");
    of[7] = 2;
    make_groups("coarse", of, MANY);
    support_fails(tdm_dataset_open(folder, "train", &ds), TDM_ERR_DATA,
                  "group_of must hold its classes, or -1");
}
END_TEST

START_TEST(open_refuses)
{
    tdm__elem u8 = tdm__elem_host(TDM__ELEM_UINT, 1);
    tdm_dataset *ds = NULL;
    make_pets();
    make_array("train/masks.h5", "m", u8, 3, hw1, 6, NULL, 1);
    support_fails(tdm_dataset_open(folder, "train", &ds), TDM_ERR_DATA,
                  "bboxes has 5 samples and masks has 6: must be equal");
    make_array("train/masks.h5", "m", u8, 3, hwc, 5, NULL, 1);
    support_fails(tdm_dataset_open(folder, "train", &ds), TDM_ERR_DATA,
                  "a sample has the shape (4, 6, 3): an array of kind mask must have");
    make_array("train/masks.h5", "m", u8, 3, hw1, 5, "mesk", 1);
    support_fails(tdm_dataset_open(folder, "train", &ds), TDM_ERR_DATA,
                  "kind = mesk: must be one of");
    make_array("train/masks.h5", "m", u8, 3, hw1, 5, NULL, 1);
    make_array("train/images.h5", "x", u8, 1, four, 5, NULL, 1);
    support_fails(tdm_dataset_open(folder, "train", &ds), TDM_ERR_DATA,
                  "images.h5: x: a sample has");
    support_fails(tdm_dataset_open("/absent/data", "train", &ds), TDM_ERR_DATA,
                  "/absent/data: the data set cannot be found");
    char *empty = support_path(folder, "empty");
    support_ok(tdm__make_folders(empty));
    support_fails(tdm_dataset_open(empty, NULL, &ds), TDM_ERR_DATA, "holds no .h5 files");
    char *none = support_path(folder, "none.h5");
    tdm__h5_writer *w = NULL;
    size_t set;
    support_ok(tdm__h5_writer_create(none, &w));
    support_ok(tdm__h5_writer_commit(w));
    tdm__h5_writer_destroy(&w);
    support_fails(tdm_dataset_open(none, NULL, &ds), TDM_ERR_DATA, "holds no data sets");
    const tdm__h5_spec spec = {"x", u8, 1, {4}, 0};
    support_ok(tdm__h5_writer_create(none, &w));
    support_ok(tdm__h5_writer_add(w, &spec, &set));
    support_ok(tdm__h5_writer_commit(w));
    tdm__h5_writer_destroy(&w);
    support_fails(tdm_dataset_open(none, NULL, &ds), TDM_ERR_DATA, "x: has no samples");
    free(empty);
    free(none);
}
END_TEST

/* Values that only reading finds: both paths, the row named. */
START_TEST(reading_checks_values)
{
    tdm__elem u8 = tdm__elem_host(TDM__ELEM_UINT, 1), f32 = tdm__elem_host(TDM__ELEM_FLOAT, 4);
    const struct {
        const char *name;
        tdm__elem elem;
        int rank;
        const uint64_t *dims;
        const char *kind;
        double odd;
        tdm__to to;
        const char *part; /* NULL: fine */
    } cases[] = {
        {"images", f32, 3, hwc, NULL, NAN, TDM__TO_F32, "row 4: value nan must be finite"},
        {"images", f32, 3, hwc, NULL, INFINITY, TDM__TO_NATIVE, "row 4: value inf must be finite"},
        {"images", f32, 3, hwc, NULL, 1, TDM__TO_F32, NULL},
        {"depth", f32, 3, hw1, NULL, NAN, TDM__TO_F32, NULL},
        {"bboxes", f32, 1, four, NULL, NAN, TDM__TO_F32, NULL}, /* no box */
        {"bboxes", f32, 2, one_four, NULL, 9, TDM__TO_F32, NULL},
        {"bboxes", f32, 1, four, NULL, INFINITY, TDM__TO_F32, "value inf must be finite"},
        {"labels", f32, 0, NULL, "class", -1, TDM__TO_I32, NULL}, /* not known */
        {"labels", f32, 0, NULL, "class", -2, TDM__TO_I32, "must be a class in 0..2"},
        {"labels", u8, 0, NULL, "class", 3, TDM__TO_I32, "row 4: value 3 must be a class in 0..2"},
        {"labels", u8, 0, NULL, "class", 3, TDM__TO_F32, "row 4: value 3 must be a class in 0..2"},
        {"labels", u8, 0, NULL, "class", 2, TDM__TO_U8, NULL},
        {"labels", f32, 0, NULL, "class", 1.5, TDM__TO_I32, "value 1.5 must be a whole number"},
        {"labels", f32, 0, NULL, "class", 1.5, TDM__TO_F32, "must be a class in 0..2"},
        {"masks", u8, 3, hw1, "mask", 3, TDM__TO_U8, "row 4: value 3 must be a class in 0..2"},
        {"masks", u8, 3, hw1, "mask", 255, TDM__TO_U8, NULL},
        {"masks", f32, 3, hw1, "mask", -1, TDM__TO_I32, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        make_array("one.h5", cases[i].name, cases[i].elem, cases[i].rank, cases[i].dims, 5,
                   cases[i].kind, cases[i].odd);
        char *path = support_path(folder, "one.h5");
        tdm_dataset *ds = NULL;
        tdm__cursor *cursor = NULL;
        uint64_t rows[5] = {0, 1, 2, 3, 4};
        float out[5 * 4 * 6 * 3];
        support_ok(tdm_dataset_open(path, NULL, &ds));
        support_ok(tdm__cursor_create(ds, 0, &cursor));
        support_ok(tdm__dataset_read_rows(ds, 0, rows, 4, cases[i].to, out));
        support_ok(tdm__cursor_read(cursor, 3, cases[i].to, out));
        if (cases[i].part) {
            support_fails(tdm__dataset_read_rows(ds, 0, rows, 5, cases[i].to, out), TDM_ERR_DATA,
                          cases[i].part);
            support_fails(tdm__cursor_read(cursor, 4, cases[i].to, out), TDM_ERR_DATA,
                          cases[i].part);
            support_message_has(path);
        } else {
            support_ok(tdm__dataset_read_rows(ds, 0, rows, 5, cases[i].to, out));
            support_ok(tdm__cursor_read(cursor, 4, cases[i].to, out));
        }
        tdm__cursor_destroy(&cursor);
        tdm_dataset_destroy(&ds);
        remove(path);
        free(path);
    }
}
END_TEST

/* The real pets: the four-file layout as h5py writes it. */
START_TEST(open_real_pets)
{
    const char *data = support_data_dir("open_real_pets");
    if (!data) return;
    char *path = support_path(data, "oxpet-h5");
    tdm_dataset *ds = NULL;
    support_ok(tdm_dataset_open(path, "train", &ds));
    ck_assert_uint_eq(tdm_dataset_length(ds), 96);
    for (size_t i = 0; i < tdm_dataset_arrays(ds); i++) {
        const tdm_array_info *info = tdm_dataset_array(ds, i);
        size_t bytes = (size_t)info->elems * sizeof(float);
        float *a = calloc(1, bytes), *b = calloc(1, bytes);
        tdm__cursor *cursor = NULL;
        ck_assert(tdm__dataset_is_raw(ds, i));
        ck_assert_int_ne(info->kind, TDM_ARRAY_VALUES);
        support_ok(tdm__cursor_create(ds, i, &cursor));
        for (uint64_t row = 0; row < 96; row += 19) {
            support_ok(tdm_dataset_read(ds, i, &row, 1, a));
            support_ok(tdm__cursor_read(cursor, row, TDM__TO_F32, b));
            ck_assert_mem_eq(a, b, bytes);
        }
        tdm__cursor_destroy(&cursor);
        free(a);
        free(b);
    }
    tdm_dataset_destroy(&ds);
    free(path);
}
END_TEST

/* Describing -------------------------------------------------------------------------------------
 */

START_TEST(info_text_and_json)
{
    char *source = make_source(), *out = support_path(folder, "out"), *text = NULL;
    support_ok(tdm_data_import("fashion-mnist", source, out, NULL, NULL));
    support_ok(tdm_data_info(out, false, &text));
    ck_assert_ptr_nonnull(strstr(text, "train: 250 samples, from fashion-mnist\n"));
    ck_assert_ptr_nonnull(strstr(text, "images: image, u8, 250 x 28 x 28 x 1"));
    ck_assert_ptr_nonnull(strstr(text, "values: 0..250, mean"));
    ck_assert_ptr_nonnull(strstr(text, "counts: 0 (T-shirt/top) 25, 1 (Trouser) 25"));
    ck_assert(strstr(text, "train:") < strstr(text, "test:"));
    free(text);
    support_ok(tdm_data_info(out, true, &text));
    json_t *root = NULL;
    support_ok(tdm__json_parse(text, strlen(text), "info", &root));
    json_t *train = json_array_get(json_object_get(root, "splits"), 0);
    json_t *labels = json_array_get(json_object_get(train, "arrays"), 1);
    ck_assert_int_eq(json_integer_value(json_object_get(train, "samples")), 250);
    ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(labels, "counts"), "9")),
                     25);
    ck_assert_uint_eq(json_array_size(json_object_get(labels, "class_names")), 10);
    ck_assert_int_eq(json_integer_value(json_object_get(labels, "max")), 9);
    json_decref(root);
    free(text);
    free(source);
    free(out);
}
END_TEST

/* Bad values are described, not refused. */
START_TEST(info_of_bad_values)
{
    tdm__elem f32 = tdm__elem_host(TDM__ELEM_FLOAT, 4), u8 = tdm__elem_host(TDM__ELEM_UINT, 1);
    make_array("train/images.h5", "x", f32, 3, hwc, 5, NULL, NAN);
    make_array("train/labels.h5", "x", u8, 0, NULL, 5, "class", 7);
    char *text = NULL;
    support_ok(tdm_data_info(folder, false, &text));
    ck_assert_ptr_nonnull(strstr(text, "NaN 1"));
    ck_assert_ptr_nonnull(strstr(text, "counts: 0 4, 7 1"));
    ck_assert_ptr_nonnull(strstr(text, "deflate; a random row reads"));
    free(text);
    char *empty = support_path(folder, "empty");
    support_ok(tdm__make_folders(empty));
    support_fails(tdm_data_info(empty, false, &text), TDM_ERR_DATA, "holds no splits");
    ck_assert_ptr_null(text);
    free(empty);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("data sets");
    TCase *tc = tcase_create("data sets");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, import_made_up);
    tcase_add_test(tc, import_refuses);
    tcase_add_test(tc, import_interrupted);
    tcase_add_test(tc, import_spares_other_data);
    tcase_add_test(tc, import_real);
    tcase_add_test(tc, open_folder_of_files);
    tcase_add_test(tc, grouped_classes);
    tcase_add_test(tc, open_refuses);
    tcase_add_test(tc, reading_checks_values);
    tcase_add_test(tc, open_real_pets);
    tcase_add_test(tc, info_text_and_json);
    tcase_add_test(tc, info_of_bad_values);
    suite_add_tcase(suite, tc);
    return support_run(suite);
}
