/* Tests of src/config/stage.c: keys behind stages.NAME. */
#include <stdlib.h>
#include <string.h>

#include <tandem/config.h>

#include "base/mem.h"
#include "support/support.h"

static const tdm_opt_spec specs[] = {
    {"optim.lr", TDM_OPT_FLOAT, "0.1", TDM_OPT_MIN_OPEN, 0, .help = "rate"},
    {"train.epochs", TDM_OPT_INT, "10", TDM_OPT_MIN, 1, .help = "passes"},
    {"train.output", TDM_OPT_STRING, "", TDM_OPT_RUNTIME, .help = "folder"},
    {"tasks.*.target", TDM_OPT_STRING, NULL, TDM_OPT_REQUIRED, .help = "array"},
    {"tasks.*.weight", TDM_OPT_FLOAT, "1", TDM_OPT_MIN, 0, .help = "weight"},
    {"stages.*.from", TDM_OPT_STRING, "", .help = "stage"},
};
static const tdm_opt_table table = {"all", specs, sizeof specs / sizeof *specs};
static const tdm_opt_table *const tables[] = {&table};

static tdm_config *config, *stage;

static void setup(void)
{
    support_ok(tdm_config_create(tables, 1, &config));
}

static void teardown(void)
{
    tdm_config_destroy(&config);
    tdm_config_destroy(&stage);
}

static tdm_status load(const char *text)
{
    return tdm_config_load_text(config, text, strlen(text), "a.yaml");
}

static const char text[] = "optim: {lr: 0.5}\n"
                           "tasks: {all: {target: x}}\n"
                           "stages:\n"
                           "  one: {optim: {lr: 0.25}, tasks: {own: {target: y, weight: 3}}}\n"
                           "  two: {from: one, train: {epochs: 4}, tasks: {all: {weight: 2}}}\n"
                           "  three: {}\n";

static void open_stage(const char *name)
{
    tdm_config_destroy(&stage);
    support_ok(tdm_config_stage(config, name, &stage));
}

static double number(const char *key)
{
    double value = -1;
    support_ok(tdm_config_float(stage, key, &value));
    return value;
}

static int64_t whole(const char *key)
{
    int64_t value = -1;
    support_ok(tdm_config_int(stage, key, &value));
    return value;
}

START_TEST(a_stage_is_the_common_part_and_its_own)
{
    const char *const *names;
    const char *value;
    size_t n;
    support_ok(load(text));
    support_ok(tdm_config_resolve(config));
    support_ok(tdm_config_members(config, "stages", &names, &n));
    ck_assert_uint_eq(n, 3);
    ck_assert_str_eq(names[0], "one");
    ck_assert_str_eq(names[2], "three");
    open_stage("one");
    ck_assert_double_eq(number("optim.lr"), 0.25);
    ck_assert_int_eq(whole("train.epochs"), 10);
    support_ok(tdm_config_members(stage, "tasks", &names, &n));
    ck_assert_uint_eq(n, 2);
    ck_assert_str_eq(names[1], "own");
    ck_assert_double_eq(number("tasks.own.weight"), 3);
    ck_assert_str_eq(tdm_config_origin(stage, "optim.lr"), "a.yaml:4:21");
    support_ok(tdm_config_members(stage, "stages", &names, &n));
    ck_assert_uint_eq(n, 0);
    open_stage("two");
    ck_assert_double_eq(number("optim.lr"), 0.5);
    ck_assert_int_eq(whole("train.epochs"), 4);
    ck_assert_double_eq(number("tasks.all.weight"), 2);
    support_ok(tdm_config_string(config, "stages.two.from", &value));
    ck_assert_str_eq(value, "one");
    /* the common part has only its own task */
    support_ok(tdm_config_members(config, "tasks", &names, &n));
    ck_assert_uint_eq(n, 1);
}
END_TEST

START_TEST(assignments_hold_for_all_stages)
{
    support_ok(load(text));
    support_ok(tdm_config_assign(config, "optim.lr=0.125", "--set"));
    support_ok(tdm_config_assign(config, "stages.two.optim.lr=0.0625", "--set"));
    support_ok(tdm_config_resolve(config));
    open_stage("one");
    ck_assert_double_eq(number("optim.lr"), 0.125);
    open_stage("two");
    ck_assert_double_eq(number("optim.lr"), 0.0625);
}
END_TEST

START_TEST(a_dump_reads_back)
{
    char *dump = NULL, first[33], second[33];
    support_ok(load(text));
    support_ok(tdm_config_resolve(config));
    support_ok(tdm_config_hash(config, first));
    support_ok(tdm_config_dump(config, true, &dump));
    teardown();
    setup();
    support_ok(load(dump));
    support_ok(tdm_config_resolve(config));
    support_ok(tdm_config_hash(config, second));
    ck_assert_str_eq(first, second);
    open_stage("two");
    ck_assert_int_eq(whole("train.epochs"), 4);
    free(dump);
}
END_TEST

