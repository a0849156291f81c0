/* report/compare_samples.c: arms against the baseline within each seed, over the samples of the
 * test split that the checkpoints are run on (see samples.h). */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "report/compare.h"
#include "report/samples.h"

static const double SIGNIFICANT = 0.05;

/* Arm `arm` against the baseline in one metric; p adjusted for the seed's arms. */
typedef struct row {
    const tdm__scores *scores;
    const char *arm, *baseline;
    tdm__pairing of;
    size_t compared;
} row;

typedef struct writer {
    const tdm__comparison *c;
    const char *const *assignments;
    size_t n_assignments, rows;
    bool json;
    tdm__json j;
    tdm__str table, sentences;
} writer;

static void add_sentence(const row *r, tdm__str *out)
{
    const tdm__summary *d = &r->of.difference;
    tdm__str_addf(out, "%s.%s, seed %" PRId64 ": ", r->scores->task, r->scores->what,
                  r->scores->seed);
    if (d->n == 0) {
        tdm__str_addf(out, "%s and %s have no sample in common.", r->arm, r->baseline);
    } else if (d->min == 0 && d->max == 0) {
        tdm__str_addf(out, "%s equals %s on every sample (%zu).", r->arm, r->baseline, d->n);
    } else {
        tdm__str_addf(out, "%s is %s %s by %.4g on %zu samples", r->arm,
                      d->mean < 0 ? "lower than" : "higher than", r->baseline, fabs(d->mean), d->n);
        tdm__str_addf(out, " (95 %% interval of the difference %.4g to %.4g); p = %.2g%s",
                      r->of.interval.low, r->of.interval.high, r->of.p,
                      r->of.p < SIGNIFICANT ? "" : ": a difference is not shown.");
        if (r->of.p < SIGNIFICANT)
            tdm__str_addf(out,
                          ", adjusted for %zu comparisons: these two networks differ on such "
                          "samples.",
                          r->compared);
    }
}

static void write_json(writer *w, const row *r)
{
    tdm__str sentence = {0}, metric = {0};
    tdm__json *j = &w->j;
    tdm__str_addf(&metric, "%s.%s", r->scores->task, r->scores->what);
    add_sentence(r, &sentence);
    tdm__json_open(j, '{');
    tdm__json_key(j, "metric"), tdm__json_string(j, tdm__str_text(&metric));
    tdm__json_key(j, "arm"), tdm__json_string(j, r->arm);
    tdm__json_key(j, "against"), tdm__json_string(j, r->baseline);
    tdm__json_key(j, "seed"), tdm__json_int(j, r->scores->seed);
    tdm__json_key(j, "difference"), tdm__json_open(j, '{');
    tdm__summary_json(&r->of.difference, &r->of.interval, j);
    tdm__json_key(j, "effect_size"), tdm__json_number(j, r->of.effect);
    tdm__test_json("permutation", &r->of.flips, j);
    tdm__test_json("wilcoxon", &r->of.ranks, j);
    tdm__test_json("paired_t", &r->of.t, j);
    tdm__json_key(j, "p_adjusted"), tdm__json_number(j, r->of.p);
    tdm__json_key(j, "sentence"), tdm__json_string(j, tdm__str_text(&sentence));
    tdm__json_close(j, '}');
    tdm__json_close(j, '}');
    tdm__str_free(&sentence);
    tdm__str_free(&metric);
}

static void write_line(writer *w, const row *r)
{
    const double numbers[] = {r->of.difference.mean, r->of.interval.low,
                              r->of.interval.high,   r->of.p,
                              r->of.ranks.p,         r->of.t.p};
    tdm__str metric = {0};
    tdm__str_addf(&metric, "%s.%s", r->scores->task, r->scores->what);
    tdm__str_addf(&w->table, "%-28s %-24s %6" PRId64 " %8zu", tdm__str_text(&metric), r->arm,
                  r->scores->seed, r->of.difference.n);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        tdm__number_column(&w->table, numbers[i]);
    tdm__str_add(&w->table, "\n");
    add_sentence(r, &w->sentences);
    tdm__str_add(&w->sentences, "\n");
    tdm__str_free(&metric);
}

