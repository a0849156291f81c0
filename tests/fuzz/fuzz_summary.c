/* Fuzzes the reader of a run's summary.json: any text either fails with a message, or gives named
 * numbers. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "report/runs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tdm__run run = {0};
    if (tdm__run_parse_summary((const char *)data, size, "fuzz", &run)) {
        if (!tdm_last_error()[0]) abort();
    } else {
        if (!run.stopped) abort();
        for (size_t i = 0; i < run.n_metrics; i++)
            if (!strchr(run.metrics[i].name, '.')) abort();
    }
    tdm__run_free(&run);
    return 0;
}
