/* ops/point_loss.c: l1, l2, Huber and binary cross entropy with logits, as one operation with a
 * kind.
 *
 * With e = x - t:  l1 |e|;  l2 e^2;  Huber e^2/2 where |e| <= d, else d (|e| - d/2);
 *   bce (1 - t) x + (1 + (w - 1) t) log(1 + e^-x), w the weight of the positive class.
 * The loss is the mean over the elements whose mask is not 0 and whose target is not NaN, as
 * PyTorch's without mask; none: loss 0, gradient 0. The target is a constant. Outputs: the loss,
 * and the number of valid elements. */
#include "ops/loss.h"

#include <math.h>
#include <stddef.h>

#include <tandem/ops.h>

enum { KIND_L1, KIND_L2, KIND_HUBER, KIND_BCE, KINDS };
enum { IN_X = TDM__LOSS_X, IN_TARGET = TDM__LOSS_TARGET, IN_MASK = TDM__LOSS_WEIGHT };

typedef struct point_loss_attrs {
    int32_t kind;
    float parameter; /* Huber: d; bce: w; otherwise not used */
} point_loss_attrs;

static const tdm__attr attrs[] = {{"kind", 'i', offsetof(point_loss_attrs, kind), 1},
                                  {"parameter", 'f', offsetof(point_loss_attrs, parameter), 1}};

static tdm_status check_inputs(const tdm__io *io)
{
    const point_loss_attrs *a = io->attrs;
    tdm_status status = TDM_OK;
    int64_t div;
    TDM_TRY(tdm__expect(io, IN_X, "x", TDM_F32, -1));
    TDM_TRY(tdm__expect_same(io, IN_TARGET, "target", IN_X, "x"));
    TDM_TRY(tdm__expect_mask(io, IN_MASK, IN_TARGET, &div));
    if (a->kind < 0 || a->kind >= KINDS)
        TDM_TRY(tdm__fail(TDM_ERR_SHAPE, "kind: must be 0 to 3 (l1, l2, huber, bce), got %d",
                          (int)a->kind));
    if (a->kind == KIND_HUBER && !(a->parameter > 0 && isfinite(a->parameter)))
        TDM_TRY(tdm__fail(TDM_ERR_SHAPE, "delta: must be > 0, got %g", (double)a->parameter));
    if (a->kind == KIND_BCE && !(a->parameter >= 0 && isfinite(a->parameter)))
        TDM_TRY(tdm__fail(TDM_ERR_SHAPE, "positive weight: must be at least 0, got %g",
                          (double)a->parameter));
done:
    return status;
}

static double value_of(const point_loss_attrs *a, double x, double t)
{
    double e = x - t, d = a->parameter;
    switch (a->kind) {
    case KIND_L1:
        return fabs(e);
    case KIND_L2:
        return e * e;
    case KIND_HUBER:
        return fabs(e) <= d ? e * e / 2 : d * (fabs(e) - d / 2);
    default:
        return (1 - t) * x + (1 + (d - 1) * t) * (log1p(exp(-fabs(x))) + fmax(-x, 0));
    }
}

static double slope_of(const point_loss_attrs *a, double x, double t)
{
    double e = x - t, d = a->parameter;
    switch (a->kind) {
    case KIND_L1:
        return (e > 0) - (e < 0);
    case KIND_L2:
        return 2 * e;
    case KIND_HUBER:
        return fmin(fmax(e, -d), d);
    default:
        return (1 + (d - 1) * t) / (1 + exp(-x)) - d * t;
    }
}

static uint64_t team_count(const tdm__io *io)
{
    return tdm__ceil_div((uint64_t)tdm_desc_count(&io->in[IN_X]), TDM__POINT_BLOCK);
}

