/* Graphs on the host: builders, sticky errors, scopes, gradients, the interpreter. */
#include <stdlib.h>
#include <string.h>
#include <tandem/ops.h>

#include "base/mem.h"
#include "graph/plan.h"
#include "support/probe.h"
#include "support/support.h"

static tdm_graph *g;

static void setup(void)
{
    support_ok(tdm_graph_create(&g));
}

static void teardown(void)
{
    tdm_graph_destroy(&g);
    tdm_graph_destroy(&g); /* twice is fine */
}

static tdm_value scalar(const char *name)
{
    return tdm_graph_variable(g, name, tdm_desc_scalar(), true);
}

/* The value of a scalar for scalar variables 0, 1, ... = x[0], x[1], ... (by value number) */
static double evaluate(tdm_value value, const double *x, size_t n)
{
    size_t count = tdm__graph_value_count(g);
    double **values = tdm__calloc(count, sizeof *values), *data = tdm__calloc(n, sizeof *data);
    ck_assert_ptr_nonnull(values);
    ck_assert_ptr_nonnull(data);
    for (size_t i = 0; i < n; i++) {
        data[i] = x[i];
        values[i] = &data[i];
    }
    support_ok(tdm__graph_interpret(g, &(tdm__step){0}, values, count));
    double result = values[value][0];
    tdm__graph_interpret_free(g, values);
    free(values);
    free(data);
    return result;
}

/* shapes --------------------------------------------------------------------------------------- */

START_TEST(descs)
{
    char text[64];
    tdm_desc d = tdm_desc_4(TDM_F32, 4, 28, 28, 1);
    ck_assert_str_eq(tdm_desc_text(&d, text, sizeof text), "f32[4,28,28,1]");
    ck_assert_int_eq(tdm_desc_count(&d), 4 * 28 * 28);
    ck_assert_str_eq(tdm_desc_text(&d, text, 9), "f32[4,28");
    d = tdm_desc_scalar();
    ck_assert_str_eq(tdm_desc_text(&d, text, sizeof text), "f32[]");
    ck_assert_int_eq(tdm_desc_count(&d), 1);
    d = (tdm_desc){0};
    ck_assert_str_eq(tdm_desc_text(&d, text, sizeof text), "none");
    ck_assert_int_eq(tdm_desc_count(&d), 0);
    tdm_desc a = tdm_desc_2(TDM_U8, 2, 3), b = tdm_desc_make(TDM_U8, 2, (int64_t[]){2, 3});
    ck_assert(tdm_desc_equal(&a, &b));
    b.dim[1] = 4;
    ck_assert(!tdm_desc_equal(&a, &b));
    ck_assert_uint_eq(tdm_dtype_size(TDM_U8), 1);
    ck_assert_uint_eq(tdm_dtype_size(TDM_I32), 4);
    ck_assert_uint_eq(tdm_dtype_size(TDM_NONE), 0);
}
END_TEST

