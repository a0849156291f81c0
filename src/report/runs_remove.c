/* report/runs_remove.c: removing run folders, and nothing else. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "report/runs.h"

/* Below the folder that was named, no part of the path may be a link, nor the run itself: what is
 * removed lies where it seems to lie. */
static tdm_status check_links(const tdm__run *run)
{
    tdm_status status = TDM_OK;
    struct stat info;
    char *path = tdm__strdup(run->path);
    if (!path) return tdm__fail(TDM_ERR_NOMEM, "out of memory");
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') path[--n] = 0; /* "link/" would be what it leads to */
    while (!status) {
        if (lstat(path, &info))
            status = tdm__fail_errno(TDM_ERR_DATA, "%s", path);
        else if (!S_ISDIR(info.st_mode))
            status =
                tdm__hint(tdm__fail(TDM_ERR_DATA, "%s: is a link, which is not followed", path),
                          "name the folder that it leads to");
        char *slash = strrchr(path, '/');
        if (!slash || (size_t)(slash - path) <= run->root) break;
        *slash = 0;
    }
    free(path);
    return status;
}

/* Runs of an experiment are locked while they are trained (`FOLDER.lock`). */
static tdm_status check_lock(const tdm__run *run)
{
    tdm_status status = TDM_OK;
    tdm__str path = {0};
    tdm__str_addf(&path, "%s.lock", run->path);
    TDM_TRY(tdm__str_status(&path));
    const int fd = open(path.text, O_RDONLY | O_CLOEXEC);
    if (fd < 0) goto done;
    if (flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
        status = tdm__fail(TDM_ERR_DATA, "%s: is being trained", run->path);
    close(fd);
done:
    tdm__str_free(&path);
    return status;
}

static tdm_status remove_one(const tdm__run *run)
{
    tdm__str lock = {0};
    tdm_status status = tdm__remove_tree(run->path);
    if (status) return status;
    tdm__str_addf(&lock, "%s.lock", run->path);
    status = tdm__str_status(&lock);
    if (!status) unlink(lock.text); /* most have none */
    tdm__str_free(&lock);
    return status;
}

tdm_status tdm_runs_remove(tdm_runs *runs)
{
    tdm_status status = TDM_OK;
    for (size_t i = 0; i < runs->n; i++) {
        TDM_TRY(check_links(&runs->list[i]));
        TDM_TRY(check_lock(&runs->list[i]));
    }
    for (size_t i = 0; i < runs->n; i++) TDM_TRY(remove_one(&runs->list[i]));
done:
    return status;
}
