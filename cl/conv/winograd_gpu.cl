// conv/winograd_gpu.cl: GPU-style convolution with 3x3 taps, stride 1, by Winograd's F(4x4,3x3)
// (formulas: conv/winograd.cl; one-dimensional transforms: common.cl), in steps that meet in global
// memory: transform the filter, then for one chunk of tiles after the other transform the inputs,
// multiply at each of the 36 positions, transform the products. The chunk bounds the scratch, and
// keeps it in the device's cache where that is large.
//
// Tiles are numbered over (image, row, column) of the result; a chunk begins at tile `first`.
//   u [36][C][K] filter, v [36][stride][C] inputs, m [36][stride][K] products, z [37][stride][K]
//   gradients (the last: sums of dy, for the bias gradient); stride: tiles of a chunk (the last may
//   have fewer: `count`)
// Transforms: a work-item has one channel of one tile, neighbours have neighbouring channels.
// Products: a work-group of 64 items makes TM x TN sums of one position, 8 x 8 an item, from slices of
// TK staged in local memory.

#define TM 64
#define TN 64
#define TK 8
#define AP (TM + 4) // pitch: the items that store a slice meet different banks, rows stay aligned
#define BP (TN + 4)
#define ITEMS 64
#define POINTS 36

// to [36] at distance step: TRANSFORM_ROW(i) makes the six values o of row i.
#define STORE_POINTS(TRANSFORM_ROW, to, step)                                                      \
    do {                                                                                           \
        _Pragma("unroll") for (int i = 0; i < 6; i++)                                              \
        {                                                                                          \
            float o[6];                                                                            \
            TRANSFORM_ROW(i);                                                                      \
            _Pragma("unroll") for (int j = 0; j < 6; j++) to[(ulong)(i * 6 + j) * step] = o[j];    \
        }                                                                                          \
    } while (0)

// ---- filter ----------------------------------------------------------------------------------

// rotated: the filter is [9][K][C] and turned by half a turn, as the data gradient has it.
kernel void winograd_filter(ARG(const float, w), ARG(float, u), const int C, const int K,
                            const int rotated)
{
    VIEW(w);
    VIEW(u);
    const ulong e = get_global_id(0), n = (ulong)C * K;
    if (e >= n) return;
    const ulong from = rotated ? e % K * C + e / K : e;
    float t[6][3];
#define TAP(i) w[(rotated ? 8 - (i) : (i)) * n + from]
    _Pragma("unroll") for (int j = 0; j < 3; j++)
        FILTER_TRANSFORM(TAP(j), TAP(3 + j), TAP(6 + j), t[0][j], t[1][j], t[2][j], t[3][j], t[4][j],
                         t[5][j]);
#undef TAP
    u += e;
#define ROW(i) FILTER_TRANSFORM(t[i][0], t[i][1], t[i][2], o[0], o[1], o[2], o[3], o[4], o[5])
    STORE_POINTS(ROW, u, n);
#undef ROW
}

// ---- tiles -----------------------------------------------------------------------------------

struct tile {
    ulong image; // its number
    int row, column;
};

static struct tile tile_of(uint number, int P, int Q)
{
    const uint tiles_h = (P + 3) / 4, tiles_w = (Q + 3) / 4;
    const struct tile t = {number / tiles_w / tiles_h, number / tiles_w % tiles_h * 4,
                           number % tiles_w * 4};
    return t;
}

