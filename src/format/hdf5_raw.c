/* Reading HDF5 rows without the library: where every chunk lies is looked up once, under the lock;
 * then any number of cursors pread and decode on their own.
 *
 * A row of a chunked data set crosses `per_row` chunks, side by side along the axes after the
 * first. In each, the row is one contiguous "slab" (padding at the far edges included). A cursor
 * remembers the last decoded chunk of each of the per_row columns, so ascending rows decode a chunk
 * once. */
#include "format/hdf5_private.h"

#include <fcntl.h>
#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "format/pread.h"

/* Decoded chunks that one cursor may hold; above it only the last one is held. */
#define CURSOR_BYTES ((uint64_t)64 << 20)
#define CHUNK_BYTES_MAX ((uint64_t)1 << 32)

struct tdm__h5_raw {
    char *path, *name;
    int fd;
    tdm__h5_info info; /* name, problem and attrs are not used: the pointers are not ours */
    uint64_t address;  /* contiguous */
    bool allocated;    /* contiguous: false means all fill value */
    uint8_t *compact;  /* compact: all of it */
    uint8_t fill[8];   /* one element */
    uint64_t grid[TDM__H5_RANK]; /* chunks along each axis */
    uint64_t per_row;
    uint64_t slab_bytes; /* one row of one chunk */
    bool whole_row;      /* one chunk spans the row: its slab is the row */
    tdm__h5_coding coding;
    tdm__h5_chunk *table;
};

typedef struct column {
    uint8_t *decoded; /* a work buffer, or NULL */
    uint64_t block;   /* which chunk along the first axis; UINT64_MAX: none */
} column;

struct tdm__h5_cursor {
    const tdm__h5_raw *raw;
    struct libdeflate_decompressor *inflater;
    column *columns;
    uint64_t n_columns;      /* per_row, or 1 when that would hold too much */
    uint8_t *packed, *a, *b; /* one stored chunk; the two work buffers of decoding */
    size_t packed_room;
    uint8_t *slab; /* unfiltered chunks: one slab */
    uint8_t *row;  /* the row in the file's element type */
};

/* Making the plan (library lock held) ------------------------------------------------------------
 */

static tdm_status plan_fill(tdm__h5_raw *raw, const tdm__h5_set *set, hid_t plist)
{
    H5D_fill_value_t defined = H5D_FILL_VALUE_UNDEFINED;
    if (H5Pfill_value_defined(plist, &defined) >= 0 && defined == H5D_FILL_VALUE_USER_DEFINED &&
        H5Pget_fill_value(plist, set->mem_type, raw->fill) < 0)
        return tdm__h5_fail(TDM_ERR_DATA, "%s: %s: its fill value is damaged", raw->path,
                            raw->name);
    return TDM_OK;
}

static tdm_status plan_contiguous(tdm__h5_raw *raw, const tdm__h5_set *set)
{
    haddr_t address = H5Dget_offset(set->id);
    raw->allocated = address != HADDR_UNDEF;
    raw->address = raw->allocated ? address : 0;
    H5Eclear2(H5E_DEFAULT);
    return TDM_OK;
}

static tdm_status plan_compact(tdm__h5_raw *raw, const tdm__h5_set *set)
{
    uint64_t bytes;
    if (!tdm__mul_u64(raw->info.rows, raw->info.row_bytes, &bytes) || bytes > 1 << 20)
        return tdm__fail(TDM_ERR_DATA, "%s: %s: damaged compact data", raw->path, raw->name);
    tdm_status status = tdm__calloc_try(1, bytes, &raw->compact);
    if (!status && bytes &&
        H5Dread(set->id, set->mem_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, raw->compact) < 0)
        status = tdm__h5_fail(TDM_ERR_DATA, "%s: %s", raw->path, raw->name);
    return status;
}

/* Has the library look one chunk up and catches the read that would follow. Leaves *out when the
 * chunk was never written, or cannot be found. */
