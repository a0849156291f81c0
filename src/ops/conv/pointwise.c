/* ops/conv/pointwise.c: the filter gradient of a 1x1 convolution as one plain matrix product. The
 * images are matrices (pixels, channels) already, so nothing has to be gathered; with a stride, the
 * pixels that count are copied together first:
 *
 *     dw (C,K) = x (pixels,C) transposed times dy (pixels,K)
 */
#include "ops/channel_sum.h"
#include "ops/conv/conv.h"
#include "ops/gemm.h"

static bool strided(const tdm__conv *c)
{
    return c->stride[0] != 1 || c->stride[1] != 1;
}

bool tdm__conv_pointwise_can_run(const tdm__conv *c)
{
    for (int i = 0; i < 2; i++)
        if (c->kernel[i] != 1 || c->padding[i] != 0) return false;
    /* the kernels count rows in 32 bits */
    return c->groups == 1 && c->n <= INT32_MAX / (c->small[0] * c->small[1]);
}

static uint64_t pixels_of(const tdm__conv *c)
{
    return (uint64_t)(c->n * c->small[0] * c->small[1]);
}

uint64_t tdm__conv_pointwise_filter_workspace(const tdm__conv *c)
{
    return strided(c) ? 4 * pixels_of(c) * (uint64_t)c->c : 0;
}

tdm_status tdm__conv_pointwise_filter_prepare(tdm__build *b, const tdm__conv *c)
{
    tdm__gemm product = {.a = 0,
                         .b = 1,
                         .bias = -1,
                         .trans_a = true,
                         .m = (uint64_t)c->c,
                         .n = (uint64_t)c->k,
                         .k = pixels_of(c)};
    if (tdm__build_io(b)->n_out == 2) tdm__channel_sum_emit(b, 1, 1, false);
    if (strided(c)) {
        tdm__conv_emit_im2col(b, c, 0, (uint64_t)c->n);
        product.a = TDM__GEMM_WORKSPACE;
    }
    return tdm__gemm_prepare(b, &product);
}
