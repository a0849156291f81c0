/* experiment/plan.c: from an experiment's file to its arms and trials. */
#include "experiment/internal.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <tandem/train.h>

#include "base/file.h"
#include "base/mem.h"

enum { NAME_MAX_BYTES = 120, TRIALS_MAX = 100000 };

static const tdm_opt_spec specs[] = {
    {"name", TDM_OPT_STRING, "experiment", .help = "of the experiment"},
    {"experiment.base", TDM_OPT_STRING, "",
     .help = "training configuration of the arms that name none, relative to this file"},
    {"experiment.output", TDM_OPT_STRING, "", TDM_OPT_RUNTIME,
     .help = "its folder; empty: experiments/<name>"},
    {"experiment.seeds", TDM_OPT_INTS, "[0]", TDM_OPT_MIN, 0, .help = "every arm runs with each"},
    {"experiment.baseline", TDM_OPT_STRING, "",
     .help = "the arm that the others are compared with; empty: the first"},
    {"experiment.set", TDM_OPT_STRINGS, "[]", TDM_OPT_SETTINGS,
     .help = "settings of every arm: {train.epochs: 1}"},
    {"experiment.arms.*.config", TDM_OPT_STRING, "",
     .help = "its training configuration instead of experiment.base"},
    {"experiment.arms.*.set", TDM_OPT_STRINGS, "[]", TDM_OPT_SETTINGS,
     .help = "its settings, after those of every arm"},
    {"experiment.arms.*.grid", TDM_OPT_STRINGS, "[]", TDM_OPT_SETTINGS,
     .help = "lists of values; every combination is an arm: {optim.lr: [1e-3, 1e-4]}"},
    {"experiment.arms.*.points", TDM_OPT_STRINGS, "[]", TDM_OPT_SETTINGS,
     .help = "lists of one length that change together: {tasks.a.weight: [0.1, 0.9], "
             "tasks.b.weight: [0.9, 0.1]}"},
    {"experiment.arms.*.random.points", TDM_OPT_INT, "0", TDM_OPT_MIN | TDM_OPT_MAX, 0,
     TDM__POINTS_MAX, .help = "random points to draw"},
    {"experiment.arms.*.random.seed", TDM_OPT_INT, "0", TDM_OPT_MIN, 0, .help = "of the draws"},
    {"experiment.arms.*.random.keys", TDM_OPT_STRINGS, "[]", TDM_OPT_SETTINGS,
     .help = "{optim.lr: {log-uniform: [1e-4, 1e-2]}}; also uniform, int, choice"},
};
const tdm_opt_table tdm_experiment_options = {"experiment", specs, sizeof specs / sizeof *specs};

void tdm__arm_free(tdm__arm *arm)
{
    free(arm->name);
    free(arm->group);
    free(arm->config);
    tdm__pairs_free(&arm->set);
    tdm__pairs_free(&arm->point);
}

/* ---- keys of the experiment ------------------------------------------------------------------ */

/* "experiment.arms.NAME.KEY" */
static tdm_status arm_key(const char *arm, const char *key, tdm__str *out)
{
    tdm__str_free(out);
    tdm__str_addf(out, "experiment.arms.%s.%s", arm, key);
    return tdm__str_status(out);
}

static tdm_status read_settings(const tdm_experiment *e, const char *key, tdm__pairs *out)
{
    const char *const *texts;
    size_t n;
    tdm_status status = tdm_config_strings(e->config, key, &texts, &n);
    if (!status) status = tdm__settings_read(out, texts, n);
    return status ? tdm__context(status, "%s: %s", tdm_config_origin(e->config, key), key) : TDM_OK;
}

/* A file named under `key`, relative to the file where that was written; given on the command line:
 * to the working directory. */
static tdm_status read_path(const tdm_experiment *e, const char *key, char **out)
{
    tdm_status status = TDM_OK;
    const char *name, *origin = tdm_config_origin(e->config, key);
    char *file = NULL, *folder = NULL;
    *out = NULL;
    TDM_TRY(tdm_config_string(e->config, key, &name));
    if (!*name) goto done;
    size_t n = strlen(origin);
    for (int colons = 0; colons < 2 && n > 0; colons++) {
        while (n > 0 && isdigit((unsigned char)origin[n - 1])) n--;
        n = n > 0 && origin[n - 1] == ':' ? n - 1 : 0;
    }
    file = strndup(origin, n);
    if (!file) TDM_TRY(tdm__fail(TDM_ERR_NOMEM, "out of memory"));
    if (n > 0) TDM_TRY(tdm__path_dir(file, &folder));
    if (!folder || tdm__streq(folder, "."))
        *out = tdm__strdup(name);
    else
        TDM_TRY(tdm__path_join(folder, name, out));
    if (!*out) TDM_TRY(tdm__fail(TDM_ERR_NOMEM, "out of memory"));
done:
    free(file);
    free(folder);
    return status;
}

