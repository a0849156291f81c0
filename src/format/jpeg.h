/* format/jpeg.h: reading JPEG files through libjpeg. */
#ifndef FORMAT_JPEG_H
#define FORMAT_JPEG_H

#include "format/image.h"

/* Grey stays grey, YCbCr and CMYK become RGB; 8 bits. The orientation that a camera notes is not
 * applied. Damaged data that libjpeg can go on after (a file cut off in its pixels) is a warning in
 * the log, and the rest of the picture is grey. TDM_ERR_DATA naming the path: no JPEG, damaged
 * beyond that, too large. */
tdm_status tdm__jpeg_read(const char *path, tdm__image *out);
tdm_status tdm__jpeg_parse(const void *bytes, size_t size, const char *name, tdm__image *out);

/* A JPEG or PNG file, told apart by its content, whatever its name. TDM_ERR_DATA says what another
 * file is. */
tdm_status tdm__picture_read(const char *path, tdm__image *out);
tdm_status tdm__picture_parse(const void *bytes, size_t size, const char *name, tdm__image *out);

#endif
