/* Fuzzes .npy: any bytes either fail with a message, or give exactly the elements announced, all of
 * them readable. */
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "format/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tdm__npy npy;
    tdm__npy_buffer buffer = {0};
    const void *elements = NULL;
    if (tdm__npy_load_bytes(data, size, "fuzz", &buffer, &npy, &elements)) {
        if (!tdm_last_error()[0]) abort();
        tdm__npy_buffer_free(&buffer);
        return 0;
    }
    if (!tdm__elem_valid(npy.elem) || npy.data + npy.count * npy.elem.size != size) abort();
    double *values = tdm__calloc((size_t)npy.count, sizeof *values);
    if (values &&
        tdm__elem_convert(npy.elem, elements, (size_t)npy.count, TDM__TO_F64, values) != npy.count)
        abort();
    free(values);
    tdm__npy_buffer_free(&buffer);
    return 0;
}
