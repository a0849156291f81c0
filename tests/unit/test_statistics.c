/* Statistics against SciPy (tests/ref/make_statistics_golden.py), and what must hold for any
 * sample. */
#include "report/statistics.h"

#include "../ref/statistics_golden.h"
#include "base/rng.h"
#include "support/support.h"

static void close_to(double got, double want, double tolerance, const char *what, const char *name)
{
    if (isnan(want) || isinf(want)) {
        ck_assert_msg(isnan(want) ? isnan(got) : got == want, "%s of %s: %.17g instead of %g", what,
                      name, got, want);
        return;
    }
    ck_assert_msg(fabs(got - want) <= tolerance * fmax(fabs(want), 1e-300),
                  "%s of %s: %.17g, not %.17g", what, name, got, want);
}

START_TEST(agrees_with_scipy)
{
    for (size_t i = 0; i < sizeof statistics_cases / sizeof *statistics_cases; i++) {
        const statistics_case *c = &statistics_cases[i];
        tdm__summary s;
        tdm__test t;
        support_ok(tdm__summarise(c->a, c->n, &s));
        close_to(s.mean, c->mean, 1e-13, "mean", c->name);
        close_to(s.sd, c->sd, 1e-12, "sd", c->name);
        close_to(s.median, c->median, 1e-15, "median", c->name);
        tdm__paired_t(c->a, c->b, c->n, &t);
        close_to(t.statistic, c->t, 1e-9, "t", c->name);
        close_to(t.p, c->t_p, 1e-8, "p of t", c->name);
        support_ok(tdm__wilcoxon(c->a, c->b, c->n, &t));
        close_to(t.statistic, c->w, 1e-15, "W", c->name);
        close_to(t.p, c->w_p, 1e-10, "p of W", c->name);
        support_ok(tdm__permutation(c->a, c->b, c->n, 20000, 1, &t));
        if (!isnan(c->permutation_p)) close_to(t.p, c->permutation_p, 1e-12, "p of flips", c->name);
    }
    for (size_t i = 0; i < sizeof student_cases / sizeof *student_cases; i++)
        close_to(tdm__student_cdf(student_cases[i][0], student_cases[i][1]), student_cases[i][2],
                 1e-11, "Student's cdf", "");
}
END_TEST

START_TEST(holm_adjusts_in_place)
{
    enum { N = sizeof holm_p / sizeof *holm_p };
    double p[N + 1];
    for (int i = 0; i < N; i++) p[i + (i >= 3)] = holm_p[i];
    p[3] = NAN; /* what was not compared does not count */
    support_ok(tdm__holm(p, N + 1));
    ck_assert(isnan(p[3]));
    for (int i = 0; i < N; i++) close_to(p[i + (i >= 3)], holm_adjusted[i], 1e-14, "Holm", "");
}
END_TEST

/* Random flips find what counting them all finds, within their own error. */
START_TEST(sampled_permutation_is_near_the_exact_one)
{
    double a[24], b[24];
    tdm__test t, small;
    tdm__rng rng = tdm__rng_make(5, 6);
    for (int i = 0; i < 24; i++) {
        a[i] = tdm__rng_normal(&rng);
        b[i] = a[i] + 0.35 + 0.7 * tdm__rng_normal(&rng);
    }
    support_ok(tdm__permutation(a, b, 24, 40000, 3, &t));
    ck_assert(!t.exact);
    tdm__paired_t(a, b, 24, &small);
    ck_assert_double_eq_tol(t.p, small.p, 0.01);
    support_ok(tdm__permutation(a, b, 3, 1, 3, &small));
    ck_assert(small.exact && small.p >= 0.25);
}
END_TEST

/* The interval holds the mean, is the same for the same seed, and covers the truth about as often
 * as it says (a little less: 20 numbers are few). */
START_TEST(bootstrap_covers)
{
    enum { ROUNDS = 400, N = 20 };
    int inside = 0;
    tdm__rng rng = tdm__rng_make(1, 2);
    for (int round = 0; round < ROUNDS; round++) {
        double x[N];
        tdm__interval first, again;
        for (int i = 0; i < N; i++) x[i] = 3 + tdm__rng_normal(&rng);
        support_ok(tdm__bootstrap_mean(x, N, 0.9, 500, (uint64_t)round, &first));
        support_ok(tdm__bootstrap_mean(x, N, 0.9, 500, (uint64_t)round, &again));
        ck_assert(first.low == again.low && first.high == again.high && first.low < first.high);
        inside += first.low <= 3 && 3 <= first.high;
    }
    ck_assert_int_ge(inside, ROUNDS * 83 / 100);
    ck_assert_int_le(inside, ROUNDS * 94 / 100);
}
END_TEST

START_TEST(samples_too_small)
{
    const double one[] = {1};
    tdm__summary s;
    tdm__interval i;
    tdm__test t;
    support_ok(tdm__summarise(NULL, 0, &s));
    ck_assert(isnan(s.mean) && isnan(s.sd) && isnan(s.min));
    support_ok(tdm__summarise(one, 1, &s));
    ck_assert(s.mean == 1 && isnan(s.sd) && s.median == 1);
    support_ok(tdm__bootstrap_mean(one, 1, 0.95, 100, 1, &i));
    ck_assert(isnan(i.low));
    tdm__paired_t(one, one, 1, &t);
    ck_assert(isnan(t.p));
    support_ok(tdm__wilcoxon(NULL, NULL, 0, &t));
    ck_assert(isnan(t.p));
    support_ok(tdm__permutation(NULL, NULL, 0, 10, 1, &t));
    ck_assert(isnan(t.p));
    support_ok(tdm__holm(NULL, 0));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("statistics");
    TCase *c = tcase_create("statistics");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, agrees_with_scipy);
    tcase_add_test(c, holm_adjusts_in_place);
    tcase_add_test(c, sampled_permutation_is_near_the_exact_one);
    tcase_add_test(c, bootstrap_covers);
    tcase_add_test(c, samples_too_small);
    suite_add_tcase(suite, c);
    return support_run(suite);
}
