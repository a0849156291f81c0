/* ops/pool/pool.c: see ops/pool/pool.h. */
#include "ops/pool/pool.h"

#include <stddef.h>

const tdm__attr tdm__pool_attr_table[TDM__POOL_BACK_ATTRS] = {
    {"kernel", 'i', offsetof(tdm_pool2d_attrs, kernel), 2},
    {"stride", 'i', offsetof(tdm_pool2d_attrs, stride), 2},
    {"padding", 'i', offsetof(tdm_pool2d_attrs, padding), 2},
    {"ceil_mode", 'b', offsetof(tdm_pool2d_attrs, ceil_mode), 1},
    {"count_include_pad", 'b', offsetof(tdm_pool2d_attrs, count_include_pad), 1},
    {"h", 'l', offsetof(tdm__pool_back_attrs, h), 1},
    {"w", 'l', offsetof(tdm__pool_back_attrs, w), 1},
};

int64_t tdm__pool_out(int64_t in, int64_t kernel, int64_t stride, int64_t padding, bool ceil_mode)
{
    int64_t room = in + 2 * padding - kernel;
    if (room < 0) return 0;
    int64_t out = (room + (ceil_mode ? stride - 1 : 0)) / stride + 1;
    if (ceil_mode && (out - 1) * stride >= in + padding) out--;
    return out;
}

static void set_windows(const tdm_pool2d_attrs *a, tdm__pool *g)
{
    g->r = a->kernel[0], g->s = a->kernel[1];
    g->sh = a->stride[0] ? a->stride[0] : a->kernel[0];
    g->sw = a->stride[1] ? a->stride[1] : a->kernel[1];
    g->ph = a->padding[0], g->pw = a->padding[1];
}

tdm_status tdm__pool_make(const tdm_pool2d_attrs *a, int64_t n, int64_t h, int64_t w, int64_t c,
                          tdm__pool *out)
{
    const int32_t *k = a->kernel, *s = a->stride, *pad = a->padding;
    if (k[0] < 1 || k[1] < 1)
        return tdm__fail(TDM_ERR_SHAPE, "kernel: must be at least 1x1, got %dx%d", (int)k[0],
                         (int)k[1]);
    if (s[0] < 0 || s[1] < 0)
        return tdm__fail(TDM_ERR_SHAPE, "stride: must be at least 1 (0: the kernel), got %dx%d",
                         (int)s[0], (int)s[1]);
    if (pad[0] < 0 || pad[1] < 0 || pad[0] > k[0] / 2 || pad[1] > k[1] / 2)
        return tdm__fail(TDM_ERR_SHAPE, "padding: must be 0 to half the %dx%d kernel, got %dx%d",
                         (int)k[0], (int)k[1], (int)pad[0], (int)pad[1]);
    *out = (tdm__pool){.n = (uint64_t)n, .h = h, .w = w, .c = c};
    set_windows(a, out);
    out->p = tdm__pool_out(h, k[0], out->sh, pad[0], a->ceil_mode);
    out->q = tdm__pool_out(w, k[1], out->sw, pad[1], a->ceil_mode);
    if (out->p < 1 || out->q < 1)
        return tdm__fail(
            TDM_ERR_SHAPE, "kernel: %dx%d must fit the input of %lldx%lld with padding %dx%d",
            (int)k[0], (int)k[1], (long long)h, (long long)w, (int)pad[0], (int)pad[1]);
    return TDM_OK;
}

tdm__pool tdm__pool_of(const tdm__io *io, bool back)
{
    const tdm_desc *large = back ? &io->out[0] : &io->in[0];
    const tdm_desc *small = back ? &io->in[0] : &io->out[0];
    tdm__pool g = {.n = (uint64_t)large->dim[0],
                   .h = large->dim[1],
                   .w = large->dim[2],
                   .c = large->dim[3],
                   .p = small->dim[1],
                   .q = small->dim[2]};
    set_windows(io->attrs, &g); /* tdm__pool_back_attrs begin with them */
    return g;
}

