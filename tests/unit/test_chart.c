/* How reports write numbers and texts, and the parts of charts. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/chart.h"
#include "report/words.h"
#include "support/support.h"

#define MINUS "\xe2\x88\x92"
#define DASH "\xe2\x80\x93"

START_TEST(numbers)
{
    char text[TDM__NUMBER_TEXT];
    static const struct {
        double value;
        int decimals;
        const char *fixed, *with_sign;
    } cases[] = {{0.7612, 3, "0.761", "+0.761"}, {-0.7612, 2, MINUS "0.76", MINUS "0.76"},
                 {-0.0001, 2, "0.00", "0.00"},   {0.0001, 2, "0.00", "0.00"},
                 {NAN, 2, DASH, DASH},           {12, 0, "12", "+12"},
                 {5e12, 3, "5e+12", "+5e+12"},   {INFINITY, 2, "inf", "+inf"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tdm__number_fixed(cases[i].value, cases[i].decimals, text);
        ck_assert_str_eq(text, cases[i].fixed);
        tdm__number_signed(cases[i].value, cases[i].decimals, text);
        ck_assert_str_eq(text, cases[i].with_sign);
    }
    tdm__number_fixed(DBL_MAX, 99, text); /* fits, whatever it is */
    tdm__number_fixed(-DBL_MAX, -5, text);
    tdm__p_text(0.0004, text);
    ck_assert_str_eq(text, "< 0.001");
    tdm__p_text(0.0156, text);
    ck_assert_str_eq(text, "0.016");
    tdm__p_text(0.25, text);
    ck_assert_str_eq(text, "0.25");
}
END_TEST

START_TEST(digits_follow_the_spread)
{
    ck_assert_int_eq(tdm__number_decimals(0.0147, 0.76), 3);
    ck_assert_int_eq(tdm__number_decimals(1.9, 10), 1);
    ck_assert_int_eq(tdm__number_decimals(150, 1e4), 0);
    ck_assert_int_eq(tdm__number_decimals(NAN, 0.7612), 4);
    ck_assert_int_eq(tdm__number_decimals(0, 12.3), 2);
    ck_assert_int_eq(tdm__number_decimals(NAN, NAN), 3);
    ck_assert_int_eq(tdm__number_decimals(1e-30, 1), 6);
}
END_TEST

