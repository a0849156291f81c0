/* ops/conv/conv2d.c: two-dimensional convolution (cross-correlation, as in PyTorch):
 * x (N,H,W,C), w (R,S,C/groups,K), b (K) or none -> y (N,P,Q,K). Its gradients: conv2d_grad.c.
 */
#include "ops/conv/conv.h"

static tdm__conv forward_of(const tdm__io *io)
{
    return tdm__conv_of_images(io->attrs, &io->in[0], &io->out[0]);
}

static tdm_status forward_infer(const tdm__io *io, tdm_desc *out)
{
    tdm_status status = TDM_OK;
    const tdm_conv2d_attrs *a = io->attrs;
    tdm__conv c = {0};
    TDM_TRY(tdm__expect(io, 0, "x", TDM_F32, 4));
    TDM_TRY(tdm__expect(io, 1, "w", TDM_F32, 4));
    TDM_TRY(tdm__conv_attrs_get(a, &c));
    if (a->output_padding[0] != 0 || a->output_padding[1] != 0)
        return tdm__fail(TDM_ERR_SHAPE, "output_padding: is for transposed convolution, got %dx%d",
                         (int)a->output_padding[0], (int)a->output_padding[1]);
    tdm__conv_set_big(&c, &io->in[0]);
    c.k = io->in[1].dim[3];
    TDM_TRY(tdm__conv_expect_filter(io, 1, &c));
    TDM_TRY(tdm__conv_expect_bias(io, 2, c.k));
    TDM_TRY(tdm__conv_infer_small(&c));
    out[0] = tdm_desc_4(TDM_F32, c.n, c.small[0], c.small[1], c.k);
done:
    return status;
}

static tdm_status forward_gradient(tdm_graph *g, const tdm__node_view *node, const tdm_value *dout,
                                   const bool *need, tdm_value *din)
{
    const tdm__io *io = node->io;
    bool need_bias = io->n_in > 2 && need[2];
    if (need[0]) {
        tdm__conv_data_attrs a = {*(const tdm_conv2d_attrs *)io->attrs,
                                  {(int32_t)io->in[0].dim[1], (int32_t)io->in[0].dim[2]}};
        din[0] = tdm__graph_node(g, &tdm__op_conv2d_grad_data, (tdm_value[]){dout[0], node->in[1]},
                                 2, &a);
    }
    if (need[1] && need_bias) {
        din[1] = tdm__graph_node(g, &tdm__op_conv2d_grad_filter_bias,
                                 (tdm_value[]){node->in[0], dout[0]}, 2, io->attrs);
        din[2] = din[1] + 1;
    } else if (need[1]) {
        din[1] = tdm__conv_grad_filter(g, node->in[0], dout[0], io->attrs);
    } else if (need_bias) {
        din[2] = tdm__channel_sum(g, dout[0]);
    }
    return TDM_OK;
}

static void forward_reference(const tdm__ref *ref)
{
    tdm__conv c = forward_of(ref->io);
    tdm__conv_reference_small(&c, ref->in[0], ref->in[1], ref->out[0]);
    tdm__conv_reference_bias(ref->out[0], (uint64_t)(c.n * c.small[0] * c.small[1]), (uint64_t)c.k,
                             ref->io->n_in > 2 ? ref->in[2] : NULL);
}

static double forward_macs(const tdm__io *io)
{
    tdm__conv c = forward_of(io);
    return tdm__conv_macs(&c);
}

#define CONV(...) (&(const tdm_conv2d_attrs){__VA_ARGS__})
#define SAMPLE(name, attrs, x, w, b)                                                               \
    {                                                                                              \
        name, attrs, 3,                                                                            \
        {                                                                                          \
            x, w, b                                                                                \
        }                                                                                          \
    }
#define F TDM__F32
#define NO_BIAS                                                                                    \
    {                                                                                              \
        TDM_NONE                                                                                   \
    }

