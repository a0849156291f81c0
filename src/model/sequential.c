/* model/sequential.c: builds a list of layer specs, PyTorch's nn.Sequential. */
#include <stdio.h>
#include <string.h>

#include "model/layer_spec.h"

int64_t tdm__units_resolve(tdm__net *net, const char *layer, int64_t units, const tdm__units *known)
{
    if (units >= 1) return units;
    const bool classes =
        units == TDM__UNITS_CLASSES || (units == TDM__UNITS_OUTPUTS && known->labels);
    const int64_t n = classes ? known->classes : known->channels;
    if (n >= 1) return n;
    tdm_graph_fail(net->graph, TDM_ERR_CONFIG,
                   "%s%s: the number of %s is not known from the data (hint: %s)",
                   tdm__str_text(&net->scope), layer, classes ? "classes" : "channels",
                   classes ? "set tasks.NAME.classes" : "write the number");
    return 0;
}

static int64_t layer_units(tdm__net *net, const char *name, const tdm__layer_spec *s,
                           const tdm__units *known, tdm_value x)
{
    if (s->units != TDM__UNITS_SAME) return tdm__units_resolve(net, name, s->units, known);
    const tdm_desc *d = tdm_graph_desc(net->graph, x);
    return d ? d->dim[d->rank - 1] : 0;
}

static tdm_value flatten(tdm__net *net, tdm__layer_cursor *c)
{
    const tdm_desc *d = tdm_graph_desc(net->graph, c->x);
    if (!d || d->rank == 2) return c->x;
    const bool spatial = d->rank == 4 && d->dim[1] * d->dim[2] > 1;
    memset(c->flat_chw, 0, sizeof c->flat_chw);
    if (spatial) {
        c->flat_chw[0] = d->dim[3];
        c->flat_chw[1] = d->dim[1];
        c->flat_chw[2] = d->dim[2];
    }
    const int64_t to[2] = {d->dim[0], -1};
    return tdm_reshape(net->graph, c->x, 2, to);
}

static tdm_value upsample(tdm__net *net, const tdm__layer_spec *s, tdm_value x)
{
    const tdm_desc *d = tdm_graph_desc(net->graph, x);
    if (!d) return TDM_NO_VALUE;
    const int64_t h = d->dim[1] * (int64_t)s->value, w = d->dim[2] * (int64_t)s->value;
    return s->bilinear ? tdm_upsample_bilinear(net->graph, x, h, w, false)
                       : tdm_upsample_nearest(net->graph, x, h, w);
}

static tdm_value pool(tdm__net *net, const tdm__layer_spec *s, tdm_value x)
{
    tdm_pool2d_attrs a = {.count_include_pad = true};
    memcpy(a.kernel, s->kernel, sizeof a.kernel);
    memcpy(a.stride, s->stride, sizeof a.stride);
    memcpy(a.padding, s->padding, sizeof a.padding);
    return s->kind == TDM__LAYER_MAX_POOL ? tdm_max_pool2d(net->graph, x, &a, NULL)
                                          : tdm_avg_pool2d(net->graph, x, &a);
}

/* Equal windows that give out[0] x out[1]: stride floor(n / out), and the kernel that then reaches
 * the edge. nn.AdaptiveAvgPool2d where out divides n. */
static tdm_value pool_to(tdm__net *net, const tdm__layer_spec *s, tdm_value x)
{
    const tdm_desc *d = tdm_graph_desc(net->graph, x);
    tdm_pool2d_attrs a = {0};
    if (!d) return TDM_NO_VALUE;
    for (int i = 0; i < 2; i++) {
        const int64_t n = d->rank == 4 ? d->dim[1 + i] : 0, out = s->kernel[i];
        if (n < out) {
            char text[64];
            return tdm_graph_fail(net->graph, TDM_ERR_CONFIG,
                                  "%savg-pool-to %dx%d: the input is %s",
                                  tdm__str_text(&net->scope), (int)s->kernel[0], (int)s->kernel[1],
                                  tdm_desc_text(d, text, sizeof text));
        }
        a.stride[i] = (int32_t)(n / out);
        a.kernel[i] = (int32_t)(n - (out - 1) * (n / out));
    }
    return tdm_avg_pool2d(net->graph, x, &a);
}

/* Features that have no height and width are pooled already. */
static tdm_value pool_all(tdm__net *net, const tdm__layer_spec *s, tdm_value x)
{
    const tdm_desc *d = tdm_graph_desc(net->graph, x);
    if (d && d->rank == 2) return x;
    return s->kind == TDM__LAYER_GLOBAL_AVG_POOL ? tdm_global_avg_pool(net->graph, x)
                                                 : tdm_global_max_pool(net->graph, x);
}

