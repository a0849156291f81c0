/* ops/dropout.c: y = x m / (1 - p) with a mask m that is never stored: it is a pure function of
 * (step seed, stream, element, optimiser step), so the gradient is the same operation on dy. */
#include "ops/common.h"

#include <stddef.h>

#include <tandem/ops.h>

#include "base/rng.h"

typedef struct dropout_attrs {
    float p;
    int64_t stream; /* a uint32 */
} dropout_attrs;

static const tdm__attr attrs[] = {{"p", 'f', offsetof(dropout_attrs, p), 1},
                                  {"stream", 'l', offsetof(dropout_attrs, stream), 1}};

static tdm_status infer(const tdm__io *io, tdm_desc *out)
{
    const dropout_attrs *a = io->attrs;
    if (!(a->p >= 0 && a->p < 1))
        return tdm__fail(TDM_ERR_SHAPE, "p: must be at least 0 and below 1, got %g", (double)a->p);
    if (a->stream < 0 || a->stream > UINT32_MAX)
        return tdm__fail(TDM_ERR_SHAPE, "stream: must fit 32 bits, got %lld", (long long)a->stream);
    out[0] = io->in[0];
    return tdm__expect(io, 0, "x", TDM_F32, -1);
}

static tdm_status gradient(tdm_graph *g, const tdm__node_view *node, const tdm_value *dout,
                           const bool *need, tdm_value *din)
{
    if (need[0]) din[0] = tdm__graph_node(g, &tdm__op_dropout, dout, 1, node->io->attrs);
    return TDM_OK;
}

static double keep_factor(const dropout_attrs *a)
{
    return 1 / (1 - (double)a->p);
}

static void reference(const tdm__ref *ref)
{
    const dropout_attrs *a = ref->io->attrs;
    const tdm__step *step = ref->step;
    uint64_t seed = step->seed[0] | (uint64_t)step->seed[1] << 32;
    uint64_t stream = (uint64_t)a->stream | (uint64_t)step->step[0] << 32;
    int64_t n = tdm_desc_count(&ref->io->out[0]);
    uint32_t bits[4];
    for (int64_t i = 0; i < n; i++) {
        if (i % 4 == 0) tdm__philox(seed, stream, (uint64_t)i / 4, bits);
        double uniform = (bits[i % 4] >> 8) * 0x1p-24;
        ref->out[0][i] += ref->in[0][i] * (uniform >= (double)a->p ? keep_factor(a) : 0);
    }
}

static tdm_status prepare(tdm__build *b)
{
    const tdm__io *io = tdm__build_io(b);
    const dropout_attrs *a = io->attrs;
    uint64_t n = (uint64_t)tdm_desc_count(&io->out[0]);
    uint64_t span = tdm__build_is_cpu(b) ? TDM__SPAN : 4; /* whole blocks of the generator */
    tdm__kernel *k = tdm__emit_operands(b, "elementwise.cl", "dropout_fwd");
    tdm__arg_u64(k, n);
    tdm__arg_i32(k, (int64_t)span);
    tdm__arg_i32(k, io->accumulate);
    tdm__arg_f32(k, (double)a->p);
    tdm__arg_f32(k, keep_factor(a));
    tdm__arg_u64(k, (uint64_t)a->stream);
    tdm__arg_step(k);
    tdm__range_items(b, k, tdm__ceil_div(n, span));
    tdm__cost(k, 15.0 * (double)n, 8.0 * (double)n);
    return TDM_OK;
}

static const tdm__variant variants[] = {{"flat", TDM__ON_ANY, .prepare = prepare}};

static const dropout_attrs half = {0.5f, 1}, little = {0.1f, 0xFFFFFFFF}, much = {0.9f, 7},
                           none = {0, 3}, all = {1, 3}, wide = {0.5f, 1LL << 32};
static const tdm__sample samples[] = {
    {"scalar", &half, 1, {TDM__SCALAR}},      {"63", &half, 1, {TDM__F32(63)}},
    {"64", &little, 1, {TDM__F32(64)}},       {"67", &much, 1, {TDM__F32(67)}},
    {"keep all", &none, 1, {TDM__F32(3, 5)}}, {"two spans", &half, 1, {TDM__F32(16411)}},
};
static const tdm__reject rejects[] = {
    {"p 1", &all, 1, {TDM__F32(4)}, TDM_ERR_SHAPE, "p: must be at least 0 and below 1, got 1"},
    {"stream", &wide, 1, {TDM__F32(4)}, TDM_ERR_SHAPE, "stream: must fit 32 bits, got 4294967296"},
    {"type", &half, 1, {TDM__I32(4)}, TDM_ERR_SHAPE, "x: must be f32, got i32[4]"},
};

const tdm_op tdm__op_dropout = {
    .name = "dropout",
    .attr_size = sizeof(dropout_attrs),
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

tdm_value tdm_dropout(tdm_graph *g, tdm_value x, float p, uint32_t stream)
{
    return tdm__op_append(g, &tdm__op_dropout, &x, 1, &(dropout_attrs){p, stream});
}
