/* data/reader_npy.c: a folder of .npy files, one sample each: 0.npy to n-1.npy.
 *
 * The names are checked when the folder is opened, the content of a file when it is read: it must
 * have the type and shape of 0.npy. Nothing is kept open, so any number of threads may read. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "data/reader.h"
#include "format/npy.h"

typedef struct npy_reader {
    tdm__reader base;
    char *folder;
    tdm__npy first; /* what 0.npy is */
} npy_reader;

typedef struct npy_cursor {
    const npy_reader *reader;
    tdm__npy_buffer buffer;
} npy_cursor;

static bool is_npy_name(const char *name)
{
    return name[0] != '.' && tdm__ends_with(name, ".npy");
}

bool tdm__holds_npy(const char *folder)
{
    char **names = NULL;
    size_t n = 0;
    bool holds = false;
    if (!tdm__is_folder(folder) || tdm__list_folder(folder, &names, &n)) return false;
    for (size_t i = 0; i < n && !holds; i++) holds = is_npy_name(names[i]);
    tdm__names_free(names, n);
    return holds;
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool same_form(const tdm__npy *a, const tdm__npy *b)
{
    if (a->elem.kind != b->elem.kind || a->elem.size != b->elem.size || a->rank != b->rank)
        return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dims[i] != b->dims[i]) return false;
    return true;
}

static void form_text(const tdm__npy *npy, tdm__str *out)
{
    tdm__str_addf(out, "%s (", tdm__elem_name(npy->elem));
    for (int i = 0; i < npy->rank; i++)
        tdm__str_addf(out, "%s%llu", i ? ", " : "", (unsigned long long)npy->dims[i]);
    tdm__str_add(out, ")");
}

static tdm_status other_form(const char *path, const tdm__npy *npy, const tdm__npy *first)
{
    tdm__str have = {0}, want = {0};
    form_text(npy, &have);
    form_text(first, &want);
    tdm_status status = tdm__fail(TDM_ERR_DATA, "%s: holds %s, 0.npy beside it %s: must be equal",
                                  path, tdm__str_text(&have), tdm__str_text(&want));
    tdm__str_free(&have);
    tdm__str_free(&want);
    return status;
}

static tdm_status read_row(const npy_reader *r, tdm__npy_buffer *buffer, uint64_t row, tdm__to to,
                           void *out)
{
    tdm__str path = {0};
    tdm__npy npy;
    const void *elements = NULL;
    tdm_status status = TDM_OK;
    tdm__str_addf(&path, "%s/%llu.npy", r->folder, (unsigned long long)row);
    TDM_TRY(tdm__str_status(&path));
    TDM_TRY(tdm__npy_load(path.text, buffer, &npy, &elements));
    if (!same_form(&npy, &r->first)) {
        status = other_form(path.text, &npy, &r->first);
        goto done;
    }
    size_t n = (size_t)npy.count, ok = tdm__elem_convert(npy.elem, elements, n, to, out);
    if (ok < n)
        status = tdm__elem_bad_value(r->folder, tdm__path_base(path.text), row, npy.elem,
                                     (const uint8_t *)elements + ok * npy.elem.size, to);
done:
    tdm__str_free(&path);
    return status;
}

static tdm_status npy_read_rows(const tdm__reader *reader, const uint64_t *rows, size_t n,
                                tdm__to to, void *out)
{
    const npy_reader *r = (const npy_reader *)reader;
    const size_t row_bytes = (size_t)reader->row_elems * tdm__to_size(to, reader->elem);
    tdm__npy_buffer buffer = {0};
    tdm_status status = TDM_OK;
    for (size_t i = 0; i < n && !status; i++)
        status = read_row(r, &buffer, rows[i], to, (uint8_t *)out + i * row_bytes);
    tdm__npy_buffer_free(&buffer);
    return status;
}

static tdm_status npy_cursor_create(const tdm__reader *reader, void **out)
{
    npy_cursor *c = NULL;
    tdm_status status = tdm__calloc_try(1, sizeof *c, &c);
    if (c) c->reader = (const npy_reader *)reader;
    *out = c;
    return status;
}

static void npy_cursor_destroy(void *cursor)
{
    npy_cursor *c = cursor;
    if (c) tdm__npy_buffer_free(&c->buffer);
    free(c);
}

