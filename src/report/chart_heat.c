/* report/chart_heat.c: a table of values as shades. See chart.h. */
#include <math.h>

#include "report/chart_parts.h"

/* Cells are one colour at different strengths, so that they read on light and dark paper alike. */
static const double FAINTEST = 0.06, STRONGEST = 0.95;

enum { CELL_LEAST = 9, CELL_HIGH = 26, NUMBER_ROOM = 20 };

typedef struct grid {
    double left, top, width, height; /* of the cells: of each */
} grid;

static void add_cell(const tdm__heat_chart *c, const grid *g, const tdm__range *range, size_t r,
                     size_t k, tdm__str *out)
{
    const double value = c->values[r * c->columns + k];
    const double x = g->left + (double)k * g->width, y = g->top + (double)r * g->height;
    const tdm__scale scale = {range->low, range->high, 0, 1, false};
    const double share = fmin(fmax(tdm__scale_at(&scale, value), 0), 1);
    const bool known = isfinite(value);
    char text[TDM__NUMBER_TEXT];
    tdm__str_addf(out, "<g><rect class=\"%s\"", known ? "cl" : "cn");
    tdm__attribute(out, "x", x + 0.5);
    tdm__attribute(out, "y", y + 0.5);
    tdm__attribute(out, "width", g->width - 1);
    tdm__attribute(out, "height", g->height - 1);
    if (known) {
        const int strength = (int)lround(100 * (FAINTEST + (STRONGEST - FAINTEST) * share));
        tdm__str_addf(out, " fill-opacity=\".%02d\"", strength > 99 ? 99 : strength);
    }
    tdm__str_add(out, "/><title>");
    tdm__markup_text(out, c->row_names[r]);
    tdm__str_add(out, ", ");
    tdm__markup_text(out, c->column_names[k]);
    tdm__number_short(value, 5, text);
    tdm__str_addf(out, ": %s</title>", text);
    tdm__number_fixed(value, c->decimals, text);
    const bool says_zero = c->square && tdm__streq(text, "0"); /* most of a confusion matrix */
    if (known && !says_zero && c->decimals >= 0 && g->width >= NUMBER_ROOM) {
        if (tdm__chart_text_width(text) < g->width)
            tdm__chart_text(out, x + g->width / 2, y + g->height / 2 + 4, share > 0.6 ? "ci" : "n",
                            "middle", text, TDM__NUMBER_TEXT);
    }
    tdm__str_add(out, "</g>");
}

static double widest(const char *const *names, size_t n)
{
    double width = 0;
    for (size_t i = 0; i < n; i++) width = fmax(width, tdm__chart_text_width(names[i]));
    return width;
}

/* Column names stand upright where they would not fit side by side. */
static void add_column_names(const tdm__heat_chart *c, const grid *g, bool upright, tdm__str *out)
{
    const double bottom = g->top + (double)c->rows * g->height;
    for (size_t k = 0; k < c->columns; k++) {
        const double x = g->left + ((double)k + 0.5) * g->width;
        if (!upright) {
            tdm__chart_text(out, x, bottom + 14, "k", "middle", c->column_names[k], 16);
            continue;
        }
        tdm__str_add(out, "<g transform=\"translate(");
        tdm__coordinate(out, x + 4);
        tdm__str_add(out, " ");
        tdm__coordinate(out, bottom + 5);
        tdm__str_add(out, ") rotate(-90)\">");
        tdm__chart_text(out, 0, 0, "k", "end", c->column_names[k], 16);
        tdm__str_add(out, "</g>");
    }
}

void tdm__chart_heat(const tdm__heat_chart *c, tdm__str *out)
{
    const double names = fmin(widest(c->row_names, c->rows) + 8, 110);
    const double inside = TDM__CHART_WIDTH - names - 4;
    tdm__range range = c->range;
    for (size_t i = 0; tdm__range_empty(&c->range) && i < c->rows * c->columns; i++)
        tdm__range_add(&range, c->values[i]);
    grid g = {.left = names, .top = TDM__CHART_TITLE + 18, .width = inside / (double)c->columns};
    g.width = fmax(fmin(g.width, c->square ? 40 : 70), CELL_LEAST);
    g.height = c->square ? g.width : CELL_HIGH;
    const bool upright = widest(c->column_names, c->columns) > g.width - 4;
    const double foot = upright
                            ? fmin(widest(c->column_names, c->columns), 16 * TDM__CHART_CHAR) + 26
                            : TDM__CHART_FOOT;
    const double width = fmax(TDM__CHART_WIDTH, g.left + (double)c->columns * g.width + 4);
    const double bottom = g.top + (double)c->rows * g.height;
    tdm__chart_open(out, width, bottom + foot, c->title);
    tdm__chart_text(out, 2, g.top - 6, "k", "start", c->y_label, 50);
    for (size_t r = 0; r < c->rows; r++) {
        tdm__chart_text(out, g.left - 5, g.top + ((double)r + 0.5) * g.height + 4, "k", "end",
                        c->row_names[r], (size_t)(names / TDM__CHART_CHAR));
        for (size_t k = 0; k < c->columns; k++) add_cell(c, &g, &range, r, k, out);
        tdm__str_add(out, "\n");
    }
    add_column_names(c, &g, upright, out);
    tdm__chart_text(out, g.left + (double)c->columns * g.width, bottom + foot - 6, "k", "end",
                    c->x_label, 60);
    tdm__chart_close(out);
}
