/* support/jpeg_fixture.h: JPEG files of made-up pictures. */
#ifndef SUPPORT_JPEG_FIXTURE_H
#define SUPPORT_JPEG_FIXTURE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jpeglib.h>

#include "support/support.h"

typedef struct support_jpeg {
    unsigned width, height;
    J_COLOR_SPACE space; /* JCS_GRAYSCALE, JCS_RGB or JCS_CMYK: of `pixels`; 1, 3 or 4 channels */
    int scans;           /* 0: sequential; else progressive with so many scans, for grey only */
} support_jpeg;

/* A smooth picture: channel c of pixel (x, y). */
uint8_t support_jpeg_value(unsigned x, unsigned y, unsigned c);
/* The file's bytes at quality 100, no subsampling; free() them. */
unsigned char *support_jpeg_bytes(const support_jpeg *spec, size_t *size);
/* The same as folder/name. */
void support_jpeg_write(const char *folder, const char *name, const support_jpeg *spec);

#endif
