/* report/chart.h: charts as SVG: scales, axes, lines with bands, rows of intervals, points, heat
 * maps.
 *
 * A chart is an <svg> element with a view box of its own units (about pixels) that a page scales to
 * its column. Colours are the page's: what belongs to arm i is in a group of class `a<i>` and drawn
 * in currentColor; everything else has the classes that tdm__chart_css styles. Values are shown on
 * hover by <title>, without script.
 *
 * Names are escaped here; lengths are in view-box units. Values that are not finite are not drawn,
 * and a line is broken where they are.
 */
#ifndef REPORT_CHART_H
#define REPORT_CHART_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

/* ---- scales ----------------------------------------------------------------------------------
 */

enum { TDM__TICKS = 16 };

typedef struct tdm__ticks {
    double at[TDM__TICKS];
    size_t n;
    int decimals; /* that tell them apart */
} tdm__ticks;
/* Round numbers (1, 2, 5 times a power of ten; whole: no fractions) within low..high, at most
 * `most` of them (2..TDM__TICKS). low = high gives that one. */
void tdm__ticks_make(double low, double high, size_t most, bool whole, tdm__ticks *out);
/* The same for a logarithmic axis: powers of ten, and 2 and 5 times where those are few. */
void tdm__ticks_log(double low, double high, size_t most, tdm__ticks *out);

typedef struct tdm__scale {
    double low, high; /* values */
    double from, to;  /* where they lie */
    bool log;
} tdm__scale;
/* The middle where low = high. Always finite. */
double tdm__scale_at(const tdm__scale *scale, double value);

/* The range of finite values seen so far. Begin with TDM__RANGE_NONE. */
typedef struct tdm__range {
    double low, high;
} tdm__range;
#define TDM__RANGE_NONE ((tdm__range){1, 0})
void tdm__range_add(tdm__range *range, double value);
bool tdm__range_empty(const tdm__range *range);
/* Widened by a share of its width on both sides; a single value by a twentieth of its size. */
tdm__range tdm__range_padded(tdm__range range, double share);

/* The colour of what belongs to no arm. */
#define TDM__CHART_ACCENT ((size_t)-1)

/* ---- the parts of a chart -------------------------------------------------------------------- */

typedef struct tdm__axis {
    const char *label; /* with its unit */
    tdm__range range;
    bool whole, log;
} tdm__axis;

typedef struct tdm__line {
    const char *name; /* what hover texts begin with */
    size_t arm;       /* colour */
    size_t n;
    const double *x, *y;
    const double *low, *high; /* NULL, or a band around y */
    bool no_band;             /* low and high are for the hover texts only */
} tdm__line;

/* A level across the whole chart, with its name at the right end. */
typedef struct tdm__level {
    const char *name;
    size_t arm;
    double y;
} tdm__level;

typedef struct tdm__line_chart {
    const char *title;
    tdm__axis x, y; /* an empty range is taken from the lines */
    const tdm__line *lines;
    size_t n;
    const tdm__level *levels;
    size_t n_levels;
    bool bars;     /* low..high as bars instead of a band, for lines of a few points */
} tdm__line_chart; /* levels: from the highest down */
void tdm__chart_lines(const tdm__line_chart *chart, tdm__str *out);

/* One value with its interval: a row of a chart of rows, or a point. */
typedef struct tdm__mark {
    const char *name;
    const char *hover; /* further text; may be NULL */
    size_t arm;
    double x, x_low, x_high; /* interval NaN: none */
    double y, y_low, y_high; /* points only */
} tdm__mark;

typedef struct tdm__mark_chart {
    const char *title;
    tdm__axis x, y; /* y: points only */
    const tdm__mark *marks;
    size_t n;
    double reference; /* rows: a line at this value (the baseline); NaN: none */
    int decimals;     /* rows: of the values written at the right */
} tdm__mark_chart;
/* A row for each mark: name, interval, value. */
void tdm__chart_rows(const tdm__mark_chart *chart, tdm__str *out);
/* Marks in the plane, each with its name beside it. */
void tdm__chart_points(const tdm__mark_chart *chart, tdm__str *out);
double tdm__chart_rows_height(size_t n);

typedef struct tdm__heat_chart {
    const char *title, *x_label, *y_label;
    size_t rows, columns;
    const char *const *row_names, *const *column_names;
    const double *values; /* rows * columns; NaN: nothing there */
    tdm__range range;     /* empty: that of the values */
    int decimals;         /* of the values in the cells; -1: values on hover only */
    bool square;          /* cells as wide as high */
} tdm__heat_chart;
void tdm__chart_heat(const tdm__heat_chart *chart, tdm__str *out);

/* ---- the page ---------------------------------------------------------------------------------
 */

/* The rules that charts need, without the colours of the arms. */
extern const char tdm__chart_css[];

enum { TDM__CHART_WIDTH = 330, TDM__CHART_HEIGHT = 215 };

#endif
