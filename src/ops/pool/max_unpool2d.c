/* ops/pool/max_unpool2d.c: puts values back at the positions that max_pool2d found, zeros
 * elsewhere. Where windows overlap and two values meet, the later window (row-major) wins; its
 * gradient goes to the winner alone, which is the derivative of what was computed (PyTorch calls
 * that case undefined). Positions outside the output are dropped. */
#include "ops/pool/pool.h"

static tdm_status check_size(const tdm__pool_back_attrs *a, int axis, int64_t pooled)
{
    /* The sizes that pool to `pooled`, in floor or in ceil mode. */
    const tdm_pool2d_attrs *pool = &a->pool;
    int64_t stride = pool->stride[axis] ? pool->stride[axis] : pool->kernel[axis];
    int64_t size = axis == 0 ? a->h : a->w;
    int64_t exact = (pooled - 1) * stride + pool->kernel[axis] - 2 * pool->padding[axis];
    if (size > exact - stride && size < exact + stride && size >= 1) return TDM_OK;
    int64_t least = exact - stride + 1 > 1 ? exact - stride + 1 : 1;
    return tdm__fail(TDM_ERR_SHAPE, "%s: must be %lld to %lld, which pools to %lld, got %lld",
                     axis == 0 ? "h" : "w", (long long)least, (long long)(exact + stride - 1),
                     (long long)pooled, (long long)size);
}

/* Shared by both directions: input `small` (N,P,Q,C) and the indices agree with the attributes. */
static tdm_status check(const tdm__io *io, const tdm_desc *small)
{
    tdm_status status = TDM_OK;
    const tdm__pool_back_attrs *a = io->attrs;
    const int64_t *d = small->dim;
    tdm__pool g;
    TDM_TRY(tdm__expect_desc(io, 1, "indices", tdm_desc_4(TDM_U8, d[0], d[1], d[2], d[3])));
    /* kernel, stride and padding, over any input that is large enough */
    TDM_TRY(tdm__pool_make(&a->pool, d[0], INT32_MAX, INT32_MAX, d[3], &g));
    for (int axis = 0; axis < 2; axis++) TDM_TRY(check_size(a, axis, d[1 + axis]));
done:
    return status;
}

/* ---- forward --------------------------------------------------------------------------------- */

static tdm_status infer(const tdm__io *io, tdm_desc *out)
{
    tdm_status status = TDM_OK;
    const tdm__pool_back_attrs *a = io->attrs;
    TDM_TRY(tdm__expect(io, 0, "x", TDM_F32, 4));
    TDM_TRY(check(io, &io->in[0]));
    out[0] = tdm_desc_4(TDM_F32, io->in[0].dim[0], a->h, a->w, io->in[0].dim[3]);
done:
    return status;
}

static tdm_status gradient(tdm_graph *g, const tdm__node_view *node, const tdm_value *dout,
                           const bool *need, tdm_value *din)
{
    if (need[0])
        din[0] = tdm__graph_node(g, &tdm__op_max_unpool2d_grad, (tdm_value[]){dout[0], node->in[1]},
                                 2, node->io->attrs);
    return TDM_OK;
}

/* Whether a later window writes the same element. */
static bool is_overwritten(const tdm__pool *g, tdm__window w, const double *index, int64_t to)
{
    if (g->sh >= g->r && g->sw >= g->s) return false;
    while (tdm__pool_next(g, &w))
        if (tdm__pool_target(g, &w, index[w.y]) == to) return true;
    return false;
}

static void reference(const tdm__ref *ref)
{
    tdm__pool g = tdm__pool_of(ref->io, true);
    tdm__window w;
    for (bool more = tdm__pool_first(&g, &w); more; more = tdm__pool_next(&g, &w)) {
        int64_t to = tdm__pool_target(&g, &w, ref->in[1][w.y]);
        if (to >= 0 && !is_overwritten(&g, w, ref->in[1], to)) ref->out[0][to] += ref->in[0][w.y];
    }
}

