/* Opening and closing a device: context, the two in-order queues, identity. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "cl/internal.h"

static tdm_status style_from_environment(tdm_kernel_style *style)
{
    const char *text = getenv("TANDEM_KERNEL_STYLE");
    if (*style != TDM_STYLE_AUTO || !text || !*text || tdm__streq(text, "auto")) return TDM_OK;
    if (tdm__streq(text, "cpu"))
        *style = TDM_STYLE_CPU;
    else if (tdm__streq(text, "gpu"))
        *style = TDM_STYLE_GPU;
    else
        return tdm__fail(TDM_ERR_CONFIG, "TANDEM_KERNEL_STYLE = %s: must be cpu, gpu or auto",
                         text);
    return TDM_OK;
}

/* All memory the device has, unless the specification or TANDEM_DEVICE_MEMORY says less. */
static tdm_status limit_memory(tdm_device *device, uint64_t specified)
{
    const char *text = getenv("TANDEM_DEVICE_MEMORY");
    uint64_t bytes = 0;
    device->memory_limit = device->info.global_memory;
    if (text && *text && (!tdm__parse_bytes(text, &bytes) || !bytes))
        return tdm__fail(TDM_ERR_CONFIG,
                         "TANDEM_DEVICE_MEMORY = %s: must be a number of bytes, e.g. 512MiB", text);
    if (specified && (!bytes || specified < bytes)) bytes = specified;
    if (bytes) tdm__device_set_memory_limit(device, bytes);
    return TDM_OK;
}

/* The device hash names everything outside the sources that a program binary depends on. */
static tdm_status identify(tdm_device *device)
{
    tdm_status status = TDM_OK;
    tdm__hash *hash = NULL;
    char platform_version[256] = "";
    if (clGetPlatformInfo(device->platform, CL_PLATFORM_VERSION, sizeof platform_version - 1,
                          platform_version, NULL))
        platform_version[0] = 0;
    TDM_TRY(tdm__hash_create(&hash));
    tdm__hash_add_text(hash, device->info.name);
    tdm__hash_add_text(hash, device->info.vendor);
    tdm__hash_add_text(hash, device->info.driver);
    tdm__hash_add_text(hash, device->info.version);
    tdm__hash_add_text(hash, device->info.platform_name);
    tdm__hash_add_text(hash, platform_version);
    tdm__hash_add_text(hash, device->traits.style == TDM_STYLE_CPU ? "cpu" : "gpu");
    tdm__hash_hex(hash, device->hash);
done:
    tdm__hash_destroy(&hash);
    return status;
}

/* Replaces device->id by a part of the device with so many compute units. Nothing else is asked of
 * the part: results do not depend on the number of units, and its memory is the whole device's. */
static void partition(tdm_device *device, unsigned units)
{
    const cl_device_partition_property wanted[] = {CL_DEVICE_PARTITION_BY_COUNTS,
                                                   (cl_device_partition_property)units,
                                                   CL_DEVICE_PARTITION_BY_COUNTS_LIST_END, 0};
    if (units == 0 || units >= device->info.compute_units) return;
    const cl_int code = clCreateSubDevices(device->id, wanted, 1, &device->part, NULL);
    if (code) {
        device->part = NULL;
        tdm__log(TDM_LOG_WARN, "device.units = %u: %s cannot be partitioned (%s): all %u are used",
                 units, device->info.name, tdm__cl_code_name(code), device->info.compute_units);
        return;
    }
    device->id = device->part;
    device->info.compute_units = units;
}

static tdm_status open_queues(tdm_device *device)
{
    cl_int code;
    const cl_context_properties properties[] = {CL_CONTEXT_PLATFORM,
                                                (cl_context_properties)device->platform, 0};
    cl_command_queue_properties flags = device->profiling ? CL_QUEUE_PROFILING_ENABLE : 0;
    device->context = clCreateContext(properties, 1, &device->id, NULL, NULL, &code);
    if (code) return tdm__cl_fail(code, "clCreateContext");
    device->compute = clCreateCommandQueue(device->context, device->id, flags, &code);
    if (code) return tdm__cl_fail(code, "clCreateCommandQueue");
    device->transfer = clCreateCommandQueue(device->context, device->id, flags, &code);
    if (code) return tdm__cl_fail(code, "clCreateCommandQueue");
    return TDM_OK;
}

