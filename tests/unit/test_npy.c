/* Tests of .npy files, of data sets made of folders of them, and of their import. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <tandem/loader.h>

#include "base/file.h"
#include "data/dataset.h"
#include "format/npy.h"
#include "support/npy_fixture.h"

static char *folder;

static void setup(void)
{
    folder = support_temp_create();
}

static void teardown(void)
{
    support_temp_remove(folder);
}

/* Files ------------------------------------------------------------------------------------------
 */

/* The header's text and the elements give these values. */
static void check_values(int version, const char *header, const void *data, size_t n,
                         const double *want, size_t count)
{
    size_t size = 0;
    uint8_t *bytes = support_npy_bytes(version, header, data, n, &size);
    tdm__npy_buffer buffer = {0};
    tdm__npy npy;
    const void *elements = NULL;
    support_ok(tdm__npy_load_bytes(bytes, size, "x.npy", &buffer, &npy, &elements));
    ck_assert_uint_eq(npy.count, count);
    double got[16];
    ck_assert_uint_eq(tdm__elem_convert(npy.elem, elements, count, TDM__TO_F64, got), count);
    for (size_t i = 0; i < count; i++)
        ck_assert_msg(got[i] == want[i], "%s: element %zu is %g", header, i, got[i]);
    tdm__npy_buffer_free(&buffer);
    free(bytes);
}

START_TEST(types_and_versions)
{
    static const uint8_t le[] = {1, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff}; /* 1, -2 as <i4 */
    static const uint8_t half[] = {0x3c, 0x00, 0xc1, 0x00};           /* 1, -2.5 as >f2 */
    static const uint8_t f8[] = {0x40, 0x09, 0, 0, 0, 0, 0, 0};       /* 3.125 as >f8 */
    static const uint8_t bytes[] = {0, 1, 255, 7};
    check_values(1, "{'descr': '<i4', 'fortran_order': False, 'shape': (2,), }", le, 8,
                 (double[]){1, -2}, 2);
    check_values(2, "{'descr': '<i4', 'fortran_order': False, 'shape': (2, 1), }", le, 8,
                 (double[]){1, -2}, 2);
    check_values(3, "{\"shape\": (1, 2), \"descr\": \">f2\", \"fortran_order\": False}", half, 4,
                 (double[]){1, -2.5}, 2);
    check_values(1, "{'descr': '>f8', 'fortran_order': False, 'shape': (), }", f8, 8,
                 (double[]){3.125}, 1);
    check_values(1, "{'descr': '>u8', 'fortran_order': False, 'shape': (1L,), }", f8, 8,
                 (double[]){(double)0x4009000000000000}, 1);
    check_values(1, "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2), }", bytes, 4,
                 (double[]){0, 1, 255, 7}, 4);
    check_values(1, "{'descr': '|i1', 'fortran_order': False, 'shape': (4,), }", bytes, 4,
                 (double[]){0, 1, -1, 7}, 4);
    check_values(1, "{'descr': '|b1', 'fortran_order': False, 'shape': (4,), }", bytes, 4,
                 (double[]){0, 1, 1, 1}, 4);
    check_values(1, "{'descr': '>u2', 'fortran_order': False, 'shape': (2,), }", bytes, 4,
                 (double[]){1, 65287}, 2);
    check_values(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 3), }", NULL, 0, NULL,
                 0);
}
END_TEST

/* a[i][j][k] = 100 i + 10 j + k, stored with the first axis fastest. */
START_TEST(fortran_order)
{
    uint16_t stored[2 * 3 * 2];
    double want[12];
    for (int i = 0, at = 0; i < 2; i++)
        for (int j = 0; j < 3; j++)
            for (int k = 0; k < 2; k++, at++) {
                want[at] = 100 * i + 10 * j + k;
                stored[i + 2 * (j + 3 * k)] = (uint16_t)want[at];
            }
    check_values(1, "{'descr': '<u2', 'fortran_order': True, 'shape': (2, 3, 2), }", stored, 24,
                 want, 12);
    check_values(1, "{'descr': '<u2', 'fortran_order': True, 'shape': (1,), }", stored, 2, want, 1);
}
END_TEST

