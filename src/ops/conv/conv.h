/* ops/conv/conv.h: what the convolution operations share: geometry, checks, references, algorithms.
 *
 * Every operation relates a big image (N,H,W,C), a small image (N,P,Q,K) and a filter (R,S,C,K):
 *   conv2d             big -> small      small[p] += big[p u - pad + r d] w[r]
 *   conv2d_grad_data   small -> big      its transpose
 *   conv_transpose2d   small -> big      the same sums, with bias and epilogue
 *   conv2d_grad_filter big, small -> filter
 * so that one set of kernels serves all.
 */
#ifndef OPS_CONV_CONV_H
#define OPS_CONV_CONV_H

#include <tandem/ops.h>

#include "ops/channel_sum.h"
#include "ops/common.h"

typedef struct tdm__conv {
    int64_t n, c, k;          /* batch, channels of big and small */
    int64_t big[2], small[2]; /* along H, W */
    int64_t kernel[2], stride[2], padding[2], dilation[2];
    int64_t groups; /* at least 1; divides c and k; the filter is (R,S,C/groups,K) */
} tdm__conv;

/* conv2d_grad_data: the big image's size does not follow from the small one's. */
typedef struct tdm__conv_data_attrs {
    tdm_conv2d_attrs conv; /* first: checked and read like the others' */
    int32_t size[2];       /* H, W of the result */
} tdm__conv_data_attrs;

extern const tdm__attr tdm__conv_attrs[]; /* fields of tdm_conv2d_attrs */
enum { TDM__N_CONV_ATTRS = 6 };

void tdm__conv_set_big(tdm__conv *c, const tdm_desc *image);
void tdm__conv_set_small(tdm__conv *c, const tdm_desc *image);
/* Geometry of an inferred node (attributes known to be right). attrs: begins with tdm_conv2d_attrs.
 */
tdm__conv tdm__conv_of_images(const void *attrs, const tdm_desc *big, const tdm_desc *small);

/* Attributes with zeros replaced by their defaults, then their checks: TDM_ERR_SHAPE. */
tdm_status tdm__conv_attrs_get(const tdm_conv2d_attrs *a, tdm__conv *out);
/* P from H, or H from P: TDM_ERR_SHAPE when empty or beyond 32-bit pixel counts. */
tdm_status tdm__conv_infer_small(tdm__conv *c);
tdm_status tdm__conv_infer_big(tdm__conv *c, const int32_t output_padding[2]);
tdm_status tdm__conv_check_groups(const tdm__conv *c);
/* Input `input` is the filter f32[kernel..., c / groups, k], the optional bias is f32[channels]. */
tdm_status tdm__conv_expect_filter(const tdm__io *io, int input, const tdm__conv *c);
tdm_status tdm__conv_expect_bias(const tdm__io *io, int input, int64_t channels);
double tdm__conv_macs(const tdm__conv *c);
/* Both images once: what every algorithm moves at least. */
double tdm__conv_bytes(const tdm__conv *c);

/* Double references; results are added. */
void tdm__conv_reference_small(const tdm__conv *c, const double *big, const double *w,
                               double *small);
void tdm__conv_reference_big(const tdm__conv *c, const double *small, const double *w, double *big);
void tdm__conv_reference_filter(const tdm__conv *c, const double *big, const double *small,
                                double *dw);
void tdm__conv_reference_bias(double *y, uint64_t rows, uint64_t channels, const double *bias);

/* Gradient nodes shared by convolution and transposed convolution. */
tdm_value tdm__conv_grad_filter(tdm_graph *g, tdm_value big, tdm_value small,
                                const tdm_conv2d_attrs *a);

/* ---- algorithms (variants.c) --------------------------------------------------------------------
 */

/* Of the operations from an image to an image; the optional bias is input 2. to_small: conv2d.
 * to_big: its data gradient, the transposed convolution. */
enum {
    TDM__N_CONV_SMALL_VARIANTS = 6,
    TDM__N_CONV_BIG_VARIANTS = 7,
    TDM__N_CONV_FILTER_VARIANTS = 7
};
extern const tdm__variant tdm__conv_to_small_variants[TDM__N_CONV_SMALL_VARIANTS];
extern const tdm__variant tdm__conv_to_big_variants[TDM__N_CONV_BIG_VARIANTS];
/* Of the filter gradients: inputs big, small. */
extern const tdm__variant tdm__conv_filter_variants[TDM__N_CONV_FILTER_VARIANTS];

/* ---- implicit matrix product, CPU style (implicit.c) ------------------------------------------
 */

