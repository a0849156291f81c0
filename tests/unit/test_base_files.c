/* Tests of base/file.h: paths, folders, whole files, atomic replacement, failures on the way. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "support/support.h"

static char *folder;

static void folder_setup(void)
{
    folder = support_temp_create();
}

static void folder_teardown(void)
{
    tdm__file_fail_after(0);
    support_temp_remove(folder);
    folder = NULL;
}

static void check_join(const char *a, const char *b, const char *expected)
{
    char *path = support_path(a, b);
    ck_assert_str_eq(path, expected);
    free(path);
}

static void check_dir(const char *path, const char *expected)
{
    char *dir = NULL;
    support_ok(tdm__path_dir(path, &dir));
    ck_assert_str_eq(dir, expected);
    free(dir);
}

START_TEST(file_paths)
{
    check_join("a", "b", "a/b");
    check_join("a/", "b", "a/b");
    check_join("", "b", "b");
    check_join("a", "/b", "/b");
    check_join("a", "", "a");
    check_dir("a/b/c.h5", "a/b");
    check_dir("c.h5", ".");
    check_dir("/c", "/");
    ck_assert_str_eq(tdm__path_base("a/b/c.h5"), "c.h5");
    ck_assert_str_eq(tdm__path_base("c"), "c");
}
END_TEST

START_TEST(file_folders)
{
    char *deep = support_path(folder, "a/b//c/"), *file = support_path(folder, "file");
    support_ok(tdm__make_folders(deep));
    support_ok(tdm__make_folders(deep));
    ck_assert(tdm__is_folder(deep));
    support_write_text(file, "x");
    ck_assert(tdm__path_exists(file) && !tdm__is_folder(file));
    char *below = support_path(file, "sub");
    support_fails(tdm__make_folders(below), TDM_ERR_IO, "cannot create the folder");
    support_fails(tdm__make_folders(file), TDM_ERR_IO, "File exists");
    char **names;
    size_t n;
    support_ok(tdm__list_folder(folder, &names, &n));
    ck_assert_uint_eq(n, 2);
    ck_assert_str_eq(names[0], "a");
    ck_assert_str_eq(names[1], "file");
    tdm__names_free(names, n);
    support_fails(tdm__list_folder(below, &names, &n), TDM_ERR_DATA, "cannot list");
    ck_assert_ptr_null(names);
    char *top = support_path(folder, "a");
    support_ok(tdm__remove_tree(top));
    ck_assert(!tdm__path_exists(top));
    support_ok(tdm__remove_tree(top));
    free(top);
    free(deep);
    free(file);
    free(below);
}
END_TEST

START_TEST(file_remove_keeps_link_targets)
{
    char *keep = support_path(folder, "keep"), *tree = support_path(folder, "tree");
    char *link = support_path(tree, "link");
    support_write_text(keep, "x");
    support_ok(tdm__make_folders(tree));
    ck_assert_int_eq(symlink(keep, link), 0);
    support_ok(tdm__remove_tree(tree));
    ck_assert(tdm__path_exists(keep) && !tdm__path_exists(tree));
    free(keep);
    free(tree);
    free(link);
}
END_TEST

START_TEST(file_reads)
{
    char *path = support_path(folder, "x"), *bytes = NULL;
    size_t n = 0;
    support_fails(tdm__read_file(path, 100, &bytes, &n), TDM_ERR_DATA, "cannot open: No such file");
    support_fails(tdm__read_file(folder, 100, &bytes, &n), TDM_ERR_DATA, "must be a regular file");
    support_write(path, "ab\0cd", 5);
    support_ok(tdm__read_file(path, 5, &bytes, &n));
    ck_assert_uint_eq(n, 5);
    ck_assert_mem_eq(bytes, "ab\0cd", 6);
    free(bytes);
    support_fails(tdm__read_file(path, 4, &bytes, &n), TDM_ERR_DATA, "5 bytes: must be at most 4");
    support_write(path, "", 0);
    support_ok(tdm__read_file(path, 0, &bytes, &n));
    ck_assert_uint_eq(n, 0);
    ck_assert_str_eq(bytes, "");
    free(bytes);
    char *pipe_path = support_path(folder, "pipe");
    ck_assert_int_eq(mkfifo(pipe_path, 0600), 0);
    support_fails(tdm__read_file(pipe_path, 4, &bytes, &n), TDM_ERR_DATA, "regular file");
    free(pipe_path);
    free(path);
}
END_TEST

static void check_content(const char *path, const char *expected)
{
    char *text = support_read(path, NULL);
    ck_assert_str_eq(text, expected);
    free(text);
}

START_TEST(file_atomic_replaces)
{
    char *path = support_path(folder, "x");
    mode_t mask = umask(022);
    umask(mask);
    support_ok(tdm__atomic_write_file(path, "old", 3));
    struct stat st;
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0666 & ~mask);
    tdm__atomic a = {0};
    support_ok(tdm__atomic_begin(&a, path));
    support_ok(tdm__atomic_write(&a, "ne", 2));
    fputs("w!", a.file);
    check_content(path, "old");
    support_ok(tdm__atomic_commit(&a));
    tdm__atomic_abort(&a);
    check_content(path, "new!");
    support_ok(tdm__atomic_begin(&a, path));
    support_ok(tdm__atomic_write(&a, "abandoned", 9));
    tdm__atomic_abort(&a);
    check_content(path, "new!");
    ck_assert_uint_eq(support_count(folder), 1);
    char *nowhere = support_path(folder, "no/x");
    support_fails(tdm__atomic_begin(&a, nowhere), TDM_ERR_IO, "No such file");
    tdm__atomic_abort(&a);
    free(nowhere);
    free(path);
}
END_TEST

START_TEST(file_full_disk_keeps_the_old)
{
    char *path = support_path(folder, "x");
    support_ok(tdm__atomic_write_file(path, "old", 3));
    for (uint64_t at = 1; at <= 10; at++) {
        tdm__file_fail_after(at);
        support_fails(tdm__atomic_write_file(path, "0123456789", 10), TDM_ERR_IO,
                      "cannot write: No space left on device");
        support_fails(tdm__atomic_write_file(path, "0", 1), TDM_ERR_IO,
                      "No space"); /* still full */
        check_content(path, "old");
        ck_assert_uint_eq(support_count(folder), 1);
    }
    tdm__file_fail_after(11);
    support_ok(tdm__atomic_write_file(path, "0123456789", 10));
    check_content(path, "0123456789");
    tdm__file_fail_after(3); /* bytes that bypass tdm__atomic_write are caught at the commit */
    tdm__atomic a = {0};
    support_ok(tdm__atomic_begin(&a, path));
    fputs("direct", a.file);
    support_fails(tdm__atomic_commit(&a), TDM_ERR_IO, "No space");
    check_content(path, "0123456789");
    ck_assert_uint_eq(support_count(folder), 1);
    free(path);
}
END_TEST

