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

static void build(const tdm__trunk *trunk, const tdm__trunk_spec *spec, tdm__net *net, tdm_value x,
                  tdm__features *out)
{
    tdm_graph *g = net->graph;
    tdm_value indices[TDM__TRUNK_FILTERS] = {0};
    int64_t sides[TDM__TRUNK_FILTERS][2];
    (void)trunk;
    for (int i = 0; i < spec->n_filters; i++) {
        x = conv_layer(net, "encoder_block", i, x, spec->filters[i]);
        x = conv_block(net, "conv_block_enc", i, x, spec->filters[i]);
        const tdm_desc *d = tdm_graph_desc(g, x);
        if (!d) return;
        sides[i][0] = d->dim[1];
        sides[i][1] = d->dim[2];
        x = tdm_max_pool2d(g, x, &window, &indices[i]);
    }
    out->bottleneck = x;
    for (int i = spec->n_filters - 1; i >= 0; i--) {
        const int64_t channels = spec->filters[i ? i - 1 : 0];
        x = tdm_max_unpool2d(g, x, indices[i], &window, sides[i][0], sides[i][1]);
        x = conv_layer(net, "decoder_block", i, x, channels);
        x = conv_block(net, "conv_block_dec", i, x, channels);
    }
    out->dense = x;
}

const tdm__trunk tdm__trunk_segnet = {
    .name = "segnet",
    .help = "SegNet with pooling indices; model.filters: channels of each level",
    .filters = {64, 128, 256, 512, 512},
    .least_filters = 1,
    .most_filters = 7,
    .halvings = 0,
    .build = build,
};
