/* ops/label_loss.c: cross entropy and NLL, per sample and per pixel, as one operation with a flag.
 *
 * Inputs x (...,C), labels (...), class weights w (C) or none; q = label smoothing, W = sum w.
 *   row loss = (1 - q) w_y (lse - x_y) + q / C (W lse - sum_c w_c x_c)
 *   loss = sum of row losses / sum of w_y, over rows with a label y >= 0, y != ignore_index
 * as torch.nn.functional.cross_entropy with reduction "mean" (Szegedy et al., CVPR 2016, for q).
 * For NLL x already holds log-probabilities: lse = 0. No valid row: loss 0, gradient 0. A label >=
 * C gives NaN. Outputs: the loss, and the sum of w_y that the gradient divides by. */
#include "ops/loss.h"

#include <math.h>
#include <stddef.h>

#include <tandem/ops.h>

typedef struct label_loss_attrs {
    int32_t ignore_index;
    float label_smoothing;
    bool log_probs;
} label_loss_attrs;

static const tdm__attr attrs[] = {
    {"ignore_index", 'i', offsetof(label_loss_attrs, ignore_index), 1},
    {"label_smoothing", 'f', offsetof(label_loss_attrs, label_smoothing), 1},
    {"log_probs", 'b', offsetof(label_loss_attrs, log_probs), 1},
};

enum { HAS_WEIGHTS = 1, LOG_PROBS = 2 }; /* flags of cl/loss.cl */
enum { EXP_FLOPS = 15 };                 /* of its exp_l */
enum { IN_X = TDM__LOSS_X, IN_LABELS = TDM__LOSS_TARGET, IN_WEIGHTS = TDM__LOSS_WEIGHT };

static tdm_status check_inputs(const tdm__io *io)
{
    const label_loss_attrs *a = io->attrs;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__expect(io, IN_X, "x", TDM_F32, -1));
    if (io->in[IN_X].rank == 0) TDM_TRY(tdm__fail(TDM_ERR_SHAPE, "x: must have at least one axis"));
    TDM_TRY(tdm__expect_labels(io, IN_LABELS, IN_X, TDM_I32));
    if (tdm__present(io, IN_WEIGHTS))
        TDM_TRY(tdm__expect_channels(io, IN_WEIGHTS, "class weights", IN_X));
    if (!(a->label_smoothing >= 0 && a->label_smoothing < 1))
        TDM_TRY(tdm__fail(TDM_ERR_SHAPE, "label smoothing: must be in [0, 1), got %g",
                          (double)a->label_smoothing));
done:
    return status;
}

/* What both references need of one row. */
typedef struct row {
    bool valid, bad;
    int64_t label;
    double m, log_s, weight; /* maximum, log sum exp(x - m), w_y */
} row;

static row read_row(const tdm__ref *ref, uint64_t r, uint64_t classes)
{
    const label_loss_attrs *a = ref->io->attrs;
    const double *x = ref->in[IN_X] + r * classes, *w = ref->in[IN_WEIGHTS];
    row out = {.label = (int64_t)ref->in[IN_LABELS][r]};
    out.valid = out.label >= 0 && out.label != a->ignore_index;
    out.bad = out.valid && out.label >= (int64_t)classes;
    if (!out.valid || out.bad) return out;
    out.weight = w ? w[out.label] : 1;
    if (a->log_probs) return out;
    double s = 0;
    out.m = x[0];
    for (uint64_t c = 1; c < classes; c++) out.m = fmax(out.m, x[c]);
    for (uint64_t c = 0; c < classes; c++) s += exp(x[c] - out.m);
    out.log_s = log(s);
    return out;
}

static double class_weight(const tdm__ref *ref, uint64_t c)
{
    return ref->in[IN_WEIGHTS] ? ref->in[IN_WEIGHTS][c] : 1;
}

/* Arguments behind the tensors: rows, C, block[, teams], ignore, smoothing, flags; and the range.
 */
