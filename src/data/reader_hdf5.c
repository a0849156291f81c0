/* data/reader_hdf5.c: rows of a data set in an HDF5 file. */
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "data/reader.h"

typedef struct hdf5_reader {
    tdm__reader base;
    tdm__h5 *file; /* not owned */
    size_t set;
    tdm__h5_raw *raw; /* NULL: through the library only */
    tdm__str title;
} hdf5_reader;

static void hdf5_destroy(tdm__reader *reader)
{
    hdf5_reader *r = (hdf5_reader *)reader;
    tdm__h5_raw_destroy(&r->raw);
    tdm__str_free(&r->title);
}

static tdm_status hdf5_read_rows(const tdm__reader *reader, const uint64_t *rows, size_t n,
                                 tdm__to to, void *out)
{
    const hdf5_reader *r = (const hdf5_reader *)reader;
    return tdm__h5_read_rows(r->file, r->set, rows, n, to, out);
}

static tdm_status hdf5_cursor_create(const tdm__reader *reader, void **out)
{
    tdm__h5_cursor *cursor = NULL;
    tdm_status status = tdm__h5_cursor_create(((const hdf5_reader *)reader)->raw, &cursor);
    *out = cursor;
    return status;
}

static void hdf5_cursor_destroy(void *cursor)
{
    tdm__h5_cursor *c = cursor;
    tdm__h5_cursor_destroy(&c);
}

static tdm_status hdf5_cursor_read(void *cursor, uint64_t row, tdm__to to, void *out)
{
    return tdm__h5_cursor_read(cursor, row, to, out);
}

static const tdm__h5_attr *hdf5_attr(const tdm__reader *reader, const char *name)
{
    const hdf5_reader *r = (const hdf5_reader *)reader;
    return tdm__h5_attr_of(r->file, r->set, name);
}

static const tdm__reader_ops hdf5_ops = {hdf5_destroy,        hdf5_read_rows,   hdf5_cursor_create,
                                         hdf5_cursor_destroy, hdf5_cursor_read, hdf5_attr};

tdm_status tdm__reader_hdf5(tdm__h5 *file, size_t set, tdm__reader **out)
{
    const tdm__h5_info *h5 = tdm__h5_info_at(file, set);
    const char *path = tdm__h5_path(file);
    tdm__reader *base = NULL;
    hdf5_reader *r = NULL;
    tdm_status status = TDM_OK;
    *out = NULL;
    if (h5->problem) return tdm__fail(TDM_ERR_DATA, "%s: %s: %s", path, h5->name, h5->problem);
    TDM_TRY(tdm__calloc_try(1, sizeof *r, &r));
    base = &r->base;
    r->file = file;
    r->set = set;
    tdm__str_addf(&r->title, "%s: %s", path, h5->name);
    *base = (tdm__reader){.ops = &hdf5_ops,
                          .path = path,
                          .title = tdm__str_text(&r->title),
                          .elem = h5->elem,
                          .rank = h5->rank,
                          .rows = h5->rows,
                          .row_elems = h5->row_elems,
                          .row_bytes = h5->row_bytes,
                          .amplification = h5->amplification,
                          .parallel = h5->raw,
                          .h5 = h5};
    TDM_TRY(tdm__str_status(&r->title));
    for (int i = 0; i < h5->rank; i++) base->dims[i] = h5->dims[i];
    if (h5->raw) TDM_TRY(tdm__h5_raw_create(file, set, &r->raw));
    *out = base;
    base = NULL;
done:
    tdm__reader_destroy(&base);
    return status;
}

void tdm__reader_destroy(tdm__reader **reader)
{
    if (!*reader) return;
    (*reader)->ops->destroy(*reader);
    free(*reader);
    *reader = NULL;
}
