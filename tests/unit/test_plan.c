/* Plans on a real device: pruning, fusion, accumulation, places, memory, binding, guards. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <tandem/ops.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"
#include "cl/internal.h"
#include "graph/planning.h"
#include "support/op_case.h"
#include "support/probe.h"

static support_cl cl;
static tdm_graph *g;
static tdm__plan *plan;
static tdm__buffer memory; /* for variables, inputs and stored values: slots of 4096 bytes */

enum { SLOT = 4096, SLOTS = 64 };

static void open_device(void)
{
    support_cl_open(&cl, NULL);
    probe_kernels(&cl);
    support_ok(tdm__buffer_create(cl.device, SLOT * SLOTS, true, "test", &memory));
}

static void close_device(void)
{
    tdm__buffer_destroy(cl.device, &memory);
    ck_assert_uint_eq(tdm__device_bytes(cl.device), 0); /* plans and arenas gave all back */
    support_cl_close(&cl);
}

static void setup(void)
{
    support_ok(tdm_graph_create(&g));
}

static void teardown(void)
{
    tdm__plan_destroy(&plan);
    tdm_graph_destroy(&g);
}

static tdm__view slot(int i)
{
    return (tdm__view){&memory, (uint64_t)i * SLOT};
}

static void write_slot(int i, const float *values, size_t n)
{
    support_ok(tdm__view_write(cl.device, slot(i), values, n * sizeof *values));
}

/* A variable of n floats in slot i, all `value`. */
static tdm_value variable(int i, int64_t n, float value)
{
    float values[1024];
    for (int64_t k = 0; k < n; k++) values[k] = value;
    write_slot(i, values, (size_t)n);
    tdm_value v = tdm_graph_variable(g, "v", tdm_desc_1(TDM_F32, n), true);
    tdm__graph_place(g, v, slot(i));
    return v;
}

static void make(const tdm__plan_spec *spec)
{
    tdm__plan_spec whole = spec ? *spec : (tdm__plan_spec){0};
    whole.device = cl.device;
    tdm__plan_destroy(&plan);
    support_ok(tdm__plan_create(g, &whole, &plan));
}

static tdm__plan_stats stats(void)
{
    tdm__plan_stats s;
    tdm__plan_get_stats(plan, &s);
    return s;
}

static float first_at(tdm__view view)
{
    float f = -12345;
    support_ok(tdm__view_read(cl.device, view, &f, sizeof f));
    return f;
}

static float first(tdm_value value)
{
    tdm__view view = tdm__plan_view(plan, value);
    ck_assert_ptr_nonnull(view.buffer);
    return first_at(view);
}

/* pruning -------------------------------------------------------------------------------------- */

START_TEST(prunes_what_nobody_wants)
{
    tdm_value x = variable(0, 8, 3),
              apart = tdm_graph_variable(g, "apart", tdm_desc_scalar(), true);
    tdm_value wanted = tdm_scale(g, tdm_scale(g, x, 2), 5);
    tdm_value unwanted = tdm_relu(g, tdm_scale(g, apart, 3)); /* has no place: must not matter */
    tdm_graph_keep(g, wanted);
    make(NULL);
    ck_assert_int_eq(stats().nodes, 4);
    ck_assert_int_eq(stats().pruned, 2);
    ck_assert_int_eq(stats().launches, 2);
    ck_assert_ptr_null(tdm__plan_view(plan, unwanted).buffer);
    ck_assert_ptr_null(tdm__plan_view(plan, 99).buffer);
    support_ok(tdm__plan_run(plan));
    ck_assert_float_eq(first(wanted), 30);
}
END_TEST

START_TEST(effects_alone_keep_nothing)
{
    tdm_value v = variable(0, 1, 3), one = tdm_graph_constant(g, tdm_desc_1(TDM_F32, 1), 1);
    tdm_value bumped = probe_bumped(g, v, one);
    make(NULL);
    ck_assert_int_eq(stats().launches, 0);
    tdm_graph_keep(g, bumped);
    make(NULL);
    ck_assert_int_eq(stats().launches, 1);
    support_ok(tdm__plan_run(plan));
    support_ok(tdm__plan_run(plan));
    ck_assert_float_eq(first(bumped), 5);
    ck_assert_float_eq(first_at(slot(0)), 5);
}
END_TEST

START_TEST(no_prune_runs_all)
{
    tdm_relu(g, tdm_scale(g, variable(0, 8, 3), 2));
    make(&(tdm__plan_spec){.no_prune = true, .no_fuse = true});
    ck_assert_int_eq(stats().pruned, 0);
    ck_assert_int_eq(stats().launches, 2);
    support_ok(tdm__plan_run(plan));
}
END_TEST

START_TEST(frozen_parts_have_no_backward_pass)
{
    tdm_value frozen = variable(0, 8, 3), w = variable(1, 8, 2), grad[2];
    tdm_value target = tdm_graph_constant(g, tdm_desc_1(TDM_F32, 8), 0);
    tdm_value h = tdm_multiply(g, tdm_tanh(g, tdm_scale(g, frozen, 2)), w);
    tdm_value loss = tdm_l2_loss(g, h, target, TDM_NO_VALUE);
    support_ok(tdm_graph_gradients(g, loss, TDM_NO_VALUE, (tdm_value[]){w, frozen}, 2, grad));
    tdm_graph_keep(g, grad[0]);
    make(NULL);
    int with_frozen_pruned = stats().launches;
    tdm_graph_keep(g, grad[1]);
    make(NULL);
    ck_assert_int_gt(stats().launches, with_frozen_pruned);
}
END_TEST

