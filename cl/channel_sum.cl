// channel_sum.cl: column sums of a matrix y (rows, K), in two steps: part[chunk][k], then the sum
// of the chunks in their order. The number of chunks depends on the shape only.

#ifdef STYLE_CPU

// Vectors that are added up by themselves first: one long sum over all rows is less exact.
#define SUM_BLOCK 64
INLINE FLOATV sum_vectors(const global float *from, ulong step, ulong n)
{
    FLOATV total = (FLOATV)(0.0f);
    for (ulong begin = 0; begin < n; begin += SUM_BLOCK) {
        const ulong end = min(n, begin + SUM_BLOCK);
        FLOATV sum = (FLOATV)(0.0f);
        for (ulong i = begin; i < end; i++) sum += VLOAD(0, from + i * step);
        total += sum;
    }
    return total;
}

// to (+)= sums of n rows of `vectors` neighbouring vectors: independent sums hide each other's
// latency, and a block of rows is read while it is in the first-level cache.
INLINE void add_rows(global float *to, const global float *from, ulong step, ulong n, int vectors,
                     int fresh)
{
    FLOATV sum[4];
    _Pragma("unroll") for (int v = 0; v < vectors; v++) sum[v] = (FLOATV)(0.0f);
    for (ulong i = 0; i < n; i++)
        _Pragma("unroll") for (int v = 0; v < vectors; v++) sum[v] += VLOAD(v, from + i * step);
    _Pragma("unroll") for (int v = 0; v < vectors; v++)
        VSTORE(fresh ? sum[v] : VLOAD(v, to) + sum[v], v, to);
}

// One work-item per chunk. With K < VW, VW rows are K vectors: lane l of vector v belongs to
// channel (v VW + l) mod K.
CPU_KERNEL void channel_sum(ARG(const float, y), ARG(float, part), const ulong rows, const int K,
                            const ulong chunk_rows)
{
    VIEW(y);
    VIEW(part);
    const ulong begin = get_group_id(0) * chunk_rows, n = min(chunk_rows, rows - begin);
    const global float *from = y + begin * K;
    global float *to = part + get_group_id(0) * (ulong)K;
    if (K >= VW) {
        for (ulong i = 0; i < n; i += SUM_BLOCK) {
            const ulong m = min(n - i, (ulong)SUM_BLOCK);
            int k = 0;
            for (; k + 4 * VW <= K; k += 4 * VW) add_rows(to + k, from + i * K + k, K, m, 4, i == 0);
            for (; k + VW <= K; k += VW) add_rows(to + k, from + i * K + k, K, m, 1, i == 0);
        }
        // The last vector overlaps its neighbour, and finds the same sums there.
        if (K % VW) VSTORE(sum_vectors(from + K - VW, K, n), 0, to + K - VW);
        return;
    }
    float total[VW], lanes[VW];
    for (int k = 0; k < K; k++) total[k] = 0.0f;
    for (int v = 0; v < K; v++) {
        VSTORE(sum_vectors(from + v * VW, (ulong)VW * K, n / VW), 0, lanes);
        for (int l = 0; l < VW; l++) total[(v * VW + l) % K] += lanes[l];
    }
    for (ulong i = n / VW * VW; i < n; i++)
        for (int k = 0; k < K; k++) total[k] += from[i * K + k];
    for (int k = 0; k < K; k++) to[k] = total[k];
}

#else

// One work-group per chunk: item l adds the elements l, l + WG', ... of the chunk, WG' the largest
// multiple of K up to WG, so that it meets one channel only; then the items of a channel are added
// in order. With K > WG an item has channels l, l + WG, ...
GPU_KERNEL(WG)
void channel_sum(ARG(const float, y), ARG(float, part), const ulong rows, const int K,
                 const ulong chunk_rows)
{
    VIEW(y);
    VIEW(part);
    local float sums[WG];
    const int lane = get_local_id(0);
    const ulong begin = get_group_id(0) * chunk_rows, n = min(chunk_rows, rows - begin);
    const global float *from = y + begin * K;
    global float *to = part + get_group_id(0) * (ulong)K;
    if (K > WG) {
        for (int k = lane; k < K; k += WG) {
            float sum = 0.0f;
            for (ulong i = 0; i < n; i++) sum += from[i * K + k];
            to[k] = sum;
        }
        return;
    }
    const int width = WG / K * K;
    float sum = 0.0f;
    if (lane < width)
        for (ulong i = lane; i < n * K; i += width) sum += from[i];
    sums[lane] = sum;
    barrier(CLK_LOCAL_MEM_FENCE);
    if (lane < K) {
        for (int i = lane + K; i < width; i += K) sum += sums[i];
        to[lane] = sum;
    }
}

#endif

// One work-item per LANES channels.
LANES_KERNEL void channel_sum_reduce(ARG(const float, part), ARG(float, sum), const int K,
                                     const int chunks, const int accumulate)
{
    VIEW(part);
    VIEW(sum);
    const int k = get_global_id(0) * LANES, n = min(K - k, LANES);
    if (n <= 0) return;
    floatl total = load_lanes(part + k, n);
    for (int i = 1; i < chunks; i++) total += load_lanes(part + (ulong)i * K + k, n);
    put_lanes(total, sum + k, n, accumulate);
}
