/* experiment/manifest.h: what an earlier call has noted of its runs. */
#ifndef EXPERIMENT_MANIFEST_H
#define EXPERIMENT_MANIFEST_H

#include <stdint.h>

#include "base/error.h"
#include "base/hash.h"

typedef struct tdm__manifest_run {
    char *folder, *error; /* error: NULL when there is none */
    char hash[TDM__HASH_HEX], binary[TDM__HASH_HEX];
    int state; /* a tdm_run_state */
    int exit;
    double seconds;
} tdm__manifest_run;

typedef struct tdm__manifest {
    char *created;
    tdm__manifest_run *runs;
    size_t n, capacity;
} tdm__manifest;

/* TDM_ERR_DATA: no JSON, another format. Runs that are not described fully are left out. */
tdm_status tdm__manifest_parse(const char *text, size_t size, const char *name, tdm__manifest *out);
void tdm__manifest_free(tdm__manifest *manifest);

#endif
