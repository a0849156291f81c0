/* task/solve_surgery.c: methods that change each task's gradient by multiples of the others'
 * (PCGrad, GradVac) and add up the results. The changed gradient of task i is kept as its
 * coefficients c_i, so that its products with the others are (c_i M)_j: only M is needed. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "task/linear.h"
#include "task/solve.h"

/* What is added to c[j] for the pair (i, j); dot = (c M)_j. */
typedef double (*pair_rule)(void *user, const double *m, size_t n, const double *c, size_t i,
                            size_t j, double dot);

static tdm_status operate(const double *m, size_t n, const size_t *order, pair_rule rule,
                          void *user, double *w)
{
    double *c;
    tdm_status status = tdm__calloc_try(n, sizeof *c, &c);
    if (status) return status;
    memset(w, 0, n * sizeof *w);
    for (size_t i = 0; i < n; i++) {
        memset(c, 0, n * sizeof *c);
        c[i] = 1;
        for (size_t k = 0; k < n; k++) {
            const size_t j = order[i * n + k];
            if (j == i || !(m[j * n + j] > 0)) continue; /* a gradient of 0 changes nothing */
            c[j] += rule(user, m, n, c, i, j, tdm__dot(c, m + j * n, n));
        }
        for (size_t k = 0; k < n; k++) w[k] += c[k];
    }
    free(c);
    return TDM_OK;
}

static double project(void *user, const double *m, size_t n, const double *c, size_t i, size_t j,
                      double dot)
{
    (void)user, (void)c, (void)i;
    return dot < 0 ? -dot / m[j * n + j] : 0;
}

tdm_status tdm__solve_pcgrad(const double *m, size_t n, const size_t *order, double *w)
{
    return operate(m, n, order, project, NULL, w);
}

typedef struct vaccine {
    double beta, *target;
} vaccine;

static double vaccinate(void *user, const double *m, size_t n, const double *c, size_t i, size_t j,
                        double dot)
{
    const vaccine *v = user;
    double *target = &v->target[i * n + j], amount = 0;
    const double length = sqrt(fmax(tdm__quadratic(m, c, c, n), 0)), other = sqrt(m[j * n + j]);
    if (!(length > 0)) return 0;
    const double cosine = fmax(-1, fmin(1, dot / (length * other))), want = *target;
    if (cosine < want && want < 1)
        amount = length * (want * sqrt(1 - cosine * cosine) - cosine * sqrt(1 - want * want)) /
                 (other * sqrt(1 - want * want));
    *target = (1 - v->beta) * want + v->beta * cosine;
    return amount;
}

tdm_status tdm__solve_gradvac(const double *m, size_t n, const size_t *order, double beta,
                              double *target, double *w)
{
    vaccine v = {beta, target};
    return operate(m, n, order, vaccinate, &v, w);
}

void tdm__solve_max_norm(const double *m, size_t n, double *w)
{
    double longest = 0;
    for (size_t i = 0; i < n; i++) longest = fmax(longest, sqrt(m[i * n + i]));
    for (size_t i = 0; i < n; i++) w[i] = m[i * n + i] > 0 ? longest / sqrt(m[i * n + i]) : 0;
}
