/* Tests of HDF5 reading. The files are made with the library itself, in every layout,
 * filter chain and element type; the library's own conversion to double is the oracle of both
 * reading paths. */
#include <hdf5.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/thread.h"
#include "format/hdf5.h"
#include "support/support.h"

static char *folder;

static void setup(void)
{
    folder = support_temp_create();
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

static void teardown(void)
{
    support_temp_remove(folder);
}

/* Making files -----------------------------------------------------------------------------------
 */

enum { ROWS = 13, A = 5, B = 7, C = 3, ELEMS = A * B * C, TOTAL = ROWS * ELEMS };

typedef enum layout { COMPACT, CONTIGUOUS, ROWWISE, RAGGED, ONE_CHUNK } layout;
enum { SHUFFLE = 1, DEFLATE = 2, FLETCHER = 4, FLETCHER_FIRST = 8 };

static hid_t make_plist(layout l, int filters)
{
    static const hsize_t chunks[][4] = {
        [ROWWISE] = {1, A, B, C}, [RAGGED] = {4, 2, 3, 2}, [ONE_CHUNK] = {ROWS, A, B, C}};
    hid_t p = H5Pcreate(H5P_DATASET_CREATE);
    if (l == COMPACT) H5Pset_layout(p, H5D_COMPACT);
    if (l >= ROWWISE) H5Pset_chunk(p, 4, chunks[l]);
    if (filters & FLETCHER_FIRST) H5Pset_fletcher32(p);
    if (filters & SHUFFLE) H5Pset_shuffle(p);
    if (filters & DEFLATE) H5Pset_deflate(p, 4);
    if (filters & FLETCHER) H5Pset_fletcher32(p);
    return p;
}

/* Adds a data set of shape (ROWS, A, B, C). Small whole numbers, some negative where the type is
 * signed, that repeat little: written as bytes of `type` where the library cannot convert. */
static void add_set(hid_t file, const char *name, hid_t type, layout l, int filters)
{
    hsize_t dims[4] = {ROWS, A, B, C};
    hid_t space = H5Screate_simple(4, dims, NULL), p = make_plist(l, filters);
    hid_t set = H5Dcreate2(file, name, type, space, H5P_DEFAULT, p, H5P_DEFAULT);
    ck_assert(set >= 0);
    H5T_class_t class = H5Tget_class(type);
    bool bytes = class == H5T_BITFIELD || class == H5T_ENUM;
    double *v = calloc(TOTAL, sizeof *v);
    uint8_t *raw = calloc(TOTAL, 8);
    bool is_signed = class == H5T_FLOAT || (class == H5T_INTEGER && H5Tget_sign(type) == H5T_SGN_2);
    for (int i = 0; i < TOTAL; i++) {
        v[i] = (i * 37 + i / 11) % 101 - (is_signed ? 50 : 0);
        if (class == H5T_FLOAT) v[i] /= 4;
        raw[i] = bytes ? (uint8_t)(i * 5 % 7 % 2) : 0;
    }
    herr_t e = bytes ? H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, raw)
                     : H5Dwrite(set, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, v);
    ck_assert(e >= 0);
    free(v);
    free(raw);
    H5Dclose(set);
    H5Pclose(p);
    H5Sclose(space);
}

static hid_t half_type(void)
{
    hid_t type = H5Tcopy(H5T_IEEE_F32LE);
    H5Tset_fields(type, 15, 10, 5, 0, 10);
    H5Tset_size(type, 2);
    H5Tset_ebias(type, 15);
    return type;
}

static hid_t bool_type(void)
{
    hid_t type = H5Tenum_create(H5T_STD_I8LE);
    int8_t no = 0, yes = 1;
    H5Tenum_insert(type, "FALSE", &no);
    H5Tenum_insert(type, "TRUE", &yes);
    return type;
}