static void finish_launch(tdm__build *b, tdm__kernel *k, bool with_teams, double passes)
{
    const tdm__io *io = tdm__build_io(b);
    const point_loss_attrs *a = io->attrs;
    uint64_t n = (uint64_t)tdm_desc_count(&io->in[IN_X]), teams = team_count(io);
    tdm__arg_u64(k, n);
    tdm__arg_i32(k, TDM__POINT_BLOCK);
    if (with_teams) tdm__arg_i32(k, (int64_t)teams);
    tdm__arg_i32(k, tdm__mask_div(io, IN_MASK, IN_TARGET));
    tdm__arg_i32(k, a->kind);
    tdm__arg_f32(k, a->parameter);
    tdm__range_teams(b, k, teams);
    tdm__cost(k, 4 * (double)n, passes * 4 * (double)n);
}

/* ---- forward --------------------------------------------------------------------------------- */

static tdm_status infer(const tdm__io *io, tdm_desc *out)
{
    out[0] = out[1] = tdm_desc_scalar();
    return check_inputs(io);
}

static tdm_status gradient(tdm_graph *g, const tdm__node_view *node, const tdm_value *dout,
                           const bool *need, tdm_value *din)
{
    return tdm__loss_gradient(g, &tdm__op_point_loss_grad, node, dout, need, din);
}

static void reference(const tdm__ref *ref)
{
    int64_t n = tdm_desc_count(&ref->io->in[IN_X]);
    int64_t div = tdm__mask_div(ref->io, IN_MASK, IN_TARGET);
    double loss = 0, count = 0;
    for (int64_t i = 0; i < n; i++) {
        double t = ref->in[IN_TARGET][i];
        if (!tdm__mask_at(ref->in[IN_MASK], div, i) || isnan(t)) continue;
        loss += value_of(ref->io->attrs, ref->in[IN_X][i], t);
        count++;
    }
    ref->out[0][0] = count > 0 ? loss / count : 0;
    ref->out[1][0] = count;
}

static uint64_t workspace(const tdm__traits *traits, const tdm__io *io)
{
    (void)traits;
    return tdm__loss_workspace(team_count(io));
}

static tdm_status prepare(tdm__build *b)
{
    finish_launch(b, tdm__emit_loss(b, "point_loss_fwd"), true, 2);
    tdm__emit_loss_finish(b, team_count(tdm__build_io(b)));
    return TDM_OK;
}

static const tdm__variant variants[] = {
    {"flat", TDM__ON_ANY, .workspace = workspace, .prepare = prepare}};

static const point_loss_attrs l1 = {KIND_L1, 0}, l2 = {KIND_L2, 0}, huber = {KIND_HUBER, 0.5f},
                              bce = {KIND_BCE, 1}, bce_weighted = {KIND_BCE, 2.5f},
                              no_delta = {KIND_HUBER, 0}, no_weight = {KIND_BCE, -1},
                              no_kind = {KINDS, 0};
#define MASKED .fill = {TDM__FILL_NORMAL, TDM__FILL_NORMAL, TDM__FILL_MASK}
#define PROBABLE .fill = {TDM__FILL_NORMAL, TDM__FILL_UNIFORM, TDM__FILL_MASK}
static const tdm__sample samples[] = {
    {"l1 scalar", &l1, 2, {TDM__SCALAR, TDM__SCALAR}},
    {"l1 15", &l1, 2, {TDM__F32(15), TDM__F32(15)}},
    {"l1 images", &l1, 2, {TDM__F32(2, 7, 7, 1), TDM__F32(2, 7, 7, 1)}},
    {"l1 own mask", &l1, 3, {TDM__F32(3, 37), TDM__F32(3, 37), TDM__F32(3, 37)}, MASKED},
    {"l1 pixel mask",
     &l1,
     3,
     {TDM__F32(2, 5, 7, 3), TDM__F32(2, 5, 7, 3), TDM__F32(2, 5, 7, 1)},
     MASKED},
    {"l2 sample mask", &l2, 3, {TDM__F32(7, 3, 5, 2), TDM__F32(7, 3, 5, 2), TDM__F32(7)}, MASKED},
    {"l2 two teams", &l2, 2, {TDM__F32(4099), TDM__F32(4099)}},
    {"l2 two teams masked",
     &l2,
     3,
     {TDM__F32(1, 1399, 3), TDM__F32(1, 1399, 3), TDM__F32(1, 1399, 1)},
     MASKED},
    {"l2 nothing valid",
     &l2,
     3,
     {TDM__F32(3, 7), TDM__F32(3, 7), TDM__F32(3)},
     .fill = {TDM__FILL_NORMAL, TDM__FILL_NORMAL, TDM__FILL_ZERO}},
    {"huber 33", &huber, 2, {TDM__F32(3, 11), TDM__F32(3, 11)}},
    {"huber masked", &huber, 3, {TDM__F32(13, 5), TDM__F32(13, 5), TDM__F32(13, 1)}, MASKED},
    {"bce 17", &bce, 2, {TDM__F32(17, 1), TDM__F32(17, 1)}, PROBABLE},
    {"bce pixels",
     &bce_weighted,
     3,
     {TDM__F32(2, 9, 5, 1), TDM__F32(2, 9, 5, 1), TDM__F32(2)},
     PROBABLE},
};

