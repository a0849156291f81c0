/* task/solve_cagrad.c: CAGrad's dual (Liu B. et al., NeurIPS 2021): minimise over the simplex
 *     F(x) = a . x + k |g_x|,  a = M p (p = 1/T),  k = c |g_0|,  |g_x| = sqrt(x^T M x).
 * On a support S with independent gradients, with u = M_S^-1 1, v = M_S^-1 a_S: x = (s / k)(l u -
 * v), s = |g_x|, where l is the larger root of (1.u) l^2 - 2 (1.v) l + a.v - k^2 = 0 and the sum of
 * x is
 * 1. So each support has one candidate in closed form. Up to TDM__ENUMERATED tasks all supports are
 * tried; above, projected gradient steps find the support, and the closed form ends it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "task/linear.h"
#include "task/solve.h"

typedef struct dual {
    const double *m;
    size_t n;
    double k;
    double *a, *work, *next, *slope;
    size_t *set;
} dual;

static double value_of(const dual *d, const double *x)
{
    return tdm__dot(d->a, x, d->n) + d->k * sqrt(fmax(tdm__quadratic(d->m, x, x, d->n), 0));
}

/* The candidate of the support in d->set (k members) into x (n); false when there is none. */
static bool candidate(const dual *d, size_t k, double *x)
{
    double *ms = d->work, *b = ms + k * k; /* b: k x 2, columns 1 and a */
    double one_u = 0, one_v = 0, a_v = 0, sum = 0;
    memset(x, 0, d->n * sizeof *x);
    if (k == 1) {
        x[d->set[0]] = 1;
        return true;
    }
    for (size_t i = 0; i < k; i++) {
        for (size_t j = 0; j < k; j++) ms[i * k + j] = d->m[d->set[i] * d->n + d->set[j]];
        b[2 * i] = 1;
        b[2 * i + 1] = d->a[d->set[i]];
    }
    if (!tdm__solve_linear(ms, b, k, 2, 1e-13)) return false;
    for (size_t i = 0; i < k; i++) {
        one_u += b[2 * i];
        one_v += b[2 * i + 1];
        a_v += d->a[d->set[i]] * b[2 * i + 1];
    }
    const double root = one_v * one_v - one_u * (a_v - d->k * d->k);
    if (!(one_u > 0) || !(root > 0)) return false;
    const double l = (one_v + sqrt(root)) / one_u;
    for (size_t i = 0; i < k; i++) sum += l * b[2 * i] - b[2 * i + 1];
    if (!(sum > 0)) return false;
    for (size_t i = 0; i < k; i++) {
        const double xi = (l * b[2 * i] - b[2 * i + 1]) / sum;
        if (xi < -1e-11) return false;
        x[d->set[i]] = fmax(xi, 0);
    }
    return true;
}

static void keep_better(dual *d, double *x, double *best)
{
    const double value = value_of(d, d->next);
    if (!(value < *best)) return;
    *best = value;
    memcpy(x, d->next, d->n * sizeof *x);
}

static void enumerate(dual *d, double *x, double *best)
{
    for (unsigned mask = 1; mask < 1u << d->n; mask++) {
        size_t k = 0;
        for (size_t i = 0; i < d->n; i++)
            if (mask >> i & 1u) d->set[k++] = i;
        if (candidate(d, k, d->next)) keep_better(d, x, best);
    }
}

static int descending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* Euclidean projection onto the simplex (Held, Wolfe, Crowder 1974). sorted: n. */
static void project(double *x, double *sorted, size_t n)
{
    double sum = 0, shift = 0;
    memcpy(sorted, x, n * sizeof *x);
    qsort(sorted, n, sizeof *sorted, descending);
    for (size_t i = 0; i < n; i++) {
        sum += sorted[i];
        const double t = (sum - 1) / (double)(i + 1);
        if (sorted[i] > t) shift = t;
    }
    for (size_t i = 0; i < n; i++) x[i] = fmax(x[i] - shift, 0);
}

/* Projected gradient with backtracking from x, then the closed form on its support. */
static void descend(dual *d, double *x, double *best)
{
    double step = 1 / (tdm__trace(d->m, d->n) / (double)d->n + 1e-300);
    for (int iteration = 0; iteration < 2000; iteration++) {
        const double length = sqrt(fmax(tdm__quadratic(d->m, x, x, d->n), 1e-300));
        bool moved = false;
        tdm__mat_vec(d->m, x, d->n, d->slope);
        for (int halving = 0; halving < 40 && !moved; halving++) {
            double along = 0;
            for (size_t i = 0; i < d->n; i++)
                d->next[i] = x[i] - step * (d->a[i] + d->k * d->slope[i] / length);
            project(d->next, d->work, d->n);
            for (size_t i = 0; i < d->n; i++)
                along += (d->a[i] + d->k * d->slope[i] / length) * (d->next[i] - x[i]);
            moved = along < 0 && value_of(d, d->next) <= *best + 0.5 * along;
            if (!moved) step /= 2;
        }
        if (!moved) break;
        keep_better(d, x, best);
        step *= 2;
    }
    for (double least = 1e-12; least < 1e-2; least *= 100) {
        size_t k = 0;
        for (size_t i = 0; i < d->n; i++)
            if (x[i] > least) d->set[k++] = i;
        if (k && candidate(d, k, d->next)) keep_better(d, x, best);
    }
}

/* argmin of F into x. */
static void minimise(dual *d, double *x)
{
    double best = value_of(d, x); /* x: the shortest combination, where the slope may jump */
    for (size_t i = 0; i < d->n; i++) d->next[i] = 1 / (double)d->n;
    keep_better(d, x, &best);
    if (d->n <= TDM__ENUMERATED)
        enumerate(d, x, &best);
    else
        descend(d, x, &best);
}

tdm_status tdm__solve_cagrad(const double *m, size_t n, double c, int rescale, double *w,
                             double *simplex)
{
    tdm_status status = TDM_OK;
    dual d = {.m = m, .n = n};
    double *x = NULL;
    TDM_TRY(tdm__calloc_try(n, sizeof *x, &x));
    TDM_TRY(tdm__calloc_try(n, sizeof *d.a, &d.a));
    TDM_TRY(tdm__calloc_try(n, sizeof *d.next, &d.next));
    TDM_TRY(tdm__calloc_try(n, sizeof *d.slope, &d.slope));
    TDM_TRY(tdm__calloc_try(n, sizeof *d.set, &d.set));
    TDM_TRY(tdm__calloc_try(n * (n + 2), sizeof *d.work, &d.work));
    for (size_t i = 0; i < n; i++) w[i] = 1 / (double)n;
    tdm__mat_vec(m, w, n, d.a);
    const double mean = sqrt(fmax(tdm__dot(w, d.a, n), 0));
    d.k = c * mean;
    TDM_TRY(tdm__solve_mgda(m, n, x));
    if (d.k > 0) minimise(&d, x);
    const double length = sqrt(fmax(tdm__quadratic(m, x, x, n), 0));
    /* A vanishing g_x has no direction: then the update is the mean. */
    const double add = length > 1e-9 * mean ? d.k / length : 0;
    const double divide = rescale == 1 ? 1 + c * c : rescale == 2 ? 1 + c : 1;
    for (size_t i = 0; i < n; i++) w[i] = (w[i] + add * x[i]) / divide;
    if (simplex) memcpy(simplex, x, n * sizeof *x);
done:
    free(x);
    free(d.a);
    free(d.next);
    free(d.slope);
    free(d.set);
    free(d.work);
    return status;
}
