/* ops/task_weights.c: the factors that the tasks' losses have in a step, from the losses of the
 * same step, and what they add up to. No gradient flows through the factors: each task's backward
 * pass begins with its own.
 *
 * losses (T); totals (T): what each loss was divided by, 0: the batch has nothing of this task,
 * whose factor is then 0, as if it were not there; given (2,T): numbers of the host, p and q below;
 * n tasks are there; m is the attribute `parameter`.
 *
 *   given: w = p; total sum w L.
 *
 *   GLS (Chennupati et al., CVPR-W 2019): total G = (prod L)^(1/n), w = G / (n L).
 *
 *   SI (scale-invariant): total sum log L, w = 1 / L.
 *
 *   STCH (Lin et al., ICML 2024): total m log sum exp(p log(L / q) / m) for reference losses q,
 *   w = p softmax(p log(L / q) / m) / L. While a q is not known (q <= 0): SI divided by n.
 *
 *   UW-SO (Kirchdorfer et al., GCPR 2024): w = softmax(1 / (m L)); total sum w L.
 *
 *   FAMO (Liu B. et al., NeurIPS 2023): z = softmax(p), q below every loss, w = c z / (L - q) with
 *   c such that their sum is 1; total sum z log(L - q).
 *
 * All times the attribute `factor`. */
#include "ops/common.h"

#include <math.h>
#include <stddef.h>

#include <tandem/ops.h>

typedef struct task_weights_attrs {
    int32_t rule; /* tdm_weight_rule */
    float parameter, factor;
} task_weights_attrs;

static const tdm__attr attrs[] = {
    {"rule", 'i', offsetof(task_weights_attrs, rule), 1},
    {"parameter", 'f', offsetof(task_weights_attrs, parameter), 1},
    {"factor", 'f', offsetof(task_weights_attrs, factor), 1},
};

enum { LOSSES, TOTALS, GIVEN, RULES = TDM_WEIGHT_FAMO + 1 };

static const float least = 1e-20f; /* below it a loss counts as this: its log is finite */

static tdm_status infer(const tdm__io *io, tdm_desc *out)
{
    const task_weights_attrs *a = io->attrs;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__expect(io, LOSSES, "losses", TDM_F32, 1));
    TDM_TRY(tdm__expect_same(io, TOTALS, "totals", LOSSES, "losses"));
    TDM_TRY(tdm__expect_desc(io, GIVEN, "given", tdm_desc_2(TDM_F32, 2, io->in[LOSSES].dim[0])));
    if (a->rule < 0 || a->rule >= RULES)
        TDM_TRY(tdm__fail(TDM_ERR_SHAPE, "rule: must be 0 to %d, got %d", RULES - 1, (int)a->rule));
    if (!(a->parameter > 0))
        TDM_TRY(
            tdm__fail(TDM_ERR_SHAPE, "parameter: must be above 0, got %g", (double)a->parameter));
    out[0] = tdm_desc_scalar();
    out[1] = io->in[LOSSES];
done:
    return status;
}

/* A task's loss as the rule needs it: above its bound. */
static double positive(const tdm__ref *ref, int64_t n, int64_t i)
{
    const task_weights_attrs *a = ref->io->attrs;
    const double bound = a->rule == TDM_WEIGHT_FAMO ? ref->in[GIVEN][n + i] : 0;
    return fmax(ref->in[LOSSES][i] - bound, (double)least);
}

static bool warms_up(const tdm__ref *ref, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (ref->in[TOTALS][i] != 0 && !(ref->in[GIVEN][n + i] > 0)) return true;
    return false;
}

/* The number whose softmax over the tasks a rule takes. */
static double logit(const tdm__ref *ref, int rule, int64_t n, int64_t i)
{
    const double m = ((const task_weights_attrs *)ref->io->attrs)->parameter;
    const double p = ref->in[GIVEN][i], l = positive(ref, n, i);
    if (rule == TDM_WEIGHT_STCH) return p * log(l / ref->in[GIVEN][n + i]) / m;
    return rule == TDM_WEIGHT_UW_SO ? 1 / (m * l) : p;
}

