/* task/combine.c: the weights of tasks by the method of the configuration, in the scale that was
 * asked for. */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"
#include "task/gradients.h"
#include "task/linear.h"
#include "task/solve.h"

/* A random order for each task, a function of (seed, step). */
static tdm_status draw_order(size_t n, uint64_t seed, uint64_t step, size_t **out)
{
    tdm__rng rng = tdm__rng_make(seed, tdm__rng_stream("balance.order", step, 0));
    tdm_status status = tdm__calloc_try(n * n, sizeof **out, out);
    if (status) return status;
    for (size_t i = 0; i < n; i++) {
        size_t *row = *out + i * n;
        for (size_t k = 0; k < n; k++) row[k] = k;
        for (size_t k = n; k-- > 1;) {
            const size_t other = (size_t)tdm__rng_below(&rng, k + 1), kept = row[k];
            row[k] = row[other];
            row[other] = kept;
        }
    }
    return TDM_OK;
}

static tdm_status solve(const tdm__combine_spec *s, const double *m, size_t n, const size_t *order,
                        double *target, double *w, bool *stationary)
{
    switch (s->kind) {
    case TDM__COMBINE_MGDA:
        return tdm__solve_mgda(m, n, w);
    case TDM__COMBINE_CAGRAD:
        return tdm__solve_cagrad(m, n, s->cagrad_c, s->cagrad_rescale, w, NULL);
    case TDM__COMBINE_IMTL_G:
        return tdm__solve_imtl_g(m, n, w);
    case TDM__COMBINE_NASH:
        return tdm__solve_fairgrad(m, n, 1, w, stationary);
    case TDM__COMBINE_FAIRGRAD:
        return tdm__solve_fairgrad(m, n, s->fairgrad_alpha, w, stationary);
    case TDM__COMBINE_ALIGNED:
        return tdm__solve_aligned(m, n, w);
    case TDM__COMBINE_DB_MTL:
        tdm__solve_max_norm(m, n, w);
        return TDM_OK;
    case TDM__COMBINE_UPGRAD:
        return tdm__solve_upgrad(m, n, w);
    case TDM__COMBINE_PCGRAD:
        return tdm__solve_pcgrad(m, n, order, w);
    case TDM__COMBINE_GRADVAC:
        return tdm__solve_gradvac(m, n, order, s->gradvac_beta, target, w);
    default: /* the sum */
        for (size_t i = 0; i < n; i++) w[i] = 1;
        return TDM_OK;
    }
}

static void rescale(const tdm__combine_spec *s, const double *m, size_t n, double *w)
{
    double factor = 1;
    const bool adds = s->kind == TDM__COMBINE_PCGRAD || s->kind == TDM__COMBINE_GRADVAC ||
                      s->kind == TDM__COMBINE_GRADDROP || s->kind == TDM__COMBINE_DB_MTL;
    if (s->kind == TDM__COMBINE_NASH || s->kind == TDM__COMBINE_FAIRGRAD) {
        const double norm = sqrt(fmax(tdm__quadratic(m, w, w, n), 0));
        if (s->max_norm > 0 && norm > s->max_norm) factor = s->max_norm / norm;
    } else if (s->kind == TDM__COMBINE_GRADNORM) {
        factor = 1;
    } else if (adds) {
        factor = s->sum ? 1 : 1 / (double)n;
    } else {
        factor = s->sum ? (double)n : 1;
    }
    for (size_t i = 0; i < n; i++) w[i] *= factor;
}

tdm_status tdm__combine_weights(const tdm__combine_spec *s, const double *m, size_t n,
                                const char *const *names, uint64_t seed, uint64_t step,
                                double *target, double *w, bool *stationary)
{
    tdm_status status = TDM_OK;
    double *part = NULL, *goal, *u;
    size_t *set = NULL, *order = NULL, k = 0;
    *stationary = false;
    TDM_TRY(tdm__gram_check(m, n, names));
    TDM_TRY(tdm__calloc_try(2 * n * n + n, sizeof *part, &part));
    TDM_TRY(tdm__calloc_try(n, sizeof *set, &set));
    goal = part + n * n;
    u = goal + n * n;
    for (size_t i = 0; i < n; i++) {
        w[i] = 0;
        if (m[i * n + i] > 0) set[k++] = i;
    }
    if (k == 0) goto done;
    for (size_t i = 0; i < k * k; i++) {
        part[i] = m[set[i / k] * n + set[i % k]];
        goal[i] = target[set[i / k] * n + set[i % k]];
    }
    TDM_TRY(draw_order(k, seed, step, &order));
    TDM_TRY(solve(s, part, k, order, goal, u, stationary));
    rescale(s, part, k, u);
    for (size_t i = 0; i < k * k; i++) target[set[i / k] * n + set[i % k]] = goal[i];
    for (size_t i = 0; i < k; i++) w[set[i]] = u[i];
done:
    free(part);
    free(set);
    free(order);
    return status;
}
