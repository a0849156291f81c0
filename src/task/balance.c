/* task/balance.c: the total loss by the method of the configuration, as graph values. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "task/balance_internal.h"

/* ---- options -----------------------------------------------------------------------------------
 */

static const tdm_opt_spec specs[] = {
    {"balance.kind", TDM_OPT_ENUM, "equal",
     .choices = "equal|fixed|uncertainty|dwa|rlw|dtp|gls|si|stch|uw-so|imtl-l|famo|gradnorm|mgda|"
                "cagrad|imtl-g|imtl|"
                "nash|fairgrad|aligned|pcgrad|gradvac|upgrad|graddrop|db-mtl",
     .help = "how the tasks are balanced: losses weighed all 1, by tasks.NAME.weight, learnt "
             "(Kendall 2018), or by another method of the README's table; from mgda on, by what "
             "becomes of the tasks' gradients"},
    {"balance.losses", TDM_OPT_ENUM, "equal",
     .choices = "equal|fixed|uncertainty|dwa|rlw|dtp|si|imtl-l",
     .help = "for methods that combine gradients: how the losses are weighed before"},
    {"balance.gradients", TDM_OPT_ENUM, "shared", .choices = "shared|representation",
     .help = "for methods on gradients: those of the shared parameters (gradnorm: of the last "
             "layer), or of the representation that all heads read (the UB form: one backward "
             "pass of the trunk)"},
    {"balance.scale", TDM_OPT_ENUM, "sum", .choices = "sum|mean",
     .help = "weights that sum to 1 by their formula: sum multiplies them by the number of tasks, "
             "which makes them comparable with equal weights"},
    {"balance.initial_s", TDM_OPT_FLOAT, "1", TDM_OPT_MIN | TDM_OPT_MAX, -20, 20, .hint = "-1 to 1",
     .help = "uncertainty: first value of s = log sigma^2"},
    {"balance.likelihood", TDM_OPT_ENUM, "auto",
     .choices = "auto|gaussian|laplace|classification|uniform",
     .help = "uncertainty: form of the weight; auto: by each task's loss"},
    {"balance.regulariser", TDM_OPT_ENUM, "log-sigma", .choices = "log-sigma|log-1-plus-variance",
     .help = "uncertainty: what keeps sigma from growing; log(1 + sigma^2) keeps the total at or "
             "above 0 (with likelihood: uniform the form of Liebel and Koerner 2018)"},
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
    {"balance.gradnorm_alpha", TDM_OPT_FLOAT, "1.5", TDM_OPT_MIN, 0, .hint = "0.1 to 2",
     .help = "gradnorm: how strongly the slower tasks are favoured"},
    {"balance.gradnorm_lr", TDM_OPT_FLOAT, "0.025", TDM_OPT_MIN_OPEN, 0, .hint = "0.001 to 0.05",
     .help = "gradnorm: learning rate of the weights"},
    {"balance.famo_lr", TDM_OPT_FLOAT, "0.025", TDM_OPT_MIN_OPEN, 0, .hint = "0.001 to 0.05",
     .help = "famo: learning rate of the logits of the weights (Adam)"},
    {"balance.famo_decay", TDM_OPT_FLOAT, "1e-3", TDM_OPT_MIN, 0, .hint = "1e-4 to 1e-2",
     .help = "famo: weight decay of the logits; the larger, the more equal the weights"},
    {"balance.cagrad_c", TDM_OPT_FLOAT, "0.4", TDM_OPT_MIN, 0, .hint = "0.2 to 0.5",
     .help = "cagrad: how far from the mean gradient the update may go"},
    {"balance.cagrad_rescale", TDM_OPT_INT, "1", TDM_OPT_MIN | TDM_OPT_MAX, 0, 2,
     .help = "cagrad: 1 divides the update by 1 + c^2, 2 by 1 + c, 0 by nothing"},
    {"balance.fairgrad_alpha", TDM_OPT_FLOAT, "2", TDM_OPT_MIN_OPEN, 0, .hint = "1 to 2",
     .help = "fairgrad: of alpha-fairness; 1 is nash"},
    {"balance.max_norm", TDM_OPT_FLOAT, "1", TDM_OPT_MIN, 0,
     .help = "nash, fairgrad: largest norm of the shared parameters' update; 0: no limit"},
    {"balance.gradvac_beta", TDM_OPT_FLOAT, "0.01", TDM_OPT_MIN | TDM_OPT_MAX, 0, 1,
     .help = "gradvac: share of the newest step in the running target of each cosine"},
    {"balance.db_beta", TDM_OPT_FLOAT, "0.9", TDM_OPT_MIN | TDM_OPT_MAX_OPEN, 0, 1,
     .help = "db-mtl: share of the past in the running mean of the gradients, in the first step"},
    {"balance.db_sigma", TDM_OPT_FLOAT, "0", TDM_OPT_MIN, 0, .hint = "0 to 0.5",
     .help = "db-mtl: that share falls as step^-sigma"},
    {"balance.instance_weighting", TDM_OPT_BOOL, "false",
     .help =
         "samples of auxiliary tasks (tasks.NAME.role) count by the cosine of their gradient with "
         "the targets' mean one, at what all heads read; those that point elsewhere not at all"},
    {"balance.graddrop_leak", TDM_OPT_FLOAT, "0", TDM_OPT_MIN | TDM_OPT_MAX, 0, 1,
     .help = "graddrop: share of the dropped sign that stays"},
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
    [TDM__BALANCE_GRADNORM] = {"gradnorm", TDM_WEIGHT_GIVEN, true, false},
    [TDM__BALANCE_FAMO] = {"famo", TDM_WEIGHT_FAMO, true, true},
};