// v = B' d B of `count` tiles of x (H,W,C) for a result of P x Q.
kernel void winograd_input(ARG(const float, x), ARG(float, v), const int H, const int W, const int C,
                           const int P, const int Q, const int pad_h, const int pad_w,
                           const uint first, const uint count, const uint stride)
{
    VIEW(x);
    VIEW(v);
    const ulong e = get_global_id(0);
    if (e >= (ulong)count * C) return;
    const struct tile tile = tile_of(first + (uint)(e / C), P, Q);
    const int top = tile.row - pad_h, left = tile.column - pad_w;
    x += tile.image * H * W * C + e % C;
    v += e;
    float t[6][6];
    _Pragma("unroll") for (int j = 0; j < 6; j++)
    {
        float d[6];
        _Pragma("unroll") for (int i = 0; i < 6; i++)
        {
            const int h = top + i, w = left + j;
            const bool inside = h >= 0 && h < H && w >= 0 && w < W;
            d[i] = inside ? x[((ulong)h * W + w) * C] : 0.0f;
        }
        INPUT_TRANSFORM(d[0], d[1], d[2], d[3], d[4], d[5], t[0][j], t[1][j], t[2][j], t[3][j],
                        t[4][j], t[5][j]);
    }
#define ROW(i)                                                                                     \
    INPUT_TRANSFORM(t[i][0], t[i][1], t[i][2], t[i][3], t[i][4], t[i][5], o[0], o[1], o[2], o[3],  \
                    o[4], o[5])
    STORE_POINTS(ROW, v, (ulong)stride * C);
#undef ROW
}

// z = A dy A' of `count` tiles of dy (P,Q,K), and the sum of the pixels.
kernel void winograd_gradient(ARG(const float, dy), ARG(float, z), const int P, const int Q,
                              const int K, const uint first, const uint count, const uint stride)
{
    VIEW(dy);
    VIEW(z);
    const ulong e = get_global_id(0);
    if (e >= (ulong)count * K) return;
    const struct tile tile = tile_of(first + (uint)(e / K), P, Q);
    dy += ((tile.image * P + tile.row) * Q + tile.column) * K + e % K;
    z += e;
    float t[6][4], sum = 0.0f;
    _Pragma("unroll") for (int j = 0; j < 4; j++)
    {
        float d[4];
        _Pragma("unroll") for (int i = 0; i < 4; i++)
        {
            const bool inside = tile.row + i < P && tile.column + j < Q;
            d[i] = inside ? dy[((ulong)i * Q + j) * K] : 0.0f;
        }
        sum += (d[0] + d[1]) + (d[2] + d[3]);
        GRADIENT_TRANSFORM(d[0], d[1], d[2], d[3], t[0][j], t[1][j], t[2][j], t[3][j], t[4][j],
                           t[5][j]);
    }
#define ROW(i)                                                                                     \
    GRADIENT_TRANSFORM(t[i][0], t[i][1], t[i][2], t[i][3], o[0], o[1], o[2], o[3], o[4], o[5])
    STORE_POINTS(ROW, z, (ulong)stride * K);
#undef ROW
    z[(ulong)POINTS * stride * K] = sum;
}

// y (P,Q,K) = epilogue(A' m A) of `count` tiles.
kernel void winograd_output(ARG(const float, m), ARG(float, y), EPILOGUE_ARGS, const int P,
                            const int Q, const int K, const uint first, const uint count,
                            const uint stride, const int accumulate)
{
    VIEW(m);
    VIEW(y);
    EPILOGUE_VIEWS;
    const ulong e = get_global_id(0), step = (ulong)stride * K;
    if (e >= (ulong)count * K) return;
    const struct tile tile = tile_of(first + (uint)(e / K), P, Q);
    const int k = e % K;
    m += e;
    float t[4][6];
    _Pragma("unroll") for (int j = 0; j < 6; j++)
        OUTPUT_TRANSFORM(m[j * step], m[(6 + j) * step], m[(12 + j) * step], m[(18 + j) * step],
                         m[(24 + j) * step], m[(30 + j) * step], t[0][j], t[1][j], t[2][j],
                         t[3][j]);
    // Rows and columns move up to the first: an index that the compiler does not know would put them
    // into memory, and unrolling would repeat the epilogue 16 times.
    for (int i = tile.row; i < min(tile.row + 4, P); i++) {
        float4 o;
        OUTPUT_TRANSFORM(t[0][0], t[0][1], t[0][2], t[0][3], t[0][4], t[0][5], o.x, o.y, o.z, o.w);
        _Pragma("unroll") for (int j = 0; j < 6; j++)
        {
            t[0][j] = t[1][j];
            t[1][j] = t[2][j];
            t[2][j] = t[3][j];
        }
        for (int j = tile.column; j < min(tile.column + 4, Q); j++) {
            const ulong at = ((tile.image * P + i) * Q + j) * K + k;
            float value = o.x;
            o = o.yzwx;
            if (accumulate) value += y[at];
            EPILOGUE(value, k, at, 1);
            y[at] = value;
        }
    }
}

