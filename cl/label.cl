// label.cl: whole-number labels. A work-item has `span` consecutive labels.

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
