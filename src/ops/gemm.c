/* ops/gemm.c: see ops/gemm.h. How rows and the reduced index are cut depends on the shape only. */
#include "ops/gemm.h"

#define FILE_CL "gemm.cl"

/* CPU style: rows of a work-item (many tiles for one staged panel), depth of a panel (16 KiB of
 * local memory at VW = 8). GPU style: the tile. */
enum { ROWS = 96, DEPTH = 256, TILE_M = 64, TILE_N = 32, ITEMS = 64 };

static void arg_stride(tdm__kernel *k, bool trans, uint64_t rows, uint64_t columns)
{
    tdm__arg_i32(k, trans ? 1 : (int64_t)columns);
    tdm__arg_i32(k, trans ? (int64_t)rows : 1);
}

tdm_status tdm__gemm_prepare(tdm__build *b, const tdm__gemm *g)
{
    tdm__kernel *k = tdm__emit(b, FILE_CL, "gemm", "");
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
        uint64_t nr = 2 * tdm__build_traits(b)->vector_width, one[3] = {1, 1, 1};
        uint64_t parts = tdm__ceil_div(g->m, ROWS), rows = tdm__ceil_div(g->m, parts);
        uint64_t depth = tdm__ceil_div(g->k, tdm__ceil_div(g->k, DEPTH));
        tdm__arg_i32(k, (int64_t)rows);
        tdm__arg_i32(k, (int64_t)depth);
        tdm__arg_local(k, 4 * depth * nr);
        tdm__range(k, 2, (uint64_t[]){tdm__ceil_div(g->m, rows), tdm__ceil_div(g->n, nr)}, one);
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
