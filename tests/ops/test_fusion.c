/* What the planner moves between operations: graphs run with and without it give the same numbers,
 * and it does move what it should. In both kernel styles. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <tandem/ops.h>

#include "base/mem.h"
#include "base/rng.h"
#include "graph/internal.h"
#include "support/op_case.h"
#include "support/support.h"

enum { KEPT = 12 };

/* A graph on an open device, and what is compared of it. */
typedef struct rig {
    tdm_device *device;
    tdm__buffer step;
    op_case base;
    tdm_value kept[KEPT];
    int n_kept;
    tdm__plan_stats stats; /* of the plan that fuses */
} rig;

static const tdm_kernel_style styles[] = {TDM_STYLE_CPU, TDM_STYLE_GPU};

static void rig_open(rig *t, int style)
{
    *t = (rig){0};
    op_case_open_style(&t->base, styles[style], &t->device, &t->step);
}

static void rig_close(rig *t)
{
    op_case_close_style(&t->base, &t->device, &t->step);
}

static double normal(tdm__rng *rng)
{
    return tdm__rng_normal(rng);
}

/* Few values: windows tie often, and many are exactly where the activation has its kink. */
static double coarse(tdm__rng *rng)
{
    return round(tdm__rng_normal(rng) * 2) / 2;
}

static double positive(tdm__rng *rng)
{
    return 0.5 + tdm__rng_uniform(rng);
}

static double small(tdm__rng *rng)
{
    return 0.1 * tdm__rng_normal(rng);
}

/* A thousand times what the convolution adds. */
static double far(tdm__rng *rng)
{
    return 1000 + tdm__rng_normal(rng);
}

static tdm_value datum(rig *t, tdm_desc desc, double (*draw)(tdm__rng *rng))
{
    const int64_t n = tdm_desc_count(&desc);
    tdm__rng rng = tdm__rng_make(3, tdm__rng_stream("fusion", (uint64_t)t->base.n_data, 0));
    double *v = tdm__calloc((size_t)n, sizeof *v);
    ck_assert_ptr_nonnull(v);
    for (int64_t i = 0; i < n; i++) v[i] = (double)(float)draw(&rng);
    return op_case_data(&t->base, "v", desc, false, v);
}

static void keep(rig *t, tdm_value value)
{
    ck_assert_int_lt(t->n_kept, KEPT);
    tdm_graph_keep(t->base.graph, value);
    t->kept[t->n_kept++] = value;
}

static tdm_value conv(rig *t, tdm_value x, int64_t channels)
{
    static const tdm_conv2d_attrs same = {.kernel = {3, 3}, .stride = {1, 1}, .padding = {1, 1}};
    const int64_t c = tdm_graph_desc(t->base.graph, x)->dim[3];
    const tdm_value w = datum(t, tdm_desc_4(TDM_F32, 3, 3, c, channels), small);
    return tdm_conv2d(t->base.graph, x, w, datum(t, tdm_desc_1(TDM_F32, channels), small), &same);
}

/* params: gamma and beta. */
static tdm_value batch_norm(rig *t, tdm_value x, tdm_value params[2])
{
    static const tdm_batch_norm_attrs usual = {1e-5f, 0.1f};
    const tdm_desc *d = tdm_graph_desc(t->base.graph, x);
    const tdm_desc channels = tdm_desc_1(TDM_F32, d->dim[d->rank - 1]);
    params[0] = datum(t, channels, positive);
    params[1] = datum(t, channels, small);
    const tdm_value mean = datum(t, channels, small), var = datum(t, channels, positive);
    return tdm_batch_norm_train(t->base.graph, x, params[0], params[1], mean, var, TDM_NO_VALUE,
                                &usual);
}

/* The gradients of y on `wrt`, all kept. */
static void back(rig *t, tdm_value y, const tdm_value *wrt, size_t n)
{
    tdm_value grads[KEPT];
    const tdm_value dy = datum(t, *tdm_graph_desc(t->base.graph, y), normal);
    support_ok(tdm__graph_gradients_from(t->base.graph, &y, &dy, 1, wrt, n, grads));
    for (size_t i = 0; i < n; i++) keep(t, grads[i]);
}

static const char *choose_implicit_all(void *user, const char *key, const tdm_op *op,
                                       const tdm__io *io)
{
    (void)user, (void)key, (void)io;
    return strncmp(op->name, "conv", 4) == 0 ? "implicit" : NULL;
}

/* The plain plan takes another algorithm too: nothing is shared with what it is to check. */
static const char *choose_implicit(void *user, const char *key, const tdm_op *op, const tdm__io *io)
{
    (void)user, (void)op, (void)io;
    return strncmp(key, "conv2d", 6) == 0 ? "implicit" : NULL;
}

/* Runs the graph with and without fusion; what is kept must agree within `tolerance`,
 * norm-relative. */
