/* data/upload.h: batches on the device: a loader whose slots are device buffers.
 *
 * A feed owns a loader. Its threads fill host memory and start the copy on the transfer queue (or,
 * where host and device share memory, fill the mapped device buffer itself); the compute queue
 * waits for the copy by event. A slot's buffers are written again only after the compute queue has
 * passed the release of their last use. The host never waits for the device here.
 *
 *     tdm__feed_next(feed, &batch, &views);           // views[i]: array i of the spec, batch_size
 * rows
 *     ... tdm__plan_bind, tdm__plan_run ...           // enqueue everything that reads the views
 *     tdm__feed_release(feed);                        // then hand them back
 */
#ifndef DATA_UPLOAD_H
#define DATA_UPLOAD_H

#include <tandem/loader.h>

#include "cl/cl.h"

typedef struct tdm__feed tdm__feed;

/* The device must outlive the feed. The spec is used as by tdm_loader_create. */
tdm_status tdm__feed_create(tdm_device *device, const tdm_loader_spec *spec, tdm__feed **out);
/* The same with the way of uploading given: by mapping (shared) or by copies from staging memory.
 */
tdm_status tdm__feed_create_as(tdm_device *device, const tdm_loader_spec *spec, bool shared,
                               tdm__feed **out);
/* Waits until the device has passed the last use of every slot. */
void tdm__feed_destroy(tdm__feed **feed);
/* As tdm_loader_seek; releases the current batch. */
tdm_status tdm__feed_seek(tdm__feed *feed, uint64_t epoch, uint64_t step);
/* As tdm_loader_next; at the epoch's end *batch and *views are NULL. The compute queue is made to
 * wait for the data. batch->arrays[i].data is NULL: the values are in views[i]. */
tdm_status tdm__feed_next(tdm__feed *feed, const tdm_batch **batch, const tdm__view **views);
/* After everything that reads the views is enqueued. No-op without a current batch. */
tdm_status tdm__feed_release(tdm__feed *feed);
/* For what can be asked of a loader: tdm_loader_steps, _samples, _arrays. */
const tdm_loader *tdm__feed_loader(const tdm__feed *feed);
/* As tdm_loader_stats_get, but wait_seconds is the time in which the device had run out of work
 * because the next batch was not there (a host that waits for a busy device loses nothing). It is
 * an upper bound: loading time that the device may have spent on earlier steps is counted only when
 * it had finished them by the end of it. */
void tdm__feed_stats_get(const tdm__feed *feed, tdm_loader_stats *out);

#endif
