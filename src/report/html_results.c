/* report/html_results.c: head, results at a glance, the comparisons in full. See html.h. */
#include <math.h>
#include <stdio.h>

#include "report/html.h"

/* ---- head --------------------------------------------------------------------------------------
 */

static void add_fact(tdm__str *out, const char *name, const char *value)
{
    if (!*value) return;
    tdm__str_add(out, "<div><dt>");
    tdm__markup_text(out, name);
    tdm__str_add(out, "</dt><dd>");
    tdm__markup_text(out, value);
    tdm__str_add(out, "</dd></div>");
}

/* Seeds of all runs, in the order in which they first appear. */
static void add_seeds(const tdm__report *r, tdm__str *out)
{
    size_t listed = 0;
    for (size_t i = 0; i < r->n_runs; i++) {
        bool seen = false;
        for (size_t k = 0; k < i && !seen; k++) seen = r->runs[k].seed == r->runs[i].seed;
        if (seen) continue;
        if (listed++ < 12)
            tdm__str_addf(out, "%s%lld", listed > 1 ? ", " : "", (long long)r->runs[i].seed);
    }
    if (listed > 12) tdm__str_addf(out, " and %zu more", listed - 12);
}

static void add_training(const tdm__report *r, tdm__str *out)
{
    static const char *const keys[] = {"train.epochs", "train.batch_size", "optim.kind",
                                       "optim.lr"};
    static const char *const before[] = {"", ", batch ", ", ", " at "};
    static const char *const after[] = {" epochs", "", "", ""};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const char *value = tdm__report_shared(r, keys[i], true);
        if (*value) tdm__str_addf(out, "%s%s%s", out->length ? before[i] : "", value, after[i]);
    }
}

static void add_device(const tdm__report *r, tdm__str *out)
{
    const char *device = tdm__report_shared(r, "device", false);
    const char *driver = tdm__report_shared(r, "driver", false);
    const char *platform = tdm__report_shared(r, "platform", false);
    tdm__str_add(out, *device ? device : r->experiment ? r->outline.device : "");
    if (*platform) tdm__str_addf(out, " (%s%s%s)", platform, *driver ? " " : "", driver);
}

static void add_data(const tdm__report *r, tdm__str *out)
{
    const char *path = tdm__report_shared(r, "data.path", true);
    const char *few = tdm__report_shared(r, "data.num_samples", true);
    tdm__str_add(out, path);
    if (*path && *few && !tdm__streq(few, "0")) tdm__str_addf(out, ", %s training samples", few);
}

static void add_lead(const tdm__report *r, tdm__str *out)
{
    size_t finished = 0;
    for (size_t i = 0; i < r->n_runs; i++) finished += r->runs[i].finished;
    tdm__str_addf(out, "%zu %s, %zu of %zu runs finished.", r->n_arms,
                  r->n_arms == 1 ? "arm" : "arms", finished, r->n_runs);
    if (!r->comparison.n_arms) return;
    tdm__str_add(out,
                 " All numbers are of the test split, read once by the checkpoint that was best on "
                 "validation");
    tdm__str_addf(
        out, "; intervals are 95 %% (bootstrap over seeds)%s.",
        r->comparison.n_arms > 1
            ? ", differences are taken in pairs of equal seeds, p is an exact sign-flip test "
              "adjusted by Holm"
            : "");
}

/* A text that is built, then shown as a fact. */
static void add_built(tdm__str *out, const char *name, const tdm__report *r,
                      void (*build)(const tdm__report *, tdm__str *))
{
    tdm__str text = {0};
    build(r, &text);
    add_fact(out, name, tdm__str_text(&text));
    out->failed |= text.failed;
    tdm__str_free(&text);
}

static void add_total_time(const tdm__report *r, tdm__str *out)
{
    char text[TDM__NUMBER_TEXT];
    double sum = 0;
    for (size_t i = 0; i < r->n_runs; i++)
        if (isfinite(r->runs[i].seconds)) sum += r->runs[i].seconds;
    tdm__duration_text(sum, text);
    if (sum > 0) tdm__str_add(out, text);
}

