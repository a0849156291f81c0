// mix.cl: linear combinations of tensors of one shape: y[o] = sum_s w[o][s] x[s], with a weight for
// each pair of tensors, or one per channel of the last axis. Each launch reads MIX_IN tensors and
// writes MIX_OUT, every element once; unused operands are given some valid buffer.
//
// The weight of output o and input s is element w_first + o out_step + s in_step (+ c).

#ifndef MIX_IN
#define MIX_IN 2
#endif
#ifndef MIX_OUT
#define MIX_OUT 2
#endif

#define EACH_IN _Pragma("unroll") for (int s = 0; s < MIX_IN; s++)
#define EACH_OUT _Pragma("unroll") for (int o = 0; o < MIX_OUT; o++)

#define MIX_ARGS                                                                                   \
    ARG(const float, x0), ARG(const float, x1), ARG(const float, x2), ARG(const float, x3),        \
        ARG(float, y0), ARG(float, y1), ARG(float, y2), ARG(float, y3), ARG(const float, w),       \
        const int w_first, const int in_step, const int out_step
#define MIX_VIEWS                                                                                  \
    VIEW(x0);                                                                                      \
    VIEW(x1);                                                                                      \
    VIEW(x2);                                                                                      \
    VIEW(x3);                                                                                      \
    VIEW(y0);                                                                                      \
    VIEW(y1);                                                                                      \
    VIEW(y2);                                                                                      \
    VIEW(y3);                                                                                      \
    VIEW(w);                                                                                       \
    w += w_first;                                                                                  \
    global const float *const x[4] = {x0, x1, x2, x3};                                             \
    global float *const y[4] = {y0, y1, y2, y3}

// y (+)= sum of the inputs times their weights: floats, or vectors of neighbouring channels
#define COMBINE(i, m, weights)                                                                     \
    do {                                                                                           \
        floatl in[MIX_IN];                                                                         \
        EACH_IN in[s] = load_lanes(x[s] + (i), m);                                                 \
        EACH_OUT                                                                                   \
        {                                                                                          \
            floatl sum = weights[o][0] * in[0];                                                    \
            _Pragma("unroll") for (int s = 1; s < MIX_IN; s++) sum += weights[o][s] * in[s];       \
            put_lanes(sum, y[o] + (i), m, accumulate);                                             \
        }                                                                                          \
    } while (0)

// A weight for each pair. Flat: a work-item has `span` elements.
LANES_KERNEL void mix_fwd(MIX_ARGS, const ulong n, const int span, const int accumulate)
{
    MIX_VIEWS;
    float weights[MIX_OUT][MIX_IN];
    EACH_OUT EACH_IN weights[o][s] = w[o * out_step + s * in_step];
#define BODY(i, m) COMBINE(i, m, weights)
    EACH_LANES(min(n, (ulong)get_global_id(0) * (ulong)span),
               min(n, ((ulong)get_global_id(0) + 1) * (ulong)span), BODY);
#undef BODY
}

// A weight per channel. CPU style: a work-item has `per_item` rows, and goes down them by groups of
// channels, whose weights stay in registers. GPU style: one element.
LANES_KERNEL void mix_fwd_channels(MIX_ARGS, const ulong rows, const int per_item, const int C,
                                   const int accumulate)
{
    MIX_VIEWS;
#ifdef STYLE_GPU
    const ulong begin = get_global_id(0) / (ulong)C, end = begin + 1;
    const int first = (int)(get_global_id(0) % (ulong)C), last = first + 1;
    if (begin >= rows) return;
#else
    const ulong begin = get_global_id(0) * (ulong)per_item, end = min(rows, begin + per_item);
    const int first = 0, last = C;
#endif
    for (int c = first; c < last; c += LANES) {
        const int m = min(LANES, last - c);
        floatl weights[MIX_OUT][MIX_IN];
        EACH_OUT EACH_IN weights[o][s] = load_lanes(w + o * out_step + s * in_step + c, m);
        for (ulong row = begin; row < end; row++) COMBINE(row * (ulong)C + c, m, weights);
    }
}

// part[pair][block][c] = sum over the block's rows of dy[o] x[s], pair = o in_pairs + first + s: the parts
// of the weights' gradients. A work-item has the LANES channels from c of one block.
LANES_KERNEL void mix_bwd(ARG(const float, x0), ARG(const float, x1), ARG(const float, x2),
                          ARG(const float, x3), ARG(const float, d0), ARG(const float, d1),
                          ARG(const float, d2), ARG(const float, d3), ARG(float, part),
                          const ulong rows, const int C, const int block_rows, const int blocks,
                          const int first, const int in_pairs)
{
    VIEW(x0);
    VIEW(x1);
    VIEW(x2);
    VIEW(x3);
    VIEW(d0);
    VIEW(d1);
    VIEW(d2);
    VIEW(d3);
    VIEW(part);
    global const float *const x[4] = {x0, x1, x2, x3};
    global const float *const d[4] = {d0, d1, d2, d3};
    const int groups = (C + LANES - 1) / LANES;
    const ulong block = get_global_id(0) / (ulong)groups;
    const int c = (int)(get_global_id(0) % (ulong)groups) * LANES, m = min(LANES, C - c);
    if (block >= (ulong)blocks) return;
    const ulong begin = block * (ulong)block_rows, end = min(rows, begin + block_rows);
    floatl sums[MIX_OUT][MIX_IN];
    EACH_OUT EACH_IN sums[o][s] = (floatl)(0.0f);
    for (ulong row = begin; row < end; row++) {
        floatl in[MIX_IN];
        EACH_IN in[s] = load_lanes(x[s] + row * (ulong)C + c, m);
        EACH_OUT
        {
            const floatl dy = load_lanes(d[o] + row * (ulong)C + c, m);
            EACH_IN sums[o][s] += dy * in[s];
        }
    }
    EACH_OUT EACH_IN store_lanes(
        sums[o][s], part + ((ulong)(o * in_pairs + first + s) * blocks + block) * (ulong)C + c, m);
}

// y[(row columns + column) width + c] (+)= sum of the n entries part[pair][..][c]; 0 outside of the
// pairs' rows and columns. A work-item has one entry of y.
kernel void mix_sum(ARG(const float, part), ARG(float, y), const int entries, const int n,
                    const int width, const int columns, const int first_row, const int pair_rows,
                    const int first_column, const int pair_columns, const int transposed,
                    const int accumulate)
{
    VIEW(part);
    VIEW(y);
    const int i = get_global_id(0);
    if (i >= entries) return;
    const int c = i % width, column = i / width % columns - first_column;
    const int row = i / width / columns - first_row;
    float total = 0.0f;
    if (row >= 0 && row < pair_rows && column >= 0 && column < pair_columns) {
        const int pair = transposed ? column * pair_rows + row : row * pair_columns + column;
        const global float *from = part + (ulong)pair * n * (ulong)width + c;
        float carry = 0.0f; // Kahan: there may be many entries of either sign
        for (int k = 0; k < n; k++) {
            const float value = from[(ulong)k * width] - carry, sum = total + value;
            carry = (sum - total) - value;
            total = sum;
        }
    }
    y[i] = accumulate ? y[i] + total : total;
}
