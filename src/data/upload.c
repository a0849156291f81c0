/* data/upload.c: see upload.h.
 *
 * Each slot of the loader has one buffer per array. How a batch gets there:
 *   shared memory   reclaim maps the buffers, the loader's threads write into them, upload unmaps.
 *   otherwise       the threads write pinned staging memory, upload copies it on the transfer
 * queue. The events of a slot: `uploaded` (its last unmap or copy; the transfer queue is in order,
 * so this covers all arrays) and `used` (the compute queue has passed the release). Both are waited
 * for by the loader's thread that fills the slot next. Arrays that a batch does not carry are not
 * sent: they stay mapped. A slot belongs either to one of the loader's
 * threads or to the consumer; the ring's lock lies between.
 */
#include "data/upload.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "data/loader.h"

typedef struct slot {
    tdm__buffer *buffers;
    tdm__view *views;
    void **mapped;        /* shared memory: where the buffers are mapped; NULL: not mapped */
    tdm__pinned *staging; /* otherwise */
    cl_event uploaded, used;
    double reclaimed; /* when it could be filled, tdm__now */
} slot;

struct tdm__feed {
    tdm_device *device;
    tdm_loader *loader;
    const tdm_batch_array *shapes;
    size_t n_arrays, n_slots;
    uint64_t batch_size;
    bool shared;
    slot *slots;
    tdm_batch batch; /* what the consumer sees */
    tdm_batch_array *arrays;
    bool holding;
    cl_event latest; /* `used` of the last release */
    double starved;  /* seconds */
};

static uint64_t array_bytes(const tdm__feed *feed, size_t array)
{
    return feed->batch_size * feed->shapes[array].sample_bytes;
}

/* ---- the loader's hooks ---------------------------------------------------------------------- */

/* Waits for an event and forgets it. */
static tdm_status settle(cl_event *event)
{
    if (!*event) return TDM_OK;
    tdm_status status = tdm__event_wait(*event);
    tdm__event_release(event);
    return status;
}

static tdm_status reclaim(void *user, size_t index, void **data)
{
    tdm__feed *feed = user;
    slot *s = &feed->slots[index];
    tdm_status status = TDM_OK;
    TDM_TRY(settle(&s->used));
    TDM_TRY(settle(&s->uploaded));
    for (size_t i = 0; i < feed->n_arrays; i++) {
        if (feed->shared && !s->mapped[i])
            TDM_TRY(
                tdm__transfer_map(feed->device, s->views[i], array_bytes(feed, i), &s->mapped[i]));
        data[i] = feed->shared ? s->mapped[i] : s->staging[i].bytes;
    }
    s->reclaimed = tdm__now();
done:
    return status;
}

/* Leaves its event in s->uploaded. */
static tdm_status send(tdm__feed *feed, slot *s, size_t array)
{
    tdm__event_release(&s->uploaded);
    if (!feed->shared)
        return tdm__transfer_write(feed->device, s->views[array], s->staging[array].bytes,
                                   array_bytes(feed, array), &s->uploaded);
    void *host = s->mapped[array];
    s->mapped[array] = NULL;
    return tdm__transfer_unmap(feed->device, s->views[array], host, &s->uploaded);
}

static tdm_status upload(void *user, size_t index)
{
    tdm__feed *feed = user;
    tdm_status status = TDM_OK;
    const bool *carried = tdm__loader_carried(feed->loader, index);
    for (size_t i = 0; i < feed->n_arrays && !status; i++)
        if (carried[i]) status = send(feed, &feed->slots[index], i);
    return status;
}

static bool resident(void *user, size_t index)
{
    tdm__feed *feed = user;
    return tdm__event_done(feed->slots[index].uploaded);
}

static void span(void *user, bool io, const char *name, double begin, double end)
{
    tdm__feed *feed = user;
    tdm__profile_span(feed->device, io ? TDM__LANE_IO : TDM__LANE_DECODE, name, begin, end);
}

/* ---- life ------------------------------------------------------------------------------------ */

static tdm_status make_slot(tdm__feed *feed, slot *s)
{
    tdm_status status = TDM_OK;
    size_t n = feed->n_arrays;
    TDM_TRY(tdm__calloc_try(n, sizeof *s->buffers, &s->buffers));
    TDM_TRY(tdm__calloc_try(n, sizeof *s->views, &s->views));
    TDM_TRY(tdm__calloc_try(n, sizeof *s->mapped, &s->mapped));
    TDM_TRY(tdm__calloc_try(n, sizeof *s->staging, &s->staging));
    for (size_t i = 0; i < n; i++) {
        uint64_t bytes = array_bytes(feed, i);
        TDM_TRY(tdm__buffer_create(feed->device, bytes, false, "a batch", &s->buffers[i]));
        s->views[i].buffer = &s->buffers[i];
        if (!feed->shared) TDM_TRY(tdm__pinned_create(feed->device, bytes, &s->staging[i]));
    }
done:
    return status;
}

