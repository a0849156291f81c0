/* The profile: what ran when on which lane, written as a Chrome trace (chrome://tracing, Perfetto).
 *
 * Commands leave an event in a ring of bounded size; finished ones are turned into spans whenever
 * the ring is touched, and when it is full its oldest is waited for. Spans keep the clock that
 * measured them. Device clocks are related to the host's by two anchors, one at opening and one at
 * writing: the straight line through them also takes out the drift between the clocks.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "cl/internal.h"

#define ANCHOR_TRIES 8
#define NAMES_MOST 1024
#define CHUNK_BYTES (64u << 10)

/* ---- clocks ---------------------------------------------------------------------------------- */

/* A marker's queueing time lies between two looks at the host's clock: the closest pair of several.
 */
static tdm_status take_anchor(tdm_device *device, tdm__anchor *anchor)
{
    double best = 1e30;
    for (int i = 0; i < ANCHOR_TRIES; i++) {
        cl_event event;
        cl_ulong queued = 0;
        double before = tdm__now();
        cl_int code = clEnqueueMarkerWithWaitList(device->compute, 0, NULL, &event);
        double after = tdm__now();
        if (code) return tdm__cl_fail(code, "clEnqueueMarkerWithWaitList");
        code = clWaitForEvents(1, &event);
        if (!code)
            code = clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_QUEUED, sizeof queued,
                                           &queued, NULL);
        clReleaseEvent(event);
        if (code) return tdm__cl_fail(code, "clGetEventProfilingInfo");
        if (after - before >= best) continue;
        best = after - before;
        anchor->host = 0.5 * (before + after);
        anchor->device = 1e-9 * (double)queued;
    }
    return TDM_OK;
}

static double to_host(const tdm__profile *p, const tdm__anchor *now, double device_time)
{
    double passed = now->device - p->start.device;
    double slope = passed > 0 ? (now->host - p->start.host) / passed : 1.0;
    return p->start.host + (device_time - p->start.device) * slope;
}

/* ---- spans ----------------------------------------------------------------------------------- */

tdm_status tdm__profile_init(tdm_device *device)
{
    tdm_status status = TDM_OK;
    tdm__profile *p = &device->profile;
    if (!device->profiling) return TDM_OK;
    TDM_TRY(tdm__mutex_init(&p->lock));
    TDM_TRY(tdm__calloc_try(TDM__PROFILE_PENDING, sizeof *p->pending, &p->pending));
    TDM_TRY(take_anchor(device, &p->start));
done:
    return status;
}

void tdm__profile_destroy(tdm_device *device)
{
    tdm__profile *p = &device->profile;
    for (size_t i = 0; i < p->n_pending; i++)
        clReleaseEvent(p->pending[(p->head + i) % TDM__PROFILE_PENDING].event);
    for (size_t i = 0; i < p->n_names; i++) free(p->names[i]);
    free(p->names);
    free(p->pending);
    free(p->spans);
    tdm__mutex_destroy(&p->lock);
    *p = (tdm__profile){0};
}

/* The lock is held. */
static void add_span(tdm__profile *p, const tdm__span *span)
{
    if (p->n_spans >= TDM__PROFILE_SPANS ||
        tdm__grow(&p->spans, &p->spans_capacity, p->n_spans + 1, sizeof *p->spans)) {
        p->dropped++;
        return;
    }
    p->spans[p->n_spans++] = *span;
}

/* Turns the oldest event into a span. The lock is held. */
static void take_oldest(tdm__profile *p)
{
    tdm__pending *oldest = &p->pending[p->head];
    cl_ulong begin = 0, end = 0;
    cl_int code = clWaitForEvents(1, &oldest->event);
    if (!code)
        code = clGetEventProfilingInfo(oldest->event, CL_PROFILING_COMMAND_START, sizeof begin,
                                       &begin, NULL);
    if (!code)
        code = clGetEventProfilingInfo(oldest->event, CL_PROFILING_COMMAND_END, sizeof end, &end,
                                       NULL);
    if (code)
        p->dropped++;
    else
        add_span(p, &(tdm__span){.name = oldest->name,
                                 .op = oldest->op,
                                 .variant = oldest->variant,
                                 .begin = 1e-9 * (double)begin,
                                 .end = 1e-9 * (double)end,
                                 .flops = oldest->flops,
                                 .bytes = oldest->bytes,
                                 .lane = oldest->lane,
                                 .from_device = true});
    clReleaseEvent(oldest->event);
    p->head = (p->head + 1) % TDM__PROFILE_PENDING;
    p->n_pending--;
}

