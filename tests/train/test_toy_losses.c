/* Methods that weigh losses, and GradDrop on the device, on the toy problem. The weights are those
 * that the library computes: by the host's formulas or, of the rules in the graph, by their
 * reference in double. Losses are taken above -21, since logarithms and means of them need positive
 * ones. FAMO's picture has it on the front from everywhere (with that bound and no decay of its
 * logits); of the others no paper shows the ends, these are as found. Scale invariance, uncertainty
 * weighting and IMTL-L, whose learnt scales follow 1/L, end alike, where the product of the losses
 * is least.
 */
#include "support/toy.h"

#include <math.h>
#include <string.h>

#include <tandem/ops.h>

#include "ops/registry.h"
#include "support/support.h"
#include "task/gradients.h"
#include "task/linear.h"
#include "task/weights.h"

enum { STEPS = 50000, EPOCH = 100 /* steps */ };
static const double bound = -21; /* below every loss */

typedef struct weigher {
    void (*weigh)(struct weigher *w, uint64_t t);
    int rule;                 /* tdm_weight_rule, where the step's losses decide */
    double above[2], norm[2]; /* losses above the bound; norms of the gradients */
    double weight[2];
    double given[2][2];                   /* logits; what else a rule is told */
    double before[2], mean[2], square[2]; /* the last losses, Adam of what is learnt */
    double epoch[2], last[2], older[2];   /* sums and means of losses over epochs */
    double average[2];                    /* of the indicator */
} weigher;

static void set_attr(const tdm_op *op, char *attrs, const char *name, double value)
{
    for (int i = 0; i < op->n_attrs; i++) {
        if (strcmp(op->attrs[i].name, name) != 0) continue;
        const int32_t whole = (int32_t)value;
        const float real = (float)value;
        if (op->attrs[i].type == 'i') memcpy(attrs + op->attrs[i].offset, &whole, sizeof whole);
        if (op->attrs[i].type == 'f') memcpy(attrs + op->attrs[i].offset, &real, sizeof real);
        return;
    }
    ck_abort_msg("%s has no attribute %s", op->name, name);
}

/* The weights of n losses by a rule of the operation; given: 2 n numbers. */
static void weigh(int rule, const double *losses, const double *given, int n, double *weight)
{
    enum { MOST = 3 };
    const tdm_op *op = tdm__op_find("task_weights");
    char attrs[64] = {0};
    double in_losses[MOST], in_given[2 * MOST], totals[MOST] = {1, 1, 1}, sum[1] = {0};
    ck_assert(op && op->attr_size <= sizeof attrs && n <= MOST);
    memcpy(in_losses, losses, (size_t)n * sizeof *losses);
    memcpy(in_given, given, 2 * (size_t)n * sizeof *given);
    set_attr(op, attrs, "rule", rule);
    set_attr(op, attrs, "parameter", rule == TDM_WEIGHT_UW_SO ? 0.1 : 1);
    set_attr(op, attrs, "factor", 1);
    const tdm_desc in[] = {tdm_desc_1(TDM_F32, n), tdm_desc_1(TDM_F32, n),
                           tdm_desc_2(TDM_F32, 2, n)};
    const tdm_desc out[] = {tdm_desc_scalar(), tdm_desc_1(TDM_F32, n)};
    const tdm__io io = {.attrs = attrs, .n_in = 3, .n_out = 2, .in = in, .out = out};
    op->reference(&(tdm__ref){.io = &io,
                              .in = (double *[]){in_losses, totals, in_given},
                              .out = (double *[]){sum, weight}});
}

static void by_rule(weigher *w, uint64_t t)
{
    (void)t;
    weigh(w->rule, w->above, w->given[0], 2, w->weight);
}

/* The reference losses are those of the start. */
static void by_stch(weigher *w, uint64_t t)
{
    for (int i = 0; i < 2 && t == 1; i++) {
        w->given[0][i] = 1;
        w->given[1][i] = w->above[i];
    }
    by_rule(w, t);
}

static void by_famo(weigher *w, uint64_t t)
{
    double delta[2];
    if (t > 1) {
        tdm__weights_famo(w->given[0], w->before, w->above, 2, delta);
        for (int i = 0; i < 2; i++)
            tdm__weights_adam(&w->given[0][i], &w->mean[i], &w->square[i], delta[i], (double)t - 1,
                              0.025, 0);
    }
    memcpy(w->before, w->above, sizeof w->before);
    by_rule(w, t);
}

