/* Reading safetensors. The header is hostile input: every number is range-checked, the tensors must
 * tile the data part exactly (no gap, no overlap), and only then is anything read. */
#include "format/safetensors.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "format/json.h"
#include "format/pread.h"

#define MOST_HEADER ((uint64_t)100 << 20) /* as in the reference implementation */
enum { STAGE = 1 << 16 };

typedef struct entry {
    char *key, *value;
} entry;

struct tdm__st {
    char *path;
    int fd;               /* -1: bytes */
    const uint8_t *bytes; /* the caller's */
    uint64_t data_start;
    tdm__st_tensor *tensors; /* names owned; in the order of their data */
    size_t n_tensors;
    const tdm__st_tensor **by_name;
    entry *metadata;
    size_t n_metadata;
};

/* Header
 * ------------------------------------------------------------------------------------------- */

static bool elem_of_name(const char *name, tdm__elem *elem)
{
    static const struct {
        const char *name;
        tdm__elem elem;
    } types[] = {
        {"F64", {TDM__ELEM_FLOAT, 8}}, {"F32", {TDM__ELEM_FLOAT, 4}}, {"F16", {TDM__ELEM_FLOAT, 2}},
        {"BF16", {TDM__ELEM_BF16, 2}}, {"I64", {TDM__ELEM_INT, 8}},   {"I32", {TDM__ELEM_INT, 4}},
        {"I16", {TDM__ELEM_INT, 2}},   {"I8", {TDM__ELEM_INT, 1}},    {"U64", {TDM__ELEM_UINT, 8}},
        {"U32", {TDM__ELEM_UINT, 4}},  {"U16", {TDM__ELEM_UINT, 2}},  {"U8", {TDM__ELEM_UINT, 1}},
        {"BOOL", {TDM__ELEM_BOOL, 1}}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (!strcmp(types[i].name, name)) {
            *elem = types[i].elem;
            return true;
        }
    return false;
}

static tdm_status parse_shape(const tdm__st *st, tdm__st_tensor *t, const json_t *shape)
{
    size_t rank = json_array_size(shape), i;
    const json_t *item;
    if (!json_is_array(shape) || rank > TDM__ST_RANK)
        return tdm__fail(TDM_ERR_DATA, "%s: %s: shape must be a list of at most %d sizes", st->path,
                         t->name, TDM__ST_RANK);
    t->rank = (int)rank;
    t->count = 1;
    json_array_foreach(shape, i, item)
    {
        json_int_t size = json_is_integer(item) ? json_integer_value(item) : -1;
        if (size < 0 || !tdm__mul_u64(t->count, (uint64_t)size, &t->count))
            return tdm__fail(TDM_ERR_DATA, "%s: %s: shape[%zu] is not a size", st->path, t->name,
                             i);
        t->dims[i] = (uint64_t)size;
    }
    return TDM_OK;
}

static tdm_status parse_tensor(const tdm__st *st, tdm__st_tensor *t, const json_t *item)
{
    const char *dtype = json_string_value(json_object_get(item, "dtype"));
    const json_t *offsets = json_object_get(item, "data_offsets");
    if (!dtype || !elem_of_name(dtype, &t->elem))
        return tdm__fail(TDM_ERR_DATA, "%s: %s: dtype %s is not supported", st->path, t->name,
                         dtype ? dtype : "(none)");
    tdm_status status = parse_shape(st, t, json_object_get(item, "shape"));
    if (status) return status;
    const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end) ||
        json_integer_value(begin) < 0 || json_integer_value(end) < json_integer_value(begin))
        return tdm__fail(TDM_ERR_DATA, "%s: %s: data_offsets must be [begin, end]", st->path,
                         t->name);
    t->offset = (uint64_t)json_integer_value(begin);
    t->size = (uint64_t)(json_integer_value(end) - json_integer_value(begin));
    uint64_t needed;
    if (!tdm__mul_u64(t->count, t->elem.size, &needed) || needed != t->size)
        return tdm__fail(TDM_ERR_DATA, "%s: %s: %llu elements of %u bytes do not fill %llu bytes",
                         st->path, t->name, (unsigned long long)t->count, t->elem.size,
                         (unsigned long long)t->size);
    return TDM_OK;
}

