/* ops/activation.c: relu, leaky relu, sigmoid, tanh as one operation with a kind. The derivative
 * follows from the output alone, so the input need not outlive the forward pass:
 *   relu', leaky': 1 where y > 0, else 0 or slope (slope >= 0 keeps the sign); sigmoid' = y (1 -
 * y); tanh' = 1 - y^2. At x = 0 the derivative of relu is 0, as with PyTorch. */
#include "ops/common.h"

#include <math.h>
#include <stddef.h>

#include <tandem/ops.h>

typedef struct activation_attrs {
    int32_t kind; /* TDM__ACT_* */
    float alpha;  /* leaky relu's slope */
} activation_attrs;

static const tdm__attr attrs[] = {{"kind", 'i', offsetof(activation_attrs, kind), 1},
                                  {"alpha", 'f', offsetof(activation_attrs, alpha), 1}};

static tdm_status check_attrs(const activation_attrs *a)
{
    if (a->kind <= TDM__ACT_NONE || a->kind > TDM__ACT_TANH)
        return tdm__fail(TDM_ERR_SHAPE, "kind: must be 1 to 4 (relu to tanh), got %d",
                         (int)a->kind);
    if (a->kind == TDM__ACT_LEAKY_RELU && !(a->alpha >= 0))
        return tdm__fail(TDM_ERR_SHAPE, "slope: must be at least 0, got %g", (double)a->alpha);
    return TDM_OK;
}

/* ---- forward --------------------------------------------------------------------------------- */

static tdm_status infer(const tdm__io *io, tdm_desc *out)
{
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__expect(io, 0, "x", TDM_F32, -1));
    TDM_TRY(check_attrs(io->attrs));
    out[0] = io->in[0];
done:
    return status;
}

static tdm_status gradient(tdm_graph *g, const tdm__node_view *node, const tdm_value *dout,
                           const bool *need, tdm_value *din)
{
    if (need[0])
        din[0] = tdm__graph_node(g, &tdm__op_activation_grad, (tdm_value[]){dout[0], node->out[0]},
                                 2, node->io->attrs);
    return TDM_OK;
}

static void reference(const tdm__ref *ref)
{
    const activation_attrs *a = ref->io->attrs;
    int64_t n = tdm_desc_count(&ref->io->out[0]);
    for (int64_t i = 0; i < n; i++) {
        double x = ref->in[0][i], y = x;
        if (a->kind == TDM__ACT_RELU) y = x < 0 ? 0 : x;
        if (a->kind == TDM__ACT_LEAKY_RELU) y = x < 0 ? x * a->alpha : x;
        if (a->kind == TDM__ACT_SIGMOID) y = 1 / (1 + exp(-x));
        if (a->kind == TDM__ACT_TANH) y = tanh(x);
        ref->out[0][i] = y;
    }
}

static unsigned as_epilogue(const tdm__io *io, tdm__epilogue *epilogue)
{
    const activation_attrs *a = io->attrs;
    epilogue->act = a->kind;
    epilogue->alpha = a->alpha;
    return TDM__FUSE_ACT;
}

static tdm_status prepare(tdm__build *b)
{
    const activation_attrs *a = tdm__build_io(b)->attrs;
    tdm__kernel *k = tdm__emit_elements(b, "activation_fwd", 1);
    tdm__arg_i32(k, a->kind);
    tdm__arg_f32(k, a->alpha);
    return TDM_OK;
}

static const tdm__variant variants[] = {{"flat", TDM__ON_ANY, .prepare = prepare}};

static const activation_attrs relu = {TDM__ACT_RELU, 0}, leaky = {TDM__ACT_LEAKY_RELU, 0.1f},
                              sigmoid = {TDM__ACT_SIGMOID, 0}, hyperbolic = {TDM__ACT_TANH, 0},
                              flat = {TDM__ACT_LEAKY_RELU, 0}, identity = {TDM__ACT_NONE, 0},
                              falling = {TDM__ACT_LEAKY_RELU, -0.5f};
#define SPACED                                                                                     \
    {                                                                                              \
        TDM__FILL_SPACED                                                                           \
    }
static const tdm__sample samples[] = {
    {"relu scalar", &relu, 1, {TDM__SCALAR}},
    {"relu 15", &relu, 1, {TDM__F32(15)}, SPACED},
    {"relu 16", &relu, 1, {TDM__F32(16)}, SPACED},
    {"relu 17", &relu, 1, {TDM__F32(17)}, SPACED},
    {"relu prime", &relu, 1, {TDM__F32(3, 5, 7, 11)}, SPACED},
    {"relu two spans", &relu, 1, {TDM__F32(16411)}},
    {"leaky 31", &leaky, 1, {TDM__F32(31)}, SPACED},
    {"leaky slope 0", &flat, 1, {TDM__F32(9)}, SPACED},
    {"sigmoid 33", &sigmoid, 1, {TDM__F32(3, 11)}},
    {"sigmoid prime", &sigmoid, 1, {TDM__F32(2, 3, 5, 7)}},
    {"tanh 17", &hyperbolic, 1, {TDM__F32(17)}},
    {"tanh two spans", &hyperbolic, 1, {TDM__F32(2, 8209)}},
};
static const tdm__reject rejects[] = {
    {"type", &relu, 1, {TDM__U8(2, 2)}, TDM_ERR_SHAPE, "x: must be f32, got u8[2,2]"},
    {"kind",
     &identity,
     1,
     {TDM__F32(2)},
     TDM_ERR_SHAPE,
     "kind: must be 1 to 4 (relu to tanh), got 0"},
    {"slope", &falling, 1, {TDM__F32(2)}, TDM_ERR_SHAPE, "slope: must be at least 0, got -0.5"},
};

