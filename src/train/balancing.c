/* train/balancing.c: what a method of balancing is told at the end of an epoch. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "train/trainer.h"

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
    double *losses = NULL, *kpis;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__calloc_try(2 * n, sizeof *losses, &losses));
    kpis = losses + n;
    for (size_t i = 0; i < 2 * n; i++) losses[i] = NAN;
    for (size_t i = 0; i < n; i++)
        for (size_t r = 0; r < train->n_tasks; r++) {
            if (strcmp(train->tasks[r].name, t->session.tasks[i].name)) continue;
            losses[i] = train->tasks[r].loss;
            kpis[i] = indicator(&train->tasks[r]);
        }
    TDM_TRY(tdm__balancer_epoch(t->session.balancer, losses, kpis));
done:
    free(losses);
    return status;
}
