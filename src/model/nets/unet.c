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

static void double_conv(tdm__net *net, const char *part, int level, tdm_value x, int64_t channels,
                        tdm__trunk_state *state)
{
    char name[32];
    snprintf(name, sizeof name, "%s.%d", part, level);
    state->first = tdm__block_conv_bn_relu(net, name, 0, x, channels, false);
    state->last = tdm__block_conv_bn_relu(net, name, 3, state->first, channels,
                                          false); /* after the ReLU, entry 2 */
    state->cursor.x = state->last;
}

static tdm_value expand(tdm__net *net, int level, tdm_value x, int64_t channels)
{
    static const tdm_conv2d_attrs twice = {.kernel = {2, 2}, .stride = {2, 2}, .groups = 1};
    char name[32];
    snprintf(name, sizeof name, "up.%d", level);
    return tdm__layer_conv_transpose2d(net, name, x, channels, &twice, true);
}

/* Levels downwards, then upwards without the deepest. */
static tdm__trunk_blocks blocks(const tdm__trunk_spec *spec)
{
    return (tdm__trunk_blocks){2 * spec->n_filters - 1, spec->n_filters};
}

static void build_block(const tdm__trunk *trunk, const tdm__trunk_spec *spec, tdm__net *net, int i,
                        tdm__trunk_state *state)
{
    const int deepest = spec->n_filters - 1;
    tdm_value x = state->cursor.x;
    (void)trunk;
    if (i <= deepest) {
        if (i) x = tdm_max_pool2d(net->graph, x, &halve, NULL);
        double_conv(net, "down", i, x, spec->filters[i], state);
        state->skips[i] = state->cursor.x;
        if (i == deepest) state->features.bottleneck = state->cursor.x;
        return;
    }
    const int level = 2 * deepest - i;
    state->raised = expand(net, level, x, spec->filters[level]);
    x = tdm_concat(net->graph, (tdm_value[]){state->skips[level], state->raised}, 2, 3);
    double_conv(net, "merge", level, x, spec->filters[level], state);
    if (level == 0) state->features.dense = state->cursor.x;
}

const tdm__trunk tdm__trunk_unet = {
    .name = "unet",
    .help = "U-Net with batch norm; model.filters: channels of each level",
    .filters = {64, 128, 256, 512},
    .least_filters = 2,
    .most_filters = 7,
    .halvings = 1,
    .deep_blocks = true,
    .blocks = blocks,
    .build_block = build_block,
};
