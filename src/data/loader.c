/* data/loader.c: the schedule, the decoder and the ring put together.
 *
 * Items of the ring are steps counted through all epochs: item = epoch * steps + step. Planning an
 * item asks the mixer for its samples (one planner at a time, in order) and divides the reading
 * into tasks: one per serial array, and for each other array as many parts as are worth a thread.
 * What is made of an array is done by the tasks of that one. Arrays that the batch's part of the
 * samples has no use for have no tasks.
 * Parts only say who copies what where; the bytes do not depend on them.
 */
#include "data/loader.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "data/decode.h"
#include "data/mixer.h"

/* A part of a batch smaller than this is not worth waking another thread. */
enum { PART_BYTES = 64 << 10, DEFAULT_SLOTS = 3 };

typedef struct slot {
    tdm_batch batch;
    tdm_batch_array *arrays;
    uint64_t *indices, *rows; /* of the split, of the data set */
    void **data;              /* per array: where samples go */
    uint64_t *parts;          /* per array: tasks in its lane */
    const bool *carried;      /* per array, by the batch */
} slot;

struct tdm_loader {
    tdm_loader_spec spec;
    tdm__loader_hooks hooks;
    tdm__decoder decoder;
    tdm__mixer mixer;
    tdm__ring *ring;
    slot *slots;
    size_t n_slots, current;
    tdm_batch_array *shapes; /* tdm_loader_arrays */
    void **memory;           /* [slots][arrays], the loader's own */
    unsigned char **made;    /* [threads][arrays]: tdm__decode_job.made */
    bool *carried, *filled;  /* [parts][arrays]: in the batch; the same, or what that is made of */
    uint64_t epoch, step;    /* the next to deliver */
    uint64_t end;            /* item up to which the ring may load */
    tdm_loader_stats stats;
};

/* ---- filling a slot -------------------------------------------------------------------------- */

static uint64_t parts_of(const tdm_loader *loader, const tdm__decode_array *a, uint64_t count)
{
    uint64_t parts = count * a->stored_bytes / PART_BYTES;
    if (parts > loader->spec.workers) parts = loader->spec.workers;
    return parts > 1 ? (parts < count ? parts : count) : 1;
}

static tdm_status plan(void *user, size_t index, uint64_t item, size_t tasks[TDM__RING_LANES])
{
    tdm_loader *loader = user;
    slot *s = &loader->slots[index];
    tdm_batch *b = &s->batch;
    b->epoch = item / loader->mixer.steps;
    b->step = item % loader->mixer.steps;
    b->count = tdm__mixer_batch(&loader->mixer, b->epoch, b->step, s->indices, &b->part);
    for (uint64_t i = 0; i < b->count; i++)
        s->rows[i] = tdm_split_row(loader->spec.split, s->indices[i]);
    if (loader->hooks.reclaim) {
        tdm_status status = loader->hooks.reclaim(loader->hooks.user, index, s->data);
        if (status) return status;
    }
    const bool *filled = loader->filled + b->part * b->n_arrays;
    s->carried = loader->carried + b->part * b->n_arrays;
    for (size_t i = 0; i < b->n_arrays; i++) {
        const tdm__decode_array *a = &loader->decoder.arrays[i];
        size_t used = (size_t)b->count * a->sample_bytes;
        s->arrays[i].dims[0] = b->count;
        s->arrays[i].data = s->carried[i] ? s->data[i] : NULL;
        s->parts[i] = !filled[i] || a->made ? 0 : a->serial ? 1 : parts_of(loader, a, b->count);
        tasks[a->serial ? TDM__RING_IO : TDM__RING_DECODE] += (size_t)s->parts[i];
        if (!filled[i]) continue;
        memset((unsigned char *)s->data[i] + used, 0,
               (size_t)loader->spec.batch_size * a->sample_bytes - used);
    }
    return TDM_OK;
}

/* Which array, and which part of it, a task is. */
static size_t task_array(const tdm_loader *loader, const tdm__ring_task *task, uint64_t *part)
{
    const slot *s = &loader->slots[task->slot];
    uint64_t left = task->index;
    size_t i = 0;
    for (;; i++) {
        bool serial = loader->decoder.arrays[i].serial;
        if (serial != (task->lane == TDM__RING_IO)) continue;
        if (left < s->parts[i]) break;
        left -= s->parts[i];
    }
    *part = left;
    return i;
}

