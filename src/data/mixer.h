/* data/mixer.h: the schedule when batches come from several parts of a split (one per task that has
 * samples of its own): which part a batch comes from, and which samples of it, as a pure function
 * of (seed, stream, epoch, step).
 *
 * Every part has a sampler of its own. An epoch has as many batches as one pass over each part
 * together. In turn: all batches of the first part, then of the next. Drawn: each batch's part is
 * drawn with probability share / sum of shares, from the uniforms of the Philox stream
 * tdm__rng_stream("data.pick", tdm__rng_stream(name, 0, 0), epoch), one a step; it is the part's
 * next batch, and a part that has run out begins again in a new order. Every epoch begins all parts
 * anew. Without parts the whole split is the only one.
 */
#ifndef DATA_MIXER_H
#define DATA_MIXER_H

#include <tandem/loader.h>

#include "base/rng.h"
#include "data/sampler.h"

typedef struct tdm__mixer_part {
    tdm__sampler sampler;
    uint64_t *indices; /* of the split; NULL: all */
    double until;      /* drawn: when the uniform is below it and not below the previous one's */
    uint64_t taken;    /* batches drawn before the cursor */
} tdm__mixer_part;

typedef struct tdm__mixer {
    tdm__mixer_part *parts;
    size_t n;
    bool drawn;
    uint64_t seed, stream, steps; /* steps: batches per epoch */
    /* Drawn: how far the epoch's draws have been followed. */
    tdm__rng rng;
    uint64_t epoch, step;
    bool begun;
} tdm__mixer;

/* By the spec's split, parts, batch size, order. TDM_ERR_DATA: a part makes no batch. */
tdm_status tdm__mixer_init(tdm__mixer *m, const tdm_loader_spec *spec);
void tdm__mixer_free(tdm__mixer *m); /* safe on a zeroed struct */
/* step < steps; room for a batch of indices into the split, ascending; returns how many. One thread
 * at a time; fastest when steps ascend. */
uint64_t tdm__mixer_batch(tdm__mixer *m, uint64_t epoch, uint64_t step, uint64_t *indices,
                          size_t *part);
/* Samples of one pass over each part, drop_last applied. */
uint64_t tdm__mixer_samples(const tdm__mixer *m);

#endif
