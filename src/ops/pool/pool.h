/* ops/pool/pool.h: window geometry shared by the pools. */
#ifndef OPS_POOL_POOL_H
#define OPS_POOL_POOL_H

#include <tandem/ops.h>

#include "ops/common.h"

/* x (n,h,w,c) pooled to y (n,p,q,c) by r x s windows. */
typedef struct tdm__pool {
    uint64_t n;
    int64_t h, w, c, p, q;
    int32_t r, s, sh, sw, ph, pw;
} tdm__pool;

/* Attributes of the operations that make the large side: gradients of pools, and unpool. */
typedef struct tdm__pool_back_attrs {
    tdm_pool2d_attrs pool;
    int64_t h, w;
} tdm__pool_back_attrs;

/* The first TDM__POOL_ATTRS describe tdm_pool2d_attrs, all of them tdm__pool_back_attrs. */
enum { TDM__POOL_ATTRS = 5, TDM__POOL_BACK_ATTRS = 7 };
extern const tdm__attr tdm__pool_attr_table[TDM__POOL_BACK_ATTRS];

/* Output size of one axis, by PyTorch's rule: with ceil_mode a last partial window counts when it
 * starts inside the input or its left padding. */
int64_t tdm__pool_out(int64_t in, int64_t kernel, int64_t stride, int64_t padding, bool ceil_mode);
/* The descriptors' parts that the pools share, and the operations that have tdm__pool_back_attrs.
 */
#define TDM__POOL_FORWARD                                                                          \
    .attr_size = sizeof(tdm_pool2d_attrs), .attrs = tdm__pool_attr_table,                          \
    .n_attrs = TDM__POOL_ATTRS, .min_in = 1, .max_in = 1, .differentiable = 1, .out_gradient = 1
#define TDM__POOL_BACK                                                                             \
    .attr_size = sizeof(tdm__pool_back_attrs), .attrs = tdm__pool_attr_table,                      \
    .n_attrs = TDM__POOL_BACK_ATTRS, .n_out = 1, .can_accumulate = true

/* The geometry over an h x w input, for n samples of c channels. Raises TDM_ERR_SHAPE for windows
 * that PyTorch refuses too. */
tdm_status tdm__pool_make(const tdm_pool2d_attrs *a, int64_t n, int64_t h, int64_t w, int64_t c,
                          tdm__pool *out);
/* The same from a valid operation. back: output 0 is the large side, otherwise input 0. */
tdm__pool tdm__pool_of(const tdm__io *io, bool back);

/* Infer of pools: x -> y; and of their gradients: dy, of the size that the pool gives, -> dx. */
tdm_status tdm__pool_infer(const tdm__io *io, tdm_desc *out);
tdm_status tdm__pool_infer_back(const tdm__io *io, tdm_desc *out);
/* Appends the gradient node `op` of a pool. */
tdm_value tdm__pool_gradient(tdm_graph *g, const tdm_op *op, const tdm__node_view *node,
                             const tdm_value *in, int n);

/* A launch of pool.cl with its tensors and (rows, per_item, POOL_ARGS) over output 0. flops: per
 * position of a window. */
tdm__kernel *tdm__pool_emit(tdm__build *b, const char *kernel, bool back, double flops);
/* The launch of max_pool_tiles, for windows that touch and do not overlap: the gradient of the
 * maximum pool, and unpool. */
bool tdm__pool_can_tile(const tdm__traits *traits, const tdm__io *io);
tdm_status tdm__pool_prepare_tiles(tdm__build *b);

/* ---- global pools: (N,H,W,C) <-> (N,C) ----------------------------------------------------------
 */

typedef struct tdm__global_attrs {
    int64_t h, w;
} tdm__global_attrs;
enum { TDM__GLOBAL_ATTRS = 2 };
extern const tdm__attr tdm__global_attr_table[TDM__GLOBAL_ATTRS];

/* Input 0 is dy (N,C), output 0 dx (N,h,w,C). */
tdm_status tdm__global_infer_back(const tdm__io *io, tdm_desc *out);
/* Appends the gradient node `op`. */
tdm_value tdm__global_gradient(tdm_graph *g, const tdm_op *op, const tdm__node_view *node,
                               const tdm_value *in, int n);
/* A launch with its tensors and (samples, pixels, C): a work-item (CPU style) or a work-group (GPU
 * style) has a few channels of one sample. */
tdm__kernel *tdm__global_emit(tdm__build *b, const char *kernel);
/* The launch of a gradient. */
tdm_status tdm__global_prepare_back(tdm__build *b, const char *kernel);

#define TDM__GLOBAL_BACK                                                                           \
    .attr_size = sizeof(tdm__global_attrs), .attrs = tdm__global_attr_table,                       \
    .n_attrs = TDM__GLOBAL_ATTRS, .n_out = 1, .can_accumulate = true

/* ---- for the references
 * -------------------------------------------------------------------------- */

/* Element index in x and y. */
static inline int64_t tdm__pool_x(const tdm__pool *g, int64_t n, int64_t h, int64_t w, int64_t c)
{
    return ((n * g->h + h) * g->w + w) * g->c + c;
}
static inline int64_t tdm__pool_y(const tdm__pool *g, int64_t n, int64_t p, int64_t q, int64_t c)
{
    return ((n * g->p + p) * g->q + q) * g->c + c;
}

/* A walk over all windows in the order (n, p, q, c); `y` is the window's element in the small
 * tensor. */
typedef struct tdm__window {
    int64_t n, p, q, c, y;
    int64_t h0, w0;         /* first position, possibly in the padding */
    int64_t r0, r1, s0, s1; /* positions inside the input */
} tdm__window;
bool tdm__pool_first(const tdm__pool *g, tdm__window *w);
bool tdm__pool_next(const tdm__pool *g, tdm__window *w);

/* The element of x that is position `index` (row-major) of window w, -1 in the padding. */
int64_t tdm__pool_target(const tdm__pool *g, const tdm__window *w, double index);

#endif
