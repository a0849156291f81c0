// common.cl: prelude of every program.
//
// A tensor argument is a pair (base pointer, element offset): views are offsets into large buffers.
// Declare it with ARG(type, name) and start the kernel with VIEW(name).
//
// CPU style: a work-group is one work-item (CPU_KERNEL), explicit VW-wide vectors, register tiles.
// GPU style: real work-groups of WG items, local-memory tiles.

#define ARG(type, name) global type *name, const ulong name##_off
#define VIEW(name) name += name##_off

#define CPU_KERNEL kernel __attribute__((reqd_work_group_size(1, 1, 1)))
#define GPU_KERNEL(n) kernel __attribute__((reqd_work_group_size(n, 1, 1)))

#ifndef VW
#define VW 8
#endif
#ifndef WG
#define WG 64
#endif

#define CAT_(a, b) a##b
#define CAT(a, b) CAT_(a, b)
#define FLOATV CAT(float, VW)
#define INTV CAT(int, VW)
#define UCHARV CAT(uchar, VW)
#define VLOAD(i, p) CAT(vload, VW)(i, p)
#define VSTORE(v, i, p) CAT(vstore, VW)(v, i, p)
#define CONVERT_FLOATV CAT(convert_float, VW)

// Activations. Every one has a derivative that follows from its output y alone.
#define ACT_NONE 0
#define ACT_RELU 1
#define ACT_LEAKY_RELU 2
#define ACT_SIGMOID 3
#define ACT_TANH 4

// NaN passes through relu and leaky relu (comparisons with NaN are false).
#define DEFINE_ACTIVATE(T)                                                                         \
    inline T CAT(activate_, T)(T x, int act, float alpha)                                          \
    {                                                                                              \
        switch (act) {                                                                             \
        case ACT_RELU: return select(x, (T)0.0f, x < (T)0.0f);                                     \
        case ACT_LEAKY_RELU: return select(x, x *alpha, x < (T)0.0f);                              \
        case ACT_SIGMOID: return (T)1.0f / ((T)1.0f + exp(-x));                                    \
        case ACT_TANH: return tanh(x);                                                             \
        default: return x;                                                                         \
        }                                                                                          \
    }                                                                                              \
    inline T CAT(activate_grad_, T)(T y, int act, float alpha) /* dact/dx from y */                \
    {                                                                                              \
        switch (act) {                                                                             \
        case ACT_RELU: return select((T)0.0f, (T)1.0f, y > (T)0.0f);                               \
        case ACT_LEAKY_RELU: return select((T)alpha, (T)1.0f, y > (T)0.0f);                        \
        case ACT_SIGMOID: return y * ((T)1.0f - y);                                                \
        case ACT_TANH: return (T)1.0f - y * y;                                                     \
        default: return (T)1.0f;                                                                   \
        }                                                                                          \
    }

DEFINE_ACTIVATE(float)
DEFINE_ACTIVATE(float4)
#if VW != 4 // others than the device's own width cost compile time and draw warnings on their ABI
DEFINE_ACTIVATE(FLOATV)
#endif

// Functions that take loop bounds or lanes as constants must be inlined to be worth it.
#define INLINE static inline __attribute__((always_inline))

// Lanes: VW consecutive channels (or elements) in CPU style, one in GPU style, so that one body
// serves both. The last group of a row may hold fewer than LANES: only n are read and written.
#ifdef STYLE_GPU
#define LANES 1
typedef float floatl;
typedef int intl;
typedef uint uintl;
typedef uchar ucharl;
#define LANES_LOAD(p) (*(p))
#define LANES_STORE(v, p) (*(p) = (v))
#define LANES_CONVERT(type) CAT(convert_, type)
#define activate_l activate_float
#define activate_grad_l activate_grad_float
#define LANES_KERNEL kernel
#else
#define LANES VW
typedef FLOATV floatl;
typedef INTV intl;
typedef CAT(uint, VW) uintl;
typedef UCHARV ucharl;
#define LANES_LOAD(p) VLOAD(0, p)
#define LANES_STORE(v, p) VSTORE(v, 0, p)
#define LANES_CONVERT(type) CAT(CAT(convert_, type), VW)
#define activate_l CAT(activate_, FLOATV)
#define activate_grad_l CAT(activate_grad_, FLOATV)
#define LANES_KERNEL CPU_KERNEL
#endif
#define DEFINE_LANES(name, type, vector)                                                           \
    INLINE vector CAT(load_, name)(global const type * p, const int n)                             \
    {                                                                                              \
        if (n == LANES) return LANES_LOAD(p);                                                      \
        type t[LANES];                                                                             \
        for (int i = 0; i < LANES; i++) t[i] = i < n ? p[i] : (type)0;                             \
        return LANES_LOAD(t);                                                                      \
    }                                                                                              \
    INLINE void CAT(store_, name)(vector v, global type * p, const int n)                          \
    {                                                                                              \
        if (n == LANES) {                                                                          \
            LANES_STORE(v, p);                                                                     \
            return;                                                                                \
        }                                                                                          \
        type t[LANES];                                                                             \
        LANES_STORE(v, t);                                                                         \
        for (int i = 0; i < n; i++) p[i] = t[i];                                                   \
    }