tdm_status tdm__html_head(const tdm__report *r, tdm__str *out)
{
    tdm__str lead = {0};
    tdm__str_add(out, "<header><h1>");
    tdm__markup_text(out, r->title);
    tdm__str_add(out, "</h1>\n");
    add_lead(r, &lead);
    tdm__html_paragraph(out, "muted", tdm__str_text(&lead));
    tdm__str_free(&lead);
    tdm__str_add(out, "<dl class=\"facts\">");
    add_built(out, "Data", r, add_data);
    add_fact(out, "Network", tdm__report_shared(r, "model.trunk", true));
    add_built(out, "Training", r, add_training);
    add_built(out, "Seeds", r, add_seeds);
    if (r->baseline < r->n_arms && r->comparison.n_arms > 1)
        add_fact(out, "Baseline", r->arms[r->baseline].name);
    add_built(out, "Device", r, add_device);
    add_built(out, "Time of all runs", r, add_total_time);
    add_fact(out, "tandem", tdm__report_shared(r, "version", false));
    if (r->experiment) add_fact(out, "Begun", r->outline.created);
    tdm__str_add(out, "</dl>\n");
    if (r->n_notes) tdm__str_add(out, "<div class=\"notes\">");
    for (size_t i = 0; i < r->n_notes; i++) tdm__html_paragraph(out, "note", r->notes[i]);
    if (r->n_notes) tdm__str_add(out, "</div>\n");
    tdm__str_add(out, "</header>\n");
    return tdm__str_status(out);
}

/* ---- results at a glance -----------------------------------------------------------------------
 */

static bool shown_metric(const tdm__report *r, size_t metric)
{
    char task[TDM__NAME_PART], what[TDM__NAME_PART];
    tdm__report_split(r->comparison.metrics[metric], task, what);
    return !tdm__metric_is_baseline(what);
}

static void add_statements(const tdm__report *r, tdm__str *out)
{
    tdm__str_add(out, "<ul class=\"say\">");
    for (size_t m = 0; m < r->comparison.n_metrics; m++) {
        tdm__str text = {0};
        if (!tdm__report_primary(r, m)) continue;
        tdm__report_statement(r, m, &text);
        tdm__str_add(out, "<li><b>");
        tdm__markup_text(out, r->comparison.metrics[m]);
        tdm__str_add(out, "</b> ");
        tdm__markup_text(out, tdm__str_text(&text));
        tdm__str_add(out, "</li>");
        tdm__str_free(&text);
    }
    tdm__str_add(out, "</ul>\n");
}

enum { EFFECT_MOST = 100 }; /* beyond it the digits say nothing */

/* Some arm's numbers may still come. */
static bool without_result(const tdm__report *r)
{
    for (size_t i = 0; i < r->n_arms; i++)
        if (r->arms[i].n_finished == 0) return true;
    return false;
}

/* "0.767" and its interval below; a dash where the arm does not have the metric. */
static void add_overview_cell(const tdm__report *r, size_t metric, size_t arm, tdm__str *out)
{
    const tdm__cell *cell = tdm__report_cell(r, metric, arm);
    const int decimals = tdm__report_decimals(r, metric);
    const bool best = r->n_arms > 1 && tdm__report_best(r, metric) == arm;
    char text[TDM__NUMBER_TEXT], high[TDM__NUMBER_TEXT];
    tdm__number_fixed(cell ? cell->all.mean : NAN, decimals, text);
    tdm__str_addf(out, "<td class=\"r\">%s%s%s", best ? "<b>" : "", text, best ? "</b>" : "");
    if (cell && isfinite(cell->interval.low)) {
        tdm__number_fixed(cell->interval.low, decimals, text);
        tdm__number_fixed(cell->interval.high, decimals, high);
        tdm__str_addf(out, "<small>%s to %s</small>", text, high);
    }
    tdm__str_add(out, "</td>");
}

