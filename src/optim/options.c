/* optim/options.c: the options of optimisers and schedules, and how they are read. */
#include <string.h>

#include "base/error.h"
#include "optim/optim.h"

static const tdm_opt_spec optim_specs[] = {
    {"optim.kind", TDM_OPT_ENUM, "adam", .choices = "sgd|adam|adamw",
     .help = "update rule, as in torch.optim"},
    {"optim.lr", TDM_OPT_FLOAT, "1e-3", TDM_OPT_MIN_OPEN, 0, .hint = "1e-4 to 1e-1",
     .help = "learning rate, before the schedule"},
    {"optim.momentum", TDM_OPT_FLOAT, "0", TDM_OPT_MIN | TDM_OPT_MAX_OPEN, 0, 1, .hint = "0.9",
     .help = "sgd: share of the last direction that is kept"},
    {"optim.nesterov", TDM_OPT_BOOL, "false", .help = "sgd: look ahead along the momentum"},
    {"optim.dampening", TDM_OPT_FLOAT, "0", TDM_OPT_MIN | TDM_OPT_MAX, 0, 1,
     .help = "sgd: share of the gradient kept out of the momentum"},
    {"optim.betas", TDM_OPT_FLOATS, "[0.9, 0.999]", TDM_OPT_MIN | TDM_OPT_MAX_OPEN, 0, 1,
     .help = "adam, adamw: decay of the running mean and mean square"},
    {"optim.eps", TDM_OPT_FLOAT, "1e-8", TDM_OPT_MIN, 0,
     .help = "adam, adamw: added to the root of the mean square"},
    {"optim.weight_decay", TDM_OPT_FLOAT, "0", TDM_OPT_MIN, 0, .hint = "0 to 1e-1",
     .help = "of weights (not of biases, norms, log-variances); decoupled for adamw"},
    {"optim.l2_sp", TDM_OPT_FLOAT, "0", TDM_OPT_MIN, 0, .hint = "1e-3 to 1e-1",
     .help = "pull of loaded weights towards the values they were loaded with, in place of "
             "weight_decay (L2-SP)"},
    {"optim.l2_sp_new", TDM_OPT_FLOAT, "0", TDM_OPT_MIN, 0, .hint = "1e-2",
     .help = "with l2_sp: decay of the weights that were not loaded"},
    {"optim.clip_norm", TDM_OPT_FLOAT, "0", TDM_OPT_MIN, 0, .hint = "1 to 10",
     .help = "largest norm of all gradients together; 0: no limit"},
    {"optim.clip_value", TDM_OPT_FLOAT, "0", TDM_OPT_MIN, 0,
     .help = "largest magnitude of a gradient's element, after clip_norm; 0: no limit"},
    {"optim.groups", TDM_OPT_STRINGS, "[]", .hint = "[encoder = 0.1, heads.mask = 2]",
     .help = "factors of the learning rate by name pattern; the last that matches counts"},
    {"optim.block_decay", TDM_OPT_FLOAT, "1", TDM_OPT_MIN_OPEN | TDM_OPT_MAX, 0, 1,
     .hint = "0.5 to 1",
     .help = "factor of the learning rate from each block of the trunk to the one before it"},
    {"optim.accumulate", TDM_OPT_INT, "1", TDM_OPT_MIN | TDM_OPT_MAX, 1, 1 << 20,
     .help = "batches whose mean gradient makes one step"},
};
const tdm_opt_table tdm_optim_options = {"optim", optim_specs,
                                         sizeof optim_specs / sizeof *optim_specs};

static const tdm_opt_spec schedule_specs[] = {
    {"schedule.kind", TDM_OPT_ENUM, "constant",
     .choices = "constant|step|multistep|exponential|cosine|linear",
     .help = "learning rate over the epochs, as in torch.optim.lr_scheduler"},
    {"schedule.step_size", TDM_OPT_INT, "100", TDM_OPT_MIN, 1,
     .help = "step: epochs between two drops"},
    {"schedule.milestones", TDM_OPT_INTS, "[]", TDM_OPT_MIN, 1,
     .help = "multistep: epochs before which the rate drops, rising"},
    {"schedule.gamma", TDM_OPT_FLOAT, "0.5", TDM_OPT_MIN_OPEN | TDM_OPT_MAX, 0, 1,
     .help = "step, multistep, exponential: factor of a drop"},
    {"schedule.min_lr", TDM_OPT_FLOAT, "0", TDM_OPT_MIN, 0,
     .help = "cosine, linear: rate at the end"},
    {"schedule.epochs", TDM_OPT_INT, "0", TDM_OPT_MIN, 0,
     .help = "cosine, linear: length; 0: train.epochs"},
    {"schedule.warmup_steps", TDM_OPT_INT, "0", TDM_OPT_MIN, 0,
     .help = "steps over which the rate rises to the schedule's"},
    {"schedule.warmup_epochs", TDM_OPT_FLOAT, "0", TDM_OPT_MIN, 0,
     .help = "the same in epochs, where warmup_steps is 0"},
    {"schedule.warmup_factor", TDM_OPT_FLOAT, "1e-3", TDM_OPT_MIN | TDM_OPT_MAX, 0, 1,
     .help = "what the warm-up begins with, as a share of the schedule's rate"},
};
const tdm_opt_table tdm_schedule_options = {"schedule", schedule_specs,
                                            sizeof schedule_specs / sizeof *schedule_specs};

