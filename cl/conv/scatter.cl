// conv/scatter.cl: CPU-style data gradient and transposed convolution to few channels, where a
// vector of output channels would be mostly empty: a matrix product, then a scattered sum.
//
//   t[q][(r,s,c)] = sum_k x[n,p,q,k] w[r,s,c,k]          y[n, p u - pad + r d, q u - pad + s, c] += t
//
// The columns (r,s,c) of the product fill whole vectors. A work-item owns `bh` rows of one image of
// y, sums them in local memory and writes them once; the rows of x at its borders are multiplied by
// both neighbours. Order of the sums: p, then pieces of a row, then r, then q in steps.

#define NR (2 * VW)
#if VW == 16
#define MR 12 // 24 accumulators of 32 registers
#else
#define MR 6 // 12 accumulators of 16 registers
#endif
#define RUN 64

// panels [panel][K][NR] of the transpose of w [columns][K]; zeros beyond. One work-item per panel.
CPU_KERNEL void conv_scatter_pack(ARG(const float, w), ARG(float, panels), const int columns,
                                  const int K)
{
    VIEW(w);
    VIEW(panels);
    const int j0 = get_group_id(0) * NR, valid = min(NR, columns - j0);
    panels += (size_t)j0 * K;
    for (int k = 0; k < K; k++)
        for (int j = 0; j < NR; j++)
            panels[(size_t)k * NR + j] = j < valid ? w[(size_t)(j0 + j) * K + k] : 0.0f;
}

// t [MR][pitch] = rows of x times a panel [K][NR]; rows beyond `rows` repeat the last. The loop over
// k is cut in two levels so that PoCL's compiler keeps all sums in registers.
static void multiply_tile(local float *t, int pitch, const global float *x, int rows,
                          const global float *panel, int K)
{
    FLOATV sum[MR][2];
    _Pragma("unroll") for (int i = 0; i < MR; i++) sum[i][0] = sum[i][1] = (FLOATV)(0.0f);
    for (int k0 = 0; k0 < K; k0 += RUN) {
        const int run = min(RUN, K - k0);
        const global float *b = panel + (size_t)k0 * NR;
        const global float *a[MR];
        _Pragma("unroll") for (int i = 0; i < MR; i++) a[i] =
            x + (size_t)min(i, rows - 1) * K + k0;
        for (int k = 0; k < run; k++, b += NR) {
            const FLOATV b0 = VLOAD(0, b), b1 = VLOAD(1, b);
            _Pragma("unroll") for (int i = 0; i < MR; i++)
            {
                const FLOATV av = (FLOATV)(a[i][k]);
                sum[i][0] = fma(av, b0, sum[i][0]);
                sum[i][1] = fma(av, b1, sum[i][1]);
            }
        }
    }
    _Pragma("unroll") for (int i = 0; i < MR; i++)
    {
        VSTORE(sum[i][0], 0, t + i * pitch);
        VSTORE(sum[i][1], 1, t + i * pitch);
    }
}

static void add_run(local float *to, const local float *from, int n)
{
    int i = 0;
    for (; i + VW <= n; i += VW) VSTORE(VLOAD(0, to + i) + VLOAD(0, from + i), 0, to + i);
    for (; i < n; i++) to[i] += from[i];
}

static void store_run(global float *to, const local float *from, int n)
{
    int i = 0;
    for (; i + VW <= n; i += VW) VSTORE(VLOAD(0, from + i), 0, to + i);
    for (; i < n; i++) to[i] = from[i];
}

// Group 0: block of bh rows, 1: image. sums [bh][line]: rows of y from column -pad_w on. t [piece
// rounded up to MR][pitch]: products of `piece` pixels of x.
CPU_KERNEL void conv_scatter(ARG(const float, x), ARG(const float, panels), ARG(float, y),
                             EPILOGUE_ARGS, const int P, const int Q, const int K, const int H,
                             const int W, const int C, const int R, const int S, const int stride_h,
                             const int stride_w, const int pad_h, const int pad_w, const int dil_h,
                             const int bh, const int line, const int piece, const int pitch,
                             const int accumulate, local float *sums, local float *t)
{
    VIEW(x);
    VIEW(panels);
    VIEW(y);
    EPILOGUE_VIEWS;
    const int i0 = get_group_id(0) * bh, h = min(bh, H - i0), n = get_group_id(1);
    // Neighbouring pixels of x overlap in y; `apart` of them further they do not, and no sum waits for
    // the one before.
    const int apart = (S + stride_w - 1) / stride_w;
    for (int i = 0; i < h * line; i++) sums[i] = 0.0f;
    for (int p = 0; p < P; p++) {
        const int top = p * stride_h - pad_h - i0;
        if (top >= h || top + (R - 1) * dil_h < 0) continue;
        for (int q0 = 0; q0 < Q; q0 += piece) {
            const int pixels = min(piece, Q - q0);
            const global float *from = x + (((size_t)n * P + p) * Q + q0) * K;
            for (int j = 0; j < pitch; j += NR)
                for (int q = 0; q < pixels; q += MR)
                    multiply_tile(t + q * pitch + j, pitch, from + (size_t)q * K, pixels - q,
                                  panels + (size_t)j * K, K);
            for (int r = 0; r < R; r++) {
                const int row = top + r * dil_h;
                if (row < 0 || row >= h) continue;
                local float *to = sums + row * line + q0 * stride_w * C;
                for (int first = 0; first < apart; first++)
                    for (int q = first; q < pixels; q += apart)
                        add_run(to + q * stride_w * C, t + q * pitch + r * S * C, S * C);
            }
        }
    }
    const int plain = !accumulate && !epi_parts && epi_act == ACT_NONE;
    for (int i = 0; i < h; i++) {
        if (plain) {
            store_run(y + ((size_t)n * H + i0 + i) * W * C, sums + i * line + pad_w * C, W * C);
            continue;
        }
        for (int j = 0; j < W; j++) {
            const size_t at = (((size_t)n * H + i0 + i) * W + j) * C;
            const local float *from = sums + i * line + (pad_w + j) * C;
            float lanes[VW];
            for (int c = 0; c < VW; c++) lanes[c] = c < C ? from[c] : 0.0f;
            FLOATV value = VLOAD(0, lanes);
            if (accumulate) value += load_lanes(y + at, C);
            EPILOGUE(value, 0, at, C);
            store_lanes(value, y + at, C);
        }
    }
}
