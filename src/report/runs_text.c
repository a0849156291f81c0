/* report/runs_text.c: runs as CSV and in full. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "format/json.h"
#include "report/runs.h"

/* ---- CSV ------------------------------------------------------------------------------------- */

static void csv_text(tdm__str *out, const char *text)
{
    if (!text[strcspn(text, ",\"\r\n")]) {
        tdm__str_add(out, text);
        return;
    }
    tdm__str_add(out, "\"");
    for (; *text; text++) tdm__str_addn(out, *text == '"' ? "\"\"" : text, 1 + (*text == '"'));
    tdm__str_add(out, "\"");
}

static bool is_metric(const char *name)
{
    return tdm__starts_with(name, "task.") || tdm__starts_with(name, "val.");
}

/* Metrics of any run, once, in the order of their appearance. */
static tdm_status list_metrics(const tdm_runs *runs, const char ***list, size_t *n)
{
    tdm_status status = TDM_OK;
    size_t capacity = 0;
    *list = NULL;
    *n = 0;
    for (size_t r = 0; r < runs->n; r++)
        for (size_t i = 0; i < runs->list[r].record.n; i++) {
            const char *name = runs->list[r].record.fields[i].name;
            size_t k = 0;
            if (!is_metric(name)) continue;
            while (k < *n && !tdm__streq((*list)[k], name)) k++;
            if (k < *n) continue;
            TDM_TRY(tdm__grow(list, &capacity, *n + 1, sizeof **list));
            (*list)[(*n)++] = name;
        }
done:
    return status;
}

tdm_status tdm_runs_csv(const tdm_runs *runs, char **out)
{
    static const char *const own[] = {"arm", "seed", "stopped", "epochs", "seconds"};
    enum { OWN = sizeof own / sizeof *own };
    tdm_status status = TDM_OK;
    const char **metrics = NULL;
    size_t n = 0;
    tdm__str text = {0};
    *out = NULL;
    TDM_TRY(list_metrics(runs, &metrics, &n));
    tdm__str_add(&text, "path");
    for (size_t c = 0; c < OWN + n; c++) {
        tdm__str_add(&text, ",");
        csv_text(&text, c < OWN ? own[c] : metrics[c - OWN]);
    }
    tdm__str_add(&text, "\r\n");
    for (size_t r = 0; r < runs->n; r++) {
        csv_text(&text, runs->list[r].path);
        for (size_t c = 0; c < OWN + n; c++) {
            const tdm__field *f =
                tdm__record_find(&runs->list[r].record, c < OWN ? own[c] : metrics[c - OWN]);
            tdm__str_add(&text, ",");
            if (f) csv_text(&text, f->text);
        }
        tdm__str_add(&text, "\r\n");
    }
    TDM_TRY(tdm__str_status(&text));
    *out = text.text;
    text.text = NULL;
done:
    free(metrics);
    tdm__str_free(&text);
    return status;
}

/* ---- in full --------------------------------------------------------------------------------- */

static void show_json(const tdm__run *run, tdm__json *j)
{
    tdm__json_open(j, '{');
    tdm__json_key(j, "path"), tdm__json_string(j, run->path);
    for (size_t i = 0; i < run->record.n; i++) {
        const tdm__field *f = &run->record.fields[i];
        tdm__json_key(j, f->name);
        if (isnan(f->number))
            tdm__json_string(j, f->text);
        else
            tdm__json_number(j, f->number);
    }
    tdm__json_close(j, '}');
}

static void show_text(const tdm__run *run, tdm__str *out)
{
    int width = 0;
    for (size_t i = 0; i < run->record.n; i++)
        if ((int)strlen(run->record.fields[i].name) > width)
            width = (int)strlen(run->record.fields[i].name);
    tdm__str_addf(out, "%s\n", run->path);
    for (size_t i = 0; i < run->record.n; i++)
        tdm__str_addf(out, "  %-*s  %s\n", width, run->record.fields[i].name,
                      run->record.fields[i].text);
}

tdm_status tdm_runs_show(const tdm_runs *runs, bool json, char **out)
{
    tdm_status status = TDM_OK;
    tdm__str text = {0};
    tdm__json j = {0};
    *out = NULL;
    tdm__json_open(&j, '[');
    for (size_t i = 0; i < runs->n; i++) {
        if (json)
            show_json(&runs->list[i], &j);
        else
            show_text(&runs->list[i], &text);
    }
    tdm__json_close(&j, ']');
    TDM_TRY(tdm__json_status(&j));
    if (json) tdm__str_addf(&text, "%s\n", tdm__json_text(&j));
    tdm__str_add(&text, "");
    TDM_TRY(tdm__str_status(&text));
    *out = text.text;
    text.text = NULL;
done:
    tdm__json_free(&j);
    tdm__str_free(&text);
    return status;
}
