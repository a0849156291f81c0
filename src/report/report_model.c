/* report/report_model.c: what is asked of the gathered runs: curves, differences, names, colours.
 * See report.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "config/internal.h"
#include "report/canvas.h"
#include "report/delta.h"
#include "report/report.h"
#include "report/words.h"
#include "train/session.h"

static void free_run(tdm__report_run *run)
{
    free(run->folder);
    free(run->state);
    free(run->error);
    tdm__history_free(&run->history);
    tdm__pairs_free(&run->config);
    tdm__pairs_free(&run->facts);
}

void tdm__report_free(tdm__report *r)
{
    tdm__comparison_free(&r->comparison);
    tdm__examples_free(&r->examples);
    for (size_t i = 0; i < r->n_runs; i++) free_run(&r->runs[i]);
    for (size_t i = 0; i < r->n_arms; i++) {
        free(r->arms[i].name);
        free(r->arms[i].group);
        free(r->arms[i].label);
        tdm__pairs_free(&r->arms[i].set);
        tdm__pairs_free(&r->arms[i].grid);
    }
    for (size_t i = 0; i < r->n_notes; i++) free(r->notes[i]);
    free(r->notes);
    free(r->runs);
    free(r->arms);
    free(r->title);
    tdm_runs_destroy(&r->found);
    tdm__outline_free(&r->outline);
    *r = (tdm__report){0};
}

const tdm__report_run *tdm__report_first(const tdm__report *r, size_t arm)
{
    const tdm__report_run *first = NULL;
    for (size_t i = 0; i < r->n_runs; i++) {
        if (r->runs[i].arm != arm) continue;
        if (!first || (r->runs[i].finished && !first->finished)) first = &r->runs[i];
    }
    return first;
}

const tdm__cell *tdm__report_cell(const tdm__report *r, size_t metric, size_t arm)
{
    const size_t k = r->arms[arm].compared;
    return k < r->comparison.n_arms ? tdm__comparison_cell(&r->comparison, metric, k) : NULL;
}

/* ---- names -------------------------------------------------------------------------------------
 */

static void keep_part(const char *text, size_t n, char out[TDM__NAME_PART])
{
    n = n < TDM__NAME_PART - 1 ? n : TDM__NAME_PART - 1;
    memcpy(out, text, n);
    out[n] = 0;
}

void tdm__report_split(const char *metric, char task[TDM__NAME_PART], char what[TDM__NAME_PART])
{
    const char *dot = strrchr(metric, '.');
    keep_part(metric, dot ? (size_t)(dot - metric) : 0, task);
    keep_part(dot ? dot + 1 : metric, strlen(dot ? dot + 1 : metric), what);
}

bool tdm__report_primary(const tdm__report *r, size_t metric)
{
    char task[TDM__NAME_PART], what[TDM__NAME_PART], other[TDM__NAME_PART], kind[TDM__NAME_PART];
    tdm__report_split(r->comparison.metrics[metric], task, what);
    if (tdm__metric_is_baseline(what)) return false;
    /* What it cost is in the table; it is no result of a task to draw or to trade. */
    if (tdm__streq(r->comparison.metrics[metric], tdm__derived_names[TDM__DERIVED_STEP]))
        return false;
    const bool loss = tdm__streq(what, "loss");
    for (size_t m = 0; m < r->comparison.n_metrics; m++) {
        tdm__report_split(r->comparison.metrics[m], other, kind);
        if (m == metric || !tdm__streq(task, other) || tdm__streq(kind, "loss") ||
            tdm__metric_is_baseline(kind))
            continue;
        if (loss || m < metric) return false;
    }
    return true;
}

const char *tdm__report_verdict(const tdm__cell *cell, const char *metric)
{
    switch (cell->verdict) {
    case TDM__VERDICT_EQUAL:
        return "equal";
    case TDM__VERDICT_ONE_PAIR:
        return "one pair: cannot tell";
    case TDM__VERDICT_TOO_FEW:
        return "too few seeds to tell";
    case TDM__VERDICT_NOT_SHOWN:
        return "no difference shown";
    case TDM__VERDICT_SHOWN:
        return (cell->difference.mean > 0) == tdm__metric_higher_is_better(metric) ? "better"
                                                                                   : "worse";
    default:
        return "";
    }
}

/* ---- curves ------------------------------------------------------------------------------------
 */

typedef struct sample {
    double epoch, value;
} sample;

static int by_epoch(const void *a, const void *b)
{
    const double x = ((const sample *)a)->epoch, y = ((const sample *)b)->epoch;
    return x < y ? -1 : x > y;
}

