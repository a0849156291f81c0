/* Pools, batch norm, activations, dropout and resizing where the table's samples do not reach:
 * PyTorch's numbers, NaN, a large mean, what a mask depends on, many inputs. In both kernel styles.
 */
#include <math.h>
#include <stdlib.h>

#include <tandem/ops.h>

#include "base/mem.h"
#include "graph/internal.h"
#include "support/op_case.h"
#include "support/support.h"

#include "../ref/op_golden.h"

/* A case on an open device. */
typedef struct rig {
    tdm_device *device;
    tdm__buffer step;
    op_case base;
} rig;

static const tdm_kernel_style styles[] = {TDM_STYLE_CPU, TDM_STYLE_GPU};

static void rig_open(rig *t, int style)
{
    *t = (rig){0};
    op_case_open_style(&t->base, styles[style], &t->device, &t->step);
}

/* A new graph on the same device. */
static void rig_again(rig *t)
{
    op_case_close(&t->base);
    support_ok(op_case_open(&t->base, t->device, (tdm__view){&t->step, 0}));
}

static void rig_close(rig *t)
{
    op_case_close_style(&t->base, &t->device, &t->step);
}

static double *numbers(const tdm_desc *desc, double (*of)(int input, int64_t i), int input)
{
    int64_t n = tdm_desc_count(desc);
    double *v = tdm__calloc((size_t)n, sizeof *v);
    ck_assert_ptr_nonnull(v);
    for (int64_t i = 0; i < n; i++) v[i] = (double)(float)of(input, i);
    return v;
}

static tdm_value rig_add(rig *t, tdm_desc desc, double (*of)(int input, int64_t i), int input)
{
    tdm_value v = op_case_data(&t->base, "v", desc, false, numbers(&desc, of, input));
    support_ok(tdm_graph_status(t->base.graph));
    return v;
}

static void rig_plan(rig *t)
{
    support_ok(tdm_graph_status(t->base.graph));
    support_ok(op_case_plan(&t->base, &(tdm__plan_spec){.guard = true}));
}

static double *rig_read(rig *t, tdm_value v)
{
    double *out;
    support_ok(op_case_read(&t->base, v, &out));
    return out;
}

/* ---- PyTorch's numbers -------------------------------------------------------------------------
 */

static double plain(int input, int64_t i)
{
    return 2 * sin(1 + input + 0.7311 * (double)i);
}

static double positive(int input, int64_t i)
{
    return 1 + 0.4 * sin(1 + input + 0.7311 * (double)i);
}

static double ties(int input, int64_t i)
{
    return rint(2 * fmax(0, plain(input, i))) / 2;
}

static double arriving(int input, int64_t i)
{
    (void)input;
    return cos(1 + 0.31 * (double)i);
}

enum { MAX_RESULTS = 6 };

/* y first; then what else the golden tensors name, in their order, before the gradients. */
typedef struct built {
    tdm_value results[MAX_RESULTS];
    int n_results;
    tdm_value wrt[3]; /* gradients to compare; they come after result number `gradients_at` - 1 */
    int n_wrt, gradients_at;
} built;

static built one(tdm_value y, tdm_value x)
{
    return (built){.results = {y}, .n_results = 1, .wrt = {x}, .n_wrt = 1, .gradients_at = 1};
}

static built max_pool(rig *t, tdm_desc desc, double (*of)(int, int64_t), tdm_pool2d_attrs a)
{
    tdm_value x = rig_add(t, desc, of, 0), indices;
    tdm_value y = tdm_max_pool2d(t->base.graph, x, &a, &indices);
    return (built){
        .results = {y, indices}, .n_results = 2, .wrt = {x}, .n_wrt = 1, .gradients_at = 2};
}

static built avg_pool(rig *t, tdm_desc desc, tdm_pool2d_attrs a)
{
    tdm_value x = rig_add(t, desc, plain, 0);
    return one(tdm_avg_pool2d(t->base.graph, x, &a), x);
}

static built batch_norm(rig *t, bool training)
{
    static double (*const formulas[])(int, int64_t) = {plain, positive, plain, plain, positive};
    tdm_graph *g = t->base.graph;
    const tdm_batch_norm_attrs a = {1e-3f, 0.3f};
    tdm_value in[5];
    for (int i = 0; i < 5; i++)
        in[i] = rig_add(t, i ? tdm_desc_1(TDM_F32, 5) : tdm_desc_4(TDM_F32, 2, 3, 4, 5),
                        formulas[i], i);
    tdm_value y = training
                      ? tdm_batch_norm_train(g, in[0], in[1], in[2], in[3], in[4], TDM_NO_VALUE, &a)
                      : tdm_batch_norm_eval(g, in[0], in[1], in[2], in[3], in[4], &a);
    return (built){.results = {y, in[3], in[4]},
                   .n_results = 3,
                   .wrt = {in[0], in[1], in[2]},
                   .n_wrt = 3,
                   .gradients_at = 1};
}

