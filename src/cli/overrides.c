/* overrides.c: from flags and environment to a resolved configuration. The tables here say which
 * key each flag sets; nothing else knows. Order: file, environment, flags as they were given. */
#include "cli.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const cli_option device_options[] = {
    {"device", "SPEC",
     "gpu, cpu, platform:device (0:1) or part of a name; nothing given: "
     "$TANDEM_DEVICE, else the first GPU, else an accelerator, else a CPU",
     CLI_SET, "device.spec"},
    {"platform", "P", "only of this platform: its index or part of its name", CLI_SET,
     "device.platform"},
    {"device-type", "T", "only gpu, cpu or accelerator", CLI_SET, "device.type"},
    {"device-units", "N",
     "use N of the device's compute units (threads of a CPU), where it can be partitioned", CLI_SET,
     "device.units"},
    {"memory-limit", "SIZE",
     "bytes that device buffers may take, e.g. 512MiB or 2G; training computes values again "
     "instead of keeping them to stay within",
     CLI_SET, "device.memory_limit"},
};
const cli_group cli_device_group = {"device", device_options, CLI_COUNT(device_options)};

static const cli_option set_options[] = {
    {"set", "KEY=VALUE",
     "set any key of the configuration, e.g. optim.lr=1e-3 (repeatable; `tandem "
     "config --defaults` lists the keys)",
     CLI_ASSIGN},
};
const cli_group cli_set_group = {"configuration", set_options, CLI_COUNT(set_options)};

static const cli_option train_options[] = {
    {"set", "KEY=VALUE",
     "set any key of the configuration, e.g. optim.lr=1e-3 (repeatable; `tandem "
     "config --defaults` lists the keys)",
     CLI_ASSIGN},
    {"output", "DIR", "run folder (nothing given: runs/<name>-<time>)", CLI_SET, "train.output"},
    {"seed", "N", "seed of weights, order, dropout and splits", CLI_SET, "seed"},
    {"epochs", "N", "passes over the training split", CLI_SET, "train.epochs"},
    {"batch-size", "N", "samples a step", CLI_SET, "train.batch_size"},
    {"lr", "X", "learning rate", CLI_SET, "optim.lr"},
    {"workers", "N", "threads that load and decode", CLI_SET, "data.workers"},
    {"resume", "[PATH]",
     "go on with the run in folder PATH, or with `auto` (the same as no PATH) "
     "with the one in --output, where there is one",
     CLI_SET, "train.resume", "auto"},
    {"init-from", "CHECKPOINT", "begin with the weights of a run folder or safetensors file",
     CLI_SET, "train.init_from"},
    {"freeze", "GLOB",
     "parameters that stand still, e.g. encoder or 'encoder.[0-2].*' (repeatable; "
     "replaces train.freeze)",
     CLI_LIST, "train.freeze"},
    {"from", "STAGE", "of a configuration with stages: run this one, and those after it, again",
     CLI_SET, "pipeline.from"},
    {"max-time", "T", "save and stop after 90, 90s, 10m, 2h or 1h30m", CLI_TIME, "train.max_time"},
    {"overfit-batches", "N", "train on the first N batches only, without validation", CLI_SET,
     "train.overfit_batches"},
    {"fast-dev-run", NULL, "one epoch of a few batches, to see that everything runs", CLI_SET,
     "train.fast_dev_run"},
    {"profile", "FILE", "write a Chrome trace of the first epoch", CLI_SET, "train.profile"},
};
const cli_group cli_train_group = {"configuration", train_options, CLI_COUNT(train_options)};

/* ---- values ---------------------------------------------------------------------------------- */

static double unit_seconds(char unit)
{
    switch (tolower((unsigned char)unit)) {
    case 's':
        return 1;
    case 'm':
        return 60;
    case 'h':
        return 3600;
    case 'd':
        return 86400;
    default:
        return 0;
    }
}

/* "90", "90s", "10m", "1h30m" as seconds; negative: it is none of these. */
static double parse_time(const char *text)
{
    double total = 0;
    if (!*text) return -1;
    for (const char *p = text; *p;) {
        char *end;
        if (!isdigit((unsigned char)*p)) return -1;
        const double value = strtod(p, &end);
        const bool bare = p == text && !*end;
        const double unit = bare ? 1 : unit_seconds(*end);
        if (end == p || unit == 0) return -1;
        total += value * unit;
        p = bare ? end : end + 1;
    }
    return isfinite(total) ? total : -1;
}

