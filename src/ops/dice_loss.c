/* ops/dice_loss.c: soft Dice loss, from probabilities p (...,C) and labels (...).
 *
 * Over the valid rows r (pixels) of the whole batch, with y_rc = 1 where the label of r is c:
 *   I_c = sum p_rc y_rc, P_c = sum p_rc, Y_c = sum y_rc, s = smooth
 *   D_c = (2 I_c + s) / (P_c + Y_c + s),  loss = 1 - mean of D_c over the classes with Y_c > 0
 * (Milletari et al., V-Net, 3DV 2016, without the squares in the denominator: Sudre et al., DLMIA
 * 2017). With C = 1, p is the probability of label 1 and its D always counts; labels may then be
 * f32 of p's shape (0..1, NaN does not count). Labels < 0 or ignore_index do not count. No valid
 * row: loss 0, gradient 0. A label that is no class gives NaN.
 * Outputs: the loss, the number of valid rows, and I, P, Y. */
#include "ops/loss.h"

#include <math.h>
#include <stddef.h>

#include <tandem/ops.h>

enum { IN_P, IN_LABELS, IN_SUMS, IN_DLOSS, GRAD_INPUTS };
enum { OUT_LOSS, OUT_TOTAL, OUT_SUMS, OUTPUTS };
enum { SUMS = 3 }; /* I, P, Y */
_Static_assert((int)TDM_DICE_CLASSES <= (int)TDM__ROW_MAX, "a lane of the kernel holds a row");

typedef struct dice_loss_attrs {
    int32_t ignore_index;
    float smooth;
} dice_loss_attrs;

static const tdm__attr attrs[] = {
    {"ignore_index", 'i', offsetof(dice_loss_attrs, ignore_index), 1},
    {"smooth", 'f', offsetof(dice_loss_attrs, smooth), 1},
};

static tdm_status check_inputs(const tdm__io *io, int64_t *classes)
{
    const dice_loss_attrs *a = io->attrs;
    tdm_status status = TDM_OK;
    const tdm_desc *p = &io->in[IN_P], *labels = &io->in[IN_LABELS];
    TDM_TRY(tdm__expect(io, IN_P, "p", TDM_F32, -1));
    if (p->rank == 0) TDM_TRY(tdm__fail(TDM_ERR_SHAPE, "p: must have at least one axis"));
    *classes = p->dim[p->rank - 1];
    if (*classes > TDM_DICE_CLASSES)
        TDM_TRY(tdm__fail(TDM_ERR_SHAPE, "p: at most %d classes, got %lld", TDM_DICE_CLASSES,
                          (long long)*classes));
    if (!(*classes == 1 && tdm_desc_equal(p, labels)))
        TDM_TRY(tdm__expect_labels(io, IN_LABELS, IN_P, TDM_I32));
    if (!(a->smooth > 0 && isfinite(a->smooth)))
        TDM_TRY(tdm__fail(TDM_ERR_SHAPE, "smooth: must be > 0, got %g", (double)a->smooth));
done:
    return status;
}

/* What one row says: y of each class, whether it counts, whether its label is no class. */
typedef struct row {
    bool valid, bad;
    int64_t label; /* with one class: 0 */
    double y;      /* of that class */
} row;

static row read_row(const tdm__ref *ref, uint64_t r, int64_t classes)
{
    const dice_loss_attrs *a = ref->io->attrs;
    const double label = ref->in[IN_LABELS][r];
    if (ref->io->in[IN_LABELS].dtype == TDM_F32) return (row){.valid = !isnan(label), .y = label};
    const int64_t l = (int64_t)label;
    row out = {.valid = l >= 0 && l != a->ignore_index, .label = classes == 1 ? 0 : l};
    out.bad = out.valid && l >= (classes == 1 ? 2 : classes);
    out.y = classes == 1 ? (double)l : 1;
    return out;
}

static double y_of(const row *r, int64_t c)
{
    return r->label == c ? r->y : 0;
}

static bool class_counts(const double *sums, int64_t classes, int64_t c)
{
    return classes == 1 || sums[2 * classes + c] > 0;
}

/* ---- forward -----------------------------------------------------------------------------------
 */

static tdm_status infer(const tdm__io *io, tdm_desc *out)
{
    int64_t classes = 1;
    const tdm_status status = check_inputs(io, &classes);
    out[OUT_LOSS] = out[OUT_TOTAL] = tdm_desc_scalar();
    out[OUT_SUMS] = tdm_desc_2(TDM_F32, SUMS, classes);
    return status;
}

