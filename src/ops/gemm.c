/* ops/gemm.c: see ops/gemm.h. */
#include "ops/gemm.h"

#define FILE_CL "gemm.cl"

/* CPU style: the largest block of a work-item (wide, because pieces of the rows of a transposed
 * matrix come from memory at a fraction of the speed of whole rows), depth of its packed parts,
 * local memory that stays in the second-level cache. GPU style: the tile. */
enum { BLOCK_M = 512, BLOCK_N = 512, DEPTH = 96, PACKED_BYTES = 416 << 10 };
enum { TILE_M = 64, TILE_N = 32, ITEMS = 64 };

/* A block of CPU style. */
typedef struct block {
    uint64_t m, n, depth;
} block;

static uint64_t round_up(uint64_t n, uint64_t to)
{
    return tdm__ceil_div(n, to) * to;
}

/* n cut into equal parts of at most `most`, rounded up to multiples of `tile`. */
static uint64_t part(uint64_t n, uint64_t most, uint64_t tile)
{
    return round_up(tdm__ceil_div(n, tdm__ceil_div(n, most)), tile);
}

static uint64_t strip_rows(const tdm__traits *t)
{
    return t->vector_width == 16 ? 12 : t->vector_width == 8 ? 6 : 4; /* MR of cl/gemm.cl */
}

/* Local memory of `lanes` rows or columns in parts of `width`, with the gaps of cl/gemm.cl. */
static uint64_t packed_bytes(uint64_t lanes, uint64_t width, uint64_t depth)
{
    enum { GAP = 16 };
    return sizeof(float) * tdm__ceil_div(lanes, width) * (depth * width + GAP);
}

/* Blocks as large as fit, because each packs its part of both matrices; smaller where there would
 * not be one for every core. The depth decides in what order sums are taken, so it depends on the
 * shape and the local memory only. */
static block choose_block(const tdm__traits *t, const tdm__gemm *g)
{
    const uint64_t mr = strip_rows(t), nr = 2 * t->vector_width;
    const uint64_t budget = t->local_bytes / 2 < PACKED_BYTES ? t->local_bytes / 2 : PACKED_BYTES;
    uint64_t depth = DEPTH, most_m = BLOCK_M, most_n = BLOCK_N;
    while (depth > 16 && packed_bytes(8 * nr, nr, depth) > budget) depth /= 2;
    block b = {.depth = tdm__ceil_div(g->k, tdm__ceil_div(g->k, depth))};
    for (;;) {
        b.m = part(g->m, most_m, mr);
        b.n = part(g->n, most_n, nr);
        const uint64_t blocks = tdm__ceil_div(g->m, b.m) * tdm__ceil_div(g->n, b.n);
        const bool fits = packed_bytes(b.m, mr, b.depth) + packed_bytes(b.n, nr, b.depth) <= budget;
        if (fits && blocks >= t->compute_units) return b;
        if (most_n > 4 * nr && (most_n >= most_m || most_m <= 4 * mr))
            most_n /= 2;
        else if (most_m > 4 * mr)
            most_m /= 2;
        else
            return b;
    }
}

static void arg_stride(tdm__kernel *k, bool trans, uint64_t rows, uint64_t columns)
{
    tdm__arg_i32(k, trans ? 1 : (int64_t)columns);
    tdm__arg_i32(k, trans ? (int64_t)rows : 1);
}

tdm_status tdm__gemm_prepare(tdm__build *b, const tdm__gemm *g)
{
    tdm__kernel *k = tdm__emit(b, FILE_CL, "gemm", "");
    if (g->a == TDM__GEMM_WORKSPACE)
        tdm__arg_workspace(k, 0, sizeof(float));
    else
        tdm__arg_in(k, g->a);
    tdm__arg_in(k, g->b);
    tdm__arg_out(k, 0);
    tdm__arg_epilogue(k, g->bias);
    tdm__arg_i32(k, (int64_t)g->m);
    tdm__arg_i32(k, (int64_t)g->n);
    tdm__arg_i32(k, (int64_t)g->k);
    arg_stride(k, g->trans_a, g->m, g->k);
    arg_stride(k, g->trans_b, g->k, g->n);
    tdm__arg_i32(k, tdm__build_io(b)->accumulate);
    if (tdm__build_is_cpu(b)) {
        const tdm__traits *traits = tdm__build_traits(b);
        const block of = choose_block(traits, g);
        tdm__arg_i32(k, (int64_t)of.m);
        tdm__arg_i32(k, (int64_t)of.n);
        tdm__arg_i32(k, (int64_t)of.depth);
        tdm__arg_local(k, packed_bytes(of.m, strip_rows(traits), of.depth));
        tdm__arg_local(k, packed_bytes(of.n, 2 * traits->vector_width, of.depth));
        tdm__range(k, 2, (uint64_t[]){tdm__ceil_div(g->m, of.m), tdm__ceil_div(g->n, of.n)},
                   (uint64_t[]){1, 1});
    } else {
        uint64_t local[2] = {ITEMS, 1};
        tdm__range(k, 2,
                   (uint64_t[]){tdm__ceil_div(g->m, TILE_M) * ITEMS, tdm__ceil_div(g->n, TILE_N)},
                   local);
    }
    tdm__cost(k, 2.0 * (double)g->m * (double)g->n * (double)g->k,
              4.0 * ((double)(g->m * g->k) + (double)(g->k * g->n) + (double)(g->m * g->n)));
    return TDM_OK;
}

bool tdm__gemm_clblast_default(const tdm__traits *traits, const tdm__io *io)
{
    (void)io;
    return !traits->is_cpu;
}

void tdm__gemm_epilogue(tdm__build *b, int bias, uint64_t m, uint64_t n)
{
    const tdm__io *io = tdm__build_io(b);
    const tdm__epilogue *e = &io->epilogue;
    bool has_bias = bias >= 0 && bias < io->n_in && io->in[bias].dtype != TDM_NONE;
    if (!has_bias && !e->affine && !e->residual && e->act == TDM__ACT_NONE) return;
    tdm__kernel *k = tdm__emit(b, FILE_CL, "gemm_epilogue", "");
    tdm__arg_out(k, 0);
    tdm__arg_epilogue(k, bias);
    tdm__arg_i32(k, (int64_t)n);
    tdm__arg_rows(b, k, m, n);
    tdm__cost(k, (double)(m * n), 8.0 * (double)(m * n));
}

tdm_status tdm__gemm_clblast_prepare(tdm__build *b, const tdm__gemm *g)
{
    if (!tdm__clblast_usable(tdm__build_device(b))) return tdm__gemm_prepare(b, g);
    tdm__emit_clblast_gemm(b, g->trans_a, g->trans_b, g->m, g->n, g->k, 1.0f,
                           tdm__build_in(b, g->a), g->trans_a ? g->m : g->k, tdm__build_in(b, g->b),
                           g->trans_b ? g->k : g->n, tdm__build_io(b)->accumulate ? 1.0f : 0.0f,
                           tdm__build_out(b, 0), g->n);
    tdm__gemm_epilogue(b, g->bias, g->m, g->n);
    return TDM_OK;
}
