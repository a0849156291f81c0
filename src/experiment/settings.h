/* experiment/settings.h: lists of key=value, and the points of a grid.
 *
 * A list of candidates is written as one "key=[a, b, c]" text per key (TDM_OPT_SETTINGS).
 */
#ifndef EXPERIMENT_SETTINGS_H
#define EXPERIMENT_SETTINGS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"
#include "report/outline.h"

enum { TDM__POINTS_MAX = 10000 };

/* Adds "key=value" texts. TDM_ERR_CONFIG: no key. */
tdm_status tdm__settings_read(tdm__pairs *settings, const char *const *texts, size_t n);

typedef struct tdm__points {
    tdm__pairs *list;
    size_t n, capacity;
} tdm__points;

void tdm__points_free(tdm__points *points);
/* Every combination of the keys' candidates, the last key fastest. */
tdm_status tdm__points_grid(tdm__points *points, const char *const *texts, size_t n);
/* Point i takes the i-th candidate of every key: all lists are of one length. */
tdm_status tdm__points_together(tdm__points *points, const char *const *texts, size_t n);
/* `count` points; each text is "key.DISTRIBUTION=[...]": log-uniform [low, high], uniform [low,
 * high], int [low, high] (both included), choice [values]. A draw depends on the seed, the key and
 * the point's index alone. */
tdm_status tdm__points_random(tdm__points *points, const char *const *texts, size_t n, size_t count,
                              uint64_t seed);

/* The value as JSON: a number, true, false, an array, else a string. */
tdm_status tdm__setting_json(const char *value, tdm__str *out);

#endif