/* What the library itself makes of it, or the bytes for what it does not convert. */
static double *oracle(const char *path, const char *name)
{
    double *v = calloc(TOTAL, sizeof *v);
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    hid_t set = H5Dopen2(file, name, H5P_DEFAULT), type = H5Dget_type(set);
    H5T_class_t class = H5Tget_class(type);
    if (class == H5T_ENUM || class == H5T_BITFIELD) {
        uint8_t *raw = calloc(TOTAL, 8);
        ck_assert(H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, raw) >= 0);
        for (int i = 0; i < TOTAL; i++) v[i] = raw[i];
        free(raw);
    } else {
        ck_assert(H5Dread(set, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, v) >= 0);
    }
    H5Tclose(type);
    H5Dclose(set);
    H5Fclose(file);
    return v;
}

/* Reading ----------------------------------------------------------------------------------------
 */

/* Every row through both paths, as every destination that fits, against the oracle. */
static void check_set(const char *path, const char *name, bool expect_raw)
{
    tdm__h5 *file = NULL;
    size_t set;
    double *want = oracle(path, name), *got = calloc(TOTAL, sizeof *got);
    double *row = calloc(ELEMS, sizeof *row);
    float *f32 = calloc(TOTAL, sizeof *f32);
    int32_t *i32 = calloc(TOTAL, sizeof *i32);
    support_ok(tdm__h5_open(path, &file));
    support_ok(tdm__h5_find(file, name, &set));
    const tdm__h5_info *info = tdm__h5_info_at(file, set);
    ck_assert_msg(!info->problem, "%s: %s", name, info->problem);
    ck_assert_msg(info->raw == expect_raw, "%s: raw is %d", name, info->raw);
    uint64_t rows[ROWS] = {0};
    for (int i = 0; i < ROWS; i++) rows[i] = (uint64_t)i;
    support_ok(tdm__h5_read_rows(file, set, rows, ROWS, TDM__TO_F64, got));
    for (int i = 0; i < TOTAL; i++) ck_assert_msg(got[i] == want[i], "%s: %d: %g", name, i, got[i]);
    support_ok(tdm__h5_read_rows(file, set, rows, ROWS, TDM__TO_F32, f32));
    for (int i = 0; i < TOTAL; i++) ck_assert(f32[i] == (float)want[i]);
    if (info->elem.kind != TDM__ELEM_FLOAT) {
        support_ok(tdm__h5_read_rows(file, set, rows, ROWS, TDM__TO_I32, i32));
        for (int i = 0; i < TOTAL; i++) ck_assert_int_eq(i32[i], (int32_t)want[i]);
    }
    if (expect_raw) {
        tdm__h5_raw *raw = NULL;
        tdm__h5_cursor *cursor = NULL;
        support_ok(tdm__h5_raw_create(file, set, &raw));
        support_ok(tdm__h5_cursor_create(raw, &cursor));
        for (int i = 0; i < 2 * ROWS; i++) { /* forwards, then in jumps */
            uint64_t r = (uint64_t)(i < ROWS ? i : i * 5 % ROWS);
            support_ok(tdm__h5_cursor_read(cursor, r, TDM__TO_F64, row));
            ck_assert_msg(!memcmp(row, want + r * ELEMS, ELEMS * sizeof *row), "%s row %d", name,
                          i);
        }
        tdm__h5_cursor_destroy(&cursor);
        tdm__h5_raw_destroy(&raw);
    }
    tdm__h5_close(&file);
    free(want);
    free(got);
    free(row);
    free(f32);
    free(i32);
}

