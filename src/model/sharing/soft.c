/* model/sharing/soft.c: soft parameter sharing: each task has a trunk of its own, below
 * model.prefix.TASK, and a term of the total draws the weights of the same layer together: lambda
 * sum_l sum_t |W_lt - mean_t W_lt|^2 over the layers' weight matrices and filters (L2; Duong et
 * al., ACL 2015). */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/internal.h"

typedef struct settings {
    double lambda;
} settings;

static tdm_status read(const tdm_config *config, const tdm__model *model, void *out)
{
    const char *sampling;
    settings *s = out;
    tdm_status status = TDM_OK;
    (void)model;
    TDM_TRY(tdm_config_float(config, "model.soft_lambda", &s->lambda));
    TDM_TRY(tdm_config_string(config, "train.sampling", &sampling));
    if (strcmp(sampling, "joint") != 0)
        TDM_TRY(tdm_config_reject(config, "model.sharing",
                                  "soft sharing compares the tasks' weights in each step, but with "
                                  "train.sampling: %s a step has one task (hint: joint)",
                                  sampling));
done:
    return status;
}

static void build(const tdm__model *model, tdm__net *net, tdm_value x, const bool *enabled,
                  tdm_value *predictions)
{
    for (size_t t = 0; t < model->n_heads; t++) {
        tdm__features features;
        if (enabled && !enabled[t]) continue;
        tdm__column_build(model, net, model->heads[t].name, x, &features);
        predictions[t] = tdm__head_build(model, net, t, &features);
    }
}

/* The variable of this name in the task's trunk. */
static tdm_value twin_of(const tdm__model *model, const tdm__net *net, size_t task,
                         const char *name)
{
    for (size_t i = 0; i < net->n_variables; i++) {
        const char *other = tdm__column_part(
            model, task, tdm__flat_segment(net->flat, net->variables[i].segment)->name);
        if (other && !strcmp(other, name)) return net->variables[i].value;
    }
    return TDM_NO_VALUE;
}

/* sum_t |W_t - mean W|^2 of one layer's weights, as T terms, which are means over the elements. The
 * mean is held constant: by it the derivative is 2 sum_t (mean W - W_t) = 0. */
static void distances(const tdm__model *model, tdm__net *net, const char *name, tdm_value *terms)
{
    tdm_graph *g = net->graph;
    tdm_value sum = TDM_NO_VALUE;
    for (size_t t = 0; t < model->n_heads; t++) {
        terms[t] = twin_of(model, net, t, name);
        sum = t == 0 ? terms[t] : tdm_add(g, sum, terms[t]);
    }
    const tdm_value mean = tdm_detach(g, tdm_scale(g, sum, 1 / (float)model->n_heads));
    for (size_t t = 0; t < model->n_heads; t++)
        terms[t] = tdm_l2_loss(g, terms[t], mean, TDM_NO_VALUE);
}

static tdm_value penalty(const tdm__model *model, tdm__net *net)
{
    const settings *s = model->settings;
    tdm_status status = TDM_OK;
    tdm_graph *g = net->graph;
    tdm_value *terms = NULL, total = TDM_NO_VALUE;
    float *factors = NULL;
    size_t n = 0;
    const size_t most = net->n_variables * model->n_heads;
    if (model->n_heads < 2 || !(s->lambda > 0)) return TDM_NO_VALUE;
    TDM_TRY(tdm__calloc_try(most, sizeof *terms, &terms));
    TDM_TRY(tdm__calloc_try(most, sizeof *factors, &factors));
    tdm_graph_push(g, "soft_sharing");
    for (size_t i = 0; i < net->n_variables; i++) {
        const tdm__segment *segment = tdm__flat_segment(net->flat, net->variables[i].segment);
        const char *name = tdm__column_part(model, 0, segment->name);
        if (!name || segment->kind != TDM__SEGMENT_PARAM || !segment->decay) continue;
        distances(model, net, name, terms + n);
        for (size_t t = 0; t < model->n_heads; t++)
            factors[n++] = (float)(s->lambda * (double)segment->count);
    }
    if (n > 0) total = tdm_weighted_sum(g, terms, factors, (int)n);
    tdm_graph_pop(g);
done:
    free(terms);
    free(factors);
    return status ? tdm_graph_fail(g, status, "out of memory") : total;
}

static const char *const options[] = {"model.soft_lambda", NULL};

const tdm__sharing tdm__sharing_soft = {
    .name = "soft",
    .options = options,
    .why_not_one = "gives each task a trunk of its own",
    .nothing_shared = true,
    .settings_size = sizeof(settings),
    .read = read,
    .build = build,
    .penalty = penalty,
};
