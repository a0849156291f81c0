/* ops/conv/winograd.c: the launches of cl/conv/winograd.cl: 3x3 convolution with stride 1 by
 * Winograd's F(4x4,3x3), CPU style. Every split depends on the shape and the vector width only,
 * never on the number of cores.
 */
#include "ops/conv/conv.h"

#define FILE_CL "conv/winograd.cl"

enum { POINTS = 36, TILE = 4 };
/* Work items that keep many cores busy, and slots of scratch for them. */
enum { MIN_ITEMS = 32, SLOTS = 32 };
/* Tiles of a block while its transformed inputs stay in the second-level cache, and beyond: then a
 * larger block reads the filter less often. Channels up to which they do. */
enum { BLOCK_NEAR = 24, BLOCK_FAR = 48, CHANNELS_NEAR = 128 };
/* Output channels of a work item at least: fewer and the inputs are transformed too often. */
enum { GROUP_CHANNELS = 64 };
/* Up to so many tiles, and from so many floats of the transformed filter on, every panel of the
 * filter is transformed by the only work item that needs it, for all tiles: it never leaves the
 * cache, while otherwise it goes through memory for each block. The tiles' transforms are shared
 * then. */
enum { FEW_TILES = 512, FEW_FLOATS = 2 << 20, INPUT_TILES = 4 };
/* Panels whose products are in the cache together. */
enum { CHUNK_PANELS = 2 };

static int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static int64_t round_up(int64_t a, int64_t b)
{
    return ceil_div(a, b) * b;
}

static int64_t max64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

bool tdm__conv_winograd_can_run(const tdm__conv *c)
{
    for (int i = 0; i < 2; i++)
        if (c->kernel[i] != 3 || c->stride[i] != 1 || c->dilation[i] != 1) return false;
    return c->groups == 1;
}

/* Outputs of every whole tile are computed, also those outside of a small image: with less than
 * half of them inside, the direct sum is as fast or faster. It is more exact there too: a weight
 * of the edge then often has one product only, whose zero Winograd's transforms turn into noise. */
bool tdm__conv_winograd_fills_tiles(const int64_t out[2])
{
    return 2 * out[0] * out[1] >= TILE * TILE * ceil_div(out[0], TILE) * ceil_div(out[1], TILE);
}

/* ---- image from image ------------------------------------------------------------------------ */

/* The kernel's view of one direction, and how its work is cut. */
typedef struct gather {
    int64_t in[2], out[2], c, k, pad[2];
    int64_t tiles, panels, blocks,
        block_tiles;              /* tiles of a block: a multiple of the register tile */
    int64_t group_panels, groups; /* panels of a work item: for parallelism */
    int64_t chunk_panels;         /* panels whose products are in the cache together */
    int64_t v_step, m_step;       /* floats from one position to the next */
    int64_t slots;
    int64_t u_step; /* few: of a slot's part of the filter */
    bool few;
} gather;

/* As in the kernels. */
static int64_t tile_row(int64_t c, int64_t vw)
{
    const int64_t row = round_up(c, vw);
    return row % 256 ? row : row + 16;
}

static gather gather_of(const tdm__traits *traits, const tdm__conv *c, bool to_big)
{
    gather g = {.c = to_big ? c->k : c->c, .k = to_big ? c->c : c->k};
    int64_t tiles = c->n, vw = traits->vector_width, mr = vw == 16 ? 12 : 6, nr = 2 * vw;
    for (int i = 0; i < 2; i++) {
        g.in[i] = to_big ? c->small[i] : c->big[i];
        g.out[i] = to_big ? c->big[i] : c->small[i];
        g.pad[i] = to_big ? 2 - c->padding[i] : c->padding[i];
        tiles *= ceil_div(g.out[i], TILE);
    }
    g.tiles = tiles;
    g.few = tiles <= FEW_TILES && POINTS * g.c * g.k >= FEW_FLOATS;
    int64_t most = g.few ? FEW_TILES : g.c <= CHANNELS_NEAR ? BLOCK_NEAR : BLOCK_FAR;
    g.block_tiles = round_up(ceil_div(tiles, ceil_div(tiles, most)), mr);
    g.blocks = ceil_div(tiles, g.block_tiles);
    g.panels = ceil_div(g.k, nr);
    g.groups = min64(ceil_div(MIN_ITEMS, g.blocks), ceil_div(g.k, GROUP_CHANNELS));
    g.group_panels = ceil_div(g.panels, g.groups);
    g.groups = ceil_div(g.panels, g.group_panels);
    g.chunk_panels = g.few ? g.group_panels : min64(g.group_panels, CHUNK_PANELS);
    /* odd numbers of cache lines */
    g.v_step = round_up(g.block_tiles * tile_row(g.c, vw), 32) + 16;
    g.m_step = round_up(g.block_tiles * g.chunk_panels * nr, 32) + 16;
    g.u_step = g.chunk_panels * g.c * nr + nr; /* FILTER_STEP */
    g.slots = min64(g.blocks * g.groups, SLOTS);
    return g;
}

