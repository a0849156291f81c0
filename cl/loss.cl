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

#ifdef STYLE_GPU
#define AS_FLOATL(v) as_float(v)
#define exp_l(x) exp(x)
#else
#define AS_FLOATL(v) CAT(as_, FLOATV)(v)
#define AS_INTL(v) CAT(as_, INTV)(v)

// e^x for x <= 88: 2^k e^r, k = round(x / ln 2), |r| <= ln 2 / 2; a minimax polynomial in the order that
// has the shortest chain of dependent operations. Within two units in the last place; 0 below -88, where
// floats end; NaN stays. Several times as fast as the library's.
#define EXP_SHIFT 12583039.0f // 1.5 2^23 + 127: adding it leaves k, rounded, and the bias in the low bits
INLINE floatl exp_l(const floatl x)
{
    const floatl d = select(x, (floatl)-88.1f, x < -88.1f);
    const floatl t = fma(d, (floatl)M_LOG2E_F, (floatl)EXP_SHIFT);
    const floatl r = fma(t - EXP_SHIFT, (floatl)-M_LN2_F, d), r2 = r * r;
    const floatl low = fma(r, (floatl)0.16667118668556213f, (floatl)0.4999922513961792f);
    const floatl high = fma(r, (floatl)0.00831243023276329f, (floatl)0.041890986263751984f);
    const floatl p = fma(fma(high, r2, low), r2, r + 1.0f);
    return p * AS_FLOATL(AS_INTL(t) << 23); // the exponent 0, which is 0, from k = -127 on
}
#endif

// Column c of n rows, a row per lane.
#ifdef STYLE_GPU
static inline floatl row_gather(global const float *x, int n, int C, int c)
{
    /* Items beyond the rows must not read a row that another one may be overwriting (in place). */
    return TEAM_LANE < n ? x[(ulong)TEAM_LANE * C + c] : 0.0f;
}

static inline void row_scatter(floatl v, global float *y, int n, int C, int c)
{
    if (TEAM_LANE < n) y[(ulong)TEAM_LANE * C + c] = v;
}
#else
// Blocks of h x h elements, at every lane and register whose bit h is 1 and 0, change places: with all h
// a square of VW registers is transposed.
#define SWAP(t, i, h, FIRST, SECOND)                                                               \
    do {                                                                                           \
        const floatl a = t[i], b = t[(i) + (h)];                                                   \
        t[i] = FIRST(a, b);                                                                        \
        t[(i) + (h)] = SECOND(a, b);                                                               \
    } while (0)
#define HALVES_0(a, b) ((floatl)(a.lo, b.lo))
#define HALVES_1(a, b) ((floatl)(a.hi, b.hi))
#if VW == 4
#define SINGLES_0(a, b) ((floatl)(a.s0, b.s0, a.s2, b.s2))
#define SINGLES_1(a, b) ((floatl)(a.s1, b.s1, a.s3, b.s3))
#elif VW == 8
#define SINGLES_0(a, b) ((floatl)(a.s0, b.s0, a.s2, b.s2, a.s4, b.s4, a.s6, b.s6))
#define SINGLES_1(a, b) ((floatl)(a.s1, b.s1, a.s3, b.s3, a.s5, b.s5, a.s7, b.s7))
#define PAIRS_0(a, b) ((floatl)(a.s01, b.s01, a.s45, b.s45))
#define PAIRS_1(a, b) ((floatl)(a.s23, b.s23, a.s67, b.s67))
#else
#define SINGLES_0(a, b)                                                                            \
    ((floatl)(a.s0, b.s0, a.s2, b.s2, a.s4, b.s4, a.s6, b.s6, a.s8, b.s8, a.sa, b.sa, a.sc, b.sc,  \
              a.se, b.se))
#define SINGLES_1(a, b)                                                                            \
    ((floatl)(a.s1, b.s1, a.s3, b.s3, a.s5, b.s5, a.s7, b.s7, a.s9, b.s9, a.sb, b.sb, a.sd, b.sd,  \
              a.sf, b.sf))
#define PAIRS_0(a, b) ((floatl)(a.s01, b.s01, a.s45, b.s45, a.s89, b.s89, a.scd, b.scd))
#define PAIRS_1(a, b) ((floatl)(a.s23, b.s23, a.s67, b.s67, a.sab, b.sab, a.sef, b.sef))
#define FOURS_0(a, b) ((floatl)(a.s0123, b.s0123, a.s89ab, b.s89ab))
#define FOURS_1(a, b) ((floatl)(a.s4567, b.s4567, a.scdef, b.scdef))
#endif
INLINE void transpose(floatl t[VW])
{
    _Pragma("unroll") for (int i = 0; i < VW / 2; i++) SWAP(t, i, VW / 2, HALVES_0, HALVES_1);
#if VW == 16
    _Pragma("unroll") for (int i = 0; i < VW; i++) if (!(i & 4)) SWAP(t, i, 4, FOURS_0, FOURS_1);
#endif
#if VW >= 8
    _Pragma("unroll") for (int i = 0; i < VW; i++) if (!(i & 2)) SWAP(t, i, 2, PAIRS_0, PAIRS_1);
#endif
    _Pragma("unroll") for (int i = 0; i < VW; i += 2) SWAP(t, i, 1, SINGLES_0, SINGLES_1);
}

