/* report/html_parts.c: what the sections share. See html.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "report/html.h"

enum { LEGEND_MOST = 24 };

void tdm__html_section(tdm__str *out, const char *id, const char *title)
{
    tdm__str_addf(out, "<section id=\"%s\"><h2>", id);
    tdm__markup_text(out, title);
    tdm__str_add(out, "</h2>\n");
}

void tdm__html_section_end(tdm__str *out)
{
    tdm__str_add(out, "</section>\n");
}

void tdm__html_paragraph(tdm__str *out, const char *class, const char *text)
{
    tdm__str_addf(out, "<p class=\"%s\">", class);
    tdm__markup_text(out, text);
    tdm__str_add(out, "</p>\n");
}

void tdm__html_cell(tdm__str *out, const char *label, const char *text, bool number)
{
    if (!label) {
        tdm__str_add(out, "<th scope=\"row\">");
        tdm__markup_text(out, text);
        tdm__str_add(out, "</th>");
        return;
    }
    tdm__str_add(out, number ? "<td class=\"r\" data-l=\"" : "<td data-l=\"");
    tdm__markup_text(out, label);
    tdm__str_add(out, "\">");
    tdm__markup_text(out, text);
    tdm__str_add(out, "</td>");
}

void tdm__html_legend(const tdm__report *r, const bool *shown, tdm__str *out)
{
    size_t n = 0, listed = 0;
    for (size_t i = 0; i < r->n_arms; i++) n += !shown || shown[i];
    if (n < 2) return;
    tdm__str_add(out, "<ul class=\"legend\">");
    for (size_t i = 0; i < r->n_arms && listed < LEGEND_MOST; i++) {
        if (shown && !shown[i]) continue;
        tdm__str_addf(out, "<li><i class=\"a%zu\"></i>", i);
        tdm__markup_text(out, r->arms[i].label);
        tdm__str_add(out, i == r->baseline ? " (baseline)</li>" : "</li>");
        listed++;
    }
    if (n > listed)
        tdm__str_addf(out, "<li>and %zu more (see the values on hover)</li>", n - listed);
    tdm__str_add(out, "</ul>\n");
}

void tdm__html_metric_name(const char *metric, tdm__str *out)
{
    char task[TDM__NAME_PART], what[TDM__NAME_PART];
    tdm__report_split(metric, task, what);
    const char *unit = tdm__metric_unit(what);
    tdm__markup_text(out, task);
    tdm__str_add(out, *task ? ": " : "");
    tdm__markup_text(out, what);
    tdm__str_addf(out, " <small>(%s%s%s is better)</small>", unit, *unit ? "; " : "",
                  tdm__metric_higher_is_better(what) ? "higher" : "lower");
}

/* ---- numbers -----------------------------------------------------------------------------------
 */

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* The median spread over the arms decides; where there is none (one seed), the size. */
static int decimals_for(const tdm__report *r, size_t metric, bool difference)
{
    double spreads[256], size = 0;
    size_t n = 0;
    for (size_t i = 0; i < r->n_arms; i++) {
        const tdm__cell *cell = tdm__report_cell(r, metric, i);
        if (!cell) continue;
        const tdm__summary *s = difference ? &cell->difference : &cell->all;
        if (isfinite(s->mean)) size = fmax(size, fabs(s->mean));
        if (isfinite(s->sd) && s->sd > 0 && n < 256) spreads[n++] = s->sd;
    }
    if (n) qsort(spreads, n, sizeof *spreads, by_value);
    return tdm__number_decimals(n ? spreads[n / 2] : NAN, size);
}

int tdm__report_decimals(const tdm__report *r, size_t metric)
{
    return decimals_for(r, metric, false);
}

int tdm__report_difference_decimals(const tdm__report *r, size_t metric)
{
    const int own = decimals_for(r, metric, true), all = decimals_for(r, metric, false);
    return own > all ? own : all;
}

/* ---- statements --------------------------------------------------------------------------------
 */

