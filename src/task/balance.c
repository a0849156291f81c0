/* task/balance.c: the total loss by the method of the configuration, as graph values. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "task/balance_internal.h"

/* ---- options -----------------------------------------------------------------------------------
 */

static const tdm_opt_spec specs[] = {
    {"balance.kind", TDM_OPT_ENUM, "equal",
     .choices = "equal|fixed|uncertainty|dwa|rlw|dtp|gls|si|stch|uw-so|imtl-l",
     .help = "how the tasks' losses are weighed: all 1, tasks.NAME.weight, learnt (Kendall 2018), "
             "or one of the methods of the README's table"},
    {"balance.scale", TDM_OPT_ENUM, "sum", .choices = "sum|mean",
     .help = "weights that sum to 1 by their formula: sum multiplies them by the number of tasks, "
             "which makes them comparable with equal weights"},
    {"balance.initial_s", TDM_OPT_FLOAT, "1", TDM_OPT_MIN | TDM_OPT_MAX, -20, 20, .hint = "-1 to 1",
     .help = "uncertainty: first value of s = log sigma^2"},
    {"balance.likelihood", TDM_OPT_ENUM, "auto",
     .choices = "auto|gaussian|laplace|classification|uniform",
     .help = "uncertainty: form of the weight; auto: by each task's loss"},
    {"balance.dwa_temperature", TDM_OPT_FLOAT, "2", TDM_OPT_MIN_OPEN, 0, .hint = "2",
     .help = "dwa: the larger, the more equal the weights"},
    {"balance.rlw_distribution", TDM_OPT_ENUM, "normal",
     .choices = "normal|uniform|bernoulli|constrained|dirichlet",
     .help = "rlw: what each step's weights are drawn from; constrained: one task a step"},
    {"balance.dtp_gamma", TDM_OPT_FLOAT, "1", TDM_OPT_MIN, 0, .hint = "0.5 to 2",
     .help = "dtp: exponent of the focal weight"},
    {"balance.dtp_discount", TDM_OPT_FLOAT, "0.5", TDM_OPT_MIN_OPEN | TDM_OPT_MAX, 0, 1,
     .help = "dtp: share of the newest epoch in the running average of the indicator"},
    {"balance.stch_mu", TDM_OPT_FLOAT, "1", TDM_OPT_MIN_OPEN, 0, .hint = "0.1 to 1",
     .help = "stch: smoothness; the smaller, the nearer to the largest term alone"},
    {"balance.stch_warmup", TDM_OPT_INT, "4", TDM_OPT_MIN, 1,
     .help = "stch: epochs on the sum of log losses; the last one's mean losses become the "
             "reference"},
    {"balance.uw_so_temperature", TDM_OPT_FLOAT, "1", TDM_OPT_MIN_OPEN, 0,
     .help = "uw-so: of the softmax over inverse losses"},
};
const tdm_opt_table tdm_balance_options = {"balance", specs, sizeof specs / sizeof *specs};

static const struct {
    const char *name;
    int rule;    /* tdm_weight_rule of methods that use the kernel, else -1 */
    bool joint;  /* compares the losses of one batch: all tasks must be in it */
    bool scaled; /* its weights sum to 1: balance.scale applies */
} kinds[TDM__BALANCE_KINDS] = {
    [TDM__BALANCE_EQUAL] = {"equal", -1, false, false},
    [TDM__BALANCE_FIXED] = {"fixed", -1, false, false},
    [TDM__BALANCE_UNCERTAINTY] = {"uncertainty", -1, false, false},
    [TDM__BALANCE_DWA] = {"dwa", TDM_WEIGHT_GIVEN, false, false},
    [TDM__BALANCE_RLW] = {"rlw", TDM_WEIGHT_GIVEN, true, true},
    [TDM__BALANCE_DTP] = {"dtp", TDM_WEIGHT_GIVEN, false, false},
    [TDM__BALANCE_GLS] = {"gls", TDM_WEIGHT_GLS, true, false},
    [TDM__BALANCE_SI] = {"si", TDM_WEIGHT_SI, false, false},
    [TDM__BALANCE_STCH] = {"stch", TDM_WEIGHT_STCH, true, true},
    [TDM__BALANCE_UW_SO] = {"uw-so", TDM_WEIGHT_UW_SO, true, true},
    [TDM__BALANCE_IMTL_L] = {"imtl-l", -1, false, false},
};

static int index_of(const char *const *names, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(names[i], name)) return i;
    return -1;
}

