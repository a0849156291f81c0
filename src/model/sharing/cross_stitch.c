/* model/sharing/cross_stitch.c: cross-stitch networks (Misra, Shrivastava, Gupta, Hebert, CVPR
 * 2016): each task has a trunk of its own, below model.prefix.TASK, and between blocks the columns'
 * values are mixed, at each place: x_t' = sum_s a_ts x_s (eq. 1), with a learnt T x T matrix per
 * block, "stitch.<block>.weight", or one per channel (T x T x C). It begins with model.stitch_same
 * on the diagonal and what is left to 1 in equal parts beside it; weight decay does not apply to
 * it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/internal.h"

typedef struct settings {
    bool per_channel;
    double same;
} settings;

static tdm_status read(const tdm_config *config, const tdm__model *model, void *out)
{
    const char *units;
    settings *s = out;
    tdm_status status = TDM_OK;
    if (model->n_heads > TDM_MIX_INPUTS)
        return tdm_config_reject(config, "model.sharing",
                                 "cross-stitch mixes at most %d tasks, there are %zu",
                                 TDM_MIX_INPUTS, model->n_heads);
    TDM_TRY(tdm_config_string(config, "model.stitch", &units));
    TDM_TRY(tdm_config_float(config, "model.stitch_same", &s->same));
    s->per_channel = !strcmp(units, "channel");
done:
    return status;
}

static tdm_value stitch_weight(const settings *s, tdm__net *net, int block, int64_t columns,
                               const tdm__column *column)
{
    char scope[32];
    int64_t channels = 0;
    if (s->per_channel) channels = tdm__column_channels(net, column, "model.stitch: channel");
    if (s->per_channel && channels < 1) return TDM_NO_VALUE;
    const int64_t shape[3] = {columns, columns, channels};
    const tdm__segment spec = {.name = (char[]){"weight"},
                               .disk = tdm_desc_make(TDM_F32, s->per_channel ? 3 : 2, shape),
                               .kind = TDM__SEGMENT_PARAM,
                               .init = TDM__INIT_DIAGONAL,
                               .init_value = s->same,
                               .init_other = (1 - s->same) / (double)(columns - 1)};
    snprintf(scope, sizeof scope, "stitch.%d", block);
    const size_t mark = tdm__net_push(net, scope);
    const tdm_value w = tdm__net_variable_for(net, &spec);
    tdm__net_pop(net, mark);
    return w;
}

static void stitch(const tdm__model *model, tdm__net *net, int block, tdm__column *columns,
                   void *user)
{
    tdm_status status = TDM_OK;
    tdm_value *x = NULL, *y = NULL;
    const size_t n = model->n_heads;
    (void)user;
    if (!tdm__block_is_mixed(model, block)) return;
    const tdm_value w = stitch_weight(model->settings, net, block, (int64_t)n, &columns[0]);
    if (w < 0) return;
    TDM_TRY(tdm__calloc_try(n, sizeof *x, &x));
    TDM_TRY(tdm__calloc_try(n, sizeof *y, &y));
    for (size_t t = 0; t < n; t++) x[t] = columns[t].at.cursor.x;
    tdm_graph_push(net->graph, "stitch");
    TDM_TRY(tdm_mix(net->graph, x, (int)n, w, y, (int)n));
    tdm_graph_pop(net->graph);
    for (size_t t = 0; t < n; t++) tdm__column_replace(&columns[t], y[t]);
done:
    free(x);
    free(y);
    if (status) tdm_graph_fail(net->graph, status, "%s", tdm_last_error());
}

static void build(const tdm__model *model, tdm__net *net, tdm_value x, const bool *enabled,
                  tdm_value *predictions)
{
    tdm__column *columns = tdm__columns_build(model, net, x, stitch, NULL);
    for (size_t t = 0; columns && t < model->n_heads; t++)
        if (!enabled || enabled[t])
            predictions[t] = tdm__head_build(model, net, t, &columns[t].at.features);
    free(columns);
}

static const char *const options[] = {"model.stitch", "model.stitch_same", NULL};

const tdm__sharing tdm__sharing_cross_stitch = {
    .name = "cross-stitch",
    .options = options,
    .why_not_one = "gives each task a trunk of its own",
    .settings_size = sizeof(settings),
    .read = read,
    .build = build,
};
