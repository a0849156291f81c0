/* Fuzzes PNG: any bytes either fail with a message, or give an image whose every pixel byte is
 * there. */
#include <stdint.h>
#include <stdlib.h>

#include "format/png.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* The header's width and height: large ones are legal and only slow the fuzzer down. */
    if (size >= 24 &&
        (data[16] || data[17] || data[18] > 7 || data[20] || data[21] || data[22] > 7))
        return 0;
    tdm__image image;
    if (tdm__png_parse(data, size, "fuzz", &image)) {
        if (image.pixels || !tdm_last_error()[0]) abort();
        return 0;
    }
    volatile uint8_t sum = 0;
    size_t n = (size_t)image.width * image.height * image.channels * image.bits / 8;
    for (size_t i = 0; i < n; i++) sum = (uint8_t)(sum + ((uint8_t *)image.pixels)[i]);
    tdm__image_free(&image);
    return 0;
}
