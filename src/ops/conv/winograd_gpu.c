/* ops/conv/winograd_gpu.c: the launches of cl/conv/winograd_gpu.cl: 3x3 convolution with stride 1
 * by Winograd's F(4x4,3x3), GPU style. Chunks and splits depend on the shape only.
 */
#include "ops/conv/conv.h"

#define FILE_CL "conv/winograd_gpu.cl"

/* The kernels' tile of a matrix product, its work-group and its local memory. */
enum { POINTS = 36, TILE = 4, TILE_M = 64, TILE_N = 64, TILE_K = 8, ITEMS = 64 };
enum { LOCAL_BYTES = 4 * TILE_K * (TILE_M + 4 + TILE_N + 4) };
/* Floats of a chunk's transforms, and its tiles, at most: enough to fill a large device, and
 * bounded scratch. */
enum { CHUNK_FLOATS = 16 << 20, CHUNK_TILES = 4096 };
/* Work-groups that keep a large device busy; tiles that make a split worth its partial sums; floats
 * of all partial sums. */
enum { MIN_GROUPS = 512, MIN_TILES = 128, MAX_PART = 16 << 20 };

bool tdm__conv_winograd_gpu_can_run(const tdm__traits *traits, const tdm__conv *c)
{
    return tdm__conv_winograd_can_run(c) && traits->local_bytes >= LOCAL_BYTES;
}

static uint64_t round_up(uint64_t a, uint64_t b)
{
    return tdm__ceil_div(a, b) * b;
}

/* Tiles of a result P x Q, and how they are cut. */
typedef struct chunks {
    uint64_t tiles, size, n;
} chunks;

/* channels: of both transforms of a tile. */
static chunks chunks_of(const tdm__conv *c, const int64_t *result, uint64_t channels)
{
    chunks k = {.tiles = (uint64_t)c->n};
    for (int i = 0; i < 2; i++) k.tiles *= tdm__ceil_div((uint64_t)result[i], TILE);
    uint64_t most = CHUNK_FLOATS / (POINTS * channels) / TILE_M * TILE_M;
    if (most < TILE_M) most = TILE_M;
    if (most > CHUNK_TILES) most = CHUNK_TILES;
    k.size = round_up(tdm__ceil_div(k.tiles, tdm__ceil_div(k.tiles, most)), TILE_M);
    k.n = tdm__ceil_div(k.tiles, k.size);
    return k;
}

/* Floats of 36 matrices, to whole lines of the cache. */
static uint64_t points(uint64_t rows, uint64_t columns)
{
    return round_up(POINTS * rows * columns, 64);
}

static void arg_ints(tdm__kernel *k, const int64_t *v, int n)
{
    for (int i = 0; i < n; i++) tdm__arg_i32(k, v[i]);
}

static uint64_t chunk_tiles(const chunks *ch, uint64_t i)
{
    uint64_t left = ch->tiles - i * ch->size;
    return left < ch->size ? left : ch->size;
}

/* first, count, stride of chunk i */
static void arg_chunk(tdm__kernel *k, const chunks *ch, uint64_t i)
{
    tdm__arg_i32(k, (int64_t)(i * ch->size));
    tdm__arg_i32(k, (int64_t)chunk_tiles(ch, i));
    tdm__arg_i32(k, (int64_t)ch->size);
}

static void range_products(tdm__kernel *k, uint64_t rows, uint64_t columns, uint64_t matrices)
{
    uint64_t local[3] = {ITEMS, 1, 1};
    tdm__range(
        k, 3,
        (uint64_t[]){tdm__ceil_div(rows, TILE_M) * ITEMS, tdm__ceil_div(columns, TILE_N), matrices},
        local);
}

/* v, at `offset` floats of the workspace, from a chunk of the image `in` (H, W, channels). */
static void emit_input(tdm__build *b, const chunks *ch, uint64_t i, uint64_t offset,
                       const int64_t *size, int64_t channels, const int64_t *result,
                       const int64_t *pad)
{
    tdm__kernel *k = tdm__emit(b, FILE_CL, "winograd_input", "");
    tdm__arg_in(k, 0);
    tdm__arg_workspace(k, 4 * offset, sizeof(float));
    arg_ints(k, (int64_t[]){size[0], size[1], channels, result[0], result[1], pad[0], pad[1]}, 7);
    arg_chunk(k, ch, i);
    uint64_t count = chunk_tiles(ch, i);
    tdm__range_items(b, k, count * (uint64_t)channels);
    tdm__cost(k, 0, 4.0 * (TILE * TILE + POINTS) * (double)count * (double)channels);
}

