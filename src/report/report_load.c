/* report/report_load.c: gathers what a report is made of from the folders. See report.h. */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "config/internal.h"
#include "format/json.h"
#include "report/report.h"

enum { HISTORY_LIMIT = 1 << 28, SUMMARY_LIMIT = 1 << 26, MANIFEST_LIMIT = 1 << 26 };

static tdm_status keep(const char *text, char **out)
{
    free(*out);
    *out = tdm__strdup(text ? text : "");
    return *out ? TDM_OK : tdm__fail(TDM_ERR_NOMEM, "out of memory");
}

tdm_status tdm__report_note(tdm__report *report, const char *format, ...)
{
    tdm_status status = TDM_OK;
    char *text = NULL;
    va_list args;
    va_start(args, format);
    const int n = vasprintf(&text, format, args);
    va_end(args);
    if (n < 0) return tdm__fail(TDM_ERR_NOMEM, "out of memory");
    TDM_TRY(tdm__grow(&report->notes, &report->notes_capacity, report->n_notes + 1,
                      sizeof *report->notes));
    report->notes[report->n_notes++] = text;
    text = NULL;
done:
    free(text);
    return status;
}

/* ---- what a run's folder holds -----------------------------------------------------------------
 */

/* A file of the run's folder; *text stays NULL when it is not there. */
static tdm_status read_part(const tdm__report_run *run, const char *name, size_t limit, char **path,
                            char **text, size_t *size)
{
    *text = NULL;
    tdm_status status = tdm__path_join(run->found->path, name, path);
    if (status || !tdm__path_exists(*path)) return status;
    return tdm__read_file(*path, limit, text, size);
}

static tdm_status read_history(tdm__report *report, tdm__report_run *run)
{
    tdm_status status = TDM_OK;
    char *path = NULL, *text = NULL;
    size_t size;
    TDM_TRY(read_part(run, "metrics.jsonl", HISTORY_LIMIT, &path, &text, &size));
    if (text) TDM_TRY(tdm__history_parse(text, size, &run->history));
    if (run->history.unread)
        TDM_TRY(tdm__report_note(report, "%s: %zu lines could not be read and are left out", path,
                                 run->history.unread));
done:
    free(path);
    free(text);
    return status;
}

/* A scalar as it is, a list in brackets. */
static tdm_status add_item(tdm__pairs *out, const tdm__item *item)
{
    tdm__str value = {0};
    if (item->kind == TDM__ITEM_LIST) tdm__str_add(&value, "[");
    for (size_t i = 0; i < item->n; i++)
        tdm__str_addf(&value, "%s%s", i ? ", " : "",
                      item->scalars[i].null ? "null" : item->scalars[i].text);
    if (item->kind == TDM__ITEM_LIST) tdm__str_add(&value, "]");
    tdm_status status = tdm__str_status(&value);
    if (!status) status = tdm__pairs_add(out, item->key, tdm__str_text(&value));
    tdm__str_free(&value);
    return status;
}

/* A file's keys as a flat list, those too that this version does not know; those of one prefix, or
 * all (NULL). */
static tdm_status add_config(tdm__report_run *run, const char *file, const char *prefix,
                             const char *but)
{
    tdm_status status = TDM_OK;
    char *path = NULL, *text = NULL;
    size_t size;
    tdm__items items = {0};
    TDM_TRY(read_part(run, file, TDM__CONFIG_BYTES, &path, &text, &size));
    if (text) TDM_TRY(tdm__items_parse(text, size, path, &items));
    for (size_t i = 0; i < items.n; i++)
        if (!prefix || (tdm__starts_with(items.items[i].key, prefix) &&
                        !tdm__starts_with(items.items[i].key, but)))
            TDM_TRY(add_item(&run->config, &items.items[i]));
done:
    tdm__items_free(&items);
    free(path);
    free(text);
    return status;
}

/* A pipeline's results are its target stage's, and so is what they follow from; of the other stages
 * what the file says of them. */
