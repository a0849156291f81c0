/* ops/channel_sum.h: the gradient of a bias, for the operations that have one. */
#ifndef OPS_CHANNEL_SUM_H
#define OPS_CHANNEL_SUM_H

#include "ops/common.h"

/* y (...,K) -> (K): sum over all axes but the last. */
tdm_value tdm__channel_sum(tdm_graph *g, tdm_value y);

/* The same as launches of another operation: input y, output (K), partial sums at the start of the
 * node's workspace. */
uint64_t tdm__channel_sum_workspace(const tdm_desc *y);
void tdm__channel_sum_emit(tdm__build *b, int input, int output, bool accumulate);

#endif
