/* ops/resample/upsample_bilinear.c: resizing by bilinear interpolation, with both of PyTorch's
 * conventions for the coordinates (align_corners or pixel centres); no antialiasing when shrinking.
 */
#include "ops/resample/resample.h"

static double scale_of(int64_t in, int64_t out, bool align)
{
    if (!align) return (double)in / (double)out;
    return out > 1 ? (double)(in - 1) / (double)(out - 1) : 0;
}

/* The two neighbours along one axis, and the weight of the second. */
typedef struct neighbours {
    int64_t low, high;
    double part;
} neighbours;

static neighbours neighbours_of(int64_t o, int64_t in, int64_t out, bool align)
{
    double scale = scale_of(in, out, align);
    double s = align ? (double)o * scale : ((double)o + 0.5) * scale - 0.5;
    if (s < 0) s = 0;
    neighbours r = {.low = (int64_t)s < in - 1 ? (int64_t)s : in - 1};
    r.high = r.low < in - 1 ? r.low + 1 : in - 1;
    r.part = s - (double)r.low < 1 ? s - (double)r.low : 1;
    return r;
}

/* The four elements of x that element e of y reads, and their weights. */
typedef struct corners {
    int64_t element[4];
    double weight[4];
} corners;

static corners corners_of(const tdm_desc *x, const tdm_desc *y, int64_t e, bool align)
{
    int64_t c = e % y->dim[3], q = e / y->dim[3] % y->dim[2];
    int64_t p = e / y->dim[3] / y->dim[2] % y->dim[1], n = e / y->dim[3] / y->dim[2] / y->dim[1];
    neighbours h = neighbours_of(p, x->dim[1], y->dim[1], align);
    neighbours w = neighbours_of(q, x->dim[2], y->dim[2], align);
    corners r;
    for (int i = 0; i < 4; i++) {
        int64_t row = i / 2 ? h.high : h.low, column = i % 2 ? w.high : w.low;
        r.element[i] = ((n * x->dim[1] + row) * x->dim[2] + column) * x->dim[3] + c;
        r.weight[i] = (i / 2 ? h.part : 1 - h.part) * (i % 2 ? w.part : 1 - w.part);
    }
    return r;
}

static tdm__kernel *emit(tdm__build *b, const char *kernel, const tdm_desc *x, const tdm_desc *y)
{
    const tdm__io *io = tdm__build_io(b);
    bool align = ((const tdm__resample_attrs *)io->attrs)->align_corners;
    tdm__kernel *k =
        tdm__resample_emit(b, kernel, x, y, (float)scale_of(x->dim[1], y->dim[1], align),
                           (float)scale_of(x->dim[2], y->dim[2], align));
    tdm__arg_i32(k, align);
    tdm__arg_i32(k, io->accumulate);
    return k;
}

/* ---- forward --------------------------------------------------------------------------------- */

static tdm_status infer(const tdm__io *io, tdm_desc *out)
{
    return tdm__resample_infer(io, out, "x");
}

static tdm_status gradient(tdm_graph *g, const tdm__node_view *node, const tdm_value *dout,
                           const bool *need, tdm_value *din)
{
    if (need[0]) din[0] = tdm__resample_gradient(g, &tdm__op_upsample_bilinear_grad, node, dout[0]);
    return TDM_OK;
}

static void reference(const tdm__ref *ref)
{
    const tdm_desc *x = &ref->io->in[0], *y = &ref->io->out[0];
    bool align = ((const tdm__resample_attrs *)ref->io->attrs)->align_corners;
    for (int64_t e = 0; e < tdm_desc_count(y); e++) {
        corners k = corners_of(x, y, e, align);
        for (int i = 0; i < 4; i++) ref->out[0][e] += k.weight[i] * ref->in[0][k.element[i]];
    }
}

static tdm_status prepare(tdm__build *b)
{
    const tdm__io *io = tdm__build_io(b);
    emit(b, "upsample_bilinear_fwd", &io->in[0], &io->out[0]);
    return TDM_OK;
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
    bool align = ((const tdm__resample_attrs *)ref->io->attrs)->align_corners;
    for (int64_t e = 0; e < tdm_desc_count(y); e++) {
        corners k = corners_of(x, y, e, align);
        for (int i = 0; i < 4; i++) ref->out[0][k.element[i]] += k.weight[i] * ref->in[0][e];
    }
}

static tdm_status prepare_grad(tdm__build *b)
{
    const tdm__io *io = tdm__build_io(b);
    emit(b, "upsample_bilinear_bwd", &io->out[0], &io->in[0]);
    return TDM_OK;
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

tdm_value tdm_upsample_bilinear(tdm_graph *g, tdm_value x, int64_t h, int64_t w, bool align_corners)
{
    return tdm__op_append(g, &tdm__op_upsample_bilinear, &x, 1,
                          &(tdm__resample_attrs){h, w, align_corners});
}