START_TEST(every_type)
{
    char *path = support_path(folder, "types.h5");
    hid_t f16 = half_type(), f16be = half_type(), yes_no = bool_type();
    H5Tset_order(f16be, H5T_ORDER_BE);
    const struct {
        const char *name;
        hid_t type;
        tdm__elem_kind kind;
        unsigned size;
    } types[] = {{"i8", H5T_STD_I8LE, TDM__ELEM_INT, 1},
                 {"u8", H5T_STD_U8LE, TDM__ELEM_UINT, 1},
                 {"i16", H5T_STD_I16LE, TDM__ELEM_INT, 2},
                 {"i16be", H5T_STD_I16BE, TDM__ELEM_INT, 2},
                 {"u16", H5T_STD_U16LE, TDM__ELEM_UINT, 2},
                 {"u16be", H5T_STD_U16BE, TDM__ELEM_UINT, 2},
                 {"i32", H5T_STD_I32LE, TDM__ELEM_INT, 4},
                 {"i32be", H5T_STD_I32BE, TDM__ELEM_INT, 4},
                 {"u32", H5T_STD_U32LE, TDM__ELEM_UINT, 4},
                 {"u32be", H5T_STD_U32BE, TDM__ELEM_UINT, 4},
                 {"i64", H5T_STD_I64LE, TDM__ELEM_INT, 8},
                 {"i64be", H5T_STD_I64BE, TDM__ELEM_INT, 8},
                 {"u64", H5T_STD_U64LE, TDM__ELEM_UINT, 8},
                 {"u64be", H5T_STD_U64BE, TDM__ELEM_UINT, 8},
                 {"f32", H5T_IEEE_F32LE, TDM__ELEM_FLOAT, 4},
                 {"f32be", H5T_IEEE_F32BE, TDM__ELEM_FLOAT, 4},
                 {"f64", H5T_IEEE_F64LE, TDM__ELEM_FLOAT, 8},
                 {"f64be", H5T_IEEE_F64BE, TDM__ELEM_FLOAT, 8},
                 {"f16", f16, TDM__ELEM_FLOAT, 2},
                 {"f16be", f16be, TDM__ELEM_FLOAT, 2},
                 {"bool", yes_no, TDM__ELEM_BOOL, 1},
                 {"bits", H5T_STD_B8LE, TDM__ELEM_UINT, 1}};
    enum { N = sizeof types / sizeof *types };
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    for (int i = 0; i < N; i++)
        add_set(file, types[i].name, types[i].type, i % 2 ? RAGGED : CONTIGUOUS,
                i % 2 ? SHUFFLE | DEFLATE : 0);
    H5Fclose(file);
    tdm__h5 *h5 = NULL;
    support_ok(tdm__h5_open(path, &h5));
    ck_assert_uint_eq(tdm__h5_count(h5), N);
    for (int i = 0; i < N; i++) {
        size_t set;
        support_ok(tdm__h5_find(h5, types[i].name, &set));
        tdm__elem elem = tdm__h5_info_at(h5, set)->elem;
        ck_assert_int_eq(elem.kind, types[i].kind);
        ck_assert_uint_eq(elem.size, types[i].size);
        if (elem.size > 1) ck_assert_int_eq(elem.big_endian, tdm__ends_with(types[i].name, "be"));
    }
    tdm__h5_close(&h5);
    for (int i = 0; i < N; i++) check_set(path, types[i].name, true);
    H5Tclose(f16);
    H5Tclose(f16be);
    H5Tclose(yes_no);
    free(path);
}
END_TEST

/* Types that only the library can convert. */
START_TEST(odd_types)
{
    char *path = support_path(folder, "odd.h5");
    hid_t twelve_bits = H5Tcopy(H5T_STD_U16LE);
    H5Tset_precision(twelve_bits, 12);
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    add_set(file, "twelve", twelve_bits, CONTIGUOUS, 0);
    add_set(file, "extended", H5T_NATIVE_LDOUBLE, RAGGED, DEFLATE);
    H5Fclose(file);
    H5Tclose(twelve_bits);
    check_set(path, "twelve", false);
    check_set(path, "extended", false);
    free(path);
}
END_TEST

