/* Fuzzes the reader of metrics.jsonl: whatever the lines hold, each series has names, and as many
 * epochs as values. */
#include <stdint.h>
#include <stdlib.h>

#include "report/history.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tdm__history history = {0};
    if (tdm__history_parse((const char *)data, size, &history)) abort();
    for (size_t i = 0; i < history.n; i++) {
        const tdm__series *s = &history.series[i];
        double sum = 0;
        if (!s->split || !s->task || !s->what || !s->n) abort();
        for (size_t k = 0; k < s->n; k++) sum += s->epoch[k] + s->value[k];
        if (tdm__history_find(&history, s) != s || (sum > 0 && sum < 0)) abort();
    }
    tdm__history_free(&history);
    return 0;
}
