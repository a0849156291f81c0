// loss.cl: softmax, log-softmax and all losses, forward and backward. Written with the teams of
// common.cl, so that one text serves both styles.
//
// Rows: x is [rows][C], one row per sample or pixel. A team owns `block` consecutive rows (a function
// of the shape only).
//   *_rows (C <= ROW_MAX): every lane works on its own row, TEAM rows at a time.
//   *_wide: the team works on one row at a time, its lanes side by side along C.
// Losses: each team writes its sums as two-float pairs to partial[4][teams] (loss sum, its
// compensation, weight, its compensation); loss_finish adds them up in a fixed order. Backward passes
// multiply by dloss / weight on the device; weight 0 gives exact zeros.

#ifndef ROW_MAX
#define ROW_MAX 64
#endif

#define HAS_WEIGHTS 1
#define LOG_PROBS 2 // x already holds log-probabilities (NLL)

// Column c of n rows, a row per lane; lanes behind n repeat the last row.
static inline floatl row_gather(global const float *x, int n, int C, int c)
{
#ifdef STYLE_GPU
    /* Items beyond the rows must not read a row that another one may be overwriting (in place). */
    return TEAM_LANE < n ? x[(ulong)TEAM_LANE * C + c] : 0.0f;
#else
    float lane[VW];
    if (n >= VW)
        for (int i = 0; i < VW; i++) lane[i] = x[(long)i * C + c];
    else
        for (int i = 0; i < VW; i++) lane[i] = x[(long)min(i, n - 1) * C + c];
    return VLOAD(0, lane);
#endif
}

static inline void row_scatter(floatl v, global float *y, int n, int C, int c)
{
#ifdef STYLE_GPU
    if (TEAM_LANE < n) y[(ulong)TEAM_LANE * C + c] = v;
#else
    float lane[VW];
    VSTORE(v, 0, lane);
    if (n >= VW)
        for (int i = 0; i < VW; i++) y[(long)i * C + c] = lane[i];
    else
        for (int i = 0; i < n; i++) y[(long)i * C + c] = lane[i];
#endif
}

// p[i] per lane; every i must be inside.
static inline floatl lookup(global const float *p, intl i)
{
#ifdef STYLE_GPU
    return p[i];
#else
    int at[VW];
    float lane[VW];
    VSTORE(i, 0, at);
    for (int k = 0; k < VW; k++) lane[k] = p[at[k]];
    return VLOAD(0, lane);
#endif
}

// CPU style keeps a group of columns in registers or cache between passes; GPU style reads again.
#ifdef STYLE_GPU
#define COLUMNS(name)
#define KEEP(name, c, v)
#define KEPT(name, c, again) (again)
#else
#define COLUMNS(name) floatl name[ROW_MAX]
#define KEEP(name, c, v) name[c] = (v)
#define KEPT(name, c, again) name[c]
#endif

// Largest element of one row, and sum of exp(v - m), by the whole team.
static inline float wide_max(global const float *x, int C, local float2 *scratch)
{
    floatl m = -INFINITY;
    for (int c = 0; c < C; c += TEAM) m = fmax(m, team_load(x + c, C - c, -INFINITY));
    return team_max(m, scratch);
}
static inline float wide_total(floatl v, local float2 *scratch)
{
    team_sum sum = {v, 0.0f};
    const float2 total = team_total(sum, scratch);
    return total.x + total.y;
}
static inline float wide_exp_sum(global const float *x, int C, float m, local float2 *scratch)
{
    floatl s = 0.0f;
    for (int c = 0; c < C; c += TEAM) s += exp(team_load(x + c, C - c, -INFINITY) - m);
    return wide_total(s, scratch);
}

// ---- softmax -------------------------------------------------------------------------------------

// y of one element, from d = x - max; s is the row's sum of exp(x - max).
static inline floatl softmax_of(floatl d, floatl s, int log_form)
{
    if (log_form) return d - log(s);
    return exp(d) / s;
}
// softmax: dx = y (dy - sum dy y); log-softmax: dx = dy - exp(y) sum dy.
static inline floatl softmax_bwd_term(floatl y, floatl dy, int log_form)
{
    if (log_form) return dy;
    return dy * y;
}
static inline floatl softmax_bwd_of(floatl y, floatl dy, floatl s, int log_form)
{
    if (log_form) return dy - exp(y) * s;
    return y * (dy - s);
}

