/* cmd_train.c: `tandem train`. */
#include "cli.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <tandem/pipeline.h>

static const cli_option options[] = {
    {"dry-run", NULL, "check everything, print the layer table, write nothing"},
    {"progress", "HOW",
     "auto (a bar on a terminal, else plain), bar, plain (a line now and then) or "
     "none (only the line for each epoch and split)"},
    {"json", NULL, "epoch reports as JSON lines on stdout, instead of the table"},
    {"quiet", NULL, "no chatter on stderr: warnings and errors only"},
};
static const cli_group group = {"options", options, CLI_COUNT(options)};
static const cli_group *const groups[] = {&group, &cli_train_group, &cli_device_group, NULL};
static const char *const positionals[] = {"CONFIG", NULL};

static tdm_trainer *running; /* what a signal stops: this, or a pipeline */
static tdm_pipeline *running_pipeline;

static void stop_running(tdm_status status)
{
    tdm_trainer_stop(running, status);
}

static void stop_pipeline(tdm_status status)
{
    tdm_pipeline_stop(running_pipeline, status);
}

static tdm_status dry_run(tdm_trainer *trainer)
{
    char *text = NULL;
    const tdm_status status = tdm_trainer_describe(trainer, &text);
    if (!status) cli_data(text);
    free(text);
    return status;
}

static void tell_end(tdm_stop_reason reason, const char *folder, const char *table)
{
    switch (reason) {
    case TDM_STOP_EARLY:
        cli_note("stopped early: no improvement for train.patience epochs");
        break;
    case TDM_STOP_TIME:
        cli_note("stopped: --max-time is over; go on with --resume %s", folder);
        break;
    case TDM_STOP_NONE:
    case TDM_STOP_EPOCHS:
    case TDM_STOP_REQUESTED:
    case TDM_STOP_DIVERGED:
        break;
    }
    if (table) cli_data(table);
    cli_note("run folder: %s", folder);
}

static int fail(const cli_args *args, const char *folder, tdm_status status)
{
    const int code = cli_fail(args->command, status);
    if (status == TDM_ERR_INTERRUPTED || status == TDM_ERR_TERMINATED)
        cli_note("go on with: tandem train %s --resume %s", cli_positional(args, 0), folder);
    if (status == TDM_ERR_DIVERGED) cli_note("run folder: %s", folder);
    return code;
}

static int train(const cli_args *args, const tdm_config *config, cli_progress *progress)
{
    const tdm_train_events events = cli_progress_events(progress);
    tdm_trainer *trainer = NULL;
    int code = 0;
    tdm_status status = tdm_trainer_create(config, &events, &trainer);
    if (!status && cli_has(args, "dry-run")) {
        status = dry_run(trainer);
        if (status) code = fail(args, NULL, status);
    } else {
        if (!status) {
            running = trainer;
            cli_signals_guard(stop_running);
            status = tdm_trainer_run(trainer);
            cli_signals_release();
        }
        cli_bar("");
        if (status)
            code = fail(args, trainer ? tdm_trainer_folder(trainer) : NULL, status);
        else
            tell_end(tdm_trainer_reason(trainer), tdm_trainer_folder(trainer),
                     progress->json ? NULL : progress->table);
    }
    tdm_trainer_destroy(&trainer);
    return code;
}

static tdm_status run_pipeline(tdm_pipeline *pipeline, char **results)
{
    running_pipeline = pipeline;
    cli_signals_guard(stop_pipeline);
    tdm_status status = tdm_pipeline_run(pipeline);
    cli_signals_release();
    cli_bar("");
    if (status || tdm_pipeline_reason(pipeline) == TDM_STOP_TIME) return status;
    return tdm_pipeline_results(pipeline, results);
}

static int train_stages(const cli_args *args, const tdm_config *config, cli_progress *progress)
{
    const tdm_train_events events = cli_progress_events(progress);
    tdm_pipeline *pipeline = NULL;
    char *text = NULL;
    int code = 0;
    tdm_status status = tdm_pipeline_create(config, &events, &pipeline);
    if (!status && cli_has(args, "dry-run")) {
        status = tdm_pipeline_describe(pipeline, &text);
        if (!status) cli_data(text);
    } else if (!status) {
        status = run_pipeline(pipeline, &text);
        if (!status)
            tell_end(tdm_pipeline_reason(pipeline), tdm_pipeline_folder(pipeline),
                     progress->json ? NULL : text);
    }
    if (status) code = fail(args, pipeline ? tdm_pipeline_folder(pipeline) : NULL, status);
    free(text);
    tdm_pipeline_destroy(&pipeline);
    return code;
}

/* A run of an experiment ($TANDEM_PARENT: its process) saves and ends when that one is killed,
 * instead of going on unseen. */
static bool follow_parent(void)
{
    const char *parent = getenv("TANDEM_PARENT");
    if (!parent || !*parent) return true;
    return !prctl(PR_SET_PDEATHSIG, SIGTERM) && (long)getppid() == strtol(parent, NULL, 10);
}

static int run(const cli_args *args)
{
    cli_progress progress;
    tdm_config *config = NULL;
    if (!follow_parent()) return tdm_status_exit_code(TDM_ERR_TERMINATED);
    if (!cli_progress_start(&progress, cli_value(args, "progress"), cli_has(args, "json")))
        return cli_usage_error(args->command, "--progress %s: must be auto, bar, plain or none",
                               cli_value(args, "progress"));
    if (cli_has(args, "quiet")) cli_console_quiet();
    int code = cli_config(args, cli_positional(args, 0), &config);
    if (code >= 0) return code;
    /* A reader of our output that goes away must not cost the run: `tandem train ... | tee log`
     * loses tee first on Ctrl-C, and still has to save. */
    signal(SIGPIPE, SIG_IGN);
    cli_signals_start();
    code = tdm_pipeline_is(config) ? train_stages(args, config, &progress)
                                   : train(args, config, &progress);
    cli_progress_free(&progress);
    tdm_config_destroy(&config);
    return code;
}

const cli_command cli_train = {
    "train",
    positionals,
    "train a configuration; leaves a run folder",
    "The first Ctrl-C (or SIGTERM) finishes the step, saves and ends with exit code 130 (143); a "
    "second one ends at once. `--resume` goes on exactly where the run was saved.",
    groups,
    run};
