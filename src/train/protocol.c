/* train/protocol.c: see protocol.h. */
#include "train/protocol.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

enum {
    SETTING_STANDARD,
    SETTING_RECORD,
    SETTING_SINGLE,
    SETTING_UNIFORM,
    SETTING_WEIGHTED,
    SETTING_JOINT,
    SETTING_JOINT_WEIGHTED,
    MOST_NAME = 48 /* of the name of a task, so that file and tensor names stay readable */
};

static const tdm_opt_spec specs[] = {
    {"protocol.kind", TDM_OPT_ENUM, "none", .choices = "none|one-vs-rest|groups",
     .help = "make tasks of the one task's classes: class i or not, or the classes of group i"},
    {"protocol.setting", TDM_OPT_INT, "0", TDM_OPT_MIN | TDM_OPT_MAX, 0, 6,
     .help =
         "0 standard, 1 with each task's accuracy, 2 one task alone, 3 a task a step, 4 drawn as "
         "i+1, 5 all at once with weights 1/T or by balance.kind, 6 weights as i+1"},
    {"protocol.task", TDM_OPT_INT, "-1", TDM_OPT_MIN, -1, .help = "which task setting 2 learns"},
    {"protocol.written", TDM_OPT_INT, "-1", TDM_OPT_MIN | TDM_OPT_MAX, -1, 6,
     .help = "the setting whose tasks are already in this configuration; -1: none yet"},
};
const tdm_opt_table tdm__protocol_options = {"protocol", specs, sizeof specs / sizeof *specs};

/* What is being written. */
typedef struct writer {
    tdm_config *config;
    const char *template; /* name of the one task */
    const char *target;   /* its array of labels */
    bool groups;
    bool weighs; /* the setting gives the losses fixed weights */
    int64_t setting, chosen;
    const tdm_array_info *labels, *group; /* group: the array of the groups */
    int64_t *members;                     /* which classes (or groups) become tasks, ascending */
    size_t n;                             /* tasks */
    char **names;
    tdm__str key, value;
} writer;

static const char origin[] = "protocol.setting";

/* ---- setting keys -----------------------------------------------------------------------------
 */

/* The key is in w->key, the value in w->value. */
static tdm_status set(writer *w)
{
    tdm_status status = tdm__str_status(&w->key);
    if (!status) status = tdm__str_status(&w->value);
    if (status) return status;
    return tdm_config_set(w->config, tdm__str_text(&w->key), tdm__str_text(&w->value), origin);
}

/* Begins tasks.NAME.KEY; what follows goes into w->value. */
static tdm__str *key_of_task(writer *w, const char *task, const char *key)
{
    w->key.length = w->value.length = 0;
    tdm__str_addf(&w->key, "tasks.%s.%s", task, key);
    return &w->value;
}

/* A choice that the setting makes: what the user has chosen otherwise is refused. */
static tdm_status decide(writer *w, const char *key, const char *value)
{
    const char *old;
    tdm_status status = tdm_config_string(w->config, key, &old);
    if (!status && tdm_config_given(w->config, key) && strcmp(old, value))
        status = tdm_config_reject(w->config, key, "protocol.setting = %" PRId64 " makes it %s",
                                   w->setting, value);
    return status ? status : tdm_config_set(w->config, key, value, origin);
}

/* Setting 5 with a balance.kind of the user's: the tasks are all learnt at once, and that method
 * weighs them instead of 1/T. */
static tdm_status find_weighing(writer *w)
{
    const char *kind;
    const tdm_status status = tdm_config_string(w->config, "balance.kind", &kind);
    w->weighs = w->setting >= SETTING_JOINT;
    if (!status && w->setting == SETTING_JOINT && tdm_config_given(w->config, "balance.kind"))
        w->weighs = !strcmp(kind, "fixed");
    return status;
}

/* ---- what there is ----------------------------------------------------------------------------
 */