TEAM_KERNEL void softmax_fwd_rows(ARG(const float, x), ARG(float, y), const ulong rows, const int C,
                                  const int block, const int log_form)
{
    VIEW(x);
    VIEW(y);
    TEAM_RANGE(rows);
    COLUMNS(col);
    for (ulong r = begin; r < end; r += TEAM) {
        const int n = TEAM_LEFT(r, end);
        global const float *in = x + r * C;
        floatl m = -INFINITY, s = 0.0f;
        for (int c = 0; c < C; c++) {
            const floatl v = row_gather(in, n, C, c);
            KEEP(col, c, v);
            m = fmax(m, v);
        }
        for (int c = 0; c < C; c++) s += exp(KEPT(col, c, row_gather(in, n, C, c)) - m);
        for (int c = 0; c < C; c++) {
            const floatl d = KEPT(col, c, row_gather(in, n, C, c)) - m;
            row_scatter(softmax_of(d, s, log_form), y + r * C, n, C, c);
        }
    }
}

TEAM_KERNEL void softmax_fwd_wide(ARG(const float, x), ARG(float, y), const ulong rows, const int C,
                                  const int block, const int log_form)
{
    VIEW(x);
    VIEW(y);
    TEAM_LOCAL(scratch);
    TEAM_RANGE(rows);
    for (ulong r = begin; r < end; r++) {
        global const float *in = x + r * C;
        global float *out = y + r * C;
        const float m = wide_max(in, C, scratch);
        const float s = wide_exp_sum(in, C, m, scratch);
        for (int c = 0; c < C; c += TEAM)
            team_store(softmax_of(team_load(in + c, C - c, 0.0f) - m, s, log_form), out + c, C - c);
    }
}

TEAM_KERNEL void softmax_bwd_rows(ARG(const float, y), ARG(const float, dy), ARG(float, dx),
                                  const ulong rows, const int C, const int block, const int log_form)
{
    VIEW(y);
    VIEW(dy);
    VIEW(dx);
    TEAM_RANGE(rows);
    for (ulong r = begin; r < end; r += TEAM) {
        const int n = TEAM_LEFT(r, end);
        global const float *yr = y + r * C, *dyr = dy + r * C;
        floatl s = 0.0f;
        for (int c = 0; c < C; c++) {
            const floatl d = row_gather(dyr, n, C, c);
            s += softmax_bwd_term(row_gather(yr, n, C, c), d, log_form);
        }
        for (int c = 0; c < C; c++) {
            const floatl v = row_gather(yr, n, C, c), d = row_gather(dyr, n, C, c);
            row_scatter(softmax_bwd_of(v, d, s, log_form), dx + r * C, n, C, c);
        }
    }
}

TEAM_KERNEL void softmax_bwd_wide(ARG(const float, y), ARG(const float, dy), ARG(float, dx),
                                  const ulong rows, const int C, const int block, const int log_form)
{
    VIEW(y);
    VIEW(dy);
    VIEW(dx);
    TEAM_LOCAL(scratch);
    TEAM_RANGE(rows);
    for (ulong r = begin; r < end; r++) {
        global const float *yr = y + r * C, *dyr = dy + r * C;
        floatl part = 0.0f;
        for (int c = 0; c < C; c += TEAM) {
            const floatl d = team_load(dyr + c, C - c, 0.0f);
            part += softmax_bwd_term(team_load(yr + c, C - c, 0.0f), d, log_form);
        }
        const float s = wide_total(part, scratch);
        for (int c = 0; c < C; c += TEAM) {
            const floatl v = team_load(yr + c, C - c, 0.0f), d = team_load(dyr + c, C - c, 0.0f);
            team_store(softmax_bwd_of(v, d, s, log_form), dx + r * C + c, C - c);
        }
    }
}

// ---- cross entropy, NLL --------------------------------------------------------------------------

// PyTorch's weighted mean with label smoothing q, class weights w (1 when absent), W = sum w:
//   row loss = (1 - q) w_y (lse - x_y) + q / C (W lse - sum_c w_c x_c),  lse = log sum_c exp(x_c)
//   loss = sum of row losses / sum of w_y over the valid rows (0 <= y, y != ignore).
// Everything is relative to the row's maximum m: lse - x_c = log s - (x_c - m). With LOG_PROBS x_c are
// log-probabilities: m = log s = 0. A label y >= C makes its row NaN; it is never used as an index.

