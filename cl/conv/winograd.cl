// conv/winograd.cl: CPU-style convolution with 3x3 taps, stride 1, by Winograd's F(4x4,3x3)
// (Lavin and Gray, "Fast algorithms for convolutional neural networks", CVPR 2016):
//
//   Y = A' [ (G g G') . (B' d B) ] A       d: 6x6 inputs, g: 3x3 taps, Y: 4x4 outputs, ' transposed
//
// summed over channels before the outer transform: 36 matrix products (tiles x C) (C x K), one for
// each position of the 6x6 tile, in place of 144 multiply-adds per tile and pair of channels. The
// transforms are in common.cl.
//
// Tiles are numbered over (image, row, column) of the result. A work-item has a slot of scratch in
// global memory and works through blocks of tiles: v [36][tiles][channels] = transformed inputs, m
// [36][tiles][columns] = products. The step from one position to the next is an odd number of cache
// lines, so that the 36 streams of a transform never share a cache set. The number of slots is fixed
// by the shape; which slot a block has changes nothing.

#define NR (2 * VW)
#if VW == 16
#define MR 12 // 24 accumulators of 32 registers
#else
#define MR 6 // 12 accumulators of 16 registers
#endif
#define POINTS 36

#define AS_FLOATV CAT(as_float, VW)
#define AS_INTV CAT(as_int, VW)

// ---- filter ----------------------------------------------------------------------------------

// Floats from one position to the next of the transformed filter [36][panel][C][NR].
#define FILTER_STEP(C, K) ((size_t)(((K) + NR - 1) / NR) * (C)*NR + NR)

// t [9][VW][NR] = taps of input channels c0.. and output channels k0.., zeros beyond. rotated: the
// filter is [9][K][C] and turned by half a turn, as the data gradient has it.
static void stage_taps(float *t, const global float *w, int C, int K, int c0, int k0, int rotated)
{
    const int cs = min(VW, C - c0), ks = min(NR, K - k0);
    for (int tap = 0; tap < 9; tap++, t += VW * NR) {
        const global float *from = w + (size_t)(rotated ? 8 - tap : tap) * C * K;
        for (int i = 0; i < VW * NR; i += VW) VSTORE((FLOATV)(0.0f), 0, t + i);
        if (!rotated && ks == NR) {
            for (int c = 0; c < cs; c++) {
                const global float *row = from + (size_t)(c0 + c) * K + k0;
                VSTORE(VLOAD(0, row), 0, t + c * NR);
                VSTORE(VLOAD(1, row), 1, t + c * NR);
            }
        } else if (!rotated) {
            for (int c = 0; c < cs; c++)
                for (int k = 0; k < ks; k++) t[c * NR + k] = from[(size_t)(c0 + c) * K + k0 + k];
        } else {
            for (int k = 0; k < ks; k++)
                for (int c = 0; c < cs; c++) t[c * NR + k] = from[(size_t)(k0 + k) * C + c0 + c];
        }
    }
}

// u [36][C][NR] at distance step, from input channel c0 on, VW of them, of one panel.
static void filter_panel(const global float *w, global float *u, size_t step, int C, int K, int c0,
                         int panel, int rotated)
{
    float taps[9 * VW * NR];
    stage_taps(taps, w, C, K, c0, panel * NR, rotated);
    u += (size_t)c0 * NR;
    for (int c = 0; c < min(VW, C - c0); c++)
        for (int half_ = 0; half_ < NR; half_ += VW) {
            FLOATV g[6][3];
#define TAP(i) VLOAD(0, taps + ((i)*VW + c) * NR + half_)
            for (int j = 0; j < 3; j++)
                FILTER_TRANSFORM(TAP(j), TAP(3 + j), TAP(6 + j), g[0][j], g[1][j], g[2][j], g[3][j],
                                 g[4][j], g[5][j]);
#undef TAP
            for (int i = 0; i < 6; i++) {
                FLOATV o[6];
                FILTER_TRANSFORM(g[i][0], g[i][1], g[i][2], o[0], o[1], o[2], o[3], o[4], o[5]);
                _Pragma("unroll") for (int j = 0; j < 6; j++)
                    VSTORE(o[j], 0, u + (i * 6 + j) * step + c * NR + half_);
            }
        }
}

