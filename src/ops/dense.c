/* ops/dense.c: y = x w + b, and its gradients dx = dy w^T, dw = x^T dy, db = column sums of dy.
 * x (N,C), w (C,K), b (K) or none.
 */
#include <math.h>

#include <tandem/ops.h>

#include "ops/channel_sum.h"
#include "ops/gemm.h"

#define F TDM__F32

static tdm_status expect_axis(const tdm__io *io, int input, const char *name, int axis,
                              int64_t want)
{
    if (io->in[input].dim[axis] == want) return TDM_OK;
    char text[96];
    return tdm__fail(TDM_ERR_SHAPE, "%s: axis %d must be %lld, got %s", name, axis, (long long)want,
                     tdm_desc_text(&io->in[input], text, sizeof text));
}

static double product_macs(const tdm__io *io)
{
    const tdm_desc *a = &io->in[0], *b = &io->in[1], *c = &io->out[0];
    /* Each of the three axes belongs to two of the three matrices. */
    double n = (double)tdm_desc_count(a) * (double)tdm_desc_count(b) * (double)tdm_desc_count(c);
    return n > 0 ? sqrt(n) : 0;
}

/* ---- forward --------------------------------------------------------------------------------- */

static tdm_status forward_infer(const tdm__io *io, tdm_desc *out)
{
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__expect(io, 0, "x", TDM_F32, 2));
    TDM_TRY(tdm__expect(io, 1, "w", TDM_F32, 2));
    TDM_TRY(expect_axis(io, 1, "w", 0, io->in[0].dim[1]));
    if (io->n_in > 2 && io->in[2].dtype != TDM_NONE) TDM_TRY(tdm__expect_channels(io, 2, "b", 1));
    out[0] = tdm_desc_2(TDM_F32, io->in[0].dim[0], io->in[1].dim[1]);
done:
    return status;
}

static tdm_status forward_gradient(tdm_graph *g, const tdm__node_view *node, const tdm_value *dout,
                                   const bool *need, tdm_value *din)
{
    if (need[0])
        din[0] =
            tdm__graph_node(g, &tdm__op_dense_grad_x, (tdm_value[]){dout[0], node->in[1]}, 2, NULL);
    if (need[1])
        din[1] =
            tdm__graph_node(g, &tdm__op_dense_grad_w, (tdm_value[]){node->in[0], dout[0]}, 2, NULL);
    if (node->io->n_in > 2 && need[2]) din[2] = tdm__channel_sum(g, dout[0]);
    return TDM_OK;
}

static void forward_reference(const tdm__ref *ref)
{
    const tdm_desc *x = &ref->io->in[0], *w = &ref->io->in[1];
    const double *b = ref->io->n_in > 2 ? ref->in[2] : NULL;
    int64_t n = x->dim[0], c = x->dim[1], k = w->dim[1];
    for (int64_t i = 0; i < n; i++)
        for (int64_t o = 0; o < k; o++) {
            double sum = b ? b[o] : 0;
            for (int64_t j = 0; j < c; j++) sum += ref->in[0][i * c + j] * ref->in[1][j * k + o];
            ref->out[0][i * k + o] += sum;
        }
}

static tdm__gemm forward_gemm(tdm__build *b)
{
    const tdm__io *io = tdm__build_io(b);
    return (tdm__gemm){.a = 0,
                       .b = 1,
                       .bias = io->n_in > 2 ? 2 : -1,
                       .m = (uint64_t)io->in[0].dim[0],
                       .n = (uint64_t)io->in[1].dim[1],
                       .k = (uint64_t)io->in[0].dim[1]};
}

static tdm_status forward_prepare(tdm__build *b)
{
    tdm__gemm g = forward_gemm(b);
    return tdm__gemm_prepare(b, &g);
}

static tdm_status forward_clblast(tdm__build *b)
{
    tdm__gemm g = forward_gemm(b);
    return tdm__gemm_clblast_prepare(b, &g);
}

static const tdm__variant forward_variants[] = TDM__GEMM_VARIANTS(forward_prepare, forward_clblast);

