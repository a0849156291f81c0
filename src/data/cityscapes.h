/* data/cityscapes.h: what the label pictures of Cityscapes (Cordts et al., CVPR 2016) mean, at the
 * size at which they are stored. All inputs have H x W pixels already. */
#ifndef DATA_CITYSCAPES_H
#define DATA_CITYSCAPES_H

#include "format/image.h"

enum { TDM__CITY_CLASSES = 19, TDM__CITY_CATEGORIES = 7, TDM__CITY_IGNORE = 255 };
extern const char *const tdm__city_class_names[TDM__CITY_CLASSES];
extern const char *const tdm__city_category_names[TDM__CITY_CATEGORIES];

/* labelIds (8 bits) -> the 19 classes that are trained (trainIds), and their 7 categories; 255
 * where there is none. TDM_ERR_DATA naming `name`: another form of picture, an id above 33. */
tdm_status tdm__city_classes(const tdm__image *label_ids, const char *name, uint8_t *classes,
                             uint8_t *categories);

/* Memory for tdm__city_vectors. */
typedef struct tdm__city_instances {
    struct tdm__city_sum *sums; /* per id */
} tdm__city_instances;
tdm_status tdm__city_instances_create(tdm__city_instances *out);
void tdm__city_instances_free(tdm__city_instances *instances); /* safe on a zeroed struct */

/* instanceIds (16 bits; from 1000 on a pixel belongs to a single object) -> at each pixel of an
 * object the vector (x, y), in pixels, to the mean of the object's pixels; NaN elsewhere.
 * vectors: H * W * 2. */
tdm_status tdm__city_vectors(tdm__city_instances *instances, const tdm__image *instance_ids,
                             const char *name, float *vectors);

/* disparity (16 bits: 0 no reading, else (p - 1) / 256) -> pixels of the original picture, which is
 * proportional to the inverse of the depth; NaN where there is no reading or it is 0. */
tdm_status tdm__city_disparity(const tdm__image *disparity, const char *name, float *out);

#endif