static tdm_status read_config(tdm__report_run *run)
{
    tdm_status status = TDM_OK;
    const char *target = tdm__pairs_find(&run->facts, "target");
    tdm__str file = {0}, own = {0};
    if (!target || strchr(target, '/')) return add_config(run, "config.yaml", NULL, NULL);
    tdm__str_addf(&file, "%s/config.yaml", target);
    tdm__str_addf(&own, "stages.%s.", target);
    TDM_TRY(tdm__str_status(&file));
    TDM_TRY(tdm__str_status(&own));
    TDM_TRY(add_config(run, file.text, NULL, NULL));
    TDM_TRY(add_config(run, "config.yaml", "stages.", own.text));
done:
    tdm__str_free(&file);
    tdm__str_free(&own);
    return status;
}

static tdm_status add_facts(tdm__pairs *out, const char *prefix, json_t *object, int depth)
{
    tdm_status status = TDM_OK;
    tdm__str name = {0};
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        char number[TDM__F64_TEXT];
        if (!*prefix && tdm__streq(key, "test")) continue; /* the results */
        name.length = 0;
        tdm__str_addf(&name, "%s%s%s", prefix, *prefix ? "." : "", key);
        TDM_TRY(tdm__str_status(&name));
        if (json_is_object(value) && depth > 0)
            TDM_TRY(add_facts(out, tdm__str_text(&name), value, depth - 1));
        if (json_is_string(value))
            TDM_TRY(tdm__pairs_add(out, tdm__str_text(&name), json_string_value(value)));
        if (json_is_boolean(value))
            TDM_TRY(
                tdm__pairs_add(out, tdm__str_text(&name), json_is_true(value) ? "true" : "false"));
        if (!json_is_number(value)) continue;
        tdm__f64_text(json_number_value(value), number);
        TDM_TRY(tdm__pairs_add(out, tdm__str_text(&name), number));
    }
done:
    tdm__str_free(&name);
    return status;
}

static tdm_status read_facts(tdm__report_run *run)
{
    tdm_status status = TDM_OK;
    char *path = NULL, *text = NULL;
    size_t size;
    json_t *root = NULL;
    TDM_TRY(read_part(run, "summary.json", SUMMARY_LIMIT, &path, &text, &size));
    if (!text) goto done;
    TDM_TRY(tdm__json_parse(text, size, path, &root));
    TDM_TRY(add_facts(&run->facts, "", root, 3));
done:
    json_decref(root);
    free(path);
    free(text);
    return status;
}

/* What cannot be read is missing from the report, with a note that says so. */
static tdm_status excuse(tdm__report *report, tdm_status status)
{
    if (!status || status == TDM_ERR_NOMEM) return status;
    return tdm__report_note(report, "%s", tdm_last_error());
}

static tdm_status read_run(tdm__report *report, tdm__report_run *run)
{
    tdm_status status = TDM_OK;
    const tdm__run *found = run->found;
    if (!found) return TDM_OK;
    run->finished = found->stopped && !found->trouble;
    if (run->finished) run->seed = found->seed;
    if (run->finished) run->seconds = found->seconds;
    if (found->trouble) {
        TDM_TRY(keep("damaged", &run->state));
        TDM_TRY(keep(found->trouble, &run->error));
    } else if (found->stopped) {
        TDM_TRY(keep(found->stopped, &run->state));
    }
    TDM_TRY(excuse(report, read_history(report, run)));
    if (!found->trouble) TDM_TRY(excuse(report, read_facts(run)));
    TDM_TRY(excuse(report, read_config(run)));
    const char *seed = tdm__pairs_find(&run->config, "seed");
    if (!run->finished && seed) tdm__parse_i64(seed, &run->seed);
done:
    return status;
}

/* ---- arms --------------------------------------------------------------------------------------
 */

