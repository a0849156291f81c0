/* The settings of an experiment's arms: mappings in YAML, grids, lists that change together, draws.
 */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <tandem/config.h>
#include <tandem/experiment.h>

#include "base/str.h"
#include "experiment/settings.h"
#include "support/support.h"

/* "a=1,b=2;a=1,b=3": what points there are */
static char *points_text(const tdm__points *points)
{
    tdm__str text = {0};
    for (size_t p = 0; p < points->n; p++)
        for (size_t i = 0; i < points->list[p].n; i++)
            tdm__str_addf(&text, "%s%s=%s",
                          i   ? ","
                          : p ? ";"
                              : "",
                          points->list[p].list[i].key, points->list[p].list[i].value);
    tdm__str_add(&text, "");
    support_ok(tdm__str_status(&text));
    return text.text;
}

static void has_points(tdm__points *points, const char *expected)
{
    char *text = points_text(points);
    ck_assert_str_eq(text, expected);
    free(text);
    tdm__points_free(points);
}

START_TEST(grids)
{
    tdm__points points = {0};
    const char *const two[] = {"a.x=[1, 2]", "b = [u, v, w]"};
    support_ok(tdm__points_grid(&points, two, 2));
    has_points(&points, "a.x=1,b=u;a.x=1,b=v;a.x=1,b=w;a.x=2,b=u;a.x=2,b=v;a.x=2,b=w");
    const char *const lists[] = {"f=[\"[1, 2]\", \"[3]\"]"}; /* candidates that are lists */
    support_ok(tdm__points_grid(&points, lists, 1));
    has_points(&points, "f=[1, 2];f=[3]");
    support_ok(tdm__points_grid(&points, NULL, 0));
    has_points(&points, "");
    const char *const twice[] = {"a=1", "a=2"}, *const none[] = {"a=[]"}, *const bare[] = {"a"};
    support_fails(tdm__points_grid(&points, twice, 2), TDM_ERR_CONFIG, "a: is given twice");
    support_fails(tdm__points_grid(&points, none, 1), TDM_ERR_CONFIG, "a: must be a list");
    support_fails(tdm__points_grid(&points, bare, 1), TDM_ERR_CONFIG, "must be key=value");
    tdm__str big = {0};
    tdm__str_add(&big, "=[0");
    for (int i = 1; i < 200; i++) tdm__str_addf(&big, ",%d", i);
    tdm__str_add(&big, "]");
    char *texts[4];
    for (int i = 0; i < 4; i++) ck_assert_int_gt(asprintf(&texts[i], "%c%s", 'a' + i, big.text), 0);
    support_fails(tdm__points_grid(&points, (const char *const *)texts, 4), TDM_ERR_CONFIG,
                  "too many points");
    for (int i = 0; i < 4; i++) free(texts[i]);
    tdm__str_free(&big);
    tdm__points_free(&points);
}
END_TEST

START_TEST(together)
{
    tdm__points points = {0};
    const char *const pair[] = {"a=[1, 2, 3]", "b=[3, 2, 1]"}, *const odd[] = {"a=[1, 2]", "b=[1]"};
    support_ok(tdm__points_together(&points, pair, 2));
    has_points(&points, "a=1,b=3;a=2,b=2;a=3,b=1");
    support_fails(tdm__points_together(&points, odd, 2), TDM_ERR_CONFIG, "a has 2 values and b 1");
    tdm__points_free(&points);
}
END_TEST

/* Draws lie where they should, depend on the seed and the key alone, and spread. */
START_TEST(draws)
{
    enum { N = 400 };
    tdm__points points = {0}, again = {0}, other = {0};
    const char *const keys[] = {"lr.log-uniform=[1e-4, 1e-2]", "p.uniform=[-1, 3]", "n.int=[2, 4]",
                                "c.choice=[u, v]"};
    size_t low = 0, twos = 0, us = 0;
    double sum = 0;
    support_ok(tdm__points_random(&points, keys, 4, N, 7));
    support_ok(tdm__points_random(&again, keys, 1, N, 7));
    support_ok(tdm__points_random(&other, keys, 1, N, 8));
    ck_assert_uint_eq(points.n, N);
    for (size_t i = 0; i < N; i++) {
        const tdm__pair *s = points.list[i].list;
        double lr, p, n;
        ck_assert_str_eq(s[0].key, "lr");
        ck_assert(tdm__parse_f64(s[0].value, &lr) && lr >= 1e-4 && lr <= 1e-2);
        ck_assert(tdm__parse_f64(s[1].value, &p) && p >= -1 && p <= 3);
        ck_assert(tdm__parse_f64(s[2].value, &n) && (n == 2 || n == 3 || n == 4));
        ck_assert(!strcmp(s[3].value, "u") || !strcmp(s[3].value, "v"));
        ck_assert_str_eq(again.list[i].list[0].value, s[0].value);
        low += lr < 1e-3;
        twos += n == 2;
        us += s[3].value[0] == 'u';
        sum += p;
    }
    /* within six standard deviations of what is expected */
    ck_assert(labs((long)low - N / 2) < 60 && labs((long)us - N / 2) < 60);
    ck_assert(labs((long)twos - N / 3) < 57);
    ck_assert(fabs(sum / N - 1) < 0.35);
    ck_assert_str_ne(other.list[0].list[0].value, points.list[0].list[0].value);
    tdm__points_free(&points);
    tdm__points_free(&again);
    tdm__points_free(&other);
    const char *const unknown[] = {"lr.normal=[0, 1]"}, *const bare[] = {"lr=[0, 1]"},
                      *const zero[] = {"lr.log-uniform=[0, 1]"}, *const turned[] = {"a.int=[3, 1]"};
    support_fails(tdm__points_random(&points, unknown, 1, 2, 0), TDM_ERR_CONFIG,
                  "'normal' is no distribution: there are log-uniform");
    tdm__points_free(&points);
    support_fails(tdm__points_random(&points, bare, 1, 2, 0), TDM_ERR_CONFIG, "no distribution");
    tdm__points_free(&points);
    support_fails(tdm__points_random(&points, zero, 1, 2, 0), TDM_ERR_CONFIG, "above 0");
    tdm__points_free(&points);
    support_fails(tdm__points_random(&points, turned, 1, 2, 0), TDM_ERR_CONFIG, "[low, high]");
    tdm__points_free(&points);
    support_fails(tdm__points_random(&points, zero, 1, 0, 0), TDM_ERR_CONFIG,
                  "both points and keys");
    tdm__points_free(&points);
}
END_TEST

