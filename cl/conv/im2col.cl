// conv/im2col.cl: what a convolution by a plain matrix product needs beside the product.
//
// cols[pixel][tap][channel]: the pixels of the small image (N,P,Q) by the R x S taps and C channels
// of the filter.
//   forward:          cols = what each tap sees of big (conv_im2col), small = cols w
//   filter gradient:  the same cols, dw = cols^T small
//   data gradient:    cols = small w^T, big = at each pixel, the sum of what saw it (conv_col2im)
// Only some images at a time are in cols: those from `image` on.
//
// Work-items. CPU style: `per_item` rows, vectors of LANES channels. GPU style: one channel of one
// pixel.

#define CONV_ARGS                                                                                  \
    const int image, const int H, const int W, const int C, const int P, const int Q, const int R, \
        const int S, const int stride_h, const int stride_w, const int pad_h, const int pad_w,     \
        const int dil_h, const int dil_w

LANES_KERNEL void conv_im2col(ARG(const float, x), ARG(float, cols), const ulong rows,
                              const int per_item, CONV_ARGS)
{
    VIEW(x);
    VIEW(cols);
    x += (ulong)image * (ulong)H * (ulong)W * (ulong)C;
#define COPY_TAPS(n, p, q, c0, c1)                                                                 \
    do {                                                                                           \
        global float *to = cols + (((n)*P + (p)) * Q + (q)) * (ulong)(R * S) * (ulong)C;           \
        for (int t = 0; t < R * S; t++, to += C) {                                                 \
            const int y = (p)*stride_h - pad_h + t / S * dil_h;                                    \
            const int z = (q)*stride_w - pad_w + t % S * dil_w;                                    \
            const int seen = y >= 0 && y < H && z >= 0 && z < W;                                   \
            global const float *from = x + (((n)*H + (seen ? y : 0)) * W + (seen ? z : 0)) * C;    \
            for (int c = c0; c < (c1); c += LANES) {                                               \
                const int m = min(LANES, (c1)-c);                                                  \
                store_lanes(seen ? load_lanes(from + c, m) : (floatl)(0.0f), to + c, m);           \
            }                                                                                      \
        }                                                                                          \
    } while (0)
    EACH_PIXEL(P, Q, COPY_TAPS);
}

LANES_KERNEL void conv_col2im(ARG(const float, cols), ARG(float, y), EPILOGUE_ARGS,
                              const ulong rows, const int per_item, CONV_ARGS, const int accumulate)
{
    VIEW(cols);
    VIEW(y);
    EPILOGUE_VIEWS;
#define AT(n, h, w, c, m)                                                                          \
    do {                                                                                           \
        const ulong at_ = ((((ulong)image + (n)) * H + (h)) * W + (w)) * C + (c);                  \
        floatl sum_ = accumulate ? load_lanes(y + at_, m) : (floatl)(0.0f);                        \
        for (int t_ = 0; t_ < R * S; t_++) {                                                       \
            const int p_ = (h) + pad_h - t_ / S * dil_h, q_ = (w) + pad_w - t_ % S * dil_w;        \
            if (p_ < 0 || q_ < 0 || p_ % stride_h || q_ % stride_w) continue;                      \
            if (p_ / stride_h >= P || q_ / stride_w >= Q) continue;                                \
            const ulong pixel_ = ((n)*P + p_ / stride_h) * Q + q_ / stride_w;                      \
            sum_ += load_lanes(cols + (pixel_ * (ulong)(R * S) + t_) * C + (c), m);                \
        }                                                                                          \
        EPILOGUE(sum_, c, at_, m);                                                                 \
        store_lanes(sum_, y + at_, m);                                                             \
    } while (0)
    EACH_OUTPUT(H, W);
#undef AT
}
