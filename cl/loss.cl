// loss.cl: softmax, log-softmax, losses of labels and of points, forward and backward (soft Dice is in
// dice_loss.cl). Written with the teams of common.cl, so that one text serves both styles.
//
// Rows: x is [rows][C], one row per sample or pixel. A team owns `block` consecutive rows (a function
// of the shape only).
//   *_rows (C <= ROW_MAX): every lane works on its own row, TEAM rows at a time.
//   *_wide: the team works on one row at a time, its lanes side by side along C.
// Losses: each team writes its sums as two-float pairs to partial[4][teams] (loss sum, its
// compensation, weight, its compensation); loss_finish adds them up in a fixed order. Backward passes
// multiply by dloss / weight on the device; weight 0 gives exact zeros.

#include "rows.cl"

#define HAS_WEIGHTS 1
#define LOG_PROBS 2 // x already holds log-probabilities (NLL)

// ---- softmax -------------------------------------------------------------------------------------

// y of one element, from d = x - max; s is the row's sum of exp(x - max).
static inline floatl softmax_of(floatl d, floatl s, int log_form)
{
    if (log_form) return d - log(s);
    return exp_l(d) / s;
}
// softmax: dx = y (dy - sum dy y); log-softmax: dx = dy - exp(y) sum dy.
static inline floatl softmax_bwd_term(floatl y, floatl dy, int log_form)
{
    if (log_form) return dy;
    return dy * y;
}
static inline floatl softmax_bwd_of(floatl y, floatl dy, floatl s, int log_form)
{
    if (log_form) return dy - exp_l(y) * s;
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
        COLUMNS_LOAD(col, in, n, C);
        for (int c = 0; c < C; c++) m = LARGER(m, COLUMN(col, in, n, C, c));
        for (int c = 0; c < C; c++) {
            const floatl d = COLUMN(col, in, n, C, c) - m, e = exp_l(d);
            KEEP(col, c, log_form ? d : e);
            s += e;
        }
        const floatl rest = log_form ? log(s) : 1.0f / s;
        for (int c = 0; c < C; c++) {
            floatl v = KEPT(col, c, COLUMN(col, in, n, C, c) - m);
            if (log_form)
                v -= rest;
            else
                v = KEPT(col, c, exp_l(v)) * rest;
            COLUMN_SET(col, y + r * C, n, C, c, v);
        }
        COLUMNS_STORE(col, y + r * C, n, C);
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
    COLUMNS(col);
    COLUMNS(slope);
    for (ulong r = begin; r < end; r += TEAM) {
        const int n = TEAM_LEFT(r, end);
        global const float *yr = y + r * C, *dyr = dy + r * C;
        floatl s = 0.0f;
        COLUMNS_LOAD(col, yr, n, C);
        COLUMNS_LOAD(slope, dyr, n, C);
        for (int c = 0; c < C; c++) {
            const floatl d = COLUMN(slope, dyr, n, C, c);
            s += softmax_bwd_term(COLUMN(col, yr, n, C, c), d, log_form);
        }
        for (int c = 0; c < C; c++) {
            const floatl v = COLUMN(col, yr, n, C, c), d = COLUMN(slope, dyr, n, C, c);
            COLUMN_SET(col, dx + r * C, n, C, c, softmax_bwd_of(v, d, s, log_form));
        }
        COLUMNS_STORE(col, dx + r * C, n, C);
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
        floatl m = 0.0f, log_s = 0.0f, dot = 0.0f;
        COLUMNS_LOAD(col, in, n, C);
        if (!(flags & LOG_PROBS)) {
            floatl s = 0.0f;
            m = -INFINITY;
            for (int c = 0; c < C; c++) m = LARGER(m, COLUMN(col, in, n, C, c));
            for (int c = 0; c < C; c++) s += exp_l(COLUMN(col, in, n, C, c) - m);
            log_s = log(s);
        }
        const floatl d_label = COLUMN_OF(col, in, n, C, l.index) - m;
        if (smoothing > 0.0f)
            for (int c = 0; c < C; c++)
                dot += weight_of(weights, c, flags) * (COLUMN(col, in, n, C, c) - m);
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
            COLUMNS_LOAD(col, in, n, C);
            for (int c = 0; c < C; c++) m = LARGER(m, COLUMN(col, in, n, C, c));
            for (int c = 0; c < C; c++) {
                const floatl e = exp_l(COLUMN(col, in, n, C, c) - m);
                KEEP(col, c, e);
                s += e;
            }
            inverse = 1.0f / s;
        }
        for (int c = 0; c < C; c++) {
            floatl p = 0.0f;
            if (!(flags & LOG_PROBS))
                p = KEPT(col, c, exp_l(COLUMN(col, in, n, C, c) - m)) * inverse;
            const float w = smoothing > 0.0f ? weight_of(weights, c, flags) : 1.0f;
            COLUMN_SET(col, dx + r * C, n, C, c,
                       label_loss_dx(l, p, l.index == c, w, W, scale, smoothing, C));
        }
        COLUMNS_STORE(col, dx + r * C, n, C);
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
            if (!(flags & LOG_PROBS)) p = exp_l(team_load(in + c, C - c, 0.0f) - m) * inverse;
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
    return log1p(exp_l(-fabs(x))) + fmax(-x, (floatl)0.0f);
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
        const floatl e = exp_l(-fabs(x));
        const floatl sigmoid = select((floatl)1.0f, e, x < 0.0f) / (1.0f + e);
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
