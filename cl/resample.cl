// resample.cl: nearest and bilinear resizing, forward and backward, by PyTorch's formulas.
//
// Layouts: x (N,H,W,C), y (N,P,Q,C). Source of output position o along an axis of `in` to `out`
// positions:
//     nearest    o when in = out, o / 2 when out = 2 in, else min(floor(o * in/out), in - 1)
//     bilinear   align_corners: s = o (in-1)/(out-1), else s = max(0, (o + 1/2) in/out - 1/2);
//                between i = floor(s) and i + 1 (or i at the edge) with weights 1 - (s-i), s - i
// Sources never go down as o grows, so the outputs that read an input position are a range:
// backward kernels gather over that range. Work-items: see EACH_PIXEL (rows of the result).

#define RESAMPLE_ARGS                                                                              \
    const ulong rows, const int per_item, const int H, const int W, const int C, const int P,      \
        const int Q, const float scale_h, const float scale_w

INLINE ulong at(ulong n, int h, int w, int H, int W, int C)
{
    return ((n * (ulong)H + (ulong)h) * (ulong)W + (ulong)w) * (ulong)C;
}

// ---- nearest -----------------------------------------------------------------------------------

INLINE int nearest_source(int o, int in, int out, float scale)
{
    if (in == out) return o;
    if (out == 2 * in) return o >> 1;
    return min((int)floor((float)o * scale), in - 1);
}

// The first output position whose source is at least i (out when there is none).
INLINE int nearest_first(int i, int in, int out, float scale)
{
    int o = clamp((int)((float)i / scale), 0, out);
    while (o > 0 && nearest_source(o - 1, in, out, scale) >= i) o--;
    while (o < out && nearest_source(o, in, out, scale) < i) o++;
    return o;
}

INLINE void nearest_pixel(global const float *x, global float *y, int c0, int c1, int accumulate)
{
#define COPY(i, m) put_lanes(load_lanes(x + i, m), y + i, m, accumulate)
    EACH_LANES((ulong)c0, (ulong)c1, COPY);
#undef COPY
}

LANES_KERNEL void upsample_nearest_fwd(ARG(const float, x), ARG(float, y), RESAMPLE_ARGS,
                                       const int accumulate)
{
    VIEW(x);
    VIEW(y);
#define PIXEL(n, p, q, c0, c1)                                                                     \
    nearest_pixel(                                                                                 \
        x + at(n, nearest_source(p, H, P, scale_h), nearest_source(q, W, Q, scale_w), H, W, C),    \
        y + at(n, p, q, P, Q, C), c0, c1, accumulate)
    EACH_PIXEL(P, Q, PIXEL);
#undef PIXEL
}

INLINE void nearest_gather(global const float *dy, global float *dx, int p0, int p1, int q0, int q1,
                           int Q, int C, int c0, int c1, int accumulate)
{
    for (int c = c0; c < c1; c += LANES) {
        const int m = min(LANES, c1 - c);
        floatl sum = 0.0f;
        for (int p = p0; p < p1; p++)
            for (int q = q0; q < q1; q++) sum += load_lanes(dy + at(0, p, q, 0, Q, C) + c, m);
        put_lanes(sum, dx + c, m, accumulate);
    }
}

LANES_KERNEL void upsample_nearest_bwd(ARG(const float, dy), ARG(float, dx), RESAMPLE_ARGS,
                                       const int accumulate)
{
    VIEW(dy);
    VIEW(dx);
#define PIXEL(n, h, w, c0, c1)                                                                     \
    nearest_gather(dy + at(n, 0, 0, P, Q, C), dx + at(n, h, w, H, W, C),                           \
                   nearest_first(h, H, P, scale_h), nearest_first((h) + 1, H, P, scale_h),         \
                   nearest_first(w, W, Q, scale_w), nearest_first((w) + 1, W, Q, scale_w), Q, C,   \
                   c0, c1, accumulate)
    EACH_PIXEL(H, W, PIXEL);
#undef PIXEL
}

// ---- bilinear ----------------------------------------------------------------------------------

typedef struct {
    int low, high;     // neighbours
    float part, other; // weights of high and low
} source_t;

INLINE source_t bilinear_source(int o, int in, float scale, int align)
{
    const float s = align ? (float)o * scale : fmax(0.0f, ((float)o + 0.5f) * scale - 0.5f);
    source_t r;
    r.low = min((int)s, in - 1);
    r.high = min(r.low + 1, in - 1);
    r.part = clamp(s - (float)r.low, 0.0f, 1.0f);
    r.other = 1.0f - r.part;
    return r;
}

