/* ops/uncertainty.c: one task's term under learned homoscedastic uncertainty, s = log sigma^2
 * (Kendall, Gal, Cipolla, CVPR 2018, eq. 5-10):  a e^(-b s) L + d s  with d = 1/2 and
 *   Gaussian and uniform a = 1/2, b = 1;  Laplace a = 1, b = 1/2;  classification a = b = 1,
 * and of IMTL-L (Liu L. et al., ICLR 2021), e^s L - s:  a = 1, b = d = -1.
 *   d/dL = a e^(-b s),   d/ds = d - a b e^(-b s) L.
 * positive: log(1 + e^s) in the place of d s, which keeps the term at or above 0 (Liebel and
 * Koerner, 2018, with the uniform form); its derivative is the sigmoid of s. A batch without a
 * label for the task has the loss 0 of no element, total = 0: the term is then 0 and s does not
 * move, or it would fall by its own half with every such batch. */
#include "ops/loss.h"

#include <math.h>
#include <stddef.h>

#include <tandem/ops.h>

typedef struct uncertainty_attrs {
    int32_t likelihood; /* tdm_likelihood */
    bool positive;
} uncertainty_attrs;

static const tdm__attr attrs[] = {{"likelihood", 'i', offsetof(uncertainty_attrs, likelihood), 1},
                                  {"positive", 'b', offsetof(uncertainty_attrs, positive), 1}};

static const struct {
    float a, b, d;
} forms[] = {
    [TDM_LIKELIHOOD_GAUSSIAN] = {0.5f, 1, 0.5f},
    [TDM_LIKELIHOOD_LAPLACE] = {1, 0.5f, 0.5f},
    [TDM_LIKELIHOOD_CLASSIFICATION] = {1, 1, 0.5f},
    [TDM_LIKELIHOOD_UNIFORM] = {0.5f, 1, 0.5f},
    [TDM_LIKELIHOOD_IMTL] = {1, -1, -1},
};

enum { TOTAL = 2, GRAD_TOTAL = 3 }; /* inputs: loss, s, total; loss, s, dout, total */

static tdm_status check_inputs(const tdm__io *io, int total)
{
    const uncertainty_attrs *a = io->attrs;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__expect(io, 0, "loss", TDM_F32, 0));
    TDM_TRY(tdm__expect(io, 1, "s", TDM_F32, 0));
    if (tdm__present(io, total)) TDM_TRY(tdm__expect(io, total, "total", TDM_F32, 0));
    if (a->likelihood < 0 || a->likelihood >= TDM__COUNT(forms))
        TDM_TRY(tdm__fail(TDM_ERR_SHAPE,
                          "likelihood: must be 0 to 4 (gaussian, laplace, classification, "
                          "uniform, imtl), got %d",
                          (int)a->likelihood));
    if (a->positive && a->likelihood == TDM_LIKELIHOOD_IMTL)
        TDM_TRY(tdm__fail(TDM_ERR_SHAPE, "positive: not for imtl, which has no variance"));
done:
    return status;
}

/* total: the index of that input, behind the others. */
static tdm_status emit(tdm__build *b, const char *kernel, int total)
{
    const tdm__io *io = tdm__build_io(b);
    const uncertainty_attrs *a = io->attrs;
    const bool has_total = tdm__present(io, total);
    tdm__kernel *k = tdm__emit(b, "scalar.cl", kernel, "");
    for (int i = 0; i < total; i++) tdm__arg_in(k, i);
    tdm__arg_in(k, has_total ? total : 0); /* something must be bound */
    for (int o = 0; o < io->n_out; o++) tdm__arg_out(k, o);
    tdm__arg_f32(k, forms[a->likelihood].a);
    tdm__arg_f32(k, forms[a->likelihood].b);
    tdm__arg_f32(k, forms[a->likelihood].d);
    tdm__arg_i32(k, a->positive);
    tdm__arg_i32(k, has_total);
    tdm__range_1(k, 1, 1);
    return TDM_OK;
}

/* ---- forward --------------------------------------------------------------------------------- */

