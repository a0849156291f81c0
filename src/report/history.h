/* report/history.h: what a run wrote while it went on (metrics.jsonl) as series over epochs. */
#ifndef REPORT_HISTORY_H
#define REPORT_HISTORY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

typedef enum tdm__series_kind {
    TDM__SERIES_RUN,       /* total, lr, seconds, wait_share, step_seconds: task is "" */
    TDM__SERIES_LOSS,      /* of a task */
    TDM__SERIES_METRIC,    /* of a task */
    TDM__SERIES_WEIGHT,    /* of a task in the total */
    TDM__SERIES_DIAGNOSTIC /* any other number: gradient norms, cosines, ... */
} tdm__series_kind;

typedef struct tdm__series {
    tdm__series_kind kind;
    const char *split, *task, *what; /* owned by the history */
    size_t n, capacity;
    double *epoch, *value; /* in the order of the file; NaN: nothing was counted */
} tdm__series;

typedef struct tdm__history {
    tdm__series *series;
    size_t n, capacity;
    size_t unread; /* lines that are no JSON object with an epoch and a split */
} tdm__history;

/* Lines that cannot be read are counted and left out, but for a torn last one, which a running or
 * killed run leaves. Zero-initialise *out; release it also after a failure. */
tdm_status tdm__history_parse(const char *text, size_t size, tdm__history *out);
void tdm__history_free(tdm__history *history);
/* NULL when there is none. */
const tdm__series *tdm__history_find(const tdm__history *history, const tdm__series *like);

#endif
