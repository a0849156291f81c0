/* Per-task gradients on the device: their Gram matrix and their combination against sums in double,
 * in both kernel styles. */
#include "task/gradients.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "support/op_styles.h"
#include "support/support.h"
#include "task/linear.h"

enum { TASKS = 3, SEGMENTS = 5, STEPS = 3000 };

static tdm_device *device;
static tdm__flat *flat;
static tdm__gradients *gradients;
static tdm__buffer scalars;
static const char *const names[TASKS] = {"a", "b", "c"};
/* Sizes around a block of 8192 elements and the vector width; the third is a head's. */
static const int64_t sizes[SEGMENTS] = {8191, 3, 40, 8192 * 2 + 5, 17};
static const bool shared[SEGMENTS] = {true, true, false, true, true};
static float *values[TASKS][SEGMENTS];

static void open_rows(const tdm__combine_spec *spec, double scale)
{
    support_ok(tdm__flat_create(device, &flat));
    for (int i = 0; i < SEGMENTS; i++) {
        char name[16];
        size_t index;
        snprintf(name, sizeof name, "s%d", i);
        const tdm__segment s = {
            .name = name, .disk = tdm_desc_1(TDM_F32, sizes[i]), .kind = TDM__SEGMENT_PARAM};
        support_ok(tdm__flat_declare(flat, &s, &index));
    }
    support_ok(tdm__flat_seal(flat, true));
    support_ok(
        tdm__gradients_create(device, flat, shared, spec, names, TASKS, UINT64_MAX, &gradients));
    support_ok(tdm__buffer_create(device, sizeof(tdm__step), true, "step", &scalars));
    tdm__rng rng = tdm__rng_make(1, tdm__rng_stream("gradients", 0, 0));
    for (int t = 0; t < TASKS; t++)
        for (int i = 0; i < SEGMENTS; i++) {
            const tdm__view row = tdm__gradients_row(gradients, (size_t)t, (size_t)i);
            ck_assert((row.buffer != NULL) == shared[i]);
            values[t][i] = calloc((size_t)sizes[i], sizeof(float));
            for (int64_t k = 0; k < sizes[i]; k++)
                values[t][i][k] = (float)(tdm__rng_normal(&rng) * (t == 1 ? scale : 1));
            if (shared[i])
                support_ok(
                    tdm__view_write(device, row, values[t][i], (uint64_t)sizes[i] * sizeof(float)));
        }
}

static void close_rows(void)
{
    for (int t = 0; t < TASKS; t++)
        for (int i = 0; i < SEGMENTS; i++) free(values[t][i]);
    tdm__buffer_destroy(device, &scalars);
    tdm__gradients_destroy(&gradients);
    tdm__flat_destroy(&flat);
}

static void combine(uint64_t step)
{
    const tdm__step s = {.seed = {7, 0}, .step = {(uint32_t)step, 0}};
    support_ok(tdm__view_write(device, (tdm__view){&scalars, 0}, &s, sizeof s));
    support_ok(tdm__gradients_combine(gradients, (tdm__view){&scalars, 0}, 7, step, NULL, NULL));
}

static void gram(double *m)
{
    memset(m, 0, TASKS * TASKS * sizeof *m);
    for (int a = 0; a < TASKS; a++)
        for (int b = 0; b < TASKS; b++)
            for (int i = 0; i < SEGMENTS; i++)
                for (int64_t k = 0; shared[i] && k < sizes[i]; k++)
                    m[a * TASKS + b] += (double)values[a][i][k] * (double)values[b][i][k];
}

static void read_gradient(int segment, float *out)
{
    support_ok(tdm__view_read(device, tdm__flat_gradient_view(flat, (size_t)segment), out,
                              (uint64_t)sizes[segment] * sizeof(float)));
}

static const tdm__combine_spec specs[] = {
    {.kind = TDM__COMBINE_MGDA, .sum = true},
    {.kind = TDM__COMBINE_CAGRAD, .cagrad_c = 0.4, .cagrad_rescale = 1, .sum = true},
    {.kind = TDM__COMBINE_IMTL_G},
    {.kind = TDM__COMBINE_NASH, .max_norm = 1},
    {.kind = TDM__COMBINE_FAIRGRAD, .fairgrad_alpha = 2},
    {.kind = TDM__COMBINE_ALIGNED, .sum = true},
    {.kind = TDM__COMBINE_PCGRAD, .sum = true},
    {.kind = TDM__COMBINE_GRADVAC, .gradvac_beta = 0.5},
    {.kind = TDM__COMBINE_UPGRAD, .sum = true},
};

