/* Program store: texts, defines, build errors, the override folder, and the binary cache. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/thread.h"
#include "cl/internal.h"
#include "support/cl_fixture.h"

static support_cl cl;
static char *cache, *old_cache;

static void setup(void)
{
    const char *before = getenv("TANDEM_CACHE_DIR");
    old_cache = before ? strdup(before) : NULL;
    cache = support_temp_create();
    setenv("TANDEM_CACHE_DIR", cache, 1);
    unsetenv("TANDEM_CACHE");
    support_cl_open(&cl, NULL);
}

static void teardown(void)
{
    support_cl_close(&cl);
    support_temp_remove(cache);
    if (old_cache)
        setenv("TANDEM_CACHE_DIR", old_cache, 1);
    else
        unsetenv("TANDEM_CACHE_DIR");
    free(old_cache);
    unsetenv("TANDEM_CACHE");
}

#define SET_TEXT "kernel void set(ARG(int, y)) { VIEW(y); y[get_global_id(0)] = VALUE; }\n"

/* Builds set.cl, runs it once and returns what it wrote. */
static int run_set(const char *defines)
{
    int value = -1;
    tdm__launch launch;
    tdm__buffer buffer;
    support_ok(tdm__buffer_create(cl.device, sizeof value, true, "test", &buffer));
    support_ok(tdm__launch_init(cl.device, "set.cl", defines, "set", &launch));
    support_ok(tdm__launch_view(&launch, (tdm__view){&buffer, 0}, sizeof value));
    support_ok(tdm__launch_range(&launch, 1, (size_t[]){1}, NULL));
    support_ok(tdm__launch_enqueue(cl.device, &launch));
    support_ok(tdm__view_read(cl.device, (tdm__view){&buffer, 0}, &value, sizeof value));
    tdm__launch_destroy(&launch);
    tdm__buffer_destroy(cl.device, &buffer);
    return value;
}

static tdm__device_stats stats(void)
{
    tdm__device_stats s;
    tdm__device_stats_get(cl.device, &s);
    return s;
}

static void normalises(const char *defines, const char *want)
{
    char *text;
    support_ok(tdm__defines_normalise(defines, &text));
    ck_assert_str_eq(text, want);
    free(text);
}

START_TEST(defines_are_normalised)
{
    char *text;
    normalises("", "");
    normalises(" \t ", "");
    normalises("-DB=2 -D A=1", "-DA=1 -DB=2");
    normalises("  -D  B   -DA=x=y -DB ", "-DA=x=y -DB");
    support_fails(tdm__defines_normalise("-DA=1 -DA=2", &text), TDM_ERR_BUILD, "both A=1 and A=2");
    support_fails(tdm__defines_normalise("A=1", &text), TDM_ERR_BUILD, "`A=1` in `A=1`");
    support_fails(tdm__defines_normalise("-DA -D", &text), TDM_ERR_BUILD, "a name is missing");
    support_fails(tdm__defines_normalise("-D=1", &text), TDM_ERR_BUILD, "a name is missing");
    support_fails(tdm__defines_normalise("-cl-fast-relaxed-math", &text), TDM_ERR_BUILD,
                  "must be -DNAME=VALUE");
}
END_TEST

START_TEST(defines_replace_the_devices)
{
    char *text;
    support_ok(tdm__defines_merge("-cl-std=CL1.2 -DVW=8 -DWG=64", "-DA=1 -DVW=4", &text));
    ck_assert_str_eq(text, "-cl-std=CL1.2 -DWG=64 -DA=1 -DVW=4");
    free(text);
    support_ok(tdm__defines_merge("-cl-std=CL1.2 -DVW=8", "", &text));
    ck_assert_str_eq(text, "-cl-std=CL1.2 -DVW=8");
    free(text);
    support_ok(tdm__defines_merge("-DVW=8", "-DVWX=4 -DV=1", &text));
    ck_assert_str_eq(text, "-DVW=8 -DVWX=4 -DV=1");
    free(text);
}
END_TEST

START_TEST(store_keeps_one_program_per_key)
{
    support_cl_file(&cl, "set.cl", SET_TEXT);
    ck_assert_int_eq(run_set("-DVALUE=7 -DX"), 7);
    ck_assert_int_eq(run_set("-D X -D VALUE=7"), 7);
    ck_assert_uint_eq(tdm__device_program_count(cl.device), 1);
    ck_assert_int_eq(run_set("-DVALUE=8"), 8);
    ck_assert_uint_eq(tdm__device_program_count(cl.device), 2);
    ck_assert_uint_eq(stats().programs_built, 2);
    ck_assert(stats().build_seconds > 0);
}
END_TEST