START_TEST(every_layout)
{
    static const struct {
        const char *name;
        layout layout;
        int filters;
        double amplification;
    } cases[] = {
        {"compact", COMPACT, 0, 1},
        {"contiguous", CONTIGUOUS, 0, 1},
        {"rowwise", ROWWISE, 0, 1},
        {"rowwise deflate", ROWWISE, DEFLATE, 1},
        {"rowwise all", ROWWISE, SHUFFLE | DEFLATE | FLETCHER, 1},
        {"ragged", RAGGED, 0, (6. * 9 * 4) / (5. * 7 * 3)},
        {"ragged shuffle", RAGGED, SHUFFLE, 4 * (6. * 9 * 4) / (5. * 7 * 3)},
        {"ragged fletcher", RAGGED, FLETCHER, 4 * (6. * 9 * 4) / (5. * 7 * 3)},
        {"ragged all", RAGGED, SHUFFLE | DEFLATE | FLETCHER, 4 * (6. * 9 * 4) / (5. * 7 * 3)},
        {"sum first", RAGGED, SHUFFLE | DEFLATE | FLETCHER_FIRST, 4 * (6. * 9 * 4) / (5. * 7 * 3)},
        {"one", ONE_CHUNK, 0, 1},
        {"one all", ONE_CHUNK, SHUFFLE | DEFLATE | FLETCHER, ROWS},
    };
    enum { N = sizeof cases / sizeof *cases };
    char *path = support_path(folder, "layouts.h5");
    for (int latest = 0; latest < 2; latest++) { /* the two generations of chunk indices */
        hid_t access = H5Pcreate(H5P_FILE_ACCESS);
        if (latest) H5Pset_libver_bounds(access, H5F_LIBVER_LATEST, H5F_LIBVER_LATEST);
        hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, access);
        for (int i = 0; i < N; i++)
            add_set(file, cases[i].name, H5T_STD_I32BE, cases[i].layout, cases[i].filters);
        H5Fclose(file);
        H5Pclose(access);
        for (int i = 0; i < N; i++) check_set(path, cases[i].name, true);
    }
    tdm__h5 *h5 = NULL;
    size_t set;
    support_ok(tdm__h5_open(path, &h5));
    for (int i = 0; i < N; i++) {
        support_ok(tdm__h5_find(h5, cases[i].name, &set));
        ck_assert_double_eq_tol(tdm__h5_info_at(h5, set)->amplification, cases[i].amplification,
                                1e-12);
    }
    tdm__h5_close(&h5);
    free(path);
}
END_TEST

/* Chunks never written, and data sets never written, read as the fill value. */
START_TEST(fill_values)
{
    char *path = support_path(folder, "fill.h5");
    hsize_t dims[4] = {ROWS, A, B, C}, start[4] = {5, 0, 0, 0}, count[4] = {1, A, B, C};
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    int16_t fill = -7, row[ELEMS];
    for (int i = 0; i < ELEMS; i++) row[i] = (int16_t)i;
    hid_t space = H5Screate_simple(4, dims, NULL), memory = H5Screate_simple(4, count, NULL);
    static const char *const names[] = {"deflated", "plain", "contiguous"};
    for (int i = 0; i < 3; i++) {
        hid_t p = make_plist(i == 2 ? CONTIGUOUS : RAGGED, i == 0 ? DEFLATE : 0);
        H5Pset_fill_value(p, H5T_NATIVE_INT16, &fill);
        hid_t set = H5Dcreate2(file, names[i], H5T_STD_I16BE, space, H5P_DEFAULT, p, H5P_DEFAULT);
        if (i < 2) {
            H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL);
            ck_assert(H5Dwrite(set, H5T_NATIVE_INT16, memory, space, H5P_DEFAULT, row) >= 0);
            H5Sselect_all(space);
        }
        H5Dclose(set);
        H5Pclose(p);
    }
    H5Sclose(space);
    H5Sclose(memory);
    H5Fclose(file);
    for (int i = 0; i < 3; i++) check_set(path, names[i], true);
    free(path);
}
END_TEST

/* A block of the user's own before the HDF5 data shifts every address. */
START_TEST(user_block)
{
    char *path = support_path(folder, "block.h5");
    hid_t create = H5Pcreate(H5P_FILE_CREATE);
    H5Pset_userblock(create, 1024);
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, create, H5P_DEFAULT);
    add_set(file, "chunked", H5T_STD_I32LE, RAGGED, DEFLATE);
    add_set(file, "contiguous", H5T_STD_I32LE, CONTIGUOUS, 0);
    H5Fclose(file);
    H5Pclose(create);
    check_set(path, "chunked", true);
    check_set(path, "contiguous", true);
    free(path);
}
END_TEST

