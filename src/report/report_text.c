/* report/report_text.c: the results as CSV, JSON and Markdown. See report.h. */
#include <math.h>

#include "report/html.h"

/* ---- CSV: a line for each arm, task and metric -------------------------------------------------
 */

/* Nothing for NaN: an empty field. */
static void add_field(tdm__str *out, double value)
{
    char text[TDM__F64_TEXT];
    tdm__str_add(out, ",");
    if (!isfinite(value)) return;
    tdm__f64_text(value, text);
    tdm__str_add(out, text);
}

tdm_status tdm__report_csv(const tdm__report *r, tdm__str *out)
{
    char task[TDM__NAME_PART], what[TDM__NAME_PART];
    tdm__str_add(out, "arm,task,metric,n,mean,sd,median,low,high,baseline,pairs,difference,"
                      "difference_low,difference_high,p,p_holm,effect,verdict\n");
    for (size_t i = 0; i < r->n_arms; i++)
        for (size_t m = 0; m < r->comparison.n_metrics; m++) {
            const tdm__cell *c = tdm__report_cell(r, m, i);
            if (!c || !c->all.n) continue;
            const bool compared = i != r->baseline;
            tdm__report_split(r->comparison.metrics[m], task, what);
            tdm__csv_text(out, r->arms[i].name);
            tdm__str_add(out, ",");
            tdm__csv_text(out, task);
            tdm__str_add(out, ",");
            tdm__csv_text(out, what);
            tdm__str_addf(out, ",%zu", c->all.n);
            add_field(out, c->all.mean);
            add_field(out, c->all.sd);
            add_field(out, c->all.median);
            add_field(out, c->interval.low);
            add_field(out, c->interval.high);
            tdm__str_add(out, ",");
            tdm__csv_text(out, compared ? r->arms[r->baseline].name : "");
            add_field(out, compared ? (double)c->difference.n : NAN);
            add_field(out, c->difference.mean);
            add_field(out, c->difference_interval.low);
            add_field(out, c->difference_interval.high);
            add_field(out, c->flips.p);
            add_field(out, c->p);
            add_field(out, c->effect);
            tdm__str_addf(out, ",%s\n", compared ? tdm__report_verdict(c, what) : "baseline");
        }
    return tdm__str_status(out);
}

/* ---- Markdown: the table of results ------------------------------------------------------------
 */

static bool in_table(const tdm__report *r, size_t metric)
{
    char task[TDM__NAME_PART], what[TDM__NAME_PART];
    tdm__report_split(r->comparison.metrics[metric], task, what);
    return !tdm__metric_is_baseline(what) &&
           (!tdm__streq(what, "loss") || tdm__report_primary(r, metric));
}

/* "0.767 (0.761 to 0.772), too few seeds to tell" */
static void add_md_cell(const tdm__report *r, size_t metric, size_t arm, tdm__str *out)
{
    char task[TDM__NAME_PART], what[TDM__NAME_PART], text[TDM__NUMBER_TEXT];
    const tdm__cell *c = tdm__report_cell(r, metric, arm);
    const int decimals = tdm__report_decimals(r, metric);
    const bool best = r->n_arms > 1 && tdm__report_best(r, metric) == arm;
    tdm__report_split(r->comparison.metrics[metric], task, what);
    tdm__number_fixed(c ? c->all.mean : NAN, decimals, text);
    tdm__str_addf(out, " %s%s%s", best ? "**" : "", text, best ? "**" : "");
    if (c && isfinite(c->interval.low)) {
        tdm__number_fixed(c->interval.low, decimals, text);
        tdm__str_addf(out, " (%s to ", text);
        tdm__number_fixed(c->interval.high, decimals, text);
        tdm__str_addf(out, "%s)", text);
    }
    if (c && c->verdict == TDM__VERDICT_SHOWN) {
        tdm__p_text(c->p, text);
        tdm__str_addf(out, " %s, p = %s", tdm__report_verdict(c, what), text);
    }
    tdm__str_add(out, " |");
}

