// conv/implicit.cl: CPU-style convolution as an implicit matrix product: forward, transposed
// forward and data gradient (conv_gather), filter and bias gradient (conv_filter).
//
// forward:     y[n,p,q,k] = sum_{r,s,c} x[n, p u - pad + r d, q u - pad + s d, c] w[r,s,c,k]
// transposed:  y[n,p,q,k] = sum_{r,s,c} x[n,i,j,c] w[r,s,k,c] over i u - pad + r d = p, j likewise
// filter:      dw[r,s,c,k] = sum_{n,p,q} x[n, p u - pad + r d, q u - pad + s d, c] dy[n,p,q,k]
//
// A work-item takes a block of nb images x bh x bw output pixels and copies the inputs that it
// needs into local memory, zero where they lie in the padding: `patch` [nb][rows][cols][cc],
// cc <= C channels at a time. Register tiles then run over the patch without any test of bounds,
// and never see a value from outside. A tile is MR x NR = (pixels, or filter rows) x (output
// channels); where at most VW channels are left it is narrower.
//
// The transposed form is enumerated by residue class of (p, q) modulo the stride u: within a class
// the same taps contribute to every pixel, and consecutive pixels read consecutive inputs. So both
// forms are, per class and axis: output cls + i * out_step reads inputs i * in_step + first +
// t * gap for the class's taps t = 0..count-1 (struct axis).
//
// Panels (conv_pack): weights as [panel][row tap][column tap][C][width], width NR or, when at most
// VW channels are left, VW; zeros beyond K. Taps are stored by class, within a class in the order
// in which they meet rising inputs.

#define NR (2 * VW)
#if VW == 16
#define MR_WIDE 12 // 24 accumulators of 32 registers
#else
#define MR_WIDE 6 // 12 accumulators of 16 registers
#endif
#define MR_NARROW 8 // enough independent accumulators to hide the latency of the multiply-add
#define RUN 64
#define MR_MAX (MR_WIDE > MR_NARROW ? MR_WIDE : MR_NARROW)

struct axis {
    int start; // place of the class's first tap in the packed order
    int count; // taps of the class
    int first; // input of output 0, tap 0
    int gap;   // inputs between taps
    int outputs;
};

// Class that tap r of a transposed axis belongs to.
static int tap_class(int r, int stride, int pad, int dilation)
{
    const int m = (r * dilation - pad) % stride;
    return m < 0 ? m + stride : m;
}

static struct axis axis_of(int transposed, int cls, int taps, int stride, int pad, int dilation,
                           int outputs)
{
    struct axis a = {0, taps, -pad, dilation, outputs};
    if (!transposed) return a;
    int last = 0, previous = -1;
    a.count = 0;
    for (int r = 0; r < taps; r++) {
        const int of = tap_class(r, stride, pad, dilation);
        a.start += of < cls;
        if (of == cls) {
            previous = a.count++ ? last : -1;
            last = r;
        }
    }
    if (a.count) a.first = (cls + pad - last * dilation) / stride;
    a.gap = previous < 0 ? 1 : (last - previous) * dilation / stride;
    a.outputs = (outputs - cls + stride - 1) / stride;
    return a;
}

// Inputs of output 0 of any class: first .. first + span.
struct window {
    int first, span;
};

static struct window window_of(int transposed, int taps, int stride, int pad, int dilation)
{
    struct window all = {-pad, (taps - 1) * dilation};
    if (!transposed) return all;
    int first = 0, end = 0;
    for (int r = 0; r < taps; r++) {
        const int at = (tap_class(r, stride, pad, dilation) + pad - r * dilation) / stride;
        first = r ? min(first, at) : at;
        end = r ? max(end, at) : at;
    }
    all.first = first;
    all.span = end - first;
    return all;
}

// Place of tap r in the packed order.
static int tap_place(int transposed, int r, int taps, int stride, int pad, int dilation)
{
    if (!transposed) return r;
    const int cls = tap_class(r, stride, pad, dilation);
    int place = 0;
    for (int t = 0; t < taps; t++) {
        const int of = tap_class(t, stride, pad, dilation);
        place += of < cls || (of == cls && t > r);
    }
    return place;
}

