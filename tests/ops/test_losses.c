/* Losses and metrics where the table's samples do not reach: PyTorch's numbers, labels out of
 * range, NaN, nothing valid, extreme logits, exact counting. In both kernel styles. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <tandem/ops.h>

#include "graph/plan.h"
#include "support/support.h"

#include "../ref/loss_golden.h"

/* A graph whose inputs are set from host arrays. */
enum { MAX_VALUES = 32 };
typedef struct rig {
    tdm_device *device;
    tdm_graph *graph;
    tdm__plan *plan;
    tdm__buffer step, buffers[MAX_VALUES];
    tdm_value inputs[MAX_VALUES];
    int n;
} rig;

static const tdm_kernel_style styles[] = {TDM_STYLE_CPU, TDM_STYLE_GPU};

static void rig_step(rig *t, uint32_t step)
{
    const tdm__step scalars = {.step = {step, 0}};
    support_ok(tdm__view_write(t->device, (tdm__view){&t->step, 0}, &scalars, sizeof scalars));
}

static void rig_open(rig *t, int style)
{
    memset(t, 0, sizeof *t);
    support_ok(tdm_device_open(&(tdm_device_spec){.style = styles[style]}, &t->device));
    support_ok(tdm_graph_create(&t->graph));
    support_ok(tdm__buffer_create(t->device, sizeof(tdm__step), true, "step", &t->step));
    rig_step(t, 0);
}

static void rig_close(rig *t)
{
    tdm__plan_destroy(&t->plan);
    tdm_graph_destroy(&t->graph);
    tdm__buffer_destroy(t->device, &t->step);
    for (int i = 0; i < t->n; i++) tdm__buffer_destroy(t->device, &t->buffers[i]);
    tdm_device_destroy(&t->device);
}

/* A differentiable variable with these 4-byte elements. */
static tdm_value rig_add(rig *t, tdm_desc desc, const void *elements)
{
    uint64_t bytes = (uint64_t)tdm_desc_count(&desc) * 4;
    tdm_value v = tdm_graph_variable(t->graph, "v", desc, desc.dtype == TDM_F32);
    ck_assert_int_lt(t->n, MAX_VALUES);
    support_ok(tdm__buffer_create(t->device, bytes, false, "test", &t->buffers[t->n]));
    tdm__view view = {&t->buffers[t->n], 0};
    support_ok(tdm__view_write(t->device, view, elements, bytes));
    tdm__graph_place(t->graph, v, view);
    t->inputs[t->n++] = v;
    return v;
}

static tdm_value rig_scalar(rig *t, float v)
{
    return rig_add(t, tdm_desc_scalar(), &v);
}

static tdm_value rig_gradient(rig *t, tdm_value loss, tdm_value x)
{
    tdm_value dx;
    support_ok(tdm_graph_status(t->graph));
    support_ok(tdm_graph_gradients(t->graph, loss, TDM_NO_VALUE, &x, 1, &dx));
    tdm_graph_keep(t->graph, dx);
    tdm_graph_keep(t->graph, loss);
    return dx;
}

static void rig_run(rig *t)
{
    tdm__plan_spec spec = {.device = t->device, .step = {&t->step, 0}, .guard = true};
    support_ok(tdm_graph_status(t->graph));
    if (!t->plan) support_ok(tdm__plan_create(t->graph, &spec, &t->plan));
    support_ok(tdm__plan_run(t->plan));
    support_ok(tdm__plan_check_guards(t->plan));
}

static void rig_read(rig *t, tdm_value v, float *out)
{
    uint64_t n = (uint64_t)tdm_desc_count(tdm_graph_desc(t->graph, v));
    support_ok(tdm__view_read(t->device, tdm__plan_view(t->plan, v), out, n * sizeof *out));
}

static float rig_read_scalar(rig *t, tdm_value v)
{
    float out;
    rig_read(t, v, &out);
    return out;
}

/* ---- PyTorch's numbers ------------------------------------------------------------------------
 */

enum { R = GOLDEN_ROWS, C = GOLDEN_CLASSES };

typedef struct golden_inputs {
    float x[R * C], t[R * C], p[R * C], w[C]; /* p: targets of bce */
    int32_t labels[R];
} golden_inputs;

