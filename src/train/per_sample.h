/* train/per_sample.h: an evaluation that measures every sample by itself too.
 *
 * The network still runs on whole batches. Behind it the losses and accumulators of the tasks are
 * there once more for each place of the batch, over that place's slice of the answers and targets:
 * the kernels are those of the split's own numbers, and the sums of all samples are the split's.
 * What is kept at a time is one batch's.
 */
#ifndef TRAIN_PER_SAMPLE_H
#define TRAIN_PER_SAMPLE_H

#include "train/session.h"

typedef struct tdm__per_sample {
    tdm__session *session;
    const tdm_split *split;
    const tdm_train_events *events; /* whose `sample` is told */
    tdm_task_report *tasks;         /* scratch: n_tasks, n_tasks * TDM__TASK_METRICS */
    tdm_metric_value *metrics;
} tdm__per_sample;

/* Before the session's first plan: adds the accumulators to it. */
tdm_status tdm__per_sample_create(tdm__session *session, const tdm_split *split,
                                  const tdm_train_events *events, tdm__per_sample **out);
void tdm__per_sample_destroy(tdm__per_sample **per_sample);

/* Before a batch runs. */
tdm_status tdm__per_sample_reset(tdm__per_sample *per_sample);
/* After a batch has been enqueued: waits for it, and tells each of its samples. */
tdm_status tdm__per_sample_tell(tdm__per_sample *per_sample, tdm__purpose purpose,
                                const tdm_batch *batch);

#endif
