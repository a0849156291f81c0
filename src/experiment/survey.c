/* experiment/survey.c: what the run folders say: which trials are done, which can go on, how long
 * they take. The folders are the truth; the manifest only adds what they do not tell. */
#include "experiment/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <tandem/pipeline.h>
#include <tandem/train.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "data/identity.h"
#include "format/json.h"
#include "report/runs.h"

enum { FILE_LIMIT = 1 << 30 };

void tdm__trial_info(const tdm_experiment *e, const tdm__trial *t, tdm_experiment_run_info *out)
{
    *out = (tdm_experiment_run_info){.arm = e->arms[t->arm].name,
                                     .folder = t->folder,
                                     .seed = t->seed,
                                     .state = t->state,
                                     .epoch = t->epoch,
                                     .epochs = t->epochs,
                                     .seconds = t->seconds,
                                     .exit = t->exit,
                                     .error = t->error,
                                     .result = t->result};
}

/* ---- hashes ---------------------------------------------------------------------------------- */

/* A data set that several trials use is read once. */
typedef struct data_cache {
    struct {
        char *path;
        tdm__data_identity identity;
    } * list;
    size_t n, capacity;
} data_cache;

static void cache_free(data_cache *cache)
{
    for (size_t i = 0; i < cache->n; i++) free(cache->list[i].path);
    free(cache->list);
}

static tdm_status identify(data_cache *cache, const char *path, const char **hash)
{
    tdm_status status = TDM_OK;
    for (size_t i = 0; i < cache->n; i++)
        if (tdm__streq(cache->list[i].path, path)) {
            *hash = cache->list[i].identity.hash;
            return TDM_OK;
        }
    TDM_TRY(tdm__grow(&cache->list, &cache->capacity, cache->n + 1, sizeof *cache->list));
    TDM_TRY(tdm__data_identify(path, &cache->list[cache->n].identity));
    cache->list[cache->n].path = tdm__strdup(path);
    if (!cache->list[cache->n].path) TDM_TRY(tdm__fail(TDM_ERR_NOMEM, "out of memory"));
    *hash = cache->list[cache->n++].identity.hash;
done:
    return status;
}

/* Of the data of a training, or of each stage of a pipeline. */
typedef struct data_hashes {
    char (*list)[TDM__HASH_HEX];
    size_t n, capacity;
} data_hashes;

