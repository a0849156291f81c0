// conv/grouped.cl: grouped and depthwise convolution, directly. With g groups, C channels of the big
// image and K of the small one, channel k of the small image meets the channels of the big one that
// lie in its group:
//
//   y[p,q,k]    = sum_{r,s,i} x[p u - pad + r d, ..., k / (K/g) * (C/g) + i] w[r,s,i,k], i < C/g
//   transposed:   the same sums from y to x
//   filter:       dw[r,s,i,k] = sum_{n,p,q} x[..] dy[n,p,q,k], db[k] = sum dy
//
// Lanes are channels of the result (of the filter gradient: k). Where all lanes are in one group, or
// there is one channel a group on both sides (depthwise), they are read as vectors, else one by one.

typedef struct {
    int H, W, C; // the big image
    int P, Q, K; // the small one
    int cg, kg;  // channels of a group
    int R, S, sh, sw, ph, pw, dh, dw;
} conv_t;

#define CONV_ARGS                                                                                  \
    const int H, const int W, const int big, const int P, const int Q, const int K, const int R,   \
        const int S, const int sh, const int sw, const int ph, const int pw, const int dh,         \
        const int dw, const int groups
#define CONV_INIT                                                                                  \
    const conv_t g = {H,  W, big, P,  Q,  K,  big / groups, K / groups,                            \
                      R,  S, sh,  sw, ph, pw, dh,           dw}

// sum of m lanes: sum_i from[base(lane) + i] w[lane weights], one lane at a time.
#define BY_LANE(sum, m, TERM)                                                                      \
    do {                                                                                           \
        float lane_[LANES];                                                                        \
        for (int l = 0; l < LANES; l++) {                                                          \
            lane_[l] = 0.0f;                                                                       \
            if (l < (m)) TERM(lane_[l], l);                                                        \
        }                                                                                          \
        sum += LANES_LOAD(lane_);                                                                  \
    } while (0)

INLINE void finish_at(floatl sum, global float *y, const ulong at, int c, const int m,
                      const int accumulate, EPILOGUE_ARGS)
{
    if (accumulate) sum += load_lanes(y + at, m);
    EPILOGUE(sum, c, at, m);
    store_lanes(sum, y + at, m);
}
#define EPILOGUE_PASS                                                                              \
    epi_bias, 0, epi_scale, 0, epi_shift, 0, epi_residual, 0, epi_parts, epi_act, epi_alpha

// ---- big image to small ----------------------------------------------------------------------

INLINE floatl small_at(global const float *x, global const float *w, const conv_t g, ulong n, int p,
                       int q, int k, const int m)
{
    const int base = k / g.kg * g.cg, together = (k + m - 1) / g.kg == k / g.kg;
    floatl sum = 0.0f;
    for (int r = 0; r < g.R; r++) {
        const int h = p * g.sh - g.ph + r * g.dh;
        if (h < 0 || h >= g.H) continue;
        for (int s = 0; s < g.S; s++) {
            const int v = q * g.sw - g.pw + s * g.dw;
            if (v < 0 || v >= g.W) continue;
            global const float *from = x + ((n * g.H + h) * g.W + v) * g.C;
            global const float *taps = w + (ulong)(r * g.S + s) * g.cg * g.K + k;
            if (together) {
                for (int i = 0; i < g.cg; i++)
                    sum = fma((floatl)(from[base + i]), load_lanes(taps + (ulong)i * g.K, m), sum);
            } else if (g.cg == 1 && g.kg == 1) {
                sum = fma(load_lanes(from + k, m), load_lanes(taps, m), sum);
            } else {
#define TERM(a, l)                                                                                 \
    for (int i = 0; i < g.cg; i++)                                                                 \
    a = fma(from[(k + l) / g.kg * g.cg + i], taps[(ulong)i * g.K + l], a)
                BY_LANE(sum, m, TERM);
#undef TERM
            }
        }
    }
    return sum;
}

LANES_KERNEL void conv_grouped_small(ARG(const float, x), ARG(const float, w), ARG(float, y),
                                     EPILOGUE_ARGS, CONV_ARGS, const int accumulate,
                                     const ulong rows, const int per_item)
{
    VIEW(x);
    VIEW(w);
    VIEW(y);
    EPILOGUE_VIEWS;
    CONV_INIT;
    const int C = K;
#define AT(n, p, q, k, m)                                                                          \
    finish_at(small_at(x, w, g, n, p, q, k, m), y, (((n)*P + (p)) * Q + (q)) * K + (k), k, m,      \
              accumulate, EPILOGUE_PASS)
    EACH_OUTPUT(P, Q);
#undef AT
}

// ---- small image to big ----------------------------------------------------------------------

// Row or column of the small image that tap r joins with position `at` of the big one, or -1.
static int source_of(int at, int r, int stride, int pad, int dilation, int size)
{
    const int p = at + pad - r * dilation;
    return p >= 0 && p % stride == 0 && p / stride < size ? p / stride : -1;
}

