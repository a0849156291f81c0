// pool.cl: maximum, average and global pooling and unpooling, forward and backward.
//
// Layouts: x (N,H,W,C), y (N,P,Q,C); a window of R x S positions, stride (sh, sw), padding (ph,
// pw); an index is the position r * S + s in the window. Backward kernels gather: each input
// position looks at the windows that cover it, in row-major order, so nothing is added twice by two
// items.
//
// Work-items. CPU style: `per_item` rows of the result, vectors of LANES channels. GPU style: one
// element of the result; global pools: a work-group has TX channels of one sample, TY = WG / TX
// items share the pixels and their partial results meet in a tree in local memory.

typedef struct {
    int H, W, C, P, Q, R, S, sh, sw, ph, pw;
} pool_t;
#define POOL_ARGS                                                                                  \
    const int H, const int W, const int C, const int P, const int Q, const int R, const int S,     \
        const int sh, const int sw, const int ph, const int pw
#define POOL_INIT const pool_t g = {H, W, C, P, Q, R, S, sh, sw, ph, pw}

INLINE ulong in_at(const pool_t g, ulong n, int h, int w, int c)
{
    return ((n * (ulong)g.H + (ulong)h) * (ulong)g.W + (ulong)w) * (ulong)g.C + (ulong)c;
}

INLINE ulong out_at(const pool_t g, ulong n, int p, int q, int c)
{
    return ((n * (ulong)g.P + (ulong)p) * (ulong)g.Q + (ulong)q) * (ulong)g.C + (ulong)c;
}

// Windows along one axis that cover position i: the first, and one past the last.
INLINE int first_window(int i, int pad, int kernel_size, int stride)
{
    return i + pad < kernel_size ? 0 : (i + pad - kernel_size) / stride + 1;
}

INLINE int end_window(int i, int pad, int stride, int windows)
{
    return min(windows, (i + pad) / stride + 1);
}

// ---- maximum -----------------------------------------------------------------------------------

// What the pixels become while they are read (LOAD_ARGS of common.cl), of the lanes at hand. Maxima are
// compared after it.
typedef struct {
    int exists;
    float least;
    floatl centre, factor, shift;
} load_t;

INLINE floatl pooled_lanes(global const float *x, const int m, const load_t l)
{
    const floatl v = load_lanes(x, m);
    return l.exists ? loaded_lanes(v, l.centre, l.factor, l.shift, l.least) : v;
}

// The first maximum of rows x columns positions, of which the first is position `first` of the
// window; a NaN takes its place (the last one, as in PyTorch).
INLINE void max_scan(global const float *x, const pool_t g, const int rows, const int columns,
                     const int first, const int m, const load_t l, floatl *best, intl *at)
{
    *best = pooled_lanes(x, m, l);
    *at = first;
    for (int r = 0; r < rows; r++, x += (ulong)g.W * (ulong)g.C) {
        for (int s = 0; s < columns; s++) {
            const floatl v = pooled_lanes(x + (ulong)s * (ulong)g.C, m, l);
            const intl take = (v > *best) | (v != v);
            *best = select(*best, v, take);
            *at = select(*at, (intl)(first + r * g.S + s), take);
        }
    }
}

INLINE void max_pool_at(global const float *x, global float *y, global uchar *index, const pool_t g,
                        ulong n, int p, int q, int c, const int m, const load_t l)
{
    const int h0 = p * g.sh - g.ph, w0 = q * g.sw - g.pw;
    const int r0 = max(0, -h0), r1 = min(g.R, g.H - h0);
    const int s0 = max(0, -w0), s1 = min(g.S, g.W - w0);
    floatl best;
    intl at;
    x += in_at(g, n, h0 + r0, w0 + s0, c);
    if (r1 - r0 == 2 && s1 - s0 == 2) // the usual window, unrolled
        max_scan(x, g, 2, 2, r0 * g.S + s0, m, l, &best, &at);
    else
        max_scan(x, g, r1 - r0, s1 - s0, r0 * g.S + s0, m, l, &best, &at);
    const ulong o = out_at(g, n, p, q, c);
    store_lanes(best, y + o, m);
    store_lanes_u8(LANES_CONVERT(uchar)(at), index + o, m);
}

