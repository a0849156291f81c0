/* Device buffers and the copies that run on the compute queue.
 *
 * Drivers allocate lazily (PoCL on the first use), so an allocation that cannot succeed is refused
 * here by its numbers: against the largest buffer the device allows and against all of its memory.
 */
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "cl/internal.h"

#define MEMORY_HINT "a smaller batch size or a device with more memory"

/* Counts the bytes as live, or refuses. */
static tdm_status reserve(tdm_device *device, uint64_t bytes, const char *what)
{
    tdm__mutex_lock(&device->memory_lock);
    uint64_t left = device->memory_limit > device->bytes ? device->memory_limit - device->bytes : 0;
    bool fits = bytes <= left;
    if (fits) device->bytes += bytes;
    if (device->bytes > device->peak_bytes) device->peak_bytes = device->bytes;
    uint64_t limit = device->memory_limit;
    tdm__mutex_unlock(&device->memory_lock);
    if (fits) return TDM_OK;
    return tdm__hint(tdm__fail(TDM_ERR_NOMEM,
                               "device memory: %s needs %" PRIu64 " bytes: %" PRIu64 " of %" PRIu64
                               " bytes are left",
                               what, bytes, left, limit),
                     MEMORY_HINT);
}

static uint64_t next_serial(tdm_device *device)
{
    tdm__mutex_lock(&device->memory_lock);
    const uint64_t serial = ++device->buffers_made;
    tdm__mutex_unlock(&device->memory_lock);
    return serial;
}

static void unreserve(tdm_device *device, uint64_t bytes)
{
    tdm__mutex_lock(&device->memory_lock);
    device->bytes -= bytes;
    tdm__mutex_unlock(&device->memory_lock);
}

/* Pages of 2 MiB instead of 4 KiB where the device is the host: kernels walk many streams that lie
 * far apart, and would wait for page tables more than for memory. Only advice: nothing fails. */
static void advise_large_pages(tdm_device *device, cl_mem mem, uint64_t bytes)
{
    cl_int code;
    if (!device->traits.is_cpu || bytes < TDM__LARGE_PAGE) return;
    void *at = clEnqueueMapBuffer(device->compute, mem, CL_TRUE, CL_MAP_WRITE_INVALIDATE_REGION, 0,
                                  bytes, 0, NULL, NULL, &code);
    if (code) return;
    tdm__advise_large_pages(at, bytes);
    clEnqueueUnmapMemObject(device->compute, mem, at, 0, NULL, NULL);
}

tdm_status tdm__buffer_create(tdm_device *device, uint64_t bytes, bool zero, const char *what,
                              tdm__buffer *out)
{
    tdm_status status = TDM_OK;
    cl_int code;
    cl_mem_flags flags = CL_MEM_READ_WRITE;
    *out = (tdm__buffer){0};
    if (bytes > device->traits.max_allocation)
        return tdm__hint(tdm__fail(TDM_ERR_NOMEM,
                                   "device memory: %s needs %" PRIu64
                                   " bytes: the largest buffer of the device is %" PRIu64 " bytes",
                                   what, bytes, device->traits.max_allocation),
                         MEMORY_HINT);
    TDM_TRY(reserve(device, bytes, what));
    /* Memory the host can reach too makes copies plain memcpys. */
    if (device->traits.unified || device->traits.is_cpu) flags |= CL_MEM_ALLOC_HOST_PTR;
    /* OpenCL has no empty buffers. */
    out->mem = clCreateBuffer(device->context, flags, bytes ? bytes : 4, NULL, &code);
    if (code) {
        unreserve(device, bytes);
        *out = (tdm__buffer){0};
        status = code == CL_INVALID_BUFFER_SIZE
                     ? tdm__fail(TDM_ERR_NOMEM, "clCreateBuffer: %s (%d)", tdm__cl_code_name(code),
                                 (int)code)
                     : tdm__cl_fail(code, "clCreateBuffer");
        return tdm__context(status, "device memory: %s, %" PRIu64 " bytes", what, bytes);
    }
    out->bytes = bytes;
    out->serial = next_serial(device);
    advise_large_pages(device, out->mem, bytes);
    if (zero && bytes > 0) {
        /* Waits, so that the transfer queue may use the buffer at once. */
        cl_event event;
        const uint8_t nothing = 0;
        code =
            clEnqueueFillBuffer(device->compute, out->mem, &nothing, 1, 0, bytes, 0, NULL, &event);
        if (!code) {
            code = clWaitForEvents(1, &event);
            clReleaseEvent(event);
        }
        if (code) {
            status = tdm__context(tdm__cl_fail(code, "clEnqueueFillBuffer"),
                                  "device memory: %s, %" PRIu64 " bytes", what, bytes);
            tdm__buffer_destroy(device, out);
        }
    }
done:
    return status;
}

