/* base/file.c: paths, folders, whole-file reads and the cache folder. */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

static tdm_status copy_text(const char *text, size_t n, char **out)
{
    tdm_status status = tdm__calloc_try(n + 1, 1, out);
    if (!status) memcpy(*out, text, n);
    return status;
}

tdm_status tdm__path_join(const char *folder, const char *name, char **out)
{
    *out = NULL;
    if (!*folder || *name == '/') return copy_text(name, strlen(name), out);
    tdm__str s = {0};
    tdm__str_add(&s, folder);
    if (*name && !tdm__ends_with(folder, "/")) tdm__str_add(&s, "/");
    tdm__str_add(&s, name);
    tdm_status status = tdm__str_status(&s);
    if (status) tdm__str_free(&s);
    *out = s.text;
    return status;
}

const char *tdm__path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

const char *tdm__path_below(const char *path, const char *folder)
{
    const size_t n = strlen(folder);
    return !strncmp(path, folder, n) && path[n] == '/' ? path + n + 1 : NULL;
}

tdm_status tdm__path_dir(const char *path, char **out)
{
    const char *slash = strrchr(path, '/');
    if (!slash) return copy_text(".", 1, out);
    return copy_text(path, slash == path ? 1 : (size_t)(slash - path), out);
}

bool tdm__path_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

bool tdm__is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

tdm_status tdm__make_folders(const char *path)
{
    char *part = NULL;
    tdm_status status = TDM_OK;
    TDM_TRY(copy_text(path, strlen(path), &part));
    for (size_t i = 1, n = strlen(part); i <= n; i++) {
        if (part[i] && part[i] != '/') continue;
        char keep = part[i];
        part[i] = 0;
        if (mkdir(part, 0777) && !tdm__is_folder(part)) {
            status = tdm__fail_errno(TDM_ERR_IO, "%s: cannot create the folder %s", path, part);
            goto done;
        }
        part[i] = keep;
    }
done:
    free(part);
    return status;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

tdm_status tdm__list_folder(const char *path, char ***names, size_t *n)
{
    tdm_status status = TDM_OK;
    size_t capacity = 0;
    *names = NULL;
    *n = 0;
    DIR *folder = opendir(path);
    if (!folder) return tdm__fail_errno(TDM_ERR_DATA, "%s: cannot list the folder", path);
    TDM_TRY(tdm__grow(names, &capacity, 1, sizeof **names));
    for (struct dirent *entry; errno = 0, (entry = readdir(folder));) {
        if (tdm__streq(entry->d_name, ".") || tdm__streq(entry->d_name, "..")) continue;
        TDM_TRY(tdm__grow(names, &capacity, *n + 1, sizeof **names));
        TDM_TRY(copy_text(entry->d_name, strlen(entry->d_name), &(*names)[*n]));
        (*n)++;
    }
    if (errno) {
        status = tdm__fail_errno(TDM_ERR_IO, "%s: cannot list the folder", path);
        goto done;
    }
    qsort(*names, *n, sizeof **names, compare_names);
done:
    closedir(folder);
    if (status) {
        tdm__names_free(*names, *n);
        *names = NULL;
        *n = 0;
    }
    return status;
}

void tdm__names_free(char **names, size_t n)
{
    for (size_t i = 0; names && i < n; i++) free(names[i]);
    free(names);
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

tdm_status tdm__remove_tree(const char *path)
{
    struct stat st;
    if (lstat(path, &st) && errno == ENOENT) return TDM_OK;
    if (nftw(path, remove_entry, 32, FTW_DEPTH | FTW_PHYS))
        return tdm__fail_errno(TDM_ERR_IO, "%s: cannot remove", path);
    return TDM_OK;
}

tdm_status tdm__read_file(const char *path, size_t limit, void *out_bytes, size_t *out_size)
{
    tdm_status status = TDM_OK;
    char *bytes = NULL;
    size_t size = 0, capacity = 0;
    struct stat st;
    /* O_NONBLOCK: opening a pipe must not hang; it means nothing to a regular file */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return tdm__fail_errno(TDM_ERR_DATA, "%s: cannot open", path);
    if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
        status = tdm__fail(TDM_ERR_DATA, "%s: must be a regular file", path);
        goto done;
    }
    if (st.st_size > 0 && (uint64_t)st.st_size > limit) {
        status = tdm__fail(TDM_ERR_DATA, "%s: %lld bytes: must be at most %zu", path,
                           (long long)st.st_size, limit);
        goto done;
    }
    /* one byte for the terminator, one more so that the end of file is seen without growing */
    TDM_TRY(tdm__grow(&bytes, &capacity, (size_t)st.st_size + 2, 1));
    for (;;) {
        TDM_TRY(tdm__grow(&bytes, &capacity, size + 2, 1));
        ssize_t got = read(fd, bytes + size, capacity - size - 1);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            status = tdm__fail_errno(TDM_ERR_IO, "%s: cannot read", path);
            goto done;
        }
        if (got == 0) break;
        size += (size_t)got;
        if (size > limit) { /* it grew meanwhile */
            status = tdm__fail(TDM_ERR_DATA, "%s: must be at most %zu bytes", path, limit);
            goto done;
        }
    }
    bytes[size] = 0;
    memcpy(out_bytes, &bytes, sizeof bytes);
    *out_size = size;
    bytes = NULL;
done:
    free(bytes);
    close(fd);
    return status;
}