/* Every use of an option of the list kind, as a YAML sequence of quoted texts. */
static char *list_text(const cli_args *args, const cli_option *option)
{
    char *text;
    size_t size;
    FILE *out = cli_memory(&text, &size);
    const char *separator = "[";
    for (size_t i = 0; i < args->n_given; i++) {
        if (args->given[i].option != option) continue;
        fprintf(out, "%s\"", separator);
        for (const char *p = args->given[i].value; *p; p++)
            fprintf(out, "%s%c", *p == '"' || *p == '\\' ? "\\" : "", *p);
        fputc('"', out);
        separator = ", ";
    }
    fputc(']', out);
    fclose(out);
    return text;
}

/* ---- assignments ----------------------------------------------------------------------------- */

/* One change of the configuration. text is "value", or "key=value" when key is NULL. */
typedef struct change {
    const char *key;
    char *text, *origin;
} change;

static void changes_free(change *changes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(changes[i].text);
        free(changes[i].origin);
    }
    free(changes);
}

static char *change_value(const cli_args *args, const cli_given *given)
{
    const cli_option *o = given->option;
    if (o->use == CLI_LIST) return list_text(args, o);
    if (!o->arg) return cli_format("true");
    if (!given->value) return cli_format("%s", o->absent);
    if (o->use != CLI_TIME) return cli_format("%s", given->value);
    const double seconds = parse_time(given->value);
    return seconds < 0 ? NULL : cli_format("%.15g", seconds);
}

/* What the environment sets. */
static const struct {
    const char *name, *key;
} variables[] = {{"TANDEM_DEVICE", "device.spec"}, {"TANDEM_TUNE", "tune.file"}};

static int collect(const cli_args *args, change **out, size_t *n)
{
    change *list = cli_alloc(args->n_given + CLI_COUNT(variables), sizeof *list);
    *n = 0;
    for (size_t i = 0; i < CLI_COUNT(variables); i++) {
        const char *value = getenv(variables[i].name);
        if (value && *value)
            list[(*n)++] = (change){variables[i].key, cli_format("%s", value),
                                    cli_format("%s", variables[i].name)};
    }
    for (size_t i = 0; i < args->n_given; i++) {
        const cli_option *o = args->given[i].option;
        if (o->use == CLI_READ) continue;
        char *value = change_value(args, &args->given[i]);
        if (!value) {
            changes_free(list, *n);
            return cli_usage_error(args->command, "--%s %s: must be seconds, or like 90s, 10m, 2h",
                                   o->name, args->given[i].value);
        }
        list[(*n)++] = (change){o->key, value, cli_format("--%s", o->name)};
    }
    *out = list;
    return -1;
}

static tdm_status apply(tdm_config *config, const change *c)
{
    return c->key ? tdm_config_set(config, c->key, c->text, c->origin)
                  : tdm_config_assign(config, c->text, c->origin);
}

int cli_config(const cli_args *args, const char *path, tdm_config **out)
{
    const tdm_opt_table *const *tables;
    size_t n_tables, n = 0;
    change *changes = NULL;
    tdm_config *config = NULL;
    *out = NULL;
    int code = collect(args, &changes, &n);
    if (code >= 0) return code;
    tdm_schema(&tables, &n_tables);
    tdm_status status = tdm_config_create(tables, n_tables, &config);
    if (!status && path) status = tdm_config_load(config, path);
    for (size_t i = 0; i < n && !status; i++) status = apply(config, &changes[i]);
    if (!status) status = tdm_config_resolve(config);
    changes_free(changes, n);
    if (!status) {
        *out = config;
        return -1;
    }
    code = cli_fail(args->command, status);
    tdm_config_destroy(&config);
    return code;
}

int cli_assignments(const cli_args *args, char ***out, size_t *n)
{
    change *changes = NULL;
    const int code = collect(args, &changes, n);
    if (code >= 0) return code;
    *out = cli_alloc(*n, sizeof **out);
    for (size_t i = 0; i < *n; i++)
        (*out)[i] = changes[i].key ? cli_format("%s=%s", changes[i].key, changes[i].text)
                                   : cli_format("%s", changes[i].text);
    changes_free(changes, *n);
    return -1;
}

void cli_assignments_free(char **texts, size_t n)
{
    for (size_t i = 0; i < n; i++) free(texts[i]);
    free(texts);
}
