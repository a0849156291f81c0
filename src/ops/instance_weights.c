/* ops/instance_weights.c: how much each sample of an auxiliary task should count in a batch (Du et
 * al., 2018): with a_n the auxiliary loss's gradient at sample n of a shared representation, and m
 * the targets' mean gradient there,
 *
 *   c_n = max(0, cos(a_n, m)),   w_n = c_n n' / sum c
 *
 * where n' is the number of samples with an auxiliary gradient that is not 0: their mean weight is
 * 1, or 0 when no sample helps (or there is no target gradient). Besides, the mean of c over these
 * n' samples, and the share of them with c = 0. Nothing is differentiated through it. */
#include "ops/common.h"

#include <math.h>

#include <tandem/ops.h>

enum { AUXILIARY, TARGET, BLOCK = 16384 /* elements of a sample that a team adds up */ };

static tdm_status infer(const tdm__io *io, tdm_desc *out)
{
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__expect(io, AUXILIARY, "auxiliary", TDM_F32, -1));
    if (io->in[AUXILIARY].rank < 1)
        TDM_TRY(tdm__fail(TDM_ERR_SHAPE, "auxiliary: must have at least one axis"));
    TDM_TRY(tdm__expect_same(io, TARGET, "target", AUXILIARY, "auxiliary"));
    out[0] = tdm_desc_2(TDM_F32, io->in[AUXILIARY].dim[0], 1);
    out[1] = out[2] = tdm_desc_scalar();
done:
    return status;
}

static uint64_t sample_count(const tdm__io *io)
{
    return (uint64_t)io->in[AUXILIARY].dim[0];
}

static uint64_t per_sample(const tdm__io *io)
{
    return (uint64_t)tdm_desc_count(&io->in[AUXILIARY]) / sample_count(io);
}

/* The sum of the targets' gradients at element i of a sample: the mean but for a factor. */
static double target_at(const tdm__ref *ref, uint64_t i)
{
    double sum = 0;
    for (uint64_t n = 0; n < sample_count(ref->io); n++)
        sum += ref->in[TARGET][n * per_sample(ref->io) + i];
    return sum;
}

static void reference(const tdm__ref *ref)
{
    const uint64_t n = sample_count(ref->io), m = per_sample(ref->io);
    double total = 0, some = 0, zeros = 0;
    for (uint64_t s = 0; s < n; s++) {
        double am = 0, aa = 0, mm = 0;
        for (uint64_t i = 0; i < m; i++) {
            const double a = ref->in[AUXILIARY][s * m + i], t = target_at(ref, i);
            am += a * t;
            aa += a * a;
            mm += t * t;
        }
        const double c = am > 0 ? am / sqrt(aa * mm) : 0;
        ref->out[0][s] = c;
        total += c;
        some += aa > 0;
        zeros += aa > 0 && c == 0;
    }
    for (uint64_t s = 0; s < n && total > 0; s++) ref->out[0][s] *= some / total;
    ref->out[1][0] = some > 0 ? total / some : 0;
    ref->out[2][0] = some > 0 ? zeros / some : 0;
}

/* The targets' sum; then [samples * blocks][3] partial products. */
static uint64_t sum_bytes(const tdm__traits *traits, const tdm__io *io)
{
    return tdm__ceil_div(per_sample(io) * sizeof(float), traits->align) * traits->align;
}

static uint64_t workspace(const tdm__traits *traits, const tdm__io *io)
{
    const uint64_t blocks = tdm__ceil_div(per_sample(io), BLOCK);
    return sum_bytes(traits, io) + sample_count(io) * blocks * 3 * sizeof(float);
}

