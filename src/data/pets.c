/* data/pets.c: see pets.h. */
#include "data/pets.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { ANIMAL = 1, BACKGROUND = 2, BORDER = 3 };

tdm_status tdm__pets_sample_create(uint32_t size, tdm__pets_sample *out)
{
    const size_t pixels = (size_t)size * size;
    tdm_status status = TDM_OK;
    *out = (tdm__pets_sample){.size = size};
    TDM_TRY(tdm__calloc_try(pixels, 3, &out->image));
    TDM_TRY(tdm__calloc_try(pixels, 1, &out->mask));
    TDM_TRY(tdm__calloc_try(pixels, 1, &out->trimap));
done:
    if (status) tdm__pets_sample_free(out);
    return status;
}

void tdm__pets_sample_free(tdm__pets_sample *s)
{
    free(s->image);
    free(s->mask);
    free(s->trimap);
    *s = (tdm__pets_sample){0};
}

static tdm_status check_pair(const tdm__image *picture, const tdm__image *trimap, const char *name)
{
    if (picture->width != trimap->width || picture->height != trimap->height)
        return tdm__fail(TDM_ERR_DATA, "%s: the picture has %u x %u pixels, its trimap %u x %u",
                         name, picture->width, picture->height, trimap->width, trimap->height);
    if (trimap->channels != 1 || trimap->bits != 8)
        return tdm__fail(TDM_ERR_DATA, "%s: the trimap must be grey, of 8 bits", name);
    const uint8_t *p = trimap->pixels;
    for (size_t i = 0; i < tdm__image_bytes(trimap); i++)
        if (p[i] < ANIMAL || p[i] > BORDER)
            return tdm__fail(TDM_ERR_DATA, "%s: the trimap holds the value %u: must be 1, 2 or 3",
                             name, p[i]);
    return TDM_OK;
}

static tdm_status fill_image(const tdm__image *picture, tdm__pets_sample *out)
{
    tdm__image rgb = {0}, square = {0};
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__image_convert(picture, 3, &rgb));
    TDM_TRY(tdm__image_resize(&rgb, out->size, out->size, TDM__IMAGE_BILINEAR, &square));
    memcpy(out->image, square.pixels, tdm__image_bytes(&square));
done:
    tdm__image_free(&rgb);
    tdm__image_free(&square);
    return status;
}

/* Around all pixels that are set; NaN when none is. */
static void box_around(const uint8_t *mask, uint32_t size, float box[4])
{
    uint32_t low[2] = {size, size}, high[2] = {0, 0};
    for (uint32_t y = 0; y < size; y++)
        for (uint32_t x = 0; x < size; x++) {
            if (!mask[(size_t)y * size + x]) continue;
            const uint32_t at[2] = {x, y};
            for (int k = 0; k < 2; k++) {
                if (at[k] < low[k]) low[k] = at[k];
                if (at[k] >= high[k]) high[k] = at[k] + 1;
            }
        }
    for (int k = 0; k < 2; k++) {
        box[k] = high[0] ? (float)low[k] : NAN;
        box[2 + k] = high[0] ? (float)high[k] : NAN;
    }
}

tdm_status tdm__pets_fill(const tdm__image *picture, const tdm__image *trimap, const char *name,
                          tdm__pets_sample *out)
{
    tdm__image square = {0};
    tdm_status status = TDM_OK;
    for (int k = 0; k < 4; k++) out->head[k] = NAN;
    TDM_TRY(check_pair(picture, trimap, name));
    TDM_TRY(fill_image(picture, out));
    TDM_TRY(tdm__image_resize(trimap, out->size, out->size, TDM__IMAGE_NEAREST, &square));
    const uint8_t *p = square.pixels;
    for (size_t i = 0; i < tdm__image_bytes(&square); i++) {
        out->trimap[i] = (uint8_t)(p[i] - 1);
        out->mask[i] = p[i] != BACKGROUND;
    }
    box_around(out->mask, out->size, out->box);
done:
    tdm__image_free(&square);
    return status;
}

tdm_status tdm__pets_head(const tdm__voc_box *box, uint32_t width, uint32_t height,
                          const char *name, tdm__pets_sample *out)
{
    if ((box->width && box->width != width) || (box->height && box->height != height) ||
        box->xmax > width || box->ymax > height)
        return tdm__fail(TDM_ERR_DATA,
                         "%s: its box belongs to a picture of %g x %g pixels, this one has %u x %u",
                         name, box->width, box->height, width, height);
    const double x = (double)out->size / width, y = (double)out->size / height;
    out->head[0] = (float)(box->xmin * x);
    out->head[1] = (float)(box->ymin * y);
    out->head[2] = (float)(box->xmax * x);
    out->head[3] = (float)(box->ymax * y);
    return TDM_OK;
}