/* "fixed@tasks.class.weight=0.1,x=2": an experiment names the points of a grid so. */
static tdm_status read_point(const char *name, tdm__report_arm *arm)
{
    tdm_status status = TDM_OK;
    char *copy = NULL;
    const char *at = strchr(name, '@');
    if (!at || !strchr(at, '=')) return keep(name, &arm->group);
    TDM_TRY(keep(at + 1, &copy));
    for (char *rest = copy, *part; (part = strsep(&rest, ","));) {
        char *equals = strchr(part, '=');
        if (!equals) continue;
        *equals = 0;
        TDM_TRY(tdm__pairs_add(&arm->grid, part, equals + 1));
    }
    TDM_TRY(keep(name, &arm->group));
    arm->group[at - name] = 0;
done:
    free(copy);
    return status;
}

static size_t find_arm(const tdm__report *report, const char *name)
{
    size_t i = 0;
    while (i < report->n_arms && !tdm__streq(report->arms[i].name, name)) i++;
    return i;
}

static tdm_status add_arm(tdm__report *report, const char *name, const tdm__outline_arm *from)
{
    tdm_status status = TDM_OK;
    TDM_TRY(
        tdm__grow(&report->arms, &report->arms_capacity, report->n_arms + 1, sizeof *report->arms));
    tdm__report_arm *arm = &report->arms[report->n_arms++];
    TDM_TRY(keep(name, &arm->name));
    TDM_TRY(keep("", &arm->label));
    if (!from || !from->grid.n) TDM_TRY(read_point(name, arm));
    if (!from) goto done;
    if (*from->group) TDM_TRY(keep(from->group, &arm->group));
    if (!arm->group) TDM_TRY(keep(name, &arm->group));
    for (size_t i = 0; i < from->set.n; i++)
        TDM_TRY(tdm__pairs_add(&arm->set, from->set.list[i].key, from->set.list[i].value));
    for (size_t i = 0; i < from->grid.n; i++)
        TDM_TRY(tdm__pairs_add(&arm->grid, from->grid.list[i].key, from->grid.list[i].value));
done:
    return status;
}

/* How many values of its point tell an arm from the others of its group: one where the others move
 * with it, else all. */
static size_t telling_values(const tdm__report *report, const tdm__report_arm *arm)
{
    for (size_t k = 0; k < report->n_arms; k++) {
        const tdm__report_arm *other = &report->arms[k];
        if (other == arm || !other->grid.n || !tdm__streq(arm->group, other->group)) continue;
        if (tdm__streq(arm->grid.list[0].value, other->grid.list[0].value)) return arm->grid.n;
    }
    return 1;
}

/* "fixed 0.1": the group and the values of its point; the name itself where that is not unique. */
static tdm_status label_arms(tdm__report *report)
{
    tdm_status status = TDM_OK;
    tdm__str label = {0};
    for (size_t i = 0; i < report->n_arms; i++) {
        tdm__report_arm *arm = &report->arms[i];
        label.length = 0;
        tdm__str_add(&label, arm->grid.n ? arm->group : arm->name);
        const size_t values = arm->grid.n ? telling_values(report, arm) : 0;
        for (size_t k = 0; k < values; k++)
            tdm__str_addf(&label, "%s%s", k ? ", " : " ", arm->grid.list[k].value);
        TDM_TRY(tdm__str_status(&label));
        TDM_TRY(keep(tdm__str_text(&label), &arm->label));
        for (size_t k = 0; k < i; k++)
            if (tdm__streq(report->arms[k].label, arm->label))
                TDM_TRY(keep(arm->name, &arm->label));
        for (size_t k = 0; k < report->n_arms; k++) {
            const tdm__report_arm *other = &report->arms[k];
            if (!arm->grid.n || !other->grid.n || !tdm__streq(arm->group, other->group)) continue;
            arm->of_group++;
            arm->in_group += k < i;
        }
    }
done:
    tdm__str_free(&label);
    return status;
}

/* ---- runs --------------------------------------------------------------------------------------
 */

