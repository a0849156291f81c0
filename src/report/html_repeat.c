/* report/html_repeat.c: what it cost, what did not finish, how to repeat it. See html.h. */
#include <math.h>
#include <stdio.h>

#include "report/html.h"

/* ---- time and memory ---------------------------------------------------------------------------
 */

/* The mean of a fact over an arm's finished runs; NaN when none has it. */
static double mean_fact(const tdm__report *r, size_t arm, const char *key)
{
    double sum = 0, value;
    size_t n = 0;
    for (size_t i = 0; i < r->n_runs; i++) {
        const char *text = tdm__pairs_find(&r->runs[i].facts, key);
        if (r->runs[i].arm != arm || !text || !tdm__parse_f64(text, &value)) continue;
        sum += value;
        n++;
    }
    return n ? sum / (double)n : NAN;
}

/* The mean over epochs and runs of what training recorded. */
static double mean_series(const tdm__report *r, size_t arm, const char *what)
{
    const tdm__series like = {.kind = TDM__SERIES_RUN, .split = "train", .task = "", .what = what};
    double sum = 0;
    size_t n = 0;
    for (size_t i = 0; i < r->n_runs; i++) {
        const tdm__series *s =
            r->runs[i].arm == arm ? tdm__history_find(&r->runs[i].history, &like) : NULL;
        for (size_t e = 0; s && e < s->n; e++) {
            if (!isfinite(s->value[e])) continue;
            sum += s->value[e];
            n++;
        }
    }
    return n ? sum / (double)n : NAN;
}

static void add_cost_row(const tdm__report *r, size_t arm, tdm__str *out)
{
    char text[TDM__NUMBER_TEXT];
    tdm__str_add(out, "<tr>");
    tdm__html_cell(out, NULL, r->arms[arm].label, false);
    tdm__duration_text(mean_fact(r, arm, "seconds"), text);
    tdm__html_cell(out, "time of a run", text, true);
    tdm__number_short(mean_fact(r, arm, "epochs_done"), 4, text);
    tdm__html_cell(out, "epochs", text, true);
    tdm__number_short(mean_fact(r, arm, "best_epoch"), 3, text);
    tdm__html_cell(out, "best epoch", text, true);
    tdm__duration_text(mean_series(r, arm, "seconds"), text);
    tdm__html_cell(out, "training epoch", text, true);
    tdm__percent_text(mean_series(r, arm, "wait_share"), text);
    tdm__html_cell(out, "waiting for data", text, true);
    tdm__bytes_text(mean_fact(r, arm, "process_peak_bytes"), text);
    tdm__html_cell(out, "peak of the process", text, true);
    tdm__bytes_text(mean_fact(r, arm, "device_peak_bytes"), text);
    tdm__html_cell(out, "peak of device buffers", text, true);
    tdm__str_add(out, "</tr>\n");
}

tdm_status tdm__html_costs(const tdm__report *r, tdm__str *out)
{
    static const char *const heads[] = {
        "time of a run",         "epochs",           "best epoch",
        "training epoch",        "waiting for data", "peak of the process",
        "peak of device buffers"};
    static const char *const charts[] = {"wait_share", "seconds"};
    static const char *const titles[] = {"Waiting for data in a training epoch",
                                         "Time of a training epoch"};
    static const char *const labels[] = {"share of the epoch's time", "seconds"};
    tdm_status status = TDM_OK;
    tdm__html_section(out, "costs", "Time and memory");
    tdm__str_add(out, "<div class=\"scroll\"><table class=\"list\"><thead><tr><th>arm</th>");
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        tdm__str_addf(out, "<th class=\"r\">%s</th>", heads[i]);
    tdm__str_add(out, "</tr></thead><tbody>\n");
    for (size_t i = 0; i < r->n_arms; i++) add_cost_row(r, i, out);
    tdm__str_add(out, "</tbody></table></div>\n<p class=\"muted\">Means over an arm's runs.</p>\n");
    tdm__html_legend(r, NULL, out);
    tdm__str_add(out, "<div class=\"charts\">");
    for (size_t i = 0; i < 2; i++) {
        const tdm__series like = {
            .kind = TDM__SERIES_RUN, .split = "train", .task = "", .what = charts[i]};
        bool any = false;
        for (size_t k = 0; k < r->n_runs; k++)
            any |= tdm__history_find(&r->runs[k].history, &like) != NULL;
        if (!any) continue;
        tdm__str_add(out, "<figure>");
        TDM_TRY(tdm__report_lines(r, &like, titles[i], labels[i], TDM__RANGE_NONE, out));
        tdm__str_add(out, "</figure>\n");
    }
    tdm__str_add(out, "</div>\n");
    tdm__html_section_end(out);
done:
    return status;
}