const tdm_op tdm__op_activation = {
    .name = "activation",
    .attr_size = sizeof(activation_attrs),
    TDM__ATTRS(attrs),
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .differentiable = 1,
    .out_gradient = 1,
    .inplace = {1},
    .infer = infer,
    .gradient = gradient,
    .reference = reference,
    .as_epilogue = as_epilogue,
    TDM__TABLES(variants, samples, rejects),
};

/* ---- backward: dx = dy act'(y) --------------------------------------------------------------- */

static tdm_status infer_grad(const tdm__io *io, tdm_desc *out)
{
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__infer_pair(io, out, "dy", "y"));
    TDM_TRY(check_attrs(io->attrs));
done:
    return status;
}

static void reference_grad(const tdm__ref *ref)
{
    const activation_attrs *a = ref->io->attrs;
    int64_t n = tdm_desc_count(&ref->io->out[0]);
    for (int64_t i = 0; i < n; i++) {
        double y = ref->in[1][i], slope = 0;
        if (a->kind == TDM__ACT_RELU) slope = y > 0;
        if (a->kind == TDM__ACT_LEAKY_RELU) slope = y > 0 ? 1 : a->alpha;
        if (a->kind == TDM__ACT_SIGMOID) slope = y * (1 - y);
        if (a->kind == TDM__ACT_TANH) slope = 1 - y * y;
        ref->out[0][i] += ref->in[0][i] * slope;
    }
}

static unsigned as_epilogue_grad(const tdm__io *io, tdm__epilogue *epilogue)
{
    as_epilogue(io, epilogue);
    epilogue->act_grad = true;
    return TDM__FUSE_ACT_GRAD;
}

static tdm_status prepare_grad(tdm__build *b)
{
    const tdm__io *io = tdm__build_io(b);
    const activation_attrs *a = io->attrs;
    tdm__kernel *k = tdm__emit_elements(b, "activation_bwd", 2);
    tdm__arg_i32(k, a->kind);
    tdm__arg_f32(k, a->alpha);
    tdm__arg_i32(k, io->accumulate);
    return TDM_OK;
}

static const tdm__variant variants_grad[] = {{"flat", TDM__ON_ANY, .prepare = prepare_grad}};

static const tdm__sample samples_grad[] = {
    {"relu 15", &relu, 2, {TDM__F32(15), TDM__F32(15)}},
    {"relu ties 16", &relu, 2, {TDM__F32(16), TDM__F32(16)}, {0, TDM__FILL_TIES}},
    {"relu two spans", &relu, 2, {TDM__F32(16411), TDM__F32(16411)}},
    {"leaky 17", &leaky, 2, {TDM__F32(17), TDM__F32(17)}},
    {"sigmoid 31", &sigmoid, 2, {TDM__F32(31), TDM__F32(31)}, {0, TDM__FILL_UNIFORM}},
    {"tanh prime", &hyperbolic, 2, {TDM__F32(3, 5, 7), TDM__F32(3, 5, 7)}, {0, TDM__FILL_UNIFORM}},
};
static const tdm__reject rejects_grad[] = {
    {"shapes",
     &relu,
     2,
     {TDM__F32(2), TDM__F32(3)},
     TDM_ERR_SHAPE,
     "y: must be f32[2] like dy, got f32[3]"},
};

const tdm_op tdm__op_activation_grad = {
    .name = "activation_grad",
    .attr_size = sizeof(activation_attrs),
    TDM__ATTRS(attrs),
    .min_in = 2,
    .max_in = 2,
    .n_out = 1,
    .inplace = {1},
    .can_accumulate = true,
    .infer = infer_grad,
    .reference = reference_grad,
    .as_epilogue = as_epilogue_grad,
    TDM__TABLES(variants_grad, samples_grad, rejects_grad),
};

/* ---- builders -------------------------------------------------------------------------------- */

static tdm_value build(tdm_graph *g, tdm_value x, const activation_attrs *a)
{
    return tdm__op_append(g, &tdm__op_activation, &x, 1, a);
}

tdm_value tdm_relu(tdm_graph *g, tdm_value x)
{
    return build(g, x, &relu);
}

tdm_value tdm_leaky_relu(tdm_graph *g, tdm_value x, float slope)
{
    return build(g, x, &(activation_attrs){TDM__ACT_LEAKY_RELU, slope});
}

tdm_value tdm_sigmoid(tdm_graph *g, tdm_value x)
{
    return build(g, x, &sigmoid);
}

tdm_value tdm_tanh(tdm_graph *g, tdm_value x)
{
    return build(g, x, &hyperbolic);
}
