// optim.cl: optimisers over flat buffers. A team handles one block of at most `block` elements of one
// segment. Every block of a chunk is in `blocks`, four ulongs each:
//   element offset in the flat buffers, element offset in the state, elements, segment row.
// rows holds ROW floats per learnt segment, written anew each step:
//   flags (bits: 1 takes part, 2 first step, 4 decays to its anchor), learning rate, decay, step size,
//   sqrt of bias correction 2.
// anchor: lies as the state does; what weights decay to (L2-SP) in place of 0.
// Blocks of segments that do not take part only write a zero to the norm's partial sums.
//
// result: the gradients' norm, the clip factor. partial[2][blocks]: sums of squares (two-float).

#define ROW 8
#define TAKES_PART 1
#define FIRST_STEP 2
#define ANCHORED 4

typedef struct {
    ulong flat, state;
    int n, flags;
    global const float *row;
} work;

static inline work work_of(global const ulong *blocks, global const float *rows)
{
    global const ulong *b = blocks + 4 * TEAM_ID;
    work w;
    w.flat = b[0];
    w.state = b[1];
    w.n = (int)b[2];
    w.row = rows + ROW * b[3];
    w.flags = (int)w.row[0];
    return w;
}

// Where this pass reads gradients: the flat gradients, or the sums of several micro-batches, which
// lie as the state does.
static inline global const float *gradient_of(work w, global const float *g, int summed)
{
    return g + (summed ? w.state : w.flat);
}

static inline void store_squares(team_sum sum, global float *partial, int first, int total,
                                 local float2 *scratch)
{
    const float2 t = team_total(sum, scratch);
    if (TEAM_FIRST) {
        partial[first + TEAM_ID] = t.x;
        partial[total + first + TEAM_ID] = t.y;
    }
}

// sum = g, or sum += g.
TEAM_KERNEL void optim_accumulate(ARG(const float, grad), ARG(float, sum), ARG(const ulong, blocks),
                                  ARG(const float, rows))
{
    VIEW(grad);
    VIEW(sum);
    VIEW(blocks);
    VIEW(rows);
    const work w = work_of(blocks, rows);
    if (!(w.flags & TAKES_PART)) return;
    for (int i = 0; i < w.n; i += TEAM) {
        floatl v = team_load(grad + w.flat + i, w.n - i, 0.0f);
        if (!(w.flags & FIRST_STEP)) v += team_load(sum + w.state + i, w.n - i, 0.0f);
        team_store(v, sum + w.state + i, w.n - i);
    }
}

TEAM_KERNEL void optim_norm(ARG(const float, grad), ARG(const ulong, blocks), ARG(const float, rows),
                            ARG(float, partial), const int first, const int total, const int summed,
                            const float scale)
{
    VIEW(grad);
    VIEW(blocks);
    VIEW(rows);
    VIEW(partial);
    TEAM_LOCAL(scratch);
    const work w = work_of(blocks, rows);
    global const float *from = gradient_of(w, grad, summed);
    const int n = w.flags & TAKES_PART ? w.n : 0;
    team_sum squares = {0.0f, 0.0f};
    for (int i = 0; i < n; i += TEAM) {
        const floatl g = scale * team_load(from + i, n - i, 0.0f);
        team_add(&squares, g * g);
    }
    store_squares(squares, partial, first, total, scratch);
}

// One team. The factor is torch.nn.utils.clip_grad_norm_'s; a NaN norm stays NaN. clip 0: factor 1.
TEAM_KERNEL void optim_norm_finish(ARG(const float, partial), ARG(float, result), const int total,
                                   const float clip)
{
    VIEW(partial);
    VIEW(result);
    TEAM_LOCAL(scratch);
    team_sum squares = {0.0f, 0.0f};
    for (int i = 0; i < total; i += TEAM) {
        team_add(&squares, team_load(partial + i, total - i, 0.0f));
        squares.e += team_load(partial + total + i, total - i, 0.0f);
    }
    const float2 sum = team_total(squares, scratch);
    if (TEAM_FIRST) {
        const float norm = sqrt(sum.x + sum.y), factor = clip / (norm + 1e-6f);
        result[0] = norm;
        result[1] = clip == 0.0f || factor > 1.0f ? 1.0f : factor;
    }
}

// What every update does first: gradient of TEAM elements, its square, clipping.
static inline floatl read_gradient(global const float *from, int left, float scale, float factor,
                                   float clip_value, team_sum *squares)
{
    floatl g = scale * team_load(from, left, 0.0f);
    team_add(squares, g * g);
    g *= factor;
    if (clip_value > 0.0f) g = select(clamp(g, -clip_value, clip_value), g, isnan(g));
    return g;
}