static const tdm__sample forward_samples[] = {
    {"3x3", CONV({3, 3}, {1, 1}, {1, 1}), 3, {F(2, 7, 7, 5), F(3, 3, 5, 6), F(6)}},
    {"no bias", CONV({3, 3}), 2, {F(2, 7, 7, 5), F(3, 3, 5, 6)}},
    {"3x3 tile less one", CONV({3, 3}, {1, 1}, {1, 1}), 3, {F(1, 3, 3, 3), F(3, 3, 3, 4), F(4)}},
    {"3x3 one tile", CONV({3, 3}, {1, 1}, {1, 1}), 3, {F(1, 4, 4, 7), F(3, 3, 7, 8), F(8)}},
    {"3x3 tile and one", CONV({3, 3}, {1, 1}, {1, 1}), 3, {F(1, 5, 5, 8), F(3, 3, 8, 16), F(16)}},
    {"3x3 pixel", CONV({3, 3}, {1, 1}, {1, 1}), 3, {F(1, 1, 1, 1), F(3, 3, 1, 1), F(1)}},
    {"3x3 2x9", CONV({3, 3}, {1, 1}, {1, 1}), 3, {F(2, 2, 9, 4), F(3, 3, 4, 3), F(3)}},
    {"3x3 6x8 no pad", CONV({3, 3}, {1, 1}, {0, 0}), 3, {F(1, 6, 8, 16), F(3, 3, 16, 7), F(7)}},
    {"3x3 7x3 no pad", CONV({3, 3}, {1, 1}, {0, 0}), 3, {F(3, 7, 3, 1), F(3, 3, 1, 33), F(33)}},
    {"3x3 8x9 pad 2", CONV({3, 3}, {1, 1}, {2, 2}), 3, {F(1, 8, 9, 33), F(3, 3, 33, 17), F(17)}},
    {"3x3 1x2 pad 3", CONV({3, 3}, {1, 1}, {3, 3}), 3, {F(2, 1, 2, 3), F(3, 3, 3, 5), F(5)}},
    {"3x3 9x6 pad 4", CONV({3, 3}, {1, 1}, {4, 4}), 3, {F(1, 9, 6, 5), F(3, 3, 5, 9), F(9)}},
    {"3x3 14x14", CONV({3, 3}, {1, 1}, {1, 1}), 3, {F(3, 14, 14, 16), F(3, 3, 16, 33), F(33)}},
    {"3x3 two blocks 33",
     CONV({3, 3}, {1, 1}, {1, 1}),
     3,
     {F(2, 14, 13, 33), F(3, 3, 33, 32), F(32)}},
    {"3x3 two chunks", CONV({3, 3}, {1, 1}, {1, 1}), 3, {F(1, 260, 256, 1), F(3, 3, 1, 2), F(2)}},
    {"3x3 panels", CONV({3, 3}, {1, 1}, {1, 1}), 3, {F(1, 5, 7, 9), F(3, 3, 9, 67), F(67)}},
    {"3x3 deep", CONV({3, 3}, {1, 1}, {1, 1}), 3, {F(1, 4, 6, 270), F(3, 3, 270, 16), F(16)}},
    {"3x3 130 channels",
     CONV({3, 3}, {1, 1}, {1, 1}),
     3,
     {F(1, 9, 9, 130), F(3, 3, 130, 130), F(130)}},
    {"3x3 pads 0 and 2", CONV({3, 3}, {1, 1}, {0, 2}), 3, {F(1, 6, 5, 4), F(3, 3, 4, 5), F(5)}},
    {"1x1 pixel", CONV({1, 1}), 3, {F(1, 1, 1, 1), F(1, 1, 1, 1), F(1)}},
    {"1x1 tile less one", CONV({1, 1}), 3, {F(1, 1, 5, 7), F(1, 1, 7, 15), F(15)}},
    {"1x1 tile", CONV({1, 1}), 3, {F(1, 2, 3, 8), F(1, 1, 8, 16), F(16)}},
    {"1x1 tile and one", CONV({1, 1}), 3, {F(1, 1, 7, 9), F(1, 1, 9, 17), F(17)}},
    {"1x1 prime", CONV({1, 1}), 3, {F(1, 1, 13, 11), F(1, 1, 11, 37), F(37)}},
    {"1x1 stride 2", CONV({1, 1}, {2, 2}), 3, {F(2, 7, 6, 4), F(1, 1, 4, 8), F(8)}},
    {"narrow 7", CONV({2, 2}), 3, {F(1, 4, 4, 3), F(2, 2, 3, 7), F(7)}},
    {"narrow 8", CONV({2, 2}), 3, {F(1, 4, 4, 3), F(2, 2, 3, 8), F(8)}},
    {"narrow 9", CONV({2, 2}), 3, {F(1, 4, 4, 3), F(2, 2, 3, 9), F(9)}},
    {"wide and narrow 24", CONV({2, 2}), 3, {F(1, 4, 4, 3), F(2, 2, 3, 24), F(24)}},
    {"33 channels", CONV({2, 2}), 3, {F(1, 4, 4, 33), F(2, 2, 33, 33), F(33)}},
    {"65 channels", CONV({1, 2}), 3, {F(1, 3, 5, 65), F(1, 2, 65, 65), F(65)}},
    {"2x2", CONV({2, 2}), 3, {F(3, 6, 6, 4), F(2, 2, 4, 5), F(5)}},
    {"2x2 stride 2 pad 1",
     CONV({2, 2}, {2, 2}, {1, 1}),
     3,
     {F(3, 6, 6, 16), F(2, 2, 16, 16), F(16)}},
    {"3x3 stride 2", CONV({3, 3}, {2, 2}, {1, 1}), 3, {F(2, 8, 9, 6), F(3, 3, 6, 7), F(7)}},
    {"3x3 stride 3", CONV({3, 3}, {3, 3}), 3, {F(2, 11, 9, 6), F(3, 3, 6, 7), F(7)}},
    {"2x2 stride 3", CONV({2, 2}, {3, 3}), 3, {F(2, 9, 8, 3), F(2, 2, 3, 4), F(4)}},
    {"5x5 pad 2", CONV({5, 5}, {1, 1}, {2, 2}), 3, {F(2, 6, 5, 3), F(5, 5, 3, 4), F(4)}},
    {"5x5 pad 4", CONV({5, 5}, {1, 1}, {4, 4}), 3, {F(1, 3, 2, 2), F(5, 5, 2, 3), F(3)}},
    {"7x7 stride 2 pad 3", CONV({7, 7}, {2, 2}, {3, 3}), 3, {F(1, 14, 13, 3), F(7, 7, 3, 9), F(9)}},
    {"1x5", CONV({1, 5}, {1, 2}, {0, 2}), 3, {F(2, 3, 11, 4), F(1, 5, 4, 5), F(5)}},
    {"4x1", CONV({4, 1}, {2, 1}, {1, 0}), 3, {F(2, 9, 4, 4), F(4, 1, 4, 5), F(5)}},
    {"3x3 dilation 2",
     CONV({3, 3}, {1, 1}, {2, 2}, {2, 2}),
     3,
     {F(2, 7, 8, 3), F(3, 3, 3, 4), F(4)}},
    {"dilation 2x3 stride 2x3",
     CONV({3, 2}, {2, 3}, {2, 1}, {2, 3}),
     3,
     {F(1, 9, 11, 3), F(3, 2, 3, 4), F(4)}},
    {"dilation 3 stride 2",
     CONV({3, 3}, {2, 2}, {3, 3}, {3, 3}),
     3,
     {F(1, 10, 9, 2), F(3, 3, 2, 3), F(3)}},
    {"pad over image", CONV({2, 2}, {1, 1}, {3, 3}), 3, {F(1, 1, 1, 2), F(2, 2, 2, 3), F(3)}},
    {"two blocks", CONV({3, 3}, {1, 1}, {1, 1}), 3, {F(1, 17, 31, 2), F(3, 3, 2, 3), F(3)}},
    {"wide image", CONV({2, 3}), 3, {F(1, 3, 211, 2), F(2, 3, 2, 2), F(2)}},
    {"many images", CONV({2, 2}), 3, {F(101, 3, 3, 2), F(2, 2, 2, 3), F(3)}},
    {"channel chunks", CONV({5, 5}, {1, 1}, {2, 2}), 3, {F(1, 3, 3, 1001), F(5, 5, 1001, 1), F(1)}},
    {"depthwise 7",
     CONV({3, 3}, {1, 1}, {1, 1}, {1, 1}, .groups = 7),
     3,
     {F(2, 6, 5, 7), F(3, 3, 1, 7), F(7)}},
    {"depthwise 16",
     CONV({3, 3}, {1, 1}, {1, 1}, {1, 1}, .groups = 16),
     3,
     {F(1, 5, 7, 16), F(3, 3, 1, 16), F(16)}},
    {"depthwise 17 stride 2",
     CONV({3, 3}, {2, 2}, {1, 1}, {1, 1}, .groups = 17),
     3,
     {F(2, 7, 8, 17), F(3, 3, 1, 17), F(17)}},
    {"depthwise dilation 2",
     CONV({3, 2}, {1, 1}, {2, 2}, {2, 2}, .groups = 9),
     3,
     {F(1, 8, 7, 9), F(3, 2, 1, 9), F(9)}},
    {"depthwise twice",
     CONV({3, 3}, {1, 1}, {1, 1}, {1, 1}, .groups = 5),
     3,
     {F(1, 5, 5, 5), F(3, 3, 1, 10), F(10)}},
    {"groups 2",
     CONV({3, 3}, {1, 1}, {1, 1}, {1, 1}, .groups = 2),
     3,
     {F(2, 5, 6, 6), F(3, 3, 3, 8), F(8)}},
    {"groups 3 to fewer",
     CONV({2, 3}, {1, 1}, {0, 0}, {1, 1}, .groups = 3),
     3,
     {F(1, 6, 5, 12), F(2, 3, 4, 6), F(6)}},
    {"groups of 16 and 33",
     CONV({3, 3}, {1, 1}, {1, 1}, {1, 1}, .groups = 2),
     3,
     {F(1, 4, 5, 66), F(3, 3, 33, 32), F(32)}},
    {"groups of 8 1x1 stride 2",
     CONV({1, 1}, {2, 2}, {0, 0}, {1, 1}, .groups = 2),
     3,
     {F(2, 5, 4, 16), F(1, 1, 8, 24), F(24)}},
    {"fashion 1", CONV({3, 3}, {1, 1}, {1, 1}), 3, {F(1, 28, 28, 1), F(3, 3, 1, 32), F(32)}},
    {"fashion 2", CONV({3, 3}, {1, 1}, {1, 1}), 3, {F(1, 3, 28, 32), F(3, 3, 32, 32), F(32)}},
    {"fashion 3", CONV({2, 2}), 3, {F(1, 14, 14, 32), F(2, 2, 32, 32), F(32)}},
    {"fashion 4", CONV({2, 2}), 3, {F(1, 13, 13, 32), F(2, 2, 32, 16), F(16)}},
};

