/* ops/conv/scatter.c: the launches of cl/conv/scatter.cl: data gradient and transposed convolution
 * to few channels (an image's colours), CPU style. Every split depends on shapes and on the
 * device's vector width and local memory, never on its number of cores.
 */
#include "ops/conv/conv.h"

#define FILE_CL "conv/scatter.cl"

/* Channels of the result: with more, vectors of channels are full enough. */
enum { MAX_CHANNELS = 4 };
/* Bytes of the rows that a work-item sums: many, as the inputs at their border are multiplied
 * twice. Floats of the products between the two steps: half a first-level cache. */
enum { ROWS_BYTES = 160 << 10, PRODUCT_FLOATS = 6144 };

typedef struct scatter {
    int64_t columns, panels, pitch; /* of the product: taps x channels, in panels, floats */
    int64_t line, bh;               /* floats of a row of sums; rows of a work-item */
    int64_t piece, product;         /* pixels multiplied together; floats of their products */
} scatter;

static int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static bool scatter_of(const tdm__traits *traits, const tdm__conv *c, scatter *s)
{
    int64_t nr = 2 * traits->vector_width, mr = traits->vector_width == 16 ? 12 : 6;
    if (c->c > MAX_CHANNELS || c->c > traits->vector_width || c->dilation[1] != 1) return false;
    s->columns = c->kernel[0] * c->kernel[1] * c->c;
    s->panels = ceil_div(s->columns, nr);
    s->pitch = s->panels * nr;
    int64_t covered = (c->small[1] - 1) * c->stride[1] + c->kernel[1];
    int64_t needed = c->big[1] + c->padding[1];
    s->line = c->c * (covered > needed ? covered : needed);
    s->piece = PRODUCT_FLOATS / s->pitch / mr * mr;
    if (s->piece < mr) s->piece = mr;
    if (s->piece > ceil_div(c->small[1], mr) * mr) s->piece = ceil_div(c->small[1], mr) * mr;
    s->product = s->piece * s->pitch;
    int64_t limit = (int64_t)traits->local_bytes / 4 - s->product;
    if (limit > ROWS_BYTES / 4) limit = ROWS_BYTES / 4;
    if (s->line > limit) return false;
    s->bh = ceil_div(c->big[0], ceil_div(c->big[0], limit / s->line));
    return true;
}

bool tdm__conv_scatter_can_run(const tdm__traits *traits, const tdm__conv *c)
{
    scatter s;
    return scatter_of(traits, c, &s);
}

uint64_t tdm__conv_scatter_workspace(const tdm__traits *traits, const tdm__conv *c)
{
    scatter s;
    return scatter_of(traits, c, &s) ? 4 * (uint64_t)(s.pitch * c->k) : 0;
}

static void arg_ints(tdm__kernel *k, const int64_t *v, int n)
{
    for (int i = 0; i < n; i++) tdm__arg_i32(k, v[i]);
}

tdm_status tdm__conv_scatter_prepare(tdm__build *b, const tdm__conv *c, int bias)
{
    const uint64_t one[2] = {1, 1};
    scatter s;
    scatter_of(tdm__build_traits(b), c, &s);

    tdm__kernel *k = tdm__emit(b, FILE_CL, "conv_scatter_pack", "");
    tdm__arg_in(k, 1);
    tdm__arg_workspace(k, 0, sizeof(float));
    arg_ints(k, (int64_t[]){s.columns, c->k}, 2);
    tdm__range_1(k, (uint64_t)s.panels, 1);
    tdm__cost(k, 0, 8.0 * (double)(s.columns * c->k));

    k = tdm__emit(b, FILE_CL, "conv_scatter", "");
    tdm__arg_in(k, 0);
    tdm__arg_workspace(k, 0, sizeof(float));
    tdm__arg_out(k, 0);
    tdm__arg_epilogue(k, bias);
    arg_ints(k, (int64_t[]){c->small[0], c->small[1], c->k, c->big[0], c->big[1], c->c}, 6);
    arg_ints(k, c->kernel, 2);
    arg_ints(k, c->stride, 2);
    arg_ints(k, c->padding, 2);
    arg_ints(
        k,
        (int64_t[]){c->dilation[0], s.bh, s.line, s.piece, s.pitch, tdm__build_io(b)->accumulate},
        6);
    tdm__arg_local(k, 4 * (uint64_t)(s.bh * s.line));
    tdm__arg_local(k, 4 * (uint64_t)s.product);
    tdm__range(k, 2, (uint64_t[]){(uint64_t)ceil_div(c->big[0], s.bh), (uint64_t)c->n}, one);
    tdm__cost(k, 2 * tdm__conv_macs(c), tdm__conv_bytes(c));
    return TDM_OK;
}
