/* report/compare.c: arms against a baseline, metric by metric, in pairs of equal seeds. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "format/json.h"
#include "report/runs.h"
#include "report/statistics.h"

enum { RESAMPLES = 10000, SEED = 1 };
static const double LEVEL = 0.95, SIGNIFICANT = 0.05;

typedef struct arm {
    const char *name;
    const tdm__run **runs; /* with test metrics, by seed */
    size_t n;
} arm;

typedef struct comparison {
    arm *arms; /* the first is the baseline */
    size_t n_arms;
    const char **metrics;
    size_t n_metrics, metrics_capacity;
} comparison;

/* One arm's numbers of one metric, and against the baseline's. */
typedef struct cell {
    tdm__summary all, difference;
    tdm__interval interval, difference_interval;
    tdm__test flips, ranks, t;
    double effect, p; /* p: of the flips, adjusted */
} cell;

/* ---- arms and metrics -------------------------------------------------------------------------
 */

static int by_seed(const void *a, const void *b)
{
    const tdm__run *x = *(const tdm__run *const *)a, *y = *(const tdm__run *const *)b;
    return x->seed < y->seed ? -1 : x->seed > y->seed;
}

static arm *find_arm(comparison *c, const char *name)
{
    for (size_t i = 0; i < c->n_arms; i++)
        if (tdm__streq(c->arms[i].name, name)) return &c->arms[i];
    return NULL;
}

static tdm_status add_metric_name(comparison *c, const char *name)
{
    for (size_t i = 0; i < c->n_metrics; i++)
        if (tdm__streq(c->metrics[i], name)) return TDM_OK;
    const tdm_status status =
        tdm__grow(&c->metrics, &c->metrics_capacity, c->n_metrics + 1, sizeof *c->metrics);
    if (!status) c->metrics[c->n_metrics++] = name;
    return status;
}

static tdm_status gather(comparison *c, const tdm_runs *runs)
{
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__calloc_try(runs->n, sizeof *c->arms, &c->arms));
    for (size_t i = 0; i < runs->n; i++) {
        const tdm__run *run = &runs->list[i];
        if (!run->n_metrics || run->trouble) continue;
        arm *a = find_arm(c, run->arm);
        if (!a) {
            a = &c->arms[c->n_arms++];
            a->name = run->arm;
            TDM_TRY(tdm__calloc_try(runs->n, sizeof *a->runs, &a->runs));
        }
        a->runs[a->n++] = run;
        for (size_t m = 0; m < run->n_metrics; m++)
            TDM_TRY(add_metric_name(c, run->metrics[m].name));
    }
    if (!c->n_arms)
        status = tdm__hint(tdm__fail(TDM_ERR_DATA, "%zu runs: none has test metrics", runs->n),
                           "runs that have ended and whose data have a test split");
done:
    return status;
}

static tdm_status check_seeds(const comparison *c)
{
    for (size_t i = 0; i < c->n_arms; i++) {
        const arm *a = &c->arms[i];
        qsort(a->runs, a->n, sizeof *a->runs, by_seed);
        for (size_t k = 1; k < a->n; k++)
            if (a->runs[k]->seed == a->runs[k - 1]->seed)
                return tdm__hint(tdm__fail(TDM_ERR_DATA, "%s: seed %" PRId64 " twice: %s and %s",
                                           a->name, a->runs[k]->seed, a->runs[k - 1]->path,
                                           a->runs[k]->path),
                                 "name one of them, or give what differs another `name`");
    }
    return TDM_OK;
}

static tdm_status baseline_first(comparison *c, const char *name)
{
    if (!name) return TDM_OK;
    arm *a = find_arm(c, name);
    if (!a) return tdm__fail(TDM_ERR_DATA, "no run with test metrics is called '%s'", name);
    const arm baseline = *a;
    memmove(&c->arms[1], c->arms, (size_t)(a - c->arms) * sizeof *c->arms);
    c->arms[0] = baseline;
    return TDM_OK;
}

/* ---- numbers ----------------------------------------------------------------------------------
 */

/* NaN when it has none, or none that is finite. */
static double metric_of(const tdm__run *run, const char *name)
{
    for (size_t i = 0; i < run->n_metrics; i++)
        if (tdm__streq(run->metrics[i].name, name))
            return isfinite(run->metrics[i].value) ? run->metrics[i].value : NAN;
    return NAN;
}

static size_t values_of(const arm *a, const char *metric, double *out)
{
    size_t n = 0;
    for (size_t i = 0; i < a->n; i++) {
        const double v = metric_of(a->runs[i], metric);
        if (!isnan(v)) out[n++] = v;
    }
    return n;
}

