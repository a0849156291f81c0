/* format/resample.c: separable resampling; see resample.h. */
#include "format/resample.h"

#include <math.h>
#include <string.h>

#include "base/simd.h"

/* 255 * 2^22 and the half for rounding fit 31 bits. */
enum { WEIGHT_BITS = 22, BLOCK = 256 };

/* ---- taps ------------------------------------------------------------------------------------ */

static double half_width(double step)
{
    double size = fabs(step);
    return size > 1 ? size : 1;
}

static uint32_t most_taps(double step)
{
    return (uint32_t)ceil(half_width(step)) * 2 + 1;
}

size_t tdm__taps_bytes(uint32_t n, double step)
{
    return (size_t)n * (2 + 2 * (size_t)most_taps(step)) * 4;
}

/* Weight of input pixel x for an output centred there; narrow = 1 / half-width. A division more or
 * less would change the last bit of some weights, and so of pixels, from Pillow's. */
static double triangle(uint32_t x, double centre, double narrow)
{
    double far = fabs((x - centre + 0.5) * narrow);
    return far < 1 ? 1 - far : 0;
}

static void make_one(tdm__taps *t, uint32_t i, double centre, double half, uint32_t input)
{
    t->first[i] = t->count[i] = 0;
    if (!(centre >= 0 && centre <= input)) return;
    double low = floor(centre - half + 0.5), high = floor(centre + half + 0.5), total = 0;
    const double narrow = 1 / half;
    uint32_t begin = low > 0 ? (uint32_t)low : 0, end = high < input ? (uint32_t)high : input;
    int32_t *fixed = t->fixed + (size_t)i * t->most;
    float *real = t->real + (size_t)i * t->most;
    for (uint32_t x = begin; x < end; x++) total += triangle(x, centre, narrow);
    for (uint32_t x = begin; x < end; x++) {
        double weight = triangle(x, centre, narrow) / total;
        fixed[x - begin] = (int32_t)(weight * (1 << WEIGHT_BITS) + 0.5);
        real[x - begin] = (float)weight;
    }
    t->first[i] = begin;
    t->count[i] = end - begin;
}

void tdm__taps_make(void *memory, uint32_t n, uint32_t input, double origin, double step,
                    tdm__taps *out)
{
    uint32_t *at = memory;
    *out = (tdm__taps){.n = n, .most = most_taps(step)};
    out->first = at;
    out->count = at + n;
    out->fixed = (int32_t *)(at + 2 * (size_t)n);
    out->real = (float *)(at + (2 + (size_t)out->most) * n);
    for (uint32_t i = 0; i < n; i++)
        make_one(out, i, origin + (i + 0.5) * step, half_width(step), input);
}

int64_t tdm__nearest(double origin, double step, uint32_t i, uint32_t input)
{
    /* ties of exact fractions must not fall to either side by rounding */
    const double at = origin + (i + 0.5) * step, slack = 1e-9;
    const double pixel = step < 0 ? ceil(at - slack) - 1 : floor(at + slack);
    return pixel >= 0 && pixel < input ? (int64_t)pixel : -1;
}

/* ---- bytes ----------------------------------------------------------------------------------- */

static inline uint8_t round_sum(int32_t sum)
{
    sum >>= WEIGHT_BITS; /* weights are positive, but may sum to a little more than 1 */
    return sum > 255 ? 255 : (uint8_t)sum;
}

/* The loop over channels has a constant length in the copies that matter. */
static inline void row_u8(const uint8_t *in, unsigned channels, const tdm__taps *t, uint8_t *out)
{
    for (uint32_t x = 0; x < t->n; x++, out += channels) {
        const int32_t *weight = t->fixed + (size_t)x * t->most;
        const uint8_t *from = in + (size_t)t->first[x] * channels;
        int32_t sum[4];
        for (unsigned c = 0; c < channels; c++) sum[c] = 1 << (WEIGHT_BITS - 1);
        for (uint32_t k = 0; k < t->count[x]; k++, from += channels)
            for (unsigned c = 0; c < channels; c++) sum[c] += from[c] * weight[k];
        for (unsigned c = 0; c < channels; c++) out[c] = round_sum(sum[c]);
    }
}

