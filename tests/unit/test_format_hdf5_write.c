/* Tests of HDF5 writing: what is written reads back, and a writer that fails leaves nothing. */
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/file.h"
#include "format/hdf5.h"
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

enum { N = 5000, M = 7, SMALL = 15, LARGE = 20000 }; /* rows, and elements of a row */
static const char *const names[] = {"nought", "\xc3\xa9t\xc3\xa9"};

/* Rows of `small` and `flags` in odd pieces, all of `large` at once, and attributes. */
static void write_three(const char *path, const uint16_t *a, const float *b, const uint8_t *c)
{
    tdm__h5_writer *w = NULL;
    const tdm__h5_spec small = {"small", tdm__elem_host(TDM__ELEM_UINT, 2), 2, {3, 5}, 0};
    const tdm__h5_spec large = {"large", tdm__elem_host(TDM__ELEM_FLOAT, 4), 1, {LARGE}, 1};
    const tdm__h5_spec flags = {"flags", tdm__elem_host(TDM__ELEM_BOOL, 1), 0, {0}, 3};
    const double range[2] = {-1, 2.5};
    size_t s, l, f;
    support_ok(tdm__h5_writer_create(path, &w));
    support_ok(tdm__h5_writer_add(w, &small, &s));
    support_ok(tdm__h5_writer_add(w, &large, &l));
    support_ok(tdm__h5_writer_add(w, &flags, &f));
    for (int at = 0, step = 1; at < N; at += step, step = step * 2 + 1) {
        int n = N - at < step ? N - at : step;
        support_ok(tdm__h5_writer_append(w, s, a + at * SMALL, (uint64_t)n));
        support_ok(tdm__h5_writer_append(w, f, c + at, (uint64_t)n));
    }
    support_ok(tdm__h5_writer_append(w, l, b, M));
    support_ok(tdm__h5_writer_number(w, TDM__H5_FILE, "version", 1));
    support_ok(tdm__h5_writer_text(w, s, "kind", "values"));
    support_ok(tdm__h5_writer_texts(w, s, "names", names, 2));
    support_ok(tdm__h5_writer_numbers(w, l, "range", range, 2));
    ck_assert(!tdm__path_exists(path)); /* nothing before the commit */
    support_ok(tdm__h5_writer_commit(w));
    tdm__h5_writer_destroy(&w);
}

static void check_three(const char *path, const uint16_t *a, const float *b, const uint8_t *c)
{
    tdm__h5 *h5 = NULL;
    size_t s, l, f;
    support_ok(tdm__h5_open(path, &h5));
    ck_assert_uint_eq(tdm__h5_count(h5), 3);
    ck_assert_double_eq(tdm__h5_attr_of(h5, TDM__H5_FILE, "version")->numbers[0], 1);
    support_ok(tdm__h5_find(h5, "small", &s));
    support_ok(tdm__h5_find(h5, "large", &l));
    support_ok(tdm__h5_find(h5, "flags", &f));
    ck_assert_str_eq(tdm__h5_attr_of(h5, s, "kind")->texts[0], "values");
    ck_assert_uint_eq(tdm__h5_attr_of(h5, s, "names")->n, 2);
    ck_assert_str_eq(tdm__h5_attr_of(h5, s, "names")->texts[1], names[1]);
    ck_assert_double_eq(tdm__h5_attr_of(h5, l, "range")->numbers[1], 2.5);
    ck_assert_ptr_null(tdm__h5_attr_of(h5, l, "kind"));
    ck_assert_uint_eq(tdm__h5_info_at(h5, s)->rows, N);
    ck_assert_uint_eq(tdm__h5_info_at(h5, s)->chunk[0], 2185); /* 65536 / 30, rounded up */
    ck_assert_uint_eq(tdm__h5_info_at(h5, l)->chunk[0], 1);
    ck_assert_int_eq(tdm__h5_info_at(h5, f)->elem.kind, TDM__ELEM_BOOL);
    ck_assert_uint_eq(tdm__h5_info_at(h5, l)->n_filters, 2);
    uint64_t *rows = calloc(N, sizeof *rows);
    for (int i = 0; i < N; i++) rows[i] = (uint64_t)i;
    uint16_t *a2 = calloc(N, SMALL * sizeof *a2);
    float *b2 = calloc(M, LARGE * sizeof *b2);
    uint8_t *c2 = calloc(N, 1);
    support_ok(tdm__h5_read_rows(h5, s, rows, N, TDM__TO_NATIVE, a2));
    support_ok(tdm__h5_read_rows(h5, l, rows, M, TDM__TO_F32, b2));
    support_ok(tdm__h5_read_rows(h5, f, rows, N, TDM__TO_U8, c2));
    ck_assert_mem_eq(a, a2, N * SMALL * sizeof *a);
    ck_assert_mem_eq(b, b2, M * LARGE * sizeof *b);
    ck_assert_mem_eq(c, c2, N);
    tdm__h5_close(&h5);
    free(a2), free(b2), free(c2), free(rows);
}

