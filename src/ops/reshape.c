/* ops/reshape.c: the same elements in the same order under another shape; no launch, no copy. */
#include "ops/common.h"

#include <stddef.h>

#include <tandem/ops.h>

typedef struct reshape_attrs {
    int32_t rank;
    int64_t dim[TDM_MAX_RANK]; /* one may be -1: what is left */
} reshape_attrs;

static const tdm__attr attrs[] = {{"rank", 'i', offsetof(reshape_attrs, rank), 1},
                                  {"dim", 'l', offsetof(reshape_attrs, dim), TDM_MAX_RANK}};

static tdm_status infer(const tdm__io *io, tdm_desc *out)
{
    const reshape_attrs *a = io->attrs;
    int64_t count = tdm_desc_count(&io->in[0]), known = 1;
    int open = -1;
    char text[96], text_out[96];
    if (a->rank < 0 || a->rank > TDM_MAX_RANK)
        return tdm__fail(TDM_ERR_SHAPE, "rank: must be 0 to %d, got %d", TDM_MAX_RANK,
                         (int)a->rank);
    out[0] = tdm_desc_make(io->in[0].dtype, a->rank, a->dim);
    bool fits = true;
    for (int i = 0; i < a->rank && fits; i++) {
        if (a->dim[i] == -1 && open < 0)
            open = i;
        else if (a->dim[i] < 1 || a->dim[i] > count / known)
            fits = false;
        else
            known *= a->dim[i];
    }
    if (fits && open >= 0 && count % known == 0) out[0].dim[open] = count / known;
    if (fits && tdm_desc_count(&out[0]) == count) return TDM_OK;
    return tdm__fail(TDM_ERR_SHAPE, "x: the elements of %s must fill %s",
                     tdm_desc_text(&io->in[0], text, sizeof text),
                     tdm_desc_text(&out[0], text_out, sizeof text_out));
}

static tdm_status gradient(tdm_graph *g, const tdm__node_view *node, const tdm_value *dout,
                           const bool *need, tdm_value *din)
{
    const tdm_desc *x = &node->io->in[0];
    if (need[0]) din[0] = tdm_reshape(g, dout[0], x->rank, x->dim);
    return TDM_OK;
}

static const reshape_attrs flat = {2, {-1, 30}}, image = {4, {2, 3, 5, 2}}, scalar = {0},
                           open = {3, {2, -1, 2}}, two = {2, {-1, -1}}, uneven = {2, {7, -1}},
                           many = {6, {1, 1, 1, 1, 1}}, more = {2, {2, 31}};
static const tdm__sample samples[] = {
    {"flatten", &flat, 1, {TDM__F32(2, 3, 5, 2)}},
    {"image", &image, 1, {TDM__F32(2, 30)}},
    {"scalar", &scalar, 1, {TDM__F32(1, 1)}},
    {"open axis", &open, 1, {TDM__F32(60)}},
};
static const tdm__reject rejects[] = {
    {"two open",
     &two,
     1,
     {TDM__F32(4, 4)},
     TDM_ERR_SHAPE,
     "x: the elements of f32[4,4] must fill f32[-1,-1]"},
    {"uneven",
     &uneven,
     1,
     {TDM__F32(4, 4)},
     TDM_ERR_SHAPE,
     "x: the elements of f32[4,4] must fill f32[7,-1]"},
    {"count",
     &more,
     1,
     {TDM__F32(2, 30)},
     TDM_ERR_SHAPE,
     "x: the elements of f32[2,30] must fill f32[2,31]"},
    {"rank", &many, 1, {TDM__F32(1)}, TDM_ERR_SHAPE, "rank: must be 0 to 5, got 6"},
};

const tdm_op tdm__op_reshape = {
    .name = "reshape",
    .attr_size = sizeof(reshape_attrs),
    TDM__ATTRS(attrs),
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .differentiable = 1,
    .out_gradient = 1,
    .view = true,
    .infer = infer,
    .gradient = gradient,
    .samples = samples,
    .n_samples = TDM__COUNT(samples),
    .rejects = rejects,
    .n_rejects = TDM__COUNT(rejects),
};

tdm_value tdm_reshape(tdm_graph *g, tdm_value x, int rank, const int64_t *dim)
{
    reshape_attrs a = {.rank = rank};
    for (int i = 0; i < rank && i < TDM_MAX_RANK; i++) a.dim[i] = dim[i];
    return tdm__op_append(g, &tdm__op_reshape, &x, 1, &a);
}