// One work-item per (VW input channels, panel of output channels).
CPU_KERNEL void winograd_filter(ARG(const float, w), ARG(float, u), const int C, const int K,
                                const int rotated)
{
    VIEW(w);
    VIEW(u);
    const int panel = get_group_id(1);
    filter_panel(w, u + (size_t)panel * C * NR, FILTER_STEP(C, K), C, K, get_group_id(0) * VW,
                 panel, rotated);
}

// ---- one tile --------------------------------------------------------------------------------

// What the pixels become while they are read (LOAD_ARGS of common.cl).
struct load {
    const global float *centre, *inverse, *scale, *shift;
    float least;
    int exists;
};
#define LOAD {load_centre, load_inverse, load_scale, load_shift, LOAD_LEAST, load_exists}
#define NO_LOAD {0, 0, 0, 0, 0.0f, 0}
// The numbers of n channels from c on.
#define LOAD_VECTORS(l, c, n)                                                                      \
    const FLOATV centre = load_lanes((l)->centre + (c), n);                                        \
    const FLOATV factor = load_lanes((l)->inverse + (c), n) * load_lanes((l)->scale + (c), n);     \
    const FLOATV shift = load_lanes((l)->shift + (c), n)

// v [36] at distance step = B' d B of VW channels, from c on, of 6x6 pixels.
#define DEFINE_INPUT_TILE(name, space, SETUP, PIXEL)                                               \
    static void name(global float *v, size_t step, const space float *d, size_t row,               \
                     size_t column, const struct load *l, int c)                                   \
    {                                                                                              \
        FLOATV t[6][6];                                                                            \
        SETUP;                                                                                     \
        for (int j = 0; j < 6; j++, d += column)                                                   \
            INPUT_TRANSFORM(PIXEL(d), PIXEL(d + row), PIXEL(d + 2 * row), PIXEL(d + 3 * row),      \
                            PIXEL(d + 4 * row), PIXEL(d + 5 * row), t[0][j], t[1][j], t[2][j],     \
                            t[3][j], t[4][j], t[5][j]);                                            \
        for (int i = 0; i < 6; i++, v += 6 * step) {                                               \
            FLOATV o[6];                                                                           \
            INPUT_TRANSFORM(t[i][0], t[i][1], t[i][2], t[i][3], t[i][4], t[i][5], o[0], o[1],      \
                            o[2], o[3], o[4], o[5]);                                               \
            _Pragma("unroll") for (int j = 0; j < 6; j++) VSTORE(o[j], 0, v + j * step);           \
        }                                                                                          \
    }
#define AS_IT_IS(p) VLOAD(0, p)
#define LOADED(p) loaded_lanes(VLOAD(0, p), centre, factor, shift, l->least)
DEFINE_INPUT_TILE(input_tile, global, (void)l, AS_IT_IS)
DEFINE_INPUT_TILE(input_tile_loaded, global, LOAD_VECTORS(l, c, VW), LOADED)
DEFINE_INPUT_TILE(input_tile_staged, private, (void)l, AS_IT_IS)

// The same where only rows r0 .. r1 - 1 and columns j0 .. j1 - 1 of the 6x6 pixels are inside the
// image: rows outside are read from one inside and masked.
static void input_tile_edge(global float *v, size_t step, const global float *d, size_t row,
                            size_t column, const struct load *l, int c, int r0, int r1, int j0,
                            int j1)
{
    FLOATV t[6][6], centre = (FLOATV)(0.0f), factor = centre, shift = centre;
    if (l->exists) {
        centre = VLOAD(0, l->centre + c);
        factor = VLOAD(0, l->inverse + c) * VLOAD(0, l->scale + c);
        shift = VLOAD(0, l->shift + c);
    }
    size_t at[6];
    INTV mask[6];
    _Pragma("unroll") for (int i = 0; i < 6; i++)
    {
        at[i] = clamp(i, r0, r1 - 1) * row;
        mask[i] = (INTV)(i >= r0 && i < r1 ? -1 : 0);
    }
    for (int j = 0; j < 6; j++) {
        FLOATV p[6];
        if (j < j0 || j >= j1) {
            _Pragma("unroll") for (int i = 0; i < 6; i++) t[i][j] = (FLOATV)(0.0f);
            continue;
        }
        _Pragma("unroll") for (int i = 0; i < 6; i++) p[i] = VLOAD(0, d + at[i] + j * column);
        if (l->exists)
            _Pragma("unroll") for (int i = 0; i < 6; i++) p[i] =
                loaded_lanes(p[i], centre, factor, shift, l->least);
        _Pragma("unroll") for (int i = 0; i < 6; i++) p[i] =
            AS_FLOATV(AS_INTV(p[i]) & mask[i]);
        INPUT_TRANSFORM(p[0], p[1], p[2], p[3], p[4], p[5], t[0][j], t[1][j], t[2][j], t[3][j],
                        t[4][j], t[5][j]);
    }
    for (int i = 0; i < 6; i++, v += 6 * step) {
        FLOATV o[6];
        INPUT_TRANSFORM(t[i][0], t[i][1], t[i][2], t[i][3], t[i][4], t[i][5], o[0], o[1], o[2],
                        o[3], o[4], o[5]);
        _Pragma("unroll") for (int j = 0; j < 6; j++) VSTORE(o[j], 0, v + j * step);
    }
}