START_TEST(refuses_bad_headers)
{
    static const struct {
        const char *header, *part;
    } cases[] = {
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }", "announces 3 elements"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (), }", "announces 1 elements"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }", "announces 4 elements"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }",
         "overflow"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }",
         "no tuple of sizes"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904,), }",
         "announces"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-2,), }", "no tuple of sizes"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,2), }",
         "more than 8 dimensions"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': 2, }", "'shape' is no tuple"},
        {"{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }", "type '<c8'"},
        {"{'descr': '<f3', 'fortran_order': False, 'shape': (1,), }", "type '<f3'"},
        {"{'descr': '<f16', 'fortran_order': False, 'shape': (1,), }", "type '<f16'"},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", "type '|O'"},
        {"{'descr': '', 'fortran_order': False, 'shape': (1,), }", "type ''"},
        {"{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (2,), }", "holds records"},
        {"{'descr': '<f4', 'fortran_order': Maybe, 'shape': (2,), }", "neither True nor False"},
        {"{'descr': '<f4', 'shape': (2,), }", "it lacks"},
        {"{'descr': '<f4', 'descr': '<f4', 'shape': (2,), }", "unknown or repeated key"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'x': 1}", "unknown or repeated"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), } x", "something follows"},
        {"{'descr': '<f4' 'fortran_order': False, 'shape': (2,), }", "a key is missing"},
        {"{'descr", "a key is missing"},
        {"['descr']", "it is no dict"},
        {"", "it is no dict"},
    };
    tdm__npy npy;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t size = 0;
        uint8_t *b = support_npy_bytes(1, cases[i].header, "12345678", 8, &size);
        support_fails(tdm__npy_parse(b, size, size, "x.npy", &npy), TDM_ERR_DATA, cases[i].part);
        support_message_has("x.npy: ");
        free(b);
    }
    size_t size = 0;
    uint8_t *b = support_npy_bytes(1, "{'descr': '|u1', 'fortran_order': False, 'shape': (8,), }",
                                   "12345678", 8, &size);
    for (size_t n = 0; n < size; n++) /* cut anywhere */
        ck_assert_int_eq(tdm__npy_parse(b, n, n, "x.npy", &npy), TDM_ERR_DATA);
    support_ok(tdm__npy_parse(b, size, size, "x.npy", &npy));
    support_fails(tdm__npy_parse(b, size, size + 1, "x.npy", &npy), TDM_ERR_DATA, "holds 9 bytes");
    b[6] = 4;
    support_fails(tdm__npy_parse(b, size, size, "x.npy", &npy), TDM_ERR_DATA, "version 4.0");
    b[6] = 2; /* the length now spans four bytes: it announces far more than there is */
    support_fails(tdm__npy_parse(b, size, size, "x.npy", &npy), TDM_ERR_DATA, "truncated");
    b[0] = 'P';
    support_fails(tdm__npy_parse(b, size, size, "x.npy", &npy), TDM_ERR_DATA, "not a .npy file");
    free(b);
    support_fails(tdm__npy_peek(folder, &npy), TDM_ERR_DATA, "is not a file");
    support_fails(tdm__npy_peek("/absent.npy", &npy), TDM_ERR_DATA, "cannot be opened");
}
END_TEST

/* Data sets --------------------------------------------------------------------------------------
 */

static tdm_dataset *open_set(const char *split)
{
    tdm_dataset *ds = NULL;
    support_ok(tdm_dataset_open(folder, split, &ds));
    return ds;
}

