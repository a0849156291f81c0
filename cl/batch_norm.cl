// batch_norm.cl: batch normalisation and per-channel scale and shift. x is (rows, C), row-major:
// the channels are the last axis, the rows all others.
//
// Statistics. The rows are cut into blocks of `block_rows`, a number fixed by the shape; a convolution
// that computes x may bring them for blocks of its own. A block gives, per channel, its number of rows
// n_b, their mean m_b and M_b = sum (x - m_b)^2; blocks, and parts of blocks, are merged by
//     m = sum n_b m_b / n,   M = sum (M_b + n_b (m_b - m)^2)
// (Chan, Golub, LeVeque, The American Statistician 1983). Means are those of x - x[0], the first row
// being close to the data (those that come with x: of x itself). A sum of squares is taken about a mean of
// the same rows and corrected by (sum (x - m_b))^2 / n_b for its rounding: nothing is subtracted that is
// large against the deviations, so a large mean costs no digits of the variance.
//
// Work-items of reductions. CPU style: a work-item has a block; it goes through strips of rows that stay
// in the first-level cache while groups of LANES channels take turns. GPU style: a work-group has TX
// channels, TY = WG / TX items share the rows, their sums meet in a fixed tree in local memory. A merge
// has one group (item) for each group of channels.

#ifdef STYLE_GPU
#define TX (WG < 16 ? WG : 16)
#define TY (WG / TX)
#define REDUCE_KERNEL GPU_KERNEL(WG)
#define REDUCE_PLACE                                                                               \
    local float scratch[WG];                                                                       \
    const int ty = (int)get_local_id(0) / TX;                                                      \
    const ulong tiles = ((ulong)C + TX - 1) / TX;                                                  \
    const int c = (int)(get_group_id(0) % tiles) * TX + (int)get_local_id(0) % TX;                 \
    const int m = c < C ? 1 : 0
