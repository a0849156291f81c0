/* ops/conv/conv_transpose2d.c: transposed convolution: x (N,H,W,C), w (R,S,K/groups,C), b (K) or
 * none -> (N,P,Q,K), P = (H-1) stride - 2 pad + dil (R-1) + output_padding + 1. It is the data
 * gradient of a convolution from its result to x, so its own gradients are that convolution and its
 * filter's.
 */
#include "ops/conv/conv.h"

static tdm__conv of(const tdm__io *io)
{
    return tdm__conv_of_images(io->attrs, &io->out[0], &io->in[0]);
}

static tdm_status infer(const tdm__io *io, tdm_desc *out)
{
    tdm_status status = TDM_OK;
    const tdm_conv2d_attrs *a = io->attrs;
    tdm__conv c = {0};
    TDM_TRY(tdm__expect(io, 0, "x", TDM_F32, 4));
    TDM_TRY(tdm__expect(io, 1, "w", TDM_F32, 4));
    TDM_TRY(tdm__conv_attrs_get(a, &c));
    tdm__conv_set_small(&c, &io->in[0]);
    c.c = io->in[1].dim[2] * c.groups;
    TDM_TRY(tdm__conv_expect_filter(io, 1, &c));
    TDM_TRY(tdm__conv_expect_bias(io, 2, c.c));
    TDM_TRY(tdm__conv_infer_big(&c, a->output_padding));
    out[0] = tdm_desc_4(TDM_F32, c.n, c.big[0], c.big[1], c.c);
done:
    return status;
}

static tdm_status gradient(tdm_graph *g, const tdm__node_view *node, const tdm_value *dout,
                           const bool *need, tdm_value *din)
{
    const tdm_conv2d_attrs *a = node->io->attrs;
    tdm_conv2d_attrs conv = *a;
    conv.output_padding[0] = conv.output_padding[1] = 0;
    if (need[0]) din[0] = tdm_conv2d(g, dout[0], node->in[1], TDM_NO_VALUE, &conv);
    if (need[1]) din[1] = tdm__conv_grad_filter(g, dout[0], node->in[0], &conv);
    if (node->io->n_in > 2 && need[2]) din[2] = tdm__channel_sum(g, dout[0]);
    return TDM_OK;
}

static void reference(const tdm__ref *ref)
{
    tdm__conv c = of(ref->io);
    tdm__conv_reference_big(&c, ref->in[0], ref->in[1], ref->out[0]);
    tdm__conv_reference_bias(ref->out[0], (uint64_t)(c.n * c.big[0] * c.big[1]), (uint64_t)c.c,
                             ref->io->n_in > 2 ? ref->in[2] : NULL);
}

static double macs(const tdm__io *io)
{
    tdm__conv c = of(io);
    return tdm__conv_macs(&c);
}

#define F TDM__F32
#define CONV(...) (&(const tdm_conv2d_attrs){__VA_ARGS__})

