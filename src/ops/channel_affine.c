/* ops/channel_affine.c: y = x scale[c] + shift[c] along the last axis. The planner can move it into
 * the producer of x. Its gradient on x is itself, without the shift. */
#include <tandem/ops.h>

#include "ops/channels.h"

enum { X, SCALE, SHIFT }; /* inputs; the shift may be absent */

/* ---- forward --------------------------------------------------------------------------------- */

static tdm_status infer(const tdm__io *io, tdm_desc *out)
{
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__expect(io, X, "x", TDM_F32, -1));
    TDM_TRY(tdm__expect_channels(io, SCALE, "scale", X));
    if (io->in[SHIFT].dtype != TDM_NONE) TDM_TRY(tdm__expect_channels(io, SHIFT, "shift", X));
    out[0] = io->in[X];
done:
    return status;
}

static tdm_status gradient(tdm_graph *g, const tdm__node_view *node, const tdm_value *dout,
                           const bool *need, tdm_value *din)
{
    if (need[X])
        din[X] = tdm__graph_node(g, &tdm__op_channel_affine,
                                 (tdm_value[]){dout[0], node->in[SCALE]}, 2, NULL);
    if (!need[SCALE] && !need[SHIFT]) return TDM_OK;
    tdm_value dscale = tdm__graph_node(g, &tdm__op_channel_affine_grad,
                                       (tdm_value[]){dout[0], node->in[X]}, 2, NULL);
    if (dscale == TDM_NO_VALUE) return tdm_graph_status(g);
    if (need[SCALE]) din[SCALE] = dscale;
    if (need[SHIFT]) din[SHIFT] = dscale + 1;
    return TDM_OK;
}

static void reference(const tdm__ref *ref)
{
    uint64_t rows, channels;
    tdm__rows(&ref->io->in[X], &rows, &channels);
    for (uint64_t i = 0; i < rows * channels; i++)
        ref->out[0][i] += ref->in[X][i] * ref->in[SCALE][i % channels] +
                          (ref->in[SHIFT] ? ref->in[SHIFT][i % channels] : 0);
}

static unsigned as_epilogue(const tdm__io *io, tdm__epilogue *epilogue)
{
    if (io->in[SHIFT].dtype == TDM_NONE) return 0;
    epilogue->affine = true;
    return TDM__FUSE_AFFINE;
}

static tdm_status prepare(tdm__build *b)
{
    const tdm__io *io = tdm__build_io(b);
    uint64_t rows, channels;
    tdm__rows(&io->in[X], &rows, &channels);
    tdm__kernel *k = tdm__emit(b, "batch_norm.cl", "channel_affine_fwd", "");
    tdm__arg_in(k, X);
    tdm__arg_in(k, SCALE); /* no centre */
    tdm__arg_in(k, SCALE);
    tdm__arg_in(k, SHIFT);
    tdm__arg_out(k, 0);
    tdm__arg_rows(b, k, rows, channels);
    tdm__arg_i32(k, (int64_t)channels);
    tdm__arg_i32(k, io->in[SHIFT].dtype == TDM_NONE ? 0 : TDM__HAS_SHIFT);
    tdm__arg_i32(k, io->accumulate);
    tdm__arg_i32(k, io->epilogue.act);
    tdm__arg_f32(k, (double)io->epilogue.alpha);
    double n = (double)(rows * channels);
    tdm__cost(k, 2 * n, 8 * n);
    return TDM_OK;
}

static const tdm__variant variants[] = {{"rows", TDM__ON_ANY, .prepare = prepare}};

static const tdm__sample samples[] = {
    {"c15", NULL, 3, {TDM__F32(2, 3, 5, 15), TDM__F32(15), TDM__F32(15)}},
    {"c16", NULL, 3, {TDM__F32(3, 16), TDM__F32(16), TDM__F32(16)}},
    {"c17 no shift", NULL, 2, {TDM__F32(2, 2, 2, 17), TDM__F32(17)}},
    {"c1", NULL, 3, {TDM__F32(31, 1), TDM__F32(1), TDM__F32(1)}},
    {"rank 1", NULL, 3, {TDM__F32(33), TDM__F32(33), TDM__F32(33)}},
    {"two items", NULL, 3, {TDM__F32(521, 37), TDM__F32(37), TDM__F32(37)}},
};
static const tdm__reject rejects[] = {
    {"type", NULL, 2, {TDM__I32(2, 3), TDM__F32(3)}, TDM_ERR_SHAPE, "x: must be f32, got i32[2,3]"},
    {"scale",
     NULL,
     2,
     {TDM__F32(2, 3), TDM__F32(2)},
     TDM_ERR_SHAPE,
     "scale: must be f32[3], one per channel, got f32[2]"},
    {"shift",
     NULL,
     3,
     {TDM__F32(2, 3), TDM__F32(3), TDM__F32(1, 3)},
     TDM_ERR_SHAPE,
     "shift: must be f32[3], one per channel, got f32[1,3]"},
};

