/* model/checkpoint.c: writing segments, and loading them with a full list of what does not fit. */
#include "model/checkpoint.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { MAX_LISTED = 12 };

static tdm__elem segment_elem(const tdm__segment *s)
{
    return s->kind == TDM__SEGMENT_COUNTER ? tdm__elem_host(TDM__ELEM_INT, 8)
                                           : tdm__elem_host(TDM__ELEM_FLOAT, 4);
}

static tdm_status declare_all(tdm__st_writer *w, tdm__flat *flat, const tdm__extra_tensor *extra,
                              size_t n_extra)
{
    tdm_status status = TDM_OK;
    const tdm__elem f32 = tdm__elem_host(TDM__ELEM_FLOAT, 4);
    for (size_t i = 0; i < tdm__flat_count(flat); i++) {
        const tdm__segment *s = tdm__flat_segment(flat, i);
        uint64_t dims[TDM__ST_RANK];
        for (int d = 0; d < s->disk.rank; d++) dims[d] = (uint64_t)s->disk.dim[d];
        TDM_TRY(tdm__st_writer_declare(w, s->name, segment_elem(s), s->disk.rank, dims));
    }
    for (size_t i = 0; i < n_extra; i++)
        TDM_TRY(tdm__st_writer_declare(w, extra[i].name, f32, 1, &extra[i].count));
done:
    return status;
}

static tdm_status write_segment(tdm__st_writer *w, tdm__flat *flat, size_t index, float *scratch)
{
    const tdm__segment *s = tdm__flat_segment(flat, index);
    tdm_status status = tdm__flat_get(flat, index, scratch);
    if (status) return status;
    if (s->kind != TDM__SEGMENT_COUNTER)
        return tdm__st_writer_data(w, scratch, s->count * sizeof(float));
    const int64_t counter = (int64_t)scratch[0];
    return tdm__st_writer_data(w, &counter, sizeof counter);
}

static uint64_t largest_segment(tdm__flat *flat)
{
    uint64_t most = 1;
    for (size_t i = 0; i < tdm__flat_count(flat); i++) {
        const uint64_t n = tdm__flat_segment(flat, i)->count;
        if (n > most) most = n;
    }
    return most;
}

tdm_status tdm__checkpoint_write(const char *path, tdm__flat *flat, const tdm__extra_tensor *extra,
                                 size_t n_extra, const tdm__metadata *metadata, size_t n_metadata)
{
    tdm_status status = TDM_OK;
    tdm__st_writer *w = NULL;
    float *scratch = NULL;
    TDM_TRY(tdm__calloc_try(largest_segment(flat), sizeof *scratch, &scratch));
    TDM_TRY(tdm__st_writer_create(path, &w));
    TDM_TRY(declare_all(w, flat, extra, n_extra));
    for (size_t i = 0; i < n_metadata; i++)
        TDM_TRY(tdm__st_writer_metadata(w, metadata[i].key, metadata[i].value));
    for (size_t i = 0; i < tdm__flat_count(flat); i++) TDM_TRY(write_segment(w, flat, i, scratch));
    for (size_t i = 0; i < n_extra; i++)
        TDM_TRY(tdm__st_writer_data(w, extra[i].data, extra[i].count * sizeof(float)));
    TDM_TRY(tdm__st_writer_commit(w));
done:
    tdm__st_writer_destroy(&w);
    free(scratch);
    if (status) tdm__context(status, "checkpoint %s", path);
    return status;
}

/* ---- loading -----------------------------------------------------------------------------------
 */

static bool ignored(const char *name, const char *const *ignore)
{
    for (; ignore && *ignore; ignore++)
        if (tdm__starts_with(name, *ignore)) return true;
    return false;
}

static bool shape_fits(const tdm__segment *s, const tdm__st_tensor *t)
{
    if (t->rank != s->disk.rank) return false;
    for (int d = 0; d < t->rank; d++)
        if (t->dims[d] != (uint64_t)s->disk.dim[d]) return false;
    return true;
}

/* A list of differences that grows to MAX_LISTED lines and then only counts. */
typedef struct differences {
    tdm__str text;
    size_t n;
} differences;

static void add_difference(differences *d, const char *what, const char *name)
{
    if (d->n++ < MAX_LISTED) tdm__str_addf(&d->text, "\n  %s: %s", what, name);
}

static void add_shapes(differences *d, const tdm__segment *s, const tdm__st_tensor *t)
{
    if (d->n++ >= MAX_LISTED) return;
    char ours[64];
    tdm__str_addf(&d->text, "\n  shapes differ: %s: model %s, checkpoint [", s->name,
                  tdm_desc_text(&s->disk, ours, sizeof ours));
    for (int i = 0; i < t->rank; i++)
        tdm__str_addf(&d->text, "%s%" PRIu64, i ? "," : "", t->dims[i]);
    tdm__str_add(&d->text, "]");
}

static void compare(tdm__flat *flat, const tdm__st *st, const char *const *ignore, differences *d)
{
    for (size_t i = 0; i < tdm__flat_count(flat); i++) {
        const tdm__segment *s = tdm__flat_segment(flat, i);
        const tdm__st_tensor *t = ignored(s->name, ignore) ? NULL : tdm__st_find(st, s->name);
        if (!t)
            add_difference(d, "not in the checkpoint", s->name);
        else if (!shape_fits(s, t))
            add_shapes(d, s, t);
    }
    for (size_t i = 0; i < tdm__st_count(st); i++) {
        const char *name = tdm__st_at(st, i)->name;
        if (ignored(name, ignore) || tdm__flat_find(flat, name) != SIZE_MAX) continue;
        add_difference(d, "not in the model", name);
    }
}

static tdm_status load_segment(tdm__flat *flat, size_t index, const tdm__st *st, float *scratch)
{
    const tdm__segment *s = tdm__flat_segment(flat, index);
    const tdm__st_tensor *t = tdm__st_find(st, s->name);
    if (!t) return TDM_OK;
    tdm_status status = tdm__st_read(st, t, 0, t->count, TDM__TO_F32, scratch);
    return status ? status : tdm__flat_set(flat, index, scratch);
}

tdm_status tdm__checkpoint_load(tdm__flat *flat, const tdm__st *st, const char *const *ignore)
{
    tdm_status status = TDM_OK;
    differences d = {0};
    float *scratch = NULL;
    compare(flat, st, ignore, &d);
    if (d.n > 0) {
        if (d.n > MAX_LISTED) tdm__str_addf(&d.text, "\n  and %zu more", d.n - MAX_LISTED);
        status = tdm__fail(TDM_ERR_CONFIG, "%s is a checkpoint of another model:%s",
                           tdm__st_path(st), tdm__str_text(&d.text));
        goto done;
    }
    TDM_TRY(tdm__calloc_try(largest_segment(flat), sizeof *scratch, &scratch));
    for (size_t i = 0; i < tdm__flat_count(flat); i++) {
        if (ignored(tdm__flat_segment(flat, i)->name, ignore)) continue;
        TDM_TRY(load_segment(flat, i, st, scratch));
    }
done:
    tdm__str_free(&d.text);
    free(scratch);
    return status;
}
