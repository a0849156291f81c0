/* train/protocol.h: settings of a published comparison, written as tasks: the same classes learnt
 * as one question, as single tasks, or as many tasks at once.
 *
 * With protocol.kind set, the configuration's one task is a template. one-vs-rest: task i asks
 * whether a sample is of class i (two classes, all samples). groups: task i tells the classes of
 * group i apart (its samples only). protocol.setting:
 *
 *     0  the template itself            1  the same, and what it says about each task is recorded
 *     2  task protocol.task alone       3  all tasks, one a step, each as often as the others
 *     4  all, task i as often as i + 1  5  all at once, weights 1 / T (one-vs-rest only)
 *     6  all at once, weights as i + 1, sum 1 (one-vs-rest only)
 */
#ifndef TRAIN_PROTOCOL_H
#define TRAIN_PROTOCOL_H

#include "train/session.h"

extern const tdm_opt_table tdm__protocol_options;

/* The configuration with the setting's tasks written out; *out is NULL when there is nothing to
 * write. TDM_ERR_CONFIG: a setting or task that is not there, more tasks than the template. */
tdm_status tdm__protocol_expand(const tdm_config *config, const tdm__array_source *source,
                                tdm_config **out);

#endif
