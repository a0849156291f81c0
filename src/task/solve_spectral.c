/* task/solve_spectral.c: methods of the eigenvectors of M = V L V^T (IMTL-G, Aligned-MTL), and what
 * is said about M in the log. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "task/linear.h"
#include "task/solve.h"

/* Gradients are float: eigenvalues below this share of the largest are rounding. */
static const double rank_share = 1e-12;

typedef struct spectrum {
    double *values, *vectors, *copy, *x;
    double largest, least_of_rank;
} spectrum;

static void spectrum_free(spectrum *s)
{
    free(s->values);
    free(s->vectors);
    free(s->copy);
    free(s->x);
}

static tdm_status spectrum_of(const double *m, size_t n, spectrum *s)
{
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__calloc_try(n, sizeof *s->values, &s->values));
    TDM_TRY(tdm__calloc_try(n, sizeof *s->x, &s->x));
    TDM_TRY(tdm__calloc_try(n * n, sizeof *s->vectors, &s->vectors));
    TDM_TRY(tdm__calloc_try(n * n, sizeof *s->copy, &s->copy));
    memcpy(s->copy, m, n * n * sizeof *m);
    tdm__eigen_symmetric(s->copy, n, s->values, s->vectors);
    s->largest = s->least_of_rank = 0;
    for (size_t k = 0; k < n; k++) s->largest = fmax(s->largest, s->values[k]);
    s->least_of_rank = s->largest;
    for (size_t k = 0; k < n; k++)
        if (s->values[k] > rank_share * (double)n * s->largest)
            s->least_of_rank = fmin(s->least_of_rank, s->values[k]);
done:
    return status;
}

/* w = V f(L) V^T x over the rank, f(l) = factor l^power. */
static void apply(const spectrum *s, size_t n, double power, double factor, const double *x,
                  double *w)
{
    memset(w, 0, n * sizeof *w);
    for (size_t k = 0; k < n; k++) {
        double along = 0;
        if (!(s->values[k] > 0) || s->values[k] < s->least_of_rank) continue;
        for (size_t i = 0; i < n; i++) along += s->vectors[i * n + k] * x[i];
        along *= factor * pow(s->values[k], power);
        for (size_t i = 0; i < n; i++) w[i] += along * s->vectors[i * n + k];
    }
}

/* w = D^-1 C^+ 1 over its sum, C = D^-1 M D^-1 the cosines and D the lengths: M^-1 D 1 where that
 * exists, but tasks of any length count the same. One of length 0 has no weight. */
tdm_status tdm__solve_imtl_g(const double *m, size_t n, double *w)
{
    tdm_status status = TDM_OK;
    spectrum s = {0};
    double *cosines = NULL, sum = 0, size = 0;
    TDM_TRY(tdm__calloc_try(n * n, sizeof *cosines, &cosines));
    for (size_t i = 0; i < n * n; i++) {
        const double c = tdm__gram_cosine(m, n, i / n, i % n);
        cosines[i] = isnan(c) ? 0 : c;
    }
    TDM_TRY(spectrum_of(cosines, n, &s));
    for (size_t i = 0; i < n; i++) s.x[i] = m[i * n + i] > 0;
    apply(&s, n, -1, 1, s.x, w);
    for (size_t i = 0; i < n; i++) {
        w[i] = m[i * n + i] > 0 ? w[i] / sqrt(m[i * n + i]) : 0;
        sum += w[i];
        size += fabs(w[i]);
    }
    /* No combination with equal projections and sum 1 (all gradients 0, or opposite ones). */
    for (size_t i = 0; i < n; i++)
        w[i] = fabs(sum) > 1e-9 * size && size > 0 ? w[i] / sum : 1 / (double)n;
done:
    free(cosines);
    spectrum_free(&s);
    return status;
}

tdm_status tdm__solve_aligned(const double *m, size_t n, double *w)
{
    tdm_status status = TDM_OK;
    spectrum s = {0};
    TDM_TRY(spectrum_of(m, n, &s));
    for (size_t i = 0; i < n; i++) s.x[i] = 1 / (double)n;
    apply(&s, n, -0.5, sqrt(s.least_of_rank), s.x, w);
done:
    spectrum_free(&s);
    return status;
}

double tdm__gram_cosine(const double *m, size_t n, size_t i, size_t j)
{
    const double norms = sqrt(m[i * n + i]) * sqrt(m[j * n + j]);
    return norms > 0 ? m[i * n + j] / norms : NAN;
}

tdm_status tdm__gram_condition(const double *m, size_t n, double *out)
{
    tdm_status status = TDM_OK;
    spectrum s = {0};
    double *present = NULL, least = INFINITY;
    size_t k = 0, at = 0;
    for (size_t i = 0; i < n; i++) k += m[i * n + i] > 0;
    *out = 1;
    if (k == 0) return TDM_OK;
    TDM_TRY(tdm__calloc_try(k * k, sizeof *present, &present));
    for (size_t i = 0; i < n * n; i++)
        if (m[i / n * (n + 1)] > 0 && m[i % n * (n + 1)] > 0) present[at++] = m[i];
    TDM_TRY(spectrum_of(present, k, &s));
    for (size_t i = 0; i < k; i++) least = fmin(least, s.values[i]);
    *out = least > 0 ? s.largest / least : INFINITY;
done:
    free(present);
    spectrum_free(&s);
    return status;
}

tdm_status tdm__gram_check(const double *m, size_t n, const char *const *names)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(m[i * n + i]))
            return tdm__hint(tdm__fail(TDM_ERR_DIVERGED,
                                       "task '%s': the gradient of its loss is not finite",
                                       names[i]),
                             "lower optim.lr, look at the data");
    for (size_t i = 0; i < n * n; i++)
        if (!isfinite(m[i]))
            return tdm__fail(TDM_ERR_DIVERGED,
                             "the gradients of tasks '%s' and '%s' have no finite product",
                             names[i / n], names[i % n]);
    return TDM_OK;
}
