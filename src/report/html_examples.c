/* report/html_examples.c: who is taken for whom, image-by-image comparisons within a seed, example
 * predictions. See html.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "report/html.h"

/* ---- confusion ---------------------------------------------------------------------------------
 */

/* Rows in percent of their labels; NaN: no label of that class. */
static tdm_status add_matrix(const tdm__report *r, const tdm__matrix *m, tdm__str *out)
{
    tdm_status status = TDM_OK;
    double *shares = NULL;
    tdm__str title = {0};
    TDM_TRY(tdm__calloc_try(m->n * m->n, sizeof *shares, &shares));
    for (size_t i = 0; i < m->n; i++) {
        double sum = 0;
        for (size_t k = 0; k < m->n; k++) sum += m->counts[i * m->n + k];
        for (size_t k = 0; k < m->n; k++)
            shares[i * m->n + k] = sum > 0 ? 100 * m->counts[i * m->n + k] / sum : NAN;
    }
    tdm__str_addf(&title, "%s: %s", r->arms[m->arm].label, m->task);
    TDM_TRY(tdm__str_status(&title));
    const tdm__heat_chart chart = {.title = tdm__str_text(&title),
                                   .x_label = "answer",
                                   .y_label = "label; % of the row",
                                   .rows = m->n,
                                   .columns = m->n,
                                   .row_names = (const char *const *)m->classes,
                                   .column_names = (const char *const *)m->classes,
                                   .values = shares,
                                   .range = {0, 100},
                                   .decimals = 0,
                                   .square = true};
    tdm__str_add(out, "<figure>");
    tdm__chart_heat(&chart, out);
    tdm__str_add(out, "</figure>\n");
done:
    tdm__str_free(&title);
    free(shares);
    return status;
}

tdm_status tdm__html_matrices(const tdm__report *r, tdm__str *out)
{
    tdm_status status = TDM_OK;
    const tdm__examples *e = &r->examples;
    if (!e->n_matrices) return TDM_OK;
    tdm__html_section(out, "matrices", "Who is taken for whom");
    tdm__html_paragraph(out, "muted",
                        "Answers to the test split by each arm's first finished run. A row is a "
                        "label and sums to 100 %.");
    tdm__str_add(out, "<div class=\"charts three\">");
    for (size_t i = 0; i < e->n_matrices; i++) TDM_TRY(add_matrix(r, &e->matrices[i], out));
    tdm__str_add(out, "</div>\n");
    tdm__html_section_end(out);
done:
    return status;
}

/* ---- image by image ----------------------------------------------------------------------------
 */

/* An arm against the baseline on the same images. */
typedef struct pairing {
    const tdm__scores *scores;
    tdm__pairing of;
} pairing;

/* The same for all rows of a table: two digits of the widest interval's standard error. */
static int decimals_of(const pairing *pairs, size_t n)
{
    double widest = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        widest = fmax(widest, (pairs[i].of.interval.high - pairs[i].of.interval.low) / 4);
        size = fmax(size, fabs(pairs[i].of.difference.mean));
    }
    return tdm__number_decimals(widest, size);
}

static void add_pairing(const tdm__report *r, const pairing *p, int decimals, tdm__str *out)
{
    char text[TDM__NUMBER_TEXT], high[TDM__NUMBER_TEXT];
    tdm__str_add(out, "<tr>");
    tdm__html_cell(out, NULL, r->arms[p->scores->arm].label, false);
    snprintf(text, sizeof text, "%zu", p->of.difference.n);
    tdm__html_cell(out, "images", text, true);
    tdm__number_signed(p->of.difference.mean, decimals, text);
    tdm__html_cell(out, "difference", text, true);
    tdm__number_signed(p->of.interval.low, decimals, text);
    tdm__number_signed(p->of.interval.high, decimals, high);
    tdm__str_addf(out, "<td class=\"r\" data-l=\"its 95 %% interval\">%s to %s</td>", text, high);
    tdm__p_text(p->of.p, text);
    tdm__html_cell(out, "p (Holm)", text, true);
    tdm__p_text(p->of.ranks.p, text);
    tdm__html_cell(out, "Wilcoxon", text, true);
    tdm__p_text(p->of.t.p, text);
    tdm__html_cell(out, "paired t", text, true);
    tdm__str_add(out, "</tr>\n");
}

