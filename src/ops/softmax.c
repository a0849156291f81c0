/* ops/softmax.c: softmax and log-softmax along the last axis, as one operation with a flag.
 *   y = exp(x - m) / s,   log y = x - m - log s,   m = max x,  s = sum exp(x - m)
 * Backward from the result: dx = y (dy - sum dy y) and dx = dy - exp(y) sum dy. */
#include "ops/loss.h"

#include <math.h>
#include <stddef.h>

#include <tandem/ops.h>

typedef struct softmax_attrs {
    bool log;
} softmax_attrs;

static const tdm__attr attrs[] = {{"log", 'b', offsetof(softmax_attrs, log), 1}};

static tdm_status check_x(const tdm__io *io)
{
    tdm_status status = tdm__expect(io, 0, "x", TDM_F32, -1);
    if (status == TDM_OK && io->in[0].rank == 0)
        status = tdm__fail(TDM_ERR_SHAPE, "x: must have at least one axis");
    return status;
}

static tdm_status emit(tdm__build *b, const char *kernel, double passes)
{
    const tdm__io *io = tdm__build_io(b);
    const softmax_attrs *a = io->attrs;
    tdm__row_split split = tdm__row_split_of(&io->in[0]);
    tdm__kernel *k = tdm__emit_operands(b, "loss.cl", kernel);
    tdm__arg_row_split(b, k, &split);
    tdm__arg_i32(k, a->log);
    double n = (double)tdm_desc_count(&io->in[0]);
    tdm__cost(k, 4 * n, passes * 4 * n);
    return TDM_OK;
}

/* ---- forward --------------------------------------------------------------------------------- */

static tdm_status infer(const tdm__io *io, tdm_desc *out)
{
    tdm_status status = TDM_OK;
    TDM_TRY(check_x(io));
    out[0] = io->in[0];
done:
    return status;
}

static tdm_status gradient(tdm_graph *g, const tdm__node_view *node, const tdm_value *dout,
                           const bool *need, tdm_value *din)
{
    if (need[0])
        din[0] = tdm__graph_node(g, &tdm__op_softmax_grad, (tdm_value[]){node->out[0], dout[0]}, 2,
                                 node->io->attrs);
    return TDM_OK;
}

static void reference(const tdm__ref *ref)
{
    const softmax_attrs *a = ref->io->attrs;
    uint64_t rows, classes;
    tdm__rows(&ref->io->in[0], &rows, &classes);
    for (uint64_t r = 0; r < rows; r++) {
        const double *x = ref->in[0] + r * classes;
        double *y = ref->out[0] + r * classes, m = x[0], s = 0;
        for (uint64_t c = 1; c < classes; c++) m = fmax(m, x[c]);
        for (uint64_t c = 0; c < classes; c++) s += exp(x[c] - m);
        for (uint64_t c = 0; c < classes; c++)
            y[c] = a->log ? x[c] - m - log(s) : exp(x[c] - m) / s;
    }
}

static tdm_status prepare(tdm__build *b)
{
    bool wide = tdm__row_split_of(&tdm__build_io(b)->in[0]).wide;
    return emit(b, wide ? "softmax_fwd_wide" : "softmax_fwd_rows", 2);
}

static const tdm__variant variants[] = {{"rows", TDM__ON_ANY, .prepare = prepare}};

static const softmax_attrs plain = {false}, logarithm = {true};
static const tdm__sample samples[] = {
    {"one class", &plain, 1, {TDM__F32(5, 1)}},
    {"15 rows", &plain, 1, {TDM__F32(15, 10)}},
    {"16 rows", &logarithm, 1, {TDM__F32(16, 10)}},
    {"17 rows", &logarithm, 1, {TDM__F32(17, 10)}},
    {"pixels", &logarithm, 1, {TDM__F32(2, 5, 7, 13)}},
    {"two teams", &plain, 1, {TDM__F32(2411, 7)}},
    {"64 classes", &logarithm, 1, {TDM__F32(9, 64)}},
    {"65 classes", &plain, 1, {TDM__F32(9, 65)}},
    {"wide prime", &logarithm, 1, {TDM__F32(19, 1013)}},
    {"vector", &plain, 1, {TDM__F32(6)}},
};
static const tdm__reject rejects[] = {
    {"type", &plain, 1, {TDM__I32(2, 2)}, TDM_ERR_SHAPE, "x: must be f32, got i32[2,2]"},
    {"scalar", &plain, 1, {TDM__SCALAR}, TDM_ERR_SHAPE, "x: must have at least one axis"},
};