static tdm_status locate_chunk(tdm__h5_raw *raw, tdm__h5_io *io, const tdm__h5_set *set,
                               const hsize_t *at, tdm__h5_chunk *out)
{
    uint32_t mask = 0;
    uint8_t unread;
    io->captured = 0;
    io->capture = true;
    herr_t result = H5Dread_chunk(set->id, H5P_DEFAULT, at, &mask, &unread);
    io->capture = false;
    if (result < 0) H5Eclear2(H5E_DEFAULT);
    if (!io->captured) return TDM_OK;
    uint64_t size = io->captured_size, decoded = raw->coding.size;
    /* Deflate shrinks at most 1032-fold; a chunk that claims more would only cost memory. */
    if (result < 0 || io->captured != 1 || size > 2 * decoded + 4096 ||
        decoded > 1032 * (size + 4096))
        return tdm__fail(TDM_ERR_DATA, "%s: %s: a chunk of %llu bytes takes %llu in the file",
                         raw->path, raw->name, (unsigned long long)decoded,
                         (unsigned long long)size);
    *out = (tdm__h5_chunk){io->captured_at, (uint32_t)size, mask};
    return TDM_OK;
}

static tdm_status plan_table(tdm__h5_raw *raw, tdm__h5_io *io, const tdm__h5_set *set, uint64_t n)
{
    const tdm__h5_info *info = &raw->info;
    uint64_t found = 0;
    tdm_status status = tdm__calloc_try(n, sizeof *raw->table, &raw->table);
    for (uint64_t i = 0; i < n && !status; i++) {
        hsize_t at[TDM__H5_RANK];
        uint64_t rest = i;
        for (int d = info->rank - 1; d >= 0; d--) {
            at[d] = rest % raw->grid[d] * info->chunk[d];
            rest /= raw->grid[d];
        }
        status = locate_chunk(raw, io, set, at, &raw->table[i]);
        found += raw->table[i].size != 0;
    }
    H5garbage_collect(); /* free lists that looking so many chunks up has filled */
    if (status || found == n) return status;
    /* Some were not found: either they were never written, or the index is damaged. */
    hid_t space = H5Dget_space(set->id);
    hsize_t written = 0;
    herr_t result = H5Dget_num_chunks(set->id, space, &written);
    H5Sclose(space);
    if (result < 0 || written != found)
        return tdm__fail(TDM_ERR_DATA,
                         "%s: %s: its chunk index is damaged: %llu of %llu chunks found", raw->path,
                         raw->name, (unsigned long long)found, (unsigned long long)written);
    return TDM_OK;
}

static tdm_status plan_chunked(tdm__h5_raw *raw, tdm__h5_io *io, const tdm__h5_set *set)
{
    const tdm__h5_info *info = &raw->info;
    uint64_t n = 1, slab = info->elem.size, size;
    raw->per_row = 1;
    raw->whole_row = true;
    bool fits = true;
    for (int d = 0; d < info->rank; d++) {
        raw->grid[d] = info->dims[d] / info->chunk[d] + (info->dims[d] % info->chunk[d] != 0);
        fits = fits && tdm__mul_u64(n, raw->grid[d], &n);
        if (!d) continue;
        fits = fits && tdm__mul_u64(slab, info->chunk[d], &slab);
        raw->per_row *= raw->grid[d];
        raw->whole_row = raw->whole_row && info->chunk[d] == info->dims[d];
    }
    fits = fits && tdm__mul_u64(slab, info->chunk[0], &size);
    if (!fits || size >= CHUNK_BYTES_MAX || n > TDM__H5_TABLE_MAX)
        return tdm__fail(TDM_ERR_DATA, "%s: %s: damaged chunks", raw->path, raw->name);
    raw->slab_bytes = slab;
    raw->coding.size = (size_t)size;
    raw->coding.elem_size = info->elem.size;
    raw->coding.n_filters = info->n_filters;
    for (size_t i = 0; i < info->n_filters; i++) {
        raw->coding.filters[i] = info->filters[i].id;
        if (info->filters[i].id == 2 && info->filters[i].level > 0)
            raw->coding.elem_size = (size_t)info->filters[i].level;
    }
    return plan_table(raw, io, set, n);
}

