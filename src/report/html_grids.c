/* report/html_grids.c: what the points of a grid do to the results, and one task's result against
 * another's. See html.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "report/html.h"

enum {
    KEYS_MOST = 8,
    VALUES_MOST = 64,
    INTERVALS_MOST = 5 /* arms of a plane whose intervals do not hide each other */
};

/* The arms of one group that have a grid, and the keys that differ among them. */
typedef struct group {
    const tdm__report *report;
    const char *name;
    size_t *arms, n;
    const char *keys[KEYS_MOST];
    const char **values[KEYS_MOST]; /* different ones of a key, in order; numbers by size */
    size_t n_values[KEYS_MOST];
    size_t n_keys;
    bool numeric[KEYS_MOST];
} group;

static const char *value_at(const group *g, size_t i, size_t key)
{
    const char *value = tdm__pairs_find(&g->report->arms[g->arms[i]].grid, g->keys[key]);
    return value ? value : "";
}

static double number_at(const group *g, size_t i, size_t key)
{
    double value;
    return tdm__parse_f64(value_at(g, i, key), &value) ? value : NAN;
}

static int by_number(const void *a, const void *b)
{
    double x = 0, y = 0;
    tdm__parse_f64(*(const char *const *)a, &x);
    tdm__parse_f64(*(const char *const *)b, &y);
    return x < y ? -1 : x > y;
}

/* Takes a key when more than one value of it is there. */
static tdm_status take_key(group *g, const char *key)
{
    tdm_status status = TDM_OK;
    const size_t k = g->n_keys;
    for (size_t i = 0; i < k; i++)
        if (tdm__streq(g->keys[i], key)) return TDM_OK;
    if (k == KEYS_MOST) return TDM_OK;
    g->keys[k] = key;
    g->n_values[k] = 0;
    g->numeric[k] = true;
    TDM_TRY(tdm__calloc_try(g->n, sizeof **g->values, &g->values[k]));
    for (size_t i = 0; i < g->n; i++) {
        bool seen = false;
        for (size_t v = 0; v < g->n_values[k]; v++)
            seen |= tdm__streq(g->values[k][v], value_at(g, i, k));
        if (!seen) g->values[k][g->n_values[k]++] = value_at(g, i, k);
        g->numeric[k] &= isfinite(number_at(g, i, k));
    }
    if (g->numeric[k]) qsort(g->values[k], g->n_values[k], sizeof **g->values, by_number);
    if (g->n_values[k] > 1) {
        g->n_keys++;
    } else {
        free(g->values[k]);
        g->values[k] = NULL;
    }
done:
    return status;
}

static void group_free(group *g)
{
    for (size_t k = 0; k < KEYS_MOST; k++) free(g->values[k]);
    free(g->arms);
}

/* The group of arm `first`, if that is its first point. */
static tdm_status take_group(const tdm__report *r, size_t first, group *g)
{
    tdm_status status = TDM_OK;
    *g = (group){.report = r, .name = r->arms[first].group};
    TDM_TRY(tdm__calloc_try(r->n_arms, sizeof *g->arms, &g->arms));
    for (size_t i = first; i < r->n_arms; i++)
        if (r->arms[i].grid.n && tdm__streq(r->arms[i].group, g->name)) g->arms[g->n++] = i;
    for (size_t i = 0; i < g->n; i++) {
        const tdm__pairs *grid = &r->arms[g->arms[i]].grid;
        for (size_t k = 0; k < grid->n; k++) TDM_TRY(take_key(g, grid->list[k].key));
    }
done:
    return status;
}

/* Whether the first key alone tells the points apart: the others move with it. */
static bool one_key(const group *g)
{
    return g->n_keys && g->n_values[0] == g->n;
}

/* A line can stand for it. */
static bool is_curve(const group *g)
{
    return one_key(g) && g->numeric[0];
}

