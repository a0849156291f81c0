/* report/chart_lines.c: lines over an axis, with bands or bars. See chart.h. */
#include <math.h>

#include "report/chart_parts.h"

enum {
    HOVER_MOST = 900,  /* points with a text of their own in one chart */
    DOTS_MOST = 24,    /* points of a line that are drawn as dots */
    POINTS_MOST = 240, /* of a line: beyond, only every k-th and the last are drawn */
    LEVEL_NAME = 14    /* characters */
};

static bool drawn(const tdm__line *l, size_t i)
{
    return isfinite(l->x[i]) && isfinite(l->y[i]);
}

/* The next point to draw after i; n at the end. */
static size_t next_point(const tdm__line *l, size_t i)
{
    const size_t stride = l->n > POINTS_MOST ? (l->n + POINTS_MOST - 1) / POINTS_MOST : 1;
    if (i + 1 >= l->n) return l->n;
    return i + stride < l->n ? i + stride : l->n - 1;
}

static void add_point(const tdm__plot *p, const char *command, double x, double y)
{
    tdm__str_add(p->out, command);
    tdm__coordinate(p->out, tdm__scale_at(&p->x, x));
    tdm__str_add(p->out, " ");
    tdm__coordinate(p->out, tdm__scale_at(&p->y, y));
}

/* From the first of a stretch of points with a band, along its upper edge and back along the lower
 * one. Returns where to go on. */
static size_t add_stretch(const tdm__plot *p, const tdm__line *l, size_t from)
{
    size_t points[POINTS_MOST + 2], n = 0, i = from;
    for (; i < l->n && n < POINTS_MOST + 2; i = next_point(l, i)) {
        if (!drawn(l, i) || !isfinite(l->low[i]) || !isfinite(l->high[i])) break;
        points[n++] = i;
    }
    if (n > 1) {
        tdm__str_add(p->out, "<path class=\"b\" d=\"");
        for (size_t k = 0; k < n; k++)
            add_point(p, k ? "L" : "M", l->x[points[k]], l->high[points[k]]);
        for (size_t k = n; k-- > 0;) add_point(p, "L", l->x[points[k]], l->low[points[k]]);
        tdm__str_add(p->out, "Z\"/>");
    }
    return n ? i : next_point(l, from);
}

static void add_bars(const tdm__plot *p, const tdm__line *l)
{
    for (size_t i = 0; i < l->n; i++) {
        if (!drawn(l, i) || !isfinite(l->low[i]) || !isfinite(l->high[i])) continue;
        const double x = tdm__scale_at(&p->x, l->x[i]);
        tdm__chart_rule(p->out, "i", x, tdm__scale_at(&p->y, l->low[i]), x,
                        tdm__scale_at(&p->y, l->high[i]));
    }
}

static void add_path(const tdm__plot *p, const tdm__line *l)
{
    bool pen = false;
    tdm__str_add(p->out, "<path class=\"l\" d=\"");
    for (size_t i = 0; i < l->n; i = next_point(l, i)) {
        if (drawn(l, i)) add_point(p, pen ? "L" : "M", l->x[i], l->y[i]);
        pen = drawn(l, i);
    }
    tdm__str_add(p->out, "\"/>");
}

/* "learned, epoch 3: 0.761 (0.755 to 0.770)" */
static void add_hover(const tdm__plot *p, const tdm__line *l, size_t i, int decimals)
{
    char text[TDM__NUMBER_TEXT];
    tdm__str_add(p->out, "<title>");
    tdm__markup_text(p->out, l->name);
    tdm__number_short(l->x[i], 6, text);
    tdm__str_add(p->out, ", ");
    tdm__markup_text(p->out, p->x_axis.label);
    tdm__str_addf(p->out, " %s: ", text);
    tdm__number_fixed(l->y[i], decimals, text);
    tdm__str_add(p->out, text);
    if (l->low && isfinite(l->low[i]) && isfinite(l->high[i])) {
        tdm__number_fixed(l->low[i], decimals, text);
        tdm__str_addf(p->out, " (%s to ", text);
        tdm__number_fixed(l->high[i], decimals, text);
        tdm__str_addf(p->out, "%s)", text);
    }
    tdm__str_add(p->out, "</title>");
}