/* Position of a name in the choices of an enum, which are in the order of the C enum. */
static tdm_status read_kind(const tdm_config *config, const char *key, const char *const *names,
                            int *out)
{
    const char *text;
    tdm_status status = tdm_config_string(config, key, &text);
    for (*out = 0; !status && strcmp(names[*out], text) != 0;) ++*out;
    return status;
}

tdm_status tdm__optim_spec_read(const tdm_config *config, tdm__optim_spec *out)
{
    static const char *const kinds[] = {"sgd", "adam", "adamw"};
    const double *betas;
    size_t n_betas;
    int64_t accumulate;
    int kind;
    tdm_status status = TDM_OK;
    memset(out, 0, sizeof *out);
    TDM_TRY(read_kind(config, "optim.kind", kinds, &kind));
    out->kind = (tdm__optim_kind)kind;
    TDM_TRY(tdm_config_float(config, "optim.lr", &out->lr));
    TDM_TRY(tdm_config_float(config, "optim.momentum", &out->momentum));
    TDM_TRY(tdm_config_bool(config, "optim.nesterov", &out->nesterov));
    TDM_TRY(tdm_config_float(config, "optim.dampening", &out->dampening));
    TDM_TRY(tdm_config_floats(config, "optim.betas", &betas, &n_betas));
    TDM_TRY(tdm_config_float(config, "optim.eps", &out->eps));
    TDM_TRY(tdm_config_float(config, "optim.weight_decay", &out->weight_decay));
    TDM_TRY(tdm_config_float(config, "optim.l2_sp", &out->l2_sp));
    TDM_TRY(tdm_config_float(config, "optim.l2_sp_new", &out->l2_sp_new));
    TDM_TRY(tdm_config_float(config, "optim.clip_norm", &out->clip_norm));
    TDM_TRY(tdm_config_float(config, "optim.clip_value", &out->clip_value));
    TDM_TRY(tdm_config_int(config, "optim.accumulate", &accumulate));
    out->accumulate = (int)accumulate;
    if (n_betas != 2)
        TDM_TRY(tdm_config_reject(config, "optim.betas", "must be two numbers, not %zu", n_betas));
    out->beta1 = betas[0];
    out->beta2 = betas[1];
    if (out->nesterov && (out->momentum == 0 || out->dampening != 0))
        TDM_TRY(tdm_config_reject(config, "optim.nesterov", "needs a momentum and no dampening"));
    if (out->weight_decay > 0 && (out->l2_sp > 0 || out->l2_sp_new > 0))
        TDM_TRY(tdm__hint(
            tdm_config_reject(config, "optim.weight_decay", "optim.l2_sp takes its place"),
            "optim.l2_sp_new is the decay of weights that were not loaded"));
done:
    return status;
}

tdm_status tdm__schedule_read(const tdm_config *config, tdm__schedule *out)
{
    static const char *const kinds[] = {"constant",    "step",   "multistep",
                                        "exponential", "cosine", "linear"};
    int kind;
    tdm_status status = TDM_OK;
    memset(out, 0, sizeof *out);
    TDM_TRY(read_kind(config, "schedule.kind", kinds, &kind));
    out->kind = (tdm__schedule_kind)kind;
    TDM_TRY(tdm_config_int(config, "schedule.step_size", &out->step_size));
    TDM_TRY(tdm_config_ints(config, "schedule.milestones", &out->milestones, &out->n_milestones));
    TDM_TRY(tdm_config_float(config, "schedule.gamma", &out->gamma));
    TDM_TRY(tdm_config_float(config, "schedule.min_lr", &out->min_lr));
    TDM_TRY(tdm_config_int(config, "schedule.epochs", &out->epochs));
    TDM_TRY(tdm_config_int(config, "schedule.warmup_steps", &out->warmup_steps));
    TDM_TRY(tdm_config_float(config, "schedule.warmup_epochs", &out->warmup_epochs));
    TDM_TRY(tdm_config_float(config, "schedule.warmup_factor", &out->warmup_factor));
    for (size_t i = 1; i < out->n_milestones; i++)
        if (out->milestones[i] <= out->milestones[i - 1])
            TDM_TRY(tdm_config_reject(config, "schedule.milestones", "must rise"));
    if (out->kind == TDM__SCHEDULE_MULTISTEP && out->n_milestones == 0)
        TDM_TRY(tdm_config_reject(config, "schedule.milestones",
                                  "must name at least one epoch for kind multistep"));
done:
    return status;
}
