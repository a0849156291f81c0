/* ops/block.c: see ops/block.h. */
#include "ops/block.h"

tdm__axis tdm__axis_of(const tdm_desc *desc, int axis)
{
    tdm__axis a = {1, (uint64_t)desc->dim[axis], 1};
    for (int i = 0; i < axis; i++) a.outer *= (uint64_t)desc->dim[i];
    for (int i = axis + 1; i < desc->rank; i++) a.inner *= (uint64_t)desc->dim[i];
    return a;
}

void tdm__emit_block(tdm__build *b, const tdm__block *block)
{
    if (block->width == 0) return;
    const tdm__io *io = tdm__build_io(b);
    const tdm_desc *x = &io->in[block->input];
    const bool load = io->load.input == block->input + 1;
    uint64_t total = block->rows * block->width;
    tdm__kernel *k = tdm__emit(b, "shape.cl", "shape_block", "");
    tdm__arg_in(k, block->input);
    tdm__arg_out(k, 0);
    tdm__arg_load(k);
    tdm__arg_span(b, k, total);
    tdm__arg_u64(k, block->width);
    tdm__arg_u64(k, block->from_stride);
    tdm__arg_u64(k, block->from_offset);
    tdm__arg_u64(k, block->to_stride);
    tdm__arg_u64(k, block->to_offset);
    tdm__arg_i32(k, load ? TDM__BLOCK_LOAD : block->mode);
    tdm__arg_i32(k, load ? x->dim[x->rank - 1] : 1);
    int passes = block->mode == TDM__BLOCK_ZERO ? 1 : block->mode == TDM__BLOCK_COPY ? 2 : 3;
    tdm__cost(k, 0, 4.0 * passes * (double)total);
}

tdm_status tdm__expect_axis(const tdm__io *io, int axis)
{
    const tdm_desc *x = &io->in[0];
    char text[96];
    if (x->dtype != TDM_F32 && x->dtype != TDM_I32)
        return tdm__fail(TDM_ERR_SHAPE, "x: must be f32 or i32, got %s",
                         tdm_desc_text(x, text, sizeof text));
    if (axis < 0 || axis >= x->rank)
        return tdm__fail(TDM_ERR_SHAPE, "axis: must be one of the axes of %s, got %d",
                         tdm_desc_text(x, text, sizeof text), axis);
    return TDM_OK;
}
