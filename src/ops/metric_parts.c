/* ops/metric_parts.c: how well a classifier tells the classes of each part apart, where classes are
 * divided into parts (fine classes into coarse ones): for every part the rows whose label is of it,
 * and those of them whose label is the largest of x among the classes of that part; the others do
 * not compete. Equal values rank in order of class; a NaN at the label is wrong. A label of no part
 * (negative, or not below the number of parts) does not count. */
#include "ops/loss.h"

#include <math.h>
#include <stddef.h>

#include <tandem/ops.h>

typedef struct metric_parts_attrs {
    int32_t ignore_index;
} metric_parts_attrs;

static const tdm__attr attrs[] = {
    {"ignore_index", 'i', offsetof(metric_parts_attrs, ignore_index), 1}};

enum { LOGITS, LABELS, PART_OF, SUMS };

static int64_t parts_of(const tdm__io *io)
{
    return io->in[SUMS].dim[0] / 2;
}

static tdm_status infer(const tdm__io *io, tdm_desc *out)
{
    tdm_status status = TDM_OK;
    int64_t classes;
    TDM_TRY(tdm__expect_metric_rows(io, &classes));
    TDM_TRY(tdm__expect(io, PART_OF, "part_of", TDM_I32, 1));
    if (io->in[PART_OF].dim[0] != io->in[LOGITS].dim[io->in[LOGITS].rank - 1])
        TDM_TRY(tdm__fail(TDM_ERR_SHAPE, "part_of: must be one per class"));
    TDM_TRY(tdm__expect(io, SUMS, "accumulator", TDM_F32, 2));
    TDM_TRY(tdm__expect_sums(io, SUMS, 2 * parts_of(io)));
    out[0] = io->in[SUMS];
done:
    return status;
}

static void reference(const tdm__ref *ref)
{
    const metric_parts_attrs *a = ref->io->attrs;
    const double *part_of = ref->in[PART_OF];
    const int64_t parts = parts_of(ref->io);
    uint64_t rows, width;
    tdm__rows(&ref->io->in[LOGITS], &rows, &width);
    for (uint64_t r = 0; r < rows; r++) {
        const double *x = ref->in[LOGITS] + r * width;
        int64_t label = tdm__metric_label(ref, (int64_t)r, (int64_t)width, a->ignore_index);
        if (label < 0 || part_of[label] < 0 || part_of[label] >= (double)parts) continue;
        bool first = !isnan(x[label]);
        for (int64_t c = 0; c < (int64_t)width; c++)
            if (part_of[c] == part_of[label] &&
                (x[c] > x[label] || (c < label && x[c] == x[label])))
                first = false;
        double *sums = ref->out[0] + (int64_t)part_of[label] * 4;
        sums[0] += first;
        sums[2]++;
    }
}

static uint64_t workspace(const tdm__traits *traits, const tdm__io *io)
{
    (void)traits;
    return 2 * (uint64_t)parts_of(io) * sizeof(uint32_t);
}

static tdm_status prepare(tdm__build *b)
{
    const tdm__io *io = tdm__build_io(b);
    const metric_parts_attrs *a = io->attrs;
    const uint64_t counts = 2 * (uint64_t)parts_of(io);
    tdm__kernel *k = tdm__emit_counts(b, "metric_parts", counts);
    tdm__arg_in(k, PART_OF);
    tdm__arg_i32(k, parts_of(io));
    tdm__arg_i32(k, a->ignore_index);
    tdm__arg_i32(k, io->in[LABELS].dtype == TDM_F32);
    tdm__emit_counts_add(b, counts);
    return TDM_OK;
}

static const tdm__variant variants[] = {
    {"rows", TDM__ON_ANY, .workspace = workspace, .prepare = prepare}};

static const metric_parts_attrs plain = {-1}, ignore3 = {3};
static const tdm__sample samples[] = {
    {"fine and coarse",
     &plain,
     4,
     {TDM__F32(64, 20), TDM__I32(64), TDM__I32(20), TDM__F32(8, 2)},
     .fill = {0, TDM__FILL_LABEL, TDM__FILL_INDEX, TDM__FILL_INDEX},
     {0, 20, 4, 90}},
    {"ties",
     &ignore3,
     4,
     {TDM__F32(17, 6), TDM__I32(17), TDM__I32(6), TDM__F32(4, 2)},
     .fill = {TDM__FILL_TIES, TDM__FILL_LABEL, TDM__FILL_INDEX, TDM__FILL_ZERO},
     {0, 6, 2}},
    {"classes of no part",
     &plain,
     4,
     {TDM__F32(33, 10), TDM__I32(33), TDM__I32(10), TDM__F32(6, 2)},
     .fill = {0, TDM__FILL_LABEL, TDM__FILL_LABEL, TDM__FILL_ZERO},
     {0, 10, 5}},
    {"1623 classes",
     &plain,
     4,
     {TDM__F32(19, 1623), TDM__I32(19), TDM__I32(1623), TDM__F32(100, 2)},
     .fill = {0, TDM__FILL_LABEL, TDM__FILL_INDEX, TDM__FILL_ZERO},
     {0, 1623, 50}},
};
static const tdm__reject rejects[] = {
    {"part_of",
     &plain,
     4,
     {TDM__F32(4, 3), TDM__I32(4), TDM__I32(4), TDM__F32(4, 2)},
     TDM_ERR_SHAPE,
     "part_of: must be one per class"},
    {"accumulator",
     &plain,
     4,
     {TDM__F32(4, 3), TDM__I32(4), TDM__I32(3), TDM__F32(3, 2)},
     TDM_ERR_SHAPE,
     "accumulator: must be f32[2,2], got f32[3,2]"},
};

const tdm_op tdm__op_metric_parts = {
    .name = "metric_parts",
    .attr_size = sizeof(metric_parts_attrs),
    TDM__ATTRS(attrs),
    .min_in = 4,
    .max_in = 4,
    .n_out = 1,
    .update = {1 + SUMS},
    .infer = infer,
    .reference = reference,
    TDM__TABLES(variants, samples, rejects),
};

tdm_value tdm_metric_parts(tdm_graph *g, tdm_value logits, tdm_value labels, tdm_value part_of,
                           int ignore_index, tdm_value acc)
{
    metric_parts_attrs a = {ignore_index};
    return tdm__op_append(g, &tdm__op_metric_parts, (tdm_value[]){logits, labels, part_of, acc}, 4,
                          &a);
}
