/* codegen/recorder.h: an OpenCL driver of one pretended GPU that compiles and runs nothing and
 * keeps what it is asked to build. A program linked with it finds it in the place of the ICD
 * loader, so that the library itself says what it would build on such a device. */
#ifndef CODEGEN_RECORDER_H
#define CODEGEN_RECORDER_H

#include <CL/cl.h>

/* What the library can ask of the device. */
typedef struct recorder_gpu {
    const char *name;
    cl_ulong local_memory;
    size_t max_work_group;
    cl_uint half_width; /* 0: no half precision */
} recorder_gpu;

/* Before the device is opened. */
void recorder_pretend(const recorder_gpu *gpu);

const char *recorder_source(cl_program program);
const char *recorder_options(cl_program program);

#endif