static const tdm__sample samples[] = {
    {"k2 s2", CONV({2, 2}, {2, 2}), 3, {F(3, 2, 3, 5), F(2, 2, 6, 5), F(6)}},
    {"no bias", CONV({2, 2}, {2, 2}), 2, {F(2, 2, 2, 5), F(2, 2, 6, 5)}},
    {"k3 s2 p1", CONV({3, 3}, {2, 2}, {1, 1}), 3, {F(2, 4, 3, 5), F(3, 3, 7, 5), F(7)}},
    {"k3 s2 p1 output padding",
     CONV({3, 3}, {2, 2}, {1, 1}, .output_padding = {1, 1}),
     3,
     {F(2, 4, 3, 5), F(3, 3, 7, 5), F(7)}},
    {"output padding along W",
     CONV({2, 3}, {3, 3}, {0, 1}, .output_padding = {0, 2}),
     3,
     {F(2, 2, 3, 3), F(2, 3, 2, 3), F(2)}},
    {"k3 s1", CONV({3, 3}), 3, {F(2, 4, 4, 3), F(3, 3, 9, 3), F(9)}},
    {"3x3 tile less one", CONV({3, 3}, {1, 1}, {1, 1}), 3, {F(1, 3, 3, 4), F(3, 3, 3, 4), F(3)}},
    {"3x3 8x9 pad 2", CONV({3, 3}, {1, 1}, {2, 2}), 3, {F(1, 10, 11, 17), F(3, 3, 33, 17), F(33)}},
    {"3x3 14x14", CONV({3, 3}, {1, 1}, {1, 1}), 3, {F(3, 14, 14, 33), F(3, 3, 16, 33), F(16)}},
    {"3x3 panels", CONV({3, 3}, {1, 1}, {1, 1}), 3, {F(1, 5, 7, 67), F(3, 3, 9, 67), F(9)}},
    {"k4 s2 p1", CONV({4, 4}, {2, 2}, {1, 1}), 3, {F(1, 3, 5, 4), F(4, 4, 17, 4), F(17)}},
    {"k1 s3", CONV({1, 1}, {3, 3}), 3, {F(2, 3, 2, 4), F(1, 1, 3, 4), F(3)}},
    {"k5 s3 p2", CONV({5, 5}, {3, 3}, {2, 2}), 3, {F(1, 3, 4, 3), F(5, 5, 3, 3), F(3)}},
    {"k2x3 s1x2", CONV({2, 3}, {1, 2}, {1, 0}), 3, {F(2, 4, 3, 3), F(2, 3, 5, 3), F(5)}},
    {"dilation 2", CONV({3, 3}, {1, 1}, {1, 1}, {2, 2}), 3, {F(1, 4, 5, 3), F(3, 3, 4, 3), F(4)}},
    {"dilation 2 stride 2",
     CONV({3, 2}, {2, 2}, {1, 1}, {2, 2}),
     3,
     {F(1, 4, 5, 3), F(3, 2, 4, 3), F(4)}},
    {"dilation 2 stride 3",
     CONV({3, 3}, {3, 3}, {1, 1}, {2, 2}),
     3,
     {F(1, 3, 4, 3), F(3, 3, 4, 3), F(4)}},
    {"fashion 1", CONV({2, 2}, {2, 2}), 3, {F(3, 2, 2, 16), F(2, 2, 16, 16), F(16)}},
    {"fashion 2", CONV({3, 3}, {2, 2}, {1, 1}), 3, {F(3, 4, 4, 16), F(3, 3, 8, 16), F(8)}},
    {"fashion 3", CONV({2, 2}, {2, 2}), 3, {F(3, 7, 7, 8), F(2, 2, 4, 8), F(4)}},
    {"fashion 4", CONV({2, 2}, {2, 2}), 3, {F(3, 14, 14, 4), F(2, 2, 1, 4), F(1)}},
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
     {F(2, 4, 4, 17), F(3, 3, 1, 17), F(17)}},
    {"depthwise dilation 2",
     CONV({3, 2}, {1, 1}, {2, 2}, {2, 2}, .groups = 9),
     3,
     {F(1, 8, 9, 9), F(3, 2, 1, 9), F(9)}},
    {"depthwise twice",
     CONV({3, 3}, {1, 1}, {1, 1}, {1, 1}, .groups = 5),
     3,
     {F(1, 5, 5, 10), F(3, 3, 1, 10), F(5)}},
    {"groups 2",
     CONV({3, 3}, {1, 1}, {1, 1}, {1, 1}, .groups = 2),
     3,
     {F(2, 5, 6, 8), F(3, 3, 3, 8), F(6)}},
    {"groups 3 to fewer",
     CONV({2, 3}, {1, 1}, {0, 0}, {1, 1}, .groups = 3),
     3,
     {F(1, 5, 3, 6), F(2, 3, 4, 6), F(12)}},
    {"groups of 16 and 33",
     CONV({3, 3}, {1, 1}, {1, 1}, {1, 1}, .groups = 2),
     3,
     {F(1, 4, 5, 32), F(3, 3, 33, 32), F(66)}},
    {"groups of 8 1x1 stride 2",
     CONV({1, 1}, {2, 2}, {0, 0}, {1, 1}, .groups = 2),
     3,
     {F(2, 3, 2, 24), F(1, 1, 8, 24), F(16)}},
};

static const tdm__reject rejects[] = {
    {"x rank",
     CONV({1, 1}),
     2,
     {F(4, 4, 2), F(1, 1, 3, 2)},
     TDM_ERR_SHAPE,
     "x: must have 4 axes, got f32[4,4,2]"},
    {"filter",
     CONV({2, 2}),
     2,
     {F(1, 4, 4, 2), F(2, 2, 3, 4)},
     TDM_ERR_SHAPE,
     "w: must be f32[2,2,3,2], got f32[2,2,3,4]"},
    {"bias",
     CONV({2, 2}),
     3,
     {F(1, 4, 4, 2), F(2, 2, 3, 2), F(2)},
     TDM_ERR_SHAPE,
     "b: must be f32[3], got f32[2]"},
    {"output padding",
     CONV({2, 2}, {2, 2}, .output_padding = {0, 2}),
     2,
     {F(1, 4, 4, 2), F(2, 2, 3, 2)},
     TDM_ERR_SHAPE,
     "output_padding: must be at least 0 and less than the stride, got 0x2"},
    {"padding",
     CONV({2, 2}, {1, 1}, {2, 1}),
     2,
     {F(1, 2, 4, 2), F(2, 2, 3, 2)},
     TDM_ERR_SHAPE,
     "kernel: 2x2 does not fit x: the result would be -1x3"},
};

const tdm_op tdm__op_conv_transpose2d = {
    .name = "conv_transpose2d",
    .attr_size = sizeof(tdm_conv2d_attrs),
    .attrs = tdm__conv_attrs,
    .n_attrs = TDM__N_CONV_ATTRS,
    .min_in = 2,
    .max_in = 3,
    .n_out = 1,
    .differentiable = 7,
    .out_gradient = 1,
    .fuse = TDM__FUSE_ACT | TDM__FUSE_AFFINE | TDM__FUSE_RESIDUAL,
    .infer = infer,
    .gradient = gradient,
    .reference = reference,
    .macs = macs,
    TDM__TABLES(tdm__conv_to_big_variants, samples, rejects),
};

tdm_value tdm_conv_transpose2d(tdm_graph *g, tdm_value x, tdm_value w, tdm_value b,
                               const tdm_conv2d_attrs *a)
{
    return tdm__op_append(g, &tdm__op_conv_transpose2d, (tdm_value[]){x, w, b}, 3, a);
}
