/* .npy files. Input is hostile: the header is parsed as the small grammar that NumPy writes, never
 * evaluated, and its sizes are compared with the file's before anything is allocated for them. */
#include "format/npy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "format/pread.h"

#define MOST_BYTES ((uint64_t)4 << 30)
enum { PREAMBLE = 12, MOST_HEADER = 64 << 10 }; /* NumPy pads headers to a multiple of 64 bytes */

/* ---- the header's text ----------------------------------------------------------------------- */

typedef struct text {
    const char *at, *end;
    const char *name; /* of the file */
} text;

static void skip_space(text *t)
{
    while (t->at < t->end && (*t->at == ' ' || *t->at == '\n' || *t->at == '\t')) t->at++;
}

/* Takes the character c, after spaces. */
static bool take(text *t, char c)
{
    skip_space(t);
    if (t->at == t->end || *t->at != c) return false;
    t->at++;
    return true;
}

static bool take_word(text *t, const char *word)
{
    const size_t n = strlen(word);
    skip_space(t);
    if ((size_t)(t->end - t->at) < n || memcmp(t->at, word, n)) return false;
    t->at += n;
    return true;
}

/* A quoted string without escapes, of at most size - 1 characters. */
static bool take_string(text *t, char *out, size_t size)
{
    skip_space(t);
    if (t->at == t->end || (*t->at != '\'' && *t->at != '"')) return false;
    const char quote = *t->at++, *begin = t->at;
    while (t->at < t->end && *t->at != quote && *t->at != '\\') t->at++;
    const size_t n = (size_t)(t->at - begin);
    if (t->at == t->end || *t->at != quote || n >= size) return false;
    memcpy(out, begin, n);
    out[n] = 0;
    t->at++;
    return true;
}

static bool take_size(text *t, uint64_t *out)
{
    skip_space(t);
    const char *begin = t->at;
    *out = 0;
    for (; t->at < t->end && *t->at >= '0' && *t->at <= '9'; t->at++)
        if (!tdm__mul_u64(*out, 10, out) || !tdm__add_u64(*out, (uint64_t)(*t->at - '0'), out))
            return false;
    if (t->at == begin) return false;
    if (t->at < t->end && *t->at == 'L') t->at++; /* as Python 2 wrote long integers */
    return true;
}

static tdm_status damaged(const text *t, const char *what)
{
    return tdm__fail(TDM_ERR_DATA, "%s: the .npy header is damaged: %s", t->name, what);
}

/* '<f4': byte order (| where there is none), kind, bytes. */
static tdm_status parse_type(text *t, tdm__npy *out)
{
    static const char kinds[] = "uifb";
    static const tdm__elem_kind elem_kinds[] = {TDM__ELEM_UINT, TDM__ELEM_INT, TDM__ELEM_FLOAT,
                                                TDM__ELEM_BOOL};
    char type[32];
    if (take(t, '['))
        return tdm__fail(TDM_ERR_DATA, "%s: holds records: must hold plain numbers", t->name);
    if (!take_string(t, type, sizeof type)) return damaged(t, "'descr' is no type");
    const char *kind = type[0] ? strchr(kinds, type[1]) : NULL;
    bool ok =
        kind && *kind && strchr("<>|=", type[0]) && type[2] >= '1' && type[2] <= '8' && !type[3];
    if (ok) {
        out->elem = tdm__elem_host(elem_kinds[kind - kinds], (unsigned)(type[2] - '0'));
        if (type[0] == '<') out->elem.big_endian = false;
        if (type[0] == '>') out->elem.big_endian = true;
    }
    if (ok && tdm__elem_valid(out->elem)) return TDM_OK;
    return tdm__hint(
        tdm__fail(TDM_ERR_DATA, "%s: elements of type '%s' are not supported", t->name, type),
        "must be integers, floats of 16, 32 or 64 bits, or bools");
}

static tdm_status parse_order(text *t, tdm__npy *out)
{
    out->fortran = take_word(t, "True");
    if (!out->fortran && !take_word(t, "False"))
        return damaged(t, "'fortran_order' is neither True nor False");
    return TDM_OK;
}

static tdm_status parse_shape(text *t, tdm__npy *out)
{
    bool comma = true;
    if (!take(t, '(')) return damaged(t, "'shape' is no tuple");
    while (!take(t, ')')) {
        uint64_t size = 0;
        if (!comma || !take_size(t, &size)) return damaged(t, "'shape' is no tuple of sizes");
        if (out->rank == TDM__NPY_RANK)
            return tdm__fail(TDM_ERR_DATA, "%s: has more than %d dimensions", t->name,
                             TDM__NPY_RANK);
        out->dims[out->rank++] = size;
        comma = take(t, ',');
    }
    out->count = 1;
    for (int i = 0; i < out->rank; i++)
        if (!tdm__mul_u64(out->count, out->dims[i], &out->count))
            return damaged(t, "the sizes in 'shape' overflow");
    return TDM_OK;
}

/* {'descr': ..., 'fortran_order': ..., 'shape': ...}: each key once, in any order. */
static tdm_status parse_dict(text *t, tdm__npy *out)
{
    static const struct {
        const char *key;
        tdm_status (*parse)(text *t, tdm__npy *out);
    } fields[] = {{"descr", parse_type}, {"fortran_order", parse_order}, {"shape", parse_shape}};
    unsigned seen = 0;
    bool comma = true;
    if (!take(t, '{')) return damaged(t, "it is no dict");
    while (!take(t, '}')) {
        char key[16];
        size_t f = 0;
        if (!comma || !take_string(t, key, sizeof key) || !take(t, ':'))
            return damaged(t, "a key is missing");
        while (f < 3 && strcmp(key, fields[f].key)) f++;
        if (f == 3 || seen & 1u << f) return damaged(t, "an unknown or repeated key");
        seen |= 1u << f;
        tdm_status status = fields[f].parse(t, out);
        if (status) return status;
        comma = take(t, ',');
    }
    skip_space(t);
    if (seen != 7) return damaged(t, "it lacks 'descr', 'fortran_order' or 'shape'");
    return t->at == t->end ? TDM_OK : damaged(t, "something follows the dict");
}