START_TEST(open_folders)
{
    static const struct {
        const char *name;
        tdm_array_kind kind;
        tdm__to natural;
        int rank;
    } want[] = {{"depth", TDM_ARRAY_DEPTH, TDM__TO_F32, 3},
                {"image", TDM_ARRAY_IMAGE, TDM__TO_F32, 3},
                {"label", TDM_ARRAY_MASK, TDM__TO_I32, 2}};
    support_nyu_write(folder, "train", 12); /* so that 10.npy sorts before 2.npy */
    char *notes = support_path(folder, "train/notes");
    support_ok(tdm__make_folders(notes)); /* folders without .npy files are passed over */
    ck_assert(tdm_dataset_has_split(folder, "train") && !tdm_dataset_has_split(folder, "val"));
    tdm_dataset *ds = open_set("train");
    ck_assert_uint_eq(tdm_dataset_length(ds), 12);
    ck_assert_uint_eq(tdm_dataset_arrays(ds), 3);
    for (size_t i = 0; i < 3; i++) {
        const tdm_array_info *info = tdm_dataset_array(ds, i);
        ck_assert_str_eq(info->name, want[i].name);
        ck_assert_int_eq(info->kind, want[i].kind);
        ck_assert_int_eq(info->rank, want[i].rank);
        ck_assert_str_eq(info->dtype, "f32");
        ck_assert_int_eq(tdm__dataset_natural(ds, i), want[i].natural);
        ck_assert(tdm__dataset_is_raw(ds, i));
    }
    for (uint64_t row = 0; row < 12; row++) {
        float image[NPY_H * NPY_W * 3], depth[NPY_H * NPY_W];
        int32_t label[NPY_H * NPY_W];
        support_ok(tdm_dataset_read(ds, 1, &row, 1, image));
        support_ok(tdm_dataset_read(ds, 0, &row, 1, depth));
        support_ok(tdm__dataset_read_rows(ds, 2, &row, 1, TDM__TO_I32, label));
        for (uint64_t i = 0; i < NPY_H * NPY_W * 3; i++)
            ck_assert(image[i] == support_npy_image(row, i));
        for (uint64_t i = 0; i < NPY_H * NPY_W; i++) {
            ck_assert(depth[i] == support_npy_depth(row, i));
            ck_assert(label[i] == (int)support_npy_label(row, i));
        }
    }
    tdm_dataset_destroy(&ds);
    free(notes);
}
END_TEST

/* Any number of workers delivers the same; a bad file fails its own batch only. */
START_TEST(load_with_workers)
{
    support_nyu_write(folder, "train", 10);
    support_npy_write(folder, "train/label/7.npy", "<f4", "(1, 1)", "\0\0\0\0", 4);
    tdm_split *split = NULL;
    support_ok(tdm_split_open(&(tdm_split_spec){.path = folder, .cache = true}, "train", &split));
    for (unsigned workers = 0; workers <= 3; workers++) {
        tdm_loader *loader = NULL;
        const tdm_batch *batch = NULL;
        tdm_loader_spec spec = {.split = split, .batch_size = 5, .workers = workers};
        support_ok(tdm_loader_create(&spec, &loader));
        support_ok(tdm_loader_next(loader, &batch));
        ck_assert_uint_eq(batch->count, 5);
        for (uint64_t s = 0; s < 5; s++)
            for (uint64_t i = 0; i < NPY_H * NPY_W; i++) {
                ck_assert(((const float *)batch->arrays[0].data)[s * NPY_H * NPY_W + i] ==
                          support_npy_depth(s, i));
                ck_assert(((const int32_t *)batch->arrays[2].data)[s * NPY_H * NPY_W + i] ==
                          (int)support_npy_label(s, i));
            }
        support_fails(tdm_loader_next(loader, &batch), TDM_ERR_DATA,
                      "label/7.npy: holds f32 (1, 1), 0.npy beside it f32 (4, 6): must be equal");
        tdm_loader_destroy(&loader);
    }
    tdm_split_destroy(&split);
}
END_TEST

static void remove_file(const char *name)
{
    char *path = support_path(folder, name);
    ck_assert_int_eq(remove(path), 0);
    free(path);
}

