/* ops/conv/conv2d_grad.c: the gradients of a convolution.
 *
 *   conv2d_grad_data         dy (N,P,Q,K), w (R,S,C/groups,K) -> dx (N,H,W,C)
 *   conv2d_grad_filter       x (N,H,W,C), dy -> dw (R,S,C/groups,K)
 *   conv2d_grad_filter_bias  x, dy -> dw, db (K): one pass over dy
 */
#include "ops/conv/conv.h"

#include <stddef.h>

static tdm__conv data_of(const tdm__io *io)
{
    return tdm__conv_of_images(io->attrs, &io->out[0], &io->in[0]);
}

static tdm__conv filter_of(const tdm__io *io)
{
    return tdm__conv_of_images(io->attrs, &io->in[0], &io->in[1]);
}

#define F TDM__F32
#define CONV(...) (&(const tdm_conv2d_attrs){__VA_ARGS__})
#define DATA(h, w, ...) (&(const tdm__conv_data_attrs){{__VA_ARGS__}, {h, w}})

/* ---- data gradient --------------------------------------------------------------------------- */

static tdm_status data_infer(const tdm__io *io, tdm_desc *out)
{
    tdm_status status = TDM_OK;
    const tdm__conv_data_attrs *a = io->attrs;
    tdm__conv c = {0};
    TDM_TRY(tdm__expect(io, 0, "dy", TDM_F32, 4));
    TDM_TRY(tdm__expect(io, 1, "w", TDM_F32, 4));
    TDM_TRY(tdm__conv_attrs_get(&a->conv, &c));
    if (a->size[0] < 1 || a->size[1] < 1)
        return tdm__fail(TDM_ERR_SHAPE, "size: must be at least 1x1, got %dx%d", (int)a->size[0],
                         (int)a->size[1]);
    tdm__conv_set_small(&c, &io->in[0]);
    c.c = io->in[1].dim[2] * c.groups, c.big[0] = a->size[0], c.big[1] = a->size[1];
    TDM_TRY(tdm__conv_expect_filter(io, 1, &c));
    TDM_TRY(tdm__conv_infer_small(&c));
    if (c.small[0] != io->in[0].dim[1] || c.small[1] != io->in[0].dim[2])
        return tdm__fail(TDM_ERR_SHAPE, "dy: must be %lldx%lld for x of %dx%d, got %lldx%lld",
                         (long long)c.small[0], (long long)c.small[1], (int)a->size[0],
                         (int)a->size[1], (long long)io->in[0].dim[1], (long long)io->in[0].dim[2]);
    out[0] = tdm_desc_4(TDM_F32, c.n, c.big[0], c.big[1], c.c);
done:
    return status;
}

static void data_reference(const tdm__ref *ref)
{
    tdm__conv c = data_of(ref->io);
    tdm__conv_reference_big(&c, ref->in[0], ref->in[1], ref->out[0]);
}

static double data_macs(const tdm__io *io)
{
    tdm__conv c = data_of(io);
    return tdm__conv_macs(&c);
}

static const tdm__attr data_attrs[] = {
    {"kernel", 'i', offsetof(tdm__conv_data_attrs, conv.kernel), 2},
    {"stride", 'i', offsetof(tdm__conv_data_attrs, conv.stride), 2},
    {"padding", 'i', offsetof(tdm__conv_data_attrs, conv.padding), 2},
    {"dilation", 'i', offsetof(tdm__conv_data_attrs, conv.dilation), 2},
    {"groups", 'i', offsetof(tdm__conv_data_attrs, conv.groups), 1},
    {"size", 'i', offsetof(tdm__conv_data_attrs, size), 2},
};

