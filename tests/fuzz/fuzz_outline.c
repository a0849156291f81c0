/* Fuzzes the reader of an experiment's manifest: any text either fails with a message, or gives
 * arms with names and runs whose folders lie inside the experiment's. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "report/outline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tdm__outline outline = {0};
    if (tdm__outline_parse((const char *)data, size, "fuzz", &outline)) {
        if (!tdm_last_error()[0]) abort();
    } else {
        for (size_t i = 0; i < outline.n_arms; i++)
            if (!outline.arms[i].name || !outline.arms[i].group) abort();
        for (size_t i = 0; i < outline.n_runs; i++)
            if (outline.runs[i].folder[0] == '/' || strstr(outline.runs[i].folder, "/../")) abort();
    }
    tdm__outline_free(&outline);
    return 0;
}
