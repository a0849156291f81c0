/* report/statistics.h: statistics of few numbers: what a metric is over seeds, and whether two arms
 * that ran the same seeds differ.
 *
 * Everything is in double, deterministic (random resampling draws from the given seed) and without
 * state: thread-safe. Samples hold finite numbers; the caller leaves out what was not measured.
 * Two-sided throughout. NaN says that a quantity does not exist for this sample (a standard
 * deviation of one number, a t of differences that are all zero).
 */
#ifndef REPORT_STATISTICS_H
#define REPORT_STATISTICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

typedef struct tdm__summary {
    size_t n;
    double mean, sd; /* sd: divisor n - 1; NaN for n < 2 */
    double median, min, max;
} tdm__summary;
/* n = 0: all NaN. */
tdm_status tdm__summarise(const double *x, size_t n, tdm__summary *out);

typedef struct tdm__interval {
    double low, high;
} tdm__interval;
/* Percentile bootstrap of the mean (Efron 1979): quantiles (1 -+ level) / 2 of `resamples` means,
 * linear between order statistics. n < 2: NaN. */
tdm_status tdm__bootstrap_mean(const double *x, size_t n, double level, size_t resamples,
                               uint64_t seed, tdm__interval *out);

typedef struct tdm__test {
    double statistic, p;
    size_t n; /* pairs that counted */
    bool exact;
} tdm__test;

/* Of the differences a - b of n pairs. */

/* Student's t with n - 1 degrees of freedom. Equal differences: t infinite and p 0, or, where they
 * are zero, NaN. */
void tdm__paired_t(const double *a, const double *b, size_t n, tdm__test *out);
/* Wilcoxon's signed ranks: statistic min(W+, W-), zeros left out, ties share their mean rank. Up to
 * 50 pairs the null distribution is exact (given the ties), beyond it is the normal one with the
 * correction for ties and none for continuity. No pair left: NaN. */
tdm_status tdm__wilcoxon(const double *a, const double *b, size_t n, tdm__test *out);
/* Sign flips of the mean difference: all 2^n up to 20 pairs, else `resamples` random ones with one
 * added (Phipson & Smyth 2010). The least p there can be is 2 / 2^n. */
tdm_status tdm__permutation(const double *a, const double *b, size_t n, size_t resamples,
                            uint64_t seed, tdm__test *out);
/* Cohen's d of paired samples: mean / sd of the differences. */
double tdm__effect_size(const double *a, const double *b, size_t n);

/* Holm's step-down (1979): p values adjusted for m comparisons, in place, at most 1. NaN stays and
 * does not count. */
tdm_status tdm__holm(double *p, size_t m);

/* Distribution functions: P(T <= t) with df degrees of freedom, P(Z <= z). */
double tdm__student_cdf(double t, double df);
double tdm__normal_cdf(double z);

#endif