static void finish_launch(tdm__build *b, tdm__kernel *k, const tdm__row_split *split,
                          bool with_teams, double passes)
{
    const tdm__io *io = tdm__build_io(b);
    const label_loss_attrs *a = io->attrs;
    int flags = (tdm__present(io, IN_WEIGHTS) ? HAS_WEIGHTS : 0) | (a->log_probs ? LOG_PROBS : 0);
    tdm__arg_row_split(b, k, split);
    if (with_teams) tdm__arg_i32(k, (int64_t)split->teams);
    tdm__arg_i32(k, a->ignore_index);
    tdm__arg_f32(k, a->label_smoothing);
    tdm__arg_i32(k, flags);
    double n = (double)split->rows * (double)split->classes;
    /* the maximum, the difference, its exponential and the sum; the gradient has a product more */
    const double flops = a->log_probs ? 2 : EXP_FLOPS + 3;
    tdm__cost(k, (flops + 2 * (passes - 1)) * n, passes * 4 * n + 4 * (double)split->rows);
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
    return tdm__loss_gradient(g, &tdm__op_label_loss_grad, node, dout, need, din);
}

static void reference(const tdm__ref *ref)
{
    const label_loss_attrs *a = ref->io->attrs;
    uint64_t rows, classes;
    tdm__rows(&ref->io->in[IN_X], &rows, &classes);
    double loss = 0, total = 0;
    for (uint64_t r = 0; r < rows; r++) {
        const double *x = ref->in[IN_X] + r * classes;
        row now = read_row(ref, r, classes);
        if (now.bad) loss = NAN;
        if (!now.valid || now.bad) continue;
        double q = a->label_smoothing, smooth = 0;
        for (uint64_t c = 0; c < classes; c++)
            smooth += class_weight(ref, c) * (now.log_s - (x[c] - now.m));
        loss += (1 - q) * now.weight * (now.log_s - (x[now.label] - now.m)) +
                q / (double)classes * smooth;
        total += now.weight;
    }
    ref->out[0][0] = total != 0 ? loss / total : 0 * loss;
    ref->out[1][0] = total;
}

static uint64_t workspace(const tdm__traits *traits, const tdm__io *io)
{
    (void)traits;
    return tdm__loss_workspace(tdm__row_split_of(&io->in[IN_X]).teams);
}

static tdm_status prepare(tdm__build *b)
{
    tdm__row_split split = tdm__row_split_of(&tdm__build_io(b)->in[IN_X]);
    tdm__kernel *k = tdm__emit_loss(b, split.wide ? "label_loss_fwd_wide" : "label_loss_fwd_rows");
    finish_launch(b, k, &split, true, 1);
    tdm__emit_loss_finish(b, split.teams);
    return TDM_OK;
}

static const tdm__variant variants[] = {
    {"rows", TDM__ON_ANY, .workspace = workspace, .prepare = prepare}};

static const label_loss_attrs plain = {-1, 0, false}, ignore_2 = {2, 0, false},
                              smooth = {-1, 0.1f, false}, nll = {-1, 0, true},
                              nll_smooth = {-1, 0.3f, true}, smooth_all = {-1, 1.0f, false};
#define LABELLED(classes)                                                                          \
    .fill = {TDM__FILL_NORMAL, TDM__FILL_LABEL, TDM__FILL_POSITIVE}, .fill_arg = {0, classes, 0}
static const tdm__sample samples[] = {
    {"one row", &plain, 2, {TDM__F32(1, 3), TDM__I32(1)}, .fill = {0, TDM__FILL_INDEX}, {0, 3}},
    {"batch", &plain, 2, {TDM__F32(64, 10), TDM__I32(64)}, LABELLED(10)},
    {"15 rows", &plain, 2, {TDM__F32(15, 10), TDM__I32(15)}, LABELLED(10)},
    {"17 rows weighted", &plain, 3, {TDM__F32(17, 5), TDM__I32(17), TDM__F32(5)}, LABELLED(5)},
    {"ignored label", &ignore_2, 3, {TDM__F32(33, 4), TDM__I32(33), TDM__F32(4)}, LABELLED(4)},
    {"smoothing", &smooth, 2, {TDM__F32(31, 10), TDM__I32(31)}, LABELLED(10)},
    {"smoothing weighted", &smooth, 3, {TDM__F32(16, 7), TDM__I32(16), TDM__F32(7)}, LABELLED(7)},
    {"pixels", &plain, 3, {TDM__F32(2, 5, 7, 13), TDM__I32(2, 5, 7), TDM__F32(13)}, LABELLED(13)},
    {"two teams", &plain, 2, {TDM__F32(1277, 13), TDM__I32(1277)}, LABELLED(13)},
    {"64 classes", &smooth, 3, {TDM__F32(9, 64), TDM__I32(9), TDM__F32(64)}, LABELLED(64)},
    {"65 classes", &smooth, 3, {TDM__F32(9, 65), TDM__I32(9), TDM__F32(65)}, LABELLED(65)},
    {"1623 classes", &plain, 2, {TDM__F32(19, 1623), TDM__I32(19)}, LABELLED(1623)},
    {"one class", &plain, 2, {TDM__F32(5, 1), TDM__I32(5)}, LABELLED(1)},
    {"all ignored",
     &(const label_loss_attrs){0, 0, false},
     2,
     {TDM__F32(18, 4), TDM__I32(18)},
     .fill = {TDM__FILL_NORMAL, TDM__FILL_ZERO}},
    {"nll", &nll, 2, {TDM__F32(2, 3, 11, 5), TDM__I32(2, 3, 11)}, LABELLED(5)},
    {"nll weighted", &nll_smooth, 3, {TDM__F32(21, 6), TDM__I32(21), TDM__F32(6)}, LABELLED(6)},
    {"nll wide", &nll_smooth, 3, {TDM__F32(7, 101), TDM__I32(7), TDM__F32(101)}, LABELLED(101)},
};

