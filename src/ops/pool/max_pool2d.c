/* ops/pool/max_pool2d.c: maximum over windows, with the position of the maximum (u8, row-major in
 * the window) that gradient and unpool need. Ties: the first maximum, as with PyTorch; after ReLU a
 * tenth to a third of all windows tie, and another choice changes gradients wholly. NaN wins. */
#include "ops/pool/pool.h"

#include <math.h>

enum { MOST_POSITIONS = 256 };

/* ---- forward --------------------------------------------------------------------------------- */

static tdm_status infer(const tdm__io *io, tdm_desc *out)
{
    tdm_status status = TDM_OK;
    const int32_t *kernel = ((const tdm_pool2d_attrs *)io->attrs)->kernel;
    TDM_TRY(tdm__pool_infer(io, out));
    if ((int64_t)kernel[0] * kernel[1] > MOST_POSITIONS)
        return tdm__fail(TDM_ERR_SHAPE, "kernel: must have at most %d positions, got %dx%d",
                         MOST_POSITIONS, (int)kernel[0], (int)kernel[1]);
    out[1] = out[0];
    out[1].dtype = TDM_U8;
done:
    return status;
}

static tdm_status gradient(tdm_graph *g, const tdm__node_view *node, const tdm_value *dout,
                           const bool *need, tdm_value *din)
{
    tdm_value in[] = {dout[0], node->out[1]};
    if (need[0]) din[0] = tdm__pool_gradient(g, &tdm__op_max_pool2d_grad, node, in, 2);
    return TDM_OK;
}

static void reference(const tdm__ref *ref)
{
    tdm__pool g = tdm__pool_of(ref->io, false);
    const double *x = ref->in[0];
    tdm__window w;
    for (bool more = tdm__pool_first(&g, &w); more; more = tdm__pool_next(&g, &w)) {
        double best = -INFINITY;
        int64_t at = w.r0 * g.s + w.s0;
        for (int64_t r = w.r0; r < w.r1; r++)
            for (int64_t s = w.s0; s < w.s1; s++) {
                double v = x[tdm__pool_x(&g, w.n, w.h0 + r, w.w0 + s, w.c)];
                if (v > best || isnan(v)) best = v, at = r * g.s + s;
            }
        ref->out[0][w.y] = best;
        ref->out[1][w.y] = (double)at;
    }
}

static tdm_status prepare(tdm__build *b)
{
    tdm__arg_load(tdm__pool_emit(b, "max_pool_fwd", false, 1));
    return TDM_OK;
}

static const tdm__variant variants[] = {{"direct", TDM__ON_ANY, .loads = 1, .prepare = prepare}};

static const tdm_pool2d_attrs two = {.kernel = {2, 2}},
                              three = {.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}},
                              dense = {.kernel = {3, 2}, .stride = {1, 1}},
                              ceiling = {.kernel = {3, 3}, .stride = {2, 2}, .ceil_mode = true},
                              ceil_pad = {.kernel = {3, 2},
                                          .stride = {3, 2},
                                          .padding = {1, 1},
                                          .ceil_mode = true},
                              sparse = {.kernel = {2, 1}, .stride = {3, 4}},
                              large = {.kernel = {16, 16}, .stride = {1, 1}, .padding = {8, 8}};
static const tdm_pool2d_attrs no_kernel = {.kernel = {0, 2}},
                              wide = {.kernel = {2, 2}, .padding = {0, 2}},
                              back = {.kernel = {2, 2}, .stride = {-1, 1}},
                              many = {.kernel = {17, 16}};
#define SPACED                                                                                     \
    {                                                                                              \
        TDM__FILL_SPACED                                                                           \
    }
#define TIES                                                                                       \
    {                                                                                              \
        TDM__FILL_TIES                                                                             \
    }
