/* Listing OpenCL devices: from the ICD loader to tdm_device_info, and to text for people and
 * programs. */
#include <ctype.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cl/internal.h"

/* Drivers pad names with blanks, and nothing promises that they are ASCII. */
static void tidy(char *text)
{
    char *to = text;
    bool blank = true;
    for (const char *from = text; *from; from++) {
        unsigned char c = (unsigned char)*from;
        if (isspace(c)) {
            if (!blank) *to++ = ' ';
            blank = true;
        } else {
            *to++ = c >= 0x20 && c < 0x7f ? (char)c : '?';
            blank = false;
        }
    }
    if (to > text && to[-1] == ' ') to--;
    *to = 0;
}

static void copy_text(char *to, size_t size, const char *from)
{
    snprintf(to, size, "%s", from);
    tidy(to);
}

static void device_text(cl_device_id id, cl_device_info what, char *to, size_t size)
{
    char text[1024] = "";
    if (clGetDeviceInfo(id, what, sizeof text - 1, text, NULL)) text[0] = 0;
    copy_text(to, size, text);
}

static void platform_text(cl_platform_id id, cl_platform_info what, char *to, size_t size)
{
    char text[1024] = "";
    if (clGetPlatformInfo(id, what, sizeof text - 1, text, NULL)) text[0] = 0;
    copy_text(to, size, text);
}

/* 0 when the driver does not know the answer. size is 4 or 8. */
static uint64_t device_number(cl_device_id id, cl_device_info what, size_t size)
{
    union {
        uint32_t u32;
        uint64_t u64;
    } n = {.u64 = 0};
    if (clGetDeviceInfo(id, what, size, &n, NULL)) return 0;
    return size == sizeof n.u32 ? n.u32 : n.u64;
}

static tdm_device_type type_of(cl_device_type bits)
{
    if (bits & CL_DEVICE_TYPE_GPU) return TDM_DEVICE_GPU;
    if (bits & CL_DEVICE_TYPE_CPU) return TDM_DEVICE_CPU;
    return TDM_DEVICE_ACCELERATOR;
}

static void fill_info(tdm__found_device *found, unsigned platform, unsigned device)
{
    cl_device_id id = found->id;
    tdm_device_info *info = &found->info;
    info->platform = platform;
    info->device = device;
    info->type = type_of(device_number(id, CL_DEVICE_TYPE, sizeof(cl_device_type)));
    device_text(id, CL_DEVICE_NAME, info->name, sizeof info->name);
    device_text(id, CL_DEVICE_VENDOR, info->vendor, sizeof info->vendor);
    device_text(id, CL_DRIVER_VERSION, info->driver, sizeof info->driver);
    device_text(id, CL_DEVICE_VERSION, info->version, sizeof info->version);
    platform_text(found->platform, CL_PLATFORM_NAME, info->platform_name,
                  sizeof info->platform_name);
    info->compute_units = (unsigned)device_number(id, CL_DEVICE_MAX_COMPUTE_UNITS, 4);
    info->clock_mhz = (unsigned)device_number(id, CL_DEVICE_MAX_CLOCK_FREQUENCY, 4);
    info->global_memory = device_number(id, CL_DEVICE_GLOBAL_MEM_SIZE, 8);
    info->max_allocation = device_number(id, CL_DEVICE_MAX_MEM_ALLOC_SIZE, 8);
    info->local_memory = device_number(id, CL_DEVICE_LOCAL_MEM_SIZE, 8);
    info->vector_width = (unsigned)device_number(id, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT, 4);
    info->max_work_group = (size_t)device_number(id, CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof(size_t));
    info->fp64 = device_number(id, CL_DEVICE_DOUBLE_FP_CONFIG, 8) != 0;
    info->fp16 = device_number(id, CL_DEVICE_NATIVE_VECTOR_WIDTH_HALF, 4) != 0;
    info->unified_memory = device_number(id, CL_DEVICE_HOST_UNIFIED_MEMORY, 4) != 0;
}

static tdm_status add_platform(cl_platform_id platform, unsigned index, tdm__found_device **list,
                               size_t *n, size_t *capacity)
{
    tdm_status status = TDM_OK;
    cl_device_id *ids = NULL;
    cl_uint count = 0;
    /* A platform without devices, or one whose driver does not come up, is not an error here. */
    if (clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, NULL, &count) || count == 0) return TDM_OK;
    TDM_TRY(tdm__calloc_try(count, sizeof *ids, &ids));
    if (clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, count, ids, NULL)) goto done;
    TDM_TRY(tdm__grow(list, capacity, *n + count, sizeof **list));
    for (cl_uint d = 0; d < count; d++) {
        tdm__found_device *found = &(*list)[(*n)++];
        found->platform = platform;
        found->id = ids[d];
        fill_info(found, index, d);
    }
done:
    free(ids);
    return status;
}

/* What an empty spec chooses; the types in the order of preference. */
static void mark_default(tdm__found_device *list, size_t n)
{
    for (int k = 0; k < 3; k++)
        for (size_t i = 0; i < n; i++)
            if (list[i].info.type == tdm__device_preference[k]) {
                list[i].info.is_default = true;
                return;
            }
}