/* ---- the file -------------------------------------------------------------------------------- */

tdm_status tdm__npy_parse(const void *bytes, size_t size, uint64_t total, const char *name,
                          tdm__npy *out)
{
    const uint8_t *p = bytes;
    *out = (tdm__npy){0};
    if (size < 10 || memcmp(p, "\x93NUMPY", 6))
        return tdm__fail(TDM_ERR_DATA, "%s: not a .npy file", name);
    if (p[6] < 1 || p[6] > 3)
        return tdm__fail(TDM_ERR_DATA, "%s: .npy of version %u.%u: must be 1, 2 or 3", name, p[6],
                         p[7]);
    size_t start = p[6] == 1 ? 10 : 12, length = p[8] | (size_t)p[9] << 8;
    if (p[6] > 1 && size >= start) length |= (size_t)p[10] << 16 | (size_t)p[11] << 24;
    if (size < start || length > size - start)
        return tdm__fail(TDM_ERR_DATA, "%s: the .npy header is truncated or over %d bytes", name,
                         MOST_HEADER);
    text t = {(const char *)p + start, (const char *)p + start + length, name};
    tdm_status status = parse_dict(&t, out);
    if (status) return status;
    out->data = start + length;
    uint64_t need = 0;
    if (!tdm__mul_u64(out->count, out->elem.size, &need) || need != total - out->data)
        return tdm__fail(TDM_ERR_DATA,
                         "%s: the header announces %llu elements of %u bytes, the file holds %llu "
                         "bytes",
                         name, (unsigned long long)out->count, out->elem.size,
                         (unsigned long long)(total - out->data));
    return TDM_OK;
}

/* *total: the file's size. */
static tdm_status open_file(const char *path, int *fd, uint64_t *total)
{
    struct stat st;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not hang */
    if (*fd < 0) return tdm__fail_errno(TDM_ERR_DATA, "%s: cannot be opened", path);
    if (fstat(*fd, &st)) return tdm__fail_errno(TDM_ERR_DATA, "%s", path);
    if (!S_ISREG(st.st_mode)) return tdm__fail(TDM_ERR_DATA, "%s: is not a file", path);
    *total = (uint64_t)st.st_size;
    return TDM_OK;
}

tdm_status tdm__npy_peek(const char *path, tdm__npy *out)
{
    uint8_t *head = NULL;
    int fd = -1;
    uint64_t total = 0;
    tdm_status status = TDM_OK;
    *out = (tdm__npy){0};
    TDM_TRY(open_file(path, &fd, &total));
    size_t size = total < PREAMBLE + MOST_HEADER ? (size_t)total : PREAMBLE + MOST_HEADER;
    TDM_TRY(tdm__calloc_try(size, 1, &head));
    TDM_TRY(tdm__pread_all(fd, 0, head, size, path));
    status = tdm__npy_parse(head, size, total, path, out);
done:
    if (fd >= 0) close(fd);
    free(head);
    return status;
}

/* Elements of npy in C order into `to`: position (i0, i1, ...) lies at i0 + d0 (i1 + d1 (...)). */
static void turn(const tdm__npy *npy, const uint8_t *from, uint8_t *to)
{
    uint64_t index[TDM__NPY_RANK] = {0}, stride[TDM__NPY_RANK], step = 1, at = 0;
    const size_t bytes = npy->elem.size;
    for (int d = 0; d < npy->rank; step *= npy->dims[d++]) stride[d] = step;
    for (uint64_t i = 0; i < npy->count; i++) {
        memcpy(to + i * bytes, from + at * bytes, bytes);
        for (int d = npy->rank - 1; d >= 0; d--) {
            at += stride[d];
            if (++index[d] < npy->dims[d]) break;
            at -= stride[d] * npy->dims[d];
            index[d] = 0;
        }
    }
}

tdm_status tdm__npy_load_bytes(const void *bytes, size_t size, const char *name, tdm__npy_buffer *b,
                               tdm__npy *out, const void **elements)
{
    tdm_status status = tdm__npy_parse(bytes, size, size, name, out);
    if (status) return status;
    *elements = (const uint8_t *)bytes + out->data;
    if (!out->fortran || out->rank < 2) return TDM_OK;
    status = tdm__grow(&b->turned, &b->turned_capacity, size - out->data, 1);
    if (status) return status;
    turn(out, *elements, b->turned);
    *elements = b->turned;
    return TDM_OK;
}

tdm_status tdm__npy_load(const char *path, tdm__npy_buffer *b, tdm__npy *out, const void **elements)
{
    int fd = -1;
    uint64_t total = 0;
    tdm_status status = TDM_OK;
    TDM_TRY(open_file(path, &fd, &total));
    if (total > MOST_BYTES) {
        status = tdm__fail(TDM_ERR_DATA, "%s: larger than 4 GiB", path);
        goto done;
    }
    TDM_TRY(tdm__grow(&b->bytes, &b->capacity, (size_t)total, 1));
    TDM_TRY(tdm__pread_all(fd, 0, b->bytes, (size_t)total, path));
    status = tdm__npy_load_bytes(b->bytes, (size_t)total, path, b, out, elements);
done:
    if (fd >= 0) close(fd);
    return status;
}

void tdm__npy_buffer_free(tdm__npy_buffer *b)
{
    free(b->bytes);
    free(b->turned);
    *b = (tdm__npy_buffer){0};
}
