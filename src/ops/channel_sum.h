/* ops/channel_sum.h: the gradient of a bias, for the operations that have one. */
#ifndef OPS_CHANNEL_SUM_H
#define OPS_CHANNEL_SUM_H

#include "ops/common.h"

/* y (...,K) -> (K): sum over all axes but the last. */
tdm_value tdm__channel_sum(tdm_graph *g, tdm_value y);

#endif
