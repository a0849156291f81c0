/* ops/pool/global_max_pool.c: maximum over H and W: (N,H,W,C) -> (N,C), and the pixel it came from
 * (i32, row-major). The first of equal maxima; NaN wins. */
#include "ops/pool/pool.h"

#include <math.h>

/* ---- forward --------------------------------------------------------------------------------- */

static tdm_status infer(const tdm__io *io, tdm_desc *out)
{
    tdm_status status = TDM_OK;
    const int64_t *d = io->in[0].dim;
    TDM_TRY(tdm__expect(io, 0, "x", TDM_F32, 4));
    if (d[1] > INT32_MAX / d[2])
        return tdm__fail(TDM_ERR_SHAPE, "x: must have less than 2^31 pixels, got %lldx%lld",
                         (long long)d[1], (long long)d[2]);
    out[0] = tdm_desc_2(TDM_F32, d[0], d[3]);
    out[1] = tdm_desc_2(TDM_I32, d[0], d[3]);
done:
    return status;
}

static tdm_status gradient(tdm_graph *g, const tdm__node_view *node, const tdm_value *dout,
                           const bool *need, tdm_value *din)
{
    tdm_value in[] = {dout[0], node->out[1]};
    if (need[0]) din[0] = tdm__global_gradient(g, &tdm__op_global_max_pool_grad, node, in, 2);
    return TDM_OK;
}

static void reference(const tdm__ref *ref)
{
    const int64_t *d = ref->io->in[0].dim, pixels = d[1] * d[2], c = d[3];
    for (int64_t o = 0; o < d[0] * c; o++) {
        double best = -INFINITY;
        int64_t at = 0;
        for (int64_t i = 0; i < pixels; i++) {
            double v = ref->in[0][(o / c * pixels + i) * c + o % c];
            if (v > best || isnan(v)) best = v, at = i;
        }
        ref->out[0][o] = best;
        ref->out[1][o] = (double)at;
    }
}

static tdm_status prepare(tdm__build *b)
{
    const tdm__io *io = tdm__build_io(b);
    tdm__kernel *k = tdm__global_emit(b, "global_max_pool_fwd");
    double from = (double)tdm_desc_count(&io->in[0]), to = (double)tdm_desc_count(&io->out[0]);
    tdm__cost(k, from, 4 * from + 8 * to);
    return TDM_OK;
}

static const tdm__variant variants[] = {{"tree", TDM__ON_ANY, .prepare = prepare}};

#define SPACED                                                                                     \
    {                                                                                              \
        TDM__FILL_SPACED                                                                           \
    }
#define TIES                                                                                       \
    {                                                                                              \
        TDM__FILL_TIES                                                                             \
    }
static const tdm__sample samples[] = {
    {"c15", NULL, 1, {TDM__F32(2, 3, 5, 15)}, SPACED},
    {"c16", NULL, 1, {TDM__F32(2, 4, 4, 16)}, SPACED},
    {"c17 one pixel", NULL, 1, {TDM__F32(3, 1, 1, 17)}, SPACED},
    {"c1", NULL, 1, {TDM__F32(2, 9, 13, 1)}, SPACED},
    {"ties", NULL, 1, {TDM__F32(2, 13, 17, 33)}, TIES},
};
static const tdm__reject rejects[] = {
    {"rank", NULL, 1, {TDM__F32(4, 4)}, TDM_ERR_SHAPE, "x: must have 4 axes, got f32[4,4]"},
    {"pixels",
     NULL,
     1,
     {TDM__F32(1, 65536, 32768, 1)},
     TDM_ERR_SHAPE,
     "x: must have less than 2^31 pixels, got 65536x32768"},
};

const tdm_op tdm__op_global_max_pool = {
    .name = "global_max_pool",
    .min_in = 1,
    .max_in = 1,
    .n_out = 2,
    .differentiable = 1,
    .out_gradient = 1,
    .infer = infer,
    .gradient = gradient,
    .reference = reference,
    TDM__TABLES(variants, samples, rejects),
};

/* ---- backward -------------------------------------------------------------------------------- */

static tdm_status infer_grad(const tdm__io *io, tdm_desc *out)
{
    tdm_status status = TDM_OK;
    const int64_t *d = io->in[0].dim;
    TDM_TRY(tdm__global_infer_back(io, out));
    TDM_TRY(tdm__expect_desc(io, 1, "index", tdm_desc_2(TDM_I32, d[0], d[1])));
done:
    return status;
}

static void reference_grad(const tdm__ref *ref)
{
    const int64_t *d = ref->io->out[0].dim, pixels = d[1] * d[2], c = d[3];
    for (int64_t o = 0; o < d[0] * c; o++)
        ref->out[0][(o / c * pixels + (int64_t)ref->in[1][o]) * c + o % c] += ref->in[0][o];
}

static tdm_status prepare_grad(tdm__build *b)
{
    return tdm__global_prepare_back(b, "global_max_pool_bwd");
}

static const tdm__variant variants_grad[] = {{"gather", TDM__ON_ANY, .prepare = prepare_grad}};

static const tdm__global_attrs small = {3, 5}, one = {1, 1}, large = {61, 67}, empty = {2, -1};
#define INDEX                                                                                      \
    {                                                                                              \
        0, TDM__FILL_INDEX                                                                         \
    }
static const tdm__sample samples_grad[] = {
    {"c15", &small, 2, {TDM__F32(2, 15), TDM__I32(2, 15)}, INDEX, {0, 15}},
    {"c16", &small, 2, {TDM__F32(1, 16), TDM__I32(1, 16)}, INDEX, {0, 15}},
    {"c17", &small, 2, {TDM__F32(3, 17), TDM__I32(3, 17)}, INDEX, {0, 15}},
    {"one pixel", &one, 2, {TDM__F32(3, 7), TDM__I32(3, 7)}, INDEX, {0, 1}},
    {"large", &large, 2, {TDM__F32(2, 5), TDM__I32(2, 5)}, INDEX, {0, 4087}},
};
static const tdm__reject rejects_grad[] = {
    {"size",
     &empty,
     2,
     {TDM__F32(2, 3), TDM__I32(2, 3)},
     TDM_ERR_SHAPE,
     "h, w: must be at least 1, got 2, -1"},
    {"index",
     &small,
     2,
     {TDM__F32(2, 3), TDM__I32(3, 2)},
     TDM_ERR_SHAPE,
     "index: must be i32[2,3], got i32[3,2]"},
};

const tdm_op tdm__op_global_max_pool_grad = {
    .name = "global_max_pool_grad",
    TDM__GLOBAL_BACK,
    .min_in = 2,
    .max_in = 2,
    .infer = infer_grad,
    .reference = reference_grad,
    TDM__TABLES(variants_grad, samples_grad, rejects_grad),
};

tdm_value tdm_global_max_pool(tdm_graph *g, tdm_value x)
{
    return tdm__op_append(g, &tdm__op_global_max_pool, &x, 1, NULL);
}
