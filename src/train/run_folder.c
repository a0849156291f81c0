/* train/run_folder.c: the run folder's text files and event file. */
#include "train/run_folder.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

enum { MAX_METRICS_FILE = 1 << 30 };

tdm_status tdm__run_folder_default(const tdm_config *config, char **out)
{
    const char *name;
    char time[32], compact[32];
    size_t n = 0;
    tdm_status status = tdm_config_string(config, "name", &name);
    if (status) return status;
    tdm__time_text(tdm__wall(), time, sizeof time);
    for (const char *c = time; *c && n < sizeof compact - 1; c++) {
        if (*c >= '0' && *c <= '9') compact[n++] = *c;
        if (*c == 'T') compact[n++] = '-';
    }
    compact[n] = 0;
    tdm__str path = {0};
    tdm__str_addf(&path, "runs/%s-%s", name, compact);
    status = tdm__str_status(&path);
    *out = path.text;
    return status;
}

static tdm_status check_free(const char *path)
{
    char *file = NULL;
    tdm_status status = tdm__path_join(path, "metrics.jsonl", &file);
    if (!status && tdm__path_exists(path) && !tdm__is_folder(path))
        status =
            tdm__fail(TDM_ERR_CONFIG, "%s: is a file, not a folder (hint: another --output)", path);
    else if (!status && tdm__path_exists(file))
        status = tdm__fail(TDM_ERR_CONFIG,
                           "%s: already holds a run (hint: --resume to go on with it, or "
                           "another --output)",
                           path);
    free(file);
    return status;
}

tdm_status tdm__run_folder_file(const tdm__run_folder *run, const char *name, char **out)
{
    return tdm__path_join(run->path, name, out);
}

static tdm_status write_config(tdm__run_folder *run, const tdm_config *config)
{
    tdm_status status = TDM_OK;
    char *text = NULL, *file = NULL;
    TDM_TRY(tdm_config_dump(config, true, &text));
    TDM_TRY(tdm__run_folder_file(run, "config.yaml", &file));
    TDM_TRY(tdm__atomic_write_file(file, text, strlen(text)));
done:
    free(text);
    free(file);
    return status;
}

tdm_status tdm__run_folder_open(tdm__run_folder *run, const tdm_config *config, const char *path,
                                bool resuming)
{
    tdm_status status = TDM_OK;
    bool events;
    if (*path) {
        run->path = tdm__strdup(path);
        if (!run->path) TDM_TRY(tdm__fail(TDM_ERR_NOMEM, "out of memory"));
    } else {
        TDM_TRY(tdm__run_folder_default(config, &run->path));
    }
    if (!resuming) TDM_TRY(check_free(run->path));
    TDM_TRY(tdm__make_folders(run->path));
    TDM_TRY(write_config(run, config));
    TDM_TRY(tdm_config_bool(config, "train.tensorboard", &events));
    if (events) TDM_TRY(tdm__tfevents_create(run->path, &run->events));
done:
    if (status) tdm__context(status, "run folder");
    return status;
}

void tdm__run_folder_close(tdm__run_folder *run)
{
    tdm__tfevents_destroy(&run->events);
    free(run->path);
    run->path = NULL;
}

/* ---- metrics ------------------------------------------------------------------------------------
 */

static void number(tdm__json *j, const char *key, double value)
{
    tdm__json_key(j, key);
    tdm__json_number(j, value);
}

/* What evaluations add about the classes of a task. */
static void classes_json(tdm__json *j, const tdm_task_report *task)
{
    const size_t n = task->n_classes;
    tdm__json_key(j, "classes");
    tdm__json_open(j, '[');
    for (size_t c = 0; c < n; c++) {
        const tdm_class_report *k = &task->classes[c];
        tdm__json_open(j, '{');
        if (k->name) tdm__json_key(j, "name"), tdm__json_string(j, k->name);
        number(j, "count", k->count);
        number(j, "precision", k->precision);
        number(j, "recall", k->recall);
        number(j, "iou", k->iou);
        number(j, "f1", k->f1);
        tdm__json_close(j, '}');
    }
    tdm__json_close(j, ']');
    tdm__json_key(j, "confusion"); /* rows are labels */
    tdm__json_open(j, '[');
    for (size_t r = 0; r < n; r++) {
        tdm__json_open(j, '[');
        for (size_t c = 0; c < n; c++) tdm__json_number(j, task->confusion[r * n + c]);
        tdm__json_close(j, ']');
    }
    tdm__json_close(j, ']');
}

