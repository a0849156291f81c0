/* task/solve_min_norm.c: the shortest convex combination of gradients (MGDA).
 *
 * On a set S of tasks the shortest affine combination solves [M_S 1; 1^T 0] [a; -l] = [0; 1]. The
 * shortest convex combination is that of some S for which a >= 0 and the system has one solution
 * (Caratheodory: an optimum on a dependent set can be moved to a smaller one).
 *
 * Gradients may differ in length by many orders of magnitude, and the long ones' weights, though
 * tiny, matter. So the systems are solved for u_i = a_i |g_i|, with cosines in the place of
 * products, and what counts as rounding is measured by the terms that it comes from. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "task/linear.h"
#include "task/solve.h"

static const double singular = 1e-13;  /* least pivot, relative to the largest entry */
static const double negative = -1e-11; /* rounding of a weight that is 0, of the largest */
static const double rounding = 1e-12;  /* of a sum, relative to the sum of its terms' sizes */

/* Weights of the shortest affine combination of the `k` tasks in `set`, none of length 0, into
 * a (k); false when the system is singular. work: (k + 1)(k + 2). */
static bool affine_minimum(const double *m, size_t n, const size_t *set, size_t k, double *work,
                           double *a)
{
    const size_t side = k + 1;
    double *b = work + side * side, shortest = INFINITY, largest = 0, sum = 0;
    for (size_t i = 0; i < k; i++) shortest = fmin(shortest, sqrt(m[set[i] * n + set[i]]));
    for (size_t i = 0; i < k; i++) {
        const double length = sqrt(m[set[i] * n + set[i]]);
        for (size_t j = 0; j < k; j++) work[i * side + j] = tdm__gram_cosine(m, n, set[i], set[j]);
        work[i * side + k] = work[k * side + i] = shortest / length;
        b[i] = 0;
    }
    work[k * side + k] = 0;
    b[k] = 1;
    if (!tdm__solve_linear(work, b, side, 1, singular)) return false;
    for (size_t i = 0; i < k; i++) largest = fmax(largest, fabs(b[i]));
    for (size_t i = 0; i < k; i++) {
        const double u = b[i] < 0 && b[i] >= negative * largest ? 0 : b[i];
        a[i] = u * shortest / sqrt(m[set[i] * n + set[i]]);
        sum += a[i];
    }
    for (size_t i = 0; i < k; i++) a[i] /= sum;
    return true;
}

static bool in_simplex(const double *a, size_t k)
{
    for (size_t i = 0; i < k; i++)
        if (!(a[i] >= 0)) return false;
    return true;
}

/* By how much w^T M w exceeds (M w)_i, the derivative towards task i, beyond rounding; 0: it does
 * not. slope: M w; length: w^T M w. */
static double descent(const double *m, size_t n, const double *w, const double *slope,
                      double length, size_t i)
{
    double size = length;
    for (size_t j = 0; j < n; j++) size += fabs(m[i * n + j]) * w[j];
    return fmax(length - slope[i] - rounding * size, 0);
}

/* w is the shortest: no task is a direction of descent (Karush, Kuhn and Tucker). *length: w^T M w.
 */
static bool is_shortest(const double *m, size_t n, const double *w, double *slope, double *length)
{
    tdm__mat_vec(m, w, n, slope);
    *length = tdm__dot(w, slope, n);
    for (size_t i = 0; i < n; i++)
        if (descent(m, n, w, slope, *length, i) > 0) return false;
    return true;
}

/* Any gradient of length 0 is the shortest combination; true when there are some. */
static bool at_zeros(const double *m, size_t n, double *w)
{
    size_t zeros = 0;
    for (size_t i = 0; i < n; i++) zeros += !(m[i * n + i] > 0);
    for (size_t i = 0; i < n; i++) w[i] = zeros && !(m[i * n + i] > 0) ? 1 / (double)zeros : 0;
    return zeros > 0;
}