// Columns of n rows; lanes behind n are 0. Squares of the last columns overlap those before them.
static inline void rows_load(floatl *column, global const float *x, int n, int C)
{
    if (n >= VW && C >= VW) {
        for (int at = 0; at < C; at += VW) {
            const int c = min(at, C - VW);
            floatl t[VW];
            _Pragma("unroll") for (int i = 0; i < VW; i++) t[i] = VLOAD(0, x + (long)i * C + c);
            transpose(t);
            _Pragma("unroll") for (int i = 0; i < VW; i++) column[c + i] = t[i];
        }
        return;
    }
    for (int c = 0; c < C; c++) {
        float lane[VW];
        if (n >= VW)
            for (int i = 0; i < VW; i++) lane[i] = x[(long)i * C + c];
        else
            for (int i = 0; i < VW; i++) lane[i] = i < n ? x[(long)i * C + c] : 0.0f;
        column[c] = VLOAD(0, lane);
    }
}

static inline void rows_store(const floatl *column, global float *y, int n, int C)
{
    if (n >= VW && C >= VW) {
        for (int at = 0; at < C; at += VW) {
            const int c = min(at, C - VW);
            floatl t[VW];
            _Pragma("unroll") for (int i = 0; i < VW; i++) t[i] = column[c + i];
            transpose(t);
            _Pragma("unroll") for (int i = 0; i < VW; i++) VSTORE(t[i], 0, y + (long)i * C + c);
        }
        return;
    }
    for (int c = 0; c < C; c++) {
        float lane[VW];
        VSTORE(column[c], 0, lane);
        for (int i = 0; i < min(n, VW); i++) y[(long)i * C + c] = lane[i];
    }
}
#endif

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

// The columns of a group of rows. CPU style keeps them in registers or the cache from one pass to the
// next, and writes them at last; GPU style reads again and writes at once.
#ifdef STYLE_GPU
#define COLUMNS(name)
#define COLUMNS_LOAD(name, x, n, C)
#define COLUMN(name, x, n, C, c) row_gather(x, n, C, c)
#define COLUMN_SET(name, y, n, C, c, v) row_scatter(v, y, n, C, c)
#define COLUMNS_STORE(name, y, n, C)
#define KEEP(name, c, v)
#define KEPT(name, c, again) (again)
// x of column i, different from lane to lane
#define COLUMN_OF(name, x, n, C, i) (TEAM_LANE < (n) ? (x)[(ulong)TEAM_LANE * (C) + (i)] : 0.0f)
#else
#define COLUMNS(name) floatl name[ROW_MAX]
#define COLUMNS_LOAD(name, x, n, C) rows_load(name, x, n, C)
#define COLUMN(name, x, n, C, c) name[c]
#define COLUMN_SET(name, y, n, C, c, v) name[c] = (v)
#define COLUMNS_STORE(name, y, n, C) rows_store(name, y, n, C)
#define KEEP(name, c, v) name[c] = (v)
#define KEPT(name, c, again) name[c]
#define COLUMN_OF(name, x, n, C, i) column_of(name, i)
static inline floatl column_of(const floatl *column, intl i)
{
    const float *all = (const float *)column;
    int at[VW];
    float lane[VW];
    VSTORE(i, 0, at);
    for (int k = 0; k < VW; k++) lane[k] = all[at[k] * VW + k];
    return VLOAD(0, lane);
}
#endif
// The larger one; a NaN in v does not count, unlike with fmax at no cost.
#define LARGER(m, v) select(m, v, (v) > (m))

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
    for (int c = 0; c < C; c += TEAM) s += exp_l(team_load(x + c, C - c, -INFINITY) - m);
    return wide_total(s, scratch);
}

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

// What a group of rows adds to the sums of class c.
typedef struct {
    intl valid, bad, label;
    floatl y; // of the class `label`
} dice_rows;

static inline dice_rows dice_group(global const int *labels, int n, int C, int ignore, int floats)
{
    // lanes behind the rows must not count: -1, or the bits of a NaN
    const intl bits = team_load_int(labels, n, -1);
    dice_rows r;
    if (floats) {
        r.y = AS_FLOATL(bits);
        r.valid = r.y == r.y;
        r.bad = r.label = 0;
        return r;
    }
    r.valid = (bits >= 0) & (bits != ignore);
    r.bad = r.valid & (bits >= max(C, 2));
    r.label = C == 1 ? (intl)0 : bits;
    r.y = 1.0f;
    if (C == 1) r.y = LANES_CONVERT(float)(bits);
    return r;
}

