/* experiment/settings.c: lists of settings, and grids, lists and random draws of them. */
#include "experiment/settings.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "config/internal.h"
#include "format/json.h"

/* ---- settings -------------------------------------------------------------------------------- */

/* The parts around the first =, without the blanks there. */
static tdm_status split(const char *text, char **key, char **value)
{
    const char *equals = strchr(text, '=');
    *key = *value = NULL;
    if (!equals || equals == text)
        return tdm__hint(tdm__fail(TDM_ERR_CONFIG, "%.120s: must be key=value", text),
                         "or write a mapping, {optim.lr: 0.01}");
    size_t n = (size_t)(equals - text);
    while (n > 0 && (text[n - 1] == ' ' || text[n - 1] == '\t')) n--;
    equals += 1 + strspn(equals + 1, " \t");
    *key = strndup(text, n);
    *value = tdm__strdup(equals);
    return *key && *value ? TDM_OK : tdm__fail(TDM_ERR_NOMEM, "out of memory");
}

tdm_status tdm__settings_read(tdm__pairs *s, const char *const *texts, size_t n)
{
    tdm_status status = TDM_OK;
    for (size_t i = 0; i < n && !status; i++) {
        char *key, *value;
        status = split(texts[i], &key, &value);
        if (!status) status = tdm__pairs_add(s, key, value);
        free(key);
        free(value);
    }
    return status;
}

tdm_status tdm__setting_json(const char *value, tdm__str *out)
{
    tdm_status status = TDM_OK;
    tdm__items items = {0};
    tdm__json j = {0};
    double number;
    bool flag;
    TDM_TRY(tdm__items_parse_value(TDM_OPT_STRING, value, &items));
    const tdm__item *item = &items.items[0];
    if (item->kind == TDM__ITEM_LIST) tdm__json_open(&j, '[');
    for (size_t i = 0; i < item->n; i++) {
        const char *text = item->scalars[i].text;
        if (item->scalars[i].null)
            tdm__json_null(&j);
        else if (tdm__parse_f64(text, &number) && isfinite(number))
            tdm__json_number(&j, number);
        else if (!tdm__parse_i64(text, &(int64_t){0}) && tdm__parse_bool(text, &flag))
            tdm__json_bool(&j, flag);
        else
            tdm__json_string(&j, text);
    }
    if (item->kind == TDM__ITEM_LIST) tdm__json_close(&j, ']');
    TDM_TRY(tdm__json_status(&j));
    tdm__str_add(out, tdm__json_text(&j));
    status = tdm__str_status(out);
done:
    tdm__json_free(&j);
    tdm__items_free(&items);
    return status;
}

/* ---- points ---------------------------------------------------------------------------------- */

void tdm__points_free(tdm__points *p)
{
    for (size_t i = 0; i < p->n; i++) tdm__pairs_free(&p->list[i]);
    free(p->list);
    *p = (tdm__points){0};
}

static tdm_status points_add(tdm__points *p, tdm__pairs **out)
{
    if (p->n >= TDM__POINTS_MAX)
        return tdm__fail(TDM_ERR_CONFIG, "too many points: must be at most %d", TDM__POINTS_MAX);
    tdm_status status = tdm__grow(&p->list, &p->capacity, p->n + 1, sizeof *p->list);
    if (!status) *out = &p->list[p->n++];
    return status;
}

/* A key with its candidates. */
typedef struct axis {
    char *key, *text;
    tdm__items items; /* one, whose scalars are the candidates */
} axis;

static void axes_free(axis *axes, size_t n)
{
    for (size_t i = 0; axes && i < n; i++) {
        free(axes[i].key);
        free(axes[i].text);
        tdm__items_free(&axes[i].items);
    }
    free(axes);
}

static tdm_status axes_read(const char *const *texts, size_t n, axis **out)
{
    tdm_status status = TDM_OK;
    axis *axes = NULL;
    TDM_TRY(tdm__calloc_try(n, sizeof *axes, &axes));
    for (size_t i = 0; i < n; i++) {
        TDM_TRY(split(texts[i], &axes[i].key, &axes[i].text));
        TDM_TRY(tdm__items_parse_value(TDM_OPT_STRINGS, axes[i].text, &axes[i].items));
        if (axes[i].items.items[0].n == 0)
            TDM_TRY(tdm__fail(TDM_ERR_CONFIG, "%s: must be a list of values", axes[i].key));
        for (size_t k = 0; k < i; k++)
            if (tdm__streq(axes[k].key, axes[i].key))
                TDM_TRY(tdm__fail(TDM_ERR_CONFIG, "%s: is given twice", axes[i].key));
    }
    *out = axes;
    axes = NULL;
done:
    axes_free(axes, n);
    return status;
}

static size_t candidates(const axis *a)
{
    return a->items.items[0].n;
}

static const char *candidate(const axis *a, size_t i)
{
    return a->items.items[0].scalars[i].text;
}

