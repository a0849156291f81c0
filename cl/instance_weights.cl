// instance_weights.cl: weights of an auxiliary task's samples from their gradients' cosines with the
// targets' (Du et al., 2018); the formulas are in src/ops/instance_weights.c.

// sum[i] = the targets' gradients of all samples, one after the other: LANES elements per work-item.
LANES_KERNEL void instance_target(ARG(const float, target), ARG(float, sum), const ulong samples,
                                  const ulong per_sample)
{
    VIEW(target);
    VIEW(sum);
    const ulong i = get_global_id(0) * LANES;
    if (i >= per_sample) return;
    const int n = (int)min((ulong)LANES, per_sample - i);
    floatl total = 0.0f;
    for (ulong s = 0; s < samples; s++) total += load_lanes(target + s * per_sample + i, n);
    store_lanes(total, sum + i, n);
}

// part[team][3] = <a, m>, <a, a>, <m, m>: a team has one of the `blocks` blocks of a sample.
TEAM_KERNEL void instance_products(ARG(const float, a), ARG(const float, m), ARG(float, part),
                                   const ulong per_sample, const int block, const int blocks)
{
    VIEW(a);
    VIEW(m);
    VIEW(part);
    TEAM_LOCAL(scratch);
    const ulong sample = TEAM_ID / (ulong)blocks, start = TEAM_ID % (ulong)blocks * (ulong)block;
    const int n = (int)min((ulong)block, per_sample - start);
    a += sample * per_sample + start;
    m += start;
    floatl am = 0.0f, aa = 0.0f, mm = 0.0f;
    for (int i = 0; i < n; i += TEAM) {
        const floatl x = team_load(a + i, n - i, 0.0f), y = team_load(m + i, n - i, 0.0f);
        am += x * y;
        aa += x * x;
        mm += y * y;
    }
    const team_sum sums[3] = {{am, 0.0f}, {aa, 0.0f}, {mm, 0.0f}};
    _Pragma("unroll") for (int j = 0; j < 3; j++)
    {
        const float2 total = team_total(sums[j], scratch);
        if (TEAM_FIRST) part[3 * TEAM_ID + j] = total.x + total.y;
    }
}

// One work-item: as many numbers as samples, three times.
kernel void instance_weights(ARG(const float, part), ARG(float, weights), ARG(float, mean),
                             ARG(float, zeros), const ulong samples, const int blocks)
{
    VIEW(part);
    VIEW(weights);
    VIEW(mean);
    VIEW(zeros);
    float2 total = 0.0f;
    float some = 0.0f, none = 0.0f;
    for (ulong s = 0; s < samples; s++) {
        float2 am = 0.0f, aa = 0.0f, mm = 0.0f;
        for (int b = 0; b < blocks; b++, part += 3) {
            am = pair_add(am, part[0]);
            aa = pair_add(aa, part[1]);
            mm = pair_add(mm, part[2]);
        }
        const float dot_ = am.x + am.y, a = aa.x + aa.y;
        // two roots: the product of small squares would be 0; what is not a number stays one
        const float c = dot_ <= 0.0f ? 0.0f : dot_ / (sqrt(a) * sqrt(mm.x + mm.y));
        weights[s] = c;
        total = pair_add(total, c);
        some += a > 0.0f ? 1.0f : 0.0f;
        none += a > 0.0f && c == 0.0f ? 1.0f : 0.0f;
    }
    const float sum = total.x + total.y;
    if (sum > 0.0f)
        for (ulong s = 0; s < samples; s++) weights[s] *= some / sum;
    mean[0] = some > 0.0f ? sum / some : 0.0f;
    zeros[0] = some > 0.0f ? none / some : 0.0f;
}
