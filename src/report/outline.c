/* report/outline.c: see outline.h. What is of another type than agreed counts as not said. */
#include "report/outline.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "format/json.h"

static const char FORMAT[] = "tandem-experiment-";

static tdm_status keep(const char *text, char **out)
{
    *out = tdm__strdup(text ? text : "");
    return *out ? TDM_OK : tdm__fail(TDM_ERR_NOMEM, "out of memory");
}

static tdm_status keep_member(const json_t *object, const char *key, char **out)
{
    return keep(json_string_value(json_object_get(object, key)), out);
}

/* ---- pairs ----------------------------------------------------------------------------------
 */

tdm_status tdm__pairs_add(tdm__pairs *s, const char *key, const char *value)
{
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__grow(&s->list, &s->capacity, s->n + 1, sizeof *s->list));
    TDM_TRY(keep(key, &s->list[s->n].key));
    status = keep(value, &s->list[s->n].value);
    if (status) free(s->list[s->n].key);
    s->n += !status;
done:
    return status;
}

void tdm__pairs_free(tdm__pairs *s)
{
    for (size_t i = 0; i < s->n; i++) {
        free(s->list[i].key);
        free(s->list[i].value);
    }
    free(s->list);
    *s = (tdm__pairs){0};
}

const char *tdm__pairs_find(const tdm__pairs *s, const char *key)
{
    for (size_t i = 0; i < s->n; i++)
        if (tdm__streq(s->list[i].key, key)) return s->list[i].value;
    return NULL;
}

/* A value as one would write it in a configuration: texts without quotes. */
static tdm_status add_value(tdm__pairs *s, const char *key, const json_t *value)
{
    char number[TDM__F64_TEXT];
    if (json_is_string(value)) return tdm__pairs_add(s, key, json_string_value(value));
    if (json_is_number(value)) {
        tdm__f64_text(json_number_value(value), number);
        return tdm__pairs_add(s, key, number);
    }
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(15));
    if (!text) return tdm__fail(TDM_ERR_NOMEM, "out of memory");
    const tdm_status status = tdm__pairs_add(s, key, text);
    free(text);
    return status;
}

static tdm_status read_settings(json_t *object, tdm__pairs *out)
{
    tdm_status status = TDM_OK;
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value) TDM_TRY(add_value(out, key, value));
done:
    return status;
}

/* ---- arms and runs -----------------------------------------------------------------------------
 */

static tdm_status read_arm(json_t *object, const char *name, size_t index, tdm__outline_arm *out)
{
    tdm_status status = TDM_OK;
    if (!json_is_string(json_object_get(object, "name"))) {
        status = tdm__fail(TDM_ERR_DATA, "%s: arm %zu has no name", name, index);
        goto done;
    }
    TDM_TRY(keep_member(object, "name", &out->name));
    TDM_TRY(keep_member(object, "group", &out->group));
    TDM_TRY(read_settings(json_object_get(object, "set"), &out->set));
    TDM_TRY(read_settings(json_object_get(object, "grid"), &out->grid));
done:
    return status;
}

/* A relative path without a step upwards. */
static bool stays_inside(const char *path)
{
    if (!*path || *path == '/') return false;
    while (*path) {
        const size_t n = strcspn(path, "/");
        if (n == 2 && !strncmp(path, "..", 2)) return false;
        path += n + (path[n] == '/');
    }
    return true;
}

static tdm_status read_run(json_t *object, const char *name, size_t index, tdm__outline_run *out)
{
    tdm_status status = TDM_OK;
    const char *folder = json_string_value(json_object_get(object, "folder"));
    if (!folder || !json_is_string(json_object_get(object, "arm")) || !stays_inside(folder)) {
        status =
            tdm__fail(TDM_ERR_DATA, "%s: run %zu needs an arm and a folder inside the experiment's",
                      name, index);
        goto done;
    }
    TDM_TRY(keep_member(object, "arm", &out->arm));
    TDM_TRY(keep_member(object, "folder", &out->folder));
    TDM_TRY(keep_member(object, "status", &out->state));
    TDM_TRY(keep_member(object, "error", &out->error));
    TDM_TRY(keep_member(object, "hash", &out->hash));
    TDM_TRY(keep_member(object, "binary", &out->binary));
    const json_t *seconds = json_object_get(object, "seconds");
    out->seed = json_integer_value(json_object_get(object, "seed"));
    out->exit = json_integer_value(json_object_get(object, "exit"));
    out->seconds = json_is_number(seconds) ? json_number_value(seconds) : NAN;
done:
    return status;
}

static tdm_status read_lists(json_t *root, const char *name, tdm__outline *out)
{
    tdm_status status = TDM_OK;
    json_t *seeds = json_object_get(root, "seeds"), *arms = json_object_get(root, "arms"),
           *runs = json_object_get(root, "runs"), *entry;
    size_t i;
    TDM_TRY(tdm__calloc_try(json_array_size(seeds), sizeof *out->seeds, &out->seeds));
    TDM_TRY(tdm__calloc_try(json_array_size(arms), sizeof *out->arms, &out->arms));
    TDM_TRY(tdm__calloc_try(json_array_size(runs), sizeof *out->runs, &out->runs));
    json_array_foreach(seeds, i, entry)
    {
        if (json_is_integer(entry)) out->seeds[out->n_seeds++] = json_integer_value(entry);
    }
    json_array_foreach(arms, i, entry) TDM_TRY(read_arm(entry, name, i, &out->arms[out->n_arms++]));
    json_array_foreach(runs, i, entry) TDM_TRY(read_run(entry, name, i, &out->runs[out->n_runs++]));
done:
    return status;
}

tdm_status tdm__outline_parse(const char *text, size_t size, const char *name, tdm__outline *out)
{
    tdm_status status = TDM_OK;
    json_t *root = NULL;
    TDM_TRY(tdm__json_parse(text, size, name, &root));
    const char *format = json_string_value(json_object_get(root, "format"));
    if (!format || !tdm__starts_with(format, FORMAT)) {
        status = tdm__hint(tdm__fail(TDM_ERR_DATA, "%s: not an experiment's manifest", name),
                           "format must be %s1", FORMAT);
        goto done;
    }
    TDM_TRY(keep_member(root, "name", &out->name));
    TDM_TRY(keep_member(root, "created", &out->created));
    TDM_TRY(keep_member(root, "tandem", &out->version));
    TDM_TRY(keep_member(root, "device", &out->device));
    TDM_TRY(keep_member(root, "baseline", &out->baseline));
    TDM_TRY(keep_member(root, "command", &out->command));
    TDM_TRY(read_lists(root, name, out));
done:
    json_decref(root);
    return status;
}

void tdm__outline_free(tdm__outline *m)
{
    for (size_t i = 0; i < m->n_arms; i++) {
        free(m->arms[i].name);
        free(m->arms[i].group);
        tdm__pairs_free(&m->arms[i].set);
        tdm__pairs_free(&m->arms[i].grid);
    }
    for (size_t i = 0; i < m->n_runs; i++) {
        free(m->runs[i].arm);
        free(m->runs[i].folder);
        free(m->runs[i].state);
        free(m->runs[i].error);
        free(m->runs[i].hash);
        free(m->runs[i].binary);
    }
    free(m->arms);
    free(m->runs);
    free(m->seeds);
    free(m->name);
    free(m->created);
    free(m->version);
    free(m->device);
    free(m->baseline);
    free(m->command);
    *m = (tdm__outline){0};
}
