/* report/history.c: see history.h. */
#include "report/history.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "format/json.h"

enum { NAME = 256, SERIES_MOST = 4096 };

static bool same(const tdm__series *a, const tdm__series *b)
{
    return a->kind == b->kind && tdm__streq(a->split, b->split) && tdm__streq(a->task, b->task) &&
           tdm__streq(a->what, b->what);
}

const tdm__series *tdm__history_find(const tdm__history *h, const tdm__series *like)
{
    for (size_t i = 0; i < h->n; i++)
        if (same(&h->series[i], like)) return &h->series[i];
    return NULL;
}

static void series_free(tdm__series *s)
{
    free((void *)s->split);
    free((void *)s->task);
    free((void *)s->what);
    free(s->epoch);
    free(s->value);
}

void tdm__history_free(tdm__history *h)
{
    for (size_t i = 0; i < h->n; i++) series_free(&h->series[i]);
    free(h->series);
    *h = (tdm__history){0};
}

static tdm_status add_series(tdm__history *h, const tdm__series *like, tdm__series **out)
{
    tdm_status status = TDM_OK;
    tdm__series s = {.kind = like->kind,
                     .split = tdm__strdup(like->split),
                     .task = tdm__strdup(like->task),
                     .what = tdm__strdup(like->what)};
    if (!s.split || !s.task || !s.what) TDM_TRY(tdm__fail(TDM_ERR_NOMEM, "out of memory"));
    TDM_TRY(tdm__grow(&h->series, &h->capacity, h->n + 1, sizeof *h->series));
    h->series[h->n] = s;
    *out = &h->series[h->n++];
done:
    if (status) series_free(&s);
    return status;
}

static tdm_status add_point(tdm__history *h, const tdm__series *like, double epoch, double value)
{
    tdm_status status = TDM_OK;
    tdm__series *s = (tdm__series *)tdm__history_find(h, like);
    if (!s && h->n == SERIES_MOST) return TDM_OK; /* no chart shows that many */
    if (!s) TDM_TRY(add_series(h, like, &s));
    if (s->n == s->capacity) {
        size_t capacity = s->capacity;
        TDM_TRY(tdm__grow(&s->epoch, &capacity, s->n + 1, sizeof *s->epoch));
        TDM_TRY(tdm__grow(&s->value, &s->capacity, s->n + 1, sizeof *s->value));
    }
    s->epoch[s->n] = epoch;
    s->value[s->n++] = value;
done:
    return status;
}

/* A line being read. */
typedef struct line {
    tdm__history *history;
    const char *split;
    double epoch;
} line;

/* null is NaN; what is no number is no point. */
static tdm_status add_number(const line *l, tdm__series_kind kind, const char *task,
                             const char *what, const json_t *value)
{
    if (!json_is_number(value) && !json_is_null(value)) return TDM_OK;
    const tdm__series like = {.kind = kind, .split = l->split, .task = task, .what = what};
    return add_point(l->history, &like, l->epoch,
                     json_is_number(value) ? json_number_value(value) : NAN);
}

/* Numbers of an object and of the objects in it, as "name.name". */
static tdm_status add_diagnostics(const line *l, const char *task, const char *prefix,
                                  json_t *value, int depth)
{
    tdm_status status = TDM_OK;
    const char *key;
    json_t *member;
    if (!json_is_object(value)) return add_number(l, TDM__SERIES_DIAGNOSTIC, task, prefix, value);
    if (depth == 0) return TDM_OK;
    json_object_foreach(value, key, member)
    {
        char name[NAME];
        const int n = snprintf(name, sizeof name, "%s.%s", prefix, key);
        if (n > 0 && n < NAME) TDM_TRY(add_diagnostics(l, task, name, member, depth - 1));
    }
done:
    return status;
}

static tdm_status read_task(const line *l, const char *task, json_t *object)
{
    /* what describes the classes of a task belongs to one evaluation, not to a curve */
    static const char *const not_series[] = {"samples", "parts", "classes", "confusion"};
    tdm_status status = TDM_OK;
    const char *key, *metric;
    json_t *value, *entry;
    json_object_foreach(object, key, value)
    {
        bool series = true;
        for (size_t i = 0; i < sizeof not_series / sizeof *not_series; i++)
            series &= !tdm__streq(key, not_series[i]);
        if (tdm__streq(key, "loss")) {
            TDM_TRY(add_number(l, TDM__SERIES_LOSS, task, key, value));
        } else if (tdm__streq(key, "weight")) {
            TDM_TRY(add_number(l, TDM__SERIES_WEIGHT, task, key, value));
        } else if (tdm__streq(key, "metrics")) {
            json_object_foreach(value, metric, entry)
                TDM_TRY(add_number(l, TDM__SERIES_METRIC, task, metric, entry));
        } else if (series) {
            TDM_TRY(add_diagnostics(l, task, key, value, 2));
        }
    }
done:
    return status;
}

static tdm_status read_members(const line *l, json_t *root)
{
    static const char *const known[] = {"total", "lr", "seconds", "wait_share", "step_seconds"};
    static const char *const not_series[] = {"epoch", "step", "samples", "split"};
    tdm_status status = TDM_OK;
    const char *key, *task;
    json_t *value, *entry;
    json_object_foreach(root, key, value)
    {
        bool of_run = false, series = true;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            of_run |= tdm__streq(key, known[i]);
        for (size_t i = 0; i < sizeof not_series / sizeof *not_series; i++)
            series &= !tdm__streq(key, not_series[i]);
        if (tdm__streq(key, "tasks")) {
            json_object_foreach(value, task, entry) TDM_TRY(read_task(l, task, entry));
        } else if (of_run) {
            TDM_TRY(add_number(l, TDM__SERIES_RUN, "", key, value));
        } else if (series) {
            TDM_TRY(add_diagnostics(l, "", key, value, 2));
        }
    }
done:
    return status;
}

/* *taken: the line was a report of an epoch. */
static tdm_status read_line(const char *text, size_t n, tdm__history *out, bool *taken)
{
    json_error_t error;
    tdm_status status = TDM_OK;
    json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &error);
    const json_t *epoch = json_object_get(root, "epoch");
    const char *split = json_string_value(json_object_get(root, "split"));
    *taken = json_is_integer(epoch) && split;
    if (*taken) {
        const line l = {out, split, json_number_value(epoch)};
        status = read_members(&l, root);
    }
    json_decref(root);
    return status;
}

tdm_status tdm__history_parse(const char *text, size_t size, tdm__history *out)
{
    tdm_status status = TDM_OK;
    const char *end = text + size;
    while (text < end) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        const size_t n = stop ? (size_t)(stop - text) : (size_t)(end - text);
        bool taken = true;
        if (n) TDM_TRY(read_line(text, n, out, &taken));
        out->unread += !taken && stop;
        text += n + (stop != NULL);
    }
done:
    return status;
}