/* fusion --------------------------------------------------------------------------------------- */

/* probe + affine + residual + activation */
static tdm_value chain(tdm_value x, tdm_value scale, tdm_value shift, tdm_value residual)
{
    tdm_value y = probe_affine(g, probe(g, x, TDM_NO_VALUE, 2), scale, shift);
    return tdm_leaky_relu(g, tdm_add(g, y, residual), 0.5f);
}

START_TEST(fuses_the_whole_epilogue)
{
    tdm_value x = variable(0, 8, 3), scale = variable(1, 8, -2), shift = variable(2, 8, 1),
              residual = variable(3, 8, 5);
    tdm_value y = chain(x, scale, shift, residual);
    tdm_graph_keep(g, y);
    make(NULL);
    ck_assert_int_eq(stats().fused, 3);
    ck_assert_int_eq(stats().launches, 1);
    support_ok(tdm__plan_run(plan));
    ck_assert_float_eq(first(y), 0.5f * (-2 * 2 * 3 + 1 + 5));
    make(&(tdm__plan_spec){.no_fuse = true});
    ck_assert_int_eq(stats().launches, 4);
    support_ok(tdm__plan_run(plan));
    ck_assert_float_eq(first(y), 0.5f * (-2 * 2 * 3 + 1 + 5));
}
END_TEST

START_TEST(fused_operands_may_be_made_after_the_producer)
{
    tdm_value x = variable(0, 8, 3);
    tdm_value y = probe(g, x, TDM_NO_VALUE, 2);
    tdm_value late = tdm_tanh(g, tdm_scale(g, x, 10)); /* 1 in float */
    tdm_value z = tdm_add(g, y, late);
    tdm_graph_keep(g, z);
    make(NULL);
    ck_assert_int_eq(stats().fused, 1);
    support_ok(tdm__plan_run(plan));
    ck_assert_float_eq(first(z), 7);
}
END_TEST

START_TEST(does_not_fuse_what_others_need)
{
    tdm_value x = variable(0, 8, -3), y = probe(g, x, TDM_NO_VALUE, 2), z = tdm_relu(g, y);
    tdm_graph_keep(g, z);
    make(NULL);
    ck_assert_int_eq(stats().fused, 1);
    tdm_graph_keep(g, y); /* wanted itself */
    make(NULL);
    ck_assert_int_eq(stats().fused, 0);
    support_ok(tdm__plan_run(plan));
    ck_assert_float_eq(first(y), -6);
    ck_assert_float_eq(first(z), 0);

    tdm_value u = probe(g, x, TDM_NO_VALUE, 2); /* read twice */
    tdm_value w = tdm_multiply(g, tdm_relu(g, u), u);
    tdm_graph_keep(g, w);
    make(NULL);
    ck_assert_int_eq(stats().fused, 0);
}
END_TEST

START_TEST(does_not_fuse_out_of_order)
{
    /* act, then affine: the affine part must stay outside */
    tdm_value x = variable(0, 8, -3), c = variable(1, 8, 2);
    tdm_value y = tdm_relu(g, probe(g, x, TDM_NO_VALUE, -1));
    y = probe_affine(g, y, c, c);
    y = tdm_relu(g, y);
    tdm_graph_keep(g, y);
    make(NULL);
    support_ok(tdm__plan_run(plan));
    ck_assert_float_eq(first(y), 8);
    ck_assert_int_ge(stats().launches, 2);
}
END_TEST

START_TEST(does_not_delay_past_an_update)
{
    /* y reads v before it is bumped; moving it behind would read 4 */
    tdm_value v = variable(0, 1, 3), one = tdm_graph_constant(g, tdm_desc_1(TDM_F32, 1), 1);
    tdm_value y = probe(g, v, TDM_NO_VALUE, 1);
    tdm_value bumped = probe_bumped(g, v, one), z = tdm_relu(g, y);
    tdm_graph_keep(g, z);
    tdm_graph_keep(g, bumped);
    make(NULL);
    ck_assert_int_eq(stats().fused, 0);
    support_ok(tdm__plan_run(plan));
    ck_assert_float_eq(first(z), 3);
    ck_assert_float_eq(first(bumped), 4);
}
END_TEST

/* places --------------------------------------------------------------------------------------- */

START_TEST(stores_without_copies)
{
    tdm_value x = variable(0, 8, 3), y = tdm_scale(g, x, 2);
    tdm__graph_store(g, y, slot(1));
    make(NULL);
    ck_assert_int_eq(stats().launches, 1);
    support_ok(tdm__plan_run(plan));
    ck_assert_float_eq(first_at(slot(1)), 6);
    ck_assert_float_eq(first(y), 6);
}
END_TEST

