/* model/nets/cnn.c: a small convolutional network: per entry of model.filters a 3x3 convolution,
 * batch norm (model.norm), ReLU and 2x2 max-pooling, as one nn.Sequential. */
#include "model/layer_spec.h"
#include "model/trunk.h"

/* Of all blocks, in order; returns how many there are in a block. */
static size_t list_layers(const tdm__trunk_spec *spec, tdm__layer_spec *layers)
{
    size_t n = 0;
    for (int i = 0; i < spec->n_filters; i++) {
        layers[n++] = (tdm__layer_spec){.kind = TDM__LAYER_CONV,
                                        .units = spec->filters[i],
                                        .kernel = {3, 3},
                                        .padding = {1, 1},
                                        .bias = !spec->batch_norm};
        if (spec->batch_norm) layers[n++] = (tdm__layer_spec){.kind = TDM__LAYER_BATCH_NORM};
        layers[n++] = (tdm__layer_spec){.kind = TDM__LAYER_RELU};
        layers[n++] = (tdm__layer_spec){.kind = TDM__LAYER_MAX_POOL, .kernel = {2, 2}};
    }
    return n / (size_t)spec->n_filters;
}

static tdm__trunk_blocks blocks(const tdm__trunk_spec *spec)
{
    return (tdm__trunk_blocks){spec->n_filters, spec->n_filters};
}

static void build_block(const tdm__trunk *trunk, const tdm__trunk_spec *spec, tdm__net *net, int i,
                        tdm__trunk_state *state)
{
    static const tdm__units none = {0};
    tdm__layer_spec layers[4 * TDM__TRUNK_FILTERS];
    const size_t n = list_layers(spec, layers), begin = (size_t)i * n, pooling = begin + n - 1;
    (void)trunk;
    tdm__layers_build_range(net, layers, begin, pooling, &none, &state->cursor);
    state->first = state->last = state->cursor.x;
    tdm__layers_build_range(net, layers, pooling, pooling + 1, &none, &state->cursor);
    if (i == spec->n_filters - 1) state->features.bottleneck = state->cursor.x;
}

const tdm__trunk tdm__trunk_cnn = {
    .name = "cnn",
    .help =
        "3x3 convolutions with batch norm, ReLU and max-pooling, one per entry of model.filters",
    .reads = TDM__TRUNK_READS_NORM,
    .filters = {32, 64, 128},
    .least_filters = 1,
    .most_filters = TDM__TRUNK_FILTERS,
    .halvings = -1,
    .blocks = blocks,
    .build_block = build_block,
};