tdm_status tdm__pool_infer(const tdm__io *io, tdm_desc *out)
{
    tdm_status status = TDM_OK;
    const int64_t *d = io->in[0].dim;
    tdm__pool g;
    TDM_TRY(tdm__expect(io, 0, "x", TDM_F32, 4));
    TDM_TRY(tdm__pool_make(io->attrs, d[0], d[1], d[2], d[3], &g));
    out[0] = tdm_desc_4(TDM_F32, d[0], g.p, g.q, d[3]);
done:
    return status;
}

tdm_status tdm__pool_infer_back(const tdm__io *io, tdm_desc *out)
{
    tdm_status status = TDM_OK;
    const tdm__pool_back_attrs *a = io->attrs;
    const int64_t *d = io->in[0].dim;
    tdm__pool g;
    TDM_TRY(tdm__expect(io, 0, "dy", TDM_F32, 4));
    TDM_TRY(tdm__pool_make(&a->pool, d[0], a->h, a->w, d[3], &g));
    if (g.p != d[1] || g.q != d[2])
        return tdm__fail(TDM_ERR_SHAPE, "dy: must be the pooled size %lldx%lld, got %lldx%lld",
                         (long long)g.p, (long long)g.q, (long long)d[1], (long long)d[2]);
    out[0] = tdm_desc_4(TDM_F32, d[0], a->h, a->w, d[3]);
done:
    return status;
}

tdm_value tdm__pool_gradient(tdm_graph *g, const tdm_op *op, const tdm__node_view *node,
                             const tdm_value *in, int n)
{
    const int64_t *x = node->io->in[0].dim;
    tdm__pool_back_attrs a = {*(const tdm_pool2d_attrs *)node->io->attrs, x[1], x[2]};
    return tdm__graph_node(g, op, in, n, &a);
}

/* Over a result of height x width. */
static tdm__kernel *emit(tdm__build *b, const char *kernel, const tdm__pool *g, int64_t height,
                         int64_t width, double flops)
{
    const tdm__io *io = tdm__build_io(b);
    tdm__kernel *k = tdm__emit_operands(b, "pool.cl", kernel);
    tdm__arg_rows(b, k, g->n * (uint64_t)height, (uint64_t)(width * g->c));
    const int64_t args[] = {g->h, g->w, g->c, g->p, g->q, g->r, g->s, g->sh, g->sw, g->ph, g->pw};
    for (int i = 0; i < TDM__COUNT(args); i++) tdm__arg_i32(k, args[i]);
    double large = (double)g->n * (double)(g->h * g->w * g->c);
    double small = (double)g->n * (double)(g->p * g->q * g->c);
    bool indices = io->n_in + io->n_out > 2;
    tdm__cost(k, flops * small * g->r * g->s, 4 * large + (indices ? 5 : 4) * small);
    return k;
}

tdm__kernel *tdm__pool_emit(tdm__build *b, const char *kernel, bool back, double flops)
{
    const tdm__io *io = tdm__build_io(b);
    tdm__pool g = tdm__pool_of(io, back);
    return emit(b, kernel, &g, io->out[0].dim[1], io->out[0].dim[2], flops);
}

/* ---- maximum, backwards, and unpool -------------------------------------------------------------
 */

bool tdm__pool_can_tile(const tdm__traits *traits, const tdm__io *io)
{
    (void)traits;
    const tdm_pool2d_attrs *a = &((const tdm__pool_back_attrs *)io->attrs)->pool;
    for (int i = 0; i < 2; i++)
        if ((a->stride[i] && a->stride[i] != a->kernel[i]) || a->padding[i]) return false;
    return true;
}

tdm_status tdm__pool_prepare_tiles(tdm__build *b)
{
    tdm__pool g = tdm__pool_of(tdm__build_io(b), true);
    tdm__kernel *k = emit(b, "max_pool_tiles", &g, (g.h + g.r - 1) / g.r, (g.w + g.s - 1) / g.s, 1);
    tdm__arg_i32(k, tdm__build_io(b)->accumulate);
    tdm__arg_epilogue(k, -1);
    return TDM_OK;
}

/* ---- global pools -----------------------------------------------------------------------------
 */

