/* Reports from folders made here: what is in them, and that the page is well-formed whatever the
 * runs hold. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <tandem/report.h>

#include "base/file.h"
#include "format/json.h"
#include "report/examples.h"
#include "report/history.h"
#include "report/outline.h"
#include "support/support.h"

/* ---- folders -----------------------------------------------------------------------------------
 */

static void put(const char *folder, const char *name, const char *text)
{
    char *path = support_path(folder, name);
    support_ok(tdm__make_folders(folder));
    support_write_text(path, text);
    free(path);
}

/* A finished run: task `class` with this accuracy ("null": none), and `extra` task entries. */
static void make_run(const char *root, const char *name, const char *arm, int seed,
                     const char *accuracy, const char *extra)
{
    char *folder = support_path(root, name), text[4096];
    snprintf(text, sizeof text, "name: '%s'\nseed: %d\noptim: {lr: 0.1}\n", arm, seed);
    put(folder, "config.yaml", text);
    snprintf(
        text, sizeof text,
        "{\"epoch\": 1, \"split\": \"train\", \"total\": 2, \"seconds\": 1, \"wait_share\": 0,"
        " \"tasks\": {\"class\": {\"loss\": 1.5, \"weight\": 1, \"metrics\": {\"accuracy\": %s},"
        " \"gradient\": {\"norm\": 0.5}}}}\n"
        "{\"epoch\": 2, \"split\": \"train\", \"total\": null, \"tasks\": {\"class\": {\"loss\":"
        " null, \"weight\": 0.5, \"gradient\": {\"norm\": 0.25}}}}\n{\"epoch\": 3, \"spl",
        accuracy);
    put(folder, "metrics.jsonl", text);
    snprintf(
        text, sizeof text,
        "{\"stop_reason\": \"epochs\", \"epochs_done\": 2, \"seconds\": 4, \"seed\": %d, "
        "\"device\": \"<dev>\", \"test\": {\"tasks\": {\"class\": {\"loss\": 0.5, \"metrics\": "
        "{\"accuracy\": %s}}%s}}}",
        seed, accuracy, extra);
    put(folder, "summary.json", text);
    free(folder);
}

static char *report(const char *folder, tdm_report_format format, const char *baseline)
{
    const char *const paths[] = {folder};
    char *text = NULL;
    support_ok(tdm_report_text(
        &(tdm_report_spec){.paths = paths, .n_paths = 1, .format = format, .baseline = baseline},
        &text, NULL));
    ck_assert_ptr_nonnull(text);
    return text;
}

static char *curves_of(const char *folder)
{
    const char *const paths[] = {folder};
    const tdm_report_spec spec = {
        .paths = paths, .n_paths = 1, .format = TDM_REPORT_SVG, .chart = TDM_REPORT_CHART_CURVES};
    char *text = NULL;
    support_ok(tdm_report_text(&spec, &text, NULL));
    return text;
}

static void has(const char *text, const char *part)
{
    ck_assert_msg(strstr(text, part) != NULL, "lacks: %s", part);
}

static void lacks(const char *text, const char *part)
{
    ck_assert_msg(strstr(text, part) == NULL, "has: %s", part);
}

/* ---- well-formed -------------------------------------------------------------------------------
 */

enum { DEEPEST = 64, NAME = 16 };

typedef struct open_tags {
    char names[DEEPEST][NAME];
    int n;
} open_tags;

static bool is_void(const char *name)
{
    static const char *const names[] = {"meta", "br", "img", "!DOCTYPE"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(name, names[i])) return true;
    return false;
}

