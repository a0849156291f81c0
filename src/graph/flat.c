/* graph/flat.c: flat buffers of parameters and gradients.
 *
 * Sealing lays out the learnt segments first, in order of declaration, then running statistics and
 * counters; each segment starts at a multiple of the device's alignment, and no chunk is larger
 * than the device's largest allocation. Padding is zero and stays zero. */
#include "graph/flat.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"
#include "graph/internal.h"

typedef struct flat_chunk {
    tdm__buffer values, gradients;
    uint64_t elements, gradient_elements;
} flat_chunk;

struct tdm__flat {
    tdm_device *device;
    tdm__segment *segments;
    size_t n, capacity;
    flat_chunk *chunks;
    size_t n_chunks, chunks_capacity;
    bool sealed, with_gradients;
};

tdm_status tdm__flat_create(tdm_device *device, tdm__flat **out)
{
    tdm_status status = tdm__calloc_try(1, sizeof **out, out);
    if (!status) (*out)->device = device;
    return status;
}

void tdm__flat_destroy(tdm__flat **flat)
{
    tdm__flat *f = *flat;
    if (!f) return;
    for (size_t i = 0; i < f->n; i++) free(f->segments[i].name);
    for (size_t c = 0; c < f->n_chunks; c++) {
        tdm__buffer_destroy(f->device, &f->chunks[c].values);
        tdm__buffer_destroy(f->device, &f->chunks[c].gradients);
    }
    free(f->segments);
    free(f->chunks);
    free(f);
    *flat = NULL;
}

/* layouts -------------------------------------------------------------------------------------- */

/* The device shape that follows from a disk shape. */
static tdm_desc device_desc(const tdm__segment *s)
{
    const int64_t *d = s->disk.dim;
    switch (s->layout) {
    case TDM__LAYOUT_CONV:
        return tdm_desc_4(TDM_F32, d[2], d[3], d[1], d[0]);
    case TDM__LAYOUT_DENSE:
    case TDM__LAYOUT_DENSE_FLAT:
        return tdm_desc_2(TDM_F32, d[1], d[0]);
    case TDM__LAYOUT_PLAIN:
        break;
    }
    return s->disk;
}

static tdm_status check_segment(const tdm__segment *s)
{
    char disk[96], device[96];
    tdm_status status = tdm__desc_check(&s->disk);
    if (status) return status;
    int rank = s->layout == TDM__LAYOUT_CONV ? 4 : s->layout == TDM__LAYOUT_PLAIN ? -1 : 2;
    if (s->disk.dtype != TDM_F32 || (rank >= 0 && s->disk.rank != rank))
        return tdm__fail(TDM_ERR_SHAPE, "%s does not suit its layout",
                         tdm_desc_text(&s->disk, disk, sizeof disk));
    if (s->layout == TDM__LAYOUT_DENSE_FLAT &&
        (s->flat_c <= 0 || s->flat_h <= 0 || s->flat_w <= 0 ||
         s->disk.dim[1] / s->flat_c / s->flat_h != s->flat_w ||
         s->flat_c * s->flat_h * s->flat_w != s->disk.dim[1]))
        return tdm__fail(TDM_ERR_SHAPE, "%s does not follow a flattened (%lld,%lld,%lld)",
                         tdm_desc_text(&s->disk, disk, sizeof disk), (long long)s->flat_c,
                         (long long)s->flat_h, (long long)s->flat_w);
    tdm_desc want = device_desc(s);
    if (s->device.dtype != TDM_NONE && !tdm_desc_equal(&want, &s->device) &&
        (s->layout != TDM__LAYOUT_PLAIN || tdm_desc_count(&want) != tdm_desc_count(&s->device) ||
         s->device.dtype != TDM_F32))
        return tdm__fail(TDM_ERR_SHAPE, "device shape %s does not fit disk shape %s",
                         tdm_desc_text(&s->device, device, sizeof device),
                         tdm_desc_text(&s->disk, disk, sizeof disk));
    if (s->kind == TDM__SEGMENT_COUNTER && tdm_desc_count(&s->disk) != 1)
        return tdm__fail(TDM_ERR_SHAPE, "%s: a counter is one number",
                         tdm_desc_text(&s->disk, disk, sizeof disk));
    return TDM_OK;
}

/* A disk layout as four axes, the last one fastest, with each axis' stride on the device. */
typedef struct axes {
    size_t dim[4], stride[4];
} axes;