static golden_inputs golden_make(void)
{
    golden_inputs in;
    for (int r = 0; r < R; r++) {
        in.labels[r] = r % 5 == 4 ? -1 : 3 * r % C;
        for (int c = 0; c < C; c++) {
            double t = cos(0.4 * r + 0.9 * c);
            in.x[r * C + c] = (float)(3 * sin(1 + 0.7 * r + 1.3 * c));
            in.t[r * C + c] = (float)t;
            in.p[r * C + c] = (float)((t + 1) / 2);
        }
    }
    for (int c = 0; c < C; c++) in.w[c] = 0.5f + 0.3f * (float)c;
    return in;
}

static void golden_check(rig *t, tdm_value loss, tdm_value x, const golden_loss *want)
{
    float dx[R * C];
    tdm_value grad = rig_gradient(t, loss, x);
    rig_run(t);
    ck_assert_double_eq_tol(rig_read_scalar(t, loss), want->loss, 1e-6 * fabs(want->loss));
    rig_read(t, grad, dx);
    for (int i = 0; i < R * C; i++) ck_assert_double_eq_tol(dx[i], want->dx[i], 1e-7);
    rig_close(t);
}

START_TEST(golden_labels)
{
    static const struct {
        const golden_loss *want;
        float smoothing;
        bool weighted;
    } cases[] = {{&golden_cross_entropy, 0, false},
                 {&golden_cross_entropy_weighted, 0, true},
                 {&golden_cross_entropy_smooth, 0.1f, false},
                 {&golden_cross_entropy_both, 0.25f, true},
                 {&golden_nll, 0, true}};
    golden_inputs in = golden_make();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tdm_cross_entropy_attrs a = {-1, cases[i].smoothing};
        rig t;
        rig_open(&t, _i);
        tdm_value x = rig_add(&t, tdm_desc_2(TDM_F32, R, C), in.x), w = TDM_NO_VALUE, loss;
        tdm_value labels = rig_add(&t, tdm_desc_1(TDM_I32, R), in.labels);
        if (cases[i].weighted) w = rig_add(&t, tdm_desc_1(TDM_F32, C), in.w);
        if (cases[i].want == &golden_nll)
            loss = tdm_nll(t.graph, tdm_log_softmax(t.graph, x), labels, w, &a);
        else
            loss = tdm_cross_entropy(t.graph, x, labels, w, &a);
        golden_check(&t, loss, x, cases[i].want);
    }
}
END_TEST

START_TEST(golden_points)
{
    golden_inputs in = golden_make();
    const golden_loss *want[] = {&golden_l1, &golden_l2, &golden_huber, &golden_bce,
                                 &golden_bce_weighted};
    for (int i = 0; i < 5; i++) {
        const tdm_value none = TDM_NO_VALUE;
        rig t;
        rig_open(&t, _i);
        tdm_value x = rig_add(&t, tdm_desc_2(TDM_F32, R, C), in.x), loss = none;
        tdm_value target = rig_add(&t, tdm_desc_2(TDM_F32, R, C), i < 3 ? in.t : in.p);
        if (i == 0) loss = tdm_l1_loss(t.graph, x, target, none);
        if (i == 1) loss = tdm_l2_loss(t.graph, x, target, none);
        if (i == 2) loss = tdm_huber_loss(t.graph, x, target, none, 0.75f);
        if (i == 3) loss = tdm_bce_with_logits(t.graph, x, target, none, 1);
        if (i == 4) loss = tdm_bce_with_logits(t.graph, x, target, none, 2.5f);
        golden_check(&t, loss, x, want[i]);
    }
}
END_TEST

/* ---- labels that are not classes ---------------------------------------------------------------
 */

/* rows x classes logits; `bad` in the middle of otherwise good labels. */
static void bad_label(int style, int64_t rows, int64_t classes, int32_t bad, bool weighted)
{
    float *x = calloc((size_t)(rows * classes), sizeof *x), *w = calloc((size_t)classes, sizeof *w);
    int32_t *labels = calloc((size_t)rows, sizeof *labels);
    labels[rows / 2] = bad;
    for (int64_t c = 0; c < classes - 1; c++) w[c] = 1; /* the last class has weight 0 */
    rig t;
    rig_open(&t, style);
    tdm_value vx = rig_add(&t, tdm_desc_2(TDM_F32, rows, classes), x);
    tdm_value vl = rig_add(&t, tdm_desc_1(TDM_I32, rows), labels);
    tdm_value vw = weighted ? rig_add(&t, tdm_desc_1(TDM_F32, classes), w) : TDM_NO_VALUE;
    tdm_value loss = tdm_cross_entropy(t.graph, vx, vl, vw, &(tdm_cross_entropy_attrs){-1, 0.1f});
    tdm_value dx = rig_gradient(&t, loss, vx);
    rig_run(&t);
    bool nan_row = bad >= classes;
    ck_assert_int_eq(!isfinite(rig_read_scalar(&t, loss)), nan_row);
    rig_read(&t, dx, x);
    for (int64_t c = 0; c < classes; c++) {
        ck_assert_int_eq(isnan(x[rows / 2 * classes + c]), nan_row);
        if (!nan_row && bad < 0) ck_assert_float_eq(x[rows / 2 * classes + c], 0);
    }
    rig_close(&t);
    free(x);
    free(w);
    free(labels);
}

