/* cmd_runs.c: `tandem runs list` and `tandem runs compare`. */
#include "cli.h"

#include <stdlib.h>

#include <tandem/runs.h>

static const cli_option list_options[] = {
    {"json", NULL, "a JSON array on stdout"},
};
static const cli_option compare_options[] = {
    {"baseline", "NAME", "the arm that the others are compared with (nothing given: the first)"},
    {"json", NULL, "a JSON array on stdout"},
};
static const cli_group list_group = {"options", list_options, CLI_COUNT(list_options)};
static const cli_group compare_group = {"options", compare_options, CLI_COUNT(compare_options)};
static const cli_group *const list_groups[] = {&list_group, NULL};
static const cli_group *const compare_groups[] = {&compare_group, NULL};
static const char *const list_positionals[] = {"[FOLDER]", NULL};
static const char *const compare_positionals[] = {"RUN...", NULL};

static const char compare_details[] =
    "Runs, or folders of runs. Runs with the same `name` are an arm; arms are compared on the test "
    "split, in pairs of equal seeds: the mean difference with a bootstrap interval, an exact "
    "sign-flip test (p adjusted by Holm for the number of arms), Student's t, the effect size, and "
    "a sentence that says when there are too few runs to tell.";

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
    tdm_status status = tdm_runs_find(paths, 1, &runs);
    if (!status) status = tdm_runs_list(runs, cli_has(args, "json"), &text);
    return finish(args, runs, status, text);
}

static int run_compare(const cli_args *args)
{
    tdm_runs *runs = NULL;
    char *text = NULL;
    tdm_status status = tdm_runs_find(args->positionals, args->n_positionals, &runs);
    if (!status)
        status = tdm_runs_compare(runs, cli_value(args, "baseline"), cli_has(args, "json"), &text);
    return finish(args, runs, status, text);
}

const cli_command cli_runs_list = {
    "runs list", list_positionals, "list the runs in a folder (runs) and below",
    NULL,        list_groups,      run_list};
const cli_command cli_runs_compare = {"runs compare",
                                      compare_positionals,
                                      "compare runs over seeds: intervals, tests, a plain sentence",
                                      compare_details,
                                      compare_groups,
                                      run_compare};
