// scalar.cl: arithmetic on scalars that stay on the device: one work-item per launch.

// out = w0 in0 + w1 in1 + ... in this order. Arguments behind the n-th are bound but not read.
#define TERM(i) ARG(const float, in##i), const float w##i
kernel void weighted_sum(TERM(0), TERM(1), TERM(2), TERM(3), TERM(4), TERM(5), TERM(6), TERM(7),
                         ARG(float, out), const int n)
{
    VIEW(out);
    float sum = w0 * in0[in0_off];
    if (n > 1) sum += w1 * in1[in1_off];
    if (n > 2) sum += w2 * in2[in2_off];
    if (n > 3) sum += w3 * in3[in3_off];
    if (n > 4) sum += w4 * in4[in4_off];
    if (n > 5) sum += w5 * in5[in5_off];
    if (n > 6) sum += w6 * in6[in6_off];
    if (n > 7) sum += w7 * in7[in7_off];
    out[0] = sum;
}

// a e^(-b s) L + d s with s = log sigma^2 (Kendall, Gal, Cipolla, CVPR 2018, eq. 5-10: d = 1/2); positive:
// log(1 + e^s) in the place of d s (Liebel and Koerner, 2018). Nothing where total (if there is one) is 0: a loss of no element says nothing about s.
kernel void uncertainty_fwd(ARG(const float, loss), ARG(const float, s), ARG(const float, total),
                            ARG(float, out), const float a, const float b, const float d,
                            const int positive, const int has_total)
{
    VIEW(loss);
    VIEW(s);
    VIEW(total);
    VIEW(out);
    const bool counts = !has_total || total[0] != 0;
    const float of_s = positive ? fmax(s[0], 0.0f) + log1p(exp(-fabs(s[0]))) : d * s[0];
    out[0] = counts ? a * exp(-b * s[0]) * loss[0] + of_s : 0;
}

kernel void uncertainty_bwd(ARG(const float, loss), ARG(const float, s), ARG(const float, dout),
                            ARG(const float, total), ARG(float, dloss), ARG(float, ds),
                            const float a, const float b, const float d, const int positive,
                            const int has_total)
{
    VIEW(loss);
    VIEW(s);
    VIEW(dout);
    VIEW(total);
    VIEW(dloss);
    VIEW(ds);
    const float weight = a * exp(-b * s[0]), dy = has_total && total[0] == 0 ? 0 : dout[0];
    const float of_s = positive ? 1.0f / (1.0f + exp(-s[0])) : d;
    const float ds_value = dy * (of_s - b * weight * loss[0]);
    dloss[0] = dy * weight;
    ds[0] = ds_value;
}

// ---- factors of the tasks' losses (ops/task_weights.c says what each rule is) -----------------------------

#define RULE_GIVEN 0
#define RULE_GLS 1
#define RULE_SI 2
#define RULE_STCH 3
#define RULE_UW_SO 4
#define RULE_FAMO 5

// A loss above its bound; NaN stays NaN.
inline float above(const float loss, const float bound)
{
    const float l = loss - bound;
    return l < 1e-20f ? 1e-20f : l;
}

// The number whose softmax over the tasks a rule takes.
inline float rule_logit(const int rule, const float l, const float p, const float q, const float m)
{
    return rule == RULE_STCH ? p * log(l / q) / m : rule == RULE_UW_SO ? 1.0f / (m * l) : p;
}

kernel void task_weights(ARG(const float, losses), ARG(const float, totals), ARG(const float, given),
                         ARG(float, out), ARG(float, weights), const int n, const int rule_asked,
                         const float m, const float factor_all)
{
    VIEW(losses);
    VIEW(totals);
    VIEW(given);
    VIEW(out);
    VIEW(weights);
    const global float *p = given, *q = given + n;
    const bool bounded = rule_asked == RULE_FAMO;
    int rule = rule_asked, there = 0;
    float logs = 0, most = -INFINITY, sum = 0, total = 0, all = 0;
    for (int i = 0; i < n; i++)
        if (rule == RULE_STCH && totals[i] != 0 && !(q[i] > 0)) rule = RULE_SI;
    for (int i = 0; i < n; i++) {
        if (totals[i] == 0) continue;
        const float l = above(losses[i], bounded ? q[i] : 0.0f);
        there++;
        logs += log(l);
        most = fmax(most, rule_logit(rule, l, p[i], q[i], m));
    }
    for (int i = 0; i < n; i++) {
        if (totals[i] == 0) continue;
        const float l = above(losses[i], bounded ? q[i] : 0.0f);
        sum += exp(rule_logit(rule, l, p[i], q[i], m) - most);
    }
    const float mean = exp(logs / there); // geometric
    const float factor = rule == rule_asked || there == 0 ? factor_all : factor_all / there;
    for (int i = 0; i < n; i++) {
        if (totals[i] == 0) {
            weights[i] = 0;
            continue;
        }
        const float l = above(losses[i], bounded ? q[i] : 0.0f);
        const float z = exp(rule_logit(rule, l, p[i], q[i], m) - most) / sum;
        const float w = rule == RULE_GIVEN  ? p[i]
                        : rule == RULE_GLS  ? mean / (there * l)
                        : rule == RULE_SI   ? 1.0f / l
                        : rule == RULE_STCH ? p[i] * z / l
                        : rule == RULE_FAMO ? z / l
                                            : z;
        all += w;
        total += rule == RULE_FAMO ? z * log(l) : w * losses[i];
        weights[i] = factor * w;
    }
    if (rule == RULE_FAMO)
        for (int i = 0; i < n; i++) weights[i] = there ? weights[i] / all : 0.0f;
    if (rule == RULE_GLS) total = mean;
    if (rule == RULE_SI) total = logs;
    if (rule == RULE_STCH) total = m * (most + log(sum));
    out[0] = there ? factor * total : 0.0f;
}
