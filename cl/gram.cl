// gram.cl: the gradients g_t of the shared parameters by each of T tasks' losses, rows (T, stride) with
// zeros between the segments: their products, and their combination.
//
// A team has one block of consecutive elements of all rows (gram_partial), one pair of tasks
// (gram_finish), one block of one segment (gram_apply, gram_drop). Those of the latter are in `blocks`,
// four ulongs each: element offset in the flat gradients, in a row, elements, 0.

// partial[pair][2][total]: sums of g_i g_j in two floats, pairs i <= j in the order (0,0) (0,1) ... (1,1) ...
// In double where that is fast, or with the rounding of every product and sum kept: as exact.
#if defined(HAS_FP64) && !defined(STYLE_GPU)
typedef CAT(double, VW) doublel;

#define ROW_FULL(row) CAT(convert_double, VW)(VLOAD(0, row))
#define ROW_REST(row) CAT(convert_double, VW)(team_load(row, n - k, 0.0f))
#define ADD_PRODUCTS(LOAD)                                                                         \
    do {                                                                                           \
        const doublel x = LOAD(a + k), x2 = LOAD(a2 + k), y = LOAD(b + k), y2 = LOAD(b2 + k);      \
        ab = fma(x, y, ab);                                                                        \
        ab2 = fma(x, y2, ab2);                                                                     \
        a2b = fma(x2, y, a2b);                                                                     \
        a2b2 = fma(x2, y2, a2b2);                                                                  \
    } while (0)

INLINE void write_total(doublel v, global float *out, ulong total)
{
    double t[VW], sum = 0;
    VSTORE(v, 0, t);
    for (int i = 0; i < VW; i++) sum += t[i];
    out[0] = (float)sum;
    out[total] = (float)(sum - out[0]);
}

// Two rows by two, so that an element is read and converted once for two pairs. A last row without a
// partner stands for its own.
TEAM_KERNEL void gram_partial(ARG(const float, rows), ARG(float, partial), const ulong stride,
                              const int tasks, const int block, const int first, const int total)
{
    VIEW(rows);
    VIEW(partial);
    const ulong begin = TEAM_ID * (ulong)block, size = 2 * (ulong)total;
    const int n = (int)min((ulong)block, stride - begin);
    for (int i = 0; i < tasks; i += 2) {
        const int i2 = min(i + 1, tasks - 1);
        global const float *a = rows + i * stride + begin, *a2 = rows + i2 * stride + begin;
        // Of the pairs (i, i) and (i2, i2): those of (i, j) and (i2, j) follow at j - i and j - i2.
        global float *out = partial + first + TEAM_ID + (i * tasks - i * (i - 1) / 2) * size;
        global float *out2 = out + (tasks - i) * size;
        for (int j = i; j < tasks; j += 2) {
            const int j2 = min(j + 1, tasks - 1);
            global const float *b = rows + j * stride + begin, *b2 = rows + j2 * stride + begin;
            doublel ab = 0, ab2 = 0, a2b = 0, a2b2 = 0;
            int k = 0;
            for (; k + TEAM <= n; k += TEAM) ADD_PRODUCTS(ROW_FULL);
            if (k < n) ADD_PRODUCTS(ROW_REST);
            write_total(ab, out + (j - i) * size, total);
            if (j2 > j) write_total(ab2, out + (j2 - i) * size, total);
            if (i2 > i && j > i) write_total(a2b, out2 + (j - i2) * size, total);
            if (i2 > i && j2 > j) write_total(a2b2, out2 + (j2 - i2) * size, total);
        }
    }
}
#else
TEAM_KERNEL void gram_partial(ARG(const float, rows), ARG(float, partial), const ulong stride,
                              const int tasks, const int block, const int first, const int total)
{
    VIEW(rows);
    VIEW(partial);
    TEAM_LOCAL(scratch);
    const ulong begin = TEAM_ID * (ulong)block;
    const int n = (int)min((ulong)block, stride - begin);
    global float *out = partial + first + TEAM_ID;
    for (int i = 0; i < tasks; i++) {
        global const float *a = rows + i * stride + begin;
        for (int j = i; j < tasks; j++, out += 2 * (ulong)total) {
            global const float *b = rows + j * stride + begin;
            team_sum sum = {0.0f, 0.0f};
            for (int k = 0; k < n; k += TEAM) {
                const floatl x = team_load(a + k, n - k, 0.0f), y = team_load(b + k, n - k, 0.0f);
                const floatl product = x * y;
                team_add(&sum, product);
                sum.e += fma(x, y, -product);
            }
            const float2 t = team_total(sum, scratch);
            if (TEAM_FIRST) {
                out[0] = t.x;
                out[total] = t.y;
            }
        }
    }
}
#endif

