/* cmd_bench.c: `tandem bench step`, `ops`, `conv`, `tune` and `load`. */
#include "cli.h"

#include <stdlib.h>

static const cli_option step_options[] = {
    {"ops", NULL,
     "also every operation of the step, kernel by kernel, with its share of the device's limit",
     CLI_SET, "bench.ops"},
    {"profile", "FILE", "write a Chrome trace of the steps", CLI_SET, "train.profile"},
    {"json", NULL, "a JSON line on stdout"},
};
static const cli_option load_options[] = {
    {"json", NULL, "a JSON line on stdout"},
};
static const cli_option ops_options[] = {
    {"filter", "TEXT", "only samples with TEXT in their \"operation/sample\""},
    {"json", NULL, "JSON lines on stdout"},
};
static const cli_option conv_options[] = {
    {"shape", "N,H,W,C,K[,R,S,STRIDE,PADDING[,DILATION]]",
     "one convolution (nothing given: some typical ones)"},
    {"filter", "TEXT", "only rows with TEXT in their \"direction/algorithm/shape\""},
    {"default-only", NULL, "only the algorithm that training takes"},
    {"json", NULL, "JSON lines on stdout"},
};
static const cli_option tune_options[] = {
    {"out", "FILE", "tuning file to write (nothing given: in the cache folder, where it is found)"},
    {"json", NULL, "JSON lines on stdout"},
};
static const cli_group tune_group = {"options", tune_options, CLI_COUNT(tune_options)};
static const cli_group *const tune_groups[] = {&tune_group, &cli_set_group, &cli_device_group,
                                               NULL};
static const cli_group step_group = {"options", step_options, CLI_COUNT(step_options)};
static const cli_group load_group = {"options", load_options, CLI_COUNT(load_options)};
static const cli_group ops_group = {"options", ops_options, CLI_COUNT(ops_options)};
static const cli_group conv_group = {"options", conv_options, CLI_COUNT(conv_options)};
static const cli_group *const step_groups[] = {&step_group, &cli_set_group, &cli_device_group,
                                               NULL};
static const cli_group *const ops_groups[] = {&ops_group, &cli_set_group, &cli_device_group, NULL};
static const cli_group *const conv_groups[] = {&conv_group, &cli_set_group, &cli_device_group,
                                               NULL};
static const cli_group *const load_groups[] = {&load_group, &cli_set_group, NULL};
static const char *const step_positionals[] = {"CONFIG", NULL};
static const char *const ops_positionals[] = {"[CONFIG]", NULL};

static const char json_fields[] =
    "With --json, numbers are named wall_ms, cpu_ms, gflops, gbps, peak_bytes, launches, host_us, "
    "runs, samples_per_s, where they apply. bench.steps and bench.warmup set how much is measured.";

static const char conv_fields[] =
    "Forward, data gradient and filter gradient, each by every algorithm that can run it. GFLOP/s "
    "count the direct sums, whatever the algorithm does. error_rms and error_max compare some "
    "elements with double precision; `default` marks the algorithm that training takes.";

static const char tune_fields[] =
    "Measures every algorithm for every shape that training and validating CONFIG need (without "
    "CONFIG: typical convolutions), compilation left out, and keeps the fastest. Training, "
    "evaluation and prediction read the file (tune.file, $TANDEM_TUNE) and never measure. It "
    "counts for this device, driver and these kernels only; other shapes that it holds stay.";

/* Prints a bench's text, or its failure. Takes over the configuration and the text. */
static int finish(const cli_args *args, tdm_config *config, tdm_status status, char *text)
{
    if (!status) cli_data(text);
    free(text);
    tdm_config_destroy(&config);
    return status ? cli_fail(args->command, status) : 0;
}

static int run_step(const cli_args *args)
{
    tdm_config *config = NULL;
    char *text = NULL;
    const int code = cli_config(args, cli_positional(args, 0), &config);
    if (code >= 0) return code;
    const tdm_status status = tdm_bench_step(config, cli_has(args, "json"), &text);
    return finish(args, config, status, text);
}

static int run_load(const cli_args *args)
{
    tdm_config *config = NULL;
    char *text = NULL;
    const int code = cli_config(args, cli_positional(args, 0), &config);
    if (code >= 0) return code;
    const tdm_status status = tdm_bench_load(config, cli_has(args, "json"), &text);
    return finish(args, config, status, text);
}

static int run_ops(const cli_args *args)
{
    tdm_config *config = NULL;
    char *text = NULL;
    const int code = cli_config(args, cli_positional(args, 0), &config);
    if (code >= 0) return code;
    const tdm_status status =
        tdm_bench_ops(config, cli_value(args, "filter"), cli_has(args, "json"), &text);
    return finish(args, config, status, text);
}

static int run_conv(const cli_args *args)
{
    tdm_config *config = NULL;
    char *text = NULL;
    const int code = cli_config(args, cli_positional(args, 0), &config);
    if (code >= 0) return code;
    const tdm_status status =
        tdm_bench_conv(config, cli_value(args, "shape"), cli_value(args, "filter"),
                       cli_has(args, "default-only"), cli_has(args, "json"), &text);
    return finish(args, config, status, text);
}

static int run_tune(const cli_args *args)
{
    tdm_config *config = NULL;
    char *text = NULL;
    const char *path = cli_positional(args, 0);
    const int code = cli_config(args, path, &config);
    if (code >= 0) return code;
    const tdm_status status =
        tdm_bench_tune(config, !path, cli_value(args, "out"), cli_has(args, "json"), &text);
    return finish(args, config, status, text);
}

const cli_command cli_bench_step = {
    "bench step", step_positionals, "time a configuration's training steps on made-up data",
    json_fields,  step_groups,      run_step};
const cli_command cli_bench_load = {
    "bench load",
    step_positionals,
    "time reading a configuration's training data, without a device",
    json_fields,
    load_groups,
    run_load};
const cli_command cli_bench_ops = {
    "bench ops", ops_positionals, "time the operations on their own samples, kernel by kernel",
    json_fields, ops_groups,      run_ops};
const cli_command cli_bench_conv = {
    "bench conv", ops_positionals, "time convolutions by each algorithm, with their errors",
    conv_fields,  conv_groups,     run_conv};
const cli_command cli_bench_tune = {
    "bench tune", ops_positionals, "find the fastest algorithms for a configuration on this device",
    tune_fields,  tune_groups,     run_tune};