static tdm_status infer(const tdm__io *io, tdm_desc *out)
{
    tdm_status status = TDM_OK;
    TDM_TRY(check_inputs(io, TOTAL));
    out[0] = tdm_desc_scalar();
done:
    return status;
}

static tdm_status gradient(tdm_graph *g, const tdm__node_view *node, const tdm_value *dout,
                           const bool *need, tdm_value *din)
{
    tdm_value total = tdm__present(node->io, TOTAL) ? node->in[TOTAL] : TDM_NO_VALUE;
    tdm_value in[] = {node->in[0], node->in[1], dout[0], total};
    tdm_value first = tdm__graph_node(g, &tdm__op_uncertainty_grad, in, 4, node->io->attrs);
    for (int i = 0; i < 2; i++)
        if (need[i]) din[i] = first == TDM_NO_VALUE ? TDM_NO_VALUE : first + i;
    return TDM_OK;
}

static bool is_empty(const tdm__ref *ref, int total)
{
    return tdm__present(ref->io, total) && ref->in[total][0] == 0;
}

static void reference(const tdm__ref *ref)
{
    const uncertainty_attrs *a = ref->io->attrs;
    double s = ref->in[1][0];
    double term = forms[a->likelihood].a * exp(-forms[a->likelihood].b * s) * ref->in[0][0] +
                  (a->positive ? fmax(s, 0) + log1p(exp(-fabs(s))) : forms[a->likelihood].d * s);
    ref->out[0][0] = is_empty(ref, TOTAL) ? 0 : term;
}

static tdm_status prepare(tdm__build *b)
{
    return emit(b, "uncertainty_fwd", TOTAL);
}

static const tdm__variant variants[] = {{"scalar", TDM__ON_ANY, .prepare = prepare}};

static const uncertainty_attrs liebel = {TDM_LIKELIHOOD_UNIFORM, true},
                               liebel_imtl = {TDM_LIKELIHOOD_IMTL, true},
                               gaussian = {TDM_LIKELIHOOD_GAUSSIAN},
                               laplace = {TDM_LIKELIHOOD_LAPLACE},
                               classification = {TDM_LIKELIHOOD_CLASSIFICATION},
                               uniform = {TDM_LIKELIHOOD_UNIFORM}, imtl = {TDM_LIKELIHOOD_IMTL},
                               none = {5};
static const tdm__sample samples[] = {
    {"gaussian", &gaussian, 2, {TDM__SCALAR, TDM__SCALAR}},
    {"laplace", &laplace, 2, {TDM__SCALAR, TDM__SCALAR}},
    {"classification", &classification, 2, {TDM__SCALAR, TDM__SCALAR}},
    {"uniform", &uniform, 2, {TDM__SCALAR, TDM__SCALAR}},
    {"imtl", &imtl, 2, {TDM__SCALAR, TDM__SCALAR}},
    {"positive", &liebel, 2, {TDM__SCALAR, TDM__SCALAR}},
    {"of something", &laplace, 3, {TDM__SCALAR, TDM__SCALAR, TDM__SCALAR}},
    {"of nothing",
     &laplace,
     3,
     {TDM__SCALAR, TDM__SCALAR, TDM__SCALAR},
     .fill = {0, 0, TDM__FILL_ZERO}},
};
static const tdm__reject rejects[] = {
    {"loss",
     &laplace,
     2,
     {TDM__F32(1), TDM__SCALAR},
     TDM_ERR_SHAPE,
     "loss: must have 0 axes, got f32[1]"},
    {"s",
     &laplace,
     2,
     {TDM__SCALAR, TDM__F32(1)},
     TDM_ERR_SHAPE,
     "s: must have 0 axes, got f32[1]"},
    {"likelihood",
     &none,
     2,
     {TDM__SCALAR, TDM__SCALAR},
     TDM_ERR_SHAPE,
     "likelihood: must be 0 to 4 (gaussian, laplace, classification, uniform, imtl), got 5"},
    {"positive",
     &liebel_imtl,
     2,
     {TDM__SCALAR, TDM__SCALAR},
     TDM_ERR_SHAPE,
     "positive: not for imtl, which has no variance"},
};

