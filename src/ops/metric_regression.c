/* ops/metric_regression.c: sums over valid elements (mask not 0, target not NaN), e = x - y and
 * r = max(x/y, y/x) where y != 0 and x/y > 0:
 *   |e|, e^2, |e| / |y| where y != 0, count of y != 0, count of r < 1.25, count of valid elements,
 *   count of r < 1.25^2, count of r < 1.25^3. */
#include "ops/loss.h"

#include <math.h>

#include <tandem/ops.h>

enum { IN_X, IN_TARGET, IN_MASK, IN_ACC };
enum { SUMS = 8 };

static tdm_status infer(const tdm__io *io, tdm_desc *out)
{
    tdm_status status = TDM_OK;
    int64_t div;
    TDM_TRY(tdm__expect(io, IN_X, "x", TDM_F32, -1));
    TDM_TRY(tdm__expect_same(io, IN_TARGET, "target", IN_X, "x"));
    TDM_TRY(tdm__expect_mask(io, IN_MASK, IN_TARGET, &div));
    TDM_TRY(tdm__expect_sums(io, IN_ACC, SUMS));
    out[0] = io->in[IN_ACC];
done:
    return status;
}

static void reference(const tdm__ref *ref)
{
    int64_t n = tdm_desc_count(&ref->io->in[IN_X]);
    int64_t div = tdm__mask_div(ref->io, IN_MASK, IN_TARGET);
    double *acc = ref->out[0];
    for (int64_t i = 0; i < n; i++) {
        double x = ref->in[IN_X][i], y = ref->in[IN_TARGET][i], e = fabs(x - y);
        if (!tdm__mask_at(ref->in[IN_MASK], div, i) || isnan(y)) continue;
        acc[0] += e;
        acc[2] += e * e;
        acc[10]++;
        if (y == 0) continue;
        acc[4] += e / fabs(y);
        acc[6]++;
        if (!(x / y > 0)) continue;
        double ratio = fmax(x / y, y / x);
        acc[8] += ratio < 1.25;
        acc[12] += ratio < 1.5625;
        acc[14] += ratio < 1.953125;
    }
}

static uint64_t team_count(const tdm__io *io)
{
    return tdm__ceil_div((uint64_t)tdm_desc_count(&io->in[IN_X]), TDM__POINT_BLOCK);
}

static uint64_t workspace(const tdm__traits *traits, const tdm__io *io)
{
    (void)traits;
    return team_count(io) * SUMS * 2 * sizeof(float);
}

static tdm_status prepare(tdm__build *b)
{
    const tdm__io *io = tdm__build_io(b);
    uint64_t n = (uint64_t)tdm_desc_count(&io->in[IN_X]), teams = team_count(io);
    tdm__kernel *k = tdm__emit(b, "metric.cl", "metric_regression", "");
    for (int i = IN_X; i <= IN_MASK; i++) tdm__arg_in(k, i);
    tdm__arg_workspace(k, 0, sizeof(float));
    tdm__arg_u64(k, n);
    tdm__arg_i32(k, TDM__POINT_BLOCK);
    tdm__arg_i32(k, tdm__mask_div(io, IN_MASK, IN_TARGET));
    tdm__range_teams(b, k, teams);
    tdm__cost(k, 10 * (double)n, 8 * (double)n);
    k = tdm__emit(b, "metric.cl", "metric_add_partial", "");
    tdm__arg_workspace(k, 0, sizeof(float));
    tdm__arg_out(k, 0);
    tdm__arg_i32(k, (int64_t)teams);
    tdm__range_items(b, k, SUMS);
    return TDM_OK;
}

static const tdm__variant variants[] = {
    {"flat", TDM__ON_ANY, .workspace = workspace, .prepare = prepare}};

#define DEPTHS(mask)                                                                               \
    .fill = {TDM__FILL_POSITIVE, TDM__FILL_POSITIVE, mask, TDM__FILL_INDEX},                       \
    .fill_arg = {0, 0, 0, 9}
static const tdm__sample samples[] = {
    {"15", NULL, 4, {TDM__F32(15), TDM__F32(15), TDM__ABSENT, TDM__F32(8, 2)}, DEPTHS(0)},
    {"depth",
     NULL,
     4,
     {TDM__F32(2, 9, 7, 1), TDM__F32(2, 9, 7, 1), TDM__F32(2, 9, 7, 1), TDM__F32(8, 2)},
     DEPTHS(TDM__FILL_MASK)},
    {"sample mask",
     NULL,
     4,
     {TDM__F32(5, 37, 3), TDM__F32(5, 37, 3), TDM__F32(5), TDM__F32(8, 2)},
     DEPTHS(TDM__FILL_MASK)},
    {"two teams",
     NULL,
     4,
     {TDM__F32(1, 1399, 3), TDM__F32(1, 1399, 3), TDM__F32(1, 1399, 1), TDM__F32(8, 2)},
     DEPTHS(TDM__FILL_MASK)},
    {"zero targets, both signs",
     NULL,
     4,
     {TDM__F32(101), TDM__F32(101), TDM__ABSENT, TDM__F32(8, 2)},
     .fill = {TDM__FILL_NORMAL, TDM__FILL_TIES, 0, TDM__FILL_ZERO}},
    {"nothing valid",
     NULL,
     4,
     {TDM__F32(17), TDM__F32(17), TDM__F32(17), TDM__F32(8, 2)},
     .fill = {TDM__FILL_NORMAL, TDM__FILL_NORMAL, TDM__FILL_ZERO, TDM__FILL_ZERO}},
};
static const tdm__reject rejects[] = {
    {"target",
     NULL,
     4,
     {TDM__F32(4, 3), TDM__F32(4), TDM__ABSENT, TDM__F32(8, 2)},
     TDM_ERR_SHAPE,
     "target: must be f32[4,3] like x, got f32[4]"},
    {"mask",
     NULL,
     4,
     {TDM__F32(4, 3), TDM__F32(4, 3), TDM__F32(3), TDM__F32(8, 2)},
     TDM_ERR_SHAPE,
     "mask: must be f32[4,3], the same with a last axis of 1, or one per sample, got f32[3]"},
    {"accumulator",
     NULL,
     4,
     {TDM__F32(4, 3), TDM__F32(4, 3), TDM__ABSENT, TDM__F32(6)},
     TDM_ERR_SHAPE,
     "accumulator: must be f32[8,2], got f32[6]"},
};

const tdm_op tdm__op_metric_regression = {
    .name = "metric_regression",
    .min_in = 2,
    .max_in = 4,
    .n_out = 1,
    .update = {1 + IN_ACC},
    .infer = infer,
    .reference = reference,
    TDM__TABLES(variants, samples, rejects),
};

tdm_value tdm_metric_regression(tdm_graph *g, tdm_value pred, tdm_value target, tdm_value mask,
                                tdm_value acc)
{
    return tdm__op_append(g, &tdm__op_metric_regression, (tdm_value[]){pred, target, mask, acc}, 4,
                          NULL);
}
