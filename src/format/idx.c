/* IDX files, plain or gzip. Input is hostile: the header's sizes are multiplied with checks and
 * compared with the content before anything is trusted. */
#include "format/idx.h"

#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"

#define MOST_BYTES ((size_t)4 << 30)

static bool is_gzip(const uint8_t *p, size_t n)
{
    return n >= 18 && p[0] == 0x1f && p[1] == 0x8b;
}

/* The gzip trailer holds the content's size, which must come out exactly; one member only. */
static tdm_status inflate(const uint8_t *p, size_t n, size_t limit, const char *name, uint8_t **out,
                          size_t *size)
{
    tdm_status status = TDM_OK;
    struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
    uint8_t *bytes = NULL;
    size_t used = 0;
    if (!d) return tdm__fail(TDM_ERR_NOMEM, "%s: out of memory for inflating", name);
    size_t room =
        (size_t)p[n - 4] | (size_t)p[n - 3] << 8 | (size_t)p[n - 2] << 16 | (size_t)p[n - 1] << 24;
    if (room > limit) {
        status = tdm__fail(TDM_ERR_DATA, "%s: inflates to more than %zu bytes", name, limit);
        goto done;
    }
    /* Deflate shrinks at most 1032-fold: a larger claim is a lie. */
    if (room / 1032 > n) {
        status = tdm__fail(TDM_ERR_DATA, "%s: damaged gzip data", name);
        goto done;
    }
    TDM_TRY(tdm__calloc_try(room ? room : 1, 1, &bytes));
    enum libdeflate_result r = libdeflate_gzip_decompress_ex(d, p, n, bytes, room, &used, size);
    if (r != LIBDEFLATE_SUCCESS || used != n) {
        status = tdm__fail(TDM_ERR_DATA, "%s: truncated or damaged gzip data", name);
        goto done;
    }
    *out = bytes;
    bytes = NULL;
done:
    free(bytes);
    libdeflate_free_decompressor(d);
    return status;
}

static bool elem_of_code(uint8_t code, tdm__elem *elem)
{
    static const struct {
        uint8_t code;
        tdm__elem elem;
    } types[] = {{0x08, {TDM__ELEM_UINT, 1, true}},  {0x09, {TDM__ELEM_INT, 1, true}},
                 {0x0b, {TDM__ELEM_INT, 2, true}},   {0x0c, {TDM__ELEM_INT, 4, true}},
                 {0x0d, {TDM__ELEM_FLOAT, 4, true}}, {0x0e, {TDM__ELEM_FLOAT, 8, true}}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].code == code) {
            *elem = types[i].elem;
            return true;
        }
    return false;
}

static tdm_status parse_header(const uint8_t *p, size_t size, const char *name, tdm__idx *out)
{
    if (size < 4 || p[0] || p[1] || !elem_of_code(p[2], &out->elem))
        return tdm__fail(TDM_ERR_DATA, "%s: not an IDX file", name);
    if (p[3] < 1 || p[3] > TDM__IDX_RANK)
        return tdm__fail(TDM_ERR_DATA, "%s: has %d dimensions: must have 1 to %d", name, p[3],
                         TDM__IDX_RANK);
    out->rank = p[3];
    size_t header = 4 + 4 * (size_t)out->rank;
    if (size < header) return tdm__fail(TDM_ERR_DATA, "%s: the header is truncated", name);
    out->count = 1;
    bool fits = true;
    for (int i = 0; i < out->rank; i++) {
        const uint8_t *d = p + 4 + 4 * i;
        out->dims[i] = (uint32_t)d[0] << 24 | (uint32_t)d[1] << 16 | (uint32_t)d[2] << 8 | d[3];
        fits = fits && tdm__mul_u64(out->count, out->dims[i], &out->count);
    }
    uint64_t bytes = 0;
    fits = fits && tdm__mul_u64(out->count, out->elem.size, &bytes);
    if (!fits || bytes != size - header)
        return tdm__fail(
            TDM_ERR_DATA,
            "%s: the header announces %llu elements of %u bytes, the file holds %zu bytes", name,
            (unsigned long long)out->count, out->elem.size, size - header);
    out->data = p + header;
    return TDM_OK;
}

tdm_status tdm__idx_parse(const void *bytes, size_t size, size_t limit, const char *name,
                          tdm__idx *out)
{
    *out = (tdm__idx){0};
    uint8_t *content = NULL;
    tdm_status status = TDM_OK;
    if (is_gzip(bytes, size)) {
        TDM_TRY(inflate(bytes, size, limit, name, &content, &size));
    } else {
        if (size > limit) return tdm__fail(TDM_ERR_DATA, "%s: larger than %zu bytes", name, limit);
        TDM_TRY(tdm__calloc_try(size ? size : 1, 1, &content));
        if (size) memcpy(content, bytes, size);
    }
    out->storage = content;
    status = parse_header(content, size, name, out);
done:
    if (status) tdm__idx_free(out);
    return status;
}

tdm_status tdm__idx_read(const char *path, tdm__idx *out)
{
    *out = (tdm__idx){0};
    uint8_t *bytes = NULL;
    size_t size = 0;
    tdm_status status = tdm__read_file(path, MOST_BYTES, &bytes, &size);
    if (status) return status;
    if (is_gzip(bytes, size)) {
        status = tdm__idx_parse(bytes, size, MOST_BYTES, path, out);
        free(bytes);
        return status;
    }
    out->storage = bytes; /* no copy */
    status = parse_header(bytes, size, path, out);
    if (status) tdm__idx_free(out);
    return status;
}

void tdm__idx_free(tdm__idx *idx)
{
    free(idx->storage);
    *idx = (tdm__idx){0};
}