static const tdm__sample samples[] = {
    {"2x2 c15", &two, 1, {TDM__F32(2, 4, 6, 15)}, SPACED},
    {"2x2 c16", &two, 1, {TDM__F32(1, 6, 4, 16)}, SPACED},
    {"2x2 c17 odd", &two, 1, {TDM__F32(2, 5, 7, 17)}, SPACED},
    {"2x2 ties", &two, 1, {TDM__F32(3, 8, 8, 8)}, TIES},
    {"2x2 two items", &two, 1, {TDM__F32(5, 26, 26, 32)}, TIES},
    {"3x3 s2 p1", &three, 1, {TDM__F32(2, 7, 8, 5)}, SPACED},
    {"3x3 s2 p1 ties", &three, 1, {TDM__F32(2, 9, 9, 19)}, TIES},
    {"3x2 overlapping", &dense, 1, {TDM__F32(1, 5, 5, 3)}, SPACED},
    {"ceil", &ceiling, 1, {TDM__F32(1, 6, 8, 9)}, SPACED},
    {"ceil and padding", &ceil_pad, 1, {TDM__F32(2, 5, 5, 4)}, SPACED},
    {"gaps", &sparse, 1, {TDM__F32(1, 8, 9, 7)}, SPACED},
    {"256 positions", &large, 1, {TDM__F32(1, 9, 3, 2)}, SPACED},
    {"one pixel", &three, 1, {TDM__F32(1, 1, 1, 1)}, SPACED},
};
static const tdm__reject rejects[] = {
    {"rank", &two, 1, {TDM__F32(4, 4, 2)}, TDM_ERR_SHAPE, "x: must have 4 axes, got f32[4,4,2]"},
    {"type", &two, 1, {TDM__U8(1, 4, 4, 2)}, TDM_ERR_SHAPE, "x: must be f32, got u8[1,4,4,2]"},
    {"no kernel",
     &no_kernel,
     1,
     {TDM__F32(1, 4, 4, 2)},
     TDM_ERR_SHAPE,
     "kernel: must be at least 1x1, got 0x2"},
    {"padding",
     &wide,
     1,
     {TDM__F32(1, 4, 4, 2)},
     TDM_ERR_SHAPE,
     "padding: must be 0 to half the 2x2 kernel, got 0x2"},
    {"stride",
     &back,
     1,
     {TDM__F32(1, 4, 4, 2)},
     TDM_ERR_SHAPE,
     "stride: must be at least 1 (0: the kernel), got -1x1"},
    {"too small",
     &ceiling,
     1,
     {TDM__F32(1, 2, 4, 2)},
     TDM_ERR_SHAPE,
     "kernel: 3x3 must fit the input of 2x4 with padding 0x0"},
    {"positions",
     &many,
     1,
     {TDM__F32(1, 32, 32, 1)},
     TDM_ERR_SHAPE,
     "kernel: must have at most 256 positions, got 17x16"},
};

const tdm_op tdm__op_max_pool2d = {
    .name = "max_pool2d",
    TDM__POOL_FORWARD,
    .n_out = 2,
    .infer = infer,
    .gradient = gradient,
    .reference = reference,
    TDM__TABLES(variants, samples, rejects),
};

/* ---- backward: dy, indices -> dx --------------------------------------------------------------
 */

static tdm_status infer_grad(const tdm__io *io, tdm_desc *out)
{
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__pool_infer_back(io, out));
    const int64_t *d = io->in[0].dim;
    TDM_TRY(tdm__expect_desc(io, 1, "indices", tdm_desc_4(TDM_U8, d[0], d[1], d[2], d[3])));
done:
    return status;
}

static void reference_grad(const tdm__ref *ref)
{
    tdm__pool g = tdm__pool_of(ref->io, true);
    tdm__window w;
    for (bool more = tdm__pool_first(&g, &w); more; more = tdm__pool_next(&g, &w)) {
        int64_t to = tdm__pool_target(&g, &w, ref->in[1][w.y]);
        if (to >= 0) ref->out[0][to] += ref->in[0][w.y];
    }
}