typedef struct {
    intl valid, bad; // -1 or 0 per lane (vectors), 1 or 0 (scalar)
    intl index;      // inside [0, C)
    floatl weight;     // w_y
} label_info;

static inline label_info label_read(intl label, global const float *weights, int C, int ignore, int flags)
{
    label_info l;
    l.valid = (label >= 0) & (label != ignore);
    l.bad = label >= C;
    l.index = clamp(label, (intl)0, (intl)(C - 1));
    l.weight = 1.0f;
    if (flags & HAS_WEIGHTS) l.weight = lookup(weights, l.index);
    return l;
}

static inline float weight_of(global const float *weights, int c, int flags)
{
    return flags & HAS_WEIGHTS ? weights[c] : 1.0f;
}

static inline float weight_sum(global const float *weights, int C, int flags)
{
    if (!(flags & HAS_WEIGHTS)) return C;
    float2 sum = 0.0f;
    for (int c = 0; c < C; c++) sum = pair_add(sum, weights[c]);
    return sum.x + sum.y;
}

static inline floatl row_loss(label_info l, floatl log_s, floatl d_label, floatl dot, float W, float smoothing, int C)
{
    floatl loss = (1.0f - smoothing) * l.weight * (log_s - d_label);
    if (smoothing > 0.0f) loss += smoothing / C * (W * log_s - dot);
    return select(select((floatl)0.0f, loss, l.valid), (floatl)NAN, l.bad & l.valid);
}

// The team's sums to partial[4][teams].
static inline void store_partial(team_sum loss, team_sum weight, global float *partial, int teams,
                          local float2 *scratch)
{
    const float2 a = team_total(loss, scratch), b = team_total(weight, scratch);
    if (TEAM_FIRST) {
        global float *p = partial + TEAM_ID;
        p[0] = a.x;
        p[teams] = a.y;
        p[2 * teams] = b.x;
        p[3 * teams] = b.y;
    }
}

TEAM_KERNEL void label_loss_fwd_rows(ARG(const float, x), ARG(const int, labels),
                                     ARG(const float, weights), ARG(float, partial),
                                     const ulong rows, const int C, const int block,
                                     const int teams, const int ignore, const float smoothing,
                                     const int flags)
{
    VIEW(x);
    VIEW(labels);
    VIEW(weights);
    VIEW(partial);
    TEAM_LOCAL(scratch);
    TEAM_RANGE(rows);
    COLUMNS(col);
    const float W = weight_sum(weights, C, flags);
    team_sum loss = {0.0f, 0.0f}, weight = {0.0f, 0.0f};
    for (ulong r = begin; r < end; r += TEAM) {
        const int n = TEAM_LEFT(r, end);
        global const float *in = x + r * C;
        const intl label = team_load_int(labels + r, n, -1);
        const label_info l = label_read(label, weights, C, ignore, flags);
        floatl m = 0.0f, log_s = 0.0f, d_label = 0.0f, dot = 0.0f;
        if (!(flags & LOG_PROBS)) {
            floatl s = 0.0f;
            m = -INFINITY;
            for (int c = 0; c < C; c++) {
                const floatl v = row_gather(in, n, C, c);
                KEEP(col, c, v);
                m = fmax(m, v);
                d_label = select(d_label, v, l.index == c);
            }
            d_label -= m;
            for (int c = 0; c < C; c++) {
                const floatl d = KEPT(col, c, row_gather(in, n, C, c)) - m;
                s += exp(d);
                if (smoothing > 0.0f) dot += weight_of(weights, c, flags) * d;
            }
            log_s = log(s);
        } else {
            for (int c = 0; c < C; c++) {
                const floatl v = row_gather(in, n, C, c);
                d_label = select(d_label, v, l.index == c);
                if (smoothing > 0.0f) dot += weight_of(weights, c, flags) * v;
            }
        }
        team_add(&loss, row_loss(l, log_s, d_label, dot, W, smoothing, C));
        team_add(&weight, select((floatl)0.0f, l.weight, l.valid));
    }
    store_partial(loss, weight, partial, teams, scratch);
}

