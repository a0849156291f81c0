/* data/transform_geometry.c: drawing where the axes of a sample look, and moving arrays there. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "data/transform.h"
#include "format/resample.h"

/* ---- drawing --------------------------------------------------------------------------------- */

static void mirror(tdm__geometry *g, int d)
{
    g->axis[d].origin += g->axis[d].step * g->size[d];
    g->axis[d].step = -g->axis[d].step;
}

/* A quarter turn against the clock: out[i][j] = in[j][width - 1 - i]. */
static void turn(tdm__geometry *g)
{
    const uint32_t height = g->size[0];
    mirror(g, 1);
    const tdm__axis rows = g->axis[1];
    g->axis[1] = g->axis[0];
    g->axis[0] = rows;
    g->size[0] = g->size[1];
    g->size[1] = height;
}

/* Looks from `at` on, in pixels of now, with pixels `ratio` times as large. */
static void move(tdm__geometry *g, int d, double at, double ratio, uint32_t size)
{
    g->axis[d].origin += g->axis[d].step * at;
    g->axis[d].step *= ratio;
    g->size[d] = size;
}

static void draw_scale(const tdm_transform *t, tdm__rng *rng, tdm__geometry *g)
{
    const double zoom = t->value[0] + (t->value[1] - t->value[0]) * tdm__rng_uniform(rng);
    g->zoom *= zoom;
    for (int d = 0; d < 2; d++) { /* below 1 the room is negative: the picture lies within */
        const double room = g->size[d] - g->size[d] / zoom;
        move(g, d, room * tdm__rng_uniform(rng), 1 / zoom, g->size[d]);
    }
}

static void draw_crop(const tdm_transform *t, bool augment, tdm__rng *rng, tdm__geometry *g)
{
    for (int d = 0; d < 2; d++) {
        const int64_t room = (int64_t)g->size[d] - t->size[d];
        double at = floor((double)room / 2);
        if (augment)
            at = (double)tdm__rng_below(rng, (uint64_t)(room + 2 * (int64_t)t->border) + 1) -
                 t->border;
        move(g, d, at, 1, t->size[d]);
    }
}

/* As torchvision's ColorJitter: each with a factor of its own, in a random order. */
static void draw_jitter(const tdm_transform *t, tdm__rng *rng, tdm__draw *out)
{
    uint64_t order[TDM__COLOURS];
    tdm__rng_permutation(rng, order, TDM__COLOURS);
    for (int i = 0; i < TDM__COLOURS; i++) {
        const double range = t->value[order[i]], u = tdm__rng_uniform(rng);
        const double shift = range * (2 * u - 1);
        if (range == 0) continue;
        out->colours[out->n_colours++] = (tdm__colour_step){
            (tdm__colour)order[i], (float)(order[i] == TDM__COLOUR_HUE ? shift : 1 + shift)};
    }
}

static void draw_one(const tdm_transform *t, tdm__rng *rng, tdm__draw *out)
{
    tdm__geometry *g = &out->geometry;
    switch (t->kind) {
    case TDM_TRANSFORM_FLIP:
    case TDM_TRANSFORM_VFLIP:
        if (tdm__rng_uniform(rng) < t->value[0]) mirror(g, t->kind == TDM_TRANSFORM_FLIP);
        break;
    case TDM_TRANSFORM_ROTATE90: {
        bool square = g->size[0] == g->size[1];
        uint64_t quarters = square ? tdm__rng_below(rng, 4) : 2 * tdm__rng_below(rng, 2);
        for (uint64_t i = 0; i < quarters; i++) turn(g);
        break;
    }
    case TDM_TRANSFORM_SCALE:
        draw_scale(t, rng, g);
        break;
    case TDM_TRANSFORM_JITTER:
        draw_jitter(t, rng, out);
        break;
    case TDM_TRANSFORM_CROP:
    case TDM_TRANSFORM_RESIZE: /* on every split: not here */
        break;
    }
}

