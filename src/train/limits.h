/* train/limits.h: what a device can do at most, measured, and how near to it some work comes. */
#ifndef TRAIN_LIMITS_H
#define TRAIN_LIMITS_H

#include "cl/cl.h"

/* Rates per second of one clock. */
typedef struct tdm__rates {
    double flops, bytes, launches;
} tdm__rates;

/* wall: of the device. busy: of what does the work: CPU time of the process on CPU devices (rates
 * of one core, steady on a shared machine), wall time elsewhere. */
typedef struct tdm__limits {
    tdm__rates wall, busy;
    bool busy_is_cpu; /* busy counts CPU time */
} tdm__limits;

/* Takes well under a second, and up to 256 MiB of the device while it lasts. */
tdm_status tdm__limits_measure(tdm_device *device, tdm__limits *out);

/* The least time for this work, and in *bound what sets it: "arithmetic", "memory" or "launch". */
double tdm__limits_seconds(const tdm__rates *rates, double flops, double bytes, double launches,
                           const char **bound);

#endif
