/* Fuzzes a pet's picture and trimap, both from the same bytes (a PNG): any bytes either fail with a
 * message, or give a mask, a trimap and a box that agree. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "data/pets.h"
#include "format/jpeg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SIDE = 16 };

static void check(const tdm__pets_sample *s)
{
    for (int i = 0; i < SIDE * SIDE; i++) {
        const float x = (float)(i % SIDE), y = (float)(i / SIDE);
        if (s->trimap[i] > 2 || s->mask[i] != (s->trimap[i] != 1)) abort();
        if (s->mask[i] && !(x >= s->box[0] && x < s->box[2] && y >= s->box[1] && y < s->box[3]))
            abort();
        if (s->mask[i] && isnan(s->box[0])) abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tdm__image image;
    tdm__pets_sample sample;
    if (tdm__picture_parse(data, size, "fuzz", &image)) return 0;
    if (tdm__pets_sample_create(SIDE, &sample)) abort();
    if (!tdm__pets_fill(&image, &image, "fuzz", &sample)) check(&sample);
    tdm__pets_sample_free(&sample);
    tdm__image_free(&image);
    return 0;
}