/* From behind `<`; returns behind `>`. Attributes must be quoted. */
static const char *check_tag(const char *at, open_tags *open)
{
    char name[NAME] = "";
    const bool closing = *at == '/';
    at += closing;
    for (size_t n = 0; *at && !strchr(" \n/>", *at) && n + 1 < NAME; n++) name[n] = *at++;
    ck_assert_msg(*name != 0, "a < that begins no tag: %.40s", at);
    char quote = 0, last = 0;
    for (; *at && (quote || *at != '>'); last = *at++) {
        if (quote && *at == quote)
            quote = 0;
        else if (!quote && *at == '"')
            quote = *at;
        else if (!quote && *at == '=')
            ck_assert_msg(at[1] == '"', "an attribute without quotes: %.60s", at);
        ck_assert_msg(quote || *at != '<', "a < inside of a tag: %.60s", at);
    }
    ck_assert_msg(*at == '>', "a tag without an end");
    if (closing) {
        ck_assert_msg(open->n > 0 && !strcmp(open->names[open->n - 1], name), "</%s> closes %s",
                      name, open->n ? open->names[open->n - 1] : "nothing");
        open->n--;
    } else if (last != '/' && !is_void(name)) {
        ck_assert_int_lt(open->n, DEEPEST);
        strcpy(open->names[open->n++], name);
    }
    if (!closing && !strcmp(name, "script")) { /* its text is no markup */
        at = strstr(at, "</script>");
        ck_assert_ptr_nonnull(at);
        return at;
    }
    return at + 1;
}

/* Every tag closed in order, every & an entity, no number that is none. */
static void well_formed(const char *text)
{
    open_tags open = {.n = 0};
    for (const char *at = text; *at;) {
        if (*at == '<') {
            at = check_tag(at + 1, &open);
            continue;
        }
        if (*at == '&') {
            const size_t n = strspn(at + 1, "abcdefghijklmnopqrstuvwxyz#0123456789");
            ck_assert_msg(n && at[n + 1] == ';', "a & that begins no entity: %.40s", at);
        }
        at++;
    }
    ck_assert_msg(open.n == 0, "<%s> is not closed", open.n ? open.names[open.n - 1] : "");
    lacks(text, "=\"nan");
    lacks(text, "=\"-nan");
    lacks(text, "inf\"");
}

/* Every id is there once, and every link within the page leads to one. */
static void check_ids(const char *text)
{
    static const char id[] = " id=\"", link[] = "href=\"#";
    char wanted[128];
    for (const char *at = text; (at = strstr(at, id)); at++) {
        const size_t n = strcspn(at + strlen(id), "\"");
        snprintf(wanted, sizeof wanted, "%s%.*s\"", id, (int)n, at + strlen(id));
        ck_assert_msg(n > 0 && !strstr(at + 1, wanted), "%s twice", wanted);
    }
    for (const char *at = text; (at = strstr(at, link)); at++) {
        snprintf(wanted, sizeof wanted, "%s%.*s\"", id, (int)strcspn(at + strlen(link), "\""),
                 at + strlen(link));
        ck_assert_msg(strstr(text, wanted) != NULL, "a link to no%s", wanted);
    }
}

/* Nothing is fetched from anywhere. */
static void check_alone(const char *text)
{
    static const char *const outside[] = {"src=\"http", "src=\"//", "<link",   "<iframe", "url(",
                                          "@import",    "fetch(",   "<object", "XMLHttp"};
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++) lacks(text, outside[i]);
}

static char *page_of(const char *folder)
{
    char *text = report(folder, TDM_REPORT_HTML, NULL);
    well_formed(text);
    check_ids(text);
    check_alone(text);
    return text;
}

/* ---- tests -------------------------------------------------------------------------------------
 */

START_TEST(one_run)
{
    char *root = support_temp_create();
    make_run(root, "a", "alone", 0, "0.75", "");
    char *page = page_of(root);
    has(page, "1 arm, 1 of 1 runs finished");
    lacks(page, "or no result yet");
    has(page, "<b>class.accuracy</b> Highest mean: alone, 0.7500.");
    lacks(page, "id=\"details\"");
    has(page, "gradient.norm");
    free(page);
    char *svg = report(root, TDM_REPORT_SVG, NULL);
    well_formed(svg);
    free(svg);
    support_temp_remove(root);
}
END_TEST