/* How the tasks' gradients went together. */
static void balance_json(tdm__json *j, const tdm_epoch_report *r)
{
    const tdm_balance_report *b = r->balance;
    tdm__json_key(j, "balance");
    tdm__json_open(j, '{');
    number(j, "conflict_share", b->conflict_share);
    number(j, "condition_log10", b->condition_log10);
    number(j, "stationary_share", b->stationary_share);
    tdm__json_key(j, "cosines"); /* in the order of the tasks */
    tdm__json_open(j, '[');
    for (size_t i = 0; i < r->n_tasks; i++) {
        tdm__json_open(j, '[');
        for (size_t k = 0; k < r->n_tasks; k++) tdm__json_number(j, b->cosines[i * r->n_tasks + k]);
        tdm__json_close(j, ']');
    }
    tdm__json_close(j, ']');
    tdm__json_close(j, '}');
}

void tdm__report_json(tdm__json *j, const tdm_epoch_report *r)
{
    tdm__json_key(j, "epoch");
    tdm__json_int(j, r->epoch);
    tdm__json_key(j, "step");
    tdm__json_int(j, r->step);
    tdm__json_key(j, "split");
    tdm__json_string(j, r->split);
    number(j, "total", r->total);
    if (!isnan(r->penalty)) number(j, "penalty", r->penalty);
    if (r->features) number(j, "features_kept", (double)r->features_kept);
    number(j, "lr", r->lr);
    number(j, "seconds", r->seconds);
    number(j, "wait_share", r->wait_share);
    if (r->step_seconds > 0) number(j, "step_seconds", r->step_seconds);
    tdm__json_key(j, "samples");
    tdm__json_uint(j, r->samples);
    tdm__json_key(j, "tasks");
    tdm__json_open(j, '{');
    for (size_t t = 0; t < r->n_tasks; t++) {
        const tdm_task_report *task = &r->tasks[t];
        tdm__json_key(j, task->name);
        tdm__json_open(j, '{');
        number(j, "loss", task->loss);
        number(j, "weight", task->weight);
        if (!isnan(task->intermediate)) number(j, "intermediate", task->intermediate);
        if (!isnan(task->loss_ratio)) number(j, "loss_ratio", task->loss_ratio);
        if (!isnan(task->gradient_norm)) number(j, "gradient_norm", task->gradient_norm);
        if (!isnan(task->instance_cosine)) {
            number(j, "instance_cosine", task->instance_cosine);
            number(j, "instance_zeros", task->instance_zeros);
        }
        tdm__json_key(j, "samples");
        tdm__json_uint(j, task->samples);
        tdm__json_key(j, "metrics");
        tdm__json_open(j, '{');
        for (size_t m = 0; m < task->n_metrics; m++)
            number(j, task->metrics[m].name, task->metrics[m].value);
        tdm__json_close(j, '}');
        if (task->n_parts) {
            tdm__json_key(j, "parts");
            tdm__json_open(j, '[');
            for (size_t p = 0; p < task->n_parts; p++) tdm__json_number(j, task->parts[p]);
            tdm__json_close(j, ']');
        }
        if (task->n_classes) classes_json(j, task);
        tdm__json_close(j, '}');
    }
    tdm__json_close(j, '}');
    if (r->balance) balance_json(j, r);
}

tdm_status tdm_epoch_report_json(const tdm_epoch_report *report, char **out)
{
    tdm__json j = {0};
    *out = NULL;
    tdm__json_open(&j, '{');
    tdm__report_json(&j, report);
    tdm__json_close(&j, '}');
    const tdm_status status = tdm__json_status(&j);
    if (!status) {
        *out = j.out.text;
        j.out = (tdm__str){0};
    }
    tdm__json_free(&j);
    return status;
}

static tdm_status write_line(tdm__run_folder *run, const tdm_epoch_report *report)
{
    tdm_status status = TDM_OK;
    char *file = NULL, *line = NULL;
    TDM_TRY(tdm_epoch_report_json(report, &line));
    TDM_TRY(tdm__run_folder_file(run, "metrics.jsonl", &file));
    TDM_TRY(tdm__append_line(file, line));
done:
    free(line);
    free(file);
    return status;
}

static tdm_status add_scalar(tdm__run_folder *run, const tdm_epoch_report *r, const char *task,
                             const char *what, double value)
{
    tdm__str tag = {0};
    tdm__str_addf(&tag, "%s/%s%s%s", r->split, task, *task ? "." : "", what);
    tdm_status status = tdm__str_status(&tag);
    if (!status)
        status = tdm__tfevents_scalar(run->events, tdm__wall(), r->epoch, tdm__str_text(&tag),
                                      (float)value);
    tdm__str_free(&tag);
    return status;
}