/* Looking up many chunks must not take time quadratic in their number (it would be minutes). */
START_TEST(many_chunks)
{
    enum { N = 20000 };
    char *path = support_path(folder, "many.h5");
    for (int latest = 0; latest < 2; latest++) {
        hid_t access = H5Pcreate(H5P_FILE_ACCESS), p = H5Pcreate(H5P_DATASET_CREATE);
        if (latest) H5Pset_libver_bounds(access, H5F_LIBVER_LATEST, H5F_LIBVER_LATEST);
        hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, access);
        hsize_t dims[1] = {N}, most[1] = {H5S_UNLIMITED}, chunk[1] = {1};
        hid_t space = H5Screate_simple(1, dims, most);
        H5Pset_chunk(p, 1, chunk);
        H5Pset_deflate(p, 1);
        hid_t set = H5Dcreate2(file, "x", H5T_STD_I32LE, space, H5P_DEFAULT, p, H5P_DEFAULT);
        int32_t *v = calloc(N, sizeof *v), got;
        for (int i = 0; i < N; i++) v[i] = i * 7919;
        ck_assert(H5Dwrite(set, H5T_NATIVE_INT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, v) >= 0);
        H5Dclose(set), H5Sclose(space), H5Pclose(p), H5Pclose(access), H5Fclose(file);
        tdm__h5 *h5 = NULL;
        tdm__h5_raw *raw = NULL;
        tdm__h5_cursor *cursor = NULL;
        double before = tdm__cpu_time();
        support_ok(tdm__h5_open(path, &h5));
        support_ok(tdm__h5_raw_create(h5, 0, &raw));
        ck_assert_double_lt(tdm__cpu_time() - before, 5);
        support_ok(tdm__h5_cursor_create(raw, &cursor));
        for (uint64_t i = 0; i < N; i += 997) {
            support_ok(tdm__h5_cursor_read(cursor, i, TDM__TO_I32, &got));
            ck_assert_int_eq(got, v[i]);
        }
        tdm__h5_cursor_destroy(&cursor);
        tdm__h5_raw_destroy(&raw);
        tdm__h5_close(&h5);
        free(v);
    }
    free(path);
}
END_TEST

/* Row selections: runs, gaps, repeats, none; and what is refused. */
START_TEST(selections)
{
    char *path = support_path(folder, "rows.h5");
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    add_set(file, "x", H5T_STD_I16LE, RAGGED, DEFLATE);
    H5Fclose(file);
    double *want = oracle(path, "x");
    tdm__h5 *h5 = NULL;
    support_ok(tdm__h5_open(path, &h5));
    uint64_t rows[] = {0, 1, 2, 4, 4, 9, 10, 12};
    double got[8 * ELEMS];
    support_ok(tdm__h5_read_rows(h5, 0, rows, 8, TDM__TO_F64, got));
    for (int i = 0; i < 8; i++)
        ck_assert(!memcmp(got + i * ELEMS, want + rows[i] * ELEMS, ELEMS * sizeof *got));
    support_ok(tdm__h5_read_rows(h5, 0, rows, 0, TDM__TO_F64, got));
    rows[7] = ROWS;
    support_fails(tdm__h5_read_rows(h5, 0, rows, 8, TDM__TO_F64, got), TDM_ERR_DATA,
                  "row 13 does not exist");
    rows[0] = 3;
    support_fails(tdm__h5_read_rows(h5, 0, rows, 2, TDM__TO_F64, got), TDM_ERR_STATE, "ascending");
    uint8_t bytes[ELEMS];
    rows[0] = 0;
    support_fails(tdm__h5_read_rows(h5, 0, rows, 1, TDM__TO_U8, bytes), TDM_ERR_DATA,
                  "x: row 0: value -50 must be a whole number in 0..255");
    size_t set;
    support_fails(tdm__h5_find(h5, "y", &set), TDM_ERR_DATA, "no data set 'y': it has x");
    tdm__h5_close(&h5);
    free(want);
    free(path);
}
END_TEST

/* Workers share one plan; each decodes for itself. */
typedef struct worker {
    tdm__thread thread;
    const tdm__h5_raw *raw;
    const double *want;
    int seed, wrong;
} worker;

