/* graph/flat.h: flat buffers of parameters and gradients with named segments.
 *
 * Every parameter and every running statistic is a segment. All segments live in one flat parameter
 * buffer (a list of chunks when it exceeds the device's largest allocation; a segment never spans
 * two); trainable-kind segments have the same offset in the flat gradient buffer. The layout never
 * depends on what is frozen.
 *
 * Disk layout is PyTorch's; on the device: CONV O,I,H,W -> H,W,I,O (for transposed convolutions
 * I,O,H,W -> H,W,O,I), DENSE out,in -> in,out; DENSE_FLAT also permutes the input axis from PyTorch's
 * flattened C,H,W to our H,W,C.
 */
#ifndef GRAPH_FLAT_H
#define GRAPH_FLAT_H

#include "graph/op.h"

typedef enum tdm__layout {
    TDM__LAYOUT_PLAIN,
    TDM__LAYOUT_CONV,
    TDM__LAYOUT_DENSE,
    TDM__LAYOUT_DENSE_FLAT
} tdm__layout;

typedef enum tdm__segment_kind {
    TDM__SEGMENT_PARAM,  /* learnt */
    TDM__SEGMENT_STATE,  /* running statistics: saved, not learnt */
    TDM__SEGMENT_COUNTER /* num_batches_tracked: one float on the device, an I64 scalar on disk */
} tdm__segment_kind;

typedef enum tdm__init_kind {
    TDM__INIT_ZERO,
    TDM__INIT_CONSTANT,  /* value */
    TDM__INIT_UNIFORM,   /* U(-value, value) */
    TDM__INIT_NORMAL,    /* N(0, value^2) */
    TDM__INIT_DIAGONAL,  /* [i][j]..: value where i = j, else `other` */
    TDM__INIT_DIAGONALS  /* square matrices side by side: of number `own` the diagonal is value, of
                            the others `other`; else 0 */
} tdm__init_kind;

typedef struct tdm__segment {
    char *name;         /* "encoder.0.weight" */
    tdm_desc disk;      /* PyTorch's shape */
    tdm_desc device;    /* ours */
    tdm__layout layout;
    int64_t flat_c, flat_h, flat_w; /* DENSE_FLAT */
    bool transposed;    /* CONV: of a transposed convolution */
    tdm__segment_kind kind;
    bool decay;         /* weight decay applies (weights yes; biases, batch norm, log-variances no) */
    bool frozen;        /* set by freezing; neither learnt nor changed */
    bool has_gradient;  /* this step: segments without are left untouched by the optimiser */
    int group;          /* parameter group (learning-rate factor) */
    tdm__init_kind init;
    double init_value, init_other;
    int init_own;
    uint32_t chunk;     /* which chunk of the flat buffers */
    uint64_t offset;    /* elements from the chunk's start; aligned */
    uint64_t count;     /* elements */
} tdm__segment;

typedef struct tdm__flat tdm__flat;

tdm_status tdm__flat_create(tdm_device *device, tdm__flat **out);
void tdm__flat_destroy(tdm__flat **flat);
/* Declares a segment (copied; name duplicated) or, when the name exists, checks that shape, layout
 * and kind agree. *index numbers segments in order of declaration. After the seal only existing
 * names are accepted. */
tdm_status tdm__flat_declare(tdm__flat *flat, const tdm__segment *spec, size_t *index);
/* Fixes the layout and allocates the parameter buffer (and gradients when with_gradients). */
tdm_status tdm__flat_seal(tdm__flat *flat, bool with_gradients);
bool tdm__flat_sealed(const tdm__flat *flat);

size_t tdm__flat_count(const tdm__flat *flat);
tdm__segment *tdm__flat_segment(tdm__flat *flat, size_t index);
/* Index by name, SIZE_MAX when absent. */
size_t tdm__flat_find(const tdm__flat *flat, const char *name);
tdm__view tdm__flat_value_view(const tdm__flat *flat, size_t index);
/* An empty view for segments that are not learnt, and when sealed without gradients. */
tdm__view tdm__flat_gradient_view(const tdm__flat *flat, size_t index);
size_t tdm__flat_chunks(const tdm__flat *flat);
/* Parameters come first in the flat buffers, running statistics and counters after them; the gradient
 * chunks end with the last parameter (0 elements and an empty view where a chunk has none). */
tdm__view tdm__flat_chunk_values(const tdm__flat *flat, size_t chunk, uint64_t *elements);
tdm__view tdm__flat_chunk_gradients(const tdm__flat *flat, size_t chunk, uint64_t *elements);

/* Draws every segment's initial value: element i (disk order) of segment `name` is a function of
 * (seed, tdm__rng_stream(name,0,0), i) alone, so that PyTorch can draw the same. With
 * u(j) = ((lane j mod 4 of Philox block j / 4) >> 8) * 2^-24:
 *   UNIFORM  (2 u(i) - 1) * value
 *   NORMAL   sqrt(-2 ln(1 - u(2i))) cos(2 pi u(2i+1)) * value   (Box-Muller)
 * in double, then rounded to float. */
tdm_status tdm__flat_initialise(tdm__flat *flat, uint64_t seed);
/* One segment in disk order and disk shape, as floats (count elements). Blocking. */
tdm_status tdm__flat_get(tdm__flat *flat, size_t index, float *out);
tdm_status tdm__flat_set(tdm__flat *flat, size_t index, const float *values);
tdm_status tdm__flat_get_gradient(tdm__flat *flat, size_t index, float *out);
/* Permutes between disk and device order; also for optimiser state. */
void tdm__segment_to_device(const tdm__segment *s, const float *disk, float *device);
void tdm__segment_to_disk(const tdm__segment *s, const float *device, float *disk);
/* Hash over name and bytes (disk order) of all segments, or only the frozen ones. */
tdm_status tdm__flat_hash(tdm__flat *flat, bool frozen_only, char hex[33]);

#endif
