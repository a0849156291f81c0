/* Weights of tasks from the Gram matrix of their gradients: golden vectors (from the papers'
 * formulas, the first ones shared with TorchJD's tests), properties that must hold for any
 * gradients, and degenerate ones. */
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "support/support.h"
#include "task/linear.h"
#include "task/solve.h"
#include "task/weights.h"

enum { MOST = 40, WIDTH = 64 };

/* Rows of J. */
typedef struct gradients {
    size_t n, d;
    double g[MOST * WIDTH];
} gradients;

static const gradients two = {2, 3, {-4, 1, 1, 6, 1, 1}};
static const gradients three = {3, 4, {1, 2, -1, .5, -2, 1, .5, 1, .5, -1, 2, -1}};
static const gradients scaled = {3, 4, {1, 2, -1, .5, -4, 2, 1, 2, .1, -.2, .4, -.2}};

static void gram(const gradients *j, double *m)
{
    for (size_t a = 0; a < j->n; a++)
        for (size_t b = 0; b < j->n; b++)
            m[a * j->n + b] = tdm__dot(j->g + a * j->d, j->g + b * j->d, j->d);
}

static void update(const gradients *j, const double *w, double *out)
{
    memset(out, 0, j->d * sizeof *out);
    for (size_t i = 0; i < j->n; i++)
        for (size_t k = 0; k < j->d; k++) out[k] += w[i] * j->g[i * j->d + k];
}

static gradients draw(size_t n, size_t d, uint64_t seed)
{
    gradients j = {.n = n, .d = d};
    tdm__rng rng = tdm__rng_make(seed, tdm__rng_stream("solve", n, d));
    for (size_t i = 0; i < n * d; i++) j.g[i] = tdm__rng_normal(&rng);
    return j;
}

static void near_each(const double *got, const double *want, size_t n, double tolerance,
                      const char *what)
{
    for (size_t i = 0; i < n; i++)
        ck_assert_msg(fabs(got[i] - want[i]) <= tolerance, "%s[%zu]: %.9g instead of %.9g", what, i,
                      got[i], want[i]);
}

/* ---- one interface over all methods ------------------------------------------------------------
 */

static void keep_order(size_t n, size_t *order, bool reversed)
{
    for (size_t i = 0; i < n * n; i++) order[i] = reversed ? n - 1 - i % n : i % n;
}

typedef tdm_status (*method)(const double *m, size_t n, double *w);

static tdm_status cagrad_04(const double *m, size_t n, double *w)
{
    return tdm__solve_cagrad(m, n, 0.4, 0, w, NULL);
}
static tdm_status cagrad_05(const double *m, size_t n, double *w)
{
    return tdm__solve_cagrad(m, n, 0.5, 0, w, NULL);
}
static tdm_status nash(const double *m, size_t n, double *w)
{
    bool stationary;
    return tdm__solve_fairgrad(m, n, 1, w, &stationary);
}
static tdm_status fair_2(const double *m, size_t n, double *w)
{
    bool stationary;
    return tdm__solve_fairgrad(m, n, 2, w, &stationary);
}
static tdm_status pcgrad_forward(const double *m, size_t n, double *w)
{
    size_t order[MOST * MOST];
    keep_order(n, order, false);
    return tdm__solve_pcgrad(m, n, order, w);
}
static tdm_status pcgrad_backward(const double *m, size_t n, double *w)
{
    size_t order[MOST * MOST];
    keep_order(n, order, true);
    return tdm__solve_pcgrad(m, n, order, w);
}

