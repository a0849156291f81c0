/* ops/slice.c: x[begin..end) along one axis; its gradient puts dy back between zeros, or adds it to
 * what other slices left there. */
#include <stddef.h>

#include <tandem/ops.h>

#include "ops/block.h"

/* ---- forward --------------------------------------------------------------------------------- */

typedef struct slice_attrs {
    int32_t axis;
    int64_t begin, end;
} slice_attrs;

static const tdm__attr attrs[] = {{"axis", 'i', offsetof(slice_attrs, axis), 1},
                                  {"begin", 'l', offsetof(slice_attrs, begin), 1},
                                  {"end", 'l', offsetof(slice_attrs, end), 1}};

typedef struct slice_grad_attrs {
    int32_t axis;
    int64_t begin, size;
} slice_grad_attrs;

static tdm_status infer(const tdm__io *io, tdm_desc *out)
{
    tdm_status status = TDM_OK;
    const slice_attrs *a = io->attrs;
    TDM_TRY(tdm__expect_axis(io, a->axis));
    if (a->begin < 0 || a->begin >= a->end || a->end > io->in[0].dim[a->axis])
        return tdm__fail(TDM_ERR_SHAPE, "range: must be 0 <= begin < end <= %lld, got %lld to %lld",
                         (long long)io->in[0].dim[a->axis], (long long)a->begin, (long long)a->end);
    out[0] = io->in[0];
    out[0].dim[a->axis] = a->end - a->begin;
done:
    return status;
}

static tdm_status gradient(tdm_graph *g, const tdm__node_view *node, const tdm_value *dout,
                           const bool *need, tdm_value *din)
{
    const slice_attrs *a = node->io->attrs;
    if (need[0])
        din[0] =
            tdm__graph_node(g, &tdm__op_slice_grad, dout, 1,
                            &(slice_grad_attrs){a->axis, a->begin, node->io->in[0].dim[a->axis]});
    return TDM_OK;
}

static void reference(const tdm__ref *ref)
{
    const slice_attrs *a = ref->io->attrs;
    tdm__axis from = tdm__axis_of(&ref->io->in[0], a->axis);
    uint64_t width = (uint64_t)(a->end - a->begin) * from.inner;
    for (uint64_t e = 0; e < from.outer * width; e++)
        ref->out[0][e] += ref->in[0][e / width * from.size * from.inner +
                                     (uint64_t)a->begin * from.inner + e % width];
}

static tdm_status prepare(tdm__build *b)
{
    const tdm__io *io = tdm__build_io(b);
    const slice_attrs *a = io->attrs;
    tdm__axis from = tdm__axis_of(&io->in[0], a->axis);
    uint64_t width = (uint64_t)(a->end - a->begin) * from.inner;
    tdm__emit_block(b, &(tdm__block){.rows = from.outer,
                                     .width = width,
                                     .from_stride = from.size * from.inner,
                                     .from_offset = (uint64_t)a->begin * from.inner,
                                     .to_stride = width,
                                     .mode = io->accumulate ? TDM__BLOCK_ADD : TDM__BLOCK_COPY});
    return TDM_OK;
}

static const tdm__variant variants[] = {{"block", TDM__ON_ANY, .prepare = prepare}};

static const slice_attrs head = {3, 0, 15}, tail = {3, 3, 20}, rows = {1, 1, 3}, batch = {0, 2, 3},
                         all = {1, 0, 5}, reversed = {1, 3, 3}, beyond = {1, 0, 6},
                         wide = {3, 2, 31}, no_axis = {2, 0, 1};
static const tdm__sample samples[] = {
    {"channels first 15", &head, 1, {TDM__F32(2, 3, 2, 20)}},
    {"channels last 17", &tail, 1, {TDM__F32(2, 3, 2, 20)}},
    {"rows", &rows, 1, {TDM__F32(2, 4, 5, 3)}},
    {"batch", &batch, 1, {TDM__F32(5, 7)}},
    {"all", &all, 1, {TDM__F32(3, 5)}},
    {"two spans", &wide, 1, {TDM__F32(1, 19, 31, 37)}},
    {"integers", &rows, 1, {TDM__I32(2, 4)}, {TDM__FILL_INDEX}, {99}},
};
static const tdm__reject rejects[] = {
    {"empty",
     &reversed,
     1,
     {TDM__F32(3, 5)},
     TDM_ERR_SHAPE,
     "range: must be 0 <= begin < end <= 5, got 3 to 3"},
    {"beyond",
     &beyond,
     1,
     {TDM__F32(3, 5)},
     TDM_ERR_SHAPE,
     "range: must be 0 <= begin < end <= 5, got 0 to 6"},
    {"axis",
     &no_axis,
     1,
     {TDM__F32(3, 5)},
     TDM_ERR_SHAPE,
     "axis: must be one of the axes of f32[3,5], got 2"},
};

