/* model/heads.c: the named heads. The choices of tasks.NAME.head (model.c) list the same names. */
#include "model/heads.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"

static const tdm_desc *expect_map(tdm__net *net, tdm_value x, const char *head)
{
    const tdm_desc *d = tdm_graph_desc(net->graph, x);
    if (!d || d->rank == 4) return d;
    char text[64];
    tdm_graph_fail(net->graph, TDM_ERR_CONFIG,
                   "%shead '%s' needs a feature map, the trunk ends in %s",
                   tdm__str_text(&net->scope), head, tdm_desc_text(d, text, sizeof text));
    return NULL;
}

/* ResNet's last layers: global average pooling, and one dense layer named by the prefix. */
static tdm_value build_pool_linear(tdm__net *net, const tdm__head_site *site, tdm_value x)
{
    if (!expect_map(net, x, "pool-linear")) return TDM_NO_VALUE;
    const int64_t units = tdm__units_resolve(net, site->prefix, TDM__UNITS_OUTPUTS, &site->units);
    if (units < 1) return TDM_NO_VALUE;
    return tdm__layer_dense(net, site->prefix, tdm_global_avg_pool(net->graph, x), units, true,
                            NULL);
}

/* Long, Shelhamer, Darrell, CVPR 2015, as torchvision's FCNHead (entries 0, 1 and 4 have
 * parameters), then bilinear interpolation to the input's size. */
static tdm_value build_fcn(tdm__net *net, const tdm__head_site *site, tdm_value x)
{
    const tdm_desc *d = expect_map(net, x, "fcn");
    const int64_t units = tdm__units_resolve(net, "4", TDM__UNITS_OUTPUTS, &site->units);
    if (!d || units < 1) return TDM_NO_VALUE;
    const int64_t inner = d->dim[3] >= 4 ? d->dim[3] / 4 : 1;
    x = tdm__block_conv(net, "0", x, inner, 3, 1, false);
    x = tdm_relu(net->graph, tdm__layer_batch_norm(net, "1", x));
    x = tdm__layer_dropout(net, "3", x, 0.1f);
    x = tdm__block_conv(net, "4", x, units, 1, 1, true);
    return tdm_upsample_bilinear(net->graph, x, site->h, site->w, false);
}

const tdm__head_kind tdm__heads[] = {
    {"linear", "flatten, one dense layer", TDM__FEATURE_BOTTLENECK, {"flatten", "dense outputs"}},
    {"pool-linear", "global average pooling, one dense layer named by the prefix (ResNet's fc)",
     TDM__FEATURE_BOTTLENECK, .build = build_pool_linear, .bare = true},
    {"classifier",
     "flatten, dense 128, ReLU, dense",
     TDM__FEATURE_BOTTLENECK,
     {"flatten", "dense 128", "relu", "dense outputs"}},
    {"classifier-bn",
     "flatten, dense 512, batch norm, ReLU, dense",
     TDM__FEATURE_BOTTLENECK,
     {"flatten", "dense 512", "batch-norm", "relu", "dense outputs"}},
    /* target_scale, the longer side in pixels, brings the corners of a target into [0, 1]. */
    {"box",
     "global average pooling, dense, sigmoid: four numbers in [0, 1]",
     TDM__FEATURE_BOTTLENECK,
     {"global-avg-pool", "dense 4", "sigmoid"}},
    {"box-linear",
     "the same without the sigmoid",
     TDM__FEATURE_BOTTLENECK,
     {"global-avg-pool", "dense 4"}},
    /* 2x2x16 -> 28x28xC, in [-1, 1]. */
    {"fashion-decoder",
     "transposed convolutions from 2x2x16 to 28x28",
     TDM__FEATURE_BOTTLENECK,
     {"conv-transpose 16 k2 s2", "relu", "conv-transpose 8 k3 s2 p1", "relu",
      "conv-transpose 4 k2 s2", "relu", "conv-transpose channels k2 s2", "tanh"}},
    {"fcn",
     "convolution, batch norm, ReLU, dropout, 1x1 convolution, bilinear upsampling to the input's "
     "size",
     TDM__FEATURE_BOTTLENECK, .build = build_fcn},
    {"segmentation",
     "a class per pixel: 3x3 and 1x1 convolution",
     TDM__FEATURE_DENSE,
     {"conv same k3 p1", "conv outputs k1"}},
    {"depth", "one number per pixel", TDM__FEATURE_DENSE, {"conv same k3 p1", "conv 1 k1"}},
    {"vector", "two numbers per pixel", TDM__FEATURE_DENSE, {"conv same k3 p1", "conv 2 k1"}},
    {"regression",
     "as many numbers per pixel as the target has",
     TDM__FEATURE_DENSE,
     {"conv same k3 p1", "conv channels k1"}},
    {"reconstruction",
     "the image again, in [0, 1]",
     TDM__FEATURE_DENSE,
     {"conv same k3 p1", "conv channels k1", "sigmoid"}},
    {NULL},
};

const tdm__head_kind *tdm__head_find(const char *name)
{
    for (const tdm__head_kind *k = tdm__heads; k->name; k++)
        if (!strcmp(k->name, name)) return k;
    return NULL;
}
