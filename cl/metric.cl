// metric.cl: what metrics count on the device. Accumulators hold two-float pairs (sum, compensation)
// and live across steps; every kernel that touches one adds in a fixed order, or adds integers.
//
// Rows: x is [rows][C]; labels [rows] are int, or float when labels_float is set (rounded; NaN is
// ignored). A label counts when 0 <= label < classes and label != ignore. With C = 1 there are two
// classes: the prediction is x > 0.

static inline int label_at(global const int *labels, ulong r, int is_float)
{
    const int bits = labels[r];
    if (!is_float) return bits;
    const float v = rint(as_float(bits));
    return v >= 0.0f && v < 2147483520.0f ? convert_int_rte(v) : -1;
}

// The first largest of one row; NaN never wins.
static inline int predict(global const float *x, int C)
{
    if (C == 1) return x[0] > 0.0f;
    int best = 0;
    float top = x[0];
    for (int c = 1; c < C; c++) {
        if (x[c] > top || top != top) {
            top = x[c];
            best = c;
        }
    }
    return best;
}

// Is the label among the k largest? Equal values count in order of class, as with a first maximum.
static inline int among_top(global const float *x, int C, int label, int k)
{
    if (C == 1) return predict(x, 1) == label;
    const float v = x[label];
    int before = 0;
    for (int c = 0; c < label; c++) before += x[c] >= v;
    for (int c = label; c < C; c++) before += x[c] > v;
    return v == v && before < k;
}

static inline void pair_into(global float *acc, float v)
{
    const float2 sum = pair_add((float2)(acc[0], acc[1]), v);
    acc[0] = sum.x;
    acc[1] = sum.y;
}
// Exact for any n: two parts of at most 16 bits.
static inline void count_into(global float *acc, uint n)
{
    pair_into(acc, (float)(n & 0xffff0000u));
    pair_into(acc, (float)(n & 0xffffu));
}

// Rows of a block, one per item: a CPU item walks the whole block, a GPU item every WG-th row.
#ifdef STYLE_GPU
#define FIRST_ROW (begin + get_local_id(0))
#define ROW_STEP WG
#else
#define FIRST_ROW begin
#define ROW_STEP 1
#endif

// counts[2 * team]: correct, valid. Integer additions: their order does not matter. Zeroed before.
TEAM_KERNEL void metric_accuracy(ARG(const float, x), ARG(const int, labels), ARG(uint, counts),
                                 const ulong rows, const int C, const int block, const int classes,
                                 const int topk, const int ignore, const int labels_float)
{
    VIEW(x);
    VIEW(labels);
    VIEW(counts);
    TEAM_RANGE(rows);
    uint correct = 0, valid = 0;
    for (ulong r = FIRST_ROW; r < end; r += ROW_STEP) {
        const int label = label_at(labels, r, labels_float);
        if (label < 0 || label >= classes || label == ignore) continue;
        valid++;
        correct += among_top(x + r * C, C, label, topk);
    }
    if (correct) atomic_add(&counts[0], correct);
    if (valid) atomic_add(&counts[1], valid);
}

// counts[2 * part]: rows of the part that are largest at their label among the part's classes, rows
// of the part. part_of[C]: 0..parts-1; others are of no part.
TEAM_KERNEL void metric_parts(ARG(const float, x), ARG(const int, labels), ARG(uint, counts),
                              const ulong rows, const int C, const int block,
                              ARG(const int, part_of), const int parts, const int ignore,
                              const int labels_float)
{
    VIEW(x);
    VIEW(labels);
    VIEW(counts);
    VIEW(part_of);
    TEAM_RANGE(rows);
    for (ulong r = FIRST_ROW; r < end; r += ROW_STEP) {
        const int label = label_at(labels, r, labels_float);
        if (label < 0 || label >= C || label == ignore) continue;
        const int part = part_of[label];
        if (part < 0 || part >= parts) continue;
        global const float *row = x + r * C;
        const float v = row[label];
        int before = 0;
        for (int c = 0; c < C; c++)
            before += part_of[c] == part && (c < label ? row[c] >= v : row[c] > v);
        if (v == v && before == 0) atomic_add(&counts[2 * part], 1u);
        atomic_add(&counts[2 * part + 1], 1u);
    }
}

// counts[label * classes + prediction]. Small tables are gathered per item first (CPU style).
#define TABLE_MAX 1024
TEAM_KERNEL void metric_confusion(ARG(const float, x), ARG(const int, labels), ARG(uint, counts),
                                  const ulong rows, const int C, const int block, const int classes,
                                  const int ignore, const int labels_float)
{
    VIEW(x);
    VIEW(labels);
    VIEW(counts);
    TEAM_RANGE(rows);
#ifndef STYLE_GPU
    uint table[TABLE_MAX];
    const int cells = classes * classes;
    const int small = classes <= 32;
    if (small)
        for (int i = 0; i < cells; i++) table[i] = 0;
#endif
    for (ulong r = FIRST_ROW; r < end; r += ROW_STEP) {
        const int label = label_at(labels, r, labels_float);
        if (label < 0 || label >= classes || label == ignore) continue;
        const int cell = label * classes + predict(x + r * C, C);
#ifndef STYLE_GPU
        if (small) {
            table[cell]++;
            continue;
        }
#endif
        atomic_inc(&counts[cell]);
    }
#ifndef STYLE_GPU
    if (small)
        for (int i = 0; i < cells; i++)
            if (table[i]) atomic_add(&counts[i], table[i]);
#endif
}

kernel void metric_zero(ARG(uint, counts), const uint n)
{
    VIEW(counts);
    const uint i = get_global_id(0);
    if (i < n) counts[i] = 0;
}