static tdm_status take_outline_runs(tdm__report *report, const char *folder)
{
    tdm_status status = TDM_OK;
    const tdm__outline *m = &report->outline;
    char *path = NULL;
    TDM_TRY(tdm__calloc_try(m->n_runs, sizeof *report->runs, &report->runs));
    for (size_t i = 0; i < m->n_runs; i++) {
        const tdm__outline_run *from = &m->runs[i];
        if (find_arm(report, from->arm) == report->n_arms)
            TDM_TRY(add_arm(report, from->arm, NULL));
        tdm__report_run *run = &report->runs[report->n_runs++];
        run->arm = find_arm(report, from->arm);
        run->seed = from->seed;
        run->seconds = from->seconds;
        TDM_TRY(keep(*from->state ? from->state : "unfinished", &run->state));
        TDM_TRY(keep(from->error, &run->error));
        free(path);
        path = NULL;
        TDM_TRY(tdm__path_join(folder, from->folder, &path));
        TDM_TRY(keep(path, &run->folder));
        for (size_t k = 0; k < report->found->n; k++)
            if (tdm__streq(report->found->list[k].path, path)) run->found = &report->found->list[k];
    }
done:
    free(path);
    return status;
}

static tdm_status take_found_runs(tdm__report *report)
{
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__calloc_try(report->found->n, sizeof *report->runs, &report->runs));
    for (size_t i = 0; i < report->found->n; i++) {
        const tdm__run *found = &report->found->list[i];
        const char *arm = *found->arm ? found->arm : "(no name)"; /* its config.yaml is damaged */
        if (find_arm(report, arm) == report->n_arms) TDM_TRY(add_arm(report, arm, NULL));
        tdm__report_run *run = &report->runs[report->n_runs++];
        run->found = found;
        run->arm = find_arm(report, arm);
        run->seconds = NAN;
        TDM_TRY(keep(found->path, &run->folder));
        TDM_TRY(keep("unfinished", &run->state));
        TDM_TRY(keep("", &run->error));
    }
done:
    return status;
}

/* Runs in the folder that the experiment does not name would be compared too: they are dropped. The
 * stages of a named run that is not finished are not worth a word. */
static tdm_status drop_strangers(tdm__report *report, const char *folder)
{
    tdm_status status = TDM_OK;
    tdm_runs *found = report->found;
    const tdm__outline *m = &report->outline;
    char *path = NULL;
    size_t kept = 0, strangers = 0;
    for (size_t i = 0; i < found->n; i++) {
        bool known = false, stage = false;
        for (size_t k = 0; k < m->n_runs && !known && !stage; k++) {
            free(path);
            path = NULL;
            TDM_TRY(tdm__path_join(folder, m->runs[k].folder, &path));
            known = tdm__streq(found->list[i].path, path);
            stage = tdm__path_below(found->list[i].path, path) != NULL;
        }
        strangers += !known && !stage;
        if (!known) tdm__run_free(&found->list[i]);
        const tdm__run run = found->list[i];
        found->list[i] = (tdm__run){0};
        if (known) found->list[kept++] = run;
    }
    if (strangers)
        TDM_TRY(tdm__report_note(
            report, "%zu run folders that the experiment does not name are left out", strangers));
    found->n = kept;
done:
    free(path);
    return status;
}

static tdm_status read_outline(const tdm_report_spec *spec, tdm__report *report)
{
    tdm_status status = TDM_OK;
    char *path = NULL, *text = NULL;
    size_t size;
    if (spec->n_paths != 1) return TDM_OK;
    TDM_TRY(tdm__path_join(spec->paths[0], "experiment.json", &path));
    if (!tdm__path_exists(path)) goto done;
    TDM_TRY(tdm__read_file(path, MANIFEST_LIMIT, &text, &size));
    TDM_TRY(tdm__outline_parse(text, size, path, &report->outline));
    report->experiment = true;
    for (size_t i = 0; i < report->outline.n_arms; i++)
        TDM_TRY(add_arm(report, report->outline.arms[i].name, &report->outline.arms[i]));
done:
    free(path);
    free(text);
    return status;
}