tdm_status tdm__append_line(const char *path, const char *line)
{
    tdm_status status = TDM_OK;
    tdm__str s = {0};
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) return tdm__fail_errno(TDM_ERR_IO, "%s: cannot open for appending", path);
    tdm__str_add(&s, line);
    tdm__str_add(&s, "\n");
    TDM_TRY(tdm__str_status(&s));
    ssize_t wrote = write(fd, s.text, s.length);
    if (wrote < 0)
        status = tdm__fail_errno(TDM_ERR_IO, "%s: cannot append", path);
    else if ((size_t)wrote != s.length)
        status = tdm__fail(TDM_ERR_IO, "%s: cannot append: %zd of %zu bytes written", path, wrote,
                           s.length);
done:
    tdm__str_free(&s);
    if (close(fd) && !status) status = tdm__fail_errno(TDM_ERR_IO, "%s: cannot append", path);
    return status;
}

/* The home folder on the heap, or NULL with TDM_OK. */
static tdm_status home_folder(char **out)
{
    const char *home = getenv("HOME");
    struct passwd entry, *found = NULL;
    char buffer[1024];
    *out = NULL;
    if (home && *home) return copy_text(home, strlen(home), out);
    if (getpwuid_r(getuid(), &entry, buffer, sizeof buffer, &found) || !found) return TDM_OK;
    if (!found->pw_dir || !*found->pw_dir) return TDM_OK;
    return copy_text(found->pw_dir, strlen(found->pw_dir), out);
}

tdm_status tdm__cache_folder(const char *part, char **out)
{
    const char *off = getenv("TANDEM_CACHE"), *own = getenv("TANDEM_CACHE_DIR");
    const char *xdg = getenv("XDG_CACHE_HOME");
    tdm_status status = TDM_OK;
    char *home = NULL, *cache = NULL, *root = NULL;
    *out = NULL;
    if (tdm__streq(off, "off")) return TDM_OK;
    if (own && *own) return tdm__path_join(own, part, out);
    if (xdg && *xdg == '/') { /* the XDG specification has relative paths ignored */
        TDM_TRY(tdm__path_join(xdg, "tandem", &root));
    } else {
        TDM_TRY(home_folder(&home));
        if (!home) goto done;
        TDM_TRY(tdm__path_join(home, ".cache", &cache));
        TDM_TRY(tdm__path_join(cache, "tandem", &root));
    }
    TDM_TRY(tdm__path_join(root, part, out));
done:
    free(home);
    free(cache);
    free(root);
    return status;
}