static const tdm__sample bench[] = {
    {"l1 4x288x384x3", &l1, 2, {TDM__F32(4, 288, 384, 3), TDM__F32(4, 288, 384, 3)}},
};
static const tdm__reject rejects[] = {
    {"type", &l1, 2, {TDM__U8(4), TDM__F32(4)}, TDM_ERR_SHAPE, "x: must be f32, got u8[4]"},
    {"shape",
     &l1,
     2,
     {TDM__F32(4, 2), TDM__F32(4, 1)},
     TDM_ERR_SHAPE,
     "target: must be f32[4,2] like x, got f32[4,1]"},
    {"mask",
     &l1,
     3,
     {TDM__F32(4, 2), TDM__F32(4, 2), TDM__F32(2, 4)},
     TDM_ERR_SHAPE,
     "mask: must be f32[4,2], the same with a last axis of 1, or one per sample, got f32[2,4]"},
    {"delta", &no_delta, 2, {TDM__F32(4), TDM__F32(4)}, TDM_ERR_SHAPE, "delta: must be > 0, got 0"},
    {"weight",
     &no_weight,
     2,
     {TDM__F32(4), TDM__F32(4)},
     TDM_ERR_SHAPE,
     "positive weight: must be at least 0, got -1"},
    {"kind",
     &no_kind,
     2,
     {TDM__F32(4), TDM__F32(4)},
     TDM_ERR_SHAPE,
     "kind: must be 0 to 3 (l1, l2, huber, bce), got 4"},
};

const tdm_op tdm__op_point_loss = {
    .name = "point_loss",
    .attr_size = sizeof(point_loss_attrs),
    TDM__ATTRS(attrs),
    TDM__LOSS_FORWARD,
    .infer = infer,
    .gradient = gradient,
    .reference = reference,
    TDM__TABLES(variants, samples, rejects),
    TDM__BENCH(bench),
};

/* ---- backward: x, target, mask, total, dloss -> dx ---------------------------------------------
 */

static tdm_status infer_grad(const tdm__io *io, tdm_desc *out)
{
    tdm_status status = check_inputs(io);
    return status == TDM_OK ? tdm__loss_infer_grad(io, out) : status;
}

static void reference_grad(const tdm__ref *ref)
{
    int64_t n = tdm_desc_count(&ref->io->in[IN_X]);
    int64_t div = tdm__mask_div(ref->io, IN_MASK, IN_TARGET);
    double scale = tdm__loss_grad_scale(ref);
    for (int64_t i = 0; i < n; i++) {
        double t = ref->in[IN_TARGET][i];
        bool valid = tdm__mask_at(ref->in[IN_MASK], div, i) && !isnan(t);
        ref->out[0][i] = valid ? scale * slope_of(ref->io->attrs, ref->in[IN_X][i], t) : 0;
    }
}

static tdm_status prepare_grad(tdm__build *b)
{
    finish_launch(b, tdm__emit_loss_grad(b, "point_loss_bwd"), false, 3);
    return TDM_OK;
}

static const tdm__variant variants_grad[] = {{"flat", TDM__ON_ANY, .prepare = prepare_grad}};

#define GRAD_FILL(target)                                                                          \
    .fill = {TDM__FILL_NORMAL, target, TDM__FILL_MASK, TDM__FILL_POSITIVE, TDM__FILL_POSITIVE}
