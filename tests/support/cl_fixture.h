/* support/cl_fixture.h: a device whose kernels come from a test's own texts. */
#ifndef SUPPORT_CL_FIXTURE_H
#define SUPPORT_CL_FIXTURE_H

#include "cl/cl.h"
#include "support/support.h"

typedef struct support_cl {
    char *folder; /* TANDEM_CL_DIR: kernel files of the test */
    tdm_device *device;
} support_cl;

/* Sets the folder up and opens the default device (spec may be NULL). Stops the test on failure.
 */
void support_cl_open(support_cl *cl, const tdm_device_spec *spec);
/* Closes and opens again, as a second run of the program would. */
void support_cl_reopen(support_cl *cl, const tdm_device_spec *spec);
void support_cl_close(support_cl *cl);
/* Writes a kernel file into the folder; the prelude comes from the embedded files. */
void support_cl_file(const support_cl *cl, const char *name, const char *text);
/* A buffer with these n floats. */
tdm__buffer support_cl_floats(tdm_device *device, const float *values, size_t n);

#endif