const tdm_op tdm__op_uncertainty = {
    .name = "uncertainty",
    .attr_size = sizeof(uncertainty_attrs),
    TDM__ATTRS(attrs),
    .min_in = 2,
    .max_in = 3,
    .n_out = 1,
    .differentiable = 3,
    .out_gradient = 1,
    .infer = infer,
    .gradient = gradient,
    .reference = reference,
    TDM__TABLES(variants, samples, rejects),
};

/* ---- backward: loss, s, dout -> dloss, ds ------------------------------------------------------
 */

static tdm_status infer_grad(const tdm__io *io, tdm_desc *out)
{
    tdm_status status = TDM_OK;
    TDM_TRY(check_inputs(io, GRAD_TOTAL));
    TDM_TRY(tdm__expect(io, 2, "dout", TDM_F32, 0));
    out[0] = out[1] = tdm_desc_scalar();
done:
    return status;
}

static void reference_grad(const tdm__ref *ref)
{
    const uncertainty_attrs *at = ref->io->attrs;
    double b = forms[at->likelihood].b, s = ref->in[1][0];
    double d = is_empty(ref, GRAD_TOTAL) ? 0 : ref->in[2][0];
    double weight = forms[at->likelihood].a * exp(-b * s);
    ref->out[0][0] = d * weight;
    double of_s = at->positive ? 1 / (1 + exp(-s)) : forms[at->likelihood].d;
    ref->out[1][0] = d * (of_s - b * weight * ref->in[0][0]);
}

static tdm_status prepare_grad(tdm__build *b)
{
    return emit(b, "uncertainty_bwd", GRAD_TOTAL);
}

static const tdm__variant variants_grad[] = {{"scalar", TDM__ON_ANY, .prepare = prepare_grad}};

static const tdm__sample samples_grad[] = {
    {"gaussian", &gaussian, 3, {TDM__SCALAR, TDM__SCALAR, TDM__SCALAR}},
    {"laplace", &laplace, 3, {TDM__SCALAR, TDM__SCALAR, TDM__SCALAR}},
    {"classification", &classification, 3, {TDM__SCALAR, TDM__SCALAR, TDM__SCALAR}},
    {"imtl", &imtl, 3, {TDM__SCALAR, TDM__SCALAR, TDM__SCALAR}},
    {"positive", &liebel, 3, {TDM__SCALAR, TDM__SCALAR, TDM__SCALAR}},
    {"of something", &laplace, 4, {TDM__SCALAR, TDM__SCALAR, TDM__SCALAR, TDM__SCALAR}},
    {"of nothing",
     &laplace,
     4,
     {TDM__SCALAR, TDM__SCALAR, TDM__SCALAR, TDM__SCALAR},
     .fill = {0, 0, 0, TDM__FILL_ZERO}},
};
static const tdm__reject rejects_grad[] = {
    {"dout",
     &laplace,
     3,
     {TDM__SCALAR, TDM__SCALAR, TDM__F32(2)},
     TDM_ERR_SHAPE,
     "dout: must have 0 axes, got f32[2]"},
};

const tdm_op tdm__op_uncertainty_grad = {
    .name = "uncertainty_grad",
    .attr_size = sizeof(uncertainty_attrs),
    TDM__ATTRS(attrs),
    .min_in = 3,
    .max_in = 4,
    .n_out = 2,
    .infer = infer_grad,
    .reference = reference_grad,
    TDM__TABLES(variants_grad, samples_grad, rejects_grad),
};

tdm_value tdm_uncertainty(tdm_graph *g, tdm_value loss, tdm_value s, tdm_value total,
                          tdm_likelihood likelihood, bool positive)
{
    uncertainty_attrs a = {(int32_t)likelihood, positive};
    return tdm__op_append(g, &tdm__op_uncertainty, (tdm_value[]){loss, s, total}, 3, &a);
}