// patch [size][size][VW] = n channels, from c on, of the pixels from (top, left) on; zero outside the
// image, which begins at that channel.
static void stage_pixels(float *patch, int size, const global float *image, int top, int left,
                         int H, int W, int C, const struct load *l, int c, int n)
{
    for (int i = 0; i < size; i++)
        for (int j = 0; j < size; j++, patch += VW) {
            const int y = top + i, x = left + j;
            const int inside = y >= 0 && y < H && x >= 0 && x < W;
            FLOATV d = (FLOATV)(0.0f);
            if (inside) d = load_lanes(image + ((size_t)y * W + x) * C, n);
            if (inside && l->exists) {
                LOAD_VECTORS(l, c, n);
                d = loaded_lanes(d, centre, factor, shift, l->least);
            }
            VSTORE(d, 0, patch);
        }
}

struct image {
    int H, W, C;
    int pad_h, pad_w;
    int tiles_h, tiles_w;
};

// Floats from one tile to the next of v: the channels, to whole vectors. Rows of a KiB and its multiples
// would all begin in the same few cache sets.
static int tile_row(int C)
{
    const int row = (C + VW - 1) / VW * VW;
    return row % 256 ? row : row + 16;
}

// v [36][tiles][row] of `tiles` tiles from number `first` on, channels c0 .. c0 + cc - 1; the last
// group of channels is filled up with zeros.
static void input_block(global float *v, size_t step, int row, const global float *x,
                        struct image g, const struct load *l, int first, int tiles, int c0,
                        int cc)
{
    int tw = first % g.tiles_w, th = first / g.tiles_w % g.tiles_h;
    const global float *image = x + (size_t)(first / g.tiles_w / g.tiles_h) * g.H * g.W * g.C + c0;
    for (int t = 0; t < tiles; t++, v += row) {
        const int top = th * 4 - g.pad_h, left = tw * 4 - g.pad_w;
        const int inside = top >= 0 && top + 6 <= g.H && left >= 0 && left + 6 <= g.W;
        const int r0 = max(-top, 0), r1 = min(g.H - top, 6);
        const int j0 = max(-left, 0), j1 = min(g.W - left, 6);
        const global float *from = image + ((long)top * g.W + left) * g.C;
        const size_t line = (size_t)g.W * g.C;
        for (int c = 0; c < cc; c += VW) {
            if (inside && c + VW <= cc && l->exists) {
                input_tile_loaded(v + c, step, from + c, line, g.C, l, c0 + c);
            } else if (inside && c + VW <= cc) {
                input_tile(v + c, step, from + c, line, g.C, l, c0 + c);
            } else if (c + VW <= cc && r0 < r1) {
                input_tile_edge(v + c, step, from + c, line, g.C, l, c0 + c, r0, r1, j0, j1);
            } else {
                float patch[36 * VW];
                stage_pixels(patch, 6, image + c, top, left, g.H, g.W, g.C, l, c0 + c,
                             min(VW, cc - c));
                input_tile_staged(v + c, step, patch, 6 * VW, VW, l, c0 + c);
            }
        }
        if (++tw < g.tiles_w) continue;
        tw = 0;
        if (++th < g.tiles_h) continue;
        th = 0;
        image += (size_t)g.H * g.W * g.C;
    }
}