/* All arms against the baseline's scores in one metric. */
static tdm_status write_metric(writer *w, const tdm__score_list *list, const tdm__scores *base)
{
    tdm_status status = TDM_OK;
    const tdm__comparison *c = w->c;
    row *rows = NULL;
    double *p = NULL;
    size_t n = 0;
    TDM_TRY(tdm__calloc_try(c->n_arms, sizeof *rows, &rows));
    TDM_TRY(tdm__calloc_try(c->n_arms, sizeof *p, &p));
    for (size_t k = 1; k < c->n_arms; k++) {
        const tdm__scores *scores = tdm__scores_like(list, base, k);
        if (!scores) continue;
        rows[n] = (row){.scores = scores, .arm = c->arms[k].name, .baseline = c->arms[0].name};
        TDM_TRY(tdm__scores_pair(scores, base, &rows[n].of));
        p[n] = rows[n].of.p;
        n++;
    }
    TDM_TRY(tdm__holm(p, n));
    for (size_t i = 0; i < n; i++) {
        rows[i].of.p = p[i];
        for (size_t k = 0; k < n; k++) rows[i].compared += !isnan(p[k]);
        if (w->json)
            write_json(w, &rows[i]);
        else
            write_line(w, &rows[i]);
    }
    w->rows += n;
done:
    free(rows);
    free(p);
    return status;
}

/* ---- seeds ------------------------------------------------------------------------------------
 */

static const tdm__run *run_of_seed(const tdm__compared *arm, int64_t seed)
{
    for (size_t i = 0; i < arm->n; i++)
        if (arm->runs[i]->seed == seed) return arm->runs[i];
    return NULL;
}

static tdm_status measure(const writer *w, const tdm__run *run, size_t arm, tdm__score_list *out)
{
    tdm_evaluation *evaluation = NULL;
    const tdm_status status =
        tdm__samples_measure(&(tdm__samples_spec){.run = run->path,
                                                  .arm = arm,
                                                  .seed = run->seed,
                                                  .limit = UINT64_MAX,
                                                  .assignments = w->assignments,
                                                  .n_assignments = w->n_assignments},
                             out, &evaluation);
    tdm_evaluation_destroy(&evaluation);
    return status ? tdm__context(status, "%s", run->path) : TDM_OK;
}

/* What is measured at a time is the runs of one seed. */
static tdm_status write_seed(writer *w, const tdm__run *base)
{
    tdm_status status = TDM_OK;
    const tdm__comparison *c = w->c;
    tdm__score_list list = {0};
    for (size_t k = 1; k < c->n_arms; k++) {
        const tdm__run *run = run_of_seed(&c->arms[k], base->seed);
        if (!run) continue;
        if (!list.n) TDM_TRY(measure(w, base, 0, &list));
        TDM_TRY(measure(w, run, k, &list));
    }
    for (size_t i = 0; i < list.n; i++)
        if (list.list[i].arm == 0) TDM_TRY(write_metric(w, &list, &list.list[i]));
done:
    tdm__score_list_free(&list);
    return status;
}

static tdm_status write_all(writer *w)
{
    tdm_status status = TDM_OK;
    const tdm__compared *base = &w->c->arms[0];
    if (w->json)
        tdm__json_open(&w->j, '[');
    else
        tdm__str_addf(&w->table, "%-28s %-24s %6s %8s %9s %9s %9s %9s %9s %9s\n",
                      "metric (test samples)", "arm", "seed", "samples", "diff", "95% from", "to",
                      "p (Holm)", "Wilcoxon", "p of t");
    for (size_t i = 0; i < base->n; i++) TDM_TRY(write_seed(w, base->runs[i]));
    if (!w->rows)
        TDM_TRY(tdm__fail(TDM_ERR_DATA, "%s and the other arms have no seed and task in common",
                          base->name));
    if (w->json) tdm__json_close(&w->j, ']');
done:
    return status;
}

tdm_status tdm_runs_compare_samples(const tdm_runs *runs, const char *baseline,
                                    const char *const *assignments, size_t n, bool json, char **out)
{
    tdm_status status = TDM_OK;
    tdm__comparison c = {0};
    writer w = {.c = &c, .assignments = assignments, .n_assignments = n, .json = json};
    tdm__str text = {0};
    *out = NULL;
    TDM_TRY(tdm__compare(runs, baseline, &c));
    if (c.n_arms < 2)
        TDM_TRY(tdm__hint(tdm__fail(TDM_ERR_DATA,
                                    "%zu runs: there are no two arms with test "
                                    "metrics to compare",
                                    runs->n),
                          "an arm is what shares a `name`"));
    TDM_TRY(write_all(&w));
    TDM_TRY(json ? tdm__json_status(&w.j) : tdm__str_status(&w.sentences));
    if (json)
        tdm__str_addf(&text, "%s\n", tdm__json_text(&w.j));
    else
        tdm__str_addf(&text,
                      "%s\n%sThe samples of a seed are of one training of each arm: they can "
                      "tell these networks apart,\nnot what another seed would give.\n",
                      tdm__str_text(&w.table), tdm__str_text(&w.sentences));
    TDM_TRY(tdm__str_status(&text));
    *out = text.text;
    text.text = NULL;
done:
    tdm__str_free(&text);
    tdm__str_free(&w.table);
    tdm__str_free(&w.sentences);
    tdm__json_free(&w.j);
    tdm__comparison_free(&c);
    return status;
}
