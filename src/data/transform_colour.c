/* data/transform_colour.c: brightness, contrast, saturation and hue, as torchvision's ColorJitter
 * defines them:
 *
 *     brightness  f x
 *     contrast    f x + (1 - f) mean,  mean of the picture's grey values
 *     saturation  f x + (1 - f) grey,  grey = 0.2989 R + 0.587 G + 0.114 B
 *     hue         the hue of HSV turned by a part of a full turn
 *
 * each limited to the range of the pixels. Pixels become planes of floats for all steps together
 * and are rounded once at the end. One channel: contrast's mean is of the values themselves,
 * saturation and hue do nothing. Loops have no branches in them, so that compilers vectorise them.
 */
#include <string.h>

#include "base/simd.h"
#include "data/transform.h"

/* Values that are summed in float before they go to the double total. */
enum { RUN = 256 };

typedef struct picture {
    float *red, *green, *blue; /* one channel: red alone */
    size_t n;
    unsigned channels;
    float top; /* the largest value */
} picture;

static inline float limit(float v, float top)
{
    v = v > 0 ? v : 0;
    return v < top ? v : top;
}

static inline float grey(float r, float g, float b)
{
    return 0.2989f * r + 0.587f * g + 0.114f * b;
}

static inline void brighten(float *restrict plane, size_t n, float factor, float top)
{
    for (size_t i = 0; i < n; i++) plane[i] = limit(plane[i] * factor, top);
}

/* Eight partial sums, always the same ones. */
static inline float sum_run(const picture *p, size_t first, size_t n)
{
    float sums[8] = {0};
    for (size_t i = 0; i + 8 <= n; i += 8)
        for (size_t k = 0; k < 8; k++) {
            size_t at = first + i + k;
            sums[k] += p->channels == 1 ? p->red[at] : grey(p->red[at], p->green[at], p->blue[at]);
        }
    for (size_t i = n / 8 * 8; i < n; i++) {
        size_t at = first + i;
        sums[0] += p->channels == 1 ? p->red[at] : grey(p->red[at], p->green[at], p->blue[at]);
    }
    return ((sums[0] + sums[4]) + (sums[1] + sums[5])) +
           ((sums[2] + sums[6]) + (sums[3] + sums[7]));
}

static inline float mean_of(const picture *p)
{
    double total = 0;
    for (size_t at = 0; at < p->n; at += RUN)
        total += (double)sum_run(p, at, p->n - at < RUN ? p->n - at : RUN);
    return (float)(total / (double)p->n);
}

static inline void blend(float *restrict plane, size_t n, float factor, float other, float top)
{
    for (size_t i = 0; i < n; i++) plane[i] = limit(factor * plane[i] + (1 - factor) * other, top);
}

static inline void saturate(const picture *p, float factor)
{
    float *restrict r = p->red, *restrict g = p->green, *restrict b = p->blue;
    const float top = p->top;
    for (size_t i = 0; i < p->n; i++) {
        const float other = (1 - factor) * grey(r[i], g[i], b[i]);
        r[i] = limit(factor * r[i] + other, top);
        g[i] = limit(factor * g[i] + other, top);
        b[i] = limit(factor * b[i] + other, top);
    }
}

/* A channel from hue (in sixths, -1 to 5, shifted by -3 to 3), value and chroma; corner: 5 red, 3
 * green, 1 blue. value - chroma * clamp(min(k, 4 - k), 0, 1), k = (corner + hue) mod 6. */
static inline float channel_of(float hue, float value, float chroma, float corner)
{
    float k = corner + hue;
    k = k < 0 ? k + 6 : k;
    k = k >= 6 ? k - 6 : k;
    k = k >= 6 ? k - 6 : k;
    float part = k < 4 - k ? k : 4 - k;
    return value - chroma * limit(part, 1);
}