static const struct {
    const char *name;
    method solve;
    const gradients *j;
    double w[3];
    double g[4]; /* all 0: not given */
} goldens[] = {
    {"mgda", tdm__solve_mgda, &two, {.6, .4}, {0}},
    {"imtl-g", tdm__solve_imtl_g, &two, {.592330, .407670}, {.076697, 1, 1}},
    {"nash", nash, &two, {.591461, .407071}, {0}},
    {"fairgrad 2", fair_2, &two, {.471363, .319454}, {0}},
    {"aligned", tdm__solve_aligned, &two, {.559072, .408261}, {.213279, .967333, .967333}},
    {"cagrad .4", cagrad_04, &two, {.663299, .5}, {.346803, 1.163299, 1.163299}},
    {"cagrad .5", cagrad_05, &two, {NAN}, {.183503, 1.204124, 1.204124}},
    {"pcgrad", pcgrad_forward, &two, {2.222222, 1.578947}, {.584795, 3.801170, 3.801170}},
    {"upgrad", tdm__solve_upgrad, &two, {1.111111, .789474}, {.292398, 1.900585, 1.900585}},
    {"mgda", tdm__solve_mgda, &three, {.361674, .231485, .406842}, {0}},
    {"imtl-g", tdm__solve_imtl_g, &three, {.361674, .231485, .406842}, {0}},
    {"nash", nash, &three, {.756086, .558643, .850734}, {0}},
    {"fairgrad 2", fair_2, &three, {.689534, .479489, .776330}, {0}},
    {"aligned", tdm__solve_aligned, &three, {.334253, .256018, .367087}, {0}},
    {"cagrad .4", cagrad_04, &three, {.448627, .333333, .513667}, {0}},
    {"pcgrad", pcgrad_forward, &three, {1.64, 1.32, 1.96}, {0}},
    {"pcgrad reversed", pcgrad_backward, &three, {1.8448, 1.5248, 1.96}, {0}},
    {"upgrad", tdm__solve_upgrad, &three, {.662294, .516055, .751673}, {0}},
    {"mgda", tdm__solve_mgda, &scaled, {.122628, .030657, .846715}, {0}},
    {"cagrad .4", cagrad_04, &scaled, {.333333, .333333, 1.751940}, {0}},
    {"aligned", tdm__solve_aligned, &scaled, {.088609, .034355, .374884}, {0}},
};

START_TEST(golden_vectors)
{
    static const double none[4];
    double m[9], w[3], g[4];
    for (size_t k = 0; k < sizeof goldens / sizeof *goldens; k++) {
        const gradients *j = goldens[k].j;
        gram(j, m);
        support_ok(goldens[k].solve(m, j->n, w));
        if (!isnan(goldens[k].w[0])) near_each(w, goldens[k].w, j->n, 1e-6, goldens[k].name);
        update(j, w, g);
        if (memcmp(goldens[k].g, none, sizeof none))
            near_each(g, goldens[k].g, j->d, 1e-6, goldens[k].name);
    }
}
END_TEST

START_TEST(cagrad_simplex_and_rescaling)
{
    static const double golden[] = {.389995, 0, .610005};
    double m[9], w[3], x[3], plain[3];
    gram(&three, m);
    support_ok(tdm__solve_cagrad(m, 3, 0.4, 0, plain, x));
    near_each(x, golden, 3, 1e-6, "x");
    support_ok(tdm__solve_cagrad(m, 3, 0.4, 1, w, NULL));
    for (int i = 0; i < 3; i++) ck_assert(fabs(w[i] * 1.16 - plain[i]) < 1e-14);
    support_ok(tdm__solve_cagrad(m, 3, 0.4, 2, w, NULL));
    for (int i = 0; i < 3; i++) ck_assert(fabs(w[i] * 1.4 - plain[i]) < 1e-14);
    support_ok(tdm__solve_cagrad(m, 3, 0, 0, w, NULL)); /* c = 0: the mean */
    for (int i = 0; i < 3; i++) ck_assert(fabs(w[i] - 1.0 / 3) < 1e-15);
    static const double corner[] = {0, 0, 1};
    gram(&scaled, m);
    support_ok(tdm__solve_cagrad(m, 3, 0.4, 0, w, x));
    near_each(x, corner, 3, 1e-6, "x of a corner");
}
END_TEST

/* J_4 is J_3 with scaled rows: Nash's update stays, IMTL-G's direction stays. */
START_TEST(scale_invariance)
{
    double a[9], b[9], w[3], u[3], g[4], h[4];
    gram(&three, a);
    gram(&scaled, b);
    support_ok(nash(a, 3, w));
    support_ok(nash(b, 3, u));
    update(&three, w, g);
    update(&scaled, u, h);
    near_each(h, g, 4, 1e-12, "nash");
    support_ok(tdm__solve_imtl_g(a, 3, w));
    support_ok(tdm__solve_imtl_g(b, 3, u));
    update(&three, w, g);
    update(&scaled, u, h);
    const double cosine = tdm__dot(g, h, 4) / sqrt(tdm__dot(g, g, 4) * tdm__dot(h, h, 4));
    ck_assert(fabs(cosine - 1) < 1e-12);
}
END_TEST

