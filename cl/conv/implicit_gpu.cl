// conv/implicit_gpu.cl: GPU-style convolution as an implicit matrix product (formulas:
// conv/implicit.cl).
//
// A work-group of 64 items makes a tile of TM x TN results, 8 x 4 an item, from slices of TK of the
// reduced index, staged in local memory: As [TK][TM], Bs [TK][TN].
//
//   conv_gather  rows m: pixels of one residue class (n,i,j); columns: output channels;
//                reduced: (tap of the class, input channel)
//   conv_filter  rows m: filter rows (r,s,c), then, for the bias gradient, a row whose inputs are
//   1;
//                columns: output channels; reduced: the pixels of one chunk
//
// What depends on the reduced index alone is decoded once per slice by TK items into tables, two of
// them so that the next slice's is made while this one is used.

#define TM 64
#define TN 32
#define TK 16
#define AP (TM + 4) // pitch: the items that store a slice meet different banks
#define ITEMS 64

struct axis {
    int first_tap, tap_step, count; // taps of the class
    int first, gap;                 // input of output 0, tap 0; inputs between taps
    int outputs;
};

static struct axis axis_of(int transposed, int cls, int taps, int stride, int pad, int dilation,
                           int outputs)
{
    struct axis a = {0, 1, taps, -pad, dilation, outputs};
    if (!transposed) return a;
    int second = -1;
    a.count = 0;
    for (int r = 0; r < taps; r++) {
        if ((cls + pad - r * dilation) % stride) continue;
        if (a.count == 0) a.first_tap = r;
        if (a.count == 1) second = r;
        a.count++;
    }
    if (second >= 0) a.tap_step = second - a.first_tap;
    a.first = (cls + pad - a.first_tap * dilation) / stride;
    a.gap = -(a.tap_step * dilation / stride);
    a.outputs = (outputs - cls + stride - 1) / stride;
    return a;
}

// sum[8][4] += the product of a staged slice.
static void multiply(float4 *sum, const local float *As, const local float *Bs, int tm, int tn)
{
    for (int k = 0; k < TK; k++) {
        const float4 b = vload4(0, Bs + k * TN + tn);
        const float4 a0 = vload4(0, As + k * AP + tm), a1 = vload4(1, As + k * AP + tm);
        sum[0] += a0.x * b;
        sum[1] += a0.y * b;
        sum[2] += a0.z * b;
        sum[3] += a0.w * b;
        sum[4] += a1.x * b;
        sum[5] += a1.y * b;
        sum[6] += a1.z * b;
        sum[7] += a1.w * b;
    }
}