static tdm_status gradient(tdm_graph *g, const tdm__node_view *node, const tdm_value *dout,
                           const bool *need, tdm_value *din)
{
    const tdm_value in[] = {node->in[IN_P], node->in[IN_LABELS], node->out[OUT_SUMS],
                            dout[OUT_LOSS]};
    if (need[IN_P])
        din[IN_P] = tdm__graph_node(g, &tdm__op_dice_loss_grad, in, GRAD_INPUTS, node->io->attrs);
    return TDM_OK;
}

static void reference(const tdm__ref *ref)
{
    const dice_loss_attrs *a = ref->io->attrs;
    const tdm__row_split split = tdm__row_split_of(&ref->io->in[IN_P]);
    const int64_t classes = (int64_t)split.classes;
    double *sums = ref->out[OUT_SUMS], dice = 0, counted = 0, bad = 0;
    for (uint64_t r = 0; r < split.rows; r++) {
        const row now = read_row(ref, r, classes);
        if (now.bad) bad = NAN;
        ref->out[OUT_TOTAL][0] += now.valid;
        for (int64_t c = 0; now.valid && !now.bad && c < classes; c++) {
            const double p = ref->in[IN_P][r * split.classes + (uint64_t)c];
            sums[c] += p * y_of(&now, c);
            sums[classes + c] += p;
            sums[2 * classes + c] += y_of(&now, c);
        }
    }
    sums[0] += bad;
    for (int64_t c = 0; c < classes; c++) {
        if (!class_counts(sums, classes, c)) continue;
        dice += (2 * sums[c] + a->smooth) / (sums[classes + c] + sums[2 * classes + c] + a->smooth);
        counted++;
    }
    ref->out[OUT_LOSS][0] = (counted > 0 ? 1 - dice / counted : 0) + bad;
}

static uint64_t workspace(const tdm__traits *traits, const tdm__io *io)
{
    (void)traits;
    const tdm__row_split split = tdm__row_split_of(&io->in[IN_P]);
    return split.teams * (split.classes * SUMS + 1) * 2 * sizeof(float);
}

static tdm_status prepare(tdm__build *b)
{
    const tdm__io *io = tdm__build_io(b);
    const dice_loss_attrs *a = io->attrs;
    const tdm__row_split split = tdm__row_split_of(&io->in[IN_P]);
    const double n = (double)split.rows * (double)split.classes;
    tdm__kernel *k = tdm__emit(b, "dice_loss.cl", "dice_loss_fwd", "");
    tdm__arg_in(k, IN_P);
    tdm__arg_in(k, IN_LABELS);
    tdm__arg_workspace(k, 0, sizeof(float));
    tdm__arg_row_split(b, k, &split);
    tdm__arg_i32(k, (int64_t)split.teams);
    tdm__arg_i32(k, a->ignore_index);
    tdm__arg_i32(k, io->in[IN_LABELS].dtype == TDM_F32);
    tdm__cost(k, 6 * n, 4 * n + 4 * (double)split.rows);
    k = tdm__emit(b, "dice_loss.cl", "dice_loss_finish", "");
    tdm__arg_workspace(k, 0, sizeof(float));
    for (int o = 0; o < OUTPUTS; o++) tdm__arg_out(k, o);
    tdm__arg_i32(k, (int64_t)split.teams);
    tdm__arg_i32(k, (int64_t)split.classes);
    tdm__arg_f32(k, a->smooth);
    tdm__range_teams(b, k, 1);
    return TDM_OK;
}

static const tdm__variant variants[] = {
    {"rows", TDM__ON_ANY, .workspace = workspace, .prepare = prepare}};