void tdm__buffer_destroy(tdm_device *device, tdm__buffer *buffer)
{
    if (!buffer->mem) return;
    clReleaseMemObject(buffer->mem);
    unreserve(device, buffer->bytes);
    *buffer = (tdm__buffer){0};
}

/* The counts change under a lock that reading does not disturb, hence the casts. */
uint64_t tdm__device_bytes(const tdm_device *device)
{
    tdm__mutex *lock = (tdm__mutex *)&device->memory_lock;
    tdm__mutex_lock(lock);
    uint64_t bytes = device->bytes;
    tdm__mutex_unlock(lock);
    return bytes;
}

uint64_t tdm__device_peak_bytes(const tdm_device *device)
{
    tdm__mutex *lock = (tdm__mutex *)&device->memory_lock;
    tdm__mutex_lock(lock);
    uint64_t bytes = device->peak_bytes;
    tdm__mutex_unlock(lock);
    return bytes;
}

uint64_t tdm__device_memory_left(tdm_device *device)
{
    tdm__mutex_lock(&device->memory_lock);
    const uint64_t limit = device->memory_limit, used = device->bytes;
    tdm__mutex_unlock(&device->memory_lock);
    return limit > used ? limit - used : 0;
}

void tdm__device_set_memory_limit(tdm_device *device, uint64_t bytes)
{
    tdm__mutex_lock(&device->memory_lock);
    device->memory_limit = bytes < device->info.global_memory ? bytes : device->info.global_memory;
    tdm__mutex_unlock(&device->memory_lock);
}

/* ---- views ----------------------------------------------------------------------------------- */

tdm_status tdm__view_check(tdm__view view, uint64_t size, const char *call)
{
    if (!view.buffer || !view.buffer->mem)
        return tdm__fail(TDM_ERR_STATE, "%s: the view has no buffer", call);
    if (view.offset > view.buffer->bytes || size > view.buffer->bytes - view.offset)
        return tdm__fail(TDM_ERR_SHAPE,
                         "%s: bytes %" PRIu64 " to %" PRIu64 " are outside a buffer of %" PRIu64
                         " bytes",
                         call, view.offset, view.offset + size, view.buffer->bytes);
    return TDM_OK;
}

tdm_status tdm__view_write(tdm_device *device, tdm__view view, const void *bytes, uint64_t size)
{
    tdm_status status = tdm__view_check(view, size, "write to a buffer");
    cl_event event = NULL;
    if (status || size == 0) return status;
    cl_int code = clEnqueueWriteBuffer(device->compute, view.buffer->mem, CL_TRUE, view.offset,
                                       size, bytes, 0, NULL, tdm__profile_slot(device, &event));
    if (code) return tdm__cl_fail(code, "clEnqueueWriteBuffer");
    tdm__profile_event(device, TDM__LANE_COMPUTE, "write", event, 0, (double)size);
    return TDM_OK;
}

tdm_status tdm__view_read(tdm_device *device, tdm__view view, void *bytes, uint64_t size)
{
    tdm_status status = tdm__view_check(view, size, "read from a buffer");
    cl_event event = NULL;
    if (status || size == 0) return status;
    cl_int code = clEnqueueReadBuffer(device->compute, view.buffer->mem, CL_TRUE, view.offset, size,
                                      bytes, 0, NULL, tdm__profile_slot(device, &event));
    if (code) return tdm__cl_fail(code, "clEnqueueReadBuffer");
    tdm__profile_event(device, TDM__LANE_COMPUTE, "read", event, 0, (double)size);
    return TDM_OK;
}