static void same_with(rig *t, const tdm__plan_spec *spec, double tolerance)
{
    double *fused[KEPT] = {0};
    support_ok(tdm_graph_status(t->base.graph));
    support_ok(op_case_plan(&t->base, spec));
    tdm__plan_get_stats(t->base.plan, &t->stats);
    support_ok(op_case_run(&t->base));
    for (int i = 0; i < t->n_kept; i++) support_ok(op_case_read(&t->base, t->kept[i], &fused[i]));
    const tdm__plan_spec plain_spec = {
        .guard = true, .no_fuse = true, .choose = spec->choose ? spec->choose : choose_implicit};
    support_ok(op_case_plan(&t->base, &plain_spec));
    support_ok(op_case_run(&t->base));
    for (int i = 0; i < t->n_kept; i++) {
        double *plain;
        int64_t first;
        support_ok(op_case_read(&t->base, t->kept[i], &plain));
        const double error =
            op_case_error(tdm_graph_desc(t->base.graph, t->kept[i]), fused[i], plain, &first);
        ck_assert_msg(error <= tolerance, "kept value %d: error %g", i, error);
        free(plain);
        free(fused[i]);
    }
}

static void same_without(rig *t, double tolerance)
{
    same_with(t, &(tdm__plan_spec){.guard = true}, tolerance);
}

/* ---- derivatives -------------------------------------------------------------------------------
 */

START_TEST(batch_norm_absorbs_the_activation)
{
    rig t;
    rig_open(&t, _i % 2);
    tdm_value params[2];
    const tdm_value x = datum(&t, tdm_desc_4(TDM_F32, 2, 5, 7, 19), coarse);
    keep(&t, tdm_relu(t.base.graph, batch_norm(&t, x, params)));
    same_without(&t, 0);
    ck_assert_int_eq(t.stats.fused, 1);
    rig_close(&t);
}
END_TEST

START_TEST(batch_norm_takes_the_derivative)
{
    rig t;
    rig_open(&t, _i % 2);
    tdm_graph *g = t.base.graph;
    tdm_value wrt[3];
    const tdm_value x = datum(&t, tdm_desc_4(TDM_F32, 2, 5, 7, 19), coarse);
    tdm_value y = batch_norm(&t, x, &wrt[1]);
    y = _i % 4 / 2 ? tdm_leaky_relu(g, y, 0.25f) : tdm_relu(g, y);
    wrt[0] = x;
    keep(&t, y);
    back(&t, tdm_scale(g, y, 1.5f), wrt, 3);
    same_without(&t, 1e-6);
    ck_assert_int_eq(t.stats.loads, 1);
    rig_close(&t);
}
END_TEST

/* The skip's gradient arrives at the activation's result too: their sum goes through it. */
START_TEST(the_derivative_of_a_sum)
{
    rig t;
    rig_open(&t, _i % 2);
    tdm_graph *g = t.base.graph;
    tdm_value wrt[3];
    wrt[0] = datum(&t, tdm_desc_4(TDM_F32, 1, 6, 6, 16), coarse);
    const tdm_value y = tdm_relu(g, batch_norm(&t, wrt[0], &wrt[1]));
    back(&t, tdm_add(g, conv(&t, y, 16), y), wrt, 3);
    same_without(&t, 1e-5);
    ck_assert_int_ge(t.stats.loads, 1);
    rig_close(&t);
}
END_TEST

/* Another activation's derivative is none of the batch norm's business. */
START_TEST(a_derivative_that_is_not_its_own)
{
    rig t;
    rig_open(&t, _i % 2);
    tdm_graph *g = t.base.graph;
    tdm_value wrt[3];
    const tdm_value x = datum(&t, tdm_desc_2(TDM_F32, 37, 11), coarse);
    wrt[0] = x;
    tdm_value y = tdm_relu(g, tdm_scale(g, batch_norm(&t, x, &wrt[1]), 2));
    back(&t, y, wrt, 3);
    same_without(&t, 1e-6);
    ck_assert_int_eq(t.stats.loads, 0);
    rig_close(&t);
}
END_TEST

/* ---- pending values ----------------------------------------------------------------------------
 */

/* The maximum is compared after batch norm and ReLU: most windows tie here, at zero and elsewhere,
 * and gamma is negative in some channels. The first maximum must be found, with and without fusion.
 */
