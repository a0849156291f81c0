/* report/chart.c: scales, ticks and axes. See chart.h. */
#include "report/chart.h"

#include <float.h>
#include <math.h>

#include "report/chart_parts.h"

const char tdm__chart_css[] =
    "svg.c{font:11px system-ui,-apple-system,'Segoe UI',Roboto,'Liberation Sans',sans-serif;"
    "font-variant-numeric:tabular-nums;display:block;width:100%;height:auto}"
    "svg.c text{fill:currentColor}svg.c .h{font-size:12px;font-weight:600}"
    "svg.c .k{fill:var(--muted,#5b6470)}svg.c .ka{fill:currentColor}"
    "svg.c .g{stroke:var(--rule,#e3e6ea);stroke-width:1}"
    "svg.c .ax{stroke:var(--muted,#5b6470);stroke-width:1}"
    "svg.c .rf{stroke:var(--muted,#5b6470);stroke-width:1;stroke-dasharray:3 3}"
    "svg.c .l{fill:none;stroke:currentColor;stroke-width:1.8;stroke-linejoin:round;"
    "stroke-linecap:round}"
    "svg.c .lv{stroke:currentColor;stroke-width:1.4;stroke-dasharray:6 3}"
    "svg.c .b{fill:currentColor;opacity:.13}"
    "svg.c .i{stroke:currentColor;stroke-width:2}svg.c .if{stroke:currentColor;opacity:.45}"
    "svg.c .d{fill:currentColor}svg.c .p{fill:transparent}"
    "svg.c .aa{color:var(--accent,#0072b2)}svg.c .cl{fill:var(--accent,#0072b2)}svg.c "
    ".cn{fill:var(--rule,#e3e6ea)}"
    "svg.c .ci{fill:var(--paper,#fff)}"
    "svg.c g:hover>.l{stroke-width:3}svg.c g:hover>.b{opacity:.3}"
    "svg.c .p:hover{fill:currentColor;fill-opacity:.35}";

/* ---- scales ------------------------------------------------------------------------------------
 */

/* The step of 1, 2 or 5 times a power of ten that is at least `least`. */
static double nice_step(double least)
{
    const double power = pow(10, floor(log10(least)));
    static const double factors[] = {1, 2, 5, 10};
    for (int i = 0; i < 4; i++)
        if (factors[i] * power >= least * (1 - 1e-9)) return factors[i] * power;
    return 10 * power;
}

static int decimals_of(double step)
{
    const int decimals = (int)ceil(-log10(step) - 1e-9);
    return decimals < 0 ? 0 : decimals;
}

void tdm__ticks_make(double low, double high, size_t most, bool whole, tdm__ticks *out)
{
    *out = (tdm__ticks){.n = 0};
    if (!isfinite(low) || !isfinite(high) || low > high) return;
    if (most > TDM__TICKS) most = TDM__TICKS;
    if (most < 2) most = 2;
    if (!(high - low > fmax(fabs(low), fabs(high)) * 1e-12) || !isfinite(high - low)) {
        out->at[out->n++] = low;
        out->decimals = tdm__number_decimals(NAN, low);
        return;
    }
    double step = nice_step((high - low) / (double)most);
    if (whole && step < 1) step = 1;
    /* steps just above the limit can leave one tick too many */
    while (floor(high / step + 1e-9) - ceil(low / step - 1e-9) + 1 > (double)most)
        step = nice_step(step * 1.5);
    out->decimals = decimals_of(step);
    const double first = ceil(low / step - 1e-9), last = floor(high / step + 1e-9);
    for (double k = first; k <= last && out->n < most; k++) out->at[out->n++] = k * step + 0.0;
}

void tdm__ticks_log(double low, double high, size_t most, tdm__ticks *out)
{
    static const double all[] = {1, 2, 5}, powers[] = {1};
    *out = (tdm__ticks){.n = 0};
    if (!(low > 0) || !isfinite(high) || low > high) return;
    if (most > TDM__TICKS) most = TDM__TICKS;
    const double decades = log10(high / low);
    const bool few = decades * 3 <= (double)most;
    const double *factors = few ? all : powers;
    const double stride = few ? 1 : fmax(1, ceil(decades / (double)most));
    for (double e = floor(log10(low)); e <= ceil(log10(high)); e += stride)
        for (int i = 0; i < (few ? 3 : 1); i++) {
            const double v = factors[i] * pow(10, e);
            if (v >= low * (1 - 1e-9) && v <= high * (1 + 1e-9) && out->n < most)
                out->at[out->n++] = v;
        }
}