static tdm_status set_up(tdm_device *device, tdm_kernel_style style, uint64_t memory_limit)
{
    tdm_status status = TDM_OK;
    cl_uint align_bits = 0;
    const char *folder = getenv("TANDEM_CL_DIR");
    TDM_TRY(style_from_environment(&style));
    clGetDeviceInfo(device->id, CL_DEVICE_MEM_BASE_ADDR_ALIGN, sizeof align_bits, &align_bits,
                    NULL);
    device->traits = tdm__traits_make(&device->info, style, align_bits / 8);
    TDM_TRY(tdm__traits_defines(&device->traits, &device->defines));
    TDM_TRY(identify(device));
    TDM_TRY(tdm__mutex_init(&device->memory_lock));
    TDM_TRY(tdm__mutex_init(&device->blas_lock));
    TDM_TRY(limit_memory(device, memory_limit));
    if (folder && *folder) {
        if (!tdm__is_folder(folder))
            return tdm__fail(TDM_ERR_CONFIG, "TANDEM_CL_DIR = %s: no such folder", folder);
        device->cl_folder = tdm__strdup(folder);
        if (!device->cl_folder) return tdm__fail(TDM_ERR_NOMEM, "device: out of memory");
    }
    TDM_TRY(tdm__calloc_try(TDM__STAGING_SLOTS, TDM__STAGING_BYTES, &device->staging));
    TDM_TRY(open_queues(device));
    TDM_TRY(tdm__profile_init(device));
done:
    return status;
}

tdm_status tdm_device_open(const tdm_device_spec *spec, tdm_device **out)
{
    tdm_status status = TDM_OK;
    tdm__found_device *found = NULL;
    tdm_device_info *infos = NULL;
    tdm_device *device = NULL;
    size_t n = 0, index = 0;
    *out = NULL;
    TDM_TRY(tdm__devices_find(&found, &n));
    TDM_TRY(tdm__calloc_try(n, sizeof *infos, &infos));
    for (size_t i = 0; i < n; i++) infos[i] = found[i].info;
    TDM_TRY(tdm__choose(spec, infos, n, &index));
    TDM_TRY(tdm__calloc_try(1, sizeof *device, &device));
    device->info = found[index].info;
    device->platform = found[index].platform;
    device->id = found[index].id;
    device->profiling = spec->profile;
    tdm__log(TDM_LOG_INFO, "device %u:%u %s (%s)", device->info.platform, device->info.device,
             device->info.name, device->info.platform_name);
    partition(device, spec->units);
    status = set_up(device, spec->style, spec->memory_limit);
    if (status)
        status = tdm__context(status, "device %u:%u %s", device->info.platform, device->info.device,
                              device->info.name);
done:
    free(found);
    free(infos);
    if (status)
        tdm_device_destroy(&device);
    else
        *out = device;
    return status;
}

void tdm_device_destroy(tdm_device **pointer)
{
    tdm_device *device = *pointer;
    if (!device) return;
    *pointer = NULL;
    if (device->compute) clFinish(device->compute);
    if (device->transfer) clFinish(device->transfer);
    tdm__clblast_release(device);
    tdm__profile_destroy(device);
    for (int i = 0; i < TDM__STAGING_SLOTS; i++) tdm__event_release(&device->staged[i]);
    tdm__programs_destroy(device);
    if (device->compute) clReleaseCommandQueue(device->compute);
    if (device->transfer) clReleaseCommandQueue(device->transfer);
    if (device->context) clReleaseContext(device->context);
    if (device->part) clReleaseDevice(device->part);
    tdm__mutex_destroy(&device->memory_lock);
    tdm__mutex_destroy(&device->blas_lock);
    free(device->staging);
    free(device->defines);
    free(device->cl_folder);
    free(device);
}

const tdm_device_info *tdm_device_get_info(const tdm_device *device)
{
    return &device->info;
}

tdm_status tdm_device_finish(tdm_device *device)
{
    cl_int code = clFinish(device->transfer);
    if (!code) code = clFinish(device->compute);
    return code ? tdm__cl_fail(code, "clFinish") : TDM_OK;
}

const tdm__traits *tdm__device_traits(const tdm_device *device)
{
    return &device->traits;
}
const char *tdm__device_defines(const tdm_device *device)
{
    return device->defines;
}
const char *tdm__device_hash(const tdm_device *device)
{
    return device->hash;
}
cl_context tdm__device_context(const tdm_device *device)
{
    return device->context;
}
cl_device_id tdm__device_id(const tdm_device *device)
{
    return device->id;
}

void tdm__device_stats_get(const tdm_device *device, tdm__device_stats *out)
{
    *out = device->stats;
}