static tdm_status plan(tdm__h5_raw *raw, tdm__h5_io *io, const tdm__h5_set *set)
{
    hid_t plist = H5Dget_create_plist(set->id);
    if (plist < 0) return tdm__h5_fail(TDM_ERR_DATA, "%s: %s", raw->path, raw->name);
    tdm_status status = plan_fill(raw, set, plist);
    H5Pclose(plist);
    if (status || !raw->info.row_elems) return status;
    switch (raw->info.layout) {
    case TDM__H5_COMPACT:
        return plan_compact(raw, set);
    case TDM__H5_CONTIGUOUS:
        return plan_contiguous(raw, set);
    default:
        return plan_chunked(raw, io, set);
    }
}

tdm_status tdm__h5_raw_create(tdm__h5 *file, size_t set_index, tdm__h5_raw **out)
{
    *out = NULL;
    const tdm__h5_set *set = &file->sets[set_index];
    const tdm__h5_info *info = &set->info;
    if (!info->raw)
        return tdm__fail(TDM_ERR_DATA, "%s: %s: %s", file->path, info->name,
                         info->problem ? info->problem : "can be read through the library only");
    tdm_status status = TDM_OK;
    tdm__h5_raw *raw = NULL;
    TDM_TRY(tdm__calloc_try(1, sizeof *raw, &raw));
    raw->fd = -1;
    raw->info = *info;
    raw->path = tdm__strdup(file->path);
    raw->name = tdm__strdup(info->name);
    if (!raw->path || !raw->name) {
        status = tdm__fail(TDM_ERR_NOMEM, "%s: out of memory", file->path);
        goto done;
    }
    raw->fd = fcntl(file->io.fd, F_DUPFD_CLOEXEC, 0);
    if (raw->fd < 0) {
        status = tdm__fail_errno(TDM_ERR_DATA, "%s", file->path);
        goto done;
    }
    tdm__h5_lock();
    status = plan(raw, &file->io, set);
    tdm__h5_unlock();
    if (status) goto done;
    *out = raw;
    raw = NULL;
done:
    tdm__h5_raw_destroy(&raw);
    return status;
}

void tdm__h5_raw_destroy(tdm__h5_raw **pointer)
{
    tdm__h5_raw *raw = *pointer;
    if (!raw) return;
    if (raw->fd >= 0) close(raw->fd);
    free(raw->compact);
    free(raw->table);
    free(raw->path);
    free(raw->name);
    free(raw);
    *pointer = NULL;
}

/* Reading ----------------------------------------------------------------------------------------
 */

tdm_status tdm__h5_cursor_create(const tdm__h5_raw *raw, tdm__h5_cursor **out)
{
    *out = NULL;
    tdm_status status = TDM_OK;
    tdm__h5_cursor *c = NULL;
    TDM_TRY(tdm__calloc_try(1, sizeof *c, &c));
    c->raw = raw;
    TDM_TRY(tdm__aligned_try(1, (size_t)raw->info.row_bytes, &c->row));
    if (raw->table && raw->coding.n_filters) {
        uint64_t bytes;
        bool fits = tdm__mul_u64(raw->per_row, raw->coding.size, &bytes) && bytes <= CURSOR_BYTES;
        c->n_columns = fits ? raw->per_row : 1;
        TDM_TRY(tdm__calloc_try(c->n_columns, sizeof *c->columns, &c->columns));
        for (uint64_t i = 0; i < c->n_columns; i++) c->columns[i].block = UINT64_MAX;
        TDM_TRY(tdm__aligned_try(1, tdm__h5_coding_room(&raw->coding), &c->a));
        TDM_TRY(tdm__aligned_try(1, tdm__h5_coding_room(&raw->coding), &c->b));
        c->inflater = libdeflate_alloc_decompressor();
        if (!c->inflater) {
            status = tdm__fail(TDM_ERR_NOMEM, "%s: out of memory for inflating", raw->path);
            goto done;
        }
    } else if (raw->table) {
        TDM_TRY(tdm__aligned_try(1, (size_t)raw->slab_bytes, &c->slab));
    }
    *out = c;
    c = NULL;
done:
    tdm__h5_cursor_destroy(&c);
    return status;
}

