/* task/linear.c: see linear.h. */
#include "task/linear.h"

#include <math.h>
#include <string.h>

double tdm__dot(const double *a, const double *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

void tdm__mat_vec(const double *m, const double *x, size_t n, double *out)
{
    for (size_t i = 0; i < n; i++) out[i] = tdm__dot(m + i * n, x, n);
}

double tdm__quadratic(const double *m, const double *a, const double *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += a[i] * tdm__dot(m + i * n, b, n);
    return sum;
}

double tdm__trace(const double *m, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += m[i * n + i];
    return sum;
}

static void swap_rows(double *m, size_t columns, size_t a, size_t b)
{
    for (size_t k = 0; a != b && k < columns; k++) {
        const double t = m[a * columns + k];
        m[a * columns + k] = m[b * columns + k];
        m[b * columns + k] = t;
    }
}

/* Row i minus f times row j, from column `from` on. */
static void subtract_row(double *m, size_t columns, size_t i, size_t j, double f, size_t from)
{
    for (size_t k = from; k < columns; k++) m[i * columns + k] -= f * m[j * columns + k];
}

bool tdm__solve_linear(double *a, double *b, size_t n, size_t columns, double tolerance)
{
    double largest = 0;
    for (size_t i = 0; i < n * n; i++) largest = fmax(largest, fabs(a[i]));
    for (size_t c = 0; c < n; c++) {
        size_t pivot = c;
        for (size_t i = c + 1; i < n; i++)
            if (fabs(a[i * n + c]) > fabs(a[pivot * n + c])) pivot = i;
        if (!(fabs(a[pivot * n + c]) > tolerance * largest)) return false;
        swap_rows(a, n, c, pivot);
        swap_rows(b, columns, c, pivot);
        for (size_t i = c + 1; i < n; i++) {
            const double f = a[i * n + c] / a[c * n + c];
            subtract_row(a, n, i, c, f, c);
            subtract_row(b, columns, i, c, f, 0);
        }
    }
    for (size_t c = n; c-- > 0;) {
        for (size_t k = 0; k < columns; k++) b[c * columns + k] /= a[c * n + c];
        for (size_t i = 0; i < c; i++) subtract_row(b, columns, i, c, a[i * n + c], 0);
    }
    return true;
}

/* Rotates axes p and q so that a[p][q] becomes 0 (Golub and Van Loan, 8.5). */
static void rotate(double *a, double *vectors, size_t n, size_t p, size_t q)
{
    const double apq = a[p * n + q], theta = (a[q * n + q] - a[p * n + p]) / (2 * apq);
    const double t = (theta < 0 ? -1 : 1) / (fabs(theta) + sqrt(theta * theta + 1));
    const double c = 1 / sqrt(t * t + 1), s = t * c;
    for (size_t k = 0; k < n; k++) {
        const double akp = a[k * n + p], akq = a[k * n + q];
        a[k * n + p] = c * akp - s * akq;
        a[k * n + q] = s * akp + c * akq;
    }
    for (size_t k = 0; k < n; k++) {
        const double apk = a[p * n + k], aqk = a[q * n + k];
        a[p * n + k] = c * apk - s * aqk;
        a[q * n + k] = s * apk + c * aqk;
    }
    for (size_t k = 0; k < n; k++) {
        const double vkp = vectors[k * n + p], vkq = vectors[k * n + q];
        vectors[k * n + p] = c * vkp - s * vkq;
        vectors[k * n + q] = s * vkp + c * vkq;
    }
}

void tdm__eigen_symmetric(double *a, size_t n, double *values, double *vectors)
{
    enum { SWEEPS = 60 }; /* converges quadratically: 6 to 10 are usual */
    memset(vectors, 0, n * n * sizeof *vectors);
    for (size_t i = 0; i < n; i++) vectors[i * n + i] = 1;
    for (int sweep = 0; sweep < SWEEPS; sweep++) {
        double off = 0, all = 0;
        for (size_t i = 0; i < n * n; i++) {
            all += a[i] * a[i];
            if (i / n != i % n) off += a[i] * a[i];
        }
        if (!(off > 1e-34 * all)) break; /* a NaN ends it too */
        for (size_t p = 0; p < n; p++)
            for (size_t q = p + 1; q < n; q++)
                if (a[p * n + q] != 0) rotate(a, vectors, n, p, q);
    }
    for (size_t i = 0; i < n; i++) values[i] = a[i * n + i];
}
