/* format/image.h: pictures in memory, as PNG and JPEG files give them, and changing their size and
 * form. Rows from the top, channels interleaved (H, W, C). */
#ifndef FORMAT_IMAGE_H
#define FORMAT_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define TDM__IMAGE_SIDE 32768 /* most pixels along a side */

typedef struct tdm__image {
    uint32_t width, height;
    unsigned channels; /* 1 grey, 2 grey+alpha, 3 RGB, 4 RGBA */
    unsigned bits;     /* 8 or 16; 16-bit samples are host-order uint16_t */
    void *pixels;      /* owned; width * height * channels * bits / 8 bytes */
} tdm__image;

typedef enum tdm__image_filter {
    TDM__IMAGE_NEAREST, /* the pixel under the centre: for masks; 8 and 16 bits */
    /* A triangle as wide as the larger of the two pixel sizes, so that reducing averages over all
     * of the input (antialiased); 8 bits. The same bits as Pillow's BILINEAR. */
    TDM__IMAGE_BILINEAR
} tdm__image_filter;

/* All zero. TDM_ERR_DATA naming `name`: no pixels, or more than 32768 a side or 256 Mpixel. */
tdm_status tdm__image_create(uint32_t width, uint32_t height, unsigned channels, unsigned bits,
                             const char *name, tdm__image *out);
size_t tdm__image_bytes(const tdm__image *image);
/* To 8 bits (16 are rounded) of `channels` = 1 or 3; alpha is dropped; grey from colours is ITU-R
 * 601 luma: (299 R + 587 G + 114 B) / 1000. */
tdm_status tdm__image_convert(const tdm__image *in, unsigned channels, tdm__image *out);
tdm_status tdm__image_resize(const tdm__image *in, uint32_t width, uint32_t height,
                             tdm__image_filter filter, tdm__image *out);
void tdm__image_free(tdm__image *image); /* safe on a zeroed struct */

#endif