START_TEST(labels_out_of_range)
{
    const int32_t bad[] = {10, 11, INT32_MAX, -1, -7, INT32_MIN, 9};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        bad_label(_i, 19, 10, bad[i], false);
        bad_label(_i, 1, 10, bad[i], true);
    }
    bad_label(_i, 3, 100, 100, true);
    bad_label(_i, 3, 100, INT32_MAX, false);
    bad_label(_i, 3, 100, INT32_MIN, false);
}
END_TEST

/* ---- NaN, infinities, nothing valid -------------------------------------------------------------
 */

/* Rows that do not count contribute nothing, whatever their logits. */
START_TEST(ignored_rows)
{
    enum { ROWS = 5, CLASSES = 3 };
    float x[ROWS * CLASSES];
    int32_t labels[ROWS] = {1, 255, -1, 255, -1};
    for (int all = 0; all < 2; all++) {
        if (all) labels[0] = -1;
        for (int i = 0; i < ROWS * CLASSES; i++) x[i] = i < CLASSES ? (float)i : NAN;
        rig t;
        rig_open(&t, _i);
        tdm_value vx = rig_add(&t, tdm_desc_2(TDM_F32, ROWS, CLASSES), x);
        tdm_value vl = rig_add(&t, tdm_desc_1(TDM_I32, ROWS), labels);
        tdm_cross_entropy_attrs a = {255, 0.2f};
        tdm_value loss = tdm_cross_entropy(t.graph, vx, vl, TDM_NO_VALUE, &a);
        tdm_value dx = rig_gradient(&t, loss, vx);
        rig_run(&t);
        if (all)
            ck_assert_float_eq(rig_read_scalar(&t, loss), 0);
        else
            ck_assert(rig_read_scalar(&t, loss) > 0);
        rig_read(&t, dx, x);
        for (int i = all ? 0 : CLASSES; i < ROWS * CLASSES; i++) ck_assert_float_eq(x[i], 0);
        ck_assert_int_eq(x[0] != 0, !all);
        rig_close(&t);
    }
}
END_TEST

static tdm_value point_loss(tdm_graph *g, int kind, tdm_value x, tdm_value target, tdm_value mask)
{
    if (kind == 0) return tdm_l1_loss(g, x, target, mask);
    if (kind == 1) return tdm_l2_loss(g, x, target, mask);
    if (kind == 2) return tdm_huber_loss(g, x, target, mask, 1);
    return tdm_bce_with_logits(g, x, target, mask, 1);
}

/* Element 0 is good; 1 is masked out; 2 has a NaN target; 3 is x = bad. With bad finite the loss is
 * the mean of the two good ones, else it shows. */
START_TEST(invalid_elements)
{
    const float masks[] = {1, 0, 1, 1}, bads[] = {0.5f, NAN, INFINITY, -INFINITY};
    for (int kind = 0; kind < 4; kind++) {
        for (int i = 0; i < 4; i++) {
            float x[] = {0.5f, NAN, 2, bads[i]}, target[] = {1, 1, NAN, 1}, dx[4];
            rig t;
            rig_open(&t, _i);
            tdm_value vx = rig_add(&t, tdm_desc_1(TDM_F32, 4), x);
            tdm_value vt = rig_add(&t, tdm_desc_1(TDM_F32, 4), target);
            tdm_value vm = rig_add(&t, tdm_desc_1(TDM_F32, 4), masks);
            tdm_value loss = point_loss(t.graph, kind, vx, vt, vm);
            tdm_value vdx = rig_gradient(&t, loss, vx);
            rig_run(&t);
            rig_read(&t, vdx, dx);
            ck_assert_float_eq(dx[1], 0);
            ck_assert_float_eq(dx[2], 0);
            ck_assert(isfinite(dx[0]));
            if (i == 0) {
                ck_assert_float_eq(dx[0], dx[3]);
                double want[] = {0.5, 0.25, 0.125, log1p(exp(-0.5))};
                ck_assert_double_eq_tol(rig_read_scalar(&t, loss), want[kind], 1e-6);
            } else if (kind != 3 || i != 2) { /* bce of +inf against 1 may be 0 */
                ck_assert(!isfinite(rig_read_scalar(&t, loss)));
            }
            if (i == 1) ck_assert(isnan(dx[3]));
            rig_close(&t);
        }
    }
}
END_TEST

