/* report/delta.c: see delta.h. */
#include "report/delta.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <tandem/train.h>

#include "base/mem.h"
#include "report/words.h"

const char *const tdm__derived_names[TDM__DERIVEDS] = {[TDM__DERIVED_PER_TASK] = "delta_m.per_task",
                                                       [TDM__DERIVED_PER_METRIC] =
                                                           "delta_m.per_metric",
                                                       [TDM__DERIVED_STEP] = "cost.step"};

/* A run's metrics by task, as an epoch's report has them. */
typedef struct view {
    tdm_task_report *tasks;
    tdm_metric_value *values;
    char **names; /* of the tasks */
    size_t n;
} view;

static void view_free(view *v)
{
    for (size_t t = 0; v->names && t < v->n; t++) free(v->names[t]);
    free(v->tasks);
    free(v->values);
    free(v->names);
}

/* "class.accuracy": characters of the task's name, or 0 where there is none. */
static size_t task_length(const char *metric)
{
    const char *dot = strrchr(metric, '.');
    return dot ? (size_t)(dot - metric) : 0;
}

static bool is_of(const char *metric, const char *task)
{
    const size_t n = task_length(metric);
    return n && strlen(task) == n && !strncmp(metric, task, n);
}

static tdm_status add_task(view *v, const char *metric)
{
    const size_t n = task_length(metric);
    if (!n) return TDM_OK;
    for (size_t t = 0; t < v->n; t++)
        if (is_of(metric, v->names[t])) return TDM_OK;
    v->names[v->n] = tdm__strdup(metric);
    if (!v->names[v->n]) return tdm__fail(TDM_ERR_NOMEM, "out of memory");
    v->names[v->n][n] = 0;
    v->tasks[v->n].name = v->names[v->n];
    v->n++;
    return TDM_OK;
}

/* The mean over the runs from `begin` on that have the metric. */
static double mean_of(const tdm__compared *arm, size_t begin, size_t end, const char *metric)
{
    double sum = 0;
    size_t n = 0;
    for (size_t i = begin; i < end; i++)
        for (size_t k = 0; k < arm->runs[i]->n_metrics; k++)
            if (tdm__streq(arm->runs[i]->metrics[k].name, metric)) {
                sum += arm->runs[i]->metrics[k].value;
                n++;
            }
    return n ? sum / (double)n : NAN;
}

/* The metrics of all tasks, as means over the runs from `begin` to before `end`. */
static tdm_status view_of(const tdm__compared *arm, size_t begin, size_t end, view *out)
{
    tdm_status status = TDM_OK;
    const tdm__run *run = arm->runs[begin];
    size_t used = 0;
    *out = (view){0};
    TDM_TRY(tdm__calloc_try(run->n_metrics + 1, sizeof *out->tasks, &out->tasks));
    TDM_TRY(tdm__calloc_try(run->n_metrics + 1, sizeof *out->values, &out->values));
    TDM_TRY(tdm__calloc_try(run->n_metrics + 1, sizeof *out->names, &out->names));
    for (size_t m = 0; m < run->n_metrics; m++) TDM_TRY(add_task(out, run->metrics[m].name));
    for (size_t t = 0; t < out->n; t++) {
        out->tasks[t].metrics = out->values + used;
        for (size_t m = 0; m < run->n_metrics; m++) {
            const char *name = run->metrics[m].name;
            const char *what = name + task_length(name) + 1;
            if (!is_of(name, out->names[t]) || tdm__streq(what, "loss")) continue;
            out->values[used++] = (tdm_metric_value){what, mean_of(arm, begin, end, name),
                                                     tdm__metric_higher_is_better(what),
                                                     tdm__metric_is_baseline(what)};
            out->tasks[t].n_metrics++;
        }
    }
done:
    return status;
}

/* ---- Delta m -----------------------------------------------------------------------------------
 */

/* The first arm that learnt the task alone; NULL: none. */
static const tdm_task_report *single_of(const view *views, size_t n, const char *task)
{
    for (size_t k = 0; k < n; k++)
        if (views[k].n == 1 && tdm__streq(views[k].names[0], task)) return &views[k].tasks[0];
    return NULL;
}

static tdm_status delta_of(const tdm__compared *arm, size_t i, const view *views, size_t n,
                           double *per_task, double *per_metric)
{
    tdm_status status = TDM_OK;
    view own = {0};
    const tdm_task_report **single = NULL;
    tdm_delta delta = {NAN, NAN, 0, 0};
    TDM_TRY(view_of(arm, i, i + 1, &own));
    TDM_TRY(tdm__calloc_try(own.n + 1, sizeof *single, &single));
    for (size_t t = 0; t < own.n; t++) single[t] = single_of(views, n, own.names[t]);
    const tdm_epoch_report report = {.n_tasks = own.n, .tasks = own.tasks};
    if (own.n > 1) tdm_delta_m(&report, single, NULL, &delta);
    /* of all tasks or not at all: an average over some compares with nothing */
    *per_task = delta.n_tasks == own.n ? delta.per_task : NAN;
    *per_metric = delta.n_tasks == own.n ? delta.per_metric : NAN;
done:
    free(single);
    view_free(&own);
    return status;
}

/* ---- steps -------------------------------------------------------------------------------------
 */

static double mean_step(const tdm__compared *arm)
{
    double sum = 0;
    size_t n = 0;
    for (size_t i = 0; i < arm->n; i++) {
        sum += arm->runs[i]->step_seconds;
        n += arm->runs[i]->step_seconds > 0;
    }
    return n ? sum / (double)n : NAN;
}

tdm_status tdm__derive(tdm__compared *arms, size_t n)
{
    tdm_status status = TDM_OK;
    view *views = NULL;
    const double step = n ? mean_step(&arms[0]) : NAN;
    TDM_TRY(tdm__calloc_try(n + 1, sizeof *views, &views));
    for (size_t k = 0; k < n; k++) TDM_TRY(view_of(&arms[k], 0, arms[k].n, &views[k]));
    for (size_t k = 0; k < n; k++) {
        TDM_TRY(tdm__calloc_try(arms[k].n, sizeof *arms[k].derived, &arms[k].derived));
        for (size_t i = 0; i < arms[k].n; i++) {
            double *out = arms[k].derived[i];
            const double own = arms[k].runs[i]->step_seconds;
            TDM_TRY(delta_of(&arms[k], i, views, n, &out[TDM__DERIVED_PER_TASK],
                             &out[TDM__DERIVED_PER_METRIC]));
            out[TDM__DERIVED_STEP] = own > 0 ? own / step : NAN;
        }
    }
done:
    for (size_t k = 0; views && k < n; k++) view_free(&views[k]);
    free(views);
    return status;
}

bool tdm__derived_any(const tdm__compared *arms, size_t n, tdm__derived what)
{
    for (size_t k = what == TDM__DERIVED_STEP ? 1 : 0; k < n; k++)
        for (size_t i = 0; i < arms[k].n; i++)
            if (!isnan(arms[k].derived[i][what])) return true;
    return false;
}
