/* ops/conv/grouped.c: the launches of cl/conv/grouped.cl: grouped and depthwise convolution, both
 * styles. The split of the filter gradient depends on shapes only.
 */
#include "ops/conv/conv.h"

#define FILE_CL "conv/grouped.cl"

/* Partial filters: at most this many, of at most this many floats together. */
enum { MAX_CHUNKS = 64, MAX_PART = 1 << 20 };

static uint64_t items_of(const tdm__build *b, int64_t channels, int64_t rows)
{
    int64_t lanes = tdm__build_is_cpu(b) ? tdm__build_traits(b)->vector_width : 1;
    return tdm__ceil_div((uint64_t)channels, (uint64_t)lanes) * (uint64_t)rows;
}

static void arg_conv(tdm__kernel *k, const tdm__conv *c)
{
    const int64_t sizes[] = {c->big[0], c->big[1], c->c, c->small[0], c->small[1], c->k};
    const int64_t *pairs[] = {c->kernel, c->stride, c->padding, c->dilation};
    for (int i = 0; i < TDM__COUNT(sizes); i++) tdm__arg_i32(k, sizes[i]);
    for (int i = 0; i < TDM__COUNT(pairs); i++)
        for (int j = 0; j < 2; j++) tdm__arg_i32(k, pairs[i][j]);
    tdm__arg_i32(k, c->groups);
}

tdm_status tdm__conv_grouped_prepare(tdm__build *b, const tdm__conv *c, bool to_big, int bias)
{
    const int64_t *out = to_big ? c->big : c->small;
    tdm__kernel *k = tdm__emit(b, FILE_CL, to_big ? "conv_grouped_big" : "conv_grouped_small", "");
    tdm__arg_in(k, 0);
    tdm__arg_in(k, 1);
    tdm__arg_out(k, 0);
    tdm__arg_epilogue(k, bias);
    arg_conv(k, c);
    tdm__arg_i32(k, tdm__build_io(b)->accumulate);
    tdm__arg_rows(b, k, (uint64_t)(c->n * out[0]), (uint64_t)(out[1] * (to_big ? c->c : c->k)));
    tdm__cost(k, 2 * tdm__conv_macs(c), tdm__conv_bytes(c));
    return TDM_OK;
}

/* ---- filter gradient ------------------------------------------------------------------------- */

typedef struct filter {
    int64_t rows;          /* of the filter, without the bias */
    int64_t lines, chunks; /* of the small image: of a chunk; chunks */
} filter;

static filter filter_of(const tdm__conv *c)
{
    filter f = {.rows = c->kernel[0] * c->kernel[1] * (c->c / c->groups)};
    int64_t all = c->n * c->small[0], most = MAX_PART / ((f.rows + 1) * c->k);
    if (most > MAX_CHUNKS) most = MAX_CHUNKS;
    if (most < 1) most = 1;
    f.lines = (all + most - 1) / most;
    f.chunks = (all + f.lines - 1) / f.lines;
    return f;
}

uint64_t tdm__conv_grouped_filter_workspace(const tdm__conv *c)
{
    filter f = filter_of(c);
    return 4 * (uint64_t)(f.chunks * (f.rows + 1) * c->k);
}

tdm_status tdm__conv_grouped_filter_prepare(tdm__build *b, const tdm__conv *c)
{
    const tdm__io *io = tdm__build_io(b);
    const bool has_bias = io->n_out == 2;
    filter f = filter_of(c);

    tdm__kernel *k = tdm__emit(b, FILE_CL, "conv_grouped_filter", "");
    tdm__arg_in(k, 0);
    tdm__arg_in(k, 1);
    tdm__arg_workspace(k, 0, sizeof(float));
    arg_conv(k, c);
    tdm__arg_u64(k, (uint64_t)(c->n * c->small[0]));
    tdm__arg_i32(k, f.lines);
    tdm__range_items(b, k, items_of(b, c->k, (f.rows + 1) * f.chunks));
    tdm__cost(k, 2 * tdm__conv_macs(c), tdm__conv_bytes(c));

    k = tdm__emit(b, FILE_CL, "conv_grouped_reduce", "");
    tdm__arg_workspace(k, 0, sizeof(float));
    tdm__arg_out(k, 0);
    tdm__arg_out(k, has_bias ? 1 : 0);
    const int64_t args[] = {c->k, f.rows, f.chunks, has_bias, io->accumulate};
    for (int i = 0; i < TDM__COUNT(args); i++) tdm__arg_i32(k, args[i]);
    tdm__range_items(b, k, items_of(b, c->k, f.rows + has_bias));
    tdm__cost(k, (double)(f.chunks * f.rows * c->k), 4.0 * (double)(f.chunks * f.rows * c->k));
    return TDM_OK;
}
