// label.cl: whole-number labels, and targets that do not count. A work-item has `span` consecutive
// elements.

LANES_KERNEL void label_map(ARG(const int, labels), ARG(const int, map), ARG(int, out),
                            const ulong n, const int span, const int size)
{
    VIEW(labels);
    VIEW(map);
    VIEW(out);
    const ulong begin = min(n, (ulong)get_global_id(0) * (ulong)span);
    const ulong end = min(n, ((ulong)get_global_id(0) + 1) * (ulong)span);
    for (ulong i = begin; i < end; i++) {
        const int label = labels[i];
        out[i] = label < 0 ? label : label < size ? map[label] : INT_MAX;
    }
}

// Elements are 4 bytes: floats, or ints when `ints` is set. Groups of `row` elements are invalid as one.
LANES_KERNEL void mask_fill(ARG(const int, x), ARG(const float, mask), ARG(int, out), const ulong n,
                            const int span, const int mask_div, const int row, const int ints,
                            const int values, const float v0, const float v1, const float v2,
                            const float v3, const float fill)
{
    VIEW(x);
    VIEW(mask);
    VIEW(out);
    const float invalid[4] = {v0, v1, v2, v3};
    const int blank = ints ? convert_int_rte(fill) : as_int(fill);
    const ulong begin = min(n, (ulong)get_global_id(0) * (ulong)span);
    const ulong end = min(n, ((ulong)get_global_id(0) + 1) * (ulong)span);
    for (ulong i = begin; i < end; i++) {
        bool counts = mask_div == 0 || mask[i / (ulong)mask_div] != 0.0f;
        global const int *pixel = x + i / (ulong)row * (ulong)row;
        _Pragma("unroll") for (int k = 0; k < 4; k++)
        {
            if (k >= values) continue;
            bool differs = false;
            for (int c = 0; c < row; c++)
                differs |= (ints ? convert_float(pixel[c]) : as_float(pixel[c])) != invalid[k];
            counts = counts && differs;
        }
        out[i] = counts ? x[i] : blank;
    }
}
