/* data/identity.c: hashing the files of a data set. */
#include "data/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

enum { DEPTH = 8, BLOCK = 1 << 16 };
#define WHOLE_BYTES ((uint64_t)1 << 30)

typedef struct file {
    char *path, *name; /* name: below the data set's folder */
    struct stat info;
} file;

typedef struct files {
    file *list;
    size_t n, capacity;
    uint64_t bytes;
} files;

static void files_free(files *f)
{
    for (size_t i = 0; i < f->n; i++) {
        free(f->list[i].path);
        free(f->list[i].name);
    }
    free(f->list);
}

static tdm_status add_file(files *f, const char *path, const char *name, const struct stat *info)
{
    tdm_status status = tdm__grow(&f->list, &f->capacity, f->n + 1, sizeof *f->list);
    if (status) return status;
    file *fresh = &f->list[f->n++];
    *fresh = (file){tdm__strdup(path), tdm__strdup(name), *info};
    f->bytes += (uint64_t)info->st_size;
    return fresh->path && fresh->name ? TDM_OK : tdm__fail(TDM_ERR_NOMEM, "out of memory");
}

/* Names come sorted, so the order is that of the names at every level. */
static tdm_status collect(files *f, const char *path, const char *name, int depth)
{
    tdm_status status = TDM_OK;
    struct stat info;
    char **names = NULL, *below = NULL, *full = NULL;
    size_t n = 0;
    if (stat(path, &info)) return tdm__fail_errno(TDM_ERR_DATA, "%s", path);
    if (S_ISREG(info.st_mode)) return add_file(f, path, name, &info);
    if (!S_ISDIR(info.st_mode) || depth == 0) return TDM_OK;
    TDM_TRY(tdm__list_folder(path, &names, &n));
    for (size_t i = 0; i < n; i++) {
        free(below);
        free(full);
        below = full = NULL;
        TDM_TRY(tdm__path_join(path, names[i], &full));
        if (*name)
            TDM_TRY(tdm__path_join(name, names[i], &below));
        else if (!(below = tdm__strdup(names[i])))
            TDM_TRY(tdm__fail(TDM_ERR_NOMEM, "out of memory"));
        TDM_TRY(collect(f, full, below, depth - 1));
    }
done:
    free(below);
    free(full);
    tdm__names_free(names, n);
    return status;
}

/* Adds `length` bytes from `offset` on; a file that became shorter meanwhile is an error. */
static tdm_status add_bytes(tdm__hash *h, int fd, const file *f, uint64_t offset, uint64_t length,
                            char *block)
{
    while (length > 0) {
        const size_t want = length < BLOCK ? (size_t)length : BLOCK;
        const ssize_t got = pread(fd, block, want, (off_t)offset);
        if (got < 0) return tdm__fail_errno(TDM_ERR_IO, "%s", f->path);
        if (got == 0) return tdm__fail(TDM_ERR_DATA, "%s: became shorter while read", f->path);
        tdm__hash_add(h, block, (size_t)got);
        offset += (uint64_t)got;
        length -= (uint64_t)got;
    }
    return TDM_OK;
}

static tdm_status add_content(tdm__hash *h, const file *f, bool whole, char *block)
{
    tdm_status status = TDM_OK;
    const uint64_t size = (uint64_t)f->info.st_size;
    const int64_t times[2] = {f->info.st_mtim.tv_sec, f->info.st_mtim.tv_nsec};
    const int fd = open(f->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return tdm__fail_errno(TDM_ERR_IO, "%s", f->path);
    tdm__hash_add_text(h, f->name);
    tdm__hash_add(h, &size, sizeof size);
    if (whole || size <= 2 * BLOCK) {
        TDM_TRY(add_bytes(h, fd, f, 0, size, block));
    } else {
        tdm__hash_add(h, times, sizeof times);
        TDM_TRY(add_bytes(h, fd, f, 0, BLOCK, block));
        TDM_TRY(add_bytes(h, fd, f, size - BLOCK, BLOCK, block));
    }
done:
    close(fd);
    return status;
}

tdm_status tdm__data_exists(const char *path)
{
    struct stat info;
    if (stat(path, &info) == 0) return TDM_OK;
    tdm_status status = tdm__fail_errno(TDM_ERR_DATA, "%s: the data set cannot be found", path);
    return errno == ENOENT
               ? tdm__hint(status, "`tandem data import` makes one from original files; a "
                                   "path in a configuration is relative to where tandem "
                                   "runs")
               : status;
}

tdm_status tdm__data_identify(const char *path, tdm__data_identity *out)
{
    tdm_status status = TDM_OK;
    files f = {0};
    tdm__hash *hash = NULL;
    char *block = NULL;
    *out = (tdm__data_identity){0};
    TDM_TRY(tdm__data_exists(path));
    TDM_TRY(collect(&f, path, "", DEPTH));
    TDM_TRY(tdm__hash_create(&hash));
    TDM_TRY(tdm__calloc_try(BLOCK, 1, &block));
    for (size_t i = 0; i < f.n; i++)
        TDM_TRY(add_content(hash, &f.list[i], f.bytes <= WHOLE_BYTES, block));
    tdm__hash_hex(hash, out->hash);
    out->files = f.n;
    out->bytes = f.bytes;
done:
    free(block);
    tdm__hash_destroy(&hash);
    files_free(&f);
    return status;
}
