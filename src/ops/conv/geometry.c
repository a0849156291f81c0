/* ops/conv/geometry.c: attributes, shapes and double references of the convolutions. */
#include "ops/conv/conv.h"

#include <stddef.h>

const tdm__attr tdm__conv_attrs[TDM__N_CONV_ATTRS] = {
    {"kernel", 'i', offsetof(tdm_conv2d_attrs, kernel), 2},
    {"stride", 'i', offsetof(tdm_conv2d_attrs, stride), 2},
    {"padding", 'i', offsetof(tdm_conv2d_attrs, padding), 2},
    {"dilation", 'i', offsetof(tdm_conv2d_attrs, dilation), 2},
    {"groups", 'i', offsetof(tdm_conv2d_attrs, groups), 1},
    {"output_padding", 'i', offsetof(tdm_conv2d_attrs, output_padding), 2},
};

tdm_status tdm__conv_attrs_get(const tdm_conv2d_attrs *a, tdm__conv *out)
{
    for (int i = 0; i < 2; i++) {
        out->kernel[i] = a->kernel[i];
        out->stride[i] = a->stride[i] == 0 ? 1 : a->stride[i];
        out->padding[i] = a->padding[i];
        out->dilation[i] = a->dilation[i] == 0 ? 1 : a->dilation[i];
        if (out->kernel[i] < 1)
            return tdm__fail(TDM_ERR_SHAPE, "kernel: must be at least 1x1, got %dx%d",
                             (int)a->kernel[0], (int)a->kernel[1]);
        if (out->stride[i] < 1)
            return tdm__fail(TDM_ERR_SHAPE, "stride: must be at least 1x1, got %dx%d",
                             (int)a->stride[0], (int)a->stride[1]);
        if (out->padding[i] < 0)
            return tdm__fail(TDM_ERR_SHAPE, "padding: must not be negative, got %dx%d",
                             (int)a->padding[0], (int)a->padding[1]);
        if (out->dilation[i] < 1)
            return tdm__fail(TDM_ERR_SHAPE, "dilation: must be at least 1x1, got %dx%d",
                             (int)a->dilation[0], (int)a->dilation[1]);
    }
    out->groups = a->groups == 0 ? 1 : a->groups;
    if (out->groups < 1)
        return tdm__fail(TDM_ERR_SHAPE, "groups: must be at least 1, got %d", (int)a->groups);
    return TDM_OK;
}

void tdm__conv_set_big(tdm__conv *c, const tdm_desc *image)
{
    c->n = image->dim[0], c->big[0] = image->dim[1], c->big[1] = image->dim[2];
    c->c = image->dim[3];
}

void tdm__conv_set_small(tdm__conv *c, const tdm_desc *image)
{
    c->n = image->dim[0], c->small[0] = image->dim[1], c->small[1] = image->dim[2];
    c->k = image->dim[3];
}

tdm__conv tdm__conv_of_images(const void *attrs, const tdm_desc *big, const tdm_desc *small)
{
    tdm__conv c = {0};
    tdm__conv_attrs_get(attrs, &c);
    tdm__conv_set_big(&c, big);
    tdm__conv_set_small(&c, small);
    return c;
}

/* Kernels count an image's pixels and a filter's rows in 32 bits. */
static tdm_status check_counts(const tdm__conv *c)
{
    const int64_t most = INT32_MAX;
    if (c->big[0] > most / c->big[1] || c->small[0] > most / c->small[1] ||
        c->kernel[0] * c->kernel[1] > most / (c->c > c->k ? c->c : c->k))
        return tdm__fail(TDM_ERR_SHAPE, "x: an image or filter has more than 2^31 elements");
    return TDM_OK;
}

static tdm_status check_size(const int64_t size[2], const tdm__conv *c)
{
    if (size[0] >= 1 && size[1] >= 1) return check_counts(c);
    return tdm__fail(
        TDM_ERR_SHAPE, "kernel: %lldx%lld does not fit x: the result would be %lldx%lld",
        (long long)c->kernel[0], (long long)c->kernel[1], (long long)size[0], (long long)size[1]);
}

tdm_status tdm__conv_infer_small(tdm__conv *c)
{
    for (int i = 0; i < 2; i++) {
        int64_t room = c->big[i] + 2 * c->padding[i] - c->dilation[i] * (c->kernel[i] - 1) - 1;
        c->small[i] = room < 0 ? 0 : room / c->stride[i] + 1;
    }
    return check_size(c->small, c);
}

tdm_status tdm__conv_infer_big(tdm__conv *c, const int32_t output_padding[2])
{
    for (int i = 0; i < 2; i++) {
        if (output_padding[i] < 0 || output_padding[i] >= c->stride[i])
            return tdm__fail(
                TDM_ERR_SHAPE,
                "output_padding: must be at least 0 and less than the stride, got %dx%d",
                (int)output_padding[0], (int)output_padding[1]);
        c->big[i] = (c->small[i] - 1) * c->stride[i] - 2 * c->padding[i] +
                    c->dilation[i] * (c->kernel[i] - 1) + output_padding[i] + 1;
    }
    return check_size(c->big, c);
}

