/* ops/pool/global_avg_pool.c: mean over H and W: (N,H,W,C) -> (N,C). Summed in runs of 64 pixels,
 * so that rounding stays small for large images. */
#include "ops/pool/pool.h"

/* ---- forward --------------------------------------------------------------------------------- */

static tdm_status infer(const tdm__io *io, tdm_desc *out)
{
    out[0] = tdm_desc_2(TDM_F32, io->in[0].dim[0], io->in[0].dim[3]);
    return tdm__expect(io, 0, "x", TDM_F32, 4);
}

static tdm_status gradient(tdm_graph *g, const tdm__node_view *node, const tdm_value *dout,
                           const bool *need, tdm_value *din)
{
    if (need[0]) din[0] = tdm__global_gradient(g, &tdm__op_global_avg_pool_grad, node, dout, 1);
    return TDM_OK;
}

static void reference(const tdm__ref *ref)
{
    const int64_t *d = ref->io->in[0].dim, pixels = d[1] * d[2], c = d[3];
    for (int64_t i = 0; i < d[0] * pixels * c; i++)
        ref->out[0][i / (pixels * c) * c + i % c] += ref->in[0][i] / (double)pixels;
}

static tdm_status prepare(tdm__build *b)
{
    const tdm__io *io = tdm__build_io(b);
    const int64_t *d = io->in[0].dim;
    tdm__kernel *k = tdm__global_emit(b, "global_avg_pool_fwd");
    tdm__arg_i32(k, io->accumulate);
    double n = (double)tdm_desc_count(&io->in[0]);
    tdm__cost(k, n, 4 * n + 4.0 * (double)(d[0] * d[3]));
    return TDM_OK;
}

static const tdm__variant variants[] = {{"tree", TDM__ON_ANY, .prepare = prepare}};

static const tdm__sample samples[] = {
    {"c15", NULL, 1, {TDM__F32(2, 3, 5, 15)}},   {"c16", NULL, 1, {TDM__F32(2, 4, 4, 16)}},
    {"c17", NULL, 1, {TDM__F32(3, 1, 1, 17)}},   {"c1", NULL, 1, {TDM__F32(2, 9, 13, 1)}},
    {"run", NULL, 1, {TDM__F32(1, 8, 8, 33)}},   {"runs", NULL, 1, {TDM__F32(2, 13, 17, 3)}},
    {"large", NULL, 1, {TDM__F32(1, 61, 67, 5)}}};
static const tdm__reject rejects[] = {
    {"rank", NULL, 1, {TDM__F32(4, 4)}, TDM_ERR_SHAPE, "x: must have 4 axes, got f32[4,4]"},
    {"type", NULL, 1, {TDM__U8(1, 2, 2, 4)}, TDM_ERR_SHAPE, "x: must be f32, got u8[1,2,2,4]"},
};

const tdm_op tdm__op_global_avg_pool = {
    .name = "global_avg_pool",
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

/* ---- backward: dx = dy / (H W) ----------------------------------------------------------------
 */

static void reference_grad(const tdm__ref *ref)
{
    const int64_t *d = ref->io->out[0].dim, pixels = d[1] * d[2], c = d[3];
    for (int64_t i = 0; i < d[0] * pixels * c; i++)
        ref->out[0][i] += ref->in[0][i / (pixels * c) * c + i % c] / (double)pixels;
}

static tdm_status prepare_grad(tdm__build *b)
{
    return tdm__global_prepare_back(b, "global_avg_pool_bwd");
}

static const tdm__variant variants_grad[] = {{"gather", TDM__ON_ANY, .prepare = prepare_grad}};

static const tdm__global_attrs small = {3, 5}, one = {1, 1}, large = {61, 67}, empty = {0, 5};
static const tdm__sample samples_grad[] = {
    {"c15", &small, 1, {TDM__F32(2, 15)}},  {"c16", &small, 1, {TDM__F32(1, 16)}},
    {"c17", &small, 1, {TDM__F32(3, 17)}},  {"one pixel", &one, 1, {TDM__F32(3, 7)}},
    {"large", &large, 1, {TDM__F32(2, 5)}},
};
static const tdm__reject rejects_grad[] = {
    {"size", &empty, 1, {TDM__F32(2, 3)}, TDM_ERR_SHAPE, "h, w: must be at least 1, got 0, 5"},
    {"rank", &small, 1, {TDM__F32(2, 3, 4)}, TDM_ERR_SHAPE, "dy: must have 2 axes, got f32[2,3,4]"},
};

const tdm_op tdm__op_global_avg_pool_grad = {
    .name = "global_avg_pool_grad",
    TDM__GLOBAL_BACK,
    .min_in = 1,
    .max_in = 1,
    .infer = tdm__global_infer_back,
    .reference = reference_grad,
    TDM__TABLES(variants_grad, samples_grad, rejects_grad),
};

tdm_value tdm_global_avg_pool(tdm_graph *g, tdm_value x)
{
    return tdm__op_append(g, &tdm__op_global_avg_pool, &x, 1, NULL);
}
