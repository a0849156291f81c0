/* ops/resample/upsample_nearest.c: resizing by the nearest source, with PyTorch's rounding (sources
 * are computed in float there, too, so both pick the same pixel for every size). */
#include "ops/resample/resample.h"

#include <math.h>

static float scale_of(int64_t in, int64_t out)
{
    return (float)in / (float)out;
}

static int64_t source_of(int64_t o, int64_t in, int64_t out)
{
    if (in == out) return o;
    if (out == 2 * in) return o / 2;
    int64_t i = (int64_t)floorf((float)o * scale_of(in, out));
    return i < in - 1 ? i : in - 1;
}

/* ---- forward --------------------------------------------------------------------------------- */

static tdm_status infer(const tdm__io *io, tdm_desc *out)
{
    return tdm__resample_infer(io, out, "x");
}

static tdm_status gradient(tdm_graph *g, const tdm__node_view *node, const tdm_value *dout,
                           const bool *need, tdm_value *din)
{
    if (need[0]) din[0] = tdm__resample_gradient(g, &tdm__op_upsample_nearest_grad, node, dout[0]);
    return TDM_OK;
}

/* The element of x that element e of y reads. */
static int64_t source_element(const tdm_desc *x, const tdm_desc *y, int64_t e)
{
    int64_t c = e % y->dim[3], q = e / y->dim[3] % y->dim[2];
    int64_t p = e / y->dim[3] / y->dim[2] % y->dim[1], n = e / y->dim[3] / y->dim[2] / y->dim[1];
    int64_t h = source_of(p, x->dim[1], y->dim[1]), w = source_of(q, x->dim[2], y->dim[2]);
    return ((n * x->dim[1] + h) * x->dim[2] + w) * x->dim[3] + c;
}

static void reference(const tdm__ref *ref)
{
    const tdm_desc *x = &ref->io->in[0], *y = &ref->io->out[0];
    for (int64_t e = 0; e < tdm_desc_count(y); e++)
        ref->out[0][e] += ref->in[0][source_element(x, y, e)];
}

static tdm_status prepare(tdm__build *b)
{
    const tdm__io *io = tdm__build_io(b);
    const tdm_desc *x = &io->in[0], *y = &io->out[0];
    tdm__kernel *k =
        tdm__resample_emit(b, "upsample_nearest_fwd", x, y, scale_of(x->dim[1], y->dim[1]),
                           scale_of(x->dim[2], y->dim[2]));
    tdm__arg_i32(k, io->accumulate);
    return TDM_OK;
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
    .attr_size = sizeof(tdm__resample_attrs),
    .attrs = tdm__resample_attr_table,
    .n_attrs = TDM__RESAMPLE_ATTRS,
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .differentiable = 1,
    .out_gradient = 1,
    .can_accumulate = true,
    .infer = infer,
    .gradient = gradient,
    .reference = reference,
    TDM__TABLES(variants, samples, rejects),
};

/* ---- backward -------------------------------------------------------------------------------- */

static tdm_status infer_grad(const tdm__io *io, tdm_desc *out)
{
    return tdm__resample_infer(io, out, "dy");
}

static void reference_grad(const tdm__ref *ref)
{
    const tdm_desc *x = &ref->io->out[0], *y = &ref->io->in[0];
    for (int64_t e = 0; e < tdm_desc_count(y); e++)
        ref->out[0][source_element(x, y, e)] += ref->in[0][e];
}

static tdm_status prepare_grad(tdm__build *b)
{
    const tdm__io *io = tdm__build_io(b);
    const tdm_desc *x = &io->out[0], *y = &io->in[0];
    tdm__kernel *k =
        tdm__resample_emit(b, "upsample_nearest_bwd", x, y, scale_of(x->dim[1], y->dim[1]),
                           scale_of(x->dim[2], y->dim[2]));
    tdm__arg_i32(k, io->accumulate);
    return TDM_OK;
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
    .attr_size = sizeof(tdm__resample_attrs),
    .attrs = tdm__resample_attr_table,
    .n_attrs = TDM__RESAMPLE_ATTRS,
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .can_accumulate = true,
    .infer = infer_grad,
    .reference = reference_grad,
    TDM__TABLES(variants_grad, samples_grad, rejects_grad),
};

tdm_value tdm_upsample_nearest(tdm_graph *g, tdm_value x, int64_t h, int64_t w)
{
    return tdm__op_append(g, &tdm__op_upsample_nearest, &x, 1, &(tdm__resample_attrs){h, w, false});
}