static tdm_status add_hash(data_hashes *hashes, const char *hash)
{
    const tdm_status status =
        tdm__grow(&hashes->list, &hashes->capacity, hashes->n + 1, sizeof *hashes->list);
    if (!status)
        snprintf(hashes->list[hashes->n++], sizeof *hashes->list, "%.*s", TDM__HASH_HEX - 1, hash);
    return status;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* A configuration with its data, in whatever order the stages ran. */
static tdm_status combine(const char *config, data_hashes *data, char out[TDM__HASH_HEX])
{
    tdm__hash *h = NULL;
    const tdm_status status = tdm__hash_create(&h);
    if (status) return status;
    if (data->n) qsort(data->list, data->n, sizeof *data->list, by_text);
    tdm__hash_add_text(h, config);
    for (size_t i = 0; i < data->n; i++) tdm__hash_add_text(h, data->list[i]);
    tdm__hash_hex(h, out);
    tdm__hash_destroy(&h);
    return TDM_OK;
}

/* Adds the epochs and data of a training. */
static tdm_status add_training(const tdm_config *config, data_cache *cache, tdm__trial *t,
                               data_hashes *hashes)
{
    tdm_status status = TDM_OK;
    int64_t epochs;
    const char *path, *hash;
    TDM_TRY(tdm_config_int(config, "train.epochs", &epochs));
    TDM_TRY(tdm_config_string(config, "data.path", &path));
    if (!*path) TDM_TRY(tdm_config_reject(config, "data.path", "must be given"));
    TDM_TRY(identify(cache, path, &hash));
    TDM_TRY(add_hash(hashes, hash));
    t->epochs += epochs;
done:
    return status;
}

static tdm_status add_stages(const tdm_config *config, data_cache *cache, tdm__trial *t,
                             data_hashes *hashes)
{
    tdm_status status = TDM_OK;
    const char *const *names;
    tdm_config *stage = NULL;
    size_t n;
    TDM_TRY(tdm_config_members(config, "stages", &names, &n));
    for (size_t i = 0; i < n; i++) {
        TDM_TRY(tdm_config_stage(config, names[i], &stage));
        TDM_TRY(add_training(stage, cache, t, hashes));
        tdm_config_destroy(&stage);
    }
done:
    tdm_config_destroy(&stage);
    return status;
}

static tdm_status hash_trial(const tdm_experiment *e, tdm__trial *t, data_cache *cache)
{
    tdm_status status = TDM_OK;
    tdm_config *config = NULL;
    data_hashes hashes = {0};
    char hash[33];
    TDM_TRY(tdm__trial_config(e, t, &config));
    t->staged = tdm_pipeline_is(config);
    t->epochs = 0;
    TDM_TRY(t->staged ? add_stages(config, cache, t, &hashes)
                      : add_training(config, cache, t, &hashes));
    TDM_TRY(tdm_config_hash(config, hash));
    TDM_TRY(combine(hash, &hashes, t->hash));
done:
    if (status) tdm__context(status, "arm %s", e->arms[t->arm].name);
    free(hashes.list);
    tdm_config_destroy(&config);
    return status;
}

/* ---- folders --------------------------------------------------------------------------------- */

static tdm_status read_in(const tdm__trial *t, const char *name, char **text, size_t *size)
{
    char *path = NULL;
    *text = NULL;
    tdm_status status = tdm__path_join(t->path, name, &path);
    if (!status && tdm__path_exists(path)) status = tdm__read_file(path, FILE_LIMIT, text, size);
    free(path);
    return status;
}

static tdm_status result_text(const char *summary, size_t size, const char *name, char **out)
{
    tdm__run run = {0};
    tdm__str text = {0};
    tdm_status status = tdm__run_parse_summary(summary, size, name, &run);
    for (size_t i = 0; !status && i < run.n_metrics; i++)
        if (!tdm__ends_with(run.metrics[i].name, ".loss"))
            tdm__str_addf(&text, "%s%s %.4g", text.length ? ", " : "", run.metrics[i].name,
                          run.metrics[i].value);
    if (!status) status = tdm__str_status(&text);
    tdm__run_free(&run);
    *out = text.text;
    return status;
}

static const char *text_or_empty(const json_t *value)
{
    const char *text = json_string_value(value);
    return text ? text : "";
}

static bool is_final(const char *reason)
{
    return tdm__streq(reason, "epochs") || tdm__streq(reason, "early-stop") ||
           tdm__streq(reason, "max-time");
}

/* The hash of the configuration that the folder holds, as this build reads it: keys that are new
 * since the run was done have their defaults. "" when it cannot be read. */
static tdm_status rehash(const tdm__trial *t, char out[33])
{
    const tdm_opt_table *const *tables;
    tdm_status status = TDM_OK;
    tdm_config *config = NULL;
    char *path = NULL;
    size_t n;
    tdm_schema(&tables, &n);
    TDM_TRY(tdm__path_join(t->path, "config.yaml", &path));
    TDM_TRY(tdm_config_create(tables, n, &config));
    TDM_TRY(tdm_config_load(config, path));
    TDM_TRY(tdm_config_resolve(config));
    TDM_TRY(tdm_config_hash(config, out));
done:
    if (status) out[0] = 0;
    tdm_config_destroy(&config);
    free(path);
    return status == TDM_ERR_NOMEM ? status : TDM_OK;
}

/* The data that a summary names: its own, or those of its stages. */
static tdm_status recorded_data(const json_t *summary, data_hashes *out)
{
    tdm_status status = TDM_OK;
    const json_t *stages = json_object_get(summary, "stages");
    const size_t n = json_is_array(stages) ? json_array_size(stages) : 1;
    for (size_t i = 0; i < n && !status; i++) {
        const json_t *of = json_is_array(stages) ? json_array_get(stages, i) : summary;
        status = add_hash(out, text_or_empty(json_object_get(json_object_get(of, "data"), "hash")));
    }
    return status;
}

/* Whether the summary is of what the trial is to be made of. */
static tdm_status check_inputs(const tdm__trial *t, const json_t *summary, bool *same)
{
    tdm_status status = TDM_OK;
    data_hashes data = {0};
    char hash[TDM__HASH_HEX], config[33];
    TDM_TRY(recorded_data(summary, &data));
    TDM_TRY(combine(text_or_empty(json_object_get(summary, "config_hash")), &data, hash));
    *same = tdm__streq(hash, t->hash);
    if (*same) goto done;
    TDM_TRY(rehash(t, config));
    TDM_TRY(combine(config, &data, hash));
    *same = tdm__streq(hash, t->hash);
done:
    free(data.list);
    return status;
}

/* Of all stages, or of the one training. */
static int64_t epochs_done(const json_t *summary)
{
    const json_t *stages = json_object_get(summary, "stages"), *stage;
    int64_t sum = 0;
    size_t i;
    json_array_foreach(stages, i, stage) sum +=
        json_integer_value(json_object_get(stage, "epochs_done"));
    return json_is_array(stages) ? sum
                                 : json_integer_value(json_object_get(summary, "epochs_done"));
}

tdm_status tdm__survey_summary(const tdm_experiment *e, tdm__trial *t)
{
    tdm_status status = TDM_OK;
    char *text = NULL;
    size_t size;
    bool same;
    json_t *root = NULL;
    TDM_TRY(read_in(t, "summary.json", &text, &size));
    /* A damaged summary is that of no finished run. */
    if (!text || tdm__json_parse(text, size, t->folder, &root)) goto done;
    if (!is_final(json_string_value(json_object_get(root, "stop_reason")))) goto done;
    TDM_TRY(check_inputs(t, root, &same));
    snprintf(t->binary, sizeof t->binary, "%s", text_or_empty(json_object_get(root, "binary")));
    t->stale = !same                               ? TDM__STALE_INPUT
               : !tdm__streq(t->binary, e->binary) ? TDM__STALE_BUILD
                                                   : TDM__STALE_NO;
    t->state = TDM_RUN_DONE;
    t->exit = 0;
    t->epoch = epochs_done(root);
    if (!(t->seconds > 0)) t->seconds = json_number_value(json_object_get(root, "seconds"));
    free(t->error);
    free(t->result);
    t->error = t->result = NULL;
    TDM_TRY(result_text(text, size, t->folder, &t->result));
done:
    json_decref(root);
    free(text);
    return status;
}

static tdm_status add_progress(tdm__trial *t, const char *file)
{
    static const char mark[] = "\"split\": \"train\"";
    char *text;
    size_t size;
    const tdm_status status = read_in(t, file, &text, &size);
    if (status || !text) return status;
    for (const char *p = text; (p = strstr(p, mark)); p += sizeof mark - 1) t->epoch++;
    free(text);
    return TDM_OK;
}

/* The stages' own folders: what the pipeline's holds is a copy of one of them. */
static tdm_status add_stages_progress(tdm__trial *t)
{
    tdm_status status = TDM_OK;
    char **names = NULL, *file = NULL;
    size_t n = 0;
    if (!tdm__is_folder(t->path)) return TDM_OK;
    TDM_TRY(tdm__list_folder(t->path, &names, &n));
    for (size_t i = 0; i < n; i++) {
        free(file);
        TDM_TRY(tdm__path_join(names[i], "metrics.jsonl", &file));
        TDM_TRY(add_progress(t, file));
    }
done:
    free(file);
    tdm__names_free(names, n);
    return status;
}

tdm_status tdm__survey_progress(tdm__trial *t)
{
    t->epoch = 0;
    return t->staged ? add_stages_progress(t) : add_progress(t, "metrics.jsonl");
}

/* What only the manifest knows. */
static tdm_status apply_note(const tdm_experiment *e, tdm__trial *t, const tdm__outline_run *note)
{
    tdm_status status = TDM_OK;
    char *state = NULL;
    const bool same = tdm__streq(note->hash, t->hash) && tdm__streq(note->binary, e->binary);
    t->seconds = note->seconds > 0 ? note->seconds : 0;
    if (!same || tdm__streq(note->state, tdm_run_state_name(TDM_RUN_DONE))) return TDM_OK;
    snprintf(t->binary, sizeof t->binary, "%s", note->binary);
    /* What diverged will do so again; other failures (memory, a full disk) may be over. */
    if (tdm__streq(note->state, tdm_run_state_name(TDM_RUN_FAILED)) &&
        note->exit == tdm_status_exit_code(TDM_ERR_DIVERGED)) {
        t->state = TDM_RUN_FAILED;
        t->exit = (int)note->exit;
        t->error = tdm__strdup(*note->error ? note->error : "diverged");
        return t->error ? TDM_OK : tdm__fail(TDM_ERR_NOMEM, "out of memory");
    }
    TDM_TRY(tdm__path_join(t->path, t->staged ? "pipeline.json" : "state.safetensors", &state));
    t->resumable = tdm__path_exists(state);
    if (t->resumable) {
        t->state = TDM_RUN_STOPPED;
        TDM_TRY(tdm__survey_progress(t));
    } else {
        t->seconds = 0;
    }
done:
    free(state);
    return status;
}

/* A manifest that cannot be read costs what only it knows, with a warning; nothing else. */
static tdm_status read_manifest(const tdm_experiment *e, tdm__outline *out)
{
    tdm_status status = TDM_OK;
    char *path = NULL, *text = NULL;
    size_t size;
    *out = (tdm__outline){0};
    TDM_TRY(tdm__path_join(e->folder, "experiment.json", &path));
    if (!tdm__path_exists(path)) goto done;
    status = tdm__read_file(path, FILE_LIMIT, &text, &size);
    if (!status) status = tdm__outline_parse(text, size, path, out);
    if (status && status != TDM_ERR_NOMEM) {
        tdm__log(TDM_LOG_WARN, "%s: it is written anew from the run folders", tdm_last_error());
        tdm__outline_free(out);
        *out = (tdm__outline){0};
        status = TDM_OK;
    }
done:
    free(path);
    free(text);
    return status;
}

static const tdm__outline_run *find_note(const tdm__outline *m, const char *folder)
{
    for (size_t i = 0; i < m->n_runs; i++)
        if (tdm__streq(m->runs[i].folder, folder)) return &m->runs[i];
    return NULL;
}

tdm_status tdm__survey(tdm_experiment *e)
{
    tdm_status status = TDM_OK;
    data_cache cache = {0};
    tdm__outline manifest = {0};
    TDM_TRY(read_manifest(e, &manifest));
    if (manifest.created && *manifest.created) {
        free(e->created);
        e->created = manifest.created;
        manifest.created = NULL;
    }
    for (size_t i = 0; i < e->n_trials; i++) {
        tdm__trial *t = &e->trials[i];
        TDM_TRY(hash_trial(e, t, &cache));
        const tdm__outline_run *note = find_note(&manifest, t->folder);
        if (note) TDM_TRY(apply_note(e, t, note));
        TDM_TRY(tdm__survey_summary(e, t));
    }
done:
    cache_free(&cache);
    tdm__outline_free(&manifest);
    return status;
}

/* ---- time ------------------------------------------------------------------------------------ */

double tdm__expected_seconds(const tdm_experiment *e, const tdm__trial *t)
{
    double sum[3] = {0};
    size_t n[3] = {0};
    for (size_t i = 0; i < e->n_trials; i++) {
        const tdm__trial *o = &e->trials[i];
        const tdm__arm *a = &e->arms[t->arm], *b = &e->arms[o->arm];
        double seconds = o->seconds;
        if (o->state == TDM_RUN_RUNNING && o->epoch > 0) /* what it will have taken */
            seconds *= (double)o->epochs / (double)o->epoch;
        else if (o->state != TDM_RUN_DONE || o->stale == TDM__STALE_INPUT)
            continue;
        const int near = t->arm == o->arm ? 0 : tdm__streq(a->group, b->group) ? 1 : 2;
        sum[near] += seconds;
        n[near]++;
    }
    for (int near = 0; near < 3; near++)
        if (n[near]) return sum[near] / (double)n[near];
    return NAN;
}

double tdm__expected_rest(const tdm_experiment *e)
{
    double rest = 0, longest = 0;
    for (size_t i = 0; i < e->n_trials; i++) {
        const tdm__trial *t = &e->trials[i];
        if (t->state == TDM_RUN_DONE || t->state == TDM_RUN_FAILED) continue;
        double left = tdm__expected_seconds(e, t);
        if (t->state != TDM_RUN_WAITING) left -= t->seconds;
        if (left < 0) left = 0;
        rest += left;
        if (left > longest) longest = left;
    }
    rest /= e->jobs;
    return rest > longest || isnan(rest) ? rest : longest;
}
