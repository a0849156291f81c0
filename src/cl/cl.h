/* cl/cl.h: the private face of the device layer: traits, buffers, programs, launches, queues.
 *
 * Kernel sources are embedded from cl/ by path ("pool.cl", "conv/gather.cl"); TANDEM_CL_DIR
 * overrides the folder at run time. Every program is the prelude cl/common.cl followed by the named
 * file. It is built with the device's traits as defines (see tdm__device_defines) plus the caller's
 * defines, and cached as a binary keyed by source, options, device and driver.
 *
 * Thread-safety: a device may be used from several threads for buffers, transfers and waiting;
 * programs and launches belong to one thread at a time.
 */
#ifndef CL_CL_H
#define CL_CL_H

#include <CL/cl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/device.h>

#include "base/error.h"

/* ---- traits ---------------------------------------------------------------------------------- */

/* What kernels may know of a device; never its vendor. As defines: STYLE_CPU or STYLE_GPU (=1),
 * VW (float vector width of CPU style: 4, 8 or 16), WG (preferred work-group size, GPU style),
 * LOCAL_BYTES, HAS_FP64, HAS_FP16. */
typedef struct tdm__traits {
    tdm_kernel_style style; /* never AUTO */
    unsigned vector_width;  /* VW */
    unsigned work_group;    /* WG: power of two, at most 256 */
    unsigned compute_units; /* must never influence results (determinism) */
    uint64_t local_bytes, max_allocation, global_bytes;
    unsigned align; /* alignment for views inside a buffer, in bytes, at least 128 */
    bool fp64, fp16, unified, is_cpu;
} tdm__traits;

const tdm__traits *tdm__device_traits(const tdm_device *device);
/* "-D STYLE_CPU=1 -D VW=8 ..." plus the fixed build options. */
const char *tdm__device_defines(const tdm_device *device);
/* 32 hex digits over device, driver, platform, style: part of cache keys and run records. */
const char *tdm__device_hash(const tdm_device *device);
cl_context tdm__device_context(const tdm_device *device);
cl_device_id tdm__device_id(const tdm_device *device);

/* A status for an OpenCL error number: TDM_ERR_NOMEM for allocation failures, else TDM_ERR_DEVICE;
 * the message names the call, the number and its CL_ name. */
tdm_status tdm__cl_fail(cl_int code, const char *call);

/* ---- buffers --------------------------------------------------------------------------------- */

typedef struct tdm__buffer {
    cl_mem mem;
    uint64_t bytes;
    uint64_t serial; /* from 1, no two buffers of a device share one: addresses come back, this does
                        not */
} tdm__buffer;

/* Zero-filled when zero is set. Larger than max_allocation or out of memory: TDM_ERR_NOMEM with
 * both sizes. `what` names it in messages and in the memory report. */
tdm_status tdm__buffer_create(tdm_device *device, uint64_t bytes, bool zero, const char *what,
                              tdm__buffer *out);
void tdm__buffer_destroy(tdm_device *device, tdm__buffer *buffer); /* safe on a zeroed struct */
/* Bytes in all live buffers now, and the most there ever were. */
uint64_t tdm__device_bytes(const tdm_device *device);
uint64_t tdm__device_peak_bytes(const tdm_device *device);
/* Live buffers may take at most so many bytes from now on (never more than the device has). Also
 * set at opening from the environment variable TANDEM_DEVICE_MEMORY. */
/* Bytes that buffers may still take. */
uint64_t tdm__device_memory_left(tdm_device *device);
void tdm__device_set_memory_limit(tdm_device *device, uint64_t bytes);

/* A place inside a buffer: a tensor's first element. Offsets in bytes, aligned to traits.align.
 * Views are passed to kernels as (mem, element offset); see tdm__launch_view. */
typedef struct tdm__view {
    tdm__buffer *buffer; /* NULL: no place */
    uint64_t offset;     /* bytes */
} tdm__view;

/* All of a buffer. */
static inline tdm__view tdm__view_of(tdm__buffer *buffer)
{
    return (tdm__view){buffer, 0};
}