// m [MR][columns] (+)= rows of v (channels) times a panel of u [depth][NR].
static void multiply_tile(global float *m, int columns, const global float *v, int width, int rows,
                          const global float *u, int depth, int fresh)
{
    FLOATV sum[MR][2];
    const global float *a[MR];
    _Pragma("unroll") for (int i = 0; i < MR; i++)
    {
        a[i] = v + (size_t)min(i, rows - 1) * width;
        sum[i][0] = sum[i][1] = (FLOATV)(0.0f);
    }
    for (int c = 0; c < depth; c++, u += NR) {
        const FLOATV b0 = VLOAD(0, u), b1 = VLOAD(1, u);
        _Pragma("unroll") for (int i = 0; i < MR; i++)
        {
            const FLOATV av = (FLOATV)(a[i][c]);
            sum[i][0] = fma(av, b0, sum[i][0]);
            sum[i][1] = fma(av, b1, sum[i][1]);
        }
    }
    _Pragma("unroll") for (int i = 0; i < MR; i++)
    {
        VSTORE(fresh ? sum[i][0] : sum[i][0] + VLOAD(0, m + i * columns), 0, m + i * columns);
        VSTORE(fresh ? sum[i][1] : sum[i][1] + VLOAD(1, m + i * columns), 1, m + i * columns);
    }
}

// y [4][4][VW] = A' m A of VW channels, products m at distance step.
static void output_tile(float *y, const global float *m, size_t step)
{
    FLOATV t[4][6];
#define PRODUCT(i) VLOAD(0, m + (size_t)((i)*6 + j) * step)
    for (int j = 0; j < 6; j++)
        OUTPUT_TRANSFORM(PRODUCT(0), PRODUCT(1), PRODUCT(2), PRODUCT(3), PRODUCT(4), PRODUCT(5),
                         t[0][j], t[1][j], t[2][j], t[3][j]);
#undef PRODUCT
    for (int i = 0; i < 4; i++, y += 4 * VW) {
        FLOATV o[4];
        OUTPUT_TRANSFORM(t[i][0], t[i][1], t[i][2], t[i][3], t[i][4], t[i][5], o[0], o[1], o[2],
                         o[3]);
        _Pragma("unroll") for (int j = 0; j < 4; j++) VSTORE(o[j], j, y);
    }
}

// ---- image from image ------------------------------------------------------------------------

// The h x w pixels of a 4x4 tile, each plus bias, join a block's statistics [3][K], which has `before`
// pixels: their number, mean, sum of squared deviations (batch_norm.cl has the formulas).
static void add_statistics(global float *to, const float *pixels, FLOATV bias, int h, int w,
                           int before, int K, int lanes)
{
    FLOATV mean = (FLOATV)(0.0f), squares = mean;
    const float count = (float)(h * w);
    if (h == 4 && w == 4) {
        for (int i = 0; i < 16; i += 4)
            mean += (VLOAD(i, pixels) + VLOAD(i + 1, pixels)) +
                    (VLOAD(i + 2, pixels) + VLOAD(i + 3, pixels));
        mean *= 1.0f / 16.0f;
        _Pragma("unroll") for (int i = 0; i < 16; i++)
        {
            const FLOATV d = VLOAD(i, pixels) - mean;
            squares = fma(d, d, squares);
        }
    } else {
        for (int i = 0; i < h; i++)
            for (int j = 0; j < w; j++) mean += VLOAD(i * 4 + j, pixels);
        mean *= 1.0f / count;
        for (int i = 0; i < h; i++)
            for (int j = 0; j < w; j++) {
                const FLOATV d = VLOAD(i * 4 + j, pixels) - mean;
                squares = fma(d, d, squares);
            }
    }
    mean += bias;
    if (before > 0) {
        const FLOATV old = load_lanes(to + K, lanes), d = mean - old;
        const float share = count / ((float)before + count);
        mean = fma(d, (FLOATV)(share), old);
        squares += fma(d * d, (FLOATV)((float)before * share), load_lanes(to + 2 * K, lanes));
    }
    store_lanes((FLOATV)((float)before + count), to, lanes);
    store_lanes(mean, to + K, lanes);
    store_lanes(squares, to + 2 * K, lanes);
}

// Channels of one pass over the products: what stays in the first-level cache of a panel.
#define DEPTH 256

