/* Fuzzes the decoding of HDF5 chunks. Input: number of filters, their numbers, element size, two
 * bytes of decoded size (little-endian), mask of skipped filters, then the stored chunk. */
#include <libdeflate.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "format/hdf5_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tdm__h5_coding coding = {0};
    if (size < 1) return 0;
    coding.n_filters = data[0] % 5;
    if (size < 5 + coding.n_filters) return 0;
    for (size_t i = 0; i < coding.n_filters; i++) coding.filters[i] = 1 + data[1 + i] % 3;
    data += 1 + coding.n_filters, size -= 1 + coding.n_filters;
    coding.elem_size = 1 + data[0] % 16;
    coding.size = (size_t)data[1] | (size_t)data[2] << 8;
    uint32_t skipped = data[3];
    data += 4, size -= 4;
    size_t room = tdm__h5_coding_room(&coding);
    struct libdeflate_decompressor *inflater = libdeflate_alloc_decompressor();
    uint8_t *a = tdm__calloc(room, 1), *b = tdm__calloc(room, 1);
    const void *out = NULL;
    if (inflater && a && b) {
        const char *wrong = tdm__h5_decode(&coding, skipped, inflater, data, size, a, b, &out);
        if (!wrong != (out != NULL)) abort();
        volatile uint8_t sum = 0;
        for (size_t i = 0; out && i < coding.size; i++)
            sum = (uint8_t)(sum + ((const uint8_t *)out)[i]);
    }
    free(a);
    free(b);
    if (inflater) libdeflate_free_decompressor(inflater);
    return 0;
}
