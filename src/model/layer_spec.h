/* model/layer_spec.h: layers written as short texts, the way a configuration lists them:
 *
 *     conv 32 k3 p1            convolution: channels, kernel, stride (s), padding (p), dilation
 * (d), groups (g): as many as there are channels for a depthwise one conv-transpose 16 k2 s2  with
 * o: output padding; k3x5 for rectangles; nobias dense 128                nobias flatten relu
 * leaky-relu 0.1  sigmoid  tanh batch-norm               dropout 0.5 max-pool 2 [s2 p0] avg-pool 2
 * global-avg-pool   global-max-pool avg-pool-to 4            windows of equal size and stride that
 * give 4x4: stride n/4, the kernel reaches the edge (adaptive pooling when 4 divides n) upsample 2
 * nearest       upsample 2 bilinear
 *
 * "classes" in place of a number stands for the task's number of classes, "channels" for the
 * channels of the target, "outputs" for classes when the loss takes labels and else for channels,
 * "same" for as many as come in. A list of layers is PyTorch's nn.Sequential: layer i is named "i".
 */
#ifndef MODEL_LAYER_SPEC_H
#define MODEL_LAYER_SPEC_H

#include "model/net.h"

typedef enum tdm__layer_kind {
    TDM__LAYER_CONV,
    TDM__LAYER_CONV_TRANSPOSE,
    TDM__LAYER_DENSE,
    TDM__LAYER_FLATTEN,
    TDM__LAYER_RELU,
    TDM__LAYER_LEAKY_RELU,
    TDM__LAYER_SIGMOID,
    TDM__LAYER_TANH,
    TDM__LAYER_BATCH_NORM,
    TDM__LAYER_DROPOUT,
    TDM__LAYER_MAX_POOL,
    TDM__LAYER_AVG_POOL,
    TDM__LAYER_AVG_POOL_TO,
    TDM__LAYER_GLOBAL_AVG_POOL,
    TDM__LAYER_GLOBAL_MAX_POOL,
    TDM__LAYER_UPSAMPLE
} tdm__layer_kind;

enum {
    TDM__UNITS_CLASSES = -1,
    TDM__UNITS_CHANNELS = -2,
    TDM__UNITS_OUTPUTS = -3,
    TDM__UNITS_SAME = -4
};

typedef struct tdm__layer_spec {
    tdm__layer_kind kind;
    int64_t units; /* output channels or features; TDM__UNITS_* placeholders */
    int32_t kernel[2], stride[2], padding[2], dilation[2], output_padding[2];
    int32_t groups; /* 0: one */
    bool bias, bilinear;
    float value; /* slope, dropout probability, upsampling factor */
} tdm__layer_spec;

/* Parses one text. TDM_ERR_CONFIG with what is wrong and a suggestion. */
tdm_status tdm__layer_parse(const char *text, tdm__layer_spec *out);

/* What placeholders stand for. */
typedef struct tdm__units {
    int64_t classes, channels; /* 0: unknown; using it then is an error */
    bool labels;               /* outputs are classes, not channels */
} tdm__units;

/* A layer's units with the placeholders (not SAME) filled in; 0 and a failed graph when unknown. */
int64_t tdm__units_resolve(tdm__net *net, const char *layer, int64_t units,
                           const tdm__units *known);

/* A list of layers half built. */
typedef struct tdm__layer_cursor {
    tdm_value x;
    int64_t flat_chw[3]; /* C,H,W folded by the latest flatten; C = 0: none */
} tdm__layer_cursor;

/* Builds the layers one after another, named "0", "1", ... in the net's scope. */
tdm_value tdm__layers_build(tdm__net *net, const tdm__layer_spec *layers, size_t n,
                            const tdm__units *units, tdm_value x);
/* Layers begin..end - 1 of a list, after those before them. */
void tdm__layers_build_range(tdm__net *net, const tdm__layer_spec *layers, size_t begin, size_t end,
                             const tdm__units *units, tdm__layer_cursor *cursor);
/* Where the block that begins at layer `begin` ends: a block is a layer with weights and what
 * follows it up to the next one, which takes a flatten or dropout right before it along. */
size_t tdm__layers_block_end(const tdm__layer_spec *layers, size_t n, size_t begin);

#endif