TEAM_KERNEL void label_loss_fwd_wide(ARG(const float, x), ARG(const int, labels),
                                     ARG(const float, weights), ARG(float, partial),
                                     const ulong rows, const int C, const int block,
                                     const int teams, const int ignore, const float smoothing,
                                     const int flags)
{
    VIEW(x);
    VIEW(labels);
    VIEW(weights);
    VIEW(partial);
    TEAM_LOCAL(scratch);
    TEAM_RANGE(rows);
    const float W = weight_sum(weights, C, flags);
    const intl first = TEAM_LANE == 0;
    team_sum loss = {0.0f, 0.0f}, weight = {0.0f, 0.0f};
    for (ulong r = begin; r < end; r++) {
        global const float *in = x + r * C;
        const int label = labels[r];
        const label_info l = label_read(label, weights, C, ignore, flags);
        float m = 0.0f, log_s = 0.0f, dot = 0.0f;
        if (!(flags & LOG_PROBS)) {
            m = wide_max(in, C, scratch);
            log_s = log(wide_exp_sum(in, C, m, scratch));
        }
        if (smoothing > 0.0f) {
            floatl part = 0.0f;
            for (int c = 0; c < C; c += TEAM) {
                floatl w = 1.0f;
                if (flags & HAS_WEIGHTS) w = team_load(weights + c, C - c, 0.0f);
                part += w * (team_load(in + c, C - c, m) - m);
            }
            dot = wide_total(part, scratch);
        }
        const float d_label = in[clamp(label, 0, C - 1)] - m;
        const floatl value = row_loss(l, log_s, d_label, dot, W, smoothing, C);
        team_add(&loss, select((floatl)0.0f, value, first));
        team_add(&weight, select((floatl)0.0f, l.weight, first & l.valid));
    }
    store_partial(loss, weight, partial, teams, scratch);
}

// dx_j = dloss / weight ((1 - q) w_y (p_j - [j = y]) + q / C (W p_j - w_j)), without the p_j terms for
// log-probabilities. Zero for rows that are not valid.
static inline floatl label_loss_dx(label_info l, floatl p, intl is_label, floatl w_j, float W, float scale,
                        float smoothing, int C)
{
    floatl dx = scale * (1.0f - smoothing) * l.weight * (p - select((floatl)0.0f, (floatl)1.0f, is_label));
    if (smoothing > 0.0f) dx += scale * smoothing / C * (W * p - w_j);
    return select(select((floatl)0.0f, dx, l.valid), (floatl)NAN, l.bad & l.valid);
}

static inline float loss_scale(global const float *weight, global const float *dloss)
{
    return weight[0] == 0.0f ? 0.0f : dloss[0] / weight[0];
}

TEAM_KERNEL void label_loss_bwd_rows(ARG(const float, x), ARG(const int, labels),
                                     ARG(const float, weights), ARG(const float, total),
                                     ARG(const float, dloss), ARG(float, dx), const ulong rows,
                                     const int C, const int block, const int ignore,
                                     const float smoothing, const int flags)
{
    VIEW(x);
    VIEW(labels);
    VIEW(weights);
    VIEW(total);
    VIEW(dloss);
    VIEW(dx);
    TEAM_RANGE(rows);
    COLUMNS(col);
    const float W = weight_sum(weights, C, flags), scale = loss_scale(total, dloss);
    for (ulong r = begin; r < end; r += TEAM) {
        const int n = TEAM_LEFT(r, end);
        global const float *in = x + r * C;
        const intl label = team_load_int(labels + r, n, -1);
        const label_info l = label_read(label, weights, C, ignore, flags);
        floatl m = -INFINITY, s = 0.0f, inverse = 0.0f;
        if (!(flags & LOG_PROBS)) {
            for (int c = 0; c < C; c++) {
                const floatl v = row_gather(in, n, C, c);
                KEEP(col, c, v);
                m = fmax(m, v);
            }
            for (int c = 0; c < C; c++) {
                const floatl e = exp(KEPT(col, c, row_gather(in, n, C, c)) - m);
                KEEP(col, c, e);
                s += e;
            }
            inverse = 1.0f / s;
        }
        for (int c = 0; c < C; c++) {
            floatl p = 0.0f;
            if (!(flags & LOG_PROBS)) p = KEPT(col, c, exp(row_gather(in, n, C, c) - m)) * inverse;
            const float w = smoothing > 0.0f ? weight_of(weights, c, flags) : 1.0f;
            row_scatter(label_loss_dx(l, p, l.index == c, w, W, scale, smoothing, C), dx + r * C, n,
                        C, c);
        }
    }
}