/* Takes the next slot of the staging ring, waiting for its previous write; the lock is held. */
static tdm_status stage(tdm_device *device, const void *bytes, uint64_t size, unsigned *slot)
{
    unsigned i = device->staging_next;
    if (device->staged[i]) {
        tdm_status status = tdm__event_wait(device->staged[i]);
        tdm__event_release(&device->staged[i]);
        if (status) return status;
    }
    memcpy(device->staging + (size_t)i * TDM__STAGING_BYTES, bytes, size);
    device->staging_next = (i + 1) % TDM__STAGING_SLOTS;
    *slot = i;
    return TDM_OK;
}

static tdm_status write_staged(tdm_device *device, tdm__view view, const void *bytes, uint64_t size)
{
    tdm_status status = TDM_OK;
    unsigned slot = 0;
    cl_event event = NULL;
    tdm__mutex_lock(&device->memory_lock);
    TDM_TRY(stage(device, bytes, size, &slot));
    cl_int code =
        clEnqueueWriteBuffer(device->compute, view.buffer->mem, CL_FALSE, view.offset, size,
                             device->staging + (size_t)slot * TDM__STAGING_BYTES, 0, NULL, &event);
    if (code) {
        status = tdm__cl_fail(code, "clEnqueueWriteBuffer");
        goto done;
    }
    device->staged[slot] = event;
    if (device->profiling) clRetainEvent(event);
done:
    tdm__mutex_unlock(&device->memory_lock);
    if (!status && device->profiling)
        tdm__profile_event(device, TDM__LANE_COMPUTE, "write", event, 0, (double)size);
    return status;
}

tdm_status tdm__view_write_async(tdm_device *device, tdm__view view, const void *bytes,
                                 uint64_t size)
{
    tdm_status status = tdm__view_check(view, size, "write to a buffer");
    cl_event event = NULL;
    if (status || size == 0) return status;
    if (size <= TDM__STAGING_BYTES) return write_staged(device, view, bytes, size);
    cl_int code = clEnqueueWriteBuffer(device->compute, view.buffer->mem, CL_FALSE, view.offset,
                                       size, bytes, 0, NULL, tdm__profile_slot(device, &event));
    if (code) return tdm__cl_fail(code, "clEnqueueWriteBuffer");
    tdm__profile_event(device, TDM__LANE_COMPUTE, "write", event, 0, (double)size);
    return TDM_OK;
}

tdm_status tdm__view_fill(tdm_device *device, tdm__view view, uint32_t pattern, uint64_t size)
{
    tdm_status status = tdm__view_check(view, size, "fill of a buffer");
    cl_event event = NULL;
    if (status || size == 0) return status;
    if (view.offset % 4 || size % 4)
        return tdm__fail(TDM_ERR_SHAPE,
                         "fill of a buffer: offset %" PRIu64 " and size %" PRIu64
                         " must be multiples of 4 bytes",
                         view.offset, size);
    cl_int code =
        clEnqueueFillBuffer(device->compute, view.buffer->mem, &pattern, sizeof pattern,
                            view.offset, size, 0, NULL, tdm__profile_slot(device, &event));
    if (code) return tdm__cl_fail(code, "clEnqueueFillBuffer");
    tdm__profile_event(device, TDM__LANE_COMPUTE, "fill", event, 0, (double)size);
    return TDM_OK;
}

tdm_status tdm__view_copy(tdm_device *device, tdm__view from, tdm__view to, uint64_t size)
{
    tdm_status status = tdm__view_check(from, size, "copy from a buffer");
    cl_event event = NULL;
    if (!status) status = tdm__view_check(to, size, "copy to a buffer");
    if (status || size == 0) return status;
    cl_int code =
        clEnqueueCopyBuffer(device->compute, from.buffer->mem, to.buffer->mem, from.offset,
                            to.offset, size, 0, NULL, tdm__profile_slot(device, &event));
    if (code) return tdm__cl_fail(code, "clEnqueueCopyBuffer");
    tdm__profile_event(device, TDM__LANE_COMPUTE, "copy", event, 0, 2.0 * (double)size);
    return TDM_OK;
}