static const tdm__sample bench[] = {
    {"4x288x384x13", &plain, 2, {TDM__F32(4, 288, 384, 13), TDM__I32(4, 288, 384)}, LABELLED(13)},
};
static const tdm__reject rejects[] = {
    {"type",
     &plain,
     2,
     {TDM__I32(2, 2), TDM__I32(2)},
     TDM_ERR_SHAPE,
     "x: must be f32, got i32[2,2]"},
    {"scalar",
     &plain,
     2,
     {TDM__SCALAR, TDM__I32(1)},
     TDM_ERR_SHAPE,
     "x: must have at least one axis"},
    {"label type",
     &plain,
     2,
     {TDM__F32(4, 3), TDM__F32(4)},
     TDM_ERR_SHAPE,
     "labels: must be i32[4], one per row, got f32[4]"},
    {"label shape",
     &plain,
     2,
     {TDM__F32(4, 2, 2, 3), TDM__I32(4, 2)},
     TDM_ERR_SHAPE,
     "labels: must be i32[4,2,2], one per row, got i32[4,2]"},
    {"weights",
     &plain,
     3,
     {TDM__F32(4, 3), TDM__I32(4), TDM__F32(4)},
     TDM_ERR_SHAPE,
     "class weights: must be f32[3], one per channel, got f32[4]"},
    {"smoothing",
     &smooth_all,
     2,
     {TDM__F32(4, 3), TDM__I32(4)},
     TDM_ERR_SHAPE,
     "label smoothing: must be in [0, 1), got 1"},
};

const tdm_op tdm__op_label_loss = {
    .name = "label_loss",
    .attr_size = sizeof(label_loss_attrs),
    TDM__ATTRS(attrs),
    TDM__LOSS_FORWARD,
    .infer = infer,
    .gradient = gradient,
    .reference = reference,
    TDM__TABLES(variants, samples, rejects),
    TDM__BENCH(bench),
};

/* ---- backward: x, labels, weights, total, dloss -> dx ------------------------------------------
 */

static tdm_status infer_grad(const tdm__io *io, tdm_desc *out)
{
    tdm_status status = check_inputs(io);
    return status == TDM_OK ? tdm__loss_infer_grad(io, out) : status;
}

static void reference_grad(const tdm__ref *ref)
{
    const label_loss_attrs *a = ref->io->attrs;
    uint64_t rows, classes;
    tdm__rows(&ref->io->in[IN_X], &rows, &classes);
    double scale = tdm__loss_grad_scale(ref), W = 0, q = a->label_smoothing;
    for (uint64_t c = 0; c < classes; c++) W += class_weight(ref, c);
    for (uint64_t r = 0; r < rows; r++) {
        const double *x = ref->in[IN_X] + r * classes;
        double *dx = ref->out[0] + r * classes;
        row now = read_row(ref, r, classes);
        for (uint64_t c = 0; c < classes; c++) {
            double p = a->log_probs ? 0 : exp(x[c] - now.m - now.log_s);
            dx[c] = now.bad ? NAN : 0;
            if (!now.valid || now.bad) continue;
            dx[c] = scale * ((1 - q) * now.weight * (p - ((int64_t)c == now.label)) +
                             q / (double)classes * (W * p - class_weight(ref, c)));
        }
    }
}

static tdm_status prepare_grad(tdm__build *b)
{
    tdm__row_split split = tdm__row_split_of(&tdm__build_io(b)->in[IN_X]);
    tdm__kernel *k =
        tdm__emit_loss_grad(b, split.wide ? "label_loss_bwd_wide" : "label_loss_bwd_rows");
    finish_launch(b, k, &split, false, 2);
    return TDM_OK;
}