static built resize(rig *t, tdm_desc desc, int64_t h, int64_t w, int kind)
{
    tdm_value x = rig_add(t, desc, plain, 0);
    tdm_graph *g = t->base.graph;
    return one(kind == 0 ? tdm_upsample_nearest(g, x, h, w)
                         : tdm_upsample_bilinear(g, x, h, w, kind == 2),
               x);
}

#define X(n, h, w, c) tdm_desc_4(TDM_F32, n, h, w, c)
/* name of the golden tensors, how rig t gets the graph */
#define GOLDEN_CASES(CASE)                                                                         \
    CASE(max_2x2, max_pool(t, X(2, 5, 7, 3), plain, (tdm_pool2d_attrs){.kernel = {2, 2}}))         \
    CASE(max_ties, max_pool(t, X(2, 8, 6, 5), ties, (tdm_pool2d_attrs){.kernel = {2, 2}}))         \
    CASE(max_padded, max_pool(t, X(2, 7, 8, 5), plain,                                             \
                              (tdm_pool2d_attrs){{3, 3}, {2, 2}, {1, 1}, false, false}))           \
    CASE(max_ceil, max_pool(t, X(2, 6, 8, 4), ties,                                                \
                            (tdm_pool2d_attrs){{3, 2}, {2, 3}, {1, 1}, true, false}))              \
    CASE(unpool, unpool(t))                                                                        \
    CASE(avg_2x2, avg_pool(t, X(2, 5, 7, 3), (tdm_pool2d_attrs){{2, 2}, {0}, {0}, false, true}))   \
    CASE(avg_padded,                                                                               \
         avg_pool(t, X(2, 7, 8, 5), (tdm_pool2d_attrs){{3, 3}, {2, 2}, {1, 1}, false, true}))      \
    CASE(avg_inside,                                                                               \
         avg_pool(t, X(2, 7, 8, 5), (tdm_pool2d_attrs){{3, 3}, {2, 2}, {1, 1}, false, false}))     \
    CASE(avg_ceil,                                                                                 \
         avg_pool(t, X(2, 6, 8, 3), (tdm_pool2d_attrs){{3, 3}, {2, 2}, {1, 1}, true, true}))       \
    CASE(avg_ceil_inside,                                                                          \
         avg_pool(t, X(2, 6, 8, 3), (tdm_pool2d_attrs){{3, 4}, {2, 3}, {1, 2}, true, false}))      \
    CASE(avg_ceil_wide,                                                                            \
         avg_pool(t, X(1, 7, 5, 2), (tdm_pool2d_attrs){{4, 2}, {3, 2}, {2, 1}, true, true}))       \
    CASE(global_avg, global_pool(t, tdm_global_avg_pool))                                          \
    CASE(global_max, global_pool(t, tdm_global_max_pool))                                          \
    CASE(relu, activation(t, ties, tdm_relu))                                                      \
    CASE(leaky_relu, activation(t, plain, leaky))                                                  \
    CASE(sigmoid, activation(t, plain, tdm_sigmoid))                                               \
    CASE(tanh, activation(t, plain, tdm_tanh))                                                     \
    CASE(bn_train, batch_norm(t, true))                                                            \
    CASE(bn_eval, batch_norm(t, false))                                                            \
    CASE(nearest_odd, resize(t, X(1, 5, 7, 3), 8, 17, 0))                                          \
    CASE(nearest_twice, resize(t, X(2, 3, 5, 2), 6, 10, 0))                                        \
    CASE(nearest_less, resize(t, X(1, 9, 10, 2), 4, 7, 0))                                         \
    CASE(bilinear_odd, resize(t, X(1, 5, 7, 3), 8, 17, 1))                                         \
    CASE(bilinear_less, resize(t, X(1, 9, 10, 2), 4, 7, 1))                                        \
    CASE(corners_odd, resize(t, X(1, 5, 7, 3), 8, 17, 2))                                          \
    CASE(corners_less, resize(t, X(1, 9, 10, 2), 4, 1, 2))

static built unpool(rig *t)
{
    tdm_graph *g = t->base.graph;
    const tdm_pool2d_attrs a = {.kernel = {2, 2}};
    tdm_value x = rig_add(t, X(2, 3, 4, 3), plain, 0), large = rig_add(t, X(2, 7, 8, 3), plain, 1);
    tdm_value indices;
    tdm_max_pool2d(g, large, &a, &indices);
    return one(tdm_max_unpool2d(g, x, indices, &a, 7, 8), x);
}