// ---- products --------------------------------------------------------------------------------

// Rows of an item: 4 (t / 8) .. + 3 and those 32 further on; columns: 4 (t % 8) .. + 3 and those 32
// further on. sum [8 rows][2 halves of the columns] += the product of a staged slice.
static void multiply(float4 *sum, const local float *As, const local float *Bs, int t)
{
    for (int k = 0; k < TK; k++) {
        const float4 b0 = vload4(t % 8, Bs + k * BP), b1 = vload4(8 + t % 8, Bs + k * BP);
        const float4 a0 = vload4(t / 8, As + k * AP), a1 = vload4(8 + t / 8, As + k * AP);
#define ROW(i, a)                                                                                  \
    sum[2 * (i)] += (a)*b0;                                                                        \
    sum[2 * (i) + 1] += (a)*b1
        ROW(0, a0.x);
        ROW(1, a0.y);
        ROW(2, a0.z);
        ROW(3, a0.w);
        ROW(4, a1.x);
        ROW(5, a1.y);
        ROW(6, a1.z);
        ROW(7, a1.w);
#undef ROW
    }
}

// p [0..n) = (or +=) v
static void put4(float4 v, global float *p, int n, int add)
{
    if (n >= 4) {
        vstore4(add ? v + vload4(0, p) : v, 0, p);
        return;
    }
    for (; n > 0; n--, p++, v = v.yzwx) *p = add ? v.x + *p : v.x;
}

// The group's sums to the matrix c of rows x columns.
static void put_sums(const float4 *sum, global float *c, int rows, int columns, int t, int add)
{
    const int m0 = get_group_id(0) * TM + t / 8 * 4, n0 = get_group_id(1) * TN + t % 8 * 4;
    _Pragma("unroll") for (int i = 0; i < 8; i++)
    {
        const int m = m0 + (i < 4 ? i : 28 + i);
        global float *row = c + (ulong)m * columns + n0;
        if (m >= rows) continue;
        put4(sum[2 * i], row, columns - n0, add);
        put4(sum[2 * i + 1], row + 32, columns - n0 - 32, add);
    }
}

