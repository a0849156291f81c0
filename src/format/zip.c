/* Zip archives through libzip, with sizes and names checked. */
#include "format/zip.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

struct tdm__zip {
    zip_t *archive;
    char *path;
    uint64_t count;
};

static tdm_status fail_zip(const char *path, zip_error_t *error)
{
    return tdm__fail(TDM_ERR_DATA, "%s: cannot be read as a zip archive: %s", path,
                     zip_error_strerror(error));
}

/* Relative, and without a way up. */
static bool is_safe(const char *name)
{
    if (!*name || *name == '/' || strchr(name, '\\')) return false;
    for (const char *part = name; part; part = strchr(part, '/')) {
        part += *part == '/';
        if (part[0] == '.' && part[1] == '.' && (!part[2] || part[2] == '/')) return false;
    }
    return true;
}

static tdm_status check_names(tdm__zip *z)
{
    for (uint64_t i = 0; i < z->count; i++) {
        const char *name = zip_get_name(z->archive, i, 0);
        if (!name) return fail_zip(z->path, zip_get_error(z->archive));
        if (!is_safe(name))
            return tdm__fail(TDM_ERR_DATA,
                             "%s: entry %llu has the name '%s': must be relative, without '..'",
                             z->path, (unsigned long long)i, name);
    }
    return TDM_OK;
}

/* Takes `source`, also when it fails. */
static tdm_status open_source(zip_source_t *source, const char *path, tdm__zip **out)
{
    tdm_status status = TDM_OK;
    tdm__zip *z = NULL;
    zip_error_t error;
    zip_error_init(&error);
    TDM_TRY(tdm__calloc_try(1, sizeof *z, &z));
    z->path = tdm__strdup(path);
    if (!z->path) {
        status = tdm__fail(TDM_ERR_NOMEM, "%s: out of memory", path);
        goto done;
    }
    z->archive = zip_open_from_source(source, ZIP_RDONLY, &error);
    if (!z->archive) {
        status = fail_zip(path, &error);
        goto done;
    }
    source = NULL; /* the archive's now */
    z->count = (uint64_t)zip_get_num_entries(z->archive, 0);
    if (!z->count) { /* what libzip makes of an empty file, too */
        status = tdm__fail(TDM_ERR_DATA, "%s: cannot be read as a zip archive: it is empty", path);
        goto done;
    }
    TDM_TRY(check_names(z));
    *out = z;
    z = NULL;
done:
    if (source) zip_source_free(source);
    zip_error_fini(&error);
    tdm__zip_close(&z);
    return status;
}

static tdm_status open_checked(zip_source_t *source, zip_error_t *error, const char *path,
                               tdm__zip **out)
{
    tdm_status status = source ? open_source(source, path, out) : fail_zip(path, error);
    zip_error_fini(error);
    return status;
}

tdm_status tdm__zip_open(const char *path, tdm__zip **out)
{
    zip_error_t error;
    *out = NULL;
    if (!tdm__path_exists(path) || tdm__is_folder(path))
        return tdm__fail(TDM_ERR_DATA, "%s: there is no such file", path);
    zip_error_init(&error);
    return open_checked(zip_source_file_create(path, 0, -1, &error), &error, path, out);
}

tdm_status tdm__zip_open_bytes(const void *bytes, size_t size, const char *name, tdm__zip **out)
{
    zip_error_t error;
    *out = NULL;
    zip_error_init(&error);
    return open_checked(zip_source_buffer_create(bytes, size, 0, &error), &error, name, out);
}

void tdm__zip_close(tdm__zip **zip)
{
    tdm__zip *z = *zip;
    if (!z) return;
    if (z->archive) zip_discard(z->archive);
    free(z->path);
    free(z);
    *zip = NULL;
}

uint64_t tdm__zip_count(const tdm__zip *zip)
{
    return zip->count;
}

const char *tdm__zip_name(const tdm__zip *zip, uint64_t index)
{
    return zip_get_name(zip->archive, index, 0); /* not NULL: all were looked at */
}

/* The entry's size as the directory has it; that size decides how much is allocated. */
static tdm_status entry_size(tdm__zip *z, uint64_t index, size_t limit, size_t *size)
{
    zip_stat_t stat;
    const char *name = tdm__zip_name(z, index);
    if (zip_stat_index(z->archive, index, 0, &stat))
        return tdm__fail(TDM_ERR_DATA, "%s: %s: %s", z->path, name, zip_strerror(z->archive));
    if (!(stat.valid & ZIP_STAT_SIZE) || stat.size > limit)
        return tdm__fail(TDM_ERR_DATA, "%s: %s: has %llu bytes: must have at most %zu", z->path,
                         name, (unsigned long long)stat.size, limit);
    *size = (size_t)stat.size;
    return TDM_OK;
}

tdm_status tdm__zip_read(tdm__zip *z, uint64_t index, size_t limit, void *out_bytes,
                         size_t *out_size)
{
    const char *name = tdm__zip_name(z, index);
    zip_file_t *file = NULL;
    uint8_t *bytes = NULL;
    size_t size = 0, at = 0;
    tdm_status status = TDM_OK;
    TDM_TRY(entry_size(z, index, limit, &size));
    TDM_TRY(tdm__calloc_try(size + 1, 1, &bytes));
    file = zip_fopen_index(z->archive, index, 0);
    if (!file) {
        status = tdm__fail(TDM_ERR_DATA, "%s: %s: %s", z->path, name, zip_strerror(z->archive));
        goto done;
    }
    /* One byte more than announced, so that the end is seen: the checksum is compared there. */
    for (zip_int64_t got = 1; got > 0; at += (size_t)got) {
        got = at > size ? 0 : zip_fread(file, bytes + at, size + 1 - at);
        if (got >= 0) continue;
        status = tdm__fail(TDM_ERR_DATA, "%s: %s: %s", z->path, name, zip_file_strerror(file));
        goto done;
    }
    if (at != size) {
        status = tdm__fail(TDM_ERR_DATA, "%s: %s: holds another size than the %zu bytes it says",
                           z->path, name, size);
        goto done;
    }
    *(void **)out_bytes = bytes;
    *out_size = size;
    bytes = NULL;
done:
    if (file) zip_fclose(file);
    free(bytes);
    return status;
}
