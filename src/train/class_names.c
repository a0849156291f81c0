/* train/class_names.c: see class_names.h. */
#include "train/class_names.h"

#include <string.h>

#include "base/str.h"
#include "model/net.h"

/* Whether the task's outputs stand for something else than the array's classes. */
static bool maps_labels(const tdm_config *config, const char *task)
{
    const int64_t *map;
    size_t n = 0;
    tdm__str key = {0};
    tdm__str_addf(&key, "tasks.%s.label_map", task);
    const bool known =
        !tdm__str_status(&key) && !tdm_config_ints(config, key.text, &map, &n) && n == 0;
    tdm__str_free(&key);
    return !known;
}

/* A key of a task, as text. */
static tdm_status task_text(const tdm_config *config, const char *task, const char *key,
                            const char **out)
{
    tdm__str full = {0};
    tdm__str_addf(&full, "tasks.%s.%s", task, key);
    tdm_status status = tdm__str_status(&full);
    if (!status) status = tdm_config_string(config, full.text, out);
    tdm__str_free(&full);
    return status;
}

tdm_status tdm__head_task(const tdm_config *config, const char *name, const char **task)
{
    tdm_status status = TDM_OK;
    const char *const *tasks, *prefix;
    size_t n;
    tdm__str usual = {0};
    *task = NULL;
    TDM_TRY(tdm_config_members(config, "tasks", &tasks, &n));
    for (size_t t = 0; t < n && !*task; t++) {
        TDM_TRY(task_text(config, tasks[t], "prefix", &prefix));
        usual.length = 0;
        tdm__str_addf(&usual, "heads.%s", tasks[t]);
        TDM_TRY(tdm__str_status(&usual));
        if (tdm__name_matches(*prefix ? prefix : usual.text, name)) *task = tasks[t];
    }
done:
    tdm__str_free(&usual);
    return status;
}

tdm_status tdm__in_head(const tdm_config *config, const char *name, bool *out)
{
    const char *task;
    const tdm_status status = tdm__head_task(config, name, &task);
    *out = task || tdm__starts_with(name, "heads.") || tdm__starts_with(name, "balance.");
    return status;
}

tdm_status tdm__class_source_read(const tdm__st *st, tdm__class_source *out)
{
    tdm_status status = TDM_OK;
    const char *described = tdm__st_metadata(st, "tandem.arrays");
    *out = (tdm__class_source){0};
    if (!described || !tdm__st_metadata(st, "tandem.config")) return TDM_OK;
    TDM_TRY(tdm__arrays_parse(described, tdm__st_path(st), &out->arrays));
    TDM_TRY(tdm__checkpoint_config(st, NULL, 0, &out->config));
done:
    if (status) tdm__class_source_free(out);
    return status;
}

void tdm__class_source_free(tdm__class_source *source)
{
    tdm__arrays_free(&source->arrays);
    tdm_config_destroy(&source->config);
}

tdm__class_list tdm__classes_of(const tdm_config *config, const tdm__arrays *arrays,
                                const char *name)
{
    const char *task = NULL, *target = NULL;
    if (!config || tdm__head_task(config, name, &task) || !task ||
        task_text(config, task, "target", &target) || maps_labels(config, task))
        return (tdm__class_list){0};
    for (size_t i = 0; i < arrays->n; i++) {
        const tdm_array_info *a = &arrays->infos[i];
        if (!strcmp(a->name, target) && a->class_names)
            return (tdm__class_list){a->class_names, (size_t)a->classes};
    }
    return (tdm__class_list){0};
}
