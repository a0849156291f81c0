/* ops/bn_fold.c: batch normalisation with fixed statistics as a per-channel scale and shift:
 * scale = gamma / sqrt(var + eps), shift = beta - mean scale. The planner then moves the channel
 * affine into its producer where it can. */
#include "ops/common.h"

#include <math.h>
#include <stddef.h>

#include <tandem/ops.h>

typedef struct bn_fold_attrs {
    float eps;
} bn_fold_attrs;

static const tdm__attr attrs[] = {{"eps", 'f', offsetof(bn_fold_attrs, eps), 1}};

static tdm_status check_eps(const bn_fold_attrs *a)
{
    if (a->eps >= 0 && a->eps <= 1) return TDM_OK;
    return tdm__fail(TDM_ERR_SHAPE, "eps: must be 0 to 1, got %g", (double)a->eps);
}

/* ---- forward: gamma, beta, mean, var -> scale, shift
 * --------------------------------------------- */

static tdm_status infer(const tdm__io *io, tdm_desc *out)
{
    static const char *const names[] = {"gamma", "beta", "running_mean", "running_var"};
    tdm_status status = TDM_OK;
    TDM_TRY(check_eps(io->attrs));
    TDM_TRY(tdm__expect(io, 0, names[0], TDM_F32, 1));
    for (int i = 1; i < 4; i++) TDM_TRY(tdm__expect_same(io, i, names[i], 0, names[0]));
    out[0] = out[1] = io->in[0];
done:
    return status;
}

static tdm_status gradient(tdm_graph *g, const tdm__node_view *node, const tdm_value *dout,
                           const bool *need, tdm_value *din)
{
    if (need[0]) {
        tdm_value in[] = {node->in[2], node->in[3], dout[0], dout[1]};
        din[0] = tdm__graph_node(g, &tdm__op_bn_fold_grad, in, 4, node->io->attrs);
    }
    if (need[1]) din[1] = dout[1];
    return TDM_OK;
}

static void reference(const tdm__ref *ref)
{
    double eps = (double)((const bn_fold_attrs *)ref->io->attrs)->eps;
    for (int64_t c = 0; c < ref->io->in[0].dim[0]; c++) {
        double scale = ref->in[0][c] / sqrt(ref->in[3][c] + eps);
        ref->out[0][c] = scale;
        ref->out[1][c] = ref->in[1][c] - ref->in[2][c] * scale;
    }
}

static tdm_status prepare(tdm__build *b)
{
    const tdm__io *io = tdm__build_io(b);
    uint64_t n = (uint64_t)io->in[0].dim[0];
    tdm__kernel *k = tdm__emit(b, "batch_norm.cl", "bn_fold_fwd", "");
    for (int i = 0; i < 4; i++) tdm__arg_in(k, i);
    tdm__arg_out(k, 0);
    tdm__arg_out(k, 1);
    tdm__arg_span(b, k, n);
    tdm__arg_f32(k, (double)((const bn_fold_attrs *)io->attrs)->eps);
    tdm__cost(k, 5.0 * (double)n, 24.0 * (double)n);
    return TDM_OK;
}

static const tdm__variant variants[] = {{"flat", TDM__ON_ANY, .prepare = prepare}};

static const bn_fold_attrs usual = {1e-5f}, none = {0}, wrong = {2};
#define FOUR(c) TDM__F32(c), TDM__F32(c), TDM__F32(c), TDM__F32(c)
#define FILLS                                                                                      \
    {                                                                                              \
        TDM__FILL_NORMAL, TDM__FILL_NORMAL, TDM__FILL_NORMAL, TDM__FILL_POSITIVE                   \
    }
static const tdm__sample samples[] = {
    {"1", &usual, 4, {FOUR(1)}, FILLS},
    {"15", &usual, 4, {FOUR(15)}, FILLS},
    {"16", &none, 4, {FOUR(16)}, FILLS},
    {"67", &usual, 4, {FOUR(67)}, FILLS},
};
static const tdm__reject rejects[] = {
    {"shapes",
     &usual,
     4,
     {TDM__F32(3), TDM__F32(3), TDM__F32(2), TDM__F32(3)},
     TDM_ERR_SHAPE,
     "running_mean: must be f32[3] like gamma, got f32[2]"},
    {"eps", &wrong, 4, {FOUR(3)}, TDM_ERR_SHAPE, "eps: must be 0 to 1, got 2"},
};