START_TEST(file_out_of_memory_is_clean)
{
    char *path = support_path(folder, "x");
    support_ok(tdm__atomic_write_file(path, "old", 3));
    int failures = 0;
    for (uint64_t n = 1;; n++) {
        tdm__mem_fail_after(n);
        tdm_status s = tdm__atomic_write_file(path, "new", 3);
        tdm__mem_fail_after(0);
        if (s == TDM_OK) break;
        ck_assert_int_eq(s, TDM_ERR_NOMEM);
        ck_assert_uint_eq(support_count(folder), 1);
        failures++;
    }
    ck_assert_int_ge(failures, 2);
    check_content(path, "new");
    free(path);
}
END_TEST

START_TEST(file_appends)
{
    char *path = support_path(folder, "log");
    support_ok(tdm__append_line(path, "one"));
    support_ok(tdm__append_line(path, "two"));
    check_content(path, "one\ntwo\n");
    support_fails(tdm__append_line(folder, "x"), TDM_ERR_IO, "Is a directory");
    free(path);
}
END_TEST

static void check_cache(const char *expected)
{
    char *path = NULL;
    support_ok(tdm__cache_folder("cl", &path));
    if (expected)
        ck_assert_str_eq(path, expected);
    else
        ck_assert_ptr_null(path);
    free(path);
}

START_TEST(file_cache_folder)
{
    const char *names[] = {"TANDEM_CACHE", "TANDEM_CACHE_DIR", "XDG_CACHE_HOME", "HOME"};
    char *old[4];
    for (int i = 0; i < 4; i++) {
        old[i] = getenv(names[i]) ? strdup(getenv(names[i])) : NULL;
        unsetenv(names[i]);
    }
    setenv("HOME", "/h", 1);
    check_cache("/h/.cache/tandem/cl");
    setenv("XDG_CACHE_HOME", "relative", 1);
    check_cache("/h/.cache/tandem/cl");
    setenv("XDG_CACHE_HOME", "/x", 1);
    check_cache("/x/tandem/cl");
    setenv("TANDEM_CACHE_DIR", "/own", 1);
    check_cache("/own/cl");
    setenv("TANDEM_CACHE", "off", 1);
    check_cache(NULL);
    for (int i = 0; i < 4; i++) {
        unsetenv(names[i]);
        if (old[i]) setenv(names[i], old[i], 1);
        free(old[i]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base files");
    TCase *files = tcase_create("files");
    tcase_add_checked_fixture(files, folder_setup, folder_teardown);
    tcase_add_test(files, file_paths);
    tcase_add_test(files, file_folders);
    tcase_add_test(files, file_remove_keeps_link_targets);
    tcase_add_test(files, file_reads);
    tcase_add_test(files, file_atomic_replaces);
    tcase_add_test(files, file_full_disk_keeps_the_old);
    tcase_add_test(files, file_out_of_memory_is_clean);
    tcase_add_test(files, file_appends);
    tcase_add_test(files, file_cache_folder);
    suite_add_tcase(suite, files);
    return support_run(suite);
}