/* The projections stay equal when one gradient is a hundred million times as long. */
START_TEST(imtl_g_of_unlike_lengths)
{
    const double r = 1e8, m[] = {r * r, 0.5 * r, 0.5 * r, 1};
    double w[2], left[2];
    support_ok(tdm__solve_imtl_g(m, 2, w));
    tdm__mat_vec(m, w, 2, left);
    ck_assert_double_eq_tol(left[0] / r / left[1], 1, 1e-9);
    ck_assert_double_eq_tol(w[0] * r, w[1], 1e-7);
}
END_TEST

/* ---- properties --------------------------------------------------------------------------------
 */

static const struct {
    const char *name;
    method solve;
} methods[] = {
    {"mgda", tdm__solve_mgda},
    {"wolfe", tdm__solve_min_norm_wolfe},
    {"cagrad", cagrad_04},
    {"imtl-g", tdm__solve_imtl_g},
    {"nash", nash},
    {"fairgrad", fair_2},
    {"aligned", tdm__solve_aligned},
    {"upgrad", tdm__solve_upgrad},
};
enum { METHODS = sizeof methods / sizeof *methods };
static const size_t sizes[] = {1, 2, 3, 5, 10, 11, 20, 40};

/* The sum of the sizes of the terms of (M w)_i, which rounding is measured by. */
static double terms(const double *m, size_t n, const double *w, size_t i)
{
    double size = 0;
    for (size_t k = 0; k < n; k++) size += fabs(m[i * n + k]) * w[k];
    return size;
}

/* (M w)_i >= w^T M w for all i, equal where w_i > 0. */
static void check_shortest(const double *m, size_t n, const double *w, const char *what)
{
    double slope[MOST], sum = 0;
    tdm__mat_vec(m, w, n, slope);
    const double length = tdm__dot(w, slope, n);
    for (size_t i = 0; i < n; i++) {
        const double slack = 1e-11 * (length + terms(m, n, w, i));
        sum += w[i];
        ck_assert(w[i] >= 0);
        ck_assert_msg(slope[i] >= length - slack, "%s, n = %zu: a shorter one exists", what, n);
        if (w[i] > 0)
            ck_assert_msg(slope[i] <= length + 10 * slack, "%s, n = %zu: task %zu", what, n, i);
    }
    ck_assert(fabs(sum - 1) < 1e-13);
}

START_TEST(mgda_satisfies_its_optimality_conditions)
{
    static const double longer[] = {1, 1e4, 1e7};
    double m[MOST * MOST], w[MOST];
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (uint64_t seed = 0; seed < 8; seed++)
            for (int k = 0; k < 3; k++) {
                const size_t n = sizes[s], d = seed % 2 ? WIDTH : n + 2;
                gradients j = draw(n, d, seed);
                for (size_t i = 0; i < d; i++) j.g[i] *= longer[k];
                for (size_t i = 0; i < d && n > 2; i++) j.g[d + i] /= longer[k];
                gram(&j, m);
                support_ok(tdm__solve_mgda(m, n, w));
                check_shortest(m, n, w, "mgda");
                support_ok(tdm__solve_min_norm_wolfe(m, n, w));
                check_shortest(m, n, w, "wolfe");
            }
}
END_TEST

/* Of two orthogonal gradients the weights are as the inverse squares of their lengths, however far
 * apart these are; of three, too. */
START_TEST(mgda_of_unlike_lengths)
{
    double w[3];
    for (double r = 1; r < 1e9; r *= 7) {
        const double two_tasks[] = {r * r, 0, 0, 1};
        support_ok(tdm__solve_mgda(two_tasks, 2, w));
        ck_assert_double_eq_tol(w[0] * (1 + r * r), 1, 1e-9);
        const double three_tasks[] = {r * r, 0, 0, 0, 9, 0, 0, 0, 1};
        const double sum = 1 / (r * r) + 1.0 / 9 + 1;
        support_ok(tdm__solve_mgda(three_tasks, 3, w));
        ck_assert_double_eq_tol(w[0] * r * r * sum, 1, 1e-9);
        ck_assert_double_eq_tol(w[1] * 9 * sum, 1, 1e-9);
        support_ok(tdm__solve_min_norm_wolfe(three_tasks, 3, w));
        ck_assert_double_eq_tol(w[0] * r * r * sum, 1, 1e-9);
    }
}
END_TEST

