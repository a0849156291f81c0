/* model/nets/cnn.c: a small convolutional network: per entry of model.filters a 3x3 convolution,
 * batch norm (model.norm), ReLU and 2x2 max-pooling, as one nn.Sequential. */
#include "model/layer_spec.h"
#include "model/trunk.h"

static void build(const tdm__trunk *trunk, const tdm__trunk_spec *spec, tdm__net *net, tdm_value x,
                  tdm__features *out)
{
    static const tdm__units none = {0};
    tdm__layer_spec layers[4 * TDM__TRUNK_FILTERS];
    size_t n = 0;
    (void)trunk;
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
    out->bottleneck = tdm__layers_build(net, layers, n, &none, x);
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
    .build = build,
};
