/* data/transform.h: carrying out data.transforms on one sample.
 *
 * A draw is everything random about one sample: where each of its output axes looks in the input (a
 * list of flips, turns, crops and sizes is one mapping per axis, so pixels are interpolated once)
 * and the colour steps. It is a pure function of (transforms, frame, numbers drawn), made anew for
 * every array of the sample, so that arrays may be done by different threads.
 */
#ifndef DATA_TRANSFORM_H
#define DATA_TRANSFORM_H

#include <tandem/loader.h>

#include "base/rng.h"

/* ---- what happens to a sample -----------------------------------------------------------------
 */

/* Output pixel i of an axis looks at origin + (i + 1/2) * step along the source's axis 0 (rows) or
 * 1 (columns). */
typedef struct tdm__axis {
    int source;
    double origin, step;
} tdm__axis;

typedef struct tdm__geometry {
    tdm__axis axis[2];
    uint32_t size[2]; /* of the output: height, width */
    double zoom;      /* product of the factors of `scale` */
    bool identity;    /* every output pixel is the input's */
} tdm__geometry;

typedef enum tdm__colour {
    TDM__COLOUR_BRIGHTNESS,
    TDM__COLOUR_CONTRAST,
    TDM__COLOUR_SATURATION,
    TDM__COLOUR_HUE,
    TDM__COLOURS
} tdm__colour;

typedef struct tdm__colour_step {
    tdm__colour what;
    float amount; /* a factor; of hue: turns */
} tdm__colour_step;

typedef struct tdm__draw {
    tdm__geometry geometry;
    size_t n_colours;
    tdm__colour_step colours[TDM_TRANSFORMS_MAX * TDM__COLOURS];
} tdm__draw;

/* frame: height, width of the source. rng: of this sample alone; unused without `augment`. */
void tdm__transform_draw(const tdm_transforms *t, const uint32_t frame[2], bool augment,
                         tdm__rng *rng, tdm__draw *out);

/* ---- geometry ---------------------------------------------------------------------------------
 */

typedef enum tdm__role {
    TDM__ROLE_NONE,    /* not touched */
    TDM__ROLE_IMAGE,   /* interpolated; outside 0 */
    TDM__ROLE_MAP,     /* nearest pixel */
    TDM__ROLE_DEPTH,   /* the same, divided by the zoom */
    TDM__ROLE_INVERSE, /* the same, multiplied by it */
    TDM__ROLE_VECTORS, /* nearest pixel, (x, y) in pixels */
    TDM__ROLE_BOX
} tdm__role;

typedef struct tdm__mapped {
    tdm__role role;
    tdm_dtype dtype; /* u8, i32 or f32 */
    uint32_t source[2], channels;
    double outside; /* not for images */
} tdm__mapped;

/* What becomes of an array, and its shape in `info` after it. As tdm_transforms_shape. */
tdm_status tdm__transform_map(const tdm_transforms *t, const tdm_array_info *frame,
                              const tdm_loader_array *want, tdm_dtype dtype, tdm_array_info *info,
                              tdm__mapped *out);
/* Bytes of work memory for one sample: of tdm__transform_move and tdm__transform_colours. */
tdm_status tdm__transform_room(const tdm_transforms *t, const tdm__mapped *array, size_t *out);
/* One sample's array from `from` to `to`, which do not overlap. work: aligned. */
void tdm__transform_move(const tdm__mapped *array, const tdm__geometry *geometry, const void *from,
                         void *to, void *work);

/* ---- colours ----------------------------------------------------------------------------------
 */

/* Carries the steps out on n pixels of 1 or 3 channels, u8 (0..255) or f32 (0..1), in place.
 * planes: channels * n floats. */
void tdm__transform_colours(const tdm__colour_step *steps, size_t n_steps, tdm_dtype dtype,
                            unsigned channels, size_t n, void *pixels, float *planes);

#endif
