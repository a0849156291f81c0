// shape.cl: moves blocks between tensors that differ along one axis (concat, slice and its
// gradient).
//
// A tensor is rows of `stride` elements; the block is `width` elements from `offset` on in each
// row. The block's elements, over all rows, are numbered 0..total-1; a work-item has `span`
// consecutive ones (CPU style: many, in vectors; GPU style: one). Elements are 4 bytes; only
// MODE_ADD and MODE_LOAD are arithmetic.

#define MODE_COPY 0
#define MODE_ADD 1
#define MODE_ZERO 2 // `from` is not read
#define MODE_LOAD 3 // a copy of what LOAD_ARGS make of `from`; its rows begin with channel 0 of C

LANES_KERNEL void shape_block(ARG(const float, from), ARG(float, to), LOAD_ARGS, const ulong total,
                              const int span, const ulong width, const ulong from_stride,
                              const ulong from_offset, const ulong to_stride, const ulong to_offset,
                              const int mode, const int C)
{
    VIEW(from);
    VIEW(to);
    LOAD_VIEWS;
    const float least = LOAD_LEAST;
    ulong at = min(total, (ulong)get_global_id(0) * (ulong)span);
    const ulong end = min(total, at + (ulong)span);
    ulong row = at / width, column = at % width;
    while (at < end) {
        ulong length = min(width - column, end - at);
        const ulong c = mode == MODE_LOAD ? column % (ulong)C : 0;
        if (mode == MODE_LOAD) length = min(length, (ulong)C - c);
        global const float *a = from + row * from_stride + from_offset + column;
        global float *b = to + row * to_stride + to_offset + column;
#define COPY(i, m) store_lanes(load_lanes(a + i, m), b + i, m)
#define ADD(i, m) put_lanes(load_lanes(a + i, m), b + i, m, 1)
#define LOADED(i, m)                                                                               \
    store_lanes(loaded_lanes(load_lanes(a + i, m), load_lanes(load_centre + c + i, m),             \
                             load_lanes(load_inverse + c + i, m) *                                 \
                                 load_lanes(load_scale + c + i, m),                                \
                             load_lanes(load_shift + c + i, m), least),                            \
                b + i, m)
#define ZERO(i, m) store_lanes((floatl)0.0f, b + i, m)
        if (mode == MODE_COPY)
            EACH_LANES(0, length, COPY);
        else if (mode == MODE_ADD)
            EACH_LANES(0, length, ADD);
        else if (mode == MODE_LOAD)
            EACH_LANES(0, length, LOADED);
        else
            EACH_LANES(0, length, ZERO);
#undef COPY
#undef ADD
#undef LOADED
#undef ZERO
        at += length;
        column += length;
        if (column < width) continue;
        row++;
        column = 0;
    }
}