START_TEST(build_error_names_file_and_line)
{
    tdm__launch launch;
    support_cl_file(&cl, "bad.cl",
                    "// one\n// two\nkernel void f(global int *x) { x[0] = nope; }\n");
    support_fails(tdm__launch_init(cl.device, "bad.cl", "-DTHIS=1", "f", &launch), TDM_ERR_BUILD,
                  "kernel file bad.cl does not build: CL_BUILD_PROGRAM_FAILURE (-11)");
    support_message_has("-DTHIS=1");
    /* A driver that ignores #line gets a hint with the offset instead. */
    if (strstr(tdm_last_error(), "bad.cl:3:") == NULL) {
        unsigned long at = 0, first = 0;
        const char *line = strchr(tdm_last_error(), '\n'),
                   *hint = strstr(line, "line 1 of bad.cl is ");
        ck_assert(hint && sscanf(hint, "line 1 of bad.cl is line %lu", &first) == 1);
        ck_assert(sscanf(line, "\n%*[^:]:%lu:", &at) == 1);
        ck_assert_uint_eq(at, first + 2);
    }
    support_message_has("nope");
    ck_assert_int_eq(tdm_status_exit_code(TDM_ERR_BUILD), 4);
    ck_assert_uint_eq(tdm__device_program_count(cl.device), 0);
    ck_assert_ptr_null(launch.kernel);
    /* An error in the prelude is the prelude's. */
    support_cl_file(&cl, "common.cl", "#error nope2\n");
    support_fails(tdm__launch_init(cl.device, "bad.cl", "", "f", &launch), TDM_ERR_BUILD, "nope2");
    if (strstr(tdm_last_error(), "common.cl:1:"))
        ck_assert_ptr_null(strstr(tdm_last_error(), "(hint: line 1 of"));
    support_cl_file(&cl, "common.cl", "");
    /* Many errors: only the first lines are kept. */
    tdm__str many = {0};
    tdm__str_add(&many, "kernel void f(global int *x) {\n");
    for (int i = 0; i < 300; i++) tdm__str_addf(&many, "x[0] = nope%d;\n", i);
    tdm__str_add(&many, "}\n");
    support_cl_file(&cl, "many.cl", tdm__str_text(&many));
    tdm__str_free(&many);
    support_fails(tdm__launch_init(cl.device, "many.cl", "", "f", &launch), TDM_ERR_BUILD, "nope0");
    size_t lines = 0;
    for (const char *p = tdm_last_error(); *p; p++) lines += *p == '\n';
    ck_assert_uint_le(lines, 31);
}
END_TEST

START_TEST(missing_names)
{
    tdm__launch launch;
    support_fails(tdm__launch_init(cl.device, "absent.cl", "", "f", &launch), TDM_ERR_BUILD,
                  "no kernel file absent.cl");
    support_cl_file(&cl, "set.cl", SET_TEXT);
    support_fails(tdm__launch_init(cl.device, "set.cl", "-DVALUE=1", "sets", &launch),
                  TDM_ERR_BUILD, "no kernel sets in set.cl (defines -DVALUE=1)");
}
END_TEST

START_TEST(files_include_others)
{
    char *text;
    support_cl_file(&cl, "outer.cl", "int a;\n#include \"inner.cl\"\nint b;\n");
    support_cl_file(&cl, "inner.cl", "int c;\n");
    support_ok(tdm__program_source(cl.folder, "outer.cl", &text));
    const char *at = strstr(text, "#line 1 \"outer.cl\"");
    ck_assert_ptr_nonnull(at);
    ck_assert_str_eq(at, "#line 1 \"outer.cl\"\nint a;\n#line 1 \"inner.cl\"\nint c;\n\n"
                         "#line 3 \"outer.cl\"\nint b;\n\n");
    free(text);
    support_cl_file(&cl, "inner.cl", "#include \"outer.cl\"\n");
    support_fails(tdm__program_source(cl.folder, "outer.cl", &text), TDM_ERR_BUILD,
                  "include each other without end");
    support_cl_file(&cl, "inner.cl", "#include \"gone.cl\"\n");
    support_fails(tdm__program_source(cl.folder, "outer.cl", &text), TDM_ERR_BUILD,
                  "included by inner.cl");
}
END_TEST