static tdm_status parse_metadata(tdm__st *st, json_t *object)
{
    if (!json_is_object(object))
        return tdm__fail(TDM_ERR_DATA, "%s: __metadata__ must be an object", st->path);
    const char *key;
    json_t *value;
    tdm_status status = tdm__calloc_try(json_object_size(object), sizeof(entry), &st->metadata);
    if (status) return status;
    json_object_foreach(object, key, value)
    {
        if (!json_is_string(value))
            return tdm__fail(TDM_ERR_DATA, "%s: __metadata__: %s must be a string", st->path, key);
        entry *e = &st->metadata[st->n_metadata++];
        e->key = tdm__strdup(key);
        e->value = tdm__strdup(json_string_value(value));
        if (!e->key || !e->value) return tdm__fail(TDM_ERR_NOMEM, "%s: out of memory", st->path);
    }
    return TDM_OK;
}

static int compare_places(const void *a, const void *b)
{
    const tdm__st_tensor *s = a, *t = b;
    if (s->offset != t->offset) return s->offset < t->offset ? -1 : 1;
    if (s->size != t->size) return s->size < t->size ? -1 : 1; /* empty ones first */
    return strcmp(s->name, t->name);
}

static int compare_names(const void *a, const void *b)
{
    const tdm__st_tensor *const *s = a, *const *t = b;
    return strcmp((*s)->name, (*t)->name);
}

/* The tensors must follow each other without gap or overlap and end where the file ends. */
static tdm_status check_places(tdm__st *st, uint64_t data_size)
{
    uint64_t at = 0;
    if (st->n_tensors) qsort(st->tensors, st->n_tensors, sizeof *st->tensors, compare_places);
    for (size_t i = 0; i < st->n_tensors; i++) {
        const tdm__st_tensor *t = &st->tensors[i];
        if (t->offset != at)
            return tdm__fail(TDM_ERR_DATA, "%s: %s: its data begins at %llu, must be at %llu (%s)",
                             st->path, t->name, (unsigned long long)t->offset,
                             (unsigned long long)at, t->offset < at ? "overlap" : "gap");
        at += t->size; /* no overflow: both are below 2^63 */
        if (at > data_size)
            return tdm__fail(TDM_ERR_DATA, "%s: %s: the file is truncated: %llu of %llu bytes",
                             st->path, t->name, (unsigned long long)data_size,
                             (unsigned long long)at);
    }
    if (at != data_size)
        return tdm__fail(TDM_ERR_DATA, "%s: %llu bytes follow the last tensor", st->path,
                         (unsigned long long)(data_size - at));
    return TDM_OK;
}

static tdm_status parse_header(tdm__st *st, const char *text, size_t size, uint64_t data_size)
{
    json_t *root = NULL;
    tdm_status status = tdm__json_parse(text, size, st->path, &root);
    if (status) return status;
    const char *key;
    json_t *value;
    if (!json_is_object(root)) {
        status = tdm__fail(TDM_ERR_DATA, "%s: the header must be a JSON object", st->path);
        goto done;
    }
    TDM_TRY(tdm__calloc_try(json_object_size(root), sizeof *st->tensors, &st->tensors));
    json_object_foreach(root, key, value)
    {
        if (!strcmp(key, "__metadata__")) {
            TDM_TRY(parse_metadata(st, value));
            continue;
        }
        tdm__st_tensor *t = &st->tensors[st->n_tensors++];
        t->name = tdm__strdup(key);
        if (!t->name) {
            status = tdm__fail(TDM_ERR_NOMEM, "%s: out of memory", st->path);
            goto done;
        }
        TDM_TRY(parse_tensor(st, t, value));
    }
    TDM_TRY(check_places(st, data_size));
    TDM_TRY(tdm__calloc_try(st->n_tensors, sizeof *st->by_name, &st->by_name));
    for (size_t i = 0; i < st->n_tensors; i++) st->by_name[i] = &st->tensors[i];
    if (st->n_tensors) qsort(st->by_name, st->n_tensors, sizeof *st->by_name, compare_names);
done:
    json_decref(root);
    return status;
}

