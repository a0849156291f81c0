/* report/runs.c: finding run folders and reading what they say of themselves. */
#include "report/runs.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "format/json.h"
#include "report/index.h"
#include "report/where.h"

enum { DEPTH = 5 }; /* experiments/NAME/runs/ARM/seed-N */

void tdm__run_free(tdm__run *run)
{
    for (size_t i = 0; i < run->n_metrics; i++) free(run->metrics[i].name);
    free(run->metrics);
    free(run->path);
    free(run->arm);
    free(run->trouble);
    free(run->stopped);
    tdm__record_free(&run->record);
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

static double number_of(const tdm__record *record, const char *name)
{
    const tdm__field *f = tdm__record_find(record, name);
    return f && !isnan(f->number) ? f->number : 0;
}

static tdm_status add_metric(tdm__run *run, const char *name, double value)
{
    const tdm_status status =
        tdm__grow(&run->metrics, &run->metrics_capacity, run->n_metrics + 1, sizeof *run->metrics);
    if (status) return status;
    run->metrics[run->n_metrics] = (tdm__run_metric){.value = value};
    return copy_text(name, &run->metrics[run->n_metrics++].name);
}

/* Fills the run from its record. The weight of a task is no measure of it. */
static tdm_status take_record(tdm__run *run)
{
    static const char head[] = "task.";
    tdm_status status = TDM_OK;
    const tdm__record *r = &run->record;
    const tdm__field *arm = tdm__record_find(r, "arm"), *trouble = tdm__record_find(r, "trouble"),
                     *stopped = tdm__record_find(r, "stopped");
    TDM_TRY(copy_text(arm ? arm->text : "", &run->arm));
    if (trouble) TDM_TRY(copy_text(trouble->text, &run->trouble));
    if (stopped && !tdm__streq(stopped->text, TDM__RUN_UNFINISHED) &&
        !tdm__streq(stopped->text, TDM__RUN_DAMAGED))
        TDM_TRY(copy_text(stopped->text, &run->stopped));
    if (!run->stopped) return TDM_OK;
    run->seed = (int64_t)number_of(r, "seed");
    run->epochs = (int64_t)number_of(r, "epochs");
    run->seconds = number_of(r, "seconds");
    run->step_seconds = number_of(r, "step_seconds");
    for (size_t i = 0; i < r->n; i++) {
        const char *name = r->fields[i].name;
        if (!tdm__starts_with(name, head) || tdm__ends_with(name, ".weight") ||
            isnan(r->fields[i].number))
            continue;
        TDM_TRY(add_metric(run, name + sizeof head - 1, r->fields[i].number));
    }
done:
    return status;
}

tdm_status tdm__run_parse_summary(const char *text, size_t size, const char *name, tdm__run *run)
{
    const tdm_status status = tdm__record_parse_summary(&run->record, text, size, name);
    return status ? status : take_record(run);
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

static tdm_status add_run(tdm_runs *runs, tdm__index *index, size_t root, const char *path)
{
    tdm_status status = TDM_OK;
    for (size_t i = 0; i < runs->n; i++)
        if (tdm__streq(runs->list[i].path, path)) return TDM_OK;
    TDM_TRY(tdm__grow(&runs->list, &runs->capacity, runs->n + 1, sizeof *runs->list));
    tdm__run *run = &runs->list[runs->n++];
    *run = (tdm__run){.root = root};
    TDM_TRY(copy_text(path, &run->path));
    TDM_TRY(tdm__index_record(index, path, &run->record));
    TDM_TRY(take_record(run));
done:
    return status;
}

static tdm_status look_in(tdm_runs *runs, tdm__index *index, size_t root, const char *folder,
                          int depth)
{
    bool config, metrics;
    char **names = NULL, *path = NULL;
    size_t n = 0;
    tdm_status status = TDM_OK;
    TDM_TRY(holds(folder, "config.yaml", &config));
    TDM_TRY(holds(folder, "metrics.jsonl", &metrics));
    if (config && metrics) return add_run(runs, index, root, folder);
    if (depth == 0) return TDM_OK;
    TDM_TRY(tdm__list_folder(folder, &names, &n));
    for (size_t i = 0; i < n; i++) {
        free(path);
        path = NULL;
        TDM_TRY(tdm__path_join(folder, names[i], &path));
        if (tdm__is_folder(path)) TDM_TRY(look_in(runs, index, root, path, depth - 1));
    }
done:
    free(path);
    tdm__names_free(names, n);
    return status;
}

/* A run folder holds no index: only what holds runs does. */
static tdm_status look_in_root(tdm_runs *runs, const char *path, bool indexed)
{
    bool config;
    tdm_status status = holds(path, "config.yaml", &config);
    if (status) return status;
    tdm__index *index = indexed && !config ? tdm__index_open(path) : NULL;
    status = look_in(runs, index, strlen(path), path, DEPTH);
    tdm__index_close(&index);
    return status;
}

static tdm_status find_all(const char *const *paths, size_t n, bool indexed, tdm_runs **out)
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
        TDM_TRY(look_in_root(runs, paths[i], indexed));
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

tdm_status tdm_runs_find(const char *const *paths, size_t n, tdm_runs **out)
{
    return find_all(paths, n, false, out);
}

tdm_status tdm_runs_find_indexed(const char *const *paths, size_t n, tdm_runs **out)
{
    return find_all(paths, n, true, out);
}

/* ---- choosing --------------------------------------------------------------------------------
 */

/* Names of all runs' fields. */
typedef struct name_list {
    const char **list;
    size_t n, capacity;
} name_list;

static const char *name_at(const void *owner, size_t i)
{
    return ((const name_list *)owner)->list[i];
}

static tdm_status collect_names(const tdm_runs *runs, name_list *out)
{
    tdm_status status = TDM_OK;
    for (size_t r = 0; r < runs->n; r++)
        for (size_t i = 0; i < runs->list[r].record.n; i++) {
            const char *name = runs->list[r].record.fields[i].name;
            size_t k = 0;
            while (k < out->n && !tdm__streq(out->list[k], name)) k++;
            if (k < out->n) continue;
            TDM_TRY(tdm__grow(&out->list, &out->capacity, out->n + 1, sizeof *out->list));
            out->list[out->n++] = name;
        }
done:
    return status;
}

/* A field that no run has is a mistake, not a condition that never holds. */
static tdm_status check_fields(const tdm_runs *runs, const tdm__where *where)
{
    tdm_status status = TDM_OK;
    name_list names = {0};
    for (size_t i = 0; i < tdm__where_fields(where); i++) {
        const char *field = tdm__where_field(where, i);
        bool known = false;
        for (size_t r = 0; r < runs->n && !known; r++)
            known = tdm__record_find(&runs->list[r].record, field) != NULL;
        if (known) continue;
        TDM_TRY(collect_names(runs, &names));
        TDM_TRY(tdm__fail_unknown(TDM_ERR_USAGE, field, &names, name_at, names.n,
                                  "--where: no run has '%s': there are", field));
    }
done:
    free(names.list);
    return status;
}

tdm_status tdm_runs_filter(tdm_runs *runs, const char *condition)
{
    tdm_status status = TDM_OK;
    tdm__where *where = NULL;
    size_t kept = 0;
    TDM_TRY(tdm__where_parse(condition, &where));
    TDM_TRY(check_fields(runs, where));
    for (size_t i = 0; i < runs->n; i++) {
        if (!tdm__where_holds(where, &runs->list[i].record)) {
            tdm__run_free(&runs->list[i]);
            continue;
        }
        runs->list[kept++] = runs->list[i];
    }
    runs->n = kept;
done:
    tdm__where_destroy(&where);
    return status;
}

const char *tdm_runs_path(const tdm_runs *runs, size_t i)
{
    return i < runs->n ? runs->list[i].path : NULL;
}

/* ---- listing ----------------------------------------------------------------------------------
 */

static const char *state_of(const tdm__run *run)
{
    return run->trouble ? TDM__RUN_DAMAGED : run->stopped ? run->stopped : TDM__RUN_UNFINISHED;
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
