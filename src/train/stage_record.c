/* train/stage_record.c: see stage_record.h. */
#include "train/stage_record.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "format/json.h"

enum { FILE_LIMIT = 1 << 20 };
static const char format[] = "tandem-pipeline-1";
static const char *const states[TDM__STAGE_STATES] = {"absent", "clearing", "begun", "done"};

void tdm__stage_records_free(tdm__stage_records *r)
{
    for (size_t i = 0; i < r->n; i++) {
        free(r->list[i].name);
        free(r->list[i].moved);
    }
    free(r->list);
    free(r->path);
    *r = (tdm__stage_records){0};
}

tdm_status tdm__stage_records_get(tdm__stage_records *r, const char *name, tdm__stage_record **out)
{
    tdm_status status = TDM_OK;
    for (size_t i = 0; i < r->n; i++)
        if (!strcmp(r->list[i].name, name)) {
            *out = &r->list[i];
            return TDM_OK;
        }
    TDM_TRY(tdm__grow(&r->list, &r->capacity, r->n + 1, sizeof *r->list));
    tdm__stage_record *record = &r->list[r->n];
    *record = (tdm__stage_record){.name = tdm__strdup(name)};
    if (!record->name) TDM_TRY(tdm__fail(TDM_ERR_NOMEM, "out of memory"));
    r->n++;
    *out = record;
done:
    return status;
}

/* ---- reading ----------------------------------------------------------------------------------
 */

static bool read_hash(const json_t *entry, const char *key, char out[TDM__HASH_HEX])
{
    const char *text = json_string_value(json_object_get(entry, key));
    if (!text || strlen(text) >= TDM__HASH_HEX) return false;
    strcpy(out, text);
    return true;
}

static bool read_state(const json_t *entry, tdm__stage_state *out)
{
    const char *text = json_string_value(json_object_get(entry, "state"));
    for (int i = 0; text && i < TDM__STAGE_STATES; i++)
        if (!strcmp(text, states[i])) {
            *out = (tdm__stage_state)i;
            return true;
        }
    return false;
}

static tdm_status read_stage(const char *file, const char *name, const json_t *entry,
                             tdm__stage_records *out)
{
    tdm__stage_record *record;
    const tdm_status status = tdm__stage_records_get(out, name, &record);
    const json_t *moved = json_object_get(entry, "moved");
    if (status) return status;
    if (json_is_object(moved) && !(record->moved = json_dumps(moved, JSON_COMPACT)))
        return tdm__fail(TDM_ERR_NOMEM, "out of memory: %s", file);
    if (read_state(entry, &record->state) && read_hash(entry, "config", record->inputs.config) &&
        read_hash(entry, "data", record->inputs.data) &&
        read_hash(entry, "source", record->inputs.source))
        return TDM_OK;
    return tdm__fail(TDM_ERR_DATA, "%s: stage '%.80s' cannot be read", file, name);
}

tdm_status tdm__stage_records_parse(const char *text, size_t size, const char *name,
                                    tdm__stage_records *out)
{
    tdm_status status = TDM_OK;
    json_t *root = NULL, *entry;
    const char *stage;
    TDM_TRY(tdm__json_parse(text, size, name, &root));
    const char *kind = json_string_value(json_object_get(root, "format"));
    json_t *stages = json_object_get(root, "stages");
    if (!kind || strcmp(kind, format) != 0 || !json_is_object(stages))
        TDM_TRY(tdm__fail(TDM_ERR_DATA, "%s: no list of stages in the format %s", name, format));
    json_object_foreach(stages, stage, entry) TDM_TRY(read_stage(name, stage, entry, out));
done:
    json_decref(root);
    if (status) tdm__stage_records_free(out);
    return status;
}

tdm_status tdm__stage_records_read(const char *folder, tdm__stage_records *out)
{
    tdm_status status = TDM_OK;
    char *text = NULL, *path = NULL;
    size_t size;
    *out = (tdm__stage_records){0};
    TDM_TRY(tdm__path_join(folder, "pipeline.json", &path));
    if (tdm__path_exists(path)) {
        TDM_TRY(tdm__read_file(path, FILE_LIMIT, &text, &size));
        TDM_TRY(tdm__stage_records_parse(text, size, path, out));
    }
    out->path = path;
    path = NULL;
done:
    free(text);
    free(path);
    return status;
}

/* ---- writing ----------------------------------------------------------------------------------
 */

tdm_status tdm__stage_records_write(const tdm__stage_records *r)
{
    tdm__json j = {0};
    tdm__json_open(&j, '{');
    tdm__json_key(&j, "format"), tdm__json_string(&j, format);
    tdm__json_key(&j, "stages"), tdm__json_open(&j, '{');
    for (size_t i = 0; i < r->n; i++) {
        const tdm__stage_record *s = &r->list[i];
        tdm__json_key(&j, s->name), tdm__json_open(&j, '{');
        tdm__json_key(&j, "state"), tdm__json_string(&j, states[s->state]);
        tdm__json_key(&j, "config"), tdm__json_string(&j, s->inputs.config);
        tdm__json_key(&j, "data"), tdm__json_string(&j, s->inputs.data);
        tdm__json_key(&j, "source"), tdm__json_string(&j, s->inputs.source);
        if (s->moved) tdm__json_key(&j, "moved"), tdm__json_raw(&j, s->moved);
        tdm__json_close(&j, '}');
    }
    tdm__json_close(&j, '}');
    tdm__json_close(&j, '}');
    tdm_status status = tdm__json_status(&j);
    if (!status)
        status = tdm__atomic_write_file(r->path, tdm__json_text(&j), strlen(tdm__json_text(&j)));
    tdm__json_free(&j);
    return status;
}

const char *tdm__stage_inputs_differ(const tdm__stage_inputs *a, const tdm__stage_inputs *b)
{
    if (strcmp(a->config, b->config)) return "its configuration";
    if (strcmp(a->data, b->data)) return "its data";
    if (strcmp(a->source, b->source)) return "the weights it begins with";
    return NULL;
}