cl_event *tdm__profile_slot(const tdm_device *device, cl_event *event)
{
    return device->profiling ? event : NULL;
}

void tdm__profile_event(tdm_device *device, tdm__lane lane, const char *name, cl_event event,
                        double flops, double bytes)
{
    tdm__profile *p = &device->profile;
    if (!event) return;
    tdm__mutex_lock(&p->lock);
    if (p->n_pending == TDM__PROFILE_PENDING) take_oldest(p);
    while (p->n_pending > 0 && tdm__event_done(p->pending[p->head].event)) take_oldest(p);
    const bool owned = lane == TDM__LANE_COMPUTE;
    p->pending[(p->head + p->n_pending++) % TDM__PROFILE_PENDING] =
        (tdm__pending){.event = event,
                       .name = name,
                       .op = owned ? p->op : NULL,
                       .variant = owned ? p->variant : NULL,
                       .lane = lane,
                       .flops = flops,
                       .bytes = bytes};
    tdm__mutex_unlock(&p->lock);
}

void tdm__profile_owner(tdm_device *device, const char *op, const char *variant)
{
    tdm__profile *p = &device->profile;
    if (!device->profiling) return;
    tdm__mutex_lock(&p->lock);
    p->op = op;
    p->variant = variant;
    tdm__mutex_unlock(&p->lock);
}

/* Callers' names need not outlive the call. The lock is held; NULL when there are too many. */
static const char *intern(tdm__profile *p, const char *name)
{
    for (size_t i = 0; i < p->n_names; i++)
        if (tdm__streq(p->names[i], name)) return p->names[i];
    if (p->n_names == NAMES_MOST ||
        tdm__grow(&p->names, &p->names_capacity, p->n_names + 1, sizeof *p->names))
        return NULL;
    char *copy = tdm__strdup(name);
    if (copy) p->names[p->n_names++] = copy;
    return copy;
}

void tdm__profile_span(tdm_device *device, tdm__lane lane, const char *name, double begin,
                       double end)
{
    tdm__profile *p = &device->profile;
    if (!device->profiling) return;
    tdm__mutex_lock(&p->lock);
    const char *own = intern(p, name);
    if (own)
        add_span(p, &(tdm__span){.name = own, .begin = begin, .end = end, .lane = lane});
    else
        p->dropped++;
    tdm__mutex_unlock(&p->lock);
}

/* ---- totals ---------------------------------------------------------------------------------- */

static int by_seconds(const void *a, const void *b)
{
    const double x = ((const tdm__profile_total *)a)->seconds;
    const double y = ((const tdm__profile_total *)b)->seconds;
    return (x < y) - (x > y);
}

/* The lock is held and no event is pending. */
static tdm_status sum_spans(const tdm__profile *p, tdm__profile_total **totals, size_t *n)
{
    size_t capacity = 0;
    for (size_t i = 0; i < p->n_spans; i++) {
        const tdm__span *span = &p->spans[i];
        size_t t = 0;
        if (span->lane != TDM__LANE_COMPUTE) continue;
        while (t < *n && !(tdm__streq((*totals)[t].kernel, span->name) &&
                           tdm__streq((*totals)[t].op, span->op) &&
                           tdm__streq((*totals)[t].variant, span->variant)))
            t++;
        if (t == *n) {
            const tdm_status status = tdm__grow(totals, &capacity, *n + 1, sizeof **totals);
            if (status) return status;
            (*totals)[(*n)++] = (tdm__profile_total){
                .op = span->op, .variant = span->variant, .kernel = span->name};
        }
        tdm__profile_total *total = &(*totals)[t];
        total->count++;
        total->seconds += span->end - span->begin;
        total->flops += span->flops;
        total->bytes += span->bytes;
    }
    if (*n) qsort(*totals, *n, sizeof **totals, by_seconds);
    return TDM_OK;
}

/* Every command so far as a span. On success the lock is held. */
static tdm_status settle(tdm_device *device)
{
    tdm__profile *p = &device->profile;
    if (!device->profiling)
        return tdm__fail(TDM_ERR_STATE, "profile: the device was opened without profiling");
    const tdm_status status = tdm_device_finish(device);
    if (status) return status;
    tdm__mutex_lock(&p->lock);
    while (p->n_pending > 0) take_oldest(p);
    return TDM_OK;
}

