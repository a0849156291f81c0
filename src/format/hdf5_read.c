/* HDF5 files through the library: opening, listing, and reading rows.
 *
 * Invariant: an id held in a tdm__h5 is valid or -1; the infos never change after open. */
#include "format/hdf5_private.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

enum { MOST_LINKS = 65536, MOST_SETS = 4096, MOST_DEPTH = 8 };

static pthread_mutex_t library_lock = PTHREAD_MUTEX_INITIALIZER;
static H5E_auto2_t saved_printer; /* both guarded by library_lock */
static void *saved_printer_data;

void tdm__h5_lock(void)
{
    pthread_mutex_lock(&library_lock);
    H5Eget_auto2(H5E_DEFAULT, &saved_printer, &saved_printer_data);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

void tdm__h5_unlock(void)
{
    H5Eset_auto2(H5E_DEFAULT, saved_printer, saved_printer_data);
    pthread_mutex_unlock(&library_lock);
}

/* The walk goes from the innermost record outwards: the first one says what went wrong. */
static herr_t first_record(unsigned n, const H5E_error2_t *record, void *user)
{
    char *text = user;
    if (n == 0 && record->desc) snprintf(text, 256, "%s", record->desc);
    return 0;
}

tdm_status tdm__h5_fail(tdm_status status, const char *format, ...)
{
    char reason[256] = "", message[1024];
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, first_record, reason);
    H5Eclear2(H5E_DEFAULT);
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return tdm__fail(status, "%s: %s", message, reason[0] ? reason : "the HDF5 library failed");
}

/* Listing -------------------------------------------------------------------------------------- */

typedef struct listing {
    tdm__h5 *file;
    const char *prefix; /* "group/" */
    int depth;
    size_t *links;
    tdm_status status;
} listing;

static tdm_status add_set(tdm__h5 *file, hid_t id, const char *prefix, const char *name)
{
    if (file->n_sets == MOST_SETS) {
        H5Dclose(id);
        return tdm__fail(TDM_ERR_DATA, "%s: more than %d data sets", file->path, MOST_SETS);
    }
    tdm_status status =
        tdm__grow(&file->sets, &file->capacity, file->n_sets + 1, sizeof *file->sets);
    if (status) {
        H5Dclose(id);
        return status;
    }
    tdm__h5_set *set = &file->sets[file->n_sets++];
    set->id = id;
    set->mem_type = -1;
    tdm__str full = {0};
    tdm__str_addf(&full, "%s%s", prefix, name);
    TDM_TRY(tdm__str_status(&full));
    set->info.name = full.text;
    full.text = NULL;
    TDM_TRY(tdm__h5_describe(set));
done:
    tdm__str_free(&full);
    return status;
}

static herr_t visit_link(hid_t group, const char *name, const H5L_info_t *link, void *user);

static tdm_status list_group(tdm__h5 *file, hid_t group, const char *prefix, int depth,
                             size_t *links)
{
    listing l = {file, prefix, depth, links, TDM_OK};
    hsize_t at = 0;
    if (H5Literate(group, H5_INDEX_NAME, H5_ITER_INC, &at, visit_link, &l) < 0 && !l.status)
        l.status = tdm__h5_fail(TDM_ERR_DATA, "%s: /%s cannot be listed", file->path, prefix);
    return l.status;
}

static herr_t visit_link(hid_t group, const char *name, const H5L_info_t *link, void *user)
{
    listing *l = user;
    if (++*l->links > MOST_LINKS) {
        l->status = tdm__fail(TDM_ERR_DATA, "%s: more than %d links", l->file->path, MOST_LINKS);
        return -1;
    }
    if (link->type == H5L_TYPE_EXTERNAL) return 0; /* a file is read alone */
    hid_t id = H5Oopen(group, name, H5P_DEFAULT);
    if (id < 0) {
        if (link->type == H5L_TYPE_SOFT) { /* dangling */
            H5Eclear2(H5E_DEFAULT);
            return 0;
        }
        l->status =
            tdm__h5_fail(TDM_ERR_DATA, "%s: %s%s cannot be opened", l->file->path, l->prefix, name);
        return -1;
    }
    H5I_type_t type = H5Iget_type(id);
    if (type == H5I_DATASET) { /* takes the id over */
        l->status = add_set(l->file, id, l->prefix, name);
        return l->status ? -1 : 0;
    }
    if (type == H5I_GROUP && l->depth < MOST_DEPTH) {
        tdm__str prefix = {0};
        tdm__str_addf(&prefix, "%s%s/", l->prefix, name);
        l->status = tdm__str_status(&prefix);
        if (!l->status) l->status = list_group(l->file, id, prefix.text, l->depth + 1, l->links);
        tdm__str_free(&prefix);
    }
    H5Oclose(id);
    return l->status ? -1 : 0;
}

/* Opening -------------------------------------------------------------------------------------- */