// p y, p, y of class c, where the rows count.
#define DICE_TERMS(r, p, c)                                                                        \
    const floatl value = select((floatl)0.0f, p, (r).valid);                                       \
    const floatl y = select((floatl)0.0f, (r).y, (r).valid & ((r).label == (c)));                  \
    const floatl both = c == 0 ? select(value * y, (floatl)NAN, (r).bad) : value * y

#ifdef STYLE_GPU
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
        for (ulong at = begin; at < end; at += TEAM) {
            const int n = TEAM_LEFT(at, end);
            const dice_rows r = dice_group(labels + at, n, C, ignore, floats);
            const floatl column = row_gather(p + at * C, n, C, c);
            DICE_TERMS(r, column, c);
            team_add(&sum[0], both);
            team_add(&sum[1], value);
            team_add(&sum[2], y);
            if (c == 0) team_add(&rows_valid, select((floatl)0.0f, (floatl)1.0f, r.valid));
        }
        for (int k = 0; k < 3; k++) dice_store(sum[k], partial, 3 * c + k, teams, scratch);
    }
    dice_store(rows_valid, partial, 3 * C, teams, scratch);
}
#else
#define DICE_GROUPS 16 // groups of rows whose plain sums join the compensated ones together
CPU_KERNEL void dice_loss_fwd(ARG(const float, p), ARG(const int, labels), ARG(float, partial),
                              const ulong rows, const int C, const int block, const int teams,
                              const int ignore, const int floats)
{
    VIEW(p);
    VIEW(labels);
    VIEW(partial);
    TEAM_LOCAL(scratch);
    TEAM_RANGE(rows);
    COLUMNS(col);
    team_sum total[3 * ROW_MAX + 1];
    floatl sum[3 * ROW_MAX];
    for (int i = 0; i <= 3 * C; i++) total[i].s = total[i].e = (floatl)0.0f;
    for (ulong first = begin; first < end; first += DICE_GROUPS * TEAM) {
        const ulong until = min(end, first + DICE_GROUPS * TEAM);
        floatl valid = 0.0f;
        for (int i = 0; i < 3 * C; i++) sum[i] = (floatl)0.0f;
        for (ulong at = first; at < until; at += TEAM) {
            const int n = TEAM_LEFT(at, end);
            const dice_rows r = dice_group(labels + at, n, C, ignore, floats);
            COLUMNS_LOAD(col, p + at * C, n, C);
            valid += select((floatl)0.0f, (floatl)1.0f, r.valid);
            for (int c = 0; c < C; c++) {
                DICE_TERMS(r, col[c], c);
                sum[3 * c] += both;
                sum[3 * c + 1] += value;
                sum[3 * c + 2] += y;
            }
        }
        for (int i = 0; i < 3 * C; i++) team_add(&total[i], sum[i]);
        team_add(&total[3 * C], valid);
    }
    for (int i = 0; i <= 3 * C; i++) dice_store(total[i], partial, i, teams, scratch);
}
#endif

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

// dp = dloss / n (2 I + s - 2 y U) / U^2, U = P + Y + s. GPU style: elements; CPU style: rows.
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
// What a class has, and what y takes from it; both 0 for a class that does not count.
#define DICE_SLOPES(c, plain, of_y)                                                                \
    const float u = sums[C + (c)] + sums[2 * C + (c)] + smooth, unit = dloss[0] / (counted * u * u);  \
    const bool counts = C == 1 || sums[2 * C + (c)] > 0.0f;                                        \
    plain = counts ? unit * (2.0f * sums[c] + smooth) : 0.0f;                                      \
    of_y = counts ? unit * 2.0f * u : 0.0f
#ifdef STYLE_GPU
    const ulong i = get_global_id(0);
    if (i >= rows * C) return;
    const int c = (int)(i % C);
    const dice_row r = dice_read(labels[i / C], C, ignore, floats);
    float plain, of_y;
    DICE_SLOPES(c, plain, of_y);
    const float d = plain - (r.label == c ? r.y : 0.0f) * of_y;
    dp[i] = r.bad ? NAN : r.valid ? d : 0.0f;
#else
    float plain[ROW_MAX], of_y[ROW_MAX];
    for (int c = 0; c < C; c++) {
        DICE_SLOPES(c, plain[c], of_y[c]);
    }
    COLUMNS(col);
    const ulong begin = min(rows, (ulong)get_global_id(0) * per_item);
    const ulong end = min(rows, ((ulong)get_global_id(0) + 1) * per_item);
    for (ulong at = begin; at < end; at += LANES) {
        const int n = TEAM_LEFT(at, end);
        const dice_rows r = dice_group(labels + at, n, C, ignore, floats);
        const floatl none = select((floatl)0.0f, (floatl)NAN, r.bad);
        const intl counts = r.valid & ~r.bad;
        for (int c = 0; c < C; c++) {
            const floatl y = select((floatl)0.0f, r.y, r.label == c);
            col[c] = select(none, plain[c] - y * of_y[c], counts);
        }
        COLUMNS_STORE(col, dp + at * C, n, C);
    }
#endif
}
