/* report/chart_marks.c: single values with their intervals, in rows or in the plane. See chart.h.
 */
#include <math.h>

#include "report/chart_parts.h"

enum { ROW = 22, ROW_DENSE = 15, DENSE = 24, NAMES_MOST = 40, LABEL = 12 };

static void add_title(const tdm__mark *m, tdm__str *out)
{
    tdm__str_add(out, "<title>");
    tdm__markup_text(out, m->name);
    if (m->hover) {
        tdm__str_add(out, ": ");
        tdm__markup_text(out, m->hover);
    }
    tdm__str_add(out, "</title>");
}

static void add_dot(tdm__str *out, double x, double y, double r)
{
    tdm__str_add(out, "<circle class=\"d\"");
    tdm__attribute(out, "cx", x);
    tdm__attribute(out, "cy", y);
    tdm__attribute(out, "r", r);
    tdm__str_add(out, "/>");
}

static bool has_interval(double low, double high)
{
    return isfinite(low) && isfinite(high);
}

/* ---- rows --------------------------------------------------------------------------------------
 */

static double row_height(size_t n)
{
    return n > DENSE ? ROW_DENSE : ROW;
}

double tdm__chart_rows_height(size_t n)
{
    return TDM__CHART_TITLE + 4 + (double)n * row_height(n) + TDM__CHART_FOOT;
}

static void add_row(const tdm__plot *p, const tdm__mark_chart *c, size_t i, double name_right)
{
    const tdm__mark *m = &c->marks[i];
    char text[TDM__NUMBER_TEXT];
    const double y = p->top + ((double)i + 0.5) * row_height(c->n);
    const double value_right = TDM__CHART_WIDTH - 2;
    tdm__chart_group(p->out, m->arm);
    add_title(m, p->out);
    tdm__chart_rule(p->out, "g", p->left, y, p->right, y);
    if (isfinite(m->x)) {
        const double x = tdm__scale_at(&p->x, m->x);
        if (has_interval(m->x_low, m->x_high))
            tdm__chart_rule(p->out, "i", tdm__scale_at(&p->x, m->x_low), y,
                            tdm__scale_at(&p->x, m->x_high), y);
        add_dot(p->out, x, y, c->n > DENSE ? 3 : 4);
    }
    tdm__str_add(p->out, "</g>");
    tdm__chart_text(p->out, name_right, y + 4, "n", "end", m->name,
                    (size_t)(name_right / TDM__CHART_CHAR));
    tdm__number_fixed(m->x, c->decimals, text);
    tdm__chart_text(p->out, value_right, y + 4, "n", "end", text, TDM__NUMBER_TEXT);
    tdm__str_add(p->out, "\n");
}

/* The widest name and value decide how much is left for the plane. */
static void rows_margins(const tdm__mark_chart *c, double *names, double *values)
{
    char text[TDM__NUMBER_TEXT];
    *names = *values = 0;
    for (size_t i = 0; i < c->n; i++) {
        *names = fmax(*names, tdm__chart_text_width(c->marks[i].name));
        tdm__number_fixed(c->marks[i].x, c->decimals, text);
        *values = fmax(*values, tdm__chart_text_width(text));
    }
    *names = fmin(*names + 4, 130);
    *values = fmin(*values + 8, 90);
}

void tdm__chart_rows(const tdm__mark_chart *c, tdm__str *out)
{
    double names, values;
    tdm__range r = c->x.range;
    for (size_t i = 0; tdm__range_empty(&c->x.range) && i < c->n; i++) {
        tdm__range_add(&r, c->marks[i].x);
        tdm__range_add(&r, c->marks[i].x_low);
        tdm__range_add(&r, c->marks[i].x_high);
    }
    r = tdm__range_padded(r, 0.06);
    rows_margins(c, &names, &values);
    const double height = tdm__chart_rows_height(c->n);
    tdm__plot p = {.out = out,
                   .left = names + 8,
                   .right = TDM__CHART_WIDTH - values - 4,
                   .top = TDM__CHART_TITLE + 4,
                   .bottom = height - TDM__CHART_FOOT,
                   .x_axis = c->x};
    p.x = (tdm__scale){r.low, r.high, p.left, p.right, c->x.log};
    tdm__chart_open(out, TDM__CHART_WIDTH, height, c->title);
    tdm__plot_x_axis(&p);
    for (size_t i = 0; i < c->n; i++) add_row(&p, c, i, names);
    if (isfinite(c->reference)) {
        const double x = tdm__scale_at(&p.x, c->reference);
        tdm__chart_rule(out, "rf", x, p.top, x, p.bottom);
    }
    tdm__chart_close(out);
}