START_TEST(open_refuses_gaps)
{
    tdm_dataset *ds = NULL;
    support_nyu_write(folder, "train", 5);
    remove_file("train/label/4.npy");
    support_fails(tdm_dataset_open(folder, "train", &ds), TDM_ERR_DATA,
                  "depth has 5 samples and label has 4: must be equal");
    remove_file("train/label/1.npy");
    support_fails(tdm_dataset_open(folder, "train", &ds), TDM_ERR_DATA,
                  "train/label: holds 3 .npy files, so they must be 0.npy to 2.npy: 1.npy is "
                  "missing, but there is 3.npy");
    support_nyu_write(folder, "train", 5);
    support_npy_write(folder, "train/depth/mean.npy", "<f4", "()", "\0\0\0\0", 4);
    support_fails(tdm_dataset_open(folder, "train", &ds), TDM_ERR_DATA,
                  "5.npy is missing, but there is mean.npy");
    remove_file("train/depth/mean.npy");
    support_npy_write(folder, "train/depth/0.npy", "<f4", "(9, 9)", "\0\0\0\0", 4);
    support_fails(tdm_dataset_open(folder, "train", &ds), TDM_ERR_DATA,
                  "train/depth/0.npy: the header announces 81 elements");
    support_npy_write(folder, "train/depth/0.npy", "<f4", "(2,)", "12345678", 8);
    support_fails(tdm_dataset_open(folder, "train", &ds), TDM_ERR_DATA,
                  "an array of kind depth must have (H, W)");
    support_npy_write(folder, "train/depth/0.npy", "<f4", "(0, 4)", NULL, 0);
    support_fails(tdm_dataset_open(folder, "train", &ds), TDM_ERR_DATA, "are empty");
    support_npy_write(folder, "train/depth/0.npy", "|u1", "(1, 1, 1, 1, 1, 1, 1, 1)", "1", 1);
    support_fails(tdm_dataset_open(folder, "train", &ds), TDM_ERR_DATA, "8 dimensions");
    ck_assert_ptr_null(ds);
}
END_TEST

START_TEST(reading_checks_values)
{
    float label[NPY_H * NPY_W] = {0}, image[NPY_H * NPY_W * 3] = {0};
    uint64_t row = 1;
    int32_t out[NPY_H * NPY_W];
    support_nyu_write(folder, "train", 2);
    label[5] = 2.5f;
    image[7] = NAN;
    support_npy_write(folder, "train/label/1.npy", "<f4", "(4, 6)", label, sizeof label);
    support_npy_write(folder, "train/image/1.npy", "<f4", "(4, 6, 3)", image, sizeof image);
    tdm_dataset *ds = open_set("train");
    support_fails(tdm__dataset_read_rows(ds, 2, &row, 1, TDM__TO_I32, out), TDM_ERR_DATA,
                  "1.npy: row 1: value 2.5 must be a whole number");
    support_fails(tdm_dataset_read(ds, 1, &row, 1, image), TDM_ERR_DATA,
                  "image: row 1: value nan must be finite");
    remove_file("train/label/1.npy");
    support_fails(tdm__dataset_read_rows(ds, 2, &row, 1, TDM__TO_I32, out), TDM_ERR_DATA,
                  "label/1.npy: cannot be opened");
    tdm_dataset_destroy(&ds);
}
END_TEST

START_TEST(info_of_folders)
{
    char *text = NULL;
    support_nyu_write(folder, "train", 3);
    support_nyu_write(folder, "val", 2);
    support_ok(tdm_data_info(folder, false, &text));
    ck_assert_ptr_nonnull(strstr(text, "train: 3 samples\n"));
    ck_assert_ptr_nonnull(strstr(text, "val: 2 samples\n"));
    ck_assert_ptr_nonnull(strstr(text, "label: mask, f32, 3 x 4 x 6\n"));
    ck_assert_ptr_nonnull(strstr(text, "stored: a .npy file a sample"));
    free(text);
    support_ok(tdm_data_info(folder, true, &text));
    ck_assert_ptr_nonnull(strstr(text, "\"npy\""));
    free(text);
}
END_TEST