static uint64_t filter_floats(const gather *g, const tdm__traits *traits)
{
    int64_t nr = 2 * traits->vector_width;
    return (uint64_t)round_up(POINTS * (g->panels * g->c * nr + nr), 32);
}

uint64_t tdm__conv_winograd_workspace(const tdm__traits *traits, const tdm__conv *c, bool to_big)
{
    gather g = gather_of(traits, c, to_big);
    if (g.few) return 4 * (uint64_t)(POINTS * (g.v_step + g.slots * (g.u_step + g.m_step)));
    int64_t slot = POINTS * (g.v_step + g.m_step);
    return 4 * (filter_floats(&g, traits) + (uint64_t)(g.slots * slot));
}

uint64_t tdm__conv_winograd_blocks(const tdm__traits *traits, const tdm__conv *c, bool to_big)
{
    return (uint64_t)gather_of(traits, c, to_big).blocks;
}

static void arg_ints(tdm__kernel *k, const int64_t *v, int n)
{
    for (int i = 0; i < n; i++) tdm__arg_i32(k, v[i]);
}

static void emit_filter(tdm__build *b, const gather *g, bool to_big)
{
    const int64_t vw = tdm__build_traits(b)->vector_width;
    tdm__kernel *k = tdm__emit(b, FILE_CL, "winograd_filter", "");
    tdm__arg_in(k, 1);
    tdm__arg_workspace(k, 0, sizeof(float));
    arg_ints(k, (int64_t[]){g->c, g->k, to_big}, 3);
    tdm__range(k, 2, (uint64_t[]){(uint64_t)ceil_div(g->c, vw), (uint64_t)g->panels},
               (uint64_t[]){1, 1});
    tdm__cost(k, 0, 4.0 * (double)(9 + POINTS) * (double)(g->c * g->k));
}

static void emit_inputs(tdm__build *b, const tdm__conv *c, const gather *g)
{
    tdm__kernel *k = tdm__emit(b, FILE_CL, "winograd_inputs", "");
    tdm__arg_in(k, 0);
    tdm__arg_workspace(k, 0, sizeof(float));
    tdm__arg_load(k);
    arg_ints(k,
             (int64_t[]){c->n, g->in[0], g->in[1], g->c, g->out[0], g->out[1], g->pad[0], g->pad[1],
                         INPUT_TILES, g->v_step},
             10);
    tdm__range_1(k, (uint64_t)ceil_div(g->tiles, INPUT_TILES), 1);
    tdm__cost(k, 0, 4.0 * (double)(c->n * g->in[0] * g->in[1] * g->c));
}

tdm_status tdm__conv_winograd_prepare(tdm__build *b, const tdm__conv *c, bool to_big, int bias)
{
    const tdm__traits *traits = tdm__build_traits(b);
    gather g = gather_of(traits, c, to_big);
    if (g.few)
        emit_inputs(b, c, &g);
    else
        emit_filter(b, &g, to_big);
    tdm__kernel *k = tdm__emit(b, FILE_CL, "winograd_gather", "");
    tdm__arg_in(k, 0);
    if (g.few)
        tdm__arg_in(k, 1);
    else
        tdm__arg_workspace(k, 0, sizeof(float));
    tdm__arg_out(k, 0);
    tdm__arg_epilogue(k, bias);
    tdm__arg_load(k);
    tdm__arg_statistics(k);
    tdm__arg_i32(k, tdm__build_io(b)->blocks > 0);
    tdm__arg_workspace(k, g.few ? 0 : 4 * filter_floats(&g, traits), sizeof(float));
    arg_ints(k,
             (int64_t[]){c->n, g.in[0], g.in[1], g.c, g.out[0], g.out[1], g.k, g.pad[0], g.pad[1],
                         g.block_tiles, g.group_panels, g.chunk_panels, g.v_step, g.m_step, g.few,
                         to_big, tdm__build_io(b)->accumulate},
             17);
    tdm__range_1(k, (uint64_t)g.slots, 1);
    tdm__cost(k, 2 * tdm__conv_macs(c), tdm__conv_bytes(c));
    return TDM_OK;
}

/* ---- filter from images ---------------------------------------------------------------------- */

/* Floats of a chunk's transforms: 2 MiB, which stay in the caches near the cores. The last level is
 * shared, with neighbours of whom nothing is known: chunks of 16 MiB took up to twice as long.
 * Tiles that a work-item transforms. Panels of output channels that a work-item sums. */
enum { CHUNK_FLOATS = 1 << 19, FILTER_BLOCK = 16, FILTER_PANELS = 4 };

