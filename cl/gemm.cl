// gemm.cl: c[m][n] = epilogue(sum_k a(m,k) b(k,n)), c row-major (M,N); a(m,k) lies at m a_m + k
// a_k, b(k,n) at k b_k + n b_n, so that one kernel serves every transposition.
//
// CPU style: a work-item makes a block of mb x nb elements, kc of the reduced index at a time, with
// partial sums in c. It packs its part of a into strips [kc][MR] and its part of b into panels
// [kc][NR], NR = 2 VW columns, so that register tiles of MR x NR (MR x VW where no more columns are
// left) read both in order; then it runs every strip over every panel. (Goto, van de Geijn,
// Anatomy of High-Performance Matrix Multiplication, TOMS 2008.) Rows and columns beyond M and N
// repeat the last one and are not stored.
//
// GPU style: a work-group of 64 items makes a tile of TM x TN, 8
// x 4 an item, from slices of TK staged in local memory.
//
// gemm_epilogue: the epilogue alone, in place, behind a product made elsewhere.

#ifdef STYLE_CPU

#define NR (2 * VW)
#if VW == 16
#define MR 12 // 24 accumulators of 32 registers
#elif VW == 8
#define MR 6 // 12 accumulators of 16 registers
#else
#define MR 4 // 8 accumulators
#endif
#define RUN 64