DEFINE_LANES(lanes, float, floatl)
DEFINE_LANES(lanes_u8, uchar, ucharl)
DEFINE_LANES(lanes_i32, int, intl)
// p = v, or p += v.
INLINE void put_lanes(floatl v, global float *p, const int n, const int accumulate)
{
    store_lanes(accumulate ? v + load_lanes(p, n) : v, p, n);
}
// BODY(i, n) for every group of n lanes in [begin, end).
#define EACH_LANES(begin, end, BODY)                                                               \
    do {                                                                                           \
        ulong i_ = begin;                                                                          \
        const ulong end_ = end;                                                                    \
        for (; i_ + LANES <= end_; i_ += LANES) BODY(i_, LANES);                                   \
        if (i_ < end_) BODY(i_, (int)(end_ - i_));                                                 \
    } while (0)

// PIXEL(n, h, w, c0, c1) for each pixel of the work-item's part of a result (N,height,width,C), with
// the channels c0..c1-1 it has there. Needs rows = N * height, per_item and C. CPU style: `per_item`
// rows, all channels. GPU style: one channel of one pixel.
#ifdef STYLE_GPU
#define EACH_PIXEL(height, width, PIXEL)                                                           \
    do {                                                                                           \
        const ulong e_ = get_global_id(0), pixel_ = e_ / (ulong)C, row_ = pixel_ / (ulong)(width); \
        const int c0_ = (int)(e_ % (ulong)C);                                                      \
        if (row_ < rows)                                                                           \
            PIXEL(row_ / (ulong)(height), (int)(row_ % (ulong)(height)),                           \
                  (int)(pixel_ % (ulong)(width)), c0_, c0_ + 1);                                   \
    } while (0)
#else
#define EACH_PIXEL(height, width, PIXEL)                                                           \
    do {                                                                                           \
        const ulong first_ = get_global_id(0) * (ulong)per_item;                                   \
        const ulong last_ = min(rows, first_ + (ulong)per_item);                                   \
        for (ulong row_ = first_; row_ < last_; row_++) {                                          \
            const ulong n_ = row_ / (ulong)(height);                                               \
            for (int w_ = 0; w_ < (width); w_++)                                                   \
                PIXEL(n_, (int)(row_ - n_ * (ulong)(height)), w_, 0, C);                           \
        }                                                                                          \
    } while (0)
#endif
// The same, calling the macro AT(n, h, w, c, m) for m lanes from channel c on.
#define EACH_OUTPUT(height, width) EACH_PIXEL(height, width, PIXEL_LANES)
#define PIXEL_LANES(n, h, w, c0, c1)                                                               \
    do {                                                                                           \
        int c_ = c0;                                                                               \
        for (; c_ + LANES <= (c1); c_ += LANES) AT(n, h, w, c_, LANES);                            \
        if (c_ < (c1)) AT(n, h, w, c_, (c1)-c_);                                                   \
    } while (0)

