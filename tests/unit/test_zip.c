/* Tests of format/zip.h. */
#include <stdlib.h>
#include <string.h>

#include "format/zip.h"
#include "support/make_zip.h"
#include "support/support.h"

static char *folder, *path;

static void setup(void)
{
    folder = support_temp_create();
    path = support_path(folder, "a.zip");
}

static void teardown(void)
{
    free(path);
    support_temp_remove(folder);
}

enum { LARGE = 100000 };

static uint8_t *large_text(void)
{
    uint8_t *text = malloc(LARGE);
    uint32_t state = 1;
    for (size_t i = 0; i < LARGE; i++) { /* about half of it can be squeezed out */
        state = state * 1664525 + 1013904223;
        text[i] = (uint8_t)(state >> 28);
    }
    return text;
}

static void make_archive(void)
{
    uint8_t *text = large_text();
    make_zip *zip = make_zip_begin(path);
    make_zip_add(zip, "one/small.txt", "hello", 5);
    make_zip_add(zip, "one/two/large", text, LARGE);
    make_zip_add(zip, "a..b/c..", "", 0); /* two dots that do not climb */
    make_zip_end(zip);
    free(text);
}

START_TEST(reads)
{
    uint8_t *text = large_text();
    tdm__zip *zip = NULL;
    char *bytes = NULL;
    size_t n;
    make_archive();
    support_ok(tdm__zip_open(path, &zip));
    ck_assert_uint_eq(tdm__zip_count(zip), 3);
    ck_assert_str_eq(tdm__zip_name(zip, 1), "one/two/large");
    for (int again = 0; again < 2; again++) {
        support_ok(tdm__zip_read(zip, 1, LARGE, &bytes, &n));
        ck_assert_uint_eq(n, LARGE);
        ck_assert_mem_eq(bytes, text, LARGE);
        free(bytes);
        support_ok(tdm__zip_read(zip, 0, LARGE, &bytes, &n));
        ck_assert_uint_eq(n, 5);
        ck_assert_str_eq(bytes, "hello");
        free(bytes);
    }
    support_ok(tdm__zip_read(zip, 2, 0, &bytes, &n));
    ck_assert_uint_eq(n, 0);
    free(bytes);
    support_fails(tdm__zip_read(zip, 1, LARGE - 1, &bytes, &n), TDM_ERR_DATA,
                  "a.zip: one/two/large: has 100000 bytes: must have at most 99999");
    tdm__zip_close(&zip);
    ck_assert_ptr_null(zip);
    tdm__zip_close(&zip);
    free(text);
}
END_TEST

START_TEST(refuses_damage)
{
    tdm__zip *zip = NULL;
    void *bytes = NULL;
    size_t n, size;
    make_archive();
    uint8_t *archive = (uint8_t *)support_read(path, &size);
    for (size_t k = 0; k < size; k += 1 + k / 16) { /* the directory is at the end */
        support_fails(tdm__zip_open_bytes(archive, k, "cut", &zip), TDM_ERR_DATA, "cut: cannot be");
        ck_assert_ptr_null(zip);
    }
    /* In the data of the large entry: the inflater or the checksum must notice. */
    ck_assert_uint_gt(size, LARGE / 3);
    for (size_t at = 200; at < LARGE / 3; at += 1000) {
        archive[at] ^= 4;
        support_ok(tdm__zip_open_bytes(archive, size, "bad", &zip));
        support_fails(tdm__zip_read(zip, 1, LARGE, &bytes, &n), TDM_ERR_DATA,
                      "bad: one/two/large: ");
        tdm__zip_close(&zip);
        archive[at] ^= 4;
    }
    free(archive);
    support_write_text(path, "no archive");
    support_fails(tdm__zip_open(path, &zip), TDM_ERR_DATA, "a.zip: cannot be read as a zip");
    remove(path);
    support_fails(tdm__zip_open(path, &zip), TDM_ERR_DATA, "a.zip: there is no such file");
    support_fails(tdm__zip_open(folder, &zip), TDM_ERR_DATA, "there is no such file");
}
END_TEST

START_TEST(refuses_names)
{
    static const char *const names[] = {"/etc/passwd", "../up", "a/../../up", "a/..", "a\\b"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        tdm__zip *zip = NULL;
        make_zip *made = make_zip_begin(path);
        make_zip_add(made, "fine", "x", 1);
        make_zip_add(made, names[i], "x", 1);
        make_zip_end(made);
        support_fails(tdm__zip_open(path, &zip), TDM_ERR_DATA, "a.zip: entry 1 has the name");
        support_message_has(names[i]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("zip");
    TCase *tc = tcase_create("zip");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, reads);
    tcase_add_test(tc, refuses_damage);
    tcase_add_test(tc, refuses_names);
    suite_add_tcase(suite, tc);
    return support_run(suite);
}
