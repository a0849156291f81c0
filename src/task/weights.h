/* task/weights.h: weights of tasks from their losses, metrics or gradient norms: the formulas that
 * the host computes, in double. Weights of the simplex methods sum to 1 here; balance.scale is
 * applied by the caller.
 */
#ifndef TASK_WEIGHTS_H
#define TASK_WEIGHTS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Dynamic Weight Average (Liu, Johns, Davison, CVPR 2019, eq. 7-8): last and before are the mean
 * training losses of the last two epochs; the weights sum to n. A task without a usable ratio (no
 * loss yet, or 0) counts as unchanged, r = 1. */
void tdm__weights_dwa(const double *last, const double *before, size_t n, double temperature,
                      double *w);

/* Dynamic Task Prioritization (Guo et al., ECCV 2018): average <- discount kpi + (1 - discount)
 * average, w = -(1 - average)^gamma log(average) with the average held in [1e-3, 1 - 1e-3]. A NaN
 * in kpi leaves its average as it is; a NaN in average is "none yet" and becomes kpi (weight 1
 * while there is neither). */
void tdm__weights_dtp(double *average, const double *kpi, size_t n, double discount, double gamma,
                      double *w);
/* A key performance indicator in [0, 1] from a loss or an error >= 0: 1 / (1 + error). */
double tdm__kpi_of_error(double error);

/* Random Loss Weighting (Lin et al., TMLR 2022): a function of (seed, step) alone; the sum is 1. */
typedef enum tdm__rlw_kind {
    TDM__RLW_NORMAL,      /* softmax of N(0, 1) */
    TDM__RLW_UNIFORM,     /* U[0, 1) over their sum */
    TDM__RLW_BERNOULLI,   /* 0 or 1 with equal chance, not all 0, over their sum */
    TDM__RLW_CONSTRAINED, /* just one task */
    TDM__RLW_DIRICHLET    /* uniform on the simplex */
} tdm__rlw_kind;
void tdm__weights_rlw(tdm__rlw_kind kind, uint64_t seed, uint64_t step, size_t n, double *w);

/* GradNorm (Chen et al., ICML 2018, Alg. 1): one step of gradient descent with `rate` on
 * L_grad = sum |G_i - mean(G) r_i^alpha|, G_i = w_i norm_i, r_i = ratio_i / mean(ratio), the target
 * held constant; then w >= 1e-6 and sum w = n. norm: of the unweighted loss's gradient; ratio:
 * L_i(t) / L_i(0). Returns L_grad. */
double tdm__weights_gradnorm(double *w, const double *norm, const double *ratio, size_t n,
                             double alpha, double rate);

/* FAMO (Liu B. et al., NeurIPS 2023, Alg. 1-2): with z = softmax(logits) and d_i = log before_i -
 * log after_i, the losses (above their bounds, > 0) of one batch before a step and after it,
 * delta_i = z_i (d_i - sum z_j d_j). Descent on delta lowers the logit of what falls fast. */
void tdm__weights_famo(const double *logits, const double *before, const double *after, size_t n,
                       double *delta);

/* Adam (Kingma and Ba, ICLR 2015) with PyTorch's defaults on a handful of numbers on the host;
 * gradient + decay x is what it takes for the gradient. step: 1 for the first. */
void tdm__weights_adam(double *x, double *mean, double *square, double gradient, double step,
                       double rate, double decay);

#endif
