/* Fuzzes the reader of pipeline.json: any text either fails with a message, or gives records that
 * are found again by their names. */
#include <stdint.h>
#include <stdlib.h>

#include "train/stage_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tdm__stage_records records = {0};
    if (tdm__stage_records_parse((const char *)data, size, "fuzz", &records)) {
        if (!tdm_last_error()[0] || records.n) abort();
        return 0;
    }
    for (size_t i = 0; i < records.n; i++) {
        const size_t n = records.n;
        tdm__stage_record *found;
        if (tdm__stage_records_get(&records, records.list[i].name, &found)) abort();
        if (found != &records.list[i] || records.n != n) abort();
        if (tdm__stage_inputs_differ(&found->inputs, &records.list[i].inputs)) abort();
    }
    tdm__stage_records_free(&records);
    return 0;
}