void tdm__transform_draw(const tdm_transforms *t, const uint32_t frame[2], bool augment,
                         tdm__rng *rng, tdm__draw *out)
{
    tdm__geometry *g = &out->geometry;
    out->n_colours = 0;
    *g = (tdm__geometry){.axis = {{0, 0, 1}, {1, 0, 1}}, .size = {frame[0], frame[1]}, .zoom = 1};
    for (size_t i = 0; i < t->n; i++) {
        const tdm_transform *one = &t->list[i];
        if (one->kind == TDM_TRANSFORM_CROP)
            draw_crop(one, augment, rng, g);
        else if (one->kind == TDM_TRANSFORM_RESIZE)
            for (int d = 0; d < 2; d++)
                move(g, d, 0, (double)g->size[d] / one->size[d], one->size[d]);
        else if (augment)
            draw_one(one, rng, out);
    }
    g->identity = true;
    for (int d = 0; d < 2; d++)
        g->identity = g->identity && g->axis[d].source == d && g->axis[d].origin == 0 &&
                      g->axis[d].step == 1 && g->size[d] == frame[d];
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* The largest sizes and steps that a list can lead to, over both axes (a turn swaps them). */
static void bounds(const tdm_transforms *t, const uint32_t source[2], uint32_t *side, double *step)
{
    uint64_t size[2] = {source[0], source[1]};
    double steps[2] = {1, 1};
    for (size_t i = 0; i < t->n; i++) {
        const tdm_transform *one = &t->list[i];
        for (int d = 0; d < 2; d++) {
            if (one->kind == TDM_TRANSFORM_RESIZE) steps[d] *= (double)size[d] / one->size[d];
            if (one->kind == TDM_TRANSFORM_SCALE) steps[d] /= one->value[0];
            if (one->kind == TDM_TRANSFORM_RESIZE || one->kind == TDM_TRANSFORM_CROP)
                size[d] = one->size[d];
        }
        if (one->kind == TDM_TRANSFORM_ROTATE90)
            steps[0] = steps[1] = steps[0] > steps[1] ? steps[0] : steps[1];
    }
    *side = (uint32_t)(size[0] > size[1] ? size[0] : size[1]);
    /* room for what rounding adds: taps are counted in whole pixels */
    *step = (steps[0] > steps[1] ? steps[0] : steps[1]) * (1 + 1e-6);
}

/* Work memory, one after another: taps of both axes (or two tables of pixels, which are smaller),
 * the rows resampled along one axis, the picture before a transposition. Colours use it all again.
 */
typedef struct room {
    size_t taps, middle, whole; /* bytes, in whole cache lines */
} room;

static size_t lines(uint64_t bytes)
{
    return (size_t)((bytes + 63) / 64 * 64);
}

static tdm_status measure(const tdm_transforms *t, const tdm__mapped *array, room *out)
{
    uint32_t side;
    double step;
    const uint64_t pixel = array->channels * (uint64_t)(array->dtype == TDM_U8 ? 1 : 4);
    uint64_t middle, whole, longest;
    bounds(t, array->source, &side, &step);
    longest = array->source[0] > array->source[1] ? array->source[0] : array->source[1];
    if (step > 32768 || !tdm__mul_u64(longest * side, pixel, &middle) ||
        !tdm__mul_u64((uint64_t)side * side, pixel, &whole) || middle > SIZE_MAX / 16 ||
        whole > SIZE_MAX / 16)
        return tdm__fail(TDM_ERR_CONFIG, "data.transforms: a sample would take too much memory");
    out->taps = lines(tdm__taps_bytes(side, step));
    out->middle = lines(middle);
    out->whole = lines(whole);
    return TDM_OK;
}

tdm_status tdm__transform_room(const tdm_transforms *t, const tdm__mapped *array, size_t *out)
{
    room r = {0};
    *out = 0;
    if (array->role == TDM__ROLE_NONE || array->role == TDM__ROLE_BOX) return TDM_OK;
    tdm_status status = measure(t, array, &r);
    if (status) return status;
    const size_t planes = r.whole * (array->dtype == TDM_U8 ? 4 : 1);
    *out = 2 * r.taps + r.middle + r.whole;
    if (array->role == TDM__ROLE_IMAGE && planes > *out) *out = planes;
    return TDM_OK;
}

/* ---- pixels as they are ---------------------------------------------------------------------- */

/* Copies of a constant size become single moves. */
static inline void gather(const unsigned char *from, size_t stride, const int32_t *at, uint32_t n,
                          size_t pixel, const void *outside, unsigned char *to)
{
    for (uint32_t i = 0; i < n; i++, to += pixel)
        memcpy(to, at[i] < 0 ? outside : from + (size_t)at[i] * stride, pixel);
}

static void gather_row(const unsigned char *from, size_t stride, const int32_t *at, uint32_t n,
                       size_t pixel, const void *outside, unsigned char *to)
{
    switch (pixel) {
    case 1:
        gather(from, stride, at, n, 1, outside, to);
        break;
    case 3:
        gather(from, stride, at, n, 3, outside, to);
        break;
    case 4:
        gather(from, stride, at, n, 4, outside, to);
        break;
    case 12:
        gather(from, stride, at, n, 12, outside, to);
        break;
    default:
        gather(from, stride, at, n, pixel, outside, to);
    }
}

static size_t element_bytes(const tdm__mapped *array)
{
    return array->dtype == TDM_U8 ? 1 : 4;
}

/* A pixel's worth of the value outside. */
static void fill_outside(const tdm__mapped *array, double value, unsigned char *pixel)
{
    const size_t size = element_bytes(array);
    const uint8_t byte = value >= 0 && value <= 255 ? (uint8_t)value : 255;
    const int32_t whole = value >= INT32_MIN && value <= INT32_MAX ? (int32_t)value : -1;
    const float real = (float)value;
    const void *from = array->dtype == TDM_U8    ? (const void *)&byte
                       : array->dtype == TDM_I32 ? (const void *)&whole
                                                 : (const void *)&real;
    for (uint32_t c = 0; c < array->channels; c++) memcpy(pixel + c * size, from, size);
}

/* Which source pixel each output pixel of an axis takes. *run: they follow one another. */
static void nearest_table(const tdm__axis *axis, uint32_t n, uint32_t input, int32_t *at, bool *run)
{
    *run = true;
    for (uint32_t i = 0; i < n; i++) {
        at[i] = (int32_t)tdm__nearest(axis->origin, axis->step, i, input);
        *run = *run && at[i] >= 0 && at[i] == at[0] + (int32_t)i;
    }
}

/* outside: a pixel. work: room for the two tables. */
static void move_nearest(const tdm__mapped *array, const tdm__geometry *g, const void *from,
                         void *to, void *work, const void *outside)
{
    const size_t pixel = array->channels * element_bytes(array);
    const size_t strides[2] = {array->source[1] * pixel, pixel};
    const unsigned char *in = from;
    unsigned char *out = to;
    int32_t *rows = work, *columns = rows + g->size[0];
    const tdm__axis *y = &g->axis[0], *x = &g->axis[1];
    bool rows_run, run;
    nearest_table(y, g->size[0], array->source[y->source], rows, &rows_run);
    nearest_table(x, g->size[1], array->source[x->source], columns, &run);
    const size_t bytes = g->size[1] * pixel;
    for (uint32_t i = 0; i < g->size[0]; i++, out += bytes) {
        const unsigned char *row = in + (size_t)(rows[i] < 0 ? 0 : rows[i]) * strides[y->source];
        if (rows[i] < 0)
            for (uint32_t j = 0; j < g->size[1]; j++) memcpy(out + j * pixel, outside, pixel);
        else if (run && x->source == 1)
            memcpy(out, row + (size_t)columns[0] * pixel, bytes);
        else
            gather_row(row, strides[x->source], columns, g->size[1], pixel, outside, out);
    }
}

/* ---- images ---------------------------------------------------------------------------------- */

static bool on_pixels(const tdm__axis *axis)
{
    return fabs(axis->step) == 1 && axis->origin == floor(axis->origin);
}

/* (height, width) pixels to (width, height) ones. */
static void transpose(const unsigned char *from, uint32_t height, uint32_t width, size_t pixel,
                      unsigned char *to)
{
    for (uint32_t x = 0; x < width; x++)
        for (uint32_t y = 0; y < height; y++, to += pixel)
            memcpy(to, from + ((size_t)y * width + x) * pixel, pixel);
}

/* Resampled in the source's orientation, then turned. */
static void move_linear(const tdm__mapped *array, const tdm__geometry *g, const void *from,
                        void *to, void *work)
{
    const bool turned = g->axis[0].source == 1;
    const size_t pixel = array->channels * element_bytes(array);
    tdm__taps taps[2];
    unsigned char *at = work;
    for (int s = 0; s < 2; s++) {
        const int d = turned ? 1 - s : s;
        const tdm__axis *axis = &g->axis[d];
        tdm__taps_make(at, g->size[d], array->source[s], axis->origin, axis->step, &taps[s]);
        at += lines(tdm__taps_bytes(g->size[d], axis->step));
    }
    unsigned char *middle = at;
    unsigned char *whole = at + lines((uint64_t)array->source[0] * taps[1].n * pixel);
    void *out = turned ? (void *)whole : to;
    if (array->dtype == TDM_U8)
        tdm__resample_u8(from, array->source[1], array->channels, &taps[0], &taps[1], middle, out);
    else
        tdm__resample_f32(from, array->source[1], array->channels, &taps[0], &taps[1],
                          (float *)(void *)middle, out);
    if (turned) transpose(whole, taps[0].n, taps[1].n, pixel, to);
}

/* ---- what else moves ------------------------------------------------------------------------- */

static void move_box(const tdm__geometry *g, const float *from, float *to)
{
    for (int d = 0; d < 2; d++) { /* x, y of a corner are axes 1, 0 */
        const tdm__axis *axis = &g->axis[d];
        const int s = axis->source;
        const double low = (from[1 - s] - axis->origin) / axis->step;
        const double high = (from[3 - s] - axis->origin) / axis->step;
        /* NaN stays in both: every comparison with it is false */
        double begin = low < high ? low : high, end = low < high ? high : low;
        if (begin < 0) begin = 0;
        if (end > g->size[d]) end = g->size[d];
        to[1 - d] = (float)begin;
        to[3 - d] = (float)end;
    }
    if (to[0] < to[2] && to[1] < to[3]) return;
    for (int i = 0; i < 4; i++) to[i] = NAN;
}

static void rescale(float *values, size_t n, double factor)
{
    if (factor == 1) return;
    for (size_t i = 0; i < n; i++) values[i] = (float)(values[i] * factor);
}

/* Vectors lie in the source's axes: (x, y) = axes (1, 0). */
static void turn_vectors(const tdm__geometry *g, float *values, size_t n)
{
    const tdm__axis *x = &g->axis[1], *y = &g->axis[0];
    for (size_t i = 0; i < n; i++, values += 2) {
        const float in[2] = {values[0], values[1]};
        values[0] = (float)(in[1 - x->source] / x->step);
        values[1] = (float)(in[1 - y->source] / y->step);
    }
}

void tdm__transform_move(const tdm__mapped *array, const tdm__geometry *g, const void *from,
                         void *to, void *work)
{
    if (array->role == TDM__ROLE_BOX) {
        move_box(g, from, to);
        return;
    }
    const size_t n = (size_t)g->size[0] * g->size[1] * array->channels;
    const bool image = array->role == TDM__ROLE_IMAGE;
    if (image && !(on_pixels(&g->axis[0]) && on_pixels(&g->axis[1]))) {
        move_linear(array, g, from, to, work);
        return;
    }
    /* a pixel of the value outside lies before the tables */
    unsigned char *outside = work;
    fill_outside(array, image ? 0 : array->outside, outside);
    move_nearest(array, g, from, to, outside + lines(array->channels * element_bytes(array)),
                 outside);
    if (array->role == TDM__ROLE_DEPTH) rescale(to, n, 1 / g->zoom);
    if (array->role == TDM__ROLE_INVERSE) rescale(to, n, g->zoom);
    if (array->role == TDM__ROLE_VECTORS) turn_vectors(g, to, n / 2);
}