static tdm_status take_samples(const tdm__report *r, size_t arm, const tdm__series *like,
                               sample **out, size_t *n)
{
    tdm_status status = TDM_OK;
    size_t capacity = 0;
    *out = NULL;
    *n = 0;
    for (size_t i = 0; i < r->n_runs; i++) {
        if (r->runs[i].arm != arm) continue;
        const tdm__series *s = tdm__history_find(&r->runs[i].history, like);
        if (!s) continue;
        TDM_TRY(tdm__grow(out, &capacity, *n + s->n, sizeof **out));
        for (size_t k = 0; k < s->n; k++) (*out)[(*n)++] = (sample){s->epoch[k], s->value[k]};
    }
    if (*n) qsort(*out, *n, sizeof **out, by_epoch);
done:
    return status;
}

/* The samples of one epoch become a point; what is not finite does not count. */
static void add_point(const sample *samples, size_t n, tdm__curve *out)
{
    double sum = 0;
    size_t count = 0;
    tdm__curve *c = out;
    c->epoch[c->n] = samples[0].epoch;
    c->mean[c->n] = c->low[c->n] = c->high[c->n] = NAN;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(samples[i].value)) continue;
        sum += samples[i].value;
        c->low[c->n] = fmin(c->low[c->n], samples[i].value);
        c->high[c->n] = fmax(c->high[c->n], samples[i].value);
        count++;
    }
    if (count) c->mean[c->n] = sum / (double)count;
    if (count > c->most) c->most = count;
    c->n++;
}

tdm_status tdm__report_curve(const tdm__report *r, size_t arm, const tdm__series *like,
                             tdm__curve *out)
{
    tdm_status status = TDM_OK;
    sample *samples = NULL;
    size_t n;
    *out = (tdm__curve){0};
    TDM_TRY(take_samples(r, arm, like, &samples, &n));
    if (!n) goto done;
    TDM_TRY(tdm__calloc_try(n, sizeof(double), &out->epoch));
    TDM_TRY(tdm__calloc_try(n, sizeof(double), &out->mean));
    TDM_TRY(tdm__calloc_try(n, sizeof(double), &out->low));
    TDM_TRY(tdm__calloc_try(n, sizeof(double), &out->high));
    for (size_t i = 0, k; i < n; i = k) {
        for (k = i + 1; k < n && !(samples[k].epoch > samples[i].epoch);) k++;
        add_point(samples + i, k - i, out);
    }
done:
    free(samples);
    return status;
}

void tdm__curve_free(tdm__curve *c)
{
    free(c->epoch);
    free(c->mean);
    free(c->low);
    free(c->high);
    *c = (tdm__curve){0};
}

tdm_status tdm__report_series(const tdm__report *r, const tdm__series ***out, size_t *n)
{
    tdm_status status = TDM_OK;
    size_t capacity = 0;
    tdm__history seen = {0}; /* a view of the series that are listed, for tdm__history_find */
    *out = NULL;
    *n = 0;
    for (size_t i = 0; i < r->n_runs; i++)
        for (size_t k = 0; k < r->runs[i].history.n; k++) {
            const tdm__series *s = &r->runs[i].history.series[k];
            if (tdm__history_find(&seen, s)) continue;
            TDM_TRY(tdm__grow(out, &capacity, *n + 1, sizeof **out));
            TDM_TRY(tdm__grow(&seen.series, &seen.capacity, seen.n + 1, sizeof *seen.series));
            seen.series[seen.n++] = *s;
            (*out)[(*n)++] = s;
        }
done:
    free(seen.series);
    if (status) free(*out), *out = NULL, *n = 0;
    return status;
}

/* ---- what differs ------------------------------------------------------------------------------
 */

/* Whether a key changes results; one that this version does not know may. */
static bool changes_results(const tdm_config *config, const char *key)
{
    const tdm_opt_spec *spec = tdm__spec_find(config, key);
    return !tdm__streq(key, "seed") && !tdm__streq(key, "name") && !tdm__streq(key, "extends") &&
           !(spec && spec->flags & TDM_OPT_RUNTIME);
}

static const char *value_of(const tdm__report *r, size_t arm, const char *key)
{
    const tdm__report_run *run = tdm__report_first(r, arm);
    const char *value = run ? tdm__pairs_find(&run->config, key) : NULL;
    return value ? value : "";
}

/* Adds the key when the arms that have a configuration disagree on it. */
static tdm_status add_difference(const tdm__report *r, const char *key, tdm__differences *out,
                                 size_t *capacity, size_t *values)
{
    tdm_status status = TDM_OK;
    const char *first = NULL;
    bool differs = false;
    for (size_t a = 0; a < r->n_arms; a++) {
        const tdm__report_run *run = tdm__report_first(r, a);
        if (!run || !run->config.n) continue;
        const char *value = value_of(r, a, key);
        if (!first) first = value;
        differs |= !tdm__streq(first, value);
    }
    if (!differs) return TDM_OK;
    TDM_TRY(tdm__grow(&out->keys, capacity, out->n + 1, sizeof *out->keys));
    TDM_TRY(tdm__grow(&out->values, values, (out->n + 1) * r->n_arms, sizeof *out->values));
    for (size_t a = 0; a < r->n_arms; a++)
        out->values[out->n * r->n_arms + a] = value_of(r, a, key);
    out->keys[out->n++] = key;
done:
    return status;
}

