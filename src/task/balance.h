/* task/balance.h: how the tasks' losses are weighed.
 *
 * A method is a kind of loss weighting, a way to combine the tasks' gradients (task/gradients.h),
 * or both. What a loss weighting needs decides what it costs: nothing (equal, fixed); learnt
 * variables (uncertainty, IMTL-L); numbers that the host knows before the step (DWA, DTP: from the
 * last epochs; RLW: drawn); the losses of the step itself (GLS, SI, STCH, UW-SO), from which a
 * small kernel on the device makes the factors. The host never waits for any of these; but it
 * does for GradNorm (norms of gradients) and FAMO (losses of the batch after the step). Numbers
 * from the host live in a device buffer: no plan is built anew when they change.
 */
#ifndef TASK_BALANCE_H
#define TASK_BALANCE_H

#include "task/gradients.h"
#include "task/task.h"
#include "task/weights.h"

typedef enum tdm__balance_kind {
    TDM__BALANCE_EQUAL,
    TDM__BALANCE_FIXED,
    TDM__BALANCE_UNCERTAINTY,
    TDM__BALANCE_DWA,
    TDM__BALANCE_RLW,
    TDM__BALANCE_DTP,
    TDM__BALANCE_GLS,
    TDM__BALANCE_SI,
    TDM__BALANCE_STCH,
    TDM__BALANCE_UW_SO,
    TDM__BALANCE_IMTL_L,
    TDM__BALANCE_GRADNORM,
    TDM__BALANCE_FAMO,
    TDM__BALANCE_KINDS
} tdm__balance_kind;

typedef struct tdm__balance {
    tdm__balance_kind kind;
    bool sum;         /* simplex weights are multiplied by the number of tasks */
    double initial_s; /* of uncertainty weighting: s = log sigma^2 */
    int likelihood;   /* tdm_likelihood, or -1: by the task's loss */
    bool positive;    /* its term of s is log(1 + sigma^2) */
    double dwa_temperature, uw_so_temperature, dtp_discount, dtp_gamma, stch_mu;
    int64_t stch_warmup; /* epochs */
    double gradnorm_alpha, gradnorm_rate;
    double famo_rate, famo_decay;
    tdm__rlw_kind rlw;
    tdm__combine_spec combine;
    bool instances; /* samples of auxiliary tasks are weighed by their gradients (Du et al., 2018) */
} tdm__balance;

/* TDM_ERR_CONFIG also where the method makes no sense with how these tasks are sampled. */
tdm_status tdm__balance_read(const tdm_config *config, tdm__balance *out);
/* Of the loss weighting, and of the combination of gradients (NULL: none). */
const char *tdm__balance_name(const tdm__balance *balance);
const char *tdm__combine_name(const tdm__balance *balance);

/* ---- in the graph -------------------------------------------------------------------------------
 */

/* Gives a graph variable for a flat segment (the model's net does). */
typedef tdm_value (*tdm__variable_fn)(void *user, const tdm__segment *spec);

typedef struct tdm__total {
    tdm_value loss;    /* the total */
    tdm_value losses;  /* f32[T], where there are factors */
    tdm_value factors; /* f32[T] of the tasks' losses in the step, constants; or TDM_NO_VALUE: the
                          derivatives of the total are the losses' */
} tdm__total;

/* The total of n task losses (tasks[i] belongs to losses[i]); loss TDM_NO_VALUE: the task has no
 * part in it. Learnt weights are segments "balance.<task>.log_variance" (".log_scale" of IMTL-L).
 * given: the balancer's; an empty view while segments are only declared. terms (n): what each task
 * contributes, before its factor or fixed weight. */
tdm__total tdm__balance_total(const tdm__balance *balance, tdm_graph *g, const tdm__task *tasks,
                              const tdm__loss_value *losses, size_t n, tdm__view given,
                              tdm__variable_fn variable, void *user, tdm_value *terms);

/* ---- at run time --------------------------------------------------------------------------------
 */

/* The numbers that the host brings, and what it remembers of past epochs. */
typedef struct tdm__balancer tdm__balancer;

/* balance and tasks must outlive it. */
tdm_status tdm__balancer_create(tdm_device *device, const tdm__balance *balance,
                                const tdm__task *tasks, size_t n, tdm__balancer **out);
void tdm__balancer_destroy(tdm__balancer **balancer);
/* f32[2,T], for tdm__balance_total. */
tdm__view tdm__balancer_given(tdm__balancer *balancer);
/* Where a training step leaves its factors, f32[T]. */
tdm__view tdm__balancer_factors(tdm__balancer *balancer);
/* Where a training step leaves its losses, f32[T]; empty unless the method needs them. */
tdm__view tdm__balancer_losses(tdm__balancer *balancer);
/* FAMO: where the losses of the same batch after the step belong, f32[T]; empty otherwise. */
tdm__view tdm__balancer_losses_after(tdm__balancer *balancer);
/* FAMO, once both are there. Waits for the device. */
tdm_status tdm__balancer_famo(tdm__balancer *balancer);
/* GradNorm, after a step: norms of the weighted gradients (n). Waits for the device. */
tdm_status tdm__balancer_gradnorm(tdm__balancer *balancer, const double *norms);
/* Before a training step. */
tdm_status tdm__balancer_step(tdm__balancer *balancer, uint64_t seed, uint64_t step);
/* After an epoch: the tasks' mean training losses, and their key performance indicators in [0, 1]
 * (for DTP); NaN: not known. */
tdm_status tdm__balancer_epoch(tdm__balancer *balancer, const double *losses, const double *kpis);
/* Reads the factors of the last step (waits for the device). */
tdm_status tdm__balancer_read(tdm__balancer *balancer);
/* The factor that the task's loss has in the total now; flat: where learnt ones are. */
tdm_status tdm__balancer_weight(const tdm__balancer *balancer, size_t task, tdm__flat *flat,
                                double *out);
/* The task's mean loss in the first epoch; NaN: not known yet. */
double tdm__balancer_first_loss(const tdm__balancer *balancer, size_t task);
/* After an epoch: the weights that were reported for it (n), to tell whether they ever move. */
void tdm__balancer_watch(tdm__balancer *balancer, const double *weights);
/* Why the method did nothing in the epochs so far (where that takes three to tell, and there are
 * fewer, it is not said); NULL: it did. */
const char *tdm__balancer_inactive(const tdm__balancer *balancer);
/* What an exact resume needs: count floats. */
size_t tdm__balancer_size(const tdm__balancer *balancer);
tdm_status tdm__balancer_export(tdm__balancer *balancer, float *out); /* waits for the device */
tdm_status tdm__balancer_import(tdm__balancer *balancer, const float *values);

#endif