static void reference(const tdm__ref *ref)
{
    const task_weights_attrs *a = ref->io->attrs;
    const int64_t n = ref->io->in[LOSSES].dim[0];
    const int rule =
        a->rule == TDM_WEIGHT_STCH && warms_up(ref, n) ? (int)TDM_WEIGHT_SI : (int)a->rule;
    double *w = ref->out[1], there = 0, logs = 0, most = -INFINITY, sum = 0, total = 0, c = 0;
    for (int64_t i = 0; i < n; i++) {
        if (ref->in[TOTALS][i] == 0) continue;
        there++;
        logs += log(positive(ref, n, i));
        most = fmax(most, logit(ref, rule, n, i));
    }
    for (int64_t i = 0; i < n; i++)
        if (ref->in[TOTALS][i] != 0) sum += exp(logit(ref, rule, n, i) - most);
    for (int64_t i = 0; i < n; i++) {
        const double l = positive(ref, n, i), p = ref->in[GIVEN][i];
        const double z = exp(logit(ref, rule, n, i) - most) / sum;
        const double rules[RULES] = {
            [TDM_WEIGHT_GIVEN] = p,  [TDM_WEIGHT_GLS] = exp(logs / there) / (there * l),
            [TDM_WEIGHT_SI] = 1 / l, [TDM_WEIGHT_STCH] = p * z / l,
            [TDM_WEIGHT_UW_SO] = z,  [TDM_WEIGHT_FAMO] = z / l};
        w[i] = ref->in[TOTALS][i] == 0 ? 0 : rules[rule];
        c += w[i];
        total += rule == TDM_WEIGHT_FAMO ? w[i] * l * log(l) : w[i] * ref->in[LOSSES][i];
    }
    if (rule == TDM_WEIGHT_GLS) total = exp(logs / there);
    if (rule == TDM_WEIGHT_SI) total = logs;
    const double share = rule == (int)a->rule || there == 0 ? 1 : 1 / there; /* warming up */
    if (rule == TDM_WEIGHT_STCH) total = (double)a->parameter * (most + log(sum));
    for (int64_t i = 0; i < n; i++)
        w[i] *= share * (double)a->factor / (rule == TDM_WEIGHT_FAMO && c > 0 ? c : 1);
    ref->out[0][0] = there > 0 ? share * (double)a->factor * total : 0;
}

static tdm_status prepare(tdm__build *b)
{
    const tdm__io *io = tdm__build_io(b);
    const task_weights_attrs *a = io->attrs;
    tdm__kernel *k = tdm__emit_operands(b, "scalar.cl", "task_weights");
    tdm__arg_i32(k, io->in[LOSSES].dim[0]);
    tdm__arg_i32(k, a->rule);
    tdm__arg_f32(k, a->parameter);
    tdm__arg_f32(k, a->factor);
    tdm__range_1(k, 1, 1);
    return TDM_OK;
}

static const tdm__variant variants[] = {{"scalar", TDM__ON_ANY, .prepare = prepare}};

#define SAMPLE(name, attrs, n, given)                                                              \
    {                                                                                              \
        name, attrs, 3, {TDM__F32(n), TDM__F32(n), TDM__F32(2, n)}, .fill = {                      \
            TDM__FILL_POSITIVE,                                                                    \
            TDM__FILL_POSITIVE,                                                                    \
            given                                                                                  \
        }                                                                                          \
    }
static const task_weights_attrs linear = {TDM_WEIGHT_GIVEN, 1, 1}, gls = {TDM_WEIGHT_GLS, 1, 1},
                                si = {TDM_WEIGHT_SI, 1, 1}, stch = {TDM_WEIGHT_STCH, 0.5f, 3},
                                uw_so = {TDM_WEIGHT_UW_SO, 2, 3}, famo = {TDM_WEIGHT_FAMO, 1, 1},
                                no_rule = {RULES, 1, 1}, no_parameter = {TDM_WEIGHT_STCH, 0, 1};