static tdm_value convolution(tdm__net *net, const char *name, const tdm__layer_spec *s,
                             int64_t units, tdm_value x)
{
    tdm_conv2d_attrs a = {.groups = s->groups ? s->groups : 1};
    memcpy(a.kernel, s->kernel, sizeof a.kernel);
    memcpy(a.stride, s->stride, sizeof a.stride);
    memcpy(a.padding, s->padding, sizeof a.padding);
    memcpy(a.dilation, s->dilation, sizeof a.dilation);
    memcpy(a.output_padding, s->output_padding, sizeof a.output_padding);
    return s->kind == TDM__LAYER_CONV
               ? tdm__layer_conv2d(net, name, x, units, &a, s->bias)
               : tdm__layer_conv_transpose2d(net, name, x, units, &a, s->bias);
}

static tdm_value build_layer(tdm__net *net, const char *name, const tdm__layer_spec *s,
                             const tdm__units *units, tdm__layer_cursor *c)
{
    tdm_graph *g = net->graph;
    int64_t n = 0;
    if (s->units && (n = layer_units(net, name, s, units, c->x)) == 0) return TDM_NO_VALUE;
    switch (s->kind) {
    case TDM__LAYER_CONV:
    case TDM__LAYER_CONV_TRANSPOSE:
        return convolution(net, name, s, n, c->x);
    case TDM__LAYER_DENSE: {
        const tdm_value y =
            tdm__layer_dense(net, name, c->x, n, s->bias, c->flat_chw[0] ? c->flat_chw : NULL);
        c->flat_chw[0] = 0;
        return y;
    }
    case TDM__LAYER_FLATTEN:
        return flatten(net, c);
    case TDM__LAYER_RELU:
        return tdm_relu(g, c->x);
    case TDM__LAYER_LEAKY_RELU:
        return tdm_leaky_relu(g, c->x, s->value);
    case TDM__LAYER_SIGMOID:
        return tdm_sigmoid(g, c->x);
    case TDM__LAYER_TANH:
        return tdm_tanh(g, c->x);
    case TDM__LAYER_BATCH_NORM:
        if (c->flat_chw[0]) /* its channels would be in our order, PyTorch's in C,H,W */
            return tdm_graph_fail(g, TDM_ERR_CONFIG,
                                  "%s%s: batch-norm right after flatten (hint: put it before)",
                                  tdm__str_text(&net->scope), name);
        return tdm__layer_batch_norm(net, name, c->x);
    case TDM__LAYER_DROPOUT:
        return tdm__layer_dropout(net, name, c->x, s->value);
    case TDM__LAYER_MAX_POOL:
    case TDM__LAYER_AVG_POOL:
        return pool(net, s, c->x);
    case TDM__LAYER_AVG_POOL_TO:
        return pool_to(net, s, c->x);
    case TDM__LAYER_GLOBAL_AVG_POOL:
    case TDM__LAYER_GLOBAL_MAX_POOL:
        return pool_all(net, s, c->x);
    case TDM__LAYER_UPSAMPLE:
        return upsample(net, s, c->x);
    }
    return TDM_NO_VALUE;
}

void tdm__layers_build_range(tdm__net *net, const tdm__layer_spec *layers, size_t begin, size_t end,
                             const tdm__units *units, tdm__layer_cursor *cursor)
{
    for (size_t i = begin; i < end; i++) {
        char name[24];
        snprintf(name, sizeof name, "%zu", i);
        /* Layers with parameters name their nodes themselves. */
        const bool named = layers[i].units != 0 || layers[i].kind == TDM__LAYER_BATCH_NORM;
        if (!named) tdm_graph_push(net->graph, name);
        cursor->x = build_layer(net, name, &layers[i], units, cursor);
        if (!named) tdm_graph_pop(net->graph);
    }
}

tdm_value tdm__layers_build(tdm__net *net, const tdm__layer_spec *layers, size_t n,
                            const tdm__units *units, tdm_value x)
{
    tdm__layer_cursor cursor = {.x = x};
    tdm__layers_build_range(net, layers, 0, n, units, &cursor);
    return cursor.x;
}

size_t tdm__layers_block_end(const tdm__layer_spec *layers, size_t n, size_t begin)
{
    size_t end = begin;
    while (end < n && layers[end].units == 0) end++;
    if (end < n) end++; /* the block's own weights */
    while (end < n && layers[end].units == 0) end++;
    if (end == n) return n;
    while (layers[end - 1].kind == TDM__LAYER_FLATTEN || layers[end - 1].kind == TDM__LAYER_DROPOUT)
        end--;
    return end;
}
