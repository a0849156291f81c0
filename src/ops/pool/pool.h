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
/* The geometry over an h x w input, for n samples of c channels. Raises TDM_ERR_SHAPE for windows
 * that PyTorch refuses too. */
tdm_status tdm__pool_make(const tdm_pool2d_attrs *a, int64_t n, int64_t h, int64_t w, int64_t c,
                          tdm__pool *out);
/* The same from a valid operation: the large side is `large` (N,H,W,C), the small one `small`. */
tdm__pool tdm__pool_of(const tdm_pool2d_attrs *a, const tdm_desc *large, const tdm_desc *small);
/* Infer of the gradients of pools: input 0 is dy, of the size that the pool gives; output 0 is dx.
 */
tdm_status tdm__pool_infer_back(const tdm__io *io, tdm_desc *out);
/* The arguments (rows, per_item, POOL_ARGS) of pool.cl over a result of height x width. */
void tdm__pool_args(tdm__build *b, tdm__kernel *k, const tdm__pool *p, int64_t height,
                    int64_t width);

/* For inputs (values, indices) and output 0 of an operation with tdm__pool_back_attrs (gradient of
 * the maximum pool, and unpool): the launch of max_pool_tiles, for windows that touch and do not
 * overlap, or of a gather kernel. */
bool tdm__pool_can_tile(const tdm__traits *traits, const tdm__io *io);
tdm_status tdm__pool_prepare_tiles(tdm__build *b);
void tdm__pool_emit_gather(tdm__build *b, const char *kernel);

/* ---- global pools: (N,H,W,C) <-> (N,C) ----------------------------------------------------------
 */

typedef struct tdm__global_attrs {
    int64_t h, w;
} tdm__global_attrs;
enum { TDM__GLOBAL_ATTRS = 2 };
extern const tdm__attr tdm__global_attr_table[TDM__GLOBAL_ATTRS];

/* Input 0 is dy (N,C), output 0 dx (N,h,w,C). */
tdm_status tdm__global_infer_back(const tdm__io *io, tdm_desc *out);
/* Arguments (samples, pixels, C) and the range: a work-item (CPU style) or a work-group (GPU style)
 * has a few channels of one sample. */
void tdm__global_pool_args(tdm__build *b, tdm__kernel *k, const tdm_desc *x);
/* Arguments (rows, per_item, pixels, C) over dx. */
void tdm__global_pool_back_args(tdm__build *b, tdm__kernel *k, const tdm_desc *dx);

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

#endif
