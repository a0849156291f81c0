/* data/loader.h: the loader with hooks: where slots live, what happens once they are full, and what
 * can be seen of it. <tandem/loader.h> is the same without hooks. */
#ifndef DATA_LOADER_H
#define DATA_LOADER_H

#include <tandem/loader.h>

#include "data/ring.h"

/* Called on the loader's threads (on the consumer's, without workers); each may be NULL. */
typedef struct tdm__loader_hooks {
    void *user;
    /* Before a slot is filled: data[i] = where batch_size samples of array i go; waits until that
     * memory may be written. NULL: the loader's own memory. */
    tdm_status (*reclaim)(void *user, size_t slot, void **data);
    /* The slot is full: starts its upload, in the order of the batches, one at a time. */
    tdm_status (*upload)(void *user, size_t slot);
    /* Whether the upload has ended. */
    bool (*resident)(void *user, size_t slot);
    /* Something took from begin to end (tdm__now): reading through the library, or decoding. */
    void (*span)(void *user, bool io, const char *name, double begin, double end);
    /* item = epoch * steps + step. May run under the ring's lock: must not call the loader. */
    void (*event)(void *user, tdm__ring_event event, uint64_t item);
} tdm__loader_hooks;

/* Nothing is called before the first tdm_loader_next, _epoch or _seek. hooks may be NULL. */
tdm_status tdm__loader_create(const tdm_loader_spec *spec, const tdm__loader_hooks *hooks,
                              tdm_loader **out);
/* Slots there are, and the one that the current batch is in. */
size_t tdm__loader_slots(const tdm_loader *loader);
size_t tdm__loader_slot(const tdm_loader *loader);
/* Per array, whether the batch in a slot carries it. For who the slot belongs to: the hooks that
 * are called with it, and the consumer. */
const bool *tdm__loader_carried(const tdm_loader *loader, size_t slot);

#endif