// A strip of a [depth][MR] times the first NV VW columns of a panel of b [depth][NR], to acc
// [MR][NV VW], or where there is none to (add: added to) MR rows of c. The loop over k is cut in two levels because that makes
// PoCL's compiler keep all sums in registers (with one it spills some: half the speed).
#define DEFINE_TILE(name, NV)                                                                      \
    static void name(float *acc, global float *c, size_t row, int add, const local float *strip,   \
                     const local float *panel, int depth)                                          \
    {                                                                                              \
        FLOATV sum[MR][NV];                                                                        \
        _Pragma("unroll") for (int i = 0; i < MR; i++)                                             \
            _Pragma("unroll") for (int v = 0; v < NV; v++) sum[i][v] = (FLOATV)(0.0f);             \
        for (int k0 = 0; k0 < depth; k0 += RUN) {                                                  \
            const int run = min(RUN, depth - k0);                                                  \
            const local float *a = strip + k0 * MR, *b = panel + k0 * NR;                          \
            for (int k = 0; k < run; k++, a += MR, b += NR) {                                      \
                FLOATV bv[NV];                                                                     \
                _Pragma("unroll") for (int v = 0; v < NV; v++) bv[v] = VLOAD(v, b);                \
                _Pragma("unroll") for (int i = 0; i < MR; i++)                                     \
                {                                                                                  \
                    const FLOATV av = (FLOATV)(a[i]);                                              \
                    _Pragma("unroll") for (int v = 0; v < NV; v++) sum[i][v] =                     \
                        fma(av, bv[v], sum[i][v]);                                                 \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
        if (acc) {                                                                                 \
            _Pragma("unroll") for (int i = 0; i < MR; i++)                                         \
                _Pragma("unroll") for (int v = 0; v < NV; v++) VSTORE(sum[i][v], i * NV + v, acc); \
            return;                                                                                \
        }                                                                                          \
        if (add)                                                                                   \
            _Pragma("unroll") for (int i = 0; i < MR; i++)                                         \
                _Pragma("unroll") for (int v = 0; v < NV; v++) sum[i][v] +=                        \
                VLOAD(v, c + i * row);                                                             \
        _Pragma("unroll") for (int i = 0; i < MR; i++)                                             \
            _Pragma("unroll") for (int v = 0; v < NV; v++) VSTORE(sum[i][v], v, c + i * row);      \
    }
DEFINE_TILE(tile_wide, 2)
DEFINE_TILE(tile_narrow, 1)

// Parts [depth][width], PITCH(width) floats apart, of the elements (k, lane) of `from`, which lie at
// k k_step + lane lane_step, one of the steps being 1; lanes beyond `valid` repeat the last. width is
// even, and at most VW or a multiple of it. Neighbouring lanes are copied in whole vectors: what is
// too much runs over into the next row, which is written later, or into the gap between two parts.
// The gap also keeps the parts from meeting in the same sets of the cache. Neighbouring k are
// transposed, 4 x 4 at a time.
#define GAP 16
#define STORE_PART(x, p)                                                                           \
    do {                                                                                           \
        if (v + 4 <= width)                                                                        \
            vstore4(x, 0, p);                                                                      \
        else                                                                                       \
            vstore2((x).lo, 0, p);                                                                 \
    } while (0)
#define PITCH(width) ((width)*kc + GAP)
INLINE void pack(local float *to, int width, int kc, const global float *from, size_t k_step,
                 size_t lane_step, int depth, int lanes, int valid)
{
    for (int k = 0; lane_step == 1 && k < depth; k++) {
        const global float *row = from + k * k_step;
        int l = 0;
        for (; l < lanes && l + (width + VW - 1) / VW * VW <= valid; l += width)
            _Pragma("unroll") for (int v = 0; v < width; v += VW)
                VSTORE(VLOAD(0, row + l + v), 0, to + l / width * PITCH(width) + k * width + v);
        for (; l < lanes; l += width)
            for (int v = 0; v < width; v++)
                to[l / width * PITCH(width) + k * width + v] = row[min(l + v, valid - 1)];
    }
    if (lane_step == 1) return;
    for (int l = 0; l < lanes; l += width)
        for (int v = 0; v < width; v += 4) {
            local float *part = to + l / width * PITCH(width) + v;
            const global float *row[4];
            int k = 0;
            _Pragma("unroll") for (int i = 0; i < 4; i++) row[i] =
                from + min(l + v + i, valid - 1) * lane_step;
            for (; k + 4 <= depth; k += 4, part += 4 * width) {
                const float4 x = vload4(0, row[0] + k), y = vload4(0, row[1] + k);
                const float4 z = vload4(0, row[2] + k), w = vload4(0, row[3] + k);
                STORE_PART((float4)(x.s0, y.s0, z.s0, w.s0), part);
                STORE_PART((float4)(x.s1, y.s1, z.s1, w.s1), part + width);
                STORE_PART((float4)(x.s2, y.s2, z.s2, w.s2), part + 2 * width);
                STORE_PART((float4)(x.s3, y.s3, z.s3, w.s3), part + 3 * width);
            }
            for (; k < depth; k++, part += width)
                _Pragma("unroll") for (int i = 0; i < 4; i++) if (v + i < width) part[i] =
                    row[i][k];
        }
}

// Rows m.. of columns n.. of c from the sums of a tile, with the epilogue when these are the last.
static void finish_tile(const float *acc, int width, global float *c, EPILOGUE_ARGS, int m, int n,
                        int rows, int N, int add, int last)
{
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < width && n + v < N; v += VW) {
            const int lanes = min(VW, N - n - v);
            const size_t at = (size_t)(m + i) * N + n + v;
            FLOATV value = VLOAD(0, acc + i * width + v);
            if (add) value += load_lanes(c + at, lanes);
            if (last) EPILOGUE(value, n + v, at, lanes);
            store_lanes(value, c + at, lanes);
        }
}

CPU_KERNEL void gemm(ARG(const float, a), ARG(const float, b), ARG(float, c), EPILOGUE_ARGS,
                     const int M, const int N, const int K, const int a_m, const int a_k,
                     const int b_k, const int b_n, const int accumulate, const int mb,
                     const int nb, const int kc, local float *strips, local float *panels)
{
    VIEW(a);
    VIEW(b);
    VIEW(c);
    EPILOGUE_VIEWS;
    const int m0 = get_group_id(0) * mb, m1 = min(m0 + mb, M);
    const int n0 = get_group_id(1) * nb, n1 = min(n0 + nb, N);
    const int plain = epi_parts == 0 && epi_act == ACT_NONE;
    for (int k0 = 0; k0 < K; k0 += kc) {
        const int depth = min(kc, K - k0), last = k0 + depth == K, add = k0 > 0 || accumulate;
        pack(strips, MR, kc, a + (size_t)k0 * a_k + (size_t)m0 * a_m, a_k, a_m, depth, m1 - m0,
             M - m0);
        pack(panels, NR, kc, b + (size_t)k0 * b_k + (size_t)n0 * b_n, b_k, b_n, depth, n1 - n0,
             N - n0);
        for (int n = n0; n < n1; n += NR) {
            const local float *panel = panels + (n - n0) / NR * PITCH(NR);
            for (int m = m0; m < m1; m += MR) {
                const local float *strip = strips + (m - m0) / MR * PITCH(MR);
                const int direct = n + NR <= N && m + MR <= m1 && (plain || !last);
                float acc[MR * NR];
                global float *at = c + (size_t)m * N + n;
                if (N - n > VW)
                    tile_wide(direct ? 0 : acc, at, N, add, strip, panel, depth);
                else
                    tile_narrow(acc, at, N, add, strip, panel, depth);
                if (!direct)
                    finish_tile(acc, N - n > VW ? NR : VW, c, epi_bias, 0, epi_scale, 0, epi_shift,
                                0, epi_residual, 0, epi_parts, epi_act, epi_alpha, m, n,
                                min(MR, m1 - m), N, add, last);
            }
        }
    }
}

#else

#define TM 64
#define TN 32
#define TK 16
#define AP (TM + 4) // pitch: the items that store a slice meet different banks
#define BP (TN + 4)
#define ITEMS 64

GPU_KERNEL(ITEMS)
void gemm(ARG(const float, a), ARG(const float, b), ARG(float, c), EPILOGUE_ARGS, const int M,
          const int N, const int K, const int a_m, const int a_k, const int b_k, const int b_n,
          const int accumulate)
{
    VIEW(a);
    VIEW(b);
    VIEW(c);
    EPILOGUE_VIEWS;
    local float As[TK * AP], Bs[TK * BP];
    const int t = get_local_id(0), m0 = get_group_id(0) * TM, n0 = get_group_id(1) * TN;
    const int tm = t % 8 * 8, tn = t / 8 * 4;
    float4 sum[8];
    for (int i = 0; i < 8; i++) sum[i] = (float4)(0.0f);
    for (int k0 = 0; k0 < K; k0 += TK) {
        // Neighbouring items read neighbouring addresses, whichever index is contiguous.
        for (int e = t; e < TM * TK; e += ITEMS) {
            const int m = a_k == 1 ? e / TK : e % TM, k = a_k == 1 ? e % TK : e / TM;
            As[k * AP + m] = m0 + m < M && k0 + k < K
                                 ? a[(size_t)(m0 + m) * a_m + (size_t)(k0 + k) * a_k]
                                 : 0.0f;
        }
        for (int e = t; e < TN * TK; e += ITEMS) {
            const int n = b_k == 1 ? e / TK : e % TN, k = b_k == 1 ? e % TK : e / TN;
            Bs[k * BP + n] = n0 + n < N && k0 + k < K
                                 ? b[(size_t)(k0 + k) * b_k + (size_t)(n0 + n) * b_n]
                                 : 0.0f;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int k = 0; k < TK; k++) {
            const float4 bv = vload4(0, Bs + k * BP + tn);
            const float4 a0 = vload4(0, As + k * AP + tm), a1 = vload4(1, As + k * AP + tm);
            sum[0] += a0.x * bv;
            sum[1] += a0.y * bv;
            sum[2] += a0.z * bv;
            sum[3] += a0.w * bv;
            sum[4] += a1.x * bv;
            sum[5] += a1.y * bv;
            sum[6] += a1.z * bv;
            sum[7] += a1.w * bv;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    for (int i = 0; i < 8 && m0 + tm + i < M; i++) {
        const float lanes[4] = {sum[i].x, sum[i].y, sum[i].z, sum[i].w};
        for (int l = 0; l < 4 && n0 + tn + l < N; l++) {
            const int n = n0 + tn + l;
            const size_t at = (size_t)(m0 + tm + i) * N + n;
            float value = lanes[l];
            if (accumulate) value += c[at];
            EPILOGUE(value, n, at, 1);
            c[at] = value;
        }
    }
}

#endif

// CPU style: a work-item has `per_item` rows of c; GPU style: one element.
LANES_KERNEL void gemm_epilogue(ARG(float, c), EPILOGUE_ARGS, const int N, const ulong rows,
                                const int per_item)
{
    VIEW(c);
    EPILOGUE_VIEWS;
#ifdef STYLE_CPU
    const ulong begin = get_global_id(0) * per_item * N;
    const ulong end = min(begin + (ulong)per_item * N, rows * N);
#else
    const ulong begin = get_global_id(0), end = min(begin + 1, rows * N);
#endif
    int n = begin % N;
    for (ulong at = begin; at < end;) {
        const int lanes = min(LANES, N - n);
        floatl value = load_lanes(c + at, lanes);
        EPILOGUE(value, n, at, lanes);
        store_lanes(value, c + at, lanes);
        at += lanes;
        n = n + lanes == N ? 0 : n + lanes;
    }
}
