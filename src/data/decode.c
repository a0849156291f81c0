/* data/decode.c: see decode.h. */
#include "data/decode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* Bytes read at a time where a whole array goes into memory, or through the library. */
enum { BLOCK_BYTES = 4 << 20 };

/* ---- what is asked for ----------------------------------------------------------------------- */

static tdm_status set_type(const tdm_dataset *ds, tdm__decode_array *a)
{
    a->to = tdm__dataset_natural(ds, a->index);
    if (a->want.dtype == TDM_U8) a->to = TDM__TO_U8;
    if (a->want.dtype == TDM_I32) a->to = TDM__TO_I32;
    if (a->want.dtype == TDM_F32) a->to = TDM__TO_F32;
    a->dtype = a->to == TDM__TO_U8 ? TDM_U8 : a->to == TDM__TO_I32 ? TDM_I32 : TDM_F32;
    uint64_t bytes = 0;
    if (!tdm__mul_u64(a->info->elems, tdm__to_size(a->to, tdm__dataset_elem(ds, a->index)),
                      &bytes) ||
        bytes > SIZE_MAX)
        return tdm__fail(TDM_ERR_DATA, "%s: %s: a sample is too large", tdm_dataset_name(ds),
                         a->info->name);
    a->sample_bytes = (size_t)bytes;
    return TDM_OK;
}

static tdm_status add_array(tdm__decoder *d, size_t at, size_t index, const tdm_loader_array *want)
{
    const tdm_dataset *ds = tdm_split_dataset(d->split);
    tdm__decode_array *a = &d->arrays[at];
    a->index = index;
    a->info = tdm_dataset_array(ds, index);
    if (want) a->want = *want;
    a->want.name = a->info->name;
    a->serial = !tdm__dataset_is_raw(ds, index);
    return set_type(ds, a);
}

/* ---- checks ---------------------------------------------------------------------------------- */

static bool allowed(const tdm_loader_array *want, double v)
{
    return (v >= want->min && v <= want->max) || (want->has_ignore && v == want->ignore);
}

static double value_at(const tdm__decode_array *a, const void *sample, uint64_t i)
{
    switch (a->dtype) {
    case TDM_U8:
        return ((const uint8_t *)sample)[i];
    case TDM_I32:
        return ((const int32_t *)sample)[i];
    default:
        return (double)((const float *)sample)[i];
    }
}

