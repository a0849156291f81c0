/* Prepared kernel launches. Everything that can be wrong is found before the enqueue: some drivers
 * abort the process where the standard asks for an error (PoCL 3.1 on too much local memory). */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "cl/internal.h"

static tdm_status query_kernel(tdm_device *device, tdm__launch *launch)
{
    cl_ulong local = 0;
    cl_int code = clGetKernelInfo(launch->kernel, CL_KERNEL_NUM_ARGS, sizeof launch->wanted_args,
                                  &launch->wanted_args, NULL);
    if (!code)
        code =
            clGetKernelWorkGroupInfo(launch->kernel, device->id, CL_KERNEL_WORK_GROUP_SIZE,
                                     sizeof launch->max_work_group, &launch->max_work_group, NULL);
    if (!code)
        code =
            clGetKernelWorkGroupInfo(launch->kernel, device->id, CL_KERNEL_COMPILE_WORK_GROUP_SIZE,
                                     sizeof launch->wanted_local, launch->wanted_local, NULL);
    if (!code)
        code = clGetKernelWorkGroupInfo(launch->kernel, device->id, CL_KERNEL_LOCAL_MEM_SIZE,
                                        sizeof local, &local, NULL);
    launch->fixed_local_bytes = local;
    return code ? tdm__cl_fail(code, "clGetKernelWorkGroupInfo") : TDM_OK;
}

tdm_status tdm__launch_init(tdm_device *device, const char *file, const char *defines,
                            const char *kernel, tdm__launch *out)
{
    tdm_status status = TDM_OK;
    cl_int code;
    *out = (tdm__launch){0};
    TDM_TRY(tdm__program_get(device, file, defines, &out->program));
    TDM_TRY(tdm__program_kernel_name(out->program, kernel, &out->name));
    out->kernel = clCreateKernel(out->program->program, kernel, &code);
    if (code == CL_INVALID_KERNEL_NAME)
        status = tdm__fail(TDM_ERR_BUILD, "no kernel %s in %s (defines %s)", kernel, file,
                           out->program->defines);
    else if (code)
        status =
            tdm__context(tdm__cl_fail(code, "clCreateKernel"), "kernel %s in %s", kernel, file);
    if (!status) status = query_kernel(device, out);
done:
    if (status) tdm__launch_destroy(out);
    return status;
}

void tdm__launch_destroy(tdm__launch *launch)
{
    if (launch->kernel) clReleaseKernel(launch->kernel);
    *launch = (tdm__launch){0};
}

/* ---- arguments ------------------------------------------------------------------------------- */

static tdm_status set_arg(tdm__launch *launch, cl_uint index, size_t size, const void *value)
{
    cl_int code = clSetKernelArg(launch->kernel, index, size, value);
    if (!code) return TDM_OK;
    return tdm__context(tdm__cl_fail(code, "clSetKernelArg"), "kernel %s, argument %u of %u",
                        launch->name, (unsigned)index, (unsigned)launch->wanted_args);
}

static tdm_status append_arg(tdm__launch *launch, size_t size, const void *value)
{
    tdm_status status = set_arg(launch, launch->args, size, value);
    if (!status) launch->args++;
    return status;
}

tdm_status tdm__launch_set_view(tdm__launch *launch, cl_uint index, tdm__view view,
                                size_t element_size)
{
    cl_mem mem = view.buffer ? view.buffer->mem : NULL;
    cl_ulong elements = view.offset / element_size;
    if (view.offset % element_size)
        return tdm__fail(TDM_ERR_SHAPE,
                         "kernel %s, argument %u: offset %" PRIu64
                         " must be a multiple of the element's %zu bytes",
                         launch->name, (unsigned)index, view.offset, element_size);
    if (view.buffer && view.offset > view.buffer->bytes)
        return tdm__fail(TDM_ERR_SHAPE,
                         "kernel %s, argument %u: offset %" PRIu64
                         " is outside a buffer of %" PRIu64 " bytes",
                         launch->name, (unsigned)index, view.offset, view.buffer->bytes);
    tdm_status status = set_arg(launch, index, sizeof mem, &mem);
    if (!status) status = set_arg(launch, index + 1, sizeof elements, &elements);
    return status;
}

tdm_status tdm__launch_view(tdm__launch *launch, tdm__view view, size_t element_size)
{
    tdm_status status = tdm__launch_set_view(launch, launch->args, view, element_size);
    if (!status) launch->args += 2;
    return status;
}

tdm_status tdm__launch_i32(tdm__launch *launch, int32_t v)
{
    return append_arg(launch, sizeof v, &v);
}