static const tdm__sample forward_samples[] = {
    {"one", NULL, 3, {F(1, 1), F(1, 1), F(1)}},
    {"no bias", NULL, 2, {F(3, 4), F(4, 5)}},
    {"tile less one", NULL, 3, {F(5, 7), F(7, 15), F(15)}},
    {"tile", NULL, 3, {F(6, 8), F(8, 16), F(16)}},
    {"tile and one", NULL, 3, {F(7, 9), F(9, 17), F(17)}},
    {"narrow less one", NULL, 3, {F(7, 5), F(5, 7), F(7)}},
    {"narrow", NULL, 3, {F(8, 5), F(5, 8), F(8)}},
    {"narrow and one", NULL, 3, {F(9, 5), F(5, 9), F(9)}},
    {"prime", NULL, 3, {F(13, 31), F(31, 37), F(37)}},
    {"two depths", NULL, 3, {F(3, 257), F(257, 5), F(5)}},
    {"two row groups", NULL, 3, {F(97, 3), F(3, 2), F(2)}},
    {"four blocks", NULL, 3, {F(193, 2), F(2, 513), F(513)}},
    {"63", NULL, 3, {F(63, 15), F(15, 31), F(31)}},
    {"64", NULL, 3, {F(64, 16), F(16, 32), F(32)}},
    {"65", NULL, 3, {F(65, 17), F(17, 33), F(33)}},
    {"classifier 1", NULL, 3, {F(3, 64), F(64, 128), F(128)}},
    {"classifier 2", NULL, 3, {F(3, 128), F(128, 10), F(10)}},
};

static const tdm__sample forward_bench[] = {
    {"128x8192 to 512", NULL, 3, {F(128, 8192), F(8192, 512), F(512)}},
    {"512x512 to 512", NULL, 3, {F(512, 512), F(512, 512), F(512)}},
    {"128x512 to 2", NULL, 3, {F(128, 512), F(512, 2), F(2)}},
};

static const tdm__reject forward_rejects[] = {
    {"x rank",
     NULL,
     2,
     {F(2, 3, 4), F(4, 5)},
     TDM_ERR_SHAPE,
     "x: must have 2 axes, got f32[2,3,4]"},
    {"x type", NULL, 2, {TDM__I32(3, 4), F(4, 5)}, TDM_ERR_SHAPE, "x: must be f32, got i32[3,4]"},
    {"inner", NULL, 2, {F(3, 4), F(5, 4)}, TDM_ERR_SHAPE, "w: axis 0 must be 4, got f32[5,4]"},
    {"bias",
     NULL,
     3,
     {F(3, 4), F(4, 5), F(4)},
     TDM_ERR_SHAPE,
     "b: must be f32[5], one per channel, got f32[4]"},
};

const tdm_op tdm__op_dense = {
    .name = "dense",
    .min_in = 2,
    .max_in = 3,
    .n_out = 1,
    .differentiable = 7,
    .out_gradient = 1,
    .fuse = TDM__FUSE_ACT | TDM__FUSE_AFFINE | TDM__FUSE_RESIDUAL,
    .infer = forward_infer,
    .gradient = forward_gradient,
    .reference = forward_reference,
    .macs = product_macs,
    TDM__TABLES(forward_variants, forward_samples, forward_rejects),
    TDM__BENCH(forward_bench),
};

tdm_value tdm_dense(tdm_graph *g, tdm_value x, tdm_value w, tdm_value b)
{
    return tdm__op_append(g, &tdm__op_dense, (tdm_value[]){x, w, b}, 3, NULL);
}

/* ---- dx (N,C) = dy (N,K) w^T -------------------------------------------------------------------
 */

static tdm_status grad_x_infer(const tdm__io *io, tdm_desc *out)
{
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__expect(io, 0, "dy", TDM_F32, 2));
    TDM_TRY(tdm__expect(io, 1, "w", TDM_F32, 2));
    TDM_TRY(expect_axis(io, 1, "w", 1, io->in[0].dim[1]));
    out[0] = tdm_desc_2(TDM_F32, io->in[0].dim[0], io->in[1].dim[0]);
done:
    return status;
}

