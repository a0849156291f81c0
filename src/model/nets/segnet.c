/* model/nets/segnet.c: SegNet (Badrinarayanan, Kendall, Cipolla, PAMI 2017) in the form used for
 * multi-task learning on NYUv2: five levels, filters f = 64, 128, 256, 512, 512, each convolution
 * 3x3 with bias, batch norm and ReLU.
 *
 *     encoder_block.i   f[i-1] -> f[i]         conv_block_enc.i  f[i] -> f[i], twice from i = 2 on
 *     decoder_block.i   f[i] -> f[max(i-1,0)]  conv_block_dec.i  as many at f[max(i-1,0)]
 *
 * A level ends with 2x2 max-pooling whose indices the decoder's unpooling of that level uses; the
 * decoder runs from the last level to the first. The bottleneck is the last pooled map.
 */
#include <stdio.h>

#include "model/trunk.h"

static const tdm_pool2d_attrs window = {.kernel = {2, 2}};

static tdm_value conv_layer(tdm__net *net, const char *block, int level, tdm_value x,
                            int64_t channels)
{
    char name[32];
    snprintf(name, sizeof name, "%s.%d", block, level);
    return tdm__block_conv_bn_relu(net, name, 0, x, channels, true);
}

/* One convolution on the first two levels, a sequence of two on the others. */
static tdm_value conv_block(tdm__net *net, const char *block, int level, tdm_value x,
                            int64_t channels)
{
    if (level < 2) return conv_layer(net, block, level, x, channels);
    for (int i = 0; i < 2; i++) {
        char name[32];
        snprintf(name, sizeof name, "%s.%d.%d", block, level, i);
        x = tdm__block_conv_bn_relu(net, name, 0, x, channels, true);
    }
    return x;
}

/* Levels downwards, then upwards. */
static tdm__trunk_blocks blocks(const tdm__trunk_spec *spec)
{
    return (tdm__trunk_blocks){2 * spec->n_filters, spec->n_filters};
}

static void encoder_level(const tdm__trunk_spec *spec, tdm__net *net, int i,
                          tdm__trunk_state *state)
{
    tdm_graph *g = net->graph;
    state->first = conv_layer(net, "encoder_block", i, state->cursor.x, spec->filters[i]);
    state->last = conv_block(net, "conv_block_enc", i, state->first, spec->filters[i]);
    const tdm_desc *d = tdm_graph_desc(g, state->last);
    if (!d) return;
    state->sides[i][0] = d->dim[1];
    state->sides[i][1] = d->dim[2];
    state->cursor.x = tdm_max_pool2d(g, state->last, &window, &state->indices[i]);
    if (i == spec->n_filters - 1) state->features.bottleneck = state->cursor.x;
}

static void decoder_level(const tdm__trunk_spec *spec, tdm__net *net, int i,
                          tdm__trunk_state *state)
{
    const int64_t channels = spec->filters[i ? i - 1 : 0];
    state->raised = tdm_max_unpool2d(net->graph, state->cursor.x, state->indices[i], &window,
                                     state->sides[i][0], state->sides[i][1]);
    state->first = conv_layer(net, "decoder_block", i, state->raised, channels);
    state->last = state->cursor.x = conv_block(net, "conv_block_dec", i, state->first, channels);
    if (i == 0) state->features.dense = state->cursor.x;
}

static void build_block(const tdm__trunk *trunk, const tdm__trunk_spec *spec, tdm__net *net, int i,
                        tdm__trunk_state *state)
{
    (void)trunk;
    if (i < spec->n_filters)
        encoder_level(spec, net, i, state);
    else
        decoder_level(spec, net, 2 * spec->n_filters - 1 - i, state);
}

const tdm__trunk tdm__trunk_segnet = {
    .name = "segnet",
    .help = "SegNet with pooling indices; model.filters: channels of each level",
    .filters = {64, 128, 256, 512, 512},
    .least_filters = 1,
    .most_filters = 7,
    .halvings = 0,
    .deep_blocks = true,
    .blocks = blocks,
    .build_block = build_block,
};