static const dice_loss_attrs plain = {-1, 1}, ignore_2 = {2, 0.1f}, rough = {-1, 0};
#define LABELLED(classes) .fill = {TDM__FILL_UNIFORM, TDM__FILL_LABEL}, .fill_arg = {0, classes}
static const tdm__sample samples[] = {
    {"pixels", &plain, 2, {TDM__F32(2, 5, 7, 4), TDM__I32(2, 5, 7)}, LABELLED(4)},
    {"one row",
     &plain,
     2,
     {TDM__F32(1, 3), TDM__I32(1)},
     .fill = {TDM__FILL_UNIFORM, TDM__FILL_INDEX},
     {0, 3}},
    {"ignored label", &ignore_2, 2, {TDM__F32(33, 4), TDM__I32(33)}, LABELLED(4)},
    {"absent classes", &plain, 2, {TDM__F32(31, 7), TDM__I32(31)}, LABELLED(3)},
    {"two teams", &plain, 2, {TDM__F32(1277, 13), TDM__I32(1277)}, LABELLED(13)},
    {"64 classes", &plain, 2, {TDM__F32(17, 64), TDM__I32(17)}, LABELLED(64)},
    {"one output", &plain, 2, {TDM__F32(2, 9, 7, 1), TDM__I32(2, 9, 7)}, LABELLED(2)},
    {"one output, soft",
     &ignore_2,
     2,
     {TDM__F32(3, 16, 1), TDM__F32(3, 16, 1)},
     .fill = {TDM__FILL_UNIFORM, TDM__FILL_UNIFORM}},
    {"all ignored",
     &(const dice_loss_attrs){0, 1},
     2,
     {TDM__F32(18, 4), TDM__I32(18)},
     .fill = {TDM__FILL_UNIFORM, TDM__FILL_ZERO}},
};

static const tdm__sample bench[] = {
    {"8x256x256x4", &plain, 2, {TDM__F32(8, 256, 256, 4), TDM__I32(8, 256, 256)}, LABELLED(4)},
};
static const tdm__reject rejects[] = {
    {"type",
     &plain,
     2,
     {TDM__I32(2, 2), TDM__I32(2)},
     TDM_ERR_SHAPE,
     "p: must be f32, got i32[2,2]"},
    {"label shape",
     &plain,
     2,
     {TDM__F32(4, 2, 2, 3), TDM__I32(4, 2)},
     TDM_ERR_SHAPE,
     "labels: must be i32[4,2,2], one per row, got i32[4,2]"},
    {"classes",
     &plain,
     2,
     {TDM__F32(4, 65), TDM__I32(4)},
     TDM_ERR_SHAPE,
     "p: at most 64 classes, got 65"},
    {"smooth",
     &rough,
     2,
     {TDM__F32(4, 3), TDM__I32(4)},
     TDM_ERR_SHAPE,
     "smooth: must be > 0, got 0"},
};

const tdm_op tdm__op_dice_loss = {
    .name = "dice_loss",
    .attr_size = sizeof(dice_loss_attrs),
    TDM__ATTRS(attrs),
    .min_in = 2,
    .max_in = 2,
    .n_out = OUTPUTS,
    .differentiable = 1 << IN_P,
    .out_gradient = 1,
    .infer = infer,
    .gradient = gradient,
    .reference = reference,
    TDM__TABLES(variants, samples, rejects),
    TDM__BENCH(bench),
};

/* ---- backward: p, labels, sums, dloss -> dp ----------------------------------------------------
 * dloss / dp_rc = (2 I_c + s - 2 y_rc U_c) / (n U_c^2), U_c = P_c + Y_c + s, n classes that count.
 */

static tdm_status infer_grad(const tdm__io *io, tdm_desc *out)
{
    tdm_status status = TDM_OK;
    int64_t classes;
    TDM_TRY(check_inputs(io, &classes));
    TDM_TRY(tdm__expect_desc(io, IN_SUMS, "sums", tdm_desc_2(TDM_F32, SUMS, classes)));
    TDM_TRY(tdm__expect(io, IN_DLOSS, "dloss", TDM_F32, 0));
    out[0] = io->in[IN_P];
done:
    return status;
}

static void reference_grad(const tdm__ref *ref)
{
    const dice_loss_attrs *a = ref->io->attrs;
    const tdm__row_split split = tdm__row_split_of(&ref->io->in[IN_P]);
    const int64_t classes = (int64_t)split.classes;
    const double *sums = ref->in[IN_SUMS], dloss = ref->in[IN_DLOSS][0];
    double counted = 0;
    for (int64_t c = 0; c < classes; c++) counted += class_counts(sums, classes, c);
    for (uint64_t r = 0; r < split.rows; r++) {
        const row now = read_row(ref, r, classes);
        for (int64_t c = 0; c < classes; c++) {
            double *dp = ref->out[0] + r * split.classes + (uint64_t)c;
            const double u = sums[classes + c] + sums[2 * classes + c] + a->smooth;
            *dp = now.bad ? NAN : 0;
            if (!now.valid || now.bad || !class_counts(sums, classes, c)) continue;
            *dp = dloss / counted * (2 * sums[c] + a->smooth - 2 * y_of(&now, c) * u) / (u * u);
        }
    }
}

