/* data/decode.c: see decode.h. */
#include "data/decode.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/simd.h"

/* Bytes (and samples) read at a time where a whole array goes into memory, or through the library.
 */
enum { BLOCK_BYTES = 4 << 20, BLOCK_SAMPLES = 256 };

/* Philox blocks that one sample may draw from: far more than the longest list of transforms uses.
 */
enum { SAMPLE_BLOCKS = 256 };

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
    a->stored_bytes = (size_t)bytes;
    return TDM_OK;
}

/* Whether samples change on their way. */
static bool is_transformed(const tdm__decode_array *a)
{
    return a->mapped.role != TDM__ROLE_NONE;
}

static tdm_status set_transform(tdm__decoder *d, tdm__decode_array *a, const tdm_array_info *frame)
{
    uint64_t bytes;
    a->delivered = *a->info;
    tdm_status status =
        tdm__transform_map(&d->transforms, frame, &a->want, a->dtype, &a->delivered, &a->mapped);
    if (status) return status;
    if (!tdm__mul_u64(a->delivered.elems, a->stored_bytes / a->info->elems, &bytes) ||
        bytes > SIZE_MAX)
        return tdm__fail(TDM_ERR_CONFIG, "data.transforms: a sample of '%s' is too large",
                         a->info->name);
    a->sample_bytes = (size_t)bytes;
    return TDM_OK;
}

