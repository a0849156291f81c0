/* cmd_experiment.c: `tandem experiment`. */
#include "cli.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <tandem/experiment.h>

enum { PLAIN_SECONDS = 30, BAR = 20 };

static const cli_option options[] = {
    {"jobs", "N",
     "runs at once (nothing given: one per device); those that share a CPU divide its threads"},
    {"device", "SPEC", "as everywhere; repeated: runs take turns on the devices"},
    {"output", "DIR", "folder of the experiment (nothing given: as CONFIG says)"},
    {"set", "KEY=VALUE",
     "set a key of every run's configuration, or one of experiment.* (repeatable)", CLI_ASSIGN},
    {"dry-run", NULL, "print the plan, write nothing"},
    {"keep-finished", NULL, "keep finished runs that another build of tandem has done"},
    {"redo", NULL,
     "remove finished runs of another build, another configuration or other data, do them again"},
    {"progress", "HOW", "auto (a bar on a terminal, else plain), bar, plain or none"},
    {"json", NULL, "the experiment's state as JSON on stdout, at the end"},
    {"quiet", NULL, "no chatter on stderr: warnings and errors only"},
};
static const cli_group group = {"options", options, CLI_COUNT(options)};
static const cli_group *const groups[] = {&group, NULL};
static const char *const positionals[] = {"CONFIG", NULL};

static tdm_experiment *running; /* what a signal stops */

static void stop_running(tdm_status status)
{
    tdm_experiment_stop(running, status);
}

/* ---- what is shown --------------------------------------------------------------------------- */

typedef struct display {
    cli_progress_mode mode;
    double last; /* when the last plain line was printed */
} display;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static char *time_text(double seconds)
{
    if (isnan(seconds)) return cli_format("no estimate yet");
    const long s = lround(seconds);
    if (s >= 3600) return cli_format("%ld:%02ld:%02ld left", s / 3600, s / 60 % 60, s % 60);
    return cli_format("%ld:%02ld left", s / 60, s % 60);
}

static void on_changed(void *user, const tdm_experiment_run_info *run)
{
    display *d = user;
    switch (run->state) {
    case TDM_RUN_RUNNING:
        cli_note("%s, seed %lld: %s", run->arm, (long long)run->seed,
                 run->epoch > 0 ? "goes on" : "begins");
        break;
    case TDM_RUN_DONE:
        cli_note("%s, seed %lld: done in %.0f s: %s", run->arm, (long long)run->seed, run->seconds,
                 run->result ? run->result : "no test split");
        break;
    case TDM_RUN_FAILED:
        cli_bar("");
        cli_warning("%s, seed %lld: failed with exit code %d: %s", run->arm, (long long)run->seed,
                    run->exit, run->error ? run->error : "");
        break;
    case TDM_RUN_STOPPED:
        cli_note("%s, seed %lld: stopped and saved", run->arm, (long long)run->seed);
        break;
    case TDM_RUN_WAITING:
        break;
    }
    if (run->state != TDM_RUN_RUNNING) d->last = 0;
}

static void on_progress(void *user, const tdm_experiment_progress *p)
{
    display *d = user;
    char bar[BAR + 1];
    if (d->mode == CLI_PROGRESS_NONE ||
        (d->mode == CLI_PROGRESS_PLAIN && now() - d->last < PLAIN_SECONDS))
        return;
    d->last = now();
    char *time = time_text(p->eta_seconds);
    char *failed = p->failed ? cli_format(", %zu failed", p->failed) : cli_format("%s", "");
    char *current =
        p->now
            ? cli_format(
                  ": %s, seed %lld, epoch %lld/%lld%s", p->now->arm, (long long)p->now->seed,
                  (long long)(p->now->epoch < p->now->epochs ? p->now->epoch + 1 : p->now->epochs),
                  (long long)p->now->epochs, p->running > 1 ? " ..." : "")
            : cli_format("%s", "");
    cli_bar_draw(bar, sizeof bar, BAR, p->fraction);
    char *line =
        cli_format("%s%s%zu/%zu runs%s, %s%s", d->mode == CLI_PROGRESS_BAR ? bar : "",
                   d->mode == CLI_PROGRESS_BAR ? " " : "", p->done, p->runs, failed, time, current);
    if (d->mode == CLI_PROGRESS_BAR) {
        const int width = cli_console_width() - 1;
        if (width > 0 && strlen(line) > (size_t)width) line[width] = 0;
        cli_bar(line);
    } else {
        cli_note("%s", line);
    }
    free(line);
    free(current);
    free(failed);
    free(time);
}