static tdm_status prepare_grad(tdm__build *b)
{
    tdm__kernel *k = tdm__pool_emit(b, "max_pool_bwd", true, 1);
    tdm__arg_i32(k, tdm__build_io(b)->accumulate);
    tdm__arg_epilogue(k, -1);
    return TDM_OK;
}

static const tdm__variant variants_grad[] = {
    {"tiles", TDM__ON_ANY, .can_run = tdm__pool_can_tile, .prepare = tdm__pool_prepare_tiles},
    {"gather", TDM__ON_ANY, .prepare = prepare_grad},
};

static const tdm__pool_back_attrs
    two_back = {{.kernel = {2, 2}}, 5, 7},
    two_even = {{.kernel = {2, 2}}, 26, 26},
    three_back = {{.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}}, 7, 8},
    dense_back = {{.kernel = {3, 2}, .stride = {1, 1}}, 5, 5},
    ceil_back = {{.kernel = {3, 3}, .stride = {2, 2}, .ceil_mode = true}, 6, 8},
    gaps_back = {{.kernel = {2, 1}, .stride = {3, 4}}, 8, 9};
#define INDEX                                                                                      \
    {                                                                                              \
        0, TDM__FILL_INDEX                                                                         \
    }
static const tdm__sample samples_grad[] = {
    {"2x2 c15", &two_back, 2, {TDM__F32(2, 2, 3, 15), TDM__U8(2, 2, 3, 15)}, INDEX, {0, 4}},
    {"2x2 c16", &two_back, 2, {TDM__F32(1, 2, 3, 16), TDM__U8(1, 2, 3, 16)}, INDEX, {0, 4}},
    {"2x2 c17", &two_back, 2, {TDM__F32(1, 2, 3, 17), TDM__U8(1, 2, 3, 17)}, INDEX, {0, 4}},
    {"2x2 two items",
     &two_even,
     2,
     {TDM__F32(3, 13, 13, 32), TDM__U8(3, 13, 13, 32)},
     INDEX,
     {0, 4}},
    {"3x3 s2 p1", &three_back, 2, {TDM__F32(2, 4, 4, 5), TDM__U8(2, 4, 4, 5)}, INDEX, {0, 9}},
    {"3x2 overlapping", &dense_back, 2, {TDM__F32(1, 3, 4, 3), TDM__U8(1, 3, 4, 3)}, INDEX, {0, 6}},
    {"ceil", &ceil_back, 2, {TDM__F32(1, 3, 4, 9), TDM__U8(1, 3, 4, 9)}, INDEX, {0, 9}},
    {"gaps", &gaps_back, 2, {TDM__F32(1, 3, 3, 7), TDM__U8(1, 3, 3, 7)}, INDEX, {0, 2}},
};
static const tdm__reject rejects_grad[] = {
    {"size",
     &two_back,
     2,
     {TDM__F32(1, 3, 3, 2), TDM__U8(1, 3, 3, 2)},
     TDM_ERR_SHAPE,
     "dy: must be the pooled size 2x3, got 3x3"},
    {"indices",
     &two_back,
     2,
     {TDM__F32(1, 2, 3, 2), TDM__I32(1, 2, 3, 2)},
     TDM_ERR_SHAPE,
     "indices: must be u8[1,2,3,2], got i32[1,2,3,2]"},
};

const tdm_op tdm__op_max_pool2d_grad = {
    .name = "max_pool2d_grad",
    TDM__POOL_BACK,
    .min_in = 2,
    .max_in = 2,
    .fuse = TDM__FUSE_ACT_GRAD,
    .infer = infer_grad,
    .reference = reference_grad,
    TDM__TABLES(variants_grad, samples_grad, rejects_grad),
};

tdm_value tdm_max_pool2d(tdm_graph *g, tdm_value x, const tdm_pool2d_attrs *a, tdm_value *indices)
{
    tdm_value y = tdm__op_append(g, &tdm__op_max_pool2d, &x, 1, a);
    if (indices) *indices = y == TDM_NO_VALUE ? TDM_NO_VALUE : y + 1;
    return y;
}
