/* report/examples.h: what checkpoints say about the test split: confusion matrices, scores of
 * single images, and pictures of a few of them. Of each arm its first finished run is asked. */
#ifndef REPORT_EXAMPLES_H
#define REPORT_EXAMPLES_H

#include <tandem/report.h>

#include "report/samples.h"

struct tdm__report;

/* Who is taken for whom by one arm. */
typedef struct tdm__matrix {
    size_t arm, n; /* n: classes */
    char *task, **classes;
    double *counts; /* n * n, a row a label */
} tdm__matrix;

/* An image that stands out by what the first arm with the task says about it. */
typedef struct tdm__example {
    const char *which; /* best, median, worst */
    char *task;
    uint64_t index;  /* in the test split */
    char **pictures; /* per arm: a PNG in base64, or NULL */
} tdm__example;

typedef struct tdm__examples {
    size_t n_arms;
    tdm__matrix *matrices;
    size_t n_matrices, matrices_capacity;
    tdm__score_list scores; /* of each task its first metric */
    tdm__example *list;
    size_t n, capacity;
} tdm__examples;

/* Runs the checkpoints. Zero-initialise *out; release it also after a failure. */
tdm_status tdm__examples_make(const tdm_report_spec *spec, const struct tdm__report *report,
                              tdm__examples *out);
void tdm__examples_free(tdm__examples *examples);
/* Bytes as base64 (RFC 4648). */
tdm_status tdm__base64(const void *bytes, size_t n, char **out);

#endif
