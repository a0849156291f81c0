/* Tests of src/config: dumps, which load again to the same; the list of defaults, hash, copy. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "support/config_fixture.h"

static char *dump(const tdm_config *c, bool origins)
{
    char *text = NULL;
    support_ok(tdm_config_dump(c, origins, &text));
    return text;
}

/* The dump loads again, to the same dump and hash. */
static void check_round_trip(bool origins)
{
    char *text = dump(config, origins), *plain = dump(config, false), a[33], b[33];
    tdm_config *again = NULL;
    support_ok(tdm_config_create(tables, 3, &again));
    support_ok(tdm_config_load_text(again, text, strlen(text), "dump.yaml"));
    support_ok(tdm_config_resolve(again));
    char *second = dump(again, false);
    ck_assert_str_eq(plain, second);
    support_ok(tdm_config_hash(config, a));
    support_ok(tdm_config_hash(again, b));
    ck_assert_str_eq(a, b);
    tdm_config_destroy(&again);
    free(text);
    free(plain);
    free(second);
}

START_TEST(dump_exact)
{
    support_ok(load("tasks: {seg: {weight: 0.1}, depth: {}}\noptim.lr: 1e-3\ndata: {path: '1'}\n"
                    "freeze: [a, 'b c']"));
    resolve();
    char *text = dump(config, true);
    ck_assert_str_eq(text, "optim:\n"
                           "  name: adam  # default\n"
                           "  lr: 0.001  # a.yaml:2:11\n"
                           "  momentum: 0  # default\n"
                           "  betas: [0.9, 0.999]  # default\n"
                           "  nesterov: false  # default\n"
                           "data:\n"
                           "  path: \"1\"  # a.yaml:3:14\n"
                           "  workers: 1  # default\n"
                           "  cache: \"\"  # default\n"
                           "  size: [28, 28]  # default\n"
                           "freeze: [a, \"b c\"]  # a.yaml:4:9\n"
                           "tasks:\n"
                           "  seg:\n"
                           "    loss: l1  # default\n"
                           "    weight: 0.1  # a.yaml:1:23\n"
                           "  depth:\n"
                           "    loss: l1  # default\n"
                           "    weight: 1  # default\n");
    free(text);
    check_round_trip(true);
    check_round_trip(false);
}
END_TEST

static const char *const hard_texts[] = {
    "plain",
    "null",
    "~",
    "true",
    "no",
    "1e3",
    "-",
    "--- x",
    "...",
    "a: b",
    "# c",
    "x #y",
    "[a]",
    "{a}",
    "*x",
    "&x",
    "!x",
    "%x",
    "@x",
    "`x",
    "'",
    "\"",
    "\\",
    "a\\nb",
    "a\nb",
    "a\n",
    " lead",
    "trail ",
    "tab\there",
    "\xc3\xa9t\xc3\xa9",
    "\xe2\x80\xa8",
    "\xc2\x85",
    "\xef\xbb\xbf mark",
    "\xf0\x9f\x90\xb1",
    "\x7f",
    "\x01",
    "?",
    "a,b",
    ":",
    "-5",
    "--",
    "0:1",
    "~/x",
    "/abs/path-1_2.h5",
    "\xef\xbf\xbf",
    "\xc2\xa0",
};

START_TEST(dump_hard_texts)
{
    support_ok(tdm_config_set(config, "data.path", "x", "--set"));
    const char *text = hard_texts[_i];
    tdm__str quoted = {0};
    if (tdm__streq(text, "null") || tdm__streq(text, "~") || *text == '\'' || *text == '"' ||
        *text == '[') {
        tdm__str_addf(&quoted, "'%s%s'", *text == '\'' ? "'" : "", text);
        text = quoted.text;
    }
    support_ok(tdm_config_set(config, "data.cache", text, "--set"));
    if (!strchr(hard_texts[_i], ',')) support_ok(tdm_config_set(config, "freeze", text, "--set"));
    resolve();
    ck_assert_str_eq(get_string("data.cache"), hard_texts[_i]);
    check_round_trip(false);
    tdm__str_free(&quoted);
}
END_TEST

