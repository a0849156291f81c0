/* data/split.c: which rows of which data set make up a split.
 *
 * Conditions (data.where) come first: what follows is about the rows that satisfy them.
 * Drawing: a permutation of train's rows (stream "data.split"); the first ones are val, the next
 * test, the rest train; each in ascending order. num_samples: the first ones of a permutation of
 * that rest (stream "data.subset"), in ascending order; fraction: see subset.h. So the three parts
 * are disjoint and exact, and train's subset does not move val or test.
 */
#include <tandem/loader.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "data/repack.h"
#include "data/sampler.h"
#include "data/subset.h"
#include "data/where.h"

struct tdm_split {
    tdm_dataset *dataset;
    uint64_t length;
    uint64_t *rows; /* NULL: all rows */
};

typedef enum part { PART_VAL, PART_TEST, PARTS } part;
static const char *const part_names[PARTS] = {"val", "test"};

static double part_fraction(const tdm_split_spec *spec, part p)
{
    return p == PART_VAL ? spec->val_fraction : spec->test_fraction;
}

static uint64_t part_count(const tdm_split_spec *spec, part p)
{
    return p == PART_VAL ? spec->val_count : spec->test_count;
}

static bool is_drawn(const tdm_split_spec *spec, part p)
{
    return part_count(spec, p) || part_fraction(spec, p) > 0;
}

static tdm_status check_part(const tdm_split_spec *spec, part p)
{
    const char *name = part_names[p];
    double fraction = part_fraction(spec, p);
    if (!(fraction >= 0 && fraction < 1))
        return tdm__fail(TDM_ERR_CONFIG, "data.%s_fraction = %g: must be in [0, 1)", name,
                         fraction);
    if (fraction > 0 && part_count(spec, p))
        return tdm__fail(TDM_ERR_CONFIG,
                         "data.%s_fraction and data.%s_count: only one of the two may be given",
                         name, name);
    if (is_drawn(spec, p) && tdm_dataset_has_split(spec->path, name))
        return tdm__hint(tdm__fail(TDM_ERR_CONFIG,
                                   "data.%s_%s: %s has its own %s split: none can be drawn", name,
                                   fraction > 0 ? "fraction" : "count", spec->path, name),
                         "leave it out");
    return TDM_OK;
}

static tdm_status part_sizes(const tdm_split_spec *spec, uint64_t n, uint64_t sizes[PARTS])
{
    uint64_t drawn = 0;
    for (part p = 0; p < PARTS; p++) {
        tdm_status status = check_part(spec, p);
        if (status) return status;
        sizes[p] = part_count(spec, p);
        if (!sizes[p]) sizes[p] = (uint64_t)floor(part_fraction(spec, p) * (double)n + 0.5);
        if (is_drawn(spec, p) && !sizes[p])
            return tdm__fail(TDM_ERR_CONFIG, "data.%s_fraction = %g: of %llu samples is none",
                             part_names[p], part_fraction(spec, p), (unsigned long long)n);
        if (sizes[p] >= n - drawn)
            return tdm__fail(TDM_ERR_CONFIG,
                             "data.%s_%s: %llu of the %llu samples of %s leave none for train",
                             part_names[p], part_count(spec, p) ? "count" : "fraction",
                             (unsigned long long)sizes[p], (unsigned long long)n, spec->path);
        drawn += sizes[p];
    }
    return TDM_OK;
}

/* Keeps rows[skip .. skip + n) of a permutation of 0..total-1, ascending. */
static tdm_status draw(uint64_t seed, const char *stream, uint64_t total, uint64_t skip, uint64_t n,
                       uint64_t **out)
{
    uint64_t *order = NULL;
    tdm_status status = tdm__calloc_try(total, sizeof *order, &order);
    if (status) return status;
    tdm__rng rng = tdm__rng_make(seed, tdm__rng_stream(stream, 0, 0));
    tdm__rng_permutation(&rng, order, total);
    memmove(order, order + skip, n * sizeof *order);
    tdm__sort_u64(order, n);
    uint64_t *less = realloc(order, n * sizeof *order);
    *out = less ? less : order;
    return TDM_OK;
}

/* Keeps of the split's samples those that `chosen` counts among them; takes `chosen`. */
static void keep_chosen(tdm_split *split, uint64_t *chosen, uint64_t n)
{
    for (uint64_t i = 0; split->rows && i < n; i++) chosen[i] = split->rows[chosen[i]];
    free(split->rows);
    split->rows = chosen;
    split->length = n;
}

static tdm_status take_samples(tdm_split *split, const tdm_split_spec *spec)
{
    uint64_t *chosen = NULL;
    if (spec->num_samples > split->length)
        return tdm__fail(TDM_ERR_CONFIG, "data.num_samples = %llu: train has only %llu samples",
                         (unsigned long long)spec->num_samples, (unsigned long long)split->length);
    tdm_status status =
        draw(spec->seed, "data.subset", split->length, 0, spec->num_samples, &chosen);
    if (!status) keep_chosen(split, chosen, spec->num_samples);
    return status;
}

