/* report/font.h: a small built-in font for numbers and names in pictures. */
#ifndef REPORT_FONT_H
#define REPORT_FONT_H

enum { TDM__FONT_WIDTH = 5, TDM__FONT_HEIGHT = 7, TDM__FONT_STEP = 6 /* from one to the next */ };

/* Seven rows, the leftmost pixel in bit 4. Anything but printable ASCII is a question mark. */
const unsigned char *tdm__font_glyph(unsigned char c);

#endif
