/* optim/schedule.c: learning-rate schedules as pure functions (torch.optim.lr_scheduler's closed
 * forms), times a linear warm-up. */
#include <math.h>

#include "optim/optim.h"

static double warmup(const tdm__schedule *s, int64_t steps_per_epoch, int64_t step)
{
    double steps = s->warmup_steps > 0 ? (double)s->warmup_steps
                                       : round(s->warmup_epochs * (double)steps_per_epoch);
    if ((double)step >= steps) return 1;
    return s->warmup_factor + (1 - s->warmup_factor) * (double)step / steps;
}

double tdm__schedule_lr(const tdm__schedule *s, double base_lr, int64_t run_epochs,
                        int64_t steps_per_epoch, int64_t epoch, int64_t step)
{
    const int64_t length = s->epochs > 0 ? s->epochs : run_epochs > 0 ? run_epochs : 1;
    const double at = (double)(epoch < length ? epoch : length) / (double)length;
    double lr = base_lr;
    switch (s->kind) {
    case TDM__SCHEDULE_CONSTANT:
        break;
    case TDM__SCHEDULE_STEP:
        lr *= pow(s->gamma, (double)(epoch / s->step_size));
        break;
    case TDM__SCHEDULE_MULTISTEP: {
        int passed = 0;
        for (size_t i = 0; i < s->n_milestones; i++) passed += s->milestones[i] <= epoch;
        lr *= pow(s->gamma, passed);
        break;
    }
    case TDM__SCHEDULE_EXPONENTIAL:
        lr *= pow(s->gamma, (double)epoch);
        break;
    case TDM__SCHEDULE_COSINE:
        lr = s->min_lr + (base_lr - s->min_lr) * (1 + cos(acos(-1) * at)) / 2;
        break;
    case TDM__SCHEDULE_LINEAR:
        lr = base_lr + (s->min_lr - base_lr) * at;
        break;
    }
    return lr * warmup(s, steps_per_epoch, step);
}