static tdm_status take_subset(tdm_split *split, const tdm_split_spec *spec)
{
    const bool some = spec->fraction > 0 && spec->fraction < 1;
    uint64_t *chosen = NULL, n;
    if (!(spec->fraction >= 0 && spec->fraction <= 1))
        return tdm__fail(TDM_ERR_CONFIG, "data.fraction = %g: must be in (0, 1]", spec->fraction);
    if (some && spec->num_samples)
        return tdm__fail(TDM_ERR_CONFIG,
                         "data.fraction and data.num_samples: only one of the two may be given");
    if (spec->num_samples) return take_samples(split, spec);
    if (!some) return TDM_OK;
    const tdm_status status = tdm__subset_draw(
        split, spec->fraction, spec->stratify ? spec->stratify : "", spec->seed, &chosen, &n);
    if (!status) keep_chosen(split, chosen, n);
    return status;
}

/* All samples of the data set, or those that satisfy the conditions. */
static tdm_status take_all(tdm_split *split, const tdm_split_spec *spec)
{
    split->length = tdm_dataset_length(split->dataset);
    if (!spec->n_where) return TDM_OK;
    const tdm_status status = tdm__where_rows(split->dataset, "data.where", spec->where,
                                              spec->n_where, &split->rows, &split->length);
    if (status || split->length) return status;
    return tdm__fail(TDM_ERR_CONFIG, "data.where: no sample of %s has what is wanted",
                     tdm_dataset_name(split->dataset));
}

/* path as train: a folder's train split, or one file. */
static tdm_status open_train(const tdm_split_spec *spec, tdm_dataset **out)
{
    bool one = tdm__path_exists(spec->path) && !tdm__is_folder(spec->path);
    return tdm_dataset_open(spec->path, one ? NULL : "train", out);
}

/* target: PARTS for train itself. */
static tdm_status open_drawn(tdm_split *split, const tdm_split_spec *spec, part target)
{
    uint64_t sizes[PARTS] = {0}, skip = 0, *chosen = NULL;
    tdm_status status = open_train(spec, &split->dataset);
    if (!status) status = take_all(split, spec);
    uint64_t total = split->length;
    if (!status) status = part_sizes(spec, total, sizes);
    if (status) return status;
    for (part p = 0; p < target; p++) skip += sizes[p];
    uint64_t n = target == PARTS ? total - skip : sizes[target];
    if (n < total) {
        status = draw(spec->seed, "data.split", total, skip, n, &chosen);
        if (!status) keep_chosen(split, chosen, n);
    }
    if (!status && target == PARTS) status = take_subset(split, spec);
    return status;
}

/* The part of that name; PARTS: none. */
static part part_named(const char *name)
{
    part p = 0;
    while (p < PARTS && strcmp(name, part_names[p])) p++;
    return p;
}

bool tdm_split_exists(const tdm_split_spec *spec, const char *name)
{
    part p = part_named(name);
    if (tdm_dataset_has_split(spec->path, name)) return true;
    if (p < PARTS) return is_drawn(spec, p);
    return !strcmp(name, "train") && tdm__path_exists(spec->path) && !tdm__is_folder(spec->path);
}

static tdm_status open_own(tdm_split *split, const tdm_split_spec *spec, const char *name, part p)
{
    tdm_status status = tdm_dataset_open(spec->path, name, &split->dataset);
    if (status && p < PARTS && tdm__path_exists(spec->path))
        return tdm__hint(status, "data.%s_fraction draws one from train", name);
    return status ? status : take_all(split, spec);
}

tdm_status tdm_split_open(const tdm_split_spec *spec, const char *name, tdm_split **out)
{
    tdm_status status = TDM_OK;
    tdm_split *split = NULL;
    *out = NULL;
    TDM_TRY(tdm__calloc_try(1, sizeof *split, &split));
    part p = part_named(name);
    if (p < PARTS) TDM_TRY(check_part(spec, p));
    if (!strcmp(name, "train") || (p < PARTS && is_drawn(spec, p)))
        TDM_TRY(open_drawn(split, spec, p));
    else
        TDM_TRY(open_own(split, spec, name, p));
    if (spec->cache) TDM_TRY(tdm__dataset_repack(&split->dataset));
    *out = split;
    split = NULL;
done:
    tdm_split_destroy(&split);
    return status;
}

void tdm_split_destroy(tdm_split **handle)
{
    tdm_split *split = *handle;
    if (!split) return;
    *handle = NULL;
    tdm_dataset_destroy(&split->dataset);
    free(split->rows);
    free(split);
}

uint64_t tdm_split_length(const tdm_split *split)
{
    return split->length;
}

uint64_t tdm_split_row(const tdm_split *split, uint64_t index)
{
    return split->rows ? split->rows[index] : index;
}

const tdm_dataset *tdm_split_dataset(const tdm_split *split)
{
    return split->dataset;
}