typedef struct filter {
    int64_t tiles, chunk, chunks; /* of tiles */
    int64_t x_panels, panels;     /* of C and of K */
    int64_t v_step, z_step;       /* floats from one position to the next */
    int64_t v, z, du, db;         /* floats of each, in this order in the workspace */
} filter;

static filter filter_of(const tdm__traits *traits, const tdm__conv *c)
{
    int64_t nr = 2 * traits->vector_width, mr = traits->vector_width == 16 ? 12 : 6;
    filter f = {.x_panels = ceil_div(c->c, nr), .panels = ceil_div(c->k, nr)};
    f.tiles = c->n * ceil_div(c->small[0], TILE) * ceil_div(c->small[1], TILE);
    /* at least so many that the sums are not moved more often than the transforms */
    int64_t both = (f.x_panels + f.panels) * nr;
    int64_t most = max64(CHUNK_FLOATS / (POINTS * both), c->c * c->k / both);
    f.chunks = ceil_div(f.tiles, max64(most, FILTER_BLOCK));
    f.chunk = round_up(ceil_div(f.tiles, f.chunks), FILTER_BLOCK);
    f.chunks = ceil_div(f.tiles, f.chunk);
    f.v_step = f.x_panels * f.chunk * nr + 16; /* an odd number of cache lines */
    f.z_step = f.panels * f.chunk * nr + 16;
    f.v = round_up(POINTS * f.v_step, 32);
    f.z = round_up((POINTS + 1) * f.z_step, 32); /* and the sums of dy */
    f.du = round_up(POINTS * f.panels * round_up(c->c, mr) * nr, 32);
    f.db = f.panels * nr;
    return f;
}

uint64_t tdm__conv_winograd_filter_workspace(const tdm__traits *traits, const tdm__conv *c)
{
    filter f = filter_of(traits, c);
    return 4 * (uint64_t)(f.v + f.z + f.du + f.db);
}

/* v, z, du, db of the workspace: the first `n` from `from` on. */
static void arg_parts(tdm__kernel *k, const filter *f, int from, int n)
{
    int64_t at = 0, size[] = {f->v, f->z, f->du, f->db};
    for (int i = 0; i < from + n; i++) {
        if (i >= from) tdm__arg_workspace(k, 4 * (uint64_t)at, sizeof(float));
        at += size[i];
    }
}

static void emit_chunk(tdm__build *b, const tdm__conv *c, const filter *f, int64_t chunk)
{
    int64_t first = chunk * f->chunk, count = min64(f->chunk, f->tiles - first);
    uint64_t one[2] = {1, 1};
    tdm__kernel *k = tdm__emit(b, FILE_CL, "winograd_filter_tiles", "");
    tdm__arg_in(k, 0);
    tdm__arg_in(k, 1);
    arg_parts(k, f, 0, 2);
    tdm__arg_load(k);
    arg_ints(k, (int64_t[]){c->big[0], c->big[1], c->c, c->small[0], c->small[1], c->k}, 6);
    arg_ints(k, c->padding, 2);
    arg_ints(k, (int64_t[]){first, count, FILTER_BLOCK, f->chunk, f->v_step, f->z_step}, 6);
    tdm__range(
        k, 2,
        (uint64_t[]){(uint64_t)ceil_div(count, FILTER_BLOCK), (uint64_t)(f->x_panels + f->panels)},
        one);
    tdm__cost(k, 0, tdm__conv_bytes(c) * (double)count / (double)f->tiles);

    k = tdm__emit(b, FILE_CL, "winograd_filter_sums", "");
    arg_parts(k, f, 0, 4);
    arg_ints(
        k,
        (int64_t[]){c->c, c->k, count, f->chunk, f->v_step, f->z_step, FILTER_PANELS, chunk == 0},
        8);
    tdm__range(k, 2, (uint64_t[]){POINTS, (uint64_t)ceil_div(f->panels, FILTER_PANELS)}, one);
    tdm__cost(k, 2.0 * POINTS * (double)count * (double)(c->c * c->k),
              4.0 * POINTS * (double)(count * (c->c + c->k)));
}

tdm_status tdm__conv_winograd_filter_prepare(tdm__build *b, const tdm__conv *c)
{
    const tdm__io *io = tdm__build_io(b);
    bool has_bias = io->n_out == 2;
    filter f = filter_of(tdm__build_traits(b), c);
    for (int64_t i = 0; i < f.chunks; i++) emit_chunk(b, c, &f, i);
    tdm__kernel *k = tdm__emit(b, FILE_CL, "winograd_filter_finish", "");
    arg_parts(k, &f, 2, 2);
    tdm__arg_out(k, 0);
    tdm__arg_out(k, has_bias ? 1 : 0);
    arg_ints(k, (int64_t[]){c->c, c->k, has_bias, io->accumulate}, 4);
    tdm__range_1(k, (uint64_t)c->c, 1);
    tdm__cost(k, 0, 4.0 * (POINTS + 9) * (double)(c->c * c->k));
    return TDM_OK;
}