static void *read_all(void *arg)
{
    worker *w = arg;
    tdm__h5_cursor *cursor = NULL;
    double row[ELEMS];
    w->wrong = tdm__h5_cursor_create(w->raw, &cursor) != TDM_OK;
    for (int i = 0; i < 200 && !w->wrong; i++) {
        uint64_t r = (uint64_t)((i * 7 + w->seed) % ROWS);
        w->wrong = tdm__h5_cursor_read(cursor, r, TDM__TO_F64, row) != TDM_OK ||
                   memcmp(row, w->want + r * ELEMS, sizeof row) != 0;
    }
    tdm__h5_cursor_destroy(&cursor);
    return NULL;
}

START_TEST(parallel_cursors)
{
    char *path = support_path(folder, "parallel.h5");
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    add_set(file, "x", H5T_IEEE_F32BE, RAGGED, SHUFFLE | DEFLATE | FLETCHER);
    H5Fclose(file);
    double *want = oracle(path, "x");
    tdm__h5 *h5 = NULL;
    tdm__h5_raw *raw = NULL;
    support_ok(tdm__h5_open(path, &h5));
    support_ok(tdm__h5_raw_create(h5, 0, &raw));
    tdm__h5_close(&h5); /* the plan stands alone */
    worker workers[4] = {0};
    for (int i = 0; i < 4; i++) {
        workers[i].raw = raw;
        workers[i].want = want;
        workers[i].seed = i * 3;
        support_ok(tdm__thread_start(&workers[i].thread, read_all, &workers[i], "reader"));
    }
    for (int i = 0; i < 4; i++) {
        tdm__thread_join(&workers[i].thread);
        ck_assert_int_eq(workers[i].wrong, 0);
    }
    tdm__h5_raw_destroy(&raw);
    free(want);
    free(path);
}
END_TEST

/* Listing and describing -------------------------------------------------------------------------
 */