static tdm_status prepare_grad(tdm__build *b)
{
    const tdm__io *io = tdm__build_io(b);
    const dice_loss_attrs *a = io->attrs;
    const tdm__row_split split = tdm__row_split_of(&io->in[IN_P]);
    const double n = (double)split.rows * (double)split.classes;
    tdm__kernel *k = tdm__emit(b, "dice_loss.cl", "dice_loss_bwd", "");
    tdm__arg_in(k, IN_LABELS);
    tdm__arg_in(k, IN_SUMS);
    tdm__arg_in(k, IN_DLOSS);
    tdm__arg_out(k, 0);
    tdm__arg_i32(k, (int64_t)split.classes);
    tdm__arg_i32(k, a->ignore_index);
    tdm__arg_i32(k, io->in[IN_LABELS].dtype == TDM_F32);
    tdm__arg_f32(k, a->smooth);
    tdm__arg_rows(b, k, split.rows, split.classes);
    tdm__cost(k, 6 * n, 4 * n + 4 * (double)split.rows);
    return TDM_OK;
}

static const tdm__variant variants_grad[] = {{"rows", TDM__ON_ANY, .prepare = prepare_grad}};

#define SCALAR                                                                                     \
    {                                                                                              \
        TDM_F32, 0                                                                                 \
    }
#define LABELLED_GRAD(classes)                                                                     \
    .fill = {TDM__FILL_UNIFORM, TDM__FILL_LABEL, TDM__FILL_POSITIVE, TDM__FILL_POSITIVE},          \
    .fill_arg = {0, classes}
static const tdm__sample samples_grad[] = {
    {"pixels",
     &plain,
     4,
     {TDM__F32(2, 5, 7, 4), TDM__I32(2, 5, 7), TDM__F32(3, 4), SCALAR},
     LABELLED_GRAD(4)},
    {"two items",
     &ignore_2,
     4,
     {TDM__F32(3277, 13), TDM__I32(3277), TDM__F32(3, 13), SCALAR},
     LABELLED_GRAD(13)},
    {"absent classes",
     &plain,
     4,
     {TDM__F32(21, 5), TDM__I32(21), TDM__F32(3, 5), SCALAR},
     .fill = {TDM__FILL_UNIFORM, TDM__FILL_LABEL, TDM__FILL_TIES, TDM__FILL_POSITIVE},
     {0, 5}},
    {"one output",
     &plain,
     4,
     {TDM__F32(2, 9, 7, 1), TDM__I32(2, 9, 7), TDM__F32(3, 1), SCALAR},
     LABELLED_GRAD(2)},
    {"one output, soft",
     &ignore_2,
     4,
     {TDM__F32(3, 16, 1), TDM__F32(3, 16, 1), TDM__F32(3, 1), SCALAR},
     .fill = {TDM__FILL_UNIFORM, TDM__FILL_UNIFORM, TDM__FILL_POSITIVE, TDM__FILL_POSITIVE}},
};
static const tdm__sample bench_grad[] = {
    {"8x256x256x4",
     &plain,
     4,
     {TDM__F32(8, 256, 256, 4), TDM__I32(8, 256, 256), TDM__F32(3, 4), SCALAR},
     LABELLED_GRAD(4)},
};
static const tdm__reject rejects_grad[] = {
    {"sums",
     &plain,
     4,
     {TDM__F32(4, 3), TDM__I32(4), TDM__F32(3, 4), SCALAR},
     TDM_ERR_SHAPE,
     "sums: must be f32[3,3], got f32[3,4]"},
    {"dloss",
     &plain,
     4,
     {TDM__F32(4, 3), TDM__I32(4), TDM__F32(3, 3), TDM__F32(4)},
     TDM_ERR_SHAPE,
     "dloss: must have 0 axes, got f32[4]"},
};

const tdm_op tdm__op_dice_loss_grad = {
    .name = "dice_loss_grad",
    .attr_size = sizeof(dice_loss_attrs),
    TDM__ATTRS(attrs),
    .min_in = GRAD_INPUTS,
    .max_in = GRAD_INPUTS,
    .n_out = 1,
    .infer = infer_grad,
    .reference = reference_grad,
    TDM__TABLES(variants_grad, samples_grad, rejects_grad),
    TDM__BENCH(bench_grad),
};

tdm_value tdm_dice_loss(tdm_graph *g, tdm_value p, tdm_value labels, int ignore_index, float smooth)
{
    const dice_loss_attrs a = {ignore_index, smooth};
    return tdm__op_append(g, &tdm__op_dice_loss, (tdm_value[]){p, labels}, 2, &a);
}