tdm_status tdm__launch_u64(tdm__launch *launch, uint64_t v)
{
    return append_arg(launch, sizeof v, &v);
}

tdm_status tdm__launch_f32(tdm__launch *launch, float v)
{
    return append_arg(launch, sizeof v, &v);
}

tdm_status tdm__launch_set_f32(tdm__launch *launch, cl_uint index, float v)
{
    return set_arg(launch, index, sizeof v, &v);
}

tdm_status tdm__launch_local(tdm__launch *launch, uint64_t bytes)
{
    launch->local_bytes += bytes;
    return append_arg(launch, bytes, NULL);
}

/* ---- range ----------------------------------------------------------------------------------- */

static tdm_status check_local(const tdm__launch *launch)
{
    size_t items = 1;
    for (cl_uint d = 0; d < launch->dims; d++) {
        size_t local = launch->local[d];
        if (local == 0 || launch->global[d] % local)
            return tdm__fail(TDM_ERR_DEVICE,
                             "kernel %s: global size %zu of dimension %u must be a multiple of the "
                             "work-group's %zu",
                             launch->name, launch->global[d], (unsigned)d, local);
        if (launch->wanted_local[d] && launch->wanted_local[d] != local)
            return tdm__fail(TDM_ERR_DEVICE,
                             "kernel %s: work-group size %zu of dimension %u must be %zu",
                             launch->name, local, (unsigned)d, launch->wanted_local[d]);
        items *= local;
    }
    if (items > launch->max_work_group)
        return tdm__fail(TDM_ERR_DEVICE, "kernel %s: a work-group of %zu items, at most %zu fit",
                         launch->name, items, launch->max_work_group);
    return TDM_OK;
}

tdm_status tdm__launch_range(tdm__launch *launch, cl_uint dims, const size_t *global,
                             const size_t *local)
{
    if (dims < 1 || dims > 3)
        return tdm__fail(TDM_ERR_DEVICE, "kernel %s: %u dimensions: must be 1 to 3", launch->name,
                         (unsigned)dims);
    /* A size demanded by the source has to be passed on: the standard knows no default for it. */
    if (!local && launch->wanted_local[0]) local = launch->wanted_local;
    launch->dims = dims;
    launch->has_local = local != NULL;
    for (cl_uint d = 0; d < 3; d++) {
        launch->global[d] = d < dims ? global[d] : 1;
        launch->local[d] = d < dims && local ? local[d] : 1;
    }
    return local ? check_local(launch) : TDM_OK;
}

tdm_status tdm__launch_teams(const tdm_device *device, tdm__launch *launch, size_t teams)
{
    const size_t local = device->traits.style == TDM_STYLE_CPU ? 1 : device->traits.work_group;
    const size_t global = teams * local;
    return tdm__launch_range(launch, 1, &global, &local);
}

/* ---- enqueue --------------------------------------------------------------------------------- */

static tdm_status check_launch(const tdm_device *device, const tdm__launch *launch)
{
    uint64_t local = launch->local_bytes + launch->fixed_local_bytes;
    if (launch->dims == 0 || launch->args != launch->wanted_args)
        return tdm__fail(TDM_ERR_STATE, "kernel %s: %u of %u arguments%s", launch->name,
                         (unsigned)launch->args, (unsigned)launch->wanted_args,
                         launch->dims ? "" : " and no range");
    if (local > device->traits.local_bytes)
        return tdm__fail(TDM_ERR_DEVICE,
                         "kernel %s: %" PRIu64 " bytes of local memory, the device has %" PRIu64,
                         launch->name, local, device->traits.local_bytes);
    return TDM_OK;
}

tdm_status tdm__launch_enqueue(tdm_device *device, tdm__launch *launch)
{
    cl_event event = NULL;
    tdm_status status = check_launch(device, launch);
    if (status) return status;
    if (launch->global[0] == 0 || launch->global[1] == 0 || launch->global[2] == 0) return TDM_OK;
    double begin = tdm__now();
    cl_int code = clEnqueueNDRangeKernel(device->compute, launch->kernel, launch->dims, NULL,
                                         launch->global, launch->has_local ? launch->local : NULL,
                                         0, NULL, tdm__profile_slot(device, &event));
    if (code)
        return tdm__context(tdm__cl_fail(code, "clEnqueueNDRangeKernel"), "kernel %s",
                            launch->name);
    device->stats.enqueue_seconds += tdm__now() - begin;
    device->stats.launches++;
    launch->program->launched = true;
    tdm__profile_event(device, TDM__LANE_COMPUTE, launch->name, event, launch->flops,
                       launch->bytes);
    return TDM_OK;
}
