/* ops/conv/implicit_gpu.c: the launches of cl/conv/implicit_gpu.cl: convolution as an implicit
 * matrix product, GPU style. The split of the filter gradient depends on shapes only.
 */
#include "ops/conv/conv.h"

#define FILE_CL "conv/implicit_gpu.cl"

enum { TILE_M = 64, TILE_N = 32, ITEMS = 64 };
/* Work-groups that keep a large device busy; pixels that make a chunk worth its partial filter;
 * floats of all partial filters. */
enum { MIN_GROUPS = 512, MIN_PIXELS = 256, MAX_PART = 16 << 20 };

static void arg_sizes(tdm__kernel *k, const tdm__conv *c, bool to_big)
{
    const int64_t *in = to_big ? c->small : c->big, *out = to_big ? c->big : c->small;
    const int64_t v[] = {
        c->n, in[0], in[1], to_big ? c->k : c->c, out[0], out[1], to_big ? c->c : c->k};
    for (int i = 0; i < TDM__COUNT(v); i++) tdm__arg_i32(k, v[i]);
    const int64_t *pairs[] = {c->kernel, c->stride, c->padding, c->dilation};
    for (int i = 0; i < TDM__COUNT(pairs); i++)
        for (int j = 0; j < 2; j++) tdm__arg_i32(k, pairs[i][j]);
}

static void range(tdm__kernel *k, uint64_t x, uint64_t y, uint64_t z)
{
    uint64_t local[3] = {ITEMS, 1, 1};
    tdm__range(k, 3, (uint64_t[]){x * ITEMS, y, z}, local);
}

tdm_status tdm__conv_gather_gpu_prepare(tdm__build *b, const tdm__conv *c, bool to_big, int bias)
{
    int64_t reduced = to_big ? c->k : c->c, columns = to_big ? c->c : c->k;
    uint64_t pixels = (uint64_t)c->n, classes = 1;
    for (int i = 0; i < 2; i++) {
        uint64_t out = (uint64_t)(to_big ? c->big[i] : c->small[i]);
        uint64_t step = (uint64_t)(to_big ? c->stride[i] : 1);
        pixels *= tdm__ceil_div(out, step);
        classes *= step;
    }
    tdm__kernel *k = tdm__emit(b, FILE_CL, "conv_gather", "");
    tdm__arg_in(k, 0);
    tdm__arg_in(k, 1);
    tdm__arg_out(k, 0);
    tdm__arg_epilogue(k, bias);
    arg_sizes(k, c, to_big);
    tdm__arg_i32(k, to_big);
    tdm__arg_i32(k, to_big ? 1 : columns);
    tdm__arg_i32(k, to_big ? reduced : 1);
    tdm__arg_i32(k, tdm__build_io(b)->accumulate);
    range(k, tdm__ceil_div(pixels, TILE_M), tdm__ceil_div((uint64_t)columns, TILE_N), classes);
    tdm__cost(k, 2 * tdm__conv_macs(c), tdm__conv_bytes(c));
    return TDM_OK;
}

typedef struct split {
    uint64_t rows, pixels, chunk_pixels, chunks;
} split;

static split split_of(const tdm__conv *c)
{
    split s = {.rows = (uint64_t)(c->kernel[0] * c->kernel[1] * c->c) + 1,
               .pixels = (uint64_t)(c->n * c->small[0] * c->small[1])};
    uint64_t tiles = tdm__ceil_div(s.rows, TILE_M) * tdm__ceil_div((uint64_t)c->k, TILE_N);
    uint64_t chunks = tdm__ceil_div(MIN_GROUPS, tiles), most = MAX_PART / (s.rows * (uint64_t)c->k);
    if (chunks > most) chunks = most ? most : 1;
    s.chunk_pixels = tdm__ceil_div(s.pixels, chunks);
    if (s.chunk_pixels < MIN_PIXELS) s.chunk_pixels = MIN_PIXELS;
    s.chunks = tdm__ceil_div(s.pixels, s.chunk_pixels);
    return s;
}

uint64_t tdm__conv_filter_gpu_workspace(const tdm__traits *traits, const tdm__conv *c)
{
    (void)traits;
    split s = split_of(c);
    return 4 * s.chunks * s.rows * (uint64_t)c->k;
}

tdm_status tdm__conv_filter_gpu_prepare(tdm__build *b, const tdm__conv *c)
{
    const tdm__io *io = tdm__build_io(b);
    bool has_bias = io->n_out == 2;
    split s = split_of(c);

    tdm__kernel *k = tdm__emit(b, FILE_CL, "conv_filter", "");
    tdm__arg_in(k, 0);
    tdm__arg_in(k, 1);
    tdm__arg_workspace(k, 0, sizeof(float));
    arg_sizes(k, c, false);
    tdm__arg_i32(k, has_bias);
    tdm__arg_u64(k, s.chunk_pixels);
    range(k, tdm__ceil_div(s.rows, TILE_M), tdm__ceil_div((uint64_t)c->k, TILE_N), s.chunks);
    tdm__cost(k, 2 * tdm__conv_macs(c), tdm__conv_bytes(c));

    uint64_t filter = (s.rows - 1) * (uint64_t)c->k, bias = has_bias ? (uint64_t)c->k : 0;
    k = tdm__emit(b, FILE_CL, "conv_filter_reduce", "");
    tdm__arg_workspace(k, 0, sizeof(float));
    tdm__arg_out(k, 0);
    tdm__arg_out(k, has_bias ? 1 : 0);
    tdm__arg_u64(k, filter);
    tdm__arg_i32(k, (int64_t)bias);
    tdm__arg_i32(k, (int64_t)s.chunks);
    tdm__arg_i32(k, io->accumulate);
    tdm__range_items(b, k, filter + bias);
    tdm__cost(k, (double)(s.chunks * (filter + bias)), 4.0 * (double)(s.chunks * (filter + bias)));
    return TDM_OK;
}
