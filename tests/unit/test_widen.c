/* Editing tensors: rows by name and in order, new rows from the old ones, input channels. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/widen.h"
#include "support/support.h"

static const char *const old_names[] = {"cat", "dog", "bird"};
static const char *const new_names[] = {"bird", "cow", "cat", "horse"};
static const tdm__class_list old_list = {old_names, 3}, new_list = {new_names, 4}, unknown;

START_TEST(rows_follow_their_names)
{
    tdm__row_edit edit;
    const float old[] = {1, 2, 3, 4, 5, 6}; /* three rows of two */
    float new[8] = {-1, -1, -2, -2, -3, -3, -4, -4};
    const float want[8] = {5, 6, -2, -2, 1, 2, -4, -4};
    support_ok(tdm__row_edit_plan(3, 4, &old_list, &new_list, &edit));
    ck_assert(edit.by_name);
    ck_assert_uint_eq(edit.copied, 2);
    tdm__row_edit_apply(&edit, old, 2, false, 1, 2, new);
    ck_assert_mem_eq(new, want, sizeof want);
    tdm__row_edit_free(&edit);
    ck_assert_ptr_null(edit.from);
}
END_TEST

START_TEST(rows_in_order_where_names_are_not_known)
{
    const tdm__class_list *const cases[][2] = {
        {&unknown, &new_list}, {&old_list, &unknown}, {&unknown, &unknown}};
    for (int i = 0; i < 3; i++) {
        tdm__row_edit edit;
        support_ok(tdm__row_edit_plan(3, 4, cases[i][0], cases[i][1], &edit));
        ck_assert(!edit.by_name);
        ck_assert_uint_eq(edit.copied, 3);
        ck_assert(edit.from[0] == 0 && edit.from[2] == 2 && edit.from[3] == SIZE_MAX);
        tdm__row_edit_free(&edit);
        support_ok(tdm__row_edit_plan(7, 4, cases[i][0], cases[i][1], &edit)); /* narrower */
        ck_assert_uint_eq(edit.copied, 4);
        tdm__row_edit_free(&edit);
    }
    /* lists of another length than there are rows say nothing about the rows */
    tdm__row_edit edit;
    support_ok(tdm__row_edit_plan(16, 4, &old_list, &new_list, &edit));
    ck_assert(!edit.by_name);
    tdm__row_edit_free(&edit);
}
END_TEST

START_TEST(new_rows_look_like_the_old_ones)
{
    enum { OLD = 3, NEW = 4003, ROW = 2 };
    const float old[OLD * ROW] = {1, -2, 2, -2, 6, -2};
    static float a[NEW * ROW], b[NEW * ROW];
    tdm__row_edit edit;
    support_ok(tdm__row_edit_plan(OLD, NEW, &unknown, &unknown, &edit));
    tdm__row_edit_apply(&edit, old, ROW, true, 7, 1, a);
    tdm__row_edit_apply(&edit, old, ROW, true, 7, 1, b);
    ck_assert_mem_eq(a, b, sizeof a);
    ck_assert_mem_eq(a, old, sizeof old);
    double sum = 0, squares = 0;
    for (int i = OLD; i < NEW; i++) {
        sum += a[i * ROW];
        squares += (double)a[i * ROW] * a[i * ROW];
        ck_assert_float_eq(a[i * ROW + 1], -2); /* no deviation: the mean itself */
    }
    const double n = NEW - OLD, mean = sum / n, var = squares / n - mean * mean;
    /* of 1, 2, 6: mean 3, variance 14 / 3; four standard errors */
    ck_assert_double_eq_tol(mean, 3, 4 * sqrt(14 / 3.0 / n));
    ck_assert_double_eq_tol(var, 14 / 3.0, 4 * 14 / 3.0 * sqrt(2 / n));
    tdm__row_edit_apply(&edit, old, ROW, true, 8, 1, b);
    ck_assert_mem_ne(a, b, sizeof a);
    tdm__row_edit_free(&edit);
}
END_TEST

/* Output o of kernels (2, in, 3) on an input of `in` channels of three values. */
static double response(const float *kernel, size_t in, const double *x, int o)
{
    double sum = 0;
    for (size_t i = 0; i < in * 3; i++) sum += (double)kernel[(size_t)o * in * 3 + i] * x[i];
    return sum;
}

/* Repeating the input's channels changes no response; nor does, for mean, an input whose channels
 * are equal. */
START_TEST(channels_keep_the_response)
{
    static const size_t counts[] = {1, 2, 3, 4, 5, 7};
    float old[2 * 7 * 3], new[2 * 7 * 3];
    for (int i = 0; i < 2 * 7 * 3; i++) old[i] = (float)sin(1 + 1.7 * i);
    for (int a = 0; a < 6; a++)
        for (int b = 0; b < 6; b++)
            for (int rule = TDM__CHANNELS_MEAN; rule <= TDM__CHANNELS_REPEAT; rule++) {
                const size_t from = counts[a], to = counts[b];
                const size_t period = rule == TDM__CHANNELS_MEAN ? 1 : from < to ? from : to;
                double x[21], y[21];
                tdm__fit_channels(old, 2, from, to, 3, (tdm__channel_rule)rule, new);
                for (size_t i = 0; i < 21; i++) {
                    const double value = cos(0.3 + (double)(i / 3 % period * 3 + i % 3));
                    x[i] = y[i] = value;
                }
                for (int o = 0; o < 2; o++)
                    ck_assert_double_eq_tol(response(new, to, y, o), response(old, from, x, o),
                                            1e-5);
            }
    /* grey to colour: a third each, by both rules */
    tdm__fit_channels(old, 1, 1, 3, 3, TDM__CHANNELS_MEAN, new);
    for (int i = 0; i < 9; i++) ck_assert_float_eq_tol(new[i], old[i % 3] / 3, 1e-7f);
    tdm__fit_channels(old, 1, 2, 4, 3, TDM__CHANNELS_REPEAT, new);
    for (int i = 0; i < 12; i++) ck_assert_float_eq_tol(new[i], old[i % 6] / 2, 1e-7f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("widen");
    TCase *tc = tcase_create("tensors");
    tcase_add_test(tc, rows_follow_their_names);
    tcase_add_test(tc, rows_in_order_where_names_are_not_known);
    tcase_add_test(tc, new_rows_look_like_the_old_ones);
    tcase_add_test(tc, channels_keep_the_response);
    suite_add_tcase(suite, tc);
    return support_run(suite);
}