// gram[2 pair], gram[2 pair + 1]: the sum over all blocks in two floats.
TEAM_KERNEL void gram_finish(ARG(const float, partial), ARG(float, gram), const int total)
{
    VIEW(partial);
    VIEW(gram);
    TEAM_LOCAL(scratch);
    global const float *in = partial + 2 * (ulong)total * TEAM_ID;
    team_sum sum = {0.0f, 0.0f};
    for (int k = 0; k < total; k += TEAM) {
        team_add(&sum, team_load(in + k, total - k, 0.0f));
        sum.e += team_load(in + total + k, total - k, 0.0f);
    }
    const float2 t = team_total(sum, scratch);
    if (TEAM_FIRST) {
        gram[2 * TEAM_ID] = t.x;
        gram[2 * TEAM_ID + 1] = t.y;
    }
}

// grad = sum_t weights[t] g_t. A weight of 0 leaves its row out, whatever is in it.
TEAM_KERNEL void gram_apply(ARG(const float, rows), ARG(const ulong, blocks), ARG(const float, weights),
                            ARG(float, grad), const ulong stride, const int tasks)
{
    VIEW(rows);
    VIEW(blocks);
    VIEW(weights);
    VIEW(grad);
    global const ulong *w = blocks + 4 * TEAM_ID;
    global const float *from = rows + w[1];
    global float *to = grad + w[0];
    const int n = (int)w[2];
    for (int i = 0; i < n; i += TEAM) {
        floatl sum = 0.0f;
        for (int t = 0; t < tasks; t++)
            if (weights[t] != 0.0f)
                sum = fma((floatl)weights[t], team_load(from + t * stride + i, n - i, 0.0f), sum);
        team_store(sum, to + i, n - i);
    }
}

// mean = keep mean + (1 - keep) g, over whole rows.
TEAM_KERNEL void gram_average(ARG(const float, rows), ARG(float, mean), const ulong count, const int block,
                              const float keep)
{
    VIEW(rows);
    VIEW(mean);
    const ulong begin = TEAM_ID * (ulong)block;
    const int n = (int)min((ulong)block, count - begin);
    for (int i = 0; i < n; i += TEAM) {
        const floatl g = team_load(rows + begin + i, n - i, 0.0f);
        const floatl m = team_load(mean + begin + i, n - i, 0.0f);
        team_store(fma((floatl)keep, m - g, g), mean + begin + i, n - i);
    }
}

// Gradient sign dropout (Chen et al., NeurIPS 2020, eq. 1-2): of each element keep the positive parts
// with the chance P = (1 + sum g / sum |g|) / 2, else the negative ones; `leak` of what is dropped
// stays. U of element e: number e % 4 of Philox block (e / 4, stream), e counted along a row.
TEAM_KERNEL void gram_drop(ARG(const float, rows), ARG(const ulong, blocks), ARG(const float, weights),
                           ARG(float, grad), const ulong stride, const int tasks, const float leak,
                           const uint stream, ARG(const uint, step))
{
    VIEW(rows);
    VIEW(blocks);
    VIEW(weights);
    VIEW(grad);
    VIEW(step);
    global const ulong *w = blocks + 4 * TEAM_ID;
    global const float *from = rows + w[1];
    global float *to = grad + w[0];
    const int n = (int)w[2];
#ifdef STYLE_GPU
    const int begin = TEAM_LANE, by = TEAM;
#else
    const int begin = 0, by = 1;
#endif
    for (int i = begin; i < n; i += by) {
        const ulong e = w[1] + i, index = e / 4;
        const uint4 counter = (uint4)((uint)index, (uint)(index >> 32), stream, step[2]);
        const uint4 block = philox4x32(counter, (uint2)(step[0], step[1]));
        const uint lane = (uint)(e % 4);
        const uint bits = lane == 0 ? block.x : lane == 1 ? block.y : lane == 2 ? block.z : block.w;
        const float u = (float)(bits >> 8) * 0x1p-24f;
        float plus = 0.0f, minus = 0.0f;
        for (int t = 0; t < tasks; t++) {
            const float g = weights[t] * from[t * stride + i];
            if (g > 0.0f)
                plus += g;
            else
                minus += g;
        }
        const float size = plus - minus, p = size > 0.0f ? plus / size : 0.5f;
        to[i] = p > u ? plus + leak * minus : leak * plus + minus;
    }
}