// Epilogue of a producer (convolution, dense): y = act(scale[k] * (acc + bias[k]) + shift[k] + res).
// Of a gradient: dx = acc * act'(y), with y in the place of the residual and none of the other parts.
// Pointers of absent parts are bound to some valid buffer and never read (bits in `parts`).
#define EPI_BIAS 1
#define EPI_AFFINE 2
#define EPI_RESIDUAL 4
#define EPI_ACT_GRAD 8
#define EPILOGUE_ARGS                                                                              \
    ARG(const float, epi_bias), ARG(const float, epi_scale), ARG(const float, epi_shift),          \
        ARG(const float, epi_residual), const int epi_parts, const int epi_act, const float epi_alpha
#define EPILOGUE_VIEWS                                                                             \
    VIEW(epi_bias);                                                                                \
    VIEW(epi_scale);                                                                               \
    VIEW(epi_shift);                                                                               \
    VIEW(epi_residual)
// Of n lanes that begin at channel k; `at` is the element index of the output, for the residual.
#define EPILOGUE(acc, k, at, n)                                                                    \
    do {                                                                                           \
        if (epi_parts & EPI_BIAS) acc += load_lanes(epi_bias + (k), n);                            \
        if (epi_parts & EPI_AFFINE)                                                                \
            acc = fma(acc, load_lanes(epi_scale + (k), n), load_lanes(epi_shift + (k), n));        \
        if (epi_parts & EPI_RESIDUAL) acc += load_lanes(epi_residual + (at), n);                   \
        if (epi_parts & EPI_ACT_GRAD)                                                              \
            acc *= activate_grad_l(load_lanes(epi_residual + (at), n), epi_act, epi_alpha);        \
        else                                                                                       \
            acc = activate_l(acc, epi_act, epi_alpha);                                             \
    } while (0)

// What a consumer does to the elements of one of its inputs while it reads them (graph/op.h): with
// load_exists, per channel c, act((x - centre[c]) (inverse[c] scale[c]) + shift[c]). Every kernel that
// computes it rounds in the same places, so that all see the same bits: ties, and signs.
#define LOAD_ARGS                                                                                  \
    ARG(const float, load_centre), ARG(const float, load_inverse), ARG(const float, load_scale),   \
        ARG(const float, load_shift), const int load_exists, const int load_act,                   \
        const float load_alpha
#define LOAD_VIEWS                                                                                 \
    VIEW(load_centre);                                                                             \
    VIEW(load_inverse);                                                                            \
    VIEW(load_scale);                                                                              \
    VIEW(load_shift)
// Of no activation and of relu, nothing below `least` remains: LOAD_LEAST.
#define LOAD_LEAST (load_act == ACT_RELU ? 0.0f : -INFINITY)
INLINE floatl loaded_lanes(floatl x, floatl centre, floatl factor, floatl shift, float least)
{
    const floatl y = fma(x - centre, factor, shift);
    return select(y, (floatl)0.0f, y < least);
}

// Transforms of Winograd's F(4x4,3x3), one dimension of them, for conv/winograd.cl and
// conv/winograd_gpu.cl; ' is transposed.
//
// The points of the interpolation are 0, +-p, +-q and infinity. p = 5/8, q = 3/2 halve the rounding
// error of the usual 1 and 2 (measured, 64 channels: 7.6e-7 of the result's norm, 1.7e-6, a direct
// sum 4.3e-7): pq is near 1, so that no row of a transform is much larger than another (Alam,
// Anderson, Barabasz and Gregg, "Winograd convolution for deep neural networks: efficient point
// selection", ACM TECS 2022). All constants of B' and A' are exact in a float.
#define W_P1 (5.0f / 8)
#define W_Q1 (3.0f / 2)
#define W_P2 (W_P1 * W_P1)
#define W_Q2 (W_Q1 * W_Q1)
#define W_P3 (W_P2 * W_P1)
#define W_Q3 (W_Q2 * W_Q1)