/* Opening
 * ------------------------------------------------------------------------------------------ */

/* A PyTorch file is a zip or a pickle. Running a pickle is running its author's code: convert it
 * where PyTorch is at hand. */
static tdm_status not_safetensors(const char *path, const uint8_t *head, size_t n)
{
    bool zip = n >= 4 && !memcmp(head, "PK\3\4", 4);
    bool pickle = n >= 2 && head[0] == 0x80 && head[1] >= 2 && head[1] <= 5;
    if (!zip && !pickle) return tdm__fail(TDM_ERR_DATA, "%s: not a safetensors file", path);
    tdm_status status = tdm__fail(TDM_ERR_DATA, "%s: a PyTorch file (%s), not safetensors", path,
                                  zip ? "zip" : "pickle");
    const char *base = tdm__path_base(path), *dot = strrchr(base, '.');
    int stem = (int)(dot && dot > base ? dot - path : (ptrdiff_t)strlen(path));
    return tdm__hint(status,
                     "convert it with: python -c \"import torch,safetensors.torch as s; "
                     "s.save_file(torch.load('%s',map_location='cpu'),'%.*s.safetensors')\"",
                     path, stem, path);
}

static tdm_status fetch(const tdm__st *st, uint64_t at, void *out, size_t n)
{
    if (st->fd >= 0) return tdm__pread_all(st->fd, at, out, n, st->path);
    memcpy(out, st->bytes + at, n);
    return TDM_OK;
}

static tdm_status open_content(tdm__st *st, uint64_t size)
{
    uint8_t head[9] = {0};
    char *text = NULL;
    tdm_status status = TDM_OK;
    if (!size) return tdm__fail(TDM_ERR_DATA, "%s: the file is empty", st->path);
    size_t n = size < sizeof head ? (size_t)size : sizeof head;
    TDM_TRY(fetch(st, 0, head, n));
    uint64_t length = 0;
    for (int i = 7; i >= 0; i--) length = length << 8 | head[i];
    if (n < sizeof head || head[8] != '{' || length > MOST_HEADER) {
        status = not_safetensors(st->path, head, n);
        goto done;
    }
    if (length > size - 8) {
        status = tdm__fail(TDM_ERR_DATA, "%s: the file is truncated in its header", st->path);
        goto done;
    }
    TDM_TRY(tdm__calloc_try((size_t)length, 1, &text));
    TDM_TRY(fetch(st, 8, text, (size_t)length));
    st->data_start = 8 + length;
    TDM_TRY(parse_header(st, text, (size_t)length, size - st->data_start));
done:
    free(text);
    return status;
}

static tdm_status create(const char *path, tdm__st **out)
{
    tdm_status status = tdm__calloc_try(1, sizeof **out, out);
    if (status) return status;
    (*out)->fd = -1;
    (*out)->path = tdm__strdup(path);
    return (*out)->path ? TDM_OK : tdm__fail(TDM_ERR_NOMEM, "%s: out of memory", path);
}

tdm_status tdm__st_open(const char *path, tdm__st **out)
{
    struct stat file;
    tdm_status status = TDM_OK;
    TDM_TRY(create(path, out));
    (*out)->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not hang */
    if ((*out)->fd < 0 || fstat((*out)->fd, &file)) {
        status = tdm__fail_errno(TDM_ERR_DATA, "%s: cannot be opened", path);
        goto done;
    }
    if (!S_ISREG(file.st_mode)) {
        status = tdm__fail(TDM_ERR_DATA, "%s: must be a regular file", path);
        goto done;
    }
    TDM_TRY(open_content(*out, (uint64_t)file.st_size));
done:
    if (status) tdm__st_close(out);
    return status;
}

