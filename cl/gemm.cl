// gemm.cl: c[m][n] = epilogue(sum_k a(m,k) b(k,n)), c row-major (M,N); a(m,k) lies at m a_m + k
// a_k, b(k,n) at k b_k + n b_n, so that one kernel serves every transposition.
//
// CPU style: a work-item makes `rows` rows of one panel of NR = 2 VW columns (VW where fewer are
// left). It copies kc rows of the panel of b into local memory, zeros beyond N, then runs register
// tiles of MR rows over it; kc at a time, with partial sums in c. Rows of the last tile beyond M
// repeat row M-1 and are not stored. GPU style: a work-group of 64 items makes a tile of TM x TN, 8
// x 4 an item, from slices of TK staged in local memory.
//
// gemm_epilogue: the epilogue alone, in place, behind a product made elsewhere.

#ifdef STYLE_CPU

#define NR (2 * VW)
#if VW == 16
#define MR_WIDE 12 // 24 accumulators of 32 registers
#else
#define MR_WIDE 6 // 12 accumulators of 16 registers
#endif
#define MR_NARROW 8
#define RUN 64

// acc = MR rows of a, from a[i] on, times the staged panel. The loop over k is cut in two levels
// because that makes PoCL's compiler keep all sums in registers (with one it spills some: half the
// speed).
#define DEFINE_TILE(name, MR, NV)                                                                  \
    static void name(float *acc, const global float *a, const size_t *row, size_t a_k,             \
                     const local float *panel, int depth)                                          \
    {                                                                                              \
        FLOATV sum[MR][NV];                                                                        \
        _Pragma("unroll") for (int i = 0; i < MR; i++)                                             \
            _Pragma("unroll") for (int v = 0; v < NV; v++) sum[i][v] = (FLOATV)(0.0f);             \
        for (int k0 = 0; k0 < depth; k0 += RUN) {                                                  \
            const int run = min(RUN, depth - k0);                                                  \
            const local float *p = panel + k0 * (NV * VW);                                         \
            const global float *from[MR];                                                          \
            _Pragma("unroll") for (int i = 0; i < MR; i++) from[i] = a + row[i] + k0 * a_k;        \
            for (int k = 0; k < run; k++) {                                                        \
                FLOATV b[NV];                                                                      \
                _Pragma("unroll") for (int v = 0; v < NV; v++) b[v] =                              \
                    VLOAD(0, p + k * (NV * VW) + v * VW);                                          \
                _Pragma("unroll") for (int i = 0; i < MR; i++)                                     \
                {                                                                                  \
                    const FLOATV av = (FLOATV)(from[i][k * a_k]);                                  \
                    _Pragma("unroll") for (int v = 0; v < NV; v++) sum[i][v] =                     \
                        fma(av, b[v], sum[i][v]);                                                  \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
        _Pragma("unroll") for (int i = 0; i < MR; i++)                                             \
            _Pragma("unroll") for (int v = 0; v < NV; v++)                                         \
                VSTORE(sum[i][v], 0, acc + (i * NV + v) * VW);                                     \
    }
DEFINE_TILE(tile_wide, MR_WIDE, 2)
DEFINE_TILE(tile_narrow, MR_NARROW, 1)

// panel[k][width] = b(k, n), zeros beyond `valid` columns.
static void stage_panel(local float *panel, const global float *b, size_t b_k, size_t b_n,
                        int depth, int valid, int width)
{
    if (b_n == 1 && valid == width) {
        for (int k = 0; k < depth; k++)
            for (int v = 0; v < width; v += VW)
                VSTORE(VLOAD(0, b + k * b_k + v), 0, panel + k * width + v);
        return;
    }
    for (int n = 0; n < valid; n++)
        for (int k = 0; k < depth; k++) panel[k * width + n] = b[k * b_k + n * b_n];
    for (int n = valid; n < width; n++)
        for (int k = 0; k < depth; k++) panel[k * width + n] = 0.0f;
}

CPU_KERNEL void gemm(ARG(const float, a), ARG(const float, b), ARG(float, c), EPILOGUE_ARGS,
                     const int M, const int N, const int K, const int a_m, const int a_k,
                     const int b_k, const int b_n, const int accumulate, const int rows,
                     const int kc, local float *panel)
{
    VIEW(a);
    VIEW(b);
    VIEW(c);
    EPILOGUE_VIEWS;
    const int n0 = get_group_id(1) * NR, wide = N - n0 > VW, width = wide ? NR : VW;
    const int step = wide ? MR_WIDE : MR_NARROW;
    const int m_begin = get_group_id(0) * rows, m_end = min(m_begin + rows, M);
    for (int k0 = 0; k0 < K; k0 += kc) {
        const int depth = min(kc, K - k0), last = k0 + depth == K;
        stage_panel(panel, b + (size_t)k0 * b_k + (size_t)n0 * b_n, b_k, b_n, depth,
                    min(width, N - n0), width);
        for (int m = m_begin; m < m_end; m += step) {
            float acc[MR_WIDE * NR];
            size_t row[MR_WIDE > MR_NARROW ? MR_WIDE : MR_NARROW];
            for (int i = 0; i < step; i++) row[i] = (size_t)min(m + i, M - 1) * a_m;
            if (wide)
                tile_wide(acc, a + (size_t)k0 * a_k, row, a_k, panel, depth);
            else
                tile_narrow(acc, a + (size_t)k0 * a_k, row, a_k, panel, depth);
            for (int i = 0; i < min(step, m_end - m); i++)
                for (int v = 0; v < width && n0 + v < N; v += VW) {
                    const int n = n0 + v, lanes = min(VW, N - n);
                    const size_t at = (size_t)(m + i) * N + n;
                    FLOATV value = VLOAD(0, acc + i * width + v);
                    if (k0 > 0 || accumulate) value += load_lanes(c + at, lanes);
                    if (last) EPILOGUE(value, n, at, lanes);
                    store_lanes(value, c + at, lanes);
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