const tdm_op tdm__op_channel_affine = {
    .name = "channel_affine",
    .min_in = 2,
    .max_in = 3,
    .n_out = 1,
    .differentiable = 7,
    .out_gradient = 1,
    .inplace = {X + 1},
    .can_accumulate = true,
    .fuse = TDM__FUSE_ACT,
    .infer = infer,
    .gradient = gradient,
    .reference = reference,
    .as_epilogue = as_epilogue,
    TDM__TABLES(variants, samples, rejects),
};

/* ---- backward: dy, x -> dscale = sum dy x, dshift = sum dy
 * ---------------------------------------- */

static tdm_status infer_grad(const tdm__io *io, tdm_desc *out)
{
    tdm_status status = TDM_OK;
    uint64_t rows, channels;
    TDM_TRY(tdm__expect(io, 0, "dy", TDM_F32, -1));
    TDM_TRY(tdm__expect_same(io, 1, "x", 0, "dy"));
    tdm__rows(&io->in[0], &rows, &channels);
    out[0] = out[1] = tdm_desc_1(TDM_F32, (int64_t)channels);
done:
    return status;
}

static void reference_grad(const tdm__ref *ref)
{
    uint64_t rows, channels;
    tdm__rows(&ref->io->in[0], &rows, &channels);
    for (uint64_t i = 0; i < rows * channels; i++) {
        ref->out[0][i % channels] += ref->in[0][i] * ref->in[1][i];
        ref->out[1][i % channels] += ref->in[0][i];
    }
}

static uint64_t workspace_grad(const tdm__traits *traits, const tdm__io *io)
{
    tdm__channels c = tdm__channels_of(&io->in[0]);
    return tdm__channels_bytes(&c, traits);
}

static tdm_status prepare_grad(tdm__build *b)
{
    tdm__channels c = tdm__channels_of(&tdm__build_io(b)->in[0]);
    tdm__emit_channel_sums(b, &c, 0, 1, -1);
    tdm__kernel *k = tdm__emit(b, "batch_norm.cl", "channel_affine_merge", "");
    tdm__arg_workspace(k, 0, sizeof(float));
    tdm__arg_out(k, 0);
    tdm__arg_out(k, 1);
    tdm__arg_u64(k, c.blocks);
    tdm__arg_i32(k, (int64_t)c.channels);
    tdm__channels_merge_range(b, k, &c);
    tdm__cost(k, 0, 8.0 * (double)(c.blocks * c.channels));
    return TDM_OK;
}

static const tdm__variant variants_grad[] = {
    {"blocks", TDM__ON_ANY, .workspace = workspace_grad, .prepare = prepare_grad}};

static const tdm__sample samples_grad[] = {
    {"c15", NULL, 2, {TDM__F32(2, 3, 5, 15), TDM__F32(2, 3, 5, 15)}},
    {"c16", NULL, 2, {TDM__F32(3, 16), TDM__F32(3, 16)}},
    {"c17", NULL, 2, {TDM__F32(1, 17), TDM__F32(1, 17)}},
    {"three blocks", NULL, 2, {TDM__F32(720, 50), TDM__F32(720, 50)}},
};
static const tdm__reject rejects_grad[] = {
    {"shapes",
     NULL,
     2,
     {TDM__F32(2, 3), TDM__F32(3, 3)},
     TDM_ERR_SHAPE,
     "x: must be f32[2,3] like dy, got f32[3,3]"},
};

const tdm_op tdm__op_channel_affine_grad = {
    .name = "channel_affine_grad",
    .min_in = 2,
    .max_in = 2,
    .n_out = 2,
    .infer = infer_grad,
    .reference = reference_grad,
    TDM__TABLES(variants_grad, samples_grad, rejects_grad),
};

tdm_value tdm_channel_affine(tdm_graph *g, tdm_value x, tdm_value scale, tdm_value shift)
{
    return tdm__op_append(g, &tdm__op_channel_affine, (tdm_value[]){x, scale, shift}, 3, NULL);
}
