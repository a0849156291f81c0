/* format/voc.h: boxes in XML files of the PASCAL VOC form. */
#ifndef FORMAT_VOC_H
#define FORMAT_VOC_H

#include <stddef.h>

#include "base/error.h"

/* In pixels from the left and top edge; max exclusive. VOC counts pixels from 1 and includes the
 * last, so 1..n becomes 0..n. */
typedef struct tdm__voc_box {
    double xmin, ymin, xmax, ymax;
    double width, height; /* of the picture; 0: not said */
} tdm__voc_box;

/* The first <bndbox> of the text. TDM_ERR_DATA naming `name`: none, a side missing or not a number,
 * an empty box, one that is not inside the picture. */
tdm_status tdm__voc_parse(const void *bytes, size_t size, const char *name, tdm__voc_box *out);
tdm_status tdm__voc_read(const char *path, tdm__voc_box *out);

#endif
