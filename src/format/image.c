/* Changing the size and form of pictures.
 *
 * Resizing is separable: along the rows first, then along the columns, each output sample a
 * weighted sum of neighbouring input samples, rounded to 8 bits in between. The weights of output
 * pixel i sample a triangle around its centre (i + 1/2) * scale, scale = input / output pixels, of
 * half-width max(scale, 1), and are normalised to sum to 1. They are held with WEIGHT_BITS
 * fractional bits: 255 * 2^22 and the half for rounding fit 31 bits. */
#include "format/image.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { WEIGHT_BITS = 22 };
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

/* What output pixel i is made of: inputs first[i] .. first[i] + count[i] - 1, with the weights from
 * weight[i * most] on. */
typedef struct taps {
    uint32_t most;
    uint32_t *first, *count;
    int32_t *weight;
} taps;

static void taps_free(taps *t)
{
    free(t->first);
    free(t->count);
    free(t->weight);
}

static void taps_fill(taps *t, uint32_t i, double scale, double width, uint32_t from)
{
    /* A division more or less would change the last bit of some weights, and so of pixels. */
    double centre = (i + 0.5) * scale, narrow = 1 / width, total = 0;
    double low = floor(centre - width + 0.5), high = floor(centre + width + 0.5);
    uint32_t begin = low > 0 ? (uint32_t)low : 0, end = high < from ? (uint32_t)high : from;
    int32_t *weight = t->weight + (size_t)i * t->most;
    for (uint32_t x = begin; x < end; x++) {
        double far = fabs((x - centre + 0.5) * narrow);
        total += far < 1 ? 1 - far : 0;
    }
    for (uint32_t x = begin; x < end; x++) {
        double far = fabs((x - centre + 0.5) * narrow), w = far < 1 ? 1 - far : 0;
        weight[x - begin] = (int32_t)(w / total * (1 << WEIGHT_BITS) + 0.5);
    }
    t->first[i] = begin;
    t->count[i] = end - begin;
}

static tdm_status taps_make(uint32_t from, uint32_t to, taps *t)
{
    double scale = (double)from / to, width = scale > 1 ? scale : 1;
    tdm_status status = TDM_OK;
    t->most = (uint32_t)ceil(width) * 2 + 1;
    TDM_TRY(tdm__calloc_try(to, sizeof *t->first, &t->first));
    TDM_TRY(tdm__calloc_try(to, sizeof *t->count, &t->count));
    TDM_TRY(tdm__calloc_try((size_t)to * t->most, sizeof *t->weight, &t->weight));
    for (uint32_t i = 0; i < to; i++) taps_fill(t, i, scale, width, from);
done:
    return status;
}

/* One output sample: `from` is the first input, `step` samples lie between neighbours. */
static uint8_t weigh(const uint8_t *from, size_t step, const int32_t *weight, uint32_t n)
{
    int32_t sum = 1 << (WEIGHT_BITS - 1);
    for (uint32_t k = 0; k < n; k++) sum += from[k * step] * weight[k];
    sum >>= WEIGHT_BITS; /* the weights are positive, but may sum to a little more than 1 */
    return sum > 255 ? 255 : (uint8_t)sum;
}

static void resize_rows(const tdm__image *in, const taps *t, tdm__image *out)
{
    const size_t c = in->channels, stride = in->width * c;
    uint8_t *to = out->pixels;
    for (uint32_t y = 0; y < in->height; y++) {
        const uint8_t *row = (const uint8_t *)in->pixels + y * stride;
        for (uint32_t x = 0; x < out->width; x++)
            for (size_t k = 0; k < c; k++)
                *to++ = weigh(row + t->first[x] * c + k, c, t->weight + (size_t)x * t->most,
                              t->count[x]);
    }
}

static void resize_columns(const tdm__image *in, const taps *t, tdm__image *out)
{
    const size_t stride = (size_t)in->width * in->channels;
    uint8_t *to = out->pixels;
    for (uint32_t y = 0; y < out->height; y++) {
        const uint8_t *from = (const uint8_t *)in->pixels + t->first[y] * stride;
        for (size_t x = 0; x < stride; x++)
            *to++ = weigh(from + x, stride, t->weight + (size_t)y * t->most, t->count[y]);
    }
}

/* An axis that keeps its size is left alone. */
static tdm_status resize_bilinear(const tdm__image *in, tdm__image *out)
{
    tdm__image middle = {0};
    const tdm__image *from = in;
    taps rows = {0}, columns = {0};
    tdm_status status = TDM_OK;
    if (in->bits != 8)
        return tdm__fail(TDM_ERR_STATE, "picture of %u bits: only 8 are resized bilinearly",
                         in->bits);
    if (in->width != out->width) {
        TDM_TRY(taps_make(in->width, out->width, &rows));
        TDM_TRY(tdm__image_create(out->width, in->height, in->channels, 8, "picture", &middle));
        resize_rows(in, &rows, &middle);
        from = &middle;
    }
    if (in->height != out->height) {
        TDM_TRY(taps_make(in->height, out->height, &columns));
        resize_columns(from, &columns, out);
    } else {
        memcpy(out->pixels, from->pixels, tdm__image_bytes(out));
    }
done:
    tdm__image_free(&middle);
    taps_free(&rows);
    taps_free(&columns);
    return status;
}

/* The input pixel that holds the centre (i + 1/2) * from / to. */
static size_t nearest(uint32_t i, uint32_t from, uint32_t to)
{
    return (size_t)((2 * (uint64_t)i + 1) * from / (2 * (uint64_t)to));
}

static void resize_nearest(const tdm__image *in, tdm__image *out)
{
    const size_t pixel = in->channels * (in->bits / 8);
    uint8_t *to = out->pixels;
    for (uint32_t y = 0; y < out->height; y++) {
        size_t row = nearest(y, in->height, out->height) * in->width;
        for (uint32_t x = 0; x < out->width; x++, to += pixel)
            memcpy(to,
                   (const uint8_t *)in->pixels + (row + nearest(x, in->width, out->width)) * pixel,
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