static axes axes_of(const tdm__segment *s)
{
    size_t d[4] = {1, 1, 1, 1};
    for (int i = 0; i < s->disk.rank && i < 4; i++) d[i] = (size_t)s->disk.dim[i];
    switch (s->layout) {
    case TDM__LAYOUT_CONV:
        return (axes){{d[0], d[1], d[2], d[3]}, {1, d[0], d[3] * d[1] * d[0], d[1] * d[0]}};
    case TDM__LAYOUT_DENSE:
        return (axes){{1, 1, d[0], d[1]}, {0, 0, 1, d[0]}};
    case TDM__LAYOUT_DENSE_FLAT: {
        size_t c = (size_t)s->flat_c, h = (size_t)s->flat_h, w = (size_t)s->flat_w;
        return (axes){{d[0], c, h, w}, {1, d[0], w * c * d[0], c * d[0]}};
    }
    case TDM__LAYOUT_PLAIN:
        break;
    }
    return (axes){{1, 1, 1, (size_t)tdm_desc_count(&s->disk)}, {0, 0, 0, 1}};
}

static void permute(const tdm__segment *s, const float *from, float *to, bool to_device)
{
    const axes x = axes_of(s);
    size_t disk = 0;
    for (size_t a = 0; a < x.dim[0]; a++)
        for (size_t b = 0; b < x.dim[1]; b++)
            for (size_t c = 0; c < x.dim[2]; c++) {
                size_t device = a * x.stride[0] + b * x.stride[1] + c * x.stride[2];
                for (size_t d = 0; d < x.dim[3]; d++, disk++, device += x.stride[3]) {
                    if (to_device)
                        to[device] = from[disk];
                    else
                        to[disk] = from[device];
                }
            }
}

void tdm__segment_to_device(const tdm__segment *s, const float *disk, float *device)
{
    permute(s, disk, device, true);
}

void tdm__segment_to_disk(const tdm__segment *s, const float *device, float *disk)
{
    permute(s, device, disk, false);
}

/* declaring ------------------------------------------------------------------------------------ */

size_t tdm__flat_find(const tdm__flat *flat, const char *name)
{
    for (size_t i = 0; i < flat->n; i++)
        if (strcmp(flat->segments[i].name, name) == 0) return i;
    return SIZE_MAX;
}

static tdm_status same_segment(const tdm__segment *old, const tdm__segment *s)
{
    char a[96], b[96];
    if (!tdm_desc_equal(&old->disk, &s->disk))
        return tdm__fail(TDM_ERR_SHAPE, "declared as %s before, now as %s",
                         tdm_desc_text(&old->disk, a, sizeof a),
                         tdm_desc_text(&s->disk, b, sizeof b));
    if (old->layout != s->layout || old->kind != s->kind || old->flat_c != s->flat_c ||
        old->flat_h != s->flat_h || old->flat_w != s->flat_w)
        return tdm__fail(TDM_ERR_SHAPE, "declared before with another layout or kind");
    return TDM_OK;
}

tdm_status tdm__flat_declare(tdm__flat *flat, const tdm__segment *spec, size_t *index)
{
    tdm_status status = check_segment(spec);
    size_t at = tdm__flat_find(flat, spec->name);
    if (!status && at != SIZE_MAX) status = same_segment(&flat->segments[at], spec);
    if (status) return tdm__context(status, "%s", spec->name);
    if (at != SIZE_MAX) {
        *index = at;
        return TDM_OK;
    }
    if (flat->sealed) return tdm__fail(TDM_ERR_STATE, "%s: declared after the seal", spec->name);
    status = tdm__grow(&flat->segments, &flat->capacity, flat->n + 1, sizeof *flat->segments);
    if (status) return status;
    tdm__segment *s = &flat->segments[flat->n];
    *s = *spec;
    s->name = tdm__strdup(spec->name);
    if (!s->name) return tdm__fail(TDM_ERR_NOMEM, "out of memory");
    if (s->device.dtype == TDM_NONE) s->device = device_desc(s);
    s->count = (uint64_t)tdm_desc_count(&s->disk);
    *index = flat->n++;
    return TDM_OK;
}

/* sealing -------------------------------------------------------------------------------------- */

