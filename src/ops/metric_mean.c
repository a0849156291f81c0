/* ops/metric_mean.c: adds (value * weight, weight) to an accumulator of two-float sums, unless the
 * value is the mean of nothing, and keeps the first step after which the sum was not finite. */
#include "ops/loss.h"

#include <math.h>
#include <stddef.h>

#include <tandem/ops.h>

enum { VALUE, ACC, TOTAL };

typedef struct metric_mean_attrs {
    float weight;
} metric_mean_attrs;

static const tdm__attr attrs[] = {{"weight", 'f', offsetof(metric_mean_attrs, weight), 1}};

static tdm_status infer(const tdm__io *io, tdm_desc *out)
{
    const metric_mean_attrs *a = io->attrs;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__expect(io, 0, "value", TDM_F32, 0));
    TDM_TRY(tdm__expect_sums(io, 1, 3));
    if (tdm__present(io, TOTAL)) TDM_TRY(tdm__expect(io, TOTAL, "total", TDM_F32, 0));
    if (!(a->weight >= 0 && isfinite(a->weight)))
        TDM_TRY(tdm__fail(TDM_ERR_SHAPE, "weight: must be at least 0, got %g", (double)a->weight));
    out[0] = io->in[1];
done:
    return status;
}

static void reference(const tdm__ref *ref)
{
    const metric_mean_attrs *a = ref->io->attrs;
    if (tdm__present(ref->io, TOTAL) && ref->in[TOTAL][0] == 0) return;
    ref->out[0][0] += ref->in[VALUE][0] * a->weight;
    ref->out[0][2] += a->weight;
    if (ref->out[0][4] == 0 && !isfinite(ref->out[0][0]))
        ref->out[0][4] = (double)ref->step->step[0] + 1;
}

static tdm_status prepare(tdm__build *b)
{
    const tdm__io *io = tdm__build_io(b);
    const metric_mean_attrs *a = io->attrs;
    const bool has_total = tdm__present(io, TOTAL);
    tdm__kernel *k = tdm__emit(b, "metric.cl", "metric_mean", "");
    tdm__arg_in(k, VALUE);
    tdm__arg_in(k, has_total ? TOTAL : VALUE); /* something must be bound */
    tdm__arg_out(k, 0);
    tdm__arg_f32(k, a->weight);
    tdm__arg_i32(k, has_total);
    tdm__arg_step(k);
    tdm__range_1(k, 1, 1);
    return TDM_OK;
}

static const tdm__variant variants[] = {{"scalar", TDM__ON_ANY, .prepare = prepare}};

static const metric_mean_attrs of_64 = {64}, negative = {-1};
static const tdm__sample samples[] = {
    {"batch of 64",
     &of_64,
     2,
     {TDM__SCALAR, TDM__F32(3, 2)},
     .fill = {0, TDM__FILL_INDEX},
     {0, 100}},
    {"of something",
     &of_64,
     3,
     {TDM__SCALAR, TDM__F32(3, 2), TDM__SCALAR},
     .fill = {0, TDM__FILL_INDEX},
     {0, 100}},
    {"of nothing",
     &of_64,
     3,
     {TDM__SCALAR, TDM__F32(3, 2), TDM__SCALAR},
     .fill = {0, TDM__FILL_INDEX, TDM__FILL_ZERO},
     {0, 100}},
};
static const tdm__reject rejects[] = {
    {"value",
     &of_64,
     2,
     {TDM__F32(3), TDM__F32(3, 2)},
     TDM_ERR_SHAPE,
     "value: must have 0 axes, got f32[3]"},
    {"accumulator",
     &of_64,
     2,
     {TDM__SCALAR, TDM__F32(4)},
     TDM_ERR_SHAPE,
     "accumulator: must be f32[3,2], got f32[4]"},
    {"total",
     &of_64,
     3,
     {TDM__SCALAR, TDM__F32(3, 2), TDM__F32(2)},
     TDM_ERR_SHAPE,
     "total: must have 0 axes, got f32[2]"},
    {"weight",
     &negative,
     2,
     {TDM__SCALAR, TDM__F32(3, 2)},
     TDM_ERR_SHAPE,
     "weight: must be at least 0, got -1"},
};

const tdm_op tdm__op_metric_mean = {
    .name = "metric_mean",
    .attr_size = sizeof(metric_mean_attrs),
    TDM__ATTRS(attrs),
    .min_in = 2,
    .max_in = 3,
    .n_out = 1,
    .update = {2},
    .infer = infer,
    .reference = reference,
    TDM__TABLES(variants, samples, rejects),
};

tdm_value tdm_metric_mean(tdm_graph *g, tdm_value value, float weight, tdm_value total,
                          tdm_value acc)
{
    metric_mean_attrs a = {weight};
    return tdm__op_append(g, &tdm__op_metric_mean, (tdm_value[]){value, acc, total}, 3, &a);
}
