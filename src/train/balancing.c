/* train/balancing.c: what a method of balancing is told at the end of an epoch, and what is said
 * about it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "train/trainer.h"

tdm_status tdm__session_weight(tdm__session *s, size_t task, double *out)
{
    const tdm_status status = tdm__balancer_weight(s->balancer, task, s->flat, out);
    const tdm__gradients_report *r = s->gradients ? tdm__gradients_get_report(s->gradients) : NULL;
    if (r && r->steps > 0) *out *= r->weights[task];
    return status;
}

static size_t task_index(const tdm__session *s, const char *name)
{
    size_t t = 0;
    while (strcmp(s->tasks[t].name, name) != 0) t++;
    return t;
}

void tdm__session_tell_balance(tdm__session *s, tdm_task_report *tasks, size_t n,
                               tdm_epoch_report *out)
{
    const tdm__gradients_report *r = s->gradients ? tdm__gradients_get_report(s->gradients) : NULL;
    for (size_t t = 0; t < n; t++) {
        const size_t index = task_index(s, tasks[t].name);
        const double first = tdm__balancer_first_loss(s->balancer, index);
        tasks[t].loss_ratio = isnan(first) ? 1 : tasks[t].loss / first;
        if (r) tasks[t].gradient_norm = r->norms[index];
    }
    if (!r || !(r->steps > 0)) return;
    /* Gradients are combined of all tasks in each step: their order is the report's. */
    s->balance_report = (tdm_balance_report){.cosines = r->cosines,
                                             .conflict_share = r->conflicts,
                                             .condition_log10 = r->condition,
                                             .stationary_share = r->stationary};
    out->balance = &s->balance_report;
}

void tdm__trainer_tell_inactive(tdm_trainer *t)
{
    const tdm__balance *b = &t->session.balance;
    const char *combine = tdm__combine_name(b), *why = tdm__balancer_inactive(t->session.balancer);
    if (why)
        tdm__log(TDM_LOG_WARN, "balance.kind: %s had no effect: %s",
                 combine ? combine : tdm__balance_name(b), why);
}

/* A task's key performance indicator in [0, 1]: its first metric that is a share, the higher the
 * better; without one, from its loss. */
static double indicator(const tdm_task_report *task)
{
    for (size_t m = 0; m < task->n_metrics; m++) {
        const tdm_metric_value *v = &task->metrics[m];
        if (v->higher_is_better && !v->baseline && strcmp(v->name, "psnr")) return v->value;
    }
    return tdm__kpi_of_error(task->loss);
}

tdm_status tdm__trainer_end_balancing(tdm_trainer *t, const tdm_epoch_report *train)
{
    const size_t n = t->session.n_tasks;
    double *losses = NULL, *kpis, *weights;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__calloc_try(3 * n, sizeof *losses, &losses));
    kpis = losses + n;
    weights = kpis + n;
    for (size_t i = 0; i < 2 * n; i++) losses[i] = NAN;
    for (size_t r = 0; r < train->n_tasks; r++) {
        const size_t i = task_index(&t->session, train->tasks[r].name);
        losses[i] = train->tasks[r].loss;
        kpis[i] = indicator(&train->tasks[r]);
        weights[i] = train->tasks[r].weight;
    }
    tdm__balancer_watch(t->session.balancer, weights);
    TDM_TRY(tdm__balancer_epoch(t->session.balancer, losses, kpis));
done:
    free(losses);
    return status;
}
