/* data/cityscapes.c: see cityscapes.h. */
#include "data/cityscapes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

const char *const tdm__city_class_names[TDM__CITY_CLASSES] = {
    "road",         "sidewalk",   "building", "wall",       "fence",  "pole",  "traffic light",
    "traffic sign", "vegetation", "terrain",  "sky",        "person", "rider", "car",
    "truck",        "bus",        "train",    "motorcycle", "bicycle"};
const char *const tdm__city_category_names[TDM__CITY_CATEGORIES] = {
    "flat", "construction", "object", "nature", "sky", "human", "vehicle"};

enum { IDS = 34, FIRST_OBJECT = 1000, MOST_IDS = 65536 };

/* Of each labelId, as the data set's own scripts map them. */
static uint8_t class_of(unsigned id)
{
    static const uint8_t trained[TDM__CITY_CLASSES] = {7,  8,  11, 12, 13, 17, 19, 20, 21, 22,
                                                       23, 24, 25, 26, 27, 28, 31, 32, 33};
    for (unsigned c = 0; c < TDM__CITY_CLASSES; c++)
        if (trained[c] == id) return (uint8_t)c;
    return TDM__CITY_IGNORE;
}

/* The categories' classes follow one another: the last class of each. */
static uint8_t category_of(uint8_t class)
{
    static const uint8_t last[TDM__CITY_CATEGORIES] = {1, 4, 7, 9, 10, 12, 18};
    for (unsigned k = 0; k < TDM__CITY_CATEGORIES; k++)
        if (class <= last[k]) return (uint8_t)k;
    return TDM__CITY_IGNORE;
}

static tdm_status check_form(const tdm__image *image, unsigned bits, const char *name)
{
    if (image->channels == 1 && image->bits == bits) return TDM_OK;
    return tdm__fail(TDM_ERR_DATA, "%s: has %u channels of %u bits: must be grey, of %u bits", name,
                     image->channels, image->bits, bits);
}

tdm_status tdm__city_classes(const tdm__image *label_ids, const char *name, uint8_t *classes,
                             uint8_t *categories)
{
    uint8_t class[IDS];
    const uint8_t *ids = label_ids->pixels;
    tdm_status status = check_form(label_ids, 8, name);
    if (status) return status;
    for (unsigned id = 0; id < IDS; id++) class[id] = class_of(id);
    for (size_t i = 0; i < tdm__image_bytes(label_ids); i++) {
        /* -1, the licence plate, is stored as 255 */
        if (ids[i] >= IDS && ids[i] != 255)
            return tdm__fail(TDM_ERR_DATA, "%s: holds the label id %u: must be in 0..%d", name,
                             ids[i], IDS - 1);
        classes[i] = ids[i] < IDS ? class[ids[i]] : TDM__CITY_IGNORE;
        categories[i] = category_of(classes[i]);
    }
    return TDM_OK;
}

struct tdm__city_sum {
    double x, y;
    uint64_t n;
};

tdm_status tdm__city_instances_create(tdm__city_instances *out)
{
    return tdm__calloc_try(MOST_IDS, sizeof *out->sums, &out->sums);
}

void tdm__city_instances_free(tdm__city_instances *instances)
{
    free(instances->sums);
    instances->sums = NULL;
}

tdm_status tdm__city_vectors(tdm__city_instances *instances, const tdm__image *instance_ids,
                             const char *name, float *vectors)
{
    const uint16_t *ids = instance_ids->pixels;
    const uint32_t w = instance_ids->width, h = instance_ids->height;
    tdm_status status = check_form(instance_ids, 16, name);
    if (status) return status;
    memset(instances->sums, 0, MOST_IDS * sizeof *instances->sums);
    for (uint32_t y = 0, i = 0; y < h; y++)
        for (uint32_t x = 0; x < w; x++, i++) {
            struct tdm__city_sum *s = &instances->sums[ids[i]];
            s->x += x;
            s->y += y;
            s->n++;
        }
    for (uint32_t y = 0, i = 0; y < h; y++)
        for (uint32_t x = 0; x < w; x++, i++) {
            const struct tdm__city_sum *s = &instances->sums[ids[i]];
            const bool object = ids[i] >= FIRST_OBJECT;
            vectors[2 * (size_t)i] = object ? (float)(s->x / (double)s->n - x) : NAN;
            vectors[2 * (size_t)i + 1] = object ? (float)(s->y / (double)s->n - y) : NAN;
        }
    return TDM_OK;
}

tdm_status tdm__city_disparity(const tdm__image *disparity, const char *name, float *out)
{
    const uint16_t *p = disparity->pixels;
    tdm_status status = check_form(disparity, 16, name);
    if (status) return status;
    for (size_t i = 0; i < (size_t)disparity->width * disparity->height; i++)
        out[i] = p[i] > 1 ? (float)(p[i] - 1) / 256 : NAN;
    return TDM_OK;
}
