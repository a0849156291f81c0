/* report/statistics.c: see the header. */
#include "report/statistics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

enum { EXACT_RANKS = 50, EXACT_FLIPS = 20 };

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static tdm_status sorted_copy(const double *x, size_t n, double **out)
{
    const tdm_status status = tdm__calloc_try(n, sizeof **out, out);
    if (status) return status;
    if (n) memcpy(*out, x, n * sizeof **out);
    qsort(*out, n, sizeof **out, ascending);
    return TDM_OK;
}

/* Quantile q of sorted numbers, linear between neighbours. */
static double quantile(const double *sorted, size_t n, double q)
{
    const double at = q * (double)(n - 1);
    const size_t low = (size_t)at, high = low + 1 < n ? low + 1 : low;
    return sorted[low] + (at - (double)low) * (sorted[high] - sorted[low]);
}

static double mean_of(const double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i];
    return n ? sum / (double)n : NAN;
}

static double sd_of(const double *x, size_t n)
{
    const double mean = mean_of(x, n);
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (x[i] - mean) * (x[i] - mean);
    return n < 2 ? NAN : sqrt(sum / (double)(n - 1));
}

tdm_status tdm__summarise(const double *x, size_t n, tdm__summary *out)
{
    double *sorted = NULL;
    const tdm_status status = sorted_copy(x, n, &sorted);
    if (status) return status;
    *out = (tdm__summary){.n = n,
                          .mean = mean_of(x, n),
                          .sd = sd_of(x, n),
                          .median = n ? quantile(sorted, n, 0.5) : NAN,
                          .min = n ? sorted[0] : NAN,
                          .max = n ? sorted[n - 1] : NAN};
    free(sorted);
    return TDM_OK;
}

tdm_status tdm__bootstrap_mean(const double *x, size_t n, double level, size_t resamples,
                               uint64_t seed, tdm__interval *out)
{
    double *means = NULL;
    tdm__rng rng = tdm__rng_make(seed, tdm__rng_stream("bootstrap", 0, 0));
    *out = (tdm__interval){NAN, NAN};
    if (n < 2 || !resamples) return TDM_OK;
    const tdm_status status = tdm__calloc_try(resamples, sizeof *means, &means);
    if (status) return status;
    for (size_t r = 0; r < resamples; r++) {
        double sum = 0;
        for (size_t i = 0; i < n; i++) sum += x[tdm__rng_below(&rng, n)];
        means[r] = sum / (double)n;
    }
    qsort(means, resamples, sizeof *means, ascending);
    out->low = quantile(means, resamples, (1 - level) / 2);
    out->high = quantile(means, resamples, (1 + level) / 2);
    free(means);
    return TDM_OK;
}

/* ---- distributions ----------------------------------------------------------------------------
 */

double tdm__normal_cdf(double z)
{
    return 0.5 * erfc(-z / sqrt(2));
}

/* Continued fraction of the incomplete beta function (Lentz's method; Numerical Recipes, 6.4). */
static double beta_fraction(double a, double b, double x)
{
    const double tiny = 1e-300;
    double c = 1, d = 1 - (a + b) * x / (a + 1);
    d = 1 / (fabs(d) < tiny ? tiny : d);
    double result = d;
    for (int m = 1; m < 10000; m++) {
        const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        double change = 1;
        for (int half = 0; half < 2; half++) {
            const double term = half ? odd : even;
            d = 1 + term * d;
            c = 1 + term / c;
            d = 1 / (fabs(d) < tiny ? tiny : d);
            if (fabs(c) < tiny) c = tiny;
            change = c * d;
            result *= change;
        }
        if (fabs(change - 1) < 1e-16) break;
    }
    return result;
}

/* The regularised incomplete beta function I_x(a, b). */
static double beta_share(double a, double b, double x)
{
    if (x <= 0) return 0;
    if (x >= 1) return 1;
    const double front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x));
    if (x < (a + 1) / (a + b + 2)) return front * beta_fraction(a, b, x) / a;
    return 1 - front * beta_fraction(b, a, 1 - x) / b;
}