/* ---- the command ----------------------------------------------------------------------------- */

static int read_jobs(const cli_args *args, unsigned *jobs)
{
    const char *text = cli_value(args, "jobs");
    char *end;
    *jobs = 0;
    if (!text) return -1;
    const long n = strtol(text, &end, 10);
    if (*end || end == text || n < 1 || n > 1024)
        return cli_usage_error(args->command, "--jobs %s: must be 1 to 1024", text);
    *jobs = (unsigned)n;
    return -1;
}

static tdm_status tell_plan(const tdm_experiment *experiment, bool data, bool json)
{
    char *text = NULL;
    const tdm_status status = tdm_experiment_describe(experiment, json, &text);
    if (!status && data) {
        cli_data(text);
    } else if (!status) {
        const size_t n = strlen(text);
        if (n > 0) text[n - 1] = 0; /* a note ends its line itself */
        cli_note("%s", text);
    }
    free(text);
    return status;
}

static tdm_status carry_out(tdm_experiment *experiment, display *d)
{
    const tdm_experiment_events events = {d, on_changed, on_progress};
    running = experiment;
    cli_signals_guard(stop_running);
    const tdm_status status = tdm_experiment_run(experiment, &events);
    cli_signals_release();
    cli_bar("");
    return status;
}

static int experiment_run(const cli_args *args, const tdm_experiment_spec *spec, display *d)
{
    const bool json = cli_has(args, "json"), dry = cli_has(args, "dry-run");
    tdm_experiment *experiment = NULL;
    int code = 0;
    tdm_status status = tdm_experiment_create(spec, &experiment);
    if (!status && dry) {
        status = tell_plan(experiment, true, json);
    } else if (!status) {
        status = tell_plan(experiment, false, false);
        if (!status) status = carry_out(experiment, d);
        if (json && tell_plan(experiment, true, true)) code = 1;
        cli_note("experiment folder: %s", tdm_experiment_folder(experiment));
    }
    if (status) code = cli_fail(args->command, status);
    tdm_experiment_destroy(&experiment);
    return code;
}

static int run(const cli_args *args)
{
    cli_progress progress;
    tdm_experiment_spec spec = {.path = cli_positional(args, 0),
                                .output = cli_value(args, "output")};
    char **assignments = NULL;
    const char **devices = NULL;
    size_t n = 0;
    if (!cli_progress_start(&progress, cli_value(args, "progress"), false))
        return cli_usage_error(args->command, "--progress %s: must be auto, bar, plain or none",
                               cli_value(args, "progress"));
    if (cli_has(args, "keep-finished") && cli_has(args, "redo"))
        return cli_usage_error(args->command, "--keep-finished and --redo exclude each other");
    if (cli_has(args, "keep-finished")) spec.policy = TDM_EXPERIMENT_KEEP;
    if (cli_has(args, "redo")) spec.policy = TDM_EXPERIMENT_REDO;
    if (cli_has(args, "quiet")) cli_console_quiet();
    int code = read_jobs(args, &spec.jobs);
    if (code < 0) code = cli_assignments(args, &assignments, &n);
    if (code >= 0) return code;
    devices = cli_alloc(args->n_given, sizeof *devices);
    for (size_t i = 0; i < args->n_given; i++)
        if (!strcmp(args->given[i].option->name, "device"))
            devices[spec.n_devices++] = args->given[i].value;
    spec.devices = devices;
    spec.assignments = (const char *const *)assignments;
    spec.n_assignments = n;
    signal(SIGPIPE, SIG_IGN);
    cli_signals_start();
    display d = {.mode = progress.mode};
    code = experiment_run(args, &spec, &d);
    cli_assignments_free(assignments, n);
    free(devices);
    cli_progress_free(&progress);
    return code;
}

const cli_command cli_experiment = {
    "experiment",
    positionals,
    "run the arms, seeds and grid points of a comparison; goes on where it stopped",
    "Each run is `tandem train` in a process and a run folder of its own, with its chatter in "
    "log.txt there. Finished runs are never done again as long as configuration, data and program "
    "are the same; what was interrupted goes on. A failing run does not stop the others; then the "
    "exit code is its. The first Ctrl-C lets the running ones finish their step and save.",
    groups,
    run};