size_t tdm__report_best(const tdm__report *r, size_t metric)
{
    char task[TDM__NAME_PART], what[TDM__NAME_PART];
    size_t best = r->n_arms;
    double value = NAN;
    tdm__report_split(r->comparison.metrics[metric], task, what);
    const bool higher = tdm__metric_higher_is_better(what);
    for (size_t i = 0; i < r->n_arms; i++) {
        const tdm__cell *cell = tdm__report_cell(r, metric, i);
        if (!cell || !isfinite(cell->all.mean)) continue;
        if (isnan(value) || (higher ? cell->all.mean > value : cell->all.mean < value)) {
            value = cell->all.mean;
            best = i;
        }
    }
    return best;
}

/* "better: a, b. " */
static size_t add_arms_with(const tdm__report *r, size_t metric, const char *what,
                            const char *verdict, tdm__str *out)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n_arms; i++) {
        const tdm__cell *cell = tdm__report_cell(r, metric, i);
        if (!cell || i == r->baseline || !tdm__streq(tdm__report_verdict(cell, what), verdict))
            continue;
        if (n < 12) tdm__str_addf(out, "%s%s", n ? ", " : "", r->arms[i].label);
        n++;
    }
    if (n > 12) tdm__str_addf(out, " and %zu more", n - 12);
    return n;
}

/* The least p that the number of pairs allows, where that is what keeps the arms apart. */
static double least_p(const tdm__report *r, size_t metric)
{
    double least = 1;
    for (size_t i = 0; i < r->n_arms; i++) {
        const tdm__cell *cell = tdm__report_cell(r, metric, i);
        if (cell && cell->verdict == TDM__VERDICT_TOO_FEW) least = fmin(least, cell->least);
    }
    return least;
}

void tdm__report_statement(const tdm__report *r, size_t metric, tdm__str *out)
{
    static const char *const verdicts[] = {"better",
                                           "worse",
                                           "equal",
                                           "no difference shown",
                                           "too few seeds to tell",
                                           "one pair: cannot tell"};
    static const char *const words[] = {"better",
                                        "worse",
                                        "equal in every pair",
                                        "a difference is not shown",
                                        "too few seeds to tell",
                                        "one pair of seeds, which says nothing about others"};
    char task[TDM__NAME_PART], what[TDM__NAME_PART], number[TDM__NUMBER_TEXT];
    const size_t best = tdm__report_best(r, metric);
    tdm__report_split(r->comparison.metrics[metric], task, what);
    if (best == r->n_arms) return;
    tdm__number_fixed(tdm__report_cell(r, metric, best)->all.mean, tdm__report_decimals(r, metric),
                      number);
    tdm__str_addf(out, "%s mean: %s, %s.",
                  tdm__metric_higher_is_better(what) ? "Highest" : "Lowest", r->arms[best].label,
                  number);
    if (r->comparison.n_arms < 2 || r->baseline == r->n_arms) return;
    bool any = false;
    for (size_t v = 0; v < sizeof verdicts / sizeof *verdicts; v++) {
        tdm__str names = {0};
        if (add_arms_with(r, metric, what, verdicts[v], &names)) {
            if (any)
                tdm__str_add(out, "; ");
            else
                tdm__str_addf(out, " Against %s: ", r->arms[r->baseline].label);
            tdm__str_addf(out, "%s: %s", words[v], tdm__str_text(&names));
            if (v == 4) {
                tdm__p_text(least_p(r, metric), number);
                tdm__str_addf(out, " (the adjusted exact test cannot go below p = %s)", number);
            }
            any = true;
        }
        tdm__str_free(&names);
    }
    if (any) tdm__str_add(out, ".");
}

/* ---- charts ------------------------------------------------------------------------------------
 */

static void rows_hover(const tdm__cell *cell, int decimals, tdm__str *out)
{
    char a[TDM__NUMBER_TEXT], b[TDM__NUMBER_TEXT];
    tdm__number_fixed(cell->all.mean, decimals, a);
    tdm__str_addf(out, "mean %s of %zu", a, cell->all.n);
    if (!isfinite(cell->interval.low)) return;
    tdm__number_fixed(cell->interval.low, decimals, a);
    tdm__number_fixed(cell->interval.high, decimals, b);
    tdm__str_addf(out, ", 95 %% interval %s to %s", a, b);
}

