/* ops/resample/upsample_nearest.c: resizing by the nearest source, with PyTorch's rounding (sources
 * are computed in float there, too, so both pick the same pixel for every size). Numbers are only
 * copied, so labels will do. */
#include "ops/resample/resample.h"

#include <math.h>

static double scale_of(int64_t in, int64_t out, bool align)
{
    (void)align;
    return (double)((float)in / (float)out);
}

static tdm__taps taps_of(int64_t o, int64_t in, int64_t out, bool align)
{
    int64_t from = (int64_t)floorf((float)o * (float)scale_of(in, out, align));
    if (in == out) from = o;
    if (out == 2 * in) from = o / 2;
    return (tdm__taps){1, {from < in - 1 ? from : in - 1}, {1}};
}

static tdm_status emit(tdm__build *b, const char *kernel, bool back)
{
    tdm__kernel *k = tdm__resample_emit(b, kernel, back, scale_of);
    tdm__arg_i32(k, tdm__build_io(b)->accumulate);
    return TDM_OK;
}

/* ---- forward --------------------------------------------------------------------------------- */

static tdm_status gradient(tdm_graph *g, const tdm__node_view *node, const tdm_value *dout,
                           const bool *need, tdm_value *din)
{
    return tdm__resample_gradient(g, &tdm__op_upsample_nearest_grad, node, dout, need, din);
}

static void reference(const tdm__ref *ref)
{
    tdm__resample_reference(ref, taps_of);
}

static tdm_status prepare(tdm__build *b)
{
    return emit(b, "upsample_nearest_fwd", false);
}

static const tdm__variant variants[] = {{"gather", TDM__ON_ANY, .prepare = prepare}};

static const tdm__resample_attrs twice = {6, 10, false}, odd = {7, 11, false}, less = {2, 3, false},
                                 same = {3, 5, false}, large = {40, 60, false},
                                 empty = {0, 4, false};
static const tdm__sample samples[] = {
    {"twice c15", &twice, 1, {TDM__F32(2, 3, 5, 15)}},
    {"twice c16", &twice, 1, {TDM__F32(1, 3, 5, 16)}},
    {"odd c17", &odd, 1, {TDM__F32(2, 3, 5, 17)}},
    {"smaller", &less, 1, {TDM__F32(1, 7, 5, 3)}},
    {"same size", &same, 1, {TDM__F32(1, 3, 5, 2)}},
    {"one pixel", &odd, 1, {TDM__F32(2, 1, 1, 5)}},
    {"two items", &large, 1, {TDM__F32(2, 13, 17, 9)}},
    {"labels", &less, 1, {TDM__I32(2, 7, 5, 1)}, {TDM__FILL_LABEL}, {1000}},
};
static const tdm__reject rejects[] = {
    {"rank", &twice, 1, {TDM__F32(3, 5)}, TDM_ERR_SHAPE, "x: must have 4 axes, got f32[3,5]"},
    {"size",
     &empty,
     1,
     {TDM__F32(1, 3, 5, 2)},
     TDM_ERR_SHAPE,
     "h, w: must be at least 1, got 0, 4"},
};

const tdm_op tdm__op_upsample_nearest = {
    .name = "upsample_nearest",
    TDM__RESAMPLE_OP,
    .differentiable = 1,
    .out_gradient = 1,
    .infer = tdm__resample_infer_any,
    .gradient = gradient,
    .reference = reference,
    TDM__TABLES(variants, samples, rejects),
};

/* ---- backward -------------------------------------------------------------------------------- */

static void reference_grad(const tdm__ref *ref)
{
    tdm__resample_reference_grad(ref, taps_of);
}

static tdm_status prepare_grad(tdm__build *b)
{
    return emit(b, "upsample_nearest_bwd", true);
}

static const tdm__variant variants_grad[] = {{"gather", TDM__ON_ANY, .prepare = prepare_grad}};

static const tdm__resample_attrs half = {3, 5, false}, third = {3, 4, false}, more = {7, 11, false},
                                 one = {1, 1, false}, back = {13, 17, false};
static const tdm__sample samples_grad[] = {
    {"half c15", &half, 1, {TDM__F32(2, 6, 10, 15)}},
    {"half c16", &half, 1, {TDM__F32(1, 6, 10, 16)}},
    {"uneven c17", &third, 1, {TDM__F32(1, 7, 11, 17)}},
    {"of smaller", &more, 1, {TDM__F32(1, 2, 3, 3)}},
    {"one pixel", &one, 1, {TDM__F32(2, 7, 5, 5)}},
    {"two items", &back, 1, {TDM__F32(2, 40, 60, 47)}},
};
static const tdm__reject rejects_grad[] = {
    {"size",
     &empty,
     1,
     {TDM__F32(1, 3, 5, 2)},
     TDM_ERR_SHAPE,
     "h, w: must be at least 1, got 0, 4"},
};

const tdm_op tdm__op_upsample_nearest_grad = {
    .name = "upsample_nearest_grad",
    TDM__RESAMPLE_OP,
    .infer = tdm__resample_infer_grad,
    .reference = reference_grad,
    TDM__TABLES(variants_grad, samples_grad, rejects_grad),
};

tdm_value tdm_upsample_nearest(tdm_graph *g, tdm_value x, int64_t h, int64_t w)
{
    return tdm__op_append(g, &tdm__op_upsample_nearest, &x, 1, &(tdm__resample_attrs){h, w, false});
}