// v of all tiles, `block_tiles` a work-item, for winograd_gather with few tiles.
CPU_KERNEL void winograd_inputs(ARG(const float, x), ARG(float, v), LOAD_ARGS, const int N,
                                const int H, const int W, const int C, const int P, const int Q,
                                const int pad_h, const int pad_w, const int block_tiles,
                                const int v_step)
{
    VIEW(x);
    VIEW(v);
    LOAD_VIEWS;
    const struct image g = {H, W, C, pad_h, pad_w, (P + 3) / 4, (Q + 3) / 4};
    const struct load l = LOAD;
    const int width = tile_row(C), first = get_group_id(0) * block_tiles;
    const int rows = min(block_tiles, N * g.tiles_h * g.tiles_w - first);
    input_block(v + (size_t)first * width, v_step, width, x, g, &l, first, rows, 0, C);
}

// few: there is one block of tiles; its v comes from winograd_inputs, and u is the filter as it is: a
// work-item transforms the panels that it needs, each of which is needed once. Slots then hold u and m.
CPU_KERNEL void winograd_gather(ARG(const float, x), ARG(const float, u), ARG(float, y),
                                EPILOGUE_ARGS, LOAD_ARGS, ARG(float, statistics),
                                const int has_statistics, ARG(float, scratch), const int N, const int H,
                                const int W, const int C, const int P, const int Q, const int K,
                                const int pad_h, const int pad_w, const int block_tiles,
                                const int group_panels, const int chunk_panels, const int v_step,
                                const int m_step, const int few, const int rotated,
                                const int accumulate)
{
    VIEW(x);
    VIEW(u);
    VIEW(y);
    VIEW(scratch);
    VIEW(statistics);
    EPILOGUE_VIEWS;
    LOAD_VIEWS;
    const struct image g = {H, W, C, pad_h, pad_w, (P + 3) / 4, (Q + 3) / 4};
    const struct load l = LOAD;
    const int tiles = N * g.tiles_h * g.tiles_w, panels = (K + NR - 1) / NR;
    const int blocks = (tiles + block_tiles - 1) / block_tiles;
    const int groups = (panels + group_panels - 1) / group_panels;
    const int width = tile_row(C);
    const size_t u_step = few ? FILTER_STEP(C, chunk_panels * NR) : FILTER_STEP(C, K);
    const size_t slot_step = POINTS * (few ? u_step : (size_t)v_step);
    global float *slot = scratch + (few ? POINTS * (size_t)v_step : 0) +
                         get_group_id(0) * (slot_step + POINTS * (size_t)m_step);
    global float *v = few ? scratch : slot, *m = slot + slot_step;

    // The common epilogues with little branching: bias or none, relu or none (nothing is below
    // `least`), the derivative of relu.
    const int relu_grad = (epi_parts & EPI_ACT_GRAD) && epi_act == ACT_RELU;
    const int simple = !(epi_parts & (EPI_AFFINE | EPI_RESIDUAL)) && !accumulate &&
                       (relu_grad || (!(epi_parts & EPI_ACT_GRAD) &&
                                      (epi_act == ACT_NONE || epi_act == ACT_RELU)));
    const FLOATV least = (FLOATV)(epi_act == ACT_RELU && !relu_grad ? 0.0f : -INFINITY);

    const ulong items = (ulong)blocks * groups, slots = get_num_groups(0);
    const int end = (int)((get_group_id(0) + 1) * items / slots);
    for (int item = (int)(get_group_id(0) * items / slots); item < end; item++) {
        const int first = item % blocks * block_tiles, panel0 = item / blocks * group_panels;
        const int rows = min(block_tiles, tiles - first);
        const int panel_end = min(panel0 + group_panels, panels);
        if (!few) input_block(v, v_step, width, x, g, &l, first, rows, 0, C);
        for (int panel = panel0; panel < panel_end; panel += chunk_panels) {
            const int chunk = min(chunk_panels, panel_end - panel), columns = chunk * NR;
            const global float *filter = u + (size_t)panel * C * NR;
            if (few) {
                for (int c = 0; c < C; c += VW)
                    for (int p = 0; p < chunk; p++)
                        filter_panel(u, slot + (size_t)p * C * NR, u_step, C, K, c, panel + p,
                                     rotated);
                filter = slot;
            }
            for (int xi = 0; xi < POINTS; xi++)
                for (int c = 0; c < C; c += DEPTH)
                    for (int p = 0; p < chunk; p++)
                        for (int t = 0; t < rows; t += MR)
                            multiply_tile(m + (size_t)xi * m_step + t * columns + p * NR, columns,
                                          v + (size_t)xi * v_step + (size_t)t * width + c, width,
                                          rows - t,
                                          filter + xi * u_step + ((size_t)p * C + c) * NR,
                                          min(DEPTH, C - c), c == 0);
            const int k_end = min(K, (panel + chunk) * NR);
            int tw = first % g.tiles_w, th = first / g.tiles_w % g.tiles_h;
            int n = first / g.tiles_w / g.tiles_h;
            int pixels_before = 0; // of this block
            for (int t = 0; t < rows; t++) {
                const size_t at = (((size_t)n * P + th * 4) * Q + tw * 4) * K;
                const int h = min(4, P - th * 4), w = min(4, Q - tw * 4);
                for (int k = panel * NR; k < k_end; k += VW) {
                    const int lanes = min(VW, K - k);
                    float pixels[16 * VW];
                    output_tile(pixels, m + t * columns + (k - panel * NR), m_step);
                    if (has_statistics)
                        add_statistics(statistics + (size_t)(item % blocks) * 3 * K + k, pixels,
                                       epi_parts & EPI_BIAS ? load_lanes(epi_bias + k, lanes)
                                                            : (FLOATV)(0.0f),
                                       h, w, pixels_before, K, lanes);
                    if (simple && lanes == VW && h == 4 && w == 4) {
                        const FLOATV bias =
                            epi_parts & EPI_BIAS ? VLOAD(0, epi_bias + k) : (FLOATV)(0.0f);
                        for (int i = 0; i < 4; i++)
                            _Pragma("unroll") for (int j = 0; j < 4; j++)
                            {
                                const size_t out = at + ((size_t)i * Q + j) * K + k;
                                FLOATV r = VLOAD(i * 4 + j, pixels) + bias;
                                r = select(r, (FLOATV)(0.0f), r < least);
                                if (relu_grad)
                                    r *= select((FLOATV)(0.0f), (FLOATV)(1.0f),
                                                VLOAD(0, epi_residual + out) > 0.0f);
                                VSTORE(r, 0, y + out);
                            }
                        continue;
                    }
                    for (int i = 0; i < h; i++)
                        for (int j = 0; j < w; j++) {
                            const size_t out = at + ((size_t)i * Q + j) * K + k;
                            FLOATV value = VLOAD(i * 4 + j, pixels);
                            if (accumulate) value += load_lanes(y + out, lanes);
                            EPILOGUE(value, k, out, lanes);
                            store_lanes(value, y + out, lanes);
                        }
                }
                pixels_before += h * w;
                if (++tw < g.tiles_w) continue;
                tw = 0;
                if (++th < g.tiles_h) continue;
                th = 0;
                n++;
            }
        }
    }
}

