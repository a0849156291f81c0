/* report/runs.c: finding run folders and reading what they say of themselves. */
#include "report/runs.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <tandem/config.h>
#include <tandem/train.h>

#include "base/file.h"
#include "base/mem.h"
#include "format/json.h"

enum { DEPTH = 3, SUMMARY_LIMIT = 64 << 20 };

void tdm__run_free(tdm__run *run)
{
    for (size_t i = 0; i < run->n_metrics; i++) free(run->metrics[i].name);
    free(run->metrics);
    free(run->path);
    free(run->arm);
    free(run->trouble);
    free(run->stopped);
}

void tdm_runs_destroy(tdm_runs **pointer)
{
    tdm_runs *runs = *pointer;
    if (!runs) return;
    for (size_t i = 0; i < runs->n; i++) tdm__run_free(&runs->list[i]);
    free(runs->list);
    free(runs);
    *pointer = NULL;
}

size_t tdm_runs_count(const tdm_runs *runs)
{
    return runs->n;
}

static tdm_status copy_text(const char *text, char **out)
{
    free(*out);
    *out = tdm__strdup(text ? text : "");
    return *out ? TDM_OK : tdm__fail(TDM_ERR_NOMEM, "out of memory");
}

/* ---- reading ----------------------------------------------------------------------------------
 */

static tdm_status read_arm(tdm__run *run)
{
    const tdm_opt_table *const *tables;
    size_t n;
    tdm_config *config = NULL;
    char *path = NULL;
    const char *name;
    tdm_status status = TDM_OK;
    tdm_schema(&tables, &n);
    TDM_TRY(tdm__path_join(run->path, "config.yaml", &path));
    TDM_TRY(tdm_config_create(tables, n, &config));
    TDM_TRY(tdm_config_load(config, path));
    TDM_TRY(tdm_config_string(config, "name", &name));
    TDM_TRY(copy_text(name, &run->arm));
done:
    tdm_config_destroy(&config);
    free(path);
    return status;
}

static tdm_status add_metric(tdm__run *run, const char *task, const char *metric, double value)
{
    tdm__str name = {0};
    tdm_status status =
        tdm__grow(&run->metrics, &run->metrics_capacity, run->n_metrics + 1, sizeof *run->metrics);
    if (status) return status;
    tdm__str_addf(&name, "%s.%s", task, metric);
    status = tdm__str_status(&name);
    if (status)
        tdm__str_free(&name);
    else
        run->metrics[run->n_metrics++] = (tdm__run_metric){name.text, value};
    return status;
}

static tdm_status read_tasks(tdm__run *run, json_t *tasks)
{
    tdm_status status = TDM_OK;
    const char *task, *metric;
    json_t *entry, *value;
    json_object_foreach(tasks, task, entry)
    {
        value = json_object_get(entry, "loss");
        if (json_is_number(value)) TDM_TRY(add_metric(run, task, "loss", json_number_value(value)));
        json_object_foreach(json_object_get(entry, "metrics"), metric, value)
        {
            if (json_is_number(value))
                TDM_TRY(add_metric(run, task, metric, json_number_value(value)));
        }
    }
done:
    return status;
}

tdm_status tdm__run_parse_summary(const char *text, size_t size, const char *name, tdm__run *run)
{
    tdm_status status = TDM_OK;
    json_t *root = NULL;
    TDM_TRY(tdm__json_parse(text, size, name, &root));
    const char *stopped = json_string_value(json_object_get(root, "stop_reason"));
    if (!stopped) {
        status = tdm__fail(TDM_ERR_DATA, "%s: stop_reason is missing", name);
        goto done;
    }
    TDM_TRY(copy_text(stopped, &run->stopped));
    run->seed = json_integer_value(json_object_get(root, "seed"));
    run->epochs = json_integer_value(json_object_get(root, "epochs_done"));
    run->seconds = json_number_value(json_object_get(root, "seconds"));
    TDM_TRY(read_tasks(run, json_object_get(json_object_get(root, "test"), "tasks")));
done:
    json_decref(root);
    return status;
}

static tdm_status read_summary(tdm__run *run)
{
    tdm_status status = TDM_OK;
    char *path = NULL, *text = NULL;
    size_t size;
    TDM_TRY(tdm__path_join(run->path, "summary.json", &path));
    if (!tdm__path_exists(path)) goto done; /* not finished */
    TDM_TRY(tdm__read_file(path, SUMMARY_LIMIT, &text, &size));
    TDM_TRY(tdm__run_parse_summary(text, size, path, run));
done:
    free(text);
    free(path);
    return status;
}

/* ---- finding ----------------------------------------------------------------------------------
 */

static tdm_status holds(const char *folder, const char *file, bool *out)
{
    char *path = NULL;
    const tdm_status status = tdm__path_join(folder, file, &path);
    *out = !status && tdm__path_exists(path);
    free(path);
    return status;
}

static tdm_status add_run(tdm_runs *runs, const char *path)
{
    tdm_status status = TDM_OK;
    for (size_t i = 0; i < runs->n; i++)
        if (tdm__streq(runs->list[i].path, path)) return TDM_OK;
    TDM_TRY(tdm__grow(&runs->list, &runs->capacity, runs->n + 1, sizeof *runs->list));
    tdm__run *run = &runs->list[runs->n++];
    *run = (tdm__run){0};
    TDM_TRY(copy_text(path, &run->path));
    TDM_TRY(copy_text("", &run->arm));
    status = read_arm(run);
    if (!status) status = read_summary(run);
    if (status && status != TDM_ERR_NOMEM) status = copy_text(tdm_last_error(), &run->trouble);
done:
    return status;
}