static tdm_status find_template(writer *w)
{
    tdm_status status = TDM_OK;
    const char *const *names;
    size_t n;
    TDM_TRY(tdm_config_members(w->config, "tasks", &names, &n));
    if (n != 1)
        TDM_TRY(tdm_config_reject(w->config, "protocol.kind",
                                  "needs one task as the model of the others, there are %zu", n));
    w->template = names[0];
    tdm__str_addf(&w->key, "tasks.%s.target", w->template);
    TDM_TRY(tdm__str_status(&w->key));
    TDM_TRY(tdm_config_string(w->config, tdm__str_text(&w->key), &w->target));
done:
    return status;
}

static const tdm_array_info *find_array(const tdm__array_source *source, const char *name)
{
    for (size_t i = 0; i < source->n; i++)
        if (!strcmp(source->infos[i].name, name)) return &source->infos[i];
    return NULL;
}

static tdm_status find_labels(writer *w, const tdm__array_source *source)
{
    w->labels = find_array(source, w->target);
    if (!w->labels || !w->labels->classes)
        return tdm_config_reject(w->config, "protocol.kind",
                                 "the data do not tell the classes of array '%s'", w->target);
    if (!w->groups) return TDM_OK;
    const char *name = w->labels->group;
    if (name) w->group = find_array(source, name);
    if (!w->group || !w->group->classes || !w->labels->group_of)
        return tdm_config_reject(w->config, "protocol.kind",
                                 "the data do not tell the groups of the classes of '%s'",
                                 w->target);
    return TDM_OK;
}

/* The values that data.where keeps of an array; *n = 0: all. */
static tdm_status kept_values(const tdm_config *config, const char *array, const int64_t **values,
                              size_t *n)
{
    tdm_status status = TDM_OK;
    const char *const *names;
    size_t n_names;
    tdm__str key = {0};
    *n = 0;
    TDM_TRY(tdm_config_members(config, "data.where", &names, &n_names));
    for (size_t i = 0; i < n_names; i++) {
        if (strcmp(names[i], array)) continue;
        tdm__str_addf(&key, "data.where.%s", array);
        TDM_TRY(tdm__str_status(&key));
        TDM_TRY(tdm_config_ints(config, tdm__str_text(&key), values, n));
    }
done:
    tdm__str_free(&key);
    return status;
}

/* A class or group of which the data keep nothing makes no task. */
static tdm_status list_members(writer *w)
{
    tdm_status status = TDM_OK;
    const tdm_array_info *of = w->groups ? w->group : w->labels;
    const int64_t *kept;
    size_t n_kept;
    TDM_TRY(kept_values(w->config, of->name, &kept, &n_kept));
    TDM_TRY(tdm__calloc_try(of->classes, sizeof *w->members, &w->members));
    for (int64_t c = 0; c < (int64_t)of->classes; c++) {
        bool keep = n_kept == 0;
        for (size_t i = 0; i < n_kept; i++) keep |= kept[i] == c;
        if (keep) w->members[w->n++] = c;
    }
done:
    return status;
}

/* The class's name with _ for whatever names of tasks cannot have; "task7" where that is no name or
 * already one. */
static tdm_status name_task(writer *w, size_t i)
{
    const tdm_array_info *of = w->groups ? w->group : w->labels;
    const char *name = of->class_names ? of->class_names[w->members[i]] : "";
    tdm__str text = {0};
    for (const char *c = name; *c && text.length < MOST_NAME; c++) {
        const bool fits = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                          (*c >= '0' && *c <= '9') || (*c == '-' && c > name);
        tdm__str_addn(&text, fits ? c : "_", 1);
    }
    bool taken = !*tdm__str_text(&text) || !strcmp(text.text, w->template);
    for (size_t k = 0; k < i; k++) taken |= !strcmp(tdm__str_text(&text), w->names[k]);
    if (taken) {
        text.length = 0;
        tdm__str_addf(&text, "task%zu", i);
    }
    w->names[i] = text.text;
    return tdm__str_status(&text);
}