// What weights decay to.
static inline floatl anchor_of(work w, global const float *anchor, int i)
{
    if (!(w.flags & ANCHORED)) return 0.0f;
    return team_load(anchor + w.state + i, w.n - i, 0.0f);
}

// torch.optim.SGD: g += decay (p - anchor); buf = first ? g : momentum buf + (1 - dampening) g;
// g = nesterov ? g + momentum buf : buf; p -= lr g. Without momentum buf is not touched.
TEAM_KERNEL void optim_sgd(ARG(const float, grad), ARG(float, param), ARG(float, buf),
                           ARG(const float, anchor), ARG(const ulong, blocks), ARG(const float, rows),
                           ARG(const float, result), ARG(float, partial), const int first,
                           const int total, const int summed, const float scale,
                           const float clip_value, const float momentum, const float dampened,
                           const int nesterov)
{
    VIEW(grad);
    VIEW(param);
    VIEW(buf);
    VIEW(anchor);
    VIEW(blocks);
    VIEW(rows);
    VIEW(result);
    VIEW(partial);
    TEAM_LOCAL(scratch);
    const work w = work_of(blocks, rows);
    global const float *from = gradient_of(w, grad, summed);
    global float *p = param + w.flat, *b = buf + w.state;
    const int n = w.flags & TAKES_PART ? w.n : 0;
    const float lr = w.row[1], decay = w.row[2], factor = result[1];
    team_sum squares = {0.0f, 0.0f};
    for (int i = 0; i < n; i += TEAM) {
        floatl g = read_gradient(from + i, n - i, scale, factor, clip_value, &squares);
        const floatl value = team_load(p + i, n - i, 0.0f);
        g += decay * (value - anchor_of(w, anchor, i));
        if (momentum != 0.0f) {
            floatl v = g;
            if (!(w.flags & FIRST_STEP)) v = momentum * team_load(b + i, n - i, 0.0f) + dampened * g;
            team_store(v, b + i, n - i);
            if (nesterov)
                g += momentum * v;
            else
                g = v;
        }
        team_store(value - lr * g, p + i, n - i);
    }
    if (first >= 0) store_squares(squares, partial, first, total, scratch);
}

// torch.optim.Adam (Kingma, Ba, ICLR 2015), AdamW (Loshchilov, Hutter, ICLR 2019) when decoupled:
// p = anchor + decay (p - anchor), decay = 1 - lr weight decay; otherwise g += decay (p - anchor). Then
// m += (1 - beta1) (g - m); v = beta2 v + (1 - beta2) g^2; p -= step m / (sqrt(v) / root + eps).
TEAM_KERNEL void optim_adam(ARG(const float, grad), ARG(float, param), ARG(float, mean),
                            ARG(float, square), ARG(const float, anchor), ARG(const ulong, blocks),
                            ARG(const float, rows), ARG(const float, result), ARG(float, partial),
                            const int first, const int total, const int summed, const float scale,
                            const float clip_value, const float beta1, const float rest1,
                            const float beta2, const float rest2, const float eps,
                            const int decoupled)
{
    VIEW(grad);
    VIEW(param);
    VIEW(mean);
    VIEW(square);
    VIEW(anchor);
    VIEW(blocks);
    VIEW(rows);
    VIEW(result);
    VIEW(partial);
    TEAM_LOCAL(scratch);
    const work w = work_of(blocks, rows);
    global const float *from = gradient_of(w, grad, summed);
    global float *p = param + w.flat, *ms = mean + w.state, *vs = square + w.state;
    const int n = w.flags & TAKES_PART ? w.n : 0;
    const float decay = w.row[2], step = w.row[3], root = w.row[4], factor = result[1];
    team_sum squares = {0.0f, 0.0f};
    for (int i = 0; i < n; i += TEAM) {
        floatl g = read_gradient(from + i, n - i, scale, factor, clip_value, &squares);
        floatl value = team_load(p + i, n - i, 0.0f);
        floatl m = team_load(ms + i, n - i, 0.0f), v = team_load(vs + i, n - i, 0.0f);
        const floatl start = anchor_of(w, anchor, i);
        if (decoupled)
            value = start + decay * (value - start);
        else
            g += decay * (value - start);
        // As torch's lerp: from the nearer end.
        if (rest1 < 0.5f)
            m += rest1 * (g - m);
        else
            m = g - beta1 * (g - m);
        v = beta2 * v + rest2 * g * g;
        team_store(m, ms + i, n - i);
        team_store(v, vs + i, n - i);
        team_store(value - step * m / (sqrt(v) / root + eps), p + i, n - i);
    }
    if (first >= 0) store_squares(squares, partial, first, total, scratch);
}
