/* The reader of tuning files: what it takes answers lookups and survives writing and reading. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "graph/tuning.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static tdm_status look_up(void *user, const char *key, const char *algorithm)
{
    const char *found = tdm__tuning_find(user, key);
    if (!found || strcmp(found, algorithm) != 0) abort();
    return TDM_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tdm__tuning *tuning, *again;
    char *text, before[TDM__HASH_HEX], after[TDM__HASH_HEX];
    if (tdm__tuning_parse((const char *)data, size, "fuzz", &tuning)) {
        if (tuning) abort();
        return 0;
    }
    if (tdm__tuning_each(tuning, look_up, tuning)) abort();
    if (tdm__tuning_text(tuning, &text)) abort();
    if (tdm__tuning_parse(text, strlen(text), "again", &again)) abort();
    if (tdm__tuning_count(again) != tdm__tuning_count(tuning)) abort();
    if (tdm__tuning_hash(tuning, before) || tdm__tuning_hash(again, after)) abort();
    if (strcmp(before, after) != 0) abort();
    free(text);
    tdm__tuning_destroy(&again);
    tdm__tuning_destroy(&tuning);
    return 0;
}