/* Perfect, useless and unlabelled answers; a label that is no class shows. */
START_TEST(dice_by_hand)
{
    enum { ROWS = 4 };
    const float perfect[] = {1, 0, 0, 1, 1, 0, 0, 1}, useless[] = {0, 1, 1, 0, 0, 1, 1, 0};
    const int32_t labels[][ROWS] = {{0, 1, 0, 1}, {0, 1, 0, 1}, {-1, -1, -1, -1}, {0, 1, 2, 1}};
    const float *answers[] = {perfect, useless, useless, perfect};
    /* the useless one: I = 0, P = Y = 2 and smooth = 1 for both classes */
    const double want[] = {0, 1 - 1.0 / 5, 0, NAN};
    for (int i = 0; i < 4; i++) {
        float dp[2 * ROWS];
        rig t;
        rig_open(&t, _i);
        tdm_value p = rig_add(&t, tdm_desc_2(TDM_F32, ROWS, 2), answers[i]);
        tdm_value y = rig_add(&t, tdm_desc_1(TDM_I32, ROWS), labels[i]);
        tdm_value loss = tdm_dice_loss(t.graph, p, y, -1, 1);
        tdm_value grad = rig_gradient(&t, loss, p);
        rig_run(&t);
        const double got = rig_read_scalar(&t, loss);
        rig_read(&t, grad, dp);
        if (i == 3) {
            ck_assert(isnan(got) && isnan(dp[4]));
        } else {
            ck_assert_double_eq_tol(got, want[i], 1e-6);
            for (int k = 0; k < 2 * ROWS; k++) ck_assert(i == 2 ? dp[k] == 0 : dp[k] != 0);
        }
        rig_close(&t);
    }
}
END_TEST

START_TEST(extreme_logits)
{
    float x[] = {1e4f, -1e4f, 0, -3e38f, 3e38f, 0}, dx[6];
    const int32_t labels[] = {1, 1};
    rig t;
    rig_open(&t, _i);
    tdm_value vx = rig_add(&t, tdm_desc_2(TDM_F32, 2, 3), x);
    tdm_value vl = rig_add(&t, tdm_desc_1(TDM_I32, 2), labels);
    tdm_value loss =
        tdm_cross_entropy(t.graph, vx, vl, TDM_NO_VALUE, &(tdm_cross_entropy_attrs){-1, 0});
    tdm_value vdx = rig_gradient(&t, loss, vx);
    rig_run(&t);
    ck_assert_double_eq_tol(rig_read_scalar(&t, loss), 1e4, 1e-2);
    rig_read(&t, vdx, dx);
    const float want[] = {0.5f, -0.5f, 0, 0, 0, 0};
    for (int i = 0; i < 6; i++) ck_assert_double_eq_tol(dx[i], want[i], 1e-6);
    rig_close(&t);

    float z[] = {100, -100, 100, -100};
    const float target[] = {1, 0, 0, 1};
    rig_open(&t, _i);
    vx = rig_add(&t, tdm_desc_1(TDM_F32, 4), z);
    loss = tdm_bce_with_logits(t.graph, vx, rig_add(&t, tdm_desc_1(TDM_F32, 4), target),
                               TDM_NO_VALUE, 1);
    vdx = rig_gradient(&t, loss, vx);
    rig_run(&t);
    ck_assert_double_eq_tol(rig_read_scalar(&t, loss), 50, 1e-4);
    rig_read(&t, vdx, dx);
    const float slope[] = {0, 0, 0.25f, -0.25f};
    for (int i = 0; i < 4; i++) ck_assert_double_eq_tol(dx[i], slope[i], 1e-7);
    rig_close(&t);
}
END_TEST