/* to_big: small (input `in`) -> big; else big -> small. w: input 1. bias: input or -1. */
bool tdm__conv_gather_can_run(const tdm__traits *traits, const tdm__conv *c, bool to_big);
uint64_t tdm__conv_gather_workspace(const tdm__traits *traits, const tdm__conv *c, bool to_big);
tdm_status tdm__conv_gather_prepare(tdm__build *b, const tdm__conv *c, bool to_big, int bias);
/* Inputs big, small; outputs dw and, when the operation has two, the small image's column sums. */
bool tdm__conv_filter_can_run(const tdm__traits *traits, const tdm__conv *c);
uint64_t tdm__conv_filter_workspace(const tdm__traits *traits, const tdm__conv *c);
tdm_status tdm__conv_filter_prepare(tdm__build *b, const tdm__conv *c);

/* ---- a product and a scattered sum, CPU style (scatter.c) ---------------------------------------
 */

/* small (input 0) -> big of few channels. */
bool tdm__conv_scatter_can_run(const tdm__traits *traits, const tdm__conv *c);
uint64_t tdm__conv_scatter_workspace(const tdm__traits *traits, const tdm__conv *c);
tdm_status tdm__conv_scatter_prepare(tdm__build *b, const tdm__conv *c, int bias);

/* ---- grouped and depthwise, both styles (grouped.c) --------------------------------------------
 */

tdm_status tdm__conv_grouped_prepare(tdm__build *b, const tdm__conv *c, bool to_big, int bias);
uint64_t tdm__conv_grouped_filter_workspace(const tdm__conv *c);
tdm_status tdm__conv_grouped_filter_prepare(tdm__build *b, const tdm__conv *c);

/* ---- the implicit product, GPU style (implicit_gpu.c)
 * ------------------------------------------------------
 */

tdm_status tdm__conv_gather_gpu_prepare(tdm__build *b, const tdm__conv *c, bool to_big, int bias);
uint64_t tdm__conv_filter_gpu_workspace(const tdm__traits *traits, const tdm__conv *c);
tdm_status tdm__conv_filter_gpu_prepare(tdm__build *b, const tdm__conv *c);

/* ---- Winograd's F(4x4,3x3), CPU style (winograd.c) ---------------------------------------------
 */

bool tdm__conv_winograd_can_run(const tdm__conv *c);
/* Whether at least half of what is computed lies inside an output of this height and width. */
bool tdm__conv_winograd_fills_tiles(const int64_t out[2]);
uint64_t tdm__conv_winograd_workspace(const tdm__traits *traits, const tdm__conv *c, bool to_big);
/* Blocks of tiles, each with statistics of its own. */
uint64_t tdm__conv_winograd_blocks(const tdm__traits *traits, const tdm__conv *c, bool to_big);
tdm_status tdm__conv_winograd_prepare(tdm__build *b, const tdm__conv *c, bool to_big, int bias);
uint64_t tdm__conv_winograd_filter_workspace(const tdm__traits *traits, const tdm__conv *c);
tdm_status tdm__conv_winograd_filter_prepare(tdm__build *b, const tdm__conv *c);

/* ---- a plain matrix product by CLBlast (im2col.c) ----------------------------------------------
 */

/* 1x1 without padding: a plain product, after a copy of the pixels that a stride leaves. */
bool tdm__conv_pointwise_can_run(const tdm__conv *c);
uint64_t tdm__conv_pointwise_filter_workspace(const tdm__conv *c);
tdm_status tdm__conv_pointwise_filter_prepare(tdm__build *b, const tdm__conv *c);

/* A launch: of `images` images of input 0 from `first` on, the inputs of every pixel of the result as a
 * row (R S C) at the start of the workspace. */
void tdm__conv_emit_im2col(tdm__build *b, const tdm__conv *c, uint64_t first, uint64_t images);
bool tdm__conv_im2col_can_run(const tdm__traits *traits, const tdm__conv *c);
uint64_t tdm__conv_im2col_workspace(const tdm__conv *c);
tdm_status tdm__conv_im2col_to_small(tdm__build *b, const tdm__conv *c, int bias);
tdm_status tdm__conv_im2col_to_big(tdm__build *b, const tdm__conv *c, int bias);
tdm_status tdm__conv_im2col_filter(tdm__build *b, const tdm__conv *c);

/* ---- the same, GPU style (winograd_gpu.c) ------------------------------------------------------
 */

bool tdm__conv_winograd_gpu_can_run(const tdm__traits *traits, const tdm__conv *c);
uint64_t tdm__conv_winograd_gpu_workspace(const tdm__traits *traits, const tdm__conv *c,
                                          bool to_big);
tdm_status tdm__conv_winograd_gpu_prepare(tdm__build *b, const tdm__conv *c, bool to_big, int bias);
uint64_t tdm__conv_winograd_gpu_filter_workspace(const tdm__traits *traits, const tdm__conv *c);
tdm_status tdm__conv_winograd_gpu_filter_prepare(tdm__build *b, const tdm__conv *c);

#endif