/* Validation where there is any, one legend, and the task's weight only where it moves. */
START_TEST(curves_alone)
{
    char *root = support_temp_create(), *alone = support_path(root, "a");
    make_run(root, "a", "<one>", 0, "0.75", "");
    char *svg = curves_of(alone);
    well_formed(svg);
    has(svg, "class: loss, training");
    lacks(svg, ">&lt;one&gt;</text>"); /* no legend of one arm */
    ck_assert(strstr(svg, "class: loss") < strstr(svg, "class: weight"));
    free(svg);
    put(alone, "metrics.jsonl",
        "{\"epoch\": 1, \"split\": \"train\", \"tasks\": {\"class\": {\"loss\": 2, \"weight\": "
        "1}}}\n"
        "{\"epoch\": 1, \"split\": \"val\", \"tasks\": {\"class\": {\"loss\": 3}}}\n");
    svg = curves_of(alone);
    has(svg, "class: loss, validation");
    lacks(svg, "class: loss, training");
    lacks(svg, "class: weight");
    free(svg);
    make_run(root, "b", "two", 0, "0.5", "");
    svg = curves_of(root);
    well_formed(svg);
    has(svg, ">&lt;one&gt;</text>");
    free(svg);
    free(alone);
    support_temp_remove(root);
}
END_TEST

START_TEST(golden_table)
{
    static const char want[] =
        "| arm | seeds | class.accuracy | other.l1 |\n"
        "| --- | ---: | --- | --- |\n"
        "| base (baseline) | 6 | 0.725 (0.712 to 0.738) | \xe2\x80\x93 |\n"
        "| grid 0.5 | 6 | **0.825** (0.812 to 0.838) better, p = 0.031 | **1.000** (1.000 to "
        "1.000) "
        "|\n"
        "\nMean over seeds (95 % interval) on the test split; the best mean is bold, which is no "
        "test.\n"
        "\nclass.accuracy: Highest mean: grid 0.5, 0.825. Against base: better: grid 0.5.\n"
        "\nother.l1: Lowest mean: grid 0.5, 1.000.\n";
    char *root = support_temp_create(), name[64], value[32];
    for (int seed = 0; seed < 6; seed++) {
        snprintf(name, sizeof name, "a%d", seed);
        snprintf(value, sizeof value, "0.7%d", seed);
        make_run(root, name, "base", seed, value, "");
        snprintf(name, sizeof name, "b%d", seed);
        snprintf(value, sizeof value, "0.8%d", seed);
        make_run(root, name, "grid@x.y=0.5", seed, value,
                 ", \"other\": {\"loss\": 3, \"metrics\": {\"l1\": 1}}");
    }
    char *got = report(root, TDM_REPORT_MD, NULL);
    ck_assert_str_eq(got, want);
    free(got);
    free(page_of(root));
    support_temp_remove(root);
}
END_TEST

/* Names that mean something to HTML, CSV and Markdown come out as they are. */
START_TEST(names_are_escaped)
{
    char *root = support_temp_create();
    make_run(root, "a", "<script>alert(\"1\")</script>", 0, "0.5", "");
    make_run(root, "b", "a&b | c, d", 0, "0.6",
             ", \"t<i>\": {\"loss\": 1, \"metrics\": {\"m&\\\"n\": 2}}");
    char *page = page_of(root);
    lacks(page, "<script>alert");
    lacks(page, "t<i>");
    has(page, "a&amp;b | c, d");
    has(page, "&lt;script&gt;alert");
    has(page, "&lt;dev&gt;");
    free(page);
    char *csv = report(root, TDM_REPORT_CSV, NULL);
    has(csv, "\"<script>alert(\"\"1\"\")</script>\",class,loss,1,0.5");
    has(csv, "\n\"a&b | c, d\",t<i>,\"m&\"\"n\",1,2,");
    free(csv);
    char *md = report(root, TDM_REPORT_MD, NULL);
    has(md, "| a&b \\| c, d |");
    free(md);
    support_temp_remove(root);
}
END_TEST