static tdm_status add_cosine(tdm__run_folder *run, const tdm_epoch_report *r, size_t i, size_t k)
{
    tdm__str what = {0};
    tdm__str_addf(&what, "cosine.%s.%s", r->tasks[i].name, r->tasks[k].name);
    tdm_status status = tdm__str_status(&what);
    if (!status)
        status = add_scalar(run, r, "balance", tdm__str_text(&what),
                            r->balance->cosines[i * r->n_tasks + k]);
    tdm__str_free(&what);
    return status;
}

static tdm_status write_events(tdm__run_folder *run, const tdm_epoch_report *r)
{
    tdm_status status = TDM_OK;
    if (!run->events) return TDM_OK;
    TDM_TRY(add_scalar(run, r, "", "total", r->total));
    if (!isnan(r->penalty)) TDM_TRY(add_scalar(run, r, "", "penalty", r->penalty));
    if (r->features) TDM_TRY(add_scalar(run, r, "", "features_kept", (double)r->features_kept));
    TDM_TRY(add_scalar(run, r, "", "lr", r->lr));
    TDM_TRY(add_scalar(run, r, "", "wait_share", r->wait_share));
    for (size_t t = 0; t < r->n_tasks; t++) {
        const tdm_task_report *task = &r->tasks[t];
        TDM_TRY(add_scalar(run, r, task->name, "loss", task->loss));
        TDM_TRY(add_scalar(run, r, task->name, "weight", task->weight));
        if (!isnan(task->intermediate))
            TDM_TRY(add_scalar(run, r, task->name, "intermediate", task->intermediate));
        if (!isnan(task->loss_ratio))
            TDM_TRY(add_scalar(run, r, task->name, "loss_ratio", task->loss_ratio));
        if (!isnan(task->gradient_norm))
            TDM_TRY(add_scalar(run, r, task->name, "gradient_norm", task->gradient_norm));
        if (!isnan(task->instance_cosine)) {
            TDM_TRY(add_scalar(run, r, task->name, "instance_cosine", task->instance_cosine));
            TDM_TRY(add_scalar(run, r, task->name, "instance_zeros", task->instance_zeros));
        }
        for (size_t m = 0; m < task->n_metrics; m++)
            TDM_TRY(add_scalar(run, r, task->name, task->metrics[m].name, task->metrics[m].value));
    }
    if (r->balance) {
        TDM_TRY(add_scalar(run, r, "balance", "conflict_share", r->balance->conflict_share));
        TDM_TRY(add_scalar(run, r, "balance", "condition_log10", r->balance->condition_log10));
    }
    for (size_t i = 0; r->balance && i < r->n_tasks; i++)
        for (size_t k = i + 1; k < r->n_tasks; k++) TDM_TRY(add_cosine(run, r, i, k));
    TDM_TRY(tdm__tfevents_flush(run->events));
done:
    return status;
}

tdm_status tdm__run_folder_epoch(tdm__run_folder *run, const tdm_epoch_report *report)
{
    const tdm_status status = write_line(run, report);
    return status ? status : write_events(run, report);
}

/* Whether a line belongs to training up to `epoch`. A torn last line (a killed run) does not, and
 * what was measured on the test split is measured again at the end. */
static bool keeps(const char *line, size_t n, int64_t epoch)
{
    json_error_t error;
    json_t *object = json_loadb(line, n, 0, &error);
    if (!object) return false;
    const json_t *value = json_object_get(object, "epoch");
    const char *split = json_string_value(json_object_get(object, "split"));
    const bool keep = json_is_integer(value) && json_integer_value(value) <= epoch && split &&
                      strcmp(split, "test") != 0;
    json_decref(object);
    return keep;
}

tdm_status tdm__run_folder_rewind(tdm__run_folder *run, int64_t epoch)
{
    tdm_status status = TDM_OK;
    char *file = NULL, *text = NULL;
    size_t size = 0;
    tdm__str kept = {0};
    TDM_TRY(tdm__run_folder_file(run, "metrics.jsonl", &file));
    if (!tdm__path_exists(file)) goto done;
    TDM_TRY(tdm__read_file(file, MAX_METRICS_FILE, &text, &size));
    for (char *line = text; *line;) {
        const size_t n = strcspn(line, "\n");
        if (keeps(line, n, epoch)) {
            tdm__str_addn(&kept, line, n);
            tdm__str_add(&kept, "\n");
        }
        line += n + (line[n] == '\n');
    }
    TDM_TRY(tdm__str_status(&kept));
    TDM_TRY(tdm__atomic_write_file(file, tdm__str_text(&kept), kept.length));
done:
    tdm__str_free(&kept);
    free(file);
    free(text);
    return status;
}
