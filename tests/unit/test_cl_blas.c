/* CLBlast behind its wrapper. The first use compiles for seconds. */
#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "cl/internal.h"
#include "support/cl_fixture.h"

static support_cl cl;

static void setup(void)
{
    support_cl_open(&cl, NULL);
}
static void teardown(void)
{
    support_cl_close(&cl);
}

START_TEST(blas_check_and_product)
{
    enum { M = 5, N = 7, K = 3, PAD = 4 };
    float a[PAD + K * M], b[N * K], c[M * (N + 1)], got[M * (N + 1)];
    tdm__rng rng = tdm__rng_make(1, 2);
    for (size_t i = 0; i < sizeof a / sizeof *a; i++) a[i] = (float)tdm__rng_normal(&rng);
    for (size_t i = 0; i < sizeof b / sizeof *b; i++) b[i] = (float)tdm__rng_normal(&rng);
    for (size_t i = 0; i < sizeof c / sizeof *c; i++) c[i] = (float)tdm__rng_normal(&rng);
    ck_assert(cl.device->blas == TDM__BLAS_UNKNOWN); /* never asked, never compiled */
    ck_assert(tdm__clblast_usable(cl.device));
    ck_assert_uint_eq(tdm__device_bytes(cl.device), 0);
    tdm__buffer da = support_cl_floats(cl.device, a, sizeof a / sizeof *a);
    tdm__buffer db = support_cl_floats(cl.device, b, sizeof b / sizeof *b);
    tdm__buffer dc = support_cl_floats(cl.device, c, sizeof c / sizeof *c);
    /* C[5][7, leading 8] = 2 A^T B^T - C with A stored [3][5] behind an offset, B stored [7][3]. */
    support_ok(tdm__clblast_gemm(cl.device, true, true, M, N, K, 2.0f, (tdm__view){&da, 4 * PAD}, M,
                                 (tdm__view){&db, 0}, K, -1.0f, (tdm__view){&dc, 0}, N + 1));
    support_ok(tdm__view_read(cl.device, (tdm__view){&dc, 0}, got, sizeof got));
    for (int i = 0; i < M; i++) {
        for (int j = 0; j < N; j++) {
            double want = -c[i * (N + 1) + j];
            for (int k = 0; k < K; k++) want += 2.0 * a[PAD + k * M + i] * b[j * K + k];
            ck_assert_double_eq_tol(got[i * (N + 1) + j], want, 1e-5);
        }
        ck_assert_float_eq(got[i * (N + 1) + N], c[i * (N + 1) + N]);
    }
    support_fails(tdm__clblast_gemm(cl.device, false, false, M, N, 0, 1, (tdm__view){&da, 0}, K,
                                    (tdm__view){&db, 0}, N, 0, (tdm__view){&dc, 0}, N),
                  TDM_ERR_DEVICE, "CLBlastSgemm: ");
    tdm__buffer_destroy(cl.device, &da);
    tdm__buffer_destroy(cl.device, &db);
    tdm__buffer_destroy(cl.device, &dc);
}
END_TEST

START_TEST(blas_without_memory_is_not_usable)
{
    tdm__device_set_memory_limit(cl.device, 100);
    ck_assert(!tdm__clblast_usable(cl.device));
    support_fails(tdm__clblast_gemm(cl.device, false, false, 1, 1, 1, 1, (tdm__view){0}, 1,
                                    (tdm__view){0}, 1, 0, (tdm__view){0}, 1),
                  TDM_ERR_DEVICE, "CLBlast is not usable on ");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cl_blas");
    TCase *device = tcase_create("device");
    tcase_add_checked_fixture(device, setup, teardown);
    tcase_add_test(device, blas_check_and_product);
    tcase_add_test(device, blas_without_memory_is_not_usable);
    suite_add_tcase(suite, device);
    return support_run(suite);
}