tdm_status tdm__report_differences(const tdm__report *r, tdm__differences *out)
{
    tdm_status status = TDM_OK;
    const tdm_opt_table *const *tables;
    size_t n, capacity = 0, values = 0;
    tdm_config *config = NULL;
    tdm__pairs seen = {0};
    *out = (tdm__differences){.n_arms = r->n_arms};
    tdm_schema(&tables, &n);
    TDM_TRY(tdm_config_create(tables, n, &config));
    for (size_t a = 0; a < r->n_arms; a++) {
        const tdm__report_run *run = tdm__report_first(r, a);
        for (size_t i = 0; run && i < run->config.n; i++) {
            const char *key = run->config.list[i].key;
            if (tdm__pairs_find(&seen, key)) continue;
            TDM_TRY(tdm__pairs_add(&seen, key, ""));
            if (changes_results(config, key))
                TDM_TRY(add_difference(r, key, out, &capacity, &values));
        }
    }
done:
    tdm__pairs_free(&seen);
    tdm_config_destroy(&config);
    return status;
}

void tdm__differences_free(tdm__differences *d)
{
    free(d->keys);
    free(d->values);
    *d = (tdm__differences){0};
}

const char *tdm__report_shared(const tdm__report *r, const char *key, bool of_config)
{
    const char *shared = NULL;
    for (size_t i = 0; i < r->n_runs; i++) {
        const tdm__pairs *s = of_config ? &r->runs[i].config : &r->runs[i].facts;
        const char *value = tdm__pairs_find(s, key);
        if (!value) continue;
        if (shared && !tdm__streq(shared, value)) return "several";
        shared = value;
    }
    return shared ? shared : "";
}

/* ---- colours -----------------------------------------------------------------------------------
 */

/* Okabe and Ito's, the pale yellow left out; on dark paper their lighter tones. */
static const tdm__color on_light[] = {{0, 114, 178}, {213, 94, 0},   {0, 158, 115}, {204, 121, 167},
                                      {230, 159, 0}, {86, 180, 233}, {90, 90, 90},  {136, 84, 24}};
static const tdm__color on_dark[] = {{66, 165, 230},  {240, 128, 60}, {40, 190, 145},
                                     {224, 150, 190}, {240, 180, 60}, {130, 200, 245},
                                     {185, 185, 185}, {200, 150, 95}};

static bool in_grid(const tdm__report_arm *arm)
{
    return arm->of_group >= 2;
}

/* Every arm has a colour of its own; the points of a grid share one, in shades. */
static size_t colour_place(const tdm__report *r, size_t arm)
{
    size_t place = 0;
    for (size_t i = 0; i < arm; i++) {
        const bool same = in_grid(&r->arms[arm]) && in_grid(&r->arms[i]) &&
                          tdm__streq(r->arms[i].group, r->arms[arm].group);
        if (same) break; /* the group's first point decides */
        place += !in_grid(&r->arms[i]) || r->arms[i].in_group == 0;
    }
    return place;
}

static tdm__color colour_of(const tdm__report *r, size_t arm, bool dark)
{
    const size_t n = sizeof on_light / sizeof *on_light;
    const tdm__color white = {255, 255, 255}, black = {0, 0, 0};
    const tdm__report_arm *a = &r->arms[arm];
    const size_t place = colour_place(r, arm), round = place / n;
    tdm__color c = (dark ? on_dark : on_light)[place % n];
    /* further rounds: away from the paper, so that they stay readable */
    c = tdm__color_mix(c, dark ? white : black, round ? fmin(0.25 * (double)round, 0.6) : 0);
    if (!in_grid(a)) return c;
    const double share = 2 * (double)a->in_group / (double)(a->of_group - 1) - 1; /* -1..1 */
    const double to_white = dark ? 0.65 : 0.5, to_black = dark ? 0.4 : 0.6;
    return share < 0 ? tdm__color_mix(c, white, -share * to_white)
                     : tdm__color_mix(c, black, share * to_black);
}

void tdm__report_colours(const tdm__report *r, bool dark, tdm__str *out)
{
    for (size_t i = 0; i < r->n_arms; i++) {
        const tdm__color c = colour_of(r, i, dark);
        tdm__str_addf(out, ".a%zu{color:#%02x%02x%02x}", i, c.r, c.g, c.b);
    }
}
