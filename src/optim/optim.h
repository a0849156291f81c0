/* optim/optim.h: optimisers over the flat buffers, and learning-rate schedules.
 *
 * A step is a few flat kernels driven by a work list on the device: segments that are frozen or
 * have no gradient this step stay untouched (no decay, no momentum, no step count), as with
 * PyTorch's grad None. Formulas, order of operations and defaults are PyTorch's. State exists only
 * for segments that are learnt.
 */
#ifndef OPTIM_OPTIM_H
#define OPTIM_OPTIM_H

#include <tandem/optim.h>

#include "graph/flat.h"

typedef enum tdm__optim_kind { TDM__OPTIM_SGD, TDM__OPTIM_ADAM, TDM__OPTIM_ADAMW } tdm__optim_kind;

typedef struct tdm__optim_spec {
    tdm__optim_kind kind;
    double lr, momentum, dampening, beta1, beta2, eps, weight_decay;
    bool nesterov;
    double clip_norm, clip_value; /* 0: off */
    /* L2-SP: weights decay towards the values they were loaded with, new ones towards 0. */
    double l2_sp, l2_sp_new;
    int accumulate; /* micro-batches per step, >= 1; gradients are averaged */
} tdm__optim_spec;
tdm_status tdm__optim_spec_read(const tdm_config *config, tdm__optim_spec *out);

typedef struct tdm__optimizer tdm__optimizer;

/* The flat buffers must be sealed, with gradients, and their frozen flags final. */
tdm_status tdm__optimizer_create(tdm_device *device, tdm__flat *flat, const tdm__optim_spec *spec,
                                 tdm__optimizer **out);
void tdm__optimizer_destroy(tdm__optimizer **optimizer);
uint64_t tdm__optimizer_bytes(const tdm__optimizer *optimizer);
/* Learning-rate factor of the segments of a parameter group (tdm__segment.group); 1 at first. */
tdm_status tdm__optimizer_set_group_factor(tdm__optimizer *optimizer, int group, double factor);
/* L2-SP (Li, Grandvalet, Davoine, ICML 2018): Omega = l2_sp / 2 |w_S - w0_S|^2 + l2_sp_new / 2
 * |w_new|^2, over what weight decay applies to. The values that the marked segments have now are
 * w0, kept on the device; its gradient is added in the update itself, after clipping; with adamw it
 * is decoupled, as its weight decay is. loaded: per segment. Without l2_sp nothing is kept. */
tdm_status tdm__optimizer_anchor(tdm__optimizer *optimizer, const bool *loaded);

/* After a batch's gradients are in the flat gradient buffer (segments' has_gradient flags say
 * which). With accumulate > 1 only every accumulate-th call changes parameters; *stepped tells. lr
 * already includes the schedule. Enqueues only; never waits for the device. */
tdm_status tdm__optimizer_step(tdm__optimizer *optimizer, double lr, bool *stepped);
/* Ends an epoch early: applies what has been accumulated (averaged over the calls made). */
tdm_status tdm__optimizer_flush(tdm__optimizer *optimizer, double lr, bool *stepped);
/* The global gradient norm of the latest step before clipping (waits for the device). NaN or
 * infinite when a gradient was. */
tdm_status tdm__optimizer_norm(tdm__optimizer *optimizer, double *out);

/* Arithmetic, memory traffic and launches of a step in which every segment has a gradient. */
void tdm__optimizer_cost(const tdm__optimizer *optimizer, double *flops, double *bytes,
                         double *launches);

/* State for an exact resume: tensors
 * "optimizer.<segment>.<exp_avg|exp_avg_sq|momentum_buffer|step>" as floats in disk order (step: 1
 * float), then "optimizer.<segment>.anchor". Number and sizes are fixed after create and anchor. */
size_t tdm__optimizer_state_count(const tdm__optimizer *optimizer);
void tdm__optimizer_state_info(const tdm__optimizer *optimizer, size_t i, const char **name,
                               uint64_t *count);
tdm_status tdm__optimizer_state_get(tdm__optimizer *optimizer, size_t i, float *out);
tdm_status tdm__optimizer_state_set(tdm__optimizer *optimizer, size_t i, const float *values);

/* ---- a proximal step ---------------------------------------------------------------------------
 * Of lambda sum_r |w_r|, the L2,1 norm of rows that may have parts in several parameters: after the
 * optimiser's step w_r = max(0, 1 - lr lambda / |w_r|) w_r, which sets rows to 0 and leaves them
 * there unless a gradient outweighs lambda (Yuan and Lin, 2006; Obozinski, Taskar, Jordan, 2010).
 */

/* Of a parameter on the device, [outer][rows][inner]. */
typedef struct tdm__row_part {
    size_t segment;
    int64_t outer, inner;
} tdm__row_part;

typedef struct tdm__proximal tdm__proximal;
/* device and the sealed flat must outlive it. */
tdm_status tdm__proximal_create(tdm_device *device, tdm__flat *flat, const tdm__row_part *parts,
                                size_t n, int64_t rows, double lambda, tdm__proximal **out);
void tdm__proximal_destroy(tdm__proximal **proximal);
/* Frozen parts count in a row's length, but stay. Enqueues only. NULL: does nothing. */
tdm_status tdm__proximal_step(tdm__proximal *proximal, double lr);
/* Rows, and those that are not all 0 (waits for the device); 0 of NULL. */
int64_t tdm__proximal_rows(const tdm__proximal *proximal);
tdm_status tdm__proximal_kept(tdm__proximal *proximal, int64_t *out);

/* ---- schedules ------------------------------------------------------------------------------- */

typedef enum tdm__schedule_kind {
    TDM__SCHEDULE_CONSTANT,
    TDM__SCHEDULE_STEP,        /* lr gamma^(epoch / step_size): StepLR */
    TDM__SCHEDULE_MULTISTEP,   /* lr gamma^(milestones passed): MultiStepLR */
    TDM__SCHEDULE_EXPONENTIAL, /* lr gamma^epoch: ExponentialLR */
    TDM__SCHEDULE_COSINE,      /* CosineAnnealingLR over `epochs`, per epoch */
    TDM__SCHEDULE_LINEAR       /* to min_lr over `epochs`, per epoch */
} tdm__schedule_kind;

typedef struct tdm__schedule {
    tdm__schedule_kind kind;
    int64_t step_size;
    const int64_t *milestones; /* ascending; the configuration's */
    size_t n_milestones;
    double gamma, min_lr;
    int64_t epochs; /* 0: the run's */
    /* Warm-up: the factor rises linearly from warmup_factor to 1 over the first steps. */
    int64_t warmup_steps;
    double warmup_epochs, warmup_factor;
} tdm__schedule;
tdm_status tdm__schedule_read(const tdm_config *config, tdm__schedule *out);

/* The learning rate of a step: a pure function. epoch counts from 0, step over the whole run. */
double tdm__schedule_lr(const tdm__schedule *schedule, double base_lr, int64_t run_epochs,
                        int64_t steps_per_epoch, int64_t epoch, int64_t step);

#endif
