// roots.cl: sums of square roots: of elements, and of the eigenvalues of a small symmetric matrix.
// One work-item does everything: there are a few numbers.

#define ROOTS_MOST 32 // rows of a matrix
#define ROOTS_SWEEPS 16

// y = sum sqrt(x + shift), root = 1 / sqrt(x + shift)
kernel void root_sum(ARG(const float, x), ARG(float, y), ARG(float, root), const int n,
                     const float shift)
{
    VIEW(x);
    VIEW(y);
    VIEW(root);
    float total = 0.0f, carry = 0.0f;
    for (int i = 0; i < n; i++) {
        const float at = x[i] + shift, s = sqrt(at);
        const float value = select(s, 0.0f, at <= 0.0f) - carry, sum = total + value;
        carry = (sum - total) - value;
        total = sum;
        root[i] = select(1.0f / s, 0.0f, at <= 0.0f);
    }
    y[0] = total;
}

// The rotation of rows and columns p < q that makes a[p][q] zero.
INLINE void rotate_pair(int n, local float *a, local float *v, int p, int q)
{
    const float off = a[p * n + q];
    if (off == 0.0f) return;
    const float tau = (a[q * n + q] - a[p * n + p]) / (2.0f * off);
    const float t = (tau >= 0.0f ? 1.0f : -1.0f) / (fabs(tau) + sqrt(1.0f + tau * tau));
    const float c = 1.0f / sqrt(1.0f + t * t), s = t * c;
    for (int k = 0; k < n; k++) {
        const float kp = a[k * n + p], kq = a[k * n + q];
        a[k * n + p] = c * kp - s * kq;
        a[k * n + q] = s * kp + c * kq;
    }
    for (int k = 0; k < n; k++) {
        const float pk = a[p * n + k], qk = a[q * n + k], vp = v[k * n + p], vq = v[k * n + q];
        a[p * n + k] = c * pk - s * qk;
        a[q * n + k] = s * pk + c * qk;
        v[k * n + p] = c * vp - s * vq;
        v[k * n + q] = s * vp + c * vq;
    }
}

// y = sum sqrt(l + shift) over the eigenvalues l of (x + x^T) / 2, root = ((x + x^T) / 2 + shift)^-1/2
kernel void trace_root(ARG(const float, x), ARG(float, y), ARG(float, root), const int n,
                       const float shift)
{
    VIEW(x);
    VIEW(y);
    VIEW(root);
    local float a[ROOTS_MOST * ROOTS_MOST], v[ROOTS_MOST * ROOTS_MOST];
    for (int i = 0; i < n * n; i++) {
        a[i] = 0.5f * (x[i] + x[i % n * n + i / n]);
        v[i] = i / n == i % n ? 1.0f : 0.0f;
        root[i] = 0.0f;
    }
    for (int sweep = 0; sweep < ROOTS_SWEEPS; sweep++)
        for (int p = 0; p < n; p++)
            for (int q = p + 1; q < n; q++) rotate_pair(n, a, v, p, q);
    float most = 0.0f, total = 0.0f;
    for (int k = 0; k < n; k++) most = fmax(most, a[k * n + k] + shift);
    for (int k = 0; k < n; k++) {
        const float l = a[k * n + k] + shift;
        if (l <= n * FLT_EPSILON * most) continue; // false of NaN, which the sum then has
        total += sqrt(l);
        const float inverse = 1.0f / sqrt(l);
        for (int i = 0; i < n * n; i++) root[i] += v[i / n * n + k] * v[i % n * n + k] * inverse;
    }
    y[0] = total;
}
