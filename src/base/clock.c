/* base/clock.c */
#include "base/clock.h"

#include <errno.h>
#include <sys/resource.h>
#include <time.h>

static double clock_seconds(clockid_t id)
{
    struct timespec t = {0};
    clock_gettime(id, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double tdm__now(void)
{
    return clock_seconds(CLOCK_MONOTONIC);
}
double tdm__cpu_time(void)
{
    return clock_seconds(CLOCK_PROCESS_CPUTIME_ID);
}
double tdm__wall(void)
{
    return clock_seconds(CLOCK_REALTIME);
}

void tdm__time_text(double wall, char *out, size_t size)
{
    time_t seconds = (time_t)wall;
    struct tm parts;
    if (size == 0) return;
    if (!gmtime_r(&seconds, &parts) || strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
        out[0] = 0;
}

uint64_t tdm__peak_rss(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage)) return 0;
    return (uint64_t)usage.ru_maxrss * 1024; /* Linux counts in KiB */
}

void tdm__sleep(double seconds)
{
    if (!(seconds > 0)) return;
    struct timespec left = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    while (nanosleep(&left, &left) && errno == EINTR) continue;
}