static tdm_status lay_out(tdm__flat *flat, tdm__segment *s)
{
    const tdm__traits *traits = tdm__device_traits(flat->device);
    const uint64_t align = traits->align / sizeof(float);
    const uint64_t limit = traits->max_allocation / sizeof(float);
    if (s->count > limit)
        return tdm__fail(TDM_ERR_NOMEM, "%s: %llu bytes, the device allocates at most %llu at once",
                         s->name, (unsigned long long)(s->count * sizeof(float)),
                         (unsigned long long)traits->max_allocation);
    flat_chunk *last = flat->n_chunks ? &flat->chunks[flat->n_chunks - 1] : NULL;
    uint64_t offset = last ? (last->elements + align - 1) / align * align : 0;
    if (!last || offset > limit || limit - offset < s->count) {
        tdm_status status = tdm__grow(&flat->chunks, &flat->chunks_capacity, flat->n_chunks + 1,
                                      sizeof *flat->chunks);
        if (status) return status;
        last = &flat->chunks[flat->n_chunks++];
        offset = 0;
    }
    s->chunk = (uint32_t)(flat->n_chunks - 1);
    s->offset = offset;
    last->elements = offset + s->count;
    if (s->kind == TDM__SEGMENT_PARAM) last->gradient_elements = last->elements;
    return TDM_OK;
}

tdm_status tdm__flat_seal(tdm__flat *flat, bool with_gradients)
{
    if (flat->sealed) return tdm__fail(TDM_ERR_STATE, "the parameters are sealed already");
    tdm_status status = TDM_OK;
    for (int learnt = 1; learnt >= 0; learnt--)
        for (size_t i = 0; i < flat->n; i++)
            if ((flat->segments[i].kind == TDM__SEGMENT_PARAM) == learnt)
                TDM_TRY(lay_out(flat, &flat->segments[i]));
    for (size_t c = 0; c < flat->n_chunks; c++) {
        flat_chunk *chunk = &flat->chunks[c];
        TDM_TRY(tdm__buffer_create(flat->device, chunk->elements * sizeof(float), true,
                                   "parameters", &chunk->values));
        if (with_gradients && chunk->gradient_elements)
            TDM_TRY(tdm__buffer_create(flat->device, chunk->gradient_elements * sizeof(float), true,
                                       "gradients", &chunk->gradients));
    }
    flat->with_gradients = with_gradients;
    flat->sealed = true;
done:
    return status;
}

bool tdm__flat_sealed(const tdm__flat *flat)
{
    return flat->sealed;
}

/* looking -------------------------------------------------------------------------------------- */

size_t tdm__flat_count(const tdm__flat *flat)
{
    return flat->n;
}

tdm__segment *tdm__flat_segment(tdm__flat *flat, size_t index)
{
    return index < flat->n ? &flat->segments[index] : NULL;
}

tdm__view tdm__flat_value_view(const tdm__flat *flat, size_t index)
{
    if (!flat->sealed || index >= flat->n) return (tdm__view){0};
    const tdm__segment *s = &flat->segments[index];
    return (tdm__view){&flat->chunks[s->chunk].values, s->offset * sizeof(float)};
}

tdm__view tdm__flat_gradient_view(const tdm__flat *flat, size_t index)
{
    if (!flat->sealed || !flat->with_gradients || index >= flat->n) return (tdm__view){0};
    const tdm__segment *s = &flat->segments[index];
    if (s->kind != TDM__SEGMENT_PARAM) return (tdm__view){0};
    return (tdm__view){&flat->chunks[s->chunk].gradients, s->offset * sizeof(float)};
}

size_t tdm__flat_chunks(const tdm__flat *flat)
{
    return flat->n_chunks;
}

tdm__view tdm__flat_chunk_values(const tdm__flat *flat, size_t chunk, uint64_t *elements)
{
    bool there = flat->sealed && chunk < flat->n_chunks;
    *elements = there ? flat->chunks[chunk].elements : 0;
    return there ? (tdm__view){&flat->chunks[chunk].values, 0} : (tdm__view){0};
}

tdm__view tdm__flat_chunk_gradients(const tdm__flat *flat, size_t chunk, uint64_t *elements)
{
    bool there = flat->sealed && flat->with_gradients && chunk < flat->n_chunks &&
                 flat->chunks[chunk].gradient_elements;
    *elements = there ? flat->chunks[chunk].gradient_elements : 0;
    return there ? (tdm__view){&flat->chunks[chunk].gradients, 0} : (tdm__view){0};
}

/* contents ------------------------------------------------------------------------------------- */

static tdm_status check_index(const tdm__flat *flat, size_t index)
{
    if (!flat->sealed) return tdm__fail(TDM_ERR_STATE, "the parameters are not sealed yet");
    if (index >= flat->n) return tdm__fail(TDM_ERR_STATE, "no parameter %zu", index);
    return TDM_OK;
}

static tdm_status read_view(tdm__flat *flat, size_t index, tdm__view view, float *out)
{
    const tdm__segment *s = &flat->segments[index];
    float *device = NULL;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__calloc_try(s->count, sizeof *device, &device));
    TDM_TRY(tdm__view_read(flat->device, view, device, s->count * sizeof *device));
    tdm__segment_to_disk(s, device, out);
