/* train/lines.c: see lines.h. */
#include "train/lines.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* ---- fields -----------------------------------------------------------------------------------
 */

typedef struct field {
    char name[192], spec[16]; /* spec: with %, without length */
    char type;                /* d, f, e, g, s */
} field;

static const tdm_task_report *find_task(const tdm_epoch_report *r, const char *name, size_t n)
{
    for (size_t t = 0; t < r->n_tasks; t++)
        if (strlen(r->tasks[t].name) == n && !strncmp(r->tasks[t].name, name, n))
            return &r->tasks[t];
    return NULL;
}

/* The configuration has the task, but does not enable it: a baseline of one task has the lines of
 * the runs it stands beside. */
static bool is_left_out(const tdm_config *config, const char *name, size_t n)
{
    tdm__str key = {0};
    bool enabled = true;
    if (!config) return false;
    tdm__str_addf(&key, "tasks.%.*s.enabled", (int)n, name);
    const bool known = tdm_config_bool(config, tdm__str_text(&key), &enabled) == TDM_OK;
    tdm__str_free(&key);
    return known && !enabled;
}

/* "total", "TASK.loss", ... */
static bool report_value(const tdm_epoch_report *r, const tdm_config *config, const char *name,
                         double *out)
{
    *out = r->total;
    if (!strcmp(name, "total")) return true;
    const char *dot = strrchr(name, '.');
    const tdm_task_report *task = dot ? find_task(r, name, (size_t)(dot - name)) : NULL;
    *out = NAN;
    if (!task) return dot && is_left_out(config, name, (size_t)(dot - name));
    *out = strcmp(dot + 1, "weight") ? task->loss : task->weight;
    if (!strcmp(dot + 1, "loss") || !strcmp(dot + 1, "weight")) return true;
    for (size_t m = 0; m < task->n_metrics; m++) {
        *out = task->metrics[m].value;
        if (!strcmp(task->metrics[m].name, dot + 1)) return true;
    }
    return false;
}

static bool field_value(const char *name, const tdm__line_data *d, double *out)
{
    const struct {
        const char *name;
        double value;
    } own[] = {{"epoch", (double)d->train->epoch},
               {"epochs", (double)d->train->epochs},
               {"step", (double)d->train->step},
               {"lr", d->train->lr},
               {"seconds", d->train->seconds}};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        *out = own[i].value;
        if (!strcmp(name, own[i].name)) return true;
    }
    if (!strncmp(name, "train.", 6)) return report_value(d->train, d->config, name + 6, out);
    if (strncmp(name, "val.", 4)) return false;
    const bool known = report_value(d->val ? d->val : d->train, d->config, name + 4, out);
    if (!d->val) *out = NAN;
    return known;
}

/* "NAME" or "NAME:SPEC" of n bytes. */
static tdm_status parse_field(const char *text, size_t n, field *out)
{
    const char *colon = memchr(text, ':', n);
    const size_t name = colon ? (size_t)(colon - text) : n, spec = colon ? n - name - 1 : 0;
    memset(out, 0, sizeof *out);
    if (name == 0 || name >= sizeof out->name || spec + 2 >= sizeof out->spec)
        return tdm__fail(TDM_ERR_CONFIG, "{%.*s}: is no field", (int)n, text);
    memcpy(out->name, text, name);
    out->type = !strcmp(out->name, "path") ? 's' : 'g';
    out->spec[0] = '%';
    if (spec) memcpy(out->spec + 1, colon + 1, spec);
    char *at = out->spec + 1;
    while (*at && strchr("+- 0", *at)) at++;
    for (int digits = 0; isdigit((unsigned char)*at) && digits < 2; digits++) at++;
    const int precision = *at == '.' ? 2 : 0;
    if (precision) at++;
    for (int digits = 0; isdigit((unsigned char)*at) && digits < precision; digits++) at++;
    if (!spec) {
        *at = out->type;
        return TDM_OK;
    }
    if (strlen(at) != 1 || !strchr(out->type == 's' ? "s" : "defg", *at))
        return tdm__fail(TDM_ERR_CONFIG,
                         "{%.*s}: '%.*s' must be a width, a precision and one of d, e, f, g, as in "
                         "04d or .4f",
                         (int)n, text, (int)spec, colon + 1);
    out->type = *at;
    return TDM_OK;
}