START_TEST(written_and_read_back)
{
    char *path = support_path(folder, "written.h5");
    uint16_t *a = calloc(N, SMALL * sizeof *a);
    float *b = calloc(M, LARGE * sizeof *b);
    uint8_t *c = calloc(N, 1);
    for (int i = 0; i < N * SMALL; i++) a[i] = (uint16_t)(i * 31);
    for (int i = 0; i < M * LARGE; i++) b[i] = (float)(i % 977) / 3;
    for (int i = 0; i < N; i++) c[i] = i % 3 == 0;
    write_three(path, a, b, c);
    check_three(path, a, b, c);
    free(a), free(b), free(c);
    free(path);
}
END_TEST

START_TEST(abandoned_writer_leaves_nothing)
{
    char *path = support_path(folder, "half.h5");
    support_write_text(path, "the old one");
    tdm__h5_writer *w = NULL;
    const tdm__h5_spec spec = {"x", tdm__elem_host(TDM__ELEM_UINT, 1), 1, {1000}, 0};
    uint8_t rows[1000] = {1};
    size_t set;
    support_ok(tdm__h5_writer_create(path, &w));
    support_ok(tdm__h5_writer_add(w, &spec, &set));
    support_ok(tdm__h5_writer_append(w, set, rows, 1));
    tdm__h5_writer_destroy(&w);
    ck_assert_uint_eq(support_count(folder), 1);
    size_t n;
    char *text = support_read(path, &n);
    ck_assert_str_eq(text, "the old one");
    free(text);
    free(path);
}
END_TEST

/* A file-size limit stands in for a full disk. */
START_TEST(full_disk)
{
    char *path = support_path(folder, "full.h5");
    struct rlimit old, small;
    getrlimit(RLIMIT_FSIZE, &old);
    small = old;
    small.rlim_cur = 100000;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    tdm__h5_writer *w = NULL;
    const tdm__h5_spec spec = {"x", tdm__elem_host(TDM__ELEM_UINT, 1), 1, {70000}, 0};
    uint8_t *rows = calloc(10, 70000);
    size_t set;
    support_ok(tdm__h5_writer_create(path, &w));
    support_ok(tdm__h5_writer_add(w, &spec, &set));
    tdm_status status = tdm__h5_writer_append(w, set, rows, 10);
    if (!status) status = tdm__h5_writer_commit(w);
    ck_assert_int_eq(status, TDM_ERR_IO);
    support_message_has(path);
    tdm__h5_writer_destroy(&w);
    setrlimit(RLIMIT_FSIZE, &old);
    ck_assert_uint_eq(support_count(folder), 0);
    free(rows);
    free(path);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hdf5 writing");
    TCase *tc = tcase_create("hdf5 writing");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, written_and_read_back);
    tcase_add_test(tc, abandoned_writer_leaves_nothing);
    tcase_add_test(tc, full_disk);
    suite_add_tcase(suite, tc);
    return support_run(suite);
}