/* F of CAGrad's dual at its solution is not above F on random points of the simplex, nor along the
 * ways to its corners. */
START_TEST(cagrad_is_a_minimum)
{
    double m[MOST * MOST], w[MOST], x[MOST], a[MOST], p[MOST], y[MOST];
    for (size_t s = 1; s < sizeof sizes / sizeof *sizes; s++) {
        const size_t n = sizes[s];
        const gradients j = draw(n, WIDTH, 3);
        gram(&j, m);
        for (size_t i = 0; i < n; i++) p[i] = 1 / (double)n;
        tdm__mat_vec(m, p, n, a);
        const double k = 0.4 * sqrt(tdm__dot(p, a, n));
        support_ok(tdm__solve_cagrad(m, n, 0.4, 0, w, x));
        const double best = tdm__dot(a, x, n) + k * sqrt(tdm__quadratic(m, x, x, n));
        for (uint64_t t = 0; t < 50 + n; t++) {
            if (t < 50) {
                tdm__weights_rlw(TDM__RLW_DIRICHLET, 1, t, n, p);
            } else {
                memset(p, 0, sizeof p);
                p[t - 50] = 1;
            }
            for (double step = 1e-4; step <= 1; step *= 10) {
                for (size_t i = 0; i < n; i++) y[i] = x[i] + step * (p[i] - x[i]);
                const double other = tdm__dot(a, y, n) + k * sqrt(tdm__quadratic(m, y, y, n));
                ck_assert_msg(other >= best - 1e-9 * k * k, "n = %zu: %.17g < %.17g", n, other,
                              best);
            }
        }
    }
}
END_TEST

START_TEST(fairgrad_satisfies_its_equation)
{
    static const double alphas[] = {0.5, 1, 2, 5};
    double m[MOST * MOST], w[MOST], left[MOST];
    bool stationary;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int a = 0; a < 4; a++) {
            const size_t n = sizes[s];
            gradients j = draw(n, WIDTH, 5);
            for (size_t k = 0; k < WIDTH; k++) j.g[k] *= 1e4; /* tasks of unlike sizes */
            gram(&j, m);
            support_ok(tdm__solve_fairgrad(m, n, alphas[a], w, &stationary));
            ck_assert(!stationary);
            tdm__mat_vec(m, w, n, left);
            for (size_t i = 0; i < n; i++) {
                const double right = pow(w[i], -1 / alphas[a]);
                ck_assert_msg(fabs(left[i] - right) <= 1e-9 * right, "n = %zu, alpha = %g: %g, %g",
                              n, alphas[a], left[i], right);
            }
        }
}
END_TEST

START_TEST(imtl_g_projects_equally)
{
    double m[MOST * MOST], w[MOST], left[MOST], sum = 0;
    const gradients j = draw(7, WIDTH, 9);
    gram(&j, m);
    support_ok(tdm__solve_imtl_g(m, 7, w));
    tdm__mat_vec(m, w, 7, left);
    for (size_t i = 0; i < 7; i++) {
        sum += w[i];
        ck_assert(fabs(left[i] / sqrt(m[i * 7 + i]) - left[0] / sqrt(m[0])) < 1e-10);
    }
    ck_assert(fabs(sum - 1) < 1e-12);
}
END_TEST

/* The projections lie in the dual cone: no task's loss rises. */
START_TEST(upgrad_conflicts_with_nobody)
{
    double m[MOST * MOST], w[MOST], left[MOST];
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        const gradients j = draw(sizes[s], sizes[s] + 1, 11);
        gram(&j, m);
        support_ok(tdm__solve_upgrad(m, j.n, w));
        tdm__mat_vec(m, w, j.n, left);
        for (size_t i = 0; i < j.n; i++) ck_assert(left[i] >= -1e-9 * m[i * j.n + i]);
    }
}
END_TEST

