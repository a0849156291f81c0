/* Matrix products through CLBlast, behind a check of its results.
 *
 * Some releases give wrong results on some GPUs (before 1.6.3), so the first question for it runs
 * all four transpositions on its small-matrix kernel and one product on its large-matrix kernel
 * against double. It compiles for seconds on first use: nothing here runs unless it is asked for.
 * CLBlast is called by one thread at a time.
 */
#include <clblast_c.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "cl/internal.h"

static tdm_status gemm(tdm_device *device, bool trans_a, bool trans_b, uint64_t m, uint64_t n,
                       uint64_t k, float alpha, tdm__view a, uint64_t lda, tdm__view b,
                       uint64_t ldb, float beta, tdm__view c, uint64_t ldc)
{
    cl_event event = NULL;
    CLBlastStatusCode code = CLBlastSgemm(
        CLBlastLayoutRowMajor, trans_a ? CLBlastTransposeYes : CLBlastTransposeNo,
        trans_b ? CLBlastTransposeYes : CLBlastTransposeNo, m, n, k, alpha, a.buffer->mem,
        a.offset / 4, lda, b.buffer->mem, b.offset / 4, ldb, beta, c.buffer->mem, c.offset / 4, ldc,
        &device->compute, tdm__profile_slot(device, &event));
    if (code == CLBlastSuccess) {
        tdm__profile_event(device, TDM__LANE_COMPUTE, "clblast_gemm", event,
                           2.0 * (double)m * (double)n * (double)k, 0);
        return TDM_OK;
    }
    /* CLBlast passes OpenCL's own numbers on and has its own below them. */
    if (code > -1000) return tdm__cl_fail((cl_int)code, "CLBlastSgemm");
    return tdm__fail(TDM_ERR_DEVICE, "CLBlastSgemm: CLBlast error %d", (int)code);
}

/* ---- self-check ------------------------------------------------------------------------------ */

typedef struct check_case {
    bool trans_a, trans_b;
    uint64_t m, n, k;
    float alpha, beta;
} check_case;

/* 520^3 lies above the size from which CLBlast takes its large-matrix kernel on the devices of its
 * table; no dimension is a multiple of a tile. */
static const check_case check_cases[] = {
    {false, false, 33, 17, 29, 1.0f, 0.0f},   {false, true, 33, 17, 29, 1.0f, 1.0f},
    {true, false, 17, 40, 31, 2.0f, 0.0f},    {true, true, 21, 13, 64, -0.5f, 2.0f},
    {false, true, 517, 523, 519, 1.0f, 0.0f},
};

#define CHECKED_MOST 512 /* elements of one product compared */

/* Element (i, j) in double, and the sum of magnitudes that rounding errors scale with. */
static double reference(const check_case *t, const float *a, const float *b, float c, uint64_t i,
                        uint64_t j, double *magnitude)
{
    double sum = 0, size = 0;
    for (uint64_t p = 0; p < t->k; p++) {
        double x = t->trans_a ? a[p * t->m + i] : a[i * t->k + p];
        double y = t->trans_b ? b[j * t->k + p] : b[p * t->n + j];
        sum += x * y;
        size += fabs(x * y);
    }
    *magnitude = fabs((double)t->alpha) * size + fabs((double)t->beta * c);
    return t->alpha * sum + (double)t->beta * c;
}

static bool close_enough(const check_case *t, const float *a, const float *b, const float *before,
                         const float *after)
{
    uint64_t total = t->m * t->n, step = total / CHECKED_MOST + 1;
    for (uint64_t e = 0; e < total; e += step) {
        double magnitude;
        double want = reference(t, a, b, before[e], e / t->n, e % t->n, &magnitude);
        /* sqrt(k) roundings of 2^-24 would be usual; NaN fails. */
        if (!(fabs(after[e] - want) <= 1e-5 * magnitude + 1e-30)) return false;
    }
    return true;
}