static uint64_t order(void *user, const tdm__ring_task *task)
{
    uint64_t part = 0;
    size_t array = task_array(user, task, &part);
    return 1 + ((uint64_t)array << 32) + part;
}

static bool is_cancelled(void *user)
{
    return tdm__ring_cancelled(user);
}

static tdm_status run(void *user, const tdm__ring_task *task)
{
    tdm_loader *loader = user;
    const slot *s = &loader->slots[task->slot];
    uint64_t part = 0;
    size_t i = task_array(loader, task, &part);
    const tdm__decode_array *a = &loader->decoder.arrays[i];
    uint64_t parts = s->parts[i], count = s->batch.count;
    uint64_t first = count * part / parts, last = count * (part + 1) / parts;
    unsigned char **made = loader->made + task->thread * loader->decoder.n_arrays;
    for (size_t k = 0; k < loader->decoder.n_arrays; k++)
        made[k] = s->carried[k] && loader->decoder.arrays[k].made
                      ? (unsigned char *)s->data[k] + first * loader->decoder.arrays[k].sample_bytes
                      : NULL;
    double begin = loader->hooks.span ? tdm__now() : 0;
    const tdm__decode_job job = {.epoch = s->batch.epoch,
                                 .n = last - first,
                                 .indices = s->indices + first,
                                 .out = (unsigned char *)s->data[i] + first * a->sample_bytes,
                                 .made = made,
                                 .cancelled = is_cancelled,
                                 .user = loader->ring};
    tdm_status status = tdm__decode(&loader->decoder, i, task->thread, &job);
    if (loader->hooks.span)
        loader->hooks.span(loader->hooks.user, a->serial, a->info->name, begin, tdm__now());
    return status;
}

static tdm_status upload(void *user, size_t index, uint64_t item)
{
    tdm_loader *loader = user;
    (void)item;
    return loader->hooks.upload(loader->hooks.user, index);
}

static bool resident(void *user, size_t index)
{
    tdm_loader *loader = user;
    return loader->hooks.resident(loader->hooks.user, index);
}

