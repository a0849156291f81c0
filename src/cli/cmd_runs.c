/* cmd_runs.c: `tandem runs list`, `show`, `compare` and `rm`. */
#include "cli.h"

#include <stdlib.h>

#include <tandem/runs.h>

#define WHERE                                                                                      \
    {                                                                                              \
        "where", "EXPR",                                                                           \
            "only runs for which this holds, e.g. 'task.mask.iou > 0.6 and not arm = equal'"       \
    }

static const cli_option list_options[] = {
    WHERE,
    {"json", NULL, "a JSON array on stdout"},
    {"csv", NULL, "CSV with every metric on test and val"},
};
static const cli_option show_options[] = {
    WHERE,
    {"json", NULL, "a JSON array on stdout"},
};
static const cli_option compare_options[] = {
    {"baseline", "NAME", "the arm that the others are compared with (nothing given: the first)"},
    {"per-sample", NULL,
     "run the checkpoints: within each seed, compare the arms sample by sample of the test split"},
    WHERE,
    {"json", NULL, "a JSON array on stdout"},
};
static const cli_option rm_options[] = {
    WHERE,
    {"yes", NULL, "really remove them; without it they are only listed"},
};
static const cli_group list_group = {"options", list_options, CLI_COUNT(list_options)};
static const cli_group show_group = {"options", show_options, CLI_COUNT(show_options)};
static const cli_group compare_group = {"options", compare_options, CLI_COUNT(compare_options)};
static const cli_group rm_group = {"options", rm_options, CLI_COUNT(rm_options)};
static const cli_group *const list_groups[] = {&list_group, NULL};
static const cli_group *const show_groups[] = {&show_group, NULL};
static const cli_group *const compare_groups[] = {&compare_group, &cli_set_group, &cli_device_group,
                                                  NULL};
static const cli_group *const rm_groups[] = {&rm_group, NULL};
static const char *const list_positionals[] = {"[FOLDER]", NULL};
static const char *const run_positionals[] = {"RUN...", NULL};

static const char where_details[] =
    "Runs, or folders of runs. A condition has fields on the left of = != < <= > >= and numbers or "
    "texts on the right, joined by `and`, `or`, `not` and parentheses. Fields: arm, seed, stopped, "
    "epochs, best_epoch, seconds, task.NAME.METRIC (test), val.NAME.METRIC (best epoch), "
    "summary.KEY, and every key of the configuration; `tandem runs show` prints them.";
static const char compare_details[] =
    "Runs, or folders of runs. Runs with the same `name` are an arm; arms are compared on the test "
    "split, in pairs of equal seeds: the mean difference with a bootstrap interval, an exact "
    "sign-flip test (p adjusted by Holm for the number of arms), Student's t, the effect size, and "
    "a sentence that says when there are too few runs to tell. With --per-sample the pairs are the "
    "samples of the test split instead, one seed at a time: that tells two networks apart, but not "
    "what another seed would give; --set and the device flags are for the checkpoints.";

/* The runs of the command line for which --where holds. */
static tdm_status open_runs(const cli_args *args, const char *const *paths, size_t n,
                            tdm_runs **out)
{
    const char *where = cli_value(args, "where");
    tdm_status status = tdm_runs_find_indexed(paths, n, out);
    if (!status && where) status = tdm_runs_filter(*out, where);
    return status;
}

static int finish(const cli_args *args, tdm_runs *runs, tdm_status status, char *text)
{
    if (!status) cli_data(text);
    free(text);
    tdm_runs_destroy(&runs);
    return status ? cli_fail(args->command, status) : 0;
}

static int run_list(const cli_args *args)
{
    const char *folder = cli_positional(args, 0);
    const char *const paths[] = {folder ? folder : "runs"};
    tdm_runs *runs = NULL;
    char *text = NULL;
    if (cli_has(args, "json") && cli_has(args, "csv"))
        return cli_usage_error(args->command, "--json and --csv exclude each other");
    tdm_status status = open_runs(args, paths, 1, &runs);
    if (!status)
        status = cli_has(args, "csv") ? tdm_runs_csv(runs, &text)
                                      : tdm_runs_list(runs, cli_has(args, "json"), &text);
    return finish(args, runs, status, text);
}

static int run_show(const cli_args *args)
{
    tdm_runs *runs = NULL;
    char *text = NULL;
    tdm_status status = open_runs(args, args->positionals, args->n_positionals, &runs);
    if (!status) status = tdm_runs_show(runs, cli_has(args, "json"), &text);
    return finish(args, runs, status, text);
}

static int run_compare(const cli_args *args)
{
    tdm_runs *runs = NULL;
    char *text = NULL, **assignments = NULL;
    const char *baseline = cli_value(args, "baseline");
    const bool json = cli_has(args, "json");
    size_t n = 0;
    int code = cli_assignments(args, &assignments, &n);
    if (code >= 0) return code;
    tdm_status status = open_runs(args, args->positionals, args->n_positionals, &runs);
    if (!status && cli_has(args, "per-sample"))
        status = tdm_runs_compare_samples(runs, baseline, (const char *const *)assignments, n, json,
                                          &text);
    else if (!status)
        status = tdm_runs_compare(runs, baseline, json, &text);
    code = finish(args, runs, status, text);
    cli_assignments_free(assignments, n);
    return code;
}

static int run_rm(const cli_args *args)
{
    tdm_runs *runs = NULL;
    int code = 0;
    tdm_status status = open_runs(args, args->positionals, args->n_positionals, &runs);
    const size_t n = status ? 0 : tdm_runs_count(runs);
    for (size_t i = 0; i < n; i++) {
        cli_data(tdm_runs_path(runs, i));
        cli_data("\n");
    }
    if (!status && n == 0) {
        cli_note("no run matches");
    } else if (!status && !cli_has(args, "yes")) {
        code = cli_usage_error(args->command, "nothing is removed: --yes removes these %zu", n);
    } else if (!status) {
        status = tdm_runs_remove(runs);
        if (!status) cli_note("%zu removed", n);
    }
    tdm_runs_destroy(&runs);
    return status ? cli_fail(args->command, status) : code;
}

const cli_command cli_runs_list = {
    "runs list",   list_positionals, "list the runs in a folder (runs) and below",
    where_details, list_groups,      run_list};
const cli_command cli_runs_show = {
    "runs show",   run_positionals, "everything that is known of runs",
    where_details, show_groups,     run_show};
const cli_command cli_runs_compare = {
    "runs compare",  run_positionals, "compare runs over seeds: intervals, tests, a plain sentence",
    compare_details, compare_groups,  run_compare};
const cli_command cli_runs_rm = {"runs rm",     run_positionals, "remove run folders (with --yes)",
                                 where_details, rm_groups,       run_rm};
