/* Fuzzes the description of the arrays in a checkpoint's metadata (tandem.arrays): any text either
 * fails with a message, or gives arrays whose numbers agree, and which come back the same when they
 * are described and read again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "train/arrays.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition) abort();
}

static void check_array(const tdm_array_info *info)
{
    uint64_t elems = 1;
    require(info->name && info->dtype && tdm_array_kind_name(info->kind));
    require(info->rank >= 0 && info->rank <= TDM_ARRAY_RANK);
    for (int i = 0; i < info->rank; i++) {
        require(info->dims[i] > 0 && elems <= UINT64_MAX / info->dims[i]);
        elems *= info->dims[i];
    }
    require(info->elems == elems);
    for (uint64_t c = 0; info->class_names && c < info->classes; c++)
        require(strlen(info->class_names[c]) < SIZE_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tdm__arrays arrays, again;
    char *text = malloc(size + 1), *described, *twice;
    if (!text) return 0;
    memcpy(text, data, size);
    text[size] = 0;
    if (tdm__arrays_parse(text, "fuzz", &arrays)) {
        require(!arrays.document && !arrays.infos && !arrays.n && tdm_last_error()[0]);
        free(text);
        return 0;
    }
    for (size_t i = 0; i < arrays.n; i++) check_array(&arrays.infos[i]);
    require(!tdm__arrays_describe(arrays.infos, arrays.n, &described));
    require(!tdm__arrays_parse(described, "fuzz", &again) && again.n == arrays.n);
    require(!tdm__arrays_describe(again.infos, again.n, &twice) && !strcmp(described, twice));
    free(described);
    free(twice);
    tdm__arrays_free(&arrays);
    tdm__arrays_free(&again);
    free(text);
    return 0;
}
