/* cmd_eval.c: `tandem eval`. */
#include "cli.h"

#include <stdlib.h>

static const cli_option options[] = {
    {"split", "S", "train, val or test (the default)"},
    {"json", NULL, "one JSON object on stdout, instead of the table"},
    {"quiet", NULL, "no chatter on stderr: warnings and errors only"},
};
static const cli_option config_options[] = {
    {"batch-size", "N", "samples a step", CLI_SET, "train.batch_size"},
    {"workers", "N", "threads that load and decode", CLI_SET, "data.workers"},
};
static const cli_group group = {"options", options, CLI_COUNT(options)};
static const cli_group config_group = {"loading", config_options, CLI_COUNT(config_options)};
static const cli_group *const groups[] = {&group, &config_group, &cli_set_group, &cli_device_group,
                                          NULL};
static const char *const positionals[] = {"RUN|CHECKPOINT", NULL};

/* The table, or the JSON object. */
static tdm_status print_report(const tdm_epoch_report *report, bool json)
{
    char *text = NULL;
    const tdm_status status = json ? tdm_epoch_report_json(report, &text) : TDM_OK;
    if (status) return status;
    if (!json) text = cli_report_table(report);
    cli_data(text);
    if (json) cli_data("\n");
    free(text);
    return TDM_OK;
}

static int run(const cli_args *args)
{
    cli_progress progress;
    char **assignments = NULL;
    size_t n = 0;
    tdm_evaluation *evaluation = NULL;
    const int code = cli_assignments(args, &assignments, &n);
    if (code >= 0) return code;
    if (cli_has(args, "quiet")) cli_console_quiet();
    cli_progress_start(&progress, "auto", false);
    const tdm_train_events events = cli_progress_events(&progress);
    tdm_status status = tdm_evaluate(cli_positional(args, 0), cli_value(args, "split"),
                                     (const char *const *)assignments, n, &events, &evaluation);
    cli_bar("");
    if (!status) status = print_report(tdm_evaluation_report(evaluation), cli_has(args, "json"));
    const int result = status ? cli_fail(args->command, status) : 0;
    tdm_evaluation_destroy(&evaluation);
    cli_assignments_free(assignments, n);
    cli_progress_free(&progress);
    return result;
}

const cli_command cli_eval = {
    "eval",
    positionals,
    "measure a run's best checkpoint, or any checkpoint, on a split",
    "The configuration is the checkpoint's own; --set and the other flags change it.",
    groups,
    run};
