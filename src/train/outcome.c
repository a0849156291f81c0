/* train/outcome.c: a pipeline's own folder (see pipeline.h). */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "format/json.h"
#include "train/pipeline.h"

enum { SUMMARY_LIMIT = 64 << 20, METRICS_LIMIT = 1 << 30 };
static const char *const results[] = {"summary.json", "metrics.jsonl", "best.safetensors"};

tdm_status tdm__outcome_begin(tdm_pipeline *p)
{
    tdm_status status = TDM_OK;
    char *text = NULL, *path = NULL;
    TDM_TRY(tdm_config_dump(p->config, true, &text));
    TDM_TRY(tdm__path_join(p->folder, "config.yaml", &path));
    TDM_TRY(tdm__atomic_write_file(path, text, strlen(text)));
done:
    free(text);
    free(path);
    return status;
}

tdm_status tdm__outcome_drop(tdm_pipeline *p)
{
    tdm_status status = TDM_OK;
    char *path = NULL;
    for (size_t i = 0; i < sizeof results / sizeof *results; i++) {
        free(path);
        TDM_TRY(tdm__path_join(p->folder, results[i], &path));
        if (remove(path) && errno != ENOENT)
            TDM_TRY(tdm__fail_errno(TDM_ERR_IO, "%s: cannot be removed", path));
    }
done:
    free(path);
    return status;
}

/* ---- summaries --------------------------------------------------------------------------------
 */

static tdm_status read_summary(const char *folder, json_t **out)
{
    tdm_status status = TDM_OK;
    char *path = NULL, *text = NULL;
    size_t size;
    TDM_TRY(tdm__path_join(folder, "summary.json", &path));
    TDM_TRY(tdm__read_file(path, SUMMARY_LIMIT, &text, &size));
    TDM_TRY(tdm__json_parse(text, size, path, out));
done:
    free(text);
    free(path);
    return status;
}

static const char *baseline_folder(const tdm_pipeline *p)
{
    return p->baseline_stage != SIZE_MAX ? p->stages[p->baseline_stage].folder : p->baseline;
}

static json_t *tasks_of(const json_t *summary)
{
    return json_object_get(json_object_get(summary, "test"), "tasks");
}

/* Adds "stages": [{"name", "from", "epochs_done", "steps", "seconds", "data", "test"}], in their
 * order. */
static tdm_status add_stages(const tdm_pipeline *p, json_t *to, double *seconds)
{
    static const char *const kept[] = {"stop_reason", "epochs_done", "steps", "seconds",
                                       "frozen",      "data",        "test"};
    tdm_status status = TDM_OK;
    json_t *list = json_array(), *summary = NULL;
    *seconds = 0;
    for (size_t i = 0; i < p->n; i++) {
        const tdm__stage *s = &p->stages[p->order[i]];
        json_decref(summary);
        summary = NULL;
        TDM_TRY(read_summary(s->folder, &summary));
        json_t *entry = json_object();
        json_object_set_new(entry, "name", json_string(s->name));
        if (s->source != SIZE_MAX)
            json_object_set_new(entry, "from", json_string(p->stages[s->source].name));
        for (size_t k = 0; k < sizeof kept / sizeof *kept; k++)
            if (json_object_get(summary, kept[k]))
                json_object_set(entry, kept[k], json_object_get(summary, kept[k]));
        if (p->order[i] != p->baseline_stage)
            *seconds += json_number_value(json_object_get(summary, "seconds"));
        if (json_array_append_new(list, entry)) TDM_TRY(tdm__fail(TDM_ERR_NOMEM, "out of memory"));
    }
    json_object_set(to, "stages", list);
done:
    json_decref(summary);
    json_decref(list);
    return status;
}

static tdm_status add_baseline(const tdm_pipeline *p, json_t *to)
{
    tdm_status status = TDM_OK;
    json_t *summary = NULL;
    if (!*p->baseline) return TDM_OK;
    TDM_TRY(read_summary(baseline_folder(p), &summary));
    json_t *entry = json_object();
    json_object_set_new(entry, "run", json_string(p->baseline));
    json_object_set(entry, "steps", json_object_get(summary, "steps"));
    json_object_set(entry, "test", json_object_get(summary, "test"));
    json_object_set_new(to, "baseline", entry);
done:
    json_decref(summary);
    return status ? tdm__context(status, "pipeline.baseline") : TDM_OK;
}

