/* model/sharing/mtan.c: the multi-task attention network (Liu, Johns, Davison, CVPR 2019): one
 * trunk, of whose blocks' features each task chooses by masks of its own. Of block j with the
 * features u and p a task keeps
 *
 *     a_j = sigmoid(bn(h(relu(bn(g([u_j; b_j]))))) p_j          g, h: 1x1 convolutions
 *
 * where b_j is what it kept before, brought to the block's size and channels by a 3x3 convolution
 * with batch norm and ReLU that all tasks share; there is none in the first block. On the way down
 * the convolution comes first and max-pooling after it, on the way up bilinear interpolation
 * (align_corners) before it. u is the block's first feature, in a decoder the map it was brought up
 * to (SegNet's unpooled, as in the authors' code: with three tasks on NYUv2 1.77 times a single
 * task's parameters, as in the paper), p its last. Of a ResNet the blocks are the stages, u is what
 * the first unit gives.
 *
 * Heads attach to what their task keeps last: of the encoder, or of the whole.
 *
 *     attention.TASK.encoder.j.{0,1,3,4}   g and h with their batch norms; decoder.j by level
 *     attention_block.encoder.j.{0,1}      shared, of the way from level j; decoder.j: to level j
 */
#include <stdio.h>

#include "model/internal.h"

/* What a block of the trunk offers. */
typedef struct offer {
    tdm_value u, p;
} offer;

enum { MOST_BLOCKS = 2 * TDM__TRUNK_FILTERS };

typedef struct attended {
    const tdm__model *model;
    tdm__net *net;
    tdm__trunk_blocks blocks;
    offer offers[MOST_BLOCKS];
    tdm_value bottleneck; /* the trunk's */
} attended;

static tdm_status read(const tdm_config *config, const tdm__model *model, void *settings)
{
    (void)settings;
    if (model->trunk && model->trunk->deep_blocks) return TDM_OK;
    return tdm_config_reject(config, "model.sharing",
                             "mtan makes masks of a block's first features for its last, but a "
                             "block of the trunk '%s' has one convolution (hint: segnet, unet, "
                             "resnet18, resnet34, resnet50)",
                             model->trunk_name);
}

static int64_t channels_of(const tdm__net *net, tdm_value x)
{
    const tdm_desc *d = tdm_graph_desc(net->graph, x);
    return d ? d->dim[3] : 0;
}

/* Entries `first` and `first + 1` of the mask's nn.Sequential. */
static tdm_value point_conv_bn(tdm__net *net, int first, tdm_value x, int64_t channels)
{
    char name[16];
    snprintf(name, sizeof name, "%d", first);
    x = tdm__block_conv(net, name, x, channels, 1, 1, true);
    snprintf(name, sizeof name, "%d", first + 1);
    return tdm__layer_batch_norm(net, name, x);
}

/* Channels between g and h: the trunk's own at this depth, in ResNet-50 a quarter of p's. */
static int64_t width_of(const attended *a, int block, int64_t channels)
{
    const int64_t own = block < a->blocks.encoder ? a->model->spec.filters[block] : channels;
    return own < channels ? own : channels;
}

/* The task's part of block `block`, to what it kept before (or TDM_NO_VALUE). */
static tdm_value choose(const attended *a, int block, const char *name, tdm_value before)
{
    tdm__net *net = a->net;
    tdm_graph *g = net->graph;
    const offer *o = &a->offers[block];
    const int64_t channels = channels_of(net, o->p);
    const size_t mark = tdm__net_push(net, name);
    tdm_value x = o->u;
    if (before >= 0) x = tdm_concat(g, (tdm_value[]){o->u, before}, 2, 3);
    x = tdm_relu(g, point_conv_bn(net, 0, x, width_of(a, block, channels)));
    x = tdm_sigmoid(g, point_conv_bn(net, 3, x, channels));
    x = tdm_multiply(g, x, o->p);
    tdm__net_pop(net, mark);
    return x;
}

/* From block `block` of the encoder to the map `next`. */
static tdm_value descend(const attended *a, int block, tdm_value x, tdm_value next)
{
    static const tdm_pool2d_attrs halve = {.kernel = {2, 2}, .ceil_mode = true};
    tdm__net *net = a->net;
    char name[48];
    snprintf(name, sizeof name, "attention_block.encoder.%d", block);
    x = tdm__block_conv_bn_relu(net, name, 0, x, channels_of(net, next), true);
    const tdm_desc *from = tdm_graph_desc(net->graph, x), *to = tdm_graph_desc(net->graph, next);
    if (!from || !to || from->dim[1] == to->dim[1]) return x;
    return tdm_max_pool2d(net->graph, x, &halve, NULL);
}

/* To the decoder's block `block`. */
static tdm_value ascend(const attended *a, int block, int level, tdm_value x)
{
    tdm__net *net = a->net;
    const tdm_desc *to = tdm_graph_desc(net->graph, a->offers[block].u);
    char name[48];
    if (!to) return TDM_NO_VALUE;
    snprintf(name, sizeof name, "attention_block.decoder.%d", level);
    x = tdm_upsample_bilinear(net->graph, x, to->dim[1], to->dim[2], true);
    return tdm__block_conv_bn_relu(net, name, 0, x, channels_of(net, a->offers[block].p), true);
}

/* What the task's head reads. */
static void attend(const attended *a, const char *task, tdm__features *out)
{
    const int encoder = a->blocks.encoder;
    tdm_value x = TDM_NO_VALUE;
    char name[192];
    for (int i = 0; i < encoder; i++) {
        snprintf(name, sizeof name, "attention.%s.encoder.%d", task, i);
        x = choose(a, i, name, x);
        if (i + 1 < encoder)
            x = descend(a, i, x, a->offers[i + 1].u);
        else if (a->bottleneck != a->offers[i].p) /* SegNet's is pooled once more */
            x = descend(a, i, x, a->bottleneck);
    }
    *out = (tdm__features){.bottleneck = x, .dense = TDM_NO_VALUE};
    for (int i = encoder; i < a->blocks.all; i++) {
        const int level = a->blocks.all - 1 - i;
        snprintf(name, sizeof name, "attention.%s.decoder.%d", task, level);
        x = choose(a, i, name, ascend(a, i, level, x));
        out->dense = x;
    }
}

static void build(const tdm__model *model, tdm__net *net, tdm_value x, const bool *enabled,
                  tdm_value *predictions)
{
    attended a = {.model = model, .net = net, .blocks = tdm__model_blocks(model)};
    tdm__column column;
    tdm__column_begin(&column, NULL, x);
    for (int i = 0; i < a.blocks.all; i++) {
        tdm__column_block(model, net, i, &column);
        a.offers[i] =
            (offer){i < a.blocks.encoder ? column.at.first : column.at.raised, column.at.last};
    }
    a.bottleneck = column.at.features.bottleneck;
    if (tdm_graph_status(net->graph)) return;
    for (size_t t = 0; t < model->n_heads; t++) {
        tdm__features features;
        if (enabled && !enabled[t]) continue;
        attend(&a, model->heads[t].name, &features);
        predictions[t] = tdm__head_build(model, net, t, &features);
    }
}

const tdm__sharing tdm__sharing_mtan = {
    .name = "mtan",
    .why_not_one = "gives each task's head features of its own",
    .read = read,
    .build = build,
};