/* ---- combining losses ---------------------------------------------------------------------------
 */

/* The golden values of Kendall et al.'s forms: s = -0.5, L = 2. */
START_TEST(uncertainty)
{
    static const struct {
        tdm_likelihood likelihood;
        bool positive;
        double value, ds, dloss;
    } want[] = {{TDM_LIKELIHOOD_GAUSSIAN, false, 1.398721, -1.148721, 0.824361},
                {TDM_LIKELIHOOD_CLASSIFICATION, false, 3.047443, -2.797443, 1.648721},
                {TDM_LIKELIHOOD_LAPLACE, false, 2.318051, -0.784025, 1.284025},
                {TDM_LIKELIHOOD_UNIFORM, false, 1.398721, -1.148721, 0.824361},
                {TDM_LIKELIHOOD_UNIFORM, true, 2.122798, -1.271180, 0.824361}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        rig t;
        rig_open(&t, _i);
        tdm_value in[] = {rig_scalar(&t, 2), rig_scalar(&t, -0.5f)}, grads[2];
        tdm_value out = tdm_uncertainty(t.graph, in[0], in[1], TDM_NO_VALUE, want[i].likelihood,
                                        want[i].positive);
        support_ok(tdm_graph_gradients(t.graph, out, TDM_NO_VALUE, in, 2, grads));
        tdm_graph_keep(t.graph, out);
        for (int k = 0; k < 2; k++) tdm_graph_keep(t.graph, grads[k]);
        rig_run(&t);
        ck_assert_double_eq_tol(rig_read_scalar(&t, out), want[i].value, 1e-6);
        ck_assert_double_eq_tol(rig_read_scalar(&t, grads[0]), want[i].dloss, 1e-6);
        ck_assert_double_eq_tol(rig_read_scalar(&t, grads[1]), want[i].ds, 1e-6);
        rig_close(&t);
    }
}
END_TEST

/* More terms than one node takes: every weight reaches its loss, forward and backward. */
START_TEST(many_terms)
{
    enum { N = 20 };
    tdm_value losses[N], grads[N];
    float weights[N];
    double want = 0;
    rig t;
    rig_open(&t, _i);
    for (int i = 0; i < N; i++) {
        losses[i] = rig_scalar(&t, (float)(i + 1));
        weights[i] = 0.25f * (float)(i - 7);
        want += weights[i] * (i + 1);
    }
    tdm_value sum = tdm_weighted_sum(t.graph, losses, weights, N);
    support_ok(tdm_graph_gradients(t.graph, sum, TDM_NO_VALUE, losses, N, grads));
    tdm_graph_keep(t.graph, sum);
    for (int i = 0; i < N; i++) tdm_graph_keep(t.graph, grads[i]);
    rig_run(&t);
    ck_assert_double_eq_tol(rig_read_scalar(&t, sum), want, 1e-4);
    for (int i = 0; i < N; i++) ck_assert_float_eq(rig_read_scalar(&t, grads[i]), weights[i]);
    rig_close(&t);
    rig_open(&t, _i);
    ck_assert_int_eq(tdm_weighted_sum(t.graph, losses, weights, 0), TDM_NO_VALUE);
    support_fails(tdm_graph_status(t.graph), TDM_ERR_SHAPE, "needs at least one loss, got 0");
    rig_close(&t);
}
END_TEST

/* ---- metrics ------------------------------------------------------------------------------------
 */

/* Counts stay exact where a single float would stop counting (2^24). */
START_TEST(exact_counts)
{
    const float start[] = {16777216, 0, 16777216, 0, 0, 0}, logits[] = {1, 0, 0, 1};
    const int32_t labels[] = {0, 0};
    float acc[6];
    rig t;
    rig_open(&t, _i);
    tdm_value a = rig_add(&t, tdm_desc_2(TDM_F32, 3, 2), start);
    tdm_value b = rig_add(&t, tdm_desc_2(TDM_F32, 2, 2), start);
    tdm_value x = rig_add(&t, tdm_desc_2(TDM_F32, 2, 2), logits);
    tdm_value vl = rig_add(&t, tdm_desc_1(TDM_I32, 2), labels);
    tdm_value mean = tdm_metric_mean(t.graph, rig_scalar(&t, 3), 1, TDM_NO_VALUE, a);
    tdm_value accuracy = tdm_metric_accuracy(t.graph, x, vl, 1, -1, b);
    tdm_graph_keep(t.graph, mean);
    tdm_graph_keep(t.graph, accuracy);
    for (int i = 0; i < 100; i++) rig_run(&t);
    rig_read(&t, mean, acc);
    ck_assert_double_eq((double)acc[0] + (double)acc[1], 16777216 + 300);
    ck_assert_double_eq((double)acc[2] + (double)acc[3], 16777216 + 100);
    rig_read(&t, accuracy, acc);
    ck_assert_double_eq((double)acc[0] + (double)acc[1], 16777216 + 100);
    ck_assert_double_eq((double)acc[2] + (double)acc[3], 16777216 + 200);
    rig_close(&t);
}
END_TEST

