// limits.cl: what the device can do at most, to compare operations with.
//
// limits_fma: SUMS independent chains of fused multiply-adds a lane, which hide each other's latency;
// nothing is read. limits_copy: y = x. limits_scale: x *= factor in place (on CPUs a write to what was
// read just before costs one transfer, a write elsewhere two: the line is read first). A work-item of
// the last two has `span` consecutive elements (CPU style: many; GPU style: one).

#define SUMS 12

LANES_KERNEL void limits_fma(ARG(float, y), const int rounds, const float factor)
{
    VIEW(y);
    floatl sum[SUMS], total = (floatl)(0.0f);
    _Pragma("unroll") for (int i = 0; i < SUMS; i++) sum[i] = (floatl)((float)i);
    const floatl by = (floatl)(factor), add = (floatl)(1.0f);
    for (int r = 0; r < rounds; r++)
        _Pragma("unroll") for (int i = 0; i < SUMS; i++) sum[i] = fma(sum[i], by, add);
    _Pragma("unroll") for (int i = 0; i < SUMS; i++) total += sum[i];
    store_lanes(total, y + get_global_id(0) * LANES, LANES);
}

LANES_KERNEL void limits_copy(ARG(const float, x), ARG(float, y), const ulong n, const int span)
{
    VIEW(x);
    VIEW(y);
    const ulong begin = min(n, (ulong)get_global_id(0) * (ulong)span);
    const ulong end = min(n, begin + (ulong)span);
#define COPY(i, m) store_lanes(load_lanes(x + i, m), y + i, m)
    EACH_LANES(begin, end, COPY);
#undef COPY
}

LANES_KERNEL void limits_scale(ARG(float, x), const ulong n, const int span, const float factor)
{
    VIEW(x);
    const ulong begin = min(n, (ulong)get_global_id(0) * (ulong)span);
    const ulong end = min(n, begin + (ulong)span);
#define SCALE(i, m) store_lanes(factor * load_lanes(x + i, m), x + i, m)
    EACH_LANES(begin, end, SCALE);
#undef SCALE
}