// o = B' d: the rows p2 q2, 0, -(p2 + q2), 0, 1, 0 | 0, -+p q2, -q2, +-p, 1, 0 |
//   0, -+q p2, -p2, +-q, 1, 0 | 0, p2 q2, 0, -(p2 + q2), 0, 1      (p2 = p^2 and so on)
#define INPUT_TRANSFORM(d0, d1, d2, d3, d4, d5, o0, o1, o2, o3, o4, o5)                            \
    do {                                                                                           \
        const floatl a_ = fma((floatl)(-W_Q2), d2, d4), b_ = W_P1 * fma((floatl)(-W_Q2), d1, d3);  \
        const floatl c_ = fma((floatl)(-W_P2), d2, d4), e_ = W_Q1 * fma((floatl)(-W_P2), d1, d3);  \
        o0 = fma((floatl)(W_P2 * W_Q2), d0, fma((floatl)(-(W_P2 + W_Q2)), d2, d4));                \
        o5 = fma((floatl)(W_P2 * W_Q2), d1, fma((floatl)(-(W_P2 + W_Q2)), d3, d5));                \
        o1 = a_ + b_;                                                                              \
        o2 = a_ - b_;                                                                              \
        o3 = c_ + e_;                                                                              \
        o4 = c_ - e_;                                                                              \
    } while (0)

// o = A' m: the rows 1 1 1 1 1 0 | 0 p -p q -q 0 | 0 p2 p2 q2 q2 0 | 0 p3 -p3 q3 -q3 1
#define OUTPUT_TRANSFORM(m0, m1, m2, m3, m4, m5, o0, o1, o2, o3)                                   \
    do {                                                                                           \
        const floatl p_ = m1 + m2, q_ = m1 - m2, r_ = m3 + m4, s_ = m3 - m4;                       \
        o0 = m0 + (p_ + r_);                                                                       \
        o1 = fma((floatl)(W_Q1), s_, W_P1 * q_);                                                   \
        o2 = fma((floatl)(W_Q2), r_, W_P2 * p_);                                                   \
        o3 = fma((floatl)(W_Q3), s_, fma((floatl)(W_P3), q_, m5));                                 \
    } while (0)

// o = G g: the rows 1, 0, 0 over p2 q2 | 1, +-p, p2 over 2 p2 (p2 - q2) | 1, +-q, q2 over
// 2 q2 (q2 - p2) | 0 0 1
#define W_FILTER_P (0.5f / (W_P2 * (W_P2 - W_Q2)))
#define W_FILTER_Q (0.5f / (W_Q2 * (W_Q2 - W_P2)))
#define FILTER_TRANSFORM(g0, g1, g2, o0, o1, o2, o3, o4, o5)                                       \
    do {                                                                                           \
        const floatl s_ = fma((floatl)(W_FILTER_P * W_P2), g2, g0 * W_FILTER_P);                   \
        const floatl t_ = g1 * (W_FILTER_P * W_P1);                                                \
        const floatl p_ = fma((floatl)(W_FILTER_Q * W_Q2), g2, g0 * W_FILTER_Q);                   \
        const floatl q_ = g1 * (W_FILTER_Q * W_Q1);                                                \
        o0 = g0 * (1 / (W_P2 * W_Q2));                                                             \
        o1 = s_ + t_;                                                                              \
        o2 = s_ - t_;                                                                              \
        o3 = p_ + q_;                                                                              \
        o4 = p_ - q_;                                                                              \
        o5 = g2;                                                                                   \
    } while (0)

// o = A y: the rows 1 0 0 0 | 1, +-p, p2, +-p3 | 1, +-q, q2, +-q3 | 0 0 0 1
#define GRADIENT_TRANSFORM(y0, y1, y2, y3, o0, o1, o2, o3, o4, o5)                                 \
    do {                                                                                           \
        const floatl e_ = fma((floatl)(W_P2), y2, y0), f_ = fma((floatl)(W_P3), y3, W_P1 * y1);    \
        const floatl g_ = fma((floatl)(W_Q2), y2, y0), h_ = fma((floatl)(W_Q3), y3, W_Q1 * y1);    \
        o0 = y0;                                                                                   \
        o1 = e_ + f_;                                                                              \
        o2 = e_ - f_;                                                                              \
        o3 = g_ + h_;                                                                              \
        o4 = g_ - h_;                                                                              \
        o5 = y3;                                                                                   \
    } while (0)

