/* model/sharing/nddr.c: NDDR-CNN (Gao, Ma, Zhao, Liu, Yuille, CVPR 2019): each task has a trunk of
 * its own, below model.prefix.TASK; after each block all columns' channels are concatenated, and
 * each task takes from them, by a 1x1 convolution, batch norm and ReLU, as many as its column has.
 * It is "nddr.<block>.<task>", a Sequential of the three. The convolution begins as the sum of the
 * tasks' channels, model.stitch_same of the own one and what is left to 1 in equal parts of the
 * others.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "model/internal.h"

typedef struct settings {
    double same;
} settings;

static tdm_status read(const tdm_config *config, const tdm__model *model, void *out)
{
    (void)model;
    return tdm_config_float(config, "model.stitch_same", &((settings *)out)->same);
}

/* channels of n columns -> channels of column `own`, at each place. */
static tdm_value reduce(const settings *s, tdm__net *net, tdm_value all, int64_t channels,
                        size_t own, size_t n)
{
    static const tdm_conv2d_attrs one = {.kernel = {1, 1}, .groups = 1};
    const tdm_desc *d = tdm_graph_desc(net->graph, all);
    if (!d) return TDM_NO_VALUE;
    const bool map = d->rank == 4;
    const int64_t shape[4] = {channels, channels * (int64_t)n, 1, 1};
    const tdm__segment spec = {.name = (char[]){"0.weight"},
                               .disk = tdm_desc_make(TDM_F32, map ? 4 : 2, shape),
                               .layout = map ? TDM__LAYOUT_CONV : TDM__LAYOUT_DENSE,
                               .kind = TDM__SEGMENT_PARAM,
                               .decay = true,
                               .init = TDM__INIT_DIAGONALS,
                               .init_value = s->same,
                               .init_other = (1 - s->same) / (double)(n - 1),
                               .init_own = (int)own};
    const tdm_value w = tdm__net_variable_for(net, &spec);
    tdm_graph_push(net->graph, "0");
    const tdm_value y = map ? tdm_conv2d(net->graph, all, w, TDM_NO_VALUE, &one)
                            : tdm_dense(net->graph, all, w, TDM_NO_VALUE);
    tdm_graph_pop(net->graph);
    return tdm__net_tap_add(net, "0", y);
}

static void fuse(const tdm__model *model, tdm__net *net, int block, tdm__column *columns,
                 void *user)
{
    tdm_status status = TDM_OK;
    tdm_graph *g = net->graph;
    tdm_value *x = NULL;
    const size_t n = model->n_heads;
    (void)user;
    if (!tdm__block_is_mixed(model, block)) return;
    const int64_t channels = tdm__column_channels(net, &columns[0], "model.sharing: nddr");
    if (channels < 1) return;
    TDM_TRY(tdm__calloc_try(n, sizeof *x, &x));
    for (size_t t = 0; t < n; t++) x[t] = columns[t].at.cursor.x;
    const tdm_value all = tdm_concat(g, x, (int)n, tdm_graph_desc(g, x[0])->rank - 1);
    for (size_t t = 0; t < n; t++) {
        char scope[32];
        snprintf(scope, sizeof scope, "nddr.%d", block);
        const size_t outer = tdm__net_push(net, scope);
        const size_t inner = tdm__net_push(net, model->heads[t].name);
        const tdm_value y = reduce(model->settings, net, all, channels, t, n);
        x[t] = tdm_relu(g, tdm__layer_batch_norm(net, "1", y));
        tdm__net_pop(net, inner);
        tdm__net_pop(net, outer);
    }
    for (size_t t = 0; t < n; t++) tdm__column_replace(&columns[t], x[t]);
done:
    free(x);
    if (status) tdm_graph_fail(g, status, "%s", tdm_last_error());
}

static void build(const tdm__model *model, tdm__net *net, tdm_value x, const bool *enabled,
                  tdm_value *predictions)
{
    tdm__column *columns = tdm__columns_build(model, net, x, fuse, NULL);
    for (size_t t = 0; columns && t < model->n_heads; t++)
        if (!enabled || enabled[t])
            predictions[t] = tdm__head_build(model, net, t, &columns[t].at.features);
    free(columns);
}

static const char *const options[] = {"model.stitch_same", NULL};

const tdm__sharing tdm__sharing_nddr = {
    .name = "nddr",
    .options = options,
    .why_not_one = "gives each task a trunk of its own",
    .settings_size = sizeof(settings),
    .read = read,
    .build = build,
};