tdm_status tdm__profile_totals(tdm_device *device, tdm__profile_total **out, size_t *n)
{
    *out = NULL;
    *n = 0;
    tdm_status status = settle(device);
    if (status) return status;
    status = sum_spans(&device->profile, out, n);
    tdm__mutex_unlock(&device->profile.lock);
    if (!status) return TDM_OK;
    free(*out);
    *out = NULL;
    *n = 0;
    return status;
}

tdm_status tdm__profile_clear(tdm_device *device)
{
    const tdm_status status = settle(device);
    if (status) return status;
    device->profile.n_spans = 0;
    device->profile.dropped = 0;
    tdm__mutex_unlock(&device->profile.lock);
    return TDM_OK;
}

/* ---- the trace ------------------------------------------------------------------------------- */

static const char *const lane_names[] = {"io", "decode", "transfer", "compute"};

static void add_json_text(tdm__str *s, const char *text)
{
    tdm__str_add(s, "\"");
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            tdm__str_addf(s, "\\%c", c);
        else if (c < 0x20 || c >= 0x7f)
            tdm__str_addf(s, "\\u%04x", c);
        else
            tdm__str_addn(s, text, 1);
    }
    tdm__str_add(s, "\"");
}

static void add_span_json(tdm__str *s, const tdm__profile *p, const tdm__anchor *now,
                          const tdm__span *span)
{
    double begin = span->from_device ? to_host(p, now, span->begin) : span->begin;
    double end = span->from_device ? to_host(p, now, span->end) : span->end;
    double seconds = end - begin;
    tdm__str_add(s, ",\n{\"name\":");
    add_json_text(s, span->name);
    tdm__str_addf(s, ",\"ph\":\"X\",\"pid\":1,\"tid\":%d,\"ts\":%.3f,\"dur\":%.3f",
                  (int)span->lane + 1, 1e6 * (begin - p->start.host), 1e6 * seconds);
    tdm__str_add(s, ",\"args\":{");
    if (span->op) {
        tdm__str_add(s, "\"op\":");
        add_json_text(s, span->op);
        tdm__str_add(s, ",\"algorithm\":");
        add_json_text(s, span->variant ? span->variant : "");
    }
    if (seconds > 0 && (span->flops > 0 || span->bytes > 0))
        tdm__str_addf(s, "%s\"gflops\":%.3f,\"gbps\":%.3f", span->op ? "," : "",
                      1e-9 * span->flops / seconds, 1e-9 * span->bytes / seconds);
    tdm__str_add(s, "}}");
}

static tdm_status flush_text(tdm__str *s, tdm__atomic *file)
{
    tdm_status status = tdm__str_status(s);
    if (!status && s->length > 0) status = tdm__atomic_write(file, s->text, s->length);
    tdm__str_free(s);
    return status;
}

/* The lock is held and no event is pending. */
static tdm_status write_trace(const tdm__profile *p, const tdm__anchor *now, tdm__atomic *file)
{
    tdm_status status = TDM_OK;
    tdm__str s = {0};
    for (int lane = 0; lane < 4; lane++)
        tdm__str_addf(&s,
                      "%s\n{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":1,\"tid\":%d,"
                      "\"args\":{\"name\":\"%s\"}}",
                      lane == 0 ? "[" : ",", lane + 1, lane_names[lane]);
    for (size_t i = 0; i < p->n_spans; i++) {
        add_span_json(&s, p, now, &p->spans[i]);
        if (s.length > CHUNK_BYTES) TDM_TRY(flush_text(&s, file));
    }
    tdm__str_add(&s, "\n]\n");
    TDM_TRY(flush_text(&s, file));
done:
    tdm__str_free(&s);
    return status;
}

tdm_status tdm__profile_write(tdm_device *device, const char *path)
{
    tdm_status status = TDM_OK;
    tdm__profile *p = &device->profile;
    tdm__anchor now = {0};
    tdm__atomic file = {0};
    TDM_TRY(settle(device));
    status = take_anchor(device, &now);
    if (!status) status = tdm__atomic_begin(&file, path);
    if (!status) status = write_trace(p, &now, &file);
    if (!status) status = tdm__atomic_commit(&file);
    uint64_t dropped = p->dropped;
    tdm__mutex_unlock(&p->lock);
    if (!status && dropped)
        tdm__log(TDM_LOG_WARN, "profile: %" PRIu64 " spans beyond the first %u were dropped",
                 dropped, TDM__PROFILE_SPANS);
done:
    tdm__atomic_abort(&file);
    return status;
}