/* P(|T| > |t|): precise where it is small. */
static double student_outside(double t, double df)
{
    if (isnan(t)) return NAN;
    return isinf(t) ? 0 : beta_share(df / 2, 0.5, df / (df + t * t));
}

double tdm__student_cdf(double t, double df)
{
    const double outside = student_outside(t, df) / 2;
    return t > 0 ? 1 - outside : outside;
}

/* ---- tests of pairs ---------------------------------------------------------------------------
 */

static tdm_status differences(const double *a, const double *b, size_t n, double **out)
{
    const tdm_status status = tdm__calloc_try(n, sizeof **out, out);
    for (size_t i = 0; !status && i < n; i++) (*out)[i] = a[i] - b[i];
    return status;
}

/* Mean and standard deviation of the differences. */
static void difference_moments(const double *a, const double *b, size_t n, double *mean, double *sd)
{
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) sum += a[i] - b[i];
    *mean = n ? sum / (double)n : NAN;
    for (size_t i = 0; i < n; i++) {
        const double d = a[i] - b[i] - *mean;
        squares += d * d;
    }
    *sd = n < 2 ? NAN : sqrt(squares / (double)(n - 1));
}

void tdm__paired_t(const double *a, const double *b, size_t n, tdm__test *out)
{
    double mean, sd;
    difference_moments(a, b, n, &mean, &sd);
    const double t = n < 2 ? NAN : mean / (sd / sqrt((double)n));
    *out =
        (tdm__test){.statistic = t, .p = student_outside(t, (double)n - 1), .n = n, .exact = true};
}

double tdm__effect_size(const double *a, const double *b, size_t n)
{
    double mean, sd;
    difference_moments(a, b, n, &mean, &sd);
    return mean / sd;
}

typedef struct ranked {
    double size;
    bool positive;
} ranked;

static int by_size(const void *a, const void *b)
{
    const double x = ((const ranked *)a)->size, y = ((const ranked *)b)->size;
    return x < y ? -1 : x > y;
}

/* Twice the rank of each of n sorted differences (whole numbers, also of ties); the sums of t^3 - t
 * over ties. */
static double double_ranks(const ranked *d, size_t n, size_t *ranks)
{
    double ties = 0;
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && d[end].size == d[i].size; end++) {}
        const double t = (double)(end - i);
        ties += t * t * t - t;
        for (size_t k = i; k < end; k++) ranks[k] = i + end + 1; /* (i+1) + end */
    }
    return ties;
}

/* P(sum of the ranks with random signs <= w), all in doubled ranks. */
static tdm_status rank_sum_cdf(const size_t *ranks, size_t n, size_t w, double *out)
{
    double *ways = NULL;
    size_t total = 0;
    for (size_t i = 0; i < n; i++) total += ranks[i];
    const tdm_status status = tdm__calloc_try(total + 1, sizeof *ways, &ways);
    if (status) return status;
    ways[0] = 1;
    for (size_t i = 0; i < n; i++)
        for (size_t s = total + 1; s-- > ranks[i];) ways[s] += ways[s - ranks[i]];
    *out = 0;
    for (size_t s = 0; s <= w && s <= total; s++) *out += ways[s];
    *out = ldexp(*out, -(int)n);
    free(ways);
    return TDM_OK;
}

static double rank_sum_normal(size_t n, double ties, double w)
{
    const double count = (double)n, mean = count * (count + 1) / 4;
    const double variance = (count * (count + 1) * (2 * count + 1) - ties / 2) / 24;
    return 2 * tdm__normal_cdf((w - mean) / sqrt(variance));
}