// ---- filter from images ----------------------------------------------------------------------

// dw = G' [ sum over tiles of (B' d B) . (A dy A') ] G: products [36] of (C x tiles) (tiles x K). The
// tiles are taken in chunks whose transforms stay in the cache: v [36][panel of C][tiles][NR] and
// z [37][panel of K][tiles][NR] (the last: sums of dy, for the bias gradient), sums du [36][panel of K][C, to a whole register tile][NR].

// z [37] at distance step = A dy A' of VW channels of 4x4 pixels, and the sum of the pixels.
#define DEFINE_GRADIENT_TILE(name, space)                                                          \
    static void name(global float *z, size_t step, const space float *d, size_t row,               \
                     size_t column)                                                                \
    {                                                                                              \
        FLOATV t[6][4], sum = (FLOATV)(0.0f);                                                      \
        for (int j = 0; j < 4; j++, d += column) {                                                 \
            const FLOATV d0 = VLOAD(0, d), d1 = VLOAD(0, d + row);                                 \
            const FLOATV d2 = VLOAD(0, d + 2 * row), d3 = VLOAD(0, d + 3 * row);                   \
            sum += (d0 + d1) + (d2 + d3);                                                          \
            GRADIENT_TRANSFORM(d0, d1, d2, d3, t[0][j], t[1][j], t[2][j], t[3][j], t[4][j],        \
                               t[5][j]);                                                           \
        }                                                                                          \
        VSTORE(sum, 0, z + POINTS * step);                                                         \
        for (int i = 0; i < 6; i++, z += 6 * step) {                                               \
            FLOATV o[6];                                                                           \
            GRADIENT_TRANSFORM(t[i][0], t[i][1], t[i][2], t[i][3], o[0], o[1], o[2], o[3], o[4],   \
                               o[5]);                                                              \
            _Pragma("unroll") for (int j = 0; j < 6; j++) VSTORE(o[j], 0, z + j * step);           \
        }                                                                                          \
    }