/* Names in balance.kind of what becomes of the gradients. */
static const struct {
    const char *name;
    tdm__combine combine;
} combines[] = {
    {"mgda", TDM__COMBINE_MGDA},         {"cagrad", TDM__COMBINE_CAGRAD},
    {"imtl-g", TDM__COMBINE_IMTL_G},     {"imtl", TDM__COMBINE_IMTL_G},
    {"nash", TDM__COMBINE_NASH},         {"fairgrad", TDM__COMBINE_FAIRGRAD},
    {"aligned", TDM__COMBINE_ALIGNED},   {"pcgrad", TDM__COMBINE_PCGRAD},
    {"gradvac", TDM__COMBINE_GRADVAC},   {"upgrad", TDM__COMBINE_UPGRAD},
    {"graddrop", TDM__COMBINE_GRADDROP}, {"gradnorm", TDM__COMBINE_GRADNORM},
    {"db-mtl", TDM__COMBINE_DB_MTL},
};
enum { COMBINE_NAMES = sizeof combines / sizeof *combines };

static int index_of(const char *const *names, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(names[i], name)) return i;
    return -1;
}

/* Splits a kind into what becomes of the gradients, and of the losses before. */
static tdm_status read_combination(const tdm_config *config, const char *kind, tdm__balance *out,
                                   const char **losses)
{
    const char *before;
    tdm_status status = tdm_config_string(config, "balance.losses", &before);
    const bool given = !status && strcmp(before, "equal") != 0;
    *losses = kind;
    for (int k = 0; k < COMBINE_NAMES; k++)
        if (!strcmp(combines[k].name, kind)) out->combine.kind = combines[k].combine;
    if (status) return status;
    if (out->combine.kind == TDM__COMBINE_NONE)
        return given ? tdm_config_reject(config, "balance.losses",
                                         "has no effect with balance.kind: %s, which combines no "
                                         "gradients (hint: put it in balance.kind)",
                                         kind)
                     : TDM_OK;
    *losses = before;
    if (out->combine.kind == TDM__COMBINE_GRADNORM) {
        *losses = kind;
        return given ? tdm_config_reject(config, "balance.losses",
                                         "has no effect with gradnorm, which weighs the losses")
                     : TDM_OK;
    }
    if (out->combine.kind == TDM__COMBINE_DB_MTL) {
        *losses = "si";
        if (given && strcmp(before, "si"))
            return tdm_config_reject(config, "balance.losses",
                                     "db-mtl takes the losses' logarithms");
    }
    if (!strcmp(kind, "imtl")) {
        *losses = "imtl-l";
        if (given && strcmp(before, "imtl-l"))
            return tdm_config_reject(
                config, "balance.losses",
                "imtl weighs the losses by imtl-l (hint: imtl-g takes others)");
    }
    if (given && out->combine.kind == TDM__COMBINE_NASH)
        return tdm_config_reject(config, "balance.losses",
                                 "nash finds the same update however the losses are scaled");
    return TDM_OK;
}

static tdm_status read_combine(const tdm_config *config, tdm__combine_spec *out)
{
    int64_t rescale;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm_config_float(config, "balance.cagrad_c", &out->cagrad_c));
    TDM_TRY(tdm_config_int(config, "balance.cagrad_rescale", &rescale));
    TDM_TRY(tdm_config_float(config, "balance.fairgrad_alpha", &out->fairgrad_alpha));
    TDM_TRY(tdm_config_float(config, "balance.max_norm", &out->max_norm));
    TDM_TRY(tdm_config_float(config, "balance.gradvac_beta", &out->gradvac_beta));
    TDM_TRY(tdm_config_float(config, "balance.graddrop_leak", &out->leak));
    TDM_TRY(tdm_config_float(config, "balance.db_beta", &out->db_beta));
    TDM_TRY(tdm_config_float(config, "balance.db_sigma", &out->db_sigma));
    out->cagrad_rescale = (int)rescale;
