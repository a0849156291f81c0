/* model/trunk.h: networks built by code, as against the plain lists of layers of presets.h. Each is
 * one file in nets/ that defines a tdm__trunk, and one line in nets/nets.def.
 *
 * A trunk turns the normalised input into one or two feature maps that heads attach to: the
 * bottleneck (smallest, deepest) and, for encoder-decoders, a dense map of the input's size.
 * Parameter names are those of the equivalent PyTorch module (tests/ref/models.py), below
 * model.prefix.
 */
#ifndef MODEL_TRUNK_H
#define MODEL_TRUNK_H

#include <tandem/config.h>

#include "model/layer_spec.h"

typedef enum tdm__feature { TDM__FEATURE_BOTTLENECK, TDM__FEATURE_DENSE } tdm__feature;

/* (N,H,W,C) or (N,C); TDM_NO_VALUE: the trunk has none. */
typedef struct tdm__features {
    tdm_value bottleneck, dense;
} tdm__features;

/* Which of model.* a trunk reads; giving another one is an error. */
enum { TDM__TRUNK_READS_STEM = 1, TDM__TRUNK_READS_NORM = 2 };
enum { TDM__TRUNK_FILTERS = 8 };

typedef struct tdm__trunk_spec {
    int64_t filters[TDM__TRUNK_FILTERS]; /* channels per level or stage */
    int n_filters;
    bool small_stem; /* model.stem: cifar */
    bool batch_norm; /* model.norm */
} tdm__trunk_spec;

/* How many blocks a trunk has: the levels or stages by which architectures go, the first of them
 * the encoder's (all, where there is no decoder). The bottleneck is what the last of those gives.
 */
typedef struct tdm__trunk_blocks {
    int all, encoder;
} tdm__trunk_blocks;

/* A trunk half built: what its next blocks and the heads read. */
typedef struct tdm__trunk_state {
    tdm__layer_cursor cursor; /* .x: what the next block reads */
    /* Of the latest block: after its first convolution with norm and activation (first residual
     * unit), and after its last, before pooling. */
    tdm_value first, last;
    tdm_value raised; /* of a decoder's latest block: the map below, brought up to its size */
    tdm__features features; /* those there are already */
    tdm_value skips[TDM__TRUNK_FILTERS], indices[TDM__TRUNK_FILTERS];
    int64_t sides[TDM__TRUNK_FILTERS][2]; /* before pooling */
} tdm__trunk_state;

typedef struct tdm__trunk tdm__trunk;
struct tdm__trunk {
    const char *name, *help;
    unsigned reads;                      /* TDM__TRUNK_READS_* */
    int64_t filters[TDM__TRUNK_FILTERS]; /* default; ends with 0 */
    int least_filters, most_filters;     /* how many model.filters may list */
    int halvings;                        /* sides must be multiples of 2^(filters - this);
                                            -1: any size */
    bool deep_blocks;                    /* a block's first feature is not its last */
    const void *variant;                 /* of the net's own */
    tdm__trunk_blocks (*blocks)(const tdm__trunk_spec *spec);
    /* Block i; in order. */
    void (*build_block)(const tdm__trunk *trunk, const tdm__trunk_spec *spec, tdm__net *net, int i,
                        tdm__trunk_state *state);
};

/* By name; NULL when there is none. */
const tdm__trunk *tdm__trunk_find(const char *name);
/* All of them; NULL at the end. */
extern const tdm__trunk *const tdm__trunks[];

/* Reads model.filters, model.stem and model.norm for the trunk and checks the input's sides. trunk
 * may be NULL (a list of layers): then none of the keys may be given. */
tdm_status tdm__trunk_spec_read(const tdm_config *config, const tdm__trunk *trunk,
                                const tdm_desc *input, tdm__trunk_spec *out);

/* ---- what the nets share -----------------------------------------------------------------------
 */

/* A square convolution with "same" padding for odd kernels (k / 2). */
tdm_value tdm__block_conv(tdm__net *net, const char *name, tdm_value x, int64_t channels,
                          int kernel, int stride, bool bias);
/* Entries `first` and `first + 1` of the nn.Sequential `name`: a 3x3 convolution and batch norm;
 * then ReLU. */
tdm_value tdm__block_conv_bn_relu(tdm__net *net, const char *name, int first, tdm_value x,
                                  int64_t channels, bool bias);

#endif