static tdm_status add_field(const char *text, size_t n, const tdm__line_data *d, tdm__str *out)
{
    field f;
    double value;
    char number[128];
    tdm_status status = parse_field(text, n, &f);
    if (status) return status;
    if (f.type == 's') {
        if (!d->path) return tdm__fail(TDM_ERR_CONFIG, "{path}: only a saved checkpoint has one");
        return tdm__str_add(out, d->path), TDM_OK;
    }
    if (!field_value(f.name, d, &value))
        return tdm__fail(
            TDM_ERR_CONFIG,
            "{%s}: no such value (hint: epoch, epochs, step, lr, seconds, train.total, "
            "val.TASK.loss, val.TASK.METRIC)",
            f.name);
    if (f.type == 'd') { /* printed through f: whole numbers below 2^53 */
        memcpy(strchr(f.spec, 'd'), ".0f", 4);
        value = rint(value);
    }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(number, sizeof number, f.spec, value); /* a form that parse_field has checked */
#pragma GCC diagnostic pop
    tdm__str_add(out, number);
    return TDM_OK;
}

tdm_status tdm__line_format(const char *form, const tdm__line_data *data, tdm__str *out)
{
    for (const char *at = form; *at;) {
        if (at[0] != '{' || at[1] == '{') {
            tdm__str_addn(out, at, 1);
            at += at[0] == '{' ? 2 : 1;
            continue;
        }
        const size_t n = strcspn(at + 1, "}");
        if (!at[1 + n]) return tdm__fail(TDM_ERR_CONFIG, "\"%s\": a brace is not closed", at);
        tdm_status status = add_field(at + 1, n, data, out);
        if (status) return status;
        at += n + 2;
    }
    return tdm__str_status(out);
}

/* ---- checking ---------------------------------------------------------------------------------
 */

static tdm_status check_form(const tdm_config *config, const char *key, const tdm__line_data *data)
{
    tdm__str text = {0};
    const char *form;
    tdm_status status = tdm_config_string(config, key, &form);
    if (!status && tdm__line_format(form, data, &text)) {
        char *reason = tdm__strdup(tdm_last_error());
        status = tdm_config_reject(config, key, "%s", reason ? reason : "");
        free(reason);
    }
    tdm__str_free(&text);
    return status;
}

tdm_status tdm__lines_check(const tdm_config *config, const tdm__session *s)
{
    tdm_status status = TDM_OK;
    tdm_task_report *tasks = NULL;
    tdm_metric_value *metrics = NULL;
    TDM_TRY(tdm__calloc_try(s->n_tasks, sizeof *tasks, &tasks));
    TDM_TRY(tdm__calloc_try(s->n_tasks * TDM__TASK_METRICS, sizeof *metrics, &metrics));
    for (size_t t = 0; t < s->n_tasks; t++) {
        const tdm__task *task = &s->tasks[t];
        tasks[t] = (tdm_task_report){.name = task->name,
                                     .n_metrics = task->n_metrics,
                                     .metrics = metrics + t * TDM__TASK_METRICS};
        for (size_t m = 0; m < task->n_metrics; m++)
            metrics[t * TDM__TASK_METRICS + m].name = task->metrics[m]->name;
    }
    const tdm_epoch_report report = {.n_tasks = s->n_tasks, .tasks = tasks};
    TDM_TRY(
        check_form(config, "train.log_format", &(tdm__line_data){&report, &report, NULL, config}));
    TDM_TRY(check_form(config, "train.save_format",
                       &(tdm__line_data){&report, &report, "path", config}));
done:
    free(tasks);
    free(metrics);
    return status;
}

void tdm__line_accuracy(const tdm_epoch_report *r, tdm__str *out)
{
    const tdm_task_report *first = &r->tasks[0];
    const size_t n = first->n_parts ? first->n_parts : r->n_tasks;
    if (r->epoch > 0) tdm__str_addf(out, "[Epoch %lld] ", (long long)r->epoch);
    tdm__str_addf(out, "Accuracy: %s", n > 1 ? "[" : "");
    for (size_t i = 0; i < n; i++) {
        const double value = first->n_parts          ? first->parts[i]
                             : r->tasks[i].n_metrics ? r->tasks[i].metrics[0].value
                                                     : NAN;
        tdm__str_addf(out, "%s%.4f", i ? ", " : "", value);
    }
    if (n > 1) tdm__str_add(out, "]");
}