// w[r][s][...] with element (c, k) at c * c_stride + k * k_stride -> panels. One work-item per
// (tap, panel).
CPU_KERNEL void conv_pack(ARG(const float, w), ARG(float, panels), const int C, const int K,
                          const int R, const int S, const int stride_h, const int stride_w,
                          const int pad_h, const int pad_w, const int dil_h, const int dil_w,
                          const int transposed, const int c_stride, const int k_stride)
{
    VIEW(w);
    VIEW(panels);
    const int r = get_group_id(0) / S, s = get_group_id(0) % S, k0 = get_group_id(1) * NR;
    const int width = K - k0 > VW ? NR : VW, valid = min(K - k0, width);
    const int place = tap_place(transposed, r, R, stride_h, pad_h, dil_h) * S +
                      tap_place(transposed, s, S, stride_w, pad_w, dil_w);
    global float *to = panels + (size_t)k0 * R * S * C + (size_t)place * C * width;
    const global float *from = w + (size_t)(r * S + s) * C * K + (size_t)k0 * k_stride;
    for (int c = 0; c < C; c++, to += width, from += c_stride) {
        for (int k = 0; k < valid; k++) to[k] = from[(size_t)k * k_stride];
        for (int k = valid; k < width; k++) to[k] = 0.0f;
    }
}

static void copy_run(local float *to, const global float *from, int n)
{
    int i = 0;
    for (; i + VW <= n; i += VW) VSTORE(VLOAD(0, from + i), 0, to + i);
    for (; i < n; i++) to[i] = from[i];
}

static void zero_run(local float *to, int n)
{
    int i = 0;
    for (; i + VW <= n; i += VW) VSTORE((FLOATV)(0.0f), 0, to + i);
    for (; i < n; i++) to[i] = 0.0f;
}

// What elements become while they are staged (LOAD_ARGS of common.cl).
struct load {
    const global float *centre, *inverse, *scale, *shift;
    float least;
    int exists;
};
#define LOAD {load_centre, load_inverse, load_scale, load_shift, LOAD_LEAST, load_exists}

// n channels from c on of a row of pixels, `from_step` and `to_step` floats apart.
static void load_pixels(local float *to, int to_step, const global float *from, int from_step,
                        int pixels, int c, int n, const struct load *l)
{
    for (int i = 0; i < n; i += VW) {
        const int lanes = min(VW, n - i);
        const FLOATV centre = load_lanes(l->centre + c + i, lanes);
        const FLOATV factor =
            load_lanes(l->inverse + c + i, lanes) * load_lanes(l->scale + c + i, lanes);
        const FLOATV shift = load_lanes(l->shift + c + i, lanes);
        const global float *a = from + i;
        local float *b = to + i;
        if (lanes == VW) {
            for (int j = 0; j < pixels; j++, a += from_step, b += to_step)
                VSTORE(loaded_lanes(VLOAD(0, a), centre, factor, shift, l->least), 0, b);
            continue;
        }
        for (int j = 0; j < pixels; j++, a += from_step, b += to_step) {
            float lane[VW];
            VSTORE(loaded_lanes(load_lanes(a, lanes), centre, factor, shift, l->least), 0, lane);
            for (int k = 0; k < lanes; k++) b[k] = lane[k];
        }
    }
}

// patch = rows top.., columns left.. of images n0.., channels c0 .. c0 + cc - 1 of x (N,H,W,C), a
// pixel every `pitch` floats.
static void stage_patch(local float *patch, int pitch, const global float *x, int n0, int images,
                        int top, int rows, int left, int cols, int H, int W, int C, int c0, int cc,
                        const struct load *l)
{
    const int begin = clamp(-left, 0, cols), end = clamp(W - left, begin, cols);
    for (int b = 0; b < images; b++)
        for (int i = 0; i < rows; i++, patch += cols * pitch) {
            const int y = top + i;
            if (y < 0 || y >= H || begin == end) {
                zero_run(patch, cols * pitch);
                continue;
            }
            const global float *from =
                x + (((size_t)(n0 + b) * H + y) * W + (left + begin)) * C + c0;
            zero_run(patch, begin * pitch);
            if (l->exists) {
                load_pixels(patch + begin * pitch, pitch, from, C, end - begin, c0, cc, l);
            } else if (cc == C && cc == pitch) {
                copy_run(patch + begin * cc, from, (end - begin) * cc);
            } else {
                for (int j = begin; j < end; j++, from += C) copy_run(patch + j * pitch, from, cc);
            }
            zero_run(patch + end * pitch, (cols - end) * pitch);
        }
}