LANES_KERNEL void max_pool_fwd(ARG(const float, x), ARG(float, y), ARG(uchar, index),
                               const ulong rows, const int per_item, POOL_ARGS, LOAD_ARGS)
{
    VIEW(x);
    VIEW(y);
    VIEW(index);
    LOAD_VIEWS;
    POOL_INIT;
    if (load_exists) {
#define AT(n, p, q, c, m)                                                                          \
    do {                                                                                           \
        const load_t l = {1, LOAD_LEAST, load_lanes(load_centre + (c), m),                         \
                          load_lanes(load_inverse + (c), m) * load_lanes(load_scale + (c), m),     \
                          load_lanes(load_shift + (c), m)};                                        \
        max_pool_at(x, y, index, g, n, p, q, c, m, l);                                             \
    } while (0)
        EACH_OUTPUT(P, Q);
#undef AT
    } else {
        const load_t none = {0, 0.0f, 0.0f, 0.0f, 0.0f};
#define AT(n, p, q, c, m) max_pool_at(x, y, index, g, n, p, q, c, m, none)
        EACH_OUTPUT(P, Q);
#undef AT
    }
}

// Each input position takes from the windows that cover it the values whose index points at it:
// their sum (gradient of the pool), or the last one (unpool: later windows overwrite earlier ones).
INLINE void unpool_at(global const float *y, global const uchar *index, global float *x,
                      const pool_t g, ulong n, int h, int w, int c, const int m, const int sum,
                      const int accumulate, global const float *act_y, const int act,
                      const float alpha)
{
    const int p0 = first_window(h, g.ph, g.R, g.sh), p1 = end_window(h, g.ph, g.sh, g.P);
    const int q0 = first_window(w, g.pw, g.S, g.sw), q1 = end_window(w, g.pw, g.sw, g.Q);
    floatl result = 0.0f;
    for (int p = p0; p < p1; p++) {
        for (int q = q0; q < q1; q++) {
            const ulong o = out_at(g, n, p, q, c);
            const int at = (h + g.ph - p * g.sh) * g.S + w + g.pw - q * g.sw;
            const intl hit = LANES_CONVERT(int)(load_lanes_u8(index + o, m)) == (intl)at;
            const floatl v = load_lanes(y + o, m);
            result = sum ? result + select((floatl)0.0f, v, hit) : select(result, v, hit);
        }
    }
    const ulong to = in_at(g, n, h, w, c);
    if (act_y) result *= activate_grad_l(load_lanes(act_y + to, m), act, alpha);
    put_lanes(result, x + to, m, accumulate);
}

// The derivative that a gradient ends with: the last three arguments of the functions around.
#define ACT_GRAD epi_parts &EPI_ACT_GRAD ? epi_residual : 0, epi_act, epi_alpha

LANES_KERNEL void max_pool_bwd(ARG(const float, dy), ARG(const uchar, index), ARG(float, dx),
                               const ulong rows, const int per_item, POOL_ARGS,
                               const int accumulate, EPILOGUE_ARGS)
{
    VIEW(dy);
    VIEW(index);
    VIEW(dx);
    EPILOGUE_VIEWS;
    POOL_INIT;
#define AT(n, h, w, c, m) unpool_at(dy, index, dx, g, n, h, w, c, m, 1, accumulate, ACT_GRAD)
    EACH_OUTPUT(H, W);
#undef AT
}

