/* slow_pread.c: preloaded by overlap.py: every pread of at least 4 KiB sleeps $SLOW_PREAD_MS first, as
 * if files lay on a slow disk. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

typedef ssize_t reader(int fd, void *out, size_t n, off_t at);

static ssize_t read_slowly(const char *name, int fd, void *out, size_t n, off_t at)
{
    const char *delay = getenv("SLOW_PREAD_MS");
    const double ms = delay ? atof(delay) : 0;
    reader *real = (reader *)dlsym(RTLD_NEXT, name);
    const struct timespec t = {(time_t)(ms / 1e3), (long)(ms * 1e6) % 1000000000};
    if (n >= 4096 && ms > 0) nanosleep(&t, NULL);
    return real(fd, out, n, at);
}

ssize_t pread(int fd, void *out, size_t n, off_t at)
{
    return read_slowly("pread", fd, out, n, at);
}

ssize_t pread64(int fd, void *out, size_t n, off_t at)
{
    return read_slowly("pread64", fd, out, n, at);
}
