/* ops/multiply.c: y = a b, element by element, equal shapes. */
#include "ops/common.h"

#include <tandem/ops.h>

static tdm_status infer(const tdm__io *io, tdm_desc *out)
{
    return tdm__infer_pair(io, out, "a", "b");
}

static tdm_status gradient(tdm_graph *g, const tdm__node_view *node, const tdm_value *dout,
                           const bool *need, tdm_value *din)
{
    for (int i = 0; i < 2; i++)
        if (need[i]) din[i] = tdm_multiply(g, dout[0], node->in[1 - i]);
    return TDM_OK;
}

static void reference(const tdm__ref *ref)
{
    int64_t n = tdm_desc_count(&ref->io->out[0]);
    for (int64_t i = 0; i < n; i++) ref->out[0][i] += ref->in[0][i] * ref->in[1][i];
}

static tdm_status prepare(tdm__build *b)
{
    tdm__kernel *k = tdm__emit_elements(b, "multiply_fwd", 1);
    tdm__arg_i32(k, tdm__build_io(b)->accumulate);
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
     {TDM__F32(4), TDM__F32(1, 4)},
     TDM_ERR_SHAPE,
     "b: must be f32[4] like a, got f32[1,4]"},
    {"type", NULL, 2, {TDM__U8(2), TDM__U8(2)}, TDM_ERR_SHAPE, "a: must be f32, got u8[2]"},
};

const tdm_op tdm__op_multiply = {
    .name = "multiply",
    .min_in = 2,
    .max_in = 2,
    .n_out = 1,
    .differentiable = 3,
    .out_gradient = 1,
    .inplace = {1},
    .can_accumulate = true,
    .infer = infer,
    .gradient = gradient,
    .reference = reference,
    TDM__TABLES(variants, samples, rejects),
};

tdm_value tdm_multiply(tdm_graph *g, tdm_value a, tdm_value b)
{
    return tdm__op_append(g, &tdm__op_multiply, (tdm_value[]){a, b}, 2, NULL);
}