// m = v u at position get_group_id(2).
GPU_KERNEL(ITEMS)
void winograd_products(ARG(const float, v), ARG(const float, u), ARG(float, m), const int C,
                       const int K, const int count, const int stride)
{
    VIEW(v);
    VIEW(u);
    VIEW(m);
    local float As[TK * AP], Bs[TK * BP];
    const int t = get_local_id(0), m0 = get_group_id(0) * TM, n = get_group_id(1) * TN + t;
    const ulong point = get_group_id(2);
    v += point * stride * C;
    u += point * C * K;
    float4 sum[16];
    _Pragma("unroll") for (int i = 0; i < 16; i++) sum[i] = (float4)(0.0f);
    for (int c0 = 0; c0 < C; c0 += TK) {
        // 8 items read 8 consecutive channels of one tile.
        const int c = c0 + t % TK;
        for (int i = t / TK; i < TM; i += ITEMS / TK)
            As[t % TK * AP + i] = m0 + i < count && c < C ? v[(ulong)(m0 + i) * C + c] : 0.0f;
        for (int i = 0; i < TK; i++)
            Bs[i * BP + t] = c0 + i < C && n < K ? u[(ulong)(c0 + i) * K + n] : 0.0f;
        barrier(CLK_LOCAL_MEM_FENCE);
        multiply(sum, As, Bs, t);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    put_sums(sum, m + point * stride * K, count, K, t, 0);
}

// ---- filter gradient -------------------------------------------------------------------------

// part [split][36 C K + K]: sums over the split's tiles of v' z at each position, then of the
// gradients themselves, added up over the chunks. get_group_id(2): position + 36 split; a split has
// split_tiles tiles of the chunk.
GPU_KERNEL(ITEMS)
void winograd_sums(ARG(const float, v), ARG(const float, z), ARG(float, part), const int C,
                   const int K, const int count, const int stride, const int split_tiles,
                   const int fresh)
{
    VIEW(v);
    VIEW(z);
    VIEW(part);
    local float As[TK * AP], Bs[TK * BP];
    const int t = get_local_id(0), m = get_group_id(0) * TM + t, n = get_group_id(1) * TN + t;
    const ulong point = get_group_id(2) % POINTS, split = get_group_id(2) / POINTS;
    const int begin = min((int)split * split_tiles, count), end = min(begin + split_tiles, count);
    const bool bias = point == 0 && get_group_id(0) == 0;
    const global float *gradients = z + (ulong)POINTS * stride * K + n;
    v += point * stride * C;
    z += point * stride * K;
    part += split * ((ulong)POINTS * C * K + K);
    float4 sum[16];
    _Pragma("unroll") for (int i = 0; i < 16; i++) sum[i] = (float4)(0.0f);
    for (int at = begin; at < end; at += TK) {
        for (int i = 0; i < TK; i++) {
            const ulong tile = at + i;
            As[i * AP + t] = at + i < end && m < C ? v[tile * C + m] : 0.0f;
            Bs[i * BP + t] = at + i < end && n < K ? z[tile * K + n] : 0.0f;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        multiply(sum, As, Bs, t);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    put_sums(sum, part + point * C * K, C, K, t, !fresh);
    if (!bias || n >= K) return;
    float column = 0.0f;
    for (int at = begin; at < end; at++) column += gradients[(ulong)at * K];
    part += (ulong)POINTS * C * K + n;
    *part = fresh ? column : *part + column;
}

// Not unrolled: 36 copies of a long loop take many registers.
static float add_splits(const global float *from, ulong step, int splits)
{
    float sum = from[0];
    _Pragma("nounroll") for (int p = 1; p < splits; p++) sum += from[p * step];
    return sum;
}

// dw [3][3][C][K] = G' du G of the splits' sums, added in order; then the bias gradient.
kernel void winograd_finish(ARG(const float, part), ARG(float, dw), ARG(float, db), const int C,
                            const int K, const int splits, const int has_bias, const int accumulate)
{
    VIEW(part);
    VIEW(dw);
    VIEW(db);
    const ulong e = get_global_id(0), n = (ulong)C * K, size = POINTS * n + K;
    if (e < n) {
        float t[3][6];
        _Pragma("unroll") for (int j = 0; j < 6; j++)
        {
            float u[6];
            _Pragma("unroll") for (int i = 0; i < 6; i++)
            {
                const global float *from = part + (i * 6 + j) * n + e;
                u[i] = add_splits(from, size, splits);
            }
            FILTER_TRANSFORM_BACK(u[0], u[1], u[2], u[3], u[4], u[5], t[0][j], t[1][j], t[2][j]);
        }
        _Pragma("unroll") for (int i = 0; i < 3; i++)
        {
            float o[3];
            FILTER_TRANSFORM_BACK(t[i][0], t[i][1], t[i][2], t[i][3], t[i][4], t[i][5], o[0], o[1],
                                  o[2]);
            _Pragma("unroll") for (int j = 0; j < 3; j++)
            {
                global float *to = dw + (i * 3 + j) * n + e;
                *to = accumulate ? *to + o[j] : o[j];
            }
        }
    } else if (has_bias && e < n + K) {
        const global float *from = part + POINTS * n + (e - n);
        db[e - n] = add_splits(from, size, splits);
    }
}