DEFINE_GRADIENT_TILE(gradient_tile, global)
DEFINE_GRADIENT_TILE(gradient_tile_staged, private)

// z [37][tiles][NR] of one panel of dy (P,Q,K), from channel k0 on; zeros beyond K.
static void gradient_block(global float *z, size_t step, const global float *dy, struct image g,
                           int first, int tiles, int k0)
{
    const struct load as_it_is = NO_LOAD;
    int tw = first % g.tiles_w, th = first / g.tiles_w % g.tiles_h;
    const global float *image = dy + (size_t)(first / g.tiles_w / g.tiles_h) * g.H * g.W * g.C + k0;
    for (int t = 0; t < tiles; t++, z += NR) {
        const int top = th * 4, left = tw * 4, inside = top + 4 <= g.H && left + 4 <= g.W;
        for (int k = 0; k < NR; k += VW) {
            if (inside && k0 + k + VW <= g.C) {
                gradient_tile(z + k, step, image + ((size_t)top * g.W + left) * g.C + k,
                              (size_t)g.W * g.C, g.C);
            } else {
                float patch[16 * VW];
                stage_pixels(patch, 4, image + k, top, left, g.H, g.W, g.C, &as_it_is, 0,
                             clamp(g.C - k0 - k, 0, VW));
                gradient_tile_staged(z + k, step, patch, 4 * VW, VW);
            }
        }
        if (++tw < g.tiles_w) continue;
        tw = 0;
        if (++th < g.tiles_h) continue;
        th = 0;
        image += (size_t)g.H * g.W * g.C;
    }
}

// Group 0: `block` of the chunk's tiles, 1: panel of x, then panels of dy.
CPU_KERNEL void winograd_filter_tiles(ARG(const float, x), ARG(const float, dy), ARG(float, v),
                                      ARG(float, z), LOAD_ARGS, const int H, const int W, const int C,
                                      const int P, const int Q, const int K, const int pad_h,
                                      const int pad_w, const int first, const int count,
                                      const int block, const int stride, const int v_step,
                                      const int z_step)
{
    VIEW(x);
    VIEW(dy);
    VIEW(v);
    VIEW(z);
    LOAD_VIEWS;
    const struct load l = LOAD;
    const int tiles_h = (P + 3) / 4, tiles_w = (Q + 3) / 4, x_panels = (C + NR - 1) / NR;
    const int from = get_group_id(0) * block, tiles = min(block, count - from);
    const int panel = get_group_id(1);
    if (panel < x_panels) {
        const struct image g = {H, W, C, pad_h, pad_w, tiles_h, tiles_w};
        input_block(v + ((size_t)panel * stride + from) * NR, v_step, NR, x, g, &l, first + from,
                    tiles, panel * NR, min(NR, C - panel * NR));
    } else {
        const struct image g = {P, Q, K, 0, 0, tiles_h, tiles_w};
        gradient_block(z + ((size_t)(panel - x_panels) * stride + from) * NR, z_step, dy, g,
                       first + from, tiles, (panel - x_panels) * NR);
    }
}

// sums [MR][NR] (+)= over n tiles: MR channels of v times a panel of z. Added up by themselves first:
// one long sum over all tiles is less exact.
static void filter_tile(global float *sums, const global float *v, const int *at,
                        const global float *z, int n, int fresh)
{
    FLOATV sum[MR][2];
    const global float *a[MR];
    _Pragma("unroll") for (int i = 0; i < MR; i++)
    {
        a[i] = v + at[i];
        sum[i][0] = sum[i][1] = (FLOATV)(0.0f);
    }
    for (int t = 0; t < n * NR; t += NR) {
        const FLOATV b0 = VLOAD(0, z + t), b1 = VLOAD(1, z + t);
        _Pragma("unroll") for (int i = 0; i < MR; i++)
        {
            const FLOATV av = (FLOATV)(a[i][t]);
            sum[i][0] = fma(av, b0, sum[i][0]);
            sum[i][1] = fma(av, b1, sum[i][1]);
        }
    }
    _Pragma("unroll") for (int i = 0; i < MR; i++)
    {
        VSTORE(fresh ? sum[i][0] : sum[i][0] + VLOAD(2 * i, sums), 2 * i, sums);
        VSTORE(fresh ? sum[i][1] : sum[i][1] + VLOAD(2 * i + 1, sums), 2 * i + 1, sums);
    }
}