/* ---- image from image ------------------------------------------------------------------------ */

/* The kernels' view of one direction; the workspace: filter, inputs, products. */
typedef struct gather {
    int64_t in[2], out[2], c, k, pad[2];
    chunks chunks;
    uint64_t v, m, floats; /* offsets, and all */
} gather;

static gather gather_of(const tdm__conv *c, bool to_big)
{
    gather g = {.c = to_big ? c->k : c->c, .k = to_big ? c->c : c->k};
    for (int i = 0; i < 2; i++) {
        g.in[i] = to_big ? c->small[i] : c->big[i];
        g.out[i] = to_big ? c->big[i] : c->small[i];
        g.pad[i] = to_big ? 2 - c->padding[i] : c->padding[i];
    }
    g.chunks = chunks_of(c, g.out, (uint64_t)(g.c + g.k));
    g.v = points((uint64_t)g.c, (uint64_t)g.k);
    g.m = g.v + points(g.chunks.size, (uint64_t)g.c);
    g.floats = g.m + points(g.chunks.size, (uint64_t)g.k);
    return g;
}

uint64_t tdm__conv_winograd_gpu_workspace(const tdm__traits *traits, const tdm__conv *c,
                                          bool to_big)
{
    (void)traits;
    return 4 * gather_of(c, to_big).floats;
}

static void emit_gather_chunk(tdm__build *b, const gather *g, uint64_t i, int bias)
{
    emit_input(b, &g->chunks, i, g->v, g->in, g->c, g->out, g->pad);
    uint64_t count = chunk_tiles(&g->chunks, i);
    double tiles = (double)count, channels = (double)(g->c * g->k);

    tdm__kernel *k = tdm__emit(b, FILE_CL, "winograd_products", "");
    tdm__arg_workspace(k, 4 * g->v, sizeof(float));
    tdm__arg_workspace(k, 0, sizeof(float));
    tdm__arg_workspace(k, 4 * g->m, sizeof(float));
    arg_ints(k, (int64_t[]){g->c, g->k, (int64_t)count, (int64_t)g->chunks.size}, 4);
    range_products(k, count, (uint64_t)g->k, POINTS);
    tdm__cost(k, 2.0 * 9 * TILE * TILE * tiles * channels,
              4.0 * POINTS * (tiles * (double)(g->c + g->k) + channels));

    k = tdm__emit(b, FILE_CL, "winograd_output", "");
    tdm__arg_workspace(k, 4 * g->m, sizeof(float));
    tdm__arg_out(k, 0);
    tdm__arg_epilogue(k, bias);
    arg_ints(k, (int64_t[]){g->out[0], g->out[1], g->k}, 3);
    arg_chunk(k, &g->chunks, i);
    tdm__arg_i32(k, tdm__build_io(b)->accumulate);
    tdm__range_items(b, k, count * (uint64_t)g->k);
    tdm__cost(k, 0, 4.0 * (TILE * TILE + POINTS) * tiles * (double)g->k);
}

tdm_status tdm__conv_winograd_gpu_prepare(tdm__build *b, const tdm__conv *c, bool to_big, int bias)
{
    gather g = gather_of(c, to_big);
    tdm__kernel *k = tdm__emit(b, FILE_CL, "winograd_filter", "");
    tdm__arg_in(k, 1);
    tdm__arg_workspace(k, 0, sizeof(float));
    arg_ints(k, (int64_t[]){g.c, g.k, to_big}, 3);
    tdm__range_items(b, k, (uint64_t)(g.c * g.k));
    tdm__cost(k, 0, 4.0 * (9 + POINTS) * (double)(g.c * g.k));
    for (uint64_t i = 0; i < g.chunks.n; i++) emit_gather_chunk(b, &g, i, bias);
    return TDM_OK;
}

/* ---- filter from images ---------------------------------------------------------------------- */

