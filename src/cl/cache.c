/* The binary cache: <cache folder>/cl/<hash>.bin, one file per built program.
 *
 * File: "TDMCLBIN", u32 version, u32 zero, 32 hex digits of the key, u64 size, u64 XXH3 of the
 * binary, the binary; numbers little-endian. A file that is not exactly this for the wanted key, or
 * whose binary the driver refuses, counts as absent and is written again. Files appear by rename,
 * so that several processes may share the folder.
 *
 * Writing happens on a thread of its own, on retained programs and copied names, so it shares
 * nothing with the program store.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "cl/internal.h"

#define MAGIC "TDMCLBIN"
#define VERSION 1u
#define KEY_DIGITS (TDM__HASH_HEX - 1)
#define HEADER_BYTES (8 + 4 + 4 + KEY_DIGITS + 8 + 8)
#define FILE_LIMIT (256u << 20)

/* ---- the format ------------------------------------------------------------------------------ */

static void put(unsigned char *to, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++) to[i] = (unsigned char)(v >> (8 * i));
}

static uint64_t get(const unsigned char *from, int bytes)
{
    uint64_t v = 0;
    for (int i = 0; i < bytes; i++) v |= (uint64_t)from[i] << (8 * i);
    return v;
}

tdm_status tdm__cache_encode(const char key[TDM__HASH_HEX], const void *binary, size_t size,
                             void *out_bytes, size_t *out_size)
{
    unsigned char *bytes = NULL;
    tdm_status status = tdm__calloc_try(size + HEADER_BYTES, 1, &bytes);
    if (!status) {
        memcpy(bytes, MAGIC, 8);
        put(bytes + 8, VERSION, 4);
        memcpy(bytes + 16, key, KEY_DIGITS);
        put(bytes + 16 + KEY_DIGITS, size, 8);
        put(bytes + 24 + KEY_DIGITS, tdm__hash64(binary, size), 8);
        memcpy(bytes + HEADER_BYTES, binary, size);
    }
    *(unsigned char **)out_bytes = bytes;
    *out_size = status ? 0 : size + HEADER_BYTES;
    return status;
}

const char *tdm__cache_decode(const void *file, size_t n, const char *key, const void **binary,
                              size_t *size)
{
    const unsigned char *bytes = file;
    *binary = NULL;
    *size = 0;
    if (n < HEADER_BYTES) return "it is too short";
    if (memcmp(bytes, MAGIC, 8) != 0) return "it is no program binary";
    if (get(bytes + 8, 4) != VERSION || get(bytes + 12, 4) != 0) return "its version is another";
    if (key && memcmp(bytes + 16, key, KEY_DIGITS) != 0) return "it belongs to another program";
    if (get(bytes + 16 + KEY_DIGITS, 8) != n - HEADER_BYTES) return "its size is wrong";
    if (n == HEADER_BYTES) return "it is empty";
    if (get(bytes + 24 + KEY_DIGITS, 8) != tdm__hash64(bytes + HEADER_BYTES, n - HEADER_BYTES))
        return "its checksum is wrong";
    *binary = bytes + HEADER_BYTES;
    *size = n - HEADER_BYTES;
    return NULL;
}

/* <cache folder>/cl/<key>.bin; NULL without a cache. free(*out). */
static tdm_status cache_path(const char *key, bool create, char **out)
{
    tdm_status status = TDM_OK;
    char *folder = NULL, name[TDM__HASH_HEX + 4];
    *out = NULL;
    TDM_TRY(tdm__cache_folder("cl", &folder));
    if (!folder) goto done;
    if (create) TDM_TRY(tdm__make_folders(folder));
    snprintf(name, sizeof name, "%s.bin", key);
    TDM_TRY(tdm__path_join(folder, name, out));
done:
    free(folder);
    return status;
}

/* ---- loading --------------------------------------------------------------------------------- */

