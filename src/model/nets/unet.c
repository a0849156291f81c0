/* model/nets/unet.c: U-Net (Ronneberger, Fischer, Brox, MICCAI 2015) with padded convolutions and
 * batch norm, as it is usually written today. Level i has filters[i] channels at 1/2^i of the size:
 *
 *     down.i   two 3x3 convolutions, each with batch norm and ReLU; 2x2 max-pooling between levels
 *     up.i     transposed convolution 2x2, stride 2, from level i+1 to i
 *     merge.i  as down.i, over the concatenation (level i's down.i, up.i)
 *
 * The bottleneck is the deepest down.i, the dense map is merge.0.
 */
#include <stdio.h>

#include "model/trunk.h"

static const tdm_pool2d_attrs halve = {.kernel = {2, 2}};

static tdm_value double_conv(tdm__net *net, const char *part, int level, tdm_value x,
                             int64_t channels)
{
    char name[32];
    snprintf(name, sizeof name, "%s.%d", part, level);
    x = tdm__block_conv_bn_relu(net, name, 0, x, channels, false);
    return tdm__block_conv_bn_relu(net, name, 3, x, channels, false); /* after the ReLU, entry 2 */
}

static tdm_value expand(tdm__net *net, int level, tdm_value x, int64_t channels)
{
    static const tdm_conv2d_attrs twice = {.kernel = {2, 2}, .stride = {2, 2}, .groups = 1};
    char name[32];
    snprintf(name, sizeof name, "up.%d", level);
    return tdm__layer_conv_transpose2d(net, name, x, channels, &twice, true);
}

static void build(const tdm__trunk *trunk, const tdm__trunk_spec *spec, tdm__net *net, tdm_value x,
                  tdm__features *out)
{
    tdm_value skips[TDM__TRUNK_FILTERS];
    const int deepest = spec->n_filters - 1;
    (void)trunk;
    for (int i = 0; i <= deepest; i++) {
        if (i) x = tdm_max_pool2d(net->graph, x, &halve, NULL);
        x = skips[i] = double_conv(net, "down", i, x, spec->filters[i]);
    }
    out->bottleneck = x;
    for (int i = deepest - 1; i >= 0; i--) {
        const tdm_value both[2] = {skips[i], expand(net, i, x, spec->filters[i])};
        x = tdm_concat(net->graph, both, 2, 3);
        x = double_conv(net, "merge", i, x, spec->filters[i]);
    }
    out->dense = x;
}

const tdm__trunk tdm__trunk_unet = {
    .name = "unet",
    .help = "U-Net with batch norm; model.filters: channels of each level",
    .filters = {64, 128, 256, 512},
    .least_filters = 2,
    .most_filters = 7,
    .halvings = 1,
    .build = build,
};
