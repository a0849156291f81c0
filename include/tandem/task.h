/* tandem/task.h: options of tasks (loss, target, metrics) and of balancing their losses. */
#ifndef TANDEM_TASK_H
#define TANDEM_TASK_H

#include <tandem/config.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Keys tasks.*.{enabled,loss,target,mask,weight,metrics,...}. */
extern const tdm_opt_table tdm_task_options;
/* Keys balance.*. */
extern const tdm_opt_table tdm_balance_options;

#ifdef __cplusplus
}
#endif
#endif