START_TEST(dump_floats)
{
    static const char *const values[] = {"0.1",
                                         "1e-300",
                                         "5e-324",
                                         "123456789.123456789",
                                         "1e22",
                                         "0.30000000000000004",
                                         "1.7976931348623157e308"};
    support_ok(tdm_config_set(config, "data.path", "x", "--set"));
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        support_ok(tdm_config_set(config, "optim.lr", values[i], "--set"));
        resolve();
        check_round_trip(false);
    }
}
END_TEST

START_TEST(dump_origin_stays_in_its_comment)
{
    const char *text = "data: {path: x}";
    support_ok(tdm_config_load_text(config, text, strlen(text), "evil\nname: 1 \xff.yaml"));
    resolve();
    check_round_trip(true);
}
END_TEST

START_TEST(defaults_load)
{
    char *text = NULL;
    support_ok(tdm_config_defaults(config, &text));
    ck_assert_ptr_nonnull(strstr(text, "# optim\n"));
    ck_assert_ptr_nonnull(strstr(text, "a number > 0; learning rate (1e-4 to 1e-1)\n"));
    ck_assert_ptr_nonnull(strstr(text, "\n# data.path:"));
    ck_assert_ptr_nonnull(strstr(text, "required: text; folder of HDF5 files\n"));
    ck_assert_ptr_nonnull(strstr(text, "one of sgd, adam, adamw; update rule\n"));
    ck_assert_ptr_nonnull(strstr(text, "\n# tasks.NAME.weight: 1 "));
    support_ok(load(text));
    support_ok(tdm_config_set(config, "data.path", "x", "--set"));
    resolve();
    ck_assert_double_eq(get_float("optim.lr"), 0.001);
    free(text);
}
END_TEST

START_TEST(hash_ignores_runtime)
{
    char a[33], b[33];
    support_ok(load("data: {path: x}"));
    resolve();
    support_ok(tdm_config_hash(config, a));
    ck_assert_uint_eq(strlen(a), 32);
    support_ok(tdm_config_assign(config, "data.workers=9", "--set"));
    support_ok(tdm_config_assign(config, "optim.lr=0.001", "--set")); /* the default, said aloud */
    resolve();
    support_ok(tdm_config_hash(config, b));
    ck_assert_str_eq(a, b);
    support_ok(tdm_config_assign(config, "optim.lr=0.002", "--set"));
    resolve();
    support_ok(tdm_config_hash(config, b));
    ck_assert_str_ne(a, b);
}
END_TEST

START_TEST(copy_keeps_everything)
{
    support_ok(load("data: {path: x}\ntasks: {b: {}, a: {weight: 3}}\n"));
    support_ok(tdm_config_assign(config, "freeze=p,q", "--set"));
    tdm_config *copy = NULL;
    support_ok(tdm_config_copy(config, &copy)); /* before resolve */
    support_ok(tdm_config_resolve(copy));
    resolve();
    char *one = dump(config, true), *two = dump(copy, true);
    ck_assert_str_eq(one, two);
    tdm_config_destroy(&copy);
    support_ok(tdm_config_copy(config, &copy)); /* and after */
    free(two);
    two = dump(copy, true);
    ck_assert_str_eq(one, two);
    ck_assert_str_eq(tdm_config_origin(copy, "tasks.a.weight"), "a.yaml:2:28");
    support_ok(tdm_config_assign(copy, "optim.lr=0.5", "--set")); /* the original is untouched */
    ck_assert_double_eq(get_float("optim.lr"), 0.001);
    tdm_config_destroy(&copy);
    free(one);
    free(two);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config dumps");
    TCase *texts = tcase_create("texts");
    tcase_add_checked_fixture(texts, setup, teardown);
    tcase_add_test(texts, dump_exact);
    tcase_add_loop_test(texts, dump_hard_texts, 0, COUNT(hard_texts));
    tcase_add_test(texts, dump_floats);
    tcase_add_test(texts, dump_origin_stays_in_its_comment);
    tcase_add_test(texts, defaults_load);
    tcase_add_test(texts, hash_ignores_runtime);
    tcase_add_test(texts, copy_keeps_everything);
    suite_add_tcase(suite, texts);
    return support_run(suite);
}
