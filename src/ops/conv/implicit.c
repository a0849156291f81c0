/* ops/conv/implicit.c: convolution as an implicit matrix product, CPU style: sizes of blocks,
 * chunks and scratch, and the launches of cl/conv/implicit.cl. Every split depends on shapes and on
 * the device's vector width and local memory, never on its number of cores.
 */
#include "ops/conv/conv.h"

#define FILE_CL "conv/implicit.cl"

/* Pixels of a block: long enough to amortise its set-up, short enough to stay in the cache. */
enum { BLOCK_PIXELS = 200 };
/* Scratch of a work-item, bytes. */
enum { SCRATCH = 160 << 10 };
/* Work-items that keep at least eight cores busy. */
enum { MIN_ITEMS = 32 };
/* Partial filters, at most. */
enum { MAX_CHUNKS = 32 };
/* Rows of a register tile, at most: pixel tables, and the rows of a partial filter, have room for a
 * whole tile at their end. */
enum { MR_MAX = 12 };

/* nb images x bh x bw output pixels, cc input channels at a time. */
typedef struct block {
    int64_t nb, bh, bw, cc;
    int64_t blocks, pixels, patch; /* number, pixels of one, floats of its inputs */
    int64_t pitch;                 /* floats from one of the inputs' pixels to the next */
} block;

/* What the blocks divide: n images of out[0] x out[1] pixels; pixel i reads inputs i * step ..
 * i * step + span of `channels` channels; `per_pixel`: other floats of scratch per pixel. apart:
 * see pitch_of. */
typedef struct domain {
    int64_t n, out[2], step[2], span[2], channels, per_pixel, scratch;
    bool apart;
} domain;

static int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t max64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* n cut into pieces of at most `most`, as equal as possible: the size of one. */
static int64_t even(int64_t n, int64_t most)
{
    return ceil_div(n, ceil_div(n, max64(most, 1)));
}

/* Floats from one pixel of the patch to the next. A reader of one channel of many pixels wants them
 * in different sets of the cache: an odd number of cache lines apart. */
static int64_t pitch_of(const domain *d, const block *b)
{
    const int64_t line = 16;
    return d->apart && b->cc >= 2 * line ? (ceil_div(b->cc, line) | 1) * line : b->cc;
}

/* Measures the block. In doubles, as strides and dilations may be absurd. */
static bool fits(const tdm__traits *traits, const domain *d, block *b)
{
    int64_t limit = min64(d->scratch, (int64_t)traits->local_bytes);
    b->pitch = pitch_of(d, b);
    double patch = (double)b->nb * (double)b->pitch *
                   ((double)(b->bh - 1) * (double)d->step[0] + (double)d->span[0] + 1) *
                   ((double)(b->bw - 1) * (double)d->step[1] + (double)d->span[1] + 1);
    b->pixels = b->nb * b->bh * b->bw;
    b->blocks = ceil_div(d->n, b->nb) * ceil_div(d->out[0], b->bh) * ceil_div(d->out[1], b->bw);
    if (4 * (patch + (double)(b->pixels * (d->per_pixel + 2) + MR_MAX)) > (double)limit)
        return false;
    b->patch = (int64_t)patch;
    return true;
}

/* False when not even one pixel and one channel fit the scratch. */
static bool choose_block(const tdm__traits *traits, const domain *d, block *b)
{
    b->cc = d->channels;
    b->bw = even(d->out[1], d->out[0] == 1 ? BLOCK_PIXELS : BLOCK_PIXELS / 2);
    b->bh = even(d->out[0], BLOCK_PIXELS / b->bw);
    b->nb = 1;
    if (b->bw == d->out[1] && b->bh == d->out[0])
        b->nb = min64(d->n, max64(1, BLOCK_PIXELS / (b->bw * b->bh)));
    for (;;) {
        if (fits(traits, d, b)) {
            if (b->blocks >= MIN_ITEMS || b->pixels < BLOCK_PIXELS / 4) return true;
            if (b->nb > 1)
                b->nb = ceil_div(b->nb, 2);
            else if (b->bh > 1)
                b->bh = ceil_div(b->bh, 2);
            else
                return true;
        } else if (b->nb > 1) {
            b->nb = ceil_div(b->nb, 2);
        } else if (b->bh > 2) {
            b->bh = ceil_div(b->bh, 2);
        } else if (b->bw > 48) {
            b->bw = ceil_div(b->bw, 2);
        } else if (b->bh * b->bw > 48) {
            b->bh = ceil_div(b->bh, 2);
        } else if (b->cc > 64) {
            b->cc = ceil_div(b->cc, 2);
        } else if (b->bw > 12) {
            b->bw = ceil_div(b->bw, 2);
        } else if (b->bh > 1) {
            b->bh = ceil_div(b->bh, 2);
        } else if (b->cc > 1) {
            b->cc = ceil_div(b->cc, 2);
        } else if (b->bw > 1) {
            b->bw = ceil_div(b->bw, 2);
        } else {
            return false;
        }
    }
}