tdm_status tdm__devices_find(tdm__found_device **out, size_t *n)
{
    tdm_status status = TDM_OK;
    cl_platform_id *platforms = NULL;
    tdm__found_device *list = NULL;
    size_t capacity = 0;
    cl_uint count = 0;
    *out = NULL;
    *n = 0;
    /* The loader answers CL_PLATFORM_NOT_FOUND_KHR when no driver is installed. */
    if (clGetPlatformIDs(0, NULL, &count)) count = 0;
    TDM_TRY(tdm__calloc_try(count, sizeof *platforms, &platforms));
    if (count > 0 && clGetPlatformIDs(count, platforms, NULL)) count = 0;
    for (cl_uint p = 0; p < count; p++) TDM_TRY(add_platform(platforms[p], p, &list, n, &capacity));
    mark_default(list, *n);
done:
    free(platforms);
    if (status) {
        free(list);
        list = NULL;
        *n = 0;
    }
    *out = list;
    return status;
}

tdm_status tdm_device_list(tdm_device_info **out, size_t *n)
{
    tdm_status status = TDM_OK;
    tdm__found_device *found = NULL;
    *out = NULL;
    *n = 0;
    TDM_TRY(tdm__devices_find(&found, n));
    TDM_TRY(tdm__calloc_try(*n, sizeof **out, out));
    for (size_t i = 0; i < *n; i++) (*out)[i] = found[i].info;
done:
    free(found);
    if (status) *n = 0;
    return status;
}

/* ---- text ------------------------------------------------------------------------------------ */

static void add_bytes(tdm__str *s, uint64_t bytes)
{
    const char *unit = bytes >= (1u << 30) ? "GiB" : bytes >= (1u << 20) ? "MiB" : "KiB";
    double scale = bytes >= (1u << 30) ? 1u << 30 : bytes >= (1u << 20) ? 1u << 20 : 1u << 10;
    tdm__str_addf(s, "%.1f %s", (double)bytes / scale, unit);
}

static void add_tree_device(tdm__str *s, const tdm_device_info *d)
{
    tdm__str_addf(s, "  %c %u:%u  %s (%s)%s\n", d->is_default ? '*' : ' ', d->platform, d->device,
                  d->name, tdm__device_type_name(d->type), d->is_default ? "  default" : "");
    tdm__str_addf(s, "         %u compute unit%s at %u MHz, ", d->compute_units,
                  d->compute_units == 1 ? "" : "s", d->clock_mhz);
    add_bytes(s, d->global_memory);
    tdm__str_add(s, d->unified_memory ? " unified memory (largest buffer "
                                      : " memory (largest buffer ");
    add_bytes(s, d->max_allocation);
    tdm__str_add(s, "), ");
    add_bytes(s, d->local_memory);
    tdm__str_addf(s, " local\n         %s, driver %s, float vectors of %u%s%s\n", d->version,
                  d->driver, d->vector_width, d->fp64 ? ", fp64" : "", d->fp16 ? ", fp16" : "");
}

static void add_tree(tdm__str *s, const tdm_device_info *list, size_t n)
{
    if (n == 0) tdm__str_add(s, "no OpenCL device (hint: " TDM__NO_DEVICE_HINT ")\n");
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || list[i].platform != list[i - 1].platform)
            tdm__str_addf(s, "%u  %s\n", list[i].platform, list[i].platform_name);
        add_tree_device(s, &list[i]);
    }
}

static json_t *json_device(const tdm_device_info *d)
{
    char id[32];
    snprintf(id, sizeof id, "%u:%u", d->platform, d->device);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, "
                     "s:b, s:b, s:b}",
                     "id", id, "name", d->name, "type", tdm__device_type_name(d->type), "vendor",
                     d->vendor, "driver", d->driver, "version", d->version, "platform_name",
                     d->platform_name, "compute_units", (json_int_t)d->compute_units, "clock_mhz",
                     (json_int_t)d->clock_mhz, "global_memory", (json_int_t)d->global_memory,
                     "max_allocation", (json_int_t)d->max_allocation, "local_memory",
                     (json_int_t)d->local_memory, "vector_width", (json_int_t)d->vector_width,
                     "max_work_group", (json_int_t)d->max_work_group, "fp64", d->fp64, "fp16",
                     d->fp16, "unified_memory", d->unified_memory, "default", d->is_default);
}

tdm_status tdm__device_list_render(const tdm_device_info *list, size_t n, bool json, char **out)
{
    tdm_status status = TDM_OK;
    tdm__str s = {0};
    json_t *array = NULL;
    *out = NULL;
    if (json) {
        array = json_array();
        for (size_t i = 0; i < n; i++) json_array_append_new(array, json_device(&list[i]));
        *out = json_dumps(array, JSON_INDENT(2));
        if (!*out) status = tdm__fail(TDM_ERR_NOMEM, "list of devices as JSON: out of memory");
        goto done;
    }
    add_tree(&s, list, n);
    TDM_TRY(tdm__str_status(&s));
    *out = s.text;
    s = (tdm__str){0};
done:
    json_decref(array);
    tdm__str_free(&s);
    return status;
}

tdm_status tdm_device_list_text(bool json, char **out)
{
    tdm_device_info *list = NULL;
    size_t n = 0;
    *out = NULL;
    tdm_status status = tdm_device_list(&list, &n);
    if (!status) status = tdm__device_list_render(list, n, json, out);
    free(list);
    return status;
}
