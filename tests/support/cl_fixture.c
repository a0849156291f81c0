#include "support/cl_fixture.h"

#include <stdlib.h>

static const tdm_device_spec plain_spec;

void support_cl_open(support_cl *cl, const tdm_device_spec *spec)
{
    *cl = (support_cl){.folder = support_temp_create()};
    setenv("TANDEM_CL_DIR", cl->folder, 1);
    support_ok(tdm_device_open(spec ? spec : &plain_spec, &cl->device));
}

void support_cl_reopen(support_cl *cl, const tdm_device_spec *spec)
{
    tdm_device_destroy(&cl->device);
    support_ok(tdm_device_open(spec ? spec : &plain_spec, &cl->device));
}

void support_cl_close(support_cl *cl)
{
    tdm_device_destroy(&cl->device);
    support_temp_remove(cl->folder);
    unsetenv("TANDEM_CL_DIR");
    *cl = (support_cl){0};
}

void support_cl_file(const support_cl *cl, const char *name, const char *text)
{
    char *path = support_path(cl->folder, name);
    support_write_text(path, text);
    free(path);
}

tdm__buffer support_cl_floats(tdm_device *device, const float *values, size_t n)
{
    tdm__buffer buffer;
    support_ok(tdm__buffer_create(device, n * sizeof *values, false, "test", &buffer));
    support_ok(tdm__view_write(device, (tdm__view){&buffer, 0}, values, n * sizeof *values));
    return buffer;
}