/* Values of equal seeds. */
static size_t pairs_of(const arm *a, const arm *b, const char *metric, double *x, double *y)
{
    size_t n = 0;
    for (size_t i = 0; i < a->n; i++)
        for (size_t k = 0; k < b->n; k++) {
            if (a->runs[i]->seed != b->runs[k]->seed) continue;
            x[n] = metric_of(a->runs[i], metric);
            y[n] = metric_of(b->runs[k], metric);
            n += !isnan(x[n]) && !isnan(y[n]);
        }
    return n;
}

static tdm_status fill_cell(const comparison *c, const char *metric, size_t k, double *x, double *y,
                            cell *out)
{
    tdm_status status = TDM_OK;
    size_t n = values_of(&c->arms[k], metric, x);
    TDM_TRY(tdm__summarise(x, n, &out->all));
    TDM_TRY(tdm__bootstrap_mean(x, n, LEVEL, RESAMPLES, SEED, &out->interval));
    n = k ? pairs_of(&c->arms[k], &c->arms[0], metric, x, y) : 0;
    TDM_TRY(tdm__permutation(x, y, n, RESAMPLES, SEED, &out->flips));
    TDM_TRY(tdm__wilcoxon(x, y, n, &out->ranks));
    tdm__paired_t(x, y, n, &out->t);
    out->effect = tdm__effect_size(x, y, n);
    out->p = out->flips.p;
    for (size_t i = 0; i < n; i++) x[i] -= y[i];
    TDM_TRY(tdm__summarise(x, n, &out->difference));
    TDM_TRY(tdm__bootstrap_mean(x, n, LEVEL, RESAMPLES, SEED, &out->difference_interval));
done:
    return status;
}

/* The cells of all arms for one metric; p adjusted over the arms. */
static tdm_status fill_row(const comparison *c, const char *metric, cell *row)
{
    tdm_status status = TDM_OK;
    double *x = NULL, *p = NULL;
    size_t most = 1;
    for (size_t k = 0; k < c->n_arms; k++) most += c->arms[k].n;
    TDM_TRY(tdm__calloc_try(2 * most, sizeof *x, &x));
    TDM_TRY(tdm__calloc_try(c->n_arms, sizeof *p, &p));
    for (size_t k = 0; k < c->n_arms; k++) {
        TDM_TRY(fill_cell(c, metric, k, x, x + most, &row[k]));
        p[k] = row[k].p;
    }
    TDM_TRY(tdm__holm(p, c->n_arms));
    for (size_t k = 0; k < c->n_arms; k++) row[k].p = p[k];
done:
    free(x);
    free(p);
    return status;
}

/* ---- words ------------------------------------------------------------------------------------
 */

/* What the comparison shows, and what it cannot show. */
static void add_sentence(const comparison *c, const char *metric, size_t k, const cell *one,
                         tdm__str *out)
{
    const size_t n = one->difference.n;
    const double d = one->difference.mean;
    const char *name = c->arms[k].name, *baseline = c->arms[0].name;
    if (n == 0) {
        tdm__str_addf(out, "%s: %s and %s have no seed in common.", metric, name, baseline);
        return;
    }
    if (one->difference.min == 0 && one->difference.max == 0) {
        tdm__str_addf(out, "%s: %s equals %s in every pair (%zu).", metric, name, baseline, n);
        return;
    }
    tdm__str_addf(out, "%s: %s is %s %s", metric, name,
                  d > 0   ? "higher than"
                  : d < 0 ? "lower than"
                          : "equal to",
                  baseline);
    if (d != 0) tdm__str_addf(out, " by %.4g", fabs(d));
    if (n == 1) {
        tdm__str_add(out, " in the one pair there is: that tells nothing about other seeds.");
        return;
    }
    tdm__str_addf(out, " (95 %% interval of the difference %.4g to %.4g, %zu pairs)",
                  one->difference_interval.low, one->difference_interval.high, n);
    const double least = ldexp(2, -(int)n);
    if (least > SIGNIFICANT)
        tdm__str_addf(out,
                      "; %zu pairs are too few to tell: the exact test cannot go below p = %.3g.",
                      n, least);
    else if (one->p < SIGNIFICANT)
        tdm__str_addf(out, "; p = %.2g, adjusted for %zu comparisons: not by chance alone.", one->p,
                      c->n_arms - 1);
    else
        tdm__str_addf(out, "; p = %.2g: a difference is not shown.", one->p);
}

static void add_json_test(tdm__json *j, const char *name, const tdm__test *t)
{
    tdm__json_key(j, name);
    tdm__json_open(j, '{');
    tdm__json_key(j, "statistic"), tdm__json_number(j, t->statistic);
    tdm__json_key(j, "p"), tdm__json_number(j, t->p);
    tdm__json_key(j, "exact"), tdm__json_bool(j, t->exact);
    tdm__json_close(j, '}');
}