START_TEST(stores_with_copies_where_it_must)
{
    tdm_value x = variable(0, 8, 3), y = tdm_scale(g, x, 2);
    tdm__graph_store(g, y, slot(1));
    tdm__graph_store(g, y, slot(2));                                                /* twice */
    tdm__graph_store(g, x, slot(3));                                                /* a variable */
    tdm__graph_store(g, tdm_graph_constant(g, tdm_desc_1(TDM_F32, 8), 9), slot(4)); /* a constant */
    make(NULL);
    ck_assert_int_eq(stats().launches, 1 + 3);
    support_ok(tdm__plan_run(plan));
    ck_assert_float_eq(first_at(slot(1)), 6);
    ck_assert_float_eq(first_at(slot(2)), 6);
    ck_assert_float_eq(first_at(slot(3)), 3);
    ck_assert_float_eq(first_at(slot(4)), 9);
}
END_TEST

START_TEST(storing_onto_a_variable_waits_for_its_readers)
{
    /* new = 2 v goes to v's own place, but v is read again afterwards */
    tdm_value v = variable(0, 8, 3), next = tdm_scale(g, v, 2), sum = tdm_add(g, next, v);
    tdm__graph_store(g, next, slot(0));
    tdm_graph_keep(g, sum);
    make(NULL);
    support_ok(tdm__plan_run(plan));
    ck_assert_float_eq(first(sum), 9);
    ck_assert_float_eq(first_at(slot(0)), 6);
    support_ok(tdm__plan_run(plan));
    ck_assert_float_eq(first(sum), 18);
}
END_TEST

START_TEST(replacing_a_variable_in_place)
{
    tdm_value v = variable(0, 8, 3), next = tdm_scale(g, v, 2);
    tdm__graph_store(g, next, slot(0));
    make(NULL);
    ck_assert_int_eq(stats().inplace, 1);
    ck_assert_int_eq(stats().launches, 1);
    support_ok(tdm__plan_run(plan));
    ck_assert_float_eq(first_at(slot(0)), 6);
}
END_TEST

START_TEST(accumulates_onto_a_variable)
{
    /* gradients summed over micro-batches: v + f(x) stored at v */
    tdm_value x = variable(0, 8, 3), v = variable(1, 8, 10);
    tdm_value sum = tdm_add(g, v, probe(g, x, TDM_NO_VALUE, 2));
    tdm__graph_store(g, sum, slot(1));
    make(NULL);
    ck_assert_int_eq(stats().accumulated, 1);
    ck_assert_int_eq(stats().launches, 1);
    for (int i = 1; i <= 3; i++) {
        support_ok(tdm__plan_run(plan));
        ck_assert_float_eq(first_at(slot(1)), 10 + 6.0f * (float)i);
    }
}
END_TEST

START_TEST(accumulates_a_chain_of_contributions)
{
    tdm_value x = variable(0, 8, 1);
    tdm_value sum = probe(g, tdm_tanh(g, x), TDM_NO_VALUE, 0);
    for (int i = 1; i <= 4; i++) sum = tdm_add(g, sum, probe(g, x, TDM_NO_VALUE, (float)i));
    tdm__graph_store(g, sum, slot(1));
    make(NULL);
    ck_assert_int_eq(stats().fused + stats().accumulated, 4);
    ck_assert_int_eq(stats().launches, 6);
    support_ok(tdm__plan_run(plan));
    ck_assert_float_eq(first_at(slot(1)), 10);
}
END_TEST

START_TEST(does_not_accumulate_onto_what_lives)
{
    tdm_value x = variable(0, 8, 3), a = tdm_scale(g, x, 2), b = tdm_scale(g, x, 5);
    tdm_value sum = tdm_add(g, a, b), late = tdm_multiply(g, a, sum);
    tdm_graph_keep(g, late);
    make(NULL);
    support_ok(tdm__plan_run(plan));
    ck_assert_float_eq(first(late), 6 * 21);
}
END_TEST

START_TEST(a_view_keeps_its_source_alive)
{
    tdm_value x = variable(0, 8, 3), a = tdm_scale(g, x, 2);
    tdm_value view = tdm_reshape(g, a, 2, (int64_t[]){2, 4});
    tdm_value b = tdm_scale(g, a, 5); /* must not take a's storage */
    tdm_value c = tdm_scale(g, view, 7);
    tdm_graph_keep(g, b);
    tdm_graph_keep(g, c);
    make(NULL);
    ck_assert_int_eq(stats().launches, 3); /* the reshape is none */
    support_ok(tdm__plan_run(plan));
    ck_assert_float_eq(first(b), 30);
    ck_assert_float_eq(first(c), 42);
}
END_TEST

START_TEST(constants_of_every_type)
{
    tdm_value f = tdm_graph_constant(g, tdm_desc_1(TDM_F32, 3), -1.5f);
    tdm_value i = tdm_graph_constant(g, tdm_desc_1(TDM_I32, 3), 7);
    tdm_value u = tdm_graph_constant(g, tdm_desc_1(TDM_U8, 5), 200);
    tdm_graph_keep(g, f);
    tdm_graph_keep(g, i);
    tdm_graph_keep(g, u);
    make(NULL);
    float floats[3];
    int32_t ints[3];
    uint8_t bytes[5];
    support_ok(tdm__view_read(cl.device, tdm__plan_view(plan, f), floats, sizeof floats));
    support_ok(tdm__view_read(cl.device, tdm__plan_view(plan, i), ints, sizeof ints));
    support_ok(tdm__view_read(cl.device, tdm__plan_view(plan, u), bytes, sizeof bytes));
    ck_assert_float_eq(floats[2], -1.5f);
    ck_assert_int_eq(ints[2], 7);
    ck_assert_int_eq(bytes[4], 200);
}
END_TEST