static const tdm__sample data_samples[] = {
    {"3x3", DATA(7, 7, {3, 3}, {1, 1}, {1, 1}), 2, {F(2, 7, 7, 6), F(3, 3, 5, 6)}},
    {"3x3 tile less one", DATA(3, 3, {3, 3}, {1, 1}, {1, 1}), 2, {F(1, 3, 3, 4), F(3, 3, 3, 4)}},
    {"3x3 one tile", DATA(4, 4, {3, 3}, {1, 1}, {1, 1}), 2, {F(1, 4, 4, 8), F(3, 3, 7, 8)}},
    {"3x3 tile and one", DATA(5, 5, {3, 3}, {1, 1}, {1, 1}), 2, {F(1, 5, 5, 16), F(3, 3, 8, 16)}},
    {"3x3 pixel", DATA(1, 1, {3, 3}, {1, 1}, {1, 1}), 2, {F(1, 1, 1, 1), F(3, 3, 1, 1)}},
    {"3x3 2x9", DATA(2, 9, {3, 3}, {1, 1}, {1, 1}), 2, {F(2, 2, 9, 3), F(3, 3, 4, 3)}},
    {"3x3 6x8 no pad", DATA(6, 8, {3, 3}, {1, 1}, {0, 0}), 2, {F(1, 4, 6, 7), F(3, 3, 16, 7)}},
    {"3x3 7x3 no pad", DATA(7, 3, {3, 3}, {1, 1}, {0, 0}), 2, {F(3, 5, 1, 33), F(3, 3, 1, 33)}},
    {"3x3 8x9 pad 2", DATA(8, 9, {3, 3}, {1, 1}, {2, 2}), 2, {F(1, 10, 11, 17), F(3, 3, 33, 17)}},
    {"3x3 1x2 pad 3", DATA(1, 2, {3, 3}, {1, 1}, {3, 3}), 2, {F(2, 5, 6, 5), F(3, 3, 3, 5)}},
    {"3x3 9x6 pad 4", DATA(9, 6, {3, 3}, {1, 1}, {4, 4}), 2, {F(1, 15, 12, 9), F(3, 3, 5, 9)}},
    {"3x3 14x14", DATA(14, 14, {3, 3}, {1, 1}, {1, 1}), 2, {F(3, 14, 14, 33), F(3, 3, 16, 33)}},
    {"3x3 two blocks 33",
     DATA(14, 13, {3, 3}, {1, 1}, {1, 1}),
     2,
     {F(2, 14, 13, 32), F(3, 3, 33, 32)}},
    {"3x3 two chunks",
     DATA(260, 256, {3, 3}, {1, 1}, {1, 1}),
     2,
     {F(1, 260, 256, 1), F(3, 3, 2, 1)}},
    {"3x3 panels", DATA(5, 7, {3, 3}, {1, 1}, {1, 1}), 2, {F(1, 5, 7, 67), F(3, 3, 9, 67)}},
    {"3x3 deep", DATA(4, 6, {3, 3}, {1, 1}, {1, 1}), 2, {F(1, 4, 6, 16), F(3, 3, 270, 16)}},
    {"3x3 130 channels",
     DATA(9, 9, {3, 3}, {1, 1}, {1, 1}),
     2,
     {F(1, 9, 9, 130), F(3, 3, 130, 130)}},
    {"3x3 pads 0 and 2", DATA(6, 5, {3, 3}, {1, 1}, {0, 2}), 2, {F(1, 4, 7, 5), F(3, 3, 4, 5)}},
    {"1x1 pixel", DATA(1, 1, {1, 1}), 2, {F(1, 1, 1, 1), F(1, 1, 1, 1)}},
    {"1x1 tile less one", DATA(1, 5, {1, 1}), 2, {F(1, 1, 5, 7), F(1, 1, 15, 7)}},
    {"1x1 tile", DATA(2, 3, {1, 1}), 2, {F(1, 2, 3, 8), F(1, 1, 16, 8)}},
    {"1x1 tile and one", DATA(1, 7, {1, 1}), 2, {F(1, 1, 7, 9), F(1, 1, 17, 9)}},
    {"1x1 prime", DATA(1, 13, {1, 1}), 2, {F(1, 1, 13, 11), F(1, 1, 37, 11)}},
    {"1x1 stride 2", DATA(7, 6, {1, 1}, {2, 2}), 2, {F(2, 4, 3, 8), F(1, 1, 4, 8)}},
    {"2x2 stride 2", DATA(6, 6, {2, 2}, {2, 2}), 2, {F(3, 3, 3, 4), F(2, 2, 7, 4)}},
    {"2x2 stride 2 rest", DATA(7, 7, {2, 2}, {2, 2}), 2, {F(3, 3, 3, 4), F(2, 2, 8, 4)}},
    {"2x2 stride 2 pad 1",
     DATA(6, 6, {2, 2}, {2, 2}, {1, 1}),
     2,
     {F(3, 4, 4, 16), F(2, 2, 16, 16)}},
    {"3x3 stride 2", DATA(8, 9, {3, 3}, {2, 2}, {1, 1}), 2, {F(2, 4, 5, 7), F(3, 3, 9, 7)}},
    {"3x3 stride 3", DATA(11, 9, {3, 3}, {3, 3}), 2, {F(2, 3, 3, 7), F(3, 3, 6, 7)}},
    {"2x2 stride 3", DATA(9, 8, {2, 2}, {3, 3}), 2, {F(2, 3, 3, 4), F(2, 2, 3, 4)}},
    {"stride over image", DATA(2, 1, {1, 1}, {5, 3}), 2, {F(2, 1, 1, 4), F(1, 1, 3, 4)}},
    {"5x5 pad 4", DATA(3, 2, {5, 5}, {1, 1}, {4, 4}), 2, {F(1, 7, 6, 3), F(5, 5, 2, 3)}},
    {"7x7 stride 2 pad 3", DATA(14, 13, {7, 7}, {2, 2}, {3, 3}), 2, {F(1, 7, 7, 9), F(7, 7, 3, 9)}},
    {"1x5", DATA(3, 11, {1, 5}, {1, 2}, {0, 2}), 2, {F(2, 3, 6, 5), F(1, 5, 4, 5)}},
    {"3x3 dilation 2",
     DATA(7, 8, {3, 3}, {1, 1}, {2, 2}, {2, 2}),
     2,
     {F(2, 7, 8, 4), F(3, 3, 3, 4)}},
    {"dilation 2x3 stride 2x3",
     DATA(9, 11, {3, 2}, {2, 3}, {2, 1}, {2, 3}),
     2,
     {F(1, 5, 4, 4), F(3, 2, 3, 4)}},
    {"dilation 3 stride 2",
     DATA(10, 9, {3, 3}, {2, 2}, {3, 3}, {3, 3}),
     2,
     {F(1, 5, 5, 3), F(3, 3, 2, 3)}},
    {"pad over image", DATA(1, 1, {2, 2}, {1, 1}, {3, 3}), 2, {F(1, 6, 6, 3), F(2, 2, 2, 3)}},
    {"33 channels", DATA(4, 4, {2, 2}), 2, {F(1, 3, 3, 33), F(2, 2, 33, 33)}},
    {"channel chunks", DATA(3, 3, {5, 5}, {1, 1}, {2, 2}), 2, {F(1, 3, 3, 1001), F(5, 5, 1, 1001)}},
    {"fashion 1", DATA(28, 28, {3, 3}, {1, 1}, {1, 1}), 2, {F(1, 28, 28, 32), F(3, 3, 1, 32)}},
    {"fashion 2", DATA(3, 28, {3, 3}, {1, 1}, {1, 1}), 2, {F(1, 3, 28, 32), F(3, 3, 32, 32)}},
    {"fashion 3", DATA(14, 14, {2, 2}), 2, {F(1, 13, 13, 32), F(2, 2, 32, 32)}},
    {"fashion 4", DATA(13, 13, {2, 2}), 2, {F(2, 12, 12, 16), F(2, 2, 32, 16)}},
    {"depthwise 7",
     DATA(6, 5, {3, 3}, {1, 1}, {1, 1}, {1, 1}, 7),
     2,
     {F(2, 6, 5, 7), F(3, 3, 1, 7)}},
    {"depthwise 16",
     DATA(5, 7, {3, 3}, {1, 1}, {1, 1}, {1, 1}, 16),
     2,
     {F(1, 5, 7, 16), F(3, 3, 1, 16)}},
    {"depthwise 17 stride 2",
     DATA(7, 8, {3, 3}, {2, 2}, {1, 1}, {1, 1}, 17),
     2,
     {F(2, 4, 4, 17), F(3, 3, 1, 17)}},
    {"depthwise dilation 2",
     DATA(8, 7, {3, 2}, {1, 1}, {2, 2}, {2, 2}, 9),
     2,
     {F(1, 8, 9, 9), F(3, 2, 1, 9)}},
    {"depthwise twice",
     DATA(5, 5, {3, 3}, {1, 1}, {1, 1}, {1, 1}, 5),
     2,
     {F(1, 5, 5, 10), F(3, 3, 1, 10)}},
    {"groups 2", DATA(5, 6, {3, 3}, {1, 1}, {1, 1}, {1, 1}, 2), 2, {F(2, 5, 6, 8), F(3, 3, 3, 8)}},
    {"groups 3 to fewer",
     DATA(6, 5, {2, 3}, {1, 1}, {0, 0}, {1, 1}, 3),
     2,
     {F(1, 5, 3, 6), F(2, 3, 4, 6)}},
    {"groups of 16 and 33",
     DATA(4, 5, {3, 3}, {1, 1}, {1, 1}, {1, 1}, 2),
     2,
     {F(1, 4, 5, 32), F(3, 3, 33, 32)}},
    {"groups of 8 1x1 stride 2",
     DATA(5, 4, {1, 1}, {2, 2}, {0, 0}, {1, 1}, 2),
     2,
     {F(2, 3, 2, 24), F(1, 1, 8, 24)}},
};