/* The step of the first sum that is not finite stays, whatever follows. */
START_TEST(first_step_that_is_not_finite)
{
    const float values[] = {3, -4, INFINITY, -INFINITY, 5}, zeros[6] = {0};
    float acc[6];
    rig t;
    rig_open(&t, _i);
    const tdm_value a = rig_add(&t, tdm_desc_2(TDM_F32, 3, 2), zeros);
    const tdm_value v = rig_add(&t, tdm_desc_scalar(), values);
    const tdm_value mean = tdm_metric_mean(t.graph, v, 2, TDM_NO_VALUE, a);
    tdm_graph_keep(t.graph, mean);
    for (int i = 0; i < 5; i++) {
        support_ok(tdm__view_write(t.device, (tdm__view){&t.buffers[1], 0}, &values[i], 4));
        rig_step(&t, (uint32_t)(70000 + i));
        rig_run(&t);
        rig_read(&t, mean, acc);
        ck_assert_double_eq((double)acc[4] + (double)acc[5], i < 2 ? 0 : 70003);
        if (i == 1) ck_assert(acc[0] == -2 && acc[2] == 4);
    }
    rig_close(&t);
}
END_TEST

/* Labels outside of the classes are not counted, and never used as an index. */
START_TEST(metric_labels)
{
    const float x[] = {1, 0, 0, 1, 1, 0, 0, 1, 5, 2}, zeros[8] = {0};
    const int32_t labels[] = {0, 2, INT32_MAX, -1, 1};
    float acc[4], table[8];
    rig t;
    rig_open(&t, _i);
    tdm_value vx = rig_add(&t, tdm_desc_2(TDM_F32, 5, 2), x);
    tdm_value vl = rig_add(&t, tdm_desc_1(TDM_I32, 5), labels);
    tdm_value va = rig_add(&t, tdm_desc_2(TDM_F32, 2, 2), zeros);
    tdm_value vc = rig_add(&t, tdm_desc_3(TDM_F32, 2, 2, 2), zeros);
    tdm_value accuracy = tdm_metric_accuracy(t.graph, vx, vl, 1, -1, va);
    tdm_value confusion = tdm_metric_confusion(t.graph, vx, vl, -1, vc);
    tdm_graph_keep(t.graph, accuracy);
    tdm_graph_keep(t.graph, confusion);
    rig_run(&t);
    rig_read(&t, accuracy, acc);
    ck_assert_float_eq(acc[0], 1);
    ck_assert_float_eq(acc[2], 2);
    rig_read(&t, confusion, table);
    const float want[] = {1, 0, 0, 0, 1, 0, 0, 0};
    for (int i = 0; i < 8; i++) ck_assert_float_eq(table[i], want[i]);
    rig_close(&t);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("losses");
    TCase *c = tcase_create("both styles");
    tcase_add_loop_test(c, golden_labels, 0, 2);
    tcase_add_loop_test(c, golden_points, 0, 2);
    tcase_add_loop_test(c, labels_out_of_range, 0, 2);
    tcase_add_loop_test(c, ignored_rows, 0, 2);
    tcase_add_loop_test(c, invalid_elements, 0, 2);
    tcase_add_loop_test(c, dice_by_hand, 0, 2);
    tcase_add_loop_test(c, extreme_logits, 0, 2);
    tcase_add_loop_test(c, uncertainty, 0, 2);
    tcase_add_loop_test(c, many_terms, 0, 2);
    tcase_add_loop_test(c, exact_counts, 0, 2);
    tcase_add_loop_test(c, first_step_that_is_not_finite, 0, 2);
    tcase_add_loop_test(c, metric_labels, 0, 2);
    suite_add_tcase(suite, c);
    return support_run(suite);
}
