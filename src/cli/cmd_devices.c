/* cmd_devices.c: `tandem devices`. */
#include "cli.h"

#include <stdlib.h>

#include <tandem/device.h>

static const cli_option options[] = {
    {"json", NULL, "a JSON array on stdout"},
};
static const cli_group group = {"options", options, CLI_COUNT(options)};
static const cli_group *const groups[] = {&group, NULL};
static const char *const positionals[] = {NULL};

static int run(const cli_args *args)
{
    char *text = NULL;
    const tdm_status status = tdm_device_list_text(cli_has(args, "json"), &text);
    if (status) return cli_fail(args->command, status);
    cli_data(text);
    if (cli_has(args, "json")) cli_data("\n");
    free(text);
    return 0;
}

const cli_command cli_devices = {
    "devices", positionals, "list OpenCL platforms and devices, the default marked",
    NULL,      groups,      run};
