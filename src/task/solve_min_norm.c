/* task/solve_min_norm.c: the shortest convex combination of gradients (MGDA).
 *
 * On a set S of tasks the shortest affine combination solves [M_S 1; 1^T 0] [a; -l] = [0; 1]. The
 * shortest convex combination is that of some S for which a >= 0 and the system has one solution
 * (Caratheodory: an optimum on a dependent set can be moved to a smaller one). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "task/linear.h"
#include "task/solve.h"

static const double singular = 1e-13;  /* least pivot, relative to the largest entry */
static const double negative = -1e-11; /* rounding of a weight that is 0 */

/* Weights of the shortest affine combination of the `k` tasks in `set` into a (k); false when the
 * system is singular. work: (k + 1)(k + 2). scale makes the entries of M comparable with 1. */
static bool affine_minimum(const double *m, size_t n, const size_t *set, size_t k, double scale,
                           double *work, double *a)
{
    const size_t side = k + 1;
    double *b = work + side * side;
    for (size_t i = 0; i < k; i++) {
        for (size_t j = 0; j < k; j++) work[i * side + j] = m[set[i] * n + set[j]] * scale;
        work[i * side + k] = work[k * side + i] = 1;
        b[i] = 0;
    }
    work[k * side + k] = 0;
    b[k] = 1;
    if (k == 1) {
        a[0] = 1;
        return true;
    }
    if (!tdm__solve_linear(work, b, side, 1, singular)) return false;
    memcpy(a, b, k * sizeof *a);
    return true;
}

/* Clips roundings below 0 and makes the sum 1; false when a weight is really negative. */
static bool to_simplex(double *a, size_t k)
{
    double sum = 0;
    for (size_t i = 0; i < k; i++) {
        if (a[i] < negative) return false;
        a[i] = fmax(a[i], 0);
        sum += a[i];
    }
    for (size_t i = 0; i < k; i++) a[i] /= sum;
    return true;
}

static double scale_of(const double *m, size_t n)
{
    const double trace = tdm__trace(m, n);
    return trace > 0 ? (double)n / trace : 1;
}

/* All supports; the mean of those that are optimal within rounding. */
static void enumerate(const double *m, size_t n, double *w)
{
    double work[(TDM__ENUMERATED + 1) * (TDM__ENUMERATED + 2)], a[TDM__ENUMERATED];
    double full[TDM__ENUMERATED], best = INFINITY, found = 0;
    const double scale = scale_of(m, n), same = 1e-13 / scale;
    for (unsigned mask = 1; mask < 1u << n; mask++) {
        size_t set[TDM__ENUMERATED], k = 0;
        for (size_t i = 0; i < n; i++)
            if (mask >> i & 1u) set[k++] = i;
        if (!affine_minimum(m, n, set, k, scale, work, a) || !to_simplex(a, k)) continue;
        memset(full, 0, sizeof full);
        for (size_t i = 0; i < k; i++) full[set[i]] = a[i];
        const double value = tdm__quadratic(m, full, full, n);
        if (value > best + same) continue;
        if (value < best - same) {
            memset(w, 0, n * sizeof *w);
            found = 0;
        }
        best = fmin(best, value);
        found++;
        for (size_t i = 0; i < n; i++) w[i] += (full[i] - w[i]) / found;
    }
}

/* ---- Wolfe's algorithm -------------------------------------------------------------------------
 */

typedef struct corral {
    const double *m;
    size_t n, k;
    size_t *set;                  /* k members */
    double *w, *a, *slope, *work; /* w: n */
    double scale;
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
        if (!affine_minimum(c->m, c->n, c->set, c->k, c->scale, c->work, c->a)) return false;
        if (to_simplex(c->a, c->k)) {
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
        size_t least = 0;
        tdm__mat_vec(c->m, c->w, n, c->slope);
        for (size_t i = 1; i < n; i++)
            if (c->slope[i] < c->slope[least]) least = i;
        const double length = tdm__dot(c->w, c->slope, n);
        if (c->slope[least] >= length - 1e-13 / c->scale || c->w[least] > 0 || c->k == n) return;
        c->set[c->k++] = least;
        if (!settle(c)) return;
    }
}

tdm_status tdm__solve_min_norm_wolfe(const double *m, size_t n, double *w)
{
    tdm_status status = TDM_OK;
    corral c = {.m = m, .n = n, .w = w, .scale = scale_of(m, n)};
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
    memset(w, 0, n * sizeof *w);
    enumerate(m, n, w);
    return TDM_OK;
}