static tdm_status prepare(tdm__build *b)
{
    tdm__kernel *k = tdm__pool_emit(b, "max_unpool_fwd", true, 1);
    tdm__arg_i32(k, tdm__build_io(b)->accumulate);
    return TDM_OK;
}

static const tdm__variant variants[] = {
    {"tiles", TDM__ON_ANY, .can_run = tdm__pool_can_tile, .prepare = tdm__pool_prepare_tiles},
    {"gather", TDM__ON_ANY, .prepare = prepare},
};

static const tdm__pool_back_attrs two = {{.kernel = {2, 2}}, 5, 7},
                                  two_even = {{.kernel = {2, 2}}, 26, 26},
                                  two_less = {{.kernel = {2, 2}}, 3, 6},
                                  three = {{.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}},
                                           7,
                                           8},
                                  dense = {{.kernel = {2, 2}, .stride = {1, 1}}, 4, 4},
                                  gaps = {{.kernel = {2, 1}, .stride = {3, 4}}, 8, 9},
                                  far = {{.kernel = {2, 2}}, 8, 6},
                                  none = {{.kernel = {0, 2}}, 4, 6};
#define INDEX                                                                                      \
    {                                                                                              \
        0, TDM__FILL_INDEX                                                                         \
    }
static const tdm__sample samples[] = {
    {"2x2 c15", &two, 2, {TDM__F32(2, 2, 3, 15), TDM__U8(2, 2, 3, 15)}, INDEX, {0, 4}},
    {"2x2 c16", &two, 2, {TDM__F32(1, 2, 3, 16), TDM__U8(1, 2, 3, 16)}, INDEX, {0, 4}},
    {"2x2 c17", &two, 2, {TDM__F32(1, 2, 3, 17), TDM__U8(1, 2, 3, 17)}, INDEX, {0, 4}},
    {"2x2 two items",
     &two_even,
     2,
     {TDM__F32(3, 13, 13, 32), TDM__U8(3, 13, 13, 32)},
     INDEX,
     {0, 4}},
    {"2x2 smaller", &two_less, 2, {TDM__F32(2, 2, 3, 3), TDM__U8(2, 2, 3, 3)}, INDEX, {0, 4}},
    {"3x3 s2 p1", &three, 2, {TDM__F32(1, 4, 4, 9), TDM__U8(1, 4, 4, 9)}, INDEX, {0, 9}},
    {"2x2 overlapping", &dense, 2, {TDM__F32(2, 3, 3, 3), TDM__U8(2, 3, 3, 3)}, INDEX, {0, 4}},
    {"gaps", &gaps, 2, {TDM__F32(1, 3, 3, 7), TDM__U8(1, 3, 3, 7)}, INDEX, {0, 2}},
};
static const tdm__reject rejects[] = {
    {"size",
     &far,
     2,
     {TDM__F32(1, 2, 3, 2), TDM__U8(1, 2, 3, 2)},
     TDM_ERR_SHAPE,
     "h: must be 3 to 5, which pools to 2, got 8"},
    {"kernel",
     &none,
     2,
     {TDM__F32(1, 2, 3, 2), TDM__U8(1, 2, 3, 2)},
     TDM_ERR_SHAPE,
     "kernel: must be at least 1x1, got 0x2"},
    {"indices",
     &two,
     2,
     {TDM__F32(1, 2, 3, 2), TDM__U8(1, 2, 3, 1)},
     TDM_ERR_SHAPE,
     "indices: must be u8[1,2,3,2], got u8[1,2,3,1]"},
    {"type",
     &two,
     2,
     {TDM__I32(1, 2, 3, 2), TDM__U8(1, 2, 3, 2)},
     TDM_ERR_SHAPE,
     "x: must be f32, got i32[1,2,3,2]"},
};

const tdm_op tdm__op_max_unpool2d = {
    .name = "max_unpool2d",
    TDM__POOL_BACK,
    .min_in = 2,
    .max_in = 2,
    .differentiable = 1,
    .out_gradient = 1,
    .infer = infer,
    .gradient = gradient,
    .reference = reference,
    TDM__TABLES(variants, samples, rejects),
};

