/* Choosing the samples of some classes: each condition names an array and the values to keep. */
#include "data/where.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "data/dataset.h"

enum { BLOCK = 4096 /* rows read at a time */ };

/* What is chosen from: a data set, or the rows of it that a split has. */
typedef struct choice {
    const tdm_dataset *dataset;
    const tdm_split *split; /* NULL: all rows */
    uint64_t length;
    const char *key;
    bool *keep; /* length */
} choice;

static tdm_status check_condition(const choice *c, const tdm_split_where *w, size_t *array)
{
    if (tdm_dataset_find(c->dataset, w->array, array))
        return tdm__context(TDM_ERR_CONFIG, "%s.%s", c->key, w->array);
    const tdm_array_info *info = tdm_dataset_array(c->dataset, *array);
    if (info->kind != TDM_ARRAY_CLASS)
        return tdm__fail(TDM_ERR_CONFIG, "%s.%s: is of kind %s: must be of classes", c->key,
                         w->array, tdm_array_kind_name(info->kind));
    if (!w->n_values)
        return tdm__fail(TDM_ERR_CONFIG, "%s.%s: must have one class at least", c->key, w->array);
    for (size_t i = 0; i < w->n_values; i++)
        if (info->classes && (w->values[i] < 0 || (uint64_t)w->values[i] >= info->classes))
            return tdm__fail(TDM_ERR_CONFIG,
                             "%s.%s: %" PRId64 " is no class of it: must be in 0..%" PRIu64, c->key,
                             w->array, w->values[i], info->classes - 1);
    return TDM_OK;
}

static bool is_wanted(const tdm_split_where *w, int64_t value)
{
    for (size_t i = 0; i < w->n_values; i++)
        if (w->values[i] == value) return true;
    return false;
}

/* Leaves keep[i] only where the array's value is wanted. */
static tdm_status apply(choice *c, const tdm_split_where *w)
{
    uint64_t *rows = NULL;
    int32_t *values = NULL;
    size_t array = 0;
    tdm_status status = TDM_OK;
    TDM_TRY(check_condition(c, w, &array));
    TDM_TRY(tdm__calloc_try(BLOCK, sizeof *rows, &rows));
    TDM_TRY(tdm__calloc_try(BLOCK, sizeof *values, &values));
    for (uint64_t at = 0; at < c->length; at += BLOCK) {
        size_t n = c->length - at < BLOCK ? (size_t)(c->length - at) : BLOCK;
        for (size_t i = 0; i < n; i++)
            rows[i] = c->split ? tdm_split_row(c->split, at + i) : at + i;
        TDM_TRY(tdm__dataset_read_rows(c->dataset, array, rows, n, TDM__TO_I32, values));
        for (size_t i = 0; i < n; i++) c->keep[at + i] = c->keep[at + i] && is_wanted(w, values[i]);
    }
done:
    free(rows);
    free(values);
    return status;
}

static tdm_status choose(choice *c, const tdm_split_where *where, size_t n, uint64_t **out,
                         uint64_t *n_out)
{
    uint64_t *kept = NULL, count = 0;
    tdm_status status = TDM_OK;
    *out = NULL;
    TDM_TRY(tdm__calloc_try(c->length, sizeof *c->keep, &c->keep));
    memset(c->keep, true, c->length * sizeof *c->keep);
    for (size_t i = 0; i < n; i++) TDM_TRY(apply(c, &where[i]));
    TDM_TRY(tdm__calloc_try(c->length, sizeof *kept, &kept));
    for (uint64_t i = 0; i < c->length; i++)
        if (c->keep[i]) kept[count++] = i;
    *out = kept;
    *n_out = count;
done:
    free(c->keep);
    return status;
}

tdm_status tdm__where_rows(const tdm_dataset *dataset, const char *key,
                           const tdm_split_where *where, size_t n, uint64_t **rows,
                           uint64_t *n_rows)
{
    choice c = {.dataset = dataset, .length = tdm_dataset_length(dataset), .key = key};
    return choose(&c, where, n, rows, n_rows);
}

tdm_status tdm__where_indices(const tdm_split *split, const char *key, const tdm_split_where *where,
                              size_t n, uint64_t **indices, uint64_t *n_indices)
{
    choice c = {.dataset = tdm_split_dataset(split),
                .split = split,
                .length = tdm_split_length(split),
                .key = key};
    return choose(&c, where, n, indices, n_indices);
}