/* ---- not finished ------------------------------------------------------------------------------
 */

/* Stopped as it should, with results. */
static bool is_fine(const tdm__report_run *run)
{
    return run->finished && !tdm__streq(run->state, "failed") &&
           !tdm__streq(run->state, "diverged");
}

tdm_status tdm__html_failed(const tdm__report *r, tdm__str *out)
{
    size_t n = 0;
    char text[TDM__NUMBER_TEXT];
    for (size_t i = 0; i < r->n_runs; i++) n += !is_fine(&r->runs[i]);
    if (!n) return TDM_OK;
    tdm__html_section(out, "failed", "Runs that did not finish");
    tdm__str_add(out, "<div class=\"scroll\"><table class=\"list\"><thead><tr><th>arm</th><th "
                      "class=\"r\">seed</th><th>state</th><th>what it said</th><th>folder</th></tr>"
                      "</thead><tbody>\n");
    for (size_t i = 0; i < r->n_runs; i++) {
        const tdm__report_run *run = &r->runs[i];
        if (is_fine(run)) continue;
        tdm__str_add(out, "<tr>");
        tdm__html_cell(out, NULL, r->arms[run->arm].label, false);
        snprintf(text, sizeof text, "%lld", (long long)run->seed);
        tdm__html_cell(out, "seed", text, true);
        tdm__html_cell(out, "state", run->state, false);
        tdm__str_add(out, "<td class=\"w\" data-l=\"what it said\">");
        tdm__markup_text(out, run->error);
        tdm__str_add(out, "</td><td class=\"w\" data-l=\"folder\"><code>");
        tdm__markup_text(out, run->folder);
        tdm__str_add(out, "</code></td></tr>\n");
    }
    tdm__str_add(out, "</tbody></table></div>\n");
    tdm__html_section_end(out);
    return tdm__str_status(out);
}

/* ---- repeating it ------------------------------------------------------------------------------
 */

static void add_train_command(const tdm__report_run *run, tdm__str *out)
{
    tdm__str path = {0}, word = {0};
    tdm__str_addf(&path, "%s/config.yaml", run->folder);
    tdm__str_add_word(&word, tdm__str_text(&path));
    tdm__str_add(out, "<pre>tandem train ");
    tdm__markup_text(out, tdm__str_text(&word));
    tdm__str_add(out, " --output NEW-FOLDER</pre>\n");
    out->failed |= path.failed || word.failed;
    tdm__str_free(&path);
    tdm__str_free(&word);
}

static void add_commands(const tdm__report *r, tdm__str *out)
{
    const tdm__report_run *run = NULL;
    for (size_t i = 0; i < r->n_runs && !run; i++)
        if (r->runs[i].found && r->runs[i].config.n) run = &r->runs[i];
    if (r->experiment)
        tdm__html_paragraph(
            out, "muted",
            "The experiment's folder holds experiment.yaml, the whole of it resolved; each run's "
            "config.yaml repeats that run, to the same bits on the same device, driver and "
            "version.");
    else
        tdm__html_paragraph(
            out, "muted",
            "Each run's config.yaml repeats it, to the same bits on the same device, "
            "driver and version.");
    if (r->outline.command && *r->outline.command) {
        tdm__str_add(out, "<pre>");
        tdm__markup_text(out, r->outline.command);
        tdm__str_add(out, " --output NEW-FOLDER</pre>\n");
    }
    if (run) add_train_command(run, out);
}