static tdm_status set_transforms(tdm__decoder *d)
{
    const tdm_array_info *frame = NULL;
    tdm_status status = TDM_OK;
    for (size_t i = 0; i < d->n_arrays && !frame; i++)
        if (!d->arrays[i].made && tdm_transforms_is_frame(d->arrays[i].info))
            frame = d->arrays[i].info;
    for (size_t i = 0; i < d->n_arrays && !status; i++)
        if (!d->arrays[i].made) status = set_transform(d, &d->arrays[i], frame);
    for (int k = 0; k < 2 && frame && d->transforms.n; k++) d->frame[k] = (uint32_t)frame->dims[k];
    return status;
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

static tdm_status add_made(tdm__decoder *d, size_t at, const tdm_loader_array *want)
{
    tdm__decode_array *a = &d->arrays[at];
    a->want = *want;
    a->made = true;
    a->name = tdm__strdup(want->name);
    a->stream = tdm__strdup(want->make->name ? want->make->name : "");
    d->n_made++;
    return a->name && a->stream ? TDM_OK : tdm__fail(TDM_ERR_NOMEM, "out of memory");
}

/* Of which array something is made. */
static tdm_status find_source(const tdm__decoder *d, const tdm__decode_array *a, size_t *out)
{
    for (*out = 0; *out < d->n_arrays; ++*out)
        if (!d->arrays[*out].made && !strcmp(d->arrays[*out].info->name, a->want.from))
            return TDM_OK;
    return tdm__fail(TDM_ERR_USAGE, "'%s' is made of array '%s', which is not loaded", a->name,
                     a->want.from);
}

/* Once all arrays that are read have their shape. */
static tdm_status set_made(tdm__decoder *d, tdm__decode_array *a)
{
    tdm_status status = TDM_OK;
    TDM_TRY(find_source(d, a, &a->from));
    const tdm__decode_array *source = &d->arrays[a->from];
    TDM_TRY(tdm__maker_init(a->want.make, a->want.part, &source->delivered, source->dtype,
                            &a->delivered, &a->maker));
    a->maker.make.name = a->stream;
    a->delivered.name = a->name;
    a->info = &a->delivered;
    a->dtype = a->want.part == TDM_MAKE_LABEL ? TDM_I32 : source->dtype;
    if (a->want.dtype != TDM_NONE && a->want.dtype != a->dtype)
        TDM_TRY(tdm__fail(TDM_ERR_USAGE, "'%s' is made in another type than asked for", a->name));
    a->sample_bytes = a->want.part == TDM_MAKE_LABEL ? sizeof(int32_t) : source->sample_bytes;
    a->want.name = a->name;
    a->want.from = source->info->name;
    a->want.make = &a->maker.make;
done:
    return status;
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

/* Whether all values are allowed, without a branch per value: a mask has as many as a picture has
 * pixels. */
TDM__WIDE static bool all_allowed(const tdm__decode_array *a, const void *sample)
{
    const tdm_loader_array *want = &a->want;
    const uint64_t n = a->info->elems;
    const uint8_t *bytes = sample;
    const int32_t *wholes = sample;
    const float *reals = sample;
    const double least = fmax(ceil(want->min), INT32_MIN), most = fmin(floor(want->max), INT32_MAX);
    const double other = want->has_ignore ? want->ignore : want->max;
    /* odd bounds are left to the other check */
    if (!(least <= most) || !(fabs(other) < INT32_MAX || !want->has_ignore)) return false;
    const int32_t low = (int32_t)least, high = (int32_t)most;
    const int32_t ignore = want->has_ignore && other == floor(other) ? (int32_t)other : high;
    int wrong = 0;
    if (a->dtype == TDM_U8)
        for (uint64_t i = 0; i < n; i++)
            wrong |= ((bytes[i] < low) | (bytes[i] > high)) & (bytes[i] != ignore);
    else if (a->dtype == TDM_I32)
        for (uint64_t i = 0; i < n; i++)
            wrong |= ((wholes[i] < low) | (wholes[i] > high)) & (wholes[i] != ignore);
    else
        for (uint64_t i = 0; i < n; i++)
            wrong |= !(((reals[i] >= want->min) & (reals[i] <= want->max)) | (reals[i] == other));
    return !wrong;
}

static tdm_status check_sample(const tdm__decoder *d, const tdm__decode_array *a, uint64_t index,
                               const void *sample)
{
    if (!a->want.check || all_allowed(a, sample)) return TDM_OK;
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

/* ---- transforms ------------------------------------------------------------------------------ */

/* The same for all arrays of the sample, whoever decodes them. */
static void draw(const tdm__decoder *d, uint64_t epoch, uint64_t index, tdm__draw *out)
{
    tdm__rng rng = tdm__rng_make(d->seed, tdm__rng_stream("data.transform", d->stream, epoch));
    rng.index = tdm_split_row(d->split, index) * SAMPLE_BLOCKS;
    tdm__transform_draw(&d->transforms, d->frame, d->augment, &rng, out);
}

/* One sample from `stored` to `to`; the same pointer when it is in place and need not move. */
static void transform(const tdm__decode_array *a, const tdm__draw *drawn, unsigned char *work,
                      const void *stored, void *to)
{
    const tdm__geometry *g = &drawn->geometry;
    if (!g->identity)
        tdm__transform_move(&a->mapped, g, stored, to, work);
    else if (stored != to)
        memcpy(to, stored, a->sample_bytes);
    if (a->mapped.role == TDM__ROLE_IMAGE)
        tdm__transform_colours(drawn->colours, drawn->n_colours, a->dtype, a->mapped.channels,
                               (size_t)g->size[0] * g->size[1], to, (float *)(void *)work);
}

static void transform_stored(const tdm__decoder *d, const tdm__decode_array *a, unsigned thread,
                             const tdm__decode_job *job, uint64_t at, const void *stored, void *to)
{
    tdm__draw drawn;
    draw(d, job->epoch, job->indices[at], &drawn);
    transform(a, &drawn, d->spaces[thread].work, stored, to);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Everything that is made of a sample, once it is in place. */
static void make_of(const tdm__decoder *d, size_t array, const tdm__decode_job *job, uint64_t at,
                    const void *sample)
{
    for (size_t i = 0; d->n_made && job->made && i < d->n_arrays; i++) {
        const tdm__decode_array *a = &d->arrays[i];
        if (!a->made || a->from != array || !job->made[i]) continue;
        tdm__rng rng =
            tdm__make_rng(&a->maker.make, d->seed, d->stream, d->augment ? job->epoch : 0,
                          tdm_split_row(d->split, job->indices[at]));
        tdm__make(&a->maker, &rng, sample, job->made[i] + at * a->sample_bytes);
    }
}

static tdm_status check_cancelled(const tdm__decode_job *job)
{
    if (job->cancelled && job->cancelled(job->user))
        return tdm__fail(TDM_ERR_INTERRUPTED, "loading was cancelled");
    return TDM_OK;
}

/* Samples of a serial array that are read in one call. */
static uint64_t block_samples(const tdm__decode_array *a)
{
    uint64_t block = BLOCK_BYTES / a->stored_bytes;
    return block < 1 ? 1 : block > BLOCK_SAMPLES ? BLOCK_SAMPLES : block;
}

/* At most a block, through the library, as stored. */
static tdm_status read_block(const tdm__decoder *d, const tdm__decode_array *a,
                             const uint64_t *indices, uint64_t n, unsigned char *out)
{
    uint64_t rows[BLOCK_SAMPLES];
    for (uint64_t i = 0; i < n; i++) rows[i] = tdm_split_row(d->split, indices[i]);
    tdm_status status =
        tdm__dataset_read_rows(tdm_split_dataset(d->split), a->index, rows, (size_t)n, a->to, out);
    for (uint64_t i = 0; i < n && !status; i++)
        status = check_sample(d, a, indices[i], out + i * a->stored_bytes);
    return status;
}

/* Some samples at a time, so that a cancelled load ends soon. */
static tdm_status decode_serial(const tdm__decoder *d, size_t array, unsigned thread,
                                const tdm__decode_job *job)
{
    const tdm__decode_array *a = &d->arrays[array];
    unsigned char *to = job->out, *stored = d->spaces[thread].stored;
    const uint64_t block = block_samples(a);
    tdm_status status = TDM_OK;
    for (uint64_t first = 0; first < job->n; first += block) {
        uint64_t count = job->n - first < block ? job->n - first : block;
        TDM_TRY(check_cancelled(job));
        TDM_TRY(read_block(d, a, job->indices + first, count, is_transformed(a) ? stored : to));
        if (is_transformed(a))
            for (uint64_t i = 0; i < count; i++)
                transform_stored(d, a, thread, job, first + i, stored + i * a->stored_bytes,
                                 to + i * a->sample_bytes);
        for (uint64_t i = 0; i < count; i++)
            make_of(d, array, job, first + i, to + i * a->sample_bytes);
        to += count * a->sample_bytes;
    }
done:
    return status;
}

/* One sample of any other array. */
static tdm_status decode_one(const tdm__decoder *d, size_t array, unsigned thread,
                             const tdm__decode_job *job, uint64_t at, void *to)
{
    const tdm__decode_array *a = &d->arrays[array];
    const uint64_t index = job->indices[at], row = tdm_split_row(d->split, index);
    void *stored = to;
    tdm__draw drawn;
    tdm_status status = TDM_OK;
    if (is_transformed(a)) {
        draw(d, job->epoch, index, &drawn);
        if (!drawn.geometry.identity) stored = d->spaces[thread].stored;
    }
    TDM_TRY(tdm__cursor_read(d->cursors[thread * d->n_arrays + array], row, a->to, stored));
    TDM_TRY(check_sample(d, a, index, stored));
    if (is_transformed(a)) transform(a, &drawn, d->spaces[thread].work, stored, to);
done:
    return status;
}

static void copy_one(const tdm__decoder *d, const tdm__decode_array *a, unsigned thread,
                     const tdm__decode_job *job, uint64_t at, void *to)
{
    const unsigned char *stored = a->memory + job->indices[at] * a->stored_bytes;
    if (is_transformed(a))
        transform_stored(d, a, thread, job, at, stored, to);
    else
        memcpy(to, stored, a->sample_bytes);
}

tdm_status tdm__decode(const tdm__decoder *d, size_t array, unsigned thread,
                       const tdm__decode_job *job)
{
    const tdm__decode_array *a = &d->arrays[array];
    unsigned char *to = job->out;
    tdm_status status = TDM_OK;
    if (a->serial) return decode_serial(d, array, thread, job);
    for (uint64_t i = 0; i < job->n; i++, to += a->sample_bytes) {
        TDM_TRY(check_cancelled(job));
        if (a->memory)
            copy_one(d, a, thread, job, i, to);
        else
            TDM_TRY(decode_one(d, array, thread, job, i, to));
        make_of(d, array, job, i, to);
    }
done:
    return status;
}

/* ---- life ------------------------------------------------------------------------------------ */

static tdm_status load_all(tdm__decoder *d, tdm__decode_array *a)
{
    uint64_t length = tdm_split_length(d->split), indices[BLOCK_SAMPLES];
    const uint64_t block = block_samples(a);
    unsigned char *memory = NULL;
    tdm_status status = tdm__calloc_try(length, a->stored_bytes, &memory);
    for (uint64_t first = 0; first < length && !status; first += block) {
        uint64_t count = length - first < block ? length - first : block;
        for (uint64_t i = 0; i < count; i++) indices[i] = first + i;
        status = read_block(d, a, indices, count, memory + first * a->stored_bytes);
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
    *out = (tdm__decoder){.split = spec->split,
                          .transforms = spec->transforms,
                          .augment = spec->augment,
                          .seed = spec->seed,
                          .stream = tdm__rng_stream(spec->stream ? spec->stream : "", 0, 0)};
    TDM_TRY(tdm__calloc_try(n, sizeof *out->arrays, &out->arrays));
    out->n_arrays = n;
    for (size_t i = 0; i < n; i++) {
        size_t index = i;
        if (spec->n_arrays && spec->arrays[i].make) {
            TDM_TRY(add_made(out, i, &spec->arrays[i]));
            continue;
        }
        if (spec->n_arrays) TDM_TRY(tdm_dataset_find(ds, spec->arrays[i].name, &index));
        TDM_TRY(add_array(out, i, index, spec->n_arrays ? &spec->arrays[i] : NULL));
    }
    TDM_TRY(set_transforms(out));
    for (size_t i = 0; i < n; i++)
        if (out->arrays[i].made) TDM_TRY(set_made(out, &out->arrays[i]));
    for (size_t i = 0; spec->in_memory && i < n; i++)
        if (!out->arrays[i].made) TDM_TRY(load_all(out, &out->arrays[i]));
done:
    if (status) tdm__decoder_free(out);
    return status;
}

/* The largest that any array needs. */
static tdm_status make_space(const tdm__decoder *d, tdm__decode_space *out)
{
    size_t stored = 0, work = 0;
    tdm_status status = TDM_OK;
    for (size_t i = 0; i < d->n_arrays; i++) {
        const tdm__decode_array *a = &d->arrays[i];
        size_t room;
        if (!is_transformed(a)) continue;
        TDM_TRY(tdm__transform_room(&d->transforms, &a->mapped, &room));
        if (room > work) work = room;
        room = a->stored_bytes * (a->serial ? (size_t)block_samples(a) : 1);
        if (room > stored) stored = room;
    }
    TDM_TRY(tdm__aligned_try(1, stored, &out->stored));
    TDM_TRY(tdm__aligned_try(1, work, &out->work));
done:
    return status;
}

tdm_status tdm__decoder_threads(tdm__decoder *d, unsigned threads)
{
    tdm_status status = TDM_OK;
    const tdm_dataset *ds = tdm_split_dataset(d->split);
    TDM_TRY(tdm__calloc_try(threads * d->n_arrays, sizeof *d->cursors, &d->cursors));
    TDM_TRY(tdm__calloc_try(threads, sizeof *d->spaces, &d->spaces));
    d->threads = threads;
    for (unsigned t = 0; t < threads && d->transforms.n; t++) TDM_TRY(make_space(d, &d->spaces[t]));
    for (unsigned t = 0; t < threads; t++)
        for (size_t i = 0; i < d->n_arrays; i++) {
            const tdm__decode_array *a = &d->arrays[i];
            if (a->serial || a->memory || a->made) continue;
            TDM_TRY(tdm__cursor_create(ds, a->index, &d->cursors[t * d->n_arrays + i]));
        }
done:
    return status;
}

void tdm__decoder_free(tdm__decoder *d)
{
    for (size_t i = 0; d->cursors && i < d->threads * d->n_arrays; i++)
        tdm__cursor_destroy(&d->cursors[i]);
    for (size_t i = 0; d->arrays && i < d->n_arrays; i++) {
        free(d->arrays[i].memory);
        free(d->arrays[i].stream);
        free(d->arrays[i].name);
    }
    for (unsigned t = 0; d->spaces && t < d->threads; t++) {
        free(d->spaces[t].stored);
        free(d->spaces[t].work);
    }
    free(d->cursors);
    free(d->spaces);
    free(d->arrays);
    *d = (tdm__decoder){0};
}