static built global_pool(rig *t, tdm_value (*pool)(tdm_graph *, tdm_value))
{
    tdm_value x = rig_add(t, X(2, 5, 7, 3), plain, 0);
    return one(pool(t->base.graph, x), x);
}

static tdm_value leaky(tdm_graph *g, tdm_value x)
{
    return tdm_leaky_relu(g, x, 0.125f);
}

static built activation(rig *t, double (*of)(int, int64_t), tdm_value (*f)(tdm_graph *, tdm_value))
{
    tdm_value x = rig_add(t, X(2, 3, 4, 5), of, 0);
    return one(f(t->base.graph, x), x);
}

static void compare(rig *t, const char *name, tdm_value value, const golden_tensor *want)
{
    double *got = rig_read(t, value), norm = 0, projection[4] = {0};
    int64_t n = tdm_desc_count(tdm_graph_desc(t->base.graph, value));
    ck_assert_msg(n == want->count, "%s: %s has %lld elements, not %d", name, want->name,
                  (long long)n, want->count);
    for (int64_t i = 0; i < n; i++) {
        norm += got[i] * got[i];
        for (int k = 0; k < 4; k++) projection[k] += got[i] * cos(0.37 * (k + 1) * (double)(i + 1));
    }
    free(got);
    norm = sqrt(norm);
    ck_assert_msg(fabs(norm - want->norm) <= 1e-5 * want->norm, "%s: |%s| = %.9g, not %.9g", name,
                  want->name, norm, want->norm);
    for (int k = 0; k < 4; k++)
        ck_assert_msg(fabs(projection[k] - want->projection[k]) <= 1e-5 * want->norm,
                      "%s: %s, projection %d = %.9g, not %.9g", name, want->name, k, projection[k],
                      want->projection[k]);
}

static void check_golden(rig *t, const char *name, const built *b, const golden_tensor *want, int n)
{
    tdm_graph *g = t->base.graph;
    tdm_value grads[3], y = b->results[0];
    support_ok(tdm_graph_status(g));
    tdm_value dy = rig_add(t, *tdm_graph_desc(g, y), arriving, 0);
    support_ok(tdm__graph_gradients_from(g, &y, &dy, 1, b->wrt, (size_t)b->n_wrt, grads));
    for (int i = 0; i < b->n_results; i++) tdm_graph_keep(g, b->results[i]);
    for (int i = 0; i < b->n_wrt; i++) tdm_graph_keep(g, grads[i]);
    rig_plan(t);
    support_ok(op_case_run(&t->base));
    ck_assert_int_eq(n, b->n_results + b->n_wrt);
    for (int i = 0, result = 0, grad = 0; i < n; i++) {
        bool is_grad = i >= b->gradients_at && grad < b->n_wrt;
        compare(t, name, is_grad ? grads[grad++] : b->results[result++], &want[i]);
    }
}

