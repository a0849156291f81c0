/* report/compare_text.c: a comparison as an aligned table with sentences, or as JSON. */
#include <math.h>
#include <stdlib.h>

#include "report/compare.h"

void tdm__test_json(const char *name, const tdm__test *t, tdm__json *j)
{
    tdm__json_key(j, name);
    tdm__json_open(j, '{');
    tdm__json_key(j, "statistic"), tdm__json_number(j, t->statistic);
    tdm__json_key(j, "p"), tdm__json_number(j, t->p);
    tdm__json_key(j, "exact"), tdm__json_bool(j, t->exact);
    tdm__json_close(j, '}');
}

void tdm__summary_json(const tdm__summary *s, const tdm__interval *i, tdm__json *j)
{
    tdm__json_key(j, "n"), tdm__json_uint(j, s->n);
    tdm__json_key(j, "mean"), tdm__json_number(j, s->mean);
    tdm__json_key(j, "sd"), tdm__json_number(j, s->sd);
    tdm__json_key(j, "median"), tdm__json_number(j, s->median);
    tdm__json_key(j, "low"), tdm__json_number(j, i->low);
    tdm__json_key(j, "high"), tdm__json_number(j, i->high);
}

static void add_json_cell(const tdm__comparison *c, size_t m, size_t k, tdm__json *j)
{
    const tdm__cell *one = tdm__comparison_cell(c, m, k);
    tdm__json_open(j, '{');
    tdm__json_key(j, "metric"), tdm__json_string(j, c->metrics[m]);
    tdm__json_key(j, "arm"), tdm__json_string(j, c->arms[k].name);
    tdm__summary_json(&one->all, &one->interval, j);
    if (k) {
        tdm__str sentence = {0};
        tdm__comparison_sentence(c, m, k, &sentence);
        tdm__json_key(j, "against"), tdm__json_string(j, c->arms[0].name);
        tdm__json_key(j, "difference"), tdm__json_open(j, '{');
        tdm__summary_json(&one->difference, &one->difference_interval, j);
        tdm__json_key(j, "effect_size"), tdm__json_number(j, one->effect);
        tdm__test_json("permutation", &one->flips, j);
        tdm__test_json("wilcoxon", &one->ranks, j);
        tdm__test_json("paired_t", &one->t, j);
        tdm__json_key(j, "p_adjusted"), tdm__json_number(j, one->p);
        tdm__json_key(j, "sentence"), tdm__json_string(j, tdm__str_text(&sentence));
        tdm__json_close(j, '}');
        tdm__str_free(&sentence);
    }
    tdm__json_close(j, '}');
}

void tdm__number_column(tdm__str *out, double value)
{
    if (isnan(value))
        tdm__str_addf(out, " %9s", "-");
    else
        tdm__str_addf(out, " %9.4g", value);
}

static void add_line(const tdm__comparison *c, size_t m, size_t k, tdm__str *out)
{
    const tdm__cell *one = tdm__comparison_cell(c, m, k);
    tdm__str_addf(out, "%-28s %-24s %3zu", k ? "" : c->metrics[m], c->arms[k].name, one->all.n);
    tdm__number_column(out, one->all.mean);
    tdm__number_column(out, one->all.sd);
    tdm__number_column(out, one->interval.low);
    tdm__number_column(out, one->interval.high);
    if (k) {
        tdm__number_column(out, one->difference.mean);
        tdm__number_column(out, one->p);
        tdm__number_column(out, one->t.p);
        tdm__number_column(out, one->effect);
    }
    tdm__str_add(out, "\n");
}

void tdm__comparison_json(const tdm__comparison *c, tdm__json *j)
{
    tdm__json_open(j, '[');
    for (size_t m = 0; m < c->n_metrics; m++)
        for (size_t k = 0; k < c->n_arms; k++) add_json_cell(c, m, k, j);
    tdm__json_close(j, ']');
}

static tdm_status write_json(const tdm__comparison *c, tdm__str *text)
{
    tdm__json j = {0};
    tdm__comparison_json(c, &j);
    tdm__str_addf(text, "%s\n", tdm__json_text(&j));
    const tdm_status status = tdm__json_status(&j);
    tdm__json_free(&j);
    return status ? status : tdm__str_status(text);
}

static tdm_status write_table(const tdm__comparison *c, tdm__str *text)
{
    tdm__str sentences = {0};
    tdm__str_addf(text, "%-28s %-24s %3s %9s %9s %9s %9s %9s %9s %9s %9s\n", "metric (test)", "arm",
                  "n", "mean", "sd", "95% from", "to", "diff", "p (Holm)", "p of t", "effect");
    for (size_t m = 0; m < c->n_metrics; m++)
        for (size_t k = 0; k < c->n_arms; k++) {
            add_line(c, m, k, text);
            if (!k) continue;
            tdm__comparison_sentence(c, m, k, &sentences);
            tdm__str_add(&sentences, "\n");
        }
    tdm__str_addf(text, "%s%s", c->n_arms > 1 ? "\n" : "", tdm__str_text(&sentences));
    const tdm_status status = tdm__str_status(&sentences);
    tdm__str_free(&sentences);
    return status ? status : tdm__str_status(text);
}

tdm_status tdm_runs_compare(const tdm_runs *runs, const char *baseline, bool json, char **out)
{
    tdm_status status = TDM_OK;
    tdm__comparison c = {0};
    tdm__str text = {0};
    *out = NULL;
    TDM_TRY(tdm__compare(runs, baseline, &c));
    if (!c.n_arms) {
        status = tdm__hint(tdm__fail(TDM_ERR_DATA, "%zu runs: none has test metrics", runs->n),
                           "runs that have ended and whose data have a test split");
        goto done;
    }
    TDM_TRY(json ? write_json(&c, &text) : write_table(&c, &text));
    *out = text.text;
    text.text = NULL;
done:
    tdm__str_free(&text);
    tdm__comparison_free(&c);
    return status;
}