static tdm_status find_runs(const tdm_report_spec *spec, tdm__report *report)
{
    tdm_status status = tdm_runs_find(spec->paths, spec->n_paths, &report->found);
    /* an experiment none of whose runs has begun is still one */
    if (status != TDM_ERR_DATA || !report->outline.n_runs) return status;
    return tdm__calloc_try(1, sizeof *report->found, &report->found);
}

/* ---- the comparison ----------------------------------------------------------------------------
 */

static bool has_results(const tdm__report *report, const char *arm)
{
    for (size_t i = 0; i < report->found->n; i++) {
        const tdm__run *run = &report->found->list[i];
        if (tdm__streq(run->arm, arm) && run->n_metrics && !run->trouble) return true;
    }
    return false;
}

/* The asked-for baseline must be there; the experiment's may not have finished yet. */
static tdm_status compare(const tdm_report_spec *spec, tdm__report *report)
{
    tdm_status status = TDM_OK;
    const char *name = spec->baseline;
    if (!name && report->experiment && *report->outline.baseline) {
        name = report->outline.baseline;
        if (!has_results(report, name)) {
            TDM_TRY(tdm__report_note(report, "the baseline %s has no results yet", name));
            name = NULL;
        }
    }
    for (size_t i = 0; !name && i < report->n_arms; i++)
        if (has_results(report, report->arms[i].name)) name = report->arms[i].name;
    TDM_TRY(tdm__compare(report->found, name, &report->comparison));
    report->baseline = report->n_arms;
    for (size_t i = 0; i < report->n_arms; i++) {
        tdm__report_arm *arm = &report->arms[i];
        arm->compared = tdm__comparison_arm(&report->comparison, arm->name);
        if (report->comparison.n_arms && arm->compared == 0) report->baseline = i;
    }
    if (!report->comparison.n_arms)
        TDM_TRY(
            tdm__report_note(report, "no run has results on a test split: nothing is compared"));
done:
    return status;
}

static tdm_status choose_title(const tdm_report_spec *spec, tdm__report *report)
{
    tdm__str title = {0};
    if (spec->title)
        tdm__str_add(&title, spec->title);
    else if (report->experiment && *report->outline.name)
        tdm__str_add(&title, report->outline.name);
    else
        for (size_t i = 0; i < spec->n_paths && i < 3; i++)
            tdm__str_addf(&title, "%s%s", i ? ", " : "", spec->paths[i]);
    if (!spec->title && spec->n_paths > 3)
        tdm__str_addf(&title, " and %zu more", spec->n_paths - 3);
    tdm_status status = tdm__str_status(&title);
    if (!status) status = keep(tdm__str_text(&title), &report->title);
    tdm__str_free(&title);
    return status;
}

tdm_status tdm__report_load(const tdm_report_spec *spec, tdm__report *report)
{
    tdm_status status = TDM_OK;
    if (!spec->n_paths) return tdm__fail(TDM_ERR_USAGE, "nothing to report on: no folder");
    TDM_TRY(read_outline(spec, report));
    TDM_TRY(find_runs(spec, report));
    TDM_TRY(choose_title(spec, report));
    if (report->experiment) {
        TDM_TRY(drop_strangers(report, spec->paths[0]));
        TDM_TRY(take_outline_runs(report, spec->paths[0]));
    } else {
        TDM_TRY(take_found_runs(report));
    }
    for (size_t i = 0; i < report->n_runs; i++) {
        TDM_TRY(read_run(report, &report->runs[i]));
        report->arms[report->runs[i].arm].n_runs++;
        report->arms[report->runs[i].arm].n_finished += report->runs[i].finished;
    }
    TDM_TRY(label_arms(report));
    TDM_TRY(compare(spec, report));
done:
    return status;
}