/* "stages.mask.data.fraction" -> "data.fraction": the same quantity, of one stage. */
static const char *plain_key(const char *key)
{
    if (strncmp(key, "stages.", 7) != 0) return key;
    const char *dot = strchr(key + 7, '.');
    return dot ? dot + 1 : key;
}

static bool wants_log(const group *g, size_t key)
{
    double low = INFINITY, high = 0;
    for (size_t i = 0; i < g->n; i++) {
        const double v = number_at(g, i, key);
        if (!(v > 0)) return false;
        low = fmin(low, v);
        high = fmax(high, v);
    }
    return high / low >= 30;
}

static void metric_label(const char *metric, tdm__str *out)
{
    char task[TDM__NAME_PART], what[TDM__NAME_PART];
    tdm__report_split(metric, task, what);
    const char *unit = tdm__metric_unit(what);
    tdm__str_addf(out, "%s%s%s on test%s%s%s", task, *task ? ": " : "", what, *unit ? " (" : "",
                  unit, *unit ? ")" : "");
}

/* ---- one key: a line ---------------------------------------------------------------------------
 */

typedef struct point {
    double x, y, low, high;
} point;

static int by_x(const void *a, const void *b)
{
    const point *p = a, *q = b;
    return p->x < q->x ? -1 : p->x > q->x;
}

static int by_height(const void *a, const void *b)
{
    const tdm__level *p = a, *q = b;
    return p->y > q->y ? -1 : p->y < q->y;
}

/* The arms that are no points of a grid, as levels, from the top. */
static size_t take_levels(const tdm__report *r, size_t metric, tdm__level *out)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n_arms; i++) {
        const tdm__cell *cell = tdm__report_cell(r, metric, i);
        if (r->arms[i].grid.n || !cell || !isfinite(cell->all.mean)) continue;
        out[n++] = (tdm__level){r->arms[i].label, i, cell->all.mean};
    }
    if (n) qsort(out, n, sizeof *out, by_height);
    return n;
}

/* The group's points, by the size of its first key; columns: 4 * g->n, for the line to point to. */
static tdm_status take_line(const group *g, size_t metric, double *columns, tdm__line *out)
{
    tdm_status status = TDM_OK;
    point *points = NULL;
    size_t n = 0;
    TDM_TRY(tdm__calloc_try(g->n, sizeof *points, &points));
    for (size_t i = 0; i < g->n; i++) {
        const tdm__cell *cell = tdm__report_cell(g->report, metric, g->arms[i]);
        if (!cell || !isfinite(cell->all.mean)) continue;
        points[n++] =
            (point){number_at(g, i, 0), cell->all.mean, cell->interval.low, cell->interval.high};
    }
    if (n) qsort(points, n, sizeof *points, by_x);
    double *const x = columns, *const y = x + g->n, *const low = y + g->n, *const high = low + g->n;
    for (size_t i = 0; i < n; i++) {
        x[i] = points[i].x;
        y[i] = points[i].y;
        low[i] = points[i].low;
        high[i] = points[i].high;
    }
    *out = (tdm__line){g->name, g->arms[0], n, x, y, low, high};
done:
    free(points);
    return status;
}

