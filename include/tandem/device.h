/* tandem/device.h: OpenCL devices: listing, choosing, opening.
 *
 * Choosing: `gpu`, `cpu`, `accelerator` (the first listed of the type), `P:D` (platform:device), or
 * part of a device's or platform's name (case-insensitive; several matches are an error that lists
 * them). Nothing given: the first GPU, else accelerator, else CPU.
 */
#ifndef TANDEM_DEVICE_H
#define TANDEM_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum tdm_device_type {
    TDM_DEVICE_ANY,
    TDM_DEVICE_GPU,
    TDM_DEVICE_CPU,
    TDM_DEVICE_ACCELERATOR
} tdm_device_type;

typedef struct tdm_device_info {
    unsigned platform, device; /* indices: "platform:device" names it */
    tdm_device_type type;
    char name[128], vendor[128], driver[64], version[128], platform_name[128];
    unsigned compute_units, clock_mhz;
    uint64_t global_memory, max_allocation, local_memory; /* bytes */
    unsigned vector_width;                                /* floats in the native vector */
    size_t max_work_group;
    bool fp64, fp16, unified_memory;
    bool is_default; /* what an empty spec would choose */
} tdm_device_info;

/* All devices of all platforms, in the ICD loader's order; *n may be 0. free(*out). */
tdm_status tdm_device_list(tdm_device_info **out, size_t *n);
/* `tandem devices`: a tree with the default marked, or a JSON array. free(*out). */
tdm_status tdm_device_list_text(bool json, char **out);

typedef enum tdm_kernel_style {
    TDM_STYLE_AUTO, /* CPU devices: cpu, others: gpu */
    TDM_STYLE_CPU,  /* one work-item per work-group, wide vectors, register tiles */
    TDM_STYLE_GPU   /* work-groups, local-memory tiles, narrow vectors */
} tdm_kernel_style;

typedef struct tdm_device_spec {
    const char *device;     /* spec as above; NULL or "": default */
    const char *platform;   /* index or part of a name; NULL: any */
    tdm_device_type type;   /* TDM_DEVICE_ANY: any */
    tdm_kernel_style style; /* also forced by TANDEM_KERNEL_STYLE=cpu|gpu when AUTO */
    bool profile;           /* queues with profiling, for --profile and bench */
    unsigned units;         /* compute units to use, of those the device has: the device is partitioned
                               (several processes can share its threads); 0: all. A driver that cannot
                               partition gives the whole device, and the log says so */
    uint64_t memory_limit;  /* bytes that buffers may take; 0: all of the device's memory. Training
                               plans compute values again instead of keeping them to stay within */
} tdm_device_spec;

/* An opened device: context, compute and transfer queue, program store. Owns all of these. */
typedef struct tdm_device tdm_device;

/* Which listed device the spec means. TDM_ERR_DEVICE: none, no such name, ambiguous (both list the
 * candidates). Does not read the environment. */
tdm_status tdm_device_choose(const tdm_device_spec *spec, tdm_device_info *out);
/* Tells the log (as information) which device it is. */
tdm_status tdm_device_open(const tdm_device_spec *spec, tdm_device **out);
/* Waits for both queues. */
void tdm_device_destroy(tdm_device **device);
const tdm_device_info *tdm_device_get_info(const tdm_device *device);
/* Blocks until everything enqueued so far has finished. */
tdm_status tdm_device_finish(tdm_device *device);

#ifdef __cplusplus
}
#endif
#endif
