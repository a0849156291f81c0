/* data/sampler.c: see sampler.h. */
#include "data/sampler.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

tdm_status tdm__sampler_init(tdm__sampler *s, uint64_t length, uint64_t batch, uint64_t seed,
                             const char *stream, bool shuffle, bool drop_last)
{
    *s = (tdm__sampler){.length = length,
                        .batch = batch,
                        .seed = seed,
                        .stream = tdm__rng_stream(stream, 0, 0),
                        .shuffle = shuffle,
                        .drop_last = drop_last};
    s->steps = length / batch + (!drop_last && length % batch ? 1 : 0);
    return shuffle ? tdm__calloc_try(length, sizeof *s->order, &s->order) : TDM_OK;
}

void tdm__sampler_free(tdm__sampler *s)
{
    free(s->order);
    *s = (tdm__sampler){0};
}

static void make_order(tdm__sampler *s, uint64_t epoch)
{
    if (s->order_made && s->order_epoch == epoch) return;
    tdm__rng rng = tdm__rng_make(s->seed, tdm__rng_stream("data.order", s->stream, epoch));
    tdm__rng_permutation(&rng, s->order, s->length);
    s->order_epoch = epoch;
    s->order_made = true;
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

void tdm__sort_u64(uint64_t *values, uint64_t n)
{
    qsort(values, n, sizeof *values, compare_u64);
}

uint64_t tdm__sampler_batch(tdm__sampler *s, uint64_t epoch, uint64_t step, uint64_t *indices)
{
    uint64_t first = step * s->batch, left = s->length - first;
    uint64_t count = left < s->batch ? left : s->batch;
    if (!s->shuffle) {
        for (uint64_t i = 0; i < count; i++) indices[i] = first + i;
        return count;
    }
    make_order(s, epoch);
    memcpy(indices, s->order + first, count * sizeof *indices);
    tdm__sort_u64(indices, count);
    return count;
}
