/* model/nets/resnet.c: ResNet-18, -34 and -50 (He, Zhang, Ren, Sun, CVPR 2016) with torchvision's
 * parameter names and, unless model.init says otherwise, its initial values: convolutions
 * N(0, 2 / fan_out). In ResNet-50 the 3x3 convolution of a block has the stride, as there.
 *
 * Stem `imagenet`: 7x7 convolution of stride 2, then 3x3 max-pooling of stride 2. Stem `cifar`, for
 * small images: a 3x3 convolution alone. The bottleneck is layer4's map; head `pool-linear` with
 * prefix `fc` completes torchvision's module.
 */
#include <stdio.h>

#include "model/trunk.h"

typedef struct resnet {
    int blocks[4];
    bool deep; /* blocks of three convolutions, the last to four times the channels */
} resnet;

static tdm_value relu(tdm__net *net, const char *name, tdm_value x)
{
    tdm_graph_push(net->graph, name);
    x = tdm_relu(net->graph, x);
    tdm_graph_pop(net->graph);
    return x;
}

/* conv<i> and bn<i> of a block. */
static tdm_value conv_bn(tdm__net *net, int i, tdm_value x, int64_t channels, int kernel,
                         int stride)
{
    char name[16];
    snprintf(name, sizeof name, "conv%d", i);
    x = tdm__block_conv(net, name, x, channels, kernel, stride, false);
    snprintf(name, sizeof name, "bn%d", i);
    return tdm__layer_batch_norm(net, name, x);
}

static tdm_value block(tdm__net *net, bool deep, tdm_value x, int64_t channels, int stride)
{
    const tdm_desc *d = tdm_graph_desc(net->graph, x);
    if (!d) return TDM_NO_VALUE;
    const int64_t out = deep ? 4 * channels : channels;
    const bool project = stride != 1 || d->dim[3] != out;
    tdm_value y = conv_bn(net, 1, x, channels, deep ? 1 : 3, deep ? 1 : stride);
    y = relu(net, "relu1", y);
    y = conv_bn(net, 2, y, channels, 3, deep ? stride : 1);
    if (deep) {
        y = relu(net, "relu2", y);
        y = conv_bn(net, 3, y, out, 1, 1);
    }
    if (project) {
        x = tdm__block_conv(net, "downsample.0", x, out, 1, stride, false);
        x = tdm__layer_batch_norm(net, "downsample.1", x);
    }
    tdm_graph_push(net->graph, "add");
    y = tdm_relu(net->graph, tdm_add(net->graph, y, x));
    tdm_graph_pop(net->graph);
    return y;
}

static tdm_value stem(tdm__net *net, const tdm__trunk_spec *spec, tdm_value x)
{
    static const tdm_pool2d_attrs pool = {.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}};
    x = tdm__block_conv(net, "conv1", x, spec->filters[0], spec->small_stem ? 3 : 7,
                        spec->small_stem ? 1 : 2, false);
    x = relu(net, "relu", tdm__layer_batch_norm(net, "bn1", x));
    return spec->small_stem ? x : tdm_max_pool2d(net->graph, x, &pool, NULL);
}

static tdm__trunk_blocks blocks(const tdm__trunk_spec *spec)
{
    return (tdm__trunk_blocks){spec->n_filters, spec->n_filters};
}

/* A stage; the first with the stem before it. */
static void build_block(const tdm__trunk *trunk, const tdm__trunk_spec *spec, tdm__net *net,
                        int stage, tdm__trunk_state *state)
{
    const resnet *r = trunk->variant;
    const tdm__init_scheme scheme = net->scheme;
    tdm_value x = state->cursor.x;
    if (scheme == TDM__SCHEME_DEFAULT) net->scheme = TDM__SCHEME_KAIMING_NORMAL_OUT;
    if (stage == 0) x = stem(net, spec, x);
    for (int i = 0; i < r->blocks[stage]; i++) {
        char name[32];
        snprintf(name, sizeof name, "layer%d.%d", stage + 1, i);
        const size_t mark = tdm__net_push(net, name);
        x = block(net, r->deep, x, spec->filters[stage], stage > 0 && i == 0 ? 2 : 1);
        tdm__net_pop(net, mark);
        if (i == 0) state->first = x;
    }
    net->scheme = scheme;
    state->last = state->cursor.x = x;
    if (stage == spec->n_filters - 1) state->features.bottleneck = x;
}

#define RESNET(id, depth, is_deep, ...)                                                            \
    static const resnet variant_##id = {{__VA_ARGS__}, is_deep};                                   \
    const tdm__trunk tdm__trunk_##id = {                                                           \
        .name = #id,                                                                               \
        .help = "ResNet-" depth "; model.filters: channels of the four stages",                    \
        .reads = TDM__TRUNK_READS_STEM,                                                            \
        .filters = {64, 128, 256, 512},                                                            \
        .least_filters = 4,                                                                        \
        .most_filters = 4,                                                                         \
        .halvings = -1,                                                                            \
        .deep_blocks = true,                                                                       \
        .variant = &variant_##id,                                                                  \
        .blocks = blocks,                                                                          \
        .build_block = build_block,                                                                \
    };
RESNET(resnet18, "18", false, 2, 2, 2, 2)
RESNET(resnet34, "34", false, 3, 4, 6, 3)
RESNET(resnet50, "50", true, 3, 4, 6, 3)
