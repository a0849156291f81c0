/* task/weights.c: see weights.h. */
#include "task/weights.h"

#include <math.h>

#include "base/rng.h"

/* Makes the sum `total`. */
static void normalise(double *w, size_t n, double total)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += w[i];
    for (size_t i = 0; i < n; i++) w[i] = sum > 0 ? w[i] * total / sum : total / (double)n;
}

/* In place; the largest is taken out first, so that nothing overflows. */
static void softmax(double *w, size_t n, double total)
{
    double most = -INFINITY;
    for (size_t i = 0; i < n; i++) most = fmax(most, w[i]);
    for (size_t i = 0; i < n; i++) w[i] = exp(w[i] - most);
    normalise(w, n, total);
}

void tdm__weights_dwa(const double *last, const double *before, size_t n, double temperature,
                      double *w)
{
    for (size_t i = 0; i < n; i++) {
        const double ratio = last[i] / before[i];
        w[i] = (isfinite(ratio) ? ratio : 1) / temperature;
    }
    softmax(w, n, (double)n);
}

double tdm__kpi_of_error(double error)
{
    return 1 / (1 + error);
}

void tdm__weights_dtp(double *average, const double *kpi, size_t n, double discount, double gamma,
                      double *w)
{
    for (size_t i = 0; i < n; i++) {
        if (isfinite(kpi[i]))
            average[i] =
                isnan(average[i]) ? kpi[i] : discount * kpi[i] + (1 - discount) * average[i];
        const double k = fmin(fmax(average[i], 1e-3), 1 - 1e-3);
        w[i] = isnan(average[i]) ? 1 : -pow(1 - k, gamma) * log(k);
    }
}

void tdm__weights_rlw(tdm__rlw_kind kind, uint64_t seed, uint64_t step, size_t n, double *w)
{
    tdm__rng rng = tdm__rng_make(seed, tdm__rng_stream("balance.rlw", step, 0));
    size_t chosen = 0;
    double sum = 0;
    switch (kind) {
    case TDM__RLW_NORMAL:
        for (size_t i = 0; i < n; i++) w[i] = tdm__rng_normal(&rng);
        softmax(w, n, 1);
        return;
    case TDM__RLW_UNIFORM:
        for (size_t i = 0; i < n; i++) w[i] = tdm__rng_uniform(&rng);
        break;
    case TDM__RLW_BERNOULLI:
        while (sum == 0)
            for (size_t i = 0; i < n; i++) sum += w[i] = tdm__rng_u32(&rng) >> 31;
        break;
    case TDM__RLW_CONSTRAINED:
        chosen = (size_t)tdm__rng_below(&rng, n);
        for (size_t i = 0; i < n; i++) w[i] = i == chosen;
        break;
    case TDM__RLW_DIRICHLET: /* exponential variables over their sum */
        for (size_t i = 0; i < n; i++) w[i] = -log(1 - tdm__rng_uniform(&rng));
        break;
    }
    normalise(w, n, 1);
}

double tdm__weights_gradnorm(double *w, const double *norm, const double *ratio, size_t n,
                             double alpha, double rate)
{
    double mean_norm = 0, mean_ratio = 0, loss = 0;
    for (size_t i = 0; i < n; i++) {
        mean_norm += w[i] * norm[i] / (double)n;
        mean_ratio += ratio[i] / (double)n;
    }
    for (size_t i = 0; i < n; i++) {
        const double r = mean_ratio > 0 ? ratio[i] / mean_ratio : 1;
        const double off = w[i] * norm[i] - mean_norm * pow(r, alpha);
        loss += fabs(off);
        w[i] = fmax(w[i] - rate * (off > 0 ? norm[i] : off < 0 ? -norm[i] : 0), 1e-6);
    }
    normalise(w, n, (double)n);
    return loss;
}

void tdm__weights_famo(const double *logits, const double *before, const double *after, size_t n,
                       double *delta)
{
    double mean = 0;
    for (size_t i = 0; i < n; i++) delta[i] = logits[i];
    softmax(delta, n, 1);
    for (size_t i = 0; i < n; i++) mean += delta[i] * log(before[i] / after[i]);
    for (size_t i = 0; i < n; i++) delta[i] *= log(before[i] / after[i]) - mean;
}

void tdm__weights_adam(double *x, double *mean, double *square, double gradient, double step,
                       double rate, double decay)
{
    const double beta1 = 0.9, beta2 = 0.999, eps = 1e-8, g = gradient + decay * *x;
    *mean = beta1 * *mean + (1 - beta1) * g;
    *square = beta2 * *square + (1 - beta2) * g * g;
    const double m = *mean / (1 - pow(beta1, step)), v = *square / (1 - pow(beta2, step));
    *x -= rate * m / (sqrt(v) + eps);
}