/* The target's summary, with the whole pipeline's configuration, time, stages and baseline. */
static tdm_status write_summary(tdm_pipeline *p)
{
    tdm_status status = TDM_OK;
    json_t *summary = NULL;
    char *path = NULL, *text = NULL;
    char hash[33];
    double seconds;
    TDM_TRY(read_summary(p->stages[p->target].folder, &summary));
    TDM_TRY(tdm_config_hash(p->config, hash));
    json_object_set_new(summary, "config_hash", json_string(hash));
    TDM_TRY(add_stages(p, summary, &seconds));
    TDM_TRY(add_baseline(p, summary));
    json_object_set_new(summary, "seconds", json_real(seconds));
    json_object_set_new(summary, "target", json_string(p->stages[p->target].name));
    TDM_TRY(tdm__path_join(p->folder, "summary.json", &path));
    text = json_dumps(summary, JSON_COMPACT);
    if (!text) TDM_TRY(tdm__fail(TDM_ERR_NOMEM, "out of memory: %s", path));
    TDM_TRY(tdm__atomic_write_file(path, text, strlen(text)));
done:
    free(text);
    free(path);
    json_decref(summary);
    return status;
}

/* ---- the target's files -----------------------------------------------------------------------
 */

/* Copies, or for large files links, a file of the target's folder. */
static tdm_status take_file(const tdm_pipeline *p, const char *name, bool link_it)
{
    tdm_status status = TDM_OK;
    char *from = NULL, *to = NULL, *bytes = NULL;
    size_t size;
    TDM_TRY(tdm__path_join(p->stages[p->target].folder, name, &from));
    TDM_TRY(tdm__path_join(p->folder, name, &to));
    if (!tdm__path_exists(from)) goto done; /* train.save_model: false */
    remove(to);
    if (link_it && link(from, to) == 0) goto done;
    TDM_TRY(tdm__read_file(from, METRICS_LIMIT, &bytes, &size));
    TDM_TRY(tdm__atomic_write_file(to, bytes, size));
done:
    free(from);
    free(to);
    free(bytes);
    return status;
}

tdm_status tdm__outcome_end(tdm_pipeline *p)
{
    tdm_status status = take_file(p, "metrics.jsonl", false);
    if (!status) status = take_file(p, "best.safetensors", true);
    return status ? status : write_summary(p); /* last: what says that all is there */
}

/* ---- results ----------------------------------------------------------------------------------
 */

static void add_value(tdm__str *out, const json_t *value)
{
    if (json_is_number(value))
        tdm__str_addf(out, " %12.4f", json_number_value(value));
    else
        tdm__str_addf(out, " %12s", "-");
}

static void add_metric(tdm__str *out, const char *task, const char *name, const json_t *ours,
                       const json_t *theirs, bool compared)
{
    tdm__str label = {0};
    tdm__str_addf(&label, "%s.%s", task, name);
    tdm__str_addf(out, "%-28s", tdm__str_text(&label));
    tdm__str_free(&label);
    add_value(out, ours);
    if (compared) add_value(out, theirs);
    if (json_is_number(ours) && json_is_number(theirs))
        tdm__str_addf(out, " %+12.4f", json_number_value(ours) - json_number_value(theirs));
    tdm__str_add(out, "\n");
}

tdm_status tdm_pipeline_results(tdm_pipeline *p, char **out)
{
    tdm_status status = TDM_OK;
    json_t *summary = NULL, *task, *value;
    tdm__str text = {0};
    const char *name, *metric;
    *out = NULL;
    TDM_TRY(read_summary(p->folder, &summary));
    const json_t *baseline = json_object_get(summary, "baseline");
    tdm__str_addf(&text, "%-28s %12s", "test", p->stages[p->target].name);
    if (baseline) tdm__str_addf(&text, " %12s %12s", "baseline", "difference");
    tdm__str_add(&text, "\n");
    json_object_foreach(tasks_of(summary), name, task)
    {
        const json_t *theirs = json_object_get(tasks_of(baseline), name);
        add_metric(&text, name, "loss", json_object_get(task, "loss"),
                   json_object_get(theirs, "loss"), baseline != NULL);
        json_object_foreach(json_object_get(task, "metrics"), metric, value) add_metric(
            &text, name, metric, value, json_object_get(json_object_get(theirs, "metrics"), metric),
            baseline != NULL);
    }
    TDM_TRY(tdm__str_status(&text));
    *out = text.text;
    text.text = NULL;
done:
    tdm__str_free(&text);
    json_decref(summary);
    return status;
}