LANES_KERNEL void max_unpool_fwd(ARG(const float, y), ARG(const uchar, index), ARG(float, x),
                                 const ulong rows, const int per_item, POOL_ARGS,
                                 const int accumulate)
{
    VIEW(y);
    VIEW(index);
    VIEW(x);
    POOL_INIT;
#define AT(n, h, w, c, m) unpool_at(y, index, x, g, n, h, w, c, m, 0, accumulate, 0, 0, 0.0f)
    EACH_OUTPUT(H, W);
#undef AT
}

// The same for windows that touch and do not overlap (stride = kernel, no padding), both for the
// gradient and for unpool: a work-item goes over windows and writes all their positions, and zeros
// where the windows end before the input does. AT's row and column are those of windows, partial
// ones included.
INLINE void tile_at(global const float *y, global const uchar *index, global float *x,
                    const pool_t g, ulong n, int p, int q, int c, const int m, const int R,
                    const int S, const int accumulate, global const float *act_y, const int act,
                    const float alpha)
{
    const int h1 = min(R, g.H - p * R), w1 = min(S, g.W - q * S);
    intl at = -1;
    floatl v = 0.0f;
    if (p < g.P && q < g.Q) {
        const ulong o = out_at(g, n, p, q, c);
        at = LANES_CONVERT(int)(load_lanes_u8(index + o, m));
        v = load_lanes(y + o, m);
    }
    const ulong corner = in_at(g, n, p * R, q * S, c);
    for (int r = 0; r < R; r++)
        for (int s = 0; s < S; s++) {
            if (r >= h1 || s >= w1) continue;
            const ulong to = corner + ((ulong)r * (ulong)g.W + (ulong)s) * (ulong)g.C;
            floatl value = select((floatl)0.0f, v, at == (intl)(r * S + s));
            if (act_y) value *= activate_grad_l(load_lanes(act_y + to, m), act, alpha);
            put_lanes(value, x + to, m, accumulate);
        }
}

LANES_KERNEL void max_pool_tiles(ARG(const float, y), ARG(const uchar, index), ARG(float, x),
                                 const ulong rows, const int per_item, POOL_ARGS,
                                 const int accumulate, EPILOGUE_ARGS)
{
    VIEW(y);
    VIEW(index);
    VIEW(x);
    EPILOGUE_VIEWS;
    POOL_INIT;
    const int down = (H + R - 1) / R, across = (W + S - 1) / S;
    if (R == 2 && S == 2 && !accumulate) {
#define AT(n, p, q, c, m) tile_at(y, index, x, g, n, p, q, c, m, 2, 2, 0, ACT_GRAD)
        EACH_OUTPUT(down, across);
#undef AT
    } else {
#define AT(n, p, q, c, m) tile_at(y, index, x, g, n, p, q, c, m, R, S, accumulate, ACT_GRAD)
        EACH_OUTPUT(down, across);
#undef AT
    }
}

// Lanes whose value at (h, w) was overwritten by a window after (p, q).
INLINE intl overwritten(global const uchar *index, const pool_t g, ulong n, int h, int w, int p,
                        int q, int c, const int m)
{
    const int p1 = end_window(h, g.ph, g.sh, g.P);
    const int q0 = first_window(w, g.pw, g.S, g.sw), q1 = end_window(w, g.pw, g.sw, g.Q);
    intl lost = 0;
    for (int later = p; later < p1; later++) {
        for (int l = later == p ? q + 1 : q0; l < q1; l++) {
            const int at = (h + g.ph - later * g.sh) * g.S + w + g.pw - l * g.sw;
            const ucharl i = load_lanes_u8(index + out_at(g, n, later, l, c), m);
            lost |= LANES_CONVERT(int)(i) == (intl)at;
        }
    }
    return lost;
}