static void event(void *user, tdm__ring_event what, uint64_t item)
{
    tdm_loader *loader = user;
    loader->hooks.event(loader->hooks.user, what, item);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void describe(const tdm__decode_array *a, uint64_t batch, tdm_batch_array *out)
{
    *out = (tdm_batch_array){.name = a->info->name,
                             .kind = a->info->kind,
                             .dtype = a->dtype,
                             .rank = a->delivered.rank + 1,
                             .sample_bytes = a->sample_bytes};
    out->dims[0] = batch;
    for (int i = 0; i < a->delivered.rank; i++) out->dims[i + 1] = a->delivered.dims[i];
}

static tdm_status make_slot(tdm_loader *loader, size_t index)
{
    tdm_status status = TDM_OK;
    slot *s = &loader->slots[index];
    size_t n = loader->decoder.n_arrays;
    uint64_t batch = loader->spec.batch_size;
    TDM_TRY(tdm__calloc_try(batch, sizeof *s->indices, &s->indices));
    TDM_TRY(tdm__calloc_try(batch, sizeof *s->rows, &s->rows));
    TDM_TRY(tdm__calloc_try(n, sizeof *s->arrays, &s->arrays));
    TDM_TRY(tdm__calloc_try(n, sizeof *s->data, &s->data));
    TDM_TRY(tdm__calloc_try(n, sizeof *s->parts, &s->parts));
    s->batch = (tdm_batch){.rows = s->rows, .arrays = s->arrays, .n_arrays = n};
    for (size_t i = 0; i < n; i++) {
        s->arrays[i] = loader->shapes[i];
        if (loader->hooks.reclaim) continue;
        TDM_TRY(tdm__aligned_try(batch, s->arrays[i].sample_bytes, &loader->memory[index * n + i]));
        s->data[i] = loader->memory[index * n + i];
    }
done:
    return status;
}

/* What batches of each part carry, and what must be filled for that. */
static tdm_status make_carried(tdm_loader *loader)
{
    tdm_status status = TDM_OK;
    const size_t n = loader->decoder.n_arrays, parts = loader->mixer.n;
    TDM_TRY(tdm__calloc_try(parts * n, sizeof *loader->carried, &loader->carried));
    TDM_TRY(tdm__calloc_try(parts * n, sizeof *loader->filled, &loader->filled));
    for (size_t p = 0; p < parts; p++) {
        const bool *wanted = loader->spec.n_parts ? loader->spec.parts[p].arrays : NULL;
        bool *carried = loader->carried + p * n, *filled = loader->filled + p * n, any = false;
        for (size_t i = 0; i < n; i++) {
            const tdm__decode_array *a = &loader->decoder.arrays[i];
            carried[i] = !wanted || wanted[i];
            filled[i] |= carried[i];
            if (carried[i] && a->made) filled[a->from] = true;
            any |= carried[i];
        }
        if (!any) TDM_TRY(tdm__fail(TDM_ERR_USAGE, "part %zu: its batches carry no array", p));
    }
done:
    return status;
}

static tdm_status make_slots(tdm_loader *loader)
{
    tdm_status status = TDM_OK;
    size_t n = loader->decoder.n_arrays;
    loader->n_slots = loader->spec.slots ? loader->spec.slots : DEFAULT_SLOTS;
    TDM_TRY(tdm__calloc_try(n, sizeof *loader->shapes, &loader->shapes));
    TDM_TRY(tdm__calloc_try(n * loader->n_slots, sizeof *loader->memory, &loader->memory));
    TDM_TRY(tdm__calloc_try(loader->n_slots, sizeof *loader->slots, &loader->slots));
    for (size_t i = 0; i < n; i++)
        describe(&loader->decoder.arrays[i], loader->spec.batch_size, &loader->shapes[i]);
    for (size_t i = 0; i < loader->n_slots; i++) TDM_TRY(make_slot(loader, i));
done:
    return status;
}

static tdm_status make_ring(tdm_loader *loader)
{
    const tdm__loader_hooks *hooks = &loader->hooks;
    bool any_serial = false, any_parallel = false;
    for (size_t i = 0; i < loader->decoder.n_arrays; i++) {
        any_serial |= loader->decoder.arrays[i].serial;
        any_parallel |= !loader->decoder.arrays[i].serial && !loader->decoder.arrays[i].made;
    }
    tdm__ring_spec spec = {.ops = {.plan = plan,
                                   .run = run,
                                   .order = order,
                                   .upload = hooks->upload ? upload : NULL,
                                   .resident = hooks->resident ? resident : NULL,
                                   .event = hooks->event ? event : NULL},
                           .user = loader,
                           .slots = loader->n_slots,
                           .workers = any_parallel ? loader->spec.workers : 0,
                           .io = any_serial && loader->spec.workers};
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__ring_create(&spec, &loader->ring));
    const unsigned threads = tdm__ring_threads(loader->ring);
    TDM_TRY(
        tdm__calloc_try(threads * loader->decoder.n_arrays, sizeof *loader->made, &loader->made));
    TDM_TRY(tdm__decoder_threads(&loader->decoder, threads));
done:
    return status;
}

static tdm_status check_spec(const tdm_loader_spec *spec)
{
    if (!spec->batch_size) return tdm__fail(TDM_ERR_USAGE, "batch_size = 0: must be at least 1");
    return TDM_OK;
}

tdm_status tdm__loader_create(const tdm_loader_spec *spec, const tdm__loader_hooks *hooks,
                              tdm_loader **out)
{
    tdm_status status = TDM_OK;
    tdm_loader *loader = NULL;
    *out = NULL;
    TDM_TRY(check_spec(spec));
    TDM_TRY(tdm__calloc_try(1, sizeof *loader, &loader));
    loader->spec = *spec;
    if (hooks) loader->hooks = *hooks;
    TDM_TRY(tdm__mixer_init(&loader->mixer, spec));
    TDM_TRY(tdm__decoder_init(spec, &loader->decoder));
    TDM_TRY(make_carried(loader));
    TDM_TRY(make_slots(loader));
    TDM_TRY(make_ring(loader));
    loader->spec.arrays = NULL; /* the caller's, not kept */
    loader->spec.parts = NULL;
    loader->spec.stream = NULL;
    *out = loader;
    loader = NULL;
done:
    tdm_loader_destroy(&loader);
    return status;
}

tdm_status tdm_loader_create(const tdm_loader_spec *spec, tdm_loader **out)
{
    return tdm__loader_create(spec, NULL, out);
}

