/* report/delta.h: what the arms of an experiment say about each other.
 *
 * Delta m (include/tandem/train.h: tdm_delta_m) of every run that learnt two tasks or more, where
 * arms that learnt one of its tasks alone are among those that are compared: their mean over seeds
 * is the baseline. Of two arms with the same single task the first counts. Losses are no metrics.
 * What a training step took, as a multiple of the first arm's mean.
 */
#ifndef REPORT_DELTA_H
#define REPORT_DELTA_H

#include "report/compare.h"

/* As names of metrics: "delta_m.per_task" (%, higher is better), "delta_m.per_metric" (%, lower is
 * better), "cost.step". */
extern const char *const tdm__derived_names[TDM__DERIVEDS];
/* Fills arms[].derived. */
tdm_status tdm__derive(tdm__compared *arms, size_t n);
/* Whether there is anything to compare: a number in more than the first arm. */
bool tdm__derived_any(const tdm__compared *arms, size_t n, tdm__derived what);

#endif