tdm_status tdm__st_open_bytes(const void *bytes, size_t size, const char *name, tdm__st **out)
{
    tdm_status status = create(name, out);
    if (!status) {
        (*out)->bytes = bytes;
        status = open_content(*out, size);
    }
    if (status) tdm__st_close(out);
    return status;
}

void tdm__st_close(tdm__st **pointer)
{
    tdm__st *st = *pointer;
    if (!st) return;
    for (size_t i = 0; i < st->n_tensors; i++) free((char *)st->tensors[i].name);
    for (size_t i = 0; i < st->n_metadata; i++) {
        free(st->metadata[i].key);
        free(st->metadata[i].value);
    }
    if (st->fd >= 0) close(st->fd);
    free(st->tensors);
    free(st->by_name);
    free(st->metadata);
    free(st->path);
    free(st);
    *pointer = NULL;
}

/* Access
 * ------------------------------------------------------------------------------------------- */

const char *tdm__st_path(const tdm__st *st)
{
    return st->path;
}

size_t tdm__st_count(const tdm__st *st)
{
    return st->n_tensors;
}

const tdm__st_tensor *tdm__st_at(const tdm__st *st, size_t i)
{
    return i < st->n_tensors ? &st->tensors[i] : NULL;
}

const tdm__st_tensor *tdm__st_find(const tdm__st *st, const char *name)
{
    tdm__st_tensor wanted = {.name = name};
    const tdm__st_tensor *key = &wanted;
    if (!st->n_tensors) return NULL;
    const tdm__st_tensor **found =
        bsearch(&key, st->by_name, st->n_tensors, sizeof *st->by_name, compare_names);
    return found ? *found : NULL;
}

const char *tdm__st_metadata(const tdm__st *st, const char *key)
{
    for (size_t i = 0; i < st->n_metadata; i++)
        if (!strcmp(st->metadata[i].key, key)) return st->metadata[i].value;
    return NULL;
}

size_t tdm__st_metadata_count(const tdm__st *st)
{
    return st->n_metadata;
}

void tdm__st_metadata_at(const tdm__st *st, size_t i, const char **key, const char **value)
{
    *key = st->metadata[i].key;
    *value = st->metadata[i].value;
}

static tdm_status convert(const tdm__st *st, const tdm__st_tensor *t, const void *from, size_t n,
                          tdm__to to, void *out)
{
    size_t ok = tdm__elem_convert(t->elem, from, n, to, out);
    if (ok == n) return TDM_OK;
    return tdm__fail(TDM_ERR_DATA, "%s: %s: value %g does not fit the integer type wanted",
                     st->path, t->name,
                     tdm__elem_value(t->elem, (const uint8_t *)from + ok * t->elem.size));
}

tdm_status tdm__st_read(const tdm__st *st, const tdm__st_tensor *t, uint64_t first, uint64_t n,
                        tdm__to to, void *out)
{
    if (first > t->count || n > t->count - first)
        return tdm__fail(TDM_ERR_STATE, "%s: %s: elements %llu + %llu of %llu", st->path, t->name,
                         (unsigned long long)first, (unsigned long long)n,
                         (unsigned long long)t->count);
    size_t size = t->elem.size, out_size = tdm__to_size(to, t->elem);
    uint64_t at = st->data_start + t->offset + first * size;
    if (st->fd < 0) return convert(st, t, st->bytes + at, (size_t)n, to, out);
    if (size == out_size) { /* straight into the result, converted in place */
        tdm_status status = fetch(st, at, out, (size_t)n * size);
        return status ? status : convert(st, t, out, (size_t)n, to, out);
    }
    uint8_t *stage = NULL, *dest = out;
    tdm_status status = tdm__aligned_try(STAGE, 1, &stage);
    while (n && !status) {
        size_t part = n < STAGE / size ? (size_t)n : STAGE / size;
        status = fetch(st, at, stage, part * size);
        if (!status) status = convert(st, t, stage, part, to, dest);
        at += part * size;
        dest += part * out_size;
        n -= part;
    }
    free(stage);
    return status;
}
