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

enum { TASKS = 3, MOST_TASKS = 11, SEGMENTS = 5, STEPS = 3000 };

static tdm_device *device;
static tdm__flat *flat;
static tdm__gradients *gradients;
static tdm__buffer scalars;
static size_t n_tasks = TASKS;
static const char *const names[MOST_TASKS] = {"a", "b", "c", "d", "e", "f",
                                              "g", "h", "i", "j", "k"};
/* Sizes around a block of 8192 elements and the vector width; the third is a head's. */
static const int64_t sizes[SEGMENTS] = {8191, 3, 40, 8192 * 2 + 5, 17};
static const bool shared[SEGMENTS] = {true, true, false, true, true};
static float *values[MOST_TASKS][SEGMENTS];

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
        tdm__gradients_create(device, flat, shared, spec, names, n_tasks, UINT64_MAX, &gradients));
    support_ok(tdm__buffer_create(device, sizeof(tdm__step), true, "step", &scalars));
    tdm__rng rng = tdm__rng_make(1, tdm__rng_stream("gradients", 0, 0));
    for (size_t t = 0; t < n_tasks; t++)
        for (int i = 0; i < SEGMENTS; i++) {
            const tdm__view row = tdm__gradients_row(gradients, t, (size_t)i);
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
    for (size_t t = 0; t < n_tasks; t++)
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
    memset(m, 0, n_tasks * n_tasks * sizeof *m);
    for (size_t a = 0; a < n_tasks; a++)
        for (size_t b = 0; b < n_tasks; b++)
            for (int i = 0; i < SEGMENTS; i++)
                for (int64_t k = 0; shared[i] && k < sizes[i]; k++)
                    m[a * n_tasks + b] += (double)values[a][i][k] * (double)values[b][i][k];
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

/* Every product of one task to eleven: the kernel takes rows in twos. */
static void check_products(void)
{
    static const tdm__combine_spec spec = {.kind = TDM__COMBINE_UPGRAD, .sum = true};
    double m[MOST_TASKS * MOST_TASKS];
    for (n_tasks = 1; n_tasks <= MOST_TASKS; n_tasks++) {
        open_rows(&spec, 1e-3);
        gram(m);
        combine(0);
        const tdm__gradients_report *r = tdm__gradients_get_report(gradients);
        for (size_t a = 0; a < n_tasks; a++)
            for (size_t b = 0; b < n_tasks; b++) {
                const double aa = m[a * n_tasks + a], bb = m[b * n_tasks + b],
                             got = r->cosines[a * n_tasks + b] * r->norms[a] * r->norms[b];
                ck_assert_msg(fabs(got - m[a * n_tasks + b]) <= 1e-10 * sqrt(aa * bb),
                              "%zu tasks, %zu times %zu: %.12g, not %.12g", n_tasks, a, b, got,
                              m[a * n_tasks + b]);
            }
        close_rows();
    }
    n_tasks = TASKS;
}

static void write_row(size_t task, int segment, const float *row)
{
    memcpy(values[task][segment], row, (size_t)sizes[segment] * sizeof *row);
    support_ok(tdm__view_write(device, tdm__gradients_row(gradients, task, (size_t)segment), row,
                               (uint64_t)sizes[segment] * sizeof *row));
}

/* Means of what is logged are those over the steps in which a task had a gradient. */
static void check_absent_in_the_log(void)
{
    static const tdm__combine_spec spec = {.kind = TDM__COMBINE_PCGRAD, .sum = true};
    double m[TASKS * TASKS];
    open_rows(&spec, 1);
    gram(m);
    combine(0);
    const double condition = tdm__gradients_get_report(gradients)->condition;
    float *zeros = calloc((size_t)sizes[3], sizeof *zeros);
    for (int i = 0; i < SEGMENTS; i++)
        if (shared[i]) write_row(1, i, zeros);
    combine(1);
    const tdm__gradients_report *r = tdm__gradients_get_report(gradients);
    ck_assert(r->steps == 2);
    ck_assert_double_eq_tol(r->cosines[4], 1, 1e-12);
    ck_assert_double_eq_tol(r->cosines[1], m[1] / sqrt(m[0] * m[4]), 1e-9);
    ck_assert_double_eq_tol(r->norms[1], sqrt(m[4]), 1e-9 * sqrt(m[4]));
    ck_assert_msg(r->condition <= condition + 1, "10^%g", r->condition);
    tdm__gradients_reset(gradients);
    combine(2);
    r = tdm__gradients_get_report(gradients);
    ck_assert(isnan(r->cosines[1]) && isnan(r->norms[1]) && isfinite(r->condition));
    free(zeros);
    close_rows();
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

/* P of METHODS' three gradients in four dimensions: the share of the steps that keep what is
 * positive. With a leak the other part stays by that much; with 1 nothing is dropped. */
static void check_signs(double leak)
{
    static const double j[TASKS][4] = {{1, 2, -1, .5}, {-2, 1, .5, 1}, {.5, -1, 2, -1}},
                        chance[] = {.428571, .75, .714286, .6};
    const tdm__combine_spec spec = {.kind = TDM__COMBINE_GRADDROP, .sum = true, .leak = leak};
    const uint64_t steps = leak > 0 ? 50 : STEPS;
    double plus[4] = {0}, minus[4] = {0}, share[4] = {0};
    float got[17], row[17];
    open_rows(&spec, 1);
    for (size_t t = 0; t < TASKS; t++) {
        memcpy(row, values[t][4], sizeof row);
        for (int e = 0; e < 4; e++) {
            row[e] = (float)j[t][e];
            plus[e] += fmax(j[t][e], 0);
            minus[e] += fmin(j[t][e], 0);
        }
        write_row(t, 4, row);
    }
    for (uint64_t step = 0; step < steps; step++) {
        combine(step);
        read_gradient(4, got);
        for (int e = 0; e < 4; e++) {
            const double up = plus[e] + leak * minus[e], down = leak * plus[e] + minus[e];
            const bool is_up = fabs(got[e] - up) < 1e-5;
            ck_assert_msg(is_up || fabs(got[e] - down) < 1e-5, "%g is neither %g nor %g",
                          (double)got[e], up, down);
            share[e] += (double)is_up / (double)steps;
        }
    }
    for (int e = 0; e < 4 && leak == 0; e++) {
        const double spread = sqrt(chance[e] * (1 - chance[e]) / STEPS);
        ck_assert_msg(fabs(share[e] - chance[e]) < 3.5 * spread, "%g, not %g", share[e], chance[e]);
    }
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
    check_products();
    check_absent_task();
    check_absent_in_the_log();
    check_dropping();
    check_signs(0);
    check_signs(0.25);
    check_signs(1);
    check_running_means();
    ck_assert_uint_eq(tdm__device_bytes(device), 0);
    tdm_device_destroy(&device);
}

int main(void)
{
    return op_styles_run("gradients", run_style);
}
