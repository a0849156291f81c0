/* report/compare.c: see compare.h. */
#include "report/compare.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "report/delta.h"

enum { RESAMPLES = 10000, SEED = 1 };
static const double LEVEL = 0.95, SIGNIFICANT = 0.05;

/* ---- arms and metrics -------------------------------------------------------------------------
 */

static int by_seed(const void *a, const void *b)
{
    const tdm__run *x = *(const tdm__run *const *)a, *y = *(const tdm__run *const *)b;
    return x->seed < y->seed ? -1 : x->seed > y->seed;
}

static tdm__compared *find_arm(const tdm__comparison *c, const char *name)
{
    for (size_t i = 0; i < c->n_arms; i++)
        if (tdm__streq(c->arms[i].name, name)) return &c->arms[i];
    return NULL;
}

static tdm_status add_metric_name(tdm__comparison *c, const char *name)
{
    for (size_t i = 0; i < c->n_metrics; i++)
        if (tdm__streq(c->metrics[i], name)) return TDM_OK;
    const tdm_status status =
        tdm__grow(&c->metrics, &c->metrics_capacity, c->n_metrics + 1, sizeof *c->metrics);
    if (!status) c->metrics[c->n_metrics++] = name;
    return status;
}

static tdm_status gather(tdm__comparison *c, const tdm_runs *runs)
{
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__calloc_try(runs->n, sizeof *c->arms, &c->arms));
    for (size_t i = 0; i < runs->n; i++) {
        const tdm__run *run = &runs->list[i];
        if (!run->n_metrics || run->trouble) continue;
        tdm__compared *a = find_arm(c, run->arm);
        if (!a) {
            a = &c->arms[c->n_arms++];
            a->name = run->arm;
            TDM_TRY(tdm__calloc_try(runs->n, sizeof *a->runs, &a->runs));
        }
        a->runs[a->n++] = run;
        for (size_t m = 0; m < run->n_metrics; m++)
            TDM_TRY(add_metric_name(c, run->metrics[m].name));
    }
done:
    return status;
}