START_TEST(override_folder)
{
    char *text, *folder = support_path(cl.folder, "conv");
    /* Not overridden: embedded. The prelude itself can be replaced too. */
    support_ok(tdm__program_source(cl.folder, "common.cl", &text));
    ck_assert_ptr_nonnull(strstr(text, "philox4x32"));
    free(text);
    support_cl_file(&cl, "common.cl", "#define PRELUDE_OF_TEST 41\n");
    support_ok(tdm__make_folders(folder));
    support_cl_file(&cl, "conv/deep.cl", "int deep;\n");
    support_ok(tdm__program_source(cl.folder, "conv/deep.cl", &text));
    ck_assert_str_eq(text, "#line 1 \"common.cl\"\n#define PRELUDE_OF_TEST 41\n\n"
                           "#line 1 \"conv/deep.cl\"\nint deep;\n\n");
    free(text);
    support_cl_file(&cl, "set.cl",
                    "kernel void set(global int *y, ulong o) { *y = PRELUDE_OF_TEST; }");
    ck_assert_int_eq(run_set(""), 41);
    free(folder);
}
END_TEST

/* ---- binary cache ---------------------------------------------------------------------------- */

/* The only file in the cache; its path. NULL when there is none. */
static char *cache_file(void)
{
    char *folder = support_path(cache, "cl"), **names = NULL, *path = NULL;
    size_t n = 0;
    if (tdm__is_folder(folder)) support_ok(tdm__list_folder(folder, &names, &n));
    ck_assert_uint_le(n, 1);
    if (n == 1) path = support_path(folder, names[0]);
    tdm__names_free(names, n);
    free(folder);
    return path;
}

/* A first run that fills the cache; returns its file. */
static char *fill_cache(void)
{
    support_cl_file(&cl, "set.cl", SET_TEXT);
    ck_assert_int_eq(run_set("-DVALUE=5"), 5);
    support_ok(tdm__device_cache_write(cl.device));
    support_cl_reopen(&cl, NULL);
    char *path = cache_file();
    ck_assert_ptr_nonnull(path);
    return path;
}

static void second_run(uint64_t built, uint64_t loaded)
{
    support_cl_reopen(&cl, NULL);
    ck_assert_int_eq(run_set("-DVALUE=5"), 5);
    ck_assert_uint_eq(stats().programs_built, built);
    ck_assert_uint_eq(stats().programs_loaded, loaded);
}

START_TEST(cache_hit)
{
    free(fill_cache());
    second_run(0, 1);
    /* Another define, text or style is another program. */
    ck_assert_int_eq(run_set("-DVALUE=6"), 6);
    ck_assert_uint_eq(stats().programs_built, 1);
    support_cl_file(&cl, "set.cl", SET_TEXT "// changed\n");
    second_run(1, 0);
    support_cl_file(&cl, "set.cl", SET_TEXT);
    tdm_kernel_style other =
        tdm__device_traits(cl.device)->style == TDM_STYLE_CPU ? TDM_STYLE_GPU : TDM_STYLE_CPU;
    support_cl_reopen(&cl, &(tdm_device_spec){.style = other});
    ck_assert_int_eq(run_set("-DVALUE=5"), 5);
    ck_assert_uint_eq(stats().programs_loaded, 0);
}
END_TEST

START_TEST(cache_damage_is_repaired)
{
    size_t n;
    char *path = fill_cache(), *bytes = support_read(path, &n);
    for (int kind = 0; kind < 6; kind++) {
        char *damaged = malloc(n + 1);
        memcpy(damaged, bytes, n);
        size_t size = n;
        switch (kind) {
        case 0:
            damaged[n - 1] ^= 1;
            break; /* the binary */
        case 1:
            damaged[0] ^= 1;
            break; /* the magic */
        case 2:
            damaged[8] ^= 1;
            break; /* the version */
        case 3:
            damaged[16] ^= 1;
            break; /* the key */
        case 4:
            size = n / 2;
            break; /* cut off */
        case 5:
            size = 0;
            break; /* empty */
        }
        support_write(path, damaged, size);
        free(damaged);
        second_run(1, 0);
        support_ok(tdm__device_cache_write(cl.device));
        second_run(0, 1);
    }
    /* An intact envelope around what no driver takes. */
    unsigned char *wrapped;
    char key[TDM__HASH_HEX];
    size_t size;
    memcpy(key, tdm__path_base(path), sizeof key - 1);
    key[sizeof key - 1] = 0;
    support_ok(tdm__cache_encode(key, "no binary at all", 16, &wrapped, &size));
    support_write(path, wrapped, size);
    free(wrapped);
    second_run(1, 0);
    free(bytes);
    free(path);
}
END_TEST

START_TEST(cache_off)
{
    setenv("TANDEM_CACHE", "off", 1);
    support_cl_file(&cl, "set.cl", SET_TEXT);
    ck_assert_int_eq(run_set("-DVALUE=5"), 5);
    support_ok(tdm__device_cache_write(cl.device));
    support_cl_reopen(&cl, NULL);
    ck_assert_ptr_null(cache_file());
    ck_assert_int_eq(run_set("-DVALUE=5"), 5);
    ck_assert_uint_eq(stats().programs_built, 1);
}
END_TEST