START_TEST(what_is_missing_is_a_dash)
{
    char *root = support_temp_create(), *folder = support_path(root, "unfinished");
    make_run(root, "a", "whole", 0, "0.5", "");
    make_run(root, "b", "nan", 0, "null", "");
    put(folder, "config.yaml", "name: cut\n");
    put(folder, "metrics.jsonl", "");
    free(folder);
    folder = support_path(root, "damaged");
    put(folder, "config.yaml", "name: [\n");
    put(folder, "metrics.jsonl", "nonsense\n{\"epoch\": \"x\", \"split\": 3}\n[]\n");
    put(folder, "summary.json", "{");
    free(folder);
    char *page = page_of(root);
    has(page, "4 arms, 2 of 4 runs finished");
    has(page, "3 lines could not be read");
    has(page, "or no result yet");
    has(page, "id=\"failed\"");
    has(page, "damaged");
    has(page, ">\xe2\x80\x93</td>");
    free(page);
    char *json = report(root, TDM_REPORT_JSON, NULL);
    json_error_t error;
    json_t *parsed = json_loads(json, JSON_REJECT_DUPLICATES, &error);
    ck_assert_msg(parsed != NULL, "%s", error.text);
    ck_assert_uint_eq(json_array_size(json_object_get(parsed, "runs")), 4);
    json_decref(parsed);
    free(json);
    support_temp_remove(root);
}
END_TEST

/* A finished run with these test results; steps of so many seconds, but for the first epoch's. */
static void make_tasks_run(const char *root, const char *arm, int seed, double step_seconds,
                           const char *tasks)
{
    char name[64], text[1024];
    snprintf(name, sizeof name, "%s-%d", arm, seed);
    char *folder = support_path(root, name);
    snprintf(text, sizeof text, "name: %s\nseed: %d\n", arm, seed);
    put(folder, "config.yaml", text);
    snprintf(text, sizeof text,
             "{\"epoch\": 1, \"split\": \"train\", \"step\": 10, \"step_seconds\": 100}\n"
             "{\"epoch\": 2, \"split\": \"train\", \"step\": 20, \"step_seconds\": %g}\n"
             "{\"epoch\": 2, \"split\": \"val\", \"step\": 20, \"step_seconds\": 1000}\n"
             "{\"epoch\": 3, \"split\": \"train\", \"step\": 30, \"seconds\": %g}\n",
             step_seconds, 10 * step_seconds); /* the last line: without, as older versions wrote */
    put(folder, "metrics.jsonl", text);
    snprintf(text, sizeof text,
             "{\"stop_reason\": \"epochs\", \"epochs_done\": 3, \"seconds\": 4, \"seed\": %d, "
             "\"test\": {\"tasks\": {%s}}}",
             seed, tasks);
    put(folder, "summary.json", text);
    free(folder);
}

/* The mean of a metric of an arm in the report. */
static double mean_in(json_t *report, const char *metric, const char *arm)
{
    size_t i;
    json_t *cell;
    json_array_foreach(json_object_get(report, "comparison"), i, cell)
    {
        if (strcmp(json_string_value(json_object_get(cell, "metric")), metric) ||
            strcmp(json_string_value(json_object_get(cell, "arm")), arm))
            continue;
        const json_t *mean = json_object_get(cell, "mean");
        return json_is_number(mean) ? json_number_value(mean) : NAN;
    }
    ck_abort_msg("the report has no %s of %s", metric, arm);
    return NAN;
}

#define CLASS(acc, f1)                                                                             \
    "\"class\": {\"loss\": 9, \"metrics\": {\"accuracy\": " acc ", \"f1\": " f1                    \
    ", \"majority\": 0.1}}"