/* Blocking copies on the compute queue (ordered after what is enqueued there). */
tdm_status tdm__view_write(tdm_device *device, tdm__view view, const void *bytes, uint64_t size);
tdm_status tdm__view_read(tdm_device *device, tdm__view view, void *bytes, uint64_t size);
/* Asynchronous, on the compute queue. The write copies `bytes` before it returns when size <= 4096
 * (staging ring); larger sources must stay valid until the queue has passed it. */
tdm_status tdm__view_write_async(tdm_device *device, tdm__view view, const void *bytes,
                                 uint64_t size);
tdm_status tdm__view_fill(tdm_device *device, tdm__view view, uint32_t pattern, uint64_t size);
tdm_status tdm__view_copy(tdm_device *device, tdm__view from, tdm__view to, uint64_t size);

/* ---- launches -------------------------------------------------------------------------------- */

/* A built program in the device's store. */
typedef struct tdm__program tdm__program;

/* One prepared kernel launch: its own cl_kernel with its arguments set, so that replaying it is a
 * single enqueue. */
typedef struct tdm__launch {
    cl_kernel kernel;
    const char *name; /* kernel name, owned by the program store */
    cl_uint dims, args;
    size_t global[3], local[3];
    bool has_local;
    uint64_t local_bytes; /* sum of __local arguments; checked against the device */
    double flops, bytes;  /* per launch, for bench and profile; 0 = unknown */
    /* What the built kernel asks for: its arguments, fixed __local bytes, largest work-group, and
     * the work-group its source demands (0: none). */
    tdm__program *program;
    cl_uint wanted_args;
    uint64_t fixed_local_bytes;
    size_t max_work_group, wanted_local[3];
} tdm__launch;

/* Builds or reuses the program (file + defines; defines may be "") and creates the kernel. */
tdm_status tdm__launch_init(tdm_device *device, const char *file, const char *defines,
                            const char *kernel, tdm__launch *out);
void tdm__launch_destroy(tdm__launch *launch);
/* Arguments are appended in order. */
tdm_status tdm__launch_view(tdm__launch *launch, tdm__view view,
                            size_t element_size); /* mem, ulong */
tdm_status tdm__launch_i32(tdm__launch *launch, int32_t v);
tdm_status tdm__launch_u64(tdm__launch *launch, uint64_t v);
tdm_status tdm__launch_f32(tdm__launch *launch, float v);
tdm_status tdm__launch_local(tdm__launch *launch, uint64_t bytes);
/* Replaces the view at argument positions index and index + 1. */
tdm_status tdm__launch_set_view(tdm__launch *launch, cl_uint index, tdm__view view,
                                size_t element_size);
/* Replaces a scalar argument. */
tdm_status tdm__launch_set_f32(tdm__launch *launch, cl_uint index, float v);
/* local NULL: the runtime chooses. */
tdm_status tdm__launch_range(tdm__launch *launch, cl_uint dims, const size_t *global,
                             const size_t *local);
/* One dimension of `teams` teams (cl/common.cl): single items in CPU style, work-groups in GPU
 * style.
 */
tdm_status tdm__launch_teams(const tdm_device *device, tdm__launch *launch, size_t teams);
/* Enqueues on the compute queue. Fails before PoCL can abort: local memory, work-group limits. */
tdm_status tdm__launch_enqueue(tdm_device *device, tdm__launch *launch);

/* ---- queues and events ----------------------------------------------------------------------- */

/* Host-to-device copy on the transfer queue; *done is set to an event that the compute queue can
 * wait for (caller releases with tdm__event_release). `bytes` must stay valid until it has fired.
 */
tdm_status tdm__transfer_write(tdm_device *device, tdm__view view, const void *bytes, uint64_t size,
                               cl_event *done);
/* Zero copy, for devices that share the host's memory: the host writes the view's bytes itself.
 * Waits for what is on the transfer queue (not on the compute queue); what the bytes were is lost.
 */
