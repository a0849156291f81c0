/* Writing HDF5: into the temporary file of a tdm__atomic, so that what appears under the final name
 * is whole. Rows are gathered into whole chunks before the library sees them. */
#include "format/hdf5_private.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

#define CHUNK_BYTES ((uint64_t)64 << 10) /* at least, when more than one sample fits */

typedef struct writer_set {
    hid_t id, type;
    char *name;
    int rank;                   /* with the first axis */
    hsize_t dims[TDM__H5_RANK]; /* dims[0]: rows in the file */
    uint64_t row_bytes, per_chunk;
    uint8_t *pending; /* less than one chunk of rows */
    uint64_t n_pending;
} writer_set;

struct tdm__h5_writer {
    tdm__atomic atomic;
    tdm__h5_io io;
    hid_t file;
    writer_set *sets;
    size_t n_sets, capacity;
};

int tdm__h5_deflate_for(uint64_t row_bytes)
{
    return row_bytes < CHUNK_BYTES ? 0 : 1;
}

tdm_status tdm__h5_writer_create(const char *path, tdm__h5_writer **out)
{
    *out = NULL;
    tdm_status status = TDM_OK;
    tdm__h5_writer *w = NULL;
    TDM_TRY(tdm__calloc_try(1, sizeof *w, &w));
    w->file = w->io.fd = -1;
    TDM_TRY(tdm__atomic_begin(&w->atomic, path));
    w->io.target = &w->atomic;
    w->io.fd = open(w->atomic.temp, O_RDONLY | O_CLOEXEC); /* the library reads back */
    if (w->io.fd < 0) {
        status = tdm__fail_errno(TDM_ERR_IO, "%s: cannot be created", path);
        goto done;
    }
    tdm__h5_lock();
    hid_t access = tdm__h5_access(&w->io);
    /* The format of 1.8: attributes may be larger than 64 KiB (names of a thousand classes), and
     * headers carry checksums. It would also note the time: equal data give equal files. */
    hid_t create = H5Pcreate(H5P_FILE_CREATE);
    if (access >= 0 && create >= 0 && H5Pset_obj_track_times(create, false) >= 0 &&
        H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V18) >= 0)
        w->file = H5Fcreate(w->atomic.temp, H5F_ACC_TRUNC, create, access);
    if (w->file < 0) status = tdm__h5_fail(TDM_ERR_IO, "%s: cannot be created", path);
    if (create >= 0) H5Pclose(create);
    if (access >= 0) H5Pclose(access);
    tdm__h5_unlock();
    if (status) goto done;
    *out = w;
    w = NULL;
done:
    tdm__h5_writer_destroy(&w);
    return status;
}

/* The HDF5 type of elements as the host stores them; close it. -1 for what HDF5 has no name for. */
static hid_t type_of(tdm__elem elem)
{
    bool wide = elem.size == 8, i = elem.kind == TDM__ELEM_INT;
    hid_t type = -1, base = -1;
    switch (elem.kind) {
    case TDM__ELEM_UINT:
    case TDM__ELEM_INT:
        base = elem.size == 1   ? (i ? H5T_NATIVE_INT8 : H5T_NATIVE_UINT8)
               : elem.size == 2 ? (i ? H5T_NATIVE_INT16 : H5T_NATIVE_UINT16)
               : elem.size == 4 ? (i ? H5T_NATIVE_INT32 : H5T_NATIVE_UINT32)
                                : (i ? H5T_NATIVE_INT64 : H5T_NATIVE_UINT64);
        type = H5Tcopy(base);
        break;
    case TDM__ELEM_FLOAT:
        if (elem.size >= 4) {
            type = H5Tcopy(wide ? H5T_NATIVE_DOUBLE : H5T_NATIVE_FLOAT);
        } else { /* IEEE half: as h5py makes it */
            type = H5Tcopy(H5T_NATIVE_FLOAT);
            H5Tset_fields(type, 15, 10, 5, 0, 10);
            H5Tset_size(type, 2);
            H5Tset_ebias(type, 15);
        }
        break;
    case TDM__ELEM_BOOL: /* as h5py makes it */
        type = H5Tenum_create(H5T_NATIVE_INT8);
        for (int8_t v = 0; v <= 1; v++) H5Tenum_insert(type, v ? "TRUE" : "FALSE", &v);
        break;
    case TDM__ELEM_BF16:
        break;
    }
    return type;
}