/* The workspace: inputs, gradients and their sums, partial sums of each split. */
typedef struct filter {
    chunks chunks;
    uint64_t split_tiles, splits; /* of a chunk */
    uint64_t z, part, floats;     /* offsets, and all */
} filter;

static filter filter_of(const tdm__conv *c)
{
    filter f = {.chunks = chunks_of(c, c->small, (uint64_t)(c->c + c->k))};
    uint64_t groups =
        POINTS * tdm__ceil_div((uint64_t)c->c, TILE_M) * tdm__ceil_div((uint64_t)c->k, TILE_N);
    uint64_t size = (uint64_t)(POINTS * c->c * c->k + c->k);
    uint64_t splits = tdm__ceil_div(MIN_GROUPS, groups), most = MAX_PART / size;
    if (splits > most) splits = most ? most : 1;
    f.split_tiles = tdm__ceil_div(f.chunks.size, splits);
    if (f.split_tiles < MIN_TILES) f.split_tiles = MIN_TILES;
    f.split_tiles = round_up(f.split_tiles, TILE_K);
    f.splits = tdm__ceil_div(f.chunks.size, f.split_tiles);
    f.z = points(f.chunks.size, (uint64_t)c->c);
    f.part = f.z + points(f.chunks.size, (uint64_t)c->k) + f.chunks.size * (uint64_t)c->k;
    f.floats = f.part + f.splits * size;
    return f;
}

uint64_t tdm__conv_winograd_gpu_filter_workspace(const tdm__traits *traits, const tdm__conv *c)
{
    (void)traits;
    return 4 * filter_of(c).floats;
}

static void emit_filter_chunk(tdm__build *b, const tdm__conv *c, const filter *f, uint64_t i)
{
    uint64_t count = chunk_tiles(&f->chunks, i);
    emit_input(b, &f->chunks, i, 0, c->big, c->c, c->small, c->padding);

    tdm__kernel *k = tdm__emit(b, FILE_CL, "winograd_gradient", "");
    tdm__arg_in(k, 1);
    tdm__arg_workspace(k, 4 * f->z, sizeof(float));
    arg_ints(k, (int64_t[]){c->small[0], c->small[1], c->k}, 3);
    arg_chunk(k, &f->chunks, i);
    tdm__range_items(b, k, count * (uint64_t)c->k);
    tdm__cost(k, 0, 4.0 * (TILE * TILE + POINTS) * (double)count * (double)c->k);

    k = tdm__emit(b, FILE_CL, "winograd_sums", "");
    tdm__arg_workspace(k, 0, sizeof(float));
    tdm__arg_workspace(k, 4 * f->z, sizeof(float));
    tdm__arg_workspace(k, 4 * f->part, sizeof(float));
    arg_ints(k,
             (int64_t[]){c->c, c->k, (int64_t)count, (int64_t)f->chunks.size,
                         (int64_t)f->split_tiles, i == 0},
             6);
    range_products(k, (uint64_t)c->c, (uint64_t)c->k, POINTS * f->splits);
    tdm__cost(k, 2.0 * 9 * TILE * TILE * (double)count * (double)(c->c * c->k),
              4.0 * POINTS * (double)count * (double)(c->c + c->k));
}

tdm_status tdm__conv_winograd_gpu_filter_prepare(tdm__build *b, const tdm__conv *c)
{
    const tdm__io *io = tdm__build_io(b);
    bool has_bias = io->n_out == 2;
    filter f = filter_of(c);
    for (uint64_t i = 0; i < f.chunks.n; i++) emit_filter_chunk(b, c, &f, i);
    tdm__kernel *k = tdm__emit(b, FILE_CL, "winograd_finish", "");
    tdm__arg_workspace(k, 4 * f.part, sizeof(float));
    tdm__arg_out(k, 0);
    tdm__arg_out(k, has_bias ? 1 : 0);
    arg_ints(k, (int64_t[]){c->c, c->k, (int64_t)f.splits, has_bias, io->accumulate}, 5);
    tdm__range_items(b, k, (uint64_t)(c->c * c->k + (has_bias ? c->k : 0)));
    tdm__cost(k, 0, 4.0 * ((double)f.splits * POINTS + 9) * (double)(c->c * c->k));
    return TDM_OK;
}
