/* Conditions on runs: what they mean, and what is said about those that mean nothing. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "report/where.h"
#include "support/support.h"

static tdm__record record;

static void set_up(void)
{
    record = (tdm__record){0};
    support_ok(tdm__record_add(&record, "arm", "fixed@tasks.class.weight=0.1"));
    support_ok(tdm__record_add(&record, "stopped", "early-stop"));
    support_ok(tdm__record_add_number(&record, "seed", 2));
    support_ok(tdm__record_add_number(&record, "task.mask.iou", 0.625));
    support_ok(tdm__record_add(&record, "optim.lr", "1e-3"));
}

static void tear_down(void)
{
    tdm__record_free(&record);
}

static bool holds(const char *text)
{
    tdm__where *where;
    support_ok(tdm__where_parse(text, &where));
    const bool result = tdm__where_holds(where, &record);
    tdm__where_destroy(&where);
    return result;
}

START_TEST(compares)
{
    static const struct {
        const char *text;
        bool holds;
    } cases[] = {
        {"seed = 2", true},
        {"seed == 2.0", true},
        {"seed != 2", false},
        {"seed<3", true},
        {"seed <= 2", true},
        {"seed > 2", false},
        {"seed>=2", true},
        {"task.mask.iou > 0.6", true},
        {"task.mask.iou > .7", false},
        {"optim.lr = 0.001", true}, /* numbers, not texts */
        {"optim.lr = '0.001'", false},
        {"optim.lr = \"1e-3\"", true},
        {"stopped = early-stop", true},
        {"stopped != epochs", true},
        {"stopped < f", true},
        {"arm = 'fixed@tasks.class.weight=0.1'", true},
        {"seed = two", false},
        {"nothing = 1", false},
        {"nothing != 1", false}, /* a run without the field fails */
        {"not nothing != 1", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_msg(holds(cases[i].text) == cases[i].holds, "%s", cases[i].text);
}
END_TEST

START_TEST(joins)
{
    ck_assert(holds("seed = 1 or seed = 2"));
    ck_assert(!holds("seed = 1 and seed = 2"));
    /* and binds tighter than or, not tightest */
    ck_assert(holds("seed = 2 or seed = 1 and seed = 3"));
    ck_assert(!holds("(seed = 2 or seed = 1) and seed = 3"));
    ck_assert(!holds("not seed = 2 or seed = 3"));
    ck_assert(!holds("not (seed = 3 or seed = 2)"));
    ck_assert(holds("not not seed = 2"));
    ck_assert(holds("((seed=2)and(not(seed=3)))"));
    ck_assert(holds("seed = 1 or seed = 3 or seed = 2"));
}
END_TEST

START_TEST(refuses)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "ends where a field is wanted"},
        {"seed", "ends where one of = != < <= > >= is wanted"},
        {"seed =", "ends where a number or a text is wanted"},
        {"seed = 1 seed = 2", "at 'seed = 2': `and` or `or` is wanted"},
        {"seed = 1 and", "ends where a field is wanted"},
        {"(seed = 1", "ends where a ) is wanted"},
        {"seed = 1)", "at ')'"},
        {"= 1", "at '= 1': a field is wanted"},
        {"seed ! 1", "at '! 1'"},
        {"arm = 'equal", "at ''equal'"},
        {"'seed' = 1", "a field is wanted"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tdm__where *where;
        support_fails(tdm__where_parse(cases[i].text, &where), TDM_ERR_USAGE, cases[i].says);
        ck_assert_ptr_null(where);
    }
}
END_TEST

START_TEST(bounds_depth)
{
    tdm__str text = {0};
    tdm__where *where;
    for (int i = 0; i < 10000; i++) tdm__str_add(&text, "(");
    support_fails(tdm__where_parse(text.text, &where), TDM_ERR_USAGE, "nested too deeply");
    text.length = 0;
    for (int i = 0; i < 10000; i++) tdm__str_add(&text, "not ");
    support_fails(tdm__where_parse(text.text, &where), TDM_ERR_USAGE, "nested too deeply");
    text.length = 0;
    for (int i = 0; i < 3000; i++) tdm__str_add(&text, "seed=1 or ");
    tdm__str_add(&text, "seed=2");
    ck_assert(holds(text.text)); /* long is not deep */
    tdm__str_free(&text);
}
END_TEST

START_TEST(names_fields)
{
    tdm__where *where;
    support_ok(tdm__where_parse("a = 1 and (not b.c > x or a = 2)", &where));
    ck_assert_uint_eq(tdm__where_fields(where), 3);
    ck_assert_str_eq(tdm__where_field(where, 0), "a");
    ck_assert_str_eq(tdm__where_field(where, 1), "b.c");
    ck_assert_str_eq(tdm__where_field(where, 2), "a");
    ck_assert_ptr_null(tdm__where_field(where, 3));
    tdm__where_destroy(&where);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("run_where");
    TCase *tc = tcase_create("run_where");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, compares);
    tcase_add_test(tc, joins);
    tcase_add_test(tc, refuses);
    tcase_add_test(tc, bounds_depth);
    tcase_add_test(tc, names_fields);
    suite_add_tcase(suite, tc);
    return support_run(suite);
}
