/* report/runs.h: what is known of a run from its folder. */
#ifndef REPORT_RUNS_H
#define REPORT_RUNS_H

#include <stdint.h>
#include <tandem/runs.h>

#include "report/record.h"

typedef struct tdm__run_metric {
    char *name; /* "class.accuracy" */
    double value;
} tdm__run_metric;

typedef struct tdm__run {
    char *path;
    size_t root;   /* characters of it that were named; what follows was found below */
    char *arm;     /* `name` of the configuration */
    char *trouble; /* NULL, or why it cannot be read */
    char *stopped; /* stop reason; NULL: not finished */
    int64_t seed, epochs;
    double seconds, step_seconds; /* 0: not known */
    tdm__run_metric *metrics;     /* of the test split */
    size_t n_metrics, metrics_capacity;
    tdm__record record; /* everything that its files say */
} tdm__run;

/* Frees what a run holds. */
void tdm__run_free(tdm__run *run);
/* Adds what summary.json says; name: of the file, for messages. TDM_ERR_DATA: no JSON, no stop
 * reason; entries of another type than expected are left out. */
tdm_status tdm__run_parse_summary(const char *text, size_t size, const char *name, tdm__run *run);

struct tdm_runs {
    tdm__run *list;
    size_t n, capacity;
};

#endif