static tdm_status read_choices(const tdm_config *config, tdm__balance *out)
{
    static const char *const forms[] = {"gaussian", "laplace", "classification", "uniform"};
    static const char *const draws[] = {"normal", "uniform", "bernoulli", "constrained",
                                        "dirichlet"};
    const char *kind, *form, *draw, *scale;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm_config_string(config, "balance.kind", &kind));
    TDM_TRY(tdm_config_string(config, "balance.likelihood", &form));
    TDM_TRY(tdm_config_string(config, "balance.rlw_distribution", &draw));
    TDM_TRY(tdm_config_string(config, "balance.scale", &scale));
    for (int k = 0; k < TDM__BALANCE_KINDS; k++)
        if (!strcmp(kinds[k].name, kind)) out->kind = (tdm__balance_kind)k;
    out->likelihood = index_of(forms, 4, form);
    out->rlw = (tdm__rlw_kind)index_of(draws, 5, draw);
    out->sum = !strcmp(scale, "sum");
done:
    return status;
}

/* A method that compares losses needs all of them in each batch. */
static tdm_status check_sampling(const tdm_config *config, const tdm__balance *b)
{
    const char *sampling;
    tdm_status status = tdm_config_string(config, "train.sampling", &sampling);
    if (status || !kinds[b->kind].joint || !strcmp(sampling, "joint")) return status;
    return tdm_config_reject(config, "balance.kind",
                             "compares the tasks' losses in each step, but with train.sampling: %s "
                             "a step has one task (hint: train.sampling: joint, or dwa, dtp, si, "
                             "imtl-l, uncertainty)",
                             sampling);
}

tdm_status tdm__balance_read(const tdm_config *config, const tdm__task *tasks, size_t n,
                             tdm__balance *out)
{
    tdm_status status = TDM_OK;
    (void)tasks, (void)n;
    TDM_TRY(read_choices(config, out));
    TDM_TRY(tdm_config_float(config, "balance.initial_s", &out->initial_s));
    TDM_TRY(tdm_config_float(config, "balance.dwa_temperature", &out->dwa_temperature));
    TDM_TRY(tdm_config_float(config, "balance.dtp_gamma", &out->dtp_gamma));
    TDM_TRY(tdm_config_float(config, "balance.dtp_discount", &out->dtp_discount));
    TDM_TRY(tdm_config_float(config, "balance.stch_mu", &out->stch_mu));
    TDM_TRY(tdm_config_int(config, "balance.stch_warmup", &out->stch_warmup));
    TDM_TRY(tdm_config_float(config, "balance.uw_so_temperature", &out->uw_so_temperature));
    TDM_TRY(check_sampling(config, out));
done:
    return status;
}

const char *tdm__balance_name(const tdm__balance *b)
{
    return kinds[b->kind].name;
}

/* ---- learnt weights ----------------------------------------------------------------------------
 */