const tdm_op tdm__op_bn_fold = {
    .name = "bn_fold",
    .attr_size = sizeof(bn_fold_attrs),
    TDM__ATTRS(attrs),
    .min_in = 4,
    .max_in = 4,
    .n_out = 2,
    .differentiable = 3,
    .out_gradient = 3,
    .infer = infer,
    .gradient = gradient,
    .reference = reference,
    TDM__TABLES(variants, samples, rejects),
};

/* ---- backward: mean, var, dscale, dshift -> dgamma
 * ------------------------------------------------ dgamma = (dscale - dshift mean) / sqrt(var +
 * eps); one of the two gradients may be absent. */

static tdm_status infer_grad(const tdm__io *io, tdm_desc *out)
{
    static const char *const names[] = {"running_mean", "running_var", "dscale", "dshift"};
    tdm_status status = TDM_OK;
    TDM_TRY(check_eps(io->attrs));
    TDM_TRY(tdm__expect(io, 0, names[0], TDM_F32, 1));
    for (int i = 1; i < 4; i++)
        if (i < 2 || io->in[i].dtype != TDM_NONE)
            TDM_TRY(tdm__expect_same(io, i, names[i], 0, names[0]));
    out[0] = io->in[0];
done:
    return status;
}

static void reference_grad(const tdm__ref *ref)
{
    double eps = (double)((const bn_fold_attrs *)ref->io->attrs)->eps;
    for (int64_t c = 0; c < ref->io->in[0].dim[0]; c++) {
        double d = ref->in[2] ? ref->in[2][c] : 0;
        if (ref->in[3]) d -= ref->in[3][c] * ref->in[0][c];
        ref->out[0][c] = d / sqrt(ref->in[1][c] + eps);
    }
}

static tdm_status prepare_grad(tdm__build *b)
{
    const tdm__io *io = tdm__build_io(b);
    uint64_t n = (uint64_t)io->in[0].dim[0];
    tdm__kernel *k = tdm__emit(b, "batch_norm.cl", "bn_fold_bwd", "");
    for (int i = 0; i < 4; i++) tdm__arg_in(k, i);
    tdm__arg_out(k, 0);
    tdm__arg_span(b, k, n);
    tdm__arg_f32(k, (double)((const bn_fold_attrs *)io->attrs)->eps);
    tdm__arg_i32(k, io->in[2].dtype != TDM_NONE);
    tdm__arg_i32(k, io->in[3].dtype != TDM_NONE);
    tdm__cost(k, 5.0 * (double)n, 20.0 * (double)n);
    return TDM_OK;
}

static const tdm__variant variants_grad[] = {{"flat", TDM__ON_ANY, .prepare = prepare_grad}};

#define GRAD_FILLS                                                                                 \
    {                                                                                              \
        TDM__FILL_NORMAL, TDM__FILL_POSITIVE                                                       \
    }
static const tdm__sample samples_grad[] = {
    {"15", &usual, 4, {FOUR(15)}, GRAD_FILLS},
    {"17", &usual, 4, {FOUR(17)}, GRAD_FILLS},
    {"no shift", &usual, 3, {TDM__F32(16), TDM__F32(16), TDM__F32(16)}, GRAD_FILLS},
    {"no scale", &none, 4, {TDM__F32(7), TDM__F32(7), {TDM_NONE}, TDM__F32(7)}, GRAD_FILLS},
};
static const tdm__reject rejects_grad[] = {
    {"shapes",
     &usual,
     4,
     {TDM__F32(3), TDM__F32(3), TDM__F32(3), TDM__F32(2)},
     TDM_ERR_SHAPE,
     "dshift: must be f32[3] like running_mean, got f32[2]"},
};

const tdm_op tdm__op_bn_fold_grad = {
    .name = "bn_fold_grad",
    .attr_size = sizeof(bn_fold_attrs),
    TDM__ATTRS(attrs),
    .min_in = 2,
    .max_in = 4,
    .n_out = 1,
    .infer = infer_grad,
    .reference = reference_grad,
    TDM__TABLES(variants_grad, samples_grad, rejects_grad),
};

tdm_value tdm_batch_norm_eval(tdm_graph *g, tdm_value x, tdm_value gamma, tdm_value beta,
                              tdm_value running_mean, tdm_value running_var,
                              const tdm_batch_norm_attrs *a)
{
    tdm_value in[] = {gamma, beta, running_mean, running_var};
    tdm_value scale = tdm__op_append(g, &tdm__op_bn_fold, in, 4, &(bn_fold_attrs){a->eps});
    if (scale == TDM_NO_VALUE) return TDM_NO_VALUE;
    return tdm_channel_affine(g, x, scale, scale + 1);
}
