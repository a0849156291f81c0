/* format/png.h: PNG files through libpng. */
#ifndef FORMAT_PNG_H
#define FORMAT_PNG_H

#include "format/image.h"

/* Palettes become RGB(A); 1, 2 and 4 bits of grey are widened to 8 without scaling loss
 * (0..max to 0..255); at most 32768 pixels a side and 256 Mpixel. TDM_ERR_DATA naming the path. */
tdm_status tdm__png_read(const char *path, tdm__image *out);
tdm_status tdm__png_parse(const void *bytes, size_t size, const char *name, tdm__image *out);
/* 8 or 16 bits, 1 to 4 channels; written atomically. */
tdm_status tdm__png_write(const char *path, const tdm__image *image);

#endif