START_TEST(a_pool_reads_the_raw_tensor)
{
    static const tdm_pool2d_attrs pools[] = {
        {.kernel = {2, 2}}, {.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}}};
    rig t;
    rig_open(&t, _i % 2);
    tdm_graph *g = t.base.graph;
    tdm_value wrt[3], indices;
    wrt[0] = datum(&t, tdm_desc_4(TDM_F32, 3, 9, 10, 21), coarse);
    const tdm_value gamma = datum(&t, tdm_desc_1(TDM_F32, 21), normal);
    const tdm_value mean = datum(&t, tdm_desc_1(TDM_F32, 21), small);
    const tdm_value var = datum(&t, tdm_desc_1(TDM_F32, 21), positive);
    wrt[1] = gamma;
    wrt[2] = datum(&t, tdm_desc_1(TDM_F32, 21), small);
    tdm_value y = tdm_batch_norm_train(g, wrt[0], gamma, wrt[2], mean, var, TDM_NO_VALUE,
                                       &(tdm_batch_norm_attrs){1e-5f, 0.1f});
    y = tdm_max_pool2d(g, tdm_relu(g, y), &pools[_i / 2], &indices);
    keep(&t, indices);
    back(&t, y, wrt, 3);
    keep(&t, y);
    same_without(&t, 0);
    ck_assert_int_eq(t.stats.pending, 1);
    ck_assert_int_eq(t.stats.loads, 2); /* the pool, and the derivative */
    rig_close(&t);
}
END_TEST

/* Two layers and a pool: nothing that batch norm makes is stored, neither for the next layer, nor
 * for its filter's gradient. Sizes at which tiles have pixels outside the image, and channels that
 * are no multiple of the vector width. */
START_TEST(convolutions_read_raw_tensors)
{
    static const int64_t sizes[][4] = {
        {2, 9, 10, 16}, {1, 5, 4, 19}, {1, 26, 18, 32}, {2, 9, 8, 251}}; /* few tiles, many taps */
    const int64_t *n = sizes[_i];
    rig t;
    rig_open(&t, 0);
    tdm_graph *g = t.base.graph;
    tdm_value wrt[5];
    wrt[0] = datum(&t, tdm_desc_4(TDM_F32, n[0], n[1], n[2], n[3]), normal);
    tdm_value y = tdm_relu(g, batch_norm(&t, conv(&t, wrt[0], n[3]), &wrt[1]));
    y = conv(&t, y, 17);
    wrt[3] = t.base.data[t.base.n_data - 2].value; /* its filter */
    wrt[4] = t.base.data[t.base.n_data - 1].value;
    back(&t, tdm_max_pool2d(g, y, &(tdm_pool2d_attrs){.kernel = {2, 2}}, NULL), wrt, 5);
    same_without(&t, 2e-5);
    ck_assert_int_eq(t.stats.pending, 1);
    ck_assert_int_eq(t.stats.loads, 3); /* forward, filter gradient, derivative */
    ck_assert_int_eq(t.stats.statistics, 1);
    rig_close(&t);
}
END_TEST

/* The implicit product computes what the stored value would be, bit for bit: of the input that it
 * gathers from, of either image for the filter's gradient, one of which a transposed convolution
 * reads. Channels below, at and above a vector, and more than fit the scratch at once. */
START_TEST(the_implicit_product_reads_raw_tensors)
{
    static const struct {
        tdm_conv2d_attrs attrs;
        int64_t n, h, w, c, k;
        bool transposed;
    } cases[] = {
        {{{1, 1}, {1, 1}, {0, 0}}, 2, 9, 10, 16, 17, false},
        {{{5, 5}, {1, 1}, {2, 2}}, 1, 7, 8, 19, 7, false},
        {{{7, 7}, {2, 2}, {3, 3}}, 1, 13, 14, 3, 9, false},
        {{{3, 3}, {1, 1}, {2, 2}, {2, 2}}, 2, 8, 9, 8, 33, false},
        {{{5, 5}, {1, 1}, {2, 2}}, 1, 3, 4, 1001, 2, false},
        {{{2, 2}, {2, 2}, {0, 0}}, 2, 5, 6, 35, 20, true},
        {{{3, 3}, {2, 2}, {1, 1}}, 1, 6, 5, 5, 40, true},
    };
    rig t;
    rig_open(&t, 0);
    tdm_graph *g = t.base.graph;
    tdm_value params[2], y;
    const int64_t c = cases[_i].c, k = cases[_i].k;
    const int32_t *r = cases[_i].attrs.kernel;
    const tdm_value x =
        datum(&t, tdm_desc_4(TDM_F32, cases[_i].n, cases[_i].h, cases[_i].w, c), normal);
    const tdm_value b = tdm_relu(g, batch_norm(&t, x, params));
    const tdm_value w = datum(&t,
                              cases[_i].transposed ? tdm_desc_4(TDM_F32, r[0], r[1], k, c)
                                                   : tdm_desc_4(TDM_F32, r[0], r[1], c, k),
                              small);
    y = cases[_i].transposed ? tdm_conv_transpose2d(g, b, w, TDM_NO_VALUE, &cases[_i].attrs)
                             : tdm_conv2d(g, b, w, TDM_NO_VALUE, &cases[_i].attrs);
    keep(&t, y);
    back(&t, y, &w, 1);
    same_with(&t, &(tdm__plan_spec){.guard = true, .choose = choose_implicit_all}, 0);
    ck_assert_int_eq(t.stats.pending, 1);
    ck_assert_int_eq(t.stats.loads, 2);
    rig_close(&t);
}
END_TEST