static const tdm__reject data_rejects[] = {
    {"dy rank",
     DATA(4, 4, {1, 1}),
     2,
     {F(4, 4, 2), F(1, 1, 3, 2)},
     TDM_ERR_SHAPE,
     "dy: must have 4 axes, got f32[4,4,2]"},
    {"channels",
     DATA(4, 4, {1, 1}),
     2,
     {F(1, 4, 4, 3), F(1, 1, 3, 2)},
     TDM_ERR_SHAPE,
     "w: must be f32[1,1,3,3], got f32[1,1,3,2]"},
    {"size",
     DATA(0, 4, {1, 1}),
     2,
     {F(1, 4, 4, 2), F(1, 1, 3, 2)},
     TDM_ERR_SHAPE,
     "size: must be at least 1x1, got 0x4"},
    {"dy size",
     DATA(6, 6, {3, 3}),
     2,
     {F(1, 4, 5, 2), F(3, 3, 3, 2)},
     TDM_ERR_SHAPE,
     "dy: must be 4x4 for x of 6x6, got 4x5"},
};

const tdm_op tdm__op_conv2d_grad_data = {
    .name = "conv2d_grad_data",
    .attr_size = sizeof(tdm__conv_data_attrs),
    TDM__ATTRS(data_attrs),
    .min_in = 2,
    .max_in = 2,
    .n_out = 1,
    .can_accumulate = true,
    .fuse = TDM__FUSE_ACT_GRAD,
    .infer = data_infer,
    .reference = data_reference,
    .macs = data_macs,
    TDM__TABLES(tdm__conv_to_big_variants, data_samples, data_rejects),
};