// How a tile's sums leave the registers: plain: y[to[i]][k] = sums + bias, through relu if asked
// for, for n pixels; otherwise they go to acc.
struct leave {
    int plain, relu, n, K;
    const global float *bias; // 0: none
};

// Sums of one register tile over all taps of the class, for the channels in the patch.
// at: patch offset of each pixel; rows x runs segments of len inputs.
#define DEFINE_GATHER_TILE(name, MR, NV)                                                           \
    static void name(float *acc, global float *y, const local int *to, struct leave leave,         \
                     const local float *patch, const local int *at, const global float *w,         \
                     int rows, int row_step, size_t row_weights, int runs, int run_step,           \
                     size_t run_weights, int len)                                                  \
    {                                                                                              \
        FLOATV sum[MR][NV];                                                                        \
        _Pragma("unroll") for (int i = 0; i < MR; i++)                                             \
            _Pragma("unroll") for (int v = 0; v < NV; v++) sum[i][v] = (FLOATV)(0.0f);             \
        for (int r = 0; r < rows; r++) {                                                           \
            for (int q = 0; q < runs; q++) {                                                       \
                const global float *b = w + r * row_weights + q * run_weights;                     \
                const local float *a[MR];                                                          \
                _Pragma("unroll") for (int i = 0; i < MR; i++) a[i] =                              \
                    patch + at[i] + r * row_step + q * run_step;                                   \
                for (int c = 0; c < len; c++) {                                                    \
                    FLOATV bv[NV];                                                                 \
                    _Pragma("unroll") for (int v = 0; v < NV; v++) bv[v] =                         \
                        VLOAD(0, b + (size_t)c * (NV * VW) + v * VW);                              \
                    _Pragma("unroll") for (int i = 0; i < MR; i++)                                 \
                    {                                                                              \
                        const FLOATV av = (FLOATV)(a[i][c]);                                       \
                        _Pragma("unroll") for (int v = 0; v < NV; v++) sum[i][v] =                 \
                            fma(av, bv[v], sum[i][v]);                                             \
                    }                                                                              \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
        if (!leave.plain) {                                                                        \
            _Pragma("unroll") for (int i = 0; i < MR; i++)                                         \
                _Pragma("unroll") for (int v = 0; v < NV; v++)                                     \
                    VSTORE(sum[i][v], 0, acc + (i * NV + v) * VW);                                 \
            return;                                                                                \
        }                                                                                          \
        if (leave.bias) {                                                                          \
            _Pragma("unroll") for (int v = 0; v < NV; v++)                                         \
            {                                                                                      \
                const FLOATV bias = VLOAD(v, leave.bias);                                          \
                _Pragma("unroll") for (int i = 0; i < MR; i++) sum[i][v] += bias;                  \
            }                                                                                      \
        }                                                                                          \
        if (leave.relu) {                                                                          \
            _Pragma("unroll") for (int i = 0; i < MR; i++)                                         \
                _Pragma("unroll") for (int v = 0; v < NV; v++) sum[i][v] =                         \
                    select(sum[i][v], (FLOATV)(0.0f), sum[i][v] < (FLOATV)(0.0f));                 \
        }                                                                                          \
        _Pragma("unroll") for (int i = 0; i < MR; i++)                                             \
        {                                                                                          \
            if (i < leave.n)                                                                       \
                _Pragma("unroll") for (int v = 0; v < NV; v++)                                     \
                    VSTORE(sum[i][v], v, y + (size_t)to[i] * leave.K);                             \
        }                                                                                          \
    }
DEFINE_GATHER_TILE(gather_tile_wide, MR_WIDE, 2)
DEFINE_GATHER_TILE(gather_tile_narrow, MR_NARROW, 1)

CPU_KERNEL void conv_gather(ARG(const float, x), ARG(const float, panels), ARG(float, y),
                            EPILOGUE_ARGS, LOAD_ARGS, const int N, const int H, const int W, const int C,
                            const int P, const int Q, const int K, const int R, const int S,
                            const int stride_h, const int stride_w, const int pad_h,
                            const int pad_w, const int dil_h, const int dil_w, const int transposed,
                            const int nb, const int bh, const int bw, const int c_chunk,
                            const int group_panels, const int accumulate, local float *patch,
                            local int *at, local int *to)
{
    VIEW(x);
    VIEW(panels);
    VIEW(y);
    EPILOGUE_VIEWS;
    LOAD_VIEWS;
    const struct load l = LOAD;
    const int class_h = transposed ? stride_h : 1, class_w = transposed ? stride_w : 1;
    const int in_h = transposed ? 1 : stride_h, in_w = transposed ? 1 : stride_w;
    const struct window wh = window_of(transposed, R, stride_h, pad_h, dil_h);
    const struct window ww = window_of(transposed, S, stride_w, pad_w, dil_w);

    // This block: images n0.., rows i0.., columns j0.. of each class.
    const int blocks_w = ((Q + class_w - 1) / class_w + bw - 1) / bw;
    const int blocks_h = ((P + class_h - 1) / class_h + bh - 1) / bh;
    const int block = get_group_id(0);
    const int j0 = block % blocks_w * bw, i0 = block / blocks_w % blocks_h * bh;
    const int n0 = block / (blocks_w * blocks_h) * nb;
    const int images = min(nb, N - n0);
    const int rows = (min(bh, (P + class_h - 1) / class_h - i0) - 1) * in_h + wh.span + 1;
    const int cols = (min(bw, (Q + class_w - 1) / class_w - j0) - 1) * in_w + ww.span + 1;
    // One pass, and no more to do to the sums than a tile can.
    const int only = c_chunk >= C && !accumulate && !(epi_parts & ~EPI_BIAS) &&
                     (epi_act == ACT_NONE || epi_act == ACT_RELU);

    for (int c0 = 0; c0 < C; c0 += c_chunk) {
        const int cc = min(c_chunk, C - c0), last = c0 + cc == C;
        stage_patch(patch, cc, x, n0, images, i0 * in_h + wh.first, rows, j0 * in_w + ww.first,
                    cols, H, W, C, c0, cc, &l);
        for (int cls = 0; cls < class_h * class_w; cls++) {
            const int cls_h = cls / class_w, cls_w = cls % class_w;
            const struct axis ah = axis_of(transposed, cls_h, R, stride_h, pad_h, dil_h, P);
            const struct axis aw = axis_of(transposed, cls_w, S, stride_w, pad_w, dil_w, Q);
            const int h = min(bh, ah.outputs - i0), w = min(bw, aw.outputs - j0);
            const int pixels = images * h * w, taps = ah.count > 0 && aw.count > 0;
            if (h <= 0 || w <= 0) continue;
            // Where each pixel starts in the patch and where it goes; the last is repeated to fill
            // tiles.
            int p = 0;
            for (int b = 0; b < images; b++)
                for (int i = 0; i < h; i++)
                    for (int j = 0; j < w; j++, p++) {
                        at[p] = ((b * rows + i * in_h + ah.first - wh.first) * cols + j * in_w +
                                 aw.first - ww.first) *
                                cc;
                        to[p] = (b * P + cls_h + (i0 + i) * class_h) * Q + cls_w +
                                (j0 + j) * class_w;
                    }
            for (; p < pixels + MR_MAX; p++) at[p] = at[pixels - 1];

            const int one_run = aw.gap == 1 && cc == C;
            const int runs = one_run ? 1 : aw.count, len = one_run ? aw.count * C : cc;
            const int panel_end = min((int)(get_group_id(1) + 1) * group_panels, (K + NR - 1) / NR);
            for (int panel = get_group_id(1) * group_panels; panel < panel_end; panel++) {
                const int k0 = panel * NR, wide = K - k0 > VW, width = wide ? NR : VW;
                const int step = wide ? MR_WIDE : MR_NARROW;
                const global float *taps_of = panels + (size_t)k0 * R * S * C +
                                        (((size_t)ah.start * S + aw.start) * C + c0) * width;
                const size_t run_weights = (size_t)C * width, row_weights = S * run_weights;
                struct leave leave = {only && K - k0 >= width, epi_act == ACT_RELU, 0, K, 0};
                if (epi_parts & EPI_BIAS) leave.bias = epi_bias + k0;
                global float *to_panel = y + (size_t)n0 * P * Q * K + k0;
                for (int t = 0; t < pixels; t += step) {
                    float acc[MR_WIDE * NR];
                    const int n = leave.n = min(step, pixels - t);
                    if (wide)
                        gather_tile_wide(acc, to_panel, to + t, leave, patch, at + t, taps_of,
                                         taps ? ah.count : 0, ah.gap * cols * cc, row_weights, runs,
                                         aw.gap * cc, run_weights, len);
                    else
                        gather_tile_narrow(acc, to_panel, to + t, leave, patch, at + t, taps_of,
                                           taps ? ah.count : 0, ah.gap * cols * cc, row_weights,
                                           runs, aw.gap * cc, run_weights, len);
                    if (leave.plain) continue;
                    for (int i = 0; i < n; i++) {
                        const size_t out = ((size_t)n0 * P * Q + to[t + i]) * K;
                        for (int v = 0; v < width && k0 + v < K; v += VW) {
                            const int k = k0 + v, lanes = min(VW, K - k);
                            FLOATV value = VLOAD(0, acc + i * width + v);
                            if (c0 > 0 || accumulate) value += load_lanes(y + out + k, lanes);
                            if (last) EPILOGUE(value, k, out + k, lanes);
                            store_lanes(value, y + out + k, lanes);
                        }
                    }
                }
            }
        }
    }
}

// ---- filter gradient -----------------------------------------------------------------------

// sums[i] (+)= sum_p patch[at[p] + row[i]] grad[p] for MR rows of the filter; fresh: = . The loop
// over the block's pixels is cut in two levels so that PoCL's compiler keeps all sums in registers.
#define DEFINE_FILTER_TILE(name, MR, NV)                                                           \
    static void name(global float *sums, int fresh, const int *row, const local float *patch,      \
                     const local int *at, const local float *grad, int pixels)                     \
    {                                                                                              \
        FLOATV sum[MR][NV];                                                                        \
        _Pragma("unroll") for (int i = 0; i < MR; i++)                                             \
            _Pragma("unroll") for (int v = 0; v < NV; v++) sum[i][v] =                             \
                fresh ? (FLOATV)(0.0f) : VLOAD(0, sums + i * NR + v * VW);                         \
        const local float *a[MR];                                                                  \
        _Pragma("unroll") for (int i = 0; i < MR; i++) a[i] = patch + row[i];                      \
        for (int p0 = 0; p0 < pixels; p0 += RUN) {                                                 \
            const int run = min(RUN, pixels - p0);                                                 \
            const local int *to = at + p0;                                                         \
            const local float *from = grad + p0 * NR;                                              \
            for (int p = 0; p < run; p++) {                                                        \
                const long o = to[p];                                                              \
                FLOATV g[NV];                                                                      \
                _Pragma("unroll") for (int v = 0; v < NV; v++) g[v] =                              \
                    VLOAD(0, from + p * NR + v * VW);                                              \
                _Pragma("unroll") for (int i = 0; i < MR; i++)                                     \
                {                                                                                  \
                    const FLOATV av = (FLOATV)(a[i][o]);                                           \
                    _Pragma("unroll") for (int v = 0; v < NV; v++) sum[i][v] =                     \
                        fma(av, g[v], sum[i][v]);                                                  \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
        _Pragma("unroll") for (int i = 0; i < MR; i++)                                             \
            _Pragma("unroll") for (int v = 0; v < NV; v++)                                         \
                VSTORE(sum[i][v], 0, sums + i * NR + v * VW);                                      \
    }
DEFINE_FILTER_TILE(filter_tile_wide, MR_WIDE, 2)
DEFINE_FILTER_TILE(filter_tile_narrow, MR_NARROW, 1)

// grad [panel][pixel][NR] = dy of the block's pixels for panels first..end-1, zeros beyond K. In the
// order of dy, as memory is read faster in order than written.
static void stage_grad(local float *grad, const global float *dy, int images, int h, int w,
                       size_t image, size_t line, int K, int first, int end, const struct load *l)
{
    const int panel_step = images * h * w * NR;
    for (int b = 0; b < images; b++)
        for (int i = 0; i < h; i++) {
            const global float *from = dy + b * image + i * line + first * NR;
            if (l->exists) {
                for (int k = first * NR; k < min(end * NR, K); k += NR) {
                    local float *to = grad + (k / NR - first) * panel_step;
                    const int n = min(NR, K - k);
                    load_pixels(to, NR, from + k - first * NR, K, w, k, n, l);
                    for (int j = 0; n < NR && j < w; j++) zero_run(to + j * NR + n, NR - n);
                }
                grad += w * NR;
                continue;
            }
            for (int j = 0; j < w; j++, from += K, grad += NR) {
                local float *to = grad;
                int n = min(end * NR, K) - first * NR, k = 0;
                for (; k + NR <= n; k += NR, to += panel_step) {
                    VSTORE(VLOAD(0, from + k), 0, to);
                    VSTORE(VLOAD(1, from + k), 1, to);
                }
                if (k == n) continue;
                copy_run(to, from + k, n - k);
                zero_run(to + n - k, NR - (n - k));
            }
        }
}

// sums (+)= column sums of the staged gradient; two chains of additions for each vector.
static void add_bias(global float *sums, int fresh, const local float *grad, int pixels)
{
    FLOATV a[2], b[2];
    a[0] = a[1] = b[0] = b[1] = (FLOATV)(0.0f);
    for (int p = 0; p + 2 <= pixels; p += 2)
        for (int i = 0; i < 2; i++) {
            a[i] += VLOAD(0, grad + (p + i) * NR);
            b[i] += VLOAD(1, grad + (p + i) * NR);
        }
    if (pixels % 2) {
        a[0] += VLOAD(0, grad + (pixels - 1) * NR);
        b[0] += VLOAD(1, grad + (pixels - 1) * NR);
    }
    a[0] += a[1];
    b[0] += b[1];
    VSTORE(fresh ? a[0] : a[0] + VLOAD(0, sums), 0, sums);
    VSTORE(fresh ? b[0] : b[0] + VLOAD(1, sums), 1, sums);
}

// Rows of the sums of one panel: the bias, then per chunk of cc channels R S cc rows and room for
// what the last tile has too many.
#define CHUNK_ROWS(taps, cc) ((taps) * (cc) + MR_MAX)
#define PANEL_ROWS(taps, C, c_chunk)                                                               \
    ((size_t)(taps) * (C) + ((C) + (c_chunk)-1) / (c_chunk)*MR_MAX + 1)

// The load is of dy where load_dy is set, otherwise of x.
// Group 0: chunk of pixel blocks, 1: group of panels, 2: chunk of input channels. The chunk's sums
// are part [chunk][panel][PANEL_ROWS][NR].
CPU_KERNEL void conv_filter(ARG(const float, x), ARG(const float, dy), ARG(float, part),
                            LOAD_ARGS, const int load_dy, const int N, const int H, const int W, const int C, const int P,
                            const int Q, const int K, const int R, const int S, const int stride_h,
                            const int stride_w, const int pad_h, const int pad_w, const int dil_h,
                            const int dil_w, const int nb, const int bh, const int bw,
                            const int c_chunk, const int pitch, const int chunk_blocks,
                            const int group_panels, local float *patch, local float *grad,
                            local int *at)
{
    VIEW(x);
    VIEW(dy);
    VIEW(part);
    LOAD_VIEWS;
    struct load x_load = LOAD, dy_load = LOAD;
    x_load.exists = load_exists && !load_dy;
    dy_load.exists = load_exists && load_dy;
    const int panels = (K + NR - 1) / NR;
    const int first = get_group_id(1) * group_panels, end = min(first + group_panels, panels);
    const int c0 = get_group_id(2) * c_chunk, cc = min(c_chunk, C - c0);
    const int blocks_w = (Q + bw - 1) / bw, blocks_h = (P + bh - 1) / bh;
    const int blocks = blocks_w * blocks_h * ((N + nb - 1) / nb);
    const int block_begin = get_group_id(0) * chunk_blocks;
    const int block_end = min(block_begin + chunk_blocks, blocks);
    const size_t panel_rows = PANEL_ROWS(R * S, C, c_chunk);
    part += get_group_id(0) * panels * panel_rows * NR;

    for (int block = block_begin; block < block_end; block++) {
        const int fresh = block == block_begin;
        const int j0 = block % blocks_w * bw, i0 = block / blocks_w % blocks_h * bh;
        const int n0 = block / (blocks_w * blocks_h) * nb;
        const int images = min(nb, N - n0), h = min(bh, P - i0), w = min(bw, Q - j0);
        const int rows = (h - 1) * stride_h + (R - 1) * dil_h + 1;
        const int cols = (w - 1) * stride_w + (S - 1) * dil_w + 1;
        stage_patch(patch, pitch, x, n0, images, i0 * stride_h - pad_h, rows, j0 * stride_w - pad_w,
                    cols, H, W, C, c0, cc, &x_load);
        stage_grad(grad, dy + (((size_t)n0 * P + i0) * Q + j0) * K, images, h, w, (size_t)P * Q * K,
                   (size_t)Q * K, K, first, end, &dy_load);
        const int pixels = images * h * w;
        int p = 0;
        for (int b = 0; b < images; b++)
            for (int i = 0; i < h; i++)
                for (int j = 0; j < w; j++, p++)
                    at[p] = ((b * rows + i * stride_h) * cols + j * stride_w) * pitch;

        for (int panel = first; panel < end; panel++) {
            const local float *g = grad + (panel - first) * pixels * NR;
            global float *sums = part + panel * panel_rows * NR;
            const int wide = K - panel * NR > VW, step = wide ? MR_WIDE : MR_NARROW;
            if (get_group_id(2) == 0) add_bias(sums, fresh, g, pixels);
            sums += NR + (size_t)get_group_id(2) * CHUNK_ROWS(R * S, c_chunk) * NR;
            int r = 0, s = 0, c = 0; // of the next row
            for (; r < R; sums += step * NR) {
                int row[MR_MAX];
                for (int i = 0; i < step; i++) {
                    row[i] = r < R ? (r * dil_h * cols + s * dil_w) * pitch + c : 0;
                    if (++c < cc) continue;
                    c = 0;
                    if (++s < S) continue;
                    s = 0;
                    r++;
                }
                if (wide)
                    filter_tile_wide(sums, fresh, row, patch, at, g, pixels);
                else
                    filter_tile_narrow(sums, fresh, row, patch, at, g, pixels);
            }
        }
    }
}

// Adds the chunks' sums, in order: row (r,s,c) of the filter for each group, and the bias gradient
// (row R S C, when has_bias).
CPU_KERNEL void conv_filter_reduce(ARG(const float, part), ARG(float, dw), ARG(float, db),
                                   const int C, const int K, const int taps, const int c_chunk,
                                   const int chunks, const int rows_per_group, const int has_bias,
                                   const int accumulate)
{
    VIEW(part);
    VIEW(dw);
    VIEW(db);
    const int panels = (K + NR - 1) / NR, rsc = taps * C;
    const size_t panel_rows = PANEL_ROWS(taps, C, c_chunk), chunk_step = panels * panel_rows * NR;
    const int row_end = min((int)(get_group_id(0) + 1) * rows_per_group, rsc + has_bias);
    for (int row = get_group_id(0) * rows_per_group; row < row_end; row++) {
        const int bias = row == rsc;
        size_t place = 0;
        if (!bias) {
            const int c_group = row % C / c_chunk, cc = min(c_chunk, C - c_group * c_chunk);
            place = 1 + (size_t)c_group * CHUNK_ROWS(taps, c_chunk) + (size_t)(row / C) * cc +
                    row % C % c_chunk;
        }
        global float *to = bias ? db : dw + (size_t)row * K;
        for (int k = 0; k < K; k += VW) {
            const global float *from = part + (k / NR * panel_rows + place) * NR + k % NR;
            FLOATV sum = VLOAD(0, from);
            for (int i = 1; i < chunks; i++) sum += VLOAD(0, from + i * chunk_step);
            put_lanes(sum, to + k, min(VW, K - k), accumulate && !bias);
        }
    }
}