done:
    return status;
}

/* Gradients of a representation belong to the samples of a batch, those of parameters to all. */
static tdm_status read_of_what(const tdm_config *config, const char *kind, tdm__balance *out)
{
    const char *of;
    const tdm_status status = tdm_config_string(config, "balance.gradients", &of);
    const tdm__combine combine = out->combine.kind;
    if (status || !strcmp(of, "shared")) return status;
    out->combine.representation = true;
    if (combine == TDM__COMBINE_NONE)
        return tdm_config_reject(config, "balance.gradients",
                                 "has no effect with balance.kind: %s, which combines no gradients",
                                 kind);
    if (combine == TDM__COMBINE_DB_MTL || combine == TDM__COMBINE_GRADDROP)
        return tdm_config_reject(config, "balance.gradients", "%s %s (hint: shared)", kind,
                                 combine == TDM__COMBINE_DB_MTL
                                     ? "keeps means over batches, but a representation is of one"
                                     : "drops elements of the shared parameters' gradients");
    return TDM_OK;
}

static tdm_status read_choices(const tdm_config *config, tdm__balance *out)
{
    static const char *const forms[] = {"gaussian", "laplace", "classification", "uniform"};
    static const char *const draws[] = {"normal", "uniform", "bernoulli", "constrained",
                                        "dirichlet"};
    const char *kind, *losses, *form, *draw, *scale, *regulariser;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm_config_string(config, "balance.kind", &kind));
    TDM_TRY(tdm_config_string(config, "balance.likelihood", &form));
    TDM_TRY(tdm_config_string(config, "balance.regulariser", &regulariser));
    TDM_TRY(tdm_config_string(config, "balance.rlw_distribution", &draw));
    TDM_TRY(tdm_config_string(config, "balance.scale", &scale));
    TDM_TRY(read_combination(config, kind, out, &losses));
    TDM_TRY(read_of_what(config, kind, out));
    for (int k = 0; k < TDM__BALANCE_KINDS; k++)
        if (!strcmp(kinds[k].name, losses)) out->kind = (tdm__balance_kind)k;
    out->likelihood = index_of(forms, 4, form);
    out->positive = out->kind == TDM__BALANCE_UNCERTAINTY && strcmp(regulariser, "log-sigma") != 0;
    out->rlw = (tdm__rlw_kind)index_of(draws, 5, draw);
    out->sum = out->combine.sum = !strcmp(scale, "sum");
done:
    return status;
}

/* A method that compares losses needs all of them in each batch. */
static tdm_status check_sampling(const tdm_config *config, const tdm__balance *b)
{
    const char *sampling;
    tdm_status status = tdm_config_string(config, "train.sampling", &sampling);
    const bool combines_any = b->combine.kind != TDM__COMBINE_NONE;
    if (status || !strcmp(sampling, "joint") || !(kinds[b->kind].joint || combines_any))
        return status;
    return tdm_config_reject(config, "balance.kind",
                             "compares the tasks' %s in each step, but with train.sampling: %s "
                             "a step has one task (hint: train.sampling: joint, or dwa, dtp, si, "
                             "imtl-l, uncertainty)",
                             combines_any ? "gradients" : "losses", sampling);
}

/* It weighs gradients where the heads begin. */
static tdm_status read_instances(const tdm_config *config, tdm__balance *out)
{
    const char *const key = "balance.instance_weighting", *sampling;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm_config_bool(config, key, &out->instances));
    TDM_TRY(tdm_config_string(config, "train.sampling", &sampling));
    if (!out->instances) goto done;
    if (strcmp(sampling, "joint") != 0)
        TDM_TRY(tdm_config_reject(config, key,
                                  "compares the tasks' gradients of each batch, but with "
                                  "train.sampling: %s a step has one task (hint: joint)",
                                  sampling));
    if (out->combine.kind != TDM__COMBINE_NONE && out->combine.kind != TDM__COMBINE_GRADNORM &&
        !out->combine.representation)
        TDM_TRY(
            tdm_config_reject(config, key,
                              "weighs gradients of the representation, but balance.kind combines "
                              "those of the shared parameters (hint: balance.gradients: "
                              "representation)"));
done:
    return status;
}