#define REJECT(name, attrs, n, message, ...)                                                       \
    {                                                                                              \
        name, attrs, n, {__VA_ARGS__}, TDM_ERR_SHAPE, message                                      \
    }
static const tdm__reject forward_rejects[] = {
    REJECT("x rank", CONV({1, 1}), 2, "x: must have 4 axes, got f32[4,4,3]", F(4, 4, 3),
           F(1, 1, 3, 2)),
    REJECT("x type", CONV({1, 1}), 2, "x: must be f32, got u8[1,4,4,3]", TDM__U8(1, 4, 4, 3),
           F(1, 1, 3, 2)),
    REJECT("filter channels", CONV({3, 3}), 2, "w: must be f32[3,3,3,2], got f32[3,3,4,2]",
           F(1, 4, 4, 3), F(3, 3, 4, 2)),
    REJECT("filter size", CONV({3, 3}), 2, "w: must be f32[3,3,3,2], got f32[2,3,3,2]",
           F(1, 4, 4, 3), F(2, 3, 3, 2)),
    REJECT("bias", CONV({3, 3}), 3, "b: must be f32[2], got f32[3]", F(1, 4, 4, 3), F(3, 3, 3, 2),
           F(3)),
    REJECT("too small", CONV({3, 3}), 2, "kernel: 3x3 does not fit x: the result would be 2x0",
           F(1, 4, 2, 3), F(3, 3, 3, 2)),
    REJECT("no kernel", CONV({0, 3}), 2, "kernel: must be at least 1x1, got 0x3", F(1, 4, 4, 3),
           F(1, 3, 3, 2)),
    REJECT("stride", CONV({1, 1}, {-1, 1}), 2, "stride: must be at least 1x1, got -1x1",
           F(1, 4, 4, 3), F(1, 1, 3, 2)),
    REJECT("padding", CONV({1, 1}, {1, 1}, {0, -2}), 2, "padding: must not be negative, got 0x-2",
           F(1, 4, 4, 3), F(1, 1, 3, 2)),
    REJECT("dilation", CONV({1, 1}, {1, 1}, {0, 0}, {1, -1}), 2,
           "dilation: must be at least 1x1, got 1x-1", F(1, 4, 4, 3), F(1, 1, 3, 2)),
    REJECT("output padding", CONV({1, 1}, .output_padding = {0, 1}), 2,
           "output_padding: is for transposed convolution, got 0x1", F(1, 4, 4, 3), F(1, 1, 3, 2)),
    REJECT("groups", CONV({1, 1}, .groups = -1), 2, "groups: must be at least 1, got -1",
           F(1, 4, 4, 4), F(1, 1, 4, 4)),
    REJECT("groups of x", CONV({1, 1}, .groups = 2), 2, "groups: 2 do not divide 3 and 4 channels",
           F(1, 4, 4, 3), F(1, 1, 1, 4)),
    REJECT("groups of y", CONV({1, 1}, .groups = 3), 2, "groups: 3 do not divide 6 and 4 channels",
           F(1, 4, 4, 6), F(1, 1, 2, 4)),
    REJECT("grouped filter", CONV({1, 1}, .groups = 2), 2,
           "w: must be f32[1,1,2,4], got f32[1,1,4,4]", F(1, 4, 4, 4), F(1, 1, 4, 4)),
};

const tdm_op tdm__op_conv2d = {
    .name = "conv2d",
    .attr_size = sizeof(tdm_conv2d_attrs),
    .attrs = tdm__conv_attrs,
    .n_attrs = TDM__N_CONV_ATTRS,
    .min_in = 2,
    .max_in = 3,
    .n_out = 1,
    .differentiable = 7,
    .out_gradient = 1,
    .fuse = TDM__FUSE_ACT | TDM__FUSE_AFFINE | TDM__FUSE_RESIDUAL,
    .infer = forward_infer,
    .gradient = forward_gradient,
    .reference = forward_reference,
    .macs = forward_macs,
    TDM__TABLES(tdm__conv_to_small_variants, forward_samples, forward_rejects),
};

tdm_value tdm_conv2d(tdm_graph *g, tdm_value x, tdm_value w, tdm_value b, const tdm_conv2d_attrs *a)
{
    return tdm__op_append(g, &tdm__op_conv2d, (tdm_value[]){x, w, b}, 3, a);
}