START_TEST(the_hash_sees_what_a_stage_has)
{
    char first[33], second[33], third[33];
    support_ok(load(text));
    support_ok(tdm_config_resolve(config));
    support_ok(tdm_config_hash(config, first));
    support_ok(tdm_config_assign(config, "stages.two.train.output=x", "--set"));
    support_ok(tdm_config_resolve(config));
    support_ok(tdm_config_hash(config, second));
    ck_assert_str_eq(first, second);
    support_ok(tdm_config_assign(config, "stages.two.train.epochs=5", "--set"));
    support_ok(tdm_config_resolve(config));
    support_ok(tdm_config_hash(config, third));
    ck_assert_str_ne(first, third);
}
END_TEST

static const char *const bad[][2] = {
    {"stages: {one: {optim: {lrr: 1}}}", "a.yaml:1:24: stages.one: optim.lrr: unknown key"},
    {"stages: {one: {optim: {lr: -1}}}", "a.yaml:1:28: stages.one.optim.lr = -1: must be"},
    {"stages: {one: {form: two}}", "did you mean stages.one.from"},
    {"stages: {one: {stages: {two: {from: x}}}}", "stages.one"},
    {"stages: {one: {stages: {two: {optim: {lr: 1}}}}}", "stages.one"},
    {"stages: 3", "stages: must be a mapping"},
    {"stages: {one: 3}", "stages.one: must be a mapping"},
    {"stages: {one: {extends: []}}", ""},
    {"stages: {one: {extends: nowhere.yaml}}", "nowhere.yaml"},
    {"stages: {o/e: {optim: {lr: 1}}}", "a name under stages"},
};

START_TEST(bad_stages)
{
    const tdm_status status = load(bad[_i][0]);
    if (!*bad[_i][1]) {
        support_ok(status);
        return;
    }
    ck_assert_msg(status == TDM_ERR_CONFIG, "%s: %s", bad[_i][0], tdm_status_name(status));
    ck_assert_msg(strstr(tdm_last_error(), bad[_i][1]) != NULL, "%s", tdm_last_error());
}
END_TEST

START_TEST(required_keys_of_a_stage)
{
    support_ok(load("stages: {one: {tasks: {a: {weight: 2}}}}"));
    support_ok(tdm_config_resolve(config));
    ck_assert_int_eq(tdm_config_stage(config, "one", &stage), TDM_ERR_CONFIG);
    ck_assert_ptr_nonnull(strstr(tdm_last_error(), "stage 'one': tasks.a.target: must be given"));
}
END_TEST

START_TEST(files_of_stages)
{
    char *folder = support_temp_create();
    char *base = support_path(folder, "base.yaml"), *top = support_path(folder, "top.yaml");
    FILE *f = fopen(base, "w");
    fputs("optim: {lr: 0.75}\ntasks: {b: {target: z}}\n", f);
    fclose(f);
    f = fopen(top, "w");
    fputs("train: {epochs: 2}\nstages: {one: {extends: base.yaml, tasks: {b: {weight: 4}}}}\n", f);
    fclose(f);
    support_ok(tdm_config_load(config, top));
    support_ok(tdm_config_resolve(config));
    open_stage("one");
    ck_assert_double_eq(number("optim.lr"), 0.75);
    ck_assert_double_eq(number("tasks.b.weight"), 4);
    ck_assert_int_eq(whole("train.epochs"), 2);
    free(base);
    free(top);
    support_temp_remove(folder);
}
END_TEST

START_TEST(out_of_memory_everywhere)
{
    int failures = 0;
    for (uint64_t k = 1;; k++) {
        tdm_config *c = NULL, *s = NULL;
        tdm__mem_fail_after(k);
        tdm_status status = tdm_config_create(tables, 1, &c);
        if (!status) status = tdm_config_load_text(c, text, strlen(text), "a.yaml");
        if (!status) status = tdm_config_assign(c, "optim.lr=0.2", "--set");
        if (!status) status = tdm_config_resolve(c);
        if (!status) status = tdm_config_stage(c, "two", &s);
        tdm__mem_fail_after(0);
        tdm_config_destroy(&c);
        tdm_config_destroy(&s);
        if (!status) break;
        ck_assert_msg(status == TDM_ERR_NOMEM, "%d: %s", (int)k, tdm_last_error());
        failures++;
    }
    ck_assert_int_gt(failures, 50);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config stages");
    TCase *tc = tcase_create("stages");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_stage_is_the_common_part_and_its_own);
    tcase_add_test(tc, assignments_hold_for_all_stages);
    tcase_add_test(tc, a_dump_reads_back);
    tcase_add_test(tc, the_hash_sees_what_a_stage_has);
    tcase_add_loop_test(tc, bad_stages, 0, sizeof bad / sizeof *bad);
    tcase_add_test(tc, required_keys_of_a_stage);
    tcase_add_test(tc, files_of_stages);
    tcase_add_test(tc, out_of_memory_everywhere);
    suite_add_tcase(suite, tc);
    return support_run(suite);
}