tdm_status tdm__report_rows(const tdm__report *r, size_t metric, tdm__str *out)
{
    tdm_status status = TDM_OK;
    char task[TDM__NAME_PART], what[TDM__NAME_PART];
    tdm__mark *marks = NULL;
    tdm__str *hovers = NULL, title = {0}, label = {0};
    tdm__mark_chart chart = {.x = {.range = TDM__RANGE_NONE}, .reference = NAN};
    chart.decimals = tdm__report_decimals(r, metric);
    tdm__report_split(r->comparison.metrics[metric], task, what);
    TDM_TRY(tdm__calloc_try(r->n_arms, sizeof *marks, &marks));
    TDM_TRY(tdm__calloc_try(r->n_arms, sizeof *hovers, &hovers));
    for (size_t i = 0; i < r->n_arms; i++) {
        const tdm__cell *cell = tdm__report_cell(r, metric, i);
        if (!cell || cell->all.n == 0) continue;
        rows_hover(cell, chart.decimals, &hovers[i]);
        TDM_TRY(tdm__str_status(&hovers[i]));
        if (i == r->baseline && r->comparison.n_arms > 1) chart.reference = cell->all.mean;
        marks[chart.n++] = (tdm__mark){.name = r->arms[i].label,
                                       .hover = tdm__str_text(&hovers[i]),
                                       .arm = i,
                                       .x = cell->all.mean,
                                       .x_low = cell->interval.low,
                                       .x_high = cell->interval.high};
    }
    const char *unit = tdm__metric_unit(what);
    tdm__str_addf(&title, "%s%s%s on test", task, *task ? ": " : "", what);
    tdm__str_addf(&label, "%s%s%s%s", what, *unit ? " (" : "", unit, *unit ? ")" : "");
    TDM_TRY(tdm__str_status(&title));
    TDM_TRY(tdm__str_status(&label));
    chart.title = tdm__str_text(&title);
    chart.x.label = tdm__str_text(&label);
    chart.marks = marks;
    if (chart.n) tdm__chart_rows(&chart, out);
done:
    for (size_t i = 0; hovers && i < r->n_arms; i++) tdm__str_free(&hovers[i]);
    free(hovers);
    free(marks);
    tdm__str_free(&title);
    tdm__str_free(&label);
    return status;
}

tdm_status tdm__report_lines(const tdm__report *r, const tdm__series *like, const char *title,
                             const char *y_label, tdm__range y, tdm__str *out)
{
    tdm_status status = TDM_OK;
    tdm__curve *curves = NULL;
    tdm__line *lines = NULL;
    tdm__line_chart chart = {.title = title,
                             .x = {.label = "epoch", .range = TDM__RANGE_NONE, .whole = true},
                             .y = {.label = y_label, .range = y}};
    TDM_TRY(tdm__calloc_try(r->n_arms, sizeof *curves, &curves));
    TDM_TRY(tdm__calloc_try(r->n_arms, sizeof *lines, &lines));
    for (size_t i = 0; i < r->n_arms; i++) {
        tdm__curve *c = &curves[i];
        TDM_TRY(tdm__report_curve(r, i, like, c));
        if (!c->n) continue;
        const bool band = c->most > 1;
        lines[chart.n++] = (tdm__line){.name = r->arms[i].label,
                                       .arm = i,
                                       .n = c->n,
                                       .x = c->epoch,
                                       .y = c->mean,
                                       .low = band ? c->low : NULL,
                                       .high = band ? c->high : NULL,
                                       .no_band = r->n_arms > TDM__BANDS_MOST};
    }
    chart.lines = lines;
    tdm__chart_lines(&chart, out);
done:
    for (size_t i = 0; curves && i < r->n_arms; i++) tdm__curve_free(&curves[i]);
    free(curves);
    free(lines);
    return status;
}
