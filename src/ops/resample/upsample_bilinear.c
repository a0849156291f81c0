/* ops/resample/upsample_bilinear.c: resizing by bilinear interpolation, with both of PyTorch's
 * conventions for the coordinates (align_corners or pixel centres); no antialiasing when shrinking.
 */
#include "ops/resample/resample.h"

static double scale_of(int64_t in, int64_t out, bool align)
{
    if (!align) return (double)in / (double)out;
    return out > 1 ? (double)(in - 1) / (double)(out - 1) : 0;
}

/* The two neighbours: at the last one they are the same. */
static tdm__taps taps_of(int64_t o, int64_t in, int64_t out, bool align)
{
    double scale = scale_of(in, out, align);
    double s = align ? (double)o * scale : ((double)o + 0.5) * scale - 0.5;
    if (s < 0) s = 0;
    int64_t low = (int64_t)s < in - 1 ? (int64_t)s : in - 1;
    double part = s - (double)low < 1 ? s - (double)low : 1;
    return (tdm__taps){2, {low, low < in - 1 ? low + 1 : in - 1}, {1 - part, part}};
}

static tdm_status emit(tdm__build *b, const char *kernel, bool back)
{
    const tdm__io *io = tdm__build_io(b);
    tdm__kernel *k = tdm__resample_emit(b, kernel, back, scale_of);
    tdm__arg_i32(k, ((const tdm__resample_attrs *)io->attrs)->align_corners);
    tdm__arg_i32(k, io->accumulate);
    return TDM_OK;
}

/* ---- forward --------------------------------------------------------------------------------- */

static tdm_status gradient(tdm_graph *g, const tdm__node_view *node, const tdm_value *dout,
                           const bool *need, tdm_value *din)
{
    return tdm__resample_gradient(g, &tdm__op_upsample_bilinear_grad, node, dout, need, din);
}

static void reference(const tdm__ref *ref)
{
    tdm__resample_reference(ref, taps_of);
}

static tdm_status prepare(tdm__build *b)
{
    return emit(b, "upsample_bilinear_fwd", false);
}

static const tdm__variant variants[] = {{"gather", TDM__ON_ANY, .prepare = prepare}};

static const tdm__resample_attrs twice = {6, 10, false}, corner = {6, 10, true},
                                 odd = {7, 11, false}, odd_corner = {7, 11, true},
                                 less = {2, 3, false}, less_corner = {2, 3, true},
                                 same = {3, 5, false}, line = {1, 9, true}, large = {40, 60, true},
                                 empty = {4, -1, false};
static const tdm__sample samples[] = {
    {"twice c15", &twice, 1, {TDM__F32(2, 3, 5, 15)}},
    {"twice c16 corners", &corner, 1, {TDM__F32(1, 3, 5, 16)}},
    {"odd c17", &odd, 1, {TDM__F32(2, 3, 5, 17)}},
    {"odd c33 corners", &odd_corner, 1, {TDM__F32(2, 3, 5, 33)}},
    {"smaller", &less, 1, {TDM__F32(1, 7, 5, 3)}},
    {"smaller corners", &less_corner, 1, {TDM__F32(1, 7, 5, 3)}},
    {"same size", &same, 1, {TDM__F32(1, 3, 5, 2)}},
    {"one row", &line, 1, {TDM__F32(2, 4, 3, 5)}},
    {"one pixel", &odd, 1, {TDM__F32(2, 1, 1, 5)}},
    {"two items", &large, 1, {TDM__F32(2, 13, 17, 9)}},
};
static const tdm__reject rejects[] = {
    {"rank", &twice, 1, {TDM__F32(3, 5)}, TDM_ERR_SHAPE, "x: must have 4 axes, got f32[3,5]"},
    {"size",
     &empty,
     1,
     {TDM__F32(1, 3, 5, 2)},
     TDM_ERR_SHAPE,
     "h, w: must be at least 1, got 4, -1"},
};

const tdm_op tdm__op_upsample_bilinear = {
    .name = "upsample_bilinear",
    TDM__RESAMPLE_OP,
    .differentiable = 1,
    .out_gradient = 1,
    .infer = tdm__resample_infer,
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
    return emit(b, "upsample_bilinear_bwd", true);
}

static const tdm__variant variants_grad[] = {{"gather", TDM__ON_ANY, .prepare = prepare_grad}};

static const tdm__resample_attrs half = {3, 5, false}, half_corner = {3, 5, true},
                                 third = {3, 4, false}, third_corner = {3, 4, true},
                                 more = {7, 11, false}, more_corner = {7, 11, true},
                                 one = {1, 1, false}, back = {13, 17, true};
static const tdm__sample samples_grad[] = {
    {"half c15", &half, 1, {TDM__F32(2, 6, 10, 15)}},
    {"half c16 corners", &half_corner, 1, {TDM__F32(1, 6, 10, 16)}},
    {"uneven c17", &third, 1, {TDM__F32(1, 7, 11, 17)}},
    {"uneven c67 corners", &third_corner, 1, {TDM__F32(1, 7, 11, 67)}},
    {"of smaller", &more, 1, {TDM__F32(1, 2, 3, 3)}},
    {"of smaller corners", &more_corner, 1, {TDM__F32(1, 2, 3, 3)}},
    {"of one row", &half_corner, 1, {TDM__F32(1, 1, 9, 3)}},
    {"one pixel", &one, 1, {TDM__F32(2, 7, 5, 5)}},
    {"two items", &back, 1, {TDM__F32(2, 40, 60, 47)}},
};
static const tdm__reject rejects_grad[] = {
    {"size",
     &empty,
     1,
     {TDM__F32(1, 3, 5, 2)},
     TDM_ERR_SHAPE,
     "h, w: must be at least 1, got 4, -1"},
};

const tdm_op tdm__op_upsample_bilinear_grad = {
    .name = "upsample_bilinear_grad",
    TDM__RESAMPLE_OP,
    .infer = tdm__resample_infer_grad,
    .reference = reference_grad,
    TDM__TABLES(variants_grad, samples_grad, rejects_grad),
};

tdm_value tdm_upsample_bilinear(tdm_graph *g, tdm_value x, int64_t h, int64_t w, bool align_corners)
{
    return tdm__op_append(g, &tdm__op_upsample_bilinear, &x, 1,
                          &(tdm__resample_attrs){h, w, align_corners});
}