const tdm_op tdm__op_softmax = {
    .name = "softmax",
    .attr_size = sizeof(softmax_attrs),
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
    TDM__TABLES(variants, samples, rejects),
};

/* ---- backward: y, dy -> dx ------------------------------------------------------------------- */

static tdm_status infer_grad(const tdm__io *io, tdm_desc *out)
{
    tdm_status status = TDM_OK;
    TDM_TRY(check_x(io));
    TDM_TRY(tdm__expect_same(io, 1, "dy", 0, "y"));
    out[0] = io->in[0];
done:
    return status;
}

static void reference_grad(const tdm__ref *ref)
{
    const softmax_attrs *a = ref->io->attrs;
    uint64_t rows, classes;
    tdm__rows(&ref->io->in[0], &rows, &classes);
    for (uint64_t r = 0; r < rows; r++) {
        const double *y = ref->in[0] + r * classes, *dy = ref->in[1] + r * classes;
        double *dx = ref->out[0] + r * classes, s = 0;
        for (uint64_t c = 0; c < classes; c++) s += a->log ? dy[c] : dy[c] * y[c];
        for (uint64_t c = 0; c < classes; c++)
            dx[c] = a->log ? dy[c] - exp(y[c]) * s : y[c] * (dy[c] - s);
    }
}

static tdm_status prepare_grad(tdm__build *b)
{
    bool wide = tdm__row_split_of(&tdm__build_io(b)->in[0]).wide;
    return emit(b, wide ? "softmax_bwd_wide" : "softmax_bwd_rows", 3);
}

static const tdm__variant variants_grad[] = {{"rows", TDM__ON_ANY, .prepare = prepare_grad}};

static const tdm__sample samples_grad[] = {
    {"17 rows", &plain, 2, {TDM__F32(17, 10), TDM__F32(17, 10)}},
    {"pixels", &logarithm, 2, {TDM__F32(2, 5, 7, 13), TDM__F32(2, 5, 7, 13)}},
    {"65 classes", &plain, 2, {TDM__F32(9, 65), TDM__F32(9, 65)}},
    {"wide prime", &logarithm, 2, {TDM__F32(19, 1013), TDM__F32(19, 1013)}},
};
static const tdm__reject rejects_grad[] = {
    {"shape",
     &plain,
     2,
     {TDM__F32(2, 3), TDM__F32(3, 2)},
     TDM_ERR_SHAPE,
     "dy: must be f32[2,3] like y, got f32[3,2]"},
};

const tdm_op tdm__op_softmax_grad = {
    .name = "softmax_grad",
    .attr_size = sizeof(softmax_attrs),
    TDM__ATTRS(attrs),
    .min_in = 2,
    .max_in = 2,
    .n_out = 1,
    .inplace = {2},
    .infer = infer_grad,
    .reference = reference_grad,
    TDM__TABLES(variants_grad, samples_grad, rejects_grad),
};

/* ---- builders -------------------------------------------------------------------------------- */

tdm_value tdm_softmax(tdm_graph *g, tdm_value x)
{
    return tdm__op_append(g, &tdm__op_softmax, &x, 1, &plain);
}

tdm_value tdm_log_softmax(tdm_graph *g, tdm_value x)
{
    return tdm__op_append(g, &tdm__op_softmax, &x, 1, &logarithm);
}
