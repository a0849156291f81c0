/* cmd_report.c: `tandem report`. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

#include <tandem/report.h>

static const cli_option options[] = {
    {"out", "FILE", "what is written; - is stdout (nothing given: report.html)"},
    {"format", "F", "html, csv, json, svg or md (nothing given: by FILE's ending, else html)"},
    {"baseline", "NAME",
     "the arm that the others are compared with (nothing given: the experiment's, else the first)"},
    {"title", "TEXT", "the heading (nothing given: the experiment's name)"},
    {"quiet", NULL, "no chatter on stderr: warnings and errors only"},
};
static const cli_group group = {"options", options, CLI_COUNT(options)};
static const cli_group *const groups[] = {&group, NULL};
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

static int run(const cli_args *args)
{
    const char *out = cli_value(args, "out") ? cli_value(args, "out") : "report.html";
    tdm_report_spec spec = {.paths = args->positionals,
                            .n_paths = args->n_positionals,
                            .baseline = cli_value(args, "baseline"),
                            .title = cli_value(args, "title")};
    tdm_report_result result;
    char *text = NULL;
    if (!read_format(args, out, &spec.format)) return 2;
    if (cli_has(args, "quiet")) cli_console_quiet();
    const bool to_stdout = !strcmp(out, "-");
    const tdm_status status =
        to_stdout ? tdm_report_text(&spec, &text, &result) : tdm_report_write(&spec, out, &result);
    if (!status && to_stdout) cli_data(text);
    free(text);
    if (status) return cli_fail(args->command, status);
    if (!to_stdout)
        cli_note("%s: %zu arms, %zu of %zu runs finished, %llu KiB", out, result.arms,
                 result.finished, result.runs, (unsigned long long)(result.bytes + 1023) / 1024);
    return 0;
}

const cli_command cli_report = {
    "report",
    positionals,
    "write what an experiment showed: tables, intervals, tests, curves",
    "EXPERIMENT is the folder of an experiment; else runs, or folders of runs, whose arms are what "
    "shares a `name`. The HTML page is one file without anything outside of it, for the screen and "
    "for paper; csv has a line for each arm, task and metric, json everything, md the table of "
    "results, svg its chart.",
    groups,
    run};
