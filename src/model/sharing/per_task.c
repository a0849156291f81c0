/* model/sharing/per_task.c: one trunk with parts of each task's own inside its layers:
 *
 *   model.norm: per-task   batch norm: the convolutions are shared, scale, offset and statistics
 * are the task's, LAYER.TASK.weight and so on (Bilen and Vedaldi, 2017) low-rank               and
 * W + U_t V_t in place of each weight W of a convolution or dense layer, LAYER.u.TASK,
 * LAYER.v.TASK, model.rank (as Hu et al., ICLR 2022, do to one task). Statistics of the tasks'
 * different weights would have nothing in common, so batch norm is the task's own here too
 *
 * What a layer gives is then the task's own, and each task has a pass through the trunk of its own:
 * T of them in a step of all tasks; in a step of one (train.sampling: uniform, tasks with samples
 * of their own) it costs nothing. */
#include <string.h>

#include "model/internal.h"

typedef struct settings {
    int64_t rank; /* 0: batch norm alone */
} settings;

static tdm_status read_low_rank(const tdm_config *config, const tdm__model *model, void *out)
{
    (void)model;
    return tdm_config_int(config, "model.rank", &((settings *)out)->rank);
}

static bool has_batch_norm(const tdm__model *model)
{
    if (model->trunk) return true; /* cnn without it is model.norm: none */
    for (size_t i = 0; i < model->list.n; i++)
        if (model->list.layers[i].kind == TDM__LAYER_BATCH_NORM) return true;
    return false;
}

static tdm_status read_norm(const tdm_config *config, const tdm__model *model, void *out)
{
    (void)out;
    if (has_batch_norm(model)) return TDM_OK;
    return tdm_config_reject(config, "model.norm",
                             "per-task is of batch norm, which the trunk '%s' has none of (hint: a "
                             "list with batch-norm, strided-cnn, cnn, unet, segnet, a ResNet)",
                             model->trunk_name);
}

static void build(const tdm__model *model, tdm__net *net, tdm_value x, const bool *enabled,
                  tdm_value *predictions)
{
    const settings *s = model->settings;
    for (size_t t = 0; t < model->n_heads; t++) {
        tdm__features features;
        if (enabled && !enabled[t]) continue;
        net->task = model->heads[t].name;
        net->rank = s->rank;
        tdm__column_build(model, net, NULL, x, &features);
        net->task = NULL;
        predictions[t] = tdm__head_build(model, net, t, &features);
    }
}

static const char *const options[] = {"model.rank", NULL};

const tdm__sharing tdm__sharing_low_rank = {
    .name = "low-rank",
    .options = options,
    .why_not_one = "adds weights of its own to the trunk for each task",
    .settings_size = sizeof(settings),
    .read = read_low_rank,
    .build = build,
};

const tdm__sharing tdm__sharing_per_task_norm = {
    .name = "hard",
    .why_not_one = "with model.norm: per-task runs the trunk once for each task",
    .settings_size = sizeof(settings),
    .read = read_norm,
    .build = build,
};