done:
    free(device);
    return status ? tdm__context(status, "%s", s->name) : TDM_OK;
}

tdm_status tdm__flat_get(tdm__flat *flat, size_t index, float *out)
{
    tdm_status status = check_index(flat, index);
    return status ? status : read_view(flat, index, tdm__flat_value_view(flat, index), out);
}

tdm_status tdm__flat_get_gradient(tdm__flat *flat, size_t index, float *out)
{
    tdm_status status = check_index(flat, index);
    if (status) return status;
    tdm__view view = tdm__flat_gradient_view(flat, index);
    if (!view.buffer)
        return tdm__fail(TDM_ERR_STATE, "%s has no gradient", flat->segments[index].name);
    return read_view(flat, index, view, out);
}

tdm_status tdm__flat_set(tdm__flat *flat, size_t index, const float *values)
{
    tdm_status status = check_index(flat, index);
    if (status) return status;
    const tdm__segment *s = &flat->segments[index];
    float *device = NULL;
    TDM_TRY(tdm__calloc_try(s->count, sizeof *device, &device));
    tdm__segment_to_device(s, values, device);
    TDM_TRY(tdm__view_write(flat->device, tdm__flat_value_view(flat, index), device,
                            s->count * sizeof *device));
done:
    free(device);
    return status ? tdm__context(status, "%s", s->name) : TDM_OK;
}

/* Where element i stands along the first two axes on disk. */
static uint64_t row_of(const tdm__segment *s, uint64_t i)
{
    return i / (s->count / (uint64_t)s->disk.dim[0]);
}
static uint64_t column_of(const tdm__segment *s, uint64_t i)
{
    const uint64_t row = s->count / (uint64_t)s->disk.dim[0];
    return i % row / (row / (uint64_t)s->disk.dim[1]);
}

static double diagonals_at(const tdm__segment *s, uint64_t row, uint64_t column)
{
    const uint64_t side = (uint64_t)s->disk.dim[0];
    if (column % side != row) return 0;
    return column / side == (uint64_t)s->init_own ? s->init_value : s->init_other;
}

static void draw(const tdm__segment *s, uint64_t seed, float *out)
{
    tdm__rng rng = tdm__rng_make(seed, tdm__rng_stream(s->name, 0, 0));
    for (uint64_t i = 0; i < s->count; i++) {
        double v = 0;
        switch (s->init) {
        case TDM__INIT_ZERO:
            break;
        case TDM__INIT_CONSTANT:
            v = s->init_value;
            break;
        case TDM__INIT_UNIFORM:
            v = (2.0 * tdm__rng_uniform(&rng) - 1.0) * s->init_value;
            break;
        case TDM__INIT_NORMAL:
            v = tdm__rng_normal(&rng) * s->init_value;
            break;
        case TDM__INIT_DIAGONAL:
            v = row_of(s, i) == column_of(s, i) ? s->init_value : s->init_other;
            break;
        case TDM__INIT_DIAGONALS:
            v = diagonals_at(s, row_of(s, i), column_of(s, i));
            break;
        }
        out[i] = (float)v;
    }
}

tdm_status tdm__flat_initialise(tdm__flat *flat, uint64_t seed)
{
    tdm_status status = TDM_OK;
    float *values = NULL;
    for (size_t i = 0; i < flat->n; i++) {
        free(values);
        TDM_TRY(tdm__calloc_try(flat->segments[i].count, sizeof *values, &values));
        draw(&flat->segments[i], seed, values);
        TDM_TRY(tdm__flat_set(flat, i, values));
    }
done:
    free(values);
    return status;
}

tdm_status tdm__flat_hash(tdm__flat *flat, bool frozen_only, char hex[33])
{
    tdm_status status = TDM_OK;
    tdm__hash *hash = NULL;
    float *values = NULL;
    TDM_TRY(tdm__hash_create(&hash));
    for (size_t i = 0; i < flat->n; i++) {
        const tdm__segment *s = &flat->segments[i];
        if (frozen_only && !s->frozen) continue;
        free(values);
        TDM_TRY(tdm__calloc_try(s->count, sizeof *values, &values));
        TDM_TRY(tdm__flat_get(flat, i, values));
        tdm__hash_add_text(hash, s->name);
        tdm__hash_add(hash, values, s->count * sizeof *values);
    }
    tdm__hash_hex(hash, hex);
done:
    tdm__hash_destroy(&hash);
    free(values);
    return status;
}