START_TEST(quantities)
{
    char text[TDM__NUMBER_TEXT];
    static const struct {
        double value;
        const char *time, *bytes, *share;
    } cases[] = {{0.25, "250 ms", "0 B", "25.0 %"},    {59.94, "59.9 s", "60 B", "5994.0 %"},
                 {125, "2 min 05 s", "125 B", NULL},   {7620, "2 h 07 min", "7.4 KiB", NULL},
                 {0.0013, "1 ms", "0 B", "0.13 %"},    {NAN, DASH, DASH, DASH},
                 {3600, "1 h 00 min", "3.5 KiB", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tdm__duration_text(cases[i].value, text);
        ck_assert_str_eq(text, cases[i].time);
        tdm__bytes_text(cases[i].value, text);
        ck_assert_str_eq(text, cases[i].bytes);
        tdm__percent_text(cases[i].value, text);
        if (cases[i].share) ck_assert_str_eq(text, cases[i].share);
    }
    tdm__bytes_text(155189248, text);
    ck_assert_str_eq(text, "148 MiB");
}
END_TEST

static void expect(tdm__str *got, const char *want)
{
    support_ok(tdm__str_status(got));
    ck_assert_str_eq(tdm__str_text(got), want);
    tdm__str_free(got);
}

START_TEST(texts_are_escaped)
{
    tdm__str s = {0};
    tdm__markup_text(&s, "<b a=\"1\">&'\x01\xff");
    expect(&s, "&lt;b a=&quot;1&quot;&gt;&amp;&#39;\xef\xbf\xbd");
    tdm__markup_cut(&s, "\xc3\xa4\xc3\xb6\xc3\xbc", 3);
    expect(&s, "\xc3\xa4\xc3\xb6\xc3\xbc");
    tdm__markup_cut(&s, "a<bcd", 3);
    expect(&s, "a&lt;\xe2\x80\xa6");
    tdm__markdown_text(&s, "a|b_c\nd");
    expect(&s, "a\\|b\\_c d");
    tdm__csv_text(&s, "plain");
    expect(&s, "plain");
    tdm__csv_text(&s, "a,\"b\"");
    expect(&s, "\"a,\"\"b\"\"\"");
    ck_assert_uint_eq(tdm__text_length("\xc3\xa4x\xff"), 3);
}
END_TEST

START_TEST(metrics_are_known)
{
    ck_assert(tdm__metric_higher_is_better("accuracy"));
    ck_assert(!tdm__metric_higher_is_better("loss"));
    ck_assert(!tdm__metric_higher_is_better("no such metric"));
    ck_assert(tdm__metric_is_baseline("majority"));
    ck_assert_str_eq(tdm__metric_unit("psnr"), "dB");
    ck_assert_str_eq(tdm__metric_unit("miou"), "share");
    ck_assert_str_eq(tdm__metric_unit("l1"), "");
}
END_TEST

START_TEST(ticks_are_round)
{
    tdm__ticks t;
    tdm__ticks_make(0.7301, 0.7799, 6, false, &t);
    ck_assert_uint_eq(t.n, 4);
    ck_assert(fabs(t.at[0] - 0.74) < 1e-12 && fabs(t.at[3] - 0.77) < 1e-12);
    ck_assert_int_eq(t.decimals, 2);
    tdm__ticks_make(1, 4, 6, true, &t);
    ck_assert_uint_eq(t.n, 4);
    ck_assert_int_eq(t.decimals, 0);
    tdm__ticks_make(3, 3, 6, false, &t);
    ck_assert_uint_eq(t.n, 1);
    tdm__ticks_make(NAN, 3, 6, false, &t);
    ck_assert_uint_eq(t.n, 0);
    tdm__ticks_make(-DBL_MAX, DBL_MAX, 6, false, &t);
    ck_assert_uint_le(t.n, 6);
    tdm__ticks_log(1e-4, 1e-1, 6, &t);
    ck_assert_uint_eq(t.n, 4);
    tdm__ticks_log(0.1, 0.9, 6, &t);
    ck_assert_uint_eq(t.n, 3); /* 0.1, 0.2, 0.5 */
    tdm__ticks_log(0, 1, 6, &t);
    ck_assert_uint_eq(t.n, 0);
}
END_TEST

/* Whatever the range: in order, inside, at most as many as wanted, more than one where there is
 * room. */
START_TEST(ticks_lie_within)
{
    for (double low = -3.7; low < 4; low += 0.37)
        for (double width = 1e-6; width < 1e7; width *= 7.3)
            for (size_t most = 3; most <= 8; most++) {
                tdm__ticks t;
                tdm__ticks_make(low, low + width, most, false, &t);
                ck_assert_uint_le(t.n, most);
                ck_assert_uint_ge(t.n, 1);
                for (size_t i = 0; i < t.n; i++) {
                    ck_assert(t.at[i] >= low - 1e-8 * width && t.at[i] <= low + width * 1.00000001);
                    ck_assert(i == 0 || t.at[i] > t.at[i - 1]);
                }
            }
}
END_TEST

START_TEST(scales_and_ranges)
{
    const tdm__scale s = {0, 10, 100, 200, false}, log_scale = {1, 100, 0, 10, true},
                     flat = {3, 3, 0, 10, false};
    ck_assert_double_eq(tdm__scale_at(&s, 5), 150);
    ck_assert_double_eq(tdm__scale_at(&s, 12), 220);
    ck_assert(fabs(tdm__scale_at(&log_scale, 10) - 5) < 1e-12);
    ck_assert_double_eq(tdm__scale_at(&flat, 3), 5);
    ck_assert(isfinite(tdm__scale_at(&s, NAN)));
    ck_assert(isfinite(tdm__scale_at(&log_scale, -1)));
    tdm__range r = TDM__RANGE_NONE;
    ck_assert(tdm__range_empty(&r));
    tdm__range_add(&r, NAN);
    tdm__range_add(&r, INFINITY);
    ck_assert(tdm__range_empty(&r));
    tdm__range_add(&r, 2);
    tdm__range_add(&r, -1);
    ck_assert(r.low == -1 && r.high == 2);
    const tdm__range p = tdm__range_padded(r, 0.5),
                     one = tdm__range_padded((tdm__range){4, 4}, 0.1);
    ck_assert(p.low == -2.5 && p.high == 3.5);
    ck_assert(one.low < 4 && one.high > 4);
}
END_TEST

static size_t count(const tdm__str *s, const char *part)
{
    size_t n = 0;
    for (const char *at = tdm__str_text(s); (at = strstr(at, part)); at++) n++;
    return n;
}

static void no_bad_numbers(const tdm__str *s)
{
    ck_assert_ptr_null(strstr(tdm__str_text(s), "nan"));
    ck_assert_ptr_null(strstr(tdm__str_text(s), "inf"));
}

START_TEST(lines_break_where_nothing_is_known)
{
    const double x[] = {1, 2, 3, 4, 5}, y[] = {1, 2, NAN, 4, INFINITY}, low[] = {0, 1, 2, 3, 4};
    const tdm__line line = {.name = "a<b", .arm = 3, .n = 5, .x = x, .y = y, .low = low, .high = y};
    const tdm__line_chart chart = {.title = "t&t",
                                   .x = {.label = "epoch", .range = TDM__RANGE_NONE, .whole = true},
                                   .y = {.label = "loss", .range = TDM__RANGE_NONE},
                                   .lines = &line,
                                   .n = 1};
    tdm__str out = {0};
    tdm__chart_lines(&chart, &out);
    support_ok(tdm__str_status(&out));
    no_bad_numbers(&out);
    ck_assert_uint_eq(count(&out, "class=\"a3\""), 1);
    ck_assert_uint_eq(count(&out, "<circle"), 3);
    ck_assert_uint_eq(count(&out, "class=\"b\""), 1); /* 4 alone has no width */
    ck_assert_uint_eq(count(&out, "a<b"), 0);
    ck_assert_uint_eq(count(&out, "a&lt;b, epoch 2: "), 1);
    const char *path = strstr(tdm__str_text(&out), "class=\"l\" d=\"");
    ck_assert_ptr_nonnull(path);
    size_t moves = 0;
    for (const char *c = path + 13; *c != '"'; c++) moves += *c == 'M';
    ck_assert_uint_eq(moves, 2);
    tdm__str_free(&out);
}
END_TEST

/* A long run stays small: beyond a few hundred points not every one is drawn, but the last. */
START_TEST(long_lines_are_thinned)
{
    enum { N = 20000 };
    double *x = calloc(N, sizeof *x);
    ck_assert_ptr_nonnull(x);
    for (size_t i = 0; i < N; i++) x[i] = (double)i;
    const tdm__line line = {.name = "a", .n = N, .x = x, .y = x, .low = x, .high = x};
    const tdm__line_chart chart = {.title = "t",
                                   .x = {.label = "x", .range = TDM__RANGE_NONE},
                                   .y = {.label = "y", .range = TDM__RANGE_NONE},
                                   .lines = &line,
                                   .n = 1};
    tdm__str out = {0};
    tdm__chart_lines(&chart, &out);
    support_ok(tdm__str_status(&out));
    ck_assert_uint_lt(out.length, 16384);
    ck_assert_uint_eq(count(&out, "<circle"), 1); /* where it ends */
    ck_assert_uint_eq(count(&out, ", x 19999: 19999"), 1);
    tdm__str_free(&out);
    free(x);
}
END_TEST

START_TEST(rows_and_points)
{
    const tdm__mark marks[] = {
        {.name = "one", .arm = 0, .x = 1, .x_low = 0, .x_high = 2, .y = 1, .y_low = NAN},
        {.name = "two", .arm = 1, .x = NAN, .x_low = NAN, .x_high = NAN, .y = 2},
        {.name = "one", .arm = 2, .x = 1, .x_low = NAN, .x_high = NAN, .y = 1, .y_low = NAN}};
    tdm__mark_chart chart = {.title = "t",
                             .x = {.label = "x", .range = TDM__RANGE_NONE},
                             .y = {.label = "y", .range = TDM__RANGE_NONE},
                             .marks = marks,
                             .n = 3,
                             .reference = 1,
                             .decimals = 2};
    tdm__str out = {0};
    tdm__chart_rows(&chart, &out);
    support_ok(tdm__str_status(&out));
    no_bad_numbers(&out);
    ck_assert_uint_eq(count(&out, "<circle"), 2);
    ck_assert_uint_eq(count(&out, "class=\"i\""), 1);
    ck_assert_uint_eq(count(&out, "class=\"rf\""), 1);
    ck_assert_uint_eq(count(&out, ">1.00<"), 2);
    ck_assert_uint_eq(count(&out, ">" DASH "<"), 1);
    tdm__str_free(&out);
    tdm__chart_points(&chart, &out);
    support_ok(tdm__str_status(&out));
    no_bad_numbers(&out);
    ck_assert_uint_eq(count(&out, "<circle"), 2);
    /* both names find room, in different places */
    const char *first = strstr(tdm__str_text(&out), "<text class=\"n\"");
    ck_assert_ptr_nonnull(first);
    const char *second = strstr(first + 1, "<text class=\"n\"");
    ck_assert_ptr_nonnull(second);
    ck_assert_int_ne(strncmp(first, second, 40), 0);
    tdm__str_free(&out);
}
END_TEST

START_TEST(heat_maps)
{
    const char *const rows[] = {"a", "b"}, *const columns[] = {"0.1", "a long name & more", "3"};
    const double values[] = {0, 0.5, 1, NAN, 0.25, INFINITY};
    const tdm__heat_chart chart = {.title = "t",
                                   .x_label = "x",
                                   .y_label = "y",
                                   .rows = 2,
                                   .columns = 3,
                                   .row_names = rows,
                                   .column_names = columns,
                                   .values = values,
                                   .range = TDM__RANGE_NONE,
                                   .decimals = 2};
    tdm__str out = {0};
    tdm__chart_heat(&chart, &out);
    support_ok(tdm__str_status(&out));
    ck_assert_uint_eq(count(&out, "class=\"cl\""), 4);
    ck_assert_uint_eq(count(&out, "class=\"cn\""), 2);
    ck_assert_uint_eq(count(&out, "fill-opacity=\".95\""), 1);
    ck_assert_uint_eq(count(&out, "rotate(-90)"), 3);
    ck_assert_uint_eq(count(&out, ">0.50<"), 1);
    tdm__str_free(&out);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("chart");
    TCase *c = tcase_create("chart");
    tcase_add_test(c, numbers);
    tcase_add_test(c, digits_follow_the_spread);
    tcase_add_test(c, quantities);
    tcase_add_test(c, texts_are_escaped);
    tcase_add_test(c, metrics_are_known);
    tcase_add_test(c, ticks_are_round);
    tcase_add_test(c, ticks_lie_within);
    tcase_add_test(c, scales_and_ranges);
    tcase_add_test(c, lines_break_where_nothing_is_known);
    tcase_add_test(c, long_lines_are_thinned);
    tcase_add_test(c, rows_and_points);
    tcase_add_test(c, heat_maps);
    suite_add_tcase(suite, c);
    return support_run(suite);
}
