/* Writing safetensors. The data part holds the widest elements first (declared order within a
 * width), so that every tensor is aligned to its own element size: PyTorch's loader maps the file
 * and views it in place. The data still arrives in declared order; the writer seeks. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "format/json.h"
#include "format/safetensors.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "the data is written as it lies in memory");

typedef struct declared {
    char *name;
    tdm__elem elem;
    int rank;
    uint64_t dims[TDM__ST_RANK];
    uint64_t offset, size;
} declared;

struct tdm__st_writer {
    tdm__atomic atomic;
    declared *tensors;
    size_t n_tensors, capacity;
    tdm__json metadata; /* an open object */
    bool has_metadata, started;
    uint64_t data_start;
    size_t current; /* tensor being written */
    uint64_t done;  /* bytes of it */
};

tdm_status tdm__st_writer_create(const char *path, tdm__st_writer **out)
{
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__calloc_try(1, sizeof **out, out));
    TDM_TRY(tdm__atomic_begin(&(*out)->atomic, path));
    tdm__json_open(&(*out)->metadata, '{');
done:
    if (status) tdm__st_writer_destroy(out);
    return status;
}

void tdm__st_writer_destroy(tdm__st_writer **pointer)
{
    tdm__st_writer *w = *pointer;
    if (!w) return;
    tdm__atomic_abort(&w->atomic);
    for (size_t i = 0; i < w->n_tensors; i++) free(w->tensors[i].name);
    free(w->tensors);
    tdm__json_free(&w->metadata);
    free(w);
    *pointer = NULL;
}

static const char *dtype_name(tdm__elem elem)
{
    static const char *const ints[2][9] = {{[1] = "U8", [2] = "U16", [4] = "U32", [8] = "U64"},
                                           {[1] = "I8", [2] = "I16", [4] = "I32", [8] = "I64"}};
    switch (elem.kind) {
    case TDM__ELEM_UINT:
        return ints[0][elem.size];
    case TDM__ELEM_INT:
        return ints[1][elem.size];
    case TDM__ELEM_FLOAT:
        return elem.size == 2 ? "F16" : elem.size == 4 ? "F32" : "F64";
    case TDM__ELEM_BF16:
        return "BF16";
    case TDM__ELEM_BOOL:
        return elem.size == 1 ? "BOOL" : NULL;
    }
    return NULL;
}

tdm_status tdm__st_writer_declare(tdm__st_writer *w, const char *name, tdm__elem elem, int rank,
                                  const uint64_t *dims)
{
    const char *path = w->atomic.path;
    if (w->started) return tdm__fail(TDM_ERR_STATE, "%s: %s is declared too late", path, name);
    if (!tdm__elem_valid(elem) || !dtype_name(elem) || rank < 0 || rank > TDM__ST_RANK)
        return tdm__fail(TDM_ERR_STATE, "%s: %s: not a type or rank that can be written", path,
                         name);
    if (!strcmp(name, "__metadata__"))
        return tdm__fail(TDM_ERR_STATE, "%s: a tensor cannot be called __metadata__", path);
    tdm_status status = tdm__grow(&w->tensors, &w->capacity, w->n_tensors + 1, sizeof *w->tensors);
    if (status) return status;
    declared t = {.elem = elem, .rank = rank, .size = elem.size};
    for (int i = 0; i < rank; i++) {
        t.dims[i] = dims[i];
        if (!tdm__mul_u64(t.size, dims[i], &t.size) || t.size > INT64_MAX / 2)
            return tdm__fail(TDM_ERR_STATE, "%s: %s is too large", path, name);
    }
    t.name = tdm__strdup(name);
    if (!t.name) return tdm__fail(TDM_ERR_NOMEM, "%s: out of memory", path);
    w->tensors[w->n_tensors++] = t;
    return TDM_OK;
}

