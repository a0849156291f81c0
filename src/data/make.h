/* data/make.h: carrying out a maker (<tandem/make.h>) on one sample.
 *
 * Everything drawn for a sample comes from one sequence of numbers: first the class, then what the
 * maker needs besides (the values of the noise, the places of tiles). Input and label are made
 * independently of each other, each from the beginning of that sequence. */
#ifndef DATA_MAKE_H
#define DATA_MAKE_H

#include <tandem/dtype.h>
#include <tandem/make.h>

#include "base/rng.h"

/* A maker on pictures of one shape and type. */
typedef struct tdm__maker {
    tdm_make make;
    tdm_make_part part;
    uint32_t size[2], channels; /* height, width */
    tdm_dtype dtype;            /* of the picture: u8 or f32 */
} tdm__maker;

/* picture: its shape after the transforms; dtype: in memory. As tdm_make_shape, which fills `out`.
 */
tdm_status tdm__maker_init(const tdm_make *make, tdm_make_part part, const tdm_array_info *picture,
                           tdm_dtype dtype, tdm_array_info *out, tdm__maker *maker);
/* One sample: out is a picture like `picture` (they do not overlap) or an int32_t. */
void tdm__make(const tdm__maker *maker, tdm__rng *rng, const void *picture, void *out);
/* The numbers of a sample. stream: of the loader. */
tdm__rng tdm__make_rng(const tdm_make *make, uint64_t seed, uint64_t stream, uint64_t epoch,
                       uint64_t row);

#endif
