/* report/record.c: reading a run folder's files into named values. */
#include "report/record.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <tandem/config.h>
#include <tandem/train.h>

#include "base/file.h"
#include "base/mem.h"
#include "config/internal.h"
#include "format/json.h"

enum { FILE_LIMIT = 1 << 30 };

void tdm__record_free(tdm__record *r)
{
    for (size_t i = 0; i < r->n; i++) {
        free(r->fields[i].name);
        free(r->fields[i].text);
    }
    free(r->fields);
    *r = (tdm__record){0};
}

const tdm__field *tdm__record_find(const tdm__record *r, const char *name)
{
    for (size_t i = 0; i < r->n; i++)
        if (tdm__streq(r->fields[i].name, name)) return &r->fields[i];
    return NULL;
}

tdm_status tdm__record_add(tdm__record *r, const char *name, const char *text)
{
    double number;
    tdm_status status = tdm__grow(&r->fields, &r->capacity, r->n + 1, sizeof *r->fields);
    if (status) return status;
    if (!tdm__parse_f64(text, &number) || !isfinite(number)) number = NAN;
    tdm__field *f = &r->fields[r->n++];
    *f = (tdm__field){tdm__strdup(name), tdm__strdup(text), number};
    return f->name && f->text ? TDM_OK : tdm__fail(TDM_ERR_NOMEM, "out of memory");
}