static const tdm__sample samples[] = {
    SAMPLE("given", &linear, 3, TDM__FILL_POSITIVE),
    SAMPLE("gls", &gls, 3, TDM__FILL_POSITIVE),
    SAMPLE("si", &si, 3, TDM__FILL_POSITIVE),
    SAMPLE("stch", &stch, 3, TDM__FILL_POSITIVE),
    SAMPLE("stch warming up", &stch, 3, TDM__FILL_ZERO),
    SAMPLE("uw-so", &uw_so, 3, TDM__FILL_POSITIVE),
    SAMPLE("famo", &famo, 3, TDM__FILL_ZERO),
    SAMPLE("one task", &stch, 1, TDM__FILL_POSITIVE),
    SAMPLE("forty tasks", &stch, 40, TDM__FILL_POSITIVE),
    {"some are not there",
     &gls,
     3,
     {TDM__F32(7), TDM__F32(7), TDM__F32(2, 7)},
     .fill = {TDM__FILL_POSITIVE, TDM__FILL_MASK, TDM__FILL_POSITIVE}},
    {"none is there",
     &stch,
     3,
     {TDM__F32(2), TDM__F32(2), TDM__F32(2, 2)},
     .fill = {TDM__FILL_POSITIVE, TDM__FILL_ZERO, TDM__FILL_POSITIVE}},
    {"losses of zero",
     &gls,
     3,
     {TDM__F32(2), TDM__F32(2), TDM__F32(2, 2)},
     .fill = {TDM__FILL_ZERO, TDM__FILL_POSITIVE, TDM__FILL_POSITIVE}},
};
static const tdm__reject rejects[] = {
    {"losses",
     &gls,
     3,
     {TDM__SCALAR, TDM__F32(1), TDM__F32(2, 1)},
     TDM_ERR_SHAPE,
     "losses: must have 1 axes, got f32[]"},
    {"totals",
     &gls,
     3,
     {TDM__F32(2), TDM__F32(3), TDM__F32(2, 2)},
     TDM_ERR_SHAPE,
     "totals: must be f32[2] like losses, got f32[3]"},
    {"given",
     &gls,
     3,
     {TDM__F32(2), TDM__F32(2), TDM__F32(2)},
     TDM_ERR_SHAPE,
     "given: must be f32[2,2], got f32[2]"},
    {"rule",
     &no_rule,
     3,
     {TDM__F32(2), TDM__F32(2), TDM__F32(2, 2)},
     TDM_ERR_SHAPE,
     "rule: must be 0 to 5, got 6"},
    {"parameter",
     &no_parameter,
     3,
     {TDM__F32(2), TDM__F32(2), TDM__F32(2, 2)},
     TDM_ERR_SHAPE,
     "parameter: must be above 0, got 0"},
};

const tdm_op tdm__op_task_weights = {
    .name = "task_weights",
    .attr_size = sizeof(task_weights_attrs),
    TDM__ATTRS(attrs),
    .min_in = 3,
    .max_in = 3,
    .n_out = 2,
    .infer = infer,
    .reference = reference,
    TDM__TABLES(variants, samples, rejects),
};

tdm_value tdm_task_weights(tdm_graph *g, tdm_value losses, tdm_value totals, tdm_value given,
                           tdm_weight_rule rule, float parameter, float factor, tdm_value *weights)
{
    task_weights_attrs a = {(int32_t)rule, parameter, factor};
    const tdm_value total =
        tdm__op_append(g, &tdm__op_task_weights, (tdm_value[]){losses, totals, given}, 3, &a);
    *weights = total < 0 ? TDM_NO_VALUE : total + 1;
    return total;
}