const tdm__attr tdm__global_attr_table[TDM__GLOBAL_ATTRS] = {
    {"h", 'l', offsetof(tdm__global_attrs, h), 1},
    {"w", 'l', offsetof(tdm__global_attrs, w), 1},
};

tdm_status tdm__global_infer_back(const tdm__io *io, tdm_desc *out)
{
    tdm_status status = TDM_OK;
    const tdm__global_attrs *a = io->attrs;
    TDM_TRY(tdm__expect(io, 0, "dy", TDM_F32, 2));
    if (a->h < 1 || a->w < 1)
        return tdm__fail(TDM_ERR_SHAPE, "h, w: must be at least 1, got %lld, %lld", (long long)a->h,
                         (long long)a->w);
    out[0] = tdm_desc_4(TDM_F32, io->in[0].dim[0], a->h, a->w, io->in[0].dim[1]);
done:
    return status;
}

tdm_value tdm__global_gradient(tdm_graph *g, const tdm_op *op, const tdm__node_view *node,
                               const tdm_value *in, int n)
{
    const int64_t *x = node->io->in[0].dim;
    return tdm__graph_node(g, op, in, n, &(tdm__global_attrs){x[1], x[2]});
}

tdm__kernel *tdm__global_emit(tdm__build *b, const char *kernel)
{
    const tdm__traits *t = tdm__build_traits(b);
    const tdm_desc *x = &tdm__build_io(b)->in[0];
    bool cpu = tdm__build_is_cpu(b);
    /* pool.cl: LANES channels a work-item, or TX channels a work-group */
    uint64_t together = cpu ? t->vector_width : t->work_group < 16 ? t->work_group : 16;
    uint64_t samples = (uint64_t)x->dim[0], channels = (uint64_t)x->dim[3];
    tdm__kernel *k = tdm__emit_operands(b, "pool.cl", kernel);
    tdm__arg_u64(k, (uint64_t)(x->dim[1] * x->dim[2]));
    tdm__arg_i32(k, x->dim[3]);
    tdm__range_1(k, samples * tdm__ceil_div(channels, together), cpu ? 1 : t->work_group);
    return k;
}

tdm_status tdm__global_prepare_back(tdm__build *b, const char *kernel)
{
    const tdm__io *io = tdm__build_io(b);
    const int64_t *d = io->out[0].dim, pixels = d[1] * d[2];
    tdm__kernel *k = tdm__emit_operands(b, "pool.cl", kernel);
    tdm__arg_rows(b, k, (uint64_t)(d[0] * pixels), (uint64_t)d[3]);
    tdm__arg_i32(k, pixels);
    tdm__arg_i32(k, d[3]);
    tdm__arg_i32(k, io->accumulate);
    double n = (double)tdm_desc_count(&io->out[0]);
    tdm__cost(k, n, 4 * n);
    return TDM_OK;
}

/* ---- windows, for the references ----------------------------------------------------------------
 */

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void place(const tdm__pool *g, tdm__window *w)
{
    w->h0 = w->p * g->sh - g->ph, w->w0 = w->q * g->sw - g->pw;
    w->r0 = most(0, -w->h0), w->r1 = -most(-g->r, w->h0 - g->h);
    w->s0 = most(0, -w->w0), w->s1 = -most(-g->s, w->w0 - g->w);
}

bool tdm__pool_first(const tdm__pool *g, tdm__window *w)
{
    *w = (tdm__window){0};
    place(g, w);
    return true;
}

bool tdm__pool_next(const tdm__pool *g, tdm__window *w)
{
    w->y++;
    if (++w->c == g->c) {
        w->c = 0;
        if (++w->q == g->q) {
            w->q = 0;
            if (++w->p == g->p) w->p = 0, w->n++;
        }
    }
    place(g, w);
    return w->n < (int64_t)g->n;
}

int64_t tdm__pool_target(const tdm__pool *g, const tdm__window *w, double index)
{
    int64_t r = (int64_t)index / g->s, s = (int64_t)index % g->s;
    if (r < w->r0 || r >= w->r1 || s < w->s0 || s >= w->s1) return -1;
    return tdm__pool_x(g, w->n, w->h0 + r, w->w0 + s, w->c);
}
