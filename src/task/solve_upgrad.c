/* task/solve_upgrad.c: UPGrad (Quinton and Rey 2024). With v = e_i + u the projection of g_i onto
 * the dual cone of the gradients is the quadratic program min 1/2 u^T M u + (M e_i) . u, u >= 0:
 * Lawson and Hanson's active set (1974) in terms of M. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "task/linear.h"
#include "task/solve.h"

typedef struct program {
    const double *m, *q; /* q: row i of M */
    size_t n, k;
    double *u, *slope, *work, *trial;
    size_t *set;   /* the k indices whose u may be positive */
    double *ridge; /* M with a diagonal of rounding size added: independent */
} program;

/* The unconstrained minimum on the set into trial. */
static bool solve_set(program *p)
{
    for (size_t i = 0; i < p->k; i++) {
        for (size_t j = 0; j < p->k; j++)
            p->work[i * p->k + j] = p->ridge[p->set[i] * p->n + p->set[j]];
        p->trial[i] = -p->q[p->set[i]];
    }
    return tdm__solve_linear(p->work, p->trial, p->k, 1, 0);
}

/* Shortens the way from u to trial at the first bound, and takes those at 0 out of the set. */
static void stop_at_bound(program *p)
{
    double t = 2; /* beyond every step, of which at least one ends at a bound */
    size_t kept = 0, leaves = p->k;
    for (size_t i = 0; i < p->k; i++) {
        const double u = p->u[p->set[i]];
        if (p->trial[i] > 0) continue;
        const double most = u > p->trial[i] ? u / (u - p->trial[i]) : 0;
        if (most < t) t = most, leaves = i;
    }
    for (size_t i = 0; i < p->k; i++) {
        double *u = &p->u[p->set[i]];
        *u = i == leaves ? 0 : fmax(*u + t * (p->trial[i] - *u), 0);
        if (i != leaves) p->set[kept++] = p->set[i];
    }
    p->k = kept;
}

static bool is_inside(const program *p)
{
    for (size_t i = 0; i < p->k; i++)
        if (!(p->trial[i] > 0)) return false;
    return true;
}

static void solve_program(program *p)
{
    const double tolerance = 1e-14 * tdm__trace(p->m, p->n);
    memset(p->u, 0, p->n * sizeof *p->u);
    p->k = 0;
    for (size_t round = 0; round < 30 * p->n + 30; round++) {
        size_t most = p->n;
        tdm__mat_vec(p->ridge, p->u, p->n, p->slope);
        for (size_t i = 0; i < p->n; i++) {
            p->slope[i] = -p->slope[i] - p->q[i];
            bool member = false;
            for (size_t k = 0; k < p->k; k++) member |= p->set[k] == i;
            if (!member && p->slope[i] > tolerance &&
                (most == p->n || p->slope[i] > p->slope[most]))
                most = i;
        }
        if (most == p->n) return;
        p->set[p->k++] = most;
        while (p->k && solve_set(p) && !is_inside(p)) stop_at_bound(p);
        for (size_t i = 0; i < p->k; i++) p->u[p->set[i]] = p->trial[i];
    }
}

tdm_status tdm__solve_upgrad(const double *m, size_t n, double *w)
{
    tdm_status status = TDM_OK;
    program p = {.m = m, .n = n};
    TDM_TRY(tdm__calloc_try(n, sizeof *p.u, &p.u));
    TDM_TRY(tdm__calloc_try(n, sizeof *p.slope, &p.slope));
    TDM_TRY(tdm__calloc_try(n, sizeof *p.trial, &p.trial));
    TDM_TRY(tdm__calloc_try(n, sizeof *p.set, &p.set));
    TDM_TRY(tdm__calloc_try(n * n, sizeof *p.work, &p.work));
    TDM_TRY(tdm__calloc_try(n * n, sizeof *p.ridge, &p.ridge));
    memcpy(p.ridge, m, n * n * sizeof *m);
    for (size_t i = 0; i < n; i++) p.ridge[i * n + i] += 1e-13 * tdm__trace(m, n) + 1e-300;
    memset(w, 0, n * sizeof *w);
    for (size_t i = 0; i < n; i++) {
        p.q = m + i * n;
        solve_program(&p);
        w[i] += 1 / (double)n;
        for (size_t k = 0; k < n; k++) w[k] += p.u[k] / (double)n;
    }
done:
    free(p.u);
    free(p.slope);
    free(p.trial);
    free(p.set);
    free(p.work);
    free(p.ridge);
    return status;
}
