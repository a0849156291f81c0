/* data/repack.c: see repack.h. */
#include "data/repack.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "data/dataset.h"

enum {
    FORMAT = 2,            /* of the copies; part of their hash */
    BLOCK_BYTES = 16 << 20 /* copied at a time, at least one row of chunks */
};

static bool is_expensive(const tdm_dataset *ds, size_t array)
{
    double ratio = tdm_dataset_array(ds, array)->amplification;
    return ratio > TDM__REPACK_RATIO &&
           ratio * (double)tdm__dataset_reader(ds, array)->row_bytes > TDM__REPACK_BYTES;
}

static tdm_status copy_path(const tdm_dataset *ds, char **out)
{
    tdm_status status = TDM_OK;
    tdm__hash *hash = NULL;
    char *folder = NULL, hex[TDM__HASH_HEX + 3];
    uint64_t format = FORMAT;
    *out = NULL;
    TDM_TRY(tdm__cache_folder("data", &folder));
    if (!folder) goto done;
    TDM_TRY(tdm__make_folders(folder));
    TDM_TRY(tdm__hash_create(&hash));
    tdm__hash_add(hash, &format, sizeof format);
    for (size_t i = 0; i < tdm_dataset_arrays(ds); i++) {
        const char *path = tdm__dataset_path(ds, i);
        char *full = realpath(path, NULL);
        struct stat st = {0};
        if (!full || stat(full, &st)) {
            free(full);
            status = tdm__fail_errno(TDM_ERR_IO, "%s", path);
            goto done;
        }
        int64_t facts[] = {st.st_size, st.st_mtim.tv_sec, st.st_mtim.tv_nsec};
        tdm__hash_add_text(hash, full);
        tdm__hash_add(hash, facts, sizeof facts);
        tdm__hash_add_text(hash, tdm_dataset_array(ds, i)->name);
        free(full);
    }
    tdm__hash_hex(hash, hex);
    snprintf(hex + TDM__HASH_HEX - 1, 4, ".h5");
    TDM_TRY(tdm__path_join(folder, hex, out));
done:
    tdm__hash_destroy(&hash);
    free(folder);
    return status;
}

static tdm_status describe(const tdm_dataset *ds, size_t array, tdm__h5_writer *w, size_t set)
{
    const tdm_array_info *info = tdm_dataset_array(ds, array);
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__h5_writer_text(w, set, "kind", tdm_array_kind_name(info->kind)));
    if (info->classes) TDM_TRY(tdm__h5_writer_number(w, set, "classes", (double)info->classes));
    if (info->class_names)
        TDM_TRY(tdm__h5_writer_texts(w, set, "class_names", info->class_names, info->classes));
    if (info->group) {
        TDM_TRY(tdm__h5_writer_text(w, set, "group", info->group));
        TDM_TRY(tdm__h5_writer_i32s(w, set, "group_of", info->group_of, info->classes));
    }
done:
    return status;
}

/* Rows in blocks of whole chunks, so that each is inflated once. Values are not checked here: a bad
 * one must fail in its batch, with or without the copy. */
static tdm_status copy_rows(const tdm_dataset *ds, size_t array, tdm__h5_writer *w, size_t set)
{
    const tdm__reader *reader = tdm__dataset_reader(ds, array);
    const tdm__h5_info *h5 = reader->h5;
    uint64_t length = tdm_dataset_length(ds), *rows = NULL, row_bytes = reader->row_bytes;
    uint64_t step = h5 && h5->layout == TDM__H5_CHUNKED ? h5->chunk[0] : 1;
    uint64_t block = step * row_bytes < BLOCK_BYTES ? BLOCK_BYTES / (step * row_bytes) : 1;
    void *values = NULL;
    tdm_status status = TDM_OK;
    block *= step;
    if (block > length) block = length;
    TDM_TRY(tdm__calloc_try(block, sizeof *rows, &rows));
    TDM_TRY(tdm__calloc_try(block, row_bytes, &values));
    for (uint64_t first = 0; first < length; first += block) {
        uint64_t n = length - first < block ? length - first : block;
        for (uint64_t i = 0; i < n; i++) rows[i] = first + i;
        TDM_TRY(tdm__dataset_read_unchecked(ds, array, rows, (size_t)n, TDM__TO_NATIVE, values));
        TDM_TRY(tdm__h5_writer_append(w, set, values, n));
    }
done:
    free(rows);
    free(values);
    return status;
}

static tdm_status copy_all(const tdm_dataset *ds, const char *path)
{
    tdm_status status = TDM_OK;
    tdm__h5_writer *w = NULL;
    TDM_TRY(tdm__h5_writer_create(path, &w));
    for (size_t i = 0; i < tdm_dataset_arrays(ds); i++) {
        const tdm_array_info *info = tdm_dataset_array(ds, i);
        const tdm__reader *reader = tdm__dataset_reader(ds, i);
        size_t set = 0;
        tdm__h5_spec spec = {.name = info->name,
                             .elem = tdm__elem_host(reader->elem.kind, reader->elem.size),
                             .rank = info->rank,
                             .deflate = tdm__h5_deflate_for(reader->row_bytes)};
        for (int d = 0; d < info->rank; d++) spec.dims[d] = info->dims[d];
        TDM_TRY(tdm__h5_writer_add(w, &spec, &set));
        TDM_TRY(describe(ds, i, w, set));
        TDM_TRY(copy_rows(ds, i, w, set));
    }
    TDM_TRY(tdm__h5_writer_commit(w));
done:
    tdm__h5_writer_destroy(&w);
    return status;
}

/* *out: the copy; NULL when there is no cache folder. */
static tdm_status open_copy(const tdm_dataset *ds, double ratio, tdm_dataset **out)
{
    tdm_status status = TDM_OK;
    char *path = NULL;
    *out = NULL;
    TDM_TRY(copy_path(ds, &path));
    if (!path) goto done;
    /* a copy that does not open is as good as none */
    if (tdm__path_exists(path) && tdm_dataset_open(path, NULL, out) == TDM_OK) goto done;
    tdm__log(TDM_LOG_INFO,
             "%s: its chunks cost %.0f times a sample to read one: copying it once to %s",
             tdm_dataset_name(ds), ratio, path);
    TDM_TRY(copy_all(ds, path));
    TDM_TRY(tdm_dataset_open(path, NULL, out));
done:
    free(path);
    return status;
}

tdm_status tdm__dataset_repack(tdm_dataset **dataset)
{
    tdm_dataset *copy = NULL;
    double ratio = 0;
    for (size_t i = 0; i < tdm_dataset_arrays(*dataset); i++) {
        double own = tdm_dataset_array(*dataset, i)->amplification;
        if (is_expensive(*dataset, i) && own > ratio) ratio = own;
    }
    if (ratio == 0) return TDM_OK;
    tdm_status status = open_copy(*dataset, ratio, &copy);
    if (status == TDM_ERR_NOMEM) return status;
    if (status) {
        tdm__log(TDM_LOG_WARN, "%s: is read as it is, slowly: %s", tdm_dataset_name(*dataset),
                 tdm_last_error());
        return TDM_OK;
    }
    if (!copy) return TDM_OK;
    tdm_dataset_destroy(dataset);
    *dataset = copy;
    return TDM_OK;
}