/* ---- arms ------------------------------------------------------------------------------------ */

/* GROUP@KEY=VALUE,KEY=VALUE; a longer one ends in a hash instead. */
static tdm_status name_arm(tdm__arm *arm)
{
    tdm__str name = {0};
    char hash[TDM__HASH_HEX];
    tdm__str_add(&name, arm->group);
    for (size_t i = 0; i < arm->point.n; i++)
        tdm__str_addf(&name, "%c%s=%s", i ? ',' : '@', arm->point.list[i].key,
                      arm->point.list[i].value);
    tdm_status status = tdm__str_status(&name);
    if (!status && name.length > NAME_MAX_BYTES) {
        tdm__hash_bytes_hex(name.text, name.length, hash);
        name.length = NAME_MAX_BYTES - 9;
        tdm__str_addf(&name, "-%.8s", hash);
        status = tdm__str_status(&name);
    }
    arm->name = name.text;
    return status;
}

static tdm_status add_arm(tdm_experiment *e, const char *group, const tdm__pairs *point)
{
    tdm_status status = TDM_OK;
    tdm__str key = {0};
    TDM_TRY(tdm__grow(&e->arms, &e->arms_capacity, e->n_arms + 1, sizeof *e->arms));
    tdm__arm *arm = &e->arms[e->n_arms++];
    *arm = (tdm__arm){.group = tdm__strdup(group)};
    if (!arm->group) TDM_TRY(tdm__fail(TDM_ERR_NOMEM, "out of memory"));
    TDM_TRY(arm_key(group, "config", &key));
    TDM_TRY(read_path(e, key.text, &arm->config));
    if (!arm->config) TDM_TRY(read_path(e, "experiment.base", &arm->config));
    if (!arm->config)
        TDM_TRY(tdm__fail(TDM_ERR_CONFIG,
                          "experiment.arms.%s: needs a config, as there is no "
                          "experiment.base",
                          group));
    TDM_TRY(read_settings(e, "experiment.set", &arm->set));
    TDM_TRY(arm_key(group, "set", &key));
    TDM_TRY(read_settings(e, key.text, &arm->set));
    for (size_t i = 0; point && i < point->n; i++)
        TDM_TRY(tdm__pairs_add(&arm->point, point->list[i].key, point->list[i].value));
    TDM_TRY(name_arm(arm));
    for (size_t i = 0; i + 1 < e->n_arms; i++)
        if (tdm__streq(e->arms[i].name, arm->name))
            TDM_TRY(tdm__fail(TDM_ERR_CONFIG, "experiment.arms.%s: two points are called %s", group,
                              arm->name));
done:
    tdm__str_free(&key);
    return status;
}

/* The three ways to write points add up. */
static tdm_status read_points(const tdm_experiment *e, const char *group, tdm__points *points)
{
    tdm_status status = TDM_OK;
    tdm__str key = {0};
    const char *const *texts;
    size_t n;
    int64_t count, seed;
    TDM_TRY(arm_key(group, "grid", &key));
    TDM_TRY(tdm_config_strings(e->config, key.text, &texts, &n));
    TDM_TRY(tdm__points_grid(points, texts, n));
    TDM_TRY(arm_key(group, "points", &key));
    TDM_TRY(tdm_config_strings(e->config, key.text, &texts, &n));
    TDM_TRY(tdm__points_together(points, texts, n));
    TDM_TRY(arm_key(group, "random.points", &key));
    TDM_TRY(tdm_config_int(e->config, key.text, &count));
    TDM_TRY(arm_key(group, "random.seed", &key));
    TDM_TRY(tdm_config_int(e->config, key.text, &seed));
    TDM_TRY(arm_key(group, "random.keys", &key));
    TDM_TRY(tdm_config_strings(e->config, key.text, &texts, &n));
    TDM_TRY(tdm__points_random(points, texts, n, (size_t)count, (uint64_t)seed));
done:
    if (status && key.text)
        tdm__context(status, "%s: %s", tdm_config_origin(e->config, key.text), key.text);
    tdm__str_free(&key);
    return status;
}

static tdm_status read_arms(tdm_experiment *e)
{
    tdm_status status = TDM_OK;
    const char *const *groups;
    size_t n;
    tdm__points points = {0};
    TDM_TRY(tdm_config_members(e->config, "experiment.arms", &groups, &n));
    if (n == 0)
        TDM_TRY(tdm__hint(tdm__fail(TDM_ERR_CONFIG, "experiment.arms: there are none"),
                          "experiment: {base: a.yaml, arms: {plain: {}, other: {set: {optim.lr: "
                          "0.1}}}}"));
    for (size_t g = 0; g < n; g++) {
        tdm__points_free(&points);
        TDM_TRY(read_points(e, groups[g], &points));
        for (size_t p = 0; p < points.n; p++) TDM_TRY(add_arm(e, groups[g], &points.list[p]));
        if (points.n == 0) TDM_TRY(add_arm(e, groups[g], NULL));
    }
done:
    tdm__points_free(&points);
    return status;
}