START_TEST(torch_numbers)
{
    rig rig_, *t = &rig_;
    rig_open(t, _i);
#define RUN_CASE(name, make)                                                                       \
    do {                                                                                           \
        built b = make;                                                                            \
        check_golden(t, #name, &b, golden_##name,                                                  \
                     (int)(sizeof golden_##name / sizeof golden_##name[0]));                       \
        rig_again(t);                                                                              \
    } while (0);
    GOLDEN_CASES(RUN_CASE)
    rig_close(t);
}
END_TEST

/* ---- NaN
 * ----------------------------------------------------------------------------------------- */

static double with_nan(int input, int64_t i)
{
    return i % 8 == 3 ? NAN : plain(input, i);
}

/* The device agrees with the reference, which is PyTorch's order of comparisons, on where NaN goes.
 */
static void check_nan(rig *t, tdm_value y, tdm_value other)
{
    tdm_value values[] = {y, other};
    for (int i = 0; i < 2; i++)
        if (values[i] >= 0) tdm_graph_keep(t->base.graph, values[i]);
    rig_plan(t);
    support_ok(op_case_interpret(&t->base, TDM_NO_VALUE, NULL));
    support_ok(op_case_run(&t->base));
    for (int i = 0; i < 2; i++) {
        if (values[i] < 0) continue;
        const tdm_desc *desc = tdm_graph_desc(t->base.graph, values[i]);
        double *got = rig_read(t, values[i]), nans = 0;
        int64_t first;
        double error = op_case_error(desc, got, t->base.values[values[i]], &first);
        for (int64_t k = 0; k < tdm_desc_count(desc); k++) nans += isnan(got[k]);
        ck_assert_msg(error < 1e-5, "element %lld", (long long)first);
        ck_assert_msg(desc->dtype != TDM_F32 || nans > 0, "NaN was lost");
        free(got);
    }
}

START_TEST(nan_wins)
{
    rig rig_, *t = &rig_;
    rig_open(t, _i);
    for (int kind = 0; kind < 5; kind++) {
        tdm_graph *g = t->base.graph;
        tdm_value x = rig_add(t, X(2, 6, 6, 19), with_nan, 0), y, other = TDM_NO_VALUE;
        if (kind == 0)
            y = tdm_max_pool2d(g, x, &(tdm_pool2d_attrs){.kernel = {3, 3}, .stride = {2, 2}},
                               &other);
        else if (kind == 1)
            y = tdm_global_max_pool(g, x), other = y + 1;
        else if (kind == 2)
            y = tdm_relu(g, x);
        else if (kind == 3)
            y = tdm_leaky_relu(g, x, 0.5f);
        else
            y = tdm_dropout(g, x, 0.5f, 1);
        support_ok(tdm_graph_status(g));
        check_nan(t, y, other);
        rig_again(t);
    }
    rig_close(t);
}
END_TEST

/* ---- batch norm
 * ---------------------------------------------------------------------------------- */

static double far_from_zero(int input, int64_t i)
{
    return 10000 + 0.25 * plain(input, i);
}

static double zeros(int input, int64_t i)
{
    (void)input, (void)i;
    return 0;
}

/* mean / deviation = 28000: one-pass formulas in float would have no correct digit of the variance.
 */
START_TEST(large_mean_keeps_the_variance)
{
    rig rig_, *t = &rig_;
    rig_open(t, _i);
    tdm_graph *g = t->base.graph;
    tdm_value x = rig_add(t, X(4, 31, 33, 17), far_from_zero, 0), in[4];
    for (int i = 0; i < 4; i++)
        in[i] = rig_add(t, tdm_desc_1(TDM_F32, 17), i % 2 ? zeros : positive, i);
    tdm_value counter = rig_add(t, tdm_desc_scalar(), zeros, 0);
    tdm_value y = tdm_batch_norm_train(g, x, in[0], in[1], in[2], in[3], counter,
                                       &(tdm_batch_norm_attrs){0, 1});
    tdm_value mean = y + 1, invstd = y + 2;
    tdm_graph_keep(g, y);
    tdm_graph_keep(g, mean);
    tdm_graph_keep(g, invstd);
    tdm_graph_keep(g, y + 4);
    tdm_graph_keep(g, y + 5);
    rig_plan(t);
    support_ok(op_case_interpret(&t->base, TDM_NO_VALUE, NULL));
    support_ok(op_case_run(&t->base));
    double *s = rig_read(t, invstd), *m = rig_read(t, mean), *var = rig_read(t, y + 4);
    for (int c = 0; c < 17; c++) {
        double want = t->base.values[invstd][c];
        ck_assert_double_eq_tol(s[c], want, 1e-5 * want);
        ck_assert_double_eq_tol(m[c], t->base.values[mean][c], 1e-3);
        ck_assert_double_eq_tol(var[c], t->base.values[y + 4][c], 2e-5 * var[c]);
    }
    double *count = rig_read(t, y + 5);
    ck_assert_double_eq(*count, 1);
    free(s);
    free(m);
    free(var);
    free(count);
    rig_close(t);
}
END_TEST

/* ---- dropout
 * ------------------------------------------------------------------------------------- */

static double ones(int input, int64_t i)
{
    (void)input, (void)i;
    return 1;
}

static double *run_with_step(rig *t, const tdm__step *step, tdm_value y)
{
    support_ok(tdm__view_write(t->device, (tdm__view){&t->step, 0}, step, sizeof *step));
    support_ok(op_case_run(&t->base));
    return rig_read(t, y);
}

static int differences(const double *a, const double *b, int n)
{
    int count = 0;
    for (int i = 0; i < n; i++) count += a[i] != b[i];
    return count;
}

START_TEST(dropout_masks)
{
    enum { N = 40000 };
    rig rig_, *t = &rig_;
    rig_open(t, _i);
    tdm_graph *g = t->base.graph;
    tdm_desc desc = tdm_desc_1(TDM_F32, N);
    tdm_value x = rig_add(t, desc, ones, 0), dy = rig_add(t, desc, ones, 0), dx;
    tdm_value y = tdm_dropout(g, x, 0.25f, 1), other = tdm_dropout(g, x, 0.25f, 2);
    support_ok(tdm_graph_status(g));
    support_ok(tdm__graph_gradients_from(g, &y, &dy, 1, &x, 1, &dx));
    tdm_graph_keep(g, y);
    tdm_graph_keep(g, other);
    tdm_graph_keep(g, dx);
    rig_plan(t);
    tdm__step step = op_case_step;
    double *first = run_with_step(t, &step, y), *gradient = rig_read(t, dx);
    double *stream = rig_read(t, other), kept = 0;
    step.step[0]++;
    double *later = run_with_step(t, &step, y);
    step = op_case_step;
    step.seed[1]++;
    double *seed = run_with_step(t, &step, y);
    for (int i = 0; i < N; i++) {
        ck_assert(first[i] == 0 || fabs(first[i] - 4.0 / 3) < 1e-6);
        kept += first[i] != 0;
    }
    ck_assert_double_eq_tol(kept / N, 0.75, 5 * sqrt(0.75 * 0.25 / N));
    ck_assert_int_eq(differences(first, gradient, N), 0); /* the same mask */
    double *others[] = {stream, later, seed};
    for (int i = 0; i < 3; i++) {
        double share = (double)differences(first, others[i], N) / N;
        ck_assert_double_eq_tol(share, 2 * 0.75 * 0.25, 0.02); /* independent masks */
        free(others[i]);
    }
    free(first);
    free(gradient);
    rig_close(t);
}
END_TEST

/* ---- concat
 * -------------------------------------------------------------------------------------- */

START_TEST(concat_of_many)
{
    enum { N = 20 };
    rig rig_, *t = &rig_;
    rig_open(t, _i);
    tdm_graph *g = t->base.graph;
    tdm_value x[N], dx[N];
    for (int i = 0; i < N; i++) x[i] = rig_add(t, tdm_desc_2(TDM_F32, 3, 1 + i % 3), plain, i);
    tdm_value y = tdm_concat(g, x, N, 1);
    support_ok(tdm_graph_status(g));
    support_ok(tdm__graph_gradients_from(g, &y, &y, 1, x, N, dx));
    tdm_graph_keep(g, y);
    for (int i = 0; i < N; i++) tdm_graph_keep(g, dx[i]);
    rig_plan(t);
    support_ok(op_case_run(&t->base));
    for (int i = 0; i < N; i++) { /* the gradient of |y|^2 / 2 is x */
        double *got = rig_read(t, dx[i]);
        for (int k = 0; k < 3 * (1 + i % 3); k++)
            ck_assert_double_eq(got[k], t->base.data[i].host[k]);
        free(got);
    }
    rig_close(t);
}
END_TEST

/* ---- builders
 * ------------------------------------------------------------------------------------ */

START_TEST(builders_fail_softly)
{
    tdm_graph *g = NULL;
    support_ok(tdm_graph_create(&g));
    const float one_each[17] = {0};
    tdm_value x = tdm_graph_input(g, "x", tdm_desc_4(TDM_F32, 1, 4, 4, 2)), indices = 7;
    tdm_value y = tdm_normalize(g, x, one_each, one_each, 17);
    ck_assert_int_eq(y, TDM_NO_VALUE);
    support_fails(tdm_graph_status(g), TDM_ERR_SHAPE,
                  "normalize: channels: must be 1 to 16, got 17");
    ck_assert_int_eq(tdm_max_pool2d(g, x, &(tdm_pool2d_attrs){.kernel = {2, 2}}, &indices),
                     TDM_NO_VALUE);
    ck_assert_int_eq(indices, TDM_NO_VALUE);
    ck_assert_int_eq(tdm_batch_norm_eval(g, x, x, x, x, x, &(tdm_batch_norm_attrs){1, 1}),
                     TDM_NO_VALUE);
    support_fails(tdm_graph_status(g), TDM_ERR_SHAPE,
                  "normalize: channels: must be 1 to 16, got 17");
    tdm_graph_destroy(&g);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("layers");
    TCase *c = tcase_create("both styles");
    const int n = (int)(sizeof styles / sizeof styles[0]);
    tcase_set_timeout(c, 600);
    tcase_add_loop_test(c, torch_numbers, 0, n);
    tcase_add_loop_test(c, nan_wins, 0, n);
    tcase_add_loop_test(c, large_mean_keeps_the_variance, 0, n);
    tcase_add_loop_test(c, dropout_masks, 0, n);
    tcase_add_loop_test(c, concat_of_many, 0, n);
    tcase_add_test(c, builders_fail_softly);
    suite_add_tcase(suite, c);
    return support_run(suite);
}
