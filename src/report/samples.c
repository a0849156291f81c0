/* report/samples.c: see samples.h. */
#include "report/samples.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"

/* Random resamples of n numbers draw at most about DRAWS of them: the more samples there are, the
 * less one resample more could tell. */
enum { RESAMPLES_MOST = 10000, RESAMPLES_LEAST = 2000, DRAWS = 20000000, SEED = 1 };
static const double LEVEL = 0.95;

void tdm__score_list_free(tdm__score_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->list[i].task);
        free(l->list[i].what);
        free(l->list[i].list);
    }
    free(l->list);
    *l = (tdm__score_list){0};
}

/* ---- measuring ---------------------------------------------------------------------------------
 */

typedef struct collector {
    const tdm__samples_spec *spec;
    tdm__score_list *out;
} collector;

static tdm_status find_or_add(const collector *c, const char *task, const tdm_metric_value *metric,
                              tdm__scores **out)
{
    tdm_status status = TDM_OK;
    tdm__score_list *l = c->out;
    for (size_t i = 0; i < l->n; i++) {
        tdm__scores *s = &l->list[i];
        *out = s;
        if (s->arm == c->spec->arm && s->seed == c->spec->seed && tdm__streq(s->task, task) &&
            tdm__streq(s->what, metric->name))
            return TDM_OK;
    }
    TDM_TRY(tdm__grow(&l->list, &l->capacity, l->n + 1, sizeof *l->list));
    tdm__scores *s = *out = &l->list[l->n++];
    *s = (tdm__scores){.arm = c->spec->arm,
                       .seed = c->spec->seed,
                       .task = tdm__strdup(task),
                       .what = tdm__strdup(metric->name),
                       .higher_is_better = metric->higher_is_better};
    if (!s->task || !s->what) status = tdm__fail(TDM_ERR_NOMEM, "out of memory");
done:
    return status;
}

static tdm_status add(const collector *c, uint64_t index, const tdm_task_report *task,
                      const tdm_metric_value *metric)
{
    tdm_status status = TDM_OK;
    tdm__scores *s;
    if (isnan(metric->value)) return TDM_OK;
    TDM_TRY(find_or_add(c, task->name, metric, &s));
    TDM_TRY(tdm__grow(&s->list, &s->capacity, s->n + 1, sizeof *s->list));
    s->list[s->n++] = (tdm__score){index, metric->value, task->loss};
done:
    return status;
}

static tdm_status collect(void *user, const tdm_sample_report *sample)
{
    tdm_status status = TDM_OK;
    const collector *c = user;
    if (sample->index >= c->spec->limit) return TDM_OK;
    for (size_t t = 0; t < sample->n_tasks; t++) {
        const tdm_task_report *task = &sample->tasks[t];
        const tdm_metric_value loss = {.name = "loss", .value = task->loss};
        const size_t n = c->spec->first_only && task->n_metrics ? 1 : task->n_metrics;
        if (!n) TDM_TRY(add(c, sample->index, task, &loss));
        for (size_t m = 0; m < n; m++) TDM_TRY(add(c, sample->index, task, &task->metrics[m]));
    }
done:
    return status;
}

tdm_status tdm__samples_measure(const tdm__samples_spec *spec, tdm__score_list *out,
                                tdm_evaluation **evaluation)
{
    collector c = {spec, out};
    const tdm_train_events events = {.sample = collect, .sample_user = &c};
    return tdm_evaluate(spec->run, "test", spec->assignments, spec->n_assignments,
                        spec->limit ? &events : NULL, evaluation);
}

const tdm__scores *tdm__scores_like(const tdm__score_list *l, const tdm__scores *like, size_t arm)
{
    for (size_t i = 0; i < l->n; i++) {
        const tdm__scores *s = &l->list[i];
        if (s->arm == arm && s->seed == like->seed && tdm__streq(s->task, like->task) &&
            tdm__streq(s->what, like->what))
            return s;
    }
    return NULL;
}

/* ---- pairs -------------------------------------------------------------------------------------
 */

/* The scores of the samples that both have; both are in the order of the split. */
static size_t match(const tdm__scores *a, const tdm__scores *b, double *x, double *y)
{
    size_t n = 0;
    for (size_t i = 0, k = 0; i < a->n && k < b->n;) {
        if (a->list[i].index == b->list[k].index) {
            x[n] = a->list[i++].score;
            y[n++] = b->list[k++].score;
        } else if (a->list[i].index < b->list[k].index) {
            i++;
        } else {
            k++;
        }
    }
    return n;
}

tdm_status tdm__scores_pair(const tdm__scores *a, const tdm__scores *b, tdm__pairing *out)
{
    tdm_status status = TDM_OK;
    double *x = NULL;
    const size_t most = a->n < b->n ? a->n : b->n;
    *out = (tdm__pairing){.p = NAN};
    TDM_TRY(tdm__calloc_try(2 * most, sizeof *x, &x));
    double *y = x + most;
    const size_t n = match(a, b, x, y);
    size_t resamples = n ? DRAWS / n : 0;
    if (resamples > RESAMPLES_MOST) resamples = RESAMPLES_MOST;
    if (resamples < RESAMPLES_LEAST) resamples = RESAMPLES_LEAST;
    TDM_TRY(tdm__permutation(x, y, n, resamples, SEED, &out->flips));
    TDM_TRY(tdm__wilcoxon(x, y, n, &out->ranks));
    tdm__paired_t(x, y, n, &out->t);
    out->effect = tdm__effect_size(x, y, n);
    out->p = out->flips.p;
    for (size_t i = 0; i < n; i++) x[i] -= y[i];
    TDM_TRY(tdm__summarise(x, n, &out->difference));
    TDM_TRY(tdm__bootstrap_mean(x, n, LEVEL, resamples, SEED, &out->interval));
done:
    free(x);
    return status;
}