tdm_status tdm__balance_read(const tdm_config *config, tdm__balance *out)
{
    tdm_status status = TDM_OK;
    TDM_TRY(read_choices(config, out));
    TDM_TRY(read_combine(config, &out->combine));
    TDM_TRY(tdm_config_float(config, "balance.initial_s", &out->initial_s));
    TDM_TRY(tdm_config_float(config, "balance.dwa_temperature", &out->dwa_temperature));
    TDM_TRY(tdm_config_float(config, "balance.dtp_gamma", &out->dtp_gamma));
    TDM_TRY(tdm_config_float(config, "balance.dtp_discount", &out->dtp_discount));
    TDM_TRY(tdm_config_float(config, "balance.stch_mu", &out->stch_mu));
    TDM_TRY(tdm_config_int(config, "balance.stch_warmup", &out->stch_warmup));
    TDM_TRY(tdm_config_float(config, "balance.gradnorm_alpha", &out->gradnorm_alpha));
    TDM_TRY(tdm_config_float(config, "balance.gradnorm_lr", &out->gradnorm_rate));
    TDM_TRY(tdm_config_float(config, "balance.famo_lr", &out->famo_rate));
    TDM_TRY(tdm_config_float(config, "balance.famo_decay", &out->famo_decay));
    TDM_TRY(tdm_config_float(config, "balance.uw_so_temperature", &out->uw_so_temperature));
    TDM_TRY(check_sampling(config, out));
    TDM_TRY(read_instances(config, out));
done:
    return status;
}

const char *tdm__balance_name(const tdm__balance *b)
{
    return kinds[b->kind].name;
}

const char *tdm__combine_name(const tdm__balance *b)
{
    if (b->combine.kind == TDM__COMBINE_IMTL_G && b->kind == TDM__BALANCE_IMTL_L) return "imtl";
    for (int k = 0; k < COMBINE_NAMES; k++)
        if (combines[k].combine == b->combine.kind) return combines[k].name;
    return NULL;
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
                                                    tdm__balance_likelihood(b, t), b->positive);
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
    const tdm_value all = n == 1 ? tdm_scale(g, rows[0], 1) : tdm_concat(g, rows, (int)n, 0);
    free(rows);
    return all;
}

/* By the kernel that makes the factors from the losses of the step. A task without a part in the
 * step counts as one that has nothing in the batch; a loss that does not tell what it was divided
 * by always counts. */
static tdm__total ruled_total(const tdm__balance *b, tdm_graph *g, const tdm__loss_value *losses,
                              size_t n, tdm__view given)
{
    tdm__total out = {TDM_NO_VALUE, TDM_NO_VALUE, TDM_NO_VALUE};
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
    out.losses = gather(g, scalars, n, 1);
    for (size_t i = 0; i < n; i++) {
        scalars[i] = losses[i].loss < 0 ? TDM_NO_VALUE : losses[i].total;
        if (losses[i].loss >= 0 && losses[i].total < 0)
            scalars[i] = tdm_graph_constant(g, tdm_desc_scalar(), 1);
    }
    const tdm_value totals = gather(g, scalars, n, 0);
    const tdm_value numbers =
        tdm_graph_variable(g, "balance.given", tdm_desc_2(TDM_F32, 2, (int64_t)n), false);
    if (given.buffer) tdm__graph_place(g, numbers, given);
    out.loss =
        tdm_task_weights(g, out.losses, totals, numbers, (tdm_weight_rule)kinds[b->kind].rule,
                         parameter, scaled ? (float)n : 1, &out.factors);
    tdm_graph_pop(g);
    free(scalars);
    return out;
}

tdm__total tdm__balance_total(const tdm__balance *b, tdm_graph *g, const tdm__task *tasks,
                              const tdm__loss_value *losses, size_t n, tdm__view given,
                              tdm__variable_fn variable, void *user, tdm_value *terms)
{
    tdm__total out = {TDM_NO_VALUE, TDM_NO_VALUE, TDM_NO_VALUE};
    tdm_value *there = NULL;
    float *weights = NULL;
    tdm_status status = TDM_OK;
    for (size_t i = 0; i < n; i++) terms[i] = losses[i].loss;
    if (tdm__balance_ruled(b)) return ruled_total(b, g, losses, n, given);
    TDM_TRY(tdm__calloc_try(n, sizeof *there, &there));
    TDM_TRY(tdm__calloc_try(n, sizeof *weights, &weights));
    int used = 0;
    for (size_t i = 0; i < n; i++) {
        if (losses[i].loss < 0) continue;
        if (tdm__balance_learns(b))
            terms[i] = learnt_term(b, g, &tasks[i], losses[i], variable, user);
        there[used] = terms[i];
        weights[used++] = b->kind == TDM__BALANCE_FIXED ? (float)tasks[i].weight : 1;
    }
    out.loss = tdm_weighted_sum(g, there, weights, used);
done:
    free(there);
    free(weights);
    if (status) tdm_graph_fail(g, status, "out of memory");
    return out;
}