static tdm_status name_tasks(writer *w)
{
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__calloc_try(w->n, sizeof *w->names, &w->names));
    for (size_t i = 0; i < w->n; i++) TDM_TRY(name_task(w, i));
done:
    return status;
}

static tdm_status check_setting(writer *w)
{
    const bool single = w->setting == SETTING_SINGLE;
    const char *first = w->names[0], *last = w->names[w->n - 1];
    if (single && w->chosen < 0)
        return tdm_config_reject(w->config, "protocol.task",
                                 "must be given with setting 2: 0 (%s) to %zu (%s)", first,
                                 w->n - 1, last);
    if (single && w->chosen >= (int64_t)w->n)
        return tdm_config_reject(w->config, "protocol.task", "must be 0 (%s) to %zu (%s)", first,
                                 w->n - 1, last);
    if (!single && w->chosen >= 0)
        return tdm_config_reject(w->config, "protocol.task", "goes with setting 2 only");
    if (w->groups && w->setting >= SETTING_JOINT)
        return tdm_config_reject(w->config, "protocol.setting",
                                 "the tasks have different samples, so they cannot be learnt from "
                                 "the same batch (hint: 3 or 4)");
    return TDM_OK;
}

/* ---- writing the tasks ------------------------------------------------------------------------
 */

/* Class c of the template as a class of task i; -1: none of it. */
static int64_t new_label(const writer *w, size_t i, int64_t c)
{
    if (!w->groups) return c == w->members[i];
    int64_t label = 0;
    if (w->labels->group_of[c] != w->members[i]) return -1;
    for (int64_t k = 0; k < c; k++) label += w->labels->group_of[k] == w->members[i];
    return label;
}

static tdm_status write_map(writer *w, size_t i)
{
    tdm__str *map = key_of_task(w, w->names[i], "label_map");
    tdm__str_add(map, "[");
    for (int64_t c = 0; c < (int64_t)w->labels->classes; c++)
        tdm__str_addf(map, "%s%" PRId64, c ? ", " : "", new_label(w, i, c));
    tdm__str_add(map, "]");
    return set(w);
}

/* Accuracy says little where nine of ten answers are "no". */
static tdm_status write_metrics(writer *w, size_t i)
{
    key_of_task(w, w->template, "metrics");
    if (w->groups || tdm_config_given(w->config, tdm__str_text(&w->key))) return TDM_OK;
    tdm__str_add(key_of_task(w, w->names[i], "metrics"),
                 "[accuracy, balanced_accuracy, f1, majority]");
    return set(w);
}

static tdm_status write_task(writer *w, size_t i)
{
    tdm_status status = TDM_OK;
    const double share = (double)(i + 1), all = (double)w->n * (double)(w->n + 1) / 2;
    TDM_TRY(tdm_config_member_copy(w->config, "tasks", w->template, w->names[i], origin));
    TDM_TRY(write_map(w, i));
    TDM_TRY(write_metrics(w, i));
    if (w->groups) {
        tdm__str *value = key_of_task(w, w->names[i], "where");
        tdm__str_addf(&w->key, ".%s", w->group->name);
        tdm__str_addf(value, "%" PRId64, w->members[i]);
        TDM_TRY(set(w));
    }
    if (w->setting == SETTING_WEIGHTED) {
        tdm__str_addf(key_of_task(w, w->names[i], "sampling"), "%.17g", share);
        TDM_TRY(set(w));
    }
    if (w->weighs) {
        const double weight = w->setting == SETTING_JOINT ? 1 / (double)w->n : share / all;
        tdm__str_addf(key_of_task(w, w->names[i], "weight"), "%.17g", weight);
        TDM_TRY(set(w));
    }
done:
    return status;
}