static void by_gradnorm(weigher *w, uint64_t t)
{
    double ratio[2];
    if (t == 1)
        for (int i = 0; i < 2; i++) {
            w->weight[i] = 1;
            w->last[i] = w->above[i];
        }
    for (int i = 0; i < 2; i++) ratio[i] = w->above[i] / w->last[i];
    tdm__weights_gradnorm(w->weight, w->norm, ratio, 2, 1.5, 0.002);
}

/* Means over epochs; true after the last step of one. */
static bool epoch_ends(weigher *w, uint64_t t)
{
    for (int i = 0; i < 2; i++) {
        w->epoch[i] += w->above[i] / EPOCH;
        if (t % EPOCH) continue;
        w->older[i] = w->last[i];
        w->last[i] = w->epoch[i];
        w->epoch[i] = 0;
    }
    return t % EPOCH == 0;
}

static void by_dwa(weigher *w, uint64_t t)
{
    if (t == 1) w->weight[0] = w->weight[1] = 1;
    if (epoch_ends(w, t) && t > EPOCH) tdm__weights_dwa(w->last, w->older, 2, 2, w->weight);
}

static void by_dtp(weigher *w, uint64_t t)
{
    double kpi[2];
    if (t == 1)
        for (int i = 0; i < 2; i++) {
            w->weight[i] = 1;
            w->average[i] = NAN;
        }
    if (!epoch_ends(w, t)) return;
    for (int i = 0; i < 2; i++) kpi[i] = tdm__kpi_of_error(w->last[i]);
    tdm__weights_dtp(w->average, kpi, 2, 0.9, 2, w->weight);
}

static void by_rlw(weigher *w, uint64_t t)
{
    tdm__weights_rlw(TDM__RLW_NORMAL, 3, t, 2, w->weight);
}

/* s = log sigma^2 of a classification: e^-s L + s/2, learnt with the parameters. */
static void by_uncertainty(weigher *w, uint64_t t)
{
    for (int i = 0; i < 2; i++) {
        w->weight[i] = exp(-w->given[0][i]);
        tdm__weights_adam(&w->given[0][i], &w->mean[i], &w->square[i],
                          0.5 - w->weight[i] * w->above[i], (double)t, 0.002, 0);
    }
}

/* e^s L - s. */
static void by_imtl_l(weigher *w, uint64_t t)
{
    for (int i = 0; i < 2; i++) {
        w->weight[i] = exp(w->given[0][i]);
        tdm__weights_adam(&w->given[0][i], &w->mean[i], &w->square[i],
                          w->weight[i] * w->above[i] - 1, (double)t, 0.002, 0);
    }
}

static const struct {
    const char *name;
    void (*weigh)(weigher *w, uint64_t t);
    int rule, on_front;
    double from, to; /* theta_1 of the ends on the front lies in between */
} cases[] = {
    {"famo", by_famo, TDM_WEIGHT_FAMO, 5, -7.1, 7.1},
    {"gls", by_rule, TDM_WEIGHT_GLS, 3, -7.1, 7.1},
    {"si", by_rule, TDM_WEIGHT_SI, 3, -7.1, 7.1},
    {"stch", by_stch, TDM_WEIGHT_STCH, 3, -7.1, 7.1},
    {"uw-so", by_rule, TDM_WEIGHT_UW_SO, 3, -7.1, 7.1},
    {"gradnorm", by_gradnorm, 0, 4, -7.1, 7.1},
    {"dwa", by_dwa, 0, 3, -1, 1},
    {"dtp", by_dtp, 0, 3, -1, 1},
    {"rlw", by_rlw, 0, 3, -1, 1},
    {"uncertainty", by_uncertainty, 0, 3, -7.1, 7.1},
    {"imtl-l", by_imtl_l, 0, 3, -7.1, 7.1},
};

static void begin(void *user)
{
    weigher *w = user;
    *w = (weigher){.weigh = w->weigh, .rule = w->rule};
}