static const tdm__sample samples_grad[] = {
    {"l1 images",
     &l1,
     5,
     {TDM__F32(2, 7, 7, 1), TDM__F32(2, 7, 7, 1), TDM__ABSENT, TDM__SCALAR, TDM__SCALAR},
     GRAD_FILL(TDM__FILL_NORMAL)},
    {"l2 pixel mask",
     &l2,
     5,
     {TDM__F32(2, 1399, 3), TDM__F32(2, 1399, 3), TDM__F32(2, 1399, 1), TDM__SCALAR, TDM__SCALAR},
     GRAD_FILL(TDM__FILL_NORMAL)},
    {"huber sample mask",
     &huber,
     5,
     {TDM__F32(5, 31), TDM__F32(5, 31), TDM__F32(5), TDM__SCALAR, TDM__SCALAR},
     GRAD_FILL(TDM__FILL_NORMAL)},
    {"bce own mask",
     &bce_weighted,
     5,
     {TDM__F32(3, 11), TDM__F32(3, 11), TDM__F32(3, 11), TDM__SCALAR, TDM__SCALAR},
     GRAD_FILL(TDM__FILL_UNIFORM)},
    {"nothing valid",
     &l1,
     5,
     {TDM__F32(9), TDM__F32(9), TDM__ABSENT, TDM__SCALAR, TDM__SCALAR},
     .fill = {TDM__FILL_NORMAL, TDM__FILL_NORMAL, 0, TDM__FILL_ZERO, TDM__FILL_POSITIVE}},
};

static const tdm__sample bench_grad[] = {
    {"l1 4x288x384x3",
     &l1,
     5,
     {TDM__F32(4, 288, 384, 3), TDM__F32(4, 288, 384, 3), TDM__ABSENT, TDM__SCALAR, TDM__SCALAR},
     GRAD_FILL(TDM__FILL_NORMAL)},
};
static const tdm__reject rejects_grad[] = {
    {"total",
     &l1,
     5,
     {TDM__F32(4), TDM__F32(4), TDM__ABSENT, TDM__F32(1), TDM__SCALAR},
     TDM_ERR_SHAPE,
     "total: must have 0 axes, got f32[1]"},
    {"dloss",
     &l1,
     5,
     {TDM__F32(4), TDM__F32(4), TDM__ABSENT, TDM__SCALAR, TDM__F32(4)},
     TDM_ERR_SHAPE,
     "dloss: must have 0 axes, got f32[4]"},
};

const tdm_op tdm__op_point_loss_grad = {
    .name = "point_loss_grad",
    .attr_size = sizeof(point_loss_attrs),
    TDM__ATTRS(attrs),
    TDM__LOSS_BACKWARD,
    .infer = infer_grad,
    .reference = reference_grad,
    TDM__TABLES(variants_grad, samples_grad, rejects_grad),
    TDM__BENCH(bench_grad),
};

/* ---- builders -------------------------------------------------------------------------------- */

static tdm_value build(tdm_graph *g, int32_t kind, float parameter, tdm_value x, tdm_value target,
                       tdm_value mask)
{
    point_loss_attrs a = {kind, parameter};
    return tdm__op_append(g, &tdm__op_point_loss, (tdm_value[]){x, target, mask}, 3, &a);
}

tdm_value tdm_l1_loss(tdm_graph *g, tdm_value pred, tdm_value target, tdm_value mask)
{
    return build(g, KIND_L1, 0, pred, target, mask);
}

tdm_value tdm_l2_loss(tdm_graph *g, tdm_value pred, tdm_value target, tdm_value mask)
{
    return build(g, KIND_L2, 0, pred, target, mask);
}

tdm_value tdm_huber_loss(tdm_graph *g, tdm_value pred, tdm_value target, tdm_value mask,
                         float delta)
{
    return build(g, KIND_HUBER, delta, pred, target, mask);
}

tdm_value tdm_bce_with_logits(tdm_graph *g, tdm_value logits, tdm_value target, tdm_value mask,
                              float pos_weight)
{
    return build(g, KIND_BCE, pos_weight, logits, target, mask);
}