INLINE floatl big_at(global const float *y, global const float *w, const conv_t g, ulong n, int h,
                     int v, int c, const int m)
{
    floatl sum = 0.0f;
    for (int r = 0; r < g.R; r++) {
        const int p = source_of(h, r, g.sh, g.ph, g.dh, g.P);
        if (p < 0) continue;
        for (int s = 0; s < g.S; s++) {
            const int q = source_of(v, s, g.sw, g.pw, g.dw, g.Q);
            if (q < 0) continue;
            global const float *from = y + ((n * g.P + p) * g.Q + q) * g.K;
            global const float *taps = w + (ulong)(r * g.S + s) * g.cg * g.K;
            if (g.cg == 1 && g.kg == 1) {
                sum = fma(load_lanes(from + c, m), load_lanes(taps + c, m), sum);
            } else {
#define TERM(a, l)                                                                                 \
    do {                                                                                           \
        const int first_ = (c + l) / g.cg * g.kg;                                                  \
        global const float *row_ = taps + (ulong)((c + l) % g.cg) * g.K;                           \
        for (int i = first_; i < first_ + g.kg; i++) a = fma(from[i], row_[i], a);                 \
    } while (0)
                BY_LANE(sum, m, TERM);
#undef TERM
            }
        }
    }
    return sum;
}

LANES_KERNEL void conv_grouped_big(ARG(const float, y), ARG(const float, w), ARG(float, x),
                                   EPILOGUE_ARGS, CONV_ARGS, const int accumulate,
                                   const ulong rows, const int per_item)
{
    VIEW(y);
    VIEW(w);
    VIEW(x);
    EPILOGUE_VIEWS;
    CONV_INIT;
    const int C = big;
#define AT(n, h, v, c, m)                                                                          \
    finish_at(big_at(y, w, g, n, h, v, c, m), x, (((n)*H + (h)) * W + (v)) * big + (c), c, m,      \
              accumulate, EPILOGUE_PASS)
    EACH_OUTPUT(H, W);
#undef AT
}

// ---- filter ----------------------------------------------------------------------------------

// part [chunk][R S C/g + 1][K]: sums over `lines` lines (n,p) of the small image; the last row is the
// bias gradient. One work-item per (group of LANES channels k, row, chunk).
LANES_KERNEL void conv_grouped_filter(ARG(const float, x), ARG(const float, dy), ARG(float, part),
                                      CONV_ARGS, const ulong all_lines, const int lines)
{
    VIEW(x);
    VIEW(dy);
    VIEW(part);
    CONV_INIT;
    const int k_groups = (K + LANES - 1) / LANES, filter_rows = R * S * g.cg;
    const ulong item = get_global_id(0);
    const int k = (int)(item % k_groups) * LANES, m = min(LANES, K - k);
    const int row = (int)(item / k_groups % (filter_rows + 1));
    const ulong chunk = item / k_groups / (filter_rows + 1);
    if (chunk * lines >= all_lines) return;
    const int bias = row == filter_rows, i = row % g.cg, r = row / g.cg / S, s = row / g.cg % S;
    const int base = k / g.kg * g.cg + i, together = (k + m - 1) / g.kg == k / g.kg;
    floatl sum = 0.0f;
    for (ulong l = chunk * lines; l < min((chunk + 1) * lines, all_lines); l++) {
        const int p = (int)(l % P), h = p * sh - ph + r * dh;
        if (!bias && (h < 0 || h >= H)) continue;
        for (int q = 0; q < Q; q++) {
            const floatl d = load_lanes(dy + (l * Q + q) * K + k, m);
            const int v = q * sw - pw + s * dw;
            if (bias) {
                sum += d;
                continue;
            }
            if (v < 0 || v >= W) continue;
            global const float *from = x + ((l / P * H + h) * W + v) * big;
            if (together) {
                sum = fma((floatl)(from[base]), d, sum);
            } else if (g.cg == 1 && g.kg == 1) {
                sum = fma(load_lanes(from + k, m), d, sum);
            } else {
                float lane[LANES];
                for (int j = 0; j < LANES; j++)
                    lane[j] = j < m ? from[(k + j) / g.kg * g.cg + i] : 0.0f;
                sum = fma(LANES_LOAD(lane), d, sum);
            }
        }
    }
    store_lanes(sum, part + (chunk * (filter_rows + 1) + row) * K + k, m);
}

// Adds the chunks in order. One work-item per (group of LANES channels k, row).
LANES_KERNEL void conv_grouped_reduce(ARG(const float, part), ARG(float, dw), ARG(float, db),
                                      const int K, const int filter_rows, const int chunks,
                                      const int has_bias, const int accumulate)
{
    VIEW(part);
    VIEW(dw);
    VIEW(db);
    const int k_groups = (K + LANES - 1) / LANES;
    const ulong item = get_global_id(0);
    const int k = (int)(item % k_groups) * LANES, m = min(LANES, K - k);
    const int row = (int)(item / k_groups), bias = row == filter_rows;
    if (row >= filter_rows + has_bias) return;
    floatl sum = 0.0f;
    for (int i = 0; i < chunks; i++)
        sum += load_lanes(part + ((ulong)i * (filter_rows + 1) + row) * K + k, m);
    put_lanes(sum, (bias ? db : dw + (ulong)row * K) + k, m, accumulate && !bias);
}