double tdm__scale_at(const tdm__scale *s, double value)
{
    double low = s->low, high = s->high;
    if (s->log) {
        low = log(fmax(low, DBL_MIN));
        high = log(fmax(high, DBL_MIN));
        value = log(fmax(value, DBL_MIN));
    }
    const double width = high - low;
    const double share = width > 0 && isfinite(width) ? (value - low) / width : 0.5;
    return s->from + (isfinite(share) ? share : 0.5) * (s->to - s->from);
}

void tdm__range_add(tdm__range *r, double value)
{
    if (!isfinite(value)) return;
    if (tdm__range_empty(r)) *r = (tdm__range){value, value};
    r->low = fmin(r->low, value);
    r->high = fmax(r->high, value);
}

bool tdm__range_empty(const tdm__range *r)
{
    return !(r->low <= r->high);
}

tdm__range tdm__range_padded(tdm__range r, double share)
{
    const double width = r.high - r.low;
    const double pad = width > 0 ? width * share : fmax(fabs(r.low) * 0.05, 1e-9);
    return tdm__range_empty(&r) ? (tdm__range){0, 1} : (tdm__range){r.low - pad, r.high + pad};
}

/* ---- parts -------------------------------------------------------------------------------------
 */

void tdm__coordinate(tdm__str *out, double value)
{
    const double most = 1e6;
    if (isnan(value)) value = 0;
    value = fmin(fmax(value, -most), most);
    const long tenths = lround(value * 10);
    const long size = tenths < 0 ? -tenths : tenths;
    tdm__str_addf(out, "%s%ld", tenths < 0 ? "-" : "", size / 10);
    if (size % 10) tdm__str_addf(out, ".%ld", size % 10);
}

void tdm__attribute(tdm__str *out, const char *name, double value)
{
    tdm__str_addf(out, " %s=\"", name);
    tdm__coordinate(out, value);
    tdm__str_add(out, "\"");
}

double tdm__chart_text_width(const char *text)
{
    return (double)tdm__text_length(text) * TDM__CHART_CHAR;
}

void tdm__chart_group(tdm__str *out, size_t arm)
{
    if (arm == TDM__CHART_ACCENT)
        tdm__str_add(out, "<g class=\"aa\">");
    else
        tdm__str_addf(out, "<g class=\"a%zu\">", arm);
}

void tdm__chart_text(tdm__str *out, double x, double y, const char *class, const char *anchor,
                     const char *text, size_t most)
{
    tdm__str_addf(out, "<text class=\"%s\"", class);
    tdm__attribute(out, "x", x);
    tdm__attribute(out, "y", y);
    if (!tdm__streq(anchor, "start")) tdm__str_addf(out, " text-anchor=\"%s\"", anchor);
    tdm__str_add(out, ">");
    tdm__markup_cut(out, text, most);
    if (tdm__text_length(text) > most) {
        tdm__str_add(out, "<title>");
        tdm__markup_text(out, text);
        tdm__str_add(out, "</title>");
    }
    tdm__str_add(out, "</text>");
}

void tdm__chart_rule(tdm__str *out, const char *class, double x1, double y1, double x2, double y2)
{
    tdm__str_addf(out, "<path class=\"%s\" d=\"M", class);
    tdm__coordinate(out, x1);
    tdm__str_add(out, " ");
    tdm__coordinate(out, y1);
    tdm__str_add(out, "L");
    tdm__coordinate(out, x2);
    tdm__str_add(out, " ");
    tdm__coordinate(out, y2);
    tdm__str_add(out, "\"/>");
}

void tdm__chart_open(tdm__str *out, double width, double height, const char *title)
{
    tdm__str_add(out, "<svg class=\"c\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 ");
    tdm__coordinate(out, width);
    tdm__str_add(out, " ");
    tdm__coordinate(out, height);
    tdm__str_add(out, "\" role=\"img\" aria-label=\"");
    tdm__markup_text(out, title);
    tdm__str_add(out, "\">");
    tdm__chart_text(out, 2, 13, "h", "start", title, (size_t)(width / 6.6));
}

