/* task/balance_internal.h: what balance.c and balancer.c share. */
#ifndef TASK_BALANCE_INTERNAL_H
#define TASK_BALANCE_INTERNAL_H

#include "base/str.h"
#include "task/balance.h"

/* Whether weights are variables of the optimiser. */
bool tdm__balance_learns(const tdm__balance *balance);
tdm_likelihood tdm__balance_likelihood(const tdm__balance *balance, const tdm__task *task);
/* Appends the name of the task's variable. */
void tdm__balance_variable(const tdm__balance *balance, const tdm__task *task, tdm__str *out);
/* Whether the factors of a step are made by the kernel, from numbers of the balancer. */
bool tdm__balance_ruled(const tdm__balance *balance);

#endif