/* A skip is computed while it is copied; of two, the second is stored. */
START_TEST(concat_reads_the_raw_tensor)
{
    rig t;
    rig_open(&t, _i % 2);
    tdm_graph *g = t.base.graph;
    tdm_value params[2], in[3];
    const int axis = _i / 2 % 2 ? 1 : 3;
    const tdm_desc desc = tdm_desc_4(TDM_F32, 2, 5, 7, 19);
    in[0] = datum(&t, desc, normal);
    in[1] = tdm_relu(g, batch_norm(&t, datum(&t, desc, coarse), params));
    in[2] = batch_norm(&t, datum(&t, desc, coarse), params);
    keep(&t, tdm_concat(g, in, 3, axis));
    same_without(&t, 0);
    ck_assert_int_eq(t.stats.pending, 1);
    ck_assert_int_eq(t.stats.loads, 1);
    rig_close(&t);
}
END_TEST

/* A reader that cannot follow the recipe, or who wants the value itself, has it stored for all. */
START_TEST(a_value_that_others_want)
{
    rig t;
    rig_open(&t, 0);
    tdm_graph *g = t.base.graph;
    tdm_value params[2], y;
    const tdm_value x = datum(&t, tdm_desc_4(TDM_F32, 1, 8, 8, 16), normal);
    y = tdm_relu(g, batch_norm(&t, x, params));
    if (_i == 0) keep(&t, y);
    if (_i == 1) keep(&t, tdm_slice(g, y, 3, 2, 9));
    if (_i == 2) y = tdm_sigmoid(g, batch_norm(&t, x, params));
    keep(&t, conv(&t, y, 16));
    same_without(&t, 1e-5);
    ck_assert_int_eq(t.stats.pending, 0);
    ck_assert_int_eq(t.stats.loads, 0);
    rig_close(&t);
}
END_TEST

/* ---- statistics --------------------------------------------------------------------------------
 */

/* What comes with the convolution is what batch norm would have found, also where the mean is large
 * against the deviations, and running statistics move alike. */
START_TEST(statistics_come_with_the_convolution)
{
    rig t;
    rig_open(&t, 0);
    tdm_value params[2];
    static const tdm_batch_norm_attrs usual = {1e-5f, 0.1f};
    static const tdm_conv2d_attrs same = {.kernel = {3, 3}, .stride = {1, 1}, .padding = {1, 1}};
    const tdm_desc channels = tdm_desc_1(TDM_F32, 35);
    const tdm_value x = datum(&t, tdm_desc_4(TDM_F32, 3, 13, 15, 16), normal);
    const tdm_value w = datum(&t, tdm_desc_4(TDM_F32, 3, 3, 16, 35), small);
    const tdm_value b = datum(&t, channels, _i ? far : small);
    const tdm_value mean = datum(&t, channels, small), var = datum(&t, channels, positive);
    params[0] = datum(&t, channels, positive);
    params[1] = datum(&t, channels, small);
    const tdm_value y = tdm_batch_norm_train(t.base.graph, tdm_conv2d(t.base.graph, x, w, b, &same),
                                             params[0], params[1], mean, var, TDM_NO_VALUE, &usual);
    for (int o = 0; o < 5; o++) keep(&t, y + o);
    same_without(&t, _i ? 1e-3 : 1e-5);
    ck_assert_int_eq(t.stats.statistics, 1);
    rig_close(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("fusion");
    TCase *c = tcase_create("both styles");
    tcase_add_loop_test(c, batch_norm_absorbs_the_activation, 0, 2);
    tcase_add_loop_test(c, batch_norm_takes_the_derivative, 0, 4);
    tcase_add_loop_test(c, the_derivative_of_a_sum, 0, 2);
    tcase_add_loop_test(c, a_derivative_that_is_not_its_own, 0, 2);
    tcase_add_loop_test(c, a_pool_reads_the_raw_tensor, 0, 4);
    tcase_add_loop_test(c, convolutions_read_raw_tensors, 0, 4);
    tcase_add_loop_test(c, the_implicit_product_reads_raw_tensors, 0, 7);
    tcase_add_loop_test(c, concat_reads_the_raw_tensor, 0, 4);
    tcase_add_loop_test(c, a_value_that_others_want, 0, 3);
    tcase_add_loop_test(c, statistics_come_with_the_convolution, 0, 2);
    suite_add_tcase(s, c);
    return support_run(s);
}
