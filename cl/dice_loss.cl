// dice_loss.cl: the soft Dice loss, forward and backward. Written with the teams of common.cl; a team
// owns `block` consecutive rows of p [rows][C] (a function of the shape only).

#include "rows.cl"

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