/* binding -------------------------------------------------------------------------------------- */

START_TEST(binds_again_and_again)
{
    tdm_value x = tdm_graph_input(g, "x", tdm_desc_1(TDM_F32, 8)), c = variable(9, 8, 1);
    tdm_value y = tdm_add(g, tdm_scale(g, x, 2), c);
    tdm_value z = tdm_multiply(g, tdm_reshape(g, x, 2, (int64_t[]){2, 4}),
                               tdm_reshape(g, x, 2, (int64_t[]){2, 4}));
    tdm_graph_keep(g, y);
    tdm_graph_keep(g, z);
    tdm_graph_keep(g, x);
    tdm__graph_store(g, x, slot(8));
    make(NULL);
    support_fails(tdm__plan_run(plan), TDM_ERR_STATE, "input x is not bound");
    for (int i = 1; i <= 3; i++) {
        float values[8];
        for (int k = 0; k < 8; k++) values[k] = (float)i;
        write_slot(i, values, 8);
    }
    const int order[] = {1, 3, 2, 2, 1};
    for (int k = 0; k < 5; k++) {
        support_ok(tdm__plan_bind(plan, x, slot(order[k])));
        support_ok(tdm__plan_run(plan));
        float at = (float)order[k];
        ck_assert_float_eq(first(y), 2 * at + 1);
        ck_assert_float_eq(first(z), at * at);
        ck_assert_float_eq(first(x), at);
        ck_assert_float_eq(first_at(slot(8)), at);
    }
    support_fails(tdm__plan_bind(plan, y, slot(1)), TDM_ERR_STATE, "is no input of this plan");
    support_fails(tdm__plan_bind(plan, x, (tdm__view){0}), TDM_ERR_STATE,
                  "input x: bound to less than its 32 bytes");
    support_fails(tdm__plan_bind(plan, x, (tdm__view){&memory, SLOT * SLOTS - 28}), TDM_ERR_STATE,
                  "input x: bound to less than its 32 bytes");
}
END_TEST

START_TEST(unused_inputs_need_no_binding)
{
    tdm_value x = tdm_graph_input(g, "x", tdm_desc_1(TDM_F32, 8));
    tdm_value y = tdm_scale(g, variable(0, 8, 1), 2);
    tdm_scale(g, x, 1);
    tdm_graph_keep(g, y);
    make(NULL);
    support_ok(tdm__plan_run(plan));
    support_ok(tdm__plan_bind(plan, x, slot(3)));
}
END_TEST

static const char *choose_clblast(void *user, const char *key)
{
    ++*(int *)user;
    return tdm__starts_with(key, "dense|") ? "clblast" : NULL;
}

/* A CLBlast call is no prepared launch: its operands must follow the binding all the same. */
START_TEST(binds_clblast_operands)
{
    const char *wanted = getenv("TANDEM_TEST_CLBLAST");
    if (!wanted || !*wanted || *wanted == '0') {
        printf("SKIPPED: binds_clblast_operands (no TANDEM_TEST_CLBLAST)\n");
        return;
    }
    tdm_value x = tdm_graph_input(g, "x", tdm_desc_2(TDM_F32, 2, 4));
    tdm_value w = tdm_graph_input(g, "w", tdm_desc_2(TDM_F32, 4, 3));
    tdm_value y = tdm_dense(g, x, w, TDM_NO_VALUE);
    tdm_graph_keep(g, y);
    int asked = 0;
    make(&(tdm__plan_spec){.choose = choose_clblast, .choose_user = &asked});
    ck_assert_int_eq(asked, 1);
    char *text = NULL;
    support_ok(tdm__plan_text(plan, &text));
    ck_assert_ptr_nonnull(strstr(text, "clblast"));
    free(text);
    for (int i = 1; i <= 3; i++) {
        float values[12];
        for (int k = 0; k < 12; k++) values[k] = (float)i;
        write_slot(i, values, 12);
    }
    for (int i = 1; i <= 3; i++) {
        support_ok(tdm__plan_bind(plan, x, slot(i)));
        support_ok(tdm__plan_bind(plan, w, slot(4 - i)));
        support_ok(tdm__plan_run(plan));
        ck_assert_float_eq(first(y), 4.0f * (float)i * (float)(4 - i));
    }
}
END_TEST

/* choosing, looking ---------------------------------------------------------------------------- */

static const char *choose_other(void *user, const char *key)
{
    tdm__str_addf(user, "%s\n", key);
    return tdm__starts_with(key, "probe|") ? "other" : "no such algorithm";
}

