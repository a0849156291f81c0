// elementwise.cl: operations that treat every element alike. Tensors are flat arrays of n elements;
// a work-item has `span` consecutive ones (CPU style: many, in vectors; GPU style: one).
// `accumulate`: the result is added to what is there. Outputs may be the inputs' storage.

#define SPAN_BEGIN min(n, (ulong)get_global_id(0) * (ulong)span)
#define SPAN_END min(n, ((ulong)get_global_id(0) + 1) * (ulong)span)
#define EACH_IN_SPAN(BODY) EACH_LANES(SPAN_BEGIN, SPAN_END, BODY)

// y = act(x)
LANES_KERNEL void activation_fwd(ARG(const float, x), ARG(float, y), const ulong n, const int span,
                                 const int act, const float alpha)
{
    VIEW(x);
    VIEW(y);
#define RELU(i, m) store_lanes(activate_l(load_lanes(x + i, m), ACT_RELU, alpha), y + i, m)
#define OTHER(i, m) store_lanes(activate_l(load_lanes(x + i, m), act, alpha), y + i, m)
    if (act == ACT_RELU)
        EACH_IN_SPAN(RELU);
    else
        EACH_IN_SPAN(OTHER);
#undef RELU
#undef OTHER
}

// dx (+)= dy act'(y)
LANES_KERNEL void activation_bwd(ARG(const float, dy), ARG(const float, y), ARG(float, dx),
                                 const ulong n, const int span, const int act, const float alpha,
                                 const int accumulate)
{
    VIEW(dy);
    VIEW(y);
    VIEW(dx);
#define GRAD(i, m, kind)                                                                           \
    put_lanes(load_lanes(dy + i, m) * activate_grad_l(load_lanes(y + i, m), kind, alpha), dx + i,  \
              m, accumulate)
#define RELU(i, m) GRAD(i, m, ACT_RELU)
#define OTHER(i, m) GRAD(i, m, act)
    if (act == ACT_RELU)
        EACH_IN_SPAN(RELU);
    else
        EACH_IN_SPAN(OTHER);
#undef GRAD
#undef RELU
#undef OTHER
}

// y (+)= act(a + b)
LANES_KERNEL void add_fwd(ARG(const float, a), ARG(const float, b), ARG(float, y), const ulong n,
                          const int span, const int accumulate, const int act, const float alpha)
{
    VIEW(a);
    VIEW(b);
    VIEW(y);
#define BODY(i, m)                                                                                 \
    put_lanes(activate_l(load_lanes(a + i, m) + load_lanes(b + i, m), act, alpha), y + i, m,       \
              accumulate)
    EACH_IN_SPAN(BODY);
#undef BODY
}

// y (+)= a b
LANES_KERNEL void multiply_fwd(ARG(const float, a), ARG(const float, b), ARG(float, y),
                               const ulong n, const int span, const int accumulate)
{
    VIEW(a);
    VIEW(b);
    VIEW(y);
#define BODY(i, m) put_lanes(load_lanes(a + i, m) * load_lanes(b + i, m), y + i, m, accumulate)
    EACH_IN_SPAN(BODY);
#undef BODY
}

// y (+)= factor x
LANES_KERNEL void scale_fwd(ARG(const float, x), ARG(float, y), const ulong n, const int span,
                            const int accumulate, const float factor)
{
    VIEW(x);
    VIEW(y);
#define BODY(i, m) put_lanes(factor *load_lanes(x + i, m), y + i, m, accumulate)
    EACH_IN_SPAN(BODY);
#undef BODY
}

// y = x scale[c] + shift[c], c = element mod channels. The factors of at most 16 channels arrive as
// scalar arguments; CPU style lays them out once per work-item for `channels` whole vectors (the
// span is a multiple of channels), so that the loop over elements has none of the indexing.
#define FACTORS(s)                                                                                 \
    const float s##0, const float s##1, const float s##2, const float s##3, const float s##4,      \
        const float s##5, const float s##6, const float s##7, const float s##8, const float s##9,  \
        const float s##10, const float s##11, const float s##12, const float s##13,                \
        const float s##14, const float s##15
#define FACTOR_LIST(s)                                                                             \
    {                                                                                              \
        s##0, s##1, s##2, s##3, s##4, s##5, s##6, s##7, s##8, s##9, s##10, s##11, s##12, s##13,    \
            s##14, s##15                                                                           \
    }
#define NORMALIZE_MOST 16
#ifdef STYLE_GPU // an item has one element; selecting keeps the list out of memory
#define NORMALIZE_PERIOD 1
INLINE float factor(const float *list, int c)
{
    float f = list[0];
    _Pragma("unroll") for (int i = 1; i < NORMALIZE_MOST; i++) f = i == c ? list[i] : f;
    return f;
}
#else
#define NORMALIZE_PERIOD NORMALIZE_MOST
#define factor(list, c) (list)[c]
#endif