/* ---- backward: dy (N,h,w,C), indices (N,P,Q,C) -> dx (N,P,Q,C) ---------------------------------
 */

static tdm_status infer_grad(const tdm__io *io, tdm_desc *out)
{
    tdm_status status = TDM_OK;
    const tdm__pool_back_attrs *a = io->attrs;
    TDM_TRY(tdm__expect(io, 1, "indices", TDM_U8, 4));
    out[0] = io->in[1];
    out[0].dtype = TDM_F32;
    TDM_TRY(check(io, &out[0]));
    const int64_t *d = out[0].dim;
    TDM_TRY(tdm__expect_desc(io, 0, "dy", tdm_desc_4(TDM_F32, d[0], a->h, a->w, d[3])));
done:
    return status;
}

static void reference_grad(const tdm__ref *ref)
{
    tdm__pool g = tdm__pool_of(ref->io, false);
    tdm__window w;
    for (bool more = tdm__pool_first(&g, &w); more; more = tdm__pool_next(&g, &w)) {
        int64_t to = tdm__pool_target(&g, &w, ref->in[1][w.y]);
        if (to >= 0 && !is_overwritten(&g, w, ref->in[1], to)) ref->out[0][w.y] += ref->in[0][to];
    }
}

static tdm_status prepare_grad(tdm__build *b)
{
    tdm__kernel *k = tdm__pool_emit(b, "max_unpool_bwd", false, 0);
    tdm__arg_i32(k, tdm__build_io(b)->accumulate);
    return TDM_OK;
}

static const tdm__variant variants_grad[] = {{"gather", TDM__ON_ANY, .prepare = prepare_grad}};

static const tdm__sample samples_grad[] = {
    {"2x2 c15", &two, 2, {TDM__F32(2, 5, 7, 15), TDM__U8(2, 2, 3, 15)}, INDEX, {0, 4}},
    {"2x2 c16", &two, 2, {TDM__F32(1, 5, 7, 16), TDM__U8(1, 2, 3, 16)}, INDEX, {0, 4}},
    {"2x2 c17", &two, 2, {TDM__F32(1, 5, 7, 17), TDM__U8(1, 2, 3, 17)}, INDEX, {0, 4}},
    {"2x2 two items",
     &two_even,
     2,
     {TDM__F32(4, 26, 26, 32), TDM__U8(4, 13, 13, 32)},
     INDEX,
     {0, 4}},
    {"2x2 smaller", &two_less, 2, {TDM__F32(2, 3, 6, 3), TDM__U8(2, 2, 3, 3)}, INDEX, {0, 4}},
    {"3x3 s2 p1", &three, 2, {TDM__F32(1, 7, 8, 9), TDM__U8(1, 4, 4, 9)}, INDEX, {0, 9}},
    {"2x2 overlapping", &dense, 2, {TDM__F32(2, 4, 4, 3), TDM__U8(2, 3, 3, 3)}, INDEX, {0, 4}},
};
static const tdm__reject rejects_grad[] = {
    {"size",
     &two,
     2,
     {TDM__F32(1, 5, 6, 2), TDM__U8(1, 2, 3, 2)},
     TDM_ERR_SHAPE,
     "dy: must be f32[1,5,7,2], got f32[1,5,6,2]"},
};

const tdm_op tdm__op_max_unpool2d_grad = {
    .name = "max_unpool2d_grad",
    TDM__POOL_BACK,
    .min_in = 2,
    .max_in = 2,
    .infer = infer_grad,
    .reference = reference_grad,
    TDM__TABLES(variants_grad, samples_grad, rejects_grad),
};

tdm_value tdm_max_unpool2d(tdm_graph *g, tdm_value x, tdm_value indices, const tdm_pool2d_attrs *a,
                           int64_t h, int64_t w)
{
    return tdm__op_append(g, &tdm__op_max_unpool2d, (tdm_value[]){x, indices}, 2,
                          &(tdm__pool_back_attrs){*a, h, w});
}