static tdm_status check_seeds(const tdm__comparison *c)
{
    for (size_t i = 0; i < c->n_arms; i++) {
        const tdm__compared *a = &c->arms[i];
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

static tdm_status baseline_first(tdm__comparison *c, const char *name)
{
    if (!name) return TDM_OK;
    tdm__compared *a = find_arm(c, name);
    if (!a) return tdm__fail(TDM_ERR_DATA, "no run with test metrics is called '%s'", name);
    const tdm__compared baseline = *a;
    memmove(&c->arms[1], c->arms, (size_t)(a - c->arms) * sizeof *c->arms);
    c->arms[0] = baseline;
    return TDM_OK;
}

/* ---- numbers ----------------------------------------------------------------------------------
 */

/* NaN when it has none, or none that is finite. */
static double metric_of(const tdm__compared *arm, size_t run, const char *name)
{
    const tdm__run *r = arm->runs[run];
    for (int k = 0; k < TDM__DERIVEDS; k++)
        if (tdm__streq(tdm__derived_names[k], name)) return arm->derived[run][k];
    for (size_t i = 0; i < r->n_metrics; i++)
        if (tdm__streq(r->metrics[i].name, name))
            return isfinite(r->metrics[i].value) ? r->metrics[i].value : NAN;
    return NAN;
}

static size_t values_of(const tdm__compared *a, const char *metric, double *out)
{
    size_t n = 0;
    for (size_t i = 0; i < a->n; i++) {
        const double v = metric_of(a, i, metric);
        if (!isnan(v)) out[n++] = v;
    }
    return n;
}

/* Values of equal seeds. */
static size_t pairs_of(const tdm__compared *a, const tdm__compared *b, const char *metric,
                       double *x, double *y)
{
    size_t n = 0;
    for (size_t i = 0; i < a->n; i++)
        for (size_t k = 0; k < b->n; k++) {
            if (a->runs[i]->seed != b->runs[k]->seed) continue;
            x[n] = metric_of(a, i, metric);
            y[n] = metric_of(b, k, metric);
            n += !isnan(x[n]) && !isnan(y[n]);
        }
    return n;
}

static tdm_status fill_cell(const tdm__comparison *c, const char *metric, size_t k, double *x,
                            double *y, tdm__cell *out)
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

static tdm__verdict verdict_of(const tdm__cell *one)
{
    const size_t n = one->difference.n;
    if (n == 0) return TDM__VERDICT_NONE;
    if (one->difference.min == 0 && one->difference.max == 0) return TDM__VERDICT_EQUAL;
    if (n == 1) return TDM__VERDICT_ONE_PAIR;
    if (one->p < SIGNIFICANT) return TDM__VERDICT_SHOWN;
    return one->least > SIGNIFICANT ? TDM__VERDICT_TOO_FEW : TDM__VERDICT_NOT_SHOWN;
}

/* The cells of all arms for one metric; p adjusted over the arms. */
static tdm_status fill_row(const tdm__comparison *c, const char *metric, tdm__cell *row)
{
    tdm_status status = TDM_OK;
    double *x = NULL, *p = NULL;
    size_t most = 1, compared = 0;
    for (size_t k = 0; k < c->n_arms; k++) most += c->arms[k].n;
    TDM_TRY(tdm__calloc_try(2 * most, sizeof *x, &x));
    TDM_TRY(tdm__calloc_try(c->n_arms, sizeof *p, &p));
    for (size_t k = 0; k < c->n_arms; k++) {
        TDM_TRY(fill_cell(c, metric, k, x, x + most, &row[k]));
        p[k] = row[k].p;
        compared += !isnan(p[k]);
    }
    TDM_TRY(tdm__holm(p, c->n_arms));
    for (size_t k = 0; k < c->n_arms; k++) {
        row[k].p = p[k];
        row[k].compared = compared;
        /* the least p of n pairs is 2 / 2^n, and Holm multiplies the least of all by their number
         */
        row[k].least = fmin(1, (double)compared * ldexp(2, -(int)row[k].difference.n));
        row[k].verdict = verdict_of(&row[k]);
    }
done:
    free(x);
    free(p);
    return status;
}

tdm_status tdm__compare(const tdm_runs *runs, const char *baseline, tdm__comparison *out)
{
    tdm_status status = TDM_OK;
    TDM_TRY(gather(out, runs));
    TDM_TRY(check_seeds(out));
    TDM_TRY(baseline_first(out, baseline));
    TDM_TRY(tdm__derive(out->arms, out->n_arms));
    for (int k = 0; k < TDM__DERIVEDS; k++)
        if (tdm__derived_any(out->arms, out->n_arms, (tdm__derived)k))
            TDM_TRY(add_metric_name(out, tdm__derived_names[k]));
    TDM_TRY(tdm__calloc_try(out->n_metrics, out->n_arms * sizeof *out->cells, &out->cells));
    for (size_t m = 0; m < out->n_metrics; m++)
        TDM_TRY(fill_row(out, out->metrics[m], &out->cells[m * out->n_arms]));
done:
    return status;
}

void tdm__comparison_free(tdm__comparison *c)
{
    for (size_t i = 0; i < c->n_arms; i++) {
        free(c->arms[i].runs);
        free(c->arms[i].derived);
    }
    free(c->arms);
    free(c->metrics);
    free(c->cells);
    *c = (tdm__comparison){0};
}

const tdm__cell *tdm__comparison_cell(const tdm__comparison *c, size_t metric, size_t arm)
{
    return &c->cells[metric * c->n_arms + arm];
}

size_t tdm__comparison_arm(const tdm__comparison *c, const char *name)
{
    const tdm__compared *a = find_arm(c, name);
    return a ? (size_t)(a - c->arms) : c->n_arms;
}

/* ---- words ------------------------------------------------------------------------------------
 */

/* How sure the pairs are of a difference that is not zero. */
static void add_certainty(const tdm__cell *one, tdm__str *out)
{
    const size_t n = one->difference.n;
    tdm__str_addf(out, " (95 %% interval of the difference %.4g to %.4g, %zu pairs)",
                  one->difference_interval.low, one->difference_interval.high, n);
    if (one->verdict == TDM__VERDICT_SHOWN)
        tdm__str_addf(out, "; p = %.2g, adjusted for %zu comparisons: not by chance alone.", one->p,
                      one->compared);
    else if (one->verdict == TDM__VERDICT_NOT_SHOWN)
        tdm__str_addf(out, "; p = %.2g: a difference is not shown.", one->p);
    else if (one->compared > 1)
        tdm__str_addf(out,
                      "; %zu pairs are too few to tell: the exact test, adjusted for %zu "
                      "comparisons, cannot go below p = %.3g.",
                      n, one->compared, one->least);
    else
        tdm__str_addf(out,
                      "; %zu pairs are too few to tell: the exact test cannot go below p = %.3g.",
                      n, one->least);
}

void tdm__comparison_sentence(const tdm__comparison *c, size_t m, size_t k, tdm__str *out)
{
    const tdm__cell *one = tdm__comparison_cell(c, m, k);
    const double d = one->difference.mean;
    const char *metric = c->metrics[m], *name = c->arms[k].name, *baseline = c->arms[0].name;
    if (one->verdict == TDM__VERDICT_NONE) {
        tdm__str_addf(out, "%s: %s and %s have no seed in common.", metric, name, baseline);
        return;
    }
    if (one->verdict == TDM__VERDICT_EQUAL) {
        tdm__str_addf(out, "%s: %s equals %s in every pair (%zu).", metric, name, baseline,
                      one->difference.n);
        return;
    }
    tdm__str_addf(out, "%s: %s is %s %s", metric, name,
                  d > 0   ? "higher than"
                  : d < 0 ? "lower than"
                          : "equal to",
                  baseline);
    if (d != 0) tdm__str_addf(out, " by %.4g", fabs(d));
    if (one->verdict == TDM__VERDICT_ONE_PAIR)
        tdm__str_add(out, " in the one pair there is: that tells nothing about other seeds.");
    else
        add_certainty(one, out);
}