// Gradient of unpool: each window takes the gradient at the position its value went to, unless a
// later window took its place.
INLINE void max_unpool_bwd_at(global const float *dx, global const uchar *index, global float *dy,
                              const pool_t g, ulong n, int p, int q, int c, const int m,
                              const int accumulate)
{
    const int h0 = p * g.sh - g.ph, w0 = q * g.sw - g.pw;
    const int r0 = max(0, -h0), r1 = min(g.R, g.H - h0);
    const int s0 = max(0, -w0), s1 = min(g.S, g.W - w0);
    const int overlap = g.sh < g.R || g.sw < g.S;
    const ulong o = out_at(g, n, p, q, c);
    const intl i = LANES_CONVERT(int)(load_lanes_u8(index + o, m));
    floatl result = 0.0f;
    for (int r = r0; r < r1; r++) {
        for (int s = s0; s < s1; s++) {
            intl hit = i == (intl)(r * g.S + s);
            if (overlap) hit &= ~overwritten(index, g, n, h0 + r, w0 + s, p, q, c, m);
            result = select(result, load_lanes(dx + in_at(g, n, h0 + r, w0 + s, c), m), hit);
        }
    }
    put_lanes(result, dy + o, m, accumulate);
}

LANES_KERNEL void max_unpool_bwd(ARG(const float, dx), ARG(const uchar, index), ARG(float, dy),
                                 const ulong rows, const int per_item, POOL_ARGS,
                                 const int accumulate)
{
    VIEW(dx);
    VIEW(index);
    VIEW(dy);
    POOL_INIT;
#define AT(n, p, q, c, m) max_unpool_bwd_at(dx, index, dy, g, n, p, q, c, m, accumulate)
    EACH_OUTPUT(P, Q);
#undef AT
}

// ---- average -----------------------------------------------------------------------------------

// 1 / the number of positions of a window: with padding (but not what ceil_mode adds beyond it), or
// those inside the input only.
// `uniform`: the same when it is one number for all windows, else 0.
INLINE float inverse_count(const pool_t g, int p, int q, int include_pad, float uniform)
{
    if (uniform > 0.0f) return uniform;
    const int h0 = p * g.sh - g.ph, w0 = q * g.sw - g.pw;
    const int h = include_pad ? min(g.R, g.H + g.ph - h0) : min(h0 + g.R, g.H) - max(h0, 0);
    const int w = include_pad ? min(g.S, g.W + g.pw - w0) : min(w0 + g.S, g.W) - max(w0, 0);
    return 1.0f / ((float)h * (float)w);
}

INLINE void avg_pool_at(global const float *x, global float *y, const pool_t g, ulong n, int p,
                        int q, int c, const int m, const int include_pad, const float uniform,
                        const int accumulate)
{
    const int h0 = p * g.sh - g.ph, w0 = q * g.sw - g.pw;
    const int r0 = max(0, -h0), r1 = min(g.R, g.H - h0);
    const int s0 = max(0, -w0), s1 = min(g.S, g.W - w0);
    floatl sum = 0.0f;
    for (int r = r0; r < r1; r++) {
        global const float *row = x + in_at(g, n, h0 + r, w0 + s0, c);
        for (int s = s0; s < s1; s++, row += g.C) sum += load_lanes(row, m);
    }
    put_lanes(sum * inverse_count(g, p, q, include_pad, uniform), y + out_at(g, n, p, q, c), m,
              accumulate);
}

LANES_KERNEL void avg_pool_fwd(ARG(const float, x), ARG(float, y), const ulong rows,
                               const int per_item, POOL_ARGS, const int include_pad,
                               const float uniform, const int accumulate)
{
    VIEW(x);
    VIEW(y);
    POOL_INIT;
#define AT(n, p, q, c, m) avg_pool_at(x, y, g, n, p, q, c, m, include_pad, uniform, accumulate)
    EACH_OUTPUT(P, Q);
#undef AT
}