static inline void turn_hue(const picture *p, float turns)
{
    float *restrict r = p->red, *restrict g = p->green, *restrict b = p->blue;
    const float shift = 6 * turns;
    for (size_t i = 0; i < p->n; i++) {
        const float red = r[i], green = g[i], blue = b[i];
        const float rg_most = red > green ? red : green, rg_least = red < green ? red : green;
        const float most = rg_most > blue ? rg_most : blue;
        const float least = rg_least < blue ? rg_least : blue;
        const float chroma = most - least, inverse = 1 / (chroma > 0 ? chroma : 1);
        float hue = (red - green) * inverse + 4;
        hue = most == green ? (blue - red) * inverse + 2 : hue;
        hue = most == red ? (green - blue) * inverse : hue;
        hue += shift;
        r[i] = channel_of(hue, most, chroma, 5);
        g[i] = channel_of(hue, most, chroma, 3);
        b[i] = channel_of(hue, most, chroma, 1);
    }
}

TDM__WIDE static void carry_out(const picture *p, const tdm__colour_step *step)
{
    float *const planes[3] = {p->red, p->green, p->blue};
    const float mean = step->what == TDM__COLOUR_CONTRAST ? mean_of(p) : 0;
    switch (step->what) {
    case TDM__COLOUR_BRIGHTNESS:
        for (unsigned c = 0; c < p->channels; c++) brighten(planes[c], p->n, step->amount, p->top);
        break;
    case TDM__COLOUR_CONTRAST:
        for (unsigned c = 0; c < p->channels; c++)
            blend(planes[c], p->n, step->amount, mean, p->top);
        break;
    case TDM__COLOUR_SATURATION:
        if (p->channels == 3) saturate(p, step->amount);
        break;
    case TDM__COLOUR_HUE:
        if (p->channels == 3) turn_hue(p, step->amount);
        break;
    case TDM__COLOURS:
        break;
    }
}

/* ---- pixels to planes and back ----------------------------------------------------------------
 */

TDM__WIDE static void planes_from(const void *pixels, tdm_dtype dtype, const picture *p)
{
    const uint8_t *bytes = pixels;
    const float *values = pixels;
    const size_t n = p->n;
    if (p->channels == 1 && dtype == TDM_U8)
        for (size_t i = 0; i < n; i++) p->red[i] = bytes[i];
    else if (p->channels == 1)
        memcpy(p->red, values, n * sizeof *values);
    else if (dtype == TDM_U8)
        for (size_t i = 0; i < n; i++, bytes += 3)
            p->red[i] = bytes[0], p->green[i] = bytes[1], p->blue[i] = bytes[2];
    else
        for (size_t i = 0; i < n; i++, values += 3)
            p->red[i] = values[0], p->green[i] = values[1], p->blue[i] = values[2];
}

/* In [0, 255]: through int, for which processors have an instruction. */
static inline uint8_t to_byte(float v)
{
    return (uint8_t)(int)(v + 0.5f);
}

TDM__WIDE static void planes_to(const picture *p, tdm_dtype dtype, void *pixels)
{
    uint8_t *bytes = pixels;
    float *values = pixels;
    const size_t n = p->n;
    if (p->channels == 1 && dtype == TDM_U8)
        for (size_t i = 0; i < n; i++) bytes[i] = to_byte(p->red[i]);
    else if (p->channels == 1)
        memcpy(values, p->red, n * sizeof *values);
    else if (dtype == TDM_U8)
        for (size_t i = 0; i < n; i++, bytes += 3)
            bytes[0] = to_byte(p->red[i]), bytes[1] = to_byte(p->green[i]),
            bytes[2] = to_byte(p->blue[i]);
    else
        for (size_t i = 0; i < n; i++, values += 3)
            values[0] = p->red[i], values[1] = p->green[i], values[2] = p->blue[i];
}

void tdm__transform_colours(const tdm__colour_step *steps, size_t n_steps, tdm_dtype dtype,
                            unsigned channels, size_t n, void *pixels, float *planes)
{
    const picture p = {planes, planes + n, planes + 2 * n,
                       n,      channels,   dtype == TDM_U8 ? 255.f : 1.f};
    if (!n_steps) return;
    planes_from(pixels, dtype, &p);
    for (size_t i = 0; i < n_steps; i++) carry_out(&p, &steps[i]);
    planes_to(&p, dtype, pixels);
}
