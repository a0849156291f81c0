/* report/canvas.h: drawing into an RGB picture of 8 bits. What lies outside is clipped. */
#ifndef REPORT_CANVAS_H
#define REPORT_CANVAS_H

#include <stdbool.h>

#include "format/image.h"

typedef struct tdm__color {
    uint8_t r, g, b;
} tdm__color;

extern const tdm__color tdm__ink, tdm__faint, tdm__paper;
/* Okabe and Ito's colours, which people with any colour vision tell apart (Color Universal Design,
 * 2008); from the ninth class on they return in lighter and darker tones. */
tdm__color tdm__color_of_class(uint64_t index);
/* viridis (van der Walt and Smith, 2015), at 0..1: even steps of lightness. */
tdm__color tdm__color_of_value(double value);
tdm__color tdm__color_mix(tdm__color a, tdm__color b, double share_of_b);

typedef struct tdm__box {
    int x, y, w, h;
} tdm__box;

/* Text is drawn with pixels of `scale` by `scale`. */
int tdm__text_width(const char *text, int scale);
int tdm__text_height(int scale);

tdm__color tdm__canvas_get(const tdm__image *image, int x, int y);
void tdm__canvas_set(tdm__image *image, int x, int y, tdm__color color);
void tdm__canvas_fill(tdm__image *image, tdm__box box, tdm__color color);
/* A frame of `width` pixels inside the box; dash 0: unbroken, else dashes of so many pixels. */
void tdm__canvas_frame(tdm__image *image, tdm__box box, int width, int dash, tdm__color color);
/* Left and upper edge at x, y; cut with ".." where it is wider than `room` (0: any). Returns the
 * width. Letters beyond ASCII become one question mark each. */
int tdm__canvas_text(tdm__image *image, int x, int y, int scale, int room, tdm__color color,
                     const char *text);

#endif
