/* ops/concat.c: joins tensors along one axis. Its gradient is a slice per input. What comes as a
 * recipe (a skip, behind batch norm) is computed while it is copied: it need not be stored twice.
 */
#include <stddef.h>

#include <tandem/ops.h>

#include "ops/block.h"

typedef struct concat_attrs {
    int32_t axis;
} concat_attrs;

static const tdm__attr attrs[] = {{"axis", 'i', offsetof(concat_attrs, axis), 1}};

static tdm_status infer(const tdm__io *io, tdm_desc *out)
{
    tdm_status status = TDM_OK;
    int axis = ((const concat_attrs *)io->attrs)->axis;
    char text[96], text_0[96];
    TDM_TRY(tdm__expect_axis(io, axis));
    out[0] = io->in[0];
    for (int i = 1; i < io->n_in; i++) {
        tdm_desc like = io->in[i];
        like.dim[axis] = io->in[0].dim[axis];
        if (like.rank <= axis || !tdm_desc_equal(&like, &io->in[0]))
            return tdm__fail(TDM_ERR_SHAPE, "input %d: must be like %s in all but axis %d, got %s",
                             i, tdm_desc_text(&io->in[0], text_0, sizeof text_0), axis,
                             tdm_desc_text(&io->in[i], text, sizeof text));
        if (io->in[i].dim[axis] > INT64_MAX - out[0].dim[axis])
            return tdm__fail(TDM_ERR_SHAPE, "axis %d: the sum of sizes overflows", axis);
        out[0].dim[axis] += io->in[i].dim[axis];
    }
done:
    return status;
}

static tdm_status gradient(tdm_graph *g, const tdm__node_view *node, const tdm_value *dout,
                           const bool *need, tdm_value *din)
{
    int axis = ((const concat_attrs *)node->io->attrs)->axis;
    int64_t begin = 0;
    for (int i = 0; i < node->io->n_in; i++) {
        int64_t end = begin + node->io->in[i].dim[axis];
        if (need[i]) din[i] = tdm_slice(g, dout[0], axis, begin, end);
        begin = end;
    }
    return TDM_OK;
}

static void reference(const tdm__ref *ref)
{
    int axis = ((const concat_attrs *)ref->io->attrs)->axis;
    tdm__axis to = tdm__axis_of(&ref->io->out[0], axis);
    uint64_t offset = 0;
    for (int i = 0; i < ref->io->n_in; i++) {
        uint64_t width = (uint64_t)ref->io->in[i].dim[axis] * to.inner;
        for (uint64_t e = 0; e < to.outer * width; e++)
            ref->out[0][e / width * to.size * to.inner + offset + e % width] = ref->in[i][e];
        offset += width;
    }
}

static tdm_status prepare(tdm__build *b)
{
    const tdm__io *io = tdm__build_io(b);
    int axis = ((const concat_attrs *)io->attrs)->axis;
    tdm__axis to = tdm__axis_of(&io->out[0], axis);
    uint64_t offset = 0;
    for (int i = 0; i < io->n_in; i++) {
        uint64_t width = (uint64_t)io->in[i].dim[axis] * to.inner;
        tdm__emit_block(b, &(tdm__block){.input = i,
                                         .rows = to.outer,
                                         .width = width,
                                         .from_stride = width,
                                         .to_stride = to.size * to.inner,
                                         .to_offset = offset});
        offset += width;
    }
    return TDM_OK;
}

static const tdm__variant variants[] = {{"blocks", TDM__ON_ANY, .loads = ~0u, .prepare = prepare}};

static const concat_attrs axis_0 = {0}, axis_1 = {1}, axis_3 = {3}, before = {-1};
static const tdm__sample samples[] = {
    {"one", &axis_1, 1, {TDM__F32(2, 5)}},
    {"channels 15+16+17",
     &axis_3,
     3,
     {TDM__F32(2, 3, 2, 15), TDM__F32(2, 3, 2, 16), TDM__F32(2, 3, 2, 17)}},
    {"channels 1+1", &axis_3, 2, {TDM__F32(3, 5, 7, 1), TDM__F32(3, 5, 7, 1)}},
    {"height", &axis_1, 2, {TDM__F32(2, 3, 5, 7), TDM__F32(2, 4, 5, 7)}},
    {"batch", &axis_0, 3, {TDM__F32(2, 11), TDM__F32(1, 11), TDM__F32(3, 11)}},
    {"two spans", &axis_3, 2, {TDM__F32(1, 19, 31, 29), TDM__F32(1, 19, 31, 3)}},
    {"integers",
     &axis_1,
     2,
     {TDM__I32(3, 4), TDM__I32(3, 2)},
     {TDM__FILL_INDEX, TDM__FILL_INDEX},
     {99, 7}},
};
static const tdm__reject rejects[] = {
    {"axis",
     &axis_3,
     2,
     {TDM__F32(2, 3), TDM__F32(2, 3)},
     TDM_ERR_SHAPE,
     "axis: must be one of the axes of f32[2,3], got 3"},
    {"negative axis",
     &before,
     1,
     {TDM__F32(2, 3)},
     TDM_ERR_SHAPE,
     "axis: must be one of the axes of f32[2,3], got -1"},
    {"shapes",
     &axis_1,
     2,
     {TDM__F32(2, 3), TDM__F32(3, 3)},
     TDM_ERR_SHAPE,
     "input 1: must be like f32[2,3] in all but axis 1, got f32[3,3]"},
    {"types",
     &axis_1,
     2,
     {TDM__F32(2, 3), TDM__I32(2, 3)},
     TDM_ERR_SHAPE,
     "input 1: must be like f32[2,3] in all but axis 1, got i32[2,3]"},
    {"bytes", &axis_0, 1, {TDM__U8(2, 3)}, TDM_ERR_SHAPE, "x: must be f32 or i32, got u8[2,3]"},
};

const tdm_op tdm__op_concat = {
    .name = "concat",
    .attr_size = sizeof(concat_attrs),
    TDM__ATTRS(attrs),
    .min_in = 1,
    .max_in = -1,
    .n_out = 1,
    .differentiable = ~0u,
    .out_gradient = 1,
    .infer = infer,
    .gradient = gradient,
    .reference = reference,
    TDM__TABLES(variants, samples, rejects),
};

tdm_value tdm_concat(tdm_graph *g, const tdm_value *x, int n, int axis)
{
    return tdm__op_append(g, &tdm__op_concat, x, n, &(concat_attrs){axis});
}