#define FIRST ty
#define STEP TY
#define TOTAL(v) tree_sum(v, scratch)
#define IS_WRITER (ty == 0)
// Sum over the TY items of each channel, to all of them.
INLINE float tree_sum(float v, local float *scratch)
{
    const int i = (int)get_local_id(0);
    scratch[i] = v;
    for (int n = WG / 2; n >= TX; n /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (i < n) scratch[i] += scratch[i + n];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    const float total = scratch[i % TX];
    barrier(CLK_LOCAL_MEM_FENCE);
    return total;
}
#else
#define REDUCE_KERNEL CPU_KERNEL
#define REDUCE_PLACE                                                                               \
    const ulong tiles = ((ulong)C + LANES - 1) / LANES;                                            \
    const int c = (int)(get_group_id(0) % tiles) * LANES;                                          \
    const int m = min(LANES, C - c)
#define FIRST 0
#define STEP 1
#define TOTAL(v) (v)
#define IS_WRITER 1
#endif

// Sums are of SUM_ROWS rows at a time: one long sum is less exact.
#define SUM_ROWS 32
#ifdef STYLE_GPU
// Runs BODY for the rows of [begin, end) that are this item's, SUM_ROWS of them at a time between
// START and FINISH.
#define EACH_ROW(START, BODY, FINISH)                                                              \
    for (ulong from = begin; from < end; from += SUM_ROWS * STEP) {                                \
        const ulong until = min(end, from + SUM_ROWS * STEP);                                      \
        START;                                                                                     \
        for (ulong r = from + FIRST; r < until; r += STEP) BODY;                                   \
        FINISH;                                                                                    \
    }
#else
// Rows of a strip: about 2048 elements.
#define STRIP_ROWS(C) (ulong) clamp(2048 / (C), 1, SUM_ROWS)
#endif

// ---- training: statistics ----------------------------------------------------------------------

// partial [block][3][C]: n_b, m_b, M_b; then [C]: x[0]
#ifdef STYLE_GPU
REDUCE_KERNEL void batch_norm_stats(ARG(const float, x), ARG(float, partial), const ulong rows,
                                    const ulong block_rows, const int C)
{
    VIEW(x);
    VIEW(partial);
    REDUCE_PLACE;
    const ulong block = get_group_id(0) / tiles;
    const ulong begin = block * block_rows, end = min(rows, begin + block_rows);
    const float n = (float)(end - begin);
    x += c;
    const floatl K = load_lanes(x, m);
    floatl sum = 0.0f;
    EACH_ROW(floatl part = 0.0f, part += load_lanes(x + r * (ulong)C, m) - K, sum += part)
    const floatl mean = TOTAL(sum) / n;
    floatl squares = 0.0f, rest = 0.0f;
    EACH_ROW(
        floatl part = 0.0f; floatl part_rest = 0.0f,
        {
            const floatl d = load_lanes(x + r * (ulong)C, m) - K - mean;
            part += d * d;
            part_rest += d;
        },
        squares += part;
        rest += part_rest)
    squares = TOTAL(squares);
    rest = TOTAL(rest);
    if (IS_WRITER) {
        partial += block * 3 * (ulong)C + (ulong)c;
        store_lanes((floatl)n, partial, m);
        store_lanes(mean + rest / n, partial + C, m);
        store_lanes(fmax(squares - rest * rest / n, (floatl)0.0f), partial + 2 * C, m);
        if (end == rows) store_lanes(K, partial + 3 * C, m);
    }
}
#else
// The n rows of a strip, of m channels, less K, join the `before` rows that partial has.
INLINE void add_strip(global const float *x, const floatl K, global float *partial, const int n,
                      const float before, const int C, const int m)
{
    floatl sum[2] = {0.0f, 0.0f}, squares[2] = {0.0f, 0.0f}, rest[2] = {0.0f, 0.0f};
    int r = 0;
    for (; r + 2 <= n; r += 2) {
        sum[0] += load_lanes(x + (ulong)r * (ulong)C, m) - K;
        sum[1] += load_lanes(x + (ulong)(r + 1) * (ulong)C, m) - K;
    }
    if (r < n) sum[0] += load_lanes(x + (ulong)r * (ulong)C, m) - K;
    floatl mean = (sum[0] + sum[1]) / (float)n;
    for (r = 0; r < n; r++) {
        const floatl d = load_lanes(x + (ulong)r * (ulong)C, m) - K - mean;
        squares[r & 1] = fma(d, d, squares[r & 1]);
        rest[r & 1] += d;
    }
    const floatl over = rest[0] + rest[1];
    mean += over / (float)n;
    const floatl about = fmax(squares[0] + squares[1] - over * over / (float)n, (floatl)0.0f);
    if (before == 0.0f) {
        store_lanes(mean, partial + C, m);
        store_lanes(about, partial + 2 * C, m);
        return;
    }
    const floatl old = load_lanes(partial + C, m), d = mean - old;
    const float share = (float)n / (before + (float)n);
    store_lanes(fma(d, (floatl)share, old), partial + C, m);
    store_lanes(load_lanes(partial + 2 * C, m) + fma(d * d, (floatl)(before * share), about),
                partial + 2 * C, m);
}

CPU_KERNEL void batch_norm_stats(ARG(const float, x), ARG(float, partial), const ulong rows,
                                 const ulong block_rows, const int C)
{
    VIEW(x);
    VIEW(partial);
    const ulong begin = get_group_id(0) * block_rows, end = min(rows, begin + block_rows);
    const ulong strip = STRIP_ROWS(C);
    partial += get_group_id(0) * 3 * (ulong)C;
    for (ulong r = begin; r < end; r += strip) {
        const int n = (int)min(strip, end - r);
        const float before = (float)(r - begin);
#define AT(i, m)                                                                                   \
    add_strip(x + r * (ulong)C + i, load_lanes(x + i, m), partial + i, n, before, C, m)
        EACH_LANES(0, C, AT);
#undef AT
    }
#define AT(i, m)                                                                                   \
    do {                                                                                           \
        store_lanes((floatl)(float)(end - begin), partial + i, m);                                 \
        if (end == rows) store_lanes(load_lanes(x + i, m), partial + 3 * C + i, m);                \
    } while (0)
    EACH_LANES(0, C, AT);
#undef AT
}
#endif

// Merges the blocks (K: the first one's mean). Running statistics move by `momentum` towards mean and
// unbiased variance; counter (may be absent) goes up by one. factor [C] = gamma / sqrt(var + eps), when
// has_factor. came_with_x: means are of x itself.
REDUCE_KERNEL void batch_norm_merge(ARG(const float, partial), ARG(const float, gamma),
                                    ARG(float, mean), ARG(float, invstd), ARG(float, running_mean),
                                    ARG(float, running_var), ARG(float, counter),
                                    ARG(float, factor), const ulong rows, const ulong blocks,
                                    const int C, const float eps, const float momentum,
                                    const int came_with_x, const int has_counter,
                                    const int has_factor)
{
    VIEW(partial);
    VIEW(gamma);
    VIEW(mean);
    VIEW(invstd);
    VIEW(running_mean);
    VIEW(running_var);
    VIEW(counter);
    VIEW(factor);
    REDUCE_PLACE;
    partial += c;
    const floatl K = load_lanes(partial + C, m);
    floatl sum = 0.0f;
    for (ulong b = FIRST; b < blocks; b += STEP)
        sum += load_lanes(partial + b * 3 * (ulong)C, m) *
               (load_lanes(partial + (b * 3 + 1) * (ulong)C, m) - K);
    const floatl middle = TOTAL(sum) / (float)rows;
    floatl squares = 0.0f;
    for (ulong b = FIRST; b < blocks; b += STEP) {
        const floatl d = load_lanes(partial + (b * 3 + 1) * (ulong)C, m) - K - middle;
        squares += load_lanes(partial + (b * 3 + 2) * (ulong)C, m) +
                   d * d * load_lanes(partial + b * 3 * (ulong)C, m);
    }
    squares = TOTAL(squares);
    if (!IS_WRITER) return;
    floatl origin = 0.0f;
    if (!came_with_x) origin = load_lanes(partial + blocks * 3 * (ulong)C, m);
    const floatl average = origin + (K + middle);
    const floatl inverse = 1.0f / sqrt(squares / (float)rows + eps);
    store_lanes(average, mean + c, m);
    store_lanes(inverse, invstd + c, m);
    if (has_factor) store_lanes(inverse * load_lanes(gamma + c, m), factor + c, m);
    const floatl old_mean = load_lanes(running_mean + c, m);
    const floatl old_var = load_lanes(running_var + c, m);
    const floatl unbiased = squares / (float)(rows - 1);
    store_lanes((1.0f - momentum) * old_mean + momentum * average, running_mean + c, m);
    store_lanes((1.0f - momentum) * old_var + momentum * unbiased, running_var + c, m);
    if (has_counter && c == 0) counter[0] += 1.0f;
}

// ---- scale and shift ----------------------------------------------------------------------------

#define HAS_CENTRE 1
#define HAS_SHIFT 2

// y (+)= act((x - centre[c]) scale[c] + shift[c])
LANES_KERNEL void channel_affine_fwd(ARG(const float, x), ARG(const float, centre),
                                     ARG(const float, scale), ARG(const float, shift),
                                     ARG(float, y), const ulong rows, const int per_item,
                                     const int C, const int parts, const int accumulate,
                                     const int act, const float alpha)
{
    VIEW(x);
    VIEW(centre);
    VIEW(scale);
    VIEW(shift);
    VIEW(y);
#define AFFINE(n, c, m, ACT, CENTRE, SHIFT)                                                        \
    put_lanes(activate_l(fma(load_lanes(x + (n) * (ulong)C + (c), m) - (CENTRE),                   \
                             load_lanes(scale + (c), m), (SHIFT)),                                 \
                         ACT, alpha),                                                              \
              y + (n) * (ulong)C + (c), m, accumulate)
    if (parts == (HAS_CENTRE | HAS_SHIFT) && act == ACT_NONE) {
#define AT(n, h, w, c, m)                                                                          \
    AFFINE(n, c, m, ACT_NONE, load_lanes(centre + (c), m), load_lanes(shift + (c), m))
        EACH_OUTPUT(1, 1);
#undef AT
    } else if (parts == (HAS_CENTRE | HAS_SHIFT) && act == ACT_RELU) {
#define AT(n, h, w, c, m)                                                                          \
    AFFINE(n, c, m, ACT_RELU, load_lanes(centre + (c), m), load_lanes(shift + (c), m))
        EACH_OUTPUT(1, 1);
#undef AT
    } else {
#define AT(n, h, w, c, m)                                                                          \
    AFFINE(n, c, m, act, parts &HAS_CENTRE ? load_lanes(centre + (c), m) : (floatl)0.0f,           \
           parts &HAS_SHIFT ? load_lanes(shift + (c), m) : (floatl)0.0f)
        EACH_OUTPUT(1, 1);
#undef AT
    }
#undef AFFINE
}

// ---- gradients ----------------------------------------------------------------------------------

// A gradient g that arrives at act(y), y = (x - centre) factor + shift, goes on as g act'(act(y)).
INLINE floatl through(floatl g, floatl deviation, floatl factor, floatl shift, const int act,
                      const float alpha)
{
    const floatl y = activate_l(fma(deviation, factor, shift), act, alpha);
    return g * activate_grad_l(y, act, alpha);
}

// The numbers of m channels from c on, of a load that may not exist.
#define MAY_LOAD_CHANNELS(exists, c, m)                                                            \
    const floatl factor = exists ? load_lanes(load_inverse + (c), m) *                             \
                                       load_lanes(load_scale + (c), m)                             \
                                 : (floatl)0.0f;                                                   \
    const floatl shift = exists ? load_lanes(load_shift + (c), m) : (floatl)0.0f

// sums [2][C] (+)= sum g, sum g (x - mean) of n rows of m channels; fresh: =.
INLINE void add_sums(global const float *dy, global const float *x, global float *sums,
                     const floatl mean, const floatl factor, const floatl shift, const int n,
                     const int C, const int m, const int fresh, const int exists, const int act,
                     const float alpha)
{
    floatl sum[2] = {0.0f, 0.0f}, product[2] = {0.0f, 0.0f};
#define ADD_ROW(r, i)                                                                              \
    do {                                                                                           \
        const ulong at = (ulong)(r) * (ulong)C;                                                    \
        const floatl d = load_lanes(x + at, m) - mean;                                             \
        floatl g = load_lanes(dy + at, m);                                                         \
        if (exists) g = through(g, d, factor, shift, act, alpha);                                  \
        sum[i] += g;                                                                               \
        product[i] = fma(g, d, product[i]);                                                        \
    } while (0)
    int r = 0;
    for (; r + 2 <= n; r += 2) {
        ADD_ROW(r, 0);
        ADD_ROW(r + 1, 1);
    }
    if (r < n) ADD_ROW(r, 0);
#undef ADD_ROW
    put_lanes(sum[0] + sum[1], sums, m, !fresh);
    put_lanes(product[0] + product[1], sums + C, m, !fresh);
}

// partial [block][2][C]: sum g, sum g (x - centre), g being dy, or with a load dy act'; centre may be
// absent (0).
REDUCE_KERNEL void channel_sums(ARG(const float, dy), ARG(const float, x), ARG(const float, centre),
                                ARG(float, partial), LOAD_ARGS, const ulong rows,
                                const ulong block_rows, const int C, const int has_centre)
{
    VIEW(dy);
    VIEW(x);
    VIEW(centre);
    VIEW(partial);
    LOAD_VIEWS;
#ifdef STYLE_GPU
    REDUCE_PLACE;
    const ulong block = get_group_id(0) / tiles;
    const ulong begin = block * block_rows, end = min(rows, begin + block_rows);
    const floatl mean = has_centre ? load_lanes(centre + c, m) : (floatl)0.0f;
    MAY_LOAD_CHANNELS(load_exists, c, m);
    floatl sum = 0.0f, product = 0.0f;
    x += c;
    dy += c;
    EACH_ROW(
        floatl part = 0.0f; floatl part_product = 0.0f,
        {
            const floatl d = load_lanes(x + r * (ulong)C, m) - mean;
            floatl g = load_lanes(dy + r * (ulong)C, m);
            if (load_exists) g = through(g, d, factor, shift, load_act, load_alpha);
            part += g;
            part_product += g * d;
        },
        sum += part;
        product += part_product)
    sum = TOTAL(sum);
    product = TOTAL(product);
    if (IS_WRITER) {
        partial += block * 2 * (ulong)C + (ulong)c;
        store_lanes(sum, partial, m);
        store_lanes(product, partial + C, m);
    }
#else
    const ulong begin = get_group_id(0) * block_rows, end = min(rows, begin + block_rows);
    const ulong strip = STRIP_ROWS(C);
    partial += get_group_id(0) * 2 * (ulong)C;
    for (ulong r = begin; r < end; r += strip) {
        const int n = (int)min(strip, end - r);
#define SUMS(c, m, exists, act)                                                                    \
    do {                                                                                           \
        const floatl mean = has_centre ? load_lanes(centre + (c), m) : (floatl)0.0f;               \
        MAY_LOAD_CHANNELS(exists, c, m);                                                           \
        add_sums(dy + r * (ulong)C + (c), x + r * (ulong)C + (c), partial + (c), mean, factor,     \
                 shift, n, C, m, r == begin, exists, act, load_alpha);                             \
    } while (0)
        if (!load_exists) {
#define AT(c, m) SUMS(c, m, 0, ACT_NONE)
            EACH_LANES(0, C, AT);
#undef AT
        } else if (load_act == ACT_RELU) {
#define AT(c, m) SUMS(c, m, 1, ACT_RELU)
            EACH_LANES(0, C, AT);
#undef AT
        } else {
#define AT(c, m) SUMS(c, m, 1, load_act)
            EACH_LANES(0, C, AT);
#undef AT
        }
#undef SUMS
    }
#endif
}

INLINE floatl sum_blocks(global const float *partial, ulong blocks, int C, int first, int step,
                         const int m)
{
    floatl total = 0.0f;
    for (ulong b = (ulong)first; b < blocks; b += (ulong)step)
        total += load_lanes(partial + b * 2 * (ulong)C, m);
    return total;
}

// dscale = sum dy x, dshift = sum dy.
REDUCE_KERNEL void channel_affine_merge(ARG(const float, partial), ARG(float, dscale),
                                        ARG(float, dshift), const ulong blocks, const int C)
{
    VIEW(partial);
    VIEW(dscale);
    VIEW(dshift);
    REDUCE_PLACE;
    const floatl sum = TOTAL(sum_blocks(partial + c, blocks, C, FIRST, STEP, m));
    const floatl product = TOTAL(sum_blocks(partial + C + c, blocks, C, FIRST, STEP, m));
    if (IS_WRITER) {
        store_lanes(product, dscale + c, m);
        store_lanes(sum, dshift + c, m);
    }
}

// dgamma = invstd sum dy (x - mean), dbeta = sum dy; and, for dx, coefficients [3][C]:
// gamma invstd, dbeta / rows, invstd dgamma / rows.
REDUCE_KERNEL void batch_norm_merge_grad(ARG(const float, partial), ARG(const float, gamma),
                                         ARG(const float, invstd), ARG(float, dgamma),
                                         ARG(float, dbeta), ARG(float, coefficients),
                                         const ulong rows, const ulong blocks, const int C)
{
    VIEW(partial);
    VIEW(gamma);
    VIEW(invstd);
    VIEW(dgamma);
    VIEW(dbeta);
    VIEW(coefficients);
    REDUCE_PLACE;
    const floatl sum = TOTAL(sum_blocks(partial + c, blocks, C, FIRST, STEP, m));
    const floatl product = TOTAL(sum_blocks(partial + C + c, blocks, C, FIRST, STEP, m));
    if (!IS_WRITER) return;
    const floatl inverse = load_lanes(invstd + c, m);
    const floatl slope = inverse * product;
    store_lanes(slope, dgamma + c, m);
    store_lanes(sum, dbeta + c, m);
    coefficients += c;
    store_lanes(inverse * load_lanes(gamma + c, m), coefficients, m);
    store_lanes(sum / (float)rows, coefficients + C, m);
    store_lanes(inverse * slope / (float)rows, coefficients + 2 * C, m);
}

// dx (+)= gamma invstd (g - dbeta / rows - (x - mean) invstd dgamma / rows), g as in channel_sums.
LANES_KERNEL void batch_norm_dx(ARG(const float, dy), ARG(const float, x), ARG(const float, mean),
                                ARG(const float, coefficients), ARG(float, dx), LOAD_ARGS,
                                const ulong rows, const int per_item, const int C,
                                const int accumulate)
{
    VIEW(dy);
    VIEW(x);
    VIEW(mean);
    VIEW(coefficients);
    VIEW(dx);
    LOAD_VIEWS;
#define DX(n, c, m, exists, act)                                                                   \
    do {                                                                                           \
        const ulong at = (n) * (ulong)C + (ulong)(c);                                              \
        const floatl d = load_lanes(x + at, m) - load_lanes(mean + (c), m);                        \
        floatl g = load_lanes(dy + at, m);                                                         \
        MAY_LOAD_CHANNELS(exists, c, m);                                                           \
        if (exists) g = through(g, d, factor, shift, act, load_alpha);                             \
        put_lanes(load_lanes(coefficients + (c), m) *                                              \
                      (g - load_lanes(coefficients + C + (c), m) -                                 \
                       d * load_lanes(coefficients + 2 * C + (c), m)),                             \
                  dx + at, m, accumulate);                                                         \
    } while (0)
    if (!load_exists) {
#define AT(n, h, w, c, m) DX(n, c, m, 0, ACT_NONE)
        EACH_OUTPUT(1, 1);
#undef AT
    } else if (load_act == ACT_RELU && !accumulate) {
#define AT(n, h, w, c, m) DX(n, c, m, 1, ACT_RELU)
        EACH_OUTPUT(1, 1);
#undef AT
    } else {
#define AT(n, h, w, c, m) DX(n, c, m, 1, load_act)
        EACH_OUTPUT(1, 1);
#undef AT
    }
}

// ---- frozen statistics: folded into scale and shift ---------------------------------------------

// scale = gamma / sqrt(var + eps), shift = beta - mean scale; n channels.
LANES_KERNEL void bn_fold_fwd(ARG(const float, gamma), ARG(const float, beta),
                              ARG(const float, mean), ARG(const float, var), ARG(float, scale),
                              ARG(float, shift), const ulong n, const int span, const float eps)
{
    VIEW(gamma);
    VIEW(beta);
    VIEW(mean);
    VIEW(var);
    VIEW(scale);
    VIEW(shift);
    const ulong begin = get_global_id(0) * (ulong)span;
    for (ulong c = begin; c < min(n, begin + (ulong)span); c += LANES) {
        const int m = (int)min((ulong)LANES, n - c);
        const floatl s = load_lanes(gamma + c, m) / sqrt(load_lanes(var + c, m) + eps);
        store_lanes(s, scale + c, m);
        store_lanes(load_lanes(beta + c, m) - load_lanes(mean + c, m) * s, shift + c, m);
    }
}

// dgamma = (dscale - dshift mean) / sqrt(var + eps); an absent gradient counts as 0.
LANES_KERNEL void bn_fold_bwd(ARG(const float, mean), ARG(const float, var),
                              ARG(const float, dscale), ARG(const float, dshift),
                              ARG(float, dgamma), const ulong n, const int span, const float eps,
                              const int has_scale, const int has_shift)
{
    VIEW(mean);
    VIEW(var);
    VIEW(dscale);
    VIEW(dshift);
    VIEW(dgamma);
    const ulong begin = get_global_id(0) * (ulong)span;
    for (ulong c = begin; c < min(n, begin + (ulong)span); c += LANES) {
        const int m = (int)min((ulong)LANES, n - c);
        floatl d = 0.0f;
        if (has_scale) d = load_lanes(dscale + c, m);
        if (has_shift) d -= load_lanes(dshift + c, m) * load_lanes(mean + c, m);
        store_lanes(d / sqrt(load_lanes(var + c, m) + eps), dgamma + c, m);
    }
}
