/* Changing the form and size of pictures; the arithmetic of sizes is resample.c's. */
#include "format/image.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "format/resample.h"

#define MOST_PIXELS ((uint64_t)1 << 28)

size_t tdm__image_bytes(const tdm__image *image)
{
    return (size_t)image->width * image->height * image->channels * (image->bits / 8);
}

tdm_status tdm__image_create(uint32_t width, uint32_t height, unsigned channels, unsigned bits,
                             const char *name, tdm__image *out)
{
    *out = (tdm__image){0};
    if (!width || !height || width > TDM__IMAGE_SIDE || height > TDM__IMAGE_SIDE ||
        (uint64_t)width * height > MOST_PIXELS)
        return tdm__fail(TDM_ERR_DATA,
                         "%s: %u x %u pixels: must be 1 to %d a side and %llu in all at most", name,
                         width, height, TDM__IMAGE_SIDE, (unsigned long long)MOST_PIXELS);
    if (channels < 1 || channels > 4 || (bits != 8 && bits != 16))
        return tdm__fail(TDM_ERR_STATE, "%s: %u channels of %u bits: must be 1..4 of 8 or 16", name,
                         channels, bits);
    tdm__image image = {width, height, channels, bits, NULL};
    tdm_status status = tdm__calloc_try(1, tdm__image_bytes(&image), &image.pixels);
    if (!status) *out = image;
    return status;
}

void tdm__image_free(tdm__image *image)
{
    free(image->pixels);
    *image = (tdm__image){0};
}

/* Form
 * ---------------------------------------------------------------------------------------------- */

static unsigned sample8(const tdm__image *image, size_t i)
{
    if (image->bits == 8) return ((const uint8_t *)image->pixels)[i];
    return (((const uint16_t *)image->pixels)[i] * 255u + 32767u) / 65535u;
}

/* Weights of 16 fractional bits; they sum to 1, so white stays white. */
static uint8_t luma(unsigned red, unsigned green, unsigned blue)
{
    return (uint8_t)((red * 19595u + green * 38470u + blue * 7471u + 0x8000u) >> 16);
}

tdm_status tdm__image_convert(const tdm__image *in, unsigned channels, tdm__image *out)
{
    *out = (tdm__image){0};
    if (channels != 1 && channels != 3)
        return tdm__fail(TDM_ERR_STATE, "picture of %u channels: must be 1 or 3", channels);
    tdm_status status = tdm__image_create(in->width, in->height, channels, 8, "picture", out);
    if (status) return status;
    uint8_t *to = out->pixels;
    size_t n = (size_t)in->width * in->height;
    if (in->channels == channels && in->bits == 8) {
        memcpy(to, in->pixels, tdm__image_bytes(out));
        return TDM_OK;
    }
    bool colours = in->channels >= 3;
    for (size_t i = 0; i < n; i++) {
        size_t from = i * in->channels;
        unsigned red = sample8(in, from), green = colours ? sample8(in, from + 1) : red,
                 blue = colours ? sample8(in, from + 2) : red;
        if (channels == 1) {
            to[i] = colours ? luma(red, green, blue) : (uint8_t)red;
        } else {
            to[3 * i] = (uint8_t)red;
            to[3 * i + 1] = (uint8_t)green;
            to[3 * i + 2] = (uint8_t)blue;
        }
    }
    return TDM_OK;
}

/* Size
 * ---------------------------------------------------------------------------------------------- */

static tdm_status resize_bilinear(const tdm__image *in, tdm__image *out)
{
    const double down = (double)in->height / out->height, across = (double)in->width / out->width;
    tdm__image middle = {0};
    tdm__taps rows, columns;
    void *for_rows = NULL, *for_columns = NULL;
    tdm_status status = TDM_OK;
    if (in->bits != 8)
        return tdm__fail(TDM_ERR_STATE, "picture of %u bits: only 8 are resized bilinearly",
                         in->bits);
    TDM_TRY(tdm__calloc_try(1, tdm__taps_bytes(out->height, down), &for_rows));
    TDM_TRY(tdm__calloc_try(1, tdm__taps_bytes(out->width, across), &for_columns));
    TDM_TRY(tdm__image_create(out->width, in->height, in->channels, 8, "picture", &middle));
    tdm__taps_make(for_rows, out->height, in->height, 0, down, &rows);
    tdm__taps_make(for_columns, out->width, in->width, 0, across, &columns);
    tdm__resample_u8(in->pixels, in->width, in->channels, &rows, &columns, middle.pixels,
                     out->pixels);
done:
    tdm__image_free(&middle);
    free(for_rows);
    free(for_columns);
    return status;
}

static void resize_nearest(const tdm__image *in, tdm__image *out)
{
    const size_t pixel = in->channels * (in->bits / 8);
    const double down = (double)in->height / out->height, across = (double)in->width / out->width;
    uint8_t *to = out->pixels;
    for (uint32_t y = 0; y < out->height; y++) {
        const size_t row = (size_t)tdm__nearest(0, down, y, in->height) * in->width;
        for (uint32_t x = 0; x < out->width; x++, to += pixel)
            memcpy(to,
                   (const uint8_t *)in->pixels +
                       (row + (size_t)tdm__nearest(0, across, x, in->width)) * pixel,
                   pixel);
    }
}

tdm_status tdm__image_resize(const tdm__image *in, uint32_t width, uint32_t height,
                             tdm__image_filter filter, tdm__image *out)
{
    tdm_status status =
        tdm__image_create(width, height, in->channels, in->bits, "resized picture", out);
    if (status) return status;
    if (filter == TDM__IMAGE_NEAREST)
        resize_nearest(in, out);
    else
        status = resize_bilinear(in, out);
    if (status) tdm__image_free(out);
    return status;
}
