/* train/select.c: selecting the best checkpoint. */
#include "train/select.h"

#include <math.h>
#include <string.h>

static tdm_status find_metric(const tdm_config *config, const tdm__task *task, const char *name,
                              tdm__selector *out)
{
    if (!strcmp(name, "loss")) return TDM_OK;
    for (size_t m = 0; m < task->n_metrics; m++)
        if (!strcmp(task->metrics[m]->name, name)) {
            out->metric = task->metrics[m];
            return TDM_OK;
        }
    return tdm_config_reject(config, "train.select",
                             "task '%s' has no metric '%s' (hint: loss, or one of its metrics)",
                             task->name, name);
}

tdm_status tdm__selector_read(const tdm_config *config, const tdm__session *s, tdm__selector *out)
{
    const char *text;
    *out = (tdm__selector){.session = s, .task = SIZE_MAX};
    tdm_status status = tdm_config_float(config, "train.min_delta", &out->min_delta);
    if (!status) status = tdm_config_string(config, "train.select", &text);
    out->plain = !status && !strcmp(text, "losses");
    if (status || out->plain || !strcmp(text, "total")) return status;
    for (size_t t = 0; t < s->n_tasks; t++) {
        const size_t n = strlen(s->tasks[t].name);
        if (strncmp(text, s->tasks[t].name, n) || text[n] != '.') continue;
        out->task = t;
        return find_metric(config, &s->tasks[t], text + n + 1, out);
    }
    return tdm_config_reject(config, "train.select",
                             "must be total, losses, TASK.loss or TASK.METRIC");
}

/* Reports of training and validation have all tasks, in the session's order. */
static double total(const tdm__selector *selector, const tdm_epoch_report *report)
{
    const tdm__session *s = selector->session;
    double targets = 0;
    bool any_auxiliary = false;
    for (size_t t = 0; t < s->n_tasks; t++) {
        const double weight = selector->plain ? 1 : report->tasks[t].weight;
        any_auxiliary |= s->tasks[t].auxiliary;
        if (!s->tasks[t].auxiliary) targets += weight * report->tasks[t].loss;
    }
    return any_auxiliary || selector->plain ? targets : report->total;
}

double tdm__selector_value(const tdm__selector *selector, const tdm_epoch_report *report)
{
    if (selector->task == SIZE_MAX) return total(selector, report);
    const tdm_task_report *task = &report->tasks[selector->task];
    if (!selector->metric) return task->loss;
    for (size_t m = 0; m < task->n_metrics; m++)
        if (!strcmp(task->metrics[m].name, selector->metric->name)) return task->metrics[m].value;
    return NAN;
}

bool tdm__selector_better(const tdm__selector *selector, double value, double best)
{
    if (selector->metric && selector->metric->higher_is_better)
        return value > best + selector->min_delta;
    return value < best - selector->min_delta;
}
