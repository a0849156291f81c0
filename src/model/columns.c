/* model/columns.c: builds the parts of a network: the normalised input, a trunk block by block, a
 * head. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/internal.h"

/* ---- columns -----------------------------------------------------------------------------------
 */

tdm__trunk_blocks tdm__model_blocks(const tdm__model *model)
{
    tdm__trunk_blocks blocks = {0};
    if (model->trunk) return model->trunk->blocks(&model->spec);
    for (size_t at = 0; at < model->list.n; blocks.all++)
        at = tdm__layers_block_end(model->list.layers, model->list.n, at);
    blocks.encoder = blocks.all;
    return blocks;
}

/* A list of layers ends in one feature; it is dense too when it has the input's size. */
static void end_list(const tdm__model *model, tdm__net *net, tdm__trunk_state *state)
{
    const tdm_desc *d = tdm_graph_desc(net->graph, state->cursor.x);
    state->features.bottleneck = state->cursor.x;
    if (d && d->rank == 4 && d->dim[1] == model->input.dim[0] && d->dim[2] == model->input.dim[1])
        state->features.dense = state->cursor.x;
}

static void list_block(const tdm__model *model, tdm__net *net, int i, tdm__trunk_state *state)
{
    static const tdm__units none = {0};
    const tdm__layer_list *list = &model->list;
    size_t begin = 0, end = tdm__layers_block_end(list->layers, list->n, 0);
    for (; i > 0; i--) {
        begin = end;
        end = tdm__layers_block_end(list->layers, list->n, begin);
    }
    tdm__layers_build_range(net, list->layers, begin, end, &none, &state->cursor);
    state->first = state->last = state->cursor.x;
    if (end == list->n) end_list(model, net, state);
}

void tdm__column_begin(tdm__column *column, const char *name, tdm_value x)
{
    *column = (tdm__column){.name = name};
    column->at.cursor.x = x;
    column->at.features = (tdm__features){TDM_NO_VALUE, TDM_NO_VALUE};
    column->at.first = column->at.last = column->at.raised = TDM_NO_VALUE;
    for (int i = 0; i < TDM__TRUNK_FILTERS; i++)
        column->at.skips[i] = column->at.indices[i] = TDM_NO_VALUE;
}

void tdm__column_block(const tdm__model *model, tdm__net *net, int i, tdm__column *column)
{
    const size_t mark = tdm__net_push(net, model->prefix);
    const size_t inner = tdm__net_push(net, column->name ? column->name : "");
    if (model->trunk)
        model->trunk->build_block(model->trunk, &model->spec, net, i, &column->at);
    else
        list_block(model, net, i, &column->at);
    tdm__net_pop(net, inner);
    tdm__net_pop(net, mark);
}

void tdm__column_replace(tdm__column *column, tdm_value by)
{
    tdm__trunk_state *at = &column->at;
    const tdm_value old = at->cursor.x;
    tdm_value *const others[] = {&at->features.bottleneck, &at->features.dense, &at->last,
                                 &at->cursor.x};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (*others[i] == old) *others[i] = by;
    for (int i = 0; i < TDM__TRUNK_FILTERS; i++)
        if (at->skips[i] == old) at->skips[i] = by;
}

void tdm__column_build(const tdm__model *model, tdm__net *net, const char *name, tdm_value x,
                       tdm__features *features)
{
    tdm__column column;
    const tdm__trunk_blocks blocks = tdm__model_blocks(model);
    tdm__column_begin(&column, name, x);
    for (int i = 0; i < blocks.all; i++) tdm__column_block(model, net, i, &column);
    *features = column.at.features;
}

/* ---- side by side ------------------------------------------------------------------------------
 */

int64_t tdm__column_channels(tdm__net *net, const tdm__column *column, const char *what)
{
    const tdm_desc *d = tdm_graph_desc(net->graph, column->at.cursor.x);
    if (!d) return 0;
    if (!column->at.cursor.flat_chw[0]) return d->dim[d->rank - 1];
    tdm_graph_fail(net->graph, TDM_ERR_CONFIG,
                   "%s: the trunk ends with a flatten, after which there are no channels (hint: "
                   "begin the heads with it)",
                   what);
    return 0;
}

bool tdm__block_is_mixed(const tdm__model *model, int block)
{
    const tdm__trunk_blocks blocks = tdm__model_blocks(model);
    return model->n_heads > 1 && (block < blocks.all - 1 || blocks.all == blocks.encoder);
}

tdm__column *tdm__columns_build(const tdm__model *model, tdm__net *net, tdm_value x,
                                tdm__after_block after, void *user)
{
    const size_t n = model->n_heads;
    const tdm__trunk_blocks blocks = tdm__model_blocks(model);
    tdm__column *columns = NULL;
    const tdm_status status = tdm__calloc_try(n, sizeof *columns, &columns);
    if (status) {
        tdm_graph_fail(net->graph, status, "%s", tdm_last_error());
        return NULL;
    }
    for (size_t t = 0; t < n; t++) tdm__column_begin(&columns[t], model->heads[t].name, x);
    for (int i = 0; i < blocks.all; i++) {
        for (size_t t = 0; t < n; t++) tdm__column_block(model, net, i, &columns[t]);
        after(model, net, i, columns, user);
    }
    return columns;
}