static void free_slot(tdm__feed *feed, slot *s)
{
    (void)settle(&s->used); /* failures were reported where the work was enqueued */
    (void)settle(&s->uploaded);
    for (size_t i = 0; s->staging && i < feed->n_arrays; i++) {
        if (s->mapped[i]) {
            (void)tdm__transfer_unmap(feed->device, s->views[i], s->mapped[i], &s->uploaded);
            (void)settle(&s->uploaded);
        }
        tdm__pinned_destroy(feed->device, &s->staging[i]);
        tdm__buffer_destroy(feed->device, &s->buffers[i]);
    }
    free(s->buffers);
    free(s->views);
    free(s->mapped);
    free(s->staging);
}

tdm_status tdm__feed_create_as(tdm_device *device, const tdm_loader_spec *spec, bool shared,
                               tdm__feed **out)
{
    tdm_status status = TDM_OK;
    tdm__feed *feed = NULL;
    *out = NULL;
    TDM_TRY(tdm__calloc_try(1, sizeof *feed, &feed));
    feed->device = device;
    feed->shared = shared;
    feed->batch_size = spec->batch_size;
    tdm__loader_hooks hooks = {
        .user = feed, .reclaim = reclaim, .upload = upload, .resident = resident, .span = span};
    TDM_TRY(tdm__loader_create(spec, &hooks, &feed->loader));
    feed->shapes = tdm_loader_arrays(feed->loader, &feed->n_arrays);
    feed->n_slots = tdm__loader_slots(feed->loader);
    TDM_TRY(tdm__calloc_try(feed->n_arrays, sizeof *feed->arrays, &feed->arrays));
    TDM_TRY(tdm__calloc_try(feed->n_slots, sizeof *feed->slots, &feed->slots));
    for (size_t i = 0; i < feed->n_slots; i++) TDM_TRY(make_slot(feed, &feed->slots[i]));
    *out = feed;
    feed = NULL;
done:
    tdm__feed_destroy(&feed);
    return status;
}

tdm_status tdm__feed_create(tdm_device *device, const tdm_loader_spec *spec, tdm__feed **out)
{
    const tdm__traits *traits = tdm__device_traits(device);
    return tdm__feed_create_as(device, spec, traits->unified || traits->is_cpu, out);
}

void tdm__feed_destroy(tdm__feed **handle)
{
    tdm__feed *feed = *handle;
    if (!feed) return;
    *handle = NULL;
    if (feed->holding) (void)tdm__feed_release(feed); /* the device may still read the slot */
    tdm_loader_destroy(&feed->loader);                /* first: its threads use the slots */
    for (size_t i = 0; feed->slots && i < feed->n_slots; i++) free_slot(feed, &feed->slots[i]);
    tdm__event_release(&feed->latest);
    free(feed->slots);
    free(feed->arrays);
    free(feed);
}

/* ---- the consumer ---------------------------------------------------------------------------- */

/* The compute queue waits for the slot's upload; nothing to wait for when it is over. */
static tdm_status depend(tdm__feed *feed, const slot *s)
{
    return tdm__event_done(s->uploaded) ? tdm__event_wait(s->uploaded)
                                        : tdm__compute_wait(feed->device, s->uploaded);
}

/* See tdm__feed_stats_get: what of [begin, now] the device was without work. */
static void count_starved(tdm__feed *feed, const slot *s, double begin)
{
    double from = s->reclaimed > begin ? s->reclaimed : begin;
    if (!feed->latest || tdm__event_done(feed->latest)) feed->starved += tdm__now() - from;
}

tdm_status tdm__feed_next(tdm__feed *feed, const tdm_batch **batch, const tdm__view **views)
{
    tdm_status status = TDM_OK;
    const tdm_batch *loaded = NULL;
    *batch = NULL;
    *views = NULL;
    TDM_TRY(tdm__feed_release(feed));
    double begin = tdm__now();
    TDM_TRY(tdm_loader_next(feed->loader, &loaded));
    if (!loaded) return TDM_OK;
    slot *s = &feed->slots[tdm__loader_slot(feed->loader)];
    count_starved(feed, s, begin);
    feed->holding = true;
    TDM_TRY(depend(feed, s));
    feed->batch = *loaded;
    memcpy(feed->arrays, loaded->arrays, feed->n_arrays * sizeof *feed->arrays);
    for (size_t i = 0; i < feed->n_arrays; i++) feed->arrays[i].data = NULL;
    feed->batch.arrays = feed->arrays;
    *batch = &feed->batch;
    *views = s->views;
done:
    return status;
}

tdm_status tdm__feed_release(tdm__feed *feed)
{
    if (!feed->holding) return TDM_OK;
    slot *s = &feed->slots[tdm__loader_slot(feed->loader)];
    feed->holding = false;
    tdm_status status = tdm__compute_mark(feed->device, &s->used);
    tdm__event_release(&feed->latest);
    if (s->used) {
        clRetainEvent(s->used);
        feed->latest = s->used;
    }
    tdm_loader_release(feed->loader);
    return status;
}

tdm_status tdm__feed_seek(tdm__feed *feed, uint64_t epoch, uint64_t step)
{
    tdm_status status = tdm__feed_release(feed);
    return status ? status : tdm_loader_seek(feed->loader, epoch, step);
}

const tdm_loader *tdm__feed_loader(const tdm__feed *feed)
{
    return feed->loader;
}

void tdm__feed_stats_get(const tdm__feed *feed, tdm_loader_stats *out)
{
    tdm_loader_stats_get(feed->loader, out);
    out->wait_seconds = feed->starved;
}