/* Importing --------------------------------------------------------------------------------------
 */

START_TEST(import_nyuv2)
{
    char *out = support_path(folder, "out");
    tdm_import_result result;
    support_nyu_write(folder, "train", 5);
    support_fails(tdm_data_import("nyuv2", folder, out, NULL, NULL), TDM_ERR_DATA,
                  "no split 'val'");
    support_nyu_write(folder, "val", 2);
    support_fails(tdm_data_import("nyuv2", folder, out, &(tdm_import_options){.size = 64}, NULL),
                  TDM_ERR_USAGE, "not resized");
    support_ok(tdm_data_import("nyuv2", folder, out, NULL, &result));
    ck_assert(!result.existed);
    tdm_dataset *from = open_set("train"), *to = NULL;
    support_ok(tdm_dataset_open(out, "train", &to));
    ck_assert_uint_eq(tdm_dataset_length(to), 5);
    ck_assert_uint_eq(tdm_dataset_arrays(to), 3);
    for (size_t i = 0; i < 3; i++) {
        const tdm_array_info *a = tdm_dataset_array(from, i), *b = tdm_dataset_array(to, i);
        ck_assert_str_eq(a->name, b->name);
        ck_assert_int_eq(a->kind, b->kind);
        ck_assert_uint_eq(a->elems, b->elems);
        ck_assert_double_eq(b->amplification, 1);
        for (uint64_t row = 0; row < 5; row++) {
            float x[NPY_H * NPY_W * 3], y[NPY_H * NPY_W * 3];
            support_ok(tdm_dataset_read(from, i, &row, 1, x));
            support_ok(tdm_dataset_read(to, i, &row, 1, y));
            ck_assert_mem_eq(x, y, a->elems * sizeof *x);
        }
    }
    ck_assert_str_eq(tdm_dataset_array(to, 2)->dtype, "i8");
    ck_assert_uint_eq(tdm_dataset_array(to, 2)->classes, 13);
    ck_assert_str_eq(tdm_dataset_array(to, 2)->class_names[12], "window");
    tdm_dataset_destroy(&from);
    tdm_dataset_destroy(&to);
    support_ok(tdm_data_import("nyuv2", folder, out, NULL, &result));
    ck_assert(result.existed);
    free(out);
}
END_TEST

START_TEST(import_nyuv2_refuses)
{
    char *out = support_path(folder, "out");
    float label[NPY_H * NPY_W] = {[3] = 13};
    support_nyu_write(folder, "train", 3);
    support_nyu_write(folder, "val", 2);
    support_npy_write(folder, "train/label/2.npy", "<f4", "(4, 6)", label, sizeof label);
    support_fails(tdm_data_import("nyuv2", folder, out, NULL, NULL), TDM_ERR_DATA,
                  "label/2.npy: label 13: must be in -1..12");
    char **names = NULL;
    size_t n = 0;
    support_ok(tdm__list_folder(out, &names, &n));
    ck_assert_uint_eq(n, 0); /* no half file */
    tdm__names_free(names, n);
    char *labels = support_path(folder, "train/label");
    support_ok(tdm__remove_tree(labels));
    support_fails(tdm_data_import("nyuv2", folder, out, NULL, NULL), TDM_ERR_DATA,
                  "no array 'label'");
    free(labels);
    free(out);
}
END_TEST