START_TEST(chooses_by_key)
{
    tdm_value y = probe(g, variable(0, 8, 3), variable(1, 8, 1), 2), z = tdm_tanh(g, y);
    tdm_graph_keep(g, y);
    tdm_graph_keep(g, z);
    tdm__str keys = {0};
    make(&(tdm__plan_spec){.choose = choose_other, .choose_user = &keys});
    ck_assert_msg(strstr(tdm__str_text(&keys), "|f32[8],f32[8]|factor=2 stray=0\n") != NULL, "%s",
                  tdm__str_text(&keys));
    ck_assert(tdm__starts_with(tdm__str_text(&keys), "probe|"));
    char *text = NULL;
    support_ok(tdm__plan_text(plan, &text));
    ck_assert_ptr_nonnull(strstr(text, "other"));
    ck_assert_ptr_nonnull(strstr(text, "flat")); /* the activation's own */
    ck_assert_ptr_nonnull(strstr(text, "f32[8]"));
    free(text);
    make(NULL);
    support_ok(tdm__plan_text(plan, &text));
    ck_assert_ptr_null(strstr(text, "other"));
    ck_assert_ptr_nonnull(strstr(text, "plain"));
    free(text);
    tdm__str_free(&keys);
}
END_TEST

static void count_launch(void *user, const char *op, const char *node, tdm__launch *launch)
{
    ck_assert_ptr_nonnull(launch->name);
    ck_assert(strlen(op) > 0 && strlen(node) > 0);
    ++*(int *)user;
}

START_TEST(walks_launches_and_sums_costs)
{
    tdm_value y = probe(g, variable(0, 8, 3), TDM_NO_VALUE, 2);
    tdm__graph_store(g, y, slot(1));
    tdm__graph_store(g, y, slot(2));
    make(NULL);
    int n = 0;
    tdm__plan_each_launch(plan, count_launch, &n);
    ck_assert_int_eq(n, 2);
    ck_assert_double_eq(stats().bytes, 32 + 32 + 64); /* in, out; the copy's both sides */
}
END_TEST

/* failures ------------------------------------------------------------------------------------- */

static tdm_status try_make(const tdm__plan_spec *spec)
{
    tdm__plan_spec whole = *spec;
    whole.device = cl.device;
    tdm_status status = tdm__plan_create(g, &whole, &plan);
    if (status) ck_assert_ptr_null(plan);
    return status;
}

START_TEST(a_variable_without_place)
{
    tdm_graph_keep(g, tdm_relu(g, tdm_graph_variable(g, "w", tdm_desc_1(TDM_F32, 4), true)));
    support_fails(try_make(&(tdm__plan_spec){0}), TDM_ERR_STATE, "variable w has no place");
}
END_TEST

START_TEST(a_failed_graph)
{
    tdm_graph_fail(g, TDM_ERR_CONFIG, "no such head");
    support_fails(try_make(&(tdm__plan_spec){0}), TDM_ERR_CONFIG, "no such head");
}
END_TEST

START_TEST(step_scalars_missing)
{
    tdm_graph_keep(g, tdm_dropout(g, variable(0, 8, 1), 0.5f, 1));
    support_fails(try_make(&(tdm__plan_spec){0}), TDM_ERR_STATE, "dropout");
    support_message_has("needs the step scalars");
}
END_TEST

START_TEST(device_memory_exhausted)
{
    tdm_value x = tdm_graph_input(g, "x", tdm_desc_1(TDM_F32, 1 << 20));
    tdm_value y = tdm_add(g, tdm_scale(g, x, 2), tdm_scale(g, x, 3));
    tdm_graph_keep(g, y);
    uint64_t before = tdm__device_bytes(cl.device);
    tdm__device_set_memory_limit(cl.device, before + (1 << 20));
    support_fails(try_make(&(tdm__plan_spec){0}), TDM_ERR_NOMEM, "activations");
    ck_assert_uint_eq(tdm__device_bytes(cl.device), before);
    tdm__device_set_memory_limit(cl.device, UINT64_MAX);
    support_ok(try_make(&(tdm__plan_spec){0}));
}
END_TEST

START_TEST(guards_catch_stray_writes)
{
    tdm_value x = variable(0, 8, 3), y = probe_stray(g, x, 0), after = probe_stray(g, x, 8),
              before = probe_stray(g, x, -1);
    const tdm__plan_spec guard = {.guard = true};
    tdm_graph_keep(g, y);
    make(&guard);
    support_ok(tdm__plan_run(plan));
    support_ok(tdm__plan_check_guards(plan));
    tdm_graph_keep(g, after);
    make(&guard);
    support_ok(tdm__plan_run(plan));
    support_fails(tdm__plan_check_guards(plan), TDM_ERR_RUNTIME,
                  "probe: written out of bounds after its 32 bytes");
    teardown();
    setup();
    before = probe_stray(g, variable(0, 8, 3), -1);
    tdm_graph_keep(g, before);
    make(&guard);
    support_ok(tdm__plan_run(plan));
    support_fails(tdm__plan_check_guards(plan), TDM_ERR_RUNTIME, "out of bounds before");
}
END_TEST

START_TEST(allocations_fail)
{
    tdm_value x = variable(0, 8, 3), in = tdm_graph_input(g, "x", tdm_desc_1(TDM_F32, 8));
    tdm_value y = tdm_add(g, tdm_relu(g, probe(g, x, TDM_NO_VALUE, 2)), tdm_tanh(g, in));
    tdm__graph_store(g, y, slot(1));
    tdm__graph_store(g, y, slot(2));
    make(NULL); /* the programs exist from here on */
    uint64_t bytes = tdm__device_bytes(cl.device);
    for (uint64_t n = 1; n < 1000; n++) {
        tdm__plan_destroy(&plan);
        tdm__mem_fail_after(n);
        tdm_status status = try_make(&(tdm__plan_spec){0});
        tdm__mem_fail_after(0);
        if (!status) {
            ck_assert_uint_gt(n, 30);
            ck_assert_uint_eq(tdm__device_bytes(cl.device), bytes);
            return;
        }
        ck_assert_int_eq(status, TDM_ERR_NOMEM);
    }
    ck_abort_msg("the failures never ended");
}
END_TEST

