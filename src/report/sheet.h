/* report/sheet.h: a picture made of panels side by side: the input, what each task says about it,
 * and the truth where it is known. */
#ifndef REPORT_SHEET_H
#define REPORT_SHEET_H

#include "report/canvas.h"

typedef struct tdm__sheet {
    tdm__image view; /* the input as shown: RGB, enlarged by whole factors or reduced */
    tdm__image *panels;
    size_t n, capacity;
} tdm__sheet;

/* Begins with the input: h * w * channels values, u8 or float32 (of 0..1, else stretched). */
tdm_status tdm__sheet_begin(tdm__sheet *sheet, const void *pixels, bool is_float, int64_t h,
                            int64_t w, int64_t channels);
void tdm__sheet_free(tdm__sheet *sheet);
/* All panels, in rows of at most four. */
tdm_status tdm__sheet_write(const tdm__sheet *sheet, const char *path);

/* Each adds one panel. Maps may have another resolution than the input. */
tdm_status tdm__sheet_input(tdm__sheet *sheet);
/* A picture: values of 0..1. */
tdm_status tdm__sheet_picture(tdm__sheet *sheet, const char *title, const float *values, int64_t h,
                              int64_t w, int64_t channels);
/* Classes over the input, with a legend; -1: not labelled (grey). names may be NULL. Of two classes
 * only class 1 is coloured. */
tdm_status tdm__sheet_mask(tdm__sheet *sheet, const char *title, const int32_t *labels, int64_t h,
                           int64_t w, uint64_t classes, const char *const *names);
/* One number a pixel in colours from low to high, with the scale below; NaN is grey. */
tdm_status tdm__sheet_map(tdm__sheet *sheet, const char *title, const float *values, int64_t h,
                          int64_t w, double low, double high);
/* Boxes in pixels of an input of input_h * input_w; truth may be NULL. */
tdm_status tdm__sheet_boxes(tdm__sheet *sheet, const char *title, const float *box,
                            const float *truth, int64_t input_h, int64_t input_w);
/* The most probable classes as bars; truth -1: not known. */
tdm_status tdm__sheet_classes(tdm__sheet *sheet, const char *title, const float *probabilities,
                              uint64_t classes, const char *const *names, int64_t truth);
/* Numbers, and the truth beside them (may be NULL). */
tdm_status tdm__sheet_values(tdm__sheet *sheet, const char *title, const float *values,
                             const float *truth, uint64_t n);

#endif