tdm_status tdm__wilcoxon(const double *a, const double *b, size_t n, tdm__test *out)
{
    tdm_status status = TDM_OK;
    ranked *d = NULL;
    size_t *ranks = NULL, used = 0, plus = 0, minus = 0;
    *out = (tdm__test){.statistic = NAN, .p = NAN};
    TDM_TRY(tdm__calloc_try(n, sizeof *d, &d));
    TDM_TRY(tdm__calloc_try(n, sizeof *ranks, &ranks));
    for (size_t i = 0; i < n; i++)
        if (a[i] != b[i]) d[used++] = (ranked){fabs(a[i] - b[i]), a[i] > b[i]};
    if (!used) goto done;
    qsort(d, used, sizeof *d, by_size);
    const double ties = double_ranks(d, used, ranks);
    for (size_t i = 0; i < used; i++) *(d[i].positive ? &plus : &minus) += ranks[i];
    const size_t w = plus < minus ? plus : minus;
    *out = (tdm__test){.statistic = (double)w / 2, .n = used, .exact = used <= EXACT_RANKS};
    if (out->exact) {
        double below;
        TDM_TRY(rank_sum_cdf(ranks, used, w, &below));
        out->p = fmin(1, 2 * below);
    } else {
        out->p = fmin(1, rank_sum_normal(used, ties, out->statistic));
    }
done:
    free(ranks);
    free(d);
    return status;
}

/* How many of the 2^n sums with flipped signs are at least as far from zero. */
static double count_flips(const double *d, size_t n, double observed)
{
    const double limit = observed * (1 - 1e-12);
    double count = 0;
    for (uint64_t signs = 0; signs < (uint64_t)1 << n; signs++) {
        double sum = 0;
        for (size_t i = 0; i < n; i++) sum += signs >> i & 1 ? -d[i] : d[i];
        count += fabs(sum) >= limit;
    }
    return count;
}

static double sample_flips(const double *d, size_t n, double observed, size_t resamples,
                           uint64_t seed)
{
    const double limit = observed * (1 - 1e-12);
    tdm__rng rng = tdm__rng_make(seed, tdm__rng_stream("permutation", 0, 0));
    double count = 0;
    for (size_t r = 0; r < resamples; r++) {
        double sum = 0;
        for (size_t i = 0; i < n; i++) sum += tdm__rng_u32(&rng) & 1 ? -d[i] : d[i];
        count += fabs(sum) >= limit;
    }
    return count;
}

tdm_status tdm__permutation(const double *a, const double *b, size_t n, size_t resamples,
                            uint64_t seed, tdm__test *out)
{
    double *d = NULL;
    *out = (tdm__test){.statistic = NAN, .p = NAN};
    if (!n) return TDM_OK;
    const tdm_status status = differences(a, b, n, &d);
    if (status) return status;
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += d[i];
    const double observed = fabs(sum);
    *out = (tdm__test){.statistic = sum / (double)n, .n = n, .exact = n <= EXACT_FLIPS};
    if (out->exact)
        out->p = ldexp(count_flips(d, n, observed), -(int)n);
    else
        out->p = (sample_flips(d, n, observed, resamples, seed) + 1) / ((double)resamples + 1);
    free(d);
    return TDM_OK;
}

/* ---- several comparisons ----------------------------------------------------------------------
 */

typedef struct indexed {
    double p;
    size_t at;
} indexed;

static int by_p(const void *a, const void *b)
{
    const indexed *x = a, *y = b;
    if (x->p != y->p) return x->p < y->p ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

tdm_status tdm__holm(double *p, size_t m)
{
    indexed *list = NULL;
    size_t n = 0;
    double least = 0;
    const tdm_status status = tdm__calloc_try(m, sizeof *list, &list);
    if (status) return status;
    for (size_t i = 0; i < m; i++)
        if (!isnan(p[i])) list[n++] = (indexed){p[i], i};
    qsort(list, n, sizeof *list, by_p);
    for (size_t k = 0; k < n; k++) {
        const double adjusted = fmin(1, list[k].p * (double)(n - k));
        if (adjusted > least) least = adjusted;
        p[list[k].at] = least;
    }
    free(list);
    return TDM_OK;
}