static void add_overview(const tdm__report *r, tdm__str *out)
{
    char text[TDM__NUMBER_TEXT];
    tdm__str_add(out, "<div class=\"scroll\"><table class=\"sticky\"><thead><tr><th>arm</th><th "
                      "class=\"r\">seeds</th>");
    for (size_t m = 0; m < r->comparison.n_metrics; m++) {
        char task[TDM__NAME_PART], what[TDM__NAME_PART];
        if (!shown_metric(r, m)) continue;
        tdm__report_split(r->comparison.metrics[m], task, what);
        tdm__str_add(out, "<th class=\"r\">");
        tdm__markup_text(out, task);
        tdm__str_add(out, *task ? "<br>" : "");
        tdm__markup_text(out, what);
        tdm__str_add(out, tdm__metric_higher_is_better(what) ? " \xe2\x86\x91</th>"
                                                             : " \xe2\x86\x93</th>");
    }
    tdm__str_add(out, "</tr></thead><tbody>\n");
    for (size_t i = 0; i < r->n_arms; i++) {
        tdm__str_add(out, "<tr>");
        tdm__html_cell(out, NULL, r->arms[i].label, false);
        snprintf(text, sizeof text, "%zu", r->arms[i].n_finished);
        tdm__html_cell(out, "seeds", text, true);
        for (size_t m = 0; m < r->comparison.n_metrics; m++)
            if (shown_metric(r, m)) add_overview_cell(r, m, i, out);
        tdm__str_add(out, "</tr>\n");
    }
    tdm__str_add(
        out, "</tbody></table></div>\n<p class=\"muted\">Mean over seeds, 95 % interval below; the "
             "best mean of a column is bold, which is no test. Arrows: \xe2\x86\x91 higher is "
             "better, \xe2\x86\x93 lower is better. A dash: the arm does not have the task");
    tdm__str_add(out, without_result(r) ? ", or no result yet.</p>\n" : ".</p>\n");
}

tdm_status tdm__html_results(const tdm__report *r, tdm__str *out)
{
    tdm_status status = TDM_OK;
    if (!r->comparison.n_arms) return TDM_OK;
    tdm__html_section(out, "results", "Results");
    add_statements(r, out);
    tdm__str_add(out, "<div class=\"charts three\">");
    for (size_t m = 0; m < r->comparison.n_metrics; m++) {
        if (!tdm__report_primary(r, m)) continue;
        tdm__str_add(out, "<figure>");
        TDM_TRY(tdm__report_rows(r, m, out));
        tdm__str_add(out, "</figure>\n");
    }
    tdm__str_add(out, "</div>\n");
    if (r->comparison.n_arms > 1)
        tdm__html_paragraph(out, "muted",
                            "Dots: means over seeds; bars: 95 % intervals; dashed: the baseline.");
    add_overview(r, out);
    tdm__html_section_end(out);
done:
    return status;
}

/* ---- comparisons in full -----------------------------------------------------------------------
 */

static void interval_text(const tdm__interval *i, int decimals, bool sign,
                          char out[2 * TDM__NUMBER_TEXT + 8])
{
    char low[TDM__NUMBER_TEXT], high[TDM__NUMBER_TEXT];
    if (!isfinite(i->low)) {
        tdm__number_fixed(NAN, 0, out);
        return;
    }
    (sign ? tdm__number_signed : tdm__number_fixed)(i->low, decimals, low);
    (sign ? tdm__number_signed : tdm__number_fixed)(i->high, decimals, high);
    snprintf(out, 2 * TDM__NUMBER_TEXT + 8, "%s to %s", low, high);
}

