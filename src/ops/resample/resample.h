/* ops/resample/resample.h: what nearest and bilinear resizing share: all but the coordinates along
 * one axis, which each gives as a function. */
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

/* The descriptors' part that all share. */
#define TDM__RESAMPLE_OP                                                                           \
    .attr_size = sizeof(tdm__resample_attrs), .attrs = tdm__resample_attr_table,                   \
    .n_attrs = TDM__RESAMPLE_ATTRS, .min_in = 1, .max_in = 1, .n_out = 1, .can_accumulate = true

/* (N,H,W,C) x -> (N,h,w,C) y, and (N,H,W,C) dy -> (N,h,w,C) dx. */
tdm_status tdm__resample_infer(const tdm__io *io, tdm_desc *out);
tdm_status tdm__resample_infer_any(const tdm__io *io, tdm_desc *out); /* x may be i32 */
tdm_status tdm__resample_infer_grad(const tdm__io *io, tdm_desc *out);
/* Appends the gradient node `op`. */
tdm_status tdm__resample_gradient(tdm_graph *g, const tdm_op *op, const tdm__node_view *node,
                                  const tdm_value *dout, const bool *need, tdm_value *din);

/* Along one axis: the `n` positions of x that position `o` of y is made of, and their weights. */
typedef struct tdm__taps {
    int n;
    int64_t at[2];
    double weight[2];
} tdm__taps;
typedef tdm__taps tdm__taps_of(int64_t o, int64_t in, int64_t out, bool align_corners);

void tdm__resample_reference(const tdm__ref *ref, tdm__taps_of *taps_of);
void tdm__resample_reference_grad(const tdm__ref *ref, tdm__taps_of *taps_of);

/* Along one axis: positions of x for a step of one in y. */
typedef double tdm__scale_of(int64_t in, int64_t out, bool align_corners);
/* A launch of `kernel` with its tensors and RESAMPLE_ARGS. back: the result is x. */
tdm__kernel *tdm__resample_emit(tdm__build *b, const char *kernel, bool back,
                                tdm__scale_of *scale_of);

#endif
