/* From what a device reports to what kernels may know of it: the only place where this is decided.
 * A kernel never learns the vendor. */
#include <inttypes.h>

#include "cl/internal.h"

#define BUILD_OPTIONS "-cl-std=CL1.2 -cl-mad-enable"

/* A GPU-style work-group on a CPU runs its items in a loop whose state is kept per item: small ones
 * stay in the first-level cache. */
#define WORK_GROUP_MOST 256
#define WORK_GROUP_ON_CPU 64

tdm__traits tdm__traits_make(const tdm_device_info *info, tdm_kernel_style style,
                             unsigned base_align)
{
    bool is_cpu = info->type == TDM_DEVICE_CPU;
    size_t most = is_cpu ? WORK_GROUP_ON_CPU : WORK_GROUP_MOST;
    tdm__traits t = {
        .style = style != TDM_STYLE_AUTO ? style
                 : is_cpu                ? TDM_STYLE_CPU
                                         : TDM_STYLE_GPU,
        .vector_width = info->vector_width >= 16  ? 16
                        : info->vector_width >= 8 ? 8
                                                  : 4,
        .work_group = 1,
        .compute_units = info->compute_units,
        .local_bytes = info->local_memory,
        .max_allocation = info->max_allocation,
        .global_bytes = info->global_memory,
        .align = 128,
        .fp64 = info->fp64,
        .fp16 = info->fp16,
        .unified = info->unified_memory,
        .is_cpu = is_cpu,
    };
    while (t.work_group * 2 <= most && t.work_group * 2 <= info->max_work_group) t.work_group *= 2;
    while (t.align < base_align) t.align *= 2;
    return t;
}

tdm_status tdm__traits_defines(const tdm__traits *t, char **out)
{
    tdm__str s = {0};
    tdm__str_addf(&s, BUILD_OPTIONS " -DSTYLE_%s=1 -DVW=%u -DWG=%u -DLOCAL_BYTES=%" PRIu64,
                  t->style == TDM_STYLE_CPU ? "CPU" : "GPU", t->vector_width, t->work_group,
                  t->local_bytes);
    if (t->fp64) tdm__str_add(&s, " -DHAS_FP64=1");
    if (t->fp16) tdm__str_add(&s, " -DHAS_FP16=1");
    *out = s.text;
    return tdm__str_status(&s);
}
