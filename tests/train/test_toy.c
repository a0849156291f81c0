/* Methods on gradients on the toy problem. The published pictures: the plain sum gets stuck in the
 * valley from some starts, MGDA stops where it meets the Pareto front, PCGrad and CAGrad reach the
 * front from everywhere, CAGrad at the sum's minimum; Nash-MTL ends inside the front, whatever the
 * losses' scale. */
#include "support/toy.h"

#include <math.h>

#include "base/rng.h"
#include "support/support.h"
#include "task/gradients.h"
#include "task/linear.h"

enum { STEPS = 50000 };

START_TEST(gradients_are_the_losses_slopes)
{
    tdm__rng rng = tdm__rng_make(1, 2);
    for (int k = 0; k < 200; k++) {
        const double x[2] = {20 * tdm__rng_uniform(&rng) - 10, 20 * tdm__rng_uniform(&rng) - 10};
        double l[2], g[2][2], up[2], down[2], ignored[2][2];
        toy_losses(x, l, g);
        for (int d = 0; d < 2; d++) {
            const double h = 1e-6;
            double y[2] = {x[0], x[1]};
            y[d] += h;
            toy_losses(y, up, ignored);
            y[d] -= 2 * h;
            toy_losses(y, down, ignored);
            for (int i = 0; i < 2; i++) {
                const double slope = (up[i] - down[i]) / (2 * h);
                ck_assert_double_eq_tol(slope, g[i][d], 1e-3 * (1 + fabs(slope)));
            }
        }
    }
}
END_TEST

typedef struct toy_case {
    const char *name;
    tdm__combine_spec spec;
    double scale; /* of the first loss */
    int on_front; /* as published; of fairgrad, gradvac (whose target cosine follows the valley's)
                     and gradients of equal norm, which no paper shows, as found */
    double from, to; /* theta_1 of the ends on the front lies in between */
} toy_case;
static const toy_case cases[] = {
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

/* What the case makes of the two gradients. */
typedef struct follower {
    const toy_case *c;
    double target[4];
} follower;

static void begin(void *user)
{
    follower *f = user;
    *f = (follower){.c = f->c};
}

static void follow(void *user, uint64_t t, const double loss[2], const double g[2][2],
                   double out[2])
{
    static const char *const names[] = {"1", "2"};
    follower *f = user;
    const double scaled[2][2] = {{f->c->scale * g[0][0], f->c->scale * g[0][1]},
                                 {g[1][0], g[1][1]}};
    double gram[4], w[2] = {1, 1};
    bool stationary;
    (void)loss;
    for (int i = 0; i < 4; i++) gram[i] = tdm__dot(scaled[i / 2], scaled[i % 2], 2);
    if (f->c->spec.kind != TDM__COMBINE_NONE)
        support_ok(
            tdm__combine_weights(&f->c->spec, gram, 2, names, 1, t, f->target, w, &stationary));
    for (int d = 0; d < 2; d++) out[d] = w[0] * scaled[0][d] + w[1] * scaled[1][d];
}

START_TEST(ends_from_five_starts)
{
    const toy_case *c = &cases[_i];
    follower f = {.c = c};
    toy_check(c->name, follow, begin, &f, 0.002, STEPS, c->on_front, c->from, c->to);
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
