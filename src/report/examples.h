/* report/examples.h: what checkpoints say about the test split: confusion matrices, scores of
 * single images, and pictures of a few of them. Of each arm its first finished run is asked. */
#ifndef REPORT_EXAMPLES_H
#define REPORT_EXAMPLES_H

#include <tandem/report.h>

#include "report/statistics.h"

struct tdm__report;

/* Who is taken for whom by one arm. */
typedef struct tdm__matrix {
    size_t arm, n; /* n: classes */
    char *task, **classes;
    double *counts; /* n * n, a row a label */
} tdm__matrix;

/* One image's score in one task by one arm; higher is better in `rank`. */
typedef struct tdm__score {
    uint64_t row;
    double score, rank;
} tdm__score;

/* The scores of one task by one arm, by row. */
typedef struct tdm__scores {
    size_t arm, n, capacity;
    int64_t seed;
    char *task, *what; /* what: "correct", "iou", "miou", "l1" */
    tdm__score *list;
} tdm__scores;

/* An image that stands out by what the first arm with the task says about it. */
typedef struct tdm__example {
    const char *which; /* best, median, worst */
    char *task;
    uint64_t row;
    char **pictures; /* per arm: a PNG in base64, or NULL */
} tdm__example;

typedef struct tdm__examples {
    size_t n_arms;
    tdm__matrix *matrices;
    size_t n_matrices, matrices_capacity;
    tdm__scores *scores;
    size_t n_scores, scores_capacity;
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
