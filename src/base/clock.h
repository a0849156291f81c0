/* base/clock.h */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

double tdm__now(void);      /* monotonic seconds */
double tdm__cpu_time(void); /* CPU seconds of the whole process */
double tdm__wall(void);     /* seconds since 1970 */
void tdm__time_text(double wall, char *out, size_t size); /* 2026-01-31T12:34:56Z */
uint64_t tdm__peak_rss(void); /* bytes; the process's peak resident size */
void tdm__sleep(double seconds);

#endif