static tdm_status open_bytes(const char *path, tdm__h5_io *io)
{
    struct stat st;
    io->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not hang */
    if (io->fd < 0 || fstat(io->fd, &st))
        return tdm__fail_errno(TDM_ERR_DATA, "%s: cannot be opened", path);
    if (!S_ISREG(st.st_mode)) return tdm__fail(TDM_ERR_DATA, "%s: is not a file", path);
    if (st.st_size == 0) return tdm__fail(TDM_ERR_DATA, "%s: the file is empty", path);
    io->size = (uint64_t)st.st_size;
    return TDM_OK;
}

/* The library keeps up to 32 MiB of a file's chunk index, once it has looked every chunk up; the
 * table made of it is all that is needed. */
static void limit_index(hid_t access)
{
    H5AC_cache_config_t config = {.version = H5AC__CURR_CACHE_CONFIG_VERSION};
    if (H5Pget_mdc_config(access, &config) < 0) return;
    config.set_initial_size = true;
    config.initial_size = config.min_size = (size_t)256 << 10;
    config.max_size = (size_t)1 << 20;
    if (H5Pset_mdc_config(access, &config) < 0) H5Eclear2(H5E_DEFAULT); /* only memory is lost */
}

static tdm_status open_locked(tdm__h5 *file)
{
    hid_t access = tdm__h5_access(&file->io);
    if (access < 0) return tdm__h5_fail(TDM_ERR_RUNTIME, "%s", file->path);
    /* Room for the chunks that a row of a badly chunked file crosses. */
    H5Pset_cache(access, 0, 4099, (size_t)16 << 20, 1.0);
    limit_index(access);
    tdm_status status = TDM_OK;
    file->id = H5Fopen(file->path, H5F_ACC_RDONLY, access);
    if (file->id < 0)
        status = tdm__h5_fail(TDM_ERR_DATA, "%s: not a readable HDF5 file", file->path);
    H5Pclose(access);
    if (status) return status;
    size_t links = 0;
    hid_t root = H5Gopen2(file->id, "/", H5P_DEFAULT);
    if (root < 0) return tdm__h5_fail(TDM_ERR_DATA, "%s: damaged HDF5 file", file->path);
    status = list_group(file, root, "", 0, &links);
    H5Gclose(root);
    return status;
}

tdm_status tdm__h5_open(const char *path, tdm__h5 **out)
{
    *out = NULL;
    tdm_status status = TDM_OK;
    tdm__h5 *file = NULL;
    TDM_TRY(tdm__calloc_try(1, sizeof *file, &file));
    file->id = file->io.fd = -1;
    file->path = tdm__strdup(path);
    if (!file->path) {
        status = tdm__fail(TDM_ERR_NOMEM, "%s: out of memory", path);
        goto done;
    }
    TDM_TRY(tdm__mutex_init(&file->lock));
    TDM_TRY(open_bytes(path, &file->io));
    tdm__h5_lock();
    status = open_locked(file);
    tdm__h5_unlock();
    if (status) goto done;
    *out = file;
    file = NULL;
done:
    tdm__h5_close(&file);
    return status;
}

void tdm__h5_close(tdm__h5 **pointer)
{
    tdm__h5 *file = *pointer;
    if (!file) return;
    for (size_t i = 0; i < file->n_sets; i++) {
        tdm__h5_cursor_destroy(&file->sets[i].cursor);
        tdm__h5_raw_destroy(&file->sets[i].raw);
    }
    tdm__h5_lock();
    for (size_t i = 0; i < file->n_sets; i++) {
        tdm__h5_set *set = &file->sets[i];
        if (set->mem_type >= 0) H5Tclose(set->mem_type);
        if (set->id >= 0) H5Dclose(set->id);
        free(set->info.name);
        free(set->info.problem);
    }
    if (file->id >= 0) H5Fclose(file->id);
    tdm__h5_unlock();
    if (file->io.fd >= 0) close(file->io.fd);
    tdm__mutex_destroy(&file->lock);
    tdm__h5_attrs_free(file);
    free(file->sets);
    free(file->path);
    free(file);
    *pointer = NULL;
}

const char *tdm__h5_path(const tdm__h5 *file)
{
    return file->path;
}

size_t tdm__h5_count(const tdm__h5 *file)
{
    return file->n_sets;
}

const tdm__h5_info *tdm__h5_info_at(const tdm__h5 *file, size_t set)
{
    return set < file->n_sets ? &file->sets[set].info : NULL;
}

static const char *set_name(const void *file, size_t i)
{
    return ((const tdm__h5 *)file)->sets[i].info.name;
}

tdm_status tdm__h5_find(const tdm__h5 *file, const char *name, size_t *set)
{
    for (size_t i = 0; i < file->n_sets; i++)
        if (!strcmp(file->sets[i].info.name, name)) {
            *set = i;
            return TDM_OK;
        }
    return tdm__fail_unknown(TDM_ERR_DATA, name, file, set_name, file->n_sets,
                             "%s: no data set '%s': it has", file->path, name);
}

/* Reading rows --------------------------------------------------------------------------------- */