/* A line for each of n groups over the same key. */
static tdm_status add_lines(const group *groups, size_t n, size_t metric, tdm__str *out)
{
    tdm_status status = TDM_OK;
    const tdm__report *r = groups->report;
    double *columns = NULL;
    tdm__line *lines = NULL;
    tdm__level *levels = NULL;
    tdm__str title = {0};
    char task[TDM__NAME_PART], what[TDM__NAME_PART];
    size_t drawn = 0;
    TDM_TRY(tdm__calloc_try(r->n_arms, 4 * sizeof *columns, &columns)); /* groups share no arm */
    TDM_TRY(tdm__calloc_try(n, sizeof *lines, &lines));
    TDM_TRY(tdm__calloc_try(r->n_arms, sizeof *levels, &levels));
    double *next = columns;
    for (size_t i = 0; i < n; next += 4 * groups[i++].n) {
        TDM_TRY(take_line(&groups[i], metric, next, &lines[drawn]));
        if (lines[drawn].n >= 2) drawn++;
    }
    if (!drawn) goto done;
    if (n == 1) lines[0].arm = TDM__CHART_ACCENT;
    tdm__report_split(r->comparison.metrics[metric], task, what);
    metric_label(r->comparison.metrics[metric], &title);
    TDM_TRY(tdm__str_status(&title));
    const tdm__line_chart chart = {.title = tdm__str_text(&title),
                                   .x = {.label = plain_key(groups->keys[0]),
                                         .range = TDM__RANGE_NONE,
                                         .log = wants_log(groups, 0)},
                                   .y = {.label = what, .range = TDM__RANGE_NONE},
                                   .lines = lines,
                                   .n = drawn,
                                   .levels = levels,
                                   .n_levels = take_levels(r, metric, levels),
                                   .bars = true};
    tdm__str_add(out, "<figure>");
    tdm__chart_lines(&chart, out);
    tdm__str_add(out, "</figure>\n");
done:
    free(columns);
    free(lines);
    free(levels);
    tdm__str_free(&title);
    return status;
}

/* ---- two keys: a heat map ----------------------------------------------------------------------
 */

static size_t value_index(const group *g, size_t i, size_t key)
{
    size_t v = 0;
    while (v + 1 < g->n_values[key] && !tdm__streq(g->values[key][v], value_at(g, i, key))) v++;
    return v;
}

static tdm_status add_heat(const group *g, size_t metric, tdm__str *out)
{
    tdm_status status = TDM_OK;
    const tdm__report *r = g->report;
    double *values = NULL;
    tdm__str title = {0};
    const size_t rows = g->n_values[0], columns = g->n_values[1];
    TDM_TRY(tdm__calloc_try(rows * columns, sizeof *values, &values));
    for (size_t i = 0; i < rows * columns; i++) values[i] = NAN;
    for (size_t i = 0; i < g->n; i++) {
        const tdm__cell *cell = tdm__report_cell(r, metric, g->arms[i]);
        if (cell) values[value_index(g, i, 0) * columns + value_index(g, i, 1)] = cell->all.mean;
    }
    metric_label(r->comparison.metrics[metric], &title);
    TDM_TRY(tdm__str_status(&title));
    const tdm__heat_chart chart = {.title = tdm__str_text(&title),
                                   .x_label = g->keys[1],
                                   .y_label = g->keys[0],
                                   .rows = rows,
                                   .columns = columns,
                                   .row_names = g->values[0],
                                   .column_names = g->values[1],
                                   .values = values,
                                   .range = TDM__RANGE_NONE,
                                   .decimals = tdm__report_decimals(r, metric)};
    tdm__str_add(out, "<figure>");
    tdm__chart_heat(&chart, out);
    tdm__str_add(out, "</figure>\n");
done:
    tdm__str_free(&title);
    free(values);
    return status;
}

/* ---- more keys, or drawn at random: a cloud for each -------------------------------------------
 */

static tdm_status add_cloud(const group *g, size_t key, size_t metric, tdm__str *out)
{
    tdm_status status = TDM_OK;
    const tdm__report *r = g->report;
    tdm__mark *marks = NULL;
    tdm__str title = {0};
    char task[TDM__NAME_PART], what[TDM__NAME_PART];
    TDM_TRY(tdm__calloc_try(g->n, sizeof *marks, &marks));
    tdm__report_split(r->comparison.metrics[metric], task, what);
    metric_label(r->comparison.metrics[metric], &title);
    TDM_TRY(tdm__str_status(&title));
    tdm__mark_chart chart = {
        .title = tdm__str_text(&title),
        .x = {.label = g->keys[key], .range = TDM__RANGE_NONE, .log = wants_log(g, key)},
        .y = {.label = what, .range = TDM__RANGE_NONE},
        .marks = marks};
    for (size_t i = 0; i < g->n; i++) {
        const tdm__cell *cell = tdm__report_cell(r, metric, g->arms[i]);
        if (!cell || !isfinite(cell->all.mean)) continue;
        marks[chart.n++] = (tdm__mark){.name = "",
                                       .hover = r->arms[g->arms[i]].label,
                                       .arm = g->arms[i],
                                       .x = number_at(g, i, key),
                                       .x_low = NAN,
                                       .x_high = NAN,
                                       .y = cell->all.mean,
                                       .y_low = cell->interval.low,
                                       .y_high = cell->interval.high};
    }
    if (!chart.n) goto done;
    tdm__str_add(out, "<figure>");
    tdm__chart_points(&chart, out);
    tdm__str_add(out, "</figure>\n");
done:
    tdm__str_free(&title);
    free(marks);
    return status;
}

