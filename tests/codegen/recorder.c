/* codegen/recorder.c: see recorder.h. Commands are done when they are enqueued; buffers are host
 * memory. */
#include "codegen/recorder.h"

#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

enum { GIB = 1 << 30 };

struct _cl_platform_id {
    int unused;
};
struct _cl_device_id {
    recorder_gpu gpu;
};
struct _cl_context {
    int unused;
};
struct _cl_command_queue {
    int unused;
};
struct _cl_event {
    int unused;
};
struct _cl_mem {
    char *bytes;
};
struct _cl_program {
    char *source, *options;
    int users;
};
struct _cl_kernel {
    cl_program program;
};

/* Handles of things that have no state. */
static struct _cl_platform_id platform;
static struct _cl_device_id device;
static struct _cl_context context;
static struct _cl_command_queue queue;
static struct _cl_event event;

void recorder_pretend(const recorder_gpu *gpu)
{
    device.gpu = *gpu;
}

/* ---- platform and device --------------------------------------------------------------------- */

static cl_int answer(const void *value, size_t n, size_t size, void *out, size_t *needed)
{
    if (needed) *needed = n;
    if (!out) return CL_SUCCESS;
    if (size < n) return CL_INVALID_VALUE;
    memcpy(out, value, n);
    return CL_SUCCESS;
}

static cl_int answer_text(const char *text, size_t size, void *out, size_t *needed)
{
    return answer(text, strlen(text) + 1, size, out, needed);
}

static cl_int answer_u32(cl_uint v, size_t size, void *out, size_t *needed)
{
    return answer(&v, sizeof v, size, out, needed);
}

static cl_int answer_u64(cl_ulong v, size_t size, void *out, size_t *needed)
{
    return answer(&v, sizeof v, size, out, needed);
}

EXPORT cl_int clGetPlatformIDs(cl_uint n, cl_platform_id *out, cl_uint *count)
{
    if (count) *count = 1;
    if (out && n > 0) out[0] = &platform;
    return CL_SUCCESS;
}

EXPORT cl_int clGetPlatformInfo(cl_platform_id id, cl_platform_info what, size_t size, void *out,
                                size_t *needed)
{
    (void)id, (void)what;
    return answer_text("recorder", size, out, needed);
}

EXPORT cl_int clGetDeviceIDs(cl_platform_id id, cl_device_type type, cl_uint n, cl_device_id *out,
                             cl_uint *count)
{
    (void)id, (void)type;
    if (count) *count = 1;
    if (out && n > 0) out[0] = &device;
    return CL_SUCCESS;
}

EXPORT cl_int clGetDeviceInfo(cl_device_id id, cl_device_info what, size_t size, void *out,
                              size_t *needed)
{
    switch (what) {
    case CL_DEVICE_TYPE:
        return answer_u64(CL_DEVICE_TYPE_GPU, size, out, needed);
    case CL_DEVICE_NAME:
    case CL_DEVICE_VENDOR:
    case CL_DRIVER_VERSION:
    case CL_DEVICE_VERSION:
        return answer_text(id->gpu.name, size, out, needed);
    case CL_DEVICE_GLOBAL_MEM_SIZE:
        return answer_u64((cl_ulong)16 * GIB, size, out, needed);
    case CL_DEVICE_MAX_MEM_ALLOC_SIZE:
        return answer_u64((cl_ulong)4 * GIB, size, out, needed);
    case CL_DEVICE_LOCAL_MEM_SIZE:
        return answer_u64(id->gpu.local_memory, size, out, needed);
    case CL_DEVICE_MAX_WORK_GROUP_SIZE:
        return answer_u64(id->gpu.max_work_group, size, out, needed);
    case CL_DEVICE_DOUBLE_FP_CONFIG:
        return answer_u64(CL_FP_FMA, size, out, needed);
    case CL_DEVICE_NATIVE_VECTOR_WIDTH_HALF:
        return answer_u32(id->gpu.half_width, size, out, needed);
    case CL_DEVICE_MEM_BASE_ADDR_ALIGN:
        return answer_u32(8 * 256, size, out, needed);
    case CL_DEVICE_MAX_COMPUTE_UNITS:
    case CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT:
        return answer_u32(1, size, out, needed);
    default:
        return answer_u32(0, size, out, needed);
    }
}

EXPORT cl_context clCreateContext(
    const cl_context_properties *properties, cl_uint n, const cl_device_id *devices,
    void(CL_CALLBACK *notify)(const char *, const void *, size_t, void *), void *user, cl_int *code)
{
    (void)properties, (void)n, (void)devices, (void)notify, (void)user;
    if (code) *code = CL_SUCCESS;
    return &context;
}

EXPORT cl_int clReleaseContext(cl_context c)
{
    (void)c;
    return CL_SUCCESS;
}

