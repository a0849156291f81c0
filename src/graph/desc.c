/* graph/desc.c: types and shapes. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "graph/internal.h"

tdm_desc tdm_desc_make(tdm_dtype dtype, int rank, const int64_t *dim)
{
    tdm_desc desc = {.dtype = dtype, .rank = rank};
    for (int i = 0; i < rank && i < TDM_MAX_RANK; i++) desc.dim[i] = dim[i];
    return desc;
}

tdm_desc tdm_desc_scalar(void)
{
    return (tdm_desc){.dtype = TDM_F32};
}

tdm_desc tdm_desc_1(tdm_dtype dtype, int64_t a)
{
    return (tdm_desc){dtype, 1, {a}};
}

tdm_desc tdm_desc_2(tdm_dtype dtype, int64_t a, int64_t b)
{
    return (tdm_desc){dtype, 2, {a, b}};
}

tdm_desc tdm_desc_3(tdm_dtype dtype, int64_t a, int64_t b, int64_t c)
{
    return (tdm_desc){dtype, 3, {a, b, c}};
}

tdm_desc tdm_desc_4(tdm_dtype dtype, int64_t a, int64_t b, int64_t c, int64_t d)
{
    return (tdm_desc){dtype, 4, {a, b, c, d}};
}

int64_t tdm_desc_count(const tdm_desc *desc)
{
    if (desc->dtype == TDM_NONE) return 0;
    int64_t count = 1;
    for (int i = 0; i < desc->rank; i++) count *= desc->dim[i];
    return count;
}

size_t tdm_dtype_size(tdm_dtype dtype)
{
    switch (dtype) {
    case TDM_F32:
    case TDM_I32:
        return 4;
    case TDM_U8:
        return 1;
    case TDM_NONE:
        break;
    }
    return 0;
}

bool tdm_desc_equal(const tdm_desc *a, const tdm_desc *b)
{
    if (a->dtype != b->dtype || a->rank != b->rank) return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i]) return false;
    return true;
}

const char *tdm_desc_text(const tdm_desc *desc, char *out, size_t size)
{
    static const char *const names[] = {"none", "f32", "i32", "u8"};
    if (size == 0) return out;
    const char *name = (unsigned)desc->dtype < 4 ? names[desc->dtype] : "?";
    int used = snprintf(out, size, "%s", name);
    if (desc->dtype == TDM_NONE) return out;
    for (int i = 0; i < desc->rank && used < (int)size; i++)
        used +=
            snprintf(out + used, size - (size_t)used, "%s%" PRId64, i ? "," : "[", desc->dim[i]);
    if (used < (int)size) snprintf(out + used, size - (size_t)used, "%s", desc->rank ? "]" : "[]");
    return out;
}

uint64_t tdm__desc_bytes(const tdm_desc *desc)
{
    return (uint64_t)tdm_desc_count(desc) * tdm_dtype_size(desc->dtype);
}

tdm_status tdm__desc_check(const tdm_desc *desc)
{
    char text[96];
    if (desc->dtype != TDM_F32 && desc->dtype != TDM_I32 && desc->dtype != TDM_U8)
        return tdm__fail(TDM_ERR_SHAPE, "no such element type: %d", (int)desc->dtype);
    if (desc->rank < 0 || desc->rank > TDM_MAX_RANK)
        return tdm__fail(TDM_ERR_SHAPE, "rank %d: must be 0 to %d", desc->rank, TDM_MAX_RANK);
    uint64_t bytes = tdm_dtype_size(desc->dtype);
    for (int i = 0; i < desc->rank; i++) {
        if (desc->dim[i] <= 0)
            return tdm__fail(TDM_ERR_SHAPE, "%s: every dimension must be at least 1",
                             tdm_desc_text(desc, text, sizeof text));
        if (!tdm__mul_u64(bytes, (uint64_t)desc->dim[i], &bytes) || bytes > INT64_MAX)
            return tdm__fail(TDM_ERR_SHAPE, "%s: too large",
                             tdm_desc_text(desc, text, sizeof text));
    }
    return TDM_OK;
}

void tdm__attrs_text(const tdm_op *op, const void *attrs, tdm__str *out)
{
    char number[TDM__F64_TEXT];
    for (int i = 0; i < op->n_attrs; i++) {
        const tdm__attr *a = &op->attrs[i];
        const char *at = (const char *)attrs + a->offset;
        tdm__str_addf(out, "%s%s=", i ? " " : "", a->name);
        for (int k = 0; k < a->count; k++) {
            if (k) tdm__str_add(out, ",");
            switch (a->type) {
            case 'i':
                tdm__str_addf(out, "%" PRId32, ((const int32_t *)(const void *)at)[k]);
                break;
            case 'l':
                tdm__str_addf(out, "%" PRId64, ((const int64_t *)(const void *)at)[k]);
                break;
            case 'b':
                tdm__str_add(out, ((const bool *)at)[k] ? "1" : "0");
                break;
            default:
                tdm__f64_text((double)((const float *)(const void *)at)[k], number);
                tdm__str_add(out, number);
            }
        }
    }
}