TEAM_KERNEL void label_loss_bwd_wide(ARG(const float, x), ARG(const int, labels),
                                     ARG(const float, weights), ARG(const float, total),
                                     ARG(const float, dloss), ARG(float, dx), const ulong rows,
                                     const int C, const int block, const int ignore,
                                     const float smoothing, const int flags)
{
    VIEW(x);
    VIEW(labels);
    VIEW(weights);
    VIEW(total);
    VIEW(dloss);
    VIEW(dx);
    TEAM_LOCAL(scratch);
    TEAM_RANGE(rows);
    const float W = weight_sum(weights, C, flags), scale = loss_scale(total, dloss);
    for (ulong r = begin; r < end; r++) {
        global const float *in = x + r * C;
        const label_info l = label_read(labels[r], weights, C, ignore, flags);
        float m = 0.0f, inverse = 0.0f;
        if (!(flags & LOG_PROBS)) {
            m = wide_max(in, C, scratch);
            inverse = 1.0f / wide_exp_sum(in, C, m, scratch);
        }
        for (int c = 0; c < C; c += TEAM) {
            floatl w = 1.0f;
            if (flags & HAS_WEIGHTS) w = team_load(weights + c, C - c, 0.0f);
            floatl p = 0.0f;
            if (!(flags & LOG_PROBS)) p = exp(team_load(in + c, C - c, 0.0f) - m) * inverse;
            team_store(label_loss_dx(l, p, l.index == TEAM_LANE + c, w, W, scale, smoothing, C),
                       dx + r * C + c, C - c);
        }
    }
}

// ---- point-wise losses with a mask ---------------------------------------------------------------

#define KIND_L1 0
#define KIND_L2 1
#define KIND_HUBER 2 // parameter: delta
#define KIND_BCE 3   // parameter: weight of the positive class

// log(1 + e^-|x|) + max(-x, 0) = log(1 + e^-x) without overflow.
static inline floatl softplus_of_minus(floatl x)
{
    return log1p(exp(-fabs(x))) + fmax(-x, (floatl)0.0f);
}

static inline floatl point_loss(floatl x, floatl t, int kind, float parameter)
{
    const floatl e = x - t;
    switch (kind) {
    case KIND_L1: return fabs(e);
    case KIND_L2: return e * e;
    case KIND_HUBER:
        return select(parameter * (fabs(e) - 0.5f * parameter), 0.5f * e * e, fabs(e) <= parameter);
    default: return (1.0f - t) * x + (1.0f + (parameter - 1.0f) * t) * softplus_of_minus(x);
    }
}

static inline floatl point_loss_dx(floatl x, floatl t, int kind, float parameter)
{
    const floatl e = x - t;
    switch (kind) {
    case KIND_L1: return select(sign(e), (floatl)NAN, isnan(e));
    case KIND_L2: return 2.0f * e;
    case KIND_HUBER: return select(clamp(e, -parameter, parameter), (floatl)NAN, isnan(e));
    default: {
        const floatl sigmoid = 1.0f / (1.0f + exp(-x));
        return (1.0f + (parameter - 1.0f) * t) * sigmoid - parameter * t;
    }
    }
}

TEAM_KERNEL void point_loss_fwd(ARG(const float, x), ARG(const float, target),
                                ARG(const float, mask), ARG(float, partial), const ulong count,
                                const int block, const int teams, const int mask_div, const int kind,
                                const float parameter)
{
    VIEW(x);
    VIEW(target);
    VIEW(mask);
    VIEW(partial);
    TEAM_LOCAL(scratch);
    TEAM_RANGE(count);
    mask_walk walk = mask_begin(mask, begin, mask_div);
    team_sum loss = {0.0f, 0.0f}, weight = {0.0f, 0.0f};
    for (ulong i = begin; i < end; i += TEAM) {
        const int n = TEAM_LEFT(i, end);
        const floatl t = team_load(target + i, n, NAN);
        const intl valid = (mask_next(&walk, n) != 0.0f) & (t == t);
        const floatl value = point_loss(team_load(x + i, n, 0.0f), t, kind, parameter);
        team_add(&loss, select((floatl)0.0f, value, valid));
        team_add(&weight, select((floatl)0.0f, (floatl)1.0f, valid));
    }
    store_partial(loss, weight, partial, teams, scratch);
}

