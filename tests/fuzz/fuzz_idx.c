/* Fuzzes IDX: any bytes either fail with a message, or give exactly the elements announced, all of
 * them readable. */
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "format/idx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tdm__idx idx;
    if (tdm__idx_parse(data, size, 1 << 20, "fuzz", &idx)) {
        if (idx.storage || !tdm_last_error()[0]) abort();
        return 0;
    }
    uint64_t count = 1;
    for (int i = 0; i < idx.rank; i++)
        if (!tdm__mul_u64(count, idx.dims[i], &count)) abort();
    if (count != idx.count) abort();
    double *values = tdm__calloc((size_t)count, sizeof *values);
    if (values &&
        tdm__elem_convert(idx.elem, idx.data, (size_t)count, TDM__TO_F64, values) != count)
        abort();
    free(values);
    tdm__idx_free(&idx);
    return 0;
}