void tdm__h5_cursor_destroy(tdm__h5_cursor **pointer)
{
    tdm__h5_cursor *c = *pointer;
    if (!c) return;
    for (uint64_t i = 0; c->columns && i < c->n_columns; i++) free(c->columns[i].decoded);
    if (c->inflater) libdeflate_free_decompressor(c->inflater);
    free(c->columns);
    free(c->packed);
    free(c->a);
    free(c->b);
    free(c->slab);
    free(c->row);
    free(c);
    *pointer = NULL;
}

static tdm_status read_at(const tdm__h5_raw *raw, uint64_t at, void *out, size_t n)
{
    tdm_status status = tdm__pread_all(raw->fd, at, out, n, raw->path);
    return status ? tdm__context(status, "%s", raw->name) : TDM_OK;
}

static void fill_with(const tdm__h5_raw *raw, uint8_t *out, size_t bytes)
{
    unsigned size = raw->info.elem.size;
    for (size_t i = 0; i < bytes; i += size) memcpy(out + i, raw->fill, size);
}

/* The column takes over the work buffer that holds the chunk and gives its own for it: no copy. */
static void keep_decoded(tdm__h5_cursor *c, const void *decoded, column *col)
{
    uint8_t **buffer = decoded == c->a ? &c->a : decoded == c->b ? &c->b : NULL;
    if (!buffer) { /* stored as it is */
        memcpy(col->decoded, decoded, c->raw->coding.size);
        return;
    }
    uint8_t *mine = col->decoded;
    col->decoded = *buffer;
    *buffer = mine;
}

/* Decodes chunk `index` into the column and remembers it as `block`. */
static tdm_status decode_chunk(tdm__h5_cursor *c, uint64_t index, uint64_t block, column *col)
{
    const tdm__h5_raw *raw = c->raw;
    const tdm__h5_chunk *chunk = &raw->table[index];
    tdm_status status = TDM_OK;
    col->block = UINT64_MAX;
    if (!col->decoded)
        TDM_TRY(tdm__aligned_try(1, tdm__h5_coding_room(&raw->coding), &col->decoded));
    if (!chunk->size) {
        fill_with(raw, col->decoded, raw->coding.size);
    } else {
        TDM_TRY(tdm__grow(&c->packed, &c->packed_room, chunk->size, 1));
        TDM_TRY(read_at(raw, chunk->address, c->packed, chunk->size));
        const void *decoded = NULL;
        const char *wrong = tdm__h5_decode(&raw->coding, chunk->skipped, c->inflater, c->packed,
                                           chunk->size, c->a, c->b, &decoded);
        if (wrong) {
            status = tdm__fail(TDM_ERR_DATA, "%s: %s: chunk %llu: %s", raw->path, raw->name,
                               (unsigned long long)index, wrong);
            goto done;
        }
        keep_decoded(c, decoded, col);
    }
    col->block = block;
done:
    return status;
}