static void is_json(const char *value, const char *expected)
{
    tdm__str text = {0};
    support_ok(tdm__setting_json(value, &text));
    ck_assert_str_eq(tdm__str_text(&text), expected);
    tdm__str_free(&text);
}

START_TEST(json)
{
    is_json("0.1", "0.1");
    is_json("1e-3", "0.001");
    is_json("7", "7");
    is_json("true", "true");
    is_json("equal", "\"equal\"");
    is_json("nan", "\"nan\"");
    is_json("[16, 32]", "[16, 32]");
    is_json("null", "null");
    is_json("[flip 0.5, \"a,b\"]", "[\"flip 0.5\", \"a,b\"]");
}
END_TEST

/* The same settings, written as a mapping or as texts; a later file adds to them, key by key. */
START_TEST(yaml)
{
    static const tdm_opt_table *const tables[] = {&tdm_experiment_options};
    static const char first[] = "experiment:\n"
                                "  set: {optim: {lr: 0.1, kind: sgd}, data.transforms: [flip, "
                                "\"crop 8\"]}\n"
                                "  arms:\n"
                                "    a: {set: [\"x=1\", \"y=[1, 2]\"]}\n"
                                "    b: {}\n"
                                "    c:\n"
                                "    d: {set: {}, grid: {z: [1, 2]}}\n";
    static const char second[] =
        "experiment: {set: {optim.lr: 0.2, name: \"[x]\"}, arms: {a: {set: "
        "{x: null}}}}\n";
    tdm_config *config, *again;
    char *text, *repeated;
    const char *const *set;
    size_t n;
    support_ok(tdm_config_create(tables, 1, &config));
    support_ok(tdm_config_load_text(config, first, sizeof first - 1, "first"));
    support_ok(tdm_config_load_text(config, second, sizeof second - 1, "second"));
    support_ok(tdm_config_assign(config, "experiment.arms.b.set.optim.lr=3", "--set"));
    support_ok(tdm_config_resolve(config));
    support_ok(tdm_config_strings(config, "experiment.set", &set, &n));
    ck_assert_uint_eq(n, 4);
    ck_assert_str_eq(set[0], "optim.lr=0.2");
    ck_assert_str_eq(set[1], "optim.kind=sgd");
    ck_assert_str_eq(set[2], "data.transforms=[flip, \"crop 8\"]");
    ck_assert_str_eq(set[3], "name=\"[x]\"");
    support_ok(tdm_config_strings(config, "experiment.arms.a.set", &set, &n));
    ck_assert_uint_eq(n, 2);
    ck_assert_str_eq(set[0], "x=null");
    support_ok(tdm_config_strings(config, "experiment.arms.b.set", &set, &n));
    ck_assert_str_eq(set[0], "optim.lr=3");
    support_ok(tdm_config_members(config, "experiment.arms", &set, &n));
    ck_assert_uint_eq(n, 4);
    support_ok(tdm_config_dump(config, true, &text)); /* reads back as the same */
    support_ok(tdm_config_create(tables, 1, &again));
    support_ok(tdm_config_load_text(again, text, strlen(text), "again"));
    support_ok(tdm_config_resolve(again));
    support_ok(tdm_config_dump(config, false, &repeated));
    free(text);
    support_ok(tdm_config_dump(again, false, &text));
    ck_assert_str_eq(text, repeated);
    free(text);
    free(repeated);
    tdm_config_destroy(&again);
    support_fails(tdm_config_assign(config, "experiment.arms.b.sett.optim.lr=3", "--set"),
                  TDM_ERR_CONFIG, "unknown key");
    tdm_config_destroy(&config);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("experiment_settings");
    TCase *tc = tcase_create("experiment_settings");
    tcase_add_test(tc, grids);
    tcase_add_test(tc, together);
    tcase_add_test(tc, draws);
    tcase_add_test(tc, json);
    tcase_add_test(tc, yaml);
    suite_add_tcase(suite, tc);
    return support_run(suite);
}