INLINE void avg_pool_bwd_at(global const float *dy, global float *dx, const pool_t g, ulong n,
                            int h, int w, int c, const int m, const int include_pad,
                            const float uniform, const int accumulate)
{
    const int p0 = first_window(h, g.ph, g.R, g.sh), p1 = end_window(h, g.ph, g.sh, g.P);
    const int q0 = first_window(w, g.pw, g.S, g.sw), q1 = end_window(w, g.pw, g.sw, g.Q);
    floatl sum = 0.0f;
    for (int p = p0; p < p1; p++)
        for (int q = q0; q < q1; q++)
            sum += load_lanes(dy + out_at(g, n, p, q, c), m) *
                   inverse_count(g, p, q, include_pad, uniform);
    put_lanes(sum, dx + in_at(g, n, h, w, c), m, accumulate);
}

LANES_KERNEL void avg_pool_bwd(ARG(const float, dy), ARG(float, dx), const ulong rows,
                               const int per_item, POOL_ARGS, const int include_pad,
                               const float uniform, const int accumulate)
{
    VIEW(dy);
    VIEW(dx);
    POOL_INIT;
#define AT(n, h, w, c, m)                                                                          \
    avg_pool_bwd_at(dy, dx, g, n, h, w, c, m, include_pad, uniform, accumulate)
    EACH_OUTPUT(H, W);
#undef AT
}

// ---- global pools: x (N,HW,C) -> (N,C) ----------------------------------------------------------

// Pixels summed before the partial sum joins the total: rounding grows with the number of runs, not
// of pixels.
#define RUN 64

// Whether (b, ib) replaces (a, ia): larger, or first among equals; NaN over all, the last among
// NaNs.
INLINE int replaces(float a, int ia, float b, int ib)
{
    if (b != b) return a == a || ib > ia;
    return b > a || (b == a && ib < ia);
}

#ifdef STYLE_GPU

#define TX (WG < 16 ? WG : 16)
#define TY (WG / TX)
#define GLOBAL_POOL_PLACE                                                                          \
    const int tx = (int)get_local_id(0) % TX, ty = (int)get_local_id(0) / TX;                      \
    const ulong tiles = ((ulong)C + TX - 1) / TX, n = get_group_id(0) / tiles;                     \
    const int c = (int)(get_group_id(0) % tiles) * TX + tx;                                        \
    x += n * pixels * (ulong)C + (ulong)c

GPU_KERNEL(WG)
void global_avg_pool_fwd(ARG(const float, x), ARG(float, y), const ulong pixels, const int C,
                         const int accumulate)
{
    VIEW(x);
    VIEW(y);
    local float sums[WG];
    GLOBAL_POOL_PLACE;
    float total = 0.0f;
    if (c < C) {
        for (ulong i = ty; i < pixels; i += (ulong)RUN * TY) {
            float run = 0.0f;
            const ulong end = min(pixels, i + (ulong)RUN * TY);
            for (ulong j = i; j < end; j += TY) run += x[j * (ulong)C];
            total += run;
        }
    }
    sums[ty * TX + tx] = total;
    for (int half_ = TY / 2; half_ > 0; half_ /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (ty < half_) sums[ty * TX + tx] += sums[(ty + half_) * TX + tx];
    }
    if (ty == 0 && c < C) {
        const float mean = sums[tx] / (float)pixels;
        y += n * (ulong)C + (ulong)c;
        *y = accumulate ? *y + mean : mean;
    }
}

GPU_KERNEL(WG)
void global_max_pool_fwd(ARG(const float, x), ARG(float, y), ARG(int, index), const ulong pixels,
                         const int C)
{
    VIEW(x);
    VIEW(y);
    VIEW(index);
    local float bests[WG];
    local int ats[WG];
    GLOBAL_POOL_PLACE;
    float best = -INFINITY;
    int at = INT_MAX; // an item without pixels never wins
    if (c < C) {
        for (ulong i = ty; i < pixels; i += TY) {
            const float v = x[i * (ulong)C];
            if (replaces(best, at, v, (int)i)) best = v, at = (int)i;
        }
    }
    bests[ty * TX + tx] = best;
    ats[ty * TX + tx] = at;
    for (int half_ = TY / 2; half_ > 0; half_ /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (ty < half_) {
            const int a = ty * TX + tx, b = a + half_ * TX;
            if (replaces(bests[a], ats[a], bests[b], ats[b])) bests[a] = bests[b], ats[a] = ats[b];
        }
    }
    if (ty == 0 && c < C) {
        y[n * (ulong)C + (ulong)c] = bests[tx];
        index[n * (ulong)C + (ulong)c] = ats[tx];
    }
}

