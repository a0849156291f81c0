/* train/per_sample.c: see per_sample.h. */
#include "train/per_sample.h"

#include <stdlib.h>

#include "base/mem.h"

tdm_status tdm__per_sample_create(tdm__session *s, const tdm_split *split,
                                  const tdm_train_events *events, tdm__per_sample **out)
{
    tdm_status status = TDM_OK;
    tdm__per_sample *p = NULL;
    *out = NULL;
    TDM_TRY(tdm__calloc_try(1, sizeof *p, &p));
    *p = (tdm__per_sample){.session = s, .split = split, .events = events};
    TDM_TRY(tdm__calloc_try(s->n_tasks, sizeof *p->tasks, &p->tasks));
    TDM_TRY(tdm__calloc_try(s->n_tasks * TDM__TASK_METRICS, sizeof *p->metrics, &p->metrics));
    TDM_TRY(tdm__calloc_try((uint64_t)s->batch_size, sizeof *s->places, &s->places));
    for (; s->n_places < (size_t)s->batch_size; s->n_places++)
        TDM_TRY(tdm__meter_create(s->device, s->tasks, s->n_tasks, &s->places[s->n_places]));
    *out = p;
    p = NULL;
done:
    tdm__per_sample_destroy(&p);
    return status;
}

void tdm__per_sample_destroy(tdm__per_sample **per_sample)
{
    tdm__per_sample *p = *per_sample;
    if (!p) return;
    free(p->tasks);
    free(p->metrics);
    free(p);
    *per_sample = NULL;
}

tdm_status tdm__per_sample_reset(tdm__per_sample *p)
{
    tdm_status status = TDM_OK;
    for (size_t i = 0; i < p->session->n_places; i++)
        TDM_TRY(tdm__meter_reset(p->session->places[i]));
done:
    return status;
}

/* The split's sample that is this row of the data set: rows ascend with the index. */
static uint64_t index_of(const tdm_split *split, uint64_t row)
{
    uint64_t low = 0, high = tdm_split_length(split);
    while (high - low > 1) {
        const uint64_t middle = low + (high - low) / 2;
        if (tdm_split_row(split, middle) <= row)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* One label says right or wrong, and nothing of classes: what is left of the metrics. */
static void keep_defined(const tdm__session *s, size_t t, tdm_metric_value *values,
                         tdm_task_report *report)
{
    const tdm__task *task = &s->tasks[t];
    const bool single = tdm__loss_is_classification(task->loss) &&
                        tdm_desc_count(&s->arrays[s->targets[t]].sample) == 1;
    report->n_metrics = 0;
    for (size_t m = 0; m < task->n_metrics; m++)
        if (tdm__metric_of_sample(task->metrics[m], single))
            values[report->n_metrics++] = values[m];
    report->n_parts = 0;
    report->parts = NULL;
}

static tdm_status tell(tdm__per_sample *p, tdm__purpose purpose, const tdm_batch *batch,
                       size_t place)
{
    tdm_status status = TDM_OK;
    tdm__session *s = p->session;
    const bool *tasks = s->streams[purpose].list[batch->part].tasks;
    tdm_sample_report sample = {.index = index_of(p->split, batch->rows[place]),
                                .row = batch->rows[place],
                                .tasks = p->tasks};
    TDM_TRY(tdm__meter_read(s->places[place]));
    for (size_t t = 0; t < s->n_tasks; t++) {
        tdm_metric_value *values = p->metrics + t * TDM__TASK_METRICS;
        if (!tasks[t]) continue;
        TDM_TRY(
            tdm__session_report_task(s, s->places[place], t, values, &p->tasks[sample.n_tasks]));
        keep_defined(s, t, values, &p->tasks[sample.n_tasks++]);
    }
    status = p->events->sample(p->events->sample_user, &sample);
done:
    return status;
}

tdm_status tdm__per_sample_tell(tdm__per_sample *p, tdm__purpose purpose, const tdm_batch *batch)
{
    tdm_status status = TDM_OK;
    for (size_t i = 0; i < batch->count; i++) TDM_TRY(tell(p, purpose, batch, i));
done:
    return status;
}