/* Lock held. Reads rows first..first+n-1 as mem_type. */
static tdm_status read_run(const tdm__h5 *file, const tdm__h5_set *set, uint64_t first, uint64_t n,
                           void *out)
{
    const tdm__h5_info *info = &set->info;
    hsize_t start[TDM__H5_RANK] = {first}, count[TDM__H5_RANK] = {n};
    for (int i = 1; i < info->rank; i++) count[i] = info->dims[i];
    hid_t space = H5Dget_space(set->id), memory = H5Screate_simple(info->rank, count, NULL);
    tdm_status status = TDM_OK;
    if (space < 0 || memory < 0 ||
        H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) < 0 ||
        H5Dread(set->id, set->mem_type, memory, space, H5P_DEFAULT, out) < 0)
        status = tdm__h5_fail(TDM_ERR_DATA, "%s: %s: rows %llu..%llu cannot be read", file->path,
                              info->name, (unsigned long long)first,
                              (unsigned long long)(first + n - 1));
    if (memory >= 0) H5Sclose(memory);
    if (space >= 0) H5Sclose(space);
    return status;
}

/* Length of the run of consecutive rows that starts at rows[0]. */
static size_t run_length(const uint64_t *rows, size_t n, size_t most)
{
    size_t run = 1;
    while (run < n && run < most && rows[run] == rows[0] + run) run++;
    return run;
}

static tdm_status check_rows(const tdm__h5 *file, const tdm__h5_info *info, const uint64_t *rows,
                             size_t n)
{
    if (info->problem)
        return tdm__fail(TDM_ERR_DATA, "%s: %s: %s", file->path, info->name, info->problem);
    for (size_t i = 0; i < n; i++) {
        if (rows[i] >= info->rows)
            return tdm__fail(TDM_ERR_DATA, "%s: %s: row %llu does not exist: there are %llu",
                             file->path, info->name, (unsigned long long)rows[i],
                             (unsigned long long)info->rows);
        if (i && rows[i] < rows[i - 1])
            return tdm__fail(TDM_ERR_STATE, "%s: %s: rows must be in ascending order", file->path,
                             info->name);
    }
    return TDM_OK;
}

/* Through H5Dread, for what the raw path cannot do. */
static tdm_status read_by_library(const tdm__h5 *file, const tdm__h5_set *set, const uint64_t *rows,
                                  size_t n, tdm__to to, void *out)
{
    const tdm__h5_info *info = &set->info;
    tdm_status status = TDM_OK;
    size_t row_out = (size_t)info->row_elems * tdm__to_size(to, info->elem);
    /* Same size: H5Dread straight into the result, converted in place. Else through a staging
     * block of some 4 MiB. */
    bool direct = tdm__to_size(to, info->elem) == info->elem.size;
    size_t most = direct ? n : (size_t)((4u << 20) / info->row_bytes);
    if (!most) most = 1;
    if (most > n) most = n;
    uint8_t *stage = NULL, *dest = out;
    if (!direct) TDM_TRY(tdm__calloc_try(most, (size_t)info->row_bytes, &stage));
    for (size_t i = 0; i < n;) {
        size_t run = run_length(rows + i, n - i, most);
        uint8_t *from = direct ? dest : stage;
        tdm__h5_lock();
        status = read_run(file, set, rows[i], run, from);
        tdm__h5_unlock();
        if (status) goto done;
        size_t elems = run * (size_t)info->row_elems;
        size_t ok = tdm__elem_convert(info->elem, from, elems, to, dest);
        if (ok < elems) {
            status = tdm__elem_bad_value(file->path, info->name, rows[i] + ok / info->row_elems,
                                         info->elem, from + ok * info->elem.size, to);
            goto done;
        }
        dest += run * row_out;
        i += run;
    }
done:
    free(stage);
    return status;
}

/* Through the set's own cursor: HDF5 1.10 reads past its buffers where a damaged chunk decodes to
 * less than it should, our decoder checks; and it is twice as fast. */
static tdm_status read_by_cursor(tdm__h5 *file, size_t index, const uint64_t *rows, size_t n,
                                 tdm__to to, void *out)
{
    tdm__h5_set *set = &file->sets[index];
    size_t row_out = (size_t)set->info.row_elems * tdm__to_size(to, set->info.elem);
    tdm_status status = TDM_OK;
    tdm__mutex_lock(&file->lock);
    if (!set->raw) TDM_TRY(tdm__h5_raw_create(file, index, &set->raw));
    if (!set->cursor) TDM_TRY(tdm__h5_cursor_create(set->raw, &set->cursor));
    for (size_t i = 0; i < n; i++)
        TDM_TRY(tdm__h5_cursor_read(set->cursor, rows[i], to, (uint8_t *)out + i * row_out));
done:
    tdm__mutex_unlock(&file->lock);
    return status;
}

tdm_status tdm__h5_read_rows(tdm__h5 *file, size_t index, const uint64_t *rows, size_t n,
                             tdm__to to, void *out)
{
    const tdm__h5_set *set = &file->sets[index];
    tdm_status status = check_rows(file, &set->info, rows, n);
    if (status || !set->info.row_elems) return status;
    if (set->info.raw) return read_by_cursor(file, index, rows, n, to, out);
    return read_by_library(file, set, rows, n, to, out);
}