#define RECON(l1) "\"recon\": {\"loss\": 9, \"metrics\": {\"l1\": " l1 "}}"

START_TEST(gains_over_single_tasks)
{
    char *root = support_temp_create(), *json;
    json_t *r;
    make_tasks_run(root, "both", 0, 0.5, CLASS("0.9", "0.6") ", " RECON("0.3"));
    make_tasks_run(root, "both", 1, 0.3, CLASS("0.8", "0.5") ", " RECON("0.2"));
    make_tasks_run(root, "class-only", 0, 0.1, CLASS("0.7", "0.4"));
    make_tasks_run(root, "class-only", 1, 0.1, CLASS("0.9", "0.6"));
    make_tasks_run(root, "other", 0, 0.8,
                   CLASS("0.8", "0.5") ", \"deep\": {\"loss\": 9, "
                                       "\"metrics\": {\"l1\": 1}}");
    make_tasks_run(root, "recon-only", 0, 0.2, RECON("0.2"));
    json = report(root, TDM_REPORT_JSON, "both");
    support_ok(tdm__json_parse(json, strlen(json), "report", &r));
    /* baselines: accuracy 0.8, f1 0.5, l1 0.2; gains of seed 0: 12.5 %, 20 %, -50 %, of seed 1: 0
     */
    ck_assert_double_eq_tol(mean_in(r, "delta_m.per_task", "both"), (16.25 - 50) / 2 / 2, 1e-12);
    ck_assert_double_eq_tol(mean_in(r, "delta_m.per_metric", "both"), 17.5 / 3 / 2, 1e-12);
    ck_assert(isnan(mean_in(r, "delta_m.per_task", "class-only")));
    /* one of its two tasks was never learnt alone */
    ck_assert(isnan(mean_in(r, "delta_m.per_task", "other")));
    ck_assert_double_eq_tol(mean_in(r, "cost.step", "both"), 1, 1e-12);
    ck_assert_double_eq_tol(mean_in(r, "cost.step", "other"), 2, 1e-12);
    ck_assert_double_eq_tol(mean_in(r, "cost.step", "class-only"), 0.25, 1e-12);
    json_decref(r);
    free(json);
    json = report(root, TDM_REPORT_MD, "both");
    has(json, "delta\\_m.per\\_task");
    free(json);
    support_temp_remove(root);
}
END_TEST

START_TEST(no_results_at_all)
{
    char *root = support_temp_create(), *folder = support_path(root, "a");
    const char *const paths[] = {root};
    char *text;
    put(folder, "config.yaml", "name: cut\n");
    put(folder, "metrics.jsonl", "");
    char *page = page_of(root);
    has(page, "nothing is compared");
    free(page);
    free(report(root, TDM_REPORT_MD, NULL));
    const tdm_report_spec svg = {.paths = paths, .n_paths = 1, .format = TDM_REPORT_SVG};
    support_fails(tdm_report_text(&svg, &text, NULL), TDM_ERR_DATA, "no run has results");
    const tdm_report_spec curves = {
        .paths = paths, .n_paths = 1, .format = svg.format, .chart = TDM_REPORT_CHART_CURVES};
    support_fails(tdm_report_text(&curves, &text, NULL), TDM_ERR_DATA, "no run has an epoch");
    const tdm_report_spec none = {.paths = paths};
    support_fails(tdm_report_text(&none, &text, NULL), TDM_ERR_USAGE, "no folder");
    free(folder);
    support_temp_remove(root);
}
END_TEST

/* 100 runs: 25 arms, 20 of them points of a grid of two keys. The page stays small enough to mail.
 */
