/* Fuzzes safetensors: any bytes either fail with a message, or give tensors that tile the data part
 * and can all be read and found by name. */
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "format/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tdm__st *st = NULL;
    if (tdm__st_open_bytes(data, size, "fuzz", &st)) {
        require(!st && tdm_last_error()[0]);
        return 0;
    }
    uint64_t at = 0;
    for (size_t i = 0; i < tdm__st_count(st); i++) {
        const tdm__st_tensor *t = tdm__st_at(st, i);
        require(t->offset == at && t->size <= size && t->count * t->elem.size == t->size);
        require(tdm__st_find(st, t->name) == t);
        at += t->size;
        double *values = tdm__calloc((size_t)t->count, sizeof *values);
        require(!values || tdm__st_read(st, t, 0, t->count, TDM__TO_F64, values) == TDM_OK);
        free(values);
    }
    for (size_t i = 0; i < tdm__st_metadata_count(st); i++) {
        const char *key, *value;
        tdm__st_metadata_at(st, i, &key, &value);
        require(tdm__st_metadata(st, key) && value);
    }
    tdm__st_close(&st);
    return 0;
}