static void add_json_summary(tdm__json *j, const tdm__summary *s, const tdm__interval *i)
{
    tdm__json_key(j, "n"), tdm__json_uint(j, s->n);
    tdm__json_key(j, "mean"), tdm__json_number(j, s->mean);
    tdm__json_key(j, "sd"), tdm__json_number(j, s->sd);
    tdm__json_key(j, "median"), tdm__json_number(j, s->median);
    tdm__json_key(j, "low"), tdm__json_number(j, i->low);
    tdm__json_key(j, "high"), tdm__json_number(j, i->high);
}

static void add_json_cell(const comparison *c, const char *metric, size_t k, const cell *one,
                          tdm__json *j)
{
    tdm__json_open(j, '{');
    tdm__json_key(j, "metric"), tdm__json_string(j, metric);
    tdm__json_key(j, "arm"), tdm__json_string(j, c->arms[k].name);
    add_json_summary(j, &one->all, &one->interval);
    if (k) {
        tdm__str sentence = {0};
        add_sentence(c, metric, k, one, &sentence);
        tdm__json_key(j, "against"), tdm__json_string(j, c->arms[0].name);
        tdm__json_key(j, "difference"), tdm__json_open(j, '{');
        add_json_summary(j, &one->difference, &one->difference_interval);
        tdm__json_key(j, "effect_size"), tdm__json_number(j, one->effect);
        add_json_test(j, "permutation", &one->flips);
        add_json_test(j, "wilcoxon", &one->ranks);
        add_json_test(j, "paired_t", &one->t);
        tdm__json_key(j, "p_adjusted"), tdm__json_number(j, one->p);
        tdm__json_key(j, "sentence"), tdm__json_string(j, tdm__str_text(&sentence));
        tdm__json_close(j, '}');
        tdm__str_free(&sentence);
    }
    tdm__json_close(j, '}');
}

static void add_number(tdm__str *out, double value)
{
    if (isnan(value))
        tdm__str_addf(out, " %9s", "-");
    else
        tdm__str_addf(out, " %9.4g", value);
}

static void add_line(const comparison *c, const char *metric, size_t k, const cell *one,
                     tdm__str *out)
{
    tdm__str_addf(out, "%-28s %-24s %3zu", k ? "" : metric, c->arms[k].name, one->all.n);
    add_number(out, one->all.mean);
    add_number(out, one->all.sd);
    add_number(out, one->interval.low);
    add_number(out, one->interval.high);
    if (k) {
        add_number(out, one->difference.mean);
        add_number(out, one->p);
        add_number(out, one->t.p);
        add_number(out, one->effect);
    }
    tdm__str_add(out, "\n");
}

static tdm_status write_out(const comparison *c, bool json, tdm__str *text)
{
    tdm_status status = TDM_OK;
    cell *row = NULL;
    tdm__json j = {0};
    tdm__str sentences = {0};
    TDM_TRY(tdm__calloc_try(c->n_arms, sizeof *row, &row));
    tdm__json_open(&j, '[');
    if (!json)
        tdm__str_addf(text, "%-28s %-24s %3s %9s %9s %9s %9s %9s %9s %9s %9s\n", "metric (test)",
                      "arm", "n", "mean", "sd", "95% from", "to", "diff", "p (Holm)", "p of t",
                      "effect");
    for (size_t m = 0; m < c->n_metrics; m++) {
        TDM_TRY(fill_row(c, c->metrics[m], row));
        for (size_t k = 0; k < c->n_arms; k++) {
            if (json) {
                add_json_cell(c, c->metrics[m], k, &row[k], &j);
                continue;
            }
            add_line(c, c->metrics[m], k, &row[k], text);
            if (!k) continue;
            add_sentence(c, c->metrics[m], k, &row[k], &sentences);
            tdm__str_add(&sentences, "\n");
        }
    }
    tdm__json_close(&j, ']');
    if (json)
        tdm__str_addf(text, "%s\n", tdm__json_text(&j));
    else
        tdm__str_addf(text, "%s%s", c->n_arms > 1 ? "\n" : "", tdm__str_text(&sentences));
    TDM_TRY(tdm__json_status(&j));
    TDM_TRY(tdm__str_status(&sentences));
    TDM_TRY(tdm__str_status(text));
done:
    tdm__str_free(&sentences);
    tdm__json_free(&j);
    free(row);
    return status;
}

tdm_status tdm_runs_compare(const tdm_runs *runs, const char *baseline, bool json, char **out)
{
    tdm_status status = TDM_OK;
    comparison c = {0};
    tdm__str text = {0};
    *out = NULL;
    TDM_TRY(gather(&c, runs));
    TDM_TRY(check_seeds(&c));
    TDM_TRY(baseline_first(&c, baseline));
    TDM_TRY(write_out(&c, json, &text));
    *out = text.text;
    text.text = NULL;
done:
    tdm__str_free(&text);
    for (size_t i = 0; i < c.n_arms; i++) free(c.arms[i].runs);
    free(c.arms);
    free(c.metrics);
    return status;
}
