/* Fuzzes boxes in XML: any bytes either fail with a message, or give a box that is not empty. */
#include <stdint.h>
#include <stdlib.h>

#include "format/voc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tdm__voc_box b;
    if (tdm__voc_parse(data, size, "fuzz", &b)) {
        if (!tdm_last_error()[0]) abort();
        return 0;
    }
    if (!(b.xmin >= 0 && b.xmin < b.xmax && b.ymin >= 0 && b.ymin < b.ymax)) abort();
    if ((b.width > 0 && b.xmax > b.width) || (b.height > 0 && b.ymax > b.height)) abort();
    return 0;
}