static tdm_status add_metric(const group *g, size_t metric, tdm__str *out)
{
    tdm_status status = TDM_OK;
    if (g->n_keys == 2 && g->n_values[0] <= VALUES_MOST && g->n_values[1] <= VALUES_MOST &&
        2 * g->n > g->n_values[0] * g->n_values[1])
        return add_heat(g, metric, out);
    for (size_t k = 0; k < g->n_keys && !status; k++)
        if (g->numeric[k]) status = add_cloud(g, k, metric, out);
    return status;
}

/* "over A and B", or "over A, with it B". */
static void add_keys(const group *g, tdm__str *out)
{
    tdm__str_add(out, " <small>over ");
    for (size_t k = 0; k < g->n_keys; k++) {
        tdm__str_add(out, !k ? "" : one_key(g) ? ", with it " : " and ");
        tdm__markup_text(out, g->keys[k]);
    }
    tdm__str_add(out, "</small>");
}

/* The heading: what is drawn, in which colour where there are several, over which keys. */
static void add_heading(const group *groups, size_t n, tdm__str *out)
{
    if (n > 1) {
        tdm__str_addf(out, "<h3>Over %s</h3>\n<ul class=\"legend\">", plain_key(groups->keys[0]));
        for (size_t i = 0; i < n; i++) {
            tdm__str_addf(out, "<li><i class=\"a%zu\"></i>", groups[i].arms[0]);
            tdm__markup_text(out, groups[i].name);
            add_keys(&groups[i], out);
            tdm__str_add(out, "</li>");
        }
        tdm__str_add(out, "</ul>\n");
        return;
    }
    tdm__str_add(out, "<h3>");
    tdm__markup_text(out, groups->name);
    add_keys(groups, out);
    tdm__str_add(out, "</h3>\n");
}

/* groups: one, or several whose lines go over the same key. */
static tdm_status add_groups(const group *groups, size_t n, tdm__str *out)
{
    tdm_status status = TDM_OK;
    const tdm__report *r = groups->report;
    tdm__str charts = {0};
    for (size_t m = 0; m < r->comparison.n_metrics; m++) {
        if (!tdm__report_primary(r, m)) continue;
        TDM_TRY(is_curve(groups) ? add_lines(groups, n, m, &charts)
                                 : add_metric(groups, m, &charts));
    }
    TDM_TRY(tdm__str_status(&charts));
    if (!charts.length) goto done;
    add_heading(groups, n, out);
    tdm__str_addf(out, "<div class=\"charts three\">%s</div>\n", tdm__str_text(&charts));
done:
    tdm__str_free(&charts);
    return status;
}

/* Moves the groups after the first that belong into its charts to the front. */
static size_t gather(group *groups, size_t n)
{
    size_t together = 1;
    for (size_t i = 1; i < n && is_curve(groups); i++) {
        if (!is_curve(&groups[i]) ||
            !tdm__streq(plain_key(groups[i].keys[0]), plain_key(groups->keys[0])))
            continue;
        const group taken = groups[i];
        memmove(&groups[together + 1], &groups[together], (i - together) * sizeof *groups);
        groups[together++] = taken;
    }
    return together;
}

