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

// a e^(-b s) L + s / 2 with s = log sigma^2 (Kendall, Gal, Cipolla, CVPR 2018, eq. 5-10); nothing where
// total (if there is one) is 0: a loss of no element says nothing about s.
kernel void uncertainty_fwd(ARG(const float, loss), ARG(const float, s), ARG(const float, total),
                            ARG(float, out), const float a, const float b, const int has_total)
{
    VIEW(loss);
    VIEW(s);
    VIEW(total);
    VIEW(out);
    const bool counts = !has_total || total[0] != 0;
    out[0] = counts ? a * exp(-b * s[0]) * loss[0] + 0.5f * s[0] : 0;
}

kernel void uncertainty_bwd(ARG(const float, loss), ARG(const float, s), ARG(const float, dout),
                            ARG(const float, total), ARG(float, dloss), ARG(float, ds),
                            const float a, const float b, const int has_total)
{
    VIEW(loss);
    VIEW(s);
    VIEW(dout);
    VIEW(total);
    VIEW(dloss);
    VIEW(ds);
    const float weight = a * exp(-b * s[0]), d = has_total && total[0] == 0 ? 0 : dout[0];
    const float ds_value = d * (0.5f - b * weight * loss[0]);
    dloss[0] = d * weight;
    ds[0] = ds_value;
}