GPU_KERNEL(ITEMS)
void conv_gather(ARG(const float, x), ARG(const float, w), ARG(float, y), EPILOGUE_ARGS,
                 const int N, const int H, const int W, const int C, const int P, const int Q,
                 const int K, const int R, const int S, const int stride_h, const int stride_w,
                 const int pad_h, const int pad_w, const int dil_h, const int dil_w,
                 const int transposed, const int c_stride, const int k_stride, const int accumulate)
{
    VIEW(x);
    VIEW(w);
    VIEW(y);
    EPILOGUE_VIEWS;
    local float As[TK * AP], Bs[TK * TN];
    local ulong image[TM];                               // the pixel's image in x
    local int top[TM], left[TM];                         // its input row and column for offset 0
    local int down[2][TK], right[2][TK], channel[2][TK]; // per reduced index; channel -1: none
    local ulong row[2][TK];                              // its weights
    const int t = get_local_id(0);
    const int cls_h = get_group_id(2) / (transposed ? stride_w : 1);
    const int cls_w = get_group_id(2) % (transposed ? stride_w : 1);
    const struct axis ah = axis_of(transposed, cls_h, R, stride_h, pad_h, dil_h, P);
    const struct axis aw = axis_of(transposed, cls_w, S, stride_w, pad_w, dil_w, Q);
    const int in_h = transposed ? 1 : stride_h, in_w = transposed ? 1 : stride_w;
    const int out_h = transposed ? stride_h : 1, out_w = transposed ? stride_w : 1;
    const ulong pixels = (ulong)N * ah.outputs * aw.outputs, m0 = get_group_id(0) * (ulong)TM;
    const int k0 = get_group_id(1) * TN;
    const int depth = ah.count * aw.count * C;
    if (m0 >= pixels) return; // the same for the whole group

    {
        const ulong m = m0 + t;
        image[t] = 0;
        top[t] = left[t] = 0;
        if (m < pixels) {
            const int j = m % aw.outputs, i = m / aw.outputs % ah.outputs;
            image[t] = m / ((ulong)aw.outputs * ah.outputs) * H * W * C;
            top[t] = i * in_h + ah.first;
            left[t] = j * in_w + aw.first;
        }
    }
    float4 sum[8];
    for (int i = 0; i < 8; i++) sum[i] = (float4)(0.0f);
    const int tm = t % 8 * 8, tn = t / 8 * 4;
    for (int d0 = -TK, slot = 0; d0 < depth; d0 += TK, slot ^= 1) {
        if (d0 >= 0) {
            // Items 0..15 read 16 consecutive reduced indices, mostly channels, of one pixel.
            const int a = t % TK, c = channel[slot][a];
            for (int i = t / TK; i < TM; i += ITEMS / TK) {
                const int iy = top[i] + down[slot][a], ix = left[i] + right[slot][a];
                float v = 0.0f;
                if (c >= 0 && m0 + i < pixels && iy >= 0 && iy < H && ix >= 0 && ix < W)
                    v = x[image[i] + ((ulong)iy * W + ix) * C + c];
                As[a * AP + i] = v;
            }
            const int k = k0 + t % TN;
            for (int b = t / TN; b < TK; b += ITEMS / TN)
                Bs[b * TN + t % TN] =
                    channel[slot][b] >= 0 && k < K ? w[row[slot][b] + (ulong)k * k_stride] : 0.0f;
        }
        if (t < TK) {
            const int d = d0 + TK + t, c = d % C, tap = d / C;
            const int next = slot ^ 1;
            channel[next][t] = d < depth ? c : -1;
            if (d < depth) {
                const int r = tap / aw.count, s = tap % aw.count;
                down[next][t] = r * ah.gap;
                right[next][t] = s * aw.gap;
                row[next][t] =
                    (ulong)((ah.first_tap + r * ah.tap_step) * S + aw.first_tap + s * aw.tap_step) *
                        C * K +
                    (ulong)c * c_stride;
            } else {
                down[next][t] = right[next][t] = 0;
                row[next][t] = 0;
            }
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        if (d0 >= 0) multiply(sum, As, Bs, tm, tn);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    // Rows and lanes move up to the first: an index that the compiler does not know would put the sums
    // into memory.
    for (int i = 0; i < 8; i++) {
        const ulong m = m0 + tm + i;
        if (m >= pixels) break;
        const int oj = cls_w + (int)(m % aw.outputs) * out_w;
        const int oi = cls_h + (int)(m / aw.outputs % ah.outputs) * out_h;
        const ulong n = m / ((ulong)aw.outputs * ah.outputs);
        float4 lanes = sum[0];
        _Pragma("unroll") for (int j = 0; j < 7; j++) sum[j] = sum[j + 1];
        for (int k = k0 + tn; k < min(k0 + tn + 4, K); k++) {
            const ulong at = ((n * P + oi) * Q + oj) * K + k;
            float value = lanes.x;
            lanes = lanes.yzwx;
            if (accumulate) value += y[at];
            EPILOGUE(value, k, at, 1);
            y[at] = value;
        }
    }
}

// part[chunk][row][K], rows = R S C + has_bias.
GPU_KERNEL(ITEMS)
void conv_filter(ARG(const float, x), ARG(const float, dy), ARG(float, part), const int N,
                 const int H, const int W, const int C, const int P, const int Q, const int K,
                 const int R, const int S, const int stride_h, const int stride_w, const int pad_h,
                 const int pad_w, const int dil_h, const int dil_w, const int has_bias,
                 const ulong chunk_pixels)
{
    VIEW(x);
    VIEW(dy);
    VIEW(part);
    local float As[TK * AP], Bs[TK * TN];
    local ulong image[2][TK];
    local int top[2][TK], left[2][TK], there[2][TK];
    const int t = get_local_id(0);
    const int rsc = R * S * C, rows = rsc + has_bias;
    const int k0 = get_group_id(1) * TN, m = get_group_id(0) * TM + t;
    const ulong begin = get_group_id(2) * chunk_pixels;
    const ulong end = min(begin + chunk_pixels, (ulong)N * P * Q);
    // This item's filter row.
    const int c = m % C, r = m / C / S * dil_h - pad_h, s = m / C % S * dil_w - pad_w;

    float4 sum[8];
    for (int i = 0; i < 8; i++) sum[i] = (float4)(0.0f);
    const int tm = t % 8 * 8, tn = t / 8 * 4;
    const int slices = (int)((end - begin + TK - 1) / TK);
    for (int slice = -1, slot = 0; slice < slices; slice++, slot ^= 1) {
        if (slice >= 0) {
            for (int i = 0; i < TK; i++) {
                const int iy = top[slot][i] + r, ix = left[slot][i] + s;
                float v = 0.0f;
                if (m < rsc) {
                    if (there[slot][i] && iy >= 0 && iy < H && ix >= 0 && ix < W)
                        v = x[image[slot][i] + ((ulong)iy * W + ix) * C + c];
                } else if (m < rows) {
                    v = there[slot][i] ? 1.0f : 0.0f;
                }
                As[i * AP + t] = v;
            }
            const int k = k0 + t % TN;
            for (int i = t / TN; i < TK; i += ITEMS / TN)
                Bs[i * TN + t % TN] =
                    there[slot][i] && k < K ? dy[(begin + (ulong)slice * TK + i) * K + k] : 0.0f;
        }
        if (t < TK) {
            const ulong p = begin + (ulong)(slice + 1) * TK + t;
            const int next = slot ^ 1;
            there[next][t] = p < end;
            image[next][t] = p / ((ulong)P * Q) * H * W * C;
            top[next][t] = (int)(p / Q % P) * stride_h;
            left[next][t] = (int)(p % Q) * stride_w;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        if (slice >= 0) multiply(sum, As, Bs, tm, tn);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    part += get_group_id(2) * (ulong)rows * K;
    for (int i = 0; i < 8; i++) {
        const int to = get_group_id(0) * TM + tm + i;
        if (to >= rows) break;
        const float lanes[4] = {sum[i].x, sum[i].y, sum[i].z, sum[i].w};
        for (int l = 0; l < 4 && k0 + tn + l < K; l++) part[(ulong)to * K + k0 + tn + l] = lanes[l];
    }
}

// Adds the chunks in order: one item per element of dw, then of db.
kernel void conv_filter_reduce(ARG(const float, part), ARG(float, dw), ARG(float, db),
                               const ulong filter, const int bias, const int chunks,
                               const int accumulate)
{
    VIEW(part);
    VIEW(dw);
    VIEW(db);
    const ulong i = get_global_id(0), n = filter + bias;
    if (i >= n) return;
    float sum = part[i];
    for (int c = 1; c < chunks; c++) sum += part[c * n + i];
    if (i >= filter)
        db[i - filter] = sum;
    else
        dw[i] = accumulate ? dw[i] + sum : sum;
}