static void grad_x_reference(const tdm__ref *ref)
{
    int64_t n = ref->io->in[0].dim[0], k = ref->io->in[0].dim[1], c = ref->io->in[1].dim[0];
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < c; j++)
            for (int64_t o = 0; o < k; o++)
                ref->out[0][i * c + j] += ref->in[0][i * k + o] * ref->in[1][j * k + o];
}

static tdm__gemm grad_x_gemm(tdm__build *b)
{
    const tdm__io *io = tdm__build_io(b);
    return (tdm__gemm){.a = 0,
                       .b = 1,
                       .bias = -1,
                       .trans_b = true,
                       .m = (uint64_t)io->in[0].dim[0],
                       .n = (uint64_t)io->in[1].dim[0],
                       .k = (uint64_t)io->in[0].dim[1]};
}

static tdm_status grad_x_prepare(tdm__build *b)
{
    tdm__gemm g = grad_x_gemm(b);
    return tdm__gemm_prepare(b, &g);
}

static tdm_status grad_x_clblast(tdm__build *b)
{
    tdm__gemm g = grad_x_gemm(b);
    return tdm__gemm_clblast_prepare(b, &g);
}

static const tdm__variant grad_x_variants[] = TDM__GEMM_VARIANTS(grad_x_prepare, grad_x_clblast);

static const tdm__sample grad_x_samples[] = {
    {"one", NULL, 2, {F(1, 1), F(1, 1)}},
    {"tile less one", NULL, 2, {F(5, 7), F(15, 7)}},
    {"tile", NULL, 2, {F(6, 8), F(16, 8)}},
    {"tile and one", NULL, 2, {F(7, 9), F(17, 9)}},
    {"prime", NULL, 2, {F(13, 31), F(37, 31)}},
    {"two depths", NULL, 2, {F(3, 257), F(5, 257)}},
    {"two row groups", NULL, 2, {F(97, 3), F(2, 3)}},
    {"four blocks", NULL, 2, {F(193, 131), F(513, 131)}},
    {"65", NULL, 2, {F(65, 17), F(33, 17)}},
    {"classifier 1", NULL, 2, {F(3, 128), F(64, 128)}},
    {"classifier 2", NULL, 2, {F(3, 10), F(128, 10)}},
};

static const tdm__sample grad_x_bench[] = {
    {"128x8192 from 512", NULL, 2, {F(128, 512), F(8192, 512)}},
    {"512x512 from 512", NULL, 2, {F(512, 512), F(512, 512)}},
    {"128x512 from 2", NULL, 2, {F(128, 2), F(512, 2)}},
};

static const tdm__reject grad_x_rejects[] = {
    {"dy rank", NULL, 2, {F(5), F(4, 5)}, TDM_ERR_SHAPE, "dy: must have 2 axes, got f32[5]"},
    {"inner", NULL, 2, {F(3, 4), F(4, 5)}, TDM_ERR_SHAPE, "w: axis 1 must be 4, got f32[4,5]"},
};

const tdm_op tdm__op_dense_grad_x = {
    .name = "dense_grad_x",
    .min_in = 2,
    .max_in = 2,
    .n_out = 1,
    .can_accumulate = true,
    .infer = grad_x_infer,
    .reference = grad_x_reference,
    .macs = product_macs,
    TDM__TABLES(grad_x_variants, grad_x_samples, grad_x_rejects),
    TDM__BENCH(grad_x_bench),
};

/* ---- dw (C,K) = x^T (N,C) dy (N,K) --------------------------------------------------------------
 */

static tdm_status grad_w_infer(const tdm__io *io, tdm_desc *out)
{
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__expect(io, 0, "x", TDM_F32, 2));
    TDM_TRY(tdm__expect(io, 1, "dy", TDM_F32, 2));
    TDM_TRY(expect_axis(io, 1, "dy", 0, io->in[0].dim[0]));
    out[0] = tdm_desc_2(TDM_F32, io->in[0].dim[1], io->in[1].dim[1]);
done:
    return status;
}

static void grad_w_reference(const tdm__ref *ref)
{
    int64_t n = ref->io->in[0].dim[0], c = ref->io->in[0].dim[1], k = ref->io->in[1].dim[1];
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < c; j++)
            for (int64_t o = 0; o < k; o++)
                ref->out[0][j * k + o] += ref->in[0][i * c + j] * ref->in[1][i * k + o];
}

