/* support/event_log.h: what several threads did to the items of a ring, in order. */
#ifndef SUPPORT_EVENT_LOG_H
#define SUPPORT_EVENT_LOG_H

#include <stdbool.h>

#include "base/thread.h"
#include "data/ring.h"

enum {
    EVENT_COMPUTED = 100,
    EVENT_LOG_MAX = 4096
}; /* besides tdm__ring_event; later ones are lost */

typedef struct event_log {
    tdm__mutex lock;
    struct {
        int what;
        uint64_t item;
    } event[EVENT_LOG_MAX];
    size_t n;
} event_log;

void event_log_open(event_log *log);
void event_log_close(event_log *log);
/* From any thread. */
void event_log_add(event_log *log, int what, uint64_t item);
/* Its place in the order, or SIZE_MAX. With the lock held while others add. */
size_t event_log_find(const event_log *log, int what, uint64_t item);
/* Computing with an item: it lasts until the load of the next one has begun. What only loads when
 * asked would never begin: false after 20 seconds. */
bool event_log_compute(event_log *log, uint64_t item);

#endif