/* The real frames: shapes and counts only. */
START_TEST(real_nyuv2)
{
    const char *data = support_data_dir("real_nyuv2");
    if (!data) return;
    char *source = support_path(data, "nyuv2"), *out = support_path(folder, "out");
    support_ok(tdm_data_import("nyuv2", source, out, NULL, NULL));
    for (int k = 0; k < 2; k++) {
        static const char *const splits[] = {"train", "val"};
        tdm_dataset *a = NULL, *b = NULL;
        support_ok(tdm_dataset_open(source, splits[k], &a));
        support_ok(tdm_dataset_open(out, splits[k], &b));
        ck_assert_uint_eq(tdm_dataset_length(a), k ? 1 : 2);
        ck_assert_uint_eq(tdm_dataset_length(b), k ? 1 : 2);
        for (size_t i = 0; i < 3; i++) {
            const uint64_t elems = i == 1 ? 288 * 384 * 3 : 288 * 384, row = k ? 0 : 1;
            ck_assert_uint_eq(tdm_dataset_array(a, i)->elems, elems);
            float *x = calloc(elems, sizeof *x), *y = calloc(elems, sizeof *y);
            support_ok(tdm_dataset_read(a, i, &row, 1, x));
            support_ok(tdm_dataset_read(b, i, &row, 1, y));
            ck_assert_mem_eq(x, y, elems * sizeof *x);
            free(x);
            free(y);
        }
        tdm_dataset_destroy(&a);
        tdm_dataset_destroy(&b);
    }
    free(source);
    free(out);
}
END_TEST

/* What is written reads back; the header is as NumPy writes it, the data begin at a multiple of 64.
 */
START_TEST(writes)
{
    static const struct {
        int rank;
        uint64_t dims[3];
        const char *shape;
    } cases[] = {
        {0, {0}, "()"}, {1, {6}, "(6,)"}, {2, {2, 3}, "(2, 3)"}, {3, {1, 2, 3}, "(1, 2, 3)"}};
    const float values[] = {0.5f, -1, 3e30f, 0, 7, 1e-30f};
    const uint8_t bytes[] = {0, 1, 255, 3, 4, 5};
    char *path = support_path(folder, "x.npy");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int as_float = 0; as_float < 2; as_float++) {
            const tdm__elem elem =
                as_float ? tdm__elem_host(TDM__ELEM_FLOAT, 4) : tdm__elem_host(TDM__ELEM_UINT, 1);
            const void *data = as_float ? (const void *)values : bytes, *elements, *header;
            tdm__npy_buffer buffer = {0};
            tdm__npy npy;
            void *text = NULL;
            size_t size = 0;
            support_ok(tdm__npy_write(path, elem, cases[i].rank, cases[i].dims, data));
            support_ok(tdm__npy_load(path, &buffer, &npy, &elements));
            ck_assert_int_eq(npy.rank, cases[i].rank);
            for (int d = 0; d < npy.rank; d++) ck_assert_uint_eq(npy.dims[d], cases[i].dims[d]);
            ck_assert_mem_eq(elements, data, npy.count * elem.size);
            ck_assert_uint_eq(npy.data % 64, 0);
            support_ok(tdm__read_file(path, 1 << 20, &text, &size));
            header = memmem(text, size, cases[i].shape, strlen(cases[i].shape));
            ck_assert_msg(header != NULL, "no shape %s in the header", cases[i].shape);
            free(text);
            tdm__npy_buffer_free(&buffer);
        }
    }
    support_fails(
        tdm__npy_write("/nowhere/x.npy", tdm__elem_host(TDM__ELEM_UINT, 1), 0, NULL, bytes),
        TDM_ERR_IO, "/nowhere");
    free(path);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("npy");
    TCase *tc = tcase_create("npy");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, types_and_versions);
    tcase_add_test(tc, fortran_order);
    tcase_add_test(tc, refuses_bad_headers);
    tcase_add_test(tc, writes);
    tcase_add_test(tc, open_folders);
    tcase_add_test(tc, load_with_workers);
    tcase_add_test(tc, open_refuses_gaps);
    tcase_add_test(tc, reading_checks_values);
    tcase_add_test(tc, info_of_folders);
    tcase_add_test(tc, import_nyuv2);
    tcase_add_test(tc, import_nyuv2_refuses);
    tcase_add_test(tc, real_nyuv2);
    suite_add_tcase(suite, tc);
    return support_run(suite);
}