static void add_dots(const tdm__plot *p, const tdm__line *l, bool hover, int decimals)
{
    for (size_t i = 0; i < l->n; i = next_point(l, i)) {
        const bool alone = (i == 0 || !drawn(l, i - 1)) && (i + 1 == l->n || !drawn(l, i + 1));
        const bool dot = l->n <= DOTS_MOST || alone || i + 1 == l->n;
        if (!drawn(l, i) || !(dot || hover)) continue;
        tdm__str_addf(p->out, "<circle class=\"%s\"", dot ? "d" : "p");
        tdm__attribute(p->out, "cx", tdm__scale_at(&p->x, l->x[i]));
        tdm__attribute(p->out, "cy", tdm__scale_at(&p->y, l->y[i]));
        tdm__attribute(p->out, "r", dot ? 2.6 : 5);
        tdm__str_add(p->out, ">");
        add_hover(p, l, i, decimals);
        tdm__str_add(p->out, "</circle>");
    }
}

/* Names stand right of the plane, at least a line's height apart, in the order of the levels. */
static void add_levels(const tdm__plot *p, const tdm__line_chart *c)
{
    enum { LINE = 12 };
    char text[TDM__NUMBER_TEXT];
    double at = -INFINITY;
    for (size_t i = 0; i < c->n_levels; i++) {
        const tdm__level *v = &c->levels[i];
        const double y = tdm__scale_at(&p->y, v->y);
        const double lowest = p->bottom - (double)(c->n_levels - 1 - i) * LINE;
        at = fmax(at + LINE, fmin(y, lowest));
        tdm__chart_group(p->out, v->arm);
        tdm__chart_rule(p->out, "lv", p->left, y, p->right, y);
        tdm__chart_text(p->out, p->right + 4, at + 4, "ka", "start", v->name, LEVEL_NAME);
        tdm__number_short(v->y, 4, text);
        tdm__str_add(p->out, "<title>");
        tdm__markup_text(p->out, v->name);
        tdm__str_addf(p->out, ": %s</title></g>", text);
    }
}

static double levels_width(const tdm__line_chart *c)
{
    double width = 0;
    for (size_t i = 0; i < c->n_levels; i++)
        width = fmax(width, tdm__chart_text_width(c->levels[i].name));
    return fmin(width, LEVEL_NAME * TDM__CHART_CHAR);
}

static void add_ranges(const tdm__line_chart *c, tdm__range *x, tdm__range *y)
{
    for (size_t k = 0; k < c->n; k++) {
        const tdm__line *l = &c->lines[k];
        for (size_t i = 0; i < l->n; i++) {
            if (!drawn(l, i)) continue;
            tdm__range_add(x, l->x[i]);
            tdm__range_add(y, l->y[i]);
            if (l->low && !l->no_band) tdm__range_add(y, l->low[i]);
            if (l->high && !l->no_band) tdm__range_add(y, l->high[i]);
        }
    }
    for (size_t i = 0; i < c->n_levels; i++) tdm__range_add(y, c->levels[i].y);
}

void tdm__chart_lines(const tdm__line_chart *c, tdm__str *out)
{
    tdm__plot p;
    tdm__axis x = c->x, y = c->y;
    tdm__range xr = TDM__RANGE_NONE, yr = TDM__RANGE_NONE;
    size_t points = 0;
    add_ranges(c, &xr, &yr);
    if (tdm__range_empty(&x.range)) x.range = xr;
    if (tdm__range_empty(&y.range)) y.range = yr;
    tdm__plot_open(&p, out, c->title, &x, &y, TDM__CHART_HEIGHT, levels_width(c));
    for (size_t k = 0; k < c->n; k++) points += c->lines[k].n;
    const int decimals = tdm__number_decimals((y.range.high - y.range.low) / 10, y.range.high);
    add_levels(&p, c);
    for (size_t k = 0; k < c->n; k++) {
        const tdm__line *l = &c->lines[k];
        tdm__chart_group(out, l->arm);
        tdm__str_add(out, "<title>");
        tdm__markup_text(out, l->name);
        tdm__str_add(out, "</title>");
        if (l->low && l->high && c->bars) add_bars(&p, l);
        for (size_t i = 0; l->low && l->high && !c->bars && !l->no_band && i < l->n;)
            i = add_stretch(&p, l, i);
        add_path(&p, l);
        add_dots(&p, l, points <= HOVER_MOST, decimals);
        tdm__str_add(out, "</g>\n");
    }
    tdm__chart_close(out);
}