/* dx = dy D^T, ddy = x D, D the gradient of the product. */
static tdm_status grad_w_gradient(tdm_graph *g, const tdm__node_view *node, const tdm_value *dout,
                                  const bool *need, tdm_value *din)
{
    if (need[0])
        din[0] =
            tdm__graph_node(g, &tdm__op_dense_grad_x, (tdm_value[]){node->in[1], dout[0]}, 2, NULL);
    if (need[1])
        din[1] = tdm__graph_node(g, &tdm__op_dense, (tdm_value[]){node->in[0], dout[0]}, 2, NULL);
    return TDM_OK;
}

static tdm__gemm grad_w_gemm(tdm__build *b)
{
    const tdm__io *io = tdm__build_io(b);
    return (tdm__gemm){.a = 0,
                       .b = 1,
                       .bias = -1,
                       .trans_a = true,
                       .m = (uint64_t)io->in[0].dim[1],
                       .n = (uint64_t)io->in[1].dim[1],
                       .k = (uint64_t)io->in[0].dim[0]};
}

static tdm_status grad_w_prepare(tdm__build *b)
{
    tdm__gemm g = grad_w_gemm(b);
    return tdm__gemm_prepare(b, &g);
}

static tdm_status grad_w_clblast(tdm__build *b)
{
    tdm__gemm g = grad_w_gemm(b);
    return tdm__gemm_clblast_prepare(b, &g);
}

static const tdm__variant grad_w_variants[] = TDM__GEMM_VARIANTS(grad_w_prepare, grad_w_clblast);

static const tdm__sample grad_w_samples[] = {
    {"one", NULL, 2, {F(1, 1), F(1, 1)}},
    {"tile less one", NULL, 2, {F(7, 5), F(7, 15)}},
    {"tile", NULL, 2, {F(8, 6), F(8, 16)}},
    {"tile and one", NULL, 2, {F(9, 7), F(9, 17)}},
    {"narrow", NULL, 2, {F(5, 9), F(5, 8)}},
    {"prime", NULL, 2, {F(13, 31), F(13, 37)}},
    {"two depths", NULL, 2, {F(257, 3), F(257, 5)}},
    {"two row groups", NULL, 2, {F(3, 97), F(3, 2)}},
    {"four blocks", NULL, 2, {F(131, 193), F(131, 513)}},
    {"65", NULL, 2, {F(17, 65), F(17, 33)}},
    {"classifier 1", NULL, 2, {F(3, 64), F(3, 128)}},
    {"classifier 2", NULL, 2, {F(3, 128), F(3, 10)}},
};

static const tdm__sample grad_w_bench[] = {
    {"8192x512 of 128", NULL, 2, {F(128, 8192), F(128, 512)}},
    {"512x512 of 512", NULL, 2, {F(512, 512), F(512, 512)}},
    {"512x2 of 128", NULL, 2, {F(128, 512), F(128, 2)}},
};

static const tdm__reject grad_w_rejects[] = {
    {"x rank", NULL, 2, {F(5), F(4, 5)}, TDM_ERR_SHAPE, "x: must have 2 axes, got f32[5]"},
    {"batch", NULL, 2, {F(3, 4), F(2, 5)}, TDM_ERR_SHAPE, "dy: axis 0 must be 3, got f32[2,5]"},
};

const tdm_op tdm__op_dense_grad_w = {
    .name = "dense_grad_w",
    .min_in = 2,
    .max_in = 2,
    .n_out = 1,
    .differentiable = 3,
    .out_gradient = 1,
    .can_accumulate = true,
    .infer = grad_w_infer,
    .gradient = grad_w_gradient,
    .reference = grad_w_reference,
    .macs = product_macs,
    TDM__TABLES(grad_w_variants, grad_w_samples, grad_w_rejects),
    TDM__BENCH(grad_w_bench),
};

tdm_value tdm_dense_product(tdm_graph *g, tdm_value a, tdm_value b)
{
    return tdm__op_append(g, &tdm__op_dense_grad_w, (tdm_value[]){a, b}, 2, NULL);
}