/* Exchanging tasks exchanges their weights. */
START_TEST(permutation_equivariance)
{
    double m[MOST * MOST], p[MOST * MOST], w[MOST], u[MOST];
    for (int k = 0; k < METHODS; k++)
        for (size_t s = 1; s < sizeof sizes / sizeof *sizes; s++) {
            const size_t n = sizes[s];
            const gradients j = draw(n, WIDTH, 13);
            gram(&j, m);
            for (size_t a = 0; a < n; a++)
                for (size_t b = 0; b < n; b++) p[a * n + b] = m[(n - 1 - a) * n + (n - 1 - b)];
            support_ok(methods[k].solve(m, n, w));
            support_ok(methods[k].solve(p, n, u));
            for (size_t i = 0; i < n; i++)
                ck_assert_msg(fabs(u[i] - w[n - 1 - i]) < 1e-6, "%s, n = %zu: %.12g and %.12g",
                              methods[k].name, n, u[i], w[n - 1 - i]);
        }
}
END_TEST

/* Without a conflict the sum of all; otherwise, of two tasks, orthogonal to both. */
START_TEST(pcgrad_without_conflict_is_the_sum)
{
    static const double agree[] = {2, 1, 1, 3};
    double w[2];
    support_ok(pcgrad_forward(agree, 2, w));
    ck_assert(w[0] == 1 && w[1] == 1);
}
END_TEST

/* Each pair that was below its target is brought to it: the same written with vectors. */
START_TEST(gradvac_against_vectors)
{
    enum { N = 3, D = 8 };
    const gradients j = draw(N, D, 17);
    double m[N * N], w[N], target[N * N] = {0}, expected_target[N * N] = {0}, got[D], want[D];
    size_t order[N * N];
    keep_order(N, order, true);
    gram(&j, m);
    for (int round = 0; round < 3; round++) {
        memset(want, 0, sizeof want);
        for (size_t i = 0; i < N; i++) {
            double g[D];
            memcpy(g, j.g + i * D, sizeof g);
            for (size_t k = 0; k < N; k++) {
                const size_t o = order[i * N + k];
                const double *other = j.g + o * D;
                if (o == i) continue;
                const double ng = sqrt(tdm__dot(g, g, D)), no = sqrt(tdm__dot(other, other, D));
                const double cosine = tdm__dot(g, other, D) / (ng * no);
                double *t = &expected_target[i * N + o];
                if (cosine < *t) {
                    const double f = ng *
                                     (*t * sqrt(1 - cosine * cosine) - cosine * sqrt(1 - *t * *t)) /
                                     (no * sqrt(1 - *t * *t));
                    for (size_t d = 0; d < D; d++) g[d] += f * other[d];
                    const double after = tdm__dot(g, other, D) / (sqrt(tdm__dot(g, g, D)) * no);
                    ck_assert(fabs(after - *t) < 1e-9);
                }
                *t = 0.7 * *t + 0.3 * cosine;
            }
            for (size_t d = 0; d < D; d++) want[d] += g[d];
        }
        support_ok(tdm__solve_gradvac(m, N, order, 0.3, target, w));
        update(&j, w, got);
        near_each(got, want, D, 1e-12, "gradvac");
        near_each(target, expected_target, N * N, 1e-12, "target");
    }
}
END_TEST

START_TEST(max_norm_makes_all_as_long_as_the_longest)
{
    double m[9], w[3];
    gram(&scaled, m);
    tdm__solve_max_norm(m, 3, w);
    for (size_t i = 0; i < 3; i++) ck_assert(fabs(w[i] * w[i] * m[i * 4] - 25) < 1e-12);
}
END_TEST

/* ---- degenerate gradients ----------------------------------------------------------------------
 */

static void finite_weights(const double *m, size_t n, const char *what)
{
    double w[MOST];
    size_t order[MOST * MOST];
    double target[MOST * MOST] = {0};
    for (int k = 0; k < METHODS + 2; k++) {
        keep_order(n, order, false);
        const char *name = k < METHODS ? methods[k].name : k == METHODS ? "pcgrad" : "gradvac";
        if (k < METHODS)
            support_ok(methods[k].solve(m, n, w));
        else if (k == METHODS)
            support_ok(tdm__solve_pcgrad(m, n, order, w));
        else
            support_ok(tdm__solve_gradvac(m, n, order, 0.5, target, w));
        for (size_t i = 0; i < n; i++)
            ck_assert_msg(isfinite(w[i]), "%s, %s: weight %zu is %g", name, what, i, w[i]);
    }
}

