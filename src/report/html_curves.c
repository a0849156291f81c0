/* report/html_curves.c: learning curves, task weights, diagnostics over epochs. See html.h. */
#include <math.h>
#include <stdlib.h>

#include "report/html.h"

enum { CHARTS_MOST = 60 /* of a kind: what is beyond is in the JSON */ };

/* What is drawn of a quantity over all arms and both splits: charts side by side share it. */
static tdm_status range_of(const tdm__report *r, const tdm__series *like, tdm__range *out)
{
    static const char *const splits[] = {"train", "val"};
    tdm_status status = TDM_OK;
    const bool bands = r->n_arms <= TDM__BANDS_MOST;
    *out = TDM__RANGE_NONE;
    for (size_t i = 0; i < r->n_arms; i++)
        for (size_t k = 0; k < 2; k++) {
            tdm__series key = *like;
            tdm__curve c;
            key.split = splits[k];
            TDM_TRY(tdm__report_curve(r, i, &key, &c));
            for (size_t e = 0; e < c.n; e++) {
                tdm__range_add(out, bands ? c.low[e] : c.mean[e]);
                tdm__range_add(out, bands ? c.high[e] : c.mean[e]);
            }
            tdm__curve_free(&c);
        }
done:
    return status;
}

const char *tdm__report_split_title(const char *split)
{
    return tdm__streq(split, "val")     ? "validation"
           : tdm__streq(split, "train") ? "training"
                                        : split;
}

tdm_status tdm__report_curve_chart(const tdm__report *r, const tdm__series *s, const char *suffix,
                                   tdm__range range, tdm__str *out)
{
    tdm_status status = TDM_OK;
    tdm__str title = {0}, label = {0};
    const char *unit = tdm__metric_unit(s->what);
    tdm__str_addf(&title, "%s%s%s%s%s", s->task, *s->task ? ": " : "", s->what, *suffix ? ", " : "",
                  suffix);
    tdm__str_addf(&label, "%s%s%s%s", s->what, *unit ? " (" : "", unit, *unit ? ")" : "");
    TDM_TRY(tdm__str_status(&title));
    TDM_TRY(tdm__str_status(&label));
    TDM_TRY(tdm__report_lines(r, s, tdm__str_text(&title), tdm__str_text(&label), range, out));
done:
    tdm__str_free(&title);
    tdm__str_free(&label);
    return status;
}

static tdm_status add_curve(const tdm__report *r, const tdm__series *s, const char *suffix,
                            tdm__range range, tdm__str *out)
{
    tdm__str_add(out, "<figure>");
    const tdm_status status = tdm__report_curve_chart(r, s, suffix, range, out);
    tdm__str_add(out, "</figure>\n");
    return status;
}

bool tdm__report_learning(const tdm__series *s)
{
    if (tdm__streq(s->split, "test") || tdm__metric_is_baseline(s->what)) return false;
    if (s->kind == TDM__SERIES_RUN) return tdm__streq(s->what, "total");
    return s->kind == TDM__SERIES_LOSS || s->kind == TDM__SERIES_METRIC;
}

bool tdm__report_same_quantity(const tdm__series *a, const tdm__series *b)
{
    return tdm__report_learning(a) && tdm__report_learning(b) && a->kind == b->kind &&
           tdm__streq(a->task, b->task) && tdm__streq(a->what, b->what);
}

/* Training and validation of each quantity side by side, on one scale. */
static tdm_status add_learning(const tdm__report *r, const tdm__series **series, size_t n,
                               tdm__str *out)
{
    tdm_status status = TDM_OK;
    size_t charts = 0;
    tdm__range range;
    for (size_t i = 0; i < n && charts < CHARTS_MOST; i++) {
        for (size_t k = 0; k < n; k++) {
            const tdm__series *s = series[k];
            if (!tdm__report_same_quantity(series[i], s)) continue;
            if (k < i) break; /* drawn with the first of its splits */
            TDM_TRY(range_of(r, s, &range));
            TDM_TRY(add_curve(r, s, tdm__report_split_title(s->split), range, out));
            charts++;
        }
    }
done:
    return status;
}

bool tdm__report_moves(const tdm__report *r, const tdm__series *like)
{
    tdm__range range = TDM__RANGE_NONE;
    for (size_t i = 0; i < r->n_runs; i++) {
        const tdm__series *s = tdm__history_find(&r->runs[i].history, like);
        for (size_t e = 0; s && e < s->n; e++) tdm__range_add(&range, s->value[e]);
    }
    return range.low < range.high;
}

static tdm_status add_kind(const tdm__report *r, const tdm__series **series, size_t n,
                           tdm__series_kind kind, tdm__str *out)
{
    tdm_status status = TDM_OK;
    size_t charts = 0;
    for (size_t i = 0; i < n && charts < CHARTS_MOST; i++) {
        const tdm__series *s = series[i];
        if (s->kind != kind || !tdm__streq(s->split, "train") || !tdm__report_moves(r, s)) continue;
        TDM_TRY(add_curve(r, s, "", TDM__RANGE_NONE, out));
        charts++;
    }
done:
    return status;
}

/* A heading and charts, where there are any. */
static tdm_status add_group(const tdm__report *r, const tdm__series **series, size_t n,
                            tdm__series_kind kind, const char *title, const char *caption,
                            tdm__str *out)
{
    tdm__str charts = {0};
    tdm_status status = add_kind(r, series, n, kind, &charts);
    if (!status && charts.length) {
        tdm__str_addf(out, "<h3>%s</h3>", title);
        tdm__html_paragraph(out, "muted", caption);
        tdm__str_add(out, "<div class=\"charts four\">");
        tdm__str_add(out, tdm__str_text(&charts));
        tdm__str_add(out, "</div>\n");
    }
    if (!status) status = tdm__str_status(&charts);
    tdm__str_free(&charts);
    return status;
}

tdm_status tdm__html_curves(const tdm__report *r, tdm__str *out)
{
    tdm_status status = TDM_OK;
    const tdm__series **series = NULL;
    size_t n;
    TDM_TRY(tdm__report_series(r, &series, &n));
    if (!n) goto done;
    tdm__html_section(out, "curves", "Learning curves");
    tdm__html_legend(r, NULL, out);
    tdm__html_paragraph(
        out, "muted",
        r->n_arms > TDM__BANDS_MOST
            ? "Mean over seeds of each epoch; the lowest and the highest seed are in the "
              "values on hover. Training and validation of a quantity share one scale."
            : "Mean over seeds of each epoch; the band reaches from the lowest to the "
              "highest seed. Training and validation of a quantity share one scale.");
    tdm__str_add(out, "<div class=\"charts four\">");
    TDM_TRY(add_learning(r, series, n, out));
    tdm__str_add(out, "</div>\n");
    TDM_TRY(add_group(r, series, n, TDM__SERIES_WEIGHT, "Task weights",
                      "The factor of each task's loss in the total.", out));
    TDM_TRY(add_group(r, series, n, TDM__SERIES_DIAGNOSTIC, "Gradients and balance",
                      "What the training recorded of the tasks' gradients and their balance.",
                      out));
    tdm__html_section_end(out);
done:
    free(series);
    return status;
}
