/* ops/metric_confusion.c: adds to acc[label][prediction]; the prediction is the first maximum along
 * the last axis, or x > 0 with one class (labels 0 and 1, a 2 x 2 table). Rows are counted by
 * integer atomics, whose order does not matter. */
#include "ops/loss.h"

#include <math.h>
#include <stddef.h>

#include <tandem/ops.h>

typedef struct metric_confusion_attrs {
    int32_t ignore_index;
} metric_confusion_attrs;

static const tdm__attr attrs[] = {
    {"ignore_index", 'i', offsetof(metric_confusion_attrs, ignore_index), 1}};

enum { MOST_CLASSES = 32767 }; /* their square is an int in the kernel */

static tdm_status infer(const tdm__io *io, tdm_desc *out)
{
    tdm_status status = TDM_OK;
    int64_t classes;
    TDM_TRY(tdm__expect_metric_rows(io, &classes));
    if (classes > MOST_CLASSES)
        TDM_TRY(tdm__fail(TDM_ERR_SHAPE, "x: must have at most %d classes, got %lld", MOST_CLASSES,
                          (long long)classes));
    out[0] = tdm_desc_3(TDM_F32, classes, classes, 2);
    TDM_TRY(tdm__expect_desc(io, 2, "accumulator", out[0]));
done:
    return status;
}

static uint64_t class_count(const tdm__io *io)
{
    return (uint64_t)io->in[2].dim[0];
}

static void reference(const tdm__ref *ref)
{
    const metric_confusion_attrs *a = ref->io->attrs;
    uint64_t rows, width, classes = class_count(ref->io);
    tdm__rows(&ref->io->in[0], &rows, &width);
    for (uint64_t r = 0; r < rows; r++) {
        const double *x = ref->in[0] + r * width;
        int64_t label = tdm__metric_label(ref, (int64_t)r, (int64_t)classes, a->ignore_index);
        if (label < 0) continue;
        uint64_t best = 0;
        for (uint64_t c = 1; c < width; c++)
            if (x[c] > x[best] || isnan(x[best])) best = c;
        if (width == 1) best = x[0] > 0;
        ref->out[0][2 * ((uint64_t)label * classes + best)]++;
    }
}

static uint64_t workspace(const tdm__traits *traits, const tdm__io *io)
{
    (void)traits;
    return class_count(io) * class_count(io) * sizeof(uint32_t);
}

static tdm_status prepare(tdm__build *b)
{
    const tdm__io *io = tdm__build_io(b);
    const metric_confusion_attrs *a = io->attrs;
    uint64_t classes = class_count(io);
    tdm__kernel *k = tdm__emit_counts(b, "metric_confusion", classes * classes);
    tdm__arg_i32(k, (int64_t)classes);
    tdm__arg_i32(k, a->ignore_index);
    tdm__arg_i32(k, io->in[1].dtype == TDM_F32);
    tdm__emit_counts_add(b, classes * classes);
    return TDM_OK;
}

static const tdm__variant variants[] = {
    {"rows", TDM__ON_ANY, .workspace = workspace, .prepare = prepare}};

static const metric_confusion_attrs ignore_none = {-1}, ignore_2 = {2};
static const tdm__sample samples[] = {
    {"batch",
     &ignore_none,
     3,
     {TDM__F32(64, 10), TDM__I32(64), TDM__F32(10, 10, 2)},
     .fill = {0, TDM__FILL_LABEL, TDM__FILL_INDEX},
     {0, 10, 50}},
    {"ties",
     &ignore_2,
     3,
     {TDM__F32(65, 4), TDM__I32(65), TDM__F32(4, 4, 2)},
     .fill = {TDM__FILL_TIES, TDM__FILL_LABEL, TDM__FILL_ZERO},
     {0, 4}},
    {"pixels",
     &ignore_none,
     3,
     {TDM__F32(2, 29, 31, 13), TDM__I32(2, 29, 31), TDM__F32(13, 13, 2)},
     .fill = {0, TDM__FILL_LABEL, TDM__FILL_ZERO},
     {0, 13}},
    {"33 classes",
     &ignore_none,
     3,
     {TDM__F32(70, 33), TDM__I32(70), TDM__F32(33, 33, 2)},
     .fill = {0, TDM__FILL_LABEL, TDM__FILL_ZERO},
     {0, 33}},
    {"binary pixels",
     &ignore_none,
     3,
     {TDM__F32(2, 9, 7, 1), TDM__F32(2, 9, 7, 1), TDM__F32(2, 2, 2)},
     .fill = {0, TDM__FILL_MASK, TDM__FILL_ZERO}},
};
static const tdm__reject rejects[] = {
    {"classes",
     &ignore_none,
     3,
     {TDM__F32(4, 32768), TDM__I32(4), TDM__F32(32768, 32768, 2)},
     TDM_ERR_SHAPE,
     "x: must have at most 32767 classes, got 32768"},
    {"labels",
     &ignore_none,
     3,
     {TDM__F32(4, 3), TDM__U8(4), TDM__F32(3, 3, 2)},
     TDM_ERR_SHAPE,
     "labels: must be i32[4], one per row, got u8[4]"},
    {"accumulator",
     &ignore_none,
     3,
     {TDM__F32(4, 3), TDM__I32(4), TDM__F32(3, 3)},
     TDM_ERR_SHAPE,
     "accumulator: must be f32[3,3,2], got f32[3,3]"},
};

const tdm_op tdm__op_metric_confusion = {
    .name = "metric_confusion",
    .attr_size = sizeof(metric_confusion_attrs),
    TDM__ATTRS(attrs),
    .min_in = 3,
    .max_in = 3,
    .n_out = 1,
    .update = {3},
    .infer = infer,
    .reference = reference,
    TDM__TABLES(variants, samples, rejects),
};

tdm_value tdm_metric_confusion(tdm_graph *g, tdm_value logits, tdm_value labels, int ignore_index,
                               tdm_value acc)
{
    metric_confusion_attrs a = {ignore_index};
    return tdm__op_append(g, &tdm__op_metric_confusion, (tdm_value[]){logits, labels, acc}, 3, &a);
}