/* Panels per work-item such that `items` times their groups keep the cores busy. */
static int64_t panels_per_group(int64_t panels, int64_t items)
{
    return ceil_div(panels, min64(panels, ceil_div(MIN_ITEMS, items)));
}

/* Without a neighbourhood the images are one row of pixels: any piece of it is a block. */
static tdm__conv flat(const tdm__conv *c)
{
    tdm__conv row = *c;
    for (int i = 0; i < 2; i++)
        if (c->kernel[i] != 1 || c->stride[i] != 1 || c->padding[i] != 0) return row;
    if (c->n > INT32_MAX / (c->big[0] * c->big[1])) return row;
    row.n = row.big[0] = row.small[0] = 1;
    row.big[1] = row.small[1] = c->n * c->big[0] * c->big[1];
    return row;
}

static void arg_ints(tdm__kernel *k, const int64_t *v, int n)
{
    for (int i = 0; i < n; i++) tdm__arg_i32(k, v[i]);
}

static void arg_pairs(tdm__kernel *k, const tdm__conv *c)
{
    arg_ints(k, c->kernel, 2);
    arg_ints(k, c->stride, 2);
    arg_ints(k, c->padding, 2);
    arg_ints(k, c->dilation, 2);
}

/* ---- images from images ---------------------------------------------------------------------- */

/* The kernel's view: input and output channels and sizes, and the pixels of one residue class
 * with the inputs of all. */
typedef struct gather {
    int64_t n, in[2], out[2], c, k;
    domain domain;
} gather;

static gather gather_of(const tdm__conv *given, bool to_big)
{
    const tdm__conv flattened = flat(given), *c = &flattened;
    gather g = {.n = c->n, .c = to_big ? c->k : c->c, .k = to_big ? c->c : c->k};
    g.domain = (domain){.n = c->n, .channels = g.c, .scratch = SCRATCH};
    for (int i = 0; i < 2; i++) {
        int64_t span = (c->kernel[i] - 1) * c->dilation[i];
        g.in[i] = to_big ? c->small[i] : c->big[i];
        g.out[i] = to_big ? c->big[i] : c->small[i];
        g.domain.out[i] = to_big ? ceil_div(g.out[i], c->stride[i]) : g.out[i];
        g.domain.step[i] = to_big ? 1 : c->stride[i];
        g.domain.span[i] = to_big ? (span + c->stride[i] - 1) / c->stride[i] : span;
    }
    return g;
}

bool tdm__conv_gather_can_run(const tdm__traits *traits, const tdm__conv *c, bool to_big)
{
    gather g = gather_of(c, to_big);
    block bl;
    return choose_block(traits, &g.domain, &bl);
}

uint64_t tdm__conv_gather_workspace(const tdm__traits *traits, const tdm__conv *c, bool to_big)
{
    int64_t vw = traits->vector_width, k = to_big ? c->c : c->k, reduced = to_big ? c->k : c->c;
    return 4 * (uint64_t)(c->kernel[0] * c->kernel[1] * reduced * ceil_div(k, vw) * vw);
}

