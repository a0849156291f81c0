/* data/sampler.h: the schedule: which samples make up a batch, as a pure function of (seed, stream,
 * epoch, step).
 *
 * Shuffled: an epoch's order is the Fisher-Yates permutation of 0..length-1 drawn from Philox with
 * the seed and stream number tdm__rng_stream("data.order", stream, epoch), where stream is
 * tdm__rng_stream(name, 0, 0); step s takes elements s * batch to s * batch + count. Within the
 * batch they are ascending. The permutation, 8 bytes a sample, is all that grows with the data.
 */
#ifndef DATA_SAMPLER_H
#define DATA_SAMPLER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

typedef struct tdm__sampler {
    uint64_t length, batch, steps, seed, stream;
    bool shuffle, drop_last;
    uint64_t *order; /* of epoch order_epoch, once order_made */
    uint64_t order_epoch;
    bool order_made;
} tdm__sampler;

/* batch >= 1. steps becomes the batches per epoch; 0 when drop_last leaves none. */
tdm_status tdm__sampler_init(tdm__sampler *s, uint64_t length, uint64_t batch, uint64_t seed,
                             const char *stream, bool shuffle, bool drop_last);
void tdm__sampler_free(tdm__sampler *s); /* safe on a zeroed struct */
/* step < steps; room for `batch` indices, ascending; returns how many. One thread at a time. */
uint64_t tdm__sampler_batch(tdm__sampler *s, uint64_t epoch, uint64_t step, uint64_t *indices);

/* Ascending order. */
void tdm__sort_u64(uint64_t *values, uint64_t n);

#endif
