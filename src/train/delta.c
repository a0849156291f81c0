/* train/delta.c: how a multi-task model compares with single-task ones (METHODS: Delta m). */
#include <math.h>
#include <string.h>

#include <tandem/train.h>

static const tdm_metric_value *find(const tdm_task_report *task, const char *name)
{
    for (size_t m = 0; m < task->n_metrics; m++)
        if (!strcmp(task->metrics[m].name, name)) return &task->metrics[m];
    return NULL;
}

/* (m - b) / |b| in %, positive where m is better; NaN where it does not count. */
static double gain(const tdm_metric_value *m, const tdm_metric_value *b)
{
    if (!b || m->baseline || !isfinite(m->value) || !isfinite(b->value) || b->value == 0)
        return NAN;
    const double change = 100 * (m->value - b->value) / fabs(b->value);
    return m->higher_is_better ? change : -change;
}

void tdm_delta_m(const tdm_epoch_report *multi, const tdm_task_report *const *single, double *gains,
                 tdm_delta *out)
{
    double tasks = 0, metrics = 0;
    *out = (tdm_delta){NAN, NAN, 0, 0};
    for (size_t t = 0; t < multi->n_tasks; t++) {
        const tdm_task_report *task = &multi->tasks[t];
        double sum = 0;
        size_t n = 0;
        for (size_t m = 0; single[t] && m < task->n_metrics; m++) {
            const double g = gain(&task->metrics[m], find(single[t], task->metrics[m].name));
            if (isnan(g)) continue;
            sum += g;
            n++;
        }
        if (gains) gains[t] = n ? sum / (double)n : NAN;
        if (n == 0) continue;
        tasks += sum / (double)n;
        metrics += sum;
        out->n_tasks++;
        out->n_metrics += n;
    }
    if (out->n_tasks == 0) return;
    out->per_task = tasks / (double)out->n_tasks;
    out->per_metric = -metrics / (double)out->n_metrics;
}