void tdm__chart_close(tdm__str *out)
{
    tdm__str_add(out, "</svg>\n");
}

/* ---- axes --------------------------------------------------------------------------------------
 */

static void axis_ticks(const tdm__axis *axis, const tdm__range *range, size_t most, tdm__ticks *out)
{
    if (axis->log)
        tdm__ticks_log(range->low, range->high, most, out);
    else
        tdm__ticks_make(range->low, range->high, most, axis->whole, out);
}

static void tick_text(const tdm__axis *axis, const tdm__ticks *ticks, size_t i,
                      char out[TDM__NUMBER_TEXT])
{
    if (axis->log)
        tdm__number_short(ticks->at[i], 3, out);
    else
        tdm__number_fixed(ticks->at[i], ticks->decimals, out);
}

void tdm__plot_x_axis(const tdm__plot *p)
{
    tdm__ticks ticks;
    char text[TDM__NUMBER_TEXT];
    const tdm__range range = {p->x.low, p->x.high};
    axis_ticks(&p->x_axis, &range, 6, &ticks);
    tdm__chart_rule(p->out, "ax", p->left, p->bottom, p->right, p->bottom);
    for (size_t i = 0; i < ticks.n; i++) {
        const double x = tdm__scale_at(&p->x, ticks.at[i]);
        tdm__chart_rule(p->out, "ax", x, p->bottom, x, p->bottom + 4);
        tick_text(&p->x_axis, &ticks, i, text);
        tdm__chart_text(p->out, x, p->bottom + 16, "k", "middle", text, TDM__NUMBER_TEXT);
    }
    tdm__chart_text(p->out, p->right, p->bottom + 31, "k", "end", p->x_axis.label,
                    (size_t)((p->right - 4) / TDM__CHART_CHAR));
}

static void y_axis(const tdm__plot *p, const tdm__ticks *ticks)
{
    char text[TDM__NUMBER_TEXT];
    for (size_t i = 0; i < ticks->n; i++) {
        const double y = tdm__scale_at(&p->y, ticks->at[i]);
        tdm__chart_rule(p->out, "g", p->left, y, p->right, y);
        tick_text(&p->y_axis, ticks, i, text);
        tdm__chart_text(p->out, p->left - 5, y + 4, "k", "end", text, TDM__NUMBER_TEXT);
    }
    /* clear of the tick that may stand at the very top */
    tdm__chart_text(p->out, 2, p->top - 12, "k", "start", p->y_axis.label,
                    TDM__CHART_WIDTH / TDM__CHART_CHAR);
}

void tdm__plot_open(tdm__plot *p, tdm__str *out, const char *title, const tdm__axis *x,
                    const tdm__axis *y, double height, double beside)
{
    tdm__ticks ticks;
    char text[TDM__NUMBER_TEXT];
    double widest = 0;
    const tdm__range yr = y->log ? y->range : tdm__range_padded(y->range, 0.05);
    const bool point = !(x->range.low < x->range.high);
    const tdm__range xr = x->log && !point ? x->range : tdm__range_padded(x->range, 0.02);
    tdm__chart_open(out, TDM__CHART_WIDTH, height, title);
    axis_ticks(y, &yr, 6, &ticks);
    for (size_t i = 0; i < ticks.n; i++) {
        tick_text(y, &ticks, i, text);
        widest = fmax(widest, tdm__chart_text_width(text));
    }
    *p = (tdm__plot){.out = out,
                     .left = widest + 10,
                     .top = TDM__CHART_TITLE + 23,
                     .right = TDM__CHART_WIDTH - 10 - beside,
                     .bottom = height - TDM__CHART_FOOT,
                     .x_axis = *x,
                     .y_axis = *y};
    p->x = (tdm__scale){xr.low, xr.high, p->left, p->right, x->log};
    p->y = (tdm__scale){yr.low, yr.high, p->bottom, p->top, y->log};
    y_axis(p, &ticks);
    tdm__plot_x_axis(p);
}