EXPORT cl_command_queue clCreateCommandQueue(cl_context c, cl_device_id id,
                                             cl_command_queue_properties properties, cl_int *code)
{
    (void)c, (void)id, (void)properties;
    if (code) *code = CL_SUCCESS;
    return &queue;
}

EXPORT cl_int clReleaseCommandQueue(cl_command_queue q)
{
    (void)q;
    return CL_SUCCESS;
}

/* ---- buffers and commands -------------------------------------------------------------------- */

EXPORT cl_mem clCreateBuffer(cl_context c, cl_mem_flags flags, size_t size, void *host,
                             cl_int *code)
{
    (void)c, (void)flags, (void)host;
    cl_mem mem = calloc(1, sizeof *mem);
    if (mem) mem->bytes = calloc(size, 1);
    if (mem && !mem->bytes) {
        free(mem);
        mem = NULL;
    }
    if (code) *code = mem ? CL_SUCCESS : CL_MEM_OBJECT_ALLOCATION_FAILURE;
    return mem;
}

EXPORT cl_int clReleaseMemObject(cl_mem mem)
{
    free(mem->bytes);
    free(mem);
    return CL_SUCCESS;
}

static cl_int done(cl_event *out)
{
    if (out) *out = &event;
    return CL_SUCCESS;
}

EXPORT cl_int clEnqueueWriteBuffer(cl_command_queue q, cl_mem mem, cl_bool wait, size_t at,
                                   size_t size, const void *bytes, cl_uint n, const cl_event *after,
                                   cl_event *out)
{
    (void)q, (void)wait, (void)n, (void)after;
    memcpy(mem->bytes + at, bytes, size);
    return done(out);
}

EXPORT cl_int clEnqueueReadBuffer(cl_command_queue q, cl_mem mem, cl_bool wait, size_t at,
                                  size_t size, void *bytes, cl_uint n, const cl_event *after,
                                  cl_event *out)
{
    (void)q, (void)wait, (void)n, (void)after;
    memcpy(bytes, mem->bytes + at, size);
    return done(out);
}

EXPORT cl_int clEnqueueCopyBuffer(cl_command_queue q, cl_mem from, cl_mem to, size_t from_at,
                                  size_t to_at, size_t size, cl_uint n, const cl_event *after,
                                  cl_event *out)
{
    (void)q, (void)n, (void)after;
    memmove(to->bytes + to_at, from->bytes + from_at, size);
    return done(out);
}

EXPORT cl_int clEnqueueFillBuffer(cl_command_queue q, cl_mem mem, const void *pattern,
                                  size_t pattern_size, size_t at, size_t size, cl_uint n,
                                  const cl_event *after, cl_event *out)
{
    (void)q, (void)n, (void)after;
    for (size_t i = 0; i + pattern_size <= size; i += pattern_size)
        memcpy(mem->bytes + at + i, pattern, pattern_size);
    return done(out);
}

EXPORT void *clEnqueueMapBuffer(cl_command_queue q, cl_mem mem, cl_bool wait, cl_map_flags flags,
                                size_t at, size_t size, cl_uint n, const cl_event *after,
                                cl_event *out, cl_int *code)
{
    (void)q, (void)wait, (void)flags, (void)size, (void)n, (void)after;
    done(out);
    if (code) *code = CL_SUCCESS;
    return mem->bytes + at;
}

EXPORT cl_int clEnqueueUnmapMemObject(cl_command_queue q, cl_mem mem, void *host, cl_uint n,
                                      const cl_event *after, cl_event *out)
{
    (void)q, (void)mem, (void)host, (void)n, (void)after;
    return done(out);
}

EXPORT cl_int clEnqueueMarkerWithWaitList(cl_command_queue q, cl_uint n, const cl_event *after,
                                          cl_event *out)
{
    (void)q, (void)n, (void)after;
    return done(out);
}

EXPORT cl_int clEnqueueBarrierWithWaitList(cl_command_queue q, cl_uint n, const cl_event *after,
                                           cl_event *out)
{
    (void)q, (void)n, (void)after;
    return done(out);
}

EXPORT cl_int clFlush(cl_command_queue q)
{
    (void)q;
    return CL_SUCCESS;
}

EXPORT cl_int clFinish(cl_command_queue q)
{
    (void)q;
    return CL_SUCCESS;
}

EXPORT cl_int clWaitForEvents(cl_uint n, const cl_event *events)
{
    (void)n, (void)events;
    return CL_SUCCESS;
}

EXPORT cl_int clRetainEvent(cl_event e)
{
    (void)e;
    return CL_SUCCESS;
}

EXPORT cl_int clReleaseEvent(cl_event e)
{
    (void)e;
    return CL_SUCCESS;
}

EXPORT cl_int clGetEventInfo(cl_event e, cl_event_info what, size_t size, void *out, size_t *needed)
{
    (void)e, (void)what;
    return answer_u32(CL_COMPLETE, size, out, needed);
}

