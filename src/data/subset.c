/* data/subset.c: see subset.h.
 *
 * All samples get one order, and a fraction takes what comes first in it: so fractions are nested.
 * Sample k of the n of a class, in the order of a permutation, has the place (k + u) / n with one u
 * in [0, 1) for each class (systematic sampling): the first share f of the order then has f n of
 * every class but for less than one sample, and a class of few samples comes neither always first
 * nor last.
 */
#include "data/subset.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "data/dataset.h"
#include "data/sampler.h"

enum { BLOCK = 4096 /* rows read at a time */ };
static const char stream[] = "data.fraction";

typedef struct sample {
    uint64_t index, rank; /* rank: in the permutation */
    double place;
    int32_t class;
} sample;

static int by_class(const void *a, const void *b)
{
    const sample *x = a, *y = b;
    if (x->class != y->class) return x->class < y->class ? -1 : 1;
    return (x->rank > y->rank) - (x->rank < y->rank);
}

static int by_place(const void *a, const void *b)
{
    const sample *x = a, *y = b;
    if (x->place != y->place) return x->place < y->place ? -1 : 1;
    return (x->rank > y->rank) - (x->rank < y->rank);
}

/* The array to stratify by; SIZE_MAX: none. */
static tdm_status find_classes(const tdm_dataset *data, const char *name, size_t *out)
{
    *out = SIZE_MAX;
    if (!strcmp(name, "none")) return TDM_OK;
    for (size_t i = 0; !*name && *out == SIZE_MAX && i < tdm_dataset_arrays(data); i++)
        if (tdm_dataset_array(data, i)->kind == TDM_ARRAY_CLASS) *out = i;
    if (!*name) return TDM_OK;
    if (tdm_dataset_find(data, name, out)) return tdm__context(TDM_ERR_CONFIG, "data.stratify");
    const tdm_array_kind kind = tdm_dataset_array(data, *out)->kind;
    if (kind == TDM_ARRAY_CLASS) return TDM_OK;
    return tdm__fail(TDM_ERR_CONFIG, "data.stratify: %s is of kind %s: must be of classes", name,
                     tdm_array_kind_name(kind));
}

static tdm_status read_classes(const tdm_split *split, size_t array, sample *samples, uint64_t n)
{
    tdm_status status = TDM_OK;
    uint64_t *rows = NULL;
    int32_t *values = NULL;
    TDM_TRY(tdm__calloc_try(BLOCK, sizeof *rows, &rows));
    TDM_TRY(tdm__calloc_try(BLOCK, sizeof *values, &values));
    for (uint64_t at = 0; at < n; at += BLOCK) {
        const size_t count = n - at < BLOCK ? (size_t)(n - at) : BLOCK;
        for (size_t i = 0; i < count; i++) rows[i] = tdm_split_row(split, at + i);
        TDM_TRY(tdm__dataset_read_rows(tdm_split_dataset(split), array, rows, count, TDM__TO_I32,
                                       values));
        for (size_t i = 0; i < count; i++) samples[at + i].class = values[i];
    }
done:
    free(rows);
    free(values);
    return status;
}

/* Fills in the places; the samples are left in the order of their classes. */
static void place(sample *samples, uint64_t n, uint64_t seed)
{
    qsort(samples, n, sizeof *samples, by_class);
    for (uint64_t first = 0, end; first < n; first = end) {
        for (end = first; end < n && samples[end].class == samples[first].class;) end++;
        const uint32_t class = (uint32_t)samples[first].class;
        tdm__rng rng = tdm__rng_make(seed, tdm__rng_stream("data.fraction.class", class, 0));
        const double offset = tdm__rng_uniform(&rng);
        for (uint64_t i = first; i < end; i++)
            samples[i].place = ((double)(i - first) + offset) / (double)(end - first);
    }
}

static tdm_status list_samples(const tdm_split *split, size_t array, uint64_t seed, sample *samples)
{
    tdm_status status = TDM_OK;
    const uint64_t n = tdm_split_length(split);
    uint64_t *order = NULL;
    TDM_TRY(tdm__calloc_try(n, sizeof *order, &order));
    tdm__rng rng = tdm__rng_make(seed, tdm__rng_stream(stream, 0, 0));
    tdm__rng_permutation(&rng, order, n);
    for (uint64_t i = 0; i < n; i++) samples[i].index = i;
    for (uint64_t i = 0; i < n; i++) samples[order[i]].rank = i;
    if (array != SIZE_MAX) TDM_TRY(read_classes(split, array, samples, n));
    place(samples, n, seed);
done:
    free(order);
    return status;
}

tdm_status tdm__subset_draw(const tdm_split *split, double fraction, const char *stratify,
                            uint64_t seed, uint64_t **out, uint64_t *n)
{
    tdm_status status = TDM_OK;
    const uint64_t length = tdm_split_length(split);
    sample *samples = NULL;
    uint64_t *chosen = NULL;
    size_t array;
    *out = NULL;
    *n = (uint64_t)floor(fraction * (double)length + 0.5);
    if (*n == 0)
        TDM_TRY(tdm__fail(TDM_ERR_CONFIG, "data.fraction = %g: of %" PRIu64 " samples is none",
                          fraction, length));
    TDM_TRY(find_classes(tdm_split_dataset(split), stratify, &array));
    TDM_TRY(tdm__calloc_try(length, sizeof *samples, &samples));
    TDM_TRY(tdm__calloc_try(*n, sizeof *chosen, &chosen));
    TDM_TRY(list_samples(split, array, seed, samples));
    qsort(samples, length, sizeof *samples, by_place);
    for (uint64_t i = 0; i < *n; i++) chosen[i] = samples[i].index;
    tdm__sort_u64(chosen, *n);
    *out = chosen;
    chosen = NULL;
done:
    free(samples);
    free(chosen);
    return status;
}
