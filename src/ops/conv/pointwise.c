/* ops/conv/pointwise.c: the filter gradient of a 1x1 convolution as one plain matrix product. The
 * images are matrices (pixels, channels) already, so nothing has to be gathered:
 *
 *     dw (C,K) = x (pixels,C) transposed times dy (pixels,K)
 */
#include "ops/channel_sum.h"
#include "ops/conv/conv.h"
#include "ops/gemm.h"

bool tdm__conv_pointwise_can_run(const tdm__conv *c)
{
    for (int i = 0; i < 2; i++)
        if (c->kernel[i] != 1 || c->stride[i] != 1 || c->padding[i] != 0) return false;
    /* the product counts rows in 32 bits */
    return c->groups == 1 && c->n <= INT32_MAX / (c->big[0] * c->big[1]);
}

tdm_status tdm__conv_pointwise_filter_prepare(tdm__build *b, const tdm__conv *c)
{
    const tdm__gemm product = {.a = 0,
                               .b = 1,
                               .bias = -1,
                               .trans_a = true,
                               .m = (uint64_t)c->c,
                               .n = (uint64_t)c->k,
                               .k = (uint64_t)(c->n * c->big[0] * c->big[1])};
    if (tdm__build_io(b)->n_out == 2) tdm__channel_sum_emit(b, 1, 1, false);
    return tdm__gemm_prepare(b, &product);
}