/* All supports; the mean of those that are optimal. Where rounding leaves none, what is nearest. */
static void enumerate(const double *m, size_t n, double *w)
{
    double work[(TDM__ENUMERATED + 1) * (TDM__ENUMERATED + 2)], a[TDM__ENUMERATED];
    double full[TDM__ENUMERATED], slope[TDM__ENUMERATED], best = INFINITY, length, found = 0;
    for (unsigned mask = 1; mask < 1u << n; mask++) {
        size_t set[TDM__ENUMERATED], k = 0;
        for (size_t i = 0; i < n; i++)
            if (mask >> i & 1u) set[k++] = i;
        if (!affine_minimum(m, n, set, k, work, a) || !in_simplex(a, k)) continue;
        memset(full, 0, sizeof full);
        for (size_t i = 0; i < k; i++) full[set[i]] = a[i];
        const bool optimal = is_shortest(m, n, full, slope, &length);
        if (!optimal && (found > 0 || length >= best)) continue;
        best = length;
        if (!optimal || found == 0) memset(w, 0, n * sizeof *w);
        if (optimal) found++;
        for (size_t i = 0; i < n; i++) w[i] += (full[i] - w[i]) / fmax(found, 1);
    }
}

/* ---- Wolfe's algorithm -------------------------------------------------------------------------
 */

typedef struct corral {
    const double *m;
    size_t n, k;
    size_t *set;                  /* k members */
    double *w, *a, *slope, *work; /* w: n */
} corral;

/* Moves from w towards the affine minimum until a weight becomes 0, and drops that member. */
static void step_back(corral *c)
{
    double step = 1;
    size_t leaves = 0, kept = 0;
    for (size_t i = 0; i < c->k; i++) {
        const double now = c->w[c->set[i]];
        const double most = c->a[i] < 0 ? now / (now - c->a[i]) : INFINITY;
        if (most < step) step = most, leaves = i;
    }
    for (size_t i = 0; i < c->k; i++) {
        double *w = &c->w[c->set[i]];
        *w = i == leaves ? 0 : fmax(*w + step * (c->a[i] - *w), 0);
    }
    for (size_t i = 0; i < c->k; i++)
        if (i != leaves) c->set[kept++] = c->set[i];
    c->k = kept;
}

/* Minor cycles: until the affine minimum of the members lies inside. False: no progress. */
static bool settle(corral *c)
{
    while (c->k > 0) {
        if (!affine_minimum(c->m, c->n, c->set, c->k, c->work, c->a)) return false;
        if (in_simplex(c->a, c->k)) {
            memset(c->w, 0, c->n * sizeof *c->w);
            for (size_t i = 0; i < c->k; i++) c->w[c->set[i]] = c->a[i];
            return true;
        }
        step_back(c);
    }
    return false;
}

static void wolfe(corral *c)
{
    const size_t n = c->n, most = 100 * n + 100;
    size_t first = 0;
    for (size_t i = 1; i < n; i++)
        if (c->m[i * n + i] < c->m[first * n + first]) first = i;
    c->set[c->k++] = first;
    c->w[first] = 1;
    for (size_t cycle = 0; cycle < most; cycle++) {
        size_t least = n;
        double steepest = 0;
        tdm__mat_vec(c->m, c->w, n, c->slope);
        const double length = tdm__dot(c->w, c->slope, n);
        for (size_t i = 0; i < n; i++) {
            const double d = descent(c->m, n, c->w, c->slope, length, i);
            if (d > steepest) steepest = d, least = i;
        }
        if (least == n || c->w[least] > 0 || c->k == n) return;
        c->set[c->k++] = least;
        if (!settle(c)) return;
    }
}

tdm_status tdm__solve_min_norm_wolfe(const double *m, size_t n, double *w)
{
    tdm_status status = TDM_OK;
    corral c = {.m = m, .n = n, .w = w};
    if (at_zeros(m, n, w)) return TDM_OK;
    TDM_TRY(tdm__calloc_try(n, sizeof *c.set, &c.set));
    TDM_TRY(tdm__calloc_try(n, sizeof *c.a, &c.a));
    TDM_TRY(tdm__calloc_try(n, sizeof *c.slope, &c.slope));
    TDM_TRY(tdm__calloc_try((n + 1) * (n + 2), sizeof *c.work, &c.work));
    memset(w, 0, n * sizeof *w);
    wolfe(&c);
done:
    free(c.set);
    free(c.a);
    free(c.slope);
    free(c.work);
    return status;
}

tdm_status tdm__solve_mgda(const double *m, size_t n, double *w)
{
    if (n > TDM__ENUMERATED) return tdm__solve_min_norm_wolfe(m, n, w);
    if (!at_zeros(m, n, w)) enumerate(m, n, w);
    return TDM_OK;
}