/* ---- points ------------------------------------------------------------------------------------
 */

typedef struct label {
    double x, y, width; /* of the text's left end and base line */
} label;

static bool overlap(const label *a, const label *b)
{
    return a->x < b->x + b->width && b->x < a->x + a->width && fabs(a->y - b->y) < LABEL;
}

/* A place beside the point where no label lies yet and no other point: right, left, above, below,
 * else further away. False: there is none. */
static bool place(const tdm__plot *p, const tdm__mark_chart *c, size_t i, const label *placed,
                  size_t n, label *out)
{
    static const double dx[] = {7, -7, 0, 0, 7, 7, -7, -7, 9, -9, 9, -9};
    static const double dy[] = {4, 4, -9, 17, -8, 16, -8, 16, -20, -20, 28, 28};
    const tdm__mark *m = &c->marks[i];
    const double width = tdm__chart_text_width(m->name);
    for (size_t k = 0; k < sizeof dx / sizeof *dx; k++) {
        const double shift = dx[k] > 0 ? 0 : dx[k] < 0 ? width : width / 2;
        label l = {tdm__scale_at(&p->x, m->x) + dx[k] - shift, tdm__scale_at(&p->y, m->y) + dy[k],
                   width};
        bool free_place = l.x >= p->left && l.x + width <= p->right + 8 && l.y - 9 > p->top - 6 &&
                          l.y < p->bottom;
        for (size_t j = 0; free_place && j < n; j++) free_place = !overlap(&l, &placed[j]);
        for (size_t j = 0; free_place && j < c->n; j++) {
            const label point = {tdm__scale_at(&p->x, c->marks[j].x) - 4,
                                 tdm__scale_at(&p->y, c->marks[j].y) + 4, 8};
            if (isfinite(c->marks[j].x) && isfinite(c->marks[j].y))
                free_place = !overlap(&l, &point);
        }
        if (free_place) {
            *out = l;
            return true;
        }
    }
    return false;
}

static void add_mark(const tdm__plot *p, const tdm__mark *m)
{
    const double x = tdm__scale_at(&p->x, m->x), y = tdm__scale_at(&p->y, m->y);
    tdm__chart_group(p->out, m->arm);
    add_title(m, p->out);
    if (has_interval(m->x_low, m->x_high))
        tdm__chart_rule(p->out, "if", tdm__scale_at(&p->x, m->x_low), y,
                        tdm__scale_at(&p->x, m->x_high), y);
    if (has_interval(m->y_low, m->y_high))
        tdm__chart_rule(p->out, "if", x, tdm__scale_at(&p->y, m->y_low), x,
                        tdm__scale_at(&p->y, m->y_high));
    add_dot(p->out, x, y, 4);
    tdm__str_add(p->out, "</g>\n");
}

void tdm__chart_points(const tdm__mark_chart *c, tdm__str *out)
{
    tdm__plot p;
    tdm__axis x = c->x, y = c->y;
    label placed[NAMES_MOST];
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++) {
        const tdm__mark *m = &c->marks[i];
        const double xs[] = {m->x, m->x_low, m->x_high}, ys[] = {m->y, m->y_low, m->y_high};
        for (int k = 0; isfinite(m->x) && isfinite(m->y) && k < 3; k++) {
            tdm__range_add(&x.range, xs[k]);
            tdm__range_add(&y.range, ys[k]);
        }
    }
    x.range = tdm__range_padded(x.range, 0.06);
    tdm__plot_open(&p, out, c->title, &x, &y, TDM__CHART_HEIGHT + 65, 0);
    for (size_t i = 0; i < c->n; i++)
        if (isfinite(c->marks[i].x) && isfinite(c->marks[i].y)) add_mark(&p, &c->marks[i]);
    for (size_t i = 0; i < c->n && n < NAMES_MOST; i++) {
        const tdm__mark *m = &c->marks[i];
        if (!isfinite(m->x) || !isfinite(m->y) || !place(&p, c, i, placed, n, &placed[n])) continue;
        tdm__chart_text(out, placed[n].x, placed[n].y, "n", "start", m->name, 40);
        n++;
    }
    tdm__chart_close(out);
}