START_TEST(name_order_groups_and_links)
{
    char *path = support_path(folder, "groups.h5");
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    add_set(file, "zebra", H5T_STD_U8LE, CONTIGUOUS, 0);
    hid_t group = H5Gcreate2(file, "middle", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    add_set(group, "inner", H5T_STD_U8LE, CONTIGUOUS, 0);
    H5Lcreate_hard(file, "/", group, "loop", H5P_DEFAULT, H5P_DEFAULT);
    add_set(file, "apple", H5T_STD_U8LE, CONTIGUOUS, 0);
    H5Lcreate_soft("/nowhere", file, "dangling", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_external("/etc/passwd", "/x", file, "outside", H5P_DEFAULT, H5P_DEFAULT);
    H5Gclose(group);
    H5Fclose(file);
    tdm__h5 *h5 = NULL;
    support_ok(tdm__h5_open(path, &h5));
    ck_assert_str_eq(tdm__h5_info_at(h5, 0)->name, "apple");
    ck_assert_str_eq(tdm__h5_info_at(h5, 1)->name, "middle/inner");
    size_t set;
    support_ok(tdm__h5_find(h5, "zebra", &set));
    support_fails(tdm__h5_find(h5, "zebar", &set), TDM_ERR_DATA, "did you mean 'zebra'");
    ck_assert_ptr_null(tdm__h5_info_at(h5, tdm__h5_count(h5)));
    tdm__h5_close(&h5);
    free(path);
}
END_TEST

/* What cannot be read is named, and does not stand in the way of the rest. */
START_TEST(problems_are_named)
{
    char *path = support_path(folder, "problems.h5");
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    add_set(file, "good", H5T_STD_U8LE, CONTIGUOUS, 0);
    hsize_t four[1] = {4}, many[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1}, none[2] = {0, 4};
    hid_t text = H5Tcopy(H5T_C_S1);
    H5Tset_size(text, 8);
    const struct {
        const char *name, *part;
        hid_t space, type;
    } cases[] = {
        {"text", "its elements are text", H5Screate_simple(1, four, NULL), text},
        {"scalar", "it is a single value", H5Screate(H5S_SCALAR), H5T_STD_U8LE},
        {"nine", "it has 9 dimensions", H5Screate_simple(9, many, NULL), H5T_STD_U8LE},
        {"nothing", "it is a single value", H5Screate(H5S_NULL), H5T_STD_U8LE},
    };
    for (int i = 0; i < 4; i++) {
        hid_t set = H5Dcreate2(file, cases[i].name, cases[i].type, cases[i].space, H5P_DEFAULT,
                               H5P_DEFAULT, H5P_DEFAULT);
        ck_assert(set >= 0);
        H5Dclose(set);
        H5Sclose(cases[i].space);
    }
    hid_t p = make_plist(ROWWISE, 0), empty = H5Screate_simple(2, none, NULL);
    hsize_t dims[4] = {ROWS, A, B, C};
    hid_t space = H5Screate_simple(4, dims, NULL);
    ck_assert(H5Pset_filter(p, 32000, H5Z_FLAG_OPTIONAL, 0, NULL) >= 0);
    H5Dclose(H5Dcreate2(file, "lzf", H5T_STD_U8LE, space, H5P_DEFAULT, p, H5P_DEFAULT));
    H5Dclose(H5Dcreate2(file, "empty", H5T_STD_U8LE, empty, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Pclose(p);
    H5Sclose(space);
    H5Sclose(empty);
    H5Tclose(text);
    H5Fclose(file);

    tdm__h5 *h5 = NULL;
    tdm__h5_raw *raw = NULL;
    size_t set;
    uint64_t row = 0;
    uint8_t out[ELEMS];
    support_ok(tdm__h5_open(path, &h5));
    for (int i = 0; i < 4; i++) {
        support_ok(tdm__h5_find(h5, cases[i].name, &set));
        support_fails(tdm__h5_read_rows(h5, set, &row, 1, TDM__TO_U8, out), TDM_ERR_DATA,
                      cases[i].part);
    }
    support_ok(tdm__h5_find(h5, "lzf", &set));
    support_fails(tdm__h5_raw_create(h5, set, &raw), TDM_ERR_DATA,
                  "filter lzf (32000) is not supported");
    support_ok(tdm__h5_find(h5, "empty", &set));
    ck_assert_uint_eq(tdm__h5_info_at(h5, set)->rows, 0);
    support_ok(tdm__h5_find(h5, "good", &set));
    support_ok(tdm__h5_read_rows(h5, set, &row, 1, TDM__TO_U8, out));
    tdm__h5_close(&h5);
    free(path);
}
END_TEST

/* Bad files --------------------------------------------------------------------------------------
 */

START_TEST(bad_files)
{
    char *path = support_path(folder, "bad.h5");
    tdm__h5 *h5 = NULL;
    support_fails(tdm__h5_open(path, &h5), TDM_ERR_DATA, "No such file");
    support_message_has(path);
    support_fails(tdm__h5_open(folder, &h5), TDM_ERR_DATA, "is not a file");
    support_write(path, "", 0);
    support_fails(tdm__h5_open(path, &h5), TDM_ERR_DATA, "the file is empty");
    support_write_text(path, "these are not the bytes that you are looking for");
    support_fails(tdm__h5_open(path, &h5), TDM_ERR_DATA, "not a readable HDF5 file");
    ck_assert_ptr_null(h5);

    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    add_set(file, "x", H5T_STD_I32LE, RAGGED, SHUFFLE | DEFLATE | FLETCHER);
    H5Fclose(file);
    size_t n;
    char *bytes = support_read(path, &n);
    for (size_t k = 0; k < 40; k++) { /* every truncation is refused */
        support_write(path, bytes, n * k / 40);
        support_fails(tdm__h5_open(path, &h5), TDM_ERR_DATA, path);
    }
    support_write(path, bytes, n - 1);
    support_fails(tdm__h5_open(path, &h5), TDM_ERR_DATA, "truncated");
    free(bytes);
    free(path);
}
END_TEST

/* Damage in the data: both paths refuse, and say where. */
START_TEST(damaged_chunks)
{
    static const struct {
        int filters;
        const char *part;
    } cases[] = {{DEFLATE, "the deflated data is damaged"},
                 {FLETCHER, "its checksum does not match"},
                 {SHUFFLE | FLETCHER, "its checksum does not match"}};
    for (int i = 0; i < 3; i++) {
        char *path = support_path(folder, "damaged.h5");
        hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
        add_set(file, "x", H5T_STD_I32LE, ONE_CHUNK, cases[i].filters);
        hid_t set = H5Dopen2(file, "x", H5P_DEFAULT);
        hsize_t at[4] = {0}, size = 0;
        unsigned mask;
        haddr_t address;
        H5Fflush(file, H5F_SCOPE_GLOBAL);
        ck_assert(H5Dget_chunk_info_by_coord(set, at, &mask, &address, &size) >= 0);
        H5Dclose(set);
        H5Fclose(file);
        size_t n;
        char *bytes = support_read(path, &n);
        for (size_t k = 0; k < 16; k++) bytes[address + size / 2 + k] ^= (char)(29 * k + 1);
        support_write(path, bytes, n);
        tdm__h5 *h5 = NULL;
        tdm__h5_raw *raw = NULL;
        tdm__h5_cursor *cursor = NULL;
        uint64_t row = 0;
        double out[ELEMS];
        support_ok(tdm__h5_open(path, &h5));
        support_fails(tdm__h5_read_rows(h5, 0, &row, 1, TDM__TO_F64, out), TDM_ERR_DATA,
                      cases[i].part);
        support_ok(tdm__h5_raw_create(h5, 0, &raw));
        support_ok(tdm__h5_cursor_create(raw, &cursor));
        support_fails(tdm__h5_cursor_read(cursor, 0, TDM__TO_F64, out), TDM_ERR_DATA,
                      cases[i].part);
        support_message_has("damaged.h5: x: chunk 0");
        /* The file shrinks under an open plan. */
        ck_assert_int_eq(truncate(path, (off_t)address), 0);
        support_fails(tdm__h5_cursor_read(cursor, 0, TDM__TO_F64, out), TDM_ERR_DATA,
                      "the file ends before its data");
        tdm__h5_cursor_destroy(&cursor);
        tdm__h5_raw_destroy(&raw);
        tdm__h5_close(&h5);
        free(bytes);
        free(path);
    }
}
END_TEST

/* Allocation failures anywhere in opening and reading end in a status. */
START_TEST(allocations_may_fail)
{
    char *path = support_path(folder, "alloc.h5");
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    add_set(file, "x", H5T_STD_I32LE, RAGGED, SHUFFLE | DEFLATE);
    H5Fclose(file);
    int failures = 0;
    for (uint64_t k = 1; k < 200; k++) {
        tdm__h5 *h5 = NULL;
        tdm__h5_raw *raw = NULL;
        tdm__h5_cursor *cursor = NULL;
        double out[ELEMS];
        tdm__mem_fail_after(k);
        tdm_status status = tdm__h5_open(path, &h5);
        if (!status) status = tdm__h5_raw_create(h5, 0, &raw);
        if (!status) status = tdm__h5_cursor_create(raw, &cursor);
        if (!status) status = tdm__h5_cursor_read(cursor, 0, TDM__TO_F64, out);
        tdm__mem_fail_after(0);
        tdm__h5_cursor_destroy(&cursor);
        tdm__h5_raw_destroy(&raw);
        tdm__h5_close(&h5);
        ck_assert(status == TDM_OK || status == TDM_ERR_NOMEM);
        failures += status != TDM_OK;
        if (!status) break;
    }
    ck_assert_int_ge(failures, 10);
    free(path);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hdf5");
    TCase *tc = tcase_create("hdf5");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, every_type);
    tcase_add_test(tc, odd_types);
    tcase_add_test(tc, every_layout);
    tcase_add_test(tc, fill_values);
    tcase_add_test(tc, user_block);
    tcase_add_test(tc, many_chunks);
    tcase_add_test(tc, selections);
    tcase_add_test(tc, parallel_cursors);
    tcase_add_test(tc, name_order_groups_and_links);
    tcase_add_test(tc, problems_are_named);
    tcase_add_test(tc, bad_files);
    tcase_add_test(tc, damaged_chunks);
    tcase_add_test(tc, allocations_may_fail);
    suite_add_tcase(suite, tc);
    return support_run(suite);
}