/* ---- filter gradient, with and without the bias gradient ---------------------------------------
 */

static tdm_status filter_infer(const tdm__io *io, tdm_desc *out)
{
    tdm_status status = TDM_OK;
    tdm__conv c = {0};
    TDM_TRY(tdm__expect(io, 0, "x", TDM_F32, 4));
    TDM_TRY(tdm__expect(io, 1, "dy", TDM_F32, 4));
    TDM_TRY(tdm__conv_attrs_get(io->attrs, &c));
    tdm__conv_set_big(&c, &io->in[0]);
    c.k = io->in[1].dim[3];
    TDM_TRY(tdm__conv_check_groups(&c));
    TDM_TRY(tdm__conv_infer_small(&c));
    tdm_desc want = tdm_desc_4(TDM_F32, c.n, c.small[0], c.small[1], c.k);
    char text[96], text_want[96];
    if (!tdm_desc_equal(&io->in[1], &want))
        return tdm__fail(TDM_ERR_SHAPE, "dy: must be %s, got %s",
                         tdm_desc_text(&want, text_want, sizeof text_want),
                         tdm_desc_text(&io->in[1], text, sizeof text));
    out[0] = tdm_desc_4(TDM_F32, c.kernel[0], c.kernel[1], c.c / c.groups, c.k);
    if (io->n_out == 2) out[1] = tdm_desc_1(TDM_F32, c.k);
done:
    return status;
}