TEAM_KERNEL void point_loss_bwd(ARG(const float, x), ARG(const float, target),
                                ARG(const float, mask), ARG(const float, total),
                                ARG(const float, dloss), ARG(float, dx), const ulong count,
                                const int block, const int mask_div, const int kind,
                                const float parameter)
{
    VIEW(x);
    VIEW(target);
    VIEW(mask);
    VIEW(total);
    VIEW(dloss);
    VIEW(dx);
    TEAM_RANGE(count);
    mask_walk walk = mask_begin(mask, begin, mask_div);
    const float scale = loss_scale(total, dloss);
    for (ulong i = begin; i < end; i += TEAM) {
        const int n = TEAM_LEFT(i, end);
        const floatl t = team_load(target + i, n, NAN);
        const intl valid = (mask_next(&walk, n) != 0.0f) & (t == t);
        const floatl value = scale * point_loss_dx(team_load(x + i, n, 0.0f), t, kind, parameter);
        team_store(select((floatl)0.0f, value, valid), dx + i, n);
    }
}

// ---- the last step of every loss -----------------------------------------------------------------

// One team. loss = sum / weight (0 when nothing was valid), total = weight.
TEAM_KERNEL void loss_finish(ARG(const float, partial), ARG(float, loss), ARG(float, total),
                             const int teams)
{
    VIEW(partial);
    VIEW(loss);
    VIEW(total);
    TEAM_LOCAL(scratch);
    team_sum sum = {0.0f, 0.0f}, weight = {0.0f, 0.0f};
    for (int i = 0; i < teams; i += TEAM) {
        global const float *p = partial + i;
        team_add(&sum, team_load(p, teams - i, 0.0f));
        sum.e += team_load(p + teams, teams - i, 0.0f);
        team_add(&weight, team_load(p + 2 * teams, teams - i, 0.0f));
        weight.e += team_load(p + 3 * teams, teams - i, 0.0f);
    }
    const float2 a = team_total(sum, scratch), b = team_total(weight, scratch);
    if (TEAM_FIRST) {
        const float w = b.x + b.y;
        // 0 * sum keeps the NaN of a bad label whose class weight is 0.
        loss[0] = w == 0.0f ? 0.0f * (a.x + a.y) : a.x / w + a.y / w;
        total[0] = w;
    }
}

// ---- soft Dice -------------------------------------------------------------------------------------

// Labels are ints, or (with one class) floats where NaN does not count. Of a row: y of the class
// `label`; a label that is no class is bad.
typedef struct {
    bool valid, bad;
    int label;
    float y;
} dice_row;

static inline dice_row dice_read(int bits, int C, int ignore, int floats)
{
    dice_row r = {false, false, 0, 0.0f};
    if (floats) {
        r.y = as_float(bits);
        r.valid = r.y == r.y;
        return r;
    }
    r.valid = bits >= 0 && bits != ignore;
    r.bad = r.valid && bits >= max(C, 2);
    r.label = C == 1 ? 0 : bits;
    r.y = C == 1 ? (float)bits : 1.0f;
    return r;
}

#ifdef STYLE_GPU
#define AS_FLOATL(v) as_float(v)
#else
#define AS_FLOATL(v) CAT(as_, FLOATV)(v)
#endif

// Sums over a team's rows: I, P, Y of each class, then the number of valid rows. A sum takes two rows of
// partial[][teams]: itself and its compensation.
static inline void dice_store(team_sum sum, global float *partial, int at, int teams,
                              local float2 *scratch)
{
    const float2 total = team_total(sum, scratch);
    if (TEAM_FIRST) {
        partial[(ulong)at * 2 * teams + TEAM_ID] = total.x;
        partial[((ulong)at * 2 + 1) * teams + TEAM_ID] = total.y;
    }
}

static inline float dice_total(global const float *partial, int at, int teams, local float2 *scratch)
{
    global const float *p = partial + (ulong)at * 2 * teams;
    team_sum sum = {0.0f, 0.0f};
    for (int i = 0; i < teams; i += TEAM) {
        team_add(&sum, team_load(p + i, teams - i, 0.0f));
        sum.e += team_load(p + teams + i, teams - i, 0.0f);
    }
    const float2 total = team_total(sum, scratch);
    return total.x + total.y;
}

