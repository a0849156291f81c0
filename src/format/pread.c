/* Reading at a position: pread until all is there. */
#include "format/pread.h"

#include <errno.h>
#include <unistd.h>

tdm_status tdm__pread_all(int fd, uint64_t at, void *out, size_t n, const char *name)
{
    uint8_t *p = out;
    while (n) {
        if (at > INT64_MAX)
            return tdm__fail(TDM_ERR_DATA, "%s: data at an impossible position", name);
        ssize_t got = pread(fd, p, n, (off_t)at);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return tdm__fail_errno(TDM_ERR_DATA, "%s: cannot be read", name);
        if (got == 0) return tdm__fail(TDM_ERR_DATA, "%s: the file ends before its data", name);
        p += got;
        at += (uint64_t)got;
        n -= (size_t)got;
    }
    return TDM_OK;
}