static tdm_status write_all(writer *w)
{
    tdm_status status = TDM_OK;
    for (size_t i = 0; i < w->n; i++)
        if (w->setting != SETTING_SINGLE || (int64_t)i == w->chosen) TDM_TRY(write_task(w, i));
    tdm__str_add(key_of_task(w, w->template, "enabled"), "false");
    TDM_TRY(set(w));
    const char *sampling = w->setting == SETTING_UNIFORM    ? "uniform"
                           : w->setting == SETTING_WEIGHTED ? "weighted"
                                                            : "joint";
    TDM_TRY(decide(w, "train.sampling", sampling));
    if (w->weighs) TDM_TRY(decide(w, "balance.kind", "fixed"));
done:
    return status;
}

/* Setting 1: the template also tells what its answers mean for each task. */
static tdm_status write_parts(writer *w)
{
    tdm_status status = TDM_OK;
    tdm__str_add(key_of_task(w, w->template, "parts"), w->groups ? "groups" : "one-vs-rest");
    TDM_TRY(set(w));
    if (!w->groups) goto done;
    tdm__str *value = key_of_task(w, w->template, "part_of");
    tdm__str_add(value, "[");
    for (uint64_t c = 0; c < w->labels->classes; c++)
        tdm__str_addf(value, "%s%d", c ? ", " : "", (int)w->labels->group_of[c]);
    tdm__str_add(value, "]");
    TDM_TRY(set(w));
done:
    return status;
}

static tdm_status write_setting(writer *w, const tdm__array_source *source)
{
    tdm_status status = TDM_OK;
    TDM_TRY(find_template(w));
    TDM_TRY(find_weighing(w));
    TDM_TRY(find_labels(w, source));
    TDM_TRY(list_members(w));
    if (w->n == 0) TDM_TRY(tdm_config_reject(w->config, "protocol.kind", "data.where keeps none"));
    TDM_TRY(name_tasks(w));
    TDM_TRY(check_setting(w));
    if (w->setting == SETTING_RECORD) TDM_TRY(write_parts(w));
    if (w->setting >= SETTING_SINGLE) TDM_TRY(write_all(w));
    w->key.length = w->value.length = 0;
    tdm__str_add(&w->key, "protocol.written");
    tdm__str_addf(&w->value, "%" PRId64, w->setting);
    TDM_TRY(set(w));
    TDM_TRY(tdm_config_resolve(w->config));
done:
    return status;
}

tdm_status tdm__protocol_expand(const tdm_config *config, const tdm__array_source *source,
                                tdm_config **out)
{
    tdm_status status = TDM_OK;
    writer w = {0};
    const char *kind;
    int64_t written;
    *out = NULL;
    TDM_TRY(tdm_config_string(config, "protocol.kind", &kind));
    TDM_TRY(tdm_config_int(config, "protocol.setting", &w.setting));
    TDM_TRY(tdm_config_int(config, "protocol.task", &w.chosen));
    TDM_TRY(tdm_config_int(config, "protocol.written", &written));
    if (!strcmp(kind, "none")) {
        if (w.setting || w.chosen >= 0)
            status = tdm_config_reject(config, w.setting ? "protocol.setting" : "protocol.task",
                                       "has no effect without protocol.kind");
        goto done;
    }
    if (written >= 0 && written != w.setting)
        status = tdm_config_reject(config, "protocol.setting",
                                   "the tasks of setting %" PRId64 " are already written here "
                                   "(hint: start from the configuration that the run was made of)",
                                   written);
    if (status || written >= 0) goto done;
    w.groups = !strcmp(kind, "groups");
    TDM_TRY(tdm_config_copy(config, &w.config));
    TDM_TRY(write_setting(&w, source));
    *out = w.config;
    w.config = NULL;
done:
    for (size_t i = 0; w.names && i < w.n; i++) free(w.names[i]);
    free(w.names);
    free(w.members);
    tdm__str_free(&w.key);
    tdm__str_free(&w.value);
    tdm_config_destroy(&w.config);
    return status;
}