// acc[i] (a pair) += counts[i].
kernel void metric_add_counts(ARG(const uint, counts), ARG(float, acc), const uint n)
{
    VIEW(counts);
    VIEW(acc);
    const uint i = get_global_id(0);
    if (i < n) count_into(acc + 2 * i, counts[i]);
}

// acc: sum of value * weight, sum of weight, 1 + the first step that left a sum which is not finite (0:
// none has); unchanged where total (if there is one) is 0.
kernel void metric_mean(ARG(const float, value), ARG(const float, total), ARG(float, acc),
                        const float weight, const int has_total, ARG(const uint, step))
{
    VIEW(value);
    VIEW(total);
    VIEW(acc);
    VIEW(step);
    if (has_total && total[0] == 0) return;
    pair_into(acc, value[0] * weight);
    pair_into(acc + 2, weight);
    if (acc[4] == 0 && !(fabs(acc[0]) < INFINITY)) count_into(acc + 4, step[2] + 1);
}

// Eight sums per team to partial[team][8] pairs: |e|, e^2, |e| / |y|, [y != 0], [ratio < 1.25], valid,
// [ratio < 1.25^2], [ratio < 1.25^3]. mask[i / mask_div]; mask_div 0: none.
#define SUMS 8
TEAM_KERNEL void metric_regression(ARG(const float, x), ARG(const float, target),
                                   ARG(const float, mask), ARG(float, partial), const ulong count,
                                   const int block, const int mask_div)
{
    VIEW(x);
    VIEW(target);
    VIEW(mask);
    VIEW(partial);
    TEAM_LOCAL(scratch);
    TEAM_RANGE(count);
    mask_walk walk = mask_begin(mask, begin, mask_div);
    team_sum sum[SUMS];
    for (int k = 0; k < SUMS; k++) sum[k].s = sum[k].e = 0.0f;
    for (ulong i = begin; i < end; i += TEAM) {
        const int n = TEAM_LEFT(i, end);
        const floatl t = team_load(target + i, n, NAN), p = team_load(x + i, n, 0.0f);
        const intl valid = (mask_next(&walk, n) != 0.0f) & (t == t);
        const intl ratio_valid = valid & (t != 0.0f);
        const floatl e = fabs(p - t), q = p / t;
        const floatl ratio = fmax(q, 1.0f / q);
        const intl positive = ratio_valid & (q > 0.0f);
        team_add(&sum[0], select((floatl)0.0f, e, valid));
        team_add(&sum[1], select((floatl)0.0f, e * e, valid));
        team_add(&sum[2], select((floatl)0.0f, e / fabs(t), ratio_valid));
        team_add(&sum[3], select((floatl)0.0f, (floatl)1.0f, ratio_valid));
        team_add(&sum[4], select((floatl)0.0f, (floatl)1.0f, positive & (ratio < 1.25f)));
        team_add(&sum[5], select((floatl)0.0f, (floatl)1.0f, valid));
        team_add(&sum[6], select((floatl)0.0f, (floatl)1.0f, positive & (ratio < 1.5625f)));
        team_add(&sum[7], select((floatl)0.0f, (floatl)1.0f, positive & (ratio < 1.953125f)));
    }
    _Pragma("unroll") for (int k = 0; k < SUMS; k++)
    {
        const float2 total = team_total(sum[k], scratch);
        if (TEAM_FIRST) {
            partial[TEAM_ID * 2 * SUMS + 2 * k] = total.x;
            partial[TEAM_ID * 2 * SUMS + 2 * k + 1] = total.y;
        }
    }
}

// One item per sum, in the teams' order.
kernel void metric_add_partial(ARG(const float, partial), ARG(float, acc), const int teams)
{
    VIEW(partial);
    VIEW(acc);
    const int k = get_global_id(0);
    if (k >= SUMS) return;
    float2 sum = (float2)(acc[2 * k], acc[2 * k + 1]);
    for (int t = 0; t < teams; t++)
        sum = pair_merge(sum, (float2)(partial[t * 2 * SUMS + 2 * k], partial[t * 2 * SUMS + 2 * k + 1]));
    acc[2 * k] = sum.x;
    acc[2 * k + 1] = sum.y;
}

// Four sums over boxes (xmin, ymin, xmax, ymax): IoU, |e| of all coordinates, boxes, [IoU >= 1/2]. A box
// with a NaN in its target does not count. One item: a batch has as many boxes as samples.
kernel void metric_box(ARG(const float, x), ARG(const float, target), ARG(float, acc), const int boxes)
{
    VIEW(x);
    VIEW(target);
    VIEW(acc);
    if (get_global_id(0) > 0) return;
    float2 sum[4];
    for (int k = 0; k < 4; k++) sum[k] = (float2)(acc[2 * k], acc[2 * k + 1]);
    for (int i = 0; i < boxes; i++) {
        const float4 p = vload4(i, x), t = vload4(i, target);
        if (any(isnan(t))) continue;
        const float2 ps = fmax(p.zw - p.xy, 0.0f), ts = fmax(t.zw - t.xy, 0.0f);
        const float2 common = fmax(fmin(p.zw, t.zw) - fmax(p.xy, t.xy), 0.0f);
        const float inside = common.x * common.y, whole = ps.x * ps.y + ts.x * ts.y - inside;
        const float iou = whole > 0.0f ? inside / whole : 0.0f;
        const float4 e = fabs(p - t);
        sum[0] = pair_add(sum[0], iou);
        sum[1] = pair_add(sum[1], e.x + e.y + e.z + e.w);
        sum[2] = pair_add(sum[2], 1.0f);
        sum[3] = pair_add(sum[3], iou >= 0.5f ? 1.0f : 0.0f);
    }
    for (int k = 0; k < 4; k++) {
        acc[2 * k] = sum[k].x;
        acc[2 * k + 1] = sum[k].y;
    }
}