static tdm_status check_sample(const tdm__decoder *d, const tdm__decode_array *a, uint64_t index,
                               const void *sample)
{
    if (!a->want.check) return TDM_OK;
    for (uint64_t i = 0; i < a->info->elems; i++) {
        double v = value_at(a, sample, i);
        if (allowed(&a->want, v)) continue;
        char or_ignore[48] = "";
        if (a->want.has_ignore)
            snprintf(or_ignore, sizeof or_ignore, " or %g (ignored)", a->want.ignore);
        return tdm__fail(TDM_ERR_DATA, "%s: %s: row %llu: value %g: must be in [%g, %g]%s",
                         tdm_dataset_name(tdm_split_dataset(d->split)), a->info->name,
                         (unsigned long long)tdm_split_row(d->split, index), v, a->want.min,
                         a->want.max, or_ignore);
    }
    return TDM_OK;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Through the library, some samples at a time, so that a cancelled load ends soon. */
static tdm_status read_serial(const tdm__decoder *d, const tdm__decode_array *a,
                              const uint64_t *indices, uint64_t n, unsigned char *out,
                              tdm__decode_cancelled cancelled, void *user)
{
    const tdm_dataset *ds = tdm_split_dataset(d->split);
    uint64_t rows[256], block = BLOCK_BYTES / a->sample_bytes;
    tdm_status status = TDM_OK;
    if (block < 1) block = 1;
    if (block > 256) block = 256;
    for (uint64_t first = 0; first < n; first += block) {
        uint64_t count = n - first < block ? n - first : block;
        if (cancelled && cancelled(user))
            return tdm__fail(TDM_ERR_INTERRUPTED, "loading was cancelled");
        for (uint64_t i = 0; i < count; i++) rows[i] = tdm_split_row(d->split, indices[first + i]);
        TDM_TRY(tdm__dataset_read_rows(ds, a->index, rows, (size_t)count, a->to,
                                       out + first * a->sample_bytes));
        for (uint64_t i = 0; i < count; i++)
            TDM_TRY(check_sample(d, a, indices[first + i], out + (first + i) * a->sample_bytes));
    }
done:
    return status;
}

tdm_status tdm__decode(const tdm__decoder *d, size_t array, unsigned thread,
                       const uint64_t *indices, uint64_t n, void *out,
                       tdm__decode_cancelled cancelled, void *user)
{
    const tdm__decode_array *a = &d->arrays[array];
    unsigned char *to = out;
    tdm_status status = TDM_OK;
    if (a->memory) {
        for (uint64_t i = 0; i < n; i++, to += a->sample_bytes)
            memcpy(to, a->memory + indices[i] * a->sample_bytes, a->sample_bytes);
        return TDM_OK;
    }
    if (a->serial) return read_serial(d, a, indices, n, to, cancelled, user);
    tdm__cursor *cursor = d->cursors[thread * d->n_arrays + array];
    for (uint64_t i = 0; i < n; i++, to += a->sample_bytes) {
        if (cancelled && cancelled(user))
            return tdm__fail(TDM_ERR_INTERRUPTED, "loading was cancelled");
        TDM_TRY(tdm__cursor_read(cursor, tdm_split_row(d->split, indices[i]), a->to, to));
        TDM_TRY(check_sample(d, a, indices[i], to));
    }
done:
    return status;
}

/* ---- life ------------------------------------------------------------------------------------ */

static tdm_status load_all(tdm__decoder *d, tdm__decode_array *a)
{
    uint64_t length = tdm_split_length(d->split), indices[256];
    unsigned char *memory = NULL;
    tdm_status status = tdm__calloc_try(length, a->sample_bytes, &memory);
    for (uint64_t first = 0; first < length && !status; first += 256) {
        uint64_t count = length - first < 256 ? length - first : 256;
        for (uint64_t i = 0; i < count; i++) indices[i] = first + i;
        status = read_serial(d, a, indices, count, memory + first * a->sample_bytes, NULL, NULL);
    }
    if (status) {
        free(memory);
        return tdm__context(status, "reading %s into memory", a->info->name);
    }
    a->memory = memory;
    a->serial = false;
    return TDM_OK;
}

tdm_status tdm__decoder_init(const tdm_loader_spec *spec, tdm__decoder *out)
{
    tdm_status status = TDM_OK;
    const tdm_dataset *ds = tdm_split_dataset(spec->split);
    size_t n = spec->n_arrays ? spec->n_arrays : tdm_dataset_arrays(ds);
    *out = (tdm__decoder){.split = spec->split};
    TDM_TRY(tdm__calloc_try(n, sizeof *out->arrays, &out->arrays));
    out->n_arrays = n;
    for (size_t i = 0; i < n; i++) {
        size_t index = i;
        if (spec->n_arrays) TDM_TRY(tdm_dataset_find(ds, spec->arrays[i].name, &index));
        TDM_TRY(add_array(out, i, index, spec->n_arrays ? &spec->arrays[i] : NULL));
        if (spec->in_memory) TDM_TRY(load_all(out, &out->arrays[i]));
    }
done:
    if (status) tdm__decoder_free(out);
    return status;
}

tdm_status tdm__decoder_threads(tdm__decoder *d, unsigned threads)
{
    tdm_status status = TDM_OK;
    const tdm_dataset *ds = tdm_split_dataset(d->split);
    TDM_TRY(tdm__calloc_try(threads * d->n_arrays, sizeof *d->cursors, &d->cursors));
    d->threads = threads;
    for (unsigned t = 0; t < threads; t++)
        for (size_t i = 0; i < d->n_arrays; i++) {
            const tdm__decode_array *a = &d->arrays[i];
            if (a->serial || a->memory) continue;
            TDM_TRY(tdm__cursor_create(ds, a->index, &d->cursors[t * d->n_arrays + i]));
        }
done:
    return status;
}

void tdm__decoder_free(tdm__decoder *d)
{
    for (size_t i = 0; d->cursors && i < d->threads * d->n_arrays; i++)
        tdm__cursor_destroy(&d->cursors[i]);
    for (size_t i = 0; d->arrays && i < d->n_arrays; i++) free(d->arrays[i].memory);
    free(d->cursors);
    free(d->arrays);
    *d = (tdm__decoder){0};
}