/* Pictures of more channels than four: one at a time. */
static void row_u8_any(const uint8_t *in, unsigned channels, const tdm__taps *t, uint8_t *out)
{
    for (uint32_t x = 0; x < t->n; x++)
        for (unsigned c = 0; c < channels; c++) {
            const uint8_t *from = in + (size_t)t->first[x] * channels + c;
            int32_t sum = 1 << (WEIGHT_BITS - 1);
            for (uint32_t k = 0; k < t->count[x]; k++, from += channels)
                sum += *from * t->fixed[(size_t)x * t->most + k];
            *out++ = round_sum(sum);
        }
}

TDM__WIDE static void rows_u8(const uint8_t *in, unsigned channels, const tdm__taps *t,
                              uint8_t *out)
{
    switch (channels) {
    case 1:
        row_u8(in, 1, t, out);
        break;
    case 3:
        row_u8(in, 3, t, out);
        break;
    case 4:
        row_u8(in, 4, t, out);
        break;
    default:
        row_u8_any(in, channels, t, out);
    }
}

/* Output row y: a weighted sum of whole rows, some columns at a time. */
TDM__WIDE static void column_u8(const uint8_t *in, size_t stride, const tdm__taps *t, uint32_t y,
                                uint8_t *out)
{
    const int32_t *weight = t->fixed + (size_t)y * t->most;
    const uint8_t *from = in + t->first[y] * stride;
    for (size_t at = 0; at < stride; at += BLOCK) {
        size_t n = stride - at < BLOCK ? stride - at : BLOCK;
        int32_t sum[BLOCK];
        for (size_t x = 0; x < n; x++) sum[x] = 1 << (WEIGHT_BITS - 1);
        for (uint32_t k = 0; k < t->count[y]; k++)
            for (size_t x = 0; x < n; x++) sum[x] += from[k * stride + at + x] * weight[k];
        for (size_t x = 0; x < n; x++) out[at + x] = round_sum(sum[x]);
    }
}

/* Input rows that any output row needs: [*first, *end). */
static void rows_needed(const tdm__taps *rows, uint32_t *first, uint32_t *end)
{
    *first = UINT32_MAX;
    *end = 0;
    for (uint32_t i = 0; i < rows->n; i++) {
        if (!rows->count[i]) continue;
        if (rows->first[i] < *first) *first = rows->first[i];
        if (rows->first[i] + rows->count[i] > *end) *end = rows->first[i] + rows->count[i];
    }
}

void tdm__resample_u8(const uint8_t *in, uint32_t width, unsigned channels, const tdm__taps *rows,
                      const tdm__taps *columns, uint8_t *middle, uint8_t *out)
{
    const size_t stride = (size_t)columns->n * channels;
    uint32_t y, end;
    for (rows_needed(rows, &y, &end); y < end; y++)
        rows_u8(in + (size_t)y * width * channels, channels, columns, middle + y * stride);
    for (y = 0; y < rows->n; y++, out += stride) column_u8(middle, stride, rows, y, out);
}

/* ---- floats ---------------------------------------------------------------------------------- */

TDM__WIDE static void row_f32(const float *in, unsigned channels, const tdm__taps *t, float *out)
{
    for (uint32_t x = 0; x < t->n; x++)
        for (unsigned c = 0; c < channels; c++) {
            const float *from = in + (size_t)t->first[x] * channels + c;
            const float *weight = t->real + (size_t)x * t->most;
            float sum = 0;
            for (uint32_t k = 0; k < t->count[x]; k++, from += channels) sum += *from * weight[k];
            *out++ = sum;
        }
}

TDM__WIDE static void column_f32(const float *in, size_t stride, const tdm__taps *t, uint32_t y,
                                 float *out)
{
    const float *from = in + t->first[y] * stride, *weight = t->real + (size_t)y * t->most;
    memset(out, 0, stride * sizeof *out);
    for (uint32_t k = 0; k < t->count[y]; k++)
        for (size_t x = 0; x < stride; x++) out[x] += from[k * stride + x] * weight[k];
}

void tdm__resample_f32(const float *in, uint32_t width, unsigned channels, const tdm__taps *rows,
                       const tdm__taps *columns, float *middle, float *out)
{
    const size_t stride = (size_t)columns->n * channels;
    uint32_t y, end;
    for (rows_needed(rows, &y, &end); y < end; y++)
        row_f32(in + (size_t)y * width * channels, channels, columns, middle + y * stride);
    for (y = 0; y < rows->n; y++, out += stride) column_f32(middle, stride, rows, y, out);
}
