/* report/svg.c: charts on one sheet, a picture of its own: the results, or curves over epochs. See
 * report.h. */
#include <math.h>
#include <stdlib.h>

#include "report/chart_parts.h"
#include "report/html.h"

enum { COLUMNS = 3, GAP = 28, MARGIN = 8, LEGEND_LINE = 20, SWATCH = 22 };

/* Charts of one height, row by row below a legend. */
typedef struct panels {
    tdm__str body;
    size_t n;
    int top, height; /* top: where they begin */
} panels;

static void begin_panel(panels *p)
{
    const size_t x = p->n % COLUMNS * (TDM__CHART_WIDTH + GAP),
                 y = p->n / COLUMNS * (size_t)(p->height + GAP) + (size_t)p->top;
    tdm__str_addf(&p->body, "<svg x=\"%zu\" y=\"%zu\" width=\"%d\" height=\"%d\">", x, y,
                  TDM__CHART_WIDTH, p->height);
    p->n++;
}

static void end_panel(panels *p)
{
    tdm__str_add(&p->body, "</svg>\n");
}

static int width_of(size_t columns)
{
    return (int)columns * (TDM__CHART_WIDTH + GAP) - GAP;
}

/* The picture around the panels. Charts may be wide or narrow: a line of text does not become
 * larger with the number of them. */
static void write_sheet(const tdm__report *r, const panels *p, tdm__str *out)
{
    const size_t columns = p->n < COLUMNS ? p->n : COLUMNS, rows = (p->n + COLUMNS - 1) / COLUMNS;
    const int width = width_of(columns) + 2 * MARGIN,
              height = p->top + (int)rows * (p->height + GAP) - GAP + 2 * MARGIN;
    tdm__str_addf(out,
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"%d %d %d %d\" width=\"%d\" "
                  "height=\"%d\">\n<style>svg{color:#1b1f24;background:#fff}",
                  -MARGIN, -MARGIN, width, height, width, height);
    tdm__str_add(out, tdm__chart_css);
    tdm__report_colours(r, false, out);
    tdm__str_add(out, "</style>\n");
    tdm__str_add(out, tdm__str_text(&p->body));
    tdm__str_add(out, "</svg>\n");
}

/* ---- results -----------------------------------------------------------------------------------
 */

static tdm_status add_results(const tdm__report *r, panels *p)
{
    tdm_status status = TDM_OK;
    p->height = (int)ceil(tdm__chart_rows_height(r->n_arms));
    for (size_t m = 0; m < r->comparison.n_metrics; m++) {
        if (!tdm__report_primary(r, m)) continue;
        begin_panel(p);
        TDM_TRY(tdm__report_rows(r, m, &p->body));
        end_panel(p);
    }
    if (!p->n)
        status = tdm__fail(TDM_ERR_DATA, "nothing to draw: no run has results on a test split");
done:
    return status;
}

/* ---- curves ------------------------------------------------------------------------------------
 */

/* A swatch and a name for each arm, in as many lines as the charts below are wide. */
static void add_legend(const tdm__report *r, size_t columns, panels *p)
{
    double x = 0;
    int y = 0;
    if (r->n_arms < 2) return;
    tdm__str_add(&p->body, "<svg class=\"c\" overflow=\"visible\">");
    for (size_t i = 0; i < r->n_arms; i++) {
        const char *name = r->arms[i].label;
        const double width = SWATCH + tdm__chart_text_width(name) + GAP;
        if (x > 0 && x + width - GAP > width_of(columns)) {
            x = 0;
            y += LEGEND_LINE;
        }
        tdm__chart_group(&p->body, i);
        tdm__chart_rule(&p->body, "l", x, y + 9, x + SWATCH - 6, y + 9);
        tdm__str_add(&p->body, "</g>");
        tdm__chart_text(&p->body, x + SWATCH, y + 13, "k", "start", name, tdm__text_length(name));
        x += width;
    }
    tdm__str_add(&p->body, "</svg>\n");
    p->top = y + 2 * LEGEND_LINE;
}

/* Validation of what is learnt (training, where it is not validated), and weights that move. */
static bool is_drawn(const tdm__report *r, const tdm__series **series, size_t n, size_t i)
{
    const tdm__series *s = series[i];
    if (s->kind == TDM__SERIES_WEIGHT)
        return tdm__streq(s->split, "train") && tdm__report_moves(r, s);
    if (!tdm__report_learning(s) || tdm__streq(s->split, "val")) return tdm__report_learning(s);
    for (size_t k = 0; k < n; k++)
        if (tdm__streq(series[k]->split, "val") && tdm__report_same_quantity(s, series[k]))
            return false;
    return true;
}

static tdm_status add_curves(const tdm__report *r, panels *p)
{
    tdm_status status = TDM_OK;
    const tdm__series **series = NULL;
    size_t n, charts = 0;
    p->height = TDM__CHART_HEIGHT;
    TDM_TRY(tdm__report_series(r, &series, &n));
    for (size_t i = 0; i < n; i++) charts += is_drawn(r, series, n, i);
    if (!charts) TDM_TRY(tdm__fail(TDM_ERR_DATA, "nothing to draw: no run has an epoch behind it"));
    add_legend(r, charts < COLUMNS ? charts : COLUMNS, p);
    for (size_t i = 0; i < 2 * n; i++) { /* weights behind what is learnt */
        const tdm__series *s = series[i % n];
        const bool weight = s->kind == TDM__SERIES_WEIGHT;
        if (weight != (i >= n) || !is_drawn(r, series, n, i % n)) continue;
        begin_panel(p);
        TDM_TRY(tdm__report_curve_chart(r, s, weight ? "" : tdm__report_split_title(s->split),
                                        TDM__RANGE_NONE, &p->body));
        end_panel(p);
    }
done:
    free(series);
    return status;
}

tdm_status tdm__report_svg(const tdm__report *r, tdm__str *out)
{
    panels p = {0};
    tdm_status status =
        r->chart == TDM_REPORT_CHART_CURVES ? add_curves(r, &p) : add_results(r, &p);
    if (!status) status = tdm__str_status(&p.body);
    if (!status) write_sheet(r, &p, out);
    if (!status) status = tdm__str_status(out);
    tdm__str_free(&p.body);
    return status;
}