/* *out: the slab of `row` in the column-th chunk that the row crosses. */
static tdm_status find_slab(tdm__h5_cursor *c, uint64_t row, uint64_t column_index,
                            const uint8_t **out)
{
    const tdm__h5_raw *raw = c->raw;
    uint64_t block = row / raw->info.chunk[0], inside = row % raw->info.chunk[0];
    uint64_t index = block * raw->per_row + column_index;
    size_t bytes = (size_t)raw->slab_bytes;
    tdm_status status = TDM_OK;
    if (!raw->coding.n_filters) {
        const tdm__h5_chunk *chunk = &raw->table[index];
        if (!chunk->size)
            fill_with(raw, c->slab, bytes);
        else if (chunk->size != raw->coding.size)
            status = tdm__fail(TDM_ERR_DATA, "%s: %s: chunk %llu has the wrong size", raw->path,
                               raw->name, (unsigned long long)index);
        else
            status = read_at(raw, chunk->address + inside * bytes, c->slab, bytes);
        *out = c->slab;
        return status;
    }
    bool shared = c->n_columns < raw->per_row; /* one column for all: its tag is the chunk */
    column *col = &c->columns[shared ? 0 : column_index];
    uint64_t tag = shared ? index : block;
    if (col->block != tag) status = decode_chunk(c, index, tag, col);
    if (!status) *out = col->decoded + inside * bytes;
    return status;
}

/* Copies a slab to its place in the row, leaving out the padding. Axes 1..rank-1. */
static void place_slab(const tdm__h5_raw *raw, const uint8_t *slab, uint64_t column_index,
                       uint8_t *row)
{
    const tdm__h5_info *info = &raw->info;
    uint64_t origin[TDM__H5_RANK] = {0}, extent[TDM__H5_RANK] = {0}, at[TDM__H5_RANK] = {0};
    uint64_t rest = column_index;
    int last = info->rank - 1;
    for (int d = last; d >= 1; d--) {
        origin[d] = rest % raw->grid[d] * info->chunk[d];
        rest /= raw->grid[d];
        uint64_t left = info->dims[d] - origin[d];
        extent[d] = left < info->chunk[d] ? left : info->chunk[d];
    }
    size_t bytes = (size_t)extent[last] * info->elem.size;
    for (;;) {
        uint64_t from = 0, to = 0;
        for (int d = 1; d <= last; d++) {
            from = from * info->chunk[d] + at[d];
            to = to * info->dims[d] + origin[d] + at[d];
        }
        memcpy(row + to * info->elem.size, slab + from * info->elem.size, bytes);
        int d = last - 1;
        while (d >= 1 && ++at[d] == extent[d]) at[d--] = 0;
        if (d < 1) return;
    }
}

/* *out: the row's elements as stored, in the cursor's buffers. */
static tdm_status fetch_row(tdm__h5_cursor *c, uint64_t row, const uint8_t **out)
{
    const tdm__h5_raw *raw = c->raw;
    size_t bytes = (size_t)raw->info.row_bytes;
    tdm_status status = TDM_OK;
    *out = c->row;
    switch (raw->info.layout) {
    case TDM__H5_COMPACT:
        *out = raw->compact + row * bytes;
        return TDM_OK;
    case TDM__H5_CONTIGUOUS:
        if (raw->allocated) return read_at(raw, raw->address + row * bytes, c->row, bytes);
        fill_with(raw, c->row, bytes);
        return TDM_OK;
    default:
        if (raw->whole_row) return find_slab(c, row, 0, out);
        for (uint64_t k = 0; k < raw->per_row && !status; k++) {
            const uint8_t *slab = NULL;
            status = find_slab(c, row, k, &slab);
            if (!status) place_slab(raw, slab, k, c->row);
        }
        return status;
    }
}

tdm_status tdm__h5_cursor_read(tdm__h5_cursor *c, uint64_t row, tdm__to to, void *out)
{
    const tdm__h5_info *info = &c->raw->info;
    if (row >= info->rows)
        return tdm__fail(TDM_ERR_DATA, "%s: %s: row %llu does not exist: there are %llu",
                         c->raw->path, c->raw->name, (unsigned long long)row,
                         (unsigned long long)info->rows);
    if (!info->row_elems) return TDM_OK;
    const uint8_t *from = NULL;
    tdm_status status = fetch_row(c, row, &from);
    if (status) return status;
    size_t ok = tdm__elem_convert(info->elem, from, (size_t)info->row_elems, to, out);
    if (ok < info->row_elems)
        status = tdm__elem_bad_value(c->raw->path, c->raw->name, row, info->elem,
                                     from + ok * info->elem.size, to);
    return status;
}
