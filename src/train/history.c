/* train/history.c: the first metric of every epoch as lists, from metrics.jsonl (lines.h). */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "format/json.h"
#include "train/lines.h"

enum { MAX_FILE = 1 << 30 };

/* The lines of one split. */
static tdm_status read_epochs(const char *text, const char *split, json_t *out)
{
    for (const char *line = text; *line;) {
        const size_t n = strcspn(line, "\n");
        json_error_t error;
        json_t *object = json_loadb(line, n, 0, &error);
        const char *of = json_string_value(json_object_get(object, "split"));
        if (of && !strcmp(of, split) && json_array_append(out, object))
            return json_decref(object), tdm__fail(TDM_ERR_NOMEM, "out of memory");
        json_decref(object);
        line += n + (line[n] == '\n');
    }
    return TDM_OK;
}

/* The first metric of a task, or a part's accuracy; NULL is written as null. */
static json_t *value_of(json_t *task, size_t part)
{
    if (part != SIZE_MAX) return json_array_get(json_object_get(task, "parts"), part);
    json_t *metrics = json_object_get(task, "metrics");
    return json_object_iter_value(json_object_iter(metrics));
}

static tdm_status write_list(const char *folder, const char *name, const json_t *epochs,
                             const char *task, size_t part)
{
    tdm_status status = TDM_OK;
    char *path = NULL;
    tdm__json j = {0};
    size_t i;
    json_t *epoch;
    TDM_TRY(tdm__path_join(folder, name, &path));
    tdm__json_open(&j, '[');
    json_array_foreach(epochs, i, epoch)
    {
        json_t *value = value_of(json_object_get(json_object_get(epoch, "tasks"), task), part);
        if (json_is_number(value))
            tdm__json_number(&j, json_number_value(value));
        else
            tdm__json_null(&j);
    }
    tdm__json_close(&j, ']');
    TDM_TRY(tdm__json_status(&j));
    TDM_TRY(tdm__atomic_write_file(path, tdm__json_text(&j), strlen(tdm__json_text(&j))));
done:
    tdm__json_free(&j);
    free(path);
    return status;
}

static tdm_status write_numbered(const char *folder, size_t number, const json_t *epochs,
                                 const char *task, size_t part)
{
    char name[64];
    snprintf(name, sizeof name, "history_class%zu.json", number);
    return write_list(folder, name, epochs, task, part);
}

static tdm_status write_lists(const char *folder, const json_t *epochs)
{
    tdm_status status = TDM_OK;
    json_t *tasks = json_object_get(json_array_get(epochs, 0), "tasks"), *task;
    const bool one = json_object_size(tasks) == 1;
    const char *name;
    size_t number = 0;
    json_object_foreach(tasks, name, task)
    {
        const size_t parts = json_array_size(json_object_get(task, "parts"));
        if (one) TDM_TRY(write_list(folder, "history.json", epochs, name, SIZE_MAX));
        if (!one) TDM_TRY(write_numbered(folder, number++, epochs, name, SIZE_MAX));
        for (size_t p = 0; one && p < parts; p++)
            TDM_TRY(write_numbered(folder, p, epochs, name, p));
    }
done:
    return status;
}

tdm_status tdm__history_write(const char *folder)
{
    tdm_status status = TDM_OK;
    char *path = NULL, *text = NULL;
    size_t size = 0;
    json_t *epochs = json_array();
    if (!epochs) TDM_TRY(tdm__fail(TDM_ERR_NOMEM, "out of memory"));
    TDM_TRY(tdm__path_join(folder, "metrics.jsonl", &path));
    TDM_TRY(tdm__read_file(path, MAX_FILE, &text, &size));
    TDM_TRY(read_epochs(text, "val", epochs));
    if (json_array_size(epochs) == 0) TDM_TRY(read_epochs(text, "train", epochs));
    TDM_TRY(write_lists(folder, epochs));
done:
    json_decref(epochs);
    free(text);
    free(path);
    return status;
}
