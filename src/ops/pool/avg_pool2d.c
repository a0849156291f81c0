/* ops/pool/avg_pool2d.c: mean over windows. The divisor is PyTorch's: with count_include_pad the
 * window's positions in input and padding (not those that ceil_mode adds beyond the padding),
 * otherwise its positions in the input. */
#include "ops/pool/pool.h"

/* ---- forward --------------------------------------------------------------------------------- */

static tdm_status gradient(tdm_graph *g, const tdm__node_view *node, const tdm_value *dout,
                           const bool *need, tdm_value *din)
{
    if (need[0]) din[0] = tdm__pool_gradient(g, &tdm__op_avg_pool2d_grad, node, dout, 1);
    return TDM_OK;
}

static double divisor(const tdm__pool *g, const tdm__window *w, bool include_pad)
{
    int64_t h = w->r1 - w->r0, k = w->s1 - w->s0;
    if (include_pad) {
        h = g->h + g->ph - w->h0 < g->r ? g->h + g->ph - w->h0 : g->r;
        k = g->w + g->pw - w->w0 < g->s ? g->w + g->pw - w->w0 : g->s;
    }
    return (double)(h * k);
}

/* The kernels' last arguments: 1 / count where all windows have as many positions. */
static void divisor_args(tdm__kernel *k, const tdm_pool2d_attrs *a, bool accumulate)
{
    bool padded = a->padding[0] || a->padding[1];
    bool uniform = !a->ceil_mode && (a->count_include_pad || !padded);
    tdm__arg_i32(k, a->count_include_pad);
    tdm__arg_f32(k, uniform ? 1.0 / ((double)a->kernel[0] * a->kernel[1]) : 0);
    tdm__arg_i32(k, accumulate);
}

static void reference(const tdm__ref *ref)
{
    const tdm_pool2d_attrs *a = ref->io->attrs;
    tdm__pool g = tdm__pool_of(ref->io, false);
    tdm__window w;
    for (bool more = tdm__pool_first(&g, &w); more; more = tdm__pool_next(&g, &w)) {
        double sum = 0;
        for (int64_t r = w.r0; r < w.r1; r++)
            for (int64_t s = w.s0; s < w.s1; s++)
                sum += ref->in[0][tdm__pool_x(&g, w.n, w.h0 + r, w.w0 + s, w.c)];
        ref->out[0][w.y] += sum / divisor(&g, &w, a->count_include_pad);
    }
}

static tdm_status prepare(tdm__build *b)
{
    const tdm__io *io = tdm__build_io(b);
    divisor_args(tdm__pool_emit(b, "avg_pool_fwd", false, 1), io->attrs, io->accumulate);
    return TDM_OK;
}

static const tdm__variant variants[] = {{"direct", TDM__ON_ANY, .prepare = prepare}};

static const tdm_pool2d_attrs
    two = {.kernel = {2, 2}, .count_include_pad = true},
    three = {.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}, .count_include_pad = true},
    inside = {.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}},
    dense = {.kernel = {3, 2}, .stride = {1, 1}},
    ceiling = {.kernel = {3, 3},
               .stride = {2, 2},
               .padding = {1, 1},
               .ceil_mode = true,
               .count_include_pad = true},
    ceil_in = {.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}, .ceil_mode = true},
    sparse = {.kernel = {2, 1}, .stride = {3, 4}}, none = {.kernel = {0, 0}},
    five = {.kernel = {5, 5}};
static const tdm__sample samples[] = {
    {"2x2 c15", &two, 1, {TDM__F32(2, 4, 6, 15)}},
    {"2x2 c16", &two, 1, {TDM__F32(1, 6, 4, 16)}},
    {"2x2 c17 odd", &two, 1, {TDM__F32(2, 5, 7, 17)}},
    {"2x2 two items", &two, 1, {TDM__F32(5, 26, 26, 32)}},
    {"3x3 with padding", &three, 1, {TDM__F32(2, 7, 8, 5)}},
    {"3x3 without padding", &inside, 1, {TDM__F32(2, 7, 8, 5)}},
    {"3x2 overlapping", &dense, 1, {TDM__F32(1, 5, 5, 3)}},
    {"ceil with padding", &ceiling, 1, {TDM__F32(1, 6, 8, 9)}},
    {"ceil without padding", &ceil_in, 1, {TDM__F32(1, 6, 8, 9)}},
    {"gaps", &sparse, 1, {TDM__F32(1, 8, 9, 7)}},
};
static const tdm__reject rejects[] = {
    {"rank", &two, 1, {TDM__F32(4, 4)}, TDM_ERR_SHAPE, "x: must have 4 axes, got f32[4,4]"},
    {"no kernel",
     &none,
     1,
     {TDM__F32(1, 4, 4, 2)},
     TDM_ERR_SHAPE,
     "kernel: must be at least 1x1, got 0x0"},
    {"too small",
     &five,
     1,
     {TDM__F32(1, 5, 4, 2)},
     TDM_ERR_SHAPE,
     "kernel: 5x5 must fit the input of 5x4 with padding 0x0"},
};

