/* base/atomic.c: replacing a file so that every moment of failure leaves the old or the new one.
 *
 * The temporary file is created with O_EXCL beside its target (a rename across file systems is not
 * atomic) as <path>.tmp-<pid>-<n>, with the permissions that a plain open would give.
 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

/* Failure injection: 0 is off; k > 0 lets k - 1 more bytes through, and stays at 1 for good. */
static _Atomic uint64_t fail_left;
static pthread_once_t fail_once = PTHREAD_ONCE_INIT;

static void fail_from_environment(void)
{
    const char *text = getenv("TANDEM_TEST_FAIL_WRITE");
    int64_t n;
    if (text && tdm__parse_i64(text, &n) && n > 0) atomic_store(&fail_left, (uint64_t)n);
}

void tdm__file_fail_after(uint64_t bytes)
{
    pthread_once(&fail_once, fail_from_environment);
    atomic_store(&fail_left, bytes);
}

/* How many of n bytes the pretended disk still has room for. */
static size_t fail_room(size_t n)
{
    pthread_once(&fail_once, fail_from_environment);
    uint64_t left = atomic_load(&fail_left), room;
    do {
        if (left == 0) return n;
        room = n < left ? n : left - 1;
    } while (!atomic_compare_exchange_weak(&fail_left, &left, left - room));
    return room;
}

static tdm_status fail_writing(const tdm__atomic *a)
{
    return tdm__fail_errno(TDM_ERR_IO, "%s: cannot write", a->path);
}

tdm_status tdm__atomic_begin(tdm__atomic *a, const char *path)
{
    static _Atomic unsigned counter;
    tdm_status status = TDM_OK;
    int fd = -1;
    *a = (tdm__atomic){0};
    a->path = tdm__strdup(path);
    if (!a->path) {
        status = tdm__fail(TDM_ERR_NOMEM, "out of memory: the path %s", path);
        goto done;
    }
    do { /* a name can be taken by what a killed process of the same number left */
        tdm__str s = {0};
        tdm__str_addf(&s, "%s.tmp-%ld-%u", path, (long)getpid(), atomic_fetch_add(&counter, 1));
        free(a->temp);
        a->temp = s.text;
        TDM_TRY(tdm__str_status(&s));
        fd = open(a->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    } while (fd < 0 && errno == EEXIST);
    if (fd < 0) {
        status = tdm__fail_errno(TDM_ERR_IO, "%s: cannot create %s", path, a->temp);
        free(a->temp); /* nothing of ours to remove */
        a->temp = NULL;
        goto done;
    }
    a->file = fdopen(fd, "wb");
    if (!a->file) {
        status = tdm__fail_errno(TDM_ERR_NOMEM, "%s: cannot open a stream", path);
        close(fd);
    }
done:
    if (status) tdm__atomic_abort(a);
    return status;
}

/* "x.h5.tmp-123-0" is left over of writing "x.h5" when there is no process 123. */
static bool is_left_over(const char *name, const char *base)
{
    size_t n = strlen(base);
    char *end;
    if (strncmp(name, base, n) || strncmp(name + n, ".tmp-", 5)) return false;
    long pid = strtol(name + n + 5, &end, 10);
    return *end == '-' && pid > 0 && kill((pid_t)pid, 0) && errno == ESRCH;
}

tdm_status tdm__atomic_sweep(const char *path)
{
    char *folder = NULL, **names = NULL;
    size_t n = 0;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__path_dir(path, &folder));
    TDM_TRY(tdm__list_folder(folder, &names, &n));
    for (size_t i = 0; i < n; i++) {
        char *left = NULL;
        if (!is_left_over(names[i], tdm__path_base(path))) continue;
        TDM_TRY(tdm__path_join(folder, names[i], &left));
        status = tdm__remove_tree(left);
        free(left);
        if (status) goto done;
    }
done:
    tdm__names_free(names, n);
    free(folder);
    return status;
}

tdm_status tdm__atomic_write(tdm__atomic *a, const void *bytes, size_t n)
{
    size_t room = fail_room(n);
    a->counted += room;
    if (room > 0 && fwrite(bytes, 1, room, a->file) != room) return fail_writing(a);
    if (room < n) {
        errno = ENOSPC;
        return fail_writing(a);
    }
    return TDM_OK;
}

/* Bytes that went straight to a->file meet the pretended disk here. */
static tdm_status count_direct_writes(tdm__atomic *a)
{
    off_t at = ftello(a->file);
    if (at < 0) return fail_writing(a);
    if ((uint64_t)at <= a->counted) return TDM_OK;
    size_t direct = (size_t)((uint64_t)at - a->counted);
    a->counted += direct;
    if (fail_room(direct) == direct) return TDM_OK;
    errno = ENOSPC;
    return fail_writing(a);
}

/* The rename itself is durable only once the folder is. Some file systems cannot sync a folder. */
static tdm_status sync_folder(const char *path)
{
    char *folder = NULL;
    tdm_status status = tdm__path_dir(path, &folder);
    if (status) return status;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || (fsync(fd) && errno != EINVAL && errno != ENOTSUP))
        status = tdm__fail_errno(TDM_ERR_IO, "%s: cannot sync the folder", folder);
    if (fd >= 0) close(fd);
    free(folder);
    return status;
}

tdm_status tdm__atomic_commit(tdm__atomic *a)
{
    tdm_status status = TDM_OK;
    if (fflush(a->file) || ferror(a->file)) {
        status = fail_writing(a);
        goto done;
    }
    TDM_TRY(count_direct_writes(a));
    if (fsync(fileno(a->file))) {
        status = fail_writing(a);
        goto done;
    }
    FILE *file = a->file;
    a->file = NULL;
    if (fclose(file) || rename(a->temp, a->path)) {
        status = fail_writing(a);
        goto done;
    }
    free(a->temp); /* it is the target now: nothing to remove */
    a->temp = NULL;
    TDM_TRY(sync_folder(a->path));
done:
    tdm__atomic_abort(a);
    return status;
}

void tdm__atomic_abort(tdm__atomic *a)
{
    if (a->file) fclose(a->file);
    if (a->temp) unlink(a->temp);
    free(a->temp);
    free(a->path);
    *a = (tdm__atomic){0};
}

tdm_status tdm__atomic_write_file(const char *path, const void *bytes, size_t n)
{
    tdm__atomic a = {0};
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__atomic_begin(&a, path));
    TDM_TRY(tdm__atomic_write(&a, bytes, n));
    TDM_TRY(tdm__atomic_commit(&a));
done:
    tdm__atomic_abort(&a);
    return status;
}