static const char *load_binary(tdm_device *device, const void *binary, size_t size,
                               const char *options, cl_program *out)
{
    cl_int code, binary_code = CL_SUCCESS;
    const unsigned char *piece = binary;
    cl_program program = clCreateProgramWithBinary(device->context, 1, &device->id, &size, &piece,
                                                   &binary_code, &code);
    if (code || binary_code) {
        if (!code) clReleaseProgram(program);
        return "the driver does not take it";
    }
    if (clBuildProgram(program, 1, &device->id, options, NULL, NULL)) {
        clReleaseProgram(program);
        return "the driver does not build it";
    }
    *out = program;
    return NULL;
}

void tdm__cache_load(tdm_device *device, const char key[TDM__HASH_HEX], const char *options,
                     cl_program *program)
{
    char *path = NULL;
    unsigned char *bytes = NULL;
    const void *binary;
    size_t n = 0, size;
    *program = NULL;
    if (cache_path(key, false, &path) || !path || !tdm__path_exists(path)) goto done;
    const char *reason = "it cannot be read";
    if (!tdm__read_file(path, FILE_LIMIT, &bytes, &n))
        reason = tdm__cache_decode(bytes, n, key, &binary, &size);
    if (!reason) reason = load_binary(device, binary, size, options, program);
    if (reason) tdm__log(TDM_LOG_DEBUG, "program cache: %s: %s", path, reason);
done:
    free(bytes);
    free(path);
}

/* ---- writing --------------------------------------------------------------------------------- */

/* The program's only binary. free(*out). */
static tdm_status get_binary(cl_program program, unsigned char **out, size_t *size)
{
    tdm_status status = TDM_OK;
    *out = NULL;
    cl_int code = clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof *size, size, NULL);
    if (!code && *size == 0) code = CL_INVALID_BINARY;
    if (code) return tdm__cl_fail(code, "clGetProgramInfo");
    TDM_TRY(tdm__calloc_try(*size, 1, out));
    code = clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof *out, out, NULL);
    if (code) status = tdm__cl_fail(code, "clGetProgramInfo");
done:
    return status;
}

static tdm_status write_program(const tdm__program *program)
{
    tdm_status status = TDM_OK;
    char *path = NULL;
    unsigned char *binary = NULL, *bytes = NULL;
    size_t size = 0, n = 0;
    TDM_TRY(cache_path(program->hash, true, &path));
    if (!path) goto done;
    TDM_TRY(get_binary(program->program, &binary, &size));
    TDM_TRY(tdm__cache_encode(program->hash, binary, size, &bytes, &n));
    TDM_TRY(tdm__atomic_write_file(path, bytes, n));
done:
    free(path);
    free(binary);
    free(bytes);
    return status;
}

/* Only programs whose kernels have run: before that PoCL's binary holds no machine code. The device
 * must be idle: PoCL 3.1 counts uses of a kernel's machine code by its name and local size alone,
 * and asking for a binary adds a second entry of that name; a kernel in flight then releases the
 * wrong one and an assertion ends the process. */
tdm_status tdm__device_cache_write(tdm_device *device)
{
    tdm_status status = TDM_OK;
    char *folder = NULL;
    size_t written = 0;
    const double begin = tdm__now();
    TDM_TRY(tdm__cache_folder("cl", &folder));
    if (!folder) goto done;
    TDM_TRY(tdm_device_finish(device));
    for (size_t i = 0; i < device->n_programs; i++) {
        tdm__program *p = device->programs[i];
        if (p->cached || !p->launched) continue;
        p->cached = true;
        /* A cache that cannot be written costs time at the next start and nothing else. */
        if (write_program(p) == TDM_OK)
            written++;
        else
            tdm__log(TDM_LOG_WARN, "program cache: not written: %s", tdm_last_error());
    }
    if (written)
        tdm__log(TDM_LOG_DEBUG, "program cache: %zu programs written in %.0f ms", written,
                 1e3 * (tdm__now() - begin));
done:
    free(folder);
    return status;
}
