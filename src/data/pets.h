/* data/pets.h: one sample of the Oxford-IIIT Pet data set (Parkhi et al., CVPR 2012) from its
 * files.
 *
 * A picture with its trimap (1 animal, 2 background, 3 border, which counts as animal) becomes an
 * S x S square: the picture squashed, antialiased bilinear; the trimap by the nearest pixel; the
 * box around the mask of the result. Heads come from XML files, where there are any. */
#ifndef DATA_PETS_H
#define DATA_PETS_H

#include "format/image.h"
#include "format/voc.h"

typedef struct tdm__pets_sample {
    uint32_t size;   /* S */
    uint8_t *image;  /* S * S * 3 */
    uint8_t *mask;   /* S * S: 1 animal, 0 background */
    uint8_t *trimap; /* S * S: 0 animal, 1 background, 2 border */
    float box[4];    /* xmin, ymin, xmax, ymax in pixels, max exclusive; NaN: no animal */
    float head[4];   /* NaN: not known */
} tdm__pets_sample;

tdm_status tdm__pets_sample_create(uint32_t size, tdm__pets_sample *out);
void tdm__pets_sample_free(tdm__pets_sample *sample); /* safe on a zeroed struct */

/* Fills all but head, which becomes NaN. TDM_ERR_DATA naming `name`: sizes that differ, a trimap
 * with other values than 1, 2, 3. */
tdm_status tdm__pets_fill(const tdm__image *picture, const tdm__image *trimap, const char *name,
                          tdm__pets_sample *out);
/* The head's box of a picture of width x height, which must be the one that the box is in. */
tdm_status tdm__pets_head(const tdm__voc_box *box, uint32_t width, uint32_t height,
                          const char *name, tdm__pets_sample *out);

#endif