const tdm_op tdm__op_slice = {
    .name = "slice",
    .attr_size = sizeof(slice_attrs),
    TDM__ATTRS(attrs),
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .differentiable = 1,
    .out_gradient = 1,
    .can_accumulate = true,
    .infer = infer,
    .gradient = gradient,
    .reference = reference,
    TDM__TABLES(variants, samples, rejects),
};

/* ---- backward: dx is dy between zeros -----------------------------------------------------------
 */

static const tdm__attr attrs_grad[] = {{"axis", 'i', offsetof(slice_grad_attrs, axis), 1},
                                       {"begin", 'l', offsetof(slice_grad_attrs, begin), 1},
                                       {"size", 'l', offsetof(slice_grad_attrs, size), 1}};

static tdm_status infer_grad(const tdm__io *io, tdm_desc *out)
{
    tdm_status status = TDM_OK;
    const slice_grad_attrs *a = io->attrs;
    TDM_TRY(tdm__expect(io, 0, "dy", TDM_F32, -1));
    TDM_TRY(tdm__expect_axis(io, a->axis));
    int64_t n = io->in[0].dim[a->axis];
    if (a->begin < 0 || n > a->size || a->begin > a->size - n)
        return tdm__fail(TDM_ERR_SHAPE, "size: must have room for %lld from %lld, got %lld",
                         (long long)n, (long long)a->begin, (long long)a->size);
    out[0] = io->in[0];
    out[0].dim[a->axis] = a->size;
done:
    return status;
}

static void reference_grad(const tdm__ref *ref)
{
    const slice_grad_attrs *a = ref->io->attrs;
    tdm__axis to = tdm__axis_of(&ref->io->out[0], a->axis);
    uint64_t width = (uint64_t)ref->io->in[0].dim[a->axis] * to.inner;
    for (uint64_t e = 0; e < to.outer * width; e++)
        ref->out[0][e / width * to.size * to.inner + (uint64_t)a->begin * to.inner + e % width] +=
            ref->in[0][e];
}

static tdm_status prepare_grad(tdm__build *b)
{
    const tdm__io *io = tdm__build_io(b);
    const slice_grad_attrs *a = io->attrs;
    tdm__axis to = tdm__axis_of(&io->out[0], a->axis);
    uint64_t stride = to.size * to.inner, begin = (uint64_t)a->begin * to.inner;
    uint64_t width = (uint64_t)io->in[0].dim[a->axis] * to.inner;
    tdm__block block = {.rows = to.outer, .to_stride = stride};
    if (!io->accumulate) {
        block.mode = TDM__BLOCK_ZERO;
        block.width = begin;
        tdm__emit_block(b, &block);
        block.to_offset = begin + width;
        block.width = stride - begin - width;
        tdm__emit_block(b, &block);
    }
    block.mode = io->accumulate ? TDM__BLOCK_ADD : TDM__BLOCK_COPY;
    block.width = block.from_stride = width;
    block.to_offset = begin;
    tdm__emit_block(b, &block);
    return TDM_OK;
}

static const tdm__variant variants_grad[] = {{"blocks", TDM__ON_ANY, .prepare = prepare_grad}};

static const slice_grad_attrs head_back = {3, 0, 20}, tail_back = {3, 3, 20}, rows_back = {1, 1, 4},
                              batch_back = {0, 2, 5}, all_back = {1, 0, 5}, late = {1, 4, 6};
static const tdm__sample samples_grad[] = {
    {"channels first 15", &head_back, 1, {TDM__F32(2, 3, 2, 15)}},
    {"channels last 17", &tail_back, 1, {TDM__F32(2, 3, 2, 17)}},
    {"rows", &rows_back, 1, {TDM__F32(2, 2, 5, 3)}},
    {"batch", &batch_back, 1, {TDM__F32(1, 7)}},
    {"all", &all_back, 1, {TDM__F32(3, 5)}},
    {"two spans", &tail_back, 1, {TDM__F32(1, 31, 41, 13)}},
};
static const tdm__reject rejects_grad[] = {
    {"room", &late, 1, {TDM__F32(2, 3)}, TDM_ERR_SHAPE, "size: must have room for 3 from 4, got 6"},
    {"type", &late, 1, {TDM__I32(2, 3)}, TDM_ERR_SHAPE, "dy: must be f32, got i32[2,3]"},
};

const tdm_op tdm__op_slice_grad = {
    .name = "slice_grad",
    .attr_size = sizeof(slice_grad_attrs),
    TDM__ATTRS(attrs_grad),
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .can_accumulate = true,
    .infer = infer_grad,
    .reference = reference_grad,
    TDM__TABLES(variants_grad, samples_grad, rejects_grad),
};

tdm_value tdm_slice(tdm_graph *g, tdm_value x, int axis, int64_t begin, int64_t end)
{
    return tdm__op_append(g, &tdm__op_slice, &x, 1, &(slice_attrs){axis, begin, end});
}