static tdm_status add_grids(const tdm__report *r, tdm__str *out)
{
    tdm_status status = TDM_OK;
    group *groups = NULL;
    size_t n = 0, together;
    TDM_TRY(tdm__calloc_try(r->n_arms, sizeof *groups, &groups));
    for (size_t i = 0; i < r->n_arms; i++) {
        if (r->arms[i].of_group < 2 || r->arms[i].in_group != 0) continue;
        TDM_TRY(take_group(r, i, &groups[n++]));
        if (!groups[n - 1].n_keys) group_free(&groups[--n]);
    }
    for (size_t i = 0; i < n; i += together) {
        together = gather(groups + i, n - i);
        TDM_TRY(add_groups(groups + i, together, out));
    }
done:
    for (size_t i = 0; i < n; i++) group_free(&groups[i]);
    free(groups);
    return status;
}

/* ---- one task against another ------------------------------------------------------------------
 */

static tdm_status add_trade(const tdm__report *r, size_t a, size_t b, tdm__str *out)
{
    tdm_status status = TDM_OK;
    tdm__mark *marks = NULL;
    tdm__str x = {0}, y = {0}, title = {0};
    TDM_TRY(tdm__calloc_try(r->n_arms, sizeof *marks, &marks));
    metric_label(r->comparison.metrics[a], &x);
    metric_label(r->comparison.metrics[b], &y);
    tdm__str_addf(&title, "%s against %s", r->comparison.metrics[b], r->comparison.metrics[a]);
    TDM_TRY(tdm__str_status(&x));
    TDM_TRY(tdm__str_status(&y));
    TDM_TRY(tdm__str_status(&title));
    tdm__mark_chart chart = {.title = tdm__str_text(&title),
                             .x = {.label = tdm__str_text(&x), .range = TDM__RANGE_NONE},
                             .y = {.label = tdm__str_text(&y), .range = TDM__RANGE_NONE},
                             .marks = marks};
    for (size_t i = 0; i < r->n_arms; i++) {
        const tdm__cell *p = tdm__report_cell(r, a, i), *q = tdm__report_cell(r, b, i);
        if (!p || !q || !isfinite(p->all.mean) || !isfinite(q->all.mean)) continue;
        const bool alone = r->n_arms <= INTERVALS_MOST;
        marks[chart.n++] = (tdm__mark){.name = r->arms[i].label,
                                       .arm = i,
                                       .x = p->all.mean,
                                       .x_low = alone ? p->interval.low : NAN,
                                       .x_high = alone ? p->interval.high : NAN,
                                       .y = q->all.mean,
                                       .y_low = alone ? q->interval.low : NAN,
                                       .y_high = alone ? q->interval.high : NAN};
    }
    if (chart.n < 2) goto done;
    tdm__str_add(out, "<h3>One task against the other</h3><div class=\"charts\"><figure>");
    tdm__chart_points(&chart, out);
    tdm__str_addf(out, "<figcaption>Means over seeds%s.</figcaption></figure></div>\n",
                  r->n_arms <= INTERVALS_MOST ? " with 95 % intervals" : "");
done:
    free(marks);
    tdm__str_free(&x);
    tdm__str_free(&y);
    tdm__str_free(&title);
    return status;
}

tdm_status tdm__html_grids(const tdm__report *r, tdm__str *out)
{
    tdm_status status = TDM_OK;
    tdm__str inside = {0};
    size_t primary[2], n = 0;
    TDM_TRY(add_grids(r, &inside));
    for (size_t m = 0; m < r->comparison.n_metrics && n < 2; m++)
        if (tdm__report_primary(r, m)) primary[n++] = m;
    if (n == 2) TDM_TRY(add_trade(r, primary[0], primary[1], &inside));
    TDM_TRY(tdm__str_status(&inside));
    if (inside.length) {
        tdm__html_section(out, "grid", "Grids and trade-offs");
        tdm__str_add(out, tdm__str_text(&inside));
        tdm__html_section_end(out);
    }
done:
    tdm__str_free(&inside);
    return status;
}
