/* report/chart_parts.h: what the kinds of charts share. */
#ifndef REPORT_CHART_PARTS_H
#define REPORT_CHART_PARTS_H

#include "report/chart.h"
#include "report/words.h"

enum {
    TDM__CHART_CHAR = 6, /* about the width of a character of a label */
    TDM__CHART_TITLE = 22,
    TDM__CHART_FOOT = 36 /* room for the ticks and the label of the x axis */
};

typedef struct tdm__plot {
    tdm__str *out;
    tdm__scale x, y;
    double left, top, right, bottom; /* of the plane */
    tdm__axis x_axis, y_axis;
} tdm__plot;

/* "12.5": a coordinate, whatever the locale. */
void tdm__coordinate(tdm__str *out, double value);
/* ` name="12.5"` */
void tdm__attribute(tdm__str *out, const char *name, double value);
/* Opens the <svg> and writes its title, cut to the width. */
void tdm__chart_open(tdm__str *out, double width, double height, const char *title);
void tdm__chart_close(tdm__str *out);
/* `<g class="a3">`, for what is drawn in the arm's colour. */
void tdm__chart_group(tdm__str *out, size_t arm);
/* A text of a class; anchor: start, middle, end. Cut to `most` characters. */
void tdm__chart_text(tdm__str *out, double x, double y, const char *class, const char *anchor,
                     const char *text, size_t most);
void tdm__chart_rule(tdm__str *out, const char *class, double x1, double y1, double x2, double y2);
/* Opens the chart with axes, grid lines and labels around a plane for both ranges (padded); beside:
 * room kept free right of the plane. */
void tdm__plot_open(tdm__plot *plot, tdm__str *out, const char *title, const tdm__axis *x,
                    const tdm__axis *y, double height, double beside);
void tdm__plot_x_axis(const tdm__plot *plot);
/* How wide a text is drawn, about. */
double tdm__chart_text_width(const char *text);

#endif