static const tdm__variant variants_grad[] = {{"rows", TDM__ON_ANY, .prepare = prepare_grad}};

#define LABELLED_GRAD(classes)                                                                     \
    .fill = {TDM__FILL_NORMAL, TDM__FILL_LABEL, TDM__FILL_POSITIVE, TDM__FILL_POSITIVE,            \
             TDM__FILL_POSITIVE},                                                                  \
    .fill_arg = {0, classes, 0, 0, 0}
static const tdm__sample samples_grad[] = {
    {"batch",
     &plain,
     5,
     {TDM__F32(64, 10), TDM__I32(64), TDM__ABSENT, TDM__SCALAR, TDM__SCALAR},
     LABELLED_GRAD(10)},
    {"smoothing",
     &smooth,
     5,
     {TDM__F32(17, 7), TDM__I32(17), TDM__F32(7), TDM__SCALAR, TDM__SCALAR},
     LABELLED_GRAD(7)},
    {"pixels",
     &ignore_2,
     5,
     {TDM__F32(2, 5, 7, 13), TDM__I32(2, 5, 7), TDM__F32(13), TDM__SCALAR, TDM__SCALAR},
     LABELLED_GRAD(13)},
    {"wide",
     &smooth,
     5,
     {TDM__F32(18, 1013), TDM__I32(18), TDM__F32(1013), TDM__SCALAR, TDM__SCALAR},
     LABELLED_GRAD(1013)},
    {"nll",
     &nll_smooth,
     5,
     {TDM__F32(15, 6), TDM__I32(15), TDM__F32(6), TDM__SCALAR, TDM__SCALAR},
     LABELLED_GRAD(6)},
    {"nothing valid",
     &plain,
     5,
     {TDM__F32(5, 6), TDM__I32(5), TDM__ABSENT, TDM__SCALAR, TDM__SCALAR},
     .fill = {TDM__FILL_NORMAL, TDM__FILL_INDEX, 0, TDM__FILL_ZERO, TDM__FILL_POSITIVE},
     .fill_arg = {0, 6}},
};

static const tdm__sample bench_grad[] = {
    {"4x288x384x13",
     &plain,
     5,
     {TDM__F32(4, 288, 384, 13), TDM__I32(4, 288, 384), TDM__ABSENT, TDM__SCALAR, TDM__SCALAR},
     LABELLED_GRAD(13)},
};
static const tdm__reject rejects_grad[] = {
    {"total",
     &plain,
     5,
     {TDM__F32(4, 3), TDM__I32(4), TDM__ABSENT, TDM__F32(1), TDM__SCALAR},
     TDM_ERR_SHAPE,
     "total: must have 0 axes, got f32[1]"},
    {"dloss",
     &plain,
     5,
     {TDM__F32(4, 3), TDM__I32(4), TDM__ABSENT, TDM__SCALAR, TDM__F32(4)},
     TDM_ERR_SHAPE,
     "dloss: must have 0 axes, got f32[4]"},
};

const tdm_op tdm__op_label_loss_grad = {
    .name = "label_loss_grad",
    .attr_size = sizeof(label_loss_attrs),
    TDM__ATTRS(attrs),
    TDM__LOSS_BACKWARD,
    .infer = infer_grad,
    .reference = reference_grad,
    TDM__TABLES(variants_grad, samples_grad, rejects_grad),
    TDM__BENCH(bench_grad),
};

/* ---- builders -------------------------------------------------------------------------------- */

static tdm_value build(tdm_graph *g, tdm_value x, tdm_value labels, tdm_value weights,
                       const tdm_cross_entropy_attrs *a, bool log_probs)
{
    label_loss_attrs own = {a->ignore_index, a->label_smoothing, log_probs};
    return tdm__op_append(g, &tdm__op_label_loss, (tdm_value[]){x, labels, weights}, 3, &own);
}

tdm_value tdm_cross_entropy(tdm_graph *g, tdm_value logits, tdm_value labels,
                            tdm_value class_weights, const tdm_cross_entropy_attrs *a)
{
    return build(g, logits, labels, class_weights, a, false);
}

tdm_value tdm_nll(tdm_graph *g, tdm_value log_probs, tdm_value labels, tdm_value class_weights,
                  const tdm_cross_entropy_attrs *a)
{
    return build(g, log_probs, labels, class_weights, a, true);
}