START_TEST(impossible_shapes)
{
    const struct {
        tdm_desc desc;
        const char *message;
    } cases[] = {
        {{TDM_F32, 2, {3, 0}}, "x: f32[3,0]: every dimension must be at least 1"},
        {{TDM_F32, 1, {-1}}, "x: f32[-1]: every dimension must be at least 1"},
        {{TDM_F32, 6, {1, 1, 1, 1, 1}}, "x: rank 6: must be 0 to 5"},
        {{TDM_NONE, 0, {0}}, "x: no such element type: 0"},
        {{TDM_F32, 3, {INT64_MAX / 2, 3, 1}}, "too large"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tdm_graph_destroy(&g);
        support_ok(tdm_graph_create(&g));
        ck_assert_int_eq(tdm_graph_input(g, "x", cases[i].desc), TDM_NO_VALUE);
        support_fails(tdm_graph_status(g), TDM_ERR_SHAPE, cases[i].message);
    }
}
END_TEST

/* errors --------------------------------------------------------------------------------------- */

START_TEST(first_failure_sticks)
{
    tdm_value x = tdm_graph_input(g, "x", tdm_desc_2(TDM_F32, 2, 3));
    tdm_value y = tdm_graph_input(g, "y", tdm_desc_2(TDM_F32, 3, 2));
    tdm_graph_push(g, "encoder.0");
    ck_assert_int_eq(tdm_add(g, x, y), TDM_NO_VALUE);
    tdm_graph_pop(g);
    ck_assert_int_eq(tdm_relu(g, x), TDM_NO_VALUE);
    ck_assert_int_eq(tdm_graph_input(g, "z", tdm_desc_scalar()), TDM_NO_VALUE);
    ck_assert_int_eq(tdm_graph_fail(g, TDM_ERR_STATE, "later"), TDM_NO_VALUE);
    tdm__fail(TDM_ERR_IO, "something else meanwhile");
    support_fails(tdm_graph_status(g), TDM_ERR_SHAPE,
                  "encoder.0.add: b: must be f32[2,3] like a, got f32[3,2]");
}
END_TEST

START_TEST(wrong_inputs)
{
    tdm_value x = tdm_graph_input(g, "x", tdm_desc_1(TDM_F32, 3));
    const struct {
        tdm_value in[3];
        int n;
        const tdm_op *op;
        const char *message;
    } cases[] = {
        {{x, x, x}, 3, &probe_op, "probe: 3 inputs given"},
        {{0}, 0, &probe_op, "probe: 0 inputs given"},
        {{TDM_NO_VALUE}, 1, &probe_op, "probe: input 0 is missing"},
        {{x, 77}, 2, &probe_op, "probe: input 1 is not a value of this graph"},
        {{x, x}, 2, &probe_bump, "bump: input 0 is changed in place: it must be a variable"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tdm_graph_destroy(&g);
        support_ok(tdm_graph_create(&g));
        tdm_graph_input(g, "x", tdm_desc_1(TDM_F32, 3));
        float attrs[2] = {1.0f, 0};
        ck_assert_int_eq(tdm__graph_node(g, cases[i].op, cases[i].in, cases[i].n, attrs),
                         TDM_NO_VALUE);
        support_fails(tdm_graph_status(g), TDM_ERR_SHAPE, cases[i].message);
    }
}
END_TEST

START_TEST(wrong_places)
{
    tdm__buffer buffer = {0};
    tdm_value x = tdm_graph_input(g, "x", tdm_desc_scalar());
    tdm__graph_place(g, x, (tdm__view){&buffer, 0});
    support_fails(tdm_graph_status(g), TDM_ERR_STATE, "x: only variables are placed");
    teardown();
    setup();
    tdm__graph_store(g, 3, (tdm__view){&buffer, 0});
    support_fails(tdm_graph_status(g), TDM_ERR_STATE, "no value: cannot be stored");
}
END_TEST

START_TEST(scopes)
{
    tdm_value x = tdm_graph_variable(g, "weight", tdm_desc_1(TDM_F32, 3), true);
    tdm_graph_push(g, "encoder.0"); /* a scope that holds a dot goes at once */
    tdm_graph_push(g, "deep");
    tdm_value a = tdm_relu(g, x);
    tdm_graph_pop(g);
    tdm_value b = tdm_relu(g, x);
    tdm_graph_pop(g);
    tdm_graph_pop(g); /* one too many */
    tdm_value c = tdm_relu(g, x);
    ck_assert_str_eq(tdm_graph_name(g, x), "weight");
    ck_assert_str_eq(tdm_graph_name(g, a), "encoder.0.deep.activation");
    ck_assert_str_eq(tdm_graph_name(g, b), "encoder.0.activation");
    ck_assert_str_eq(tdm_graph_name(g, c), "activation");
    ck_assert_str_eq(tdm_graph_name(g, TDM_NO_VALUE), "no value");
    ck_assert_ptr_null(tdm_graph_desc(g, 99));
    tdm_graph_push(g, "outer");
    tdm_graph_fail(g, TDM_ERR_CONFIG, "%d heads", 0);
    support_fails(tdm_graph_status(g), TDM_ERR_CONFIG, "outer: 0 heads");
}
END_TEST

START_TEST(walking)
{
    tdm_value x = tdm_graph_input(g, "x", tdm_desc_2(TDM_F32, 5, 3));
    tdm_value y = probe(g, x, TDM_NO_VALUE, 2.0f);
    tdm_relu(g, y);
    ck_assert_uint_eq(tdm__graph_node_count(g), 2);
    tdm__node_info info;
    tdm__graph_node_info(g, 0, &info);
    ck_assert_str_eq(info.name, "probe");
    ck_assert_ptr_eq(info.op, &probe_op);
    ck_assert_int_eq(info.io.n_in, 2); /* the absent bias included */
    ck_assert_int_eq(info.io.in[1].dtype, TDM_NONE);
    ck_assert_int_eq(info.in[1], TDM_NO_VALUE);
    ck_assert_int_eq(info.out[0], y);
    ck_assert_int_eq(info.io.out[0].dim[1], 3);
}
END_TEST

/* gradients ------------------------------------------------------------------------------------ */

START_TEST(gradient_fan_out)
{
    /* f = x x + 3 x + y: df/dx = 2 x + 3, df/dy = 1 */
    tdm_value v[2] = {scalar("x"), scalar("y")}, d[2];
    tdm_value f = tdm_add(g, tdm_add(g, tdm_multiply(g, v[0], v[0]), tdm_scale(g, v[0], 3)), v[1]);
    support_ok(tdm_graph_gradients(g, f, TDM_NO_VALUE, v, 2, d));
    const double at[2] = {5, 7};
    ck_assert_double_eq(evaluate(f, at, 2), 47);
    ck_assert_double_eq(evaluate(d[0], at, 2), 13);
    ck_assert_double_eq(evaluate(d[1], at, 2), 1);
}
END_TEST

START_TEST(gradient_diamond_deep)
{
    /* x_{i+1} = x_i x_i + x_i, ten times: each value has three uses; the derivative is the product
     * of 2 x_i + 1 */
    tdm_value x = scalar("x"), y = x, d;
    for (int i = 0; i < 10; i++) y = tdm_scale(g, tdm_add(g, tdm_multiply(g, y, y), y), 0.5f);
    support_ok(tdm_graph_gradients(g, y, TDM_NO_VALUE, &x, 1, &d));
    double at = 0.9, want = 1, v = at;
    for (int i = 0; i < 10; i++) {
        want *= 0.5 * (2 * v + 1);
        v = 0.5 * (v * v + v);
    }
    ck_assert_double_eq_tol(evaluate(y, &at, 1), v, 1e-15);
    ck_assert_double_eq_tol(evaluate(d, &at, 1), want, 1e-15);
}
END_TEST

START_TEST(gradient_of_an_inner_value)
{
    /* h = 2 x; f = h h: df/dh = 2 h and df/dx = 4 h at once */
    tdm_value x = scalar("x"), h = tdm_scale(g, x, 2), f = tdm_multiply(g, h, h), d[3];
    support_ok(tdm_graph_gradients(g, f, TDM_NO_VALUE, (tdm_value[]){h, x, f}, 3, d));
    const double at = 3;
    ck_assert_double_eq(evaluate(d[0], &at, 1), 12);
    ck_assert_double_eq(evaluate(d[1], &at, 1), 24);
    ck_assert_double_eq(evaluate(d[2], &at, 1), 1);
}
END_TEST

START_TEST(gradient_seeds_and_several_calls)
{
    tdm_value x = scalar("x"), seed = scalar("seed");
    tdm_value f = tdm_multiply(g, x, x), d[2];
    support_ok(tdm_graph_gradients(g, f, TDM_NO_VALUE, &x, 1, &d[0]));
    support_ok(tdm_graph_gradients(g, f, seed, &x, 1, &d[1]));
    const double at[2] = {3, 10};
    ck_assert_double_eq(evaluate(d[0], at, 2), 6);
    ck_assert_double_eq(evaluate(d[1], at, 2), 60);
}
END_TEST

START_TEST(gradient_where_none_flows)
{
    tdm_value x = scalar("x"), apart = scalar("apart");
    tdm_value frozen = tdm_graph_variable(g, "frozen", tdm_desc_scalar(), false);
    tdm_value f = tdm_multiply(g, tdm_detach(g, x), tdm_multiply(g, frozen, frozen)), d[5];
    size_t nodes = tdm__graph_node_count(g);
    support_ok(tdm_graph_gradients(g, f, TDM_NO_VALUE,
                                   (tdm_value[]){x, apart, frozen, TDM_NO_VALUE, 99}, 5, d));
    for (int i = 0; i < 5; i++) ck_assert_int_eq(d[i], TDM_NO_VALUE);
    ck_assert_uint_eq(tdm__graph_node_count(g), nodes); /* nothing was built for it */
}
END_TEST

START_TEST(gradient_builds_only_what_is_wanted)
{
    /* f = (a w1) w2 with a frozen: towards w2 alone one product is enough */
    tdm_value a = tdm_graph_variable(g, "a", tdm_desc_scalar(), false);
    tdm_value w1 = scalar("w1"), w2 = scalar("w2"), d[2];
    tdm_value h = tdm_multiply(g, a, w1), f = tdm_multiply(g, h, w2);
    size_t nodes = tdm__graph_node_count(g);
    support_ok(tdm_graph_gradients(g, f, TDM_NO_VALUE, &w2, 1, d));
    ck_assert_uint_eq(tdm__graph_node_count(g), nodes + 1);
    support_ok(tdm_graph_gradients(g, f, TDM_NO_VALUE, (tdm_value[]){w1, w2}, 2, d));
    ck_assert_uint_eq(tdm__graph_node_count(g), nodes + 1 + 3); /* dh, dw2, dw1 */
    const double at[3] = {2, 3, 5};
    ck_assert_double_eq(evaluate(d[0], at, 3), 10);
    ck_assert_double_eq(evaluate(d[1], at, 3), 6);
}
END_TEST

START_TEST(gradient_names_follow_the_forward_node)
{
    tdm_value x = scalar("x"), d;
    tdm_graph_push(g, "head");
    tdm_value f = tdm_scale(g, x, 2);
    support_ok(tdm_graph_gradients(g, f, TDM_NO_VALUE, &x, 1, &d));
    ck_assert_str_eq(tdm_graph_name(g, d), "head.scale.scale");
    ck_assert_str_eq(tdm_graph_name(g, tdm_scale(g, x, 1)), "head.scale"); /* the scope is back */
}
END_TEST

START_TEST(gradient_failures)
{
    tdm_value x = tdm_graph_variable(g, "x", tdm_desc_1(TDM_F32, 2), true), d;
    support_fails(tdm_graph_gradients(g, x, TDM_NO_VALUE, &x, 1, &d), TDM_ERR_SHAPE,
                  "gradients of x: must be one float, is f32[2]");
    ck_assert_int_eq(d, TDM_NO_VALUE);
    support_fails(tdm_graph_status(g), TDM_ERR_SHAPE, "gradients of x");
    teardown();
    setup();
    support_fails(tdm_graph_gradients(g, TDM_NO_VALUE, TDM_NO_VALUE, &x, 1, &d), TDM_ERR_SHAPE,
                  "gradients of no value: must be one float, is nothing");
    teardown();
    setup();
    x = tdm_graph_variable(g, "x", tdm_desc_1(TDM_F32, 2), true);
    tdm_value f = tdm_relu(g, x), seed = tdm_graph_constant(g, tdm_desc_1(TDM_F32, 3), 1);
    support_fails(tdm__graph_gradients_from(g, &f, &seed, 1, &x, 1, &d), TDM_ERR_SHAPE,
                  "gradient of activation: shape f32[3] instead of f32[2]");
}
END_TEST

/* the interpreter ------------------------------------------------------------------------------ */

START_TEST(interpreter_updates_variables)
{
    tdm_value v = scalar("v"), one = tdm_graph_constant(g, tdm_desc_scalar(), 1);
    tdm_value twice = probe_bumped(g, probe_bumped(g, v, one), v);
    double **values = tdm__calloc(4, sizeof *values), x = 5;
    values[v] = &x;
    support_ok(tdm__graph_interpret(g, &(tdm__step){0}, values, 4));
    ck_assert_ptr_eq(values[twice], &x);
    ck_assert_double_eq(x, 12); /* 5 + 1, doubled: the second amount is the updated value */
    tdm__graph_interpret_free(g, values);
    free(values);
}
END_TEST

START_TEST(interpreter_failures)
{
    tdm_value x = scalar("x");
    double *values[2] = {NULL, NULL};
    tdm_relu(g, x);
    support_fails(tdm__graph_interpret(g, NULL, values, 1), TDM_ERR_USAGE, "room for 1 values");
    support_fails(tdm__graph_interpret(g, NULL, values, 2), TDM_ERR_STATE, "x: has no elements");
}
END_TEST

/* Whatever allocation fails while a graph is made and differentiated, the graph says so and nothing
 * leaks. */
START_TEST(allocations_fail)
{
    for (uint64_t n = 1; n < 400; n++) {
        teardown();
        tdm__mem_fail_after(n);
        tdm_status status = tdm_graph_create(&g);
        if (!status) {
            tdm_graph_push(g, "scope");
            tdm_value x = tdm_graph_variable(g, "x", tdm_desc_scalar(), true), d;
            tdm_value f = tdm_multiply(g, tdm_relu(g, x), tdm_tanh(g, x));
            tdm_graph_pop(g);
            tdm_graph_gradients(g, f, TDM_NO_VALUE, &x, 1, &d);
            status = tdm_graph_status(g);
        }
        tdm__mem_fail_after(0);
        if (!status) {
            ck_assert_uint_gt(n, 20);
            return;
        }
        ck_assert_int_eq(status, TDM_ERR_NOMEM);
    }
    ck_abort_msg("the failures never ended");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("graph");
    TCase *c = tcase_create("graph");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, descs);
    tcase_add_test(c, impossible_shapes);
    tcase_add_test(c, first_failure_sticks);
    tcase_add_test(c, wrong_inputs);
    tcase_add_test(c, wrong_places);
    tcase_add_test(c, scopes);
    tcase_add_test(c, walking);
    tcase_add_test(c, gradient_fan_out);
    tcase_add_test(c, gradient_diamond_deep);
    tcase_add_test(c, gradient_of_an_inner_value);
    tcase_add_test(c, gradient_seeds_and_several_calls);
    tcase_add_test(c, gradient_where_none_flows);
    tcase_add_test(c, gradient_builds_only_what_is_wanted);
    tcase_add_test(c, gradient_names_follow_the_forward_node);
    tcase_add_test(c, gradient_failures);
    tcase_add_test(c, interpreter_updates_variables);
    tcase_add_test(c, interpreter_failures);
    tcase_add_test(c, allocations_fail);
    suite_add_tcase(suite, c);
    return support_run(suite);
}