#else // CPU style: a work-item has LANES channels of one sample

#define GLOBAL_POOL_PLACE                                                                          \
    const ulong tiles = ((ulong)C + LANES - 1) / LANES, n = get_global_id(0) / tiles;              \
    const int c = (int)(get_global_id(0) % tiles) * LANES;                                         \
    const int m = min(LANES, C - c);                                                               \
    x += n * pixels * (ulong)C + (ulong)c

CPU_KERNEL void global_avg_pool_fwd(ARG(const float, x), ARG(float, y), const ulong pixels,
                                    const int C, const int accumulate)
{
    VIEW(x);
    VIEW(y);
    GLOBAL_POOL_PLACE;
    floatl total = 0.0f;
    for (ulong i = 0; i < pixels; i += RUN) {
        floatl run = 0.0f;
        const ulong end = min(pixels, i + RUN);
        for (ulong j = i; j < end; j++) run += load_lanes(x + j * (ulong)C, m);
        total += run;
    }
    put_lanes(total / (float)pixels, y + n * (ulong)C + (ulong)c, m, accumulate);
}

CPU_KERNEL void global_max_pool_fwd(ARG(const float, x), ARG(float, y), ARG(int, index),
                                    const ulong pixels, const int C)
{
    VIEW(x);
    VIEW(y);
    VIEW(index);
    GLOBAL_POOL_PLACE;
    floatl best = load_lanes(x, m);
    intl at = 0;
    for (ulong i = 1; i < pixels; i++) {
        const floatl v = load_lanes(x + i * (ulong)C, m);
        const intl take = (v > best) | (v != v);
        best = select(best, v, take);
        at = select(at, (intl)(int)i, take);
    }
    store_lanes(best, y + n * (ulong)C + (ulong)c, m);
    store_lanes_i32(at, index + n * (ulong)C + (ulong)c, m);
}

#endif

// dx[n][i][c] (+)= dy[n][c] / HW. rows = N * HW.
LANES_KERNEL void global_avg_pool_bwd(ARG(const float, dy), ARG(float, dx), const ulong rows,
                                      const int per_item, const int pixels, const int C,
                                      const int accumulate)
{
    VIEW(dy);
    VIEW(dx);
    const float inverse = 1.0f / (float)pixels;
#define AT(n, i, one, c, m)                                                                        \
    put_lanes(load_lanes(dy + (n) * (ulong)C + (ulong)(c), m) * inverse,                           \
              dx + ((n) * (ulong)pixels + (ulong)(i)) * (ulong)C + (ulong)(c), m, accumulate)
    EACH_OUTPUT(pixels, 1);
#undef AT
}

// dx[n][i][c] (+)= i == index[n][c] ? dy[n][c] : 0. rows = N * HW.
LANES_KERNEL void global_max_pool_bwd(ARG(const float, dy), ARG(const int, index), ARG(float, dx),
                                      const ulong rows, const int per_item, const int pixels,
                                      const int C, const int accumulate)
{
    VIEW(dy);
    VIEW(index);
    VIEW(dx);
#define AT(n, i, one, c, m)                                                                        \
    put_lanes(select((floatl)0.0f, load_lanes(dy + (n) * (ulong)C + (ulong)(c), m),                \
                     load_lanes_i32(index + (n) * (ulong)C + (ulong)(c), m) == (intl)(i)),         \
              dx + ((n) * (ulong)pixels + (ulong)(i)) * (ulong)C + (ulong)(c), m, accumulate)
    EACH_OUTPUT(pixels, 1);
#undef AT
}
