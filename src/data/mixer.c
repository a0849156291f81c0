/* data/mixer.c: see mixer.h. */
#include "data/mixer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* A part's later passes within an epoch are epochs of its sampler far away from the run's own. */
static const uint64_t PASS = (uint64_t)1 << 32;

static tdm_status no_batch(const tdm_loader_spec *spec, uint64_t length)
{
    const char *name = tdm_dataset_name(tdm_split_dataset(spec->split));
    if (length == 0) return tdm__fail(TDM_ERR_DATA, "%s: there are no samples", name);
    return tdm__fail(TDM_ERR_DATA,
                     "%s: %llu samples make no batch of %llu when short batches are dropped", name,
                     (unsigned long long)length, (unsigned long long)spec->batch_size);
}

static tdm_status init_part(tdm__mixer *m, const tdm_loader_spec *spec, size_t index)
{
    static const tdm_loader_part all = {NULL, 0, 1, NULL};
    const tdm_loader_part *from = spec->n_parts ? &spec->parts[index] : &all;
    tdm__mixer_part *part = &m->parts[index];
    const char *stream = spec->stream ? spec->stream : "";
    char own[256];
    tdm_status status = TDM_OK;
    const uint64_t length = from->indices ? from->n : tdm_split_length(spec->split);
    if (from->indices) {
        TDM_TRY(tdm__calloc_try(length, sizeof *part->indices, &part->indices));
        memcpy(part->indices, from->indices, length * sizeof *part->indices);
    }
    if (spec->n_parts) {
        snprintf(own, sizeof own, "%.200s/%zu", stream, index);
        stream = own;
    }
    TDM_TRY(tdm__sampler_init(&part->sampler, length, spec->batch_size, spec->seed, stream,
                              spec->shuffle, spec->drop_last));
    /* Measuring in turn, a part without samples has nothing to measure. */
    if (part->sampler.steps == 0 && (m->drawn || length > 0)) status = no_batch(spec, length);
    if (status && from->name) tdm__context(status, "%s", from->name);
done:
    return status;
}

static tdm_status share_out(tdm__mixer *m, const tdm_loader_spec *spec)
{
    double sum = 0, until = 0;
    for (size_t i = 0; i < m->n; i++) {
        if (!(spec->parts[i].share > 0))
            return tdm__fail(TDM_ERR_USAGE, "part %zu: its share %g must be above 0", i,
                             spec->parts[i].share);
        sum += spec->parts[i].share;
    }
    for (size_t i = 0; i < m->n; i++) {
        until += spec->parts[i].share;
        m->parts[i].until = until / sum;
    }
    return TDM_OK;
}

tdm_status tdm__mixer_init(tdm__mixer *m, const tdm_loader_spec *spec)
{
    tdm_status status = TDM_OK;
    *m = (tdm__mixer){.drawn = spec->n_parts && spec->draw_parts,
                      .seed = spec->seed,
                      .stream = tdm__rng_stream(spec->stream ? spec->stream : "", 0, 0)};
    m->n = spec->n_parts ? spec->n_parts : 1;
    TDM_TRY(tdm__calloc_try(m->n, sizeof *m->parts, &m->parts));
    for (size_t i = 0; i < m->n; i++) {
        TDM_TRY(init_part(m, spec, i));
        m->steps += m->parts[i].sampler.steps;
    }
    if (m->steps == 0) TDM_TRY(no_batch(spec, 0));
    if (m->drawn) TDM_TRY(share_out(m, spec));
done:
    return status;
}

void tdm__mixer_free(tdm__mixer *m)
{
    for (size_t i = 0; m->parts && i < m->n; i++) {
        tdm__sampler_free(&m->parts[i].sampler);
        free(m->parts[i].indices);
    }
    free(m->parts);
    *m = (tdm__mixer){0};
}

uint64_t tdm__mixer_samples(const tdm__mixer *m)
{
    uint64_t n = 0;
    for (size_t i = 0; i < m->n; i++) {
        const tdm__sampler *s = &m->parts[i].sampler;
        n += s->drop_last ? s->steps * s->batch : s->length;
    }
    return n;
}

/* ---- which part -------------------------------------------------------------------------------
 */

static void rewind_to(tdm__mixer *m, uint64_t epoch)
{
    m->rng = tdm__rng_make(m->seed, tdm__rng_stream("data.pick", m->stream, epoch));
    m->epoch = epoch;
    m->step = 0;
    m->begun = true;
    for (size_t i = 0; i < m->n; i++) m->parts[i].taken = 0;
}

static size_t draw_next(tdm__mixer *m)
{
    const double u = tdm__rng_uniform(&m->rng);
    size_t i = 0;
    while (i + 1 < m->n && u >= m->parts[i].until) i++;
    m->step++;
    return i;
}

/* The part of a step, and the how-manieth of its batches that is. */
static size_t drawn_part(tdm__mixer *m, uint64_t epoch, uint64_t step, uint64_t *batch)
{
    if (!m->begun || m->epoch != epoch || m->step > step) rewind_to(m, epoch);
    while (m->step < step) m->parts[draw_next(m)].taken++;
    const size_t part = draw_next(m);
    *batch = m->parts[part].taken++;
    return part;
}

static size_t part_in_turn(const tdm__mixer *m, uint64_t step, uint64_t *batch)
{
    size_t part = 0;
    while (step >= m->parts[part].sampler.steps) step -= m->parts[part++].sampler.steps;
    *batch = step;
    return part;
}

uint64_t tdm__mixer_batch(tdm__mixer *m, uint64_t epoch, uint64_t step, uint64_t *indices,
                          size_t *part)
{
    uint64_t batch = 0;
    *part = m->drawn ? drawn_part(m, epoch, step, &batch) : part_in_turn(m, step, &batch);
    tdm__mixer_part *from = &m->parts[*part];
    const uint64_t steps = from->sampler.steps;
    const uint64_t count =
        tdm__sampler_batch(&from->sampler, epoch + batch / steps * PASS, batch % steps, indices);
    for (uint64_t i = 0; from->indices && i < count; i++) indices[i] = from->indices[indices[i]];
    return count;
}