EXPORT cl_int clGetEventProfilingInfo(cl_event e, cl_profiling_info what, size_t size, void *out,
                                      size_t *needed)
{
    (void)e, (void)what;
    return answer_u64(0, size, out, needed);
}

/* ---- programs and kernels -------------------------------------------------------------------- */

static void release(cl_program program)
{
    if (--program->users > 0) return;
    free(program->source);
    free(program->options);
    free(program);
}

EXPORT cl_program clCreateProgramWithSource(cl_context c, cl_uint n, const char **texts,
                                            const size_t *lengths, cl_int *code)
{
    (void)c, (void)lengths; /* the library passes one terminated text */
    cl_program program = n == 1 ? calloc(1, sizeof *program) : NULL;
    if (program) {
        program->source = strdup(texts[0]);
        program->users = 1;
    }
    *code = program && program->source ? CL_SUCCESS : CL_OUT_OF_HOST_MEMORY;
    return program;
}

EXPORT cl_program clCreateProgramWithBinary(cl_context c, cl_uint n, const cl_device_id *devices,
                                            const size_t *lengths, const unsigned char **binaries,
                                            cl_int *states, cl_int *code)
{
    (void)c, (void)n, (void)devices, (void)lengths, (void)binaries, (void)states;
    *code = CL_INVALID_BINARY;
    return NULL;
}

EXPORT cl_int clBuildProgram(cl_program program, cl_uint n, const cl_device_id *devices,
                             const char *options, void(CL_CALLBACK *notify)(cl_program, void *),
                             void *user)
{
    (void)n, (void)devices, (void)notify, (void)user;
    program->options = strdup(options);
    return program->options ? CL_SUCCESS : CL_OUT_OF_HOST_MEMORY;
}

EXPORT cl_int clGetProgramBuildInfo(cl_program program, cl_device_id id, cl_program_build_info what,
                                    size_t size, void *out, size_t *needed)
{
    (void)program, (void)id, (void)what;
    return answer_text("", size, out, needed);
}

EXPORT cl_int clGetProgramInfo(cl_program program, cl_program_info what, size_t size, void *out,
                               size_t *needed)
{
    (void)program, (void)what, (void)size, (void)out, (void)needed;
    return CL_INVALID_VALUE; /* there is no binary */
}

EXPORT cl_int clReleaseProgram(cl_program program)
{
    release(program);
    return CL_SUCCESS;
}

EXPORT cl_kernel clCreateKernel(cl_program program, const char *name, cl_int *code)
{
    (void)name;
    cl_kernel kernel = calloc(1, sizeof *kernel);
    *code = kernel ? CL_SUCCESS : CL_OUT_OF_HOST_MEMORY;
    if (!kernel) return NULL;
    kernel->program = program;
    program->users++;
    return kernel;
}

EXPORT cl_int clReleaseKernel(cl_kernel kernel)
{
    release(kernel->program);
    free(kernel);
    return CL_SUCCESS;
}

EXPORT cl_int clGetKernelInfo(cl_kernel kernel, cl_kernel_info what, size_t size, void *out,
                              size_t *needed)
{
    (void)kernel, (void)what;
    return answer_u32(0, size, out, needed);
}

EXPORT cl_int clGetKernelWorkGroupInfo(cl_kernel kernel, cl_device_id id,
                                       cl_kernel_work_group_info what, size_t size, void *out,
                                       size_t *needed)
{
    const size_t none[3] = {0, 0, 0};
    (void)kernel;
    switch (what) {
    case CL_KERNEL_WORK_GROUP_SIZE:
        return answer(&id->gpu.max_work_group, sizeof(size_t), size, out, needed);
    case CL_KERNEL_COMPILE_WORK_GROUP_SIZE:
        return answer(none, sizeof none, size, out, needed);
    default:
        return answer_u64(0, size, out, needed);
    }
}

EXPORT cl_int clSetKernelArg(cl_kernel kernel, cl_uint index, size_t size, const void *value)
{
    (void)kernel, (void)index, (void)size, (void)value;
    return CL_SUCCESS;
}

/* Nothing could come of it: what is prepared says enough. */
EXPORT cl_int clEnqueueNDRangeKernel(cl_command_queue q, cl_kernel kernel, cl_uint dims,
                                     const size_t *offset, const size_t *global,
                                     const size_t *local, cl_uint n, const cl_event *after,
                                     cl_event *out)
{
    (void)q, (void)kernel, (void)dims, (void)offset, (void)global, (void)local, (void)n;
    (void)after, (void)out;
    return CL_INVALID_OPERATION;
}

/* ---- what was asked for ---------------------------------------------------------------------- */

const char *recorder_source(cl_program program)
{
    return program->source;
}

const char *recorder_options(cl_program program)
{
    return program->options;
}