// The rows of a team stay in the cache from one class to the next.
TEAM_KERNEL void dice_loss_fwd(ARG(const float, p), ARG(const int, labels), ARG(float, partial),
                               const ulong rows, const int C, const int block, const int teams,
                               const int ignore, const int floats)
{
    VIEW(p);
    VIEW(labels);
    VIEW(partial);
    TEAM_LOCAL(scratch);
    TEAM_RANGE(rows);
    team_sum rows_valid = {0.0f, 0.0f};
    for (int c = 0; c < C; c++) {
        team_sum sum[3];
        for (int k = 0; k < 3; k++) sum[k].s = sum[k].e = 0.0f;
        for (ulong r = begin; r < end; r += TEAM) {
            const int n = TEAM_LEFT(r, end);
            // lanes behind the rows must not count: -1, or the bits of a NaN
            const intl bits = team_load_int(labels + r, n, -1);
            const floatl soft = AS_FLOATL(bits);
            const intl hard = (bits >= 0) & (bits != ignore);
            const intl bad = hard & (bits >= max(C, 2)) & (floats ? 0 : -1);
            const intl valid = floats ? soft == soft : hard;
            const floatl one = select((floatl)0.0f, (floatl)1.0f, bits == (C == 1 ? 1 : c));
            const floatl y = floats ? soft : one;
            const floatl value = row_gather(p + r * C, n, C, c);
            team_add(&sum[0], select(select((floatl)0.0f, value * y, valid), (floatl)NAN, bad));
            team_add(&sum[1], select((floatl)0.0f, value, valid));
            team_add(&sum[2], select((floatl)0.0f, y, valid));
            if (c == 0) team_add(&rows_valid, select((floatl)0.0f, (floatl)1.0f, valid));
        }
        for (int k = 0; k < 3; k++) dice_store(sum[k], partial, 3 * c + k, teams, scratch);
    }
    dice_store(rows_valid, partial, 3 * C, teams, scratch);
}

// One team. total: of valid rows; sums[3][C]: I, P, Y.
TEAM_KERNEL void dice_loss_finish(ARG(const float, partial), ARG(float, loss), ARG(float, total),
                                  ARG(float, sums), const int teams, const int C,
                                  const float smooth)
{
    VIEW(partial);
    VIEW(loss);
    VIEW(total);
    VIEW(sums);
    TEAM_LOCAL(scratch);
    float dice = 0.0f, counted = 0.0f, bad = 0.0f;
    for (int c = 0; c < C; c++) {
        float s[3];
        for (int k = 0; k < 3; k++) {
            s[k] = dice_total(partial, 3 * c + k, teams, scratch);
            if (TEAM_FIRST) sums[k * C + c] = s[k];
        }
        if (s[0] != s[0]) bad = NAN;
        if (C > 1 && !(s[2] > 0.0f)) continue;
        dice += (2.0f * s[0] + smooth) / (s[1] + s[2] + smooth);
        counted += 1.0f;
    }
    const float valid = dice_total(partial, 3 * C, teams, scratch);
    if (TEAM_FIRST) {
        loss[0] = (counted > 0.0f ? 1.0f - dice / counted : 0.0f) + bad;
        total[0] = valid;
    }
}

// Elements of rows; dp = dloss / n (2 I + s - 2 y U) / U^2, U = P + Y + s.
LANES_KERNEL void dice_loss_bwd(ARG(const int, labels), ARG(const float, sums),
                                ARG(const float, dloss), ARG(float, dp), const int C,
                                const int ignore, const int floats, const float smooth,
                                const ulong rows, const int per_item)
{
    VIEW(labels);
    VIEW(sums);
    VIEW(dloss);
    VIEW(dp);
    float counted = 0.0f;
    for (int c = 0; c < C; c++) counted += C == 1 || sums[2 * C + c] > 0.0f ? 1.0f : 0.0f;
#ifdef STYLE_GPU
    const ulong begin = min(rows * C, (ulong)get_global_id(0));
    const ulong end = min(rows * C, begin + 1);
#else
    const ulong begin = min(rows, (ulong)get_global_id(0) * per_item) * C;
    const ulong end = min(rows, ((ulong)get_global_id(0) + 1) * per_item) * C;
#endif
    for (ulong i = begin; i < end; i++) {
        const int c = (int)(i % C);
        const dice_row r = dice_read(labels[i / C], C, ignore, floats);
        const float u = sums[C + c] + sums[2 * C + c] + smooth, y = r.label == c ? r.y : 0.0f;
        float d = dloss[0] / counted * (2.0f * sums[c] + smooth - 2.0f * y * u) / (u * u);
        if (C > 1 && !(sums[2 * C + c] > 0.0f)) d = 0.0f;
        dp[i] = r.bad ? NAN : r.valid ? d : 0.0f;
    }
}
