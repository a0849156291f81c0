/* ops/resample/resample.h: what nearest and bilinear resizing share. */
#ifndef OPS_RESAMPLE_RESAMPLE_H
#define OPS_RESAMPLE_RESAMPLE_H

#include <tandem/ops.h>

#include "ops/common.h"

/* h, w: the size of the result, of y forward and of x backward. */
typedef struct tdm__resample_attrs {
    int64_t h, w;
    bool align_corners; /* bilinear only */
} tdm__resample_attrs;

enum { TDM__RESAMPLE_ATTRS = 3 };
extern const tdm__attr tdm__resample_attr_table[TDM__RESAMPLE_ATTRS];

/* (N,H,W,C) -> (N,h,w,C); `name` is the input's name in messages. */
tdm_status tdm__resample_infer(const tdm__io *io, tdm_desc *out, const char *name);
/* Appends the gradient node `op` of a resize of `x`. */
tdm_value tdm__resample_gradient(tdm_graph *g, const tdm_op *op, const tdm__node_view *node,
                                 tdm_value dout);
/* A launch of `kernel` with its tensors and RESAMPLE_ARGS. x, y: input and output of the forward
 * pass; the result is x in a backward pass. Scales are input / output size, as float. */
tdm__kernel *tdm__resample_emit(tdm__build *b, const char *kernel, const tdm_desc *x,
                                const tdm_desc *y, float scale_h, float scale_w);

#endif