/* All arms of one task against the baseline's scores. */
static tdm_status add_task(const tdm__report *r, const tdm__scores *base, tdm__str *out)
{
    tdm_status status = TDM_OK;
    const tdm__examples *e = &r->examples;
    pairing *pairs = NULL;
    double *p = NULL;
    size_t n = 0;
    TDM_TRY(tdm__calloc_try(r->n_arms, sizeof *pairs, &pairs));
    TDM_TRY(tdm__calloc_try(r->n_arms, sizeof *p, &p));
    for (size_t arm = 0; arm < r->n_arms; arm++) {
        const tdm__scores *s = tdm__scores_like(&e->scores, base, arm);
        if (!s || s == base) continue;
        pairs[n].scores = s;
        TDM_TRY(tdm__scores_pair(s, base, &pairs[n].of));
        p[n] = pairs[n].of.p;
        n++;
    }
    if (!n) goto done;
    TDM_TRY(tdm__holm(p, n));
    tdm__str_add(out, "<h3>");
    tdm__markup_text(out, base->task);
    tdm__str_add(out, ": ");
    tdm__markup_text(out, base->what);
    tdm__str_add(out, " <small>difference to ");
    tdm__markup_text(out, r->arms[base->arm].label);
    tdm__str_addf(
        out,
        ", seed %lld</small></h3>\n<div class=\"scroll\"><table class=\"list\"><thead>"
        "<tr><th>arm</th><th class=\"r\">images</th><th class=\"r\">difference</th>"
        "<th class=\"r\">its 95 %% interval</th><th class=\"r\">p (Holm)</th>"
        "<th class=\"r\">Wilcoxon</th><th class=\"r\">paired t</th></tr></thead><tbody>\n",
        (long long)base->seed);
    const int decimals = decimals_of(pairs, n);
    for (size_t i = 0; i < n; i++) {
        pairs[i].of.p = p[i];
        add_pairing(r, &pairs[i], decimals, out);
    }
    tdm__str_add(out, "</tbody></table></div>\n");
done:
    free(pairs);
    free(p);
    return status;
}

static tdm_status add_pairings(const tdm__report *r, tdm__str *out)
{
    tdm_status status = TDM_OK;
    const tdm__examples *e = &r->examples;
    tdm__str tables = {0};
    for (size_t i = 0; i < e->scores.n; i++)
        if (e->scores.list[i].arm == r->baseline) TDM_TRY(add_task(r, &e->scores.list[i], &tables));
    TDM_TRY(tdm__str_status(&tables));
    if (tables.length) {
        tdm__html_paragraph(
            out, "muted",
            "Two trained networks on the same images of the test split: a sign-flip "
            "test over images (p), and p of Wilcoxon's and of Student's test. It says whether "
            "these networks differ on such images, "
            "not whether another seed would show the same.");
        tdm__str_add(out, tdm__str_text(&tables));
    }
done:
    tdm__str_free(&tables);
    return status;
}

/* ---- pictures ----------------------------------------------------------------------------------
 */

static void add_example(const tdm__report *r, const tdm__example *x, tdm__str *out)
{
    bool any = false;
    for (size_t a = 0; a < r->n_arms; a++) any |= x->pictures[a] != NULL;
    if (!any) return;
    tdm__str_add(out, "<h3>");
    tdm__markup_text(out, x->task);
    tdm__str_addf(out, ": %s <small>test image %llu</small></h3>\n<div class=\"examples\">",
                  x->which, (unsigned long long)x->index);
    for (size_t a = 0; a < r->n_arms; a++) {
        if (!x->pictures[a]) continue;
        tdm__str_add(out, "<figure><figcaption>");
        tdm__markup_text(out, r->arms[a].label);
        tdm__str_add(
            out, "</figcaption><img alt=\"input, answers and truth\" src=\"data:image/png;base64,");
        tdm__str_add(out, x->pictures[a]);
        tdm__str_add(out, "\"></figure>\n");
    }
    tdm__str_add(out, "</div>\n");
}

tdm_status tdm__html_examples(const tdm__report *r, tdm__str *out)
{
    tdm_status status = TDM_OK;
    const tdm__examples *e = &r->examples;
    if (!e->scores.n) return TDM_OK;
    tdm__html_section(out, "examples", "Image by image");
    TDM_TRY(add_pairings(r, out));
    if (e->n)
        tdm__html_paragraph(
            out, "muted",
            "The best, the median and the worst image of each task by the first arm "
            "that has the task; each picture shows the input, the answers, and the "
            "truth where it is known.");
    for (size_t i = 0; i < e->n; i++) add_example(r, &e->list[i], out);
    tdm__html_section_end(out);
done:
    return status;
}