static void add_detail_row(const tdm__report *r, size_t metric, const char *what, size_t arm,
                           tdm__str *out)
{
    const tdm__cell *cell = tdm__report_cell(r, metric, arm);
    const int decimals = tdm__report_decimals(r, metric);
    const int fine = tdm__report_difference_decimals(r, metric);
    char text[2 * TDM__NUMBER_TEXT + 8];
    if (!cell || !cell->all.n) return;
    tdm__str_add(out, "<tr>");
    tdm__html_cell(out, NULL, r->arms[arm].label, false);
    snprintf(text, sizeof text, "%zu", cell->all.n);
    tdm__html_cell(out, "seeds", text, true);
    tdm__number_fixed(cell->all.mean, decimals, text);
    tdm__html_cell(out, "mean", text, true);
    tdm__number_fixed(cell->all.sd, decimals, text);
    tdm__html_cell(out, "sd", text, true);
    interval_text(&cell->interval, decimals, false, text);
    tdm__html_cell(out, "95 % interval", text, true);
    if (arm == r->baseline) {
        tdm__str_add(out, "<td colspan=\"4\">baseline</td><td></td></tr>\n");
        return;
    }
    tdm__number_signed(cell->difference.mean, fine, text);
    tdm__html_cell(out, "difference", text, true);
    interval_text(&cell->difference_interval, fine, true, text);
    tdm__html_cell(out, "its 95 % interval", text, true);
    tdm__p_text(cell->p, text);
    tdm__html_cell(out, "p (Holm)", text, true);
    if (fabs(cell->effect) >= EFFECT_MOST && isfinite(cell->effect)) /* hardly any spread */
        snprintf(text, sizeof text, cell->effect > 0 ? "> %d" : "< \xe2\x88\x92%d", EFFECT_MOST);
    else
        tdm__number_fixed(isfinite(cell->effect) ? cell->effect : NAN, 2, text);
    tdm__html_cell(out, "effect (d)", text, true);
    const char *verdict = tdm__report_verdict(cell, what);
    tdm__str_addf(out, "<td data-l=\"verdict\" class=\"%s\">%s</td></tr>\n",
                  tdm__streq(verdict, "better")  ? "good"
                  : tdm__streq(verdict, "worse") ? "bad"
                                                 : "muted",
                  verdict);
}

static void add_detail(const tdm__report *r, size_t metric, tdm__str *out)
{
    char task[TDM__NAME_PART], what[TDM__NAME_PART];
    const tdm__comparison *c = &r->comparison;
    tdm__report_split(c->metrics[metric], task, what);
    tdm__str_add(out,
                 tdm__report_primary(r, metric) ? "<details open><summary>" : "<details><summary>");
    tdm__html_metric_name(c->metrics[metric], out);
    tdm__str_add(out,
                 "</summary>\n<div class=\"scroll\"><table class=\"list\"><thead><tr><th>arm</th>");
    static const char *const heads[] = {"seeds",         "mean",       "sd",
                                        "95 % interval", "difference", "its 95 % interval",
                                        "p (Holm)",      "effect (d)"};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        tdm__str_addf(out, "<th class=\"r\">%s</th>", heads[i]);
    tdm__str_add(out, "<th>verdict</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < r->n_arms; i++) add_detail_row(r, metric, what, i, out);
    tdm__str_add(
        out, "</tbody></table></div>\n<details><summary>In sentences</summary><ul class=\"say\">");
    for (size_t k = 1; k < c->n_arms; k++) {
        tdm__str text = {0};
        if (!tdm__comparison_cell(c, metric, k)->all.n) continue;
        tdm__comparison_sentence(c, metric, k, &text);
        tdm__str_add(out, "<li>");
        tdm__markup_text(out, tdm__str_text(&text));
        tdm__str_add(out, "</li>");
        tdm__str_free(&text);
    }
    tdm__str_add(out, "</ul></details></details>\n");
}

tdm_status tdm__html_details(const tdm__report *r, tdm__str *out)
{
    if (r->comparison.n_arms < 2 || r->baseline == r->n_arms) return TDM_OK;
    tdm__html_section(out, "details", "Comparisons with the baseline");
    for (size_t m = 0; m < r->comparison.n_metrics; m++)
        if (shown_metric(r, m)) add_detail(r, m, out);
    tdm__html_section_end(out);
    return tdm__str_status(out);
}