// Tiles of one pass: their panel of z stays in the first-level cache.
#define PASS 192

// Group 0: position, 1: group of panels of K. The groups of position 0 add up the bias gradient db
// [panel][NR] too.
CPU_KERNEL void winograd_filter_sums(ARG(const float, v), ARG(const float, z), ARG(float, du),
                                     ARG(float, db), const int C, const int K, const int count,
                                     const int stride, const int v_step, const int z_step,
                                     const int group_panels, const int fresh)
{
    VIEW(v);
    VIEW(z);
    VIEW(du);
    VIEW(db);
    const int xi = get_group_id(0), panels = (K + NR - 1) / NR, rows = (C + MR - 1) / MR * MR;
    const int begin = get_group_id(1) * group_panels, end = min(begin + group_panels, panels);
    v += (size_t)xi * v_step;
    z += (size_t)xi * z_step;
    for (int t = 0; t < count; t += PASS) {
        const int n = min(PASS, count - t);
        for (int panel = begin; panel < end; panel++) {
            const global float *b = z + ((size_t)panel * stride + t) * NR;
            global float *sums = du + ((size_t)xi * panels + panel) * rows * NR;
            for (int c = 0; c < C; c += MR, sums += MR * NR) {
                int at[MR];
                for (int i = 0; i < MR; i++) {
                    const int ci = min(c + i, C - 1);
                    at[i] = ci / NR * stride * NR + ci % NR;
                }
                filter_tile(sums, v + (size_t)t * NR, at, b, n, fresh && t == 0);
            }
            if (xi != 0) continue;
            FLOATV s0 = (FLOATV)(0.0f), s1 = (FLOATV)(0.0f);
            if (!fresh || t > 0) s0 = VLOAD(2 * panel, db), s1 = VLOAD(2 * panel + 1, db);
            FLOATV t0 = (FLOATV)(0.0f), t1 = (FLOATV)(0.0f);
            b += (size_t)POINTS * z_step;
            for (int i = 0; i < n; i++, b += NR) {
                t0 += VLOAD(0, b);
                t1 += VLOAD(1, b);
            }
            VSTORE(s0 + t0, 2 * panel, db);
            VSTORE(s1 + t1, 2 * panel + 1, db);
        }
    }
}

// One work-item per input channel: dw [3][3][C][K] from du, and once the bias gradient.
CPU_KERNEL void winograd_filter_finish(ARG(const float, du), ARG(const float, sums),
                                       ARG(float, dw), ARG(float, db), const int C, const int K,
                                       const int has_bias, const int accumulate)
{
    VIEW(du);
    VIEW(sums);
    VIEW(dw);
    VIEW(db);
    const int c = get_group_id(0), panels = (K + NR - 1) / NR, rows = (C + MR - 1) / MR * MR;
    const size_t step = (size_t)panels * rows * NR;
    for (int k = 0; k < K; k += VW) {
        const int n = min(VW, K - k);
        const global float *u = du + ((size_t)(k / NR) * rows + c) * NR + k % NR;
        FLOATV t[3][6];
#define POINT(i) VLOAD(0, u + ((i)*6 + j) * step)
        for (int j = 0; j < 6; j++)
            FILTER_TRANSFORM_BACK(POINT(0), POINT(1), POINT(2), POINT(3), POINT(4), POINT(5),
                                  t[0][j], t[1][j], t[2][j]);
#undef POINT
        for (int i = 0; i < 3; i++) {
            FLOATV o[3];
            FILTER_TRANSFORM_BACK(t[i][0], t[i][1], t[i][2], t[i][3], t[i][4], t[i][5], o[0], o[1],
                                  o[2]);
            for (int j = 0; j < 3; j++)
                put_lanes(o[j], dw + ((size_t)(i * 3 + j) * C + c) * K + k, n, accumulate);
        }
        if (has_bias && c == 0) store_lanes(VLOAD(0, sums + k), db + k, n);
    }
}
