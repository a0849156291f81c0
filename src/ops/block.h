/* ops/block.h: launches of shape.cl: a block of each row of one tensor to a block of each row of
 * another. */
#ifndef OPS_BLOCK_H
#define OPS_BLOCK_H

#include "ops/common.h"

/* The rows of a tensor as seen from one axis: `outer` rows of dim[axis] * inner elements. */
typedef struct tdm__axis {
    uint64_t outer, size, inner;
} tdm__axis;
tdm__axis tdm__axis_of(const tdm_desc *desc, int axis);

typedef enum tdm__block_mode {
    TDM__BLOCK_COPY,
    TDM__BLOCK_ADD,
    TDM__BLOCK_ZERO,
    TDM__BLOCK_LOAD
} tdm__block_mode;

/* input -> output 0; width, strides and offsets in elements. Width 0: no launch. An
 * input that comes with a tdm__load is copied from the start of its rows, as the load has it. */
typedef struct tdm__block {
    int input;
    uint64_t rows, width, from_stride, from_offset, to_stride, to_offset;
    tdm__block_mode mode;
} tdm__block;
void tdm__emit_block(tdm__build *b, const tdm__block *block);

/* Type (4 bytes) and axis of input 0 of the operations on blocks. */
tdm_status tdm__expect_axis(const tdm__io *io, int axis);

#endif