static void filter_reference(const tdm__ref *ref)
{
    tdm__conv c = filter_of(ref->io);
    tdm__conv_reference_filter(&c, ref->in[0], ref->in[1], ref->out[0]);
    if (ref->io->n_out < 2) return;
    int64_t pixels = c.n * c.small[0] * c.small[1];
    for (int64_t i = 0; i < pixels; i++)
        for (int64_t k = 0; k < c.k; k++) ref->out[1][k] += ref->in[1][i * c.k + k];
}

static double filter_macs(const tdm__io *io)
{
    tdm__conv c = filter_of(io);
    return tdm__conv_macs(&c);
}

static const tdm__sample filter_samples[] = {
    {"3x3", CONV({3, 3}, {1, 1}, {1, 1}), 2, {F(2, 7, 7, 5), F(2, 7, 7, 6)}},
    {"3x3 tile less one", CONV({3, 3}, {1, 1}, {1, 1}), 2, {F(1, 3, 3, 3), F(1, 3, 3, 4)}},
    {"3x3 one tile", CONV({3, 3}, {1, 1}, {1, 1}), 2, {F(1, 4, 4, 7), F(1, 4, 4, 8)}},
    {"3x3 tile and one", CONV({3, 3}, {1, 1}, {1, 1}), 2, {F(1, 5, 5, 8), F(1, 5, 5, 16)}},
    {"3x3 pixel", CONV({3, 3}, {1, 1}, {1, 1}), 2, {F(1, 1, 1, 1), F(1, 1, 1, 1)}},
    {"3x3 2x9", CONV({3, 3}, {1, 1}, {1, 1}), 2, {F(2, 2, 9, 4), F(2, 2, 9, 3)}},
    {"3x3 6x8 no pad", CONV({3, 3}, {1, 1}, {0, 0}), 2, {F(1, 6, 8, 16), F(1, 4, 6, 7)}},
    {"3x3 7x3 no pad", CONV({3, 3}, {1, 1}, {0, 0}), 2, {F(3, 7, 3, 1), F(3, 5, 1, 33)}},
    {"3x3 8x9 pad 2", CONV({3, 3}, {1, 1}, {2, 2}), 2, {F(1, 8, 9, 33), F(1, 10, 11, 17)}},
    {"3x3 1x2 pad 3", CONV({3, 3}, {1, 1}, {3, 3}), 2, {F(2, 1, 2, 3), F(2, 5, 6, 5)}},
    {"3x3 9x6 pad 4", CONV({3, 3}, {1, 1}, {4, 4}), 2, {F(1, 9, 6, 5), F(1, 15, 12, 9)}},
    {"3x3 14x14", CONV({3, 3}, {1, 1}, {1, 1}), 2, {F(3, 14, 14, 16), F(3, 14, 14, 33)}},
    {"3x3 two blocks 33", CONV({3, 3}, {1, 1}, {1, 1}), 2, {F(2, 14, 13, 33), F(2, 14, 13, 32)}},
    {"3x3 two chunks", CONV({3, 3}, {1, 1}, {1, 1}), 2, {F(1, 260, 256, 1), F(1, 260, 256, 2)}},
    {"3x3 panels", CONV({3, 3}, {1, 1}, {1, 1}), 2, {F(1, 5, 7, 9), F(1, 5, 7, 67)}},
    {"3x3 deep", CONV({3, 3}, {1, 1}, {1, 1}), 2, {F(1, 4, 6, 270), F(1, 4, 6, 16)}},
    {"3x3 130 channels", CONV({3, 3}, {1, 1}, {1, 1}), 2, {F(1, 9, 9, 130), F(1, 9, 9, 130)}},
    {"3x3 pads 0 and 2", CONV({3, 3}, {1, 1}, {0, 2}), 2, {F(1, 6, 5, 4), F(1, 4, 7, 5)}},
    {"1x1 pixel", CONV({1, 1}), 2, {F(1, 1, 1, 1), F(1, 1, 1, 1)}},
    {"1x1 tile less one", CONV({1, 1}), 2, {F(1, 1, 7, 5), F(1, 1, 7, 15)}},
    {"1x1 tile", CONV({1, 1}), 2, {F(1, 2, 4, 6), F(1, 2, 4, 16)}},
    {"1x1 tile and one", CONV({1, 1}), 2, {F(1, 1, 9, 7), F(1, 1, 9, 17)}},
    {"1x1 prime", CONV({1, 1}), 2, {F(1, 1, 13, 11), F(1, 1, 13, 37)}},
    {"narrow 11", CONV({1, 1}), 2, {F(1, 1, 5, 11), F(1, 1, 5, 7)}},
    {"narrow 12", CONV({1, 1}), 2, {F(1, 1, 5, 12), F(1, 1, 5, 8)}},
    {"narrow 13", CONV({1, 1}), 2, {F(1, 1, 5, 13), F(1, 1, 5, 1)}},
    {"1x1 stride 2", CONV({1, 1}, {2, 2}), 2, {F(2, 7, 6, 4), F(2, 4, 3, 8)}},
    {"2x2 stride 2 pad 1", CONV({2, 2}, {2, 2}, {1, 1}), 2, {F(3, 6, 6, 16), F(3, 4, 4, 16)}},
    {"3x3 stride 2", CONV({3, 3}, {2, 2}, {1, 1}), 2, {F(2, 8, 9, 6), F(2, 4, 5, 7)}},
    {"2x2 stride 3", CONV({2, 2}, {3, 3}), 2, {F(2, 9, 8, 3), F(2, 3, 3, 4)}},
    {"5x5 pad 4", CONV({5, 5}, {1, 1}, {4, 4}), 2, {F(1, 3, 2, 2), F(1, 7, 6, 3)}},
    {"7x7 stride 2 pad 3", CONV({7, 7}, {2, 2}, {3, 3}), 2, {F(1, 14, 13, 3), F(1, 7, 7, 9)}},
    {"1x5", CONV({1, 5}, {1, 2}, {0, 2}), 2, {F(2, 3, 11, 4), F(2, 3, 6, 5)}},
    {"3x3 dilation 2", CONV({3, 3}, {1, 1}, {2, 2}, {2, 2}), 2, {F(2, 7, 8, 3), F(2, 7, 8, 4)}},
    {"dilation 2x3 stride 2x3",
     CONV({3, 2}, {2, 3}, {2, 1}, {2, 3}),
     2,
     {F(1, 9, 11, 3), F(1, 5, 4, 4)}},
    {"pad over image", CONV({2, 2}, {1, 1}, {3, 3}), 2, {F(1, 1, 1, 2), F(1, 6, 6, 3)}},
    {"two blocks", CONV({3, 3}, {1, 1}, {1, 1}), 2, {F(1, 17, 31, 2), F(1, 17, 31, 3)}},
    {"many images", CONV({2, 2}), 2, {F(101, 3, 3, 2), F(101, 2, 2, 3)}},
    {"many blocks", CONV({1, 1}), 2, {F(41, 14, 14, 1), F(41, 14, 14, 2)}},
    {"channel chunks", CONV({5, 5}, {1, 1}, {2, 2}), 2, {F(1, 3, 3, 1001), F(1, 3, 3, 1)}},
    {"fashion 1", CONV({3, 3}, {1, 1}, {1, 1}), 2, {F(1, 28, 28, 1), F(1, 28, 28, 32)}},
    {"fashion 2", CONV({3, 3}, {1, 1}, {1, 1}), 2, {F(1, 3, 28, 32), F(1, 3, 28, 32)}},
    {"fashion 3", CONV({2, 2}), 2, {F(1, 14, 14, 32), F(1, 13, 13, 32)}},
    {"fashion 4", CONV({2, 2}), 2, {F(2, 13, 13, 32), F(2, 12, 12, 16)}},
    {"depthwise 7",
     CONV({3, 3}, {1, 1}, {1, 1}, {1, 1}, .groups = 7),
     2,
     {F(2, 6, 5, 7), F(2, 6, 5, 7)}},
    {"depthwise 16",
     CONV({3, 3}, {1, 1}, {1, 1}, {1, 1}, .groups = 16),
     2,
     {F(1, 5, 7, 16), F(1, 5, 7, 16)}},
    {"depthwise 17 stride 2",
     CONV({3, 3}, {2, 2}, {1, 1}, {1, 1}, .groups = 17),
     2,
     {F(2, 7, 8, 17), F(2, 4, 4, 17)}},
    {"depthwise dilation 2",
     CONV({3, 2}, {1, 1}, {2, 2}, {2, 2}, .groups = 9),
     2,
     {F(1, 8, 7, 9), F(1, 8, 9, 9)}},
    {"depthwise twice",
     CONV({3, 3}, {1, 1}, {1, 1}, {1, 1}, .groups = 5),
     2,
     {F(1, 5, 5, 5), F(1, 5, 5, 10)}},
    {"groups 2",
     CONV({3, 3}, {1, 1}, {1, 1}, {1, 1}, .groups = 2),
     2,
     {F(2, 5, 6, 6), F(2, 5, 6, 8)}},
    {"groups 3 to fewer",
     CONV({2, 3}, {1, 1}, {0, 0}, {1, 1}, .groups = 3),
     2,
     {F(1, 6, 5, 12), F(1, 5, 3, 6)}},
    {"groups of 16 and 33",
     CONV({3, 3}, {1, 1}, {1, 1}, {1, 1}, .groups = 2),
     2,
     {F(1, 4, 5, 66), F(1, 4, 5, 32)}},
    {"groups of 8 1x1 stride 2",
     CONV({1, 1}, {2, 2}, {0, 0}, {1, 1}, .groups = 2),
     2,
     {F(2, 5, 4, 16), F(2, 3, 2, 24)}},
};