// o = G' u
#define FILTER_TRANSFORM_BACK(u0, u1, u2, u3, u4, u5, o0, o1, o2)                                  \
    do {                                                                                           \
        const floatl p_ = W_FILTER_P * (u1 + u2), q_ = (W_FILTER_P * W_P1) * (u1 - u2);            \
        const floatl r_ = u3 + u4, s_ = u3 - u4;                                                   \
        o0 = fma((floatl)(1 / (W_P2 * W_Q2)), u0, fma((floatl)(W_FILTER_Q), r_, p_));              \
        o1 = fma((floatl)(W_FILTER_Q * W_Q1), s_, q_);                                             \
        o2 = fma((floatl)(W_FILTER_Q * W_Q2), r_, fma((floatl)(W_P2), p_, u5));                    \
    } while (0)

// Philox4x32-10 (Salmon et al., SC 2011); the twin of tdm__philox in src/base/rng.c.
inline uint4 philox4x32(uint4 counter, uint2 key)
{
    for (int round = 0; round < 10; round++) {
        const uint h0 = mul_hi(0xD2511F53u, counter.x), l0 = 0xD2511F53u * counter.x;
        const uint h1 = mul_hi(0xCD9E8D57u, counter.z), l1 = 0xCD9E8D57u * counter.z;
        counter = (uint4)(h1 ^ counter.y ^ key.x, l1, h0 ^ counter.w ^ key.y, l0);
        key += (uint2)(0x9E3779B9u, 0xBB67AE85u);
    }
    return counter;
}

// Two-float sums: x is the running sum, y the sum of what rounding took from it. TwoSum (Knuth, TAOCP
// vol. 2, 4.2.2) needs no ordering of the operands; it survives contraction, which never touches
// plain additions.
static inline float2 pair_add(float2 a, float v)
{
    const float t = a.x + v, b = t - a.x;
    return (float2)(t, a.y + ((a.x - (t - b)) + (v - b)));
}
static inline float2 pair_merge(float2 a, float2 b)
{
    a = pair_add(a, b.x);
    a.y += b.y;
    return a;
}

// A team works through one contiguous range together: the VW lanes of a work-item (CPU style) or the
// WG items of a work-group (GPU style). Kernels written with it serve both styles. A team's number is
// TEAM_ID; lane values are of type floatl and intl; TEAM_LANE is the lane's number.
// team_load and team_store touch the first n elements only, and give `fill` to the lanes behind.
// Reductions return the same value to every lane; on GPU style all items must reach them, and the
// kernel declares TEAM_LOCAL(scratch).
#ifdef STYLE_GPU
#define TEAM WG
#define TEAM_KERNEL GPU_KERNEL(WG)
#define TEAM_ID get_group_id(0)
#define TEAM_LOCAL(scratch) local float2 scratch[WG]
#define TEAM_FIRST (get_local_id(0) == 0)
#define TEAM_LANE ((int)get_local_id(0))
static inline float team_load(global const float *p, int n, float fill)
{
    return TEAM_LANE < n ? p[TEAM_LANE] : fill;
}
static inline int team_load_int(global const int *p, int n, int fill)
{
    return TEAM_LANE < n ? p[TEAM_LANE] : fill;
}
static inline void team_store(float v, global float *p, int n)
{
    if (TEAM_LANE < n) p[TEAM_LANE] = v;
}
#define DEFINE_TEAM_REDUCE(name, combine)                                                          \
    static inline float2 name(float2 v, local float2 *scratch)                                     \
    {                                                                                              \
        const int lane = TEAM_LANE;                                                                \
        barrier(CLK_LOCAL_MEM_FENCE);                                                              \
        scratch[lane] = v;                                                                         \
        for (int half_size = WG / 2; half_size > 0; half_size /= 2) {                              \
            barrier(CLK_LOCAL_MEM_FENCE);                                                          \
            if (lane < half_size)                                                                  \
                scratch[lane] = combine(scratch[lane], scratch[lane + half_size]);                 \
        }                                                                                          \
        barrier(CLK_LOCAL_MEM_FENCE);                                                              \
        return scratch[0];                                                                         \
    }