tdm_status tdm__report_md(const tdm__report *r, tdm__str *out)
{
    tdm__str_add(out, "| arm | seeds |");
    for (size_t m = 0; m < r->comparison.n_metrics; m++) {
        if (!in_table(r, m)) continue;
        tdm__str_add(out, " ");
        tdm__markdown_text(out, r->comparison.metrics[m]);
        tdm__str_add(out, " |");
    }
    tdm__str_add(out, "\n| --- | ---: |");
    for (size_t m = 0; m < r->comparison.n_metrics; m++)
        if (in_table(r, m)) tdm__str_add(out, " --- |");
    tdm__str_add(out, "\n");
    for (size_t i = 0; i < r->n_arms; i++) {
        tdm__str_add(out, "| ");
        tdm__markdown_text(out, r->arms[i].label);
        if (i == r->baseline && r->comparison.n_arms > 1) tdm__str_add(out, " (baseline)");
        tdm__str_addf(out, " | %zu |", r->arms[i].n_finished);
        for (size_t m = 0; m < r->comparison.n_metrics; m++)
            if (in_table(r, m)) add_md_cell(r, m, i, out);
        tdm__str_add(out, "\n");
    }
    tdm__str_add(
        out, "\nMean over seeds (95 % interval) on the test split; the best mean is bold, which is "
             "no test.\n");
    for (size_t m = 0; m < r->comparison.n_metrics; m++) {
        tdm__str text = {0};
        if (!tdm__report_primary(r, m)) continue;
        tdm__report_statement(r, m, &text);
        tdm__str_add(out, "\n");
        tdm__markdown_text(out, r->comparison.metrics[m]);
        tdm__str_add(out, ": ");
        tdm__markdown_text(out, tdm__str_text(&text));
        tdm__str_add(out, "\n");
        tdm__str_free(&text);
    }
    return tdm__str_status(out);
}

/* ---- JSON: everything --------------------------------------------------------------------------
 */

static void text_member(tdm__json *j, const char *key, const char *value)
{
    tdm__json_key(j, key);
    tdm__json_string(j, value);
}

static void number_member(tdm__json *j, const char *key, double value)
{
    tdm__json_key(j, key);
    tdm__json_number(j, value);
}

static void settings_member(tdm__json *j, const char *key, const tdm__pairs *s)
{
    tdm__json_key(j, key);
    tdm__json_open(j, '{');
    for (size_t i = 0; i < s->n; i++) text_member(j, s->list[i].key, s->list[i].value);
    tdm__json_close(j, '}');
}

static void numbers_member(tdm__json *j, const char *key, const double *values, size_t n)
{
    tdm__json_key(j, key);
    tdm__json_open(j, '[');
    for (size_t i = 0; i < n; i++) tdm__json_number(j, values[i]);
    tdm__json_close(j, ']');
}

static void add_run(const tdm__report *r, const tdm__report_run *run, tdm__json *j)
{
    tdm__json_open(j, '{');
    text_member(j, "arm", r->arms[run->arm].name);
    tdm__json_key(j, "seed"), tdm__json_int(j, run->seed);
    text_member(j, "folder", run->folder);
    text_member(j, "state", run->state);
    text_member(j, "error", run->error);
    number_member(j, "seconds", run->seconds);
    tdm__json_key(j, "test"), tdm__json_open(j, '{');
    for (size_t i = 0; run->found && i < run->found->n_metrics; i++)
        number_member(j, run->found->metrics[i].name, run->found->metrics[i].value);
    tdm__json_close(j, '}');
    tdm__json_key(j, "series"), tdm__json_open(j, '[');
    for (size_t i = 0; i < run->history.n; i++) {
        const tdm__series *s = &run->history.series[i];
        tdm__json_open(j, '{');
        text_member(j, "split", s->split);
        text_member(j, "task", s->task);
        text_member(j, "name", s->what);
        numbers_member(j, "epochs", s->epoch, s->n);
        numbers_member(j, "values", s->value, s->n);
        tdm__json_close(j, '}');
    }
    tdm__json_close(j, ']');
    settings_member(j, "facts", &run->facts);
    settings_member(j, "config", &run->config);
    tdm__json_close(j, '}');
}