static tdm_status prepare(tdm__build *b)
{
    const tdm__io *io = tdm__build_io(b);
    const tdm__traits *traits = tdm__build_traits(b);
    const uint64_t n = sample_count(io), m = per_sample(io), blocks = tdm__ceil_div(m, BLOCK);
    const double all = (double)(n * m);
    const bool cpu = tdm__build_is_cpu(b);
    tdm__kernel *k = tdm__emit(b, "instance_weights.cl", "instance_target", "");
    tdm__arg_in(k, TARGET);
    tdm__arg_workspace(k, 0, sizeof(float));
    tdm__arg_u64(k, n);
    tdm__arg_u64(k, m);
    tdm__range_items(b, k, tdm__ceil_div(m, cpu ? (uint64_t)traits->vector_width : 1));
    tdm__cost(k, all, 4 * all);
    k = tdm__emit(b, "instance_weights.cl", "instance_products", "");
    tdm__arg_in(k, AUXILIARY);
    tdm__arg_workspace(k, 0, sizeof(float));
    tdm__arg_workspace(k, sum_bytes(traits, io), sizeof(float));
    tdm__arg_u64(k, m);
    tdm__arg_i32(k, BLOCK);
    tdm__arg_i32(k, (int64_t)blocks);
    tdm__range_1(k, n * blocks, cpu ? 1 : traits->work_group);
    tdm__cost(k, 6 * all, 8 * all);
    k = tdm__emit(b, "instance_weights.cl", "instance_weights", "");
    tdm__arg_workspace(k, sum_bytes(traits, io), sizeof(float));
    for (int o = 0; o < 3; o++) tdm__arg_out(k, o);
    tdm__arg_u64(k, n);
    tdm__arg_i32(k, (int64_t)blocks);
    tdm__range_1(k, 1, 1);
    return TDM_OK;
}

static const tdm__variant variants[] = {
    {"blocks", TDM__ON_ANY, .workspace = workspace, .prepare = prepare}};

static const tdm__sample samples[] = {
    {"15", NULL, 2, {TDM__F32(5, 15), TDM__F32(5, 15)}},
    {"16", NULL, 2, {TDM__F32(7, 16), TDM__F32(7, 16)}},
    {"a map", NULL, 2, {TDM__F32(4, 3, 5, 7), TDM__F32(4, 3, 5, 7)}},
    {"one sample", NULL, 2, {TDM__F32(1, 33), TDM__F32(1, 33)}},
    {"three blocks", NULL, 2, {TDM__F32(3, 32779), TDM__F32(3, 32779)}},
    {"all agree",
     NULL,
     2,
     {TDM__F32(6, 11), TDM__F32(6, 11)},
     .fill = {TDM__FILL_POSITIVE, TDM__FILL_POSITIVE}},
    {"no target",
     NULL,
     2,
     {TDM__F32(6, 11), TDM__F32(6, 11)},
     .fill = {TDM__FILL_NORMAL, TDM__FILL_ZERO}},
    {"nothing auxiliary",
     NULL,
     2,
     {TDM__F32(6, 11), TDM__F32(6, 11)},
     .fill = {TDM__FILL_ZERO, TDM__FILL_NORMAL}},
    {"samples without",
     NULL,
     2,
     {TDM__F32(64, 1), TDM__F32(64, 1)},
     .fill = {TDM__FILL_TIES, TDM__FILL_POSITIVE}},
};
static const tdm__reject rejects[] = {
    {"shapes",
     NULL,
     2,
     {TDM__F32(2, 3), TDM__F32(3, 3)},
     TDM_ERR_SHAPE,
     "target: must be f32[2,3] like auxiliary, got f32[3,3]"},
    {"scalar",
     NULL,
     2,
     {TDM__SCALAR, TDM__SCALAR},
     TDM_ERR_SHAPE,
     "auxiliary: must have at least one axis"},
};

const tdm_op tdm__op_instance_weights = {
    .name = "instance_weights",
    .min_in = 2,
    .max_in = 2,
    .n_out = 3,
    .infer = infer,
    .reference = reference,
    TDM__TABLES(variants, samples, rejects),
};

tdm_value tdm_instance_weights(tdm_graph *g, tdm_value auxiliary, tdm_value target, tdm_value *mean,
                               tdm_value *zeros)
{
    const tdm_value w =
        tdm__op_append(g, &tdm__op_instance_weights, (tdm_value[]){auxiliary, target}, 2, NULL);
    *mean = w < 0 ? TDM_NO_VALUE : w + 1;
    *zeros = w < 0 ? TDM_NO_VALUE : w + 2;
    return w;
}
