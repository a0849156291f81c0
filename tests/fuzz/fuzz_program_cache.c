/* The parser of program cache files. */
#include <stdlib.h>

#include "cl/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const void *binary;
    size_t n;
    const char *reason = tdm__cache_decode(data, size, NULL, &binary, &n);
    if (reason) {
        if (binary || n != 0) abort();
        return 0;
    }
    /* What is accepted lies inside the file and is all of its rest; it hashes without a bad read.
     */
    const uint8_t *begin = binary;
    if (begin < data || begin + n != data + size) abort();
    volatile uint64_t hash = tdm__hash64(binary, n);
    (void)hash;
    return 0;
}
