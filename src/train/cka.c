/* train/cka.c: see cka.h. */
#include "train/cka.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

/* Means of the features. */
static void mean_of(const float *x, size_t p, size_t n, double *mean)
{
    for (size_t k = 0; k < p; k++) mean[k] = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < p; k++) mean[k] += x[i * p + k];
    for (size_t k = 0; k < p; k++) mean[k] /= (double)n;
}

/* X X' of the centred features (a shift changes nothing, but loses digits), the diagonal 0. */
static tdm_status gram(const float *x, size_t p, size_t n, double **out)
{
    tdm_status status = TDM_OK;
    double *centred = NULL, *mean = NULL, *k = NULL;
    TDM_TRY(tdm__calloc_try(p, sizeof *mean, &mean));
    TDM_TRY(tdm__calloc_try(n * p, sizeof *centred, &centred));
    TDM_TRY(tdm__calloc_try(n * n, sizeof *k, &k));
    mean_of(x, p, n, mean);
    for (size_t i = 0; i < n; i++)
        for (size_t f = 0; f < p; f++) centred[i * p + f] = x[i * p + f] - mean[f];
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++) {
            const double *a = centred + i * p, *b = centred + j * p;
            double sum = 0;
            for (size_t f = 0; f < p; f++) sum += a[f] * b[f];
            k[i * n + j] = k[j * n + i] = sum;
        }
    *out = k;
    k = NULL;
done:
    free(centred);
    free(mean);
    free(k);
    return status;
}

/* The unbiased estimate, times n (n - 3). */
static double hsic(const double *k, const double *l, size_t size)
{
    const double n = (double)size;
    double trace = 0, all_k = 0, all_l = 0, cross = 0;
    for (size_t i = 0; i < size; i++) {
        double row_k = 0, row_l = 0;
        for (size_t j = 0; j < size; j++) {
            trace += k[i * size + j] * l[i * size + j];
            row_k += k[i * size + j];
            row_l += l[i * size + j];
        }
        cross += row_k * row_l; /* both are symmetric: 1'K L 1 */
        all_k += row_k;
        all_l += row_l;
    }
    return trace + all_k * all_l / ((n - 1) * (n - 2)) - 2 / (n - 2) * cross;
}

tdm_status tdm__cka(const float *x, size_t p, const float *y, size_t q, size_t n, double *out)
{
    tdm_status status = TDM_OK;
    double *k = NULL, *l = NULL;
    if (n < TDM__CKA_LEAST)
        return tdm__fail(TDM_ERR_USAGE, "CKA of %zu samples: needs %d at least", n, TDM__CKA_LEAST);
    TDM_TRY(gram(x, p, n, &k));
    TDM_TRY(gram(y, q, n, &l));
    const double kk = hsic(k, k, n), ll = hsic(l, l, n);
    *out = kk > 0 && ll > 0 ? hsic(k, l, n) / (sqrt(kk) * sqrt(ll)) : NAN;
done:
    free(k);
    free(l);
    return status;
}
