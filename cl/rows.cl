// rows.cl, included by others: rows of at most ROW_MAX columns held in registers, a row per lane, and e^x.
// x is [rows][C]; see loss.cl for who owns which rows.

#ifndef ROW_MAX
#define ROW_MAX 64
#endif

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