static tdm_status create_set(tdm__h5_writer *w, writer_set *s, const tdm__h5_spec *spec)
{
    hsize_t most[TDM__H5_RANK] = {H5S_UNLIMITED}, chunk[TDM__H5_RANK] = {s->per_chunk};
    for (int i = 1; i < s->rank; i++) most[i] = chunk[i] = s->dims[i];
    s->type = type_of(spec->elem);
    hid_t space = H5Screate_simple(s->rank, s->dims, most), plist = H5Pcreate(H5P_DATASET_CREATE);
    bool ok = s->type >= 0 && space >= 0 && plist >= 0 &&
              H5Pset_chunk(plist, s->rank, chunk) >= 0 && H5Pset_obj_track_times(plist, false) >= 0;
    if (ok && spec->deflate)
        ok = (spec->elem.size == 1 || H5Pset_shuffle(plist) >= 0) &&
             H5Pset_deflate(plist, (unsigned)spec->deflate) >= 0;
    if (ok)
        s->id = H5Dcreate2(w->file, spec->name, s->type, space, H5P_DEFAULT, plist, H5P_DEFAULT);
    tdm_status status = TDM_OK;
    if (s->id < 0) status = tdm__h5_fail(TDM_ERR_IO, "%s: %s", w->atomic.path, spec->name);
    if (plist >= 0) H5Pclose(plist);
    if (space >= 0) H5Sclose(space);
    return status;
}

tdm_status tdm__h5_writer_add(tdm__h5_writer *w, const tdm__h5_spec *spec, size_t *set)
{
    if (spec->rank < 0 || spec->rank >= TDM__H5_RANK || !tdm__elem_valid(spec->elem) ||
        spec->elem.kind == TDM__ELEM_BF16 || spec->deflate < 0 || spec->deflate > 9)
        return tdm__fail(TDM_ERR_STATE, "%s: %s: not a type, shape or level that can be written",
                         w->atomic.path, spec->name);
    tdm_status status = TDM_OK;
    uint64_t bytes = spec->elem.size;
    for (int i = 0; i < spec->rank; i++)
        if (!spec->dims[i] || !tdm__mul_u64(bytes, spec->dims[i], &bytes) || bytes > UINT32_MAX)
            return tdm__fail(TDM_ERR_STATE, "%s: %s: a sample must have 1 to 4294967295 bytes",
                             w->atomic.path, spec->name);
    TDM_TRY(tdm__grow(&w->sets, &w->capacity, w->n_sets + 1, sizeof *w->sets));
    writer_set *s = &w->sets[w->n_sets++];
    s->id = s->type = -1;
    s->name = tdm__strdup(spec->name);
    if (!s->name) return tdm__fail(TDM_ERR_NOMEM, "%s: out of memory", spec->name);
    s->rank = spec->rank + 1;
    for (int i = 0; i < spec->rank; i++) s->dims[i + 1] = spec->dims[i];
    s->row_bytes = bytes;
    s->per_chunk = (CHUNK_BYTES + bytes - 1) / bytes;
    TDM_TRY(tdm__calloc_try(s->per_chunk, s->row_bytes, &s->pending));
    tdm__h5_lock();
    status = create_set(w, s, spec);
    tdm__h5_unlock();
    *set = w->n_sets - 1;
done:
    return status;
}

static tdm_status write_rows(tdm__h5_writer *w, writer_set *s, const void *rows, uint64_t n)
{
    if (!n) return TDM_OK;
    hsize_t start[TDM__H5_RANK] = {s->dims[0]}, count[TDM__H5_RANK] = {n};
    for (int i = 1; i < s->rank; i++) count[i] = s->dims[i];
    s->dims[0] += n;
    tdm_status status = TDM_OK;
    hid_t space = -1, memory = -1;
    tdm__h5_lock();
    if (H5Dset_extent(s->id, s->dims) < 0 || (space = H5Dget_space(s->id)) < 0 ||
        (memory = H5Screate_simple(s->rank, count, NULL)) < 0 ||
        H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) < 0 ||
        H5Dwrite(s->id, s->type, memory, space, H5P_DEFAULT, rows) < 0)
        status = tdm__h5_fail(TDM_ERR_IO, "%s: %s: cannot be written", w->atomic.path, s->name);
    if (memory >= 0) H5Sclose(memory);
    if (space >= 0) H5Sclose(space);
    tdm__h5_unlock();
    return status ? status : w->io.status;
}

tdm_status tdm__h5_writer_append(tdm__h5_writer *w, size_t set, const void *rows, uint64_t n)
{
    writer_set *s = &w->sets[set];
    const uint8_t *from = rows;
    tdm_status status = TDM_OK;
    while (n && !status) {
        if (!s->n_pending && n >= s->per_chunk) {
            uint64_t whole = n / s->per_chunk * s->per_chunk;
            status = write_rows(w, s, from, whole);
            from += whole * s->row_bytes;
            n -= whole;
            continue;
        }
        uint64_t take = s->per_chunk - s->n_pending;
        if (take > n) take = n;
        memcpy(s->pending + s->n_pending * s->row_bytes, from, take * s->row_bytes);
        s->n_pending += take;
        from += take * s->row_bytes;
        n -= take;
        if (s->n_pending == s->per_chunk) {
            status = write_rows(w, s, s->pending, s->n_pending);
            s->n_pending = 0;
        }
    }
    return status;
}

/* Attributes -------------------------------------------------------------------------------------
 */

