/* ops/add.c: y = a + b, equal shapes. Sums of gradients are made of it. The planner can move it
 * into the producer of a (residual), move an activation into it, or turn it into an accumulation.
 */
#include "ops/common.h"

#include <tandem/ops.h>

static tdm_status infer(const tdm__io *io, tdm_desc *out)
{
    return tdm__infer_pair(io, out, "a", "b");
}

static tdm_status gradient(tdm_graph *g, const tdm__node_view *node, const tdm_value *dout,
                           const bool *need, tdm_value *din)
{
    (void)g, (void)node;
    for (int i = 0; i < 2; i++)
        if (need[i]) din[i] = dout[0];
    return TDM_OK;
}

static void reference(const tdm__ref *ref)
{
    int64_t n = tdm_desc_count(&ref->io->out[0]);
    for (int64_t i = 0; i < n; i++) ref->out[0][i] += ref->in[0][i] + ref->in[1][i];
}

static unsigned as_epilogue(const tdm__io *io, tdm__epilogue *epilogue)
{
    (void)io;
    epilogue->residual = true;
    return TDM__FUSE_RESIDUAL;
}

static tdm_status prepare(tdm__build *b)
{
    const tdm__io *io = tdm__build_io(b);
    tdm__kernel *k = tdm__emit_elements(b, "add_fwd", 1);
    tdm__arg_i32(k, io->accumulate);
    tdm__arg_i32(k, io->epilogue.act);
    tdm__arg_f32(k, io->epilogue.alpha);
    return TDM_OK;
}

static const tdm__variant variants[] = {{"flat", TDM__ON_ANY, .prepare = prepare}};

static const tdm__sample samples[] = {
    {"scalar", NULL, 2, {TDM__SCALAR, TDM__SCALAR}},
    {"15", NULL, 2, {TDM__F32(15), TDM__F32(15)}},
    {"16", NULL, 2, {TDM__F32(2, 8), TDM__F32(2, 8)}},
    {"17", NULL, 2, {TDM__F32(17), TDM__F32(17)}},
    {"prime", NULL, 2, {TDM__F32(3, 5, 7, 13), TDM__F32(3, 5, 7, 13)}},
    {"two spans", NULL, 2, {TDM__F32(16411), TDM__F32(16411)}},
};
static const tdm__reject rejects[] = {
    {"shapes",
     NULL,
     2,
     {TDM__F32(2, 3), TDM__F32(3, 2)},
     TDM_ERR_SHAPE,
     "b: must be f32[2,3] like a, got f32[3,2]"},
    {"type", NULL, 2, {TDM__I32(2), TDM__I32(2)}, TDM_ERR_SHAPE, "a: must be f32, got i32[2]"},
};

const tdm_op tdm__op_add = {
    .name = "add",
    .min_in = 2,
    .max_in = 2,
    .n_out = 1,
    .differentiable = 3,
    .out_gradient = 1,
    .inplace = {1},
    .can_accumulate = true,
    .fuse = TDM__FUSE_ACT,
    .infer = infer,
    .gradient = gradient,
    .reference = reference,
    .as_epilogue = as_epilogue,
    TDM__TABLES(variants, samples, rejects),
};

tdm_value tdm_add(tdm_graph *g, tdm_value a, tdm_value b)
{
    return tdm__op_append(g, &tdm__op_add, (tdm_value[]){a, b}, 2, NULL);
}
