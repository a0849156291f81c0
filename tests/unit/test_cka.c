/* Similarity of representations: numpy's numbers, and what it must not depend on. */
#include <math.h>
#include <stdlib.h>

#include "support/support.h"
#include "train/cka.h"

#include "../ref/cka_golden.h"

enum { N = 30, P = 6, Q = 50 };

/* tests/ref/make_cka_golden.py's features. */
static void features(float *x, size_t n, size_t p, double phase)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < p; k++)
            x[i * p + k] = (float)sin(phase + 1.3 * (double)i + 0.7 * (double)k +
                                      0.01 * (double)i * (double)(k * k));
}

static double cka(const float *x, size_t p, const float *y, size_t q, size_t n)
{
    double value;
    support_ok(tdm__cka(x, p, y, q, n, &value));
    return value;
}

START_TEST(golden)
{
    static float x[40 * 100], y[40 * 60];
    for (size_t g = 0; g < sizeof golden_cka / sizeof *golden_cka; g++) {
        const size_t n = golden_cka[g].n, p = golden_cka[g].p, q = golden_cka[g].q;
        features(x, n, p, 0.2);
        features(y, n, q, 0.9);
        ck_assert_double_eq_tol(cka(x, p, y, q, n), golden_cka[g].cka, 1e-6);
        ck_assert_double_eq_tol(cka(y, q, x, p, n), golden_cka[g].cka, 1e-6);
    }
}
END_TEST

/* Turning pairs of features, a factor for all of them and a shift of each leave it as it is. */
START_TEST(turned_scaled_and_shifted)
{
    float x[N * P], y[N * Q], z[N * P];
    features(x, N, P, 0.2);
    features(y, N, Q, 0.9);
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < P; k += 2) {
            const double angle = 0.4 + (double)k, a = x[i * P + k], b = x[i * P + k + 1];
            z[i * P + k] = (float)(3.5 * (cos(angle) * a - sin(angle) * b) + 2);
            z[i * P + k + 1] = (float)(3.5 * (sin(angle) * a + cos(angle) * b) - 7);
        }
    ck_assert_double_eq_tol(cka(x, P, z, P, N), 1, 1e-6);
    ck_assert_double_eq_tol(cka(z, P, y, Q, N), cka(x, P, y, Q, N), 1e-6);
    ck_assert_double_eq_tol(cka(y, Q, y, Q, N), 1, 1e-12);
    /* but a factor of one feature does not */
    for (size_t i = 0; i < N; i++) z[i * P] *= 30;
    ck_assert_double_lt(cka(x, P, z, P, N), 0.9);
}
END_TEST

/* Many random features of few samples: the estimate stays near 0, where the biased one is near 1.
 */
START_TEST(nothing_in_common)
{
    static float x[N * 500], y[N * 500];
    double sum = 0;
    uint32_t state = 1;
    for (int draw = 0; draw < 10; draw++) {
        for (size_t i = 0; i < N * 500; i++) {
            state = state * 1664525u + 1013904223u;
            x[i] = (float)(state >> 8) / 8388608.0f - 1;
            state = state * 1664525u + 1013904223u;
            y[i] = (float)(state >> 8) / 8388608.0f - 1;
        }
        sum += cka(x, 500, y, 500, N);
    }
    ck_assert_double_lt(fabs(sum / 10), 0.1);
}
END_TEST

START_TEST(what_cannot_be_compared)
{
    float x[N * P], same[N * P];
    double value;
    features(x, N, P, 0.2);
    for (int i = 0; i < N * P; i++) same[i] = 0.25f;
    support_ok(tdm__cka(x, P, same, P, N, &value));
    ck_assert_double_nan(value);
    support_fails(tdm__cka(x, P, x, P, 3, &value), TDM_ERR_USAGE, "needs 4 at least");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cka");
    TCase *tc = tcase_create("linear");
    tcase_add_test(tc, golden);
    tcase_add_test(tc, turned_scaled_and_shifted);
    tcase_add_test(tc, nothing_in_common);
    tcase_add_test(tc, what_cannot_be_compared);
    suite_add_tcase(suite, tc);
    return support_run(suite);
}
