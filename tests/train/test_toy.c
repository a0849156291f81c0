/* The two-dimensional problem of the multi-task papers (Liu B. et al., NeurIPS 2021, appendix; also
 * Navon et al., ICML 2022, and others): two losses of two parameters whose gradients conflict and
 * differ in size, five starts, Adam. The published pictures: the plain sum gets stuck in the valley
 * from some starts, MGDA stops where it meets the Pareto front, PCGrad and CAGrad reach the front
 * from everywhere, CAGrad at the sum's minimum; Nash-MTL ends inside the front, whatever the
 * losses' scale. The front lies near theta_2 = -8.4, from theta_1 = -7 to 7, the sum's minimum at
 * 0.
 */
#include "task/gradients.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "support/support.h"
#include "task/linear.h"

/* Losses and their gradients by theta. */
static void losses(const double x[2], double loss[2], double g[2][2])
{
    const double a = 0.5 * (-x[0] - 7) - tanh(-x[1]), b = 0.5 * (-x[0] + 3) - tanh(-x[1]) + 2;
    const double f[2] = {log(fmax(fabs(a), 5e-6)) + 6, log(fmax(fabs(b), 5e-6)) + 6};
    const double sech = 1 - tanh(x[1]) * tanh(x[1]);
    const double df[2][2] = {{fabs(a) > 5e-6 ? -0.5 / a : 0, fabs(a) > 5e-6 ? sech / a : 0},
                             {fabs(b) > 5e-6 ? -0.5 / b : 0, fabs(b) > 5e-6 ? sech / b : 0}};
    const double c1 = fmax(tanh(0.5 * x[1]), 0), c2 = fmax(tanh(-0.5 * x[1]), 0);
    const double half = 0.5 * (1 - tanh(0.5 * x[1]) * tanh(0.5 * x[1]));
    const double dc1 = x[1] >= 0 ? half : 0, dc2 = x[1] <= 0 ? -half : 0;
    for (int i = 0; i < 2; i++) {
        const double centre = i ? -7 : 7, away = -x[0] + centre, low = -x[1] - 8;
        const double q = (away * away + 0.1 * low * low) / 10 - 20;
        loss[i] = f[i] * c1 + q * c2;
        g[i][0] = df[i][0] * c1 - 2 * away / 10 * c2;
        g[i][1] = df[i][1] * c1 + f[i] * dc1 - 0.2 * low / 10 * c2 + q * dc2;
    }
}

static const double starts[5][2] = {{-8.5, 7.5}, {-8.5, -5}, {9, 9}, {0, 0}, {10, -8}};

START_TEST(gradients_are_the_losses_slopes)
{
    tdm__rng rng = tdm__rng_make(1, 2);
    for (int k = 0; k < 200; k++) {
        const double x[2] = {20 * tdm__rng_uniform(&rng) - 10, 20 * tdm__rng_uniform(&rng) - 10};
        double l[2], g[2][2], up[2], down[2], ignored[2][2];
        losses(x, l, g);
        for (int d = 0; d < 2; d++) {
            const double h = 1e-6;
            double y[2] = {x[0], x[1]};
            y[d] += h;
            losses(y, up, ignored);
            y[d] -= 2 * h;
            losses(y, down, ignored);
            for (int i = 0; i < 2; i++) {
                const double slope = (up[i] - down[i]) / (2 * h);
                ck_assert_double_eq_tol(slope, g[i][d], 1e-3 * (1 + fabs(slope)));
            }
        }
    }
}
END_TEST

/* Adam from a start; scale: of the first loss. */
static void descend(const tdm__combine_spec *spec, const double start[2], double scale, double x[2])
{
    static const char *const names[] = {"1", "2"};
    enum { STEPS = 50000 };
    double m[2] = {0}, v[2] = {0}, target[4] = {0}, l[2], g[2][2], gram[4], w[2] = {1, 1};
    memcpy(x, start, 2 * sizeof *x);
    for (int t = 1; t <= STEPS; t++) {
        bool stationary;
        losses(x, l, g);
        g[0][0] *= scale;
        g[0][1] *= scale;
        for (int i = 0; i < 4; i++) gram[i] = tdm__dot(g[i / 2], g[i % 2], 2);
        if (spec->kind != TDM__COMBINE_NONE)
            support_ok(
                tdm__combine_weights(spec, gram, 2, names, 1, (uint64_t)t, target, w, &stationary));
        double moved = 0;
        for (int d = 0; d < 2; d++) {
            const double slope = w[0] * g[0][d] + w[1] * g[1][d];
            m[d] = 0.9 * m[d] + 0.1 * slope;
            v[d] = 0.999 * v[d] + 0.001 * slope * slope;
            const double by =
                0.002 * m[d] / (1 - pow(0.9, t)) / (sqrt(v[d] / (1 - pow(0.999, t))) + 1e-8);
            x[d] -= by;
            moved = fmax(moved, fabs(by));
        }
        if (moved < 1e-7) break; /* arrived */
    }
}

