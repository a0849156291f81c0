/* support/event_log.c */
#include "support/event_log.h"

#include "base/clock.h"
#include "support/support.h"

void event_log_open(event_log *log)
{
    log->n = 0;
    support_ok(tdm__mutex_init(&log->lock));
}

void event_log_close(event_log *log)
{
    tdm__mutex_destroy(&log->lock);
}

void event_log_add(event_log *log, int what, uint64_t item)
{
    tdm__mutex_lock(&log->lock);
    if (log->n < EVENT_LOG_MAX) {
        log->event[log->n].what = what;
        log->event[log->n].item = item;
        log->n++;
    }
    tdm__mutex_unlock(&log->lock);
}

size_t event_log_find(const event_log *log, int what, uint64_t item)
{
    for (size_t i = 0; i < log->n; i++)
        if (log->event[i].what == what && log->event[i].item == item) return i;
    return SIZE_MAX;
}

bool event_log_compute(event_log *log, uint64_t item)
{
    bool begun = false;
    for (double end = tdm__now() + 20; !begun && tdm__now() < end; tdm__sleep(1e-3)) {
        tdm__mutex_lock(&log->lock);
        begun = event_log_find(log, TDM__RING_LOAD, item + 1) != SIZE_MAX;
        tdm__mutex_unlock(&log->lock);
    }
    event_log_add(log, EVENT_COMPUTED, item);
    return begun;
}