/* memory --------------------------------------------------------------------------------------- */

START_TEST(regions_never_overlap)
{
    enum { N = 120 };
    tdm__rng rng = tdm__rng_make(3, 14);
    for (int round = 0; round < 60; round++) {
        tdm__region r[N];
        uint64_t *extent = NULL, capacity[2] = {3000, 500}, lived[400] = {0}, total = 0;
        size_t chunks = 0;
        for (int i = 0; i < N; i++) {
            int begin = (int)tdm__rng_below(&rng, 300);
            r[i] = (tdm__region){.bytes = 1 + tdm__rng_below(&rng, 2000),
                                 .first = begin,
                                 .last = begin + (int)tdm__rng_below(&rng, 40)};
            for (int t = r[i].first; t <= r[i].last; t++) lived[t] += r[i].bytes;
            total += r[i].bytes;
        }
        support_ok(tdm__regions_place(r, N, 128, capacity, 2, 40000, &extent, &chunks));
        uint64_t placed = 0, peak = 0;
        for (int t = 0; t < 400; t++)
            if (lived[t] > peak) peak = lived[t];
        for (size_t c = 0; c < chunks; c++) {
            ck_assert_uint_le(extent[c], c < 2 ? capacity[c] : 40000);
            placed += extent[c];
        }
        ck_assert_uint_le(placed, total);
        ck_assert_uint_le(placed, peak * 3 / 2 + 3500); /* near the least possible */
        for (int i = 0; i < N; i++) {
            ck_assert_uint_eq(r[i].offset % 128, 0);
            ck_assert_uint_le(r[i].offset + r[i].bytes, extent[r[i].chunk]);
            for (int k = 0; k < i; k++) {
                bool together = r[i].first <= r[k].last && r[k].first <= r[i].last;
                bool apart = r[i].chunk != r[k].chunk || r[i].offset + r[i].bytes <= r[k].offset ||
                             r[k].offset + r[k].bytes <= r[i].offset;
                ck_assert_msg(!together || apart, "regions %d and %d overlap", i, k);
            }
        }
        free(extent);
    }
}
END_TEST

START_TEST(regions_too_large)
{
    tdm__region r = {.bytes = 5000};
    uint64_t *extent = NULL;
    size_t chunks = 0;
    support_fails(tdm__regions_place(&r, 1, 128, NULL, 0, 4096, &extent, &chunks), TDM_ERR_NOMEM,
                  "a tensor of 5000 bytes: the device allocates at most 4096 at once");
    free(extent);
}
END_TEST

/* A long chain needs the memory of two tensors, not of all. */
START_TEST(memory_is_reused)
{
    tdm_value x = tdm_graph_input(g, "x", tdm_desc_1(TDM_F32, 1024)), y = x;
    for (int i = 0; i < 20; i++) {
        tdm_value z = tdm_scale(g, y, 0.5f);
        y = tdm_multiply(g, z, tdm_slice(g, tdm_concat(g, (tdm_value[]){z, z}, 2, 0), 0, 0, 1024));
    }
    tdm_graph_keep(g, y);
    make(NULL);
    ck_assert_uint_gt(stats().naive_bytes, 3 * 20 * 4096);
    ck_assert_uint_le(stats().arena_bytes, 5 * 4096);
}
END_TEST

START_TEST(plans_share_an_arena)
{
    tdm__arena *arena = NULL;
    tdm_graph *other = NULL;
    tdm__plan *small = NULL;
    support_ok(tdm__arena_create(cl.device, &arena));
    tdm_value x = variable(0, 8, 3), y = tdm_scale(g, tdm_tanh(g, x), 2);
    tdm_graph_keep(g, y);
    support_ok(tdm__plan_create(g, &(tdm__plan_spec){.device = cl.device, .arena = arena}, &small));
    uint64_t with_one = tdm__device_bytes(cl.device);

    support_ok(tdm_graph_create(&other)); /* four times as large */
    tdm_value in = tdm_graph_input(other, "x", tdm_desc_1(TDM_F32, 1024));
    tdm_value out = tdm_concat(other, (tdm_value[]){tdm_scale(other, in, 2), in}, 2, 0);
    tdm_graph_keep(other, out);
    support_ok(
        tdm__plan_create(other, &(tdm__plan_spec){.device = cl.device, .arena = arena}, &plan));
    ck_assert_uint_gt(tdm__device_bytes(cl.device), with_one);
    for (int i = 0; i < 2; i++) {
        float values[1024] = {(float)i + 7};
        write_slot(5, values, 1024);
        support_ok(tdm__plan_bind(plan, in, slot(5)));
        support_ok(tdm__plan_run(small));
        ck_assert_float_eq_tol(first_at(tdm__plan_view(small, y)), 2 * tanhf(3), 1e-6f);
        support_ok(tdm__plan_run(plan));
        ck_assert_float_eq(first(out), 2 * ((float)i + 7));
    }
    uint64_t with_both = tdm__device_bytes(cl.device);
    tdm__plan *third = NULL; /* fits what is there */
    support_ok(tdm__plan_create(g, &(tdm__plan_spec){.device = cl.device, .arena = arena}, &third));
    tdm__plan_destroy(&small);
    ck_assert_uint_le(tdm__device_bytes(cl.device), with_both);
    tdm__plan_destroy(&third);
    tdm__plan_destroy(&plan);
    tdm_graph_destroy(&other);
    tdm__arena_destroy(&arena);
}
END_TEST

