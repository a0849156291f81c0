/* ops/metric_accuracy.c: counts rows whose label is among the k largest of x, and rows that count
 * at all. Equal values rank in order of class, so that k = 1 is the first maximum, as PyTorch's
 * argmax; a NaN at the label is wrong. With one class x > 0 is compared with labels 0 and 1. */
#include "ops/loss.h"

#include <math.h>
#include <stddef.h>

#include <tandem/ops.h>

typedef struct metric_accuracy_attrs {
    int32_t topk, ignore_index;
} metric_accuracy_attrs;

static const tdm__attr attrs[] = {
    {"topk", 'i', offsetof(metric_accuracy_attrs, topk), 1},
    {"ignore_index", 'i', offsetof(metric_accuracy_attrs, ignore_index), 1}};

enum { COUNTS = 2 };

static tdm_status infer(const tdm__io *io, tdm_desc *out)
{
    const metric_accuracy_attrs *a = io->attrs;
    tdm_status status = TDM_OK;
    int64_t classes;
    TDM_TRY(tdm__expect_metric_rows(io, &classes));
    TDM_TRY(tdm__expect_sums(io, 2, COUNTS));
    if (a->topk < 1 || a->topk > classes)
        TDM_TRY(tdm__fail(TDM_ERR_SHAPE, "topk: must be 1 to %lld classes, got %d",
                          (long long)classes, (int)a->topk));
    out[0] = io->in[2];
done:
    return status;
}

static bool correct(const double *x, uint64_t width, int64_t label, int topk)
{
    if (width == 1) return (x[0] > 0) == label;
    int before = 0;
    for (int64_t c = 0; c < (int64_t)width; c++)
        before += x[c] > x[label] || (c < label && x[c] == x[label]);
    return !isnan(x[label]) && before < topk;
}

static void reference(const tdm__ref *ref)
{
    const metric_accuracy_attrs *a = ref->io->attrs;
    uint64_t rows, width;
    tdm__rows(&ref->io->in[0], &rows, &width);
    for (uint64_t r = 0; r < rows; r++) {
        int64_t label =
            tdm__metric_label(ref, (int64_t)r, width == 1 ? 2 : (int64_t)width, a->ignore_index);
        if (label < 0) continue;
        ref->out[0][0] += correct(ref->in[0] + r * width, width, label, a->topk);
        ref->out[0][2]++;
    }
}

static uint64_t workspace(const tdm__traits *traits, const tdm__io *io)
{
    (void)traits, (void)io;
    return COUNTS * sizeof(uint32_t);
}

static tdm_status prepare(tdm__build *b)
{
    const tdm__io *io = tdm__build_io(b);
    const metric_accuracy_attrs *a = io->attrs;
    int64_t width = io->in[0].dim[io->in[0].rank - 1];
    tdm__kernel *k = tdm__emit_counts(b, "metric_accuracy", COUNTS);
    tdm__arg_i32(k, width == 1 ? 2 : width);
    tdm__arg_i32(k, a->topk);
    tdm__arg_i32(k, a->ignore_index);
    tdm__arg_i32(k, io->in[1].dtype == TDM_F32);
    tdm__emit_counts_add(b, COUNTS);
    return TDM_OK;
}

static const tdm__variant variants[] = {
    {"rows", TDM__ON_ANY, .workspace = workspace, .prepare = prepare}};

static const metric_accuracy_attrs top1 = {1, -1}, top5 = {5, 3}, top0 = {0, -1};
static const tdm__sample samples[] = {
    {"batch",
     &top1,
     3,
     {TDM__F32(64, 10), TDM__I32(64), TDM__F32(2, 2)},
     .fill = {0, TDM__FILL_LABEL, TDM__FILL_INDEX},
     {0, 10, 90}},
    {"ties",
     &top1,
     3,
     {TDM__F32(17, 4), TDM__I32(17), TDM__F32(2, 2)},
     .fill = {TDM__FILL_TIES, TDM__FILL_LABEL, TDM__FILL_ZERO},
     {0, 4}},
    {"top 5",
     &top5,
     3,
     {TDM__F32(33, 20), TDM__I32(33), TDM__F32(2, 2)},
     .fill = {TDM__FILL_TIES, TDM__FILL_LABEL, TDM__FILL_ZERO},
     {0, 20}},
    {"pixels",
     &top1,
     3,
     {TDM__F32(2, 29, 31, 13), TDM__I32(2, 29, 31), TDM__F32(2, 2)},
     .fill = {0, TDM__FILL_LABEL, TDM__FILL_ZERO},
     {0, 13}},
    {"1623 classes",
     &top5,
     3,
     {TDM__F32(19, 1623), TDM__I32(19), TDM__F32(2, 2)},
     .fill = {0, TDM__FILL_LABEL, TDM__FILL_ZERO},
     {0, 1623}},
    {"binary",
     &top1,
     3,
     {TDM__F32(15, 1), TDM__F32(15, 1), TDM__F32(2, 2)},
     .fill = {0, TDM__FILL_MASK, TDM__FILL_ZERO}},
};
static const tdm__reject rejects[] = {
    {"topk",
     &top0,
     3,
     {TDM__F32(4, 3), TDM__I32(4), TDM__F32(2, 2)},
     TDM_ERR_SHAPE,
     "topk: must be 1 to 3 classes, got 0"},
    {"labels",
     &top1,
     3,
     {TDM__F32(4, 3), TDM__I32(3), TDM__F32(2, 2)},
     TDM_ERR_SHAPE,
     "labels: must be i32[4], one per row, got i32[3]"},
    {"accumulator",
     &top1,
     3,
     {TDM__F32(4, 3), TDM__I32(4), TDM__F32(3, 2)},
     TDM_ERR_SHAPE,
     "accumulator: must be f32[2,2], got f32[3,2]"},
};

const tdm_op tdm__op_metric_accuracy = {
    .name = "metric_accuracy",
    .attr_size = sizeof(metric_accuracy_attrs),
    TDM__ATTRS(attrs),
    .min_in = 3,
    .max_in = 3,
    .n_out = 1,
    .update = {3},
    .infer = infer,
    .reference = reference,
    TDM__TABLES(variants, samples, rejects),
};

tdm_value tdm_metric_accuracy(tdm_graph *g, tdm_value logits, tdm_value labels, int topk,
                              int ignore_index, tdm_value acc)
{
    metric_accuracy_attrs a = {topk, ignore_index};
    return tdm__op_append(g, &tdm__op_metric_accuracy, (tdm_value[]){logits, labels, acc}, 3, &a);
}