START_TEST(one_task)
{
    const double m[] = {4};
    double w;
    for (int k = 0; k < METHODS; k++) {
        support_ok(methods[k].solve(m, 1, &w));
        ck_assert(w > 0);
    }
    support_ok(tdm__solve_mgda(m, 1, &w));
    ck_assert(w == 1);
    support_ok(nash(m, 1, &w));
    ck_assert(fabs(w - 0.5) < 1e-12); /* 4 w = 1 / w */
    support_ok(tdm__solve_upgrad(m, 1, &w));
    ck_assert(w == 1);
}
END_TEST

START_TEST(gradients_of_zero)
{
    double m[MOST * MOST] = {0}, w[MOST];
    bool stationary;
    finite_weights(m, 3, "all zero");
    support_ok(tdm__solve_fairgrad(m, 3, 1, w, &stationary));
    ck_assert(stationary);
    gradients j = draw(3, 8, 19);
    memset(j.g + 8, 0, 8 * sizeof *j.g);
    gram(&j, m);
    finite_weights(m, 3, "one zero");
    support_ok(tdm__solve_mgda(m, 3, w));
    ck_assert(w[1] == 1); /* stationary for that task */
    support_ok(tdm__solve_fairgrad(m, 3, 1, w, &stationary));
    ck_assert(!stationary && w[1] == 0);
}
END_TEST

START_TEST(identical_tasks)
{
    double m[MOST * MOST], w[MOST];
    for (size_t n = 2; n <= MOST; n += 19) {
        for (size_t i = 0; i < n * n; i++) m[i] = 3;
        finite_weights(m, n, "identical");
        support_ok(nash(m, n, w)); /* 3 n w = 1 / w */
        for (size_t i = 0; i < n; i++) ck_assert(fabs(w[i] - sqrt(1 / (3.0 * (double)n))) < 1e-9);
        support_ok(tdm__solve_imtl_g(m, n, w));
        for (size_t i = 0; i < n; i++) ck_assert(fabs(w[i] - 1 / (double)n) < 1e-9);
    }
    for (size_t i = 0; i < 9; i++) m[i] = 3;
    support_ok(tdm__solve_mgda(m, 3, w));
    for (size_t i = 0; i < 3; i++) ck_assert(fabs(w[i] - 1.0 / 3) < 1e-12);
}
END_TEST

/* Opposite gradients: Pareto-stationary, so Nash has no solution and says so. */
START_TEST(opposite_tasks)
{
    static const double m[] = {1, -1, -1, 1};
    double w[2];
    bool stationary;
    finite_weights(m, 2, "opposite");
    support_ok(tdm__solve_fairgrad(m, 2, 1, w, &stationary));
    ck_assert(stationary);
    support_ok(tdm__solve_mgda(m, 2, w));
    ck_assert(fabs(w[0] - 0.5) < 1e-12);
    support_ok(cagrad_04(m, 2, w));
    ck_assert(fabs(w[0] - 0.5) < 1e-6 && fabs(w[1] - 0.5) < 1e-6);
}
END_TEST

/* More tasks than dimensions: M is singular. */
START_TEST(dependent_tasks)
{
    double m[MOST * MOST];
    for (size_t n = 3; n <= MOST; n += 8) {
        const gradients j = draw(n, 2, n);
        gram(&j, m);
        finite_weights(m, n, "dependent");
    }
}
END_TEST

START_TEST(what_is_not_finite_is_named)
{
    static const char *const names[] = {"depth", "normals"};
    double m[] = {1, 0, 0, NAN};
    support_fails(tdm__gram_check(m, 2, names), TDM_ERR_DIVERGED, "task 'normals'");
    m[3] = 1, m[1] = m[2] = INFINITY;
    support_fails(tdm__gram_check(m, 2, names), TDM_ERR_DIVERGED, "'depth' and 'normals'");
    m[1] = m[2] = 0;
    support_ok(tdm__gram_check(m, 2, names));
}
END_TEST