tdm_status tdm__points_grid(tdm__points *points, const char *const *texts, size_t n)
{
    tdm_status status = TDM_OK;
    axis *axes = NULL;
    uint64_t total = 1;
    if (n == 0) return TDM_OK;
    TDM_TRY(axes_read(texts, n, &axes));
    for (size_t a = 0; a < n; a++)
        if (!tdm__mul_u64(total, candidates(&axes[a]), &total) || total > TDM__POINTS_MAX)
            TDM_TRY(
                tdm__fail(TDM_ERR_CONFIG, "too many points: must be at most %d", TDM__POINTS_MAX));
    for (uint64_t p = 0; p < total; p++) {
        tdm__pairs *point;
        uint64_t below = total, rest = p;
        TDM_TRY(points_add(points, &point));
        for (size_t a = 0; a < n; a++) {
            below /= candidates(&axes[a]);
            TDM_TRY(tdm__pairs_add(point, axes[a].key, candidate(&axes[a], rest / below)));
            rest %= below;
        }
    }
done:
    axes_free(axes, n);
    return status;
}

tdm_status tdm__points_together(tdm__points *points, const char *const *texts, size_t n)
{
    tdm_status status = TDM_OK;
    axis *axes = NULL;
    if (n == 0) return TDM_OK;
    TDM_TRY(axes_read(texts, n, &axes));
    for (size_t a = 1; a < n; a++)
        if (candidates(&axes[a]) != candidates(&axes[0]))
            TDM_TRY(tdm__fail(TDM_ERR_CONFIG, "%s has %zu values and %s %zu: they change together",
                              axes[0].key, candidates(&axes[0]), axes[a].key,
                              candidates(&axes[a])));
    for (size_t i = 0; i < candidates(&axes[0]); i++) {
        tdm__pairs *point;
        TDM_TRY(points_add(points, &point));
        for (size_t a = 0; a < n; a++)
            TDM_TRY(tdm__pairs_add(point, axes[a].key, candidate(&axes[a], i)));
    }
done:
    axes_free(axes, n);
    return status;
}

/* ---- random points --------------------------------------------------------------------------- */

typedef enum law { LAW_LOG_UNIFORM, LAW_UNIFORM, LAW_INT, LAW_CHOICE, LAWS } law;
static const char *const law_names[LAWS] = {"log-uniform", "uniform", "int", "choice"};

static const char *law_name(const void *owner, size_t i)
{
    (void)owner;
    return law_names[i];
}

/* Takes the law off the end of the axis's key. */
static tdm_status read_law(axis *a, law *out, double bounds[2])
{
    char *dot = strrchr(a->key, '.');
    size_t k = 0;
    const char *word = dot ? dot + 1 : "";
    while (k < LAWS && strcmp(word, law_names[k]) != 0) k++;
    if (k == LAWS)
        return tdm__fail_unknown(TDM_ERR_CONFIG, word, NULL, law_name, LAWS,
                                 "random keys: %s: '%s' is no distribution: there are", a->key,
                                 word);
    *dot = 0;
    *out = (law)k;
    if (*out == LAW_CHOICE) return TDM_OK;
    if (candidates(a) != 2 || !tdm__parse_f64(candidate(a, 0), &bounds[0]) ||
        !tdm__parse_f64(candidate(a, 1), &bounds[1]) || !isfinite(bounds[0]) ||
        !isfinite(bounds[1]) || bounds[0] > bounds[1])
        return tdm__fail(TDM_ERR_CONFIG, "%s: %s: must be [low, high]", a->key, law_names[k]);
    if (*out == LAW_LOG_UNIFORM && !(bounds[0] > 0))
        return tdm__fail(TDM_ERR_CONFIG, "%s: log-uniform: must be above 0", a->key);
    return TDM_OK;
}

/* u is uniform in [0, 1). Continuous values keep four figures: nobody tunes finer, and the value
 * stands in the run's name. */
static void draw_text(const axis *a, law l, const double bounds[2], double u, char *out,
                      size_t size)
{
    const double low = bounds[0], high = bounds[1];
    switch (l) {
    case LAW_LOG_UNIFORM:
        snprintf(out, size, "%.4g", exp(log(low) + u * (log(high) - log(low))));
        break;
    case LAW_UNIFORM:
        snprintf(out, size, "%.4g", low + u * (high - low));
        break;
    case LAW_INT:
        snprintf(out, size, "%.0f", floor(ceil(low) + u * (floor(high) - ceil(low) + 1)));
        break;
    case LAW_CHOICE:
    case LAWS:
        snprintf(out, size, "%s", candidate(a, (size_t)(u * (double)candidates(a))));
        break;
    }
}

tdm_status tdm__points_random(tdm__points *points, const char *const *texts, size_t n, size_t count,
                              uint64_t seed)
{
    tdm_status status = TDM_OK;
    axis *axes = NULL;
    if (count == 0 && n == 0) return TDM_OK;
    if (count == 0 || n == 0) return tdm__fail(TDM_ERR_CONFIG, "random needs both points and keys");
    TDM_TRY(axes_read(texts, n, &axes));
    const size_t first = points->n;
    for (size_t i = 0; i < count; i++) {
        tdm__pairs *point;
        TDM_TRY(points_add(points, &point));
    }
    for (size_t a = 0; a < n; a++) {
        law l = LAW_CHOICE;
        double bounds[2] = {0, 0};
        char text[256];
        TDM_TRY(read_law(&axes[a], &l, bounds));
        tdm__rng rng = tdm__rng_make(seed, tdm__rng_stream(axes[a].key, 0, 0));
        for (size_t i = 0; i < count; i++) {
            draw_text(&axes[a], l, bounds, tdm__rng_uniform(&rng), text, sizeof text);
            TDM_TRY(tdm__pairs_add(&points->list[first + i], axes[a].key, text));
        }
    }
done:
    axes_free(axes, n);
    return status;
}