const char *tdm__column_part(const tdm__model *model, size_t task, const char *name)
{
    const char *const parts[] = {model->prefix, model->heads[task].name};
    for (int i = *model->prefix ? 0 : 1; i < 2; i++) {
        const size_t n = strlen(parts[i]);
        if (strncmp(name, parts[i], n) || name[n] != '.') return NULL;
        name += n + 1;
    }
    return name;
}

bool tdm__column_weight(const tdm__model *model, const tdm__segment *segment)
{
    bool part = false;
    for (size_t t = 0; t < model->n_heads && !part; t++)
        part = tdm__column_part(model, t, segment->name) != NULL;
    return part && segment->kind == TDM__SEGMENT_PARAM && segment->decay;
}

/* ---- heads -------------------------------------------------------------------------------------
 */

tdm_value tdm__head_feature(const tdm__model *model, size_t task, const tdm__features *features)
{
    return model->heads[task].feature == TDM__FEATURE_DENSE ? features->dense
                                                            : features->bottleneck;
}

static tdm_value build_head(tdm__net *net, const tdm__head *h, const tdm__head_site *site,
                            tdm_value x)
{
    if (h->kind && h->kind->bare) return h->kind->build(net, site, x);
    const size_t mark = tdm__net_push(net, site->prefix);
    x = h->kind && h->kind->build
            ? h->kind->build(net, site, x)
            : tdm__layers_build(net, h->list.layers, h->list.n, &site->units, x);
    tdm__net_pop(net, mark);
    return x;
}

tdm_value tdm__head_build(const tdm__model *model, tdm__net *net, size_t task,
                          const tdm__features *features)
{
    const tdm__head *h = &model->heads[task];
    tdm_value x = tdm__head_feature(model, task, features);
    if (x < 0)
        return tdm_graph_fail(
            net->graph, TDM_ERR_CONFIG,
            "tasks.%s.head: '%s' needs a feature map of the input's size, which the trunk '%s' "
            "does "
            "not give (hint: trunks unet and segnet do; the head fcn upsamples by itself)",
            h->name, h->kind ? h->kind->name : "layers", model->trunk_name);
    const size_t before = net->n_variables;
    const tdm_value y = build_head(net, h, &h->site, x);
    for (size_t i = net->n_variables; net->head_weights && i-- > before;)
        if (tdm__flat_segment(net->flat, net->variables[i].segment)->decay) /* a weight */
            net->head_weights[task] = net->variables[i].segment;
    return y;
}

tdm_value tdm__head_build_at(const tdm__model *model, tdm__net *net, size_t task, const char *scope,
                             tdm_value x)
{
    const tdm__head *h = &model->heads[task];
    const tdm_desc *d = tdm_graph_desc(net->graph, x);
    tdm__head_site site = h->site;
    if (!d) return TDM_NO_VALUE;
    site.prefix = h->name;
    site.h = d->dim[1];
    site.w = d->dim[2];
    const size_t mark = tdm__net_push(net, scope);
    x = build_head(net, h, &site, x);
    tdm__net_pop(net, mark);
    return x;
}

void tdm__model_build_heads(const tdm__model *model, tdm__net *net, const tdm__features *features,
                            const bool *enabled, tdm_value *predictions)
{
    net->feature = TDM_NO_VALUE;
    for (size_t t = 0; t < model->n_heads; t++) {
        const tdm_value read = tdm__head_feature(model, t, features);
        if (t > 0 && read != net->feature) {
            net->feature = TDM_NO_VALUE;
            break;
        }
        net->feature = read;
    }
    for (size_t t = 0; t < model->n_heads; t++)
        predictions[t] =
            enabled && !enabled[t] ? TDM_NO_VALUE : tdm__head_build(model, net, t, features);
}

bool tdm__model_uses(const tdm__model *model, tdm__feature feature)
{
    for (size_t t = 0; t < model->n_heads; t++)
        if (model->heads[t].feature == feature) return true;
    return false;
}

/* ---- the whole ---------------------------------------------------------------------------------
 */

static tdm_value normalise(const tdm__model *model, tdm__net *net, tdm_value input)
{
    return tdm_normalize(net->graph, input, model->scale, model->shift, (int)model->input.dim[2]);
}

void tdm__model_build_trunk(const tdm__model *model, tdm__net *net, tdm_value input,
                            tdm__features *features)
{
    tdm__column_build(model, net, NULL, normalise(model, net, input), features);
}

void tdm__model_build(const tdm__model *model, tdm__net *net, tdm_value input, const bool *enabled,
                      tdm_value *predictions)
{
    net->feature = TDM_NO_VALUE;
    for (size_t t = 0; t < model->n_heads; t++) {
        predictions[t] = TDM_NO_VALUE;
        if (net->intermediate) net->intermediate[t] = TDM_NO_VALUE;
    }
    model->sharing->build(model, net, normalise(model, net, input), enabled, predictions);
}

tdm_value tdm__model_penalty(const tdm__model *model, tdm__net *net)
{
    return model->sharing->penalty ? model->sharing->penalty(model, net) : TDM_NO_VALUE;
}
