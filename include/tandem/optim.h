/* tandem/optim.h: options of optimisers and learning-rate schedules. */
#ifndef TANDEM_OPTIM_H
#define TANDEM_OPTIM_H

#include <tandem/config.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Keys optim.*: kind (sgd|adam|adamw), lr, momentum, nesterov, dampening, betas, eps, weight_decay,
 * l2_sp, l2_sp_new, clip_norm, clip_value, accumulate. */
extern const tdm_opt_table tdm_optim_options;
/* Keys schedule.*: kind (constant|step|multistep|exponential|cosine|linear), step_size, milestones,
 * gamma, min_lr, epochs, warmup_steps, warmup_epochs, warmup_factor. */
extern const tdm_opt_table tdm_schedule_options;

#ifdef __cplusplus
}
#endif
#endif