static tdm_status npy_cursor_read(void *cursor, uint64_t row, tdm__to to, void *out)
{
    npy_cursor *c = cursor;
    return read_row(c->reader, &c->buffer, row, to, out);
}

static void npy_destroy(tdm__reader *reader)
{
    free(((npy_reader *)reader)->folder);
}

/* ---- opening --------------------------------------------------------------------------------- */

static tdm_status gap(const char *folder, uint64_t n, uint64_t missing, const char *stray)
{
    return tdm__fail(TDM_ERR_DATA,
                     "%s: holds %llu .npy files, so they must be 0.npy to %llu.npy: %llu.npy is "
                     "missing%s%s",
                     folder, (unsigned long long)n, (unsigned long long)n - 1,
                     (unsigned long long)missing, stray ? ", but there is " : "",
                     stray ? stray : "");
}

/* "17.npy" -> 17, no leading zeros; UINT64_MAX: another name. */
static uint64_t index_of(const char *name)
{
    uint64_t index = 0;
    size_t digits = 0;
    for (; name[digits] >= '0' && name[digits] <= '9' && digits < 18; digits++)
        index = index * 10 + (uint64_t)(name[digits] - '0');
    bool ok = digits && !strcmp(name + digits, ".npy") && (name[0] != '0' || digits == 1);
    return ok ? index : UINT64_MAX;
}

/* *count: how many samples there are; they must be numbered without a gap. */
static tdm_status count_files(const char *folder, uint64_t *count)
{
    char **names = NULL;
    const char *stray = NULL;
    bool *there = NULL;
    size_t n = 0;
    uint64_t files = 0;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__list_folder(folder, &names, &n));
    for (size_t i = 0; i < n; i++) files += is_npy_name(names[i]);
    TDM_TRY(tdm__calloc_try((size_t)files, sizeof *there, &there));
    for (size_t i = 0; i < n; i++) {
        if (!is_npy_name(names[i])) continue;
        uint64_t index = index_of(names[i]);
        if (index < files)
            there[index] = true;
        else if (!stray)
            stray = names[i];
    }
    *count = files;
    for (uint64_t i = 0; i < files && !status; i++)
        if (!there[i]) status = gap(folder, files, i, stray);
done:
    free(there);
    tdm__names_free(names, n);
    return status;
}

static tdm_status peek_first(npy_reader *r)
{
    char *path = NULL;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__path_join(r->folder, "0.npy", &path));
    TDM_TRY(tdm__npy_peek(path, &r->first));
    if (r->first.rank >= TDM__H5_RANK)
        status = tdm__fail(TDM_ERR_DATA, "%s: a sample of %d dimensions: at most %d are supported",
                           path, r->first.rank, TDM__H5_RANK - 1);
done:
    free(path);
    return status;
}

static const tdm__reader_ops npy_ops = {
    .destroy = npy_destroy,
    .read_rows = npy_read_rows,
    .cursor_create = npy_cursor_create,
    .cursor_destroy = npy_cursor_destroy,
    .cursor_read = npy_cursor_read,
};

tdm_status tdm__reader_npy(const char *folder, tdm__reader **out)
{
    npy_reader *r = NULL;
    tdm__reader *base = NULL;
    tdm_status status = TDM_OK;
    *out = NULL;
    TDM_TRY(tdm__calloc_try(1, sizeof *r, &r));
    base = &r->base;
    base->ops = &npy_ops;
    r->folder = tdm__strdup(folder);
    if (!r->folder) {
        status = tdm__fail(TDM_ERR_NOMEM, "%s: out of memory", folder);
        goto done;
    }
    TDM_TRY(count_files(folder, &base->rows));
    TDM_TRY(peek_first(r));
    base->path = base->title = r->folder;
    base->elem = r->first.elem;
    base->rank = r->first.rank + 1;
    base->dims[0] = base->rows;
    for (int i = 0; i < r->first.rank; i++) base->dims[i + 1] = r->first.dims[i];
    base->row_elems = r->first.count;
    base->row_bytes = r->first.count * r->first.elem.size;
    base->amplification = 1;
    base->parallel = true;
    *out = base;
    base = NULL;
done:
    tdm__reader_destroy(&base);
    return status;
}