static tdm_status look_in(tdm_runs *runs, const char *folder, int depth)
{
    bool config, metrics;
    char **names = NULL, *path = NULL;
    size_t n = 0;
    tdm_status status = TDM_OK;
    TDM_TRY(holds(folder, "config.yaml", &config));
    TDM_TRY(holds(folder, "metrics.jsonl", &metrics));
    if (config && metrics) return add_run(runs, folder);
    if (depth == 0) return TDM_OK;
    TDM_TRY(tdm__list_folder(folder, &names, &n));
    for (size_t i = 0; i < n; i++) {
        free(path);
        path = NULL;
        TDM_TRY(tdm__path_join(folder, names[i], &path));
        if (tdm__is_folder(path)) TDM_TRY(look_in(runs, path, depth - 1));
    }
done:
    free(path);
    tdm__names_free(names, n);
    return status;
}

tdm_status tdm_runs_find(const char *const *paths, size_t n, tdm_runs **out)
{
    tdm_status status = TDM_OK;
    tdm_runs *runs = NULL;
    *out = NULL;
    TDM_TRY(tdm__calloc_try(1, sizeof *runs, &runs));
    for (size_t i = 0; i < n; i++) {
        if (!tdm__is_folder(paths[i])) {
            status = tdm__fail(TDM_ERR_DATA, "%s: no such folder", paths[i]);
            goto done;
        }
        TDM_TRY(look_in(runs, paths[i], DEPTH));
    }
    if (!runs->n)
        status = tdm__hint(
            tdm__fail(TDM_ERR_DATA, "%s%s: no runs", n ? paths[0] : "", n > 1 ? " and others" : ""),
            "a run folder holds config.yaml and metrics.jsonl");
done:
    if (status)
        tdm_runs_destroy(&runs);
    else
        *out = runs;
    return status;
}

/* ---- listing ----------------------------------------------------------------------------------
 */

static const char *state_of(const tdm__run *run)
{
    return run->trouble ? "damaged" : run->stopped ? run->stopped : "unfinished";
}

static void list_json(const tdm__run *run, tdm__json *j)
{
    tdm__json_open(j, '{');
    tdm__json_key(j, "path"), tdm__json_string(j, run->path);
    tdm__json_key(j, "name"), tdm__json_string(j, run->arm);
    tdm__json_key(j, "state"), tdm__json_string(j, state_of(run));
    if (run->trouble) tdm__json_key(j, "trouble"), tdm__json_string(j, run->trouble);
    if (run->stopped) {
        tdm__json_key(j, "seed"), tdm__json_int(j, run->seed);
        tdm__json_key(j, "epochs"), tdm__json_int(j, run->epochs);
        tdm__json_key(j, "seconds"), tdm__json_number(j, run->seconds);
    }
    tdm__json_key(j, "test"), tdm__json_open(j, '{');
    for (size_t i = 0; i < run->n_metrics; i++) {
        tdm__json_key(j, run->metrics[i].name);
        tdm__json_number(j, run->metrics[i].value);
    }
    tdm__json_close(j, '}');
    tdm__json_close(j, '}');
}

static void list_line(const tdm__run *run, int width, tdm__str *out)
{
    tdm__str_addf(out, "%-*s  %-24s", width, run->path, run->arm);
    if (run->stopped)
        tdm__str_addf(out, " %6" PRId64 " %6" PRId64 " %9.1f", run->seed, run->epochs,
                      run->seconds);
    else
        tdm__str_addf(out, " %6s %6s %9s", "-", "-", "-");
    tdm__str_addf(out, "  %-11s", state_of(run));
    for (size_t i = 0; i < run->n_metrics; i++)
        if (!tdm__ends_with(run->metrics[i].name, ".loss"))
            tdm__str_addf(out, " %s %.4g", run->metrics[i].name, run->metrics[i].value);
    if (run->trouble) tdm__str_addf(out, " %s", run->trouble);
    tdm__str_add(out, "\n");
}

tdm_status tdm_runs_list(const tdm_runs *runs, bool json, char **out)
{
    tdm__str text = {0};
    int width = 4;
    *out = NULL;
    if (json) {
        tdm__json j = {0};
        tdm__json_open(&j, '[');
        for (size_t i = 0; i < runs->n; i++) list_json(&runs->list[i], &j);
        tdm__json_close(&j, ']');
        tdm__str_addf(&text, "%s\n", tdm__json_text(&j));
        const tdm_status status = tdm__json_status(&j);
        tdm__json_free(&j);
        if (status) tdm__str_free(&text);
        if (status) return status;
    } else {
        for (size_t i = 0; i < runs->n; i++)
            if ((int)strlen(runs->list[i].path) > width) width = (int)strlen(runs->list[i].path);
        tdm__str_addf(&text, "%-*s  %-24s %6s %6s %9s  %-11s %s\n", width, "run", "name", "seed",
                      "epochs", "seconds", "state", "test");
        for (size_t i = 0; i < runs->n; i++) list_line(&runs->list[i], width, &text);
    }
    const tdm_status status = tdm__str_status(&text);
    if (status) tdm__str_free(&text);
    *out = text.text;
    return status;
}
