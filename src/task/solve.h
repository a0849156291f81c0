/* task/solve.h: weights of tasks from the Gram matrix of their gradients.
 *
 * T tasks, gradients g_i of the shared parameters, M = [g_i . g_j] (T x T, row-major, symmetric,
 * positive semidefinite, finite: tdm__gram_check). Each function finds w (T) such that the method's
 * update of the shared parameters is sum w_i g_i. Pure host code in double: no device, and nothing
 * kept between calls. Sizes: any T >= 1.
 */
#ifndef TASK_SOLVE_H
#define TASK_SOLVE_H

#include <stddef.h>

#include "base/error.h"

enum { TDM__ENUMERATED = 10 }; /* most tasks whose sets of active tasks are all tried */

/* TDM_ERR_DIVERGED naming the first task whose gradient is not finite. */
tdm_status tdm__gram_check(const double *m, size_t n, const char *const *names);

/* MGDA (Desideri 2012; Sener and Koltun, NeurIPS 2018): argmin over the simplex of |sum w_i g_i|.
 * Exact: all supports up to TDM__ENUMERATED tasks, Wolfe's active set (Wolfe 1976) above. Where
 * several w are optimal (identical tasks), the mean of the vertices found. */
tdm_status tdm__solve_mgda(const double *m, size_t n, double *w);
/* The same by Wolfe's algorithm, whatever n (tests compare the two). */
tdm_status tdm__solve_min_norm_wolfe(const double *m, size_t n, double *w);

/* CAGrad (Liu B. et al., NeurIPS 2021, Alg. 1): d = g_0 + c |g_0| g_x / |g_x| with g_0 the mean
 * gradient and x = argmin over the simplex of g_x . g_0 + c |g_0| |g_x|, exact on the supports.
 * rescale: 0: d, 1: d / (1 + c^2), 2: d / (1 + c). simplex (may be NULL) receives x. */
tdm_status tdm__solve_cagrad(const double *m, size_t n, double c, int rescale, double *w,
                             double *simplex);

/* IMTL-G (Liu L. et al., ICLR 2021): equal projections on all unit gradients, sum w_i = 1. In terms
 * of M: w in the direction of pinv(M) d with d_i = |g_i|. */
tdm_status tdm__solve_imtl_g(const double *m, size_t n, double *w);

/* Nash-MTL (Navon et al., ICML 2022; alpha = 1) and FairGrad (Ban and Ji, ICML 2024): M w =
 * w^(-1/alpha), w > 0: the minimiser of a strictly convex function, by Newton steps with line
 * search. *stationary: there is none, because a convex combination of the gradients vanishes; w is
 * then MGDA's (whose update is about 0). A task whose gradient is 0 has weight 0 and no say. */
tdm_status tdm__solve_fairgrad(const double *m, size_t n, double alpha, double *w,
                               bool *stationary);

/* Aligned-MTL (Senushkin et al., CVPR 2023) with equal preferences: the columns of sqrt(l_min)
 * V L^-1/2 V^T over the rank of M = V L V^T. */
tdm_status tdm__solve_aligned(const double *m, size_t n, double *w);

/* PCGrad (Yu et al., NeurIPS 2020, Alg. 1), the sum of the projected gradients. order: row i (n
 * entries) is the order in which g_i meets the others (i itself is passed over). Only coefficients
 * are kept: the projected gradient of task i is a combination of all. */
tdm_status tdm__solve_pcgrad(const double *m, size_t n, const size_t *order, double *w);
/* GradVac (Wang et al., ICLR 2021): the same towards a target cosine for each pair, target (n x n),
 * which follows the cosines seen: target += beta (cosine - target). */
tdm_status tdm__solve_gradvac(const double *m, size_t n, const size_t *order, double beta,
                              double *target, double *w);

/* UPGrad (Quinton and Rey 2024): the mean over i of the projection of g_i onto the dual cone:
 * argmin v^T M v over v >= e_i. */
tdm_status tdm__solve_upgrad(const double *m, size_t n, double *w);

/* What DB-MTL (Lin et al. 2023) does to the gradients of log losses: each gets the largest norm. */
void tdm__solve_max_norm(const double *m, size_t n, double *w);

/* ---- diagnostics --------------------------------------------------------------------------------
 */

/* The cosine of two tasks' gradients, NaN where one of them is 0. */
double tdm__gram_cosine(const double *m, size_t n, size_t i, size_t j);
/* Largest eigenvalue over smallest, of the tasks whose gradient is not 0; INFINITY where the smallest is
 * not positive, 1 without such a task. */
tdm_status tdm__gram_condition(const double *m, size_t n, double *out);

#endif