START_TEST(what_is_logged_of_the_matrix)
{
    static const double m[] = {4, -2, 0, -2, 4, 0, 0, 0, 0}, regular[] = {5, 3, 3, 5},
                        same[] = {1, 1, 1, 1};
    double condition;
    ck_assert(fabs(tdm__gram_cosine(m, 3, 0, 1) + 0.5) < 1e-15);
    ck_assert(isnan(tdm__gram_cosine(m, 3, 0, 2)));
    support_ok(tdm__gram_condition(regular, 2, &condition));
    ck_assert(fabs(condition - 4) < 1e-12);
    support_ok(tdm__gram_condition(m, 3, &condition)); /* of the two that have a gradient */
    ck_assert(fabs(condition - 3) < 1e-12);
    support_ok(tdm__gram_condition(m + 5, 1, &condition));
    ck_assert(condition == 1);
    support_ok(tdm__gram_condition(same, 2, &condition));
    ck_assert(condition > 1e15);
}
END_TEST

/* ---- weights from losses and norms -------------------------------------------------------------
 */

START_TEST(dwa)
{
    static const double last[] = {1.2, .5, .3}, before[] = {1.5, .52, .27};
    static const double golden[] = {0.922388, 0.999980, 1.077632};
    static const double unknown[] = {NAN, .5, .5}, zero[] = {0, .5, .5};
    double w[3];
    tdm__weights_dwa(last, before, 3, 2, w);
    near_each(w, golden, 3, 1e-6, "dwa");
    tdm__weights_dwa(unknown, zero, 3, 2, w);
    for (int i = 0; i < 3; i++) ck_assert(fabs(w[i] - 1) < 1e-15);
}
END_TEST

START_TEST(dtp)
{
    static const double kpi[] = {.9, .5, .1}, none[] = {NAN, NAN, NAN};
    static const double golden[][3] = {{0.010536, 0.346574, 2.072327},
                                       {0.001054, 0.173287, 1.865094}};
    double w[3], average[3] = {NAN, NAN, NAN};
    tdm__weights_dtp(average, none, 3, 0.5, 1, w);
    for (int i = 0; i < 3; i++) ck_assert(w[i] == 1);
    for (int gamma = 1; gamma <= 2; gamma++) {
        tdm__weights_dtp(average, kpi, 3, 0.5, gamma, w);
        near_each(w, golden[gamma - 1], 3, 1e-6, "dtp");
    }
    const double perfect[] = {1, 1, 0};
    tdm__weights_dtp(average, perfect, 3, 0.25, 1, w);
    ck_assert(fabs(average[0] - 0.925) < 1e-15 && fabs(average[2] - 0.075) < 1e-15);
    for (int i = 0; i < 3; i++) ck_assert(isfinite(w[i]) && w[i] > 0);
    ck_assert(tdm__kpi_of_error(0) == 1 && tdm__kpi_of_error(1) == 0.5);
}
END_TEST

START_TEST(rlw)
{
    for (int kind = TDM__RLW_NORMAL; kind <= TDM__RLW_DIRICHLET; kind++) {
        double mean[4] = {0}, w[4], again[4], one;
        for (uint64_t step = 0; step < 4000; step++) {
            double sum = 0;
            tdm__weights_rlw((tdm__rlw_kind)kind, 7, step, 4, w);
            for (int i = 0; i < 4; i++) {
                ck_assert(w[i] >= 0);
                sum += w[i];
                mean[i] += w[i] / 4000;
            }
            ck_assert(fabs(sum - 1) < 1e-14);
        }
        for (int i = 0; i < 4; i++)
            ck_assert_msg(fabs(mean[i] - 0.25) < 0.02, "kind %d: mean %g", kind, mean[i]);
        tdm__weights_rlw((tdm__rlw_kind)kind, 7, 3999, 4, again);
        ck_assert(!memcmp(w, again, sizeof w));
        tdm__weights_rlw((tdm__rlw_kind)kind, 7, 0, 1, &one);
        ck_assert(one == 1);
    }
}
END_TEST