tdm_status tdm__conv_gather_prepare(tdm__build *b, const tdm__conv *c, bool to_big, int bias)
{
    const tdm__traits *traits = tdm__build_traits(b);
    const tdm__io *io = tdm__build_io(b);
    gather g = gather_of(c, to_big);
    block bl;
    choose_block(traits, &g.domain, &bl);
    int64_t panels = ceil_div(g.k, 2 * traits->vector_width);
    int64_t group_panels = panels_per_group(panels, bl.blocks);

    tdm__kernel *k = tdm__emit(b, FILE_CL, "conv_pack", "");
    tdm__arg_in(k, 1);
    tdm__arg_workspace(k, 0, sizeof(float));
    arg_ints(k, (int64_t[]){g.c, g.k}, 2);
    arg_pairs(k, c);
    arg_ints(k, (int64_t[]){to_big, to_big ? 1 : g.k, to_big ? g.c : 1}, 3);
    uint64_t one[3] = {1, 1, 1};
    tdm__range(k, 2, (uint64_t[]){(uint64_t)(c->kernel[0] * c->kernel[1]), (uint64_t)panels}, one);
    tdm__cost(k, 0, 8.0 * (double)(c->kernel[0] * c->kernel[1] * g.c * g.k));

    k = tdm__emit(b, FILE_CL, "conv_gather", "");
    tdm__arg_in(k, 0);
    tdm__arg_workspace(k, 0, sizeof(float));
    tdm__arg_out(k, 0);
    tdm__arg_epilogue(k, bias);
    tdm__arg_load(k);
    arg_ints(k, (int64_t[]){g.n, g.in[0], g.in[1], g.c, g.out[0], g.out[1], g.k}, 7);
    arg_pairs(k, c);
    arg_ints(k, (int64_t[]){to_big, bl.nb, bl.bh, bl.bw, bl.cc, group_panels, io->accumulate}, 7);
    tdm__arg_local(k, 4 * (uint64_t)bl.patch);
    tdm__arg_local(k, 4 * (uint64_t)(bl.pixels + MR_MAX));
    tdm__arg_local(k, 4 * (uint64_t)bl.pixels);
    tdm__range(k, 2, (uint64_t[]){(uint64_t)bl.blocks, (uint64_t)ceil_div(panels, group_panels)},
               one);
    tdm__cost(k, 2 * tdm__conv_macs(c), tdm__conv_bytes(c));
    return TDM_OK;
}

/* ---- filter gradient ------------------------------------------------------------------------- */

/* Scratch of a work-item, bytes: most of a second-level cache, as every pixel of a block is read
 * for each row of the filter. Pixels that make it worth to load and store the sums. Partial
 * filters: at most so many floats together, or writing and adding them costs more than the sums. */
enum { FILTER_SCRATCH = 192 << 10, FILTER_PIXELS = 32, MAX_PART = 1 << 20 };

typedef struct filter {
    tdm__conv conv; /* flat where it can be */
    block block;
    int64_t panels, group_panels, c_groups, chunks, chunk_blocks, rsc;
    int64_t part; /* floats of one partial filter, with the bias row */
} filter;

/* The largest block for given channels and panels. */
static bool filter_block(const tdm__traits *traits, const domain *d, block *b)
{
    b->bw = even(d->out[1], d->out[0] == 1 ? BLOCK_PIXELS : BLOCK_PIXELS / 2);
    b->bh = even(d->out[0], BLOCK_PIXELS / b->bw);
    b->nb = 1;
    if (b->bw == d->out[1] && b->bh == d->out[0])
        b->nb = min64(d->n, max64(1, BLOCK_PIXELS / (b->bw * b->bh)));
    while (!fits(traits, d, b)) {
        if (b->nb > 1)
            b->nb--;
        else if (b->bh > 1)
            b->bh = even(d->out[0], b->bh - 1);
        else if (b->bw > 1)
            b->bw = even(d->out[1], b->bw - 1);
        else
            return false;
    }
    return true;
}

