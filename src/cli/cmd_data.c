/* cmd_data.c: `tandem data import` and `tandem data info`. */
#include "cli.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <tandem/dataset.h>

/* ---- import ---------------------------------------------------------------------------------- */

static const cli_option import_options[] = {
    {"out", "DIR", "folder of the data set that is written", .required = true},
    {"size", "N", "side of the images in pixels, for kinds that resize"},
    {"quiet", NULL, "no chatter on stderr"},
};
static const cli_group import_group = {"options", import_options, CLI_COUNT(import_options)};
static const cli_group *const import_groups[] = {&import_group, NULL};
static const char *const import_positionals[] = {"KIND", "SRC", NULL};

static int on_progress(void *user, const char *what, uint64_t done, uint64_t total)
{
    (void)user;
    char bar[64];
    if (cli_console_is_terminal() && total) {
        cli_bar_draw(bar, sizeof bar, 32, (double)done / (double)total);
        char *line = cli_format("%-6s %s %llu of %llu samples", what, bar, (unsigned long long)done,
                                (unsigned long long)total);
        cli_bar(line);
        free(line);
    }
    if (done == total) cli_note("%s: %llu samples", what, (unsigned long long)total);
    return cli_signals_status() != TDM_OK;
}

static void list_kinds(void)
{
    const char *help, *kind;
    printf("\nkinds:\n");
    for (size_t i = 0; (kind = tdm_data_import_kind(i, &help)); i++) {
        printf("  %-14s ", kind);
        cli_wrap(stdout, help, 17, 17);
    }
}

/* A side in pixels; 0: it is none. */
static int parse_size(const char *text)
{
    char *end;
    errno = 0;
    const long value = strtol(text, &end, 10);
    return *end || errno || value < 1 || value > INT_MAX ? 0 : (int)value;
}

static int run_import(const cli_args *args)
{
    const char *kind = cli_positional(args, 0), *out = cli_value(args, "out");
    tdm_import_options options = {.progress = on_progress};
    tdm_import_result result;
    if (cli_has(args, "size") && !(options.size = parse_size(cli_value(args, "size"))))
        return cli_usage_error(args->command, "--size %s: must be a whole number above 0",
                               cli_value(args, "size"));
    if (cli_has(args, "quiet")) cli_console_quiet();
    cli_signals_start();
    cli_signals_guard(NULL);
    tdm_status status = tdm_data_import(kind, cli_positional(args, 1), out, &options, &result);
    cli_signals_release();
    cli_bar("");
    if (status == TDM_ERR_INTERRUPTED) status = cli_signals_status();
    if (status) return cli_fail(args->command, status);
    cli_note(result.existed ? "%s: %s is already imported"
             : result.kept  ? "%s: %s is imported; what an earlier import had finished was kept"
                            : "%s: %s is imported",
             out, kind);
    return 0;
}

const cli_command cli_data_import = {
    "data import", import_positionals, "import a data set's original files to HDF5",
    NULL,          import_groups,      run_import,
    list_kinds};

/* ---- info ------------------------------------------------------------------------------------ */

static const cli_option info_options[] = {
    {"json", NULL, "a JSON object on stdout"},
};
static const cli_group info_group = {"options", info_options, CLI_COUNT(info_options)};
static const cli_group *const info_groups[] = {&info_group, NULL};
static const char *const info_positionals[] = {"DIR", NULL};

static int run_info(const cli_args *args)
{
    char *text = NULL;
    const bool json = cli_has(args, "json");
    const tdm_status status = tdm_data_info(cli_positional(args, 0), json, &text);
    if (status) return cli_fail(args->command, status);
    cli_data(text);
    if (json) cli_data("\n");
    free(text);
    return 0;
}

const cli_command cli_data_info = {
    "data info",
    info_positionals,
    "show splits, arrays, shapes, types, label counts and value ranges",
    "Reads the whole data set once. DIR is a folder with train.h5, val.h5, test.h5 (or folders of "
    "these names with a file for each array), or one HDF5 file.",
    info_groups,
    run_info};