static const tdm__reject filter_rejects[] = {
    {"dy rank",
     CONV({1, 1}),
     2,
     {F(1, 4, 4, 3), F(4, 4, 2)},
     TDM_ERR_SHAPE,
     "dy: must have 4 axes, got f32[4,4,2]"},
    {"dy size",
     CONV({3, 3}),
     2,
     {F(1, 4, 4, 3), F(1, 4, 2, 5)},
     TDM_ERR_SHAPE,
     "dy: must be f32[1,2,2,5], got f32[1,4,2,5]"},
    {"batch",
     CONV({3, 3}),
     2,
     {F(3, 4, 4, 3), F(1, 2, 2, 5)},
     TDM_ERR_SHAPE,
     "dy: must be f32[3,2,2,5], got f32[1,2,2,5]"},
};

const tdm_op tdm__op_conv2d_grad_filter = {
    .name = "conv2d_grad_filter",
    .attr_size = sizeof(tdm_conv2d_attrs),
    .attrs = tdm__conv_attrs,
    .n_attrs = TDM__N_CONV_ATTRS,
    .min_in = 2,
    .max_in = 2,
    .n_out = 1,
    .can_accumulate = true,
    .infer = filter_infer,
    .reference = filter_reference,
    .macs = filter_macs,
    TDM__TABLES(tdm__conv_filter_variants, filter_samples, filter_rejects),
};

const tdm_op tdm__op_conv2d_grad_filter_bias = {
    .name = "conv2d_grad_filter_bias",
    .attr_size = sizeof(tdm_conv2d_attrs),
    .attrs = tdm__conv_attrs,
    .n_attrs = TDM__N_CONV_ATTRS,
    .min_in = 2,
    .max_in = 2,
    .n_out = 2,
    .can_accumulate = true,
    .infer = filter_infer,
    .reference = filter_reference,
    .macs = filter_macs,
    TDM__TABLES(tdm__conv_filter_variants, filter_samples, filter_rejects),
};

tdm_value tdm__conv_grad_filter(tdm_graph *g, tdm_value big, tdm_value small,
                                const tdm_conv2d_attrs *a)
{
    return tdm__graph_node(g, &tdm__op_conv2d_grad_filter, (tdm_value[]){big, small}, 2, a);
}
