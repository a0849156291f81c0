/* cl/internal.h: what the files of src/cl share and nobody else sees: the device's inside.
 *
 * Locks: `memory_lock` guards the byte counts and the staging ring, `profile.lock` the spans. The
 * program store belongs to one thread at a time.
 */
#ifndef CL_INTERNAL_H
#define CL_INTERNAL_H

#include <stdatomic.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/str.h"
#include "base/thread.h"
#include "cl/cl.h"

/* ---- listing and choosing -------------------------------------------------------------------- */

typedef struct tdm__found_device {
    tdm_device_info info;
    cl_platform_id platform;
    cl_device_id id;
} tdm__found_device;

/* Every device of every platform; *n may be 0. free(*out). */
tdm_status tdm__devices_find(tdm__found_device **out, size_t *n);
/* The types in the order in which an empty spec looks for them. */
extern const tdm_device_type tdm__device_preference[3];
/* What a machine without any device is told. */
#define TDM__NO_DEVICE_HINT                                                                        \
    "install the OpenCL driver of your GPU, or `apt install pocl-opencl-icd` to run on the CPU"
/* As tdm_device_list_text, of a given list. */
tdm_status tdm__device_list_render(const tdm_device_info *list, size_t n, bool json, char **out);
/* The rules of tandem/device.h over a list: a pure function. *index is the chosen one. */
tdm_status tdm__choose(const tdm_device_spec *spec, const tdm_device_info *list, size_t n,
                       size_t *index);
const char *tdm__device_type_name(tdm_device_type type);

/* ---- traits ---------------------------------------------------------------------------------- */

/* base_align: CL_DEVICE_MEM_BASE_ADDR_ALIGN in bytes. style AUTO follows the device's type. */
tdm__traits tdm__traits_make(const tdm_device_info *info, tdm_kernel_style style,
                             unsigned base_align);
/* The fixed build options and one -D per trait, separated by single spaces. */
tdm_status tdm__traits_defines(const tdm__traits *traits, char **out);

/* "CL_OUT_OF_RESOURCES" for -5. */
const char *tdm__cl_code_name(cl_int code);

/* ---- programs -------------------------------------------------------------------------------- */

struct tdm__program {
    char *file, *defines; /* the store's key; defines normalised */
    cl_program program;
    char hash[TDM__HASH_HEX]; /* name of its cache file */
    bool cached;              /* in the cache, or not to be tried again */
    bool launched;
    char **kernels; /* interned kernel names */
    size_t n_kernels, kernels_capacity;
};

/* Sorted, without duplicates, each as "-DNAME[=VALUE]"; TDM_ERR_BUILD for anything else and for one
 * name with two values. free(*out). */
tdm_status tdm__defines_normalise(const char *defines, char **out);
/* Device options plus normalised defines; a define given by the caller replaces the device's. */
tdm_status tdm__defines_merge(const char *device_defines, const char *defines, char **out);
/* The kernel file in front of every other. */
#define TDM__PRELUDE "common.cl"
/* Prelude and file with #line marks. `folder` overrides embedded files; may be NULL. */
tdm_status tdm__program_source(const char *folder, const char *file, char **out);
tdm_status tdm__program_get(tdm_device *device, const char *file, const char *defines,
                            tdm__program **out);
/* The program's own copy of a kernel name. */
tdm_status tdm__program_kernel_name(tdm__program *program, const char *kernel, const char **out);
void tdm__programs_destroy(tdm_device *device);

/* ---- binary cache ---------------------------------------------------------------------------- */

/* A cache file is a header and the program's binary; see cache.c. Pure functions on bytes. */
tdm_status tdm__cache_encode(const char key[TDM__HASH_HEX], const void *binary, size_t size,
                             void *out_bytes, size_t *out_size);
/* NULL when the file is intact and has this key (key NULL: any), with *binary inside bytes; else a
 * short reason. */
const char *tdm__cache_decode(const void *bytes, size_t n, const char *key, const void **binary,
                              size_t *size);
/* NULL in *program when there is no usable entry. Never fails for what is in the cache. */
void tdm__cache_load(tdm_device *device, const char key[TDM__HASH_HEX], const char *options,
                     cl_program *program);

/* ---- buffers --------------------------------------------------------------------------------- */

/* TDM_ERR_SHAPE unless size bytes from the view's offset lie inside its buffer. */
tdm_status tdm__view_check(tdm__view view, uint64_t size, const char *call);

/* ---- profile --------------------------------------------------------------------------------- */

#define TDM__PROFILE_PENDING 4096     /* events held at most */
#define TDM__PROFILE_SPANS (1u << 19) /* spans kept at most; later ones are counted and dropped */

typedef struct tdm__pending {
    cl_event event;
    const char *name, *op, *variant;
    tdm__lane lane;
    double flops, bytes;
} tdm__pending;

typedef struct tdm__span {
    const char *name, *op, *variant; /* op, variant: NULL where no operation asked for it */
    double begin, end;               /* seconds: host clock, or the device's when from_device */
    double flops, bytes;
    tdm__lane lane;
    bool from_device;
} tdm__span;

/* The same instant on both clocks, seconds. */
typedef struct tdm__anchor {
    double host, device;
} tdm__anchor;

typedef struct tdm__profile {
    tdm__mutex lock;
    tdm__pending *pending; /* ring */
    size_t head, n_pending;
    tdm__span *spans;
    size_t n_spans, spans_capacity;
    uint64_t dropped;
    char **names; /* interned names of host spans */
    size_t n_names, names_capacity;
    const char *op, *variant; /* whose commands come now */
    tdm__anchor start;
} tdm__profile;

tdm_status tdm__profile_init(tdm_device *device);
void tdm__profile_destroy(tdm_device *device);
/* Where an enqueue shall put its event: NULL unless profiling. */
cl_event *tdm__profile_slot(const tdm_device *device, cl_event *event);
/* Takes over the event (which may be NULL). `name` must outlive the device's programs. */
void tdm__profile_event(tdm_device *device, tdm__lane lane, const char *name, cl_event event,
                        double flops, double bytes);

/* ---- the device ------------------------------------------------------------------------------ */

#define TDM__STAGING_SLOTS 64
#define TDM__STAGING_BYTES 4096

struct tdm_device {
    tdm_device_info info;
    tdm__traits traits;
    cl_platform_id platform;
    cl_device_id id;   /* of the device, or of `part` */
    cl_device_id part; /* a sub-device that is ours to release; NULL: the whole device */
    cl_context context;
    cl_command_queue compute, transfer; /* in order, each */
    bool profiling;
    char *defines;
    char hash[TDM__HASH_HEX];
    char *cl_folder; /* TANDEM_CL_DIR or NULL */

    tdm__mutex memory_lock;
    uint64_t bytes, peak_bytes, memory_limit, buffers_made;
    unsigned char *staging; /* ring of TDM__STAGING_SLOTS pieces */
    cl_event staged[TDM__STAGING_SLOTS];
    unsigned staging_next;

    tdm__program **programs;
    size_t n_programs, programs_capacity;
    tdm__device_stats stats;

    tdm__profile profile;

    tdm__mutex blas_lock;
    enum { TDM__BLAS_UNKNOWN, TDM__BLAS_GOOD, TDM__BLAS_BAD } blas;
};

/* Ends CLBlast's use of the device's context. */
void tdm__clblast_release(tdm_device *device);

#endif
