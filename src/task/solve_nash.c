/* task/solve_nash.c: Nash-MTL (Navon et al., ICML 2022) and FairGrad (Ban and Ji, ICML 2024):
 * M w = w^(-1/alpha), w > 0. It is where the gradient of the strictly convex
 *     F(w) = 1/2 w^T M w - sum phi(w_i),  phi' = w^(-1/alpha)
 * vanishes; Newton steps with a line search that stays inside w > 0 find it. F has no minimum just
 * when some w >= 0, w != 0 has M w = 0. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "task/linear.h"
#include "task/solve.h"

typedef struct newton {
    const double *m; /* of the tasks that have a gradient, scaled to mean norm 1 */
    size_t n;
    double power; /* 1 / alpha */
    double *w, *slope, *hessian, *next;
} newton;

static double objective(const newton *s, const double *w)
{
    double sum = 0.5 * tdm__quadratic(s->m, w, w, s->n);
    for (size_t i = 0; i < s->n; i++)
        sum -= s->power == 1 ? log(w[i]) : pow(w[i], 1 - s->power) / (1 - s->power);
    return sum;
}

/* slope: the gradient; returns how far the optimality conditions are from holding, each relative.
 */
static double conditions(const newton *s)
{
    double worst = 0;
    tdm__mat_vec(s->m, s->w, s->n, s->slope);
    for (size_t i = 0; i < s->n; i++) {
        const double want = pow(s->w[i], -s->power);
        s->slope[i] -= want;
        worst = fmax(worst, fabs(s->slope[i]) / want);
    }
    return worst;
}

/* One step; false when none helps any more. */
static bool step(newton *s)
{
    const size_t n = s->n;
    double most = 1, fall = 0;
    memcpy(s->hessian, s->m, n * n * sizeof *s->hessian);
    for (size_t i = 0; i < n; i++) {
        s->hessian[i * n + i] += s->power * pow(s->w[i], -s->power - 1);
        s->next[i] = -s->slope[i];
    }
    if (!tdm__solve_linear(s->hessian, s->next, n, 1, 0)) return false;
    for (size_t i = 0; i < n; i++) {
        fall += s->slope[i] * s->next[i];
        if (s->next[i] < 0) most = fmin(most, -0.95 * s->w[i] / s->next[i]);
    }
    const double now = objective(s, s->w);
    double *trial = s->hessian; /* no longer needed */
    for (double t = most; t > 1e-12; t /= 2) {
        for (size_t i = 0; i < n; i++) trial[i] = s->w[i] + t * s->next[i];
        if (!(objective(s, trial) <= now + 1e-4 * t * fall + 1e-15 * fabs(now))) continue;
        memcpy(s->w, trial, n * sizeof *trial);
        return true;
    }
    return false;
}

static bool converge(newton *s)
{
    double worst = conditions(s);
    for (int i = 0; i < 100 && worst > 1e-13; i++) {
        if (!step(s)) break;
        worst = conditions(s);
    }
    return worst < 1e-6;
}

/* The convex combination nearest to 0 is, for gradients of float precision, 0. */
static bool vanishes(const double *m, size_t n, const double *w)
{
    double longest = 0;
    for (size_t i = 0; i < n; i++) longest = fmax(longest, w[i] * w[i] * m[i * n + i]);
    return tdm__quadratic(m, w, w, n) <= 1e-13 * longest;
}

/* The system of the tasks `set` (k) of M; *scale: what it was divided by. */
static double gather(const double *m, size_t n, const size_t *set, size_t k, double *out)
{
    double scale = 0;
    for (size_t i = 0; i < k; i++) scale += m[set[i] * n + set[i]] / (double)k;
    for (size_t i = 0; i < k * k; i++) out[i] = m[set[i / k] * n + set[i % k]] / scale;
    return scale;
}

tdm_status tdm__solve_fairgrad(const double *m, size_t n, double alpha, double *w, bool *stationary)
{
    tdm_status status = TDM_OK;
    newton s = {.power = 1 / alpha};
    double *part = NULL;
    size_t *set = NULL;
    *stationary = true;
    memset(w, 0, n * sizeof *w);
    TDM_TRY(tdm__calloc_try(n, sizeof *set, &set));
    TDM_TRY(tdm__calloc_try(n * n, sizeof *part, &part));
    TDM_TRY(tdm__calloc_try(n, sizeof *s.w, &s.w));
    TDM_TRY(tdm__calloc_try(n, sizeof *s.slope, &s.slope));
    TDM_TRY(tdm__calloc_try(n, sizeof *s.next, &s.next));
    TDM_TRY(tdm__calloc_try(n * n, sizeof *s.hessian, &s.hessian));
    for (size_t i = 0; i < n; i++)
        if (m[i * n + i] > 0) set[s.n++] = i;
    if (s.n == 0) goto done;
    const double scale = gather(m, n, set, s.n, part);
    s.m = part;
    TDM_TRY(tdm__solve_mgda(part, s.n, s.w));
    *stationary = vanishes(part, s.n, s.w);
    for (size_t i = 0; i < s.n; i++) w[set[i]] = s.w[i];
    if (*stationary) goto done;
    for (size_t i = 0; i < s.n; i++) s.w[i] = 1 / sqrt((double)s.n * part[i * s.n + i]);
    if (!converge(&s)) {
        *stationary = true;
        goto done;
    }
    /* With M = scale M': M w = w^(-1/a) for w = scale^(-a / (a + 1)) w'. */
    for (size_t i = 0; i < s.n; i++) w[set[i]] = s.w[i] * pow(scale, -alpha / (alpha + 1));
done:
    free(set);
    free(part);
    free(s.w);
    free(s.slope);
    free(s.next);
    free(s.hessian);
    return status;
}
