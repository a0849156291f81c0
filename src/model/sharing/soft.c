/* model/sharing/soft.c: soft parameter sharing: each task has a trunk of its own, below
 * model.prefix.TASK, and a term of the total draws the weights of the same layer together, by
 * lambda times a norm of the weight matrices and filters W_lt, summed over the layers l
 * (model.soft):
 *
 *     l2     sum_t |W_lt - mean_t W_lt|^2 (Duong et al., ACL 2015)
 *     trace  |[vec W_l1 .. vec W_lT]|_*, the sum of the singular values: few of them, so that the
 *            tasks' weights are combinations of few (Yang and Hospedales, ICLR-W 2017). From the
 *            eigenvalues of the T x T products of the tasks' weights, found on the device: a step
 * does not wait. Singular values below 3e-4 sqrt(T) of the largest count as zero, and have the
 *            subgradient 0
 *     l21    sum_o |(W_l1o, .., W_lTo)|_2, W_lto what makes output channel o of the layer in task
 * t: a channel is kept or left out by all tasks together (Argyriou, Evgeniou, Pontil, NIPS 2006;
 *            Yuan and Lin, 2006). Smoothed: sqrt(|.|^2 + 1e-12)
 *
 * All are part of the loss: what they draw to zero comes near it, and is not set to it as by a
 * proximal step.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/internal.h"

typedef enum norm { NORM_L2, NORM_TRACE, NORM_L21 } norm;

typedef struct settings {
    norm norm;
    double lambda;
} settings;

static tdm_status read(const tdm_config *config, const tdm__model *model, void *out)
{
    const char *sampling, *name;
    settings *s = out;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm_config_float(config, "model.soft_lambda", &s->lambda));
    TDM_TRY(tdm_config_string(config, "model.soft", &name));
    TDM_TRY(tdm_config_string(config, "train.sampling", &sampling));
    s->norm = !strcmp(name, "trace") ? NORM_TRACE : !strcmp(name, "l21") ? NORM_L21 : NORM_L2;
    if (strcmp(sampling, "joint") != 0)
        TDM_TRY(tdm_config_reject(config, "model.sharing",
                                  "soft sharing compares the tasks' weights in each step, but with "
                                  "train.sampling: %s a step has one task (hint: joint)",
                                  sampling));
    if (s->norm == NORM_TRACE && model->n_heads > TDM_TRACE_ROOT_ROWS)
        TDM_TRY(tdm_config_reject(config, "model.soft", "the trace norm takes at most %d tasks",
                                  TDM_TRACE_ROOT_ROWS));
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

/* ---- the terms of a layer ----------------------------------------------------------------------
 */

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

/* Terms of the penalty, whose number a layer adds to, and their factors. */
typedef struct terms {
    tdm_value *values;
    float *factors;
    size_t n;
} terms;

static void add_term(terms *to, tdm_value value, double factor)
{
    to->values[to->n] = value;
    to->factors[to->n++] = (float)factor;
}

/* sum_t |W_t - mean W|^2, as T terms, which are means over the elements. The mean is held constant:
 * by it the derivative is 2 sum_t (mean W - W_t) = 0. */
static void add_distances(tdm_graph *g, const tdm_value *w, size_t n, double lambda, terms *to)
{
    tdm_value sum = w[0];
    for (size_t t = 1; t < n; t++) sum = tdm_add(g, sum, w[t]);
    const tdm_value mean = tdm_detach(g, tdm_scale(g, sum, 1 / (float)n));
    const tdm_desc *d = tdm_graph_desc(g, sum);
    for (size_t t = 0; d && t < n; t++)
        add_term(to, tdm_l2_loss(g, w[t], mean, TDM_NO_VALUE), lambda * (double)tdm_desc_count(d));
}

static void add_trace(tdm_graph *g, const tdm_value *w, size_t n, double lambda, terms *to)
{
    const tdm_value products = tdm_products(g, w, (int)n, w, (int)n, false);
    add_term(to, tdm_trace_root(g, products, 0), lambda);
}

/* Filters of transposed convolutions have their outputs on another axis: of those the rows are the
 * input channels. */
static void add_rows(tdm_graph *g, const tdm_value *w, size_t n, double lambda, terms *to)
{
    tdm_value sum = TDM_NO_VALUE;
    for (size_t t = 0; t < n; t++) {
        const tdm_value squares = tdm_products(g, &w[t], 1, &w[t], 1, true);
        sum = t == 0 ? squares : tdm_add(g, sum, squares);
    }
    add_term(to, tdm_root_sum(g, sum, 1e-12f), lambda);
}

static tdm_status add_layer(const tdm__model *model, tdm__net *net, const char *name, terms *to)
{
    static void (*const add[])(tdm_graph *, const tdm_value *, size_t, double, terms *) = {
        [NORM_L2] = add_distances, [NORM_TRACE] = add_trace, [NORM_L21] = add_rows};
    const settings *s = model->settings;
    tdm_value *w = NULL;
    const tdm_status status = tdm__calloc_try(model->n_heads, sizeof *w, &w);
    if (status) return status;
    for (size_t t = 0; t < model->n_heads; t++) w[t] = twin_of(model, net, t, name);
    add[s->norm](net->graph, w, model->n_heads, s->lambda, to);
    free(w);
    return TDM_OK;
}

static tdm_value penalty(const tdm__model *model, tdm__net *net)
{
    const settings *s = model->settings;
    tdm_status status = TDM_OK;
    tdm_graph *g = net->graph;
    terms to = {0};
    tdm_value total = TDM_NO_VALUE;
    const size_t most = net->n_variables * model->n_heads;
    if (model->n_heads < 2 || !(s->lambda > 0)) return TDM_NO_VALUE;
    TDM_TRY(tdm__calloc_try(most, sizeof *to.values, &to.values));
    TDM_TRY(tdm__calloc_try(most, sizeof *to.factors, &to.factors));
    tdm_graph_push(g, "soft_sharing");
    for (size_t i = 0; i < net->n_variables && !status; i++) {
        const tdm__segment *segment = tdm__flat_segment(net->flat, net->variables[i].segment);
        const char *name = tdm__column_part(model, 0, segment->name);
        if (name && tdm__column_weight(model, segment)) status = add_layer(model, net, name, &to);
    }
    if (!status && to.n > 0) total = tdm_weighted_sum(g, to.values, to.factors, (int)to.n);
    tdm_graph_pop(g);
done:
    free(to.values);
    free(to.factors);
    return status ? tdm_graph_fail(g, status, "out of memory") : total;
}

static const char *const options[] = {"model.soft", "model.soft_lambda", NULL};

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
