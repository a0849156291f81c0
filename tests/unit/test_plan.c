/* Plans on a real device: pruning, fusion, accumulation, places, binding, guards; memory and random
 * graphs are in test_plan_memory.c. */
#include <stdlib.h>
#include <string.h>
#include <tandem/ops.h>

#include "base/mem.h"
#include "base/str.h"
#include "graph/planning.h"
#include "support/plan_fixture.h"
#include "support/probe.h"

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
    tdm_value bumped = probe_bumped(g, v, one), z = probe_affine(g, y, one, one);
    tdm_graph_keep(g, z);
    tdm_graph_keep(g, bumped);
    make(NULL);
    ck_assert_int_eq(stats().fused, 0);
    support_ok(tdm__plan_run(plan));
    ck_assert_float_eq(first(z), 4);
    ck_assert_float_eq(first(bumped), 4);
}
END_TEST

START_TEST(an_activation_delays_nothing)
{
    tdm_value v = variable(0, 1, 3), one = tdm_graph_constant(g, tdm_desc_1(TDM_F32, 1), 1);
    tdm_value y = probe(g, v, TDM_NO_VALUE, 1);
    tdm_value bumped = probe_bumped(g, v, one), z = tdm_relu(g, y);
    tdm_graph_keep(g, z);
    tdm_graph_keep(g, bumped);
    make(NULL);
    ck_assert_int_eq(stats().fused, 1);
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

static tdm_value probe_2x4(tdm_value x, float factor)
{
    return tdm_reshape(g, probe(g, x, TDM_NO_VALUE, factor), 2, (int64_t[]){2, 4});
}

START_TEST(accumulates_through_views)
{
    /* what several heads send back through a flatten of their own */
    tdm_value x = variable(0, 8, 3), sum = probe_2x4(x, 1);
    for (int i = 2; i <= 3; i++) sum = tdm_add(g, sum, probe_2x4(x, (float)i));
    tdm_graph_keep(g, sum);
    make(NULL);
    ck_assert_int_eq(stats().accumulated, 2);
    ck_assert_int_eq(stats().launches, 3);
    support_ok(tdm__plan_run(plan));
    ck_assert_float_eq(first(sum), 18);
}
END_TEST

START_TEST(does_not_accumulate_through_a_view_that_lives)
{
    tdm_value x = variable(0, 8, 3), a = probe_2x4(x, 1), b = probe_2x4(x, 2);
    tdm_value late = tdm_multiply(g, b, tdm_add(g, a, b));
    tdm_graph_keep(g, late);
    make(NULL);
    ck_assert_int_eq(stats().accumulated, 0);
    support_ok(tdm__plan_run(plan));
    ck_assert_float_eq(first(late), 6 * 9);
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

/* Epochs make their staging buffers anew, now and then at the address of old ones. */
START_TEST(binds_what_took_a_destroyed_buffers_place)
{
    tdm_value x = tdm_graph_input(g, "x", tdm_desc_1(TDM_F32, 8)), y = tdm_scale(g, x, 2);
    tdm__buffer buffer, others[4];
    tdm_graph_keep(g, y);
    make(NULL);
    for (int round = 0; round < 4; round++) {
        float values[8];
        for (int k = 0; k < 8; k++) values[k] = (float)round + 1;
        support_ok(tdm__buffer_create(cl.device, sizeof values, false, "input", &buffer));
        support_ok(tdm__view_write(cl.device, (tdm__view){&buffer, 0}, values, sizeof values));
        support_ok(tdm__plan_bind(plan, x, (tdm__view){&buffer, 0}));
        support_ok(tdm__plan_run(plan));
        ck_assert_float_eq(first(y), 2 * values[0]);
        tdm__buffer_destroy(cl.device, &buffer);
        /* takes the place of the driver's object */
        support_ok(tdm__buffer_create(cl.device, 1, true, "other", &others[round]));
    }
    for (int round = 0; round < 4; round++) tdm__buffer_destroy(cl.device, &others[round]);
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

static const char *choose_clblast(void *user, const char *key, const tdm_op *op, const tdm__io *io)
{
    (void)op, (void)io;
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

static const char *choose_other(void *user, const char *key, const tdm_op *op, const tdm__io *io)
{
    (void)op, (void)io;
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

/* What is stored before is there when a run stops for the host, whether its producer wrote it or it
 * had to be copied; what reads the awaited variable runs afterwards. */
START_TEST(waits_for_what_the_host_writes)
{
    static const float written[] = {4, 4, 4, 4, 4, 4, 4, 4};
    tdm_value x = variable(0, 8, 3), late = variable(1, 8, 0), doubled = tdm_scale(g, x, 2);
    tdm__graph_store(g, doubled, slot(2));
    tdm__graph_store(g, x, slot(3));
    tdm__graph_await(g, late);
    tdm_value sum = tdm_add(g, tdm_relu(g, late), doubled);
    tdm_graph_keep(g, sum);
    make(NULL);
    for (int run = 0; run < 2; run++) {
        write_slot(1, (const float[8]){0}, 8);
        write_slot(2, (const float[8]){0}, 8);
        write_slot(3, (const float[8]){0}, 8);
        support_ok(tdm__plan_run(plan));
        ck_assert_float_eq(first_at(slot(2)), 6);
        ck_assert_float_eq(first_at(slot(3)), 3);
        write_slot(1, written, 8);
        support_ok(tdm__plan_resume(plan));
        ck_assert_float_eq(first(sum), 10);
    }
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
    tcase_add_test(c, an_activation_delays_nothing);
    tcase_add_test(c, stores_without_copies);
    tcase_add_test(c, stores_with_copies_where_it_must);
    tcase_add_test(c, storing_onto_a_variable_waits_for_its_readers);
    tcase_add_test(c, replacing_a_variable_in_place);
    tcase_add_test(c, accumulates_onto_a_variable);
    tcase_add_test(c, accumulates_a_chain_of_contributions);
    tcase_add_test(c, accumulates_through_views);
    tcase_add_test(c, does_not_accumulate_through_a_view_that_lives);
    tcase_add_test(c, does_not_accumulate_onto_what_lives);
    tcase_add_test(c, a_view_keeps_its_source_alive);
    tcase_add_test(c, constants_of_every_type);
    tcase_add_test(c, binds_again_and_again);
    tcase_add_test(c, binds_what_took_a_destroyed_buffers_place);
    tcase_add_test(c, unused_inputs_need_no_binding);
    tcase_add_test(c, binds_clblast_operands);
    tcase_add_test(c, waits_for_what_the_host_writes);
    tcase_add_test(c, chooses_by_key);
    tcase_add_test(c, walks_launches_and_sums_costs);
    tcase_add_test(c, a_variable_without_place);
    tcase_add_test(c, a_failed_graph);
    tcase_add_test(c, step_scalars_missing);
    tcase_add_test(c, device_memory_exhausted);
    tcase_add_test(c, guards_catch_stray_writes);
    tcase_add_test(c, allocations_fail);
    suite_add_tcase(suite, c);
    return support_run(suite);
}