tdm_status tdm__transfer_map(tdm_device *device, tdm__view view, uint64_t size, void **host);
/* Ends it; *done as for tdm__transfer_write. */
tdm_status tdm__transfer_unmap(tdm_device *device, tdm__view view, void *host, cl_event *done);
/* Host memory from which transfers are fastest (pinned, where the driver does that). */
typedef struct tdm__pinned {
    cl_mem mem;
    void *bytes;
} tdm__pinned;
tdm_status tdm__pinned_create(tdm_device *device, uint64_t bytes, tdm__pinned *out);
void tdm__pinned_destroy(tdm_device *device, tdm__pinned *pinned); /* safe on a zeroed struct */
/* The compute queue waits for the event before anything enqueued later (no host wait). */
tdm_status tdm__compute_wait(tdm_device *device, cl_event event);
/* An event that fires when everything enqueued on the compute queue so far is done. */
tdm_status tdm__compute_mark(tdm_device *device, cl_event *out);
/* The transfer queue waits for the event before anything enqueued later. */
tdm_status tdm__transfer_wait(tdm_device *device, cl_event event);
/* Host waits. */
tdm_status tdm__event_wait(cl_event event);
bool tdm__event_done(cl_event event);
void tdm__event_release(cl_event *event);
tdm_status tdm__compute_flush(tdm_device *device);
tdm_status tdm__transfer_flush(tdm_device *device);

/* ---- statistics ------------------------------------------------------------------------------ */

typedef struct tdm__device_stats {
    uint64_t programs_built, programs_loaded; /* from source, from the binary cache */
    double build_seconds;
    uint64_t launches;
    double enqueue_seconds; /* host time spent enqueueing */
} tdm__device_stats;
void tdm__device_stats_get(const tdm_device *device, tdm__device_stats *out);
/* Programs in the store right now. */
size_t tdm__device_program_count(const tdm_device *device);
/* Writes binaries that are not yet in the cache (a PoCL binary is complete only after the kernels'
 * first launch: call after the first step). Waits for the device first, and takes about 0.3 s a
 * program on PoCL, the first time only. A failing write is logged, no more. */
tdm_status tdm__device_cache_write(tdm_device *device);
/* 32 hex digits over all kernel files, those of TANDEM_CL_DIR where they replace embedded ones. */
tdm_status tdm__device_kernels_hash(const tdm_device *device, char hex[33]);

/* ---- profile (spec.profile) ------------------------------------------------------------------ */

/* Lanes of the trace. Compute and transfer lanes come from events; io and decode lanes are added by
 * the loader with host times (tdm__now seconds). */
typedef enum tdm__lane {
    TDM__LANE_IO,
    TDM__LANE_DECODE,
    TDM__LANE_TRANSFER,
    TDM__LANE_COMPUTE
} tdm__lane;
void tdm__profile_span(tdm_device *device, tdm__lane lane, const char *name, double begin,
                       double end);
/* Commands enqueued on the compute queue from now on belong to this algorithm of this operation
 * (names that outlive the device; NULL: to nobody). */
void tdm__profile_owner(tdm_device *device, const char *op, const char *variant);
/* Chrome trace (JSON array of "X" events, microseconds), atomically written. */
tdm_status tdm__profile_write(tdm_device *device, const char *path);

/* What the compute lane's commands took together, by operation, algorithm and kernel. */
typedef struct tdm__profile_total {
    const char *op, *variant, *kernel; /* op, variant: NULL for commands that belong to nobody */
    uint64_t count;
    double seconds, flops, bytes;
} tdm__profile_total;
/* Waits for the device. Longest first; free(*out). */
tdm_status tdm__profile_totals(tdm_device *device, tdm__profile_total **out, size_t *n);
/* Waits for the device, and forgets everything up to here. */
tdm_status tdm__profile_clear(tdm_device *device);

/* ---- GEMM through CLBlast -------------------------------------------------------------------- */

/* C[m][n] = alpha op(A) op(B) + beta C, row-major. Checked once per device against a double
 * reference at the first use; usable is false when the check failed (warning logged), CLBlast is
 * missing a feature, or TANDEM_CLBLAST=off. */
bool tdm__clblast_usable(tdm_device *device);
tdm_status tdm__clblast_gemm(tdm_device *device, bool trans_a, bool trans_b, uint64_t m, uint64_t n,
                             uint64_t k, float alpha, tdm__view a, uint64_t lda, tdm__view b,
                             uint64_t ldb, float beta, tdm__view c, uint64_t ldc);

#endif