tdm_status tdm__st_writer_metadata(tdm__st_writer *w, const char *key, const char *value)
{
    if (w->started)
        return tdm__fail(TDM_ERR_STATE, "%s: metadata %s comes too late", w->atomic.path, key);
    tdm__json_key(&w->metadata, key);
    tdm__json_string(&w->metadata, value);
    w->has_metadata = true;
    return TDM_OK;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static tdm_status check_names(const tdm__st_writer *w)
{
    const char **names = NULL;
    tdm_status status = tdm__calloc_try(w->n_tensors, sizeof *names, &names);
    if (status) return status;
    for (size_t i = 0; i < w->n_tensors; i++) names[i] = w->tensors[i].name;
    if (w->n_tensors) qsort(names, w->n_tensors, sizeof *names, compare_texts);
    for (size_t i = 1; i < w->n_tensors && !status; i++)
        if (!strcmp(names[i - 1], names[i]))
            status = tdm__fail(TDM_ERR_STATE, "%s: %s is declared twice", w->atomic.path, names[i]);
    free(names);
    return status;
}

static tdm_status place_tensors(tdm__st_writer *w)
{
    uint64_t at = 0;
    for (unsigned width = 8; width; width /= 2)
        for (size_t i = 0; i < w->n_tensors; i++) {
            declared *t = &w->tensors[i];
            if (t->elem.size != width) continue;
            t->offset = at;
            if (!tdm__add_u64(at, t->size, &at) || at > INT64_MAX / 2)
                return tdm__fail(TDM_ERR_STATE, "%s: too large", w->atomic.path);
        }
    return TDM_OK;
}

static void add_tensor(tdm__json *j, const declared *t)
{
    tdm__json_key(j, t->name);
    tdm__json_open(j, '{');
    tdm__json_key(j, "dtype");
    tdm__json_string(j, dtype_name(t->elem));
    tdm__json_key(j, "shape");
    tdm__json_open(j, '[');
    for (int d = 0; d < t->rank; d++) tdm__json_uint(j, t->dims[d]);
    tdm__json_close(j, ']');
    tdm__json_key(j, "data_offsets");
    tdm__json_open(j, '[');
    tdm__json_uint(j, t->offset);
    tdm__json_uint(j, t->offset + t->size);
    tdm__json_close(j, ']');
    tdm__json_close(j, '}');
}

/* Writes the header, padded with spaces so that the data part starts at a multiple of 8. */
static tdm_status start(tdm__st_writer *w)
{
    tdm__json j = {0};
    tdm_status status = TDM_OK;
    w->started = true;
    TDM_TRY(check_names(w));
    TDM_TRY(place_tensors(w));
    tdm__json_close(&w->metadata, '}');
    TDM_TRY(tdm__json_status(&w->metadata));
    tdm__json_open(&j, '{');
    if (w->has_metadata) {
        tdm__json_key(&j, "__metadata__");
        tdm__json_raw(&j, tdm__json_text(&w->metadata));
    }
    for (size_t i = 0; i < w->n_tensors; i++) add_tensor(&j, &w->tensors[i]);
    tdm__json_close(&j, '}');
    while (j.out.length % 8 && !j.out.failed) tdm__str_add(&j.out, " ");
    TDM_TRY(tdm__json_status(&j));
    uint64_t length = j.out.length;
    w->data_start = 8 + length;
    TDM_TRY(tdm__atomic_write(&w->atomic, &length, 8));
    TDM_TRY(tdm__atomic_write(&w->atomic, j.out.text, j.out.length));
done:
    tdm__json_free(&j);
    return status;
}

tdm_status tdm__st_writer_data(tdm__st_writer *w, const void *bytes, size_t size)
{
    const uint8_t *from = bytes;
    tdm_status status = TDM_OK;
    if (!w->started) TDM_TRY(start(w));
    while (size) {
        while (w->current < w->n_tensors && w->done == w->tensors[w->current].size) {
            w->current++;
            w->done = 0;
        }
        if (w->current == w->n_tensors)
            return tdm__fail(TDM_ERR_STATE, "%s: more data than was declared", w->atomic.path);
        const declared *t = &w->tensors[w->current];
        uint64_t left = t->size - w->done;
        size_t part = size < left ? size : (size_t)left;
        off_t at = (off_t)(w->data_start + t->offset + w->done);
        if (!w->done && fseeko(w->atomic.file, at, SEEK_SET))
            return tdm__fail_errno(TDM_ERR_IO, "%s: %s: cannot be written", w->atomic.path,
                                   t->name);
        TDM_TRY(tdm__atomic_write(&w->atomic, from, part));
        w->done += part;
        from += part;
        size -= part;
    }
done:
    return status;
}

tdm_status tdm__st_writer_commit(tdm__st_writer *w)
{
    tdm_status status = TDM_OK;
    if (!w->started) TDM_TRY(start(w));
    for (; w->current < w->n_tensors; w->current++, w->done = 0)
        if (w->done != w->tensors[w->current].size)
            return tdm__fail(TDM_ERR_STATE, "%s: %s: %llu of %llu bytes were given", w->atomic.path,
                             w->tensors[w->current].name, (unsigned long long)w->done,
                             (unsigned long long)w->tensors[w->current].size);
    TDM_TRY(tdm__atomic_commit(&w->atomic));
done:
    return status;
}