static const char *arm_name(const void *owner, size_t i)
{
    return ((const tdm_experiment *)owner)->arms[i].name;
}

/* The baseline is an arm, by its full name. */
static tdm_status check_baseline(tdm_experiment *e)
{
    for (size_t i = 0; i < e->n_arms; i++)
        if (!*e->baseline || tdm__streq(e->arms[i].name, e->baseline)) return TDM_OK;
    return tdm__fail_unknown(TDM_ERR_CONFIG, e->baseline, e, arm_name, e->n_arms,
                             "%s: experiment.baseline = %s: no such arm: there are",
                             tdm_config_origin(e->config, "experiment.baseline"), e->baseline);
}

/* ---- trials ---------------------------------------------------------------------------------- */

static tdm_status check_seeds(const tdm_experiment *e)
{
    if (e->n_seeds == 0)
        return tdm_config_reject(e->config, "experiment.seeds", "must be at least one");
    for (size_t i = 0; i < e->n_seeds; i++)
        for (size_t k = 0; k < i; k++)
            if (e->seeds[i] == e->seeds[k])
                return tdm_config_reject(e->config, "experiment.seeds",
                                         "%" PRId64 " is there twice", e->seeds[i]);
    return TDM_OK;
}

/* runs/ARM/seed-N, whatever characters a value in the arm's name has. */
static tdm_status name_folder(const tdm_experiment *e, tdm__trial *t)
{
    tdm__str folder = {0};
    tdm__str_add(&folder, "runs/");
    const size_t begin = folder.length;
    tdm__str_add(&folder, e->arms[t->arm].name);
    for (size_t i = begin; !folder.failed && i < folder.length; i++)
        if (folder.text[i] == '/' || (unsigned char)folder.text[i] < 0x20) folder.text[i] = '_';
    tdm__str_addf(&folder, "/seed-%" PRId64, t->seed);
    const tdm_status status = tdm__str_status(&folder);
    t->folder = folder.text;
    return status ? status : tdm__path_join(e->folder, t->folder, &t->path);
}

/* All arms with the first seed come first: what there is after an hour can be compared. */
static tdm_status make_trials(tdm_experiment *e)
{
    tdm_status status = TDM_OK;
    uint64_t n;
    if (!tdm__mul_u64(e->n_arms, e->n_seeds, &n) || n > TRIALS_MAX)
        return tdm__fail(TDM_ERR_CONFIG, "%zu arms with %zu seeds: must be at most %d runs",
                         e->n_arms, e->n_seeds, TRIALS_MAX);
    TDM_TRY(tdm__calloc_try(n, sizeof *e->trials, &e->trials));
    for (size_t s = 0; s < e->n_seeds; s++)
        for (size_t a = 0; a < e->n_arms; a++) {
            tdm__trial *t = &e->trials[e->n_trials++];
            *t = (tdm__trial){.arm = a, .seed = e->seeds[s]};
            TDM_TRY(name_folder(e, t));
        }
done:
    return status;
}

static tdm_status apply(tdm_config *config, const tdm__pairs *settings, const char *origin)
{
    for (size_t i = 0; i < settings->n; i++) {
        const tdm_status status =
            tdm_config_set(config, settings->list[i].key, settings->list[i].value, origin);
        if (status) return status;
    }
    return TDM_OK;
}

tdm_status tdm__trial_config(const tdm_experiment *e, const tdm__trial *t, tdm_config **out)
{
    const tdm__arm *arm = &e->arms[t->arm];
    const tdm_opt_table *const *tables;
    tdm_status status = TDM_OK;
    tdm_config *config = NULL;
    size_t n;
    char seed[32];
    snprintf(seed, sizeof seed, "%" PRId64, t->seed);
    tdm_schema(&tables, &n);
    TDM_TRY(tdm_config_create(tables, n, &config));
    TDM_TRY(tdm_config_load(config, arm->config));
    TDM_TRY(apply(config, &arm->set, "set"));
    TDM_TRY(apply(config, &arm->point, "grid"));
    TDM_TRY(apply(config, &e->assignments, "--set"));
    TDM_TRY(tdm_config_set(config, "seed", seed, "experiment.seeds"));
    TDM_TRY(tdm_config_resolve(config));
done:
    if (status) {
        tdm__context(status, "arm %s", arm->name);
        tdm_config_destroy(&config);
    }
    *out = config;
    return status;
}

tdm_status tdm__plan_experiment(tdm_experiment *e)
{
    tdm_status status = TDM_OK;
    TDM_TRY(tdm_config_ints(e->config, "experiment.seeds", &e->seeds, &e->n_seeds));
    TDM_TRY(check_seeds(e));
    TDM_TRY(read_arms(e));
    TDM_TRY(check_baseline(e));
    TDM_TRY(make_trials(e));
done:
    return status;
}