static void follow(void *user, uint64_t t, const double loss[2], const double g[2][2],
                   double out[2])
{
    weigher *w = user;
    for (int i = 0; i < 2; i++) {
        w->above[i] = loss[i] - bound;
        w->norm[i] = sqrt(tdm__dot(g[i], g[i], 2));
    }
    w->weigh(w, t);
    for (int d = 0; d < 2; d++) out[d] = w->weight[0] * g[0][d] + w->weight[1] * g[1][d];
}

START_TEST(ends_from_five_starts)
{
    weigher w = {.weigh = cases[_i].weigh, .rule = cases[_i].rule};
    toy_check(cases[_i].name, follow, begin, &w, 0.002, STEPS, cases[_i].on_front, cases[_i].from,
              cases[_i].to);
}
END_TEST

/* ---- GradDrop ----------------------------------------------------------------------------------
 */

typedef struct dropper {
    tdm_device *device;
    tdm__flat *flat;
    tdm__gradients *gradients;
    tdm__buffer scalars;
} dropper;

static void drop(void *user, uint64_t t, const double loss[2], const double g[2][2], double out[2])
{
    dropper *d = user;
    const tdm__step step = {.seed = {7, 0}, .step = {(uint32_t)t, 0}};
    float got[2];
    (void)loss;
    for (size_t i = 0; i < 2; i++) {
        const float row[2] = {(float)g[i][0], (float)g[i][1]};
        support_ok(
            tdm__view_write(d->device, tdm__gradients_row(d->gradients, i, 0), row, sizeof row));
    }
    support_ok(tdm__view_write(d->device, (tdm__view){&d->scalars, 0}, &step, sizeof step));
    support_ok(tdm__gradients_combine(d->gradients, (tdm__view){&d->scalars, 0}, 7, t, NULL, NULL));
    support_ok(tdm__view_read(d->device, tdm__flat_gradient_view(d->flat, 0), got, sizeof got));
    for (int i = 0; i < 2; i++) out[i] = (double)got[i];
}

/* Larger steps, and fewer, than of the others: each goes to the device and back. */
START_TEST(graddrop_ends_from_five_starts)
{
    static const tdm__combine_spec spec = {.kind = TDM__COMBINE_GRADDROP, .sum = true};
    static const bool shared[] = {true};
    static const char *const names[] = {"1", "2"};
    const tdm_device_spec any = {0};
    char name[] = "theta";
    const tdm__segment theta = {
        .name = name, .disk = tdm_desc_1(TDM_F32, 2), .kind = TDM__SEGMENT_PARAM};
    size_t index;
    dropper d = {0};
    support_ok(tdm_device_open(&any, &d.device));
    support_ok(tdm__flat_create(d.device, &d.flat));
    support_ok(tdm__flat_declare(d.flat, &theta, &index));
    support_ok(tdm__flat_seal(d.flat, true));
    support_ok(
        tdm__gradients_create(d.device, d.flat, shared, &spec, names, 2, UINT64_MAX, &d.gradients));
    support_ok(tdm__buffer_create(d.device, sizeof(tdm__step), true, "step", &d.scalars));
    toy_check("graddrop", drop, NULL, &d, 0.01, 12000, 5, -1, 1);
    tdm__buffer_destroy(d.device, &d.scalars);
    tdm__gradients_destroy(&d.gradients);
    tdm__flat_destroy(&d.flat);
    tdm_device_destroy(&d.device);
}
END_TEST

/* FAMO's factors of three losses: (z_i / L_i) over their sum, z the softmax of the logits. */
START_TEST(famo_golden)
{
    static const double losses[] = {1.2, .5, .3}, given[] = {.1, -.2, .05, 0, 0, 0},
                        golden[] = {0.151909, 0.270089, 0.578002};
    double weight[3];
    weigh(TDM_WEIGHT_FAMO, losses, given, 3, weight);
    for (int i = 0; i < 3; i++) ck_assert_double_eq_tol(weight[i], golden[i], 1e-6);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("toy_losses");
    TCase *tc = tcase_create("toy");
    tcase_set_timeout(tc, 300);
    tcase_add_loop_test(tc, ends_from_five_starts, 0, sizeof cases / sizeof *cases);
    tcase_add_test(tc, famo_golden);
    tcase_add_test(tc, graddrop_ends_from_five_starts);
    suite_add_tcase(suite, tc);
    return support_run(suite);
}