DEFINE_TEAM_REDUCE(team_pair, pair_merge)
DEFINE_TEAM_REDUCE(team_fmax, fmax)
#define team_max(v, scratch) team_fmax((float2)(v, 0.0f), scratch).x
#else
#define TEAM VW
#define TEAM_KERNEL CPU_KERNEL
#define TEAM_ID get_global_id(0)
#define TEAM_LOCAL(scratch) local float2 *scratch = 0
#define TEAM_FIRST true
#if VW == 16
#define TEAM_LANE ((int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15))
#elif VW == 8
#define TEAM_LANE ((int8)(0, 1, 2, 3, 4, 5, 6, 7))
#else
#define TEAM_LANE ((int4)(0, 1, 2, 3))
#endif
static inline floatl team_load(global const float *p, int n, float fill)
{
    if (n >= VW) return VLOAD(0, p);
    float lane[VW];
    for (int i = 0; i < VW; i++) lane[i] = i < n ? p[i] : fill;
    return VLOAD(0, lane);
}
static inline intl team_load_int(global const int *p, int n, int fill)
{
    if (n >= VW) return VLOAD(0, p);
    int lane[VW];
    for (int i = 0; i < VW; i++) lane[i] = i < n ? p[i] : fill;
    return VLOAD(0, lane);
}
static inline void team_store(floatl v, global float *p, int n)
{
    if (n >= VW) {
        VSTORE(v, 0, p);
        return;
    }
    float lane[VW];
    VSTORE(v, 0, lane);
    for (int i = 0; i < n; i++) p[i] = lane[i];
}
static inline float team_max(floatl v, local float2 *scratch)
{
    float lane[VW];
    VSTORE(v, 0, lane);
    float m = lane[0];
    for (int i = 1; i < VW; i++) m = fmax(m, lane[i]);
    return m;
}
#endif

// One two-float sum per lane.
typedef struct {
    floatl s, e;
} team_sum;
static inline void team_add(team_sum *a, floatl v)
{
    const floatl t = a->s + v, b = t - a->s;
    a->e += (a->s - (t - b)) + (v - b);
    a->s = t;
}
// The lanes' sums as one.
static inline float2 team_total(team_sum a, local float2 *scratch)
{
#ifdef STYLE_GPU
    return team_pair((float2)(a.s, a.e), scratch);
#else
    float s[VW], e[VW];
    VSTORE(a.s, 0, s);
    VSTORE(a.e, 0, e);
    float2 sum = (float2)(s[0], e[0]);
    for (int i = 1; i < VW; i++) sum = pair_merge(sum, (float2)(s[i], e[i]));
    return sum;
#endif
}

// The range of elements (or rows) that a team owns when every team has `block` of n, and how many of
// them the group of lanes at `at` has.
#define TEAM_RANGE(n)                                                                              \
    const ulong begin = (ulong)TEAM_ID * block;                                                    \
    const ulong end = min(begin + block, (ulong)(n))
#define TEAM_LEFT(at, end) ((int)min((ulong)TEAM, (end) - (at)))

// Masks: element i counts when mask[i / div] is not 0 (div 1: one per element; C: one per pixel;
// H W C: one per sample; 0: no mask). A walk hands out the mask along a team's range.
typedef struct {
    global const float *mask;
    uint left, div; // CPU style: elements left with this mask value; GPU style: offset of the block
} mask_walk;

static inline mask_walk mask_begin(global const float *mask, ulong begin, uint div)
{
    mask_walk w = {mask, 0, div};
    if (div) {
        w.mask += begin / div;
#ifdef STYLE_GPU
        w.left = (uint)(begin % div);
#else
        w.left = div - (uint)(begin % div);
#endif
    }
    return w;
}

// The mask of the next n elements (at most TEAM), one per lane.
static inline floatl mask_next(mask_walk *w, int n)
{
    if (!w->div) return (floatl)1.0f;
    if (w->div == 1) {
        const floatl m = team_load(w->mask, n, 0.0f);
        w->mask += TEAM;
        return m;
    }
#ifdef STYLE_GPU
    const float m = TEAM_LANE < n ? w->mask[(w->left + TEAM_LANE) / w->div] : 0.0f;
    w->left += TEAM;
    return m;
#else
    if (w->left > VW && n >= VW) {
        w->left -= VW;
        return (floatl)w->mask[0];
    }
    float lane[VW];
    for (int i = 0; i < VW; i++) {
        lane[i] = i < n ? w->mask[0] : 0.0f;
        if (i < n && --w->left == 0) {
            w->mask++;
            w->left = w->div;
        }
    }
    return VLOAD(0, lane);
#endif
}