#define DEFINE_NORMALIZE(name, type, LOAD)                                                         \
    LANES_KERNEL void name(ARG(const type, x), ARG(float, y), const ulong n, const int span,       \
                           const int channels, FACTORS(scale), FACTORS(shift))                     \
    {                                                                                              \
        VIEW(x);                                                                                   \
        VIEW(y);                                                                                   \
        const float scales[NORMALIZE_MOST] = FACTOR_LIST(scale);                                   \
        const float shifts[NORMALIZE_MOST] = FACTOR_LIST(shift);                                   \
        const ulong begin = SPAN_BEGIN, end = SPAN_END;                                            \
        floatl a[NORMALIZE_PERIOD], b[NORMALIZE_PERIOD]; /* of vector v in `channels` vectors */   \
        int c = (int)(begin % (ulong)channels);                                                    \
        for (int v = 0; v < (LANES > 1 ? channels : 1); v++) {                                     \
            float s[LANES], t[LANES];                                                              \
            for (int lane = 0; lane < LANES; lane++) {                                             \
                s[lane] = factor(scales, c);                                                       \
                t[lane] = factor(shifts, c);                                                       \
                c = c + 1 == channels ? 0 : c + 1;                                                 \
            }                                                                                      \
            a[v] = LANES_LOAD(s);                                                                  \
            b[v] = LANES_LOAD(t);                                                                  \
        }                                                                                          \
        int v = 0;                                                                                 \
        for (ulong i = begin; i < end; i += LANES) {                                               \
            const int m = (int)min((ulong)LANES, end - i);                                         \
            store_lanes(fma(LOAD(x + i, m), a[v], b[v]), y + i, m);                                \
            v = LANES == 1 || v + 1 == channels ? 0 : v + 1;                                       \
        }                                                                                          \
    }
#define LOAD_BYTES(p, m) LANES_CONVERT(float)(load_lanes_u8(p, m))
DEFINE_NORMALIZE(normalize_u8, uchar, LOAD_BYTES)
DEFINE_NORMALIZE(normalize_f32, float, load_lanes)

// y (+)= x m / (1 - p): element i is kept (m = 1) when word i mod 4 of the Philox block
// counter = {lo, hi of i / 4, stream, step}, key = seed, as a uniform in [0, 1), is at least p.
// `span` is a multiple of 4. CPU style computes one block per lane and interleaves the words.

INLINE void dropout_block(global const float *x, global float *y, uint4 counter, uint2 key,
                          int count, float p, float factor, int accumulate)
{
    const float4 uniform = convert_float4(philox4x32(counter, key) >> 8) * 0x1p-24f;
    const float u[4] = {uniform.x, uniform.y, uniform.z, uniform.w};
    for (int j = 0; j < count; j++) {
        const float v = x[j] * (u[j] >= p ? factor : 0.0f);
        y[j] = accumulate ? y[j] + v : v;
    }
}

#ifndef STYLE_GPU
// a0 b0 a1 b1 ...: the lower halves to `low`, the upper halves to `high`.
#define ZIP(a, b, low, high)                                                                       \
    uintl low, high;                                                                               \
    low.even = a.lo;                                                                               \
    low.odd = b.lo;                                                                                \
    high.even = a.hi;                                                                              \
    high.odd = b.hi

// philox4x32 of LANES consecutive blocks from `block` on; words[j] has the elements j LANES...
INLINE void philox_lanes(ulong block, uint stream, uint step, uint2 key, uintl words[4])
{
    uint lane[LANES];
    for (int i = 0; i < LANES; i++) lane[i] = (uint)i;
    const uint low = (uint)block;
    uintl c0 = low + LANES_LOAD(lane);
    uintl c1 = (uint)(block >> 32) + select((uintl)0u, (uintl)1u, c0 < (uintl)low);
    uintl c2 = stream, c3 = step;
    for (int round = 0; round < 10; round++) {
        const uintl h0 = mul_hi((uintl)0xD2511F53u, c0), l0 = 0xD2511F53u * c0;
        const uintl h1 = mul_hi((uintl)0xCD9E8D57u, c2), l1 = 0xCD9E8D57u * c2;
        c0 = h1 ^ c1 ^ key.x;
        c1 = l1;
        c2 = h0 ^ c3 ^ key.y;
        c3 = l0;
        key += (uint2)(0x9E3779B9u, 0xBB67AE85u);
    }
    ZIP(c0, c2, even_low, even_high);
    ZIP(c1, c3, odd_low, odd_high);
    ZIP(even_low, odd_low, w0, w1);
    ZIP(even_high, odd_high, w2, w3);
    words[0] = w0, words[1] = w1, words[2] = w2, words[3] = w3;
}
#endif

LANES_KERNEL void dropout_fwd(ARG(const float, x), ARG(float, y), const ulong n, const int span,
                              const int accumulate, const float p, const float factor,
                              const ulong stream, ARG(const uint, step))
{
    VIEW(x);
    VIEW(y);
    VIEW(step);
    const uint2 key = (uint2)(step[0], step[1]);
    const ulong end = SPAN_END;
    ulong i = SPAN_BEGIN;
#ifndef STYLE_GPU
    for (; i + 4 * LANES <= end; i += 4 * LANES) {
        uintl words[4];
        philox_lanes(i / 4, (uint)stream, step[2], key, words);
        for (int j = 0; j < 4; j++) {
            const ulong e = i + (ulong)(j * LANES);
            const floatl uniform = LANES_CONVERT(float)(words[j] >> 8) * 0x1p-24f;
            const floatl m = select((floatl)0.0f, (floatl)factor, uniform >= (floatl)p);
            put_lanes(load_lanes(x + e, LANES) * m, y + e, LANES, accumulate);
        }
    }
#endif
    for (; i < end; i += 4) {
        const uint4 counter = (uint4)((uint)(i / 4), (uint)((i / 4) >> 32), (uint)stream, step[2]);
        dropout_block(x + i, y + i, counter, key, (int)min((ulong)4, end - i), p, factor,
                      accumulate);
    }
}