/* Cosine of the two gradients is -1: no direction helps both. */
static bool on_front(const double x[2])
{
    double l[2], g[2][2];
    losses(x, l, g);
    const double a = sqrt(tdm__dot(g[0], g[0], 2)), b = sqrt(tdm__dot(g[1], g[1], 2));
    return fabs(x[0]) <= 7.2 && x[1] < -6 &&
           (a < 1e-2 || b < 1e-2 || tdm__dot(g[0], g[1], 2) / (a * b) < -0.99);
}

static const struct {
    const char *name;
    tdm__combine_spec spec;
    double scale;
    int on_front;    /* of the five starts, as published; of fairgrad, gradvac (whose target cosine
                        follows    the valley's) and gradients of equal norm, which no paper shows, as
                        found */
    double from, to; /* theta_1 of the ends on the front lies in between */
} cases[] = {
    {"sum", {TDM__COMBINE_NONE}, 1, 3, -1, 1},
    {"mgda", {TDM__COMBINE_MGDA}, 1, 5, -7.1, 7.1},
    {"pcgrad", {TDM__COMBINE_PCGRAD, .sum = true}, 1, 5, -7.1, 7.1},
    {"cagrad", {TDM__COMBINE_CAGRAD, .cagrad_c = 0.5, .cagrad_rescale = 1}, 1, 5, -1, 1},
    {"nash", {TDM__COMBINE_NASH}, 1, 5, -7.1, 7.1},
    {"nash, scaled", {TDM__COMBINE_NASH}, 0.1, 5, -7.1, 7.1},
    {"fairgrad", {TDM__COMBINE_FAIRGRAD, .fairgrad_alpha = 2}, 1, 5, -7.1, 7.1},
    {"gradvac", {TDM__COMBINE_GRADVAC, .sum = true, .gradvac_beta = 0.01}, 1, 4, -7.1, 7.1},
    {"max norm", {TDM__COMBINE_DB_MTL, .sum = true}, 1, 5, -7.1, 7.1},
    {"imtl-g", {TDM__COMBINE_IMTL_G}, 1, 5, -7.1, 7.1},
    {"aligned", {TDM__COMBINE_ALIGNED}, 1, 5, -1, 1},
    {"upgrad", {TDM__COMBINE_UPGRAD}, 1, 5, -7.1, 7.1},
};

START_TEST(ends_from_five_starts)
{
    int reached = 0;
    for (int s = 0; s < 5; s++) {
        double x[2];
        descend(&cases[_i].spec, starts[s], cases[_i].scale, x);
        const bool front = on_front(x);
        printf("%-14s (%5.1f,%5.1f) -> (%7.3f,%7.3f)%s\n", cases[_i].name, starts[s][0],
               starts[s][1], x[0], x[1], front ? " on the front" : "");
        reached += front;
        if (front)
            ck_assert_msg(x[0] >= cases[_i].from && x[0] <= cases[_i].to, "%s: theta_1 = %g",
                          cases[_i].name, x[0]);
    }
    ck_assert_msg(reached == cases[_i].on_front, "%s: %d of 5 starts reach the front, not %d",
                  cases[_i].name, reached, cases[_i].on_front);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("toy");
    TCase *tc = tcase_create("toy");
    tcase_set_timeout(tc, 300);
    tcase_add_test(tc, gradients_are_the_losses_slopes);
    tcase_add_loop_test(tc, ends_from_five_starts, 0, sizeof cases / sizeof *cases);
    suite_add_tcase(suite, tc);
    return support_run(suite);
}