/* random graphs -------------------------------------------------------------------------------- */

enum { POOL = 40 };

static tdm_value pick(tdm__rng *rng, const tdm_value *pool, int n)
{
    return pool[tdm__rng_below(rng, (uint64_t)n)];
}

/* Another value of v's shape, or v. */
static tdm_value like(op_case *c, tdm__rng *rng, const tdm_value *pool, int n, tdm_value v)
{
    for (int tries = 0; tries < 8; tries++) {
        tdm_value w = pick(rng, pool, n);
        if (tdm_desc_equal(tdm_graph_desc(c->graph, v), tdm_graph_desc(c->graph, w))) return w;
    }
    return v;
}

static tdm_value datum(op_case *c, tdm__rng *rng, tdm_desc desc, bool input)
{
    size_t n = (size_t)tdm_desc_count(&desc);
    double *host = tdm__calloc(n, sizeof *host);
    ck_assert_ptr_nonnull(host);
    for (size_t i = 0; i < n; i++) host[i] = (double)(float)tdm__rng_normal(rng);
    return op_case_data(c, input ? "input" : "variable", desc, input, host);
}

/* channels: scale and shift; pool: values of shape (n,8). */
static tdm_value random_node(op_case *c, tdm__rng *rng, const tdm_value *channels,
                             const tdm_value *pool, int n)
{
    tdm_graph *graph = c->graph;
    tdm_value v = pick(rng, pool, n);
    tdm_desc d = *tdm_graph_desc(graph, v);
    switch (tdm__rng_below(rng, 11)) {
    case 0:
        return tdm_add(graph, v, like(c, rng, pool, n, v));
    case 1:
        return tdm_multiply(graph, tdm_tanh(graph, v), like(c, rng, pool, n, v));
    case 2:
        return tdm_scale(graph, v, 0.75f);
    case 3:
        return tdm_leaky_relu(graph, v, 0.25f);
    case 4:
        return tdm_sigmoid(graph, v);
    case 5:
    case 6:
        return probe(graph, v, TDM_NO_VALUE, -0.5f);
    case 7:
        return probe_affine(graph, probe(graph, v, TDM_NO_VALUE, 0.9f), channels[0], channels[1]);
    case 8:
        return tdm_slice(graph, v, 0, 0, d.dim[0] > 1 ? d.dim[0] / 2 : 1);
    case 9:
        if (d.dim[0] > 64) return tdm_tanh(graph, v);
        return tdm_concat(graph, (tdm_value[]){v, pick(rng, pool, n)}, 2, 0);
    default:
        return tdm_scale(
            graph, tdm_reshape(graph, tdm_reshape(graph, v, 1, (int64_t[]){-1}), 2, d.dim), 1.5f);
    }
}

/* pool[0], pool[1] are (8): scale and shift; all others (n,8). */
static int random_graph(op_case *c, tdm__rng *rng, tdm_value *pool)
{
    int n = 0;
    pool[n++] = datum(c, rng, tdm_desc_1(TDM_F32, 8), false);
    pool[n++] = datum(c, rng, tdm_desc_1(TDM_F32, 8), false);
    pool[n++] = datum(c, rng, tdm_desc_2(TDM_F32, 16, 8), false);
    pool[n++] = datum(c, rng, tdm_desc_2(TDM_F32, 16, 8), true);
    pool[n++] = datum(c, rng, tdm_desc_2(TDM_F32, 5, 8), true);
    int data = n, total = data + 5 + (int)tdm__rng_below(rng, POOL - 12);
    while (n < total) {
        pool[n] = random_node(c, rng, pool, pool + 2, n - 2);
        n++;
    }
    return n;
}

static tdm_value random_loss(op_case *c, tdm__rng *rng, const tdm_value *pool, int n)
{
    tdm_value loss = TDM_NO_VALUE;
    for (int i = 0; i < 3; i++) {
        tdm_value v = pool[n - 1 - (int)tdm__rng_below(rng, 4)];
        tdm_value target = tdm_graph_constant(c->graph, *tdm_graph_desc(c->graph, v), 0.5f);
        tdm_value one = tdm_l2_loss(c->graph, v, target, TDM_NO_VALUE);
        loss = i ? tdm_add(c->graph, loss, one) : one;
    }
    return loss;
}

static void compare_case(op_case *c, const tdm_value *values, int n, int round, int mode)
{
    for (int i = 0; i < n; i++) {
        double *got = NULL;
        int64_t at;
        if (values[i] < 0) continue;
        support_ok(op_case_read(c, values[i], &got));
        double error =
            op_case_error(tdm_graph_desc(c->graph, values[i]), got, c->values[values[i]], &at);
        ck_assert_msg(error < 1e-4, "graph %d, mode %d, %s: error %g at %lld", round, mode,
                      tdm_graph_name(c->graph, values[i]), error, (long long)at);
        free(got);
    }
}

