/* report/outline.h: what an experiment's folder says of itself (experiment.json): its arms in
 * their order, the baseline, and every run, those too that have failed or still wait. */
#ifndef REPORT_OUTLINE_H
#define REPORT_OUTLINE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* A key of a configuration and its value as text. */
typedef struct tdm__pair {
    char *key, *value;
} tdm__pair;

typedef struct tdm__pairs {
    tdm__pair *list;
    size_t n, capacity;
} tdm__pairs;
tdm_status tdm__pairs_add(tdm__pairs *pairs, const char *key, const char *value);
void tdm__pairs_free(tdm__pairs *pairs);
/* NULL when there is none. */
const char *tdm__pairs_find(const tdm__pairs *pairs, const char *key);

typedef struct tdm__outline_arm {
    char *name, *group;   /* group: the arm without its grid point */
    tdm__pairs set, grid; /* grid: what its point of the grid sets */
} tdm__outline_arm;

typedef struct tdm__outline_run {
    char *arm, *folder;  /* folder: relative to the experiment's, inside it */
    char *state;         /* waiting, running, done, failed, stopped */
    char *error;         /* "" */
    char *hash, *binary; /* of what the run is made of, and of the program that did it; "" */
    int64_t seed, exit;
    double seconds;
} tdm__outline_run;

typedef struct tdm__outline {
    char *name, *created, *version, *device, *baseline; /* "" where it says nothing */
    char *command;                                      /* without the folder that it is to fill */
    int64_t *seeds;
    size_t n_seeds;
    tdm__outline_arm *arms;
    size_t n_arms;
    tdm__outline_run *runs;
    size_t n_runs;
} tdm__outline;

/* name: of the file, for messages. TDM_ERR_DATA: no JSON, another format, a run without arm or
 * folder, a folder outside of the experiment's. Zero-initialise *out; release it also after a
 * failure. */
tdm_status tdm__outline_parse(const char *text, size_t size, const char *name, tdm__outline *out);
void tdm__outline_free(tdm__outline *outline);

#endif
