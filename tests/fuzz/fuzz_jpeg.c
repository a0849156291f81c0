/* Fuzzes pictures told apart by content, JPEG above all: any bytes either fail with a message, or
 * give as many pixels as announced. */
#include <stdint.h>
#include <stdlib.h>

#include "format/jpeg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tdm__image image;
    if (tdm__picture_parse(data, size, "fuzz", &image)) {
        if (image.pixels || !tdm_last_error()[0]) abort();
        return 0;
    }
    const uint8_t *p = image.pixels;
    unsigned sum = 0;
    for (size_t i = 0; i < tdm__image_bytes(&image); i++) sum += p[i];
    if (sum > 255u * tdm__image_bytes(&image)) abort();
    tdm__image_free(&image);
    return 0;
}
