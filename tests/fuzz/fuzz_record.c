/* Fuzzes what reads summary.json and metrics.jsonl into a record (the first byte says which): any
 * text either fails with a message, or gives fields with a name and a text. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "report/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tdm__record record = {0};
    char *text;
    if (size == 0 || !(text = malloc(size))) return 0;
    memcpy(text, data + 1, size - 1);
    text[size - 1] = 0;
    const tdm_status status = data[0] & 1
                                  ? tdm__record_parse_metrics(&record, text, size - 1, "fuzz")
                                  : tdm__record_parse_summary(&record, text, size - 1, "fuzz");
    if (status && !tdm_last_error()[0]) abort();
    for (size_t i = 0; i < record.n; i++)
        if (!record.fields[i].name || !record.fields[i].text) abort();
    tdm__record_free(&record);
    free(text);
    return 0;
}
