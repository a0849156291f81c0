/* cmd_report.c: `tandem report`. */
#include "cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tandem/report.h>

static const cli_option options[] = {
    {"out", "FILE", "what is written; - is stdout (nothing given: report.F)"},
    {"format", "F", "html, csv, json, svg or md (nothing given: by FILE's ending, else html)"},
    {"chart", "C",
     "of svg: results, or curves over the epochs: losses and metrics on validation, task weights "
     "(nothing given: results)"},
    {"baseline", "NAME",
     "the arm that the others are compared with (nothing given: the experiment's, else the first)"},
    {"title", "TEXT", "the heading (nothing given: the experiment's name)"},
    {"predict", NULL,
     "run the checkpoint of each arm's first finished run on the test split: confusion matrices, "
     "image-by-image tests, example pictures (html, json)"},
    {"examples", "N",
     "with --predict: compare, and choose examples from, the first N test images; 0: matrices only "
     "(nothing given: all)"},
    {"quiet", NULL, "no chatter on stderr: warnings and errors only"},
};
static const cli_group group = {"options", options, CLI_COUNT(options)};
static const cli_group *const groups[] = {&group, &cli_set_group, &cli_device_group, NULL};
static const char *const positionals[] = {"EXPERIMENT|RUN...", NULL};

/* The format that is asked for; false after a message. */
static bool read_format(const cli_args *args, const char *out, tdm_report_format *format)
{
    const char *name = cli_value(args, "format"), *dot = strrchr(out, '.');
    *format = TDM_REPORT_HTML;
    if (name && !tdm_report_format_read(name, format)) {
        cli_usage_error(args->command, "--format: must be html, csv, json, svg or md, not %s",
                        name);
        return false;
    }
    if (!name && dot) tdm_report_format_read(dot + 1, format);
    return true;
}

/* The same of the chart, once the format is known. */
static bool read_chart(const cli_args *args, tdm_report_spec *spec)
{
    const char *name = cli_value(args, "chart");
    if (!name) return true;
    if (!tdm_report_chart_read(name, &spec->chart))
        cli_usage_error(args->command, "--chart: must be results or curves, not %s", name);
    else if (spec->format != TDM_REPORT_SVG)
        cli_usage_error(args->command, "--chart: only of svg (hint: --format svg)");
    else
        return true;
    return false;
}

/* Every checkpoint's session says which device it opened: once is too often already. */
static void only_warnings(void *user, tdm_log_level level, const char *line)
{
    (void)user;
    if (level == TDM_LOG_ERROR)
        cli_error("%s", line);
    else
        cli_warning("%s", line);
}

static int on_progress(void *user, size_t done, size_t total)
{
    (void)user;
    if (cli_console_is_terminal()) {
        char bar[64];
        cli_bar_draw(bar, sizeof bar, 32, (double)done / (double)total);
        char *line = cli_format("predict %s", bar);
        cli_bar(line);
        free(line);
    }
    return cli_signals_status() != TDM_OK;
}

static int write_report(const cli_args *args, const tdm_report_spec *spec, const char *out)
{
    tdm_report_result result;
    char *text = NULL;
    const bool to_stdout = !strcmp(out, "-");
    cli_signals_guard(NULL);
    const tdm_status status =
        to_stdout ? tdm_report_text(spec, &text, &result) : tdm_report_write(spec, out, &result);
    const tdm_status stopped = cli_signals_status();
    cli_signals_release();
    cli_bar("");
    if (!status && to_stdout) cli_data(text);
    free(text);
    if (status) return cli_fail(args->command, status == TDM_ERR_INTERRUPTED ? stopped : status);
    if (!to_stdout)
        cli_note("%s: %zu arms, %zu of %zu runs finished, %llu KiB", out, result.arms,
                 result.finished, result.runs, (unsigned long long)(result.bytes + 1023) / 1024);
    return 0;
}

static int run(const cli_args *args)
{
    const char *out = cli_value(args, "out"), *format = cli_value(args, "format");
    char by_format[16]; /* no format that is accepted has a longer name */
    snprintf(by_format, sizeof by_format, "report.%s", format ? format : "html");
    if (!out) out = by_format;
    const char *examples = cli_value(args, "examples");
    char **assignments = NULL, *end;
    tdm_report_spec spec = {.paths = args->positionals,
                            .n_paths = args->n_positionals,
                            .baseline = cli_value(args, "baseline"),
                            .title = cli_value(args, "title"),
                            .predict = cli_has(args, "predict"),
                            .pool = UINT64_MAX,
                            .progress = on_progress};
    if (!read_format(args, out, &spec.format) || !read_chart(args, &spec)) return 2;
    if (examples) {
        spec.pool = strtoull(examples, &end, 10);
        if (*examples < '0' || *examples > '9' || *end)
            return cli_usage_error(args->command, "--examples: must be a whole number");
    }
    int code = cli_assignments(args, &assignments, &spec.n_assignments);
    if (code >= 0) return code;
    spec.assignments = (const char *const *)assignments;
    if (cli_has(args, "quiet")) cli_console_quiet();
    tdm_set_log(only_warnings, NULL, TDM_LOG_WARN);
    code = write_report(args, &spec, out);
    cli_assignments_free(assignments, spec.n_assignments);
    return code;
}

const cli_command cli_report = {
    "report",
    positionals,
    "write what an experiment showed: tables, intervals, tests, curves",
    "EXPERIMENT is the folder of an experiment; else runs, or folders of runs, whose arms are what "
    "shares a `name`. The HTML page is one file without anything outside of it, for the screen and "
    "for paper; csv has a line for each arm, task and metric, json everything, md the table of "
    "results, svg charts.",
    groups,
    run};