/* Random graphs with gradients: with every combination of planning modes the device agrees with the
 * host, which shares nothing between values. */
START_TEST(random_graphs)
{
    tdm__buffer stored = {0};
    support_ok(tdm__buffer_create(cl.device, 1 << 16, true, "stored", &stored));
    const tdm__plan_spec modes[] = {{0}, {.no_fuse = true}, {.guard = true}, {.no_prune = true}};
    tdm__plan_stats sum = {0};
    for (int round = 0; round < 60; round++) {
        op_case c;
        tdm__rng rng = tdm__rng_make(99, (uint64_t)round);
        tdm_value pool[POOL + 2], want[12], wrt[6], grads[6];
        int n_want = 0;
        support_ok(op_case_open(&c, cl.device, (tdm__view){0}));
        int n = random_graph(&c, &rng, pool);
        tdm_value loss = random_loss(&c, &rng, pool, n);
        for (int i = 0; i < 5; i++) wrt[i] = pool[i];
        wrt[5] = pool[6]; /* an inner value */
        support_ok(tdm_graph_gradients(c.graph, loss, TDM_NO_VALUE, wrt, 6, grads));
        for (int i = 0; i < 6; i++) {
            if (grads[i] < 0) continue;
            want[n_want++] = grads[i];
            if (tdm__rng_below(&rng, 2))
                tdm__graph_store(c.graph, grads[i], (tdm__view){&stored, (uint64_t)i * 8192});
            else
                tdm_graph_keep(c.graph, grads[i]);
        }
        want[n_want++] = loss;
        want[n_want++] = pool[5 + (int)tdm__rng_below(&rng, (uint64_t)(n - 5))];
        for (int i = n_want - 2; i < n_want; i++) tdm_graph_keep(c.graph, want[i]);
        support_ok(tdm_graph_status(c.graph));
        support_ok(op_case_interpret(&c, TDM_NO_VALUE, NULL));
        for (int mode = 0; mode < 4; mode++) {
            support_ok(op_case_plan(&c, &modes[mode]));
            tdm__plan_stats s;
            tdm__plan_get_stats(c.plan, &s);
            ck_assert_uint_le(s.arena_bytes, s.naive_bytes + 128 * (uint64_t)s.nodes);
            sum.fused += s.fused;
            sum.accumulated += s.accumulated;
            sum.inplace += s.inplace;
            for (int again = 0; again < 2; again++) {
                support_ok(op_case_run(&c));
                compare_case(&c, want, n_want, round, mode);
            }
        }
        op_case_close(&c);
    }
    tdm__buffer_destroy(cl.device, &stored);
    ck_assert_int_gt(sum.fused, 200); /* the graphs do exercise the planner */
    ck_assert_int_gt(sum.accumulated, 100);
    ck_assert_int_gt(sum.inplace, 500);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("plan");
    TCase *c = tcase_create("plan");
    tcase_set_timeout(c, 600);
    tcase_add_unchecked_fixture(c, open_device, close_device);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, prunes_what_nobody_wants);
    tcase_add_test(c, effects_alone_keep_nothing);
    tcase_add_test(c, no_prune_runs_all);
    tcase_add_test(c, frozen_parts_have_no_backward_pass);
    tcase_add_test(c, fuses_the_whole_epilogue);
    tcase_add_test(c, fused_operands_may_be_made_after_the_producer);
    tcase_add_test(c, does_not_fuse_what_others_need);
    tcase_add_test(c, does_not_fuse_out_of_order);
    tcase_add_test(c, does_not_delay_past_an_update);
    tcase_add_test(c, stores_without_copies);
    tcase_add_test(c, stores_with_copies_where_it_must);
    tcase_add_test(c, storing_onto_a_variable_waits_for_its_readers);
    tcase_add_test(c, replacing_a_variable_in_place);
    tcase_add_test(c, accumulates_onto_a_variable);
    tcase_add_test(c, accumulates_a_chain_of_contributions);
    tcase_add_test(c, does_not_accumulate_onto_what_lives);
    tcase_add_test(c, a_view_keeps_its_source_alive);
    tcase_add_test(c, constants_of_every_type);
    tcase_add_test(c, binds_again_and_again);
    tcase_add_test(c, unused_inputs_need_no_binding);
    tcase_add_test(c, binds_clblast_operands);
    tcase_add_test(c, chooses_by_key);
    tcase_add_test(c, walks_launches_and_sums_costs);
    tcase_add_test(c, a_variable_without_place);
    tcase_add_test(c, a_failed_graph);
    tcase_add_test(c, step_scalars_missing);
    tcase_add_test(c, device_memory_exhausted);
    tcase_add_test(c, guards_catch_stray_writes);
    tcase_add_test(c, allocations_fail);
    tcase_add_test(c, regions_never_overlap);
    tcase_add_test(c, regions_too_large);
    tcase_add_test(c, memory_is_reused);
    tcase_add_test(c, plans_share_an_arena);
    tcase_add_test(c, random_graphs);
    suite_add_tcase(suite, c);
    return support_run(suite);
}