// The first output position whose lower neighbour is at least i (out when there is none).
INLINE int bilinear_first(int i, int in, int out, float scale, int align)
{
    if (i <= 0) return 0;
    if (i > in - 1 || scale == 0.0f) return out;
    const float guess = align ? (float)i / scale : ((float)i + 0.5f) / scale - 0.5f;
    int o = (int)clamp(guess, 0.0f, (float)out);
    while (o > 0 && bilinear_source(o - 1, in, scale, align).low >= i) o--;
    while (o < out && bilinear_source(o, in, scale, align).low < i) o++;
    return o;
}

INLINE void bilinear_pixel(global const float *x, global float *y, const source_t h,
                           const source_t w, int W, int C, int c0, int c1, int accumulate)
{
    global const float *a = x + at(0, h.low, w.low, 0, W, C),
                       *b = x + at(0, h.low, w.high, 0, W, C);
    global const float *c = x + at(0, h.high, w.low, 0, W, C);
    global const float *d = x + at(0, h.high, w.high, 0, W, C);
#define BLEND(i, m)                                                                                \
    put_lanes(h.other *(w.other * load_lanes(a + i, m) + w.part * load_lanes(b + i, m)) +          \
                  h.part * (w.other * load_lanes(c + i, m) + w.part * load_lanes(d + i, m)),       \
              y + i, m, accumulate)
    EACH_LANES((ulong)c0, (ulong)c1, BLEND);
#undef BLEND
}

LANES_KERNEL void upsample_bilinear_fwd(ARG(const float, x), ARG(float, y), RESAMPLE_ARGS,
                                        const int align, const int accumulate)
{
    VIEW(x);
    VIEW(y);
#define PIXEL(n, p, q, c0, c1)                                                                     \
    bilinear_pixel(x + at(n, 0, 0, H, W, C), y + at(n, p, q, P, Q, C),                             \
                   bilinear_source(p, H, scale_h, align), bilinear_source(q, W, scale_w, align),   \
                   W, C, c0, c1, accumulate)
    EACH_PIXEL(P, Q, PIXEL);
#undef PIXEL
}

// How much output position o reads of input position i.
INLINE float bilinear_weight(int o, int i, int in, float scale, int align)
{
    const source_t s = bilinear_source(o, in, scale, align);
    return (s.low == i ? s.other : 0.0f) + (s.high == i ? s.part : 0.0f);
}

// The channels of one input pixel go through TILE vectors at a time, so that a weight is computed
// once for all of them.
#ifdef STYLE_GPU
#define TILE 1
#else
#define TILE 4
#endif

typedef struct {
    int h, w, p0, p1, q0, q1; // input pixel, and the outputs that may read it
} reach_t;

INLINE void bilinear_gather(global const float *dy, global float *dx, const reach_t r, int H, int W,
                            int Q, int C, float scale_h, float scale_w, int align, int c,
                            const int channels, int accumulate)
{
    floatl sum[TILE];
    for (int t = 0; t < TILE; t++) sum[t] = 0.0f;
    for (int p = r.p0; p < r.p1; p++) {
        const float row = bilinear_weight(p, r.h, H, scale_h, align);
        for (int q = r.q0; q < r.q1; q++) {
            const float weight = row * bilinear_weight(q, r.w, W, scale_w, align);
            global const float *from = dy + at(0, p, q, 0, Q, C) + c;
            for (int t = 0; t < TILE; t++) {
                const int m = clamp(channels - t * LANES, 0, LANES);
                sum[t] += weight * load_lanes(from + t * LANES, m);
            }
        }
    }
    for (int t = 0; t < TILE; t++) {
        const int m = clamp(channels - t * LANES, 0, LANES);
        put_lanes(sum[t], dx + c + t * LANES, m, accumulate);
    }
}

LANES_KERNEL void upsample_bilinear_bwd(ARG(const float, dy), ARG(float, dx), RESAMPLE_ARGS,
                                        const int align, const int accumulate)
{
    VIEW(dy);
    VIEW(dx);
#define GATHER(n, r, c, channels)                                                                  \
    bilinear_gather(dy + at(n, 0, 0, P, Q, C), dx + at(n, r.h, r.w, H, W, C), r, H, W, Q, C,       \
                    scale_h, scale_w, align, c, channels, accumulate)
#define PIXEL(n, h_in, w_in, c0, c1)                                                               \
    do {                                                                                           \
        const reach_t r = {h_in,                                                                   \
                           w_in,                                                                   \
                           bilinear_first((h_in)-1, H, P, scale_h, align),                         \
                           bilinear_first((h_in) + 1, H, P, scale_h, align),                       \
                           bilinear_first((w_in)-1, W, Q, scale_w, align),                         \
                           bilinear_first((w_in) + 1, W, Q, scale_w, align)};                      \
        int c = c0;                                                                                \
        for (; c + TILE * LANES <= (c1); c += TILE * LANES) GATHER(n, r, c, TILE *LANES);          \
        if (c < (c1)) GATHER(n, r, c, (c1)-c);                                                     \
    } while (0)
    EACH_PIXEL(H, W, PIXEL);
#undef PIXEL
#undef GATHER
}