static tdm_status check_one(tdm_device *device, const check_case *t, bool *good)
{
    tdm_status status = TDM_OK;
    const uint64_t sizes[3] = {t->m * t->k, t->k * t->n, t->m * t->n};
    float *host[4] = {NULL}; /* a, b, c before, c after */
    tdm__buffer buffers[3] = {{0}};
    tdm__rng rng = tdm__rng_make(1, tdm__rng_stream("clblast check", t->m, t->n));
    for (int i = 0; i < 3; i++) {
        TDM_TRY(tdm__calloc_try(sizes[i], sizeof(float), &host[i]));
        for (uint64_t e = 0; e < sizes[i]; e++) host[i][e] = (float)(tdm__rng_uniform(&rng) - 0.5);
        TDM_TRY(tdm__buffer_create(device, sizes[i] * sizeof(float), false, "CLBlast's self-check",
                                   &buffers[i]));
        TDM_TRY(tdm__view_write(device, (tdm__view){&buffers[i], 0}, host[i],
                                sizes[i] * sizeof(float)));
    }
    TDM_TRY(gemm(device, t->trans_a, t->trans_b, t->m, t->n, t->k, t->alpha,
                 (tdm__view){&buffers[0], 0}, t->trans_a ? t->m : t->k, (tdm__view){&buffers[1], 0},
                 t->trans_b ? t->k : t->n, t->beta, (tdm__view){&buffers[2], 0}, t->n));
    TDM_TRY(tdm__calloc_try(sizes[2], sizeof(float), &host[3]));
    TDM_TRY(tdm__view_read(device, (tdm__view){&buffers[2], 0}, host[3], sizes[2] * sizeof(float)));
    *good = close_enough(t, host[0], host[1], host[2], host[3]);
done:
    for (int i = 0; i < 3; i++) tdm__buffer_destroy(device, &buffers[i]);
    for (int i = 0; i < 4; i++) free(host[i]);
    return status;
}

static bool self_check(tdm_device *device)
{
    for (size_t i = 0; i < sizeof check_cases / sizeof *check_cases; i++) {
        const check_case *t = &check_cases[i];
        bool good = false;
        if (check_one(device, t, &good)) {
            tdm__log(TDM_LOG_WARN, "CLBlast is not used on %s: %s", device->info.name,
                     tdm_last_error());
            return false;
        }
        if (!good) {
            tdm__log(TDM_LOG_WARN,
                     "CLBlast is not used on %s: its product of size %d x %d x %d is wrong",
                     device->info.name, (int)t->m, (int)t->n, (int)t->k);
            return false;
        }
    }
    return true;
}

/* ---- use ------------------------------------------------------------------------------------- */

bool tdm__clblast_usable(tdm_device *device)
{
    tdm__mutex_lock(&device->blas_lock);
    if (device->blas == TDM__BLAS_UNKNOWN) {
        const char *wanted = getenv("TANDEM_CLBLAST");
        const bool off = wanted && strcmp(wanted, "off") == 0;
        device->blas = !off && self_check(device) ? TDM__BLAS_GOOD : TDM__BLAS_BAD;
    }
    bool good = device->blas == TDM__BLAS_GOOD;
    tdm__mutex_unlock(&device->blas_lock);
    return good;
}

tdm_status tdm__clblast_gemm(tdm_device *device, bool trans_a, bool trans_b, uint64_t m, uint64_t n,
                             uint64_t k, float alpha, tdm__view a, uint64_t lda, tdm__view b,
                             uint64_t ldb, float beta, tdm__view c, uint64_t ldc)
{
    if (!tdm__clblast_usable(device))
        return tdm__fail(TDM_ERR_DEVICE, "CLBlast is not usable on %s", device->info.name);
    tdm__mutex_lock(&device->blas_lock);
    tdm_status status =
        gemm(device, trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    tdm__mutex_unlock(&device->blas_lock);
    return status;
}

/* CLBlast keeps its programs per context and would hold on to this one. */
void tdm__clblast_release(tdm_device *device)
{
    if (device->blas != TDM__BLAS_UNKNOWN) CLBlastClearCache();
}