void tdm_loader_destroy(tdm_loader **handle)
{
    tdm_loader *loader = *handle;
    if (!loader) return;
    /* first: its threads use all the rest, the hooks' the handle too */
    tdm__ring_destroy(&loader->ring);
    *handle = NULL;
    for (size_t i = 0; loader->slots && i < loader->n_slots; i++) {
        slot *s = &loader->slots[i];
        free(s->indices);
        free(s->rows);
        free(s->arrays);
        free(s->data);
        free(s->parts);
    }
    for (size_t i = 0; loader->memory && i < loader->n_slots * loader->decoder.n_arrays; i++)
        free(loader->memory[i]);
    free(loader->memory);
    free(loader->made);
    free(loader->carried);
    free(loader->filled);
    free(loader->slots);
    free(loader->shapes);
    tdm__decoder_free(&loader->decoder);
    tdm__mixer_free(&loader->mixer);
    free(loader);
}

/* ---- the consumer ---------------------------------------------------------------------------- */

/* Lets the ring load from the next step to the end of its epoch, or on and on. */
static void extend(tdm_loader *loader)
{
    uint64_t first = loader->epoch * loader->mixer.steps + loader->step;
    uint64_t end = (loader->epoch + 1) * loader->mixer.steps;
    loader->end = loader->spec.continuous ? UINT64_MAX : end;
    tdm__ring_seek(loader->ring, first, loader->end);
}

tdm_status tdm_loader_seek(tdm_loader *loader, uint64_t epoch, uint64_t step)
{
    uint64_t items = 0;
    if (step > loader->mixer.steps)
        return tdm__fail(TDM_ERR_USAGE, "step %llu: an epoch has %llu steps",
                         (unsigned long long)step, (unsigned long long)loader->mixer.steps);
    if (epoch >= UINT64_MAX - 1 || !tdm__mul_u64(epoch + 2, loader->mixer.steps, &items))
        return tdm__fail(TDM_ERR_USAGE, "epoch %llu: is too large", (unsigned long long)epoch);
    loader->epoch = epoch;
    loader->step = step;
    extend(loader);
    return TDM_OK;
}

tdm_status tdm_loader_epoch(tdm_loader *loader, uint64_t epoch)
{
    return tdm_loader_seek(loader, epoch, 0);
}

tdm_status tdm_loader_next(tdm_loader *loader, const tdm_batch **batch)
{
    *batch = NULL;
    if (loader->step == loader->mixer.steps) {
        tdm_loader_release(loader);
        loader->epoch++;
        loader->step = 0;
        return TDM_OK;
    }
    double begin = tdm__now();
    if (loader->epoch * loader->mixer.steps + loader->step >= loader->end) extend(loader);
    tdm_status status = tdm__ring_next(loader->ring, &loader->current);
    loader->stats.wait_seconds += tdm__now() - begin;
    loader->step++;
    if (status) return status;
    const tdm_batch *b = &loader->slots[loader->current].batch;
    loader->stats.batches++;
    loader->stats.samples += b->count;
    for (size_t i = 0; i < b->n_arrays; i++)
        if (b->arrays[i].data) loader->stats.bytes += b->count * b->arrays[i].sample_bytes;
    *batch = b;
    return TDM_OK;
}

void tdm_loader_release(tdm_loader *loader)
{
    tdm__ring_release(loader->ring);
}

/* ---- looking --------------------------------------------------------------------------------- */

size_t tdm__loader_slots(const tdm_loader *loader)
{
    return loader->n_slots;
}

size_t tdm__loader_slot(const tdm_loader *loader)
{
    return loader->current;
}

const bool *tdm__loader_carried(const tdm_loader *loader, size_t index)
{
    return loader->slots[index].carried;
}

uint64_t tdm_loader_steps(const tdm_loader *loader)
{
    return loader->mixer.steps;
}

uint64_t tdm_loader_samples(const tdm_loader *loader)
{
    return tdm__mixer_samples(&loader->mixer);
}

const tdm_batch_array *tdm_loader_arrays(const tdm_loader *loader, size_t *n)
{
    *n = loader->decoder.n_arrays;
    return loader->shapes;
}

void tdm_loader_stats_get(const tdm_loader *loader, tdm_loader_stats *out)
{
    *out = loader->stats;
    out->load_seconds = tdm__ring_busy(loader->ring);
}