START_TEST(cache_waits_for_the_first_launch)
{
    tdm__launch launch;
    support_cl_file(&cl, "set.cl", SET_TEXT);
    support_ok(tdm__launch_init(cl.device, "set.cl", "-DVALUE=5", "set", &launch));
    support_ok(tdm__device_cache_write(cl.device));
    ck_assert_ptr_null(cache_file());
    tdm__launch_destroy(&launch);
    ck_assert_int_eq(run_set("-DVALUE=5"), 5);
    support_ok(tdm__device_cache_write(cl.device));
    support_ok(tdm__device_cache_write(cl.device)); /* while the first may still be at work */
    char *path = cache_file();
    ck_assert_ptr_nonnull(path);
    free(path);
}
END_TEST

static char logged[1024];

static void keep_log(void *user, tdm_log_level level, const char *line)
{
    (void)user;
    if (level == TDM_LOG_WARN) snprintf(logged, sizeof logged, "%s", line);
}

START_TEST(cache_that_cannot_be_written)
{
    logged[0] = 0;
    tdm_set_log(keep_log, NULL, TDM_LOG_WARN);
    support_cl_file(&cl, "set.cl", SET_TEXT);
    ck_assert_int_eq(run_set("-DVALUE=5"), 5);
    tdm__file_fail_after(100);
    support_ok(tdm__device_cache_write(cl.device));
    tdm__file_fail_after(0);
    tdm_set_log(NULL, NULL, TDM_LOG_ERROR);
    ck_assert_ptr_nonnull(strstr(logged, "program cache: not written: "));
    ck_assert_ptr_null(cache_file());
    ck_assert_int_eq(run_set("-DVALUE=5"), 5);
}
END_TEST

START_TEST(cache_shared_by_two_writers)
{
    /* Two devices of one process write the same entry at once, as two processes would. */
    tdm_device *first = cl.device, *second = NULL;
    support_cl_file(&cl, "set.cl", SET_TEXT);
    support_ok(tdm_device_open(&(tdm_device_spec){0}, &second));
    ck_assert_int_eq(run_set("-DVALUE=5"), 5);
    cl.device = second;
    ck_assert_int_eq(run_set("-DVALUE=5"), 5);
    support_ok(tdm__device_cache_write(first));
    support_ok(tdm__device_cache_write(second));
    tdm_device_destroy(&first);
    tdm_device_destroy(&second);
    cl.device = NULL;
    char *path = cache_file();
    ck_assert_ptr_nonnull(path);
    free(path);
    second_run(0, 1);
}
END_TEST

START_TEST(cache_format)
{
    const char key[TDM__HASH_HEX] = "0123456789abcdef0123456789abcdef";
    const void *binary;
    unsigned char *bytes;
    size_t n, size;
    support_ok(tdm__cache_encode(key, "payload", 7, &bytes, &n));
    ck_assert_uint_eq(n, 64 + 7);
    ck_assert_ptr_null(tdm__cache_decode(bytes, n, key, &binary, &size));
    ck_assert_uint_eq(size, 7);
    ck_assert_mem_eq(binary, "payload", 7);
    for (size_t bit = 0; bit < 8 * n; bit++) {
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        ck_assert_ptr_nonnull(tdm__cache_decode(bytes, n, key, &binary, &size));
        ck_assert_ptr_null(binary);
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    for (size_t cut = 0; cut < n; cut++)
        ck_assert_ptr_nonnull(tdm__cache_decode(bytes, cut, key, &binary, &size));
    free(bytes);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cl_programs");
    TCase *pure = tcase_create("pure"), *device = tcase_create("device");
    tcase_add_test(pure, defines_are_normalised);
    tcase_add_test(pure, defines_replace_the_devices);
    tcase_add_test(pure, cache_format);
    tcase_add_checked_fixture(device, setup, teardown);
    tcase_add_test(device, store_keeps_one_program_per_key);
    tcase_add_test(device, build_error_names_file_and_line);
    tcase_add_test(device, missing_names);
    tcase_add_test(device, files_include_others);
    tcase_add_test(device, override_folder);
    tcase_add_test(device, cache_hit);
    tcase_add_test(device, cache_damage_is_repaired);
    tcase_add_test(device, cache_off);
    tcase_add_test(device, cache_waits_for_the_first_launch);
    tcase_add_test(device, cache_that_cannot_be_written);
    tcase_add_test(device, cache_shared_by_two_writers);
    suite_add_tcase(suite, pure);
    suite_add_tcase(suite, device);
    return support_run(suite);
}
