/* format/resample.h: reading pictures (rows from the top, channels interleaved) at other places
 * than their pixels' centres.
 *
 * Along an axis, output pixel i looks at the input coordinate origin + (i + 1/2) * step, where
 * input pixel p covers [p, p + 1). step 2 halves the size, step -1 mirrors; origin shifts. Nothing
 * here allocates: callers give the memory.
 *
 * Linear: the weights sample a triangle around that coordinate of half-width max(|step|, 1), so
 * that reducing averages over all of the input (antialiased), and are normalised to sum to 1. With
 * origin 0 and step = input / output this is Pillow's BILINEAR, to within 1: it takes the axes in
 * another order where that is less work.
 */
#ifndef FORMAT_RESAMPLE_H
#define FORMAT_RESAMPLE_H

#include <stddef.h>
#include <stdint.h>

/* What output pixel i is made of: inputs first[i] .. first[i] + count[i] - 1, weighted by
 * fixed[i * most ...] (22 fractional bits, for bytes) or real[i * most ...]. count 0: the
 * coordinate lies outside of the input. */
typedef struct tdm__taps {
    uint32_t n, most;
    uint32_t *first, *count;
    int32_t *fixed;
    float *real;
} tdm__taps;

/* Bytes for the taps of n output pixels of at most this |step|; n up to 2^15, |step| up to 2^15. */
size_t tdm__taps_bytes(uint32_t n, double step);
/* Lays the taps out in that memory, which must be aligned for uint32_t, and computes them. */
void tdm__taps_make(void *memory, uint32_t n, uint32_t input, double origin, double step,
                    tdm__taps *out);

/* The pixel that holds the coordinate of output pixel i; -1: none. A coordinate between two pixels
 * belongs to the later one, with a negative step to the earlier one, so that mirroring commutes. */
int64_t tdm__nearest(double origin, double step, uint32_t i, uint32_t input);

/* Along the rows first, rounded to bytes, then along the columns. in: pixels of `channels` bytes,
 * `width` a row. middle: room for width of the output times height of the input, in pixels. out:
 * rows->n rows of columns->n pixels. Where taps are empty the result is 0. */
void tdm__resample_u8(const uint8_t *in, uint32_t width, unsigned channels, const tdm__taps *rows,
                      const tdm__taps *columns, uint8_t *middle, uint8_t *out);
void tdm__resample_f32(const float *in, uint32_t width, unsigned channels, const tdm__taps *rows,
                       const tdm__taps *columns, float *middle, float *out);

#endif
