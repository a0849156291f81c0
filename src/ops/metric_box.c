/* ops/metric_box.c: sums over boxes (xmin, ymin, xmax, ymax) whose target holds no NaN:
 *   intersection over union, |e| over the four coordinates, count of boxes, count of IoU >= 1/2.
 * A side of negative length is a side of length 0; two empty boxes have an IoU of 0. */
#include "ops/loss.h"

#include <math.h>

#include <tandem/ops.h>

enum { IN_X, IN_TARGET, IN_ACC };
enum { SUMS = 4 };

static tdm_status infer(const tdm__io *io, tdm_desc *out)
{
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__expect(io, IN_X, "x", TDM_F32, 2));
    if (io->in[IN_X].dim[1] != 4) {
        char text[96];
        TDM_TRY(tdm__fail(TDM_ERR_SHAPE, "x: must be boxes, f32[n,4], got %s",
                          tdm_desc_text(&io->in[IN_X], text, sizeof text)));
    }
    TDM_TRY(tdm__expect_same(io, IN_TARGET, "target", IN_X, "x"));
    TDM_TRY(tdm__expect_sums(io, IN_ACC, SUMS));
    out[0] = io->in[IN_ACC];
done:
    return status;
}

static double area(const double *box)
{
    return fmax(box[2] - box[0], 0) * fmax(box[3] - box[1], 0);
}

static void reference(const tdm__ref *ref)
{
    double *acc = ref->out[0];
    for (int64_t i = 0; i < ref->io->in[IN_X].dim[0]; i++) {
        const double *p = ref->in[IN_X] + 4 * i, *t = ref->in[IN_TARGET] + 4 * i;
        if (isnan(t[0]) || isnan(t[1]) || isnan(t[2]) || isnan(t[3])) continue;
        const double inside = area(
            (double[]){fmax(p[0], t[0]), fmax(p[1], t[1]), fmin(p[2], t[2]), fmin(p[3], t[3])});
        const double whole = area(p) + area(t) - inside;
        const double iou = whole > 0 ? inside / whole : 0;
        acc[0] += iou;
        for (int k = 0; k < 4; k++) acc[2] += fabs(p[k] - t[k]);
        acc[4]++;
        acc[6] += iou >= 0.5;
    }
}

static tdm_status prepare(tdm__build *b)
{
    const int64_t boxes = tdm__build_io(b)->in[IN_X].dim[0];
    tdm__kernel *k = tdm__emit(b, "metric.cl", "metric_box", "");
    tdm__arg_in(k, IN_X);
    tdm__arg_in(k, IN_TARGET);
    tdm__arg_out(k, 0);
    tdm__arg_i32(k, boxes);
    tdm__range_1(k, 1, 1);
    tdm__cost(k, 24 * (double)boxes, 32 * (double)boxes);
    return TDM_OK;
}

static const tdm__variant variants[] = {{"boxes", TDM__ON_ANY, .prepare = prepare}};

static const tdm__sample samples[] = {
    {"any order",
     NULL,
     3,
     {TDM__F32(9, 4), TDM__F32(9, 4), TDM__F32(4, 2)},
     .fill = {TDM__FILL_NORMAL, TDM__FILL_NORMAL, TDM__FILL_INDEX},
     {0, 0, 9}},
    {"spread",
     NULL,
     3,
     {TDM__F32(31, 4), TDM__F32(31, 4), TDM__F32(4, 2)},
     .fill = {TDM__FILL_SPACED, TDM__FILL_SPACED, TDM__FILL_ZERO}},
    {"one", NULL, 3, {TDM__F32(1, 4), TDM__F32(1, 4), TDM__F32(4, 2)}, .fill = {0}},
};
static const tdm__reject rejects[] = {
    {"boxes",
     NULL,
     3,
     {TDM__F32(4, 5), TDM__F32(4, 5), TDM__F32(4, 2)},
     TDM_ERR_SHAPE,
     "x: must be boxes, f32[n,4], got f32[4,5]"},
    {"accumulator",
     NULL,
     3,
     {TDM__F32(4, 4), TDM__F32(4, 4), TDM__F32(3, 2)},
     TDM_ERR_SHAPE,
     "accumulator: must be f32[4,2], got f32[3,2]"},
};

const tdm_op tdm__op_metric_box = {
    .name = "metric_box",
    .min_in = 3,
    .max_in = 3,
    .n_out = 1,
    .update = {1 + IN_ACC},
    .infer = infer,
    .reference = reference,
    TDM__TABLES(variants, samples, rejects),
};

tdm_value tdm_metric_box(tdm_graph *g, tdm_value pred, tdm_value target, tdm_value acc)
{
    return tdm__op_append(g, &tdm__op_metric_box, (tdm_value[]){pred, target, acc}, 3, NULL);
}