/* The combination is that of the weights which the host finds from a matrix in double. */
static void check_methods(void)
{
    double m[TASKS * TASKS], w[TASKS];
    float *got = calloc(8192 * 3, sizeof *got);
    for (size_t k = 0; k < sizeof specs / sizeof *specs; k++) {
        double target[TASKS * TASKS] = {0};
        bool stationary;
        open_rows(&specs[k], 1e-3);
        gram(m);
        support_ok(tdm__combine_weights(&specs[k], m, TASKS, names, 7, 5, target, w, &stationary));
        ck_assert(!stationary);
        combine(5);
        const tdm__gradients_report *r = tdm__gradients_get_report(gradients);
        ck_assert(r->steps == 1);
        for (int t = 0; t < TASKS; t++) {
            ck_assert_double_eq_tol(r->weights[t], w[t], 1e-5 * fabs(w[t]));
            ck_assert_double_eq_tol(r->norms[t] * r->norms[t], m[t * 4], 1e-10 * m[t * 4]);
        }
        ck_assert_double_eq_tol(r->cosines[1], m[1] / sqrt(m[0] * m[4]), 1e-9);
        for (int i = 0; i < SEGMENTS; i++) {
            read_gradient(i, got);
            for (int64_t e = 0; e < sizes[i]; e++) {
                double want = 0, size = 0;
                for (int t = 0; t < TASKS && shared[i]; t++) {
                    want += w[t] * (double)values[t][i][e];
                    size += fabs(w[t] * (double)values[t][i][e]);
                }
                ck_assert_msg(fabs(got[e] - want) <= 1e-5 * size, "method %zu, %d[%d]: %g, not %g",
                              k, i, (int)e, (double)got[e], want);
            }
        }
        close_rows();
    }
    free(got);
}

/* A task that has nothing in the batch changes nothing, and is not taken for a stationary point. */
static void check_absent_task(void)
{
    double w[TASKS], target[TASKS * TASKS] = {0};
    static const double m[] = {4, 0, 1, 0, 0, 0, 1, 0, 9};
    static const double pair[] = {4, 1, 1, 9};
    static const char *const two[] = {"a", "c"};
    for (size_t k = 0; k < sizeof specs / sizeof *specs; k++) {
        double u[2], small[4] = {0};
        bool stationary;
        support_ok(tdm__combine_weights(&specs[k], m, 3, names, 1, 1, target, w, &stationary));
        support_ok(tdm__combine_weights(&specs[k], pair, 2, two, 1, 1, small, u, &stationary));
        ck_assert(w[0] == u[0] && w[2] == u[1] && w[1] == 0);
    }
}

/* The mean over many steps is P (sum of positive parts) + (1 - P) (sum of negative parts). */
static void check_dropping(void)
{
    static const tdm__combine_spec spec = {.kind = TDM__COMBINE_GRADDROP, .sum = true};
    double sums[3] = {0}, want[3], spread[3];
    float got[3], again[3];
    open_rows(&spec, 1);
    for (int e = 0; e < 3; e++) {
        double plus = 0, minus = 0;
        for (int t = 0; t < TASKS; t++) {
            plus += fmax((double)values[t][1][e], 0);
            minus += fmin((double)values[t][1][e], 0);
        }
        const double p = 0.5 * (1 + (plus + minus) / (plus - minus));
        want[e] = p * plus + (1 - p) * minus;
        spread[e] = (plus - minus) / sqrt(STEPS);
    }
    for (uint64_t step = 0; step < STEPS; step++) {
        combine(step);
        read_gradient(1, got);
        for (int e = 0; e < 3; e++) sums[e] += (double)got[e] / STEPS;
    }
    for (int e = 0; e < 3; e++)
        ck_assert_msg(fabs(sums[e] - want[e]) < 3 * spread[e], "%g instead of %g", sums[e],
                      want[e]);
    combine(STEPS - 1);
    read_gradient(1, again);
    ck_assert(!memcmp(got, again, sizeof got));
    close_rows();
}

/* Weights follow running means of the gradients, which begin at 0: all as long as the longest. */
static void check_running_means(void)
{
    static const tdm__combine_spec spec = {
        .kind = TDM__COMBINE_DB_MTL, .sum = true, .db_beta = 0.8, .db_sigma = 0.5};
    double mean[TASKS][17] = {{0}}, length[TASKS], longest = 0, m[TASKS * TASKS], scale = 0;
    float got[17];
    open_rows(&spec, 1e-3);
    gram(m);
    for (uint64_t step = 0; step < 3; step++) {
        const double keep = 0.8 / sqrt((double)step + 1);
        combine(step);
        scale = keep * scale + 1 - keep; /* the gradients stay the same */
    }
    for (int t = 0; t < TASKS; t++) {
        length[t] = scale * sqrt(m[t * 4]);
        longest = fmax(longest, length[t]);
        for (int e = 0; e < 17; e++) mean[t][e] = scale * (double)values[t][4][e];
    }
    read_gradient(4, got);
    for (int e = 0; e < 17; e++) {
        double want = 0;
        for (int t = 0; t < TASKS; t++) want += longest / length[t] * mean[t][e];
        ck_assert_msg(fabs(got[e] - want) < 1e-5 * longest, "%g, not %g", (double)got[e], want);
    }
    close_rows();
}

static void run_style(tdm_kernel_style style)
{
    const tdm_device_spec spec = {.style = style};
    support_ok(tdm_device_open(&spec, &device));
    check_methods();
    check_absent_task();
    check_dropping();
    check_running_means();
    ck_assert_uint_eq(tdm__device_bytes(device), 0);
    tdm_device_destroy(&device);
}

int main(void)
{
    return op_styles_run("gradients", run_style);
}
