/* Choosing the samples of some classes: each condition names an array and the values to keep. */
#include "data/where.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "data/dataset.h"

enum { BLOCK = 4096 /* rows read at a time */ };

static tdm_status check_condition(const tdm_dataset *ds, const tdm_split_where *w, size_t *array)
{
    if (tdm_dataset_find(ds, w->array, array))
        return tdm__context(TDM_ERR_CONFIG, "data.where.%s", w->array);
    const tdm_array_info *info = tdm_dataset_array(ds, *array);
    if (info->kind != TDM_ARRAY_CLASS)
        return tdm__fail(TDM_ERR_CONFIG, "data.where.%s: is of kind %s: must be of classes",
                         w->array, tdm_array_kind_name(info->kind));
    if (!w->n_values)
        return tdm__fail(TDM_ERR_CONFIG, "data.where.%s: must have one class at least", w->array);
    for (size_t i = 0; i < w->n_values; i++)
        if (info->classes && (w->values[i] < 0 || (uint64_t)w->values[i] >= info->classes))
            return tdm__fail(TDM_ERR_CONFIG,
                             "data.where.%s: %" PRId64 " is no class of it: must be in 0..%" PRIu64,
                             w->array, w->values[i], info->classes - 1);
    return TDM_OK;
}

static bool is_wanted(const tdm_split_where *w, int64_t value)
{
    for (size_t i = 0; i < w->n_values; i++)
        if (w->values[i] == value) return true;
    return false;
}

/* Leaves keep[row] only where the array's value is wanted. */
static tdm_status apply(const tdm_dataset *ds, const tdm_split_where *w, bool *keep)
{
    uint64_t length = tdm_dataset_length(ds), *rows = NULL;
    int32_t *values = NULL;
    size_t array = 0;
    tdm_status status = TDM_OK;
    TDM_TRY(check_condition(ds, w, &array));
    TDM_TRY(tdm__calloc_try(BLOCK, sizeof *rows, &rows));
    TDM_TRY(tdm__calloc_try(BLOCK, sizeof *values, &values));
    for (uint64_t at = 0; at < length; at += BLOCK) {
        size_t n = length - at < BLOCK ? (size_t)(length - at) : BLOCK;
        for (size_t i = 0; i < n; i++) rows[i] = at + i;
        TDM_TRY(tdm__dataset_read_rows(ds, array, rows, n, TDM__TO_I32, values));
        for (size_t i = 0; i < n; i++) keep[at + i] = keep[at + i] && is_wanted(w, values[i]);
    }
done:
    free(rows);
    free(values);
    return status;
}

tdm_status tdm__where_rows(const tdm_dataset *ds, const tdm_split_where *where, size_t n,
                           uint64_t **rows, uint64_t *n_rows)
{
    uint64_t length = tdm_dataset_length(ds), *kept = NULL, count = 0;
    bool *keep = NULL;
    tdm_status status = TDM_OK;
    *rows = NULL;
    TDM_TRY(tdm__calloc_try(length, sizeof *keep, &keep));
    memset(keep, true, length * sizeof *keep);
    for (size_t i = 0; i < n; i++) TDM_TRY(apply(ds, &where[i], keep));
    TDM_TRY(tdm__calloc_try(length, sizeof *kept, &kept));
    for (uint64_t i = 0; i < length; i++)
        if (keep[i]) kept[count++] = i;
    if (!count) {
        status = tdm__fail(TDM_ERR_CONFIG, "data.where: no sample of %s has what is wanted",
                           tdm_dataset_name(ds));
        goto done;
    }
    *rows = kept;
    *n_rows = count;
    kept = NULL;
done:
    free(kept);
    free(keep);
    return status;
}
