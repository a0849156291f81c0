/* Memory that host and device both reach: mapped views, pinned staging. */
#include <inttypes.h>

#include "cl/internal.h"

tdm_status tdm__transfer_map(tdm_device *device, tdm__view view, uint64_t size, void **host)
{
    cl_int code;
    *host = NULL;
    tdm_status status = tdm__view_check(view, size, "mapping of a buffer");
    if (status) return status;
    *host =
        clEnqueueMapBuffer(device->transfer, view.buffer->mem, CL_TRUE,
                           CL_MAP_WRITE_INVALIDATE_REGION, view.offset, size, 0, NULL, NULL, &code);
    return code ? tdm__cl_fail(code, "clEnqueueMapBuffer") : TDM_OK;
}

tdm_status tdm__transfer_unmap(tdm_device *device, tdm__view view, void *host, cl_event *done)
{
    *done = NULL;
    cl_int code = clEnqueueUnmapMemObject(device->transfer, view.buffer->mem, host, 0, NULL, done);
    if (code) return tdm__cl_fail(code, "clEnqueueUnmapMemObject");
    if (device->profiling) {
        clRetainEvent(*done);
        tdm__profile_event(device, TDM__LANE_TRANSFER, "unmap", *done, 0, 0);
    }
    return tdm__transfer_flush(device);
}

tdm_status tdm__pinned_create(tdm_device *device, uint64_t bytes, tdm__pinned *out)
{
    cl_int code;
    const char *call = "clCreateBuffer";
    uint64_t size = bytes ? bytes : 4; /* OpenCL has no empty buffers */
    *out = (tdm__pinned){0};
    out->mem = clCreateBuffer(device->context, CL_MEM_READ_WRITE | CL_MEM_ALLOC_HOST_PTR, size,
                              NULL, &code);
    if (!code) {
        call = "clEnqueueMapBuffer";
        out->bytes =
            clEnqueueMapBuffer(device->transfer, out->mem, CL_TRUE, CL_MAP_WRITE_INVALIDATE_REGION,
                               0, size, 0, NULL, NULL, &code);
    }
    if (!code) return TDM_OK;
    if (out->mem) clReleaseMemObject(out->mem);
    *out = (tdm__pinned){0};
    return tdm__context(tdm__cl_fail(code, call), "staging memory, %" PRIu64 " bytes", bytes);
}

void tdm__pinned_destroy(tdm_device *device, tdm__pinned *pinned)
{
    if (!pinned->mem) return;
    clEnqueueUnmapMemObject(device->transfer, pinned->mem, pinned->bytes, 0, NULL, NULL);
    clFinish(device->transfer);
    clReleaseMemObject(pinned->mem);
    *pinned = (tdm__pinned){0};
}
