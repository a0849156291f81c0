/* report/manifest.h: what an experiment's folder says of itself (experiment.json): its arms in
 * their order, the baseline, and every run, those too that have failed or still wait. */
#ifndef REPORT_MANIFEST_H
#define REPORT_MANIFEST_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* A key of a configuration and its value as text. */
typedef struct tdm__setting {
    char *key, *value;
} tdm__setting;

typedef struct tdm__settings {
    tdm__setting *list;
    size_t n, capacity;
} tdm__settings;
tdm_status tdm__settings_add(tdm__settings *settings, const char *key, const char *value);
void tdm__settings_free(tdm__settings *settings);
/* NULL when there is none. */
const char *tdm__settings_find(const tdm__settings *settings, const char *key);

typedef struct tdm__manifest_arm {
    char *name, *group;      /* group: the arm without its grid point */
    tdm__settings set, grid; /* grid: what its point of the grid sets */
} tdm__manifest_arm;

typedef struct tdm__manifest_run {
    char *arm, *folder; /* folder: relative to the experiment's, inside it */
    char *state;        /* waiting, running, done, failed, stopped */
    char *error;        /* "" */
    int64_t seed, exit;
    double seconds;
} tdm__manifest_run;

typedef struct tdm__manifest {
    char *name, *created, *version, *device, *baseline; /* "" where it says nothing */
    int64_t *seeds;
    size_t n_seeds;
    tdm__manifest_arm *arms;
    size_t n_arms;
    tdm__manifest_run *runs;
    size_t n_runs;
} tdm__manifest;

/* name: of the file, for messages. TDM_ERR_DATA: no JSON, another format, a run without arm or
 * folder, a folder outside of the experiment's. Zero-initialise *out; release it also after a
 * failure. */
tdm_status tdm__manifest_parse(const char *text, size_t size, const char *name, tdm__manifest *out);
void tdm__manifest_free(tdm__manifest *manifest);

#endif