tdm_status tdm__record_add_number(tdm__record *r, const char *name, double number)
{
    char text[TDM__F64_TEXT];
    tdm__f64_text(number, text);
    return tdm__record_add(r, name, text);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

/* Numbers, texts and truth values; what else there is has no place in a record. */
static tdm_status add_json(tdm__record *r, const char *name, const json_t *value)
{
    char text[32];
    if (json_is_integer(value)) {
        snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return tdm__record_add(r, name, text);
    }
    if (json_is_real(value)) return tdm__record_add_number(r, name, json_real_value(value));
    if (json_is_boolean(value))
        return tdm__record_add(r, name, json_is_true(value) ? "true" : "false");
    return json_is_string(value) ? tdm__record_add(r, name, json_string_value(value)) : TDM_OK;
}

static tdm_status add_named(tdm__record *r, const char *head, const char *a, const char *b,
                            const json_t *value)
{
    tdm__str name = {0};
    tdm__str_addf(&name, "%s.%s%s%s", head, a, *b ? "." : "", b);
    tdm_status status = tdm__str_status(&name);
    if (!status) status = add_json(r, name.text, value);
    tdm__str_free(&name);
    return status;
}

/* HEAD.TASK.METRIC, and the loss as if it were a metric */
static tdm_status add_tasks(tdm__record *r, const char *head, json_t *tasks)
{
    tdm_status status = TDM_OK;
    const char *task, *metric;
    json_t *entry, *value;
    json_object_foreach(tasks, task, entry)
    {
        TDM_TRY(add_named(r, head, task, "loss", json_object_get(entry, "loss")));
        TDM_TRY(add_named(r, head, task, "weight", json_object_get(entry, "weight")));
        json_object_foreach(json_object_get(entry, "metrics"), metric, value)
            TDM_TRY(add_named(r, head, task, metric, value));
    }
done:
    return status;
}

tdm_status tdm__record_parse_summary(tdm__record *r, const char *text, size_t size,
                                     const char *name)
{
    static const struct {
        const char *key, *field;
    } own[] = {{"stop_reason", "stopped"},
               {"seed", "seed"},
               {"epochs_done", "epochs"},
               {"best_epoch", "best_epoch"},
               {"seconds", "seconds"}};
    tdm_status status = TDM_OK;
    json_t *root = NULL, *value, *inner;
    const char *key, *below;
    TDM_TRY(tdm__json_parse(text, size, name, &root));
    if (!json_is_string(json_object_get(root, "stop_reason")))
        TDM_TRY(tdm__fail(TDM_ERR_DATA, "%s: stop_reason is missing", name));
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        TDM_TRY(add_json(r, own[i].field, json_object_get(root, own[i].key)));
    TDM_TRY(add_tasks(r, "task", json_object_get(json_object_get(root, "test"), "tasks")));
    json_object_foreach(root, key, value)
    {
        if (tdm__streq(key, "test")) continue;
        TDM_TRY(add_named(r, "summary", key, "", value));
        json_object_foreach(value, below, inner)
            TDM_TRY(add_named(r, "summary", key, below, inner));
    }
done:
    json_decref(root);
    return status;
}

/* The line of the split and epoch; NULL: none. Lines that are no JSON (a killed run's last) are
 * passed over. */
static json_t *find_line(const char *text, const char *split, json_int_t epoch)
{
    json_t *found = NULL;
    for (const char *line = text; *line;) {
        const size_t n = strcspn(line, "\n");
        json_error_t error;
        json_t *object = json_loadb(line, n, 0, &error);
        const json_t *value = json_object_get(object, "epoch");
        const bool fits = tdm__streq(json_string_value(json_object_get(object, "split")), split) &&
                          json_is_integer(value) &&
                          (epoch == 0 || json_integer_value(value) == epoch);
        if (fits) {
            json_decref(found);
            found = object;
        } else {
            json_decref(object);
        }
        line += n + (line[n] == '\n');
    }
    return found;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* What a training step took, the median over epochs: the first one compiles. Runs of older versions
 * have the wall time of the epoch alone. NaN: no epoch tells. */
static double median_step(const char *text)
{
    enum { MOST = 1024 }; /* epochs that count */
    double values[MOST], before = 0;
    size_t n = 0;
    for (const char *line = text; *line && n < MOST;) {
        const size_t length = strcspn(line, "\n");
        json_error_t error;
        json_t *object = json_loadb(line, length, 0, &error);
        const json_t *own = json_object_get(object, "step_seconds"),
                     *seconds = json_object_get(object, "seconds"),
                     *step = json_object_get(object, "step");
        if (tdm__streq(json_string_value(json_object_get(object, "split")), "train")) {
            const double steps = json_number_value(step) - before;
            before = json_number_value(step);
            if (json_is_number(own))
                values[n++] = json_number_value(own);
            else if (json_is_number(seconds) && json_is_number(step) && steps > 0)
                values[n++] = json_number_value(seconds) / steps;
        }
        json_decref(object);
        line += length + (line[length] == '\n');
    }
    if (n == 0) return NAN;
    qsort(values, n, sizeof *values, by_size);
    return (values[(n - 1) / 2] + values[n / 2]) / 2;
}

tdm_status tdm__record_parse_metrics(tdm__record *r, const char *text, size_t size,
                                     const char *name)
{
    tdm_status status = TDM_OK;
    const tdm__field *best = tdm__record_find(r, "best_epoch");
    const json_int_t epoch = best && best->number >= 1 ? (json_int_t)best->number : 0;
    if (strlen(text) != size) return tdm__fail(TDM_ERR_DATA, "%s: holds a zero byte", name);
    json_t *val = find_line(text, "val", epoch), *train = NULL;
    TDM_TRY(add_tasks(r, "val", json_object_get(val, "tasks")));
    const double step = median_step(text);
    if (isfinite(step)) TDM_TRY(tdm__record_add_number(r, "step_seconds", step));
    if (!tdm__record_find(r, "epochs")) { /* no summary: how far it has come */
        train = find_line(text, "train", 0);
        TDM_TRY(add_json(r, "epochs", json_object_get(train, "epoch")));
    }
done:
    json_decref(train);
    json_decref(val);
    return status;
}

/* ---- the folder ------------------------------------------------------------------------------ */

static tdm_status read_config(tdm__record *r, const char *folder)
{
    const tdm_opt_table *const *tables;
    size_t n;
    tdm_config *config = NULL;
    char *path = NULL;
    const char *name;
    tdm__str text = {0};
    tdm_status status = TDM_OK;
    tdm_schema(&tables, &n);
    TDM_TRY(tdm__path_join(folder, "config.yaml", &path));
    TDM_TRY(tdm_config_create(tables, n, &config));
    TDM_TRY(tdm_config_load(config, path));
    TDM_TRY(tdm_config_string(config, "name", &name));
    TDM_TRY(tdm__record_add(r, "arm", name));
    for (size_t i = 0; i < config->n_entries; i++) {
        const tdm__entry *e = &config->entries[i];
        if (tdm__record_find(r, e->key)) continue; /* `seed` of the summary */
        tdm__str_free(&text);
        if (e->value.n == 1 && e->value.strings && !tdm__type_is_list(e->spec->type))
            tdm__str_add(&text, e->value.strings[0]); /* without quotes */
        else
            tdm__value_print(e->spec, &e->value, &text);
        TDM_TRY(tdm__str_status(&text));
        TDM_TRY(tdm__record_add(r, e->key, tdm__str_text(&text)));
    }
done:
    tdm__str_free(&text);
    tdm_config_destroy(&config);
    free(path);
    return status;
}

typedef tdm_status parse_fn(tdm__record *r, const char *text, size_t size, const char *name);

static tdm_status read_file(tdm__record *r, const char *folder, const char *name, parse_fn *parse)
{
    tdm_status status = TDM_OK;
    char *path = NULL, *text = NULL;
    size_t size;
    TDM_TRY(tdm__path_join(folder, name, &path));
    if (!tdm__path_exists(path)) goto done; /* not finished */
    TDM_TRY(tdm__read_file(path, FILE_LIMIT, &text, &size));
    TDM_TRY(parse(r, text, size, path));
done:
    free(text);
    free(path);
    return status;
}

tdm_status tdm__record_read(const char *folder, tdm__record *out)
{
    tdm_status status = TDM_OK;
    *out = (tdm__record){0};
    for (int step = 0; step < 3; step++) {
        status = step == 0   ? read_file(out, folder, "summary.json", tdm__record_parse_summary)
                 : step == 1 ? read_file(out, folder, "metrics.jsonl", tdm__record_parse_metrics)
                             : read_config(out, folder);
        if (status == TDM_ERR_NOMEM) break;
        if (status && !tdm__record_find(out, "trouble"))
            status = tdm__record_add(out, "trouble", tdm_last_error());
        else
            status = TDM_OK;
        if (status) break;
    }
    if (!status && tdm__record_find(out, "trouble") && !tdm__record_find(out, "stopped"))
        status = tdm__record_add(out, "stopped", TDM__RUN_DAMAGED);
    if (!status && !tdm__record_find(out, "stopped"))
        status = tdm__record_add(out, "stopped", TDM__RUN_UNFINISHED);
    if (status) tdm__record_free(out);
    return status;
}