tdm_likelihood tdm__balance_likelihood(const tdm__balance *b, const tdm__task *t)
{
    if (b->kind == TDM__BALANCE_IMTL_L) return TDM_LIKELIHOOD_IMTL;
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

void tdm__balance_variable(const tdm__balance *b, const tdm__task *t, tdm__str *out)
{
    const bool imtl = b->kind == TDM__BALANCE_IMTL_L;
    tdm__str_addf(out, "balance.%s.%s", t->name, imtl ? "log_scale" : "log_variance");
}

bool tdm__balance_learns(const tdm__balance *b)
{
    return b->kind == TDM__BALANCE_UNCERTAINTY || b->kind == TDM__BALANCE_IMTL_L;
}

bool tdm__balance_ruled(const tdm__balance *b)
{
    return kinds[b->kind].rule >= 0;
}

static tdm_value learnt_term(const tdm__balance *b, tdm_graph *g, const tdm__task *t,
                             tdm__loss_value loss, tdm__variable_fn variable, void *user)
{
    tdm__str name = {0};
    tdm__balance_variable(b, t, &name);
    const tdm__segment spec = {
        .name = name.text,
        .disk = tdm_desc_scalar(),
        .kind = TDM__SEGMENT_PARAM,
        .init = TDM__INIT_CONSTANT,
        .init_value = b->kind == TDM__BALANCE_IMTL_L ? 0 : b->initial_s}; /* s_0 = 0 in the paper */
    const tdm_status status = tdm__str_status(&name);
    const tdm_value term = status ? tdm_graph_fail(g, status, "out of memory")
                                  : tdm_uncertainty(g, loss.loss, variable(user, &spec), loss.total,
                                                    tdm__balance_likelihood(b, t));
    tdm__str_free(&name);
    return term;
}

/* ---- the total ---------------------------------------------------------------------------------
 */

/* Scalars as one vector; `missing` stands for those that are not there. */
static tdm_value gather(tdm_graph *g, const tdm_value *scalars, size_t n, float missing)
{
    static const int64_t one[] = {1};
    tdm_value *rows;
    const tdm_status status = tdm__calloc_try(n, sizeof *rows, &rows);
    if (status) return tdm_graph_fail(g, status, "out of memory");
    for (size_t i = 0; i < n; i++)
        rows[i] = scalars[i] < 0 ? tdm_graph_constant(g, tdm_desc_1(TDM_F32, 1), missing)
                                 : tdm_reshape(g, scalars[i], 1, one);
    const tdm_value all = n == 1 ? rows[0] : tdm_concat(g, rows, (int)n, 0);
    free(rows);
    return all;
}

/* By the kernel that makes the factors from the losses of the step. A task without a part in the
 * step counts as one that has nothing in the batch; a loss that does not tell what it was divided
 * by always counts. */
static tdm__total ruled_total(const tdm__balance *b, tdm_graph *g, const tdm__loss_value *losses,
                              size_t n, tdm__view given)
{
    tdm__total out = {TDM_NO_VALUE, TDM_NO_VALUE};
    tdm_value *scalars = NULL;
    const float parameter = b->kind == TDM__BALANCE_STCH    ? (float)b->stch_mu
                            : b->kind == TDM__BALANCE_UW_SO ? (float)b->uw_so_temperature
                                                            : 1;
    /* RLW's weights come scaled from the host. */
    const bool scaled = kinds[b->kind].scaled && kinds[b->kind].rule != TDM_WEIGHT_GIVEN && b->sum;
    const tdm_status status = tdm__calloc_try(n, sizeof *scalars, &scalars);
    if (status) {
        tdm_graph_fail(g, status, "out of memory");
        return out;
    }
    tdm_graph_push(g, "balance");
    for (size_t i = 0; i < n; i++) scalars[i] = losses[i].loss;
    const tdm_value all = gather(g, scalars, n, 1);
    for (size_t i = 0; i < n; i++) {
        scalars[i] = losses[i].loss < 0 ? TDM_NO_VALUE : losses[i].total;
        if (losses[i].loss >= 0 && losses[i].total < 0)
            scalars[i] = tdm_graph_constant(g, tdm_desc_scalar(), 1);
    }
    const tdm_value totals = gather(g, scalars, n, 0);
    const tdm_value numbers =
        tdm_graph_variable(g, "balance.given", tdm_desc_2(TDM_F32, 2, (int64_t)n), false);
    if (given.buffer) tdm__graph_place(g, numbers, given);
    out.loss = tdm_task_weights(g, all, totals, numbers, (tdm_weight_rule)kinds[b->kind].rule,
                                parameter, scaled ? (float)n : 1, &out.factors);
    tdm_graph_pop(g);
    free(scalars);
    return out;
}

tdm__total tdm__balance_total(const tdm__balance *b, tdm_graph *g, const tdm__task *tasks,
                              const tdm__loss_value *losses, size_t n, tdm__view given,
                              tdm__variable_fn variable, void *user)
{
    tdm__total out = {TDM_NO_VALUE, TDM_NO_VALUE};
    tdm_value *terms = NULL;
    float *weights = NULL;
    tdm_status status = TDM_OK;
    if (tdm__balance_ruled(b)) return ruled_total(b, g, losses, n, given);
    TDM_TRY(tdm__calloc_try(n, sizeof *terms, &terms));
    TDM_TRY(tdm__calloc_try(n, sizeof *weights, &weights));
    int used = 0;
    for (size_t i = 0; i < n; i++) {
        if (losses[i].loss < 0) continue;
        terms[used] = tdm__balance_learns(b)
                          ? learnt_term(b, g, &tasks[i], losses[i], variable, user)
                          : losses[i].loss;
        weights[used++] = b->kind == TDM__BALANCE_FIXED ? (float)tasks[i].weight : 1;
    }
    out.loss = tdm_weighted_sum(g, terms, weights, used);
done:
    free(terms);
    free(weights);
    if (status) tdm_graph_fail(g, status, "out of memory");
    return out;
}
