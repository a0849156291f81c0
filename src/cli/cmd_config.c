/* cmd_config.c: `tandem config`. */
#include "cli.h"

#include <stdlib.h>

static const cli_option options[] = {
    {"defaults", NULL, "every key with type, range, default and meaning, instead"},
    {"plain", NULL, "without the comments that say where each value comes from"},
};
static const cli_group group = {"options", options, CLI_COUNT(options)};
static const cli_group *const groups[] = {&group, &cli_train_group, &cli_device_group, NULL};
static const char *const positionals[] = {"[CONFIG]", NULL};

static int print_defaults(const cli_args *args)
{
    const tdm_opt_table *const *tables;
    size_t n;
    tdm_config *config = NULL;
    char *text = NULL;
    tdm_schema(&tables, &n);
    tdm_status status = tdm_config_create(tables, n, &config);
    if (!status) status = tdm_config_defaults(config, &text);
    tdm_config_destroy(&config);
    if (status) return cli_fail(args->command, status);
    cli_data(text);
    free(text);
    return 0;
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
    const int code = cli_config(args, path, &config);
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
