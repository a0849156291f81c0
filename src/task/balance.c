/* task/balance.c: the total loss: equal, fixed or learnt weights (METHODS 1 and 2). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "task/task.h"

static const tdm_opt_spec specs[] = {
    {"balance.kind", TDM_OPT_ENUM, "equal", .choices = "equal|fixed|uncertainty",
     .help =
         "how the tasks' losses are weighed: all 1, tasks.NAME.weight, or learnt (Kendall 2018)"},
    {"balance.initial_s", TDM_OPT_FLOAT, "1", TDM_OPT_MIN | TDM_OPT_MAX, -20, 20, .hint = "-1 to 1",
     .help = "uncertainty: first value of s = log sigma^2"},
    {"balance.likelihood", TDM_OPT_ENUM, "auto",
     .choices = "auto|gaussian|laplace|classification|uniform",
     .help = "uncertainty: form of the weight; auto: by each task's loss"},
};
const tdm_opt_table tdm_balance_options = {"balance", specs, sizeof specs / sizeof *specs};

static int index_of(const char *const *names, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(names[i], name)) return i;
    return -1;
}

tdm_status tdm__balance_read(const tdm_config *config, tdm__balance *out)
{
    static const char *const kinds[] = {"equal", "fixed", "uncertainty"};
    static const char *const forms[] = {"gaussian", "laplace", "classification", "uniform"};
    const char *kind, *form;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm_config_string(config, "balance.kind", &kind));
    TDM_TRY(tdm_config_string(config, "balance.likelihood", &form));
    TDM_TRY(tdm_config_float(config, "balance.initial_s", &out->initial_s));
    out->kind = (tdm__balance_kind)index_of(kinds, 3, kind);
    out->likelihood = index_of(forms, 4, form);
done:
    return status;
}

static tdm_likelihood likelihood_of(const tdm__balance *b, const tdm__task *t)
{
    if (b->likelihood >= 0) return (tdm_likelihood)b->likelihood;
    switch (t->loss) {
    case TDM__LOSS_L2:
        return TDM_LIKELIHOOD_GAUSSIAN;
    case TDM__LOSS_L1:
    case TDM__LOSS_HUBER:
        return TDM_LIKELIHOOD_LAPLACE;
    default:
        return TDM_LIKELIHOOD_CLASSIFICATION;
    }
}

static void variance_name(const tdm__task *t, tdm__str *out)
{
    tdm__str_addf(out, "balance.%s.log_variance", t->name);
}

static tdm_value learnt_term(const tdm__balance *b, tdm_graph *g, const tdm__task *t,
                             tdm__loss_value loss, tdm__variable_fn variable, void *user)
{
    tdm__str name = {0};
    variance_name(t, &name);
    const tdm__segment spec = {.name = name.text,
                               .disk = tdm_desc_scalar(),
                               .kind = TDM__SEGMENT_PARAM,
                               .init = TDM__INIT_CONSTANT,
                               .init_value = b->initial_s};
    const tdm_status status = tdm__str_status(&name);
    const tdm_value term = status ? tdm_graph_fail(g, status, "out of memory")
                                  : tdm_uncertainty(g, loss.loss, variable(user, &spec), loss.total,
                                                    likelihood_of(b, t));
    tdm__str_free(&name);
    return term;
}

static tdm_value term_of(const tdm__balance *b, tdm_graph *g, const tdm__task *t,
                         tdm__loss_value loss, tdm__variable_fn variable, void *user)
{
    return b->kind == TDM__BALANCE_UNCERTAINTY ? learnt_term(b, g, t, loss, variable, user)
                                               : loss.loss;
}

tdm_value tdm__balance_total(const tdm__balance *b, tdm_graph *g, const tdm__task *tasks,
                             const tdm__loss_value *losses, size_t n, tdm__variable_fn variable,
                             void *user)
{
    tdm_value *terms = NULL, total = TDM_NO_VALUE;
    float *weights = NULL;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__calloc_try(n, sizeof *terms, &terms));
    TDM_TRY(tdm__calloc_try(n, sizeof *weights, &weights));
    int used = 0;
    for (size_t i = 0; i < n; i++) {
        if (losses[i].loss < 0) continue;
        terms[used] = term_of(b, g, &tasks[i], losses[i], variable, user);
        weights[used++] = b->kind == TDM__BALANCE_FIXED ? (float)tasks[i].weight : 1;
    }
    total = tdm_weighted_sum(g, terms, weights, used);
done:
    free(terms);
    free(weights);
    return status ? tdm_graph_fail(g, status, "out of memory") : total;
}

tdm_status tdm__balance_weight(const tdm__balance *b, const tdm__task *t, tdm__flat *flat,
                               double *out)
{
    *out = b->kind == TDM__BALANCE_FIXED ? t->weight : 1;
    if (b->kind != TDM__BALANCE_UNCERTAINTY) return TDM_OK;
    tdm__str name = {0};
    variance_name(t, &name);
    const size_t index = tdm__flat_find(flat, tdm__str_text(&name));
    tdm__str_free(&name);
    float s = 0;
    tdm_status status = index == SIZE_MAX
                            ? tdm__fail(TDM_ERR_STATE, "no weight for task '%s'", t->name)
                            : tdm__flat_get(flat, index, &s);
    switch (likelihood_of(b, t)) {
    case TDM_LIKELIHOOD_GAUSSIAN:
    case TDM_LIKELIHOOD_UNIFORM:
        *out = 0.5 * exp(-(double)s);
        break;
    case TDM_LIKELIHOOD_LAPLACE:
        *out = exp(-(double)s / 2);
        break;
    case TDM_LIKELIHOOD_CLASSIFICATION:
        *out = exp(-(double)s);
        break;
    }
    return status;
}
