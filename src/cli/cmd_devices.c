/* cmd_devices.c: `tandem devices`. */
#include "cli.h"

#include <stdlib.h>

#include <tandem/device.h>

static const cli_option options[] = {
    {"json", NULL, "a JSON array on stdout"},
};
static const cli_group group = {"options", options, CLI_COUNT(options)};
static const cli_group *const groups[] = {&group, &cli_device_group, NULL};
static const char *const positionals[] = {NULL};

/* With a flag or TANDEM_DEVICE: which device that means. */
static int tell_choice(const cli_args *args)
{
    tdm_config *config = NULL;
    tdm_device_spec spec;
    tdm_device_info info;
    const int code = cli_config(args, NULL, &config);
    if (code >= 0) return code;
    tdm_status status = TDM_OK;
    if (tdm_config_given(config, "device.spec") || tdm_config_given(config, "device.platform") ||
        tdm_config_given(config, "device.type")) {
        status = tdm_device_spec_read(config, &spec);
        if (!status) status = tdm_device_choose(&spec, &info);
        if (!status) cli_note("chosen: %u:%u %s", info.platform, info.device, info.name);
    }
    tdm_config_destroy(&config);
    return status ? cli_fail(args->command, status) : 0;
}

static int run(const cli_args *args)
{
    char *text = NULL;
    const tdm_status status = tdm_device_list_text(cli_has(args, "json"), &text);
    if (status) return cli_fail(args->command, status);
    cli_data(text);
    if (cli_has(args, "json")) cli_data("\n");
    free(text);
    return tell_choice(args);
}

const cli_command cli_devices = {"devices",
                                 positionals,
                                 "list OpenCL platforms and devices, the default marked",
                                 "With --device, --platform, --device-type or TANDEM_DEVICE, also "
                                 "tells (on stderr) which device "
                                 "that means.",
                                 groups,
                                 run};