START_TEST(hundred_runs)
{
    char *root = support_temp_create(), name[64], arm[64], value[32];
    for (int a = 0; a < 25; a++)
        for (int seed = 0; seed < 4; seed++) {
            snprintf(name, sizeof name, "run-%02d-%d", a, seed);
            if (a < 20)
                snprintf(arm, sizeof arm, "grid@p.x=%d,p.y=0.%d", a / 4, a % 4);
            else
                snprintf(arm, sizeof arm, "arm-%d", a);
            snprintf(value, sizeof value, "0.%d%d", 10 + a, seed);
            make_run(root, name, arm, seed, value, "");
        }
    char *page = page_of(root);
    has(page, "25 arms, 100 of 100 runs finished");
    has(page, "grid <small>over p.x and p.y");
    ck_assert_uint_gt(strlen(page), 50000);
    ck_assert_uint_lt(strlen(page), 400000);
    free(page);
    support_temp_remove(root);
}
END_TEST

/* Two grids over the same quantity, of a run and of a stage: two lines of one chart, while a third
 * over another one has its own. */
START_TEST(curves_over_one_key)
{
    static const char *const arms[] = {"plain@data.fraction", "after@stages.b.data.fraction",
                                       "rates@optim.lr"};
    char *root = support_temp_create(), name[64], arm[64], value[32];
    for (int a = 0; a < 3; a++)
        for (int x = 1; x < 4; x++) {
            snprintf(name, sizeof name, "run-%d-%d", a, x);
            snprintf(arm, sizeof arm, "%s=0.%d", arms[a], x);
            snprintf(value, sizeof value, "0.%d%d", a + 1, x);
            make_run(root, name, arm, 0, value, "");
        }
    char *page = page_of(root);
    has(page, "<h3>Over data.fraction</h3>");
    has(page, "plain <small>over data.fraction</small>");
    has(page, "after <small>over stages.b.data.fraction</small>");
    lacks(page, "<h3>after");
    has(page, "<h3>rates <small>over optim.lr</small></h3>");
    free(page);
    support_temp_remove(root);
}
END_TEST

/* An experiment's folder: the order of its arms, its baseline, runs that left nothing, and nothing
 * of what it does not name. */
START_TEST(experiment)
{
    char *root = support_temp_create();
    put(root, "experiment.json",
        "{\"format\": \"tandem-experiment-1\", \"name\": \"my experiment\", \"created\": "
        "\"today\", "
        "\"baseline\": \"second\", \"seeds\": [0, 1], \"arms\": [{\"name\": \"second\", \"group\": "
        "\"second\", \"set\": {\"a\": 1}, \"grid\": {}}, {\"name\": \"first\"}], \"runs\": ["
        "{\"arm\": \"first\", \"seed\": 0, \"folder\": \"runs/first/seed-0\", \"status\": "
        "\"done\"},"
        "{\"arm\": \"second\", \"seed\": 0, \"folder\": \"runs/second/seed-0\", \"status\": "
        "\"done\"},"
        "{\"arm\": \"second\", \"seed\": 1, \"folder\": \"runs/second/seed-1\", \"status\": "
        "\"failed\", "
        "\"error\": \"it <broke>\"}, "
        "{\"arm\": \"second\", \"seed\": 2, \"folder\": \"runs/second/seed-2\", \"status\": "
        "\"running\"}]}");
    make_run(root, "runs/second/seed-2/stage", "stage", 2, "0.1", "");
    make_run(root, "runs/first/seed-0", "first", 0, "0.5", "");
    make_run(root, "runs/second/seed-0", "second", 0, "0.6", "");
    make_run(root, "runs/stranger", "stranger", 0, "0.7", "");
    char *page = page_of(root);
    has(page, "<h1>my experiment</h1>");
    has(page, "2 arms, 2 of 4 runs finished");
    has(page, "it &lt;broke&gt;");
    has(page, "1 run folders that the experiment does not name are left out");
    has(page, "Against second: one pair of seeds");
    lacks(page, "stranger");
    free(page);
    char *md = report(root, TDM_REPORT_MD, NULL);
    has(md, "| second (baseline) | 1 |");
    ck_assert(strstr(md, "| second") < strstr(md, "| first"));
    free(md);
    support_temp_remove(root);
}
END_TEST

