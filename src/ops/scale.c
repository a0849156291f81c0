/* ops/scale.c: y = factor x. */
#include "ops/common.h"

#include <stddef.h>

#include <tandem/ops.h>

typedef struct scale_attrs {
    float factor;
} scale_attrs;

static const tdm__attr attrs[] = {{"factor", 'f', offsetof(scale_attrs, factor), 1}};

static tdm_status infer(const tdm__io *io, tdm_desc *out)
{
    out[0] = io->in[0];
    return tdm__expect(io, 0, "x", TDM_F32, -1);
}

static tdm_status gradient(tdm_graph *g, const tdm__node_view *node, const tdm_value *dout,
                           const bool *need, tdm_value *din)
{
    const scale_attrs *a = node->io->attrs;
    if (need[0]) din[0] = tdm_scale(g, dout[0], a->factor);
    return TDM_OK;
}

static void reference(const tdm__ref *ref)
{
    const scale_attrs *a = ref->io->attrs;
    int64_t n = tdm_desc_count(&ref->io->out[0]);
    for (int64_t i = 0; i < n; i++) ref->out[0][i] += a->factor * ref->in[0][i];
}

static tdm_status prepare(tdm__build *b)
{
    const tdm__io *io = tdm__build_io(b);
    const scale_attrs *a = io->attrs;
    tdm__kernel *k = tdm__emit_elements(b, "scale_fwd", 1);
    tdm__arg_i32(k, io->accumulate);
    tdm__arg_f32(k, a->factor);
    return TDM_OK;
}

static const tdm__variant variants[] = {{"flat", TDM__ON_ANY, .prepare = prepare}};

static const scale_attrs third = {1.0f / 3.0f}, minus = {-2.5f}, none = {0.0f};
static const tdm__sample samples[] = {
    {"scalar", &third, 1, {TDM__SCALAR}}, {"zero", &none, 1, {TDM__F32(4)}},
    {"15", &minus, 1, {TDM__F32(15)}},    {"16", &third, 1, {TDM__F32(16)}},
    {"17", &third, 1, {TDM__F32(17)}},    {"two spans", &third, 1, {TDM__F32(3, 5471)}},
};
static const tdm__reject rejects[] = {
    {"type", &third, 1, {TDM__I32(2)}, TDM_ERR_SHAPE, "x: must be f32, got i32[2]"},
};

const tdm_op tdm__op_scale = {
    .name = "scale",
    .attr_size = sizeof(scale_attrs),
    TDM__ATTRS(attrs),
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .differentiable = 1,
    .out_gradient = 1,
    .inplace = {1},
    .can_accumulate = true,
    .infer = infer,
    .gradient = gradient,
    .reference = reference,
    TDM__TABLES(variants, samples, rejects),
};

tdm_value tdm_scale(tdm_graph *g, tdm_value x, float factor)
{
    return tdm__op_append(g, &tdm__op_scale, &x, 1, &(scale_attrs){factor});
}
