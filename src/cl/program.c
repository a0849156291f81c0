/* The program store: one built program per file and defines, from the binary cache when it has it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cl/internal.h"

#define LOG_LINES 30

/* The first lines of the compiler's output. free the result; NULL when there is none. */
static char *build_log(cl_program program, cl_device_id id)
{
    size_t size = 0;
    if (clGetProgramBuildInfo(program, id, CL_PROGRAM_BUILD_LOG, 0, NULL, &size) || size == 0)
        return NULL;
    char *log = tdm__calloc(size + 1, 1);
    if (!log) return NULL;
    if (clGetProgramBuildInfo(program, id, CL_PROGRAM_BUILD_LOG, size, log, NULL)) log[0] = 0;
    char *end = log;
    for (int line = 0; line < LOG_LINES && end; line++) {
        end = strchr(end, '\n');
        if (end) end++;
    }
    if (end) *end = 0;
    for (size_t n = strlen(log); n > 0 && (log[n - 1] == '\n' || log[n - 1] == ' '); n--)
        log[n - 1] = 0;
    return log;
}

/* Where the file's text begins in the program's text: the line after its #line mark, from 1. */
static size_t first_line(const char *source, const char *file)
{
    size_t line = 2;
    for (const char *p = source; (p = strchr(p, '\n')); line++) {
        const char *mark = "#line 1 \"";
        p++;
        if (tdm__starts_with(p, mark) && tdm__starts_with(p + strlen(mark), file)) return line + 1;
    }
    return line;
}

static tdm_status build_from_source(tdm_device *device, const char *file, const char *source,
                                    const char *options, cl_program *out)
{
    cl_int code;
    cl_program program = clCreateProgramWithSource(device->context, 1, &source, NULL, &code);
    if (code) return tdm__cl_fail(code, "clCreateProgramWithSource");
    code = clBuildProgram(program, 1, &device->id, options, NULL, NULL);
    if (code) {
        char *log = build_log(program, device->id);
        const char *text = log && *log ? log : "(no log)";
        tdm_status status =
            tdm__fail(TDM_ERR_BUILD, "kernel file %s does not build: %s (%d), options %s\n%s", file,
                      tdm__cl_code_name(code), (int)code, options, text);
        /* Some drivers count lines from the start of the text whatever #line says. */
        if (!strstr(text, file) && !strstr(text, TDM__PRELUDE))
            status = tdm__hint(status, "line 1 of %s is line %zu of the text", file,
                               first_line(source, file));
        free(log);
        clReleaseProgram(program);
        return status;
    }
    *out = program;
    return TDM_OK;
}

/* What the binary depends on: device and driver, options, text. */
static tdm_status program_hash(const tdm_device *device, const char *options, const char *source,
                               char hex[TDM__HASH_HEX])
{
    tdm__hash *hash = NULL;
    tdm_status status = tdm__hash_create(&hash);
    if (status) return status;
    tdm__hash_add_text(hash, device->hash);
    tdm__hash_add_text(hash, options);
    tdm__hash_add_text(hash, source);
    tdm__hash_hex(hash, hex);
    tdm__hash_destroy(&hash);
    return TDM_OK;
}

/* Drivers print warnings to stderr, which is not ours: only who edits kernels wants them. */
static tdm_status program_options(const tdm_device *device, const char *defines, char **out)
{
    char *merged = NULL;
    tdm__str s = {0};
    tdm_status status = tdm__defines_merge(device->defines, defines, &merged);
    *out = NULL;
    if (status) return status;
    tdm__str_addf(&s, "%s%s", merged, device->cl_folder ? "" : " -w");
    free(merged);
    status = tdm__str_status(&s);
    if (status)
        tdm__str_free(&s);
    else
        *out = s.text;
    return status;
}

static void program_free(tdm__program *p)
{
    if (p->program) clReleaseProgram(p->program);
    for (size_t i = 0; i < p->n_kernels; i++) free(p->kernels[i]);
    free(p->kernels);
    free(p->file);
    free(p->defines);
    free(p);
}

/* p->file and p->defines are set. */
static tdm_status program_build(tdm_device *device, tdm__program *p)
{
    tdm_status status = TDM_OK;
    char *source = NULL, *options = NULL;
    double begin = tdm__now();
    TDM_TRY(tdm__program_source(device->cl_folder, p->file, &source));
    TDM_TRY(program_options(device, p->defines, &options));
    TDM_TRY(program_hash(device, options, source, p->hash));
    tdm__cache_load(device, p->hash, options, &p->program);
    p->cached = p->program != NULL;
    if (p->cached) {
        device->stats.programs_loaded++;
    } else {
        TDM_TRY(build_from_source(device, p->file, source, options, &p->program));
        device->stats.programs_built++;
    }
    device->stats.build_seconds += tdm__now() - begin;
    tdm__log(TDM_LOG_DEBUG, "kernel file %s %s: %s in %.0f ms", p->file, p->defines,
             p->cached ? "loaded" : "built", 1e3 * (tdm__now() - begin));
done:
    free(source);
    free(options);
    return status;
}

tdm_status tdm__program_get(tdm_device *device, const char *file, const char *defines,
                            tdm__program **out)
{
    tdm_status status = TDM_OK;
    char *normal = NULL;
    tdm__program *p = NULL;
    TDM_TRY(tdm__defines_normalise(defines ? defines : "", &normal));
    for (size_t i = 0; i < device->n_programs; i++) {
        *out = device->programs[i];
        if (tdm__streq((*out)->file, file) && tdm__streq((*out)->defines, normal)) goto done;
    }
    TDM_TRY(tdm__calloc_try(1, sizeof *p, &p));
    p->file = tdm__strdup(file);
    p->defines = normal;
    normal = NULL;
    if (!p->file) {
        status = tdm__fail(TDM_ERR_NOMEM, "kernel file %s: out of memory", file);
        goto done;
    }
    TDM_TRY(program_build(device, p));
    TDM_TRY(tdm__grow(&device->programs, &device->programs_capacity, device->n_programs + 1,
                      sizeof(tdm__program *)));
    device->programs[device->n_programs++] = p;
    *out = p;
    p = NULL;
done:
    if (p) program_free(p);
    free(normal);
    return status;
}

tdm_status tdm__program_kernel_name(tdm__program *p, const char *kernel, const char **out)
{
    tdm_status status = TDM_OK;
    for (size_t i = 0; i < p->n_kernels; i++) {
        *out = p->kernels[i];
        if (tdm__streq(p->kernels[i], kernel)) return TDM_OK;
    }
    TDM_TRY(tdm__grow(&p->kernels, &p->kernels_capacity, p->n_kernels + 1, sizeof(char *)));
    char *copy = tdm__strdup(kernel);
    if (!copy) return tdm__fail(TDM_ERR_NOMEM, "kernel %s: out of memory", kernel);
    p->kernels[p->n_kernels++] = copy;
    *out = copy;
done:
    return status;
}

size_t tdm__device_program_count(const tdm_device *device)
{
    return device->n_programs;
}

void tdm__programs_destroy(tdm_device *device)
{
    for (size_t i = 0; i < device->n_programs; i++) program_free(device->programs[i]);
    free(device->programs);
    device->programs = NULL;
    device->n_programs = 0;
}