/* Lock held. n of 0 makes a scalar. */
static tdm_status write_attr(tdm__h5_writer *w, size_t set, const char *name, hid_t type, size_t n,
                             const void *value)
{
    hid_t object = set == TDM__H5_FILE ? w->file : w->sets[set].id;
    hsize_t dims[1] = {n};
    hid_t space = n ? H5Screate_simple(1, dims, NULL) : H5Screate(H5S_SCALAR), attr = -1;
    tdm_status status = TDM_OK;
    if (space < 0 || (attr = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT)) < 0 ||
        H5Awrite(attr, type, value) < 0)
        status = tdm__h5_fail(TDM_ERR_IO, "%s: attribute %s", w->atomic.path, name);
    if (attr >= 0) H5Aclose(attr);
    if (space >= 0) H5Sclose(space);
    return status;
}

/* Texts of a fixed length: HDF5 1.10 trusts the heap that texts of variable length live in, so a
 * damaged file would crash its reader. n of 0: one text, a scalar. */
static tdm_status write_text_attr(tdm__h5_writer *w, size_t set, const char *name, size_t n,
                                  const char *const *texts)
{
    size_t count = n ? n : 1, size = 1;
    char *packed = NULL;
    for (size_t i = 0; i < count; i++)
        if (strlen(texts[i]) + 1 > size) size = strlen(texts[i]) + 1;
    tdm_status status = tdm__calloc_try(count, size, &packed);
    if (status) return status;
    for (size_t i = 0; i < count; i++) memcpy(packed + i * size, texts[i], strlen(texts[i]));
    tdm__h5_lock();
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, size);
    H5Tset_cset(type, H5T_CSET_UTF8);
    status = write_attr(w, set, name, type, n, packed);
    H5Tclose(type);
    tdm__h5_unlock();
    free(packed);
    return status;
}

tdm_status tdm__h5_writer_texts(tdm__h5_writer *w, size_t set, const char *name,
                                const char *const *texts, size_t n)
{
    return n ? write_text_attr(w, set, name, n, texts) : TDM_OK;
}

tdm_status tdm__h5_writer_text(tdm__h5_writer *w, size_t set, const char *name, const char *text)
{
    return write_text_attr(w, set, name, 0, &text);
}

tdm_status tdm__h5_writer_number(tdm__h5_writer *w, size_t set, const char *name, double value)
{
    tdm__h5_lock();
    tdm_status status = write_attr(w, set, name, H5T_NATIVE_DOUBLE, 0, &value);
    tdm__h5_unlock();
    return status;
}

tdm_status tdm__h5_writer_numbers(tdm__h5_writer *w, size_t set, const char *name,
                                  const double *values, size_t n)
{
    if (!n) return TDM_OK;
    tdm__h5_lock();
    tdm_status status = write_attr(w, set, name, H5T_NATIVE_DOUBLE, n, values);
    tdm__h5_unlock();
    return status;
}

tdm_status tdm__h5_writer_i32s(tdm__h5_writer *w, size_t set, const char *name,
                               const int32_t *values, size_t n)
{
    if (!n) return TDM_OK;
    tdm__h5_lock();
    tdm_status status = write_attr(w, set, name, H5T_NATIVE_INT32, n, values);
    tdm__h5_unlock();
    return status;
}

/* Closing ----------------------------------------------------------------------------------------
 */

static tdm_status close_file(tdm__h5_writer *w)
{
    tdm_status status = TDM_OK;
    tdm__h5_lock();
    for (size_t i = 0; i < w->n_sets; i++) {
        writer_set *s = &w->sets[i];
        if (s->type >= 0) H5Tclose(s->type);
        if (s->id >= 0 && H5Dclose(s->id) < 0 && !status)
            status = tdm__h5_fail(TDM_ERR_IO, "%s: %s: cannot be written", w->atomic.path, s->name);
        s->id = s->type = -1;
    }
    if (w->file >= 0 && H5Fclose(w->file) < 0 && !status)
        status = tdm__h5_fail(TDM_ERR_IO, "%s: cannot be written", w->atomic.path);
    w->file = -1;
    tdm__h5_unlock();
    return status ? status : w->io.status;
}

tdm_status tdm__h5_writer_commit(tdm__h5_writer *w)
{
    tdm_status status = TDM_OK;
    for (size_t i = 0; i < w->n_sets && !status; i++) {
        status = write_rows(w, &w->sets[i], w->sets[i].pending, w->sets[i].n_pending);
        w->sets[i].n_pending = 0;
    }
    if (status) return status; /* destroy closes; the message stays */
    status = close_file(w);
    if (!status) status = tdm__atomic_commit(&w->atomic);
    return status;
}

void tdm__h5_writer_destroy(tdm__h5_writer **pointer)
{
    tdm__h5_writer *w = *pointer;
    if (!w) return;
    close_file(w);
    if (w->io.fd >= 0) close(w->io.fd);
    for (size_t i = 0; i < w->n_sets; i++) {
        free(w->sets[i].pending);
        free(w->sets[i].name);
    }
    tdm__atomic_abort(&w->atomic);
    free(w->sets);
    free(w);
    *pointer = NULL;
}