START_TEST(bad_outlines)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"{", "fuzz"},
        {"{}", "not an experiment's manifest"},
        {"{\"format\": \"tandem-experiment-1\", \"arms\": [{}]}", "arm 0 has no name"},
        {"{\"format\": \"tandem-experiment-1\", \"runs\": [{\"arm\": \"a\"}]}", "run 0 needs"},
        {"{\"format\": \"tandem-experiment-1\", \"runs\": [{\"arm\": \"a\", \"folder\": "
         "\"../b\"}]}",
         "inside"},
        {"{\"format\": \"tandem-experiment-1\", \"runs\": [{\"arm\": \"a\", \"folder\": \"/b\"}]}",
         "inside"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tdm__outline o = {0};
        support_fails(tdm__outline_parse(cases[i].text, strlen(cases[i].text), "fuzz", &o),
                      TDM_ERR_DATA, cases[i].message);
        tdm__outline_free(&o);
    }
}
END_TEST

START_TEST(histories)
{
    static const char text[] =
        "{\"epoch\": 1, \"split\": \"train\", \"total\": 3, \"tasks\": {\"a\": {\"loss\": 1, "
        "\"metrics\": {\"miou\": null}, \"confusion\": [[1]]}}, \"balance\": {\"cosine\": "
        "{\"a-b\": -1}}}\n"
        "\nbroken\n{\"epoch\": 2, \"split\": \"train\", \"total\": 2}\n{\"epoch\": 3, \"split\": "
        "\"tr";
    const tdm__series
        total = {TDM__SERIES_RUN, "train", "", "total", 0, 0, NULL, NULL},
        cosine = {TDM__SERIES_DIAGNOSTIC, "train", "", "balance.cosine.a-b", 0, 0, NULL, NULL},
        miou = {TDM__SERIES_METRIC, "train", "a", "miou", 0, 0, NULL, NULL};
    tdm__history h = {0};
    support_ok(tdm__history_parse(text, sizeof text - 1, &h));
    ck_assert_uint_eq(h.unread, 1);
    ck_assert_uint_eq(h.n, 4);
    const tdm__series *s = tdm__history_find(&h, &total);
    ck_assert_ptr_nonnull(s);
    ck_assert_uint_eq(s->n, 2);
    ck_assert(s->epoch[1] == 2 && s->value[1] == 2);
    s = tdm__history_find(&h, &cosine);
    ck_assert_ptr_nonnull(s);
    ck_assert(s->value[0] == -1);
    s = tdm__history_find(&h, &miou);
    ck_assert_ptr_nonnull(s);
    ck_assert(isnan(s->value[0]));
    tdm__history_free(&h);
}
END_TEST

START_TEST(base64)
{
    /* RFC 4648, section 10 */
    static const char *const cases[][2] = {
        {"", ""},        {"f", "Zg=="},        {"fo", "Zm8="},
        {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"\xff\xfe\xfd", "//79"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text;
        support_ok(tdm__base64(cases[i][0], strlen(cases[i][0]), &text));
        ck_assert_str_eq(text, cases[i][1]);
        free(text);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("report");
    TCase *c = tcase_create("report");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, one_run);
    tcase_add_test(c, curves_alone);
    tcase_add_test(c, golden_table);
    tcase_add_test(c, names_are_escaped);
    tcase_add_test(c, what_is_missing_is_a_dash);
    tcase_add_test(c, no_results_at_all);
    tcase_add_test(c, hundred_runs);
    tcase_add_test(c, curves_over_one_key);
    tcase_add_test(c, experiment);
    tcase_add_test(c, bad_outlines);
    tcase_add_test(c, gains_over_single_tasks);
    tcase_add_test(c, histories);
    tcase_add_test(c, base64);
    suite_add_tcase(suite, c);
    return support_run(suite);
}
