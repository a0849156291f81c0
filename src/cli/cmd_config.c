/* cmd_config.c: `tandem config`. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

#include <tandem/experiment.h>

static const cli_option options[] = {
    {"defaults", NULL, "every key with type, range, default and meaning, instead"},
    {"experiment", NULL, "CONFIG is that of `tandem experiment` (with --defaults: its keys)"},
    {"plain", NULL, "without the comments that say where each value comes from"},
};
static const cli_group group = {"options", options, CLI_COUNT(options)};
static const cli_group *const groups[] = {&group, &cli_train_group, &cli_device_group, NULL};
static const char *const positionals[] = {"[CONFIG]", NULL};

static tdm_status create(const cli_args *args, tdm_config **out)
{
    static const tdm_opt_table *const own[] = {&tdm_experiment_options};
    const tdm_opt_table *const *tables = own;
    size_t n = CLI_COUNT(own);
    if (!cli_has(args, "experiment")) tdm_schema(&tables, &n);
    return tdm_config_create(tables, n, out);
}

static int print_defaults(const cli_args *args)
{
    tdm_config *config = NULL;
    char *text = NULL;
    tdm_status status = create(args, &config);
    if (!status) status = tdm_config_defaults(config, &text);
    tdm_config_destroy(&config);
    if (status) return cli_fail(args->command, status);
    cli_data(text);
    free(text);
    return 0;
}

/* As cli_config, of an experiment's file; flags for the runs have no place in it. */
static int experiment_config(const cli_args *args, const char *path, tdm_config **out)
{
    char **texts;
    size_t n;
    int code = cli_assignments(args, &texts, &n);
    if (code >= 0) return code;
    tdm_status status = create(args, out);
    if (!status) status = tdm_config_load(*out, path);
    for (size_t i = 0; i < n && !status; i++)
        if (!strncmp(texts[i], "experiment.", 11) || !strncmp(texts[i], "name=", 5))
            status = tdm_config_assign(*out, texts[i], "--set");
    if (!status) status = tdm_config_resolve(*out);
    cli_assignments_free(texts, n);
    if (!status) return -1;
    code = cli_fail(args->command, status);
    tdm_config_destroy(out);
    return code;
}

static int run(const cli_args *args)
{
    const char *path = cli_positional(args, 0);
    tdm_config *config = NULL;
    char *text = NULL;
    if (cli_has(args, "defaults")) {
        if (path) return cli_usage_error(args->command, "either CONFIG or --defaults");
        return print_defaults(args);
    }
    if (!path) return cli_usage_error(args->command, "CONFIG is missing");
    const int code = cli_has(args, "experiment") ? experiment_config(args, path, &config)
                                                 : cli_config(args, path, &config);
    if (code >= 0) return code;
    const tdm_status status = tdm_config_dump(config, !cli_has(args, "plain"), &text);
    tdm_config_destroy(&config);
    if (status) return cli_fail(args->command, status);
    cli_data(text);
    free(text);
    return 0;
}

const cli_command cli_config_show = {
    "config",
    positionals,
    "print the fully resolved configuration",
    "Values come from, in rising order: defaults, CONFIG (the files it extends first), "
    "TANDEM_DEVICE and TANDEM_TUNE, flags. The output is a configuration itself.",
    groups,
    run};