START_TEST(gradnorm)
{
    static const double norm[] = {2, .5, 1}, ratio[] = {.5, .9, .7};
    static const double golden[] = {0.953975, 1.217573, 0.828452};
    double w[] = {1, 1.2, .8}, one = 1;
    const double loss = tdm__weights_gradnorm(w, norm, ratio, 3, 1.5, 0.025);
    ck_assert(fabs(loss - 2.701406) < 1e-6);
    near_each(w, golden, 3, 1e-6, "gradnorm");
    /* before they are made to sum to 3: w - rate [2, -.5, -1], so the ratios are known */
    static const double moved[] = {1 - .05, 1.2 + .0125, .8 + .025};
    for (int i = 0; i < 3; i++) ck_assert(fabs(w[i] / w[0] - moved[i] / moved[0]) < 1e-12);
    /* equal norms and ratios: stationary */
    double equal[] = {1, 1};
    static const double same[] = {3, 3};
    ck_assert(tdm__weights_gradnorm(equal, same, same, 2, 1.5, 0.1) < 1e-12);
    ck_assert(equal[0] == 1 && equal[1] == 1);
    /* however large the step, weights stay positive */
    double far[] = {1, 1};
    static const double unlike[] = {100, 1};
    tdm__weights_gradnorm(far, unlike, same, 2, 1.5, 10);
    ck_assert(far[0] > 0 && fabs(far[0] + far[1] - 2) < 1e-12);
    tdm__weights_gradnorm(&one, norm, ratio, 1, 1.5, 0.025);
    ck_assert(one == 1);
}
END_TEST

/* METHODS' numbers; descent lowers the logit of the task that fell most. */
START_TEST(famo)
{
    static const double logits[] = {.1, -.2, .05}, before[] = {1.2, .5, .3},
                        after[] = {1.1, .49, .31};
    static const double golden[] = {0.022554, -0.001677, -0.020877};
    double delta[3], x = .5, mean = 0, square = 0, reference = .5, m = 0, v = 0;
    tdm__weights_famo(logits, before, after, 3, delta);
    near_each(delta, golden, 3, 1e-6, "famo");
    ck_assert(fabs(delta[0] + delta[1] + delta[2]) < 1e-15);
    tdm__weights_famo(logits, before, after, 1, delta);
    ck_assert(delta[0] == 0);
    /* Adam as in PyTorch's documentation, with its L2 decay */
    for (int t = 1; t <= 5; t++) {
        const double g = sin(t), with_decay = g + 0.1 * reference;
        m = m + (with_decay - m) * (1 - 0.9);
        v = 0.999 * v + 0.001 * with_decay * with_decay;
        reference -= 0.02 / (1 - pow(0.9, t)) * m / (sqrt(v) / sqrt(1 - pow(0.999, t)) + 1e-8);
        tdm__weights_adam(&x, &mean, &square, g, t, 0.02, 0.1);
        ck_assert(fabs(x - reference) < 1e-14);
    }
    ck_assert(x < .5);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("solve");
    TCase *tc = tcase_create("solve");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, golden_vectors);
    tcase_add_test(tc, cagrad_simplex_and_rescaling);
    tcase_add_test(tc, scale_invariance);
    tcase_add_test(tc, imtl_g_of_unlike_lengths);
    tcase_add_test(tc, mgda_satisfies_its_optimality_conditions);
    tcase_add_test(tc, mgda_of_unlike_lengths);
    tcase_add_test(tc, cagrad_is_a_minimum);
    tcase_add_test(tc, fairgrad_satisfies_its_equation);
    tcase_add_test(tc, imtl_g_projects_equally);
    tcase_add_test(tc, upgrad_conflicts_with_nobody);
    tcase_add_test(tc, permutation_equivariance);
    tcase_add_test(tc, pcgrad_without_conflict_is_the_sum);
    tcase_add_test(tc, gradvac_against_vectors);
    tcase_add_test(tc, max_norm_makes_all_as_long_as_the_longest);
    tcase_add_test(tc, one_task);
    tcase_add_test(tc, gradients_of_zero);
    tcase_add_test(tc, identical_tasks);
    tcase_add_test(tc, opposite_tasks);
    tcase_add_test(tc, dependent_tasks);
    tcase_add_test(tc, what_is_not_finite_is_named);
    tcase_add_test(tc, what_is_logged_of_the_matrix);
    tcase_add_test(tc, dwa);
    tcase_add_test(tc, dtp);
    tcase_add_test(tc, rlw);
    tcase_add_test(tc, gradnorm);
    tcase_add_test(tc, famo);
    suite_add_tcase(suite, tc);
    return support_run(suite);
}