tdm_status tdm__conv_check_groups(const tdm__conv *c)
{
    if (c->c % c->groups == 0 && c->k % c->groups == 0) return TDM_OK;
    return tdm__fail(TDM_ERR_SHAPE, "groups: %lld do not divide %lld and %lld channels",
                     (long long)c->groups, (long long)c->c, (long long)c->k);
}

tdm_status tdm__conv_expect_filter(const tdm__io *io, int input, const tdm__conv *c)
{
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__conv_check_groups(c));
    tdm_desc want = tdm_desc_4(TDM_F32, c->kernel[0], c->kernel[1], c->c / c->groups, c->k);
    char text[96], text_want[96];
    if (!tdm_desc_equal(&io->in[input], &want))
        return tdm__fail(TDM_ERR_SHAPE, "w: must be %s, got %s",
                         tdm_desc_text(&want, text_want, sizeof text_want),
                         tdm_desc_text(&io->in[input], text, sizeof text));
done:
    return status;
}

tdm_status tdm__conv_expect_bias(const tdm__io *io, int input, int64_t channels)
{
    tdm_desc want = tdm_desc_1(TDM_F32, channels);
    char text[96], text_want[96];
    if (io->n_in <= input || io->in[input].dtype == TDM_NONE) return TDM_OK;
    if (tdm_desc_equal(&io->in[input], &want)) return TDM_OK;
    return tdm__fail(TDM_ERR_SHAPE, "b: must be %s, got %s",
                     tdm_desc_text(&want, text_want, sizeof text_want),
                     tdm_desc_text(&io->in[input], text, sizeof text));
}

/* Taps times pixels, those that fall into the padding included. */
double tdm__conv_macs(const tdm__conv *c)
{
    return (double)c->n * (double)(c->small[0] * c->small[1]) * (double)(c->c / c->groups * c->k) *
           (double)(c->kernel[0] * c->kernel[1]);
}

double tdm__conv_bytes(const tdm__conv *c)
{
    return 4.0 * (double)c->n *
           (double)(c->c * c->big[0] * c->big[1] + c->k * c->small[0] * c->small[1]);
}

/* ---- references ------------------------------------------------------------------------------ */

/* Calls fn with offsets of every (big pixel, filter tap, small pixel) that meet: the first channel
 * of each. */
typedef void (*meet)(const tdm__conv *c, double *big, double *w, double *small);

static void each_meeting(const tdm__conv *c, double *big, double *w, double *small, meet fn)
{
    for (int64_t n = 0; n < c->n; n++)
        for (int64_t p = 0; p < c->small[0]; p++)
            for (int64_t q = 0; q < c->small[1]; q++)
                for (int64_t r = 0; r < c->kernel[0]; r++)
                    for (int64_t s = 0; s < c->kernel[1]; s++) {
                        int64_t y = p * c->stride[0] - c->padding[0] + r * c->dilation[0];
                        int64_t x = q * c->stride[1] - c->padding[1] + s * c->dilation[1];
                        if (y < 0 || y >= c->big[0] || x < 0 || x >= c->big[1]) continue;
                        fn(c, big + ((n * c->big[0] + y) * c->big[1] + x) * c->c,
                           w + (r * c->kernel[1] + s) * (c->c / c->groups) * c->k,
                           small + ((n * c->small[0] + p) * c->small[1] + q) * c->k);
                    }
}

/* Channel k of the small image meets cg channels of the big one, those of its group. */
static void meet_small(const tdm__conv *c, double *big, double *w, double *small)
{
    const int64_t cg = c->c / c->groups, kg = c->k / c->groups;
    for (int64_t i = 0; i < cg; i++)
        for (int64_t k = 0; k < c->k; k++) small[k] += big[k / kg * cg + i] * w[i * c->k + k];
}

static void meet_big(const tdm__conv *c, double *big, double *w, double *small)
{
    const int64_t cg = c->c / c->groups, kg = c->k / c->groups;
    for (int64_t i = 0; i < cg; i++)
        for (int64_t k = 0; k < c->k; k++) big[k / kg * cg + i] += small[k] * w[i * c->k + k];
}

static void meet_filter(const tdm__conv *c, double *big, double *w, double *small)
{
    const int64_t cg = c->c / c->groups, kg = c->k / c->groups;
    for (int64_t i = 0; i < cg; i++)
        for (int64_t k = 0; k < c->k; k++) w[i * c->k + k] += big[k / kg * cg + i] * small[k];
}

void tdm__conv_reference_small(const tdm__conv *c, const double *big, const double *w,
                               double *small)
{
    each_meeting(c, (double *)big, (double *)w, small, meet_small);
}

void tdm__conv_reference_big(const tdm__conv *c, const double *small, const double *w, double *big)
{
    each_meeting(c, big, (double *)w, (double *)small, meet_big);
}

void tdm__conv_reference_filter(const tdm__conv *c, const double *big, const double *small,
                                double *dw)
{
    each_meeting(c, (double *)big, dw, (double *)small, meet_filter);
}

void tdm__conv_reference_bias(double *y, uint64_t rows, uint64_t channels, const double *bias)
{
    if (!bias) return;
    for (uint64_t i = 0; i < rows; i++)
        for (uint64_t k = 0; k < channels; k++) y[i * channels + k] += bias[k];
}