const tdm_op tdm__op_avg_pool2d = {
    .name = "avg_pool2d",
    TDM__POOL_FORWARD,
    .n_out = 1,
    .can_accumulate = true,
    .infer = tdm__pool_infer,
    .gradient = gradient,
    .reference = reference,
    TDM__TABLES(variants, samples, rejects),
};

/* ---- backward -------------------------------------------------------------------------------- */

static void reference_grad(const tdm__ref *ref)
{
    const tdm__pool_back_attrs *a = ref->io->attrs;
    tdm__pool g = tdm__pool_of(ref->io, true);
    tdm__window w;
    for (bool more = tdm__pool_first(&g, &w); more; more = tdm__pool_next(&g, &w)) {
        double share = ref->in[0][w.y] / divisor(&g, &w, a->pool.count_include_pad);
        for (int64_t r = w.r0; r < w.r1; r++)
            for (int64_t s = w.s0; s < w.s1; s++)
                ref->out[0][tdm__pool_x(&g, w.n, w.h0 + r, w.w0 + s, w.c)] += share;
    }
}

static tdm_status prepare_grad(tdm__build *b)
{
    const tdm__io *io = tdm__build_io(b);
    const tdm__pool_back_attrs *a = io->attrs;
    divisor_args(tdm__pool_emit(b, "avg_pool_bwd", true, 2), &a->pool, io->accumulate);
    return TDM_OK;
}

static const tdm__variant variants_grad[] = {{"gather", TDM__ON_ANY, .prepare = prepare_grad}};

static const tdm__pool_back_attrs
    two_back = {{.kernel = {2, 2}, .count_include_pad = true}, 5, 7},
    two_even = {{.kernel = {2, 2}}, 26, 26},
    three_back =
        {{.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}, .count_include_pad = true}, 7, 8},
    inside_back = {{.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}}, 7, 8},
    ceil_back = {{.kernel = {3, 3},
                  .stride = {2, 2},
                  .padding = {1, 1},
                  .ceil_mode = true,
                  .count_include_pad = true},
                 6,
                 8},
    gaps_back = {{.kernel = {2, 1}, .stride = {3, 4}}, 8, 9};
static const tdm__sample samples_grad[] = {
    {"2x2 c15", &two_back, 1, {TDM__F32(2, 2, 3, 15)}},
    {"2x2 c16", &two_back, 1, {TDM__F32(1, 2, 3, 16)}},
    {"2x2 c17", &two_back, 1, {TDM__F32(1, 2, 3, 17)}},
    {"2x2 two items", &two_even, 1, {TDM__F32(3, 13, 13, 32)}},
    {"3x3 with padding", &three_back, 1, {TDM__F32(2, 4, 4, 5)}},
    {"3x3 without padding", &inside_back, 1, {TDM__F32(2, 4, 4, 5)}},
    {"ceil", &ceil_back, 1, {TDM__F32(1, 4, 5, 9)}},
    {"gaps", &gaps_back, 1, {TDM__F32(1, 3, 3, 7)}},
};
static const tdm__reject rejects_grad[] = {
    {"size",
     &two_back,
     1,
     {TDM__F32(1, 3, 3, 2)},
     TDM_ERR_SHAPE,
     "dy: must be the pooled size 2x3, got 3x3"},
};

const tdm_op tdm__op_avg_pool2d_grad = {
    .name = "avg_pool2d_grad",
    TDM__POOL_BACK,
    .min_in = 1,
    .max_in = 1,
    .infer = tdm__pool_infer_back,
    .reference = reference_grad,
    TDM__TABLES(variants_grad, samples_grad, rejects_grad),
};

tdm_value tdm_avg_pool2d(tdm_graph *g, tdm_value x, const tdm_pool2d_attrs *a)
{
    return tdm__op_append(g, &tdm__op_avg_pool2d, &x, 1, a);
}
