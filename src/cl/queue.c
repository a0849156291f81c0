/* The transfer queue, and the order between it and the compute queue. */
#include "cl/internal.h"

tdm_status tdm__transfer_write(tdm_device *device, tdm__view view, const void *bytes, uint64_t size,
                               cl_event *done)
{
    *done = NULL;
    tdm_status status = tdm__view_check(view, size, "transfer to a buffer");
    if (status) return status;
    cl_int code = size > 0 ? clEnqueueWriteBuffer(device->transfer, view.buffer->mem, CL_FALSE,
                                                  view.offset, size, bytes, 0, NULL, done)
                           : clEnqueueMarkerWithWaitList(device->transfer, 0, NULL, done);
    if (code) return tdm__cl_fail(code, "clEnqueueWriteBuffer");
    if (device->profiling && size > 0) {
        clRetainEvent(*done);
        tdm__profile_event(device, TDM__LANE_TRANSFER, "upload", *done, 0, (double)size);
    }
    /* Another queue may wait for this event: it has to be on its way. */
    return tdm__transfer_flush(device);
}

static tdm_status queue_wait(cl_command_queue queue, cl_event event)
{
    cl_int code = clEnqueueBarrierWithWaitList(queue, 1, &event, NULL);
    return code ? tdm__cl_fail(code, "clEnqueueBarrierWithWaitList") : TDM_OK;
}

tdm_status tdm__compute_wait(tdm_device *device, cl_event event)
{
    return queue_wait(device->compute, event);
}

tdm_status tdm__transfer_wait(tdm_device *device, cl_event event)
{
    return queue_wait(device->transfer, event);
}

tdm_status tdm__compute_mark(tdm_device *device, cl_event *out)
{
    *out = NULL;
    cl_int code = clEnqueueMarkerWithWaitList(device->compute, 0, NULL, out);
    if (code) return tdm__cl_fail(code, "clEnqueueMarkerWithWaitList");
    return tdm__compute_flush(device);
}

tdm_status tdm__event_wait(cl_event event)
{
    cl_int code = clWaitForEvents(1, &event);
    return code ? tdm__cl_fail(code, "clWaitForEvents") : TDM_OK;
}

bool tdm__event_done(cl_event event)
{
    cl_int state = CL_COMPLETE;
    /* A failed command has a negative state: it is over, and waiting for it tells why. */
    if (clGetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state, NULL))
        return true;
    return state <= CL_COMPLETE;
}

void tdm__event_release(cl_event *event)
{
    if (*event) clReleaseEvent(*event);
    *event = NULL;
}

tdm_status tdm__compute_flush(tdm_device *device)
{
    cl_int code = clFlush(device->compute);
    return code ? tdm__cl_fail(code, "clFlush") : TDM_OK;
}

tdm_status tdm__transfer_flush(tdm_device *device)
{
    cl_int code = clFlush(device->transfer);
    return code ? tdm__cl_fail(code, "clFlush") : TDM_OK;
}