/* All channels and panels together if possible: then each image is read once. */
static bool filter_of(const tdm__traits *traits, const tdm__conv *given, filter *f)
{
    const tdm__conv *c = &f->conv;
    f->conv = flat(given);
    int64_t nr = 2 * traits->vector_width;
    block *b = &f->block;
    f->panels = f->group_panels = ceil_div(c->k, nr);
    f->rsc = c->kernel[0] * c->kernel[1] * c->c;
    domain d = {.n = c->n, .channels = c->c, .scratch = FILTER_SCRATCH, .apart = true};
    for (int i = 0; i < 2; i++) {
        d.out[i] = c->small[i];
        d.step[i] = c->stride[i];
        d.span[i] = (c->kernel[i] - 1) * c->dilation[i];
    }
    b->cc = c->c;
    for (;;) {
        d.per_pixel = f->group_panels * nr;
        bool any = filter_block(traits, &d, b), last = b->cc == 1 && f->group_panels == 1;
        int64_t enough = min64(FILTER_PIXELS, c->n * c->small[0] * c->small[1]);
        if (any && (b->pixels >= enough || (b->cc <= nr && f->group_panels == 1))) break;
        if (last) return false;
        if (f->group_panels > 1 && (b->cc <= nr || b->pixels * d.per_pixel > b->patch))
            f->group_panels = ceil_div(f->group_panels, 2);
        else
            b->cc = ceil_div(b->cc, 2);
    }
    f->c_groups = ceil_div(c->c, b->cc);
    f->part = f->panels * (f->rsc + f->c_groups * MR_MAX + 1) * nr; /* PANEL_ROWS of the kernel */
    f->chunks = max64(1, min64(MAX_CHUNKS, MAX_PART / f->part));
    f->chunk_blocks = ceil_div(b->blocks, f->chunks);
    f->chunks = ceil_div(b->blocks, f->chunk_blocks);
    f->group_panels = min64(f->group_panels, panels_per_group(f->panels, f->chunks * f->c_groups));
    return true;
}

bool tdm__conv_filter_can_run(const tdm__traits *traits, const tdm__conv *c)
{
    filter f;
    return filter_of(traits, c, &f);
}

uint64_t tdm__conv_filter_workspace(const tdm__traits *traits, const tdm__conv *c)
{
    filter f;
    if (!filter_of(traits, c, &f)) return 0;
    return 4 * (uint64_t)(f.part * f.chunks);
}

tdm_status tdm__conv_filter_prepare(tdm__build *b, const tdm__conv *given)
{
    const tdm__traits *traits = tdm__build_traits(b);
    const tdm__io *io = tdm__build_io(b);
    bool has_bias = io->n_out == 2;
    filter f;
    filter_of(traits, given, &f);
    const tdm__conv *c = &f.conv;
    const block *bl = &f.block;
    uint64_t one[3] = {1, 1, 1};

    tdm__kernel *k = tdm__emit(b, FILE_CL, "conv_filter", "");
    tdm__arg_in(k, 0);
    tdm__arg_in(k, 1);
    tdm__arg_workspace(k, 0, sizeof(float));
    tdm__arg_load(k);
    tdm__arg_i32(k, io->load.input == 2);
    arg_ints(k, (int64_t[]){c->n, c->big[0], c->big[1], c->c, c->small[0], c->small[1], c->k}, 7);
    arg_pairs(k, c);
    arg_ints(k,
             (int64_t[]){bl->nb, bl->bh, bl->bw, bl->cc, bl->pitch, f.chunk_blocks, f.group_panels},
             7);
    tdm__arg_local(k, 4 * (uint64_t)bl->patch);
    tdm__arg_local(k, 4 * (uint64_t)(bl->pixels * f.group_panels * 2 * traits->vector_width));
    tdm__arg_local(k, 4 * (uint64_t)bl->pixels);
    tdm__range(k, 3,
               (uint64_t[]){(uint64_t)f.chunks, (uint64_t)ceil_div(f.panels, f.group_panels),
                            (uint64_t)f.c_groups},
               one);
    tdm__cost(k, 2 * tdm__conv_macs(c), tdm__conv_bytes(c));

    k = tdm__emit(b, FILE_CL, "conv_filter_reduce", "");
    tdm__arg_workspace(k, 0, sizeof(float));
    tdm__arg_out(k, 0);
    tdm__arg_out(k, has_bias ? 1 : 0);
    int64_t rows = max64(1, 4096 / (c->k * f.chunks));
    arg_ints(k,
             (int64_t[]){c->c, c->k, c->kernel[0] * c->kernel[1], bl->cc, f.chunks, rows, has_bias,
                         io->accumulate},
             8);
    tdm__range(k, 1, (uint64_t[]){(uint64_t)ceil_div(f.rsc + has_bias, rows)}, one);
    tdm__cost(k, (double)(f.part * f.chunks), 4.0 * (double)(f.part * f.chunks));
    return TDM_OK;
}