static void add_arm(const tdm__report *r, size_t i, tdm__json *j)
{
    const tdm__report_arm *arm = &r->arms[i];
    tdm__json_open(j, '{');
    text_member(j, "name", arm->name);
    text_member(j, "group", arm->group);
    text_member(j, "label", arm->label);
    tdm__json_key(j, "baseline"), tdm__json_bool(j, i == r->baseline);
    tdm__json_key(j, "runs"), tdm__json_uint(j, arm->n_runs);
    tdm__json_key(j, "finished"), tdm__json_uint(j, arm->n_finished);
    settings_member(j, "set", &arm->set);
    settings_member(j, "grid", &arm->grid);
    tdm__json_close(j, '}');
}

/* What the checkpoints said, where they were asked. */
static void add_examples(const tdm__report *r, tdm__json *j)
{
    const tdm__examples *e = &r->examples;
    tdm__json_key(j, "confusion"), tdm__json_open(j, '[');
    for (size_t i = 0; i < e->n_matrices; i++) {
        const tdm__matrix *m = &e->matrices[i];
        tdm__json_open(j, '{');
        text_member(j, "arm", r->arms[m->arm].name);
        text_member(j, "task", m->task);
        tdm__json_key(j, "classes"), tdm__json_open(j, '[');
        for (size_t k = 0; k < m->n; k++) tdm__json_string(j, m->classes[k]);
        tdm__json_close(j, ']');
        numbers_member(j, "counts", m->counts, m->n * m->n);
        tdm__json_close(j, '}');
    }
    tdm__json_close(j, ']');
    tdm__json_key(j, "images"), tdm__json_open(j, '[');
    for (size_t i = 0; i < e->scores.n; i++) {
        const tdm__scores *s = &e->scores.list[i];
        tdm__json_open(j, '{');
        text_member(j, "arm", r->arms[s->arm].name);
        tdm__json_key(j, "seed"), tdm__json_int(j, s->seed);
        text_member(j, "task", s->task);
        text_member(j, "score", s->what);
        tdm__json_key(j, "rows"), tdm__json_open(j, '[');
        for (size_t k = 0; k < s->n; k++) tdm__json_uint(j, s->list[k].index);
        tdm__json_close(j, ']');
        tdm__json_key(j, "values"), tdm__json_open(j, '[');
        for (size_t k = 0; k < s->n; k++) tdm__json_number(j, s->list[k].score);
        tdm__json_close(j, ']');
        tdm__json_close(j, '}');
    }
    tdm__json_close(j, ']');
}

tdm_status tdm__report_json_text(const tdm__report *r, tdm__str *out)
{
    tdm__json j = {0};
    tdm__json_open(&j, '{');
    text_member(&j, "format", "tandem-report-1");
    text_member(&j, "title", r->title);
    text_member(&j, "version", TANDEM_VERSION);
    tdm__json_key(&j, "notes"), tdm__json_open(&j, '[');
    for (size_t i = 0; i < r->n_notes; i++) tdm__json_string(&j, r->notes[i]);
    tdm__json_close(&j, ']');
    tdm__json_key(&j, "arms"), tdm__json_open(&j, '[');
    for (size_t i = 0; i < r->n_arms; i++) add_arm(r, i, &j);
    tdm__json_close(&j, ']');
    tdm__json_key(&j, "comparison");
    tdm__comparison_json(&r->comparison, &j);
    tdm__json_key(&j, "runs"), tdm__json_open(&j, '[');
    for (size_t i = 0; i < r->n_runs; i++) add_run(r, &r->runs[i], &j);
    tdm__json_close(&j, ']');
    add_examples(r, &j);
    tdm__json_close(&j, '}');
    tdm__str_addf(out, "%s\n", tdm__json_text(&j));
    const tdm_status status = tdm__json_status(&j);
    tdm__json_free(&j);
    return status ? status : tdm__str_status(out);
}