static void add_differences(const tdm__report *r, const tdm__differences *d, tdm__str *out)
{
    if (!d->n) return;
    tdm__str_add(out, "<h3>What differs between the arms</h3>\n<div class=\"scroll\"><table "
                      "class=\"sticky\"><thead><tr><th>arm</th>");
    for (size_t k = 0; k < d->n; k++) {
        tdm__str_add(out, "<th>");
        tdm__markup_text(out, d->keys[k]);
        tdm__str_add(out, "</th>");
    }
    tdm__str_add(out, "</tr></thead><tbody>\n");
    for (size_t a = 0; a < r->n_arms; a++) {
        tdm__str_add(out, "<tr>");
        tdm__html_cell(out, NULL, r->arms[a].name, false);
        for (size_t k = 0; k < d->n; k++)
            tdm__html_cell(out, d->keys[k], d->values[k * d->n_arms + a], false);
        tdm__str_add(out, "</tr>\n");
    }
    tdm__str_add(
        out, "</tbody></table></div>\n<p class=\"muted\">Keys of the resolved configurations that "
             "change results; an empty cell: the arm does not have the key.</p>\n");
}

/* What the runs recorded of their surroundings, where all agree or not. */
static void add_facts(const tdm__report *r, tdm__str *out)
{
    static const char *const not_shared[] = {
        "stop_reason", "epochs_done",    "steps",        "seconds",           "best_epoch",
        "best_value",  "seed",           "config_hash",  "device_peak_bytes", "process_peak_bytes",
        "programs",    "programs_built", "build_seconds"};
    const tdm__report_run *first = NULL;
    for (size_t i = 0; i < r->n_runs && !first; i++)
        if (r->runs[i].facts.n) first = &r->runs[i];
    if (!first) return;
    tdm__str_add(out, "<h3>Recorded by the runs</h3>\n<dl class=\"facts\">");
    for (size_t i = 0; i < first->facts.n; i++) {
        const char *key = first->facts.list[i].key;
        bool leave = false;
        for (size_t k = 0; k < sizeof not_shared / sizeof *not_shared; k++)
            leave |= tdm__streq(key, not_shared[k]);
        if (leave) continue;
        tdm__str_add(out, "<div><dt>");
        tdm__markup_text(out, key);
        tdm__str_add(out, "</dt><dd>");
        tdm__markup_text(out, tdm__report_shared(r, key, false));
        tdm__str_add(out, "</dd></div>");
    }
    tdm__str_add(out, "</dl>\n");
}

static void add_runs(const tdm__report *r, tdm__str *out)
{
    char text[TDM__NUMBER_TEXT];
    tdm__str_add(out,
                 "<details><summary>All runs</summary><div class=\"scroll\"><table "
                 "class=\"list\"><thead><tr><th>arm</th><th class=\"r\">seed</th><th>state</th>"
                 "<th class=\"r\">time</th><th>configuration</th><th>folder</th></tr></thead>"
                 "<tbody>\n");
    for (size_t i = 0; i < r->n_runs; i++) {
        const tdm__report_run *run = &r->runs[i];
        const char *hash = tdm__pairs_find(&run->facts, "config_hash");
        tdm__str_add(out, "<tr>");
        tdm__html_cell(out, NULL, r->arms[run->arm].label, false);
        snprintf(text, sizeof text, "%lld", (long long)run->seed);
        tdm__html_cell(out, "seed", text, true);
        tdm__html_cell(out, "state", run->state, false);
        tdm__duration_text(run->seconds, text);
        tdm__html_cell(out, "time", text, true);
        snprintf(text, sizeof text, "%.12s", hash ? hash : "");
        tdm__html_cell(out, "configuration", text, false);
        tdm__str_add(out, "<td class=\"w\" data-l=\"folder\"><code>");
        tdm__markup_text(out, run->folder);
        tdm__str_add(out, "</code></td></tr>\n");
    }
    tdm__str_add(out, "</tbody></table></div></details>\n");
}

tdm_status tdm__html_repeat(const tdm__report *r, tdm__str *out)
{
    tdm__differences d = {0};
    const tdm_status status = tdm__report_differences(r, &d);
    if (!status) {
        tdm__html_section(out, "repeat", "To repeat it");
        add_commands(r, out);
        add_differences(r, &d, out);
        add_facts(r, out);
        add_runs(r, out);
        tdm__html_section_end(out);
    }
    tdm__differences_free(&d);
    return status ? status : tdm__str_status(out);
}
